// SPDX-License-Identifier: Apache-2.0
#include "runtime/train/Trainer.h"
#include "runtime/base/Json.h"
#include "runtime/base/Strings.h"
#include "runtime/io/File.h"
#include "runtime/io/Safetensors.h"
#include "test/unit/runtime/TestSupport.h"
#include "test/unit/train/BigramArtifact.h"

#include <cmath>
#include <cstring>

using namespace weir;
using weir::test::BigramOptions;
using weir::test::TempFolder;

namespace {

constexpr const char *config = "{\"model_type\": \"bigram\"}\n";

/// A folder with a text, a job and an artifact.
class TrainerTest : public ::testing::Test {
protected:
  void SetUp() override {
    std::string text;
    for (int i = 0; i < 60; ++i)
      text += "the cat sat on the mat\n%\na dog ran to the man\n%\n";
    folder.write("text", text);
  }

  Job job(const std::vector<std::string> &overrides = {}) {
    std::string text = R"({
      "model": {"family": "gpt2",
                "config": {"layers": 1, "width": 8, "heads": 1}},
      "data": {"kind": "text", "path": "text", "separator": "%",
               "validation": {"every": 4}},
      "batch": 4, "sequence": 8, "steps": 20, "seed": 3,
      "optimizer": {"lr": 20},
      "schedule": {"kind": "cosine", "warmup": 4, "min_ratio": 0.1},
      "evaluate": {"every": 8, "batches": 3}
    })";
    JobOptions options;
    options.overrides = overrides;
    auto job = parseJob(text, folder.path("job.json"), options);
    EXPECT_OK(job);
    return job.ok() ? *job : Job();
  }

  std::shared_ptr<const Program> program(const BigramOptions &options = {},
                                         int workers = 1) {
    std::string path = folder.path("model.weir");
    EXPECT_OK(test::writeBigramArtifact(path, options));
    auto runtime = Runtime::create({workers});
    EXPECT_OK(runtime);
    auto loaded = Program::load(*runtime, path);
    EXPECT_OK(loaded);
    return loaded.ok() ? *loaded : nullptr;
  }

  static TrainOptions quiet() {
    TrainOptions options;
    options.modelConfig = config;
    options.progress = ProgressKind::None;
    return options;
  }

  /// The lines of a metrics file without what depends on the clock.
  static std::vector<std::string> steadyLines(const std::string &path) {
    std::vector<std::string> lines;
    for (const std::string &line : split(test::slurp(path), '\n')) {
      size_t begin = line.find("\"tokens_per_second\""),
             end = line.find(",\"memory\"");
      if (begin != std::string::npos && end != std::string::npos)
        lines.push_back(line.substr(0, begin) + line.substr(end));
    }
    return lines;
  }

  TempFolder folder;
};

TEST_F(TrainerTest, LearnsAndReports) {
  TrainReport report;
  Job theJob = job();
  ASSERT_OK(train(theJob, program(), quiet(), &report));
  EXPECT_EQ(report.progress.step, 20);
  EXPECT_EQ(report.progress.applied, 20);
  // Uniform over 256 bytes is 5.55 nats; the text has 17 different ones.
  EXPECT_LT(report.last.loss, 4.5);
  ASSERT_TRUE(report.validationLoss);
  EXPECT_LT(*report.validationLoss, 4.5);

  std::vector<std::string> lines =
      split(test::slurp(theJob.logFolder + "/metrics.jsonl"), '\n');
  ASSERT_EQ(lines.size(), 21u); // the last part is empty
  double first = 0;
  for (int step = 1; step <= 20; ++step) {
    auto line = parseJson(lines[step - 1], "metrics");
    ASSERT_OK(line);
    EXPECT_EQ(*line->integer("step"), step);
    EXPECT_EQ(*line->integer("tokens"), step * 32);
    // Every 8 steps and after the last.
    EXPECT_EQ(line->find("validation_loss").has_value(),
              step == 8 || step == 16 || step == 20);
    EXPECT_GT(*line->number("gradient_norm"), 0);
    EXPECT_GT(*line->number("tokens_per_second"), 0);
    EXPECT_EQ(*line->integer("memory"), report.memory.planBytes);
    if (step == 1)
      first = *line->number("loss");
    double rate = *line->number("learning_rate");
    if (step <= 4) {
      EXPECT_DOUBLE_EQ(rate, 20 * step / 4.0);
    }
  }
  EXPECT_NEAR(first, std::log(256), 0.05);
  // The resolved job reads back as the same job, cut short or not.
  Job cut = job({"steps=2"});
  auto cutAgain = parseJob(writeJob(cut), folder.path("cut.json"));
  ASSERT_OK(cutAgain);
  EXPECT_EQ(writeJob(*cutAgain), writeJob(cut));
  auto resolved = readJob(theJob.logFolder + "/job.json");
  ASSERT_OK(resolved);
  EXPECT_EQ(writeJob(*resolved), writeJob(theJob));
}

