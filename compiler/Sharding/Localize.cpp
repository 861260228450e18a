// SPDX-License-Identifier: Apache-2.0
#include "compiler/Sharding/Layouts.h"
#include "compiler/Sharding/Passes.h"
#include "dialects/Graph/Annotations.h"

#include <limits>

namespace weir::compiler {
#define GEN_PASS_DEF_LOCALIZEPASS
#include "compiler/Sharding/Passes.h.inc"
} // namespace weir::compiler

using namespace mlir;
using namespace weir;
using namespace weir::compiler;
using dist::AxisLayout;
using dist::LayoutAttr;
using dist::Reduction;

namespace {

class Localize : public compiler::impl::LocalizePassBase<Localize> {
public:
  void runOnOperation() override {
    mesh = dist::getMesh(getOperation());
    if (!mesh)
      return;
    for (auto entry : getOperation().getOps<graph::EntryOp>()) {
      sortByLoop(entry);
      if (failed(localizeTypes(entry)) || failed(formLoop(entry)))
        return signalPassFailure();
      updateEntryType(entry);
    }
  }

private:
  /// Entry of a value's layout on the time axis, broadcast when there is none.
  AxisLayout timeLayout(Operation *op, OpResult result) {
    LayoutAttr layout = layoutOf(result);
    // A collective's result has a local type.
    if (auto signature = op->getAttrOfType<dist::SignatureAttr>(
            dist::DistDialect::getSignatureAttrName()))
      layout = signature.getResults()[result.getResultNumber()];
    return layout ? layout.getAxes()[mesh.getTimeAxis()]
                  : AxisLayout::broadcast();
  }

  /// Whether the op is a sum over the micro-batches: the end of the loop for
  /// its operand.
  bool endsLoop(Operation *op) {
    auto reshard = dyn_cast<dist::ReshardOp>(op);
    int time = mesh.getTimeAxis();
    return reshard && time >= 0 &&
           reshard.getFrom().getAxes()[time].isPartial() &&
           reshard.getTo().getAxes()[time].isBroadcast();
  }

  /// Notes for each op whether it runs in the loop, and the loop's sums. Types
  /// still carry layouts here, which tell partial values.
  void sortByLoop(graph::EntryOp entry) {
    inLoop.clear();
    sums.clear();
    if (mesh.getTimeAxis() < 0)
      return;
    for (Operation &op : entry.getBody().front().without_terminator()) {
      if (endsLoop(&op)) {
        sums.push_back(cast<dist::ReshardOp>(op));
        continue;
      }
      bool inside = llvm::any_of(op.getResults(), [&](OpResult result) {
        return !timeLayout(&op, result).isBroadcast();
      });
      // A cast to a local type has no layout of its own.
      if (isa<UnrealizedConversionCastOp>(op))
        if (Operation *source = op.getOperand(0).getDefiningOp())
          inside |= inLoop.contains(source);
      if (inside)
        inLoop.insert(&op);
    }
    sinkTransient(entry);
  }

  /// What is made anew for each use is made in the loop if it is used there
  /// alone, together with what is computed from it.
  void sinkTransient(graph::EntryOp entry) {
    SmallVector<Operation *> candidates;
    DenseSet<Operation *> known;
    for (Operation &op : entry.getBody().front().without_terminator()) {
      if (inLoop.contains(&op) || endsLoop(&op))
        continue;
      bool follows = op.hasAttr(transientAttr) ||
                     llvm::any_of(op.getOperands(), [&](Value operand) {
                       return known.contains(operand.getDefiningOp());
                     });
      if (follows) {
        known.insert(&op);
        candidates.push_back(&op);
      }
    }
    for (Operation *op : llvm::reverse(candidates))
      if (!op->use_empty() &&
          llvm::all_of(op->getUsers(),
                       [&](Operation *user) { return inLoop.contains(user); }))
        inLoop.insert(op);
  }

  LogicalResult localizeTypes(graph::EntryOp entry) {
    Block &block = entry.getBody().front();
    for (BlockArgument argument : block.getArguments())
      argument.setType(localTypeOf(argument.getType(), mesh));
    for (Operation &op : block.without_terminator()) {
      for (OpResult result : op.getResults())
        result.setType(localTypeOf(result.getType(), mesh));
      if (auto constant = dyn_cast<graph::ConstantOp>(op))
        constant.setValueAttr(retypeElements(constant.getValue(),
                                             constant.getOutput().getType()));
      op.removeAttr(dist::DistDialect::getSignatureAttrName());
      op.removeAttr(transientAttr);
    }
    for (Operation &op : llvm::make_early_inc_range(block)) {
      auto conversion = dyn_cast<UnrealizedConversionCastOp>(op);
      if (!conversion)
        continue;
      Value input = conversion.getOperand(0), output = conversion.getResult(0);
      if (input.getType() != output.getType())
        return conversion.emitError(
                   "expects a cast between a type and its local one, got ")
               << input.getType() << " and " << output.getType()
               << "; run weir-lower-reshards";
      output.replaceAllUsesWith(input);
      inLoop.erase(conversion);
      conversion.erase();
    }
    return success();
  }

