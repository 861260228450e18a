// SPDX-License-Identifier: Apache-2.0
// RUN: weir-opt %s --split-input-file --weir-propagate-layouts | FileCheck %s
// RUN: weir-opt %s --split-input-file --weir-propagate-layouts --weir-verify-layouts | FileCheck %s

// A data axis splits the batch as it enters; gradients become sums over it and
// are reduced where the update needs them. Broadcasts follow their use.
// CHECK-LABEL: graph.variable @w
// CHECK-SAME: dist.layout = #dist.layout<[B]>
// CHECK-LABEL: graph.entry @train
// CHECK-SAME: %{{.*}}: tensor<5x4xf32> {dist.layout = #dist.layout<[B]>, graph.input = "x"}
// CHECK: graph.broadcast {{.*}} #dist.signature<([B]) -> ([S(0)])>
// CHECK: graph.matmul {{.*}} #dist.signature<([S(0)], [B]) -> ([S(0)])>
// CHECK: graph.add {{.*}} #dist.signature<([S(0)], [S(0)]) -> ([S(0)])>
// CHECK: graph.matmul {{.*}} #dist.signature<([S(0)], [S(0)]) -> ([P(sum)])>
// CHECK: graph.sgd {{.*}} #dist.signature<([B], [B], [B], [B], [B], [B], [B], [B]) -> ([B], [B])>
module attributes {dist.mesh = #dist.mesh<dp=2>} {
  graph.variable @w : tensor<4x6xf32> kind parameter init <normal, 0.0, 1.0>
  graph.variable @"w/m" : tensor<4x6xf32> kind optimizer_state init <constant, 0.0, 0.0>
  graph.variable @b : tensor<6xf32> kind parameter init <normal, 0.0, 1.0>
  graph.entry @train(%x: tensor<5x4xf32> {graph.input = "x"}, %w: tensor<4x6xf32> {graph.variable = @w},
                     %m: tensor<4x6xf32> {graph.variable = @"w/m"}, %b: tensor<6xf32> {graph.variable = @b},
                     %s: tensor<f32> {graph.input = "s"}, %ok: tensor<i1> {graph.input = "ok"})
      -> (tensor<4x6xf32> {graph.variable = @w}, tensor<4x6xf32> {graph.variable = @"w/m"}) {
    %0 = graph.broadcast %b [1] : (tensor<6xf32>) -> tensor<5x6xf32>
    %1 = graph.matmul %x, %w batch [] x [] contract [1] x [0] : (tensor<5x4xf32>, tensor<4x6xf32>) -> tensor<5x6xf32>
    %2 = graph.add %1, %0 : tensor<5x6xf32>
    %3 = graph.matmul %x, %2 batch [] x [] contract [0] x [0] : (tensor<5x4xf32>, tensor<5x6xf32>) -> tensor<4x6xf32>
    %4, %5 = graph.sgd %w, %m, %3, %s, %s, %s, %s, %ok site "w/sgd" : (tensor<4x6xf32>, tensor<4x6xf32>, tensor<4x6xf32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<i1>) -> (tensor<4x6xf32>, tensor<4x6xf32>)
    graph.return %4, %5 : tensor<4x6xf32>, tensor<4x6xf32>
  }
}

// -----

