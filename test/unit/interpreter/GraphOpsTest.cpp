// SPDX-License-Identifier: Apache-2.0
// Every `graph` op against numbers worked out by hand from its definition.
#include "test/unit/interpreter/TestSupport.h"

#include "runtime/base/Philox.h"

#include <cmath>
#include <limits>

namespace weir::compiler {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
const double nan = std::numeric_limits<double>::quiet_NaN();

class GraphOps : public InterpreterTest {
protected:
  Tensor unary(const std::string &op, llvm::ArrayRef<double> values) {
    std::string type = "tensor<" + std::to_string(values.size()) + "xf32>";
    auto results = run(entry({"%x: " + type}, {type},
                             "%y = graph." + op + " %x : " + type, "%y"),
                       {floats({int64_t(values.size())}, values)});
    return results.empty() ? Tensor() : results[0];
  }
  Tensor binary(const std::string &op, llvm::ArrayRef<double> a,
                llvm::ArrayRef<double> b) {
    std::string type = "tensor<" + std::to_string(a.size()) + "xf32>";
    auto results =
        run(entry({"%x: " + type, "%z: " + type}, {type},
                  "%y = graph." + op + " %x, %z : " + type, "%y"),
            {floats({int64_t(a.size())}, a), floats({int64_t(b.size())}, b)});
    return results.empty() ? Tensor() : results[0];
  }
};

TEST_F(GraphOps, Unary) {
  expectFloats(unary("neg", {1.5, -2}), {-1.5, 2});
  expectFloats(unary("exp", {0, 1}), {1, 2.718281828459045});
  expectFloats(unary("log", {1, 10}), {0, 2.302585092994046});
  expectFloats(unary("sqrt", {9, 2}), {3, 1.4142135623730951});
  expectFloats(unary("rsqrt", {4, 0.25}), {0.5, 2});
  expectFloats(unary("tanh", {0, 1}), {0, 0.7615941559557649});
  expectFloats(unary("erf", {0, 1}), {0, 0.8427007929497149});
  expectFloats(unary("sin", {0, 1}), {0, 0.8414709848078965});
  expectFloats(unary("cos", {0, 1}), {1, 0.5403023058681398});
  expectFloats(unary("abs", {-3, 2}), {3, 2});
  expectFloats(unary("sigmoid", {0, 2}), {0.5, 0.8807970779778823});
  expectFloats(unary("relu", {-1, 2, nan}), {0, 2, nan});
  expectFloats(unary("silu", {0, 2}), {0, 1.7615941559557646});
}

// Values of 1 and -0.5: Phi(1) = 0.8413447460685429; the tanh form gives
// 0.8411919906082768 at 1; sigmoid(1.702) = 0.8457957659328212.
TEST_F(GraphOps, Gelu) {
  expectFloats(unary("gelu erf", {0, 1, -0.5}),
               {0, 0.8413447460685429, -0.15426876936299344});
  expectFloats(unary("gelu tanh", {0, 1, -0.5}),
               {0, 0.8411919906082768, -0.154285990174856}, 1e-10);
  expectFloats(unary("gelu quick", {0, 1}), {0, 0.8457957659328212});
}

TEST_F(GraphOps, Binary) {
  expectFloats(binary("add", {1, 2}, {10, 20}), {11, 22});
  expectFloats(binary("sub", {1, 2}, {10, 20}), {-9, -18});
  expectFloats(binary("mul", {3, 2}, {10, 20}), {30, 40});
  expectFloats(binary("div", {3, 2}, {8, 0}), {0.375, infinity});
  expectFloats(binary("max", {3, 2, nan}, {8, 0, 1}), {8, 2, nan});
  expectFloats(binary("min", {3, 2, 1}, {8, 0, nan}), {3, 0, nan});
  expectFloats(binary("pow", {3, 2}, {2, -1}), {9, 0.5});
}

TEST_F(GraphOps, IntegerArithmeticWraps) {
  auto results = run(entry({"%a: tensor<2xi32>", "%b: tensor<2xi32>"},
                           {"tensor<2xi32>", "tensor<2xi32>", "tensor<2xi32>"},
                           "%0 = graph.add %a, %b : tensor<2xi32>\n"
                           "%1 = graph.mul %a, %b : tensor<2xi32>\n"
                           "%2 = graph.div %a, %b : tensor<2xi32>",
                           "%0, %1, %2"),
                     {ints({2}, {2147483647, -7}), ints({2}, {1, 2})});
  expectInts(results[0], {-2147483648, -5});
  expectInts(results[1], {2147483647, -14});
  expectInts(results[2], {2147483647, -3});
}

TEST_F(GraphOps, F32RoundsEveryOperation) {
  std::string text =
      entry({"%a: tensor<1xf32>", "%b: tensor<1xf32>"}, {"tensor<1xf32>"},
            "%0 = graph.add %a, %b : tensor<1xf32>\n"
            "%1 = graph.sub %0, %a : tensor<1xf32>",
            "%1");
  // 2^24 + 1 has no f32.
  std::vector<Tensor> arguments = {floats({1}, {16777216}), floats({1}, {1})};
  expectFloats(run(text, arguments, Precision::F32)[0], {0});
  expectFloats(run(text, arguments, Precision::F64)[0], {1});
}

TEST_F(GraphOps, CompareSelectCast) {
  auto results =
      run(entry({"%a: tensor<3xf32>", "%b: tensor<3xf32>"},
                {"tensor<3xi1>", "tensor<3xi1>", "tensor<3xi1>",
                 "tensor<3xf32>", "tensor<3xi32>", "tensor<3xf32>"},
                "%0 = graph.compare lt %a, %b : tensor<3xf32> -> tensor<3xi1>\n"
                "%1 = graph.compare ne %a, %b : tensor<3xf32> -> tensor<3xi1>\n"
                "%2 = graph.compare ge %a, %b : tensor<3xf32> -> tensor<3xi1>\n"
                "%3 = graph.select %0, %a, %b : tensor<3xi1>, tensor<3xf32>\n"
                "%4 = graph.cast %a : tensor<3xf32> -> tensor<3xi32>\n"
                "%5 = graph.cast %0 : tensor<3xi1> -> tensor<3xf32>",
                "%0, %1, %2, %3, %4, %5"),
          {floats({3}, {1.75, -2.75, nan}), floats({3}, {2, -3, 1})});
  expectInts(results[0], {1, 0, 0});
  expectInts(results[1], {1, 1, 1});
  expectInts(results[2], {0, 1, 0});
  expectFloats(results[3], {1.75, -3, 1});
  expectInts(results[4], {1, -2, 0});
  expectFloats(results[5], {1, 0, 0});
}

TEST_F(GraphOps, ConstantAndIota) {
  auto results =
      run(entry({},
                {"tensor<3xf32>", "tensor<2xi32>", "tensor<2x3xi32>",
                 "tensor<2x3xf32>"},
                "%0 = graph.constant dense<0.5> : tensor<3xf32>\n"
                "%1 = graph.constant dense<[7, -8]> : tensor<2xi32>\n"
                "%2 = graph.iota 1 : tensor<2x3xi32>\n"
                "%3 = graph.iota 0 : tensor<2x3xf32>",
                "%0, %1, %2, %3"),
          {});
  expectFloats(results[0], {0.5, 0.5, 0.5});
  expectInts(results[1], {7, -8});
  expectInts(results[2], {0, 1, 2, 0, 1, 2});
  expectFloats(results[3], {0, 0, 0, 1, 1, 1});
}

TEST_F(GraphOps, BroadcastReduce) {
  auto results = run(
      entry(
          {"%x: tensor<2x3xf32>", "%b: tensor<3xf32>"},
          {"tensor<2x3xf32>", "tensor<3x2xf32>", "tensor<2xf32>",
           "tensor<3xf32>", "tensor<f32>"},
          "%0 = graph.broadcast %b [1] : (tensor<3xf32>) -> tensor<2x3xf32>\n"
          "%1 = graph.broadcast %b [0] : (tensor<3xf32>) -> tensor<3x2xf32>\n"
          "%2 = graph.reduce sum %x [1] : (tensor<2x3xf32>) -> tensor<2xf32>\n"
          "%3 = graph.reduce max %x [0] : (tensor<2x3xf32>) -> tensor<3xf32>\n"
          "%4 = graph.reduce min %x [0, 1] : (tensor<2x3xf32>) -> tensor<f32>",
          "%0, %1, %2, %3, %4"),
      {floats({2, 3}, {1, 2, 3, 10, -20, 30}), floats({3}, {5, 6, 7})});
  expectFloats(results[0], {5, 6, 7, 5, 6, 7});
  expectFloats(results[1], {5, 5, 6, 6, 7, 7});
  expectFloats(results[2], {6, 20});
  expectFloats(results[3], {10, 2, 30});
  expectFloats(results[4], {-20});
}

TEST_F(GraphOps, Views) {
  auto results = run(
      entry(
          {"%x: tensor<2x3xf32>"},
          {"tensor<3x2xf32>", "tensor<3x2xf32>", "tensor<1x2xf32>",
           "tensor<2x4xf32>"},
          "%0 = graph.reshape %x : (tensor<2x3xf32>) -> tensor<3x2xf32>\n"
          "%1 = graph.transpose %x [1, 0] : (tensor<2x3xf32>) -> "
          "tensor<3x2xf32>\n"
          "%2 = graph.slice %x [1, 1] : (tensor<2x3xf32>) -> tensor<1x2xf32>\n"
          "%s = graph.slice %x [0, 2] : (tensor<2x3xf32>) -> tensor<2x1xf32>\n"
          "%3 = graph.concat %s, %x dim 1 : (tensor<2x1xf32>, tensor<2x3xf32>) "
          "-> "
          "tensor<2x4xf32>",
          "%0, %1, %2, %3"),
      {floats({2, 3}, {1, 2, 3, 4, 5, 6})});
  expectFloats(results[0], {1, 2, 3, 4, 5, 6});
  expectFloats(results[1], {1, 4, 2, 5, 3, 6});
  expectFloats(results[2], {5, 6});
  expectFloats(results[3], {3, 1, 2, 3, 6, 4, 5, 6});
}

TEST_F(GraphOps, Matmul) {
  // a [2,3], b [3,2] plain; then batched over the first dimension of both with
  // the second operand transposed: c[i,m,n] = sum_k a[i,m,k] d[i,n,k].
  auto results = run(
      entry(
          {"%a: tensor<2x3xf32>", "%b: tensor<3x2xf32>",
           "%c: tensor<2x1x2xf32>", "%d: tensor<2x2x2xf32>"},
          {"tensor<2x2xf32>", "tensor<2x1x2xf32>", "tensor<f32>",
           "tensor<2x3x3x2xf32>"},
          "%0 = graph.matmul %a, %b batch [] x [] contract [1] x [0]\n"
          "    : (tensor<2x3xf32>, tensor<3x2xf32>) -> tensor<2x2xf32>\n"
          "%1 = graph.matmul %c, %d batch [0] x [0] contract [2] x [2]\n"
          "    : (tensor<2x1x2xf32>, tensor<2x2x2xf32>) -> tensor<2x1x2xf32>\n"
          "%2 = graph.matmul %a, %b batch [] x [] contract [0, 1] x [1, 0]\n"
          "    : (tensor<2x3xf32>, tensor<3x2xf32>) -> tensor<f32>\n"
          "%3 = graph.matmul %a, %b batch [] x [] contract [] x []\n"
          "    : (tensor<2x3xf32>, tensor<3x2xf32>) -> tensor<2x3x3x2xf32>",
          "%0, %1, %2, %3"),
      {floats({2, 3}, {1, 2, 3, 4, 5, 6}),
       floats({3, 2}, {7, 8, 9, 10, 11, 12}), floats({2, 1, 2}, {1, 2, 3, 4}),
       floats({2, 2, 2}, {1, 0, 0, 1, 1, 1, 2, 0})});
  expectFloats(results[0], {58, 64, 139, 154});
  expectFloats(results[1], {1, 2, 7, 6});
  expectFloats(results[2], {58 + 154});
  EXPECT_EQ(results[3].floats[0], 7);
  EXPECT_EQ(results[3].floats[35], 72);
  EXPECT_EQ(results[3].floats[6], 14);
}

TEST_F(GraphOps, Embedding) {
  auto results = run(
      entry({"%t: tensor<3x2xf32>", "%i: tensor<4xi32>", "%u: tensor<4x2xf32>"},
            {"tensor<4x2xf32>", "tensor<3x2xf32>"},
            "%0 = graph.embedding %t, %i : (tensor<3x2xf32>, tensor<4xi32>) -> "
            "tensor<4x2xf32>\n"
            "%1 = graph.embedding_grad %i, %u : (tensor<4xi32>, "
            "tensor<4x2xf32>) -> "
            "tensor<3x2xf32>",
            "%0, %1"),
      {floats({3, 2}, {1, 2, 3, 4, 5, 6}), ints({4}, {2, 0, 2, 9}),
       floats({4, 2}, {1, 10, 2, 20, 3, 30, 4, 40})});
  expectFloats(results[0], {5, 6, 1, 2, 5, 6, 0, 0});
  expectFloats(results[1], {2, 20, 0, 0, 4, 40});
}

TEST_F(GraphOps, LayerNorm) {
  // Mean 2, variance 1, epsilon 3: rstd = 1/2.
  auto results = run(
      entry(
          {"%x: tensor<1x2xf32>", "%w: tensor<2xf32>", "%b: tensor<2xf32>"},
          {"tensor<1x2xf32>", "tensor<1xf32>", "tensor<1xf32>"},
          "%0:3 = graph.layer_norm %x, %w, %b epsilon 3.0 : (tensor<1x2xf32>, "
          "tensor<2xf32>, tensor<2xf32>) -> (tensor<1x2xf32>, tensor<1xf32>, "
          "tensor<1xf32>)",
          "%0#0, %0#1, %0#2"),
      {floats({1, 2}, {1, 3}), floats({2}, {10, 100}), floats({2}, {1, 2})});
  expectFloats(results[0], {-4, 52});
  expectFloats(results[1], {2});
  expectFloats(results[2], {0.5});
}

TEST_F(GraphOps, RmsNorm) {
  // Mean square (9 + 1) / 2 = 5, epsilon 11: rstd = 1/4.
  auto results =
      run(entry({"%x: tensor<1x2xf32>", "%w: tensor<2xf32>"},
                {"tensor<1x2xf32>", "tensor<1xf32>"},
                "%0:2 = graph.rms_norm %x, %w epsilon 11.0 : (tensor<1x2xf32>, "
                "tensor<2xf32>) -> (tensor<1x2xf32>, tensor<1xf32>)",
                "%0#0, %0#1"),
          {floats({1, 2}, {3, -1}), floats({2}, {4, 8})});
  expectFloats(results[0], {3, -2});
  expectFloats(results[1], {0.25});
}

TEST_F(GraphOps, Softmax) {
  auto results = run(entry({"%x: tensor<2x2xf32>"}, {"tensor<2x2xf32>"},
                           "%0 = graph.softmax %x : tensor<2x2xf32>", "%0"),
                     {floats({2, 2}, {0, std::log(3.0), 1000, 1000})});
  expectFloats(results[0], {0.25, 0.75, 0.5, 0.5});
}

TEST_F(GraphOps, Rope) {
  // [B=1, T=2, H=1, D=4]; position 0 keeps, position 1 rotates pairs (x0,x2) by
  // cos 0, sin 1 and (x1,x3) by cos 0.6, sin 0.8.
  auto results =
      run(entry({"%x: tensor<1x2x1x4xf32>", "%c: tensor<2x2xf32>",
                 "%s: tensor<2x2xf32>"},
                {"tensor<1x2x1x4xf32>"},
                "%0 = graph.rope %x, %c, %s seq 1 : (tensor<1x2x1x4xf32>, "
                "tensor<2x2xf32>, "
                "tensor<2x2xf32>) -> tensor<1x2x1x4xf32>",
                "%0"),
          {floats({1, 2, 1, 4}, {1, 2, 3, 4, 1, 2, 3, 4}),
           floats({2, 2}, {1, 1, 0, 0.6}), floats({2, 2}, {0, 0, 1, 0.8})});
  expectFloats(results[0], {1, 2, 3, 4, -3, 1.2 - 3.2, 1, 2.4 + 1.6});
}

TEST_F(GraphOps, Attention) {
  // B=1, T=S=2, G=1, R=2, D=E=1, scale 1, causal. Query 0 sees key 0 only;
  // query (t=1, r=0) is 0, so that both keys weigh the same; (t=1, r=1) has
  // scores 0 and ln 3: weights 1/4 and 3/4.
  const double l3 = std::log(3.0);
  std::vector<Tensor> arguments = {floats({1, 2, 1, 2, 1}, {5, 5, 0, l3}),
                                   floats({1, 2, 1, 1}, {0, 1}),
                                   floats({1, 2, 1, 1}, {8, 4})};
  std::string types =
      "(tensor<1x2x1x2x1xf32>, tensor<1x2x1x1xf32>, tensor<1x2x1x1xf32>) -> "
      "(tensor<1x2x1x2x1xf32>, tensor<1x1x2x2xf32>)";
  std::vector<std::string> parameters = {"%q: tensor<1x2x1x2x1xf32>",
                                         "%k: tensor<1x2x1x1xf32>",
                                         "%v: tensor<1x2x1x1xf32>"};
  std::vector<std::string> resultTypes = {"tensor<1x2x1x2x1xf32>",
                                          "tensor<1x1x2x2xf32>"};
  auto results =
      run(entry(parameters, resultTypes,
                "%0:2 = graph.attention %q, %k, %v scale 1.0 causal : " + types,
                "%0#0, %0#1"),
          arguments);
  expectFloats(results[0], {8, 8, 6, 5});
  expectFloats(results[1], {0, std::log(2.0), 0, std::log(4.0)});

  // Without the mask query (t=0, r=0) = 5 sees scores 0 and 5.
  results = run(entry(parameters, resultTypes,
                      "%0:2 = graph.attention %q, %k, %v scale 1.0 : " + types,
                      "%0#0, %0#1"),
                arguments);
  double p = 1 / (1 + std::exp(5.0));
  expectFloats(results[0], {8 * p + 4 * (1 - p), 8 * p + 4 * (1 - p), 6, 5});
}

TEST_F(GraphOps, AttentionGrad) {
  // As above for the row (t=1, r=1) with dO = 1 there and 0 elsewhere:
  // P = (1/4, 3/4), O = 5, dP = v = (8, 4), dS = P (dP - 5) = (3/4, -3/4),
  // dQ = sum dS k = -3/4, dK = dS q = (3/4, -3/4) ln 3, dV = P.
  const double l3 = std::log(3.0);
  auto results = run(
      entry({"%q: tensor<1x2x1x2x1xf32>", "%k: tensor<1x2x1x1xf32>",
             "%v: tensor<1x2x1x1xf32>", "%o: tensor<1x2x1x2x1xf32>",
             "%l: tensor<1x1x2x2xf32>", "%d: tensor<1x2x1x2x1xf32>"},
            {"tensor<1x2x1x2x1xf32>", "tensor<1x2x1x1xf32>",
             "tensor<1x2x1x1xf32>"},
            "%0:3 = graph.attention_grad %q, %k, %v, %o, %l, %d scale 1.0 "
            "causal : "
            "(tensor<1x2x1x2x1xf32>, tensor<1x2x1x1xf32>, tensor<1x2x1x1xf32>, "
            "tensor<1x2x1x2x1xf32>, tensor<1x1x2x2xf32>, "
            "tensor<1x2x1x2x1xf32>) -> "
            "(tensor<1x2x1x2x1xf32>, tensor<1x2x1x1xf32>, tensor<1x2x1x1xf32>)",
            "%0#0, %0#1, %0#2"),
      {floats({1, 2, 1, 2, 1}, {5, 5, 0, l3}), floats({1, 2, 1, 1}, {0, 1}),
       floats({1, 2, 1, 1}, {8, 4}), floats({1, 2, 1, 2, 1}, {8, 8, 6, 5}),
       floats({1, 1, 2, 2}, {0, std::log(2.0), 0, std::log(4.0)}),
       floats({1, 2, 1, 2, 1}, {0, 0, 0, 1})});
  expectFloats(results[0], {0, 0, 0, -0.75});
  expectFloats(results[1], {0.75 * l3, -0.75 * l3});
  expectFloats(results[2], {0.25, 0.75});
}

TEST_F(GraphOps, Dropout) {
  auto results =
      run(entry({"%x: tensor<2x8xf32>", "%s: tensor<i32>", "%t: tensor<i32>"},
                {"tensor<2x8xf32>"},
                "%0 = graph.dropout %x, %s, %t rate 0.5 site \"a.drop\" : "
                "(tensor<2x8xf32>, "
                "tensor<i32>, tensor<i32>) -> tensor<2x8xf32>",
                "%0"),
          {floats({2, 8}, std::vector<double>(16, 3.0)),
           Tensor::scalarInt(ElementKind::I32, 11),
           Tensor::scalarInt(ElementKind::I32, 5)});
  int kept = 0;
  for (int i = 0; i < 16; ++i) {
    bool keep = uniform01(randomWord(siteKey("a.drop"), 11, 5, i)) >= 0.5f;
    EXPECT_EQ(results[0].floats[i], keep ? 6.0 : 0.0);
    kept += keep;
  }
  EXPECT_GT(kept, 0);
  EXPECT_LT(kept, 16);
}

TEST_F(GraphOps, CrossEntropy) {
  const double l3 = std::log(3.0);
  auto results = run(
      entry({"%x: tensor<2x2xf32>", "%l: tensor<2xi32>", "%d: tensor<2xf32>"},
            {"tensor<2xf32>", "tensor<2xf32>", "tensor<2x2xf32>"},
            "%0:2 = graph.cross_entropy %x, %l ignore -100 : (tensor<2x2xf32>, "
            "tensor<2xi32>) -> (tensor<2xf32>, tensor<2xf32>)\n"
            "%1 = graph.cross_entropy_grad %x, %l, %0#1, %d ignore -100 : "
            "(tensor<2x2xf32>, tensor<2xi32>, tensor<2xf32>, tensor<2xf32>) -> "
            "tensor<2x2xf32>",
            "%0#0, %0#1, %1"),
      {floats({2, 2}, {0, l3, 0, l3}), ints({2}, {0, -100}),
       floats({2}, {2, 2})});
  expectFloats(results[0], {std::log(4.0), 0});
  expectFloats(results[1], {std::log(4.0), std::log(4.0)});
  expectFloats(results[2], {-1.5, 1.5, 0, 0});
}

TEST_F(GraphOps, CrossEntropyRefusesForeignLabels) {
  std::string text = entry(
      {"%x: tensor<1x2xf32>", "%l: tensor<1xi32>"}, {"tensor<1xf32>"},
      "%0:2 = graph.cross_entropy %x, %l ignore -100 : "
      "(tensor<1x2xf32>, tensor<1xi32>) -> (tensor<1xf32>, tensor<1xf32>)",
      "%0#0");
  EXPECT_EQ(failureOf(text, {floats({1, 2}, {0, 0}), ints({1}, {2})}),
            "expects labels from 0 to 1 or -100, got 2");
}

std::string adamwText() {
  std::string text = "graph.entry @main(";
  const char *names[] = {"p", "m", "v", "g"};
  for (const char *name : names)
    text += std::string("%") + name + ": tensor<1xf32> {graph.input = \"" +
            name + "\"}, ";
  const char *scalars[] = {"s", "lr", "b1", "b2", "eps", "wd", "c1", "c2"};
  for (const char *name : scalars)
    text += std::string("%") + name + ": tensor<f32> {graph.input = \"" + name +
            "\"}, ";
  return text + R"(%a: tensor<i1> {graph.input = "a"})
      -> (tensor<1xf32> {graph.output = "p"}, tensor<1xf32> {graph.output = "m"}, tensor<1xf32> {graph.output = "v"}) {
    %0:3 = graph.adamw %p, %m, %v, %g, %s, %lr, %b1, %b2, %eps, %wd, %c1, %c2, %a site "w/adamw"
      : (tensor<1xf32>, tensor<1xf32>, tensor<1xf32>, tensor<1xf32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<i1>)
      -> (tensor<1xf32>, tensor<1xf32>, tensor<1xf32>)
    graph.return %0#0, %0#1, %0#2 : tensor<1xf32>, tensor<1xf32>, tensor<1xf32>
  })";
}

