// SPDX-License-Identifier: Apache-2.0
// Gradients of ops that read by index: padding, scans, order, windows.
#include "dialects/Graph/Build.h"

#include <limits>

using namespace mlir;
using namespace weir;
using namespace weir::graph;

using Gradients = SmallVector<Value>;

SmallVector<Value> PadOp::buildGradient(OpBuilder &builder, ArrayRef<Value> g,
                                        ArrayRef<bool> wanted) {
  if (!wanted[0] || !g[0])
    return {Value()};
  Build b(builder, getLoc());
  return {b.slice(g[0], getLow(), Build::typeOf(getInput()).getShape())};
}

//===----------------------------------------------------------------------===//
// Scans and order
//===----------------------------------------------------------------------===//

SmallVector<Value> CumsumOp::buildGradient(OpBuilder &builder,
                                           ArrayRef<Value> g,
                                           ArrayRef<bool> wanted) {
  if (!wanted[0] || !g[0])
    return {Value()};
  // Element j is in the sums of all i at or behind it.
  return {CumsumOp::create(builder, getLoc(), g[0].getType(), g[0], getDim(),
                           !getReverse(), getExclusive())};
}

SmallVector<Value> CumprodOp::buildGradient(OpBuilder &, ArrayRef<Value>,
                                            ArrayRef<bool>) {
  emitOpError("cannot be differentiated: a product that a loss depends on is "
              "'graph.reduce prod', or 'graph.exp' of a sum of logarithms");
  return {};
}

/// The gradient of values that were picked along `dim` goes back to where they
/// came from.
static Gradients putBack(Operation *op, OpBuilder &builder, Value input,
                         Value indices, int64_t dim, ArrayRef<Value> g,
                         ArrayRef<bool> wanted) {
  if (!wanted[0] || !g[0])
    return {Value()};
  return {ScatterAddOp::create(builder, op->getLoc(), input.getType(), indices,
                               g[0], dim, /*along=*/true)};
}

SmallVector<Value> SortOp::buildGradient(OpBuilder &builder, ArrayRef<Value> g,
                                         ArrayRef<bool> wanted) {
  return putBack(*this, builder, getInput(), getIndices(), getDim(), g, wanted);
}

SmallVector<Value> TopKOp::buildGradient(OpBuilder &builder, ArrayRef<Value> g,
                                         ArrayRef<bool> wanted) {
  return putBack(*this, builder, getInput(), getIndices(), getDim(), g, wanted);
}

//===----------------------------------------------------------------------===//
// Elements by index
//===----------------------------------------------------------------------===//

SmallVector<Value> TakeOp::buildGradient(OpBuilder &builder, ArrayRef<Value> g,
                                         ArrayRef<bool> wanted) {
  if (!wanted[0] || !g[0])
    return {Value(), Value()};
  return {ScatterAddOp::create(builder, getLoc(), getInput().getType(),
                               getIndices(), g[0], getDim(), /*along=*/false),
          Value()};
}

SmallVector<Value> TakeAlongOp::buildGradient(OpBuilder &builder,
                                              ArrayRef<Value> g,
                                              ArrayRef<bool> wanted) {
  if (!wanted[0] || !g[0])
    return {Value(), Value()};
  return {ScatterAddOp::create(builder, getLoc(), getInput().getType(),
                               getIndices(), g[0], getDim(), /*along=*/true),
          Value()};
}

SmallVector<Value> ScatterAddOp::buildGradient(OpBuilder &builder,
                                               ArrayRef<Value> g,
                                               ArrayRef<bool> wanted) {
  if (!wanted[1] || !g[0])
    return {Value(), Value()};
  Type type = getUpdates().getType();
  if (getAlong())
    return {Value(), TakeAlongOp::create(builder, getLoc(), type, g[0],
                                         getIndices(), getDim())};
  return {Value(), TakeOp::create(builder, getLoc(), type, g[0], getIndices(),
                                  getDim())};
}

//===----------------------------------------------------------------------===//
// Windows
//===----------------------------------------------------------------------===//

