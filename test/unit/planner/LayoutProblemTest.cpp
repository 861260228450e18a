// SPDX-License-Identifier: Apache-2.0
// The parts of a layout problem: tables of reshards against the programs that
// are emitted, folding of what repeats, and what the pass refuses.
#include "compiler/Sharding/LayoutProblem.h"
#include "compiler/Sharding/Reshard.h"
#include "dialects/Graph/Annotations.h"
#include "test/unit/planner/SearchedModel.h"

#include "gtest/gtest.h"

using namespace mlir;
using namespace weir::dist;

namespace weir::compiler {
namespace {

/// Between all layouts of a tensor: the table is never below the program that
/// the resharder finds, above it by starts of steps and local copies only where
/// that program has no exchange, and keeps the triangle inequality.
TEST(LayoutTable, CostsWhatPrograms) {
  test::SearchedModel model;
  MLIRContext *context = model.context();
  auto mesh = MeshAttr::get(
      context, {StringAttr::get(context, "x"), StringAttr::get(context, "y")},
      {2, 4}, false);
  Cluster cluster = Cluster::host(8);
  auto type = RankedTensorType::get({64, 96}, Float32Type::get(context));
  SmallVector<AxisLayout> alphabet = {
      AxisLayout::broadcast(), AxisLayout::partial(), AxisLayout::split(0),
      AxisLayout::split(1)};
  CollectiveCost cost(cluster, mesh);
  DeviceCost device(cluster);
  LayoutTable table(type, 1, alphabet, -1, mesh, {0, 1}, cost, device, false);
  Resharder resharder(mesh, cluster);
  ASSERT_EQ(table.size(), 16u);
  int compared = 0;
  for (unsigned a = 0; a < 16; ++a)
    for (unsigned b = 0; b < 16; ++b) {
      auto plan = resharder.plan(table.layout(a), table.layout(b), type);
      ASSERT_TRUE(succeeded(plan));
      double seconds = table.seconds(a, b);
      EXPECT_GE(seconds, (*plan)->seconds * (1 - 1e-9)) << a << " " << b;
      bool named = llvm::none_of((*plan)->steps, [](const ReshardStep &step) {
        return step.kind == ReshardStep::Kind::Exchange;
      });
      if (named) {
        // A step more for each axis of those that the resharder joins.
        double local =
            4 * (device.start + 2. * 64 * 96 * 4 / device.memoryBandwidth);
        EXPECT_LE(seconds, (*plan)->seconds + local) << a << " " << b;
        ++compared;
      }
      for (unsigned c = 0; c < 16; ++c)
        EXPECT_LE(seconds,
                  (table.seconds(a, c) + table.seconds(c, b)) * (1 + 1e-12));
    }
  EXPECT_GT(compared, 150);
}

/// A dim that micro-batches split: no reshard changes its splits.
TEST(LayoutTable, FrozenDimsStay) {
  test::SearchedModel model;
  MLIRContext *context = model.context();
  auto mesh =
      MeshAttr::get(context, {StringAttr::get(context, "x")}, {4}, false);
  Cluster cluster = Cluster::host(4);
  auto type = RankedTensorType::get({64, 96}, Float32Type::get(context));
  SmallVector<AxisLayout> alphabet = {
      AxisLayout::broadcast(), AxisLayout::split(0), AxisLayout::split(1)};
  LayoutTable table(type, 1, alphabet, /*frozenDim=*/0, mesh, {0},
                    CollectiveCost(cluster, mesh), DeviceCost(cluster), false);
  EXPECT_EQ(table.seconds(0, 1), CostGraph::forbidden);
  EXPECT_EQ(table.seconds(1, 0), CostGraph::forbidden);
  EXPECT_EQ(table.seconds(1, 2), CostGraph::forbidden);
  EXPECT_LT(table.seconds(0, 2), 1);
  EXPECT_EQ(table.seconds(1, 1), 0);
}

/// Places of a period are classes; what is around and between stays apart;
/// blocks inside blocks go with the larger one.
TEST(FoldRepeats, FindsPeriods) {
  std::vector<uint64_t> hashes = {1000, 1001};
  for (int block = 0; block < 10; ++block)
    for (uint64_t place : {1, 2, 3, 3, 3, 4, 5, 6, 7, 8, 3, 3})
      hashes.push_back(place);
  hashes.push_back(2000);
  std::vector<unsigned> classes = foldRepeats(hashes);
  ASSERT_EQ(classes.size(), hashes.size());
  EXPECT_EQ(*std::max_element(classes.begin(), classes.end()), 2u + 12);
  for (size_t i = 2; i + 12 < hashes.size() - 1; ++i)
    EXPECT_EQ(classes[i], classes[i + 12]) << i;
  EXPECT_EQ(classes[0], 0u);
  EXPECT_EQ(classes[1], 1u);
  EXPECT_EQ(classes.back(), 14u);
}

/// A short block is taken twice, so that neighbours may differ.
TEST(FoldRepeats, DoublesShortBlocks) {
  std::vector<uint64_t> hashes;
  for (int block = 0; block < 40; ++block)
    for (uint64_t place : {1, 2, 3})
      hashes.push_back(place);
  std::vector<unsigned> classes = foldRepeats(hashes);
  EXPECT_EQ(*std::max_element(classes.begin(), classes.end()), 5u);
}

/// What does not repeat is not folded, and takes no time that grows faster than
/// its length: a million ops of a few kinds in no order.
TEST(FoldRepeats, LeavesTheRestAlone) {
  std::vector<uint64_t> hashes;
  uint64_t state = 1;
  for (int i = 0; i < 1000000; ++i) {
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    hashes.push_back(state >> 56);
  }
  std::vector<unsigned> classes = foldRepeats(hashes);
  EXPECT_EQ(classes.back(), 999999u);
}

/// Llama 3 8B's shapes on 64 GPUs: the bound proves the layouts within 1 %, and
/// twice the layers are no more nodes.
TEST(LayoutSearch, LlamaIsWithinAPercent) {
  double classes[2], step[2];
  for (int i = 0; i < 2; ++i) {
    LlamaConfig config;
    config.layers = i ? 16 : 8;
    config.width = 4096;
    config.heads = 32;
    config.kvHeads = 8;
    config.headDim = 128;
    config.inner = 14336;
    config.vocab = 128256;
    config.context = 8192;
    test::SearchedModel model;
    model.take(buildLlama(model.context(), config, {64, 4096, 1}));
    ASSERT_TRUE(
        model.compile({{"x", 8}, {"y", 8}}, test::nodesText(64, 8), 0, "adamw"))
        << model.errors();
    double seconds = model.report("seconds");
    EXPECT_GT(model.report("bound"), 0.99 * seconds);
    EXPECT_LE(model.report("bound"), seconds);
    EXPECT_LE(model.report("bytes"), 80e9);
    classes[i] = model.report("classes");
    step[i] = seconds;
  }
  EXPECT_EQ(classes[0], classes[1]);
  // A layer's time is that of its products (6 operations a weight and token)
  // on all devices, and not half as much again for attention and messages.
  double weights = 4096. * (4096 + 2 * 1024 + 4096) + 3. * 4096 * 14336;
  double products = 6 * weights * 64 * 4096 / (64 * 67e12);
  EXPECT_GT(step[1] - step[0], 8 * products);
  EXPECT_LT(step[1] - step[0], 8 * products * 1.5);
}

/// An override that the op cannot fulfil is named with the op.
TEST(SelectLayouts, NamesOverridesThatCannotBe) {
  test::SearchedModel model;
  model.build([](GraphBuilder &b) {
    auto w = b.variable("w", {8, 8}, {Init::normal(1)});
    b.beginEntry("forward");
    GraphBuilder::Scope scope(b, "act");
    b.output("y", b.relu(b.read(w)));
    b.endEntry();
  });
  // What only the pass' option can say.
  EXPECT_FALSE(model.compile({{"x", 4}}, "", 0, "sgd", "act*={x=P(sum)}"));
  EXPECT_NE(model.errors().find("(graph.relu) to have a sound signature"),
            std::string::npos)
      << model.errors();
  EXPECT_NE(model.errors().find("wanted as 'P(sum)' on axis 'x' by "
                                "'act*={x=P(sum)}'"),
            std::string::npos)
      << model.errors();
}

} // namespace
} // namespace weir::compiler
