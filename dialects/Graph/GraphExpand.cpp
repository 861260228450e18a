// SPDX-License-Identifier: Apache-2.0
// What each op computes: its one expansion into pieces of the kernel dialect.
#include "dialects/Graph/Graph.h"
#include "runtime/base/Philox.h"

#include <cmath>
#include <limits>

using namespace mlir;
using namespace weir;
using namespace weir::graph;
using kernel::Combiner;

namespace {

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

Dim dimOf(Type type, unsigned dim) {
  auto tensor = cast<RankedTensorType>(type);
  if (auto shard = dyn_cast_or_null<dist::ShardAttr>(tensor.getEncoding()))
    return {tensor.getDimSize(dim), shard.getDims()[dim]};
  return Dim::whole(tensor.getDimSize(dim));
}
Dim dimOf(Value value, unsigned dim) { return dimOf(value.getType(), dim); }

SmallVector<Dim> dimsOf(Type type) {
  SmallVector<Dim> dims;
  for (int64_t i = 0, e = cast<RankedTensorType>(type).getRank(); i < e; ++i)
    dims.push_back(dimOf(type, i));
  return dims;
}

/// The type of an intermediate whose dims come from operands' dims: shards stay
/// shards, and a type without a split dim has no encoding.
RankedTensorType tensorOf(Type elementType, ArrayRef<Dim> dims) {
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

RankedTensorType typeOf(Value value) {
  return cast<RankedTensorType>(value.getType());
}

int64_t logicalSize(Value value, unsigned dim) {
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

SmallVector<Value> expandElementwise(Operation *op, OpBuilder &builder,
                                     ValueRange operands, ScalarFunction body) {
  Pieces pieces(op, builder);
  return {pieces.elementwise(operands, op->getResult(0).getType(), body)};
}

} // namespace

//===----------------------------------------------------------------------===//
// Element-wise ops
//===----------------------------------------------------------------------===//

#define WEIR_ELEMENTWISE(OP, EXPRESSION)                                       \
  SmallVector<Value> OP::expand(OpBuilder &builder, ValueRange operands) {     \
    return expandElementwise(                                                  \
        getOperation(), builder, operands,                                     \
        [](Body &b, ValueRange a) -> Value { return EXPRESSION; });            \
  }

WEIR_ELEMENTWISE(NegOp, b.neg(a[0]))
WEIR_ELEMENTWISE(ExpOp, b.exp(a[0]))
WEIR_ELEMENTWISE(LogOp, b.log(a[0]))
WEIR_ELEMENTWISE(SqrtOp, b.sqrt(a[0]))
WEIR_ELEMENTWISE(RsqrtOp, b.rsqrt(a[0]))
WEIR_ELEMENTWISE(TanhOp, b.tanh(a[0]))
WEIR_ELEMENTWISE(ErfOp, b.erf(a[0]))
WEIR_ELEMENTWISE(SinOp, b.sin(a[0]))
WEIR_ELEMENTWISE(CosOp, b.cos(a[0]))
WEIR_ELEMENTWISE(AbsOp, b.abs(a[0]))
WEIR_ELEMENTWISE(SigmoidOp, b.sigmoid(a[0]))
WEIR_ELEMENTWISE(ReluOp, b.max(a[0], b.constantLike(a[0], 0)))
WEIR_ELEMENTWISE(SiluOp, b.mul(a[0], b.sigmoid(a[0])))
WEIR_ELEMENTWISE(AddOp, b.add(a[0], a[1]))
WEIR_ELEMENTWISE(SubOp, b.sub(a[0], a[1]))
WEIR_ELEMENTWISE(MulOp, b.mul(a[0], a[1]))
WEIR_ELEMENTWISE(DivOp, b.div(a[0], a[1]))
WEIR_ELEMENTWISE(MaxOp, b.max(a[0], a[1]))
WEIR_ELEMENTWISE(MinOp, b.min(a[0], a[1]))
WEIR_ELEMENTWISE(PowOp, b.pow(a[0], a[1]))
WEIR_ELEMENTWISE(SelectOp, b.select(a[0], a[1], a[2]))

#undef WEIR_ELEMENTWISE

SmallVector<Value> GeluOp::expand(OpBuilder &builder, ValueRange operands) {
  GeluKind kind = getKind();
  return expandElementwise(
      getOperation(), builder, operands, [&](Body &b, ValueRange a) -> Value {
        Value x = a[0];
        if (kind == GeluKind::Quick)
          return b.mul(x, b.sigmoid(b.mul(x, 1.702)));
        Value half = b.mul(x, 0.5);
        if (kind == GeluKind::Erf)
          return b.mul(half, b.add(b.erf(b.mul(x, std::sqrt(0.5))), 1));
        Value cube = b.mul(b.mul(x, x), x);
        Value inner = b.mul(b.add(x, b.mul(cube, 0.044715)),
                            std::sqrt(2.0 / 3.141592653589793238463));
        return b.mul(half, b.add(b.tanh(inner), 1));
      });
}

SmallVector<Value> CompareOp::expand(OpBuilder &builder, ValueRange operands) {
  static constexpr arith::CmpFPredicate floats[] = {
      arith::CmpFPredicate::OEQ, arith::CmpFPredicate::UNE,
      arith::CmpFPredicate::OLT, arith::CmpFPredicate::OLE,
      arith::CmpFPredicate::OGT, arith::CmpFPredicate::OGE};
  static constexpr arith::CmpIPredicate integers[] = {
      arith::CmpIPredicate::eq,  arith::CmpIPredicate::ne,
      arith::CmpIPredicate::slt, arith::CmpIPredicate::sle,
      arith::CmpIPredicate::sgt, arith::CmpIPredicate::sge};
  // false < true, which a signed comparison of one bit would turn round.
  static constexpr arith::CmpIPredicate booleans[] = {
      arith::CmpIPredicate::eq,  arith::CmpIPredicate::ne,
      arith::CmpIPredicate::ult, arith::CmpIPredicate::ule,
      arith::CmpIPredicate::ugt, arith::CmpIPredicate::uge};
  unsigned predicate = static_cast<unsigned>(getPredicate());
  return expandElementwise(
      getOperation(), builder, operands, [&](Body &b, ValueRange a) -> Value {
        if (Body::isFloat(a[0]))
          return b.compare(floats[predicate], a[0], a[1]);
        if (Body::isBool(a[0].getType()))
          return b.compare(booleans[predicate], a[0], a[1]);
        return b.compare(integers[predicate], a[0], a[1]);
      });
}

SmallVector<Value> CastOp::expand(OpBuilder &builder, ValueRange operands) {
  Type to = cast<RankedTensorType>(getOutput().getType()).getElementType();
  return expandElementwise(
      getOperation(), builder, operands,
      [&](Body &b, ValueRange a) -> Value { return b.cast(a[0], to); });
}

//===----------------------------------------------------------------------===//
// Tensor ops
//===----------------------------------------------------------------------===//

SmallVector<Value> ConstantOp::expand(OpBuilder &builder, ValueRange) {
  return {kernel::ConstantOp::create(builder, getLoc(), getOutput().getType(),
                                     getValue())};
}

SmallVector<Value> IotaOp::expand(OpBuilder &builder, ValueRange) {
  Pieces p(getOperation(), builder);
  auto type = cast<RankedTensorType>(getOutput().getType());
  return {
      p.map1({}, {p.identity(type.getRank())}, type, [&](Body &b, ValueRange) {
        return b.cast(b.index(getDim()), type.getElementType());
      })};
}

SmallVector<Value> BroadcastOp::expand(OpBuilder &builder,
                                       ValueRange operands) {
  Pieces p(getOperation(), builder);
  auto type = cast<RankedTensorType>(getOutput().getType());
  SmallVector<unsigned> dims(getDims().begin(), getDims().end());
  return {p.map1(operands,
                 {p.map(type.getRank(), dims), p.identity(type.getRank())},
                 type, [](Body &, ValueRange a) { return a[0]; })};
}

SmallVector<Value> ReduceOp::expand(OpBuilder &builder, ValueRange operands) {
  Pieces p(getOperation(), builder);
  unsigned rank = typeOf(operands[0]).getRank();
  SmallVector<unsigned> kept;
  for (unsigned i = 0; i < rank; ++i)
    if (!llvm::is_contained(getDims(), i))
      kept.push_back(i);
  Combiner combiner = getKind() == ReductionKind::Sum   ? Combiner::Sum
                      : getKind() == ReductionKind::Max ? Combiner::Max
                                                        : Combiner::Min;
  return {p.reduce1(combiner, operands, {p.identity(rank), p.map(rank, kept)},
                    getOutput().getType(),
                    [](Body &, ValueRange a) { return a[0]; })};
}

SmallVector<Value> ReshapeOp::expand(OpBuilder &builder, ValueRange operands) {
  return {kernel::ReshapeOp::create(builder, getLoc(), getOutput().getType(),
                                    operands[0])};
}

SmallVector<Value> TransposeOp::expand(OpBuilder &builder,
                                       ValueRange operands) {
  return {kernel::TransposeOp::create(builder, getLoc(), getOutput().getType(),
                                      operands[0], getPermutation())};
}

SmallVector<Value> SliceOp::expand(OpBuilder &builder, ValueRange operands) {
  return {kernel::SliceOp::create(builder, getLoc(), getOutput().getType(),
                                  operands[0], getOffsets())};
}

SmallVector<Value> ConcatOp::expand(OpBuilder &builder, ValueRange operands) {
  return {kernel::ConcatOp::create(builder, getLoc(), getOutput().getType(),
                                   operands, getDim())};
}

//===----------------------------------------------------------------------===//
// Linear algebra and tables
//===----------------------------------------------------------------------===//

SmallVector<Value> MatmulOp::expand(OpBuilder &builder, ValueRange operands) {
  Pieces p(getOperation(), builder);
  // Loops: batch, free of lhs, free of rhs (the result's dims), contracted.
  SmallVector<unsigned> lhs(typeOf(operands[0]).getRank());
  SmallVector<unsigned> rhs(typeOf(operands[1]).getRank());
  unsigned loop = 0;
  for (auto [l, r] : llvm::zip(getLhsBatch(), getRhsBatch()))
    lhs[l] = rhs[r] = loop++;
  for (int64_t l : getLhsFree())
    lhs[l] = loop++;
  for (int64_t r : getRhsFree())
    rhs[r] = loop++;
  unsigned results = loop;
  for (auto [l, r] : llvm::zip(getLhsContract(), getRhsContract()))
    lhs[l] = rhs[r] = loop++;
  return {
      p.contract(operands[0], operands[1],
                 {p.map(loop, lhs), p.map(loop, rhs), p.leading(loop, results)},
                 getOutput().getType())};
}

SmallVector<Value> EmbeddingOp::expand(OpBuilder &builder,
                                       ValueRange operands) {
  return {kernel::GatherOp::create(builder, getLoc(), getOutput().getType(),
                                   operands[0], operands[1])};
}

SmallVector<Value> EmbeddingGradOp::expand(OpBuilder &builder,
                                           ValueRange operands) {
  return {kernel::ScatterAddOp::create(builder, getLoc(), getOutput().getType(),
                                       operands[0], operands[1])};
}

//===----------------------------------------------------------------------===//
// Normalisation and softmax
//===----------------------------------------------------------------------===//

SmallVector<Value> LayerNormOp::expand(OpBuilder &builder,
                                       ValueRange operands) {
  Pieces p(getOperation(), builder);
  Value x = operands[0], scale = operands[1], bias = operands[2];
  unsigned rank = typeOf(x).getRank(), outer = rank - 1;
  double size = static_cast<double>(logicalSize(x, outer));
  double epsilon = getEpsilon().convertToDouble();
  AffineMap all = p.identity(rank), row = p.leading(rank, outer),
            last = p.map(rank, {outer});
  Type rowType = getMean().getType();

  Value sum = p.reduce1(Combiner::Sum, x, {all, row}, rowType,
                        [](Body &, ValueRange a) { return a[0]; });
  Value mean = p.elementwise(
      sum, rowType, [&](Body &b, ValueRange a) { return b.div(a[0], size); });
  Value squares = p.reduce1(Combiner::Sum, {x, mean}, {all, row, row}, rowType,
                            [](Body &b, ValueRange a) {
                              Value centred = b.sub(a[0], a[1]);
                              return b.mul(centred, centred);
                            });
  Value rstd =
      p.elementwise(squares, getRstd().getType(), [&](Body &b, ValueRange a) {
        return b.rsqrt(b.add(b.div(a[0], size), epsilon));
      });
  Value output =
      p.map1({x, mean, rstd, scale, bias}, {all, row, row, last, last, all},
             getOutput().getType(), [](Body &b, ValueRange a) {
               Value normal = b.mul(b.sub(a[0], a[1]), a[2]);
               return b.add(b.mul(normal, a[3]), a[4]);
             });
  return {output, mean, rstd};
}

SmallVector<Value> RmsNormOp::expand(OpBuilder &builder, ValueRange operands) {
  Pieces p(getOperation(), builder);
  Value x = operands[0], scale = operands[1];
  unsigned rank = typeOf(x).getRank(), outer = rank - 1;
  double size = static_cast<double>(logicalSize(x, outer));
  double epsilon = getEpsilon().convertToDouble();
  AffineMap all = p.identity(rank), row = p.leading(rank, outer),
            last = p.map(rank, {outer});
  Type rowType = getRstd().getType();

  Value squares =
      p.reduce1(Combiner::Sum, x, {all, row}, rowType,
                [](Body &b, ValueRange a) { return b.mul(a[0], a[0]); });
  Value rstd = p.elementwise(squares, rowType, [&](Body &b, ValueRange a) {
    return b.rsqrt(b.add(b.div(a[0], size), epsilon));
  });
  Value output = p.map1(
      {x, rstd, scale}, {all, row, last, all}, getOutput().getType(),
      [](Body &b, ValueRange a) { return b.mul(b.mul(a[0], a[1]), a[2]); });
  return {output, rstd};
}

SmallVector<Value> SoftmaxOp::expand(OpBuilder &builder, ValueRange operands) {
  Pieces p(getOperation(), builder);
  Value x = operands[0];
  unsigned rank = typeOf(x).getRank();
  AffineMap all = p.identity(rank), row = p.leading(rank, rank - 1);
  Type rowType = tensorOf(typeOf(x).getElementType(),
                          ArrayRef(dimsOf(x.getType())).drop_back());
  // The largest element is subtracted: no exponential overflows and the sum is
  // at least one.
  Value max = p.reduce1(Combiner::Max, x, {all, row}, rowType,
                        [](Body &, ValueRange a) { return a[0]; });
  Value exp =
      p.map1({x, max}, {all, row, all}, getOutput().getType(),
             [](Body &b, ValueRange a) { return b.exp(b.sub(a[0], a[1])); });
  Value sum = p.reduce1(Combiner::Sum, exp, {all, row}, rowType,
                        [](Body &, ValueRange a) { return a[0]; });
  return {p.map1({exp, sum}, {all, row, all}, getOutput().getType(),
                 [](Body &b, ValueRange a) { return b.div(a[0], a[1]); })};
}

SmallVector<Value> CrossEntropyOp::expand(OpBuilder &builder,
                                          ValueRange operands) {
  Pieces p(getOperation(), builder);
  Value logits = operands[0], labels = operands[1];
  unsigned rank = typeOf(logits).getRank(), classes = rank - 1;
  AffineMap all = p.identity(rank), row = p.leading(rank, classes);
  AffineMap rows = p.identity(classes);
  Type rowType = getLoss().getType();
  double ignore = static_cast<double>(static_cast<int64_t>(getIgnoreIndex()));

  Value max = p.reduce1(Combiner::Max, logits, {all, row}, rowType,
                        [](Body &, ValueRange a) { return a[0]; });
  Value sum =
      p.reduce1(Combiner::Sum, {logits, max}, {all, row, row}, rowType,
                [](Body &b, ValueRange a) { return b.exp(b.sub(a[0], a[1])); });
  Value picked =
      p.reduce1(Combiner::Sum, {logits, labels}, {all, row, row}, rowType,
                [&](Body &b, ValueRange a) {
                  Value isLabel = b.compare(arith::CmpIPredicate::eq,
                                            b.index(classes), b.toI64(a[1]));
                  return b.select(isLabel, a[0], b.constantLike(a[0], 0));
                });
  Value lse =
      p.map1({max, sum}, {rows, rows, rows}, getLse().getType(),
             [](Body &b, ValueRange a) { return b.add(a[0], b.log(a[1])); });
  Value loss = p.map1(
      {lse, picked, labels}, {rows, rows, rows, rows}, rowType,
      [&](Body &b, ValueRange a) {
        Value ignored = b.compare(arith::CmpIPredicate::eq, a[2],
                                  b.constantLike(a[2], ignore));
        return b.select(ignored, b.constantLike(a[0], 0), b.sub(a[0], a[1]));
      });
  return {loss, lse};
}

SmallVector<Value> CrossEntropyGradOp::expand(OpBuilder &builder,
                                              ValueRange operands) {
  Pieces p(getOperation(), builder);
  unsigned rank = typeOf(operands[0]).getRank(), classes = rank - 1;
  AffineMap all = p.identity(rank), row = p.leading(rank, classes);
  double ignore = static_cast<double>(static_cast<int64_t>(getIgnoreIndex()));
  return {p.map1(operands, {all, row, row, row, all}, getOutput().getType(),
                 [&](Body &b, ValueRange a) {
                   Value logit = a[0], label = a[1], lse = a[2],
                         gradient = a[3];
                   Value zero = b.constantLike(logit, 0);
                   Value isLabel = b.compare(arith::CmpIPredicate::eq,
                                             b.index(classes), b.toI64(label));
                   Value target =
                       b.select(isLabel, b.constantLike(logit, 1), zero);
                   Value error = b.sub(b.exp(b.sub(logit, lse)), target);
                   Value ignored = b.compare(arith::CmpIPredicate::eq, label,
                                             b.constantLike(label, ignore));
                   return b.select(ignored, zero, b.mul(error, gradient));
                 })};
}

//===----------------------------------------------------------------------===//
// Attention
//===----------------------------------------------------------------------===//

SmallVector<Value> RopeOp::expand(OpBuilder &builder, ValueRange operands) {
  Pieces p(getOperation(), builder);
  Value x = operands[0], cos = operands[1], sin = operands[2];
  unsigned rank = typeOf(x).getRank();
  // The last dimension as [2, D/2]; loops: the other dims, half, position in
  // it.
  SmallVector<Dim> dims = dimsOf(x.getType());
  Dim halves = dimOf(cos, 1);
  dims.pop_back();
  dims.push_back(Dim::whole(2));
  dims.push_back(halves);
  Type split = tensorOf(typeOf(x).getElementType(), dims);
  unsigned loops = rank + 1, half = rank - 1, position = rank;
  Value parts = kernel::ReshapeOp::create(builder, getLoc(), split, x);

  auto part = [&](int64_t which) {
    SmallVector<AffineExpr> results;
    for (unsigned i = 0; i + 1 < rank; ++i)
      results.push_back(getAffineDimExpr(i, p.context));
    results.push_back(getAffineConstantExpr(which, p.context));
    results.push_back(getAffineDimExpr(position, p.context));
    return AffineMap::get(loops, 0, results, p.context);
  };
  AffineMap angle =
      p.map(loops, {static_cast<unsigned>(getSeqDim()), position});
  Value rotated =
      p.map1({parts, parts, cos, sin},
             {part(0), part(1), angle, angle, p.identity(loops)}, split,
             [&](Body &b, ValueRange a) {
               Value first = b.sub(b.mul(a[0], a[2]), b.mul(a[1], a[3]));
               Value second = b.add(b.mul(a[1], a[2]), b.mul(a[0], a[3]));
               Value index = b.index(half);
               Value isFirst = b.compare(arith::CmpIPredicate::eq, index,
                                         b.constantLike(index, 0));
               return b.select(isFirst, first, second);
             });
  return {kernel::ReshapeOp::create(builder, getLoc(), getOutput().getType(),
                                    rotated)};
}

namespace {

/// The loops and types that attention and its gradient share. Loops b, g, r, t,
/// s, and a feature loop f: d of query and key, or e of value.
struct AttentionLoops {
  enum { B, G, R, T, S, F };

  AttentionLoops(Pieces &p, Value query, Value key)
      : queryMap(p.map(6, {B, T, G, R, F})), keyMap(p.map(6, {B, S, G, F})),
        scoreMap(p.map(6, {B, G, R, T, S})), scores(p.identity(5)),
        rows(p.map(5, {B, G, R, T})) {
    Type element = typeOf(query).getElementType();
    SmallVector<Dim> dims = {dimOf(query, 0), dimOf(query, 2), dimOf(query, 3),
                             dimOf(query, 1)};
    rowType = tensorOf(element, dims);
    dims.push_back(dimOf(key, 1));
    scoreType = tensorOf(element, dims);
  }

  /// Whether the element of a score-shaped generic is visible: key at or
  /// before query, by logical positions.
  static Value visible(Body &b) {
    return b.compare(arith::CmpIPredicate::sle, b.index(S), b.index(T));
  }

  AffineMap queryMap, keyMap, scoreMap; // over b, g, r, t, s, f
  AffineMap scores, rows;               // over b, g, r, t, s
  Type rowType, scoreType;
};

} // namespace

SmallVector<Value> AttentionOp::expand(OpBuilder &builder,
                                       ValueRange operands) {
  Pieces p(getOperation(), builder);
  Value query = operands[0], key = operands[1], value = operands[2];
  AttentionLoops l(p, query, key);
  double scale = getScale().convertToDouble();
  bool causal = getCausal();

  Value products =
      p.contract(query, key, {l.queryMap, l.keyMap, l.scoreMap}, l.scoreType);
  Value scores =
      p.elementwise(products, l.scoreType, [&](Body &b, ValueRange a) {
        Value scaled = b.mul(a[0], scale);
        if (!causal)
          return scaled;
        // A hidden key's score: its exponential is exactly 0, and key 0 is
        // visible to every query, so that no row's maximum is this.
        Value hidden =
            b.constantLike(scaled, -std::numeric_limits<double>::infinity());
        return b.select(AttentionLoops::visible(b), scaled, hidden);
      });
  Value max = p.reduce1(Combiner::Max, scores, {l.scores, l.rows}, l.rowType,
                        [](Body &, ValueRange a) { return a[0]; });
  Value exp =
      p.map1({scores, max}, {l.scores, l.rows, l.scores}, l.scoreType,
             [](Body &b, ValueRange a) { return b.exp(b.sub(a[0], a[1])); });
  Value sum = p.reduce1(Combiner::Sum, exp, {l.scores, l.rows}, l.rowType,
                        [](Body &, ValueRange a) { return a[0]; });
  Value probabilities =
      p.map1({exp, sum}, {l.scores, l.rows, l.scores}, l.scoreType,
             [](Body &b, ValueRange a) { return b.div(a[0], a[1]); });
  Value lse =
      p.elementwise({max, sum}, getLse().getType(), [](Body &b, ValueRange a) {
        return b.add(a[0], b.log(a[1]));
      });
  Value output =
      p.contract(probabilities, value, {l.scoreMap, l.keyMap, l.queryMap},
                 getOutput().getType());
  return {output, lse};
}

SmallVector<Value> AttentionGradOp::expand(OpBuilder &builder,
                                           ValueRange operands) {
  Pieces p(getOperation(), builder);
  Value query = operands[0], key = operands[1], value = operands[2];
  Value output = operands[3], lse = operands[4], gradient = operands[5];
  AttentionLoops l(p, query, key);
  double scale = getScale().convertToDouble();
  bool causal = getCausal();

  Value products =
      p.contract(query, key, {l.queryMap, l.keyMap, l.scoreMap}, l.scoreType);
  Value probabilities =
      p.map1({products, lse}, {l.scores, l.rows, l.scores}, l.scoreType,
             [&](Body &b, ValueRange a) {
               Value visible = b.exp(b.sub(b.mul(a[0], scale), a[1]));
               if (!causal)
                 return visible;
               return b.select(AttentionLoops::visible(b), visible,
                               b.constantLike(visible, 0));
             });
  Value valueGradient =
      p.contract(probabilities, gradient, {l.scoreMap, l.queryMap, l.keyMap},
                 getValueGradient().getType());
  // Loops b, g, r, t, e.
  AffineMap features = p.map(5, {0, 3, 1, 2, 4});
  Value delta = p.reduce1(
      Combiner::Sum, {gradient, output}, {features, features, p.leading(5, 4)},
      l.rowType, [](Body &b, ValueRange a) { return b.mul(a[0], a[1]); });
  Value probabilityGradient = p.contract(
      gradient, value, {l.queryMap, l.keyMap, l.scoreMap}, l.scoreType);
  Value scoreGradient =
      p.map1({probabilities, probabilityGradient, delta},
             {l.scores, l.scores, l.rows, l.scores}, l.scoreType,
             [&](Body &b, ValueRange a) {
               return b.mul(b.mul(a[0], b.sub(a[1], a[2])), scale);
             });
  Value queryGradient =
      p.contract(scoreGradient, key, {l.scoreMap, l.keyMap, l.queryMap},
                 getQueryGradient().getType());
  Value keyGradient =
      p.contract(scoreGradient, query, {l.scoreMap, l.queryMap, l.keyMap},
                 getKeyGradient().getType());
  return {queryGradient, keyGradient, valueGradient};
}

//===----------------------------------------------------------------------===//
// Dropout
//===----------------------------------------------------------------------===//

SmallVector<Value> DropoutOp::expand(OpBuilder &builder, ValueRange operands) {
  Pieces p(getOperation(), builder);
  Value x = operands[0];
  unsigned rank = typeOf(x).getRank();
  double rate = getRate().convertToDouble();
  SmallVector<int64_t> shape = dist::getLogicalShape(typeOf(x));
  uint32_t key = siteKey(std::string_view(getSite().data(), getSite().size()));
  // uniform01(word) is (word >> 8) / 2^24, exactly: comparing it with the rate
  // is comparing integers, whatever the element type.
  double threshold = std::ceil(rate * 16777216.0);
  AffineMap scalar = p.map(rank, {});
  return {p.map1(operands, {p.identity(rank), scalar, scalar, p.identity(rank)},
                 getOutput().getType(), [&](Body &b, ValueRange a) {
                   Value linear = b.constant(builder.getI64Type(), 0);
                   for (unsigned i = 0; i < rank; ++i) {
                     if (i > 0)
                       linear = b.mul(linear, static_cast<double>(shape[i]));
                     linear = i > 0 ? b.add(linear, b.index(i)) : b.index(i);
                   }
                   Value word = kernel::RandomOp::create(b.builder, b.loc, key,
                                                         a[1], a[2], linear);
                   Value bits = arith::ShRUIOp::create(b.builder, b.loc, word,
                                                       b.constantLike(word, 8));
                   Value kept = b.compare(arith::CmpIPredicate::uge, bits,
                                          b.constantLike(bits, threshold));
                   return b.select(kept, b.mul(a[0], 1.0 / (1.0 - rate)),
                                   b.constantLike(a[0], 0));
                 })};
}

//===----------------------------------------------------------------------===//
// Optimizers
//===----------------------------------------------------------------------===//

SmallVector<Value> AdamWOp::expand(OpBuilder &builder, ValueRange operands) {
  Pieces p(getOperation(), builder);
  unsigned rank = typeOf(operands[0]).getRank();
  AffineMap all = p.identity(rank), scalar = p.map(rank, {});
  SmallVector<AffineMap> maps(4, all);
  maps.append(9, scalar);
  maps.append(3, all);
  return p.generic(
      operands, maps, getOperation()->getResultTypes(), Combiner::None,
      [](Body &b, ValueRange a) -> SmallVector<Value> {
        Value parameter = a[0], first = a[1], second = a[2];
        Type type = parameter.getType();
        auto scalar = [&](unsigned i) { return b.cast(a[i], type); };
        Value one = b.constant(type, 1);
        Value gradient = b.mul(a[3], scalar(4));
        Value rate = scalar(5), beta1 = scalar(6), beta2 = scalar(7),
              epsilon = scalar(8), decay = scalar(9), correction1 = scalar(10),
              correction2 = scalar(11), apply = a[12];
        Value decayed = b.mul(parameter, b.sub(one, b.mul(rate, decay)));
        Value newFirst =
            b.add(b.mul(beta1, first), b.mul(b.sub(one, beta1), gradient));
        Value newSecond =
            b.add(b.mul(beta2, second),
                  b.mul(b.sub(one, beta2), b.mul(gradient, gradient)));
        Value root = b.div(b.sqrt(newSecond), b.sqrt(correction2));
        Value step = b.div(b.mul(b.div(rate, correction1), newFirst),
                           b.add(root, epsilon));
        return {b.select(apply, b.sub(decayed, step), parameter),
                b.select(apply, newFirst, first),
                b.select(apply, newSecond, second)};
      });
}

SmallVector<Value> SgdOp::expand(OpBuilder &builder, ValueRange operands) {
  Pieces p(getOperation(), builder);
  unsigned rank = typeOf(operands[0]).getRank();
  AffineMap all = p.identity(rank), scalar = p.map(rank, {});
  SmallVector<AffineMap> maps(3, all);
  maps.append(5, scalar);
  maps.append(2, all);
  return p.generic(
      operands, maps, getOperation()->getResultTypes(), Combiner::None,
      [](Body &b, ValueRange a) -> SmallVector<Value> {
        Value parameter = a[0], buffer = a[1];
        Type type = parameter.getType();
        auto scalar = [&](unsigned i) { return b.cast(a[i], type); };
        Value rate = scalar(4), momentum = scalar(5), decay = scalar(6),
              apply = a[7];
        Value gradient = b.add(b.mul(a[2], scalar(3)), b.mul(decay, parameter));
        Value newBuffer = b.add(b.mul(momentum, buffer), gradient);
        Value updated = b.sub(parameter, b.mul(rate, newBuffer));
        return {b.select(apply, updated, parameter),
                b.select(apply, newBuffer, buffer)};
      });
}
