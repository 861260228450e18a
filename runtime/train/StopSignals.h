// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_RUNTIME_TRAIN_STOPSIGNALS_H
#define WEIR_RUNTIME_TRAIN_STOPSIGNALS_H

#include <csignal>
#include <thread>

namespace weir {

/// While one lives, SIGINT and SIGTERM ask for a stop instead of ending the
/// process; the second one ends it as the system would have. A thread of its
/// own waits for them and all threads made meanwhile have them blocked, so that
/// no handler runs on the stack of a thread that computes: make it before the
/// runtime's threads. One at a time.
class StopSignals {
public:
  StopSignals();
  ~StopSignals();
  StopSignals(const StopSignals &) = delete;
  StopSignals &operator=(const StopSignals &) = delete;

  /// The signal that came, or 0.
  static int received();

private:
  sigset_t oldMask;
  std::thread waiter;
};

} // namespace weir

#endif // WEIR_RUNTIME_TRAIN_STOPSIGNALS_H
