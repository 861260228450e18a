// SPDX-License-Identifier: Apache-2.0
#include "compiler/Sharding/Strategies.h"
#include "compiler/Sharding/Redco.h"
#include "dialects/Graph/Annotations.h"
#include "runtime/base/Strings.h"

using namespace mlir;
using namespace weir;
using namespace weir::compiler;
using dist::AxisLayout;
using dist::LayoutAttr;

bool NamedLayout::matches(StringRef name) const {
  return globMatch(pattern, std::string_view(name.data(), name.size()));
}

namespace {

constexpr llvm::StringLiteral microName = "micro";

/// Reads options and module attributes.
class PlanReader {
public:
  PlanReader(ModuleOp module, dist::MeshAttr mesh)
      : module(module), mesh(mesh), numAxes(mesh.getNumAxes()) {}

  LogicalResult strategies(ArrayRef<std::string> options) {
    plan.axes.resize(numAxes);
    for (unsigned axis = 0; axis < numAxes; ++axis) {
      StringRef name = mesh.getNames()[axis].getValue();
      if (mesh.isTime(axis))
        plan.axes[axis].micro = true;
      else if (auto standard = defaultStrategy(name.str()))
        plan.axes[axis].strategy = *standard;
    }
    if (auto given = module->getAttrOfType<DictionaryAttr>(strategiesAttr))
      for (NamedAttribute entry : given) {
        auto value = dyn_cast<StringAttr>(entry.getValue());
        if (!value)
          return module.emitError("expects '")
                 << strategiesAttr << "' to map axes to names, got "
                 << entry.getValue();
        if (failed(strategy(entry.getName().getValue(), value.getValue())))
          return failure();
      }
    for (const std::string &text : options) {
      auto [name, value] = StringRef(text).split('=');
      if (failed(strategy(name, value)))
        return failure();
    }
    NamedAttrList known;
    Builder builder(module.getContext());
    for (unsigned axis = 0; axis < numAxes; ++axis)
      known.append(
          mesh.getNames()[axis].getValue(),
          builder.getStringAttr(plan.axes[axis].micro
                                    ? microName.data()
                                    : strategyName(plan.axes[axis].strategy)));
    module->setAttr(strategiesAttr, known.getDictionary(module.getContext()));
    return success();
  }

  LogicalResult layouts(ArrayRef<std::string> overrides) {
    for (const std::string &text : overrides)
      if (failed(layout(text)))
        return failure();
    auto given = module->getAttrOfType<ArrayAttr>(layoutsAttr);
    if (!given)
      return success();
    for (Attribute entry : given) {
      auto fields = dyn_cast<DictionaryAttr>(entry);
      auto match = fields ? fields.getAs<StringAttr>("match") : StringAttr();
      auto axes =
          fields ? fields.getAs<DictionaryAttr>("layouts") : DictionaryAttr();
      if (!match || !axes)
        return module.emitError("expects '")
               << layoutsAttr
               << "' to hold such as {match = \"w*\", layouts = {tp = "
                  "\"S(0)\"}}, got "
               << entry;
      NamedLayout item;
      item.text = item.pattern = match.str();
      item.axes.resize(numAxes);
      for (NamedAttribute axis : axes) {
        auto value = dyn_cast<StringAttr>(axis.getValue());
        if (!value)
          return module.emitError("expects a layout such as \"S(0)\" on axis '")
                 << axis.getName().getValue() << "' of '" << item.text
                 << "', got " << axis.getValue();
        if (failed(entryOf(item, axis.getName().getValue(), value.getValue())))
          return failure();
      }
      plan.layouts.push_back(std::move(item));
    }
    return success();
  }

