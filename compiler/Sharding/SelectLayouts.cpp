// SPDX-License-Identifier: Apache-2.0
#include "compiler/Sharding/LayoutProblem.h"
#include "compiler/Sharding/Passes.h"
#include "compiler/Sharding/Strategies.h"
#include "dialects/Graph/Annotations.h"

#include "mlir/Pass/PassManager.h"

namespace weir::compiler {
#define GEN_PASS_DEF_SELECTLAYOUTSPASS
#include "compiler/Sharding/Passes.h.inc"
} // namespace weir::compiler

using namespace mlir;
using namespace weir;
using namespace weir::compiler;
using dist::AxisLayout;
using dist::LayoutAttr;

namespace {

class SelectLayouts
    : public compiler::impl::SelectLayoutsPassBase<SelectLayouts> {
public:
  using SelectLayoutsPassBase::SelectLayoutsPassBase;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    module->removeAttr(layoutSearchAttr);
    problem.mesh = dist::getMesh(module);
    if (!problem.mesh)
      return;
    FailureOr<GivenPlan> given =
        readPlan(module, problem.mesh, strategies, overrides);
    if (failed(given))
      return signalPassFailure();
    problem.axes.clear();
    problem.foldAbove = foldAbove;
    bool others = false;
    for (unsigned axis = 0; axis < problem.mesh.getNumAxes(); ++axis)
      if (given->axes[axis].strategy == Strategy::Search)
        problem.axes.push_back(axis);
      else
        others = true;
    if (problem.axes.empty())
      return;
    if (problem.axes.size() > maxAxes) {
      module.emitError("expects strategy 'search' on at most ")
          << maxAxes << " mesh axes, got " << problem.axes.size();
      return signalPassFailure();
    }
    llvm::Expected<Cluster> cluster = Cluster::of(module);
    if (!cluster) {
      module.emitError() << llvm::toString(cluster.takeError());
      return signalPassFailure();
    }
    if (failed(collectGiven(*given)))
      return signalPassFailure();
    if (others && failed(decideOthers()))
      return signalPassFailure();
    if (failed(decide(*cluster)))
      signalPassFailure();
  }

private:
  static constexpr unsigned maxAxes = 3;

  /// What the user says of variables, ops and arguments, before passes write
  /// the same attributes. Two that disagree on one variable are an error.
  LogicalResult collectGiven(const GivenPlan &given) {
    ModuleOp module = getOperation();
    unsigned numAxes = problem.mesh.getNumAxes();
    StringRef layoutName = dist::DistDialect::getLayoutAttrName();
    bool ok = true;
    auto add = [&](GivenEntries &entries, unsigned axis,
                   const AxisLayout &layout, StringRef source, Operation *op,
                   StringRef name) {
      entries.resize(numAxes);
      std::optional<GivenEntry> &known = entries[axis];
      if (!known) {
        known = GivenEntry{layout, source.str()};
        return;
      }
      if (known->layout == layout)
        return;
      ok = false;
      InFlightDiagnostic diag = op->emitError();
      diag << "expects one layout of '" << name << "' on mesh axis '"
           << problem.mesh.getNames()[axis].getValue() << "', got '"
           << text(known->layout) << "' by '" << known->source << "' and '"
           << text(layout) << "' by '" << source << "'";
    };
    for (auto variable : module.getOps<graph::VariableOp>()) {
      StringRef name = variable.getSymName();
      GivenEntries entries;
      auto own = variable->getAttrOfType<LayoutAttr>(layoutName);
      if (own && own.getAxes().size() == numAxes)
        for (unsigned axis = 0; axis < numAxes; ++axis)
          add(entries, axis, own.getAxes()[axis], layoutName, variable, name);
      for (const NamedLayout &item : given.layouts)
        if (item.matches(name))
          for (unsigned axis = 0; axis < numAxes; ++axis)
            if (item.axes[axis])
              add(entries, axis, *item.axes[axis], item.text, variable, name);
      for (const auto &entry : entries)
        if (entry && entry->layout.isSplit() &&
            entry->layout.dim >= variable.getTensorType().getRank()) {
          ok = false;
          variable.emitError("expects a layout that splits one of the ")
              << variable.getTensorType().getRank() << " dims of '" << name
              << "', got '" << text(entry->layout) << "' by '" << entry->source
              << "'";
        }
      if (!entries.empty())
        problem.givenVariables[name] = std::move(entries);
    }
    for (auto entry : module.getOps<graph::EntryOp>()) {
      Block &block = entry.getBody().front();
      for (BlockArgument argument : block.getArguments())
        if (entry.getArgumentVariable(argument.getArgNumber()).empty())
          if (auto layout = entry.getArgAttrOfType<LayoutAttr>(
                  argument.getArgNumber(), layoutName);
              layout && layout.getAxes().size() == numAxes)
            problem.givenArguments[argument] = layout;
      bool anyOps = llvm::any_of(
          given.layouts, [](const NamedLayout &item) { return item.namesOps; });
      if (!anyOps)
        continue;
      for (Operation &op : block.without_terminator()) {
        StringRef name = nameOf(&op);
        for (const NamedLayout &item : given.layouts) {
          if (!item.namesOps || name.empty() || !item.matches(name))
            continue;
          GivenEntries &entries = problem.givenOps[&op];
          for (unsigned axis = 0; axis < numAxes; ++axis)
            if (item.axes[axis])
              add(entries, axis, *item.axes[axis], item.text, &op, name);
          entries.resize(numAxes);
        }
      }
    }
    return success(ok);
  }

