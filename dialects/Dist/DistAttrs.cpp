// SPDX-License-Identifier: Apache-2.0
// Attributes of the dist dialect: text form, invariants, helpers.
#include "dialects/Dist/Dist.h"

#include "mlir/AsmParser/AsmParser.h"
#include "llvm/ADT/StringSet.h"

using namespace mlir;
using namespace weir;
using namespace weir::dist;

//===----------------------------------------------------------------------===//
// AxisLayout
//===----------------------------------------------------------------------===//

llvm::hash_code weir::dist::hash_value(const AxisLayout &layout) {
  return llvm::hash_combine(static_cast<int>(layout.kind), layout.dim,
                            layout.unit, static_cast<int>(layout.reduction));
}

llvm::hash_code weir::dist::hash_value(const ShardDim &dim) {
  return llvm::hash_combine(
      dim.size, llvm::hash_combine_range(dim.axes.begin(), dim.axes.end()),
      dim.unit, dim.shift);
}

llvm::raw_ostream &weir::dist::operator<<(llvm::raw_ostream &os,
                                          const AxisLayout &layout) {
  switch (layout.kind) {
  case AxisLayout::Kind::Broadcast:
    return os << "B";
  case AxisLayout::Kind::Split:
    os << "S(" << layout.dim;
    if (layout.unit != 1)
      os << ", unit=" << layout.unit;
    return os << ")";
  case AxisLayout::Kind::Partial:
    return os << "P(" << stringifyReduction(layout.reduction) << ")";
  }
  llvm_unreachable("unknown kind of layout");
}

/// Parses `S(i)`, `S(i, unit=n)`, `B` or `P(sum|max|min)`.
static ParseResult parseAxisLayout(AsmParser &parser, AxisLayout &entry) {
  llvm::SMLoc loc = parser.getCurrentLocation();
  StringRef keyword;
  if (failed(parser.parseOptionalKeyword(&keyword)))
    return parser.emitError(loc, "expects 'S(dim)', 'B' or 'P(reduction)'");
  if (keyword == "B") {
    entry = AxisLayout::broadcast();
    return success();
  }
  if (keyword == "S") {
    int64_t dim, unit = 1;
    llvm::SMLoc dimLoc, unitLoc;
    if (parser.parseLParen())
      return failure();
    dimLoc = parser.getCurrentLocation();
    if (parser.parseInteger(dim))
      return failure();
    if (succeeded(parser.parseOptionalComma())) {
      if (parser.parseKeyword("unit") || parser.parseEqual())
        return failure();
      unitLoc = parser.getCurrentLocation();
      if (parser.parseInteger(unit))
        return failure();
      if (unit < 1)
        return parser.emitError(unitLoc, "expects a positive unit, got ")
               << unit;
    }
    if (parser.parseRParen())
      return failure();
    if (dim < 0)
      return parser.emitError(dimLoc,
                              "expects a dimension that is not negative, got ")
             << dim;
    entry = AxisLayout::split(dim, unit);
    return success();
  }
  if (keyword == "P") {
    StringRef name;
    if (parser.parseLParen())
      return failure();
    llvm::SMLoc nameLoc = parser.getCurrentLocation();
    if (parser.parseKeyword(&name) || parser.parseRParen())
      return failure();
    std::optional<Reduction> reduction = symbolizeReduction(name);
    if (!reduction)
      return parser.emitError(
                 nameLoc, "expects the reduction 'sum', 'max' or 'min', got '")
             << name << "'";
    entry = AxisLayout::partial(*reduction);
    return success();
  }
  return parser.emitError(loc, "expects 'S(dim)', 'B' or 'P(reduction)', got '")
         << keyword << "'";
}

/// Parses `[S(0), B, P(sum)]`.
ParseResult weir::dist::parseLayoutEntries(AsmParser &parser,
                                           LayoutAttr &layout) {
  SmallVector<AxisLayout> axes;
  if (parser.parseCommaSeparatedList(AsmParser::Delimiter::Square, [&] {
        return parseAxisLayout(parser, axes.emplace_back());
      }))
    return failure();
  layout = LayoutAttr::get(parser.getContext(), axes);
  return success();
}

void weir::dist::printLayoutEntries(llvm::raw_ostream &os, LayoutAttr layout) {
  os << "[";
  llvm::interleaveComma(layout.getAxes(), os);
  os << "]";
}

//===----------------------------------------------------------------------===//
// MeshAttr
//===----------------------------------------------------------------------===//

int64_t MeshAttr::getNumRanks() const {
  int64_t ranks = 1;
  for (unsigned axis = 0, e = getNumAxes(); axis < e; ++axis)
    if (!isTime(axis))
      ranks *= getSizes()[axis];
  return ranks;
}