  GivenPlan plan;

private:
  LogicalResult strategy(StringRef name, StringRef value) {
    int axis = mesh.findAxis(name);
    if (axis < 0)
      return module.emitError(
                 "expects a strategy of an axis of the mesh, got '")
             << name << "=" << value << "'";
    std::optional<Strategy> known = parseStrategy(value.str());
    bool micro = value == microName;
    if (!known && !micro)
      return module.emitError("expects a strategy among ")
             << join(strategyWords(), ", ") << ", got '" << name << "=" << value
             << "'";
    if (mesh.isTime(axis) && !micro && *known != Strategy::None)
      return module.emitError(
                 "expects strategy 'micro' or 'none' of time axis '")
             << name << "', got '" << value << "'";
    if (!mesh.isTime(axis) && micro)
      return module.emitError("expects strategy 'micro' of a time axis, got '")
             << name << "=" << value << "'";
    plan.axes[axis] = {known.value_or(Strategy::None), micro};
    return success();
  }

  /// One axis of a named layout.
  LogicalResult entryOf(NamedLayout &item, StringRef axisName, StringRef text) {
    int axis = mesh.findAxis(axisName);
    if (axis < 0)
      return module.emitError("expects layout '")
             << item.text << "' to name axes of the mesh, got '" << axisName
             << "'";
    LayoutAttr layout =
        dist::parseLayout(("[" + text + "]").str(), module.getContext(), [&] {
          return module.emitError("layout '")
                 << text << "' on axis '" << axisName << "': ";
        });
    if (!layout)
      return failure();
    if (layout.getAxes().size() != 1)
      return module.emitError("layout '")
             << text << "' on axis '" << axisName
             << "': expects one of B, S(dim) and P(reduction), got "
             << layout.getAxes().size();
    item.axes[axis] = layout.getAxes().front();
    return success();
  }

  LogicalResult layout(const std::string &text) {
    // A pattern may hold '=', a layout does only in braces.
    size_t open = text.find("={");
    bool named = open != std::string::npos && text.back() == '}';
    size_t equals = named ? open : text.rfind('=');
    if (equals == std::string::npos)
      return module.emitError("expects an override such as 'pattern=[S(0), B]' "
                              "or 'pattern={axis=S(0)}', got '")
             << text << "'";
    NamedLayout item;
    item.text = text;
    item.pattern = StringRef(text).take_front(equals).trim().str();
    item.namesOps = true;
    item.axes.resize(numAxes);
    StringRef value = StringRef(text).drop_front(equals + 1).trim();
    if (named) {
      SmallVector<StringRef> parts;
      value.drop_front().drop_back().split(parts, ',', -1, false);
      for (StringRef part : parts) {
        auto [axis, entry] = part.split('=');
        if (failed(entryOf(item, axis.trim(), entry.trim())))
          return failure();
      }
    } else {
      LayoutAttr layout = dist::parseLayout(value, module.getContext(),
                                            [&] { return module.emitError(); });
      if (!layout)
        return failure();
      if (layout.getAxes().size() > numAxes)
        return module.emitError("expects an override of at most ")
               << numAxes << " mesh axes, got '" << text << "'";
      for (auto [axis, entry] : llvm::enumerate(layout.getAxes()))
        item.axes[axis] = entry;
    }
    plan.layouts.push_back(std::move(item));
    return success();
  }

  ModuleOp module;
  dist::MeshAttr mesh;
  unsigned numAxes;
};

/// Layouts of variables.
class VariablePlanner {
public:
  VariablePlanner(dist::MeshAttr mesh, GivenPlan &plan,
                  const llvm::StringMap<int64_t> &redco)
      : mesh(mesh), plan(plan), redco(redco), numAxes(mesh.getNumAxes()) {}

  using Axes = SmallVector<std::optional<AxisLayout>>;

  /// What the user says of a variable.
  Axes given(graph::VariableOp variable) {
    Axes axes(numAxes);
    for (NamedLayout &item : plan.layouts) {
      if (!item.matches(variable.getSymName()))
        continue;
      item.used = true;
      for (unsigned axis = 0; axis < numAxes; ++axis)
        if (!axes[axis])
          axes[axis] = item.axes[axis];
    }
    return axes;
  }

