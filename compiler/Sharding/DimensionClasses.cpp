// SPDX-License-Identifier: Apache-2.0
#include "compiler/Sharding/DimensionClasses.h"
#include "compiler/Sharding/PieceRules.h"

#include <numeric>

using namespace mlir;
using namespace weir;
using namespace weir::compiler;
using dist::AxisLayout;

DimensionClasses::DimensionClasses(Block &block, dist::MeshAttr mesh)
    : mesh(mesh) {
  for (BlockArgument argument : block.getArguments())
    addValue(argument);
  for (Operation &op : block)
    for (Value result : op.getResults())
      addValue(result);
  for (Operation &op : block)
    if (auto generic = dyn_cast<kernel::GenericOp>(op)) {
      loopNodes[&op] = parent.size();
      for (unsigned i = 0, e = generic.getNumLoops(); i < e; ++i)
        addNode();
    }
  for (Operation &op : block)
    PieceRules::get().lookup(&op).classify(&op, *this);
}

unsigned DimensionClasses::addNode() {
  parent.push_back(parent.size());
  restricted.push_back(false);
  members.push_back({Value(), 0});
  return parent.size() - 1;
}

void DimensionClasses::addValue(Value value) {
  firstNode[value] = parent.size();
  for (int64_t d = 0, e = rankOf(value); d < e; ++d)
    members[addNode()] = {value, d};
}

void DimensionClasses::unify(unsigned a, unsigned b) {
  a = find(a);
  b = find(b);
  if (a == b)
    return;
  if (b < a)
    std::swap(a, b);
  parent[b] = a;
  restricted[a] = restricted[a] || restricted[b];
}

void DimensionClasses::restrictAll(Value value) {
  for (int64_t d = 0, e = rankOf(value); d < e; ++d)
    restrict(node(value, d));
}

DimShape DimensionClasses::shapeOf(Value value, int64_t dim) const {
  auto type = cast<RankedTensorType>(value.getType());
  DimShape shape;
  shape.local = shape.logical = type.getDimSize(dim);
  if (auto shard = dyn_cast_or_null<dist::ShardAttr>(type.getEncoding())) {
    const dist::ShardDim &known = shard.getDims()[dim];
    shape.logical = known.size;
    shape.axes = known.axes;
    shape.unit = known.unit;
    int64_t parts = 1;
    for (int64_t axis : shape.axes)
      parts *= mesh ? mesh.getSizes()[axis] : 1;
    shape.even = shape.local * parts == shape.logical;
  }
  return shape;
}

// Walks both shapes from the front and closes a group as soon as the products
// agree. A group of one dimension on each side is one index. In any other the
// leading dimensions may be split together where every rank then holds the same
// run of elements on both sides: in atoms, or where the axis divides both. A
// dimension whose shards differ in length may lead a group only if the other
// side's leading dimension is split into as many atoms by the same axes.
void DimensionClasses::unifyReshape(Value input, Value output) {
  int64_t i = 0, j = 0, n = rankOf(input), m = rankOf(output);
  auto restrictRest = [&] {
    for (; i < n; ++i)
      restrict(node(input, i));
    for (; j < m; ++j)
      restrict(node(output, j));
  };
  while (i < n || j < m) {
    // Dimensions of size 1 stand alone.
    if (i < n && shapeOf(input, i).logical == 1 &&
        !(j < m && shapeOf(output, j).logical == 1)) {
      restrict(node(input, i++));
      continue;
    }
    if (j < m && shapeOf(output, j).logical == 1 &&
        !(i < n && shapeOf(input, i).logical == 1)) {
      restrict(node(output, j++));
      continue;
    }
    if (i >= n || j >= m)
      return restrictRest();
    DimShape in = shapeOf(input, i), out = shapeOf(output, j);
    if (in.matches(out)) {
      unify(node(input, i++), node(output, j++));
      continue;
    }
    int64_t firstIn = i, firstOut = j;
    bool even = (in.even && out.even) ||
                (in.even == out.even && in.axes == out.axes &&
                 in.logical / in.unit == out.logical / out.unit);
    int64_t inProduct = in.local, outProduct = out.local;
    ++i;
    ++j;
    while (inProduct != outProduct && even) {
      if (inProduct < outProduct ? i >= n : j >= m)
        break;
      bool fromInput = inProduct < outProduct;
      DimShape next = fromInput ? shapeOf(input, i++) : shapeOf(output, j++);
      even &= next.even;
      (fromInput ? inProduct : outProduct) *= next.local;
    }
    if (!even || inProduct != outProduct) {
      i = firstIn;
      j = firstOut;
      return restrictRest();
    }
    auto leading = [&](Value value, int64_t begin, int64_t end) {
      for (int64_t d = begin; d < end; ++d)
        if (shapeOf(value, d).local != 1)
          return d;
      return begin;
    };
    int64_t leadIn = leading(input, firstIn, i),
            leadOut = leading(output, firstOut, j);
    for (int64_t d = firstIn; d < i; ++d)
      if (d != leadIn)
        restrict(node(input, d));
    for (int64_t d = firstOut; d < j; ++d)
      if (d != leadOut)
        restrict(node(output, d));
    unify(node(input, leadIn), node(output, leadOut));
  }
}

SmallVector<unsigned> DimensionClasses::getClasses(ValueRange values) const {
  SmallVector<unsigned> classes;
  for (Value value : values)
    for (int64_t d = 0, e = rankOf(value); d < e; ++d) {
      unsigned root = find(node(value, d));
      if (!restricted[root] && !llvm::is_contained(classes, root))
        classes.push_back(root);
    }
  return classes;
}

ClassShape DimensionClasses::shapeOfClass(unsigned root) const {
  ClassShape shape;
  int64_t fixed = 0; // atoms of the members that are split already
  bool agree = true, allEven = true;
  for (auto [n, member] : llvm::enumerate(members)) {
    if (!member.first || find(n) != root)
      continue;
    DimShape dim = shapeOf(member.first, member.second);
    int64_t count = dim.local / dim.unit;
    shape.uniform &= shape.plainAtoms == 0 || shape.plainAtoms == count;
    shape.plainAtoms = std::gcd(shape.plainAtoms, count);
    shape.atoms = std::gcd(shape.atoms, dim.local);
    allEven &= dim.even;
    if (!dim.isSplit())
      continue;
    agree &= fixed == 0 || fixed == count;
    fixed = count;
  }
  if (fixed > 0) {
    agree &= shape.atoms % fixed == 0;
    shape.atoms = fixed;
  }
  shape.allowsPlain = shape.uniform || allEven;
  shape.allowsAtoms = agree && (shape.uniform || allEven);
  shape.fixed = fixed > 0;
  return shape;
}

std::optional<AxisLayout> DimensionClasses::layoutIn(Value value, unsigned root,
                                                     int64_t atoms) const {
  int64_t dim = -1;
  for (int64_t d = 0, e = rankOf(value); d < e; ++d) {
    if (find(node(value, d)) != root)
      continue;
    if (dim >= 0)
      return std::nullopt;
    dim = d;
  }
  if (dim < 0)
    return AxisLayout::broadcast();
  DimShape shape = shapeOf(value, dim);
  return AxisLayout::split(dim, atoms > 0 ? shape.local / atoms : shape.unit);
}

bool DimensionClasses::carries(Value value, unsigned root) const {
  for (int64_t d = 0, e = rankOf(value); d < e; ++d)
    if (find(node(value, d)) == root)
      return true;
  return false;
}
