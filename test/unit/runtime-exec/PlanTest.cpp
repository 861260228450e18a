// SPDX-License-Identifier: Apache-2.0
#include "PlanBuilder.h"

#include "runtime/plan/Order.h"

#include <chrono>
#include <functional>
#include <limits>

using namespace weir;
using namespace weir::plan;
using weir::test::PlanBuilder;
using weir::test::Random;

namespace {

/// Uses every part of a plan: two streams, micro-batches, a register with two
/// slots, a reuse edge, a contraction, an all-reduce, a variable.
Plan sample() {
  PlanBuilder b({{"dp", 2}, {"tp", 2}, {"mb", 3, true}}, 3);
  b.plan.segments.push_back({"parameters", Segment::Kind::Parameters, 4096});
  Variable weight;
  weight.name = "model::w";
  weight.layout.dims = {{6, 3, {1}}, {5, 5, {}}};
  weight.segment = 1;
  weight.init = {Initializer::Kind::Normal, 0, 0.02};
  weight.storedName = "w";
  weight.storedShape = {30};
  b.plan.variables.push_back(weight);

  int compute = b.stream("compute"), comm = b.stream("comm");
  int input = b.input("x", {7});
  int rows = b.scalar({ScalarExpr::Kind::Extent, 7, {0, 2}});
  int offset = b.scalar({ScalarExpr::Kind::Offset, 7, {0, 2}});
  int one = b.constant(1), five = b.constant(5);
  int piece = b.buffer("piece", 8, 2);
  int sum = b.buffer("sum", 20);
  int loss = b.output("loss", {});
  int weights = b.buffer("w", 60);
  b.entry().buffers[weights].segment = 1;
  b.entry().buffers[weights].offset = 0;

  int twice = b.kernel("h.0.act", "twice", {input}, {piece}, {rows, offset});
  Action contract;
  contract.kind = Action::Kind::Contract;
  contract.site = "h.0.fc";
  contract.buffers = {{piece, 0}, {weights, 0}, {sum, 0}};
  contract.numReads = 2;
  contract.contract.m = {one, 0, 0, 5};
  contract.contract.k = {rows, 1, 5, 0};
  contract.contract.n = {five, 0, 1, 1};
  contract.contract.accumulate = true;
  int product = b.action(contract);
  int zero = b.fill("sum.zero", sum, -std::numeric_limits<double>::infinity());
  Collective reduce;
  reduce.axes = {0, 1};
  reduce.dims = {{5, {}, {}, 1, 1}};
  std::vector<int> phases = b.collective("sum", reduce, sum, sum);
  int total = b.kernel("loss", "total", {sum}, {loss}, {five});

  int start = b.once("start", compute, {zero});
  int produce = b.actor("produce", compute, {twice}, true);
  int consume = b.actor("consume", comm, {product}, true);
  for (int i = 0; i < 3; ++i)
    b.schedule(produce, i);
  for (int i = 0; i < 3; ++i)
    b.schedule(consume, i);
  int share = b.once("share", comm, phases);
  int finish = b.once("finish", compute, {total});
  b.entry().registers.push_back({piece, produce, {consume}, 2});
  b.entry().registers.push_back({sum, start, {consume}, 1});
  b.entry().registers.push_back({sum, share, {finish}, 1});
  b.entry().reuseEdges.push_back({produce, consume, 0});
  return b.plan;
}

} // namespace

TEST(Plan, ScalarsFollowTheRuleOfUnevenShards) {
  std::vector<MeshAxis> mesh = {{"a", 3}, {"b", 2}, {"mb", 2, true}};
  // 11 over a: 4 4 3; each over b: 2 2 | 2 2 | 2 1; each over mb.
  int64_t covered = 0;
  for (int64_t a = 0; a < 3; ++a)
    for (int64_t b = 0; b < 2; ++b)
      for (int64_t t = 0; t < 2; ++t) {
        std::vector<int64_t> at = {a, b, t};
        EXPECT_EQ(evaluate({ScalarExpr::Kind::Offset, 11, {0, 1, 2}}, mesh, at),
                  covered);
        covered +=
            evaluate({ScalarExpr::Kind::Extent, 11, {0, 1, 2}}, mesh, at);
      }
  EXPECT_EQ(covered, 11);
  EXPECT_EQ(evaluate({ScalarExpr::Kind::Extent, 11, {0}}, mesh, {2, 0, 0}), 3);
  EXPECT_EQ(evaluate({ScalarExpr::Kind::Constant, 11, {0}}, mesh, {2, 0, 0}),
            11);
  // Fewer elements than parts: empty shards.
  EXPECT_EQ(evaluate({ScalarExpr::Kind::Extent, 2, {0}}, mesh, {2, 0, 0}), 0);
  EXPECT_EQ(largestValue({ScalarExpr::Kind::Extent, 11, {0, 1}}, mesh), 2);
  EXPECT_EQ(rankCoordinates(5, mesh), (std::vector<int64_t>{2, 1, 0}));
}

