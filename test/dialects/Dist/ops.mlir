// RUN: weir-opt %s | FileCheck %s
// RUN: weir-opt %s | weir-opt | FileCheck %s
// RUN: weir-opt %s --mlir-print-op-generic | weir-opt | FileCheck %s

// Every op and attribute of the dialect prints as it is written.

// CHECK: module attributes {dist.mesh = #dist.mesh<dp=2, tp=2, mb=3 : time>}
module attributes {dist.mesh = #dist.mesh<dp=2, tp=2, mb=3 : time>} {

// CHECK-LABEL: func.func @attributes
func.func @attributes() attributes {
  // CHECK-SAME: a = #dist.layout<[S(0), B, P(sum)]>
  a = #dist.layout<[S(0), B, P(sum)]>,
  // CHECK-SAME: b = #dist.layout<[P(max), P(min), B]>
  b = #dist.layout<[P(max), P(min), B]>,
  // CHECK-SAME: c = #dist.layout<[]>
  c = #dist.layout<[]>,
  // CHECK-SAME: d = #dist.signature<([S(0), B], [B, S(1)]) -> ([S(0), S(1)])>
  d = #dist.signature<([S(0), B], [B, S(1)]) -> ([S(0), S(1)])>,
  // CHECK-SAME: e = #dist.signature<() -> ()>
  e = #dist.signature<() -> ()>,
  // CHECK-SAME: f = #dist.shard<[25:1, 64, 12:0:2]>
  f = #dist.shard<[25:1, 64, 12:0:2]>,
  // CHECK-SAME: g = #dist.mesh<"data parallel"=4>
  g = #dist.mesh<"data parallel"=4>,
  // CHECK-SAME: h = #dist.mesh<>
  h = #dist.mesh<>,
  // CHECK-SAME: i = #dist.layout<[S(0, unit=8), B, S(1)]>
  i = #dist.layout<[S(0, unit=8), B, S(1, unit=1)]>,
  // CHECK-SAME: j = #dist.shard<[48:1 unit 8, 64]>
  j = #dist.shard<[48:1 unit 8, 64]>,
  // CHECK-SAME: k = #dist.shard<[25:1 shift 2, 48:0 unit 8 shift 1]>
  k = #dist.shard<[25:1 shift 2, 48:0 unit 8 shift 1]>
} {
  return
}

// CHECK-LABEL: func.func @reshard
// CHECK-SAME: (%[[X:.*]]: tensor<6x8xf32>, %[[Y:.*]]: tensor<6x8xf32, #dist.layout<[S(0), B, B]>>)
func.func @reshard(%x: tensor<6x8xf32>, %y: tensor<6x8xf32, #dist.layout<[S(0), B, B]>>) {
  // CHECK: dist.reshard %[[X]] [P(sum), B, B] to [S(0), B, B] : tensor<6x8xf32>
  %0 = dist.reshard %x [P(sum), B, B] to [S(0), B, B] : tensor<6x8xf32>
  // CHECK: dist.reshard %[[Y]] [S(0), B, B] to [B, S(1), B] : (tensor<6x8xf32, #dist.layout<[S(0), B, B]>>) -> tensor<6x8xf32, #dist.layout<[B, S(1), B]>>
  %1 = dist.reshard %y [S(0), B, B] to [B, S(1), B]
      : (tensor<6x8xf32, #dist.layout<[S(0), B, B]>>) -> tensor<6x8xf32, #dist.layout<[B, S(1), B]>>
  return
}

// CHECK-LABEL: func.func @collectives
func.func @collectives(%x: tensor<8xf32>, %s: tensor<3xf32, #dist.shard<[5:0]>>,
                       %t: tensor<3x8xf32, #dist.shard<[5:0, 8]>>, %w: tensor<5xf32>,
                       %v: tensor<2xf32, #dist.shard<[5:0:1]>>) {
  // CHECK: dist.all_reduce %{{.*}} {axes = array<i64: 1>, reduction = #dist<reduction sum>} : (tensor<8xf32>) -> tensor<8xf32>
  %0 = dist.all_reduce %x {axes = array<i64: 1>, reduction = #dist<reduction sum>}
      : (tensor<8xf32>) -> tensor<8xf32>
  // Several tensors at once.
  // CHECK: dist.all_reduce %{{.*}}, %{{.*}} {axes = array<i64: 1>, reduction = #dist<reduction sum>} : (tensor<8xf32>, tensor<5xf32>) -> (tensor<8xf32>, tensor<5xf32>)
  %both:2 = dist.all_reduce %x, %w {axes = array<i64: 1>, reduction = #dist<reduction sum>}
      : (tensor<8xf32>, tensor<5xf32>) -> (tensor<8xf32>, tensor<5xf32>)
  // CHECK: dist.all_reduce %{{.*}} into %{{.*}} : tensor<8xf32> {axes = array<i64: 0, 1>, reduction = #dist<reduction max>} : (tensor<8xf32>) -> tensor<8xf32>
  %1 = dist.all_reduce %x into %0 : tensor<8xf32> {axes = array<i64: 0, 1>, reduction = #dist<reduction max>}
      : (tensor<8xf32>) -> tensor<8xf32>
  // CHECK: dist.all_gather %{{.*}} {axes = array<i64: 0>, dim = 0 : i64} : (tensor<3xf32, #dist.shard<[5:0]>>) -> tensor<5xf32>
  %2 = dist.all_gather %s {axes = array<i64: 0>, dim = 0 : i64}
      : (tensor<3xf32, #dist.shard<[5:0]>>) -> tensor<5xf32>
  // Only the innermost split is gathered.
  // CHECK: dist.all_gather %{{.*}} {axes = array<i64: 1>, dim = 0 : i64} : (tensor<2xf32, #dist.shard<[5:0:1]>>) -> tensor<3xf32, #dist.shard<[5:0]>>
  %3 = dist.all_gather %v {axes = array<i64: 1>, dim = 0 : i64}
      : (tensor<2xf32, #dist.shard<[5:0:1]>>) -> tensor<3xf32, #dist.shard<[5:0]>>
  // CHECK: dist.reduce_scatter %{{.*}} {axes = array<i64: 0>, dim = 0 : i64, reduction = #dist<reduction sum>}
  %4 = dist.reduce_scatter %w {axes = array<i64: 0>, dim = 0 : i64, reduction = #dist<reduction sum>}
      : (tensor<5xf32>) -> tensor<3xf32, #dist.shard<[5:0]>>
  // CHECK: dist.all_to_all %{{.*}} {axes = array<i64: 0>, gatherDim = 0 : i64, splitDim = 1 : i64}
  // CHECK-SAME: -> tensor<5x4xf32, #dist.shard<[5, 8:0]>>
  %5 = dist.all_to_all %t {axes = array<i64: 0>, gatherDim = 0 : i64, splitDim = 1 : i64}
      : (tensor<3x8xf32, #dist.shard<[5:0, 8]>>) -> tensor<5x4xf32, #dist.shard<[5, 8:0]>>
  // Both dimensions change hands: axis 1 gets the rows, axis 0 nothing.
  // CHECK: dist.exchange %{{.*}} {axes = array<i64: 0, 1>} : (tensor<3x8xf32, #dist.shard<[5:0, 8]>>) -> tensor<3x8xf32, #dist.shard<[5:1, 8]>>
  %8 = dist.exchange %t {axes = array<i64: 0, 1>}
      : (tensor<3x8xf32, #dist.shard<[5:0, 8]>>) -> tensor<3x8xf32, #dist.shard<[5:1, 8]>>
  // CHECK: dist.exchange %{{.*}} into %{{.*}} : tensor<3x8xf32, #dist.shard<[5:1, 8]>> {axes = array<i64: 0, 1>}
  %9 = dist.exchange %t into %8 : tensor<3x8xf32, #dist.shard<[5:1, 8]>> {axes = array<i64: 0, 1>}
      : (tensor<3x8xf32, #dist.shard<[5:0, 8]>>) -> tensor<3x8xf32, #dist.shard<[5:1, 8]>>
  // CHECK: dist.local_slice %{{.*}} {axes = array<i64: 0, 2>, dim = 0 : i64} : (tensor<5xf32>) -> tensor<1xf32, #dist.shard<[5:0:2]>>
  %6 = dist.local_slice %w {axes = array<i64: 0, 2>, dim = 0 : i64}
      : (tensor<5xf32>) -> tensor<1xf32, #dist.shard<[5:0:2]>>
  // CHECK: dist.to_partial %{{.*}} {axes = array<i64: 0>, reduction = #dist<reduction min>} : tensor<8xf32>
  %7 = dist.to_partial %x {axes = array<i64: 0>, reduction = #dist<reduction min>} : tensor<8xf32>
  return
}

// CHECK-LABEL: func.func @micro_batches
func.func @micro_batches(%zero: tensor<8xf32>, %g: tensor<8xf32>) -> tensor<8xf32> {
  // CHECK: %[[R:.*]] = dist.micro_batches(%{{.*}} : tensor<8xf32>) -> (tensor<8xf32>) {
  // CHECK-NEXT: ^bb0(%[[ACC:.*]]: tensor<8xf32>):
  %0 = dist.micro_batches(%zero : tensor<8xf32>) -> (tensor<8xf32>) {
  ^bb0(%acc: tensor<8xf32>):
    // CHECK-NEXT: %[[SUM:.*]] = graph.add %[[ACC]], %{{.*}} : tensor<8xf32>
    %sum = graph.add %acc, %g : tensor<8xf32>
    // CHECK-NEXT: dist.yield %[[SUM]] : tensor<8xf32>
    dist.yield %sum : tensor<8xf32>
  }
  // CHECK: return %[[R]]
  return %0 : tensor<8xf32>
}

// CHECK-LABEL: func.func @decisions
// CHECK-SAME: %{{.*}}: tensor<6x8xf32> {dist.layout = #dist.layout<[S(0), B, B]>}
// CHECK-SAME: -> (tensor<6x8xf32> {dist.layout = #dist.layout<[S(0), B, B]>})
func.func @decisions(%x: tensor<6x8xf32> {dist.layout = #dist.layout<[S(0), B, B]>})
    -> (tensor<6x8xf32> {dist.layout = #dist.layout<[S(0), B, B]>}) {
  // CHECK: dist.signature = #dist.signature<([S(0), B, B]) -> ([S(0), B, B])>
  %0 = graph.exp %x {dist.signature = #dist.signature<([S(0), B, B]) -> ([S(0), B, B])>} : tensor<6x8xf32>
  return %0 : tensor<6x8xf32>
}

}
