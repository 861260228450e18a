// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_RUNTIME_SESSION_RUNTIME_H
#define WEIR_RUNTIME_SESSION_RUNTIME_H

#include "runtime/actor/WorkerPool.h"
#include "runtime/base/Status.h"

#include <memory>

namespace weir {

struct RuntimeOptions {
  /// Worker threads, the caller's included; 0: one for each core that this
  /// process may use.
  int workers = 0;
};

/// The threads that sessions run on. Sessions of plans with several ranks take
/// turns on them; a plan for one rank runs on the thread that calls
/// Session::run.
class Runtime {
public:
  static StatusOr<std::shared_ptr<Runtime>>
  create(const RuntimeOptions &options = {});

  actor::WorkerPool &pool() { return workers; }

private:
  explicit Runtime(int count) : workers(count) {}
  actor::WorkerPool workers;
};

/// The cores that this process may use, at least 1.
int availableCores();

} // namespace weir

#endif // WEIR_RUNTIME_SESSION_RUNTIME_H
