// RUN: weir-opt %s --canonicalize | FileCheck %s

// A constant folds to itself, so that two equal ones become one.

// CHECK-LABEL: func.func @constants(
func.func @constants() -> (tensor<2xf32>, tensor<2xf32>) {
  // CHECK-NEXT: %[[C:.*]] = kernel.constant dense<1.000000e+00> : tensor<2xf32>
  // CHECK-NEXT: return %[[C]], %[[C]]
  %0 = kernel.constant dense<1.0> : tensor<2xf32>
  %1 = kernel.constant dense<1.0> : tensor<2xf32>
  return %0, %1 : tensor<2xf32>, tensor<2xf32>
}

// Buffers are never merged or dropped; unused results of launches are.
// CHECK-LABEL: func.func @buffers(
func.func @buffers(%x: tensor<2xf32>) {
  // CHECK-NEXT: kernel.empty "a"
  // CHECK-NEXT: kernel.empty "a"
  // CHECK-NEXT: return
  %0 = kernel.empty "a" : tensor<2xf32>
  %1 = kernel.empty "a" : tensor<2xf32>
  %2 = kernel.fill 1.0 into %0 : tensor<2xf32> -> tensor<2xf32>
  return
}
