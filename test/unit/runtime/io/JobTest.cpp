// SPDX-License-Identifier: Apache-2.0
#include "runtime/io/Job.h"
#include "runtime/base/Strings.h"
#include "runtime/io/File.h"
#include "test/unit/runtime/TestSupport.h"

namespace weir {
namespace {

const char minimal[] = R"({
  "model": {"family": "gpt2", "config": {"layers": 2, "width": 8, "heads": 2}},
  "data": {"kind": "text", "path": "text.txt"},
  "batch": 4, "sequence": 16, "steps": 10
})";

StatusOr<Job> parse(std::string_view text,
                    std::vector<std::string> overrides = {}) {
  JobOptions options;
  options.overrides = std::move(overrides);
  return parseJob(text, "/jobs/small.json", options);
}

TEST(Job, FillsInDefaults) {
  StatusOr<Job> job = parse(minimal);
  ASSERT_OK(job);
  EXPECT_EQ(job->name, "small");
  EXPECT_EQ(job->model.kind, ModelKind::Family);
  const ModelConfig &config = job->model.config;
  EXPECT_EQ(config.kvHeads, 2);
  EXPECT_EQ(config.headDim, 4);
  EXPECT_EQ(config.intermediate, 32);
  EXPECT_EQ(config.vocab, 256);
  EXPECT_EQ(config.context, 16);
  EXPECT_EQ(config.activation, "gelu_new");
  EXPECT_EQ(config.tie, true);
  EXPECT_EQ(config.normEpsilon, 1e-5);
  EXPECT_EQ(job->data.path, "/jobs/text.txt");
  EXPECT_EQ(job->data.vocab, 256);
  EXPECT_EQ(job->microBatches, 1);
  EXPECT_EQ(job->ranks(), 1);
  EXPECT_EQ(job->optimizer.beta2, 0.999);
  EXPECT_EQ(job->schedule.steps, 10);
  EXPECT_EQ(job->logFolder, "/jobs/runs/small");
  EXPECT_FALSE(job->dropout);
}

