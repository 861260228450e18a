// SPDX-License-Identifier: Apache-2.0
#include "compiler/Autodiff/Reverse.h"

#include "dialects/Graph/Build.h"

using namespace mlir;

namespace weir::compiler {

using graph::Build;

Location derivedLoc(Location loc, StringRef suffix) {
  auto name = loc->findInstanceOf<NameLoc>();
  if (!name)
    return loc;
  return NameLoc::get(StringAttr::get(loc.getContext(),
                                      name.getName().getValue() + "/" + suffix),
                      loc);
}

namespace {

/// What has been contributed so far to the gradient of a value.
struct Pending {
  SmallVector<Value, 2> terms;
  /// Gradients of slices of the value, kept apart until all are known.
  SmallVector<std::pair<graph::SliceOp, Value>, 0> slices;
};

class Reverse {
public:
  explicit Reverse(OpBuilder &builder) : builder(builder) {}

  LogicalResult run(Value output, Value seed, ArrayRef<Value> wanted,
                    SmallVectorImpl<Value> &gradients) {
    markActive(output, wanted);
    if (active.contains(output)) {
      pending[output].terms.push_back(seed);
      if (failed(sweep(output)))
        return failure();
    }
    gradients.clear();
    for (Value value : wanted) {
      // A value may be asked for twice; its sum is built once.
      FailureOr<Value> gradient = sumOf(value);
      if (failed(gradient))
        return failure();
      gradients.push_back(*gradient);
    }
    return success();
  }

private:
  /// Marks the values that depend on one of `wanted`.
  void markActive(Value output, ArrayRef<Value> wanted) {
    for (Value value : wanted)
      active.insert(value);
    Operation *last = output.getDefiningOp();
    if (!last)
      return;
    for (Operation &op : *last->getBlock()) {
      if (llvm::any_of(op.getOperands(), [&](Value operand) {
            return active.contains(operand) && isDifferentiable(operand);
          }))
        for (Value result : op.getResults())
          if (isDifferentiable(result))
            active.insert(result);
      if (&op == last)
        break;
    }
  }

  static bool isDifferentiable(Value value) {
    auto type = dyn_cast<RankedTensorType>(value.getType());
    return type && isa<FloatType>(type.getElementType());
  }

  /// Visits the ops from `output` backwards.
  LogicalResult sweep(Value output) {
    Operation *op = output.getDefiningOp();
    for (; op; op = op->getPrevNode()) {
      SmallVector<Value, 4> resultGradients;
      bool reached = false;
      for (Value result : op->getResults()) {
        FailureOr<Value> gradient = sumOf(result);
        if (failed(gradient))
          return failure();
        resultGradients.push_back(*gradient);
        reached |= static_cast<bool>(*gradient);
      }
      if (!reached)
        continue;
      if (failed(visit(op, resultGradients)))
        return failure();
    }
    return success();
  }

  LogicalResult visit(Operation *op, ArrayRef<Value> resultGradients) {
    SmallVector<bool, 8> wanted;
    for (Value operand : op->getOperands())
      wanted.push_back(active.contains(operand));
    if (!llvm::is_contained(wanted, true))
      return success();
    if (auto slice = dyn_cast<graph::SliceOp>(op)) {
      pending[slice.getInput()].slices.push_back({slice, resultGradients[0]});
      return success();
    }
    FailureOr<SmallVector<Value>> gradients =
        differentiate(op, resultGradients, wanted);
    if (failed(gradients))
      return failure();
    for (auto [operand, wants, gradient] :
         llvm::zip(op->getOperands(), wanted, *gradients))
      if (wants && gradient)
        pending[operand].terms.push_back(gradient);
    return success();
  }

  FailureOr<SmallVector<Value>> differentiate(Operation *op,
                                              ArrayRef<Value> resultGradients,
                                              ArrayRef<bool> wanted) {
    auto differentiable = dyn_cast<graph::DifferentiableOpInterface>(op);
    if (!differentiable)
      return op->emitOpError(
          "cannot be differentiated, but the loss depends on "
          "a variable through it");
    Operation *before =
        builder.getInsertionPoint() == builder.getBlock()->begin()
            ? nullptr
            : &*std::prev(builder.getInsertionPoint());
    SmallVector<Value> gradients =
        differentiable.buildGradient(builder, resultGradients, wanted);
    // An op that has no gradient has said so.
    if (gradients.size() != op->getNumOperands())
      return failure();
    Location loc = derivedLoc(op->getLoc(), "gradient");
    auto first =
        before ? std::next(before->getIterator()) : builder.getBlock()->begin();
    for (Operation &emitted :
         llvm::make_range(first, builder.getInsertionPoint()))
      emitted.setLoc(loc);
    return gradients;
  }

  /// The gradient of a value, all of whose users have been visited; null: zero.
  FailureOr<Value> sumOf(Value value) {
    auto found = pending.find(value);
    if (found == pending.end())
      return Value();
    Pending parts = std::move(found->second);
    if (!parts.slices.empty() && failed(mergeSlices(value, parts)))
      return failure();
    Location loc = derivedLoc(value.getLoc(), "gradient");
    Value sum = parts.terms.front();
    for (Value term : ArrayRef(parts.terms).drop_front())
      sum = Build(builder, loc).add(sum, term);
    pending[value] = {{sum}, {}};
    return sum;
  }

  /// Turns the gradients of slices into terms: one concatenation where the
  /// slices tile the value along one dim, else one padded tensor for each.
  LogicalResult mergeSlices(Value value, Pending &parts) {
    RankedTensorType type = Build::typeOf(value);
    int64_t dim = -1;
    bool tiles = true;
    for (auto &[slice, gradient] : parts.slices) {
      RankedTensorType part = Build::typeOf(slice.getOutput());
      for (int64_t i = 0; i < type.getRank(); ++i) {
        if (part.getDimSize(i) == type.getDimSize(i))
          continue;
        tiles &= dim < 0 || dim == i;
        dim = i;
      }
    }
    if (tiles && dim >= 0) {
      // (offset, slice), in the order of the offsets.
      SmallVector<std::pair<int64_t, size_t>> order;
      for (auto [i, part] : llvm::enumerate(parts.slices))
        order.push_back({part.first.getOffsets()[dim], i});
      llvm::sort(order);
      int64_t next = 0;
      SmallVector<Value> gradients;
      for (auto [offset, i] : order) {
        auto &[slice, gradient] = parts.slices[i];
        tiles &= offset == next;
        next += Build::typeOf(slice.getOutput()).getDimSize(dim);
        gradients.push_back(gradient);
      }
      if (tiles && next == type.getDimSize(dim)) {
        Location loc =
            derivedLoc(parts.slices.front().first.getLoc(), "gradient");
        parts.terms.push_back(Build(builder, loc).concat(gradients, dim));
        return success();
      }
    }
    for (auto &[slice, gradient] : parts.slices) {
      FailureOr<SmallVector<Value>> padded =
          differentiate(slice, {gradient}, {true});
      if (failed(padded))
        return failure();
      parts.terms.push_back((*padded)[0]);
    }
    return success();
  }

  OpBuilder &builder;
  // Looked up only, never iterated: the order of the result is the program's.
  DenseSet<Value> active;
  DenseMap<Value, Pending> pending;
};

} // namespace

LogicalResult buildGradients(OpBuilder &builder, Value output, Value seed,
                             ArrayRef<Value> wanted,
                             SmallVectorImpl<Value> &gradients) {
  return Reverse(builder).run(output, seed, wanted, gradients);
}

} // namespace weir::compiler
