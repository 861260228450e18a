// SPDX-License-Identifier: Apache-2.0
#include "compiler/Sharding/LayoutProblem.h"

#include <unordered_map>

using namespace weir::compiler;

namespace {

/// Ops that have to agree before a repetition is looked into.
constexpr size_t window = 8;
/// How many next occurrences of a window are tried as the period.
constexpr unsigned triedPeriods = 6;
/// A block of fewer ops is taken twice: two neighbours that differ (columns,
/// then rows) are what such chains want.
constexpr size_t doubledBelow = 9;

} // namespace

std::vector<unsigned>
weir::compiler::foldRepeats(const std::vector<uint64_t> &hashes) {
  size_t n = hashes.size();
  std::vector<unsigned> classOf(n);
  // Next occurrence of the window that starts here.
  std::vector<size_t> next(n, n);
  std::unordered_map<uint64_t, size_t> last;
  for (size_t i = n >= window ? n - window + 1 : 0; i-- > 0;) {
    uint64_t hash = 0;
    for (size_t w = 0; w < window; ++w)
      hash = (hash ^ hashes[i + w]) * 0x9E3779B97F4A7C15ull + (hash >> 29);
    auto [it, inserted] = last.try_emplace(hash, i);
    if (!inserted) {
      next[i] = it->second;
      it->second = i;
    }
  }
  // Where the agreement over a period ended that was looked into before: from
  // every place up to there it ends at the same.
  std::unordered_map<size_t, size_t> endOf;
  unsigned count = 0;
  for (size_t i = 0; i < n;) {
    size_t bestPeriod = 0, bestLength = 0;
    size_t at = next[i];
    for (unsigned tried = 0; tried < triedPeriods && at < n;
         ++tried, at = next[at]) {
      size_t period = at - i;
      size_t &end = endOf[period];
      if (end < i)
        end = i;
      while (period + end < n && hashes[end] == hashes[period + end])
        ++end;
      size_t length = end - i;
      // Whole periods only; a longer period must cover more.
      if (length >= period && length + period > bestLength) {
        bestPeriod = period;
        bestLength = length + period;
      }
    }
    if (bestPeriod == 0) {
      classOf[i++] = count++;
      continue;
    }
    if (bestPeriod < doubledBelow && bestLength >= 4 * bestPeriod)
      bestPeriod *= 2;
    for (size_t k = 0; k < bestLength; ++k)
      classOf[i + k] = count + k % bestPeriod;
    count += std::min(bestPeriod, bestLength);
    i += bestLength;
  }
  return classOf;
}
