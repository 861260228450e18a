// SPDX-License-Identifier: Apache-2.0
// Models under meshes, run on virtual ranks by the interpreter, against the
// same model on one device: losses, gradients and updated variables.
#include "compiler/API/InitDialects.h"
#include "compiler/Interpreter/Interpreter.h"
#include "compiler/Sharding/Passes.h"
#include "test/unit/interpreter/SmallModels.h"

#include "mlir/AsmParser/AsmParser.h"
#include "mlir/Pass/PassManager.h"

#include <cmath>
#include <gtest/gtest.h>

using namespace mlir;
using namespace weir;
using namespace weir::compiler;
using namespace weir::compiler::test;

namespace {

using Tensors = std::map<std::string, Tensor>;

MLIRContext &context() {
  static MLIRContext *instance = [] {
    DialectRegistry registry;
    registerAllWeirDialects(registry);
    auto *made = new MLIRContext(registry);
    made->loadAllAvailableDialects();
    return made;
  }();
  return *instance;
}

struct ModelRun {
  State state;
  std::vector<Tensors> outputs;
};

/// Two training steps, an evaluation and a forward pass.
void runModel(ModuleOp module, ModelRun &run) {
  Interpreter interpreter(module);
  run.state = State::initialize(module, 3);
  for (const char *entry : {"train", "train", "evaluate", "forward"}) {
    int step = static_cast<int>(run.outputs.size()) + 1;
    auto outputs = interpreter.runEntry(entry, run.state,
                                        smallModelInputs(module, entry, step));
    ASSERT_TRUE(succeeded(outputs)) << entry;
    run.outputs.push_back(*outputs);
  }
}

void expectEqual(const std::string &what, const Tensor &got,
                 const Tensor &want) {
  ASSERT_EQ(got.shape, want.shape) << what;
  for (int64_t i = 0; i < want.size(); ++i)
    // f64: reductions in another order, over two steps of a small model.
    ASSERT_LE(std::abs(got.at(i) - want.at(i)),
              1e-12 * (1 + std::abs(want.at(i))))
        << what << " at " << i;
}

void expectEqual(const ModelRun &got, const ModelRun &want) {
  for (size_t i = 0; i < want.outputs.size(); ++i)
    for (const auto &[name, tensor] : want.outputs[i])
      expectEqual("output " + name + " of run " + std::to_string(i),
                  got.outputs[i].at(name), tensor);
  for (const auto &[name, tensor] : want.state.variables)
    expectEqual("variable " + name, got.state.variables.at(name), tensor);
}

const ModelRun &reference(const std::string &family) {
  static std::map<std::string, ModelRun> runs;
  auto [it, inserted] = runs.try_emplace(family);
  if (inserted) {
    auto module = buildSmallModel(context(), family);
    runModel(*module, it->second);
  }
  return it->second;
}

struct Setting {
  const char *family, *mesh;
  std::vector<std::string> overrides;
};

std::string nameOf(const testing::TestParamInfo<Setting> &info) {
  std::string name = info.param.family;
  for (const char *c = info.param.mesh; *c; ++c)
    name += isalnum(*c) ? std::string(1, *c) : "_";
  return name + (info.param.overrides.empty()
                     ? ""
                     : "_overrides" + std::to_string(info.index));
}

class Execution : public testing::TestWithParam<Setting> {
protected:
  OwningOpRef<ModuleOp> shard(bool localize) {
    auto module = buildSmallModel(context(), GetParam().family);
    auto mesh = parseAttribute(
        std::string("#dist.mesh<") + GetParam().mesh + ">", &context());
    module.get()->setAttr(dist::DistDialect::getMeshAttrName(), mesh);
    PassManager manager(&context());
    PropagateLayoutsPassOptions options;
    for (const std::string &text : GetParam().overrides)
      options.overrides.push_back(text);
    manager.addPass(createPropagateLayoutsPass(std::move(options)));
    if (localize) {
      addShardPasses(manager);
    } else {
      manager.addPass(createVerifyLayoutsPass());
      manager.addPass(createMaterializeReshardsPass());
      manager.addPass(createVerifyLayoutsPass());
    }
    if (failed(manager.run(*module)))
      return nullptr;
    return module;
  }
};

// After reshards are materialised: the meaning of layouts and reshards.
TEST_P(Execution, MaterialisedEqualsOneDevice) {
  auto module = shard(false);
  ASSERT_TRUE(module);
  ModelRun run;
  runModel(*module, run);
  if (!HasFatalFailure())
    expectEqual(run, reference(GetParam().family));
}

// On local types with collectives and the micro-batch loop.
TEST_P(Execution, LocalEqualsOneDevice) {
  auto module = shard(true);
  ASSERT_TRUE(module);
  // Training and evaluation run in micro-batches, the logits come whole.
  bool timed = StringRef(GetParam().mesh).contains("time");
  for (const char *name : {"train", "evaluate", "forward"}) {
    auto entry = module->lookupSymbol<graph::EntryOp>(name);
    auto loops = entry.getBody().front().getOps<dist::MicroBatchesOp>();
    EXPECT_EQ(llvm::range_size(loops),
              timed && StringRef(name) != "forward" ? 1 : 0)
        << name;
  }
  ModelRun run;
  runModel(*module, run);
  if (!HasFatalFailure())
    expectEqual(run, reference(GetParam().family));
}

INSTANTIATE_TEST_SUITE_P(
    Meshes, Execution,
    testing::Values(
        Setting{"gpt2", "dp=2", {}}, Setting{"gpt2", "dp=4", {}},
        Setting{"gpt2", "tp=2", {}}, Setting{"gpt2", "tp=4", {}},
        Setting{"gpt2", "dp=2, tp=2", {}}, Setting{"gpt2", "tp=2, dp=2", {}},
        Setting{"gpt2", "mb=1 : time", {}}, Setting{"gpt2", "mb=2 : time", {}},
        Setting{"gpt2", "dp=2, mb=2 : time", {}},
        Setting{"gpt2", "tp=2, mb=3 : time", {}},
        Setting{"gpt2", "dp=2, tp=2, mb=2 : time", {}},
        Setting{"gpt2", "dp=2, tp=2, mb=3 : time", {}},
        Setting{"gpt2", "dp=4, mb=3 : time", {}}, Setting{"llama", "dp=2", {}},
        Setting{"llama", "tp=2", {}}, Setting{"llama", "tp=4", {}},
        Setting{"llama", "dp=2, tp=2", {}},
        Setting{"llama", "dp=2, tp=2, mb=3 : time", {}},
        // A table whole on tp; states sharded over dp; a parameter over both.
        Setting{"gpt2", "dp=2, tp=2", {"wte.weight=[B, B]"}},
        Setting{"gpt2", "dp=2, tp=2", {"*/m=[S(0), B]", "*/v=[S(0), B]"}},
        Setting{"gpt2", "dp=2, tp=2, mb=2 : time", {"h.*.weight=[S(0), S(0)]"}},
        Setting{
            "gpt2",
            "dp=2, tp=2",
            {"wpe.weight=[S(1), S(0)]", "h.0.mlp.c_fc.weight=[S(1), S(1)]"}}),
    nameOf);

} // namespace
