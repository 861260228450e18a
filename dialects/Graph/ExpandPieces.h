// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_DIALECTS_GRAPH_EXPANDPIECES_H
#define WEIR_DIALECTS_GRAPH_EXPANDPIECES_H

#include "dialects/Graph/Graph.h"

/// What expansions of `graph` ops into pieces of the `kernel` dialect are
/// written with. For the files that define `expand` alone.
namespace weir::graph::expansion {

using namespace mlir;
using kernel::Combiner;

//===----------------------------------------------------------------------===//
// Types of intermediates
//===----------------------------------------------------------------------===//

/// A dimension of a tensor type: its size here (the capacity of a shard) and
/// what it is a shard of.
struct Dim {
  int64_t capacity;
  dist::ShardDim shard;

  static Dim whole(int64_t size) { return {size, {size, {}}}; }
};

inline Dim dimOf(Type type, unsigned dim) {
  auto tensor = cast<RankedTensorType>(type);
  if (auto shard = dyn_cast_or_null<dist::ShardAttr>(tensor.getEncoding()))
    return {tensor.getDimSize(dim), shard.getDims()[dim]};
  return Dim::whole(tensor.getDimSize(dim));
}
inline Dim dimOf(Value value, unsigned dim) {
  return dimOf(value.getType(), dim);
}

inline SmallVector<Dim> dimsOf(Type type) {
  SmallVector<Dim> dims;
  for (int64_t i = 0, e = cast<RankedTensorType>(type).getRank(); i < e; ++i)
    dims.push_back(dimOf(type, i));
  return dims;
}

/// The type of an intermediate whose dims come from operands' dims: shards stay
/// shards, and a type without a split dim has no encoding.
inline RankedTensorType tensorOf(Type elementType, ArrayRef<Dim> dims) {
  SmallVector<int64_t> shape;
  SmallVector<dist::ShardDim> shards;
  bool split = false;
  for (const Dim &dim : dims) {
    shape.push_back(dim.capacity);
    shards.push_back(dim.shard);
    split |= !dim.shard.axes.empty();
  }
  Attribute encoding;
  if (split)
    encoding = dist::ShardAttr::get(elementType.getContext(), shards);
  return RankedTensorType::get(shape, elementType, encoding);
}

inline RankedTensorType typeOf(Value value) {
  return cast<RankedTensorType>(value.getType());
}

inline int64_t logicalSize(Value value, unsigned dim) {
  return dimOf(value, dim).shard.size;
}

//===----------------------------------------------------------------------===//
// Scalars of a generic's body
//===----------------------------------------------------------------------===//

/// Builds the scalar body of a generic. Float and integer forms share a name.
class Body {
public:
  Body(OpBuilder &builder, Location loc) : builder(builder), loc(loc) {}

  static bool isFloat(Value v) { return isa<FloatType>(v.getType()); }
  static bool isBool(Type type) { return type.isInteger(1); }

  Value constant(Type type, double value) {
    TypedAttr attr;
    if (isa<FloatType>(type))
      attr = builder.getFloatAttr(type, value);
    else
      attr = builder.getIntegerAttr(type, static_cast<int64_t>(value));
    return arith::ConstantOp::create(builder, loc, attr);
  }
  Value constantLike(Value v, double value) {
    return constant(v.getType(), value);
  }

