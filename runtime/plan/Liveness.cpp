// SPDX-License-Identifier: Apache-2.0
#include "runtime/base/Strings.h"
#include "runtime/plan/Order.h"

namespace weir::plan {
namespace {

size_t phaseIndex(int collective, Action::Phase phase) {
  return static_cast<size_t>(collective) * 4 + static_cast<size_t>(phase);
}

/// Runs one step without doing anything.
class Simulation {
public:
  Simulation(const Entry &entry, const EntryOrder &order)
      : entry(entry), order(order), done(order.streams.size(), 0),
        blockedOn(order.streams.size(), 0),
        passed(entry.collectives.size() * 4, 0),
        phaseStreams(entry.collectives.size() * 4, 0) {
    for (const Actor &actor : entry.actors)
      for (int index : actor.actions) {
        const Action &action = entry.actions[index];
        if (action.kind == Action::Kind::Collective)
          phaseStreams[phaseIndex(action.collective, action.phase)] =
              actor.stream;
      }
  }

  /// Each stream's head is looked at once a round and each round passes a step:
  /// linear for a fixed number of streams.
  void run() {
    for (bool progress = true; progress;) {
      progress = false;
      for (size_t stream = 0; stream < done.size(); ++stream)
        while (!finished(stream) && ready(stream)) {
          const Action &action = entry.actions[head(stream).action];
          if (action.kind == Action::Kind::Collective)
            ++passed[phaseIndex(action.collective, action.phase)];
          ++done[stream];
          progress = true;
        }
    }
  }

  /// Empty when all streams finished.
  std::string describeCircle() const {
    size_t at = 0;
    while (at < done.size() && finished(at))
      ++at;
    if (at == done.size())
      return "";
    // Follow the waits; after as many steps as there are streams we are on the
    // circle. Streams that are done are never waited for.
    for (size_t i = 0; i < done.size(); ++i)
      at = blockedOn[at];
    std::string text = "waits for itself and would never finish: ";
    size_t start = at;
    do {
      const OrderStep &step = head(at);
      text += "actor '" + printable(entry.actors[step.actor].name, 80) +
              "' at " + describeAction(entry.actions[step.action]) +
              " of micro-batch " + std::to_string(step.microBatch) +
              " waits for ";
      at = blockedOn[at];
    } while (at != start);
    return text + "the first";
  }

private:
  bool finished(size_t stream) const {
    return done[stream] == static_cast<int64_t>(order.streams[stream].size());
  }
  const OrderStep &head(size_t stream) const {
    return order.streams[stream][done[stream]];
  }

  /// Otherwise notes the stream that the head waits for.
  bool ready(size_t stream) {
    const OrderStep &step = head(stream);
    for (int i = 0; i < step.numWaits; ++i) {
      const Wait &wait = order.waits[step.firstWait + i];
      if (done[wait.stream] < wait.position) {
        blockedOn[stream] = wait.stream;
        return false;
      }
    }
    const Action &action = entry.actions[step.action];
    Action::Phase preceding;
    if (action.kind != Action::Kind::Collective ||
        !precedingPhase(entry.collectives[action.collective].op, action.phase,
                        preceding))
      return true;
    size_t index = phaseIndex(action.collective, preceding);
    blockedOn[stream] = phaseStreams[index];
    return passed[index] > step.microBatch;
  }

  const Entry &entry;
  const EntryOrder &order;
  std::vector<int64_t> done;     // steps, by stream
  std::vector<size_t> blockedOn; // the stream that each head waits for
  std::vector<int64_t> passed;   // by collective and phase
  std::vector<int> phaseStreams; // likewise: where the phase runs
};

} // namespace

std::string findCircularWait(const Entry &entry, const EntryOrder &order) {
  Simulation simulation(entry, order);
  simulation.run();
  return simulation.describeCircle();
}

} // namespace weir::plan