  /// Fills in what strategies say where nothing is decided: first the axes that
  /// know their dim, then those that take one the others leave.
  SmallVector<AxisLayout> complete(Axes axes, graph::VariableOp variable,
                                   bool isState) {
    auto megatron = variable->getAttrOfType<IntegerAttr>(tensorParallelDimAttr);
    auto inner =
        variable->getAttrOfType<IntegerAttr>(tensorParallelInnerDimAttr);
    int64_t parts = 1;
    for (unsigned axis = 0; axis < numAxes; ++axis) {
      Strategy strategy = plan.axes[axis].strategy;
      if (!megatron ||
          (strategy != Strategy::Megatron && strategy != Strategy::MegatronSp))
        continue;
      int64_t dim = megatron.getInt();
      bool known = dim >= 0 && dim < variable.getTensorType().getRank();
      if (inner && known &&
          parts * mesh.getSizes()[axis] >
              variable.getTensorType().getDimSize(dim))
        dim = inner.getInt();
      else
        parts *= mesh.getSizes()[axis];
      if (!axes[axis])
        axes[axis] = dim < 0 ? AxisLayout::broadcast() : AxisLayout::split(dim);
    }
    auto matrix = redco.find(variable.getSymName());
    for (unsigned axis = 0; axis < numAxes; ++axis)
      if (!axes[axis] && plan.axes[axis].strategy == Strategy::Redco &&
          matrix != redco.end())
        axes[axis] = AxisLayout::split(matrix->second);
    for (unsigned axis = 0; axis < numAxes; ++axis) {
      Strategy strategy = plan.axes[axis].strategy;
      bool zero = strategy == Strategy::Zero3 ||
                  (isState && (strategy == Strategy::Zero1 ||
                               strategy == Strategy::Zero2));
      if (!axes[axis] && zero)
        axes[axis] = zeroLayout(axes, axis, variable.getTensorType());
    }
    SmallVector<AxisLayout> out;
    for (const std::optional<AxisLayout> &entry : axes)
      out.push_back(entry.value_or(AxisLayout::broadcast()));
    return out;
  }

  LogicalResult check(Operation *op, StringRef name, RankedTensorType type,
                      LayoutAttr layout) {
    if (layout.getAxes().size() != numAxes)
      return op->emitError("expects a layout with one entry for each of the ")
             << numAxes << " mesh axes of '" << name << "', got " << layout;
    for (auto [axis, entry] : llvm::enumerate(layout.getAxes())) {
      StringRef axisName = mesh.getNames()[axis].getValue();
      if (entry.isPartial())
        return op->emitError("expects no partial layout of '")
               << name << "' on mesh axis '" << axisName << "', got " << layout;
      if (entry.isSplit() && entry.dim >= type.getRank())
        return op->emitError("expects the layout of '")
               << name << "' to split one of its " << type.getRank()
               << " dims on mesh axis '" << axisName << "', got " << layout;
      if (entry.isSplit() && mesh.isTime(axis))
        return op->emitError("expects '")
               << name << "' to be whole on time axis '" << axisName
               << "', got " << layout;
    }
    return success();
  }

private:
  /// A dim that no later axis splits, since splits nest in mesh order and one
  /// under another's would have to move it: the first that the axis divides,
  /// else the largest; whole when there is none to divide.
  AxisLayout zeroLayout(const Axes &axes, unsigned axis,
                        RankedTensorType type) {
    int64_t parts = mesh.getSizes()[axis], best = -1, bestSize = 1;
    for (int64_t dim = 0; dim < type.getRank(); ++dim) {
      int64_t size = type.getDimSize(dim);
      bool later = false;
      for (unsigned other = 0; other < numAxes; ++other)
        if (axes[other] && axes[other]->isSplit(dim)) {
          later |= other > axis;
          size = llvm::divideCeil(size, mesh.getSizes()[other]);
        }
      if (later)
        continue;
      if (size >= parts && size % parts == 0)
        return AxisLayout::split(dim);
      if (size > bestSize) {
        best = dim;
        bestSize = size;
      }
    }
    return best < 0 ? AxisLayout::broadcast() : AxisLayout::split(best);
  }

