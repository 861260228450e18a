// SPDX-License-Identifier: Apache-2.0
#include "runtime/data/Batcher.h"
#include "runtime/base/Philox.h"

#include <algorithm>

namespace weir {

/// The upper half of a 64 by 64 bit product.
static uint64_t multiplyHigh(uint64_t a, uint64_t b) {
  uint64_t aLow = a & 0xFFFFFFFFu, aHigh = a >> 32;
  uint64_t bLow = b & 0xFFFFFFFFu, bHigh = b >> 32;
  uint64_t middle = aHigh * bLow + (aLow * bLow >> 32);
  uint64_t carry = (middle & 0xFFFFFFFFu) + aLow * bHigh;
  return aHigh * bHigh + (middle >> 32) + (carry >> 32);
}

static Status checkSizes(int64_t batch, int64_t sequence) {
  if (batch < 1 || sequence < 1)
    return internalError("batch and sequence must be at least 1");
  return okStatus();
}

StatusOr<TrainBatches> TrainBatches::create(TokenSource source, int64_t batch,
                                            int64_t sequence, uint32_t seed) {
  WEIR_RETURN_IF_ERROR(checkSizes(batch, sequence));
  if (source.size() <= sequence)
    return invalidInput(
        source.name() + ": has " + std::to_string(source.size()) +
        " tokens to train on; a sequence of " + std::to_string(sequence) +
        " needs " + std::to_string(sequence + 1));
  TrainBatches batches;
  batches.source = std::move(source);
  batches.rowCount = batch;
  batches.length = sequence;
  batches.seed = seed;
  return batches;
}

int64_t TrainBatches::windowStart(int64_t step, int64_t row) const {
  constexpr uint32_t key = siteKey("data.train");
  philox::Counter words = randomWords(key, seed, static_cast<uint32_t>(step),
                                      static_cast<uint64_t>(row));
  uint64_t random = static_cast<uint64_t>(words[0]) << 32 | words[1];
  return static_cast<int64_t>(
      multiplyHigh(random, static_cast<uint64_t>(source.size() - length)));
}

Status TrainBatches::fillRows(int64_t step, int64_t firstRow, int64_t rows,
                              int32_t *ids, int32_t *labels) const {
  for (int64_t row = 0; row < rows; ++row) {
    int64_t start = windowStart(step, firstRow + row);
    WEIR_RETURN_IF_ERROR(source.copy(start, length, ids + row * length));
    WEIR_RETURN_IF_ERROR(source.copy(start + 1, length, labels + row * length));
  }
  return okStatus();
}

Status TrainBatches::fill(int64_t step, int32_t *ids, int32_t *labels) const {
  return fillRows(step, 0, rowCount, ids, labels);
}

StatusOr<EvaluationBatches> EvaluationBatches::create(TokenSource source,
                                                      int64_t batch,
                                                      int64_t sequence,
                                                      int64_t limit) {
  WEIR_RETURN_IF_ERROR(checkSizes(batch, sequence));
  if (source.size() < 2)
    return invalidInput(source.name() + ": has " +
                        std::to_string(source.size()) +
                        " tokens to evaluate on, needs at least 2");
  EvaluationBatches batches;
  int64_t windows = (source.size() - 2) / sequence + 1;
  batches.batches = (windows - 1) / batch + 1;
  if (limit > 0)
    batches.batches = std::min(batches.batches, limit);
  batches.source = std::move(source);
  batches.rowCount = batch;
  batches.length = sequence;
  return batches;
}

int64_t EvaluationBatches::labelCount() const {
  int64_t labels = source.size() - 1;
  // batches * rowCount windows may exceed 63 bits only where they cover all.
  int64_t windows = (labels - 1) / length + 1;
  if (batches > (windows - 1) / rowCount)
    return labels;
  return batches * rowCount * length;
}

StatusOr<int64_t> EvaluationBatches::fill(int64_t index, int32_t *ids,
                                          int32_t *labels) const {
  if (index < 0 || index >= batches)
    return internalError("evaluation batch " + std::to_string(index) + " of " +
                         std::to_string(batches) + " was asked for");
  int64_t counted = 0;
  int64_t total = source.size() - 1;
  for (int64_t row = 0; row < rowCount; ++row) {
    int32_t *rowIds = ids + row * length, *rowLabels = labels + row * length;
    int64_t start = std::min((index * rowCount + row) * length, total);
    int64_t real = std::min(length, total - start);
    WEIR_RETURN_IF_ERROR(source.copy(start, real, rowIds));
    WEIR_RETURN_IF_ERROR(source.copy(start + 1, real, rowLabels));
    std::fill(rowIds + real, rowIds + length, 0);
    std::fill(rowLabels + real, rowLabels + length, ignoredLabel);
    counted += real;
  }
  return counted;
}

} // namespace weir