TEST_F(TrainerTest, TwoRunsAreTheSame) {
  auto shared = program();
  Job one = job({"log.folder=one"}), two = job({"log.folder=two"});
  ASSERT_OK(train(one, shared, quiet()));
  ASSERT_OK(train(two, shared, quiet()));
  std::vector<std::string> lines =
      steadyLines(one.logFolder + "/metrics.jsonl");
  EXPECT_EQ(lines.size(), 20u);
  EXPECT_EQ(lines, steadyLines(two.logFolder + "/metrics.jsonl"));
}

TEST_F(TrainerTest, FirstStepIsWhatTheFormulaSays) {
  // One step without warm-up from a known table: the loss is that of the first
  // batch, and the table moves by -lr * gradient of the mean.
  Job theJob = job({"schedule.warmup=0", "steps=1", "optimizer.lr=2"});
  auto trainer = Trainer::create(theJob, program(), {});
  ASSERT_OK(trainer);
  Session &session = (*trainer)->session();
  std::vector<float> before(256 * 256), after(256 * 256);
  int64_t bytes = static_cast<int64_t>(before.size()) * 4;
  ASSERT_OK(session.readVariable("table", before.data(), bytes));
  StepMetrics metrics;
  ASSERT_OK((*trainer)->step(metrics));
  ASSERT_OK(session.readVariable("table", after.data(), bytes));

  auto data = openDataset(theJob.data, 256);
  ASSERT_OK(data);
  auto batches = TrainBatches::create(data->train, 4, 8, 3);
  ASSERT_OK(batches);
  std::vector<int32_t> ids(32), labels(32);
  ASSERT_OK(batches->fill(0, ids.data(), labels.data()));
  std::vector<double> gradient(before.size());
  double loss = 0;
  for (int i = 0; i < 32; ++i) {
    double sum = 0;
    for (int v = 0; v < 256; ++v)
      sum += std::exp(before[ids[i] * 256 + v]);
    loss += (std::log(sum) - before[ids[i] * 256 + labels[i]]) / 32;
    for (int v = 0; v < 256; ++v)
      gradient[ids[i] * 256 + v] +=
          (std::exp(before[ids[i] * 256 + v]) / sum - (v == labels[i])) / 32;
  }
  EXPECT_NEAR(metrics.loss, loss, 1e-6);
  double worst = 0;
  for (size_t i = 0; i < before.size(); ++i)
    worst =
        std::max(worst, std::fabs(after[i] - (before[i] - 2 * gradient[i])));
  EXPECT_LT(worst, 1e-6); // f32 rounding of values below 1
}

TEST_F(TrainerTest, EvaluationIsWeightedByLabels) {
  // All of the validation text, whose last window is not full.
  Job theJob = job({"evaluate.batches=0"});
  auto trainer = Trainer::create(theJob, program(), {});
  ASSERT_OK(trainer);
  auto loss = (*trainer)->evaluate();
  ASSERT_OK(loss);
  std::vector<float> table(256 * 256);
  ASSERT_OK((*trainer)->session().readVariable(
      "table", table.data(), static_cast<int64_t>(table.size()) * 4));
  auto data = openDataset(theJob.data, 256);
  ASSERT_OK(data);
  const TokenSource &text = data->validation;
  ASSERT_NE((text.size() - 1) % 8, 0) << "the last window should be partial";
  double expected = 0;
  for (int64_t i = 0; i + 1 < text.size(); ++i) {
    const float *row = table.data() + text[i] * 256;
    double sum = 0;
    for (int v = 0; v < 256; ++v)
      sum += std::exp(row[v]);
    expected += std::log(sum) - row[text[i + 1]];
  }
  expected /= static_cast<double>(text.size() - 1);
  // Sums of some hundred losses are f32 numbers.
  EXPECT_NEAR(*loss, expected, 1e-5);
}

