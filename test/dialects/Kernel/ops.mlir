// RUN: weir-opt %s | FileCheck %s
// RUN: weir-opt %s | weir-opt | FileCheck %s
// RUN: weir-opt %s --mlir-print-op-generic | weir-opt | FileCheck %s

// Every op of the dialect prints as it is written.

// CHECK: #[[$IJ:.*]] = affine_map<(d0, d1) -> (d0, d1)>
// CHECK: #[[$I:.*]] = affine_map<(d0, d1) -> (d0)>
// CHECK: #[[$I0:.*]] = affine_map<(d0) -> (d0, 0)>

// CHECK-LABEL: func.func @generic
func.func @generic(%x: tensor<4x8xf32>, %y: tensor<4x8xf32>) {
  // CHECK: kernel.generic ins(%{{.*}} : tensor<4x8xf32>) maps [#[[$IJ]], #[[$I]]] combiner sum {
  // CHECK-NEXT: ^bb0(%[[E:.*]]: f32):
  // CHECK-NEXT:   kernel.yield %[[E]] : f32
  // CHECK-NEXT: } -> tensor<4xf32>
  %0 = kernel.generic ins(%x : tensor<4x8xf32>)
      maps [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>] combiner sum {
  ^bb0(%e: f32):
    kernel.yield %e : f32
  } -> tensor<4xf32>
  // CHECK: kernel.generic ins(%{{.*}}, %{{.*}} : tensor<4x8xf32>, tensor<4x8xf32>)
  // CHECK-SAME: maps [#[[$IJ]], #[[$IJ]], #[[$IJ]], #[[$IJ]]] attributes {note = "two results"} {
  %1:2 = kernel.generic ins(%x, %y : tensor<4x8xf32>, tensor<4x8xf32>)
      maps [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, j)>,
            affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, j)>]
      attributes {note = "two results"} {
  ^bb0(%a: f32, %b: f32):
    %s = arith.addf %a, %b : f32
    // CHECK: kernel.index 1
    %j = kernel.index 1
    kernel.yield %s, %j : f32, i64
  // CHECK: } -> (tensor<4x8xf32>, tensor<4x8xi64>)
  } -> (tensor<4x8xf32>, tensor<4x8xi64>)
  // No inputs: the result gives the loops' sizes.
  // CHECK: kernel.generic maps [#[[$IJ]]] {
  %2 = kernel.generic maps [affine_map<(i, j) -> (i, j)>] {
    %i = kernel.index 0
    %s = arith.constant 7 : i32
    // CHECK: kernel.random 12345 seed %{{.*}} step %{{.*}} index %{{.*}}
    %w = kernel.random 12345 seed %s step %s index %i
    kernel.yield %w : i32
  } -> tensor<4x8xi32>
  // A constant in an input's map.
  // CHECK: kernel.generic ins(%{{.*}} : tensor<4x8xf32>) maps [#[[$I0]], #{{.*}}] {
  %3 = kernel.generic ins(%x : tensor<4x8xf32>)
      maps [affine_map<(i) -> (i, 0)>, affine_map<(i) -> (i)>] {
  ^bb0(%e: f32):
    kernel.yield %e : f32
  } -> tensor<4xf32>
  return
}

// CHECK-LABEL: func.func @pieces
func.func @pieces(%table: tensor<96x8xf32>, %ids: tensor<4xi32>, %x: tensor<4x6xf32>) {
  // CHECK: kernel.gather %{{.*}}, %{{.*}} : (tensor<96x8xf32>, tensor<4xi32>) -> tensor<4x8xf32>
  %0 = kernel.gather %table, %ids : (tensor<96x8xf32>, tensor<4xi32>) -> tensor<4x8xf32>
  // CHECK: kernel.scatter_add %{{.*}}, %{{.*}} : (tensor<4xi32>, tensor<4x8xf32>) -> tensor<96x8xf32>
  %1 = kernel.scatter_add %ids, %0 : (tensor<4xi32>, tensor<4x8xf32>) -> tensor<96x8xf32>
  // CHECK: kernel.reshape %{{.*}} : (tensor<4x6xf32>) -> tensor<2x2x6xf32>
  %2 = kernel.reshape %x : (tensor<4x6xf32>) -> tensor<2x2x6xf32>
  // CHECK: kernel.transpose %{{.*}} [1, 0] : (tensor<4x6xf32>) -> tensor<6x4xf32>
  %3 = kernel.transpose %x [1, 0] : (tensor<4x6xf32>) -> tensor<6x4xf32>
  // CHECK: kernel.slice %{{.*}} [0, 2] : (tensor<4x6xf32>) -> tensor<4x3xf32>
  %4 = kernel.slice %x [0, 2] : (tensor<4x6xf32>) -> tensor<4x3xf32>
  // CHECK: kernel.concat %{{.*}}, %{{.*}} dim 1 : (tensor<4x6xf32>, tensor<4x3xf32>) -> tensor<4x9xf32>
  %5 = kernel.concat %x, %4 dim 1 : (tensor<4x6xf32>, tensor<4x3xf32>) -> tensor<4x9xf32>
  // CHECK: kernel.constant dense<1.000000e+00> : tensor<8xf32>
  %6 = kernel.constant dense<1.0> : tensor<8xf32>
  return
}

