// SPDX-License-Identifier: Apache-2.0
#include "test/unit/interpreter/TestSupport.h"

#include "runtime/base/Philox.h"

#include <cstdio>

namespace weir::compiler {
namespace {

class StateTest : public InterpreterTest {};

const char *counterText = R"(
  graph.variable @w : tensor<2x3xf32> kind parameter init <normal, 1.0, 0.5> stored <"net.w", [6]>
  graph.variable @u : tensor<4xf32> kind parameter init <uniform, -1.0, 3.0>
  graph.variable @"w/m" : tensor<2x3xf32> kind optimizer_state init <constant, 0.0>
  graph.variable @n : tensor<i32> kind counter init <constant, 7.0>
  graph.entry @step(%d: tensor<i32> {graph.input = "by"}, %n: tensor<i32> {graph.variable = @n})
      -> (tensor<i32> {graph.output = "before"}, tensor<i32> {graph.variable = @n}) {
    %0 = graph.add %n, %d : tensor<i32>
    graph.return %n, %0 : tensor<i32>, tensor<i32>
  }
)";

TEST_F(StateTest, InitializesByNameAndIndex) {
  State state = State::initialize(parse(counterText), 42);
  ASSERT_EQ(state.variables.size(), 4u);
  for (int i = 0; i < 6; ++i)
    EXPECT_EQ(state.variables["w"].floats[i],
              static_cast<float>(1.0 + 0.5 * normal(siteKey("w"), 42, i)));
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(state.variables["u"].floats[i],
              static_cast<float>(-1.0 + 4.0 * uniform(siteKey("u"), 42, i)));
    EXPECT_GE(state.variables["u"].floats[i], -1.0);
    EXPECT_LT(state.variables["u"].floats[i], 3.0);
  }
  expectFloats(state.variables["w/m"], {0, 0, 0, 0, 0, 0});
  expectInts(state.variables["n"], {7});
}

TEST_F(StateTest, RunEntryAppliesUpdates) {
  mlir::ModuleOp module = parse(counterText);
  State state = State::initialize(module, 0);
  Interpreter interpreter(module);
  for (int64_t i = 0; i < 3; ++i) {
    auto outputs = interpreter.runEntry(
        "step", state, {{"by", Tensor::scalarInt(ElementKind::I32, 2)}});
    ASSERT_TRUE(mlir::succeeded(outputs)) << message;
    expectInts(outputs->at("before"), {7 + 2 * i});
  }
  expectInts(state.variables["n"], {13});
}

TEST_F(StateTest, RunEntryNamesWhatIsMissing) {
  mlir::ModuleOp module = parse(counterText);
  State state = State::initialize(module, 0);
  Interpreter interpreter(module);
  EXPECT_TRUE(mlir::failed(interpreter.runEntry("step", state, {})));
  EXPECT_EQ(message, "argument 0 needs the input \"by\", which is not given");
  Tensor two = Tensor::scalarInt(ElementKind::I32, 2);
  EXPECT_TRUE(mlir::failed(
      interpreter.runEntry("step", state, {{"by", two}, {"to", two}})));
  EXPECT_EQ(message, "has no input \"to\"");
  EXPECT_TRUE(mlir::failed(interpreter.runEntry("leap", state, {})));
  EXPECT_EQ(message, "has no entry \"leap\"");
}

TEST_F(StateTest, LoadsStoredTensors) {
  std::string path =
      ::testing::TempDir() + "/weir-interpreter-state.safetensors";
  std::vector<float> w = {1, 2, 3, 4, 5, 6}, u = {9, 8, 7, 6};
  auto write = [&](int64_t uSize) {
    auto writer =
        SafetensorsWriter::create(path, {{"net.w", StoredType::F32, {6}},
                                         {"u", StoredType::F32, {uSize}}});
    ASSERT_TRUE(writer.ok()) << writer.status().message();
    ASSERT_TRUE(writer->write("net.w", w.data(), 24).ok());
    ASSERT_TRUE(writer->write("u", u.data(), 4 * uSize).ok());
    ASSERT_TRUE(writer->finish().ok());
  };
  write(4);
  mlir::ModuleOp module = parse(counterText);
  State state = State::initialize(module, 0);
  {
    auto set = SafetensorsSet::open(path);
    ASSERT_TRUE(set.ok()) << set.status().message();
    Status status = state.load(module, *set);
    ASSERT_TRUE(status.ok()) << status.message();
  }
  expectFloats(state.variables["w"], {1, 2, 3, 4, 5, 6});
  EXPECT_EQ(state.variables["w"].shape.size(), 2u);
  expectFloats(state.variables["u"], {9, 8, 7, 6});
  expectFloats(state.variables["w/m"], {0, 0, 0, 0, 0, 0});

  write(3);
  auto set = SafetensorsSet::open(path);
  ASSERT_TRUE(set.ok());
  Status status = state.load(module, *set);
  EXPECT_EQ(status.code(), StatusCode::InvalidInput);
  EXPECT_NE(status.message().find("F32[3]"), std::string::npos)
      << status.message();
  std::remove(path.c_str());
}

} // namespace
} // namespace weir::compiler
