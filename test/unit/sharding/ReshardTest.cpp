// SPDX-License-Identifier: Apache-2.0
// Programs of reshards: that they are legal, near the bound, short and quickly
// found. Figures of others are from the sources named at each table.
#include "test/unit/sharding/ReshardSupport.h"

#include <ctime>
#include <gtest/gtest.h>

using namespace mlir;
using namespace weir;
using namespace weir::compiler;
using dist::AxisLayout;
using Kind = ReshardStep::Kind;

namespace {

const AxisLayout B, S0 = AxisLayout::split(0), S1 = AxisLayout::split(1),
                    S2 = AxisLayout::split(2), P = AxisLayout::partial();

SmallVector<int64_t> axesOf(ArrayRef<AxisLayout> layout, int64_t dim) {
  SmallVector<int64_t> axes;
  for (auto [a, entry] : llvm::enumerate(layout))
    if (entry.isSplit(dim))
      axes.push_back(a);
  return axes;
}

/// Checks one step against the rules of the ops: what it adds becomes the
/// innermost split, what it removes was, and splits nest in mesh order.
std::string checkStep(ArrayRef<AxisLayout> before, const ReshardStep &step) {
  if (step.axes.empty())
    return "has no axes";
  SmallVector<AxisLayout> after(before);
  auto innermost = [&](ArrayRef<AxisLayout> layout, int64_t dim) {
    SmallVector<int64_t> axes = axesOf(layout, dim);
    return ArrayRef(axes).take_back(step.axes.size()) == ArrayRef(step.axes);
  };
  if (step.kind == Kind::Exchange) {
    for (auto [axis, entry] : llvm::enumerate(step.result))
      if (entry != before[axis]) {
        if (entry.isPartial() || before[axis].isPartial())
          return "exchanges terms";
        if (!llvm::is_contained(step.axes, int64_t(axis)))
          return "changes an axis that it does not exchange over";
      }
    for (int64_t dim = 0; dim < 3; ++dim) {
      SmallVector<int64_t> a = axesOf(before, dim),
                           b = axesOf(step.result, dim);
      size_t same = 0;
      while (same < a.size() && same < b.size() && a[same] == b[same] &&
             before[a[same]] == step.result[a[same]])
        ++same;
      for (ArrayRef<int64_t> axes : {ArrayRef(a), ArrayRef(b)})
        for (int64_t axis : axes.drop_front(same))
          if (!llvm::is_contained(step.axes, axis))
            return "leaves out an axis whose blocks change";
    }
    return "";
  }
  for (int64_t axis : step.axes) {
    AxisLayout &entry = after[axis];
    auto splitOf = [&](int64_t dim) {
      return AxisLayout::split(dim, step.result[axis].unit);
    };
    switch (step.kind) {
    case Kind::LocalSlice:
      if (!entry.isBroadcast())
        return "slices what is not whole";
      entry = splitOf(step.dim);
      break;
    case Kind::ReduceScatter:
    case Kind::AllReduce:
      if (!entry.isPartial() || entry.reduction != step.reduction)
        return "reduces what is not partial";
      entry = step.kind == Kind::AllReduce ? B : splitOf(step.dim);
      break;
    case Kind::AllGather:
    case Kind::AllToAll:
      if (!entry.isSplit(step.dim))
        return "gathers what is not split";
      entry = step.kind == Kind::AllGather ? B : splitOf(step.toDim);
      break;
    case Kind::ToPartial:
      if (!entry.isBroadcast())
        return "makes partial what is not whole";
      entry = AxisLayout::partial(step.reduction);
      break;
    case Kind::Exchange:
      break;
    }
  }
  if ((step.kind == Kind::AllGather || step.kind == Kind::AllToAll) &&
      !innermost(before, step.dim))
    return "gathers a split that is not innermost";
  if ((step.kind == Kind::LocalSlice || step.kind == Kind::ReduceScatter) &&
      !innermost(after, step.dim))
    return "adds a split that is not innermost";
  if (step.kind == Kind::AllToAll && !innermost(after, step.toDim))
    return "adds a split that is not innermost";
  if (ArrayRef(after) != ArrayRef(step.result))
    return "names another layout than it makes";
  return "";
}

void expectLegal(ArrayRef<AxisLayout> from, ArrayRef<AxisLayout> to,
                 const ReshardPlan &plan) {
  Layout now(from);
  for (const ReshardStep &step : plan.steps) {
    EXPECT_EQ(checkStep(now, step), "")
        << text(from) << " to " << text(to) << ": " << text(plan);
    now.assign(step.result.begin(), step.result.end());
  }
  EXPECT_EQ(text(now), text(to)) << "from " << text(from);
  EXPECT_GE(plan.bytesTotal, plan.boundTotal)
      << text(from) << " to " << text(to) << ": " << text(plan);
  EXPECT_GE(plan.bytesMax, plan.boundMax)
      << text(from) << " to " << text(to) << ": " << text(plan);
}

// Every step obeys the rules of its op and every program ends where it should,
// terms of sums included, on even and uneven tensors and on several networks.
TEST(Reshard, EveryPairOfLayoutsIsASequenceOfLegalSteps) {
  for (const std::vector<int64_t> &sizes :
       std::vector<std::vector<int64_t>>{{2}, {2, 3}, {2, 2, 2}})
    for (const std::vector<int64_t> &shape :
         std::vector<std::vector<int64_t>>{{7, 5}, {1024, 1536}}) {
      dist::MeshAttr mesh = meshOf(sizes);
      for (const Cluster &cluster : {Cluster::host(mesh.getNumRanks()),
                                     Cluster::nodes(mesh.getNumRanks(), 2)}) {
        Resharder resharder(mesh, cluster);
        auto layouts = allLayouts(sizes.size(), 2, true);
        for (const Layout &from : layouts)
          for (const Layout &to : layouts) {
            auto plan = resharder.plan(from, to, tensorOf(shape));
            ASSERT_TRUE(succeeded(plan)) << text(from) << " to " << text(to);
            expectLegal(from, to, **plan);
            if (ArrayRef(from) == ArrayRef(to)) {
              EXPECT_TRUE((*plan)->steps.empty());
            }
          }
      }
    }
}

/// Received over bound, of all ordered pairs of layouts over {B, S(i)}.
struct Ratios {
  double total = 0, worst = 0, worstRank = 0;
  int64_t pairs = 0, collectives = 0;
};
Ratios ratiosOf(ArrayRef<int64_t> meshSizes, ArrayRef<int64_t> shape) {
  dist::MeshAttr mesh = meshOf(meshSizes);
  Resharder resharder(mesh, Cluster::host(mesh.getNumRanks()));
  Ratios ratios;
  double received = 0, bound = 0;
  auto layouts = allLayouts(meshSizes.size(), shape.size(), false);
  for (const Layout &from : layouts)
    for (const Layout &to : layouts) {
      if (from == to)
        continue;
      const ReshardPlan &plan = **resharder.plan(from, to, tensorOf(shape));
      ++ratios.pairs;
      ratios.collectives += plan.numCollectives();
      received += plan.bytesTotal;
      bound += plan.boundTotal;
      if (plan.boundTotal == 0) {
        EXPECT_EQ(plan.bytesTotal, 0) << text(from) << " to " << text(to);
        continue;
      }
      ratios.worst =
          std::max(ratios.worst, double(plan.bytesTotal) / plan.boundTotal);
      ratios.worstRank =
          std::max(ratios.worstRank, double(plan.bytesMax) / plan.boundMax);
    }
  ratios.total = received / bound;
  return ratios;
}

// Bytes received over all pairs of layouts against the bound (a device's target
// block less what it holds of it). PyTorch DTensor's recipes reach 1.28, 1.73,
// 2.27 and 1.99 in total and 4, 8, 64 and 8 on the worst pair; the best
// sequences over single axes 1.16, 1.28, 1.32, 1.31 and 2.7, 4.6, 14.2, 3.4.
TEST(Reshard, ReceivesLittleMoreThanTheBound) {
  struct {
    std::vector<int64_t> mesh, shape;
    int64_t pairs;
  } rows[] = {{{2, 2}, {1024, 1024}, 72},
              {{2, 4}, {1024, 1024}, 72},
              {{8, 8}, {4096, 4096}, 72},
              {{2, 2, 2}, {256, 256, 256}, 4032}};
  for (const auto &row : rows) {
    Ratios ratios = ratiosOf(row.mesh, row.shape);
    EXPECT_EQ(ratios.pairs, row.pairs);
    EXPECT_LE(ratios.total, 1.05);
    EXPECT_LE(ratios.worst, 2);
    std::printf("mesh of %zu axes, %lld pairs: received / bound %.4f, worst "
                "pair %.3f (busiest rank %.3f), %.2f collectives a pair\n",
                row.mesh.size(), static_cast<long long>(ratios.pairs),
                ratios.total, ratios.worst, ratios.worstRank,
                double(ratios.collectives) / ratios.pairs);
  }
}

const ReshardPlan &planOf(ArrayRef<AxisLayout> from, ArrayRef<AxisLayout> to,
                          ArrayRef<int64_t> meshSizes,
                          ArrayRef<int64_t> shape) {
  static std::vector<std::unique_ptr<Resharder>> kept;
  dist::MeshAttr mesh = meshOf(meshSizes);
  kept.push_back(
      std::make_unique<Resharder>(mesh, Cluster::host(mesh.getNumRanks())));
  auto plan = kept.back()->plan(from, to, tensorOf(shape));
  EXPECT_TRUE(succeeded(plan)) << text(from) << " to " << text(to);
  expectLegal(from, to, **plan);
  return **plan;
}

// Counts of collectives that DTensor's tests pin (test_redistribute.py) on a
// 3-D mesh, upper bounds for ours: one is enough for large tensors.
TEST(Reshard, UsesNoMoreCollectivesThanDTensor) {
  struct {
    Layout from, to;
    int64_t atMost;
  } rows[] = {{{S0, S0, S0}, {S1, S1, S1}, 3}, {{S0, S1, S0}, {S1, S0, S0}, 3},
              {{S0, S1, S2}, {S2, S1, S0}, 2}, {{S1, S0, S0}, {B, S0, S0}, 1},
              {{S1, B, S0}, {B, S0, S0}, 2},   {{S0, S0, S1}, {S0, S1, S2}, 2}};
  for (const auto &row : rows)
    for (int64_t size : {8, 64, 512}) {
      const ReshardPlan &plan =
          planOf(row.from, row.to, {2, 2, 2}, {size, size, size});
      EXPECT_LE(plan.numCollectives(), size == 512 ? 1 : row.atMost)
          << text(row.from) << " to " << text(row.to) << ": " << text(plan);
    }
}

// Cases of Shardy's reshard tests on a mesh of 2 x 2 x 2: one all-gather over
// two axes, one all-to-all over two axes, a slice and one all-to-all. The last
// is undercut: an exchange moves each rank half of its new shard's rest, where
// an all-to-all over three axes moves 7 of 8 parts.
TEST(Reshard, FindsShardysPrograms) {
  std::vector<int64_t> mesh = {2, 2, 2}, shape = {64, 64, 64};
  const ReshardPlan &gather = planOf({S0, S0, S0}, {S0, B, B}, mesh, shape);
  ASSERT_EQ(gather.steps.size(), 1u) << text(gather);
  EXPECT_EQ(gather.steps[0].kind, Kind::AllGather);
  EXPECT_EQ(ArrayRef(gather.steps[0].axes), ArrayRef<int64_t>({1, 2}));

  const ReshardPlan &move = planOf({S0, S2, S2}, {S0, S1, S1}, mesh, shape);
  ASSERT_EQ(move.steps.size(), 1u) << text(move);
  EXPECT_EQ(move.steps[0].kind, Kind::AllToAll);
  EXPECT_EQ(ArrayRef(move.steps[0].axes), ArrayRef<int64_t>({1, 2}));

  const ReshardPlan &refine = planOf({S1, B, B}, {S2, S2, S2}, mesh, shape);
  EXPECT_EQ(refine.numCollectives(), 1) << text(refine);
  int64_t block = 64 * 64 * 64 * 4 / 8;
  EXPECT_LE(refine.bytesMax, block * 7 / 8) << text(refine);
  EXPECT_EQ(refine.bytesMax, refine.boundMax) << text(refine);
}

// [B, S(0)] to [S(1), S(1)]: a slice and an all-to-all reach the bound.
TEST(Reshard, SlicesBeforeItCommunicates) {
  const ReshardPlan &plan = planOf({B, S0}, {S1, S1}, {2, 2}, {64, 64});
  ASSERT_EQ(plan.steps.size(), 2u) << text(plan);
  EXPECT_EQ(plan.steps[0].kind, Kind::LocalSlice);
  EXPECT_EQ(plan.steps[1].kind, Kind::AllToAll);
  EXPECT_EQ(plan.bytesTotal, plan.boundTotal);
}

// Terms become shards by a reduce-scatter and whole by one all-reduce, over all
// axes at once.
TEST(Reshard, ReducesOnceOverAllAxes) {
  const ReshardPlan &scatter = planOf({P}, {S0}, {4}, {64, 64});
  ASSERT_EQ(scatter.steps.size(), 1u) << text(scatter);
  EXPECT_EQ(scatter.steps[0].kind, Kind::ReduceScatter);
  EXPECT_EQ(scatter.bytesTotal, scatter.boundTotal);
  const ReshardPlan &reduce = planOf({P}, {B}, {4}, {64, 64});
  ASSERT_EQ(reduce.steps.size(), 1u) << text(reduce);
  EXPECT_EQ(reduce.steps[0].kind, Kind::AllReduce);
  EXPECT_EQ(reduce.bytesTotal, reduce.boundTotal);
  const ReshardPlan &both = planOf({P, P}, {B, B}, {2, 2}, {64, 64});
  ASSERT_EQ(both.steps.size(), 1u) << text(both);
  EXPECT_EQ(both.steps[0].axes.size(), 2u);
  const ReshardPlan &shards = planOf({P, P}, {S0, S0}, {2, 2}, {64, 64});
  ASSERT_EQ(shards.steps.size(), 1u) << text(shards);
  EXPECT_EQ(shards.steps[0].kind, Kind::ReduceScatter);
}

// The all-reduce that a shipped system lost: a value partial on two axes whose
// target is split on one and whole on the other is reduced over both.
TEST(Reshard, ReducesEveryPartialAxisOfAMixedTarget) {
  for (const auto &[from, to] : std::vector<std::pair<Layout, Layout>>{
           {{P, P}, {S0, B}}, {{P, P}, {B, S0}}, {{P, P, S1}, {B, S0, S1}}}) {
    std::vector<int64_t> mesh(from.size(), 2);
    const ReshardPlan &plan = planOf(from, to, mesh, {64, 64});
    SmallVector<int64_t> reduced;
    for (const ReshardStep &step : plan.steps)
      if (step.kind == Kind::AllReduce || step.kind == Kind::ReduceScatter)
        reduced.append(step.axes.begin(), step.axes.end());
    llvm::sort(reduced);
    EXPECT_EQ(ArrayRef(reduced), ArrayRef<int64_t>({0, 1})) << text(plan);
  }
}

// Of reductions of several kinds each is done on its own axes.
TEST(Reshard, KeepsReductionsApart) {
  AxisLayout most = AxisLayout::partial(dist::Reduction::Max);
  const ReshardPlan &plan = planOf({P, most}, {B, B}, {2, 2}, {64, 64});
  for (const ReshardStep &step : plan.steps)
    if (step.kind == Kind::AllReduce || step.kind == Kind::ReduceScatter) {
      ASSERT_EQ(step.axes.size(), 1u);
      EXPECT_EQ(step.reduction, step.axes[0] == 0 ? dist::Reduction::Sum
                                                  : dist::Reduction::Max);
    }
  EXPECT_GE(plan.numCollectives(), 2);
}

// A dimension that the time axis splits keeps its other splits, also on the
// way: data does not cross micro-batches.
TEST(Reshard, NeverCrossesMicroBatches) {
  dist::MeshAttr mesh = meshOf({2, 2, 3}, /*time=*/true);
  Resharder resharder(mesh, Cluster::host(4));
  auto plan = [&](const Layout &from, const Layout &to) {
    return resharder.plan(from, to, tensorOf({24, 24}));
  };
  EXPECT_TRUE(failed(plan({S0, B, S0}, {B, B, S0})));
  EXPECT_TRUE(failed(plan({B, B, S0}, {S0, B, S0})));
  EXPECT_TRUE(failed(plan({B, B, S0}, {B, B, B})));
  EXPECT_TRUE(failed(plan({S0, B, S0}, {S1, B, S0})));
  EXPECT_TRUE(succeeded(plan({S1, B, S0}, {B, B, S0})));
  auto layouts = allLayouts(3, 2, true);
  for (const Layout &from : layouts)
    for (const Layout &to : layouts) {
      auto made = plan(from, to);
      bool keeps = from[2] == to[2];
      if (from[2].isSplit())
        for (int axis : {0, 1})
          for (const Layout *layout : {&from, &to})
            keeps &=
                !(*layout)[axis].isSplit(from[2].dim) || from[axis] == to[axis];
      EXPECT_EQ(succeeded(made), keeps) << text(from) << " to " << text(to);
      if (failed(made))
        continue;
      expectLegal(from, to, **made);
      for (const ReshardStep &step : (*made)->steps) {
        EXPECT_FALSE(llvm::is_contained(step.axes, 2));
        for (int axis : {0, 1})
          if (from[2].isSplit()) {
            EXPECT_EQ(step.result[axis].isSplit(from[2].dim),
                      from[axis].isSplit(from[2].dim));
          }
      }
    }
}

// Splits in runs: heads of 8 stay whole on the way to other splits, and a
// change of the unit alone is an exchange.
TEST(Reshard, MovesSplitsInUnits) {
  AxisLayout heads = AxisLayout::split(1, 8);
  const ReshardPlan &gather = planOf({B, heads}, {B, B}, {2, 2}, {16, 40});
  ASSERT_EQ(gather.steps.size(), 1u) << text(gather);
  EXPECT_EQ(gather.steps[0].kind, Kind::AllGather);
  const ReshardPlan &move = planOf({B, S0}, {B, heads}, {2, 2}, {16, 40});
  ASSERT_EQ(move.steps.size(), 1u) << text(move);
  EXPECT_EQ(move.steps[0].kind, Kind::AllToAll);
  // 5 heads are 24 and 16 elements, without units 20 and 20.
  const ReshardPlan &unit = planOf({B, heads}, {B, S1}, {2, 2}, {16, 40});
  ASSERT_EQ(unit.steps.size(), 1u) << text(unit);
  EXPECT_EQ(unit.steps[0].kind, Kind::Exchange);
  EXPECT_EQ(unit.bytesTotal, 2 * 16 * 4 * 4);
  const ReshardPlan &nested =
      planOf({heads, heads}, {S0, S1}, {2, 2}, {16, 40});
  EXPECT_EQ(nested.numCollectives(), 1) << text(nested);
}

// Plans count what uneven shards really receive: 5 rows over 2 and 3 ranks.
TEST(Reshard, CountsUnevenBytes) {
  const ReshardPlan &gather = planOf({S0}, {B}, {3}, {5, 2});
  // 2, 2 and 1 rows are held; 3, 3 and 4 lacking, of 8 bytes.
  EXPECT_EQ(gather.bytesTotal, 80);
  EXPECT_EQ(gather.bytesMax, 32);
  EXPECT_EQ(gather.boundTotal, 80);
  EXPECT_EQ(gather.boundMax, 32);
  const ReshardPlan &reduce = planOf({P}, {S0}, {2}, {5, 2});
  EXPECT_EQ(reduce.bytesTotal, 40);
  EXPECT_EQ(reduce.bytesMax, 24);
}

// A 4 x 4096 operand or a 4096 x 4096 one, both split by rows on x, to be
// contracted: moving the small one costs less at any size of x, and reducing
// the small result costs less than gathering the large operand.
TEST(Reshard, TheSmallOperandIsTheCheapOneToMove) {
  for (int64_t ranks : {2, 4, 8}) {
    dist::MeshAttr mesh = meshOf({ranks});
    Resharder resharder(mesh, Cluster::host(ranks));
    RankedTensorType small = tensorOf({4, 4096}),
                     large = tensorOf({4096, 4096});
    double moveSmall = (*resharder.plan({S0}, {S1}, small))->seconds;
    double gatherSmall = (*resharder.plan({S0}, {B}, small))->seconds;
    double gatherLarge = (*resharder.plan({S0}, {B}, large))->seconds;
    double moveLarge = (*resharder.plan({S0}, {S1}, large))->seconds;
    double reduceResult = (*resharder.plan({P}, {B}, small))->seconds;
    EXPECT_LT(moveSmall + reduceResult, moveLarge / 10);
    EXPECT_LT(moveSmall + reduceResult, gatherLarge / 10);
    EXPECT_LT(gatherSmall, gatherLarge / 10);
  }
}

// On nodes of 8, a value split over nodes and whole within is gathered by
// parts: each device fetches an eighth over the network and the rest from its
// neighbours. On one level of links that detour is not taken.
TEST(Reshard, KeepsBytesOffSlowLinks) {
  dist::MeshAttr mesh = meshOf({4, 8});
  Layout from = {S0, B}, to = {B, B};
  RankedTensorType type = tensorOf({4096, 4096});
  Resharder nodes(mesh, Cluster::nodes(32, 8));
  const ReshardPlan &plan = **nodes.plan(from, to, type);
  expectLegal(from, to, plan);
  ASSERT_GE(plan.steps.size(), 2u) << text(plan);
  EXPECT_EQ(plan.steps[0].kind, Kind::LocalSlice) << text(plan);
  // 31 of 32 parts instead of 3 of 4, but 3 of them over the network.
  EXPECT_LE(plan.bytesTotal, plan.boundTotal / 3 * 4) << text(plan);
  Resharder flat(mesh, Cluster::host(32));
  EXPECT_EQ((*flat.plan(from, to, type))->numCollectives(), 1);
  double direct =
      nodes.getCost().seconds(Kind::AllGather, {0}, 4096. * 4096 * 4 * 3 / 4);
  EXPECT_LT(plan.seconds, direct / 3);
}

/// Processor time: other processes do not count.
double threadSeconds() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return now.tv_sec + now.tv_nsec * 1e-9;
}

