// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_COMPILER_SHARDING_LAYOUTPROBLEM_H
#define WEIR_COMPILER_SHARDING_LAYOUTPROBLEM_H

#include "compiler/Planner/LayoutSearch.h"
#include "compiler/Sharding/LayoutTable.h"
#include "compiler/Sharding/Signatures.h"

#include <memory>
#include <optional>
#include <string>

namespace weir::compiler {

/// A layout that the user wants on one axis, and where that is said.
struct GivenEntry {
  dist::AxisLayout layout;
  std::string source;
};
using GivenEntries = llvm::SmallVector<std::optional<GivenEntry>, 4>;

/// What a problem is made from, beside the entry.
struct ProblemOptions {
  dist::MeshAttr mesh;
  /// The axes to decide, ascending, none in time.
  llvm::SmallVector<int64_t, 4> axes;
  /// By operation: what the user wants of its first result, an entry for each
  /// mesh axis. Ops that are not there are free.
  llvm::DenseMap<mlir::Operation *, GivenEntries> givenOps;
  /// By variable, likewise.
  llvm::StringMap<GivenEntries> givenVariables;
  /// Layouts in which the caller's tensors come to the ops; others are whole.
  llvm::DenseMap<mlir::Value, dist::LayoutAttr> givenArguments;
  /// By variable, the layout of which the axes that are not searched hold.
  llvm::StringMap<dist::LayoutAttr> decidedVariables;
  /// Entries of fewer ops are not folded.
  unsigned foldAbove = 256;
};

/// What a search came to.
struct ProblemReport {
  unsigned ops = 0, classes = 0, nodes = 0, candidates = 0, coreNodes = 0;
  double seconds = 0; // of a step: the objective
  double bound = 0;
  double bytes = 0; // of variables and gradients on a device
  double gap() const {
    return seconds > bound ? (seconds - bound) / seconds : 0;
  }
};

/// The layouts of one entry as a cost graph (docs/design/layout-search.md).
///
/// In: an entry whose ops carry the signatures of the axes that are not
/// searched, in `dist.signature`, or none at all.
class LayoutProblem {
public:
  LayoutProblem(graph::EntryOp entry, SignatureAnalysis &analysis,
                const Cluster &cluster, const ProblemOptions &options);
  ~LayoutProblem();

  /// Derives candidates and makes the graph. Fails, with diagnostics, where
  /// what the user wants cannot be.
  mlir::LogicalResult build();

  /// Finds labels such that variables and gradients take at most `memory`
  /// bytes a device (0: no limit). Fails, with diagnostics, where they cannot.
  mlir::LogicalResult solve(double memory, const SearchOptions &options = {});

  const ProblemReport &getReport() const;

  /// Of a variable, entries for the searched axes; none: not in this entry.
  std::optional<llvm::SmallVector<dist::AxisLayout, 4>>
  variableLayout(llvm::StringRef name) const;

  /// Writes `dist.signature` and `dist.programs`: searched axes as found,
  /// others as they were.
  void write();

private:
  class Impl;
  std::unique_ptr<Impl> impl;
};

/// Classes of ops that repeat: the number of each op's class, ascending by
/// first member. Runs of a sequence of ops that repeat with some period are
/// found, and ops at one place of the period are one class. `hashes`: equal for
/// ops that are interchangeable by themselves. Linear.
std::vector<unsigned> foldRepeats(const std::vector<uint64_t> &hashes);

} // namespace weir::compiler

#endif // WEIR_COMPILER_SHARDING_LAYOUTPROBLEM_H
