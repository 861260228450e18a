// SPDX-License-Identifier: Apache-2.0
// Reverse-mode gradients of the graph ops, as graph ops.
#include "dialects/Graph/Build.h"

#include <cmath>

using namespace mlir;
using namespace weir;
using namespace weir::graph;

namespace {

constexpr double pi = 3.141592653589793238463;

using Gradients = SmallVector<Value>;

/// Whether only the first result has a gradient; the others are saved for the
/// backward pass and depend on the operands in ways that are not followed.
bool onlyFirstResult(Operation *op, ArrayRef<Value> resultGradients) {
  for (auto [i, gradient] : llvm::enumerate(resultGradients)) {
    if (i == 0 || !gradient)
      continue;
    op->emitOpError("expects only its first result to be differentiated; the "
                    "loss depends on result ")
        << i << ": compute that value with separate ops";
    return false;
  }
  return true;
}

Gradients notDifferentiable(Operation *op, StringRef why) {
  op->emitOpError("cannot be differentiated: ") << why;
  return {};
}

/// Differentiates an op of one operand.
Gradients unaryGradient(
    Operation *op, OpBuilder &builder, ArrayRef<Value> resultGradients,
    ArrayRef<bool> wanted,
    function_ref<Value(Build &, Value x, Value y, Value g)> gradient) {
  if (!wanted[0] || !resultGradients[0])
    return {Value()};
  Build b(builder, op->getLoc());
  return {gradient(b, op->getOperand(0), op->getResult(0), resultGradients[0])};
}

} // namespace

//===----------------------------------------------------------------------===//
// Element-wise ops
//===----------------------------------------------------------------------===//

#define WEIR_UNARY_GRADIENT(OP, EXPRESSION)                                    \
  SmallVector<Value> OP::buildGradient(OpBuilder &builder,                     \
                                       ArrayRef<Value> resultGradients,        \
                                       ArrayRef<bool> wanted) {                \
    return unaryGradient(getOperation(), builder, resultGradients, wanted,     \
                         [](Build &b, Value x, Value y, Value g) -> Value {    \
                           (void)x, (void)y;                                   \
                           return EXPRESSION;                                  \
                         });                                                   \
  }

WEIR_UNARY_GRADIENT(NegOp, b.neg(g))
WEIR_UNARY_GRADIENT(ExpOp, b.mul(g, y))
WEIR_UNARY_GRADIENT(LogOp, b.div(g, x))
WEIR_UNARY_GRADIENT(SqrtOp, b.mul(b.div(g, y), 0.5))
WEIR_UNARY_GRADIENT(RsqrtOp, b.mul(b.mul(g, b.mul(b.mul(y, y), y)), -0.5))
WEIR_UNARY_GRADIENT(TanhOp, b.mul(g, b.sub(1, b.mul(y, y))))
WEIR_UNARY_GRADIENT(ErfOp, b.mul(g, b.mul(b.exp(b.neg(b.mul(x, x))),
                                          2 / std::sqrt(pi))))
WEIR_UNARY_GRADIENT(SinOp, b.mul(g, b.cos(x)))
WEIR_UNARY_GRADIENT(CosOp, b.neg(b.mul(g, b.sin(x))))
// 0 at 0, as PyTorch's.
WEIR_UNARY_GRADIENT(AbsOp, b.select(b.compare(Predicate::Gt, x, 0.0), g,
                                    b.keep(b.compare(Predicate::Lt, x, 0.0),
                                           b.neg(g))))
WEIR_UNARY_GRADIENT(SigmoidOp, b.mul(g, b.mul(y, b.sub(1, y))))
WEIR_UNARY_GRADIENT(ReluOp, b.keep(b.compare(Predicate::Gt, x, 0.0), g))

#undef WEIR_UNARY_GRADIENT

/// d/dx of x sigmoid(c x) is s (1 + c x (1 - s)).
static Value swishGradient(Build &b, Value x, Value g, double c) {
  Value inner = c == 1 ? x : b.mul(x, c);
  Value s = b.sigmoid(inner);
  return b.mul(g, b.mul(s, b.add(b.mul(inner, b.sub(1, s)), 1)));
}

