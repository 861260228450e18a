// SPDX-License-Identifier: Apache-2.0
#include "compiler/Memory/Placement.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <set>
#include <tuple>
#include <utility>

namespace weir::compiler {

namespace {

/// Up to how many items the placements that compare all pairs are tried: they
/// are often better, and take milliseconds here.
constexpr size_t maxPairwiseItems = 4096;

int64_t roundUp(int64_t bytes, int64_t alignment) {
  return (bytes + alignment - 1) / alignment * alignment;
}

/// Free ranges below a growing top, by address and by size.
class FreeList {
public:
  /// The smallest range that holds `bytes`, the lowest one among equals.
  /// Without one the top grows, starting in the range that touches it.
  int64_t take(int64_t bytes) {
    auto found = bySize.lower_bound({bytes, 0});
    if (found != bySize.end()) {
      auto [size, offset] = *found;
      erase(offset, size);
      if (size > bytes)
        insert(offset + bytes, size - bytes);
      return offset;
    }
    int64_t offset = top;
    if (!byOffset.empty()) {
      auto [last, size] = *byOffset.rbegin();
      if (last + size == top) {
        offset = last;
        erase(last, size);
      }
    }
    top = offset + bytes;
    return offset;
  }

  void give(int64_t offset, int64_t bytes) {
    auto next = byOffset.lower_bound(offset);
    if (next != byOffset.end() && next->first == offset + bytes) {
      auto [o, s] = *next;
      bytes += s;
      erase(o, s);
    }
    next = byOffset.lower_bound(offset);
    if (next != byOffset.begin()) {
      auto [o, s] = *std::prev(next);
      if (o + s == offset) {
        offset = o;
        bytes += s;
        erase(o, s);
      }
    }
    insert(offset, bytes);
  }

  int64_t highWater() const { return top; }

private:
  void insert(int64_t offset, int64_t size) {
    byOffset[offset] = size;
    bySize.insert({size, offset});
  }
  void erase(int64_t offset, int64_t size) {
    byOffset.erase(offset);
    bySize.erase({size, offset});
  }

