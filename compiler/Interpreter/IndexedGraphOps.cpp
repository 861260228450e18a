// SPDX-License-Identifier: Apache-2.0
// The direct semantics of `graph` ops that read by index: loops over the
// formulas of their documentation, in the arithmetic type T of the run.
#include "compiler/Interpreter/Evaluators.h"

#include "dialects/Graph/Graph.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

using namespace mlir;

namespace weir::compiler {
namespace {

using Shape = SmallVector<int64_t, 6>;

/// A shape as (before, dim, behind).
struct Along {
  int64_t before = 1, size = 1, behind = 1;

  Along(ArrayRef<int64_t> shape, int64_t dim) : size(shape[dim]) {
    for (int64_t d = 0; d < static_cast<int64_t>(shape.size()); ++d)
      (d < dim ? before : behind) *= d == dim ? 1 : shape[d];
  }
  int64_t at(int64_t p, int64_t i, int64_t q) const {
    return (p * size + i) * behind + q;
  }
};

template <typename T> class IndexedEvaluator {
public:
  IndexedEvaluator(const OpInputs &inputs, SmallVectorImpl<Tensor> &results)
      : inputs(inputs), op(inputs.op), results(results) {}

  LogicalResult run();

private:
  const Tensor &in(unsigned i) const { return *inputs.operands[i]; }
  const Box &inBox(unsigned i) const { return inputs.operandBoxes[i]; }
  const Box &outBox(unsigned i) const { return inputs.resultBoxes[i]; }
  Tensor zerosOf(unsigned i) const {
    auto type = cast<RankedTensorType>(op->getResult(i).getType());
    return Tensor::zeros(*elementKindOf(type.getElementType()),
                         outBox(i).extents);
  }
  LogicalResult expect(bool condition, const Twine &what) {
    if (condition)
      return success();
    return op->emitError() << "expects " << what;
  }
  /// The op reads along these dims of a tensor, which must be there wholly.
  LogicalResult expectWhole(const Box &box, ArrayRef<int64_t> dims) {
    for (int64_t d : dims)
      if (failed(expect(box.extents[d] == box.logical[d],
                        "dimension " + Twine(d) + " not to be split")))
        return failure();
    return success();
  }
  void add(Tensor &out, int64_t to, const Tensor &from, int64_t at) {
    if (out.isFloat())
      out.floats[to] =
          static_cast<T>(out.floats[to]) + static_cast<T>(from.floats[at]);
    else
      out.ints[to] = wrapInteger(out.kind, out.ints[to] + from.ints[at]);
  }

  /// The same elements of dimension `a` of one box and `b` of another.
  LogicalResult expectSame(const Box &x, int64_t a, const Box &y, int64_t b) {
    return expect(x.extents[a] == y.extents[b] && x.offsets[a] == y.offsets[b],
                  "dimension " + Twine(a) + " to be held as dimension " +
                      Twine(b) + " of the result is");
  }

  LogicalResult pad(graph::PadOp op);
  LogicalResult scan(int64_t dim, bool product, bool reverse, bool exclusive);
  LogicalResult sort(int64_t dim, bool descending);
  LogicalResult take(int64_t dim, bool along);
  LogicalResult scatterAdd(int64_t dim, bool along);
  /// `window`, or with `fold` its transpose.
  LogicalResult window(ArrayRef<int64_t> dims, ArrayRef<int64_t> strides,
                       ArrayRef<int64_t> dilations, ArrayRef<int64_t> low,
                       double value, bool fold);
  LogicalResult conv(graph::ConvOp conv);
  LogicalResult pool(graph::PoolOp pool);

  const OpInputs &inputs;
  Operation *op;
  SmallVectorImpl<Tensor> &results;
};

template <typename T> LogicalResult IndexedEvaluator<T>::pad(graph::PadOp pad) {
  Tensor out = zerosOf(0);
  double value = static_cast<T>(pad.getValue().convertToDouble());
  std::fill(out.floats.begin(), out.floats.end(), value);
  std::fill(out.ints.begin(), out.ints.end(), static_cast<int64_t>(value));
  for (auto [d, low] : llvm::enumerate(pad.getLow()))
    if (inBox(0).logical[d] == outBox(0).logical[d]
            ? failed(expectSame(inBox(0), d, outBox(0), d))
            : failed(expectWhole(inBox(0), d)) ||
                  failed(expectWhole(outBox(0), d)))
      return failure();
  Shape strides = rowMajorStrides(out.shape), index(in(0).rank(), 0);
  if (in(0).size() != 0) {
    int64_t at = 0;
    do {
      int64_t to = 0;
      for (auto [d, low] : llvm::enumerate(pad.getLow()))
        to += (index[d] + low) * strides[d];
      out.set(to, in(0), at++);
    } while (nextIndex(index, in(0).shape));
  }
  results.push_back(std::move(out));
  return success();
}

template <typename T>
LogicalResult IndexedEvaluator<T>::scan(int64_t dim, bool product, bool reverse,
                                        bool exclusive) {
  // Over a split dimension it is the scan of the shard.
  if (failed(expectSame(inBox(0), dim, outBox(0), dim)))
    return failure();
  Tensor out = zerosOf(0);
  Along a(out.shape, dim);
  for (int64_t p = 0; p < a.before; ++p)
    for (int64_t q = 0; q < a.behind; ++q) {
      T sum = product ? 1 : 0;
      int64_t whole = product ? 1 : 0;
      for (int64_t step = 0; step < a.size; ++step) {
        int64_t at = a.at(p, reverse ? a.size - 1 - step : step, q);
        if (exclusive) {
          if (out.isFloat())
            out.floats[at] = sum;
          else
            out.ints[at] = whole;
        }
        if (out.isFloat()) {
          T x = static_cast<T>(in(0).floats[at]);
          sum = product ? sum * x : sum + x;
        } else {
          uint64_t x = in(0).ints[at], y = whole;
          whole = wrapInteger(out.kind, int64_t(product ? y * x : y + x));
        }
        if (!exclusive) {
          if (out.isFloat())
            out.floats[at] = sum;
          else
            out.ints[at] = whole;
        }
      }
    }
  results.push_back(std::move(out));
  return success();
}

template <typename T>
LogicalResult IndexedEvaluator<T>::sort(int64_t dim, bool descending) {
  if (failed(expectWhole(inBox(0), dim)) || failed(expectWhole(outBox(0), dim)))
    return failure();
  Tensor values = zerosOf(0), indices = zerosOf(1);
  Along a(in(0).shape, dim), b(values.shape, dim);
  for (unsigned d = 0; d < in(0).rank(); ++d)
    if (static_cast<int64_t>(d) != dim &&
        (failed(expectSame(inBox(0), d, outBox(0), d)) ||
         failed(expectSame(inBox(0), d, outBox(1), d))))
      return failure();
  const Tensor &x = in(0);
  auto less = [&](int64_t i, int64_t j) {
    if (!x.isFloat())
      return x.ints[i] < x.ints[j];
    double l = x.floats[i], r = x.floats[j];
    return l < r || (!std::isnan(l) && std::isnan(r));
  };
  std::vector<int64_t> order(a.size);
  for (int64_t p = 0; p < a.before; ++p)
    for (int64_t q = 0; q < a.behind; ++q) {
      std::iota(order.begin(), order.end(), 0);
      std::stable_sort(order.begin(), order.end(), [&](int64_t i, int64_t j) {
        return descending ? less(a.at(p, j, q), a.at(p, i, q))
                          : less(a.at(p, i, q), a.at(p, j, q));
      });
      for (int64_t i = 0; i < b.size; ++i) {
        values.set(b.at(p, i, q), x, a.at(p, order[i], q));
        indices.ints[b.at(p, i, q)] = order[i];
      }
    }
  results.push_back(std::move(values));
  results.push_back(std::move(indices));
  return success();
}

template <typename T>
LogicalResult IndexedEvaluator<T>::take(int64_t dim, bool along) {
  Tensor out = zerosOf(0);
  Along a(in(0).shape, dim);
  int64_t count = along ? in(1).shape[dim] : in(1).size();
  if (failed(expect(out.size() == a.before * count * a.behind &&
                        (!along || in(1).size() == out.size()),
                    "operands' extents to make up the result's")))
    return failure();
  int64_t first = inBox(0).offsets[dim];
  for (int64_t p = 0; p < a.before; ++p)
    for (int64_t i = 0; i < count; ++i)
      for (int64_t q = 0; q < a.behind; ++q) {
        int64_t to = (p * count + i) * a.behind + q;
        int64_t index = in(1).ints[along ? to : i] - first;
        if (index >= 0 && index < a.size)
          out.set(to, in(0), a.at(p, index, q));
      }
  results.push_back(std::move(out));
  return success();
}

template <typename T>
LogicalResult IndexedEvaluator<T>::scatterAdd(int64_t dim, bool along) {
  Tensor out = zerosOf(0);
  Along a(out.shape, dim);
  int64_t count = along ? in(0).shape[dim] : in(0).size();
  if (failed(expect(in(1).size() == a.before * count * a.behind &&
                        (!along || in(0).size() == in(1).size()),
                    "updates' extents to fit indices and result")))
    return failure();
  int64_t first = outBox(0).offsets[dim];
  for (int64_t p = 0; p < a.before; ++p)
    for (int64_t i = 0; i < count; ++i)
      for (int64_t q = 0; q < a.behind; ++q) {
        int64_t from = (p * count + i) * a.behind + q;
        int64_t index = in(0).ints[along ? from : i] - first;
        if (index >= 0 && index < a.size)
          add(out, a.at(p, index, q), in(1), from);
      }
  results.push_back(std::move(out));
  return success();
}

template <typename T>
LogicalResult
IndexedEvaluator<T>::window(ArrayRef<int64_t> dims, ArrayRef<int64_t> strides,
                            ArrayRef<int64_t> dilations, ArrayRef<int64_t> low,
                            double value, bool fold) {
  Tensor out = zerosOf(0);
  const Tensor &windows = fold ? in(0) : out;
  const Box &windowsBox = fold ? inBox(0) : outBox(0);
  const Box &wholeBox = fold ? outBox(0) : inBox(0);
  for (int64_t i = 0; i < int64_t(wholeBox.extents.size()); ++i) {
    int64_t d = dims.empty() || i < dims[0] ? i : i + int64_t(dims.size());
    if (!llvm::is_contained(dims, i) &&
        failed(expectSame(wholeBox, i, windowsBox, d)))
      return failure();
  }
  Shape wholeStrides = rowMajorStrides(wholeBox.extents);
  Shape index(windows.rank(), 0);
  if (windows.size() != 0) {
    int64_t at = 0;
    do {
      int64_t place = 0;
      bool inside = true;
      size_t next = 0;
      for (size_t i = 0; i < wholeBox.extents.size(); ++i) {
        // Behind the places, which stand in front of the first of `dims`.
        bool before = dims.empty() || static_cast<int64_t>(i) < dims[0];
        size_t d = before ? i : i + dims.size();
        int64_t position = index[d];
        if (next < dims.size() && dims[next] == static_cast<int64_t>(i)) {
          size_t p = dims[0] + next;
          int64_t o = windowsBox.offsets[d] + index[d];
          int64_t k = windowsBox.offsets[p] + index[p];
          int64_t logical = o * strides[next] + k * dilations[next] - low[next];
          inside &= logical >= 0 && logical < wholeBox.logical[i];
          position = logical - wholeBox.offsets[i];
          if (inside && (position < 0 || position >= wholeBox.extents[i])) {
            // Somebody else's element of a split dimension: a term of a sum.
            if (value != 0)
              return op->emitError("expects a dimension that is not split "
                                   "where padding is not zero");
            inside = false;
          }
          ++next;
        }
        place += position * wholeStrides[i];
      }
      if (fold) {
        if (inside)
          add(out, place, in(0), at);
      } else if (inside) {
        out.set(at, in(0), place);
      } else if (out.isFloat()) {
        out.floats[at] = static_cast<T>(value);
      } else {
        out.ints[at] = static_cast<int64_t>(value);
      }
      ++at;
    } while (nextIndex(index, windows.shape));
  }
  results.push_back(std::move(out));
  return success();
}

template <typename T>
LogicalResult IndexedEvaluator<T>::conv(graph::ConvOp conv) {
  const Tensor &x = in(0), &w = in(1);
  Tensor out = zerosOf(0);
  unsigned spatial = x.rank() - 2;
  // Channels of a group, logically: local channels belong to groups by their
  // logical numbers.
  int64_t inGroup = inBox(1).logical[1];
  int64_t outGroup = inBox(1).logical[0] / conv.getGroups();
  if (failed(expectSame(inBox(0), 0, outBox(0), 0)) ||
      failed(expectSame(inBox(1), 0, outBox(0), 1)))
    return failure();
  Shape xStrides = rowMajorStrides(x.shape);
  Shape places(w.shape.begin() + 2, w.shape.end());
  Shape index(out.rank(), 0);
  if (out.size() != 0 && w.size() != 0) {
    int64_t at = 0;
    do {
      int64_t m = outBox(0).offsets[1] + index[1];
      int64_t firstChannel = m / outGroup * inGroup;
      T sum = 0;
      for (int64_t c = 0; c < w.shape[1]; ++c) {
        int64_t channel =
            firstChannel + inBox(1).offsets[1] + c - inBox(0).offsets[1];
        if (channel < 0 || channel >= x.shape[1])
          return op->emitError("expects the channels that its group reads");
        Shape place(spatial, 0);
        int64_t k = 0;
        do {
          int64_t from = index[0] * xStrides[0] + channel * xStrides[1];
          bool inside = true;
          for (unsigned i = 0; i < spatial; ++i) {
            int64_t position =
                (outBox(0).offsets[2 + i] + index[2 + i]) *
                    conv.getStrides()[i] +
                (inBox(1).offsets[2 + i] + place[i]) * conv.getDilations()[i] -
                conv.getLow()[i] - inBox(0).offsets[2 + i];
            inside &= position >= 0 && position < x.shape[2 + i];
            from += position * xStrides[2 + i];
          }
          int64_t weight = (index[1] * w.shape[1] + c) * elementsOf(places) + k;
          if (inside)
            sum += static_cast<T>(x.floats[from]) *
                   static_cast<T>(w.floats[weight]);
          ++k;
        } while (nextIndex(place, places));
      }
      out.floats[at++] = sum;
    } while (nextIndex(index, out.shape));
  }
  results.push_back(std::move(out));
  return success();
}

template <typename T>
LogicalResult IndexedEvaluator<T>::pool(graph::PoolOp pool) {
  const Tensor &x = in(0);
  Tensor out = zerosOf(0);
  unsigned spatial = x.rank() - 2;
  if (failed(expectSame(inBox(0), 0, outBox(0), 0)) ||
      failed(expectSame(inBox(0), 1, outBox(0), 1)))
    return failure();
  ArrayRef<int64_t> window = pool.getWindow();
  bool isMax = pool.getKind() == graph::PoolKind::Max;
  Shape strides = rowMajorStrides(x.shape), index(out.rank(), 0);
  double places = static_cast<double>(elementsOf(window));
  if (out.size() != 0) {
    int64_t at = 0;
    do {
      T result = isMax ? -std::numeric_limits<T>::infinity() : T(0);
      int64_t count = 0;
      Shape place(spatial, 0);
      do {
        int64_t from = index[0] * strides[0] + index[1] * strides[1];
        bool inside = true, here = true;
        for (unsigned i = 0; i < spatial; ++i) {
          int64_t position =
              (outBox(0).offsets[2 + i] + index[2 + i]) * pool.getStrides()[i] +
              place[i] * pool.getDilations()[i] - pool.getLow()[i];
          inside &= position >= 0 && position < inBox(0).logical[2 + i];
          position -= inBox(0).offsets[2 + i];
          here &= position >= 0 && position < x.shape[2 + i];
          from += position * strides[2 + i];
        }
        if (inside && !here && isMax)
          return op->emitError("expects the elements of its windows");
        count += inside;
        if (!inside || !here)
          continue;
        T value = static_cast<T>(x.floats[from]);
        if (!isMax)
          result += value;
        else if (std::isnan(value) || value > result)
          result = value;
        if (isMax && std::isnan(result))
          break;
      } while (nextIndex(place, window));
      if (pool.getKind() == graph::PoolKind::Avg)
        result /= static_cast<T>(
            pool.getExcludePadding() ? static_cast<double>(count) : places);
      out.floats[at++] = result;
    } while (nextIndex(index, out.shape));
  }
  results.push_back(std::move(out));
  return success();
}

template <typename T> LogicalResult IndexedEvaluator<T>::run() {
  return llvm::TypeSwitch<Operation *, LogicalResult>(op)
      .Case([&](graph::PadOp o) { return pad(o); })
      .Case([&](graph::CumsumOp o) {
        return scan(o.getDim(), false, o.getReverse(), o.getExclusive());
      })
      .Case([&](graph::CumprodOp o) {
        return scan(o.getDim(), true, o.getReverse(), o.getExclusive());
      })
      .Case(
          [&](graph::SortOp o) { return sort(o.getDim(), o.getDescending()); })
      .Case([&](graph::TopKOp o) { return sort(o.getDim(), true); })
      .Case([&](graph::TakeOp o) { return take(o.getDim(), false); })
      .Case([&](graph::TakeAlongOp o) { return take(o.getDim(), true); })
      .Case([&](graph::ScatterAddOp o) {
        return scatterAdd(o.getDim(), o.getAlong());
      })
      .Case([&](graph::WindowOp o) {
        return window(o.getDims(), o.getStrides(), o.getDilations(), o.getLow(),
                      o.getValue().convertToDouble(), false);
      })
      .Case([&](graph::FoldOp o) {
        return window(o.getDims(), o.getStrides(), o.getDilations(), o.getLow(),
                      0, true);
      })
      .Case([&](graph::ConvOp o) { return conv(o); })
      .Case([&](graph::PoolOp o) { return pool(o); })
      .Default([](Operation *o) {
        return LogicalResult(
            o->emitError("the interpreter does not know this operation"));
      });
}

} // namespace

LogicalResult evaluateIndexedGraphOp(const OpInputs &inputs,
                                     SmallVectorImpl<Tensor> &results) {
  if (inputs.precision == Precision::F32)
    return IndexedEvaluator<float>(inputs, results).run();
  return IndexedEvaluator<double>(inputs, results).run();
}

} // namespace weir::compiler
