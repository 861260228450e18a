// SPDX-License-Identifier: Apache-2.0
#include "compiler/Sharding/ExplainSharding.h"

#include "compiler/Sharding/Layouts.h"
#include "compiler/Sharding/Reshard.h"
#include "compiler/Sharding/Signatures.h"
#include "dialects/Graph/Annotations.h"
#include "runtime/base/Json.h"
#include "runtime/base/Strings.h"

#include <limits>

using namespace mlir;
using namespace weir;
using namespace weir::compiler;
using dist::AxisLayout;
using dist::LayoutAttr;
using dist::SignatureAttr;

namespace {

constexpr double impossible = std::numeric_limits<double>::infinity();

template <typename T> std::string textOf(const T &item) {
  std::string text;
  llvm::raw_string_ostream(text) << item;
  return text;
}

std::string textOf(LayoutAttr layout) {
  std::string text;
  llvm::raw_string_ostream os(text);
  dist::printLayoutEntries(os, layout);
  return text;
}

StringRef wordOf(ReshardStep::Kind kind) {
  switch (kind) {
  case ReshardStep::Kind::LocalSlice:
    return "local slice";
  case ReshardStep::Kind::ReduceScatter:
    return "reduce-scatter";
  case ReshardStep::Kind::AllToAll:
    return "all-to-all";
  case ReshardStep::Kind::AllReduce:
    return "all-reduce";
  case ReshardStep::Kind::AllGather:
    return "all-gather";
  case ReshardStep::Kind::ToPartial:
    return "to partial";
  case ReshardStep::Kind::Exchange:
    return "exchange";
  }
  llvm_unreachable("unknown kind of step");
}

class Explanation {
public:
  Explanation(ModuleOp module, const Cluster &cluster)
      : module(module), mesh(dist::getMesh(module)), cluster(cluster),
        origins(module), analysis(mesh), resharder(mesh, cluster) {}

  std::string write() {
    json.beginObject().member("format", 1).member("mesh", textOf(mesh));
    json.member("cluster", cluster.name);
    json.key("variables").beginArray();
    for (auto variable : module.getOps<graph::VariableOp>())
      writeVariable(variable);
    json.endArray().key("entries").beginArray();
    for (auto entry : module.getOps<graph::EntryOp>())
      writeEntry(entry);
    json.endArray().endObject();
    return json.take();
  }

private:
  /// The user's name of a value: the variable or argument, or the node that
  /// makes it, and which of its results.
  std::string nameOfValue(Value value) {
    if (auto argument = dyn_cast<BlockArgument>(value)) {
      auto entry = cast<graph::EntryOp>(argument.getOwner()->getParentOp());
      StringRef variable = entry.getArgumentVariable(argument.getArgNumber());
      if (!variable.empty())
        return variable.str();
      return "argument " + std::to_string(argument.getArgNumber());
    }
    Operation *op = value.getDefiningOp();
    std::string name = nameOfOp(op);
    if (op->getNumResults() > 1)
      name += "#" + std::to_string(cast<OpResult>(value).getResultNumber());
    return name;
  }
  static std::string nameOfOp(Operation *op) {
    StringRef name = nameOf(op);
    return name.empty() ? op->getName().getStringRef().str() : name.str();
  }
  /// The value that a chain of reshards starts from.
  static Value sourceOf(Value value) {
    while (auto reshard = value.getDefiningOp<dist::ReshardOp>())
      value = reshard.getInput();
    return value;
  }

  void writeDecisions(Operation *op, LayoutAttr layout) {
    json.key("decided").beginArray();
    for (auto [axis, entry] : llvm::enumerate(layout.getAxes()))
      json.beginObject()
          .member("axis", mesh.getNames()[axis].str())
          .member("is", textOf(entry))
          .member("by", origins.of(op, axis))
          .endObject();
    json.endArray();
  }

