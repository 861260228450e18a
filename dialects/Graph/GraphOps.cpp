// SPDX-License-Identifier: Apache-2.0
// Ops of the graph dialect: assembly and verifiers.
#include "dialects/Graph/Graph.h"
#include "dialects/Kernel/ShapeChecks.h"

#include "mlir/Interfaces/FunctionImplementation.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace weir;
using namespace weir::graph;

using dist::parseSameTypes;
using dist::printSameTypes;
using kernel::expectDim;
using kernel::expectElementType;
using kernel::expectFloat;
using kernel::expectInteger;
using kernel::expectRank;
using kernel::expectShape;

static RankedTensorType typeOf(Value value) {
  return cast<RankedTensorType>(value.getType());
}

static ArrayRef<int64_t> shapeOf(Value value) {
  return typeOf(value).getShape();
}

//===----------------------------------------------------------------------===//
// Element-wise ops
//===----------------------------------------------------------------------===//

/// The type without a layout encoding; shards stay.
static Type withoutLayout(Type type) {
  auto tensor = dyn_cast<RankedTensorType>(type);
  if (!tensor || !isa_and_present<dist::LayoutAttr>(tensor.getEncoding()))
    return type;
  return dist::withEncoding(tensor, {});
}

bool graph::isSameUpToLayout(Type a, Type b) {
  return withoutLayout(a) == withoutLayout(b);
}

LogicalResult graph::verifyOneTypeUpToLayout(Operation *op) {
  Type first = op->getOperand(0).getType();
  auto check = [&](Type type, StringRef what, unsigned index) -> LogicalResult {
    if (isSameUpToLayout(type, first))
      return success();
    return op->emitOpError("expects operands and results of one type, got ")
           << first << " (operand 0) and " << type << " (" << what << " "
           << index << ")";
  };
  for (auto [index, operand] : llvm::enumerate(op->getOperands()))
    if (failed(check(operand.getType(), "operand", index)))
      return failure();
  for (auto [index, result] : llvm::enumerate(op->getResults()))
    if (failed(check(result.getType(), "result", index)))
      return failure();
  return success();
}

LogicalResult GeluOp::verify() {
  return expectFloat(*this, "input", getInput());
}

LogicalResult CompareOp::verify() {
  return expectElementType(*this, "output", getOutput(),
                           IntegerType::get(getContext(), 1));
}

LogicalResult SelectOp::verify() {
  return expectElementType(*this, "condition", getCondition(),
                           IntegerType::get(getContext(), 1));
}

LogicalResult CastOp::verify() {
  auto verifyElement = [&](StringRef what, Value value) -> LogicalResult {
    Type type = typeOf(value).getElementType();
    if (isa<FloatType, IntegerType>(type))
      return success();
    return emitOpError("expects '")
           << what << "' of a floating-point or integer element type, got "
           << type;
  };
  if (failed(verifyElement("input", getInput())))
    return failure();
  return verifyElement("output", getOutput());
}

//===----------------------------------------------------------------------===//
// Variables and entries
//===----------------------------------------------------------------------===//

LogicalResult VariableOp::verify() {
  auto type = dyn_cast<RankedTensorType>(getType());
  if (!type || !type.hasStaticShape())
    return emitOpError("expects a tensor of static shape, got ") << getType();
  if (type.getEncoding())
    return emitOpError("expects a logical type without encoding, got ") << type;
  if (std::optional<StoredAttr> stored = getStored()) {
    int64_t count = 1;
    for (int64_t size : stored->getShape())
      if (llvm::MulOverflow(count, size, count))
        return emitOpError("expects the stored tensor '")
               << stored->getName().getValue()
               << "' to have a number of elements that fits 64 bits";
    if (count != type.getNumElements())
      return emitOpError("expects the stored tensor '")
             << stored->getName().getValue() << "' to have "
             << type.getNumElements() << " elements, as the variable has, got "
             << count;
  }
  return success();
}

