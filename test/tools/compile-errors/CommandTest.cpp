// SPDX-License-Identifier: Apache-2.0
// Command lines, job files and outputs of weir-compile.
#include "test/tools/compile-errors/ToolRun.h"

namespace weir::test {
namespace {

struct Case {
  const char *name;
  std::vector<std::string> arguments; // MODEL: a small model folder
  int code;
  std::vector<std::string> parts;
};
void PrintTo(const Case &item, std::ostream *os) { *os << item.name; }
std::string nameOf(const ::testing::TestParamInfo<Case> &info) {
  return info.param.name;
}

//===----------------------------------------------------------------------===//
// Flags
//===----------------------------------------------------------------------===//

class Flags : public ::testing::TestWithParam<Case> {};

TEST_P(Flags, AreRefused) {
  TempFolder folder;
  std::string model = writeModel(folder, "model", tinyConfig);
  folder.write("file", "no folder");
  // Two devices that hold nearly nothing, and one.
  std::string cluster = R"({"name": "c", "devices": 2, "memory": 100,
    "memory_bandwidth": 1e9, "flops": {"f32": 1e9}, "levels": [
    {"name": "l", "size": 2, "latency": 0, "bandwidth": 1e9}]})";
  folder.write("small.json", cluster);
  for (size_t at; (at = cluster.find(": 2,")) != std::string::npos;)
    cluster.replace(at, 4, ": 1,");
  folder.write("one.json", cluster);
  folder.write("open.json", "{\"name\": ");
  folder.write("key.json", "{\"name\": \"c\", \"nodes\": 2}");
  std::vector<std::string> arguments = GetParam().arguments;
  for (std::string &argument : arguments) {
    if (argument == "MODEL")
      argument = model;
    size_t at = argument.find("=FOLDER/");
    if (at != std::string::npos)
      argument.replace(at + 1, 6, folder.path());
  }
  expectEnd("weir-compile", arguments, folder.path(), GetParam().code,
            GetParam().parts);
  EXPECT_FALSE(std::filesystem::exists(folder.path("model.weir")));
}

