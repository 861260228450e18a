// SPDX-License-Identifier: Apache-2.0
// RUN: weir-opt %s --weir-fuse-collectives --split-input-file | FileCheck %s
// RUN: weir-opt %s --weir-fuse-collectives=bucket-bytes=0 --split-input-file | FileCheck %s --check-prefix=NONE

// An all-reduce of which only slices are read is a reduce-scatter.
// CHECK-LABEL: graph.entry @slice
// CHECK: %[[S:.*]] = dist.reduce_scatter %{{.*}} {axes = array<i64: 0>, dim = 0 : i64, reduction = #dist<reduction sum>}
// CHECK-NOT: dist.local_slice
// CHECK: graph.exp %[[S]] : tensor<3xf32, #dist.shard<[5:0]>>
module attributes {dist.mesh = #dist.mesh<dp=2, tp=2>} {
  graph.entry @slice(%x: tensor<5xf32> {graph.input = "x"}) -> (tensor<3xf32, #dist.shard<[5:0]>> {graph.output = "r0"}) {
    %0 = dist.all_reduce %x {axes = array<i64: 0>, reduction = #dist<reduction sum>} : (tensor<5xf32>) -> tensor<5xf32>
    %1 = dist.local_slice %0 {axes = array<i64: 0>, dim = 0 : i64} : (tensor<5xf32>) -> tensor<3xf32, #dist.shard<[5:0]>>
    %2 = graph.exp %1 : tensor<3xf32, #dist.shard<[5:0]>>
    graph.return %2 : tensor<3xf32, #dist.shard<[5:0]>>
  }

  // Behind elementwise ops too, which then work on shards; another operand is
  // sliced. Axes that do not slice reduce the shard.
  // CHECK-LABEL: graph.entry @chain
  // CHECK-DAG: %[[R:.*]] = dist.reduce_scatter %arg0 {axes = array<i64: 0>
  // CHECK-DAG: %[[A:.*]] = dist.all_reduce %[[R]] {axes = array<i64: 1>
  // CHECK-DAG: %[[L:.*]] = dist.local_slice %arg1 {axes = array<i64: 0>, dim = 0 : i64}
  // CHECK: %[[M:.*]] = graph.mul %[[A]], %[[L]] : tensor<3xf32, #dist.shard<[5:0]>>
  // CHECK: %[[T:.*]] = graph.tanh %[[M]] : tensor<3xf32, #dist.shard<[5:0]>>
  // CHECK: graph.return %[[T]]
  graph.entry @chain(%x: tensor<5xf32> {graph.input = "x"}, %y: tensor<5xf32> {graph.input = "y"}) -> (tensor<3xf32, #dist.shard<[5:0]>> {graph.output = "r0"}) {
    %0 = dist.all_reduce %x {axes = array<i64: 0, 1>, reduction = #dist<reduction sum>} : (tensor<5xf32>) -> tensor<5xf32>
    %1 = graph.mul %0, %y : tensor<5xf32>
    %2 = graph.tanh %1 : tensor<5xf32>
    %3 = dist.local_slice %2 {axes = array<i64: 0>, dim = 0 : i64} : (tensor<5xf32>) -> tensor<3xf32, #dist.shard<[5:0]>>
    graph.return %3 : tensor<3xf32, #dist.shard<[5:0]>>
  }

  // Not where the whole is read as well.
  // CHECK-LABEL: graph.entry @whole
  // CHECK: dist.all_reduce
  // CHECK: dist.local_slice
  graph.entry @whole(%x: tensor<5xf32> {graph.input = "x"}) -> (tensor<3xf32, #dist.shard<[5:0]>> {graph.output = "r0"}, tensor<5xf32> {graph.output = "r1"}) {
    %0 = dist.all_reduce %x {axes = array<i64: 0>, reduction = #dist<reduction sum>} : (tensor<5xf32>) -> tensor<5xf32>
    %1 = dist.local_slice %0 {axes = array<i64: 0>, dim = 0 : i64} : (tensor<5xf32>) -> tensor<3xf32, #dist.shard<[5:0]>>
    graph.return %1, %0 : tensor<3xf32, #dist.shard<[5:0]>>, tensor<5xf32>
  }

  // Nor where a slice is over an axis that is not reduced: it stays as it is.
  // CHECK-LABEL: graph.entry @other_axis
  // CHECK: dist.all_reduce %{{.*}} {axes = array<i64: 0>
  // CHECK: dist.local_slice
  graph.entry @other_axis(%x: tensor<5xf32> {graph.input = "x"}) -> (tensor<3xf32, #dist.shard<[5:1]>> {graph.output = "r0"}) {
    %0 = dist.all_reduce %x {axes = array<i64: 0>, reduction = #dist<reduction sum>} : (tensor<5xf32>) -> tensor<5xf32>
    %1 = dist.local_slice %0 {axes = array<i64: 1>, dim = 0 : i64} : (tensor<5xf32>) -> tensor<3xf32, #dist.shard<[5:1]>>
    graph.return %1 : tensor<3xf32, #dist.shard<[5:1]>>
  }

  // A slice of what was gathered alike is the shard; a sum that is scattered
  // only to be gathered is an all-reduce.
  // CHECK-LABEL: graph.entry @cleanups
  // CHECK-NOT: all_gather
  // CHECK: %[[A:.*]] = dist.all_reduce %arg1 {axes = array<i64: 0>, reduction = #dist<reduction max>}
  // CHECK: graph.return %arg0, %[[A]]
  graph.entry @cleanups(%x: tensor<3xf32, #dist.shard<[5:0]>> {graph.input = "x"}, %y: tensor<5xf32> {graph.input = "y"})
      -> (tensor<3xf32, #dist.shard<[5:0]>> {graph.output = "r0"}, tensor<5xf32> {graph.output = "r1"}) {
    %0 = dist.all_gather %x {axes = array<i64: 0>, dim = 0 : i64} : (tensor<3xf32, #dist.shard<[5:0]>>) -> tensor<5xf32>
    %1 = dist.local_slice %0 {axes = array<i64: 0>, dim = 0 : i64} : (tensor<5xf32>) -> tensor<3xf32, #dist.shard<[5:0]>>
    %2 = dist.reduce_scatter %y {axes = array<i64: 0>, dim = 0 : i64, reduction = #dist<reduction max>} : (tensor<5xf32>) -> tensor<3xf32, #dist.shard<[5:0]>>
    %3 = dist.all_gather %2 {axes = array<i64: 0>, dim = 0 : i64} : (tensor<3xf32, #dist.shard<[5:0]>>) -> tensor<5xf32>
    graph.return %1, %3 : tensor<3xf32, #dist.shard<[5:0]>>, tensor<5xf32>
  }
}

// -----

// Sums that stand together become one of several tensors, behind the last
// operand; one over another axis, one by another reduction and a large one stay
// alone. Each starts where its operand is made.
// CHECK-LABEL: graph.entry @buckets
// CHECK: dist.all_reduce %arg1 {{.*}} : (tensor<1024x1024xf32>) -> tensor<1024x1024xf32>
// CHECK: %[[A:.*]] = graph.exp %arg0
// CHECK: %[[M:.*]] = dist.all_reduce %[[A]] {axes = array<i64: 0>, reduction = #dist<reduction max>}
// CHECK: %[[T:.*]] = dist.all_reduce %[[A]] {axes = array<i64: 1>, reduction = #dist<reduction sum>}
// CHECK: %[[B:.*]] = graph.tanh %[[A]]
// CHECK: %[[S:.*]]:2 = dist.all_reduce %[[A]], %[[B]] {axes = array<i64: 0>, reduction = #dist<reduction sum>} : (tensor<4xf32>, tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>)
// CHECK: graph.add %[[S]]#0, %[[S]]#1
// NONE-LABEL: graph.entry @buckets
// NONE-COUNT-5: dist.all_reduce
module attributes {dist.mesh = #dist.mesh<dp=2, tp=2>} {
  graph.entry @buckets(%x: tensor<4xf32> {graph.input = "x"}, %l: tensor<1024x1024xf32> {graph.input = "l"})
      -> (tensor<4xf32> {graph.output = "r0"}, tensor<4xf32> {graph.output = "r1"}, tensor<4xf32> {graph.output = "r2"}, tensor<1024x1024xf32> {graph.output = "r3"}) {
    %a = graph.exp %x : tensor<4xf32>
    %b = graph.tanh %a : tensor<4xf32>
    %0 = dist.all_reduce %a {axes = array<i64: 0>, reduction = #dist<reduction sum>} : (tensor<4xf32>) -> tensor<4xf32>
    %1 = dist.all_reduce %a {axes = array<i64: 0>, reduction = #dist<reduction max>} : (tensor<4xf32>) -> tensor<4xf32>
    %2 = dist.all_reduce %a {axes = array<i64: 1>, reduction = #dist<reduction sum>} : (tensor<4xf32>) -> tensor<4xf32>
    %3 = dist.all_reduce %b {axes = array<i64: 0>, reduction = #dist<reduction sum>} : (tensor<4xf32>) -> tensor<4xf32>
    %4 = dist.all_reduce %l {axes = array<i64: 0>, reduction = #dist<reduction sum>} : (tensor<1024x1024xf32>) -> tensor<1024x1024xf32>
    %5 = graph.add %0, %3 : tensor<4xf32>
    graph.return %5, %1, %2, %4 : tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<1024x1024xf32>
  }

  // One that depends on another does not join it.
  // CHECK-LABEL: graph.entry @dependent
  // CHECK: %[[A:.*]] = dist.all_reduce
  // CHECK: %[[E:.*]] = graph.exp %[[A]]
  // CHECK: dist.all_reduce %[[E]]
  graph.entry @dependent(%x: tensor<4xf32> {graph.input = "x"}) -> (tensor<4xf32> {graph.output = "r0"}) {
    %0 = dist.all_reduce %x {axes = array<i64: 0>, reduction = #dist<reduction sum>} : (tensor<4xf32>) -> tensor<4xf32>
    %1 = graph.exp %0 : tensor<4xf32>
    %2 = dist.all_reduce %1 {axes = array<i64: 0>, reduction = #dist<reduction sum>} : (tensor<4xf32>) -> tensor<4xf32>
    graph.return %2 : tensor<4xf32>
  }
}

// -----

// A gather of a variable comes one layer ahead of its use and no further.
// NONE-LABEL: graph.entry @layers
// NONE: %[[G0:.*]] = dist.all_gather %arg1
// NONE: %[[G1:.*]] = dist.all_gather %arg2
// NONE: graph.matmul %{{.*}}, %[[G0]]
// NONE: %[[G2:.*]] = dist.all_gather %arg3
// NONE: graph.matmul %{{.*}}, %[[G1]]
// NONE: graph.matmul %{{.*}}, %[[G2]]
module attributes {dist.mesh = #dist.mesh<dp=2>} {
  graph.entry @layers(%x: tensor<4x4xf32> {graph.input = "x"}, %w0: tensor<2x4xf32, #dist.shard<[4:0, 4]>> {graph.input = "w0"},
                      %w1: tensor<2x4xf32, #dist.shard<[4:0, 4]>> {graph.input = "w1"}, %w2: tensor<2x4xf32, #dist.shard<[4:0, 4]>> {graph.input = "w2"})
      -> (tensor<4x4xf32> {graph.output = "r0"}) {
    %g0 = dist.all_gather %w0 {axes = array<i64: 0>, dim = 0 : i64} : (tensor<2x4xf32, #dist.shard<[4:0, 4]>>) -> tensor<4x4xf32>
    %0 = graph.matmul %x, %g0 batch [] x [] contract [1] x [0] : (tensor<4x4xf32>, tensor<4x4xf32>) -> tensor<4x4xf32> loc("h.0.fc")
    %1 = graph.exp %0 : tensor<4x4xf32>
    %g1 = dist.all_gather %w1 {axes = array<i64: 0>, dim = 0 : i64} : (tensor<2x4xf32, #dist.shard<[4:0, 4]>>) -> tensor<4x4xf32>
    %2 = graph.matmul %1, %g1 batch [] x [] contract [1] x [0] : (tensor<4x4xf32>, tensor<4x4xf32>) -> tensor<4x4xf32> loc("h.1.fc")
    %3 = graph.exp %2 : tensor<4x4xf32>
    %g2 = dist.all_gather %w2 {axes = array<i64: 0>, dim = 0 : i64} : (tensor<2x4xf32, #dist.shard<[4:0, 4]>>) -> tensor<4x4xf32>
    %4 = graph.matmul %3, %g2 batch [] x [] contract [1] x [0] : (tensor<4x4xf32>, tensor<4x4xf32>) -> tensor<4x4xf32> loc("h.2.fc")
    graph.return %4 : tensor<4x4xf32>
  }
}
