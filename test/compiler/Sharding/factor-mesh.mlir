// RUN: weir-opt %s --split-input-file --verify-diagnostics --weir-factor-mesh | FileCheck %s

// 8 groups of 4 heads on 16 coordinates: 8 x 2. What names the axis holds for
// both factors.

// CHECK: dist.mesh = #dist.mesh<dp=2, tp=8, tp.inner=2>
// CHECK-SAME: weir.layouts = [{layouts = {tp = "B", tp.inner = "B"}, match = "wte"}]
// CHECK-SAME: weir.strategies = {dp = "data", tp = "megatron", tp.inner = "megatron"}
module attributes {dist.mesh = #dist.mesh<dp=2, tp=16>,
                   weir.layouts = [{match = "wte", layouts = {tp = "B"}}]} {
  graph.variable @q : tensor<8x4x6x10xf32> kind parameter init <normal, 0.0, 1.0> {weir.tp_dim = 0 : i64, weir.tp_inner_dim = 1 : i64}
  graph.variable @k : tensor<8x6x10xf32> kind parameter init <normal, 0.0, 1.0> {weir.tp_dim = 0 : i64, weir.tp_inner_dim = -1 : i64}
  graph.variable @wte : tensor<97x10xf32> kind parameter init <normal, 0.0, 1.0> {weir.tp_dim = 0 : i64}
}

// -----

// Groups enough: the axis stays, if it does not divide them too.

// CHECK: dist.mesh = #dist.mesh<tp=3>
module attributes {dist.mesh = #dist.mesh<tp=3>} {
  graph.variable @q : tensor<5x4x6x10xf32> kind parameter init <normal, 0.0, 1.0> {weir.tp_dim = 0 : i64, weir.tp_inner_dim = 1 : i64}
}

// -----

// 4 groups of 3 heads on 6 coordinates: 2 x 3 gives each 2 heads.

// CHECK: dist.mesh = #dist.mesh<tp=2, tp.inner=3>
module attributes {dist.mesh = #dist.mesh<tp=6>} {
  graph.variable @q : tensor<4x3x6x10xf32> kind parameter init <normal, 0.0, 1.0> {weir.tp_dim = 0 : i64, weir.tp_inner_dim = 1 : i64}
}

// -----

// Another strategy does not split heads.

// CHECK: dist.mesh = #dist.mesh<tp=16>
module attributes {dist.mesh = #dist.mesh<tp=16>, weir.strategies = {tp = "data"}} {
  graph.variable @q : tensor<8x4x6x10xf32> kind parameter init <normal, 0.0, 1.0> {weir.tp_dim = 0 : i64, weir.tp_inner_dim = 1 : i64}
}

// -----

// Layouts that are given count the axes as they are.

// CHECK: dist.mesh = #dist.mesh<tp=16>
module attributes {dist.mesh = #dist.mesh<tp=16>} {
  graph.variable @q : tensor<8x4x6x10xf32> kind parameter init <normal, 0.0, 1.0> {weir.tp_dim = 0 : i64, weir.tp_inner_dim = 1 : i64, dist.layout = #dist.layout<[B]>}
}

// -----

// expected-error @+1 {{expects no axis 'tp.inner' beside 'tp', whose 16 coordinates are split into 8 groups of 2 for the model's heads}}
module attributes {dist.mesh = #dist.mesh<tp=16, "tp.inner"=2>, weir.strategies = {"tp.inner" = "data"}} {
  graph.variable @q : tensor<8x4x6x10xf32> kind parameter init <normal, 0.0, 1.0> {weir.tp_dim = 0 : i64, weir.tp_inner_dim = 1 : i64}
}
