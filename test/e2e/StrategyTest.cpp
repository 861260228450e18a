// SPDX-License-Identifier: Apache-2.0
// Every strategy of a mesh axis, alone and with others, against one device: the
// goldens' losses are PyTorch's, which one device meets within the same
// tolerance (TrainTest).
#include "test/e2e/Harness.h"
#include "test/unit/runtime/TestSupport.h"

#include "gtest/gtest.h"

#include <cmath>
#include <map>

namespace weir::e2e {
namespace {

using test::TempFolder;

/// Axes with their strategies, in mesh order: "dp=2:zero1 tp=2:megatron".
struct StrategyCase {
  std::string golden, axes;
  int64_t microBatches = 1;
};

/// Bytes that the plan places on all ranks.
int64_t planBytes(const Model &model) {
  int64_t bytes = 0;
  for (const auto &segment : model.session->memoryReport().segments)
    bytes += segment.bytes;
  return bytes;
}

Variant variantOf(const StrategyCase &test) {
  Variant variant;
  variant.microBatches = test.microBatches;
  std::string strategies;
  size_t at = 0;
  while (at < test.axes.size()) {
    size_t end = test.axes.find(' ', at);
    std::string item = test.axes.substr(at, end - at);
    size_t colon = item.find(':'), equals = item.find('=');
    variant.mesh += (at ? "," : "") + item.substr(0, colon);
    strategies += std::string(at ? ", " : "") + "\"" + item.substr(0, equals) +
                  "\": \"" + item.substr(colon + 1) + "\"";
    at = end == std::string::npos ? test.axes.size() : end + 1;
  }
  variant.extra = "\"strategy\": {" + strategies + "}";
  return variant;
}

class Strategies : public testing::TestWithParam<StrategyCase> {};

/// Ten steps of training, in checked mode: losses and norms of gradients as on
/// one device.
TEST_P(Strategies, LossesEqualOneDevice) {
  auto golden = readGolden(GetParam().golden);
  ASSERT_OK(golden);
  TempFolder folder;
  auto artifact = compile(*golden, variantOf(GetParam()), folder.path());
  ASSERT_OK(artifact);
  auto model = load(*artifact, golden->folder + "/model", /*workers=*/2,
                    /*checked=*/true);
  ASSERT_OK(model);
  RecordProperty("plan_bytes", std::to_string(planBytes(*model)));
  auto results = trainSteps(*model->session, *golden, 10);
  ASSERT_OK(results);
  for (size_t step = 0; step < results->size(); ++step) {
    const StepResult &result = (*results)[step];
    EXPECT_LE(std::fabs(result.loss - golden->losses[step]),
              golden->lossTolerance * golden->losses[step])
        << "step " << step << ": " << result.loss << " for "
        << golden->losses[step];
    EXPECT_LE(std::fabs(result.gradientNorm - golden->gradientNorms[step]),
              5 * golden->lossTolerance * golden->gradientNorms[step])
        << "step " << step;
  }
}

/// What ZeRO promises (Rajbhandari et al., arXiv 1910.02054, figure 1): on n
/// devices, stage 1 holds an n-th of the optimizer state on each, stage 2 of
/// the gradients too, stage 3 of the parameters too. In two micro-batches,
/// without which gradients are never held whole.
TEST(ZeroMemory, FallsStageByStage) {
  auto golden = readGolden("gpt2-small");
  ASSERT_OK(golden);
  struct Bytes {
    int64_t parameters = 0, state = 0, step = 0;
  };
  std::map<std::string, Bytes> stages;
  // Places are aligned to 64 bytes, so that a part of a tensor may take 63
  // more.
  int64_t alignment = 0, largest = 0;
  for (const char *strategy : {"data", "zero1", "zero2", "zero3"}) {
    TempFolder folder;
    auto artifact = compile(
        *golden, variantOf({"gpt2-small", std::string("dp=2:") + strategy, 2}),
        folder.path());
    ASSERT_OK(artifact);
    auto model = load(*artifact, golden->folder + "/model", 2, false);
    ASSERT_OK(model);
    for (const auto &segment : model->session->memoryReport().segments) {
      Bytes &bytes = stages[strategy];
      (segment.name == "parameters" ? bytes.parameters
       : segment.name == "state"    ? bytes.state
                                    : bytes.step) += segment.bytes;
    }
    alignment = largest = 0;
    for (const plan::Variable &variable : model->program->plan().variables) {
      int64_t elements = 1;
      for (const plan::DimLayout &dim : variable.layout.dims)
        elements *= dim.size;
      largest = std::max<int64_t>(largest, elements * 4);
      alignment += 64;
    }
  }
  const Bytes &data = stages["data"], &one = stages["zero1"],
              &two = stages["zero2"], &three = stages["zero3"];
  int64_t gradients = data.parameters;
  EXPECT_EQ(one.parameters, data.parameters);
  EXPECT_LE(one.state, data.state / 2 + alignment);
  EXPECT_LE(one.step, data.step + largest);
  EXPECT_EQ(two.parameters, data.parameters);
  EXPECT_EQ(two.state, one.state);
  // Sums over micro-batches are halves; one gradient at a time is whole.
  EXPECT_LE(two.step, one.step - gradients / 2 + largest + alignment);
  EXPECT_LE(three.parameters, data.parameters / 2 + alignment);
  EXPECT_EQ(three.state, one.state);
  // Some gathered parameters, fewer than are saved.
  EXPECT_LT(three.step, two.step + data.parameters / 2);
  for (const auto &[name, bytes] : stages)
    RecordProperty(name, std::to_string(bytes.parameters) + " + " +
                             std::to_string(bytes.state) + " + " +
                             std::to_string(bytes.step));
}

/// Every variable split along its first dim on all axes, one of them of size 1:
/// more coordinates than most dims have elements, without any strategy.
TEST(SplitOverAll, SgdEqualsOneDevice) {
  for (const char *name : {"gpt2-odd", "llama-small"}) {
    auto golden = readGolden(name);
    ASSERT_OK(golden);
    golden->lr = 0.1;
    Variant one, nine;
    nine.mesh = "tp=3,dp=3,v=1";
    one.extra = R"("optimizer": {"kind": "sgd", "lr": 0.1})";
    nine.extra = one.extra + R"json(, "strategy": {"tp": "none", "dp": "none",
        "v": "none"}, "layouts": [{"match": "*", "tp": "S(0)", "dp": "S(0)",
        "v": "S(0)"}])json";
    std::vector<StepResult> reference;
    for (const Variant &variant : {one, nine}) {
      TempFolder folder;
      auto artifact = compile(*golden, variant, folder.path());
      ASSERT_OK(artifact);
      auto model = load(*artifact, golden->folder + "/model", 2, true);
      ASSERT_OK(model);
      auto results = trainSteps(*model->session, *golden, 5);
      ASSERT_OK(results);
      if (reference.empty())
        reference = *results;
      for (size_t step = 0; step < reference.size(); ++step)
        EXPECT_LE(std::fabs((*results)[step].loss - reference[step].loss),
                  golden->lossTolerance * reference[step].loss)
            << name << " step " << step;
    }
  }
}

