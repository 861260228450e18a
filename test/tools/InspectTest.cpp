// SPDX-License-Identifier: Apache-2.0
#include "runtime/base/Json.h"
#include "test/tools/ToolRunner.h"

using namespace weir;
using namespace weir::test;

namespace {

class InspectTest : public ToolTest {
protected:
  ToolResult inspect(const std::vector<std::string> &arguments) {
    return runTool(toolPath("weir-inspect"), arguments);
  }
};

TEST_F(InspectTest, TextNamesEverything) {
  BigramOptions options;
  options.ranks = 2;
  ToolResult result = inspect({artifact(options)});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.err, "");
  for (const char *part :
       {"made by weir tests", "mesh dp=2, 2 ranks", "kernels/cpu-0.so",
        "entry train",
        "inputs   ids i32[4, 8], labels i32[4, 8], "
        "group0.learning_rate f32, max_norm f32",
        "outputs  loss f32, count f32, gradient_norm f32, applied f32",
        "entry forward", "1 kernel (1 distinct)", "parameters", "262,144",
        "table  f32[256, 256]  [B]  stored as bigram.table [256, 256]",
        "model/config.json"})
    EXPECT_NE(result.out.find(part), std::string::npos) << part << "\n"
                                                        << result.out;
}

TEST_F(InspectTest, JsonIsComplete) {
  ToolResult result = inspect({"--json", artifact()});
  ASSERT_EQ(result.code, 0) << result.err;
  auto view = parseJson(result.out, "inspect");
  ASSERT_OK(view);
  EXPECT_EQ(*view->integer("ranks"), 1);
  auto entries = view->at("entries");
  ASSERT_OK(entries);
  ASSERT_EQ(entries->size(), 3u);
  EXPECT_EQ(*(*entries)[0].string("name"), "train");
  EXPECT_EQ(*(*entries)[0].at("actions")->integer("kernel"), 1);
  EXPECT_EQ((*entries)[0].at("inputs")->size(), 4u);
  auto segments = view->at("segments");
  ASSERT_OK(segments);
  EXPECT_EQ(*(*segments)[0].integer("bytes"), 262144);
  EXPECT_EQ(*(*segments)[0].integer("high_water"), 262144);
  auto variables = view->at("variables");
  ASSERT_OK(variables);
  EXPECT_EQ(*(*variables)[0].string("stored_name"), "bigram.table");
}

TEST_F(InspectTest, ActionsOfOneEntry) {
  ToolResult result = inspect({"--actions", "--entry=evaluate", artifact()});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_NE(result.out.find("stream compute\n    0       kernel     "
                            "'bigram_evaluate'  bigram_evaluate"),
            std::string::npos)
      << result.out;
  EXPECT_EQ(result.out.find("entry train"), std::string::npos);
}

TEST_F(InspectTest, PlanIsTheFilesOwn) {
  ToolResult result = inspect({"--plan", artifact()});
  ASSERT_EQ(result.code, 0) << result.err;
  auto view = parseJson(result.out, "plan");
  ASSERT_OK(view);
  EXPECT_OK(view->at("segments"));
}

TEST_F(InspectTest, VerifySaysOk) {
  ToolResult result = inspect({"--verify", artifact()});
  EXPECT_EQ(result.code, 0);
  EXPECT_NE(result.out.find("ok, 4 members, 3 entries"), std::string::npos)
      << result.out;
}

TEST_F(InspectTest, LooksAtCodeForAnotherProcessorWithoutLoadingIt) {
  BigramOptions options;
  options.feature = "no-such-feature";
  ToolResult result = inspect({artifact(options)});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_NE(result.out.find("needs no-such-feature"), std::string::npos);
}

} // namespace
