// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_DIALECTS_DIST_DIST_H
#define WEIR_DIALECTS_DIST_DIST_H

#include "dialects/Pch.h"
#include "mlir/IR/TensorEncoding.h"

#include "dialects/Dist/DistDialect.h.inc"
#include "dialects/Dist/DistEnums.h.inc"

namespace weir::dist {

/// The layout of a tensor on one mesh axis.
struct AxisLayout {
  enum class Kind { Broadcast, Split, Partial };
  Kind kind = Kind::Broadcast;
  int64_t dim = 0;  // Split: which dimension
  int64_t unit = 1; // Split: elements that stay together, as in S(0, unit=8)
  Reduction reduction = Reduction::Sum; // Partial

  static AxisLayout broadcast() { return {}; }
  static AxisLayout split(int64_t dim, int64_t unit = 1) {
    return {Kind::Split, dim, unit, Reduction::Sum};
  }
  static AxisLayout partial(Reduction reduction = Reduction::Sum) {
    return {Kind::Partial, 0, 1, reduction};
  }
  bool isBroadcast() const { return kind == Kind::Broadcast; }
  bool isSplit() const { return kind == Kind::Split; }
  bool isSplit(int64_t d) const { return kind == Kind::Split && dim == d; }
  bool isPartial() const { return kind == Kind::Partial; }
  bool operator==(const AxisLayout &other) const {
    return kind == other.kind && dim == other.dim && unit == other.unit &&
           reduction == other.reduction;
  }
  bool operator!=(const AxisLayout &other) const { return !(*this == other); }
};
llvm::hash_code hash_value(const AxisLayout &layout);
llvm::raw_ostream &operator<<(llvm::raw_ostream &os, const AxisLayout &layout);

/// One dimension of a shard: its logical size and the mesh axes that split it,
/// in runs of `unit` elements (1 where nothing splits it).
struct ShardDim {
  int64_t size = 0;
  llvm::SmallVector<int64_t, 2> axes;
  int64_t unit = 1;
  /// Not this rank's shard, but that of the coordinate so many places on: of
  /// the coordinates on `axes` as one number, row-major, modulo their product.
  int64_t shift = 0;
  bool operator==(const ShardDim &other) const {
    return size == other.size && axes == other.axes && unit == other.unit &&
           shift == other.shift;
  }
};
llvm::hash_code hash_value(const ShardDim &dim);

/// Elements of the largest shard of `size` elements over `parts` coordinates.
inline int64_t capacityOf(int64_t size, int64_t parts) {
  return (size + parts - 1) / parts;
}

} // namespace weir::dist

#define GET_ATTRDEF_CLASSES
#include "dialects/Dist/DistAttrs.h.inc"

namespace weir::dist {

/// Parses `[S(0), B, P(sum)]` (also from user text); emits through `emitError`
/// and returns null on malformed text.
LayoutAttr
parseLayout(llvm::StringRef text, mlir::MLIRContext *context,
            llvm::function_ref<mlir::InFlightDiagnostic()> emitError);

/// The entries of a layout, `[S(0), B, P(sum)]`, within other text.
mlir::ParseResult parseLayoutEntries(mlir::AsmParser &parser,
                                     LayoutAttr &layout);
void printLayoutEntries(llvm::raw_ostream &os, LayoutAttr layout);

/// Checks that the units of a layout's splits divide the dimensions of `shape`
/// and that the splits of one dimension have one unit.
llvm::LogicalResult
verifyUnits(LayoutAttr layout, llvm::ArrayRef<int64_t> shape,
            llvm::function_ref<mlir::InFlightDiagnostic()> emitError);

/// Elements of the largest shard of a dimension.
int64_t capacityOf(const ShardDim &dim, MeshAttr mesh);

/// What a layout makes of dimension `index` of `size` elements.
ShardDim getShardDim(LayoutAttr layout, int64_t index, int64_t size);

/// The dimension's logical size: from the `#dist.shard` encoding if the type
/// has one, else the static shape.
llvm::SmallVector<int64_t> getLogicalShape(mlir::RankedTensorType type);

/// The local type, with its `#dist.shard` encoding, of a logical tensor type in
/// a layout. A wholly broadcast tensor keeps a type without encoding.
mlir::RankedTensorType getLocalType(mlir::RankedTensorType logical,
                                    LayoutAttr layout, MeshAttr mesh);

/// The type with another encoding (null: none).
mlir::RankedTensorType withEncoding(mlir::RankedTensorType type,
                                    mlir::Attribute encoding);

/// Assembly of one or more tensor types: `T` when all are equal, else
/// `(T1, T2) -> T3`.
mlir::ParseResult parseSameTypes(mlir::OpAsmParser &parser, mlir::Type &input,
                                 mlir::Type &output);
mlir::ParseResult parseSameTypes(mlir::OpAsmParser &parser, mlir::Type &lhs,
                                 mlir::Type &rhs, mlir::Type &output);
void printSameTypes(mlir::OpAsmPrinter &printer, mlir::Operation *op,
                    mlir::Type input, mlir::Type output);
void printSameTypes(mlir::OpAsmPrinter &printer, mlir::Operation *op,
                    mlir::Type lhs, mlir::Type rhs, mlir::Type output);

/// The mesh of a module, or null when it has none (one device).
MeshAttr getMesh(mlir::ModuleOp module);

} // namespace weir::dist

#define GET_OP_CLASSES
#include "dialects/Dist/DistOps.h.inc"

#endif // WEIR_DIALECTS_DIST_DIST_H
