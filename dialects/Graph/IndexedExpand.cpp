// SPDX-License-Identifier: Apache-2.0
// Expansions of ops that read by index: padding, scans, order, windows.
#include "dialects/Graph/ExpandPieces.h"

#include <limits>

using namespace mlir;
using namespace weir;
using namespace weir::graph;
using namespace weir::graph::expansion;
using kernel::Combiner;

//===----------------------------------------------------------------------===//
// Padding
//===----------------------------------------------------------------------===//

SmallVector<Value> PadOp::expand(OpBuilder &builder, ValueRange operands) {
  Pieces p(getOperation(), builder);
  RankedTensorType output = typeOf(getOutput());
  Type element = output.getElementType();
  double value = getValue().convertToDouble();
  Value padded = operands[0];
  SmallVector<Dim> dims = dimsOf(padded.getType());
  // One dim after the other: constants before and behind.
  for (auto [dim, low] : llvm::enumerate(getLow())) {
    int64_t high = output.getDimSize(dim) - low - dims[dim].capacity;
    if (low == 0 && high == 0)
      continue;
    auto constant = [&](int64_t count) -> Value {
      SmallVector<Dim> part = dims;
      part[dim] = Dim::whole(count);
      TypedAttr scalar = isa<FloatType>(element)
                             ? TypedAttr(builder.getFloatAttr(element, value))
                             : TypedAttr(builder.getIntegerAttr(
                                   element, static_cast<int64_t>(value)));
      auto elements = DenseElementsAttr::get(tensorOf(element, part), scalar);
      return kernel::ConstantOp::create(builder, getLoc(), elements.getType(),
                                        elements);
    };
    SmallVector<Value> parts;
    if (low > 0)
      parts.push_back(constant(low));
    parts.push_back(padded);
    if (high > 0)
      parts.push_back(constant(high));
    dims[dim] = dimOf(getOutput(), dim);
    padded = kernel::ConcatOp::create(builder, getLoc(),
                                      tensorOf(element, dims), parts, dim);
  }
  if (padded == operands[0])
    padded = p.elementwise(padded, output,
                           [](Body &, ValueRange a) { return a[0]; });
  return {padded};
}

//===----------------------------------------------------------------------===//
// Scans and order
//===----------------------------------------------------------------------===//

SmallVector<Value> CumsumOp::expand(OpBuilder &builder, ValueRange operands) {
  return {kernel::ScanOp::create(builder, getLoc(), getOutput().getType(),
                                 Combiner::Sum, operands[0], getDim(),
                                 getReverse(), getExclusive())};
}

SmallVector<Value> CumprodOp::expand(OpBuilder &builder, ValueRange operands) {
  return {kernel::ScanOp::create(builder, getLoc(), getOutput().getType(),
                                 Combiner::Prod, operands[0], getDim(),
                                 getReverse(), getExclusive())};
}

SmallVector<Value> SortOp::expand(OpBuilder &builder, ValueRange operands) {
  auto sort = kernel::SortOp::create(builder, getLoc(), getValues().getType(),
                                     getIndices().getType(), operands[0],
                                     getDim(), getDescending());
  return {sort.getValues(), sort.getIndices()};
}

SmallVector<Value> TopKOp::expand(OpBuilder &builder, ValueRange operands) {
  SmallVector<Dim> dims = dimsOf(operands[0].getType());
  auto typeLike = [&](Value result) {
    return tensorOf(typeOf(result).getElementType(), dims);
  };
  auto sort = kernel::SortOp::create(builder, getLoc(), typeLike(getValues()),
                                     typeLike(getIndices()), operands[0],
                                     getDim(), /*descending=*/true);
  SmallVector<int64_t> offsets(dims.size(), 0);
  SmallVector<Value> results;
  for (auto [all, result] : llvm::zip_equal(sort->getResults(), getResults()))
    results.push_back(kernel::SliceOp::create(builder, getLoc(),
                                              result.getType(), all, offsets));
  return results;
}