int MeshAttr::findAxis(StringRef name) const {
  for (auto [index, axisName] : llvm::enumerate(getNames()))
    if (axisName.getValue() == name)
      return static_cast<int>(index);
  return -1;
}

LogicalResult MeshAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                               ArrayRef<StringAttr> names,
                               ArrayRef<int64_t> sizes, bool lastIsTime) {
  if (names.size() != sizes.size())
    return emitError() << "expects a size for each mesh axis, got "
                       << names.size() << " names and " << sizes.size()
                       << " sizes";
  if (lastIsTime && names.empty())
    return emitError() << "expects a mesh axis to be marked 'time', got none";
  llvm::StringSet<> seen;
  for (auto [name, size] : llvm::zip_equal(names, sizes)) {
    if (name.getValue().empty())
      return emitError() << "expects mesh axis names that are not empty";
    if (!seen.insert(name.getValue()).second)
      return emitError() << "expects unique mesh axis names, got '"
                         << name.getValue() << "' twice";
    if (size <= 0)
      return emitError() << "expects a positive size of mesh axis '"
                         << name.getValue() << "', got " << size;
  }
  return success();
}

Attribute MeshAttr::parse(AsmParser &parser, Type) {
  SmallVector<StringAttr> names;
  SmallVector<int64_t> sizes;
  bool lastIsTime = false;
  auto parseAxis = [&]() -> ParseResult {
    llvm::SMLoc loc = parser.getCurrentLocation();
    if (lastIsTime)
      return parser.emitError(loc, "expects the 'time' axis to be the last");
    std::string name;
    int64_t size;
    if (parser.parseKeywordOrString(&name) || parser.parseEqual() ||
        parser.parseInteger(size))
      return failure();
    names.push_back(StringAttr::get(parser.getContext(), name));
    sizes.push_back(size);
    if (succeeded(parser.parseOptionalColon())) {
      if (parser.parseKeyword("time"))
        return failure();
      lastIsTime = true;
    }
    return success();
  };
  llvm::SMLoc loc = parser.getCurrentLocation();
  if (parser.parseCommaSeparatedList(AsmParser::Delimiter::LessGreater,
                                     parseAxis))
    return {};
  return getChecked([&] { return parser.emitError(loc); }, parser.getContext(),
                    names, sizes, lastIsTime);
}

void MeshAttr::print(AsmPrinter &printer) const {
  printer << "<";
  for (unsigned axis = 0, e = getNumAxes(); axis < e; ++axis) {
    if (axis)
      printer << ", ";
    printer.printKeywordOrString(getNames()[axis].getValue());
    printer << "=" << getSizes()[axis];
    if (isTime(axis))
      printer << " : time";
  }
  printer << ">";
}

//===----------------------------------------------------------------------===//
// LayoutAttr
//===----------------------------------------------------------------------===//

LayoutAttr LayoutAttr::getBroadcast(MLIRContext *context, unsigned numAxes) {
  return get(context, SmallVector<AxisLayout>(numAxes));
}

bool LayoutAttr::isBroadcast() const {
  return llvm::all_of(
      getAxes(), [](const AxisLayout &axis) { return axis.isBroadcast(); });
}

bool LayoutAttr::hasPartial() const {
  return llvm::any_of(getAxes(),
                      [](const AxisLayout &axis) { return axis.isPartial(); });
}

LayoutAttr LayoutAttr::withAxis(unsigned axis, AxisLayout entry) const {
  SmallVector<AxisLayout> axes(getAxes());
  axes[axis] = entry;
  return get(getContext(), axes);
}

SmallVector<int64_t> LayoutAttr::axesOfDim(int64_t dim) const {
  SmallVector<int64_t> axes;
  for (auto [index, axis] : llvm::enumerate(getAxes()))
    if (axis.isSplit(dim))
      axes.push_back(static_cast<int64_t>(index));
  return axes;
}

Attribute LayoutAttr::parse(AsmParser &parser, Type) {
  LayoutAttr layout;
  if (parser.parseLess() || parseLayoutEntries(parser, layout) ||
      parser.parseGreater())
    return {};
  return layout;
}

void LayoutAttr::print(AsmPrinter &printer) const {
  printer << "<";
  printLayoutEntries(printer.getStream(), *this);
  printer << ">";
}

LogicalResult
LayoutAttr::verifyEncoding(ArrayRef<int64_t> shape, Type elementType,
                           function_ref<InFlightDiagnostic()> emitError) const {
  for (const AxisLayout &axis : getAxes())
    if (axis.isSplit() && axis.dim >= static_cast<int64_t>(shape.size())) {
      emitError() << "expects the layout to split a dimension of a rank-"
                  << shape.size() << " tensor, got 'S(" << axis.dim << ")'";
      return failure();
    }
  return verifyUnits(*this, shape, emitError);
}