const Case flags[] = {
    {"NoModel", {}, 2, {"MODEL|JOB"}},
    {"TwoModels", {"MODEL", "MODEL"}, 2, {"model"}},
    {"UnknownFlag", {"MODEL", "--meshes=dp=2"}, 2, {"--meshes", "--mesh"}},
    {"FlagWithoutValue", {"MODEL", "--mesh"}, 2, {"--mesh"}},
    {"MeshWithoutSize", {"MODEL", "--mesh=dp"}, 2, {"mesh 'dp'"}},
    {"MeshOfNone", {"MODEL", "--mesh=dp=0"}, 2, {"mesh 'dp=0'"}},
    {"MeshAxisTwice", {"MODEL", "--mesh=dp=2,dp=2"}, 2, {"mesh", "dp"}},
    {"MeshTooLarge", {"MODEL", "--mesh=dp=99999999999999999999"}, 2, {"mesh"}},
    {"AxisWithoutStrategy",
     {"MODEL", "--mesh=rows=2"},
     2,
     {"strategy.rows", "is required"}},
    {"StrategyWithoutAxis",
     {"MODEL", "--strategy=data"},
     2,
     {"--strategy", "AXIS:STRATEGY"}},
    {"UnknownStrategy",
     {"MODEL", "--mesh=dp=2", "--strategy=dp:datas"},
     2,
     {"strategy.dp", "datas", "data, zero1, zero2, zero3, megatron",
      "did you mean 'data'"}},
    {"ClusterMissing",
     {"MODEL", "--mesh=dp=2", "--sequence=8", "--cluster=FOLDER/none.json"},
     3,
     {"none.json", "cannot open"}},
    {"ClusterSyntax",
     {"MODEL", "--mesh=dp=2", "--sequence=8", "--cluster=FOLDER/open.json"},
     3,
     {"open.json"}},
    {"ClusterKey",
     {"MODEL", "--mesh=dp=2", "--sequence=8", "--cluster=FOLDER/key.json"},
     3,
     {"key.json", "nodes"}},
    {"ClusterTooSmall",
     {"MODEL", "--mesh=dp=2", "--sequence=8", "--cluster=FOLDER/one.json"},
     3,
     {"one.json", "devices", "at least 2"}},
    {"SearchDoesNotFit",
     {"MODEL", "--mesh=dp=2", "--strategy=dp:search", "--sequence=8",
      "--cluster=FOLDER/small.json"},
     5,
     {"fit 100 bytes a device", "need at least", "more devices"}},
    {"ExplainBeforeShard",
     {"MODEL", "--mesh=dp=2", "--sequence=8", "--explain", "--stop-after=plan"},
     2,
     {"--explain", "shard"}},
    {"StrategyOfNoAxis",
     {"MODEL", "--mesh=dp=2", "--strategy=tp:megatron"},
     2,
     {"strategy.tp"}},
    {"LayoutWithoutParts",
     {"MODEL", "--layout=wte"},
     2,
     {"--layout", "GLOB:AXIS:LAYOUT"}},
    {"LayoutOfNoAxis",
     {"MODEL", "--mesh=dp=2", "--layout=*:tp:S(0)"},
     2,
     {"--layout", "no axis 'tp'"}},
    {"UnknownPhase",
     {"MODEL", "--stop-after=shards"},
     2,
     {"--stop-after", "shard"}},
    {"PhasesBackwards",
     {"MODEL", "--start-at=shard", "--stop-after=plan"},
     2,
     {"'plan'", "before 'shard'"}},
    {"UnknownCpu", {"MODEL", "--cpu=pentium"}, 2, {"--cpu", "x86-64-v3"}},
    {"BatchNoNumber", {"MODEL", "--batch=many"}, 2, {"--batch", "many"}},
    {"BatchOfNone", {"MODEL", "--batch=0"}, 2, {"batch"}},
    {"NegativeForwardBatch",
     {"MODEL", "--forward-batch=-1"},
     2,
     {"--forward-batch"}},
    {"MoreMicroBatchesThanRows",
     {"MODEL", "--batch=2", "--sequence=16", "--micro-batches=3"},
     2,
     {"micro_batches", "at most batch (2)"}},
    {"UnknownOptimizer",
     {"MODEL", "--optimizer=lion"},
     2,
     {"optimizer.kind", "lion", "adamw"}},
    {"SetWithoutValue",
     {"MODEL", "--set=batch"},
     2,
     {"--set batch", "KEY.PATH=VALUE"}},
    {"SetUnknownKey",
     {"MODEL", "--set=optimiser.lr=1"},
     2,
     {"optimiser", "optimizer"}},
    {"SetWrongType", {"MODEL", "--set=batch=two"}, 2, {"batch"}},
    {"ArtifactToStandardOutput", {"MODEL", "-o", "-"}, 2, {"--output"}},
    {"SequenceBeyondContext",
     {"MODEL", "--sequence=33"},
     3,
     {"sequence", "context of 32", "33"}},
    {"NoSuchModel", {"nowhere.json"}, 3, {"nowhere.json", "No such file"}},
    {"NoSuchText", {"nowhere.mlir"}, 3, {"nowhere.mlir", "No such file"}},
    {"FolderWithoutConfig", {"."}, 3, {"config.json", "No such file"}},
    {"NeitherJsonNorModel", {"file"}, 3, {"file"}},
    {"OutputInNoFolder",
     {"MODEL", "--sequence=16", "-o", "nowhere/model.weir"},
     6,
     {"nowhere/model.weir"}},
    {"OutputIsFolder", {"MODEL", "--sequence=16", "-o", "model"}, 6, {"model"}},
    {"TextInNoFolder",
     {"MODEL", "--sequence=16", "--stop-after=import", "-o", "nowhere/a.mlir"},
     6,
     {"nowhere/a.mlir"}},
    {"ReportInNoFolder",
     {"MODEL", "--sequence=16", "--stop-after=plan", "-o", "ir",
      "--report=nowhere/report.json"},
     6,
     {"nowhere/report.json"}},
    {"DumpDirIsFile",
     {"MODEL", "--sequence=16", "--dump-dir=file"},
     6,
     {"file"}},
    // A device is written as it stands, not replaced by a file.
    {"DeviceIsFull",
     {"MODEL", "--sequence=16", "--stop-after=import", "-o", "/dev/full"},
     6,
     {"/dev/full", "No space left"}},
};
INSTANTIATE_TEST_SUITE_P(Compile, Flags, ::testing::ValuesIn(flags), nameOf);

//===----------------------------------------------------------------------===//
// Job files
//===----------------------------------------------------------------------===//

struct JobCase {
  const char *name;
  std::string text;
  int code;
  std::vector<std::string> parts;
};
void PrintTo(const JobCase &item, std::ostream *os) { *os << item.name; }

class Jobs : public ::testing::TestWithParam<JobCase> {};

TEST_P(Jobs, EndAsTheySay) {
  TempFolder folder;
  folder.write("job.json", GetParam().text);
  expectEnd("weir-compile", {"job.json", "-o", "model.weir"}, folder.path(),
            GetParam().code, GetParam().parts);
  EXPECT_EQ(std::filesystem::exists(folder.path("model.weir")),
            GetParam().code == 0);
}

