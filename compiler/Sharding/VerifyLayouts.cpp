// SPDX-License-Identifier: Apache-2.0
#include "compiler/Sharding/Layouts.h"
#include "compiler/Sharding/Passes.h"
#include "compiler/Sharding/SplitPrograms.h"

namespace weir::compiler {
#define GEN_PASS_DEF_VERIFYLAYOUTSPASS
#include "compiler/Sharding/Passes.h.inc"
} // namespace weir::compiler

using namespace mlir;
using namespace weir;
using namespace weir::compiler;
using dist::AxisLayout;
using dist::LayoutAttr;
using dist::SignatureAttr;

namespace {

class VerifyLayouts
    : public compiler::impl::VerifyLayoutsPassBase<VerifyLayouts> {
public:
  void runOnOperation() override {
    ModuleOp module = getOperation();
    mesh = dist::getMesh(module);
    if (!mesh)
      return;
    SignatureAnalysis signatures(mesh);
    analysis = &signatures;
    for (auto variable : module.getOps<graph::VariableOp>())
      verifyVariable(variable);
    for (auto entry : module.getOps<graph::EntryOp>())
      verifyEntry(entry);
    if (bad)
      signalPassFailure();
    markAllAnalysesPreserved();
  }

private:
  InFlightDiagnostic fail(Operation *op) {
    bad = true;
    return op->emitError();
  }

  /// Whether a layout fits a type: an entry an axis, splits of existing dims.
  bool fits(LayoutAttr layout, Type type) {
    return layout && layout.getAxes().size() == mesh.getNumAxes() &&
           llvm::all_of(layout.getAxes(), [&](const AxisLayout &axis) {
             return !axis.isSplit() ||
                    axis.dim < cast<RankedTensorType>(type).getRank();
           });
  }

  void verifyVariable(graph::VariableOp variable) {
    StringRef name = dist::DistDialect::getLayoutAttrName();
    auto layout = variable->getAttrOfType<LayoutAttr>(name);
    if (!layout)
      fail(variable) << "expects variable '" << variable.getSymName()
                     << "' to have a '" << name << "', got none";
    else if (!fits(layout, variable.getTensorType()) || layout.hasPartial())
      fail(variable) << "expects a layout that fits variable '"
                     << variable.getSymName() << "' and the mesh, got "
                     << layout;
    else
      variables[variable.getSymName()] = layout;
  }

  /// Layout of an argument or result: its variable's, or broadcast.
  void verifyBinding(graph::EntryOp entry, const Twine &what, Type type,
                     StringRef variable, LayoutAttr layout) {
    if (!fits(layout, type)) {
      fail(entry) << "expects " << what << " of entry '" << entry.getSymName()
                  << "' to have a layout that fits it, got " << layout;
      return;
    }
    LayoutAttr expected =
        variable.empty()
            ? LayoutAttr::getBroadcast(&getContext(), mesh.getNumAxes())
            : variables.lookup(variable);
    if (expected && layout != expected)
      fail(entry) << "expects " << what << " of entry '" << entry.getSymName()
                  << "' in layout " << expected << ", got " << layout;
  }

  void verifyEntry(graph::EntryOp entry) {
    StringRef name = dist::DistDialect::getLayoutAttrName();
    Block &block = entry.getBody().front();
    Operation *terminator = block.getTerminator();
    bool materialized = false;
    for (BlockArgument argument : block.getArguments()) {
      unsigned i = argument.getArgNumber();
      auto layout = entry.getArgAttrOfType<LayoutAttr>(i, name);
      verifyBinding(entry, "argument " + Twine(i), argument.getType(),
                    entry.getArgumentVariable(i), layout);
      materialized |= static_cast<bool>(layoutOf(argument));
    }
    for (OpOperand &operand : terminator->getOpOperands()) {
      unsigned i = operand.getOperandNumber();
      auto layout = entry.getResultAttrOfType<LayoutAttr>(i, name);
      verifyBinding(entry, "result " + Twine(i), operand.get().getType(),
                    entry.getResultVariable(i), layout);
      materialized |= static_cast<bool>(layoutOf(operand.get()));
    }
    for (Operation &op : block.without_terminator()) {
      if (isa<dist::ReshardOp>(op))
        continue; // its own verifier compares it with its types
      verifyOp(&op, materialized);
    }
    if (!materialized)
      return;
    for (BlockArgument argument : block.getArguments())
      expectType(
          entry, "argument " + Twine(argument.getArgNumber()), argument,
          entry.getArgAttrOfType<LayoutAttr>(argument.getArgNumber(), name));
    for (OpOperand &operand : terminator->getOpOperands())
      expectType(terminator, "operand " + Twine(operand.getOperandNumber()),
                 operand.get(),
                 entry.getResultAttrOfType<LayoutAttr>(
                     operand.getOperandNumber(), name));
  }

  void expectType(Operation *op, const Twine &what, Value value,
                  LayoutAttr layout) {
    if (layout && layoutOf(value) != layout)
      fail(op) << "expects " << what << " of " << describe(op) << " in layout "
               << layout << ", got " << value.getType();
  }

  void verifyOp(Operation *op, bool materialized) {
    auto signature = op->getAttrOfType<SignatureAttr>(
        dist::DistDialect::getSignatureAttrName());
    if (!isa<graph::ExpandOpInterface>(op)) {
      fail(op) << "expects a compute op or a reshard, got " << describe(op);
      return;
    }
    if (!signature) {
      fail(op) << "expects " << describe(op) << " to have a '"
               << dist::DistDialect::getSignatureAttrName() << "', got none";
      return;
    }
    if (signature.getOperands().size() != op->getNumOperands() ||
        signature.getResults().size() != op->getNumResults()) {
      fail(op) << "expects a signature of " << op->getNumOperands()
               << " operands and " << op->getNumResults() << " results for "
               << describe(op) << ", got " << signature;
      return;
    }
    SmallVector<Type> operands, results;
    for (Type type : op->getOperandTypes())
      operands.push_back(withoutEncoding(type));
    for (Type type : op->getResultTypes())
      results.push_back(withoutEncoding(type));
    auto allFit = [&](ArrayRef<LayoutAttr> layouts, ArrayRef<Type> types) {
      return llvm::all_of(llvm::zip_equal(layouts, types), [&](auto pair) {
        return fits(std::get<0>(pair), std::get<1>(pair));
      });
    };
    if (!allFit(signature.getOperands(), operands) ||
        !allFit(signature.getResults(), results)) {
      fail(op) << "expects layouts that fit their tensors and the mesh in the "
                  "signature of "
               << describe(op) << ", got " << signature;
      return;
    }
    verifySound(op, signature, operands, results);
    if (!materialized)
      return;
    for (auto [i, value] : llvm::enumerate(op->getOperands()))
      expectType(op, "operand " + Twine(i), value, signature.getOperands()[i]);
    for (auto [i, value] : llvm::enumerate(op->getResults()))
      expectType(op, "result " + Twine(i), value, signature.getResults()[i]);
  }

  /// The signature's entry on each axis is derived on the types that the axes
  /// before it leave.
  void verifySound(Operation *op, SignatureAttr signature,
                   ArrayRef<Type> operands, ArrayRef<Type> results) {
    SmallVector<StringRef> programs;
    for (unsigned axis = 0; axis < mesh.getNumAxes(); ++axis) {
      auto local = [&](ArrayRef<Type> types, ArrayRef<LayoutAttr> layouts) {
        SmallVector<Type> out;
        for (auto [type, layout] : llvm::zip_equal(types, layouts))
          out.push_back(localTypeBefore(type, layout.getAxes(), axis, mesh));
        return out;
      };
      const OpRules &rules =
          analysis->getRules(op, local(operands, signature.getOperands()),
                             local(results, signature.getResults()));
      OpSignature wanted;
      for (LayoutAttr layout : signature.getOperands())
        wanted.operands.push_back(layout.getAxes()[axis]);
      for (LayoutAttr layout : signature.getResults())
        wanted.results.push_back(layout.getAxes()[axis]);
      wanted.program = programOf(op, mesh, axis).str();
      bool sound =
          llvm::any_of(rules.signatures, [&](const OpSignature &candidate) {
            return candidate.covers(wanted) &&
                   candidate.program == wanted.program &&
                   candidate.allows(mesh.getSizes()[axis]) &&
                   allowsProgram(candidate, mesh, axis, programs);
          });
      programs.push_back(programOf(op, mesh, axis));
      if (sound)
        continue;
      std::string text;
      llvm::raw_string_ostream(text) << wanted;
      fail(op) << "expects a sound signature of " << describe(op)
               << " on mesh axis '" << mesh.getNames()[axis].getValue()
               << "' of size " << mesh.getSizes()[axis] << ", got " << text;
      return;
    }
  }

  dist::MeshAttr mesh;
  SignatureAnalysis *analysis = nullptr;
  llvm::StringMap<LayoutAttr> variables;
  bool bad = false;
};

} // namespace
