// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_COMPILER_SHARDING_CANDIDATES_H
#define WEIR_COMPILER_SHARDING_CANDIDATES_H

#include "compiler/Sharding/LayoutProblem.h"

#include <map>

namespace weir::compiler {

/// A way to run an op on the searched axes.
struct Candidate {
  /// Numbers of layouts in the tables of operands and results.
  llvm::SmallVector<uint16_t, 6> operands;
  llvm::SmallVector<uint16_t, 2> results;
  /// The split program of each searched axis; "" for none.
  llvm::SmallVector<llvm::StringRef, 3> programs;
  double seconds = 0;

  /// Whether nothing is split or partial.
  bool isWhole() const {
    auto zero = [](uint16_t state) { return state == 0; };
    return llvm::all_of(operands, zero) && llvm::all_of(results, zero);
  }
};

/// Derives the candidates of ops and the tables that their layouts are numbers
/// in. Ops first all go through `collect`, then through `make`.
class CandidateMaker {
public:
  CandidateMaker(graph::EntryOp entry, SignatureAnalysis &analysis,
                 const Cluster &cluster, const ProblemOptions &options);

  /// Enumerates the op's n-D signatures.
  void collect(mlir::Operation *op, GivenEntries given);
  /// Makes sure that the given entries are layouts in the value's table.
  void addToAlphabet(mlir::Value value, const GivenEntries &given);
  /// The candidates that no other one can stand in for: running the op by that
  /// one and resharding operands and results costs no less. None: there is no
  /// signature.
  std::vector<Candidate> make(mlir::Operation *op);

  /// Layouts of a value over the searched axes.
  const LayoutTable &tableOf(mlir::Value value);
  /// The same for a value whose reshards are joined with others'.
  const LayoutTable &bucketedTableOf(mlir::Value value);
  /// In which the caller's tensor comes.
  unsigned boundaryState(mlir::Value argument);

  /// The whole layout of operand or result `slot` (operands first): searched
  /// axes from `entries`, others as decided.
  dist::LayoutAttr merge(mlir::Operation *op, unsigned slot,
                         llvm::ArrayRef<dist::AxisLayout> entries) const;
  void setProgramsOf(mlir::Operation *op,
                     llvm::ArrayRef<llvm::StringRef> programs) const;

private:
  /// What is chosen of a searched axis.
  struct AxisChoice {
    const OpSignature *signature; // lives in the analysis
    /// Of the work that the axes before it leave, the part that it divides.
    double divided;
    const OpSignature *operator->() const { return signature; }
    const OpSignature &operator*() const { return *signature; }
  };
  using Choice = llvm::SmallVector<AxisChoice, 3>;
  /// Tensors that share a table.
  struct Kind {
    mlir::RankedTensorType type;
    int64_t frozenDim;
    double fraction;
    std::vector<dist::AxisLayout> alphabet;
    std::unique_ptr<LayoutTable> table, bucketed;
  };

  unsigned kindOf(mlir::Value value);
  void addEntry(unsigned kind, const dist::AxisLayout &entry);
  dist::AxisLayout decided(mlir::Operation *op, unsigned slot,
                           unsigned axis) const;
  void enumerate(
      mlir::Operation *op, unsigned axis, const GivenEntries &given,
      const OpRules *common, Choice &chosen,
      llvm::SmallVectorImpl<llvm::StringRef> &programs,
      llvm::SmallVectorImpl<llvm::SmallVector<dist::AxisLayout, 4>> &known,
      std::vector<Choice> &out);
  bool isUsable(mlir::Operation *op, const OpRules &rules,
                const OpSignature &signature, unsigned axis) const;
  double secondsOf(mlir::Operation *op, const Choice &choice,
                   const Candidate &candidate);
  void prune(mlir::Operation *op, std::vector<Candidate> &candidates);

  graph::EntryOp entry;
  SignatureAnalysis &analysis;
  const Cluster &cluster;
  const ProblemOptions &options;
  dist::MeshAttr mesh;
  CollectiveCost cost;
  DeviceCost device;
  /// Position among the searched axes by mesh axis, or -1.
  llvm::SmallVector<int, 4> searched;
  llvm::DenseMap<mlir::Value, unsigned> kinds;
  std::map<std::tuple<const void *, int64_t, double>, unsigned> kindNumbers;
  std::vector<Kind> kindList;
  llvm::DenseMap<mlir::Operation *, std::vector<Choice>> choices;
};

} // namespace weir::compiler

#endif // WEIR_COMPILER_SHARDING_CANDIDATES_H
