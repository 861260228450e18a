// SPDX-License-Identifier: Apache-2.0
#include "compiler/Sharding/Layouts.h"
#include "compiler/Sharding/Passes.h"
#include "compiler/Sharding/SplitPrograms.h"
#include "compiler/Sharding/Strategies.h"

#include "dialects/Graph/Build.h"

namespace weir::compiler {
#define GEN_PASS_DEF_BALANCESEQUENCEPASS
#include "compiler/Sharding/Passes.h.inc"

int64_t balancedPosition(int64_t place, int64_t length, int64_t parts) {
  int64_t chunk = length / (2 * parts);
  int64_t rank = place / (2 * chunk), inner = place % (2 * chunk);
  return inner < chunk ? rank * chunk + inner
                       : (2 * parts - 1 - rank) * chunk + (inner - chunk);
}
} // namespace weir::compiler

using namespace mlir;
using namespace weir;
using namespace weir::compiler;

namespace {

/// Reorders the sequence of one entry.
class EntryOrder {
public:
  EntryOrder(graph::EntryOp entry, int64_t parts, StringRef axes,
             SignatureAnalysis &analysis)
      : entry(entry), block(entry.getBody().front()), parts(parts), axes(axes),
        analysis(analysis) {}

  LogicalResult run() {
    SmallVector<Operation *> ops;
    for (Operation &op : block.without_terminator())
      ops.push_back(&op);
    for (BlockArgument argument : block.getArguments()) {
      auto type = cast<RankedTensorType>(argument.getType());
      if (!entry.getArgumentVariable(argument.getArgNumber()).empty() ||
          type.getRank() < 2)
        continue;
      int64_t size = type.getDimSize(1);
      if (length && size != length)
        return entry.emitOpError("expects sequences of one length to balance, "
                                 "got ")
               << length << " and " << size;
      length = size;
    }
    if (!length)
      return success(); // nothing in it runs along a sequence
    if (length % (2 * parts) != 0)
      return entry.emitOpError("expects a sequence length that twice the size "
                               "of mesh axes '")
             << axes << "' divides, to balance causal attention, got " << length
             << " and " << 2 * parts << "; change the sequence length, or use "
             << "the strategy without 'zigzag'";
    for (BlockArgument argument : block.getArguments())
      if (entry.getArgumentVariable(argument.getArgNumber()).empty() &&
          cast<RankedTensorType>(argument.getType()).getRank() >= 2)
        replaceArgument(argument);
    for (Operation *op : ops)
      if (failed(reorder(op)))
        return failure();
    for (OpOperand &operand : block.getTerminator()->getOpOperands())
      if (sequenceDim.contains(operand.get()))
        operand.set(restored(operand.get()));
    return success();
  }

private:
  /// Gives all uses the reordered tensor.
  void replaceArgument(BlockArgument argument) {
    OpBuilder builder = OpBuilder::atBlockBegin(&block);
    Value order = orderOf(/*inverse=*/false);
    builder.setInsertionPointAfterValue(order);
    auto taken = graph::TakeOp::create(builder, argument.getLoc(),
                                       argument.getType(), argument, order, 1);
    argument.replaceAllUsesExcept(taken, taken);
    sequenceDim[taken] = 1;
  }

  /// The position of the token at each place, or the place of each position:
  /// from the index, so that a shard of it costs a shard of the work.
  Value orderOf(bool inverse) {
    Value &order = inverse ? inverseOrder : forwardOrder;
    if (order)
      return order;
    OpBuilder builder = OpBuilder::atBlockBegin(&block);
    graph::Build b(builder, entry.getLoc());
    auto type = RankedTensorType::get({length}, builder.getI32Type());
    auto chunk = static_cast<double>(length / (2 * parts));
    Value index = graph::IotaOp::create(builder, entry.getLoc(), type, 0);
    auto divide = [&](Value value, double by) {
      return b.div(value, b.splatLike(value, by));
    };
    Value last = b.splat(type, static_cast<double>(2 * parts - 1));
    if (!inverse) {
      Value rank = divide(index, 2 * chunk);
      Value inner = b.sub(index, b.mul(rank, 2 * chunk));
      Value front = b.add(b.mul(rank, chunk), inner);
      Value back = b.add(b.mul(b.sub(last, rank), chunk),
                         b.sub(inner, b.splat(type, chunk)));
      order =
          b.select(b.compare(graph::Predicate::Lt, inner, chunk), front, back);
    } else {
      Value part = divide(index, chunk);
      Value inner = b.sub(index, b.mul(part, chunk));
      Value front = b.add(b.mul(part, 2 * chunk), inner);
      Value back =
          b.add(b.mul(b.sub(last, part), 2 * chunk), b.add(inner, chunk));
      order = b.select(
          b.compare(graph::Predicate::Lt, part, static_cast<double>(parts)),
          front, back);
    }
    return order;
  }

