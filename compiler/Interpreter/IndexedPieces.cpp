// SPDX-License-Identifier: Apache-2.0
// The structured pieces that read or write by index along a dimension, walk it
// or order it. Independent of IndexedGraphOps.cpp on purpose.
#include "compiler/Interpreter/Evaluators.h"

#include "dialects/Kernel/Kernel.h"

#include <algorithm>
#include <cmath>

using namespace mlir;

namespace weir::compiler {
namespace {

/// The row-major position of `index` with another number in `dim`.
int64_t positionWith(ArrayRef<int64_t> shape, ArrayRef<int64_t> index,
                     int64_t dim, int64_t number) {
  int64_t at = 0;
  for (auto [d, size] : llvm::enumerate(shape))
    at = at * size + (static_cast<int64_t>(d) == dim ? number : index[d]);
  return at;
}

int64_t positionIn(ArrayRef<int64_t> shape, ArrayRef<int64_t> index) {
  return positionWith(shape, index, -1, 0);
}

/// Calls `visit(element of the long side, place on the indexed side or -1)`
/// for all elements of the side with `shape`, in row-major order.
template <typename F>
void forEachIndexed(ArrayRef<int64_t> shape, ArrayRef<int64_t> indexedShape,
                    int64_t indexedOffset, const Tensor &indices, int64_t dim,
                    bool along, F visit) {
  if (elementsOf(shape) == 0)
    return;
  unsigned rank = along ? 1 : indices.rank();
  SmallVector<int64_t> index(shape.size(), 0);
  int64_t at = 0;
  do {
    ArrayRef<int64_t> all(index);
    int64_t number =
        indices.ints[along ? at
                           : positionIn(indices.shape, all.slice(dim, rank))] -
        indexedOffset;
    if (number < 0 || number >= indexedShape[dim]) {
      visit(at++, -1);
      continue;
    }
    SmallVector<int64_t> other(all.take_front(dim));
    other.push_back(number);
    llvm::append_range(other, all.drop_front(dim + rank));
    visit(at++, positionIn(indexedShape, other));
  } while (nextIndex(index, shape));
}

LogicalResult checkIndexed(Operation *op, ArrayRef<int64_t> shape,
                           ArrayRef<int64_t> indexedShape,
                           const Tensor &indices, int64_t dim, bool along) {
  SmallVector<int64_t> expected(indexedShape.take_front(dim));
  if (along)
    expected.push_back(indices.shape[dim]);
  else
    llvm::append_range(expected, indices.shape);
  llvm::append_range(expected, indexedShape.drop_front(dim + 1));
  if (shape != ArrayRef<int64_t>(expected) ||
      (along && shape != ArrayRef<int64_t>(indices.shape)))
    return op->emitError("operands' and results' extents do not fit");
  return success();
}

LogicalResult evaluateTake(kernel::TakeOp op, const OpInputs &inputs,
                           SmallVectorImpl<Tensor> &results) {
  const Tensor &input = *inputs.operands[0], &indices = *inputs.operands[1];
  ArrayRef<int64_t> shape = inputs.resultBoxes[0].extents;
  int64_t dim = op.getDim();
  if (failed(checkIndexed(op, shape, input.shape, indices, dim, op.getAlong())))
    return failure();
  Tensor out = Tensor::zeros(input.kind, shape);
  forEachIndexed(shape, input.shape, inputs.operandBoxes[0].offsets[dim],
                 indices, dim, op.getAlong(), [&](int64_t to, int64_t from) {
                   if (from >= 0)
                     out.set(to, input, from);
                 });
  results.push_back(std::move(out));
  return success();
}

template <typename T>
LogicalResult evaluatePutAdd(kernel::PutAddOp op, const OpInputs &inputs,
                             SmallVectorImpl<Tensor> &results) {
  const Tensor &indices = *inputs.operands[0], &updates = *inputs.operands[1];
  ArrayRef<int64_t> shape = inputs.resultBoxes[0].extents;
  int64_t dim = op.getDim();
  if (failed(
          checkIndexed(op, updates.shape, shape, indices, dim, op.getAlong())))
    return failure();
  Tensor out = Tensor::zeros(updates.kind, shape);
  forEachIndexed(updates.shape, shape, inputs.resultBoxes[0].offsets[dim],
                 indices, dim, op.getAlong(), [&](int64_t from, int64_t to) {
                   if (to < 0)
                     return;
                   if (out.isFloat())
                     out.floats[to] = static_cast<T>(out.floats[to]) +
                                      static_cast<T>(updates.floats[from]);
                   else
                     out.ints[to] = wrapInteger(
                         out.kind, out.ints[to] + updates.ints[from]);
                 });
  results.push_back(std::move(out));
  return success();
}

LogicalResult expectWholeDim(Operation *op, const Box &box, int64_t dim) {
  if (box.extents[dim] == box.logical[dim])
    return success();
  return op->emitError("walks the split dimension ") << dim;
}

template <typename T>
LogicalResult evaluateScan(kernel::ScanOp op, const OpInputs &inputs,
                           SmallVectorImpl<Tensor> &results) {
  const Tensor &input = *inputs.operands[0];
  int64_t dim = op.getDim();
  if (failed(expectWholeDim(op, inputs.operandBoxes[0], dim)))
    return failure();
  bool product = op.getCombiner() == kernel::Combiner::Prod;
  Tensor out = Tensor::zeros(input.kind, inputs.resultBoxes[0].extents);
  int64_t size = input.shape[dim];
  SmallVector<int64_t> lines(input.shape);
  lines[dim] = 1;
  if (out.size() == 0) {
    results.push_back(std::move(out));
    return success();
  }
  SmallVector<int64_t> index(lines.size(), 0);
  do {
    T total = product;
    uint64_t whole = product;
    for (int64_t step = 0; step < size; ++step) {
      int64_t i = op.getReverse() ? size - 1 - step : step;
      int64_t at = positionWith(input.shape, index, dim, i);
      auto store = [&] {
        if (out.isFloat())
          out.floats[at] = total;
        else
          out.ints[at] = wrapInteger(out.kind, int64_t(whole));
      };
      if (op.getExclusive())
        store();
      if (out.isFloat()) {
        T x = static_cast<T>(input.floats[at]);
        total = product ? total * x : total + x;
      } else {
        uint64_t x = input.ints[at];
        whole = product ? whole * x : whole + x;
      }
      if (!op.getExclusive())
        store();
    }
  } while (nextIndex(index, lines));
  results.push_back(std::move(out));
  return success();
}

LogicalResult evaluateSort(kernel::SortOp op, const OpInputs &inputs,
                           SmallVectorImpl<Tensor> &results) {
  const Tensor &input = *inputs.operands[0];
  int64_t dim = op.getDim();
  if (failed(expectWholeDim(op, inputs.operandBoxes[0], dim)))
    return failure();
  Tensor values = Tensor::zeros(input.kind, input.shape);
  Tensor indices = Tensor::zeros(
      *elementKindOf(op.getIndices().getType().getElementType()), input.shape);
  SmallVector<int64_t> lines(input.shape);
  lines[dim] = 1;
  SmallVector<int64_t> index(lines.size(), 0);
  if (input.size() != 0) {
    do {
      // (element, where it is), in a total order: ties by place.
      std::vector<std::pair<double, int64_t>> line;
      std::vector<std::pair<int64_t, int64_t>> wholeLine;
      for (int64_t i = 0; i < input.shape[dim]; ++i) {
        int64_t at = positionWith(input.shape, index, dim, i);
        if (input.isFloat())
          line.push_back({input.floats[at], i});
        else
          wholeLine.push_back({input.ints[at], i});
      }
      bool descending = op.getDescending();
      llvm::sort(line, [&](auto &a, auto &b) {
        bool aNan = std::isnan(a.first), bNan = std::isnan(b.first);
        if (aNan != bNan)
          return descending ? aNan : bNan;
        if (!aNan && a.first != b.first)
          return descending ? a.first > b.first : a.first < b.first;
        return a.second < b.second;
      });
      llvm::sort(wholeLine, [&](auto &a, auto &b) {
        if (a.first != b.first)
          return descending ? a.first > b.first : a.first < b.first;
        return a.second < b.second;
      });
      for (int64_t i = 0; i < input.shape[dim]; ++i) {
        int64_t from = input.isFloat() ? line[i].second : wholeLine[i].second;
        int64_t to = positionWith(input.shape, index, dim, i);
        values.set(to, input, positionWith(input.shape, index, dim, from));
        indices.ints[to] = from;
      }
    } while (nextIndex(index, lines));
  }
  results.push_back(std::move(values));
  results.push_back(std::move(indices));
  return success();
}

} // namespace

LogicalResult evaluateIndexedPiece(const OpInputs &inputs,
                                   SmallVectorImpl<Tensor> &results) {
  bool isF32 = inputs.precision == Precision::F32;
  return llvm::TypeSwitch<Operation *, LogicalResult>(inputs.op)
      .Case(
          [&](kernel::TakeOp op) { return evaluateTake(op, inputs, results); })
      .Case([&](kernel::PutAddOp op) {
        return isF32 ? evaluatePutAdd<float>(op, inputs, results)
                     : evaluatePutAdd<double>(op, inputs, results);
      })
      .Case([&](kernel::ScanOp op) {
        return isF32 ? evaluateScan<float>(op, inputs, results)
                     : evaluateScan<double>(op, inputs, results);
      })
      .Case(
          [&](kernel::SortOp op) { return evaluateSort(op, inputs, results); })
      .Default([](Operation *op) {
        return LogicalResult(op->emitError("is not a structured piece"));
      });
}

} // namespace weir::compiler
