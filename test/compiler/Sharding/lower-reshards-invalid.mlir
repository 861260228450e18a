// SPDX-License-Identifier: Apache-2.0
// RUN: weir-opt %s --split-input-file --verify-diagnostics --weir-lower-reshards

// The samples of a micro-batch over ranks are no contiguous part of the batch.
module attributes {dist.mesh = #dist.mesh<dp=2, mb=3 : time>} {
  graph.entry @f(%a: tensor<6xf32, #dist.layout<[B, B]>> {graph.input = "a", dist.layout = #dist.layout<[B, B]>})
      -> (tensor<6xf32, #dist.layout<[B, B]>> {graph.output = "e", dist.layout = #dist.layout<[B, B]>}) {
    %0 = dist.reshard %a [B, B] to [S(0), S(0)] : (tensor<6xf32, #dist.layout<[B, B]>>) -> tensor<6xf32, #dist.layout<[S(0), S(0)]>>
    // expected-error @+1 {{expects a reshard that stays within a micro-batch, got #dist.layout<[S(0), S(0)]> to #dist.layout<[B, S(0)]>}}
    %1 = dist.reshard %0 [S(0), S(0)] to [B, S(0)] : (tensor<6xf32, #dist.layout<[S(0), S(0)]>>) -> tensor<6xf32, #dist.layout<[B, S(0)]>>
    graph.return %a : tensor<6xf32, #dist.layout<[B, B]>>
  }
}

// -----

// Costs are of a cluster that can hold the mesh.
// expected-error @+1 {{expects a cluster of at least as many devices as the mesh has ranks, 2, got 1}}
module attributes {dist.mesh = #dist.mesh<dp=2>, dist.cluster = "{\"name\": \"one\", \"devices\": 1, \"memory\": 1e9, \"memory_bandwidth\": 1e9, \"flops\": {\"f32\": 1e9}, \"levels\": [{\"name\": \"bus\", \"size\": 1, \"latency\": 0, \"bandwidth\": 1e9}]}"} {
}

// -----

// expected-error @+1 {{dist.cluster: lacks the key 'name'}}
module attributes {dist.mesh = #dist.mesh<dp=2>, dist.cluster = "{}"} {
}
