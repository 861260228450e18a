// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_RUNTIME_ACTOR_CHECKER_H
#define WEIR_RUNTIME_ACTOR_CHECKER_H

#include "runtime/actor/RankMemory.h"
#include "runtime/plan/Order.h"

#include <memory>
#include <mutex>
#include <vector>

namespace weir::actor {

/// Checked mode: watches that each action keeps to its buffers. Compares all of
/// a rank's memory around every action, so it is for tests, where models are
/// small. Actions of one rank are run one at a time.
///
/// Reported are
///   - a byte written outside of the action's written buffers,
///   - a buffer read whose content another buffer's writer has overwritten
///   since
///     its own last writer.
/// Step and workspace segments start each run full of 0xFF bytes (NaN as
/// floats), so that a value used before it was written shows in the results.
class Checker {
public:
  Checker(const plan::Plan &plan, const plan::Entry &entry,
          const RankMemory &memory);

  /// Before each run, while nothing runs.
  void startRun();
  /// Around an action; `lock` first, and hold it between the two.
  std::unique_lock<std::mutex> lock(int64_t rank);
  Status before(int64_t rank, const plan::OrderStep &step);
  Status after(int64_t rank, const plan::OrderStep &step);

  /// The end of the highest buffer or variable in a segment.
  static int64_t plannedEnd(const plan::Plan &plan, int segment);
  /// The end of the highest byte of a step or workspace segment that any rank
  /// has changed in the last run.
  int64_t touchedEnd(int segment) const;

private:
  /// Part of a segment.
  struct Range {
    int segment = -1; // -1: the caller's memory
    int64_t begin = 0, end = 0;
    int64_t owner = 0; // the buffer and slot
  };
  struct RankState {
    std::mutex mutex;
    std::vector<std::vector<std::byte>> shadow; // by segment
    /// Of each 64-byte granule: who wrote it last, and when.
    std::vector<std::vector<int64_t>> owners, stamps;
    std::vector<int64_t> lastWrite; // by owner; 0: not in this run
    int64_t clock = 0;
  };

  Range rangeOf(int64_t rank, const plan::BufferRef &ref, int microBatch) const;
  std::string ownerName(int64_t owner) const;

  const plan::Plan &plan;
  const plan::Entry &entry;
  const RankMemory &memory;
  std::vector<int64_t> firstOwner; // by buffer
  std::vector<std::unique_ptr<RankState>> ranks;
};

} // namespace weir::actor

#endif // WEIR_RUNTIME_ACTOR_CHECKER_H
