// SPDX-License-Identifier: Apache-2.0
#include "dialects/Actor/Actor.h"

#include "llvm/ADT/StringSet.h"

using namespace mlir;
using namespace weir::actor;

llvm::SmallVector<Access> weir::actor::getAccesses(Operation *action) {
  llvm::SmallVector<Access> accesses;
  llvm::TypeSwitch<Operation *>(action)
      .Case<KernelOp>([&](KernelOp op) {
        int64_t reads = op.getReads();
        for (auto [i, buffer] : llvm::enumerate(op.getBuffers())) {
          // A written buffer may be updated in place, or in part.
          bool writes = static_cast<int64_t>(i) >= reads;
          accesses.push_back({buffer, /*reads=*/!writes, writes});
        }
      })
      .Case<ContractOp>([&](ContractOp op) {
        accesses.push_back({op.getA(), true, false});
        accesses.push_back({op.getB(), true, false});
        accesses.push_back({op.getC(), op.getAccumulate(), true});
      })
      .Case<PhaseOp>([&](PhaseOp op) {
        Phase phase = op.getPhase();
        // Post shows the input to the peers, who read it from then on; release
        // waits until none of them reads either buffer any more.
        bool writes = phase == Phase::Reduce || phase == Phase::Gather;
        accesses.push_back({op.getInput(), true, false});
        if (phase != Phase::Post)
          accesses.push_back({op.getOutput(), !writes, writes});
      })
      .Case<FillOp>([&](FillOp op) {
        accesses.push_back({op.getBuffer(), false, true});
      });
  return accesses;
}

llvm::StringRef weir::actor::getSite(Operation *action) {
  auto site = action->getAttrOfType<StringAttr>("site");
  return site ? site.getValue() : llvm::StringRef();
}

namespace {

LogicalResult verifyOffsets(Operation *op, llvm::ArrayRef<int64_t> offsets,
                            size_t numBuffers) {
  if (offsets.size() != numBuffers)
    return op->emitOpError("expects an offset for each of ")
           << numBuffers << " buffers, got " << offsets.size();
  for (int64_t offset : offsets)
    if (offset < 0)
      return op->emitOpError("expects offsets of at least 0, got ") << offset;
  return success();
}

int64_t numScalars(Operation *action) {
  return static_cast<int64_t>(
      action->getParentOfType<EntryOp>().getScalars().size());
}

LogicalResult verifyScalar(Operation *op, int64_t scalar) {
  if (scalar < 0 || scalar >= numScalars(op))
    return op->emitOpError("expects scalars below ")
           << numScalars(op) << ", got " << scalar;
  return success();
}

/// The defining op of a handle. Handles have no other source than their ops.
template <typename OpTy> OpTy definingOp(Value handle) {
  return handle.getDefiningOp<OpTy>();
}

template <typename Range>
LogicalResult verifyUniqueNames(Operation *op, Range &&ops,
                                llvm::StringRef what) {
  llvm::StringSet<> names;
  for (auto part : ops)
    if (!names.insert(part.getName()).second)
      return op->emitOpError("expects ") << what << " names to be unique, got '"
                                         << part.getName() << "' twice";
  return success();
}

} // namespace

//===----------------------------------------------------------------------===//
// Plan, segments, variables
//===----------------------------------------------------------------------===//

LogicalResult PlanOp::verifyRegions() {
  if (getRole() < 0)
    return emitOpError("expects a role of at least 0, got ") << getRole();
  if (getTeam() < 1)
    return emitOpError("expects a positive team, got ") << getTeam();
  if (failed(
          verifyUniqueNames(*this, getBody().getOps<SegmentOp>(), "segment")))
    return failure();
  return verifyUniqueNames(*this, getBody().getOps<EntryOp>(), "entry");
}

LogicalResult SegmentOp::verify() {
  if (getBytes() < 0 || getBytes() % bufferAlignment != 0)
    return emitOpError("expects a size that is a multiple of ")
           << bufferAlignment << " bytes, got " << getBytes();
  return success();
}

LogicalResult VariableOp::verify() {
  auto segment = definingOp<SegmentOp>(getSegment());
  if (!segment)
    return emitOpError("expects a segment of the plan");
  if (getOffset() < 0 || getOffset() % bufferAlignment != 0)
    return emitOpError("expects an offset that is a multiple of ")
           << bufferAlignment << ", got " << getOffset();
  if (getBytes() < 0 || getBytes() > segment.getBytes() - getOffset())
    return emitOpError("expects a place inside segment '")
           << segment.getName() << "' of " << segment.getBytes()
           << " bytes, got " << getBytes() << " at " << getOffset();
  return success();
}

//===----------------------------------------------------------------------===//
// EntryOp
//===----------------------------------------------------------------------===//

