// SPDX-License-Identifier: Apache-2.0
#include "PlanBuilder.h"

#include "runtime/device/cpu/Memory.h"
#include "runtime/kernels/Contract.h"
#include "runtime/kernels/Fill.h"
#include "runtime/kernels/Team.h"

#include <array>
#include <cmath>

using namespace weir;
using namespace weir::plan;
using weir::test::Random;

namespace {

/// A contraction with its extents and operands.
struct Case {
  Contract contract;
  std::vector<int64_t> extents; // loops, m, n, k
  std::vector<float> a, b, c;

  std::vector<ContractDim> dims() const {
    std::vector<ContractDim> list = contract.loops;
    list.insert(list.end(), {contract.m, contract.n, contract.k});
    return list;
  }

  void allocate(Random &random) {
    int64_t sizes[3] = {1, 1, 1};
    std::vector<ContractDim> list = dims();
    for (size_t i = 0; i < list.size(); ++i) {
      int64_t last = std::max<int64_t>(extents[i] - 1, 0);
      sizes[0] += last * list[i].strideA;
      sizes[1] += last * list[i].strideB;
      sizes[2] += last * list[i].strideC;
    }
    std::vector<float> *tensors[3] = {&a, &b, &c};
    for (int i = 0; i < 3; ++i) {
      tensors[i]->resize(sizes[i]);
      for (float &value : *tensors[i])
        value = random.unit();
    }
  }

  /// By plain loops in f64.
  std::vector<double> expected() const {
    std::vector<ContractDim> list = dims();
    std::vector<double> result(c.begin(), c.end());
    size_t numDims = list.size();
    auto forAll = [&](auto visit) {
      int64_t total = 1;
      for (int64_t extent : extents)
        total *= extent;
      for (int64_t i = 0; i < total; ++i) {
        int64_t rest = i, at[3] = {0, 0, 0};
        for (size_t d = numDims; d-- > 0;) {
          int64_t index = rest % extents[d];
          rest /= extents[d];
          at[0] += index * list[d].strideA;
          at[1] += index * list[d].strideB;
          at[2] += index * list[d].strideC;
        }
        visit(at);
      }
    };
    if (!contract.accumulate) {
      // Also where the sum is empty.
      std::vector<int64_t> saved = extents;
      auto &self = const_cast<Case &>(*this);
      for (size_t d = 0; d < numDims; ++d)
        if (list[d].strideC == 0 && (d + 1 == numDims || d + 3 < numDims))
          self.extents[d] = 1;
      forAll([&](int64_t *at) { result[at[2]] = 0; });
      self.extents = saved;
    }
    forAll([&](int64_t *at) {
      result[at[2]] += static_cast<double>(a[at[0]]) * b[at[1]];
    });
    return result;
  }

  std::vector<float> run(int threads) const {
    std::vector<float> result = c;
    int64_t stride =
        (kernels::contractScratch(contract, extents.data()) + 63) / 64 * 64;
    auto scratch = device::Memory::allocate(stride * threads + 64, true);
    EXPECT_TRUE(scratch.ok());
    EXPECT_TRUE(kernels::contract(contract, extents.data(), a.data(), b.data(),
                                  result.data(), threads, scratch->data(),
                                  stride));
    EXPECT_TRUE(scratch->checkGuards("scratch").ok());
    return result;
  }
};

void expectClose(const Case &test, int threads, const std::string &what) {
  std::vector<double> expected = test.expected();
  std::vector<float> result = test.run(threads);
  int64_t terms = test.extents.back();
  for (size_t i = 0; i < test.contract.loops.size(); ++i)
    if (test.contract.loops[i].strideC == 0)
      terms *= test.extents[i];
  // Each of the terms is at most 1 and rounds by half an ulp in any order.
  double tolerance = 1.2e-7 * static_cast<double>(terms + 2) * 2;
  for (size_t i = 0; i < result.size(); ++i)
    ASSERT_NEAR(result[i], expected[i], tolerance)
        << what << ", element " << i << ", " << threads << " threads";
  // Equal bits at equal team size.
  EXPECT_EQ(result, test.run(threads)) << what;
}

/// Gives the dimensions that an operand has strides, in a random memory order
/// with random gaps.
void layOut(Case &test, int64_t ContractDim::*stride,
            const std::vector<ContractDim *> &dims,
            const std::vector<int64_t> &extents, Random &random) {
  std::vector<size_t> order(dims.size());
  for (size_t i = 0; i < order.size(); ++i)
    order[i] = i;
  for (size_t i = order.size(); i > 1; --i)
    std::swap(order[i - 1], order[random.below(static_cast<int64_t>(i))]);
  int64_t step = random.below(4) == 0 ? 2 : 1;
  for (size_t i : order) {
    dims[i]->*stride = step;
    step *= std::max<int64_t>(extents[i], 1);
    if (random.below(3) == 0)
      step += random.below(5);
  }
}

} // namespace

