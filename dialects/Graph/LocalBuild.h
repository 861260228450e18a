// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_DIALECTS_GRAPH_LOCALBUILD_H
#define WEIR_DIALECTS_GRAPH_LOCALBUILD_H

#include "dialects/Graph/Build.h"

/// What split programs are built with: ops on local types and collectives. For
/// the sources that implement SplitProgramOpInterface.
namespace weir::graph {

using dist::Reduction;
using mlir::ArrayRef, mlir::Attribute, mlir::Location, mlir::OpBuilder,
    mlir::RankedTensorType, mlir::SmallVector, mlir::Type, mlir::Value;

/// The type without some dimensions, or with another element type; shards stay
/// shards.
inline RankedTensorType tensorOf(Type element, ArrayRef<int64_t> shape,
                                 ArrayRef<dist::ShardDim> shards) {
  Attribute encoding;
  if (llvm::any_of(shards,
                   [](const dist::ShardDim &dim) { return !dim.axes.empty(); }))
    encoding = dist::ShardAttr::get(element.getContext(), shards);
  return RankedTensorType::get(shape, element, encoding);
}

inline SmallVector<dist::ShardDim> shardsOf(RankedTensorType type) {
  if (auto shard =
          llvm::dyn_cast_if_present<dist::ShardAttr>(type.getEncoding()))
    return SmallVector<dist::ShardDim>(shard.getDims());
  return llvm::map_to_vector(type.getShape(), [](int64_t size) {
    dist::ShardDim dim;
    dim.size = size;
    return dim;
  });
}

/// The type of the dimensions `dims` of `type`, in that order.
inline RankedTensorType selectDims(RankedTensorType type,
                                   ArrayRef<int64_t> dims) {
  SmallVector<dist::ShardDim> shards = shardsOf(type), kept;
  SmallVector<int64_t> shape;
  for (int64_t dim : dims) {
    shape.push_back(type.getDimSize(dim));
    kept.push_back(shards[dim]);
  }
  return tensorOf(type.getElementType(), shape, kept);
}

inline double bytesOf(Type type) {
  auto tensor = llvm::cast<RankedTensorType>(type);
  return static_cast<double>(tensor.getNumElements()) *
         ((tensor.getElementTypeBitWidth() + 7) / 8);
}

/// Builds local ops and collectives over `axes`.
class LocalBuild : public Build {
public:
  LocalBuild(OpBuilder &builder, Location loc, ArrayRef<int64_t> axes)
      : Build(builder, loc), axes(axes) {}

  RankedTensorType rowType(Value value) {
    return selectDims(typeOf(value), allDims(rankOf(value) - 1));
  }
  Value reduceLast(ReductionKind kind, Value value) {
    return ReduceOp::create(builder, loc, rowType(value), kind, value,
                            ArrayRef<int64_t>{rankOf(value) - 1});
  }
  /// Repeats a tensor along the dimensions of `like` that are not in `dims`.
  Value repeat(Value value, Value like, ArrayRef<int64_t> dims) {
    auto type = llvm::cast<RankedTensorType>(
        typeOf(like).clone(typeOf(value).getElementType()));
    return BroadcastOp::create(builder, loc, type, value, dims);
  }
  Value repeatRows(Value value, Value like) {
    return repeat(value, like, allDims(rankOf(like) - 1));
  }
  Value repeatLast(Value value, Value like) {
    return repeat(value, like, {rankOf(like) - 1});
  }
  Value allReduce(Value value, Reduction reduction) {
    return dist::AllReduceOp::create(builder, loc, value.getType(), value,
                                     Value(), axes, reduction)
        .getOutput();
  }
  /// 1 / sqrt(value + epsilon). A constant of the element type is not quite
  /// epsilon; what it lacks is added too, which is nothing in that type's
  /// arithmetic but makes the program the op's equal in a wider one.
  Value rsqrtOf(Value value, double epsilon) {
    llvm::APFloat rounded(epsilon);
    bool inexact = false;
    rounded.convert(llvm::cast<mlir::FloatType>(typeOf(value).getElementType())
                        .getFloatSemantics(),
                    llvm::APFloat::rmNearestTiesToEven, &inexact);
    Value sum = add(value, epsilon);
    if (inexact)
      sum = add(sum, epsilon - rounded.convertToDouble());
    return unary<RsqrtOp>(sum);
  }
  Value divide(Value value, double by) {
    return div(value, splatLike(value, by));
  }

  ArrayRef<int64_t> axes;
};

/// The number of coordinates of `axes` together.
inline int64_t coordinatesOf(ArrayRef<int64_t> axes, dist::MeshAttr mesh) {
  int64_t length = 1;
  for (int64_t axis : axes)
    length *= mesh.getSizes()[axis];
  return length;
}

/// A value that travels along a ring: after `step` exchanges every rank holds
/// the shard of the coordinate `step` places on.
class Traveller {
public:
  /// `dim` is split over the axes of the ring alone, or the program would need
  /// the shards of other ranks.
  Traveller(LocalBuild &b, Value value, int64_t dim)
      : b(b), value(value), dim(dim), type(Build::typeOf(value)) {}

  RankedTensorType typeAt(int64_t step) const {
    SmallVector<dist::ShardDim> shards = shardsOf(type);
    shards[dim].shift = step;
    return tensorOf(type.getElementType(), type.getShape(), shards);
  }
  /// Brings the shard of the next coordinate.
  void moveTo(int64_t step) {
    value = dist::ExchangeOp::create(b.builder, b.loc, typeAt(step), value,
                                     Value(), b.axes)
                .getOutput();
  }

  LocalBuild &b;
  Value value;
  int64_t dim;
  RankedTensorType type;
};

} // namespace weir::graph

#endif // WEIR_DIALECTS_GRAPH_LOCALBUILD_H
