// SPDX-License-Identifier: Apache-2.0
// Registration of the dist dialect, and its attributes on other dialects' ops.
#include "dialects/Dist/Dist.h"

using namespace mlir;
using namespace weir;
using namespace weir::dist;

#include "dialects/Dist/DistDialect.cpp.inc"

void DistDialect::initialize() {
  registerAttributes();
  addOperations<
#define GET_OP_LIST
#include "dialects/Dist/DistOps.cpp.inc"
      >();
}

/// The mesh of the module around an op, or null.
static MeshAttr getMeshAround(Operation *op) {
  auto module = dyn_cast<ModuleOp>(op);
  if (!module)
    module = op->getParentOfType<ModuleOp>();
  return module ? getMesh(module) : MeshAttr();
}

/// Verifies that a layout fits the mesh and a tensor type. `what` names the
/// value, for messages.
static LogicalResult verifyLayout(Operation *op, LayoutAttr layout,
                                  MeshAttr mesh, Type type, const Twine &what) {
  if (mesh && layout.getAxes().size() != mesh.getNumAxes())
    return op->emitOpError("expects the layout of ")
           << what << " to have one entry for each of the " << mesh.getNumAxes()
           << " mesh axes, got " << layout;
  auto tensor = dyn_cast<RankedTensorType>(type);
  if (!tensor)
    return op->emitOpError("expects a tensor to have a layout, but ")
           << what << " is " << type;
  for (const AxisLayout &axis : layout.getAxes())
    if (axis.isSplit() && axis.dim >= tensor.getRank())
      return op->emitOpError("expects the layout of ")
             << what << " to split a dimension of " << tensor << ", got "
             << layout;
  return verifyUnits(layout, tensor.getShape(), [&]() -> InFlightDiagnostic {
    return op->emitOpError("layout of ") << what << ": ";
  });
}

LogicalResult DistDialect::verifyOperationAttribute(Operation *op,
                                                    NamedAttribute attribute) {
  StringRef name = attribute.getName().getValue();
  if (name == getMeshAttrName()) {
    if (!isa<ModuleOp>(op))
      return op->emitOpError("expects 'dist.mesh' on a module only");
    if (!isa<MeshAttr>(attribute.getValue()))
      return op->emitOpError("expects 'dist.mesh' to be a #dist.mesh, got ")
             << attribute.getValue();
    return success();
  }
  if (name == getLayoutAttrName()) {
    auto layout = dyn_cast<LayoutAttr>(attribute.getValue());
    if (!layout)
      return op->emitOpError("expects 'dist.layout' to be a #dist.layout, got ")
             << attribute.getValue();
    auto type = op->getAttrOfType<TypeAttr>("type");
    if (!type || !isa<SymbolOpInterface>(op))
      return op->emitOpError(
          "expects 'dist.layout' on variables, arguments and results only");
    return verifyLayout(op, layout, getMeshAround(op), type.getValue(),
                        "the variable");
  }
  if (name == getSignatureAttrName()) {
    auto signature = dyn_cast<SignatureAttr>(attribute.getValue());
    if (!signature)
      return op->emitOpError(
                 "expects 'dist.signature' to be a #dist.signature, got ")
             << attribute.getValue();
    if (signature.getOperands().size() != op->getNumOperands() ||
        signature.getResults().size() != op->getNumResults())
      return op->emitOpError("expects a signature of ")
             << op->getNumOperands() << " operands and " << op->getNumResults()
             << " results, got " << signature.getOperands().size() << " and "
             << signature.getResults().size();
    MeshAttr mesh = getMeshAround(op);
    for (auto [index, layout] : llvm::enumerate(signature.getOperands()))
      if (failed(verifyLayout(op, layout, mesh, op->getOperand(index).getType(),
                              "operand " + Twine(index))))
        return failure();
    for (auto [index, layout] : llvm::enumerate(signature.getResults()))
      if (failed(verifyLayout(op, layout, mesh, op->getResult(index).getType(),
                              "result " + Twine(index))))
        return failure();
    return success();
  }
  if (name == getProgramsAttrName()) {
    auto programs = dyn_cast<DictionaryAttr>(attribute.getValue());
    if (!programs)
      return op->emitOpError("expects 'dist.programs' to be a dictionary from "
                             "mesh axis to split program, got ")
             << attribute.getValue();
    MeshAttr mesh = getMeshAround(op);
    for (NamedAttribute entry : programs) {
      if (mesh && mesh.findAxis(entry.getName().getValue()) < 0)
        return op->emitOpError("expects 'dist.programs' by axes of the mesh, "
                               "got '")
               << entry.getName().getValue() << "'";
      auto program = dyn_cast<StringAttr>(entry.getValue());
      if (!program || program.getValue().empty())
        return op->emitOpError("expects the name of a split program in "
                               "'dist.programs', got ")
               << entry.getValue();
    }
    return success();
  }
  if (name == getClusterAttrName()) {
    if (!isa<ModuleOp>(op) || !isa<StringAttr>(attribute.getValue()))
      return op->emitOpError("expects 'dist.cluster' to be the text of a "
                             "cluster file, on a module");
    return success();
  }
  return op->emitOpError("got an unknown attribute '") << name << "'";
}

/// Verifies `dist.layout` on an argument or result of a function-like op.
static LogicalResult verifyBoundaryAttribute(Operation *op, Type type,
                                             NamedAttribute attribute,
                                             const Twine &what) {
  StringRef name = attribute.getName().getValue();
  if (name != DistDialect::getLayoutAttrName())
    return op->emitOpError("got an unknown attribute '")
           << name << "' of " << what;
  auto layout = dyn_cast<LayoutAttr>(attribute.getValue());
  if (!layout)
    return op->emitOpError("expects 'dist.layout' of ")
           << what << " to be a #dist.layout, got " << attribute.getValue();
  return verifyLayout(op, layout, getMeshAround(op), type, what);
}

LogicalResult DistDialect::verifyRegionArgAttribute(Operation *op,
                                                    unsigned region,
                                                    unsigned index,
                                                    NamedAttribute attribute) {
  Type type;
  if (auto function = dyn_cast<FunctionOpInterface>(op))
    type = function.getArgumentTypes()[index];
  else
    type = op->getRegion(region).getArgument(index).getType();
  return verifyBoundaryAttribute(op, type, attribute,
                                 "argument " + Twine(index));
}

LogicalResult DistDialect::verifyRegionResultAttribute(
    Operation *op, unsigned region, unsigned index, NamedAttribute attribute) {
  auto function = dyn_cast<FunctionOpInterface>(op);
  if (!function)
    return op->emitOpError(
        "expects 'dist' result attributes on functions only");
  return verifyBoundaryAttribute(op, function.getResultTypes()[index],
                                 attribute, "result " + Twine(index));
}
