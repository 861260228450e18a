// SPDX-License-Identifier: Apache-2.0
// The reverse-mode engine: which contributions it builds and how it sums them.
#include "compiler/Autodiff/Reverse.h"

#include "dialects/Graph/Build.h"
#include "mlir/IR/Verifier.h"
#include "test/unit/autodiff/OpCases.h"

#include <gtest/gtest.h>

using namespace mlir;

namespace weir::compiler::test {
namespace {

class ReverseTest : public testing::Test {
protected:
  /// Differentiates the first result of the first entry, a rank-0 tensor, with
  /// respect to the arguments `wanted`; the entry then returns the gradients
  /// that exist.
  LogicalResult differentiate(const std::string &text,
                              ArrayRef<unsigned> wanted) {
    module = context.parse(text);
    if (!module)
      return failure();
    entry = *module->getOps<graph::EntryOp>().begin();
    Block &body = entry.getBody().front();
    Operation *end = body.getTerminator();
    OpBuilder builder(end);
    graph::Build b(builder, end->getLoc());
    SmallVector<Value> arguments;
    for (unsigned index : wanted)
      arguments.push_back(body.getArgument(index));
    firstEmitted = end->getPrevNode();
    Value loss = end->getOperand(0);
    return buildGradients(builder, loss, b.splatLike(loss, 1), arguments,
                          gradients);
  }

  /// Number of emitted ops of a type.
  template <typename OpTy> int count() {
    int number = 0;
    for (Operation *op = firstEmitted->getNextNode(); op;
         op = op->getNextNode())
      number += isa<OpTy>(op);
    return number;
  }

  OpTestContext context;
  OwningOpRef<ModuleOp> module;
  graph::EntryOp entry;
  Operation *firstEmitted = nullptr;
  SmallVector<Value> gradients;
};

TEST_F(ReverseTest, SumsBothUsesOfTiedTable) {
  ASSERT_TRUE(succeeded(differentiate(R"(
    graph.entry @f(%w: tensor<7x3xf32> {graph.input = "w"},
                   %ids: tensor<4xi32> {graph.input = "ids"})
        -> (tensor<f32> {graph.output = "y"}) {
      %x = graph.embedding %w, %ids : (tensor<7x3xf32>, tensor<4xi32>) -> tensor<4x3xf32>
      %l = graph.matmul %x, %w batch [] x [] contract [1] x [1]
          : (tensor<4x3xf32>, tensor<7x3xf32>) -> tensor<4x7xf32>
      %t = graph.tanh %l : tensor<4x7xf32>
      %y = graph.reduce sum %t [0, 1] : (tensor<4x7xf32>) -> tensor<f32>
      graph.return %y : tensor<f32>
    })",
                                      {0})));
  auto sum = gradients[0].getDefiningOp<graph::AddOp>();
  ASSERT_TRUE(sum);
  // The head's contribution is met first on the way back.
  EXPECT_TRUE(sum.getLhs().getDefiningOp<graph::MatmulOp>());
  EXPECT_TRUE(sum.getRhs().getDefiningOp<graph::EmbeddingGradOp>());
  // Both products come in the order that needs no transpose.
  EXPECT_EQ(count<graph::TransposeOp>(), 0);
  EXPECT_TRUE(succeeded(verify(*module)));
}

TEST_F(ReverseTest, SlicesThatTileBecomeOneConcat) {
  ASSERT_TRUE(succeeded(differentiate(R"(
    graph.entry @f(%x: tensor<2x5xf32> {graph.input = "x"})
        -> (tensor<f32> {graph.output = "y"}) {
      %b = graph.slice %x [0, 2] : (tensor<2x5xf32>) -> tensor<2x3xf32>
      %a = graph.slice %x [0, 0] : (tensor<2x5xf32>) -> tensor<2x2xf32>
      %sa = graph.reduce sum %a [0, 1] : (tensor<2x2xf32>) -> tensor<f32>
      %b2 = graph.mul %b, %b : tensor<2x3xf32>
      %sb = graph.reduce sum %b2 [0, 1] : (tensor<2x3xf32>) -> tensor<f32>
      %y = graph.add %sa, %sb : tensor<f32>
      graph.return %y : tensor<f32>
    })",
                                      {0})));
  auto concat = gradients[0].getDefiningOp<graph::ConcatOp>();
  ASSERT_TRUE(concat);
  EXPECT_EQ(count<graph::ConcatOp>(), 1);
  Tensor x = Tensor::fromFloats({2, 5}, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10});
  auto values = evaluateBlock(entry.getBody().front(), {x}, {gradients[0]});
  ASSERT_TRUE(succeeded(values));
  EXPECT_EQ((*values)[0].floats,
            (std::vector<double>{1, 1, 6, 8, 10, 1, 1, 16, 18, 20}));
}

