// SPDX-License-Identifier: Apache-2.0
// Builder methods that are composed of several ops, against their formulas.
#include "compiler/API/InitDialects.h"
#include "compiler/Builders/GraphBuilder.h"
#include "compiler/Interpreter/Interpreter.h"

#include "gtest/gtest.h"

#include <cmath>
#include <random>

using namespace mlir;

namespace weir::compiler {
namespace {

Tensor random(llvm::ArrayRef<int64_t> shape, unsigned seed) {
  Tensor tensor = Tensor::zeros(ElementKind::Float, shape);
  std::mt19937 engine(seed);
  for (double &value : tensor.floats)
    value = std::normal_distribution<double>(0.5, 2)(engine);
  return tensor;
}

class Builder : public testing::Test {
protected:
  Builder() {
    DialectRegistry registry;
    registerAllWeirDialects(registry);
    context.appendDialectRegistry(registry);
    context.loadAllAvailableDialects();
  }
  std::map<std::string, Tensor> run(ModuleOp module,
                                    const std::map<std::string, Tensor> &in) {
    State state = State::initialize(module, 1);
    auto outputs = Interpreter(module).runEntry("f", state, in);
    EXPECT_TRUE(succeeded(outputs));
    return succeeded(outputs) ? *outputs : std::map<std::string, Tensor>();
  }
  MLIRContext context;
};

// Over batch and space each channel has mean `bias` and deviation `weight`; the
// statistics are those of the formula.
TEST_F(Builder, BatchNormNormalisesChannels) {
  constexpr int64_t n = 3, c = 2, x = 5;
  GraphBuilder b(&context);
  b.beginEntry("f");
  auto norm = b.batchNorm(b.input("x", {n, c, x}), b.input("w", {c}),
                          b.input("b", {c}), 1e-3);
  b.output("y", norm.output);
  b.output("mean", norm.mean);
  b.output("variance", norm.variance);
  b.endEntry();
  auto module = b.finish();
  ASSERT_TRUE(module);
  Tensor input = random({n, c, x}, 3), weight = random({c}, 4),
         bias = random({c}, 5);
  auto out = run(*module, {{"x", input}, {"w", weight}, {"b", bias}});
  for (int64_t channel = 0; channel < c; ++channel) {
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < n; ++i)
      for (int64_t j = 0; j < x; ++j)
        sum += input.floats[(i * c + channel) * x + j];
    double mean = sum / (n * x);
    for (int64_t i = 0; i < n; ++i)
      for (int64_t j = 0; j < x; ++j)
        squares += std::pow(input.floats[(i * c + channel) * x + j] - mean, 2);
    double variance = squares / (n * x);
    // 1 / 15 and epsilon are constants of f32.
    EXPECT_NEAR(out["mean"].floats[channel], mean, 1e-6);
    EXPECT_NEAR(out["variance"].floats[channel], variance, 1e-5);
    for (int64_t i = 0; i < n; ++i)
      for (int64_t j = 0; j < x; ++j) {
        int64_t at = (i * c + channel) * x + j;
        EXPECT_NEAR(out["y"].floats[at],
                    (input.floats[at] - mean) / std::sqrt(variance + 1e-3) *
                            weight.floats[channel] +
                        bias.floats[channel],
                    1e-5);
      }
  }
}

// One 1 in the row of an index, none where it is outside.
TEST_F(Builder, OneHotMarksTheIndex) {
  GraphBuilder b(&context);
  b.beginEntry("f");
  b.output("y", b.oneHot(b.inputI32("i", {4}), 3));
  b.endEntry();
  auto module = b.finish();
  ASSERT_TRUE(module);
  auto out = run(
      *module, {{"i", Tensor::fromInts(ElementKind::I32, {4}, {2, 0, 5, -1})}});
  EXPECT_EQ(out["y"].floats,
            (std::vector<double>{0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0}));
}

// Shapes that follow from the options: the verifier of each op agrees with
// them.
TEST_F(Builder, WindowOptionsGiveShapes) {
  GraphBuilder b(&context);
  b.beginEntry("f");
  auto x = b.input("x", {2, 4, 11, 9});
  WindowOptions options;
  options.strides = {2, 1};
  options.low = {1, 2};
  options.high = {0, 1};
  options.dilations = {1, 2};
  options.groups = 2;
  auto y = b.conv(x, b.input("w", {6, 2, 3, 3}), b.input("b", {6}), options);
  EXPECT_EQ(GraphBuilder::shapeOf(y), (llvm::ArrayRef<int64_t>{2, 6, 5, 8}));
  auto p = b.pool(graph::PoolKind::Avg, y, {2, 3}, {{2, 2}, {0, 1}}, true);
  EXPECT_EQ(GraphBuilder::shapeOf(p), (llvm::ArrayRef<int64_t>{2, 6, 2, 4}));
  auto [values, places] = b.topK(p, 2, 1);
  auto along = b.takeAlong(p, places, 1);
  b.output("same", b.sub(values, along));
  b.output("taken", b.take(p, b.inputI32("i", {3}), 2));
  b.output("put", b.scatterAdd(places, values, 6, 1, /*along=*/true));
  b.output("padded", b.pad(b.cumsum(p, 3), {0, 0, 1, 0}, {0, 0, 0, 2}, 0.5));
  b.output("product", b.reduceProd(p, {2, 3}));
  b.output("nan", b.castToFloat(b.isNan(b.sort(p, 0).first)));
  b.endEntry();
  auto module = b.finish();
  ASSERT_TRUE(module);
  auto out =
      run(*module, {{"x", random({2, 4, 11, 9}, 1)},
                    {"w", random({6, 2, 3, 3}, 2)},
                    {"b", random({6}, 3)},
                    {"i", Tensor::fromInts(ElementKind::I32, {3}, {1, 0, 1})}});
  EXPECT_EQ(out["taken"].shape, (llvm::SmallVector<int64_t, 6>{2, 6, 3, 4}));
  EXPECT_EQ(out["padded"].shape, (llvm::SmallVector<int64_t, 6>{2, 6, 3, 6}));
  for (double difference : out["same"].floats)
    EXPECT_EQ(difference, 0);
  for (double nan : out["nan"].floats)
    EXPECT_EQ(nan, 0);
}

} // namespace
} // namespace weir::compiler
