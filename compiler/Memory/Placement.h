// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_COMPILER_MEMORY_PLACEMENT_H
#define WEIR_COMPILER_MEMORY_PLACEMENT_H

#include <cstdint>
#include <vector>

namespace weir::compiler {

/// A buffer to place: live in the half-open interval [begin, end) of positions,
/// `bytes` large.
struct PlacementItem {
  int64_t begin = 0, end = 0;
  int64_t bytes = 0;
};

struct Placement {
  std::vector<int64_t> offsets; // one an item
  int64_t highWater = 0;        // bytes
};

/// Offsets for all items such that no two that are live at one position
/// overlap, all multiples of `alignment`. Best fit over a list of free ranges,
/// once in the order of lifetimes and once in reverse; for up to some thousand
/// items also the lowest free place for the largest first, the largest times
/// longest-lived first, and the longest-lived first. The lowest result counts.
/// O(n log n) in the number of items.
Placement placeBuffers(const std::vector<PlacementItem> &items,
                       int64_t alignment);

/// The most bytes that are live at one position: no placement takes less.
int64_t liveBytes(const std::vector<PlacementItem> &items, int64_t alignment);

/// Indices of two items that overlap in time and in memory, or (-1, -1). Sizes
/// are taken as they are, without alignment. O(n log n).
std::pair<int64_t, int64_t> findOverlap(const std::vector<PlacementItem> &items,
                                        const std::vector<int64_t> &offsets);

} // namespace weir::compiler

#endif // WEIR_COMPILER_MEMORY_PLACEMENT_H
