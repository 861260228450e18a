// SPDX-License-Identifier: Apache-2.0
// Programs on several ranks: the distributed program's logical results equal
// what one device computes.
#include "test/unit/interpreter/TestSupport.h"

#include "dialects/Pipe/Pipe.h"
#include "runtime/base/Philox.h"

#include "mlir/AsmParser/AsmParser.h"

namespace weir::compiler {
namespace {

class Dist : public InterpreterTest {
protected:
  static std::string onMesh(const std::string &mesh, const std::string &body) {
    return "module attributes {dist.mesh = #dist.mesh<" + mesh + ">} {\n" +
           body + "}\n";
  }
  static std::vector<double> counting(int64_t count) {
    std::vector<double> values(count);
    for (int64_t i = 0; i < count; ++i)
      values[i] = i + 1;
    return values;
  }
};

// 5 rows over 2 ranks: 3 and 2.
TEST_F(Dist, UnevenSliceAndGather) {
  auto results =
      run(onMesh("dp=2", entry({"%x: tensor<5x2xf32>"}, {"tensor<5x2xf32>"}, R"(
    %0 = dist.local_slice %x {axes = array<i64: 0>, dim = 0 : i64}
        : (tensor<5x2xf32>) -> tensor<3x2xf32, #dist.shard<[5:0, 2]>>
    %1 = graph.neg %0 : tensor<3x2xf32, #dist.shard<[5:0, 2]>>
    %2 = dist.all_gather %1 {axes = array<i64: 0>, dim = 0 : i64}
        : (tensor<3x2xf32, #dist.shard<[5:0, 2]>>) -> tensor<5x2xf32>)",
                               "%2")),
          {floats({5, 2}, counting(10))});
  expectFloats(results[0], {-1, -2, -3, -4, -5, -6, -7, -8, -9, -10});
}

// Contracted dimension of 3 over 2 ranks: partial products, then their sum.
TEST_F(Dist, ContractionOverASplitIsPartial) {
  std::string slices = R"(
    %0 = dist.local_slice %x {axes = array<i64: 1>, dim = 1 : i64}
        : (tensor<2x3xf32>) -> tensor<2x2xf32, #dist.shard<[2, 3:1]>>
    %1 = dist.local_slice %w {axes = array<i64: 1>, dim = 0 : i64}
        : (tensor<3x2xf32>) -> tensor<2x2xf32, #dist.shard<[3:1, 2]>>
    %2 = graph.matmul %0, %1 batch [] x [] contract [1] x [0]
        : (tensor<2x2xf32, #dist.shard<[2, 3:1]>>, tensor<2x2xf32, #dist.shard<[3:1, 2]>>)
        -> tensor<2x2xf32>
  )";
  std::vector<Tensor> arguments = {floats({2, 3}, {1, 2, 3, 4, 5, 6}),
                                   floats({3, 2}, {7, 8, 9, 10, 11, 12})};
  std::vector<std::string> parameters = {"%x: tensor<2x3xf32>",
                                         "%w: tensor<3x2xf32>"};
  auto results = run(
      onMesh("dp=2, tp=2", entry(parameters, {"tensor<2x2xf32>"}, slices + R"(
    %3 = dist.all_reduce %2 {axes = array<i64: 1>, reduction = #dist<reduction sum>}
        : (tensor<2x2xf32>) -> tensor<2x2xf32>)",
                                 "%3")),
      arguments);
  expectFloats(results[0], {58, 64, 139, 154});

  // Reduced in halves instead: the rows by the other form.
  results = run(
      onMesh("dp=2, tp=2", entry(parameters, {"tensor<2x2xf32>"}, slices + R"(
    %3 = dist.reduce_scatter %2 {axes = array<i64: 1>, dim = 0 : i64, reduction = #dist<reduction sum>}
        : (tensor<2x2xf32>) -> tensor<1x2xf32, #dist.shard<[2:1, 2]>>
    %4 = dist.all_gather %3 {axes = array<i64: 1>, dim = 0 : i64}
        : (tensor<1x2xf32, #dist.shard<[2:1, 2]>>) -> tensor<2x2xf32>)",
                                 "%4")),
      arguments);
  expectFloats(results[0], {58, 64, 139, 154});

  // Forgetting the all-reduce is seen: ranks hold different terms.
  EXPECT_EQ(
      failureOf(onMesh("dp=2, tp=2",
                       entry(parameters, {"tensor<2x2xf32>"}, slices, "%2")),
                arguments),
      "result 0 differs between ranks: rank 0 holds other values than a later "
      "rank for the same elements");
}

TEST_F(Dist, AllToAllMovesASplit) {
  auto results =
      run(onMesh("dp=3", entry({"%x: tensor<5x4xf32>"}, {"tensor<5x4xf32>"}, R"(
    %0 = dist.local_slice %x {axes = array<i64: 0>, dim = 0 : i64}
        : (tensor<5x4xf32>) -> tensor<2x4xf32, #dist.shard<[5:0, 4]>>
    %1 = dist.all_to_all %0 {axes = array<i64: 0>, gatherDim = 0 : i64, splitDim = 1 : i64}
        : (tensor<2x4xf32, #dist.shard<[5:0, 4]>>) -> tensor<5x2xf32, #dist.shard<[5, 4:0]>>
    %2 = dist.all_gather %1 {axes = array<i64: 0>, dim = 1 : i64}
        : (tensor<5x2xf32, #dist.shard<[5, 4:0]>>) -> tensor<5x4xf32>)",
                               "%2")),
          {floats({5, 4}, counting(20))});
  expectFloats(results[0], counting(20));
}

TEST_F(Dist, NestedSplitsAndEmptyShards) {
  // 3 elements over 2 x 2 ranks: 2, 1 and then 1, 1, 1, 0.
  auto results =
      run(onMesh("dp=2, tp=2", entry({"%x: tensor<3xf32>"},
                                     {"tensor<3xf32>", "tensor<3xi32>"},
                                     R"(
    %0 = dist.local_slice %x {axes = array<i64: 0, 1>, dim = 0 : i64}
        : (tensor<3xf32>) -> tensor<1xf32, #dist.shard<[3:0:1]>>
    %1 = graph.exp %0 : tensor<1xf32, #dist.shard<[3:0:1]>>
    %2 = graph.log %1 : tensor<1xf32, #dist.shard<[3:0:1]>>
    %3 = dist.all_gather %2 {axes = array<i64: 0, 1>, dim = 0 : i64}
        : (tensor<1xf32, #dist.shard<[3:0:1]>>) -> tensor<3xf32>
    %4 = graph.iota 0 : tensor<1xi32, #dist.shard<[3:0:1]>>
    %5 = dist.all_gather %4 {axes = array<i64: 0, 1>, dim = 0 : i64}
        : (tensor<1xi32, #dist.shard<[3:0:1]>>) -> tensor<3xi32>)",
                                     "%3, %5")),
          {floats({3}, {1, 2, 3})});
  expectFloats(results[0], {1, 2, 3});
  expectInts(results[1], {0, 1, 2});
}

TEST_F(Dist, ToPartialIsUndoneByAllReduce) {
  for (const char *reduction : {"sum", "max", "min"}) {
    std::string attribute = std::string("#dist<reduction ") + reduction + ">";
    auto results =
        run(onMesh("dp=2, tp=3",
                   entry({"%x: tensor<2xf32>"}, {"tensor<2xf32>"},
                         "%0 = dist.to_partial %x {axes = array<i64: 0, 1>, "
                         "reduction = " +
                             attribute +
                             "} : tensor<2xf32>\n%1 = dist.all_reduce %0 {axes "
                             "= array<i64: 0, "
                             "1>, reduction = " +
                             attribute + "} : (tensor<2xf32>) -> tensor<2xf32>",
                         "%1")),
            {floats({2}, {-3, 4})});
    expectFloats(results[0], {-3, 4});
  }
}

TEST_F(Dist, RowSplitTableGivesPartialRows) {
  auto results =
      run(onMesh("tp=2", entry({"%t: tensor<3x2xf32>", "%i: tensor<4xi32>"},
                               {"tensor<4x2xf32>", "tensor<3x2xf32>"}, R"(
    %0 = dist.local_slice %t {axes = array<i64: 0>, dim = 0 : i64}
        : (tensor<3x2xf32>) -> tensor<2x2xf32, #dist.shard<[3:0, 2]>>
    %1 = graph.embedding %0, %i
        : (tensor<2x2xf32, #dist.shard<[3:0, 2]>>, tensor<4xi32>) -> tensor<4x2xf32>
    %2 = dist.all_reduce %1 {axes = array<i64: 0>, reduction = #dist<reduction sum>}
        : (tensor<4x2xf32>) -> tensor<4x2xf32>
    %3 = graph.embedding_grad %i, %2
        : (tensor<4xi32>, tensor<4x2xf32>) -> tensor<2x2xf32, #dist.shard<[3:0, 2]>>
    %4 = dist.all_gather %3 {axes = array<i64: 0>, dim = 0 : i64}
        : (tensor<2x2xf32, #dist.shard<[3:0, 2]>>) -> tensor<3x2xf32>)",
                               "%2, %4")),
          {floats({3, 2}, counting(6)), ints({4}, {2, 0, 2, 1})});
  expectFloats(results[0], {5, 6, 1, 2, 5, 6, 3, 4});
  expectFloats(results[1], {1, 2, 3, 4, 10, 12});
}

// 7 rows in 3 micro-batches of 3, 2 and 2, each split over 2 ranks.
TEST_F(Dist, MicroBatchesAccumulate) {
  std::string text = onMesh("dp=2, mb=3 : time", entry({"%x: tensor<7x2xf32>"},
                                                       {"tensor<2xf32>"}, R"(
    %zero = graph.constant dense<0.0> : tensor<2xf32>
    %sum = dist.micro_batches(%zero : tensor<2xf32>) -> (tensor<2xf32>) {
    ^bb0(%acc: tensor<2xf32>):
      %0 = dist.local_slice %x {axes = array<i64: 0, 1>, dim = 0 : i64}
          : (tensor<7x2xf32>) -> tensor<2x2xf32, #dist.shard<[7:0:1, 2]>>
      %1 = graph.reduce sum %0 [0] : (tensor<2x2xf32, #dist.shard<[7:0:1, 2]>>) -> tensor<2xf32>
      %2 = graph.add %acc, %1 : tensor<2xf32>
      dist.yield %2 : tensor<2xf32>
    }
    %r = dist.all_reduce %sum {axes = array<i64: 0>, reduction = #dist<reduction sum>}
        : (tensor<2xf32>) -> tensor<2xf32>)",
                                                       "%r"));
  auto results = run(text, {floats({7, 2}, counting(14))});
  expectFloats(results[0], {49, 56});
}

TEST_F(Dist, ProgramsOfRolesRunLikeEntries) {
  context.loadDialect<pipe::PipeDialect>();
  mlir::ModuleOp parsed = parse(onMesh("dp=2", R"(
    graph.variable @w : tensor<3xf32> kind parameter init <constant, 2.0>
    pipe.program @train role 0 entry "train" tasks [update] schedule "U"
        (%x: tensor<3xf32> {graph.input = "x"}, %w: tensor<3xf32> {graph.variable = @w})
        -> (tensor<3xf32> {graph.output = "y"}, tensor<3xf32> {graph.variable = @w}) {
      %0 = dist.to_partial %w {axes = array<i64: 0>, reduction = #dist<reduction sum>} : tensor<3xf32>
      %1 = dist.all_reduce %0 {axes = array<i64: 0>, reduction = #dist<reduction sum>}
          : (tensor<3xf32>) -> tensor<3xf32>
      %2 = graph.mul %x, %1 : tensor<3xf32>
      pipe.return %2, %x : tensor<3xf32>, tensor<3xf32>
    })"));
  State state = State::initialize(parsed, 0);
  auto outputs = Interpreter(parsed).runEntry("train", state,
                                              {{"x", floats({3}, {1, 2, 3})}});
  ASSERT_TRUE(mlir::succeeded(outputs)) << message;
  expectFloats(outputs->at("y"), {2, 4, 6});
  expectFloats(state.variables["w"], {1, 2, 3});
}

TEST_F(Dist, TimeAxisNeedsTheLoop) {
  EXPECT_EQ(failureOf(onMesh("mb=2 : time",
                             entry({"%x: tensor<4xf32>"}, {"tensor<4xf32>"}, R"(
    %0 = dist.local_slice %x {axes = array<i64: 0>, dim = 0 : i64}
        : (tensor<4xf32>) -> tensor<2xf32, #dist.shard<[4:0]>>)",
                                   "%x")),
                      {floats({4}, counting(4))}),
            "value of type 'tensor<2xf32, #dist.shard<[4:0]>>' is split by the "
            "micro-batch "
            "axis outside of dist.micro_batches");
}

// Random numbers belong to logical indices.
TEST_F(Dist, DropoutIsTheSameUnderASplit) {
  auto results = run(
      onMesh("dp=2, tp=2", entry({"%x: tensor<3x5xf32>", "%s: tensor<i32>"},
                                 {"tensor<3x5xf32>"}, R"(
    %0 = dist.local_slice %x {axes = array<i64: 0>, dim = 0 : i64}
        : (tensor<3x5xf32>) -> tensor<2x5xf32, #dist.shard<[3:0, 5]>>
    %1 = dist.local_slice %0 {axes = array<i64: 1>, dim = 1 : i64}
        : (tensor<2x5xf32, #dist.shard<[3:0, 5]>>) -> tensor<2x3xf32, #dist.shard<[3:0, 5:1]>>
    %2 = graph.dropout %1, %s, %s rate 0.5 site "d"
        : (tensor<2x3xf32, #dist.shard<[3:0, 5:1]>>, tensor<i32>, tensor<i32>)
        -> tensor<2x3xf32, #dist.shard<[3:0, 5:1]>>
    %3 = dist.all_gather %2 {axes = array<i64: 1>, dim = 1 : i64}
        : (tensor<2x3xf32, #dist.shard<[3:0, 5:1]>>) -> tensor<2x5xf32, #dist.shard<[3:0, 5]>>
    %4 = dist.all_gather %3 {axes = array<i64: 0>, dim = 0 : i64}
        : (tensor<2x5xf32, #dist.shard<[3:0, 5]>>) -> tensor<3x5xf32>)",
                                 "%4")),
      {floats({3, 5}, counting(15)), Tensor::scalarInt(ElementKind::I32, 3)});
  for (int i = 0; i < 15; ++i)
    EXPECT_EQ(results[0].floats[i],
              uniform01(randomWord(siteKey("d"), 3, 3, i)) >= 0.5f
                  ? 2.0 * (i + 1)
                  : 0.0);
}

// Variables live as shards of their arguments' types; the state stays logical.
TEST_F(Dist, VariablesAreScatteredAndGathered) {
  mlir::ModuleOp parsed = parse(onMesh("dp=2, tp=2", R"(
    graph.variable @w : tensor<5x3xf32> kind parameter init <constant, 2.0>
        {dist.layout = #dist.layout<[S(1), S(0)]>}
    graph.entry @main(%w: tensor<3x2xf32, #dist.shard<[5:1, 3:0]>>
            {graph.variable = @w, dist.layout = #dist.layout<[S(1), S(0)]>})
        -> (tensor<3x2xf32, #dist.shard<[5:1, 3:0]>>
            {graph.variable = @w, dist.layout = #dist.layout<[S(1), S(0)]>}) {
      %0 = graph.iota 0 : tensor<3x2xf32, #dist.shard<[5:1, 3:0]>>
      %1 = graph.mul %w, %0 : tensor<3x2xf32, #dist.shard<[5:1, 3:0]>>
      graph.return %1 : tensor<3x2xf32, #dist.shard<[5:1, 3:0]>>
    })"));
  State state = State::initialize(parsed, 0);
  auto outputs = Interpreter(parsed).runEntry("main", state, {});
  ASSERT_TRUE(mlir::succeeded(outputs)) << message;
  expectFloats(state.variables["w"],
               {0, 0, 0, 2, 2, 2, 4, 4, 4, 6, 6, 6, 8, 8, 8});
}

// Before types are local: layouts on logical types, the time axis as ranks.
TEST_F(Dist, LayoutsAndReshards) {
  auto results = run(onMesh("dp=2, mb=2 : time",
                            entry({"%x: tensor<5x2xf32, #dist.layout<[B, B]>>"},
                                  {"tensor<2xf32, #dist.layout<[B, B]>>",
                                   "tensor<5x2xf32, #dist.layout<[B, B]>>"},
                                  R"(
    %0 = dist.reshard %x [B, B] to [S(0), S(0)]
        : (tensor<5x2xf32, #dist.layout<[B, B]>>) -> tensor<5x2xf32, #dist.layout<[S(0), S(0)]>>
    %1 = graph.reduce sum %0 [0]
        : (tensor<5x2xf32, #dist.layout<[S(0), S(0)]>>) -> tensor<2xf32, #dist.layout<[P(sum), P(sum)]>>
    %2 = dist.reshard %1 [P(sum), P(sum)] to [B, B]
        : (tensor<2xf32, #dist.layout<[P(sum), P(sum)]>>) -> tensor<2xf32, #dist.layout<[B, B]>>
    %3 = dist.reshard %0 [S(0), S(0)] to [S(1), P(sum)]
        : (tensor<5x2xf32, #dist.layout<[S(0), S(0)]>>) -> tensor<5x2xf32, #dist.layout<[S(1), P(sum)]>>
    %4 = dist.reshard %3 [S(1), P(sum)] to [B, B]
        : (tensor<5x2xf32, #dist.layout<[S(1), P(sum)]>>) -> tensor<5x2xf32, #dist.layout<[B, B]>>)",
                                  "%2, %4")),
                     {floats({5, 2}, counting(10))});
  expectFloats(results[0], {25, 30});
  expectFloats(results[1], counting(10));
}

// Reshards lowered one by one, between casts; the sum over micro-batches stays.
TEST_F(Dist, LoweredReshardsBetweenCasts) {
  auto results = run(onMesh("dp=2, mb=2 : time",
                            entry({"%x: tensor<5xf32, #dist.layout<[B, B]>>"},
                                  {"tensor<f32, #dist.layout<[B, B]>>"}, R"(
    %0 = builtin.unrealized_conversion_cast %x : tensor<5xf32, #dist.layout<[B, B]>> to tensor<5xf32>
    %1 = dist.local_slice %0 {axes = array<i64: 0>, dim = 0 : i64}
        : (tensor<5xf32>) -> tensor<3xf32, #dist.shard<[5:0]>>
    %2 = dist.local_slice %1 {axes = array<i64: 1>, dim = 0 : i64}
        : (tensor<3xf32, #dist.shard<[5:0]>>) -> tensor<2xf32, #dist.shard<[5:0:1]>>
    %3 = builtin.unrealized_conversion_cast %2
        : tensor<2xf32, #dist.shard<[5:0:1]>> to tensor<5xf32, #dist.layout<[S(0), S(0)]>>
    %4 = graph.reduce sum %3 [0]
        : (tensor<5xf32, #dist.layout<[S(0), S(0)]>>) -> tensor<f32, #dist.layout<[P(sum), P(sum)]>>
    %5 = dist.reshard %4 [P(sum), P(sum)] to [P(sum), B]
        : (tensor<f32, #dist.layout<[P(sum), P(sum)]>>) -> tensor<f32, #dist.layout<[P(sum), B]>>
    %6 = builtin.unrealized_conversion_cast %5 : tensor<f32, #dist.layout<[P(sum), B]>> to tensor<f32>
    %7 = dist.all_reduce %6 {axes = array<i64: 0>, reduction = #dist<reduction sum>}
        : (tensor<f32>) -> tensor<f32>
    %8 = builtin.unrealized_conversion_cast %7 : tensor<f32> to tensor<f32, #dist.layout<[B, B]>>)",
                                  "%8")),
                     {floats({5}, counting(5))});
  expectFloats(results[0], {15});
}

TEST_F(Dist, ExtentsThatDoNotFitAreRefused) {
  // Rows split by tp meet rows split by dp: capacities agree, parts do not.
  std::string text =
      onMesh("dp=2, tp=2", entry({"%x: tensor<3x2xf32>"}, {"tensor<2x2xf32>"},
                                 R"(
    %0 = dist.local_slice %x {axes = array<i64: 0>, dim = 0 : i64}
        : (tensor<3x2xf32>) -> tensor<2x2xf32, #dist.shard<[3:0, 2]>>
    %1 = dist.local_slice %x {axes = array<i64: 1>, dim = 0 : i64}
        : (tensor<3x2xf32>) -> tensor<2x2xf32, #dist.shard<[3:1, 2]>>
    %2 = kernel.generic ins(%0, %1 : tensor<2x2xf32, #dist.shard<[3:0, 2]>>, tensor<2x2xf32, #dist.shard<[3:1, 2]>>)
        maps [affine_map<(m, n, k) -> (k, m)>, affine_map<(m, n, k) -> (k, n)>,
              affine_map<(m, n, k) -> (m, n)>] combiner sum {
    ^bb0(%a: f32, %b: f32):
      %p = arith.mulf %a, %b : f32
      kernel.yield %p : f32
    } -> tensor<2x2xf32>)",
                                 "%2"));
  module = mlir::parseSourceString<mlir::ModuleOp>(text, &context);
  if (!module)
    return; // the verifier is stricter than the interpreter: as good
  EXPECT_TRUE(mlir::failed(
      Interpreter(*module).run("main", {floats({3, 2}, counting(6))})));
  EXPECT_NE(message.find("agree on loop 2"), std::string::npos) << message;
}

TEST_F(Dist, RanksAndExtentsFollowTheSameRuleAsThePlan) {
  auto mesh = mlir::cast<dist::MeshAttr>(
      mlir::parseAttribute("#dist.mesh<a=2, b=3, t=2 : time>", &context));
  MeshPoint point = pointOfRank(mesh, 4);
  EXPECT_EQ(point.coordinates, (llvm::SmallVector<int64_t, 4>{1, 1, -1}));
  auto type = mlir::cast<mlir::RankedTensorType>(
      mlir::parseType("tensor<3x2xf32, #dist.shard<[7:1, 4:0]>>", &context));
  auto box = boxOf(type, point, [&] {
    return mlir::emitError(mlir::UnknownLoc::get(&context));
  });
  ASSERT_TRUE(mlir::succeeded(box));
  EXPECT_EQ(box->extents, (llvm::SmallVector<int64_t, 6>{2, 2}));
  EXPECT_EQ(box->offsets, (llvm::SmallVector<int64_t, 6>{3, 2}));
}

} // namespace
} // namespace weir::compiler
