// SPDX-License-Identifier: Apache-2.0
// How the pieces that take, put, scan or sort along a dimension are split.
#include "compiler/Sharding/PieceRules.h"

using namespace mlir;
using namespace weir;
using namespace weir::compiler;
using dist::AxisLayout;
using dist::Reduction;

namespace {

//===----------------------------------------------------------------------===//
// take and put_add
//===----------------------------------------------------------------------===//

/// The two sides of a piece that goes by index: `indexed` has the dim that the
/// indices number, `spread` one element for each index.
struct ByIndex {
  Value indexed, indices, spread;
  int64_t dim;
  bool along;

  explicit ByIndex(kernel::TakeOp op)
      : indexed(op.getInput()), indices(op.getIndices()),
        spread(op.getOutput()), dim(op.getDim()), along(op.getAlong()) {}
  explicit ByIndex(kernel::PutAddOp op)
      : indexed(op.getOutput()), indices(op.getIndices()),
        spread(op.getUpdates()), dim(op.getDim()), along(op.getAlong()) {}

  void classify(DimensionClasses &classes) const {
    int64_t rank = classes.rankOf(indexed);
    int64_t count = along ? 1 : classes.rankOf(indices);
    for (int64_t d = 0; d < rank; ++d)
      if (d != dim)
        classes.unify(classes.node(indexed, d),
                      classes.node(spread, d < dim ? d : d + count - 1));
    if (along) {
      for (int64_t d = 0; d < rank; ++d)
        classes.unify(classes.node(indices, d), classes.node(spread, d));
      return;
    }
    for (int64_t d = 0; d < count; ++d)
      classes.unify(classes.node(indices, d), classes.node(spread, dim + d));
  }