LogicalResult EntryOp::verifyRegions() {
  int64_t microBatches = getMicroBatches();
  if (microBatches < 1)
    return emitOpError("expects at least one micro-batch, got ")
           << microBatches;

  llvm::DenseMap<Value, int64_t> position, lastFired;
  llvm::DenseMap<Value, int64_t> firings;
  llvm::SmallVector<ActorOp> actors;
  for (Operation &op : getBody().front()) {
    if (auto actor = llvm::dyn_cast<ActorOp>(op)) {
      position[actor.getActor()] = actors.size();
      actors.push_back(actor);
    }
    if (!llvm::isa<StreamOp, BufferOp, CollectiveOp, ActorOp, RegisterOp,
                   ReuseOp, ScheduleOp>(op))
      return op.emitOpError("is not a part of an entry");
  }
  int changes = 0;
  for (size_t i = 1; i < actors.size(); ++i)
    changes += actors[i].getPerMicroBatch() != actors[i - 1].getPerMicroBatch();
  if (changes > 2 || (changes == 2 && actors.front().getPerMicroBatch()))
    return emitOpError("expects the actors that fire for each micro-batch to "
                       "stand together");
  auto name = [&](Value actor) { return definingOp<ActorOp>(actor).getName(); };
  for (RegisterOp reg : getBody().getOps<RegisterOp>())
    for (Value consumer : reg.getConsumers())
      if (position[reg.getProducer()] >= position[consumer])
        return reg.emitOpError("expects consumer '")
               << name(consumer) << "' after producer '"
               << name(reg.getProducer()) << "' in the order of actors";
  for (ReuseOp reuse : getBody().getOps<ReuseOp>())
    if (reuse.getDistance() == 0 &&
        position[reuse.getBefore()] >= position[reuse.getAfter()])
      return reuse.emitOpError("expects '")
             << name(reuse.getBefore()) << "' before '"
             << name(reuse.getAfter()) << "' in the order of actors";

  llvm::DenseMap<Value, bool> scheduled;
  bool hasSchedules = false;
  for (ScheduleOp schedule : getBody().getOps<ScheduleOp>()) {
    hasSchedules = true;
    if (!scheduled.insert({schedule.getStream(), true}).second)
      return schedule.emitOpError("expects one schedule a stream");
    for (auto [actor, microBatch] :
         llvm::zip(schedule.getActors(), schedule.getMicroBatches())) {
      bool each = definingOp<ActorOp>(actor).getPerMicroBatch();
      int64_t &count = firings[actor];
      if (microBatch != (each ? count : -1) || (!each && count > 0))
        return schedule.emitOpError("expects actor '")
               << name(actor) << "' to fire "
               << (each ? "for each micro-batch in order" : "once, for -1")
               << ", got micro-batch " << microBatch;
      ++count;
    }
  }
  if (!hasSchedules)
    return success();
  for (ActorOp actor : actors) {
    int64_t expected = actor.getPerMicroBatch() ? microBatches : 1;
    if (firings[actor.getActor()] != expected)
      return actor.emitOpError("expects to be scheduled ")
             << expected << " times, got " << firings[actor.getActor()];
  }
  return success();
}

LogicalResult BufferOp::verify() {
  if (getBytes() < 0)
    return emitOpError("expects a size of at least 0, got ") << getBytes();
  if (getSlots() < 1)
    return emitOpError("expects at least one slot, got ") << getSlots();
  if (getOffset() < 0 || getOffset() % bufferAlignment != 0)
    return emitOpError("expects an offset that is a multiple of ")
           << bufferAlignment << ", got " << getOffset();
  if (getSlotStride() < 0 || getSlotStride() % bufferAlignment != 0)
    return emitOpError("expects a slot stride that is a multiple of ")
           << bufferAlignment << ", got " << getSlotStride();
  if (getSlots() > 1 && getSlotStride() < getBytes())
    return emitOpError("expects slots at least ")
           << getBytes() << " bytes apart, got " << getSlotStride();
  auto entry = (*this)->getParentOfType<EntryOp>();
  if (getInput() && getOutput())
    return emitOpError("expects to be an input or an output, not both");
  if (getInput() &&
      (*getInput() < 0 ||
       *getInput() >= static_cast<int64_t>(entry.getInputs().size())))
    return emitOpError("expects an input below ")
           << entry.getInputs().size() << ", got " << *getInput();
  if (getOutput() &&
      (*getOutput() < 0 ||
       *getOutput() >= static_cast<int64_t>(entry.getOutputs().size())))
    return emitOpError("expects an output below ")
           << entry.getOutputs().size() << ", got " << *getOutput();
  if (!getSegment())
    return success();
  if (getInput())
    return emitOpError("expects an input to have no place of its own");
  auto segment = definingOp<SegmentOp>(getSegment());
  if (!segment)
    return emitOpError("expects a segment of the plan");
  int64_t size = (getSlots() - 1) * getSlotStride() + getBytes();
  if (size > segment.getBytes() - getOffset())
    return emitOpError("expects a place inside segment '")
           << segment.getName() << "' of " << segment.getBytes()
           << " bytes, got " << size << " at " << getOffset();
  return success();
}

