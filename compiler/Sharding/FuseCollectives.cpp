// SPDX-License-Identifier: Apache-2.0
#include "compiler/Planner/Cluster.h"
#include "compiler/Sharding/Layouts.h"
#include "compiler/Sharding/Passes.h"

#include "llvm/ADT/MapVector.h"

#include <tuple>

namespace weir::compiler {
#define GEN_PASS_DEF_FUSECOLLECTIVESPASS
#include "compiler/Sharding/Passes.h.inc"
} // namespace weir::compiler

using namespace mlir;
using namespace weir;
using namespace weir::compiler;

namespace {

bool isCollective(Operation *op) {
  return isa<dist::AllReduceOp, dist::AllGatherOp, dist::ReduceScatterOp,
             dist::AllToAllOp, dist::ExchangeOp>(op);
}

/// Whether an op moves early: a collective, or what is only there to feed one.
bool isMovable(Operation *op) {
  return isCollective(op) || (isa<dist::LocalSliceOp, dist::PartialOp>(op) &&
                              llvm::all_of(op->getUsers(), isCollective));
}

/// Bytes of the largest list of tensors that an op reads or makes.
double messageBytes(Operation *op) {
  double read = 0, made = 0;
  for (Type type : op->getOperandTypes())
    read += bytesOf(type);
  for (Type type : op->getResultTypes())
    made += bytesOf(type);
  return std::max(read, made);
}

//===----------------------------------------------------------------------===//
// Collectives that feed each other
//===----------------------------------------------------------------------===//

/// Rewrites what the slices and collectives around one op make unnecessary.
class Simplifier {
public:
  explicit Simplifier(Block &block) : block(block) {}

  void run() {
    // Users follow: a slice that moved up meets its reduction before that is
    // looked at, when we come from behind.
    for (Operation &op : llvm::make_early_inc_range(llvm::reverse(block))) {
      if (auto reduce = dyn_cast<dist::AllReduceOp>(op))
        scatter(reduce);
      else if (auto gather = dyn_cast<dist::AllGatherOp>(op))
        skipGather(gather);
    }
    for (Operation &op : llvm::make_early_inc_range(llvm::reverse(block)))
      if ((isCollective(&op) || isa<dist::LocalSliceOp>(op)) && op.use_empty())
        op.erase();
  }

private:
  using Slice = std::pair<int64_t, SmallVector<int64_t>>; // dim, axes

  /// The slice that all uses of `value` take, also behind elementwise ops,
  /// which commute with it; nothing where they differ.
  std::optional<Slice> commonSlice(Value value, int depth,
                                   SmallVectorImpl<Operation *> &chain) {
    constexpr int deepest = 16;
    std::optional<Slice> common;
    if (value.use_empty() || depth > deepest)
      return std::nullopt;
    for (Operation *user : value.getUsers()) {
      std::optional<Slice> slice;
      if (user->getBlock() != &block)
        return std::nullopt;
      if (auto local = dyn_cast<dist::LocalSliceOp>(user)) {
        slice = Slice(local.getDim(), SmallVector<int64_t>(local.getAxes()));
      } else if (user->hasTrait<OpTrait::Elementwise>() &&
                 user->getNumResults() == 1 &&
                 llvm::all_of(user->getOperandTypes(), [&](Type type) {
                   return cast<RankedTensorType>(type).getShape() ==
                          cast<RankedTensorType>(value.getType()).getShape();
                 })) {
        if (llvm::is_contained(chain, user))
          continue;
        chain.push_back(user);
        slice = commonSlice(user->getResult(0), depth + 1, chain);
      }
      if (!slice || (common && *common != *slice))
        return std::nullopt;
      common = slice;
    }
    return common;
  }

  /// An all-reduce of which only slices are read is a reduce-scatter; over the
  /// axes that do not slice, the shard is reduced behind it.
  void scatter(dist::AllReduceOp reduce) {
    if (reduce.getInputs().size() != 1)
      return;
    SmallVector<Operation *> chain;
    std::optional<Slice> slice = commonSlice(reduce.getOutput(), 0, chain);
    if (!slice)
      return;
    auto &[dim, axes] = *slice;
    SmallVector<int64_t> others;
    for (int64_t axis : reduce.getAxes())
      if (!llvm::is_contained(axes, axis))
        others.push_back(axis);
    if (others.size() + axes.size() != reduce.getAxes().size())
      return;
    Value whole = reduce.getOutput();
    RankedTensorType type = slicedType(whole, chain);
    OpBuilder builder(reduce);
    Value shard = dist::ReduceScatterOp::create(
        builder, reduce.getLoc(), type, reduce.getInput(), Value(), axes, dim,
        reduce.getReduction());
    if (!others.empty())
      shard = dist::AllReduceOp::create(builder, reduce.getLoc(), type, shard,
                                        Value(), others, reduce.getReduction());
    replaceSliced(whole, shard, *slice, chain);
    reduce.erase();
  }

