// SPDX-License-Identifier: Apache-2.0
// Programs on memory: destinations, ties, views, and the mistakes that only
// memory can make.
#include "test/unit/interpreter/TestSupport.h"

namespace weir::compiler {
namespace {

class KernelProgram : public InterpreterTest {
protected:
  // x + y into d; with a tie, in place of x.
  static std::string addKernel(const std::string &name, bool tied) {
    return "kernel.func @" + name +
           " ins(%x: tensor<2x2xf32> strides [2, 1], %y: tensor<2x2xf32> "
           "strides [4, 1]) "
           "outs(%d: tensor<2x2xf32> strides [2, 1]" +
           (tied ? " tied 0" : "") + R"() chunks 1 {
      %0 = kernel.generic ins(%x, %y : tensor<2x2xf32>, tensor<2x2xf32>)
          maps [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, j)>] {
      ^bb0(%a: f32, %b: f32):
        %s = arith.addf %a, %b : f32
        kernel.yield %s : f32
      } -> tensor<2x2xf32>
      kernel.yield %0 : tensor<2x2xf32>
    })";
  }
  static std::string launch(const std::string &result,
                            const std::string &kernel,
                            const std::string &inputs,
                            const std::string &dest) {
    return result + " = kernel.launch @" + kernel + "(" + inputs +
           " : tensor<2x2xf32>, tensor<2x2xf32>) into (" + dest +
           " : tensor<2x2xf32>) site \"add\" -> tensor<2x2xf32>\n";
  }
  const std::string view = "%v = kernel.view %z offset 2 strides [4, 1] : "
                           "(tensor<2x4xf32>) -> tensor<2x2xf32>\n";
  const std::vector<std::string> parameters = {"%x: tensor<2x2xf32>",
                                               "%z: tensor<2x4xf32>"};
  const std::vector<Tensor> arguments = {
      floats({2, 2}, {1, 2, 3, 4}),
      floats({2, 4}, {0, 0, 10, 20, 0, 0, 30, 40})};
};

TEST_F(KernelProgram, LaunchReadsViewsAndWritesDestinations) {
  auto results =
      run(addKernel("add", false) +
              entry(parameters, {"tensor<2x2xf32>"},
                    view + "%d = kernel.empty \"d\" : tensor<2x2xf32>\n" +
                        launch("%r", "add", "%x, %v", "%d"),
                    "%r"),
          arguments);
  expectFloats(results[0], {11, 22, 33, 44});
}

TEST_F(KernelProgram, TiedDestinationIsUpdatedInPlace) {
  auto results = run(addKernel("add", true) +
                         entry(parameters, {"tensor<2x2xf32>"},
                               view + launch("%r", "add", "%x, %v", "%x") +
                                   launch("%q", "add", "%r, %v", "%r"),
                               "%q"),
                     arguments);
  expectFloats(results[0], {21, 42, 63, 84});
}

TEST_F(KernelProgram, ReadingAnOverwrittenValueIsAnError) {
  std::string text = addKernel("add", true) + addKernel("other", false) +
                     entry(parameters, {"tensor<2x2xf32>"},
                           view + launch("%r", "add", "%x, %v", "%x") +
                               "%d = kernel.empty \"d\" : tensor<2x2xf32>\n" +
                               launch("%q", "other", "%x, %v", "%d"),
                           "%q");
  EXPECT_EQ(
      failureOf(text, arguments),
      "reads, at element 0, a value whose buffer has been overwritten since");
}

TEST_F(KernelProgram, ReadingUnwrittenMemoryIsAnError) {
  std::string text =
      addKernel("add", false) +
      entry(parameters, {"tensor<2x2xf32>"},
            view + "%d = kernel.empty \"d\" : tensor<2x2xf32>\n" +
                "%e = kernel.empty \"e\" : tensor<2x2xf32>\n" +
                launch("%r", "add", "%e, %v", "%d"),
            "%r");
  EXPECT_NE(failureOf(text, arguments).find("which nothing has written"),
            std::string::npos)
      << message;
}

