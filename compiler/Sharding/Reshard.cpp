// SPDX-License-Identifier: Apache-2.0
#include "compiler/Sharding/Reshard.h"

#include "llvm/ADT/DenseMap.h"

#include <array>
#include <limits>
#include <queue>

using namespace mlir;
using namespace weir;
using namespace weir::compiler;
using dist::AxisLayout;
using Kind = ReshardStep::Kind;

namespace {

// Far below any real time, far above what sums of times are rounded by: of
// programs that cost the same, the one with fewer steps, and named collectives
// before exchanges.
constexpr double localStepPenalty = 1e-11;
constexpr double collectivePenalty = 1e-10;
constexpr double exchangePenalty = 1e-9;

/// A* over layouts. The state is a code for each mesh axis; splits of a
/// dimension nest in mesh order, so a state is a layout. Every dimension is
/// split in one unit at a time, the source's or the target's.
class Search {
public:
  static constexpr unsigned maxAxes = 16;

  Search(ArrayRef<AxisLayout> from, ArrayRef<AxisLayout> to,
         RankedTensorType logical, dist::MeshAttr mesh,
         const CollectiveCost &cost)
      : source(from), mesh(mesh), cost(cost), numAxes(from.size()) {
    double element = (logical.getElementType().getIntOrFloatBitWidth() + 7) / 8;
    elementBytes = element;
    for (int64_t size : logical.getShape())
      dims.push_back({size, {1, 1}, false});
    for (const AxisLayout &entry : to)
      if (entry.isSplit())
        dims[entry.dim].units = {entry.unit, entry.unit};
    for (const AxisLayout &entry : from)
      if (entry.isSplit()) {
        dims[entry.dim].units[0] = entry.unit;
        if (!splitBy(to, entry.dim))
          dims[entry.dim].units[1] = entry.unit;
      }
    for (unsigned axis = 0; axis < std::min(numAxes, maxAxes); ++axis) {
      parts[axis] = mesh.getSizes()[axis];
      sizes[axis] = mesh.isTime(axis) ? 1 : parts[axis];
    }
  }

  FailureOr<SmallVector<ReshardStep>> run(ArrayRef<AxisLayout> to,
                                          double &seconds) {
    if (numAxes > maxAxes)
      return failure();
    int time = mesh.getTimeAxis();
    if (time >= 0 && source[time] != to[time])
      return failure();
    if (time >= 0 && source[time].isSplit()) {
      // Its splits are parts of micro-batches.
      Dim &dim = dims[source[time].dim];
      dim.frozen = true;
      for (unsigned axis = 0; axis < numAxes; ++axis)
        if ((source[axis].isSplit(source[time].dim) ||
             to[axis].isSplit(source[time].dim)) &&
            source[axis] != to[axis])
          return failure();
    }
    State start = encode(source);
    target = encode(to);
    describe(target, targetShape);
    nodes.push_back({start, 0, -1, {}});
    best[keyOf(start)] = 0;
    open.push({estimate(start), 0});
    while (!open.empty()) {
      auto [total, index] = open.top();
      open.pop();
      if (best.lookup(keyOf(nodes[index].state)) != index)
        continue; // a cheaper way was found since
      if (nodes[index].state == target)
        return finish(index, seconds);
      expand(index);
    }
    return failure();
  }

private:
  using State = std::array<uint8_t, maxAxes>;
  using Axes = SmallVector<int64_t, 4>;
  // Codes: 0 broadcast, 1 to 3 partial, then two for each dimension.
  static constexpr uint8_t whole = 0, firstPartial = 1, firstSplit = 4;

  struct Dim {
    int64_t size;
    std::array<int64_t, 2> units; // of source and target
    bool frozen;
  };
  /// What a state says, dimension by dimension.
  struct Shape {
    SmallVector<Axes, 4> axes;
    SmallVector<uint8_t, 4> unit; // which of the units
    SmallVector<double, 4> capacity;
    double elements = 1; // of the largest shard
  };
  struct Node {
    State state;
    double cost;
    int parent;
    ReshardStep step; // that led here; without its result
  };
  struct Open {
    double total;
    unsigned node;
    bool operator<(const Open &other) const { // the queue's top is the largest
      return total != other.total ? total > other.total : node > other.node;
    }
  };

  static bool splitBy(ArrayRef<AxisLayout> layout, int64_t dim) {
    return llvm::any_of(layout, [&](const AxisLayout &entry) {
      return entry.isSplit(dim);
    });
  }