LayoutAttr
weir::dist::parseLayout(StringRef text, MLIRContext *context,
                        function_ref<InFlightDiagnostic()> emitError) {
  // The attribute parser reports to the context; its message is passed on
  // through the caller's diagnostic, which knows where the text came from.
  std::string message;
  std::string source = ("#dist.layout<" + text.trim() + ">").str();
  Attribute parsed;
  {
    ScopedDiagnosticHandler handler(context, [&](Diagnostic &diagnostic) {
      if (message.empty())
        message = diagnostic.str();
      return success();
    });
    parsed = parseAttribute(source, context);
  }
  if (auto layout = llvm::dyn_cast_if_present<LayoutAttr>(parsed))
    return layout;
  emitError() << "expects a layout such as '[S(0), B, P(sum)]', got '" << text
              << "'" << (message.empty() ? "" : ": ") << message;
  return {};
}

//===----------------------------------------------------------------------===//
// SignatureAttr
//===----------------------------------------------------------------------===//

Attribute SignatureAttr::parse(AsmParser &parser, Type) {
  SmallVector<LayoutAttr> operands, results;
  auto parseLayouts = [&](SmallVector<LayoutAttr> &layouts) {
    return parser.parseCommaSeparatedList(AsmParser::Delimiter::Paren, [&] {
      return parseLayoutEntries(parser, layouts.emplace_back());
    });
  };
  if (parser.parseLess() || parseLayouts(operands) || parser.parseArrow() ||
      parseLayouts(results) || parser.parseGreater())
    return {};
  return get(parser.getContext(), operands, results);
}

void SignatureAttr::print(AsmPrinter &printer) const {
  llvm::raw_ostream &os = printer.getStream();
  auto printLayouts = [&](ArrayRef<LayoutAttr> layouts) {
    os << "(";
    llvm::interleaveComma(layouts, os, [&](LayoutAttr layout) {
      printLayoutEntries(os, layout);
    });
    os << ")";
  };
  os << "<";
  printLayouts(getOperands());
  os << " -> ";
  printLayouts(getResults());
  os << ">";
}

//===----------------------------------------------------------------------===//
// ShardAttr
//===----------------------------------------------------------------------===//

bool ShardAttr::isWhole() const {
  return llvm::all_of(getDims(),
                      [](const ShardDim &dim) { return dim.axes.empty(); });
}

LogicalResult ShardAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                                ArrayRef<ShardDim> dims) {
  SmallVector<int64_t> seen;
  for (auto [index, dim] : llvm::enumerate(dims)) {
    if (dim.size < 0)
      return emitError() << "expects a size of dimension " << index
                         << " that is not negative, got " << dim.size;
    for (int64_t axis : dim.axes) {
      if (axis < 0)
        return emitError() << "expects mesh axes that are not negative, got "
                           << axis;
      if (llvm::is_contained(seen, axis))
        return emitError() << "expects mesh axis " << axis
                           << " to split once, got it again at dimension "
                           << index;
      seen.push_back(axis);
    }
    if (dim.unit < 1 || dim.size % dim.unit != 0 ||
        (dim.axes.empty() && dim.unit != 1))
      return emitError() << "expects the unit of dimension " << index
                         << " to divide its size " << dim.size
                         << " (and to be 1 where nothing splits it), got "
                         << dim.unit;
    if (dim.shift < 0 || (dim.axes.empty() && dim.shift != 0))
      return emitError() << "expects the shift of dimension " << index
                         << " not to be negative (and to be 0 where nothing "
                            "splits it), got "
                         << dim.shift;
  }
  return success();
}

Attribute ShardAttr::parse(AsmParser &parser, Type) {
  SmallVector<ShardDim> dims;
  llvm::SMLoc loc = parser.getCurrentLocation();
  auto parseDim = [&]() -> ParseResult {
    ShardDim &dim = dims.emplace_back();
    if (parser.parseInteger(dim.size))
      return failure();
    while (succeeded(parser.parseOptionalColon()))
      if (parser.parseInteger(dim.axes.emplace_back()))
        return failure();
    if (succeeded(parser.parseOptionalKeyword("unit")))
      if (parser.parseInteger(dim.unit))
        return failure();
    if (succeeded(parser.parseOptionalKeyword("shift")))
      return parser.parseInteger(dim.shift);
    return success();
  };
  if (parser.parseLess() ||
      parser.parseCommaSeparatedList(AsmParser::Delimiter::Square, parseDim) ||
      parser.parseGreater())
    return {};
  return getChecked([&] { return parser.emitError(loc); }, parser.getContext(),
                    dims);
}

