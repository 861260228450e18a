// SPDX-License-Identifier: Apache-2.0
#include "compiler/Sharding/ShardedBlock.h"

#include "mlir/IR/Verifier.h"

#include <cmath>

using namespace mlir;
using namespace weir;
using namespace weir::compiler;
using dist::AxisLayout;
using dist::Reduction;

namespace {

/// A number in [-1, 1] of a position and a stream; fixed by splitmix64.
double number(uint64_t stream, uint64_t i) {
  uint64_t z = (stream * 1000003 + i + 1) * 0x9e3779b97f4a7c15ull;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return double((z ^ (z >> 31)) >> 11) / double(1ull << 52) - 1.0;
}

double combine(Reduction reduction, double a, double b) {
  if (std::isnan(a) || std::isnan(b))
    return NAN;
  return reduction == Reduction::Sum   ? a + b
         : reduction == Reduction::Max ? std::max(a, b)
                                       : std::min(a, b);
}

/// The run of `size` elements, handed out `unit` at a time, that coordinate
/// `part` of `parts` holds: offset and extent.
std::pair<int64_t, int64_t> runOf(int64_t size, int64_t unit, int64_t parts,
                                  int64_t part) {
  int64_t atoms = size / unit, longer = atoms % parts;
  int64_t offset = atoms / parts * part + std::min(part, longer);
  int64_t extent = atoms / parts + (part < longer ? 1 : 0);
  return {offset * unit, extent * unit};
}

RankedTensorType typeOf(Value value) {
  return cast<RankedTensorType>(value.getType());
}

} // namespace

ShardedBlock::ShardedBlock(Block &block, ValueRange results,
                           dist::MeshAttr mesh, const ProofOptions &options,
                           Dataset dataset)
    : block(block), results(results.begin(), results.end()), mesh(mesh),
      options(options) {
  scratch.emplaceBlock();
  for (int64_t rank = 0; rank < mesh.getNumRanks(); ++rank)
    points.push_back(pointOfRank(mesh, rank));
  for (BlockArgument argument : block.getArguments())
    whole[0][argument] = whole[1][argument] = makeArgument(argument, dataset);
  for (bool byPieces : {false, true})
    for (Operation &op : block) {
      if (op.hasTrait<OpTrait::IsTerminator>())
        continue;
      std::vector<RankTensors> operands, values;
      for (Value operand : op.getOperands())
        operands.push_back({whole[byPieces].find(operand)->second});
      SmallVector<const RankTensors *> in;
      for (const RankTensors &operand : operands)
        in.push_back(&operand);
      if (!evaluate(&op, MeshPoint(), in, byPieces, values)) {
        error = op.getName().getStringRef().str() + " does not run unsplit";
        return;
      }
      for (auto [result, value] : llvm::zip_equal(op.getResults(), values))
        whole[byPieces][result] = value[0];
    }
}

ShardedBlock::~ShardedBlock() {
  // Arguments of the ops in `scratch` are its block's: uses go first.
  Block &ops = scratch.front();
  while (!ops.empty())
    ops.back().erase();
}

Tensor ShardedBlock::makeArgument(BlockArgument argument,
                                  Dataset dataset) const {
  RankedTensorType type = typeOf(argument);
  ElementKind kind = *elementKindOf(type.getElementType());
  Tensor tensor = Tensor::zeros(kind, type.getShape());
  uint64_t stream =
      options.seed * 1009 + dataset * 997 + argument.getArgNumber() + 1;
  int64_t choices = options.integersTo - options.integersFrom;
  for (int64_t i = 0; i < tensor.size(); ++i) {
    double v = number(stream, i);
    if (kind == ElementKind::Float) {
      // Nothing near 0: quotients stay small enough to compare.
      double x = dataset == Positive ? 0.1 + 0.95 * (v + 1)
                                     : 2.5 * v + (v < 0 ? -0.1 : 0.1);
      if (dataset == Special && i % 5 == 2)
        x = 0;
      if (dataset == Special && i % 7 == 3)
        x = NAN;
      tensor.floats[i] = x;
    } else if (kind == ElementKind::I1) {
      // A scalar, which all depends on, is true and false.
      tensor.ints[i] = tensor.rank() == 0 ? dataset != Positive : v > 0;
    } else {
      tensor.ints[i] =
          options.integersFrom +
          std::min(choices - 1, int64_t((v + 1) / 2 * double(choices)));
      if (dataset == Special && i % 5 == 4)
        tensor.ints[i] = -1; // no index at all
    }
  }
  return tensor;
}

