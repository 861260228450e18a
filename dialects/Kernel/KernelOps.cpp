// SPDX-License-Identifier: Apache-2.0
// Ops of the kernel dialect: assembly, verifiers, folders.
#include "dialects/Kernel/Kernel.h"
#include "dialects/Kernel/ShapeChecks.h"

using namespace mlir;
using namespace weir;
using namespace weir::kernel;

//===----------------------------------------------------------------------===//
// GenericOp
//===----------------------------------------------------------------------===//

unsigned GenericOp::getNumLoops() {
  if (getMaps().empty())
    return 0;
  return cast<AffineMapAttr>(getMaps()[0]).getValue().getNumDims();
}

AffineMap GenericOp::getInputMap(unsigned input) {
  return cast<AffineMapAttr>(getMaps()[input]).getValue();
}

AffineMap GenericOp::getOutputMap(unsigned output) {
  return cast<AffineMapAttr>(getMaps()[getInputs().size() + output]).getValue();
}

SmallVector<int64_t> GenericOp::getLoopSizes() {
  SmallVector<int64_t> sizes(getNumLoops(), 0);
  auto visit = [&](AffineMap map, Value value) {
    ArrayRef<int64_t> shape =
        cast<RankedTensorType>(value.getType()).getShape();
    for (auto [expr, size] : llvm::zip_equal(map.getResults(), shape))
      if (auto dim = dyn_cast<AffineDimExpr>(expr))
        sizes[dim.getPosition()] = size;
  };
  for (auto [index, input] : llvm::enumerate(getInputs()))
    visit(getInputMap(index), input);
  for (auto [index, output] : llvm::enumerate(getOutputs()))
    visit(getOutputMap(index), output);
  return sizes;
}

SmallVector<unsigned> GenericOp::getReductionLoops() {
  SmallVector<bool> parallel(getNumLoops(), false);
  for (unsigned index = 0, e = getOutputs().size(); index < e; ++index)
    for (AffineExpr expr : getOutputMap(index).getResults())
      if (auto dim = dyn_cast<AffineDimExpr>(expr))
        parallel[dim.getPosition()] = true;
  SmallVector<unsigned> loops;
  for (auto [loop, isParallel] : llvm::enumerate(parallel))
    if (!isParallel)
      loops.push_back(loop);
  return loops;
}

ParseResult GenericOp::parse(OpAsmParser &parser, OperationState &result) {
  SmallVector<OpAsmParser::UnresolvedOperand> operands;
  SmallVector<Type> operandTypes, resultTypes;
  llvm::SMLoc operandsLoc = parser.getCurrentLocation();
  if (succeeded(parser.parseOptionalKeyword("ins"))) {
    if (parser.parseLParen() || parser.parseOperandList(operands) ||
        parser.parseColonTypeList(operandTypes) || parser.parseRParen())
      return failure();
  }
  ArrayAttr maps;
  if (parser.parseKeyword("maps") ||
      parser.parseAttribute(maps, getMapsAttrName(result.name),
                            result.attributes))
    return failure();
  if (succeeded(parser.parseOptionalKeyword("combiner"))) {
    llvm::SMLoc loc = parser.getCurrentLocation();
    StringRef name;
    if (parser.parseKeyword(&name))
      return failure();
    std::optional<Combiner> combiner = symbolizeCombiner(name);
    if (!combiner)
      return parser.emitError(loc, "expects the combiner 'none', 'sum', 'max' "
                                   "or 'min', got '")
             << name << "'";
    result.addAttribute(getCombinerAttrName(result.name),
                        CombinerAttr::get(parser.getContext(), *combiner));
  }
  Region *body = result.addRegion();
  if (parser.parseOptionalAttrDictWithKeyword(result.attributes) ||
      parser.parseRegion(*body) ||
      parser.parseOptionalArrowTypeList(resultTypes) ||
      parser.resolveOperands(operands, operandTypes, operandsLoc,
                             result.operands))
    return failure();
  result.addTypes(resultTypes);
  return success();
}

