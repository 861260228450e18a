// SPDX-License-Identifier: Apache-2.0
#include "test/unit/autodiff/OpCases.h"

#include "mlir/Parser/Parser.h"

#include <gtest/gtest.h>

using namespace mlir;

namespace weir::compiler::test {

const std::vector<OpCase> &opCases() {
  constexpr auto Zero = Derivative::Zero;
  constexpr auto Refused = Derivative::Refused;
  static const char *m = "tensor<3x5xf32>";
  static const char *v = "tensor<5xf32>";
  static const char *s = "tensor<f32>";
  static const Operand scalarOne = {s, fixed({0.37})};
  static const std::vector<OpCase> cases = {
      // Element-wise.
      {"neg", "neg %a0 : tensor<3x5xf32>", {{m, normal()}}, {m}},
      {"exp", "exp %a0 : tensor<3x5xf32>", {{m, normal()}}, {m}},
      {"log", "log %a0 : tensor<3x5xf32>", {{m, positive()}}, {m}},
      {"sqrt", "sqrt %a0 : tensor<3x5xf32>", {{m, positive()}}, {m}},
      {"rsqrt", "rsqrt %a0 : tensor<3x5xf32>", {{m, positive()}}, {m}},
      {"tanh", "tanh %a0 : tensor<3x5xf32>", {{m, normal()}}, {m}},
      {"erf", "erf %a0 : tensor<3x5xf32>", {{m, normal()}}, {m}},
      {"sin", "sin %a0 : tensor<3x5xf32>", {{m, normal()}}, {m}},
      {"cos", "cos %a0 : tensor<3x5xf32>", {{m, normal()}}, {m}},
      {"abs", "abs %a0 : tensor<3x5xf32>", {{m, distinct()}}, {m}},
      {"sigmoid", "sigmoid %a0 : tensor<3x5xf32>", {{m, normal()}}, {m}},
      {"sigmoid_far",
       "sigmoid %a0 : tensor<4xf32>",
       {{"tensor<4xf32>", fixed({-800, -30, 30, 800})}},
       {"tensor<4xf32>"}},
      {"relu", "relu %a0 : tensor<3x5xf32>", {{m, distinct()}}, {m}},
      {"silu", "silu %a0 : tensor<3x5xf32>", {{m, normal()}}, {m}},
      {"gelu_erf", "gelu erf %a0 : tensor<3x5xf32>", {{m, normal()}}, {m}},
      {"gelu_tanh", "gelu tanh %a0 : tensor<3x5xf32>", {{m, normal()}}, {m}},
      {"gelu_quick", "gelu quick %a0 : tensor<3x5xf32>", {{m, normal()}}, {m}},
      {"add",
       "add %a0, %a1 : tensor<3x5xf32>",
       {{m, normal()}, {m, normal()}},
       {m}},
      {"add_twice", "add %a0, %a0 : tensor<3x5xf32>", {{m, normal()}}, {m}},
      {"add_integers",
       "add %a0, %a1 : tensor<7xi32>",
       {{"tensor<7xi32>", integer(-9, 9)}, {"tensor<7xi32>", integer(-9, 9)}},
       {"tensor<7xi32>"},
       Zero},
      {"sub",
       "sub %a0, %a1 : tensor<3x5xf32>",
       {{m, normal()}, {m, normal()}},
       {m}},
      {"mul",
       "mul %a0, %a1 : tensor<3x5xf32>",
       {{m, normal()}, {m, normal()}},
       {m}},
      {"mul_twice", "mul %a0, %a0 : tensor<3x5xf32>", {{m, normal()}}, {m}},
      {"div",
       "div %a0, %a1 : tensor<3x5xf32>",
       {{m, normal()}, {m, positive()}},
       {m}},
      {"max",
       "max %a0, %a1 : tensor<3x5xf32>",
       {{m, distinct()}, {m, normal()}},
       {m}},
      {"max_integers",
       "max %a0, %a1 : tensor<7xi64>",
       {{"tensor<7xi64>", integer(-9, 9)}, {"tensor<7xi64>", integer(-9, 9)}},
       {"tensor<7xi64>"},
       Zero},
      {"min",
       "min %a0, %a1 : tensor<3x5xf32>",
       {{m, distinct()}, {m, normal()}},
       {m}},
      {"pow",
       "pow %a0, %a1 : tensor<3x5xf32>",
       {{m, positive()}, {m, normal()}},
       {m}},
      {"pow_square",
       "pow %a0, %a1 : tensor<3xf32>",
       {{"tensor<3xf32>", fixed({0, 0.5, 3})},
        {"tensor<3xf32>", fixed({2, 2, 2})}},
       {"tensor<3xf32>"}},
      {"compare",
       "compare lt %a0, %a1 : tensor<3x5xf32> -> tensor<3x5xi1>",
       {{m, normal()}, {m, normal()}},
       {"tensor<3x5xi1>"},
       Zero},
      {"compare_nan",
       "compare ne %a0, %a1 : tensor<3xf32> -> tensor<3xi1>",
       {{"tensor<3xf32>", fixed({NAN, 1, 2})},
        {"tensor<3xf32>", fixed({NAN, 1, 3})}},
       {"tensor<3xi1>"},
       Zero},
      {"compare_integers",
       "compare ge %a0, %a1 : tensor<9xi32> -> tensor<9xi1>",
       {{"tensor<9xi32>", integer(-2, 3)}, {"tensor<9xi32>", integer(-2, 3)}},
       {"tensor<9xi1>"},
       Zero},
      {"compare_booleans",
       "compare lt %a0, %a1 : tensor<4xi1> -> tensor<4xi1>",
       {{"tensor<4xi1>", fixed({0, 0, 1, 1})},
        {"tensor<4xi1>", fixed({0, 1, 0, 1})}},
       {"tensor<4xi1>"},
       Zero},
      {"select",
       "select %a0, %a1, %a2 : tensor<3x5xi1>, tensor<3x5xf32>",
       {{"tensor<3x5xi1>", integer(0, 2)}, {m, normal()}, {m, normal()}},
       {m}},
      {"cast",
       "cast %a0 : tensor<3x5xf32> -> tensor<3x5xf16>",
       {{m, normal()}},
       {"tensor<3x5xf16>"}},
      {"cast_truncates",
       "cast %a0 : tensor<5xf32> -> tensor<5xi32>",
       {{v, fixed({-2.7, -0.4, 0, 0.9, 3.6})}},
       {"tensor<5xi32>"},
       Zero},
      {"cast_boolean",
       "cast %a0 : tensor<5xf32> -> tensor<5xi1>",
       {{v, fixed({-2.7, -0.4, 0, 0.9, 3.6})}},
       {"tensor<5xi1>"},
       Zero},
      {"cast_to_float",
       "cast %a0 : tensor<7xi1> -> tensor<7xf32>",
       {{"tensor<7xi1>", integer(0, 2)}},
       {"tensor<7xf32>"},
       Zero},
      {"cast_widens",
       "cast %a0 : tensor<7xi32> -> tensor<7xi64>",
       {{"tensor<7xi32>", integer(-9, 9)}},
       {"tensor<7xi64>"},
       Zero},

      // Tensor ops.
      {"constant",
       "constant dense<[[1.0, 2.5, -3.0], [0.5, 4.0, 7.0]]> : tensor<2x3xf32>",
       {},
       {"tensor<2x3xf32>"},
       Zero},
      {"iota", "iota 1 : tensor<3x5xf32>", {}, {m}, Zero},
      {"iota_integer",
       "iota 0 : tensor<3x5xi32>",
       {},
       {"tensor<3x5xi32>"},
       Zero},
      {"broadcast",
       "broadcast %a0 [1] : (tensor<5xf32>) -> tensor<3x5x2xf32>",
       {{v, normal()}},
       {"tensor<3x5x2xf32>"}},
      {"broadcast_scalar",
       "broadcast %a0 [] : (tensor<f32>) -> tensor<3x5xf32>",
       {{s, normal()}},
       {m}},
      {"reduce_sum",
       "reduce sum %a0 [0, 2] : (tensor<3x5x2xf32>) -> tensor<5xf32>",
       {{"tensor<3x5x2xf32>", normal()}},
       {v}},
      {"reduce_all",
       "reduce sum %a0 [0, 1] : (tensor<3x5xf32>) -> tensor<f32>",
       {{m, normal()}},
       {s}},
      {"reduce_max",
       "reduce max %a0 [1] : (tensor<3x5xf32>) -> tensor<3xf32>",
       {{m, distinct()}},
       {"tensor<3xf32>"}},
      {"reduce_min",
       "reduce min %a0 [0] : (tensor<3x5xf32>) -> tensor<5xf32>",
       {{m, distinct()}},
       {v}},
      {"reshape",
       "reshape %a0 : (tensor<3x10xf32>) -> tensor<2x3x5xf32>",
       {{"tensor<3x10xf32>", normal()}},
       {"tensor<2x3x5xf32>"}},
      {"transpose",
       "transpose %a0 [2, 0, 1] : (tensor<3x5x2xf32>) -> tensor<2x3x5xf32>",
       {{"tensor<3x5x2xf32>", normal()}},
       {"tensor<2x3x5xf32>"}},
      {"slice",
       "slice %a0 [1, 0, 2] : (tensor<3x5x4xf32>) -> tensor<2x5x1xf32>",
       {{"tensor<3x5x4xf32>", normal()}},
       {"tensor<2x5x1xf32>"}},
      {"concat",
       "concat %a0, %a1, %a2 dim 1 : (tensor<3x2xf32>, tensor<3x1xf32>, "
       "tensor<3x4xf32>) -> tensor<3x7xf32>",
       {{"tensor<3x2xf32>", normal()},
        {"tensor<3x1xf32>", normal()},
        {"tensor<3x4xf32>", normal()}},
       {"tensor<3x7xf32>"}},

      // Matrix products: plain, with split heads, with batch dims, transposed
      // operands, several contracted dims in different orders, vectors.
      {"matmul",
       "matmul %a0, %a1 batch [] x [] contract [1] x [0] : "
       "(tensor<3x5xf32>, tensor<5x4xf32>) -> tensor<3x4xf32>",
       {{m, normal()}, {"tensor<5x4xf32>", normal()}},
       {"tensor<3x4xf32>"}},
      {"matmul_heads",
       "matmul %a0, %a1 batch [] x [] contract [2] x [0] : "
       "(tensor<2x3x5xf32>, tensor<5x2x4xf32>) -> tensor<2x3x2x4xf32>",
       {{"tensor<2x3x5xf32>", normal()}, {"tensor<5x2x4xf32>", normal()}},
       {"tensor<2x3x2x4xf32>"}},
      {"matmul_transposed",
       "matmul %a0, %a1 batch [] x [] contract [2] x [1] : "
       "(tensor<2x3x5xf32>, tensor<7x5xf32>) -> tensor<2x3x7xf32>",
       {{"tensor<2x3x5xf32>", normal()}, {"tensor<7x5xf32>", normal()}},
       {"tensor<2x3x7xf32>"}},
      {"matmul_batch",
       "matmul %a0, %a1 batch [0, 2] x [1, 0] contract [3] x [2] : "
       "(tensor<2x3x4x5xf32>, tensor<4x2x5x7xf32>) -> tensor<2x4x3x7xf32>",
       {{"tensor<2x3x4x5xf32>", normal()}, {"tensor<4x2x5x7xf32>", normal()}},
       {"tensor<2x4x3x7xf32>"}},
      {"matmul_two_contracted",
       "matmul %a0, %a1 batch [] x [] contract [0, 2] x [2, 0] : "
       "(tensor<2x3x4xf32>, tensor<4x5x2xf32>) -> tensor<3x5xf32>",
       {{"tensor<2x3x4xf32>", normal()}, {"tensor<4x5x2xf32>", normal()}},
       {m}},
      {"matmul_batch_in_the_middle",
       "matmul %a0, %a1 batch [1] x [2] contract [0] x [1] : "
       "(tensor<2x3x4xf32>, tensor<5x2x3xf32>) -> tensor<3x4x5xf32>",
       {{"tensor<2x3x4xf32>", normal()}, {"tensor<5x2x3xf32>", normal()}},
       {"tensor<3x4x5xf32>"}},
      {"matmul_dot",
       "matmul %a0, %a1 batch [] x [] contract [0] x [0] : "
       "(tensor<5xf32>, tensor<5xf32>) -> tensor<f32>",
       {{v, normal()}, {v, normal()}},
       {s}},
      {"matmul_outer",
       "matmul %a0, %a1 batch [] x [] contract [] x [] : "
       "(tensor<3xf32>, tensor<5xf32>) -> tensor<3x5xf32>",
       {{"tensor<3xf32>", normal()}, {v, normal()}},
       {m}},

      // Tables. Indices repeat.
      {"embedding",
       "embedding %a0, %a1 : (tensor<7x5xf32>, tensor<2x4xi32>) -> "
       "tensor<2x4x5xf32>",
       {{"tensor<7x5xf32>", normal()},
        {"tensor<2x4xi32>", fixed({6, 0, 3, 3, 1, 6, 6, 2})}},
       {"tensor<2x4x5xf32>"}},
      {"embedding_grad",
       "embedding_grad %a0, %a1 : (tensor<2x4xi32>, tensor<2x4x5xf32>) -> "
       "tensor<7x5xf32>",
       {{"tensor<2x4xi32>", fixed({6, 0, 3, 3, 1, 6, 6, 2})},
        {"tensor<2x4x5xf32>", normal()}},
       {"tensor<7x5xf32>"}},

      // Norms and softmax.
      {"layer_norm",
       "layer_norm %a0, %a1, %a2 epsilon 1.0e-5 : (tensor<2x3x5xf32>, "
       "tensor<5xf32>, tensor<5xf32>) -> (tensor<2x3x5xf32>, tensor<2x3xf32>, "
       "tensor<2x3xf32>)",
       {{"tensor<2x3x5xf32>", normal()}, {v, normal()}, {v, normal()}},
       {"tensor<2x3x5xf32>", "tensor<2x3xf32>", "tensor<2x3xf32>"}},
      {"layer_norm_large_epsilon",
       "layer_norm %a0, %a1, %a2 epsilon 5.0e-1 : (tensor<3x5xf32>, "
       "tensor<5xf32>, tensor<5xf32>) -> (tensor<3x5xf32>, tensor<3xf32>, "
       "tensor<3xf32>)",
       {{m, normal()}, {v, normal()}, {v, normal()}},
       {m, "tensor<3xf32>", "tensor<3xf32>"}},
      {"rms_norm",
       "rms_norm %a0, %a1 epsilon 5.0e-1 : (tensor<2x3x5xf32>, tensor<5xf32>) "
       "-> (tensor<2x3x5xf32>, tensor<2x3xf32>)",
       {{"tensor<2x3x5xf32>", normal()}, {v, normal()}},
       {"tensor<2x3x5xf32>", "tensor<2x3xf32>"}},
      {"softmax", "softmax %a0 : tensor<3x5xf32>", {{m, normal()}}, {m}},
      {"softmax_far",
       "softmax %a0 : tensor<2x3xf32>",
       {{"tensor<2x3xf32>", fixed({1000, 999, 998.5, -2000, -2001, -2003})}},
       {"tensor<2x3xf32>"}},
      {"cross_entropy",
       "cross_entropy %a0, %a1 ignore -100 : (tensor<2x3x7xf32>, "
       "tensor<2x3xi32>) -> (tensor<2x3xf32>, tensor<2x3xf32>)",
       {{"tensor<2x3x7xf32>", normal()},
        {"tensor<2x3xi32>", fixed({6, -100, 0, 3, 3, -100})}},
       {"tensor<2x3xf32>", "tensor<2x3xf32>"}},
      {"cross_entropy_grad",
       "cross_entropy_grad %a0, %a1, %a2, %a3 ignore -100 : "
       "(tensor<2x3x7xf32>, tensor<2x3xi32>, tensor<2x3xf32>, "
       "tensor<2x3xf32>) -> tensor<2x3x7xf32>",
       {{"tensor<2x3x7xf32>", normal()},
        {"tensor<2x3xi32>", fixed({6, -100, 0, 3, 3, -100})},
        {"tensor<2x3xf32>", positive()},
        {"tensor<2x3xf32>", normal()}},
       {"tensor<2x3x7xf32>"},
       Refused},

      // Attention.
      {"rope",
       "rope %a0, %a1, %a2 seq 1 : (tensor<2x3x5x4xf32>, tensor<3x2xf32>, "
       "tensor<3x2xf32>) -> tensor<2x3x5x4xf32>",
       {{"tensor<2x3x5x4xf32>", normal()},
        {"tensor<3x2xf32>", normal()},
        {"tensor<3x2xf32>", normal()}},
       {"tensor<2x3x5x4xf32>"}},
      {"attention",
       "attention %a0, %a1, %a2 scale 0.3 causal : (tensor<2x5x3x2x4xf32>, "
       "tensor<2x5x3x4xf32>, tensor<2x5x3x7xf32>) -> (tensor<2x5x3x2x7xf32>, "
       "tensor<2x3x2x5xf32>)",
       {{"tensor<2x5x3x2x4xf32>", normal()},
        {"tensor<2x5x3x4xf32>", normal()},
        {"tensor<2x5x3x7xf32>", normal()}},
       {"tensor<2x5x3x2x7xf32>", "tensor<2x3x2x5xf32>"}},
      {"attention_not_causal",
       "attention %a0, %a1, %a2 scale 0.3 : (tensor<1x5x1x3x4xf32>, "
       "tensor<1x6x1x4xf32>, tensor<1x6x1x2xf32>) -> (tensor<1x5x1x3x2xf32>, "
       "tensor<1x1x3x5xf32>)",
       {{"tensor<1x5x1x3x4xf32>", normal()},
        {"tensor<1x6x1x4xf32>", normal()},
        {"tensor<1x6x1x2xf32>", normal()}},
       {"tensor<1x5x1x3x2xf32>", "tensor<1x1x3x5xf32>"}},
      {"attention_grad",
       "attention_grad %a0, %a1, %a2, %a3, %a4, %a5 scale 0.3 causal : "
       "(tensor<2x5x3x2x4xf32>, tensor<2x5x3x4xf32>, tensor<2x5x3x7xf32>, "
       "tensor<2x5x3x2x7xf32>, tensor<2x3x2x5xf32>, tensor<2x5x3x2x7xf32>) -> "
       "(tensor<2x5x3x2x4xf32>, tensor<2x5x3x4xf32>, tensor<2x5x3x7xf32>)",
       {{"tensor<2x5x3x2x4xf32>", normal()},
        {"tensor<2x5x3x4xf32>", normal()},
        {"tensor<2x5x3x7xf32>", normal()},
        {"tensor<2x5x3x2x7xf32>", normal()},
        {"tensor<2x3x2x5xf32>", positive()},
        {"tensor<2x5x3x2x7xf32>", normal()}},
       {"tensor<2x5x3x2x4xf32>", "tensor<2x5x3x4xf32>", "tensor<2x5x3x7xf32>"},
       Refused},
      {"dropout",
       "dropout %a0, %a1, %a2 rate 0.3 site \"a.dropout\" : "
       "(tensor<3x5x7xf32>, tensor<i32>, tensor<i32>) -> tensor<3x5x7xf32>",
       {{"tensor<3x5x7xf32>", normal()},
        {"tensor<i32>", fixed({41})},
        {"tensor<i32>", fixed({-7})}},
       {"tensor<3x5x7xf32>"}},
      {"dropout_nothing",
       "dropout %a0, %a1, %a2 rate 0.0 site \"b.dropout\" : "
       "(tensor<3x5xf32>, tensor<i32>, tensor<i32>) -> tensor<3x5xf32>",
       {{m, normal()},
        {"tensor<i32>", fixed({41})},
        {"tensor<i32>", fixed({0})}},
       {m}},

      // Optimizers: applied, and skipped.
      {"adamw",
       "adamw %a0, %a1, %a2, %a3, %a4, %a5, %a6, %a7, %a8, %a9, %a10, %a11, "
       "%a12 site \"w/adamw\" : (tensor<3x5xf32>, tensor<3x5xf32>, "
       "tensor<3x5xf32>, tensor<3x5xf32>, tensor<f32>, tensor<f32>, "
       "tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, "
       "tensor<f32>, tensor<i1>) -> (tensor<3x5xf32>, tensor<3x5xf32>, "
       "tensor<3x5xf32>)",
       {{m, normal()},
        {m, normal()},
        {m, positive()},
        {m, normal()},
        {s, fixed({0.25})},
        {s, fixed({0.01})},
        {s, fixed({0.9})},
        {s, fixed({0.95})},
        {s, fixed({0.125})},
        {s, fixed({0.1})},
        {s, fixed({0.271})},
        {s, fixed({0.1426})},
        {"tensor<i1>", fixed({1})}},
       {m, m, m},
       Refused},
      {"adamw_skipped",
       "adamw %a0, %a1, %a2, %a3, %a4, %a5, %a6, %a7, %a8, %a9, %a10, %a11, "
       "%a12 site \"w/adamw\" : (tensor<5xf32>, tensor<5xf32>, "
       "tensor<5xf32>, tensor<5xf32>, tensor<f32>, tensor<f32>, "
       "tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, "
       "tensor<f32>, tensor<i1>) -> (tensor<5xf32>, tensor<5xf32>, "
       "tensor<5xf32>)",
       {{v, normal()},
        {v, normal()},
        {v, positive()},
        {v, fixed({1, NAN, INFINITY, -INFINITY, 2})},
        scalarOne,
        scalarOne,
        scalarOne,
        scalarOne,
        scalarOne,
        scalarOne,
        scalarOne,
        scalarOne,
        {"tensor<i1>", fixed({0})}},
       {v, v, v},
       Refused},
      {"sgd",
       "sgd %a0, %a1, %a2, %a3, %a4, %a5, %a6, %a7 site \"w/sgd\" : "
       "(tensor<3x5xf32>, tensor<3x5xf32>, tensor<3x5xf32>, tensor<f32>, "
       "tensor<f32>, tensor<f32>, tensor<f32>, tensor<i1>) -> "
       "(tensor<3x5xf32>, tensor<3x5xf32>)",
       {{m, normal()},
        {m, normal()},
        {m, normal()},
        {s, fixed({0.25})},
        {s, fixed({0.01})},
        {s, fixed({0.9})},
        {s, fixed({0.1})},
        {"tensor<i1>", fixed({1})}},
       {m, m},
       Refused},
      {"sgd_skipped",
       "sgd %a0, %a1, %a2, %a3, %a4, %a5, %a6, %a7 site \"w/sgd\" : "
       "(tensor<5xf32>, tensor<5xf32>, tensor<5xf32>, tensor<f32>, "
       "tensor<f32>, tensor<f32>, tensor<f32>, tensor<i1>) -> "
       "(tensor<5xf32>, tensor<5xf32>)",
       {{v, normal()},
        {v, normal()},
        {v, fixed({1, NAN, INFINITY, -INFINITY, 2})},
        scalarOne,
        scalarOne,
        scalarOne,
        scalarOne,
        {"tensor<i1>", fixed({0})}},
       {v, v},
       Refused},
  };
  static const std::vector<OpCase> all = [] {
    std::vector<OpCase> all = cases;
    llvm::append_range(all, indexedOpCases());
    return all;
  }();
  return all;
}

OpTestContext::OpTestContext() {
  context
      .loadDialect<graph::GraphDialect, kernel::KernelDialect,
                   dist::DistDialect, arith::ArithDialect, math::MathDialect>();
}

OwningOpRef<ModuleOp> OpTestContext::parse(const std::string &text) {
  auto module = parseSourceString<ModuleOp>(text, &context);
  EXPECT_TRUE(module) << text;
  return module;
}

std::string textOf(const OpCase &opCase) {
  std::string text = "graph.entry @f(";
  llvm::raw_string_ostream os(text);
  for (auto [i, operand] : llvm::enumerate(opCase.operands))
    os << (i ? ", " : "") << "%a" << i << ": " << operand.type
       << " {graph.input = \"a" << i << "\"}";
  os << ") -> (";
  for (auto [i, type] : llvm::enumerate(opCase.results))
    os << (i ? ", " : "") << type << " {graph.output = \"y" << i << "\"}";
  os << ") {\n  ";
  auto results = [&] {
    for (size_t i = 0; i < opCase.results.size(); ++i)
      os << (i ? ", " : "") << "%" << i;
  };
  results();
  os << " = graph." << opCase.text << "\n  graph.return ";
  results();
  os << " : ";
  for (auto [i, type] : llvm::enumerate(opCase.results))
    os << (i ? ", " : "") << type;
  os << "\n}\n";
  return text;
}

Program OpTestContext::build(const OpCase &opCase) {
  std::string text = textOf(opCase);
  // f64 also in the IR: constants of a body or a gradient are not rounded.
  for (size_t at = 0; (at = text.find("xf32", at)) != std::string::npos;)
    text.replace(at, 4, "xf64");
  for (size_t at = 0; (at = text.find("<f32", at)) != std::string::npos;)
    text.replace(at, 4, "<f64");
  Program program;
  program.module = parse(text);
  if (!program.module)
    return program;
  program.entry = *program.module->getOps<graph::EntryOp>().begin();
  program.op = &program.entry.getBody().front().front();
  return program;
}

std::vector<Tensor> drawOperands(const OpCase &opCase, Program &program) {
  std::mt19937 random(20201);
  std::normal_distribution<double> gauss;
  std::vector<Tensor> tensors;
  for (auto [operand, argument] :
       llvm::zip(opCase.operands, program.entry.getBody().getArguments())) {
    auto type = cast<RankedTensorType>(argument.getType());
    Tensor tensor =
        Tensor::zeros(*elementKindOf(type.getElementType()), type.getShape());
    std::vector<int64_t> order(tensor.size());
    for (size_t i = 0; i < order.size(); ++i)
      order[i] = i;
    std::shuffle(order.begin(), order.end(), random);
    for (int64_t i = 0; i < tensor.size(); ++i) {
      double value = 0;
      switch (operand.draw.kind) {
      case Draw::Normal:
        value = gauss(random);
        break;
      case Draw::Positive:
        value = 0.5 + 1.5 * (random() / 4294967296.0);
        break;
      case Draw::Integer:
        value = operand.draw.low +
                int64_t(random() % (operand.draw.high - operand.draw.low));
        break;
      case Draw::Fixed:
        value = operand.draw.values.at(i);
        break;
      case Draw::Distinct:
        value = 0.1 * (order[i] - tensor.size() / 2) + 0.05;
        break;
      }
      if (tensor.isFloat())
        tensor.floats[i] = value;
      else
        tensor.ints[i] = int64_t(value);
    }
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

} // namespace weir::compiler::test
