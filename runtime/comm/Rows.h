// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_RUNTIME_COMM_ROWS_H
#define WEIR_RUNTIME_COMM_ROWS_H

#include "runtime/plan/Plan.h"

#include <cstddef>
#include <cstdint>

/// The inner loops of all data movement: contiguous rows, with the widest
/// vectors of this machine. Each element is computed alike whatever the width,
/// so that results do not depend on the machine.
namespace weir::comm {

/// From how many bytes on a copy should go around the caches (`streaming`
/// below): what is larger would push out what the kernels work on and is itself
/// gone from the caches before anyone reads it, and a store that does not first
/// read its line saves a third of the traffic.
constexpr int64_t streamingBytes = int64_t(4) << 20;

/// Copies bytes; the places do not overlap. A streaming copy is visible to
/// other threads only after `fenceRows`.
void copyRow(void *to, const void *from, int64_t bytes, bool streaming);

/// Combines `count` elements, `offset` elements behind each of `sources`, in
/// their order, into `to`, which may be one of them. f32 and i32 only.
/// Streaming as in copyRow.
void reduceRow(plan::DType type, plan::Combiner combiner,
               const void *const *sources, size_t numSources, int64_t offset,
               int64_t count, void *to, bool streaming);

/// One application of a combiner. Integers wrap around, as they do in generated
/// code; NaN wins from either side, for a broken value must not vanish in a
/// maximum.
struct SumOf {
  static float apply(float x, float y) { return x + y; }
  static int32_t apply(int32_t x, int32_t y) {
    return static_cast<int32_t>(static_cast<uint32_t>(x) +
                                static_cast<uint32_t>(y));
  }
};
struct MaxOf {
  static float apply(float x, float y) { return x > y || x != x ? x : y; }
  static int32_t apply(int32_t x, int32_t y) { return x > y ? x : y; }
};
struct MinOf {
  static float apply(float x, float y) { return x < y || x != x ? x : y; }
  static int32_t apply(int32_t x, int32_t y) { return x < y ? x : y; }
};

/// Orders all streaming copies of this thread before its later stores.
void fenceRows();

} // namespace weir::comm

#endif // WEIR_RUNTIME_COMM_ROWS_H