void EntryOp::build(OpBuilder &builder, OperationState &state, StringRef name,
                    FunctionType type) {
  state.addAttribute(getSymNameAttrName(state.name),
                     builder.getStringAttr(name));
  state.addAttribute(getFunctionTypeAttrName(state.name), TypeAttr::get(type));
  Block &body = state.addRegion()->emplaceBlock();
  for (Type input : type.getInputs())
    body.addArgument(input, state.location);
}

ParseResult EntryOp::parse(OpAsmParser &parser, OperationState &result) {
  auto buildFunctionType =
      [](Builder &builder, ArrayRef<Type> inputs, ArrayRef<Type> results,
         function_interface_impl::VariadicFlag,
         std::string &) { return builder.getFunctionType(inputs, results); };
  return function_interface_impl::parseFunctionOp(
      parser, result, /*allowVariadic=*/false,
      getFunctionTypeAttrName(result.name), buildFunctionType,
      getArgAttrsAttrName(result.name), getResAttrsAttrName(result.name));
}

void EntryOp::print(OpAsmPrinter &printer) {
  function_interface_impl::printFunctionOp(
      printer, *this, /*isVariadic=*/false, getFunctionTypeAttrName(),
      getArgAttrsAttrName(), getResAttrsAttrName());
}

static StringRef getStringValue(Attribute attribute) {
  if (auto symbol = dyn_cast_if_present<FlatSymbolRefAttr>(attribute))
    return symbol.getValue();
  if (auto string = dyn_cast_if_present<StringAttr>(attribute))
    return string.getValue();
  return {};
}

StringRef EntryOp::getArgumentVariable(unsigned index) {
  return getStringValue(getArgAttr(index, GraphDialect::getVariableAttrName()));
}

StringRef EntryOp::getArgumentInput(unsigned index) {
  return getStringValue(getArgAttr(index, GraphDialect::getInputAttrName()));
}

StringRef EntryOp::getResultVariable(unsigned index) {
  return getStringValue(
      getResultAttr(index, GraphDialect::getVariableAttrName()));
}

StringRef EntryOp::getResultOutput(unsigned index) {
  return getStringValue(
      getResultAttr(index, GraphDialect::getOutputAttrName()));
}

/// Verifies that exactly one of the two bindings is there, and well formed.
static LogicalResult verifyBinding(EntryOp entry, const Twine &what,
                                   Attribute variable, Attribute named,
                                   StringRef namedAttrName) {
  if (!variable == !named)
    return entry.emitOpError("expects ")
           << what << " to have one of 'graph.variable' and '" << namedAttrName
           << "', got " << (variable ? "both" : "none");
  if (variable && !isa<FlatSymbolRefAttr>(variable))
    return entry.emitOpError("expects 'graph.variable' of ")
           << what << " to be a symbol, got " << variable;
  if (named) {
    auto string = dyn_cast<StringAttr>(named);
    if (!string || string.getValue().empty())
      return entry.emitOpError("expects '")
             << namedAttrName << "' of " << what
             << " to be a string that is not empty, got " << named;
  }
  return success();
}

