// SPDX-License-Identifier: Apache-2.0
// Split programs against the op on one device, on several meshes, with even,
// uneven and empty shards: on virtual ranks by the interpreter, and compiled,
// by the runtime.
#include "compiler/Sharding/Passes.h"
#include "runtime/session/Session.h"
#include "test/unit/runtime/TestSupport.h"
#include "test/unit/sharding/SplitProgramCases.h"

#include "mlir/Pass/PassManager.h"

#include <cmath>
#include <cstdlib>
#include <gtest/gtest.h>

using namespace mlir;
using namespace weir;
using namespace weir::compiler;
using namespace weir::compiler::test;

namespace {

void expectEqualToOneDevice(const OpCase &op, const ProgramSetting &setting) {
  SCOPED_TRACE(op.name + " on " + setting.mesh);
  OwningOpRef<ModuleOp> whole = buildModule(op), split = buildModule(op);
  ASSERT_TRUE(whole && split);
  std::vector<Tensor> inputs = inputsOf(*whole);
  auto want = Interpreter(*whole).run("main", inputs);
  ASSERT_TRUE(succeeded(want));
  decide(*split, op, setting);
  if (testing::Test::HasFatalFailure())
    return;
  PassManager manager(&splitProgramContext());
  addShardPasses(manager);
  ASSERT_TRUE(succeeded(manager.run(*split)));
  bool expanded = true, sends = false;
  split->walk([&](Operation *o) {
    expanded &= !o->hasAttr(dist::DistDialect::getProgramsAttrName());
    sends |= isa<dist::AllReduceOp, dist::AllGatherOp, dist::ExchangeOp>(o);
  });
  EXPECT_TRUE(expanded && sends);
  auto got = Interpreter(*split).run("main", inputs);
  ASSERT_TRUE(succeeded(got));
  for (size_t i = 0; i < want->size(); ++i) {
    const Tensor &a = (*got)[i], &b = (*want)[i];
    ASSERT_EQ(a.shape, b.shape);
    for (int64_t e = 0; e < b.size(); ++e) {
      if (a.at(e) == b.at(e)) // infinities
        continue;
      // f64: sums of a few dozen terms in another order.
      ASSERT_LE(std::abs(a.at(e) - b.at(e)), 1e-12 * (1 + std::abs(b.at(e))))
          << "result " << i << " element " << e << " is " << a.at(e)
          << ", one device has " << b.at(e);
    }
  }
}

const std::vector<ProgramSetting> rowSettings = {
    {"tp=2", {{}}},         {"tp=3", {{}}},
    {"tp=9", {{}}}, // empty shards
    {"a=2, b=2", {{}, {}}}, {"a=3, b=2", {{}, {}}},
};

// Row reductions over split classes and features.
TEST(SplitPrograms, RowsOverSplitClassesEqualOneDevice) {
  for (const OpCase &op :
       {softmaxCase(), crossEntropyCase(), layerNormCase(), rmsNormCase()})
    for (const ProgramSetting &setting : rowSettings)
      expectEqualToOneDevice(op, setting);
}

// A program on one axis beside a plain split on another, in either order.
TEST(SplitPrograms, ProgramsCombineWithPlainSplits) {
  expectEqualToOneDevice(softmaxCase(),
                         {"a=2, b=3", {{}, {false, "S(0) -> S(0)"}}});
  expectEqualToOneDevice(softmaxCase(),
                         {"a=2, b=3", {{false, "S(0) -> S(0)"}, {}}});
  expectEqualToOneDevice(
      crossEntropyCase(),
      {"a=2, b=2", {{false, "S(1), S(1) -> S(1), S(1)"}, {}}});
}

const std::vector<ProgramSetting> ringSettings = {
    {"cp=2", {{}}},         {"cp=3", {{}}},
    {"cp=7", {{}}}, // empty shards
    {"a=2, b=2", {{}, {}}}, {"a=3, b=2", {{}, {}}},
};

// Keys and values travel, each rank keeps its queries: grouped-query heads,
// causal masks across shards, sequences that the ring does not divide.
TEST(SplitPrograms, RingAttentionEqualsOneDevice) {
  for (bool causal : {false, true})
    for (auto [queries, keys] : {std::pair(6, 6), std::pair(5, 7)})
      for (const ProgramSetting &setting : ringSettings)
        expectEqualToOneDevice(attentionCase(causal, false, queries, keys),
                               setting);
}

TEST(SplitPrograms, RingAttentionGradientEqualsOneDevice) {
  for (bool causal : {false, true})
    for (auto [queries, keys] : {std::pair(6, 6), std::pair(5, 7)})
      for (const ProgramSetting &setting : ringSettings)
        expectEqualToOneDevice(
            gradientOf(attentionCase(causal, false, queries, keys)), setting);
}

// Tokens in another order: the mask goes by positions, which travel too.
TEST(SplitPrograms, RingAttentionByPositionsEqualsOneDevice) {
  for (const ProgramSetting &setting : ringSettings) {
    expectEqualToOneDevice(attentionCase(true, true, 7, 7), setting);
    expectEqualToOneDevice(gradientOf(attentionCase(true, true, 7, 7)),
                           setting);
  }
}

// Heads split as they come, the sequence as a ring; and queries split on an
// axis that holds all keys.
TEST(SplitPrograms, RingCombinesWithPlainSplits) {
  OpCase op = attentionCase(true, false, 5, 5);
  AxisChoice heads{false, "S(2), S(2), S(2) -> S(2), S(1)"};
  AxisChoice queries{false, "S(1), B, B -> S(1), S(3)"};
  expectEqualToOneDevice(op, {"a=2, b=2", {heads, {}}});
  expectEqualToOneDevice(op, {"a=2, b=2", {{}, heads}});
  expectEqualToOneDevice(op, {"a=2, b=2", {queries, {}}});
  expectEqualToOneDevice(op, {"a=2, b=2", {{}, queries}});
}

// A shard's scan plus what comes before it, in either direction.
TEST(SplitPrograms, SumsAlongSplitDimsEqualOneDevice) {
  for (const char *flags : {"", " exclusive", " reverse", " reverse exclusive"})
    for (const ProgramSetting &setting : ringSettings)
      expectEqualToOneDevice(cumsumCase(flags), setting);
}

// Windows that cross the ends of shards: one spatial dim, both at once, both by
// two axes, plain splits beside them.
TEST(SplitPrograms, ConvolutionsOverSplitImagesEqualOneDevice) {
  AxisChoice rows{true, "S(2), B -> S(2)"}, columns{true, "S(3), B -> S(3)"};
  AxisChoice batch{false, "S(0), B -> S(0)"};
  for (const char *mesh : {"x=2", "x=3", "x=8"}) {
    expectEqualToOneDevice(convCase(false), {mesh, {rows}});
    expectEqualToOneDevice(convCase(false), {mesh, {columns}});
    expectEqualToOneDevice(convCase(true), {mesh, {rows}});
  }
  expectEqualToOneDevice(convCase(false), {"x=2, y=3", {rows, columns}});
  expectEqualToOneDevice(convCase(false), {"x=2, y=2", {columns, columns}});
  expectEqualToOneDevice(convCase(false), {"x=2, y=2", {batch, rows}});
}

/// Compiled from the decisions on, executed by the runtime, in f32.
void expectCompiledEqualToOneDevice(const OpCase &op,
                                    const ProgramSetting &setting) {
  SCOPED_TRACE(op.name + " compiled on " + setting.mesh);
  OwningOpRef<ModuleOp> whole = buildModule(op), split = buildModule(op);
  ASSERT_TRUE(whole && split);
  std::vector<Tensor> inputs = inputsOf(*whole);
  auto want = Interpreter(*whole).run("main", inputs);
  ASSERT_TRUE(succeeded(want));
  decide(*split, op, setting);
  if (testing::Test::HasFatalFailure())
    return;
  weir::test::TempFolder folder;
  std::string stem = folder.path() + "/op", text;
  llvm::raw_string_ostream(text) << *split;
  ASSERT_OK(writeFile(stem + ".mlir", text));
  std::string command = std::string(WEIR_COMPILE) + " --start-at=shard " +
                        stem + ".mlir -o " + stem + ".weir > " + stem +
                        ".log 2>&1";
  int code = std::system(command.c_str());
  ASSERT_EQ(code, 0) << *readFile(stem + ".log");

  RuntimeOptions options;
  options.workers = 2;
  auto runtime = Runtime::create(options);
  ASSERT_OK(runtime.status());
  auto program = Program::load(*runtime, stem + ".weir");
  ASSERT_OK(program.status());
  SessionOptions sessionOptions;
  sessionOptions.checked = true;
  sessionOptions.watchdogSeconds = 60;
  auto session = Session::create(*program, sessionOptions);
  ASSERT_OK(session.status());
  std::vector<std::vector<float>> floats(inputs.size());
  std::vector<std::vector<int32_t>> ints(inputs.size());
  for (size_t i = 0; i < inputs.size(); ++i) {
    floats[i].assign(inputs[i].floats.begin(), inputs[i].floats.end());
    ints[i].assign(inputs[i].ints.begin(), inputs[i].ints.end());
    const void *data = inputs[i].isFloat()
                           ? static_cast<const void *>(floats[i].data())
                           : ints[i].data();
    ASSERT_OK((*session)->bindInput("main", "a" + std::to_string(i), data,
                                    inputs[i].size() * 4));
  }
  // Twice: the second step finds the buffers as the first one left them.
  ASSERT_OK((*session)->run("main"));
  ASSERT_OK((*session)->run("main"));
  for (size_t i = 0; i < want->size(); ++i) {
    const Tensor &expected = (*want)[i];
    std::vector<float> got(expected.size());
    ASSERT_OK((*session)->readOutput("main", "r" + std::to_string(i),
                                     got.data(), got.size() * 4));
    double largest = 1;
    for (size_t e = 0; e < got.size(); ++e)
      if (std::isfinite(expected.at(e)))
        largest = std::max(largest, std::abs(expected.at(e)));
    for (size_t e = 0; e < got.size(); ++e)
      // f32: sums of a few dozen terms that may cancel, so against the largest.
      ASSERT_NEAR(got[e], expected.at(e), 2e-6 * largest)
          << "result " << i << " element " << e;
  }
}

TEST(CompiledSplitPrograms, RowsOverSplitClassesEqualOneDevice) {
  for (const OpCase &op :
       {softmaxCase(), crossEntropyCase(), layerNormCase(), rmsNormCase()})
    expectCompiledEqualToOneDevice(op, {"tp=3", {{}}});
  expectCompiledEqualToOneDevice(crossEntropyCase(), {"a=2, b=2", {{}, {}}});
}

TEST(CompiledSplitPrograms, RingAttentionEqualsOneDevice) {
  OpCase op = attentionCase(true, false, 7, 7);
  expectCompiledEqualToOneDevice(op, {"cp=2", {{}}});
  expectCompiledEqualToOneDevice(op, {"cp=3", {{}}});
  expectCompiledEqualToOneDevice(op, {"a=2, b=2", {{}, {}}});
  expectCompiledEqualToOneDevice(gradientOf(op), {"cp=2", {{}}});
  expectCompiledEqualToOneDevice(gradientOf(op), {"cp=3", {{}}});
}

TEST(CompiledSplitPrograms, ScansAndConvolutionsEqualOneDevice) {
  expectCompiledEqualToOneDevice(cumsumCase(" exclusive"), {"x=3", {{}}});
  expectCompiledEqualToOneDevice(cumsumCase(" reverse"), {"x=2", {{}}});
  AxisChoice rows{true, "S(2), B -> S(2)"}, columns{true, "S(3), B -> S(3)"};
  expectCompiledEqualToOneDevice(convCase(false), {"x=3", {rows}});
  expectCompiledEqualToOneDevice(convCase(false),
                                 {"x=2, y=2", {rows, columns}});
  expectCompiledEqualToOneDevice(convCase(true), {"x=3", {rows}});
}

TEST(CompiledSplitPrograms, RingAttentionByPositionsEqualsOneDevice) {
  OpCase op = attentionCase(true, true, 7, 7);
  expectCompiledEqualToOneDevice(op, {"cp=3", {{}}});
  expectCompiledEqualToOneDevice(gradientOf(op), {"cp=3", {{}}});
}

} // namespace
