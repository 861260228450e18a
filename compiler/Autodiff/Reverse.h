// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_COMPILER_AUTODIFF_REVERSE_H
#define WEIR_COMPILER_AUTODIFF_REVERSE_H

#include "dialects/Graph/Graph.h"

namespace weir::compiler {

/// Reverse-mode differentiation of straight-line `graph` code.
///
/// Emits, at the builder's insertion point, the gradient of `output` with
/// respect to each of `wanted`, given `seed`, the gradient of `output` itself
/// (of its type). All values are of one block; the insertion point is behind
/// `output`. On success `gradients` has one value for each of `wanted`, of its
/// type, null where `output` does not depend on it.
///
/// Only ops between `wanted` and `output` are followed. Contributions to a
/// value are summed in the order in which its users are met backwards, so that
/// the result is a function of the program alone; slices that tile a value
/// become one concatenation. Work is linear in ops and uses.
///
/// The ops have the location `NAME/gradient`, NAME that of the forward op.
/// Fails, with the error emitted at the op in the way, where an op cannot be
/// differentiated.
llvm::LogicalResult
buildGradients(mlir::OpBuilder &builder, mlir::Value output, mlir::Value seed,
               mlir::ArrayRef<mlir::Value> wanted,
               llvm::SmallVectorImpl<mlir::Value> &gradients);

/// A location named like `loc` (or, where that has no name, like its op) with
/// `/suffix` appended.
mlir::Location derivedLoc(mlir::Location loc, llvm::StringRef suffix);

} // namespace weir::compiler

#endif // WEIR_COMPILER_AUTODIFF_REVERSE_H