  static bool isPartial(uint8_t code) {
    return code >= firstPartial && code < firstSplit;
  }
  static bool isSplit(uint8_t code) { return code >= firstSplit; }
  static int64_t dimOf(uint8_t code) { return (code - firstSplit) / 2; }
  uint8_t splitCode(int64_t dim, uint8_t unit) const {
    // One code for one unit.
    if (dims[dim].units[0] == dims[dim].units[1])
      unit = 0;
    return firstSplit + 2 * dim + unit;
  }
  static dist::Reduction reductionOf(uint8_t code) {
    return static_cast<dist::Reduction>(code - firstPartial);
  }

  State encode(ArrayRef<AxisLayout> layout) const {
    State state{};
    for (auto [axis, entry] : llvm::enumerate(layout))
      if (entry.isPartial())
        state[axis] = firstPartial + static_cast<uint8_t>(entry.reduction);
      else if (entry.isSplit())
        state[axis] =
            splitCode(entry.dim, entry.unit == dims[entry.dim].units[0] ? 0 : 1);
    return state;
  }

  SmallVector<AxisLayout, 4> decode(const State &state) const {
    SmallVector<AxisLayout, 4> layout;
    for (unsigned axis = 0; axis < numAxes; ++axis) {
      uint8_t code = state[axis];
      if (isSplit(code))
        layout.push_back(AxisLayout::split(
            dimOf(code), dims[dimOf(code)].units[(code - firstSplit) % 2]));
      else if (isPartial(code))
        layout.push_back(AxisLayout::partial(reductionOf(code)));
      else
        layout.push_back(AxisLayout::broadcast());
    }
    return layout;
  }

  static std::pair<uint64_t, uint64_t> keyOf(const State &state) {
    std::pair<uint64_t, uint64_t> key;
    memcpy(&key.first, state.data(), 8);
    memcpy(&key.second, state.data() + 8, 8);
    return key;
  }

  double capacityOf(int64_t dim, ArrayRef<int64_t> axes, uint8_t unit) const {
    if (axes.empty())
      return dims[dim].size;
    int64_t runs = dims[dim].size / dims[dim].units[unit];
    for (int64_t axis : axes)
      runs = dist::capacityOf(runs, parts[axis]);
    return runs * dims[dim].units[unit];
  }

  void describe(const State &state, Shape &shape) const {
    shape.axes.assign(dims.size(), {});
    shape.unit.assign(dims.size(), 0);
    shape.capacity.resize(dims.size());
    shape.elements = 1;
    for (unsigned axis = 0; axis < numAxes; ++axis)
      if (isSplit(state[axis])) {
        shape.axes[dimOf(state[axis])].push_back(axis);
        shape.unit[dimOf(state[axis])] = (state[axis] - firstSplit) % 2;
      }
    for (unsigned d = 0; d < dims.size(); ++d) {
      shape.capacity[d] = capacityOf(d, shape.axes[d], shape.unit[d]);
      shape.elements *= shape.capacity[d];
    }
  }

  /// How the blocks of two layouts lie to each other.
  struct Meeting {
    double lacking = 0;  // elements that the busiest rank has to get
    double mean = 0;     // the same on average, where coordinates are
                         // independent
    double messages = 1; // ranks that one rank gets them from
    uint32_t axes = 0;   // whose splits change
  };
  Meeting meet(const Shape &a, const Shape &b) const {
    Meeting meeting;
    double kept = 1, keptMean = 1;
    for (unsigned d = 0; d < dims.size(); ++d) {
      size_t same = 0;
      const Axes &before = a.axes[d], &after = b.axes[d];
      if (a.unit[d] == b.unit[d])
        while (same < before.size() && same < after.size() &&
               before[same] == after[same])
          ++same;
      double left = 1, right = 1;
      for (int64_t axis : ArrayRef(before).drop_front(same)) {
        meeting.axes |= 1u << axis;
        left *= sizes[axis];
      }
      for (int64_t axis : ArrayRef(after).drop_front(same)) {
        meeting.axes |= 1u << axis;
        right *= sizes[axis];
      }
      meeting.messages *= std::max(1.0, std::ceil(left / right));
      double both = std::min(a.capacity[d], b.capacity[d]);
      if (left > 1 && right > 1) { // two ways: somebody holds nothing of it
        kept = 0;
        keptMean *= both / std::min(left, right);
      } else {
        kept *= both;
        keptMean *= both;
      }
    }
    meeting.lacking = b.elements - kept;
    meeting.mean = std::max(0.0, b.elements - keptMean);
    if (kept > 0) // its own part is no message
      meeting.messages -= 1;
    return meeting;
  }