LogicalResult EntryOp::verify() {
  StringRef variableName = GraphDialect::getVariableAttrName();
  StringRef inputName = GraphDialect::getInputAttrName();
  StringRef outputName = GraphDialect::getOutputAttrName();
  llvm::StringMap<unsigned> inputs, readVariables;
  for (unsigned index = 0, e = getNumArguments(); index < e; ++index) {
    if (!isa<RankedTensorType>(getArgumentTypes()[index]))
      return emitOpError("expects argument ")
             << index << " to be a tensor, got " << getArgumentTypes()[index];
    if (failed(verifyBinding(*this, "argument " + Twine(index),
                             getArgAttr(index, variableName),
                             getArgAttr(index, inputName), inputName)))
      return failure();
    auto &seen = getArgAttr(index, variableName) ? readVariables : inputs;
    StringRef name = getArgAttr(index, variableName)
                         ? getArgumentVariable(index)
                         : getArgumentInput(index);
    auto [it, inserted] = seen.try_emplace(name, index);
    if (!inserted)
      return emitOpError("expects arguments bound to different things, got '")
             << name << "' for arguments " << it->second << " and " << index;
  }
  llvm::StringMap<unsigned> outputs, writtenVariables;
  for (unsigned index = 0, e = getNumResults(); index < e; ++index) {
    if (!isa<RankedTensorType>(getResultTypes()[index]))
      return emitOpError("expects result ")
             << index << " to be a tensor, got " << getResultTypes()[index];
    Attribute variable = getResultAttr(index, variableName);
    if (failed(verifyBinding(*this, "result " + Twine(index), variable,
                             getResultAttr(index, outputName), outputName)))
      return failure();
    if (!variable) {
      auto [it, inserted] = outputs.try_emplace(getResultOutput(index), index);
      if (!inserted)
        return emitOpError("expects outputs of different names, got '")
               << it->first() << "' for results " << it->second << " and "
               << index;
      continue;
    }
    StringRef name = getResultVariable(index);
    auto [it, inserted] = writtenVariables.try_emplace(name, index);
    if (!inserted)
      return emitOpError("expects a variable to be updated once, got '")
             << name << "' for results " << it->second << " and " << index;
    if (!readVariables.contains(name))
      return emitOpError("expects the variable '")
             << name << "', which result " << index
             << " updates, to be bound to an argument too";
  }
  return success();
}

/// Verifies that `type` is a variable's logical type, or the type of its shard
/// in the layout of the argument or result.
static LogicalResult verifyVariableType(EntryOp entry, const Twine &what,
                                        Type type, Attribute layoutAttr,
                                        VariableOp variable) {
  auto actual = cast<RankedTensorType>(type);
  RankedTensorType logical = variable.getTensorType();
  auto layout = dyn_cast_if_present<dist::LayoutAttr>(layoutAttr);
  if (isSameUpToLayout(actual, logical))
    return success();
  RankedTensorType expected = logical;
  auto module = entry->getParentOfType<ModuleOp>();
  if (dist::MeshAttr mesh = module ? dist::getMesh(module) : dist::MeshAttr())
    if (layout && layout.getAxes().size() == mesh.getNumAxes() &&
        isa_and_present<dist::ShardAttr>(actual.getEncoding()))
      expected = dist::getLocalType(logical, layout, mesh);
  if (actual == expected)
    return success();
  InFlightDiagnostic diag = entry.emitOpError("expects ")
                            << what << " of type " << expected
                            << ", as its variable '" << variable.getSymName()
                            << "' has, got " << actual;
  diag.attachNote(variable.getLoc()) << "the variable is here";
  return diag;
}

LogicalResult EntryOp::verifySymbolUses(SymbolTableCollection &symbolTable) {
  StringRef variableName = GraphDialect::getVariableAttrName();
  StringRef layoutName = dist::DistDialect::getLayoutAttrName();
  auto check = [&](const Twine &what, Attribute binding, Type type,
                   Attribute layout) -> LogicalResult {
    auto symbol = dyn_cast_if_present<FlatSymbolRefAttr>(binding);
    if (!symbol)
      return success();
    auto variable =
        symbolTable.lookupNearestSymbolFrom<VariableOp>(*this, symbol);
    if (!variable)
      return emitOpError("expects a 'graph.variable' named '")
             << symbol.getValue() << "' for " << what << ", got none";
    return verifyVariableType(*this, what, type, layout, variable);
  };
  for (unsigned index = 0, e = getNumArguments(); index < e; ++index)
    if (failed(check("argument " + Twine(index),
                     getArgAttr(index, variableName), getArgumentTypes()[index],
                     getArgAttr(index, layoutName))))
      return failure();
  for (unsigned index = 0, e = getNumResults(); index < e; ++index)
    if (failed(
            check("result " + Twine(index), getResultAttr(index, variableName),
                  getResultTypes()[index], getResultAttr(index, layoutName))))
      return failure();
  return success();
}