RankedTensorType ShardedBlock::localType(Value value,
                                         const AxisLayouts &layouts) const {
  AxisLayouts splits(layouts);
  for (AxisLayout &layout : splits)
    if (!layout.isSplit())
      layout = AxisLayout::broadcast();
  return dist::getLocalType(
      typeOf(value), dist::LayoutAttr::get(mesh.getContext(), splits), mesh);
}

Tensor ShardedBlock::shardOf(const Tensor &tensor, const AxisLayouts &layouts,
                             size_t rank) const {
  SmallVector<int64_t> shape(tensor.shape), offsets(shape.size(), 0);
  for (auto [axis, layout] : llvm::enumerate(layouts)) {
    if (!layout.isSplit())
      continue;
    auto [offset, extent] =
        runOf(shape[layout.dim], layout.unit, mesh.getSizes()[axis],
              points[rank].coordinates[axis]);
    offsets[layout.dim] += offset;
    shape[layout.dim] = extent;
  }
  Tensor out = Tensor::zeros(tensor.kind, shape);
  auto strides = rowMajorStrides(tensor.shape);
  if (out.size() == 0)
    return out;
  SmallVector<int64_t> index(shape.size(), 0);
  int64_t i = 0;
  do {
    int64_t at = 0;
    for (size_t d = 0; d < index.size(); ++d)
      at += (index[d] + offsets[d]) * strides[d];
    out.set(i++, tensor, at);
  } while (nextIndex(index, shape));
  return out;
}

std::vector<Tensor> ShardedBlock::termsOf(const Tensor &tensor,
                                          Reduction reduction, int64_t parts,
                                          uint64_t stream) const {
  std::vector<Tensor> terms(parts, tensor);
  for (int64_t i = 0; i < tensor.size(); ++i) {
    double rest = tensor.at(i);
    auto holder = int64_t((number(stream * 53 + 7, i) + 1) / 2 * 1e6) % parts;
    for (int64_t p = 0; p < parts; ++p) {
      double term = rest;
      if (reduction == Reduction::Sum) {
        if (p + 1 < parts)
          term = number(stream * 31 + p, i);
        if (!tensor.isFloat())
          term = std::floor(term * (p + 1 < parts ? 3 : 1));
        rest -= term;
      } else if (p != holder) {
        double away = reduction == Reduction::Max ? -1 : 1;
        term += away * (tensor.isFloat() ? 1 + number(stream, i) : 1);
        // What an empty shard holds.
        if (number(stream * 59 + p, i) > 0.3)
          term = away * (tensor.isFloat() ? INFINITY : 0x1p31);
      }
      if (tensor.isFloat())
        terms[p].floats[i] = term;
      else
        terms[p].ints[i] = std::min<int64_t>(int64_t(term), INT32_MAX);
    }
  }
  return terms;
}

const RankTensors &ShardedBlock::getShards(BlockArgument argument,
                                           const AxisLayouts &layouts) {
  std::string key;
  llvm::raw_string_ostream os(key);
  llvm::interleaveComma(layouts, os);
  auto [it, isNew] = shards.try_emplace({argument.getArgNumber(), os.str()});
  if (!isNew)
    return it->second;
  for (size_t rank = 0; rank < points.size(); ++rank) {
    Tensor held = whole[0].find(argument)->second;
    uint64_t stream = argument.getArgNumber() + 1;
    for (auto [axis, layout] : llvm::enumerate(layouts)) {
      int64_t coordinate = points[rank].coordinates[axis];
      if (!layout.isPartial())
        continue;
      held = termsOf(held, layout.reduction, mesh.getSizes()[axis],
                     stream)[coordinate];
      stream = stream * 37 + coordinate;
    }
    it->second.push_back(shardOf(held, layouts, rank));
  }
  return it->second;
}