  /// Seconds that are still needed at the least: what the busiest rank lacks,
  /// by the fastest links.
  double estimate(const State &state) {
    if (state == target)
      return 0;
    describe(state, scratch);
    Meeting meeting = meet(scratch, targetShape);
    double lacking = (meeting.lacking + meeting.mean) / 2;
    if (meeting.lacking > meeting.mean) // the mean is not certain
      lacking = meeting.lacking / 2;
    // Of terms on k ranks, a rank gets as much of the sum as it wants, and
    // k - 2 times the value's size goes round besides (ReshardBytes.cpp).
    double terms = 1, copies = 1;
    for (unsigned axis = 0; axis < numAxes; ++axis)
      if (isPartial(state[axis]) && state[axis] != target[axis])
        terms *= sizes[axis];
      else if (state[axis] == whole)
        copies *= sizes[axis];
    if (terms > 1)
      lacking = std::max(lacking,
                         targetShape.elements + scratch.elements * (terms - 2) /
                                                    (terms * copies));
    return lacking > 0 ? cost.leastLatency() +
                             lacking * elementBytes / cost.bestBandwidth()
                       : 0;
  }

  void consider(unsigned parent, const State &state, Kind kind, Axes axes,
                int64_t dim, int64_t toDim, dist::Reduction reduction,
                double seconds) {
    seconds += kind == Kind::Exchange ? exchangePenalty
               : kind == Kind::LocalSlice || kind == Kind::ToPartial
                   ? localStepPenalty
                   : collectivePenalty;
    double total = nodes[parent].cost + seconds;
    auto [it, inserted] = best.try_emplace(keyOf(state), nodes.size());
    if (!inserted) {
      if (nodes[it->second].cost <= total)
        return;
      it->second = nodes.size();
    }
    ReshardStep step;
    step.kind = kind;
    step.axes = std::move(axes);
    step.dim = dim;
    step.toDim = toDim;
    step.reduction = reduction;
    unsigned index = nodes.size();
    nodes.push_back(
        {state, total, static_cast<int>(parent), std::move(step)});
    open.push({total + estimate(state), index});
  }

  double seconds(Kind kind, ArrayRef<int64_t> axes, double elements,
                 int64_t messages = 0) const {
    return cost.seconds(kind, axes, elements * elementBytes, messages);
  }

  double ranksOf(ArrayRef<int64_t> axes) const {
    double ranks = 1;
    for (int64_t axis : axes)
      ranks *= sizes[axis];
    return ranks;
  }

  /// The unit in which a dimension of a state can be split further.
  uint8_t unitFor(int64_t dim, const Shape &shape) const {
    return shape.axes[dim].empty() ? 1 : shape.unit[dim];
  }

  /// Whether axes can become the innermost splits of a dimension.
  bool canAdd(int64_t dim, const Shape &shape, int64_t firstAxis) const {
    return !dims[dim].frozen &&
           (shape.axes[dim].empty() || shape.axes[dim].back() < firstAxis);
  }

