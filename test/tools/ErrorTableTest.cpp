// SPDX-License-Identifier: Apache-2.0
// Malformed command lines, jobs, artifacts, weights and token files: each must
// end a tool with its exit code and a message that says what is wrong.
#include "runtime/io/File.h"
#include "runtime/io/Safetensors.h"
#include "runtime/io/Zip.h"
#include "runtime/plan/Artifact.h"
#include "test/tools/ToolRunner.h"

#include <regex>

using namespace weir;
using namespace weir::test;

namespace {

/// In arguments, `@name` stands for the path of a file of the table's folder.
struct ErrorCase {
  const char *tool;
  std::vector<std::string> arguments;
  int code;
  const char *message; // a regular expression found in standard error
};

class ErrorTableTest : public ToolTest {
protected:
  void SetUp() override {
    ToolTest::SetUp();
    artifact();
    BigramOptions options;
    options.failing = true;
    artifact(options, "failing.weir");
    options = {};
    options.feature = "no-such-feature";
    artifact(options, "alien.weir");
    std::string good = slurp(in("model.weir"));
    folder.write("half.weir", good.substr(0, good.size() / 2));
    folder.write("empty", "");
    folder.write("notes.txt", "not what a tool expects\n");
    ASSERT_OK(makeDirectories(in("folder")));
    // The manifest of a newer format.
    rewriteManifest("newer.weir", "\"formatVersion\":1",
                    "\"formatVersion\":99");
    rewriteManifest("schema.weir", "\"schemaHash\":\"", "\"schemaHash\":\"0");
    rewriteManifest("nomanifest.weir", "", "");
    // A kernel that is not what its digest says.
    size_t place = good.find("bigram_train");
    std::string damaged = good;
    damaged[good.find("bigram_evaluate", place)] ^= 1;
    folder.write("damaged.weir", damaged);

    safetensors("weights.safetensors", "bigram.table", {256, 256});
    safetensors("shape.safetensors", "bigram.table", {256, 255});
    safetensors("name.safetensors", "bigram.tables", {256, 256});
    safetensors("input.safetensors", "ids", {4, 7});
    safetensors("floats.safetensors", "ids", {4, 8});
    std::string weights = slurp(in("weights.safetensors"));
    folder.write("cut.safetensors", weights.substr(0, weights.size() - 1));
    folder.write("header.safetensors", weights.substr(0, 20));
    folder.write("length.safetensors", weights.substr(0, 5));

    folder.write("odd.bin", "abc");
    folder.write("large.bin", std::string(400, '\x7f'));
    folder.write("short", "a\n%\nb\n%\n");
    folder.write("syntax.json", "{\"steps\": 3,,}");
    folder.write("array.json", "[1, 2]");
    folder.write("unknown.json", jobText("\"stepps\": 3,"));
    folder.write("twice.json", jobText("\"steps\": 3,"));
    folder.write("kind.json", jobText("\"clip\": \"much\","));
  }

  void safetensors(const std::string &name, const std::string &tensor,
                   const std::vector<int64_t> &shape) {
    std::vector<float> data(shape[0] * shape[1], 0);
    auto writer =
        SafetensorsWriter::create(in(name), {{tensor, StoredType::F32, shape}});
    ASSERT_OK(writer);
    ASSERT_OK(writer->write(tensor, data.data(), data.size() * 4));
    ASSERT_OK(writer->finish());
  }

  /// Copies the artifact with another manifest, or with an empty `from` none.
  void rewriteManifest(const std::string &name, const std::string &from,
                       const std::string &to) {
    auto reader = ZipReader::open(in("model.weir"));
    ASSERT_OK(reader);
    auto writer = ZipWriter::create(in(name));
    ASSERT_OK(writer);
    for (const ZipEntry &entry : reader->entries()) {
      std::string content(reader->content(entry));
      if (entry.name == "manifest.json") {
        if (from.empty())
          continue;
        size_t place = content.find(from);
        ASSERT_NE(place, std::string::npos) << content.substr(0, 300);
        content.replace(place, from.size(), to);
      }
      ASSERT_OK(writer->add(entry.name, content));
    }
    ASSERT_OK(writer->finish());
  }

