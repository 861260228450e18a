// SPDX-License-Identifier: Apache-2.0
// `weir-build-train-entry`, run in the interpreter: gradients against finite
// differences of the loss entry, clipping and updates against their formulas.
#include "compiler/Autodiff/Passes.h"
#include "mlir/IR/Verifier.h"
#include "test/unit/autodiff/OpCases.h"

#include <gtest/gtest.h>

using namespace mlir;

namespace weir::compiler::test {
namespace {

constexpr const char *model = R"(
graph.variable @w : tensor<3x2x2xf32> kind parameter init <normal, 0.0, 0.5> stored <"w", [3, 4]>
graph.variable @b : tensor<2x2xf32> kind parameter init <normal, 0.0, 0.5> stored <"b", [4]>
graph.entry @loss(%x: tensor<5x3xf32> {graph.input = "x"},
                  %labels: tensor<5xi32> {graph.input = "labels"},
                  %w: tensor<3x2x2xf32> {graph.variable = @w},
                  %b: tensor<2x2xf32> {graph.variable = @b})
    -> (tensor<f32> {graph.output = "loss_sum"}, tensor<f32> {graph.output = "count"}) {
  %0 = graph.matmul %x, %w batch [] x [] contract [1] x [0]
      : (tensor<5x3xf32>, tensor<3x2x2xf32>) -> tensor<5x2x2xf32>
  %1 = graph.broadcast %b [1, 2] : (tensor<2x2xf32>) -> tensor<5x2x2xf32>
  %2 = graph.add %0, %1 : tensor<5x2x2xf32>
  %3 = graph.reshape %2 : (tensor<5x2x2xf32>) -> tensor<5x4xf32>
  %4, %5 = graph.cross_entropy %3, %labels ignore -100
      : (tensor<5x4xf32>, tensor<5xi32>) -> (tensor<5xf32>, tensor<5xf32>)
  %6 = graph.reduce sum %4 [0] : (tensor<5xf32>) -> tensor<f32>
  %7 = graph.constant dense<-100> : tensor<5xi32>
  %8 = graph.compare ne %labels, %7 : tensor<5xi32> -> tensor<5xi1>
  %9 = graph.cast %8 : tensor<5xi1> -> tensor<5xf32>
  %10 = graph.reduce sum %9 [0] : (tensor<5xf32>) -> tensor<f32>
  graph.return %6, %10 : tensor<f32>, tensor<f32>
}
)";

using Tensors = std::map<std::string, Tensor>;

/// The hyperparameters of one step.
struct Settings {
  double rate[2] = {0.1, 0.2}, decay[2] = {0.3, 0.0};
  double beta1 = 0.9, beta2 = 0.95, epsilon = 1e-3;
  double momentum = 0.8, maxNorm = 0;
};

class TrainEntryTest : public testing::Test {
protected:
  OwningOpRef<ModuleOp> buildTrain(BuildTrainEntryPassOptions options,
                                   const std::string &text = model) {
    OwningOpRef<ModuleOp> module = context.parse(text);
    PassManager manager(context.get());
    manager.addPass(createBuildTrainEntryPass(std::move(options)));
    ScopedDiagnosticHandler handler(context.get(), [&](Diagnostic &diagnostic) {
      messages += diagnostic.str() + "\n";
      return success();
    });
    if (failed(manager.run(*module)))
      return nullptr;
    return module;
  }

  static Tensors batch() {
    return {{"x", Tensor::fromFloats({5, 3},
                                     {0.3, -1.2, 0.8, 1.5, 0.1, -0.4, -0.9, 0.6,
                                      1.1, 0.2, -0.7, 0.5, 1.9, -1.4, 0.05})},
            {"labels",
             Tensor::fromInts(ElementKind::I32, {5}, {3, -100, 0, 1, 1})}};
  }