SmallVector<Value> WindowOp::buildGradient(OpBuilder &builder,
                                           ArrayRef<Value> g,
                                           ArrayRef<bool> wanted) {
  if (!wanted[0] || !g[0])
    return {Value()};
  return {FoldOp::create(builder, getLoc(), getInput().getType(), g[0],
                         getDims(), getStrides(), getDilations(), getLow())};
}

SmallVector<Value> FoldOp::buildGradient(OpBuilder &builder, ArrayRef<Value> g,
                                         ArrayRef<bool> wanted) {
  if (!wanted[0] || !g[0])
    return {Value()};
  return {WindowOp::create(builder, getLoc(), getInput().getType(), g[0],
                           getDims(), getStrides(), getDilations(), getLow(),
                           llvm::APFloat(0.0))};
}

namespace {

/// The windows of the spatial dims of `[N, C, X...]`: `[N, C, K..., O...]`.
struct SpatialWindows {
  SpatialWindows(Build &b, Value input, ArrayRef<int64_t> window, Value output,
                 ArrayRef<int64_t> strides, ArrayRef<int64_t> dilations,
                 ArrayRef<int64_t> low)
      : b(b), input(input), strides(strides), dilations(dilations), low(low) {
    shape.assign(Build::typeOf(input).getShape().take_front(2).begin(),
                 Build::typeOf(input).getShape().take_front(2).end());
    for (auto [i, size] : llvm::enumerate(window)) {
      dims.push_back(2 + i);
      placeDims.push_back(shape.size());
      shape.push_back(size);
    }
    for (size_t i = 0; i < window.size(); ++i) {
      outputDims.push_back(shape.size());
      shape.push_back(Build::typeOf(output).getDimSize(2 + i));
    }
  }

  Value unfold(double value) {
    return WindowOp::create(b.builder, b.loc, Build::typeOf(input).clone(shape),
                            input, dims, strides, dilations, low,
                            llvm::APFloat(value));
  }
  Value fold(Value windows) {
    return FoldOp::create(b.builder, b.loc, input.getType(), windows, dims,
                          strides, dilations, low);
  }

  Build &b;
  Value input;
  ArrayRef<int64_t> strides, dilations, low;
  SmallVector<int64_t> dims, shape, outputDims, placeDims;
};

} // namespace

SmallVector<Value> ConvOp::buildGradient(OpBuilder &builder, ArrayRef<Value> g,
                                         ArrayRef<bool> wanted) {
  Gradients gradients(2);
  if (!g[0])
    return gradients;
  Build b(builder, getLoc());
  int64_t groups = getGroups();
  ArrayRef<int64_t> weightShape = Build::typeOf(getWeight()).getShape();
  int64_t spatial = weightShape.size() - 2;
  SpatialWindows windows(b, getInput(), weightShape.drop_front(2), getOutput(),
                         getStrides(), getDilations(), getLow());
  auto range = [](int64_t from, int64_t count) {
    return llvm::to_vector(llvm::seq<int64_t>(from, from + count));
  };
  // A dim of groups in front of the channels, where there is more than one.
  bool grouped = groups > 1;
  auto group = [&](Value value, int64_t dim) -> Value {
    if (!grouped)
      return value;
    SmallVector<int64_t> shape(Build::typeOf(value).getShape());
    shape[dim] /= groups;
    shape.insert(shape.begin() + dim, groups);
    return b.reshape(value, shape);
  };
  Value gradient = group(g[0], 1), weight = group(getWeight(), 0);
  auto product = [&](Value lhs, Value rhs, ArrayRef<int64_t> lhsBatch,
                     ArrayRef<int64_t> rhsBatch, ArrayRef<int64_t> lhsContract,
                     ArrayRef<int64_t> rhsContract) -> Value {
    SmallVector<int64_t> shape;
    for (int64_t dim : lhsBatch)
      shape.push_back(Build::typeOf(lhs).getDimSize(dim));
    for (auto [value, batch, contract] :
         {std::tuple(lhs, lhsBatch, lhsContract),
          std::tuple(rhs, rhsBatch, rhsContract)}) {
      SmallVector<int64_t> used(batch);
      llvm::append_range(used, contract);
      for (int64_t dim : Build::otherDims(Build::rankOf(value), used))
        shape.push_back(Build::typeOf(value).getDimSize(dim));
    }
    return MatmulOp::create(builder, getLoc(), Build::typeOf(lhs).clone(shape),
                            lhs, rhs, lhsBatch, rhsBatch, lhsContract,
                            rhsContract);
  };
  SmallVector<int64_t> none, one = {1}, zero = {0};
  if (wanted[0]) {
    // [g], c, k..., n, o... from the weight [g, m, c, k...] and the gradient
    // [n, g, m, o...]; then as windows [n, g c, k..., o...].
    Value spread = grouped ? product(weight, gradient, zero, one, one, {2})
                           : product(weight, gradient, none, none, zero, one);
    int64_t c = grouped ? 1 : 0, n = c + 1 + spatial;
    SmallVector<int64_t> permutation = {n};
    llvm::append_range(permutation, range(0, n));
    llvm::append_range(permutation, range(n + 1, spatial));
    gradients[0] = windows.fold(
        b.reshape(b.transpose(spread, permutation), windows.shape));
  }
  if (wanted[1]) {
    // [g], m, c, k... from the gradient [n, g, m, o...] and the windows
    // [n, g, c, k..., o...].
    Value places = group(windows.unfold(0), 1);
    int64_t shift = grouped ? 1 : 0;
    SmallVector<int64_t> lhsContract = {0}, rhsContract = {0};
    llvm::append_range(lhsContract, range(2 + shift, spatial));
    for (int64_t dim : windows.outputDims)
      rhsContract.push_back(dim + shift);
    Value summed = product(gradient, places, grouped ? one : none,
                           grouped ? one : none, lhsContract, rhsContract);
    gradients[1] = b.reshape(summed, weightShape);
  }
  return gradients;
}

