// SPDX-License-Identifier: Apache-2.0
// RUN: weir-opt %s --split-input-file --weir-select-layouts --weir-propagate-layouts --weir-verify-layouts | FileCheck %s

// Weights too large to move, little data: the first is split by columns, the
// second by rows, and the sum is reduced once, at the end.
// CHECK: weir.layout_search = {forward = {bound = [[SECONDS:[0-9.E+-]+]] : f64
// CHECK-SAME: ops = 3 : i64, seconds = [[SECONDS]] : f64
// CHECK-LABEL: graph.variable @up
// CHECK-SAME: dist.layout = #dist.layout<[S(1)]>
// CHECK-LABEL: graph.variable @down
// CHECK-SAME: dist.layout = #dist.layout<[S(0)]>
// CHECK: graph.matmul {{.*}} #dist.signature<([B], [S(1)]) -> ([S(1)])>
// CHECK: graph.relu {{.*}} #dist.signature<([S(1)]) -> ([S(1)])>
// CHECK: graph.matmul {{.*}} #dist.signature<([S(1)], [S(0)]) -> ([P(sum)])>
module attributes {dist.mesh = #dist.mesh<x=4>, weir.strategies = {x = "search"}} {
  graph.variable @up : tensor<512x2048xf32> kind parameter init <normal, 0.0, 1.0>
  graph.variable @down : tensor<2048x512xf32> kind parameter init <normal, 0.0, 1.0>
  graph.entry @forward(%x: tensor<32x512xf32> {graph.input = "x"}, %up: tensor<512x2048xf32> {graph.variable = @up},
                       %down: tensor<2048x512xf32> {graph.variable = @down}) -> (tensor<32x512xf32> {graph.output = "y"}) {
    %0 = graph.matmul %x, %up batch [] x [] contract [1] x [0] : (tensor<32x512xf32>, tensor<512x2048xf32>) -> tensor<32x2048xf32>
    %1 = graph.relu %0 : tensor<32x2048xf32>
    %2 = graph.matmul %1, %down batch [] x [] contract [1] x [0] : (tensor<32x2048xf32>, tensor<2048x512xf32>) -> tensor<32x512xf32>
    graph.return %2 : tensor<32x512xf32>
  }
}

// -----

// What the user gives holds, and the rest follows: rows first here. The axis
// that is not searched is decided by its own strategy, and stays so.
// CHECK-LABEL: graph.variable @up
// CHECK-SAME: dist.layout = #dist.layout<[B, S(0)]>
// CHECK: graph.matmul {{.*}} #dist.signature<([S(0), S(1)], [B, S(0)]) -> ([S(0), P(sum)])>
module attributes {dist.mesh = #dist.mesh<dp=2, x=4>, weir.strategies = {dp = "data", x = "search"},
                   weir.layouts = [{match = "up", layouts = {x = "S(0)"}}]} {
  graph.variable @up : tensor<512x2048xf32> kind parameter init <normal, 0.0, 1.0>
  graph.entry @forward(%x: tensor<32x512xf32> {graph.input = "x"}, %up: tensor<512x2048xf32> {graph.variable = @up})
      -> (tensor<32x2048xf32> {graph.output = "y"}) {
    %0 = graph.matmul %x, %up batch [] x [] contract [1] x [0] : (tensor<32x512xf32>, tensor<512x2048xf32>) -> tensor<32x2048xf32>
    %1 = graph.relu %0 : tensor<32x2048xf32>
    graph.return %1 : tensor<32x2048xf32>
  }
}

// -----

// Without the strategy nothing is decided here.
// CHECK-NOT: weir.layout_search
// CHECK-LABEL: graph.entry @plain
// CHECK: graph.relu
module attributes {dist.mesh = #dist.mesh<x=4>} {
  graph.entry @plain(%x: tensor<32x512xf32> {graph.input = "x"}) -> (tensor<32x512xf32> {graph.output = "y"}) {
    %0 = graph.relu %x : tensor<32x512xf32>
    graph.return %0 : tensor<32x512xf32>
  }
}
