// SPDX-License-Identifier: Apache-2.0
#include "compiler/Sharding/AxisDecision.h"
#include "compiler/Sharding/Passes.h"
#include "dialects/Graph/Annotations.h"

#include <optional>

namespace weir::compiler {
#define GEN_PASS_DEF_PROPAGATELAYOUTSPASS
#include "compiler/Sharding/Passes.h.inc"
} // namespace weir::compiler

using namespace mlir;
using namespace weir;
using namespace weir::compiler;
using dist::AxisLayout;
using dist::LayoutAttr;

namespace {

/// Where a strategy splits variables to divide the work on them, the work goes
/// to the variables.
constexpr double splitVariableFactor = 64;

AttentionRule attentionRuleOf(Strategy strategy) {
  switch (strategy) {
  case Strategy::Ulysses:
    return AttentionRule::Heads;
  case Strategy::Context:
  case Strategy::ContextZigzag:
    return AttentionRule::Queries;
  case Strategy::Ring:
  case Strategy::RingZigzag:
    return AttentionRule::Ring;
  default:
    return AttentionRule::Any;
  }
}

class PropagateLayouts
    : public compiler::impl::PropagateLayoutsPassBase<PropagateLayouts> {
public:
  using PropagateLayoutsPassBase::PropagateLayoutsPassBase;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    mesh = dist::getMesh(module);
    if (!mesh)
      return;
    MLIRContext *context = &getContext();
    numAxes = mesh.getNumAxes();
    FailureOr<GivenPlan> given = readPlan(module, mesh, strategies, overrides);
    if (failed(given))
      return signalPassFailure();
    plan = std::move(*given);
    SignatureAnalysis analysis(mesh);
    FailureOr<llvm::StringMap<LayoutAttr>> decided =
        decideVariables(module, mesh, plan, analysis);
    if (failed(decided))
      return signalPassFailure();
    variables = std::move(*decided);

    bool ok = true;
    for (auto entry : module.getOps<graph::EntryOp>()) {
      EntryLayouts layouts(entry, numAxes);
      if (failed(bindEntry(layouts)) ||
          failed(decideEntry(layouts, analysis))) {
        ok = false;
        continue;
      }
      writeEntry(layouts, context);
    }
    // A pattern of variables and ops that meets neither is a typing error.
    for (const NamedLayout &item : plan.layouts)
      if (!item.used) {
        if (item.namesOps)
          module.emitError(
              "expects an override that matches a variable or an op, got '")
              << item.text << "'";
        else
          module.emitError("layouts: '")
              << item.text << "' matches no variable";
        ok = false;
      }
    if (!ok)
      signalPassFailure();
  }

private:
  LogicalResult bindEntry(EntryLayouts &layouts) {
    graph::EntryOp entry = layouts.entry;
    Block &block = entry.getBody().front();
    bool ok = true;
    for (Operation *op : layouts.ops) {
      if (!isa<graph::ExpandOpInterface>(op)) {
        op->emitError("expects a compute op of the graph dialect in entry '@")
            << entry.getSymName() << "', got '" << op->getName() << "'";
        ok = false;
      }
      StringRef name = nameOf(op);
      if (!name.empty())
        for (NamedLayout &candidate : plan.layouts)
          if (candidate.namesOps && !candidate.used)
            candidate.used = candidate.matches(name);
    }
    for (unsigned i = 0, e = block.getNumArguments(); i < e; ++i) {
      StringRef name = entry.getArgumentVariable(i);
      if (!name.empty()) {
        llvm::copy(variables.lookup(name).getAxes(),
                   layouts.argument(i).begin());
        continue;
      }
      auto wanted = entry.getArgAttrOfType<LayoutAttr>(
          i, dist::DistDialect::getLayoutAttrName());
      if (!wanted)
        continue;
      auto type = cast<RankedTensorType>(block.getArgument(i).getType());
      if (wanted.getAxes().size() != numAxes || wanted.hasPartial() ||
          llvm::any_of(wanted.getAxes(), [&](const AxisLayout &axis) {
            return axis.isSplit() && axis.dim >= type.getRank();
          })) {
        entry.emitOpError("expects a layout of splits of argument ")
            << i << " for each mesh axis, got " << wanted;
        ok = false;
        continue;
      }
      if (!wanted.isBroadcast())
        layouts.entryLayouts[i] = wanted;
    }
    for (unsigned i = 0, e = block.getTerminator()->getNumOperands(); i < e;
         ++i) {
      StringRef name = entry.getResultVariable(i);
      if (name.empty())
        continue;
      layouts.updates = true;
      llvm::copy(variables.lookup(name).getAxes(), layouts.returned(i).begin());
    }
    collectHints(layouts);
    return success(ok);
  }

