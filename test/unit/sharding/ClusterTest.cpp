// SPDX-License-Identifier: Apache-2.0
// Cluster files and the cost model of collectives.
#include "compiler/Planner/Cluster.h"
#include "test/unit/sharding/ReshardSupport.h"

#include <gtest/gtest.h>

using namespace mlir;
using namespace weir;
using namespace weir::compiler;
using Kind = ReshardStep::Kind;

namespace {

const char *const goodFile = R"({
  "name": "lab", "devices": 16, "memory": 80e9, "memory_bandwidth": 3.35e12,
  "flops": {"f32": 67e12, "bf16": 989e12},
  "levels": [
    {"name": "nvlink", "size": 8, "latency": 3e-6, "bandwidth": 400e9},
    {"name": "network", "size": 2, "latency": 1e-5, "bandwidth": 50e9}]})";

std::string errorOf(const std::string &text) {
  llvm::Expected<Cluster> cluster = Cluster::parse(text, "c.json");
  if (cluster)
    return "";
  return llvm::toString(cluster.takeError());
}

std::string with(const std::string &old, const std::string &now) {
  std::string text = goodFile;
  size_t at = text.find(old);
  EXPECT_NE(at, std::string::npos);
  return text.replace(at, old.size(), now);
}

// A file's figures are read as they stand.
TEST(Cluster, ReadsAFile) {
  llvm::Expected<Cluster> cluster = Cluster::parse(goodFile, "c.json");
  ASSERT_TRUE(bool(cluster)) << llvm::toString(cluster.takeError());
  EXPECT_EQ(cluster->name, "lab");
  EXPECT_EQ(cluster->devices, 16);
  EXPECT_EQ(cluster->memory, 80e9);
  EXPECT_EQ(cluster->flopsOf("bf16"), 989e12);
  EXPECT_EQ(cluster->flopsOf("i32"), 67e12);
  ASSERT_EQ(cluster->levels.size(), 2u);
  EXPECT_EQ(cluster->levels[0].size, 8);
  EXPECT_EQ(cluster->levels[1].bandwidth, 50e9);
}

// What is wrong is named with its key and what is expected there.
TEST(Cluster, RefusesBadFiles) {
  EXPECT_NE(errorOf("{").find("c.json:1"), std::string::npos);
  EXPECT_NE(errorOf(with("\"memory\"", "\"memry\"")).find("memry"),
            std::string::npos);
  EXPECT_NE(errorOf(with("3.35e12", "0"))
                .find("memory_bandwidth: expects a number above 0"),
            std::string::npos)
      << errorOf(with("3.35e12", "0"));
  EXPECT_NE(errorOf(with("3e-6", "-1"))
                .find("levels[0].latency: expects a number of at least 0"),
            std::string::npos);
  EXPECT_NE(errorOf(with("\"f32\"", "\"f64\""))
                .find("flops: expects a figure for 'f32'"),
            std::string::npos);
  EXPECT_NE(errorOf(with("\"size\": 2", "\"size\": 3"))
                .find("levels: expects sizes that multiply to 'devices', 16"),
            std::string::npos);
  EXPECT_NE(errorOf(with("\"size\": 2", "\"size\": 1")).find("got 8"),
            std::string::npos);
  EXPECT_NE(errorOf(with("\"devices\": 16", "\"devices\": 0")).find("devices"),
            std::string::npos);
  EXPECT_NE(errorOf(with("\"size\": 8, ", "")).find("size"), std::string::npos);
}

// A module's cluster must have a device for each rank.
TEST(Cluster, OfAModule) {
  OwningOpRef<ModuleOp> module = ModuleOp::create(UnknownLoc::get(&context()));
  llvm::Expected<Cluster> single = Cluster::of(*module);
  ASSERT_TRUE(bool(single));
  EXPECT_EQ(single->devices, 1);
  (*module)->setAttr("dist.mesh", meshOf({4, 8}));
  llvm::Expected<Cluster> host = Cluster::of(*module);
  ASSERT_TRUE(bool(host));
  EXPECT_EQ(host->devices, 32);
  (*module)->setAttr("dist.cluster", StringAttr::get(&context(), goodFile));
  llvm::Expected<Cluster> small = Cluster::of(*module);
  ASSERT_FALSE(bool(small));
  EXPECT_EQ(llvm::toString(small.takeError()),
            "expects a cluster of at least as many devices as the mesh has "
            "ranks, 32, got 16");
  (*module)->setAttr("dist.mesh", meshOf({2, 8}));
  llvm::Expected<Cluster> lab = Cluster::of(*module);
  ASSERT_TRUE(bool(lab));
  EXPECT_EQ(lab->name, "lab");
}