SmallVector<Value> PoolOp::buildGradient(OpBuilder &builder, ArrayRef<Value> g,
                                         ArrayRef<bool> wanted) {
  if (!wanted[0] || !g[0])
    return {Value()};
  Build b(builder, getLoc());
  SpatialWindows windows(b, getInput(), getWindow(), getOutput(), getStrides(),
                         getDilations(), getLow());
  Value gradient = g[0];
  RankedTensorType type = Build::typeOf(gradient);
  auto spread = [&](Value value) {
    SmallVector<int64_t> dims = {0, 1};
    llvm::append_range(dims, windows.outputDims);
    return b.broadcast(value, windows.shape, dims);
  };
  if (getKind() == PoolKind::Avg) {
    if (!getExcludePadding()) {
      double places = 1;
      for (int64_t size : getWindow())
        places *= static_cast<double>(size);
      gradient = b.mul(gradient, 1 / places);
    } else {
      // The places inside: the sum of ones in each window.
      Value ones = b.splatLike(getInput(), 1);
      Value count = PoolOp::create(builder, getLoc(), type, PoolKind::Sum, ones,
                                   getWindow(), getStrides(), getDilations(),
                                   getLow(), getHigh(),
                                   /*excludePadding=*/false);
      gradient = b.div(gradient, count);
    }
  }
  if (getKind() != PoolKind::Max)
    return {windows.fold(spread(gradient))};
  // The first place that attains the maximum, as PyTorch's.
  Value values = windows.unfold(-std::numeric_limits<double>::infinity());
  Type i32 = builder.getI32Type();
  int64_t count = 1;
  Value place = b.splat(RankedTensorType::get(windows.shape, i32), 0);
  for (size_t i = windows.placeDims.size(); i-- > 0;) {
    int64_t dim = windows.placeDims[i];
    Value along = IotaOp::create(builder, getLoc(), place.getType(), dim);
    place = b.add(place, b.mul(along, static_cast<double>(count)));
    count *= windows.shape[dim];
  }
  Value attains = b.compare(Predicate::Eq, values, spread(getOutput()));
  Value candidates =
      b.select(attains, place, b.splatLike(place, static_cast<double>(count)));
  Value first = b.reduce(ReductionKind::Min, candidates, windows.placeDims);
  Value chosen = b.compare(Predicate::Eq, place, spread(first));
  return {windows.fold(b.keep(chosen, spread(gradient)))};
}
