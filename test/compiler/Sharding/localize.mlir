// SPDX-License-Identifier: Apache-2.0
// RUN: weir-opt %s --weir-propagate-layouts --weir-materialize-reshards --weir-lower-reshards --weir-localize | FileCheck %s

// What no micro-batch changes is in front of the loop, sums over the batch are
// its accumulators, what they make comes behind; ranks are summed up once,
// after the loop. 7 samples on 2 ranks in 2 micro-batches: at most 2 at a time.
// CHECK-LABEL: graph.entry @train
// CHECK-SAME: %[[X:.*]]: tensor<7x4xf32> {dist.layout = #dist.layout<[B, B]>, graph.input = "x"}
// CHECK-SAME: %[[W:.*]]: tensor<4xf32>
// CHECK-DAG: %[[XD:.*]] = dist.local_slice %[[X]] {axes = array<i64: 0>, dim = 0 : i64} : (tensor<7x4xf32>) -> tensor<4x4xf32, #dist.shard<[7:0, 4]>>
// CHECK-DAG: %[[E:.*]] = graph.exp %[[W]] : tensor<4xf32>
// CHECK: %[[Z:.*]] = graph.constant dense<0.000000e+00> : tensor<4xf32>
// CHECK: %[[G:.*]] = dist.micro_batches(%[[Z]] : tensor<4xf32>) -> (tensor<4xf32>)
// CHECK: ^bb0(%[[ACC:.*]]: tensor<4xf32>)
// CHECK-DAG: %[[XM:.*]] = dist.local_slice %[[XD]] {axes = array<i64: 1>, dim = 0 : i64} : {{.*}} -> tensor<2x4xf32, #dist.shard<[7:0:1, 4]>>
// CHECK-DAG: %[[B:.*]] = graph.broadcast %[[E]] [1] : (tensor<4xf32>) -> tensor<2x4xf32, #dist.shard<[7:0:1, 4]>>
// CHECK: %[[M:.*]] = graph.mul %[[XM]], %[[B]] : tensor<2x4xf32, #dist.shard<[7:0:1, 4]>>
// CHECK: %[[R:.*]] = graph.reduce sum %[[M]] [0]
// CHECK: %[[SUM:.*]] = graph.add %[[ACC]], %[[R]] : tensor<4xf32>
// CHECK: dist.yield %[[SUM]]
// CHECK: %[[ALL:.*]] = dist.all_reduce %[[G]] {axes = array<i64: 0>
// CHECK: %[[N:.*]] = graph.sub %[[W]], %[[ALL]] : tensor<4xf32>
// CHECK: graph.return %[[N]]
module attributes {dist.mesh = #dist.mesh<dp=2, mb=2 : time>} {
  graph.variable @w : tensor<4xf32> kind parameter init <normal, 0.0, 1.0>
  graph.entry @train(%x: tensor<7x4xf32> {graph.input = "x"}, %w: tensor<4xf32> {graph.variable = @w})
      -> (tensor<4xf32> {graph.variable = @w}) {
    %0 = graph.exp %w : tensor<4xf32>
    %1 = graph.broadcast %0 [1] : (tensor<4xf32>) -> tensor<7x4xf32>
    %2 = graph.mul %x, %1 : tensor<7x4xf32>
    %3 = graph.reduce sum %2 [0] : (tensor<7x4xf32>) -> tensor<4xf32>
    %4 = graph.sub %w, %3 : tensor<4xf32>
    graph.return %4 : tensor<4xf32>
  }
}
