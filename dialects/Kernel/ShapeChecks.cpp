// SPDX-License-Identifier: Apache-2.0
#include "dialects/Kernel/ShapeChecks.h"

#include "dialects/Dist/Dist.h"

using namespace mlir;
using namespace weir;

static RankedTensorType typeOf(Value value) {
  return cast<RankedTensorType>(value.getType());
}

/// A shape as `[4, 8]`.
static std::string str(ArrayRef<int64_t> shape) {
  std::string text;
  llvm::raw_string_ostream os(text);
  os << "[";
  llvm::interleaveComma(shape, os);
  os << "]";
  return text;
}

LogicalResult kernel::expectShape(Operation *op, StringRef what, Value value,
                                  ArrayRef<int64_t> shape) {
  if (typeOf(value).getShape() == shape)
    return success();
  return op->emitOpError("expects '")
         << what << "' of shape " << str(shape) << ", got "
         << str(typeOf(value).getShape());
}

LogicalResult kernel::expectElementType(Operation *op, StringRef what,
                                        Value value, Type type) {
  if (typeOf(value).getElementType() == type)
    return success();
  return op->emitOpError("expects '")
         << what << "' of element type " << type << ", got "
         << typeOf(value).getElementType();
}

LogicalResult kernel::expectFloat(Operation *op, StringRef what, Value value) {
  if (isa<FloatType>(typeOf(value).getElementType()))
    return success();
  return op->emitOpError("expects '")
         << what << "' of a floating-point element type, got "
         << typeOf(value).getElementType();
}

LogicalResult kernel::expectInteger(Operation *op, StringRef what,
                                    Value value) {
  auto type = dyn_cast<IntegerType>(typeOf(value).getElementType());
  if (type && type.getWidth() > 1)
    return success();
  return op->emitOpError("expects '")
         << what << "' of an integer element type, got "
         << typeOf(value).getElementType();
}

LogicalResult kernel::expectRank(Operation *op, StringRef what, Value value,
                                 int64_t rank) {
  if (typeOf(value).getRank() == rank)
    return success();
  return op->emitOpError("expects '")
         << what << "' of rank " << rank << ", got " << value.getType();
}

LogicalResult kernel::expectDim(Operation *op, StringRef name, int64_t dim,
                                int64_t rank) {
  if (dim >= 0 && dim < rank)
    return success();
  return op->emitOpError("expects '")
         << name << "' to be a dimension of a rank-" << rank << " tensor, got "
         << dim;
}

LogicalResult kernel::verifyReshape(Operation *op, Value input, Value output) {
  RankedTensorType from = typeOf(input), to = typeOf(output);
  if (failed(expectElementType(op, "output", output, from.getElementType())))
    return failure();
  if (from.getNumElements() != to.getNumElements())
    return op->emitOpError("expects a result of ")
           << from.getNumElements() << " elements, as the operand has, got "
           << to.getNumElements();
  auto logicalCount = [](RankedTensorType type) {
    int64_t count = 1;
    for (int64_t size : dist::getLogicalShape(type))
      count *= size;
    return count;
  };
  if (logicalCount(from) != logicalCount(to))
    return op->emitOpError("expects a result that is a shard of ")
           << logicalCount(from) << " elements, as the operand is, got "
           << logicalCount(to);
  return success();
}

LogicalResult kernel::verifyTranspose(Operation *op, Value input,
                                      ArrayRef<int64_t> permutation,
                                      Value output) {
  RankedTensorType from = typeOf(input);
  if (static_cast<int64_t>(permutation.size()) != from.getRank())
    return op->emitOpError("expects 'permutation' of ")
           << from.getRank() << " dims, as the operand has, got "
           << str(permutation);
  SmallVector<bool> seen(permutation.size(), false);
  for (int64_t dim : permutation) {
    if (dim < 0 || dim >= from.getRank() || seen[dim])
      return op->emitOpError(
                 "expects 'permutation' to hold every dim once, got ")
             << str(permutation);
    seen[dim] = true;
  }
  SmallVector<int64_t> shape;
  for (int64_t dim : permutation)
    shape.push_back(from.getDimSize(dim));
  if (failed(expectElementType(op, "output", output, from.getElementType())))
    return failure();
  return expectShape(op, "output", output, shape);
}

LogicalResult kernel::verifySlice(Operation *op, Value input,
                                  ArrayRef<int64_t> offsets, Value output) {
  RankedTensorType from = typeOf(input), to = typeOf(output);
  if (failed(expectElementType(op, "output", output, from.getElementType())) ||
      failed(expectRank(op, "output", output, from.getRank())))
    return failure();
  if (static_cast<int64_t>(offsets.size()) != from.getRank())
    return op->emitOpError("expects 'offsets' for ")
           << from.getRank() << " dims, as the operand has, got "
           << str(offsets);
  for (auto [index, offset] : llvm::enumerate(offsets)) {
    int64_t size = to.getDimSize(index), all = from.getDimSize(index);
    if (offset < 0 || offset + size > all)
      return op->emitOpError("expects the slice of dim ")
             << index << " to lie within [0, " << all << "), got [" << offset
             << ", " << offset + size << ")";
  }
  return success();
}

