// SPDX-License-Identifier: Apache-2.0
#include "compiler/Sharding/LayoutTable.h"
#include "compiler/Planner/LayoutSearch.h"

using namespace mlir;
using namespace weir;
using namespace weir::compiler;
using dist::AxisLayout;
using Kind = ReshardStep::Kind;

namespace {
/// What one tensor of a joined collective adds to starting it.
constexpr double bucketedStart = 0.25;
} // namespace

LayoutTable::LayoutTable(RankedTensorType type, double fraction,
                         ArrayRef<AxisLayout> alphabet, int64_t frozenDim,
                         dist::MeshAttr mesh, ArrayRef<int64_t> axes,
                         const CollectiveCost &cost, const DeviceCost &device,
                         bool bucketed)
    : type(type), alphabet(alphabet), frozenDim(frozenDim), bucketed(bucketed),
      axes(axes) {
  elementBytes =
      fraction * static_cast<double>(
                     (type.getElementType().getIntOrFloatBitWidth() + 7) / 8);
  for (int64_t axis : axes) {
    parts.push_back(mesh.getSizes()[axis]);
    count *= alphabet.size();
  }
  local.assign(count, 0);
  for (unsigned index = 0; index < count; ++index) {
    SmallVector<AxisLayout, 4> entries = layout(index);
    double elements = 1;
    for (int64_t dim = 0; dim < type.getRank() && elements > 0; ++dim) {
      int64_t unit = 0, runs = type.getDimSize(dim);
      for (auto [entry, k] : llvm::zip_equal(entries, parts)) {
        if (!entry.isSplit(dim))
          continue;
        if (unit == 0)
          runs /= entry.unit;
        else if (unit != entry.unit)
          runs = 0;
        unit = entry.unit;
        runs = dist::capacityOf(runs, k);
      }
      elements *= static_cast<double>(runs * std::max<int64_t>(unit, 1));
    }
    local[index] = elements * elementBytes;
  }
  distances.assign(size_t(count) * count, CostGraph::forbidden);
  for (unsigned index = 0; index < count; ++index)
    if (isValid(index)) {
      distances[size_t(index) * count + index] = 0;
      addSteps(index, cost, device);
    }
  // Floyd and Warshall: the innermost loop runs along rows.
  for (unsigned via = 0; via < count; ++via) {
    if (!isValid(via))
      continue;
    const double *rest = &distances[size_t(via) * count];
    for (unsigned from = 0; from < count; ++from) {
      double first = distances[size_t(from) * count + via];
      if (first >= CostGraph::forbidden || from == via)
        continue;
      double *row = &distances[size_t(from) * count];
      for (unsigned to = 0; to < count; ++to) {
        double total = first + rest[to];
        row[to] = total < row[to] ? total : row[to];
      }
    }
  }
}

SmallVector<AxisLayout, 4> LayoutTable::layout(unsigned index) const {
  SmallVector<AxisLayout, 4> entries(axes.size());
  for (size_t a = axes.size(); a-- > 0;) {
    entries[a] = alphabet[index % alphabet.size()];
    index /= alphabet.size();
  }
  return entries;
}

int LayoutTable::find(ArrayRef<AxisLayout> entries) const {
  unsigned index = 0;
  for (const AxisLayout &entry : entries) {
    const auto *found = llvm::find(alphabet, entry);
    if (found == alphabet.end())
      return -1;
    index = index * alphabet.size() + (found - alphabet.begin());
  }
  return static_cast<int>(index);
}

bool LayoutTable::hasPartial(unsigned index) const {
  return llvm::any_of(
      layout(index), [](const AxisLayout &entry) { return entry.isPartial(); });
}

void LayoutTable::addSteps(unsigned index, const CollectiveCost &cost,
                           const DeviceCost &device) {
  SmallVector<AxisLayout, 4> from = layout(index);
  unsigned numAxes = axes.size();
  auto step = [&](ArrayRef<unsigned> run, const AxisLayout &entry, Kind kind) {
    if (entry.isSplit() &&
        (entry.dim == frozenDim || !llvm::is_contained(alphabet, entry)))
      return;
    SmallVector<AxisLayout, 4> to = from;
    SmallVector<int64_t, 4> group;
    double ranks = 1;
    for (unsigned a : run) {
      to[a] = entry;
      group.push_back(axes[a]);
      ranks *= static_cast<double>(parts[a]);
    }
    int target = find(to);
    if (target < 0 || !isValid(target))
      return;
    double before = local[index], after = local[target];
    auto message = [&](double bytes) {
      return cost.seconds(kind, group, bytes) -
             (bucketed ? cost.seconds(kind, group, 0) : 0);
    };
    bool isLocal = kind == Kind::LocalSlice || kind == Kind::ToPartial;
    double seconds = device.start * (bucketed && !isLocal ? bucketedStart : 1);
    switch (kind) {
    case Kind::LocalSlice:
    case Kind::ToPartial:
      seconds += 2 * after / device.memoryBandwidth;
      break;
    case Kind::AllGather:
      seconds += message(std::max(0.0, after - before));
      break;
    case Kind::AllReduce:
      seconds += message(2 * before * (1 - 1 / ranks));
      break;
    case Kind::ReduceScatter:
      seconds += message(after * (ranks - 1));
      break;
    default:
      seconds += message(after * (1 - 1 / ranks));
    }
    double &known = distances[size_t(index) * count + target];
    known = std::min(known, seconds);
  };
  // Whether `first` may become the innermost split but one of `entry.dim`.
  auto nests = [&](const AxisLayout &entry, unsigned first) {
    for (unsigned a = 0; a < numAxes; ++a)
      if (from[a].isSplit(entry.dim) &&
          (a > first || from[a].unit != entry.unit))
        return false;
    return true;
  };
  SmallVector<AxisLayout, 8> splits;
  for (const AxisLayout &entry : alphabet)
    if (entry.isSplit())
      splits.push_back(entry);
  for (int64_t dim = 0; dim < type.getRank(); ++dim) {
    if (dim == frozenDim)
      continue;
    SmallVector<unsigned, 4> inner;
    for (unsigned a = 0; a < numAxes; ++a)
      if (from[a].isSplit(dim))
        inner.push_back(a);
    for (size_t length = 1; length <= inner.size(); ++length) {
      ArrayRef<unsigned> run = ArrayRef(inner).take_back(length);
      step(run, AxisLayout::broadcast(), Kind::AllGather);
      for (const AxisLayout &entry : splits)
        if (entry.dim != dim && nests(entry, run.front()))
          step(run, entry, Kind::AllToAll);
    }
  }
  SmallVector<unsigned, 4> terms;
  for (unsigned a = 0; a < numAxes; ++a) {
    if (from[a].isPartial())
      terms.push_back(a);
    if (!from[a].isBroadcast())
      continue;
    for (const AxisLayout &entry : alphabet) {
      if (entry.isSplit() && nests(entry, a))
        step({a}, entry, Kind::LocalSlice);
      if (entry.isPartial())
        step({a}, entry, Kind::ToPartial);
    }
  }
  for (unsigned set = 1; set < 1u << terms.size(); ++set) {
    SmallVector<unsigned, 4> run;
    for (unsigned i = 0; i < terms.size(); ++i)
      if (set >> i & 1)
        run.push_back(terms[i]);
    step(run, AxisLayout::broadcast(), Kind::AllReduce);
    for (const AxisLayout &entry : splits)
      if (nests(entry, run.front()))
        step(run, entry, Kind::ReduceScatter);
  }
}