  std::string expand(const std::string &argument) const {
    size_t at = argument.find('@');
    return at == std::string::npos
               ? argument
               : argument.substr(0, at) + in(argument.substr(at + 1));
  }
};

const std::vector<ErrorCase> cases = {
    // Command lines.
    {"weir", {}, 2, "needs a command"},
    {"weir", {"trin", "x"}, 2, "unknown command 'trin'; did you mean 'train'"},
    {"weir", {"--verbose"}, 2, "unknown flag '--verbose'"},
    {"weir", {"help", "run", "x"}, 2, "expects one command"},
    {"weir", {"help", "ruin"}, 2, "did you mean 'run'"},
    {"weir", {"train"}, 2, "needs JOB"},
    {"weir", {"train", "@job.json", "more"}, 2, "unexpected argument 'more'"},
    {"weir", {"train", "@job.json", "--sett=a=b"}, 2, "did you mean '--set'"},
    {"weir",
     {"train", "@job.json", "--progress=fancy"},
     2,
     "one of auto, bar, plain, none"},
    {"weir-run", {}, 2, "needs ARTIFACT"},
    {"weir-run", {"@model.weir"}, 2, "one of --train=JOB and --entry=NAME"},
    {"weir-run",
     {"@model.weir", "--train=@job.json", "--entry=train"},
     2,
     "one of --train=JOB and --entry=NAME"},
    {"weir-run",
     {"@model.weir", "--entry=forwrd"},
     2,
     "no entry of .*it has train, evaluate, forward; did you mean 'forward'"},
    {"weir-run",
     {"@model.weir", "--entry=forward", "--repeat=0"},
     2,
     "--repeat: expects 1 to"},
    {"weir-run",
     {"@model.weir", "--entry=forward", "--seed=-1"},
     2,
     "--seed: expects 0 to 4294967295"},
    {"weir-run",
     {"@model.weir", "--entry=forward", "--seed=x"},
     2,
     "--seed: expects an integer, got 'x'"},
    {"weir-run",
     {"@model.weir", "--entry=forward", "--threads=3"},
     2,
     "compiled for 1 thread"},
    {"weir-run",
     {"@model.weir", "--entry=forward", "--workers=-1"},
     2,
     "--workers: expects 0 to"},
    {"weir-run",
     {"@model.weir", "--entry=forward", "--serve-steps"},
     2,
     "--serve-steps: needs --train"},
    {"weir-run",
     {"@model.weir", "--train=@job.json", "--weights=x"},
     2,
     "--weights: needs --entry"},
    {"weir-run",
     {"@model.weir", "--train=@job.json", "--warmup=1"},
     2,
     "--warmup: needs --serve-steps"},
    {"weir-run",
     {"@model.weir", "--entry=forward", "--input=ids"},
     2,
     "expects name=value or name=FILE"},
    {"weir-run",
     {"@model.weir", "--entry=forward", "--input=ids="},
     2,
     "expects name=value or name=FILE"},
    {"weir-run",
     {"@model.weir", "--entry=forward", "--input=idx=1"},
     2,
     "no such input; it has ids; did you mean 'ids'"},
    {"weir-run",
     {"@model.weir", "--entry=forward", "--input=ids=1.5"},
     2,
     "expects an integer of i32, got '1.5'"},
    {"weir-run",
     {"@model.weir", "--entry=forward", "--input=ids=3000000000"},
     2,
     "expects an integer of i32"},
    {"weir-run",
     {"@model.weir", "--train=@job.json", "--resume"},
     2,
     "no save.folder"},
    {"weir-inspect", {}, 2, "needs ARTIFACT"},
    {"weir-inspect", {"@model.weir", "--json", "--plan"}, 2, "exclude"},
    {"weir-inspect",
     {"@model.weir", "--entry=trin"},
     2,
     "did you mean 'train'"},
    // Artifacts.
    {"weir-run", {"@none.weir", "--entry=forward"}, 3, "none.weir.*No such"},
    {"weir-run", {"@folder", "--entry=forward"}, 3, "folder"},
    {"weir-run", {"@empty", "--entry=forward"}, 3, "empty"},
    {"weir-run", {"@notes.txt", "--entry=forward"}, 3, "notes.txt"},
    {"weir-run", {"@half.weir", "--entry=forward"}, 3, "half.weir"},
    {"weir-run", {"@damaged.weir", "--entry=forward"}, 3, "damaged.weir"},
    {"weir-run", {"@nomanifest.weir", "--entry=forward"}, 3, "manifest"},
    {"weir-run", {"@newer.weir", "--entry=forward"}, 8, "version.*99|99"},
    {"weir-run", {"@schema.weir", "--entry=forward"}, 8, "schema.weir"},
    {"weir-run", {"@alien.weir", "--entry=forward"}, 8, "no-such-feature"},
    {"weir-inspect", {"@half.weir"}, 3, "half.weir"},
    {"weir-inspect", {"@newer.weir"}, 8, "newer.weir"},
    {"weir-inspect", {"@damaged.weir", "--verify"}, 3, "damaged.weir"},
    // Inputs and weights.
    {"weir-run",
     {"@model.weir", "--entry=train"},
     3,
     "'ids', 'labels', 'group0.learning_rate', 'max_norm' have no value"},
    {"weir-run",
     {"@model.weir", "--entry=forward", "--input=ids=@none"},
     3,
     "none"},
    {"weir-run",
     {"@model.weir", "--entry=forward", "--input=ids=@input.safetensors"},
     3,
     "expects i32\\[4,8\\], tensor 'ids' .* is F32\\[4,7\\]"},
    {"weir-run",
     {"@model.weir", "--entry=forward", "--input=ids=@floats.safetensors"},
     3,
     "expects i32\\[4,8\\].* is F32"},
    {"weir-run",
     {"@model.weir", "--entry=forward", "--input=ids=@floats.safetensors:idss"},
     3,
     "no tensor 'idss'; did you mean 'ids'"},
    {"weir-run",
     {"@model.weir", "--entry=forward", "--inputs=@weights.safetensors"},
     3,
     "no tensor with the name of an input"},
    {"weir-run",
     {"@model.weir", "--entry=forward", "--weights=@none.safetensors"},
     3,
     "none.safetensors"},
    {"weir-run",
     {"@model.weir", "--entry=forward", "--weights=@cut.safetensors"},
     3,
     "cut.safetensors"},
    {"weir-run",
     {"@model.weir", "--entry=forward", "--weights=@header.safetensors"},
     3,
     "header.safetensors"},
    {"weir-run",
     {"@model.weir", "--entry=forward", "--weights=@length.safetensors"},
     3,
     "length.safetensors"},
    {"weir-run",
     {"@model.weir", "--entry=forward", "--weights=@shape.safetensors"},
     3,
     "F32\\[256,255\\], expected shape \\[256,256\\]"},
    {"weir-run",
     {"@model.weir", "--entry=forward", "--weights=@name.safetensors"},
     3,
     "'bigram.table' is missing\n.*'bigram.tables' is not part of the model"},
    {"weir-run",
     {"@model.weir", "--entry=forward", "--weights=@folder"},
     3,
     "folder"},
    // Jobs.
    {"weir-run", {"@model.weir", "--train=@none.json"}, 3, "none.json"},
    {"weir-run", {"@model.weir", "--train=@empty"}, 3, "empty"},
    {"weir-run",
     {"@model.weir", "--train=@syntax.json"},
     3,
     "syntax.json:1:13: "},
    {"weir-run",
     {"@model.weir", "--train=@array.json"},
     3,
     "expects an object, got an array"},
    {"weir-run",
     {"@model.weir", "--train=@unknown.json"},
     3,
     "stepps.*did you mean 'steps'"},
    {"weir-run", {"@model.weir", "--train=@twice.json"}, 3, "steps"},
    {"weir-run",
     {"@model.weir", "--train=@kind.json"},
     3,
     "clip: expects a number"},
    {"weir-run",
     {"@model.weir", "--train=@job.json", "--set=steps=0"},
     2,
     "steps"},
    {"weir-run",
     {"@model.weir", "--train=@job.json", "--set=stepps=1"},
     2,
     "stepps"},
    {"weir-run",
     {"@model.weir", "--train=@job.json", "--set=batch=8"},
     8,
     "batches of \\[4,8\\], the job has \\[8,8\\]"},
    {"weir", {"train", "@none.json"}, 3, "none.json"},
    {"weir", {"train", "@syntax.json"}, 3, "syntax.json:1:13: "},
    // Data.
    {"weir-run",
     {"@model.weir", "--train=@job.json", "--set=data.path=none"},
     3,
     "none"},
    {"weir-run",
     {"@model.weir", "--train=@job.json", "--set=data.path=short"},
     3,
     "short"},
    {"weir-run",
     {"@model.weir", "--train=@job.json",
      "--set=data={\"kind\":\"bin\",\"path\":\"odd.bin\"}",
      "--set=model.config.vocab=256", "--set=evaluate.every=0"},
     3,
     "odd.bin"},
    {"weir-run",
     {"@model.weir", "--train=@job.json",
      "--set=data={\"kind\":\"bin\",\"path\":\"large.bin\"}",
      "--set=model.config.vocab=256", "--set=evaluate.every=0"},
     3,
     "large.bin.*32639"},
    {"weir-run",
     {"@model.weir", "--train=@job.json",
      "--set=model.weights=shape.safetensors"},
     3,
     "shape.safetensors"},
    // Outputs.
    {"weir-run",
     {"@model.weir", "--entry=forward", "--input=ids=0",
      "--output=@no/where.safetensors"},
     6,
     "where.safetensors"},
    {"weir-run",
     {"@model.weir", "--entry=forward", "--input=ids=0",
      "--trace=@no/where.json"},
     6,
     "where.json"},
    {"weir-run",
     {"@model.weir", "--train=@job.json", "--metrics=@folder"},
     6,
     "folder: cannot write"},
    {"weir-run",
     {"@model.weir", "--train=@job.json", "--set=save.export=notes.txt"},
     6,
     "save.export: .*notes.txt: is a file"},
    {"weir-run",
     {"@model.weir", "--train=@job.json", "--set=log.folder=notes.txt"},
     6,
     "log.folder"},
    // Failures of the run.
    {"weir-run",
     {"@failing.weir", "--entry=forward", "--input=ids=0"},
     9,
     "bigram_fail"},
    {"weir-run",
     {"@model.weir", "--train=@job.json", "--set=optimizer.lr=1e39",
      "--set=nonfinite.limit=2"},
     11,
     "not finite in 2 steps in a row"},
};

TEST_F(ErrorTableTest, EveryCaseEndsWithItsCodeAndMessage) {
  EXPECT_GE(cases.size(), 60u);
  for (const ErrorCase &item : cases) {
    std::vector<std::string> arguments;
    std::string shown = item.tool;
    for (const std::string &argument : item.arguments) {
      arguments.push_back(expand(argument));
      shown += " " + argument;
    }
    ToolResult result =
        runTool(toolPath(item.tool), arguments, {{"WEIR_CACHE", in("cache")}});
    EXPECT_EQ(result.code, item.code) << shown << "\n" << result.err;
    EXPECT_TRUE(std::regex_search(result.err, std::regex(item.message)))
        << shown << "\nexpected: " << item.message << "\ngot: " << result.err;
    EXPECT_EQ(result.err.find(std::string(item.tool) + ": error: ") !=
                      std::string::npos ||
                  item.code == 0,
              true)
        << shown << "\n"
        << result.err;
  }
}

TEST_F(ErrorTableTest, AnArtifactCutAnywhereIsRefused) {
  std::string good = slurp(in("model.weir"));
  auto reader = ZipReader::open(in("model.weir"));
  ASSERT_OK(reader);
  std::vector<size_t> ends = {0, 1, 4, good.size() - 22, good.size() - 1};
  for (const ZipEntry &entry : reader->entries()) {
    ends.push_back(entry.offset);
    ends.push_back(entry.offset + entry.size);
    ends.push_back(entry.offset + entry.size / 2);
  }
  for (size_t end : ends) {
    folder.write("cut.weir", good.substr(0, end));
    ToolResult result = runTool(toolPath("weir-inspect"), {in("cut.weir")});
    EXPECT_EQ(result.code, 3) << "cut at " << end << ": " << result.err;
    EXPECT_NE(result.err.find("cut.weir"), std::string::npos) << result.err;
  }
}

TEST_F(ErrorTableTest, WeightsCutAnywhereAreRefused) {
  std::string good = slurp(in("weights.safetensors"));
  uint64_t header = static_cast<unsigned char>(good[0]);
  for (size_t end :
       {size_t(0), size_t(7), size_t(8), size_t(9), size_t(8 + header - 1),
        size_t(8 + header), good.size() / 2, good.size() - 1}) {
    folder.write("cut.safetensors", good.substr(0, end));
    ToolResult result =
        runTool(toolPath("weir-run"), {in("model.weir"), "--entry=forward",
                                       "--weights=" + in("cut.safetensors")});
    EXPECT_EQ(result.code, 3) << "cut at " << end << ": " << result.err;
  }
}

TEST_F(ErrorTableTest, ARequestThatIsNoneEndsServing) {
  ToolResult result =
      runTool(toolPath("weir-run"),
              {in("model.weir"), "--train=" + job, "--serve-steps"}, {},
              "step\njump\n");
  EXPECT_EQ(result.code, 2);
  EXPECT_NE(result.err.find("got 'jump'"), std::string::npos) << result.err;
}

} // namespace