//===----------------------------------------------------------------------===//
// Elements by index
//===----------------------------------------------------------------------===//

SmallVector<Value> TakeOp::expand(OpBuilder &builder, ValueRange operands) {
  Type type = getOutput().getType();
  if (getDim() == 0)
    return {kernel::GatherOp::create(builder, getLoc(), type, operands[0],
                                     operands[1])};
  return {kernel::TakeOp::create(builder, getLoc(), type, operands[0],
                                 operands[1], getDim(), /*along=*/false)};
}

SmallVector<Value> TakeAlongOp::expand(OpBuilder &builder,
                                       ValueRange operands) {
  return {kernel::TakeOp::create(builder, getLoc(), getOutput().getType(),
                                 operands[0], operands[1], getDim(),
                                 /*along=*/true)};
}

SmallVector<Value> ScatterAddOp::expand(OpBuilder &builder,
                                        ValueRange operands) {
  Type type = getOutput().getType();
  if (getDim() == 0 && !getAlong())
    return {kernel::ScatterAddOp::create(builder, getLoc(), type, operands[0],
                                         operands[1])};
  return {kernel::PutAddOp::create(builder, getLoc(), type, operands[0],
                                   operands[1], getDim(), getAlong())};
}

//===----------------------------------------------------------------------===//
// Windows
//===----------------------------------------------------------------------===//

namespace {

/// How one dimension is cut into windows: place `k` of window `o` is element
/// `o stride + k dilation - low`.
struct Cut {
  Dim windows, places;
  int64_t size; // logical, of the dimension
  int64_t stride, dilation, low;

  int64_t reach() const {
    return (windows.shard.size - 1) * stride +
           (places.shard.size - 1) * dilation - low;
  }
  /// Whether some place is outside.
  bool overlaps() const { return low > 0 || reach() >= size; }
  /// Whether the dimension is its windows one after the other.
  bool tiles() const {
    return low == 0 && dilation == 1 && stride == places.shard.size &&
           windows.shard.size * stride == size && places.shard.axes.empty();
  }
  /// Whether windows are single elements, each once.
  bool isTrivial() const { return places.shard.size == 1 && tiles(); }

  /// The element's number in the dimension, in a body.
  Value position(Body &b, unsigned window, unsigned place) const {
    Value start = b.mul(b.index(window), static_cast<double>(stride));
    Value step = b.mul(b.index(place), static_cast<double>(dilation));
    return b.add(b.add(start, step), static_cast<double>(-low));
  }
};

/// The numbers of the elements in each window, `[O, K]`. Those outside read
/// zero.
Value windowIndices(Pieces &p, const Cut &cut) {
  Type type = tensorOf(p.builder.getI64Type(), {cut.windows, cut.places});
  return p.map1({}, {p.identity(2)}, type,
                [&](Body &b, ValueRange) { return cut.position(b, 0, 1); });
}

/// `value` with its dim `dim` as `[O, K]`, 0 outside.
Value cutDim(Pieces &p, Value value, unsigned dim, const Cut &cut) {
  SmallVector<Dim> dims = dimsOf(value.getType());
  dims[dim] = cut.windows;
  dims.insert(dims.begin() + dim + 1, cut.places);
  Type type = tensorOf(typeOf(value).getElementType(), dims);
  if (cut.tiles())
    return kernel::ReshapeOp::create(p.builder, p.loc, type, value);
  return kernel::TakeOp::create(p.builder, p.loc, type, value,
                                windowIndices(p, cut), dim, /*along=*/false);
}

/// `windows` with `value` where a place is outside; `dims` are the dims of the
/// windows of each cut.
Value fillOutside(Pieces &p, Value windows, ArrayRef<Cut> cuts,
                  ArrayRef<unsigned> dims, double value) {
  if (llvm::none_of(cuts, [](const Cut &cut) { return cut.overlaps(); }))
    return windows;
  return p.elementwise(
      windows, windows.getType(), [&](Body &b, ValueRange a) -> Value {
        Value result = a[0];
        for (auto [cut, dim] : llvm::zip_equal(cuts, dims)) {
          if (!cut.overlaps())
            continue;
          Value at = cut.position(b, dim, dim + 1);
          // Unsigned: a negative number is a large one.
          Value inside =
              b.compare(arith::CmpIPredicate::ult, at,
                        b.constantLike(at, static_cast<double>(cut.size)));
          result = b.select(inside, result, b.constantLike(result, value));
        }
        return result;
      });
}

/// A dim of `outer * inner` elements as `outer`, where a split keeps runs of
/// `inner` whole.
Dim leadingOf(Dim dim, int64_t inner) {
  dim.capacity /= inner;
  dim.shard.size /= inner;
  if (!dim.shard.axes.empty())
    dim.shard.unit = std::max<int64_t>(dim.shard.unit / inner, 1);
  return dim;
}

} // namespace

