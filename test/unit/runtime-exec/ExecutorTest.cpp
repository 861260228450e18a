// SPDX-License-Identifier: Apache-2.0
#include "PlanBuilder.h"

#include "runtime/actor/Executor.h"

#include <chrono>
#include <cmath>
#include <cstring>
#include <thread>

using namespace weir;
using namespace weir::plan;
using namespace weir::actor;
using weir::test::PlanBuilder;
using weir::test::Random;

namespace {

/// A plan with everything that it takes to run it.
class Runner {
public:
  Runner(Plan given, int workers, const ExecutorOptions &options = {},
         bool verify = true)
      : plan(std::move(given)), kernels(test::testKernels()), pool(workers) {
    if (verify) {
      Status status = verifyPlan(plan);
      EXPECT_TRUE(status.ok()) << status.message();
      if (!status.ok())
        return;
    }
    auto allocated = RankMemory::allocate(plan, options.checked);
    EXPECT_TRUE(allocated.ok());
    memory = *std::move(allocated);
    auto made = Executor::create(plan, plan.entries[0], &kernels, memory, &pool,
                                 failure, options);
    EXPECT_TRUE(made.ok()) << made.status().message();
    if (made.ok())
      executor = *std::move(made);
  }

  Status run(const std::vector<const void *> &inputs,
             const std::vector<void *> &outputs) {
    if (!executor)
      return internalError("there is no executor");
    return executor->run(inputs.data(),
                         const_cast<void *const *>(outputs.data()));
  }
  float *at(int64_t rank, int buffer) {
    const Buffer &target = plan.entries[0].buffers[buffer];
    return reinterpret_cast<float *>(memory.base(rank, target.segment) +
                                     target.offset);
  }

  Plan plan;
  device::KernelLibrary kernels;
  WorkerPool pool;
  Failure failure;
  RankMemory memory;
  std::unique_ptr<Executor> executor;
};

/// Splits x over dp and micro-batches, doubles each piece on one stream, sums
/// up on another, and shares the sum of all.
Plan pipeline(int64_t ranks, int64_t microBatches, int slots, int64_t size) {
  PlanBuilder b({{"dp", ranks}, {"mb", microBatches, true}}, microBatches);
  int compute = b.stream("compute"), comm = b.stream("comm");
  int input = b.input("x", {size});
  std::vector<int> axes = {0, 1};
  int rows = b.scalar({ScalarExpr::Kind::Extent, size, axes});
  int offset = b.scalar({ScalarExpr::Kind::Offset, size, axes});
  int64_t capacity =
      largestValue({ScalarExpr::Kind::Extent, size, axes}, b.plan.mesh);
  int piece = b.buffer("piece", capacity * 4, slots);
  int partial = b.buffer("partial", 4);
  int one = b.constant(1);
  int sum = b.buffer("sum", 4);
  int grown = b.buffer("grown", 4);
  int loss = b.output("loss", {});

  int twice = b.kernel("h.0.act", "twice", {input}, {piece}, {rows, offset});
  int zero = b.fill("sum.zero", sum, 0);
  int total = b.kernel("h.0.sum", "total", {piece}, {partial}, {rows});
  int accumulate = b.kernel("h.0.acc", "accumulate", {partial}, {sum}, {one});
  Collective reduce;
  reduce.axes = {0};
  reduce.dims = {{1, {}, {}, 1, 1}};
  std::vector<int> phases = b.collective("sum", reduce, sum, grown);
  int copy = b.kernel("loss", "copy", {grown}, {loss}, {one});

  int produce = b.actor("produce", compute, {twice}, true);
  int clear = b.once("clear", comm, {zero});
  int consume = b.actor("consume", comm, {total, accumulate}, true);
  for (int i = 0; i < microBatches; ++i) {
    b.schedule(produce, i);
    b.schedule(consume, i);
  }
  int share = b.once("share", comm, phases);
  int finish = b.once("finish", compute, {copy});
  b.entry().registers.push_back({piece, produce, {consume}, slots});
  b.entry().registers.push_back({sum, clear, {consume}, 1});
  b.entry().registers.push_back({grown, share, {finish}, 1});
  return b.plan;
}

float expectedLoss(const std::vector<float> &x) {
  double sum = 0;
  for (float value : x)
    sum += 2 * value + 1;
  return static_cast<float>(sum);
}

std::vector<float> wholeNumbers(int64_t size) {
  std::vector<float> x(size);
  for (int64_t i = 0; i < size; ++i)
    x[i] = static_cast<float>(i % 17 - 8);
  return x;
}

} // namespace

