// SPDX-License-Identifier: Apache-2.0
// Bytes that a reshard moves, rank by rank, and what any program has to move.
#include "compiler/Sharding/Reshard.h"

#include <algorithm>

using namespace mlir;
using namespace weir;
using namespace weir::compiler;
using dist::AxisLayout;
using Kind = ReshardStep::Kind;

namespace {

struct Interval {
  int64_t begin = 0, end = 0;
  int64_t size() const { return end - begin; }
};

/// A layout's splits, dimension by dimension.
using Splits = SmallVector<dist::ShardDim, 4>;

class ByteCounter {
public:
  ByteCounter(ArrayRef<AxisLayout> from, ArrayRef<AxisLayout> to,
              RankedTensorType logical, dist::MeshAttr mesh)
      : from(from), to(to), shape(logical.getShape()), mesh(mesh) {
    elementBytes = (logical.getElementType().getIntOrFloatBitWidth() + 7) / 8;
  }

  void count(ReshardPlan &plan) {
    SmallVector<Splits, 4> layouts = {splitsOf(from)};
    for (const ReshardStep &step : plan.steps)
      layouts.push_back(splitsOf(step.result));
    // What the bound compares: a value that becomes terms may come to lie
    // wherever it is, so over such an axis all that anybody holds counts.
    SmallVector<AxisLayout, 4> held(from), wanted(to);
    int64_t terms = 1, instances = 1, anywhere = 1;
    for (auto [axis, before, after] : llvm::enumerate(from, to)) {
      int64_t size = mesh.isTime(axis) ? 1 : mesh.getSizes()[axis];
      if (before.isPartial() && after == before)
        instances *= size;
      else if (before.isPartial())
        terms *= size;
      if (after.isPartial() && after != before) {
        anywhere *= size;
        held[axis] = AxisLayout::broadcast();
      }
    }
    Splits heldSplits = splitsOf(held), wantedSplits = splitsOf(wanted);
    layouts.push_back(heldSplits);
    layouts.push_back(wantedSplits);
    selectAxes(layouts);
    layouts.pop_back_n(2);

    SmallVector<int64_t, 8> coordinates(mesh.getNumAxes(), 0);
    int64_t largestTarget = 0, targets = 0;
    do {
      int64_t received = 0;
      for (auto [i, step] : llvm::enumerate(plan.steps))
        received += receivedIn(step, layouts[i], layouts[i + 1], coordinates);
      plan.bytesTotal += received;
      plan.bytesMax = std::max(plan.bytesMax, received);
      int64_t target = overlap(wantedSplits, wantedSplits, coordinates);
      targets += target;
      largestTarget = std::max(largestTarget, target);
      if (terms == 1) {
        int64_t lacking =
            target - overlap(heldSplits, wantedSplits, coordinates);
        plan.boundTotal += lacking;
        plan.boundMax = std::max(plan.boundMax, lacking);
      }
    } while (next(coordinates));
    int64_t ranks = mesh.getNumRanks();
    if (terms > 1) {
      // Of an element with `terms` terms on as many ranks, one rank gets the
      // sum with terms - 1 messages at the least and every other that wants it
      // with one more.
      int64_t elements = 1;
      for (int64_t size : shape)
        elements *= size;
      int64_t time = mesh.getTimeAxis();
      if (time >= 0 && from[time].isSplit())
        elements = elements / mesh.getSizes()[time];
      plan.boundTotal =
          targets * repeats / anywhere + elements * (terms - 2) * instances;
      plan.boundTotal = std::max<int64_t>(plan.boundTotal, 0);
      plan.boundMax =
          anywhere > 1
              ? (plan.boundTotal + ranks - 1) / ranks
              : std::max(largestTarget, (plan.boundTotal + ranks - 1) / ranks);
    } else {
      plan.boundTotal *= repeats;
    }
    plan.bytesTotal *= repeats;
    for (int64_t *value :
         {&plan.bytesTotal, &plan.bytesMax, &plan.boundTotal, &plan.boundMax})
      *value *= elementBytes;
  }

private:
  Splits splitsOf(ArrayRef<AxisLayout> layout) {
    Splits splits(shape.size());
    for (auto [d, dim] : llvm::enumerate(splits))
      dim.size = shape[d];
    for (auto [axis, entry] : llvm::enumerate(layout))
      if (entry.isSplit()) {
        splits[entry.dim].axes.push_back(axis);
        splits[entry.dim].unit = entry.unit;
      }
    return splits;
  }