TEST_F(KernelProgram, AliasingWithoutATieIsAnError) {
  std::string text = addKernel("add", false) +
                     entry(parameters, {"tensor<2x2xf32>"},
                           view + launch("%r", "add", "%x, %v", "%x"), "%r");
  EXPECT_EQ(failureOf(text, arguments),
            "input 0 overlaps destination 0 without a tie");
}

TEST_F(KernelProgram, TieToOtherMemoryIsAnError) {
  std::string text =
      addKernel("add", true) +
      entry(parameters, {"tensor<2x2xf32>"},
            view + "%d = kernel.empty \"d\" : tensor<2x2xf32>\n" +
                launch("%r", "add", "%x, %v", "%d"),
            "%r");
  EXPECT_EQ(
      failureOf(text, arguments),
      "expects destination 0 to be the memory of input 0, to which it is tied");
}

TEST_F(KernelProgram, StridesAreThoseOfTheKernel) {
  std::string text = addKernel("add", false) +
                     entry(parameters, {"tensor<2x2xf32>"},
                           "%d = kernel.empty \"d\" : tensor<2x2xf32>\n" +
                               launch("%r", "add", "%x, %x", "%d"),
                           "%r");
  EXPECT_EQ(failureOf(text, arguments),
            "operand 1 has stride 2 in dimension 0, the kernel expects 4");
}

// Two products side by side in one buffer, then the sum of both.
TEST_F(KernelProgram, ContractFillAndAccumulate) {
  std::string maps =
      "maps [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, "
      "affine_map<(m, n, k) -> (m, n)>] ";
  std::string types = " : tensor<2x2xf32>, tensor<2x2xf32>, tensor<2x2xf32> -> "
                      "tensor<2x2xf32>\n";
  auto results = run(
      entry(
          {"%a: tensor<2x2xf32>", "%b: tensor<2x2xf32>"},
          {"tensor<2x2xf32>", "tensor<2x2xf32>", "tensor<2x2xf32>"},
          "%d = kernel.empty \"d\" : tensor<2x2xf32>\n"
          "%f = kernel.fill 0.5 into %d : tensor<2x2xf32> -> tensor<2x2xf32>\n"
          "%0 = kernel.contract %a, %b into %f " +
              maps + "accumulate site \"c\"" + types +
              "%1 = kernel.contract %a, %a into %0 " + maps +
              "accumulate site \"c\"" + types +
              "%w = kernel.empty \"w\" : tensor<2x4xf32>\n"
              "%l = kernel.view %w offset 0 strides [4, 1] : (tensor<2x4xf32>) "
              "-> tensor<2x2xf32>\n"
              "%r = kernel.view %w offset 2 strides [4, 1] : (tensor<2x4xf32>) "
              "-> tensor<2x2xf32>\n"
              "%2 = kernel.contract %a, %b into %l " +
              maps + "site \"c\"" + types +
              "%3 = kernel.contract %b, %a into %r " + maps + "site \"c\"" +
              types,
          "%1, %2, %3"),
      {floats({2, 2}, {1, 2, 3, 4}), floats({2, 2}, {5, 6, 7, 8})});
  // ab = [19 22; 43 50], aa = [7 10; 15 22], ba = [23 34; 31 46].
  expectFloats(results[0], {26.5, 32.5, 58.5, 72.5});
  expectFloats(results[1], {19, 22, 43, 50});
  expectFloats(results[2], {23, 34, 31, 46});
}

