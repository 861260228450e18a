// SPDX-License-Identifier: Apache-2.0
#include "runtime/actor/WorkerPool.h"

#include "runtime/base/SignalsBlocked.h"
#include "runtime/kernels/Team.h"

namespace weir::actor {

WorkerPool::WorkerPool(int workers) {
  // Inherited: for a signal the caller's threads are there.
  SignalsBlocked blocked;
  threads.reserve(workers - 1);
  for (int worker = 1; worker < workers; ++worker)
    threads.emplace_back([this, worker] { serve(worker); });
}

WorkerPool::~WorkerPool() {
  {
    std::lock_guard<std::mutex> lock(mutex);
    stopping = true;
  }
  wake.notify_all();
  for (std::thread &thread : threads)
    thread.join();
}

void WorkerPool::run(const std::function<void(int)> &job) {
  std::lock_guard<std::mutex> ours(turn);
  {
    std::lock_guard<std::mutex> lock(mutex);
    current = &job;
    active = static_cast<int>(threads.size());
    ++generation;
  }
  wake.notify_all();
  {
    kernels::LibraryThreads single(1);
    job(0);
  }
  std::unique_lock<std::mutex> lock(mutex);
  finished.wait(lock, [&] { return active == 0; });
  current = nullptr;
}

void WorkerPool::serve(int worker) {
  SignalsBlocked blocked; // they are; so that no call asks again
  kernels::LibraryThreads single(1);
  uint64_t seen = 0;
  for (;;) {
    const std::function<void(int)> *job;
    {
      std::unique_lock<std::mutex> lock(mutex);
      wake.wait(lock, [&] { return stopping || generation != seen; });
      if (stopping)
        return;
      seen = generation;
      job = current;
    }
    (*job)(worker);
    std::lock_guard<std::mutex> lock(mutex);
    if (--active == 0)
      finished.notify_all();
  }
}

} // namespace weir::actor
