// SPDX-License-Identifier: Apache-2.0
// Verifiers of ops that read by index: padding, scans, order, windows.
#include "dialects/Graph/Graph.h"
#include "dialects/Kernel/ShapeChecks.h"

using namespace mlir;
using namespace weir;
using namespace weir::graph;

using kernel::expectDim;
using kernel::expectElementType;
using kernel::expectFloat;
using kernel::expectRank;
using kernel::expectShape;

static RankedTensorType typeOf(Value value) {
  return cast<RankedTensorType>(value.getType());
}

LogicalResult PadOp::verify() {
  RankedTensorType input = typeOf(getInput()), output = typeOf(getOutput());
  if (failed(expectElementType(*this, "output", getOutput(),
                               input.getElementType())) ||
      failed(expectRank(*this, "output", getOutput(), input.getRank())))
    return failure();
  if (static_cast<int64_t>(getLow().size()) != input.getRank())
    return emitOpError("expects 'low' to have ")
           << input.getRank() << " entries, one for each dim, got "
           << getLow().size();
  for (auto [dim, low] : llvm::enumerate(getLow())) {
    if (low < 0)
      return emitOpError("expects 'low' that is not negative, got ")
             << low << " for dim " << dim;
    if (low + input.getDimSize(dim) > output.getDimSize(dim))
      return emitOpError("expects dim ")
             << dim << " of the result to hold " << low << " + "
             << input.getDimSize(dim) << " elements, got "
             << output.getDimSize(dim);
  }
  return success();
}

LogicalResult CumsumOp::verify() {
  return kernel::verifyScan(*this, getInput(), getDim(), getOutput());
}

LogicalResult CumprodOp::verify() {
  return kernel::verifyScan(*this, getInput(), getDim(), getOutput());
}

LogicalResult SortOp::verify() {
  return kernel::verifySort(*this, getInput(), getDim(), getValues(),
                            getIndices(), /*whole=*/true);
}

LogicalResult TopKOp::verify() {
  return kernel::verifySort(*this, getInput(), getDim(), getValues(),
                            getIndices(), /*whole=*/false);
}

LogicalResult TakeOp::verify() {
  return kernel::verifyTake(*this, "input", getInput(), getIndices(), getDim(),
                            /*along=*/false, "output", getOutput());
}

LogicalResult TakeAlongOp::verify() {
  return kernel::verifyTake(*this, "input", getInput(), getIndices(), getDim(),
                            /*along=*/true, "output", getOutput());
}

LogicalResult ScatterAddOp::verify() {
  if (failed(kernel::expectNumbers(*this, "updates", getUpdates())))
    return failure();
  return kernel::verifyTake(*this, "output", getOutput(), getIndices(),
                            getDim(), getAlong(), "updates", getUpdates());
}

//===----------------------------------------------------------------------===//
// Windows
//===----------------------------------------------------------------------===//

namespace {

/// A list of numbers with its name in messages, and the least one allowed.
struct Numbers {
  StringRef name;
  ArrayRef<int64_t> values;
  int64_t least;
};

LogicalResult verifyNumbers(Operation *op, size_t count,
                            ArrayRef<Numbers> lists) {
  for (const Numbers &list : lists) {
    if (list.values.size() != count)
      return op->emitOpError("expects '")
             << list.name << "' to have " << count << " entries, got "
             << list.values.size();
    for (int64_t value : list.values)
      if (value < list.least)
        return op->emitOpError("expects '") << list.name << "' to be at least "
                                            << list.least << ", got " << value;
  }
  return success();
}

/// Shapes of `window` and its transpose: `windows` has one more dim for each of
/// `dims` of `whole`, in front of the first of them.
LogicalResult verifyWindows(Operation *op, Value whole, StringRef windowsName,
                            Value windows, ArrayRef<int64_t> dims,
                            ArrayRef<int64_t> strides,
                            ArrayRef<int64_t> dilations,
                            ArrayRef<int64_t> low) {
  RankedTensorType type = typeOf(whole);
  if (failed(verifyNumbers(op, dims.size(),
                           {{"strides", strides, 1},
                            {"dilations", dilations, 1},
                            {"low", low, 0}})) ||
      failed(
          expectElementType(op, windowsName, windows, type.getElementType())) ||
      failed(expectRank(op, windowsName, windows,
                        type.getRank() + static_cast<int64_t>(dims.size()))))
    return failure();
  for (auto [i, dim] : llvm::enumerate(dims)) {
    if (failed(expectDim(op, "dims", dim, type.getRank())))
      return failure();
    if (i > 0 && dims[i - 1] >= dim)
      return op->emitOpError("expects 'dims' to increase strictly, got ")
             << dims[i - 1] << " before " << dim;
  }
  SmallVector<int64_t> shape;
  auto keepSize = [&] {
    shape.push_back(typeOf(windows).getDimSize(shape.size()));
  };
  for (int64_t dim = 0; dim < type.getRank(); ++dim) {
    if (!dims.empty() && dim == dims.front())
      for (size_t i = 0; i < dims.size(); ++i)
        keepSize();
    if (llvm::is_contained(dims, dim))
      keepSize();
    else
      shape.push_back(type.getDimSize(dim));
  }
  return expectShape(op, windowsName, windows, shape);
}

/// Logical spatial sizes of a convolution's or pool's result.
LogicalResult verifySpatial(Operation *op, ArrayRef<int64_t> input,
                            ArrayRef<int64_t> window, ArrayRef<int64_t> output,
                            ArrayRef<int64_t> strides,
                            ArrayRef<int64_t> dilations, ArrayRef<int64_t> low,
                            ArrayRef<int64_t> high) {
  for (size_t i = 0; i < window.size(); ++i) {
    int64_t reach = dilations[i] * (window[i] - 1) + 1;
    int64_t room = input[i] + low[i] + high[i] - reach;
    int64_t expected = room < 0 ? 0 : room / strides[i] + 1;
    if (output[i] != expected)
      return op->emitOpError("expects spatial dim ")
             << i << " of the result of size " << expected << ", got "
             << output[i];
  }
  return success();
}

} // namespace

