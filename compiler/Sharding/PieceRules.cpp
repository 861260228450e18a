// SPDX-License-Identifier: Apache-2.0
// How the pieces that are loop nests or move whole dimensions are split.
#include "compiler/Sharding/PieceRules.h"

using namespace mlir;
using namespace weir;
using namespace weir::compiler;
using dist::AxisLayout;
using dist::Reduction;

std::optional<AxisLayout> LayoutEvaluation::layoutOfClass(Value value) const {
  if (!root)
    return AxisLayout::broadcast();
  return classes.layoutIn(value, *root, atoms);
}

bool LayoutEvaluation::setSplit(Value value) {
  std::optional<AxisLayout> layout = layoutOfClass(value);
  if (!layout || !layout->isSplit())
    return false;
  set(value, *layout);
  return true;
}

namespace {

//===----------------------------------------------------------------------===//
// Loop nests
//===----------------------------------------------------------------------===//

void classifyGeneric(Operation *op, DimensionClasses &classes) {
  auto generic = cast<kernel::GenericOp>(op);
  auto unifyMap = [&](Value value, AffineMap map) {
    for (auto [d, expr] : llvm::enumerate(map.getResults())) {
      if (auto loop = dyn_cast<AffineDimExpr>(expr))
        classes.unify(classes.node(value, d),
                      classes.loopNode(op, loop.getPosition()));
      else
        classes.restrict(classes.node(value, d)); // read at a constant
    }
  };
  for (auto [i, input] : llvm::enumerate(generic.getInputs()))
    unifyMap(input, generic.getInputMap(i));
  for (auto [i, output] : llvm::enumerate(generic.getOutputs()))
    unifyMap(output, generic.getOutputMap(i));
}

double genericWork(Operation *op) {
  auto generic = cast<kernel::GenericOp>(op);
  // A conversion of an index alone is no arithmetic worth splitting.
  if (generic.getInputs().empty())
    return 0;
  double points = 1, operations = 0;
  for (int64_t size : generic.getLoopSizes())
    points *= static_cast<double>(size);
  for (Operation &scalar : *generic.getBodyBlock())
    if (!isa<arith::ConstantOp, kernel::YieldOp, kernel::IndexOp>(scalar))
      ++operations;
  if (generic.getCombiner() != kernel::Combiner::None)
    ++operations;
  return points * operations;
}

/// The reduction over coordinates that combines as a generic does, or nullopt
/// where layouts have none (a product).
std::optional<Reduction> reductionOf(kernel::Combiner combiner) {
  switch (combiner) {
  case kernel::Combiner::Sum:
    return Reduction::Sum;
  case kernel::Combiner::Max:
    return Reduction::Max;
  case kernel::Combiner::Min:
    return Reduction::Min;
  default:
    return std::nullopt;
  }
}

/// How each yielded scalar depends on the partial inputs; nullopt where a body
/// op passes no partial value on.
std::optional<SmallVector<Dependence>>
dependencesOf(kernel::GenericOp generic, const LayoutEvaluation &layouts) {
  Block &body = *generic.getBodyBlock();
  DenseMap<Value, Dependence> scalars;
  for (auto [i, input] : llvm::enumerate(generic.getInputs())) {
    AxisLayout layout = layouts.get(input);
    Dependence dependence;
    if (layout.isPartial())
      dependence = Dependence::term(layout.reduction);
    dependence.zero = layouts.isZero(input);
    scalars[body.getArgument(i)] = dependence;
  }
  for (Operation &op : body) {
    SmallVector<Dependence> operands;
    for (Value operand : op.getOperands())
      operands.push_back(scalars.lookup(operand));
    if (isa<kernel::YieldOp>(op))
      return operands;
    std::optional<Dependence> result = propagateScalar(op, operands);
    if (!result)
      return std::nullopt;
    for (Value value : op.getResults())
      scalars[value] = *result;
  }
  return std::nullopt; // no terminator: not verified
}

bool evaluateGeneric(Operation *op, LayoutEvaluation &layouts) {
  auto generic = cast<kernel::GenericOp>(op);
  int splitLoop = -1;
  for (unsigned l = 0, e = generic.getNumLoops(); l < e; ++l) {
    if (!layouts.inClass(layouts.classes.loopNode(op, l)))
      continue;
    if (splitLoop >= 0)
      return false; // the diagonal of a product of two dimensions
    splitLoop = l;
  }
  auto positionOf = [&](AffineMap map) -> int {
    for (auto [d, expr] : llvm::enumerate(map.getResults()))
      if (auto loop = dyn_cast<AffineDimExpr>(expr))
        if (static_cast<int>(loop.getPosition()) == splitLoop)
          return d;
    return -1;
  };
  bool anyPartial = false;
  for (auto [i, input] : llvm::enumerate(generic.getInputs())) {
    AxisLayout layout = layouts.get(input);
    // A scalar that the body ignores gives the loops their sizes only.
    anyPartial |= layout.isPartial() &&
                  !generic.getBodyBlock()->getArgument(i).use_empty();
    int position = splitLoop < 0 ? -1 : positionOf(generic.getInputMap(i));
    if (position >= 0 ? !layout.isSplit(position) : layout.isSplit())
      return false;
  }
  // Terms of the axis' reduction and points of a split loop at once: every
  // coordinate would combine its term with its own points only.
  if (splitLoop >= 0 && anyPartial)
    return false;
  if (splitLoop >= 0)
    layouts.splitWork += genericWork(op);
  std::optional<SmallVector<Dependence>> yielded =
      dependencesOf(generic, layouts);
  if (!yielded)
    return false;
  std::optional<Reduction> reduction = reductionOf(generic.getCombiner());
  for (auto [i, output] : llvm::enumerate(generic.getOutputs())) {
    AffineMap map = generic.getOutputMap(i);
    bool reduces = map.getNumResults() < generic.getNumLoops();
    if (splitLoop >= 0) {
      if (positionOf(map) >= 0) {
        if (!layouts.setSplit(output))
          return false;
        continue;
      }
      if (!reduction ||
          !mayBePartial(
              cast<RankedTensorType>(output.getType()).getElementType()))
        return false;
      layouts.set(output, AxisLayout::partial(*reduction));
      continue;
    }
    const Dependence &scalar = (*yielded)[i];
    if (!scalar.partial) {
      layouts.set(output, AxisLayout::broadcast());
      if (scalar.zero && (!reduces || reduction == Reduction::Sum))
        layouts.setZero(output);
      continue;
    }
    if (reduces && reduction != scalar.reduction)
      return false;
    layouts.set(output, AxisLayout::partial(scalar.reduction));
  }
  return true;
}

//===----------------------------------------------------------------------===//
// Whole dimensions
//===----------------------------------------------------------------------===//

void classifyTranspose(Operation *op, DimensionClasses &classes) {
  auto transpose = cast<kernel::TransposeOp>(op);
  for (auto [d, source] : llvm::enumerate(transpose.getPermutation()))
    classes.unify(classes.node(transpose.getOutput(), d),
                  classes.node(transpose.getInput(), source));
}

void classifyReshape(Operation *op, DimensionClasses &classes) {
  classes.unifyReshape(op->getOperand(0), op->getResult(0));
}

void classifySlice(Operation *op, DimensionClasses &classes) {
  Value input = op->getOperand(0), output = op->getResult(0);
  for (int64_t d = 0, e = classes.rankOf(input); d < e; ++d) {
    DimShape in = classes.shapeOf(input, d), out = classes.shapeOf(output, d);
    if (in.logical == out.logical && in.local == out.local) {
      classes.unify(classes.node(input, d), classes.node(output, d));
    } else {
      classes.restrict(classes.node(input, d));
      classes.restrict(classes.node(output, d));
    }
  }
}

/// One operand whose elements are moved, in a layout that follows them.
bool evaluateMove(Operation *op, LayoutEvaluation &layouts) {
  Value input = op->getOperand(0), output = op->getResult(0);
  AxisLayout in = layouts.get(input);
  if (in.isSplit())
    return layouts.setSplit(output);
  if (layouts.carriesClass(output))
    return false;
  layouts.set(output, in);
  layouts.forwardZero(input, output);
  return true;
}

void classifyConcat(Operation *op, DimensionClasses &classes) {
  auto concat = cast<kernel::ConcatOp>(op);
  for (Value input : concat.getInputs())
    for (int64_t d = 0, e = classes.rankOf(input); d < e; ++d) {
      if (d == static_cast<int64_t>(concat.getDim()) &&
          concat.getInputs().size() > 1) {
        classes.restrict(classes.node(input, d));
        classes.restrict(classes.node(concat.getOutput(), d));
        continue;
      }
      classes.unify(classes.node(input, d),
                    classes.node(concat.getOutput(), d));
    }
}

bool evaluateConcat(Operation *op, LayoutEvaluation &layouts) {
  auto concat = cast<kernel::ConcatOp>(op);
  AxisLayout common;
  bool first = true, partial = false, sum = false;
  for (Value input : concat.getInputs())
    if (layouts.get(input).isPartial()) {
      partial = true;
      sum |= layouts.get(input).reduction == Reduction::Sum;
    }
  for (Value input : concat.getInputs()) {
    AxisLayout layout = layouts.get(input);
    // 0 is a term of every sum, an element itself of its maximum and minimum.
    if (partial && layout.isBroadcast() && (!sum || layouts.isZero(input)))
      continue;
    if (!first && layout != common)
      return false;
    common = layout;
    first = false;
  }
  layouts.set(concat.getOutput(), common);
  return true;
}

void classifyConstant(Operation *op, DimensionClasses &classes) {
  auto constant = cast<kernel::ConstantOp>(op);
  auto elements = dyn_cast<DenseElementsAttr>(constant.getValue());
  if (!elements || !elements.isSplat())
    classes.restrictAll(constant.getOutput());
}

bool evaluateConstant(Operation *op, LayoutEvaluation &layouts) {
  auto constant = cast<kernel::ConstantOp>(op);
  std::optional<AxisLayout> layout =
      layouts.layoutOfClass(constant.getOutput());
  if (!layout)
    return false;
  layouts.set(constant.getOutput(), *layout);
  if (isZeroConstant(constant.getValue()))
    layouts.setZero(constant.getOutput());
  return true;
}

//===----------------------------------------------------------------------===//
// Any other piece
//===----------------------------------------------------------------------===//

void classifyOther(Operation *op, DimensionClasses &classes) {
  for (Value value : op->getOperands())
    if (isa<RankedTensorType>(value.getType()))
      classes.restrictAll(value);
  for (Value value : op->getResults())
    if (isa<RankedTensorType>(value.getType()))
      classes.restrictAll(value);
}

bool evaluateOther(Operation *op, LayoutEvaluation &layouts) {
  for (Value value : op->getOperands())
    if (!layouts.get(value).isBroadcast())
      return false;
  for (Value value : op->getResults())
    layouts.set(value, AxisLayout::broadcast());
  return true;
}

} // namespace

void weir::compiler::addStructuredPieceRules(PieceRules &rules) {
  rules.add<kernel::GenericOp>({classifyGeneric, evaluateGeneric, genericWork});
  rules.add<kernel::TransposeOp>({classifyTranspose, evaluateMove});
  rules.add<kernel::ReshapeOp>({classifyReshape, evaluateMove});
  rules.add<kernel::SliceOp>({classifySlice, evaluateMove});
  rules.add<kernel::ConcatOp>({classifyConcat, evaluateConcat});
  rules.add<kernel::ConstantOp>({classifyConstant, evaluateConstant});
}

PieceRules::PieceRules() {
  other = {classifyOther, evaluateOther};
  addStructuredPieceRules(*this);
  addIndexedPieceRules(*this);
  addAlongPieceRules(*this);
}

const PieceRules &PieceRules::get() {
  static const PieceRules rules;
  return rules;
}

const PieceRule &PieceRules::lookup(Operation *op) const {
  auto found = rules.find(op->getName().getTypeID());
  return found == rules.end() ? other : found->second;
}