// A shifted shard is that of the coordinates as many places on, counted
// row-major over its axes and round from the last to the first.
TEST(Plan, ShiftedScalarsAreThoseOfAnotherCoordinate) {
  std::vector<MeshAxis> mesh = {{"a", 3, false}, {"b", 2, false}};
  for (auto kind : {ScalarExpr::Kind::Offset, ScalarExpr::Kind::Extent})
    for (int64_t place = 0; place < 6; ++place)
      for (int64_t shift = 0; shift < 8; ++shift) {
        int64_t other = (place + shift) % 6;
        std::vector<int64_t> here = {place / 2, place % 2},
                             there = {other / 2, other % 2};
        EXPECT_EQ(evaluate({kind, 22, {0, 1}, 2, shift}, mesh, here),
                  evaluate({kind, 22, {0, 1}, 2}, mesh, there))
            << place << " by " << shift;
      }
  // Over one axis of two the other coordinate does not count.
  EXPECT_EQ(evaluate({ScalarExpr::Kind::Extent, 11, {0}, 1, 2}, mesh, {1, 1}),
            evaluate({ScalarExpr::Kind::Extent, 11, {0}}, mesh, {0, 1}));
  EXPECT_EQ(largestValue({ScalarExpr::Kind::Extent, 11, {0}, 1, 1}, mesh), 4);
}

TEST(Plan, PrintedTextReadsBackTheSame) {
  Plan plan = sample();
  ASSERT_TRUE(verifyPlan(plan).ok()) << verifyPlan(plan).message();
  std::string text = printPlan(plan);
  StatusOr<Plan> again = parsePlan(text, "plan.json");
  ASSERT_TRUE(again.ok()) << again.status().message();
  EXPECT_EQ(printPlan(*again), text);
  EXPECT_EQ(again->entries[0].actions[2].fillValue,
            -std::numeric_limits<double>::infinity());
  EXPECT_TRUE(verifyPlan(*again).ok());
}

TEST(Plan, ErrorsNameTheJsonPath) {
  std::string text = printPlan(sample());
  auto change = [&](const std::string &from, const std::string &to) {
    std::string changed = text;
    size_t at = changed.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    changed.replace(at, from.size(), to);
    return parsePlan(changed, "p.json").status().message();
  };
  EXPECT_NE(change("\"kind\":\"kernel\"", "\"kind\":\"kernal\"")
                .find("/entries/0/actions/0/kind: expected one of 'kernel'"),
            std::string::npos);
  EXPECT_NE(change("\"bytes\":8,", "\"bytes\":\"8\",")
                .find("/entries/0/buffers/1/bytes: expected an integer"),
            std::string::npos);
  EXPECT_NE(change("\"slots\":2", "\"slotz\":2")
                .find("unknown member 'slotz'; did you mean 'slots'?"),
            std::string::npos);
  EXPECT_NE(change("\"size\":2", "\"size\":99999999999999999999")
                .find("/mesh/0/size"),
            std::string::npos);
  EXPECT_NE(
      change("{\"name\":\"dp\",", "{").find("/mesh/0: expected member 'name'"),
      std::string::npos);
}

