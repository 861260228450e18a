// SPDX-License-Identifier: Apache-2.0
// RUN: weir-opt %s --split-input-file --weir-lower-reshards | FileCheck %s

// Each change of one axis is one step on local types.
// CHECK-LABEL: graph.entry @steps
// CHECK: dist.local_slice {{.*}} dim = 0 : i64{{.*}} : (tensor<5x6xf32>) -> tensor<3x6xf32, #dist.shard<[5:0, 6]>>
// CHECK: dist.all_to_all {{.*}}gatherDim = 0 : i64, splitDim = 1 : i64{{.*}} -> tensor<5x3xf32, #dist.shard<[5, 6:0]>>
// CHECK: dist.all_gather {{.*}}dim = 1 : i64{{.*}} -> tensor<5x6xf32>
// CHECK: dist.to_partial {{.*}}reduction sum
// CHECK: dist.reduce_scatter {{.*}}dim = 0 : i64{{.*}} -> tensor<3x6xf32, #dist.shard<[5:0, 6]>>
// CHECK: dist.all_gather
// CHECK: dist.to_partial
// CHECK: dist.all_reduce
module attributes {dist.mesh = #dist.mesh<x=2>} {
  graph.entry @steps(%a: tensor<5x6xf32, #dist.layout<[B]>> {graph.input = "a", dist.layout = #dist.layout<[B]>})
      -> (tensor<5x6xf32, #dist.layout<[B]>> {graph.output = "e", dist.layout = #dist.layout<[B]>}) {
    %0 = dist.reshard %a [B] to [S(0)] : (tensor<5x6xf32, #dist.layout<[B]>>) -> tensor<5x6xf32, #dist.layout<[S(0)]>>
    %1 = dist.reshard %0 [S(0)] to [S(1)] : (tensor<5x6xf32, #dist.layout<[S(0)]>>) -> tensor<5x6xf32, #dist.layout<[S(1)]>>
    %2 = dist.reshard %1 [S(1)] to [P(sum)] : (tensor<5x6xf32, #dist.layout<[S(1)]>>) -> tensor<5x6xf32, #dist.layout<[P(sum)]>>
    %3 = dist.reshard %2 [P(sum)] to [S(0)] : (tensor<5x6xf32, #dist.layout<[P(sum)]>>) -> tensor<5x6xf32, #dist.layout<[S(0)]>>
    %4 = dist.reshard %3 [S(0)] to [P(sum)] : (tensor<5x6xf32, #dist.layout<[S(0)]>>) -> tensor<5x6xf32, #dist.layout<[P(sum)]>>
    %5 = dist.reshard %4 [P(sum)] to [B] : (tensor<5x6xf32, #dist.layout<[P(sum)]>>) -> tensor<5x6xf32, #dist.layout<[B]>>
    graph.return %5 : tensor<5x6xf32, #dist.layout<[B]>>
  }
}

// -----

// An outer split under an inner one: the inner one is gathered with it and
// sliced again. Partial on two axes to a mixed layout: both are reduced.
// CHECK-LABEL: graph.entry @nested
// CHECK: dist.all_gather {{.*}}axes = array<i64: 0, 1>, dim = 0
// CHECK: dist.local_slice {{.*}}axes = array<i64: 1>, dim = 0
// CHECK: dist.reduce_scatter {{.*}}axes = array<i64: 0>, dim = 0
// CHECK: dist.all_reduce {{.*}}axes = array<i64: 1>
module attributes {dist.mesh = #dist.mesh<x=2, y=2>} {
  graph.entry @nested(%a: tensor<5xf32, #dist.layout<[B, B]>> {graph.input = "a", dist.layout = #dist.layout<[B, B]>})
      -> (tensor<5xf32, #dist.layout<[B, B]>> {graph.output = "e", dist.layout = #dist.layout<[B, B]>}) {
    %0 = dist.reshard %a [B, B] to [S(0), S(0)] : (tensor<5xf32, #dist.layout<[B, B]>>) -> tensor<5xf32, #dist.layout<[S(0), S(0)]>>
    %1 = dist.reshard %0 [S(0), S(0)] to [B, S(0)] : (tensor<5xf32, #dist.layout<[S(0), S(0)]>>) -> tensor<5xf32, #dist.layout<[B, S(0)]>>
    %2 = dist.reshard %1 [B, S(0)] to [P(sum), P(sum)] : (tensor<5xf32, #dist.layout<[B, S(0)]>>) -> tensor<5xf32, #dist.layout<[P(sum), P(sum)]>>
    %3 = dist.reshard %2 [P(sum), P(sum)] to [S(0), B] : (tensor<5xf32, #dist.layout<[P(sum), P(sum)]>>) -> tensor<5xf32, #dist.layout<[S(0), B]>>
    %4 = dist.reshard %3 [S(0), B] to [B, B] : (tensor<5xf32, #dist.layout<[S(0), B]>>) -> tensor<5xf32, #dist.layout<[B, B]>>
    graph.return %4 : tensor<5xf32, #dist.layout<[B, B]>>
  }
}
