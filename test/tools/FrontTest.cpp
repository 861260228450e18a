// SPDX-License-Identifier: Apache-2.0
#include "runtime/base/Strings.h"
#include "runtime/io/File.h"
#include "test/tools/ToolRunner.h"

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <unistd.h>

using namespace weir;
using namespace weir::test;

namespace fs = std::filesystem;

namespace {

/// A folder of tools as an installation has one, with the bigram compiler in
/// the place of weir-compile.
class FrontTest : public ToolTest {
protected:
  void SetUp() override {
    ToolTest::SetUp();
    fs::create_directory(in("bin"));
    for (const char *name : {"weir", "weir-run", "weir-inspect"})
      fs::copy_file(toolPath(name), in("bin/") + name);
    fs::copy_file(BIGRAM_COMPILE, in("bin/weir-compile"));
  }
  ToolResult weir(const std::vector<std::string> &arguments,
                  Environment environment = {}) {
    environment.push_back({"WEIR_CACHE", in("cache")});
    environment.push_back({"BIGRAM_LOG", in("log")});
    return runTool(in("bin/weir"), arguments, environment);
  }
  int64_t compilations() const {
    std::string log = slurp(in("log"));
    return std::count(log.begin(), log.end(), '\n');
  }
};

TEST_F(FrontTest, TrainsAndCompilesOnce) {
  ToolResult result = weir({"train", job});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_NE(result.out.find("trained 10 steps"), std::string::npos);
  EXPECT_NE(result.err.find("compiling " + job), std::string::npos);
  EXPECT_EQ(compilations(), 1);

  result = weir({"train", job, "--set", "optimizer.lr=3e-5", "--set", "steps=4",
                 "--set=seed=8", "--set=clip=1"});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_NE(result.out.find("trained 4 steps"), std::string::npos);
  EXPECT_EQ(compilations(), 1);
  EXPECT_EQ(result.err.find("compiling"), std::string::npos);

  result = weir({"train", job, "--set=batch=2"});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(compilations(), 2);
  EXPECT_EQ(weir({"train", job, "--set=batch=2", "--recompile"}).code, 0);
  EXPECT_EQ(compilations(), 3);
}

TEST_F(FrontTest, ADamagedCacheIsMadeAnew) {
  ToolResult result = weir({"train", job, "--compile-only"});
  ASSERT_EQ(result.code, 0) << result.err;
  std::string path(trim(result.out));
  ASSERT_TRUE(fileExists(path)) << path;
  ASSERT_EQ(::truncate(path.c_str(), 1000), 0);
  EXPECT_EQ(weir({"train", job}).code, 0);
  EXPECT_EQ(compilations(), 2);
}

TEST_F(FrontTest, TheCompilersEndIsTheFronts) {
  ToolResult result = weir({"train", job}, {{"BIGRAM_EXIT", "4"}});
  EXPECT_EQ(result.code, 4);
  EXPECT_EQ(result.err, "compiling " + job + "\n"); // it speaks for itself
  result = weir({"train", job}, {{"BIGRAM_SIGNAL", std::to_string(SIGTERM)}});
  EXPECT_EQ(result.code, -SIGTERM);
  // Neither left anything that counts as compiled.
  EXPECT_EQ(weir({"train", job}).code, 0);
  EXPECT_EQ(compilations(), 3);
  auto names = listDirectory(in("cache"));
  ASSERT_OK(names);
  EXPECT_EQ(names->size(), 2u) << join(*names, " "); // artifact, description
}

TEST_F(FrontTest, TheRunsEndIsTheFronts) {
  ToolResult result = weir(
      {"train", job, "--set=optimizer.lr=1e39", "--set=nonfinite.limit=2"});
  EXPECT_EQ(result.code, 11);
  EXPECT_NE(result.err.find("diverged"), std::string::npos) << result.err;
}

TEST_F(FrontTest, WithoutACompilerItSaysWhatIsLeft) {
  fs::remove(in("bin/weir-compile"));
  ToolResult result = weir({"train", job});
  EXPECT_EQ(result.code, 7);
  EXPECT_NE(result.err.find("run side only"), std::string::npos) << result.err;
}

TEST_F(FrontTest, DispatchesToTheToolsBesideIt) {
  std::string model = artifact();
  EXPECT_EQ(weir({"inspect", "--verify", model}).code, 0);
  EXPECT_EQ(weir({"run", model, "--entry=forward", "--input=ids=0"}).out,
            "logits f32[4, 8, 256]  (--output=FILE saves it)\n");
  EXPECT_EQ(weir({"run", model}).code, 2);
  EXPECT_EQ(weir({"help", "inspect"}).out, weir({"inspect", "--help"}).out);
  EXPECT_NE(weir({"help", "train"}).out.find("usage: weir train"),
            std::string::npos);
  ToolResult help = weir({"--help"});
  EXPECT_EQ(help.code, 0);
  for (const char *name : {"train", "compile", "run", "inspect"})
    EXPECT_NE(help.out.find(std::string("\n  ") + name), std::string::npos);
  EXPECT_EQ(help.out.find("\n  opt"), std::string::npos) << "not installed";
  EXPECT_EQ(weir({"--version"}).out.substr(0, 5), "weir ");
}

TEST_F(FrontTest, EachFlagsHelpExists) {
  for (const char *name : {"weir-run", "weir-inspect"}) {
    ToolResult result = runTool(toolPath(name), {"--help"});
    EXPECT_EQ(result.code, 0);
    EXPECT_NE(result.out.find(std::string("usage: ") + name),
              std::string::npos);
  }
}

} // namespace
