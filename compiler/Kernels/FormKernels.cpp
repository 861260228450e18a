// SPDX-License-Identifier: Apache-2.0
#include "compiler/Kernels/KernelNest.h"
#include "compiler/Kernels/Passes.h"
#include "compiler/Kernels/Pieces.h"

#include "mlir/IR/Diagnostics.h"
#include "llvm/ADT/PriorityQueue.h"

#include <queue>

using namespace mlir;

namespace weir::compiler {

#define GEN_PASS_DEF_FORMKERNELSPASS
#include "compiler/Kernels/Passes.h.inc"

namespace {

using nest::KernelNest;
using nest::Root;

SmallVector<int64_t> rowMajor(ArrayRef<int64_t> shape) {
  SmallVector<int64_t> strides(shape.size(), 1);
  for (int64_t dim = int64_t(shape.size()) - 2; dim >= 0; --dim)
    strides[dim] = strides[dim + 1] * shape[dim + 1];
  return strides;
}

RankedTensorType typeOf(Value value) { return cast<RankedTensorType>(value.getType()); }

bool isViewLike(Operation *op) {
  return isa<kernel::ReshapeOp, kernel::TransposeOp, kernel::SliceOp>(op);
}
bool isCollective(Operation *op) {
  return isa<dist::AllReduceOp, dist::AllGatherOp, dist::ReduceScatterOp, dist::AllToAllOp>(op);
}
/// What is computed by kernels (constants too: they are folded into them).
bool isPiece(Operation *op) {
  return isa<kernel::GenericOp, kernel::GatherOp, kernel::ScatterAddOp, kernel::ConcatOp,
             kernel::ConstantOp, dist::LocalSliceOp, dist::PartialOp>(op);
}

bool isExpensive(Operation *op) {
  bool found = false;
  if (auto generic = dyn_cast<kernel::GenericOp>(op))
    generic.getBodyBlock()->walk([&](Operation *inner) {
      found |= isa<math::ExpOp, math::LogOp, math::TanhOp, math::ErfOp, math::SinOp, math::CosOp,
                   math::PowFOp, kernel::RandomOp>(inner);
    });
  return found;
}

//===----------------------------------------------------------------------===//
// Kernels of a module
//===----------------------------------------------------------------------===//

/// All kernels formed so far; equal ones are one.
class KernelTable {
public:
  KernelTable(ModuleOp module) : module(module), builder(module.getBodyRegion()) {}

  /// Takes over `func`, which stands alone; returns it or its equal.
  kernel::FuncOp insert(kernel::FuncOp func, StringRef name) {
    std::string text;
    llvm::raw_string_ostream os(text);
    func->print(os, OpPrintingFlags().useLocalScope());
    auto [it, inserted] = kernels.try_emplace(text, func);
    if (!inserted) {
      func->erase();
      return it->second;
    }
    int &count = names[name];
    std::string unique = (name + (count ? "_" + Twine(count) : Twine())).str();
    ++count;
    while (module.lookupSymbol(unique))
      unique = (name + "_" + Twine(count++)).str();
    func.setSymName(unique);
    builder.setInsertionPointToStart(module.getBody());
    if (last)
      builder.setInsertionPointAfter(last);
    builder.insert(func);
    last = func;
    return func;
  }

private:
  ModuleOp module;
  OpBuilder builder;
  Operation *last = nullptr;
  llvm::StringMap<kernel::FuncOp> kernels;
  llvm::StringMap<int> names;
};

/// An operand of a kernel: its type and strides.
struct Operand {
  RankedTensorType type;
  SmallVector<int64_t> strides;
};

//===----------------------------------------------------------------------===//
// One block
//===----------------------------------------------------------------------===//

/// Where a value lies once it is in memory.
struct Place {
  Value value;   // SSA value that stands for it in the new program
  Value storage; // the buffer: an empty, an argument, or a collective's dest
  Value base;    // what a view of it views: a value that is no view
  int64_t offset = 0;
  SmallVector<int64_t> strides;
  bool isView = false;
};

class BlockFormer {
public:
  BlockFormer(Block &block, KernelTable &table, dist::MeshAttr mesh, int64_t chunks, bool fuse,
              DenseMap<Value, Place> &places)
      : block(block), table(table), mesh(mesh), chunks(chunks), fuse(fuse), places(places),
        builder(block.getParentOp()->getContext()) {}

