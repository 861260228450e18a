// SPDX-License-Identifier: Apache-2.0
#include "runtime/base/Json.h"
#include "runtime/base/Strings.h"
#include "runtime/io/File.h"
#include "runtime/io/Safetensors.h"
#include "test/tools/ToolRunner.h"

#include <cmath>
#include <csignal>
#include <unistd.h>

using namespace weir;
using namespace weir::test;

namespace {

class RunTest : public ToolTest {
protected:
  ToolResult run(const std::vector<std::string> &arguments,
                 const std::string &input = "") {
    return runTool(toolPath("weir-run"), arguments, {}, input);
  }
};

TEST_F(RunTest, AnEntryGivesNumbersAndTensors) {
  // A table of zeros: each label costs log 256.
  std::vector<float> table(256 * 256, 0);
  auto writer = SafetensorsWriter::create(
      in("w.safetensors"), {{"bigram.table", StoredType::F32, {256, 256}}});
  ASSERT_OK(writer);
  ASSERT_OK(writer->write("bigram.table", table.data(), table.size() * 4));
  ASSERT_OK(writer->finish());
  ToolResult result =
      run({artifact(), "--entry=evaluate", "--weights=" + in("w.safetensors"),
           "--input=ids=3", "--input=labels=5", "--json",
           "--output=" + in("out.safetensors"), "--repeat=3"});
  ASSERT_EQ(result.code, 0) << result.err;
  auto view = parseJson(result.out, "out");
  ASSERT_OK(view);
  auto outputs = view->at("outputs");
  ASSERT_OK(outputs);
  EXPECT_EQ(*outputs->number("count"), 32);
  EXPECT_NEAR(*outputs->number("loss_sum"), 32 * std::log(256.0), 1e-4);
  EXPECT_EQ(view->at("seconds")->size(), 3u);
  // After the first run nothing is allocated any more.
  auto memory = view->at("memory");
  ASSERT_OK(memory);
  EXPECT_EQ(*memory->integer("allocations"), 0);
  EXPECT_GT(*memory->integer("anonymous_resident_bytes"), 0);
  auto saved = SafetensorsFile::open(in("out.safetensors"));
  ASSERT_OK(saved);
  EXPECT_EQ(saved->tensors().size(), 2u);
}

TEST_F(RunTest, InputsComeFromFilesOfAnyIntegerType) {
  std::vector<int64_t> ids(32);
  for (int i = 0; i < 32; ++i)
    ids[i] = i;
  auto writer = SafetensorsWriter::create(
      in("in.safetensors"),
      {{"ids", StoredType::I64, {4, 8}}, {"other", StoredType::I64, {4, 8}}});
  ASSERT_OK(writer);
  ASSERT_OK(writer->write("ids", ids.data(), 256));
  ASSERT_OK(writer->write("other", ids.data(), 256));
  ASSERT_OK(writer->finish());
  std::string model = artifact(), file = in("in.safetensors");
  std::vector<std::vector<std::string>> ways = {
      {"--inputs=" + file},
      {"--input=ids=" + file},
      {"--input=ids=" + file + ":other"}};
  for (size_t i = 0; i < ways.size(); ++i) {
    std::vector<std::string> arguments = {
        model, "--entry=forward",
        "--output=" + in("out" + std::to_string(i) + ".safetensors")};
    arguments.insert(arguments.end(), ways[i].begin(), ways[i].end());
    ToolResult result = run(arguments);
    ASSERT_EQ(result.code, 0) << result.err;
    EXPECT_EQ(result.out, "logits f32[4, 8, 256]\n");
  }
  EXPECT_EQ(slurp(in("out0.safetensors")), slurp(in("out1.safetensors")));
  EXPECT_EQ(slurp(in("out0.safetensors")), slurp(in("out2.safetensors")));
}

TEST_F(RunTest, StateGoesOutAndComesBack) {
  std::string model = artifact();
  std::vector<std::string> train = {model,
                                    "--entry=train",
                                    "--input=ids=1",
                                    "--input=labels=2",
                                    "--input=group0.learning_rate=1",
                                    "--input=max_norm=0"};
  auto loss = [&](std::vector<std::string> more) {
    std::vector<std::string> arguments = train;
    arguments.insert(arguments.end(), more.begin(), more.end());
    ToolResult result = run(arguments);
    EXPECT_EQ(result.code, 0) << result.err;
    return split(result.out, '\n')[0];
  };
  std::string second = loss({"--repeat=2"});
  std::string first = loss({"--save-state=" + in("state")});
  EXPECT_NE(first, second);
  EXPECT_EQ(loss({"--state=" + in("state")}), second);
}

TEST_F(RunTest, TrainsAJob) {
  ToolResult result =
      run({artifact(), "--train=" + job, "--set=sample.tokens=5",
           "--set=sample.prompt=the ", "--set=save.export=hf", "--memory",
           "--trace=" + in("trace.json")});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_NE(result.out.find("trained 10 steps in"), std::string::npos);
  EXPECT_NE(result.out.find("the model is in " + in("hf")), std::string::npos);
  EXPECT_NE(result.out.find("sample at temperature 1:\nthe "),
            std::string::npos);
  EXPECT_NE(result.out.find("allocations after each entry's first run: 0 ours"),
            std::string::npos)
      << result.out;
  EXPECT_NE(result.err.find("step 10/10  loss"), std::string::npos);
  EXPECT_EQ(result.err.find('\r'), std::string::npos);
  EXPECT_TRUE(fileExists(in("hf/model.safetensors")));
  EXPECT_TRUE(fileExists(in("trace.json")));
  EXPECT_EQ(split(slurp(in("logs/metrics.jsonl")), '\n').size(), 11u);
}

TEST_F(RunTest, ACheckedStepTouchesWhatIsPlanned) {
  BigramOptions options;
  options.ranks = 2;
  ToolResult result =
      run({artifact(options), "--entry=train", "--checked", "--memory",
           "--input=ids=1", "--input=labels=255",
           "--input=group0.learning_rate=1", "--input=max_norm=0"});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_NE(result.out.find("planned end 262,400, touched end 262,400"),
            std::string::npos)
      << result.out;
}

TEST_F(RunTest, TrainingAsJson) {
  ToolResult result =
      run({artifact(), "--train=" + job, "--json", "--progress=none",
           "--workers=2", "--metrics=" + in("m.jsonl")});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.err, "");
  auto view = parseJson(result.out, "out");
  ASSERT_OK(view);
  EXPECT_EQ(*view->integer("steps"), 10);
  EXPECT_GT(*view->number("validation_loss"), 0);
  auto memory = view->at("memory");
  ASSERT_OK(memory);
  EXPECT_EQ(*memory->integer("allocations"), 0);
  // The plan and at most 64 MiB (what the runtime promises).
  EXPECT_GT(*memory->integer("anonymous_resident_bytes"), 256 * 256 * 4);
  EXPECT_LT(*memory->integer("anonymous_resident_bytes"),
            *memory->integer("plan_bytes") + (64 << 20));
  EXPECT_TRUE(fileExists(in("m.jsonl")));
}

