// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_RUNTIME_ACTOR_EXECUTOR_H
#define WEIR_RUNTIME_ACTOR_EXECUTOR_H

#include "runtime/actor/Checker.h"
#include "runtime/actor/Failure.h"
#include "runtime/actor/RankMemory.h"
#include "runtime/actor/WorkerPool.h"
#include "runtime/comm/Collectives.h"
#include "runtime/device/cpu/KernelLibrary.h"
#include "runtime/plan/Order.h"

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace weir::actor {

struct ExecutorOptions {
  /// Checker around every action.
  bool checked = false;
  /// Note when each action starts and ends (Executor::timings).
  bool timed = false;
  /// A run in which nothing fires for this long ends with a report.
  double watchdogSeconds = 300;
};

/// When one action of the last run was executed, in nanoseconds since its
/// start.
struct Timing {
  int64_t begin = 0, end = 0;
  int worker = 0;
};

/// Runs one entry of a plan on all its ranks.
///
/// Each (rank, stream) is a queue with a compiled order. Its head may fire once
/// the streams that it waits for have come far enough and, in a collective,
/// once the peers have passed the phase before. Workers serve whatever queue is
/// ready, their own ranks' first; one that finds none sleeps until something
/// fires. No action ever waits inside, so any number of workers finishes any
/// number of ranks, with the same bits.
///
/// With one rank everything runs on the calling thread, whose team of
/// `Plan::teamSize` threads executes each action.
///
/// After the first failure nothing more fires; the failure stays in `Failure`.
/// All memory that a run needs is allocated by `create`.
class Executor {
public:
  /// `plan` must be verified and, with `memory`, `pool` and `failure`, outlive
  /// the result. `kernels` may be null for an entry without kernels. A plan for
  /// one rank needs no `pool`.
  static StatusOr<std::unique_ptr<Executor>>
  create(const plan::Plan &plan, const plan::Entry &entry,
         const device::KernelLibrary *kernels, const RankMemory &memory,
         WorkerPool *pool, Failure &failure, const ExecutorOptions &options);

  /// Runs one step. `inputs` has a pointer for each of the entry's inputs, each
  /// to the whole tensor, `outputs` one for each of its outputs. One run at a
  /// time.
  Status run(const void *const *inputs, void *const *outputs);

  const plan::EntryOrder &order() const { return steps; }
  /// Of the step at `position` of a stream in the last run; only when timed.
  const Timing &timing(int64_t rank, int stream, int64_t position) const {
    return timings[rank * numStreams + stream][position];
  }
  /// Null unless checked.
  const Checker *checker() const { return check.get(); }
  /// Bytes beyond the plan: packing scratch and the executor's own tables.
  int64_t overheadBytes() const;

private:
  /// What an action needs at run time, looked up once.
  struct Resolved {
    device::KernelFunction kernel = nullptr;
    int64_t fillCount = 0;
  };
  struct alignas(64) Queue {
    std::atomic<int64_t> done{0};
    std::atomic<bool> busy{false};
  };
  /// A worker's own space.
  struct alignas(64) Worker {
    std::vector<void *> pointers;
    std::vector<int64_t> scalars;
    device::Memory scratch; // teamSize parts
  };

  Executor(const plan::Plan &plan, const plan::Entry &entry,
           const RankMemory &memory, WorkerPool *pool, Failure &failure,
           const ExecutorOptions &options);
  Status prepare(const device::KernelLibrary *kernels);
  Status prepareWorkers();
  void bind(const void *const *inputs, void *const *outputs);
  void work(int worker);
  bool drain(int worker, int64_t rank, int stream);
  bool ready(int64_t rank, const plan::OrderStep &step) const;
  Status execute(Worker &worker, int64_t rank, const plan::OrderStep &step);
  Status executeChecked(Worker &worker, int64_t rank,
                        const plan::OrderStep &step);
  Status failed(const plan::OrderStep &step, int64_t rank,
                const std::string &what) const;
  void signal();
  void sleep(uint64_t seen);
  std::string describeStall() const;
  const int64_t *scalarsOf(int64_t rank, int microBatch) const {
    return scalarValues.data() +
           (rank * scalarVariants + (scalarVariants == 1 ? 0 : microBatch)) *
               static_cast<int64_t>(entry.scalars.size());
  }
  Queue &queue(int64_t rank, int stream) const {
    return queues[rank * numStreams + stream];
  }

  const plan::Plan &plan;
  const plan::Entry &entry;
  const RankMemory &memory;
  WorkerPool *pool;
  Failure &failure;
  ExecutorOptions options;

  int64_t numRanks = 1;
  int numStreams = 0;
  int numWorkers = 1;
  plan::EntryOrder steps;
  std::unique_ptr<comm::Collectives> collectives;
  std::unique_ptr<Checker> check;
  std::vector<Resolved> resolved;     // by action
  std::vector<std::byte *> addresses; // rank * buffers + buffer: slot 0
  std::vector<int64_t> scalarValues;
  int64_t scalarVariants = 1;
  int64_t scratchStride = 0;
  std::vector<Worker> workers;
  std::vector<std::vector<Timing>> timings; // by queue
  int64_t runStart = 0;

  std::unique_ptr<Queue[]> queues; // rank * streams + stream
  std::atomic<int64_t> unfinished{0};
  std::atomic<int> executing{0};

  // Sleepers wait for `epoch` to change; it does at every event that a queue
  // may be waiting for.
  std::atomic<uint64_t> epoch{0};
  std::atomic<int> sleepers{0};
  std::mutex sleepMutex;
  std::condition_variable wake;
  std::function<void(int)> job;
};

} // namespace weir::actor

#endif // WEIR_RUNTIME_ACTOR_EXECUTOR_H
