// SPDX-License-Identifier: Apache-2.0
// RUN: not weir-opt %s --weir-select-layouts="overrides=first*={x=S(0)},second*={x=S(1)}" 2>&1 | FileCheck %s

// Two overrides between which no reshard leads, since micro-batches split the
// rows: the error is at one end and its note at the other.
// CHECK: error: {{.*}}expects layouts of 'second' (graph.relu) that reshards can make of those of its operands, got #dist.layout<[S(1)]> from #dist.layout<[S(0)]>
// CHECK: note: {{.*}}the other end is 'first' (graph.relu); a dim that micro-batches split keeps its other splits
module attributes {dist.mesh = #dist.mesh<x=2, mb=2 : time>, weir.strategies = {x = "search", mb = "micro"}} {
  graph.entry @evaluate(%x: tensor<8x8xf32> {graph.input = "x"}) -> (tensor<f32> {graph.output = "y"}) {
    %0 = graph.relu %x : tensor<8x8xf32> loc("first")
    %1 = graph.relu %0 : tensor<8x8xf32> loc("second")
    %2 = graph.reduce sum %1 [0, 1] : (tensor<8x8xf32>) -> tensor<f32>
    graph.return %2 : tensor<f32>
  }
}