  /// The type of the slices of `value` behind the ops of `chain`, as a type of
  /// the value's own elements.
  static RankedTensorType slicedType(Value value, ArrayRef<Operation *> chain) {
    auto find = [](Value from) -> RankedTensorType {
      for (Operation *user : from.getUsers())
        if (auto local = dyn_cast<dist::LocalSliceOp>(user))
          return local.getOutput().getType();
      return {};
    };
    RankedTensorType type = find(value);
    for (Operation *op : chain)
      if (!type)
        type = find(op->getResult(0));
    return RankedTensorType::get(
        type.getShape(),
        cast<RankedTensorType>(value.getType()).getElementType(),
        type.getEncoding());
  }

  /// Replaces the slices of `whole` by `shard`, and the elementwise ops of
  /// `chain` (users of it and of each other) by their like on shards.
  void replaceSliced(Value whole, Value shard, const Slice &slice,
                     ArrayRef<Operation *> chain) {
    auto shardType = cast<RankedTensorType>(shard.getType());
    DenseMap<Value, Value> sliced;
    sliced[whole] = shard;
    SmallVector<Operation *> ordered(chain);
    llvm::sort(ordered, [](Operation *a, Operation *b) {
      return a->isBeforeInBlock(b);
    });
    auto replaceSlices = [&](Value value, Value by) {
      for (Operation *user : llvm::make_early_inc_range(value.getUsers()))
        if (auto local = dyn_cast<dist::LocalSliceOp>(user)) {
          local.getOutput().replaceAllUsesWith(by);
          local.erase();
        }
    };
    replaceSlices(whole, shard);
    for (Operation *op : ordered) {
      OpBuilder builder(op);
      IRMapping mapping;
      for (Value operand : op->getOperands()) {
        Value &known = sliced[operand];
        if (!known)
          known = dist::LocalSliceOp::create(builder, op->getLoc(),
                                             like(operand, shardType), operand,
                                             slice.second, slice.first);
        mapping.map(operand, known);
      }
      Operation *copy = builder.clone(*op, mapping);
      Value result = op->getResult(0);
      copy->getResult(0).setType(like(result, shardType));
      sliced[result] = copy->getResult(0);
      replaceSlices(result, copy->getResult(0));
    }
    for (Operation *op : llvm::reverse(ordered))
      op->erase();
  }
  static RankedTensorType like(Value value, RankedTensorType shard) {
    return RankedTensorType::get(
        shard.getShape(),
        cast<RankedTensorType>(value.getType()).getElementType(),
        shard.getEncoding());
  }

  /// A slice of what was gathered alike is the shard that was there; a shard
  /// that is reduced only to be gathered is an all-reduce.
  void skipGather(dist::AllGatherOp gather) {
    if (gather.getInputs().size() != 1)
      return;
    for (Operation *user :
         llvm::make_early_inc_range(gather.getOutput().getUsers())) {
      auto local = dyn_cast<dist::LocalSliceOp>(user);
      if (!local || local.getDim() != gather.getDim() ||
          local.getAxes() != gather.getAxes() ||
          local.getOutput().getType() != gather.getInput().getType())
        continue;
      local.getOutput().replaceAllUsesWith(gather.getInput());
      local.erase();
    }
    auto scatter = gather.getInput().getDefiningOp<dist::ReduceScatterOp>();
    if (!scatter || !gather.getInput().hasOneUse() ||
        gather.getOutput().use_empty() || scatter.getInputs().size() != 1 ||
        scatter->getBlock() != &block || scatter.getDim() != gather.getDim() ||
        scatter.getAxes() != gather.getAxes() ||
        scatter.getInput().getType() != gather.getOutput().getType())
      return;
    OpBuilder builder(gather);
    Value reduced = dist::AllReduceOp::create(
        builder, gather.getLoc(), gather.getOutput().getType(),
        scatter.getInput(), Value(), gather.getAxes(), scatter.getReduction());
    gather.getOutput().replaceAllUsesWith(reduced);
    gather.erase();
  }

