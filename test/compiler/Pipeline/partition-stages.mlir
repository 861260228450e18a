// RUN: weir-opt %s --weir-partition-stages --split-input-file --verify-diagnostics | FileCheck %s

// An entry becomes the program of role 0, with its bindings, its tasks and a
// schedule over the micro-batches.

module attributes {dist.mesh = #dist.mesh<dp=2, mb=3 : time>} {
  graph.variable @w : tensor<4xf32> kind parameter init <constant, 0.0, 0.0>
  // CHECK: pipe.program @train role 0 entry "train" tasks [forward, backward, update]
  // CHECK-SAME: schedule "F0 B0 F1 B1 F2 B2 U"
  // CHECK-SAME: (%{{.*}}: tensor<6xf32> {graph.input = "x"}, %{{.*}}: tensor<4xf32> {graph.variable = @w})
  // CHECK-SAME: -> (tensor<4xf32> {graph.variable = @w})
  graph.entry @train(%x: tensor<6xf32> {graph.input = "x"}, %w: tensor<4xf32> {graph.variable = @w})
      -> (tensor<4xf32> {graph.variable = @w}) {
    // CHECK: dist.micro_batches
    %0 = dist.micro_batches(%w : tensor<4xf32>) -> (tensor<4xf32>) {
    ^bb0(%acc: tensor<4xf32>):
      %1 = graph.exp %acc {graph.task = "forward"} : tensor<4xf32>
      %2 = graph.neg %1 {graph.task = "backward"} : tensor<4xf32>
      dist.yield %2 : tensor<4xf32>
    }
    %3 = graph.exp %0 {graph.task = "update"} : tensor<4xf32>
    // CHECK: pipe.return %{{.*}} : tensor<4xf32>
    graph.return %3 : tensor<4xf32>
  }
  // No loop: one micro-batch. No task named: forward.
  // CHECK: pipe.program @evaluate role 0 entry "evaluate" tasks [forward] schedule "F0"
  graph.entry @evaluate(%w: tensor<4xf32> {graph.variable = @w}) -> (tensor<4xf32> {graph.output = "y"}) {
    %0 = graph.exp %w : tensor<4xf32>
    graph.return %0 : tensor<4xf32>
  }
}

// -----

module attributes {dist.mesh = #dist.mesh<mb=3 : time>} {
  // expected-error@+1 {{expects at most one loop over micro-batches, got 2}}
  graph.entry @f(%x: tensor<4xf32> {graph.input = "x"}) -> (tensor<4xf32> {graph.output = "y"}) {
    // expected-note@+1 {{loop}}
    %0 = dist.micro_batches(%x : tensor<4xf32>) -> (tensor<4xf32>) {
    ^bb0(%acc: tensor<4xf32>):
      dist.yield %acc : tensor<4xf32>
    }
    // expected-note@+1 {{loop}}
    %1 = dist.micro_batches(%0 : tensor<4xf32>) -> (tensor<4xf32>) {
    ^bb0(%acc: tensor<4xf32>):
      dist.yield %acc : tensor<4xf32>
    }
    graph.return %1 : tensor<4xf32>
  }
}
