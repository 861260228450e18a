// SPDX-License-Identifier: Apache-2.0
#include "runtime/data/Batcher.h"
#include "runtime/base/Philox.h"
#include "test/unit/runtime/TestSupport.h"

#include <set>

namespace weir {
namespace {

TokenSource counting(int count) {
  std::string bytes;
  for (int i = 0; i < count; ++i)
    bytes += static_cast<char>(i % 251);
  return TokenSource::fromBytes(bytes, "counting");
}

TEST(TrainBatches, LabelsAreIdsShiftedByOne) {
  TokenSource source = counting(1000);
  StatusOr<TrainBatches> batches = TrainBatches::create(source, 4, 16, 7);
  ASSERT_OK(batches);
  std::vector<int32_t> ids(64), labels(64);
  ASSERT_OK(batches->fill(3, ids.data(), labels.data()));
  for (int row = 0; row < 4; ++row) {
    int64_t start = batches->windowStart(3, row);
    for (int i = 0; i < 16; ++i) {
      EXPECT_EQ(ids[row * 16 + i], source[start + i]);
      EXPECT_EQ(labels[row * 16 + i], source[start + i + 1]);
    }
  }
}

TEST(TrainBatches, AreAPureFunctionOfSeedAndStep) {
  TokenSource source = counting(5000);
  StatusOr<TrainBatches> one = TrainBatches::create(source, 4, 8, 1);
  StatusOr<TrainBatches> other = TrainBatches::create(source, 4, 8, 2);
  std::vector<int32_t> a(32), b(32), labels(32);
  ASSERT_OK(one->fill(9, a.data(), labels.data()));
  ASSERT_OK(one->fill(3, b.data(), labels.data()));
  EXPECT_NE(a, b);
  ASSERT_OK(one->fill(9, b.data(), labels.data()));
  EXPECT_EQ(a, b);
  ASSERT_OK(other->fill(9, b.data(), labels.data()));
  EXPECT_NE(a, b);
  // Rows do not depend on how many are asked for at once.
  std::vector<int32_t> rows(16);
  ASSERT_OK(one->fillRows(9, 2, 2, rows.data(), labels.data()));
  EXPECT_EQ(rows, std::vector<int32_t>(a.begin() + 16, a.end()));
}

TEST(TrainBatches, WindowStartIsTheDocumentedFunction) {
  StatusOr<TrainBatches> batches =
      TrainBatches::create(counting(1000), 4, 100, 7);
  philox::Counter words = randomWords(siteKey("data.train"), 7, 5, 3);
  long double u =
      (words[0] * 4294967296.0L + words[1]) / 18446744073709551616.0L;
  EXPECT_EQ(batches->windowStart(5, 3), static_cast<int64_t>(u * 900));
}

TEST(TrainBatches, ReachEveryWindowAndNoOther) {
  StatusOr<TrainBatches> batches = TrainBatches::create(counting(20), 8, 12, 0);
  std::set<int64_t> starts;
  for (int step = 0; step < 100; ++step)
    for (int row = 0; row < 8; ++row)
      starts.insert(batches->windowStart(step, row));
  EXPECT_EQ(starts.size(), 8u);
  EXPECT_EQ(*starts.begin(), 0);
  EXPECT_EQ(*starts.rbegin(), 7);
  // One window exactly.
  EXPECT_EQ(TrainBatches::create(counting(13), 1, 12, 0)->windowStart(5, 0), 0);
  EXPECT_FAILS(TrainBatches::create(counting(12), 1, 12, 0),
               StatusCode::InvalidInput,
               "has 12 tokens to train on; a sequence of 12 needs 13");
}

TEST(EvaluationBatches, CoverEachLabelOnce) {
  for (int size : {2, 5, 16, 17, 18, 33, 64, 65, 100}) {
    TokenSource source = counting(size);
    StatusOr<EvaluationBatches> batches =
        EvaluationBatches::create(source, 2, 8, 0);
    ASSERT_OK(batches);
    std::vector<int32_t> seenIds, seenLabels;
    int64_t total = 0;
    for (int64_t i = 0; i < batches->count(); ++i) {
      std::vector<int32_t> ids(16, -7), labels(16, -7);
      StatusOr<int64_t> counted = batches->fill(i, ids.data(), labels.data());
      ASSERT_OK(counted);
      EXPECT_GT(*counted, 0);
      total += *counted;
      for (int j = 0; j < 16; ++j) {
        if (labels[j] == ignoredLabel) {
          EXPECT_EQ(ids[j], 0);
          continue;
        }
        seenIds.push_back(ids[j]);
        seenLabels.push_back(labels[j]);
      }
    }
    EXPECT_EQ(total, size - 1);
    EXPECT_EQ(batches->labelCount(), size - 1);
    ASSERT_EQ(seenLabels.size(), static_cast<size_t>(size - 1));
    for (int i = 0; i + 1 < size; ++i) {
      EXPECT_EQ(seenIds[i], source[i]);
      EXPECT_EQ(seenLabels[i], source[i + 1]);
    }
  }
}

TEST(EvaluationBatches, LimitTakesTheFirst) {
  StatusOr<EvaluationBatches> batches =
      EvaluationBatches::create(counting(1000), 2, 8, 3);
  ASSERT_OK(batches);
  EXPECT_EQ(batches->count(), 3);
  EXPECT_EQ(batches->labelCount(), 48);
  std::vector<int32_t> ids(16), labels(16);
  EXPECT_FALSE(batches->fill(3, ids.data(), labels.data()).ok());
  EXPECT_FALSE(batches->fill(-1, ids.data(), labels.data()).ok());
  EXPECT_FAILS(EvaluationBatches::create(counting(1), 2, 8, 0),
               StatusCode::InvalidInput, "needs at least 2");
}

} // namespace
} // namespace weir