  static Tensors scalars(const Settings &settings, int step, bool adamw) {
    Tensors tensors;
    auto set = [&](const std::string &name, double value) {
      tensors[name] = Tensor::scalar(value);
    };
    for (int group = 0; group < 2; ++group) {
      std::string prefix = "group" + std::to_string(group) + ".";
      set(prefix + "learning_rate", settings.rate[group]);
      set(prefix + "weight_decay", settings.decay[group]);
    }
    set("max_norm", settings.maxNorm);
    if (!adamw) {
      set("momentum", settings.momentum);
      return tensors;
    }
    set("beta1", settings.beta1);
    set("beta2", settings.beta2);
    set("epsilon", settings.epsilon);
    set("correction1", 1 - std::pow(settings.beta1, step));
    set("correction2", 1 - std::pow(settings.beta2, step));
    return tensors;
  }

  /// The gradient of `loss_sum` by central differences of the entry `loss`.
  std::vector<double> finiteDifference(const State &state,
                                       const std::string &name) {
    OwningOpRef<ModuleOp> module = context.parse(model);
    Interpreter interpreter(*module);
    std::vector<double> gradient;
    for (size_t i = 0; i < state.variables.at(name).floats.size(); ++i) {
      double losses[2];
      for (int side = 0; side < 2; ++side) {
        State moved = state;
        moved.variables[name].floats[i] += side ? 1e-5 : -1e-5;
        auto outputs = interpreter.runEntry("loss", moved, batch());
        EXPECT_TRUE(succeeded(outputs));
        losses[side] = outputs->at("loss_sum").floats[0];
      }
      gradient.push_back((losses[1] - losses[0]) / 2e-5);
    }
    return gradient;
  }

  void checkSteps(bool adamw, double maxNorm, bool clips);

