// SPDX-License-Identifier: Apache-2.0
// Split programs: ops over splits that have no signature, as local ops and
// collectives.
#include "dialects/Graph/LocalBuild.h"

#include <optional>

using namespace mlir;
using namespace weir;
using namespace weir::graph;
using dist::AxisLayout;
using dist::Reduction;
using Kind = ProgramMessage::Kind;

double ProgramMessage::received(int64_t parts) const {
  double k = static_cast<double>(parts), others = (k - 1) / k;
  switch (kind) {
  case Kind::AllReduce:
    return 2 * bytes * others * static_cast<double>(count(parts));
  case Kind::AllGather: // of each other coordinate
    return bytes * (k - 1);
  case Kind::Exchange: // one shard each time
    return bytes / k * static_cast<double>(count(parts));
  }
  llvm_unreachable("unknown kind of message");
}

namespace {

/// The largest element of each row, over all ranks, along the last dimension.
Value rowMax(LocalBuild &b, Value value) {
  return b.allReduce(b.reduceLast(ReductionKind::Max, value), Reduction::Max);
}
Value rowSum(LocalBuild &b, Value value) {
  return b.allReduce(b.reduceLast(ReductionKind::Sum, value), Reduction::Sum);
}

double logicalSizeOfLast(Value value) {
  return static_cast<double>(
      dist::getLogicalShape(Build::typeOf(value)).back());
}

constexpr llvm::StringLiteral splitClasses = "split_classes";
constexpr llvm::StringLiteral splitFeatures = "split_features";

/// `count` all-reduces of values of `type`.
SmallVector<ProgramMessage, 4> allReduces(unsigned count, Type type) {
  ProgramMessage message;
  message.bytes = bytesOf(type);
  return SmallVector<ProgramMessage, 4>(count, message);
}

} // namespace

//===----------------------------------------------------------------------===//
// Softmax and cross-entropy over split classes
//===----------------------------------------------------------------------===//

std::vector<SplitProgram> SoftmaxOp::getSplitPrograms() {
  auto type = cast<RankedTensorType>(getInput().getType());
  int64_t last = type.getRank() - 1;
  SplitProgram program;
  program.name = splitClasses.str();
  program.operands = {AxisLayout::split(last)};
  program.results = {AxisLayout::split(last)};
  program.messages = allReduces(2, selectDims(type, Build::allDims(last)));
  return {program};
}

SmallVector<Value> SoftmaxOp::emitSplitProgram(OpBuilder &builder,
                                               ValueRange operands, TypeRange,
                                               ArrayRef<int64_t> axes,
                                               dist::MeshAttr, StringRef) {
  LocalBuild b(builder, getLoc(), axes);
  Value x = operands[0];
  Value exp = b.exp(b.sub(x, b.repeatRows(rowMax(b, x), x)));
  return {b.div(exp, b.repeatRows(rowSum(b, exp), x))};
}

std::vector<SplitProgram> CrossEntropyOp::getSplitPrograms() {
  int64_t last = cast<RankedTensorType>(getLogits().getType()).getRank() - 1;
  SplitProgram program;
  program.name = splitClasses.str();
  program.operands = {AxisLayout::split(last), AxisLayout::broadcast()};
  program.results = {AxisLayout::broadcast(), AxisLayout::broadcast()};
  program.messages = allReduces(3, getLoss().getType());
  return {program};
}

SmallVector<Value> CrossEntropyOp::emitSplitProgram(OpBuilder &builder,
                                                    ValueRange operands,
                                                    TypeRange,
                                                    ArrayRef<int64_t> axes,
                                                    dist::MeshAttr, StringRef) {
  LocalBuild b(builder, getLoc(), axes);
  Value logits = operands[0], labels = operands[1];
  Value max = rowMax(b, logits);
  Value sum = rowSum(b, b.exp(b.sub(logits, b.repeatRows(max, logits))));
  // One rank holds the label's class, the others add zero.
  Value rows = b.repeatRows(labels, logits);
  Value classes =
      IotaOp::create(builder, getLoc(), rows.getType(),
                     static_cast<uint64_t>(Build::rankOf(logits) - 1));
  Value isLabel = b.compare(Predicate::Eq, classes, rows);
  Value picked = rowSum(b, b.keep(isLabel, logits));
  Value lse = b.add(max, b.log(sum));
  auto ignoreIndex = static_cast<int64_t>(getIgnoreIndex());
  Value ignored =
      b.compare(Predicate::Eq, labels, static_cast<double>(ignoreIndex));
  return {b.drop(ignored, b.sub(lse, picked)), lse};
}

//===----------------------------------------------------------------------===//
// Norms over split features
//===----------------------------------------------------------------------===//

