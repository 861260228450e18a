// SPDX-License-Identifier: Apache-2.0
#include "compiler/Emit/Emit.h"
#include "dialects/Actor/Actor.h"
#include "dialects/Graph/Graph.h"

using namespace mlir;

namespace weir::compiler {

namespace {

FailureOr<plan::DType> dtypeOf(Operation *op, Type type) {
  if (type.isF32())
    return plan::DType::F32;
  if (type.isF64())
    return plan::DType::F64;
  if (type.isF16())
    return plan::DType::F16;
  if (type.isBF16())
    return plan::DType::BF16;
  if (type.isInteger(64))
    return plan::DType::I64;
  if (type.isInteger(32))
    return plan::DType::I32;
  if (type.isInteger(1))
    return plan::DType::I1;
  if (type.isUnsignedInteger(8))
    return plan::DType::U8;
  if (type.isInteger(8))
    return plan::DType::I8;
  return op->emitOpError("expects an element type that a plan can hold, got ")
         << type;
}

std::vector<int> intsOf(llvm::ArrayRef<int64_t> values) {
  return std::vector<int>(values.begin(), values.end());
}

plan::Combiner combinerOf(actor::Combiner combiner) {
  switch (combiner) {
  case actor::Combiner::Sum:
    return plan::Combiner::Sum;
  case actor::Combiner::Max:
    return plan::Combiner::Max;
  case actor::Combiner::Min:
    return plan::Combiner::Min;
  }
  return plan::Combiner::Sum;
}

class PlanBuilder {
public:
  PlanBuilder(ModuleOp module, actor::PlanOp op)
      : module(module), op(op), symbols(module) {}

  FailureOr<plan::Plan> build() {
    mesh = dist::getMesh(module);
    if (mesh)
      for (unsigned i = 0; i < mesh.getNumAxes(); ++i)
        plan.mesh.push_back(
            {mesh.getNames()[i].str(), mesh.getSizes()[i], mesh.isTime(i)});
    plan.teamSize = op.getTeam();
    for (actor::SegmentOp segment : op.getBody().getOps<actor::SegmentOp>()) {
      segments[segment.getSegment()] = plan.segments.size();
      plan.segments.push_back({segment.getName().str(),
                               kindOf(segment.getKind()), segment.getBytes()});
    }
    for (actor::VariableOp variable : op.getBody().getOps<actor::VariableOp>())
      if (failed(addVariable(variable)))
        return failure();
    for (actor::EntryOp entry : op.getBody().getOps<actor::EntryOp>())
      if (failed(addEntry(entry)))
        return failure();
    return std::move(plan);
  }

private:
  static plan::Segment::Kind kindOf(actor::SegmentKind kind) {
    switch (kind) {
    case actor::SegmentKind::Parameters:
      return plan::Segment::Kind::Parameters;
    case actor::SegmentKind::State:
      return plan::Segment::Kind::State;
    case actor::SegmentKind::Step:
      return plan::Segment::Kind::Step;
    case actor::SegmentKind::Workspace:
      return plan::Segment::Kind::Workspace;
    }
    return plan::Segment::Kind::Step;
  }