  Value take(Value value, int64_t dim, bool inverse) {
    Value order = orderOf(inverse);
    OpBuilder builder(value.getContext());
    if (isa<BlockArgument>(value))
      builder.setInsertionPointAfterValue(order);
    else
      builder.setInsertionPointAfterValue(value);
    return graph::TakeOp::create(builder, value.getLoc(), value.getType(),
                                 value, order, dim);
  }

  /// A value in the sequence's own order, reordered along `dim`.
  Value reordered(Value value, int64_t dim) {
    Value &made = reorderedValues[{value, dim}];
    if (made)
      return made;
    // Repetition commutes with it and leaves less to move.
    auto broadcast = value.getDefiningOp<graph::BroadcastOp>();
    auto found = broadcast ? llvm::find(broadcast.getDims(), dim)
                           : ArrayRef<int64_t>::iterator();
    Value result;
    if (broadcast && found != broadcast.getDims().end()) {
      Value input =
          reordered(broadcast.getInput(), found - broadcast.getDims().begin());
      OpBuilder builder(broadcast);
      builder.setInsertionPointAfter(broadcast);
      result = graph::BroadcastOp::create(builder, broadcast.getLoc(),
                                          value.getType(), input,
                                          broadcast.getDims());
    } else {
      result = take(value, dim, /*inverse=*/false);
    }
    sequenceDim[result] = dim;
    return reorderedValues[{value, dim}] = result;
  }

  /// A reordered value in the sequence's own order.
  Value restored(Value value) {
    Value &made = restoredValues[value];
    if (!made)
      made = take(value, sequenceDim.lookup(value), /*inverse=*/true);
    return made;
  }

  LogicalResult reorder(Operation *op) {
    if (llvm::none_of(op->getOperands(), [&](Value operand) {
          return sequenceDim.contains(operand);
        }))
      return success();
    if (auto attention = dyn_cast<graph::AttentionOp>(op))
      return reorderAttention(attention);
    if (auto dropout = dyn_cast<graph::DropoutOp>(op))
      return op->emitError("expects no dropout of a balanced sequence, whose "
                           "random numbers go by a token's place, got ")
             << describe(op) << "; set dropout to 0, or use the strategy "
             << "without 'zigzag'";
    if (const OpSignature *signature = equivariant(op)) {
      for (OpOperand &operand : op->getOpOperands()) {
        const dist::AxisLayout &layout =
            signature->operands[operand.getOperandNumber()];
        if (layout.isSplit() && !sequenceDim.contains(operand.get()))
          operand.set(reordered(operand.get(), layout.dim));
      }
      for (OpResult result : op->getResults())
        if (signature->results[result.getResultNumber()].isSplit())
          sequenceDim[result] =
              signature->results[result.getResultNumber()].dim;
      return success();
    }
    for (OpOperand &operand : op->getOpOperands())
      if (sequenceDim.contains(operand.get()))
        operand.set(restored(operand.get()));
    return success();
  }

  /// Queries, keys and values in the new order; the mask goes by positions.
  LogicalResult reorderAttention(graph::AttentionOp op) {
    if (!op.getPositions().empty())
      return op.emitError("expects ")
             << describe(op) << " without positions, got some";
    if (op.getCausal() && (op.getKey().getType().getDimSize(1) != length ||
                           op.getQuery().getType().getDimSize(1) != length))
      return op.emitError("expects ")
             << describe(op) << " to be causal over the balanced sequence of "
             << length << ", got " << op.getQuery().getType() << " and "
             << op.getKey().getType();
    for (unsigned i : {0u, 1u, 2u}) {
      Value operand = op->getOperand(i);
      bool along =
          cast<RankedTensorType>(operand.getType()).getDimSize(1) == length;
      auto dim = sequenceDim.find(operand);
      if (dim != sequenceDim.end() && dim->second != 1)
        op->setOperand(i, restored(operand));
      if (along && sequenceDim.lookup(op->getOperand(i)) != 1)
        op->setOperand(i, reordered(op->getOperand(i), 1));
    }
    if (op.getCausal()) {
      Value order = orderOf(/*inverse=*/false);
      op.getPositionsMutable().append({order, order});
    }
    if (sequenceDim.contains(op.getQuery())) {
      sequenceDim[op.getOutput()] = 1;
      sequenceDim[op.getLse()] = 3;
    }
    return success();
  }

