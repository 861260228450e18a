// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_COMPILER_INTERPRETER_EXECUTOR_H
#define WEIR_COMPILER_INTERPRETER_EXECUTOR_H

#include "compiler/Interpreter/Evaluators.h"
#include "dialects/Kernel/Kernel.h"

#include <memory>

namespace weir::compiler {

/// Runs ops one after the other, each on all ranks before the next.
class Executor {
public:
  /// One rank for each of `points`. `symbols` is where kernels are looked up.
  Executor(mlir::Operation *symbols, Precision precision,
           std::vector<MeshPoint> points)
      : symbols(symbols), precision(precision), points(std::move(points)) {}

  /// Runs an entry or program on logical tensors; see `Interpreter::run`. With
  /// `useMemory` arguments are buffers.
  mlir::FailureOr<std::vector<Tensor>>
  runEntry(mlir::Operation *entry, llvm::ArrayRef<Tensor> arguments,
           bool useMemory);

  /// A buffer: memory of one rank. `stamps` holds for every element the number
  /// of the write that it is from, 0 where nothing was written.
  struct Memory {
    ElementKind kind = ElementKind::Float;
    std::vector<double> floats;
    std::vector<int64_t> ints;
    std::vector<uint64_t> stamps;
  };
  /// An SSA value on one rank: a tensor in its extents, a view of memory as it
  /// was after write `stamp`, or neither (a destination that may not be read).
  struct RankValue {
    std::shared_ptr<const Tensor> tensor;
    std::shared_ptr<Memory> memory;
    int64_t offset = 0;
    llvm::SmallVector<int64_t, 6> strides;
    uint64_t stamp = 0;
  };

  void bind(mlir::Value value, std::vector<RankValue> perRank) {
    values[value] = std::move(perRank);
  }
  /// Runs the ops of a block but for its terminator.
  mlir::LogicalResult runBlock(mlir::Block &block);
  /// The value on one rank, compact. Emits on `user` when it was never
  /// computed, or when its memory was not written or has been overwritten
  /// since.
  mlir::FailureOr<std::shared_ptr<const Tensor>>
  read(mlir::Value value, unsigned rank, mlir::Operation *user);

private:
  using Tensors = std::vector<std::shared_ptr<const Tensor>>;

  mlir::LogicalResult runOp(mlir::Operation *op);
  mlir::LogicalResult evaluate(mlir::Operation *op);
  mlir::LogicalResult runLoop(dist::MicroBatchesOp loop);
  mlir::LogicalResult runCollective(mlir::Operation *op);
  mlir::LogicalResult runCollective(mlir::Operation *op, mlir::Value input,
                                    mlir::Value dest, mlir::Value result);
  mlir::LogicalResult runLocalSlice(dist::LocalSliceOp op);
  mlir::LogicalResult runToPartial(dist::PartialOp op);
  mlir::LogicalResult runReshard(dist::ReshardOp op);
  mlir::LogicalResult runSplitProgram(mlir::Operation *op);
  /// The logical tensor that the ranks hold in `layout`; and a result, all of
  /// whose parts are taken from it.
  mlir::FailureOr<Tensor> logicalValue(mlir::Value value,
                                       dist::LayoutAttr layout,
                                       mlir::Operation *user);
  mlir::LogicalResult defineIn(mlir::Value value, dist::LayoutAttr layout,
                               const Tensor &logical, mlir::Operation *user);
  mlir::LogicalResult runCast(mlir::UnrealizedConversionCastOp op);
  mlir::LogicalResult runEmpty(kernel::EmptyOp op);
  mlir::LogicalResult runView(kernel::ViewOp op);
  mlir::LogicalResult runFill(kernel::FillOp op);
  mlir::LogicalResult runLaunch(kernel::LaunchOp op);
  mlir::LogicalResult runContract(kernel::ContractOp op);

  mlir::FailureOr<Tensors> readAll(mlir::Value value, mlir::Operation *user);
  mlir::FailureOr<std::vector<Box>> boxes(mlir::Value value,
                                          mlir::Operation *user);
  mlir::FailureOr<Box> box(mlir::Type type, unsigned rank,
                           mlir::Operation *user);
  void define(mlir::Value value, std::vector<Tensor> perRank);
  /// Stores tensors in the destination's memory and ties the result to it.
  mlir::LogicalResult store(mlir::Value result, mlir::Value dest,
                            std::vector<Tensor> perRank, mlir::Operation *op);
  mlir::LogicalResult store(RankValue &place, const Tensor &tensor,
                            mlir::Operation *op);
  RankValue newBuffer(mlir::RankedTensorType type);
  /// Whether two views share elements, over the shapes of their types.
  static bool overlap(const RankValue &a, const Box &aBox, const RankValue &b,
                      const Box &bBox);
  static bool samePlace(const RankValue &a, const RankValue &b,
                        llvm::ArrayRef<int64_t> shape);
  /// Ranks whose coordinates differ from `rank`'s at most on `axes`, in order.
  llvm::SmallVector<unsigned> groupOf(unsigned rank,
                                      llvm::ArrayRef<int64_t> axes);
  Tensor reduceGroup(const Tensors &inputs, llvm::ArrayRef<unsigned> group,
                     dist::Reduction reduction);
  mlir::FailureOr<Tensor> gatherLogical(llvm::ArrayRef<Box> boxes,
                                        const Tensors &parts,
                                        mlir::Operation *op,
                                        const llvm::Twine &what);

  mlir::Operation *symbols;
  Precision precision;
  std::vector<MeshPoint> points;
  llvm::DenseMap<mlir::Value, std::vector<RankValue>> values;
  uint64_t clock = 0;
};

} // namespace weir::compiler

#endif // WEIR_COMPILER_INTERPRETER_EXECUTOR_H