void GenericOp::print(OpAsmPrinter &printer) {
  if (!getInputs().empty())
    printer << " ins(" << getInputs() << " : " << getInputs().getTypes() << ")";
  printer << " maps " << getMaps();
  if (getCombiner() != Combiner::None)
    printer << " combiner " << stringifyCombiner(getCombiner());
  printer.printOptionalAttrDictWithKeyword(
      (*this)->getAttrs(), {getMapsAttrName(), getCombinerAttrName()});
  printer << " ";
  printer.printRegion(getBody());
  printer.printOptionalArrowTypeList(getResultTypes());
}

LogicalResult GenericOp::verify() {
  size_t numInputs = getInputs().size(), numOutputs = getOutputs().size();
  if (numOutputs == 0)
    return emitOpError("expects at least one result, got none");
  if (getMaps().size() != numInputs + numOutputs)
    return emitOpError("expects one map for each of ")
           << numInputs << " inputs and " << numOutputs << " results, got "
           << getMaps().size();

  unsigned numLoops = getNumLoops();
  constexpr int64_t unknown = -1;
  SmallVector<int64_t> sizes(numLoops, unknown);
  for (size_t index = 0; index < numInputs + numOutputs; ++index) {
    bool isInput = index < numInputs;
    AffineMap map = cast<AffineMapAttr>(getMaps()[index]).getValue();
    Value value =
        isInput ? getInputs()[index] : getOutputs()[index - numInputs];
    auto type = cast<RankedTensorType>(value.getType());
    std::string what = isInput ? "input " + std::to_string(index)
                               : "result " + std::to_string(index - numInputs);
    if (map.getNumSymbols() != 0)
      return emitOpError("expects maps without symbols, got ")
             << AffineMapAttr::get(map) << " for " << what;
    if (map.getNumDims() != numLoops)
      return emitOpError("expects maps over the same ")
             << numLoops << " loops, got " << AffineMapAttr::get(map) << " for "
             << what;
    if (map.getNumResults() != type.getRank())
      return emitOpError("expects the map of ")
             << what << " to have " << type.getRank()
             << " results, one for each dim, got " << AffineMapAttr::get(map);
    SmallVector<bool> seen(numLoops, false);
    for (auto [position, expr] : llvm::enumerate(map.getResults())) {
      int64_t size = type.getDimSize(position);
      if (auto constant = dyn_cast<AffineConstantExpr>(expr)) {
        if (!isInput)
          return emitOpError("expects the map of ")
                 << what << " to hold loops only, got "
                 << AffineMapAttr::get(map);
        if (constant.getValue() < 0 || constant.getValue() >= size)
          return emitOpError("expects constants of the map of ")
                 << what << " to lie within its shape, got "
                 << constant.getValue() << " for a dim of size " << size;
        continue;
      }
      auto dim = dyn_cast<AffineDimExpr>(expr);
      if (!dim)
        return emitOpError("expects map results to be loops or constants, got ")
               << AffineMapAttr::get(map) << " for " << what;
      unsigned loop = dim.getPosition();
      if (!isInput && seen[loop])
        return emitOpError("expects the map of ")
               << what << " to hold no loop twice, got "
               << AffineMapAttr::get(map);
      seen[loop] = true;
      if (sizes[loop] == unknown)
        sizes[loop] = size;
      else if (sizes[loop] != size)
        return emitOpError("expects loop ")
               << loop << " to have one size, got " << sizes[loop] << " and "
               << size << " (" << what << ")";
    }
    if (!isInput && getCombiner() == Combiner::None)
      for (auto [loop, present] : llvm::enumerate(seen))
        if (!present)
          return emitOpError("expects every loop in the map of ")
                 << what << " with combiner 'none', but loop " << loop
                 << " is missing";
  }
  for (auto [loop, size] : llvm::enumerate(sizes))
    if (size == unknown)
      return emitOpError("expects every loop to appear in some map, but loop ")
             << loop << " does not";

  Block &body = getBody().front();
  if (body.getNumArguments() != numInputs)
    return emitOpError("expects a body with ")
           << numInputs << " arguments, one for each input, got "
           << body.getNumArguments();
  for (auto [index, input, argument] :
       llvm::enumerate(getInputs(), body.getArguments())) {
    Type element = cast<RankedTensorType>(input.getType()).getElementType();
    if (argument.getType() != element)
      return emitOpError("expects body argument ")
             << index << " of type " << element << ", got "
             << argument.getType();
  }
  return success();
}

