// SPDX-License-Identifier: Apache-2.0
// A small classifier of images: convolution, pool, convolution in groups, pool,
// a linear layer and cross-entropy. Sizes are odd on purpose.
graph.variable @conv1.weight : tensor<6x3x3x3xf32> kind parameter init <normal, 0.0, 0.3>
graph.variable @conv1.bias : tensor<6xf32> kind parameter init <constant, 0.1>
graph.variable @conv2.weight : tensor<8x3x3x2xf32> kind parameter init <normal, 0.0, 0.3>
graph.variable @fc.weight : tensor<8x2x2x5xf32> kind parameter init <normal, 0.0, 0.3>
graph.variable @fc.bias : tensor<5xf32> kind parameter init <constant, 0.0>

graph.entry @loss(%images: tensor<7x3x11x9xf32> {graph.input = "images"},
                  %labels: tensor<7xi32> {graph.input = "labels"},
                  %w1: tensor<6x3x3x3xf32> {graph.variable = @conv1.weight},
                  %b1: tensor<6xf32> {graph.variable = @conv1.bias},
                  %w2: tensor<8x3x3x2xf32> {graph.variable = @conv2.weight},
                  %w3: tensor<8x2x2x5xf32> {graph.variable = @fc.weight},
                  %b3: tensor<5xf32> {graph.variable = @fc.bias})
    -> (tensor<f32> {graph.output = "loss_sum"}, tensor<f32> {graph.output = "count"}) {
  %0 = graph.conv %images, %w1 strides [1, 1] dilations [1, 1] low [1, 1] high [1, 1] groups 1
      : (tensor<7x3x11x9xf32>, tensor<6x3x3x3xf32>) -> tensor<7x6x11x9xf32>
  %1 = graph.broadcast %b1 [1] : (tensor<6xf32>) -> tensor<7x6x11x9xf32>
  %2 = graph.add %0, %1 : tensor<7x6x11x9xf32>
  %3 = graph.relu %2 : tensor<7x6x11x9xf32>
  %4 = graph.pool max %3 window [3, 3] strides [2, 2] dilations [1, 1] low [1, 1] high [1, 1]
      : (tensor<7x6x11x9xf32>) -> tensor<7x6x6x5xf32>
  %5 = graph.conv %4, %w2 strides [1, 1] dilations [1, 1] low [0, 0] high [0, 0] groups 2
      : (tensor<7x6x6x5xf32>, tensor<8x3x3x2xf32>) -> tensor<7x8x4x4xf32>
  %6 = graph.tanh %5 : tensor<7x8x4x4xf32>
  %7 = graph.pool avg %6 window [2, 2] strides [2, 2] dilations [1, 1] low [0, 0] high [0, 0]
      : (tensor<7x8x4x4xf32>) -> tensor<7x8x2x2xf32>
  %8 = graph.matmul %7, %w3 batch [] x [] contract [1, 2, 3] x [0, 1, 2]
      : (tensor<7x8x2x2xf32>, tensor<8x2x2x5xf32>) -> tensor<7x5xf32>
  %9 = graph.broadcast %b3 [1] : (tensor<5xf32>) -> tensor<7x5xf32>
  %10 = graph.add %8, %9 : tensor<7x5xf32>
  %11, %lse = graph.cross_entropy %10, %labels ignore -100
      : (tensor<7x5xf32>, tensor<7xi32>) -> (tensor<7xf32>, tensor<7xf32>)
  %sum = graph.reduce sum %11 [0] : (tensor<7xf32>) -> tensor<f32>
  %ignore = graph.constant dense<-100> : tensor<7xi32>
  %counted = graph.compare ne %labels, %ignore : tensor<7xi32> -> tensor<7xi1>
  %ones = graph.cast %counted : tensor<7xi1> -> tensor<7xf32>
  %count = graph.reduce sum %ones [0] : (tensor<7xf32>) -> tensor<f32>
  graph.return %sum, %count : tensor<f32>, tensor<f32>
}