  /// Of an update's results, the one that is split most: where optimizer state
  /// is split, the gradient goes there and the parameter follows.
  static ArrayRef<AxisLayout> mostSplit(std::optional<ArrayRef<AxisLayout>> a,
                                        ArrayRef<AxisLayout> b) {
    auto splits = [](ArrayRef<AxisLayout> layout) {
      return llvm::count_if(layout,
                            [](const AxisLayout &l) { return l.isSplit(); });
    };
    return a && splits(*a) >= splits(b) ? *a : b;
  }

  /// An op that reads a variable and returns its update works in the variable's
  /// layout; the other operands of that shape (gradients) end in it, and so do
  /// the terms that element-wise ops make these from.
  void collectHints(EntryLayouts &layouts) {
    for (auto it = layouts.ops.rbegin(); it != layouts.ops.rend(); ++it) {
      Operation *op = *it;
      std::optional<ArrayRef<AxisLayout>> hint;
      Type type;
      for (OpResult result : op->getResults()) {
        for (OpOperand &use : result.getUses())
          if (use.getOwner()->hasTrait<OpTrait::IsTerminator>() &&
              !layouts.entry.getResultVariable(use.getOperandNumber()).empty())
            hint = mostSplit(hint, layouts.returned(use.getOperandNumber()));
        auto known = layouts.hints.find(result);
        if (known != layouts.hints.end() &&
            op->hasTrait<OpTrait::Elementwise>())
          hint = known->second;
        if (hint)
          type = result.getType();
      }
      if (!hint)
        continue;
      for (Value operand : op->getOperands())
        if (operand.getType() == type && operand.getDefiningOp())
          layouts.hints.try_emplace(operand, *hint);
    }
  }

  /// Which dims the caller's tensors' dim `inputDim` runs along, as far as ops
  /// can keep it split over `axis`; variables count as whole.
  LogicalResult preliminary(EntryLayouts &layouts, SignatureAnalysis &analysis,
                            unsigned axis, int64_t inputDim,
                            llvm::DenseMap<Value, int64_t> &splits) {
    AxisOptions options;
    options.axis = axis;
    options.preliminary = true;
    options.splits = &splits;
    options.inputDim = inputDim;
    options.layouts = plan.layouts;
    options.emitErrors = false;
    if (inputDim > 0)
      options.attention = AttentionRule::Queries;
    LogicalResult result = decideAxis(layouts, analysis, mesh, options);
    layouts.resetAxis(axis);
    return result;
  }

  /// Takes an axis as weir-select-layouts decided it.
  LogicalResult adopt(EntryLayouts &layouts, unsigned axis) {
    for (auto [i, op] : llvm::enumerate(layouts.ops)) {
      auto signature = op->getAttrOfType<dist::SignatureAttr>(
          dist::DistDialect::getSignatureAttrName());
      if (!signature ||
          signature.getOperands().size() != op->getNumOperands() ||
          signature.getResults().size() != op->getNumResults())
        return op->emitError("expects ")
               << describe(op)
               << " to have the signature that weir-select-layouts found";
      for (auto [n, layout] : llvm::enumerate(signature.getOperands()))
        layouts.operand(i, n)[axis] = layout.getAxes()[axis];
      for (auto [n, layout] : llvm::enumerate(signature.getResults()))
        layouts.result(i, n)[axis] = layout.getAxes()[axis];
      layouts.programsOf(i)[axis] = programOf(op, mesh, axis);
    }
    return success();
  }

