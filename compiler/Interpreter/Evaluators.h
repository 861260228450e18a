// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_COMPILER_INTERPRETER_EVALUATORS_H
#define WEIR_COMPILER_INTERPRETER_EVALUATORS_H

#include "compiler/Interpreter/Tensor.h"

namespace weir::compiler {

/// What an evaluator is told of one op on one rank: its operands, compact (the
/// shape of each is the extents of its box), and what its operand and result
/// types mean at the rank's place in the mesh.
struct OpInputs {
  mlir::Operation *op = nullptr;
  Precision precision = Precision::F64;
  llvm::ArrayRef<const Tensor *> operands;
  llvm::ArrayRef<Box> operandBoxes;
  llvm::ArrayRef<Box> resultBoxes;
};

/// Evaluates one compute op of the `graph` dialect, by the formula in its
/// documentation and never through `expand`. Emits on the op when operands do
/// not fit each other or the op is unknown.
mlir::LogicalResult evaluateGraphOp(const OpInputs &inputs,
                                    llvm::SmallVectorImpl<Tensor> &results);

/// Evaluates one structured piece of the `kernel` dialect (`generic`, `gather`,
/// `scatter_add`, `take`, `put_add`, `scan`, `sort`, `reshape`, `transpose`,
/// `slice`, `concat`, `constant`).
/// Shares no code with `evaluateGraphOp` beyond `Tensor`, so that the two check
/// each other.
mlir::LogicalResult evaluatePiece(const OpInputs &inputs,
                                  llvm::SmallVectorImpl<Tensor> &results);

/// Part of `evaluateGraphOp`: ops that read by index (padding, scans, order,
/// windows, convolutions, pools).
mlir::LogicalResult
evaluateIndexedGraphOp(const OpInputs &inputs,
                       llvm::SmallVectorImpl<Tensor> &results);

/// Part of `evaluatePiece`: `take`, `put_add`, `scan`, `sort`.
mlir::LogicalResult
evaluateIndexedPiece(const OpInputs &inputs,
                     llvm::SmallVectorImpl<Tensor> &results);

/// Whether `evaluatePiece` knows the op.
bool isPiece(mlir::Operation *op);

/// The elements of a constant in the box of its type: a splat on any shard,
/// other values where the type is whole or carries a `#dist.layout`.
mlir::FailureOr<Tensor> constantTensor(mlir::Operation *op,
                                       mlir::Attribute value, const Box &box,
                                       Precision precision);

} // namespace weir::compiler

#endif // WEIR_COMPILER_INTERPRETER_EVALUATORS_H
