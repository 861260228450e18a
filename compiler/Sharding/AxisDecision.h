// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_COMPILER_SHARDING_AXISDECISION_H
#define WEIR_COMPILER_SHARDING_AXISDECISION_H

#include "compiler/Sharding/SplitPrograms.h"
#include "compiler/Sharding/Strategies.h"

#include <vector>

namespace weir::compiler {

/// One entry and the layouts decided for it so far.
class EntryLayouts {
public:
  EntryLayouts(graph::EntryOp entry, unsigned numAxes)
      : entry(entry), numAxes(numAxes) {
    mlir::Block &block = entry.getBody().front();
    for (mlir::Operation &op : block.without_terminator()) {
      index[&op] = ops.size();
      first.push_back(flat.size());
      flat.resize(flat.size() +
                  (op.getNumOperands() + op.getNumResults()) * numAxes);
      ops.push_back(&op);
    }
    programs.resize(ops.size() * numAxes);
    arguments.resize(block.getNumArguments() * numAxes);
    required.resize(block.getTerminator()->getNumOperands() * numAxes);
  }

  llvm::MutableArrayRef<dist::AxisLayout> operand(unsigned op, unsigned i) {
    return llvm::MutableArrayRef(flat).slice(first[op] + i * numAxes, numAxes);
  }
  llvm::MutableArrayRef<dist::AxisLayout> result(unsigned op, unsigned i) {
    return operand(op, ops[op]->getNumOperands() + i);
  }
  /// The split programs of an op, one for each mesh axis, "" for none.
  llvm::MutableArrayRef<llvm::StringRef> programsOf(unsigned op) {
    return llvm::MutableArrayRef(programs).slice(op * numAxes, numAxes);
  }
  llvm::MutableArrayRef<dist::AxisLayout> argument(unsigned i) {
    return llvm::MutableArrayRef(arguments).slice(i * numAxes, numAxes);
  }
  llvm::MutableArrayRef<dist::AxisLayout> returned(unsigned i) {
    return llvm::MutableArrayRef(required).slice(i * numAxes, numAxes);
  }
  /// The layout that a value's producer gives it.
  llvm::ArrayRef<dist::AxisLayout> produced(mlir::Value value) {
    if (auto argument = llvm::dyn_cast<mlir::BlockArgument>(value))
      return this->argument(argument.getArgNumber());
    return result(index.lookup(value.getDefiningOp()),
                  llvm::cast<mlir::OpResult>(value).getResultNumber());
  }
  void resetAxis(unsigned axis) {
    for (size_t i = axis; i < flat.size(); i += numAxes)
      flat[i] = dist::AxisLayout::broadcast();
    for (size_t i = axis; i < programs.size(); i += numAxes)
      programs[i] = "";
  }

  graph::EntryOp entry;
  unsigned numAxes;
  std::vector<mlir::Operation *> ops;
  llvm::DenseMap<mlir::Operation *, unsigned> index;
  std::vector<size_t> first;
  std::vector<dist::AxisLayout> flat, arguments, required;
  std::vector<llvm::StringRef> programs;
  /// Layout that the user wants of an argument right after the boundary.
  llvm::DenseMap<unsigned, dist::LayoutAttr> entryLayouts;
  /// Layout that a value will have to end in, from the updates that read it.
  llvm::DenseMap<mlir::Value, llvm::ArrayRef<dist::AxisLayout>> hints;
  /// Dim that a first decision splits; see `AxisOptions::preliminary`.
  llvm::DenseMap<mlir::Value, int64_t> timeSplit;
  bool updates = false;
  bool microBatched = false;
};

/// What an axis makes of attention and its gradient.
enum class AttentionRule {
  Any,
  /// Heads are split: key-value heads, or where these are too few the query
  /// heads of each.
  Heads,
  /// Queries are split by position, keys and values whole.
  Queries,
  /// The split program in which keys and values go round.
  Ring
};

/// What is asked of `decideAxis`.
struct AxisOptions {
  unsigned axis = 0;
  /// As if there were no other axes; nothing but `splits` is kept: the dim of
  /// each value that the decision splits.
  bool preliminary = false;
  llvm::DenseMap<mlir::Value, int64_t> *splits = nullptr;
  /// The dim of the caller's tensors that is split as they enter, or -1.
  int64_t inputDim = -1;
  /// What moving a variable costs, as a multiple of moving another value.
  double variableFactor = 1;
  AttentionRule attention = AttentionRule::Any;
  /// The loss and its gradient work on split classes.
  bool splitClasses = false;
  /// The dim of each value that runs along sequences: splitting it anew is not
  /// held against a signature. Null: none is known.
  const llvm::DenseMap<mlir::Value, int64_t> *sequenceDims = nullptr;
  llvm::ArrayRef<NamedLayout> layouts;
  bool emitErrors = true;
};

/// Gives every op of the entry the signature of least cost on one axis, in
/// program order; the layouts of the axes before it are decided.
mlir::LogicalResult decideAxis(EntryLayouts &layouts,
                               SignatureAnalysis &analysis, dist::MeshAttr mesh,
                               const AxisOptions &options);

} // namespace weir::compiler

#endif // WEIR_COMPILER_SHARDING_AXISDECISION_H