LogicalResult ReturnOp::verify() {
  auto entry = cast<EntryOp>((*this)->getParentOp());
  if (getValues().getTypes() == TypeRange(entry.getResultTypes()))
    return success();
  InFlightDiagnostic diag = emitOpError("expects values of the types (")
                            << entry.getResultTypes() << ") of entry '"
                            << entry.getSymName() << "', got ("
                            << getValues().getTypes() << ")";
  diag.attachNote(entry.getLoc()) << "the entry is here";
  return diag;
}

//===----------------------------------------------------------------------===//
// Tensor ops
//===----------------------------------------------------------------------===//

LogicalResult ConstantOp::verify() {
  return kernel::verifyConstant(*this, getValue());
}

LogicalResult IotaOp::verify() {
  return expectDim(*this, "dim", getDim(), typeOf(getOutput()).getRank());
}

/// Verifies that `dims` increase strictly within a rank.
static LogicalResult verifyIncreasing(Operation *op, ArrayRef<int64_t> dims,
                                      int64_t rank) {
  for (auto [index, dim] : llvm::enumerate(dims)) {
    if (dim < 0 || dim >= rank)
      return op->emitOpError("expects 'dims' of a rank-")
             << rank << " tensor, got " << dim;
    if (index > 0 && dims[index - 1] >= dim)
      return op->emitOpError("expects 'dims' to increase strictly, got ")
             << dims[index - 1] << " before " << dim;
  }
  return success();
}

LogicalResult BroadcastOp::verify() {
  RankedTensorType input = typeOf(getInput()), output = typeOf(getOutput());
  if (static_cast<int64_t>(getDims().size()) != input.getRank())
    return emitOpError("expects 'dims' to have ")
           << input.getRank() << " entries, one for each dim of the operand, "
           << "got " << getDims().size();
  if (failed(verifyIncreasing(*this, getDims(), output.getRank())) ||
      failed(expectElementType(*this, "output", getOutput(),
                               input.getElementType())))
    return failure();
  for (auto [index, dim] : llvm::enumerate(getDims()))
    if (input.getDimSize(index) != output.getDimSize(dim))
      return emitOpError("expects result dim ")
             << dim << " of size " << input.getDimSize(index)
             << ", as operand dim " << index << " has, got "
             << output.getDimSize(dim);
  return success();
}

LogicalResult ReduceOp::verify() {
  RankedTensorType input = typeOf(getInput());
  if (failed(verifyIncreasing(*this, getDims(), input.getRank())) ||
      failed(expectElementType(*this, "output", getOutput(),
                               input.getElementType())))
    return failure();
  SmallVector<int64_t> shape;
  for (auto [dim, size] : llvm::enumerate(input.getShape()))
    if (!llvm::is_contained(getDims(), static_cast<int64_t>(dim)))
      shape.push_back(size);
  return expectShape(*this, "output", getOutput(), shape);
}

LogicalResult ReshapeOp::verify() {
  return kernel::verifyReshape(*this, getInput(), getOutput());
}

LogicalResult TransposeOp::verify() {
  return kernel::verifyTranspose(*this, getInput(), getPermutation(),
                                 getOutput());
}

LogicalResult SliceOp::verify() {
  return kernel::verifySlice(*this, getInput(), getOffsets(), getOutput());
}

LogicalResult ConcatOp::verify() {
  return kernel::verifyConcat(*this, getInputs(), getDim(), getOutput());
}

//===----------------------------------------------------------------------===//
// Model ops
//===----------------------------------------------------------------------===//

static SmallVector<int64_t> getFreeDims(int64_t rank, ArrayRef<int64_t> batch,
                                        ArrayRef<int64_t> contract) {
  SmallVector<int64_t> dims;
  for (int64_t dim = 0; dim < rank; ++dim)
    if (!llvm::is_contained(batch, dim) && !llvm::is_contained(contract, dim))
      dims.push_back(dim);
  return dims;
}

