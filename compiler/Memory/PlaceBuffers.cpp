// SPDX-License-Identifier: Apache-2.0
#include "compiler/Memory/Passes.h"
#include "compiler/Memory/StepOrder.h"

#include "llvm/ADT/MapVector.h"

using namespace mlir;

namespace weir::compiler {

#define GEN_PASS_DEF_PLACEBUFFERSPASS
#include "compiler/Memory/Passes.h.inc"

namespace {

using namespace actor;

/// Adds the reuse edges that the entry's placed memory needs: walks a step in
/// the order of actors, knows at each firing what has completed before it, and
/// orders it after the last conflicting use of each byte where nothing does so
/// yet. With one edge for each other stream at most, the edges are reduced as
/// they are made.
LogicalResult addReuseEdges(EntryOp entry) {
  EntryGraph graph(entry);
  int numStreams = graph.streams.size();
  if (numStreams < 2)
    return success();
  // What an iteration conflicts with lies in it, the one before, or outside of
  // the loop: three show all edges.
  int64_t unroll = std::min<int64_t>(graph.microBatches, 3);
  std::vector<Firing> firings = graph.unrollInOrder(unroll);
  std::vector<Clock> clocks(firings.size());
  std::vector<llvm::SmallVector<int64_t, 3>> firingsOf(graph.actors.size());
  std::vector<std::vector<int64_t>> byStream(numStreams);
  llvm::MapVector<Value, ByteHistory> histories;
  llvm::SmallVector<std::tuple<int, int, int64_t>> edges;

  for (auto [f, firing] : llvm::enumerate(firings)) {
    Clock clock(numStreams, 0);
    auto after = [&](int64_t earlier) {
      for (int s = 0; s < numStreams; ++s)
        clock[s] = std::max(clock[s], clocks[earlier][s]);
      const Firing &e = firings[earlier];
      clock[e.stream] = std::max(clock[e.stream], e.position + 1);
    };
    if (!byStream[firing.stream].empty())
      after(byStream[firing.stream].back());
    for (const EntryGraph::Wait &wait : graph.waits[firing.actor]) {
      std::optional<int64_t> microBatch = graph.waitedFor(wait, firing, unroll);
      if (!microBatch)
        continue;
      size_t index = std::max<int64_t>(*microBatch, 0);
      if (index >= firingsOf[wait.before].size())
        return graph.actors[firing.actor].emitOpError("waits for '")
               << graph.actors[wait.before].getName()
               << "', which comes later in the order of actors";
      after(firingsOf[wait.before][index]);
    }
    Clock needed(numStreams, 0);
    for (Operation &action : graph.actors[firing.actor].getBody().front())
      for (const Access &access : getAccesses(&action)) {
        auto buffer = access.buffer.getDefiningOp<BufferOp>();
        if (!buffer.getSegment())
          continue;
        auto [history, inserted] =
            histories.insert({buffer.getSegment(), ByteHistory(numStreams)});
        history->second.use(
            buffer.getOffset(), buffer.getOffset() + buffer.getBytes(),
            firing.stream, firing.position, access.writes, needed);
      }
    for (int s = 0; s < numStreams; ++s) {
      if (needed[s] <= clock[s])
        continue;
      int64_t before = byStream[s][needed[s] - 1];
      const Firing &earlier = firings[before];
      bool bothEach = earlier.microBatch >= 0 && firing.microBatch >= 0;
      int64_t distance = bothEach ? firing.microBatch - earlier.microBatch : 0;
      if (distance > 1)
        return graph.actors[firing.actor].emitOpError("shares memory with '")
               << graph.actors[earlier.actor].getName() << "' of " << distance
               << " micro-batches before";
      graph.waits[firing.actor].push_back({earlier.actor, distance});
      edges.push_back({earlier.actor, firing.actor, distance});
      after(before);
    }
    clocks[f] = clock;
    firingsOf[firing.actor].push_back(f);
    byStream[firing.stream].push_back(f);
  }

  // Schedules end an entry; edges stand before them.
  OpBuilder builder = OpBuilder::atBlockEnd(&entry.getBody().front());
  for (Operation &op : entry.getBody().front())
    if (llvm::isa<ScheduleOp>(op)) {
      builder.setInsertionPoint(&op);
      break;
    }
  for (auto [before, after, distance] : edges)
    ReuseOp::create(builder, entry.getLoc(), graph.actors[before].getActor(),
                    graph.actors[after].getActor(),
                    builder.getI64IntegerAttr(distance));
  return success();
}

struct PlaceBuffersPass : impl::PlaceBuffersPassBase<PlaceBuffersPass> {
  void runOnOperation() override {
    bool failed = false;
    for (PlanOp plan : getOperation().getOps<PlanOp>())
      failed |= mlir::failed(place(plan));
    if (failed)
      signalPassFailure();
  }

  LogicalResult place(PlanOp plan) {
    Operation *lastSegment = nullptr;
    for (SegmentOp segment : plan.getBody().getOps<SegmentOp>()) {
      if (segment.getKind() == SegmentKind::Step)
        return segment.emitOpError("is there already: the plan is placed");
      lastSegment = segment;
    }
    // Entries run one at a time and share the segment.
    int64_t bytes = 0;
    llvm::SmallVector<std::pair<BufferOp, int64_t>> placed;
    for (EntryOp entry : plan.getBody().getOps<EntryOp>()) {
      std::vector<Lifetime> lifetimes = computeLifetimes(entry);
      std::vector<PlacementItem> items;
      for (const Lifetime &lifetime : lifetimes)
        items.push_back(lifetime.item);
      Placement placement = placeBuffers(items, bufferAlignment);
      bytes = std::max(bytes, placement.highWater);
      for (auto [lifetime, offset] : llvm::zip(lifetimes, placement.offsets))
        placed.push_back({lifetime.buffer, offset});
    }
    OpBuilder builder(plan.getContext());
    if (lastSegment)
      builder.setInsertionPointAfter(lastSegment);
    else
      builder.setInsertionPointToStart(&plan.getBody().front());
    auto segment = SegmentOp::create(
        builder, plan.getLoc(), SegmentType::get(plan.getContext()),
        builder.getStringAttr("step"),
        SegmentKindAttr::get(plan.getContext(), SegmentKind::Step),
        builder.getI64IntegerAttr(alignUp(bytes)));
    for (auto [buffer, offset] : placed) {
      buffer.getSegmentMutable().assign(segment.getSegment());
      buffer.setOffset(offset);
    }
    for (EntryOp entry : plan.getBody().getOps<EntryOp>())
      if (failed(addReuseEdges(entry)))
        return failure();
    return success();
  }
};

} // namespace
} // namespace weir::compiler
