// SPDX-License-Identifier: Apache-2.0
#include "compiler/Memory/StepOrder.h"
#include "compiler/Memory/Passes.h"
#include "dialects/Graph/Graph.h"
#include "dialects/Kernel/Kernel.h"
#include "dialects/Pipe/Pipe.h"

#include "mlir/Parser/Parser.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

using namespace mlir;

namespace weir::compiler {
namespace {

/// Writes a random program of kernels and collectives as text: a prologue, a
/// loop (or none) and an epilogue over a few buffers, reads and writes at will.
std::string randomProgram(std::mt19937 &random, int64_t microBatches) {
  std::string text, pad = "    ";
  int numValues = 0;
  std::vector<std::string> outside; // buffers by name
  auto buffer = [&](std::vector<std::string> &names) {
    std::string name = "%b" + std::to_string(numValues++);
    text += pad + name + " = kernel.empty \"" + name.substr(1) +
            "\" : tensor<" + "8xf32>\n";
    names.push_back(name);
  };
  // Current values by buffer: results are tied to destinations, so that any
  // value of a buffer names the same memory. Buffers' own values are used.
  auto step = [&](const std::vector<std::string> &names) {
    std::string a = names[random() % names.size()];
    std::string b = names[random() % names.size()];
    std::string c = names[random() % names.size()];
    std::string result = "%r" + std::to_string(numValues++);
    switch (random() % 3) {
    case 0:
      if (a != b) {
        text += pad + result + " = dist.all_reduce " + a + " into " + b +
                " : tensor<8xf32> {axes = array<i64: 0>, reduction = "
                "#dist<reduction "
                "sum>} : (tensor<8xf32>) -> tensor<8xf32>\n";
        return;
      }
      [[fallthrough]];
    case 1:
      text += pad + result + " = kernel.fill 0.0 into " + a +
              " : tensor<8xf32> -> tensor<8xf32>\n";
      return;
    default:
      text += pad + result + " = kernel.launch @k(" + a + ", " + b +
              " : tensor<8xf32>, tensor<8xf32>) into (" + c +
              " : tensor<8xf32>) site \"" + result.substr(1) +
              "\" -> tensor<8xf32>\n";
    }
  };
  text += "module attributes {dist.mesh = #dist.mesh<dp=2, mb=" +
          std::to_string(microBatches) + " : time>} {\n";
  text +=
      R"(  kernel.func @k ins(%x: tensor<8xf32> strides [1], %y: tensor<8xf32> strides [1])
      outs(%z: tensor<8xf32> strides [1]) chunks 1 attributes {scalars = []} {
    kernel.yield %z : tensor<8xf32>
  }
  pipe.program @f role 0 entry "f" tasks [forward] schedule "F0" () {
)";
  for (int i = 0, e = random() % 3 + 2; i < e; ++i)
    buffer(outside);
  for (int i = 0, e = random() % 6; i < e; ++i)
    step(outside);
  if (random() % 4) {
    text += pad + "%loop = dist.micro_batches(" + outside[0] +
            " : tensor<8xf32>) -> (tensor<8xf32>) {\n    ^bb0(%acc: "
            "tensor<8xf32>):\n";
    std::vector<std::string> inside = outside;
    inside[0] = "%acc";
    std::vector<std::string> own;
    for (int i = 0, e = random() % 3; i < e; ++i)
      buffer(own);
    // A micro-batch's own buffers are written before they are read.
    for (const std::string &name : own)
      text += pad + "%r" + std::to_string(numValues++) +
              " = kernel.fill 0.0 into " + name +
              " : tensor<8xf32> -> tensor<8xf32>\n";
    inside.insert(inside.end(), own.begin(), own.end());
    for (int i = 0, e = random() % 10; i < e; ++i)
      step(inside);
    text += pad + "dist.yield %acc : tensor<8xf32>\n    }\n";
  }
  for (int i = 0, e = random() % 6; i < e; ++i)
    step(outside);
  text += "    pipe.return\n  }\n}\n";
  return text;
}

class StepOrderTest : public testing::Test {
protected:
  StepOrderTest() {
    context.loadDialect<actor::ActorDialect, dist::DistDialect,
                        graph::GraphDialect, kernel::KernelDialect,
                        pipe::PipeDialect>();
  }

