// SPDX-License-Identifier: Apache-2.0
#include "runtime/train/Prefetch.h"
#include "test/unit/runtime/TestSupport.h"

using namespace weir;

namespace {

TokenSource bytes(int64_t size) {
  std::string text(size, 0);
  for (int64_t i = 0; i < size; ++i)
    text[i] = static_cast<char>(i * 7);
  return TokenSource::fromBytes(text, "test");
}

TEST(Prefetch, GivesTheBatchesOfEachStepInOrder) {
  auto batches = TrainBatches::create(bytes(500), 3, 5, 9);
  ASSERT_OK(batches);
  Prefetcher prefetcher(*batches, 7, 107);
  std::vector<int32_t> ids(15), labels(15);
  for (int64_t step = 7; step < 107; ++step) {
    auto batch = prefetcher.next();
    ASSERT_OK(batch);
    EXPECT_EQ(batch->step, step);
    ASSERT_OK(batches->fill(step, ids.data(), labels.data()));
    for (int i = 0; i < 15; ++i) {
      ASSERT_EQ(batch->ids[i], ids[i]) << "step " << step;
      ASSERT_EQ(batch->labels[i], labels[i]) << "step " << step;
    }
  }
  EXPECT_FAILS(prefetcher.next(), StatusCode::Internal, "beyond the last step");
}

TEST(Prefetch, MayBeLeftAtAnyTime) {
  auto batches = TrainBatches::create(bytes(500), 3, 5, 9);
  ASSERT_OK(batches);
  for (int taken = 0; taken < 4; ++taken) {
    Prefetcher prefetcher(*batches, 0, 1 << 30);
    for (int i = 0; i < taken; ++i)
      ASSERT_OK(prefetcher.next());
  }
}

} // namespace