TEST(Executor, RanksMicroBatchesAndWorkersAgree) {
  std::vector<float> x = wholeNumbers(23);
  for (int64_t ranks : {1, 2, 3, 4})
    for (int64_t microBatches : {1, 2, 3, 5})
      for (int slots : {1, 2})
        for (int workers : {1, 2, 4}) {
          if (slots > microBatches || (ranks == 1 && workers > 1))
            continue;
          Runner runner(pipeline(ranks, microBatches, slots, 23), workers);
          for (int repeat = 0; repeat < 20; ++repeat) {
            float loss = -1;
            Status status = runner.run({x.data()}, {&loss});
            ASSERT_TRUE(status.ok()) << status.message();
            ASSERT_EQ(loss, expectedLoss(x))
                << ranks << " ranks, " << microBatches << " micro-batches";
          }
        }
}

TEST(Executor, FourRanksGiveTheSameBitsOnAnyNumberOfWorkers) {
  Random random(21);
  std::vector<float> x(997);
  for (float &value : x)
    value = random.unit() * 1e3f + random.unit();
  float first = 0;
  for (int workers : {1, 2, 3, 4})
    for (int repeat = 0; repeat < 50; ++repeat) {
      Runner runner(pipeline(4, 3, 2, 997), workers);
      float loss = 0;
      ASSERT_TRUE(runner.run({x.data()}, {&loss}).ok());
      if (workers == 1 && repeat == 0)
        first = loss;
      ASSERT_EQ(std::memcmp(&loss, &first, 4), 0) << workers << " workers";
    }
}

TEST(Executor, ATeamRunsTheChunksOfOneRank) {
  for (int team : {1, 2, 3}) {
    PlanBuilder b;
    b.plan.teamSize = team;
    int stream = b.stream("compute");
    int x = b.input("x", {1000}), y = b.input("y", {1000});
    int out = b.output("z", {1000});
    int count = b.constant(1000), chunks = b.constant(7);
    b.once("main", stream,
           {b.kernel("add", "add", {x, y}, {out}, {count, chunks}, 7)});
    Runner runner(b.plan, 1);
    std::vector<float> left = wholeNumbers(1000), right(1000, 3), sum(1000);
    Status status = runner.run({left.data(), right.data()}, {sum.data()});
    ASSERT_TRUE(status.ok()) << status.message();
    for (int i = 0; i < 1000; ++i)
      ASSERT_EQ(sum[i], left[i] + 3);
  }
}

TEST(Executor, CollectivesOfASquareMeshRunOnThreads) {
  // Gathers rows over x, then exchanges columns for rows over y, then scatters
  // the sum: every kind, on 4 ranks.
  std::vector<MeshAxis> mesh = {{"x", 2}, {"y", 2}};
  PlanBuilder b(mesh);
  int stream = b.stream("main");
  // in: [S0(x), S1(y)] of 5 x 7
  int in = b.buffer("in", 3 * 4 * 4);
  int gathered = b.buffer("gathered", 5 * 4 * 4);   // [B, S1(y)]
  int exchanged = b.buffer("exchanged", 3 * 7 * 4); // [S0(y), B]
  int scattered = b.buffer("scattered", 2 * 7 * 4); // [S0(y,x), B], summed
  Collective gather;
  gather.op = Collective::Op::AllGather;
  gather.axes = {0};
  gather.dims = {{5, {0}, {}, 4, 4}, {7, {1}, {1}, 1, 1}};
  Collective exchange;
  exchange.op = Collective::Op::AllToAll;
  exchange.axes = {1};
  exchange.dims = {{5, {}, {1}, 4, 7}, {7, {1}, {}, 1, 1}};
  Collective scatter;
  scatter.op = Collective::Op::ReduceScatter;
  scatter.axes = {0};
  scatter.dims = {{5, {1}, {1, 0}, 7, 7}, {7, {}, {}, 1, 1}};
  std::vector<int> actions;
  for (auto &&phases : {b.collective("gather", gather, in, gathered),
                        b.collective("exchange", exchange, gathered, exchanged),
                        b.collective("scatter", scatter, exchanged, scattered)})
    actions.insert(actions.end(), phases.begin(), phases.end());
  b.once("all", stream, actions);
  for (int workers : {1, 2, 3, 4})
    for (int repeat = 0; repeat < 50; ++repeat) {
      Runner runner(b.plan, workers);
      for (int64_t rank = 0; rank < 4; ++rank) {
        int64_t x = rank / 2, y = rank % 2;
        for (int64_t i = 0; i < (x ? 2 : 3); ++i)
          for (int64_t j = 0; j < (y ? 3 : 4); ++j)
            runner.at(rank, in)[i * 4 + j] =
                static_cast<float>((i + 3 * x) * 7 + j + 4 * y);
      }
      ASSERT_TRUE(runner.run({}, {}).ok());
      // 5 over y: 3 2; 3 over x: 2 1, 2 over x: 1 1.
      int64_t begins[2][2] = {{0, 2}, {3, 4}}, counts[2][2] = {{2, 1}, {1, 1}};
      for (int64_t rank = 0; rank < 4; ++rank) {
        int64_t x = rank / 2, y = rank % 2;
        for (int64_t i = 0; i < counts[y][x]; ++i)
          for (int64_t j = 0; j < 7; ++j)
            ASSERT_EQ(runner.at(rank, scattered)[i * 7 + j],
                      2 * ((begins[y][x] + i) * 7 + j));
      }
    }
}

