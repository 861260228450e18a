// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_RUNTIME_COMM_BOX_H
#define WEIR_RUNTIME_COMM_BOX_H

#include "runtime/plan/Plan.h"

#include <cstddef>
#include <cstdint>
#include <vector>

/// Boxes of elements in strided memory, the unit of all data movement on the
/// host: reshards between ranks and copies between shards and whole tensors.
namespace weir::comm {

/// The contiguous range of one dimension that a coordinate holds.
struct Interval {
  int64_t offset = 0, extent = 0;

  bool operator==(const Interval &other) const {
    return offset == other.offset && extent == other.extent;
  }
};

/// The interval of a dimension of `size` split over `axes`, in runs of `unit`
/// elements, at `coordinates`, or `shift` places on from there.
Interval intervalOf(int64_t size, const std::vector<int> &axes, int64_t unit,
                    const std::vector<plan::MeshAxis> &mesh,
                    const std::vector<int64_t> &coordinates, int64_t shift = 0);

/// One dimension of a box, its strides in elements of the source and of the
/// destination.
struct BoxDim {
  int64_t extent = 0, from = 0, to = 0;
};

/// A box in two places; dimensions outermost first.
struct Box {
  std::vector<BoxDim> dims;
  int64_t fromOffset = 0, toOffset = 0; // elements

  /// Drops dimensions of one element and joins those that are contiguous with
  /// the next one in both places. An empty box keeps one dimension of extent 0.
  void coalesce();
  int64_t elements() const;
};

/// Calls `row(from, to, count, fromStride, toStride)` for the elements
/// [begin, end) of a box in row-major order, a row of the innermost dimension
/// (or a part of it) at a time; offsets in elements, from the box's offsets on.
template <typename Row>
void forRows(const Box &box, int64_t begin, int64_t end, const Row &row) {
  if (begin >= end)
    return;
  if (box.dims.empty())
    return row(box.fromOffset, box.toOffset, 1, 1, 1);
  const BoxDim &inner = box.dims.back();
  while (begin < end) {
    int64_t column = begin % inner.extent, rest = begin / inner.extent;
    int64_t from = box.fromOffset + column * inner.from;
    int64_t to = box.toOffset + column * inner.to;
    for (size_t i = box.dims.size() - 1; i-- > 0;) {
      int64_t at = rest % box.dims[i].extent;
      rest /= box.dims[i].extent;
      from += at * box.dims[i].from;
      to += at * box.dims[i].to;
    }
    int64_t count = inner.extent - column;
    if (count > end - begin)
      count = end - begin;
    row(from, to, count, inner.from, inner.to);
    begin += count;
  }
}

/// Copies elements [begin, end) of a box; `elementBytes` is 1, 2, 4 or 8.
void copyBox(const Box &box, int64_t begin, int64_t end, int64_t elementBytes,
             const void *from, void *to);
inline void copyBox(const Box &box, int64_t elementBytes, const void *from,
                    void *to) {
  copyBox(box, 0, box.elements(), elementBytes, from, to);
}

/// Combines elements [begin, end) of the box at each of `sources`, in their
/// order, into the destination, which may be one of the sources. f32 and i32
/// only (canReduce). Much of it goes around the caches unless it is `readSoon`.
void reduceBox(const Box &box, int64_t begin, int64_t end, plan::DType type,
               plan::Combiner combiner, const void *const *sources,
               size_t numSources, void *to, bool readSoon);
bool canReduce(plan::DType type);

} // namespace weir::comm

#endif // WEIR_RUNTIME_COMM_BOX_H
