// SPDX-License-Identifier: Apache-2.0
#include "compiler/Driver/Driver.h"
#include "runtime/io/File.h"
#include "runtime/plan/Artifact.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <sys/wait.h>
#include <unistd.h>

namespace weir::compiler {
namespace {

class DriverTest : public testing::Test {
protected:
  DriverTest() {
    folder = testing::TempDir() + "weir-driver-" + std::to_string(getpid()) +
             "-" +
             testing::UnitTest::GetInstance()->current_test_info()->name();
    EXPECT_TRUE(makeDirectories(folder).ok());
  }
  ~DriverTest() override {
    int rc = std::system(("rm -rf '" + folder + "'").c_str());
    EXPECT_EQ(rc, 0);
  }

  std::string write(const std::string &name, const std::string &text) {
    std::string path = folder + "/" + name;
    EXPECT_TRUE(writeFile(path, text).ok());
    return path;
  }

  /// Exit code and all output of weir-compile.
  std::pair<int, std::string> run(const std::string &arguments) {
    std::string log = folder + "/log";
    int rc = std::system(("cd '" + folder + "' && '" WEIR_COMPILE "' " +
                          arguments + " > log 2>&1")
                             .c_str());
    StatusOr<std::string> text = readFile(log);
    return {WIFEXITED(rc) ? WEXITSTATUS(rc) : -1, text.ok() ? *text : ""};
  }

  CompileOptions options() {
    CompileOptions result;
    result.job.model.kind = ModelKind::Mlir;
    result.job.model.mlir = WEIR_MODEL;
    result.job.batch = 6;
    result.job.sequence = 1;
    result.job.threads = 1;
    result.output = folder + "/model.weir";
    return result;
  }

