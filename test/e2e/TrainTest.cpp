// SPDX-License-Identifier: Apache-2.0
#include "test/e2e/Harness.h"
#include "test/unit/runtime/TestSupport.h"

#include "runtime/io/Safetensors.h"
#include "gtest/gtest.h"

#include <cmath>

namespace weir::e2e {
namespace {

using test::TempFolder;

const char *const goldenNames[] = {"gpt2-small", "gpt2-odd", "gpt2-erf",
                                   "llama-small", "llama-odd"};

/// Every mesh of the first release, each with one to three micro-batches.
std::vector<Variant> allVariants() {
  std::vector<Variant> variants;
  for (const char *mesh : {"", "dp=4", "tp=4", "dp=2,tp=2"})
    for (int64_t microBatches : {1, 2, 3})
      variants.push_back({mesh, microBatches});
  return variants;
}

double relative(double value, double expected) {
  return std::fabs(value - expected) / std::fabs(expected);
}

/// |a - b| / |b| in the Euclidean norm.
double normDistance(const std::vector<float> &a, const std::vector<float> &b) {
  double difference = 0, norm = 0;
  for (size_t i = 0; i < b.size(); ++i) {
    difference += (double(a[i]) - b[i]) * (double(a[i]) - b[i]);
    norm += double(b[i]) * b[i];
  }
  return std::sqrt(difference / norm);
}

std::vector<float> tensor(const SafetensorsSet &set, const std::string &name) {
  auto ref = set.find(name);
  EXPECT_TRUE(bool(ref)) << name;
  std::vector<float> values(ref ? ref.tensor->elements() : 0);
  if (ref)
    EXPECT_OK(ref.readFloats(values.data()));
  return values;
}

struct LossCase {
  std::string golden;
  Variant variant;
};

class Losses : public testing::TestWithParam<LossCase> {};

/// 50 steps of training against PyTorch. Tolerance: the manifest's 1e-5, which
/// is 50 times what PyTorch's own f32 differs from f64.
TEST_P(Losses, EqualPyTorchAtEveryStep) {
  auto golden = readGolden(GetParam().golden);
  ASSERT_OK(golden);
  TempFolder folder;
  auto artifact = compile(*golden, GetParam().variant, folder.path());
  ASSERT_OK(artifact);
  auto model = load(*artifact, golden->folder + "/model", /*workers=*/2,
                    /*checked=*/false);
  ASSERT_OK(model);
  auto results = trainSteps(*model->session, *golden, golden->losses.size());
  ASSERT_OK(results);
  double worst = 0;
  for (size_t step = 0; step < results->size(); ++step) {
    const StepResult &result = (*results)[step];
    worst = std::max(worst, relative(result.loss, golden->losses[step]));
    EXPECT_LE(relative(result.loss, golden->losses[step]),
              golden->lossTolerance)
        << "step " << step << ": " << result.loss << " for "
        << golden->losses[step];
    EXPECT_LE(relative(result.gradientNorm, golden->gradientNorms[step]),
              5 * golden->lossTolerance)
        << "step " << step;
    EXPECT_EQ(result.applied, 1);
  }
  RecordProperty("worst_relative", std::to_string(worst));
  EXPECT_EQ(model->session->memoryReport().allocations, 0)
      << "allocations after the first call";
}

std::vector<LossCase> lossCases() {
  std::vector<LossCase> cases;
  for (const char *name : goldenNames) {
    for (const Variant &variant : allVariants())
      cases.push_back({name, variant});
    Variant team;
    team.threads = 2;
    cases.push_back({name, team});
  }
  return cases;
}

std::string caseName(const testing::TestParamInfo<LossCase> &info) {
  std::string text = info.param.golden + "_" + info.param.variant.name();
  for (char &c : text)
    if (c == '-')
      c = '_';
  return text;
}

INSTANTIATE_TEST_SUITE_P(All, Losses, testing::ValuesIn(lossCases()), caseName);

class Sharp : public testing::TestWithParam<LossCase> {};

/// One step from weights of standard deviation 0.1: logits and every gradient.
TEST_P(Sharp, LogitsAndGradientsEqualPyTorch) {
  auto golden = readGolden(GetParam().golden);
  ASSERT_OK(golden);
  TempFolder folder;
  Variant variant = GetParam().variant;
  variant.gradients = true;
  variant.modelFolder = "sharp";
  auto artifact = compile(*golden, variant, folder.path());
  ASSERT_OK(artifact);
  auto model = load(*artifact, golden->folder + "/sharp", 2, /*checked=*/true);
  ASSERT_OK(model);
  Session &session = *model->session;
  auto expected =
      SafetensorsSet::open(golden->folder + "/sharp_expected.safetensors");
  ASSERT_OK(expected);

  std::vector<int32_t> ids, labels;
  golden->batchOf(0, ids, labels);
  std::vector<float> logits(ids.size() * golden->vocab);
  EXPECT_OK(session.bindInput("forward", "ids", ids.data(),
                              ids.size() * sizeof(int32_t)));
  EXPECT_OK(session.bindOutput("forward", "logits", logits.data(),
                               logits.size() * sizeof(float)));
  ASSERT_OK(session.run("forward"));
  EXPECT_LE(normDistance(logits, tensor(*expected, "logits")),
            golden->sharpTolerance);

  auto step = trainStep(session, *golden, 0, ids, labels);
  ASSERT_OK(step);
  EXPECT_LE(relative(step->loss, golden->sharpLoss), golden->sharpTolerance);
  // Gradients are those of the sum over the batch; PyTorch's of the mean.
  double count = double(ids.size());
  size_t checked = 0;
  for (const plan::Variable &variable : session.program().plan().variables) {
    if (variable.kind != plan::Variable::Kind::Parameter)
      continue;
    std::vector<float> reference =
        tensor(*expected, "grad." + variable.storedName);
    std::vector<float> gradient(reference.size());
    ASSERT_OK(session.readOutput("train", "gradient/" + variable.name,
                                 gradient.data(),
                                 gradient.size() * sizeof(float)));
    for (float &value : gradient)
      value = float(value / count);
    EXPECT_LE(normDistance(gradient, reference), golden->sharpTolerance)
        << variable.name;
    ++checked;
  }
  EXPECT_GT(checked, 10u);
}

std::vector<LossCase> sharpCases() {
  std::vector<LossCase> cases;
  for (const char *name : goldenNames) {
    cases.push_back({name, {"", 1}});
    cases.push_back({name, {"dp=2,tp=2", 2}});
  }
  return cases;
}
INSTANTIATE_TEST_SUITE_P(All, Sharp, testing::ValuesIn(sharpCases()), caseName);

/// Layouts by name pattern: whole tensors where the strategy splits, parameters
/// and their states split over the data axis, another dimension than
/// Megatron's.
TEST(Overrides, LossesEqualPyTorch) {
  struct Case {
    const char *golden, *layouts;
  };
  for (Case c :
       {Case{"gpt2-odd", R"json({"match": "h.*.mlp.*", "tp": "B"},
                                     {"match": "wte.weight", "tp": "S(1)"},
                                     {"match": "*.c_attn.weight", "dp": "S(0)"},
                                     {"match": "ln_f.*", "dp": "S(0)", "tp": "B"})json"},
        Case{"llama-odd",
             R"json({"match": "embed_tokens.*", "dp": "S(1)", "tp": "B"},
                                      {"match": "*.down_proj.weight", "tp": "S(0)"},
                                      {"match": "*.q_proj.weight", "tp": "S(1)"})json"}}) {
    auto golden = readGolden(c.golden);
    ASSERT_OK(golden);
    TempFolder folder;
    Variant variant{"dp=2,tp=2", 2};
    variant.extra = std::string("\"layouts\": [") + c.layouts + "]";
    auto artifact = compile(*golden, variant, folder.path());
    ASSERT_OK(artifact);
    auto model =
        load(*artifact, golden->folder + "/model", 2, /*checked=*/true);
    ASSERT_OK(model);
    // That the overrides took hold, on one tensor.
    bool found = false;
    for (const plan::Variable &variable : model->program->plan().variables)
      if (variable.name == "wte.weight" ||
          variable.name == "embed_tokens.weight") {
        found = true;
        EXPECT_TRUE(variable.layout.dims[0].axes.empty());
        EXPECT_EQ(variable.layout.dims[1].axes.size(), 1u);
      }
    EXPECT_TRUE(found);
    auto results = trainSteps(*model->session, *golden, 10);
    ASSERT_OK(results);
    for (size_t step = 0; step < results->size(); ++step)
      EXPECT_LE(relative((*results)[step].loss, golden->losses[step]),
                golden->lossTolerance)
          << c.golden << " step " << step;
  }
}

/// SGD with momentum: every layout does what one device does.
TEST(Sgd, LossesAreEqualUnderEveryLayout) {
  auto golden = readGolden("gpt2-odd");
  ASSERT_OK(golden);
  golden->lr = 0.1;
  TempFolder folder;
  std::vector<StepResult> reference;
  for (Variant variant : allVariants()) {
    variant.extra =
        R"("optimizer": {"kind": "sgd", "lr": 0.1, "momentum": 0.9})";
    auto artifact = compile(*golden, variant, folder.path());
    ASSERT_OK(artifact);
    auto model = load(*artifact, golden->folder + "/model", 2, false);
    ASSERT_OK(model);
    // The same batch each time, so that the loss has to fall.
    std::vector<int32_t> ids, labels;
    golden->batchOf(0, ids, labels);
    std::vector<StepResult> results;
    for (int64_t step = 0; step < 20; ++step) {
      auto result = trainStep(*model->session, *golden, step, ids, labels);
      ASSERT_OK(result);
      results.push_back(*result);
    }
    if (reference.empty()) {
      reference = results;
      EXPECT_LT(reference.back().loss, reference.front().loss - 0.1);
    }
    for (size_t step = 0; step < reference.size(); ++step)
      EXPECT_LE(relative(results[step].loss, reference[step].loss), 1e-5)
          << variant.name() << " step " << step;
  }
}

/// Dropout is keyed by logical indices: the same numbers fall under every
/// layout and micro-batching. Four steps at a rate of 0.2.
TEST(Dropout, IsIdenticalUnderEveryLayout) {
  for (const char *name : {"gpt2-odd", "llama-odd"}) {
    auto golden = readGolden(name);
    ASSERT_OK(golden);
    TempFolder folder;
    std::vector<StepResult> reference;
    for (Variant variant : allVariants()) {
      variant.dropout = 0.2;
      auto artifact = compile(*golden, variant, folder.path());
      ASSERT_OK(artifact);
      auto model = load(*artifact, golden->folder + "/model", 2, false);
      ASSERT_OK(model);
      auto results = trainSteps(*model->session, *golden, 4);
      ASSERT_OK(results);
      if (reference.empty()) {
        reference = *results;
        // It must do something, or equality says nothing.
        EXPECT_GT(relative(reference[0].loss, golden->losses[0]), 1e-4);
        continue;
      }
      for (size_t step = 0; step < reference.size(); ++step)
        EXPECT_LE(relative((*results)[step].loss, reference[step].loss), 1e-5)
            << name << " " << variant.name() << " step " << step;
    }
  }
}

/// Reductions are in rank order, whoever runs them.
TEST(Workers, FourRanksGiveTheSameBitsOnOneWorkerAndOnTwo) {
  for (const char *name : {"gpt2-odd", "llama-small"}) {
    auto golden = readGolden(name);
    ASSERT_OK(golden);
    TempFolder folder;
    for (const char *mesh : {"dp=4", "tp=4", "dp=2,tp=2"}) {
      auto artifact = compile(*golden, {mesh, 2}, folder.path());
      ASSERT_OK(artifact);
      std::vector<StepResult> runs[2];
      for (int workers : {1, 2}) {
        auto model = load(*artifact, golden->folder + "/model", workers, false);
        ASSERT_OK(model);
        auto results = trainSteps(*model->session, *golden, 10);
        ASSERT_OK(results);
        runs[workers - 1] = *results;
      }
      for (size_t step = 0; step < runs[0].size(); ++step) {
        EXPECT_EQ(runs[0][step].loss, runs[1][step].loss)
            << mesh << " step " << step;
        EXPECT_EQ(runs[0][step].gradientNorm, runs[1][step].gradientNorm);
      }
    }
  }
}

/// Guards, writes outside of buffers and the plan's high-water, over training,
/// evaluation and inference of every model and layout.
TEST(Checked, NoActionLeavesItsBuffers) {
  for (const char *name : goldenNames) {
    auto golden = readGolden(name);
    ASSERT_OK(golden);
    TempFolder folder;
    for (const Variant &variant : allVariants()) {
      auto artifact = compile(*golden, variant, folder.path());
      ASSERT_OK(artifact);
      auto model =
          load(*artifact, golden->folder + "/model", 2, /*checked=*/true);
      ASSERT_OK(model);
      auto results = trainSteps(*model->session, *golden, 2);
      ASSERT_OK(results);
      std::vector<int32_t> ids, labels;
      golden->batchOf(0, ids, labels);
      for (const char *entry : {"evaluate", "forward"}) {
        EXPECT_OK(model->session->bindInput(entry, "ids", ids.data(),
                                            ids.size() * 4));
        if (entry == std::string("evaluate"))
          EXPECT_OK(model->session->bindInput(entry, "labels", labels.data(),
                                              ids.size() * 4));
        EXPECT_OK(model->session->run(entry));
      }
      for (const auto &segment : model->session->memoryReport().segments) {
        // Segments are sized to the alignment of buffers.
        EXPECT_EQ((segment.plannedEnd + 63) / 64 * 64, segment.bytes)
            << segment.name;
        EXPECT_LE(segment.touchedEnd, segment.plannedEnd) << segment.name;
      }
    }
  }
}

/// A non-finite loss must not change any state.
TEST(NonFinite, SkipsTheUpdate) {
  auto golden = readGolden("gpt2-small");
  ASSERT_OK(golden);
  TempFolder folder;
  auto artifact = compile(*golden, {"dp=2,tp=2", 1}, folder.path());
  ASSERT_OK(artifact);
  auto model = load(*artifact, golden->folder + "/model", 2, false);
  ASSERT_OK(model);
  Session &session = *model->session;
  const plan::Variable &variable = session.program().plan().variables.front();
  int64_t elements = 1;
  for (const plan::DimLayout &dim : variable.layout.dims)
    elements *= dim.size;
  std::vector<float> before(elements), poisoned, after(elements);
  ASSERT_OK(session.readVariable(variable.name, before.data(), elements * 4));
  poisoned = before;
  poisoned[golden->tokens[0]] = std::nanf("");
  ASSERT_OK(
      session.writeVariable(variable.name, poisoned.data(), elements * 4));
  std::vector<int32_t> ids, labels;
  golden->batchOf(0, ids, labels);
  auto step = trainStep(session, *golden, 0, ids, labels);
  ASSERT_OK(step);
  EXPECT_EQ(step->applied, 0);
  ASSERT_OK(session.readVariable(variable.name, after.data(), elements * 4));
  for (int64_t i = 0; i < elements; ++i)
    if (!std::isnan(poisoned[i]))
      ASSERT_EQ(after[i], poisoned[i]) << i;
  // Mended, the model trains as if nothing had happened.
  ASSERT_OK(session.writeVariable(variable.name, before.data(), elements * 4));
  auto mended = trainStep(session, *golden, 0, ids, labels);
  ASSERT_OK(mended);
  EXPECT_EQ(mended->applied, 1);
  EXPECT_LE(relative(mended->loss, golden->losses[0]), golden->lossTolerance);
}

/// A stop ends with exit code 10 whenever it comes: no handler may run on the
/// stack of a thread that computes (it did, and broke the heap every other
/// time).
TEST(Stop, EndsCleanlyAtAnyMoment) {
  auto golden = readGolden("gpt2-small");
  ASSERT_OK(golden);
  TempFolder folder;
  Variant variant{"dp=2,tp=2", 1};
  variant.extra =
      "\"data\": {\"kind\": \"bin\", \"dtype\": \"u16\", \"path\": \"" +
      golden->folder + "/tokens.bin\"}";
  auto artifact = compile(*golden, variant, folder.path());
  ASSERT_OK(artifact);
  std::string job = artifact->substr(0, artifact->size() - 5) + ".json";
  std::string command =
      std::string(WEIR_RUN) + " " + *artifact + " --train=" + job +
      " --set steps=10000000 --progress=none > /dev/null 2> " + folder.path() +
      "/log & pid=$!; sleep ";
  for (const char *seconds :
       {"0.2", "0.3", "0.4", "0.5", "0.6", "0.7", "0.8", "0.9"}) {
    int status = std::system(
        (command + seconds + "; kill -TERM $pid; wait $pid").c_str());
    EXPECT_EQ(WEXITSTATUS(status), 10)
        << seconds << ": " << test::slurp(folder.path() + "/log");
  }
}

/// What was loaded and saved again is the same, bit for bit, under any layout.
TEST(Weights, RoundTripBitForBit) {
  for (const char *name : {"gpt2-odd", "llama-odd"}) {
    auto golden = readGolden(name);
    ASSERT_OK(golden);
    TempFolder folder;
    for (const char *mesh : {"", "tp=4", "dp=2,tp=2"}) {
      auto artifact = compile(*golden, {mesh, 1}, folder.path());
      ASSERT_OK(artifact);
      auto model = load(*artifact, golden->folder + "/model", 2, false);
      ASSERT_OK(model);
      std::string saved = folder.path() + "/saved.safetensors";
      ASSERT_OK(model->session->saveWeights(saved));
      auto original = SafetensorsSet::open(golden->folder + "/model");
      auto copy = SafetensorsSet::open(saved);
      ASSERT_OK(original);
      ASSERT_OK(copy);
      EXPECT_EQ(original->names(), copy->names());
      for (const std::string &tensorName : original->names())
        EXPECT_EQ(tensor(*original, tensorName), tensor(*copy, tensorName))
            << tensorName;
    }
  }
}

} // namespace
} // namespace weir::e2e