  /// Ranks that differ on other axes than `axes` receive the same: where all
  /// splits are even, axes that every layout has outermost on one dimension.
  void selectAxes(ArrayRef<Splits> layouts) {
    bool even = true;
    for (const Splits &splits : layouts)
      for (const dist::ShardDim &dim : splits) {
        int64_t parts = 1;
        for (int64_t axis : dim.axes)
          parts *= mesh.getSizes()[axis];
        even &= dim.size % (dim.unit * parts) == 0;
      }
    for (int64_t axis = 0; axis < int64_t(mesh.getNumAxes()); ++axis) {
      if (mesh.isTime(axis))
        continue;
      bool matters = false;
      for (unsigned d = 0; d < shape.size(); ++d) {
        size_t same = even ? layouts.front()[d].axes.size() : 0;
        for (const Splits &splits : layouts) {
          size_t i = 0;
          while (i < same && i < splits[d].axes.size() &&
                 splits[d].axes[i] == layouts.front()[d].axes[i])
            ++i;
          same = i;
        }
        for (const Splits &splits : layouts)
          matters |= llvm::is_contained(
              ArrayRef<int64_t>(splits[d].axes).drop_front(same), axis);
      }
      if (matters)
        axes.push_back(axis);
      else
        repeats *= mesh.getSizes()[axis];
    }
  }

  Interval intervalOf(const dist::ShardDim &dim,
                      ArrayRef<int64_t> coordinates) {
    int64_t offset = 0, extent = dim.size / dim.unit;
    for (int64_t axis : dim.axes) {
      int64_t parts = mesh.getSizes()[axis], at = coordinates[axis];
      int64_t share = extent / parts, longer = extent % parts;
      offset += at * share + std::min(at, longer);
      extent = share + (at < longer ? 1 : 0);
    }
    return {offset * dim.unit, (offset + extent) * dim.unit};
  }

  int64_t overlap(const Splits &a, const Splits &b,
                  ArrayRef<int64_t> coordinates) {
    int64_t elements = 1;
    for (unsigned d = 0; d < shape.size(); ++d) {
      Interval x = intervalOf(a[d], coordinates);
      if (&a != &b) {
        Interval y = intervalOf(b[d], coordinates);
        x = {std::max(x.begin, y.begin), std::min(x.end, y.end)};
      }
      elements *= std::max<int64_t>(x.size(), 0);
    }
    return elements;
  }

  int64_t receivedIn(const ReshardStep &step, const Splits &before,
                     const Splits &after, ArrayRef<int64_t> coordinates) {
    int64_t group = 1;
    for (int64_t axis : step.axes)
      group *= mesh.getSizes()[axis];
    switch (step.kind) {
    case Kind::LocalSlice:
    case Kind::ToPartial:
      return 0;
    case Kind::AllReduce:
      return (2 * overlap(after, after, coordinates) * (group - 1) + group -
              1) /
             group;
    case Kind::ReduceScatter:
      return overlap(after, after, coordinates) * (group - 1);
    case Kind::AllToAll:
    case Kind::AllGather:
    case Kind::Exchange:
      return overlap(after, after, coordinates) -
             overlap(before, after, coordinates);
    }
    llvm_unreachable("unknown step");
  }

  bool next(MutableArrayRef<int64_t> coordinates) {
    for (int64_t axis : llvm::reverse(axes)) {
      if (++coordinates[axis] < mesh.getSizes()[axis])
        return true;
      coordinates[axis] = 0;
    }
    return false;
  }

  ArrayRef<AxisLayout> from, to;
  ArrayRef<int64_t> shape;
  dist::MeshAttr mesh;
  int64_t elementBytes = 1;
  SmallVector<int64_t, 4> axes; // enumerated
  int64_t repeats = 1;          // ranks for each of their coordinates
};

} // namespace

void weir::compiler::countBytes(ReshardPlan &plan, ArrayRef<AxisLayout> from,
                                ArrayRef<AxisLayout> to,
                                RankedTensorType logical, dist::MeshAttr mesh) {
  plan.bytesTotal = plan.bytesMax = plan.boundTotal = plan.boundMax = 0;
  ByteCounter(from, to, logical, mesh).count(plan);
}
