// SPDX-License-Identifier: Apache-2.0
// Folders of the graph dialect.
//
// Folders keep values and order of floating-point operations; they fold away
// identities and constants that are splats, so that no tensor's worth of
// constants is ever computed here.
#include "dialects/Graph/Graph.h"

using namespace mlir;
using namespace weir;
using namespace weir::graph;

/// The splat value of a constant operand, or none.
template <typename T> static std::optional<T> getSplat(Attribute attribute) {
  auto elements = dyn_cast_if_present<DenseElementsAttr>(attribute);
  if (!elements || !elements.isSplat())
    return std::nullopt;
  if constexpr (std::is_same_v<T, APFloat>) {
    if (!isa<FloatType>(elements.getElementType()))
      return std::nullopt;
  } else if (!isa<IntegerType>(elements.getElementType())) {
    return std::nullopt;
  }
  return elements.getSplatValue<T>();
}

/// Whether a constant operand is a splat of a whole number.
static bool isSplatOf(Attribute attribute, int64_t number) {
  if (auto value = getSplat<APFloat>(attribute))
    return value->isExactlyValue(static_cast<double>(number));
  if (auto value = getSplat<APInt>(attribute))
    return value->getBitWidth() > 1 && value->getSExtValue() == number;
  return false;
}

/// A splat of the same value in another type, or null.
static Attribute resplat(Attribute attribute, Type type) {
  auto shaped = cast<ShapedType>(type);
  if (auto value = getSplat<APFloat>(attribute))
    return DenseElementsAttr::get(shaped, ArrayRef<APFloat>(*value));
  if (auto value = getSplat<APInt>(attribute))
    return DenseElementsAttr::get(shaped, ArrayRef<APInt>(*value));
  return {};
}

/// Folds a binary op on two splats.
template <typename FloatFn, typename IntFn>
static Attribute foldBinary(Attribute lhs, Attribute rhs, Type type,
                            FloatFn foldFloat, IntFn foldInt) {
  auto shaped = cast<ShapedType>(type);
  auto leftFloat = getSplat<APFloat>(lhs), rightFloat = getSplat<APFloat>(rhs);
  if (leftFloat && rightFloat) {
    APFloat value = foldFloat(*leftFloat, *rightFloat);
    return DenseElementsAttr::get(shaped, ArrayRef<APFloat>(value));
  }
  auto leftInt = getSplat<APInt>(lhs), rightInt = getSplat<APInt>(rhs);
  if (leftInt && rightInt && leftInt->getBitWidth() > 1) {
    std::optional<APInt> value = foldInt(*leftInt, *rightInt);
    if (value)
      return DenseElementsAttr::get(shaped, ArrayRef<APInt>(*value));
  }
  return {};
}

/// `value` when it may stand for a result of `type`, else null: encodings of
/// operand and result may differ.
static OpFoldResult forward(Value value, Type type) {
  return value.getType() == type ? OpFoldResult(value) : OpFoldResult();
}

OpFoldResult AddOp::fold(FoldAdaptor adaptor) {
  // Exact but for -0.0 + (+0.0), which is +0.0 and becomes -0.0: equal
  // numbers, which compilers of tensors do not tell apart.
  if (isSplatOf(adaptor.getRhs(), 0))
    if (OpFoldResult result = forward(getLhs(), getType()))
      return result;
  if (isSplatOf(adaptor.getLhs(), 0))
    if (OpFoldResult result = forward(getRhs(), getType()))
      return result;
  return foldBinary(
      adaptor.getLhs(), adaptor.getRhs(), getType(),
      [](const APFloat &a, const APFloat &b) { return a + b; },
      [](const APInt &a, const APInt &b) { return std::optional(a + b); });
}

OpFoldResult SubOp::fold(FoldAdaptor adaptor) {
  if (isSplatOf(adaptor.getRhs(), 0))
    if (OpFoldResult result = forward(getLhs(), getType()))
      return result;
  return foldBinary(
      adaptor.getLhs(), adaptor.getRhs(), getType(),
      [](const APFloat &a, const APFloat &b) { return a - b; },
      [](const APInt &a, const APInt &b) { return std::optional(a - b); });
}

OpFoldResult MulOp::fold(FoldAdaptor adaptor) {
  if (isSplatOf(adaptor.getRhs(), 1))
    if (OpFoldResult result = forward(getLhs(), getType()))
      return result;
  if (isSplatOf(adaptor.getLhs(), 1))
    if (OpFoldResult result = forward(getRhs(), getType()))
      return result;
  return foldBinary(
      adaptor.getLhs(), adaptor.getRhs(), getType(),
      [](const APFloat &a, const APFloat &b) { return a * b; },
      [](const APInt &a, const APInt &b) { return std::optional(a * b); });
}

