// SPDX-License-Identifier: Apache-2.0
// The inner loops of data movement against plain ones, at every alignment that
// changes their way.
#include "PlanBuilder.h"

#include "runtime/comm/Rows.h"

#include <cmath>
#include <cstring>
#include <limits>

using namespace weir;
using namespace weir::comm;
using plan::Combiner;
using plan::DType;
using weir::test::Random;

namespace {

// Nothing is lost, nothing is written outside, whatever the start and length:
// a streaming copy writes whole cache lines and the rest by itself.
TEST(Rows, CopiesEveryByteAndNoOther) {
  constexpr int64_t size = 8192, margin = 128;
  Random random(1);
  std::vector<unsigned char> from(size), to(size + 2 * margin);
  for (unsigned char &byte : from)
    byte = static_cast<unsigned char>(random.next());
  for (bool streaming : {false, true})
    for (int64_t bytes : {int64_t(0), int64_t(1), int64_t(63), int64_t(1023),
                          int64_t(1024), int64_t(1025), int64_t(4096 + 17)})
      for (int64_t source : {0, 1, 4, 31})
        for (int64_t target : {0, 1, 4, 60, 63}) {
          std::fill(to.begin(), to.end(), 0xAB);
          unsigned char *begin = to.data() + margin + target;
          copyRow(begin, from.data() + source, bytes, streaming);
          fenceRows();
          ASSERT_EQ(std::memcmp(begin, from.data() + source, bytes), 0);
          for (unsigned char *byte = to.data(); byte != to.data() + to.size();
               ++byte)
            ASSERT_TRUE((byte >= begin && byte < begin + bytes) ||
                        *byte == 0xAB);
        }
}

template <typename T, typename Op>
void expectReduced(DType type, Combiner combiner, size_t numSources,
                   int64_t count, int64_t offset, int into, bool streaming,
                   const Op &op) {
  std::vector<std::vector<T>> sources(numSources);
  Random random(numSources * 1000 + count);
  std::vector<const void *> pointers;
  for (std::vector<T> &source : sources) {
    source.resize(offset + count);
    for (T &value : source)
      value = static_cast<T>(random.below(1 << 20) - (1 << 19)) / 3;
    if constexpr (std::is_same_v<T, float>)
      for (size_t i = 0; i < source.size(); i += 97)
        source[i] = std::numeric_limits<float>::quiet_NaN();
    pointers.push_back(source.data());
  }
  std::vector<T> want(count), fresh(count);
  for (int64_t i = 0; i < count; ++i) {
    T sum = sources[0][offset + i];
    for (size_t s = 1; s < numSources; ++s)
      sum = op(sum, sources[s][offset + i]);
    want[i] = sum;
  }
  T *to = into < 0 ? fresh.data() : sources[into].data() + offset;
  reduceRow(type, combiner, pointers.data(), numSources, offset, count, to,
            streaming);
  fenceRows();
  ASSERT_EQ(std::memcmp(to, want.data(), count * sizeof(T)), 0)
      << numSources << " sources, " << count << " elements, into " << into;
}

// In the order of the sources, bit for bit, also in place and with lengths that
// no vector divides. NaN wins a maximum from either side.
TEST(Rows, ReducesInOrderAndInPlace) {
  for (size_t numSources : {1, 2, 3, 5})
    for (int64_t count :
         {int64_t(1), int64_t(7), int64_t(64), int64_t(2049), int64_t(5000)})
      for (int into = -1; into < static_cast<int>(numSources); ++into) {
        auto maximum = [](auto x, auto y) { return x > y || x != x ? x : y; };
        auto minimum = [](auto x, auto y) { return x < y || x != x ? x : y; };
        auto sum = [](auto x, auto y) { return x + y; };
        for (bool streaming : {false, true}) {
          expectReduced<float>(DType::F32, Combiner::Sum, numSources, count, 3,
                               into, streaming, sum);
          expectReduced<float>(DType::F32, Combiner::Max, numSources, count, 0,
                               into, streaming, maximum);
          expectReduced<float>(DType::F32, Combiner::Min, numSources, count, 1,
                               into, streaming, minimum);
          expectReduced<int32_t>(DType::I32, Combiner::Sum, numSources, count,
                                 2, into, streaming, sum);
          expectReduced<int32_t>(DType::I32, Combiner::Max, numSources, count,
                                 0, into, streaming, maximum);
        }
      }
}

} // namespace