  template <typename FloatOp, typename IntegerOp>
  Value either(Value a, Value b) {
    if (isFloat(a))
      return FloatOp::create(builder, loc, a, b);
    return IntegerOp::create(builder, loc, a, b);
  }
  Value add(Value a, Value b) {
    return either<arith::AddFOp, arith::AddIOp>(a, b);
  }
  Value sub(Value a, Value b) {
    return either<arith::SubFOp, arith::SubIOp>(a, b);
  }
  Value mul(Value a, Value b) {
    return either<arith::MulFOp, arith::MulIOp>(a, b);
  }
  Value div(Value a, Value b) {
    return either<arith::DivFOp, arith::DivSIOp>(a, b);
  }
  Value max(Value a, Value b) {
    if (isBool(a.getType()))
      return arith::OrIOp::create(builder, loc, a, b);
    return either<arith::MaximumFOp, arith::MaxSIOp>(a, b);
  }
  Value min(Value a, Value b) {
    if (isBool(a.getType()))
      return arith::AndIOp::create(builder, loc, a, b);
    return either<arith::MinimumFOp, arith::MinSIOp>(a, b);
  }
  Value add(Value a, double b) { return add(a, constantLike(a, b)); }
  Value mul(Value a, double b) { return mul(a, constantLike(a, b)); }
  Value div(Value a, double b) { return div(a, constantLike(a, b)); }
  Value neg(Value a) {
    if (isFloat(a))
      return arith::NegFOp::create(builder, loc, a);
    return sub(constantLike(a, 0), a);
  }
  Value abs(Value a) {
    if (isFloat(a))
      return math::AbsFOp::create(builder, loc, a);
    return math::AbsIOp::create(builder, loc, a);
  }

  Value exp(Value a) { return math::ExpOp::create(builder, loc, a); }
  Value log(Value a) { return math::LogOp::create(builder, loc, a); }
  Value sqrt(Value a) { return math::SqrtOp::create(builder, loc, a); }
  Value tanh(Value a) { return math::TanhOp::create(builder, loc, a); }
  Value erf(Value a) { return math::ErfOp::create(builder, loc, a); }
  Value sin(Value a) { return math::SinOp::create(builder, loc, a); }
  Value cos(Value a) { return math::CosOp::create(builder, loc, a); }
  Value pow(Value a, Value b) {
    return math::PowFOp::create(builder, loc, a, b);
  }
  Value reciprocal(Value a) { return div(constantLike(a, 1), a); }
  /// 1 / sqrt(a) by exactly rounded operations, so that every backend agrees.
  Value rsqrt(Value a) { return reciprocal(sqrt(a)); }
  /// 1 / (1 + e^-a); e^-a may overflow to infinity, whose reciprocal is 0.
  Value sigmoid(Value a) { return reciprocal(add(exp(neg(a)), 1)); }

  Value select(Value condition, Value a, Value b) {
    return arith::SelectOp::create(builder, loc, condition, a, b);
  }
  Value compare(arith::CmpIPredicate predicate, Value a, Value b) {
    return arith::CmpIOp::create(builder, loc, predicate, a, b);
  }
  Value compare(arith::CmpFPredicate predicate, Value a, Value b) {
    return arith::CmpFOp::create(builder, loc, predicate, a, b);
  }
  Value index(int64_t loop) {
    return kernel::IndexOp::create(builder, loc, loop);
  }
  /// An integer as i64 (labels and positions are compared as such).
  Value toI64(Value a) { return cast(a, builder.getI64Type()); }

  /// Conversion with the meaning of `graph.cast`.
  Value cast(Value a, Type to) {
    Type from = a.getType();
    if (from == to)
      return a;
    if (isBool(to)) {
      Value zero = constant(from, 0);
      return isFloat(a) ? compare(arith::CmpFPredicate::UNE, a, zero)
                        : compare(arith::CmpIPredicate::ne, a, zero);
    }
    if (isFloat(a)) {
      if (auto toFloat = dyn_cast<FloatType>(to)) {
        unsigned fromWidth = from.getIntOrFloatBitWidth();
        if (toFloat.getWidth() > fromWidth)
          return arith::ExtFOp::create(builder, loc, to, a);
        if (toFloat.getWidth() < fromWidth)
          return arith::TruncFOp::create(builder, loc, to, a);
        // f16 and bf16 do not contain each other.
        Value wide =
            arith::ExtFOp::create(builder, loc, builder.getF32Type(), a);
        return arith::TruncFOp::create(builder, loc, to, wide);
      }
      return arith::FPToSIOp::create(builder, loc, to, a);
    }
    if (isa<FloatType>(to)) {
      if (isBool(from))
        return arith::UIToFPOp::create(builder, loc, to, a);
      return arith::SIToFPOp::create(builder, loc, to, a);
    }
    if (to.getIntOrFloatBitWidth() < from.getIntOrFloatBitWidth())
      return arith::TruncIOp::create(builder, loc, to, a);
    if (isBool(from))
      return arith::ExtUIOp::create(builder, loc, to, a);
    return arith::ExtSIOp::create(builder, loc, to, a);
  }

