// SPDX-License-Identifier: Apache-2.0
#include "PlanBuilder.h"

#include "runtime/comm/Collectives.h"

#include <cstring>

using namespace weir;
using namespace weir::comm;
using namespace weir::plan;
using weir::test::PlanBuilder;
using weir::test::Random;

namespace {

using Op = Collective::Op;

/// A collective with all ranks' tensors, judged element by element.
struct World {
  Plan plan;
  std::vector<std::vector<float>> in, out; // by rank

  const Entry &entry() const { return plan.entries.front(); }
  const Collective &collective() const { return entry().collectives.front(); }

  World(std::vector<MeshAxis> mesh, Collective made, int64_t microBatches = 1) {
    PlanBuilder b(std::move(mesh), microBatches);
    int stream = b.stream("comm");
    int x = b.buffer("in", 1 << 20), y = b.buffer("out", 1 << 20);
    std::vector<int> phases = b.collective("site", std::move(made), x, y);
    int actor = b.actor("all", stream, phases, microBatches > 1);
    for (int64_t i = 0; i < microBatches; ++i)
      b.schedule(actor, microBatches > 1 ? static_cast<int>(i) : -1);
    plan = std::move(b.plan);
  }

  std::vector<Interval> block(int64_t rank, int64_t microBatch,
                              bool output) const {
    std::vector<int64_t> at = rankCoordinates(rank, plan.mesh);
    if (plan.mesh.back().time)
      at.back() = microBatch;
    std::vector<Interval> result;
    for (const CollectiveDim &dim : collective().dims)
      result.push_back(
          intervalOf(dim.logical, output ? dim.outAxes : dim.inAxes,
                     output ? dim.outUnit : dim.inUnit, plan.mesh, at));
    return result;
  }

  /// Visits the elements of a rank's block: their logical index and where they
  /// lie.
  template <typename Visit>
  void forBlock(int64_t rank, int64_t microBatch, bool output,
                const Visit &visit) const {
    std::vector<Interval> intervals = block(rank, microBatch, output);
    int64_t total = 1;
    for (const Interval &interval : intervals)
      total *= interval.extent;
    for (int64_t i = 0; i < total; ++i) {
      int64_t rest = i, logical = 0, place = 0, scale = 1;
      for (size_t d = intervals.size(); d-- > 0;) {
        const CollectiveDim &dim = collective().dims[d];
        int64_t at = rest % intervals[d].extent;
        rest /= intervals[d].extent;
        logical += (intervals[d].offset + at) * scale;
        scale *= dim.logical;
        place += at * (output ? dim.outStride : dim.inStride);
      }
      visit(logical, place);
    }
  }

  /// What `rank` contributes to a logical element. Whole numbers, so that sums
  /// are exact in any order.
  float contribution(int64_t rank, int64_t logical) const {
    // Members that hold copies hold the same value.
    std::vector<int64_t> at = rankCoordinates(rank, plan.mesh);
    int64_t who = 0;
    if (collective().op == Op::AllReduce ||
        collective().op == Op::ReduceScatter)
      for (int axis : collective().axes) {
        bool splits = false;
        for (const CollectiveDim &dim : collective().dims)
          for (int other : dim.inAxes)
            splits |= other == axis;
        if (!splits)
          who = who * plan.mesh[axis].size + at[axis];
      }
    return static_cast<float>((logical * 7 + who * 13 + who * who) % 101 - 50);
  }

  float expected(int64_t rank, int64_t logical, int64_t microBatch) const {
    // All members of the group whose block holds the element.
    std::vector<int64_t> mine = rankCoordinates(rank, plan.mesh);
    bool first = true;
    float result = 0;
    bool reduces = collective().op == Op::AllReduce ||
                   collective().op == Op::ReduceScatter;
    for (int64_t peer = 0; peer < plan.numRanks(); ++peer) {
      std::vector<int64_t> at = rankCoordinates(peer, plan.mesh);
      bool member = true;
      for (size_t axis = 0; axis < plan.mesh.size(); ++axis) {
        bool grouped = false;
        for (int g : collective().axes)
          grouped |= g == static_cast<int>(axis);
        member &= grouped || at[axis] == mine[axis];
      }
      if (!member)
        continue;
      bool holds = false;
      forBlock(peer, microBatch, false,
               [&](int64_t index, int64_t) { holds |= index == logical; });
      if (!holds)
        continue;
      float value = contribution(peer, logical);
      if (first || !reduces)
        result = value;
      else if (collective().combiner == Combiner::Sum)
        result += value;
      else if (collective().combiner == Combiner::Max)
        result = std::max(result, value);
      else
        result = std::min(result, value);
      first = false;
    }
    EXPECT_FALSE(first) << "nobody holds element " << logical;
    return result;
  }