/// Variables split in runs of elements that stay together, which 3 devices do
/// not share evenly: 20 runs of 8, 4 of 40, 2 of 20.
TEST(Units, LossesEqualOneDevice) {
  auto golden = readGolden("gpt2-odd");
  ASSERT_OK(golden);
  for (const char *layout : {"S(1, unit=8)", "S(1, unit=40)", "S(0, unit=20)"})
    for (int64_t microBatches : {1, 2}) {
      Variant variant;
      variant.mesh = "x=3";
      variant.microBatches = microBatches;
      variant.extra = R"("strategy": {"x": "data"}, "layouts": [{"match":
          "*mlp.c_fc.weight", "x": ")" +
                      std::string(layout) + "\"}]";
      TempFolder folder;
      auto artifact = compile(*golden, variant, folder.path());
      ASSERT_OK(artifact);
      auto model = load(*artifact, golden->folder + "/model", 2, true);
      ASSERT_OK(model);
      auto results = trainSteps(*model->session, *golden, 5);
      ASSERT_OK(results);
      for (size_t step = 0; step < results->size(); ++step)
        EXPECT_LE(std::fabs((*results)[step].loss - golden->losses[step]),
                  golden->lossTolerance * golden->losses[step])
            << layout << " step " << step;
    }
}

const char *const goldenNames[] = {"gpt2-small", "gpt2-odd", "llama-small",
                                   "llama-odd"};

/// One axis of 2 in one batch, and of 3, which hardly anything divides, in two
/// micro-batches.
std::vector<StrategyCase> alone(std::vector<std::string> strategies) {
  std::vector<StrategyCase> list;
  for (const std::string &golden : goldenNames)
    for (const std::string &strategy : strategies) {
      list.push_back({golden, "x=2:" + strategy, 1});
      list.push_back({golden, "x=3:" + strategy, 2});
    }
  return list;
}

