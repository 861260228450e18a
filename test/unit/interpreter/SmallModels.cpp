// SPDX-License-Identifier: Apache-2.0
#include "test/unit/interpreter/SmallModels.h"

#include "compiler/Autodiff/Passes.h"
#include "compiler/Builders/Families.h"

#include "mlir/Pass/PassManager.h"

#include <cmath>
#include <gtest/gtest.h>

using namespace mlir;

namespace weir::compiler::test {

namespace {

constexpr int64_t batch = 5, sequence = 4, vocab = 13;

} // namespace

OwningOpRef<ModuleOp> buildSmallModel(MLIRContext &context,
                                      const std::string &family) {
  EntryShapes shapes;
  shapes.batch = batch;
  shapes.sequence = sequence;
  OwningOpRef<ModuleOp> module;
  if (family == "gpt2") {
    Gpt2Config config;
    config.layers = 2;
    config.width = 12;
    config.heads = 3;
    config.inner = 7;
    config.vocab = vocab;
    config.context = 6;
    config.initializerRange = 0.3;
    config.embeddingDropout = config.attentionDropout = config.residualDropout =
        0.2;
    module = buildGpt2(&context, config, shapes);
  } else {
    LlamaConfig config;
    config.layers = 2;
    config.width = 10;
    config.heads = 6;
    config.kvHeads = 3;
    config.headDim = 4;
    config.inner = 7;
    config.vocab = vocab;
    config.context = 6;
    config.initializerRange = 0.3;
    module = buildLlama(&context, config, shapes);
  }
  PassManager manager(&context);
  BuildTrainEntryPassOptions options;
  options.emitGradients = true;
  manager.addPass(createBuildTrainEntryPass(std::move(options)));
  EXPECT_TRUE(succeeded(manager.run(*module)));
  return module;
}

std::map<std::string, Tensor> smallModelInputs(ModuleOp module, StringRef entry,
                                               int step) {
  std::map<std::string, Tensor> all, chosen;
  std::vector<int64_t> ids, labels;
  for (int64_t i = 0; i < batch * sequence; ++i) {
    ids.push_back((i * 5 + step * 3 + i * i) % vocab);
    labels.push_back(i % 7 == 3 ? -100 : (i * 3 + step) % vocab);
  }
  all["ids"] = Tensor::fromInts(ElementKind::I32, {batch, sequence}, ids);
  all["labels"] = Tensor::fromInts(ElementKind::I32, {batch, sequence}, labels);
  all["seed"] = Tensor::scalarInt(ElementKind::I32, 11);
  all["step"] = Tensor::scalarInt(ElementKind::I32, step);
  auto set = [&](const std::string &name, double value) {
    all[name] = Tensor::scalar(value);
  };
  for (const char *group : {"group0", "group1"}) {
    set(std::string(group) + ".learning_rate", 0.05);
    set(std::string(group) + ".weight_decay", 0.1);
  }
  set("beta1", 0.9);
  set("beta2", 0.95);
  // Large: a gradient that is zero but for rounding must not become a step.
  set("epsilon", 1e-2);
  set("correction1", 1 - std::pow(0.9, step));
  set("correction2", 1 - std::pow(0.95, step));
  set("max_norm", 1.0);
  auto op = module.lookupSymbol<graph::EntryOp>(entry);
  for (unsigned i = 0; i < op.getNumArguments(); ++i)
    if (std::string name = op.getArgumentInput(i).str(); !name.empty())
      chosen[name] = all.at(name);
  return chosen;
}

} // namespace weir::compiler::test