  std::string folder;
};

TEST_F(DriverTest, PhaseNamesAreStable) {
  std::string all;
  for (const char *name : phaseNames()) {
    all += std::string(name) + " ";
    ASSERT_TRUE(parsePhase(name));
    EXPECT_EQ(phaseName(*parsePhase(name)), name);
  }
  EXPECT_EQ(all, "import graph plan shard stage kernels actors memory codegen "
                 "artifact ");
  EXPECT_FALSE(parsePhase("link"));
}

TEST_F(DriverTest, AnArtifactHoldsPlanKernelsAndSignatures) {
  CompileOptions o = options();
  o.job.name = "small";
  std::vector<std::string> messages;
  std::array<double, numPhases> seconds = {};
  Status status = compile(
      o, [&](const std::string &m) { messages.push_back(m); }, &seconds);
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_TRUE(messages.empty()) << messages.front();
  EXPECT_GT(seconds[static_cast<int>(Phase::Codegen)], 0);

  StatusOr<plan::ArtifactReader> reader = plan::ArtifactReader::open(o.output);
  ASSERT_TRUE(reader.ok()) << reader.status().message();
  StatusOr<plan::Plan> plan = reader->readPlan();
  ASSERT_TRUE(plan.ok()) << plan.status().message();
  ASSERT_EQ(plan->entries.size(), 1u);
  EXPECT_EQ(plan->entries[0].name, "train");
  EXPECT_EQ(plan->teamSize, 1);
  ASSERT_EQ(plan->variables.size(), 3u);
  EXPECT_EQ(plan->variables[0].name, "fc.weight");
  EXPECT_EQ(plan->variables[0].storedName, "fc.weight");
  EXPECT_EQ(plan->variables[0].init.kind, plan::Initializer::Kind::Normal);
  EXPECT_EQ(plan->variables[1].kind, plan::Variable::Kind::OptimizerState);
  EXPECT_EQ(reader->manifest().properties.at("name"), "small");
  EXPECT_EQ(reader->manifest().kernels.size(), 1u);
  auto kernels = reader->selectKernels();
  ASSERT_TRUE(kernels.ok()) << kernels.status().message();
  ASSERT_TRUE(*kernels);
  EXPECT_EQ((*kernels)->substr(1, 3), "ELF");
  // Every kernel of the plan is a symbol of the object.
  for (const plan::Action &action : plan->entries[0].actions)
    if (action.kind == plan::Action::Kind::Kernel)
      EXPECT_NE((*kernels)->find(action.symbol), std::string_view::npos);
}

TEST_F(DriverTest, OptionsChooseOptimizerAndGradients) {
  CompileOptions o = options();
  o.job.optimizer.kind = OptimizerKind::Sgd;
  o.emitGradients = true;
  ASSERT_TRUE(compile(o, [](const std::string &) {}).ok());
  auto reader = plan::ArtifactReader::open(o.output);
  ASSERT_TRUE(reader.ok());
  auto plan = reader->readPlan();
  ASSERT_TRUE(plan.ok());
  bool hasMomentum = false, hasGradient = false;
  for (const plan::Binding &input : plan->entries[0].inputs)
    hasMomentum |= input.name == "momentum";
  for (const plan::Binding &output : plan->entries[0].outputs)
    hasGradient |= output.name == "gradient/fc.weight";
  EXPECT_TRUE(hasMomentum);
  EXPECT_TRUE(hasGradient);
}

TEST_F(DriverTest, DiagnosticsNameTheUsersNode) {
  std::string model = write("bad.mlir", R"(
graph.variable @w : tensor<8x4xf32> kind parameter init <constant, 0.0>
graph.entry @loss(%x: tensor<6x8xf32> {graph.input = "x"}, %w: tensor<8x4xf32> {graph.variable = @w})
    -> (tensor<f32> {graph.output = "loss_sum"}, tensor<f32> {graph.output = "count"}) {
  %y = graph.matmul %x, %w batch [] x [] contract [1] x [1]
      : (tensor<6x8xf32>, tensor<8x4xf32>) -> tensor<6x8xf32> loc("decoder.proj")
  %s = graph.reduce sum %y [0, 1] : (tensor<6x8xf32>) -> tensor<f32>
  graph.return %s, %s : tensor<f32>, tensor<f32>
}
)");
  auto [code, text] = run("bad.mlir --batch=6");
  EXPECT_EQ(code, 1) << text;
  EXPECT_NE(text.find("decoder.proj: 'graph.matmul'"), std::string::npos)
      << text;
  // The same from a phase: an entry of a model that cannot be trained.
  write("loss.mlir", R"(
graph.entry @loss(%x: tensor<6x8xf32> {graph.input = "x"}) -> (tensor<f32> {graph.output = "loss_sum"}) {
  %s = graph.reduce sum %x [0, 1] : (tensor<6x8xf32>) -> tensor<f32>
  graph.return %s : tensor<f32>
} loc("my.loss")
)");
  std::tie(code, text) = run("loss.mlir --batch=6");
  EXPECT_EQ(code, 1) << text;
  EXPECT_NE(text.find("error: my.loss: "), std::string::npos) << text;
  EXPECT_NE(text.find("1 error in phase 'graph'"), std::string::npos) << text;
}

TEST_F(DriverTest, InternalErrorsLeaveAReproducer) {
  // A second plan: what the artifact phase cannot write, and no user can make.
  StatusOr<std::string> model = readFile(WEIR_MODEL);
  ASSERT_TRUE(model.ok());
  write("two.mlir", *model + "\nactor.plan role 0 team 1 {}\n");
  auto [code, text] = run("two.mlir --batch=6 --threads=1 -o out.weir");
  EXPECT_EQ(code, 70) << text;
  EXPECT_NE(text.find("expects one actor.plan to write, got 2"),
            std::string::npos)
      << text;
  std::string reproducer = folder + "/weir-reproducer-artifact.mlir";
  EXPECT_NE(text.find("weir-reproducer-artifact.mlir"), std::string::npos)
      << text;
  ASSERT_TRUE(fileExists(reproducer));
  EXPECT_FALSE(fileExists(folder + "/out.weir"));
  // It does reproduce; a run from text has no fault of ours to report.
  std::tie(code, text) =
      run("--start-at=artifact weir-reproducer-artifact.mlir -o out.weir");
  EXPECT_EQ(code, 1) << text;
  EXPECT_NE(text.find("expects one actor.plan to write, got 2"),
            std::string::npos)
      << text;
}

struct Refused {
  const char *arguments;
  int code;
  const char *message;
};

TEST_F(DriverTest, CommandLinesAndFiles) {
  write("model.mlir", readFile(WEIR_MODEL).ok() ? *readFile(WEIR_MODEL) : "");
  write("text.mlir", "graph.entry @f(");
  write(
      "job.json",
      R"({"model": {"mlir": "model.mlir"}, "batch": 6, "sequence": 1, "steps": 1})");
  write("broken.json", R"({"model": )");
  ASSERT_TRUE(makeDirectories(folder + "/empty").ok());
  const Refused table[] = {
      {"", 2, "MODEL|JOB"},
      {"--nonsense model.mlir", 2, "--nonsense"},
      {"model.mlir --stop-after=link", 2, "stop-after"},
      {"model.mlir --start-at=memory --stop-after=plan -o -", 2,
       "cannot stop after phase 'plan'"},
      {"model.mlir --mesh=dp", 2, "mesh"},
      {"model.mlir --mesh=dp=0", 2, "mesh"},
      {"model.mlir --strategy=dp", 2, "--strategy"},
      {"model.mlir --mesh=dp=2 --strategy=dp:diagonal", 2, "diagonal"},
      {"model.mlir --mesh=ring=2", 2, "ring"},
      {"model.mlir --layout=nonsense", 2, "--layout"},
      {"model.mlir --mesh=dp=2 --layout='*:tp:B'", 2, "no axis 'tp'"},
      {"model.mlir --micro-batches=-1", 2, "micro_batches"},
      {"model.mlir --batch=0", 2, "batch"},
      {"model.mlir --optimizer=lion", 2, "optimizer"},
      {"model.mlir --threads=-2", 2, "threads"},
      {"model.mlir --forward-batch=-1", 2, "--forward-batch"},
      {"model.mlir --cpu=z80", 2, "cpu"},
      {"model.mlir --set nokey", 2, "nokey"},
      {"model.mlir --set speed=3", 2, "speed"},
      {"model.mlir -o -", 2, "--output"},
      {"missing.mlir", 3, "missing.mlir"},
      {"missing.json", 3, "missing.json"},
      {"broken.json", 3, "broken.json"},
      {"empty", 3, "config.json"},
      {"text.mlir --batch=6", 3, "text.mlir:1:"},
      {"--start-at=plan text.mlir", 3, "is not a module that phase 'plan'"},
      {"--start-at=plan missing.mlir", 3, "missing.mlir"},
      {"--start-at=artifact model.mlir -o x.weir", 1, "actor.plan"},
      {"model.mlir --batch=6 -o nowhere/x.weir", 6, "nowhere/x.weir"},
      {"model.mlir --batch=6 --report=nowhere/r.json -o x.weir", 6,
       "nowhere/r.json"},
      {"model.mlir --batch=6 --dump-dir=model.mlir/d -o x.weir", 6,
       "model.mlir/d"},
      {"model.mlir --batch=6 --stop-after=plan -o nowhere/x.mlir", 6,
       "nowhere/x.mlir"},
  };
  for (const Refused &item : table) {
    auto [code, text] = run(item.arguments);
    EXPECT_EQ(code, item.code) << item.arguments << "\n" << text;
    EXPECT_NE(text.find(item.message), std::string::npos)
        << item.arguments << "\n"
        << text;
    EXPECT_NE(text.find("weir-compile: "), std::string::npos)
        << item.arguments << "\n"
        << text;
  }
  auto [code, text] = run("job.json --threads=1 -o x.weir");
  EXPECT_EQ(code, 0) << text;
  EXPECT_EQ(text, "");
  std::tie(code, text) = run("--help");
  EXPECT_EQ(code, 0);
  EXPECT_NE(text.find("--stop-after"), std::string::npos);
}

} // namespace
} // namespace weir::compiler
