// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_COMPILER_KERNELS_KERNELSCALARS_H
#define WEIR_COMPILER_KERNELS_KERNELSCALARS_H

#include "dialects/Kernel/Kernel.h"

namespace weir::compiler {

/// Attribute of `kernel.func`: the run-time scalars its code takes, in order,
/// an array of `array<i64: size, unit, shift, axes..., kind>`, `kind` as in
/// `plan::ScalarExpr` (1 extent, 2 offset of `size` elements split over
/// `axes` in runs of `unit`, `shift` places on); 0: number `size` of the
/// launch's `site_keys`.
inline constexpr llvm::StringLiteral scalarsAttrName = "scalars";

/// Attribute of a `kernel.launch`, `array<i64>`: the site keys of the random
/// numbers that its kernel draws. A `kernel.random` with the unit attribute
/// `of_launch` has the number of its key there in place of the key, so that
/// kernels that differ in nothing else are one.
inline constexpr llvm::StringLiteral siteKeysAttrName = "site_keys";
inline constexpr llvm::StringLiteral ofLaunchAttrName = "of_launch";

enum class ScalarKind { Constant = 0, Extent = 1, Offset = 2 };

/// A dimension of a local type: `capacity` elements in memory, of which those
/// of the shard `dim` hold data.
struct LocalDim {
  int64_t capacity = 1;
  dist::ShardDim dim;
  bool isSplit() const { return !dim.axes.empty(); }
  bool operator==(const LocalDim &other) const {
    return capacity == other.capacity && dim == other.dim;
  }
};
LocalDim getLocalDim(mlir::RankedTensorType type, int64_t dim);
/// The dim that a loop of a generic runs over.
LocalDim getLoopDim(kernel::GenericOp op, unsigned loop);

/// The scalar of `dist.to_partial` over `axes`: the group coordinate, as the
/// offset of one element a coordinate. Null when the module has no mesh.
mlir::DenseI64ArrayAttr getCoordinateScalar(mlir::MLIRContext *context,
                                            llvm::ArrayRef<int64_t> axes,
                                            dist::MeshAttr mesh);
mlir::DenseI64ArrayAttr getScalar(mlir::MLIRContext *context,
                                  const dist::ShardDim &dim, ScalarKind kind);
/// The scalar of a `kernel.random` that is `of_launch`.
mlir::DenseI64ArrayAttr getSiteKeyScalar(kernel::RandomOp op);

/// Whether a piece is a kernel of its own, whose operands and results are in
/// memory: its elements depend on each other's order, or are found by index
/// along any dimension.
bool isLonePiece(mlir::Operation *op);
/// The lone piece that `func` consists of, or null.
mlir::Operation *getLonePiece(kernel::FuncOp func);

/// All scalars that code for `func` may ask for, each once, in order of first
/// use in the body.
mlir::ArrayAttr computeKernelScalars(kernel::FuncOp func, dist::MeshAttr mesh);

} // namespace weir::compiler

#endif // WEIR_COMPILER_KERNELS_KERNELSCALARS_H