TEST(Plan, VerifierFindsWhatIsWrong) {
  struct Case {
    std::function<void(Plan &)> change;
    const char *expected;
  };
  auto entry = [](Plan &plan) -> Entry & { return plan.entries[0]; };
  const Case cases[] = {
      {[](Plan &p) { p.mesh[0].size = 0; }, "expects a size of 1 to 1048576"},
      {[](Plan &p) { p.mesh[1].name = "dp"; }, "name is used twice"},
      {[](Plan &p) { std::swap(p.mesh[1], p.mesh[2]); }, "must be the last"},
      {[](Plan &p) { p.teamSize = 2; }, "a plan for 4 ranks"},
      {[](Plan &p) { p.teamSize = 0; }, "teamSize: expects 1 to 1024"},
      {[](Plan &p) { p.segments[0].bytes = -1; }, "bytes out of range"},
      {[](Plan &p) { p.variables[0].offset = 4064; }, "not a multiple of 64"},
      {[](Plan &p) { p.variables[0].offset = 4096; }, "lie outside segment"},
      {[](Plan &p) { p.variables[0].segment = 9; }, "does not exist"},
      {[](Plan &p) { p.variables[0].layout.dims[0].capacity = 2; },
       "less than the largest shard"},
      {[](Plan &p) { p.variables[0].layout.dims[0].axes = {2}; },
       "split over the micro-batch axis"},
      {[](Plan &p) {
         p.variables[0].layout.dims[0].axes = {1, 1};
       },
       "occurs twice"},
      {[](Plan &p) { p.variables[0].layout.partialAxes = {0}; },
       "cannot be a partial sum"},
      {[](Plan &p) { p.variables[0].storedShape = {31}; }, "has 31 elements"},
      {[](Plan &p) { p.variables.push_back(p.variables[0]); },
       "name is used twice"},
      {[](Plan &p) { p.entries.push_back(p.entries[0]); },
       "name is used twice"},
      {[&](Plan &p) { entry(p).microBatches = 0; }, "1 to 65536 micro-batches"},
      {[&](Plan &p) { entry(p).microBatches = 2; },
       "depends on the micro-batch axis of size 3"},
      {[&](Plan &p) { entry(p).inputs[0].shape = {-1}; }, "shape out of range"},
      {[&](Plan &p) { entry(p).scalars[0].axes = {7}; }, "mesh axis 7"},
      {[&](Plan &p) { entry(p).buffers[1].bytes = 1 << 20; },
       "expects a slot stride"},
      {[&](Plan &p) { entry(p).buffers[1].slotStride = 72; },
       "expects a slot stride"},
      {[&](Plan &p) { entry(p).buffers[1].slots = 0; }, "slots"},
      {[&](Plan &p) { entry(p).buffers[2].bytes = 1 << 20; },
       "lie outside segment"},
      {[&](Plan &p) { entry(p).buffers[0].bytes = 32; },
       "larger than what it is bound to"},
      {[&](Plan &p) { entry(p).buffers[0].binding = 5; }, "binding 5"},
      {[&](Plan &p) { entry(p).buffers[3].binding = -1; },
       "no buffer is bound to it"},
      {[&](Plan &p) { entry(p).buffers[3].segment = -1; },
       "needs a place for the ranks beyond 0"},
      {[&](Plan &p) { entry(p).buffers[1].segment = -1; },
       "neither a segment nor a binding"},
      {[&](Plan &p) { entry(p).collectives[0].axes = {2}; },
       "cannot run over the micro-batch axis"},
      {[&](Plan &p) { entry(p).collectives[0].dims[0].outAxes = {0}; },
       "an all-reduce keeps its layout"},
      {[&](Plan &p) {
         entry(p).collectives[0].op = Collective::Op::Exchange;
         entry(p).collectives[0].axes = {0};
         entry(p).collectives[0].dims[0].outAxes = {1};
       },
       "but not over that axis"},
      {[&](Plan &p) { entry(p).collectives[0].dims[0].inUnit = 0; },
       "unit 0 does not divide"},
      {[&](Plan &p) { entry(p).collectives[0].dims[0].outUnit = -1; },
       "unit -1 does not divide"},
      {[&](Plan &p) {
         entry(p).collectives[0].dims[0].outUnit =
             entry(p).collectives[0].dims[0].logical;
       },
       "an all-reduce keeps its layout"},
      {[&](Plan &p) {
         CollectiveDim &dim = entry(p).collectives[0].dims[0];
         dim.inAxes = dim.outAxes = {0};
         dim.inShift = dim.outShift = std::numeric_limits<int64_t>::max();
       },
       "is out of range"},
      {[&](Plan &p) { entry(p).collectives[0].dims[0].inStride = 2; },
       "reaches beyond buffer 'sum'"},
      {[&](Plan &p) { entry(p).actors[0].actions.clear(); }, "has no actions"},
      {[&](Plan &p) { entry(p).actors[0].actions = {0}; },
       "belongs to two actors"},
      {[&](Plan &p) { entry(p).actors[0].actions = {99}; },
       "action 99 does not exist"},
      {[&](Plan &p) { entry(p).actors[0].stream = 5; }, "stream 5"},
      {[&](Plan &p) { entry(p).actions[0].symbol.clear(); },
       "expects a symbol"},
      {[&](Plan &p) { entry(p).actions[0].chunks = 0; }, "chunks out of range"},
      {[&](Plan &p) { entry(p).actions[0].scalars = {44}; }, "scalar 44"},
      {[&](Plan &p) { entry(p).actions[0].buffers[0].buffer = -3; },
       "buffer -3 does not exist"},
      {[&](Plan &p) { entry(p).actions[0].buffers[0].byteOffset = -8; },
       "starts outside buffer"},
      {[&](Plan &p) { entry(p).actions[0].numReads = 0; },
       "writes the caller's input"},
      {[&](Plan &p) { entry(p).actions[0].numReads = 3; }, "reads 3 of 2"},
      {[&](Plan &p) { entry(p).actions[1].contract.m.strideC = 5000; },
       ""}, // m has extent 1: its stride is never taken
      {[&](Plan &p) { entry(p).actions[1].contract.n.strideC = 50; },
       "reaches beyond buffer 'sum'"},
      {[&](Plan &p) { entry(p).actions[1].contract.k.strideB = -5; },
       "strides out of range"},
      {[&](Plan &p) { entry(p).actions[1].contract.n.strideA = 1; },
       "n over A"},
      {[&](Plan &p) { entry(p).actions[2].buffers.clear(); },
       "expects one written buffer"},
      {[&](Plan &p) { entry(p).actions[3].collective = 4; },
       "collective 4 does not exist"},
      {[&](Plan &p) { entry(p).actions[3].phase = Action::Phase::Gather; },
       "occurs twice"},
      {[&](Plan &p) { entry(p).actors[1].perMicroBatch = false; },
       "fires once a step, but scalar"},
      {[&](Plan &p) { entry(p).registers[0].slots = 3; },
       "has 3 slots, its buffer 2"},
      {[&](Plan &p) { entry(p).registers[0].producer = 12; },
       "producer does not exist"},
      {[&](Plan &p) { entry(p).registers[0].consumers = {-1}; },
       "consumer does not exist"},
      {[&](Plan &p) { entry(p).reuseEdges[0].after = 17; },
       "actor does not exist"},
      {[&](Plan &p) {
         entry(p).reuseEdges[0] = {0, 1, 1};
       },
       "a distance needs actors"},
      {[&](Plan &p) { entry(p).schedule.pop_back(); }, "1 schedules"},
      {[&](Plan &p) { entry(p).schedule[0][1].microBatch = 1; },
       "expects micro-batch 0 next, got 1"},
      {[&](Plan &p) { entry(p).schedule[0].pop_back(); },
       "is scheduled 0 times"},
      {[&](Plan &p) { std::swap(entry(p).schedule[0], entry(p).schedule[1]); },
       "is scheduled on another stream"},
  };
  size_t index = 0;
  for (const Case &test : cases) {
    Plan plan = sample();
    test.change(plan);
    Status status = verifyPlan(plan);
    if (*test.expected == 0) {
      EXPECT_TRUE(status.ok()) << "case " << index << ": " << status.message();
    } else {
      EXPECT_EQ(status.code(), StatusCode::InvalidInput) << "case " << index;
      EXPECT_NE(status.message().find(test.expected), std::string::npos)
          << "case " << index << ": " << status.message();
    }
    ++index;
  }
}

