// SPDX-License-Identifier: Apache-2.0
// The train entry of whole models, run in the interpreter in f64, against
// PyTorch's: loss, gradient of every parameter from weights of deviation 0.1,
// and the losses and gradient norms of 50 training steps (test/e2e/golden).
#include "compiler/Autodiff/Passes.h"
#include "compiler/Import/Import.h"
#include "compiler/Interpreter/Interpreter.h"
#include "runtime/io/File.h"

#include <fstream>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

using namespace mlir;

namespace weir::compiler::test {
namespace {

std::string golden(const std::string &path) {
  return std::string(WEIR_GOLDEN_DIR) + "/" + path;
}

/// What a golden's manifest says of its batches and its optimizer.
struct Manifest {
  explicit Manifest(const std::string &model) : model(model) {
    std::ifstream file(golden(model + "/manifest.json"));
    json = nlohmann::json::parse(file, nullptr, false);
    EXPECT_FALSE(json.is_discarded());
    batch = json["data"]["batch"];
    sequence = json["data"]["sequence"];
  }
  std::string model;
  nlohmann::json json;
  int64_t batch, sequence;
};

/// All inputs of a step: tokens as the manifest's rule says, AdamW with its
/// settings and no decay for tensors of one dimension.
std::map<std::string, Tensor> inputsOf(const Manifest &manifest, int step) {
  const std::string &model = manifest.model;
  int64_t batch = manifest.batch, sequence = manifest.sequence;
  std::ifstream file(golden(model + "/tokens.bin"), std::ios::binary);
  std::vector<uint8_t> bytes((std::istreambuf_iterator<char>(file)),
                             std::istreambuf_iterator<char>());
  std::vector<int64_t> ids, labels;
  for (int64_t i = 0; i < batch * sequence; ++i) {
    size_t at = 2 * (step * batch * sequence + i);
    ids.push_back(bytes.at(at) | bytes.at(at + 1) << 8);
    labels.push_back(bytes.at(at + 2) | bytes.at(at + 3) << 8);
  }
  std::map<std::string, Tensor> inputs = {
      {"ids", Tensor::fromInts(ElementKind::I32, {batch, sequence}, ids)},
      {"labels", Tensor::fromInts(ElementKind::I32, {batch, sequence}, labels)},
      {"seed", Tensor::scalarInt(ElementKind::I32, 0)},
      {"step", Tensor::scalarInt(ElementKind::I32, step)}};
  const nlohmann::json &adamw = manifest.json["optimizer"];
  double beta1 = adamw["beta1"], beta2 = adamw["beta2"];
  double clip = adamw["clip_grad_norm"].is_null()
                    ? 0.0
                    : adamw["clip_grad_norm"].get<double>();
  std::pair<const char *, double> scalars[] = {
      {"group0.learning_rate", adamw["lr"]},
      {"group1.learning_rate", adamw["lr"]},
      {"group0.weight_decay", adamw["weight_decay"]},
      {"group1.weight_decay", 0.0},
      {"beta1", beta1},
      {"beta2", beta2},
      {"epsilon", adamw["eps"]},
      {"correction1", 1 - std::pow(beta1, step + 1)},
      {"correction2", 1 - std::pow(beta2, step + 1)},
      {"max_norm", clip}};
  for (auto [name, value] : scalars)
    inputs[name] = Tensor::scalar(value);
  return inputs;
}

class GoldenGradientTest : public testing::TestWithParam<const char *> {
protected:
  /// The model of a folder with its train entry.
  OwningOpRef<ModuleOp> build(const Manifest &manifest, StringRef folder) {
    Job job;
    job.model.kind = ModelKind::Folder;
    job.model.folder = golden(manifest.model + "/" + folder.str());
    job.batch = manifest.batch;
    job.sequence = manifest.sequence;
    auto module = importModel(&context, job);
    EXPECT_TRUE(module.ok()) << module.status().message();
    PassManager manager(&context);
    BuildTrainEntryPassOptions options;
    options.emitGradients = true;
    manager.addPass(createBuildTrainEntryPass(options));
    EXPECT_TRUE(succeeded(manager.run(**module)));
    return std::move(*module);
  }

