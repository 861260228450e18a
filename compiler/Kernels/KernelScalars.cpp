// SPDX-License-Identifier: Apache-2.0
#include "compiler/Kernels/KernelScalars.h"

#include "llvm/ADT/SetVector.h"

using namespace mlir;

namespace weir::compiler {

LocalDim getLocalDim(RankedTensorType type, int64_t dim) {
  LocalDim result;
  result.capacity = type.getDimSize(dim);
  if (auto shard = dyn_cast_or_null<dist::ShardAttr>(type.getEncoding()))
    result.dim = shard.getDims()[dim];
  else
    result.dim.size = result.capacity;
  return result;
}

LocalDim getLoopDim(kernel::GenericOp op, unsigned loop) {
  auto find = [&](AffineMap map, Type type, LocalDim &result) {
    for (auto [index, expr] : llvm::enumerate(map.getResults()))
      if (auto dim = dyn_cast<AffineDimExpr>(expr))
        if (dim.getPosition() == loop) {
          result = getLocalDim(cast<RankedTensorType>(type), index);
          return true;
        }
    return false;
  };
  LocalDim result;
  for (auto [index, type] : llvm::enumerate(op.getInputs().getTypes()))
    if (find(op.getInputMap(index), type, result))
      return result;
  for (auto [index, type] : llvm::enumerate(op.getOutputs().getTypes()))
    if (find(op.getOutputMap(index), type, result))
      return result;
  return result;
}

DenseI64ArrayAttr getScalar(MLIRContext *context, const dist::ShardDim &dim,
                            ScalarKind kind) {
  SmallVector<int64_t> values = {dim.size, dim.unit, dim.shift};
  llvm::append_range(values, dim.axes);
  values.push_back(static_cast<int64_t>(kind));
  return DenseI64ArrayAttr::get(context, values);
}

DenseI64ArrayAttr getSiteKeyScalar(kernel::RandomOp op) {
  dist::ShardDim number;
  number.size = op.getSiteKey();
  return getScalar(op.getContext(), number, ScalarKind::Constant);
}

DenseI64ArrayAttr getCoordinateScalar(MLIRContext *context,
                                      ArrayRef<int64_t> axes,
                                      dist::MeshAttr mesh) {
  if (!mesh)
    return {};
  dist::ShardDim dim;
  dim.size = 1;
  for (int64_t axis : axes) {
    dim.size *= mesh.getSizes()[axis];
    dim.axes.push_back(axis);
  }
  return getScalar(context, dim, ScalarKind::Offset);
}

bool isLonePiece(Operation *op) {
  return isa<kernel::TakeOp, kernel::PutAddOp, kernel::ScanOp, kernel::SortOp>(
      op);
}

Operation *getLonePiece(kernel::FuncOp func) {
  for (Operation &op : func.getBody().front())
    if (isLonePiece(&op))
      return &op;
  return nullptr;
}

ArrayAttr computeKernelScalars(kernel::FuncOp func, dist::MeshAttr mesh) {
  MLIRContext *context = func.getContext();
  llvm::SetVector<Attribute> scalars;
  auto addExtents = [&](Type type) {
    auto tensor = dyn_cast<RankedTensorType>(type);
    if (!tensor || !tensor.getEncoding())
      return;
    for (int64_t d = 0; d < tensor.getRank(); ++d) {
      LocalDim dim = getLocalDim(tensor, d);
      if (dim.isSplit())
        scalars.insert(getScalar(context, dim.dim, ScalarKind::Extent));
    }
  };
  auto addOffset = [&](const LocalDim &dim) {
    if (dim.isSplit())
      scalars.insert(getScalar(context, dim.dim, ScalarKind::Offset));
  };
  for (Type type : func.getBody().front().getArgumentTypes())
    addExtents(type);
  for (Operation &op : func.getBody().front()) {
    for (Type type : op.getResultTypes())
      addExtents(type);
    if (auto generic = dyn_cast<kernel::GenericOp>(op)) {
      generic.getBodyBlock()->walk([&](kernel::IndexOp index) {
        addOffset(getLoopDim(generic, index.getLoop()));
      });
      generic.getBodyBlock()->walk([&](kernel::RandomOp random) {
        if (random->hasAttr(ofLaunchAttrName))
          scalars.insert(getSiteKeyScalar(random));
      });
    } else if (auto gather = dyn_cast<kernel::GatherOp>(op)) {
      addOffset(
          getLocalDim(cast<RankedTensorType>(gather.getTable().getType()), 0));
    } else if (auto scatter = dyn_cast<kernel::ScatterAddOp>(op)) {
      addOffset(getLocalDim(
          cast<RankedTensorType>(scatter.getOutput().getType()), 0));
    } else if (auto take = dyn_cast<kernel::TakeOp>(op)) {
      addOffset(getLocalDim(cast<RankedTensorType>(take.getInput().getType()),
                            take.getDim()));
    } else if (auto put = dyn_cast<kernel::PutAddOp>(op)) {
      addOffset(getLocalDim(cast<RankedTensorType>(put.getOutput().getType()),
                            put.getDim()));
    } else if (auto slice = dyn_cast<dist::LocalSliceOp>(op)) {
      addOffset(getLocalDim(cast<RankedTensorType>(slice.getInput().getType()),
                            slice.getDim()));
      addOffset(getLocalDim(cast<RankedTensorType>(slice.getOutput().getType()),
                            slice.getDim()));
    } else if (auto partial = dyn_cast<dist::PartialOp>(op)) {
      if (auto scalar = getCoordinateScalar(context, partial.getAxes(), mesh))
        scalars.insert(scalar);
    }
  }
  return ArrayAttr::get(context, scalars.getArrayRef());
}

} // namespace weir::compiler