  /// Runs all phases on one thread, ranks in a random order, and compares.
  void check(Random &random, bool inPlace, const std::string &what) {
    ASSERT_TRUE(verifyPlan(plan).ok()) << what << verifyPlan(plan).message();
    auto made = Collectives::create(plan, entry());
    ASSERT_TRUE(made.ok()) << what << ": " << made.status().message();
    Collectives &collectives = **made;
    int64_t ranks = plan.numRanks();
    constexpr float untouched = 12345;
    collectives.reset();
    for (int64_t j = 0; j < entry().microBatches; ++j) {
      in.assign(ranks, std::vector<float>(4096, untouched));
      out.assign(ranks, std::vector<float>(4096, untouched));
      for (int64_t rank = 0; rank < ranks; ++rank)
        forBlock(rank, j, false, [&](int64_t logical, int64_t place) {
          in[rank][place] = contribution(rank, logical);
        });
      std::vector<size_t> next(ranks, 0);
      size_t phases = entry().actions.size();
      for (size_t left = phases * ranks, idle = 0; left > 0;) {
        int64_t rank = random.below(ranks);
        const Action &action =
            entry().actions[std::min(next[rank], phases - 1)];
        if (next[rank] == phases ||
            !collectives.ready(action, rank, static_cast<int>(j))) {
          ASSERT_LT(++idle, 100000u) << what << ": no rank is ready";
          continue;
        }
        idle = 0;
        float *target = inPlace ? in[rank].data() : out[rank].data();
        collectives.run(action, rank, static_cast<int>(j), in[rank].data(),
                        target);
        ++next[rank];
        --left;
      }
      for (int64_t rank = 0; rank < ranks; ++rank) {
        std::vector<float> &result = inPlace ? in[rank] : out[rank];
        std::vector<bool> written(result.size(), false);
        forBlock(rank, j, true, [&](int64_t logical, int64_t place) {
          ASSERT_EQ(result[place], expected(rank, logical, j))
              << what << ", rank " << rank << ", element " << logical;
          written[place] = true;
        });
        if (!inPlace)
          for (size_t i = 0; i < result.size(); ++i)
            ASSERT_TRUE(written[i] || result[i] == untouched)
                << what << ", rank " << rank << ", place " << i;
      }
    }
  }
};

/// Dimensions laid out row-major over capacities, the output with gaps.
std::vector<CollectiveDim> dimsOf(const std::vector<MeshAxis> &mesh,
                                  const std::vector<int64_t> &sizes,
                                  const std::vector<std::vector<int>> &inAxes,
                                  const std::vector<std::vector<int>> &outAxes,
                                  int64_t gap) {
  std::vector<CollectiveDim> dims(sizes.size());
  int64_t inStride = 1, outStride = gap > 0 ? 2 : 1;
  for (size_t i = sizes.size(); i-- > 0;) {
    dims[i] = {sizes[i], inAxes[i], outAxes[i], inStride, outStride};
    inStride *=
        largestValue({ScalarExpr::Kind::Extent, sizes[i], inAxes[i]}, mesh);
    outStride = outStride * largestValue({ScalarExpr::Kind::Extent, sizes[i],
                                          outAxes[i]},
                                         mesh) +
                gap;
  }
  return dims;
}

} // namespace

TEST(Collectives, AllReduceOfUnevenTensors) {
  Random random(1);
  for (int64_t ranks : {1, 2, 3, 4, 5})
    for (int64_t size : {0, 1, 3, 16, 17, 100, 515})
      for (Combiner combiner : {Combiner::Sum, Combiner::Max, Combiner::Min})
        for (bool inPlace : {false, true}) {
          std::vector<MeshAxis> mesh = {{"dp", ranks}};
          Collective c;
          c.axes = {0};
          c.combiner = combiner;
          c.dims = dimsOf(mesh, {size}, {{}}, {{}}, 0);
          World(mesh, c).check(random, inPlace,
                               std::to_string(size) + " on " +
                                   std::to_string(ranks));
        }
}

