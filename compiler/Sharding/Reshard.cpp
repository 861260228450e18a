// SPDX-License-Identifier: Apache-2.0
#include "compiler/Sharding/Reshard.h"

using namespace mlir;
using namespace weir;
using namespace weir::compiler;
using dist::AxisLayout;
using Kind = ReshardStep::Kind;

namespace {

/// The state of a reshard under way.
class Planner {
public:
  Planner(ArrayRef<AxisLayout> from, ArrayRef<AxisLayout> to,
          dist::MeshAttr mesh)
      : current(from), target(to), mesh(mesh) {
    for (ArrayRef<AxisLayout> layout : {from, to})
      for (const AxisLayout &axis : layout)
        if (axis.isSplit())
          numDims = std::max(numDims, axis.dim + 1);
  }

  FailureOr<SmallVector<ReshardStep>> plan() {
    int time = mesh.getTimeAxis();
    if (time >= 0 && current[time] != target[time])
      return failure();
    while (ArrayRef(current) != ArrayRef(target))
      if (!extend(Kind::LocalSlice) && !extend(Kind::ReduceScatter) &&
          !exchange() && !reduce() && !gather() && !makePartial())
        return failure();
    return std::move(steps);
  }

private:
  using Axes = SmallVector<int64_t, 4>;

  static Axes axesOf(ArrayRef<AxisLayout> layout, int64_t dim) {
    Axes axes;
    for (auto [a, entry] : llvm::enumerate(layout))
      if (entry.isSplit(dim))
        axes.push_back(a);
    return axes;
  }

  /// The splits that `dim` still lacks, when those it has are the outermost of
  /// its target's; nothing otherwise.
  Axes missing(int64_t dim) {
    Axes now = axesOf(current, dim), goal = axesOf(target, dim);
    if (now.size() > goal.size() ||
        ArrayRef(goal).take_front(now.size()) != ArrayRef(now))
      return {};
    return Axes(ArrayRef(goal).drop_front(now.size()));
  }

  /// The innermost splits of `dim` that have to go: what lies beyond the
  /// longest common prefix with the target.
  Axes leaving(int64_t dim) {
    Axes now = axesOf(current, dim), goal = axesOf(target, dim);
    size_t keep = 0;
    while (keep < now.size() && keep < goal.size() && now[keep] == goal[keep])
      ++keep;
    return Axes(ArrayRef(now).drop_front(keep));
  }

  void push(ReshardStep step) {
    step.result.assign(current.begin(), current.end());
    steps.push_back(std::move(step));
  }

  /// Adds missing splits of axes that hold the whole value (LocalSlice) or
  /// terms of one reduction (ReduceScatter).
  bool extend(Kind kind) {
    for (int64_t dim = 0; dim < numDims; ++dim) {
      ReshardStep step;
      step.kind = kind;
      step.dim = dim;
      for (int64_t axis : missing(dim)) {
        const AxisLayout &entry = current[axis];
        if (kind == Kind::LocalSlice ? !entry.isBroadcast()
                                     : !entry.isPartial())
          break;
        if (kind == Kind::ReduceScatter) {
          if (step.axes.empty())
            step.reduction = entry.reduction;
          else if (entry.reduction != step.reduction)
            break;
        }
        step.axes.push_back(axis);
      }
      if (step.axes.empty())
        continue;
      for (int64_t axis : step.axes)
        current[axis] = AxisLayout::split(dim);
      push(std::move(step));
      return true;
    }
    return false;
  }

  /// Moves the longest possible run of innermost splits to another dimension.
  bool exchange() {
    for (int64_t dim = 0; dim < numDims; ++dim) {
      Axes out = leaving(dim);
      for (size_t first = 0; first < out.size(); ++first) {
        ArrayRef<int64_t> run = ArrayRef(out).drop_front(first);
        if (llvm::is_contained(run, mesh.getTimeAxis()))
          continue;
        for (int64_t to = 0; to < numDims; ++to) {
          if (to == dim || ArrayRef(missing(to)).take_front(run.size()) != run)
            continue;
          ReshardStep step;
          step.kind = Kind::AllToAll;
          step.dim = dim;
          step.toDim = to;
          step.axes.assign(run.begin(), run.end());
          for (int64_t axis : run)
            current[axis] = AxisLayout::split(to);
          push(std::move(step));
          return true;
        }
      }
    }
    return false;
  }