TEST(Executor, ContractionsUseTheExtentsOfEachRankAndMicroBatch) {
  // The rows of x transposed times x are summed over; they are split over dp
  // and micro-batches, and some parts are empty.
  PlanBuilder b({{"dp", 4}, {"mb", 3, true}}, 3);
  int stream = b.stream("main");
  int x = b.input("x", {9, 5});
  int rows = b.scalar({ScalarExpr::Kind::Extent, 9, {0, 1}});
  int five = b.constant(5);
  int gram = b.buffer("gram", 25 * 4), out = b.output("out", {5, 5});
  int cells = b.constant(25);
  int zero = b.fill("gram.zero", gram, 0);
  Action product;
  product.kind = Action::Kind::Contract;
  product.site = "gram";
  product.buffers = {{x, 0}, {x, 0}, {gram, 0}};
  product.numReads = 2;
  product.contract.m = {five, 1, 0, 5};
  product.contract.n = {five, 0, 1, 1};
  product.contract.k = {rows, 5, 5, 0};
  product.contract.accumulate = true;
  int contract = b.action(product);
  Collective reduce;
  reduce.axes = {0};
  reduce.dims = {{25, {}, {}, 1, 1}};
  std::vector<int> phases = b.collective("gram", reduce, gram, gram);
  int copy = b.kernel("out", "copy", {gram}, {out}, {cells});
  b.once("zero", stream, {zero});
  int repeat = b.actor("product", stream, {contract}, true);
  for (int i = 0; i < 3; ++i)
    b.schedule(repeat, i);
  b.once("share", stream, phases);
  b.once("copy", stream, {copy});
  // Every rank starts at row 0, so parts with more rows count row 0 more often:
  // easy to predict from the extents alone.
  std::vector<float> data = wholeNumbers(45), result(25), expected(25, 0);
  for (int64_t rank = 0; rank < 4; ++rank)
    for (int64_t j = 0; j < 3; ++j) {
      int64_t extent =
          evaluate(b.entry().scalars[rows], b.plan.mesh, {rank, j});
      for (int64_t k = 0; k < extent; ++k)
        for (int64_t m = 0; m < 5; ++m)
          for (int64_t n = 0; n < 5; ++n)
            expected[m * 5 + n] += data[k * 5 + m] * data[k * 5 + n];
    }
  Runner runner(b.plan, 2);
  Status status = runner.run({data.data()}, {result.data()});
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(result, expected);
}

TEST(Executor, TheFirstFailureStopsEverythingAndStays) {
  for (int64_t ranks : {1, 4}) {
    PlanBuilder b({{"dp", ranks}});
    int stream = b.stream("main");
    int x = b.buffer("x", 64);
    Collective reduce;
    reduce.axes = {0};
    reduce.dims = {{16, {}, {}, 1, 1}};
    std::vector<int> phases = b.collective("sum", reduce, x, x);
    int bad = b.kernel("h.3.act", "fail", {}, {x}, {}, 4);
    b.once("main", stream, {bad});
    b.once("share", stream, phases);
    Runner runner(b.plan, 2);
    Status status = runner.run({}, {});
    EXPECT_EQ(status.code(), StatusCode::RuntimeError);
    for (const char *part :
         {"'main'", "'h.3.act'", "rank ", "'fail'", "error 2"})
      EXPECT_NE(status.message().find(part), std::string::npos)
          << part << " in " << status.message();
    EXPECT_EQ(runner.run({}, {}).message(), status.message());
  }
}