// Megatron: column-split, then row-split, one sum at the end, which the
// non-linear consumer needs whole; 7 hidden units on 2 coordinates are legal.
// CHECK-LABEL: graph.variable @up
// CHECK-SAME: #dist.layout<[S(1)]>
// CHECK-LABEL: graph.variable @down
// CHECK-SAME: #dist.layout<[S(0)]>
// CHECK-LABEL: graph.entry @forward
// CHECK: graph.matmul {{.*}} #dist.signature<([B], [S(1)]) -> ([S(1)])>
// CHECK: graph.gelu {{.*}} #dist.signature<([S(1)]) -> ([S(1)])>
// CHECK: graph.matmul {{.*}} #dist.signature<([S(1)], [S(0)]) -> ([P(sum)])>
// CHECK: graph.add {{.*}} #dist.signature<([B], [B]) -> ([B])>
// CHECK: graph.tanh {{.*}} #dist.signature<([B]) -> ([B])>
module attributes {dist.mesh = #dist.mesh<tp=2>} {
  graph.variable @up : tensor<4x7xf32> kind parameter init <normal, 0.0, 1.0> {weir.tp_dim = 1 : i64}
  graph.variable @down : tensor<7x4xf32> kind parameter init <normal, 0.0, 1.0> {weir.tp_dim = 0 : i64}
  graph.entry @forward(%x: tensor<32x4xf32> {graph.input = "x"}, %up: tensor<4x7xf32> {graph.variable = @up},
                       %down: tensor<7x4xf32> {graph.variable = @down})
      -> (tensor<32x4xf32> {graph.output = "y"}) {
    %0 = graph.matmul %x, %up batch [] x [] contract [1] x [0] : (tensor<32x4xf32>, tensor<4x7xf32>) -> tensor<32x7xf32>
    %1 = graph.gelu tanh %0 : tensor<32x7xf32>
    %2 = graph.matmul %1, %down batch [] x [] contract [1] x [0] : (tensor<32x7xf32>, tensor<7x4xf32>) -> tensor<32x4xf32>
    %3 = graph.add %2, %x : tensor<32x4xf32>
    %4 = graph.tanh %3 : tensor<32x4xf32>
    graph.return %4 : tensor<32x4xf32>
  }
}

// -----

// The time axis splits the batch too; what the loop sums up is used after it.
// An entry that returns samples runs without micro-batches.
// CHECK-LABEL: graph.entry @evaluate
// CHECK: graph.exp {{.*}} #dist.signature<([S(0), S(0)]) -> ([S(0), S(0)])>
// CHECK: graph.reduce {{.*}} #dist.signature<([S(0), S(0)]) -> ([P(sum), P(sum)])>
// CHECK: graph.sqrt {{.*}} #dist.signature<([B, B]) -> ([B, B])>
// CHECK-LABEL: graph.entry @forward
// CHECK: graph.exp {{.*}} #dist.signature<([S(0), B]) -> ([S(0), B])>
module attributes {dist.mesh = #dist.mesh<dp=2, mb=3 : time>} {
  graph.entry @evaluate(%x: tensor<7x4xf32> {graph.input = "x"}) -> (tensor<f32> {graph.output = "y"}) {
    %0 = graph.exp %x : tensor<7x4xf32>
    %1 = graph.reduce sum %0 [0, 1] : (tensor<7x4xf32>) -> tensor<f32>
    %2 = graph.sqrt %1 : tensor<f32>
    graph.return %2 : tensor<f32>
  }
  graph.entry @forward(%x: tensor<7x4xf32> {graph.input = "x"}) -> (tensor<7x4xf32> {graph.output = "y"}) {
    %0 = graph.exp %x : tensor<7x4xf32>
    graph.return %0 : tensor<7x4xf32>
  }
}

// -----

// A chain of scalar sums stays partial and is reduced once, at its end.
// CHECK-LABEL: graph.entry @norm
// CHECK: graph.reduce {{.*}} -> ([P(sum)])>
// CHECK: graph.reduce {{.*}} -> ([P(sum)])>
// CHECK: graph.add {{.*}} #dist.signature<([P(sum)], [P(sum)]) -> ([P(sum)])>
// CHECK: graph.sqrt {{.*}} #dist.signature<([B]) -> ([B])>
module attributes {dist.mesh = #dist.mesh<x=4>} {
  graph.variable @a : tensor<8xf32> kind parameter init <normal, 0.0, 1.0> {dist.layout = #dist.layout<[S(0)]>}
  graph.variable @b : tensor<9xf32> kind parameter init <normal, 0.0, 1.0> {dist.layout = #dist.layout<[S(0)]>}
  graph.entry @norm(%a: tensor<8xf32> {graph.variable = @a}, %b: tensor<9xf32> {graph.variable = @b})
      -> (tensor<f32> {graph.output = "norm"}) {
    %0 = graph.reduce sum %a [0] : (tensor<8xf32>) -> tensor<f32>
    %1 = graph.reduce sum %b [0] : (tensor<9xf32>) -> tensor<f32>
    %2 = graph.add %0, %1 : tensor<f32>
    %3 = graph.sqrt %2 : tensor<f32>
    graph.return %3 : tensor<f32>
  }
}