  Block &block;
};

//===----------------------------------------------------------------------===//
// Order
//===----------------------------------------------------------------------===//

/// The layer that an op belongs to: its user's name up to the first number
/// ("h.3.mlp.c_fc" is of "h.3"), or to the first dot. Empty: of the same as the
/// op before.
StringRef layerOf(Operation *op) {
  StringRef name = weir::compiler::nameOf(op);
  size_t begin = 0;
  while (begin < name.size()) {
    size_t end = std::min(name.find('.', begin), name.size());
    StringRef part = name.slice(begin, end);
    if (!part.empty() && llvm::all_of(part, llvm::isDigit))
      return name.take_front(end);
    begin = end + 1;
  }
  return name.take_until([](char c) { return c == '.'; });
}

/// Moves collectives of a block to where their operands are made: they run on a
/// stream of their own, and what computes in between hides them.
class Scheduler {
public:
  /// `isSmall` says of a collective whether its memory counts for nothing.
  Scheduler(Block &block, llvm::function_ref<bool(Operation *)> isSmall)
      : block(block), isSmall(isSmall) {}

  void run() {
    number();
    std::vector<std::pair<Key, Operation *>> order;
    for (Operation &op : block.without_terminator()) {
      Key key{positions[&op], 0, 0};
      if (isMovable(&op))
        key = std::min(key, earliest(&op));
      keys[&op] = key;
      order.push_back({key, &op});
    }
    llvm::sort(order,
               [](const auto &a, const auto &b) { return a.first < b.first; });
    for (auto &[key, op] : order)
      op->moveBefore(block.getTerminator());
  }

private:
  /// Behind the op at a position: 0, what was there; else what moved there, in
  /// the old order.
  using Key = std::tuple<int64_t, int, int64_t>;

  void number() {
    int64_t position = 0, start = 0, previousStart = 0;
    StringRef current;
    SmallVector<Operation *> pending; // of the layer of the op that follows
    for (Operation &op : block.without_terminator()) {
      positions[&op] = position++;
      if (isMovable(&op)) {
        pending.push_back(&op);
        continue;
      }
      StringRef layer = layerOf(&op);
      if (!layer.empty() && layer != current) {
        current = layer;
        previousStart = start;
        start = positions[&op];
      }
      for (Operation *movable : pending)
        windows[movable] = previousStart;
      pending.clear();
    }
    for (Operation *movable : pending)
      windows[movable] = start;
  }

  Key earliest(Operation *op) {
    int64_t position = positions[op];
    Key key{-1, 1, position};
    bool frees = true; // what it reads is gone after it
    for (Value operand : op->getOperands()) {
      Operation *def = operand.getDefiningOp();
      if (!def || def->getBlock() != &block) {
        frees = false;
        continue;
      }
      frees &= operand.hasOneUse();
      key = std::max(key, Key{std::get<0>(keys.lookup(def)), 1, position});
    }
    double grows = 0;
    for (Type type : op->getResultTypes())
      grows += bytesOf(type);
    if (frees)
      for (Type type : op->getOperandTypes())
        grows -= bytesOf(type);
    // What takes more memory may come one layer ahead of its use.
    if (grows > 0 && !(isCollective(op) && isSmall(op)))
      key = std::max(key, Key{windows[op] - 1, 1, position});
    return key;
  }

  Block &block;
  llvm::function_ref<bool(Operation *)> isSmall;
  DenseMap<Operation *, int64_t> positions;
  /// Where the layer before the op's own starts.
  DenseMap<Operation *, int64_t> windows;
  DenseMap<Operation *, Key> keys;
};

//===----------------------------------------------------------------------===//
// Buckets
//===----------------------------------------------------------------------===//

/// Makes one collective of several small ones of one kind that do not depend
/// on each other, with no use of any in between.
class Bucketing {
public:
  Bucketing(Block &block, llvm::function_ref<double(Operation *)> bucketBytes)
      : block(block), bucketBytes(bucketBytes) {}

  void run() {
    for (Operation &op : llvm::make_early_inc_range(block)) {
      closeUsed(&op);
      if (!isCollective(&op) || op.getNumResults() != 1)
        continue;
      double bytes = messageBytes(&op), limit = bucketBytes(&op);
      if (bytes >= limit)
        continue;
      std::unique_ptr<Bucket> &slot = open[keyOf(&op)];
      if (!slot)
        slot = std::make_unique<Bucket>();
      Bucket &bucket = *slot;
      if (!bucket.members.empty() && bucket.bytes + bytes > limit)
        close(bucket);
      bucket.members.push_back(&op);
      bucket.bytes += bytes;
      bucketOf[&op] = &bucket;
    }
    for (auto &[key, bucket] : open)
      close(*bucket);
  }

private:
  struct Bucket {
    SmallVector<Operation *> members;
    double bytes = 0;
  };
  using Key = std::tuple<const void *, const void *, const void *>;