TEST_F(ReverseTest, SlicesThatOverlapArePaddedAndSummed) {
  ASSERT_TRUE(succeeded(differentiate(R"(
    graph.entry @f(%x: tensor<5xf32> {graph.input = "x"})
        -> (tensor<f32> {graph.output = "y"}) {
      %a = graph.slice %x [0] : (tensor<5xf32>) -> tensor<3xf32>
      %b = graph.slice %x [1] : (tensor<5xf32>) -> tensor<3xf32>
      %c = graph.mul %a, %b : tensor<3xf32>
      %y = graph.reduce sum %c [0] : (tensor<3xf32>) -> tensor<f32>
      graph.return %y : tensor<f32>
    })",
                                      {0})));
  Tensor x = Tensor::fromFloats({5}, {1, 2, 3, 4, 5});
  auto values = evaluateBlock(entry.getBody().front(), {x}, {gradients[0]});
  ASSERT_TRUE(succeeded(values));
  EXPECT_EQ((*values)[0].floats, (std::vector<double>{2, 4, 6, 3, 0}));
}

TEST_F(ReverseTest, FollowsOnlyWhatIsWanted) {
  const char *text = R"(
    graph.entry @f(%a: tensor<5xf32> {graph.input = "a"},
                   %b: tensor<5xf32> {graph.input = "b"},
                   %c: tensor<5xf32> {graph.input = "c"})
        -> (tensor<f32> {graph.output = "y"}) {
      %eb = graph.exp %b : tensor<5xf32>
      %ab = graph.mul %a, %eb : tensor<5xf32>
      %y = graph.reduce sum %ab [0] : (tensor<5xf32>) -> tensor<f32>
      graph.return %y : tensor<f32>
    })";
  ASSERT_TRUE(succeeded(differentiate(text, {0, 2})));
  // d/da is exp(b) repeated gradient; nothing is built toward b.
  EXPECT_EQ(count<graph::MulOp>(), 1);
  EXPECT_TRUE(gradients[0]);
  EXPECT_FALSE(gradients[1]); // the loss does not depend on c
  ASSERT_TRUE(succeeded(differentiate(text, {0, 1})));
  EXPECT_EQ(count<graph::MulOp>(), 3);
  // Twice the same value: the same gradient, built once.
  ASSERT_TRUE(succeeded(differentiate(text, {0, 0})));
  EXPECT_EQ(gradients[0], gradients[1]);
  EXPECT_EQ(count<graph::MulOp>(), 1);
}

TEST_F(ReverseTest, NamesGradientsAfterForwardOps) {
  ASSERT_TRUE(succeeded(differentiate(R"(
    graph.entry @f(%x: tensor<5xf32> {graph.input = "x"})
        -> (tensor<f32> {graph.output = "y"}) {
      %e = graph.exp %x : tensor<5xf32> loc("h.0.act")
      %y = graph.reduce sum %e [0] : (tensor<5xf32>) -> tensor<f32>
      graph.return %y : tensor<f32>
    })",
                                      {0})));
  auto name = gradients[0].getLoc()->findInstanceOf<NameLoc>();
  ASSERT_TRUE(name);
  EXPECT_EQ(name.getName().getValue(), "h.0.act/gradient");
}

TEST_F(ReverseTest, WorkIsLinear) {
  // A chain of additions of a value to itself: 2^n paths, n ops.
  std::string text =
      "graph.entry @f(%v0: tensor<f32> {graph.input = \"x\"}) -> "
      "(tensor<f32> {graph.output = \"y\"}) {\n";
  constexpr int length = 2000;
  for (int i = 0; i < length; ++i)
    text += "%v" + std::to_string(i + 1) + " = graph.mul %v" +
            std::to_string(i) + ", %v" + std::to_string(i) + " : tensor<f32>\n";
  text += "graph.return %v" + std::to_string(length) + " : tensor<f32>\n}";
  ASSERT_TRUE(succeeded(differentiate(text, {0})));
  EXPECT_EQ(count<graph::MulOp>(), 2 * length);
  EXPECT_EQ(count<graph::AddOp>(), length);
}

