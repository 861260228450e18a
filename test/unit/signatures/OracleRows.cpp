// SPDX-License-Identifier: Apache-2.0
// The published table of signatures that are sound, each row as a function: on
// two coordinates and even splits, besides the one that is broadcast
// throughout. Numbers are the table's.
#include "test/unit/signatures/Cases.h"

using namespace weir::compiler::test;

const std::vector<Row> &weir::compiler::test::oracleRows() {
  static const std::vector<Row> table = {
      {1,
       {"matmul",
        {"4x6xf32", "6x8xf32"},
        "%r0 = graph.matmul %a0, %a1 batch [] x [] contract [1] x [0] : (A0, "
        "A1) -> R0",
        {"4x8xf32"}},
       {"S0,B->S0", "B,S1->S1", "S1,S0->P", "P,B->P", "B,P->P"},
       {"P,P->P", "S0,S0->P", "S0,S1->S0", "S1,B->P", "P,P->B"},
       {}},
      {3,
       {"broadcast_matmul",
        {"2x4x6xf32", "6x8xf32"},
        "%r0 = graph.matmul %a0, %a1 batch [] x [] contract [2] x [0] : (A0, "
        "A1) -> R0",
        {"2x4x8xf32"}},
       {"S0,B->S0", "S1,B->S1", "B,S1->S2", "S2,S0->P", "P,B->P", "B,P->P"},
       {"P,P->P"},
       {}},
      {5,
       {"broadcast_matmul_grad_b",
        {"2x4x6xf32", "2x4x8xf32"},
        "%r0 = graph.matmul %a0, %a1 batch [] x [] contract [0, 1] x [0, 1] : "
        "(A0, A1) -> R0",
        {"6x8xf32"}},
       {"S0,S0->P", "S1,S1->P", "S2,B->S0", "B,S2->S1", "B,P->P", "P,B->P"},
       {"S0,S1->P"},
       {}},
      {7,
       {"bias_add",
        {"4x6xf32", "6xf32"},
        "%b = graph.broadcast %a1 [1] : (A1) -> A0\n"
        "%r0 = graph.add %a0, %b : A0",
        {"4x6xf32"}},
       {"S0,B->S0", "S1,S0->S1", "P,P->P"},
       {"P,B->P", "S0,S0->S0"},
       {}},
      {9,
       {"broadcast_add (4,6)(1,6)",
        {"4x6xf32", "1x6xf32"},
        "%v = graph.reshape %a1 : (A1) -> tensor<6xf32>\n"
        "%b = graph.broadcast %v [1] : (tensor<6xf32>) -> A0\n"
        "%r0 = graph.add %a0, %b : A0",
        {"4x6xf32"}},
       {"S0,B->S0", "S1,S1->S1", "P,P->P"},
       {"P,B->P", "B,P->P", "S0,S0->S0"},
       {}},
      {11,
       {"broadcast_add (4,6)(1)",
        {"4x6xf32", "1xf32"},
        "%v = graph.reshape %a1 : (A1) -> tensor<f32>\n"
        "%b = graph.broadcast %v [] : (tensor<f32>) -> A0\n"
        "%r0 = graph.add %a0, %b : A0",
        {"4x6xf32"}},
       {"S0,B->S0", "P,P->P", "S1,B->S1"},
       {"S1,S0->S1"},
       {}},
      {13,
       {"mul",
        {"4x6xf32", "4x6xf32"},
        "%r0 = graph.mul %a0, %a1 : A0",
        {"4x6xf32"}},
       {"S0,S0->S0", "S1,S1->S1", "B,P->P", "P,B->P"},
       {"P,P->P"},
       {}},
      {15,
       {"maximum",
        {"4x6xf32", "4x6xf32"},
        "%r0 = graph.max %a0, %a1 : A0",
        {"4x6xf32"}},
       {"S0,S0->S0", "S1,S1->S1"},
       {"P,P->P", "P,B->P", "P(min),P(min)->P(min)"},
       {}},
      {17,
       {"relu", {"4x6xf32"}, "%r0 = graph.relu %a0 : A0", {"4x6xf32"}},
       {"S0->S0", "S1->S1"},
       {"P->P"},
       {}},
      {17,
       {"gelu", {"4x6xf32"}, "%r0 = graph.gelu erf %a0 : A0", {"4x6xf32"}},
       {"S0->S0", "S1->S1"},
       {"P->P", "P(max)->P(max)"},
       {}},
      {19,
       {"scalar_add",
        {"4x6xf32"},
        "%c = graph.constant dense<3.0> : A0\n%r0 = graph.add %a0, %c : A0",
        {"4x6xf32"}},
       {"S0->S0", "S1->S1"},
       {"P->P"},
       {}},
      {21,
       {"quick_gelu_grad",
        {"4x6xf32", "4x6xf32"},
        "%one = graph.constant dense<1.0> : A0\n"
        "%k = graph.constant dense<1.702> : A0\n"
        "%kx = graph.mul %a0, %k : A0\n"
        "%s = graph.sigmoid %kx : A0\n"
        "%t = graph.sub %one, %s : A0\n"
        "%u = graph.mul %kx, %t : A0\n"
        "%v = graph.add %u, %one : A0\n"
        "%w = graph.mul %s, %v : A0\n"
        "%r0 = graph.mul %w, %a1 : A0",
        {"4x6xf32"}},
       {"S0,S0->S0", "S1,S1->S1", "B,P->P"},
       {"P,B->P"},
       {}},
      {23,
       {"cast f32 to f64",
        {"4x6xf32"},
        "%r0 = graph.cast %a0 : A0 -> R0",
        {"4x6xf64"}},
       {"S0->S0", "S1->S1", "P->P"},
       {},
       {}},
      {24,
       {"cast f32 to i32",
        {"4x6xf32"},
        "%r0 = graph.cast %a0 : A0 -> R0",
        {"4x6xi32"}},
       {"S0->S0", "S1->S1"},
       {"P->P"},
       {}},
      {25,
       {"cast f32 to i1",
        {"4x6xf32"},
        "%r0 = graph.cast %a0 : A0 -> R0",
        {"4x6xi1"}},
       {"S0->S0", "S1->S1"},
       {"P->P", "P->B"},
       {}},
      {27,
       {"reduce_sum",
        {"4x6xf32"},
        "%r0 = graph.reduce sum %a0 [0] : (A0) -> R0",
        {"6xf32"}},
       {"S0->P", "S1->S0", "P->P"},
       {"S0->B", "S0->S0", "P(max)->P(max)"},
       {}},
      {29,
       {"reduce_prod keepdims",
        {"4x6xf32"},
        "%p = graph.reduce prod %a0 [1] : (A0) -> tensor<4xf32>\n"
        "%r0 = graph.reshape %p : (tensor<4xf32>) -> R0",
        {"4x1xf32"}},
       {"S0->S0"},
       {"S1->P", "P->P"},
       {}},
      {31,
       {"sqrt_square_sum",
        {"4x6xf32"},
        "%q = graph.mul %a0, %a0 : A0\n"
        "%s = graph.reduce sum %q [0, 1] : (A0) -> R0\n"
        "%r0 = graph.sqrt %s : R0",
        {"f32"}},
       {},
       {"S0->P", "S1->P", "P->P"},
       {}},
      {33,
       {"isnan",
        {"4x6xf32"},
        "%r0 = graph.compare ne %a0, %a0 : A0 -> R0",
        {"4x6xi1"}},
       {"S0->S0", "S1->S1"},
       {"P->P"},
       {}},
      {35,
       {"softmax",
        {"4x6x8xf32"},
        "%r0 = graph.softmax %a0 : A0",
        {"4x6x8xf32"}},
       {"S0->S0", "S1->S1"},
       {"S2->S2", "S2->P", "P->P"},
       {}},
      {37,
       {"layer_norm",
        {"4x6x8xf32", "8xf32", "8xf32"},
        "%r0, %r1, %r2 = graph.layer_norm %a0, %a1, %a2 epsilon 1.0e-5 : (A0, "
        "A1, A2) -> (R0, R1, R2)",
        {"4x6x8xf32", "4x6xf32", "4x6xf32"}},
       {"S0,B,B->S0,S0,S0", "S1,B,B->S1,S1,S1", "B,P,P->P,B,B"},
       {"S2,S0,S0->S2,B,B", "P,B,B->P,P,P", "B,P,B->P,B,B", "B,B,P->P,B,B"},
       {}},
      {39,
       {"rms_norm",
        {"4x8xf32", "8xf32"},
        "%r0, %r1 = graph.rms_norm %a0, %a1 epsilon 1.0e-5 : (A0, A1) -> (R0, "
        "R1)",
        {"4x8xf32", "4xf32"}},
       {"S0,B->S0,S0", "B,P->P,B"},
       {"S1,S0->S1,B", "P,B->P,P"},
       {}},
      {41,
       {"gather axis=1",
        {"4x8x6xf32", "2xi32"},
        "%r0 = graph.take %a0, %a1 dim 1 : (A0, A1) -> R0",
        {"4x2x6xf32"},
        8},
       {"B,S0->S1", "S0,B->S0", "S1,B->P", "S2,B->S2", "P,B->P"},
       {"S1,B->S1", "S1,S0->P", "B,P->P"},
       {}},
      // `like` gives the shape: nothing reads its elements.
      {43,
       {"embedding_grad like",
        {"4x2x6xf32", "8x6xf32", "4x2xi32"},
        "%g = graph.embedding_grad %a2, %a0 : (A2, A0) -> A1\n"
        "%z = kernel.generic ins(%a1 : A1) maps [affine_map<(i, j) -> (i, j)>, "
        "affine_map<(i, j) -> (i, j)>] combiner none {\n"
        "^bb0(%e: f32):\n"
        "  %zero = arith.constant 0.0 : f32\n"
        "  kernel.yield %zero : f32\n"
        "} -> A1\n"
        "%r0 = graph.add %g, %z : A1",
        {"8x6xf32"},
        8},
       {"S0,B,S0->P", "S1,B,S1->P", "B,P,B->B", "P,B,B->P", "P,P,B->P",
        "S0,P,S0->P", "S1,P,S1->P", "S2,S1,B->S1"},
       {"S0,B,S0->B", "S0,B,S0->S0"},
       // Indices are logical: a shard of rows keeps its own updates.
       {"B,S0,B->S0"}},
      {45,
       {"dim_gather",
        {"4x8xf32", "4x6xi32"},
        "%r0 = graph.take_along %a0, %a1 dim 1 : (A0, A1) -> R0",
        {"4x6xf32"},
        8},
       {"S0,S0->S0", "B,S1->S1", "P,B->P"},
       {"S1,S1->S1", "S0,B->S0"},
       {"S1,B->P"}}, // indices are logical: what a shard lacks reads zero
      {46,
       {"scatter_nd",
        {"4x1xi32", "4x6xf32"},
        "%i = graph.reshape %a0 : (A0) -> tensor<4xi32>\n"
        "%r0 = graph.embedding_grad %i, %a1 : (tensor<4xi32>, A1) -> R0",
        {"8x6xf32"},
        8},
       {"B,S1->S1", "B,P->P", "S0,S0->P"},
       {"S0,S0->B"},
       {"B,B->S0"}}, // as above
      {47,
       {"unsorted_segment_sum",
        {"4xi32", "4x6xf32"},
        "%r0 = graph.embedding_grad %a0, %a1 : (A0, A1) -> R0",
        {"8x6xf32"},
        8},
       {"S0,S0->P", "B,S1->S1", "B,P->P"},
       {"S0,S0->S0"},
       {"B,B->S0"}}, // as above
      {49,
       {"softmax_cross_entropy",
        {"4x6xf32", "4x6xf32"},
        "%r1 = graph.softmax %a0 : A0\n"
        "%l = graph.log %r1 : A0\n"
        "%t = graph.mul %a1, %l : A0\n"
        "%s = graph.reduce sum %t [1] : (A0) -> R0\n"
        "%r0 = graph.neg %s : R0",
        {"4xf32", "4x6xf32"}},
       {"S0,S0->S0,S0", "B,P->P,B"},
       {"P,B->P,P", "S1,S1->P,S1"},
       {}},
      // Takes probabilities; class numbers are logical.
      {51,
       {"sparse_cross_entropy_ms",
        {"4x6xf32", "4xi32"},
        "%c = graph.iota 1 : tensor<4x6xi32>\n"
        "%b = graph.broadcast %a1 [0] : (A1) -> tensor<4x6xi32>\n"
        "%m = graph.compare eq %c, %b : tensor<4x6xi32> -> tensor<4x6xi1>\n"
        "%l = graph.log %a0 : A0\n"
        "%n = graph.neg %l : A0\n"
        "%z = graph.constant dense<0.0> : A0\n"
        "%s = graph.select %m, %n, %z : tensor<4x6xi1>, A0\n"
        "%r0 = graph.reduce sum %s [1] : (A0) -> R0",
        {"4xf32"},
        6},
       {"S0,S0->S0", "S1,B->P"},
       {"P,B->P", "S1,B->B"},
       {}},
      {53,
       {"conv2d k=1 s=1",
        {"2x4x4x4xf32", "2x4x1x1xf32"},
        "%r0 = graph.conv %a0, %a1 strides [1, 1] dilations [1, 1] low [0, 0] "
        "high [0, 0] groups 1 : (A0, A1) -> R0",
        {"2x2x4x4xf32"}},
       {"S0,B->S0", "B,P->P", "B,S0->S1", "P,B->P", "S1,S1->P", "S2,B->S2",
        "S3,B->S3"},
       {"P,P->P", "S1,B->P"},
       {}},
      {55,
       {"conv2d bias",
        {"2x4x4x4xf32", "2x4x3x3xf32", "2xf32"},
        "%c = graph.conv %a0, %a1 strides [1, 1] dilations [1, 1] low [0, 0] "
        "high [0, 0] groups 1 : (A0, A1) -> R0\n"
        "%b = graph.broadcast %a2 [1] : (A2) -> R0\n"
        "%r0 = graph.add %c, %b : R0",
        {"2x2x2x2xf32"}},
       {"S0,B,B->S0", "B,P,P->P", "B,S0,S0->S1", "P,B,P->P", "S1,S1,P->P"},
       {"S2,B,B->S2", "P,B,B->P"},
       // Positions are logical: elements that a shard lacks read zero, weights
       // of other places in the window likewise, and each coordinate can make
       // its part of the result.
       {"S2,B,P->P", "S3,B,P->P", "B,S2,P->P", "B,S3,P->P", "B,B,B->S2",
        "B,B,B->S3"}},
      {57,
       {"max_pool 2x2 s2",
        {"2x4x4x4xf32"},
        "%r0 = graph.pool max %a0 window [2, 2] strides [2, 2] dilations [1, "
        "1] low [0, 0] high [0, 0] : (A0) -> R0",
        {"2x4x2x2xf32"},
        5,
        true},
       {"S0->S0", "S1->S1", "S2->S2", "S3->S3"},
       {"P->P"},
       {"S2/2->S2", "S3/2->S3"}}, // the same shards in units
      {59,
       {"normalization",
        {"8x4xf32", "4xf32", "4xf32"},
        "%n = graph.constant dense<0.125> : A1\n"
        "%e = graph.constant dense<1.0e-5> : A1\n"
        "%s = graph.reduce sum %a0 [0] : (A0) -> A1\n"
        "%r1 = graph.mul %s, %n : A1\n"
        "%mb = graph.broadcast %r1 [1] : (A1) -> A0\n"
        "%c = graph.sub %a0, %mb : A0\n"
        "%q = graph.mul %c, %c : A0\n"
        "%qs = graph.reduce sum %q [0] : (A0) -> A1\n"
        "%v = graph.mul %qs, %n : A1\n"
        "%ve = graph.add %v, %e : A1\n"
        "%r2 = graph.rsqrt %ve : A1\n"
        "%rb = graph.broadcast %r2 [1] : (A1) -> A0\n"
        "%g = graph.broadcast %a1 [1] : (A1) -> A0\n"
        "%b = graph.broadcast %a2 [1] : (A1) -> A0\n"
        "%x = graph.mul %c, %rb : A0\n"
        "%y = graph.mul %x, %g : A0\n"
        "%r0 = graph.add %y, %b : A0",
        {"8x4xf32", "4xf32", "4xf32"}},
       {"B,P,P->P,B,B", "S1,S0,S0->S1,S0,S0"},
       {"S0,B,B->S0,B,B"},
       {}},
      {61,
       {"reshape (24)->(4,6)",
        {"24xf32"},
        "%r0 = graph.reshape %a0 : (A0) -> R0",
        {"4x6xf32"},
        5,
        true},
       {"S0->S0", "P->P"},
       {"S0->S1"},
       {"S0/6->S0"}}, // the same shards in units, which any axis may split
      {63,
       {"reshape (4,48)->(4,6,8)",
        {"4x48xf32"},
        "%r0 = graph.reshape %a0 : (A0) -> R0",
        {"4x6x8xf32"},
        5,
        true},
       {"S0->S0", "S1->S1", "P->P"},
       {"S1->S2"},
       {"S1/8->S1"}}, // as above
      {65,
       {"reshape (4,1,6)->(4,6)",
        {"4x1x6xf32"},
        "%r0 = graph.reshape %a0 : (A0) -> R0",
        {"4x6xf32"},
        5,
        true},
       {"S0->S0", "S2->S1", "P->P"},
       {"S1->S1"},
       {}},
      {67,
       {"reshape (2,3,4)->(6,4)",
        {"2x3x4xf32"},
        "%r0 = graph.reshape %a0 : (A0) -> R0",
        {"6x4xf32"},
        5,
        true},
       {"S0->S0", "S2->S1", "P->P"},
       {"S1->S0"},
       {"S0->S0/3"}}, // as above
      {69,
       {"stack axis=1",
        {"4x6xf32", "4x6xf32"},
        "%x = graph.reshape %a0 : (A0) -> tensor<4x1x6xf32>\n"
        "%y = graph.reshape %a1 : (A1) -> tensor<4x1x6xf32>\n"
        "%r0 = graph.concat %x, %y dim 1 : (tensor<4x1x6xf32>, "
        "tensor<4x1x6xf32>) -> R0",
        {"4x2x6xf32"}},
       {"S0,S0->S0", "S1,S1->S2", "P,P->P"},
       {"P,B->P"},
       {}},
      {71,
       {"expand (1,6)->(4,6)",
        {"1x6xf32"},
        "%v = graph.reshape %a0 : (A0) -> tensor<6xf32>\n"
        "%r0 = graph.broadcast %v [1] : (tensor<6xf32>) -> R0",
        {"4x6xf32"}},
       {"S1->S1", "P->P"},
       {"S0->S0"},
       {"B->S0"}}, // each coordinate makes its rows
      {73,
       {"where",
        {"4x6xi1", "4x6xf32", "4x6xf32"},
        "%r0 = graph.select %a0, %a1, %a2 : A0, A1",
        {"4x6xf32"}},
       {"S0,S0,S0->S0", "S1,S1,S1->S1", "B,P,P->P"},
       {"B,P,B->P", "B,B,P->P"},
       {}},
      {75,
       {"one_hot depth=6",
        {"4x2xi32"},
        "%c = graph.iota 2 : tensor<4x2x6xi32>\n"
        "%b = graph.broadcast %a0 [0, 1] : (A0) -> tensor<4x2x6xi32>\n"
        "%m = graph.compare eq %c, %b : tensor<4x2x6xi32> -> "
        "tensor<4x2x6xi1>\n"
        "%r0 = graph.cast %m : tensor<4x2x6xi1> -> R0",
        {"4x2x6xf32"},
        6},
       {"S0->S0", "S1->S1"},
       {"P->P"},
       {"B->S2"}}, // class numbers are logical
      {77,
       {"cumsum",
        {"4x6x8xf32"},
        "%r0 = graph.cumsum %a0 dim 1 : (A0) -> R0",
        {"4x6x8xf32"}},
       {"S2->S2", "P->P", "S0->S0"},
       {"S1->S1", "S1->P"},
       {}},
      {79,
       {"tril",
        {"2x4x4xf32"},
        "%i = graph.iota 1 : tensor<2x4x4xi32>\n"
        "%j = graph.iota 2 : tensor<2x4x4xi32>\n"
        "%m = graph.compare le %j, %i : tensor<2x4x4xi32> -> tensor<2x4x4xi1>\n"
        "%z = graph.constant dense<0.0> : A0\n"
        "%r0 = graph.select %m, %a0, %z : tensor<2x4x4xi1>, A0",
        {"2x4x4xf32"}},
       {"S0->S0", "P->P"},
       {"S1->S2"},
       {"S1->S1", "S2->S2"}}, // positions are logical
      {81,
       {"masked_fill",
        {"4x6xf32", "4x6xi1"},
        "%c = graph.constant dense<5.0> : A0\n"
        "%r0 = graph.select %a1, %c, %a0 : A1, A0",
        {"4x6xf32"}},
       {"S0,S0->S0", "S1,S1->S1"},
       {"P,B->P"},
       {}},
      {83,
       {"ones_like",
        {"4x6xf32"},
        "%r0 = kernel.generic ins(%a0 : A0) maps [affine_map<(i, j) -> (i, "
        "j)>, affine_map<(i, j) -> (i, j)>] combiner none {\n"
        "^bb0(%e: f32):\n"
        "  %one = arith.constant 1.0 : f32\n"
        "  kernel.yield %one : f32\n"
        "} -> R0",
        {"4x6xf32"}},
       {"S0->S0", "S1->S1", "P->B"},
       {"P->P"},
       {}},
      // General facts of the text.
      {0,
       {"add",
        {"4x6xf32", "4x6xf32"},
        "%r0 = graph.add %a0, %a1 : A0",
        {"4x6xf32"}},
       {"S0,S0->S0", "S1,S1->S1", "P,P->P"},
       {"P,B->P", "B,P->P", "S0,B->S0", "S0,S1->S0"},
       {}},
      {0,
       {"reduce_max",
        {"4x6xf32"},
        "%r0 = graph.reduce max %a0 [0] : (A0) -> R0",
        {"6xf32"}},
       {"S1->S0"},
       {"S0->P", "P->P", "P(min)->P(min)"},
       {}},
      {0,
       {"view [12,8] to (16,6)",
        {"12x8xf32"},
        "%r0 = graph.reshape %a0 : (A0) -> R0",
        {"16x6xf32"},
        5,
        true},
       {"S0->S0", "P->P"},
       {"S1->S0", "S1->S1", "S0->S1"},
       {"S0/3->S0/4"}}, // the same shards in units, which any axis may split
      {0,
       {"embedding",
        {"8x6xf32", "4x2xi32"},
        "%r0 = graph.embedding %a0, %a1 : (A0, A1) -> R0",
        {"4x2x6xf32"},
        8},
       {"B,S0->S0", "B,S1->S1", "S0,B->P", "S1,B->S2", "P,B->P"},
       {"S0,B->S0", "S0,S0->P", "B,P->P", "P,S0->P"},
       {}},
  };
  return table;
}