TEST_F(GraphOps, AdamW) {
  // g = 2 * 3 = 6; m = 0.5 * 4 + 0.5 * 6 = 5; v = 0.75 * 16 + 0.25 * 36 = 21;
  // p1 = 10 (1 - 0.1 * 0.2) = 9.8; p = 9.8 - (0.1 / 0.5) 5 / (sqrt 21 / sqrt
  // 0.25 + 1).
  std::vector<Tensor> arguments = {floats({1}, {10}), floats({1}, {4}),
                                   floats({1}, {16}), floats({1}, {3})};
  for (double value : {2.0, 0.1, 0.5, 0.75, 1.0, 0.2, 0.5, 0.25})
    arguments.push_back(Tensor::scalar(value));
  arguments.push_back(Tensor::scalarInt(ElementKind::I1, 1));
  auto results = run(adamwText(), arguments);
  expectFloats(results[0], {9.8 - 0.2 * 5 / (std::sqrt(21.0) / 0.5 + 1)});
  expectFloats(results[1], {5});
  expectFloats(results[2], {21});
  arguments.back().ints[0] = 0;
  arguments[3].floats[0] = nan;
  results = run(adamwText(), arguments);
  expectFloats(results[0], {10});
  expectFloats(results[1], {4});
  expectFloats(results[2], {16});
}

