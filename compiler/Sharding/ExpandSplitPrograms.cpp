// SPDX-License-Identifier: Apache-2.0
#include "compiler/Sharding/Layouts.h"
#include "compiler/Sharding/Passes.h"
#include "compiler/Sharding/SplitPrograms.h"

namespace weir::compiler {
#define GEN_PASS_DEF_EXPANDSPLITPROGRAMSPASS
#include "compiler/Sharding/Passes.h.inc"
} // namespace weir::compiler

using namespace mlir;
using namespace weir;
using namespace weir::compiler;

namespace {

class ExpandSplitPrograms
    : public compiler::impl::ExpandSplitProgramsPassBase<ExpandSplitPrograms> {
public:
  void runOnOperation() override {
    mesh = dist::getMesh(getOperation());
    if (!mesh)
      return;
    SmallVector<Operation *> ops;
    getOperation().walk([&](Operation *op) {
      if (op->hasAttr(dist::DistDialect::getProgramsAttrName()))
        ops.push_back(op);
    });
    for (Operation *op : ops)
      if (failed(expand(op)))
        signalPassFailure();
  }

private:
  LogicalResult expand(Operation *op) {
    StringRef program;
    SmallVector<int64_t> axes;
    for (unsigned axis = 0; axis < mesh.getNumAxes(); ++axis) {
      StringRef name = programOf(op, mesh, axis);
      if (name.empty())
        continue;
      if (mesh.isTime(axis))
        return op->emitError("expects no split program of ")
               << describe(op) << " on time axis '"
               << mesh.getNames()[axis].getValue() << "', got '" << name << "'";
      if (!program.empty() && name != program)
        return op->emitError("expects one split program of ")
               << describe(op) << ", got '" << program << "' and '" << name
               << "'";
      program = name;
      axes.push_back(axis);
    }
    auto split = dyn_cast<graph::SplitProgramOpInterface>(op);
    bool known =
        split && llvm::any_of(split.getSplitPrograms(),
                              [&](const graph::SplitProgram &candidate) {
                                return candidate.name == program;
                              });
    if (!known)
      return op->emitError("expects a split program of ")
             << describe(op) << " for the axes of the mesh, got "
             << op->getAttr(dist::DistDialect::getProgramsAttrName());
    OpBuilder builder(op);
    SmallVector<Value> results = split.emitSplitProgram(
        builder, op->getOperands(), op->getResultTypes(), axes, mesh, program);
    if (results.size() != op->getNumResults())
      return failure(); // the op has said why
    for (auto [value, result] : llvm::zip_equal(results, op->getResults()))
      if (value.getType() != result.getType())
        return op->emitError("expects split program '")
               << program << "' of " << describe(op) << " to give "
               << result.getType() << ", got " << value.getType();
    op->replaceAllUsesWith(results);
    op->erase();
    return success();
  }

  dist::MeshAttr mesh;
};

} // namespace