LogicalResult YieldOp::verify() {
  SmallVector<Type> expected;
  Operation *parent = (*this)->getParentOp();
  if (auto generic = dyn_cast<GenericOp>(parent)) {
    for (Type type : generic.getResultTypes())
      expected.push_back(cast<RankedTensorType>(type).getElementType());
  } else {
    auto function = cast<FuncOp>(parent);
    Block &body = function.getBody().front();
    unsigned numInputs = std::min<int64_t>(
        std::max<int64_t>(function.getNumInputs(), 0), body.getNumArguments());
    llvm::append_range(
        expected, TypeRange(body.getArgumentTypes()).drop_front(numInputs));
  }
  if (TypeRange(getValues()) == TypeRange(expected))
    return success();
  return emitOpError("expects values of types (")
         << expected << "), got (" << getValues().getTypes() << ")";
}

LogicalResult IndexOp::verify() {
  auto generic = (*this)->getParentOfType<GenericOp>();
  if (!generic)
    return emitOpError("expects to be inside a 'kernel.generic'");
  int64_t loop = getLoop();
  if (loop < 0 || loop >= static_cast<int64_t>(generic.getNumLoops()))
    return emitOpError("expects a loop of the enclosing generic, which has ")
           << generic.getNumLoops() << ", got " << loop;
  return success();
}

//===----------------------------------------------------------------------===//
// Other structured pieces
//===----------------------------------------------------------------------===//

LogicalResult GatherOp::verify() {
  return verifyGather(*this, "table", getTable(), getIndices(), "output",
                      getOutput());
}

LogicalResult ScatterAddOp::verify() {
  return verifyGather(*this, "output", getOutput(), getIndices(), "updates",
                      getUpdates());
}

LogicalResult TakeOp::verify() {
  return verifyTake(*this, "input", getInput(), getIndices(), getDim(),
                    getAlong(), "output", getOutput());
}

LogicalResult PutAddOp::verify() {
  if (failed(expectNumbers(*this, "updates", getUpdates())))
    return failure();
  return verifyTake(*this, "output", getOutput(), getIndices(), getDim(),
                    getAlong(), "updates", getUpdates());
}

LogicalResult ScanOp::verify() {
  if (getCombiner() != Combiner::Sum && getCombiner() != Combiner::Prod)
    return emitOpError("expects the combiner 'sum' or 'prod', got '")
           << stringifyCombiner(getCombiner()) << "'";
  return verifyScan(*this, getInput(), getDim(), getOutput());
}

LogicalResult SortOp::verify() {
  return verifySort(*this, getInput(), getDim(), getValues(), getIndices(),
                    /*whole=*/true);
}

LogicalResult ReshapeOp::verify() {
  return verifyReshape(*this, getInput(), getOutput());
}

LogicalResult TransposeOp::verify() {
  return verifyTranspose(*this, getInput(), getPermutation(), getOutput());
}

LogicalResult SliceOp::verify() {
  return verifySlice(*this, getInput(), getOffsets(), getOutput());
}

LogicalResult ConcatOp::verify() {
  return verifyConcat(*this, getInputs(), getDim(), getOutput());
}

LogicalResult ConstantOp::verify() { return verifyConstant(*this, getValue()); }

OpFoldResult ConstantOp::fold(FoldAdaptor) { return getValue(); }

//===----------------------------------------------------------------------===//
// FuncOp
//===----------------------------------------------------------------------===//