OpFoldResult DivOp::fold(FoldAdaptor adaptor) {
  if (isSplatOf(adaptor.getRhs(), 1))
    if (OpFoldResult result = forward(getLhs(), getType()))
      return result;
  return foldBinary(
      adaptor.getLhs(), adaptor.getRhs(), getType(),
      [](const APFloat &a, const APFloat &b) { return a / b; },
      [](const APInt &a, const APInt &b) -> std::optional<APInt> {
        bool overflow = false;
        if (b.isZero())
          return std::nullopt;
        APInt quotient = a.sdiv_ov(b, overflow);
        if (overflow)
          return std::nullopt;
        return quotient;
      });
}

OpFoldResult CastOp::fold(FoldAdaptor adaptor) {
  if (getInput().getType() == getType())
    return getInput();
  auto type = cast<ShapedType>(getType());
  Type element = type.getElementType();
  if (auto value = getSplat<APFloat>(adaptor.getInput())) {
    auto floatType = dyn_cast<FloatType>(element);
    if (!floatType)
      return {}; // out of range has no value to fold to
    bool losesInfo;
    value->convert(floatType.getFloatSemantics(), APFloat::rmNearestTiesToEven,
                   &losesInfo);
    return DenseElementsAttr::get(type, ArrayRef<APFloat>(*value));
  }
  if (auto value = getSplat<APInt>(adaptor.getInput())) {
    bool isBool = value->getBitWidth() == 1;
    if (auto floatType = dyn_cast<FloatType>(element)) {
      APFloat number(floatType.getFloatSemantics());
      number.convertFromAPInt(*value, /*IsSigned=*/!isBool,
                              APFloat::rmNearestTiesToEven);
      return DenseElementsAttr::get(type, ArrayRef<APFloat>(number));
    }
    auto intType = dyn_cast<IntegerType>(element);
    if (!intType)
      return {};
    unsigned width = intType.getWidth();
    APInt number = width == 1 ? APInt(1, !value->isZero())
                   : isBool   ? value->zextOrTrunc(width)
                              : value->sextOrTrunc(width);
    return DenseElementsAttr::get(type, ArrayRef<APInt>(number));
  }
  return {};
}

OpFoldResult ConstantOp::fold(FoldAdaptor) { return getValue(); }

OpFoldResult BroadcastOp::fold(FoldAdaptor adaptor) {
  // Dims increase strictly: equal types mean equal dims.
  if (getInput().getType() == getType())
    return getInput();
  return resplat(adaptor.getInput(), getType());
}

OpFoldResult ReduceOp::fold(FoldAdaptor adaptor) {
  if (getDims().empty())
    return forward(getInput(), getType());
  // The largest (smallest) of equal elements; a sum would round differently.
  bool isExtreme =
      getKind() == ReductionKind::Max || getKind() == ReductionKind::Min;
  if (isExtreme && getInput().getType().getNumElements())
    return resplat(adaptor.getInput(), getType());
  return {};
}

OpFoldResult ReshapeOp::fold(FoldAdaptor adaptor) {
  if (getInput().getType() == getType())
    return getInput();
  if (Attribute splat = resplat(adaptor.getInput(), getType()))
    return splat;
  // A reshape of a reshape is one; of the inverse one, none. An encoding makes
  // the intermediate shape matter (what a split means), so only plain tensors.
  auto producer = getInput().getDefiningOp<ReshapeOp>();
  if (!producer || getInput().getType().getEncoding() ||
      producer.getInput().getType().getEncoding() || getType().getEncoding())
    return {};
  if (producer.getInput().getType() == getType())
    return producer.getInput();
  getInputMutable().assign(producer.getInput());
  return getResult();
}

OpFoldResult TransposeOp::fold(FoldAdaptor adaptor) {
  bool identity = true;
  for (auto [index, dim] : llvm::enumerate(getPermutation()))
    identity &= dim == static_cast<int64_t>(index);
  if (identity)
    return forward(getInput(), getType());
  if (Attribute splat = resplat(adaptor.getInput(), getType()))
    return splat;
  auto producer = getInput().getDefiningOp<TransposeOp>();
  if (!producer || getInput().getType().getEncoding())
    return {};
  SmallVector<int64_t> composed;
  for (int64_t dim : getPermutation())
    composed.push_back(producer.getPermutation()[dim]);
  setPermutation(composed);
  getInputMutable().assign(producer.getInput());
  return getResult();
}

OpFoldResult SliceOp::fold(FoldAdaptor adaptor) {
  // Offsets lie within the operand: an equal type means all of it.
  if (getInput().getType() == getType())
    return getInput();
  return resplat(adaptor.getInput(), getType());
}
