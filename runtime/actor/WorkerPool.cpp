// SPDX-License-Identifier: Apache-2.0
#include "runtime/actor/WorkerPool.h"

#include "runtime/kernels/Team.h"

#include <pthread.h>
#include <signal.h>

namespace weir::actor {
namespace {

/// While one lives, new threads have all signals blocked but those that a
/// thread raises itself by a fault. What others ask of the process is not for a
/// thread that computes: a handler on its stack meets code of libraries that
/// does not expect one.
class SignalsBlocked {
public:
  SignalsBlocked() {
    sigset_t set;
    sigfillset(&set);
    for (int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT})
      sigdelset(&set, fault);
    pthread_sigmask(SIG_BLOCK, &set, &before);
  }
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before, nullptr); }
  SignalsBlocked(const SignalsBlocked &) = delete;
  SignalsBlocked &operator=(const SignalsBlocked &) = delete;

private:
  sigset_t before;
};

} // namespace

WorkerPool::WorkerPool(int workers) {
  SignalsBlocked blocked; // inherited by the threads
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
