// SPDX-License-Identifier: Apache-2.0
#include "compiler/Interpreter/Executor.h"

#include "dialects/Graph/Graph.h"

#include <cmath>
#include <limits>

using namespace mlir;

namespace weir::compiler {
namespace {

/// What integers of memory hold before they are written.
constexpr int64_t integerPoison = 0x5A5A5A5A;

double combine(Precision precision, dist::Reduction reduction, double a,
               double b) {
  switch (reduction) {
  case dist::Reduction::Sum:
    return precision == Precision::F32
               ? static_cast<float>(a) + static_cast<float>(b)
               : a + b;
  case dist::Reduction::Max:
    return std::isnan(a) || std::isnan(b)
               ? std::numeric_limits<double>::quiet_NaN()
               : std::max(a, b);
  case dist::Reduction::Min:
    return std::isnan(a) || std::isnan(b)
               ? std::numeric_limits<double>::quiet_NaN()
               : std::min(a, b);
  }
  return a;
}

int64_t combine(ElementKind kind, dist::Reduction reduction, int64_t a,
                int64_t b) {
  switch (reduction) {
  case dist::Reduction::Sum:
    return wrapInteger(kind, static_cast<int64_t>(static_cast<uint64_t>(a) +
                                                  static_cast<uint64_t>(b)));
  case dist::Reduction::Max:
    return std::max(a, b);
  case dist::Reduction::Min:
    return std::min(a, b);
  }
  return a;
}

/// Sets every element to what changes nothing under the reduction.
void fillNeutral(Tensor &tensor, dist::Reduction reduction) {
  double infinity = std::numeric_limits<double>::infinity();
  double number = reduction == dist::Reduction::Sum   ? 0.0
                  : reduction == dist::Reduction::Max ? -infinity
                                                      : infinity;
  int64_t integer = 0;
  if (reduction == dist::Reduction::Max)
    integer =
        tensor.kind == ElementKind::I64   ? std::numeric_limits<int64_t>::min()
        : tensor.kind == ElementKind::I32 ? std::numeric_limits<int32_t>::min()
                                          : 0;
  else if (reduction == dist::Reduction::Min)
    integer =
        tensor.kind == ElementKind::I64   ? std::numeric_limits<int64_t>::max()
        : tensor.kind == ElementKind::I32 ? std::numeric_limits<int32_t>::max()
                                          : 1;
  std::fill(tensor.floats.begin(), tensor.floats.end(), number);
  std::fill(tensor.ints.begin(), tensor.ints.end(), integer);
}

/// Copies the elements that two boxes of one logical tensor share; returns how
/// many.
int64_t copyShared(const Tensor &from, const Box &fromBox, Tensor &to,
                   const Box &toBox) {
  unsigned rank = fromBox.extents.size();
  SmallVector<int64_t, 6> low, shared;
  for (unsigned d = 0; d < rank; ++d) {
    int64_t begin = std::max(fromBox.offsets[d], toBox.offsets[d]);
    int64_t end = std::min(fromBox.offsets[d] + fromBox.extents[d],
                           toBox.offsets[d] + toBox.extents[d]);
    if (end <= begin)
      return 0;
    low.push_back(begin);
    shared.push_back(end - begin);
  }
  auto fromStrides = rowMajorStrides(fromBox.extents);
  auto toStrides = rowMajorStrides(toBox.extents);
  SmallVector<int64_t, 6> index(rank, 0);
  do {
    int64_t source = 0, target = 0;
    for (unsigned d = 0; d < rank; ++d) {
      source += (low[d] + index[d] - fromBox.offsets[d]) * fromStrides[d];
      target += (low[d] + index[d] - toBox.offsets[d]) * toStrides[d];
    }
    to.set(target, from, source);
  } while (nextIndex(index, shared));
  return elementsOf(shared);
}

/// The box of a whole logical tensor.
Box wholeBox(ArrayRef<int64_t> shape) {
  Box box;
  box.extents.assign(shape.begin(), shape.end());
  box.logical = box.extents;
  box.offsets.assign(shape.size(), 0);
  box.axes.resize(shape.size());
  return box;
}

/// Binding attribute `name` of argument or result `index`, or null.
Attribute binding(Operation *entry, StringRef list, unsigned index,
                  StringRef name) {
  auto array = entry->getAttrOfType<ArrayAttr>(list);
  if (!array || index >= array.size())
    return {};
  return cast<DictionaryAttr>(array[index]).get(name);
}

} // namespace

//===----------------------------------------------------------------------===//
// Values
//===----------------------------------------------------------------------===//

FailureOr<Box> Executor::box(Type type, unsigned rank, Operation *user) {
  return boxOf(cast<RankedTensorType>(type), points[rank],
               [&] { return user->emitError(); });
}

FailureOr<std::vector<Box>> Executor::boxes(Value value, Operation *user) {
  std::vector<Box> result;
  for (unsigned rank = 0; rank < points.size(); ++rank) {
    FailureOr<Box> one = box(value.getType(), rank, user);
    if (failed(one))
      return failure();
    result.push_back(std::move(*one));
  }
  return result;
}

FailureOr<std::shared_ptr<const Tensor>>
Executor::read(Value value, unsigned rank, Operation *user) {
  auto found = values.find(value);
  if (found == values.end())
    return user->emitError("reads a value that was not computed");
  const RankValue &held = found->second[rank];
  if (held.tensor)
    return held.tensor;
  if (!held.memory)
    return user->emitError(
        "reads the old contents of a destination that is not tied to an input");
  FailureOr<Box> place = box(value.getType(), rank, user);
  if (failed(place))
    return failure();
  auto tensor = std::make_shared<Tensor>(
      Tensor::zeros(held.memory->kind, place->extents));
  if (tensor->size() == 0)
    return std::shared_ptr<const Tensor>(std::move(tensor));
  SmallVector<int64_t, 6> index(place->extents.size(), 0);
  int64_t at = 0;
  do {
    int64_t element = held.offset;
    for (size_t d = 0; d < index.size(); ++d)
      element += index[d] * held.strides[d];
    if (element < 0 ||
        element >= static_cast<int64_t>(held.memory->stamps.size()))
      return user->emitError()
             << "reads element " << element << " of a buffer of "
             << held.memory->stamps.size();
    uint64_t stamp = held.memory->stamps[element];
    if (stamp == 0 || stamp > held.stamp) {
      InFlightDiagnostic diagnostic = user->emitError();
      diagnostic << (stamp == 0 ? "reads element " : "reads, at element ")
                 << element
                 << (stamp == 0
                         ? " of a buffer, which nothing has written"
                         : ", a value whose buffer has been overwritten since");
      if (Operation *producer = value.getDefiningOp())
        diagnostic.attachNote(producer->getLoc())
            << "the value is defined here";
      return diagnostic;
    }
    if (tensor->isFloat())
      tensor->floats[at++] = held.memory->floats[element];
    else
      tensor->ints[at++] = held.memory->ints[element];
  } while (nextIndex(index, place->extents));
  return std::shared_ptr<const Tensor>(std::move(tensor));
}

FailureOr<Executor::Tensors> Executor::readAll(Value value, Operation *user) {
  Tensors result;
  for (unsigned rank = 0; rank < points.size(); ++rank) {
    auto tensor = read(value, rank, user);
    if (failed(tensor))
      return failure();
    result.push_back(std::move(*tensor));
  }
  return result;
}

void Executor::define(Value value, std::vector<Tensor> perRank) {
  std::vector<RankValue> held(perRank.size());
  for (auto [rank, tensor] : llvm::enumerate(perRank))
    held[rank].tensor = std::make_shared<const Tensor>(std::move(tensor));
  values[value] = std::move(held);
}

Executor::RankValue Executor::newBuffer(RankedTensorType type) {
  RankValue value;
  value.memory = std::make_shared<Memory>();
  value.memory->kind =
      elementKindOf(type.getElementType()).value_or(ElementKind::Float);
  value.strides = rowMajorStrides(type.getShape());
  int64_t size = elementsOf(type.getShape());
  if (value.memory->kind == ElementKind::Float)
    value.memory->floats.assign(size, std::numeric_limits<double>::quiet_NaN());
  else
    value.memory->ints.assign(size, integerPoison);
  value.memory->stamps.assign(size, 0);
  return value;
}

LogicalResult Executor::store(RankValue &place, const Tensor &tensor,
                              Operation *op) {
  ++clock;
  if (tensor.size() != 0) {
    SmallVector<int64_t, 6> index(tensor.rank(), 0);
    int64_t at = 0;
    do {
      int64_t element = place.offset;
      for (size_t d = 0; d < index.size(); ++d)
        element += index[d] * place.strides[d];
      if (element < 0 ||
          element >= static_cast<int64_t>(place.memory->stamps.size()))
        return op->emitError()
               << "writes element " << element << " of a buffer of "
               << place.memory->stamps.size();
      if (tensor.isFloat())
        place.memory->floats[element] = tensor.floats[at++];
      else
        place.memory->ints[element] = tensor.ints[at++];
      place.memory->stamps[element] = clock;
    } while (nextIndex(index, tensor.shape));
  }
  place.stamp = clock;
  return success();
}

LogicalResult Executor::store(Value result, Value dest,
                              std::vector<Tensor> perRank, Operation *op) {
  auto found = values.find(dest);
  if (found == values.end())
    return op->emitError("writes to a destination that was not computed");
  std::vector<RankValue> places = found->second;
  for (unsigned rank = 0; rank < points.size(); ++rank) {
    FailureOr<Box> place = box(dest.getType(), rank, op);
    if (failed(place))
      return failure();
    if (!places[rank].memory)
      return op->emitError("expects a destination that is a buffer");
    if (perRank[rank].shape != place->extents ||
        perRank[rank].kind != places[rank].memory->kind)
      return op->emitError("expects a destination of the result's extents and "
                           "element type");
    if (failed(store(places[rank], perRank[rank], op)))
      return failure();
  }
  values[result] = std::move(places);
  return success();
}

bool Executor::samePlace(const RankValue &a, const RankValue &b,
                         ArrayRef<int64_t> shape) {
  if (!a.memory || a.memory != b.memory || a.offset != b.offset ||
      a.strides.size() != b.strides.size())
    return false;
  for (size_t d = 0; d < shape.size(); ++d)
    if (shape[d] > 1 && a.strides[d] != b.strides[d])
      return false;
  return true;
}

bool Executor::overlap(const RankValue &a, const Box &aBox, const RankValue &b,
                       const Box &bBox) {
  if (!a.memory || a.memory != b.memory)
    return false;
  auto visit = [](const RankValue &view, const Box &box, auto function) {
    if (elementsOf(box.extents) == 0)
      return;
    SmallVector<int64_t, 6> index(box.extents.size(), 0);
    do {
      int64_t element = view.offset;
      for (size_t d = 0; d < index.size(); ++d)
        element += index[d] * view.strides[d];
      function(element);
    } while (nextIndex(index, box.extents));
  };
  std::vector<char> marks(a.memory->stamps.size(), 0);
  visit(a, aBox, [&](int64_t element) { marks[element] = 1; });
  bool shared = false;
  visit(b, bBox, [&](int64_t element) { shared |= marks[element] != 0; });
  return shared;
}

//===----------------------------------------------------------------------===//
// Ops
//===----------------------------------------------------------------------===//

LogicalResult Executor::runBlock(Block &block) {
  for (Operation &op : block) {
    if (&op == &block.back() && op.hasTrait<OpTrait::IsTerminator>())
      break;
    if (failed(runOp(&op)))
      return failure();
  }
  return success();
}

LogicalResult Executor::runOp(Operation *op) {
  return llvm::TypeSwitch<Operation *, LogicalResult>(op)
      .Case([&](dist::MicroBatchesOp o) { return runLoop(o); })
      .Case<dist::AllReduceOp, dist::AllGatherOp, dist::ReduceScatterOp,
            dist::AllToAllOp, dist::ExchangeOp>(
          [&](auto o) { return runCollective(o); })
      .Case([&](dist::LocalSliceOp o) { return runLocalSlice(o); })
      .Case([&](dist::PartialOp o) { return runToPartial(o); })
      .Case([&](dist::ReshardOp o) { return runReshard(o); })
      .Case([&](UnrealizedConversionCastOp o) { return runCast(o); })
      .Case([&](kernel::EmptyOp o) { return runEmpty(o); })
      .Case([&](kernel::ViewOp o) { return runView(o); })
      .Case([&](kernel::FillOp o) { return runFill(o); })
      .Case([&](kernel::LaunchOp o) { return runLaunch(o); })
      .Case([&](kernel::ContractOp o) { return runContract(o); })
      .Default([&](Operation *o) { return evaluate(o); });
}

LogicalResult Executor::evaluate(Operation *op) {
  bool piece = isPiece(op);
  if (!piece && !isa_and_nonnull<graph::GraphDialect>(op->getDialect()))
    return op->emitError("the interpreter does not know this operation");
  // Without ranks a decision is only a note.
  if (points.front().mesh &&
      op->hasAttr(dist::DistDialect::getProgramsAttrName()))
    return runSplitProgram(op);
  std::vector<std::vector<Tensor>> perResult(op->getNumResults());
  for (unsigned rank = 0; rank < points.size(); ++rank) {
    SmallVector<std::shared_ptr<const Tensor>> held;
    SmallVector<const Tensor *> operands;
    SmallVector<Box, 4> operandBoxes, resultBoxes;
    for (Value operand : op->getOperands()) {
      auto tensor = read(operand, rank, op);
      FailureOr<Box> place = box(operand.getType(), rank, op);
      if (failed(tensor) || failed(place))
        return failure();
      if ((*tensor)->shape != place->extents)
        return op->emitError("operand ")
               << operands.size() << " does not have the extents of its type";
      operands.push_back(tensor->get());
      held.push_back(std::move(*tensor));
      operandBoxes.push_back(std::move(*place));
    }
    for (Type type : op->getResultTypes()) {
      FailureOr<Box> place = box(type, rank, op);
      if (failed(place))
        return failure();
      resultBoxes.push_back(std::move(*place));
    }
    OpInputs inputs{op, precision, operands, operandBoxes, resultBoxes};
    SmallVector<Tensor, 4> results;
    if (failed(piece ? evaluatePiece(inputs, results)
                     : evaluateGraphOp(inputs, results)))
      return failure();
    for (unsigned i = 0; i < results.size(); ++i) {
      if (results[i].shape != resultBoxes[i].extents)
        return op->emitError("result ") << i << " does not fit its type";
      perResult[i].push_back(std::move(results[i]));
    }
  }
  for (auto [result, tensors] : llvm::zip(op->getResults(), perResult))
    define(result, std::move(tensors));
  return success();
}

LogicalResult Executor::runLoop(dist::MicroBatchesOp loop) {
  dist::MeshAttr mesh = points.front().mesh;
  int axis = mesh ? mesh.getTimeAxis() : -1;
  if (mesh && axis >= 0 && points.front().coordinates[axis] >= 0)
    return loop.emitError("expects local types and no loop around it: the "
                          "micro-batch already has a coordinate");
  int64_t count = axis >= 0 ? mesh.getSizes()[axis] : 1;
  Block &body = loop.getBody().front();
  SmallVector<std::vector<RankValue>> carried;
  for (Value init : loop.getInits()) {
    auto found = values.find(init);
    if (found == values.end())
      return loop.emitError("carries a value that was not computed");
    carried.push_back(found->second);
  }
  for (int64_t i = 0; i < count; ++i) {
    if (axis >= 0)
      for (MeshPoint &point : points)
        point.coordinates[axis] = i;
    for (auto [argument, value] : llvm::zip(body.getArguments(), carried))
      values[argument] = value;
    if (failed(runBlock(body)))
      return failure();
    Operation *yield = body.getTerminator();
    for (auto [index, value] : llvm::enumerate(yield->getOperands())) {
      auto found = values.find(value);
      if (found == values.end())
        return yield->emitError("yields a value that was not computed");
      auto shape = cast<RankedTensorType>(value.getType()).getShape();
      for (auto [before, after] : llvm::zip(carried[index], found->second))
        if (before.memory && !samePlace(before, after, shape))
          return yield->emitError("expects operand ")
                 << index << " to be in the accumulator's own buffer";
      carried[index] = found->second;
    }
  }
  if (axis >= 0)
    for (MeshPoint &point : points)
      point.coordinates[axis] = -1;
  for (auto [result, value] : llvm::zip(loop.getResults(), carried))
    values[result] = std::move(value);
  return success();
}

SmallVector<unsigned> Executor::groupOf(unsigned rank, ArrayRef<int64_t> axes) {
  SmallVector<unsigned> group;
  for (unsigned other = 0; other < points.size(); ++other) {
    bool member = true;
    for (size_t axis = 0; axis < points[rank].coordinates.size(); ++axis)
      member &=
          points[other].coordinates[axis] == points[rank].coordinates[axis] ||
          llvm::is_contained(axes, static_cast<int64_t>(axis));
    if (member)
      group.push_back(other);
  }
  return group;
}

Tensor Executor::reduceGroup(const Tensors &inputs, ArrayRef<unsigned> group,
                             dist::Reduction reduction) {
  Tensor sum = *inputs[group.front()];
  for (unsigned member : group.drop_front()) {
    for (size_t i = 0; i < sum.floats.size(); ++i)
      sum.floats[i] = combine(precision, reduction, sum.floats[i],
                              inputs[member]->floats[i]);
    for (size_t i = 0; i < sum.ints.size(); ++i)
      sum.ints[i] =
          combine(sum.kind, reduction, sum.ints[i], inputs[member]->ints[i]);
  }
  return sum;
}

LogicalResult Executor::runCollective(Operation *op) {
  // Tensors that meet once: each for itself.
  unsigned count = op->getNumResults();
  for (unsigned i = 0; i < count; ++i) {
    Value dest =
        op->getNumOperands() > count ? op->getOperand(count + i) : Value();
    if (failed(runCollective(op, op->getOperand(i), dest, op->getResult(i))))
      return failure();
  }
  return success();
}

LogicalResult Executor::runCollective(Operation *op, Value input, Value dest,
                                      Value result) {
  auto axes = op->getAttrOfType<DenseI64ArrayAttr>("axes").asArrayRef();
  dist::MeshAttr mesh = points.front().mesh;
  if (!mesh)
    return op->emitError("expects the module to have a mesh");
  for (int64_t axis : axes) {
    if (axis < 0 || axis >= static_cast<int64_t>(mesh.getNumAxes()))
      return op->emitError() << "mesh has no axis " << axis;
    bool runsInTime = mesh.isTime(axis) &&
                      static_cast<int64_t>(points.size()) == mesh.getNumRanks();
    if (runsInTime && mesh.getSizes()[axis] > 1)
      return op->emitError("expects axes of ranks: micro-batches run one after "
                           "the other and cannot communicate");
  }
  FailureOr<Tensors> inputs = readAll(input, op);
  FailureOr<std::vector<Box>> from = boxes(input, op);
  if (failed(inputs) || failed(from))
    return failure();
  FailureOr<std::vector<Box>> to = boxes(result, op);
  if (failed(to))
    return failure();

  std::vector<Tensor> outputs;
  for (unsigned rank = 0; rank < points.size(); ++rank) {
    SmallVector<unsigned> group = groupOf(rank, axes);
    const Box &target = (*to)[rank];
    if ((*from)[rank].logical != target.logical)
      return op->emitError("expects operand and result of one logical shape");
    std::optional<dist::Reduction> reduction;
    if (auto reduce = dyn_cast<dist::AllReduceOp>(op))
      reduction = reduce.getReduction();
    else if (auto scatter = dyn_cast<dist::ReduceScatterOp>(op))
      reduction = scatter.getReduction();
    Tensor output = Tensor::zeros((*inputs)[rank]->kind, target.extents);
    int64_t filled = 0;
    if (reduction) {
      for (unsigned member : group)
        if ((*from)[member].extents != (*from)[rank].extents ||
            (*from)[member].offsets != (*from)[rank].offsets)
          return op->emitError(
              "expects partial values of one shape on all ranks of the group");
      filled = copyShared(reduceGroup(*inputs, group, *reduction),
                          (*from)[rank], output, target);
    } else {
      // Blocks of one layout are equal or disjoint: what several ranks hold is
      // taken once.
      SmallVector<const Box *> taken;
      for (unsigned member : group) {
        const Box &held = (*from)[member];
        if (llvm::any_of(taken, [&](const Box *box) {
              return box->offsets == held.offsets &&
                     box->extents == held.extents;
            }))
          continue;
        taken.push_back(&held);
        filled += copyShared(*(*inputs)[member], held, output, target);
      }
    }
    if (filled != output.size())
      return op->emitError()
             << "ranks of the group hold " << filled << " elements of the "
             << output.size() << " of rank " << rank << "'s result";
    outputs.push_back(std::move(output));
  }
  if (dest)
    return store(result, dest, std::move(outputs), op);
  define(result, std::move(outputs));
  return success();
}

LogicalResult Executor::runLocalSlice(dist::LocalSliceOp op) {
  FailureOr<Tensors> inputs = readAll(op.getInput(), op);
  FailureOr<std::vector<Box>> from = boxes(op.getInput(), op);
  FailureOr<std::vector<Box>> to = boxes(op.getOutput(), op);
  if (failed(inputs) || failed(from) || failed(to))
    return failure();
  std::vector<Tensor> outputs;
  for (unsigned rank = 0; rank < points.size(); ++rank) {
    Tensor output = Tensor::zeros((*inputs)[rank]->kind, (*to)[rank].extents);
    if (copyShared(*(*inputs)[rank], (*from)[rank], output, (*to)[rank]) !=
        output.size())
      return op.emitError("expects a slice within the operand on rank ")
             << rank;
    outputs.push_back(std::move(output));
  }
  define(op.getOutput(), std::move(outputs));
  return success();
}

LogicalResult Executor::runToPartial(dist::PartialOp op) {
  FailureOr<Tensors> inputs = readAll(op.getInput(), op);
  if (failed(inputs))
    return failure();
  std::vector<Tensor> outputs;
  for (unsigned rank = 0; rank < points.size(); ++rank) {
    Tensor output = *(*inputs)[rank];
    for (int64_t axis : op.getAxes()) {
      if (!points[rank].mesh ||
          axis >= static_cast<int64_t>(points[rank].coordinates.size()) ||
          points[rank].coordinates[axis] < 0)
        return op.emitError() << "rank has no coordinate on axis " << axis;
      if (points[rank].coordinates[axis] != 0)
        fillNeutral(output, op.getReduction());
    }
    outputs.push_back(std::move(output));
  }
  define(op.getOutput(), std::move(outputs));
  return success();
}

/// Between a type with a layout and the local type that it stands for.
LogicalResult Executor::runCast(UnrealizedConversionCastOp op) {
  if (op.getInputs().size() != 1 || op.getNumResults() != 1 ||
      !isa<RankedTensorType>(op.getInputs()[0].getType()) ||
      !isa<RankedTensorType>(op.getResult(0).getType()))
    return op.emitError("expects a cast of one tensor to one tensor");
  FailureOr<std::vector<Box>> from = boxes(op.getInputs()[0], op);
  FailureOr<std::vector<Box>> to = boxes(op.getResult(0), op);
  if (failed(from) || failed(to))
    return failure();
  for (unsigned rank = 0; rank < points.size(); ++rank)
    if ((*from)[rank].extents != (*to)[rank].extents ||
        (*from)[rank].offsets != (*to)[rank].offsets)
      return op.emitError(
          "expects types that hold the same part of the tensor");
  auto found = values.find(op.getInputs()[0]);
  if (found == values.end())
    return op.emitError("casts a value that was not computed");
  std::vector<RankValue> same = found->second;
  values[op.getResult(0)] = std::move(same);
  return success();
}

LogicalResult Executor::runReshard(dist::ReshardOp op) {
  // Without ranks a layout is only a note.
  if (points.size() == 1 && !points.front().mesh) {
    std::vector<RankValue> same = values[op.getInput()];
    values[op->getResult(0)] = std::move(same);
    return success();
  }
  FailureOr<Tensor> logical = logicalValue(op.getInput(), op.getFrom(), op);
  if (failed(logical))
    return failure();
  return defineIn(op->getResult(0), op.getTo(), *logical, op);
}

FailureOr<Tensor> Executor::logicalValue(Value value, dist::LayoutAttr layout,
                                         Operation *user) {
  auto type =
      dist::withEncoding(cast<RankedTensorType>(value.getType()), layout);
  FailureOr<Tensors> inputs = readAll(value, user);
  if (failed(inputs))
    return failure();
  // On every axis the parts together, one of the copies, or the terms combined
  // in rank order.
  SmallVector<int64_t> partialAxes;
  dist::Reduction reduction = dist::Reduction::Sum;
  for (auto [axis, entry] : llvm::enumerate(layout.getAxes()))
    if (entry.isPartial()) {
      if (!partialAxes.empty() && reduction != entry.reduction)
        return user->emitError("has no interpretation for partial values of "
                               "two reductions at once");
      partialAxes.push_back(axis);
      reduction = entry.reduction;
    }
  Box whole = wholeBox(type.getShape());
  Tensor logical = Tensor::zeros((*inputs)[0]->kind, whole.extents);
  int64_t filled = 0;
  for (unsigned rank = 0; rank < points.size(); ++rank) {
    bool first = true;
    for (auto [axis, entry] : llvm::enumerate(layout.getAxes()))
      first &= entry.isSplit() || points[rank].coordinates[axis] == 0;
    if (!first)
      continue;
    FailureOr<Box> part = box(type, rank, user);
    if (failed(part))
      return failure();
    if ((*inputs)[rank]->shape != part->extents)
      return user->emitError("operand does not have the extents of its layout");
    filled +=
        copyShared(reduceGroup(*inputs, groupOf(rank, partialAxes), reduction),
                   *part, logical, whole);
  }
  if (filled != logical.size())
    return user->emitError("operand's parts do not make up the logical tensor");
  return logical;
}

LogicalResult Executor::defineIn(Value value, dist::LayoutAttr layout,
                                 const Tensor &logical, Operation *user) {
  auto type =
      dist::withEncoding(cast<RankedTensorType>(value.getType()), layout);
  Box whole = wholeBox(type.getShape());
  std::vector<Tensor> outputs;
  for (unsigned rank = 0; rank < points.size(); ++rank) {
    FailureOr<Box> part = box(type, rank, user);
    if (failed(part))
      return failure();
    Tensor output = Tensor::zeros(logical.kind, part->extents);
    copyShared(logical, whole, output, *part);
    for (auto [axis, entry] : llvm::enumerate(layout.getAxes()))
      if (entry.isPartial() && points[rank].coordinates[axis] != 0)
        fillNeutral(output, entry.reduction);
    outputs.push_back(std::move(output));
  }
  define(value, std::move(outputs));
  return success();
}

/// An op whose signature needs a split program, before that is put in its
/// place: the op itself on the logical values.
LogicalResult Executor::runSplitProgram(Operation *op) {
  auto layoutOf = [](Value value) {
    return dyn_cast_or_null<dist::LayoutAttr>(
        cast<RankedTensorType>(value.getType()).getEncoding());
  };
  std::vector<Tensor> operands;
  SmallVector<const Tensor *> pointers;
  SmallVector<Box, 4> operandBoxes, resultBoxes;
  for (Value value : llvm::concat<Value>(SmallVector<Value>(op->getOperands()),
                                         SmallVector<Value>(op->getResults())))
    if (!layoutOf(value))
      return op->emitError("expects split programs to be expanded; run "
                           "weir-expand-split-programs");
  for (Value operand : op->getOperands()) {
    FailureOr<Tensor> logical = logicalValue(operand, layoutOf(operand), op);
    if (failed(logical))
      return failure();
    operands.push_back(std::move(*logical));
    operandBoxes.push_back(wholeBox(operands.back().shape));
  }
  for (const Tensor &operand : operands)
    pointers.push_back(&operand);
  for (Type type : op->getResultTypes())
    resultBoxes.push_back(wholeBox(cast<RankedTensorType>(type).getShape()));
  OpInputs inputs{op, precision, pointers, operandBoxes, resultBoxes};
  SmallVector<Tensor, 4> results;
  if (failed(evaluateGraphOp(inputs, results)))
    return failure();
  for (auto [result, tensor] : llvm::zip_equal(op->getResults(), results))
    if (failed(defineIn(result, layoutOf(result), tensor, op)))
      return failure();
  return success();
}

//===----------------------------------------------------------------------===//
// Kernel programs
//===----------------------------------------------------------------------===//

LogicalResult Executor::runEmpty(kernel::EmptyOp op) {
  std::vector<RankValue> buffers;
  for (unsigned rank = 0; rank < points.size(); ++rank)
    buffers.push_back(
        newBuffer(cast<RankedTensorType>(op.getOutput().getType())));
  values[op.getOutput()] = std::move(buffers);
  return success();
}

LogicalResult Executor::runView(kernel::ViewOp op) {
  auto found = values.find(op.getInput());
  if (found == values.end())
    return op.emitError("views a value that was not computed");
  std::vector<RankValue> views = found->second;
  for (RankValue &view : views) {
    if (!view.memory)
      return op.emitError("expects a view of a buffer");
    view.offset = op.getOffset();
    view.strides.assign(op.getStrides().begin(), op.getStrides().end());
  }
  values[op.getOutput()] = std::move(views);
  return success();
}

LogicalResult Executor::runFill(kernel::FillOp op) {
  std::vector<Tensor> filled;
  FailureOr<std::vector<Box>> to = boxes(op.getDest(), op);
  if (failed(to))
    return failure();
  auto kind = elementKindOf(
      cast<RankedTensorType>(op.getDest().getType()).getElementType());
  double value = op.getValue().convertToDouble();
  for (const Box &place : *to) {
    Tensor tensor =
        Tensor::zeros(kind.value_or(ElementKind::Float), place.extents);
    std::fill(tensor.floats.begin(), tensor.floats.end(), value);
    std::fill(tensor.ints.begin(), tensor.ints.end(),
              static_cast<int64_t>(value));
    roundTo(precision, tensor);
    filled.push_back(std::move(tensor));
  }
  return store(op.getOutput(), op.getDest(), std::move(filled), op);
}

LogicalResult Executor::runLaunch(kernel::LaunchOp op) {
  auto function = dyn_cast_or_null<kernel::FuncOp>(
      SymbolTable::lookupSymbolIn(symbols, op.getKernelAttr()));
  if (!function)
    return op.emitError("launches ")
           << op.getKernelAttr() << ", which does not exist";
  // Random numbers' keys are the launch's: they are put into a copy.
  OwningOpRef<kernel::FuncOp> keyed;
  if (auto keys = op->getAttrOfType<DenseI64ArrayAttr>("site_keys")) {
    keyed = function = function.clone();
    bool known = true;
    function.walk([&](kernel::RandomOp random) {
      if (!random->hasAttr("of_launch"))
        return;
      known &= random.getSiteKey() < static_cast<uint32_t>(keys.size());
      if (known)
        random.setSiteKey(static_cast<uint32_t>(keys[random.getSiteKey()]));
    });
    if (!known)
      return op.emitError("has not the site keys that its kernel expects");
  }
  Block &body = function.getBody().front();
  unsigned numInputs = op.getInputs().size(), numDests = op.getDests().size();
  Operation *yield = body.getTerminator();
  if (static_cast<int64_t>(numInputs) !=
          static_cast<int64_t>(function.getNumInputs()) ||
      body.getNumArguments() != numInputs + numDests ||
      yield->getNumOperands() != numDests ||
      function.getTied().size() != numDests)
    return op.emitError("does not have the operands that its kernel expects");

  std::vector<std::vector<Tensor>> perDest(numDests);
  for (unsigned rank = 0; rank < points.size(); ++rank) {
    SmallVector<RankValue> places;
    SmallVector<Box, 4> placeBoxes;
    for (auto [index, operand] : llvm::enumerate(op->getOperands())) {
      auto found = values.find(operand);
      if (found == values.end())
        return op.emitError("reads a value that was not computed");
      FailureOr<Box> operandBox = box(operand.getType(), rank, op);
      FailureOr<Box> argumentBox =
          box(body.getArgument(index).getType(), rank, op);
      if (failed(operandBox) || failed(argumentBox))
        return failure();
      if (operandBox->extents != argumentBox->extents)
        return op.emitError("operand ")
               << index
               << " does not have the extents of the kernel's argument";
      const RankValue &place = found->second[rank];
      if (place.memory && index < function.getStrides().size()) {
        auto strides = cast<DenseI64ArrayAttr>(function.getStrides()[index]);
        auto shape = cast<RankedTensorType>(operand.getType()).getShape();
        for (size_t d = 0; d < shape.size(); ++d)
          if (shape[d] > 1 && strides.asArrayRef()[d] != place.strides[d])
            return op.emitError("operand ")
                   << index << " has stride " << place.strides[d]
                   << " in dimension " << d << ", the kernel expects "
                   << strides.asArrayRef()[d];
      }
      places.push_back(place);
      placeBoxes.push_back(std::move(*operandBox));
    }
    for (unsigned d = 0; d < numDests; ++d) {
      const RankValue &dest = places[numInputs + d];
      const Box &destBox = placeBoxes[numInputs + d];
      int64_t tied = function.getTied()[d];
      if (tied >= static_cast<int64_t>(numInputs))
        return op.emitError("destination ") << d << " is tied to no input";
      if (tied >= 0 && !samePlace(places[tied], dest, destBox.extents))
        return op.emitError("expects destination ")
               << d << " to be the memory of input " << tied
               << ", to which it is tied";
      for (unsigned i = 0; i < numInputs + d; ++i)
        if (static_cast<int64_t>(i) != tied &&
            overlap(places[i], placeBoxes[i], dest, destBox))
          return op.emitError(i < numInputs ? "input " : "destination ")
                 << (i < numInputs ? i : i - numInputs)
                 << " overlaps destination " << d << " without a tie";
    }

    Executor kernel(symbols, precision, {points[rank]});
    for (unsigned i = 0; i < numInputs; ++i) {
      auto tensor = read(op.getInputs()[i], rank, op);
      if (failed(tensor))
        return failure();
      RankValue value;
      value.tensor = std::move(*tensor);
      kernel.bind(body.getArgument(i), {value});
      for (unsigned d = 0; d < numDests; ++d)
        if (function.getTied()[d] == static_cast<int64_t>(i))
          kernel.bind(body.getArgument(numInputs + d), {value});
    }
    for (unsigned d = 0; d < numDests; ++d)
      if (function.getTied()[d] < 0)
        kernel.bind(body.getArgument(numInputs + d), {RankValue()});
    if (failed(kernel.runBlock(body)))
      return op.emitError("kernel failed");
    for (unsigned d = 0; d < numDests; ++d) {
      auto tensor = kernel.read(yield->getOperand(d), 0, yield);
      if (failed(tensor))
        return op.emitError("kernel failed");
      perDest[d].push_back(**tensor);
    }
  }
  for (unsigned d = 0; d < numDests; ++d)
    if (failed(store(op.getResults()[d], op.getDests()[d],
                     std::move(perDest[d]), op)))
      return failure();
  return success();
}

LogicalResult Executor::runContract(kernel::ContractOp op) {
  auto maps = llvm::to_vector(op.getMaps().getAsValueRange<AffineMapAttr>());
  if (maps.size() != 3)
    return op.emitError("expects three maps");
  FailureOr<Tensors> lhs = readAll(op.getLhs(), op),
                     rhs = readAll(op.getRhs(), op);
  if (failed(lhs) || failed(rhs))
    return failure();
  std::vector<Tensor> outputs;
  for (unsigned rank = 0; rank < points.size(); ++rank) {
    FailureOr<Box> boxesOf[3] = {box(op.getLhs().getType(), rank, op),
                                 box(op.getRhs().getType(), rank, op),
                                 box(op.getDest().getType(), rank, op)};
    unsigned numLoops = maps[0].getNumDims();
    SmallVector<int64_t, 6> sizes(numLoops, -1);
    SmallVector<SmallVector<int64_t, 6>> steps(
        3, SmallVector<int64_t, 6>(numLoops, 0));
    for (unsigned i = 0; i < 3; ++i) {
      if (failed(boxesOf[i]))
        return failure();
      auto strides = rowMajorStrides(boxesOf[i]->extents);
      for (auto [d, result] : llvm::enumerate(maps[i].getResults())) {
        auto loop = dyn_cast<AffineDimExpr>(result);
        if (!loop)
          return op.emitError("expects maps of loops only");
        int64_t &size = sizes[loop.getPosition()];
        if (size >= 0 && size != boxesOf[i]->extents[d])
          return op.emitError()
                 << "extents of loop " << loop.getPosition()
                 << " disagree: " << size << " and " << boxesOf[i]->extents[d];
        size = boxesOf[i]->extents[d];
        steps[i][loop.getPosition()] += strides[d];
      }
    }
    if (llvm::is_contained(sizes, -1))
      return op.emitError("expects every loop in some map");
    Tensor output = Tensor::zeros(ElementKind::Float, boxesOf[2]->extents);
    auto &destinations = values.find(op.getDest())->second;
    const RankValue &dest = destinations[rank];
    const Value sources[2] = {op.getLhs(), op.getRhs()};
    for (unsigned i = 0; i < 2; ++i)
      if (overlap(values.find(sources[i])->second[rank], *boxesOf[i], dest,
                  *boxesOf[2]))
        return op.emitError("an operand overlaps the destination");
    if (op.getAccumulate()) {
      auto old = read(op.getDest(), rank, op);
      if (failed(old))
        return failure();
      output = **old;
    }
    // Outer loops: those of the result; inner loops: the contracted ones.
    SmallVector<unsigned> outer, inner;
    for (unsigned loop = 0; loop < numLoops; ++loop) {
      bool inResult = llvm::any_of(maps[2].getResults(), [&](AffineExpr expr) {
        return cast<AffineDimExpr>(expr).getPosition() == loop;
      });
      (inResult ? outer : inner).push_back(loop);
    }
    auto sizesOf = [&](ArrayRef<unsigned> loops) {
      SmallVector<int64_t, 6> result;
      for (unsigned loop : loops)
        result.push_back(sizes[loop]);
      return result;
    };
    SmallVector<int64_t, 6> outerSizes = sizesOf(outer),
                            innerSizes = sizesOf(inner);
    if (elementsOf(outerSizes) != 0) {
      SmallVector<int64_t, 6> at(outer.size(), 0);
      do {
        int64_t a = 0, b = 0, c = 0;
        for (auto [i, loop] : llvm::enumerate(outer)) {
          a += at[i] * steps[0][loop];
          b += at[i] * steps[1][loop];
          c += at[i] * steps[2][loop];
        }
        double sum = 0;
        float sumF32 = 0;
        if (elementsOf(innerSizes) != 0) {
          SmallVector<int64_t, 6> k(inner.size(), 0);
          do {
            int64_t ak = a, bk = b;
            for (auto [i, loop] : llvm::enumerate(inner)) {
              ak += k[i] * steps[0][loop];
              bk += k[i] * steps[1][loop];
            }
            double x = (*lhs)[rank]->floats[ak], y = (*rhs)[rank]->floats[bk];
            sum += x * y;
            sumF32 += static_cast<float>(x) * static_cast<float>(y);
          } while (nextIndex(k, innerSizes));
        }
        if (precision == Precision::F32)
          output.floats[c] = static_cast<float>(output.floats[c]) + sumF32;
        else
          output.floats[c] += sum;
      } while (nextIndex(at, outerSizes));
    }
    outputs.push_back(std::move(output));
  }
  return store(op.getOutput(), op.getDest(), std::move(outputs), op);
}

//===----------------------------------------------------------------------===//
// Entries
//===----------------------------------------------------------------------===//

FailureOr<Tensor> Executor::gatherLogical(ArrayRef<Box> boxes,
                                          const Tensors &parts, Operation *op,
                                          const Twine &what) {
  Box whole = wholeBox(boxes.front().logical);
  Tensor logical = Tensor::zeros(parts.front()->kind, whole.extents);
  // Every rank writes its part, and what two of them hold must be the same.
  for (unsigned rank = 0; rank < boxes.size(); ++rank)
    copyShared(*parts[rank], boxes[rank], logical, whole);
  Tensor covered = Tensor::zeros(ElementKind::I1, whole.extents);
  for (unsigned rank = 0; rank < boxes.size(); ++rank) {
    Tensor again = Tensor::zeros(logical.kind, boxes[rank].extents);
    copyShared(logical, whole, again, boxes[rank]);
    if (!again.identicalTo(*parts[rank]))
      return op->emitError() << what << " differs between ranks: rank " << rank
                             << " holds other values than a later rank for the "
                                "same elements";
    Tensor ones = Tensor::zeros(ElementKind::I1, boxes[rank].extents);
    std::fill(ones.ints.begin(), ones.ints.end(), 1);
    copyShared(ones, boxes[rank], covered, whole);
  }
  int64_t held = llvm::count(covered.ints, 1);
  if (held != logical.size())
    return op->emitError() << what << ": the ranks hold " << held
                           << " elements of the " << logical.size();
  return logical;
}

FailureOr<std::vector<Tensor>> Executor::runEntry(Operation *entry,
                                                  ArrayRef<Tensor> arguments,
                                                  bool useMemory) {
  Block &body = entry->getRegion(0).front();
  if (arguments.size() != body.getNumArguments())
    return entry->emitError() << "expects " << body.getNumArguments()
                              << " arguments, got " << arguments.size();
  for (auto [index, argument] : llvm::enumerate(arguments)) {
    Value value = body.getArgument(index);
    auto type = cast<RankedTensorType>(value.getType());
    FailureOr<std::vector<Box>> parts = boxes(value, entry);
    if (failed(parts))
      return failure();
    std::optional<ElementKind> kind = elementKindOf(type.getElementType());
    if (!kind || *kind != argument.kind ||
        argument.shape != parts->front().logical) {
      InFlightDiagnostic diagnostic = entry->emitError("argument ");
      diagnostic << index << " expects " << type << ", got a tensor of "
                 << elementKindName(argument.kind) << " [";
      llvm::interleaveComma(argument.shape, diagnostic);
      return diagnostic << "]";
    }
    Tensor rounded = argument;
    roundTo(precision, rounded);
    Box whole = wholeBox(rounded.shape);
    std::vector<RankValue> perRank;
    for (const Box &place : *parts) {
      Tensor part = Tensor::zeros(rounded.kind, place.extents);
      copyShared(rounded, whole, part, place);
      RankValue held;
      if (useMemory) {
        held = newBuffer(type);
        if (failed(store(held, part, entry)))
          return failure();
      } else {
        held.tensor = std::make_shared<const Tensor>(std::move(part));
      }
      perRank.push_back(std::move(held));
    }
    values[value] = std::move(perRank);
  }
  if (failed(runBlock(body)))
    return failure();

  std::vector<Tensor> results;
  Operation *terminator = body.getTerminator();
  for (auto [index, value] : llvm::enumerate(terminator->getOperands())) {
    StringRef variableAttr = graph::GraphDialect::getVariableAttrName();
    Attribute variable = binding(entry, "res_attrs", index, variableAttr);
    if (useMemory && variable) {
      Value own;
      for (BlockArgument argument : body.getArguments())
        if (binding(entry, "arg_attrs", argument.getArgNumber(),
                    variableAttr) == variable)
          own = argument;
      for (unsigned rank = 0; own && rank < points.size(); ++rank)
        if (values[value][rank].memory != values[own][rank].memory)
          return terminator->emitError("expects result ")
                 << index << " to be in the buffer of the variable " << variable
                 << " that it updates";
    }
    if (auto layout = dyn_cast_or_null<dist::LayoutAttr>(
            cast<RankedTensorType>(value.getType()).getEncoding());
        layout && layout.hasPartial())
      return terminator->emitError("expects result ")
             << index << " not to be partial, got " << layout;
    FailureOr<Tensors> parts = readAll(value, terminator);
    FailureOr<std::vector<Box>> partBoxes = boxes(value, terminator);
    if (failed(parts) || failed(partBoxes))
      return failure();
    FailureOr<Tensor> logical =
        gatherLogical(*partBoxes, *parts, terminator, "result " + Twine(index));
    if (failed(logical))
      return failure();
    results.push_back(std::move(*logical));
  }
  return results;
}

} // namespace weir::compiler