ParseResult FuncOp::parse(OpAsmParser &parser, OperationState &result) {
  Builder &builder = parser.getBuilder();
  StringAttr name;
  if (parser.parseSymbolName(name, getSymNameAttrName(result.name),
                             result.attributes))
    return failure();

  SmallVector<OpAsmParser::Argument> arguments;
  SmallVector<Attribute> strides;
  SmallVector<int64_t> tied;
  auto parseArgument = [&]() -> ParseResult {
    SmallVector<int64_t> argumentStrides;
    if (parser.parseArgument(arguments.emplace_back(), /*allowType=*/true) ||
        parser.parseKeyword("strides") ||
        parser.parseCommaSeparatedList(AsmParser::Delimiter::Square, [&] {
          return parser.parseInteger(argumentStrides.emplace_back());
        }))
      return failure();
    strides.push_back(builder.getDenseI64ArrayAttr(argumentStrides));
    return success();
  };
  if (parser.parseKeyword("ins") ||
      parser.parseCommaSeparatedList(AsmParser::Delimiter::Paren,
                                     parseArgument))
    return failure();
  int64_t numInputs = arguments.size(), chunks;
  if (parser.parseKeyword("outs") ||
      parser.parseCommaSeparatedList(
          AsmParser::Delimiter::Paren,
          [&]() -> ParseResult {
            tied.push_back(-1);
            if (parseArgument())
              return failure();
            if (succeeded(parser.parseOptionalKeyword("tied")))
              return parser.parseInteger(tied.back());
            return success();
          }) ||
      parser.parseKeyword("chunks") || parser.parseInteger(chunks) ||
      parser.parseOptionalAttrDictWithKeyword(result.attributes))
    return failure();
  result.addAttribute(getNumInputsAttrName(result.name),
                      builder.getI64IntegerAttr(numInputs));
  result.addAttribute(getTiedAttrName(result.name),
                      builder.getDenseI64ArrayAttr(tied));
  result.addAttribute(getStridesAttrName(result.name),
                      builder.getArrayAttr(strides));
  result.addAttribute(getChunksAttrName(result.name),
                      builder.getI64IntegerAttr(chunks));
  return parser.parseRegion(*result.addRegion(), arguments);
}

void FuncOp::print(OpAsmPrinter &printer) {
  Block &body = getBody().front();
  auto printArgument = [&](unsigned index) {
    printer.printRegionArgument(body.getArgument(index));
    printer << " strides [";
    llvm::interleaveComma(
        cast<DenseI64ArrayAttr>(getStrides()[index]).asArrayRef(), printer);
    printer << "]";
  };
  unsigned numInputs = getNumInputs();
  printer << " ";
  printer.printSymbolName(getSymName());
  printer << " ins(";
  llvm::interleaveComma(llvm::seq<unsigned>(0, numInputs), printer,
                        printArgument);
  printer << ") outs(";
  llvm::interleaveComma(llvm::seq<unsigned>(numInputs, body.getNumArguments()),
                        printer, [&](unsigned index) {
                          printArgument(index);
                          int64_t tied = getTied()[index - numInputs];
                          if (tied != -1)
                            printer << " tied " << tied;
                        });
  printer << ") chunks " << static_cast<int64_t>(getChunks());
  printer.printOptionalAttrDictWithKeyword(
      (*this)->getAttrs(),
      {getSymNameAttrName(), getNumInputsAttrName(), getTiedAttrName(),
       getStridesAttrName(), getChunksAttrName()});
  printer << " ";
  printer.printRegion(getBody(), /*printEntryBlockArgs=*/false);
}

