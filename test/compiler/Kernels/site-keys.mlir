// SPDX-License-Identifier: Apache-2.0
// RUN: weir-opt %s --weir-form-kernels=fuse=false | FileCheck %s --check-prefix=APART
// RUN: weir-opt %s --weir-form-kernels | FileCheck %s --check-prefix=FUSED

// Sites that differ in nothing but their random numbers share one kernel: their keys are the launch's.
// APART: kernel.func @dropout_kernel
// APART-SAME: scalars = [array<i64: 0, 1, 0, 0>]
// APART: kernel.random 0 {{.*}} {of_launch}
// APART-NOT: kernel.func
// APART: kernel.launch @dropout_kernel{{.*}} site "first" {site_keys = array<i64: [[KEY:[0-9]+]]>}
// APART-NOT: array<i64: [[KEY]]>
// APART: kernel.launch @dropout_kernel{{.*}} site "second" {site_keys = array<i64: {{[0-9]+}}>}

// In one kernel the two sites keep their keys apart.
// FUSED: kernel.random 0 {{.*}} {of_launch}
// FUSED: kernel.random 1 {{.*}} {of_launch}
// FUSED: site_keys = array<i64: {{[0-9]+}}, {{[0-9]+}}>
graph.entry @twice(%x: tensor<4x8xf32> {graph.input = "x"},
                   %seed: tensor<i32> {graph.input = "seed"},
                   %step: tensor<i32> {graph.input = "step"})
    -> (tensor<4x8xf32> {graph.output = "a"}, tensor<4x8xf32> {graph.output = "b"}) {
  %a = graph.dropout %x, %seed, %step rate 0.5 site "first"
      : (tensor<4x8xf32>, tensor<i32>, tensor<i32>) -> tensor<4x8xf32>
  %b = graph.dropout %a, %seed, %step rate 0.5 site "second"
      : (tensor<4x8xf32>, tensor<i32>, tensor<i32>) -> tensor<4x8xf32>
  graph.return %a, %b : tensor<4x8xf32>, tensor<4x8xf32>
}