TEST_F(RunTest, ServesSteps) {
  ToolResult result =
      run({artifact(), "--train=" + job, "--serve-steps", "--warmup=2"},
          "step\nloss\nstep\nquit\nstep\n");
  ASSERT_EQ(result.code, 0) << result.err;
  std::vector<std::string> lines = split(result.out, '\n');
  ASSERT_EQ(lines.size(), 5u) << result.out; // the last part is empty
  EXPECT_EQ(lines[0].substr(0, 6), "ready ");
  EXPECT_OK(parseJson(lines[0].substr(6), "ready"));
  EXPECT_TRUE(parseNumber(lines[1]));
  EXPECT_GT(*parseNumber(lines[2]), 1);
  EXPECT_TRUE(parseNumber(lines[3]));
}

TEST_F(RunTest, ASignalStopsAfterTheStepAndResumeGoesOn) {
  std::string model = artifact();
  std::vector<std::string> arguments = {
      model, "--train=" + job, "--set=steps=2000000000",
      "--set=save.folder=saves", "--set=evaluate.every=0"};
  for (int signal : {SIGINT, SIGTERM}) {
    ::unlink(in("logs/metrics.jsonl").c_str());
    RunningTool tool(toolPath("weir-run"), arguments);
    for (int i = 0; i < 10000; ++i) {
      if (slurp(in("logs/metrics.jsonl")).size() > 200)
        break;
      ::usleep(1000);
    }
    ::kill(tool.process(), signal);
    ToolResult result = tool.wait();
    EXPECT_EQ(result.code, 10) << result.err;
    EXPECT_NE(result.err.find("weir-run: stopped after step"),
              std::string::npos)
        << result.err;
  }
  auto saves = listDirectory(in("saves"));
  ASSERT_OK(saves);
  ASSERT_FALSE(saves->empty());
  int64_t done = *parseInteger(split(saves->back(), '-')[1]);
  arguments.push_back("--resume");
  arguments[2] = "--set=steps=" + std::to_string(done + 3);
  ToolResult result = run(arguments);
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_NE(result.err.find("going on after step " + std::to_string(done)),
            std::string::npos)
      << result.err;
}

} // namespace
