// SPDX-License-Identifier: Apache-2.0
#include "test/unit/planner/SearchedModel.h"

#include "compiler/API/InitDialects.h"
#include "compiler/Autodiff/Passes.h"
#include "compiler/Planner/Cluster.h"
#include "compiler/Sharding/Passes.h"
#include "dialects/Graph/Annotations.h"

#include "mlir/Pass/PassManager.h"
#include "mlir/Transforms/Passes.h"

using namespace mlir;

namespace weir::compiler::test {

struct SearchedModel::Impl {
  MLIRContext context{MLIRContext::Threading::DISABLED};
  OwningOpRef<ModuleOp> module;
  std::string errors;
};

SearchedModel::SearchedModel() : impl(std::make_unique<Impl>()) {
  DialectRegistry registry;
  registerAllWeirDialects(registry);
  impl->context.appendDialectRegistry(registry);
  impl->context.loadAllAvailableDialects();
  impl->context.printOpOnDiagnostic(false);
  impl->context.getDiagEngine().registerHandler([this](Diagnostic &diagnostic) {
    impl->errors += diagnostic.str() + "\n";
    for (Diagnostic &note : diagnostic.getNotes())
      impl->errors += "note: " + note.str() + "\n";
  });
}
SearchedModel::~SearchedModel() = default;

MLIRContext *SearchedModel::context() { return &impl->context; }
ModuleOp SearchedModel::module() { return *impl->module; }
const std::string &SearchedModel::errors() const { return impl->errors; }
void SearchedModel::take(OwningOpRef<ModuleOp> module) {
  impl->module = std::move(module);
}
void SearchedModel::build(llvm::function_ref<void(GraphBuilder &)> body) {
  GraphBuilder builder(&impl->context);
  body(builder);
  impl->module = builder.finish();
}

bool SearchedModel::compile(std::vector<std::pair<std::string, int64_t>> mesh,
                            const std::string &cluster, double memory,
                            const std::string &optimizer,
                            const std::string &override) {
  MLIRContext *context = &impl->context;
  ModuleOp module = *impl->module;
  SmallVector<StringAttr> names;
  SmallVector<int64_t> sizes;
  NamedAttrList strategies;
  for (const auto &[name, size] : mesh) {
    names.push_back(StringAttr::get(context, name));
    sizes.push_back(size);
    strategies.append(name, StringAttr::get(context, "search"));
  }
  module->setAttr(dist::DistDialect::getMeshAttrName(),
                  dist::MeshAttr::get(context, names, sizes, false));
  module->setAttr(strategiesAttr, strategies.getDictionary(context));
  if (!cluster.empty())
    module->setAttr(dist::DistDialect::getClusterAttrName(),
                    StringAttr::get(context, cluster));
  PassManager manager(context);
  if (SymbolTable::lookupSymbolIn(module, "loss")) {
    BuildTrainEntryPassOptions train;
    train.optimizer = optimizer;
    manager.addPass(createBuildTrainEntryPass(train));
  }
  manager.addPass(createCanonicalizerPass());
  manager.addPass(createCSEPass());
  SelectLayoutsPassOptions select;
  select.memory = memory;
  PropagateLayoutsPassOptions propagate;
  if (!override.empty()) {
    select.overrides.push_back(override);
    propagate.overrides.push_back(override);
  }
  manager.addPass(createSelectLayoutsPass(select));
  manager.addPass(createPropagateLayoutsPass(propagate));
  manager.addPass(createVerifyLayoutsPass());
  addShardPasses(manager);
  return succeeded(manager.run(module));
}

void SearchedModel::give(const std::string &variable,
                         const std::string &layout) {
  auto op = SymbolTable(*impl->module).lookup<graph::VariableOp>(variable);
  op->setAttr(dist::DistDialect::getLayoutAttrName(),
              dist::parseLayout(layout, &impl->context,
                                [&] { return op.emitError(); }));
}

std::string SearchedModel::layoutOf(const std::string &variable) {
  auto op = SymbolTable(*impl->module).lookup<graph::VariableOp>(variable);
  auto layout = op ? op->getAttrOfType<dist::LayoutAttr>(
                         dist::DistDialect::getLayoutAttrName())
                   : dist::LayoutAttr();
  std::string out;
  llvm::raw_string_ostream os(out);
  if (layout)
    dist::printLayoutEntries(os, layout);
  return out;
}

int SearchedModel::countOps(const std::string &name, int64_t minElements,
                            const std::string &entry) {
  int ops = 0;
  auto op = SymbolTable(*impl->module).lookup<graph::EntryOp>(entry);
  op.walk([&](Operation *inner) {
    ops +=
        inner->getName().getStringRef() == name &&
        llvm::any_of(inner->getResultTypes(), [&](Type type) {
          return cast<RankedTensorType>(type).getNumElements() >= minElements;
        });
  });
  return ops;
}

int SearchedModel::count(const std::string &name, int64_t minElements,
                         const std::string &entry) {
  int count = 0;
  auto op = SymbolTable(*impl->module).lookup<graph::EntryOp>(entry);
  op.walk([&](Operation *inner) {
    if (inner->getName().getStringRef() != name)
      return;
    for (Type type : inner->getResultTypes())
      if (auto tensor = dyn_cast<RankedTensorType>(type);
          tensor && tensor.getNumElements() >= minElements)
        ++count;
  });
  return count;
}

std::string SearchedModel::text() {
  std::string out;
  llvm::raw_string_ostream os(out);
  impl->module->print(os);
  return out;
}

double SearchedModel::report(const std::string &key, const std::string &entry) {
  auto all = (*impl->module)->getAttrOfType<DictionaryAttr>(layoutSearchAttr);
  auto one = all ? all.getAs<DictionaryAttr>(entry) : DictionaryAttr();
  if (!one)
    return -1;
  if (auto real = one.getAs<FloatAttr>(key))
    return real.getValueAsDouble();
  auto integer = one.getAs<IntegerAttr>(key);
  return integer ? static_cast<double>(integer.getInt()) : -1;
}

std::string nodesText(int64_t devices, int64_t perNode) {
  Cluster cluster = Cluster::nodes(devices, perNode);
  std::string text;
  llvm::raw_string_ostream os(text);
  os << "{\"name\": \"" << cluster.name << "\", \"devices\": " << devices
     << ", \"memory\": " << cluster.memory
     << ", \"memory_bandwidth\": " << cluster.memoryBandwidth
     << ", \"flops\": {";
  bool first = true;
  for (const auto &[type, rate] : cluster.flops) {
    os << (first ? "" : ", ") << "\"" << type << "\": " << rate;
    first = false;
  }
  os << "}, \"levels\": [";
  first = true;
  for (const LinkLevel &level : cluster.levels) {
    os << (first ? "" : ", ") << "{\"name\": \"" << level.name
       << "\", \"size\": " << level.size << ", \"latency\": " << level.latency
       << ", \"bandwidth\": " << level.bandwidth << "}";
    first = false;
  }
  os << "]}";
  return text;
}

} // namespace weir::compiler::test