TEST_F(TrainerTest, RanksDoNotChangeAnything) {
  Job one = job({"log.folder=one"});
  ASSERT_OK(train(one, program(), quiet()));
  Job three = job({"log.folder=three", "mesh=dp=3"});
  BigramOptions options;
  options.ranks = 3;
  TrainOptions checked = quiet();
  checked.checked = true;
  TrainReport report;
  ASSERT_OK(train(three, program(options, 2), checked, &report));
  std::vector<std::string> expected =
      steadyLines(one.logFolder + "/metrics.jsonl");
  std::vector<std::string> lines =
      steadyLines(three.logFolder + "/metrics.jsonl");
  ASSERT_EQ(lines.size(), expected.size());
  for (size_t i = 0; i < lines.size(); ++i) // memory is not the same
    EXPECT_EQ(lines[i].substr(0, lines[i].find("\"memory\"")),
              expected[i].substr(0, expected[i].find("\"memory\"")));
}

TEST_F(TrainerTest, ExportHoldsTheTrainedTable) {
  Job theJob = job({"save.export=out", "steps=5"});
  auto trainer = Trainer::create(theJob, program(), quiet());
  ASSERT_OK(trainer);
  StepMetrics metrics;
  for (int i = 0; i < 5; ++i)
    ASSERT_OK((*trainer)->step(metrics));
  ASSERT_OK((*trainer)->exportModel(folder.path("out")));
  EXPECT_EQ(test::slurp(folder.path("out/config.json")), config);
  auto file = SafetensorsFile::open(folder.path("out/model.safetensors"));
  ASSERT_OK(file);
  ASSERT_EQ(file->tensors().size(), 1u);
  EXPECT_EQ(file->tensors()[0].name, "bigram.table");
  EXPECT_EQ(file->metadata().at("format"), "pt");
  std::vector<float> table(256 * 256);
  ASSERT_OK((*trainer)->session().readVariable(
      "table", table.data(), static_cast<int64_t>(table.size()) * 4));
  EXPECT_EQ(std::memcmp(file->data(file->tensors()[0]), table.data(),
                        table.size() * 4),
            0);

  // What was exported is where a run can begin.
  Job next = job({"model.weights=out", "seed=99", "evaluate.every=0"});
  auto again = Trainer::create(next, program(), quiet());
  ASSERT_OK(again);
  std::vector<float> loaded(256 * 256);
  ASSERT_OK((*again)->session().readVariable(
      "table", loaded.data(), static_cast<int64_t>(loaded.size()) * 4));
  EXPECT_EQ(loaded, table);
}

TEST_F(TrainerTest, AStoppedRunGoesOnAsIfItHadNotStopped) {
  Job whole = job({"log.folder=whole", "save.folder=whole-saves"});
  ASSERT_OK(train(whole, program(), quiet()));
  Job parts = job({"log.folder=parts", "save.folder=saves", "save.every=3"});
  TrainOptions options = quiet();
  int asked = 0;
  options.stop = [&] { return ++asked == 7; };
  TrainReport report;
  EXPECT_FAILS(train(parts, program(), options, &report), StatusCode::Stopped,
               "stopped after step 7");
  EXPECT_EQ(report.progress.step, 7);
  auto names = listDirectory(folder.path("saves"));
  ASSERT_OK(names);
  EXPECT_EQ(*names, (std::vector<std::string>{"step-000003", "step-000006",
                                              "step-000007"}));
  TrainOptions resumed = quiet();
  resumed.resume = true;
  ASSERT_OK(train(parts, program(), resumed, &report));
  EXPECT_EQ(report.progress.step, 20);
  EXPECT_EQ(steadyLines(whole.logFolder + "/metrics.jsonl"),
            steadyLines(parts.logFolder + "/metrics.jsonl"));
  EXPECT_EQ(
      test::slurp(folder.path("saves/step-000020/model.safetensors")),
      test::slurp(folder.path("whole-saves/step-000020/model.safetensors")));
}

