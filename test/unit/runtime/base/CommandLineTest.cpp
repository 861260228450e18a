// SPDX-License-Identifier: Apache-2.0
#include "runtime/base/CommandLine.h"
#include "test/unit/runtime/TestSupport.h"

namespace weir {
namespace {

/// A tool with one flag of each kind.
struct Tool {
  CommandLine line{"weir-x", "[flags] MODEL [FILE...]", "Does a thing."};
  bool verbose = false, color = true;
  std::string output = "a.weir", mode = "text", model;
  std::optional<std::string> trace;
  int64_t steps = 5;
  double lr = 0.5;
  std::vector<std::string> sets, files;

  Tool() {
    line.flag("verbose", &verbose, "say more");
    line.flag("color", &color, "use colours");
    line.flag("output", &output, "FILE", "where the result goes");
    line.alias('o', "output");
    line.flag("trace", &trace, "FILE", "write a trace");
    line.section("training");
    line.flag("steps", &steps, "N", "how many steps");
    line.flag("lr", &lr, "RATE", "learning rate");
    line.flag("set", &sets, "KEY=VALUE", "override a key of the job");
    line.choice("format", &mode, {"text", "json"}, "how to print");
    line.positional("MODEL", &model, "the model to use");
    line.positional("FILE", &files, "more files", false);
  }
};

TEST(CommandLine, ReadsEveryForm) {
  Tool tool;
  ASSERT_OK(
      tool.line.parse({"m", "--verbose", "--no-color", "--steps", "-3",
                       "--lr=1e-3", "--set", "a=b", "--set=c.d=e=f", "-o", "x",
                       "--format=json", "--trace=", "f1", "--", "--f2", "-"}));
  EXPECT_TRUE(tool.verbose);
  EXPECT_FALSE(tool.color);
  EXPECT_EQ(tool.steps, -3);
  EXPECT_EQ(tool.lr, 1e-3);
  EXPECT_EQ(tool.sets, (std::vector<std::string>{"a=b", "c.d=e=f"}));
  EXPECT_EQ(tool.output, "x");
  EXPECT_EQ(tool.mode, "json");
  EXPECT_EQ(tool.trace, "");
  EXPECT_EQ(tool.model, "m");
  EXPECT_EQ(tool.files, (std::vector<std::string>{"f1", "--f2", "-"}));
  EXPECT_TRUE(tool.line.given("steps"));
}

TEST(CommandLine, AbsentFlagsKeepTheirValues) {
  Tool tool;
  ASSERT_OK(tool.line.parse({"m"}));
  EXPECT_EQ(tool.steps, 5);
  EXPECT_EQ(tool.output, "a.weir");
  EXPECT_FALSE(tool.trace);
  EXPECT_FALSE(tool.line.given("steps"));
}

struct BadLine {
  std::vector<std::string> arguments;
  const char *message;
};

TEST(CommandLine, ErrorsNameTheFlag) {
  const BadLine cases[] = {
      {{"m", "--step=3"}, "unknown flag '--step'; did you mean '--steps'?"},
      {{"m", "--ouptut", "x"}, "did you mean '--output'?"},
      {{"m", "--zebra"}, "unknown flag '--zebra' (see weir-x --help)"},
      {{"m", "-q"}, "unknown flag '-q'"},
      {{"m", "--steps"}, "--steps: needs a value, --steps=N"},
      {{"m", "--steps", "--verbose"}, "--steps: needs a value"},
      {{"m", "--output", "--"}, "--output: needs a value"},
      {{"m", "--steps=many"}, "--steps: expects an integer, got 'many'"},
      {{"m", "--steps=99999999999999999999"}, "--steps: expects an integer"},
      {{"m", "--lr=fast"}, "--lr: expects a number, got 'fast'"},
      {{"m", "--verbose=1"}, "--verbose: expects true or false, got '1'"},
      {{"m", "--no-color=true"}, "--no-color: takes no value"},
      {{"m", "--no-steps"}, "unknown flag '--no-steps'"},
      {{"m", "--format=jsno"}, "expects one of text, json, got 'jsno'"},
      {{"m", "--steps=1", "--steps=2"}, "--steps: given more than once"},
      {{}, "needs MODEL, the model to use"},
  };
  for (const BadLine &bad : cases) {
    Tool tool;
    EXPECT_FAILS(tool.line.parse(bad.arguments), StatusCode::CommandLine,
                 bad.message);
  }
  CommandLine bare("weir-y", "", "Nothing.");
  EXPECT_FAILS(bare.parse(std::vector<std::string>{"x"}),
               StatusCode::CommandLine, "unexpected argument 'x'");
}

TEST(CommandLine, HelpNeedsNothingElse) {
  Tool tool;
  ASSERT_OK(tool.line.parse({"--nonsense", "--help"}));
  EXPECT_TRUE(tool.line.helpRequested());
  std::string help = tool.line.helpText();
  EXPECT_NE(help.find("usage: weir-x [flags] MODEL [FILE...]\n"),
            std::string::npos);
  EXPECT_NE(help.find("  -o, --output=FILE       where the result goes\n"),
            std::string::npos)
      << help;
  EXPECT_NE(help.find("\ntraining:\n"), std::string::npos);
  EXPECT_NE(help.find("(may be repeated)"), std::string::npos);
}

} // namespace
} // namespace weir
