// SPDX-License-Identifier: Apache-2.0
// Registration of the graph dialect, its attributes, and constants.
#include "dialects/Graph/Graph.h"

using namespace mlir;
using namespace weir;
using namespace weir::graph;

//===----------------------------------------------------------------------===//
// Attributes
//===----------------------------------------------------------------------===//

namespace weir::graph::detail {

/// Storage of `#graph.init`. The numbers are keyed by their bits, so that
/// equality and hash agree (also for -0.0 and NaN).
struct InitializerAttrStorage : public AttributeStorage {
  using KeyTy = std::tuple<InitializerKind, double, double>;

  InitializerAttrStorage(InitializerKind kind, double a, double b)
      : kind(kind), a(a), b(b) {}

  bool operator==(const KeyTy &key) const {
    return kind == std::get<0>(key) &&
           llvm::bit_cast<uint64_t>(a) ==
               llvm::bit_cast<uint64_t>(std::get<1>(key)) &&
           llvm::bit_cast<uint64_t>(b) ==
               llvm::bit_cast<uint64_t>(std::get<2>(key));
  }

  static llvm::hash_code hashKey(const KeyTy &key) {
    return llvm::hash_combine(static_cast<int>(std::get<0>(key)),
                              llvm::bit_cast<uint64_t>(std::get<1>(key)),
                              llvm::bit_cast<uint64_t>(std::get<2>(key)));
  }

  static InitializerAttrStorage *construct(AttributeStorageAllocator &allocator,
                                           const KeyTy &key) {
    return new (allocator.allocate<InitializerAttrStorage>())
        InitializerAttrStorage(std::get<0>(key), std::get<1>(key),
                               std::get<2>(key));
  }

  InitializerKind kind;
  double a, b;
};

} // namespace weir::graph::detail

#include "dialects/Graph/GraphDialect.cpp.inc"
#include "dialects/Graph/GraphEnums.cpp.inc"
#include "dialects/Graph/GraphInterfaces.cpp.inc"

#define GET_ATTRDEF_CLASSES
#include "dialects/Graph/GraphAttrs.cpp.inc"

InitializerKind InitializerAttr::getKind() const { return getImpl()->kind; }
double InitializerAttr::getA() const { return getImpl()->a; }
double InitializerAttr::getB() const { return getImpl()->b; }

LogicalResult
InitializerAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                        InitializerKind kind, double a, double b) {
  if (!std::isfinite(a) || !std::isfinite(b))
    return emitError() << "expects finite numbers, got " << a << " and " << b;
  if (kind == InitializerKind::Constant && b != 0)
    return emitError() << "expects one number of a constant, got also " << b;
  if (kind == InitializerKind::Normal && b < 0)
    return emitError()
           << "expects a standard deviation that is not negative, got " << b;
  if (kind == InitializerKind::Uniform && b < a)
    return emitError() << "expects bounds in order, got " << a << " and " << b;
  return success();
}

Attribute InitializerAttr::parse(AsmParser &parser, Type) {
  StringRef name;
  if (parser.parseLess())
    return {};
  llvm::SMLoc loc = parser.getCurrentLocation();
  if (parser.parseKeyword(&name))
    return {};
  std::optional<InitializerKind> kind = symbolizeInitializerKind(name);
  if (!kind) {
    parser.emitError(loc, "expects 'constant', 'normal' or 'uniform', got '")
        << name << "'";
    return {};
  }
  double a = 0, b = 0;
  if (parser.parseComma() || parser.parseFloat(a))
    return {};
  // A constant has one number; a second one, 0, may be written.
  bool hasSecond = *kind != InitializerKind::Constant;
  if (!hasSecond)
    hasSecond = succeeded(parser.parseOptionalComma());
  else if (parser.parseComma())
    return {};
  if (hasSecond && parser.parseFloat(b))
    return {};
  if (parser.parseGreater())
    return {};
  return getChecked([&] { return parser.emitError(loc); }, parser.getContext(),
                    *kind, a, b);
}

void InitializerAttr::print(AsmPrinter &printer) const {
  printer << "<" << stringifyInitializerKind(getKind()) << ", ";
  printer.printFloat(APFloat(getA()));
  if (getKind() != InitializerKind::Constant || getB() != 0) {
    printer << ", ";
    printer.printFloat(APFloat(getB()));
  }
  printer << ">";
}

LogicalResult StoredAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                                 StringAttr name, ArrayRef<int64_t> shape) {
  if (name.getValue().empty())
    return emitError() << "expects the name of a stored tensor, got none";
  for (int64_t size : shape)
    if (size < 0)
      return emitError() << "expects stored sizes that are not negative, got "
                         << size;
  return success();
}

Attribute StoredAttr::parse(AsmParser &parser, Type) {
  StringAttr name;
  SmallVector<int64_t> shape;
  llvm::SMLoc loc = parser.getCurrentLocation();
  if (parser.parseLess() || parser.parseAttribute(name) ||
      parser.parseComma() ||
      parser.parseCommaSeparatedList(
          AsmParser::Delimiter::Square,
          [&] { return parser.parseInteger(shape.emplace_back()); }) ||
      parser.parseGreater())
    return {};
  return getChecked([&] { return parser.emitError(loc); }, parser.getContext(),
                    name, shape);
}

void StoredAttr::print(AsmPrinter &printer) const {
  printer << "<" << getName() << ", [";
  llvm::interleaveComma(getShape(), printer);
  printer << "]>";
}

//===----------------------------------------------------------------------===//
// Dialect
//===----------------------------------------------------------------------===//

void GraphDialect::initialize() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "dialects/Graph/GraphAttrs.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "dialects/Graph/GraphOps.cpp.inc"
      >();
}

Operation *GraphDialect::materializeConstant(OpBuilder &builder,
                                             Attribute value, Type type,
                                             Location loc) {
  auto elements = dyn_cast<ElementsAttr>(value);
  auto typed = dyn_cast<TypedAttr>(value);
  if (!elements || !typed || typed.getType() != type)
    return nullptr;
  return ConstantOp::create(builder, loc, type, typed);
}

LogicalResult GraphDialect::verifyOperationAttribute(Operation *op,
                                                     NamedAttribute attribute) {
  StringRef name = attribute.getName().getValue();
  if (name != getTaskAttrName())
    return op->emitOpError("got an unknown attribute '") << name << "'";
  auto task = dyn_cast<StringAttr>(attribute.getValue());
  if (!task || (task != "forward" && task != "backward" && task != "update"))
    return op->emitOpError("expects 'graph.task' to be \"forward\", "
                           "\"backward\" or \"update\", got ")
           << attribute.getValue();
  return success();
}
