// SPDX-License-Identifier: Apache-2.0
#include "runtime/actor/Checker.h"

#include <algorithm>
#include <cstring>

namespace weir::actor {
namespace {

constexpr int64_t granule = plan::bufferAlignment;
constexpr int unwritten = 0xFF;

bool isScratch(const plan::Segment &segment) {
  return segment.kind == plan::Segment::Kind::Step ||
         segment.kind == plan::Segment::Kind::Workspace;
}

} // namespace

Checker::Checker(const plan::Plan &plan, const plan::Entry &entry,
                 const RankMemory &memory)
    : plan(plan), entry(entry), memory(memory) {
  int64_t owners = 0;
  for (const plan::Buffer &buffer : entry.buffers) {
    firstOwner.push_back(owners);
    owners += buffer.slots;
  }
  for (int64_t rank = 0; rank < plan.numRanks(); ++rank) {
    auto state = std::make_unique<RankState>();
    for (const plan::Segment &segment : plan.segments) {
      int64_t granules = (segment.bytes + granule - 1) / granule;
      state->shadow.emplace_back(segment.bytes);
      state->owners.emplace_back(granules, -1);
      state->stamps.emplace_back(granules, 0);
    }
    state->lastWrite.assign(owners, 0);
    ranks.push_back(std::move(state));
  }
}

void Checker::startRun() {
  for (size_t rank = 0; rank < ranks.size(); ++rank) {
    RankState &state = *ranks[rank];
    for (size_t i = 0; i < plan.segments.size(); ++i) {
      std::byte *base = memory.base(rank, i);
      if (isScratch(plan.segments[i]))
        std::memset(base, unwritten, plan.segments[i].bytes);
      std::copy_n(base, plan.segments[i].bytes, state.shadow[i].begin());
      std::fill(state.owners[i].begin(), state.owners[i].end(), -1);
      std::fill(state.stamps[i].begin(), state.stamps[i].end(), 0);
    }
    std::fill(state.lastWrite.begin(), state.lastWrite.end(), 0);
    state.clock = 0;
  }
}

std::unique_lock<std::mutex> Checker::lock(int64_t rank) {
  return std::unique_lock<std::mutex>(ranks[rank]->mutex);
}

Checker::Range Checker::rangeOf(int64_t rank, const plan::BufferRef &ref,
                                int microBatch) const {
  const plan::Buffer &buffer = entry.buffers[ref.buffer];
  Range range;
  if (buffer.binding >= 0 && (!buffer.bindingIsOutput || rank == 0))
    return range;
  int slot = microBatch % buffer.slots;
  int64_t start = buffer.offset + slot * buffer.slotStride;
  range.segment = buffer.segment;
  range.begin = start + ref.byteOffset;
  range.end = start + buffer.bytes;
  range.owner = firstOwner[ref.buffer] + slot;
  return range;
}

std::string Checker::ownerName(int64_t owner) const {
  size_t buffer =
      std::upper_bound(firstOwner.begin(), firstOwner.end(), owner) -
      firstOwner.begin() - 1;
  return "'" + entry.buffers[buffer].name + "'";
}

Status Checker::before(int64_t rank, const plan::OrderStep &step) {
  const plan::Action &action = entry.actions[step.action];
  const RankState &state = *ranks[rank];
  for (int i = 0; i < action.numReads; ++i) {
    Range range = rangeOf(rank, action.buffers[i], step.microBatch);
    if (range.segment < 0 || state.lastWrite[range.owner] == 0)
      continue;
    for (int64_t at = range.begin / granule;
         at < (range.end + granule - 1) / granule; ++at)
      if (state.owners[range.segment][at] != range.owner &&
          state.stamps[range.segment][at] > state.lastWrite[range.owner])
        return runtimeError("action " + plan::describeAction(action) +
                            " of rank " + std::to_string(rank) +
                            " reads buffer " + ownerName(range.owner) +
                            ", which was overwritten since by buffer " +
                            ownerName(state.owners[range.segment][at]));
  }
  return okStatus();
}

Status Checker::after(int64_t rank, const plan::OrderStep &step) {
  const plan::Action &action = entry.actions[step.action];
  RankState &state = *ranks[rank];
  std::vector<Range> writes;
  // Post and release move nothing; reduce and gather write the output.
  bool writesNothing = action.kind == plan::Action::Kind::Collective &&
                       (action.phase == plan::Action::Phase::Post ||
                        action.phase == plan::Action::Phase::Release);
  if (!writesNothing)
    for (size_t i = action.numReads; i < action.buffers.size(); ++i) {
      Range range = rangeOf(rank, action.buffers[i], step.microBatch);
      if (range.segment >= 0)
        writes.push_back(range);
    }
  ++state.clock;
  for (const Range &range : writes) {
    std::memcpy(state.shadow[range.segment].data() + range.begin,
                memory.base(rank, range.segment) + range.begin,
                range.end - range.begin);
    state.lastWrite[range.owner] = state.clock;
    for (int64_t at = range.begin / granule;
         at < (range.end + granule - 1) / granule; ++at) {
      state.owners[range.segment][at] = range.owner;
      state.stamps[range.segment][at] = state.clock;
    }
  }
  for (size_t i = 0; i < plan.segments.size(); ++i) {
    const std::byte *now = memory.base(rank, i);
    const std::vector<std::byte> &then = state.shadow[i];
    if (then.empty() || std::memcmp(now, then.data(), then.size()) == 0)
      continue;
    int64_t at =
        std::mismatch(then.begin(), then.end(), now).first - then.begin();
    return runtimeError("action " + plan::describeAction(action) + " of rank " +
                        std::to_string(rank) + " wrote byte " +
                        std::to_string(at) + " of segment '" +
                        plan.segments[i].name +
                        "', outside of its written buffers");
  }
  return okStatus();
}

int64_t Checker::plannedEnd(const plan::Plan &plan, int segment) {
  int64_t end = 0;
  for (const plan::Variable &variable : plan.variables) {
    if (variable.segment != segment)
      continue;
    int64_t bytes = plan::byteSize(variable.layout.dtype);
    for (const plan::DimLayout &dim : variable.layout.dims)
      bytes *= dim.capacity;
    end = std::max(end, variable.offset + bytes);
  }
  for (const plan::Entry &entry : plan.entries)
    for (const plan::Buffer &buffer : entry.buffers)
      if (buffer.segment == segment)
        end = std::max(end, buffer.offset +
                                (buffer.slots - 1) * buffer.slotStride +
                                buffer.bytes);
  return end;
}

int64_t Checker::touchedEnd(int segment) const {
  int64_t highest = 0;
  if (!isScratch(plan.segments[segment]))
    return highest;
  for (size_t rank = 0; rank < ranks.size(); ++rank) {
    const std::byte *base = memory.base(rank, segment);
    int64_t end = plan.segments[segment].bytes;
    while (end > highest && base[end - 1] == static_cast<std::byte>(unwritten))
      --end;
    highest = std::max(highest, end);
  }
  return highest;
}

} // namespace weir::actor