/// Meshes of several axes, in one batch and in three micro-batches by turns.
std::vector<StrategyCase> mixed(std::vector<std::string> meshes) {
  std::vector<StrategyCase> list;
  int64_t turn = 0;
  for (const std::string &golden : goldenNames) {
    for (const std::string &mesh : meshes)
      list.push_back({golden, mesh, turn++ % 2 ? 3 : 1});
    turn += meshes.size() % 2 == 0; // so that each mesh meets both
  }
  return list;
}

/// "dp_2_zero1__tp_2_megatron__mb2__gpt2_odd".
std::string caseName(const testing::TestParamInfo<StrategyCase> &info) {
  std::string text = info.param.axes + "  mb" +
                     std::to_string(info.param.microBatches) + "  " +
                     info.param.golden;
  for (char &c : text)
    if (!std::isalnum(static_cast<unsigned char>(c)))
      c = '_';
  return text;
}

INSTANTIATE_TEST_SUITE_P(Zero, Strategies,
                         testing::ValuesIn(alone({"zero1", "zero2", "zero3"})),
                         caseName);
INSTANTIATE_TEST_SUITE_P(
    Tensor, Strategies,
    testing::ValuesIn(alone({"megatron", "megatron-sp", "redco"})), caseName);
INSTANTIATE_TEST_SUITE_P(
    Sequence, Strategies,
    testing::ValuesIn(alone({"ulysses", "context", "ring"})), caseName);
/// Reordered tokens: the goldens whose sequence of 24 divides.
INSTANTIATE_TEST_SUITE_P(
    Balanced, Strategies,
    testing::Values(
        StrategyCase{"gpt2-small", "x=2:context-zigzag", 2},
        StrategyCase{"gpt2-small", "x=3:ring-zigzag", 1},
        StrategyCase{"llama-small", "x=3:context-zigzag", 1},
        StrategyCase{"llama-small", "x=2:ring-zigzag", 2},
        StrategyCase{"llama-small", "dp=2:zero3 cp=3:ring-zigzag", 2},
        StrategyCase{"gpt2-small", "cp=2:ring-zigzag tp=2:megatron", 1}),
    caseName);
/// Fewer key-value heads than coordinates, or heads that these do not divide:
/// 3 groups of 2 on 6 as 3 x 2, 2 groups of 2 on 8 as 4 x 2, 5 heads on 3.
INSTANTIATE_TEST_SUITE_P(
    Heads, Strategies,
    testing::Values(StrategyCase{"llama-odd", "tp=6:megatron", 2},
                    StrategyCase{"llama-odd", "dp=2:zero3 tp=6:megatron-sp", 1},
                    StrategyCase{"llama-small", "tp=4:megatron", 1},
                    StrategyCase{"llama-small", "tp=8:megatron-sp", 1},
                    StrategyCase{"gpt2-odd", "tp=3:megatron-sp", 1}),
    caseName);
/// Layouts that a search finds, alone and beside axes of other strategies.
INSTANTIATE_TEST_SUITE_P(
    Search, Strategies,
    testing::Values(StrategyCase{"gpt2-small", "x=2:search", 1},
                    StrategyCase{"gpt2-odd", "x=3:search", 2},
                    StrategyCase{"llama-odd", "x=2:search y=2:search", 1},
                    StrategyCase{"llama-odd", "x=2:search y=3:search", 3},
                    StrategyCase{"llama-small", "dp=2:data x=2:search", 2},
                    StrategyCase{"gpt2-odd", "x=2:search tp=2:megatron", 1},
                    StrategyCase{"gpt2-small",
                                 "x=2:search y=2:search z=2:search", 1}),
    caseName);
INSTANTIATE_TEST_SUITE_P(
    TwoAxes, Strategies,
    testing::ValuesIn(mixed(
        {"a=2:data b=2:data", "a=2:zero1 b=2:zero3", "dp=2:zero1 tp=2:megatron",
         "dp=2:zero2 tp=2:megatron-sp", "dp=2:zero3 tp=2:megatron",
         "dp=2:zero3 tp=2:redco", "tp=2:megatron dp=2:zero3",
         "dp=2:data sp=2:ulysses", "dp=2:zero3 cp=2:context",
         "tp=2:megatron sp=2:ulysses", "tp=2:megatron-sp cp=2:context"})),
    caseName);
INSTANTIATE_TEST_SUITE_P(
    ThreeAxes, Strategies,
    testing::ValuesIn(mixed({"dp=2:zero1 tp=2:megatron sp=2:ulysses",
                             "dp=2:zero3 tp=2:megatron-sp cp=2:context",
                             "a=2:data b=2:zero2 tp=2:megatron-sp"})),
    caseName);

} // namespace
} // namespace weir::e2e