  dist::MeshAttr mesh;
  GivenPlan &plan;
  const llvm::StringMap<int64_t> &redco;
  unsigned numAxes;
};

} // namespace

FailureOr<GivenPlan> weir::compiler::readPlan(ModuleOp module,
                                              dist::MeshAttr mesh,
                                              ArrayRef<std::string> strategies,
                                              ArrayRef<std::string> overrides) {
  PlanReader reader(module, mesh);
  if (failed(reader.strategies(strategies)) ||
      failed(reader.layouts(overrides)))
    return failure();
  return std::move(reader.plan);
}

SmallVector<Strategy> weir::compiler::strategiesOf(ModuleOp module,
                                                   dist::MeshAttr mesh) {
  SmallVector<Strategy> strategies(mesh.getNumAxes(), Strategy::None);
  auto known = module->getAttrOfType<DictionaryAttr>(strategiesAttr);
  for (unsigned axis = 0; known && axis < strategies.size(); ++axis)
    if (auto name = known.getAs<StringAttr>(mesh.getNames()[axis]))
      strategies[axis] = parseStrategy(name.str()).value_or(Strategy::None);
  return strategies;
}

FailureOr<llvm::StringMap<LayoutAttr>>
weir::compiler::decideVariables(ModuleOp module, dist::MeshAttr mesh,
                                GivenPlan &plan, SignatureAnalysis &analysis) {
  MLIRContext *context = module.getContext();
  StringRef layoutName = dist::DistDialect::getLayoutAttrName();
  unsigned numAxes = mesh.getNumAxes();
  llvm::StringMap<int64_t> redco;
  if (llvm::any_of(plan.axes, [](const AxisPlan &axis) {
        return axis.strategy == Strategy::Redco;
      }))
    redco = redcoDims(module, analysis);
  VariablePlanner planner(mesh, plan, redco);
  llvm::StringMap<LayoutAttr> layouts;
  SmallVector<graph::VariableOp> states;
  bool ok = true;
  auto decide = [&](graph::VariableOp variable, VariablePlanner::Axes axes,
                    bool isState) {
    if (auto known = variable->getAttrOfType<LayoutAttr>(layoutName)) {
      if (failed(planner.check(variable, variable.getSymName(),
                               variable.getTensorType(), known))) {
        ok = false;
        return;
      }
      for (unsigned axis = 0; axis < numAxes; ++axis)
        if (!axes[axis])
          axes[axis] = known.getAxes()[axis];
    }
    LayoutAttr layout =
        LayoutAttr::get(context, planner.complete(axes, variable, isState));
    if (failed(planner.check(variable, variable.getSymName(),
                             variable.getTensorType(), layout))) {
      ok = false;
      return;
    }
    variable->setAttr(layoutName, layout);
    layouts[variable.getSymName()] = layout;
  };
  for (auto variable : module.getOps<graph::VariableOp>()) {
    if (variable.getKind() == graph::VariableKind::OptimizerState)
      states.push_back(variable);
    else
      decide(variable, planner.given(variable), false);
  }
  // State is updated with its parameter, element by element.
  SymbolTable symbols(module);
  for (graph::VariableOp variable : states) {
    VariablePlanner::Axes axes = planner.given(variable);
    StringRef owner = variable.getSymName();
    while (!owner.empty()) {
      size_t slash = owner.rfind('/');
      owner = owner.take_front(slash == StringRef::npos ? 0 : slash);
      auto found = layouts.find(owner);
      auto parameter = symbols.lookup<graph::VariableOp>(owner);
      if (found == layouts.end() || !parameter ||
          parameter.getTensorType().getShape() !=
              variable.getTensorType().getShape())
        continue;
      for (unsigned axis = 0; axis < numAxes; ++axis) {
        const AxisLayout &entry = found->second.getAxes()[axis];
        if (!axes[axis] && entry.isSplit())
          axes[axis] = entry;
      }
      break;
    }
    decide(variable, axes, true);
  }
  if (!ok)
    return failure();
  return layouts;
}
