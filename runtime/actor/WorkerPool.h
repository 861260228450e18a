// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_RUNTIME_ACTOR_WORKERPOOL_H
#define WEIR_RUNTIME_ACTOR_WORKERPOOL_H

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace weir::actor {

/// Threads that run one job at a time, the caller's being the first of them.
/// Libraries called from them use one thread each.
class WorkerPool {
public:
  /// `workers` >= 1; starts workers - 1 threads, which sleep between jobs. They
  /// have signals blocked: these reach the caller's threads.
  explicit WorkerPool(int workers);
  ~WorkerPool();
  WorkerPool(const WorkerPool &) = delete;
  WorkerPool &operator=(const WorkerPool &) = delete;

  int workers() const { return static_cast<int>(threads.size()) + 1; }

  /// Calls `job(worker)` for each worker at once and returns when all have
  /// returned. Calls from several threads take turns.
  void run(const std::function<void(int)> &job);

private:
  void serve(int worker);

  std::mutex turn; // held by the caller whose job runs
  std::mutex mutex;
  std::condition_variable wake, finished;
  const std::function<void(int)> *current = nullptr;
  uint64_t generation = 0;
  int active = 0;
  bool stopping = false;
  std::vector<std::thread> threads;
};

} // namespace weir::actor

#endif // WEIR_RUNTIME_ACTOR_WORKERPOOL_H