  bool mayBePartialHere() const {
    return mayBePartial(
        cast<RankedTensorType>(spread.getType()).getElementType());
  }
};

/// Whether each operand is split where its dims carry the axis' class, and
/// nowhere else.
bool followsClass(Value value, const LayoutEvaluation &layouts) {
  std::optional<AxisLayout> expected = layouts.layoutOfClass(value);
  return expected && layouts.get(value) == *expected;
}

void classifyTake(Operation *op, DimensionClasses &classes) {
  ByIndex(cast<kernel::TakeOp>(op)).classify(classes);
}

bool evaluateTake(Operation *op, LayoutEvaluation &layouts) {
  ByIndex sides(cast<kernel::TakeOp>(op));
  AxisLayout input = layouts.get(sides.indexed);
  AxisLayout indices = layouts.get(sides.indices);
  if (layouts.isSplitDim(sides.indexed, sides.dim)) {
    // What lies outside a shard reads zero.
    if (!input.isSplit(sides.dim) || !indices.isBroadcast() ||
        layouts.carriesClass(sides.spread) ||
        layouts.carriesClass(sides.indices) || !sides.mayBePartialHere())
      return false;
    layouts.set(sides.spread, AxisLayout::partial());
    return true;
  }
  if (layouts.carriesClass(sides.spread))
    return followsClass(sides.indexed, layouts) &&
           followsClass(sides.indices, layouts) &&
           layouts.setSplit(sides.spread);
  if (!indices.isBroadcast() || input.isSplit())
    return false;
  // What lies outside the whole operand is zero on every coordinate.
  layouts.set(sides.spread, input);
  layouts.forwardZero(sides.indexed, sides.spread);
  return true;
}

void classifyPut(Operation *op, DimensionClasses &classes) {
  ByIndex(cast<kernel::PutAddOp>(op)).classify(classes);
}

double putWork(Operation *op) {
  return static_cast<double>(
      cast<kernel::PutAddOp>(op).getUpdates().getType().getNumElements());
}

bool evaluatePut(Operation *op, LayoutEvaluation &layouts) {
  ByIndex sides(cast<kernel::PutAddOp>(op));
  AxisLayout updates = layouts.get(sides.spread);
  AxisLayout indices = layouts.get(sides.indices);
  if (layouts.isSplitDim(sides.indexed, sides.dim)) {
    // Each coordinate keeps the updates of its own part.
    return updates.isBroadcast() && indices.isBroadcast() &&
           !layouts.carriesClass(sides.spread) &&
           layouts.setSplit(sides.indexed);
  }
  if (layouts.carriesClass(sides.spread)) {
    if (!followsClass(sides.spread, layouts) ||
        !followsClass(sides.indices, layouts))
      return false;
    layouts.splitWork += putWork(op);
    if (layouts.carriesClass(sides.indexed))
      return layouts.setSplit(sides.indexed);
    if (!sides.mayBePartialHere())
      return false;
    layouts.set(sides.indexed, AxisLayout::partial());
    return true;
  }
  if (!indices.isBroadcast() || updates.isSplit() ||
      layouts.carriesClass(sides.indexed))
    return false;
  if (updates.isPartial() && updates.reduction != Reduction::Sum)
    return false;
  layouts.set(sides.indexed, updates);
  layouts.forwardZero(sides.spread, sides.indexed);
  return true;
}

//===----------------------------------------------------------------------===//
// scan and sort
//===----------------------------------------------------------------------===//

/// Lines along `dim` are whole; other dims are one index everywhere.
void classifyLines(Operation *op, int64_t dim, DimensionClasses &classes) {
  Value input = op->getOperand(0);
  classes.restrict(classes.node(input, dim));
  for (Value result : op->getResults())
    for (int64_t d = 0, e = classes.rankOf(input); d < e; ++d) {
      if (d == dim)
        classes.restrict(classes.node(result, d));
      else
        classes.unify(classes.node(input, d), classes.node(result, d));
    }
}

double elementsOf(Value value) {
  return static_cast<double>(
      cast<RankedTensorType>(value.getType()).getNumElements());
}

void classifyScan(Operation *op, DimensionClasses &classes) {
  classifyLines(op, cast<kernel::ScanOp>(op).getDim(), classes);
}

double scanWork(Operation *op) { return elementsOf(op->getOperand(0)); }

bool evaluateScan(Operation *op, LayoutEvaluation &layouts) {
  auto scan = cast<kernel::ScanOp>(op);
  AxisLayout input = layouts.get(scan.getInput());
  if (layouts.carriesClass(scan.getOutput())) {
    if (!followsClass(scan.getInput(), layouts))
      return false;
    layouts.splitWork += scanWork(op);
    return layouts.setSplit(scan.getOutput());
  }
  // Sums of sums; a product of sums is none.
  if (input.isSplit() ||
      (input.isPartial() && (input.reduction != Reduction::Sum ||
                             scan.getCombiner() != kernel::Combiner::Sum)))
    return false;
  layouts.set(scan.getOutput(), input);
  if (scan.getCombiner() == kernel::Combiner::Sum)
    layouts.forwardZero(scan.getInput(), scan.getOutput());
  return true;
}

void classifySort(Operation *op, DimensionClasses &classes) {
  classifyLines(op, cast<kernel::SortOp>(op).getDim(), classes);
}

double sortWork(Operation *op) {
  auto sort = cast<kernel::SortOp>(op);
  int64_t size = sort.getInput().getType().getDimSize(sort.getDim());
  // Comparisons: two on each level of a heap.
  double levels = 1;
  while (size >>= 1)
    levels += 1;
  return 2 * levels * elementsOf(sort.getInput());
}

bool evaluateSort(Operation *op, LayoutEvaluation &layouts) {
  auto sort = cast<kernel::SortOp>(op);
  if (layouts.carriesClass(sort.getValues())) {
    if (!followsClass(sort.getInput(), layouts))
      return false;
    layouts.splitWork += sortWork(op);
    return layouts.setSplit(sort.getValues()) &&
           layouts.setSplit(sort.getIndices());
  }
  if (!layouts.get(sort.getInput()).isBroadcast())
    return false;
  layouts.set(sort.getValues(), AxisLayout::broadcast());
  layouts.set(sort.getIndices(), AxisLayout::broadcast());
  return true;
}

} // namespace

void weir::compiler::addAlongPieceRules(PieceRules &rules) {
  rules.add<kernel::TakeOp>({classifyTake, evaluateTake});
  rules.add<kernel::PutAddOp>({classifyPut, evaluatePut, putWork});
  rules.add<kernel::ScanOp>({classifyScan, evaluateScan, scanWork});
  rules.add<kernel::SortOp>({classifySort, evaluateSort, sortWork});
}