SmallVector<int64_t> MatmulOp::getLhsFree() {
  return getFreeDims(typeOf(getLhs()).getRank(), getLhsBatch(),
                     getLhsContract());
}

SmallVector<int64_t> MatmulOp::getRhsFree() {
  return getFreeDims(typeOf(getRhs()).getRank(), getRhsBatch(),
                     getRhsContract());
}

LogicalResult MatmulOp::verify() {
  auto verifySide = [&](StringRef what, Value value, ArrayRef<int64_t> batch,
                        ArrayRef<int64_t> contract) -> LogicalResult {
    int64_t rank = typeOf(value).getRank();
    SmallVector<bool> seen(rank, false);
    for (int64_t dim : llvm::concat<const int64_t>(batch, contract)) {
      if (dim < 0 || dim >= rank)
        return emitOpError("expects batch and contracted dims of '")
               << what << "' below its rank " << rank << ", got " << dim;
      if (seen[dim])
        return emitOpError("expects batch and contracted dims of '")
               << what << "' to be distinct, got " << dim << " twice";
      seen[dim] = true;
    }
    return success();
  };
  if (failed(verifySide("lhs", getLhs(), getLhsBatch(), getLhsContract())) ||
      failed(verifySide("rhs", getRhs(), getRhsBatch(), getRhsContract())))
    return failure();
  auto verifyPairs = [&](StringRef what, ArrayRef<int64_t> lhs,
                         ArrayRef<int64_t> rhs) -> LogicalResult {
    if (lhs.size() != rhs.size())
      return emitOpError("expects equally many ")
             << what << " dims on both sides, got " << lhs.size() << " and "
             << rhs.size();
    for (auto [l, r] : llvm::zip_equal(lhs, rhs))
      if (shapeOf(getLhs())[l] != shapeOf(getRhs())[r])
        return emitOpError("expects ")
               << what << " dims of equal sizes, got " << shapeOf(getLhs())[l]
               << " (dim " << l << " of 'lhs') and " << shapeOf(getRhs())[r]
               << " (dim " << r << " of 'rhs')";
    return success();
  };
  Type element = typeOf(getLhs()).getElementType();
  if (failed(verifyPairs("batch", getLhsBatch(), getRhsBatch())) ||
      failed(verifyPairs("contracted", getLhsContract(), getRhsContract())) ||
      failed(expectElementType(*this, "rhs", getRhs(), element)) ||
      failed(expectElementType(*this, "output", getOutput(), element)))
    return failure();
  SmallVector<int64_t> shape;
  for (int64_t dim : getLhsBatch())
    shape.push_back(shapeOf(getLhs())[dim]);
  for (int64_t dim : getLhsFree())
    shape.push_back(shapeOf(getLhs())[dim]);
  for (int64_t dim : getRhsFree())
    shape.push_back(shapeOf(getRhs())[dim]);
  return expectShape(*this, "output", getOutput(), shape);
}

LogicalResult EmbeddingOp::verify() {
  return kernel::verifyGather(*this, "table", getTable(), getIndices(),
                              "output", getOutput());
}

LogicalResult EmbeddingGradOp::verify() {
  return kernel::verifyGather(*this, "output", getOutput(), getIndices(),
                              "updates", getUpdates());
}

/// Verifies that `value` has the first value's element type, which is float.
static LogicalResult verifyFloats(Operation *op, StringRef firstName,
                                  Value first,
                                  ArrayRef<std::pair<StringRef, Value>> rest) {
  if (failed(expectFloat(op, firstName, first)))
    return failure();
  for (auto [name, value] : rest)
    if (failed(
            expectElementType(op, name, value, typeOf(first).getElementType())))
      return failure();
  return success();
}

