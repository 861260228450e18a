// SPDX-License-Identifier: Apache-2.0
#include "compiler/Sharding/Layouts.h"
#include "compiler/Sharding/Passes.h"
#include "compiler/Sharding/Reshard.h"
#include "dialects/Graph/Annotations.h"

namespace weir::compiler {
#define GEN_PASS_DEF_LOWERRESHARDSPASS
#include "compiler/Sharding/Passes.h.inc"
} // namespace weir::compiler

using namespace mlir;
using namespace weir;
using namespace weir::compiler;
using dist::AxisLayout;
using dist::LayoutAttr;

namespace {

/// Emits the steps of one reshard.
class ReshardLowering {
public:
  ReshardLowering(dist::ReshardOp op, Resharder &resharder)
      : op(op), resharder(resharder), mesh(resharder.getMesh()), builder(op),
        logical(withoutEncoding(op.getInput().getType())),
        layout(op.getFrom().getAxes()) {}

  FailureOr<Value> lower() {
    SmallVector<AxisLayout> goal(op.getTo().getAxes());
    int time = mesh.getTimeAxis();
    Value value = op.getInput();
    AxisLayout timeGoal;
    if (time >= 0) {
      timeGoal = goal[time];
      if (layout[time].isPartial() && timeGoal.isBroadcast()) {
        // First and alone: it is the end of the micro-batch loop, after which
        // the other axes are reduced once.
        LayoutAttr from = attribute(layout);
        layout[time] = AxisLayout::broadcast();
        LayoutAttr to = attribute(layout);
        value = dist::ReshardOp::create(
            builder, op.getLoc(), withLayout(logical, to), value, from, to);
      } else if (layout[time].isBroadcast() && timeGoal.isSplit()) {
        goal[time] = AxisLayout::broadcast();
      }
    }
    FailureOr<const ReshardPlan *> plan = resharder.plan(layout, goal, logical);
    if (failed(plan))
      return op.emitOpError(
                 "expects a reshard that stays within a micro-batch, got ")
             << op.getFrom() << " to " << op.getTo();
    value = cast(value, localType());
    for (const ReshardStep &step : (*plan)->steps)
      value = emit(step, value);
    if (time >= 0 && goal[time] != timeGoal) {
      ReshardStep slice;
      slice.kind = ReshardStep::Kind::LocalSlice;
      slice.axes = {time};
      slice.dim = timeGoal.dim;
      slice.result = layout;
      slice.result[time] = timeGoal;
      value = emit(slice, value);
    }
    return cast(value, op.getOutput().getType());
  }

private:
  LayoutAttr attribute(ArrayRef<AxisLayout> axes) {
    return LayoutAttr::get(op.getContext(), axes);
  }
  RankedTensorType localType() {
    return dist::getLocalType(logical, attribute(layout), mesh);
  }
  Value cast(Value value, Type type) {
    if (value.getType() == type)
      return value;
    return UnrealizedConversionCastOp::create(builder, op.getLoc(), type, value)
        .getResult(0);
  }

  Value emit(const ReshardStep &step, Value value) {
    LayoutAttr before = attribute(layout);
    layout.assign(step.result.begin(), step.result.end());
    Location loc = op.getLoc();
    Type type = localType();
    Operation *made = nullptr;
    switch (step.kind) {
    case ReshardStep::Kind::LocalSlice:
      made = dist::LocalSliceOp::create(builder, loc, type, value, step.axes,
                                        step.dim);
      break;
    case ReshardStep::Kind::ReduceScatter:
      made = dist::ReduceScatterOp::create(builder, loc, type, value, Value(),
                                           step.axes, step.dim, step.reduction);
      break;
    case ReshardStep::Kind::AllToAll:
      made = dist::AllToAllOp::create(builder, loc, type, value, Value(),
                                      step.axes, step.dim, step.toDim);
      break;
    case ReshardStep::Kind::AllReduce:
      made = dist::AllReduceOp::create(builder, loc, type, value, Value(),
                                       step.axes, step.reduction);
      break;
    case ReshardStep::Kind::AllGather:
      made = dist::AllGatherOp::create(builder, loc, type, value, Value(),
                                       step.axes, step.dim);
      break;
    case ReshardStep::Kind::Exchange:
      made = dist::ExchangeOp::create(builder, loc, type, value, Value(),
                                      step.axes);
      break;
    case ReshardStep::Kind::ToPartial:
      made = dist::PartialOp::create(builder, loc, type, value, step.axes,
                                     step.reduction);
      break;
    }
    if (op->hasAttr(transientAttr))
      made->setAttr(transientAttr, builder.getUnitAttr());
    // weir-localize reads from it what the type does not say: partial values.
    made->setAttr(dist::DistDialect::getSignatureAttrName(),
                  dist::SignatureAttr::get(op.getContext(), {before},
                                           {attribute(layout)}));
    return made->getResult(0);
  }

  dist::ReshardOp op;
  Resharder &resharder;
  dist::MeshAttr mesh;
  OpBuilder builder;
  RankedTensorType logical;
  SmallVector<AxisLayout, 4> layout;
};

class LowerReshards
    : public compiler::impl::LowerReshardsPassBase<LowerReshards> {
public:
  void runOnOperation() override {
    dist::MeshAttr mesh = dist::getMesh(getOperation());
    if (!mesh)
      return;
    llvm::Expected<Cluster> cluster = Cluster::of(getOperation());
    if (!cluster) {
      getOperation().emitError() << llvm::toString(cluster.takeError());
      return signalPassFailure();
    }
    Resharder resharder(mesh, *cluster, /*countsBytes=*/false);
    for (auto entry : getOperation().getOps<graph::EntryOp>()) {
      SmallVector<dist::ReshardOp> reshards(
          entry.getBody().front().getOps<dist::ReshardOp>());
      for (dist::ReshardOp reshard : reshards) {
        FailureOr<Value> value = ReshardLowering(reshard, resharder).lower();
        if (failed(value)) {
          signalPassFailure();
          continue;
        }
        reshard.getOutput().replaceAllUsesWith(*value);
        reshard.erase();
      }
    }
  }
};

} // namespace