TEST(Job, ReadsEverything) {
  StatusOr<Job> job = parse(R"json({
    // All keys that a llama job can have.
    "name": "everything",
    "model": {"family": "llama", "weights": "w.safetensors", "config": {
      "layers": 1, "width": 24, "heads": 4, "kv_heads": 2, "head_dim": 8,
      "intermediate": 40, "vocab": 1000, "context": 64, "activation": "silu",
      "tie": true, "norm_epsilon": 1e-5, "rope_theta": 5e5, "init_std": 0.1,
      "attention_bias": true, "mlp_bias": true}},
    "data": {"kind": "bin", "path": "/d/train.bin", "dtype": "u32",
             "vocab": 900, "validation": {"path": "val.bin"}},
    "batch": 6, "sequence": 32, "micro_batches": 3, "precision": "f32",
    "mesh": "dp=2, tp=3, x=1", "strategy": {"x": "none", "tp": "megatron"},
    "layouts": [{"match": "*.wte.*", "tp": "S(0)", "dp": "B"}],
    "steps": 100, "seed": 4294967295, "dropout": 0.1,
    "optimizer": {"kind": "adamw", "lr": 3e-4, "betas": [0.8, 0.95],
                  "eps": 1e-9, "weight_decay": 0.2, "groups":
                  [{"match": "*.bias", "weight_decay": 0.5, "lr_scale": 2},
                   {"match": "*"}]},
    "clip": 1, "schedule": {"kind": "cosine", "warmup": 10, "min_ratio": 0.1,
                            "steps": 90},
    "evaluate": {"data": "validation", "every": 20, "batches": 5},
    "save": {"folder": "out", "every": 50, "export": "../hf"},
    "sample": {"prompt": "Once", "tokens": 20, "temperature": 0},
    "nonfinite": {"limit": 3}, "workers": 2, "threads": 4,
    "log": {
  "folder" : "logs"
}
})json");
  ASSERT_OK(job);
  EXPECT_EQ(job->model.weights, "/jobs/w.safetensors");
  EXPECT_EQ(job->model.config.ropeTheta, 5e5);
  EXPECT_TRUE(job->model.config.mlpBias);
  EXPECT_EQ(job->data.kind, DataKind::Bin);
  EXPECT_EQ(job->data.dtype, TokenType::U32);
  EXPECT_EQ(job->data.validationPath, "/jobs/val.bin");
  EXPECT_EQ(job->mesh, (std::vector<MeshAxis>{{"dp", 2}, {"tp", 3}, {"x", 1}}));
  EXPECT_EQ(job->strategies,
            (std::vector<Strategy>{Strategy::Data, Strategy::Megatron,
                                   Strategy::None}));
  EXPECT_EQ(job->ranks(), 6);
  ASSERT_EQ(job->layouts.size(), 1u);
  EXPECT_EQ(job->layouts[0].layouts.size(), 2u);
  EXPECT_EQ(job->layouts[0].layouts[1].second, "S(0)");
  EXPECT_EQ(job->seed, 4294967295);
  EXPECT_EQ(job->dropout, 0.1);
  EXPECT_EQ(job->optimizer.beta1, 0.8);
  ASSERT_EQ(job->optimizer.groups.size(), 2u);
  EXPECT_EQ(job->optimizer.groups[0].weightDecay, 0.5);
  EXPECT_EQ(job->optimizer.groups[0].lrScale, 2);
  EXPECT_FALSE(job->optimizer.groups[1].weightDecay);
  EXPECT_EQ(job->schedule.kind, ScheduleKind::Cosine);
  EXPECT_EQ(job->save.exportFolder, "/hf");
  EXPECT_EQ(job->nonfiniteLimit, 3);

  // The resolved job reads back as itself, from another place.
  std::string resolved = writeJob(*job);
  StatusOr<Job> again = parseJob(resolved, "/elsewhere/copy.json");
  ASSERT_OK(again);
  EXPECT_EQ(writeJob(*again), resolved);
  EXPECT_EQ(again->data.path, "/d/train.bin");
  EXPECT_EQ(again->logFolder, "/jobs/logs");
}

TEST(Job, ResolvedFilesOfEveryKindReadBack) {
  for (const char *model :
       {R"({"folder": "hf"})", R"({"mlir": "m.mlir", "weights": "w"})"}) {
    std::string text = std::string("{\"model\": ") + model +
                       ", \"batch\": 1, \"sequence\": 8, \"steps\": 1}";
    JobOptions options;
    options.needsData = false;
    StatusOr<Job> job = parseJob(text, "/jobs/a.json", options);
    ASSERT_OK(job);
    std::string resolved = writeJob(*job);
    StatusOr<Job> again = parseJob(resolved, "/b/c.json", options);
    ASSERT_OK(again);
    EXPECT_EQ(writeJob(*again), resolved);
  }
  StatusOr<Job> job = parse(minimal);
  EXPECT_EQ(writeJob(*parseJob(writeJob(*job), "/x/y.json")), writeJob(*job));
}

