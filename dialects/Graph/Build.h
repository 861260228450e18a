// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_DIALECTS_GRAPH_BUILD_H
#define WEIR_DIALECTS_GRAPH_BUILD_H

#include "dialects/Graph/Graph.h"

namespace weir::graph {

/// Builds `graph` ops at one place and location, with the result types that
/// follow from the operands. Logical types only (no encodings).
class Build {
public:
  using Value = mlir::Value;

  Build(mlir::OpBuilder &builder, mlir::Location loc)
      : builder(builder), loc(loc) {}

  static mlir::RankedTensorType typeOf(Value value) {
    return llvm::cast<mlir::RankedTensorType>(value.getType());
  }
  static int64_t rankOf(Value value) { return typeOf(value).getRank(); }
  static bool isFloat(Value value) {
    return llvm::isa<mlir::FloatType>(typeOf(value).getElementType());
  }

  /// A tensor of `type` with `value` everywhere.
  Value splat(mlir::RankedTensorType type, double value) {
    mlir::Type element = type.getElementType();
    mlir::Attribute scalar;
    if (llvm::isa<mlir::FloatType>(element))
      scalar = builder.getFloatAttr(element, value);
    else
      scalar = builder.getIntegerAttr(element, static_cast<int64_t>(value));
    return ConstantOp::create(builder, loc, type,
                              mlir::DenseElementsAttr::get(type, scalar));
  }
  Value splatLike(Value like, double value) {
    return splat(typeOf(like), value);
  }

  template <typename OpTy> Value unary(Value a) {
    return OpTy::create(builder, loc, a.getType(), a);
  }
  template <typename OpTy> Value binary(Value a, Value b) {
    return OpTy::create(builder, loc, a.getType(), a, b);
  }
  Value neg(Value a) { return unary<NegOp>(a); }
  Value exp(Value a) { return unary<ExpOp>(a); }
  Value log(Value a) { return unary<LogOp>(a); }
  Value sqrt(Value a) { return unary<SqrtOp>(a); }
  Value tanh(Value a) { return unary<TanhOp>(a); }
  Value erf(Value a) { return unary<ErfOp>(a); }
  Value sin(Value a) { return unary<SinOp>(a); }
  Value cos(Value a) { return unary<CosOp>(a); }
  Value abs(Value a) { return unary<AbsOp>(a); }
  Value sigmoid(Value a) { return unary<SigmoidOp>(a); }
  Value add(Value a, Value b) { return binary<AddOp>(a, b); }
  Value sub(Value a, Value b) { return binary<SubOp>(a, b); }
  Value mul(Value a, Value b) { return binary<MulOp>(a, b); }
  Value div(Value a, Value b) { return binary<DivOp>(a, b); }
  Value min(Value a, Value b) { return binary<MinOp>(a, b); }
  Value pow(Value a, Value b) { return binary<PowOp>(a, b); }
  Value add(Value a, double b) { return add(a, splatLike(a, b)); }
  Value sub(double a, Value b) { return sub(splatLike(b, a), b); }
  Value mul(Value a, double b) { return mul(a, splatLike(a, b)); }

  Value compare(Predicate predicate, Value a, Value b) {
    auto type = typeOf(a).clone(builder.getI1Type());
    return CompareOp::create(builder, loc, type, predicate, a, b);
  }
  Value compare(Predicate predicate, Value a, double b) {
    return compare(predicate, a, splatLike(a, b));
  }
  Value select(Value condition, Value a, Value b) {
    return SelectOp::create(builder, loc, a.getType(), condition, a, b);
  }
  /// `condition ? a : 0`.
  Value keep(Value condition, Value a) {
    return select(condition, a, splatLike(a, 0));
  }
  /// `condition ? 0 : a`.
  Value drop(Value condition, Value a) {
    return select(condition, splatLike(a, 0), a);
  }
  /// The same shape with another element type.
  Value cast(Value a, mlir::Type element) {
    if (typeOf(a).getElementType() == element)
      return a;
    return CastOp::create(builder, loc, typeOf(a).clone(element), a);
  }

