// SPDX-License-Identifier: Apache-2.0
#include "compiler/Memory/Contraction.h"

#include "llvm/ADT/Sequence.h"

using namespace mlir;

namespace weir::compiler {

namespace {

bool sameEverywhere(const dist::ShardDim &dim, dist::MeshAttr mesh) {
  int64_t size = dim.size / dim.unit;
  for (int64_t axis : dim.axes) {
    int64_t parts = mesh.getSizes()[axis];
    if (size % parts != 0)
      return false;
    size /= parts;
  }
  return true;
}

/// Merges loops that are one in memory. Sorted by the stride in `primary`,
/// outermost first, so that neighbours are candidates.
llvm::SmallVector<ContractLoop> merge(llvm::ArrayRef<ContractLoop> group,
                                      int primary) {
  auto order = llvm::to_vector(llvm::seq<size_t>(0, group.size()));
  llvm::sort(order, [&](size_t a, size_t b) {
    return std::make_pair(-group[a].strides[primary], a) <
           std::make_pair(-group[b].strides[primary], b);
  });
  llvm::SmallVector<ContractLoop> merged;
  for (size_t i : order) {
    const ContractLoop &inner = group[i];
    bool contiguous =
        !merged.empty() && merged.back().constant && inner.constant;
    for (int o = 0; contiguous && o < 3; ++o)
      contiguous =
          merged.back().strides[o] == inner.strides[o] * inner.capacity;
    if (!contiguous) {
      merged.push_back(inner);
      continue;
    }
    ContractLoop &outer = merged.back();
    outer.capacity *= inner.capacity;
    outer.dim = {outer.capacity, {}};
    outer.strides = inner.strides;
  }
  return merged;
}

/// Takes the largest loop out of a group; among equals the innermost.
ContractLoop takeLargest(llvm::SmallVector<ContractLoop> &group) {
  size_t best = 0;
  for (size_t i = 1; i < group.size(); ++i)
    if (group[i].capacity >= group[best].capacity)
      best = i;
  ContractLoop loop = group[best];
  group.erase(group.begin() + best);
  return loop;
}

/// A loop of one iteration, with a stride that makes the other of the operand's
/// two dims the unit or the leading one.
int64_t unitStride(const ContractLoop *other, int operand) {
  if (!other)
    return 1;
  return other->strides[operand] == 1 ? std::max<int64_t>(other->capacity, 1)
                                      : 1;
}

} // namespace

ContractNest collapseContraction(unsigned numLoops,
                                 const std::array<ContractOperand, 3> &operands,
                                 dist::MeshAttr mesh) {
  llvm::SmallVector<ContractLoop> loops(numLoops);
  llvm::SmallVector<unsigned> present(numLoops, 0);
  for (int i = 0; i < 3; ++i) {
    const ContractOperand &operand = operands[i];
    auto shard =
        llvm::dyn_cast_or_null<dist::ShardAttr>(operand.type.getEncoding());
    for (auto [dim, loop] : llvm::enumerate(operand.loops)) {
      ContractLoop &l = loops[loop];
      if (!present[loop]) {
        l.capacity = operand.type.getDimSize(dim);
        l.dim = shard ? shard.getDims()[dim] : dist::ShardDim{l.capacity, {}};
        l.constant = sameEverywhere(l.dim, mesh);
      }
      present[loop] |= 1u << i;
      l.strides[i] += operand.strides[dim];
    }
  }

  constexpr unsigned inA = 1, inB = 2, inC = 4;
  llvm::SmallVector<ContractLoop> m, n, k, batch;
  for (unsigned loop = 0; loop < numLoops; ++loop) {
    if (loops[loop].capacity == 1 && loops[loop].constant)
      continue;
    switch (present[loop]) {
    case inA | inC:
      m.push_back(loops[loop]);
      break;
    case inB | inC:
      n.push_back(loops[loop]);
      break;
    case inA | inB:
    case inA:
    case inB:
      k.push_back(loops[loop]);
      break;
    default:
      batch.push_back(loops[loop]);
    }
  }
  m = merge(m, 2);
  n = merge(n, 2);
  k = merge(k, 0);
  batch = merge(batch, 2);

  ContractNest nest;
  bool hasM = !m.empty(), hasN = !n.empty(), hasK = !k.empty();
  if (hasM)
    nest.m = takeLargest(m);
  if (hasN)
    nest.n = takeLargest(n);
  if (hasK)
    nest.k = takeLargest(k);
  if (!hasM) {
    nest.m.dim = {1, {}};
    nest.m.strides = {unitStride(hasK ? &nest.k : nullptr, 0), 0,
                      unitStride(hasN ? &nest.n : nullptr, 2)};
  }
  if (!hasN) {
    nest.n.dim = {1, {}};
    nest.n.strides = {0, unitStride(hasK ? &nest.k : nullptr, 1),
                      unitStride(&nest.m, 2)};
  }
  if (!hasK) {
    nest.k.dim = {1, {}};
    nest.k.strides = {unitStride(&nest.m, 0), unitStride(&nest.n, 1), 0};
  }
  for (auto *group : {&batch, &m, &n, &k})
    llvm::append_range(nest.loops, *group);
  return nest;
}

} // namespace weir::compiler
