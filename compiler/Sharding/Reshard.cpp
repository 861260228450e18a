// SPDX-License-Identifier: Apache-2.0
#include "compiler/Sharding/Reshard.h"

#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/bit.h"

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
    nodes.push_back({start, 0, -1, Step()});
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
  /// Mesh axes as bits. Splits nest in mesh order, so a set is a list.
  using Axes = uint32_t;
  // Codes: 0 broadcast, 1 to 3 partial, then two for each dimension.
  static constexpr uint8_t whole = 0, firstPartial = 1, firstSplit = 4;

  struct Dim {
    int64_t size;
    std::array<int64_t, 2> units; // of source and target
    bool frozen;
  };
  /// What a state says, dimension by dimension.
  struct Part {
    Axes axes = 0;
    uint8_t unit = 0; // which of the units
    double capacity = 1;
  };
  struct Shape {
    SmallVector<Part, 6> dims;
    double elements = 1; // of the largest shard
  };
  struct Step {
    Kind kind = Kind::LocalSlice;
    Axes axes = 0;
    int64_t dim = 0, toDim = 0;
    dist::Reduction reduction = dist::Reduction::Sum;
  };
  struct Node {
    State state;
    double cost;
    int parent;
    Step step; // that led here
  };
  struct Open {
    double total;
    unsigned node;
    bool operator<(const Open &other) const { // the queue's top is the largest
      return total != other.total ? total > other.total : node > other.node;
    }
  };

  static bool splitBy(ArrayRef<AxisLayout> layout, int64_t dim) {
    return llvm::any_of(
        layout, [&](const AxisLayout &entry) { return entry.isSplit(dim); });
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
        state[axis] = splitCode(entry.dim,
                                entry.unit == dims[entry.dim].units[0] ? 0 : 1);
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

  double capacityOf(int64_t dim, Axes axes, uint8_t unit) const {
    if (!axes)
      return dims[dim].size;
    int64_t run = dims[dim].units[unit], runs = dims[dim].size / run;
    for (; axes; axes &= axes - 1)
      runs = dist::capacityOf(runs, parts[llvm::countr_zero(axes)]);
    return runs * run;
  }

  void describe(const State &state, Shape &shape) const {
    shape.dims.assign(dims.size(), Part());
    for (unsigned axis = 0; axis < numAxes; ++axis)
      if (isSplit(state[axis])) {
        Part &part = shape.dims[dimOf(state[axis])];
        part.axes |= 1u << axis;
        part.unit = (state[axis] - firstSplit) % 2;
      }
    shape.elements = 1;
    for (unsigned d = 0; d < dims.size(); ++d) {
      Part &part = shape.dims[d];
      part.capacity = capacityOf(d, part.axes, part.unit);
      shape.elements *= part.capacity;
    }
  }

  /// How the blocks of two layouts lie to each other.
  struct Meeting {
    double lacking = 0;  // elements that the busiest rank has to get
    double mean = 0;     // the same on average, where coordinates are
                         // independent
    double messages = 1; // ranks that one rank gets them from
    Axes axes = 0;       // whose splits change
    bool cut = false;    // whether a dimension is cut in other runs
  };
  Meeting meet(const Shape &a, const Shape &b) const {
    Meeting meeting;
    double kept = 1, keptMean = 1;
    for (unsigned d = 0; d < dims.size(); ++d) {
      const Part &before = a.dims[d], &after = b.dims[d];
      bool cut = before.axes && after.axes && before.unit != after.unit;
      meeting.cut |= cut;
      // Blocks are the same up to the first axis that differs.
      Axes differ = cut ? ~Axes(0) : before.axes ^ after.axes;
      Axes changed = differ ? ~((differ & -differ) - 1) : 0;
      double left = ranksOf(before.axes & changed);
      double right = ranksOf(after.axes & changed);
      meeting.axes |= (before.axes | after.axes) & changed;
      meeting.messages *= std::max(1.0, std::ceil(left / right));
      double both = std::min(before.capacity, after.capacity);
      keptMean *= both;
      if (left > 1 && right > 1) { // two ways: somebody holds nothing of it
        kept = 0;
        keptMean /= std::min(left, right);
      } else {
        kept *= both;
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
      lacking = std::max(lacking, targetShape.elements + scratch.elements *
                                                             (terms - 2) /
                                                             (terms * copies));
    return lacking > 0 ? cost.leastLatency() +
                             lacking * elementBytes / cost.bestBandwidth()
                       : 0;
  }

  void consider(unsigned parent, const State &state, const Step &step,
                double seconds) {
    double total = nodes[parent].cost + seconds + penaltyOf(step.kind);
    auto [it, inserted] = best.try_emplace(keyOf(state), nodes.size());
    if (!inserted && nodes[it->second].cost <= total)
      return;
    double through = total + estimate(state);
    if (through > reached) {
      if (inserted)
        best.erase(it);
      return;
    }
    if (state == target)
      reached = total;
    it->second = nodes.size();
    open.push({through, it->second});
    nodes.push_back({state, total, static_cast<int>(parent), step});
  }

  static double penaltyOf(Kind kind) {
    switch (kind) {
    case Kind::LocalSlice:
    case Kind::ToPartial:
      return localStepPenalty;
    case Kind::Exchange:
      return exchangePenalty;
    default:
      return collectivePenalty;
    }
  }

  double seconds(Kind kind, Axes axes, double elements,
                 int64_t messages = 0) const {
    return cost.secondsOver(kind, axes, elements * elementBytes, messages);
  }

  double ranksOf(Axes axes) const {
    double ranks = 1;
    for (; axes; axes &= axes - 1)
      ranks *= sizes[llvm::countr_zero(axes)];
    return ranks;
  }

  /// Whether axes can become the innermost splits of a dimension.
  bool canAdd(int64_t dim, const Shape &shape, Axes axes) const {
    Axes there = shape.dims[dim].axes;
    return !dims[dim].frozen && (axes & -axes) > there;
  }

  /// The unit in which a dimension of a state can be split further.
  uint8_t unitFor(int64_t dim, const Shape &shape) const {
    return shape.dims[dim].axes ? shape.dims[dim].unit : 1;
  }

  /// Elements of the largest shard when `dim` is split over `axes`.
  double elementsWith(const Shape &shape, int64_t dim, Axes axes,
                      uint8_t unit) const {
    return shape.elements / shape.dims[dim].capacity *
           capacityOf(dim, axes, unit);
  }

  void set(State &state, Axes axes, uint8_t code) const {
    for (; axes; axes &= axes - 1)
      state[llvm::countr_zero(axes)] = code;
  }

  void expand(unsigned index) {
    State state = nodes[index].state;
    Shape shape;
    describe(state, shape);
    addExchanges(index, state, shape);
    addReductions(index, state, shape);
    for (unsigned d = 0; d < dims.size(); ++d)
      if (!dims[d].frozen)
        addMoves(index, state, shape, d);
    for (unsigned axis = 0; axis < numAxes; ++axis) {
      if (state[axis] != whole || mesh.isTime(axis))
        continue;
      State next = state;
      Axes axes = 1u << axis;
      for (unsigned d = 0; d < dims.size(); ++d)
        if (canAdd(d, shape, axes)) {
          next[axis] = splitCode(d, unitFor(d, shape));
          consider(index, next, {Kind::LocalSlice, axes, d}, 0);
        }
      if (isPartial(target[axis])) {
        next[axis] = target[axis];
        consider(index, next,
                 {Kind::ToPartial, axes, 0, 0, reductionOf(target[axis])}, 0);
      }
    }
  }

  /// The innermost splits of a dimension leave, for nowhere or for another.
  void addMoves(unsigned index, const State &state, const Shape &shape,
                unsigned dim) {
    const Part &part = shape.dims[dim];
    Axes run = 0;
    for (Axes rest = part.axes; rest;) {
      Axes innermost = llvm::bit_floor(rest);
      rest ^= innermost;
      run |= innermost;
      double longer = elementsWith(shape, dim, rest, part.unit);
      State next = state;
      set(next, run, whole);
      consider(index, next, {Kind::AllGather, run, dim},
               seconds(Kind::AllGather, run, longer - shape.elements));
      for (unsigned to = 0; to < dims.size(); ++to) {
        if (to == dim || !canAdd(to, shape, run))
          continue;
        uint8_t unit = unitFor(to, shape);
        set(next, run, splitCode(to, unit));
        double elements = longer / shape.dims[to].capacity *
                          capacityOf(to, shape.dims[to].axes | run, unit);
        consider(
            index, next, {Kind::AllToAll, run, dim, to},
            seconds(Kind::AllToAll, run, elements * (1 - 1 / ranksOf(run))));
      }
    }
  }

  /// Reduces any axes of one reduction, to all ranks or to shards.
  void addReductions(unsigned index, const State &state, const Shape &shape) {
    for (uint8_t code = firstPartial; code < firstSplit; ++code) {
      Axes terms = 0;
      for (unsigned axis = 0; axis < numAxes; ++axis)
        if (state[axis] == code && target[axis] != code && !mesh.isTime(axis))
          terms |= 1u << axis;
      forSubsets(terms, [&](Axes axes) {
        State next = state;
        set(next, axes, whole);
        consider(index, next, {Kind::AllReduce, axes, 0, 0, reductionOf(code)},
                 seconds(Kind::AllReduce, axes,
                         2 * shape.elements * (1 - 1 / ranksOf(axes))));
        for (unsigned d = 0; d < dims.size(); ++d) {
          if (!canAdd(d, shape, axes))
            continue;
          uint8_t unit = unitFor(d, shape);
          double part = elementsWith(shape, d, shape.dims[d].axes | axes, unit);
          set(next, axes, splitCode(d, unit));
          consider(
              index, next, {Kind::ReduceScatter, axes, d, 0, reductionOf(code)},
              seconds(Kind::ReduceScatter, axes, part * (ranksOf(axes) - 1)));
        }
      });
    }
  }

  /// Brings any axes into their last state at once.
  void addExchanges(unsigned index, const State &state, const Shape &shape) {
    Axes changing = 0;
    for (unsigned axis = 0; axis < numAxes; ++axis)
      if (state[axis] != target[axis] && !isPartial(state[axis]) &&
          !isPartial(target[axis]))
        changing |= 1u << axis;
    forSubsets(changing, [&](Axes moved) {
      State next = state;
      for (Axes left = moved; left; left &= left - 1)
        next[llvm::countr_zero(left)] = target[llvm::countr_zero(left)];
      if (!unitsAgree(next))
        return;
      describe(next, scratch);
      Meeting meeting = meet(shape, scratch);
      if (meeting.lacking <= 0 && !meeting.cut)
        return; // slices do that
      consider(index, next, {Kind::Exchange, meeting.axes},
               seconds(Kind::Exchange, meeting.axes,
                       (meeting.lacking + meeting.mean) / 2,
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
  static void forSubsets(Axes axes, const Function &function) {
    if (llvm::popcount(axes) <= 5) {
      for (Axes subset = axes; subset; subset = (subset - 1) & axes)
        function(subset);
      return;
    }
    Axes before = 0;
    for (Axes left = axes; left; left &= left - 1) {
      Axes axis = left & -left;
      function(axis);
      if (before)
        function(before | axis);
      if (before && left != axis)
        function(left);
      before |= axis;
    }
  }

  SmallVector<ReshardStep> finish(unsigned index, double &seconds) {
    SmallVector<unsigned> path;
    for (int node = index; nodes[node].parent >= 0; node = nodes[node].parent)
      path.push_back(node);
    SmallVector<ReshardStep> steps;
    seconds = nodes[index].cost;
    for (unsigned node : llvm::reverse(path)) {
      const Step &found = nodes[node].step;
      seconds -= penaltyOf(found.kind);
      ReshardStep step;
      step.kind = found.kind;
      for (Axes left = found.axes; left; left &= left - 1)
        step.axes.push_back(llvm::countr_zero(left));
      step.dim = found.dim;
      step.toDim = found.toDim;
      step.reduction = found.reduction;
      step.result = decode(nodes[node].state);
      // Local steps of one kind in a row are one op.
      if (!steps.empty() && !step.isCollective() &&
          steps.back().kind == step.kind && steps.back().dim == step.dim &&
          steps.back().reduction == step.reduction &&
          steps.back().axes.back() < step.axes.front()) {
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
  /// Cost of the best program found so far.
  double reached = std::numeric_limits<double>::infinity();
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

Resharder::Resharder(dist::MeshAttr mesh, const Cluster &cluster,
                     bool countsBytes)
    : mesh(mesh), cost(cluster, mesh), countsBytes(countsBytes) {}

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
        if (countsBytes)
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
