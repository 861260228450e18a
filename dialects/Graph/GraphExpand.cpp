// SPDX-License-Identifier: Apache-2.0
// What each op computes: its one expansion into pieces of the kernel dialect.
#include "dialects/Graph/ExpandPieces.h"
#include "runtime/base/Philox.h"

#include <cmath>
#include <limits>

using namespace mlir;
using namespace weir;
using namespace weir::graph;
using namespace weir::graph::expansion;
using kernel::Combiner;

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
                      : getKind() == ReductionKind::Min ? Combiner::Min
                                                        : Combiner::Prod;
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

/// A finite number below every score.
double leastScore(Type element) { return element.isF16() ? -65000 : -1e30; }

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

  /// Inputs of a score-shaped generic and their maps, with those of the given
  /// positions behind and the result's map last.
  static SmallVector<Value> withPositions(ArrayRef<Value> inputs,
                                          ValueRange positions) {
    SmallVector<Value> all(inputs);
    llvm::append_range(all, positions);
    return all;
  }
  SmallVector<AffineMap> scoreMaps(Pieces &p, ArrayRef<AffineMap> inputs,
                                   ValueRange positions) {
    SmallVector<AffineMap> maps(inputs);
    if (!positions.empty())
      llvm::append_range(maps, ArrayRef{p.map(5, {T}), p.map(5, {S})});
    maps.push_back(scores);
    return maps;
  }
  /// Whether the element of such a generic, of `count` inputs before the
  /// positions, is visible: key at or before query.
  static Value visible(Body &b, ValueRange inputs, unsigned count) {
    if (inputs.size() == count)
      return b.compare(arith::CmpIPredicate::sle, b.index(S), b.index(T));
    return b.compare(arith::CmpIPredicate::sle, inputs[count + 1],
                     inputs[count]);
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
  ValueRange positions = operands.drop_front(3);
  // With positions, or on a part of the keys, a row may see none of them.
  bool mayBeHidden = !positions.empty() || dimOf(key, 1).shard.axes.size() > 0;
  double infinity = std::numeric_limits<double>::infinity();
  Value scores =
      p.map1(l.withPositions({products}, positions),
             l.scoreMaps(p, {l.scores}, positions), l.scoreType,
             [&](Body &b, ValueRange a) {
               Value scaled = b.mul(a[0], scale);
               if (!causal)
                 return scaled;
               // A hidden key's score: its exponential is exactly 0.
               return b.select(AttentionLoops::visible(b, a, 1), scaled,
                               b.constantLike(scaled, -infinity));
             });
  Value max = p.reduce1(Combiner::Max, scores, {l.scores, l.rows}, l.rowType,
                        [](Body &, ValueRange a) { return a[0]; });
  if (mayBeHidden)
    // Of minus infinity alone: any finite number gives exponentials of 0.
    max = p.elementwise(max, l.rowType, [](Body &b, ValueRange a) {
      return b.max(a[0], b.constantLike(a[0], leastScore(a[0].getType())));
    });
  Value exp =
      p.map1({scores, max}, {l.scores, l.rows, l.scores}, l.scoreType,
             [](Body &b, ValueRange a) { return b.exp(b.sub(a[0], a[1])); });
  Value sum = p.reduce1(Combiner::Sum, exp, {l.scores, l.rows}, l.rowType,
                        [](Body &, ValueRange a) { return a[0]; });
  // A sum that is not 0 is at least 1, the largest score's.
  Value divisor = sum;
  if (mayBeHidden)
    divisor = p.elementwise(sum, l.rowType, [](Body &b, ValueRange a) {
      return b.max(a[0], b.constantLike(a[0], 1));
    });
  Value probabilities =
      p.map1({exp, divisor}, {l.scores, l.rows, l.scores}, l.scoreType,
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
  ValueRange positions = operands.drop_front(6);
  Value probabilities =
      p.map1(l.withPositions({products, lse}, positions),
             l.scoreMaps(p, {l.scores, l.rows}, positions), l.scoreType,
             [&](Body &b, ValueRange a) {
               Value visible = b.exp(b.sub(b.mul(a[0], scale), a[1]));
               if (!causal)
                 return visible;
               return b.select(AttentionLoops::visible(b, a, 2), visible,
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
