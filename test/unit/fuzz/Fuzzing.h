// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_TEST_UNIT_FUZZ_FUZZING_H
#define WEIR_TEST_UNIT_FUZZ_FUZZING_H

#include "runtime/base/Philox.h"
#include "runtime/base/Status.h"

#include <functional>
#include <string>
#include <vector>

/// Mutated texts in front of the compiler. Mutations are a fixed function of a
/// seed, so that a failure repeats. They run in child processes with bounds on
/// memory and processor time: a crash, an absurd allocation and an endless loop
/// are all reported with the text that caused them, and the rest still runs.
namespace weir::fuzz {

/// A stream of random words from the counter-based generator.
class Random {
public:
  explicit Random(uint32_t seed) : seed(seed) {}
  uint32_t next() { return randomWord(siteKey("fuzz"), seed, 0, counter++); }
  size_t below(size_t limit) { return limit == 0 ? 0 : next() % limit; }
  template <typename T> const T &pick(const std::vector<T> &list) {
    return list[below(list.size())];
  }

private:
  uint32_t seed;
  uint64_t counter = 0;
};

/// A text in words, numbers, strings, punctuation and space, whose edits keep
/// most of it well-formed: words by others of their kind, numbers by near and
/// by extreme ones (one place or everywhere at once), lines dropped, doubled
/// and swapped, and, rarely, any bytes.
class TokenMutator {
public:
  explicit TokenMutator(const std::string &text);
  std::string mutation(uint32_t seed) const;

private:
  enum class Kind { Space, Word, Number, String, Symbol };
  static Kind kindOf(const std::string &token);
  std::vector<std::string> tokens;
};

/// What the code under test did with one mutation.
struct Verdict {
  bool accepted = false;
  /// Not empty: neither accepted nor refused as it should be.
  std::string wrong;
};

/// How long and how large one mutation may become.
struct Bounds {
  int processorSeconds = 20;
  /// Beyond what the test itself maps; no bound under the address sanitizer,
  /// which reserves terabytes.
  int64_t memoryBytes = int64_t(2) << 30;
};

struct Counts {
  int accepted = 0, refused = 0;
};

/// Calls `judge` on `mutation(i)` for i in [0, count) and fails the current
/// test where a verdict is wrong or the process ends. WEIR_FUZZ_FACTOR=N in the
/// environment takes N times as many, for a longer search.
Counts fuzz(int count, const std::function<std::string(int)> &mutation,
            const std::function<Verdict(const std::string &)> &judge,
            const Bounds &bounds = {});

/// The verdict on a status: accepted, or refused with one of `allowed` and a
/// message of printable characters.
Verdict judgeStatus(const Status &status,
                    const std::vector<StatusCode> &allowed);

} // namespace weir::fuzz

#endif // WEIR_TEST_UNIT_FUZZ_FUZZING_H