LogicalResult kernel::verifyConcat(Operation *op, ValueRange inputs,
                                   int64_t dim, Value output) {
  if (inputs.empty())
    return op->emitOpError("expects at least one operand, got none");
  RankedTensorType to = typeOf(output);
  if (failed(expectDim(op, "dim", dim, to.getRank())))
    return failure();
  int64_t sum = 0;
  for (auto [index, input] : llvm::enumerate(inputs)) {
    RankedTensorType from = typeOf(input);
    std::string what = "operand " + std::to_string(index);
    if (failed(expectElementType(op, what, input, to.getElementType())) ||
        failed(expectRank(op, what, input, to.getRank())))
      return failure();
    SmallVector<int64_t> shape(to.getShape());
    shape[dim] = from.getDimSize(dim);
    if (failed(expectShape(op, what, input, shape)))
      return failure();
    sum += from.getDimSize(dim);
  }
  if (sum != to.getDimSize(dim))
    return op->emitOpError("expects a result of size ")
           << sum << " in dim " << dim << ", the sum of the operands', got "
           << to.getDimSize(dim);
  return success();
}

LogicalResult kernel::verifyGather(Operation *op, StringRef tableName,
                                   Value table, Value indices,
                                   StringRef outputName, Value output) {
  RankedTensorType tableType = typeOf(table);
  if (tableType.getRank() < 1)
    return op->emitOpError("expects '")
           << tableName << "' of rank 1 or more, got " << tableType;
  SmallVector<int64_t> shape(typeOf(indices).getShape());
  llvm::append_range(shape, tableType.getShape().drop_front());
  if (failed(expectInteger(op, "indices", indices)) ||
      failed(expectElementType(op, outputName, output,
                               tableType.getElementType())))
    return failure();
  return expectShape(op, outputName, output, shape);
}

LogicalResult kernel::verifyTake(Operation *op, StringRef inputName,
                                 Value input, Value indices, int64_t dim,
                                 bool along, StringRef outputName,
                                 Value output) {
  RankedTensorType from = typeOf(input);
  if (failed(expectDim(op, "dim", dim, from.getRank())) ||
      failed(expectInteger(op, "indices", indices)) ||
      failed(expectElementType(op, outputName, output, from.getElementType())))
    return failure();
  if (along) {
    if (failed(expectRank(op, "indices", indices, from.getRank())))
      return failure();
    SmallVector<int64_t> shape(from.getShape());
    shape[dim] = typeOf(indices).getDimSize(dim);
    if (failed(expectShape(op, "indices", indices, shape)))
      return failure();
    return expectShape(op, outputName, output, shape);
  }
  SmallVector<int64_t> shape(from.getShape().take_front(dim));
  llvm::append_range(shape, typeOf(indices).getShape());
  llvm::append_range(shape, from.getShape().drop_front(dim + 1));
  return expectShape(op, outputName, output, shape);
}

LogicalResult kernel::expectNumbers(Operation *op, StringRef what,
                                    Value value) {
  if (isa<FloatType>(typeOf(value).getElementType()))
    return success();
  return expectInteger(op, what, value);
}

LogicalResult kernel::verifyScan(Operation *op, Value input, int64_t dim,
                                 Value output) {
  RankedTensorType from = typeOf(input);
  if (failed(expectDim(op, "dim", dim, from.getRank())) ||
      failed(expectNumbers(op, "input", input)) ||
      failed(expectElementType(op, "output", output, from.getElementType())))
    return failure();
  return expectShape(op, "output", output, from.getShape());
}

LogicalResult kernel::verifySort(Operation *op, Value input, int64_t dim,
                                 Value values, Value indices, bool whole) {
  RankedTensorType from = typeOf(input);
  if (failed(expectDim(op, "dim", dim, from.getRank())) ||
      failed(expectNumbers(op, "input", input)) ||
      failed(expectElementType(op, "values", values, from.getElementType())) ||
      failed(expectInteger(op, "indices", indices)) ||
      failed(expectRank(op, "values", values, from.getRank())))
    return failure();
  SmallVector<int64_t> shape(from.getShape());
  if (!whole) {
    int64_t count = typeOf(values).getDimSize(dim);
    if (count > shape[dim])
      return op->emitOpError("expects at most ")
             << shape[dim] << " values, as the operand has in dim " << dim
             << ", got " << count;
    shape[dim] = count;
  }
  if (failed(expectShape(op, "values", values, shape)))
    return failure();
  return expectShape(op, "indices", indices, shape);
}

LogicalResult kernel::verifyConstant(Operation *op, Attribute value) {
  if (isa<ElementsAttr>(value))
    return success();
  return op->emitOpError("expects a value that holds a tensor's elements, got ")
         << value;
}