  void expand(unsigned index) {
    State state = nodes[index].state;
    Shape shape;
    describe(state, shape);
    addExchanges(index, state, shape);
    addReductions(index, state, shape);
    for (unsigned d = 0; d < dims.size(); ++d) {
      if (dims[d].frozen)
        continue;
      // Innermost splits leave, for nowhere or for another dimension.
      ArrayRef<int64_t> splits = shape.axes[d];
      for (size_t count = 1; count <= splits.size(); ++count) {
        ArrayRef<int64_t> run = splits.take_back(count);
        ArrayRef<int64_t> rest = splits.drop_back(count);
        double others = 1 - 1 / ranksOf(run);
        double longer = capacityOf(d, rest, shape.unit[d]);
        State next = state;
        for (int64_t axis : run)
          next[axis] = whole;
        consider(index, next, Kind::AllGather, Axes(run), d, 0,
                 dist::Reduction::Sum,
                 seconds(Kind::AllGather, run,
                         shape.elements / shape.capacity[d] *
                             (longer - shape.capacity[d])));
        for (unsigned to = 0; to < dims.size(); ++to) {
          if (to == d || !canAdd(to, shape, run.front()))
            continue;
          uint8_t unit = unitFor(to, shape);
          for (int64_t axis : run)
            next[axis] = splitCode(to, unit);
          Axes axes = shape.axes[to];
          axes.append(run.begin(), run.end());
          double elements = shape.elements / shape.capacity[d] * longer /
                            shape.capacity[to] * capacityOf(to, axes, unit);
          consider(index, next, Kind::AllToAll, Axes(run), d, to,
                   dist::Reduction::Sum,
                   seconds(Kind::AllToAll, run, elements * others));
        }
      }
    }
    for (unsigned axis = 0; axis < numAxes; ++axis) {
      if (state[axis] != whole || mesh.isTime(axis))
        continue;
      State next = state;
      for (unsigned d = 0; d < dims.size(); ++d)
        if (canAdd(d, shape, axis)) {
          next[axis] = splitCode(d, unitFor(d, shape));
          consider(index, next, Kind::LocalSlice, {axis}, d, 0,
                   dist::Reduction::Sum, 0);
        }
      if (isPartial(target[axis])) {
        next[axis] = target[axis];
        consider(index, next, Kind::ToPartial, {axis}, 0, 0,
                 reductionOf(target[axis]), 0);
      }
    }
  }

  /// Reduces any axes of one reduction, to all ranks or to shards.
  void addReductions(unsigned index, const State &state, const Shape &shape) {
    for (uint8_t code = firstPartial; code < firstSplit; ++code) {
      Axes terms;
      for (unsigned axis = 0; axis < numAxes; ++axis)
        if (state[axis] == code && target[axis] != code && !mesh.isTime(axis))
          terms.push_back(axis);
      forSubsets(terms, [&](const Axes &axes) {
        State next = state;
        for (int64_t axis : axes)
          next[axis] = whole;
        double others = 1 - 1 / ranksOf(axes);
        consider(index, next, Kind::AllReduce, axes, 0, 0, reductionOf(code),
                 seconds(Kind::AllReduce, axes, 2 * shape.elements * others));
        for (unsigned d = 0; d < dims.size(); ++d) {
          if (!canAdd(d, shape, axes.front()))
            continue;
          uint8_t unit = unitFor(d, shape);
          Axes splits = shape.axes[d];
          splits.append(axes);
          double part = shape.elements / shape.capacity[d] *
                        capacityOf(d, splits, unit);
          for (int64_t axis : axes)
            next[axis] = splitCode(d, unit);
          consider(index, next, Kind::ReduceScatter, axes, d, 0,
                   reductionOf(code),
                   seconds(Kind::ReduceScatter, axes,
                           part * (ranksOf(axes) - 1)));
        }
      });
    }
  }

  /// Brings any axes into their last state at once.
  void addExchanges(unsigned index, const State &state, const Shape &shape) {
    Axes changing;
    for (unsigned axis = 0; axis < numAxes; ++axis)
      if (state[axis] != target[axis] && !isPartial(state[axis]) &&
          !isPartial(target[axis]))
        changing.push_back(axis);
    Shape after;
    forSubsets(changing, [&](const Axes &moved) {
      State next = state;
      for (int64_t axis : moved)
        next[axis] = target[axis];
      if (!unitsAgree(next))
        return;
      describe(next, after);
      Meeting meeting = meet(shape, after);
      if (meeting.lacking <= 0 && ArrayRef(shape.unit) == ArrayRef(after.unit))
        return; // slices do that
      Axes group;
      for (unsigned axis = 0; axis < numAxes; ++axis)
        if (meeting.axes >> axis & 1)
          group.push_back(axis);
      double elements = (meeting.lacking + meeting.mean) / 2;
      consider(index, next, Kind::Exchange, group, 0, 0, dist::Reduction::Sum,
               seconds(Kind::Exchange, group, elements,
                       std::max<int64_t>(1, meeting.messages)));
    });
  }

  bool unitsAgree(const State &state) const {
    for (unsigned a = 0; a < numAxes; ++a)
      for (unsigned b = a + 1; b < numAxes; ++b)
        if (isSplit(state[a]) && isSplit(state[b]) &&
            dimOf(state[a]) == dimOf(state[b]) && state[a] != state[b])
          return false;
    return true;
  }