  OwningOpRef<ModuleOp> compile(const std::string &text) {
    OwningOpRef<ModuleOp> module = parseSourceString<ModuleOp>(text, &context);
    if (!module)
      return {};
    PassManager manager(&context);
    manager.addPass(createBuildActorsPass());
    manager.addPass(createPlaceBuffersPass());
    manager.addPass(createVerifyPlanPass());
    if (failed(manager.run(*module)))
      return {};
    return module;
  }

  MLIRContext context;
};

/// One action of one firing, with the bytes it touches.
struct Touch {
  int64_t node; // firing
  int64_t begin, end;
  bool writes;
};

/// By definition: firings of the full step, edges as the plan's own words have
/// them, and reachability by search. Independent of the code under test.
struct StepGraph {
  explicit StepGraph(actor::EntryOp entry) {
    int64_t microBatches = entry.getMicroBatches();
    std::map<std::pair<const void *, int64_t>, int64_t> nodes;
    for (auto schedule : entry.getBody().getOps<actor::ScheduleOp>()) {
      int64_t previous = -1;
      for (auto [value, microBatch] :
           llvm::zip(schedule.getActors(), schedule.getMicroBatches())) {
        int64_t node = successors.size();
        successors.emplace_back();
        nodes[{value.getAsOpaquePointer(), microBatch}] = node;
        if (previous >= 0)
          successors[previous].push_back(node);
        previous = node;
        auto actor = value.getDefiningOp<actor::ActorOp>();
        for (Operation &action : actor.getBody().front())
          for (const actor::Access &access : actor::getAccesses(&action)) {
            auto buffer = access.buffer.getDefiningOp<actor::BufferOp>();
            touches.push_back({node, buffer.getOffset(),
                               buffer.getOffset() + buffer.getBytes(),
                               access.writes});
          }
      }
    }
    auto each = [](Value actor) {
      return static_cast<bool>(
          actor.getDefiningOp<actor::ActorOp>().getPerMicroBatch());
    };
    auto edge = [&](Value before, Value after, int64_t distance) {
      for (int64_t j = 0; j < microBatches; ++j) {
        int64_t b = each(before) ? j : -1;
        int64_t a = each(after) ? j : -1;
        if (each(before) && each(after))
          a = j + distance;
        else if (each(before))
          b = microBatches - 1;
        if (a >= microBatches)
          continue;
        successors[nodes.at({before.getAsOpaquePointer(), b})].push_back(
            nodes.at({after.getAsOpaquePointer(), a}));
      }
    };
    for (auto reg : entry.getBody().getOps<actor::RegisterOp>())
      for (Value consumer : reg.getConsumers()) {
        edge(reg.getProducer(), consumer, 0);
        if (each(reg.getProducer()) && each(consumer))
          edge(consumer, reg.getProducer(), reg.getSlots());
      }
    for (auto reuse : entry.getBody().getOps<actor::ReuseOp>())
      edge(reuse.getBefore(), reuse.getAfter(), reuse.getDistance());
  }

  std::vector<bool> reachableFrom(int64_t node) const {
    std::vector<bool> seen(successors.size());
    std::vector<int64_t> work = {node};
    while (!work.empty()) {
      int64_t current = work.back();
      work.pop_back();
      for (int64_t next : successors[current])
        if (!seen[next]) {
          seen[next] = true;
          work.push_back(next);
        }
    }
    return seen;
  }