// CHECK: kernel.func @residual ins(%[[X:.*]]: tensor<4x8xf32> strides [8, 1], %[[Y:.*]]: tensor<4x8xf32> strides [16, 1])
// CHECK-SAME: outs(%{{.*}}: tensor<4x8xf32> strides [8, 1] tied 0) chunks 2 attributes {scalars = {{\[}}[4, 0]]} {
kernel.func @residual ins(%x: tensor<4x8xf32> strides [8, 1], %y: tensor<4x8xf32> strides [16, 1])
    outs(%d: tensor<4x8xf32> strides [8, 1] tied 0) chunks 2 attributes {scalars = [[4, 0]]} {
  // CHECK-NEXT: kernel.generic ins(%[[X]], %[[Y]]
  %0 = kernel.generic ins(%x, %y : tensor<4x8xf32>, tensor<4x8xf32>)
      maps [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, j)>] {
  ^bb0(%a: f32, %b: f32):
    %s = arith.addf %a, %b : f32
    kernel.yield %s : f32
  } -> tensor<4x8xf32>
  // CHECK: kernel.yield %{{.*}} : tensor<4x8xf32>
  kernel.yield %0 : tensor<4x8xf32>
}

// CHECK: kernel.func @ones ins() outs(%{{.*}}: tensor<f32> strides [], %{{.*}}: tensor<f32> strides []) chunks 1 {
kernel.func @ones ins() outs(%a: tensor<f32> strides [], %b: tensor<f32> strides []) chunks 1 {
  %0 = kernel.constant dense<1.0> : tensor<f32>
  kernel.yield %0, %0 : tensor<f32>, tensor<f32>
}

// CHECK-LABEL: func.func @program
func.func @program(%x: tensor<4x8xf32>, %a: tensor<4x8xf32>, %b: tensor<8x6xf32>, %z: tensor<4x16xf32>) {
  // CHECK: kernel.empty "h.0.fc" : tensor<4x6xf32>
  %d = kernel.empty "h.0.fc" : tensor<4x6xf32>
  // CHECK: kernel.fill 0.000000e+00 into %{{.*}} : tensor<4x6xf32> -> tensor<4x6xf32>
  %f = kernel.fill 0.0 into %d : tensor<4x6xf32> -> tensor<4x6xf32>
  // CHECK: kernel.contract %{{.*}}, %{{.*}} into %{{.*}} maps [#{{.*}}, #{{.*}}, #{{.*}}] site "h.0.fc" : tensor<4x8xf32>, tensor<8x6xf32>, tensor<4x6xf32> -> tensor<4x6xf32>
  %c = kernel.contract %a, %b into %d
      maps [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>]
      site "h.0.fc" : tensor<4x8xf32>, tensor<8x6xf32>, tensor<4x6xf32> -> tensor<4x6xf32>
  // CHECK: kernel.contract {{.*}} accumulate site "h.0.fc" :
  %e = kernel.contract %a, %b into %f
      maps [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>]
      accumulate site "h.0.fc" : tensor<4x8xf32>, tensor<8x6xf32>, tensor<4x6xf32> -> tensor<4x6xf32>
  // CHECK: kernel.view %{{.*}} offset 8 strides [16, 1] : (tensor<4x16xf32>) -> tensor<4x8xf32>
  %v = kernel.view %z offset 8 strides [16, 1] : (tensor<4x16xf32>) -> tensor<4x8xf32>
  // CHECK: kernel.launch @residual(%{{.*}}, %{{.*}} : tensor<4x8xf32>, tensor<4x8xf32>) into(%{{.*}} : tensor<4x8xf32>) site "h.0.add" -> tensor<4x8xf32>
  %r = kernel.launch @residual(%x, %v : tensor<4x8xf32>, tensor<4x8xf32>) into (%x : tensor<4x8xf32>)
      site "h.0.add" -> tensor<4x8xf32>
  %s = kernel.empty "ones" : tensor<f32>
  // CHECK: kernel.launch @ones() into(%{{.*}}, %{{.*}} : tensor<f32>, tensor<f32>) site "ones" -> tensor<f32>, tensor<f32>
  %o:2 = kernel.launch @ones() into (%s, %s : tensor<f32>, tensor<f32>) site "ones" -> tensor<f32>, tensor<f32>
  return
}
