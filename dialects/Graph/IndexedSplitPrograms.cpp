// SPDX-License-Identifier: Apache-2.0
// Split programs of ops that look along a split dimension: scans and
// convolutions.
#include "dialects/Graph/LocalBuild.h"

using namespace mlir;
using namespace weir;
using namespace weir::graph;
using dist::AxisLayout;
using Kind = ProgramMessage::Kind;

//===----------------------------------------------------------------------===//
// Sums along a split dimension
//===----------------------------------------------------------------------===//

static constexpr llvm::StringLiteral boundaryState = "boundary_state";

std::vector<SplitProgram> CumsumOp::getSplitPrograms() {
  auto dim = static_cast<int64_t>(getDim());
  SplitProgram program;
  program.name = boundaryState.str();
  program.operands = {AxisLayout::split(dim)};
  program.results = {AxisLayout::split(dim)};
  ProgramMessage &message = program.messages.emplace_back();
  message.kind = Kind::AllGather;
  RankedTensorType type = getInput().getType();
  int64_t size = std::max<int64_t>(1, type.getDimSize(dim));
  message.bytes = bytesOf(type) / static_cast<double>(size);
  return {program};
}

SmallVector<Value> CumsumOp::emitSplitProgram(OpBuilder &builder,
                                              ValueRange operands,
                                              TypeRange resultTypes,
                                              ArrayRef<int64_t> axes,
                                              dist::MeshAttr mesh, StringRef) {
  LocalBuild b(builder, getLoc(), axes);
  Value x = operands[0];
  auto dim = static_cast<int64_t>(getDim());
  if (ArrayRef<int64_t>(shardsOf(Build::typeOf(x))[dim].axes) != axes) {
    emitOpError("expects the scanned dimension to be split over the axes of "
                "the program alone, got ")
        << x.getType();
    return {};
  }
  Value own = CumsumOp::create(builder, getLoc(), resultTypes[0], x, getDim(),
                               getReverse(), getExclusive());
  // Every coordinate's sum, and whether it comes before this one's.
  SmallVector<int64_t> others = Build::otherDims(Build::rankOf(x), {dim});
  RankedTensorType rest = selectDims(Build::typeOf(x), others);
  Value sum = ReduceOp::create(builder, getLoc(), rest, ReductionKind::Sum, x,
                               ArrayRef<int64_t>{dim});
  int64_t count = coordinatesOf(axes, mesh);
  auto stacked = [&](Type element, bool split) {
    SmallVector<dist::ShardDim> shards = shardsOf(rest);
    SmallVector<int64_t> shape(rest.getShape());
    dist::ShardDim first;
    first.size = count;
    if (split)
      first.axes.assign(axes.begin(), axes.end());
    shards.insert(shards.begin(), first);
    shape.insert(shape.begin(), split ? 1 : count);
    return tensorOf(element, shape, shards);
  };
  SmallVector<int64_t> behind =
      llvm::to_vector(llvm::seq<int64_t>(1, rest.getRank() + 1));
  Value mine = BroadcastOp::create(
      builder, getLoc(), stacked(rest.getElementType(), true), sum, behind);
  Value sums = dist::AllGatherOp::create(builder, getLoc(),
                                         stacked(rest.getElementType(), false),
                                         mine, Value(), axes, 0)
                   .getOutput();
  Type i32 = builder.getI32Type();
  Value place =
      IotaOp::create(builder, getLoc(), stacked(i32, true), uint64_t(0));
  auto placeType = cast<RankedTensorType>(rest.clone(i32));
  place = ReduceOp::create(builder, getLoc(), placeType, ReductionKind::Sum,
                           place, ArrayRef<int64_t>{0});
  RankedTensorType all = stacked(i32, false);
  place = BroadcastOp::create(builder, getLoc(), all, place, behind);
  Value each = IotaOp::create(builder, getLoc(), all, uint64_t(0));
  Value before =
      b.compare(getReverse() ? Predicate::Gt : Predicate::Lt, each, place);
  Value carried = ReduceOp::create(builder, getLoc(), rest, ReductionKind::Sum,
                                   b.keep(before, sums), ArrayRef<int64_t>{0});
  return {b.add(own, b.repeat(carried, own, others))};
}