  /// Repeats `a` to `shape`; dim `i` of `a` becomes dim `dims[i]`.
  Value broadcast(Value a, llvm::ArrayRef<int64_t> shape,
                  llvm::ArrayRef<int64_t> dims) {
    if (typeOf(a).getShape() == shape)
      return a;
    return BroadcastOp::create(builder, loc, typeOf(a).clone(shape), a, dims);
  }
  /// Repeats `a`, which lacks the dims `missing` of `like`, along them.
  Value broadcastMissing(Value a, Value like, llvm::ArrayRef<int64_t> missing) {
    return broadcast(a, typeOf(like).getShape(),
                     otherDims(rankOf(like), missing));
  }
  /// Repeats a tensor that lacks the last dim of `like` along it.
  Value broadcastRows(Value a, Value like) {
    return broadcastMissing(a, like, {rankOf(like) - 1});
  }
  /// Repeats a tensor of the last dim of `like` along the others.
  Value broadcastLast(Value a, Value like) {
    return broadcast(a, typeOf(like).getShape(), {rankOf(like) - 1});
  }

  Value reduce(ReductionKind kind, Value a, llvm::ArrayRef<int64_t> dims) {
    if (dims.empty())
      return a;
    llvm::SmallVector<int64_t> shape;
    for (int64_t dim : otherDims(rankOf(a), dims))
      shape.push_back(typeOf(a).getDimSize(dim));
    return ReduceOp::create(builder, loc, typeOf(a).clone(shape), kind, a,
                            dims);
  }
  Value sum(Value a, llvm::ArrayRef<int64_t> dims) {
    return reduce(ReductionKind::Sum, a, dims);
  }
  /// Sum over all dims: rank 0.
  Value sumAll(Value a) { return sum(a, allDims(rankOf(a))); }
  /// Sum over the last dim.
  Value sumLast(Value a) { return sum(a, {rankOf(a) - 1}); }
  /// Sum over all dims but the last.
  Value sumLeading(Value a) { return sum(a, allDims(rankOf(a) - 1)); }

  Value reshape(Value a, llvm::ArrayRef<int64_t> shape) {
    if (typeOf(a).getShape() == shape)
      return a;
    return ReshapeOp::create(builder, loc, typeOf(a).clone(shape), a);
  }
  Value transpose(Value a, llvm::ArrayRef<int64_t> permutation) {
    if (llvm::equal(permutation, allDims(rankOf(a))))
      return a;
    llvm::SmallVector<int64_t> shape;
    for (int64_t dim : permutation)
      shape.push_back(typeOf(a).getDimSize(dim));
    return TransposeOp::create(builder, loc, typeOf(a).clone(shape), a,
                               permutation);
  }
  Value slice(Value a, llvm::ArrayRef<int64_t> offsets,
              llvm::ArrayRef<int64_t> shape) {
    if (typeOf(a).getShape() == shape)
      return a;
    return SliceOp::create(builder, loc, typeOf(a).clone(shape), a, offsets);
  }
  Value concat(mlir::ValueRange parts, int64_t dim) {
    if (parts.size() == 1)
      return parts[0];
    llvm::SmallVector<int64_t> shape(typeOf(parts[0]).getShape());
    shape[dim] = 0;
    for (Value part : parts)
      shape[dim] += typeOf(part).getDimSize(dim);
    return ConcatOp::create(builder, loc, typeOf(parts[0]).clone(shape), parts,
                            dim);
  }

  /// The dims of a tensor of `rank` that `dims` lacks, in order.
  static llvm::SmallVector<int64_t> otherDims(int64_t rank,
                                              llvm::ArrayRef<int64_t> dims) {
    llvm::SmallVector<int64_t> others;
    for (int64_t i = 0; i < rank; ++i)
      if (!llvm::is_contained(dims, i))
        others.push_back(i);
    return others;
  }
  static llvm::SmallVector<int64_t> allDims(int64_t rank) {
    return llvm::to_vector(llvm::seq<int64_t>(0, rank));
  }

  mlir::OpBuilder &builder;
  mlir::Location loc;
};

} // namespace weir::graph

#endif // WEIR_DIALECTS_GRAPH_BUILD_H