TEST(Contract, RandomStridesAgreeWithPlainLoops) {
  Random random(3);
  for (int round = 0; round < 600; ++round) {
    Case test;
    int64_t numLoops = random.below(4);
    test.contract.loops.resize(numLoops);
    std::vector<std::vector<ContractDim *>> operands(3);
    std::vector<std::vector<int64_t>> sizes(3);
    auto add = [&](ContractDim &dim, bool a, bool b, bool c) {
      int64_t extent = random.below(12) == 0 ? 0 : 1 + random.below(9);
      if (random.below(6) == 0)
        extent += 20;
      test.extents.push_back(extent);
      bool has[3] = {a, b, c};
      for (int i = 0; i < 3; ++i)
        if (has[i]) {
          operands[i].push_back(&dim);
          sizes[i].push_back(extent);
        }
    };
    for (ContractDim &loop : test.contract.loops) {
      // Batch, row, column or summed loops.
      int64_t kind = random.below(4);
      add(loop, kind != 2, kind != 1, kind != 3);
    }
    add(test.contract.m, true, false, true);
    add(test.contract.n, false, true, true);
    add(test.contract.k, true, true, false);
    test.contract.accumulate = random.below(2) == 0;
    layOut(test, &ContractDim::strideA, operands[0], sizes[0], random);
    layOut(test, &ContractDim::strideB, operands[1], sizes[1], random);
    layOut(test, &ContractDim::strideC, operands[2], sizes[2], random);
    test.allocate(random);
    for (int threads : {1, 2, 3})
      expectClose(test, threads, "round " + std::to_string(round));
    if (HasFatalFailure())
      return;
  }
}

TEST(Contract, LargeProductsAreDividedAmongTheTeam) {
  Random random(5);
  for (auto [m, n, k] :
       {std::array<int64_t, 3>{130, 257, 96}, {300, 40, 129}, {7, 4000, 64}})
    for (bool transposedC : {false, true}) {
      Case test;
      test.extents = {m, n, k};
      test.contract.m = {0, k, 0, transposedC ? 1 : n};
      test.contract.n = {0, 0, 1, transposedC ? m : 1};
      test.contract.k = {0, 1, n, 0};
      test.allocate(random);
      for (int threads : {1, 2, 4})
        expectClose(test, threads, "m = " + std::to_string(m));
    }
}

TEST(Contract, AttentionShapesRunBesideEachOther) {
  // Scores: heads and batch are loops, rows of q and k lie 3 * heads * size
  // apart, as one projection leaves them.
  int64_t batch = 3, heads = 5, length = 33, size = 12;
  int64_t row = 3 * heads * size;
  Case test;
  test.extents = {batch, heads, length, length, size};
  test.contract.loops = {
      {0, length * row, length * row, heads * length * length},
      {0, size, size, length * length}};
  test.contract.m = {0, row, 0, length};
  test.contract.n = {0, 0, row, 1};
  test.contract.k = {0, 1, 1, 0};
  Random random(9);
  test.allocate(random);
  for (int threads : {1, 2, 3})
    expectClose(test, threads, "attention");
}

TEST(Contract, UnsupportedOnesAreRefused) {
  Contract contract;
  EXPECT_TRUE(kernels::checkContract(contract).ok());
  contract.dtype = DType::BF16;
  EXPECT_EQ(kernels::checkContract(contract).code(),
            StatusCode::IncompatibleArtifact);
  contract.dtype = DType::F32;
  contract.loops.resize(20);
  EXPECT_EQ(kernels::checkContract(contract).code(), StatusCode::InvalidInput);
}

TEST(Fill, WritesEveryTypeAndNothingElse) {
  struct Row {
    DType type;
    double value;
    std::vector<uint8_t> bytes;
  };
  const Row rows[] = {
      {DType::F32, 1.5, {0, 0, 0xC0, 0x3F}},
      {DType::F32, -INFINITY, {0, 0, 0x80, 0xFF}},
      {DType::F64, 1, {0, 0, 0, 0, 0, 0, 0xF0, 0x3F}},
      {DType::BF16, 1.5, {0xC0, 0x3F}},
      {DType::I64, -2, {0xFE, 255, 255, 255, 255, 255, 255, 255}},
      {DType::I32, 258, {2, 1, 0, 0}},
      {DType::I8, -1, {0xFF}},
      {DType::U8, 200, {200}},
      {DType::I1, 1, {1}},
  };
  for (const Row &row : rows)
    for (int64_t count : {0, 1, 5, 100001}) {
      int64_t size = byteSize(row.type);
      auto memory = device::Memory::allocate(count * size, true);
      ASSERT_TRUE(memory.ok());
      kernels::fill(memory->data(), count, row.type, row.value, 2);
      EXPECT_TRUE(memory->checkGuards("fill").ok());
      for (int64_t i = 0; i < count * size; ++i)
        ASSERT_EQ(static_cast<uint8_t>(memory->data()[i]), row.bytes[i % size]);
    }
  EXPECT_FALSE(kernels::checkFill(DType::F16).ok());
}

TEST(Team, KernelsReportTheFirstFailure) {
  device::KernelLibrary library = test::testKernels();
  device::KernelFunction fail = *library.find("fail");
  for (int threads : {1, 2, 3}) {
    EXPECT_EQ(kernels::runKernel(fail, nullptr, nullptr, 2, threads), 0);
    EXPECT_EQ(kernels::runKernel(fail, nullptr, nullptr, 9, threads), 2)
        << threads;
  }
}

TEST(Memory, GuardsSeeEveryNeighbour) {
  auto memory = device::Memory::allocate(100, true);
  ASSERT_TRUE(memory.ok());
  EXPECT_EQ(reinterpret_cast<uintptr_t>(memory->data()) % 64, 0u);
  for (int64_t i = 0; i < 100; ++i)
    EXPECT_EQ(memory->data()[i], std::byte(0));
  EXPECT_TRUE(memory->checkGuards("m").ok());
  memory->data()[100] = std::byte(0);
  Status behind = memory->checkGuards("m");
  EXPECT_NE(behind.message().find("0 bytes after"), std::string::npos);
  memory->data()[100] = std::byte(0xDB);
  memory->data()[-3] = std::byte(1);
  Status ahead = memory->checkGuards("m");
  EXPECT_NE(ahead.message().find("3 bytes ahead"), std::string::npos)
      << ahead.message();
}
