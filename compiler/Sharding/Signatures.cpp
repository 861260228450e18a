// SPDX-License-Identifier: Apache-2.0
#include "compiler/Sharding/Signatures.h"
#include "compiler/Sharding/PieceRules.h"

#include "mlir/IR/IRMapping.h"

using namespace mlir;
using namespace weir;
using namespace weir::compiler;
using dist::AxisLayout;
using dist::Reduction;

bool OpSignature::isBroadcast() const {
  auto broadcast = [](const AxisLayout &layout) {
    return layout.isBroadcast();
  };
  return llvm::all_of(operands, broadcast) && llvm::all_of(results, broadcast);
}

bool OpSignature::allows(int64_t parts) const {
  return llvm::all_of(mustDivide,
                      [&](int64_t size) { return size % parts == 0; });
}

std::optional<OpSignature> OpSignature::inUnits(int64_t factor) const {
  if (factor < 1 || (factor > 1 && (atoms < 1 || atoms % factor != 0)))
    return std::nullopt;
  OpSignature scaled = *this;
  auto scale = [&](AxisLayout &layout) {
    if (layout.isSplit())
      layout.unit *= factor;
  };
  llvm::for_each(scaled.operands, scale);
  llvm::for_each(scaled.results, scale);
  scaled.atoms = atoms / factor;
  return scaled;
}

bool OpSignature::covers(const OpSignature &other) const {
  if (sameLayouts(other))
    return true;
  auto unitOf = [](const OpSignature &signature) -> int64_t {
    for (const AxisLayout &layout : signature.operands)
      if (layout.isSplit())
        return layout.unit;
    for (const AxisLayout &layout : signature.results)
      if (layout.isSplit())
        return layout.unit;
    return 1;
  };
  if (unitOf(other) % unitOf(*this) != 0)
    return false;
  std::optional<OpSignature> scaled = inUnits(unitOf(other) / unitOf(*this));
  return scaled && scaled->sameLayouts(other);
}

llvm::raw_ostream &weir::compiler::operator<<(llvm::raw_ostream &os,
                                              const OpSignature &signature) {
  llvm::interleaveComma(signature.operands, os);
  os << " -> ";
  llvm::interleaveComma(signature.results, os);
  if (signature.isProgram())
    os << " by '" << signature.program << "'";
  return os;
}

namespace {

/// The pieces of one op in a block of pieces, and what they read and make.
struct ExpandedOp {
  Operation *op;
  SmallVector<Value> operands, results;
  SmallVector<Operation *> pieces;
};

/// Emits the pieces of `op` on `operands` at the end of `block`.
ExpandedOp expandInto(Block &block, Operation *op, ValueRange operands) {
  OpBuilder builder(op->getContext());
  builder.setInsertionPointToEnd(&block);
  ExpandedOp expanded;
  expanded.op = op;
  expanded.operands.assign(operands.begin(), operands.end());
  Operation *last = block.empty() ? nullptr : &block.back();
  if (auto expandable = dyn_cast<graph::ExpandOpInterface>(op)) {
    expanded.results = expandable.expand(builder, operands);
  } else {
    Operation *piece = builder.clone(*op);
    piece->setOperands(operands);
    expanded.results.assign(piece->result_begin(), piece->result_end());
  }
  for (Operation *piece = last            ? last->getNextNode()
                          : block.empty() ? nullptr
                                          : &block.front();
       piece; piece = piece->getNextNode())
    expanded.pieces.push_back(piece);
  return expanded;
}

void clear(Block &block) {
  while (!block.empty())
    block.back().erase();
}

/// The op itself on the arguments of `block`, with these result types.
Operation *cloneOnto(Block &block, Operation *op, TypeRange resultTypes) {
  OpBuilder builder(op->getContext());
  builder.setInsertionPointToEnd(&block);
  Operation *clone = builder.clone(*op);
  clone->setOperands(block.getArguments());
  for (auto [result, type] : llvm::zip_equal(clone->getResults(), resultTypes))
    result.setType(type);
  // A constant's value is of its type: a splat has any.
  if (op->getNumOperands() == 0)
    if (auto elements = op->getAttrOfType<DenseElementsAttr>("value"))
      if (elements.isSplat())
        clone->setAttr("value",
                       elements.resizeSplat(cast<ShapedType>(resultTypes[0])));
  return clone;
}

/// Derives the signatures of a block of pieces, taken as one op.
class Derivation {
public:
  Derivation(Block &block, ValueRange results, ArrayRef<ExpandedOp> ops,
             dist::MeshAttr mesh)
      : block(block), results(results), ops(ops), mesh(mesh),
        classes(block, mesh) {
    for (Operation &op : block)
      if (auto work = PieceRules::get().lookup(&op).work)
        totalWork += work(&op);
    for (BlockArgument argument : block.getArguments())
      unread.push_back(isUnread(argument));
  }

