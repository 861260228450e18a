// SPDX-License-Identifier: Apache-2.0
// RUN: weir-opt %s --split-input-file --verify-diagnostics --weir-propagate-layouts

// A statistic over the whole batch in front of the loss: no micro-batch has it.
module attributes {dist.mesh = #dist.mesh<mb=2 : time>} {
  graph.variable @w : tensor<4xf32> kind parameter init <normal, 0.0, 1.0>
  // expected-note @+1 {{operand 0 is 'tensor<6x4xf32>' in layout S(0)}}
  graph.entry @train(%x: tensor<6x4xf32> {graph.input = "x"}, %w: tensor<4xf32> {graph.variable = @w})
      -> (tensor<4xf32> {graph.variable = @w}) {
    %0 = graph.reduce max %x [0] : (tensor<6x4xf32>) -> tensor<4xf32>
    %1 = graph.exp %0 : tensor<4xf32>
    // expected-note @+1 {{operand 1 is 'tensor<4xf32>' in layout B, known after the loop}}
    %2 = graph.mul %1, %w : tensor<4xf32>
    // expected-error @+1 {{expects 'graph.matmul' to run on mesh axis 'mb' of size 2 in micro-batches, but it needs whole tensors that only all of them together give}}
    %3 = graph.matmul %x, %2 batch [] x [] contract [1] x [0] : (tensor<6x4xf32>, tensor<4xf32>) -> tensor<6xf32>
    %4 = graph.reduce sum %3 [0] : (tensor<6xf32>) -> tensor<f32>
    %5 = graph.broadcast %4 [] : (tensor<f32>) -> tensor<4xf32>
    graph.return %5 : tensor<4xf32>
  }
}

// -----

// The layout of a variable.
// expected-error @+2 {{expects no partial layout of 'w' on mesh axis 'dp', got #dist.layout<[P(sum)]>}}
module attributes {dist.mesh = #dist.mesh<dp=2>} {
  graph.variable @w : tensor<4xf32> kind parameter init <normal, 0.0, 1.0> {dist.layout = #dist.layout<[P(sum)]>}
}

// -----

module attributes {dist.mesh = #dist.mesh<dp=2, mb=2 : time>} {
  // expected-error @+1 {{expects 'w' to be whole on time axis 'mb', got #dist.layout<[B, S(0)]>}}
  graph.variable @w : tensor<4xf32> kind parameter init <normal, 0.0, 1.0> {dist.layout = #dist.layout<[B, S(0)]>}
}
