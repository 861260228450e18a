// SPDX-License-Identifier: Apache-2.0
// RUN: weir-opt %s --split-input-file --verify-diagnostics --weir-verify-layouts

// Every violation of a module is reported.
module attributes {dist.mesh = #dist.mesh<x=2>} {
  // expected-error @+1 {{expects variable 'w' to have a 'dist.layout', got none}}
  graph.variable @w : tensor<4x4xf32> kind parameter init <normal, 0.0, 1.0>
  // expected-error @+1 {{expects argument 1 of entry 'f' in layout #dist.layout<[B]>, got #dist.layout<[S(0)]>}}
  graph.entry @f(%w: tensor<4x4xf32> {graph.variable = @w, dist.layout = #dist.layout<[B]>},
                 %x: tensor<4x4xf32> {graph.input = "x", dist.layout = #dist.layout<[S(0)]>})
      -> (tensor<4x4xf32> {graph.output = "y", dist.layout = #dist.layout<[B]>}) {
    // expected-error @+1 {{expects a sound signature of 'graph.mul' on mesh axis 'x' of size 2, got P(sum), P(sum) -> P(sum)}}
    %0 = graph.mul %w, %x {dist.signature = #dist.signature<([P(sum)], [P(sum)]) -> ([P(sum)])>} : tensor<4x4xf32>
    // expected-error @+1 {{expects 'graph.exp' to have a 'dist.signature', got none}}
    %1 = graph.exp %0 : tensor<4x4xf32>
    graph.return %1 : tensor<4x4xf32>
  }
}

// -----

// A reshape that looks fine on each axis alone: (4,3) to (6,2) on 2x2.
module attributes {dist.mesh = #dist.mesh<x=2, y=2>} {
  graph.entry @f(%x: tensor<4x3xf32> {graph.input = "x", dist.layout = #dist.layout<[B, B]>})
      -> (tensor<6x2xf32> {graph.output = "y", dist.layout = #dist.layout<[B, B]>}) {
    // expected-error @+1 {{expects a sound signature of 'graph.reshape' on mesh axis 'y' of size 2, got S(0) -> S(0)}}
    %0 = graph.reshape %x {dist.signature = #dist.signature<([S(0), S(0)]) -> ([S(0), S(0)])>} : (tensor<4x3xf32>) -> tensor<6x2xf32>
    graph.return %0 : tensor<6x2xf32>
  }
}

// -----

// After materialising, types agree with signatures.
module attributes {dist.mesh = #dist.mesh<x=2>} {
  graph.entry @f(%x: tensor<4xf32, #dist.layout<[B]>> {graph.input = "x", dist.layout = #dist.layout<[B]>})
      -> (tensor<4xf32, #dist.layout<[B]>> {graph.output = "y", dist.layout = #dist.layout<[B]>}) {
    // expected-error @+1 {{expects operand 0 of 'graph.exp' in layout #dist.layout<[S(0)]>, got 'tensor<4xf32, #dist.layout<[B]>>'}}
    %0 = graph.exp %x {dist.signature = #dist.signature<([S(0)]) -> ([S(0)])>} : (tensor<4xf32, #dist.layout<[B]>>) -> tensor<4xf32, #dist.layout<[S(0)]>>
    %1 = dist.reshard %0 [S(0)] to [B] : (tensor<4xf32, #dist.layout<[S(0)]>>) -> tensor<4xf32, #dist.layout<[B]>>
    graph.return %1 : tensor<4xf32, #dist.layout<[B]>>
  }
}