TEST_F(TrainerTest, ResumingNeedsASaveFolder) {
  TrainOptions options = quiet();
  options.resume = true;
  EXPECT_FAILS(train(job(), program(), options), StatusCode::CommandLine,
               "save.folder");
}

TEST_F(TrainerTest, DivergenceIsSkippedCountedAndThenEndsTheRun) {
  // The rate is infinite in f32 and so is the table after the first update: no
  // later loss is finite and nothing moves any more.
  Job theJob = job({"optimizer.lr=1e39", "schedule.warmup=0",
                    "nonfinite.limit=3", "seed=1"});
  TrainReport report;
  EXPECT_FAILS(train(theJob, program(), quiet(), &report), StatusCode::Diverged,
               "a lower optimizer.lr (now 1e+39)");
  EXPECT_EQ(report.progress.skipped, 3);
  EXPECT_EQ(report.progress.skippedInRow, 3);
  EXPECT_EQ(report.progress.applied, report.progress.step - 3);
  std::vector<std::string> lines =
      split(test::slurp(theJob.logFolder + "/metrics.jsonl"), '\n');
  ASSERT_EQ(static_cast<int64_t>(lines.size()), report.progress.step + 1);
  EXPECT_NE(
      lines[report.progress.step - 1].find("\"applied\":false,\"skipped\":3"),
      std::string::npos);
}

TEST_F(TrainerTest, BrokenInitialWeightsAreNamedAsTheReason) {
  std::vector<float> table(256 * 256, std::nanf(""));
  auto writer = SafetensorsWriter::create(
      folder.path("w.safetensors"),
      {{"bigram.table", StoredType::F32, {256, 256}}});
  ASSERT_OK(writer);
  ASSERT_OK(writer->write("bigram.table", table.data(), table.size() * 4));
  ASSERT_OK(writer->finish());
  EXPECT_FAILS(train(job({"model.weights=w.safetensors", "nonfinite.limit=2"}),
                     program(), quiet()),
               StatusCode::Diverged, "check the initial weights");
}

TEST_F(TrainerTest, SamplesAreReproducibleAndFollowThePrompt) {
  Job theJob = job({"steps=60", "sample.prompt=the ", "sample.tokens=40",
                    "sample.temperature=0.5"});
  TrainReport one, two;
  ASSERT_OK(train(theJob, program(), quiet(), &one));
  ASSERT_OK(train(theJob, program(), quiet(), &two));
  EXPECT_EQ(one.sample, two.sample);
  EXPECT_EQ(one.sample.substr(0, 4), "the ");
  theJob.sample.temperature = 0;
  ASSERT_OK(train(theJob, program(), quiet(), &one));
  EXPECT_EQ(one.sample.size(), 44u) << one.sample; // nothing to escape
}

TEST_F(TrainerTest, AJobForOtherSizesIsRefused) {
  EXPECT_FAILS(train(job({"batch=5"}), program(), quiet()),
               StatusCode::IncompatibleArtifact,
               "compiled for batches of [4,8], the job has [5,8]");
}

TEST_F(TrainerTest, WhatCannotBeWrittenIsSaidFirst) {
  folder.write("taken", "x");
  EXPECT_FAILS(train(job({"save.export=taken"}), program(), quiet()),
               StatusCode::OutputError, "save.export");
  EXPECT_FAILS(train(job({"log.folder=taken"}), program(), quiet()),
               StatusCode::OutputError, "log.folder");
  EXPECT_FAILS(train(job({"save.folder=taken"}), program(), quiet()),
               StatusCode::OutputError, "save.folder");
}

TEST_F(TrainerTest, TracesTheLastStep) {
  TrainOptions options = quiet();
  options.traced = true;
  options.tracePath = folder.path("trace.json");
  ASSERT_OK(train(job({"steps=4", "evaluate.every=0"}), program(), options));
  auto trace = parseJson(test::slurp(options.tracePath), "trace");
  ASSERT_OK(trace);
  auto events = trace->at("traceEvents");
  ASSERT_OK(events);
  EXPECT_GE(events->size(), 3u);
}

} // namespace