  OpBuilder &builder;
  Location loc;
};

/// Builds a body: takes one scalar for each input, returns one for each result.
using BodyFunction = function_ref<SmallVector<Value>(Body &, ValueRange)>;

//===----------------------------------------------------------------------===//
// Pieces
//===----------------------------------------------------------------------===//

/// Emits the pieces of one op.
class Pieces {
public:
  Pieces(Operation *op, OpBuilder &builder)
      : builder(builder), loc(op->getLoc()), context(op->getContext()) {}

  /// The map of `loops` loops whose results are the loops `dims`.
  AffineMap map(unsigned loops, ArrayRef<unsigned> dims) {
    SmallVector<AffineExpr> results;
    for (unsigned dim : dims)
      results.push_back(getAffineDimExpr(dim, context));
    return AffineMap::get(loops, 0, results, context);
  }
  AffineMap identity(unsigned loops) {
    return AffineMap::getMultiDimIdentityMap(loops, context);
  }
  /// The first `count` of `loops` loops.
  AffineMap leading(unsigned loops, unsigned count) {
    return map(loops, llvm::to_vector(llvm::seq<unsigned>(0, count)));
  }

  SmallVector<Value> generic(ValueRange inputs, ArrayRef<AffineMap> maps,
                             TypeRange results, Combiner combiner,
                             BodyFunction body) {
    auto op = kernel::GenericOp::create(builder, loc, results, inputs,
                                        builder.getAffineMapArrayAttr(maps),
                                        combiner);
    OpBuilder::InsertionGuard guard(builder);
    SmallVector<Type> scalars;
    for (Value input : inputs)
      scalars.push_back(typeOf(input).getElementType());
    SmallVector<Location> locs(scalars.size(), loc);
    Block *block =
        builder.createBlock(&op.getBody(), op.getBody().end(), scalars, locs);
    Body scope(builder, loc);
    kernel::YieldOp::create(builder, loc,
                            body(scope, ValueRange(block->getArguments())));
    return llvm::to_vector(ValueRange(op->getResults()));
  }

  /// One writer for every element of one result.
  Value map1(ValueRange inputs, ArrayRef<AffineMap> maps, Type result,
             function_ref<Value(Body &, ValueRange)> body) {
    return generic(inputs, maps, result, Combiner::None,
                   [&](Body &b, ValueRange a) {
                     return SmallVector<Value>{body(b, a)};
                   })[0];
  }
  /// One reduced result.
  Value reduce1(Combiner combiner, ValueRange inputs, ArrayRef<AffineMap> maps,
                Type result, function_ref<Value(Body &, ValueRange)> body) {
    return generic(inputs, maps, result, combiner, [&](Body &b, ValueRange a) {
      return SmallVector<Value>{body(b, a)};
    })[0];
  }
  /// All inputs and the result over the same loops.
  Value elementwise(ValueRange inputs, Type result,
                    function_ref<Value(Body &, ValueRange)> body) {
    unsigned rank = cast<RankedTensorType>(result).getRank();
    SmallVector<AffineMap> maps(inputs.size() + 1, identity(rank));
    return map1(inputs, maps, result, body);
  }
  /// A sum of products, the form that codegen takes for a matrix product.
  Value contract(Value lhs, Value rhs, ArrayRef<AffineMap> maps, Type result) {
    return reduce1(Combiner::Sum, {lhs, rhs}, maps, result,
                   [](Body &b, ValueRange a) { return b.mul(a[0], a[1]); });
  }

  OpBuilder &builder;
  Location loc;
  MLIRContext *context;
};

using ScalarFunction = function_ref<Value(Body &, ValueRange)>;

inline SmallVector<Value> expandElementwise(Operation *op, OpBuilder &builder,
                                            ValueRange operands,
                                            ScalarFunction body) {
  Pieces pieces(op, builder);
  return {pieces.elementwise(operands, op->getResult(0).getType(), body)};
}

} // namespace weir::graph::expansion

#endif // WEIR_DIALECTS_GRAPH_EXPANDPIECES_H
