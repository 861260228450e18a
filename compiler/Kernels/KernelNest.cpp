// SPDX-License-Identifier: Apache-2.0
#include "compiler/Kernels/KernelNest.h"

#include "llvm/ADT/SmallSet.h"

using namespace mlir;

namespace weir::compiler::nest {

KernelNest::KernelNest(kernel::FuncOp func, dist::MeshAttr mesh)
    : func(func), mesh(mesh) {
  scalars = func->getAttrOfType<ArrayAttr>(scalarsAttrName);
  if (!scalars)
    scalars = computeKernelScalars(func, mesh);
  for (auto list : func.getStrides().getAsRange<DenseI64ArrayAttr>())
    argumentStrides.push_back(list.asArrayRef());
}

bool KernelNest::isReduction(Operation *op) {
  auto generic = dyn_cast_or_null<kernel::GenericOp>(op);
  return generic && generic.getCombiner() != kernel::Combiner::None;
}

bool KernelNest::isMemory(Value value) {
  return isa<BlockArgument>(value) || value.getDefiningOp<kernel::ConstantOp>();
}

//===----------------------------------------------------------------------===//
// Loops: classes of dimensions that run together
//===----------------------------------------------------------------------===//

int KernelNest::node(const void *owner, unsigned number, const LocalDim &dim,
                     const void *exclusive) {
  auto [it, inserted] =
      nodeNumbers.insert({{owner, number}, int(nodes.size())});
  if (inserted) {
    Node node{int(nodes.size()), dim, {}};
    if (exclusive)
      node.members.push_back({exclusive, number});
    nodes.push_back(std::move(node));
  }
  return it->second;
}

int KernelNest::find(int node) {
  while (nodes[node].parent != node)
    node = nodes[node].parent = nodes[nodes[node].parent].parent;
  return node;
}

bool KernelNest::unite(int a, int b) {
  a = find(a);
  b = find(b);
  if (a == b)
    return true;
  if (!(nodes[a].dim == nodes[b].dim))
    return false;
  // Two loops of one piece (or dims of one value) are never one loop.
  for (auto &member : nodes[a].members)
    for (auto &other : nodes[b].members)
      if (member.first == other.first && member.second != other.second)
        return false;
  nodes[b].parent = a;
  nodes[a].members.append(nodes[b].members.begin(), nodes[b].members.end());
  return true;
}

LogicalResult KernelNest::unify() {
  Block &body = func.getBody().front();
  // Only what the results need.
  SmallVector<Operation *> stack = {body.getTerminator()};
  DenseSet<Operation *> seen;
  while (!stack.empty()) {
    Operation *op = stack.pop_back_val();
    if (!seen.insert(op).second)
      continue;
    for (Value operand : op->getOperands())
      if (Operation *def = operand.getDefiningOp())
        stack.push_back(def);
  }
  for (Operation &op : body)
    if (seen.contains(&op))
      live.insert(&op);

  auto dimNode = [&](Value value, unsigned dim) {
    auto type = cast<RankedTensorType>(value.getType());
    const void *key = value.getAsOpaquePointer();
    // Memory may be read through several maps.
    return node(key, dim, getLocalDim(type, dim),
                isMemory(value) ? nullptr : key);
  };
  auto loopNode = [&](kernel::GenericOp op, unsigned loop) {
    return node(op.getOperation(), loop, getLoopDim(op, loop),
                op.getOperation());
  };
  // Values computed here must agree; memory only if nothing speaks against it.
  for (bool memory : {false, true}) {
    auto link = [&](Operation *op, int a, Value value,
                    unsigned dim) -> LogicalResult {
      if (isMemory(value) != memory)
        return success();
      if (unite(a, dimNode(value, dim)) || memory)
        return success();
      return op->emitError("internal error: dimension ")
             << dim << " of a value inside kernel '" << func.getSymName()
             << "' cannot run in the same loop as its use";
    };
    for (Operation *op : live) {
      auto result =
          TypeSwitch<Operation *, LogicalResult>(op)
              .Case([&](kernel::GenericOp generic) -> LogicalResult {
                auto linkMap = [&](AffineMap map,
                                   Value value) -> LogicalResult {
                  for (auto [dim, expr] : llvm::enumerate(map.getResults()))
                    if (auto loop = dyn_cast<AffineDimExpr>(expr))
                      if (failed(link(op, loopNode(generic, loop.getPosition()),
                                      value, dim)))
                        return failure();
                  return success();
                };
                for (auto [i, value] : llvm::enumerate(generic.getInputs()))
                  if (failed(linkMap(generic.getInputMap(i), value)))
                    return failure();
                for (auto [i, value] : llvm::enumerate(generic.getOutputs()))
                  if (failed(linkMap(generic.getOutputMap(i), value)))
                    return failure();
                return success();
              })
              .Case([&](kernel::TransposeOp transpose) -> LogicalResult {
                for (auto [dim, from] :
                     llvm::enumerate(transpose.getPermutation()))
                  if (failed(link(op, dimNode(transpose.getOutput(), dim),
                                  transpose.getInput(), from)))
                    return failure();
                return success();
              })
              .Case<kernel::SliceOp, dist::LocalSliceOp, dist::PartialOp>(
                  [&](auto same) -> LogicalResult {
                    auto in = cast<RankedTensorType>(same.getInput().getType());
                    auto out =
                        cast<RankedTensorType>(same.getOutput().getType());
                    for (int64_t dim = 0; dim < in.getRank(); ++dim)
                      if (getLocalDim(in, dim) == getLocalDim(out, dim))
                        if (failed(link(op, dimNode(same.getOutput(), dim),
                                        same.getInput(), dim)))
                          return failure();
                    return success();
                  })
              .Case([&](kernel::ConcatOp concat) -> LogicalResult {
                for (Value part : concat.getInputs())
                  for (int64_t dim = 0;
                       dim < cast<RankedTensorType>(part.getType()).getRank();
                       ++dim)
                    if (dim != static_cast<int64_t>(concat.getDim()))
                      if (failed(link(op, dimNode(concat.getOutput(), dim),
                                      part, dim)))
                        return failure();
                return success();
              })
              .Case([&](kernel::GatherOp gather) -> LogicalResult {
                int64_t rank =
                    cast<RankedTensorType>(gather.getIndices().getType())
                        .getRank();
                int64_t total =
                    cast<RankedTensorType>(gather.getOutput().getType())
                        .getRank();
                for (int64_t dim = 0; dim < total; ++dim) {
                  Value value =
                      dim < rank ? gather.getIndices() : gather.getTable();
                  if (failed(link(op, dimNode(gather.getOutput(), dim), value,
                                  dim < rank ? dim : dim - rank + 1)))
                    return failure();
                }
                return success();
              })
              .Case([&](kernel::ScatterAddOp scatter) -> LogicalResult {
                int64_t rank =
                    cast<RankedTensorType>(scatter.getIndices().getType())
                        .getRank();
                int64_t total =
                    cast<RankedTensorType>(scatter.getUpdates().getType())
                        .getRank();
                for (int64_t dim = 0; dim < total; ++dim) {
                  // Loops over updates are nodes of the op itself.
                  int updateNode =
                      node(op, dim,
                           getLocalDim(cast<RankedTensorType>(
                                           scatter.getUpdates().getType()),
                                       dim),
                           op);
                  if (failed(link(op, updateNode, scatter.getUpdates(), dim)))
                    return failure();
                  if (dim < rank) {
                    if (failed(link(op, updateNode, scatter.getIndices(), dim)))
                      return failure();
                  } else if (failed(link(op, updateNode, scatter.getOutput(),
                                         dim - rank + 1))) {
                    return failure();
                  }
                }
                return success();
              })
              .Case<kernel::ConstantOp, kernel::YieldOp>(
                  [](auto) { return success(); })
              .Default([&](Operation *other) -> LogicalResult {
                return other->emitError("internal error: '")
                       << other->getName() << "' inside kernel '"
                       << func.getSymName()
                       << "' has no code; kernel formation makes it a view or "
                          "a launch";
              });
      if (failed(result))
        return failure();
    }
  }
  return success();
}

int KernelNest::loopOfClass(int root) {
  auto [it, inserted] = classNumbers.insert({root, int(loops.size())});
  if (inserted) {
    Loop loop;
    loop.dim = nodes[root].dim;
    loop.trivial = loop.dim.capacity == 1 && !loop.dim.isSplit();
    loops.push_back(loop);
  }
  return it->second;
}

int KernelNest::loopOf(Value value, unsigned dim) {
  auto type = cast<RankedTensorType>(value.getType());
  const void *key = value.getAsOpaquePointer();
  return loopOfClass(find(
      node(key, dim, getLocalDim(type, dim), isMemory(value) ? nullptr : key)));
}

int KernelNest::loopOf(kernel::GenericOp op, unsigned number) {
  return loopOfClass(find(node(op.getOperation(), number,
                               getLoopDim(op, number), op.getOperation())));
}

//===----------------------------------------------------------------------===//
// Indices
//===----------------------------------------------------------------------===//

int KernelNest::findScalar(Attribute scalar) const {
  for (auto [index, attr] : llvm::enumerate(scalars))
    if (attr == scalar)
      return index;
  return -1;
}

int KernelNest::findScalar(const dist::ShardDim &dim, ScalarKind kind) const {
  return findScalar(
      getScalar(const_cast<KernelNest *>(this)->func.getContext(), dim, kind));
}

SmallVector<int64_t> KernelNest::stridesOf(Value memory) const {
  if (auto argument = dyn_cast<BlockArgument>(memory))
    return llvm::to_vector(argumentStrides[argument.getArgNumber()]);
  auto shape = cast<RankedTensorType>(memory.getType()).getShape();
  SmallVector<int64_t> strides(shape.size(), 1);
  for (int64_t dim = int64_t(shape.size()) - 2; dim >= 0; --dim)
    strides[dim] = strides[dim + 1] * shape[dim + 1];
  return strides;
}

SmallVector<IndexExpr> KernelNest::loopIndices(kernel::GenericOp op,
                                               unsigned result,
                                               const Index &index) {
  SmallVector<IndexExpr> loops(op.getNumLoops());
  for (auto [dim, expr] : llvm::enumerate(op.getOutputMap(result).getResults()))
    loops[cast<AffineDimExpr>(expr).getPosition()] = index[dim];
  return loops;
}

Index KernelNest::mapIndex(AffineMap map, ArrayRef<IndexExpr> loops) {
  Index index;
  for (AffineExpr expr : map.getResults()) {
    if (auto dim = dyn_cast<AffineDimExpr>(expr)) {
      index.push_back(loops[dim.getPosition()]);
    } else {
      IndexExpr constant;
      constant.offset = cast<AffineConstantExpr>(expr).getValue();
      index.push_back(constant);
    }
  }
  return index;
}

Index KernelNest::operandIndex(Operation *op, const Index &index) const {
  Index result = index;
  if (auto transpose = dyn_cast<kernel::TransposeOp>(op)) {
    for (auto [dim, from] : llvm::enumerate(transpose.getPermutation()))
      result[from] = index[dim];
  } else if (auto slice = dyn_cast<kernel::SliceOp>(op)) {
    for (auto [dim, offset] : llvm::enumerate(slice.getOffsets()))
      result[dim].offset += offset;
  } else if (auto slice = dyn_cast<dist::LocalSliceOp>(op)) {
    int64_t dim = slice.getDim();
    LocalDim in =
        getLocalDim(cast<RankedTensorType>(slice.getInput().getType()), dim);
    LocalDim out =
        getLocalDim(cast<RankedTensorType>(slice.getOutput().getType()), dim);
    result[dim].shifts.push_back({findScalar(out.dim, ScalarKind::Offset), 1});
    if (in.isSplit())
      result[dim].shifts.push_back(
          {findScalar(in.dim, ScalarKind::Offset), -1});
  }
  return result;
}

//===----------------------------------------------------------------------===//
// Roots
//===----------------------------------------------------------------------===//

LogicalResult
KernelNest::walk(Root &root, Value value, const Index &index,
                 std::set<std::pair<const void *, Index>> &visited) {
  if (!visited.insert({value.getAsOpaquePointer(), index}).second)
    return success();
  if (isMemory(value)) {
    root.accesses.push_back({value, index});
    return success();
  }
  Operation *op = value.getDefiningOp();
  if (isReduction(op) || isa<kernel::ScatterAddOp>(op)) {
    root.deps.insert(op);
    for (auto [dim, expr] : llvm::enumerate(index)) {
      IndexExpr expected;
      expected.loop = loopOf(value, dim);
      if (!(expr == expected))
        return op->emitError("internal error: a reduction inside kernel '")
               << func.getSymName()
               << "' is read at another index than it is computed at";
    }
    return success();
  }
  root.pulled.insert(op);
  if (auto generic = dyn_cast<kernel::GenericOp>(op)) {
    SmallVector<IndexExpr> indices =
        loopIndices(generic, cast<OpResult>(value).getResultNumber(), index);
    generic.getBodyBlock()->walk([&](Operation *inner) {
      if (auto loop = dyn_cast<kernel::IndexOp>(inner)) {
        int number = indices[loop.getLoop()].loop;
        if (number >= 0)
          loops[number].indexUsed = true;
      }
      if (isa<math::ExpOp, math::LogOp, math::TanhOp, math::ErfOp, math::SinOp,
              math::CosOp, math::PowFOp, kernel::RandomOp>(inner))
        root.expensive = true;
    });
    for (auto [i, input] : llvm::enumerate(generic.getInputs()))
      if (failed(walk(root, input, mapIndex(generic.getInputMap(i), indices),
                      visited)))
        return failure();
    return success();
  }
  if (auto gather = dyn_cast<kernel::GatherOp>(op)) {
    if (!isMemory(gather.getTable()))
      return op->emitError(
          "internal error: the table of a gather is computed in its kernel");
    unsigned rank =
        cast<RankedTensorType>(gather.getIndices().getType()).getRank();
    Index rows(index.begin(), index.begin() + rank);
    Index inTable(1);
    inTable[0].dynamic = 0;
    inTable.append(index.begin() + rank, index.end());
    root.accesses.push_back({gather.getTable(), inTable});
    return walk(root, gather.getIndices(), rows, visited);
  }
  if (isa<kernel::ConcatOp>(op))
    return op->emitError("internal error: a concatenation inside kernel '")
           << func.getSymName() << "' is not a result";
  return walk(root, op->getOperand(0), operandIndex(op, index), visited);
}

LogicalResult KernelNest::findRoots() {
  unsigned numInputs = func.getNumInputs();
  auto finish = [&](Root root, ValueRange values,
                    ArrayRef<Index> indices) -> LogicalResult {
    std::set<std::pair<const void *, Index>> visited;
    for (auto [value, index] : llvm::zip_equal(values, indices))
      if (failed(walk(root, value, index, visited)))
        return failure();
    roots.push_back(std::move(root));
    return success();
  };
  auto store = [&](Value value, unsigned dest, int64_t concatDim,
                   int64_t offset) -> LogicalResult {
    Root root;
    root.value = value;
    root.dest = dest;
    Index index;
    for (int64_t dim = 0;
         dim < cast<RankedTensorType>(value.getType()).getRank(); ++dim) {
      IndexExpr expr;
      expr.loop = loopOf(value, dim);
      root.loops.push_back(expr.loop);
      index.push_back(expr);
    }
    root.kept = root.loops;
    root.destIndex = index;
    if (concatDim >= 0)
      root.destIndex[concatDim].offset = offset;
    root.accesses.push_back({func.getBody().getArgument(dest), root.destIndex});
    return finish(std::move(root), value, {index});
  };
  for (Operation *op : live) {
    if (isReduction(op)) {
      auto generic = cast<kernel::GenericOp>(op);
      Root root;
      root.kind = Root::Kind::Reduce;
      root.op = op;
      SmallVector<IndexExpr> indices(generic.getNumLoops());
      for (unsigned loop = 0; loop < indices.size(); ++loop) {
        indices[loop].loop = loopOf(generic, loop);
        root.loops.push_back(indices[loop].loop);
      }
      llvm::SetVector<int> kept;
      for (auto [i, result] : llvm::enumerate(generic.getOutputs()))
        for (int64_t dim = 0;
             dim < cast<RankedTensorType>(result.getType()).getRank(); ++dim)
          kept.insert(loopOf(result, dim));
      root.kept.assign(kept.begin(), kept.end());
      generic.getBodyBlock()->walk([&](Operation *inner) {
        if (auto loop = dyn_cast<kernel::IndexOp>(inner))
          loops[indices[loop.getLoop()].loop].indexUsed = true;
        if (isa<math::ExpOp, math::LogOp, math::TanhOp, math::ErfOp,
                math::SinOp, math::CosOp, math::PowFOp, kernel::RandomOp>(
                inner))
          root.expensive = true;
      });
      SmallVector<Index> inputs;
      for (unsigned i = 0; i < generic.getInputs().size(); ++i)
        inputs.push_back(mapIndex(generic.getInputMap(i), indices));
      if (failed(finish(std::move(root), generic.getInputs(), inputs)))
        return failure();
    } else if (auto scatter = dyn_cast<kernel::ScatterAddOp>(op)) {
      Root root;
      root.kind = Root::Kind::Scatter;
      root.op = op;
      unsigned rank =
          cast<RankedTensorType>(scatter.getIndices().getType()).getRank();
      unsigned total =
          cast<RankedTensorType>(scatter.getUpdates().getType()).getRank();
      Index updates;
      for (unsigned dim = 0; dim < total; ++dim) {
        IndexExpr expr;
        expr.loop = loopOf(scatter.getUpdates(), dim);
        root.loops.push_back(expr.loop);
        updates.push_back(expr);
      }
      Index rows(updates.begin(), updates.begin() + rank);
      for (int64_t dim = 0;
           dim <
           cast<RankedTensorType>(scatter.getOutput().getType()).getRank();
           ++dim)
        root.kept.push_back(loopOf(scatter.getOutput(), dim));
      if (failed(finish(std::move(root),
                        {scatter.getUpdates(), scatter.getIndices()},
                        {updates, rows})))
        return failure();
    }
  }
  for (auto [i, value] :
       llvm::enumerate(func.getBody().front().getTerminator()->getOperands())) {
    if (auto concat = value.getDefiningOp<kernel::ConcatOp>()) {
      int64_t offset = 0;
      for (Value part : concat.getInputs()) {
        if (failed(store(part, numInputs + i, concat.getDim(), offset)))
          return failure();
        offset +=
            cast<RankedTensorType>(part.getType()).getDimSize(concat.getDim());
      }
    } else if (failed(store(value, numInputs + i, -1, 0))) {
      return failure();
    }
  }
  return success();
}

//===----------------------------------------------------------------------===//
// Shape of the nest
//===----------------------------------------------------------------------===//

int64_t KernelNest::strideOf(const Access &access, int loop) const {
  // Most accesses do not follow most loops.
  if (llvm::none_of(access.index,
                    [&](const IndexExpr &expr) { return expr.loop == loop; }))
    return 0;
  SmallVector<int64_t> strides = stridesOf(access.memory);
  int64_t stride = 0;
  for (auto [dim, expr] : llvm::enumerate(access.index))
    if (expr.loop == loop)
      stride += strides[dim];
  return stride;
}

/// Merges loops that are one longer loop in all memory they touch.
void KernelNest::merge() {
  auto has = [](ArrayRef<int> list, int loop) {
    return llvm::is_contained(list, loop);
  };
  auto mergeable = [&](int a, int b) {
    const Loop &outerLoop = loops[a], &innerLoop = loops[b];
    if (a == b || outerLoop.trivial || innerLoop.trivial ||
        outerLoop.indexUsed || innerLoop.indexUsed || innerLoop.dim.isSplit())
      return false;
    for (const Root &root : roots) {
      if (root.kind == Root::Kind::Scatter &&
          (has(root.loops, a) || has(root.loops, b) || has(root.kept, a) ||
           has(root.kept, b))) {
        // Rows are addressed one by one; columns may merge.
        if (!has(root.loops, a) || !has(root.kept, a) || !has(root.loops, b) ||
            !has(root.kept, b))
          return false;
      }
      if (has(root.loops, a) != has(root.loops, b) ||
          has(root.kept, a) != has(root.kept, b))
        return false;
    }
    for (const Root &root : roots)
      for (const Access &access : root.accesses)
        if (strideOf(access, a) != strideOf(access, b) * innerLoop.capacity())
          return false;
    return true;
  };
  bool changed = true;
  while (changed) {
    changed = false;
    for (int a = 0; a < int(loops.size()); ++a)
      for (int b = 0; b < int(loops.size()); ++b)
        if (mergeable(a, b)) {
          int64_t inner = loops[b].capacity();
          loops[b].dim = loops[a].dim;
          loops[b].multiplier = loops[a].multiplier * inner;
          loops[a].trivial = true;
          changed = true;
        }
  }
  for (Root &root : roots) {
    auto trivial = [&](int loop) { return loops[loop].trivial; };
    llvm::erase_if(root.loops, trivial);
    llvm::erase_if(root.kept, trivial);
  }
}

/// Sorts loops as the first destination has them, the others behind.
void KernelNest::order(SmallVectorImpl<int> &list) const {
  SmallVector<int> reference;
  for (const Root &root : roots)
    if (root.kind == Root::Kind::Store)
      for (int loop : root.loops)
        if (!llvm::is_contained(reference, loop))
          reference.push_back(loop);
  auto rank = [&](int loop) {
    auto it = llvm::find(reference, loop);
    return it == reference.end() ? reference.size()
                                 : size_t(it - reference.begin());
  };
  llvm::stable_sort(list, [&](int a, int b) { return rank(a) < rank(b); });
}

double KernelNest::scoreVectorLoop(ArrayRef<const Root *> users,
                                   int loop) const {
  double score = 0;
  for (const Root *root : users)
    for (const Access &access : root->accesses) {
      int64_t stride = strideOf(access, loop);
      if (stride == 0)
        continue;
      double size = 1;
      for (const IndexExpr &expr : access.index)
        if (expr.loop >= 0 && !loops[expr.loop].trivial)
          size *= loops[expr.loop].capacity();
      score += stride == 1 ? size : -size;
    }
  return score;
}

int KernelNest::chooseVectorLoop(ArrayRef<const Root *> users,
                                 ArrayRef<int> candidates) const {
  int best = -1;
  double bestScore = 0;
  for (int loop : candidates) {
    double score = scoreVectorLoop(users, loop);
    if (best < 0 || score >= bestScore) {
      best = loop;
      bestScore = score;
    }
  }
  return best;
}

std::vector<std::vector<unsigned>> KernelNest::makePasses() const {
  std::vector<std::vector<unsigned>> passes;
  auto sameLoops = [&](const Root &a, const Root &b) {
    return a.depth == b.depth && a.loops.size() == b.loops.size() &&
           llvm::all_of(a.loops, [&](int loop) {
             return llvm::is_contained(b.loops, loop);
           });
  };
  for (unsigned number = 0; number < roots.size(); ++number) {
    auto it = llvm::find_if(passes, [&](auto &pass) {
      return sameLoops(roots[pass[0]], roots[number]);
    });
    if (it == passes.end())
      passes.push_back({number});
    else
      it->push_back(number);
  }
  llvm::stable_sort(passes, [&](auto &a, auto &b) {
    return roots[a[0]].depth < roots[b[0]].depth;
  });
  return passes;
}

int64_t KernelNest::getWork() const {
  int64_t work = 0;
  if (Operation *piece = getLonePiece(func))
    for (Type type : piece->getOperandTypes())
      work = std::max(work, cast<RankedTensorType>(type).getNumElements());
  for (const Root &root : roots) {
    int64_t size = 1;
    for (int loop : root.loops)
      size *= loops[loop].capacity();
    work = std::max(work, size);
  }
  return work;
}

bool KernelNest::isEfficient(int64_t chunks) const {
  constexpr int64_t little = 1024, serial = 32768; // elements
  for (const std::vector<unsigned> &pass : makePasses()) {
    SmallVector<const Root *> users;
    for (unsigned number : pass)
      users.push_back(&roots[number]);
    SmallVector<int> inner;
    int64_t size = 1;
    for (int loop : users[0]->loops) {
      size *= loops[loop].capacity();
      if (!llvm::is_contained(outer, loop))
        inner.push_back(loop);
    }
    if (size <= little || inner.empty())
      continue;
    int vector = vectorLoop >= 0 ? vectorLoop : chooseVectorLoop(users, inner);
    if (scoreVectorLoop(users, vector) < 0)
      return false;
  }
  if (chunks > 1 && getWork() > serial &&
      (chunkLoop < 0 || loops[chunkLoop].capacity() < chunks))
    return false;
  return !recomputes;
}

Value KernelNest::getScatterSummand(Value result,
                                    kernel::ScatterAddOp scatter) {
  auto sum = result.getDefiningOp<kernel::GenericOp>();
  if (!sum || sum.getCombiner() != kernel::Combiner::None ||
      sum.getInputs().size() != 2 || sum.getOutputs().size() != 1 ||
      !llvm::is_contained(sum.getInputs(), scatter.getOutput()))
    return {};
  Block *body = sum.getBodyBlock();
  if (!llvm::hasSingleElement(body->without_terminator()) ||
      !isa<arith::AddFOp, arith::AddIOp>(body->front()) ||
      !sum.getInputMap(0).isIdentity() || !sum.getInputMap(1).isIdentity() ||
      !sum.getOutputMap(0).isIdentity() ||
      body->front().getOperand(0) == body->front().getOperand(1))
    return {};
  return sum.getInputs()[sum.getInputs()[0] == scatter.getOutput() ? 1 : 0];
}

LogicalResult KernelNest::schedule() {
  bool hasScatter = llvm::any_of(
      roots, [](const Root &r) { return r.kind == Root::Kind::Scatter; });
  // Depths: what reads a reduction comes after it. Roots are in topological
  // order, since reductions are found in program order and stores come last.
  llvm::MapVector<Operation *, int> depths;
  for (Root &root : roots) {
    root.depth = 0;
    for (Operation *dep : root.deps)
      root.depth = std::max(root.depth, depths[dep] + 1);
    if (root.kind != Root::Kind::Store)
      depths[root.op] = root.depth;
  }
  if (hasScatter) {
    // Codegen has one form: dest = other (+ scatter).
    Root *scatterRoot = nullptr, *storeRoot = nullptr;
    for (Root &root : roots)
      (root.kind == Root::Kind::Scatter ? scatterRoot : storeRoot) = &root;
    auto scatter = cast<kernel::ScatterAddOp>(scatterRoot->op);
    if (roots.size() != 2 || !storeRoot ||
        (storeRoot->value != scatter.getOutput() &&
         !getScatterSummand(storeRoot->value, scatter)))
      return scatter.emitError("internal error: kernel '")
             << func.getSymName()
             << "' does more with a scatter than to add it";
    // Columns are divided among chunks, so that no two write one element.
    for (int loop : scatterRoot->loops)
      if (llvm::is_contained(scatterRoot->kept, loop))
        vectorLoop = chunkLoop = loop;
    return success();
  }

  SmallVector<const Root *> reductions, all;
  for (const Root &root : roots) {
    all.push_back(&root);
    if (root.kind == Root::Kind::Reduce)
      reductions.push_back(&root);
  }
  SmallVector<int> common = roots.front().kept;
  for (const Root &root : roots)
    llvm::erase_if(
        common, [&](int loop) { return !llvm::is_contained(root.kept, loop); });
  order(common);
  outer = common;
  if (reductions.empty()) {
    // Roots that differ (parts of a concatenation) share the leading loops
    // only, and a vectorised one if they have it in common.
    SmallVector<int> differing;
    for (const Root &root : roots)
      for (int loop : root.loops)
        if (!llvm::is_contained(common, loop))
          differing.push_back(loop);
    if (!differing.empty())
      for (const Root &root : roots) {
        size_t prefix = 0;
        while (prefix < root.loops.size() &&
               llvm::is_contained(outer, root.loops[prefix]))
          ++prefix;
        llvm::erase_if(outer, [&](int loop) {
          return !llvm::is_contained(ArrayRef(root.loops).take_front(prefix),
                                     loop);
        });
      }
    SmallVector<int> candidates = common;
    if (!differing.empty())
      llvm::erase_if(candidates,
                     [&](int loop) { return llvm::is_contained(outer, loop); });
    vectorLoop = chooseVectorLoop(all, candidates);
  } else {
    // Columns: where each reduction would rather have a kept loop innermost.
    for (const Root *root : reductions) {
      int best = chooseVectorLoop(root, root->loops);
      if (best < 0 || !llvm::is_contained(common, best) ||
          (vectorLoop >= 0 && vectorLoop != best)) {
        vectorLoop = -1;
        break;
      }
      vectorLoop = best;
    }
    // All roots must then be of that shape.
    for (const Root &root : roots)
      if (vectorLoop >= 0 && !llvm::is_contained(root.loops, vectorLoop))
        vectorLoop = -1;
    columns = vectorLoop >= 0;
  }
  if (vectorLoop >= 0)
    llvm::erase(outer, vectorLoop);

  for (const Root *root : reductions)
    if (root->kept.size() != common.size())
      return root->op->emitError("internal error: reductions of kernel '")
             << func.getSymName() << "' keep different loops";

  int64_t chunks = func.getChunks();
  SmallVector<int> parallel = outer;
  if (vectorLoop >= 0)
    parallel.push_back(vectorLoop);
  for (int loop : parallel)
    if (loops[loop].capacity() >= 4 * chunks) {
      chunkLoop = loop;
      break;
    }
  if (chunkLoop < 0)
    for (int loop : parallel)
      if (chunkLoop < 0 || loops[loop].capacity() > loops[chunkLoop].capacity())
        chunkLoop = loop;
  return success();
}

/// Values with elementary functions that are read at several depths are
/// computed once for each row. The last such value of a chain is enough.
void KernelNest::chooseScratch() {
  constexpr int64_t largestRow = 32768; // elements
  auto isExpensive = [](Operation *op) {
    bool found = false;
    if (auto generic = dyn_cast<kernel::GenericOp>(op))
      generic.getBodyBlock()->walk([&](Operation *inner) {
        found |= isa<math::ExpOp, math::LogOp, math::TanhOp, math::ErfOp,
                     math::SinOp, math::CosOp, math::PowFOp, kernel::RandomOp>(
            inner);
      });
    return found;
  };
  for (Operation *op : llvm::reverse(live.getArrayRef())) {
    auto generic = dyn_cast<kernel::GenericOp>(op);
    if (!generic || isReduction(op) || generic.getOutputs().size() != 1 ||
        !isExpensive(op))
      continue;
    Value value = generic.getOutputs()[0];
    int64_t row = 1;
    for (int64_t dim = 0;
         dim < cast<RankedTensorType>(value.getType()).getRank(); ++dim) {
      int loop = loopOf(value, dim);
      if (!loops[loop].trivial && !llvm::is_contained(outer, loop))
        row *= loops[loop].capacity();
    }
    if (row == 1)
      continue;
    // Read by more iterations than it has elements, and not hoisted above them.
    for (const Root &root : roots)
      if (root.pulled.contains(op))
        for (int loop : root.loops) {
          bool own = false;
          for (int64_t dim = 0;
               dim < cast<RankedTensorType>(value.getType()).getRank(); ++dim)
            own |= loopOf(value, dim) == loop;
          recomputes |= !own;
        }
    // Readers that do not get it through another scratch value.
    llvm::SmallSet<int, 4> depths;
    for (const Root &root : roots) {
      if (!root.pulled.contains(op))
        continue;
      bool hidden = false;
      if (root.kind != Root::Kind::Store || root.value != value)
        hidden = llvm::any_of(scratch, [&](Operation *later) {
          return root.pulled.contains(later);
        });
      if (!hidden)
        depths.insert(root.depth);
    }
    if (depths.size() <= 1)
      continue;
    if (columns || outer.empty() || row > largestRow)
      recomputes = true;
    else
      scratch.insert(op);
  }
}

LogicalResult KernelNest::analyze() {
  if (getLonePiece(func)) // has loops of its own, and no roots
    return success();
  if (failed(unify()) || failed(findRoots()))
    return failure();
  if (roots.empty())
    return success();
  merge();
  if (failed(schedule()))
    return failure();
  chooseScratch();
  return success();
}

} // namespace weir::compiler::nest