  LogicalResult addVariable(actor::VariableOp place) {
    auto variable = symbols.lookup<graph::VariableOp>(place.getVariable());
    if (!variable)
      return place.emitOpError("expects a variable of the model, got '")
             << place.getVariable() << "'";
    plan::Variable result;
    result.name = variable.getSymName().str();
    switch (variable.getKind()) {
    case graph::VariableKind::Parameter:
      result.kind = plan::Variable::Kind::Parameter;
      break;
    case graph::VariableKind::OptimizerState:
      result.kind = plan::Variable::Kind::OptimizerState;
      break;
    case graph::VariableKind::Cache:
      result.kind = plan::Variable::Kind::Cache;
      break;
    case graph::VariableKind::Counter:
      result.kind = plan::Variable::Kind::Counter;
      break;
    }
    RankedTensorType type = variable.getTensorType();
    FailureOr<plan::DType> dtype = dtypeOf(variable, type.getElementType());
    if (failed(dtype))
      return failure();
    result.layout.dtype = *dtype;
    auto layout = variable->getAttrOfType<dist::LayoutAttr>(
        dist::DistDialect::getLayoutAttrName());
    for (int64_t d = 0; d < type.getRank(); ++d) {
      plan::DimLayout dim;
      dim.size = dim.capacity = type.getDimSize(d);
      if (mesh && layout) {
        dist::ShardDim shard = dist::getShardDim(layout, d, dim.size);
        dim.axes = intsOf(shard.axes);
        dim.unit = shard.unit;
        dim.capacity = dist::capacityOf(shard, mesh);
      }
      result.layout.dims.push_back(std::move(dim));
    }
    result.segment = segments[place.getSegment()];
    result.offset = place.getOffset();
    graph::InitializerAttr init = variable.getInit();
    result.init.a = init.getA();
    result.init.b = init.getB();
    switch (init.getKind()) {
    case graph::InitializerKind::Constant:
      result.init.kind = plan::Initializer::Kind::Constant;
      break;
    case graph::InitializerKind::Normal:
      result.init.kind = plan::Initializer::Kind::Normal;
      break;
    case graph::InitializerKind::Uniform:
      result.init.kind = plan::Initializer::Kind::Uniform;
      break;
    }
    if (std::optional<graph::StoredAttr> stored = variable.getStored()) {
      result.storedName = stored->getName().str();
      result.storedShape.assign(stored->getShape().begin(),
                                stored->getShape().end());
    }
    plan.variables.push_back(std::move(result));
    return success();
  }

  LogicalResult addBindings(Operation *entry, ArrayAttr bindings,
                            std::vector<plan::Binding> &into) {
    for (auto binding : bindings.getAsRange<actor::BindingAttr>()) {
      RankedTensorType type = binding.getType();
      FailureOr<plan::DType> dtype = dtypeOf(entry, type.getElementType());
      if (failed(dtype))
        return failure();
      into.push_back({binding.getName().str(), *dtype,
                      std::vector<int64_t>(type.getShape().begin(),
                                           type.getShape().end())});
    }
    return success();
  }

  LogicalResult addEntry(actor::EntryOp entryOp) {
    plan::Entry entry;
    entry.name = entryOp.getName().str();
    entry.microBatches = entryOp.getMicroBatches();
    if (failed(addBindings(entryOp, entryOp.getInputs(), entry.inputs)) ||
        failed(addBindings(entryOp, entryOp.getOutputs(), entry.outputs)))
      return failure();
    for (auto scalar : entryOp.getScalars().getAsRange<actor::ScalarAttr>()) {
      plan::ScalarExpr expr;
      expr.kind = scalar.getKind() == actor::ScalarKind::Constant
                      ? plan::ScalarExpr::Kind::Constant
                  : scalar.getKind() == actor::ScalarKind::Extent
                      ? plan::ScalarExpr::Kind::Extent
                      : plan::ScalarExpr::Kind::Offset;
      expr.size = scalar.getSize();
      expr.axes = intsOf(scalar.getAxes());
      expr.unit = scalar.getUnit();
      expr.shift = scalar.getShift();
      entry.scalars.push_back(std::move(expr));
    }

    llvm::DenseMap<Value, int> index;
    for (Operation &op : entryOp.getBody().front()) {
      LogicalResult result =
          llvm::TypeSwitch<Operation *, LogicalResult>(&op)
              .Case<actor::StreamOp>([&](actor::StreamOp stream) {
                index[stream.getStream()] = entry.streams.size();
                entry.streams.push_back(stream.getName().str());
                return success();
              })
              .Case<actor::BufferOp>([&](actor::BufferOp buffer) {
                return addBuffer(buffer, entry, index);
              })
              .Case<actor::CollectiveOp>([&](actor::CollectiveOp collective) {
                return addCollective(collective, entry, index);
              })
              .Case<actor::ActorOp>([&](actor::ActorOp actor) {
                return addActor(actor, entry, index);
              })
              .Case<actor::RegisterOp>([&](actor::RegisterOp reg) {
                plan::Register result;
                result.buffer = index[reg.getBuffer()];
                result.producer = index[reg.getProducer()];
                for (Value consumer : reg.getConsumers())
                  result.consumers.push_back(index[consumer]);
                result.slots = reg.getSlots();
                entry.registers.push_back(std::move(result));
                return success();
              })
              .Case<actor::ReuseOp>([&](actor::ReuseOp reuse) {
                entry.reuseEdges.push_back(
                    {index[reuse.getBefore()], index[reuse.getAfter()],
                     static_cast<int>(reuse.getDistance())});
                return success();
              })
              .Case<actor::ScheduleOp>([&](actor::ScheduleOp schedule) {
                int stream = index[schedule.getStream()];
                entry.schedule.resize(entry.streams.size());
                for (auto [actor, microBatch] : llvm::zip(
                         schedule.getActors(), schedule.getMicroBatches()))
                  entry.schedule[stream].push_back(
                      {index[actor], static_cast<int>(microBatch)});
                return success();
              })
              .Default([](Operation *op) {
                return op->emitOpError("is not a part of an entry");
              });
      if (failed(result))
        return failure();
    }
    entry.schedule.resize(entry.streams.size());
    plan.entries.push_back(std::move(entry));
    return success();
  }

