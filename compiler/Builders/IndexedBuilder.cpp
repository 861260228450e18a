// SPDX-License-Identifier: Apache-2.0
// Builder methods of ops that read by index, and what is composed of them.
#include "compiler/Builders/GraphBuilder.h"

using namespace mlir;

namespace weir::compiler {

/// Windows of a dim: see `graph.conv`.
static int64_t windowsOf(int64_t size, int64_t window,
                         const WindowOptions &options, size_t dim) {
  int64_t room = size + options.lowOf(dim) + options.highOf(dim) -
                 options.dilationOf(dim) * (window - 1) - 1;
  return room < 0 ? 0 : room / options.strideOf(dim) + 1;
}

namespace {

/// The attributes of options for `count` spatial dims.
struct WindowLists {
  SmallVector<int64_t> strides, dilations, low, high;

  WindowLists(const WindowOptions &options, size_t count) {
    for (size_t dim = 0; dim < count; ++dim) {
      strides.push_back(options.strideOf(dim));
      dilations.push_back(options.dilationOf(dim));
      low.push_back(options.lowOf(dim));
      high.push_back(options.highOf(dim));
    }
  }
};

RankedTensorType typeOf(mlir::Value value) {
  return llvm::cast<RankedTensorType>(value.getType());
}

} // namespace

mlir::Value GraphBuilder::conv(mlir::Value x, mlir::Value weight,
                               mlir::Value bias, const WindowOptions &options) {
  Shape in = shapeOf(x), kernel = shapeOf(weight).drop_front(2);
  WindowLists lists(options, kernel.size());
  llvm::SmallVector<int64_t> shape = {in[0], shapeOf(weight)[0]};
  for (auto [dim, size] : llvm::enumerate(kernel))
    shape.push_back(windowsOf(in[2 + dim], size, options, dim));
  mlir::Value y = graph::ConvOp::create(
      builder, loc(), typeOf(x).clone(shape), x, weight, lists.strides,
      lists.dilations, lists.low, lists.high, options.groups);
  return bias ? add(y, broadcast(bias, shape, {1})) : y;
}

mlir::Value GraphBuilder::pool(graph::PoolKind kind, mlir::Value x,
                               Shape window, const WindowOptions &options,
                               bool excludePadding) {
  Shape in = shapeOf(x);
  WindowLists lists(options, window.size());
  llvm::SmallVector<int64_t> shape = {in[0], in[1]};
  for (auto [dim, size] : llvm::enumerate(window))
    shape.push_back(windowsOf(in[2 + dim], size, options, dim));
  return graph::PoolOp::create(builder, loc(), typeOf(x).clone(shape), kind, x,
                               llvm::SmallVector<int64_t>(window),
                               lists.strides, lists.dilations, lists.low,
                               lists.high, excludePadding);
}

mlir::Value GraphBuilder::pad(mlir::Value x, llvm::ArrayRef<int64_t> low,
                              llvm::ArrayRef<int64_t> high, double value) {
  llvm::SmallVector<int64_t> shape(shapeOf(x));
  for (auto [dim, size] : llvm::enumerate(shape))
    size += low[dim] + high[dim];
  return graph::PadOp::create(builder, loc(), typeOf(x).clone(shape), x, low,
                              llvm::APFloat(value));
}

mlir::Value GraphBuilder::cumsum(mlir::Value x, int64_t dim, bool reverse,
                                 bool exclusive) {
  return graph::CumsumOp::create(builder, loc(), x.getType(), x, dim, reverse,
                                 exclusive);
}

std::pair<mlir::Value, mlir::Value>
GraphBuilder::sort(mlir::Value x, int64_t dim, bool descending) {
  auto op = graph::SortOp::create(builder, loc(), x.getType(), i32(shapeOf(x)),
                                  x, dim, descending);
  return {op.getValues(), op.getIndices()};
}

std::pair<mlir::Value, mlir::Value> GraphBuilder::topK(mlir::Value x, int64_t k,
                                                       int64_t dim) {
  llvm::SmallVector<int64_t> shape(shapeOf(x));
  shape[dim] = k;
  auto op = graph::TopKOp::create(builder, loc(), typeOf(x).clone(shape),
                                  i32(shape), x, dim);
  return {op.getValues(), op.getIndices()};
}

mlir::Value GraphBuilder::take(mlir::Value x, mlir::Value indices,
                               int64_t dim) {
  llvm::SmallVector<int64_t> shape(shapeOf(x).take_front(dim));
  llvm::append_range(shape, shapeOf(indices));
  llvm::append_range(shape, shapeOf(x).drop_front(dim + 1));
  return graph::TakeOp::create(builder, loc(), typeOf(x).clone(shape), x,
                               indices, dim);
}

mlir::Value GraphBuilder::takeAlong(mlir::Value x, mlir::Value indices,
                                    int64_t dim) {
  return graph::TakeAlongOp::create(
      builder, loc(), typeOf(x).clone(shapeOf(indices)), x, indices, dim);
}

mlir::Value GraphBuilder::scatterAdd(mlir::Value indices, mlir::Value updates,
                                     int64_t size, int64_t dim, bool along) {
  Shape from = shapeOf(updates);
  int64_t count = along ? 1 : int64_t(shapeOf(indices).size());
  llvm::SmallVector<int64_t> shape(from.take_front(dim));
  shape.push_back(size);
  llvm::append_range(shape, from.drop_front(dim + count));
  return graph::ScatterAddOp::create(builder, loc(),
                                     typeOf(updates).clone(shape), indices,
                                     updates, dim, along);
}

mlir::Value GraphBuilder::reduceProd(mlir::Value x,
                                     llvm::ArrayRef<int64_t> dims) {
  llvm::SmallVector<int64_t> shape;
  for (auto [dim, size] : llvm::enumerate(shapeOf(x)))
    if (!llvm::is_contained(dims, int64_t(dim)))
      shape.push_back(size);
  return graph::ReduceOp::create(builder, loc(), typeOf(x).clone(shape),
                                 graph::ReductionKind::Prod, x, dims);
}

mlir::Value GraphBuilder::oneHot(mlir::Value indices, int64_t classes) {
  llvm::SmallVector<int64_t> shape(shapeOf(indices));
  auto dims = llvm::to_vector(llvm::seq<int64_t>(0, shape.size()));
  shape.push_back(classes);
  mlir::Value is =
      compare(graph::Predicate::Eq, broadcast(indices, shape, dims),
              iota(shape.size() - 1, shape, /*integer=*/true));
  return castToFloat(is);
}

mlir::Value GraphBuilder::isNan(mlir::Value x) {
  return compare(graph::Predicate::Ne, x, x);
}

GraphBuilder::BatchNorm GraphBuilder::batchNorm(mlir::Value x,
                                                mlir::Value weight,
                                                mlir::Value bias,
                                                double epsilon) {
  Shape shape = shapeOf(x);
  llvm::SmallVector<int64_t> dims = {0};
  int64_t count = shape[0];
  for (int64_t dim = 2; dim < int64_t(shape.size()); ++dim) {
    dims.push_back(dim);
    count *= shape[dim];
  }
  BatchNorm result;
  result.mean = scale(reduceSum(x, dims), 1.0 / double(count));
  mlir::Value centred = sub(x, broadcast(result.mean, shape, {1}));
  result.variance =
      scale(reduceSum(mul(centred, centred), dims), 1.0 / double(count));
  result.output =
      normalize(x, result.mean, result.variance, weight, bias, epsilon);
  return result;
}

mlir::Value GraphBuilder::normalize(mlir::Value x, mlir::Value mean,
                                    mlir::Value variance, mlir::Value weight,
                                    mlir::Value bias, double epsilon) {
  Shape shape = shapeOf(x);
  mlir::Value shifted = add(variance, constant(epsilon, shapeOf(variance)));
  mlir::Value rstd =
      graph::RsqrtOp::create(builder, loc(), shifted.getType(), shifted);
  mlir::Value factor = mul(rstd, weight);
  mlir::Value centred = sub(x, broadcast(mean, shape, {1}));
  return add(mul(centred, broadcast(factor, shape, {1})),
             broadcast(bias, shape, {1}));
}

} // namespace weir::compiler
