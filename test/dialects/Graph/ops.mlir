// RUN: weir-opt %s | FileCheck %s
// RUN: weir-opt %s | weir-opt | FileCheck %s
// RUN: weir-opt %s --mlir-print-op-generic | weir-opt | FileCheck %s

// Every op of the dialect prints as it is written.

// CHECK: graph.variable @h.0.attn.w : tensor<48x3x4x12xf32> kind parameter init <normal, 0.000000e+00, 2.000000e-02> stored <"h.0.attn.c_attn.weight", [48, 144]>
graph.variable @h.0.attn.w : tensor<48x3x4x12xf32> kind parameter
    init <normal, 0.0, 0.02> stored <"h.0.attn.c_attn.weight", [48, 144]>
// CHECK: graph.variable @wte : tensor<96x8xf32> kind parameter init <uniform, -1.000000e-01, 1.000000e-01>
graph.variable @wte : tensor<96x8xf32> kind parameter init <uniform, -0.1, 0.1>
// CHECK: graph.variable @"wte/m" : tensor<96x8xf32> kind optimizer_state init <constant, 0.000000e+00> {dist.layout = #dist.layout<[B]>}
graph.variable @"wte/m" : tensor<96x8xf32> kind optimizer_state init <constant, 0.0> {dist.layout = #dist.layout<[B]>}
// CHECK: graph.variable @cache : tensor<f32> kind cache init <constant, 1.500000e+00> stored <"c", []>
graph.variable @cache : tensor<f32> kind cache init <constant, 1.5> stored <"c", []>
// CHECK: graph.variable @steps : tensor<i32> kind counter init <constant, 0.000000e+00>
graph.variable @steps : tensor<i32> kind counter init <constant, 0.0>

// CHECK: graph.entry @train(%{{.*}}: tensor<2x8xi32> {graph.input = "ids"}, %[[W:.*]]: tensor<96x8xf32> {graph.variable = @wte})
// CHECK-SAME: -> (tensor<2x8x8xf32> {graph.output = "hidden"}, tensor<96x8xf32> {graph.variable = @wte}) attributes {note = "x"} {
graph.entry @train(%ids: tensor<2x8xi32> {graph.input = "ids"},
                   %w: tensor<96x8xf32> {graph.variable = @wte})
    -> (tensor<2x8x8xf32> {graph.output = "hidden"}, tensor<96x8xf32> {graph.variable = @wte})
    attributes {note = "x"} {
  // CHECK: graph.embedding {{.*}} {graph.task = "forward"} :
  %0 = graph.embedding %w, %ids {graph.task = "forward"} : (tensor<96x8xf32>, tensor<2x8xi32>) -> tensor<2x8x8xf32>
  // CHECK: graph.return %{{.*}}, %[[W]] : tensor<2x8x8xf32>, tensor<96x8xf32>
  graph.return %0, %w : tensor<2x8x8xf32>, tensor<96x8xf32>
}

// CHECK-LABEL: func.func @elementwise
func.func @elementwise(%x: tensor<4x8xf32>, %y: tensor<4x8xf32>, %m: tensor<4x8xi1>, %a: tensor<4x8xf32, #dist.layout<[P(sum)]>>, %b: tensor<4x8xf32, #dist.layout<[B]>>) {
  // CHECK: graph.neg %{{.*}} : tensor<4x8xf32>
  %0 = graph.neg %x : tensor<4x8xf32>
  // CHECK: graph.exp %{{.*}} : tensor<4x8xf32>
  %1 = graph.exp %x : tensor<4x8xf32>
  // CHECK: graph.log %{{.*}} : tensor<4x8xf32>
  %2 = graph.log %x : tensor<4x8xf32>
  // CHECK: graph.sqrt %{{.*}} : tensor<4x8xf32>
  %3 = graph.sqrt %x : tensor<4x8xf32>
  // CHECK: graph.rsqrt %{{.*}} : tensor<4x8xf32>
  %4 = graph.rsqrt %x : tensor<4x8xf32>
  // CHECK: graph.tanh %{{.*}} : tensor<4x8xf32>
  %5 = graph.tanh %x : tensor<4x8xf32>
  // CHECK: graph.erf %{{.*}} : tensor<4x8xf32>
  %6 = graph.erf %x : tensor<4x8xf32>
  // CHECK: graph.sin %{{.*}} : tensor<4x8xf32>
  %7 = graph.sin %x : tensor<4x8xf32>
  // CHECK: graph.cos %{{.*}} : tensor<4x8xf32>
  %8 = graph.cos %x : tensor<4x8xf32>
  // CHECK: graph.abs %{{.*}} : tensor<4x8xf32>
  %9 = graph.abs %x : tensor<4x8xf32>
  // CHECK: graph.sigmoid %{{.*}} : tensor<4x8xf32>
  %10 = graph.sigmoid %x : tensor<4x8xf32>
  // CHECK: graph.relu %{{.*}} : tensor<4x8xf32>
  %11 = graph.relu %x : tensor<4x8xf32>
  // CHECK: graph.silu %{{.*}} : tensor<4x8xf32>
  %12 = graph.silu %x : tensor<4x8xf32>
  // CHECK: graph.gelu erf %{{.*}} : tensor<4x8xf32>
  %13 = graph.gelu erf %x : tensor<4x8xf32>
  // CHECK: graph.gelu tanh %{{.*}} : tensor<4x8xf32>
  %14 = graph.gelu tanh %x : tensor<4x8xf32>
  // CHECK: graph.gelu quick %{{.*}} : tensor<4x8xf32>
  %15 = graph.gelu quick %x : tensor<4x8xf32>
  // CHECK: graph.add %{{.*}}, %{{.*}} : tensor<4x8xf32>
  %16 = graph.add %x, %y : tensor<4x8xf32>
  // CHECK: graph.sub %{{.*}}, %{{.*}} : tensor<4x8xf32>
  %17 = graph.sub %x, %y : tensor<4x8xf32>
  // CHECK: graph.mul %{{.*}}, %{{.*}} : tensor<4x8xf32>
  %18 = graph.mul %x, %y : tensor<4x8xf32>
  // CHECK: graph.div %{{.*}}, %{{.*}} : tensor<4x8xf32>
  %19 = graph.div %x, %y : tensor<4x8xf32>
  // CHECK: graph.max %{{.*}}, %{{.*}} : tensor<4x8xf32>
  %20 = graph.max %x, %y : tensor<4x8xf32>
  // CHECK: graph.min %{{.*}}, %{{.*}} : tensor<4x8xf32>
  %21 = graph.min %x, %y : tensor<4x8xf32>
  // CHECK: graph.pow %{{.*}}, %{{.*}} : tensor<4x8xf32>
  %22 = graph.pow %x, %y : tensor<4x8xf32>
  // CHECK: graph.compare eq %{{.*}}, %{{.*}} : tensor<4x8xf32> -> tensor<4x8xi1>
  %23 = graph.compare eq %x, %y : tensor<4x8xf32> -> tensor<4x8xi1>
  // CHECK: graph.compare ne %{{.*}}, %{{.*}} : tensor<4x8xf32> -> tensor<4x8xi1>
  %24 = graph.compare ne %x, %y : tensor<4x8xf32> -> tensor<4x8xi1>
  // CHECK: graph.compare lt %{{.*}}, %{{.*}} : tensor<4x8xf32> -> tensor<4x8xi1>
  %25 = graph.compare lt %x, %y : tensor<4x8xf32> -> tensor<4x8xi1>
  // CHECK: graph.compare le %{{.*}}, %{{.*}} : tensor<4x8xf32> -> tensor<4x8xi1>
  %26 = graph.compare le %x, %y : tensor<4x8xf32> -> tensor<4x8xi1>
  // CHECK: graph.compare gt %{{.*}}, %{{.*}} : tensor<4x8xf32> -> tensor<4x8xi1>
  %27 = graph.compare gt %x, %y : tensor<4x8xf32> -> tensor<4x8xi1>
  // CHECK: graph.compare ge %{{.*}}, %{{.*}} : tensor<4x8xf32> -> tensor<4x8xi1>
  %28 = graph.compare ge %x, %y : tensor<4x8xf32> -> tensor<4x8xi1>
  // CHECK: graph.select %{{.*}}, %{{.*}}, %{{.*}} : tensor<4x8xi1>, tensor<4x8xf32>
  %29 = graph.select %m, %x, %y : tensor<4x8xi1>, tensor<4x8xf32>
  // CHECK: graph.cast %{{.*}} : tensor<4x8xi1> -> tensor<4x8xf32>
  %30 = graph.cast %m : tensor<4x8xi1> -> tensor<4x8xf32>
  // CHECK: graph.mul %{{.*}}, %{{.*}} : (tensor<4x8xf32, #dist.layout<[P(sum)]>>, tensor<4x8xf32, #dist.layout<[B]>>) -> tensor<4x8xf32, #dist.layout<[P(sum)]>>
  %31 = graph.mul %a, %b : (tensor<4x8xf32, #dist.layout<[P(sum)]>>, tensor<4x8xf32, #dist.layout<[B]>>) -> tensor<4x8xf32, #dist.layout<[P(sum)]>>
  // CHECK: graph.neg %{{.*}} : tensor<4x8xf32, #dist.layout<[P(sum)]>>
  %32 = graph.neg %a : tensor<4x8xf32, #dist.layout<[P(sum)]>>
  // CHECK: graph.neg %{{.*}} : (tensor<4x8xf32, #dist.layout<[B]>>) -> tensor<4x8xf32>
  %33 = graph.neg %b : (tensor<4x8xf32, #dist.layout<[B]>>) -> tensor<4x8xf32>
  return
}

// CHECK-LABEL: func.func @tensors
func.func @tensors(%x: tensor<4x6xf32>, %b: tensor<6xf32>) {
  // CHECK: graph.constant dense<1.000000e+00> : tensor<8xf32>
  %0 = graph.constant dense<1.000000e+00> : tensor<8xf32>
  // CHECK: graph.constant {graph.task = "backward"} dense<[1, 2]> : tensor<2xi32>
  %1 = graph.constant {graph.task = "backward"} dense<[1, 2]> : tensor<2xi32>
  // CHECK: graph.iota 0 : tensor<128x32xf32>
  %2 = graph.iota 0 : tensor<128x32xf32>
  // CHECK: graph.broadcast %{{.*}} [1] : (tensor<6xf32>) -> tensor<4x6xf32>
  %3 = graph.broadcast %b [1] : (tensor<6xf32>) -> tensor<4x6xf32>
  // CHECK: graph.reduce sum %{{.*}} [1] : (tensor<4x6xf32>) -> tensor<4xf32>
  %4 = graph.reduce sum %x [1] : (tensor<4x6xf32>) -> tensor<4xf32>
  // CHECK: graph.reduce max %{{.*}} [0, 1] : (tensor<4x6xf32>) -> tensor<f32>
  %5 = graph.reduce max %x [0, 1] : (tensor<4x6xf32>) -> tensor<f32>
  // CHECK: graph.reduce min %{{.*}} [0] : (tensor<4x6xf32>) -> tensor<6xf32>
  %6 = graph.reduce min %x [0] : (tensor<4x6xf32>) -> tensor<6xf32>
  // CHECK: graph.reshape %{{.*}} : (tensor<4x6xf32>) -> tensor<4x2x3xf32>
  %7 = graph.reshape %x : (tensor<4x6xf32>) -> tensor<4x2x3xf32>
  // CHECK: graph.transpose %{{.*}} [1, 0] : (tensor<4x6xf32>) -> tensor<6x4xf32>
  %8 = graph.transpose %x [1, 0] : (tensor<4x6xf32>) -> tensor<6x4xf32>
  // CHECK: graph.slice %{{.*}} [0, 2] : (tensor<4x6xf32>) -> tensor<4x3xf32>
  %9 = graph.slice %x [0, 2] : (tensor<4x6xf32>) -> tensor<4x3xf32>
  // CHECK: graph.concat %{{.*}}, %{{.*}} dim 1 : (tensor<4x6xf32>, tensor<4x6xf32>) -> tensor<4x12xf32>
  %10 = graph.concat %x, %x dim 1 : (tensor<4x6xf32>, tensor<4x6xf32>) -> tensor<4x12xf32>
  return
}

// CHECK-LABEL: func.func @models
func.func @models(%x: tensor<4x8x48xf32>, %w: tensor<48x4x12xf32>, %t: tensor<96x48xf32>, %ids: tensor<4x8xi32>, %g: tensor<48xf32>, %r: tensor<2x8x4x12xf32>, %cs: tensor<8x6xf32>, %q: tensor<2x8x2x2x16xf32>, %k: tensor<2x8x2x16xf32>, %l: tensor<2x2x2x8xf32>, %s: tensor<i32>, %z: tensor<4x8x96xf32>, %e: tensor<4x8xf32>) {
  // CHECK: graph.matmul %{{.*}}, %{{.*}} batch [] x [] contract [2] x [0] : (tensor<4x8x48xf32>, tensor<48x4x12xf32>) -> tensor<4x8x4x12xf32>
  %0 = graph.matmul %x, %w batch [] x [] contract [2] x [0] : (tensor<4x8x48xf32>, tensor<48x4x12xf32>) -> tensor<4x8x4x12xf32>
  // CHECK: graph.matmul %{{.*}}, %{{.*}} batch [0] x [0] contract [2] x [2] : (tensor<4x8x48xf32>, tensor<4x8x48xf32>) -> tensor<4x8x8xf32>
  %1 = graph.matmul %x, %x batch [0] x [0] contract [2] x [2] : (tensor<4x8x48xf32>, tensor<4x8x48xf32>) -> tensor<4x8x8xf32>
  // CHECK: graph.embedding %{{.*}}, %{{.*}} : (tensor<96x48xf32>, tensor<4x8xi32>) -> tensor<4x8x48xf32>
  %2 = graph.embedding %t, %ids : (tensor<96x48xf32>, tensor<4x8xi32>) -> tensor<4x8x48xf32>
  // CHECK: graph.embedding_grad %{{.*}}, %{{.*}} : (tensor<4x8xi32>, tensor<4x8x48xf32>) -> tensor<96x48xf32>
  %3 = graph.embedding_grad %ids, %x : (tensor<4x8xi32>, tensor<4x8x48xf32>) -> tensor<96x48xf32>
  // CHECK: graph.layer_norm %{{.*}}, %{{.*}}, %{{.*}} epsilon 1.000000e-05 : (tensor<4x8x48xf32>, tensor<48xf32>, tensor<48xf32>) -> (tensor<4x8x48xf32>, tensor<4x8xf32>, tensor<4x8xf32>)
  %4:3 = graph.layer_norm %x, %g, %g epsilon 1.000000e-05 : (tensor<4x8x48xf32>, tensor<48xf32>, tensor<48xf32>) -> (tensor<4x8x48xf32>, tensor<4x8xf32>, tensor<4x8xf32>)
  // CHECK: graph.rms_norm %{{.*}}, %{{.*}} epsilon 9.9999999999999995E-7 : (tensor<4x8x48xf32>, tensor<48xf32>) -> (tensor<4x8x48xf32>, tensor<4x8xf32>)
  %5:2 = graph.rms_norm %x, %g epsilon 9.9999999999999995E-7 : (tensor<4x8x48xf32>, tensor<48xf32>) -> (tensor<4x8x48xf32>, tensor<4x8xf32>)
  // CHECK: graph.softmax %{{.*}} : tensor<4x8x48xf32>
  %6 = graph.softmax %x : tensor<4x8x48xf32>
  // CHECK: graph.rope %{{.*}}, %{{.*}}, %{{.*}} seq 1 : (tensor<2x8x4x12xf32>, tensor<8x6xf32>, tensor<8x6xf32>) -> tensor<2x8x4x12xf32>
  %7 = graph.rope %r, %cs, %cs seq 1 : (tensor<2x8x4x12xf32>, tensor<8x6xf32>, tensor<8x6xf32>) -> tensor<2x8x4x12xf32>
  // CHECK: graph.attention %{{.*}}, %{{.*}}, %{{.*}} scale 2.500000e-01 causal : (tensor<2x8x2x2x16xf32>, tensor<2x8x2x16xf32>, tensor<2x8x2x16xf32>) -> (tensor<2x8x2x2x16xf32>, tensor<2x2x2x8xf32>)
  %8:2 = graph.attention %q, %k, %k scale 2.500000e-01 causal : (tensor<2x8x2x2x16xf32>, tensor<2x8x2x16xf32>, tensor<2x8x2x16xf32>) -> (tensor<2x8x2x2x16xf32>, tensor<2x2x2x8xf32>)
  // CHECK: graph.attention %{{.*}}, %{{.*}}, %{{.*}} scale 2.500000e-01 : (tensor<2x8x2x2x16xf32>, tensor<2x8x2x16xf32>, tensor<2x8x2x16xf32>) -> (tensor<2x8x2x2x16xf32>, tensor<2x2x2x8xf32>)
  %9:2 = graph.attention %q, %k, %k scale 2.500000e-01 : (tensor<2x8x2x2x16xf32>, tensor<2x8x2x16xf32>, tensor<2x8x2x16xf32>) -> (tensor<2x8x2x2x16xf32>, tensor<2x2x2x8xf32>)
  // CHECK: graph.attention_grad %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}} scale 2.500000e-01 causal : (tensor<2x8x2x2x16xf32>, tensor<2x8x2x16xf32>, tensor<2x8x2x16xf32>, tensor<2x8x2x2x16xf32>, tensor<2x2x2x8xf32>, tensor<2x8x2x2x16xf32>) -> (tensor<2x8x2x2x16xf32>, tensor<2x8x2x16xf32>, tensor<2x8x2x16xf32>)
  %10:3 = graph.attention_grad %q, %k, %k, %q, %l, %q scale 2.500000e-01 causal : (tensor<2x8x2x2x16xf32>, tensor<2x8x2x16xf32>, tensor<2x8x2x16xf32>, tensor<2x8x2x2x16xf32>, tensor<2x2x2x8xf32>, tensor<2x8x2x2x16xf32>) -> (tensor<2x8x2x2x16xf32>, tensor<2x8x2x16xf32>, tensor<2x8x2x16xf32>)
  // CHECK: graph.dropout %{{.*}}, %{{.*}}, %{{.*}} rate 1.000000e-01 site "h.0.mlp.dropout" : (tensor<4x8x48xf32>, tensor<i32>, tensor<i32>) -> tensor<4x8x48xf32>
  %11 = graph.dropout %x, %s, %s rate 1.000000e-01 site "h.0.mlp.dropout" : (tensor<4x8x48xf32>, tensor<i32>, tensor<i32>) -> tensor<4x8x48xf32>
  // CHECK: graph.cross_entropy %{{.*}}, %{{.*}} ignore -100 : (tensor<4x8x96xf32>, tensor<4x8xi32>) -> (tensor<4x8xf32>, tensor<4x8xf32>)
  %12:2 = graph.cross_entropy %z, %ids ignore -100 : (tensor<4x8x96xf32>, tensor<4x8xi32>) -> (tensor<4x8xf32>, tensor<4x8xf32>)
  // CHECK: graph.cross_entropy_grad %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}} ignore -100 : (tensor<4x8x96xf32>, tensor<4x8xi32>, tensor<4x8xf32>, tensor<4x8xf32>) -> tensor<4x8x96xf32>
  %13 = graph.cross_entropy_grad %z, %ids, %e, %e ignore -100 : (tensor<4x8x96xf32>, tensor<4x8xi32>, tensor<4x8xf32>, tensor<4x8xf32>) -> tensor<4x8x96xf32>
  return
}

// CHECK-LABEL: func.func @optimizers
func.func @optimizers(%p: tensor<4x8xf32>, %s: tensor<f32>, %a: tensor<i1>) {
  // CHECK: graph.adamw %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}} site "wte/adamw" : (tensor<4x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<i1>) -> (tensor<4x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>)
  %0:3 = graph.adamw %p, %p, %p, %p, %s, %s, %s, %s, %s, %s, %s, %s, %a site "wte/adamw" : (tensor<4x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<i1>) -> (tensor<4x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>)
  // CHECK: graph.sgd %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}} site "wte/sgd" : (tensor<4x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<i1>) -> (tensor<4x8xf32>, tensor<4x8xf32>)
  %1:2 = graph.sgd %p, %p, %p, %s, %s, %s, %s, %a site "wte/sgd" : (tensor<4x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<i1>) -> (tensor<4x8xf32>, tensor<4x8xf32>)
  return
}

// After localisation an entry's arguments have the local types of their
// variables' layouts.
// CHECK: module @local
module @local attributes {dist.mesh = #dist.mesh<dp=2, tp=2>} {
  graph.variable @w : tensor<5x8xf32> kind parameter init <constant, 0.0> {dist.layout = #dist.layout<[S(0), B]>}
  // CHECK: graph.entry @train
  graph.entry @train(%w: tensor<3x8xf32, #dist.shard<[5:0, 8]>>
                     {graph.variable = @w, dist.layout = #dist.layout<[S(0), B]>})
      -> (tensor<3x8xf32, #dist.shard<[5:0, 8]>> {graph.variable = @w, dist.layout = #dist.layout<[S(0), B]>}) {
    // CHECK: graph.reshape %{{.*}} : (tensor<3x8xf32, #dist.shard<[5:0, 8]>>) -> tensor<3x4x2xf32, #dist.shard<[5:0, 4, 2]>>
    %0 = graph.reshape %w : (tensor<3x8xf32, #dist.shard<[5:0, 8]>>) -> tensor<3x4x2xf32, #dist.shard<[5:0, 4, 2]>>
    graph.return %w : tensor<3x8xf32, #dist.shard<[5:0, 8]>>
  }
}
