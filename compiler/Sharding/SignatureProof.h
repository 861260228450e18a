// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_COMPILER_SHARDING_SIGNATUREPROOF_H
#define WEIR_COMPILER_SHARDING_SIGNATUREPROOF_H

#include "compiler/Sharding/Signatures.h"

#include <functional>
#include <string>
#include <vector>

namespace weir::compiler {

struct ProofOptions {
  /// Coordinates of the mesh axis on which all assignments are tried.
  llvm::SmallVector<int64_t, 2> parts = {2, 3};
  /// More coordinates on which what is derived is run.
  llvm::SmallVector<int64_t, 1> moreParts = {5};
  /// Layouts of the operands that are tried at most. Where there are more, so
  /// many are drawn: neighbours of what is derived, and others.
  int64_t maxAssignments = 2000;
  uint64_t seed = 1;
  /// Integer operands are in [integersFrom, integersTo).
  int64_t integersFrom = 0, integersTo = 5;
  /// Also tries splits in units other than 1.
  bool units = false;
  /// What is derived must hold where there are zeros and NaNs, too. Of a sum's
  /// terms it need not: x / 0 is infinite, the sum of its terms may be NaN.
  bool special = false;
  /// Also looks for sound signatures that are not derived.
  bool findMissing = true;
};

/// One assignment of layouts, and what executing it showed.
struct ProofFinding {
  OpSignature signature;
  int64_t parts = 0;
  std::string reason; // "" where it holds
};

struct ProofReport {
  /// Derived, but shards that are as the operands say give other results.
  std::vector<ProofFinding> incorrect;
  /// Not derived, but holds; once for each number of coordinates.
  std::vector<ProofFinding> missing;
  int64_t derived = 0;     // signatures run, on all numbers of coordinates
  int64_t assignments = 0; // layouts of operands tried, likewise
  bool sampled = false;    // not all assignments were tried
  std::string error;       // the unsplit op does not run
};

/// `B,S1->P`, `S1/8->S1` (in units of 8), `P(max)->P(max)`.
std::string shortText(const dist::AxisLayout &layout);
std::string shortText(const OpSignature &signature);

/// Judges signatures by execution: the ops of `block` (graph ops and structured
/// pieces, on logical types) are run by the interpreter on shards of small
/// numbers, and what the coordinates hold together is compared with what the
/// unsplit block gives. Terms of sums are arbitrary numbers that add up; terms
/// of extrema lie anywhere beyond. A block of several ops runs under any types
/// of its intermediates.
///
/// `derived` is on trial: each must hold on all `parts` and `moreParts` that it
/// allows, once by the ops' own meaning and once by their expansions.
/// Every other assignment of `B`, `S(i)` and `P` must fail on each of `parts`,
/// or is reported as missing. A layout that is weaker than one which holds as
/// well (extrema of equal values) does not count.
ProofReport proveSignatures(mlir::Block &block, mlir::ValueRange results,
                            llvm::ArrayRef<OpSignature> derived,
                            const ProofOptions &options = {});
/// The same for one op and what is derived for it.
ProofReport proveSignatures(mlir::Operation *op,
                            const ProofOptions &options = {});

/// Layouts of one value, one for each mesh axis.
using AxisLayouts = llvm::SmallVector<dist::AxisLayout, 4>;

/// Runs the block on the ranks of `mesh` with these layouts on its axes.
/// Returns why the results are not as stated, or "".
std::string executeSignature(mlir::Block &block, mlir::ValueRange results,
                             dist::MeshAttr mesh,
                             llvm::ArrayRef<AxisLayouts> operandLayouts,
                             llvm::ArrayRef<AxisLayouts> resultLayouts,
                             const ProofOptions &options = {});

/// All signatures of the block's one op on the axes of `mesh`, axis by axis on
/// the types that the axes before leave, in the order of derivation.
/// `visit` gets the layouts of operands, then results.
void forEachSignature(
    mlir::Operation *op, dist::MeshAttr mesh, SignatureAnalysis &analysis,
    llvm::function_ref<bool(const OpSignature &, int64_t axis)> wanted,
    llvm::function_ref<void(llvm::ArrayRef<AxisLayouts> operands,
                            llvm::ArrayRef<AxisLayouts> results)>
        visit);

} // namespace weir::compiler

#endif // WEIR_COMPILER_SHARDING_SIGNATUREPROOF_H