//===----------------------------------------------------------------------===//
// Convolution over split spatial dimensions
//===----------------------------------------------------------------------===//

static constexpr llvm::StringLiteral halo = "halo";

namespace {

/// The elements [begin, end) of a dimension that the coordinate with number
/// `place` on its axes holds.
std::pair<int64_t, int64_t> heldBy(const dist::ShardDim &dim,
                                   dist::MeshAttr mesh, int64_t place) {
  int64_t places = coordinatesOf(dim.axes, mesh);
  int64_t extent = dim.size / dim.unit, offset = 0;
  for (int64_t axis : dim.axes) {
    int64_t parts = mesh.getSizes()[axis];
    places /= parts;
    int64_t coordinate = place / places;
    place %= places;
    int64_t share = extent / parts, longer = extent % parts;
    offset += coordinate * share + std::min(coordinate, longer);
    extent = share + (coordinate < longer ? 1 : 0);
  }
  return {offset * dim.unit, (offset + extent) * dim.unit};
}

/// One spatial dimension of a convolution.
struct Spatial {
  int64_t stride, dilation, low, places;

  /// Whether windows are the shards' own elements whatever the split.
  bool isTrivial(int64_t inputSize, int64_t outputSize) const {
    return low == 0 && dilation == 1 && stride == places &&
           outputSize * stride == inputSize;
  }
};

Spatial spatialOf(ConvOp op, unsigned i) {
  return {op.getStrides()[i], op.getDilations()[i], op.getLow()[i],
          dist::getLogicalShape(op.getWeight().getType())[2 + i]};
}

/// How many places on the shards lie that some coordinate's windows read.
SmallVector<int64_t> neededShifts(const dist::ShardDim &input,
                                  const dist::ShardDim &output,
                                  const Spatial &spatial, dist::MeshAttr mesh) {
  int64_t count = coordinatesOf(input.axes, mesh);
  llvm::SmallBitVector needed(count);
  needed.set(0);
  for (int64_t place = 0; place < count; ++place) {
    auto [first, last] = heldBy(output, mesh, place);
    if (first == last)
      continue;
    int64_t begin = first * spatial.stride - spatial.low;
    int64_t end = (last - 1) * spatial.stride - spatial.low +
                  (spatial.places - 1) * spatial.dilation + 1;
    for (int64_t other = 0; other < count; ++other) {
      auto [from, to] = heldBy(input, mesh, other);
      if (std::max(begin, from) < std::min(end, to))
        needed.set((other - place + count) % count);
    }
  }
  return llvm::map_to_vector(needed.set_bits(),
                             [](unsigned bit) { return int64_t(bit); });
}

/// The elements of each window of spatial dimension `i`, one window after the
/// other in its place: from the shard and from those of neighbours, which read
/// as 0 where they do not hold an element.
Value cutIntoWindows(LocalBuild &b, Value x, unsigned i,
                     const dist::ShardDim &output, int64_t outputCapacity,
                     const Spatial &spatial, dist::MeshAttr mesh) {
  int64_t dim = 2 + i;
  RankedTensorType type = Build::typeOf(x);
  SmallVector<dist::ShardDim> shards = shardsOf(type);
  SmallVector<int64_t> shape(type.getShape());
  dist::ShardDim places;
  places.size = spatial.places;
  RankedTensorType indexType =
      tensorOf(b.builder.getI32Type(), {outputCapacity, spatial.places},
               {output, places});
  Value window = IotaOp::create(b.builder, b.loc, indexType, uint64_t(0));
  Value place = IotaOp::create(b.builder, b.loc, indexType, uint64_t(1));
  Value index = b.add(b.mul(window, static_cast<double>(spatial.stride)),
                      b.mul(place, static_cast<double>(spatial.dilation)));
  index = b.add(index, static_cast<double>(-spatial.low));

  SmallVector<dist::ShardDim> cutShards = shards;
  SmallVector<int64_t> cutShape = shape;
  cutShards[dim] = output;
  cutShape[dim] = outputCapacity;
  cutShards.insert(cutShards.begin() + dim + 1, places);
  cutShape.insert(cutShape.begin() + dim + 1, spatial.places);
  RankedTensorType cutType =
      tensorOf(type.getElementType(), cutShape, cutShards);
  Value windows;
  for (int64_t shift : neededShifts(shards[dim], output, spatial, mesh)) {
    LocalBuild along(b.builder, b.loc, shards[dim].axes);
    Traveller part(along, x, dim);
    if (shift != 0)
      part.moveTo(shift);
    Value taken = TakeOp::create(b.builder, b.loc, cutType, part.value, index,
                                 static_cast<uint64_t>(dim));
    windows = windows ? b.add(windows, taken) : taken;
  }
  shards[dim] = output;
  shards[dim].size *= spatial.places;
  if (!output.axes.empty())
    shards[dim].unit *= spatial.places;
  shape[dim] = outputCapacity * spatial.places;
  return ReshapeOp::create(b.builder, b.loc,
                           tensorOf(type.getElementType(), shape, shards),
                           windows);
}

} // namespace

