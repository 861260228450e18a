// SPDX-License-Identifier: Apache-2.0
// Structured pieces against numbers worked out by hand.
#include "test/unit/interpreter/TestSupport.h"

#include "runtime/base/Philox.h"

#include <cmath>

namespace weir::compiler {
namespace {

class Pieces : public InterpreterTest {};

TEST_F(Pieces, GenericElementwiseAndConstantIndex) {
  auto results =
      run(entry({"%x: tensor<2x3xf32>", "%b: tensor<2xf32>"},
                {"tensor<3x2xf32>"}, R"(
    %0 = kernel.generic ins(%x, %b, %x : tensor<2x3xf32>, tensor<2xf32>, tensor<2x3xf32>)
        maps [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>,
              affine_map<(i, j) -> (i, 2)>, affine_map<(i, j) -> (j, i)>] {
    ^bb0(%a: f32, %c: f32, %last: f32):
      %s = arith.addf %a, %c : f32
      %m = arith.mulf %s, %last : f32
      kernel.yield %m : f32
    } -> tensor<3x2xf32>)",
                "%0"),
          {floats({2, 3}, {1, 2, 3, 4, 5, 6}), floats({2}, {10, 20})});
  expectFloats(results[0], {33, 144, 36, 150, 39, 156});
}

TEST_F(Pieces, GenericReductions) {
  std::string body;
  for (const char *combiner : {"sum", "max", "min"})
    body += std::string("%") + combiner +
            " = kernel.generic ins(%x : tensor<2x3xf32>) maps [affine_map<(i, "
            "j) -> (i, "
            "j)>, affine_map<(i, j) -> (i)>] combiner " +
            combiner +
            " {\n^bb0(%e: f32):\n kernel.yield %e : f32\n} -> tensor<2xf32>\n";
  auto results = run(entry({"%x: tensor<2x3xf32>"},
                           {"tensor<2xf32>", "tensor<2xf32>", "tensor<2xf32>"},
                           body, "%sum, %max, %min"),
                     {floats({2, 3}, {1, -2, 3, 4, 5, -6})});
  expectFloats(results[0], {2, 3});
  expectFloats(results[1], {3, 5});
  expectFloats(results[2], {-2, -6});
}

TEST_F(Pieces, GenericMatmulLongerThanAStrip) {
  // 1x600 times 600x1, all ones times the index: more than one strip of lanes.
  std::vector<double> a(600, 1.0), b(600);
  for (int i = 0; i < 600; ++i)
    b[i] = i;
  auto results = run(entry({"%a: tensor<1x600xf32>", "%b: tensor<600x1xf32>"},
                           {"tensor<1x1xf32>", "tensor<600xi64>"}, R"(
    %0 = kernel.generic ins(%a, %b : tensor<1x600xf32>, tensor<600x1xf32>)
        maps [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>,
              affine_map<(m, n, k) -> (m, n)>] combiner sum {
    ^bb0(%x: f32, %y: f32):
      %p = arith.mulf %x, %y : f32
      kernel.yield %p : f32
    } -> tensor<1x1xf32>
    %1 = kernel.generic maps [affine_map<(i) -> (i)>] {
      %i = kernel.index 0
      kernel.yield %i : i64
    } -> tensor<600xi64>)",
                           "%0, %1"),
                     {floats({1, 600}, a), floats({600, 1}, b)});
  expectFloats(results[0], {599 * 600 / 2.0});
  EXPECT_EQ(results[1].ints[599], 599);
  EXPECT_EQ(results[1].ints[256], 256);
}

TEST_F(Pieces, ScalarBody) {
  auto results =
      run(entry({"%x: tensor<4xf32>", "%n: tensor<4xi32>"},
                {"tensor<4xf32>", "tensor<4xi32>", "tensor<4xi1>"}, R"(
    %0:3 = kernel.generic ins(%x, %n : tensor<4xf32>, tensor<4xi32>)
        maps [affine_map<(i) -> (i)>, affine_map<(i) -> (i)>, affine_map<(i) -> (i)>,
              affine_map<(i) -> (i)>, affine_map<(i) -> (i)>] {
    ^bb0(%a: f32, %b: i32):
      %zero = arith.constant 0.0 : f32
      %three = arith.constant 3 : i32
      %neg = arith.cmpf olt, %a, %zero : f32
      %abs = math.absf %a : f32
      %root = math.sqrt %abs : f32
      %f = arith.sitofp %b : i32 to f32
      %y = arith.select %neg, %f, %root : f32
      %shift = arith.shrui %b, %three : i32
      %u = arith.cmpi ult, %b, %three : i32
      kernel.yield %y, %shift, %u : f32, i32, i1
    } -> (tensor<4xf32>, tensor<4xi32>, tensor<4xi1>))",
                "%0#0, %0#1, %0#2"),
          {floats({4}, {4, -4, 9, -9}), ints({4}, {1, 2, 80, -1})});
  expectFloats(results[0], {2, 2, 3, -1});
  expectInts(results[1], {0, 0, 10, 536870911});
  expectInts(results[2], {1, 1, 0, 0});
}