LogicalResult WindowOp::verify() {
  return verifyWindows(*this, getInput(), "output", getOutput(), getDims(),
                       getStrides(), getDilations(), getLow());
}

LogicalResult FoldOp::verify() {
  return verifyWindows(*this, getOutput(), "input", getInput(), getDims(),
                       getStrides(), getDilations(), getLow());
}

LogicalResult ConvOp::verify() {
  RankedTensorType input = typeOf(getInput());
  int64_t rank = input.getRank();
  if (rank < 3)
    return emitOpError("expects 'input' of rank 3 or more, got ") << input;
  if (failed(expectFloat(*this, "input", getInput())) ||
      failed(expectElementType(*this, "weight", getWeight(),
                               input.getElementType())) ||
      failed(expectElementType(*this, "output", getOutput(),
                               input.getElementType())) ||
      failed(expectRank(*this, "weight", getWeight(), rank)) ||
      failed(expectRank(*this, "output", getOutput(), rank)) ||
      failed(verifyNumbers(*this, rank - 2,
                           {{"strides", getStrides(), 1},
                            {"dilations", getDilations(), 1},
                            {"low", getLow(), 0},
                            {"high", getHigh(), 0}})))
    return failure();
  int64_t groups = getGroups();
  SmallVector<int64_t> x = dist::getLogicalShape(input),
                       w = dist::getLogicalShape(typeOf(getWeight())),
                       y = dist::getLogicalShape(typeOf(getOutput()));
  if (groups < 1)
    return emitOpError("expects a positive number of groups, got ") << groups;
  if (x[1] != w[1] * groups)
    return emitOpError("expects 'weight' for ")
           << x[1] << " / " << groups << " channels of a group, got " << w[1];
  if (w[0] % groups != 0)
    return emitOpError("expects ") << groups << " groups to divide the " << w[0]
                                   << " channels of the result";
  if (y[0] != x[0] || y[1] != w[0])
    return emitOpError("expects a result of ")
           << x[0] << " samples with " << w[0] << " channels, got " << y[0]
           << " and " << y[1];
  return verifySpatial(*this, ArrayRef(x).drop_front(2),
                       ArrayRef(w).drop_front(2), ArrayRef(y).drop_front(2),
                       getStrides(), getDilations(), getLow(), getHigh());
}

LogicalResult PoolOp::verify() {
  RankedTensorType input = typeOf(getInput());
  int64_t rank = input.getRank();
  if (rank < 3)
    return emitOpError("expects 'input' of rank 3 or more, got ") << input;
  if (failed(expectFloat(*this, "input", getInput())) ||
      failed(expectElementType(*this, "output", getOutput(),
                               input.getElementType())) ||
      failed(expectRank(*this, "output", getOutput(), rank)) ||
      failed(verifyNumbers(*this, rank - 2,
                           {{"window", getWindow(), 1},
                            {"strides", getStrides(), 1},
                            {"dilations", getDilations(), 1},
                            {"low", getLow(), 0},
                            {"high", getHigh(), 0}})))
    return failure();
  if (getExcludePadding() && getKind() != PoolKind::Avg)
    return emitOpError("expects 'exclude_padding' of a mean, got it with '")
           << stringifyPoolKind(getKind()) << "'";
  SmallVector<int64_t> x = dist::getLogicalShape(input),
                       y = dist::getLogicalShape(typeOf(getOutput()));
  if (y[0] != x[0] || y[1] != x[1])
    return emitOpError("expects a result of ")
           << x[0] << " samples with " << x[1] << " channels, got " << y[0]
           << " and " << y[1];
  // Half a window at most, as PyTorch: more would make windows of padding
  // alone.
  for (auto [i, window] : llvm::enumerate(getWindow()))
    if (getLow()[i] * 2 > getDilations()[i] * (window - 1) + 1 ||
        getHigh()[i] * 2 > getDilations()[i] * (window - 1) + 1)
      return emitOpError("expects padding of at most half a window in spatial "
                         "dim ")
             << i << ", got " << getLow()[i] << " and " << getHigh()[i];
  return verifySpatial(*this, ArrayRef(x).drop_front(2), getWindow(),
                       ArrayRef(y).drop_front(2), getStrides(), getDilations(),
                       getLow(), getHigh());
}
