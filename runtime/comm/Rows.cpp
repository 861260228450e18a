// SPDX-License-Identifier: Apache-2.0
#include "runtime/comm/Rows.h"

#include "runtime/base/CpuFeatures.h"

#include <algorithm>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#define WEIR_TARGET(features) __attribute__((target(features)))
#endif
// Into functions for other targets, whose vectors the loop is to use.
#define WEIR_ALWAYS_INLINE inline __attribute__((always_inline))

namespace weir::comm {
namespace {

using plan::Combiner;
using plan::DType;

/// to = x op y. `to` may be x or y itself, but not overlap them otherwise, so
/// no element depends on another one's store.
template <typename T, typename Op>
WEIR_ALWAYS_INLINE void combine(const void *x, const void *y, void *to,
                                int64_t count) {
  const T *a = static_cast<const T *>(x), *b = static_cast<const T *>(y);
  T *out = static_cast<T *>(to);
#if defined(__clang__)
#pragma clang loop vectorize(assume_safety) interleave_count(4)
#elif defined(__GNUC__)
#pragma GCC ivdep
#endif
  for (int64_t i = 0; i < count; ++i)
    out[i] = Op::apply(a[i], b[i]);
}

template <typename T>
WEIR_ALWAYS_INLINE void combineWith(Combiner combiner, const void *x,
                                    const void *y, void *to, int64_t count) {
  switch (combiner) {
  case Combiner::Sum:
    return combine<T, SumOf>(x, y, to, count);
  case Combiner::Max:
    return combine<T, MaxOf>(x, y, to, count);
  case Combiner::Min:
    return combine<T, MinOf>(x, y, to, count);
  }
}

WEIR_ALWAYS_INLINE void combineAny(DType type, Combiner combiner, const void *x,
                                   const void *y, void *to, int64_t count) {
  if (type == DType::F32)
    combineWith<float>(combiner, x, y, to, count);
  else
    combineWith<int32_t>(combiner, x, y, to, count);
}

/// What the machine's vectors decide.
struct Kernels {
  void (*combine)(DType, Combiner, const void *, const void *, void *, int64_t);
  /// `to` aligned to 64 bytes, `bytes` a multiple of 64.
  void (*stream)(void *to, const void *from, int64_t bytes);
};

void combineBase(DType type, Combiner combiner, const void *x, const void *y,
                 void *to, int64_t count) {
  combineAny(type, combiner, x, y, to, count);
}

#if defined(__x86_64__)
WEIR_TARGET("avx2")
void combineAvx2(DType type, Combiner combiner, const void *x, const void *y,
                 void *to, int64_t count) {
  combineAny(type, combiner, x, y, to, count);
}

void streamBase(void *to, const void *from, int64_t bytes) {
  auto *out = static_cast<__m128i *>(to);
  const auto *in = static_cast<const __m128i *>(from);
  for (int64_t i = 0; i < bytes / 16; ++i)
    _mm_stream_si128(out + i, _mm_loadu_si128(in + i));
}

WEIR_TARGET("avx2")
void streamAvx2(void *to, const void *from, int64_t bytes) {
  auto *out = static_cast<__m256i *>(to);
  const auto *in = static_cast<const __m256i *>(from);
  for (int64_t i = 0; i < bytes / 32; i += 2) {
    __m256i a = _mm256_loadu_si256(in + i), b = _mm256_loadu_si256(in + i + 1);
    _mm256_stream_si256(out + i, a);
    _mm256_stream_si256(out + i + 1, b);
  }
}

WEIR_TARGET("avx512f")
void streamAvx512(void *to, const void *from, int64_t bytes) {
  auto *out = static_cast<__m512i *>(to);
  const auto *in = static_cast<const __m512i *>(from);
  for (int64_t i = 0; i < bytes / 64; ++i)
    _mm512_stream_si512(out + i, _mm512_loadu_si512(in + i));
}

Kernels chooseKernels() {
  if (hostHasCpuFeature("avx512f"))
    return {combineAvx2, streamAvx512};
  if (hostHasCpuFeature("avx2"))
    return {combineAvx2, streamAvx2};
  return {combineBase, streamBase};
}
#else
void streamBase(void *to, const void *from, int64_t bytes) {
  std::memcpy(to, from, bytes);
}
Kernels chooseKernels() { return {combineBase, streamBase}; }
#endif

const Kernels kernels = chooseKernels();

} // namespace

void copyRow(void *to, const void *from, int64_t bytes, bool streaming) {
  constexpr int64_t line = 64;
  if (!streaming || bytes < 16 * line) {
    std::memcpy(to, from, bytes);
    return;
  }
  auto *out = static_cast<char *>(to);
  const auto *in = static_cast<const char *>(from);
  int64_t head = -reinterpret_cast<intptr_t>(out) & (line - 1);
  int64_t body = (bytes - head) / line * line;
  std::memcpy(out, in, head);
  kernels.stream(out + head, in + head, body);
  std::memcpy(out + head + body, in + head + body, bytes - head - body);
}

void reduceRow(DType type, Combiner combiner, const void *const *sources,
               size_t numSources, int64_t offset, int64_t count, void *to,
               bool streaming) {
  constexpr int64_t elementBytes = 4;
  auto source = [&](size_t i, int64_t done) {
    return static_cast<const char *>(sources[i]) +
           (offset + done) * elementBytes;
  };
  if (numSources == 1) {
    if (to != source(0, 0))
      copyRow(to, source(0, 0), count * elementBytes, streaming);
    return;
  }
  if (numSources == 2 && !streaming)
    return kernels.combine(type, combiner, source(0, 0), source(1, 0), to,
                           count);
  // Partial results gather in a block that stays in the first-level cache: the
  // destination, which may be a source, is written when all were read.
  constexpr int64_t block = 2048;
  alignas(64) char partial[block * elementBytes];
  for (int64_t done = 0; done < count; done += block) {
    int64_t size = std::min(block, count - done);
    char *out = static_cast<char *>(to) + done * elementBytes;
    const void *sum = source(0, done);
    for (size_t i = 1; i < numSources; ++i) {
      bool last = i + 1 == numSources && !streaming;
      kernels.combine(type, combiner, sum, source(i, done),
                      last ? out : partial, size);
      sum = partial;
    }
    if (streaming)
      copyRow(out, partial, size * elementBytes, true);
  }
}

void fenceRows() {
#if defined(__x86_64__)
  _mm_sfence();
#endif
}

} // namespace weir::comm
