// SPDX-License-Identifier: Apache-2.0
// RUN: weir-opt %s --weir-balance-sequence="axes=cp" | FileCheck %s
// RUN: weir-opt %s --weir-balance-sequence | FileCheck %s --check-prefix=ALONE
// RUN: not weir-opt %s --weir-balance-sequence="axes=dp" 2>&1 | FileCheck %s --check-prefix=AXIS

// Tokens are reordered as they enter, tables where they meet them, causal
// attention masks by positions, and what runs along the sequence leaves in order.

// CHECK-LABEL: graph.entry @forward
// CHECK-SAME: %[[IDS:.*]]: tensor<2x8xi32> {graph.input = "ids"}, %[[WTE:.*]]: tensor<9x4xf32> {{.*}}, %[[WPE:.*]]: tensor<8x4xf32>
// CHECK: %[[TABLE:.*]] = graph.take %[[WPE]], %[[ORDER:.*]] dim 0 : (tensor<8x4xf32>, tensor<8xi32>) -> tensor<8x4xf32>
// CHECK: %[[TAKEN:.*]] = graph.take %[[IDS]], %[[ORDER]] dim 1 : (tensor<2x8xi32>, tensor<8xi32>) -> tensor<2x8xi32>
// CHECK: graph.embedding %[[WTE]], %[[TAKEN]]
// CHECK: graph.broadcast %[[TABLE]] [1, 2] : (tensor<8x4xf32>) -> tensor<2x8x4xf32>
// CHECK: graph.attention {{.*}} positions(%[[ORDER]], %[[ORDER]]) scale
// CHECK: %[[OUT:.*]] = graph.take {{.*}} dim 1 : (tensor<2x8x4xf32>, tensor<8xi32>) -> tensor<2x8x4xf32>
// CHECK: graph.return %[[OUT]]

// ALONE-NOT: graph.take

// AXIS: expects axes of ranks of the mesh to balance sequences over, got 'dp'
module attributes {dist.mesh = #dist.mesh<cp=2>} {
  graph.variable @wte : tensor<9x4xf32> kind parameter init <normal, 0.0, 0.02>
  graph.variable @wpe : tensor<8x4xf32> kind parameter init <normal, 0.0, 0.02>
  graph.entry @forward(%ids: tensor<2x8xi32> {graph.input = "ids"}, %wte: tensor<9x4xf32> {graph.variable = @wte},
                       %wpe: tensor<8x4xf32> {graph.variable = @wpe}) -> (tensor<2x8x4xf32> {graph.output = "y"}) {
    %0 = graph.embedding %wte, %ids : (tensor<9x4xf32>, tensor<2x8xi32>) -> tensor<2x8x4xf32>
    %1 = graph.broadcast %wpe [1, 2] : (tensor<8x4xf32>) -> tensor<2x8x4xf32>
    %2 = graph.add %0, %1 : tensor<2x8x4xf32>
    %q = graph.reshape %2 : (tensor<2x8x4xf32>) -> tensor<2x8x1x1x4xf32>
    %k = graph.reshape %2 : (tensor<2x8x4xf32>) -> tensor<2x8x1x4xf32>
    %o, %lse = graph.attention %q, %k, %k scale 0.5 causal
        : (tensor<2x8x1x1x4xf32>, tensor<2x8x1x4xf32>, tensor<2x8x1x4xf32>) -> (tensor<2x8x1x1x4xf32>, tensor<2x1x1x8xf32>)
    %y = graph.reshape %o : (tensor<2x8x1x1x4xf32>) -> tensor<2x8x4xf32>
    graph.return %y : tensor<2x8x4xf32>
  }
}
