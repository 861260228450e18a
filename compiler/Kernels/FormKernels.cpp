// SPDX-License-Identifier: Apache-2.0
#include "compiler/Kernels/KernelNest.h"
#include "compiler/Kernels/Passes.h"
#include "compiler/Kernels/Pieces.h"

#include "mlir/IR/Diagnostics.h"
#include "llvm/ADT/SmallPtrSet.h"
#include "llvm/ADT/SmallSet.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSet.h"

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

RankedTensorType typeOf(Value value) {
  return cast<RankedTensorType>(value.getType());
}

bool isViewLike(Operation *op) {
  return isa<kernel::ReshapeOp, kernel::TransposeOp, kernel::SliceOp>(op);
}
bool isCollective(Operation *op) {
  return isa<dist::AllReduceOp, dist::AllGatherOp, dist::ReduceScatterOp,
             dist::AllToAllOp, dist::ExchangeOp>(op);
}
/// What is computed by kernels (constants too: they are folded into them).
bool isPiece(Operation *op) {
  return isa<kernel::GenericOp, kernel::GatherOp, kernel::ScatterAddOp,
             kernel::ConcatOp, kernel::ConstantOp, dist::LocalSliceOp,
             dist::PartialOp>(op) ||
         isLonePiece(op);
}

bool isExpensive(Operation *op) {
  bool found = false;
  if (auto generic = dyn_cast<kernel::GenericOp>(op))
    generic.getBodyBlock()->walk([&](Operation *inner) {
      found |=
          isa<math::ExpOp, math::LogOp, math::TanhOp, math::ErfOp, math::SinOp,
              math::CosOp, math::PowFOp, kernel::RandomOp>(inner);
    });
  return found;
}

//===----------------------------------------------------------------------===//
// Kernels of a module
//===----------------------------------------------------------------------===//

/// All kernels formed so far; equal ones are one.
class KernelTable {
public:
  KernelTable(ModuleOp module)
      : module(module), builder(module.getBodyRegion()) {
    for (Operation &op : *module.getBody())
      if (auto symbol = dyn_cast<SymbolOpInterface>(op))
        taken.insert(symbol.getName());
  }

  /// Takes over `func`, which stands alone; returns it or its equal.
  /// The symbol is `name` with the suffix "_kernel", which no C library has.
  kernel::FuncOp insert(kernel::FuncOp func, const Twine &origin) {
    std::string name = (origin + "_kernel").str();
    std::string text;
    llvm::raw_string_ostream os(text);
    func->print(os, OpPrintingFlags().useLocalScope());
    auto [it, inserted] = kernels.try_emplace(text, func);
    if (!inserted) {
      func->erase();
      return it->second;
    }
    int &count = names[name];
    std::string unique = name;
    if (count++)
      unique += "_" + std::to_string(count - 1);
    while (!taken.insert(unique).second)
      unique = name + "_" + std::to_string(count++);
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
  llvm::StringSet<> taken; // symbols of the module
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
  Value value;   // stands for it in the new program
  Value storage; // its buffer: what `empty` made, or an argument
  Value base;    // the value that is viewed; itself when it is no view
  int64_t offset = 0;
  SmallVector<int64_t> strides;
  bool isView() const { return value != base; }
  bool isContiguous() const {
    return ArrayRef<int64_t>(strides) ==
           ArrayRef<int64_t>(rowMajor(typeOf(value).getShape()));
  }
};

/// Settings and results that blocks share.
struct Context {
  KernelTable &table;
  dist::MeshAttr mesh;
  int64_t chunks;
  bool fuse;
  DenseMap<Value, Place> places;
};

class BlockFormer {
public:
  /// `ownsArguments`: the block's arguments may be overwritten (accumulators).
  BlockFormer(Block &block, Context &context, bool ownsArguments)
      : block(block), context(context), places(context.places),
        builder(block.getParentOp()->getContext()),
        ownsArguments(ownsArguments) {}

  /// Rewrites the block. `targets` holds the buffer in which each operand of
  /// the terminator must end, null where any buffer of its own will do.
  LogicalResult run(ArrayRef<Value> targets);

private:
  using OpSet = llvm::SmallPtrSet<Operation *, 16>;
  struct Group {
    llvm::SetVector<Operation *> ops;
    SmallVector<Operation *> anchors;
    Attribute task;
    int first = 0, last = 0;
    int mergedInto = -1;
    bool hasReduction = false;
  };
  /// A step of the new program: a group, or an op of the old one.
  struct Step {
    int group = -1;
    Operation *op = nullptr;
  };

  // Pieces and groups.
  void findAccumulations();
  bool needsMemory(Operation *op) const;
  /// Whether a gather reads rows of it: these are memory.
  bool isTable(Operation *op) const;
  void classify();
  void formGroups();
  void mergeGroups();
  int resolve(int group) const {
    while (groups[group].mergedInto >= 0)
      group = groups[group].mergedInto;
    return group;
  }
  int groupOf(Operation *op) const {
    auto it = anchorGroup.find(op);
    return it == anchorGroup.end() ? -1 : resolve(it->second);
  }
  Operation *localDef(Value value) const {
    Operation *def = value.getDefiningOp();
    return def && def->getBlock() == &block ? def : nullptr;
  }
  void sortOps(Group &group) const;
  Group closureOf(Operation *anchor) const;
  bool isOneNest(const Group &group);
  SmallVector<Value> inputsOf(const Group &group) const;
  SmallVector<Value> outputsOf(const Group &group, int a, int b) const;
  SmallVector<Value> operandsOf(Operation *op) const;
  bool reaches(int from, int to, bool direct) const;
  bool tryMerge(int producer, int consumer, bool siblings);

  // Kernel functions.
  kernel::FuncOp buildFunc(ArrayRef<Operation *> ops, ArrayRef<Value> inputs,
                           ArrayRef<SmallVector<int64_t>> strides,
                           ArrayRef<Value> outputs);
  std::string nameOf(const Group &group) const;
  static bool canTie(KernelNest &nest, unsigned input, unsigned dest);