namespace {

/// For `window` and its transpose on a tensor of `rank` before: which dim of
/// the form with each dim's `[O, K]` together is which dim of the windows.
SmallVector<int64_t> togetherDims(int64_t rank, ArrayRef<int64_t> dims) {
  SmallVector<int64_t> order;
  int64_t next = 0, count = dims.size();
  for (int64_t dim = 0; dim < rank; ++dim) {
    order.push_back(count > 0 && dim >= dims[0] ? dim + count : dim);
    if (next < count && dims[next] == dim)
      order.push_back(dims[0] + next++);
  }
  return order;
}

} // namespace

SmallVector<Value> WindowOp::expand(OpBuilder &builder, ValueRange operands) {
  Pieces p(getOperation(), builder);
  Value windows = operands[0];
  SmallVector<int64_t> order =
      togetherDims(typeOf(windows).getRank(), getDims());
  SmallVector<Cut> cuts;
  SmallVector<unsigned> dims;
  for (auto [i, dim] : llvm::enumerate(getDims())) {
    unsigned at = dim + i;
    cuts.push_back({dimOf(getOutput(), order[at]),
                    dimOf(getOutput(), order[at + 1]),
                    logicalSize(operands[0], dim), getStrides()[i],
                    getDilations()[i], getLow()[i]});
    dims.push_back(at);
    windows = cutDim(p, windows, at, cuts.back());
  }
  double value = getValue().convertToDouble();
  if (value != 0)
    windows = fillOutside(p, windows, cuts, dims, value);
  // A copy, not a view: what is multiplied by them wants matrices.
  SmallVector<unsigned> from(order.begin(), order.end());
  unsigned rank = order.size();
  return {p.map1({windows}, {p.map(rank, from), p.identity(rank)},
                 getOutput().getType(),
                 [](Body &, ValueRange a) { return a[0]; })};
}

SmallVector<Value> FoldOp::expand(OpBuilder &builder, ValueRange operands) {
  Pieces p(getOperation(), builder);
  if (getDims().empty())
    return {p.elementwise(operands[0], getOutput().getType(),
                          [](Body &, ValueRange a) { return a[0]; })};
  // The windows and places of each dim together.
  SmallVector<int64_t> order =
      togetherDims(typeOf(getOutput()).getRank(), getDims());
  SmallVector<Dim> together;
  for (int64_t dim : order)
    together.push_back(dimOf(operands[0], dim));
  Value folded = kernel::TransposeOp::create(
      builder, getLoc(),
      tensorOf(typeOf(operands[0]).getElementType(), together), operands[0],
      order);
  // From the last dim, so that earlier ones stay where they are.
  for (size_t i = getDims().size(); i-- > 0;) {
    unsigned dim = getDims()[i], at = dim + i;
    Cut cut{together[at],    together[at + 1],  logicalSize(getOutput(), dim),
            getStrides()[i], getDilations()[i], getLow()[i]};
    SmallVector<Dim> dims = dimsOf(folded.getType());
    dims[at] = dimOf(getOutput(), dim);
    dims.erase(dims.begin() + at + 1);
    Type type = tensorOf(typeOf(folded).getElementType(), dims);
    if (cut.tiles())
      folded = kernel::ReshapeOp::create(builder, getLoc(), type, folded);
    else
      folded = kernel::PutAddOp::create(builder, getLoc(), type,
                                        windowIndices(p, cut), folded, at,
                                        /*along=*/false);
  }
  return {folded};
}