LogicalResult LayerNormOp::verify() {
  if (failed(verifyFloats(*this, "input", getInput(),
                          {{"scale", getScale()},
                           {"bias", getBias()},
                           {"output", getOutput()},
                           {"mean", getMean()},
                           {"rstd", getRstd()}})))
    return failure();
  ArrayRef<int64_t> shape = shapeOf(getInput());
  if (shape.empty())
    return emitOpError("expects 'input' of rank 1 or more, got ")
           << getInput().getType();
  if (failed(expectShape(*this, "scale", getScale(), shape.take_back())) ||
      failed(expectShape(*this, "bias", getBias(), shape.take_back())) ||
      failed(expectShape(*this, "output", getOutput(), shape)) ||
      failed(expectShape(*this, "mean", getMean(), shape.drop_back())))
    return failure();
  return expectShape(*this, "rstd", getRstd(), shape.drop_back());
}

LogicalResult RmsNormOp::verify() {
  if (failed(verifyFloats(*this, "input", getInput(),
                          {{"scale", getScale()},
                           {"output", getOutput()},
                           {"rstd", getRstd()}})))
    return failure();
  ArrayRef<int64_t> shape = shapeOf(getInput());
  if (shape.empty())
    return emitOpError("expects 'input' of rank 1 or more, got ")
           << getInput().getType();
  if (failed(expectShape(*this, "scale", getScale(), shape.take_back())) ||
      failed(expectShape(*this, "output", getOutput(), shape)))
    return failure();
  return expectShape(*this, "rstd", getRstd(), shape.drop_back());
}

LogicalResult SoftmaxOp::verify() {
  if (shapeOf(getInput()).empty())
    return emitOpError("expects 'input' of rank 1 or more, got ")
           << getInput().getType();
  return expectFloat(*this, "input", getInput());
}

LogicalResult RopeOp::verify() {
  if (failed(verifyFloats(
          *this, "input", getInput(),
          {{"cos", getCos()}, {"sin", getSin()}, {"output", getOutput()}})))
    return failure();
  ArrayRef<int64_t> shape = shapeOf(getInput());
  if (shape.size() < 2)
    return emitOpError("expects 'input' of rank 2 or more, got ")
           << getInput().getType();
  // The last dimension is rotated, so that the sequence is an earlier one.
  if (failed(expectDim(*this, "seqDim", getSeqDim(), shape.size())))
    return failure();
  if (static_cast<size_t>(getSeqDim()) + 1 == shape.size())
    return emitOpError("expects 'seqDim' not to be the last dim, got ")
           << getSeqDim();
  if (shape.back() % 2 != 0)
    return emitOpError("expects the last dim of 'input' to be even, got ")
           << shape.back();
  int64_t table[] = {shape[getSeqDim()], shape.back() / 2};
  if (failed(expectShape(*this, "cos", getCos(), table)) ||
      failed(expectShape(*this, "sin", getSin(), table)))
    return failure();
  return expectShape(*this, "output", getOutput(), shape);
}