  /// All subsets of a few axes; of many, single ones, prefixes and suffixes.
  template <typename Function>
  void forSubsets(const Axes &axes, const Function &function) {
    if (axes.size() <= 5) {
      for (unsigned set = 1; set < 1u << axes.size(); ++set) {
        Axes subset;
        for (unsigned i = 0; i < axes.size(); ++i)
          if (set >> i & 1)
            subset.push_back(axes[i]);
        function(subset);
      }
      return;
    }
    for (unsigned i = 0; i < axes.size(); ++i) {
      function({axes[i]});
      if (i > 0)
        function(Axes(ArrayRef(axes).take_front(i + 1)));
      if (i > 0 && i + 1 < axes.size())
        function(Axes(ArrayRef(axes).drop_front(i)));
    }
  }

  SmallVector<ReshardStep> finish(unsigned index, double &seconds) {
    SmallVector<unsigned> path;
    for (int node = index; nodes[node].parent >= 0; node = nodes[node].parent)
      path.push_back(node);
    SmallVector<ReshardStep> steps;
    seconds = 0;
    for (unsigned node : llvm::reverse(path)) {
      ReshardStep step = nodes[node].step;
      step.result = decode(nodes[node].state);
      seconds += nodes[node].cost - nodes[nodes[node].parent].cost -
                 (step.kind == Kind::Exchange ? exchangePenalty
                  : step.isCollective()       ? collectivePenalty
                                              : localStepPenalty);
      // Local steps of one kind in a row are one op.
      bool joins = !steps.empty() && !step.isCollective() &&
                   steps.back().kind == step.kind &&
                   steps.back().dim == step.dim &&
                   steps.back().reduction == step.reduction;
      if (joins && steps.back().axes.back() < step.axes.front()) {
        steps.back().axes.append(step.axes);
        steps.back().result = step.result;
      } else {
        steps.push_back(std::move(step));
      }
    }
    seconds = std::max(seconds, 0.0);
    return steps;
  }

  ArrayRef<AxisLayout> source;
  dist::MeshAttr mesh;
  const CollectiveCost &cost;
  unsigned numAxes;
  SmallVector<Dim, 4> dims;
  std::array<int64_t, maxAxes> parts{};
  std::array<int64_t, maxAxes> sizes{}; // ranks: 1 for the time axis
  double elementBytes = 1;
  State target{};
  Shape targetShape, scratch;
  std::vector<Node> nodes;
  llvm::DenseMap<std::pair<uint64_t, uint64_t>, unsigned> best;
  std::priority_queue<Open> open;
};

void append(SmallVectorImpl<char> &key, int64_t number) {
  key.append(reinterpret_cast<const char *>(&number),
             reinterpret_cast<const char *>(&number) + sizeof(number));
}

} // namespace

int64_t ReshardPlan::numCollectives() const {
  return llvm::count_if(
      steps, [](const ReshardStep &step) { return step.isCollective(); });
}

Resharder::Resharder(dist::MeshAttr mesh, const Cluster &cluster)
    : mesh(mesh), cost(cluster, mesh) {}

Resharder::~Resharder() = default;

FailureOr<const ReshardPlan *> Resharder::plan(ArrayRef<AxisLayout> from,
                                               ArrayRef<AxisLayout> to,
                                               RankedTensorType logical) {
  SmallString<128> key;
  for (ArrayRef<AxisLayout> layout : {from, to})
    for (const AxisLayout &entry : layout) {
      key.push_back(static_cast<char>(entry.kind));
      if (entry.isPartial())
        key.push_back(static_cast<char>(entry.reduction));
      if (!entry.isSplit())
        continue;
      append(key, entry.dim);
      append(key, entry.unit);
    }
  for (int64_t size : logical.getShape())
    append(key, size);
  append(key, logical.getElementType().getIntOrFloatBitWidth());
  auto [it, inserted] = plans.try_emplace(key);
  if (inserted) {
    auto made = std::make_unique<ReshardPlan>();
    if (from != to) {
      FailureOr<SmallVector<ReshardStep>> steps =
          Search(from, to, logical, mesh, cost).run(to, made->seconds);
      if (succeeded(steps)) {
        made->steps = std::move(*steps);
        countBytes(*made, from, to, logical, mesh);
      } else {
        made.reset();
      }
    }
    it->second = std::move(made);
  }
  if (!it->second)
    return failure();
  return it->second.get();
}