std::string nested(int depth) {
  return "{\"model\": " + std::string(depth, '[') + std::string(depth, ']') +
         "}";
}

const JobCase jobs[] = {
    // Legal, so that the others fail for their own reason.
    {"Plain", tinyJob(), 0, {}},
    {"IndivisibleEverywhere",
     tinyJob(R"(, "mesh": "dp=5,tp=3", "micro_batches": 4)"),
     0,
     {}},
    {"LayoutOverrides",
     tinyJob(R"j(, "mesh": "tp=2", "layouts": [{"match": "*wte*", "tp": "S(1)"},
       {"match": "*", "tp": "B"}])j"),
     0,
     {}},

    {"Empty", "", 3, {"job.json"}},
    {"NoJson", "model: gpt2\n", 3, {"job.json:1"}},
    {"Cut", tinyJob().substr(0, 150), 3, {"job.json"}},
    {"Binary",
     std::string("\x7f"
                 "ELF\0\1\2\xff",
                 8),
     3,
     {"job.json"}},
    {"List", "[]", 3, {"expects an object"}},
    {"DeepNesting", nested(100000), 3, {"job.json"}},
    {"KeyTwice", R"({"batch": 1, "batch": 2})", 3, {"batch"}},
    {"NoModel",
     R"({"batch": 1, "sequence": 8, "steps": 1})",
     3,
     {"model: is required"}},
    {"TwoModels",
     R"({"model": {"folder": "a", "mlir": "b"}, "batch": 1, "sequence": 8, "steps": 1})",
     3,
     {"more than one of folder, family and mlir"}},
    {"UnknownFamily",
     R"({"model": {"family": "bert", "config": {}}, "batch": 1, "sequence": 8, "steps": 1})",
     3,
     {"model.family", "gpt2, llama"}},
    {"EveryProblemAtOnce",
     R"({"model": {"family": "gpt2", "config": {"layers": "two", "width": 10, "heads": 3}},
       "batches": 4, "sequence": -1, "steps": 0, "precision": "f16"})",
     3,
     {"model.config.layers", "model.config.width", "batches: unknown key",
      "batch: is required", "sequence", "steps", "precision"}},
    {"SeedNegative", tinyJob(R"(, "seed": -1)"), 3, {"seed"}},
    {"StepBeyondReason",
     R"({"model": {"family": "gpt2", "config": {"layers": 1, "width": 8, "heads": 2}},
       "data": {"kind": "text", "path": "t"}, "batch": 16000000, "sequence": 1000000000,
       "steps": 1})",
     5,
     {"model.config", "TiB", "smaller"}},
    {"BatchOfNone",
     R"({"model": {"folder": "m"}, "batch": 0, "sequence": 8, "steps": 1})",
     3,
     {"batch"}},
    {"BadMesh", tinyJob(R"(, "mesh": "dp=2;tp=2")"), 3, {"mesh 'dp=2;tp=2'"}},
    {"UnknownStrategy",
     tinyJob(R"(, "mesh": "tp=2", "strategy": {"tp": "tensor"})"),
     3,
     {"strategy.tp", "tensor"}},
    {"LayoutOfNoAxis",
     tinyJob(R"(, "mesh": "tp=2", "layouts": [{"match": "*", "pp": "B"}])"),
     3,
     {"layouts[0].pp", "no such axis"}},
    {"LayoutNoLayout",
     tinyJob(R"(, "mesh": "tp=2", "layouts": [{"match": "*", "tp": "split"}])"),
     3,
     {"layouts[0].tp", "S(i)"}},
    {"LayoutOfNoVariable",
     tinyJob(
         R"(, "mesh": "tp=2", "layouts": [{"match": "*nowhere*", "tp": "B"}])"),
     1,
     {"'*nowhere*' matches no variable"}},
    {"LayoutOfNoDimension",
     tinyJob(
         R"j(, "mesh": "tp=2", "layouts": [{"match": "*ln_f.bias", "tp": "S(1)"}])j"),
     1,
     {"ln_f.bias", "S(1)"}},
    {"DropoutOfAll", tinyJob(R"(, "dropout": 1.0)"), 3, {"dropout", "below 1"}},
    {"UnknownPrecision",
     tinyJob(R"(, "precision": "bf16")"),
     3,
     {"precision", "f32"}},
    {"TooManyWorkers",
     tinyJob(R"(, "workers": 1000000)"),
     3,
     {"workers", "4096"}},
};
INSTANTIATE_TEST_SUITE_P(Compile, Jobs, ::testing::ValuesIn(jobs),
                         [](const ::testing::TestParamInfo<JobCase> &info) {
                           return info.param.name;
                         });

} // namespace
} // namespace weir::test