void ShardAttr::print(AsmPrinter &printer) const {
  llvm::raw_ostream &os = printer.getStream();
  os << "<[";
  llvm::interleaveComma(getDims(), os, [&](const ShardDim &dim) {
    os << dim.size;
    for (int64_t axis : dim.axes)
      os << ":" << axis;
    if (dim.unit != 1)
      os << " unit " << dim.unit;
    if (dim.shift != 0)
      os << " shift " << dim.shift;
  });
  os << "]>";
}

LogicalResult
ShardAttr::verifyEncoding(ArrayRef<int64_t> shape, Type elementType,
                          function_ref<InFlightDiagnostic()> emitError) const {
  if (getDims().size() != shape.size()) {
    emitError() << "expects a shard of " << shape.size()
                << " dimensions, as the tensor has, got " << getDims().size();
    return failure();
  }
  for (auto [index, dim, capacity] : llvm::enumerate(getDims(), shape)) {
    // A capacity is the largest shard's; which one depends on the mesh, which
    // a type does not know.
    bool fits = dim.axes.empty() ? capacity == dim.size : capacity <= dim.size;
    if (fits)
      continue;
    emitError() << "expects the capacity of dimension " << index << " to be "
                << (dim.axes.empty() ? "" : "at most ") << dim.size << ", got "
                << capacity;
    return failure();
  }
  return success();
}

//===----------------------------------------------------------------------===//
// Helpers
//===----------------------------------------------------------------------===//

int64_t weir::dist::capacityOf(const ShardDim &dim, MeshAttr mesh) {
  int64_t units = dim.size / dim.unit;
  for (int64_t axis : dim.axes)
    units = capacityOf(units, mesh.getSizes()[axis]);
  return units * dim.unit;
}

ShardDim weir::dist::getShardDim(LayoutAttr layout, int64_t index,
                                 int64_t size) {
  ShardDim dim;
  dim.size = size;
  for (auto [axis, entry] : llvm::enumerate(layout.getAxes()))
    if (entry.isSplit(index)) {
      dim.axes.push_back(static_cast<int64_t>(axis));
      dim.unit = entry.unit;
    }
  return dim;
}

LogicalResult
weir::dist::verifyUnits(LayoutAttr layout, ArrayRef<int64_t> shape,
                        function_ref<InFlightDiagnostic()> emitError) {
  SmallVector<int64_t> units(shape.size(), 0);
  for (const AxisLayout &axis : layout.getAxes()) {
    if (!axis.isSplit() || axis.dim >= static_cast<int64_t>(shape.size()))
      continue;
    int64_t &unit = units[axis.dim];
    if (shape[axis.dim] % axis.unit != 0)
      return emitError() << "expects a unit that divides dimension " << axis.dim
                         << " of " << shape[axis.dim] << " elements, got "
                         << axis.unit;
    if (unit && unit != axis.unit)
      return emitError() << "expects one unit of dimension " << axis.dim
                         << " on all mesh axes, got " << unit << " and "
                         << axis.unit;
    unit = axis.unit;
  }
  return success();
}

SmallVector<int64_t> weir::dist::getLogicalShape(RankedTensorType type) {
  auto shard = llvm::dyn_cast_if_present<ShardAttr>(type.getEncoding());
  if (!shard)
    return SmallVector<int64_t>(type.getShape());
  return llvm::map_to_vector(shard.getDims(),
                             [](const ShardDim &dim) { return dim.size; });
}

RankedTensorType weir::dist::withEncoding(RankedTensorType type,
                                          Attribute encoding) {
  return RankedTensorType::get(type.getShape(), type.getElementType(),
                               encoding);
}

RankedTensorType weir::dist::getLocalType(RankedTensorType logical,
                                          LayoutAttr layout, MeshAttr mesh) {
  SmallVector<ShardDim> dims;
  SmallVector<int64_t> shape;
  bool whole = true;
  for (auto [index, size] : llvm::enumerate(logical.getShape())) {
    const ShardDim &dim = dims.emplace_back(
        getShardDim(layout, static_cast<int64_t>(index), size));
    whole &= dim.axes.empty();
    shape.push_back(capacityOf(dim, mesh));
  }
  Attribute encoding;
  if (!whole)
    encoding = ShardAttr::get(logical.getContext(), dims);
  return RankedTensorType::get(shape, logical.getElementType(), encoding);
}

MeshAttr weir::dist::getMesh(ModuleOp module) {
  return module->getAttrOfType<MeshAttr>(DistDialect::getMeshAttrName());
}

//===----------------------------------------------------------------------===//
// Generated definitions
//===----------------------------------------------------------------------===//

#include "dialects/Dist/DistEnums.cpp.inc"

#define GET_ATTRDEF_CLASSES
#include "dialects/Dist/DistAttrs.cpp.inc"

void DistDialect::registerAttributes() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "dialects/Dist/DistAttrs.cpp.inc"
      >();
}
