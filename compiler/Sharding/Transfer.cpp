// SPDX-License-Identifier: Apache-2.0
#include "compiler/Sharding/Transfer.h"

#include <algorithm>
#include <limits>
#include <map>

using namespace mlir;
using namespace weir;
using namespace weir::compiler;
using dist::AxisLayout;

namespace {

struct Part {
  SmallVector<int64_t, 4> offsets, extents;

  bool operator<(const Part &other) const {
    return std::tie(offsets, extents) < std::tie(other.offsets, other.extents);
  }
  int64_t elements() const {
    int64_t count = 1;
    for (int64_t extent : extents)
      count *= extent;
    return count;
  }
  static Part intersection(const Part &a, const Part &b) {
    Part shared;
    for (size_t d = 0; d < a.offsets.size(); ++d) {
      int64_t begin = std::max(a.offsets[d], b.offsets[d]);
      int64_t end =
          std::min(a.offsets[d] + a.extents[d], b.offsets[d] + b.extents[d]);
      shared.offsets.push_back(begin);
      shared.extents.push_back(std::max<int64_t>(end - begin, 0));
    }
    return shared;
  }
};

SmallVector<Part, 0> partsOf(dist::MeshAttr mesh, ArrayRef<AxisLayout> layout,
                             ArrayRef<int64_t> shape) {
  SmallVector<Part, 0> blocks;
  auto attribute = dist::LayoutAttr::get(mesh.getContext(), layout);
  SmallVector<dist::ShardDim> dims;
  for (auto [d, size] : llvm::enumerate(shape))
    dims.push_back(dist::getShardDim(attribute, d, size));
  for (int64_t rank = 0; rank < mesh.getNumRanks(); ++rank) {
    SmallVector<int64_t, 4> at(mesh.getNumAxes(), 0);
    int64_t rest = rank;
    for (unsigned axis = mesh.getNumAxes(); axis-- > 0;)
      if (!mesh.isTime(axis)) {
        at[axis] = rest % mesh.getSizes()[axis];
        rest /= mesh.getSizes()[axis];
      }
    Part block;
    for (const dist::ShardDim &dim : dims) {
      int64_t offset = 0, extent = dim.size / dim.unit;
      for (int64_t axis : dim.axes) {
        int64_t parts = mesh.getSizes()[axis];
        offset +=
            at[axis] * (extent / parts) + std::min(at[axis], extent % parts);
        extent = extent / parts + (at[axis] < extent % parts ? 1 : 0);
      }
      block.offsets.push_back(offset * dim.unit);
      block.extents.push_back(extent * dim.unit);
    }
    blocks.push_back(std::move(block));
  }
  return blocks;
}

/// The transfer itself, between layouts without terms.
class Pieces {
public:
  Pieces(const Cluster &cluster, int64_t elementBytes)
      : cluster(cluster), elementBytes(elementBytes) {}

  void plan(ArrayRef<Part> sources, ArrayRef<int64_t> senders,
            ArrayRef<Part> targets, ArrayRef<int64_t> receivers) {
    // Who holds what: blocks of one layout are equal or disjoint.
    std::map<Part, SmallVector<int64_t>> holders;
    for (auto [block, device] : llvm::zip(sources, senders))
      if (block.elements() > 0)
        holders[block].push_back(device);
    std::map<int64_t, int64_t> sent;
    for (auto [target, to] : llvm::zip(targets, receivers)) {
      if (target.elements() == 0)
        continue;
      for (auto &[block, devices] : holders) {
        Part shared = Part::intersection(block, target);
        int64_t bytes = shared.elements() * elementBytes;
        if (bytes == 0)
          continue;
        int64_t receiver = to;
        int64_t from = *llvm::min_element(devices, [&](int64_t a, int64_t b) {
          return std::make_tuple(distance(a, receiver), sent[a], a) <
                 std::make_tuple(distance(b, receiver), sent[b], b);
        });
        if (from != to) {
          sent[from] += bytes;
          Traffic &in = received[to], &out = left[from];
          in.add(distance(from, to), bytes, cluster);
          out.add(distance(from, to), bytes, cluster);
          total += bytes;
        }
        pieces.push_back({from, to, shared.offsets, shared.extents});
      }
    }
  }

  /// Until the busiest device has sent and received all.
  double seconds() const {
    double longest = 0;
    for (const auto *traffic : {&received, &left})
      for (const auto &[device, amount] : *traffic)
        longest = std::max(longest, amount.seconds);
    return longest;
  }
  int64_t receivedBy(int64_t device) const {
    auto found = received.find(device);
    return found == received.end() ? 0 : found->second.bytes;
  }

  std::vector<TransferPiece> pieces;
  int64_t total = 0; // bytes

private:
  struct Traffic {
    int64_t bytes = 0;
    double seconds = 0;
    void add(size_t level, int64_t more, const Cluster &cluster) {
      bytes += more;
      const LinkLevel &link = cluster.levels[level];
      seconds += link.latency + static_cast<double>(more) / link.bandwidth;
    }
  };

  /// The innermost level whose links join two devices; -1 for one device.
  int distance(int64_t a, int64_t b) const {
    if (a == b)
      return -1;
    int64_t block = 1;
    for (size_t level = 0; level + 1 < cluster.levels.size(); ++level) {
      block *= cluster.levels[level].size;
      if (a / block == b / block)
        return static_cast<int>(level);
    }
    return static_cast<int>(cluster.levels.size()) - 1;
  }

