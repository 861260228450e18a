// SPDX-License-Identifier: Apache-2.0
// Helpers of the dist dialect: layouts from text, local types, capacities.
#include "dialects/Dist/Dist.h"

#include <gtest/gtest.h>

using namespace mlir;
using namespace weir::dist;

namespace {

class DistTest : public ::testing::Test {
protected:
  DistTest() { context.loadDialect<DistDialect>(); }

  LayoutAttr parse(llvm::StringRef text) {
    ScopedDiagnosticHandler handler(&context, [&](Diagnostic &diagnostic) {
      messages.push_back(diagnostic.str());
      return success();
    });
    return parseLayout(text, &context, [&] {
      return mlir::emitError(UnknownLoc::get(&context));
    });
  }

  MeshAttr mesh() {
    auto name = [&](llvm::StringRef text) {
      return StringAttr::get(&context, text);
    };
    return MeshAttr::get(&context, {name("dp"), name("tp"), name("mb")},
                         {2, 4, 3}, /*lastIsTime=*/true);
  }

  MLIRContext context;
  std::vector<std::string> messages;
};

TEST_F(DistTest, LayoutFromUserText) {
  LayoutAttr layout = parse(" [S(0), B, P(max)] ");
  ASSERT_TRUE(layout);
  EXPECT_TRUE(messages.empty());
  ASSERT_EQ(layout.getAxes().size(), 3u);
  EXPECT_TRUE(layout.getAxes()[0].isSplit(0));
  EXPECT_TRUE(layout.getAxes()[1].isBroadcast());
  EXPECT_EQ(layout.getAxes()[2], AxisLayout::partial(Reduction::Max));
}

TEST_F(DistTest, MalformedUserTextIsReportedOnceWithTheReason) {
  const char *texts[] = {"",       "[S]",       "[S(x)]",
                         "[S(0)",  "B",         "[B], 1",
                         "[Q(0)]", "[P(mean)]", "[S(0)]> junk <[B]"};
  for (const char *text : texts) {
    messages.clear();
    EXPECT_FALSE(parse(text)) << text;
    ASSERT_EQ(messages.size(), 1u) << text;
    EXPECT_NE(messages[0].find("expects a layout such as"), std::string::npos);
    EXPECT_NE(messages[0].find(std::string("got '") + text + "'"),
              std::string::npos);
  }
}

TEST_F(DistTest, MeshQueries) {
  MeshAttr m = mesh();
  EXPECT_EQ(m.getNumAxes(), 3u);
  EXPECT_EQ(m.getNumRanks(), 8); // time is no rank
  EXPECT_EQ(m.getTimeAxis(), 2);
  EXPECT_FALSE(m.isTime(1));
  EXPECT_TRUE(m.isTime(2));
  EXPECT_EQ(m.findAxis("tp"), 1);
  EXPECT_EQ(m.findAxis("pp"), -1);
}

TEST_F(DistTest, CapacityNestsInMeshOrder) {
  // 25 over 2 is 13, over 4 is 4, over 3 is 2.
  EXPECT_EQ(weir::dist::capacityOf({25, {0}}, mesh()), 13);
  EXPECT_EQ(weir::dist::capacityOf({25, {0, 1}}, mesh()), 4);
  EXPECT_EQ(weir::dist::capacityOf({25, {0, 1, 2}}, mesh()), 2);
  EXPECT_EQ(weir::dist::capacityOf({0, {1}}, mesh()), 0);
  EXPECT_EQ(weir::dist::capacityOf({7, {}}, mesh()), 7);
}

// Units are handed out whole: of 6 heads of 8 elements over 4 coordinates
// the largest shard holds 2 heads.
TEST_F(DistTest, UnitsStayWhole) {
  EXPECT_EQ(weir::dist::capacityOf({48, {1}, 8}, mesh()), 16);
  EXPECT_EQ(weir::dist::capacityOf({48, {1}, 1}, mesh()), 12);
  EXPECT_EQ(weir::dist::capacityOf({8, {0}, 8}, mesh()), 8);
  auto logical = RankedTensorType::get({48}, Float32Type::get(&context));
  RankedTensorType local =
      getLocalType(logical, parse("[B, S(0, unit=8), B]"), mesh());
  EXPECT_EQ(local.getShape(), llvm::ArrayRef<int64_t>({16}));
  EXPECT_EQ(llvm::cast<ShardAttr>(local.getEncoding()).getDims()[0].unit, 8);
}

TEST_F(DistTest, LocalTypeAndBack) {
  Type f32 = Float32Type::get(&context);
  auto logical = RankedTensorType::get({25, 64}, f32);
  RankedTensorType local =
      getLocalType(logical, parse("[S(0), S(1), S(0)]"), mesh());
  EXPECT_EQ(local.getShape(), llvm::ArrayRef<int64_t>({5, 16}));
  auto shard = llvm::cast<ShardAttr>(local.getEncoding());
  EXPECT_EQ(shard.getDims()[0].axes, (llvm::SmallVector<int64_t, 2>{0, 2}));
  EXPECT_EQ(shard.getDims()[1].axes, (llvm::SmallVector<int64_t, 2>{1}));
  EXPECT_FALSE(shard.isWhole());
  EXPECT_EQ(getLogicalShape(local), (llvm::SmallVector<int64_t>{25, 64}));
}

TEST_F(DistTest, WholeAndPartialTensorsKeepTheirType) {
  auto logical = RankedTensorType::get({25}, Float32Type::get(&context));
  EXPECT_EQ(getLocalType(logical, parse("[B, P(sum), B]"), mesh()), logical);
}

TEST_F(DistTest, LayoutEditing) {
  LayoutAttr layout = LayoutAttr::getBroadcast(&context, 3);
  EXPECT_TRUE(layout.isBroadcast());
  layout = layout.withAxis(1, AxisLayout::partial());
  EXPECT_TRUE(layout.hasPartial());
  layout = layout.withAxis(1, AxisLayout::split(2))
               .withAxis(2, AxisLayout::split(2));
  EXPECT_FALSE(layout.hasPartial());
  EXPECT_EQ(layout.axesOfDim(2), (llvm::SmallVector<int64_t>{1, 2}));
  EXPECT_EQ(layout, parse("[B, S(2), S(2)]"));
}

} // namespace