  /// The signature in which the op acts on each place of the sequence alike:
  /// operands that run along it are split along it, so are the results or they
  /// sum over it. The one that needs the fewest operands to be reordered.
  const OpSignature *equivariant(Operation *op) {
    if (!isa<graph::ExpandOpInterface>(op) || indexesSequence(op))
      return nullptr;
    const OpSignature *best = nullptr;
    unsigned bestCount = 0;
    for (const OpSignature &signature : analysis.getRules(op).signatures) {
      if (signature.isProgram())
        continue;
      unsigned count = 0;
      bool fits = true;
      for (OpOperand &operand : op->getOpOperands()) {
        const dist::AxisLayout &layout =
            signature.operands[operand.getOperandNumber()];
        auto dim = sequenceDim.find(operand.get());
        if (dim != sequenceDim.end())
          fits &= layout.isSplit(dim->second) && layout.unit == 1;
        else
          fits &= !layout.isPartial() &&
                  (!layout.isSplit() || runsAlong(operand.get(), layout));
        count += dim == sequenceDim.end() && layout.isSplit();
      }
      for (OpResult result : op->getResults()) {
        const dist::AxisLayout &layout =
            signature.results[result.getResultNumber()];
        fits &= !layout.isSplit() || runsAlong(result, layout);
      }
      if (fits && (!best || count < bestCount)) {
        best = &signature;
        bestCount = count;
      }
    }
    return best;
  }

  bool runsAlong(Value value, const dist::AxisLayout &layout) {
    return layout.unit == 1 &&
           cast<RankedTensorType>(value.getType()).getDimSize(layout.dim) ==
               length;
  }

  /// Whether the op looks elements of the sequence up by number, which a split
  /// can follow but another order cannot.
  bool indexesSequence(Operation *op) {
    auto along = [&](Value value, int64_t dim) {
      auto found = sequenceDim.find(value);
      return found != sequenceDim.end() && found->second == dim;
    };
    if (auto gather = dyn_cast<graph::EmbeddingOp>(op))
      return along(gather.getTable(), 0);
    if (auto gather = dyn_cast<graph::TakeOp>(op))
      return along(gather.getInput(), gather.getDim());
    if (auto gather = dyn_cast<graph::TakeAlongOp>(op))
      return along(gather.getInput(), gather.getDim()) ||
             along(gather.getIndices(), gather.getDim());
    if (auto scatter = dyn_cast<graph::ScatterAddOp>(op))
      return llvm::any_of(op->getOperands(), [&](Value operand) {
        return along(operand, scatter.getDim());
      });
    return false;
  }

  graph::EntryOp entry;
  Block &block;
  int64_t parts, length = 0;
  StringRef axes;
  SignatureAnalysis &analysis;
  Value forwardOrder, inverseOrder;
  /// The dimension along which a value runs along the reordered sequence.
  DenseMap<Value, int64_t> sequenceDim;
  DenseMap<std::pair<Value, int64_t>, Value> reorderedValues;
  DenseMap<Value, Value> restoredValues;
};

class BalanceSequence
    : public compiler::impl::BalanceSequencePassBase<BalanceSequence> {
public:
  using BalanceSequencePassBase::BalanceSequencePassBase;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    dist::MeshAttr mesh = dist::getMesh(module);
    SmallVector<std::string> chosen(axes.begin(), axes.end());
    if (mesh && chosen.empty())
      for (auto [axis, strategy] : llvm::enumerate(strategiesOf(module, mesh)))
        if (balancesSequence(strategy))
          chosen.push_back(mesh.getNames()[axis].str());
    int64_t parts = 1;
    std::string names;
    for (const std::string &name : chosen) {
      int axis = mesh ? mesh.findAxis(name) : -1;
      if (axis < 0 || mesh.isTime(axis)) {
        module.emitError("expects axes of ranks of the mesh to balance "
                         "sequences over, got '")
            << name << "'";
        return signalPassFailure();
      }
      parts *= mesh.getSizes()[axis];
      names += (names.empty() ? "" : ",") + name;
    }
    if (parts == 1)
      return;
    SignatureAnalysis analysis;
    for (auto entry : module.getOps<graph::EntryOp>())
      if (failed(EntryOrder(entry, parts, names, analysis).run()))
        return signalPassFailure();
  }
};

} // namespace
