// SPDX-License-Identifier: Apache-2.0
#include "runtime/train/StopSignals.h"

namespace weir {

static volatile std::sig_atomic_t pendingSignal = 0;

static void handle(int signal) {
  if (pendingSignal) {
    // Asked twice: the step may hang, or the user is in a hurry.
    std::signal(signal, SIG_DFL);
    std::raise(signal);
    return;
  }
  pendingSignal = signal;
}

StopSignals::StopSignals() {
  pendingSignal = 0;
  struct sigaction action = {};
  action.sa_handler = handle;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;
  sigaction(SIGINT, &action, &oldInterrupt);
  sigaction(SIGTERM, &action, &oldTerminate);
}

StopSignals::~StopSignals() {
  sigaction(SIGINT, &oldInterrupt, nullptr);
  sigaction(SIGTERM, &oldTerminate, nullptr);
}

int StopSignals::received() { return pendingSignal; }

} // namespace weir
