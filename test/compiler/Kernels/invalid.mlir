// SPDX-License-Identifier: Apache-2.0
// RUN: not weir-opt %s --weir-form-kernels=chunks=0 2>&1 | FileCheck %s

// A kernel has at least one chunk.
// CHECK: error: weir-form-kernels: expects a positive number of chunks, got 0
module {
  graph.entry @f(%x: tensor<4xf32> {graph.input = "x"}) -> (tensor<4xf32> {graph.output = "y"}) {
    %0 = graph.relu %x : tensor<4xf32>
    graph.return %0 : tensor<4xf32>
  }
}
