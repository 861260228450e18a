// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_RUNTIME_ACTOR_FAILURE_H
#define WEIR_RUNTIME_ACTOR_FAILURE_H

#include "runtime/base/Status.h"

#include <atomic>
#include <mutex>

namespace weir::actor {

/// Why a session can run no more. The first reason stays.
class Failure {
public:
  /// Sets the reason unless there is one; `status` is not ok.
  void set(Status status) {
    std::lock_guard<std::mutex> lock(mutex);
    if (failed.load(std::memory_order_relaxed))
      return;
    reason = std::move(status);
    failed.store(true, std::memory_order_release);
  }
  bool isSet() const { return failed.load(std::memory_order_acquire); }
  /// Ok while nothing failed.
  Status status() const {
    std::lock_guard<std::mutex> lock(mutex);
    return reason;
  }

private:
  mutable std::mutex mutex;
  std::atomic<bool> failed{false};
  Status reason;
};

} // namespace weir::actor

#endif // WEIR_RUNTIME_ACTOR_FAILURE_H