  std::map<int64_t, int64_t> byOffset;
  std::set<std::pair<int64_t, int64_t>> bySize;
  int64_t top = 0;
};

Placement bestFit(const std::vector<PlacementItem> &items, int64_t alignment,
                  bool reversed) {
  // In reverse a lifetime begins where it ended.
  auto begin = [&](size_t i) {
    return reversed ? -items[i].end : items[i].begin;
  };
  auto end = [&](size_t i) {
    return reversed ? -items[i].begin : items[i].end;
  };
  std::vector<size_t> starts(items.size()), ends(items.size());
  std::iota(starts.begin(), starts.end(), 0);
  ends = starts;
  // Of those that begin together the longest-lived come first, and so lie
  // below the others, then the largest.
  std::sort(starts.begin(), starts.end(), [&](size_t a, size_t b) {
    return std::make_tuple(begin(a), -end(a), -items[a].bytes, a) <
           std::make_tuple(begin(b), -end(b), -items[b].bytes, b);
  });
  std::sort(ends.begin(), ends.end(), [&](size_t a, size_t b) {
    return std::make_pair(end(a), a) < std::make_pair(end(b), b);
  });

  Placement placement;
  placement.offsets.assign(items.size(), 0);
  FreeList list;
  size_t ended = 0;
  for (size_t i : starts) {
    for (; ended < ends.size() && end(ends[ended]) <= begin(i); ++ended) {
      size_t j = ends[ended];
      if (int64_t bytes = roundUp(items[j].bytes, alignment);
          bytes > 0 && end(j) > begin(j))
        list.give(placement.offsets[j], bytes);
    }
    if (items[i].bytes > 0 && end(i) > begin(i))
      placement.offsets[i] = list.take(roundUp(items[i].bytes, alignment));
  }
  placement.highWater = list.highWater();
  return placement;
}

/// Items in the given order, each at the lowest place that is free throughout
/// its lifetime. Compares all pairs.
Placement lowestFit(const std::vector<PlacementItem> &items, int64_t alignment,
                    const std::vector<size_t> &order) {
  Placement placement;
  placement.offsets.assign(items.size(), 0);
  std::vector<size_t> placed; // by offset
  for (size_t i : order) {
    int64_t bytes = roundUp(items[i].bytes, alignment);
    if (bytes == 0 || items[i].end <= items[i].begin)
      continue;
    int64_t offset = 0;
    for (size_t j : placed) {
      if (items[j].begin >= items[i].end || items[i].begin >= items[j].end)
        continue;
      if (placement.offsets[j] >= offset + bytes)
        break;
      offset = std::max(offset, placement.offsets[j] +
                                    roundUp(items[j].bytes, alignment));
    }
    placement.offsets[i] = offset;
    placement.highWater = std::max(placement.highWater, offset + bytes);
    placed.insert(std::upper_bound(placed.begin(), placed.end(), offset,
                                   [&](int64_t o, size_t j) {
                                     return o < placement.offsets[j];
                                   }),
                  i);
  }
  return placement;
}

} // namespace

Placement placeBuffers(const std::vector<PlacementItem> &items,
                       int64_t alignment) {
  Placement best = bestFit(items, alignment, /*reversed=*/false);
  auto consider = [&](Placement other) {
    if (other.highWater < best.highWater)
      best = std::move(other);
  };
  consider(bestFit(items, alignment, /*reversed=*/true));
  if (items.size() > maxPairwiseItems ||
      best.highWater == liveBytes(items, alignment))
    return best;
  std::vector<size_t> order(items.size());
  std::iota(order.begin(), order.end(), 0);
  auto sortedBy = [&](auto key) {
    std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
      return std::make_pair(key(items[a]), a) <
             std::make_pair(key(items[b]), b);
    });
    return order;
  };
  auto length = [](const PlacementItem &item) { return item.end - item.begin; };
  auto size = [](const PlacementItem &item) { return -item.bytes; };
  auto area = [&](const PlacementItem &item) {
    return -static_cast<double>(item.bytes) * length(item);
  };
  auto duration = [&](const PlacementItem &item) { return -length(item); };
  consider(lowestFit(items, alignment, sortedBy(size)));
  consider(lowestFit(items, alignment, sortedBy(area)));
  consider(lowestFit(items, alignment, sortedBy(duration)));
  return best;
}

int64_t liveBytes(const std::vector<PlacementItem> &items, int64_t alignment) {
  std::vector<std::pair<int64_t, int64_t>> events; // position, change
  for (const PlacementItem &item : items) {
    if (item.end <= item.begin)
      continue;
    int64_t bytes = roundUp(item.bytes, alignment);
    events.push_back({item.begin, bytes});
    events.push_back({item.end, -bytes});
  }
  // Ends sort before starts at one position: their changes are negative.
  std::sort(events.begin(), events.end());
  int64_t live = 0, most = 0;
  for (auto [position, change] : events) {
    live += change;
    most = std::max(most, live);
  }
  return most;
}

std::pair<int64_t, int64_t> findOverlap(const std::vector<PlacementItem> &items,
                                        const std::vector<int64_t> &offsets) {
  // Sweep over time; among live items, neighbours in memory are compared. As
  // long as none overlap, only neighbours of a newcomer can.
  std::vector<std::pair<int64_t, int64_t>> events; // position, item or ~item
  for (size_t i = 0; i < items.size(); ++i) {
    if (items[i].end <= items[i].begin || items[i].bytes <= 0)
      continue;
    events.push_back({items[i].begin, static_cast<int64_t>(i)});
    events.push_back({items[i].end, ~static_cast<int64_t>(i)});
  }
  std::sort(events.begin(), events.end());
  std::map<int64_t, int64_t> live; // offset -> item
  for (auto [position, code] : events) {
    if (code < 0) {
      live.erase(offsets[~code]);
      continue;
    }
    auto next = live.lower_bound(offsets[code]);
    if (next != live.end() && next->first < offsets[code] + items[code].bytes)
      return {code, next->second};
    if (next != live.begin()) {
      auto [offset, other] = *std::prev(next);
      if (offset + items[other].bytes > offsets[code])
        return {code, other};
    }
    live[offsets[code]] = code;
  }
  return {-1, -1};
}

} // namespace weir::compiler
