// SPDX-License-Identifier: Apache-2.0
// RUN: weir-opt %s --split-input-file --verify-diagnostics --weir-prove-signatures=max-elements=64

// Equal ops are proved once; what execution finds and derivation does not is
// told.
graph.entry @f(%x: tensor<4x6xf32> {graph.input = "x"}, %w: tensor<6x8xf32> {graph.input = "w"})
    -> (tensor<4x8xf32> {graph.output = "y"}) {
  // expected-remark @+1 {{proved 'graph.matmul': 18 derived signatures hold, 72 layouts of operands tried}}
  %0 = graph.matmul %x, %w batch [] x [] contract [1] x [0] : (tensor<4x6xf32>, tensor<6x8xf32>) -> tensor<4x8xf32>
  %1 = graph.matmul %x, %w batch [] x [] contract [1] x [0] : (tensor<4x6xf32>, tensor<6x8xf32>) -> tensor<4x8xf32>
  // expected-remark @+5 {{holds on 2 coordinates and is not derived for 'graph.sigmoid': P(max)->P(max)}}
  // expected-remark @+4 {{holds on 2 coordinates and is not derived for 'graph.sigmoid': P(min)->P(min)}}
  // expected-remark @+3 {{holds on 3 coordinates and is not derived for 'graph.sigmoid': P(max)->P(max)}}
  // expected-remark @+2 {{holds on 3 coordinates and is not derived for 'graph.sigmoid': P(min)->P(min)}}
  // expected-remark @+1 {{proved 'graph.sigmoid': 9 derived signatures hold, 12 layouts of operands tried}}
  %2 = graph.sigmoid %1 : tensor<4x8xf32>
  graph.return %2 : tensor<4x8xf32>
}

// -----

// Large tensors are left out, and said so.
graph.entry @f(%x: tensor<4x64xf32> {graph.input = "x"}) -> (tensor<4x64xf32> {graph.output = "y"}) {
  // expected-remark @+1 {{skips 'graph.exp': 256 elements, more than max-elements=64}}
  %0 = graph.exp %x : tensor<4x64xf32>
  graph.return %0 : tensor<4x64xf32>
}
