// SPDX-License-Identifier: Apache-2.0
#include "compiler/Memory/Placement.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <random>
#include <sstream>

namespace weir::compiler {
namespace {

/// Compares every two items; quadratic, for tests alone.
bool overlaps(const std::vector<PlacementItem> &items,
              const std::vector<int64_t> &offsets) {
  for (size_t a = 0; a < items.size(); ++a)
    for (size_t b = a + 1; b < items.size(); ++b) {
      bool time =
          items[a].begin < items[b].end && items[b].begin < items[a].end &&
          items[a].begin < items[a].end && items[b].begin < items[b].end;
      bool memory = offsets[a] < offsets[b] + items[b].bytes &&
                    offsets[b] < offsets[a] + items[a].bytes;
      if (time && memory)
        return true;
    }
  return false;
}

TEST(Placement, LifetimesThatDoNotMeetShareMemory) {
  std::vector<PlacementItem> items = {{0, 2, 100}, {1, 3, 50}, {2, 4, 100}};
  Placement placement = placeBuffers(items, 64);
  EXPECT_EQ(placement.highWater, 192);
  EXPECT_EQ(placement.offsets[0], placement.offsets[2]);
  EXPECT_EQ(placement.highWater, liveBytes(items, 64));
}

TEST(Placement, NestedLifetimesStack) {
  // Forward and backward: what is made last is needed first.
  std::vector<PlacementItem> items;
  for (int64_t i = 0; i < 10; ++i)
    items.push_back({i, 20 - i, 64 * (i + 1)});
  Placement placement = placeBuffers(items, 64);
  EXPECT_EQ(placement.highWater, liveBytes(items, 64));
  EXPECT_FALSE(overlaps(items, placement.offsets));
}

TEST(Placement, FreeRangesJoin) {
  // Two neighbours end together; what follows needs both places.
  std::vector<PlacementItem> items = {{0, 2, 64}, {0, 2, 64}, {2, 3, 128}};
  EXPECT_EQ(placeBuffers(items, 64).highWater, 128);
}

TEST(Placement, AlignsAndSkipsWhatIsEmpty) {
  std::vector<PlacementItem> items = {
      {0, 1, 1}, {0, 1, 0}, {0, 0, 1 << 20}, {0, 1, 65}};
  Placement placement = placeBuffers(items, 64);
  EXPECT_EQ(placement.highWater, 192);
  for (int64_t offset : placement.offsets)
    EXPECT_EQ(offset % 64, 0);
}

TEST(Placement, FindsOverlaps) {
  std::vector<PlacementItem> items = {{0, 2, 64}, {1, 3, 64}, {2, 4, 64}};
  EXPECT_EQ(findOverlap(items, {0, 64, 0}).first, -1);
  auto [a, b] = findOverlap(items, {0, 32, 0});
  EXPECT_EQ(std::max(a, b), 1);
  EXPECT_EQ(std::min(a, b), 0);
  // One inside the other, and equal places.
  EXPECT_NE(findOverlap({{0, 2, 256}, {1, 2, 16}}, {0, 128}).first, -1);
  EXPECT_NE(findOverlap({{0, 2, 64}, {0, 2, 64}}, {64, 64}).first, -1);
  EXPECT_EQ(findOverlap({{0, 2, 64}, {2, 4, 64}}, {64, 64}).first, -1);
}

TEST(Placement, RandomInstancesAreSoundAndDeterministic) {
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    std::vector<PlacementItem> items;
    int64_t count = random() % 60 + 1;
    for (int64_t i = 0; i < count; ++i) {
      int64_t begin = random() % 40;
      items.push_back({begin, begin + static_cast<int64_t>(random() % 20),
                       static_cast<int64_t>(random() % 1000)});
    }
    Placement placement = placeBuffers(items, 64);
    EXPECT_FALSE(overlaps(items, placement.offsets)) << "round " << round;
    EXPECT_EQ(findOverlap(items, placement.offsets).first, -1);
    EXPECT_GE(placement.highWater, liveBytes(items, 64));
    for (int64_t i = 0; i < count; ++i)
      if (items[i].end > items[i].begin)
        EXPECT_LE(placement.offsets[i] + items[i].bytes, placement.highWater);
    EXPECT_EQ(placement.offsets, placeBuffers(items, 64).offsets);
    // The sweep finds what the comparison of all pairs finds.
    std::vector<int64_t> offsets = placement.offsets;
    offsets[random() % offsets.size()] = (random() % 8) * 64;
    EXPECT_EQ(findOverlap(items, offsets).first >= 0,
              [&] {
                // findOverlap counts only what has bytes.
                std::vector<PlacementItem> solid;
                std::vector<int64_t> places;
                for (int64_t i = 0; i < count; ++i)
                  if (items[i].bytes > 0 && items[i].end > items[i].begin) {
                    solid.push_back(items[i]);
                    places.push_back(offsets[i]);
                  }
                return overlaps(solid, places);
              }())
        << "round " << round;
  }
}

TEST(Placement, TwentyThousandBuffers) {
  // A chain of many steps with long and short lifetimes; its time is bounded
  // by the test's own timeout, its memory by twice what is live.
  std::mt19937 random(11);
  std::vector<PlacementItem> items;
  for (int64_t i = 0; i < 20000; ++i) {
    int64_t length = random() % 10 ? random() % 8 + 1 : random() % 20000 + 1;
    items.push_back({i, std::min<int64_t>(i + length, 20000),
                     static_cast<int64_t>(random() % 65536 + 1)});
  }
  Placement placement = placeBuffers(items, 64);
  EXPECT_EQ(findOverlap(items, placement.offsets).first, -1);
  EXPECT_LE(placement.highWater, 2 * liveBytes(items, 64));
}

struct Instance {
  const char *file;
  double atMost; // high water over live bytes, measured with a margin of 5 %
};

class MiniMalloc : public testing::TestWithParam<Instance> {};

TEST_P(MiniMalloc, Ratio) {
  std::string path =
      std::string(WEIR_SHARED_DATA) + "/minimalloc/" + GetParam().file;
  std::ifstream file(path);
  if (!file)
    GTEST_SKIP() << path << " is not there";
  std::vector<PlacementItem> items;
  std::string line;
  std::getline(file, line);
  while (std::getline(file, line)) {
    std::istringstream fields(line);
    std::string id, lower, upper, size;
    std::getline(fields, id, ',');
    std::getline(fields, lower, ',');
    std::getline(fields, upper, ',');
    std::getline(fields, size, ',');
    items.push_back({std::stoll(lower), std::stoll(upper), std::stoll(size)});
  }
  ASSERT_FALSE(items.empty());
  Placement placement = placeBuffers(items, 1);
  int64_t live = liveBytes(items, 1);
  EXPECT_EQ(findOverlap(items, placement.offsets).first, -1);
  double ratio = static_cast<double>(placement.highWater) / live;
  std::printf("%s: %zu buffers, high water %lld, live %lld, ratio %.3f\n",
              GetParam().file, items.size(),
              static_cast<long long>(placement.highWater),
              static_cast<long long>(live), ratio);
  EXPECT_LE(ratio, GetParam().atMost);
}

INSTANTIATE_TEST_SUITE_P(Files, MiniMalloc,
                         testing::Values(Instance{"example.12.csv", 1.0},
                                         Instance{"A.1048576.csv", 1.36},
                                         Instance{"B.1048576.csv", 1.43},
                                         Instance{"C.1048576.csv", 1.44},
                                         Instance{"D.1048576.csv", 1.32},
                                         Instance{"E.1048576.csv", 1.44},
                                         Instance{"resnet50.csv", 1.01}));

} // namespace
} // namespace weir::compiler
