// SPDX-License-Identifier: Apache-2.0
#include "runtime/plan/Order.h"

#include <algorithm>

namespace weir::plan {
namespace {

/// A firing of an actor waits for a firing of another one.
struct Dependence {
  int actor = -1;
  /// Where both fire for each micro-batch: j waits for j - distance.
  int distance = 0;
};

/// Where the firings of the actors lie in their streams.
struct Firings {
  std::vector<size_t> first;       // per actor, into `begin` and `end`
  std::vector<int64_t> begin, end; // positions of steps, per firing
};

Firings placeFirings(const Entry &entry) {
  Firings firings;
  firings.first.reserve(entry.actors.size() + 1);
  size_t count = 0;
  for (const Actor &actor : entry.actors) {
    firings.first.push_back(count);
    count += actor.perMicroBatch ? entry.microBatches : 1;
  }
  firings.first.push_back(count);
  firings.begin.resize(count);
  firings.end.resize(count);
  for (const std::vector<ScheduleItem> &items : entry.schedule) {
    int64_t position = 0;
    for (const ScheduleItem &item : items) {
      size_t firing = firings.first[item.actor] + std::max(item.microBatch, 0);
      firings.begin[firing] = position;
      position += static_cast<int64_t>(entry.actors[item.actor].actions.size());
      firings.end[firing] = position;
    }
  }
  return firings;
}

/// All dependences, grouped by the waiting actor.
struct Dependences {
  std::vector<size_t> first;
  std::vector<Dependence> list;
};

Dependences groupDependences(const Entry &entry) {
  std::vector<std::pair<int, Dependence>> edges;
  for (const Register &reg : entry.registers) {
    bool producerRepeats = entry.actors[reg.producer].perMicroBatch;
    for (int consumer : reg.consumers) {
      edges.push_back({consumer, {reg.producer, 0}});
      // Credits: a slot is free once the piece `slots` before it was consumed.
      if (producerRepeats && entry.actors[consumer].perMicroBatch)
        edges.push_back({reg.producer, {consumer, reg.slots}});
    }
  }
  for (const ReuseEdge &edge : entry.reuseEdges)
    edges.push_back({edge.after, {edge.before, edge.distance}});

  Dependences result;
  result.first.assign(entry.actors.size() + 1, 0);
  for (const auto &edge : edges)
    ++result.first[edge.first + 1];
  for (size_t i = 1; i < result.first.size(); ++i)
    result.first[i] += result.first[i - 1];
  result.list.resize(edges.size());
  std::vector<size_t> next(result.first.begin(), result.first.end() - 1);
  for (const auto &[actor, dependence] : edges)
    result.list[next[actor]++] = dependence;
  return result;
}

} // namespace

EntryOrder orderEntry(const Entry &entry) {
  Firings firings = placeFirings(entry);
  Dependences dependences = groupDependences(entry);
  size_t numStreams = entry.streams.size();

  EntryOrder order;
  order.streams.resize(numStreams);
  std::vector<int64_t> needed(numStreams);
  for (size_t stream = 0; stream < numStreams; ++stream) {
    std::vector<OrderStep> &steps = order.streams[stream];
    // What this stream has waited for already; waiting again is idle.
    std::vector<int64_t> passed(numStreams, 0);
    for (const ScheduleItem &item : entry.schedule[stream]) {
      const Actor &actor = entry.actors[item.actor];
      int microBatch = std::max(item.microBatch, 0);
      auto here = static_cast<int64_t>(steps.size());

      std::fill(needed.begin(), needed.end(), 0);
      for (size_t i = dependences.first[item.actor];
           i < dependences.first[item.actor + 1]; ++i) {
        const Dependence &dependence = dependences.list[i];
        const Actor &other = entry.actors[dependence.actor];
        int64_t firing = 0;
        if (other.perMicroBatch)
          firing = actor.perMicroBatch ? microBatch - dependence.distance
                                       : entry.microBatches - 1;
        if (firing < 0)
          continue;
        int64_t end = firings.end[firings.first[dependence.actor] + firing];
        needed[other.stream] = std::max(needed[other.stream], end);
      }
      auto firstWait = static_cast<int>(order.waits.size());
      for (size_t other = 0; other < numStreams; ++other) {
        int64_t have = other == stream ? here : passed[other];
        if (needed[other] <= have)
          continue;
        order.waits.push_back({static_cast<int>(other), needed[other]});
        passed[other] = needed[other];
      }
      auto numWaits = static_cast<int>(order.waits.size()) - firstWait;
      for (size_t i = 0; i < actor.actions.size(); ++i) {
        OrderStep step;
        step.action = actor.actions[i];
        step.actor = item.actor;
        step.microBatch = microBatch;
        step.firstWait = firstWait;
        step.numWaits = i == 0 ? numWaits : 0;
        step.signals =
            entry.actions[step.action].kind == Action::Kind::Collective;
        steps.push_back(step);
      }
    }
  }
  for (const Wait &wait : order.waits)
    order.streams[wait.stream][wait.position - 1].signals = true;
  return order;
}

std::string describeAction(const Action &action) {
  static constexpr const char *phases[] = {"post", "reduce", "gather",
                                           "release"};
  std::string text = "'" + action.site + "'";
  if (action.kind == Action::Kind::Collective)
    text += std::string(" (") + phases[static_cast<int>(action.phase)] + ")";
  return text;
}

} // namespace weir::plan
