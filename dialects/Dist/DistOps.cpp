// SPDX-License-Identifier: Apache-2.0
// Ops of the dist dialect: assembly and verifiers.
#include "dialects/Dist/Dist.h"

using namespace mlir;
using namespace weir;
using namespace weir::dist;

//===----------------------------------------------------------------------===//
// Assembly
//===----------------------------------------------------------------------===//

/// `[S(0), B]` in an op: the attribute without its angle brackets.
static ParseResult parseLayoutList(OpAsmParser &parser, LayoutAttr &layout) {
  return parseLayoutEntries(parser, layout);
}

static void printLayoutList(OpAsmPrinter &printer, Operation *,
                            LayoutAttr layout) {
  printLayoutEntries(printer.getStream(), layout);
}

/// Parses `T`, or `(T1, ...) -> T2` with `numInputs` inputs.
static ParseResult parseSameTypes(OpAsmParser &parser, ArrayRef<Type *> inputs,
                                  Type &output) {
  Type type;
  llvm::SMLoc loc = parser.getCurrentLocation();
  if (parser.parseType(type))
    return failure();
  auto function = dyn_cast<FunctionType>(type);
  if (!function) {
    for (Type *input : inputs)
      *input = type;
    output = type;
    return success();
  }
  if (function.getNumInputs() != inputs.size() || function.getNumResults() != 1)
    return parser.emitError(loc, "expects ")
           << inputs.size() << " operand types and one result type, got "
           << type;
  for (auto [input, parsed] : llvm::zip_equal(inputs, function.getInputs()))
    *input = parsed;
  output = function.getResult(0);
  return success();
}

static void printSameTypes(OpAsmPrinter &printer, ArrayRef<Type> inputs,
                           Type output) {
  if (llvm::all_of(inputs, [&](Type input) { return input == output; }))
    printer.printType(output);
  else
    printer.printFunctionalType(inputs, TypeRange(output));
}

ParseResult weir::dist::parseSameTypes(OpAsmParser &parser, Type &input,
                                       Type &output) {
  return ::parseSameTypes(parser, {&input}, output);
}

ParseResult weir::dist::parseSameTypes(OpAsmParser &parser, Type &lhs,
                                       Type &rhs, Type &output) {
  return ::parseSameTypes(parser, {&lhs, &rhs}, output);
}

void weir::dist::printSameTypes(OpAsmPrinter &printer, Operation *, Type input,
                                Type output) {
  ::printSameTypes(printer, ArrayRef<Type>{input}, output);
}

void weir::dist::printSameTypes(OpAsmPrinter &printer, Operation *, Type lhs,
                                Type rhs, Type output) {
  ::printSameTypes(printer, ArrayRef<Type>{lhs, rhs}, output);
}

//===----------------------------------------------------------------------===//
// ReshardOp
//===----------------------------------------------------------------------===//

LogicalResult
ReshardOp::inferReturnTypes(MLIRContext *, std::optional<Location>,
                            ValueRange operands, DictionaryAttr attributes,
                            OpaqueProperties properties, RegionRange,
                            SmallVectorImpl<Type> &inferred) {
  auto type = cast<RankedTensorType>(operands.front().getType());
  if (isa_and_present<LayoutAttr>(type.getEncoding())) {
    LayoutAttr to;
    if (properties)
      to = properties.as<Properties *>()->getTo();
    if (!to && attributes)
      to = attributes.getAs<LayoutAttr>("to");
    if (!to)
      return failure();
    type = withEncoding(type, to);
  }
  inferred.assign(1, type);
  return success();
}

/// Verifies that `axes` are distinct and, where the mesh is known, its own.
static LogicalResult verifyAxes(Operation *op, ArrayRef<int64_t> axes) {
  if (axes.empty())
    return op->emitOpError("expects at least one mesh axis, got none");
  auto module = op->getParentOfType<ModuleOp>();
  MeshAttr mesh = module ? getMesh(module) : MeshAttr();
  for (auto [index, axis] : llvm::enumerate(axes)) {
    if (axis < 0)
      return op->emitOpError("expects mesh axes that are not negative, got ")
             << axis;
    if (mesh && axis >= static_cast<int64_t>(mesh.getNumAxes()))
      return op->emitOpError("expects an axis of the mesh, which has ")
             << mesh.getNumAxes() << ", got " << axis;
    if (index > 0 && axes[index - 1] >= axis)
      return op->emitOpError("expects mesh axes to increase strictly, got ")
             << axes[index - 1] << " before " << axis;
  }
  return success();
}