  void run(OpRules &rules) {
    rules.work = totalWork;
    rules.isGenerator = isGenerator();
    SmallVector<AxisLayout> broadcast(block.getNumArguments());
    add(rules, evaluate(broadcast, {}, 0));
    SmallVector<Value> outer(block.getArguments().begin(),
                             block.getArguments().end());
    outer.append(results.begin(), results.end());
    SmallVector<unsigned> roots = classes.getClasses(outer);
    for (unsigned root : roots)
      addSplits(rules, root, [](const AxisLayout &) { return false; });
    for (Reduction reduction : reductions)
      for (uint64_t set : partialSets(broadcast))
        add(rules, evaluate(withPartial(broadcast, set, reduction), {}, 0));
    // Terms that a split loop makes may meet terms that an operand brings.
    for (unsigned root : roots)
      addSplits(rules, root,
                [](const AxisLayout &layout) { return layout.isBroadcast(); });
    addUnread(rules);
  }

private:
  static constexpr Reduction reductions[] = {Reduction::Sum, Reduction::Max,
                                             Reduction::Min};

  static void add(OpRules &rules, std::optional<OpSignature> signature) {
    if (!signature)
      return;
    for (const OpSignature &known : rules.signatures)
      if (known.sameLayouts(*signature))
        return;
    rules.signatures.push_back(std::move(*signature));
  }

  /// Whether nothing reads the elements of a value, its shape alone.
  static bool isUnread(Value value) {
    return llvm::all_of(value.getUses(), [](OpOperand &use) {
      auto generic = dyn_cast<kernel::GenericOp>(use.getOwner());
      return generic && generic.getBodyBlock()
                            ->getArgument(use.getOperandNumber())
                            .use_empty();
    });
  }

  /// Only copies of operand elements, constants and indices, and more elements
  /// out than in.
  bool isGenerator() {
    if (totalWork > 0)
      return false;
    int64_t in = 0, out = 0;
    for (BlockArgument argument : block.getArguments())
      in += cast<RankedTensorType>(argument.getType()).getNumElements();
    for (Value result : results)
      out += cast<RankedTensorType>(result.getType()).getNumElements();
    for (Operation &op : block)
      if (!isa<kernel::GenericOp, kernel::ConstantOp>(op))
        return false;
    return in < out;
  }

  /// A value's type when one more axis splits it as `layout` says.
  static Type splitOnce(Type type, const AxisLayout &layout, int64_t axis) {
    if (!layout.isSplit())
      return type;
    auto tensor = cast<RankedTensorType>(type);
    SmallVector<int64_t> shape(tensor.getShape());
    SmallVector<dist::ShardDim> dims;
    if (auto shard = dyn_cast_or_null<dist::ShardAttr>(tensor.getEncoding()))
      dims.assign(shard.getDims().begin(), shard.getDims().end());
    else
      for (int64_t size : shape)
        dims.push_back({size, {}});
    int64_t &size = shape[layout.dim];
    size = dist::capacityOf(size / layout.unit, 2) * layout.unit;
    dims[layout.dim].axes.push_back(axis);
    dims[layout.dim].unit = layout.unit;
    return RankedTensorType::get(shape, tensor.getElementType(),
                                 dist::ShardAttr::get(type.getContext(), dims));
  }