TEST(Job, OverridesSetAnyKey) {
  StatusOr<Job> job = parse(
      minimal,
      {"optimizer.lr=3e-5", "mesh=dp=2,tp=2", "steps=20", "name=7",
       "optimizer.groups.0.match=*.bias", "optimizer.groups.0.lr_scale=0.5",
       "optimizer.groups.1={\"match\": \"*\"}", "model.config.tie=false",
       "sample.prompt=a=b", "data.path=/abs/x"});
  ASSERT_OK(job);
  EXPECT_EQ(job->optimizer.lr, 3e-5);
  EXPECT_EQ(formatMesh(job->mesh), "dp=2,tp=2");
  EXPECT_EQ(job->steps, 20);
  EXPECT_EQ(job->schedule.steps, 20);
  EXPECT_EQ(job->name, "7");
  ASSERT_EQ(job->optimizer.groups.size(), 2u);
  EXPECT_EQ(job->optimizer.groups[0].lrScale, 0.5);
  EXPECT_EQ(job->model.config.tie, false);
  EXPECT_EQ(job->sample.prompt, "a=b");
  EXPECT_EQ(job->data.path, "/abs/x");
  // null brings the default back.
  job = parse(R"({"model": {"folder": "m"}, "batch": 1, "sequence": 1,
                  "steps": 1, "clip": 5, "data": {"kind": "bin", "path": "b"}})",
              {"clip=null"});
  ASSERT_OK(job);
  EXPECT_EQ(job->clip, 0);
}

TEST(Job, ErrorsInOverridesAreCommandLineErrors) {
  struct {
    const char *set;
    const char *message;
  } cases[] = {
      {"steps", "--set steps: expects KEY.PATH=VALUE"},
      {"=3", "expects KEY.PATH=VALUE"},
      {"a..b=3", "the key has an empty part"},
      {"steps.x=3", "--set steps.x=3: steps is not an object"},
      {"optimiser.lr=3",
       "--set optimiser: unknown key; did you mean 'optimizer'?"},
      {"optimizer.lr=fast",
       "--set optimizer.lr: expects a number, got a string"},
      {"layouts.0.tp=S(0)", "--set layouts[0].match: is required"},
      {"optimizer.groups.1.match=x", "--set optimizer.groups"},
      {"mesh=dp", "--set mesh: mesh 'dp': expects name=size"},
      {"seed=-1", "--set seed: expects an integer from 0 to 4294967295"},
  };
  for (const auto &bad : cases)
    EXPECT_FAILS(parse(minimal, {bad.set}), StatusCode::CommandLine,
                 bad.message);
  EXPECT_FAILS(parse("{\"stepz\": 1}", {"seed=-1"}), StatusCode::InvalidInput,
               "--set seed");
}

/// `minimal` with `key` of the top level replaced by `value`.
std::string with(const std::string &key, const std::string &value) {
  std::string text = minimal;
  if (key == "batch" || key == "sequence" || key == "steps") {
    size_t at = text.find("\"" + key + "\":");
    size_t end = text.find_first_of(",\n", at);
    return text.replace(at, end - at, "\"" + key + "\": " + value);
  }
  if (key == "model" || key == "data") {
    size_t at = text.find("\"" + key + "\":");
    return text.replace(at, text.find('\n', at) - at,
                        "\"" + key + "\": " + value + ",");
  }
  return text.replace(text.rfind('\n'), 1, ", \"" + key + "\": " + value);
}