  LogicalResult decideEntry(EntryLayouts &layouts,
                            SignatureAnalysis &analysis) {
    int time = mesh.getTimeAxis();
    if (time >= 0 && plan.axes[time].micro) {
      // Which dims the micro-batches will split has to be known when the other
      // axes are decided: these must not be regathered within the loop.
      layouts.microBatched = succeeded(preliminary(layouts, analysis, time, 0,
                                                   layouts.timeSplit)) ||
                             layouts.updates;
      if (!layouts.microBatched)
        layouts.timeSplit.clear();
    }
    bool selected = getOperation()->hasAttr(layoutSearchAttr);
    for (unsigned axis = 0; axis < numAxes; ++axis) {
      if (selected && !mesh.isTime(axis)) {
        if (failed(adopt(layouts, axis)))
          return failure();
        continue;
      }
      Strategy strategy = plan.axes[axis].strategy;
      AxisOptions options;
      options.axis = axis;
      // The search, which comes behind this, fulfils what is wanted of its
      // axes.
      if (strategy != Strategy::Search)
        options.layouts = plan.layouts;
      options.attention = attentionRuleOf(strategy);
      if (splitsBatch(strategy) ||
          (plan.axes[axis].micro && layouts.microBatched))
        options.inputDim = 0;
      if (strategy == Strategy::Megatron || strategy == Strategy::MegatronSp ||
          strategy == Strategy::Redco)
        options.variableFactor = splitVariableFactor;
      options.splitClasses =
          strategy == Strategy::Megatron || strategy == Strategy::MegatronSp;
      // Gathered ahead of use, whatever that costs.
      if (strategy == Strategy::Zero3)
        options.variableFactor = 0;
      llvm::DenseMap<Value, int64_t> sequenceDims;
      if (splitsSequence(strategy)) {
        options.inputDim = 1;
        (void)preliminary(layouts, analysis, axis, 1, sequenceDims);
        options.sequenceDims = &sequenceDims;
      }
      bool mayFallBack =
          mesh.isTime(axis) && options.inputDim >= 0 && !layouts.updates;
      options.emitErrors = !mayFallBack;
      if (succeeded(decideAxis(layouts, analysis, mesh, options)))
        continue;
      if (!mayFallBack)
        return failure();
      layouts.resetAxis(axis);
      options.inputDim = -1;
      options.emitErrors = true;
      if (failed(decideAxis(layouts, analysis, mesh, options)))
        return failure();
    }
    return success();
  }

  void writeEntry(EntryLayouts &layouts, MLIRContext *context) {
    graph::EntryOp entry = layouts.entry;
    for (auto [i, op] : llvm::enumerate(layouts.ops)) {
      SmallVector<LayoutAttr> operands, results;
      for (unsigned n = 0; n < op->getNumOperands(); ++n)
        operands.push_back(LayoutAttr::get(context, layouts.operand(i, n)));
      for (unsigned n = 0; n < op->getNumResults(); ++n)
        results.push_back(LayoutAttr::get(context, layouts.result(i, n)));
      op->setAttr(dist::DistDialect::getSignatureAttrName(),
                  dist::SignatureAttr::get(context, operands, results));
      setPrograms(op, mesh, layouts.programsOf(i));
    }
    // All at once: setting one attribute rebuilds the array of all.
    auto with = [&](DictionaryAttr known, ArrayRef<AxisLayout> layout) {
      NamedAttrList list(known);
      list.set(dist::DistDialect::getLayoutAttrName(),
               LayoutAttr::get(context, layout));
      return list.getDictionary(context);
    };
    SmallVector<DictionaryAttr> arguments, results;
    for (unsigned i = 0, e = entry.getNumArguments(); i < e; ++i)
      arguments.push_back(with(entry.getArgAttrDict(i), layouts.argument(i)));
    for (unsigned i = 0, e = entry.getNumResults(); i < e; ++i)
      results.push_back(with(entry.getResultAttrDict(i), layouts.returned(i)));
    entry.setAllArgAttrs(arguments);
    entry.setAllResultAttrs(results);
  }

  dist::MeshAttr mesh;
  unsigned numAxes = 0;
  GivenPlan plan;
  llvm::StringMap<LayoutAttr> variables;
};

} // namespace