  OpTestContext context;
  std::string messages;
};

BuildTrainEntryPassOptions optionsFor(StringRef optimizer) {
  BuildTrainEntryPassOptions options;
  options.optimizer = optimizer.str();
  options.emitGradients = true;
  return options;
}

void TrainEntryTest::checkSteps(bool adamw, double maxNorm, bool clips) {
  OwningOpRef<ModuleOp> module =
      buildTrain(optionsFor(adamw ? "adamw" : "sgd"));
  ASSERT_TRUE(module) << messages;
  ASSERT_TRUE(succeeded(verify(*module)));
  State state = State::initialize(*module, 7);
  ASSERT_EQ(state.variables.size(), adamw ? 6u : 4u);
  Interpreter interpreter(*module);
  Settings settings;
  settings.maxNorm = maxNorm;

  for (int step = 1; step <= 3; ++step) {
    std::map<std::string, std::vector<double>> gradients;
    double squares = 0;
    for (const char *name : {"w", "b"}) {
      gradients[name] = finiteDifference(state, name);
      for (double g : gradients[name])
        squares += g * g;
    }
    State before = state;
    Tensors inputs = batch();
    inputs.merge(scalars(settings, step, adamw));
    auto outputs = interpreter.runEntry("train", state, inputs);
    ASSERT_TRUE(succeeded(outputs));

    double count = 4; // one label of five is ignored
    EXPECT_EQ(outputs->at("count").floats[0], count);
    EXPECT_EQ(outputs->at("applied").floats[0], 1);
    double norm = std::sqrt(squares) / count;
    EXPECT_NEAR(outputs->at("gradient_norm").floats[0], norm, 1e-8);
    double clip = std::min(1.0, maxNorm > 0 ? maxNorm / (norm + 1e-6) : 1.0);
    EXPECT_EQ(clip < 1, clips);

    for (const char *name : {"w", "b"}) {
      int group = std::string(name) == "b";
      double rate = settings.rate[group], decay = settings.decay[group];
      const std::vector<double> &g = gradients[name];
      for (size_t i = 0; i < g.size(); ++i) {
        // Central differences with h = 1e-5 are good to 1e-9.
        EXPECT_NEAR(outputs->at(std::string("gradient/") + name).floats[i],
                    g[i], 1e-8);
        double p = before.variables[name].floats[i];
        double m = before.variables[std::string(name) + "/m"].floats[i];
        double scaled = g[i] / count * clip, expected;
        if (adamw) {
          double v = before.variables[std::string(name) + "/v"].floats[i];
          m = settings.beta1 * m + (1 - settings.beta1) * scaled;
          v = settings.beta2 * v + (1 - settings.beta2) * scaled * scaled;
          double mHat = m / (1 - std::pow(settings.beta1, step));
          double vHat = v / (1 - std::pow(settings.beta2, step));
          expected = p - rate * decay * p -
                     rate * mHat / (std::sqrt(vHat) + settings.epsilon);
        } else {
          m = settings.momentum * m + scaled + decay * p;
          expected = p - rate * m;
        }
        EXPECT_NEAR(state.variables[std::string(name) + "/m"].floats[i], m,
                    1e-8);
        // Where v is small an error of 1e-9 in the gradient is one of
        // rate / epsilon times that in the update.
        EXPECT_NEAR(state.variables[name].floats[i], expected, 1e-6);
      }
    }
  }
}

TEST_F(TrainEntryTest, AdamWSteps) { checkSteps(true, 0, false); }
TEST_F(TrainEntryTest, AdamWStepsWithClipping) { checkSteps(true, 0.1, true); }
TEST_F(TrainEntryTest, AdamWStepsBelowTheNorm) { checkSteps(true, 1e3, false); }
TEST_F(TrainEntryTest, SgdSteps) { checkSteps(false, 0, false); }
TEST_F(TrainEntryTest, SgdStepsWithClipping) { checkSteps(false, 0.1, true); }

TEST_F(TrainEntryTest, NonFiniteStepChangesNothing) {
  OwningOpRef<ModuleOp> module = buildTrain(optionsFor("adamw"));
  ASSERT_TRUE(module);
  Interpreter interpreter(*module);
  Settings settings;
  settings.maxNorm = 1;
  auto run = [&](Tensors tensors) {
    State state = State::initialize(*module, 7), before = state;
    tensors.merge(scalars(settings, 1, true));
    auto outputs = interpreter.runEntry("train", state, tensors);
    EXPECT_TRUE(succeeded(outputs));
    EXPECT_EQ(outputs->at("applied").floats[0], 0);
    for (auto &[name, tensor] : before.variables)
      EXPECT_TRUE(tensor.identicalTo(state.variables[name])) << name;
  };
  Tensors infinite = batch();
  infinite["x"].floats[4] = INFINITY;
  run(infinite);
  // No label at all: 0 / 0.
  Tensors empty = batch();
  empty["labels"] =
      Tensor::fromInts(ElementKind::I32, {5}, {-100, -100, -100, -100, -100});
  run(empty);
}

/// The group of a parameter: the one whose learning rate its update takes.
std::string groupOf(ModuleOp module, StringRef parameter) {
  std::string group;
  module.walk([&](graph::AdamWOp op) {
    if (op.getSite() != (parameter + "/adamw").str())
      return;
    auto argument = cast<BlockArgument>(op.getLearningRate());
    group = cast<graph::EntryOp>(op->getParentOp())
                .getArgumentInput(argument.getArgNumber())
                .str();
  });
  return group;
}

TEST_F(TrainEntryTest, ParameterGroups) {
  // By default the rank in the checkpoint decides: b is 2x2 here, 4 there.
  OwningOpRef<ModuleOp> module = buildTrain(optionsFor("adamw"));
  ASSERT_TRUE(module);
  EXPECT_EQ(groupOf(*module, "w"), "group0.learning_rate");
  EXPECT_EQ(groupOf(*module, "b"), "group1.learning_rate");

  BuildTrainEntryPassOptions options = optionsFor("adamw");
  options.groups = {"[x-z]=5", "b=3", "*=2"};
  module = buildTrain(options);
  ASSERT_TRUE(module);
  EXPECT_EQ(groupOf(*module, "w"), "group2.learning_rate");
  EXPECT_EQ(groupOf(*module, "b"), "group3.learning_rate");
}

TEST_F(TrainEntryTest, EveryOpHasATask) {
  OwningOpRef<ModuleOp> module = buildTrain(optionsFor("adamw"));
  ASSERT_TRUE(module);
  auto entry = *module->getOps<graph::EntryOp>().begin();
  EXPECT_EQ(entry.getSymName(), "train");
  std::map<std::string, int> tasks;
  for (Operation &op : entry.getBody().front().without_terminator()) {
    auto task =
        op.getAttrOfType<StringAttr>(graph::GraphDialect::getTaskAttrName());
    ASSERT_TRUE(task);
    ++tasks[task.str()];
    if (isa<graph::AdamWOp>(op))
      EXPECT_EQ(task.str(), "update");
    if (isa<graph::CrossEntropyGradOp>(op))
      EXPECT_EQ(task.str(), "backward");
    if (isa<graph::CrossEntropyOp>(op))
      EXPECT_EQ(task.str(), "forward");
  }
  EXPECT_EQ(tasks.size(), 3u);
}

TEST_F(TrainEntryTest, Errors) {
  auto expectError = [&](BuildTrainEntryPassOptions options, std::string text,
                         const char *message) {
    messages.clear();
    EXPECT_FALSE(buildTrain(std::move(options), text));
    EXPECT_NE(messages.find(message), std::string::npos) << messages;
  };
  auto replaced = [](std::string from, std::string to) {
    std::string text = model;
    size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos);
    return text.replace(at, from.size(), to);
  };
  expectError(optionsFor("adam"), model,
              "expects the optimizer to be 'adamw' or 'sgd', got 'adam'");
  BuildTrainEntryPassOptions groups = optionsFor("sgd");
  groups.groups = {"*.bias"};
  expectError(groups, model,
              "expects a parameter group 'pattern=index', got '*.bias'");
  groups.groups = {"*.bias=-1"};
  expectError(groups, model, "expects a parameter group 'pattern=index', got");
  groups.groups = {"[=1"};
  expectError(groups, model,
              "expects a parameter group's pattern to be a glob, got '['");
  expectError(optionsFor("sgd"), replaced("@loss", "@forward"),
              "expects an entry 'loss' to train");
  expectError(optionsFor("sgd"), replaced("\"count\"", "\"number\""),
              "expects the results 'loss_sum' and 'count', got 'number'");
  std::string frozen = replaced("@w : tensor<3x2x2xf32> kind parameter",
                                "@w : tensor<3x2x2xf32> kind cache");
  std::string parameter = "@b : tensor<2x2xf32> kind parameter";
  frozen.replace(frozen.find(parameter), parameter.size(),
                 "@b : tensor<2x2xf32> kind cache");
  expectError(optionsFor("sgd"), frozen,
              "expects a loss that depends on a parameter");
}

TEST_F(TrainEntryTest, UnreachedParameterIsLeftAlone) {
  std::string text = std::string("graph.variable @unused : tensor<4xf32> kind "
                                 "parameter init <constant, 1.0>\n") +
                     model;
  std::string from = "%b: tensor<2x2xf32> {graph.variable = @b}";
  text.replace(text.find(from), from.size(),
               from + ", %u: tensor<4xf32> {graph.variable = @unused}");
  OwningOpRef<ModuleOp> module = buildTrain(optionsFor("adamw"), text);
  ASSERT_TRUE(module);
  EXPECT_NE(messages.find("parameter 'unused' does not influence the loss"),
            std::string::npos)
      << messages;
  EXPECT_TRUE(succeeded(verify(*module)));
  EXPECT_FALSE(SymbolTable(*module).lookup("unused/m"));
  EXPECT_TRUE(SymbolTable(*module).lookup("w/m"));
}

} // namespace
} // namespace weir::compiler::test