TEST(Job, EachErrorNamesItsPlace) {
  struct {
    const char *key;
    const char *value;
    const char *message;
  } cases[] = {
      {"stepz", "1", "stepz: unknown key; did you mean 'steps'?"},
      {"batch", "\"4\"", "batch: expects an integer, got a string"},
      {"batch", "0", "batch: expects an integer from 1 to"},
      {"batch", "1.5", "batch: expects an integer, got 1.5"},
      {"batch", "null", "batch: is required"},
      {"sequence", "1e30", "sequence: expects an integer from 1"},
      {"steps", "[]", "steps: expects an integer, got an array"},
      {"name", "3", "name: expects a string, got a number"},
      {"precision", "\"f64\"", "precision: expects 'f32', got 'f64'"},
      {"mesh", "\"dp=0\"", "expects a size from 1 to 1048576 for axis 'dp'"},
      {"mesh", "\"dp=2,dp=2\"", "axis 'dp' is there twice"},
      {"mesh", "\"a b=2\"", "expects an axis name of letters"},
      {"mesh", "\"dp=1048576,tp=2\"", "expects at most 1048576 devices"},
      {"mesh", "\"x=2\"", "strategy.x: is required, because the axis has no"},
      {"strategy", "{\"dp\": \"data\"}", "strategy.dp: the mesh has no such"},
      {"strategy", "{\"dp\": \"date\"}", "did you mean 'data'?"},
      {"strategy", "3", "strategy: expects an object, got a number"},
      {"layouts", "{}", "layouts: expects an array, got an object"},
      {"layouts", "[{\"match\": \"*\"}]", "layouts[0]: names no mesh axis"},
      {"layouts", "[{\"match\": \"*\", \"tp\": \"S(0)\"}]",
       "layouts[0].tp: the mesh has no such axis"},
      {"layouts", "[{\"match\": \"*\", \"tp\": \"S(x)\"}]",
       "layouts[0].tp: expects B, S(i) or S(i, unit=n), got 'S(x)'"},
      {"layouts", "[3]", "layouts[0]: expects an object, got a number"},
      {"dropout", "1", "dropout: expects a number of at least 0 and below 1"},
      {"clip", "-1", "clip: expects a number of at least 0, got -1"},
      {"seed", "4294967296", "seed: expects an integer from 0 to 4294967295"},
      {"micro_batches", "5", "micro_batches: expects at most batch (4), got 5"},
      {"optimizer", "{\"betas\": [0.9]}",
       "optimizer.betas: expects an array of 2 numbers, got 1"},
      {"optimizer", "{\"betas\": [0.9, 1]}",
       "optimizer.betas[1]: expects a number of at least 0 and below 1"},
      {"optimizer", "{\"kind\": \"adam\"}",
       "optimizer.kind: expects one of adamw, sgd, got 'adam'; did you mean "
       "'adamw'?"},
      {"optimizer", "{\"momentum\": 0.9}", "momentum: belongs to sgd only"},
      {"optimizer", "{\"groups\": [{\"lr_scale\": 1}]}",
       "optimizer.groups[0].match: is required"},
      {"optimizer", "{\"groups\": [{\"match\": \"\"}]}",
       "optimizer.groups[0].match: must not be empty"},
      {"schedule", "{\"warmup\": -1}", "schedule.warmup: expects an integer"},
      {"schedule", "{\"min_ratio\": 2}", "at least 0 and at most 1, got 2"},
      {"evaluate", "{\"every\": 5}", "evaluate: needs data.validation"},
      {"evaluate", "{\"data\": \"train\"}", "expects 'validation'"},
      {"nonfinite", "{\"limit\": 0}", "nonfinite.limit: expects an integer"},
      {"log", "\"x\"", "log: expects an object, got a string"},
      {"model", "{}", "model: needs one of folder, family and mlir"},
      {"model", "{\"family\": \"gpt2\"}", "model.config: is required"},
      {"model", "{\"family\": \"gpt3\"}",
       "model.family: expects one of gpt2, llama, got 'gpt3'; did you mean"},
      {"model", "{\"folder\": \"a\", \"mlir\": \"b\"}", "has more than one of"},
      {"model", "{\"folder\": \"a\", \"config\": {}}",
       "model.config: belongs to family only"},
      {"model", "{\"folder\": \"a\\u0000b\"}", "must not hold a zero byte"},
      {"model",
       "{\"family\": \"gpt2\", \"config\": {\"layers\": 1, \"width\": "
       "9, \"heads\": 2}}",
       "model.config.width: expects a multiple of heads (2), got 9"},
      {"model",
       "{\"family\": \"llama\", \"config\": {\"layers\": 1, "
       "\"width\": 6, \"heads\": 2}}",
       "model.config.head_dim: expects an even number"},
      {"model",
       "{\"family\": \"llama\", \"config\": {\"layers\": 1, "
       "\"width\": 8, \"heads\": 2}}",
       "model.config.intermediate: is required by llama"},
      {"model",
       "{\"family\": \"llama\", \"config\": {\"layers\": 1, "
       "\"width\": 8, \"heads\": 4, \"kv_heads\": 3, "
       "\"intermediate\": 8}}",
       "model.config.kv_heads: expects a divisor of heads (4), got 3"},
      {"model",
       "{\"family\": \"gpt2\", \"config\": {\"layers\": 1, \"width\": "
       "8, \"heads\": 2, \"context\": 8}}",
       "sequence: expects at most the model's context of 8, got 16"},
      {"model",
       "{\"family\": \"gpt2\", \"config\": {\"layers\": 1, \"width\": "
       "8, \"heads\": 2, \"vocab\": 100}}",
       "data.vocab: expects at most the model's vocabulary of 100, got 256"},
      {"data", "null", "data: is required"},
      {"data", "{\"kind\": \"text\"}", "data.path: is required"},
      {"data", "{\"kind\": \"csv\", \"path\": \"x\"}", "expects one of text"},
      {"data", "{\"kind\": \"bin\", \"path\": \"x\", \"separator\": \"%\"}",
       "data.separator: belongs to text only"},
      {"data", "{\"kind\": \"text\", \"path\": \"x\", \"dtype\": \"u16\"}",
       "data.dtype: belongs to bin only"},
      {"data",
       "{\"kind\": \"text\", \"path\": \"x\", \"validation\": "
       "{\"every\": 20}}",
       "data.validation.every: needs data.separator"},
      {"data", "{\"kind\": \"text\", \"path\": \"x\", \"vocab\": 100}",
       "data.vocab: expects at least 256 for text, got 100"},
  };
  for (const auto &bad : cases) {
    SCOPED_TRACE(std::string(bad.key) + " = " + bad.value);
    EXPECT_FAILS(parse(with(bad.key, bad.value)), StatusCode::InvalidInput,
                 bad.message);
  }
  EXPECT_FAILS(parse("[]"), StatusCode::InvalidInput,
               "/jobs/small.json: expects an object, got an array");
  EXPECT_FAILS(parse("{\n  \"a\": }"), StatusCode::InvalidInput,
               "/jobs/small.json:2:8: ");
  EXPECT_FAILS(readJob("/nonexistent/job.json"), StatusCode::InvalidInput,
               "/nonexistent/job.json: cannot open");
}