LogicalResult FuncOp::verify() {
  Block &body = getBody().front();
  int64_t numArguments = body.getNumArguments();
  int64_t numInputs = getNumInputs();
  if (numInputs < 0 || numInputs > numArguments)
    return emitOpError("expects 'numInputs' of at most ")
           << numArguments << ", the number of arguments, got " << numInputs;
  int64_t numDests = numArguments - numInputs;
  if (static_cast<int64_t>(getTied().size()) != numDests)
    return emitOpError("expects 'tied' to have one entry for each of the ")
           << numDests << " destinations, got " << getTied().size();
  if (static_cast<int64_t>(getStrides().size()) != numArguments)
    return emitOpError("expects 'strides' to have one entry for each of the ")
           << numArguments << " arguments, got " << getStrides().size();
  if (static_cast<int64_t>(getChunks()) < 1)
    return emitOpError("expects 'chunks' to be positive, got ")
           << static_cast<int64_t>(getChunks());
  for (auto [index, argument] : llvm::enumerate(body.getArguments())) {
    auto type = dyn_cast<RankedTensorType>(argument.getType());
    if (!type)
      return emitOpError("expects argument ")
             << index << " to be a tensor, got " << argument.getType();
    auto strides = dyn_cast<DenseI64ArrayAttr>(getStrides()[index]);
    if (!strides || strides.size() != type.getRank())
      return emitOpError("expects strides of argument ")
             << index << " to be an array of " << type.getRank()
             << " integers, one for each dim, got " << getStrides()[index];
  }
  SmallVector<bool> used(numInputs, false);
  for (auto [index, tied] : llvm::enumerate(getTied())) {
    if (tied == -1)
      continue;
    if (tied < 0 || tied >= numInputs)
      return emitOpError("expects destination ")
             << index << " to be tied to one of " << numInputs
             << " inputs, got " << tied;
    if (used[tied])
      return emitOpError("expects input ")
             << tied << " to be tied once, got it again for destination "
             << index;
    used[tied] = true;
    Type input = body.getArgument(tied).getType();
    Type dest = body.getArgument(numInputs + index).getType();
    if (input != dest)
      return emitOpError("expects destination ")
             << index << " to have the type of input " << tied
             << ", which it is tied to: " << input << ", got " << dest;
  }
  return success();
}

//===----------------------------------------------------------------------===//
// LaunchOp
//===----------------------------------------------------------------------===//

LogicalResult LaunchOp::verify() {
  if (getDests().getTypes() != getResultTypes())
    return emitOpError("expects results of the destinations' types (")
           << getDests().getTypes() << "), got (" << getResultTypes() << ")";
  return success();
}

LogicalResult LaunchOp::verifySymbolUses(SymbolTableCollection &symbolTable) {
  auto function =
      symbolTable.lookupNearestSymbolFrom<FuncOp>(*this, getKernelAttr());
  if (!function)
    return emitOpError("expects a 'kernel.func' named '")
           << getKernel() << "', got none";
  auto fail = [&](const Twine &what) -> InFlightDiagnostic {
    InFlightDiagnostic diag = emitOpError("expects ") << what;
    diag.attachNote(function.getLoc()) << "the kernel is here";
    return diag;
  };
  Block &body = function.getBody().front();
  int64_t numInputs = function.getNumInputs();
  int64_t numDests = body.getNumArguments() - numInputs;
  if (static_cast<int64_t>(getInputs().size()) != numInputs ||
      static_cast<int64_t>(getDests().size()) != numDests)
    return fail(Twine(numInputs) + " inputs and " + Twine(numDests) +
                " destinations, as '" + getKernel() + "' has, got " +
                Twine(getInputs().size()) + " and " + Twine(getDests().size()));
  SmallVector<Value> operands(getInputs());
  llvm::append_range(operands, getDests());
  for (auto [index, operand, argument] :
       llvm::enumerate(operands, body.getArguments())) {
    if (operand.getType() == argument.getType())
      continue;
    bool isInput = static_cast<int64_t>(index) < numInputs;
    std::string expected, got;
    llvm::raw_string_ostream(expected) << argument.getType();
    llvm::raw_string_ostream(got) << operand.getType();
    return fail(Twine(isInput ? "input " : "destination ") +
                Twine(isInput ? index : index - numInputs) + " of type " +
                expected + ", got " + got);
  }
  return success();
}

//===----------------------------------------------------------------------===//
// ContractOp, ViewOp, FillOp
//===----------------------------------------------------------------------===//