  void writeVariable(graph::VariableOp variable) {
    auto layout = variable->getAttrOfType<LayoutAttr>(
        dist::DistDialect::getLayoutAttrName());
    if (!layout)
      return;
    json.beginObject().member("name", variable.getSymName().str());
    json.member("type", textOf(variable.getTensorType()));
    json.member("layout", textOf(layout));
    writeDecisions(variable, layout);
    json.endObject();
  }

  void writeEntry(graph::EntryOp entry) {
    json.beginObject().member("name", entry.getSymName().str());
    json.key("values").beginArray();
    Block &block = entry.getBody().front();
    for (BlockArgument argument : block.getArguments())
      writeReshardsOf(argument);
    for (Operation &op : block.without_terminator()) {
      if (isa<dist::ReshardOp>(op))
        continue;
      auto signature = op.getAttrOfType<SignatureAttr>(
          dist::DistDialect::getSignatureAttrName());
      if (!signature)
        continue;
      for (OpResult result : op.getResults()) {
        json.beginObject().member("name", nameOfValue(result));
        json.member("op", op.getName().getStringRef().str());
        json.member("type", textOf(withoutEncoding(result.getType())));
        LayoutAttr layout = layoutOf(result);
        json.member("layout", textOf(layout));
        writeDecisions(&op, layout);
        // The op's choice is told once, with its first result.
        if (result.getResultNumber() == 0)
          writeAlternatives(&op, signature);
        writeReshards(result);
        json.endObject();
      }
    }
    json.endArray().endObject();
  }

  /// Arguments that nothing reshards are told by their variable.
  void writeReshardsOf(BlockArgument argument) {
    bool any = llvm::any_of(argument.getUsers(), [](Operation *user) {
      return isa<dist::ReshardOp>(user);
    });
    if (!any)
      return;
    json.beginObject().member("name", nameOfValue(argument));
    json.member("type", textOf(withoutEncoding(argument.getType())));
    json.member("layout", textOf(layoutOf(argument)));
    writeReshards(argument);
    json.endObject();
  }

  void writeReshards(Value value) {
    SmallVector<dist::ReshardOp> reshards;
    for (Operation *user : value.getUsers())
      if (auto reshard = dyn_cast<dist::ReshardOp>(user))
        reshards.push_back(reshard);
    if (reshards.empty())
      return;
    // Uses are listed last first; the program reads the other way.
    std::reverse(reshards.begin(), reshards.end());
    json.key("reshards").beginArray();
    for (dist::ReshardOp reshard : reshards)
      writeReshard(reshard);
    json.endArray();
  }

  void writeReshard(dist::ReshardOp reshard) {
    json.beginObject().member("from", textOf(reshard.getFrom()));
    json.member("to", textOf(reshard.getTo()));
    SmallVector<AxisLayout> from(reshard.getFrom().getAxes()),
        to(reshard.getTo().getAxes());
    std::vector<std::string> program;
    int time = mesh.getTimeAxis();
    if (time >= 0 && from[time] != to[time]) {
      program.push_back(from[time].isPartial() ? "sum over micro-batches"
                                               : "slice of the micro-batch");
      from[time] = to[time] = AxisLayout::broadcast();
    }
    FailureOr<const ReshardPlan *> plan =
        resharder.plan(from, to, withoutEncoding(reshard.getInput().getType()));
    if (succeeded(plan))
      for (const ReshardStep &step : (*plan)->steps)
        program.push_back(textOfStep(step));
    json.key("program").list(program);
    if (succeeded(plan)) {
      json.member("bytes", (*plan)->bytesTotal);
      json.member("bound", (*plan)->boundTotal);
      json.member("bytes_busiest_rank", (*plan)->bytesMax);
      json.member("seconds", (*plan)->seconds);
    }
    std::vector<std::string> uses;
    for (OpOperand &use : reshard.getOutput().getUses()) {
      Operation *user = use.getOwner();
      if (isa<dist::ReshardOp>(user))
        continue;
      if (user->hasTrait<OpTrait::IsTerminator>()) {
        uses.push_back("result " + std::to_string(use.getOperandNumber()) +
                       " of the entry");
        continue;
      }
      uses.push_back("operand " + std::to_string(use.getOperandNumber()) +
                     " of " + describe(user));
    }
    std::reverse(uses.begin(), uses.end());
    json.key("forced_by").list(uses);
    json.endObject();
  }