  /// Rewrites the block. `targets` are the places in which the operands of its
  /// terminator must end, null where any buffer of its own will do.
  LogicalResult run(ArrayRef<Value> targets, bool ownsArguments);

private:
  struct Group {
    SmallVector<Operation *> ops; // in program order
    llvm::SmallPtrSet<Operation *, 8> set;
    Attribute task;
    int first = 0, last = 0;
    int mergedInto = -1;
    bool hasReduction = false;
  };

  // Analysis of pieces.
  void classify();
  void findAccumulations();
  void formGroups();
  void mergeGroups();
  bool isFree(Operation *op) const { return freePieces.contains(op); }
  bool isAnchor(Operation *op) const { return anchorGroup.count(op); }
  int groupOf(Operation *op) {
    auto it = anchorGroup.find(op);
    if (it == anchorGroup.end())
      return -1;
    int group = it->second;
    while (groups[group].mergedInto >= 0)
      group = groups[group].mergedInto;
    return it->second = group;
  }
  Operation *userInBlock(Operation *user) const { return block.findAncestorOpInBlock(*user); }
  void addClosure(Group &group, Operation *op);
  SmallVector<Value> inputsOf(const Group &group) const;
  SmallVector<Value> outputsOf(int number);
  SmallVector<Value> outputsOf(const llvm::SmallPtrSetImpl<Operation *> &set, int a, int b);
  bool tryMerge(int producer, int consumer);
  bool pathBetween(int from, int to);
  bool mergePays(const Group &merged, int a, int b);

  // Kernel functions.
  kernel::FuncOp buildFunc(ArrayRef<Operation *> ops, ArrayRef<Value> inputs,
                           ArrayRef<Operand> inputOperands, ArrayRef<Value> outputs,
                           int64_t numChunks);

  // Emission.
  LogicalResult schedule();
  void computeLastUses();
  LogicalResult emitGroup(Group &group, int position);
  LogicalResult emitContract(kernel::GenericOp op, int position);
  LogicalResult emitView(Operation *op);
  LogicalResult emitCollective(Operation *op, int position);
  LogicalResult emitLoop(dist::MicroBatchesOp loop, int position);
  LogicalResult emitTerminator(ArrayRef<Value> targets);
  Value emitEmpty(Location loc, RankedTensorType type, StringAttr site);
  Place emitCopy(Location loc, const Place &from, Value dest, StringAttr site);
  Place emitFill(Location loc, kernel::ConstantOp constant, StringAttr site);
  /// Memory of a value; constants get one.
  FailureOr<Place> placeOf(Value value, Operation *user);
  Place own(Value value, Value storage) {
    return {value, storage, value, 0, rowMajor(typeOf(value).getShape()), false};
  }
  Value baseOf(Value value) const {
    while (Operation *op = value.getDefiningOp()) {
      if (!isViewLike(op) || op->getBlock() != &block)
        break;
      value = op->getOperand(0);
    }
    return value;
  }
  int lastUseOf(Value value) const {
    auto it = lastUses.find(baseOf(value));
    return it == lastUses.end() ? -1 : it->second;
  }
  /// The destination of a new value that nothing is tied to: its target where
  /// that is free by then, else a new buffer.
  Value destinationOf(Value value, int position, Location loc, StringAttr site);
  StringAttr siteOf(Operation *op) {
    if (auto site = op->getAttrOfType<StringAttr>(pieceSiteAttrName))
      return site;
    return builder.getStringAttr(op->getName().getStringRef());
  }

  Block &block;
  KernelTable &table;
  dist::MeshAttr mesh;
  int64_t chunks;
  bool fuse;
  DenseMap<Value, Place> &places;
  OpBuilder builder;

  DenseMap<Operation *, int> positions;
  llvm::SetVector<Operation *> freePieces;
  DenseMap<Operation *, int> freeCost;
  DenseMap<Operation *, SmallVector<Value, 2>> bigInputs;
  DenseMap<Operation *, int> anchorGroup;
  DenseMap<Operation *, SmallVector<int, 2>> containing; // piece -> groups at first
  std::vector<Group> groups;
  DenseMap<Operation *, Value> accumulators; // contraction -> what it adds to