  /// Whether the ops' expansions on local types are the pieces that were
  /// evaluated: some make intermediate dimensions of an attribute's size, which
  /// no layout of operands and results can split.
  bool expandsAlike(const LayoutEvaluation &layouts) {
    int64_t axis = mesh ? mesh.getNumAxes() : 0;
    for (const ExpandedOp &original : ops) {
      Block source, pieces;
      auto localTypes = [&](ValueRange values) {
        SmallVector<Type> types;
        for (Value value : values)
          types.push_back(splitOnce(value.getType(), layouts.get(value), axis));
        return types;
      };
      SmallVector<Location> locs(original.operands.size(),
                                 original.op->getLoc());
      SmallVector<Type> operandTypes = localTypes(original.operands);
      source.addArguments(operandTypes, locs);
      pieces.addArguments(operandTypes, locs);
      Operation *local =
          cloneOnto(source, original.op, localTypes(original.results));
      ExpandedOp expanded = expandInto(pieces, local, pieces.getArguments());
      bool alike = expanded.pieces.size() == original.pieces.size();
      for (size_t i = 0; alike && i < expanded.pieces.size(); ++i) {
        Operation *a = original.pieces[i], *b = expanded.pieces[i];
        alike = a->getName() == b->getName() &&
                a->getNumResults() == b->getNumResults() &&
                llvm::equal(localTypes(a->getResults()), b->getResultTypes());
      }
      clear(pieces);
      clear(source);
      if (!alike)
        return false;
    }
    return true;
  }

  /// Evaluates operand layouts forwards through the pieces where the axis
  /// splits class `root` in `atoms` runs. Returns the signature when it is
  /// consistent.
  std::optional<OpSignature> evaluate(ArrayRef<AxisLayout> operands,
                                      std::optional<unsigned> root,
                                      int64_t atoms) {
    LayoutEvaluation layouts(classes, root, atoms);
    OpSignature signature;
    for (auto [argument, layout] :
         llvm::zip_equal(block.getArguments(), operands)) {
      layouts.set(argument, layout);
      signature.operands.push_back(layout);
    }
    for (Operation &op : block)
      if (!PieceRules::get().lookup(&op).evaluate(&op, layouts))
        return std::nullopt;
    for (Value result : results)
      signature.results.push_back(layouts.get(result));
    if (root) {
      auto [known, isNew] = alike.try_emplace({*root, atoms}, false);
      if (isNew)
        known->second = expandsAlike(layouts);
      if (!known->second)
        return std::nullopt;
    }
    signature.splitWork = layouts.splitWork;
    return signature;
  }

  /// Adds the signatures that split class `root`: plain, and in atoms where
  /// that is not the same. With `mayBePartial` the operands for which it holds
  /// bring terms besides.
  void addSplits(OpRules &rules, unsigned root,
                 function_ref<bool(const AxisLayout &)> mayBringTerms) {
    ClassShape shape = classes.shapeOfClass(root);
    auto addAll = [&](int64_t atoms, int64_t mustDivide, int64_t scales) {
      SmallVector<AxisLayout> layouts;
      for (BlockArgument argument : block.getArguments()) {
        std::optional<AxisLayout> layout =
            classes.layoutIn(argument, root, atoms);
        if (!layout)
          return;
        layouts.push_back(*layout);
      }
      auto addOne = [&](ArrayRef<AxisLayout> operands) {
        std::optional<OpSignature> signature = evaluate(operands, root, atoms);
        if (!signature)
          return;
        if (mustDivide > 0)
          signature->mustDivide.push_back(mustDivide);
        signature->atoms = scales;
        add(rules, std::move(signature));
      };
      if (!mayBringTerms(AxisLayout::broadcast()))
        return addOne(layouts);
      for (Reduction reduction : reductions)
        for (uint64_t set : partialSets(layouts))
          addOne(withPartial(layouts, set, reduction));
    };
    if (shape.allowsPlain)
      addAll(0, shape.uniform ? 0 : shape.plainAtoms,
             shape.uniform && !shape.fixed ? shape.plainAtoms : 1);
    if (shape.allowsAtoms && !shape.uniform && shape.atoms > 1)
      addAll(shape.atoms, 0, shape.fixed ? 1 : shape.atoms);
  }