  MLIRContext context;
};

TEST_P(GoldenGradientTest, OneSharpStep) {
  std::string model = GetParam();
  Manifest manifest(model);
  OwningOpRef<ModuleOp> module = build(manifest, "sharp");
  auto weights = SafetensorsSet::open(golden(model + "/sharp"));
  auto expected =
      SafetensorsFile::open(golden(model + "/sharp_expected.safetensors"));
  ASSERT_TRUE(weights.ok() && expected.ok());
  State state = State::initialize(*module, 0);
  ASSERT_TRUE(state.load(*module, *weights).ok());
  auto inputs = inputsOf(manifest, 0);
  auto outputs = Interpreter(*module).runEntry("train", state, inputs);
  ASSERT_TRUE(succeeded(outputs));

  const StoredTensor *loss = expected->find("loss");
  ASSERT_TRUE(loss);
  float expectedLoss;
  ASSERT_TRUE(expected->readFloats(*loss, &expectedLoss).ok());
  EXPECT_NEAR(outputs->at("loss").floats[0], expectedLoss, 1e-6 * expectedLoss);

  double count = outputs->at("count").floats[0];
  EXPECT_EQ(count, manifest.batch * manifest.sequence);
  int compared = 0;
  for (auto variable : module->getOps<graph::VariableOp>()) {
    if (variable.getKind() != graph::VariableKind::Parameter)
      continue;
    const StoredTensor *stored = expected->find(
        "grad." + variable.getStoredAttr().getName().getValue().str());
    ASSERT_TRUE(stored) << variable.getSymName().str();
    std::vector<float> reference(stored->elements());
    ASSERT_TRUE(expected->readFloats(*stored, reference.data()).ok());
    const Tensor &gradient =
        outputs->at("gradient/" + variable.getSymName().str());
    ASSERT_EQ(size_t(gradient.size()), reference.size());
    double difference = 0, norm = 0;
    for (size_t i = 0; i < reference.size(); ++i) {
      difference += std::pow(gradient.floats[i] / count - reference[i], 2);
      norm += std::pow(reference[i], 2);
    }
    // Both sides compute in f64; the reference is rounded to f32 once (6e-8),
    // as are the constants of f32 IR.
    EXPECT_LE(std::sqrt(difference), 5e-7 * std::sqrt(norm))
        << variable.getSymName().str();
    ++compared;
  }
  EXPECT_GE(compared, 20);
}

TEST_P(GoldenGradientTest, FiftyTrainingSteps) {
  std::string model = GetParam();
  Manifest manifest(model);
  OwningOpRef<ModuleOp> module = build(manifest, "model");
  auto weights = SafetensorsSet::open(golden(model + "/model"));
  ASSERT_TRUE(weights.ok());
  State state = State::initialize(*module, 0);
  ASSERT_TRUE(state.load(*module, *weights).ok());
  for (int step = 0; step < 50; ++step) {
    auto inputs = inputsOf(manifest, step);
    auto outputs = Interpreter(*module).runEntry("train", state, inputs);
    ASSERT_TRUE(succeeded(outputs));
    double loss = manifest.json["losses_f64"][step];
    EXPECT_NEAR(outputs->at("loss").floats[0], loss, 1e-7 * loss)
        << "step " << step;
    double norm = manifest.json["gradient_norms_f64"][step];
    EXPECT_NEAR(outputs->at("gradient_norm").floats[0], norm, 1e-6 * norm)
        << "step " << step;
  }
}

INSTANTIATE_TEST_SUITE_P(Models, GoldenGradientTest,
                         testing::Values("gpt2-small", "gpt2-odd", "gpt2-erf",
                                         "llama-small", "llama-odd"),
                         [](const testing::TestParamInfo<const char *> &info) {
                           std::string name = info.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

} // namespace
} // namespace weir::compiler::test
