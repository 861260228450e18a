// SPDX-License-Identifier: Apache-2.0
// A convolutional classifier, given as graph text: trained on several devices
// it is what it is on one.
#include "test/e2e/Harness.h"
#include "test/unit/runtime/TestSupport.h"

#include "runtime/io/File.h"

#include "gtest/gtest.h"

#include <cmath>
#include <cstdlib>

namespace weir::e2e {
namespace {

using test::TempFolder;

constexpr int64_t batch = 7, imageSize = 3 * 11 * 9, classes = 5;

struct ConvCase {
  std::string mesh, strategy;
  int64_t microBatches;
};

StatusOr<std::vector<StepResult>> train(const ConvCase &test, int64_t steps) {
  TempFolder folder;
  std::string stem = folder.path() + "/conv";
  std::string job = "{\"name\": \"conv\", \"model\": {\"mlir\": \"" +
                    std::string(WEIR_MODELS_DIR) +
                    "/convnet.mlir\"}, \"batch\": " + std::to_string(batch) +
                    ", \"sequence\": 1, \"steps\": 20, \"micro_batches\": " +
                    std::to_string(test.microBatches) + ", \"mesh\": \"" +
                    test.mesh + "\"";
  if (!test.strategy.empty())
    job += ", \"strategy\": {" + test.strategy + "}";
  WEIR_RETURN_IF_ERROR(writeFile(stem + ".json", job + "}\n"));
  std::string command = std::string(WEIR_COMPILE) + " " + stem + ".json -o " +
                        stem + ".weir > " + stem + ".log 2>&1";
  if (int rc = std::system(command.c_str())) {
    auto log = readFile(stem + ".log");
    return Status(StatusCode::ToolFailed, command + ": exit " +
                                              std::to_string(rc) + "\n" +
                                              (log.ok() ? *log : ""));
  }
  WEIR_ASSIGN_OR_RETURN(Model model, load(stem + ".weir", "", /*workers=*/2,
                                          /*checked=*/true));
  // Images whose classes can be learnt: waves of different lengths.
  std::vector<float> images(batch * imageSize);
  std::vector<int32_t> labels(batch);
  std::vector<StepResult> results;
  Session &session = *model.session;
  for (int64_t step = 0; step < steps; ++step) {
    for (int64_t n = 0; n < batch; ++n) {
      labels[n] = static_cast<int32_t>((n * 3 + step) % classes);
      for (int64_t i = 0; i < imageSize; ++i)
        images[n * imageSize + i] = static_cast<float>(
            std::sin((labels[n] + 1) * 0.3 * static_cast<double>(i) +
                     static_cast<double>(n + step)));
    }
    WEIR_RETURN_IF_ERROR(
        session.bindInput("train", "images", images.data(),
                          static_cast<int64_t>(images.size() * sizeof(float))));
    WEIR_RETURN_IF_ERROR(session.bindInput(
        "train", "labels", labels.data(),
        static_cast<int64_t>(labels.size() * sizeof(int32_t))));
    double update = static_cast<double>(step + 1);
    std::map<std::string, double> scalars = {
        {"group0.learning_rate", 0.02},
        {"group0.weight_decay", 0.01},
        {"group1.learning_rate", 0.02},
        {"group1.weight_decay", 0},
        {"beta1", 0.9},
        {"beta2", 0.95},
        // Large: a gradient of zero but for rounding must not become a step.
        {"epsilon", 1e-3},
        {"correction1", 1 - std::pow(double(0.9f), update)},
        {"correction2", 1 - std::pow(double(0.95f), update)},
        {"max_norm", 5},
    };
    for (const auto &[name, value] : scalars)
      WEIR_RETURN_IF_ERROR(session.setScalar("train", name, value));
    WEIR_RETURN_IF_ERROR(session.run("train"));
    StepResult result;
    WEIR_ASSIGN_OR_RETURN(result.loss, session.readScalar("train", "loss"));
    WEIR_ASSIGN_OR_RETURN(result.gradientNorm,
                          session.readScalar("train", "gradient_norm"));
    results.push_back(result);
  }
  return results;
}

class Convolutions : public testing::TestWithParam<ConvCase> {};

// Losses and norms of gradients of 20 steps are those of one device; and the
// loss falls, so that there is something to compare.
TEST_P(Convolutions, TrainAsOneDevice) {
  constexpr int64_t steps = 20;
  auto one = train({"", "", 1}, steps);
  ASSERT_OK(one);
  EXPECT_LT(one->back().loss, 0.7 * one->front().loss);
  auto several = train(GetParam(), steps);
  ASSERT_OK(several);
  for (int64_t step = 0; step < steps; ++step) {
    EXPECT_NEAR((*several)[step].loss, (*one)[step].loss,
                1e-5 * (1 + (*one)[step].loss))
        << "step " << step;
    EXPECT_NEAR((*several)[step].gradientNorm, (*one)[step].gradientNorm,
                5e-5 * (1 + (*one)[step].gradientNorm))
        << "step " << step;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Meshes, Convolutions,
    testing::Values(ConvCase{"dp=2", "\"dp\": \"data\"", 1},
                    ConvCase{"dp=3", "\"dp\": \"zero1\"", 1},
                    ConvCase{"dp=2", "\"dp\": \"data\"", 2},
                    ConvCase{"x=2", "\"x\": \"search\"", 1}),
    [](const auto &info) {
      std::string name;
      for (char c : info.param.mesh + "_" +
                        std::to_string(info.param.microBatches) +
                        info.param.strategy)
        if (std::isalnum(static_cast<unsigned char>(c)))
          name += c;
      return name;
    });

} // namespace
} // namespace weir::e2e
