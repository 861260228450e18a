// SPDX-License-Identifier: Apache-2.0
#include "compiler/Sharding/ScalarDependence.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace weir;
using namespace weir::compiler;
using dist::Reduction;

bool weir::compiler::isZeroConstant(Attribute value) {
  if (auto number = dyn_cast<FloatAttr>(value))
    return number.getValue().isZero();
  if (auto number = dyn_cast<IntegerAttr>(value))
    return number.getValue().isZero();
  if (auto elements = dyn_cast<DenseElementsAttr>(value)) {
    if (!elements.isSplat())
      return false;
    return isZeroConstant(elements.getSplatValue<Attribute>());
  }
  return false;
}

bool weir::compiler::mayBePartial(Type elementType) {
  if (isa<FloatType>(elementType))
    return true;
  auto integer = dyn_cast<IntegerType>(elementType);
  return integer && integer.getWidth() >= 32;
}

static Reduction mirrored(Reduction reduction) {
  return reduction == Reduction::Max   ? Reduction::Min
         : reduction == Reduction::Min ? Reduction::Max
                                       : Reduction::Sum;
}

std::optional<Dependence>
weir::compiler::propagateScalar(Operation &op, ArrayRef<Dependence> operands) {
  if (auto constant = dyn_cast<arith::ConstantOp>(op)) {
    Dependence result;
    result.zero = isZeroConstant(constant.getValue());
    if (auto number = dyn_cast<FloatAttr>(constant.getValue()))
      if (number.getValue().isFiniteNonZero())
        result.sign = number.getValue().isNegative() ? -1 : 1;
    return result;
  }
  if (llvm::none_of(operands, [](const Dependence &d) { return d.partial; }))
    return Dependence();
  Reduction reduction = Reduction::Sum;
  bool first = true;
  for (const Dependence &operand : operands) {
    if (!operand.partial)
      continue;
    if (!first && operand.reduction != reduction)
      return std::nullopt;
    reduction = operand.reduction;
    first = false;
  }
  Dependence term = Dependence::term(reduction);
  bool sum = reduction == Reduction::Sum;
  /// Whether an operand is a term of the same sum (0 is one everywhere).
  auto isTerm = [&](unsigned i) {
    return operands[i].partial || operands[i].zero;
  };
  if (isa<arith::AddFOp, arith::AddIOp, arith::SubFOp, arith::SubIOp>(op)) {
    bool subtract = isa<arith::SubFOp, arith::SubIOp>(op);
    if (sum) {
      if (isTerm(0) && isTerm(1))
        return term;
      return std::nullopt;
    }
    // max(x) + b is monotone in x; max(x) + max(y) is not max(x + y). Only a
    // constant is known to be finite: where b is the minimum of nothing yet, on
    // another axis, the sum of two infinities is no number. Integers overflow.
    const Dependence &other = operands[operands[0].partial ? 1 : 0];
    if (!other.zero && other.sign == 0)
      return std::nullopt;
    if (isa<arith::AddIOp, arith::SubIOp>(op))
      return std::nullopt;
    if (subtract && operands[1].partial)
      return Dependence::term(mirrored(reduction));
    return term;
  }
  if (isa<arith::NegFOp>(op))
    return sum ? term : Dependence::term(mirrored(reduction));
  /// A term times a constant of this sign, for maxima and minima.
  auto scaled = [&](int sign) -> std::optional<Dependence> {
    if (sign == 0)
      return std::nullopt;
    return Dependence::term(sign > 0 ? reduction : mirrored(reduction));
  };
  if (isa<arith::MulFOp, arith::MulIOp>(op)) {
    if (operands[0].partial && operands[1].partial)
      return std::nullopt;
    return sum ? term : scaled(operands[operands[0].partial ? 1 : 0].sign);
  }
  if (isa<arith::DivFOp>(op)) {
    if (operands[1].partial)
      return std::nullopt;
    return sum ? term : scaled(operands[1].sign);
  }
  // Widening is exact and narrowing rounds each term: linear either way.
  if (isa<arith::ExtFOp, arith::TruncFOp, arith::SIToFPOp, arith::ExtSIOp>(op))
    return term;
  if (isa<arith::SelectOp>(op)) {
    if (operands[0].partial)
      return std::nullopt;
    if (sum ? isTerm(1) && isTerm(2)
            : true /* both choices are monotone, a fixed one too */)
      return term;
    return std::nullopt;
  }
  // With a fixed operand both are monotone in the other; of two terms a maximum
  // is one of maxima only.
  bool isMax = isa<arith::MaximumFOp, arith::MaxSIOp>(op);
  if (isMax || isa<arith::MinimumFOp, arith::MinSIOp>(op)) {
    if (sum)
      return std::nullopt;
    if (operands[0].partial && operands[1].partial &&
        reduction != (isMax ? Reduction::Max : Reduction::Min))
      return std::nullopt;
    return term;
  }
  // Increasing on all reals and at the neutral element of an empty shard.
  if (isa<math::ExpOp, math::TanhOp, math::ErfOp>(op) && !sum)
    return term;
  // Increasing where they are defined: terms of a minimum lie above it, those
  // of a maximum may not (the neutral element of a maximum is negative).
  if (isa<math::LogOp, math::SqrtOp>(op) && reduction == Reduction::Min)
    return term;
  return std::nullopt;
}
