// SPDX-License-Identifier: Apache-2.0
#include "runtime/comm/Box.h"

#include "runtime/comm/Rows.h"

#include <algorithm>

namespace weir::comm {
namespace {

using plan::Combiner;
using plan::DType;

template <typename T>
void copyElements(const Box &box, int64_t begin, int64_t end, const void *from,
                  void *to) {
  bool streaming =
      (end - begin) * static_cast<int64_t>(sizeof(T)) >= streamingBytes;
  forRows(box, begin, end,
          [&](int64_t source, int64_t target, int64_t count, int64_t fromStride,
              int64_t toStride) {
            const T *in = static_cast<const T *>(from) + source;
            T *out = static_cast<T *>(to) + target;
            if (fromStride == 1 && toStride == 1) {
              copyRow(out, in, count * sizeof(T), streaming);
              return;
            }
            for (int64_t i = 0; i < count; ++i)
              out[i * toStride] = in[i * fromStride];
          });
  if (streaming)
    fenceRows();
}

/// Rows of any strides; contiguous ones go to reduceRow.
template <typename T, typename Op>
void reduceElements(const Box &box, int64_t begin, int64_t end, DType type,
                    Combiner combiner, const void *const *sources,
                    size_t numSources, void *to, bool readSoon) {
  bool streaming =
      !readSoon &&
      (end - begin) * static_cast<int64_t>(sizeof(T)) >= streamingBytes;
  // As in reduceRow, the destination may be a source.
  constexpr int64_t block = 1024;
  alignas(64) T sums[block];
  forRows(box, begin, end,
          [&](int64_t source, int64_t target, int64_t count, int64_t fromStride,
              int64_t toStride) {
            if (fromStride == 1 && toStride == 1)
              return reduceRow(type, combiner, sources, numSources, source,
                               count, static_cast<T *>(to) + target, streaming);
            for (int64_t done = 0; done < count; done += block) {
              int64_t size = std::min(block, count - done);
              for (size_t s = 0; s < numSources; ++s) {
                const T *in = static_cast<const T *>(sources[s]) + source +
                              done * fromStride;
                for (int64_t i = 0; i < size; ++i)
                  sums[i] = s == 0 ? in[i * fromStride]
                                   : Op::apply(sums[i], in[i * fromStride]);
              }
              T *out = static_cast<T *>(to) + target + done * toStride;
              for (int64_t i = 0; i < size; ++i)
                out[i * toStride] = sums[i];
            }
          });
  if (streaming)
    fenceRows();
}

template <typename T>
void reduceWith(Combiner combiner, const Box &box, int64_t begin, int64_t end,
                DType type, const void *const *sources, size_t numSources,
                void *to, bool readSoon) {
  switch (combiner) {
  case Combiner::Sum:
    return reduceElements<T, SumOf>(box, begin, end, type, combiner, sources,
                                    numSources, to, readSoon);
  case Combiner::Max:
    return reduceElements<T, MaxOf>(box, begin, end, type, combiner, sources,
                                    numSources, to, readSoon);
  case Combiner::Min:
    return reduceElements<T, MinOf>(box, begin, end, type, combiner, sources,
                                    numSources, to, readSoon);
  }
}

} // namespace

Interval intervalOf(int64_t size, const std::vector<int> &axes, int64_t unit,
                    const std::vector<plan::MeshAxis> &mesh,
                    const std::vector<int64_t> &coordinates, int64_t shift) {
  using plan::ScalarExpr;
  return {plan::evaluate({ScalarExpr::Kind::Offset, size, axes, unit, shift},
                         mesh, coordinates),
          plan::evaluate({ScalarExpr::Kind::Extent, size, axes, unit, shift},
                         mesh, coordinates)};
}

void Box::coalesce() {
  std::vector<BoxDim> joined;
  for (const BoxDim &dim : dims) {
    if (dim.extent == 0) {
      dims = {dim};
      return;
    }
    if (dim.extent == 1)
      continue;
    if (!joined.empty() && joined.back().from == dim.from * dim.extent &&
        joined.back().to == dim.to * dim.extent)
      joined.back() = {joined.back().extent * dim.extent, dim.from, dim.to};
    else
      joined.push_back(dim);
  }
  dims = std::move(joined);
}

int64_t Box::elements() const {
  int64_t count = 1;
  for (const BoxDim &dim : dims)
    count *= dim.extent;
  return count;
}

void copyBox(const Box &box, int64_t begin, int64_t end, int64_t elementBytes,
             const void *from, void *to) {
  switch (elementBytes) {
  case 1:
    return copyElements<uint8_t>(box, begin, end, from, to);
  case 2:
    return copyElements<uint16_t>(box, begin, end, from, to);
  case 4:
    return copyElements<uint32_t>(box, begin, end, from, to);
  default:
    return copyElements<uint64_t>(box, begin, end, from, to);
  }
}

void reduceBox(const Box &box, int64_t begin, int64_t end, DType type,
               Combiner combiner, const void *const *sources, size_t numSources,
               void *to, bool readSoon) {
  if (type == DType::F32)
    reduceWith<float>(combiner, box, begin, end, type, sources, numSources, to,
                      readSoon);
  else
    reduceWith<int32_t>(combiner, box, begin, end, type, sources, numSources,
                        to, readSoon);
}

bool canReduce(DType type) { return type == DType::F32 || type == DType::I32; }

} // namespace weir::comm