  LogicalResult addBuffer(actor::BufferOp op, plan::Entry &entry,
                          llvm::DenseMap<Value, int> &index) {
    plan::Buffer buffer;
    buffer.name = op.getName().str();
    buffer.bytes = op.getBytes();
    buffer.slots = op.getSlots();
    buffer.slotStride = op.getSlotStride();
    if (Value segment = op.getSegment()) {
      buffer.segment = segments[segment];
      buffer.offset = op.getOffset();
    } else if (!op.getInput()) {
      return op.emitOpError("expects a place; run weir-place-buffers first");
    }
    if (op.getInput()) {
      buffer.binding = *op.getInput();
    } else if (op.getOutput()) {
      buffer.binding = *op.getOutput();
      buffer.bindingIsOutput = true;
    }
    index[op.getBuffer()] = entry.buffers.size();
    entry.buffers.push_back(std::move(buffer));
    return success();
  }

  LogicalResult addCollective(actor::CollectiveOp op, plan::Entry &entry,
                              llvm::DenseMap<Value, int> &index) {
    plan::Collective collective;
    switch (op.getKind()) {
    case actor::CollectiveKind::AllReduce:
      collective.op = plan::Collective::Op::AllReduce;
      break;
    case actor::CollectiveKind::AllGather:
      collective.op = plan::Collective::Op::AllGather;
      break;
    case actor::CollectiveKind::ReduceScatter:
      collective.op = plan::Collective::Op::ReduceScatter;
      break;
    case actor::CollectiveKind::AllToAll:
      collective.op = plan::Collective::Op::AllToAll;
      break;
    case actor::CollectiveKind::Exchange:
      collective.op = plan::Collective::Op::Exchange;
      break;
    }
    collective.combiner = combinerOf(op.getCombiner());
    collective.axes = intsOf(op.getAxes());
    for (auto dim : op.getDims().getAsRange<actor::CollectiveDimAttr>())
      collective.dims.push_back(
          {dim.getLogical(), intsOf(dim.getInAxes()), intsOf(dim.getOutAxes()),
           dim.getInStride(), dim.getOutStride(), dim.getInUnit(),
           dim.getOutUnit(), dim.getInShift(), dim.getOutShift()});
    FailureOr<plan::DType> dtype = dtypeOf(op, op.getType());
    if (failed(dtype))
      return failure();
    collective.dtype = *dtype;
    index[op.getCollective()] = entry.collectives.size();
    entry.collectives.push_back(std::move(collective));
    return success();
  }