  /// An operand whose elements nothing reads may hold terms of anything; one
  /// that gives no shape either may be split at will.
  void addUnread(OpRules &rules) {
    for (auto [i, argument] : llvm::enumerate(block.getArguments())) {
      if (!unread[i])
        continue;
      SmallVector<AxisLayout> others;
      if (argument.use_empty())
        for (int64_t d = 0, e = classes.rankOf(argument); d < e; ++d)
          others.push_back(
              AxisLayout::split(d, classes.shapeOf(argument, d).unit));
      if (mayBePartial(elementType(argument)))
        for (Reduction reduction : reductions)
          others.push_back(AxisLayout::partial(reduction));
      // Signatures made for one unread operand are varied by the next.
      for (size_t s = 0, e = rules.signatures.size(); s < e; ++s)
        for (const AxisLayout &layout : others) {
          OpSignature variant = rules.signatures[s];
          if (!variant.operands[i].isBroadcast())
            continue;
          variant.operands[i] = layout;
          add(rules, std::move(variant));
        }
    }
  }

  static Type elementType(Value value) {
    return cast<RankedTensorType>(value.getType()).getElementType();
  }

  /// Sets of the operands that `layouts` leaves broadcast and that are partial
  /// together, as bits: all of them for few operands, else single ones, pairs
  /// and the whole.
  SmallVector<uint64_t> partialSets(ArrayRef<AxisLayout> layouts) {
    SmallVector<unsigned> eligible;
    for (auto [i, argument] : llvm::enumerate(block.getArguments()))
      if (i < 64 && layouts[i].isBroadcast() && !unread[i] &&
          mayBePartial(elementType(argument)))
        eligible.push_back(i);
    SmallVector<uint64_t> sets;
    auto bit = [&](unsigned i) { return uint64_t(1) << eligible[i]; };
    size_t n = eligible.size();
    if (n <= 6) {
      for (uint64_t choice = 1; choice < uint64_t(1) << n; ++choice) {
        uint64_t set = 0;
        for (size_t i = 0; i < n; ++i)
          if ((choice >> i) & 1)
            set |= bit(i);
        sets.push_back(set);
      }
      return sets;
    }
    uint64_t all = 0;
    for (size_t i = 0; i < n; ++i) {
      sets.push_back(bit(i));
      all |= bit(i);
    }
    if (n <= 16)
      for (size_t i = 0; i < n; ++i)
        for (size_t j = i + 1; j < n; ++j)
          sets.push_back(bit(i) | bit(j));
    sets.push_back(all);
    return sets;
  }

  static SmallVector<AxisLayout>
  withPartial(ArrayRef<AxisLayout> layouts, uint64_t set, Reduction reduction) {
    SmallVector<AxisLayout> out(layouts);
    for (size_t i = 0, e = std::min<size_t>(out.size(), 64); i < e; ++i)
      if ((set >> i) & 1)
        out[i] = AxisLayout::partial(reduction);
    return out;
  }

