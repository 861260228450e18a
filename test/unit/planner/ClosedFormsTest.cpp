// SPDX-License-Identifier: Apache-2.0
// Strategies that people know come out of the search, from shapes and hardware
// alone: counted on the collectives that the shard phase emits.
#include "test/unit/planner/SearchedModel.h"

#include "gtest/gtest.h"

namespace weir::compiler {
namespace {

using test::SearchedModel;

/// A multi-layer perceptron without biases, squared error.
void buildPerceptron(GraphBuilder &b, int64_t layers, int64_t batch,
                     int64_t hidden) {
  std::vector<graph::VariableOp> weights;
  for (int64_t i = 0; i < layers; ++i)
    weights.push_back(b.variable("w" + std::to_string(i), {hidden, hidden},
                                 {Init::normal(1)}));
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

/// Ranks that are processes of one machine: a message takes longer to start
/// than between threads, all else is as in `Cluster::host`.
const char *processes = R"({"name": "processes", "devices": 4, "memory": 8e9,
  "memory_bandwidth": 2e10, "flops": {"f32": 1e11},
  "levels": [{"name": "memory", "size": 4, "latency": 5e-6, "bandwidth": 8e9}]})";

/// Batch 256, hidden 32: data parallel, each gradient reduced once,
/// nothing else but scalars.
TEST(ClosedForms, SmallPerceptronIsDataParallel) {
  SearchedModel model;
  model.build([](GraphBuilder &b) { buildPerceptron(b, 6, 256, 32); });
  ASSERT_TRUE(model.compile({{"x", 4}}, processes)) << model.errors();
  for (int64_t i = 0; i < 6; ++i)
    EXPECT_EQ(model.layoutOf("w" + std::to_string(i)), "[B]");
  EXPECT_EQ(model.count("dist.all_reduce", /*minElements=*/32 * 32), 6)
      << model.text();
  EXPECT_EQ(model.countOps("dist.all_reduce", 32 * 32), 1) << model.text();
  for (const char *other : {"dist.all_gather", "dist.reduce_scatter",
                            "dist.all_to_all", "dist.exchange"})
    EXPECT_EQ(model.count(other, 2), 0) << other << model.text();
}

/// Batch 32, hidden 256: weights alternately column and row, L - 1 reductions
/// of activations (three forwards, two backwards), none of gradients.
TEST(ClosedForms, WidePerceptronAlternates) {
  SearchedModel model;
  model.build([](GraphBuilder &b) { buildPerceptron(b, 6, 32, 256); });
  ASSERT_TRUE(model.compile({{"x", 4}}, processes)) << model.errors();
  for (int64_t i = 0; i < 6; ++i)
    EXPECT_EQ(model.layoutOf("w" + std::to_string(i)),
              i % 2 ? "[S(0)]" : "[S(1)]")
        << i << model.text();
  EXPECT_EQ(model.count("dist.all_reduce", 32 * 256), 5) << model.text();
  for (const char *other : {"dist.all_gather", "dist.reduce_scatter",
                            "dist.all_to_all", "dist.exchange"})
    EXPECT_EQ(model.count(other, 2), 0) << other << model.text();
}

/// Large batches, AdamW: ZeRO-1. States are split, parameters whole; gradients
/// are scattered and the updated parameters gathered. (The first layer reads
/// what the caller has whole on every rank, and may go its own way.)
TEST(ClosedForms, StatesAreSplit) {
  SearchedModel model;
  model.build([](GraphBuilder &b) { buildPerceptron(b, 4, 8192, 512); });
  ASSERT_TRUE(model.compile({{"x", 4}}, "", 0, "adamw")) << model.errors();
  for (int64_t i = 1; i < 4; ++i) {
    std::string name = "w" + std::to_string(i);
    EXPECT_EQ(model.layoutOf(name), "[B]");
    EXPECT_EQ(model.layoutOf(name + "/m").substr(0, 3), "[S(");
    EXPECT_EQ(model.layoutOf(name + "/v"), model.layoutOf(name + "/m"));
  }
  EXPECT_GE(model.count("dist.reduce_scatter", 512 * 512 / 4), 3)
      << model.text();
  EXPECT_GE(model.count("dist.all_gather", 512 * 512), 3);
  EXPECT_EQ(model.count("dist.all_reduce", 512 * 512), 0);
}

/// Where parameters do not fit whole: ZeRO-3. They are gathered for their uses,
/// and what is found fits; a limit that nothing meets is told by how much.
TEST(ClosedForms, MemoryLimitSplitsParameters) {
  const double whole = 4. * 512 * 512 * 4; // bytes of the weights
  auto build = [](GraphBuilder &b) { buildPerceptron(b, 4, 8192, 512); };
  SearchedModel model;
  model.build(build);
  double limit = 1.1 * whole; // of 4 x weights (w, m, v, gradient), on 4 ranks
  ASSERT_TRUE(model.compile({{"x", 4}}, "", limit, "adamw")) << model.errors();
  EXPECT_LE(model.report("bytes"), limit);
  for (int64_t i = 1; i < 4; ++i)
    EXPECT_EQ(model.layoutOf("w" + std::to_string(i)).substr(0, 3), "[S(");
  EXPECT_GE(model.count("dist.all_gather", 512 * 512), 3);
  EXPECT_EQ(model.count("dist.all_reduce", 512 * 512), 0);
  EXPECT_GE(model.report("seconds"), model.report("bound"));

  SearchedModel impossible;
  impossible.build(build);
  EXPECT_FALSE(impossible.compile({{"x", 4}}, "", 0.5 * whole, "adamw"));
  EXPECT_NE(impossible.errors().find("bytes a device, but they need at least"),
            std::string::npos)
      << impossible.errors();
}

/// A layer of experts (GShard's dispatch and combine as products with a mask):
/// tokens split outside, experts inside, and 4 all-to-alls to train.
TEST(ClosedForms, ExpertsExchangeFourTimes) {
  const int64_t groups = 4, tokens = 256, experts = 4, capacity = 64,
                width = 128, inner = 512;
  SearchedModel model;
  model.build([&](GraphBuilder &b) {
    auto in = b.variable("in", {width, width}, {Init::normal(1)});
    auto up = b.variable("up", {experts, width, inner}, {Init::normal(1)});
    auto down = b.variable("down", {experts, inner, width}, {Init::normal(1)});
    b.beginEntry("loss");
    auto x = b.input("x", {groups, tokens, width});
    auto mask = b.input("mask", {groups, tokens, experts, capacity});
    auto y = b.input("y", {groups, tokens, width});
    x = b.relu(b.linear(x, b.read(in)));
    auto sent = b.matmul(mask, x, {0}, {0}, {1}, {1}); // [G,E,C,M]
    auto hidden =
        b.relu(b.matmul(sent, b.read(up), {1}, {0}, {3}, {1}));     // [E,G,C,F]
    auto made = b.matmul(hidden, b.read(down), {0}, {0}, {3}, {1}); // [E,G,C,M]
    auto out = b.matmul(mask, made, {0}, {1}, {2, 3}, {0, 2});      // [G,S,M]
    auto d = b.sub(out, y);
    b.output("loss_sum", b.reduceSum(b.mul(d, d), {0, 1, 2}));
    b.output("count", b.constant(double(groups * tokens)));
    b.endEntry();
  });
  ASSERT_TRUE(model.compile({{"x", 4}})) << model.errors();
  EXPECT_EQ(model.layoutOf("up"), "[S(0)]") << model.text();
  EXPECT_EQ(model.layoutOf("down"), "[S(0)]");
  EXPECT_EQ(model.count("dist.all_to_all"), 4) << model.text();
}

/// Reductions, scatterings and gatherings of activations in a Llama layer on
/// eight GPUs, one sequence: Megatron's two all-reduces forwards and two
/// backwards, or, with sequences split between them, the same as halves.
TEST(ClosedForms, TransformerLayersArePairs) {
  auto halves = [](int64_t layers) {
    LlamaConfig config;
    config.layers = layers;
    config.width = 4096;
    config.heads = 32;
    config.kvHeads = 8;
    config.headDim = 128;
    config.inner = 14336;
    config.vocab = 4096;
    config.context = 2048;
    SearchedModel model;
    model.take(buildLlama(model.context(), config, {1, 2048}));
    EXPECT_TRUE(model.compile({{"x", 8}}, test::nodesText(8, 8)))
        << model.errors();
    for (int64_t i = 0; i < layers; ++i) {
      std::string name = "layers." + std::to_string(i);
      EXPECT_EQ(model.layoutOf(name + ".self_attn.q_proj.weight"), "[S(0)]");
      EXPECT_EQ(model.layoutOf(name + ".self_attn.o_proj.weight"), "[S(1)]");
      EXPECT_EQ(model.layoutOf(name + ".mlp.gate_proj.weight"), "[S(0)]");
      EXPECT_EQ(model.layoutOf(name + ".mlp.down_proj.weight"), "[S(1)]");
    }
    int64_t activation = 2048 * 4096;
    return 2 * model.count("dist.all_reduce", activation) +
           model.count("dist.reduce_scatter", activation / 8) +
           model.count("dist.all_gather", activation);
  };
  EXPECT_EQ(halves(5) - halves(4), 2 * 4);
}

/// A product of a small and a large tensor, both split along the rows: the
/// small one moves, not the large.
TEST(ClosedForms, SmallOperandMoves) {
  SearchedModel model;
  model.build([](GraphBuilder &b) {
    auto small = b.variable("small", {4, 4096}, {Init::normal(1)});
    auto large = b.variable("large", {4096, 4096}, {Init::normal(1)});
    b.beginEntry("forward");
    b.output("product", b.linear(b.read(small), b.read(large)));
    b.endEntry();
  });
  model.give("small", "[S(0)]");
  model.give("large", "[S(0)]");
  ASSERT_TRUE(model.compile({{"x", 4}})) << model.errors();
  EXPECT_EQ(model.layoutOf("large"), "[S(0)]");
  for (const char *name : {"dist.all_gather", "dist.all_to_all",
                           "dist.reduce_scatter", "dist.exchange"})
    EXPECT_EQ(model.count(name, 4096 * 4096 / 4, "forward"), 0)
        << name << model.text();
  EXPECT_EQ(model.count("dist.all_reduce", 4 * 4096, "forward"), 1)
      << model.text();
}

} // namespace
} // namespace weir::compiler
