// SPDX-License-Identifier: Apache-2.0
// The direct semantics of every `graph` op: hand-written loops over compact
// tensors, in the arithmetic type T of the run.
#include "compiler/Interpreter/Evaluators.h"

#include "dialects/Graph/Graph.h"
#include "runtime/base/Philox.h"

#include <cmath>
#include <functional>
#include <limits>

using namespace mlir;

namespace weir::compiler {
namespace {

using Shape = SmallVector<int64_t, 6>;

/// Float to integer: truncates; what does not fit goes to the nearest end, NaN
/// to 0, so that the result does not depend on the machine.
int64_t truncateToInteger(ElementKind kind, double value) {
  if (kind == ElementKind::I1)
    return value != 0;
  if (std::isnan(value))
    return 0;
  double low = kind == ElementKind::I32 ? -0x1p31 : -0x1p63;
  double high = kind == ElementKind::I32 ? 0x1p31 : 0x1p63;
  if (value <= low)
    return kind == ElementKind::I32 ? std::numeric_limits<int32_t>::min()
                                    : std::numeric_limits<int64_t>::min();
  if (value >= high)
    return kind == ElementKind::I32 ? std::numeric_limits<int32_t>::max()
                                    : std::numeric_limits<int64_t>::max();
  return static_cast<int64_t>(value);
}

template <typename T> T maximum(T a, T b) {
  if (std::isnan(a) || std::isnan(b))
    return std::numeric_limits<T>::quiet_NaN();
  return a > b ? a : b;
}
template <typename T> T minimum(T a, T b) {
  if (std::isnan(a) || std::isnan(b))
    return std::numeric_limits<T>::quiet_NaN();
  return a < b ? a : b;
}

/// `tensor` as a flat array of T with its dimensions in the order `order`.
template <typename T>
std::vector<T> permuted(const Tensor &tensor, ArrayRef<int64_t> order) {
  Shape strides = rowMajorStrides(tensor.shape), shape, step;
  for (int64_t d : order) {
    shape.push_back(tensor.shape[d]);
    step.push_back(strides[d]);
  }
  std::vector<T> out(tensor.size());
  if (out.empty())
    return out;
  Shape index(shape.size(), 0);
  int64_t last = shape.empty() ? 1 : shape.back();
  int64_t lastStep = step.empty() ? 0 : step.back();
  ArrayRef<int64_t> outer = shape.empty()
                                ? ArrayRef<int64_t>()
                                : ArrayRef<int64_t>(shape).drop_back();
  Shape outerIndex(outer.size(), 0);
  size_t at = 0;
  do {
    int64_t base = 0;
    for (size_t d = 0; d < outer.size(); ++d)
      base += outerIndex[d] * step[d];
    for (int64_t i = 0; i < last; ++i)
      out[at++] = static_cast<T>(tensor.floats[base + i * lastStep]);
  } while (nextIndex(outerIndex, outer));
  return out;
}

/// One op's evaluation with arithmetic type T.
template <typename T> class GraphEvaluator {
public:
  GraphEvaluator(const OpInputs &inputs, SmallVectorImpl<Tensor> &results)
      : inputs(inputs), op(inputs.op), results(results) {}

  LogicalResult run();

private:
  const Tensor &in(unsigned i) const { return *inputs.operands[i]; }
  const Box &inBox(unsigned i) const { return inputs.operandBoxes[i]; }
  const Box &outBox(unsigned i) const { return inputs.resultBoxes[i]; }
  /// Adds a zeroed result of the box's shape.
  Tensor &addResult(unsigned i) {
    auto type = cast<RankedTensorType>(op->getResult(i).getType());
    results.push_back(Tensor::zeros(*elementKindOf(type.getElementType()),
                                    outBox(i).extents));
    return results.back();
  }
  LogicalResult expect(bool condition, const Twine &what) {
    if (condition)
      return success();
    return op->emitError() << "expects " << what << ", got operand extents "
                           << extentsText();
  }
  std::string extentsText() const {
    std::string text;
    llvm::raw_string_ostream os(text);
    for (const Tensor *operand : inputs.operands) {
      os << (operand == inputs.operands.front() ? "[" : ", [");
      llvm::interleaveComma(operand->shape, os);
      os << "]";
    }
    os << " and result extents ";
    for (const Box &box : inputs.resultBoxes) {
      os << (&box == &inputs.resultBoxes.front() ? "[" : ", [");
      llvm::interleaveComma(box.extents, os);
      os << "]";
    }
    return text;
  }
  T number(unsigned operand) const {
    return static_cast<T>(in(operand).floats[0]);
  }

  template <typename F> LogicalResult unary(F function);
  template <typename F, typename G> LogicalResult binary(F floats, G ints);
  LogicalResult compare(graph::CompareOp compare);
  LogicalResult select();
  LogicalResult castTo();
  LogicalResult iota(int64_t dim);
  LogicalResult broadcast(ArrayRef<int64_t> dims);
  LogicalResult reduce(graph::ReduceOp reduce);
  LogicalResult reshape();
  LogicalResult transpose(ArrayRef<int64_t> permutation);
  LogicalResult slice(ArrayRef<int64_t> offsets);
  LogicalResult concat(int64_t dim);
  LogicalResult matmul(graph::MatmulOp matmul);
  LogicalResult embedding();
  LogicalResult embeddingGrad();
  LogicalResult layerNorm(T epsilon);
  LogicalResult rmsNorm(T epsilon);
  LogicalResult softmax();
  LogicalResult rope(int64_t seqDim);
  std::function<bool(int64_t, int64_t)> visibility(bool causal, unsigned first);
  LogicalResult attention(T scale, bool causal);
  LogicalResult attentionGrad(T scale, bool causal);
  LogicalResult dropout(graph::DropoutOp dropout);
  LogicalResult crossEntropy(int64_t ignore);
  LogicalResult crossEntropyGrad(int64_t ignore);
  LogicalResult adamw();
  LogicalResult sgd();

  const OpInputs &inputs;
  Operation *op;
  SmallVectorImpl<Tensor> &results;
};

template <typename T>
template <typename F>
LogicalResult GraphEvaluator<T>::unary(F function) {
  if (!in(0).isFloat())
    return op->emitError("expects a float operand");
  Tensor &out = addResult(0);
  for (size_t i = 0; i < out.floats.size(); ++i)
    out.floats[i] = function(static_cast<T>(in(0).floats[i]));
  return success();
}

template <typename T>
template <typename F, typename G>
LogicalResult GraphEvaluator<T>::binary(F floats, G ints) {
  if (failed(expect(in(0).shape == in(1).shape, "operands of one shape")))
    return failure();
  Tensor &out = addResult(0);
  for (size_t i = 0; i < out.floats.size(); ++i)
    out.floats[i] = floats(static_cast<T>(in(0).floats[i]),
                           static_cast<T>(in(1).floats[i]));
  for (size_t i = 0; i < out.ints.size(); ++i)
    out.ints[i] = wrapInteger(out.kind, ints(in(0).ints[i], in(1).ints[i]));
  return success();
}

template <typename V> bool holds(graph::Predicate predicate, V a, V b) {
  switch (predicate) {
  case graph::Predicate::Eq:
    return a == b;
  case graph::Predicate::Ne:
    return a != b;
  case graph::Predicate::Lt:
    return a < b;
  case graph::Predicate::Le:
    return a <= b;
  case graph::Predicate::Gt:
    return a > b;
  case graph::Predicate::Ge:
    return a >= b;
  }
  return false;
}

template <typename T>
LogicalResult GraphEvaluator<T>::compare(graph::CompareOp compare) {
  Tensor &out = addResult(0);
  for (size_t i = 0; i < out.ints.size(); ++i)
    out.ints[i] =
        in(0).isFloat()
            ? holds(compare.getPredicate(), in(0).floats[i], in(1).floats[i])
            : holds(compare.getPredicate(), in(0).ints[i], in(1).ints[i]);
  return success();
}

template <typename T> LogicalResult GraphEvaluator<T>::select() {
  Tensor &out = addResult(0);
  for (int64_t i = 0, e = out.size(); i < e; ++i)
    out.set(i, in(0).ints[i] ? in(1) : in(2), i);
  return success();
}

template <typename T> LogicalResult GraphEvaluator<T>::castTo() {
  Tensor &out = addResult(0);
  for (int64_t i = 0, e = out.size(); i < e; ++i) {
    if (out.isFloat())
      out.floats[i] =
          in(0).isFloat() ? in(0).floats[i] : static_cast<T>(in(0).ints[i]);
    else if (in(0).isFloat())
      out.ints[i] = truncateToInteger(out.kind, in(0).floats[i]);
    else if (out.kind == ElementKind::I1)
      out.ints[i] = in(0).ints[i] != 0;
    else
      out.ints[i] = wrapInteger(out.kind, in(0).ints[i]);
  }
  return success();
}

template <typename T> LogicalResult GraphEvaluator<T>::iota(int64_t dim) {
  Tensor &out = addResult(0);
  if (out.size() == 0)
    return success();
  Shape index(out.rank(), 0);
  int64_t at = 0;
  do {
    int64_t value = outBox(0).offsets[dim] + index[dim];
    if (out.isFloat())
      out.floats[at++] = static_cast<T>(value);
    else
      out.ints[at++] = wrapInteger(out.kind, value);
  } while (nextIndex(index, out.shape));
  return success();
}

template <typename T>
LogicalResult GraphEvaluator<T>::broadcast(ArrayRef<int64_t> dims) {
  for (auto [d, target] : llvm::enumerate(dims))
    if (failed(expect(in(0).shape[d] == outBox(0).extents[target],
                      "operand extents that agree with the result's")))
      return failure();
  Tensor &out = addResult(0);
  if (out.size() == 0)
    return success();
  Shape strides = rowMajorStrides(in(0).shape), index(out.rank(), 0);
  int64_t at = 0;
  do {
    int64_t from = 0;
    for (auto [d, target] : llvm::enumerate(dims))
      from += index[target] * strides[d];
    out.set(at++, in(0), from);
  } while (nextIndex(index, out.shape));
  return success();
}

template <typename T>
LogicalResult GraphEvaluator<T>::reduce(graph::ReduceOp reduce) {
  graph::ReductionKind kind = reduce.getKind();
  SmallVector<int64_t> kept;
  for (int64_t d = 0; d < in(0).rank(); ++d)
    if (!llvm::is_contained(reduce.getDims(), d))
      kept.push_back(d);
  for (auto [i, d] : llvm::enumerate(kept))
    if (failed(expect(in(0).shape[d] == outBox(0).extents[i],
                      "kept extents that agree with the result's")))
      return failure();
  Tensor &out = addResult(0);
  double infinity = std::numeric_limits<double>::infinity();
  int64_t least =
      out.kind == ElementKind::I64   ? std::numeric_limits<int64_t>::min()
      : out.kind == ElementKind::I32 ? std::numeric_limits<int32_t>::min()
                                     : 0;
  int64_t most =
      out.kind == ElementKind::I64   ? std::numeric_limits<int64_t>::max()
      : out.kind == ElementKind::I32 ? std::numeric_limits<int32_t>::max()
                                     : 1;
  if (kind == graph::ReductionKind::Prod) {
    std::fill(out.floats.begin(), out.floats.end(), 1.0);
    std::fill(out.ints.begin(), out.ints.end(), 1);
  } else if (kind != graph::ReductionKind::Sum) {
    bool isMax = kind == graph::ReductionKind::Max;
    std::fill(out.floats.begin(), out.floats.end(),
              isMax ? -infinity : infinity);
    std::fill(out.ints.begin(), out.ints.end(), isMax ? least : most);
  }
  if (in(0).size() == 0)
    return success();
  Shape strides = rowMajorStrides(out.shape), index(in(0).rank(), 0);
  int64_t at = 0;
  do {
    int64_t to = 0;
    for (auto [i, d] : llvm::enumerate(kept))
      to += index[d] * strides[i];
    if (out.isFloat()) {
      T a = static_cast<T>(out.floats[to]),
        b = static_cast<T>(in(0).floats[at]);
      out.floats[to] = kind == graph::ReductionKind::Sum    ? a + b
                       : kind == graph::ReductionKind::Prod ? a * b
                       : kind == graph::ReductionKind::Max  ? maximum(a, b)
                                                            : minimum(a, b);
    } else {
      int64_t a = out.ints[to], b = in(0).ints[at];
      out.ints[to] =
          kind == graph::ReductionKind::Sum ? wrapInteger(out.kind, a + b)
          : kind == graph::ReductionKind::Prod
              ? wrapInteger(out.kind, int64_t(uint64_t(a) * uint64_t(b)))
          : kind == graph::ReductionKind::Max ? std::max(a, b)
                                              : std::min(a, b);
    }
    ++at;
  } while (nextIndex(index, in(0).shape));
  return success();
}

template <typename T> LogicalResult GraphEvaluator<T>::reshape() {
  if (failed(expect(in(0).size() == elementsOf(outBox(0).extents),
                    "as many elements in the result as in the operand")))
    return failure();
  Tensor &out = addResult(0);
  out.floats = in(0).floats;
  out.ints = in(0).ints;
  return success();
}

template <typename T>
LogicalResult GraphEvaluator<T>::transpose(ArrayRef<int64_t> permutation) {
  for (auto [i, d] : llvm::enumerate(permutation))
    if (failed(expect(in(0).shape[d] == outBox(0).extents[i],
                      "permuted extents that agree with the result's")))
      return failure();
  Tensor &out = addResult(0);
  if (out.size() == 0)
    return success();
  Shape strides = rowMajorStrides(in(0).shape), index(out.rank(), 0);
  int64_t at = 0;
  do {
    int64_t from = 0;
    for (auto [i, d] : llvm::enumerate(permutation))
      from += index[i] * strides[d];
    out.set(at++, in(0), from);
  } while (nextIndex(index, out.shape));
  return success();
}

template <typename T>
LogicalResult GraphEvaluator<T>::slice(ArrayRef<int64_t> offsets) {
  // A split dimension can only be kept whole: a part of it would lie on some
  // ranks and not on others.
  for (int64_t d = 0; d < in(0).rank(); ++d) {
    bool split = !inBox(0).axes[d].empty() || !outBox(0).axes[d].empty();
    if (split &&
        (offsets[d] != 0 || inBox(0).logical[d] != outBox(0).logical[d] ||
         inBox(0).axes[d] != outBox(0).axes[d]))
      return op->emitError()
             << "expects a split dimension to be kept whole, got "
                "a slice of dimension "
             << d;
    if (failed(expect(offsets[d] + outBox(0).extents[d] <= in(0).shape[d],
                      "a slice within the operand")))
      return failure();
  }
  Tensor &out = addResult(0);
  if (out.size() == 0)
    return success();
  Shape strides = rowMajorStrides(in(0).shape), index(out.rank(), 0);
  int64_t at = 0;
  do {
    int64_t from = 0;
    for (unsigned d = 0; d < out.rank(); ++d)
      from += (offsets[d] + index[d]) * strides[d];
    out.set(at++, in(0), from);
  } while (nextIndex(index, out.shape));
  return success();
}

template <typename T> LogicalResult GraphEvaluator<T>::concat(int64_t dim) {
  int64_t total = 0;
  for (unsigned i = 0; i < inputs.operands.size(); ++i) {
    if (inputs.operands.size() > 1 && !inBox(i).axes[dim].empty())
      return op->emitError()
             << "expects operands that are whole in dimension " << dim;
    total += in(i).shape[dim];
    for (int64_t d = 0; d < in(i).rank(); ++d)
      if (failed(expect(d == dim || in(i).shape[d] == outBox(0).extents[d],
                        "operand extents that agree with the result's")))
        return failure();
  }
  if (failed(expect(total == outBox(0).extents[dim],
                    "operands that fill the result")))
    return failure();
  Tensor &out = addResult(0);
  Shape strides = rowMajorStrides(out.shape);
  int64_t start = 0;
  for (const Tensor *operand : inputs.operands) {
    if (operand->size() == 0)
      continue;
    Shape index(operand->rank(), 0);
    int64_t from = 0;
    do {
      int64_t to = start * strides[dim];
      for (unsigned d = 0; d < operand->rank(); ++d)
        to += index[d] * strides[d];
      out.set(to, *operand, from++);
    } while (nextIndex(index, operand->shape));
    start += operand->shape[dim];
  }
  return success();
}

template <typename T>
LogicalResult GraphEvaluator<T>::matmul(graph::MatmulOp matmul) {
  auto freeDims = [](unsigned rank, ArrayRef<int64_t> batch,
                     ArrayRef<int64_t> contract) {
    SmallVector<int64_t> dims;
    for (int64_t d = 0; d < rank; ++d)
      if (!llvm::is_contained(batch, d) && !llvm::is_contained(contract, d))
        dims.push_back(d);
    return dims;
  };
  ArrayRef<int64_t> lhsBatch = matmul.getLhsBatch(),
                    rhsBatch = matmul.getRhsBatch();
  ArrayRef<int64_t> lhsContract = matmul.getLhsContract(),
                    rhsContract = matmul.getRhsContract();
  SmallVector<int64_t> lhsFree = freeDims(in(0).rank(), lhsBatch, lhsContract);
  SmallVector<int64_t> rhsFree = freeDims(in(1).rank(), rhsBatch, rhsContract);

  auto extent = [](const Tensor &tensor, ArrayRef<int64_t> dims) {
    int64_t count = 1;
    for (int64_t d : dims)
      count *= tensor.shape[d];
    return count;
  };
  Shape expected;
  for (auto [l, r] : llvm::zip(lhsBatch, rhsBatch)) {
    if (failed(expect(in(0).shape[l] == in(1).shape[r],
                      "batch extents that agree")))
      return failure();
    expected.push_back(in(0).shape[l]);
  }
  for (auto [l, r] : llvm::zip(lhsContract, rhsContract))
    if (failed(expect(in(0).shape[l] == in(1).shape[r] &&
                          inBox(0).offsets[l] == inBox(1).offsets[r],
                      "contracted dimensions split alike")))
      return failure();
  for (int64_t d : lhsFree)
    expected.push_back(in(0).shape[d]);
  for (int64_t d : rhsFree)
    expected.push_back(in(1).shape[d]);
  if (failed(expect(expected == outBox(0).extents,
                    "a result of the batch and free extents")))
    return failure();
  Tensor &out = addResult(0);
  if (!out.isFloat())
    return op->emitError("expects float operands");

  SmallVector<int64_t> lhsOrder(lhsBatch.begin(), lhsBatch.end());
  lhsOrder.append(lhsFree.begin(), lhsFree.end());
  lhsOrder.append(lhsContract.begin(), lhsContract.end());
  SmallVector<int64_t> rhsOrder(rhsBatch.begin(), rhsBatch.end());
  rhsOrder.append(rhsContract.begin(), rhsContract.end());
  rhsOrder.append(rhsFree.begin(), rhsFree.end());
  std::vector<T> a = permuted<T>(in(0), lhsOrder),
                 b = permuted<T>(in(1), rhsOrder);
  int64_t batches = extent(in(0), lhsBatch), m = extent(in(0), lhsFree),
          n = extent(in(1), rhsFree), k = extent(in(0), lhsContract);
  std::vector<T> row(n);
  for (int64_t batch = 0; batch < batches; ++batch)
    for (int64_t i = 0; i < m; ++i) {
      std::fill(row.begin(), row.end(), T(0));
      for (int64_t c = 0; c < k; ++c) {
        T factor = a[(batch * m + i) * k + c];
        const T *other = b.data() + (batch * k + c) * n;
        for (int64_t j = 0; j < n; ++j)
          row[j] += factor * other[j];
      }
      for (int64_t j = 0; j < n; ++j)
        out.floats[(batch * m + i) * n + j] = row[j];
    }
  return success();
}

template <typename T> LogicalResult GraphEvaluator<T>::embedding() {
  const Tensor &table = in(0), &indices = in(1);
  int64_t rows = table.shape[0];
  int64_t width = elementsOf(ArrayRef<int64_t>(table.shape).drop_front());
  Shape expected(indices.shape.begin(), indices.shape.end());
  expected.append(table.shape.begin() + 1, table.shape.end());
  if (failed(expect(expected == outBox(0).extents,
                    "a result of the index and the row extents")))
    return failure();
  Tensor &out = addResult(0);
  // A row that another rank holds counts as zero, so that lookups in a
  // row-split table are partial sums; so does a row that does not exist.
  for (size_t i = 0; i < indices.ints.size(); ++i) {
    int64_t row = indices.ints[i] - inBox(0).offsets[0];
    if (row >= 0 && row < rows)
      for (int64_t j = 0; j < width; ++j)
        out.set(i * width + j, table, row * width + j);
  }
  return success();
}

template <typename T> LogicalResult GraphEvaluator<T>::embeddingGrad() {
  const Tensor &indices = in(0), &updates = in(1);
  ArrayRef<int64_t> rowShape =
      ArrayRef<int64_t>(outBox(0).extents).drop_front();
  int64_t rows = outBox(0).extents[0], width = elementsOf(rowShape);
  Shape expected(indices.shape.begin(), indices.shape.end());
  expected.append(rowShape.begin(), rowShape.end());
  if (failed(expect(expected == updates.shape,
                    "updates of the index and the row extents")))
    return failure();
  Tensor &out = addResult(0);
  for (size_t i = 0; i < indices.ints.size(); ++i) {
    int64_t row = indices.ints[i] - outBox(0).offsets[0];
    if (row >= 0 && row < rows)
      for (int64_t j = 0; j < width; ++j) {
        double &sum = out.floats[row * width + j];
        sum =
            static_cast<T>(sum) + static_cast<T>(updates.floats[i * width + j]);
      }
  }
  return success();
}

template <typename T> LogicalResult GraphEvaluator<T>::layerNorm(T epsilon) {
  int64_t width = in(0).shape.back();
  if (failed(expect(inBox(0).axes.back().empty(), "a whole last dimension")) ||
      failed(expect(in(1).size() == width && in(2).size() == width,
                    "scale and bias of the last dimension")))
    return failure();
  // References into `results` stay valid only if it does not grow any more.
  results.reserve(3);
  Tensor &out = addResult(0), &mean = addResult(1), &rstd = addResult(2);
  for (int64_t r = 0, rows = mean.size(); r < rows; ++r) {
    const double *x = in(0).floats.data() + r * width;
    T sum = 0;
    for (int64_t j = 0; j < width; ++j)
      sum += static_cast<T>(x[j]);
    T average = sum / static_cast<T>(width);
    T squares = 0;
    for (int64_t j = 0; j < width; ++j) {
      T difference = static_cast<T>(x[j]) - average;
      squares += difference * difference;
    }
    T factor = T(1) / std::sqrt(squares / static_cast<T>(width) + epsilon);
    mean.floats[r] = average;
    rstd.floats[r] = factor;
    for (int64_t j = 0; j < width; ++j)
      out.floats[r * width + j] = (static_cast<T>(x[j]) - average) * factor *
                                      static_cast<T>(in(1).floats[j]) +
                                  static_cast<T>(in(2).floats[j]);
  }
  return success();
}

template <typename T> LogicalResult GraphEvaluator<T>::rmsNorm(T epsilon) {
  int64_t width = in(0).shape.back();
  if (failed(expect(inBox(0).axes.back().empty(), "a whole last dimension")) ||
      failed(expect(in(1).size() == width, "scale of the last dimension")))
    return failure();
  results.reserve(2);
  Tensor &out = addResult(0), &rstd = addResult(1);
  for (int64_t r = 0, rows = rstd.size(); r < rows; ++r) {
    const double *x = in(0).floats.data() + r * width;
    T squares = 0;
    for (int64_t j = 0; j < width; ++j)
      squares += static_cast<T>(x[j]) * static_cast<T>(x[j]);
    T factor = T(1) / std::sqrt(squares / static_cast<T>(width) + epsilon);
    rstd.floats[r] = factor;
    for (int64_t j = 0; j < width; ++j)
      out.floats[r * width + j] =
          static_cast<T>(x[j]) * factor * static_cast<T>(in(1).floats[j]);
  }
  return success();
}

template <typename T> LogicalResult GraphEvaluator<T>::softmax() {
  int64_t width = in(0).shape.back();
  if (failed(expect(inBox(0).axes.back().empty(), "a whole last dimension")))
    return failure();
  Tensor &out = addResult(0);
  for (int64_t r = 0, rows = width ? out.size() / width : 0; r < rows; ++r) {
    const double *x = in(0).floats.data() + r * width;
    T largest = -std::numeric_limits<T>::infinity();
    for (int64_t j = 0; j < width; ++j)
      largest = maximum(largest, static_cast<T>(x[j]));
    T sum = 0;
    for (int64_t j = 0; j < width; ++j) {
      T power = std::exp(static_cast<T>(x[j]) - largest);
      out.floats[r * width + j] = power;
      sum += power;
    }
    for (int64_t j = 0; j < width; ++j)
      out.floats[r * width + j] =
          static_cast<T>(out.floats[r * width + j]) / sum;
  }
  return success();
}

template <typename T> LogicalResult GraphEvaluator<T>::rope(int64_t seqDim) {
  const Tensor &x = in(0), &cosines = in(1), &sines = in(2);
  int64_t width = x.shape.back(), half = width / 2;
  if (failed(expect(inBox(0).axes.back().empty(), "a whole last dimension")) ||
      failed(expect(cosines.shape[0] == x.shape[seqDim] &&
                        cosines.shape[1] == half &&
                        sines.shape == cosines.shape,
                    "`cos` and `sin` of the sequence by half the width")) ||
      failed(expect(inBox(1).offsets[0] == inBox(0).offsets[seqDim] &&
                        inBox(2).offsets[0] == inBox(0).offsets[seqDim],
                    "`cos` and `sin` split as the sequence is")))
    return failure();
  Tensor &out = addResult(0);
  if (out.size() == 0)
    return success();
  ArrayRef<int64_t> outer = ArrayRef<int64_t>(x.shape).drop_back();
  Shape index(outer.size(), 0);
  int64_t base = 0;
  do {
    int64_t t = index[seqDim];
    for (int64_t j = 0; j < half; ++j) {
      T x0 = static_cast<T>(x.floats[base + j]);
      T x1 = static_cast<T>(x.floats[base + half + j]);
      T c = static_cast<T>(cosines.floats[t * half + j]);
      T s = static_cast<T>(sines.floats[t * half + j]);
      out.floats[base + j] = x0 * c - x1 * s;
      out.floats[base + half + j] = x1 * c + x0 * s;
    }
    base += width;
  } while (nextIndex(index, outer));
  return success();
}

/// Sizes of attention: query [B,T,G,R,D], key [B,S,G,D], value [B,S,G,E].
struct AttentionSizes {
  int64_t b, t, g, r, d, s, e;
  explicit AttentionSizes(const Tensor &query, const Tensor &key,
                          const Tensor &value)
      : b(query.shape[0]), t(query.shape[1]), g(query.shape[2]),
        r(query.shape[3]), d(query.shape[4]), s(key.shape[1]),
        e(value.shape[3]) {}
  bool fit(const Tensor &query, const Tensor &key, const Tensor &value) const {
    return Shape(key.shape) == Shape({b, s, g, d}) &&
           Shape(value.shape) == Shape({b, s, g, e});
  }
  int64_t query(int64_t ib, int64_t it, int64_t ig, int64_t ir) const {
    return (((ib * t + it) * g + ig) * r + ir) * d;
  }
  int64_t output(int64_t ib, int64_t it, int64_t ig, int64_t ir) const {
    return (((ib * t + it) * g + ig) * r + ir) * e;
  }
  int64_t key(int64_t ib, int64_t is, int64_t ig) const {
    return ((ib * s + is) * g + ig) * d;
  }
  int64_t value(int64_t ib, int64_t is, int64_t ig) const {
    return ((ib * s + is) * g + ig) * e;
  }
  int64_t lse(int64_t ib, int64_t ig, int64_t ir, int64_t it) const {
    return ((ib * g + ig) * r + ir) * t + it;
  }
};

template <typename T> T dot(const double *a, const double *b, int64_t count) {
  T sum = 0;
  for (int64_t i = 0; i < count; ++i)
    sum += static_cast<T>(a[i]) * static_cast<T>(b[i]);
  return sum;
}

/// Whether query row `t` sees key `s` of this rank: by the positions given from
/// operand `first` on, else by their places in the whole sequences.
template <typename T>
std::function<bool(int64_t, int64_t)>
GraphEvaluator<T>::visibility(bool causal, unsigned first) {
  if (!causal)
    return [](int64_t, int64_t) { return true; };
  if (inputs.operands.size() > first) {
    const Tensor &queries = in(first), &keys = in(first + 1);
    return [&queries, &keys](int64_t t, int64_t s) {
      return keys.ints[s] <= queries.ints[t];
    };
  }
  int64_t offset = inBox(0).offsets[1] - inBox(1).offsets[1];
  return [offset](int64_t t, int64_t s) { return s <= t + offset; };
}

template <typename T>
LogicalResult GraphEvaluator<T>::attention(T scale, bool causal) {
  const Tensor &query = in(0), &key = in(1), &value = in(2);
  AttentionSizes n(query, key, value);
  if (failed(expect(n.fit(query, key, value),
                    "key and value that fit the query")) ||
      failed(expect(inBox(1).offsets[1] == inBox(2).offsets[1],
                    "key and value of one part of the sequence")) ||
      failed(expect(outBox(0).extents == Shape({n.b, n.t, n.g, n.r, n.e}) &&
                        outBox(1).extents == Shape({n.b, n.g, n.r, n.t}),
                    "results that fit the query")))
    return failure();
  results.reserve(2);
  Tensor &out = addResult(0), &lse = addResult(1);
  std::vector<T> scores(n.s), sums(n.e);
  auto sees = visibility(causal, 3);
  for (int64_t b = 0; b < n.b; ++b)
    for (int64_t g = 0; g < n.g; ++g)
      for (int64_t r = 0; r < n.r; ++r)
        for (int64_t t = 0; t < n.t; ++t) {
          T largest = -std::numeric_limits<T>::infinity();
          for (int64_t s = 0; s < n.s; ++s) {
            if (!sees(t, s))
              continue;
            scores[s] =
                scale * dot<T>(query.floats.data() + n.query(b, t, g, r),
                               key.floats.data() + n.key(b, s, g), n.d);
            largest = maximum(largest, scores[s]);
          }
          T total = 0;
          std::fill(sums.begin(), sums.end(), T(0));
          for (int64_t s = 0; s < n.s; ++s) {
            if (!sees(t, s))
              continue;
            T power = std::exp(scores[s] - largest);
            total += power;
            const double *v = value.floats.data() + n.value(b, s, g);
            for (int64_t e = 0; e < n.e; ++e)
              sums[e] += power * static_cast<T>(v[e]);
          }
          for (int64_t e = 0; e < n.e; ++e)
            out.floats[n.output(b, t, g, r) + e] =
                total > 0 ? sums[e] / total : T(0);
          lse.floats[n.lse(b, g, r, t)] = largest + std::log(total);
        }
  return success();
}

template <typename T>
LogicalResult GraphEvaluator<T>::attentionGrad(T scale, bool causal) {
  const Tensor &query = in(0), &key = in(1), &value = in(2), &output = in(3),
               &lse = in(4), &outputGradient = in(5);
  AttentionSizes n(query, key, value);
  if (failed(expect(n.fit(query, key, value),
                    "key and value that fit the query")) ||
      failed(expect(inBox(1).offsets[1] == inBox(2).offsets[1],
                    "key and value of one part of the sequence")) ||
      failed(
          expect(output.shape == outputGradient.shape &&
                     Shape(output.shape) == Shape({n.b, n.t, n.g, n.r, n.e}) &&
                     Shape(lse.shape) == Shape({n.b, n.g, n.r, n.t}),
                 "output, its gradient and `lse` that fit the query")))
    return failure();
  results.reserve(3);
  Tensor &dQuery = addResult(0), &dKey = addResult(1), &dValue = addResult(2);
  auto accumulate = [](double &sum, T term) {
    sum = static_cast<T>(sum) + term;
  };
  auto sees = visibility(causal, 6);
  for (int64_t b = 0; b < n.b; ++b)
    for (int64_t g = 0; g < n.g; ++g)
      for (int64_t r = 0; r < n.r; ++r)
        for (int64_t t = 0; t < n.t; ++t) {
          const double *q = query.floats.data() + n.query(b, t, g, r);
          const double *dO =
              outputGradient.floats.data() + n.output(b, t, g, r);
          T rowSum =
              dot<T>(dO, output.floats.data() + n.output(b, t, g, r), n.e);
          T logSum = static_cast<T>(lse.floats[n.lse(b, g, r, t)]);
          for (int64_t s = 0; s < n.s; ++s) {
            if (!sees(t, s))
              continue;
            const double *k = key.floats.data() + n.key(b, s, g);
            const double *v = value.floats.data() + n.value(b, s, g);
            T p = std::exp(scale * dot<T>(q, k, n.d) - logSum);
            T dS = p * (dot<T>(dO, v, n.e) - rowSum) * scale;
            for (int64_t e = 0; e < n.e; ++e)
              accumulate(dValue.floats[n.value(b, s, g) + e],
                         p * static_cast<T>(dO[e]));
            for (int64_t d = 0; d < n.d; ++d) {
              accumulate(dQuery.floats[n.query(b, t, g, r) + d],
                         dS * static_cast<T>(k[d]));
              accumulate(dKey.floats[n.key(b, s, g) + d],
                         dS * static_cast<T>(q[d]));
            }
          }
        }
  return success();
}

template <typename T>
LogicalResult GraphEvaluator<T>::dropout(graph::DropoutOp dropout) {
  const Tensor &x = in(0);
  uint32_t seed = static_cast<uint32_t>(in(1).ints[0]);
  uint32_t step = static_cast<uint32_t>(in(2).ints[0]);
  // uniform01 is exact in f32, hence in f64, where the rate is not rounded.
  double rate = dropout.getRate().convertToDouble();
  T factor =
      T(1) / (T(1) - static_cast<T>(dropout.getRate().convertToDouble()));
  uint32_t key = siteKey(dropout.getSite().str());
  Tensor &out = addResult(0);
  if (out.size() == 0)
    return success();
  Shape strides = rowMajorStrides(inBox(0).logical), index(x.rank(), 0);
  int64_t at = 0;
  do {
    uint64_t logical = 0;
    for (unsigned d = 0; d < x.rank(); ++d)
      logical += (inBox(0).offsets[d] + index[d]) * strides[d];
    bool keep = uniform01(randomWord(key, seed, step, logical)) >= rate;
    out.floats[at] = keep ? static_cast<T>(x.floats[at]) * factor : T(0);
    ++at;
  } while (nextIndex(index, x.shape));
  return success();
}

template <typename T>
LogicalResult GraphEvaluator<T>::crossEntropy(int64_t ignore) {
  const Tensor &logits = in(0), &labels = in(1);
  int64_t classes = logits.shape.back();
  if (failed(expect(inBox(0).axes.back().empty(), "whole classes")) ||
      failed(expect(labels.size() * classes == logits.size(),
                    "a label for each position")))
    return failure();
  results.reserve(2);
  Tensor &loss = addResult(0), &lse = addResult(1);
  for (int64_t i = 0, e = labels.size(); i < e; ++i) {
    const double *x = logits.floats.data() + i * classes;
    T largest = -std::numeric_limits<T>::infinity();
    for (int64_t v = 0; v < classes; ++v)
      largest = maximum(largest, static_cast<T>(x[v]));
    T sum = 0;
    for (int64_t v = 0; v < classes; ++v)
      sum += std::exp(static_cast<T>(x[v]) - largest);
    T logSum = largest + std::log(sum);
    lse.floats[i] = logSum;
    int64_t label = labels.ints[i];
    if (label == ignore)
      continue;
    if (label < 0 || label >= classes)
      return op->emitError() << "expects labels from 0 to " << classes - 1
                             << " or " << ignore << ", got " << label;
    loss.floats[i] = logSum - static_cast<T>(x[label]);
  }
  return success();
}

template <typename T>
LogicalResult GraphEvaluator<T>::crossEntropyGrad(int64_t ignore) {
  const Tensor &logits = in(0), &labels = in(1), &lse = in(2), &dLoss = in(3);
  int64_t classes = logits.shape.back(), first = inBox(0).offsets.back();
  if (failed(expect(labels.size() * classes == logits.size() &&
                        lse.shape == labels.shape &&
                        dLoss.shape == labels.shape,
                    "a label, `lse` and gradient for each position")))
    return failure();
  Tensor &out = addResult(0);
  for (int64_t i = 0, e = labels.size(); i < e; ++i) {
    if (labels.ints[i] == ignore)
      continue;
    T logSum = static_cast<T>(lse.floats[i]),
      gradient = static_cast<T>(dLoss.floats[i]);
    for (int64_t v = 0; v < classes; ++v) {
      T p = std::exp(static_cast<T>(logits.floats[i * classes + v]) - logSum);
      T target = first + v == labels.ints[i] ? T(1) : T(0);
      out.floats[i * classes + v] = (p - target) * gradient;
    }
  }
  return success();
}

template <typename T> LogicalResult GraphEvaluator<T>::adamw() {
  for (unsigned i = 1; i < 4; ++i)
    if (failed(expect(in(i).shape == in(0).shape,
                      "moments and gradient of the parameter's shape")))
      return failure();
  results.reserve(3);
  Tensor &parameter = addResult(0), &first = addResult(1),
         &second = addResult(2);
  T scale = number(4), rate = number(5), beta1 = number(6), beta2 = number(7),
    epsilon = number(8), decay = number(9), correction1 = number(10),
    correction2 = number(11);
  if (!in(12).ints[0]) {
    parameter.floats = in(0).floats;
    first.floats = in(1).floats;
    second.floats = in(2).floats;
    return success();
  }
  for (size_t i = 0; i < parameter.floats.size(); ++i) {
    T g = scale * static_cast<T>(in(3).floats[i]);
    T decayed = static_cast<T>(in(0).floats[i]) * (T(1) - rate * decay);
    T m = beta1 * static_cast<T>(in(1).floats[i]) + (T(1) - beta1) * g;
    T v = beta2 * static_cast<T>(in(2).floats[i]) + (T(1) - beta2) * (g * g);
    T denominator = std::sqrt(v) / std::sqrt(correction2) + epsilon;
    parameter.floats[i] = decayed - (rate / correction1) * (m / denominator);
    first.floats[i] = m;
    second.floats[i] = v;
  }
  return success();
}

template <typename T> LogicalResult GraphEvaluator<T>::sgd() {
  for (unsigned i = 1; i < 3; ++i)
    if (failed(expect(in(i).shape == in(0).shape,
                      "momentum and gradient of the parameter's shape")))
      return failure();
  results.reserve(2);
  Tensor &parameter = addResult(0), &buffer = addResult(1);
  T scale = number(3), rate = number(4), momentum = number(5),
    decay = number(6);
  if (!in(7).ints[0]) {
    parameter.floats = in(0).floats;
    buffer.floats = in(1).floats;
    return success();
  }
  for (size_t i = 0; i < parameter.floats.size(); ++i) {
    T p = static_cast<T>(in(0).floats[i]);
    T g = scale * static_cast<T>(in(2).floats[i]) + decay * p;
    T b = momentum * static_cast<T>(in(1).floats[i]) + g;
    parameter.floats[i] = p - rate * b;
    buffer.floats[i] = b;
  }
  return success();
}

template <typename T> LogicalResult GraphEvaluator<T>::run() {
  auto noInts = [](int64_t, int64_t) { return int64_t(0); };
  auto value = [](const APFloat &attribute) {
    return static_cast<T>(attribute.convertToDouble());
  };
  return llvm::TypeSwitch<Operation *, LogicalResult>(op)
      .Case([&](graph::NegOp) {
        if (in(0).isFloat())
          return unary([](T x) { return -x; });
        Tensor &out = addResult(0);
        for (size_t i = 0; i < out.ints.size(); ++i)
          out.ints[i] =
              wrapInteger(out.kind, -static_cast<uint64_t>(in(0).ints[i]));
        return success();
      })
      .Case([&](graph::AbsOp) {
        if (in(0).isFloat())
          return unary([](T x) { return std::fabs(x); });
        Tensor &out = addResult(0);
        for (size_t i = 0; i < out.ints.size(); ++i)
          out.ints[i] =
              wrapInteger(out.kind, in(0).ints[i] < 0
                                        ? -static_cast<uint64_t>(in(0).ints[i])
                                        : in(0).ints[i]);
        return success();
      })
      .Case(
          [&](graph::ExpOp) { return unary([](T x) { return std::exp(x); }); })
      .Case(
          [&](graph::LogOp) { return unary([](T x) { return std::log(x); }); })
      .Case([&](graph::SqrtOp) {
        return unary([](T x) { return std::sqrt(x); });
      })
      .Case([&](graph::RsqrtOp) {
        return unary([](T x) { return T(1) / std::sqrt(x); });
      })
      .Case([&](graph::TanhOp) {
        return unary([](T x) { return std::tanh(x); });
      })
      .Case(
          [&](graph::ErfOp) { return unary([](T x) { return std::erf(x); }); })
      .Case(
          [&](graph::SinOp) { return unary([](T x) { return std::sin(x); }); })
      .Case(
          [&](graph::CosOp) { return unary([](T x) { return std::cos(x); }); })
      .Case([&](graph::SigmoidOp) {
        return unary([](T x) { return T(1) / (T(1) + std::exp(-x)); });
      })
      .Case([&](graph::ReluOp) {
        return unary([](T x) { return maximum(x, T(0)); });
      })
      .Case([&](graph::SiluOp) {
        return unary([](T x) { return x * (T(1) / (T(1) + std::exp(-x))); });
      })
      .Case([&](graph::GeluOp gelu) {
        switch (gelu.getKind()) {
        case graph::GeluKind::Erf:
          return unary([](T x) {
            return x / T(2) * (T(1) + std::erf(x / std::sqrt(T(2))));
          });
        case graph::GeluKind::Tanh:
          return unary([](T x) {
            const T root = std::sqrt(T(2) / T(3.14159265358979323846));
            return x / T(2) *
                   (T(1) + std::tanh(root * (x + T(0.044715) * (x * x * x))));
          });
        case graph::GeluKind::Quick:
          break;
        }
        return unary(
            [](T x) { return x * (T(1) / (T(1) + std::exp(T(-1.702) * x))); });
      })
      .Case([&](graph::AddOp) {
        return binary([](T a, T b) { return a + b; },
                      [](uint64_t a, uint64_t b) { return a + b; });
      })
      .Case([&](graph::SubOp) {
        return binary([](T a, T b) { return a - b; },
                      [](uint64_t a, uint64_t b) { return a - b; });
      })
      .Case([&](graph::MulOp) {
        return binary([](T a, T b) { return a * b; },
                      [](uint64_t a, uint64_t b) { return a * b; });
      })
      .Case([&](graph::DivOp) {
        if (!in(1).isFloat() && llvm::is_contained(in(1).ints, 0))
          return LogicalResult(
              op->emitError("expects no integer division by zero"));
        return binary([](T a, T b) { return a / b; },
                      [](int64_t a, int64_t b) {
                        return b == -1 ? static_cast<int64_t>(
                                             -static_cast<uint64_t>(a))
                                       : a / b;
                      });
      })
      .Case([&](graph::MaxOp) {
        return binary([](T a, T b) { return maximum(a, b); },
                      [](int64_t a, int64_t b) { return std::max(a, b); });
      })
      .Case([&](graph::MinOp) {
        return binary([](T a, T b) { return minimum(a, b); },
                      [](int64_t a, int64_t b) { return std::min(a, b); });
      })
      .Case([&](graph::PowOp) {
        if (!in(0).isFloat())
          return LogicalResult(op->emitError("expects float operands"));
        return binary([](T a, T b) { return std::pow(a, b); }, noInts);
      })
      .Case([&](graph::CompareOp o) { return compare(o); })
      .Case([&](graph::SelectOp) { return select(); })
      .Case([&](graph::CastOp) { return castTo(); })
      .Case([&](graph::ConstantOp o) {
        FailureOr<Tensor> tensor =
            constantTensor(op, o.getValue(), outBox(0), inputs.precision);
        if (failed(tensor))
          return LogicalResult(failure());
        results.push_back(std::move(*tensor));
        return success();
      })
      .Case([&](graph::IotaOp o) { return iota(o.getDim()); })
      .Case([&](graph::BroadcastOp o) { return broadcast(o.getDims()); })
      .Case([&](graph::ReduceOp o) { return reduce(o); })
      .Case([&](graph::ReshapeOp) { return reshape(); })
      .Case([&](graph::TransposeOp o) { return transpose(o.getPermutation()); })
      .Case([&](graph::SliceOp o) { return slice(o.getOffsets()); })
      .Case([&](graph::ConcatOp o) { return concat(o.getDim()); })
      .Case([&](graph::MatmulOp o) { return matmul(o); })
      .Case([&](graph::EmbeddingOp) { return embedding(); })
      .Case([&](graph::EmbeddingGradOp) { return embeddingGrad(); })
      .Case([&](graph::LayerNormOp o) {
        return layerNorm(value(o.getEpsilon()));
      })
      .Case([&](graph::RmsNormOp o) { return rmsNorm(value(o.getEpsilon())); })
      .Case([&](graph::SoftmaxOp) { return softmax(); })
      .Case([&](graph::RopeOp o) { return rope(o.getSeqDim()); })
      .Case([&](graph::AttentionOp o) {
        return attention(value(o.getScale()), o.getCausal());
      })
      .Case([&](graph::AttentionGradOp o) {
        return attentionGrad(value(o.getScale()), o.getCausal());
      })
      .Case([&](graph::DropoutOp o) { return dropout(o); })
      .Case([&](graph::CrossEntropyOp o) {
        return crossEntropy(o.getIgnoreIndex());
      })
      .Case([&](graph::CrossEntropyGradOp o) {
        return crossEntropyGrad(o.getIgnoreIndex());
      })
      .Case([&](graph::AdamWOp) { return adamw(); })
      .Case([&](graph::SgdOp) { return sgd(); })
      .Default(
          [&](Operation *) { return evaluateIndexedGraphOp(inputs, results); });
}

} // namespace

LogicalResult evaluateGraphOp(const OpInputs &inputs,
                              SmallVectorImpl<Tensor> &results) {
  if (inputs.precision == Precision::F32)
    return GraphEvaluator<float>(inputs, results).run();
  return GraphEvaluator<double>(inputs, results).run();
}

FailureOr<Tensor> constantTensor(Operation *op, Attribute value, const Box &box,
                                 Precision precision) {
  auto elements = dyn_cast<ElementsAttr>(value);
  if (!elements)
    return op->emitError("expects the elements of a constant, got ") << value;
  Type elementType = elements.getElementType();
  std::optional<ElementKind> kind = elementKindOf(elementType);
  if (!kind)
    return op->emitError("has no interpretation for the element type ")
           << elementType;

  std::vector<double> floats;
  std::vector<int64_t> ints;
  bool splat = elements.isSplat();
  auto append = [&](const auto &number) {
    using N = std::decay_t<decltype(number)>;
    if constexpr (std::is_same_v<N, APFloat>)
      floats.push_back(number.convertToDouble());
    else
      ints.push_back(wrapInteger(*kind, number.getSExtValue()));
  };
  if (auto dense = dyn_cast<DenseElementsAttr>(value)) {
    if (*kind == ElementKind::Float) {
      if (splat)
        append(dense.getSplatValue<APFloat>());
      else
        for (APFloat number : dense.getValues<APFloat>())
          append(number);
    } else if (splat) {
      append(dense.getSplatValue<APInt>());
    } else {
      for (APInt number : dense.getValues<APInt>())
        append(number);
    }
  } else if (auto resource = dyn_cast<DenseF32ResourceElementsAttr>(value)) {
    std::optional<ArrayRef<float>> elementsOfBlob = resource.tryGetAsArrayRef();
    if (!elementsOfBlob)
      return op->emitError("constant's resource is absent");
    floats.assign(elementsOfBlob->begin(), elementsOfBlob->end());
    splat = false;
  } else if (auto resource = dyn_cast<DenseI32ResourceElementsAttr>(value)) {
    std::optional<ArrayRef<int32_t>> elementsOfBlob =
        resource.tryGetAsArrayRef();
    if (!elementsOfBlob)
      return op->emitError("constant's resource is absent");
    ints.assign(elementsOfBlob->begin(), elementsOfBlob->end());
    splat = false;
  } else {
    return op->emitError("has no interpretation for this form of constant: ")
           << value.getAbstractAttribute().getName();
  }

  Tensor tensor = Tensor::zeros(*kind, box.extents);
  if (splat) {
    if (tensor.isFloat())
      std::fill(tensor.floats.begin(), tensor.floats.end(), floats[0]);
    else
      std::fill(tensor.ints.begin(), tensor.ints.end(), ints[0]);
  } else {
    if (cast<ShapedType>(elements.getType()).getShape() !=
        ArrayRef<int64_t>(box.logical))
      return op->emitError("expects a splat where the constant is a shard");
    if (tensor.size() != 0) {
      Shape strides = rowMajorStrides(box.logical), index(tensor.rank(), 0);
      int64_t at = 0;
      do {
        int64_t from = 0;
        for (unsigned d = 0; d < tensor.rank(); ++d)
          from += (box.offsets[d] + index[d]) * strides[d];
        if (tensor.isFloat())
          tensor.floats[at++] = floats[from];
        else
          tensor.ints[at++] = ints[from];
      } while (nextIndex(index, tensor.shape));
    }
  }
  roundTo(precision, tensor);
  return tensor;
}

} // namespace weir::compiler