SmallVector<Value> SiluOp::buildGradient(OpBuilder &builder,
                                         ArrayRef<Value> resultGradients,
                                         ArrayRef<bool> wanted) {
  return unaryGradient(getOperation(), builder, resultGradients, wanted,
                       [](Build &b, Value x, Value, Value g) {
                         return swishGradient(b, x, g, 1);
                       });
}

SmallVector<Value> GeluOp::buildGradient(OpBuilder &builder,
                                         ArrayRef<Value> resultGradients,
                                         ArrayRef<bool> wanted) {
  return unaryGradient(
      getOperation(), builder, resultGradients, wanted,
      [&](Build &b, Value x, Value, Value g) -> Value {
        if (getKind() == GeluKind::Quick)
          return swishGradient(b, x, g, 1.702);
        Value square = b.mul(x, x);
        if (getKind() == GeluKind::Erf) {
          // Phi(x) + x phi(x), of the standard normal distribution.
          Value distribution =
              b.mul(b.add(b.erf(b.mul(x, std::sqrt(0.5))), 1), 0.5);
          Value density =
              b.mul(b.exp(b.mul(square, -0.5)), 1 / std::sqrt(2 * pi));
          return b.mul(g, b.add(distribution, b.mul(x, density)));
        }
        // x/2 (1 + t), t = tanh(u), u = c (x + a x^3).
        double c = std::sqrt(2 / pi), a = 0.044715;
        Value inner = b.mul(b.mul(x, b.add(b.mul(square, a), 1)), c);
        Value t = b.tanh(inner);
        Value slope = b.mul(b.add(b.mul(square, 3 * a), 1), c);
        Value derivative =
            b.add(b.add(t, 1), b.mul(b.mul(x, b.sub(1, b.mul(t, t))), slope));
        return b.mul(g, b.mul(derivative, 0.5));
      });
}

SmallVector<Value> AddOp::buildGradient(OpBuilder &, ArrayRef<Value> g,
                                        ArrayRef<bool>) {
  return {g[0], g[0]};
}

SmallVector<Value> SubOp::buildGradient(OpBuilder &builder, ArrayRef<Value> g,
                                        ArrayRef<bool> wanted) {
  if (!g[0])
    return {Value(), Value()};
  Build b(builder, getLoc());
  return {g[0], wanted[1] ? b.neg(g[0]) : Value()};
}

SmallVector<Value> MulOp::buildGradient(OpBuilder &builder, ArrayRef<Value> g,
                                        ArrayRef<bool> wanted) {
  if (!g[0])
    return {Value(), Value()};
  Build b(builder, getLoc());
  return {wanted[0] ? b.mul(g[0], getRhs()) : Value(),
          wanted[1] ? b.mul(g[0], getLhs()) : Value()};
}

SmallVector<Value> DivOp::buildGradient(OpBuilder &builder, ArrayRef<Value> g,
                                        ArrayRef<bool> wanted) {
  if (!g[0])
    return {Value(), Value()};
  Build b(builder, getLoc());
  Value quotient = b.div(g[0], getRhs());
  return {wanted[0] ? quotient : Value(),
          wanted[1] ? b.neg(b.mul(quotient, getOutput())) : Value()};
}

/// The gradient of max and min goes to the operand that was chosen; of equal
/// ones to the first.
static Gradients chosenGradient(Operation *op, OpBuilder &builder,
                                Predicate firstWins, ArrayRef<Value> g,
                                ArrayRef<bool> wanted) {
  if (!g[0])
    return {Value(), Value()};
  Build b(builder, op->getLoc());
  Value first = b.compare(firstWins, op->getOperand(0), op->getOperand(1));
  return {wanted[0] ? b.keep(first, g[0]) : Value(),
          wanted[1] ? b.drop(first, g[0]) : Value()};
}

SmallVector<Value> MaxOp::buildGradient(OpBuilder &builder, ArrayRef<Value> g,
                                        ArrayRef<bool> wanted) {
  return chosenGradient(getOperation(), builder, Predicate::Ge, g, wanted);
}

SmallVector<Value> MinOp::buildGradient(OpBuilder &builder, ArrayRef<Value> g,
                                        ArrayRef<bool> wanted) {
  return chosenGradient(getOperation(), builder, Predicate::Le, g, wanted);
}