  /// Decides the axes that are not searched, and, to know which dims they
  /// split, micro-batches, as if the searched axes did nothing.
  LogicalResult decideOthers() {
    OpPassManager pipeline(ModuleOp::getOperationName());
    PropagateLayoutsPassOptions propagate;
    propagate.overrides.assign(overrides.begin(), overrides.end());
    pipeline.addPass(createPropagateLayoutsPass(propagate));
    return runPipeline(pipeline, getOperation());
  }

  /// Seconds that one device would take for an entry, all it reads and makes
  /// moved over the slowest link.
  static double secondsOnOne(graph::EntryOp entry, SignatureAnalysis &analysis,
                             const Cluster &cluster) {
    double slowest = cluster.memoryBandwidth;
    for (const LinkLevel &level : cluster.levels)
      slowest = std::min(slowest, level.bandwidth);
    double seconds = 0;
    for (Operation &op : entry.getBody().front().without_terminator()) {
      if (!isa<graph::ExpandOpInterface>(op))
        continue;
      seconds += analysis.getRules(&op).work / cluster.flopsOf("f32");
      for (Type type : op.getOperandTypes())
        seconds += bytesOf(type) / slowest;
      for (Type type : op.getResultTypes())
        seconds += bytesOf(type) / slowest;
    }
    return seconds;
  }

  /// The cluster with everything `factor` times as fast.
  static Cluster spedUp(Cluster cluster, double factor) {
    cluster.memoryBandwidth *= factor;
    for (auto &[type, flops] : cluster.flops)
      flops *= factor;
    for (LinkLevel &level : cluster.levels) {
      level.bandwidth *= factor;
      level.latency /= factor;
    }
    return cluster;
  }

  LogicalResult decide(const Cluster &cluster) {
    ModuleOp module = getOperation();
    StringRef layoutName = dist::DistDialect::getLayoutAttrName();
    for (auto variable : module.getOps<graph::VariableOp>())
      if (auto layout = variable->getAttrOfType<LayoutAttr>(layoutName))
        problem.decidedVariables[variable.getSymName()] = layout;
    SignatureAnalysis analysis(problem.mesh);
    // What trains decides where variables lie.
    SmallVector<graph::EntryOp> entries;
    for (bool updating : {true, false})
      for (auto entry : module.getOps<graph::EntryOp>())
        if (updates(entry) == updating)
          entries.push_back(entry);
    Builder builder(&getContext());
    NamedAttrList report;
    for (graph::EntryOp entry : entries) {
      // What may not be costs a great but finite number of seconds; a large
      // model on slow devices must stay below it.
      double factor = std::max(1.0, secondsOnOne(entry, analysis, cluster));
      Cluster faster = spedUp(cluster, factor);
      LayoutProblem search(entry, analysis, faster, problem);
      if (failed(search.build()) ||
          failed(search.solve(memory > 0 ? memory : cluster.memory)))
        return failure();
      search.write();
      const ProblemReport &result = search.getReport();
      report.append(
          entry.getSymName(),
          builder.getDictionaryAttr(
              {builder.getNamedAttr(
                   "seconds", builder.getF64FloatAttr(result.seconds * factor)),
               builder.getNamedAttr(
                   "bound", builder.getF64FloatAttr(result.bound * factor)),
               builder.getNamedAttr("bytes",
                                    builder.getF64FloatAttr(result.bytes)),
               builder.getNamedAttr("ops",
                                    builder.getI64IntegerAttr(result.ops)),
               builder.getNamedAttr("classes",
                                    builder.getI64IntegerAttr(result.classes)),
               builder.getNamedAttr(
                   "candidates", builder.getI64IntegerAttr(result.candidates)),
               builder.getNamedAttr(
                   "core", builder.getI64IntegerAttr(result.coreNodes))}));
      // Later entries find the variables decided.
      for (auto variable : module.getOps<graph::VariableOp>()) {
        auto found = search.variableLayout(variable.getSymName());
        if (!found)
          continue;
        GivenEntries &entries = problem.givenVariables[variable.getSymName()];
        entries.resize(problem.mesh.getNumAxes());
        for (auto [i, axis] : llvm::enumerate(problem.axes))
          if (!entries[axis])
            entries[axis] =
                GivenEntry{(*found)[i], ("entry " + entry.getSymName()).str()};
      }
    }
    for (auto variable : module.getOps<graph::VariableOp>()) {
      SmallVector<AxisLayout> axes(problem.mesh.getNumAxes());
      StringRef name = variable.getSymName();
      if (auto known = problem.decidedVariables.find(name);
          known != problem.decidedVariables.end())
        axes.assign(known->second.getAxes().begin(),
                    known->second.getAxes().end());
      if (auto given = problem.givenVariables.find(name);
          given != problem.givenVariables.end())
        for (int64_t axis : problem.axes)
          if (given->second[axis])
            axes[axis] = given->second[axis]->layout;
      variable->setAttr(layoutName, LayoutAttr::get(&getContext(), axes));
    }
    module->setAttr(layoutSearchAttr, report.getDictionary(&getContext()));
    return success();
  }

  static bool updates(graph::EntryOp entry) {
    Operation *terminator = entry.getBody().front().getTerminator();
    for (unsigned i = 0; i < terminator->getNumOperands(); ++i)
      if (!entry.getResultVariable(i).empty())
        return true;
    return false;
  }

  static std::string text(const AxisLayout &layout) {
    std::string out;
    llvm::raw_string_ostream(out) << layout;
    return out;
  }

  ProblemOptions problem;
};

} // namespace
