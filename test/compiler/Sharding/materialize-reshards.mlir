// SPDX-License-Identifier: Apache-2.0
// RUN: weir-opt %s --split-input-file --weir-materialize-reshards --weir-verify-layouts | FileCheck %s

// One reshard for all uses in a layout, made from the cheapest version: the
// split value comes from the whole one, not from the sum again. A splat is made
// again in the layout of its use.
// CHECK-LABEL: graph.entry @f
// CHECK: %[[C:.*]] = graph.constant {{.*}} tensor<4x6xf32, #dist.layout<[B]>>
// CHECK: %[[P:.*]] = graph.matmul
// CHECK: %[[B:.*]] = dist.reshard %[[P]] [P(sum)] to [B]
// CHECK: %[[E:.*]] = graph.exp %[[B]]
// CHECK-NOT: dist.reshard
// CHECK: %[[T:.*]] = graph.tanh %[[B]]
// CHECK: %[[S:.*]] = dist.reshard %[[B]] [B] to [S(0)]
// CHECK: %[[C2:.*]] = graph.constant {{.*}} tensor<4x6xf32, #dist.layout<[S(0)]>>
// CHECK: %[[A:.*]] = graph.add %[[S]], %[[C2]]
// CHECK: dist.reshard %[[A]] [S(0)] to [B]
module attributes {dist.mesh = #dist.mesh<x=2>} {
  graph.entry @f(%a: tensor<4x8xf32> {graph.input = "a", dist.layout = #dist.layout<[B]>},
                 %b: tensor<8x6xf32> {graph.input = "b", dist.layout = #dist.layout<[B]>})
      -> (tensor<4x6xf32> {graph.output = "e", dist.layout = #dist.layout<[B]>},
          tensor<4x6xf32> {graph.output = "t", dist.layout = #dist.layout<[B]>},
          tensor<4x6xf32> {graph.output = "s", dist.layout = #dist.layout<[B]>}) {
    %c = graph.constant {dist.signature = #dist.signature<() -> ([B])>} dense<1.0> : tensor<4x6xf32>
    %0 = graph.matmul %a, %b batch [] x [] contract [1] x [0] {dist.signature = #dist.signature<([S(1)], [S(0)]) -> ([P(sum)])>} : (tensor<4x8xf32>, tensor<8x6xf32>) -> tensor<4x6xf32>
    %1 = graph.exp %0 {dist.signature = #dist.signature<([B]) -> ([B])>} : tensor<4x6xf32>
    %2 = graph.tanh %0 {dist.signature = #dist.signature<([B]) -> ([B])>} : tensor<4x6xf32>
    %3 = graph.add %0, %c {dist.signature = #dist.signature<([S(0)], [S(0)]) -> ([S(0)])>} : tensor<4x6xf32>
    graph.return %1, %2, %3 : tensor<4x6xf32>, tensor<4x6xf32>, tensor<4x6xf32>
  }
}