  Value neutral(OpBuilder &builder, Location loc, RankedTensorType type,
                Reduction reduction) {
    Type element = type.getElementType();
    TypedAttr value;
    if (auto number = dyn_cast<FloatType>(element)) {
      double infinity = std::numeric_limits<double>::infinity();
      value = builder.getFloatAttr(number, reduction == Reduction::Sum ? 0
                                           : reduction == Reduction::Max
                                               ? -infinity
                                               : infinity);
    } else {
      unsigned width = element.getIntOrFloatBitWidth();
      value = builder.getIntegerAttr(
          element, reduction == Reduction::Sum ? APInt::getZero(width)
                   : reduction == Reduction::Max
                       ? APInt::getSignedMinValue(width)
                       : APInt::getSignedMaxValue(width));
    }
    return graph::ConstantOp::create(
        builder, loc, type,
        cast<TypedAttr>(DenseElementsAttr::get(type, Attribute(value))));
  }

  Value combine(OpBuilder &builder, Location loc, Value a, Value b,
                Reduction reduction) {
    switch (reduction) {
    case Reduction::Sum:
      return graph::AddOp::create(builder, loc, a.getType(), a, b);
    case Reduction::Max:
      return graph::MaxOp::create(builder, loc, a.getType(), a, b);
    case Reduction::Min:
      return graph::MinOp::create(builder, loc, a.getType(), a, b);
    }
    llvm_unreachable("unknown reduction");
  }

  /// Moves the ops of the loop into one `dist.micro_batches` at the place of
  /// the last of them; in front of it what it needs, behind it what needs it.
  LogicalResult formLoop(graph::EntryOp entry) {
    if (sums.empty()) {
      for (Operation &op : llvm::make_early_inc_range(
               llvm::reverse(entry.getBody().front().without_terminator())))
        if (inLoop.contains(&op) && op.use_empty())
          op.erase(); // nothing of it leaves the loop
      return success();
    }
    Block &block = entry.getBody().front();
    int time = mesh.getTimeAxis();
    // Behind the loop: the sums and all that depends on them.
    DenseSet<Operation *> behind;
    SmallVector<Operation *> body, after;
    for (Operation &op : block.without_terminator()) {
      bool depends =
          endsLoop(&op) || llvm::any_of(op.getOperands(), [&](Value operand) {
            return operand.getDefiningOp() &&
                   behind.contains(operand.getDefiningOp());
          });
      if (!inLoop.contains(&op)) {
        if (depends) {
          behind.insert(&op);
          after.push_back(&op);
        }
        continue;
      }
      if (depends)
        return op.emitError("expects ")
               << describe(&op)
               << " to run in the micro-batch loop without what the loop sums "
               << "up";
      body.push_back(&op);
    }
    Operation *terminator = block.getTerminator();
    OpBuilder builder(terminator);
    // One accumulator for a value, however often it is reduced.
    llvm::MapVector<Value, Reduction> accumulated;
    for (dist::ReshardOp sum : sums)
      accumulated.insert(
          {sum.getInput(), sum.getFrom().getAxes()[time].reduction});
    SmallVector<Value> inits;
    SmallVector<Type> types;
    SmallVector<Location> locations;
    for (auto [value, reduction] : accumulated) {
      auto type = cast<RankedTensorType>(value.getType());
      inits.push_back(neutral(builder, value.getLoc(), type, reduction));
      types.push_back(type);
      locations.push_back(value.getLoc());
    }
    auto loop =
        dist::MicroBatchesOp::create(builder, entry.getLoc(), types, inits);
    Block *inner = builder.createBlock(&loop.getBody(), loop.getBody().end(),
                                       types, locations);
    for (Operation *op : body)
      op->moveBefore(inner, inner->end());
    builder.setInsertionPointToEnd(inner);
    SmallVector<Value> yielded;
    for (auto [i, entry] : llvm::enumerate(accumulated)) {
      // As soon as it is made, so that it does not wait beside its sum.
      if (entry.first.getParentBlock() == inner)
        builder.setInsertionPointAfterValue(entry.first);
      yielded.push_back(combine(builder, entry.first.getLoc(),
                                inner->getArgument(i), entry.first,
                                entry.second));
      builder.setInsertionPointToEnd(inner);
    }
    dist::YieldOp::create(builder, entry.getLoc(), yielded);
    llvm::DenseMap<Value, Value> results;
    for (auto [i, entry] : llvm::enumerate(accumulated))
      results[entry.first] = loop.getResult(i);
    for (Operation *op : after)
      op->moveBefore(terminator);
    for (dist::ReshardOp sum : sums) {
      sum.getOutput().replaceAllUsesWith(results.lookup(sum.getInput()));
      sum.erase();
    }
    return success();
  }

  dist::MeshAttr mesh;
  DenseSet<Operation *> inLoop;
  SmallVector<dist::ReshardOp> sums;
};

} // namespace
