// SPDX-License-Identifier: Apache-2.0
// RUN: weir-opt %s --weir-build-actors | FileCheck %s
// RUN: weir-opt %s --weir-build-actors --weir-place-buffers --weir-verify-plan | FileCheck %s

// The tensors of one collective pass each phase together: ranks meet once.
// CHECK: %[[C0:.*]] = actor.collective all_reduce sum axes [0] dims [#actor.collective_dim<8 strides 1, 1>]
// CHECK: %[[C1:.*]] = actor.collective all_reduce sum axes [0] dims [#actor.collective_dim<3 strides 1, 1>]
// CHECK: actor.phase post %[[C0]], {{.*}} site "a/all_reduce"
// CHECK-NEXT: actor.phase post %[[C1]], {{.*}} site "b/all_reduce.1"
// CHECK-NEXT: actor.phase reduce %[[C0]]
// CHECK-NEXT: actor.phase reduce %[[C1]]
// CHECK-NEXT: actor.phase gather %[[C0]]
// CHECK-NEXT: actor.phase gather %[[C1]]
// CHECK-NEXT: actor.phase release %[[C0]]
// CHECK-NEXT: actor.phase release %[[C1]]
module attributes {dist.mesh = #dist.mesh<dp=2>} {
  pipe.program @evaluate role 0 entry "evaluate" tasks [forward] schedule "F0"
      (%x: tensor<8xf32> {graph.input = "x"}, %y: tensor<3xf32> {graph.input = "y"})
      -> (tensor<8xf32> {graph.output = "a"}, tensor<3xf32> {graph.output = "b"}) {
    %a = kernel.empty "a" : tensor<8xf32>
    %b = kernel.empty "b" : tensor<3xf32>
    %0:2 = dist.all_reduce %x, %y into %a, %b : tensor<8xf32>, tensor<3xf32> {axes = array<i64: 0>, reduction = #dist<reduction sum>}
        : (tensor<8xf32>, tensor<3xf32>) -> (tensor<8xf32>, tensor<3xf32>)
    pipe.return %0#0, %0#1 : tensor<8xf32>, tensor<3xf32>
  }
}