SmallVector<Value> PowOp::buildGradient(OpBuilder &builder, ArrayRef<Value> g,
                                        ArrayRef<bool> wanted) {
  if (!g[0])
    return {Value(), Value()};
  Build b(builder, getLoc());
  Value base = getLhs(), exponent = getRhs();
  Gradients gradients(2);
  if (wanted[0]) {
    // b a^(b-1), and 0 for exponent 0 also where a is 0.
    Value power = b.pow(base, b.add(exponent, -1));
    Value slope = b.mul(exponent, power);
    gradients[0] =
        b.mul(g[0], b.drop(b.compare(Predicate::Eq, exponent, 0.0), slope));
  }
  if (wanted[1]) {
    // a^b ln a, whose limit at a = 0 is 0 for positive exponents.
    Value slope = b.mul(getOutput(), b.log(base));
    gradients[1] =
        b.mul(g[0], b.drop(b.compare(Predicate::Eq, base, 0.0), slope));
  }
  return gradients;
}

SmallVector<Value> CompareOp::buildGradient(OpBuilder &, ArrayRef<Value>,
                                            ArrayRef<bool>) {
  return {Value(), Value()}; // piecewise constant
}

SmallVector<Value> SelectOp::buildGradient(OpBuilder &builder,
                                           ArrayRef<Value> g,
                                           ArrayRef<bool> wanted) {
  if (!g[0])
    return {Value(), Value(), Value()};
  Build b(builder, getLoc());
  return {Value(), wanted[1] ? b.keep(getCondition(), g[0]) : Value(),
          wanted[2] ? b.drop(getCondition(), g[0]) : Value()};
}

SmallVector<Value> CastOp::buildGradient(OpBuilder &builder, ArrayRef<Value> g,
                                         ArrayRef<bool> wanted) {
  // A conversion from or to integers is piecewise constant.
  if (!wanted[0] || !g[0] || !Build::isFloat(getInput()) ||
      !Build::isFloat(getOutput()))
    return {Value()};
  Build b(builder, getLoc());
  return {b.cast(g[0], Build::typeOf(getInput()).getElementType())};
}

//===----------------------------------------------------------------------===//
// Tensor ops
//===----------------------------------------------------------------------===//

SmallVector<Value> ConstantOp::buildGradient(OpBuilder &, ArrayRef<Value>,
                                             ArrayRef<bool>) {
  return {};
}

SmallVector<Value> IotaOp::buildGradient(OpBuilder &, ArrayRef<Value>,
                                         ArrayRef<bool>) {
  return {};
}

SmallVector<Value> BroadcastOp::buildGradient(OpBuilder &builder,
                                              ArrayRef<Value> g,
                                              ArrayRef<bool> wanted) {
  if (!wanted[0] || !g[0])
    return {Value()};
  Build b(builder, getLoc());
  return {b.sum(g[0], Build::otherDims(Build::rankOf(g[0]), getDims()))};
}

/// The gradient of a product is that of all other elements: of those before
/// times those behind, which zeros do not disturb.
static Value productGradient(Build &b, Value gradient, Value input,
                             ArrayRef<int64_t> dims) {
  // All reduced dims as one, the last.
  SmallVector<int64_t> order = Build::otherDims(Build::rankOf(input), dims);
  int64_t kept = order.size();
  llvm::append_range(order, dims);
  Value ordered = b.transpose(input, order);
  SmallVector<int64_t> orderedShape(Build::typeOf(ordered).getShape());
  SmallVector<int64_t> shape(ArrayRef(orderedShape).take_front(kept));
  int64_t count = 1;
  for (int64_t dim : dims)
    count *= Build::typeOf(input).getDimSize(dim);
  shape.push_back(count);
  Value flat = b.reshape(ordered, shape);
  auto others = [&](bool reverse) -> Value {
    return CumprodOp::create(b.builder, b.loc, flat.getType(), flat, kept,
                             reverse, /*exclusive=*/true);
  };
  Value product = b.mul(b.mul(others(false), others(true)),
                        b.broadcastRows(gradient, flat));
  SmallVector<int64_t> inverse(order.size());
  for (auto [i, dim] : llvm::enumerate(order))
    inverse[dim] = i;
  return b.transpose(b.reshape(product, orderedShape), inverse);
}

