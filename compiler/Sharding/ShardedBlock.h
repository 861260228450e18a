// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_COMPILER_SHARDING_SHARDEDBLOCK_H
#define WEIR_COMPILER_SHARDING_SHARDEDBLOCK_H

#include "compiler/Interpreter/Interpreter.h"
#include "compiler/Sharding/SignatureProof.h"

#include <map>

namespace weir::compiler {

/// The values of one tensor on all ranks of a mesh.
using RankTensors = std::vector<Tensor>;

/// A block of ops that is run on shards, op by op on all ranks of a mesh, under
/// any local types that its ops accept. What a split hands out is computed
/// here, apart from the compiler's and the interpreter's own arithmetic.
class ShardedBlock {
public:
  /// What numbers arguments are made of; seeds differ too.
  enum Dataset { Signed, Positive, OtherSigned, Special };

  ShardedBlock(mlir::Block &block, mlir::ValueRange results,
               dist::MeshAttr mesh, const ProofOptions &options,
               Dataset dataset);
  ~ShardedBlock();

  /// Why the unsplit block does not run, or "".
  const std::string &getError() const { return error; }
  size_t getNumRanks() const { return points.size(); }

  /// What the ranks hold of an argument in a layout.
  const RankTensors &getShards(mlir::BlockArgument argument,
                               const AxisLayouts &layouts);

  /// Runs the block on arguments in these layouts, through the ops' expansions
  /// if `byPieces`, for all types of intermediates and results for which the
  /// ops are valid. `wanted` are layouts that the results' types must have, or
  /// empty. Calls `visit` with each result's splits (`B` where its type is
  /// whole) and tensors; stops when that returns true.
  bool run(llvm::ArrayRef<AxisLayouts> arguments,
           llvm::ArrayRef<AxisLayouts> wanted, bool byPieces,
           llvm::function_ref<bool(llvm::ArrayRef<AxisLayouts>,
                                   llvm::ArrayRef<const RankTensors *>)>
               visit);

  /// Why the ranks do not hold `value`, as the ops or their expansions make it,
  /// in this layout, or "".
  std::string compare(mlir::Value value, const RankTensors &have,
                      const AxisLayouts &layouts, bool byPieces = false) const;

  /// All ways to split a tensor by the mesh's only axis, `B` first; the same
  /// shards in two units are one way.
  llvm::SmallVector<AxisLayouts> splitsOf(mlir::RankedTensorType type) const;
  /// The layout in the least unit that gives the same shards.
  dist::AxisLayout canonical(const dist::AxisLayout &layout,
                             mlir::RankedTensorType type) const;

private:
  using Visitor = llvm::function_ref<bool(llvm::ArrayRef<AxisLayouts>,
                                          llvm::ArrayRef<const RankTensors *>)>;

  Tensor makeArgument(mlir::BlockArgument argument, Dataset dataset) const;
  mlir::RankedTensorType localType(mlir::Value value,
                                   const AxisLayouts &layouts) const;
  Tensor shardOf(const Tensor &tensor, const AxisLayouts &layouts,
                 size_t rank) const;
  /// Splits `tensor` into the terms of one axis.
  std::vector<Tensor> termsOf(const Tensor &tensor, dist::Reduction reduction,
                              int64_t parts, uint64_t stream) const;
  /// The op on local types, or null where it does not verify.
  mlir::Operation *getLocal(mlir::Operation *op,
                            llvm::ArrayRef<mlir::Type> operands,
                            llvm::ArrayRef<mlir::Type> results);
  bool runFrom(mlir::Operation *op, llvm::ArrayRef<AxisLayouts> wanted,
               bool byPieces, Visitor visit);
  /// Evaluates an op on `at.size()` places; false where it does not run.
  static bool evaluate(mlir::Operation *local, llvm::ArrayRef<MeshPoint> at,
                       llvm::ArrayRef<const RankTensors *> in, bool byPieces,
                       std::vector<RankTensors> &out);

  mlir::Block &block;
  llvm::SmallVector<mlir::Value> results;
  dist::MeshAttr mesh;
  ProofOptions options;
  std::string error;
  std::vector<MeshPoint> points;
  /// Unsplit values, by the ops and by their expansions, whose constants are
  /// rounded to the element type.
  llvm::DenseMap<mlir::Value, Tensor> whole[2];
  std::map<std::pair<unsigned, std::string>, RankTensors> shards;
  /// Ops on local types, by op and types.
  llvm::StringMap<mlir::Operation *> locals;
  mlir::Region scratch;
  // State of one run: the layout and tensors of every value.
  llvm::DenseMap<mlir::Value, AxisLayouts> layouts;
  llvm::DenseMap<mlir::Value, RankTensors> tensors;
};

} // namespace weir::compiler

#endif // WEIR_COMPILER_SHARDING_SHARDEDBLOCK_H
