// SPDX-License-Identifier: Apache-2.0
// RUN: weir-opt %s --weir-propagate-layouts="strategies=dp=zero3" --weir-materialize-reshards | FileCheck %s --check-prefix=SPLIT
// RUN: weir-opt %s --weir-propagate-layouts="strategies=dp=zero3" --weir-materialize-reshards --weir-lower-reshards --weir-localize | FileCheck %s --check-prefix=LOOP
// RUN: weir-opt %s --weir-propagate-layouts="strategies=dp=zero2" --weir-materialize-reshards --weir-lower-reshards --weir-localize | FileCheck %s --check-prefix=TWO
// RUN: weir-opt %s --weir-propagate-layouts="strategies=dp=zero1" --weir-materialize-reshards --weir-lower-reshards --weir-localize | FileCheck %s --check-prefix=ONE

// Two matrices, forwards and backwards, in two micro-batches.

// Parameters lie in shards; one is gathered for the forward pass, let go, and
// gathered again behind the other, which is larger, for the backward pass.
// SPLIT: graph.variable @a {{.*}}#dist.layout<[S(0), B]>
// SPLIT: graph.entry @train(%[[X:[a-z0-9]+]]: {{[^%]*}}, %[[A:[a-z0-9]+]]: {{[^%]*}}, %[[B:[a-z0-9]+]]:
// SPLIT: %[[FORWARD:.*]] = dist.reshard %[[A]] {{.*}}weir.transient
// SPLIT: graph.matmul %{{.*}}, %[[FORWARD]]
// SPLIT: %[[LAST:.*]] = dist.reshard %[[B]] {{.*}}weir.transient
// SPLIT: graph.matmul %{{.*}}, %[[LAST]]
// The next use is the loss' gradient: nothing was gathered in between.
// SPLIT: graph.matmul %{{.*}}, %[[LAST]]
// SPLIT: %[[BACKWARD:.*]] = dist.reshard %[[A]] {{.*}}weir.transient
// SPLIT: graph.matmul %{{.*}}, %[[BACKWARD]]

// All of that in the loop, and gradients scattered before they are added up.
// LOOP: dist.micro_batches
// LOOP-COUNT-3: dist.all_gather
// LOOP-NOT: dist.all_gather
// LOOP: dist.yield
// LOOP-NOT: dist.all_gather

// Stage 2: accumulators are shards, nothing is gathered but updated parameters.
// TWO: dist.micro_batches
// TWO-NOT: dist.all_gather
// TWO-COUNT-2: dist.reduce_scatter
// TWO-NOT: dist.reduce_scatter
// TWO: dist.yield {{.*}}tensor<{{[23]}}x
// TWO-NOT: dist.reduce_scatter
// TWO-COUNT-2: dist.all_gather

// Stage 1: gradients are added up whole and scattered once.
// ONE: dist.micro_batches
// ONE-NOT: dist.reduce_scatter
// ONE: dist.yield
// ONE-COUNT-2: dist.reduce_scatter
// ONE-COUNT-2: dist.all_gather
module attributes {dist.mesh = #dist.mesh<dp=2, mb=2 : time>} {
  graph.variable @a : tensor<4x6xf32> kind parameter init <normal, 0.0, 1.0>
  graph.variable @b : tensor<6x8xf32> kind parameter init <normal, 0.0, 1.0>
  graph.variable @"a/m" : tensor<4x6xf32> kind optimizer_state init <constant, 0.0>
  graph.variable @"b/m" : tensor<6x8xf32> kind optimizer_state init <constant, 0.0>
  graph.entry @train(%x: tensor<8x4xf32> {graph.input = "x"},
                     %a: tensor<4x6xf32> {graph.variable = @a}, %b: tensor<6x8xf32> {graph.variable = @b},
                     %am: tensor<4x6xf32> {graph.variable = @"a/m"}, %bm: tensor<6x8xf32> {graph.variable = @"b/m"})
      -> (tensor<4x6xf32> {graph.variable = @a}, tensor<6x8xf32> {graph.variable = @b},
          tensor<4x6xf32> {graph.variable = @"a/m"}, tensor<6x8xf32> {graph.variable = @"b/m"}) {
    %0 = graph.matmul %x, %a batch [] x [] contract [1] x [0] : (tensor<8x4xf32>, tensor<4x6xf32>) -> tensor<8x6xf32>
    %1 = graph.tanh %0 : tensor<8x6xf32>
    %2 = graph.matmul %1, %b batch [] x [] contract [1] x [0] : (tensor<8x6xf32>, tensor<6x8xf32>) -> tensor<8x8xf32>
    %3 = graph.tanh %2 : tensor<8x8xf32>
    %4 = graph.matmul %3, %b batch [] x [] contract [1] x [1] : (tensor<8x8xf32>, tensor<6x8xf32>) -> tensor<8x6xf32>
    %gb = graph.matmul %1, %3 batch [] x [] contract [0] x [0] : (tensor<8x6xf32>, tensor<8x8xf32>) -> tensor<6x8xf32>
    %5 = graph.mul %4, %1 : tensor<8x6xf32>
    %6 = graph.matmul %5, %a batch [] x [] contract [1] x [1] : (tensor<8x6xf32>, tensor<4x6xf32>) -> tensor<8x4xf32>
    %7 = graph.add %6, %x : tensor<8x4xf32>
    %ga = graph.matmul %7, %5 batch [] x [] contract [0] x [0] : (tensor<8x4xf32>, tensor<8x6xf32>) -> tensor<4x6xf32>
    %na = graph.add %am, %ga : tensor<4x6xf32>
    %nb = graph.add %bm, %gb : tensor<6x8xf32>
    %ua = graph.sub %a, %na : tensor<4x6xf32>
    %ub = graph.sub %b, %nb : tensor<6x8xf32>
    graph.return %ua, %ub, %na, %nb : tensor<4x6xf32>, tensor<6x8xf32>, tensor<4x6xf32>, tensor<6x8xf32>
  }
}
