// SPDX-License-Identifier: Apache-2.0
#include "compiler/Sharding/Layouts.h"
#include "compiler/Sharding/Passes.h"
#include "compiler/Sharding/Reshard.h"
#include "compiler/Sharding/Strategies.h"
#include "dialects/Graph/Annotations.h"

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
    llvm::Expected<Cluster> cluster = Cluster::of(getOperation());
    if (!cluster) {
      getOperation().emitError() << llvm::toString(cluster.takeError());
      return signalPassFailure();
    }
    resharder = std::make_shared<Resharder>(mesh, *cluster,
                                            /*countsBytes=*/false);
    strategies = strategiesOf(getOperation(), mesh);
    for (auto entry : getOperation().getOps<graph::EntryOp>())
      if (failed(runOnEntry(entry)))
        signalPassFailure();
  }

private:
  LogicalResult runOnEntry(graph::EntryOp entry) {
    versions.clear();
    lastUse.clear();
    gathered = 0;
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

  /// Seconds to make `to` from a version of a value that was produced in
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
    FailureOr<const ReshardPlan *> plan =
        resharder->plan(before, after, withoutEncoding(type));
    return failed(plan) ? impossible : (*plan)->seconds;
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
      if (isReleased(version))
        continue;
      if (layoutOf(version) == want) {
        operand.set(version);
        noteUse(version);
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
    if (best && scatters(layoutOf(best), want))
      builder.setInsertionPointAfterValue(best);
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
    if (LayoutAttr first = scatteredInLoop(layoutOf(best), want)) {
      best = createReshard(builder, value, best, first);
      known.push_back(best);
    }
    Value result = createReshard(builder, value, best, want);
    known.push_back(result);
    operand.set(result);
    if (isGatherOfShards(value, want)) {
      result.getDefiningOp()->setAttr(transientAttr, builder.getUnitAttr());
      gathered += elementsOf(value);
      lastUse[result] = gathered;
    }
    return success();
  }

  /// Whether terms are summed up and scattered: at once, since the terms are
  /// whole and the sum a shard.
  bool scatters(LayoutAttr from, LayoutAttr to) {
    for (auto [axis, entry] : llvm::enumerate(from.getAxes()))
      if (entry.isPartial() && to.getAxes()[axis].isSplit())
        return true;
    return false;
  }

  Value createReshard(OpBuilder &builder, Value value, Value from,
                      LayoutAttr to) {
    return dist::ReshardOp::create(builder, value.getLoc(),
                                   withLayout(value.getType(), to), from,
                                   layoutOf(from), to)
        .getOutput();
  }

  /// Where gradients are kept in shards (`zero2`, `zero3`), the layout before
  /// the micro-batches are summed up: scattered over those axes already, so
  /// that the accumulator is a shard. Null where nothing is to be done first.
  LayoutAttr scatteredInLoop(LayoutAttr from, LayoutAttr to) {
    int time = mesh.getTimeAxis();
    if (time < 0 || !from.getAxes()[time].isPartial() ||
        !to.getAxes()[time].isBroadcast())
      return {};
    SmallVector<AxisLayout> axes(from.getAxes());
    for (auto [axis, strategy] : llvm::enumerate(strategies))
      if ((strategy == Strategy::Zero2 || strategy == Strategy::Zero3) &&
          axes[axis].isPartial() && to.getAxes()[axis].isSplit())
        axes[axis] = to.getAxes()[axis];
    LayoutAttr first = LayoutAttr::get(&getContext(), axes);
    return first == from ? LayoutAttr() : first;
  }

  /// Whether `want` makes a parameter whole that `zero3` or a search keeps in
  /// shards.
  bool isGatherOfShards(Value value, LayoutAttr want) {
    if (!isa<BlockArgument>(value))
      return false;
    LayoutAttr made = layoutOf(value);
    for (auto [axis, strategy] : llvm::enumerate(strategies))
      if ((strategy == Strategy::Zero3 || strategy == Strategy::Search) &&
          made.getAxes()[axis].isSplit() && want.getAxes()[axis].isBroadcast())
        return true;
    return false;
  }

  static int64_t elementsOf(Value value) {
    return cast<RankedTensorType>(value.getType()).getNumElements();
  }

  /// A parameter gathered for one use is kept for the next only if no more
  /// elements than its own are gathered in between; else the later use, most
  /// often that of the backward pass, gathers it again. (DeepSpeed bounds the
  /// same distance by `stage3_max_reuse_distance`.)
  bool isReleased(Value version) {
    auto use = lastUse.find(version);
    return use != lastUse.end() && gathered - use->second > elementsOf(version);
  }
  void noteUse(Value version) {
    auto use = lastUse.find(version);
    if (use != lastUse.end())
      use->second = gathered;
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
  SmallVector<Strategy> strategies;
  /// Of gathered parameters: how many elements had been gathered when they were
  /// last used.
  DenseMap<Value, int64_t> lastUse;
  int64_t gathered = 0;
  std::shared_ptr<Resharder> resharder; // passes are copied
  /// The producer's value and its reshards, in the order they were made.
  DenseMap<Value, SmallVector<Value, 3>> versions;
};

} // namespace