LogicalResult ReshardOp::verify() {
  RankedTensorType input = getInput().getType();
  RankedTensorType output = getOutput().getType();
  if (input.getShape() != output.getShape() ||
      input.getElementType() != output.getElementType())
    return emitOpError("expects operand and result to agree in shape and "
                       "element type, got ")
           << input << " and " << output;
  if (getFrom().getAxes().size() != getTo().getAxes().size())
    return emitOpError("expects as many mesh axes in both layouts, got ")
           << getFrom() << " and " << getTo();
  auto module = (*this)->getParentOfType<ModuleOp>();
  if (MeshAttr mesh = module ? getMesh(module) : MeshAttr())
    if (getFrom().getAxes().size() != mesh.getNumAxes())
      return emitOpError("expects layouts with one entry for each of the ")
             << mesh.getNumAxes() << " mesh axes, got " << getFrom();
  for (LayoutAttr layout : {getFrom(), getTo()})
    if (failed(layout.verifyEncoding(input.getShape(), input.getElementType(),
                                     [&] { return emitOpError(); })))
      return failure();
  auto verifyEncoding = [&](RankedTensorType type, LayoutAttr layout,
                            StringRef what) -> LogicalResult {
    auto encoding = dyn_cast_if_present<LayoutAttr>(type.getEncoding());
    if (encoding && encoding != layout)
      return emitOpError("expects the ")
             << what << " to be encoded as " << layout << ", got " << encoding;
    return success();
  };
  if (failed(verifyEncoding(input, getFrom(), "operand")) ||
      failed(verifyEncoding(output, getTo(), "result")))
    return failure();
  return success();
}

//===----------------------------------------------------------------------===//
// Collectives
//===----------------------------------------------------------------------===//

/// Each dimension of a type with the mesh axes that split it.
static SmallVector<ShardDim> getShardDims(RankedTensorType type) {
  if (auto shard = dyn_cast_if_present<ShardAttr>(type.getEncoding()))
    return SmallVector<ShardDim>(shard.getDims());
  return llvm::map_to_vector(type.getShape(), [](int64_t size) {
    ShardDim dim;
    dim.size = size;
    return dim;
  });
}

static LogicalResult verifyDim(Operation *op, int64_t dim, int64_t rank,
                               StringRef name) {
  if (dim >= 0 && dim < rank)
    return success();
  return op->emitOpError("expects '")
         << name << "' to be a dimension of a rank-" << rank << " tensor, got "
         << dim;
}

/// Removes `axes` from the end of a dimension's splits.
static LogicalResult removeSplits(Operation *op, SmallVector<ShardDim> &dims,
                                  int64_t dim, ArrayRef<int64_t> axes) {
  auto &splits = dims[dim].axes;
  if (ArrayRef<int64_t>(splits).take_back(axes.size()) != axes)
    return op->emitOpError("expects mesh axes [")
           << axes << "] to be the innermost splits of dimension " << dim
           << " of the operand, got [" << ArrayRef<int64_t>(splits) << "]";
  splits.resize(splits.size() - axes.size());
  if (splits.empty())
    dims[dim].unit = 1;
  return success();
}

/// Adds `axes` to the end of a dimension's splits.
/// A dimension that nothing split before takes the result's unit.
static LogicalResult addSplits(Operation *op, SmallVector<ShardDim> &dims,
                               int64_t dim, ArrayRef<int64_t> axes,
                               RankedTensorType output) {
  for (auto [index, other] : llvm::enumerate(dims))
    for (int64_t axis : axes)
      if (llvm::is_contained(other.axes, axis))
        return op->emitOpError("expects mesh axis ")
               << axis << " not to split the operand, but it splits dimension "
               << index;
  if (dims[dim].axes.empty())
    if (auto shard = dyn_cast_if_present<ShardAttr>(output.getEncoding()))
      if (dim < static_cast<int64_t>(shard.getDims().size()))
        dims[dim].unit = shard.getDims()[dim].unit;
  llvm::append_range(dims[dim].axes, axes);
  return success();
}

