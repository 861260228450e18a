// SPDX-License-Identifier: Apache-2.0
#include "runtime/comm/Collectives.h"

#include <algorithm>

namespace weir::comm {
namespace {

using plan::Action;
using plan::Collective;
using plan::CollectiveDim;
using plan::Plan;

/// Chunks of an all-reduce start at multiples of this many elements, so that no
/// two ranks write one cache line.
constexpr int64_t chunkAlignment = 16;

bool contains(const std::vector<int> &axes, int axis) {
  return std::find(axes.begin(), axes.end(), axis) != axes.end();
}

/// The ranks that differ from `rank` only on `axes`, the first axis slowest.
std::vector<int64_t> groupOf(const Plan &plan, const std::vector<int> &axes,
                             int64_t rank) {
  std::vector<int64_t> strides(plan.mesh.size(), 0);
  int64_t stride = 1;
  for (size_t i = plan.mesh.size(); i-- > 0;)
    if (!plan.mesh[i].time) {
      strides[i] = stride;
      stride *= plan.mesh[i].size;
    }
  std::vector<int64_t> coordinates = plan::rankCoordinates(rank, plan.mesh);
  std::vector<int64_t> group = {rank};
  for (int axis : axes) {
    std::vector<int64_t> next;
    next.reserve(group.size() * plan.mesh[axis].size);
    for (int64_t member : group)
      for (int64_t i = 0; i < plan.mesh[axis].size; ++i)
        next.push_back(member + (i - coordinates[axis]) * strides[axis]);
    group = std::move(next);
  }
  return group;
}

std::vector<int64_t> coordinatesAt(const Plan &plan, int64_t rank,
                                   int microBatch) {
  std::vector<int64_t> coordinates = plan::rankCoordinates(rank, plan.mesh);
  for (size_t i = 0; i < plan.mesh.size(); ++i)
    if (plan.mesh[i].time)
      coordinates[i] = microBatch;
  return coordinates;
}

std::vector<Interval> blockOf(const Plan &plan, const Collective &collective,
                              int64_t rank, int microBatch, bool out) {
  std::vector<int64_t> coordinates = coordinatesAt(plan, rank, microBatch);
  std::vector<Interval> block;
  for (const CollectiveDim &dim : collective.dims)
    block.push_back(intervalOf(dim.logical, out ? dim.outAxes : dim.inAxes,
                               out ? dim.outUnit : dim.inUnit, plan.mesh,
                               coordinates, out ? dim.outShift : dim.inShift));
  return block;
}

} // namespace

StatusOr<std::unique_ptr<Collectives>>
Collectives::create(const Plan &plan, const plan::Entry &entry) {
  auto collectives = std::make_unique<Collectives>();
  collectives->numRanks = plan.numRanks();
  collectives->received.assign(collectives->numRanks, 0);
  collectives->states.reserve(entry.collectives.size());
  std::vector<const Action *> posts(entry.collectives.size(), nullptr);
  for (const Action &action : entry.actions)
    if (action.kind == Action::Kind::Collective)
      posts[action.collective] = &action;
  for (size_t i = 0; i < entry.collectives.size(); ++i) {
    Status status = collectives->addCollective(plan, entry, i);
    if (!status.ok())
      return std::move(status).withContext(
          posts[i] ? "collective of '" + posts[i]->site + "'"
                   : "collective " + std::to_string(i));
  }
  return collectives;
}

Status Collectives::addCollective(const Plan &plan, const plan::Entry &entry,
                                  size_t index) {
  const Collective &collective = entry.collectives[index];
  bool reduces = collective.op == Collective::Op::AllReduce ||
                 collective.op == Collective::Op::ReduceScatter;
  if (reduces && !canReduce(collective.dtype))
    return Status(StatusCode::IncompatibleArtifact,
                  "cannot combine " + std::string(name(collective.dtype)) +
                      "; the CPU runtime combines f32 and i32");
  State state;
  state.collective = &collective;
  state.occurrences = entry.microBatches;
  for (const CollectiveDim &dim : collective.dims)
    for (size_t axis = 0; axis < plan.mesh.size(); ++axis)
      if (plan.mesh[axis].time &&
          (contains(dim.inAxes, axis) || contains(dim.outAxes, axis)))
        state.variants = entry.microBatches;
  state.shares.resize(numRanks * state.variants);
  state.published.resize(numRanks * state.occurrences);
  state.progress = std::make_unique<Progress[]>(numRanks);
  int64_t elementBytes = plan::byteSize(collective.dtype);
  for (int64_t rank = 0; rank < numRanks; ++rank) {
    state.groups.push_back(groupOf(plan, collective.axes, rank));
    const std::vector<int64_t> &group = state.groups.back();
    state.sources.emplace_back(group.size());
    auto member = static_cast<int>(std::find(group.begin(), group.end(), rank) -
                                   group.begin());
    state.memberIndex.push_back(member);
    for (int64_t variant = 0; variant < state.variants; ++variant) {
      Share &share = state.shares[rank * state.variants + variant];
      WEIR_RETURN_IF_ERROR(computeShare(plan, collective, group, member,
                                        static_cast<int>(variant), share));
      for (const Piece &piece : share.pieces)
        for (int from : piece.members)
          if (from != member)
            received[rank] += piece.box.elements() * elementBytes;
      if (!share.chunks.empty()) {
        // The others' parts of the own chunk, then the other chunks.
        int64_t own = share.chunks[member + 1] - share.chunks[member];
        received[rank] += (own * static_cast<int64_t>(group.size() - 1) +
                           share.whole.elements() - own) *
                          elementBytes;
      }
    }
  }
  states.push_back(std::move(state));
  return okStatus();
}

Status Collectives::computeShare(const Plan &plan, const Collective &collective,
                                 const std::vector<int64_t> &group, int member,
                                 int microBatch, Share &share) {
  size_t numDims = collective.dims.size();
  int64_t rank = group[member];
  std::vector<Interval> mine =
      blockOf(plan, collective, rank, microBatch, /*out=*/true);

  if (collective.op == Collective::Op::AllReduce) {
    for (const CollectiveDim &dim : collective.dims)
      for (int axis : collective.axes)
        if (contains(dim.inAxes, axis))
          return invalidInput("an all-reduce over mesh axis '" +
                              plan.mesh[axis].name +
                              "', which splits its tensor; write the artifact "
                              "again with weir compile");
    for (size_t i = 0; i < numDims; ++i) {
      const CollectiveDim &dim = collective.dims[i];
      share.whole.dims.push_back({mine[i].extent, dim.inStride, dim.outStride});
      share.pull.dims.push_back({mine[i].extent, dim.outStride, dim.outStride});
    }
    share.whole.coalesce();
    share.pull.coalesce();
    auto parts = static_cast<int64_t>(group.size());
    int64_t count = share.whole.elements();
    for (int64_t i = 0; i <= parts; ++i)
      share.chunks.push_back(i == parts ? count
                                        : count * i / parts / chunkAlignment *
                                              chunkAlignment);
    return okStatus();
  }

  // Group the members by the block that they hold: blocks of one layout are
  // equal or disjoint.
  struct Holder {
    std::vector<Interval> block;
    std::vector<int> members;
  };
  std::vector<Holder> holders;
  auto less = [](const Holder &x, const Holder &y) {
    for (size_t i = 0; i < x.block.size(); ++i) {
      const Interval &a = x.block[i], &b = y.block[i];
      if (!(a == b))
        return a.offset != b.offset ? a.offset < b.offset : a.extent < b.extent;
    }
    return x.members.front() < y.members.front();
  };
  for (size_t i = 0; i < group.size(); ++i)
    holders.push_back({blockOf(plan, collective, group[i], microBatch,
                               /*out=*/false),
                       {static_cast<int>(i)}});
  std::sort(holders.begin(), holders.end(), less);
  std::vector<Holder> distinct;
  for (Holder &holder : holders) {
    if (!distinct.empty() && distinct.back().block == holder.block)
      distinct.back().members.push_back(holder.members.front());
    else
      distinct.push_back(std::move(holder));
  }

  bool reduces = collective.op == Collective::Op::ReduceScatter;
  int64_t covered = 0, wanted = 1;
  for (const Interval &interval : mine)
    wanted *= interval.extent;
  for (Holder &holder : distinct) {
    Piece piece;
    bool empty = false;
    for (size_t i = 0; i < numDims; ++i) {
      const CollectiveDim &dim = collective.dims[i];
      const Interval &source = holder.block[i], &target = mine[i];
      int64_t begin = std::max(source.offset, target.offset);
      int64_t end = std::min(source.offset + source.extent,
                             target.offset + target.extent);
      if (begin >= end) {
        empty = true;
        break;
      }
      piece.box.dims.push_back({end - begin, dim.inStride, dim.outStride});
      piece.box.fromOffset += (begin - source.offset) * dim.inStride;
      piece.box.toOffset += (begin - target.offset) * dim.outStride;
    }
    if (empty)
      continue;
    piece.box.coalesce();
    covered += piece.box.elements();
    if (reduces) {
      piece.members = std::move(holder.members);
    } else {
      // Copies are all the same: take the own one if there is one, otherwise
      // let the holders share the work.
      bool own = std::find(holder.members.begin(), holder.members.end(),
                           member) != holder.members.end();
      piece.members = {own ? member
                           : holder.members[member % holder.members.size()]};
    }
    share.pieces.push_back(std::move(piece));
  }
  if (covered != wanted)
    return invalidInput(
        "rank " + std::to_string(rank) + " needs " + std::to_string(wanted) +
        " elements of which its group holds " + std::to_string(covered) +
        "; write the artifact again with weir compile");
  return okStatus();
}

void Collectives::reset() {
  for (State &state : states)
    for (int64_t rank = 0; rank < numRanks; ++rank)
      for (std::atomic<int64_t> &passed : state.progress[rank].passed)
        passed.store(0, std::memory_order_relaxed);
}

bool Collectives::ready(const Action &action, int64_t rank,
                        int microBatch) const {
  const State &state = states[action.collective];
  Action::Phase preceding;
  if (!plan::precedingPhase(state.collective->op, action.phase, preceding))
    return true;
  for (int64_t peer : state.groups[rank])
    if (state.progress[peer].passed[static_cast<int>(preceding)].load(
            std::memory_order_acquire) <= microBatch)
      return false;
  return true;
}

std::string Collectives::missing(const Action &action, int64_t rank,
                                 int microBatch) const {
  const State &state = states[action.collective];
  Action::Phase preceding;
  if (!plan::precedingPhase(state.collective->op, action.phase, preceding))
    return "";
  std::string text;
  for (int64_t peer : state.groups[rank])
    if (state.progress[peer].passed[static_cast<int>(preceding)].load(
            std::memory_order_acquire) <= microBatch)
      text += (text.empty() ? "" : ", ") + std::to_string(peer);
  return (text.find(',') == std::string::npos ? "rank " : "ranks ") + text;
}

void Collectives::run(const Action &action, int64_t rank, int microBatch,
                      const void *in, void *out) {
  State &state = states[action.collective];
  const Collective &collective = *state.collective;
  const std::vector<int64_t> &group = state.groups[rank];
  const Share &share = state.shares[rank * state.variants +
                                    (state.variants == 1 ? 0 : microBatch)];
  int member = state.memberIndex[rank];
  int64_t elementBytes = plan::byteSize(collective.dtype);
  auto published = [&](int64_t peer) -> const Published & {
    return state.published[peer * state.occurrences + microBatch];
  };

  auto reduce = [&](const Box &box, int64_t begin, int64_t end,
                    const std::vector<int> *members) {
    std::vector<const void *> &sources = state.sources[rank];
    size_t count = members ? members->size() : group.size();
    for (size_t i = 0; i < count; ++i)
      sources[i] = published(group[members ? (*members)[i] : i]).in;
    reduceBox(box, begin, end, collective.dtype, collective.combiner,
              sources.data(), count, out,
              // The peers read an all-reduce's chunk next.
              /*readSoon=*/action.phase == Action::Phase::Reduce);
  };

  switch (action.phase) {
  case Action::Phase::Post:
    state.published[rank * state.occurrences + microBatch] = {in, out};
    break;
  case Action::Phase::Reduce:
    reduce(share.whole, share.chunks[member], share.chunks[member + 1],
           nullptr);
    break;
  case Action::Phase::Gather:
    if (collective.op == Collective::Op::AllReduce) {
      // Start behind the own chunk, so that the ranks do not all read the same
      // memory at once.
      for (size_t i = 1; i < group.size(); ++i) {
        size_t from = (member + i) % group.size();
        copyBox(share.pull, share.chunks[from], share.chunks[from + 1],
                elementBytes, published(group[from]).out, out);
      }
    } else {
      for (const Piece &piece : share.pieces) {
        if (collective.op == Collective::Op::ReduceScatter)
          reduce(piece.box, 0, piece.box.elements(), &piece.members);
        else
          copyBox(piece.box, elementBytes,
                  published(group[piece.members.front()]).in, out);
      }
    }
    break;
  case Action::Phase::Release:
    break;
  }
  std::atomic<int64_t> &passed =
      state.progress[rank].passed[static_cast<int>(action.phase)];
  passed.store(passed.load(std::memory_order_relaxed) + 1,
               std::memory_order_release);
}

} // namespace weir::comm
