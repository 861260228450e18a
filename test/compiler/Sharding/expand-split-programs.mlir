// SPDX-License-Identifier: Apache-2.0
// RUN: split-file %s %t
// RUN: weir-opt %t/chosen.mlir --weir-propagate-layouts --weir-verify-layouts | FileCheck %t/chosen.mlir
// RUN: weir-opt %t/given.mlir --weir-verify-layouts --weir-materialize-reshards --weir-lower-reshards --weir-localize --weir-expand-split-programs | FileCheck %t/given.mlir
// RUN: not weir-opt %t/unknown.mlir --weir-verify-layouts 2>&1 | FileCheck %t/unknown.mlir
// RUN: not weir-opt %t/plain.mlir --weir-verify-layouts 2>&1 | FileCheck %t/plain.mlir
// RUN: not weir-opt %t/time.mlir --weir-expand-split-programs 2>&1 | FileCheck %t/time.mlir
// RUN: not weir-opt %t/axis.mlir 2>&1 | FileCheck %t/axis.mlir

// Programs are decided by cost, verified against what the op offers, and
// expanded to local ops and collectives in the op's place.

//--- chosen.mlir

// Logits that a split head makes stay split by classes: messages of a number for
// each position, not the logits, cross the axis.
// CHECK-LABEL: graph.entry @loss
// CHECK: graph.cross_entropy
// CHECK-SAME: dist.programs = {tp = "split_classes"}
// CHECK-SAME: dist.signature = #dist.signature<([S(2)], [B]) -> ([B], [B])>
module attributes {dist.mesh = #dist.mesh<tp=2>} {
  graph.variable @head : tensor<64x5000xf32> kind parameter init <normal, 0.0, 0.02> {dist.layout = #dist.layout<[S(1)]>}
  graph.entry @loss(%x: tensor<2x64x64xf32> {graph.input = "x"}, %labels: tensor<2x64xi32> {graph.input = "labels"},
                    %w: tensor<64x5000xf32> {graph.variable = @head}) -> (tensor<f32> {graph.output = "loss"}) {
    %logits = graph.matmul %x, %w batch [] x [] contract [2] x [0] : (tensor<2x64x64xf32>, tensor<64x5000xf32>) -> tensor<2x64x5000xf32>
    %loss, %lse = graph.cross_entropy %logits, %labels ignore -100 : (tensor<2x64x5000xf32>, tensor<2x64xi32>) -> (tensor<2x64xf32>, tensor<2x64xf32>)
    %sum = graph.reduce sum %loss [0, 1] : (tensor<2x64xf32>) -> tensor<f32>
    graph.return %sum : tensor<f32>
  }
}

//--- given.mlir

// The ring of three: own keys and values, then twice those of the next
// coordinate; rows are weighed by their sums of exponentials.
// CHECK-LABEL: graph.entry @ring
// CHECK: %[[O:.*]], %{{.*}} = graph.attention %[[Q:.*]], %[[K:.*]], %[[V:.*]] scale
// CHECK-SAME: tensor<1x3x1x1x4xf32, #dist.shard<[1, 7:0, 1, 1, 4]>>, tensor<1x3x1x4xf32, #dist.shard<[1, 7:0, 1, 4]>>
// CHECK: %[[K1:.*]] = dist.exchange {{.*}} -> tensor<1x3x1x4xf32, #dist.shard<[1, 7:0 shift 1, 1, 4]>>
// CHECK: %[[V1:.*]] = dist.exchange
// CHECK: graph.attention %[[Q]], %[[K1]], %[[V1]] scale
// CHECK: graph.exp
// CHECK: dist.exchange %[[K1]] {{.*}}shift 1{{.*}} -> {{.*}}shift 2
// CHECK: graph.attention %[[Q]]
// CHECK-NOT: dist.exchange
// CHECK-NOT: dist.programs
// CHECK: graph.return
module attributes {dist.mesh = #dist.mesh<cp=3>} {
  graph.entry @ring(%q: tensor<1x7x1x1x4xf32> {graph.input = "q", dist.layout = #dist.layout<[B]>},
                    %k: tensor<1x7x1x4xf32> {graph.input = "k", dist.layout = #dist.layout<[B]>},
                    %v: tensor<1x7x1x4xf32> {graph.input = "v", dist.layout = #dist.layout<[B]>})
      -> (tensor<1x7x1x1x4xf32> {graph.output = "o", dist.layout = #dist.layout<[B]>}) {
    %o, %lse = graph.attention %q, %k, %v scale 0.5 causal {dist.programs = {cp = "ring"}, dist.signature = #dist.signature<([S(1)], [S(1)], [S(1)]) -> ([S(1)], [S(3)])>}
        : (tensor<1x7x1x1x4xf32>, tensor<1x7x1x4xf32>, tensor<1x7x1x4xf32>) -> (tensor<1x7x1x1x4xf32>, tensor<1x1x1x7xf32>)
    graph.return %o : tensor<1x7x1x1x4xf32>
  }
}

//--- unknown.mlir

// CHECK: expects a sound signature of 'graph.softmax' on mesh axis 'tp' of size 2, got S(1) -> S(1) by 'ring'
module attributes {dist.mesh = #dist.mesh<tp=2>} {
  graph.entry @main(%x: tensor<4x6xf32> {graph.input = "x", dist.layout = #dist.layout<[B]>})
      -> (tensor<4x6xf32> {graph.output = "y", dist.layout = #dist.layout<[B]>}) {
    %y = graph.softmax %x {dist.programs = {tp = "ring"}, dist.signature = #dist.signature<([S(1)]) -> ([S(1)])>} : tensor<4x6xf32>
    graph.return %y : tensor<4x6xf32>
  }
}

//--- plain.mlir

// The layouts of a program without it are not sound.
// CHECK: expects a sound signature of 'graph.softmax' on mesh axis 'tp' of size 2, got S(1) -> S(1)
module attributes {dist.mesh = #dist.mesh<tp=2>} {
  graph.entry @main(%x: tensor<4x6xf32> {graph.input = "x", dist.layout = #dist.layout<[B]>})
      -> (tensor<4x6xf32> {graph.output = "y", dist.layout = #dist.layout<[B]>}) {
    %y = graph.softmax %x {dist.signature = #dist.signature<([S(1)]) -> ([S(1)])>} : tensor<4x6xf32>
    graph.return %y : tensor<4x6xf32>
  }
}

//--- time.mlir

// CHECK: expects no split program of 'graph.softmax' on time axis 'mb', got 'split_classes'
module attributes {dist.mesh = #dist.mesh<mb=2 : time>} {
  graph.entry @main(%x: tensor<4x6xf32> {graph.input = "x"}) -> (tensor<4x6xf32> {graph.output = "y"}) {
    %y = graph.softmax %x {dist.programs = {mb = "split_classes"}} : tensor<4x6xf32>
    graph.return %y : tensor<4x6xf32>
  }
}

//--- axis.mlir

// CHECK: expects 'dist.programs' by axes of the mesh, got 'cp'
module attributes {dist.mesh = #dist.mesh<tp=2>} {
  graph.entry @main(%x: tensor<4x6xf32> {graph.input = "x"}) -> (tensor<4x6xf32> {graph.output = "y"}) {
    %y = graph.softmax %x {dist.programs = {cp = "split_classes"}} : tensor<4x6xf32>
    graph.return %y : tensor<4x6xf32>
  }
}