TEST(Executor, AStallIsReportedWithWhatEachStreamWaitsFor) {
  // Two actors that wait for each other; verifyPlan would refuse it.
  PlanBuilder b({{"dp", 2}});
  int left = b.stream("left"), right = b.stream("right");
  int x = b.buffer("x", 64), y = b.buffer("y", 64);
  int a = b.once("a", left, {b.fill("fill.x", x, 1)});
  int c = b.once("c", right, {b.fill("fill.y", y, 1)});
  b.entry().reuseEdges = {{a, c, 0}, {c, a, 0}};
  ASSERT_FALSE(verifyPlan(b.plan).ok());
  ExecutorOptions options;
  options.watchdogSeconds = 0.1;
  for (int workers : {1, 2}) {
    Runner runner(b.plan, workers, options, /*verify=*/false);
    Status status = runner.run({}, {});
    EXPECT_EQ(status.code(), StatusCode::RuntimeError);
    for (const char *part :
         {"nothing has fired", "rank 0, stream 'left' waits at 'fill.x'",
          "rank 1, stream 'right'", "stream 'left' to finish 'fill.x'"})
      EXPECT_NE(status.message().find(part), std::string::npos)
          << part << " in " << status.message();
  }
}

TEST(Executor, ALongKernelIsNoStall) {
  PlanBuilder b({{"dp", 2}});
  int stream = b.stream("main");
  int x = b.buffer("x", 64);
  std::vector<int> actions = {b.kernel("slow", "slow", {}, {x}, {}, 5)};
  Collective reduce;
  reduce.axes = {0};
  reduce.dims = {{16, {}, {}, 1, 1}};
  for (int action : b.collective("sum", reduce, x, x))
    actions.push_back(action);
  b.once("main", stream, actions);
  ExecutorOptions options;
  options.watchdogSeconds = 0.05;
  Runner runner(b.plan, 2, options);
  Status status = runner.run({}, {});
  EXPECT_TRUE(status.ok()) << status.message();
}

TEST(Executor, CancellingEndsARun) {
  PlanBuilder b({{"dp", 2}});
  int stream = b.stream("main");
  int x = b.buffer("x", 64);
  std::vector<int> actions;
  for (int i = 0; i < 500; ++i)
    actions.push_back(
        b.kernel("slow." + std::to_string(i), "slow", {}, {x}, {}));
  b.once("main", stream, actions);
  Runner runner(b.plan, 2);
  std::thread other([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(60));
    runner.failure.set(Status(StatusCode::Stopped, "cancelled"));
  });
  auto start = std::chrono::steady_clock::now();
  Status status = runner.run({}, {});
  std::chrono::duration<double> seconds =
      std::chrono::steady_clock::now() - start;
  other.join();
  EXPECT_EQ(status.code(), StatusCode::Stopped);
  EXPECT_LT(seconds.count(), 5); // all of it takes 10 s
}

TEST(Executor, TimesAreInTheOrderOfTheStream) {
  ExecutorOptions options;
  options.timed = true;
  Runner runner(pipeline(2, 3, 2, 23), 2, options);
  std::vector<float> x = wholeNumbers(23);
  float loss = 0;
  ASSERT_TRUE(runner.run({x.data()}, {&loss}).ok());
  for (int64_t rank = 0; rank < 2; ++rank)
    for (int stream = 0; stream < 2; ++stream) {
      int64_t last = 0;
      auto size =
          static_cast<int64_t>(runner.executor->order().streams[stream].size());
      for (int64_t i = 0; i < size; ++i) {
        const Timing &timing = runner.executor->timing(rank, stream, i);
        EXPECT_LE(last, timing.begin);
        EXPECT_LE(timing.begin, timing.end);
        last = timing.end;
      }
      EXPECT_GT(last, 0);
    }
}

TEST(CheckedMode, CleanPlansPassAndUseAllThatIsPlanned) {
  ExecutorOptions options;
  options.checked = true;
  std::vector<float> x = wholeNumbers(23);
  for (int64_t ranks : {1, 3})
    for (int workers : {1, 2}) {
      Runner runner(pipeline(ranks, 3, 2, 23), workers, options);
      for (int repeat = 0; repeat < 3; ++repeat) {
        float loss = 0;
        Status status = runner.run({x.data()}, {&loss});
        ASSERT_TRUE(status.ok()) << status.message();
        EXPECT_EQ(loss, expectedLoss(x));
      }
      // The last buffer is the output's, which rank 0 keeps elsewhere.
      int64_t planned = Checker::plannedEnd(runner.plan, 0);
      int64_t touched = runner.executor->checker()->touchedEnd(0);
      EXPECT_LE(planned, runner.plan.segments[0].bytes);
      EXPECT_LE(touched, planned);
      EXPECT_TRUE(ranks == 1 || touched == planned);
    }
}