// A plan takes less than a millisecond at four mesh axes, averaged over pairs
// of a fixed sample (a build without optimisation gets five times that).
TEST(Reshard, IsFoundInLessThanAMillisecond) {
#if defined(__OPTIMIZE__) && !defined(__SANITIZE_ADDRESS__)
  double limit = 1e-3;
#else
  double limit = 5e-3;
#endif
  struct {
    std::vector<int64_t> mesh, shape;
    bool partial;
  } rows[] = {{{2, 2, 2, 2}, {64, 64, 64}, true},
              {{8, 8, 4, 4}, {1024, 1024, 1024}, true},
              {{4, 4, 4, 4}, {37, 53, 1021}, true}};
  for (const auto &row : rows) {
    dist::MeshAttr mesh = meshOf(row.mesh);
    auto layouts = allLayouts(4, row.shape.size(), row.partial);
    std::vector<double> times;
    std::string slowest;
    for (const Cluster &cluster : {Cluster::host(mesh.getNumRanks()),
                                   Cluster::nodes(mesh.getNumRanks(), 8)}) {
      Resharder resharder(mesh, cluster);
      for (size_t i = 0; i < layouts.size(); i += 7) {
        const Layout &to = layouts[(i * 131 + 17) % layouts.size()];
        double start = threadSeconds();
        auto plan = resharder.plan(layouts[i], to, tensorOf(row.shape));
        times.push_back(threadSeconds() - start);
        ASSERT_TRUE(succeeded(plan));
        expectLegal(layouts[i], to, **plan);
        if (times.back() == *llvm::max_element(times))
          slowest = text(layouts[i]) + " to " + text(to);
      }
    }
    llvm::sort(times);
    double sum = 0;
    for (double time : times)
      sum += time;
    EXPECT_LT(sum / times.size(), limit);
    std::printf("%zu pairs on %lld ranks: mean %.0f us, median %.0f us, "
                "slowest %.0f us (%s)\n",
                times.size(), static_cast<long long>(mesh.getNumRanks()),
                sum / times.size() * 1e6, times[times.size() / 2] * 1e6,
                times.back() * 1e6, slowest.c_str());
  }
}

} // namespace
