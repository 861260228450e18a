// SPDX-License-Identifier: Apache-2.0
#include "runtime/kernels/Fill.h"

#include "runtime/base/Half.h"
#include "runtime/kernels/Team.h"

#include <algorithm>

namespace weir::kernels {
namespace {

// Fewer elements than this are set faster than a parallel region starts.
constexpr int64_t dividedCount = 64 << 10;

template <typename T>
void fillAs(void *destination, int64_t count, T value, int threads) {
  auto *elements = static_cast<T *>(destination);
  if (count < dividedCount)
    threads = 1;
  runTeam(threads, [&](int thread) {
    Range range = partOf(count, thread, threads);
    std::fill(elements + range.begin, elements + range.end, value);
  });
}

} // namespace

Status checkFill(plan::DType type) {
  if (type == plan::DType::F16)
    return Status(StatusCode::IncompatibleArtifact,
                  "fill of f16: the CPU runtime has f32, f64, bf16 and "
                  "integers; compile with one of these");
  return okStatus();
}

void fill(void *destination, int64_t count, plan::DType type, double value,
          int threads) {
  switch (type) {
  case plan::DType::F32:
    return fillAs(destination, count, static_cast<float>(value), threads);
  case plan::DType::F64:
    return fillAs(destination, count, value, threads);
  case plan::DType::BF16:
    return fillAs(destination, count,
                  floatToBfloat16(static_cast<float>(value)), threads);
  case plan::DType::I64:
    return fillAs(destination, count, static_cast<int64_t>(value), threads);
  case plan::DType::I32:
    return fillAs(destination, count, static_cast<int32_t>(value), threads);
  case plan::DType::I8:
    return fillAs(destination, count, static_cast<int8_t>(value), threads);
  case plan::DType::U8:
    return fillAs(destination, count, static_cast<uint8_t>(value), threads);
  case plan::DType::I1:
    return fillAs(destination, count, static_cast<uint8_t>(value != 0),
                  threads);
  case plan::DType::F16:
    return; // refused by checkFill
  }
}

} // namespace weir::kernels
