// SPDX-License-Identifier: Apache-2.0
// Every strategy of a mesh axis, alone and with others, against one device: the
// goldens' losses are PyTorch's, which one device meets within the same
// tolerance (TrainTest).
#include "test/e2e/Harness.h"
#include "test/unit/runtime/TestSupport.h"

#include "gtest/gtest.h"

#include <cmath>

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
INSTANTIATE_TEST_SUITE_P(Sequence, Strategies,
                         testing::ValuesIn(alone({"ulysses", "context"})),
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
