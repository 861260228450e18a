// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_RUNTIME_DATA_BATCHER_H
#define WEIR_RUNTIME_DATA_BATCHER_H

#include "runtime/base/Status.h"
#include "runtime/data/TokenSource.h"

#include <cstdint>

namespace weir {

/// The label that the loss leaves out.
inline constexpr int32_t ignoredLabel = -100;

/// Batches to train on: each row a window of sequence + 1 tokens at a random
/// place. A batch is a pure function of (seed, step): a run that resumes, or is
/// cut in other micro-batches or devices, sees the same.
///
/// Row r of step s starts at floor(u * windows / 2^64), where windows = size -
/// sequence and u = w0 * 2^32 + w1 from the first two words of
/// randomWords(siteKey("data.train"), seed, s, r).
class TrainBatches {
public:
  /// InvalidInput where the source is shorter than one window.
  static StatusOr<TrainBatches> create(TokenSource source, int64_t batch,
                                       int64_t sequence, uint32_t seed);

  /// Fills ids[batch, sequence] and labels[batch, sequence] (row-major): ids
  /// are the window's first tokens, labels the same shifted by one. `step`
  /// counts from 0 and is below 2^32. Allocates nothing.
  Status fill(int64_t step, int32_t *ids, int32_t *labels) const;
  /// As `fill` for rows [firstRow, firstRow + rows) only, to arrays of `rows`.
  Status fillRows(int64_t step, int64_t firstRow, int64_t rows, int32_t *ids,
                  int32_t *labels) const;
  /// Where row `row` of step `step` starts.
  int64_t windowStart(int64_t step, int64_t row) const;

  int64_t batch() const { return rowCount; }
  int64_t sequence() const { return length; }

private:
  TokenSource source;
  int64_t rowCount = 0, length = 0;
  uint32_t seed = 0;
};

/// Batches to evaluate on: consecutive windows from the start that do not
/// overlap, so that each token but the first is a label once. Always the same.
class EvaluationBatches {
public:
  /// At most `limit` batches; 0: as many as cover the source. InvalidInput
  /// where the source has fewer than two tokens.
  static StatusOr<EvaluationBatches> create(TokenSource source, int64_t batch,
                                            int64_t sequence, int64_t limit);

  /// The number of batches.
  int64_t count() const { return batches; }
  /// The labels that are not ignored, over all batches.
  int64_t labelCount() const;
  /// Fills batch `index` < count(): row r is window index * batch + r. Places
  /// beyond the source's end get id 0 and label `ignoredLabel`. Returns the
  /// number of labels that are not ignored. Allocates nothing.
  StatusOr<int64_t> fill(int64_t index, int32_t *ids, int32_t *labels) const;

  int64_t batch() const { return rowCount; }
  int64_t sequence() const { return length; }

private:
  TokenSource source;
  int64_t rowCount = 0, length = 0, batches = 0;
};

} // namespace weir

#endif // WEIR_RUNTIME_DATA_BATCHER_H
