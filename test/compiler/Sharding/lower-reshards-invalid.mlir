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