TEST(Plan, WaitsThatCloseACircleAreReported) {
  Plan plan = sample();
  // `finish` already waits for `share`; now the first firing of `produce`,
  // which is ahead of it in its stream, is made to wait for `share` too.
  plan.entries[0].reuseEdges.push_back({3, 1, 0});
  Status status = verifyPlan(plan);
  ASSERT_FALSE(status.ok());
  EXPECT_NE(status.message().find("would never finish"), std::string::npos)
      << status.message();
  EXPECT_NE(status.message().find("actor 'produce'"), std::string::npos)
      << status.message();
}

TEST(Plan, CollectivePhasesOutOfOrderAreReported) {
  Plan plan = sample();
  std::swap(plan.entries[0].actors[3].actions[0],
            plan.entries[0].actors[3].actions[1]);
  Status status = verifyPlan(plan);
  ASSERT_FALSE(status.ok());
  EXPECT_NE(status.message().find("'sum' (reduce)"), std::string::npos)
      << status.message();
}

TEST(Plan, OrderHoldsCreditsAndDropsIdleWaits) {
  Plan plan = sample();
  EntryOrder order = orderEntry(plan.entries[0]);
  // compute: fill, 3 x twice, total; comm: 3 x product, 4 phases.
  ASSERT_EQ(order.streams[0].size(), 5u);
  ASSERT_EQ(order.streams[1].size(), 7u);
  // Two slots: the third piece needs the first one consumed.
  EXPECT_EQ(order.streams[0][1].numWaits, 0);
  EXPECT_EQ(order.streams[0][2].numWaits, 0);
  ASSERT_EQ(order.streams[0][3].numWaits, 1);
  const Wait &credit = order.waits[order.streams[0][3].firstWait];
  EXPECT_EQ(credit.stream, 1);
  EXPECT_EQ(credit.position, 1);
  // The first product needs its piece, and thereby the fill before it.
  ASSERT_EQ(order.streams[1][0].numWaits, 1);
  EXPECT_EQ(order.waits[order.streams[1][0].firstWait].position, 2);
  // Within a stream nothing waits.
  EXPECT_EQ(order.streams[1][3].numWaits, 0);
}