std::vector<SplitProgram> LayerNormOp::getSplitPrograms() {
  int64_t last = cast<RankedTensorType>(getInput().getType()).getRank() - 1;
  SplitProgram program;
  program.name = splitFeatures.str();
  program.operands = {AxisLayout::split(last), AxisLayout::split(0),
                      AxisLayout::split(0)};
  program.results = {AxisLayout::split(last), AxisLayout::broadcast(),
                     AxisLayout::broadcast()};
  program.messages = allReduces(2, getMean().getType());
  return {program};
}

SmallVector<Value> LayerNormOp::emitSplitProgram(OpBuilder &builder,
                                                 ValueRange operands, TypeRange,
                                                 ArrayRef<int64_t> axes,
                                                 dist::MeshAttr, StringRef) {
  LocalBuild b(builder, getLoc(), axes);
  Value x = operands[0];
  double size = logicalSizeOfLast(x);
  Value mean = b.divide(rowSum(b, x), size);
  Value centred = b.sub(x, b.repeatRows(mean, x));
  Value variance = b.divide(rowSum(b, b.mul(centred, centred)), size);
  Value rstd = b.rsqrtOf(variance, getEpsilon().convertToDouble());
  Value normal = b.mul(centred, b.repeatRows(rstd, x));
  Value output = b.add(b.mul(normal, b.repeatLast(operands[1], x)),
                       b.repeatLast(operands[2], x));
  return {output, mean, rstd};
}

std::vector<SplitProgram> RmsNormOp::getSplitPrograms() {
  int64_t last = cast<RankedTensorType>(getInput().getType()).getRank() - 1;
  SplitProgram program;
  program.name = splitFeatures.str();
  program.operands = {AxisLayout::split(last), AxisLayout::split(0)};
  program.results = {AxisLayout::split(last), AxisLayout::broadcast()};
  program.messages = allReduces(1, getRstd().getType());
  return {program};
}

SmallVector<Value> RmsNormOp::emitSplitProgram(OpBuilder &builder,
                                               ValueRange operands, TypeRange,
                                               ArrayRef<int64_t> axes,
                                               dist::MeshAttr, StringRef) {
  LocalBuild b(builder, getLoc(), axes);
  Value x = operands[0];
  Value squares = b.divide(rowSum(b, b.mul(x, x)), logicalSizeOfLast(x));
  Value rstd = b.rsqrtOf(squares, getEpsilon().convertToDouble());
  Value normal = b.mul(x, b.repeatRows(rstd, x));
  return {b.mul(normal, b.repeatLast(operands[1], x)), rstd};
}

//===----------------------------------------------------------------------===//
// Attention over a split sequence, as a ring
//===----------------------------------------------------------------------===//

namespace {

constexpr llvm::StringLiteral ring = "ring";

/// Whether the key sequence is split over the ring's axes and no others.
LogicalResult checkRing(Operation *op, Value key, ArrayRef<int64_t> axes) {
  ArrayRef<int64_t> splits = shardsOf(Build::typeOf(key))[1].axes;
  if (splits == axes)
    return success();
  return op->emitOpError("expects the keys of a ring to be split over its mesh "
                         "axes [")
         << axes << "], got [" << splits << "]";
}

/// Each row's numbers of `value` [B, G, R, T], along the features of `like`
/// [B, T, G, R, E].
Value alongFeatures(LocalBuild &b, Value value, Value like) {
  int64_t order[] = {0, 3, 1, 2};
  Value rows = TransposeOp::create(
      b.builder, b.loc, selectDims(Build::typeOf(value), order), value, order);
  return b.repeatRows(rows, like);
}

/// Attention to two sets of keys from attention to each (Dao et al., arXiv
/// 2205.14135, section 3.1; Liu et al., arXiv 2310.01889). A row that has seen
/// no key so far has an `lse` of minus infinity and weighs nothing.
std::pair<Value, Value> mergeAttention(LocalBuild &b, Value output, Value lse,
                                       Value otherOutput, Value otherLse) {
  bool narrow = Build::typeOf(lse).getElementType().isF16();
  Value floor = b.splatLike(lse, narrow ? -65000 : -1e30);
  Value max = b.binary<MaxOp>(b.binary<MaxOp>(lse, otherLse), floor);
  Value weight = b.exp(b.sub(lse, max));
  Value otherWeight = b.exp(b.sub(otherLse, max));
  Value sum = b.add(weight, otherWeight);
  // At least 1, the larger's weight, or 0 where neither has seen a key.
  Value divisor = b.binary<MaxOp>(sum, b.splatLike(sum, 1));
  Value first = b.mul(output, alongFeatures(b, b.div(weight, divisor), output));
  Value second =
      b.mul(otherOutput, alongFeatures(b, b.div(otherWeight, divisor), output));
  return {b.add(first, second), b.add(max, b.log(sum))};
}

/// The ring's messages: a shard of each of `values` for each other coordinate.
SmallVector<ProgramMessage, 4> ringMessages(ValueRange values) {
  SmallVector<ProgramMessage, 4> messages;
  for (Value value : values) {
    ProgramMessage &message = messages.emplace_back();
    message.kind = Kind::Exchange;
    message.bytes = bytesOf(value.getType());
    message.forEachOther = true;
  }
  return messages;
}

} // namespace