/// Shapes that attention and its gradient share: query `[B, T, G, R, D]`, key
/// `[B, S, G, D]`, value `[B, S, G, E]`, output `[B, T, G, R, E]`, lse
/// `[B, G, R, T]`.
static LogicalResult verifyAttention(Operation *op, Value query, Value key,
                                     Value value, Value output, Value lse,
                                     ValueRange positions, bool causal) {
  if (failed(verifyFloats(
          op, "query", query,
          {{"key", key}, {"value", value}, {"output", output}, {"lse", lse}})))
    return failure();
  if (failed(expectRank(op, "query", query, 5)) ||
      failed(expectRank(op, "key", key, 4)) ||
      failed(expectRank(op, "value", value, 4)))
    return failure();
  ArrayRef<int64_t> q = shapeOf(query);
  int64_t batch = q[0], rows = q[1], groups = q[2], repeats = q[3], size = q[4];
  int64_t keys = shapeOf(key)[1], valueSize = shapeOf(value)[3];
  if (failed(expectShape(op, "key", key, {batch, keys, groups, size})) ||
      failed(
          expectShape(op, "value", value, {batch, keys, groups, valueSize})) ||
      failed(expectShape(op, "output", output,
                         {batch, rows, groups, repeats, valueSize})) ||
      failed(expectShape(op, "lse", lse, {batch, groups, repeats, rows})))
    return failure();
  if (!positions.empty()) {
    if (!causal || positions.size() != 2)
      return op->emitOpError(
                 "expects positions of a causal attention, one "
                 "tensor for its queries and one for its keys, got ")
             << positions.size() << (causal ? "" : " without 'causal'");
    Type i32 = IntegerType::get(op->getContext(), 32);
    if (failed(expectElementType(op, "query positions", positions[0], i32)) ||
        failed(expectElementType(op, "key positions", positions[1], i32)) ||
        failed(expectShape(op, "query positions", positions[0], {rows})) ||
        failed(expectShape(op, "key positions", positions[1], {keys})))
      return failure();
    return success();
  }
  // Of the whole sequences: a part may hold more queries than keys.
  int64_t queries =
      dist::getLogicalShape(cast<RankedTensorType>(query.getType()))[1];
  int64_t allKeys =
      dist::getLogicalShape(cast<RankedTensorType>(key.getType()))[1];
  if (causal && queries > allKeys)
    return op->emitOpError("expects at least as many keys as queries when "
                           "causal, got ")
           << allKeys << " and " << queries;
  return success();
}

LogicalResult AttentionOp::verify() {
  return verifyAttention(*this, getQuery(), getKey(), getValue(), getOutput(),
                         getLse(), getPositions(), getCausal());
}

LogicalResult AttentionGradOp::verify() {
  if (failed(verifyAttention(*this, getQuery(), getKey(), getValue(),
                             getOutput(), getLse(), getPositions(),
                             getCausal())) ||
      failed(verifyFloats(*this, "query", getQuery(),
                          {{"outputGradient", getOutputGradient()},
                           {"queryGradient", getQueryGradient()},
                           {"keyGradient", getKeyGradient()},
                           {"valueGradient", getValueGradient()}})) ||
      failed(expectShape(*this, "outputGradient", getOutputGradient(),
                         shapeOf(getOutput()))) ||
      failed(expectShape(*this, "queryGradient", getQueryGradient(),
                         shapeOf(getQuery()))) ||
      failed(expectShape(*this, "keyGradient", getKeyGradient(),
                         shapeOf(getKey()))))
    return failure();
  return expectShape(*this, "valueGradient", getValueGradient(),
                     shapeOf(getValue()));
}

/// `value` is a rank-0 tensor of a type.
static LogicalResult expectScalar(Operation *op, StringRef what, Value value,
                                  Type type) {
  if (failed(expectElementType(op, what, value, type)))
    return failure();
  return expectShape(op, what, value, {});
}

static LogicalResult verifySite(Operation *op, StringRef site) {
  if (!site.empty())
    return success();
  return op->emitOpError("expects a site that is not empty");
}

LogicalResult DropoutOp::verify() {
  Type i32 = IntegerType::get(getContext(), 32);
  if (failed(verifySite(*this, getSite())) ||
      failed(verifyFloats(*this, "input", getInput(),
                          {{"output", getOutput()}})) ||
      failed(expectScalar(*this, "seed", getSeed(), i32)) ||
      failed(expectScalar(*this, "step", getStep(), i32)) ||
      failed(expectShape(*this, "output", getOutput(), shapeOf(getInput()))))
    return failure();
  double rate = getRate().convertToDouble();
  // 1 would scale what is kept by infinity.
  if (!(rate >= 0.0 && rate < 1.0))
    return emitOpError("expects a rate in [0, 1), got ") << rate;
  return success();
}