SmallVector<Value> ConvOp::expand(OpBuilder &builder, ValueRange operands) {
  Pieces p(getOperation(), builder);
  Value input = operands[0], weight = operands[1];
  unsigned spatial = typeOf(input).getRank() - 2;
  int64_t groups = getGroups();
  Type element = typeOf(input).getElementType();

  // Loops: n, g, m, o..., then c and the places of windows.
  unsigned n = 0, g = 1, m = 2, firstO = 3, c = firstO + spatial;
  unsigned numLoops = c + 1;
  SmallVector<Dim> weightDims = {
      leadingOf(dimOf(weight, 0), logicalSize(weight, 0) / groups),
      Dim::whole(logicalSize(weight, 0) / groups), dimOf(weight, 1)};
  SmallVector<Dim> inputDims = {
      dimOf(input, 0), leadingOf(dimOf(input, 1), logicalSize(weight, 1)),
      dimOf(weight, 1)};
  SmallVector<Dim> outputDims = {dimOf(getOutput(), 0), weightDims[0],
                                 weightDims[1]};
  if (groups == 1) {
    weightDims[0] = inputDims[1] = outputDims[1] = Dim::whole(1);
    weightDims[1] = dimOf(weight, 0);
    outputDims[2] = dimOf(getOutput(), 1);
    inputDims[2] = dimOf(input, 1);
  }
  SmallVector<unsigned> inputLoops = {n, g, c}, weightLoops = {g, m, c},
                        outputLoops = {n, g, m};
  Value windows = input;
  unsigned at = 2;
  for (unsigned i = 0; i < spatial; ++i) {
    Cut cut{dimOf(getOutput(), 2 + i), dimOf(weight, 2 + i),
            logicalSize(input, 2 + i), getStrides()[i],
            getDilations()[i],         getLow()[i]};
    inputDims.push_back(cut.windows);
    inputLoops.push_back(firstO + i);
    outputDims.push_back(cut.windows);
    outputLoops.push_back(firstO + i);
    ++at;
    if (cut.isTrivial())
      continue;
    windows = cutDim(p, windows, at - 1, cut);
    inputDims.push_back(cut.places);
    weightDims.push_back(cut.places);
    inputLoops.push_back(numLoops);
    weightLoops.push_back(numLoops++);
    ++at;
  }
  // Places before windows, so that the product is one of matrices for each
  // sample: their elements are copied once in that order.
  if (windows != input) {
    SmallVector<unsigned> order = {0, 1};
    SmallVector<unsigned> dimOfLoop(numLoops);
    SmallVector<Dim> dims = dimsOf(windows.getType());
    unsigned skipped = inputDims.size() - dims.size(); // groups
    for (auto [position, loop] : llvm::enumerate(inputLoops))
      dimOfLoop[loop] = position - skipped;
    for (unsigned loop = c + 1; loop < numLoops; ++loop)
      order.push_back(dimOfLoop[loop]);
    for (unsigned i = 0; i < spatial; ++i)
      order.push_back(dimOfLoop[firstO + i]);
    SmallVector<unsigned> place(order.size());
    SmallVector<Dim> orderedDims;
    SmallVector<Dim> groupedDims(inputDims);
    SmallVector<unsigned> groupedLoops(inputLoops);
    for (auto [to, from] : llvm::enumerate(order)) {
      place[from] = to;
      orderedDims.push_back(dims[from]);
      if (to >= 2) {
        inputDims[to + skipped] = groupedDims[from + skipped];
        inputLoops[to + skipped] = groupedLoops[from + skipped];
      }
    }
    unsigned rank = order.size();
    windows = p.map1({windows}, {p.map(rank, place), p.identity(rank)},
                     tensorOf(element, orderedDims),
                     [](Body &, ValueRange a) { return a[0]; });
  }
  auto reshape = [&](Value value, Type type) -> Value {
    if (value.getType() == type)
      return value;
    return kernel::ReshapeOp::create(builder, getLoc(), type, value);
  };
  // A single group is no loop, so that nothing is regrouped for it.
  if (groups == 1) {
    auto drop = [&](SmallVector<unsigned> &loops, SmallVector<Dim> &dims) {
      unsigned position = llvm::find(loops, g) - loops.begin();
      loops.erase(loops.begin() + position);
      dims.erase(dims.begin() + position);
      for (unsigned &loop : loops)
        loop -= loop > g;
    };
    drop(inputLoops, inputDims);
    drop(weightLoops, weightDims);
    drop(outputLoops, outputDims);
    --numLoops;
  }
  Value product =
      p.contract(reshape(windows, tensorOf(element, inputDims)),
                 reshape(weight, tensorOf(element, weightDims)),
                 {p.map(numLoops, inputLoops), p.map(numLoops, weightLoops),
                  p.map(numLoops, outputLoops)},
                 tensorOf(element, outputDims));
  return {reshape(product, getOutput().getType())};
}

