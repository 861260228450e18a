// RUN: weir-opt %s --canonicalize | FileCheck %s

// Identities vanish, splats fold; nothing else is computed at compile time.

// CHECK-LABEL: func.func @identities(
// CHECK-SAME: %[[X:.*]]: tensor<4x6xf32>
func.func @identities(%x: tensor<4x6xf32>) -> tensor<4x6xf32> {
  // CHECK-NEXT: return %[[X]]
  %0 = graph.reshape %x : (tensor<4x6xf32>) -> tensor<4x6xf32>
  %1 = graph.transpose %0 [0, 1] : (tensor<4x6xf32>) -> tensor<4x6xf32>
  %2 = graph.slice %1 [0, 0] : (tensor<4x6xf32>) -> tensor<4x6xf32>
  %3 = graph.broadcast %2 [0, 1] : (tensor<4x6xf32>) -> tensor<4x6xf32>
  %4 = graph.cast %3 : tensor<4x6xf32> -> tensor<4x6xf32>
  %5 = graph.reduce sum %4 [] : (tensor<4x6xf32>) -> tensor<4x6xf32>
  return %5 : tensor<4x6xf32>
}

// CHECK-LABEL: func.func @neutral_elements(
// CHECK-SAME: %[[X:.*]]: tensor<4xf32>, %[[I:.*]]: tensor<4xi32>
func.func @neutral_elements(%x: tensor<4xf32>, %i: tensor<4xi32>) -> (tensor<4xf32>, tensor<4xi32>) {
  // CHECK-NEXT: return %[[X]], %[[I]]
  %zero = graph.constant dense<0.0> : tensor<4xf32>
  %one = graph.constant dense<1.0> : tensor<4xf32>
  %0 = graph.add %x, %zero : tensor<4xf32>
  %1 = graph.add %zero, %0 : tensor<4xf32>
  %2 = graph.sub %1, %zero : tensor<4xf32>
  %3 = graph.mul %2, %one : tensor<4xf32>
  %4 = graph.mul %one, %3 : tensor<4xf32>
  %5 = graph.div %4, %one : tensor<4xf32>
  %izero = graph.constant dense<0> : tensor<4xi32>
  %ione = graph.constant dense<1> : tensor<4xi32>
  %6 = graph.add %i, %izero : tensor<4xi32>
  %7 = graph.mul %6, %ione : tensor<4xi32>
  return %5, %7 : tensor<4xf32>, tensor<4xi32>
}

// 0 - x and 1 / x stay.
// CHECK-LABEL: func.func @not_neutral(
func.func @not_neutral(%x: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) {
  %zero = graph.constant dense<0.0> : tensor<4xf32>
  %one = graph.constant dense<1.0> : tensor<4xf32>
  // CHECK: graph.sub
  %0 = graph.sub %zero, %x : tensor<4xf32>
  // CHECK: graph.div
  %1 = graph.div %one, %x : tensor<4xf32>
  // A product with zero is not zero for infinities.
  // CHECK: graph.mul
  %2 = graph.mul %x, %zero : tensor<4xf32>
  return %0, %1, %2 : tensor<4xf32>, tensor<4xf32>, tensor<4xf32>
}

// CHECK-LABEL: func.func @splats(
func.func @splats() -> (tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xi32>, tensor<i32>) {
  %two = graph.constant dense<2.0> : tensor<4xf32>
  %three = graph.constant dense<3.0> : tensor<4xf32>
  %i = graph.constant dense<7> : tensor<4xi32>
  %j = graph.constant dense<-2> : tensor<4xi32>
  // CHECK-DAG: %[[SUM:.*]] = graph.constant dense<5.000000e+00> : tensor<4xf32>
  %0 = graph.add %two, %three : tensor<4xf32>
  // CHECK-DAG: %[[PRODUCT:.*]] = graph.constant dense<6.000000e+00> : tensor<4xf32>
  %1 = graph.mul %two, %three : tensor<4xf32>
  // CHECK-DAG: %[[QUOTIENT:.*]] = graph.constant dense<1.500000e+00> : tensor<4xf32>
  %2 = graph.div %three, %two : tensor<4xf32>
  // CHECK-DAG: %[[INTEGER:.*]] = graph.constant dense<-3> : tensor<4xi32>
  %3 = graph.div %i, %j : tensor<4xi32>
  // CHECK-DAG: %[[LARGEST:.*]] = graph.constant dense<7> : tensor<i32>
  %4 = graph.reduce max %i [0] : (tensor<4xi32>) -> tensor<i32>
  // CHECK: return %[[SUM]], %[[PRODUCT]], %[[QUOTIENT]], %[[INTEGER]], %[[LARGEST]]
  return %0, %1, %2, %3, %4 : tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xi32>, tensor<i32>
}

// Division by zero has no integer to fold to.
// CHECK-LABEL: func.func @division_by_zero(
func.func @division_by_zero() -> tensor<4xi32> {
  %i = graph.constant dense<7> : tensor<4xi32>
  %z = graph.constant dense<0> : tensor<4xi32>
  // CHECK: graph.div
  %0 = graph.div %i, %z : tensor<4xi32>
  return %0 : tensor<4xi32>
}

