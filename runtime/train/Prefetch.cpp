// SPDX-License-Identifier: Apache-2.0
#include "runtime/train/Prefetch.h"

namespace weir {

Prefetcher::Prefetcher(const TrainBatches &batches, int64_t firstStep,
                       int64_t endStep)
    : batches(batches), firstStep(firstStep), endStep(endStep),
      produced(firstStep), taken(firstStep) {
  for (Buffer &buffer : buffers) {
    buffer.ids.resize(batches.batch() * batches.sequence());
    buffer.labels.resize(buffer.ids.size());
  }
  thread = std::thread([this] { produce(); });
}

Prefetcher::~Prefetcher() {
  {
    std::lock_guard<std::mutex> lock(mutex);
    stopping = true;
  }
  changed.notify_all();
  thread.join();
}

void Prefetcher::produce() {
  for (int64_t step = firstStep; step < endStep; ++step) {
    {
      // The batch handed out last is in use: its buffer is free once the
      // one after it was taken.
      std::unique_lock<std::mutex> lock(mutex);
      changed.wait(lock, [&] { return stopping || step < taken + 1; });
      if (stopping)
        return;
    }
    Buffer &buffer = buffers[(step - firstStep) % 2];
    buffer.status = batches.fill(step, buffer.ids.data(), buffer.labels.data());
    {
      std::lock_guard<std::mutex> lock(mutex);
      produced = step + 1;
    }
    changed.notify_all();
  }
}

StatusOr<Prefetcher::Batch> Prefetcher::next() {
  int64_t step;
  {
    std::unique_lock<std::mutex> lock(mutex);
    step = taken;
    if (step >= endStep)
      return internalError("a batch was asked for beyond the last step");
    changed.wait(lock, [&] { return produced > step; });
    taken = step + 1;
  }
  changed.notify_all();
  Buffer &buffer = buffers[(step - firstStep) % 2];
  WEIR_RETURN_IF_ERROR(Status(buffer.status));
  return Batch{step, buffer.ids.data(), buffer.labels.data()};
}

} // namespace weir