TEST_F(GraphOps, Sgd) {
  // g = 2 * 3 + 0.5 * 10 = 11; b = 0.5 * 4 + 11 = 13; p = 10 - 0.1 * 13.
  std::string text = entry(
      {"%p: tensor<1xf32>", "%b: tensor<1xf32>", "%g: tensor<1xf32>",
       "%s: tensor<f32>", "%lr: tensor<f32>", "%mu: tensor<f32>",
       "%wd: tensor<f32>", "%a: tensor<i1>"},
      {"tensor<1xf32>", "tensor<1xf32>"},
      "%0:2 = graph.sgd %p, %b, %g, %s, %lr, %mu, %wd, %a site \"w/sgd\" : "
      "(tensor<1xf32>, tensor<1xf32>, tensor<1xf32>, tensor<f32>, tensor<f32>, "
      "tensor<f32>, tensor<f32>, tensor<i1>) -> (tensor<1xf32>, tensor<1xf32>)",
      "%0#0, %0#1");
  std::vector<Tensor> arguments = {floats({1}, {10}), floats({1}, {4}),
                                   floats({1}, {3})};
  for (double value : {2.0, 0.1, 0.5, 0.5})
    arguments.push_back(Tensor::scalar(value));
  arguments.push_back(Tensor::scalarInt(ElementKind::I1, 1));
  auto results = run(text, arguments);
  expectFloats(results[0], {8.7});
  expectFloats(results[1], {13});
}

TEST_F(GraphOps, RefusesArgumentsOfOtherTypes) {
  std::string text = entry({"%x: tensor<2xf32>"}, {"tensor<2xf32>"}, "", "%x");
  EXPECT_EQ(failureOf(text, {floats({3}, {0, 0, 0})}),
            "argument 0 expects 'tensor<2xf32>', got a tensor of float [3]");
  EXPECT_EQ(failureOf(text, {ints({2}, {0, 0})}),
            "argument 0 expects 'tensor<2xf32>', got a tensor of i32 [2]");
  EXPECT_EQ(failureOf(text, {}), "expects 1 arguments, got 0");
}

} // namespace
} // namespace weir::compiler
