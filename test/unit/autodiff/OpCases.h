// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_TEST_UNIT_AUTODIFF_OPCASES_H
#define WEIR_TEST_UNIT_AUTODIFF_OPCASES_H

#include "compiler/Interpreter/Interpreter.h"
#include "dialects/Graph/Graph.h"

#include <optional>
#include <random>
#include <string>
#include <vector>

namespace weir::compiler::test {

/// How the elements of an operand are drawn.
struct Draw {
  enum Kind { Normal, Positive, Integer, Fixed, Distinct } kind = Normal;
  int64_t low = 0, high = 0;  // Integer: in [low, high)
  std::vector<double> values; // Fixed
};
inline Draw normal() { return {}; }
/// In [0.5, 2).
inline Draw positive() { return {Draw::Positive, 0, 0, {}}; }
inline Draw integer(int64_t low, int64_t high) {
  return {Draw::Integer, low, high, {}};
}
inline Draw fixed(std::vector<double> values) {
  return {Draw::Fixed, 0, 0, std::move(values)};
}
/// Multiples of 0.1 around 0 without 0, none twice: no ties and no kinks within
/// the reach of a finite difference.
inline Draw distinct() { return {Draw::Distinct, 0, 0, {}}; }

struct Operand {
  const char *type;
  Draw draw;
};

/// What is expected of `buildGradient`.
enum class Derivative {
  Checked, ///< equals the finite difference for every float operand
  Zero,    ///< there is none to build: every operand's is null
  Refused, ///< an error that names the op
};

/// One use of an op. `text` is the op behind `%0, %1 = `, its operands `%a0`,
/// `%a1` and so on.
struct OpCase {
  const char *name;
  const char *text;
  std::vector<Operand> operands;
  std::vector<const char *> results;
  Derivative derivative = Derivative::Checked;
};

/// Cases for every op of the graph dialect: odd and unequal sizes, so that
/// exchanged dimensions do not go unnoticed.
const std::vector<OpCase> &opCases();
/// Those of them whose ops read by index: padding, scans, order, windows.
std::vector<OpCase> indexedOpCases();

/// The text of an entry `@f` that is the op of a case.
std::string textOf(const OpCase &opCase);

/// A module whose entry `@f` is the op of a case.
struct Program {
  mlir::OwningOpRef<mlir::ModuleOp> module;
  graph::EntryOp entry;
  mlir::Operation *op = nullptr;
};

class OpTestContext {
public:
  OpTestContext();
  mlir::MLIRContext *get() { return &context; }
  /// Parses and verifies a case; diagnostics go to the test's failure.
  Program build(const OpCase &opCase);
  mlir::OwningOpRef<mlir::ModuleOp> parse(const std::string &text);

private:
  mlir::MLIRContext context;
};

/// The operands of a case: the same numbers in every run.
std::vector<Tensor> drawOperands(const OpCase &opCase, Program &program);

inline void PrintTo(const OpCase &opCase, std::ostream *os) {
  *os << "graph." << opCase.text;
}

} // namespace weir::compiler::test

#endif // WEIR_TEST_UNIT_AUTODIFF_OPCASES_H