std::vector<SplitProgram> AttentionOp::getSplitPrograms() {
  SplitProgram program;
  program.name = ring.str();
  program.operands.assign(3, AxisLayout::split(1));
  program.operands.append(getPositions().size(), AxisLayout::split(0));
  program.results = {AxisLayout::split(1), AxisLayout::split(3)};
  program.messages = ringMessages({getKey(), getValue()});
  program.messages.append(
      ringMessages(getPositions().drop_front(getPositions().empty() ? 0 : 1)));
  return {program};
}

SmallVector<Value>
AttentionOp::emitSplitProgram(OpBuilder &builder, ValueRange operands,
                              TypeRange resultTypes, ArrayRef<int64_t> axes,
                              dist::MeshAttr mesh, StringRef) {
  LocalBuild b(builder, getLoc(), axes);
  if (failed(checkRing(*this, operands[1], axes)))
    return {};
  Traveller key(b, operands[1], 1), value(b, operands[2], 1);
  SmallVector<Value> positions(operands.drop_front(3));
  std::optional<Traveller> keyPositions;
  if (!positions.empty())
    keyPositions.emplace(b, positions[1], 0);
  Value output, lse;
  for (int64_t step = 0, e = coordinatesOf(axes, mesh); step < e; ++step) {
    if (step > 0) {
      key.moveTo(step);
      value.moveTo(step);
      if (keyPositions) {
        keyPositions->moveTo(step);
        positions[1] = keyPositions->value;
      }
    }
    auto part = AttentionOp::create(
        builder, getLoc(), resultTypes[0], resultTypes[1], operands[0],
        key.value, value.value, positions, getScale(), getCausal());
    if (step == 0) {
      output = part.getOutput();
      lse = part.getLse();
      continue;
    }
    std::tie(output, lse) =
        mergeAttention(b, output, lse, part.getOutput(), part.getLse());
  }
  return {output, lse};
}

std::vector<SplitProgram> AttentionGradOp::getSplitPrograms() {
  SplitProgram program;
  program.name = ring.str();
  program.operands.assign(6, AxisLayout::split(1));
  program.operands[4] = AxisLayout::split(3);
  program.operands.append(getPositions().size(), AxisLayout::split(0));
  program.results.assign(3, AxisLayout::split(1));
  program.messages = ringMessages({getKey(), getValue(), getKey(), getValue()});
  program.messages.append(
      ringMessages(getPositions().drop_front(getPositions().empty() ? 0 : 1)));
  return {program};
}

SmallVector<Value>
AttentionGradOp::emitSplitProgram(OpBuilder &builder, ValueRange operands,
                                  TypeRange resultTypes, ArrayRef<int64_t> axes,
                                  dist::MeshAttr mesh, StringRef) {
  LocalBuild b(builder, getLoc(), axes);
  if (failed(checkRing(*this, operands[1], axes)))
    return {};
  Traveller key(b, operands[1], 1), value(b, operands[2], 1);
  SmallVector<Value> positions(operands.drop_front(6));
  std::optional<Traveller> keyPositions;
  if (!positions.empty())
    keyPositions.emplace(b, positions[1], 0);
  // The gradients of a shard of keys travel with it and gather what each rank's
  // queries add; after a whole turn they are home.
  std::optional<Traveller> keyGradient, valueGradient;
  Value queryGradient;
  int64_t length = coordinatesOf(axes, mesh);
  for (int64_t step = 0; step < length; ++step) {
    if (step > 0) {
      key.moveTo(step);
      value.moveTo(step);
      if (keyPositions) {
        keyPositions->moveTo(step);
        positions[1] = keyPositions->value;
      }
    }
    auto part = AttentionGradOp::create(
        builder, getLoc(), resultTypes[0], key.typeAt(step), value.typeAt(step),
        operands[0], key.value, value.value, operands[3], operands[4],
        operands[5], positions, getScale(), getCausal());
    if (step == 0) {
      queryGradient = part.getQueryGradient();
      keyGradient.emplace(b, part.getKeyGradient(), 1);
      valueGradient.emplace(b, part.getValueGradient(), 1);
      continue;
    }
    queryGradient = b.add(queryGradient, part.getQueryGradient());
    keyGradient->moveTo(step);
    keyGradient->value = b.add(keyGradient->value, part.getKeyGradient());
    valueGradient->moveTo(step);
    valueGradient->value = b.add(valueGradient->value, part.getValueGradient());
  }
  if (length > 1) {
    keyGradient->moveTo(0);
    valueGradient->moveTo(0);
  }
  return {queryGradient, keyGradient->value, valueGradient->value};
}
