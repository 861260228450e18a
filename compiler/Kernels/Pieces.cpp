// SPDX-License-Identifier: Apache-2.0
#include "compiler/Kernels/Pieces.h"

#include "compiler/Kernels/KernelScalars.h"

using namespace mlir;

namespace weir::compiler {

/// The user's name for an op: its site, else its location's name.
static StringAttr siteOf(Operation *op) {
  if (auto site = op->getAttrOfType<StringAttr>("site"))
    return site;
  StringAttr name;
  op->getLoc()->walk([&](Location loc) {
    if (auto named = dyn_cast<NameLoc>(loc)) {
      name = named.getName();
      return WalkResult::interrupt();
    }
    return WalkResult::advance();
  });
  return name ? name
              : StringAttr::get(op->getContext(), op->getName().stripDialect());
}

LogicalResult expandToPieces(Block &block) {
  bool failed = false;
  for (Operation &op : llvm::make_early_inc_range(block)) {
    if (auto loop = dyn_cast<dist::MicroBatchesOp>(op))
      failed |= mlir::failed(expandToPieces(loop.getBody().front()));
    auto site = siteOf(&op);
    Attribute task = op.getAttr(graph::GraphDialect::getTaskAttrName());
    auto mark = [&](Operation *piece) {
      piece->setAttr(pieceSiteAttrName, site);
      piece->setAttr(
          pieceOriginAttrName,
          StringAttr::get(op.getContext(), op.getName().stripDialect()));
      if (task)
        piece->setAttr(pieceTaskAttrName, task);
    };
    if (isa<dist::LocalSliceOp, dist::PartialOp, dist::AllReduceOp,
            dist::AllGatherOp, dist::ReduceScatterOp, dist::AllToAllOp,
            dist::ExchangeOp>(op))
      mark(&op);
    auto expandable = dyn_cast<graph::ExpandOpInterface>(op);
    if (!expandable) {
      if (op.getDialect() && op.getDialect()->getNamespace() == "graph" &&
          !op.hasTrait<OpTrait::IsTerminator>()) {
        op.emitOpError(
            "expects to have an expansion into pieces, which it has not");
        failed = true;
      }
      continue;
    }
    OpBuilder builder(&op);
    Operation *before = op.getPrevNode();
    SmallVector<Value> results = expandable.expand(builder, op.getOperands());
    for (Operation *piece = before ? before->getNextNode() : &block.front();
         piece != &op; piece = piece->getNextNode())
      mark(piece);
    op.replaceAllUsesWith(results);
    op.erase();
  }
  return failure(failed);
}

void splitLargeReductions(Block &block) {
  constexpr int64_t large = 16384, enoughRows = 16;
  for (Operation &op : llvm::make_early_inc_range(block)) {
    if (auto loop = dyn_cast<dist::MicroBatchesOp>(op))
      splitLargeReductions(loop.getBody().front());
    auto generic = dyn_cast<kernel::GenericOp>(op);
    if (!generic || generic.getCombiner() == kernel::Combiner::None ||
        generic.getOutputs().size() != 1 || isContraction(generic))
      continue;
    auto type = cast<RankedTensorType>(generic.getOutputs()[0].getType());
    unsigned numLoops = generic.getNumLoops();
    int64_t total = 1;
    SmallVector<LocalDim> dims;
    for (unsigned loop = 0; loop < numLoops; ++loop) {
      dims.push_back(getLoopDim(generic, loop));
      total *= dims.back().capacity;
    }
    if (type.getRank() != 0 || total < large || numLoops < 2)
      continue;
    // Leading loops are kept until there are rows enough, but never the last.
    unsigned kept = 0;
    int64_t rows = 1;
    while (kept + 1 < numLoops && rows < enoughRows)
      rows *= dims[kept++].capacity;
    if (rows == 1)
      continue;
    MLIRContext *context = op.getContext();
    SmallVector<AffineExpr> exprs;
    SmallVector<int64_t> shape;
    SmallVector<dist::ShardDim> shards;
    bool split = false;
    for (unsigned loop = 0; loop < kept; ++loop) {
      exprs.push_back(getAffineDimExpr(loop, context));
      shape.push_back(dims[loop].capacity);
      shards.push_back(dims[loop].dim);
      split |= dims[loop].isSplit();
    }
    Attribute encoding =
        split ? Attribute(dist::ShardAttr::get(context, shards)) : Attribute();
    auto rowType =
        RankedTensorType::get(shape, type.getElementType(), encoding);
    SmallVector<AffineMap> maps;
    for (unsigned i = 0; i < generic.getInputs().size(); ++i)
      maps.push_back(generic.getInputMap(i));
    maps.push_back(AffineMap::get(numLoops, 0, exprs, context));
    OpBuilder builder(generic);
    auto partial = kernel::GenericOp::create(
        builder, op.getLoc(), TypeRange(rowType), generic.getInputs(),
        builder.getAffineMapArrayAttr(maps), generic.getCombiner());
    partial.getBody().takeBody(generic.getBody());
    AffineMap all = AffineMap::getMultiDimIdentityMap(kept, context);
    AffineMap none = AffineMap::get(kept, 0, {}, context);
    auto final = kernel::GenericOp::create(
        builder, op.getLoc(), TypeRange(type), partial.getOutputs(),
        builder.getAffineMapArrayAttr({all, none}), generic.getCombiner());
    Block *body = builder.createBlock(&final.getBody(), {},
                                      type.getElementType(), op.getLoc());
    kernel::YieldOp::create(builder, op.getLoc(), body->getArguments());
    for (StringRef name :
         {pieceSiteAttrName, pieceOriginAttrName, pieceTaskAttrName})
      if (Attribute attr = op.getAttr(name)) {
        partial->setAttr(name, attr);
        final->setAttr(name, attr);
      }
    generic.replaceAllUsesWith(final);
    generic.erase();
  }
}

bool isContraction(Operation *op) {
  auto generic = dyn_cast<kernel::GenericOp>(op);
  if (!generic || generic.getCombiner() != kernel::Combiner::Sum ||
      generic.getInputs().size() != 2 || generic.getOutputs().size() != 1 ||
      !isBinaryBody<arith::MulFOp>(generic))
    return false;
  unsigned numLoops = generic.getNumLoops();
  SmallVector<int> in(numLoops, 0);
  auto mark = [&](AffineMap map, int bit) {
    for (AffineExpr expr : map.getResults()) {
      auto dim = dyn_cast<AffineDimExpr>(expr);
      if (!dim || (in[dim.getPosition()] & bit))
        return false;
      in[dim.getPosition()] |= bit;
    }
    return true;
  };
  if (!mark(generic.getInputMap(0), 1) || !mark(generic.getInputMap(1), 2) ||
      !mark(generic.getOutputMap(0), 4))
    return false;
  for (Value value :
       {Value(generic.getInputs()[0]), Value(generic.getInputs()[1]),
        Value(generic.getOutputs()[0])})
    if (!cast<RankedTensorType>(value.getType()).getElementType().isF32())
      return false;
  int64_t rows = 1, columns = 1, summed = 1;
  for (unsigned loop = 0; loop < numLoops; ++loop) {
    int64_t size = getLoopDim(generic, loop).capacity;
    switch (in[loop]) {
    case 1 | 4:
      rows *= size;
      break;
    case 2 | 4:
      columns *= size;
      break;
    case 1 | 2:
      summed *= size;
      break;
    case 1 | 2 | 4:
      break;
    default:
      return false; // summed over one operand alone
    }
  }
  return rows > 1 && columns > 1 && summed > 1;
}

} // namespace weir::compiler