// CHECK-LABEL: func.func @reshaped_splats(
func.func @reshaped_splats() -> (tensor<2x2xf32>, tensor<4x3xf32>, tensor<3x4xf32>, tensor<1xf32>) {
  %c = graph.constant dense<2.0> : tensor<4xf32>
  // CHECK-DAG: %[[A:.*]] = graph.constant dense<2.000000e+00> : tensor<2x2xf32>
  %0 = graph.reshape %c : (tensor<4xf32>) -> tensor<2x2xf32>
  // CHECK-DAG: %[[B:.*]] = graph.constant dense<2.000000e+00> : tensor<4x3xf32>
  %1 = graph.broadcast %c [0] : (tensor<4xf32>) -> tensor<4x3xf32>
  // CHECK-DAG: %[[C:.*]] = graph.constant dense<2.000000e+00> : tensor<3x4xf32>
  %2 = graph.transpose %1 [1, 0] : (tensor<4x3xf32>) -> tensor<3x4xf32>
  // CHECK-DAG: %[[D:.*]] = graph.constant dense<2.000000e+00> : tensor<1xf32>
  %3 = graph.slice %c [2] : (tensor<4xf32>) -> tensor<1xf32>
  // CHECK: return %[[A]], %[[B]], %[[C]], %[[D]]
  return %0, %1, %2, %3 : tensor<2x2xf32>, tensor<4x3xf32>, tensor<3x4xf32>, tensor<1xf32>
}

// CHECK-LABEL: func.func @casts(
func.func @casts() -> (tensor<2xf64>, tensor<2xf32>, tensor<2xi64>, tensor<2xi32>) {
  // CHECK-DAG: graph.constant dense<1.500000e+00> : tensor<2xf64>
  %f = graph.constant dense<1.5> : tensor<2xf32>
  %0 = graph.cast %f : tensor<2xf32> -> tensor<2xf64>
  // CHECK-DAG: graph.constant dense<-3.000000e+00> : tensor<2xf32>
  %i = graph.constant dense<-3> : tensor<2xi32>
  %1 = graph.cast %i : tensor<2xi32> -> tensor<2xf32>
  // CHECK-DAG: graph.constant dense<-3> : tensor<2xi64>
  %2 = graph.cast %i : tensor<2xi32> -> tensor<2xi64>
  // true is 1, not -1.
  // CHECK-DAG: graph.constant dense<1> : tensor<2xi32>
  %b = graph.constant dense<true> : tensor<2xi1>
  %3 = graph.cast %b : tensor<2xi1> -> tensor<2xi32>
  return %0, %1, %2, %3 : tensor<2xf64>, tensor<2xf32>, tensor<2xi64>, tensor<2xi32>
}

// CHECK-LABEL: func.func @chains(
// CHECK-SAME: %[[X:.*]]: tensor<4x6xf32>
func.func @chains(%x: tensor<4x6xf32>)
    -> (tensor<24xf32>, tensor<4x6xf32>, tensor<4x6xf32>) {
  // CHECK-NEXT: %[[R:.*]] = graph.reshape %[[X]] : (tensor<4x6xf32>) -> tensor<24xf32>
  %0 = graph.reshape %x : (tensor<4x6xf32>) -> tensor<2x2x6xf32>
  %1 = graph.reshape %0 : (tensor<2x2x6xf32>) -> tensor<24xf32>
  %2 = graph.reshape %0 : (tensor<2x2x6xf32>) -> tensor<4x6xf32>
  %3 = graph.transpose %x [1, 0] : (tensor<4x6xf32>) -> tensor<6x4xf32>
  %4 = graph.transpose %3 [1, 0] : (tensor<6x4xf32>) -> tensor<4x6xf32>
  // CHECK-NEXT: return %[[R]], %[[X]], %[[X]]
  return %1, %2, %4 : tensor<24xf32>, tensor<4x6xf32>, tensor<4x6xf32>
}

// A permutation of a permutation is their composition.
// CHECK-LABEL: func.func @composed(
// CHECK-SAME: %[[X:.*]]: tensor<2x3x4xf32>
func.func @composed(%x: tensor<2x3x4xf32>) -> tensor<4x2x3xf32> {
  // CHECK-NEXT: %[[R:.*]] = graph.transpose %[[X]] [2, 0, 1] : (tensor<2x3x4xf32>) -> tensor<4x2x3xf32>
  // CHECK-NEXT: return %[[R]]
  %0 = graph.transpose %x [1, 2, 0] : (tensor<2x3x4xf32>) -> tensor<3x4x2xf32>
  %1 = graph.transpose %0 [1, 2, 0] : (tensor<3x4x2xf32>) -> tensor<4x2x3xf32>
  return %1 : tensor<4x2x3xf32>
}

// Where encodings differ, an identity is a change of type and stays.
// CHECK-LABEL: func.func @encodings(
func.func @encodings(%x: tensor<4xf32, #dist.layout<[B]>>) -> tensor<4xf32> {
  %zero = graph.constant dense<0.0> : tensor<4xf32>
  // CHECK: graph.add
  %0 = graph.add %x, %zero : (tensor<4xf32, #dist.layout<[B]>>, tensor<4xf32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}

// A product of equal elements is a power: unlike an extreme it does not fold.
// CHECK-LABEL: graph.entry @product(
graph.entry @product() -> (tensor<f32> {graph.output = "y"}) {
  %0 = graph.constant dense<2.0> : tensor<3xf32>
  // CHECK: graph.reduce prod
  %1 = graph.reduce prod %0 [0] : (tensor<3xf32>) -> tensor<f32>
  graph.return %1 : tensor<f32>
}