  const Cluster &cluster;
  int64_t elementBytes;
  std::map<int64_t, Traffic> received, left; // by device
};

/// Layouts that may stand in for one on the way: what `free` axes do is open.
std::vector<SmallVector<AxisLayout, 4>> variants(ArrayRef<AxisLayout> layout,
                                                 dist::MeshAttr mesh,
                                                 int64_t rank, bool ofTerms) {
  constexpr size_t limit = 64;
  std::vector<SmallVector<AxisLayout, 4>> made = {{}};
  for (auto [axis, entry] : llvm::enumerate(layout)) {
    SmallVector<AxisLayout, 4> choices;
    bool open =
        !mesh.isTime(axis) && (ofTerms ? entry.isPartial() : !entry.isSplit());
    choices.push_back(entry.isPartial() ? AxisLayout::broadcast() : entry);
    // More than this is not tried; the first choice stays.
    if (open && made.size() * (rank + 1) <= limit)
      for (int64_t d = 0; d < rank; ++d) {
        int64_t unit = 1;
        for (const AxisLayout &other : layout)
          if (other.isSplit(d))
            unit = other.unit;
        choices.push_back(AxisLayout::split(d, unit));
      }
    std::vector<SmallVector<AxisLayout, 4>> longer;
    for (const auto &prefix : made)
      for (const AxisLayout &choice : choices) {
        longer.push_back(prefix);
        longer.back().push_back(choice);
      }
    made = std::move(longer);
  }
  return made;
}

bool fits(const TensorPlace &place) {
  int time = place.mesh.getTimeAxis();
  return static_cast<int64_t>(place.devices.size()) ==
             place.mesh.getNumRanks() &&
         place.layout.size() == place.mesh.getNumAxes() &&
         (time < 0 || place.layout[time].isBroadcast());
}

} // namespace

FailureOr<TransferPlan> weir::compiler::planTransfer(const TensorPlace &source,
                                                     const TensorPlace &target,
                                                     RankedTensorType logical,
                                                     const Cluster &cluster) {
  if (!fits(source) || !fits(target) || cluster.levels.empty())
    return failure();
  for (const TensorPlace *place : {&source, &target})
    for (int64_t device : place->devices)
      if (device < 0 || device >= cluster.devices)
        return failure();
  ArrayRef<int64_t> shape = logical.getShape();
  int64_t elementBytes =
      (logical.getElementType().getIntOrFloatBitWidth() + 7) / 8;
  // A mesh's own collectives: its ranks are judged as if they lay in order.
  Resharder first(source.mesh, cluster), second(target.mesh, cluster);

  TransferPlan best;
  double least = std::numeric_limits<double>::infinity();
  for (const auto &sent :
       variants(source.layout, source.mesh, shape.size(), /*ofTerms=*/true)) {
    FailureOr<const ReshardPlan *> before =
        first.plan(source.layout, sent, logical);
    if (failed(before))
      continue;
    SmallVector<Part, 0> sources = partsOf(source.mesh, sent, shape);
    for (const auto &received : variants(target.layout, target.mesh,
                                         shape.size(), /*ofTerms=*/false)) {
      FailureOr<const ReshardPlan *> after =
          second.plan(received, target.layout, logical);
      if (failed(after) || (*before)->seconds + (*after)->seconds >= least)
        continue;
      Pieces pieces(cluster, elementBytes);
      pieces.plan(sources, source.devices,
                  partsOf(target.mesh, received, shape), target.devices);
      double seconds =
          (*before)->seconds + pieces.seconds() + (*after)->seconds;
      if (seconds >= least)
        continue;
      least = seconds;
      best.before = **before;
      best.sent = sent;
      best.received = received;
      best.after = **after;
      best.seconds = seconds;
      best.bytesBetween = pieces.total;
      int64_t busiest = 0;
      for (int64_t device : target.devices)
        busiest = std::max(busiest, pieces.receivedBy(device));
      best.bytesTotal =
          best.before.bytesTotal + pieces.total + best.after.bytesTotal;
      best.bytesMax =
          std::max(best.before.bytesMax, busiest + best.after.bytesMax);
      best.pieces = std::move(pieces.pieces);
    }
  }
  if (least == std::numeric_limits<double>::infinity())
    return failure();

  // Over an axis where the target has terms, the value may lie anywhere.
  SmallVector<AxisLayout, 4> wanted(target.layout);
  int64_t anywhere = 1, terms = 1;
  for (auto [axis, entry] : llvm::enumerate(wanted))
    if (entry.isPartial())
      anywhere *= target.mesh.getSizes()[axis];
  for (auto [axis, entry] : llvm::enumerate(source.layout))
    if (entry.isPartial())
      terms *= source.mesh.getSizes()[axis];
  SmallVector<Part, 0> held = partsOf(source.mesh, source.layout, shape);
  std::map<int64_t, const Part *> holds;
  for (auto [device, block] : llvm::zip(source.devices, held))
    holds[device] = &block;
  for (auto [device, block] :
       llvm::zip(target.devices, partsOf(target.mesh, wanted, shape))) {
    int64_t lacking = block.elements();
    auto found = holds.find(device);
    if (terms == 1 && found != holds.end())
      lacking -= Part::intersection(*found->second, block).elements();
    best.boundTotal += lacking * elementBytes;
    best.boundMax = std::max(best.boundMax, lacking * elementBytes);
  }
  best.boundTotal /= anywhere;
  if (anywhere > 1)
    best.boundMax = 0;
  if (terms > 1) {
    // One device has the sum after terms - 1 messages; where it is one of
    // those that want it, that is its own.
    bool shared = llvm::any_of(target.devices, [&](int64_t device) {
      return holds.count(device) > 0;
    });
    best.boundTotal += logical.getNumElements() * elementBytes *
                       std::max<int64_t>(0, terms - (shared ? 2 : 1));
  }
  return best;
}