std::vector<SplitProgram> ConvOp::getSplitPrograms() {
  std::vector<SplitProgram> programs;
  RankedTensorType input = getInput().getType();
  SmallVector<int64_t> x = dist::getLogicalShape(input),
                       y = dist::getLogicalShape(getOutput().getType());
  for (unsigned i = 0, e = input.getRank() - 2; i < e; ++i) {
    if (spatialOf(*this, i).isTrivial(x[2 + i], y[2 + i]))
      continue; // it has a signature
    SplitProgram &program = programs.emplace_back();
    program.name = halo.str();
    program.operands = {AxisLayout::split(2 + i), AxisLayout::broadcast()};
    program.results = {AxisLayout::split(2 + i)};
    // The shards of both neighbours.
    ProgramMessage message;
    message.kind = Kind::Exchange;
    message.bytes = bytesOf(input);
    program.messages.assign(2, message);
  }
  return programs;
}

SmallVector<Value> ConvOp::emitSplitProgram(OpBuilder &builder,
                                            ValueRange operands,
                                            TypeRange resultTypes,
                                            ArrayRef<int64_t> axes,
                                            dist::MeshAttr mesh, StringRef) {
  LocalBuild b(builder, getLoc(), axes);
  Value x = operands[0];
  auto outputType = cast<RankedTensorType>(resultTypes[0]);
  SmallVector<dist::ShardDim> outputs = shardsOf(outputType);
  SmallVector<int64_t> strides(getStrides()), dilations(getDilations()),
      low(getLow()), high(getHigh());
  for (unsigned i = 0, e = strides.size(); i < e; ++i) {
    dist::ShardDim input = shardsOf(Build::typeOf(x))[2 + i];
    if (llvm::none_of(input.axes, [&](int64_t axis) {
          return llvm::is_contained(axes, axis);
        }))
      continue;
    if (input.axes != outputs[2 + i].axes) {
      emitOpError("expects input and output to be split alike over spatial "
                  "dimension ")
          << i << ", got " << x.getType() << " and " << outputType;
      return {};
    }
    Spatial spatial = spatialOf(*this, i);
    x = cutIntoWindows(b, x, i, outputs[2 + i], outputType.getDimSize(2 + i),
                       spatial, mesh);
    strides[i] = spatial.places;
    dilations[i] = 1;
    low[i] = high[i] = 0;
  }
  return {ConvOp::create(builder, getLoc(), outputType, x, operands[1], strides,
                         dilations, low, high, getGroups())};
}