SmallVector<Value> ReduceOp::buildGradient(OpBuilder &builder,
                                           ArrayRef<Value> g,
                                           ArrayRef<bool> wanted) {
  if (!wanted[0] || !g[0])
    return {Value()};
  Build b(builder, getLoc());
  if (getKind() == ReductionKind::Sum)
    return {b.broadcastMissing(g[0], getInput(), getDims())};
  if (getKind() == ReductionKind::Prod)
    return {productGradient(b, g[0], getInput(), getDims())};
  // Extremes: shared equally by the elements that attain it, as PyTorch's amax.
  Value extreme = b.broadcastMissing(getOutput(), getInput(), getDims());
  Value attains = b.compare(Predicate::Eq, getInput(), extreme);
  Value count = b.sum(
      b.cast(attains, Build::typeOf(getInput()).getElementType()), getDims());
  Value share = b.broadcastMissing(b.div(g[0], count), getInput(), getDims());
  return {b.keep(attains, share)};
}

SmallVector<Value> ReshapeOp::buildGradient(OpBuilder &builder,
                                            ArrayRef<Value> g,
                                            ArrayRef<bool> wanted) {
  if (!wanted[0] || !g[0])
    return {Value()};
  Build b(builder, getLoc());
  return {b.reshape(g[0], Build::typeOf(getInput()).getShape())};
}

SmallVector<Value> TransposeOp::buildGradient(OpBuilder &builder,
                                              ArrayRef<Value> g,
                                              ArrayRef<bool> wanted) {
  if (!wanted[0] || !g[0])
    return {Value()};
  Build b(builder, getLoc());
  SmallVector<int64_t> inverse(getPermutation().size());
  for (auto [i, dim] : llvm::enumerate(getPermutation()))
    inverse[dim] = i;
  return {b.transpose(g[0], inverse)};
}

SmallVector<Value> SliceOp::buildGradient(OpBuilder &builder, ArrayRef<Value> g,
                                          ArrayRef<bool> wanted) {
  if (!wanted[0] || !g[0])
    return {Value()};
  Build b(builder, getLoc());
  // Zeros around the gradient, one dim after the other.
  Value padded = g[0];
  auto zeros = [&](int64_t dim, int64_t count) {
    SmallVector<int64_t> shape(Build::typeOf(padded).getShape());
    shape[dim] = count;
    return b.splat(Build::typeOf(padded).clone(shape), 0);
  };
  for (auto [dim, offset] : llvm::enumerate(getOffsets())) {
    int64_t size = Build::typeOf(getInput()).getDimSize(dim);
    int64_t after = size - offset - Build::typeOf(padded).getDimSize(dim);
    SmallVector<Value> parts;
    if (offset > 0)
      parts.push_back(zeros(dim, offset));
    parts.push_back(padded);
    if (after > 0)
      parts.push_back(zeros(dim, after));
    padded = b.concat(parts, dim);
  }
  return {padded};
}

SmallVector<Value> ConcatOp::buildGradient(OpBuilder &builder,
                                           ArrayRef<Value> g,
                                           ArrayRef<bool> wanted) {
  Gradients gradients(getInputs().size());
  if (!g[0])
    return gradients;
  Build b(builder, getLoc());
  SmallVector<int64_t> offsets(Build::rankOf(g[0]), 0);
  for (auto [i, input] : llvm::enumerate(getInputs())) {
    if (wanted[i])
      gradients[i] = b.slice(g[0], offsets, Build::typeOf(input).getShape());
    offsets[getDim()] += Build::typeOf(input).getDimSize(getDim());
  }
  return gradients;
}

//===----------------------------------------------------------------------===//
// Linear algebra and tables
//===----------------------------------------------------------------------===//

