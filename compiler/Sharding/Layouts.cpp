// SPDX-License-Identifier: Apache-2.0
#include "compiler/Sharding/Layouts.h"

#include "mlir/IR/DialectResourceBlobManager.h"

using namespace mlir;

namespace weir::compiler {

RankedTensorType withoutEncoding(Type type) {
  auto tensor = cast<RankedTensorType>(type);
  if (auto shard = dyn_cast_if_present<dist::ShardAttr>(tensor.getEncoding()))
    return RankedTensorType::get(dist::getLogicalShape(tensor),
                                 tensor.getElementType());
  return RankedTensorType::get(tensor.getShape(), tensor.getElementType());
}

RankedTensorType withLayout(Type type, dist::LayoutAttr layout) {
  auto tensor = withoutEncoding(type);
  return RankedTensorType::get(tensor.getShape(), tensor.getElementType(),
                               layout);
}

dist::LayoutAttr layoutOf(Value value) {
  auto tensor = dyn_cast<RankedTensorType>(value.getType());
  return tensor ? dyn_cast_if_present<dist::LayoutAttr>(tensor.getEncoding())
                : dist::LayoutAttr();
}

RankedTensorType localTypeOf(Type type, dist::MeshAttr mesh) {
  auto tensor = cast<RankedTensorType>(type);
  auto layout = dyn_cast_if_present<dist::LayoutAttr>(tensor.getEncoding());
  if (!layout)
    return tensor;
  return dist::getLocalType(withoutEncoding(tensor), layout, mesh);
}

TypedAttr retypeElements(TypedAttr value, RankedTensorType type) {
  if (value.getType() == type)
    return value;
  if (auto elements = dyn_cast<DenseElementsAttr>(value)) {
    if (elements.isSplat())
      return cast<TypedAttr>(elements.resizeSplat(type));
    return cast<TypedAttr>(elements.reshape(type));
  }
  if (auto resource = dyn_cast<DenseResourceElementsAttr>(value))
    return cast<TypedAttr>(
        DenseResourceElementsAttr::get(type, resource.getRawHandle()));
  return value;
}

RankedTensorType localTypeBefore(Type type, ArrayRef<dist::AxisLayout> layout,
                                 unsigned axis, dist::MeshAttr mesh) {
  SmallVector<dist::AxisLayout> known(layout.take_front(axis));
  RankedTensorType logical = withoutEncoding(type);
  if (llvm::none_of(known,
                    [](const dist::AxisLayout &l) { return l.isSplit(); }))
    return logical;
  known.resize(mesh.getNumAxes());
  return dist::getLocalType(
      logical, dist::LayoutAttr::get(type.getContext(), known), mesh);
}

double bytesOf(Type type) {
  auto tensor = cast<RankedTensorType>(type);
  unsigned bits = tensor.getElementType().getIntOrFloatBitWidth();
  return static_cast<double>(tensor.getNumElements()) * ((bits + 7) / 8);
}

StringRef nameOf(Operation *op) {
  Location loc = op->getLoc();
  if (auto name = dyn_cast<NameLoc>(loc))
    return name.getName().getValue();
  if (auto site = dyn_cast<graph::SiteOpInterface>(op))
    return site.getSiteName();
  if (auto name = loc->findInstanceOf<NameLoc>())
    return name.getName().getValue();
  return "";
}

std::string describe(Operation *op) {
  StringRef name = nameOf(op);
  std::string kind = op->getName().getStringRef().str();
  return name.empty() ? "'" + kind + "'"
                      : "'" + name.str() + "' (" + kind + ")";
}

void updateEntryType(graph::EntryOp entry) {
  Block &block = entry.getBody().front();
  entry.setFunctionType(
      FunctionType::get(entry.getContext(), block.getArgumentTypes(),
                        block.getTerminator()->getOperandTypes()));
}

} // namespace weir::compiler