  /// Kind, attributes and element type.
  static Key keyOf(Operation *op) {
    SmallVector<NamedAttribute> attributes;
    for (NamedAttribute attr : op->getAttrs())
      if (attr.getName() != "operandSegmentSizes")
        attributes.push_back(attr);
    auto type = cast<RankedTensorType>(op->getResult(0).getType());
    return {
        op->getName().getAsOpaquePointer(),
        DictionaryAttr::get(op->getContext(), attributes).getAsOpaquePointer(),
        type.getElementType().getAsOpaquePointer()};
  }

  /// Closes the buckets of what the op, or one inside of it, reads.
  void closeUsed(Operation *op) {
    auto look = [&](Operation *reader) {
      for (Value operand : reader->getOperands())
        if (Operation *def = operand.getDefiningOp())
          if (Bucket *bucket = bucketOf.lookup(def))
            close(*bucket);
    };
    look(op);
    if (op->getNumRegions() > 0)
      op->walk(look);
  }

  void close(Bucket &bucket) {
    SmallVector<Operation *> members = std::move(bucket.members);
    bucket.members.clear();
    bucket.bytes = 0;
    for (Operation *op : members)
      bucketOf.erase(op);
    if (members.size() < 2)
      return;
    Operation *last = members.back();
    OpBuilder builder(last);
    SmallVector<Location> locations = llvm::map_to_vector(
        members, [](Operation *op) { return op->getLoc(); });
    OperationState state(builder.getFusedLoc(locations), last->getName());
    for (Operation *op : members) {
      state.addOperands(op->getOperand(0));
      state.addTypes(op->getResult(0).getType());
    }
    for (NamedAttribute attr : last->getAttrs())
      if (attr.getName() != "operandSegmentSizes")
        state.addAttribute(attr.getName(), attr.getValue());
    state.addAttribute("operandSegmentSizes",
                       builder.getDenseI32ArrayAttr(
                           {static_cast<int32_t>(members.size()), 0}));
    Operation *fused = builder.create(state);
    for (auto [i, op] : llvm::enumerate(members)) {
      op->getResult(0).replaceAllUsesWith(fused->getResult(i));
      op->erase();
    }
  }

  Block &block;
  llvm::function_ref<double(Operation *)> bucketBytes;
  llvm::MapVector<Key, std::unique_ptr<Bucket>> open; // also empty ones
  DenseMap<Operation *, Bucket *> bucketOf;
};

class FuseCollectives
    : public compiler::impl::FuseCollectivesPassBase<FuseCollectives> {
public:
  using FuseCollectivesPassBase::FuseCollectivesPassBase;

  void runOnOperation() override {
    dist::MeshAttr mesh = dist::getMesh(getOperation());
    if (!mesh)
      return;
    llvm::Expected<Cluster> cluster = Cluster::of(getOperation());
    if (!cluster) {
      getOperation().emitError() << llvm::toString(cluster.takeError());
      return signalPassFailure();
    }
    CollectiveCost cost(*cluster, mesh);
    for (auto entry : getOperation().getOps<graph::EntryOp>()) {
      SmallVector<Block *> blocks = {&entry.getBody().front()};
      for (auto loop : entry.getBody().front().getOps<dist::MicroBatchesOp>())
        blocks.push_back(&loop.getBody().front());
      for (Block *block : blocks) {
        auto limit = [&](Operation *op) { return bucketLimit(op, cost); };
        Simplifier(*block).run();
        auto isSmall = [&](Operation *op) {
          return !isa<dist::AllGatherOp>(op) && messageBytes(op) < limit(op);
        };
        Scheduler(*block, isSmall).run();
        Bucketing(*block, limit).run();
      }
    }
  }

private:
  /// Bytes from which on more in one message would not pay: its transfer takes
  /// many times its latency.
  double bucketLimit(Operation *op, const CollectiveCost &cost) const {
    constexpr double latencies = 16;
    if (bucketBytes >= 0)
      return bucketBytes;
    auto kind = llvm::TypeSwitch<Operation *, ReshardStep::Kind>(op)
                    .Case<dist::AllReduceOp>(
                        [](auto) { return ReshardStep::Kind::AllReduce; })
                    .Case<dist::ReduceScatterOp>(
                        [](auto) { return ReshardStep::Kind::ReduceScatter; })
                    .Case<dist::AllToAllOp>(
                        [](auto) { return ReshardStep::Kind::AllToAll; })
                    .Case<dist::ExchangeOp>(
                        [](auto) { return ReshardStep::Kind::Exchange; })
                    .Default([](auto) { return ReshardStep::Kind::AllGather; });
    auto axes = op->getAttrOfType<DenseI64ArrayAttr>("axes").asArrayRef();
    constexpr double sample = 1e6;
    double latency = cost.seconds(kind, axes, 0);
    double aByte = (cost.seconds(kind, axes, sample) - latency) / sample;
    return aByte > 0 ? latencies * latency / aByte : 0;
  }
};

} // namespace