static LogicalResult verifyCrossEntropy(Operation *op, Value logits,
                                        Value labels) {
  ArrayRef<int64_t> shape = shapeOf(logits);
  if (shape.empty())
    return op->emitOpError("expects 'logits' of rank 1 or more, got ")
           << logits.getType();
  if (failed(expectFloat(op, "logits", logits)) ||
      failed(expectInteger(op, "labels", labels)))
    return failure();
  return expectShape(op, "labels", labels, shape.drop_back());
}

LogicalResult CrossEntropyOp::verify() {
  if (failed(verifyCrossEntropy(*this, getLogits(), getLabels())) ||
      failed(verifyFloats(*this, "logits", getLogits(),
                          {{"loss", getLoss()}, {"lse", getLse()}})) ||
      failed(expectShape(*this, "loss", getLoss(), shapeOf(getLabels()))))
    return failure();
  return expectShape(*this, "lse", getLse(), shapeOf(getLabels()));
}

LogicalResult CrossEntropyGradOp::verify() {
  if (failed(verifyCrossEntropy(*this, getLogits(), getLabels())) ||
      failed(verifyFloats(*this, "logits", getLogits(),
                          {{"lse", getLse()},
                           {"lossGradient", getLossGradient()},
                           {"output", getOutput()}})) ||
      failed(expectShape(*this, "lse", getLse(), shapeOf(getLabels()))) ||
      failed(expectShape(*this, "lossGradient", getLossGradient(),
                         shapeOf(getLabels()))))
    return failure();
  return expectShape(*this, "output", getOutput(), shapeOf(getLogits()));
}

//===----------------------------------------------------------------------===//
// Optimizers
//===----------------------------------------------------------------------===//

/// Verifies tensors of the parameter's shape and element type, rank-0 numbers,
/// and the rank-0 condition.
static LogicalResult
verifyOptimizer(Operation *op, StringRef site, Value parameter,
                ArrayRef<std::pair<StringRef, Value>> tensors,
                ArrayRef<std::pair<StringRef, Value>> scalars, Value apply) {
  if (failed(verifySite(op, site)) ||
      failed(verifyFloats(op, "parameter", parameter, tensors)))
    return failure();
  for (auto [name, value] : tensors)
    if (failed(expectShape(op, name, value, shapeOf(parameter))))
      return failure();
  // f64 runs of the whole step (the reference) have f64 scalars.
  for (auto [name, value] : scalars)
    if (failed(expectFloat(op, name, value)) ||
        failed(expectShape(op, name, value, {})))
      return failure();
  return expectScalar(op, "apply", apply,
                      IntegerType::get(op->getContext(), 1));
}

LogicalResult AdamWOp::verify() {
  return verifyOptimizer(*this, getSite(), getParameter(),
                         {{"firstMoment", getFirstMoment()},
                          {"secondMoment", getSecondMoment()},
                          {"gradient", getGradient()},
                          {"newParameter", getNewParameter()},
                          {"newFirstMoment", getNewFirstMoment()},
                          {"newSecondMoment", getNewSecondMoment()}},
                         {{"scale", getScale()},
                          {"learningRate", getLearningRate()},
                          {"beta1", getBeta1()},
                          {"beta2", getBeta2()},
                          {"epsilon", getEpsilon()},
                          {"weightDecay", getWeightDecay()},
                          {"correction1", getCorrection1()},
                          {"correction2", getCorrection2()}},
                         getApply());
}

LogicalResult SgdOp::verify() {
  return verifyOptimizer(*this, getSite(), getParameter(),
                         {{"momentumBuffer", getMomentumBuffer()},
                          {"gradient", getGradient()},
                          {"newParameter", getNewParameter()},
                          {"newMomentumBuffer", getNewMomentumBuffer()}},
                         {{"scale", getScale()},
                          {"learningRate", getLearningRate()},
                          {"momentum", getMomentum()},
                          {"weightDecay", getWeightDecay()}},
                         getApply());
}

#define GET_OP_CLASSES
#include "dialects/Graph/GraphOps.cpp.inc"
