// SPDX-License-Identifier: Apache-2.0
// Strategies that people know come out of the search, from shapes and hardware
// alone: counted on the collectives that the shard phase emits.
#include "test/unit/planner/SearchedModel.h"

#include "gtest/gtest.h"

namespace weir::compiler {
namespace {

using test::Collective;
using test::SearchedModel;

/// A multi-layer perceptron without biases, squared error.
void buildPerceptron(GraphBuilder &b, int64_t layers, int64_t batch,
                     int64_t hidden) {
  std::vector<graph::VariableOp> weights;
  for (int64_t i = 0; i < layers; ++i)
    weights.push_back(
        b.variable("w" + std::to_string(i), {hidden, hidden}, {Init::normal(1)}));
  b.beginEntry("loss");
  auto x = b.input("x", {batch, hidden}), y = b.input("y", {batch, hidden});
  for (int64_t i = 0; i < layers; ++i) {
    GraphBuilder::Scope scope(b, "layer" + std::to_string(i));
    x = b.linear(x, b.read(weights[i]));
    if (i + 1 < layers)
      x = b.relu(x);
  }
  auto d = b.sub(x, y);
  b.output("loss_sum", b.reduceSum(b.mul(d, d), {0, 1}));
  b.output("count", b.constant(double(batch)));
  b.endEntry();
}

/// Batch 256, hidden 32 (closed form of section "Strategies that must be found"
/// of Alpa's and GSPMD's folklore): data parallel, each gradient reduced once,
/// nothing else but scalars.
TEST(ClosedForms, SmallPerceptronIsDataParallel) {
  SearchedModel model;
  model.build([](GraphBuilder &b) { buildPerceptron(b, 6, 256, 32); });
  ASSERT_TRUE(model.compile({{"x", 4}}));
  for (int64_t i = 0; i < 6; ++i)
    EXPECT_EQ(model.layoutOf("w" + std::to_string(i)), "[B]");
  EXPECT_EQ(model.count("dist.all_reduce", /*minElements=*/32 * 32), 6)
      << model.text();
  for (const char *other :
       {"dist.all_gather", "dist.reduce_scatter", "dist.all_to_all",
        "dist.exchange"})
    EXPECT_EQ(model.count(other, 2), 0) << other << model.text();
}

/// Batch 32, hidden 256: weights alternately column and row, L - 1 reductions
/// of activations (three forwards, two backwards), none of gradients.
TEST(ClosedForms, WidePerceptronAlternates) {
  SearchedModel model;
  model.build([](GraphBuilder &b) { buildPerceptron(b, 6, 32, 256); });
  ASSERT_TRUE(model.compile({{"x", 4}}));
  for (int64_t i = 0; i < 6; ++i)
    EXPECT_EQ(model.layoutOf("w" + std::to_string(i)),
              i % 2 ? "[S(0)]" : "[S(1)]")
        << i << model.text();
  EXPECT_EQ(model.count("dist.all_reduce", 32 * 256), 5) << model.text();
  for (const char *other :
       {"dist.all_gather", "dist.reduce_scatter", "dist.all_to_all",
        "dist.exchange"})
    EXPECT_EQ(model.count(other, 2), 0) << other << model.text();
}

} // namespace
} // namespace weir::compiler