  // Emission.
  void makeSchedule();
  void computeLastUses();
  LogicalResult emitGroup(Group &group);
  LogicalResult emitContract(kernel::GenericOp op);
  LogicalResult emitView(Operation *op);
  LogicalResult emitCollective(Operation *op);
  LogicalResult emitLoop(dist::MicroBatchesOp loop);
  LogicalResult emitTerminator(ArrayRef<Value> targets);
  Value emitEmpty(Location loc, Type type, StringAttr site) {
    return kernel::EmptyOp::create(builder, loc, type, site);
  }
  Place emitCopy(Location loc, const Place &from, Value dest, Value storage,
                 StringAttr site);
  Place emitConstant(kernel::ConstantOp constant, StringAttr site);
  FailureOr<Place> placeOf(Value value, Operation *user);
  Place own(Value value, Value storage) const {
    return {value, storage, value, 0, rowMajor(typeOf(value).getShape())};
  }
  /// The memory that a value is, or is a view of.
  Value baseOf(Value value) const {
    while (Operation *op = localDef(value)) {
      if (!isViewLike(op))
        break;
      value = op->getOperand(0);
    }
    return value;
  }
  int lastUseOf(Value value) const {
    return lastUses.lookup_or(baseOf(value), -1);
  }
  std::pair<Value, Value> destinationOf(Value value,
                                        ArrayRef<Value> operandStorages,
                                        Location loc, StringAttr site);
  StringAttr siteOf(Operation *op) {
    if (auto site = op->getAttrOfType<StringAttr>(pieceSiteAttrName))
      return site;
    return builder.getStringAttr(op->getName().stripDialect());
  }

  Block &block;
  Context &context;
  DenseMap<Value, Place> &places;
  OpBuilder builder;
  bool ownsArguments;

  DenseMap<Operation *, int> positions;
  DenseMap<Operation *, Value> accumulators; // product -> what it is added to
  llvm::SmallPtrSet<Operation *, 32> accumulated; // what products are added to
  llvm::SmallPtrSet<Operation *, 32> freePieces;
  llvm::SmallPtrSet<Operation *, 8> stored; // free but for how they are read
  DenseMap<Operation *, int> freeCost;
  DenseMap<Operation *, SmallVector<Value, 2>> bigInputs;
  DenseMap<Operation *, int> anchorGroup;
  DenseMap<Operation *, SmallVector<int, 2>> containing; // free piece -> groups
  std::vector<Group> groups;