  std::string textOfStep(const ReshardStep &step) {
    std::string text = wordOf(step.kind).str();
    if (step.kind == ReshardStep::Kind::AllToAll)
      text += " of dim " + std::to_string(step.dim) + " to dim " +
              std::to_string(step.toDim);
    else if (step.kind == ReshardStep::Kind::LocalSlice ||
             step.kind == ReshardStep::Kind::ReduceScatter ||
             step.kind == ReshardStep::Kind::AllGather)
      text += " of dim " + std::to_string(step.dim);
    text += " over ";
    for (auto [i, axis] : llvm::enumerate(step.axes))
      text += (i ? ", " : "") + mesh.getNames()[axis].str();
    return text;
  }

  /// Seconds of a reshard; moves in time are free or impossible.
  double reshardSeconds(LayoutAttr from, LayoutAttr to, Type type) {
    SmallVector<AxisLayout> before(from.getAxes()), after(to.getAxes());
    int time = mesh.getTimeAxis();
    if (time >= 0 && before[time] != after[time]) {
      bool slice = before[time].isBroadcast() && after[time].isSplit();
      bool sum = before[time].isPartial() && after[time].isBroadcast();
      if (!slice && !sum)
        return impossible;
      before[time] = after[time] = AxisLayout::broadcast();
    }
    if (before == after)
      return 0;
    FailureOr<const ReshardPlan *> plan =
        resharder.plan(before, after, withoutEncoding(type));
    return succeeded(plan) ? (*plan)->seconds : impossible;
  }

  /// What the op costs with `candidate` on `axis` when all around it stays.
  double costOf(Operation *op, SignatureAttr signature, unsigned axis,
                const OpSignature &candidate, const OpRules &rules) {
    double total = 0;
    for (OpOperand &operand : op->getOpOperands()) {
      unsigned n = operand.getOperandNumber();
      LayoutAttr want =
          signature.getOperands()[n].withAxis(axis, candidate.operands[n]);
      Value source = sourceOf(operand.get());
      total += reshardSeconds(layoutOf(source), want, source.getType());
    }
    for (OpResult result : op->getResults()) {
      LayoutAttr made = signature.getResults()[result.getResultNumber()];
      LayoutAttr other =
          made.withAxis(axis, candidate.results[result.getResultNumber()]);
      // Each layout that users want is made once.
      SmallVector<LayoutAttr> wanted;
      collectWanted(result, wanted);
      for (LayoutAttr want : wanted)
        total += reshardSeconds(other, want, result.getType());
    }
    double parts = static_cast<double>(mesh.getSizes()[axis]);
    total +=
        (candidate.splitWork / parts + (rules.work - candidate.splitWork)) /
        cluster.flopsOf("f32");
    return total;
  }

  void collectWanted(Value value, SmallVector<LayoutAttr> &wanted) {
    for (Operation *user : value.getUsers()) {
      LayoutAttr layout = layoutOf(value);
      if (auto reshard = dyn_cast<dist::ReshardOp>(user))
        layout = reshard.getTo();
      if (!llvm::is_contained(wanted, layout))
        wanted.push_back(layout);
    }
  }

