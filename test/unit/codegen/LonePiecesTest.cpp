// SPDX-License-Identifier: Apache-2.0
// Kernels that are one piece: taking and putting by index, scans, sorts. Sizes
// large enough to be divided in chunks, and shards of unequal size.
#include "compiler/API/InitDialects.h"
#include "compiler/Interpreter/Interpreter.h"
#include "compiler/Kernels/KernelScalars.h"
#include "compiler/Kernels/Passes.h"
#include "dialects/Graph/Graph.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "test/unit/codegen/CompiledModule.h"
#include "test/unit/codegen/KernelCheck.h"

#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>
#include <limits>
#include <numeric>
#include <random>

using namespace mlir;

namespace weir::compiler::test {
namespace {

MLIRContext &context() {
  static MLIRContext *instance = [] {
    DialectRegistry registry;
    registerAllWeirDialects(registry);
    auto *made = new MLIRContext(registry, MLIRContext::Threading::DISABLED);
    made->loadAllAvailableDialects();
    return made;
  }();
  return *instance;
}

/// Forms the kernels of a program in `chunks` chunks and compares each with
/// the interpreter. Returns how many of them are one piece in several chunks.
int checkProgram(const std::string &text, int64_t chunks) {
  auto module = parseSourceString<ModuleOp>(text, &context());
  EXPECT_TRUE(module) << text;
  if (!module)
    return 0;
  PassManager manager(&context());
  FormKernelsPassOptions options;
  options.chunks = chunks;
  manager.addPass(createFormKernelsPass(options));
  EXPECT_TRUE(succeeded(manager.run(*module)));
  EXPECT_TRUE(succeeded(verify(*module)));
  checkKernels(*module);
  int divided = 0;
  for (auto func : module->getOps<kernel::FuncOp>())
    divided += getLonePiece(func) && func.getChunks() == chunks;
  return divided;
}

std::string entry(const std::string &arguments, const std::string &result,
                  const std::string &body, const std::string &attributes = "") {
  return "module " + attributes + " {\n graph.entry @f(" + arguments +
         ") -> (" + result + " {graph.output = \"y\"}) {\n" + body +
         "\n  graph.return %y : " + result + "\n }\n}\n";
}

// Each piece is divided along a dimension that it does not walk along: before
// it, behind it, or (of a line alone) none.
TEST(LonePieces, ChunksEqualTheInterpreter) {
  struct {
    const char *operands, *result, *op;
  } cases[] = {
      {"%x: tensor<67x61x5xf32> {graph.input = \"x\"}", "tensor<67x61x5xf32>",
       "cumsum %x dim 1 : (tensor<67x61x5xf32>) -> tensor<67x61x5xf32>"},
      {"%x: tensor<3x61x97xf32> {graph.input = \"x\"}", "tensor<3x61x97xf32>",
       "cumprod %x dim 1 reverse exclusive : (tensor<3x61x97xf32>) -> "
       "tensor<3x61x97xf32>"},
      {"%x: tensor<20011xf32> {graph.input = \"x\"}", "tensor<20011xf32>",
       "cumsum %x dim 0 exclusive : (tensor<20011xf32>) -> "
       "tensor<20011xf32>"},
      {"%x: tensor<61x7x53xf32> {graph.input = \"x\"}, "
       "%i: tensor<11xi32> {graph.input = \"i\"}",
       "tensor<61x11x53xf32>",
       "take %x, %i dim 1 : (tensor<61x7x53xf32>, tensor<11xi32>) -> "
       "tensor<61x11x53xf32>"},
      {"%x: tensor<61x7x53xf32> {graph.input = \"x\"}, "
       "%i: tensor<61x2x53xi64> {graph.input = \"i\"}",
       "tensor<61x2x53xf32>",
       "take_along %x, %i dim 1 : (tensor<61x7x53xf32>, "
       "tensor<61x2x53xi64>) -> tensor<61x2x53xf32>"},
      {"%x: tensor<2x83x131xf32> {graph.input = \"x\"}, "
       "%i: tensor<83xi32> {graph.input = \"i\"}",
       "tensor<2x7x131xf32>",
       "scatter_add %i, %x dim 1 : (tensor<83xi32>, tensor<2x83x131xf32>) -> "
       "tensor<2x7x131xf32>"},
      {"%x: tensor<131x83x2xf32> {graph.input = \"x\"}, "
       "%i: tensor<131x83x2xi32> {graph.input = \"i\"}",
       "tensor<131x3x2xf32>",
       "scatter_add %i, %x dim 1 along : (tensor<131x83x2xi32>, "
       "tensor<131x83x2xf32>) -> tensor<131x3x2xf32>"},
  };
  for (auto &c : cases) {
    SCOPED_TRACE(c.op);
    EXPECT_EQ(checkProgram(entry(c.operands, c.result,
                                 std::string("  %y = graph.") + c.op),
                           3),
              1);
  }
}

// A sort, of whose results one is not read, in chunks of lines.
TEST(LonePieces, SortsInChunks) {
  std::string x = "%x: tensor<67x83x3xf32> {graph.input = \"x\"}";
  std::string op = "graph.sort %x dim 1 descending : (tensor<67x83x3xf32>) -> "
                   "(tensor<67x83x3xf32>, tensor<67x83x3xi32>)";
  EXPECT_EQ(
      checkProgram(entry(x, "tensor<67x83x3xf32>", "  %y, %i = " + op), 3), 1);
  EXPECT_EQ(
      checkProgram(entry(x, "tensor<67x83x3xi32>", "  %v, %y = " + op), 3), 1);
  EXPECT_EQ(
      checkProgram(entry("%x: tensor<20011xf32> {graph.input = \"x\"}",
                         "tensor<20011xi64>",
                         "  %v, %y = graph.sort %x dim 0 : (tensor<20011xf32>)"
                         " -> (tensor<20011xf32>, tensor<20011xi64>)"),
                   2),
      1);
}

// Between other pieces: computed and constant operands, views with strides of
// their own, and several readers of a result.
TEST(LonePieces, StandAmongOtherPieces) {
  std::string text =
      entry("%x: tensor<9x14xf32> {graph.input = \"x\"}", "tensor<5x7xf32>", R"(
  %e = graph.exp %x : tensor<9x14xf32>
  %s = graph.slice %e [1, 2] : (tensor<9x14xf32>) -> tensor<7x11xf32>
  %t = graph.transpose %s [1, 0] : (tensor<7x11xf32>) -> tensor<11x7xf32>
  %i = graph.constant dense<[3, 10, 0, 3, 11]> : tensor<5xi32>
  %c = graph.cumsum %t dim 0 : (tensor<11x7xf32>) -> tensor<11x7xf32>
  %r = graph.transpose %c [1, 0] : (tensor<11x7xf32>) -> tensor<7x11xf32>
  %k = graph.take %r, %i dim 1 : (tensor<7x11xf32>, tensor<5xi32>) -> tensor<7x5xf32>
  %z = graph.constant dense<2.0> : tensor<7x5xf32>
  %d = graph.cumsum %z dim 1 : (tensor<7x5xf32>) -> tensor<7x5xf32>
  %v, %j = graph.sort %k dim 0 : (tensor<7x5xf32>) -> (tensor<7x5xf32>, tensor<7x5xi32>)
  %a = graph.take_along %d, %j dim 0 : (tensor<7x5xf32>, tensor<7x5xi32>) -> tensor<7x5xf32>
  %b = graph.mul %a, %k : tensor<7x5xf32>
  %m = graph.add %b, %v : tensor<7x5xf32>
  %y = graph.transpose %m [1, 0] : (tensor<7x5xf32>) -> tensor<5x7xf32>)");
  auto module = parseSourceString<ModuleOp>(text, &context());
  ASSERT_TRUE(module);
  Tensor x = Tensor::zeros(ElementKind::Float, {9, 14});
  std::mt19937 random(3);
  for (double &value : x.floats)
    value = static_cast<float>(std::normal_distribution<double>()(random));
  auto want = Interpreter(*module).run("f", {x});
  PassManager manager(&context());
  manager.addPass(createFormKernelsPass());
  ASSERT_TRUE(succeeded(manager.run(*module)));
  auto got = Interpreter(*module).run("f", {x});
  ASSERT_TRUE(succeeded(want));
  ASSERT_TRUE(succeeded(got));
  for (int64_t i = 0; i < (*want)[0].size(); ++i)
    EXPECT_NEAR((*got)[0].floats[i], (*want)[0].floats[i], 1e-9) << i;
  checkKernels(*module);
}

// Shards of unequal size: what is outside reads zero or is left to others.
TEST(LonePieces, ShardsEqualTheInterpreter) {
  std::string mesh = "attributes {dist.mesh = #dist.mesh<a=2, b=3>}";
  struct {
    const char *operands, *result, *op;
  } cases[] = {
      {"%x: tensor<2x3x5xf32, #dist.shard<[3:0, 7:1, 5]>> {graph.input = "
       "\"x\"}, %i: tensor<4xi32> {graph.input = \"i\"}",
       "tensor<2x4x5xf32, #dist.shard<[3:0, 4, 5]>>",
       "take %x, %i dim 1 : (tensor<2x3x5xf32, #dist.shard<[3:0, 7:1, 5]>>, "
       "tensor<4xi32>) -> tensor<2x4x5xf32, #dist.shard<[3:0, 4, 5]>>"},
      {"%x: tensor<2x5xf32, #dist.shard<[3:0, 5]>> {graph.input = \"x\"}, "
       "%i: tensor<2x2xi32, #dist.shard<[3:0, 4:1]>> {graph.input = \"i\"}",
       "tensor<2x2xf32, #dist.shard<[3:0, 4:1]>>",
       "take_along %x, %i dim 1 : (tensor<2x5xf32, #dist.shard<[3:0, 5]>>, "
       "tensor<2x2xi32, #dist.shard<[3:0, 4:1]>>) -> tensor<2x2xf32, "
       "#dist.shard<[3:0, 4:1]>>"},
      {"%i: tensor<9xi32> {graph.input = \"i\"}, "
       "%x: tensor<2x9x3xf32, #dist.shard<[3:0, 9, 3]>> {graph.input = \"x\"}",
       "tensor<2x3x3xf32, #dist.shard<[3:0, 7:1, 3]>>",
       "scatter_add %i, %x dim 1 : (tensor<9xi32>, tensor<2x9x3xf32, "
       "#dist.shard<[3:0, 9, 3]>>) -> tensor<2x3x3xf32, #dist.shard<[3:0, "
       "7:1, 3]>>"},
      {"%x: tensor<2x7x2xf32, #dist.shard<[3:0, 7, 5:1]>> {graph.input = "
       "\"x\"}",
       "tensor<2x7x2xf32, #dist.shard<[3:0, 7, 5:1]>>",
       "cumsum %x dim 1 reverse : (tensor<2x7x2xf32, #dist.shard<[3:0, 7, "
       "5:1]>>) -> tensor<2x7x2xf32, #dist.shard<[3:0, 7, 5:1]>>"},
  };
  for (auto &c : cases) {
    SCOPED_TRACE(c.op);
    checkProgram(
        entry(c.operands, c.result, std::string("  %y = graph.") + c.op, mesh),
        1);
  }
}

// NaN is larger than every number and infinities are numbers; equal elements,
// zeros of both signs among them, keep their order.
TEST(LonePieces, SortOrdersNanAndTies) {
  constexpr int64_t size = 211;
  for (bool descending : {false, true}) {
    std::string text =
        "kernel.func @sort_kernel ins(%x: tensor<211xf32> strides [2]) "
        "outs(%v: tensor<211xf32> strides [1], %i: tensor<211xi32> strides "
        "[1]) chunks 1 {\n  %0, %1 = kernel.sort %x dim 0 " +
        std::string(descending ? "descending " : "") +
        ": (tensor<211xf32>) -> (tensor<211xf32>, tensor<211xi32>)\n"
        "  kernel.yield %0, %1 : tensor<211xf32>, tensor<211xi32>\n}\n";
    CompiledModule module(text);
    ASSERT_TRUE(module.ok());
    const float values[] = {std::numeric_limits<float>::quiet_NaN(),
                            -std::numeric_limits<float>::infinity(),
                            std::numeric_limits<float>::infinity(),
                            0.0f,
                            -0.0f,
                            1.5f,
                            -2.0f};
    std::mt19937 random(8);
    std::vector<float> x(2 * size), sorted(size);
    std::vector<int32_t> places(size);
    for (float &value : x)
      value = values[random() % 7];
    module.run("sort_kernel", {x.data(), sorted.data(), places.data()});
    std::vector<int32_t> want(size);
    std::iota(want.begin(), want.end(), 0);
    auto less = [](float a, float b) {
      return std::isnan(b) ? !std::isnan(a) : a < b;
    };
    std::stable_sort(want.begin(), want.end(), [&](int32_t a, int32_t b) {
      return descending ? less(x[2 * b], x[2 * a]) : less(x[2 * a], x[2 * b]);
    });
    EXPECT_EQ(places, want);
    for (int64_t i = 0; i < size; ++i) {
      float expected = x[2 * want[i]];
      EXPECT_TRUE(std::isnan(expected) ? std::isnan(sorted[i])
                                       : sorted[i] == expected)
          << i;
    }
  }
}

} // namespace
} // namespace weir::compiler::test