namespace {

/// An operand of a matrix product: which operand dim of the op that is being
/// differentiated each of its dims stands for. Dims in `batch` and `contract`
/// are paired by position.
struct Factor {
  Value value;
  SmallVector<int64_t> batch, contract;
  /// What its free dims, in order, are in the wanted operand.
  SmallVector<int64_t> freeMeaning;
};

/// The product of two factors, whose batch dims are `batchMeaning` in the
/// wanted operand, with dims in that operand's order. The order of the factors
/// is the one that needs no transpose, if there is one.
Value product(Build &b, const Factor &lhs, const Factor &rhs,
              ArrayRef<int64_t> batchMeaning) {
  auto meaningOf = [&](const Factor &first, const Factor &second) {
    SmallVector<int64_t> meaning(batchMeaning);
    llvm::append_range(meaning, first.freeMeaning);
    llvm::append_range(meaning, second.freeMeaning);
    return meaning;
  };
  const Factor *first = &lhs, *second = &rhs;
  SmallVector<int64_t> meaning = meaningOf(lhs, rhs);
  if (!llvm::is_sorted(meaning)) {
    SmallVector<int64_t> swapped = meaningOf(rhs, lhs);
    if (llvm::is_sorted(swapped)) {
      std::swap(first, second);
      meaning = swapped;
    }
  }
  SmallVector<int64_t> shape;
  auto sizeOf = [](const Factor &f, int64_t dim) {
    return Build::typeOf(f.value).getDimSize(dim);
  };
  for (int64_t dim : first->batch)
    shape.push_back(sizeOf(*first, dim));
  for (const Factor *factor : {first, second}) {
    SmallVector<int64_t> used(factor->batch);
    llvm::append_range(used, factor->contract);
    for (int64_t dim : Build::otherDims(Build::rankOf(factor->value), used))
      shape.push_back(sizeOf(*factor, dim));
  }
  Value result = MatmulOp::create(
      b.builder, b.loc, Build::typeOf(first->value).clone(shape), first->value,
      second->value, first->batch, second->batch, first->contract,
      second->contract);
  SmallVector<int64_t> permutation(meaning.size());
  for (auto [i, dim] : llvm::enumerate(meaning))
    permutation[dim] = i;
  return b.transpose(result, permutation);
}

} // namespace

SmallVector<Value> MatmulOp::buildGradient(OpBuilder &builder,
                                           ArrayRef<Value> g,
                                           ArrayRef<bool> wanted) {
  if (!g[0])
    return {Value(), Value()};
  Build b(builder, getLoc());
  SmallVector<int64_t> lhsFree = getLhsFree(), rhsFree = getRhsFree();
  // The gradient's dims: batch, free of lhs, free of rhs.
  int64_t numBatch = getLhsBatch().size();
  auto range = [](int64_t from, int64_t count) {
    return llvm::to_vector(llvm::seq<int64_t>(from, from + count));
  };
  SmallVector<int64_t> batch = range(0, numBatch);
  SmallVector<int64_t> ofLhs = range(numBatch, lhsFree.size());
  SmallVector<int64_t> ofRhs = range(numBatch + lhsFree.size(), rhsFree.size());

  // The contracted dims of one side in ascending order, as dims of the other.
  auto contractedAs = [](ArrayRef<int64_t> side, ArrayRef<int64_t> other) {
    SmallVector<std::pair<int64_t, int64_t>> pairs;
    for (auto [s, o] : llvm::zip(side, other))
      pairs.push_back({s, o});
    llvm::sort(pairs);
    SmallVector<int64_t> dims;
    for (auto [s, o] : pairs)
      dims.push_back(o);
    return dims;
  };

  Gradients gradients(2);
  if (wanted[0]) {
    Factor gradient{g[0], batch, ofRhs, lhsFree};
    Factor other{getRhs(), SmallVector<int64_t>(getRhsBatch()), rhsFree,
                 contractedAs(getRhsContract(), getLhsContract())};
    gradients[0] = product(b, gradient, other, getLhsBatch());
  }
  if (wanted[1]) {
    Factor gradient{g[0], batch, ofLhs, rhsFree};
    Factor other{getLhs(), SmallVector<int64_t>(getLhsBatch()), lhsFree,
                 contractedAs(getLhsContract(), getRhsContract())};
    gradients[1] = product(b, other, gradient, getRhsBatch());
  }
  return gradients;
}