LogicalResult CollectiveOp::verify() {
  if (getAxes().empty())
    return emitOpError("expects at least one mesh axis");
  bool combines = getKind() == CollectiveKind::AllReduce ||
                  getKind() == CollectiveKind::ReduceScatter;
  if (!combines && getCombiner() != Combiner::Sum)
    return emitOpError("expects combiner sum where nothing is combined, got ")
           << stringifyCombiner(getCombiner());
  if (!getType().isIntOrFloat())
    return emitOpError("expects an element type, got ") << getType();
  return success();
}

LogicalResult ActorOp::verifyRegions() {
  if (getBody().front().empty())
    return emitOpError("expects at least one action");
  for (Operation &op : getBody().front())
    if (!llvm::isa<KernelOp, ContractOp, PhaseOp, FillOp>(op))
      return op.emitOpError("is not an action");
  return success();
}

//===----------------------------------------------------------------------===//
// Actions
//===----------------------------------------------------------------------===//

LogicalResult KernelOp::verify() {
  if (failed(verifyOffsets(*this, getOffsets(), getBuffers().size())))
    return failure();
  if (getReads() < 0 || getReads() > static_cast<int64_t>(getBuffers().size()))
    return emitOpError("expects at most ")
           << getBuffers().size() << " reads, got " << getReads();
  if (getChunks() < 1)
    return emitOpError("expects at least one chunk, got ") << getChunks();
  for (int64_t scalar : getScalars())
    if (failed(verifyScalar(*this, scalar)))
      return failure();
  return success();
}

LogicalResult ContractOp::verify() {
  if (failed(verifyOffsets(*this, getOffsets(), 3)))
    return failure();
  if (!getType().isIntOrFloat())
    return emitOpError("expects an element type, got ") << getType();
  for (ContractDimAttr dim : getLoops().getAsRange<ContractDimAttr>())
    if (failed(verifyScalar(*this, dim.getScalar())))
      return failure();
  for (ContractDimAttr dim : {getM(), getN(), getK()})
    if (failed(verifyScalar(*this, dim.getScalar())))
      return failure();
  return success();
}

LogicalResult PhaseOp::verify() {
  auto collective = definingOp<CollectiveOp>(getCollective());
  if (!collective)
    return emitOpError("expects a collective of the entry");
  if (getPhase() == Phase::Reduce &&
      collective.getKind() != CollectiveKind::AllReduce)
    return emitOpError("expects phase reduce for all_reduce only, got ")
           << stringifyCollectiveKind(collective.getKind());
  return verifyOffsets(*this, getOffsets(), 2);
}

//===----------------------------------------------------------------------===//
// Order
//===----------------------------------------------------------------------===//

LogicalResult RegisterOp::verify() {
  auto buffer = definingOp<BufferOp>(getBuffer());
  auto producer = definingOp<ActorOp>(getProducer());
  if (!buffer || !producer)
    return emitOpError("expects a buffer and an actor of the entry");
  if (getSlots() != buffer.getSlots())
    return emitOpError("expects as many slots as the buffer has, ")
           << buffer.getSlots() << ", got " << getSlots();
  if (getConsumers().empty())
    return emitOpError("expects at least one consumer");
  llvm::SmallDenseSet<Value> seen;
  for (Value value : getConsumers()) {
    auto consumer = definingOp<ActorOp>(value);
    if (!consumer)
      return emitOpError("expects actors of the entry");
    if (consumer.getStream() == producer.getStream())
      return emitOpError("expects consumers on other streams than '")
             << producer.getName() << "', got '" << consumer.getName() << "'";
    if (!seen.insert(value).second)
      return emitOpError("expects each consumer once, got '")
             << consumer.getName() << "' twice";
  }
  return success();
}

LogicalResult ReuseOp::verify() {
  auto before = definingOp<ActorOp>(getBefore());
  auto after = definingOp<ActorOp>(getAfter());
  if (!before || !after)
    return emitOpError("expects actors of the entry");
  if (before.getStream() == after.getStream())
    return emitOpError("expects actors of different streams, got '")
           << before.getName() << "' and '" << after.getName() << "'";
  bool both = before.getPerMicroBatch() && after.getPerMicroBatch();
  if (getDistance() != 0 && (getDistance() != 1 || !both))
    return emitOpError("expects distance 0, or 1 between actors that fire for "
                       "each micro-batch, got ")
           << getDistance();
  return success();
}

LogicalResult ScheduleOp::verify() {
  if (getMicroBatches().size() != getActors().size())
    return emitOpError("expects a micro-batch for each of ")
           << getActors().size() << " items, got " << getMicroBatches().size();
  for (Value value : getActors()) {
    auto actor = definingOp<ActorOp>(value);
    if (!actor)
      return emitOpError("expects actors of the entry");
    if (actor.getStream() != getStream())
      return emitOpError("expects actors of its stream, got '")
             << actor.getName() << "'";
  }
  return success();
}

#define GET_OP_CLASSES
#include "dialects/Actor/ActorOps.cpp.inc"
