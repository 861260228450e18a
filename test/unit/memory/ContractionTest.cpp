// SPDX-License-Identifier: Apache-2.0
#include "compiler/Memory/Contraction.h"

#include <gtest/gtest.h>

#include <random>

using namespace mlir;

namespace weir::compiler {
namespace {

/// Sizes and maps of a contraction on whole, row-major tensors.
struct Case {
  llvm::SmallVector<int64_t> sizes;                 // by loop
  std::array<llvm::SmallVector<unsigned>, 3> loops; // of A, B, C, by dim
};

class ContractionTest : public testing::Test {
protected:
  ContractionTest() {}

  std::array<ContractOperand, 3> operandsOf(const Case &c) {
    std::array<ContractOperand, 3> operands;
    for (int o = 0; o < 3; ++o) {
      llvm::SmallVector<int64_t> shape;
      for (unsigned loop : c.loops[o])
        shape.push_back(c.sizes[loop]);
      operands[o].type =
          RankedTensorType::get(shape, Float32Type::get(&context));
      operands[o].loops = c.loops[o];
      operands[o].strides.assign(shape.size(), 1);
      for (size_t i = shape.size(); i-- > 1;)
        operands[o].strides[i - 1] = operands[o].strides[i] * shape[i];
    }
    return operands;
  }

  /// Visits every point of the nest: how often each (a, b, c) triple of
  /// addresses is visited must be what the original loops visit.
  static std::map<std::array<int64_t, 3>, int>
  points(llvm::ArrayRef<ContractLoop> loops) {
    std::map<std::array<int64_t, 3>, int> visited;
    llvm::SmallVector<int64_t> index(loops.size(), 0);
    for (;;) {
      std::array<int64_t, 3> address = {0, 0, 0};
      for (size_t i = 0; i < loops.size(); ++i)
        for (int o = 0; o < 3; ++o)
          address[o] += index[i] * loops[i].strides[o];
      ++visited[address];
      size_t i = loops.size();
      while (i > 0 && ++index[i - 1] == loops[i - 1].capacity)
        index[--i] = 0;
      if (i == 0)
        return visited;
    }
  }

  void check(const Case &c, dist::MeshAttr mesh = {}) {
    std::array<ContractOperand, 3> operands = operandsOf(c);
    ContractNest nest = collapseContraction(c.sizes.size(), operands, mesh);
    llvm::SmallVector<ContractLoop> original(c.sizes.size());
    for (size_t i = 0; i < c.sizes.size(); ++i)
      original[i].capacity = c.sizes[i];
    for (int o = 0; o < 3; ++o)
      for (auto [dim, loop] : llvm::enumerate(c.loops[o]))
        original[loop].strides[o] += operands[o].strides[dim];
    llvm::SmallVector<ContractLoop> collapsed = nest.loops;
    collapsed.append({nest.m, nest.n, nest.k});
    EXPECT_EQ(points(collapsed), points(original));
    // What the runtime's form asks for.
    EXPECT_EQ(nest.m.strides[1], 0);
    EXPECT_EQ(nest.n.strides[0], 0);
    EXPECT_EQ(nest.k.strides[2], 0);
  }

