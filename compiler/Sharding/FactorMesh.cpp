// SPDX-License-Identifier: Apache-2.0
#include "compiler/Sharding/Passes.h"
#include "compiler/Sharding/Strategies.h"
#include "dialects/Graph/Annotations.h"

#include <limits>

namespace weir::compiler {
#define GEN_PASS_DEF_FACTORMESHPASS
#include "compiler/Sharding/Passes.h.inc"
} // namespace weir::compiler

using namespace mlir;
using namespace weir;
using namespace weir::compiler;

namespace {

/// Sizes of a variable's two dims that tensor parallelism may split: groups of
/// heads, and heads of a group.
struct GroupedDims {
  int64_t outer, inner;
};

class FactorMesh : public compiler::impl::FactorMeshPassBase<FactorMesh> {
public:
  void runOnOperation() override {
    ModuleOp module = getOperation();
    dist::MeshAttr mesh = dist::getMesh(module);
    // Layouts that are already on variables count the axes as they are.
    if (!mesh || !isUndecided(module))
      return;
    SmallVector<GroupedDims> grouped;
    for (auto variable : module.getOps<graph::VariableOp>()) {
      auto outer = variable->getAttrOfType<IntegerAttr>(tensorParallelDimAttr);
      auto inner =
          variable->getAttrOfType<IntegerAttr>(tensorParallelInnerDimAttr);
      ArrayRef<int64_t> shape = variable.getTensorType().getShape();
      auto rank = static_cast<int64_t>(shape.size());
      // What lies outside the variable is refused with its layout.
      if (outer && inner && outer.getInt() >= 0 && outer.getInt() < rank &&
          inner.getInt() >= 0 && inner.getInt() < rank)
        grouped.push_back({shape[outer.getInt()], shape[inner.getInt()]});
    }
    if (grouped.empty())
      return;
    FailureOr<GivenPlan> plan = readPlan(module, mesh, {}, {});
    if (failed(plan))
      return signalPassFailure();
    SmallVector<StringAttr> names;
    SmallVector<int64_t> sizes;
    StringAttr split;
    for (unsigned axis = 0; axis < mesh.getNumAxes(); ++axis) {
      StringAttr name = mesh.getNames()[axis];
      int64_t size = mesh.getSizes()[axis];
      Strategy strategy = plan->axes[axis].strategy;
      bool megatron =
          strategy == Strategy::Megatron || strategy == Strategy::MegatronSp;
      int64_t outer = megatron && !split ? outerFactor(size, grouped) : size;
      names.push_back(name);
      sizes.push_back(outer);
      if (outer == size)
        continue;
      split = name;
      names.push_back(
          StringAttr::get(&getContext(), name.getValue() + innerSuffix));
      if (mesh.findAxis(names.back()) >= 0) {
        module.emitError("expects no axis '")
            << names.back().getValue() << "' beside '" << name.getValue()
            << "', whose " << size << " coordinates are split into " << outer
            << " groups of " << size / outer << " for the model's heads";
        return signalPassFailure();
      }
      sizes.push_back(size / outer);
    }
    if (!split)
      return;
    module->setAttr(
        dist::DistDialect::getMeshAttrName(),
        dist::MeshAttr::get(&getContext(), names, sizes, mesh.getLastIsTime()));
    extendDecisions(module, split);
  }

private:
  static constexpr llvm::StringLiteral innerSuffix = ".inner";

  static bool isUndecided(ModuleOp module) {
    StringRef layout = dist::DistDialect::getLayoutAttrName();
    for (auto variable : module.getOps<graph::VariableOp>())
      if (variable->hasAttr(layout))
        return false;
    for (auto entry : module.getOps<graph::EntryOp>())
      for (unsigned i = 0, e = entry.getNumArguments(); i < e; ++i)
        if (entry.getArgAttr(i, layout))
          return false;
    return true;
  }

  /// The divisor of `parts` for the outer dims which leaves the most loaded
  /// coordinate the least heads; the largest of several.
  static int64_t outerFactor(int64_t parts, ArrayRef<GroupedDims> grouped) {
    if (llvm::all_of(grouped,
                     [&](const GroupedDims &d) { return parts <= d.outer; }))
      return parts;
    int64_t best = parts, bestLoad = std::numeric_limits<int64_t>::max();
    for (int64_t factor = parts; factor > 1; --factor) {
      if (parts % factor != 0)
        continue;
      int64_t load = 0;
      for (const GroupedDims &dims : grouped)
        load += llvm::divideCeil(dims.outer, factor) *
                llvm::divideCeil(dims.inner, parts / factor);
      if (load < bestLoad) {
        bestLoad = load;
        best = factor;
      }
    }
    return best;
  }

  /// What was said of the axis holds for both factors.
  void extendDecisions(ModuleOp module, StringAttr axis) {
    std::string inner = (axis.getValue() + innerSuffix).str();
    auto extended = [&](DictionaryAttr known) {
      NamedAttrList list(known);
      if (Attribute value = known.get(axis))
        list.set(inner, value);
      return list.getDictionary(&getContext());
    };
    if (auto known = module->getAttrOfType<DictionaryAttr>(strategiesAttr))
      module->setAttr(strategiesAttr, extended(known));
    auto layouts = module->getAttrOfType<ArrayAttr>(layoutsAttr);
    if (!layouts)
      return;
    SmallVector<Attribute> items;
    for (Attribute entry : layouts) {
      NamedAttrList item(cast<DictionaryAttr>(entry));
      if (auto axes = dyn_cast_if_present<DictionaryAttr>(item.get("layouts")))
        item.set("layouts", extended(axes));
      items.push_back(item.getDictionary(&getContext()));
    }
    module->setAttr(layoutsAttr, ArrayAttr::get(&getContext(), items));
  }
};

} // namespace