  std::vector<Step> steps;
  int now = 0;                   // step being emitted
  DenseMap<Value, int> lastUses; // base -> step
  DenseMap<Value, Value>
      targetOf; // value of the old program -> required buffer
};

Attribute taskOf(Operation *op) { return op->getAttr(pieceTaskAttrName); }

//===----------------------------------------------------------------------===//
// Pieces
//===----------------------------------------------------------------------===//

/// `sum + product` where `sum` dies: the library adds to it.
void BlockFormer::findAccumulations() {
  // Products that are compared have not been moved yet: their first places say
  // which is later, and the block is not numbered anew after each move.
  int position = 0;
  for (Operation &op : block)
    positions[&op] = position++;
  for (Operation &op : llvm::make_early_inc_range(block)) {
    auto sum = dyn_cast<kernel::GenericOp>(op);
    if (!sum || sum.getCombiner() != kernel::Combiner::None ||
        sum.getInputs().size() != 2 || !isBinaryBody<arith::AddFOp>(sum) ||
        !sum.getInputMap(0).isIdentity() || !sum.getInputMap(1).isIdentity() ||
        !sum.getOutputMap(0).isIdentity())
      continue;
    auto isProduct = [&](Value value) {
      Operation *def = localDef(value);
      return def && isContraction(def) && value.hasOneUse() &&
             !accumulators.count(def) && taskOf(def) == taskOf(sum);
    };
    auto dies = [&](Value value) {
      if (!value.hasOneUse() ||
          value.getType() != sum.getOutputs()[0].getType())
        return false;
      if (auto argument = dyn_cast<BlockArgument>(value))
        return ownsArguments && argument.getOwner() == &block;
      Operation *def = localDef(value);
      if (!def || isCollective(def) || isContraction(def))
        return def != nullptr;
      // A sum of large operands would be in memory anyway; a broadcast would
      // not.
      auto piece = dyn_cast<kernel::GenericOp>(def);
      return piece && llvm::count_if(piece.getInputs(), [&](Value input) {
                        return typeOf(input).getNumElements() >=
                               typeOf(value).getNumElements();
                      }) >= 2;
    };
    Value a = sum.getInputs()[0], b = sum.getInputs()[1];
    if (a == b)
      continue;
    // Of two products the later adds to the earlier.
    if (isProduct(a) && isProduct(b) &&
        positions.lookup(a.getDefiningOp()) <
            positions.lookup(b.getDefiningOp()))
      std::swap(a, b);
    if (!isProduct(a) || !dies(b))
      std::swap(a, b);
    if (!isProduct(a) || !dies(b))
      continue;
    Operation *product = a.getDefiningOp();
    product->moveBefore(sum);
    accumulators[product] = b;
    if (Operation *def = localDef(b))
      accumulated.insert(def);
    sum.getOutputs()[0].replaceAllUsesWith(a);
    sum->erase();
  }
}

/// Whether something other than a kernel reads the results.
bool BlockFormer::needsMemory(Operation *op) const {
  if (accumulated.contains(op))
    return true;
  for (Operation *user : op->getUsers()) {
    Operation *here = block.findAncestorOpInBlock(*user);
    if (!here || !isPiece(here) || isContraction(here) || isLonePiece(here))
      return true;
  }
  return false;
}

bool BlockFormer::isTable(Operation *op) const {
  return llvm::any_of(op->getUses(), [](OpOperand &use) {
    auto gather = dyn_cast<kernel::GatherOp>(use.getOwner());
    return gather && gather.getTable() == use.get();
  });
}

/// Finds pieces that are computed again wherever they are read: cheap ones of
/// at most one large operand, since reading that costs what reading them would.
void BlockFormer::classify() {
  constexpr int largestCost = 24; // scalar operations
  int position = 0;
  positions.clear();
  for (Operation &op : block)
    positions[&op] = position++;
  for (Operation &op : block) {
    if (!isPiece(&op) || isContraction(&op))
      continue;
    if (isa<kernel::ConstantOp>(op)) {
      freePieces.insert(&op);
      continue;
    }
    if (isa<kernel::ScatterAddOp, kernel::ConcatOp, kernel::GatherOp>(op) ||
        isLonePiece(&op) || isExpensive(&op) || KernelNest::isReduction(&op) ||
        op.getNumResults() != 1 || (!context.fuse && op.getNumOperands() > 0))
      continue;
    int64_t size = typeOf(op.getResult(0)).getNumElements();
    int cost = 1;
    if (auto generic = dyn_cast<kernel::GenericOp>(op))
      cost = std::distance(generic.getBodyBlock()->begin(),
                           generic.getBodyBlock()->end());
    llvm::SmallSetVector<Value, 4> big;
    for (Value input : op.getOperands()) {
      Operation *def = localDef(input);
      if (def && freePieces.contains(def)) {
        big.insert(bigInputs[def].begin(), bigInputs[def].end());
        cost += freeCost.lookup(def);
      } else if (2 * typeOf(input).getNumElements() >= size) {
        big.insert(input);
      }
    }
    if (big.size() > 1 || cost > largestCost ||
        (!big.empty() && needsMemory(&op)) || isTable(&op))
      continue;
    freePieces.insert(&op);
    freeCost[&op] = cost;
    bigInputs[&op] = SmallVector<Value, 2>(big.begin(), big.end());
  }
}

//===----------------------------------------------------------------------===//
// Groups
//===----------------------------------------------------------------------===//

void BlockFormer::sortOps(Group &group) const {
  SmallVector<Operation *> ops(group.ops.begin(), group.ops.end());
  llvm::sort(ops, [&](Operation *a, Operation *b) {
    return positions.lookup(a) < positions.lookup(b);
  });
  group.ops = llvm::SetVector<Operation *>(ops.begin(), ops.end());
}

/// One group for each piece that is stored, with all that is computed again for
/// it. A piece that would be read through two different loops is stored
/// instead.
void BlockFormer::formGroups() {
  bool again = true;
  while (again) {
    again = false;
    groups.clear();
    anchorGroup.clear();
    containing.clear();
    for (Operation &op : block) {
      if (!isPiece(&op) || isContraction(&op) || isa<kernel::ConstantOp>(op))
        continue;
      if ((freePieces.contains(&op) && !stored.contains(&op) &&
           !needsMemory(&op)) ||
          (op.use_empty() && !accumulated.contains(&op)))
        continue;
      int number = groups.size();
      groups.push_back(closureOf(&op));
      anchorGroup[&op] = number;
      for (Operation *piece : groups.back().ops)
        containing[piece].push_back(number);
      if (groups.back().ops.size() == 1 || isOneNest(groups.back()))
        continue;
      for (Value operand : op.getOperands())
        if (Operation *def = localDef(operand);
            def && freePieces.contains(def) && !isa<kernel::ConstantOp>(def)) {
          freePieces.erase(def);
          stored.insert(def);
          again = true;
        }
    }
  }
}

BlockFormer::Group BlockFormer::closureOf(Operation *anchor) const {
  Group group;
  group.anchors = {anchor};
  group.task = taskOf(anchor);
  group.first = group.last = positions.lookup(anchor);
  group.hasReduction = KernelNest::isReduction(anchor);
  SmallVector<Operation *> stack = {anchor};
  while (!stack.empty()) {
    Operation *piece = stack.pop_back_val();
    if (!group.ops.insert(piece) || isLonePiece(piece))
      continue;
    for (Value operand : piece->getOperands())
      if (Operation *def = localDef(operand); def && freePieces.contains(def)) {
        // A table is memory.
        bool isTable =
            isa<kernel::GatherOp>(piece) && operand == piece->getOperand(0);
        if (!isTable || isa<kernel::ConstantOp>(def))
          stack.push_back(def);
      }
  }
  sortOps(group);
  return group;
}

bool BlockFormer::isOneNest(const Group &group) {
  SmallVector<Value> inputs = inputsOf(group);
  SmallVector<SmallVector<int64_t>> strides;
  for (Value input : inputs)
    strides.push_back(rowMajor(typeOf(input).getShape()));
  kernel::FuncOp func =
      buildFunc(group.ops.getArrayRef(), inputs, strides,
                SmallVector<Value>(group.anchors[0]->getResults()));
  ScopedDiagnosticHandler quiet(builder.getContext(),
                                [](Diagnostic &) { return success(); });
  bool good = succeeded(KernelNest(func, context.mesh).analyze());
  func->erase();
  return good;
}

SmallVector<Value> BlockFormer::inputsOf(const Group &group) const {
  llvm::SetVector<Value> inputs;
  for (Operation *op : group.ops)
    for (Value operand : op->getOperands())
      if (!operand.getDefiningOp() ||
          !group.ops.contains(operand.getDefiningOp()))
        inputs.insert(operand);
  return llvm::to_vector(inputs);
}

/// Values of the group (of groups `a` and `b`, when it is to be their union)
/// that others read.
SmallVector<Value> BlockFormer::outputsOf(const Group &group, int a,
                                          int b) const {
  SmallVector<Value> outputs;
  for (Operation *anchor : group.anchors)
    for (Value result : anchor->getResults()) {
      // A lone piece stores all it has.
      bool needed = accumulated.contains(anchor) || isLonePiece(anchor);
      for (Operation *user : result.getUsers()) {
        Operation *here = block.findAncestorOpInBlock(*user);
        if (needed)
          break;
        if (!here || !isPiece(here) || isContraction(here) ||
            isLonePiece(here)) {
          needed = true;
          continue;
        }
        auto it = containing.find(here);
        // A piece in many groups is soon found in another one.
        if (it != containing.end())
          needed = llvm::any_of(it->second, [&](int number) {
            int other = resolve(number);
            return other != a && other != b;
          });
      }
      if (needed)
        outputs.push_back(result);
    }
  llvm::sort(outputs, [&](Value x, Value y) {
    int px = positions.lookup(x.getDefiningOp()),
        py = positions.lookup(y.getDefiningOp());
    return px != py ? px < py
                    : cast<OpResult>(x).getResultNumber() <
                          cast<OpResult>(y).getResultNumber();
  });
  return outputs;
}

/// What an op of the block reads, values that its regions capture included.
SmallVector<Value> BlockFormer::operandsOf(Operation *op) const {
  llvm::SetVector<Value> values(op->operand_begin(), op->operand_end());
  if (Value accumulator = accumulators.lookup(op))
    values.insert(accumulator);
  if (isa<dist::MicroBatchesOp>(op))
    op->walk([&](Operation *inner) {
      for (Value operand : inner->getOperands())
        if (operand.getParentBlock() == &block)
          values.insert(operand);
    });
  return llvm::to_vector(values);
}

/// Whether group `to` depends on group `from`, by a way of at least one other
/// step unless `direct`. Says yes when the search becomes long.
bool BlockFormer::reaches(int from, int to, bool direct) const {
  constexpr int longest = 512;
  int earliest = groups[from].first;
  llvm::SmallSet<int, 16> seenGroups;
  OpSet seenOps;
  std::vector<Step> stack = {{to, nullptr}};
  bool first = true;
  int visited = 0;
  while (!stack.empty()) {
    Step step = stack.back();
    stack.pop_back();
    if (++visited > longest)
      return true;
    SmallVector<Value> inputs =
        step.group >= 0 ? inputsOf(groups[step.group]) : operandsOf(step.op);
    for (Value input : inputs) {
      Operation *def = localDef(input);
      if (!def)
        continue;
      int group = groupOf(def);
      if (group == from) {
        if (!first || direct)
          return true;
        continue;
      }
      if (group == to)
        continue;
      if (group >= 0) {
        if (groups[group].last >= earliest && seenGroups.insert(group).second)
          stack.push_back({group, nullptr});
      } else if (positions.lookup(def) >= earliest &&
                 seenOps.insert(def).second) {
        stack.push_back({-1, def});
      }
    }
    first = false;
  }
  return false;
}

bool BlockFormer::tryMerge(int a, int b, bool siblings) {
  constexpr size_t mostOps = 96, mostOperands = 96;
  const Group &producer = groups[a], &consumer = groups[b];
  if (isLonePiece(producer.anchors.front()) ||
      isLonePiece(consumer.anchors.front()))
    return false;
  if (producer.task != consumer.task ||
      producer.ops.size() + consumer.ops.size() > mostOps)
    return false;
  Group merged;
  merged.ops = producer.ops;
  merged.ops.insert(consumer.ops.begin(), consumer.ops.end());
  sortOps(merged);
  merged.anchors = producer.anchors;
  llvm::append_range(merged.anchors, consumer.anchors);
  merged.task = producer.task;
  merged.first = std::min(producer.first, consumer.first);
  merged.last = std::max(producer.last, consumer.last);
  merged.hasReduction = producer.hasReduction || consumer.hasReduction;
  SmallVector<Value> inputs = inputsOf(merged),
                     outputs = outputsOf(merged, a, b);
  if (inputs.size() + outputs.size() > mostOperands)
    return false;
  // A gather's table is memory.
  for (Operation *op : merged.ops)
    if (auto gather = dyn_cast<kernel::GatherOp>(op))
      if (Operation *def = gather.getTable().getDefiningOp())
        if (merged.ops.contains(def) && !isa<kernel::ConstantOp>(def))
          return false;

  SmallVector<SmallVector<int64_t>> strides;
  for (Value input : inputs)
    strides.push_back(rowMajor(typeOf(input).getShape()));
  kernel::FuncOp func =
      buildFunc(merged.ops.getArrayRef(), inputs, strides, outputs);
  bool good;
  {
    ScopedDiagnosticHandler quiet(builder.getContext(),
                                  [](Diagnostic &) { return success(); });
    KernelNest nest(func, context.mesh);
    good = succeeded(nest.analyze()) && !nest.roots.empty() &&
           nest.isEfficient(context.chunks);
  }
  func->erase();
  if (!good)
    return false;
  if (siblings ? reaches(a, b, true) || reaches(b, a, true)
               : reaches(a, b, false))
    return false;
  groups[b] = std::move(merged);
  groups[a].mergedInto = b;
  return true;
}

void BlockFormer::mergeGroups() {
  if (!context.fuse)
    return;
  for (int b = 0; b < int(groups.size()); ++b) {
    llvm::SmallSet<int, 8> refused;
    bool changed = groups[b].mergedInto < 0;
    while (changed) {
      changed = false;
      for (Value input : inputsOf(groups[b])) {
        Operation *def = localDef(input);
        int a = def ? groupOf(def) : -1;
        if (a < 0 || a == b || refused.contains(a))
          continue;
        if (tryMerge(a, b, /*siblings=*/false)) {
          changed = true;
          break;
        }
        refused.insert(a);
      }
    }
  }
  // Reductions of the same large operand share a pass over it.
  constexpr int64_t large = 4096;
  llvm::MapVector<Value, SmallVector<int>> readers;
  for (int number = 0; number < int(groups.size()); ++number)
    if (groups[number].mergedInto < 0 && groups[number].hasReduction)
      for (Value input : inputsOf(groups[number]))
        if (typeOf(input).getNumElements() >= large)
          readers[input].push_back(number);
  for (auto &[value, numbers] : readers)
    for (size_t i = 0; i + 1 < numbers.size(); ++i) {
      int a = resolve(numbers[i]), b = resolve(numbers[i + 1]);
      if (a != b)
        tryMerge(a, b, /*siblings=*/true);
    }
}

//===----------------------------------------------------------------------===//
// Kernel functions
//===----------------------------------------------------------------------===//

/// A function of its own, not in the module yet.
kernel::FuncOp BlockFormer::buildFunc(ArrayRef<Operation *> ops,
                                      ArrayRef<Value> inputs,
                                      ArrayRef<SmallVector<int64_t>> strides,
                                      ArrayRef<Value> outputs) {
  OpBuilder b(builder.getContext());
  SmallVector<Attribute> strideAttrs;
  for (ArrayRef<int64_t> list : strides)
    strideAttrs.push_back(b.getDenseI64ArrayAttr(list));
  SmallVector<Type> types =
      llvm::map_to_vector(inputs, [](Value v) { return v.getType(); });
  for (Value output : outputs) {
    strideAttrs.push_back(
        b.getDenseI64ArrayAttr(rowMajor(typeOf(output).getShape())));
    types.push_back(output.getType());
  }
  Location loc = ops.empty() ? builder.getUnknownLoc() : ops.back()->getLoc();
  auto func = kernel::FuncOp::create(
      b, loc, b.getStringAttr("kernel"), b.getI64IntegerAttr(inputs.size()),
      b.getDenseI64ArrayAttr(SmallVector<int64_t>(outputs.size(), -1)),
      b.getArrayAttr(strideAttrs), b.getI64IntegerAttr(context.chunks));
  Block *body = b.createBlock(&func.getBody(), {}, types,
                              SmallVector<Location>(types.size(), loc));
  IRMapping mapping;
  for (auto [index, input] : llvm::enumerate(inputs))
    mapping.map(input, body->getArgument(index));
  for (Operation *op : ops) {
    Operation *copy = b.clone(*op, mapping);
    for (StringRef name :
         {pieceSiteAttrName, pieceOriginAttrName, pieceTaskAttrName,
          graph::GraphDialect::getTaskAttrName(),
          dist::DistDialect::getSignatureAttrName()})
      copy->removeAttr(name);
  }
  SmallVector<Value> results;
  for (Value output : outputs)
    results.push_back(mapping.lookup(output));
  kernel::YieldOp::create(b, loc, results);
  func->setAttr(scalarsAttrName, computeKernelScalars(func, context.mesh));
  return func;
}

/// The ops that it computes, at most three, as a symbol.
std::string BlockFormer::nameOf(const Group &group) const {
  llvm::SmallSetVector<StringRef, 4> names;
  for (Operation *op : group.ops)
    if (llvm::is_contained(group.anchors, op))
      if (auto origin = op->getAttrOfType<StringAttr>(pieceOriginAttrName))
        if (names.size() < 3)
          names.insert(origin.getValue());
  return names.empty() ? "piece" : llvm::join(names, "_");
}

/// Whether destination `dest` may be the memory of `input`: each element is
/// read for the last time in the iteration that writes it.
bool BlockFormer::canTie(KernelNest &nest, unsigned input, unsigned dest) {
  Value argument = nest.func.getBody().getArgument(input);
  const Root *store = nullptr;
  for (const Root &root : nest.roots)
    if (root.kind == Root::Kind::Store && root.dest == dest) {
      if (store)
        return false;
      store = &root;
    }
  if (!store)
    return false;
  auto sameLoops = [&](const Root &a, const Root &b) {
    return a.loops.size() == b.loops.size() &&
           llvm::all_of(a.loops, [&](int loop) {
             return llvm::is_contained(b.loops, loop);
           });
  };
  for (const Root &root : nest.roots) {
    for (const nest::Access &access : root.accesses) {
      if (access.memory != argument)
        continue;
      if (root.kind == Root::Kind::Scatter ||
          access.index != store->destIndex || root.depth > store->depth ||
          (root.depth == store->depth && !sameLoops(root, *store)))
        return false;
    }
  }
  return true;
}

//===----------------------------------------------------------------------===//
// Order and lifetimes
//===----------------------------------------------------------------------===//

/// Topological order that stays as close to the old one as the groups allow.
void BlockFormer::makeSchedule() {
  std::vector<Step> nodes;
  std::vector<int> priority;
  DenseMap<Operation *, int> nodeOfOp;
  DenseMap<int, int> nodeOfGroup;
  for (Operation &op : block.without_terminator()) {
    if (isPiece(&op) && !isContraction(&op)) {
      int group = groupOf(&op);
      if (group >= 0 && !nodeOfGroup.count(group)) {
        nodeOfGroup[group] = nodes.size();
        nodes.push_back({group, nullptr});
        priority.push_back(groups[group].last);
      }
      continue;
    }
    if (op.use_empty() && !isa<dist::MicroBatchesOp>(op) &&
        !accumulated.contains(&op))
      continue;
    nodeOfOp[&op] = nodes.size();
    nodes.push_back({-1, &op});
    priority.push_back(positions[&op]);
  }
  std::vector<SmallVector<int>> users(nodes.size());
  std::vector<int> waits(nodes.size(), 0);
  for (auto [number, node] : llvm::enumerate(nodes)) {
    llvm::SmallSet<int, 8> sources;
    for (Value input :
         node.group >= 0 ? inputsOf(groups[node.group]) : operandsOf(node.op)) {
      Operation *def = localDef(input);
      if (!def)
        continue;
      int source = -1;
      if (int group = groupOf(def); group >= 0)
        source = nodeOfGroup.lookup_or(group, -1);
      else
        source = nodeOfOp.lookup_or(def, -1);
      if (source >= 0 && source != int(number) &&
          sources.insert(source).second) {
        users[source].push_back(number);
        ++waits[number];
      }
    }
  }
  std::priority_queue<std::pair<int, int>, std::vector<std::pair<int, int>>,
                      std::greater<std::pair<int, int>>>
      ready;
  for (size_t number = 0; number < nodes.size(); ++number)
    if (waits[number] == 0)
      ready.push({priority[number], int(number)});
  while (!ready.empty()) {
    int number = ready.top().second;
    ready.pop();
    steps.push_back(nodes[number]);
    for (int user : users[number])
      if (--waits[user] == 0)
        ready.push({priority[user], user});
  }
}

void BlockFormer::computeLastUses() {
  for (auto [number, step] : llvm::enumerate(steps)) {
    if (step.op && isViewLike(step.op))
      continue;
    for (Value input :
         step.group >= 0 ? inputsOf(groups[step.group]) : operandsOf(step.op))
      lastUses[baseOf(input)] = number;
  }
  for (Value value : block.getTerminator()->getOperands())
    lastUses[baseOf(value)] = steps.size();
}

//===----------------------------------------------------------------------===//
// Emission
//===----------------------------------------------------------------------===//

Place BlockFormer::emitCopy(Location loc, const Place &from, Value dest,
                            Value storage, StringAttr site) {
  OpBuilder b(builder.getContext());
  RankedTensorType type = typeOf(from.value);
  auto func = kernel::FuncOp::create(
      b, loc, b.getStringAttr("kernel"), b.getI64IntegerAttr(1),
      b.getDenseI64ArrayAttr({-1}),
      b.getArrayAttr({b.getDenseI64ArrayAttr(from.strides),
                      b.getDenseI64ArrayAttr(rowMajor(type.getShape()))}),
      b.getI64IntegerAttr(type.getNumElements() >= 16384 ? context.chunks : 1));
  Block *body = b.createBlock(&func.getBody(), {}, {type, type}, {loc, loc});
  kernel::YieldOp::create(b, loc, ValueRange(body->getArgument(0)));
  func->setAttr(scalarsAttrName, computeKernelScalars(func, context.mesh));
  func = context.table.insert(func, "copy");
  auto launch =
      kernel::LaunchOp::create(builder, loc, TypeRange(type), func.getSymName(),
                               ValueRange(from.value), ValueRange(dest), site);
  return own(launch.getResults()[0], storage);
}

Place BlockFormer::emitConstant(kernel::ConstantOp constant, StringAttr site) {
  Location loc = constant.getLoc();
  RankedTensorType type = typeOf(constant.getOutput());
  Value dest = emitEmpty(loc, type, site);
  auto elements = dyn_cast<DenseElementsAttr>(constant.getValue());
  if (elements && elements.isSplat()) {
    double value;
    if (isa<FloatType>(type.getElementType()))
      value = elements.getSplatValue<FloatAttr>().getValueAsDouble();
    else if (type.getElementType().isInteger(1))
      value = elements.getSplatValue<APInt>().getZExtValue();
    else
      value =
          static_cast<double>(elements.getSplatValue<APInt>().getSExtValue());
    auto fill = kernel::FillOp::create(builder, loc, type,
                                       builder.getF64FloatAttr(value), dest);
    return own(fill.getOutput(), dest);
  }
  kernel::FuncOp func =
      buildFunc({constant.getOperation()}, {}, {}, {constant.getOutput()});
  func.setChunks(1);
  func = context.table.insert(func, "constant");
  auto launch =
      kernel::LaunchOp::create(builder, loc, TypeRange(type), func.getSymName(),
                               ValueRange(), ValueRange(dest), site);
  return own(launch.getResults()[0], dest);
}

FailureOr<Place> BlockFormer::placeOf(Value value, Operation *user) {
  auto it = places.find(value);
  if (it != places.end())
    return it->second;
  if (auto constant = value.getDefiningOp<kernel::ConstantOp>()) {
    Place place = emitConstant(constant, siteOf(constant));
    places[value] = place;
    return place;
  }
  user->emitOpError("internal error: reads a value that no kernel has stored");
  return failure();
}

/// (SSA value, buffer) that receives a new value: its target, if nothing reads
/// what is there any more, or a new buffer.
std::pair<Value, Value>
BlockFormer::destinationOf(Value value, ArrayRef<Value> operandStorages,
                           Location loc, StringAttr site) {
  if (Value target = targetOf.lookup(value))
    if (lastUses.lookup_or(target, -1) < now &&
        !llvm::is_contained(operandStorages, target) &&
        target.getType() == value.getType())
      return {target, target};
  Value dest = emitEmpty(loc, value.getType(), site);
  return {dest, dest};
}

/// Makes the site keys of random numbers operands of the launch: a kernel that
/// is not known by its site serves all layers. Returns them in order of their
/// numbers.
static SmallVector<int64_t> takeSiteKeys(kernel::FuncOp func,
                                         dist::MeshAttr mesh) {
  llvm::SetVector<int64_t> keys;
  func.walk([&](kernel::RandomOp random) {
    int64_t key = static_cast<uint32_t>(random.getSiteKey());
    keys.insert(key);
    auto number = llvm::find(keys, key) - keys.begin();
    random.setSiteKey(static_cast<uint32_t>(number));
    random->setAttr(ofLaunchAttrName, UnitAttr::get(func.getContext()));
  });
  if (!keys.empty())
    func->setAttr(scalarsAttrName, computeKernelScalars(func, mesh));
  return keys.takeVector();
}

LogicalResult BlockFormer::emitGroup(Group &group) {
  SmallVector<Value> inputs = inputsOf(group),
                     outputs = outputsOf(group, -2, -2);
  // The group itself is not an outsider.
  int self = groupOf(group.anchors.front());
  outputs = outputsOf(group, self, self);
  if (outputs.empty())
    return success();
  Operation *main = group.anchors.front();
  for (Operation *anchor : group.anchors)
    if (positions.lookup(anchor) > positions.lookup(main))
      main = anchor;
  SmallVector<Place> inputPlaces;
  SmallVector<SmallVector<int64_t>> strides;
  SmallVector<Value> operands, storages;
  for (Value input : inputs) {
    FailureOr<Place> place = placeOf(input, main);
    if (failed(place))
      return failure();
    inputPlaces.push_back(*place);
    strides.push_back(place->strides);
    operands.push_back(place->value);
    storages.push_back(place->storage);
  }
  kernel::FuncOp func =
      buildFunc(group.ops.getArrayRef(), inputs, strides, outputs);
  KernelNest nest(func, context.mesh);
  if (failed(nest.analyze())) {
    func->erase();
    return main->emitOpError("cannot be made a kernel of");
  }
  bool expensive =
      llvm::any_of(nest.roots, [](const Root &root) { return root.expensive; });
  if (nest.getWork() * (expensive ? 4 : 1) < 16384)
    func.setChunks(1);

  // In place, first of all where the result has to end.
  SmallVector<int64_t> tied(outputs.size(), -1);
  auto tie = [&](bool toTarget) {
    for (auto [result, output] : llvm::enumerate(outputs)) {
      if (tied[result] >= 0)
        continue;
      Value target = targetOf.lookup(output);
      if (toTarget != bool(target))
        continue;
      for (auto [i, input] : llvm::enumerate(inputs)) {
        const Place &place = inputPlaces[i];
        if (input.getType() != output.getType() || place.isView() ||
            llvm::is_contained(tied, int64_t(i)) ||
            llvm::count(storages, place.storage) != 1 || lastUseOf(input) > now)
          continue;
        bool owned =
            toTarget ? place.storage == target
                     : localDef(input) && !isa<BlockArgument>(place.storage);
        if (owned && canTie(nest, i, inputs.size() + result)) {
          tied[result] = i;
          break;
        }
      }
    }
  };
  tie(true);
  tie(false);
  func.setTied(tied);

  StringAttr site = siteOf(main);
  SmallVector<Value> dests, destStorages;
  for (auto [result, output] : llvm::enumerate(outputs)) {
    if (tied[result] >= 0) {
      dests.push_back(inputPlaces[tied[result]].value);
      destStorages.push_back(inputPlaces[tied[result]].storage);
      continue;
    }
    SmallVector<Value> taken = storages;
    llvm::append_range(taken, destStorages);
    auto [dest, storage] = destinationOf(output, taken, main->getLoc(),
                                         siteOf(output.getDefiningOp()));
    dests.push_back(dest);
    destStorages.push_back(storage);
  }
  std::string name = nameOf(group);
  SmallVector<int64_t> siteKeys = takeSiteKeys(func, context.mesh);
  func = context.table.insert(func, name);
  auto launch = kernel::LaunchOp::create(
      builder, main->getLoc(), TypeRange(ValueRange(outputs)),
      func.getSymName(), operands, dests, site);
  if (!siteKeys.empty())
    launch->setAttr(siteKeysAttrName, builder.getDenseI64ArrayAttr(siteKeys));
  for (auto [result, output] : llvm::enumerate(outputs))
    places[output] = own(launch.getResults()[result], destStorages[result]);
  return success();
}

LogicalResult BlockFormer::emitContract(kernel::GenericOp op) {
  FailureOr<Place> lhs = placeOf(op.getInputs()[0], op),
                   rhs = placeOf(op.getInputs()[1], op);
  if (failed(lhs) || failed(rhs))
    return failure();
  StringAttr site = siteOf(op);
  Value result = op.getOutputs()[0], dest, storage;
  Value accumulator = accumulators.lookup(op);
  if (accumulator) {
    FailureOr<Place> place = placeOf(accumulator, op);
    if (failed(place))
      return failure();
    dest = place->value;
    storage = place->storage;
  } else {
    std::tie(dest, storage) =
        destinationOf(result, {lhs->storage, rhs->storage}, op.getLoc(), site);
  }
  auto contract = kernel::ContractOp::create(
      builder, op.getLoc(), result.getType(), lhs->value, rhs->value, dest,
      op.getMapsAttr(), accumulator ? builder.getUnitAttr() : UnitAttr(), site);
  places[result] = own(contract.getOutput(), storage);
  return success();
}

/// Strides of a reshape of strided memory without a copy, or nothing: groups of
/// dims of equal size must be contiguous in themselves.
std::optional<SmallVector<int64_t>> reshapeStrides(ArrayRef<int64_t> from,
                                                   ArrayRef<int64_t> strides,
                                                   ArrayRef<int64_t> to) {
  SmallVector<int64_t> oldShape, oldStrides;
  for (auto [size, stride] : llvm::zip(from, strides))
    if (size != 1) {
      oldShape.push_back(size);
      oldStrides.push_back(stride);
    }
  SmallVector<int64_t> result(to.size(), 1);
  size_t oldFirst = 0, newFirst = 0;
  while (newFirst < to.size() && oldFirst < oldShape.size()) {
    int64_t newSize = to[newFirst], oldSize = oldShape[oldFirst];
    size_t newLast = newFirst + 1, oldLast = oldFirst + 1;
    while (newSize != oldSize) {
      if (newSize < oldSize) {
        if (newLast == to.size())
          return std::nullopt;
        newSize *= to[newLast++];
      } else {
        if (oldLast == oldShape.size())
          return std::nullopt;
        oldSize *= oldShape[oldLast++];
      }
    }
    for (size_t i = oldFirst; i + 1 < oldLast; ++i)
      if (oldStrides[i] != oldStrides[i + 1] * oldShape[i + 1])
        return std::nullopt;
    int64_t stride = oldStrides[oldLast - 1];
    for (size_t i = newLast; i-- > newFirst;) {
      result[i] = stride;
      stride *= to[i];
    }
    newFirst = newLast;
    oldFirst = oldLast;
  }
  return result;
}

LogicalResult BlockFormer::emitView(Operation *op) {
  FailureOr<Place> input = placeOf(op->getOperand(0), op);
  if (failed(input))
    return failure();
  Place place = *input;
  Value output = op->getResult(0);
  SmallVector<int64_t> strides = place.strides;
  if (auto transpose = dyn_cast<kernel::TransposeOp>(op)) {
    for (auto [dim, from] : llvm::enumerate(transpose.getPermutation()))
      strides[dim] = place.strides[from];
  } else if (auto slice = dyn_cast<kernel::SliceOp>(op)) {
    for (auto [dim, offset] : llvm::enumerate(slice.getOffsets()))
      place.offset += offset * strides[dim];
  } else {
    ArrayRef<int64_t> to = typeOf(output).getShape();
    std::optional<SmallVector<int64_t>> reshaped;
    if (place.isContiguous())
      reshaped = rowMajor(to);
    else
      reshaped = reshapeStrides(typeOf(place.value).getShape(), strides, to);
    if (!reshaped) {
      StringAttr site = siteOf(op);
      Value dest = emitEmpty(op->getLoc(), place.value.getType(), site);
      place = emitCopy(op->getLoc(), place, dest, dest, site);
      reshaped = rowMajor(to);
    }
    strides = *reshaped;
  }
  if (place.value.getType() == output.getType() && strides == place.strides &&
      place.offset == input->offset) {
    places[output] = place;
    return success();
  }
  auto view = kernel::ViewOp::create(builder, op->getLoc(), output.getType(),
                                     place.base,
                                     builder.getI64IntegerAttr(place.offset),
                                     builder.getDenseI64ArrayAttr(strides));
  places[output] = {view.getOutput(), place.storage, place.base, place.offset,
                    strides};
  return success();
}

LogicalResult BlockFormer::emitCollective(Operation *op) {
  StringAttr site = siteOf(op);
  SmallVector<Value> inputs, inputStorages, dests, storages;
  for (Value operand : op->getOperands()) {
    FailureOr<Place> input = placeOf(operand, op);
    if (failed(input))
      return failure();
    if (!input->isContiguous()) {
      Value dest = emitEmpty(op->getLoc(), input->value.getType(), site);
      *input = emitCopy(op->getLoc(), *input, dest, dest, site);
    }
    inputs.push_back(input->value);
    inputStorages.push_back(input->storage);
  }
  // No result may lie where any tensor is still read from.
  for (Value result : op->getResults()) {
    auto [dest, storage] =
        destinationOf(result, inputStorages, op->getLoc(), site);
    dests.push_back(dest);
    storages.push_back(storage);
  }
  OperationState state(op->getLoc(), op->getName());
  state.addOperands(inputs);
  state.addOperands(dests);
  state.addTypes(op->getResultTypes());
  for (NamedAttribute attr : op->getAttrs())
    if (!llvm::is_contained(
            {StringRef(pieceSiteAttrName), StringRef(pieceOriginAttrName),
             StringRef(pieceTaskAttrName), StringRef("operandSegmentSizes")},
            attr.getName().getValue()))
      state.addAttribute(attr.getName(), attr.getValue());
  auto count = static_cast<int32_t>(inputs.size());
  state.addAttribute("operandSegmentSizes",
                     builder.getDenseI32ArrayAttr({count, count}));
  Operation *collective = builder.create(state);
  for (auto [i, result] : llvm::enumerate(op->getResults()))
    places[result] = own(collective->getResult(i), storages[i]);
  return success();
}

LogicalResult BlockFormer::emitLoop(dist::MicroBatchesOp loop) {
  SmallVector<Value> inits, storages;
  DenseMap<Value, int> given;
  for (Value init : loop.getInits())
    ++given[init];
  DenseSet<Value> taken;
  for (Value init : loop.getInits()) {
    StringAttr site = init.getDefiningOp()
                          ? siteOf(init.getDefiningOp())
                          : builder.getStringAttr("accumulator");
    // Each accumulator has a buffer of its own from the start.
    if (auto constant = init.getDefiningOp<kernel::ConstantOp>()) {
      Place place = emitConstant(constant, site);
      inits.push_back(place.value);
      storages.push_back(place.storage);
      taken.insert(place.storage);
      continue;
    }
    FailureOr<Place> place = placeOf(init, loop);
    if (failed(place))
      return failure();
    bool free = !place->isView() && localDef(init) &&
                !isa<BlockArgument>(place->storage) && lastUseOf(init) <= now &&
                given.lookup(init) == 1 && !taken.contains(place->storage);
    if (!free) {
      Value dest = emitEmpty(loop.getLoc(), init.getType(), site);
      *place = emitCopy(loop.getLoc(), *place, dest, dest, site);
    }
    inits.push_back(place->value);
    storages.push_back(place->storage);
    taken.insert(place->storage);
  }
  auto result = dist::MicroBatchesOp::create(builder, loop.getLoc(),
                                             loop.getResultTypes(), inits);
  for (NamedAttribute attr : loop->getDiscardableAttrs())
    result->setDiscardableAttr(attr.getName(), attr.getValue());
  result.getBody().takeBody(loop.getBody());
  Block &body = result.getBody().front();
  SmallVector<Value> targets(body.getArguments().begin(),
                             body.getArguments().end());
  for (Value argument : targets)
    places[argument] = own(argument, argument);
  if (failed(BlockFormer(body, context, /*ownsArguments=*/true).run(targets)))
    return failure();
  for (auto [old, value, storage] :
       llvm::zip_equal(loop.getResults(), result.getResults(), storages))
    places[old] = own(value, storage);
  return success();
}

LogicalResult BlockFormer::emitTerminator(ArrayRef<Value> targets) {
  Operation *terminator = block.getTerminator();
  SmallVector<Value> results;
  DenseSet<Value> used;
  for (auto [index, value] : llvm::enumerate(terminator->getOperands())) {
    FailureOr<Place> place = placeOf(value, terminator);
    if (failed(place))
      return failure();
    StringAttr site = value.getDefiningOp() ? siteOf(value.getDefiningOp())
                                            : builder.getStringAttr("result");
    if (Value target = targets[index]) {
      if (place->storage != target || place->isView())
        *place = emitCopy(terminator->getLoc(), *place, target, target, site);
    } else if (place->isView() || isa<BlockArgument>(place->storage) ||
               used.contains(place->storage)) {
      Value dest = emitEmpty(terminator->getLoc(), value.getType(), site);
      *place = emitCopy(terminator->getLoc(), *place, dest, dest, site);
    }
    used.insert(place->storage);
    results.push_back(place->value);
  }
  terminator->setOperands(results);
  return success();
}

LogicalResult BlockFormer::run(ArrayRef<Value> targets) {
  // Constants are folded into what reads them: each block has its own.
  for (Operation &op : block)
    for (Region &region : op.getRegions())
      if (isa<dist::MicroBatchesOp>(op))
        for (Block &inner : region) {
          DenseMap<Operation *, Operation *> copies;
          inner.walk([&](Operation *user) {
            for (OpOperand &operand : user->getOpOperands()) {
              auto constant = operand.get().getDefiningOp<kernel::ConstantOp>();
              if (!constant || constant->getBlock() != &block)
                continue;
              Operation *&copy = copies[constant];
              if (!copy) {
                copy = constant->clone();
                inner.push_front(copy);
              }
              operand.set(copy->getResult(0));
            }
          });
        }

  findAccumulations();
  classify();
  formGroups();
  mergeGroups();
  makeSchedule();
  computeLastUses();
  for (auto [value, target] :
       llvm::zip_equal(block.getTerminator()->getOperands(), targets))
    if (target)
      targetOf.try_emplace(value, target);

  SmallVector<Operation *> old;
  for (Operation &op : block.without_terminator())
    old.push_back(&op);
  builder.setInsertionPoint(block.getTerminator());
  for (now = 0; now < int(steps.size()); ++now) {
    Step step = steps[now];
    LogicalResult done = success();
    if (step.group >= 0)
      done = emitGroup(groups[step.group]);
    else if (auto loop = dyn_cast<dist::MicroBatchesOp>(step.op))
      done = emitLoop(loop);
    else if (isViewLike(step.op))
      done = emitView(step.op);
    else if (isCollective(step.op))
      done = emitCollective(step.op);
    else if (isContraction(step.op))
      done = emitContract(cast<kernel::GenericOp>(step.op));
    else
      done = step.op->emitOpError("is not an op that kernels are formed of");
    if (failed(done))
      return failure();
  }
  if (failed(emitTerminator(targets)))
    return failure();
  for (Operation *op : llvm::reverse(old)) {
    op->dropAllUses();
    op->erase();
  }
  // Views that only other views were made of.
  for (Operation &op : llvm::make_early_inc_range(llvm::reverse(block)))
    if (isa<kernel::ViewOp>(op) && op.use_empty())
      op.erase();
  return success();
}

//===----------------------------------------------------------------------===//
// The pass
//===----------------------------------------------------------------------===//

struct FormKernelsPass : impl::FormKernelsPassBase<FormKernelsPass> {
  using FormKernelsPassBase::FormKernelsPassBase;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    if (chunks < 1) {
      module.emitError(
          "weir-form-kernels: expects a positive number of chunks, got ")
          << static_cast<int64_t>(chunks);
      return signalPassFailure();
    }
    KernelTable table(module);
    SmallVector<FunctionOpInterface> programs;
    for (Operation &op : *module.getBody())
      if (isa<pipe::ProgramOp, graph::EntryOp>(op))
        programs.push_back(cast<FunctionOpInterface>(op));
    for (FunctionOpInterface program : programs) {
      Block &body = program.getFunctionBody().front();
      if (failed(expandToPieces(body)))
        return signalPassFailure();
      splitLargeReductions(body);
      // An updated variable ends in the argument's memory.
      StringRef variableName = graph::GraphDialect::getVariableAttrName();
      DenseMap<Attribute, Value> arguments;
      for (unsigned i = 0; i < program.getNumArguments(); ++i)
        if (Attribute variable = program.getArgAttr(i, variableName))
          arguments[variable] = body.getArgument(i);
      SmallVector<Value> targets;
      for (unsigned i = 0; i < program.getNumResults(); ++i)
        targets.push_back(
            arguments.lookup(program.getResultAttr(i, variableName)));
      Context context{table, dist::getMesh(module), chunks, fuse,
                      DenseMap<Value, Place>()};
      for (BlockArgument argument : body.getArguments())
        context.places[argument] = {argument, argument, argument, 0,
                                    rowMajor(typeOf(argument).getShape())};
      if (failed(
              BlockFormer(body, context, /*ownsArguments=*/false).run(targets)))
        return signalPassFailure();
    }
  }
};

} // namespace
} // namespace weir::compiler
