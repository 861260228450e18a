// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_COMPILER_SHARDING_LAYOUTS_H
#define WEIR_COMPILER_SHARDING_LAYOUTS_H

#include "dialects/Graph/Graph.h"

/// What the passes of the plan and shard phases share.
namespace weir::compiler {

/// The tensor type without its encoding (logical types have none).
mlir::RankedTensorType withoutEncoding(mlir::Type type);

/// The logical type in a layout: `#dist.layout` as encoding.
mlir::RankedTensorType withLayout(mlir::Type type, dist::LayoutAttr layout);

/// The `#dist.layout` that a value's type carries, or null.
dist::LayoutAttr layoutOf(mlir::Value value);

/// The local type of a type that carries a `#dist.layout`.
mlir::RankedTensorType localTypeOf(mlir::Type type, dist::MeshAttr mesh);

/// The type that the mesh axes before `axis` leave of a tensor in a layout:
/// what the rules of an op on that axis are derived on.
mlir::RankedTensorType localTypeBefore(mlir::Type type,
                                       llvm::ArrayRef<dist::AxisLayout> layout,
                                       unsigned axis, dist::MeshAttr mesh);

/// The elements as a value of another type of equal element type: a splat in
/// any shape, other elements in a type of the same shape.
mlir::TypedAttr retypeElements(mlir::TypedAttr value,
                               mlir::RankedTensorType type);

/// Bytes of a tensor of the type's shape.
double bytesOf(mlir::Type type);

/// How diagnostics call an op: the name of its location or its site, if any,
/// and its name: `'h.0.attn' (graph.matmul)`.
std::string describe(mlir::Operation *op);
/// The name in an op's location, or else its site, or else "".
llvm::StringRef nameOf(mlir::Operation *op);

/// Sets a function type's inputs and results from block and terminator.
void updateEntryType(graph::EntryOp entry);

} // namespace weir::compiler

#endif // WEIR_COMPILER_SHARDING_LAYOUTS_H
