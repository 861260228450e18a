// SPDX-License-Identifier: Apache-2.0
// How long the layout search takes: training graphs of known shapes on nodes of
// eight GPUs, without weights. One line of JSON for each case.
//
//   layout-search-benchmark [--family=llama|gpt] [--layers=N] [--mesh=x=8,y=8]
//                           [--batch=B] [--sequence=T] [--memory=BYTES]
//                           [--distinct=1] [--print]
//
// Without arguments: Llama 3 8B, GPT-3 175B, and two curves of the former, by
// layers and by distinct blocks (`distinct`: as if no two layers were alike).
#include "compiler/API/InitDialects.h"
#include "compiler/Autodiff/Passes.h"
#include "compiler/Builders/Families.h"
#include "compiler/Sharding/Passes.h"
#include "dialects/Graph/Annotations.h"

#include "mlir/Pass/PassManager.h"
#include "mlir/Transforms/Passes.h"

#include <chrono>
#include <cstdio>
#include <cstring>

using namespace mlir;
using namespace weir;
using namespace weir::compiler;

namespace {

struct Case {
  std::string family = "llama";
  int64_t layers = 32, batch = 64, sequence = 4096;
  llvm::SmallVector<std::pair<std::string, int64_t>> mesh = {{"x", 8},
                                                             {"y", 8}};
  std::string memory;
  int64_t distinct = 0; // 1: nothing is folded
};

/// Nodes of eight H100, as `Cluster::nodes`.
std::string clusterText(int64_t devices) {
  std::string text = R"({"name": "h100-nodes", "devices": )" +
                     std::to_string(devices) +
                     R"(, "memory": 80e9, "memory_bandwidth": 3.35e12,
  "flops": {"f32": 67e12, "bf16": 989e12}, "levels": [
  {"name": "nvlink", "size": 8, "latency": 3.4e-6, "bandwidth": 450e9},
  {"name": "network", "size": )" +
                     std::to_string(devices / 8) +
                     R"(, "latency": 14e-6, "bandwidth": 50e9}]})";
  return text;
}

OwningOpRef<ModuleOp> build(MLIRContext *context, const Case &test) {
  EntryShapes shapes{test.batch, test.sequence, 1};
  OwningOpRef<ModuleOp> module;
  if (test.family == "llama") {
    // Llama 3 8B (Dubey et al. 2024, table 3).
    LlamaConfig config;
    config.layers = test.layers;
    config.width = 4096;
    config.heads = 32;
    config.kvHeads = 8;
    config.headDim = 128;
    config.inner = 14336;
    config.vocab = 128256;
    config.context = 8192;
    config.ropeTheta = 500000;
    module = buildLlama(context, config, shapes);
  } else {
    // GPT-3 175B (Brown et al. 2020, table 2.1).
    Gpt2Config config;
    config.layers = test.layers;
    config.width = 12288;
    config.heads = 96;
    config.inner = 4 * 12288;
    config.vocab = 50257;
    config.context = 2048;
    module = buildGpt2(context, config, shapes);
  }
  // Training alone: the search's other entries are its forward pass again.
  for (auto entry :
       llvm::make_early_inc_range(module->getOps<graph::EntryOp>()))
    if (entry.getSymName() != "loss")
      entry.erase();
  PassManager manager(context);
  manager.addPass(createBuildTrainEntryPass());
  manager.addPass(createCanonicalizerPass());
  manager.addPass(createCSEPass());
  if (failed(manager.run(*module)))
    return {};
  llvm::SmallVector<StringAttr> names;
  llvm::SmallVector<int64_t> sizes;
  NamedAttrList strategies;
  int64_t devices = 1;
  for (const auto &[name, size] : test.mesh) {
    names.push_back(StringAttr::get(context, name));
    sizes.push_back(size);
    strategies.append(name, StringAttr::get(context, "search"));
    devices *= size;
  }
  (*module)->setAttr(dist::DistDialect::getMeshAttrName(),
                     dist::MeshAttr::get(context, names, sizes, false));
  (*module)->setAttr(strategiesAttr, strategies.getDictionary(context));
  (*module)->setAttr(dist::DistDialect::getClusterAttrName(),
                     StringAttr::get(context, clusterText(devices)));
  return module;
}

double number(DictionaryAttr report, const char *key) {
  if (auto real = report.getAs<FloatAttr>(key))
    return real.getValueAsDouble();
  return static_cast<double>(report.getAs<IntegerAttr>(key).getInt());
}

int run(MLIRContext *context, const Case &test, bool show) {
  OwningOpRef<ModuleOp> module = build(context, test);
  if (!module)
    return 1;
  SelectLayoutsPassOptions options;
  if (!test.memory.empty())
    options.memory = std::stod(test.memory);
  if (test.distinct)
    options.foldAbove = ~0u;
  auto start = std::chrono::steady_clock::now();
  PassManager manager(context);
  manager.addPass(createSelectLayoutsPass(options));
  bool ok = succeeded(manager.run(*module));
  double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start)
          .count();
  if (!ok)
    return 1;
  auto report = cast<DictionaryAttr>(
      (*module)->getAttrOfType<DictionaryAttr>(layoutSearchAttr).get("train"));
  double step = number(report, "seconds"), bound = number(report, "bound");
  std::string mesh;
  for (const auto &[name, size] : test.mesh)
    mesh += (mesh.empty() ? "" : ",") + name + "=" + std::to_string(size);
  std::printf("{\"family\": \"%s\", \"layers\": %lld, \"mesh\": \"%s\", "
              "\"batch\": %lld, \"ops\": %.0f, \"classes\": %.0f, "
              "\"candidates\": %.0f, \"core\": %.0f, \"step_seconds\": %.6g, "
              "\"gap\": %.3g, \"bytes\": %.4g, \"search_seconds\": %.3f}\n",
              test.family.c_str(), (long long)test.layers, mesh.c_str(),
              (long long)test.batch, number(report, "ops"),
              number(report, "classes"), number(report, "candidates"),
              number(report, "core"), step, (step - bound) / step,
              number(report, "bytes"), seconds);
  std::fflush(stdout);
  if (show)
    module->print(llvm::outs());
  return 0;
}

} // namespace

