// RUN: weir-opt %s | FileCheck %s
// RUN: weir-opt %s | weir-opt | FileCheck %s
// RUN: weir-opt %s --mlir-print-op-generic | weir-opt | FileCheck %s

// Programs print as they are written.

graph.variable @w : tensor<4xf32> kind parameter init <constant, 0.0, 0.0>

// CHECK: pipe.program @train role 0 entry "train" tasks [forward, backward, update] schedule "F0 B0 F1 B1 U"
// CHECK-SAME: (%[[X:.*]]: tensor<4xf32> {graph.input = "x"}, %[[W:.*]]: tensor<4xf32> {graph.variable = @w})
// CHECK-SAME: -> (tensor<4xf32> {graph.variable = @w}, tensor<4xf32> {graph.output = "y"})
// CHECK-SAME: attributes {note = "kept"} {
// CHECK-NEXT: pipe.return %[[W]], %[[X]] : tensor<4xf32>, tensor<4xf32>
pipe.program @train role 0 entry "train" tasks [forward, backward, update] schedule "F0 B0 F1 B1 U"
    (%x: tensor<4xf32> {graph.input = "x"}, %w: tensor<4xf32> {graph.variable = @w})
    -> (tensor<4xf32> {graph.variable = @w}, tensor<4xf32> {graph.output = "y"})
    attributes {note = "kept"} {
  pipe.return %w, %x : tensor<4xf32>, tensor<4xf32>
}

// CHECK: pipe.program @forward role 1 entry "forward" tasks [forward] schedule "F0" ()
pipe.program @forward role 1 entry "forward" tasks [forward] schedule "F0" () {
  pipe.return
}