  void writeAlternatives(Operation *op, SignatureAttr signature) {
    json.key("signatures").beginArray();
    for (unsigned axis = 0; axis < mesh.getNumAxes(); ++axis) {
      SmallVector<Type> operands, results;
      for (auto [operand, layout] :
           llvm::zip_equal(op->getOperands(), signature.getOperands()))
        operands.push_back(
            localTypeBefore(operand.getType(), layout.getAxes(), axis, mesh));
      for (auto [result, layout] :
           llvm::zip_equal(op->getResults(), signature.getResults()))
        results.push_back(
            localTypeBefore(result.getType(), layout.getAxes(), axis, mesh));
      const OpRules &rules = analysis.getRules(op, operands, results);
      for (const OpSignature &candidate : rules.signatures) {
        if (!candidate.allows(mesh.getSizes()[axis]))
          continue;
        bool chosen = isChosen(signature, axis, candidate);
        double cost = costOf(op, signature, axis, candidate, rules);
        if (cost == impossible && !chosen)
          continue;
        json.beginObject().member("axis", mesh.getNames()[axis].str());
        json.member("signature", textOf(candidate));
        if (candidate.isProgram())
          json.member("program", candidate.program);
        json.member("seconds", cost).member("chosen", chosen).endObject();
      }
    }
    json.endArray();
  }

  static bool isChosen(SignatureAttr signature, unsigned axis,
                       const OpSignature &candidate) {
    for (auto [layout, entry] :
         llvm::zip_equal(signature.getOperands(), candidate.operands))
      if (layout.getAxes()[axis] != entry)
        return false;
    for (auto [layout, entry] :
         llvm::zip_equal(signature.getResults(), candidate.results))
      if (layout.getAxes()[axis] != entry)
        return false;
    return true;
  }

  ModuleOp module;
  dist::MeshAttr mesh;
  const Cluster &cluster;
  LayoutOrigins origins;
  SignatureAnalysis analysis;
  Resharder resharder;
  JsonWriter json{1};
};

} // namespace

LayoutOrigins::LayoutOrigins(ModuleOp module) : mesh(dist::getMesh(module)) {
  if (!mesh)
    return;
  strategies = strategiesOf(module, mesh);
  if (auto given = module->getAttrOfType<ArrayAttr>(layoutsAttr))
    for (auto item : given.getAsRange<DictionaryAttr>()) {
      Named &named = layouts.emplace_back();
      if (auto match = item.getAs<StringAttr>("match"))
        named.pattern = match.str();
      if (auto axes = item.getAs<DictionaryAttr>("layouts"))
        for (NamedAttribute axis : axes)
          named.axes.push_back(axis.getName().str());
    }
}

std::string LayoutOrigins::of(Operation *op, unsigned axis) const {
  if (mesh.isTime(axis))
    return "micro-batches";
  auto variable = dyn_cast<graph::VariableOp>(op);
  std::string name = variable ? variable.getSymName().str() : nameOf(op).str();
  std::string axisName = mesh.getNames()[axis].str();
  std::string strategy =
      std::string("strategy '") + strategyName(strategies[axis]) + "'";
  if (strategies[axis] == Strategy::Search)
    strategy = "search";
  if (!variable)
    return strategies[axis] == Strategy::Search
               ? strategy
               : "least cost under " + strategy;
  for (const Named &named : layouts)
    if (globMatch(named.pattern, name) &&
        llvm::is_contained(named.axes, axisName))
      return "layouts '" + named.pattern + "'";
  bool ownStates = strategies[axis] == Strategy::Zero1 ||
                   strategies[axis] == Strategy::Zero2;
  size_t slash = name.rfind('/');
  if (!ownStates && slash != std::string::npos &&
      variable.getKind() == graph::VariableKind::OptimizerState)
    return "variable '" + name.substr(0, slash) + "'";
  return strategy;
}

std::string weir::compiler::explainSharding(ModuleOp module,
                                            const Cluster &cluster) {
  if (dist::getMesh(module))
    return Explanation(module, cluster).write();
  JsonWriter json;
  json.beginObject().member("format", 1).key("variables").beginArray();
  json.endArray().key("entries").beginArray().endArray().endObject();
  return json.take();
}