const char *accumulateText = R"(
  module attributes {dist.mesh = #dist.mesh<dp=2, mb=2 : time>} {
    graph.variable @w : tensor<2xf32> kind parameter init <constant, 1.0>
    kernel.func @sumRows ins(%a: tensor<2xf32> strides [1], %x: tensor<5x2xf32> strides [2, 1])
        outs(%d: tensor<2xf32> strides [1] tied 0) chunks 1 {
      %0 = dist.local_slice %x {axes = array<i64: 0, 1>, dim = 0 : i64}
          : (tensor<5x2xf32>) -> tensor<2x2xf32, #dist.shard<[5:0:1, 2]>>
      %1 = kernel.generic ins(%0 : tensor<2x2xf32, #dist.shard<[5:0:1, 2]>>)
          maps [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (j)>] combiner sum {
      ^bb0(%e: f32):
        kernel.yield %e : f32
      } -> tensor<2xf32>
      %2 = kernel.generic ins(%a, %1 : tensor<2xf32>, tensor<2xf32>)
          maps [affine_map<(i) -> (i)>, affine_map<(i) -> (i)>, affine_map<(i) -> (i)>] {
      ^bb0(%e: f32, %f: f32):
        %s = arith.addf %e, %f : f32
        kernel.yield %s : f32
      } -> tensor<2xf32>
      kernel.yield %2 : tensor<2xf32>
    }
    kernel.func @add ins(%a: tensor<2xf32> strides [1], %b: tensor<2xf32> strides [1])
        outs(%d: tensor<2xf32> strides [1] TIED) chunks 1 {
      %2 = kernel.generic ins(%a, %b : tensor<2xf32>, tensor<2xf32>)
          maps [affine_map<(i) -> (i)>, affine_map<(i) -> (i)>, affine_map<(i) -> (i)>] {
      ^bb0(%e: f32, %f: f32):
        %s = arith.addf %e, %f : f32
        kernel.yield %s : f32
      } -> tensor<2xf32>
      kernel.yield %2 : tensor<2xf32>
    }
    graph.entry @main(%x: tensor<5x2xf32> {graph.input = "x"}, %w: tensor<2xf32> {graph.variable = @w})
        -> (tensor<2xf32> {graph.variable = @w}) {
      %d = kernel.empty "acc" : tensor<2xf32>
      %z = kernel.fill 0.0 into %d : tensor<2xf32> -> tensor<2xf32>
      %s = dist.micro_batches(%z : tensor<2xf32>) -> (tensor<2xf32>) {
      ^bb0(%acc: tensor<2xf32>):
        %n = kernel.launch @sumRows(%acc, %x : tensor<2xf32>, tensor<5x2xf32>) into (%acc : tensor<2xf32>) site "s" -> tensor<2xf32>
        dist.yield %n : tensor<2xf32>
      }
      %e = kernel.empty "reduced" : tensor<2xf32>
      %r = dist.all_reduce %s into %e : tensor<2xf32> {axes = array<i64: 0>, reduction = #dist<reduction sum>} : (tensor<2xf32>) -> tensor<2xf32>
      %o = kernel.empty "other" : tensor<2xf32>
      %u = kernel.launch @add(%w, %r : tensor<2xf32>, tensor<2xf32>) into (DEST : tensor<2xf32>) site "u" -> tensor<2xf32>
      graph.return %u : tensor<2xf32>
    }
  })";

std::string replaced(std::string text, const std::string &from,
                     const std::string &to) {
  text.replace(text.find(from), from.size(), to);
  return text;
}

TEST_F(KernelProgram, LoopAccumulatesInItsOwnBuffer) {
  std::string text =
      replaced(replaced(accumulateText, "TIED", "tied 0"), "DEST", "%w");
  mlir::ModuleOp parsed = parse(text);
  State state = State::initialize(parsed, 0);
  auto outputs = Interpreter(parsed).runEntry(
      "main", state, {{"x", floats({5, 2}, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10})}});
  ASSERT_TRUE(mlir::succeeded(outputs)) << message;
  expectFloats(state.variables["w"], {26, 31});
}

TEST_F(KernelProgram, UpdatedVariableMustEndInItsBuffer) {
  std::string text =
      replaced(replaced(accumulateText, "TIED", ""), "DEST", "%o");
  EXPECT_EQ(failureOf(text, {floats({5, 2}, std::vector<double>(10, 1.0)),
                             floats({2}, {1, 1})}),
            "expects result 0 to be in the buffer of the variable @w that it "
            "updates");
}

} // namespace
} // namespace weir::compiler