TEST(Job, AllErrorsAreCollected) {
  StatusOr<Job> job = parse(R"({"model": {"folder": 3, "x": 1}, "batch": 0,
                               "steps": "many", "optimiser": {}})");
  ASSERT_FALSE(job.ok());
  std::vector<std::string> lines = split(job.status().message(), '\n');
  for (const char *line :
       {"/jobs/small.json: model.folder: expects a string, got a number",
        "/jobs/small.json: model.x: unknown key",
        "/jobs/small.json: sequence: is required",
        "/jobs/small.json: steps: expects an integer, got a string",
        "/jobs/small.json: optimiser: unknown key; did you mean 'optimizer'?",
        "/jobs/small.json: data: is required"})
    EXPECT_NE(std::find(lines.begin(), lines.end(), line), lines.end())
        << line << " in\n"
        << job.status().message();
}

TEST(Job, ExampleAndReferenceAgreeWithTheParser) {
  StatusOr<Job> job = parseJob(jobExample(), "/jobs/example.json");
  ASSERT_OK(job);
  EXPECT_EQ(job->ranks(), 4);
  std::string page = jobReference();
  for (const char *part :
       {"| `batch` | integer, 1 to 16000000 | required |",
        "| `optimizer.betas` | 2 numbers, at least 0, below 1 | `[0.9, 0.999]`",
        "| `optimizer.groups[].match` | text | required |",
        "| `layouts[].AXIS` | text |  |", "## `model.config`",
        "| `schedule.kind` | `constant`, `cosine`, `linear` | `constant` |"})
    EXPECT_NE(page.find(part), std::string::npos) << part;
}

} // namespace
} // namespace weir
