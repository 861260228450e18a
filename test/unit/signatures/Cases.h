// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_TEST_UNIT_SIGNATURES_CASES_H
#define WEIR_TEST_UNIT_SIGNATURES_CASES_H

#include "compiler/Sharding/SignatureProof.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"

#include <ostream>
#include <set>
#include <string>
#include <vector>

namespace weir::compiler::test {

/// A function of small tensors whose signatures are derived and proved: one op,
/// or several that a framework offers as one.
struct Case {
  std::string name;
  /// Types of `%a0`, `%a1`, ..., as `4x6xf32`.
  std::vector<std::string> operands;
  /// Ops that define `%r0`, `%r1`, ...; `A0` stands for `tensor<type of %a0>`,
  /// `R0` for `tensor<type of %r0>`.
  std::string body;
  std::vector<std::string> results;
  /// Operands of integers are below this.
  int64_t integers = 5;
  /// Splits in units are tried too.
  bool units = false;
};

inline void PrintTo(const Case &c, std::ostream *os) { *os << c.name; }

/// A row of the published table of signatures: complete, on two coordinates,
/// without the one that is broadcast throughout and without maxima and minima.
struct Row {
  int number; // of the table, 0: a fact stated in the text beside it
  Case function;
  std::vector<std::string> sound;
  /// Declared by a real framework, and gives wrong numbers.
  std::vector<std::string> rejected;
  /// Sound here and not in the table, for a reason that stands beside it.
  std::vector<std::string> more;
};

/// The table of the oracles, each row as a function.
const std::vector<Row> &oracleRows();
/// Cases of ops that no row covers, or covers in part.
const std::vector<Case> &opCases();
/// Both.
std::vector<Case> allCases();

mlir::MLIRContext &context();

/// A case parsed: the module owns the block.
struct Function {
  mlir::OwningOpRef<mlir::ModuleOp> module;
  mlir::Block *block = nullptr;
  llvm::SmallVector<mlir::Value> results;

  /// The one op, or the last one.
  mlir::Operation *op() const { return results[0].getDefiningOp(); }
  std::vector<OpSignature> derive() const;
};

/// Parses the case into an entry of a module with these attributes; reports a
/// test failure where the text is wrong.
Function parse(const Case &c, const std::string &moduleAttributes = "");

/// The signature that `shortText` prints so, as `B,S1/8->P(max)`.
OpSignature signatureOf(const std::string &text);

/// Derived signatures as text that hold on `parts` coordinates.
std::set<std::string> textsOf(const Function &function, int64_t parts = 2);

} // namespace weir::compiler::test

#endif // WEIR_TEST_UNIT_SIGNATURES_CASES_H
