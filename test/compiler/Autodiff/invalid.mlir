// SPDX-License-Identifier: Apache-2.0
// RUN: weir-opt %s --weir-build-train-entry --split-input-file --verify-diagnostics

// What cannot be trained is refused under the user's names.

// expected-error@below {{expects an entry 'loss' to train: results 'loss_sum' and 'count'}}
module {
  graph.variable @w : tensor<4xf32> kind parameter init <constant, 0.0>
}

// -----

graph.variable @w : tensor<4xf32> kind parameter init <constant, 0.0>
// expected-error@below {{expects the result 'count'}}
graph.entry @loss(%w: tensor<4xf32> {graph.variable = @w})
    -> (tensor<f32> {graph.output = "loss_sum"}) {
  %0 = graph.reduce sum %w [0] : (tensor<4xf32>) -> tensor<f32>
  graph.return %0 : tensor<f32>
}

// -----

graph.variable @w : tensor<4xf32> kind parameter init <constant, 0.0>
// expected-error@below {{expects result 'loss_sum' to be tensor<f32>, got 'tensor<4xf32>'}}
graph.entry @loss(%w: tensor<4xf32> {graph.variable = @w})
    -> (tensor<4xf32> {graph.output = "loss_sum"}, tensor<f32> {graph.output = "count"}) {
  %0 = graph.constant dense<1.0> : tensor<f32>
  graph.return %w, %0 : tensor<4xf32>, tensor<f32>
}

// -----

graph.variable @w : tensor<4xf32> kind parameter init <constant, 0.0>
// expected-note@below {{defined here}}
graph.variable @train : tensor<4xf32> kind parameter init <constant, 0.0>
// expected-error@below {{cannot become 'train': that symbol exists}}
graph.entry @loss(%w: tensor<4xf32> {graph.variable = @w})
    -> (tensor<f32> {graph.output = "loss_sum"}, tensor<f32> {graph.output = "count"}) {
  %0 = graph.reduce sum %w [0] : (tensor<4xf32>) -> tensor<f32>
  graph.return %0, %0 : tensor<f32>, tensor<f32>
}

// -----

// expected-warning@below {{parameter 'w' does not influence the loss: it is not updated}}
graph.variable @w : tensor<4xf32> kind parameter init <constant, 0.0>
// expected-error@below {{expects a loss that depends on a parameter; there is nothing to train}}
graph.entry @loss(%w: tensor<4xf32> {graph.variable = @w})
    -> (tensor<f32> {graph.output = "loss_sum"}, tensor<f32> {graph.output = "count"}) {
  %0 = graph.constant dense<1.0> : tensor<f32>
  graph.return %0, %0 : tensor<f32>, tensor<f32>
}

// -----

graph.variable @w : tensor<4xf32> kind parameter init <constant, 0.0>
graph.entry @loss(%w: tensor<4xf32> {graph.variable = @w}, %x: tensor<3x4xf32> {graph.input = "x"})
    -> (tensor<f32> {graph.output = "loss_sum"}, tensor<f32> {graph.output = "count"}) {
  // expected-error@below {{'graph.rms_norm' op expects only its first result to be differentiated; the loss depends on result 1}}
  %y, %rstd = graph.rms_norm %x, %w epsilon 1.0e-5
      : (tensor<3x4xf32>, tensor<4xf32>) -> (tensor<3x4xf32>, tensor<3xf32>)
  %0 = graph.reduce sum %rstd [0] : (tensor<3xf32>) -> tensor<f32>
  %1 = graph.constant dense<1.0> : tensor<f32>
  graph.return %0, %1 : tensor<f32>, tensor<f32>
}

// -----

graph.variable @w : tensor<3x4xf32> kind parameter init <constant, 0.0>
graph.entry @loss(%w: tensor<3x4xf32> {graph.variable = @w},
                  %labels: tensor<3xi32> {graph.input = "labels"},
                  %rows: tensor<3xf32> {graph.input = "rows"})
    -> (tensor<f32> {graph.output = "loss_sum"}, tensor<f32> {graph.output = "count"}) {
  // expected-error@below {{'graph.cross_entropy_grad' op cannot be differentiated: it is a gradient, and second derivatives are not supported}}
  %y = graph.cross_entropy_grad %w, %labels, %rows, %rows ignore -100
      : (tensor<3x4xf32>, tensor<3xi32>, tensor<3xf32>, tensor<3xf32>) -> tensor<3x4xf32>
  %0 = graph.reduce sum %y [0, 1] : (tensor<3x4xf32>) -> tensor<f32>
  %1 = graph.constant dense<1.0> : tensor<f32>
  graph.return %0, %1 : tensor<f32>, tensor<f32>
}