  Block &block;
  ValueRange results;
  ArrayRef<ExpandedOp> ops;
  dist::MeshAttr mesh;
  DimensionClasses classes;
  SmallVector<bool> unread;
  /// Of a class and its atoms: whether expansions on local types are the same.
  llvm::DenseMap<std::pair<unsigned, int64_t>, bool> alike;
  double totalWork = 0;
};

void deriveRules(Operation *op, TypeRange operandTypes, TypeRange resultTypes,
                 dist::MeshAttr mesh, OpRules &rules) {
  Region region;
  Block &source = region.emplaceBlock();
  Block &pieces = region.emplaceBlock();
  for (Type type : operandTypes) {
    source.addArgument(type, op->getLoc());
    pieces.addArgument(type, op->getLoc());
  }
  // The op itself on these types; its expansion goes to a block of its own.
  Operation *clone = cloneOnto(source, op, resultTypes);
  {
    ExpandedOp expanded = expandInto(pieces, clone, pieces.getArguments());
    Derivation(pieces, expanded.results, expanded, mesh).run(rules);
  }
  if (auto split = dyn_cast<graph::SplitProgramOpInterface>(clone))
    for (graph::SplitProgram &program : split.getSplitPrograms()) {
      OpSignature &signature = rules.signatures.emplace_back();
      signature.operands = std::move(program.operands);
      signature.results = std::move(program.results);
      signature.program = std::move(program.name);
      signature.messages.assign(program.messages.begin(),
                                program.messages.end());
      signature.splitWork = rules.work; // programs divide all there is
    }
  clear(pieces);
  clear(source);
}

} // namespace

SignatureAnalysis::SignatureAnalysis(dist::MeshAttr mesh) : mesh(mesh) {}
SignatureAnalysis::~SignatureAnalysis() = default;

const OpRules &SignatureAnalysis::getRules(Operation *op) {
  return getRules(op, op->getOperandTypes(), op->getResultTypes());
}

const OpRules &SignatureAnalysis::getRules(Operation *op,
                                           TypeRange operandTypes,
                                           TypeRange resultTypes) {
  // Types and attributes are uniqued: their addresses are the key's bytes. The
  // map is looked up, never iterated.
  SmallVector<const void *, 24> key;
  key.push_back(op->getName().getAsOpaquePointer());
  NamedAttrList inherent;
  op->getName().populateInherentAttrs(op, inherent);
  for (NamedAttribute attribute : inherent) {
    if (attribute.getName() == "site")
      continue;
    key.push_back(attribute.getName().getAsOpaquePointer());
    key.push_back(attribute.getValue().getAsOpaquePointer());
  }
  key.push_back(nullptr);
  for (Type type : operandTypes)
    key.push_back(type.getAsOpaquePointer());
  key.push_back(nullptr);
  for (Type type : resultTypes)
    key.push_back(type.getAsOpaquePointer());
  StringRef bytes(reinterpret_cast<const char *>(key.data()),
                  key.size() * sizeof(key[0]));
  std::unique_ptr<OpRules> &rules = cache[bytes];
  if (!rules) {
    rules = std::make_unique<OpRules>();
    deriveRules(op, operandTypes, resultTypes, mesh, *rules);
  }
  return *rules;
}

SmallVector<OpSignature, 8>
weir::compiler::deriveSignatures(Operation *op, dist::MeshAttr mesh) {
  SignatureAnalysis analysis(mesh);
  SmallVector<OpSignature, 8> signatures = analysis.getRules(op).signatures;
  llvm::erase_if(signatures, [](const OpSignature &signature) {
    return signature.isProgram();
  });
  return signatures;
}

OpRules weir::compiler::deriveBlockRules(Block &block, ValueRange results,
                                         dist::MeshAttr mesh) {
  Region region;
  Block &pieces = region.emplaceBlock();
  IRMapping mapping;
  for (BlockArgument argument : block.getArguments())
    mapping.map(argument,
                pieces.addArgument(argument.getType(), argument.getLoc()));
  SmallVector<ExpandedOp> ops;
  for (Operation &op : block) {
    if (op.hasTrait<OpTrait::IsTerminator>())
      continue;
    SmallVector<Value> operands;
    for (Value operand : op.getOperands())
      operands.push_back(mapping.lookup(operand));
    ops.push_back(expandInto(pieces, &op, operands));
    mapping.map(op.getResults(), ops.back().results);
  }
  SmallVector<Value> wanted;
  for (Value result : results)
    wanted.push_back(mapping.lookup(result));
  OpRules rules;
  Derivation(pieces, wanted, ops, mesh).run(rules);
  clear(pieces);
  return rules;
}