// Thakur et al., section 4: on one level an all-gather of k parts takes
// log2(k) starts, an all-reduce twice that, a pairwise all-to-all k - 1.
TEST(CollectiveCost, OfOneLevel) {
  dist::MeshAttr mesh = meshOf({8});
  Cluster cluster = Cluster::host(8);
  double alpha = cluster.levels[0].latency,
         beta = 1 / cluster.levels[0].bandwidth;
  CollectiveCost cost(cluster, mesh);
  double bytes = 1 << 24;
  EXPECT_NEAR(cost.seconds(Kind::AllGather, {0}, bytes),
              3 * alpha + bytes * beta, 1e-12);
  EXPECT_NEAR(cost.seconds(Kind::ReduceScatter, {0}, bytes),
              3 * alpha + bytes * beta, 1e-12);
  EXPECT_NEAR(cost.seconds(Kind::AllReduce, {0}, bytes),
              6 * alpha + bytes * beta, 1e-12);
  EXPECT_NEAR(cost.seconds(Kind::AllToAll, {0}, bytes),
              7 * alpha + bytes * beta, 1e-12);
  // Short messages are relayed instead (Bruck).
  EXPECT_LT(cost.seconds(Kind::AllToAll, {0}, 64), 4 * alpha);
  EXPECT_NEAR(cost.seconds(Kind::Exchange, {0}, bytes, 1), alpha + bytes * beta,
              1e-12);
  EXPECT_EQ(cost.seconds(Kind::LocalSlice, {0}, bytes), 0);
  CollectiveCost alone(Cluster::host(1), meshOf({1}));
  EXPECT_EQ(alone.seconds(Kind::AllReduce, {0}, bytes), 0);
}

// Axes within a node are fast, axes across nodes slow; over both, a device gets
// its part from the other nodes and the rest within (BlueConnect). Meshes that
// do not line up with the nodes pay for the most scattered group.
TEST(CollectiveCost, OfNodes) {
  Cluster cluster = Cluster::nodes(32, 8);
  double fast = cluster.levels[0].bandwidth, slow = cluster.levels[1].bandwidth;
  double bytes = 31 << 24;
  CollectiveCost cost(cluster, meshOf({4, 8}));
  auto ratio = [&](double seconds, double expected) {
    return seconds / expected;
  };
  EXPECT_NEAR(ratio(cost.seconds(Kind::AllGather, {1}, bytes), bytes / fast), 1,
              0.02);
  EXPECT_NEAR(ratio(cost.seconds(Kind::AllGather, {0}, bytes), bytes / slow), 1,
              0.02);
  EXPECT_NEAR(ratio(cost.seconds(Kind::AllGather, {0, 1}, bytes),
                    bytes * 3 / 31 / slow + bytes * 28 / 31 / fast),
              1, 0.05);
  EXPECT_NEAR(ratio(cost.seconds(Kind::AllToAll, {0, 1}, bytes),
                    bytes * 24 / 31 / slow + bytes * 7 / 31 / fast),
              1, 0.1);
  // Groups of 4 within nodes of 8.
  CollectiveCost other(cluster, meshOf({2, 4, 4}));
  EXPECT_NEAR(ratio(other.seconds(Kind::AllGather, {2}, bytes), bytes / fast),
              1, 0.02);
  // Every fourth rank: two in each of two nodes.
  EXPECT_NEAR(ratio(other.seconds(Kind::AllGather, {1}, bytes),
                    bytes * 1 / 3 / slow + bytes * 2 / 3 / fast),
              1, 0.02);
  EXPECT_GT(other.seconds(Kind::AllGather, {1}, bytes),
            other.seconds(Kind::AllGather, {2}, bytes) * 3);
  // Groups of 6 in nodes of 8: ranks 6 to 11 are on two nodes.
  CollectiveCost crooked(Cluster::nodes(24, 8), meshOf({4, 6}));
  EXPECT_GT(crooked.seconds(Kind::AllGather, {1}, bytes), bytes / fast * 1.5);
}

// 100,000 ranks are no trouble.
TEST(CollectiveCost, OfManyRanks) {
  Cluster cluster = Cluster::nodes(102400, 8);
  CollectiveCost cost(cluster, meshOf({1600, 8, 8}));
  EXPECT_GT(cost.seconds(Kind::AllReduce, {0, 1, 2}, 1e9),
            cost.seconds(Kind::AllReduce, {2}, 1e9));
}

} // namespace