TEST(Collectives, AllReduceOfAShardOverOneAxisOfTwo) {
  Random random(2);
  std::vector<MeshAxis> mesh = {{"dp", 2}, {"tp", 3}};
  for (int64_t gap : {0, 3})
    for (auto axes : {std::vector<int>{0}, std::vector<int>{1},
                      std::vector<int>{0, 1}, std::vector<int>{1, 0}}) {
      // Split over the axes that are not reduced.
      std::vector<int> rest;
      for (int axis : {0, 1})
        if (std::find(axes.begin(), axes.end(), axis) == axes.end())
          rest.push_back(axis);
      Collective c;
      c.axes = axes;
      c.dims = dimsOf(mesh, {7, 5, 3}, {rest, {}, {}}, {rest, {}, {}}, gap);
      World(mesh, c).check(random, false, "all-reduce");
    }
}

TEST(Collectives, GatherScatterAndExchangeInEveryLayout) {
  Random random(3);
  std::vector<MeshAxis> mesh = {{"x", 2}, {"y", 2}};
  // Every way to split two dimensions over two axes (each axis on one or none).
  std::vector<std::vector<std::vector<int>>> layouts;
  for (int x = -1; x < 2; ++x)
    for (int y = -1; y < 2; ++y)
      for (bool swapped : {false, true}) {
        std::vector<std::vector<int>> axes(2);
        if (x >= 0)
          axes[x].push_back(0);
        if (y >= 0)
          axes[y].insert(swapped ? axes[y].begin() : axes[y].end(), 1);
        if (!swapped || (x == y && x >= 0))
          layouts.push_back(axes);
      }
  for (const auto &from : layouts)
    for (const auto &to : layouts)
      for (auto sizes : {std::vector<int64_t>{5, 6}, std::vector<int64_t>{3, 1},
                         std::vector<int64_t>{8, 4}}) {
        // With the group of all ranks, any layout can become any other.
        Collective c;
        c.op = Op::AllToAll;
        c.axes = {0, 1};
        c.dims = dimsOf(mesh, sizes, from, to, random.below(3));
        World(mesh, c).check(random, false, "all-to-all");
        if (HasFatalFailure())
          return;
        c.op = Op::Exchange;
        World(mesh, c).check(random, false, "exchange");
        if (HasFatalFailure())
          return;
        // The axes that do not split the input are partial sums.
        c.op = Op::ReduceScatter;
        c.combiner = Combiner::Sum;
        World(mesh, c).check(random, false, "reduce-scatter");
        if (HasFatalFailure())
          return;
      }
}

TEST(Collectives, UsualForms) {
  Random random(4);
  for (int64_t ranks : {2, 3, 4}) {
    std::vector<MeshAxis> mesh = {{"a", ranks}, {"b", 2}};
    for (int64_t size : {1, 2, 5, 12, 13}) {
      Collective gather;
      gather.op = Op::AllGather;
      gather.axes = {0};
      gather.dims = dimsOf(mesh, {size, 3}, {{0}, {1}}, {{}, {1}}, 0);
      World(mesh, gather).check(random, false, "all-gather");
      Collective scatter;
      scatter.op = Op::ReduceScatter;
      scatter.axes = {0};
      scatter.dims = dimsOf(mesh, {size, 3}, {{}, {1}}, {{0}, {1}}, 0);
      World(mesh, scatter).check(random, false, "reduce-scatter");
      Collective exchange;
      exchange.op = Op::AllToAll;
      exchange.axes = {0};
      exchange.dims =
          dimsOf(mesh, {size, 7, 2}, {{0}, {}, {1}}, {{}, {0}, {1}}, 1);
      World(mesh, exchange).check(random, false, "all-to-all");
      // Nested: a splits what b has split.
      Collective nested;
      nested.op = Op::AllGather;
      nested.axes = {0};
      nested.dims = dimsOf(mesh, {size}, {{1, 0}}, {{1}}, 0);
      World(mesh, nested).check(random, false, "nested all-gather");
      if (HasFatalFailure())
        return;
    }
  }
}

TEST(Collectives, MicroBatchesHaveTheirOwnExtents) {
  Random random(5);
  std::vector<MeshAxis> mesh = {{"tp", 2}, {"mb", 3, true}};
  Collective c;
  c.axes = {0};
  c.dims = dimsOf(mesh, {8, 5}, {{1}, {}}, {{1}, {}}, 0);
  World(mesh, c, 3).check(random, false, "micro-batches");
  Collective exchange;
  exchange.op = Op::AllToAll;
  exchange.axes = {0};
  exchange.dims = dimsOf(mesh, {8, 5}, {{1}, {0}}, {{1}, {}}, 0);
  World(mesh, exchange, 3).check(random, false, "micro-batches");
}