  /// The new order: a group's number, or -1 and an op.
  std::vector<std::pair<int, Operation *>> order;
  DenseMap<Value, int> lastUses;
  DenseMap<Value, Value> targetOf; // old value -> required storage
  bool ownsArguments = false;
};

//===----------------------------------------------------------------------===//
// Which pieces are computed again wherever they are read
//===----------------------------------------------------------------------===//

void BlockFormer::classify() {
  constexpr int largestCost = 24;
  int position = 0;
  for (Operation &op : block)
    positions[&op] = position++;
  for (Operation &op : block) {
    if (!isPiece(&op) || isContraction(&op))
      continue;
    if (isa<kernel::ConstantOp>(op)) {
      freePieces.insert(&op);
      freeCost[&op] = 0;
      bigInputs[&op] = {};
      continue;
    }
    if (isa<kernel::ScatterAddOp, kernel::ConcatOp>(op) || isExpensive(&op) ||
        KernelNest::isReduction(&op) || op.getNumResults() != 1)
      continue;
    int64_t size = typeOf(op.getResult(0)).getNumElements();
    int cost = 1;
    if (auto generic = dyn_cast<kernel::GenericOp>(op))
      cost = std::distance(generic.getBodyBlock()->begin(), generic.getBodyBlock()->end());
    llvm::SmallSetVector<Value, 4> big;
    for (Value input : op.getOperands()) {
      Operation *def = input.getDefiningOp();
      if (def && def->getBlock() == &block && isFree(def) && !isa<kernel::GatherOp>(op)) {
        big.insert(bigInputs[def].begin(), bigInputs[def].end());
        cost += freeCost[def];
        continue;
      }
      // A gather's table is read only where it is asked for.
      if (isa<kernel::GatherOp>(op) || 2 * typeOf(input).getNumElements() >= size)
        big.insert(input);
    }
    if (isa<kernel::GatherOp>(op) || big.size() > 1 || cost > largestCost)
      continue;
    freePieces.insert(&op);
    freeCost[&op] = cost;
    bigInputs[&op] = SmallVector<Value, 2>(big.begin(), big.end());
  }
}

/// `acc + contraction` where `acc` dies: the library adds to it.
void BlockFormer::findAccumulations() {
  for (Operation &op : llvm::make_early_inc_range(block)) {
    auto sum = dyn_cast<kernel::GenericOp>(op);
    if (!sum || sum.getCombiner() != kernel::Combiner::None || sum.getInputs().size() != 2 ||
        !isBinaryBody<arith::AddFOp>(sum) || !sum.getInputMap(0).isIdentity() ||
        !sum.getInputMap(1).isIdentity() || !sum.getOutputMap(0).isIdentity())
      continue;
    auto isProduct = [&](Value value) {
      Operation *def = value.getDefiningOp();
      return def && def->getBlock() == &block && isContraction(def) && value.hasOneUse() &&
             !accumulators.count(def);
    };
    auto dies = [&](Value value) {
      if (!value.hasOneUse() || value.getType() != sum.getOutputs()[0].getType())
        return false;
      if (isa<BlockArgument>(value))
        return ownsArguments && value.getParentBlock() == &block;
      Operation *def = value.getDefiningOp();
      if (def->getBlock() != &block)
        return false;
      return isContraction(def) || (isPiece(def) && !isa<kernel::ConstantOp>(def)) ||
             isCollective(def);
    };
    Value a = sum.getInputs()[0], b = sum.getInputs()[1];
    if (a == b)
      continue;
    // The later of two products adds to the earlier.
    if (isProduct(a) && isProduct(b) &&
        a.getDefiningOp()->isBeforeInBlock(b.getDefiningOp()))
      std::swap(a, b);
    if (!(isProduct(a) && dies(b)))
      std::swap(a, b);
    if (!(isProduct(a) && dies(b)))
      continue;
    Operation *product = a.getDefiningOp();
    if (task(product) != task(sum))
      continue;
    accumulators[product] = b;
    sum.getOutputs()[0].replaceAllUsesWith(a);
    sum->erase();
  }
}

//===----------------------------------------------------------------------===//
// Groups
//===----------------------------------------------------------------------===//

} // namespace
} // namespace weir::compiler