LogicalResult ContractOp::verify() {
  if (getDest().getType() != getOutput().getType())
    return emitOpError("expects a result of the destination's type ")
           << getDest().getType() << ", got " << getOutput().getType();
  if (getMaps().size() != 3)
    return emitOpError("expects three maps (lhs, rhs, destination), got ")
           << getMaps().size();
  unsigned numLoops = cast<AffineMapAttr>(getMaps()[0]).getValue().getNumDims();
  constexpr int64_t unknown = -1;
  SmallVector<int64_t> sizes(numLoops, unknown);
  SmallVector<SmallVector<bool>> used(3, SmallVector<bool>(numLoops, false));
  constexpr StringLiteral names[] = {"lhs", "rhs", "dest"};
  Value operands[] = {getLhs(), getRhs(), getDest()};
  for (unsigned index = 0; index < 3; ++index) {
    AffineMap map = cast<AffineMapAttr>(getMaps()[index]).getValue();
    auto type = cast<RankedTensorType>(operands[index].getType());
    if (map.getNumSymbols() != 0 || map.getNumDims() != numLoops)
      return emitOpError("expects maps over the same ")
             << numLoops << " loops without symbols, got "
             << AffineMapAttr::get(map) << " for '" << names[index] << "'";
    if (map.getNumResults() != type.getRank())
      return emitOpError("expects the map of '")
             << names[index] << "' to have " << type.getRank()
             << " results, one for each dim, got " << AffineMapAttr::get(map);
    for (auto [position, expr] : llvm::enumerate(map.getResults())) {
      auto dim = dyn_cast<AffineDimExpr>(expr);
      if (!dim || used[index][dim.getPosition()])
        return emitOpError("expects the map of '")
               << names[index] << "' to hold loops, none twice, got "
               << AffineMapAttr::get(map);
      unsigned loop = dim.getPosition();
      used[index][loop] = true;
      int64_t size = type.getDimSize(position);
      if (sizes[loop] == unknown)
        sizes[loop] = size;
      else if (sizes[loop] != size)
        return emitOpError("expects loop ")
               << loop << " to have one size, got " << sizes[loop] << " and "
               << size << " ('" << names[index] << "')";
    }
  }
  for (unsigned loop = 0; loop < numLoops; ++loop) {
    bool inLhs = used[0][loop], inRhs = used[1][loop], inDest = used[2][loop];
    if (inDest ? !(inLhs || inRhs) : !(inLhs && inRhs))
      return emitOpError("expects loop ")
             << loop << " to appear in "
             << (inDest ? "'lhs' or 'rhs'" : "both 'lhs' and 'rhs'")
             << ", as it is "
             << (inDest ? "one of the destination's" : "summed over");
  }
  return success();
}

LogicalResult ViewOp::verify() {
  RankedTensorType input = getInput().getType(), output = getOutput().getType();
  if (getInput().getDefiningOp<ViewOp>())
    return emitOpError("expects an operand that is not itself a view");
  if (failed(expectElementType(*this, "output", getOutput(),
                               input.getElementType())))
    return failure();
  ArrayRef<int64_t> strides = getStrides();
  if (static_cast<int64_t>(strides.size()) != output.getRank())
    return emitOpError("expects ")
           << output.getRank() << " strides, one for each dim of the result, "
           << "got " << strides.size();
  int64_t offset = getOffset();
  if (offset < 0)
    return emitOpError("expects an offset that is not negative, got ")
           << offset;
  int64_t last = offset;
  for (auto [size, stride] : llvm::zip_equal(output.getShape(), strides)) {
    if (stride < 0)
      return emitOpError("expects strides that are not negative, got ")
             << stride;
    last += (size - 1) * stride;
  }
  if (output.getNumElements() > 0 && last >= input.getNumElements())
    return emitOpError("expects the view to lie within the ")
           << input.getNumElements() << " elements of the operand, but its "
           << "last element is " << last;
  return success();
}

LogicalResult FillOp::verify() {
  if (getDest().getType() != getOutput().getType())
    return emitOpError("expects a result of the destination's type ")
           << getDest().getType() << ", got " << getOutput().getType();
  return success();
}

#define GET_OP_CLASSES
#include "dialects/Kernel/KernelOps.cpp.inc"