  LogicalResult addActor(actor::ActorOp op, plan::Entry &entry,
                         llvm::DenseMap<Value, int> &index) {
    plan::Actor actor;
    actor.name = op.getName().str();
    actor.stream = index[op.getStream()];
    actor.perMicroBatch = op.getPerMicroBatch();
    for (Operation &actionOp : op.getBody().front()) {
      FailureOr<plan::Action> action = actionOf(&actionOp, index);
      if (failed(action))
        return failure();
      actor.actions.push_back(entry.actions.size());
      entry.actions.push_back(std::move(*action));
    }
    index[op.getActor()] = entry.actors.size();
    entry.actors.push_back(std::move(actor));
    return success();
  }

  static plan::ContractDim dimOf(actor::ContractDimAttr dim) {
    return {static_cast<int>(dim.getScalar()), dim.getStrideA(),
            dim.getStrideB(), dim.getStrideC()};
  }

  FailureOr<plan::Action> actionOf(Operation *op,
                                   llvm::DenseMap<Value, int> &index) {
    plan::Action action;
    action.site = actor::getSite(op).str();
    auto addBuffers = [&](ValueRange buffers, llvm::ArrayRef<int64_t> offsets) {
      for (auto [buffer, offset] : llvm::zip(buffers, offsets))
        action.buffers.push_back({index[buffer], offset});
    };
    if (auto kernel = llvm::dyn_cast<actor::KernelOp>(op)) {
      action.kind = plan::Action::Kind::Kernel;
      action.symbol = kernel.getKernel().str();
      addBuffers(kernel.getBuffers(), kernel.getOffsets());
      action.numReads = kernel.getReads();
      action.scalars = intsOf(kernel.getScalars());
      action.chunks = kernel.getChunks();
      return action;
    }
    if (auto contract = llvm::dyn_cast<actor::ContractOp>(op)) {
      action.kind = plan::Action::Kind::Contract;
      addBuffers({contract.getA(), contract.getB(), contract.getC()},
                 contract.getOffsets());
      action.numReads = 2;
      for (auto dim : contract.getLoops().getAsRange<actor::ContractDimAttr>())
        action.contract.loops.push_back(dimOf(dim));
      action.contract.m = dimOf(contract.getM());
      action.contract.n = dimOf(contract.getN());
      action.contract.k = dimOf(contract.getK());
      action.contract.accumulate = contract.getAccumulate();
      FailureOr<plan::DType> dtype = dtypeOf(op, contract.getType());
      if (failed(dtype))
        return failure();
      action.contract.dtype = *dtype;
      return action;
    }
    if (auto phase = llvm::dyn_cast<actor::PhaseOp>(op)) {
      action.kind = plan::Action::Kind::Collective;
      action.collective = index[phase.getCollective()];
      switch (phase.getPhase()) {
      case actor::Phase::Post:
        action.phase = plan::Action::Phase::Post;
        break;
      case actor::Phase::Reduce:
        action.phase = plan::Action::Phase::Reduce;
        break;
      case actor::Phase::Gather:
        action.phase = plan::Action::Phase::Gather;
        break;
      case actor::Phase::Release:
        action.phase = plan::Action::Phase::Release;
        break;
      }
      addBuffers({phase.getInput(), phase.getOutput()}, phase.getOffsets());
      action.numReads = 1;
      return action;
    }
    auto fill = llvm::cast<actor::FillOp>(op);
    action.kind = plan::Action::Kind::Fill;
    action.buffers.push_back({index[fill.getBuffer()], 0});
    action.fillValue = fill.getValue().convertToDouble();
    FailureOr<plan::DType> dtype = dtypeOf(op, fill.getType());
    if (failed(dtype))
      return failure();
    action.fillType = *dtype;
    return action;
  }

  ModuleOp module;
  actor::PlanOp op;
  SymbolTable symbols; // a lookup without one walks the module
  dist::MeshAttr mesh;
  plan::Plan plan;
  llvm::DenseMap<Value, int> segments;
};

} // namespace

FailureOr<plan::Plan> buildPlan(ModuleOp module) {
  auto plans = llvm::to_vector(module.getOps<actor::PlanOp>());
  if (plans.size() != 1)
    return module.emitError("expects one actor.plan to write, got ")
           << plans.size();
  return PlanBuilder(module, plans.front()).build();
}

} // namespace weir::compiler