/// Verifies a result against the splits it should have. Capacities follow from
/// the mesh, where the module has one.
static LogicalResult verifyShardResult(Operation *op, RankedTensorType input,
                                       ArrayRef<ShardDim> dims,
                                       RankedTensorType output) {
  auto module = op->getParentOfType<ModuleOp>();
  MeshAttr mesh = module ? getMesh(module) : MeshAttr();
  bool whole =
      llvm::all_of(dims, [](const ShardDim &dim) { return dim.axes.empty(); });
  Attribute encoding;
  if (!whole)
    encoding = ShardAttr::get(op->getContext(), dims);
  if (output.getElementType() != input.getElementType())
    return op->emitOpError("expects a result of element type ")
           << input.getElementType() << ", got " << output.getElementType();
  if (output.getEncoding() != encoding) {
    InFlightDiagnostic diag = op->emitOpError("expects a result ");
    if (encoding)
      diag << "that is " << encoding;
    else
      diag << "that is not a shard";
    return diag << ", got " << output;
  }
  if (!encoding || mesh) {
    SmallVector<int64_t> shape;
    for (const ShardDim &dim : dims) {
      for (int64_t axis : dim.axes)
        if (axis >= static_cast<int64_t>(mesh.getNumAxes()))
          return op->emitOpError("expects splits by axes of the mesh, got ")
                 << axis << " of " << mesh.getNumAxes();
      shape.push_back(dim.axes.empty() ? dim.size : capacityOf(dim, mesh));
    }
    if (output.getShape() != ArrayRef<int64_t>(shape))
      return op->emitOpError("expects a result of shape [")
             << ArrayRef<int64_t>(shape) << "], got [" << output.getShape()
             << "]";
  }
  return success();
}

/// Verifies a collective's lists of tensors and each of its tensors by `one`.
template <typename Op>
static LogicalResult verifyCollective(
    Op op,
    llvm::function_ref<LogicalResult(RankedTensorType, RankedTensorType)> one) {
  size_t count = op.getInputs().size();
  if (count == 0)
    return op.emitOpError("expects at least one operand, got none");
  if (op.getOutputs().size() != count)
    return op.emitOpError("expects as many results as operands, ")
           << count << ", got " << op.getOutputs().size();
  if (!op.getDests().empty() && op.getDests().size() != count)
    return op.emitOpError("expects as many destinations as operands, ")
           << count << ", got " << op.getDests().size();
  if (failed(verifyAxes(op, op.getAxes())))
    return failure();
  for (auto [input, output] :
       llvm::zip_equal(op.getInputs().getTypes(), op.getOutputs().getTypes()))
    if (failed(
            one(cast<RankedTensorType>(input), cast<RankedTensorType>(output))))
      return failure();
  for (auto [dest, output] : llvm::zip(op.getDests(), op.getOutputs()))
    if (dest.getType() != output.getType())
      return op.emitOpError(
                 "expects the destination to have the result's type ")
             << output.getType() << ", got " << dest.getType();
  return success();
}

LogicalResult AllReduceOp::verify() {
  return verifyCollective(
      *this, [&](RankedTensorType input, RankedTensorType output) {
        if (input != output)
          return LogicalResult(
              emitOpError("expects a result of the operand's type ")
              << input << ", got " << output);
        return success();
      });
}

LogicalResult AllGatherOp::verify() {
  return verifyCollective(
      *this, [&](RankedTensorType input, RankedTensorType output) {
        SmallVector<ShardDim> dims = getShardDims(input);
        return LogicalResult::success(
            succeeded(verifyDim(*this, getDim(), dims.size(), "dim")) &&
            succeeded(removeSplits(*this, dims, getDim(), getAxes())) &&
            succeeded(verifyShardResult(*this, input, dims, output)));
      });
}

LogicalResult ReduceScatterOp::verify() {
  return verifyCollective(
      *this, [&](RankedTensorType input, RankedTensorType output) {
        SmallVector<ShardDim> dims = getShardDims(input);
        return LogicalResult::success(
            succeeded(verifyDim(*this, getDim(), dims.size(), "dim")) &&
            succeeded(addSplits(*this, dims, getDim(), getAxes(), output)) &&
            succeeded(verifyShardResult(*this, input, dims, output)));
      });
}

