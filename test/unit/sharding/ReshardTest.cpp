// SPDX-License-Identifier: Apache-2.0
// Programs of reshards: every pair of layouts on small meshes, executed.
#include "compiler/Sharding/Reshard.h"
#include "compiler/API/InitDialects.h"

#include <gtest/gtest.h>

using namespace mlir;
using namespace weir;
using namespace weir::compiler;
using dist::AxisLayout;

namespace {

MLIRContext &context() {
  static MLIRContext *instance = [] {
    DialectRegistry registry;
    registerAllWeirDialects(registry);
    auto *made = new MLIRContext(registry);
    made->loadAllAvailableDialects();
    return made;
  }();
  return *instance;
}

dist::MeshAttr meshOf(ArrayRef<int64_t> sizes, bool time = false) {
  SmallVector<StringAttr> names;
  for (size_t i = 0; i < sizes.size(); ++i)
    names.push_back(StringAttr::get(&context(), "m" + std::to_string(i)));
  return dist::MeshAttr::get(&context(), names, sizes, time);
}

std::vector<SmallVector<AxisLayout>> allLayouts(unsigned axes, int64_t dims,
                                                bool partial) {
  std::vector<SmallVector<AxisLayout>> layouts = {{}};
  for (unsigned a = 0; a < axes; ++a) {
    std::vector<SmallVector<AxisLayout>> longer;
    for (const auto &layout : layouts) {
      auto with = [&](AxisLayout entry) {
        longer.push_back(layout);
        longer.back().push_back(entry);
      };
      with(AxisLayout::broadcast());
      for (int64_t d = 0; d < dims; ++d)
        with(AxisLayout::split(d));
      if (partial)
        with(AxisLayout::partial());
    }
    layouts = longer;
  }
  return layouts;
}

std::string text(ArrayRef<AxisLayout> layout) {
  std::string out;
  llvm::raw_string_ostream os(out);
  os << "[";
  llvm::interleaveComma(layout, os);
  os << "]";
  return out;
}

/// Checks one step against the rules of the ops: what it adds becomes the
/// innermost split, what it removes was, and splits nest in mesh order.
std::string checkStep(ArrayRef<AxisLayout> before, const ReshardStep &step) {
  using Kind = ReshardStep::Kind;
  auto axesOf = [](ArrayRef<AxisLayout> layout, int64_t dim) {
    SmallVector<int64_t> axes;
    for (auto [a, entry] : llvm::enumerate(layout))
      if (entry.isSplit(dim))
        axes.push_back(a);
    return axes;
  };
  SmallVector<AxisLayout> after(before);
  auto innermost = [&](ArrayRef<AxisLayout> layout, int64_t dim) {
    SmallVector<int64_t> axes = axesOf(layout, dim);
    return ArrayRef(axes).take_back(step.axes.size()) == ArrayRef(step.axes);
  };
  for (int64_t axis : step.axes) {
    AxisLayout &entry = after[axis];
    switch (step.kind) {
    case Kind::LocalSlice:
      if (!entry.isBroadcast())
        return "slices what is not whole";
      entry = AxisLayout::split(step.dim);
      break;
    case Kind::ReduceScatter:
    case Kind::AllReduce:
      if (!entry.isPartial() || entry.reduction != step.reduction)
        return "reduces what is not partial";
      entry = step.kind == Kind::AllReduce ? AxisLayout::broadcast()
                                           : AxisLayout::split(step.dim);
      break;
    case Kind::AllGather:
    case Kind::AllToAll:
      if (!entry.isSplit(step.dim))
        return "gathers what is not split";
      entry = step.kind == Kind::AllGather ? AxisLayout::broadcast()
                                           : AxisLayout::split(step.toDim);
      break;
    case Kind::ToPartial:
      if (!entry.isBroadcast())
        return "makes partial what is not whole";
      entry = AxisLayout::partial(step.reduction);
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

TEST(Reshard, EveryPairOfLayoutsIsASequenceOfLegalSteps) {
  for (const std::vector<int64_t> &sizes :
       std::vector<std::vector<int64_t>>{{2}, {2, 3}, {2, 2, 2}}) {
    dist::MeshAttr mesh = meshOf(sizes);
    auto layouts = allLayouts(sizes.size(), 2, true);
    for (const auto &from : layouts)
      for (const auto &to : layouts) {
        auto steps = planReshard(from, to, mesh);
        ASSERT_TRUE(succeeded(steps)) << text(from) << " to " << text(to);
        SmallVector<AxisLayout> now = from;
        for (const ReshardStep &step : *steps) {
          EXPECT_EQ(checkStep(now, step), "")
              << text(from) << " to " << text(to);
          now.assign(step.result.begin(), step.result.end());
        }
        EXPECT_EQ(text(now), text(to)) << "from " << text(from);
        if (ArrayRef(from) == ArrayRef(to)) {
          EXPECT_TRUE(steps->empty());
        }
      }
  }
}

/// Number of steps that communicate.
size_t collectives(ArrayRef<AxisLayout> from, ArrayRef<AxisLayout> to,
                   dist::MeshAttr mesh) {
  auto steps = planReshard(from, to, mesh);
  return llvm::count_if(*steps, [](const ReshardStep &step) {
    return step.kind != ReshardStep::Kind::LocalSlice &&
           step.kind != ReshardStep::Kind::ToPartial;
  });
}

// Counts that DTensor's tests pin on a 3-D mesh, as upper bounds, and Shardy's
// (the oracles' section on resharding). Those that need a permutation of
// shards are the next milestone's.
TEST(Reshard, UsesNoMoreCollectivesThanOthers) {
  AxisLayout B, S0 = AxisLayout::split(0), S1 = AxisLayout::split(1),
                S2 = AxisLayout::split(2);
  dist::MeshAttr mesh = meshOf({2, 2, 2});
  EXPECT_LE(collectives({S0, S0, S0}, {S1, S1, S1}, mesh), 3u);
  EXPECT_LE(collectives({S1, S0, S0}, {B, S0, S0}, mesh), 1u);
  EXPECT_LE(collectives({S1, B, S0}, {B, S0, S0}, mesh), 3u);
  EXPECT_LE(collectives({S0, S0, S1}, {S0, S1, S2}, mesh), 2u);
  EXPECT_EQ(collectives({S0, S0, S0}, {S0, B, B}, mesh), 1u);
  EXPECT_EQ(collectives({S0, S2, S2}, {S0, S1, S1}, mesh), 1u);
  EXPECT_EQ(collectives({S1, B, B}, {S2, S2, S2}, mesh), 1u);
}

// A partial value on two axes to a mixed layout: both are reduced.
TEST(Reshard, ReducesEveryPartialAxis) {
  AxisLayout B, S0 = AxisLayout::split(0), P = AxisLayout::partial();
  dist::MeshAttr mesh = meshOf({2, 2});
  auto steps = planReshard({P, P}, {S0, B}, mesh);
  ASSERT_TRUE(succeeded(steps));
  ASSERT_EQ(steps->size(), 2u);
  EXPECT_EQ((*steps)[0].kind, ReshardStep::Kind::ReduceScatter);
  EXPECT_EQ((*steps)[1].kind, ReshardStep::Kind::AllReduce);
  steps = planReshard({P, P}, {B, B}, mesh);
  ASSERT_EQ(steps->size(), 1u);
  EXPECT_EQ((*steps)[0].axes.size(), 2u);
}

TEST(Reshard, NeverCrossesMicroBatches) {
  AxisLayout B, S0 = AxisLayout::split(0), S1 = AxisLayout::split(1);
  dist::MeshAttr mesh = meshOf({2, 3}, /*time=*/true);
  EXPECT_TRUE(failed(planReshard({S0, S0}, {B, S0}, mesh)));
  EXPECT_TRUE(failed(planReshard({B, S0}, {S0, S0}, mesh)));
  EXPECT_TRUE(failed(planReshard({B, S0}, {B, B}, mesh)));
  EXPECT_TRUE(succeeded(planReshard({S1, S0}, {B, S0}, mesh)));
}

TEST(Reshard, CostsWhatARankReceives) {
  AxisLayout B, S0 = AxisLayout::split(0), P = AxisLayout::partial();
  dist::MeshAttr mesh = meshOf({4});
  auto cost = [&](AxisLayout from, AxisLayout to) {
    auto steps = planReshard({from}, {to}, mesh);
    return reshardCost(*steps, {from}, mesh, 1024);
  };
  EXPECT_EQ(cost(S0, B), 768 + collectiveLatencyBytes);
  EXPECT_EQ(cost(P, B), 1536 + collectiveLatencyBytes);
  EXPECT_EQ(cost(P, S0), 768 + collectiveLatencyBytes);
  EXPECT_EQ(cost(B, S0), 0);
  EXPECT_EQ(cost(S0, AxisLayout::split(1)), 192 + collectiveLatencyBytes);
}

} // namespace
