// SPDX-License-Identifier: Apache-2.0
#include "compiler/Memory/StepOrder.h"

using namespace mlir;

namespace weir::compiler {

using namespace actor;

EntryGraph::EntryGraph(EntryOp entryOp) : entry(entryOp) {
  microBatches = entry.getMicroBatches();
  llvm::DenseMap<Value, int> streamIndex;
  for (StreamOp stream : entry.getBody().getOps<StreamOp>()) {
    streamIndex[stream.getStream()] = streams.size();
    streams.push_back(stream.getStream());
  }
  for (ActorOp actor : entry.getBody().getOps<ActorOp>()) {
    actorIndex[actor.getActor()] = actors.size();
    actors.push_back(actor);
    streamOf.push_back(streamIndex[actor.getStream()]);
  }
  waits.resize(actors.size());
  for (RegisterOp reg : entry.getBody().getOps<RegisterOp>()) {
    int producer = actorIndex[reg.getProducer()];
    for (Value value : reg.getConsumers()) {
      int consumer = actorIndex[value];
      waits[consumer].push_back({producer, 0});
      // The slot is free again for the producer's later firing.
      if (firesForEach(producer) && firesForEach(consumer))
        waits[producer].push_back({consumer, reg.getSlots()});
    }
  }
  for (ReuseOp reuse : entry.getBody().getOps<ReuseOp>())
    waits[actorIndex[reuse.getAfter()]].push_back(
        {actorIndex[reuse.getBefore()], reuse.getDistance()});
}

bool EntryGraph::firesForEach(int actor) const {
  return const_cast<ActorOp &>(actors[actor]).getPerMicroBatch();
}

std::vector<Firing> EntryGraph::unrollInOrder(int64_t unroll) const {
  std::vector<Firing> firings;
  llvm::SmallVector<int64_t> next(streams.size(), 0);
  auto fire = [&](int actor, int64_t microBatch) {
    int stream = streamOf[actor];
    firings.push_back({actor, microBatch, stream, next[stream]++});
  };
  int numActors = actors.size(), first = 0;
  while (first < numActors && !firesForEach(first))
    fire(first++, -1);
  int last = first;
  while (last < numActors && firesForEach(last))
    ++last;
  for (int64_t j = 0; j < unroll; ++j)
    for (int actor = first; actor < last; ++actor)
      fire(actor, j);
  for (int actor = last; actor < numActors; ++actor)
    fire(actor, -1);
  return firings;
}

std::optional<int64_t> EntryGraph::waitedFor(const Wait &wait,
                                             const Firing &after,
                                             int64_t unroll) const {
  if (!firesForEach(wait.before))
    return -1;
  if (after.microBatch < 0)
    return unroll - 1;
  int64_t microBatch = after.microBatch - wait.distance;
  if (microBatch < 0)
    return std::nullopt;
  return microBatch;
}

void ByteHistory::splitAt(int64_t address) {
  auto next = ranges.upper_bound(address);
  if (next == ranges.begin())
    return;
  auto found = std::prev(next);
  if (found->first == address || found->second.end <= address)
    return;
  Range upper = found->second;
  found->second.end = address;
  ranges.emplace_hint(next, address, std::move(upper));
}

void ByteHistory::use(int64_t begin, int64_t end, int stream, int64_t position,
                      bool writes, Clock &needed) {
  if (end <= begin)
    return;
  splitAt(begin);
  splitAt(end);
  Range fresh;
  fresh.written.assign(numStreams, 0);
  fresh.read.assign(numStreams, 0);
  auto first = ranges.lower_bound(begin), it = first;
  // A write makes one fresh range of all it covers: what came before is ordered
  // before it, so that later uses need to know of the write alone.
  int64_t covered = begin;
  for (; it != ranges.end() && it->first < end; ++it) {
    if (!writes && it->first > covered) {
      Range gap = fresh;
      gap.end = it->first;
      gap.read[stream] = position + 1;
      ranges.emplace_hint(it, covered, std::move(gap));
    }
    Range &range = it->second;
    covered = range.end;
    for (int s = 0; s < numStreams; ++s) {
      if (s != stream) {
        needed[s] = std::max(needed[s], range.written[s]);
        if (writes)
          needed[s] = std::max(needed[s], range.read[s]);
      }
    }
    if (!writes)
      range.read[stream] = std::max(range.read[stream], position + 1);
  }
  if (!writes) {
    if (covered < end) {
      fresh.end = end;
      fresh.read[stream] = position + 1;
      ranges.emplace_hint(it, covered, std::move(fresh));
    }
    return;
  }
  fresh.end = end;
  fresh.written[stream] = position + 1;
  it = ranges.erase(first, it);
  ranges.emplace_hint(it, begin, std::move(fresh));
}

std::vector<Lifetime> computeLifetimes(EntryOp entry) {
  struct Use {
    int64_t first = -1, last = -1;
    bool inLoop = false;
  };
  llvm::DenseMap<Value, Use> uses;
  int64_t position = 0, loopBegin = -1, loopEnd = -1;
  for (ActorOp actorOp : entry.getBody().getOps<ActorOp>()) {
    bool each = actorOp.getPerMicroBatch();
    if (each && loopBegin < 0)
      loopBegin = position;
    for (Operation &action : actorOp.getBody().front()) {
      for (const Access &access : getAccesses(&action)) {
        Use &use = uses[access.buffer];
        if (use.first < 0)
          use.first = position;
        use.last = position;
        use.inLoop |= each;
      }
      ++position;
    }
    if (each)
      loopEnd = position;
  }
  std::vector<Lifetime> lifetimes;
  for (BufferOp buffer : entry.getBody().getOps<BufferOp>()) {
    auto found = uses.find(buffer.getBuffer());
    if (found == uses.end() || buffer.getInput())
      continue;
    if (Value segment = buffer.getSegment())
      if (segment.getDefiningOp<SegmentOp>().getKind() != SegmentKind::Step)
        continue;
    const Use &use = found->second;
    Lifetime lifetime{buffer, {use.first, use.last + 1, 0}};
    lifetime.item.bytes =
        (buffer.getSlots() - 1) * buffer.getSlotStride() + buffer.getBytes();
    // Contents that pass from one micro-batch to the next, or come from before
    // the loop, or are wanted after it, stay where they are for all of it. So
    // do several slots.
    bool outside = use.first < loopBegin || use.last >= loopEnd;
    if (use.inLoop &&
        (buffer.getCarried() || outside || buffer.getSlots() > 1)) {
      lifetime.item.begin = std::min(lifetime.item.begin, loopBegin);
      lifetime.item.end = std::max(lifetime.item.end, loopEnd);
    }
    if (buffer.getOutput())
      lifetime.item.end = position;
    lifetimes.push_back(lifetime);
  }
  return lifetimes;
}

EntryMemory measureMemory(EntryOp entry) {
  EntryMemory memory;
  std::vector<PlacementItem> items;
  for (Lifetime &lifetime : computeLifetimes(entry)) {
    items.push_back(lifetime.item);
    ++memory.numBuffers;
    if (lifetime.buffer.getSegment())
      memory.highWater = std::max(
          memory.highWater, lifetime.buffer.getOffset() + lifetime.item.bytes);
  }
  memory.live = liveBytes(items, bufferAlignment);
  return memory;
}

} // namespace weir::compiler
