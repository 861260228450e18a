// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_RUNTIME_PLAN_ORDER_H
#define WEIR_RUNTIME_PLAN_ORDER_H

#include "runtime/plan/Plan.h"

/// The order of one entry: its schedules unrolled to the actions of one step,
/// with what each waits for. The same for every rank; what verifyPlan proves
/// live is what the executor runs.
namespace weir::plan {

/// Satisfied when `stream` of the same rank has finished `position` steps.
struct Wait {
  int stream = 0;
  int64_t position = 0;
};

/// One action bound to a micro-batch.
struct OrderStep {
  int action = -1;
  int actor = -1;
  int microBatch = 0; // 0 where the actor fires once
  /// Range in EntryOrder::waits, held by the first step of an actor's firing.
  int firstWait = 0, numWaits = 0;
  /// Whether another stream or rank may wait for this step.
  bool signals = false;
};

struct EntryOrder {
  std::vector<std::vector<OrderStep>> streams;
  std::vector<Wait> waits;
};

/// Unrolls `entry`, whose structure must have been verified (verifyPlan).
/// Linear in steps, registers and edges.
EntryOrder orderEntry(const Entry &entry);

/// Proves that a step finishes: runs it without doing anything. All ranks have
/// the same schedule, so one stands for all: a phase that waits for its peers'
/// earlier phase waits for its own. Returns what waits for itself, by actors,
/// or an empty text. Linear in steps.
std::string findCircularWait(const Entry &entry, const EntryOrder &order);

/// The phase that all ranks of the group must have passed before `phase`, or
/// nothing where it waits for none (Post).
inline bool precedingPhase(Collective::Op op, Action::Phase phase,
                           Action::Phase &preceding) {
  switch (phase) {
  case Action::Phase::Post:
    return false;
  case Action::Phase::Reduce:
    preceding = Action::Phase::Post;
    return true;
  case Action::Phase::Gather:
    preceding = op == Collective::Op::AllReduce ? Action::Phase::Reduce
                                                : Action::Phase::Post;
    return true;
  case Action::Phase::Release:
    preceding = Action::Phase::Gather;
    return true;
  }
  return false;
}

/// What an action is called in reports: its site, and its phase if it is of a
/// collective.
std::string describeAction(const Action &action);

} // namespace weir::plan

#endif // WEIR_RUNTIME_PLAN_ORDER_H