int main(int argc, char **argv) {
  Case test;
  bool given = false, show = false;
  for (int i = 1; i < argc; ++i) {
    llvm::StringRef argument = argv[i];
    auto value = [&](llvm::StringRef name, auto &out) {
      if (!argument.consume_front(("--" + name + "=").str()))
        return false;
      given = true;
      if constexpr (std::is_same_v<std::decay_t<decltype(out)>, std::string>)
        out = argument.str();
      else
        return !argument.getAsInteger(10, out);
      return true;
    };
    std::string mesh;
    if (argument == "--print") {
      show = true;
    } else if (value("mesh", mesh)) {
      test.mesh.clear();
      llvm::SmallVector<llvm::StringRef> axes;
      llvm::StringRef(mesh).split(axes, ',');
      for (llvm::StringRef axis : axes) {
        int64_t size = 1;
        if (axis.split('=').second.getAsInteger(10, size))
          return 2;
        test.mesh.push_back({axis.split('=').first.str(), size});
      }
    } else if (!value("family", test.family) && !value("layers", test.layers) &&
               !value("batch", test.batch) &&
               !value("sequence", test.sequence) &&
               !value("memory", test.memory) &&
               !value("distinct", test.distinct)) {
      std::fprintf(stderr, "unknown argument '%s'\n", argv[i]);
      return 2;
    }
  }
  MLIRContext context(MLIRContext::Threading::DISABLED);
  DialectRegistry registry;
  registerAllWeirDialects(registry);
  context.appendDialectRegistry(registry);
  context.loadAllAvailableDialects();
  if (given || show)
    return run(&context, test, show);
  Case gpt;
  gpt.family = "gpt";
  gpt.layers = 96;
  gpt.batch = 1024;
  gpt.sequence = 2048;
  gpt.mesh = {{"x", 16}, {"y", 8}, {"z", 8}};
  int bad = run(&context, test, false) | run(&context, gpt, false);
  // The curve by layers.
  for (int64_t layers : {4, 8, 16, 64, 128, 256}) {
    Case other = test;
    other.layers = layers;
    bad |= run(&context, other, false);
  }
  for (int64_t layers : {1, 2, 4, 8, 16, 32}) {
    Case other = test;
    other.layers = layers;
    other.distinct = 1;
    bad |= run(&context, other, false);
  }
  return bad;
}