SmallVector<Value> EmbeddingOp::buildGradient(OpBuilder &builder,
                                              ArrayRef<Value> g,
                                              ArrayRef<bool> wanted) {
  if (!wanted[0] || !g[0])
    return {Value(), Value()};
  return {EmbeddingGradOp::create(builder, getLoc(), getTable().getType(),
                                  getIndices(), g[0]),
          Value()};
}

SmallVector<Value> EmbeddingGradOp::buildGradient(OpBuilder &builder,
                                                  ArrayRef<Value> g,
                                                  ArrayRef<bool> wanted) {
  if (!wanted[1] || !g[0])
    return {Value(), Value()};
  return {Value(),
          EmbeddingOp::create(builder, getLoc(), getUpdates().getType(), g[0],
                              getIndices())};
}

//===----------------------------------------------------------------------===//
// Normalisation and softmax
//===----------------------------------------------------------------------===//

SmallVector<Value> LayerNormOp::buildGradient(OpBuilder &builder,
                                              ArrayRef<Value> resultGradients,
                                              ArrayRef<bool> wanted) {
  if (!onlyFirstResult(getOperation(), resultGradients))
    return {};
  Value g = resultGradients[0];
  Gradients gradients(3);
  if (!g)
    return gradients;
  Build b(builder, getLoc());
  Value x = getInput();
  Value rstd = b.broadcastRows(getRstd(), x);
  Value normal = b.mul(b.sub(x, b.broadcastRows(getMean(), x)), rstd);
  if (wanted[0]) {
    // rstd (d - mean(d) - normal mean(d normal)), d the gradient of normal.
    double scale = 1.0 / Build::typeOf(x).getShape().back();
    Value d = b.mul(g, b.broadcastLast(getScale(), x));
    Value meanD = b.mul(b.sumLast(d), scale);
    Value meanDn = b.mul(b.sumLast(b.mul(d, normal)), scale);
    Value centred = b.sub(b.sub(d, b.broadcastRows(meanD, x)),
                          b.mul(normal, b.broadcastRows(meanDn, x)));
    gradients[0] = b.mul(centred, rstd);
  }
  if (wanted[1])
    gradients[1] = b.sumLeading(b.mul(g, normal));
  if (wanted[2])
    gradients[2] = b.sumLeading(g);
  return gradients;
}

SmallVector<Value> RmsNormOp::buildGradient(OpBuilder &builder,
                                            ArrayRef<Value> resultGradients,
                                            ArrayRef<bool> wanted) {
  if (!onlyFirstResult(getOperation(), resultGradients))
    return {};
  Value g = resultGradients[0];
  Gradients gradients(2);
  if (!g)
    return gradients;
  Build b(builder, getLoc());
  Value x = getInput();
  Value rstd = b.broadcastRows(getRstd(), x);
  Value normal = b.mul(x, rstd);
  if (wanted[0]) {
    // rstd (d - normal mean(d normal)), d the gradient of normal.
    double scale = 1.0 / Build::typeOf(x).getShape().back();
    Value d = b.mul(g, b.broadcastLast(getScale(), x));
    Value meanDn = b.mul(b.sumLast(b.mul(d, normal)), scale);
    Value centred = b.sub(d, b.mul(normal, b.broadcastRows(meanDn, x)));
    gradients[0] = b.mul(centred, rstd);
  }
  if (wanted[1])
    gradients[1] = b.sumLeading(b.mul(g, normal));
  return gradients;
}

SmallVector<Value> SoftmaxOp::buildGradient(OpBuilder &builder,
                                            ArrayRef<Value> resultGradients,
                                            ArrayRef<bool> wanted) {
  return unaryGradient(getOperation(), builder, resultGradients, wanted,
                       [](Build &b, Value, Value y, Value g) {
                         Value dot = b.sumLast(b.mul(g, y));
                         return b.mul(y, b.sub(g, b.broadcastRows(dot, y)));
                       });
}

SmallVector<Value>
CrossEntropyOp::buildGradient(OpBuilder &builder,
                              ArrayRef<Value> resultGradients,
                              ArrayRef<bool> wanted) {
  if (!onlyFirstResult(getOperation(), resultGradients))
    return {};
  if (!wanted[0] || !resultGradients[0])
    return {Value(), Value()};
  return {CrossEntropyGradOp::create(builder, getLoc(), getLogits().getType(),
                                     getLogits(), getLabels(), getLse(),
                                     resultGradients[0], getIgnoreIndex()),
          Value()};
}