  /// Reduces the axes that have to become whole.
  bool reduce() {
    ReshardStep step;
    step.kind = Kind::AllReduce;
    for (auto [a, entry] : llvm::enumerate(current)) {
      if (!entry.isPartial() || target[a].isSplit() || target[a] == entry)
        continue;
      if (!step.axes.empty() && entry.reduction != step.reduction)
        continue;
      step.reduction = entry.reduction;
      step.axes.push_back(a);
    }
    if (step.axes.empty())
      return false;
    for (int64_t axis : step.axes)
      current[axis] = AxisLayout::broadcast();
    push(std::move(step));
    return true;
  }

  /// Removes innermost splits. Axes that wait for a place on another dimension
  /// are gathered one at a time, since the next may find its place then.
  bool gather() {
    for (int64_t dim = 0; dim < numDims; ++dim) {
      Axes out = leaving(dim);
      if (out.empty() || out.back() == mesh.getTimeAxis())
        continue;
      auto movesOn = [&](int64_t axis) {
        return target[axis].isSplit() && target[axis].dim != dim;
      };
      size_t first = out.size() - 1;
      if (!movesOn(out[first]))
        while (first > 0 && !movesOn(out[first - 1]))
          --first;
      ReshardStep step;
      step.kind = Kind::AllGather;
      step.dim = dim;
      step.axes.assign(out.begin() + first, out.end());
      for (int64_t axis : step.axes)
        current[axis] = AxisLayout::broadcast();
      push(std::move(step));
      return true;
    }
    return false;
  }

  bool makePartial() {
    ReshardStep step;
    step.kind = Kind::ToPartial;
    for (auto [a, entry] : llvm::enumerate(current)) {
      if (!entry.isBroadcast() || !target[a].isPartial())
        continue;
      if (!step.axes.empty() && target[a].reduction != step.reduction)
        continue;
      step.reduction = target[a].reduction;
      step.axes.push_back(a);
    }
    if (step.axes.empty())
      return false;
    for (int64_t axis : step.axes)
      current[axis] = target[axis];
    push(std::move(step));
    return true;
  }

  SmallVector<AxisLayout, 4> current, target;
  dist::MeshAttr mesh;
  int64_t numDims = 0;
  SmallVector<ReshardStep> steps;
};

} // namespace

FailureOr<SmallVector<ReshardStep>>
weir::compiler::planReshard(ArrayRef<AxisLayout> from, ArrayRef<AxisLayout> to,
                            dist::MeshAttr mesh) {
  return Planner(from, to, mesh).plan();
}

double weir::compiler::reshardCost(ArrayRef<ReshardStep> steps,
                                   ArrayRef<AxisLayout> from,
                                   dist::MeshAttr mesh, double bytes) {
  auto local = [&](ArrayRef<AxisLayout> layout) {
    double size = bytes;
    for (auto [a, entry] : llvm::enumerate(layout))
      if (entry.isSplit())
        size /= static_cast<double>(mesh.getSizes()[a]);
    return size;
  };
  double cost = 0, before = local(from);
  for (const ReshardStep &step : steps) {
    double group = 1, after = local(step.result);
    for (int64_t axis : step.axes)
      group *= static_cast<double>(mesh.getSizes()[axis]);
    double others = (group - 1) / group;
    switch (step.kind) {
    case Kind::LocalSlice:
    case Kind::ToPartial:
      break;
    case Kind::ReduceScatter:
    case Kind::AllToAll:
      cost += before * others + collectiveLatencyBytes;
      break;
    case Kind::AllReduce:
      cost += 2 * before * others + collectiveLatencyBytes;
      break;
    case Kind::AllGather:
      cost += after * others + collectiveLatencyBytes;
      break;
    }
    before = after;
  }
  return cost;
}