TEST(CheckedMode, WritesOutsideTheBuffersAreFound) {
  ExecutorOptions options;
  options.checked = true;
  auto statusOf = [&](const std::string &symbol, int64_t elements) {
    PlanBuilder b({{"dp", 2}});
    int stream = b.stream("main");
    b.buffer("before", 64);
    int x = b.buffer("x", 64);
    int count = b.constant(elements);
    b.buffer("after", 64);
    b.once("main", stream, {b.kernel("h.1.act", symbol, {}, {x}, {count})});
    return Runner(b.plan, 2, options).run({}, {});
  };
  Status before = statusOf("stray", 0);
  EXPECT_NE(before.message().find("'h.1.act'"), std::string::npos);
  EXPECT_NE(before.message().find("wrote byte 60 of segment 'step'"),
            std::string::npos)
      << before.message();
  EXPECT_TRUE(statusOf("overrun", 16).ok());
  Status after = statusOf("overrun", 17);
  EXPECT_NE(after.message().find("wrote byte 128"), std::string::npos)
      << after.message();
}

TEST(CheckedMode, WritesBehindTheSegmentAreFound) {
  ExecutorOptions options;
  options.checked = true;
  PlanBuilder b;
  int stream = b.stream("main");
  int x = b.buffer("x", 64);
  int count = b.constant(18);
  b.once("main", stream, {b.kernel("last", "overrun", {}, {x}, {count})});
  Status status = Runner(b.plan, 1, options).run({}, {});
  EXPECT_NE(status.message().find("behind segment 'step' of rank 0"),
            std::string::npos)
      << status.message();
}

TEST(CheckedMode, ReadingWhatAnotherBufferOverwroteIsFound) {
  ExecutorOptions options;
  options.checked = true;
  PlanBuilder b;
  int stream = b.stream("main");
  int x = b.buffer("x", 64), y = b.buffer("y", 64), z = b.buffer("z", 64);
  // y lies where x does, and comes to life before x was read for the last time.
  b.entry().buffers[y].offset = b.entry().buffers[x].offset;
  int count = b.constant(16);
  b.once("main", stream,
         {b.fill("x", x, 1), b.fill("y", y, 2),
          b.kernel("late", "copy", {x}, {z}, {count})});
  Status status = Runner(b.plan, 1, options).run({}, {});
  EXPECT_NE(
      status.message().find("'late' of rank 0 reads buffer 'x', which was "
                            "overwritten since by buffer 'y'"),
      std::string::npos)
      << status.message();
}

TEST(CheckedMode, ValuesThatNobodyWroteShow) {
  ExecutorOptions options;
  options.checked = true;
  PlanBuilder b;
  int stream = b.stream("main");
  int x = b.buffer("x", 64), out = b.output("out", {});
  int one = b.constant(1);
  b.once("main", stream, {b.kernel("early", "copy", {x}, {out}, {one})});
  float result = 0;
  ASSERT_TRUE(Runner(b.plan, 1, options).run({}, {&result}).ok());
  EXPECT_TRUE(std::isnan(result));
}

TEST(Executor, MissingKernelsAreNamedAtLoad) {
  PlanBuilder b;
  int stream = b.stream("main");
  int x = b.buffer("x", 64);
  b.once("main", stream, {b.kernel("h.2.act", "absent", {}, {x}, {})});
  device::KernelLibrary kernels = test::testKernels();
  auto memory = RankMemory::allocate(b.plan, false);
  Failure failure;
  auto made = Executor::create(b.plan, b.entry(), &kernels, *memory, nullptr,
                               failure, {});
  EXPECT_EQ(made.status().code(), StatusCode::InvalidInput);
  EXPECT_NE(made.status().message().find("'h.2.act'"), std::string::npos);
  EXPECT_NE(made.status().message().find("'absent'"), std::string::npos);
}

TEST(Executor, RunsAllocateNothing) {
  // This test is linked with CountingNew.cpp.
  for (int64_t ranks : {1, 4}) {
    Runner runner(pipeline(ranks, 3, 2, 997), 2);
    std::vector<float> x = wholeNumbers(997);
    std::vector<const void *> inputs = {x.data()};
    float loss = 0;
    std::vector<void *> outputs = {&loss};
    ASSERT_TRUE(runner.run(inputs, outputs).ok());
    int64_t before = device::allocationCount();
    EXPECT_GT(before, 0);
    for (int i = 0; i < 10; ++i)
      ASSERT_TRUE(runner.run(inputs, outputs).ok());
    EXPECT_EQ(device::allocationCount(), before);
  }
}
