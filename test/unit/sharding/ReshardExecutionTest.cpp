// SPDX-License-Identifier: Apache-2.0
// Reshards executed: lowered and interpreted, and step by step through the
// collectives of the runtime. Values are whole numbers, so that sums are exact
// in any order and results are compared exactly.
#include "test/unit/sharding/ReshardSupport.h"

#include "compiler/Interpreter/Interpreter.h"
#include "compiler/Sharding/Passes.h"
#include "runtime/comm/Collectives.h"
#include "test/unit/sharding/ReshardRuntime.h"

#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"

#include <gtest/gtest.h>

using namespace mlir;
using namespace weir;
using namespace weir::compiler;
using dist::AxisLayout;

namespace {

std::string typeText(ArrayRef<int64_t> shape, const std::string &layout) {
  std::string out = "tensor<";
  for (int64_t size : shape)
    out += std::to_string(size) + "x";
  return out + "f32, #dist.layout<" + layout + ">>";
}

/// An entry in which a value of every layout in `froms` is resharded to every
/// layout in `tos` and then made whole. Its argument has, in front of the
/// value's dimensions, one for the terms of each mesh axis: where a layout is
/// partial the terms are on different ranks, elsewhere every rank adds them up.
std::string moduleText(ArrayRef<int64_t> meshSizes, ArrayRef<int64_t> shape,
                       ArrayRef<Layout> froms, ArrayRef<Layout> tos) {
  unsigned numAxes = meshSizes.size();
  std::string mesh, whole;
  for (unsigned axis = 0; axis < numAxes; ++axis) {
    mesh += (axis ? ", m" : "m") + std::to_string(axis) + "=" +
            std::to_string(meshSizes[axis]);
    whole += axis ? ", B" : "B";
  }
  whole = "[" + whole + "]";
  SmallVector<int64_t> argument(meshSizes);
  argument.append(shape.begin(), shape.end());
  std::string body, results, returned, returnedTypes;
  unsigned count = 0;
  auto reshard = [&](const std::string &value, ArrayRef<int64_t> of,
                     const std::string &from, const std::string &to) {
    std::string name = "%v" + std::to_string(count++);
    body += name + " = dist.reshard " + value + " " + from + " to " + to +
            " : (" + typeText(of, from) + ") -> " + typeText(of, to) + "\n";
    return name;
  };
  std::string dims;
  for (unsigned axis = 0; axis < numAxes; ++axis)
    dims += (axis ? ", " : "") + std::to_string(axis);
  for (const Layout &from : froms) {
    Layout spread(from);
    for (auto [axis, entry] : llvm::enumerate(spread))
      if (entry.isPartial())
        entry = AxisLayout::split(axis);
      else if (entry.isSplit())
        entry = AxisLayout::split(entry.dim + numAxes, entry.unit);
    std::string parts = reshard("%x", argument, whole, text(spread));
    std::string value = "%v" + std::to_string(count++);
    body += value + " = graph.reduce sum " + parts + " [" + dims + "] : (" +
            typeText(argument, text(spread)) + ") -> " +
            typeText(shape, text(from)) + "\n";
    for (const Layout &to : tos) {
      std::string moved =
          from == to ? value : reshard(value, shape, text(from), text(to));
      std::string back =
          text(to) == whole ? moved : reshard(moved, shape, text(to), whole);
      results += (returned.empty() ? "" : ", ") + typeText(shape, whole) +
                 " {graph.output = \"r" + std::to_string(count++) +
                 "\", dist.layout = #dist.layout<" + whole + ">}";
      returned += (returned.empty() ? "" : ", ") + back;
      returnedTypes +=
          (returnedTypes.empty() ? "" : ", ") + typeText(shape, whole);
    }
  }
  return "module attributes {dist.mesh = #dist.mesh<" + mesh +
         ">} {\ngraph.entry @main(%x: " + typeText(argument, whole) +
         " {graph.input = \"x\", dist.layout = #dist.layout<" + whole +
         ">}) -> (" + results + ") {\n" + body + "graph.return " + returned +
         " : " + returnedTypes + "\n}\n}\n";
}

struct Outcome {
  int64_t pairs = 0;
  std::map<std::string, int64_t> ops;
};

/// Runs all pairs, lowered, in the interpreter.
void expectRightValues(ArrayRef<int64_t> meshSizes, ArrayRef<int64_t> shape,
                       ArrayRef<Layout> froms, ArrayRef<Layout> tos,
                       Outcome &outcome) {
  std::string source = moduleText(meshSizes, shape, froms, tos);
  OwningOpRef<ModuleOp> module =
      parseSourceString<ModuleOp>(source, &context());
  ASSERT_TRUE(module) << source.substr(0, 2000);
  PassManager passes(&context());
  passes.addPass(createLowerReshardsPass());
  ASSERT_TRUE(succeeded(passes.run(*module)));
  module->walk([&](Operation *op) {
    if (isa_and_nonnull<dist::DistDialect>(op->getDialect()))
      ++outcome.ops[op->getName().getStringRef().str()];
  });
  SmallVector<int64_t> argument(meshSizes);
  argument.append(shape.begin(), shape.end());
  Tensor x = Tensor::zeros(ElementKind::Float, argument);
  for (int64_t i = 0; i < x.size(); ++i)
    x.floats[i] = (i * 7 + i / 5) % 101 - 50;
  int64_t size = elementsOf(shape);
  Tensor expected = Tensor::zeros(ElementKind::Float, shape);
  for (int64_t i = 0; i < x.size(); ++i)
    expected.floats[i % size] += x.floats[i];
  auto results = Interpreter(*module).run("main", {x});
  ASSERT_TRUE(succeeded(results));
  ASSERT_EQ(results->size(), froms.size() * tos.size());
  for (auto [i, result] : llvm::enumerate(*results)) {
    ++outcome.pairs;
    EXPECT_TRUE(result.identicalTo(expected))
        << text(froms[i / tos.size()]) << " to " << text(tos[i % tos.size()]);
  }
}

// All 256 ordered pairs of layouts over {S(0), S(1), B, P} on two axes give the
// right values, on even and uneven shapes and on meshes with empty shards.
TEST(ReshardExecution, AllPairsOnTwoAxesInTheInterpreter) {
  auto layouts = allLayouts(2, 2, true);
  ASSERT_EQ(layouts.size() * layouts.size(), 256u);
  Outcome outcome;
  for (const std::vector<int64_t> &mesh :
       std::vector<std::vector<int64_t>>{{2, 2}, {3, 2}})
    for (const std::vector<int64_t> &shape :
         std::vector<std::vector<int64_t>>{{4, 4}, {6, 8}, {5, 7}, {8, 8, 16}})
      expectRightValues(mesh, shape, layouts, layouts, outcome);
  EXPECT_EQ(outcome.pairs, 8 * 256);
  // Every kind of step was among them.
  for (const char *op : {"dist.local_slice", "dist.all_gather",
                         "dist.reduce_scatter", "dist.all_to_all",
                         "dist.all_reduce", "dist.exchange", "dist.to_partial"})
    EXPECT_GT(outcome.ops[op], 0) << op;
}

// A sample of pairs on three axes, and splits in units.
TEST(ReshardExecution, SamplesOfThreeAxesAndUnits) {
  Outcome outcome;
  auto layouts = allLayouts(3, 3, true);
  std::vector<Layout> froms, tos;
  for (size_t i = 0; i < layouts.size(); ++i) {
    if (i % 11 == 3)
      froms.push_back(layouts[i]);
    if (i % 13 == 5)
      tos.push_back(layouts[i]);
  }
  expectRightValues({2, 2, 2}, {3, 5, 4}, froms, tos, outcome);

  AxisLayout B, P = AxisLayout::partial(), S0 = AxisLayout::split(0),
                S1 = AxisLayout::split(1), heads = AxisLayout::split(1, 4);
  std::vector<Layout> units = {{B, heads},  {heads, B}, {heads, heads},
                               {B, S1},     {S1, S1},   {S0, heads},
                               {heads, S0}, {P, heads}, {B, B}};
  expectRightValues({2, 3}, {5, 20}, units, units, outcome);
  EXPECT_EQ(outcome.pairs,
            int64_t(froms.size() * tos.size() + units.size() * units.size()));
}

// The same programs through the runtime's collectives: right values, and as
// many bytes received as the plan says.
TEST(ReshardExecution, AllPairsOnTwoAxesInTheRuntime) {
  auto layouts = allLayouts(2, 2, true);
  int64_t pairs = 0, collectives = 0;
  for (const auto &[meshSizes, shape] :
       std::vector<std::pair<std::vector<int64_t>, std::vector<int64_t>>>{
           {{2, 2}, {5, 7}}, {{3, 2}, {8, 8, 4}}, {{2, 4}, {6, 8}}}) {
    dist::MeshAttr mesh = meshOf(meshSizes);
    Resharder resharder(mesh, Cluster::host(mesh.getNumRanks()));
    for (const Layout &from : layouts)
      for (const Layout &to : layouts) {
        const ReshardPlan &plan = **resharder.plan(from, to, tensorOf(shape));
        std::string what = text(from) + " to " + text(to) + ": " + text(plan);
        RuntimeRun run(mesh, shape, from);
        for (const ReshardStep &step : plan.steps)
          ASSERT_EQ(run.step(step), "") << what;
        EXPECT_EQ(run.compare(), "") << what;
        ++pairs;
        collectives += plan.numCollectives();
        bool rings = llvm::any_of(plan.steps, [](const ReshardStep &step) {
          return step.kind == ReshardStep::Kind::AllReduce;
        });
        // An all-reduce's chunks start at multiples of a cache line.
        if (!rings) {
          EXPECT_EQ(run.bytesReceived(), plan.bytesTotal) << what;
        }
      }
  }
  EXPECT_EQ(pairs, 3 * 256);
  EXPECT_GT(collectives, 256);
}

} // namespace