Operation *ShardedBlock::getLocal(Operation *op, ArrayRef<Type> operands,
                                  ArrayRef<Type> resultTypes) {
  SmallVector<const void *> key = {op};
  for (Type type : operands)
    key.push_back(type.getAsOpaquePointer());
  for (Type type : resultTypes)
    key.push_back(type.getAsOpaquePointer());
  auto [it, isNew] =
      locals.try_emplace(StringRef(reinterpret_cast<const char *>(key.data()),
                                   key.size() * sizeof(key[0])),
                         nullptr);
  if (!isNew)
    return it->second;
  OpBuilder builder(op->getContext());
  builder.setInsertionPointToEnd(&scratch.front());
  Operation *local = builder.clone(*op);
  SmallVector<Value> values;
  for (Type type : operands)
    values.push_back(scratch.front().addArgument(type, op->getLoc()));
  local->setOperands(values);
  for (auto [result, type] : llvm::zip_equal(local->getResults(), resultTypes))
    result.setType(type);
  // A constant's value is of its type: of a splat in any shape.
  if (op->getNumOperands() == 0)
    if (auto elements = op->getAttrOfType<DenseElementsAttr>("value"))
      if (elements.isSplat())
        local->setAttr("value",
                       elements.resizeSplat(cast<ShapedType>(resultTypes[0])));
  bool valid = succeeded(verify(local));
  if (!valid) {
    local->erase();
    local = nullptr;
  }
  it->second = local;
  return local;
}

bool ShardedBlock::evaluate(Operation *local, ArrayRef<MeshPoint> at,
                            ArrayRef<const RankTensors *> in, bool byPieces,
                            std::vector<RankTensors> &out) {
  out.assign(local->getNumResults(), {});
  Block pieces;
  SmallVector<Value> wanted;
  auto expandable = dyn_cast<graph::ExpandOpInterface>(local);
  byPieces &= static_cast<bool>(expandable);
  if (byPieces) {
    for (Value operand : local->getOperands())
      pieces.addArgument(operand.getType(), local->getLoc());
    OpBuilder builder(local->getContext());
    builder.setInsertionPointToEnd(&pieces);
    wanted = expandable.expand(builder, pieces.getArguments());
  }
  bool runs = true;
  for (size_t rank = 0; rank < at.size() && runs; ++rank) {
    std::vector<Tensor> operands;
    for (const RankTensors *values : in)
      operands.push_back((*values)[rank]);
    auto values =
        byPieces
            ? evaluateBlock(pieces, operands, wanted, Precision::F64, at[rank])
            : evaluateOp(local, operands, Precision::F64, at[rank]);
    runs = succeeded(values);
    if (runs)
      for (auto [i, value] : llvm::enumerate(*values))
        out[i].push_back(std::move(value));
  }
  while (!pieces.empty())
    pieces.back().erase();
  return runs;
}

bool ShardedBlock::run(ArrayRef<AxisLayouts> arguments,
                       ArrayRef<AxisLayouts> wanted, bool byPieces,
                       Visitor visit) {
  layouts.clear();
  tensors.clear();
  for (auto [argument, layout] :
       llvm::zip_equal(block.getArguments(), arguments)) {
    layouts[argument] = layout;
    tensors[argument] = getShards(argument, layout);
  }
  // Assignments that do not fit an op are what is looked for: no message.
  ScopedDiagnosticHandler quiet(mesh.getContext(),
                                [](Diagnostic &) { return success(); });
  return runFrom(block.empty() ? nullptr : &block.front(), wanted, byPieces,
                 visit);
}

bool ShardedBlock::runFrom(Operation *op, ArrayRef<AxisLayouts> wanted,
                           bool byPieces, Visitor visit) {
  if (!op || op->hasTrait<OpTrait::IsTerminator>()) {
    SmallVector<AxisLayouts> types;
    SmallVector<const RankTensors *> held;
    for (Value result : results) {
      AxisLayouts splits = layouts.find(result)->second;
      for (AxisLayout &layout : splits)
        if (layout.isPartial()) // an argument that is returned
          layout = AxisLayout::broadcast();
      types.push_back(splits);
      held.push_back(&tensors.find(result)->second);
    }
    return visit(types, held);
  }
  SmallVector<Type> operandTypes;
  for (Value operand : op->getOperands())
    operandTypes.push_back(localType(operand, layouts.find(operand)->second));
  SmallVector<SmallVector<AxisLayouts>> choices;
  for (Value result : op->getResults()) {
    choices.emplace_back();
    for (auto [i, value] : llvm::enumerate(results))
      if (value == result && !wanted.empty())
        choices.back().assign(1, wanted[i]);
    if (choices.back().empty())
      choices.back() = splitsOf(typeOf(result));
  }
  SmallVector<int64_t> digits(choices.size(), 0), sizes;
  for (auto &list : choices)
    sizes.push_back(list.size());
  do {
    SmallVector<Type> resultTypes;
    for (auto [i, result] : llvm::enumerate(op->getResults()))
      resultTypes.push_back(localType(result, choices[i][digits[i]]));
    Operation *local = getLocal(op, operandTypes, resultTypes);
    if (!local)
      continue;
    SmallVector<const RankTensors *> in;
    for (Value operand : op->getOperands())
      in.push_back(&tensors.find(operand)->second);
    std::vector<RankTensors> out;
    if (!evaluate(local, points, in, byPieces, out))
      continue;
    for (auto [i, result] : llvm::enumerate(op->getResults())) {
      layouts[result] = choices[i][digits[i]];
      tensors[result] = std::move(out[i]);
    }
    if (runFrom(op->getNextNode(), wanted, byPieces, visit))
      return true;
  } while (nextIndex(digits, sizes));
  return false;
}

