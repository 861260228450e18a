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

// -----

// Shards that change places: no named collective moves just what is lacking.
// CHECK-LABEL: graph.entry @exchange
// CHECK: dist.local_slice {{.*}}axes = array<i64: 0>
// CHECK: dist.exchange {{.*}} {axes = array<i64: 0, 1>{{.*}} : (tensor<512x1024xf32, #dist.shard<[1024:0, 1024]>>) -> tensor<512x1024xf32, #dist.shard<[1024:1, 1024]>>
// CHECK: dist.exchange {{.*}} {axes = array<i64: 0, 1>{{.*}} -> tensor<512x512xf32, #dist.shard<[1024:1, 1024:0]>>
// CHECK-NOT: dist.exchange
module attributes {dist.mesh = #dist.mesh<x=2, y=2>} {
  graph.entry @exchange(%a: tensor<1024x1024xf32, #dist.layout<[B, B]>> {graph.input = "a", dist.layout = #dist.layout<[B, B]>})
      -> (tensor<1024x1024xf32, #dist.layout<[B, B]>> {graph.output = "e", dist.layout = #dist.layout<[B, B]>}) {
    %0 = dist.reshard %a [B, B] to [S(0), B] : (tensor<1024x1024xf32, #dist.layout<[B, B]>>) -> tensor<1024x1024xf32, #dist.layout<[S(0), B]>>
    %1 = dist.reshard %0 [S(0), B] to [B, S(0)] : (tensor<1024x1024xf32, #dist.layout<[S(0), B]>>) -> tensor<1024x1024xf32, #dist.layout<[B, S(0)]>>
    %2 = graph.neg %1 : tensor<1024x1024xf32, #dist.layout<[B, S(0)]>>
    %3 = dist.reshard %a [B, B] to [S(0), S(1)] : (tensor<1024x1024xf32, #dist.layout<[B, B]>>) -> tensor<1024x1024xf32, #dist.layout<[S(0), S(1)]>>
    %4 = dist.reshard %3 [S(0), S(1)] to [S(1), S(0)] : (tensor<1024x1024xf32, #dist.layout<[S(0), S(1)]>>) -> tensor<1024x1024xf32, #dist.layout<[S(1), S(0)]>>
    %5 = graph.neg %4 : tensor<1024x1024xf32, #dist.layout<[S(1), S(0)]>>
    graph.return %a : tensor<1024x1024xf32, #dist.layout<[B, B]>>
  }
}

// -----

// What is split over nodes and whole within: on nodes whose devices have fast
// links every device fetches its part from the other nodes and then the rest
// from its neighbours.
// CHECK-LABEL: graph.entry @by_parts
// CHECK: dist.local_slice {{.*}}axes = array<i64: 0>
// CHECK: dist.local_slice {{.*}}axes = array<i64: 1>
// CHECK: dist.all_gather {{.*}}axes = array<i64: 0, 1>
module attributes {dist.mesh = #dist.mesh<node=2, gpu=4>, dist.cluster = "{\"name\": \"two nodes\", \"devices\": 8, \"memory\": 8e10, \"memory_bandwidth\": 3e12, \"flops\": {\"f32\": 6e13}, \"levels\": [{\"name\": \"nvlink\", \"size\": 4, \"latency\": 3e-6, \"bandwidth\": 4e11}, {\"name\": \"network\", \"size\": 2, \"latency\": 1e-5, \"bandwidth\": 2e10}]}"} {
  graph.entry @by_parts(%a: tensor<1024x1024xf32, #dist.layout<[B, B]>> {graph.input = "a", dist.layout = #dist.layout<[B, B]>})
      -> (tensor<1024x1024xf32, #dist.layout<[B, B]>> {graph.output = "e", dist.layout = #dist.layout<[B, B]>}) {
    %0 = dist.reshard %a [B, B] to [S(0), B] : (tensor<1024x1024xf32, #dist.layout<[B, B]>>) -> tensor<1024x1024xf32, #dist.layout<[S(0), B]>>
    %1 = dist.reshard %0 [S(0), B] to [B, B] : (tensor<1024x1024xf32, #dist.layout<[S(0), B]>>) -> tensor<1024x1024xf32, #dist.layout<[B, B]>>
    graph.return %1 : tensor<1024x1024xf32, #dist.layout<[B, B]>>
  }
}
