// SPDX-License-Identifier: Apache-2.0
// Ops and whole models: formed into kernels, the program is run by the
// interpreter and compared with what it was made from; compiled, each kernel is
// compared with the interpreter.
#include "compiler/API/InitDialects.h"
#include "compiler/Interpreter/Interpreter.h"
#include "compiler/Kernels/Passes.h"
#include "compiler/Sharding/Passes.h"
#include "test/unit/autodiff/OpCases.h"
#include "test/unit/codegen/KernelCheck.h"
#include "test/unit/codegen/RandomGraphs.h"
#include "test/unit/interpreter/SmallModels.h"

#include "mlir/AsmParser/AsmParser.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"

#include <cmath>
#include <gtest/gtest.h>
#include <random>

using namespace mlir;

namespace weir::compiler::test {
namespace {

MLIRContext &context() {
  static MLIRContext *instance = [] {
    DialectRegistry registry;
    registerAllWeirDialects(registry);
    auto *made = new MLIRContext(registry, MLIRContext::Threading::DISABLED);
    made->loadAllAvailableDialects();
    return made;
  }();
  return *instance;
}

LogicalResult formKernels(ModuleOp module, int64_t chunks, bool fuse) {
  PassManager manager(module.getContext());
  FormKernelsPassOptions options;
  options.chunks = chunks;
  options.fuse = fuse;
  manager.addPass(createFormKernelsPass(options));
  return manager.run(module);
}

void expectNear(const std::string &what, const Tensor &got,
                const Tensor &want) {
  ASSERT_EQ(got.shape, want.shape) << what;
  for (int64_t i = 0; i < want.size(); ++i) {
    double a = got.at(i), b = want.at(i);
    // f64, but constants of pieces are those of the element type, f32.
    if (!(std::isnan(a) && std::isnan(b)) && a != b)
      ASSERT_LE(std::abs(a - b), 1e-6 * (1 + std::abs(b)))
          << what << " at " << i;
  }
}

//===----------------------------------------------------------------------===//
// Ops
//===----------------------------------------------------------------------===//

class Ops : public testing::TestWithParam<OpCase> {};

TEST_P(Ops, KernelsEqualTheInterpreter) {
  for (bool fuse : {true, false}) {
    SCOPED_TRACE(fuse ? "fused" : "not fused");
    auto module = parseSourceString<ModuleOp>(textOf(GetParam()), &context());
    ASSERT_TRUE(module);
    OwningOpRef<ModuleOp> formed(cast<ModuleOp>(module->clone()));
    ASSERT_TRUE(succeeded(formKernels(*formed, 3, fuse)));
    ASSERT_TRUE(succeeded(verify(*formed)));
    Program program;
    program.entry = *module->getOps<graph::EntryOp>().begin();
    std::vector<Tensor> operands = drawOperands(GetParam(), program);
    auto want = Interpreter(*module).run("f", operands);
    auto got = Interpreter(*formed).run("f", operands);
    ASSERT_TRUE(succeeded(want));
    ASSERT_TRUE(succeeded(got));
    for (size_t i = 0; i < want->size(); ++i)
      expectNear("result " + std::to_string(i), (*got)[i], (*want)[i]);
    checkKernels(*formed);
    if (fuse)
      checkKernels(*formed, "x86-64-v3");
  }
}

INSTANTIATE_TEST_SUITE_P(All, Ops, testing::ValuesIn(opCases()),
                         [](const auto &info) {
                           return std::string(info.param.name);
                         });

//===----------------------------------------------------------------------===//
// Random graphs
//===----------------------------------------------------------------------===//

class RandomGraphs : public testing::TestWithParam<int> {};

TEST_P(RandomGraphs, KernelsEqualTheInterpreter) {
  for (int variant = 0; variant < 5; ++variant) {
    unsigned seed = GetParam() * 5 + variant;
    std::string text = randomGraph(seed, 6 + seed % 12);
    SCOPED_TRACE(text);
    auto module = parseSourceString<ModuleOp>(text, &context());
    ASSERT_TRUE(module);
    OwningOpRef<ModuleOp> formed(cast<ModuleOp>(module->clone()));
    ASSERT_TRUE(succeeded(formKernels(*formed, 1 + seed % 3, true)));
    ASSERT_TRUE(succeeded(verify(*formed)));
    std::mt19937 random(seed);
    std::normal_distribution<double> gauss;
    std::vector<Tensor> operands;
    auto entry = *module->getOps<graph::EntryOp>().begin();
    for (Type type : entry.getArgumentTypes()) {
      operands.push_back(Tensor::zeros(
          ElementKind::Float, cast<RankedTensorType>(type).getShape()));
      for (double &value : operands.back().floats)
        value = static_cast<float>(gauss(random));
    }
    auto want = Interpreter(*module).run("f", operands);
    auto got = Interpreter(*formed).run("f", operands);
    ASSERT_TRUE(succeeded(want));
    ASSERT_TRUE(succeeded(got));
    for (size_t i = 0; i < want->size(); ++i)
      expectNear("result " + std::to_string(i), (*got)[i], (*want)[i]);
    // Sines and differences of sums as large as some hundreds.
    checkKernels(*formed, seed % 2 ? "host" : "x86-64-v3", 3e-5);
    if (HasFailure())
      return;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Seeds, RandomGraphs,
    testing::Range(0, getenv("WEIR_TEST_SEEDS")
                          ? std::atoi(getenv("WEIR_TEST_SEEDS"))
                          : 24));

//===----------------------------------------------------------------------===//
// Models
//===----------------------------------------------------------------------===//

struct Setting {
  const char *family, *mesh;
};

class Models : public testing::TestWithParam<Setting> {};

TEST_P(Models, KernelsEqualTheInterpreter) {
  auto module = buildSmallModel(context(), GetParam().family);
  if (*GetParam().mesh) {
    auto mesh = parseAttribute(
        std::string("#dist.mesh<") + GetParam().mesh + ">", &context());
    module.get()->setAttr(dist::DistDialect::getMeshAttrName(), mesh);
    PassManager manager(&context());
    manager.addPass(createPropagateLayoutsPass());
    addShardPasses(manager);
    ASSERT_TRUE(succeeded(manager.run(*module)));
  }
  OwningOpRef<ModuleOp> formed(cast<ModuleOp>(module->clone()));
  ASSERT_TRUE(succeeded(formKernels(*formed, 2, true)));
  ASSERT_TRUE(succeeded(verify(*formed)));
  State want = State::initialize(*module, 3), got = want;
  for (const char *entry : {"train", "train", "evaluate", "forward"}) {
    auto inputs = smallModelInputs(*module, entry, 1);
    auto expected = Interpreter(*module).runEntry(entry, want, inputs);
    auto outputs = Interpreter(*formed).runEntry(entry, got, inputs);
    ASSERT_TRUE(succeeded(expected));
    ASSERT_TRUE(succeeded(outputs)) << entry;
    for (const auto &[name, tensor] : *expected)
      expectNear(name, outputs->at(name), tensor);
    for (const auto &[name, tensor] : want.variables)
      expectNear(name, got.variables.at(name), tensor);
  }
  checkKernels(*formed);
}

INSTANTIATE_TEST_SUITE_P(
    Meshes, Models,
    testing::Values(Setting{"gpt2", ""}, Setting{"llama", ""},
                    Setting{"gpt2", "dp=4"}, Setting{"gpt2", "tp=4"},
                    Setting{"gpt2", "dp=2, tp=2, mb=3 : time"},
                    Setting{"llama", "tp=4"},
                    Setting{"llama", "dp=2, tp=2, mb=3 : time"}),
    [](const auto &info) {
      std::string name = info.param.family;
      for (const char *c = info.param.mesh; *c; ++c)
        name += isalnum(*c) ? std::string(1, *c) : "_";
      return name;
    });

} // namespace
} // namespace weir::compiler::test