TEST_F(Pieces, Random) {
  auto results = run(entry({"%s: tensor<i32>"}, {"tensor<2x3xi32>"}, R"(
    %0 = kernel.generic ins(%s : tensor<i32>)
        maps [affine_map<(i, j) -> ()>, affine_map<(i, j) -> (i, j)>] {
    ^bb0(%seed: i32):
      %step = arith.constant 9 : i32
      %three = arith.constant 3 : i64
      %i = kernel.index 0
      %j = kernel.index 1
      %r = arith.muli %i, %three : i64
      %at = arith.addi %r, %j : i64
      %w = kernel.random 1234 seed %seed step %step index %at
      kernel.yield %w : i32
    } -> tensor<2x3xi32>)",
                           "%0"),
                     {Tensor::scalarInt(ElementKind::I32, 77)});
  for (int i = 0; i < 6; ++i)
    EXPECT_EQ(results[0].ints[i],
              static_cast<int32_t>(randomWord(1234, 77, 9, i)));
}

TEST_F(Pieces, GatherScatter) {
  auto results = run(
      entry({"%t: tensor<3x2xf32>", "%i: tensor<4xi32>"},
            {"tensor<4x2xf32>", "tensor<3x2xf32>"},
            "%0 = kernel.gather %t, %i : (tensor<3x2xf32>, tensor<4xi32>) -> "
            "tensor<4x2xf32>\n"
            "%1 = kernel.scatter_add %i, %0 : (tensor<4xi32>, tensor<4x2xf32>) "
            "-> "
            "tensor<3x2xf32>",
            "%0, %1"),
      {floats({3, 2}, {1, 2, 3, 4, 5, 6}), ints({4}, {2, 0, 2, -1})});
  expectFloats(results[0], {5, 6, 1, 2, 5, 6, 0, 0});
  expectFloats(results[1], {1, 2, 0, 0, 10, 12});
}

TEST_F(Pieces, Views) {
  auto results = run(
      entry(
          {"%x: tensor<2x3xf32>"},
          {"tensor<3x2xf32>", "tensor<3x2xf32>", "tensor<1x2xf32>",
           "tensor<2x4xf32>", "tensor<2xf32>"},
          "%0 = kernel.reshape %x : (tensor<2x3xf32>) -> tensor<3x2xf32>\n"
          "%1 = kernel.transpose %x [1, 0] : (tensor<2x3xf32>) -> "
          "tensor<3x2xf32>\n"
          "%2 = kernel.slice %x [1, 1] : (tensor<2x3xf32>) -> tensor<1x2xf32>\n"
          "%s = kernel.slice %x [0, 2] : (tensor<2x3xf32>) -> tensor<2x1xf32>\n"
          "%3 = kernel.concat %s, %x dim 1 : (tensor<2x1xf32>, "
          "tensor<2x3xf32>) -> "
          "tensor<2x4xf32>\n"
          "%4 = kernel.constant dense<[0.5, 2.0]> : tensor<2xf32>",
          "%0, %1, %2, %3, %4"),
      {floats({2, 3}, {1, 2, 3, 4, 5, 6})});
  expectFloats(results[0], {1, 2, 3, 4, 5, 6});
  expectFloats(results[1], {1, 4, 2, 5, 3, 6});
  expectFloats(results[2], {5, 6});
  expectFloats(results[3], {3, 1, 2, 3, 6, 4, 5, 6});
  expectFloats(results[4], {0.5, 2});
}

// The oracle's promise: what an op expands to computes what the op says.
TEST_F(Pieces, ExpandOfGeluEqualsGelu) {
  mlir::ModuleOp parsed =
      parse(entry({"%x: tensor<3xf32>"}, {"tensor<3xf32>"},
                  "%0 = graph.gelu tanh %x : tensor<3xf32>", "%0"));
  graph::GeluOp gelu;
  parsed.walk([&](graph::GeluOp op) { gelu = op; });
  mlir::Block block;
  block.addArgument(gelu.getInput().getType(), gelu.getLoc());
  mlir::OpBuilder builder(&context);
  builder.setInsertionPointToStart(&block);
  auto values = gelu.expand(builder, mlir::ValueRange(block.getArguments()));
  Tensor x = floats({3}, {-1, 0.5, 2});
  auto direct = evaluateOp(gelu, {x});
  auto pieces = evaluateBlock(block, {x}, values);
  ASSERT_TRUE(mlir::succeeded(direct) && mlir::succeeded(pieces)) << message;
  // Constants of the body are f32.
  expectFloats((*pieces)[0], (*direct)[0].floats, 1e-7);
}

} // namespace
} // namespace weir::compiler
