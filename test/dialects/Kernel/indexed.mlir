// RUN: weir-opt %s | FileCheck %s
// RUN: weir-opt %s | weir-opt | FileCheck %s
// RUN: weir-opt %s --mlir-print-op-generic | weir-opt | FileCheck %s

// Pieces that go by index or walk along a dimension print as they parse.
// CHECK-LABEL: kernel.func @f
kernel.func @f ins(%x: tensor<4x6xf32> strides [6, 1], %c: tensor<4x6x8xf32> strides [48, 8, 1],
                   %i: tensor<3xi32> strides [1], %j: tensor<4x2xi64> strides [2, 1])
    outs(%d: tensor<4x6xf32> strides [6, 1]) chunks 1 {
  // CHECK: kernel.take %{{.*}}, %{{.*}} dim 1 : (tensor<4x6x8xf32>, tensor<3xi32>) -> tensor<4x3x8xf32>
  %0 = kernel.take %c, %i dim 1 : (tensor<4x6x8xf32>, tensor<3xi32>) -> tensor<4x3x8xf32>
  // CHECK: kernel.take %{{.*}}, %{{.*}} dim 1 along : (tensor<4x6xf32>, tensor<4x2xi64>) -> tensor<4x2xf32>
  %1 = kernel.take %x, %j dim 1 along : (tensor<4x6xf32>, tensor<4x2xi64>) -> tensor<4x2xf32>
  // CHECK: kernel.put_add %{{.*}}, %{{.*}} dim 1 : (tensor<3xi32>, tensor<4x3x8xf32>) -> tensor<4x6x8xf32>
  %2 = kernel.put_add %i, %0 dim 1 : (tensor<3xi32>, tensor<4x3x8xf32>) -> tensor<4x6x8xf32>
  // CHECK: kernel.put_add %{{.*}}, %{{.*}} dim 1 along : (tensor<4x2xi64>, tensor<4x2xf32>) -> tensor<4x6xf32>
  %3 = kernel.put_add %j, %1 dim 1 along : (tensor<4x2xi64>, tensor<4x2xf32>) -> tensor<4x6xf32>
  // CHECK: kernel.scan sum %{{.*}} dim 1 : (tensor<4x6xf32>) -> tensor<4x6xf32>
  %4 = kernel.scan sum %3 dim 1 : (tensor<4x6xf32>) -> tensor<4x6xf32>
  // CHECK: kernel.scan prod %{{.*}} dim 0 reverse exclusive : (tensor<4x6xf32>) -> tensor<4x6xf32>
  %5 = kernel.scan prod %4 dim 0 reverse exclusive : (tensor<4x6xf32>) -> tensor<4x6xf32>
  // CHECK: kernel.sort %{{.*}} dim 0 descending : (tensor<4x6xf32>) -> (tensor<4x6xf32>, tensor<4x6xi32>)
  %6, %7 = kernel.sort %5 dim 0 descending : (tensor<4x6xf32>) -> (tensor<4x6xf32>, tensor<4x6xi32>)
  // CHECK: combiner prod
  %8 = kernel.generic ins(%6 : tensor<4x6xf32>)
      maps [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>] combiner prod {
  ^bb0(%e: f32):
    kernel.yield %e : f32
  } -> tensor<4xf32>
  kernel.yield %6 : tensor<4x6xf32>
}
