// RUN: weir-opt %s | FileCheck %s
// RUN: weir-opt %s | weir-opt | FileCheck %s
// RUN: weir-opt %s --mlir-print-op-generic | weir-opt | FileCheck %s

// Ops that read by index print as they parse.
// CHECK-LABEL: graph.entry @f(
graph.entry @f(%x: tensor<4x6xf32> {graph.input = "x"},
               %c: tensor<4x6x8xf32> {graph.input = "c"},
               %i: tensor<3xi32> {graph.input = "i"},
               %j: tensor<4x2xi32> {graph.input = "j"},
               %a: tensor<2x4x8x8xf32> {graph.input = "a"},
               %w: tensor<6x2x3x3xf32> {graph.input = "w"})
    -> (tensor<4x6xf32> {graph.output = "y"}) {
  // CHECK: graph.pad %{{.*}} low [0, 1] value 5.000000e-01 : (tensor<4x6xf32>) -> tensor<4x9xf32>
  %0 = graph.pad %x low [0, 1] value 0.5 : (tensor<4x6xf32>) -> tensor<4x9xf32>
  // CHECK: graph.reduce prod %{{.*}} [1] : (tensor<4x6xf32>) -> tensor<4xf32>
  %1 = graph.reduce prod %x [1] : (tensor<4x6xf32>) -> tensor<4xf32>
  // CHECK: graph.cumsum %{{.*}} dim 1 : (tensor<4x6xf32>) -> tensor<4x6xf32>
  %2 = graph.cumsum %x dim 1 : (tensor<4x6xf32>) -> tensor<4x6xf32>
  // CHECK: graph.cumsum %{{.*}} dim 0 reverse exclusive : (tensor<4x6xf32>) -> tensor<4x6xf32>
  %3 = graph.cumsum %2 dim 0 reverse exclusive : (tensor<4x6xf32>) -> tensor<4x6xf32>
  // CHECK: graph.cumprod %{{.*}} dim 0 exclusive : (tensor<4x6xf32>) -> tensor<4x6xf32>
  %4 = graph.cumprod %3 dim 0 exclusive : (tensor<4x6xf32>) -> tensor<4x6xf32>
  // CHECK: graph.sort %{{.*}} dim 1 descending : (tensor<4x6xf32>) -> (tensor<4x6xf32>, tensor<4x6xi32>)
  %5, %6 = graph.sort %4 dim 1 descending : (tensor<4x6xf32>) -> (tensor<4x6xf32>, tensor<4x6xi32>)
  // CHECK: graph.top_k %{{.*}} dim 1 : (tensor<4x6xf32>) -> (tensor<4x2xf32>, tensor<4x2xi64>)
  %7, %8 = graph.top_k %x dim 1 : (tensor<4x6xf32>) -> (tensor<4x2xf32>, tensor<4x2xi64>)
  // CHECK: graph.take %{{.*}}, %{{.*}} dim 1 : (tensor<4x6x8xf32>, tensor<3xi32>) -> tensor<4x3x8xf32>
  %9 = graph.take %c, %i dim 1 : (tensor<4x6x8xf32>, tensor<3xi32>) -> tensor<4x3x8xf32>
  // CHECK: graph.take_along %{{.*}}, %{{.*}} dim 1 : (tensor<4x6xf32>, tensor<4x2xi32>) -> tensor<4x2xf32>
  %10 = graph.take_along %x, %j dim 1 : (tensor<4x6xf32>, tensor<4x2xi32>) -> tensor<4x2xf32>
  // CHECK: graph.scatter_add %{{.*}}, %{{.*}} dim 1 : (tensor<3xi32>, tensor<4x3x8xf32>) -> tensor<4x6x8xf32>
  %11 = graph.scatter_add %i, %9 dim 1 : (tensor<3xi32>, tensor<4x3x8xf32>) -> tensor<4x6x8xf32>
  // CHECK: graph.scatter_add %{{.*}}, %{{.*}} dim 1 along : (tensor<4x2xi32>, tensor<4x2xf32>) -> tensor<4x6xf32>
  %12 = graph.scatter_add %j, %10 dim 1 along : (tensor<4x2xi32>, tensor<4x2xf32>) -> tensor<4x6xf32>
  // CHECK: graph.window %{{.*}} dims [1] strides [2] dilations [1] low [1] value 0.000000e+00 : (tensor<4x6xf32>) -> tensor<4x3x3xf32>
  %13 = graph.window %x dims [1] strides [2] dilations [1] low [1] value 0.0
      : (tensor<4x6xf32>) -> tensor<4x3x3xf32>
  // CHECK: graph.fold %{{.*}} dims [1] strides [2] dilations [1] low [1] : (tensor<4x3x3xf32>) -> tensor<4x6xf32>
  %14 = graph.fold %13 dims [1] strides [2] dilations [1] low [1]
      : (tensor<4x3x3xf32>) -> tensor<4x6xf32>
  // CHECK: graph.conv %{{.*}}, %{{.*}} strides [1, 1] dilations [1, 1] low [1, 1] high [1, 1] groups 2 : (tensor<2x4x8x8xf32>, tensor<6x2x3x3xf32>) -> tensor<2x6x8x8xf32>
  %15 = graph.conv %a, %w strides [1, 1] dilations [1, 1] low [1, 1] high [1, 1] groups 2
      : (tensor<2x4x8x8xf32>, tensor<6x2x3x3xf32>) -> tensor<2x6x8x8xf32>
  // CHECK: graph.pool max %{{.*}} window [2, 2] strides [2, 2] dilations [1, 1] low [0, 0] high [0, 0] : (tensor<2x6x8x8xf32>) -> tensor<2x6x4x4xf32>
  %16 = graph.pool max %15 window [2, 2] strides [2, 2] dilations [1, 1] low [0, 0] high [0, 0]
      : (tensor<2x6x8x8xf32>) -> tensor<2x6x4x4xf32>
  // CHECK: graph.pool avg %{{.*}} window [3, 3] strides [1, 1] dilations [1, 1] low [1, 1] high [1, 1] exclude_padding : (tensor<2x6x4x4xf32>) -> tensor<2x6x4x4xf32>
  %17 = graph.pool avg %16 window [3, 3] strides [1, 1] dilations [1, 1] low [1, 1] high [1, 1] exclude_padding
      : (tensor<2x6x4x4xf32>) -> tensor<2x6x4x4xf32>
  graph.return %14 : tensor<4x6xf32>
}
