// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_COMPILER_KERNELS_PIECES_H
#define WEIR_COMPILER_KERNELS_PIECES_H

#include "dialects/Graph/Graph.h"

namespace weir::compiler {

/// What a piece keeps of the op that it comes from, until its kernel is formed.
inline constexpr llvm::StringLiteral pieceSiteAttrName = "weir.site";
inline constexpr llvm::StringLiteral pieceOriginAttrName = "weir.origin";
inline constexpr llvm::StringLiteral pieceTaskAttrName = "weir.task";

/// Replaces every `graph` op of the block, and of loops in it, by its pieces.
/// Diagnoses ops that have none.
mlir::LogicalResult expandToPieces(mlir::Block &block);

/// A large reduction that keeps next to nothing becomes one partial result for
/// each row of its operand and the reduction of these: parallel, and in an
/// order that does not depend on the number of threads.
void splitLargeReductions(mlir::Block &block);

/// Whether a piece is a sum of products that the library computes: f32, two
/// operands, loops of their own on both sides.
bool isContraction(mlir::Operation *op);

/// The generic's body has one operation of that type on the arguments, in
/// either order, and yields it.
template <typename OpTy> bool isBinaryBody(kernel::GenericOp op) {
  mlir::Block *body = op.getBodyBlock();
  if (body->getNumArguments() != 2 ||
      !llvm::hasSingleElement(body->without_terminator()))
    return false;
  auto inner = llvm::dyn_cast<OpTy>(body->front());
  if (!inner || body->getTerminator()->getNumOperands() != 1 ||
      body->getTerminator()->getOperand(0) != inner->getResult(0))
    return false;
  return inner->getOperand(0) != inner->getOperand(1) &&
         llvm::all_of(inner->getOperands(), [&](mlir::Value v) {
           return llvm::isa<mlir::BlockArgument>(v);
         });
}

} // namespace weir::compiler

#endif // WEIR_COMPILER_KERNELS_PIECES_H
