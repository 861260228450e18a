// SPDX-License-Identifier: Apache-2.0
#include "runtime/train/StopSignals.h"

#include <atomic>
#include <pthread.h>

namespace weir {

static std::atomic<int> pendingSignal{0};
static std::atomic<bool> ending{false};

/// SIGINT and SIGTERM, and SIGUSR2 by which the destructor ends the wait.
static sigset_t waitedFor() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGUSR2);
  return set;
}

static void waitForSignals() {
  sigset_t set = waitedFor();
  for (;;) {
    int signal = 0;
    if (sigwait(&set, &signal) != 0)
      continue;
    if (signal == SIGUSR2) {
      if (ending)
        return;
      continue;
    }
    int none = 0;
    if (pendingSignal.compare_exchange_strong(none, signal))
      continue;
    // Asked twice: the step may hang, or the user is in a hurry.
    std::signal(signal, SIG_DFL);
    sigset_t one;
    sigemptyset(&one);
    sigaddset(&one, signal);
    pthread_sigmask(SIG_UNBLOCK, &one, nullptr);
    std::raise(signal);
  }
}

StopSignals::StopSignals() {
  pendingSignal = 0;
  ending = false;
  sigset_t set = waitedFor();
  pthread_sigmask(SIG_BLOCK, &set, &oldMask);
  waiter = std::thread(waitForSignals);
}

StopSignals::~StopSignals() {
  ending = true;
  pthread_kill(waiter.native_handle(), SIGUSR2);
  waiter.join();
  pthread_sigmask(SIG_SETMASK, &oldMask, nullptr);
}

int StopSignals::received() { return pendingSignal; }

} // namespace weir