// Random damage to the text: never a crash, and what passes is bounded.
TEST(Plan, MutatedTextNeverCrashes) {
  std::string text = printPlan(sample());
  Random random(7);
  int parsed = 0;
  for (int round = 0; round < 4000; ++round) {
    std::string changed = text;
    int64_t edits = 1 + random.below(3);
    for (int64_t i = 0; i < edits; ++i) {
      size_t at = random.below(static_cast<int64_t>(changed.size()));
      switch (random.below(5)) {
      case 0:
        changed[at] = static_cast<char>(random.below(256));
        break;
      case 1:
        changed.erase(at, 1 + random.below(20));
        break;
      case 2:
        changed.insert(at, 1, "0123456789-\"[]{},"[random.below(17)]);
        break;
      case 3: {
        // Another number where one stands.
        size_t digit = changed.find_first_of("0123456789", at);
        if (digit != std::string::npos) {
          static const char *numbers[] = {"-1", "999999999999", "0", "3",
                                          "1e9"};
          changed.replace(digit, 1, numbers[random.below(5)]);
        }
        break;
      }
      case 4:
        changed.resize(at);
        break;
      }
      if (changed.empty())
        changed = "{";
    }
    StatusOr<Plan> plan = parsePlan(changed, "fuzz.json");
    if (!plan.ok())
      continue;
    ++parsed;
    Status status = verifyPlan(*plan);
    EXPECT_TRUE(status.ok() || status.code() == StatusCode::InvalidInput);
  }
  EXPECT_GT(parsed, 100);
}

TEST(Plan, TwentyThousandActionsAreQuick) {
  PlanBuilder b({{"dp", 4}}, 1);
  int streams[] = {b.stream("compute"), b.stream("comm")};
  int count = b.constant(16);
  int chunks = b.constant(1);
  std::vector<int> buffers;
  for (int i = 0; i < 20000; ++i)
    buffers.push_back(b.buffer("h." + std::to_string(i), 64));
  int previous = -1;
  for (int i = 2; i < 20000; ++i) {
    int action = b.kernel("h." + std::to_string(i) + ".add", "add",
                          {buffers[i - 1], buffers[i - 2]}, {buffers[i]},
                          {count, chunks});
    int actor = b.once("a" + std::to_string(i), streams[i / 4 % 2], {action});
    if (previous >= 0)
      b.entry().registers.push_back({buffers[i - 1], previous, {actor}, 1});
    previous = actor;
  }
  auto start = std::chrono::steady_clock::now();
  std::string text = printPlan(b.plan);
  StatusOr<Plan> plan = parsePlan(text, "large.json");
  ASSERT_TRUE(plan.ok()) << plan.status().message();
  Status status = verifyPlan(*plan);
  EXPECT_TRUE(status.ok()) << status.message();
  std::chrono::duration<double> seconds =
      std::chrono::steady_clock::now() - start;
  // Takes about 0.3 s without optimisation; something quadratic takes minutes.
  EXPECT_LT(seconds.count(), 20);
}