  std::vector<std::vector<int64_t>> successors;
  std::vector<Touch> touches;
};

TEST_F(StepOrderTest, ConflictingActionsAreOrdered) {
  std::mt19937 random(1);
  int64_t numPairs = 0, numReuse = 0, numWraps = 0;
  for (int round = 0; round < 300; ++round) {
    int64_t microBatches = random() % 4 + 1;
    std::string text = randomProgram(random, microBatches);
    OwningOpRef<ModuleOp> module = compile(text);
    ASSERT_TRUE(module) << text;
    module->walk([&](actor::EntryOp entry) {
      StepGraph graph(entry);
      std::vector<std::vector<bool>> reachable;
      for (size_t n = 0; n < graph.successors.size(); ++n)
        reachable.push_back(graph.reachableFrom(n));
      for (size_t n = 0; n < graph.successors.size(); ++n)
        EXPECT_FALSE(reachable[n][n]) << "a cycle\n" << text;
      for (const Touch &a : graph.touches)
        for (const Touch &b : graph.touches) {
          if (a.node >= b.node || (!a.writes && !b.writes) ||
              a.begin >= b.end || b.begin >= a.end)
            continue;
          ++numPairs;
          EXPECT_TRUE(reachable[a.node][b.node] || reachable[b.node][a.node])
              << "round " << round << "\n"
              << text;
        }
      for (auto reuse : entry.getBody().getOps<actor::ReuseOp>()) {
        ++numReuse;
        numWraps += reuse.getDistance() == 1;
      }
    });
    if (testing::Test::HasFailure())
      return;
  }
  // The programs do exercise what is tested.
  EXPECT_GT(numPairs, 10000);
  EXPECT_GT(numReuse, 100);
  EXPECT_GT(numWraps, 20);
}

TEST_F(StepOrderTest, EveryReuseEdgeIsNeeded) {
  // Without any one of the edges that placement added, a plan no longer
  // verifies: none is implied by the others.
  std::mt19937 random(2);
  int64_t numEdges = 0, numNeeded = 0;
  for (int round = 0; round < 60; ++round) {
    std::string text = randomProgram(random, random() % 3 + 1);
    OwningOpRef<ModuleOp> module = compile(text);
    ASSERT_TRUE(module);
    size_t count = 0;
    module->walk([&](actor::ReuseOp) { ++count; });
    for (size_t i = 0; i < count; ++i) {
      OwningOpRef<ModuleOp> copy = module->clone();
      llvm::SmallVector<actor::ReuseOp> edges;
      copy->walk([&](actor::ReuseOp op) { edges.push_back(op); });
      edges[i].erase();
      PassManager manager(&context);
      manager.addPass(createVerifyPlanPass());
      ScopedDiagnosticHandler quiet(&context,
                                    [](Diagnostic &) { return success(); });
      ++numEdges;
      numNeeded += failed(manager.run(*copy));
    }
  }
  EXPECT_GT(numEdges, 50);
  // An edge found early may be implied by one that the wrap to a later
  // micro-batch asks for.
  EXPECT_GE(numNeeded * 100, numEdges * 90);
  std::printf("%lld of %lld edges needed\n", static_cast<long long>(numNeeded),
              static_cast<long long>(numEdges));
}

TEST_F(StepOrderTest, TheSameProgramGivesTheSameText) {
  std::mt19937 random(5);
  for (int round = 0; round < 20; ++round) {
    std::string text = randomProgram(random, 2);
    std::string printed[2];
    for (std::string &out : printed) {
      OwningOpRef<ModuleOp> module = compile(text);
      ASSERT_TRUE(module);
      llvm::raw_string_ostream(out) << *module;
    }
    EXPECT_EQ(printed[0], printed[1]);
  }
}

TEST(ByteHistory, FindsTheLastConflictByByte) {
  ByteHistory history(2);
  auto use = [&](int64_t begin, int64_t end, int stream, int64_t position,
                 bool writes) {
    Clock needed(2, 0);
    history.use(begin, end, stream, position, writes, needed);
    return needed[1 - stream];
  };
  EXPECT_EQ(use(0, 100, 0, 0, true), 0);
  EXPECT_EQ(use(50, 150, 1, 0, false), 1); // after the write of [0, 100)
  EXPECT_EQ(use(0, 50, 0, 1, true), 0);    // nobody read that part
  EXPECT_EQ(use(120, 130, 0, 2, true), 1); // read beyond what was written
  EXPECT_EQ(use(40, 60, 1, 1, false), 2);  // the later of two writes
  EXPECT_EQ(use(0, 200, 1, 2, true), 3);
  EXPECT_EQ(use(150, 160, 0, 3, false), 3);
  EXPECT_EQ(use(200, 300, 0, 4, false), 0); // half-open
}

} // namespace
} // namespace weir::compiler
