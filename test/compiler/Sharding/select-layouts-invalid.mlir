// SPDX-License-Identifier: Apache-2.0
// RUN: weir-opt %s --split-input-file --verify-diagnostics --mlir-print-op-on-diagnostic=false --weir-select-layouts

// Two layouts of one variable: both who say so are named.
module attributes {dist.mesh = #dist.mesh<x=4>, weir.strategies = {x = "search"},
                   weir.layouts = [{match = "w*", layouts = {x = "S(0)"}}]} {
  // expected-error @+1 {{expects one layout of 'w' on mesh axis 'x', got 'S(1)' by 'dist.layout' and 'S(0)' by 'w*'}}
  graph.variable @w : tensor<8x8xf32> kind parameter init <normal, 0.0, 1.0> {dist.layout = #dist.layout<[S(1)]>}
  graph.entry @forward(%w: tensor<8x8xf32> {graph.variable = @w}) -> (tensor<8x8xf32> {graph.output = "y"}) {
    %0 = graph.relu %w : tensor<8x8xf32>
    graph.return %0 : tensor<8x8xf32>
  }
}

// -----

// expected-error @+1 {{expects strategy 'search' on at most 3 mesh axes, got 4}}
module attributes {dist.mesh = #dist.mesh<a=2, b=2, c=2, d=2>,
                   weir.strategies = {a = "search", b = "search", c = "search", d = "search"}} {
}