TEST(Collectives, SumsAreTakenInTheOrderOfRanks) {
  // (1e8 + 1) - 1e8 is 0 in f32 and 1e8 - 1e8 + 1 is 1: order shows.
  std::vector<MeshAxis> mesh = {{"dp", 3}};
  Collective c;
  c.axes = {0};
  c.dims = dimsOf(mesh, {40}, {{}}, {{}}, 0);
  World world(mesh, c);
  auto collectives = Collectives::create(world.plan, world.entry());
  ASSERT_TRUE(collectives.ok());
  (*collectives)->reset();
  float values[3] = {1e8f, -1e8f, 1};
  std::vector<std::vector<float>> data;
  for (float value : values)
    data.emplace_back(40, value);
  for (const Action &action : world.entry().actions)
    for (int64_t rank : {2, 0, 1})
      (*collectives)
          ->run(action, rank, 0, data[rank].data(), data[rank].data());
  for (const std::vector<float> &result : data)
    for (float value : result)
      EXPECT_EQ(value, 1);
}

TEST(Collectives, WhatCannotWorkIsRefusedAtLoad) {
  std::vector<MeshAxis> mesh = {{"x", 2}, {"y", 2}};
  auto statusOf = [&](Collective c) {
    World world(mesh, std::move(c));
    return Collectives::create(world.plan, world.entry()).status();
  };
  Collective type;
  type.axes = {0};
  type.dtype = DType::BF16;
  EXPECT_EQ(statusOf(type).code(), StatusCode::IncompatibleArtifact);
  // The group runs over x, but the parts lie along y.
  Collective lacking;
  lacking.op = Op::AllGather;
  lacking.axes = {0};
  lacking.dims = dimsOf(mesh, {8}, {{1}}, {{}}, 0);
  Status status = statusOf(lacking);
  EXPECT_EQ(status.code(), StatusCode::InvalidInput);
  EXPECT_NE(status.message().find("'site'"), std::string::npos);
  EXPECT_NE(
      status.message().find("needs 8 elements of which its group holds 4"),
      std::string::npos)
      << status.message();
  Collective split;
  split.axes = {0};
  split.dims = dimsOf(mesh, {8}, {{0}}, {{0}}, 0);
  EXPECT_EQ(statusOf(split).code(), StatusCode::InvalidInput);
}

TEST(Collectives, ReportsWhoIsMissingAndHowMuchMoves) {
  std::vector<MeshAxis> mesh = {{"dp", 4}};
  Collective c;
  c.axes = {0};
  c.dims = dimsOf(mesh, {256}, {{}}, {{}}, 0);
  World world(mesh, c);
  auto made = Collectives::create(world.plan, world.entry());
  ASSERT_TRUE(made.ok());
  Collectives &collectives = **made;
  // 2 (n - 1) / n of the tensor, the known bound of an all-reduce.
  EXPECT_EQ(collectives.bytesReceived(0), 2 * 3 * 64 * 4);
  collectives.reset();
  std::vector<float> data(256);
  const std::vector<Action> &actions = world.entry().actions;
  collectives.run(actions[0], 1, 0, data.data(), data.data());
  EXPECT_FALSE(collectives.ready(actions[1], 1, 0));
  EXPECT_EQ(collectives.missing(actions[1], 1, 0), "ranks 0, 2, 3");
}

TEST(Box, CoalescesWhatIsContiguousInBothPlaces) {
  Box box;
  box.dims = {{4, 30, 30}, {1, 99, 7}, {5, 6, 6}, {6, 1, 1}};
  box.coalesce();
  ASSERT_EQ(box.dims.size(), 1u);
  EXPECT_EQ(box.dims[0].extent, 120);
  box.dims = {{4, 30, 60}, {5, 6, 12}, {6, 1, 2}};
  box.coalesce();
  EXPECT_EQ(box.dims.size(), 1u);
  box.dims = {{4, 40, 30}, {5, 6, 6}, {6, 1, 1}};
  box.coalesce();
  EXPECT_EQ(box.dims.size(), 2u);
  EXPECT_EQ(box.elements(), 120);
  box.dims = {{4, 1, 1}, {0, 1, 1}};
  box.coalesce();
  EXPECT_EQ(box.elements(), 0);
}
