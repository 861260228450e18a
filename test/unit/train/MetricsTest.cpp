// SPDX-License-Identifier: Apache-2.0
#include "runtime/train/Metrics.h"
#include "runtime/train/Progress.h"
#include "test/unit/runtime/TestSupport.h"

#include <cstdio>
#include <limits>

using namespace weir;
using weir::test::TempFolder;

namespace {

StepMetrics metricsOf(int64_t step, double loss) {
  StepMetrics metrics;
  metrics.step = step;
  metrics.tokens = step * 32;
  metrics.loss = loss;
  metrics.learningRate = 0.5;
  metrics.gradientNorm = 2;
  metrics.tokensPerSecond = 1000;
  metrics.memory = 4096;
  return metrics;
}

TEST(Metrics, ALineIsAnObjectWithAllKeys) {
  StepMetrics metrics = metricsOf(3, 1.25);
  EXPECT_EQ(formatMetrics(metrics),
            "{\"step\":3,\"tokens\":96,\"loss\":1.25,\"validation_loss\":null,"
            "\"learning_rate\":0.5,\"gradient_norm\":2,\"applied\":true,"
            "\"skipped\":0,\"tokens_per_second\":1000,\"memory\":4096}");
  metrics.validationLoss = 1.5;
  metrics.loss = std::numeric_limits<double>::quiet_NaN();
  EXPECT_NE(
      formatMetrics(metrics).find("\"loss\":null,\"validation_loss\":1.5,"),
      std::string::npos);
}

TEST(Metrics, ANewRunBeginsANewFile) {
  TempFolder folder;
  std::string path = folder.path("logs/metrics.jsonl");
  for (int run = 0; run < 2; ++run) {
    auto log = MetricsLog::open(path);
    ASSERT_OK(log);
    ASSERT_OK(log->write(metricsOf(1, run)));
  }
  EXPECT_EQ(test::slurp(path), formatMetrics(metricsOf(1, 1)) + "\n");
}

TEST(Metrics, ARunThatGoesOnKeepsItsPastOnly) {
  TempFolder folder;
  std::string path = folder.path("metrics.jsonl");
  {
    auto log = MetricsLog::open(path);
    ASSERT_OK(log);
    for (int step = 1; step <= 5; ++step)
      ASSERT_OK(log->write(metricsOf(step, step)));
  }
  auto log = MetricsLog::open(path, 3);
  ASSERT_OK(log);
  ASSERT_OK(log->write(metricsOf(4, 40)));
  std::string expected;
  for (int step = 1; step <= 3; ++step)
    expected += formatMetrics(metricsOf(step, step)) + "\n";
  EXPECT_EQ(test::slurp(path),
            expected + formatMetrics(metricsOf(4, 40)) + "\n");
}

TEST(Metrics, AFolderInTheWayIsAnOutputError) {
  TempFolder folder;
  EXPECT_FAILS(MetricsLog::open(folder.path()), StatusCode::OutputError,
               "cannot write");
}

TEST(Progress, TheTextSaysEverything) {
  StepMetrics metrics = metricsOf(120, 2.12345);
  metrics.memory = 3 << 20;
  EXPECT_EQ(progressText(metrics, 2000, 2.5, 5610, 312),
            "step 120/2000  loss 2.1235  validation 2.5000  5.61k tokens/s  "
            "3.00 MiB  5m12s left");
  metrics.skipped = 2;
  EXPECT_EQ(progressText(metrics, 2000, std::nullopt, 5610, -1),
            "step 120/2000  loss 2.1235  5.61k tokens/s  3.00 MiB  2 skipped");
}

TEST(Progress, TheBarFitsItsLine) {
  EXPECT_EQ(progressBar(5, 10, "text", 30), "[###########............] text");
  EXPECT_EQ(progressBar(10, 10, "text", 20), "[#############] text");
  EXPECT_EQ(progressBar(1, 10, "a long text", 6), "a long");
  EXPECT_EQ(progressBar(1, 0, "x", 20), "[................] x");
}

TEST(Progress, PlainLinesShowFirstEvaluatedSkippedAndLast) {
  TempFolder folder;
  std::string path = folder.path("out");
  std::FILE *stream = std::fopen(path.c_str(), "w");
  ASSERT_TRUE(stream);
  {
    Progress progress(ProgressKind::Auto, stream, 100);
    for (int step = 1; step <= 100; ++step) {
      StepMetrics metrics = metricsOf(step, 1);
      metrics.applied = step != 30;
      if (step == 50)
        metrics.validationLoss = 3;
      progress.step(metrics);
    }
  }
  std::fclose(stream);
  std::string text = test::slurp(path);
  int lines = 0;
  for (char c : text)
    lines += c == '\n';
  EXPECT_EQ(lines, 4) << text;
  EXPECT_EQ(text.find('\r'), std::string::npos);
  for (const char *part :
       {"step 1/100", "step 30/100",
        "step 50/100  loss 1.0000  validation 3.0000", "step 100/100"})
    EXPECT_NE(text.find(part), std::string::npos) << text;
}

TEST(Progress, NoneIsSilent) {
  TempFolder folder;
  std::string path = folder.path("out");
  std::FILE *stream = std::fopen(path.c_str(), "w");
  ASSERT_TRUE(stream);
  {
    Progress progress(ProgressKind::None, stream, 2);
    progress.step(metricsOf(1, 1));
    progress.step(metricsOf(2, 1));
  }
  std::fclose(stream);
  EXPECT_EQ(test::slurp(path), "");
}

} // namespace