// Where finite differences say nothing: the values that the ops' documentation
// and PyTorch have there.
TEST_F(ReverseTest, GradientsAtKinksAndTies) {
  auto gradientOf = [&](const std::string &body, std::vector<double> x,
                        unsigned wanted = 0) {
    std::string text = R"(
      graph.entry @f(%x: tensor<3xf32> {graph.input = "x"},
                     %b: tensor<3xf32> {graph.input = "b"})
          -> (tensor<f32> {graph.output = "y"}) {
        )" + body + R"(
        graph.return %y : tensor<f32>
      })";
    EXPECT_TRUE(succeeded(differentiate(text, {wanted})));
    Tensor second = Tensor::fromFloats({3}, {1, 0, -1});
    auto values =
        evaluateBlock(entry.getBody().front(),
                      {Tensor::fromFloats({3}, x), second}, {gradients[0]});
    EXPECT_TRUE(succeeded(values));
    return (*values)[0].floats;
  };
  auto elementwise = [](const std::string &op) {
    return "%e = graph." + op + " : tensor<3xf32>\n" +
           "%y = graph.reduce sum %e [0] : (tensor<3xf32>) -> tensor<f32>";
  };
  using Values = std::vector<double>;
  EXPECT_EQ(gradientOf(elementwise("abs %x"), {-2, 0, 2}), (Values{-1, 0, 1}));
  EXPECT_EQ(gradientOf(elementwise("relu %x"), {-2, 0, 2}), (Values{0, 0, 1}));
  // Of equal operands the first.
  EXPECT_EQ(gradientOf(elementwise("max %x, %b"), {1, 1, -3}),
            (Values{1, 1, 0}));
  EXPECT_EQ(gradientOf(elementwise("max %x, %b"), {1, 1, -3}, 1),
            (Values{0, 0, 1}));
  EXPECT_EQ(gradientOf(elementwise("min %x, %b"), {1, 1, -3}),
            (Values{1, 0, 1}));
  // Equal extremes share.
  EXPECT_EQ(gradientOf(
                "%y = graph.reduce max %x [0] : (tensor<3xf32>) -> tensor<f32>",
                {4, 1, 4}),
            (Values{0.5, 0, 0.5}));
  EXPECT_EQ(gradientOf(
                "%y = graph.reduce min %x [0] : (tensor<3xf32>) -> tensor<f32>",
                {1, 1, 4}),
            (Values{0.5, 0.5, 0}));
  // x^1, x^0, x^-1 at 0, 0 and 2.
  EXPECT_EQ(gradientOf(elementwise("pow %x, %b"), {0, 0, 2}),
            (Values{1, 0, -0.25}));
  Values exponent = gradientOf(elementwise("pow %x, %b"), {0, 0, 2}, 1);
  EXPECT_EQ(exponent[0], 0);
  EXPECT_EQ(exponent[1], 0);
  EXPECT_NEAR(exponent[2], 0.5 * std::log(2.0), 1e-15);
}

/// Differentiates a loss through the first argument and returns the error.
std::string errorOf(OpTestContext &context, const std::string &text) {
  OwningOpRef<ModuleOp> module = context.parse(text);
  auto entry = *module->getOps<graph::EntryOp>().begin();
  Operation *end = entry.getBody().front().getTerminator();
  OpBuilder builder(end);
  Value loss = end->getOperand(0);
  Value one = graph::Build(builder, end->getLoc()).splatLike(loss, 1);
  std::string message;
  ScopedDiagnosticHandler handler(context.get(), [&](Diagnostic &diagnostic) {
    message += diagnostic.str() + "\n";
    return success();
  });
  SmallVector<Value> gradients;
  EXPECT_TRUE(failed(buildGradients(
      builder, loss, one, {entry.getBody().getArgument(0)}, gradients)));
  return message;
}

TEST_F(ReverseTest, RefusesSavedResults) {
  std::string message = errorOf(context, R"(
    graph.entry @f(%x: tensor<3x5xf32> {graph.input = "x"},
                   %w: tensor<5xf32> {graph.input = "w"})
        -> (tensor<f32> {graph.output = "y"}) {
      %n, %rstd = graph.rms_norm %x, %w epsilon 1.0e-5
          : (tensor<3x5xf32>, tensor<5xf32>) -> (tensor<3x5xf32>, tensor<3xf32>)
      %y = graph.reduce sum %rstd [0] : (tensor<3xf32>) -> tensor<f32>
      graph.return %y : tensor<f32>
    })");
  EXPECT_EQ(message,
            "'graph.rms_norm' op expects only its first result to be "
            "differentiated; the loss depends on result 1: compute that "
            "value with separate ops\n");
}

TEST_F(ReverseTest, RefusesOpsWithoutGradient) {
  std::string message = errorOf(context, R"(
    graph.entry @f(%x: tensor<5xf32> {graph.input = "x"})
        -> (tensor<f32> {graph.output = "y"}) {
      %r = kernel.reshape %x : (tensor<5xf32>) -> tensor<5x1xf32>
      %y = graph.reduce sum %r [0, 1] : (tensor<5x1xf32>) -> tensor<f32>
      graph.return %y : tensor<f32>
    })");
  EXPECT_EQ(message,
            "'kernel.reshape' op cannot be differentiated, but the loss "
            "depends on a variable through it\n");
}

} // namespace
} // namespace weir::compiler::test