std::string ShardedBlock::compare(Value value, const RankTensors &have,
                                  const AxisLayouts &axes,
                                  bool byPieces) const {
  const Tensor &want = whole[byPieces].find(value)->second;
  SmallVector<unsigned> partial;
  for (auto [axis, layout] : llvm::enumerate(axes))
    if (layout.isPartial())
      partial.push_back(axis);
  SmallVector<int64_t> strides(points[0].coordinates.size(), 1);
  for (int axis = int(strides.size()) - 2; axis >= 0; --axis)
    strides[axis] = strides[axis + 1] * mesh.getSizes()[axis + 1];
  // The reduction over the partial axes from `p` on, the last one innermost.
  auto reduced = [&](auto &&self, size_t rank, size_t p, int64_t i) -> double {
    if (p == partial.size())
      return have[rank].at(i);
    unsigned axis = partial[p];
    size_t base = rank - size_t(points[rank].coordinates[axis] * strides[axis]);
    double value = 0;
    for (int64_t c = 0; c < mesh.getSizes()[axis]; ++c) {
      double term = self(self, base + size_t(c * strides[axis]), p + 1, i);
      value = c == 0 ? term : combine(axes[axis].reduction, value, term);
    }
    return value;
  };
  for (size_t rank = 0; rank < points.size(); ++rank) {
    Tensor goal = shardOf(want, axes, rank);
    if (have[rank].shape != goal.shape)
      return "has a shard of another shape";
  }
  for (size_t rank = 0; rank < points.size(); ++rank) {
    Tensor goal = shardOf(want, axes, rank);
    for (int64_t i = 0; i < goal.size(); ++i) {
      double got = reduced(reduced, rank, 0, i), wanted = goal.at(i);
      bool same =
          std::isnan(got) || std::isnan(wanted)
              ? std::isnan(got) == std::isnan(wanted)
              : got == wanted ||
                    // Sums in another order: a few units in the last
                    // place of terms of the size of 10.
                    std::abs(got - wanted) <= 1e-12 * (1 + std::abs(wanted));
      if (!same)
        return "differs at rank " + std::to_string(rank) + ", element " +
               std::to_string(i) + ": " + std::to_string(got) + " for " +
               std::to_string(wanted);
    }
  }
  return "";
}

AxisLayout ShardedBlock::canonical(const AxisLayout &layout,
                                   RankedTensorType type) const {
  if (!layout.isSplit())
    return layout;
  int64_t size = type.getDimSize(layout.dim), parts = mesh.getSizes()[0];
  for (int64_t unit = 1; unit < layout.unit; ++unit) {
    if (size % unit != 0)
      continue;
    bool same = true;
    for (int64_t part = 0; part < parts && same; ++part)
      same = runOf(size, unit, parts, part) ==
             runOf(size, layout.unit, parts, part);
    if (same)
      return AxisLayout::split(layout.dim, unit);
  }
  return layout;
}

SmallVector<AxisLayouts> ShardedBlock::splitsOf(RankedTensorType type) const {
  SmallVector<AxisLayout> one = {AxisLayout::broadcast()};
  for (int64_t d = 0; d < type.getRank(); ++d) {
    one.push_back(AxisLayout::split(d));
    int64_t size = type.getDimSize(d);
    for (int64_t unit = 2; options.units && unit < size; ++unit)
      if (size % unit == 0 &&
          canonical(AxisLayout::split(d, unit), type).unit == unit)
        one.push_back(AxisLayout::split(d, unit));
  }
  SmallVector<AxisLayouts> all;
  SmallVector<int64_t> digits(mesh.getNumAxes(), 0),
      sizes(mesh.getNumAxes(), one.size());
  do {
    AxisLayouts layouts;
    for (int64_t digit : digits)
      layouts.push_back(one[digit]);
    all.push_back(layouts);
  } while (nextIndex(digits, sizes));
  return all;
}