SmallVector<Value> PoolOp::expand(OpBuilder &builder, ValueRange operands) {
  Pieces p(getOperation(), builder);
  Value input = operands[0], windows = input;
  Type type = getOutput().getType();
  unsigned rank = typeOf(input).getRank();
  SmallVector<Cut> cuts;
  SmallVector<unsigned> dims, kept = {0, 1};
  for (unsigned i = 0; i + 2 < rank; ++i) {
    unsigned at = 2 + 2 * i;
    cuts.push_back({dimOf(getOutput(), 2 + i), Dim::whole(getWindow()[i]),
                    logicalSize(input, 2 + i), getStrides()[i],
                    getDilations()[i], getLow()[i]});
    dims.push_back(at);
    kept.push_back(at);
    windows = cutDim(p, windows, at, cuts.back());
  }
  bool isMax = getKind() == PoolKind::Max;
  if (isMax)
    windows = fillOutside(p, windows, cuts, dims,
                          -std::numeric_limits<double>::infinity());
  unsigned loops = typeOf(windows).getRank();
  Value pooled = p.reduce1(isMax ? Combiner::Max : Combiner::Sum, windows,
                           {p.identity(loops), p.map(loops, kept)}, type,
                           [](Body &, ValueRange a) { return a[0]; });
  if (getKind() != PoolKind::Avg)
    return {pooled};
  double places = 1;
  for (int64_t size : getWindow())
    places *= static_cast<double>(size);
  if (!getExcludePadding())
    return {p.elementwise(pooled, type, [&](Body &b, ValueRange a) {
      return b.div(a[0], places);
    })};
  return {p.elementwise(pooled, type, [&](Body &b, ValueRange a) {
    // Places inside, of each dim: those below its size less those below 0.
    Value count = b.constant(builder.getI64Type(), 1);
    for (auto [i, cut] : llvm::enumerate(cuts)) {
      Value start = b.mul(b.index(2 + i), static_cast<double>(cut.stride));
      auto below = [&](int64_t bound) {
        // ceil((bound - start) / dilation) in [0, K].
        Value left = b.sub(
            b.constantLike(start, static_cast<double>(bound + cut.low)), start);
        Value number = b.div(b.add(left, static_cast<double>(cut.dilation - 1)),
                             static_cast<double>(cut.dilation));
        return b.min(
            b.max(number, b.constantLike(number, 0)),
            b.constantLike(number, static_cast<double>(cut.places.shard.size)));
      };
      count = b.mul(count, b.sub(below(cut.size), below(0)));
    }
    return b.div(a[0], b.cast(count, a[0].getType()));
  })};
}