SmallVector<Value> CrossEntropyGradOp::buildGradient(OpBuilder &,
                                                     ArrayRef<Value>,
                                                     ArrayRef<bool>) {
  return notDifferentiable(*this, "it is a gradient, and second derivatives "
                                  "are not supported");
}

//===----------------------------------------------------------------------===//
// Attention and dropout
//===----------------------------------------------------------------------===//

SmallVector<Value> RopeOp::buildGradient(OpBuilder &builder, ArrayRef<Value> g,
                                         ArrayRef<bool> wanted) {
  Gradients gradients(3);
  if (!g[0])
    return gradients;
  Build b(builder, getLoc());
  Value x = getInput();
  // A rotation's transpose is the rotation back.
  if (wanted[0])
    gradients[0] = RopeOp::create(builder, getLoc(), x.getType(), g[0],
                                  getCos(), b.neg(getSin()), getSeqDim());
  if (!wanted[1] && !wanted[2])
    return gradients;

  int64_t last = Build::rankOf(x) - 1;
  SmallVector<int64_t> shape(Build::typeOf(x).getShape());
  shape[last] /= 2;
  auto halves = [&](Value v) {
    SmallVector<int64_t> offsets(last + 1, 0);
    Value first = b.slice(v, offsets, shape);
    offsets[last] = shape[last];
    return std::pair<Value, Value>(first, b.slice(v, offsets, shape));
  };
  auto [x0, x1] = halves(x);
  auto [g0, g1] = halves(g[0]);
  SmallVector<int64_t> others =
      Build::otherDims(last + 1, {static_cast<int64_t>(getSeqDim()), last});
  if (wanted[1])
    gradients[1] = b.sum(b.add(b.mul(g0, x0), b.mul(g1, x1)), others);
  if (wanted[2])
    gradients[2] = b.sum(b.sub(b.mul(g1, x0), b.mul(g0, x1)), others);
  return gradients;
}

SmallVector<Value> AttentionOp::buildGradient(OpBuilder &builder,
                                              ArrayRef<Value> resultGradients,
                                              ArrayRef<bool>) {
  if (!onlyFirstResult(getOperation(), resultGradients))
    return {};
  Gradients gradients(getNumOperands()); // positions have none
  if (!resultGradients[0])
    return gradients;
  auto gradient = AttentionGradOp::create(
      builder, getLoc(), getQuery().getType(), getKey().getType(),
      getValue().getType(), getQuery(), getKey(), getValue(), getOutput(),
      getLse(), resultGradients[0], getPositions(), getScale(), getCausal());
  llvm::copy(gradient->getResults(), gradients.begin());
  return gradients;
}

SmallVector<Value> AttentionGradOp::buildGradient(OpBuilder &, ArrayRef<Value>,
                                                  ArrayRef<bool>) {
  return notDifferentiable(*this, "it is a gradient, and second derivatives "
                                  "are not supported");
}

SmallVector<Value> DropoutOp::buildGradient(OpBuilder &builder,
                                            ArrayRef<Value> g,
                                            ArrayRef<bool> wanted) {
  if (!wanted[0] || !g[0])
    return {Value(), Value(), Value()};
  // The same site: the same elements are dropped.
  return {DropoutOp::create(builder, getLoc(), getInput().getType(), g[0],
                            getSeed(), getStep(), getRate(), getSite()),
          Value(), Value()};
}

//===----------------------------------------------------------------------===//
// Optimizers
//===----------------------------------------------------------------------===//

SmallVector<Value> AdamWOp::buildGradient(OpBuilder &, ArrayRef<Value>,
                                          ArrayRef<bool>) {
  return notDifferentiable(*this, "an optimizer's update has no gradient");
}

SmallVector<Value> SgdOp::buildGradient(OpBuilder &, ArrayRef<Value>,
                                        ArrayRef<bool>) {
  return notDifferentiable(*this, "an optimizer's update has no gradient");
}
