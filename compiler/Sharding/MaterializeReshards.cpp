// SPDX-License-Identifier: Apache-2.0
#include "compiler/Sharding/Layouts.h"
#include "compiler/Sharding/Passes.h"
#include "compiler/Sharding/Reshard.h"

#include <limits>

namespace weir::compiler {
#define GEN_PASS_DEF_MATERIALIZERESHARDSPASS
#include "compiler/Sharding/Passes.h.inc"
} // namespace weir::compiler

using namespace mlir;
using namespace weir;
using namespace weir::compiler;
using dist::AxisLayout;
using dist::LayoutAttr;
using dist::SignatureAttr;

namespace {

class MaterializeReshards
    : public compiler::impl::MaterializeReshardsPassBase<MaterializeReshards> {
public:
  void runOnOperation() override {
    mesh = dist::getMesh(getOperation());
    if (!mesh)
      return;
    for (auto entry : getOperation().getOps<graph::EntryOp>())
      if (failed(runOnEntry(entry)))
        signalPassFailure();
  }

private:
  LogicalResult runOnEntry(graph::EntryOp entry) {
    versions.clear();
    Block &block = entry.getBody().front();
    StringRef layoutName = dist::DistDialect::getLayoutAttrName();
    for (BlockArgument argument : block.getArguments()) {
      auto layout = entry.getArgAttrOfType<LayoutAttr>(argument.getArgNumber(),
                                                       layoutName);
      if (!layout)
        return entry.emitOpError("expects argument ")
               << argument.getArgNumber()
               << " to have a layout; run weir-propagate-layouts";
      argument.setType(withLayout(argument.getType(), layout));
    }
    for (Operation &op :
         llvm::make_early_inc_range(block.without_terminator())) {
      auto signature = op.getAttrOfType<SignatureAttr>(
          dist::DistDialect::getSignatureAttrName());
      if (!signature)
        return op.emitError("expects ")
               << describe(&op)
               << " to have a signature; run weir-propagate-layouts";
      for (OpOperand &operand : op.getOpOperands())
        if (failed(useIn(operand,
                         signature.getOperands()[operand.getOperandNumber()])))
          return failure();
      for (OpResult result : op.getResults())
        result.setType(
            withLayout(result.getType(),
                       signature.getResults()[result.getResultNumber()]));
      if (auto constant = dyn_cast<graph::ConstantOp>(op))
        constant.setValueAttr(retypeElements(constant.getValue(),
                                             constant.getOutput().getType()));
    }
    for (OpOperand &operand : block.getTerminator()->getOpOperands()) {
      auto layout = entry.getResultAttrOfType<LayoutAttr>(
          operand.getOperandNumber(), layoutName);
      if (!layout)
        return entry.emitOpError("expects result ")
               << operand.getOperandNumber()
               << " to have a layout; run weir-propagate-layouts";
      if (failed(useIn(operand, layout)))
        return failure();
    }
    updateEntryType(entry);
    return success();
  }

  /// Cost of making `to` from a version of a value that was produced in
  /// `origin`; infinite where the micro-batch loop forbids it.
  double cost(LayoutAttr origin, LayoutAttr from, LayoutAttr to, Type type) {
    SmallVector<AxisLayout> before(from.getAxes()), after(to.getAxes());
    int time = mesh.getTimeAxis();
    if (time >= 0) {
      const AxisLayout &first = origin.getAxes()[time];
      const AxisLayout &goal = after[time];
      // What the loop summed up is not visible in it.
      if (!goal.isBroadcast() && !first.isBroadcast() && before[time] != first)
        return impossible;
      if (before[time] != goal) {
        bool slice = before[time].isBroadcast() && goal.isSplit();
        bool sum = before[time].isPartial() && goal.isBroadcast();
        if (!slice && !sum)
          return impossible;
        before[time] = after[time] = AxisLayout::broadcast();
      }
    }
    FailureOr<SmallVector<ReshardStep>> steps =
        planReshard(before, after, mesh);
    if (failed(steps))
      return impossible;
    return reshardCost(*steps, before, mesh, bytesOf(type));
  }

  /// Makes a use read its value in `want`.
  LogicalResult useIn(OpOperand &operand, LayoutAttr want) {
    Value value = operand.get();
    LayoutAttr made = layoutOf(value);
    if (made == want)
      return success();
    SmallVector<Value, 3> &known = versions[value];
    if (known.empty())
      known.push_back(value);
    Value best;
    double bestCost = impossible;
    for (Value version : known) {
      if (layoutOf(version) == want) {
        operand.set(version);
        return success();
      }
      double total = cost(made, layoutOf(version), want, value.getType());
      if (total < bestCost) {
        bestCost = total;
        best = version;
      }
    }
    Operation *user = operand.getOwner();
    OpBuilder builder(user);
    if (Value copy = copyConstant(builder, value, want)) {
      known.push_back(copy);
      operand.set(copy);
      return success();
    }
    if (!best)
      return user->emitError("expects ")
             << describe(user) << " to get operand "
             << operand.getOperandNumber() << " in " << want
             << ", which no reshard makes from " << made
             << ": it would move data between micro-batches";
    auto reshard = dist::ReshardOp::create(builder, value.getLoc(),
                                           withLayout(value.getType(), want),
                                           best, layoutOf(best), want);
    known.push_back(reshard.getOutput());
    operand.set(reshard.getOutput());
    return success();
  }

  /// A splat is cheaper made again than resharded.
  Value copyConstant(OpBuilder &builder, Value value, LayoutAttr want) {
    auto constant = value.getDefiningOp<graph::ConstantOp>();
    if (!constant || want.hasPartial())
      return {};
    auto elements = dyn_cast<DenseElementsAttr>(constant.getValue());
    if (!elements || !elements.isSplat())
      return {};
    auto copy = cast<graph::ConstantOp>(builder.clone(*constant));
    copy.getOutput().setType(withLayout(value.getType(), want));
    copy.setValueAttr(
        retypeElements(copy.getValue(), copy.getOutput().getType()));
    copy->setAttr(dist::DistDialect::getSignatureAttrName(),
                  SignatureAttr::get(&getContext(), {}, {want}));
    return copy.getOutput();
  }

  static constexpr double impossible = std::numeric_limits<double>::infinity();
  dist::MeshAttr mesh;
  /// The producer's value and its reshards, in the order they were made.
  DenseMap<Value, SmallVector<Value, 3>> versions;
};

} // namespace
