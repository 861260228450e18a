// SPDX-License-Identifier: Apache-2.0
#include "compiler/Memory/Passes.h"
#include "compiler/Memory/StepOrder.h"

#include "llvm/ADT/MapVector.h"

using namespace mlir;

namespace weir::compiler {

#define GEN_PASS_DEF_VERIFYPLANPASS
#include "compiler/Memory/Passes.h.inc"

namespace {

using namespace actor;

std::string nameOf(EntryGraph &graph, const Firing &firing) {
  std::string name = "'" + graph.actors[firing.actor].getName().str() + "'";
  if (firing.microBatch >= 0)
    name += " for micro-batch " + std::to_string(firing.microBatch);
  return name;
}

struct VerifyPlanPass : impl::VerifyPlanPassBase<VerifyPlanPass> {
  void runOnOperation() override {
    bool failed = false;
    getOperation()->walk([&](EntryOp entry) {
      failed |=
          mlir::failed(verifyMemory(entry)) || mlir::failed(verifyOrder(entry));
    });
    if (failed)
      signalPassFailure();
    markAllAnalysesPreserved();
  }

  LogicalResult verifyMemory(EntryOp entry) {
    std::vector<Lifetime> lifetimes = computeLifetimes(entry);
    std::vector<PlacementItem> items;
    std::vector<int64_t> offsets;
    for (Lifetime &lifetime : lifetimes) {
      if (!lifetime.buffer.getSegment())
        return lifetime.buffer.emitOpError("is used but has no place");
      items.push_back(lifetime.item);
      offsets.push_back(lifetime.buffer.getOffset());
    }
    auto [a, b] = findOverlap(items, offsets);
    if (a < 0)
      return success();
    InFlightDiagnostic diagnostic = lifetimes[a].buffer.emitOpError("'");
    diagnostic << lifetimes[a].buffer.getName() << "' overlaps '"
               << lifetimes[b].buffer.getName()
               << "' in memory while both are live";
    diagnostic.attachNote(lifetimes[b].buffer.getLoc()) << "the other buffer";
    return diagnostic;
  }

  LogicalResult verifyOrder(EntryOp entry) {
    EntryGraph graph(entry);
    int numStreams = graph.streams.size();
    // The firings of one step, each stream's in the order of its schedule.
    std::vector<Firing> firings;
    std::vector<llvm::SmallVector<int64_t, 1>> firingsOf(graph.actors.size());
    std::vector<std::vector<int64_t>> byStream(numStreams);
    for (ScheduleOp schedule : entry.getBody().getOps<ScheduleOp>())
      for (auto [value, microBatch] :
           llvm::zip(schedule.getActors(), schedule.getMicroBatches())) {
        int actor = graph.actorIndex[value];
        int stream = graph.streamOf[actor];
        firingsOf[actor].push_back(firings.size());
        byStream[stream].push_back(firings.size());
        firings.push_back({actor, microBatch, stream,
                           static_cast<int64_t>(byStream[stream].size()) - 1});
      }
    if (firings.empty() && !graph.actors.empty())
      return entry.emitOpError("expects schedules");

    std::vector<llvm::SmallVector<int64_t, 2>> before(firings.size()),
        after(firings.size());
    for (auto [f, firing] : llvm::enumerate(firings)) {
      if (firing.position > 0)
        before[f].push_back(byStream[firing.stream][firing.position - 1]);
      for (const EntryGraph::Wait &wait : graph.waits[firing.actor])
        if (std::optional<int64_t> microBatch =
                graph.waitedFor(wait, firing, graph.microBatches))
          before[f].push_back(
              firingsOf[wait.before][std::max<int64_t>(*microBatch, 0)]);
      for (int64_t earlier : before[f])
        after[earlier].push_back(f);
    }

    // Kahn's algorithm; what is left over waits for itself.
    std::vector<int64_t> order;
    std::vector<size_t> waiting(firings.size());
    for (size_t f = 0; f < firings.size(); ++f) {
      waiting[f] = before[f].size();
      if (waiting[f] == 0)
        order.push_back(f);
    }
    for (size_t i = 0; i < order.size(); ++i)
      for (int64_t next : after[order[i]])
        if (--waiting[next] == 0)
          order.push_back(next);
    if (order.size() < firings.size())
      return reportCycle(graph, firings, before, waiting);

    // Every two uses of a byte, one of them writing, are ordered.
    std::vector<Clock> clocks(firings.size());
    llvm::MapVector<Value, ByteHistory> histories;
    for (int64_t f : order) {
      const Firing &firing = firings[f];
      Clock clock(numStreams, 0);
      for (int64_t earlier : before[f]) {
        for (int s = 0; s < numStreams; ++s)
          clock[s] = std::max(clock[s], clocks[earlier][s]);
        const Firing &e = firings[earlier];
        clock[e.stream] = std::max(clock[e.stream], e.position + 1);
      }
      for (Operation &action : graph.actors[firing.actor].getBody().front())
        for (const Access &access : getAccesses(&action)) {
          auto buffer = access.buffer.getDefiningOp<BufferOp>();
          if (!buffer.getSegment())
            continue;
          int64_t slot = firing.microBatch < 0
                             ? (graph.microBatches - 1) % buffer.getSlots()
                             : firing.microBatch % buffer.getSlots();
          int64_t begin = buffer.getOffset() + slot * buffer.getSlotStride();
          Clock needed(numStreams, 0);
          auto [history, inserted] =
              histories.insert({buffer.getSegment(), ByteHistory(numStreams)});
          history->second.use(begin, begin + buffer.getBytes(), firing.stream,
                              firing.position, access.writes, needed);
          for (int s = 0; s < numStreams; ++s)
            if (needed[s] > clock[s])
              return action.emitOpError("uses the memory of '")
                     << buffer.getName() << "' in " << nameOf(graph, firing)
                     << " without waiting for "
                     << nameOf(graph, firings[byStream[s][needed[s] - 1]]);
        }
      clocks[f] = std::move(clock);
    }
    return success();
  }

  LogicalResult
  reportCycle(EntryGraph &graph, llvm::ArrayRef<Firing> firings,
              llvm::ArrayRef<llvm::SmallVector<int64_t, 2>> before,
              llvm::ArrayRef<size_t> waiting) {
    // Backwards along firings that wait, until one comes up again.
    int64_t current = 0;
    while (waiting[current] == 0)
      ++current;
    llvm::DenseMap<int64_t, size_t> seen;
    llvm::SmallVector<int64_t> path;
    while (!seen.contains(current)) {
      seen[current] = path.size();
      path.push_back(current);
      for (int64_t earlier : before[current])
        if (waiting[earlier] > 0) {
          current = earlier;
          break;
        }
    }
    path.push_back(current);
    InFlightDiagnostic diagnostic = graph.entry.emitOpError("'")
                                    << graph.entry.getName()
                                    << "' waits for itself: ";
    llvm::interleave(
        llvm::ArrayRef<int64_t>(path).drop_front(seen[current]),
        [&](int64_t f) { diagnostic << nameOf(graph, firings[f]); },
        [&] { diagnostic << " waits for "; });
    return diagnostic;
  }
};

} // namespace
} // namespace weir::compiler