LogicalResult AllToAllOp::verify() {
  return verifyCollective(*this, [&](RankedTensorType input,
                                     RankedTensorType output) {
    SmallVector<ShardDim> dims = getShardDims(input);
    if (failed(verifyDim(*this, getGatherDim(), dims.size(), "gatherDim")) ||
        failed(verifyDim(*this, getSplitDim(), dims.size(), "splitDim")))
      return failure();
    if (getGatherDim() == getSplitDim())
      return LogicalResult(
          emitOpError("expects 'gatherDim' and 'splitDim' to differ, got ")
          << getGatherDim() << " twice");
    return LogicalResult::success(
        succeeded(removeSplits(*this, dims, getGatherDim(), getAxes())) &&
        succeeded(addSplits(*this, dims, getSplitDim(), getAxes(), output)) &&
        succeeded(verifyShardResult(*this, input, dims, output)));
  });
}

/// What one tensor of an exchange must be like.
static LogicalResult verifyExchange(ExchangeOp op, RankedTensorType input,
                                    RankedTensorType output) {
  SmallVector<ShardDim> from = getShardDims(input), to = getShardDims(output);
  if (getLogicalShape(input) != getLogicalShape(output))
    return op.emitOpError("expects a result of the operand's logical shape [")
           << ArrayRef<int64_t>(getLogicalShape(input)) << "], got ["
           << ArrayRef<int64_t>(getLogicalShape(output)) << "]";
  for (auto [index, before, after] : llvm::enumerate(from, to)) {
    size_t same = 0;
    // Blocks are the same up to the first axis that differs, if they are cut
    // in the same runs.
    ShardDim cut = before;
    cut.axes = after.axes;
    if (cut == after)
      while (same < before.axes.size() && same < after.axes.size() &&
             before.axes[same] == after.axes[same])
        ++same;
    for (const ShardDim *dim : {&before, &after})
      for (int64_t axis : ArrayRef<int64_t>(dim->axes).drop_front(same))
        if (!llvm::is_contained(op.getAxes(), axis))
          return op.emitOpError(
                     "expects all mesh axes whose split of dimension ")
                 << index << " changes, got axes [" << op.getAxes()
                 << "] without " << axis;
  }
  return verifyShardResult(op, input, to, output);
}

LogicalResult ExchangeOp::verify() {
  return verifyCollective(*this,
                          [&](RankedTensorType input, RankedTensorType output) {
                            return verifyExchange(*this, input, output);
                          });
}

LogicalResult LocalSliceOp::verify() {
  SmallVector<ShardDim> dims = getShardDims(getInput().getType());
  if (failed(verifyAxes(*this, getAxes())) ||
      failed(verifyDim(*this, getDim(), dims.size(), "dim")) ||
      failed(
          addSplits(*this, dims, getDim(), getAxes(), getOutput().getType())))
    return failure();
  return verifyShardResult(*this, getInput().getType(), dims,
                           getOutput().getType());
}

LogicalResult PartialOp::verify() { return verifyAxes(*this, getAxes()); }

//===----------------------------------------------------------------------===//
// MicroBatchesOp
//===----------------------------------------------------------------------===//

LogicalResult MicroBatchesOp::verify() {
  if (getInits().empty())
    return emitOpError("expects at least one accumulator, got none");
  if (getInits().getTypes() != getResults().getTypes())
    return emitOpError("expects results of the accumulators' types (")
           << getInits().getTypes() << "), got (" << getResults().getTypes()
           << ")";
  if (TypeRange(getBody().getArgumentTypes()) != getInits().getTypes())
    return emitOpError("expects block arguments of the accumulators' types (")
           << getInits().getTypes() << "), got ("
           << getBody().getArgumentTypes() << ")";
  auto module = (*this)->getParentOfType<ModuleOp>();
  MeshAttr mesh = module ? getMesh(module) : MeshAttr();
  if (mesh && mesh.getTimeAxis() < 0)
    return emitOpError("expects the mesh to have a 'time' axis, got ") << mesh;
  return success();
}

LogicalResult YieldOp::verify() {
  auto loop = cast<MicroBatchesOp>((*this)->getParentOp());
  if (getValues().getTypes() == loop.getResultTypes())
    return success();
  return emitOpError("expects values of the accumulators' types (")
         << loop.getResultTypes() << "), got (" << getValues().getTypes()
         << ")";
}

#define GET_OP_CLASSES
#include "dialects/Dist/DistOps.cpp.inc"
