// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_RUNTIME_TRAIN_PREFETCH_H
#define WEIR_RUNTIME_TRAIN_PREFETCH_H

#include "runtime/data/Batcher.h"

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

namespace weir {

/// Training batches of consecutive steps, each filled by a thread of its own
/// while the step before it runs (two buffers). Allocates nothing after its
/// creation.
class Prefetcher {
public:
  /// Batches of the steps [`firstStep`, `endStep`).
  Prefetcher(const TrainBatches &batches, int64_t firstStep, int64_t endStep);
  ~Prefetcher();
  Prefetcher(const Prefetcher &) = delete;
  Prefetcher &operator=(const Prefetcher &) = delete;

  struct Batch {
    int64_t step = 0;
    const int32_t *ids = nullptr;    // [batch, sequence]
    const int32_t *labels = nullptr; // [batch, sequence]
  };
  /// The next step's batch, which stays valid until the following call. Called
  /// at most once a step.
  StatusOr<Batch> next();

private:
  void produce();

  struct Buffer {
    std::vector<int32_t> ids, labels;
    Status status;
  };
  TrainBatches batches;
  int64_t firstStep, endStep;
  Buffer buffers[2];

  std::mutex mutex;
  std::condition_variable changed;
  int64_t produced; // steps filled: [firstStep, produced)
  int64_t taken;    // steps handed out: [firstStep, taken)
  bool stopping = false;
  std::thread thread;
};

} // namespace weir

#endif // WEIR_RUNTIME_TRAIN_PREFETCH_H
