// SPDX-License-Identifier: Apache-2.0
// How the pieces that gather and scatter rows are split.
#include "compiler/Sharding/PieceRules.h"

using namespace mlir;
using namespace weir;
using namespace weir::compiler;
using dist::AxisLayout;
using dist::Reduction;

namespace {

void classifyGather(Operation *op, DimensionClasses &classes) {
  auto gather = cast<kernel::GatherOp>(op);
  int64_t rows = classes.rankOf(gather.getIndices());
  for (int64_t d = 0; d < rows; ++d)
    classes.unify(classes.node(gather.getIndices(), d),
                  classes.node(gather.getOutput(), d));
  for (int64_t d = 1, e = classes.rankOf(gather.getTable()); d < e; ++d)
    classes.unify(classes.node(gather.getTable(), d),
                  classes.node(gather.getOutput(), rows + d - 1));
}

bool evaluateGather(Operation *op, LayoutEvaluation &layouts) {
  auto gather = cast<kernel::GatherOp>(op);
  AxisLayout table = layouts.get(gather.getTable());
  AxisLayout indices = layouts.get(gather.getIndices());
  Value output = gather.getOutput();
  if (layouts.isSplitDim(gather.getTable(), 0)) {
    // Rows outside a shard read zero. Their class may reach the output through
    // other pieces: then it is split, not partial.
    if (!table.isSplit(0) || !indices.isBroadcast() ||
        layouts.carriesClass(output) ||
        !mayBePartial(gather.getOutput().getType().getElementType()))
      return false;
    layouts.set(output, AxisLayout::partial());
    return true;
  }
  if (indices.isPartial())
    return false;
  if (indices.isSplit())
    return table.isBroadcast() && layouts.setSplit(output);
  if (table.isSplit())
    return layouts.setSplit(output);
  layouts.set(output, table);
  return true;
}

void classifyScatter(Operation *op, DimensionClasses &classes) {
  auto scatter = cast<kernel::ScatterAddOp>(op);
  int64_t rows = classes.rankOf(scatter.getIndices());
  for (int64_t d = 0; d < rows; ++d)
    classes.unify(classes.node(scatter.getIndices(), d),
                  classes.node(scatter.getUpdates(), d));
  for (int64_t d = 1, e = classes.rankOf(scatter.getOutput()); d < e; ++d)
    classes.unify(classes.node(scatter.getOutput(), d),
                  classes.node(scatter.getUpdates(), rows + d - 1));
}

double scatterWork(Operation *op) {
  return static_cast<double>(
      cast<kernel::ScatterAddOp>(op).getUpdates().getType().getNumElements());
}

bool evaluateScatter(Operation *op, LayoutEvaluation &layouts) {
  auto scatter = cast<kernel::ScatterAddOp>(op);
  AxisLayout updates = layouts.get(scatter.getUpdates());
  AxisLayout indices = layouts.get(scatter.getIndices());
  Value output = scatter.getOutput();
  if (indices.isPartial())
    return false;
  if (layouts.isSplitDim(output, 0)) {
    // Each coordinate keeps the updates of its own rows.
    return updates.isBroadcast() && indices.isBroadcast() &&
           layouts.setSplit(output);
  }
  if (indices.isSplit()) {
    if (!updates.isSplit(indices.dim) || layouts.carriesClass(output))
      return false;
    layouts.set(output, AxisLayout::partial());
    layouts.splitWork += scatterWork(op);
    return true;
  }
  if (updates.isSplit()) {
    layouts.splitWork += scatterWork(op);
    return layouts.setSplit(output);
  }
  if (updates.isPartial() && updates.reduction != Reduction::Sum)
    return false;
  layouts.set(output, updates);
  return true;
}

} // namespace

void weir::compiler::addIndexedPieceRules(PieceRules &rules) {
  rules.add<kernel::GatherOp>({classifyGather, evaluateGather});
  rules.add<kernel::ScatterAddOp>(
      {classifyScatter, evaluateScatter, scatterWork});
}