  MLIRContext context;
};

TEST_F(ContractionTest, LinearLayerIsOneProduct) {
  // x[b,t,c] w[c,h,d] -> [b,t,h,d]; loops b t h d c.
  Case c{{2, 8, 3, 4, 6}, {{{0, 1, 4}, {4, 2, 3}, {0, 1, 2, 3}}}};
  check(c);
  ContractNest nest = collapseContraction(5, operandsOf(c), {});
  EXPECT_TRUE(nest.loops.empty());
  EXPECT_EQ(nest.m.capacity, 16);
  EXPECT_EQ(nest.n.capacity, 12);
  EXPECT_EQ(nest.k.capacity, 6);
  EXPECT_EQ(nest.m.strides, (std::array<int64_t, 3>{6, 0, 12}));
  EXPECT_EQ(nest.n.strides, (std::array<int64_t, 3>{0, 1, 1}));
  EXPECT_EQ(nest.k.strides, (std::array<int64_t, 3>{1, 12, 0}));
}

TEST_F(ContractionTest, HeadsAreLoops) {
  // q[b,t,h,d] k[b,s,h,d] -> [b,h,t,s]; loops b h t s d.
  Case c{{2, 3, 8, 7, 4}, {{{0, 2, 1, 4}, {0, 3, 1, 4}, {0, 1, 2, 3}}}};
  check(c);
  ContractNest nest = collapseContraction(5, operandsOf(c), {});
  ASSERT_EQ(nest.loops.size(), 2u);
  EXPECT_EQ(nest.loops[0].capacity * nest.loops[1].capacity, 6);
  EXPECT_EQ(nest.m.capacity, 8);
  EXPECT_EQ(nest.n.capacity, 7);
}

TEST_F(ContractionTest, WeightGradientSumsOverTwoDims) {
  // x[b,t,c] dy[b,t,n] -> [c,n]; b and t are one k.
  Case c{{2, 8, 6, 5}, {{{0, 1, 2}, {0, 1, 3}, {2, 3}}}};
  check(c);
  ContractNest nest = collapseContraction(4, operandsOf(c), {});
  EXPECT_TRUE(nest.loops.empty());
  EXPECT_EQ(nest.k.capacity, 16);
}

TEST_F(ContractionTest, MissingLoopsHaveOneIteration) {
  Case vector{{5, 7}, {{{0, 1}, {1}, {0}}}}; // matrix times vector
  check(vector);
  ContractNest nest = collapseContraction(2, operandsOf(vector), {});
  EXPECT_EQ(nest.n.capacity, 1);
  // B is read along k without packing.
  EXPECT_TRUE(nest.n.strides[1] == 1 || nest.k.strides[1] == 1);
  check({{5, 7}, {{{0}, {1}, {0, 1}}}}); // outer product
  check({{7}, {{{0}, {0}, {}}}});        // inner product
  check({{1, 1, 1}, {{{0, 2}, {2, 1}, {0, 1}}}});
}

TEST_F(ContractionTest, RandomContractionsVisitTheSamePoints) {
  std::mt19937 random(3);
  for (int round = 0; round < 300; ++round) {
    Case c;
    unsigned numLoops = random() % 5 + 1;
    for (unsigned i = 0; i < numLoops; ++i)
      c.sizes.push_back(random() % 3 + 1);
    for (unsigned i = 0; i < numLoops; ++i) {
      // In two or three of the operands.
      unsigned absent = random() % 4;
      for (unsigned o = 0; o < 3; ++o)
        if (o != absent)
          c.loops[o].insert(
              c.loops[o].begin() + random() % (c.loops[o].size() + 1), i);
    }
    check(c);
  }
}

TEST_F(ContractionTest, UnevenSplitsAreNotMerged) {
  context.loadDialect<dist::DistDialect>();
  dist::MeshAttr mesh = dist::MeshAttr::get(
      &context, {StringAttr::get(&context, "dp")}, {2}, /*lastIsTime=*/false);
  auto shardOf = [&](llvm::ArrayRef<dist::ShardDim> dims) {
    return dist::ShardAttr::get(&context, dims);
  };
  Type f32 = Float32Type::get(&context);
  // x[b,t,c] w[c,n] -> [b,t,n] with b split in two; loops b t n c.
  for (int64_t batch : {4, 5}) {
    std::array<ContractOperand, 3> operands;
    int64_t local = (batch + 1) / 2;
    dist::ShardDim split{batch, {0}};
    operands[0] = {RankedTensorType::get({local, 8, 6}, f32,
                                         shardOf({split, {8, {}}, {6, {}}})),
                   {48, 6, 1},
                   {0, 1, 3}};
    operands[1] = {RankedTensorType::get({6, 5}, f32), {5, 1}, {3, 2}};
    operands[2] = {RankedTensorType::get({local, 8, 5}, f32,
                                         shardOf({split, {8, {}}, {5, {}}})),
                   {40, 5, 1},
                   {0, 1, 2}};
    ContractNest nest = collapseContraction(4, operands, mesh);
    if (batch == 4) {
      EXPECT_TRUE(nest.loops.empty());
      EXPECT_EQ(nest.m.capacity, 16);
      EXPECT_TRUE(nest.m.constant);
    } else {
      ASSERT_EQ(nest.loops.size(), 1u);
      EXPECT_FALSE(nest.loops[0].constant);
      EXPECT_EQ(nest.loops[0].dim.size, 5);
      EXPECT_EQ(nest.m.capacity, 8);
    }
  }
}

} // namespace
} // namespace weir::compiler
