// SPDX-License-Identifier: Apache-2.0
// RUN: weir-opt %s --split-input-file --weir-form-kernels=chunks=2 | FileCheck %s

// A layer norm is one kernel: two reductions and the output over each row.
// CHECK: kernel.func @layer_norm_kernel ins(%{{.*}}: tensor<64x768xf32> strides [768, 1], {{.*}}) outs({{.*}}) chunks 2
// CHECK-COUNT-2: combiner sum
// CHECK-NOT: kernel.func
// CHECK-LABEL: graph.entry @layer_norm
// CHECK: kernel.launch @layer_norm_kernel
// CHECK-NOT: kernel.launch
graph.entry @layer_norm(%x: tensor<64x768xf32> {graph.input = "x"},
                        %w: tensor<768xf32> {graph.input = "w"},
                        %b: tensor<768xf32> {graph.input = "b"})
    -> (tensor<64x768xf32> {graph.output = "y"}, tensor<64xf32> {graph.output = "mean"},
        tensor<64xf32> {graph.output = "rstd"}) {
  %y, %mean, %rstd = graph.layer_norm %x, %w, %b epsilon 1.0e-5
      : (tensor<64x768xf32>, tensor<768xf32>, tensor<768xf32>)
      -> (tensor<64x768xf32>, tensor<64xf32>, tensor<64xf32>)
  graph.return %y, %mean, %rstd : tensor<64x768xf32>, tensor<64xf32>, tensor<64xf32>
}

// -----

// A residual sum fuses into the norm that reads it, and is stored on the way.
// CHECK-LABEL: graph.entry @residual
// CHECK: %{{.*}}:4 = kernel.launch @add_layer_norm_kernel
// CHECK-NOT: kernel.launch
graph.entry @residual(%a: tensor<64x768xf32> {graph.input = "a"},
                      %r: tensor<64x768xf32> {graph.input = "r"},
                      %w: tensor<768xf32> {graph.input = "w"},
                      %b: tensor<768xf32> {graph.input = "b"})
    -> (tensor<64x768xf32> {graph.output = "sum"}, tensor<64x768xf32> {graph.output = "y"},
        tensor<64xf32> {graph.output = "mean"}, tensor<64xf32> {graph.output = "rstd"}) {
  %s = graph.add %a, %r : tensor<64x768xf32>
  %y, %mean, %rstd = graph.layer_norm %s, %w, %b epsilon 1.0e-5
      : (tensor<64x768xf32>, tensor<768xf32>, tensor<768xf32>)
      -> (tensor<64x768xf32>, tensor<64xf32>, tensor<64xf32>)
  graph.return %s, %y, %mean, %rstd
      : tensor<64x768xf32>, tensor<64x768xf32>, tensor<64xf32>, tensor<64xf32>
}

// -----

// CHECK: kernel.func @softmax_kernel
// CHECK-LABEL: graph.entry @softmax
// CHECK: kernel.launch @softmax_kernel
// CHECK-NOT: kernel.launch
graph.entry @softmax(%x: tensor<64x512xf32> {graph.input = "x"})
    -> (tensor<64x512xf32> {graph.output = "y"}) {
  %y = graph.softmax %x : tensor<64x512xf32>
  graph.return %y : tensor<64x512xf32>
}

// -----

// Loss and logarithm of the sum from one kernel.
// CHECK-LABEL: graph.entry @cross_entropy
// CHECK: %{{.*}}:2 = kernel.launch @cross_entropy_kernel
// CHECK-NOT: kernel.launch
graph.entry @cross_entropy(%x: tensor<256x5003xf32> {graph.input = "x"},
                           %l: tensor<256xi32> {graph.input = "l"})
    -> (tensor<256xf32> {graph.output = "loss"}, tensor<256xf32> {graph.output = "lse"}) {
  %loss, %lse = graph.cross_entropy %x, %l ignore -100
      : (tensor<256x5003xf32>, tensor<256xi32>) -> (tensor<256xf32>, tensor<256xf32>)
  graph.return %loss, %lse : tensor<256xf32>, tensor<256xf32>
}

// -----

// The bias and the activation read the product once, and write over it.
// CHECK-LABEL: graph.entry @linear
// CHECK: %[[D:.*]] = kernel.empty
// CHECK: %[[C:.*]] = kernel.contract %{{.*}}, %{{.*}} into %[[D]]
// CHECK: %[[Y:.*]] = kernel.launch @gelu_kernel({{.*}}) into(%[[C]] : tensor<64x256xf32>) site "gelu"
// CHECK: graph.return %[[Y]]
graph.entry @linear(%x: tensor<64x128xf32> {graph.input = "x"},
                    %w: tensor<128x256xf32> {graph.input = "w"},
                    %b: tensor<256xf32> {graph.input = "b"})
    -> (tensor<64x256xf32> {graph.output = "y"}) {
  %0 = graph.matmul %x, %w batch [] x [] contract [1] x [0]
      : (tensor<64x128xf32>, tensor<128x256xf32>) -> tensor<64x256xf32>
  %1 = graph.broadcast %b [1] : (tensor<256xf32>) -> tensor<64x256xf32>
  %2 = graph.add %0, %1 : tensor<64x256xf32>
  %3 = graph.gelu tanh %2 : tensor<64x256xf32>
  graph.return %3 : tensor<64x256xf32>
}

// -----

// An optimizer runs in the memory of its variables.
// CHECK: kernel.func @adamw_kernel
// CHECK-SAME: tied 0
// CHECK-SAME: tied 1
// CHECK-SAME: tied 2
// CHECK-SAME: chunks 2
// CHECK-LABEL: graph.entry @adamw
// CHECK-SAME: %[[P:[^:]*]]: tensor<512x64xf32> {graph.variable = @p}
// CHECK-SAME: %[[M:[^:]*]]: tensor<512x64xf32> {graph.variable = @"p/m"}
// CHECK-SAME: %[[V:[^:]*]]: tensor<512x64xf32> {graph.variable = @"p/v"}
// CHECK: kernel.launch @adamw_kernel({{.*}}) into(%[[P]], %[[M]], %[[V]] : {{.*}}) site "p/adamw"
// CHECK-NOT: kernel.empty
graph.variable @p : tensor<512x64xf32> kind parameter init <normal, 0.0, 0.02>
graph.variable @"p/m" : tensor<512x64xf32> kind optimizer_state init <constant, 0.0, 0.0>
graph.variable @"p/v" : tensor<512x64xf32> kind optimizer_state init <constant, 0.0, 0.0>
graph.entry @adamw(%p: tensor<512x64xf32> {graph.variable = @p},
                   %m: tensor<512x64xf32> {graph.variable = @"p/m"},
                   %v: tensor<512x64xf32> {graph.variable = @"p/v"},
                   %g: tensor<512x64xf32> {graph.input = "g"},
                   %s: tensor<f32> {graph.input = "s"}, %a: tensor<i1> {graph.input = "a"})
    -> (tensor<512x64xf32> {graph.variable = @p}, tensor<512x64xf32> {graph.variable = @"p/m"},
        tensor<512x64xf32> {graph.variable = @"p/v"}) {
  %0:3 = graph.adamw %p, %m, %v, %g, %s, %s, %s, %s, %s, %s, %s, %s, %a site "p/adamw"
      : (tensor<512x64xf32>, tensor<512x64xf32>, tensor<512x64xf32>, tensor<512x64xf32>,
         tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>,
         tensor<f32>, tensor<f32>, tensor<i1>)
      -> (tensor<512x64xf32>, tensor<512x64xf32>, tensor<512x64xf32>)
  graph.return %0#0, %0#1, %0#2 : tensor<512x64xf32>, tensor<512x64xf32>, tensor<512x64xf32>
}

// -----

// Slices and reshapes of a product are views, read by the library as they lie.
// CHECK-LABEL: graph.entry @views
// CHECK: %[[C:.*]] = kernel.contract
// CHECK: kernel.view %[[C]] offset 0 strides [1536, 96, 8, 1]
// CHECK: kernel.view %[[C]] offset 32 strides [1536, 96, 8, 1]
// CHECK: kernel.contract
// CHECK-NOT: kernel.launch
graph.entry @views(%x: tensor<2x16x24xf32> {graph.input = "x"},
                   %w: tensor<24x3x4x8xf32> {graph.input = "w"})
    -> (tensor<2x4x16x16xf32> {graph.output = "y"}) {
  %0 = graph.matmul %x, %w batch [] x [] contract [2] x [0]
      : (tensor<2x16x24xf32>, tensor<24x3x4x8xf32>) -> tensor<2x16x3x4x8xf32>
  %1 = graph.slice %0 [0, 0, 0, 0, 0] : (tensor<2x16x3x4x8xf32>) -> tensor<2x16x1x4x8xf32>
  %2 = graph.slice %0 [0, 0, 1, 0, 0] : (tensor<2x16x3x4x8xf32>) -> tensor<2x16x1x4x8xf32>
  %3 = graph.reshape %1 : (tensor<2x16x1x4x8xf32>) -> tensor<2x16x4x8xf32>
  %4 = graph.reshape %2 : (tensor<2x16x1x4x8xf32>) -> tensor<2x16x4x8xf32>
  %5 = graph.matmul %3, %4 batch [0, 2] x [0, 2] contract [3] x [3]
      : (tensor<2x16x4x8xf32>, tensor<2x16x4x8xf32>) -> tensor<2x4x16x16xf32>
  graph.return %5 : tensor<2x4x16x16xf32>
}

// -----

// The rows of an embedding's gradient are added to the product's memory.
// CHECK-LABEL: graph.entry @tied_embedding
// CHECK: %[[C:.*]] = kernel.contract
// CHECK: kernel.launch @embedding_grad_add_kernel({{.*}}) into(%[[C]] : tensor<1024x64xf32>)
// CHECK-NOT: kernel.launch
graph.entry @tied_embedding(%x: tensor<128x64xf32> {graph.input = "x"},
                            %g: tensor<128x1024xf32> {graph.input = "g"},
                            %i: tensor<128xi32> {graph.input = "i"})
    -> (tensor<1024x64xf32> {graph.output = "y"}) {
  %0 = graph.matmul %g, %x batch [] x [] contract [0] x [0]
      : (tensor<128x1024xf32>, tensor<128x64xf32>) -> tensor<1024x64xf32>
  %1 = graph.embedding_grad %i, %x
      : (tensor<128xi32>, tensor<128x64xf32>) -> tensor<1024x64xf32>
  %2 = graph.add %0, %1 : tensor<1024x64xf32>
  graph.return %2 : tensor<1024x64xf32>
}

// -----

// A sum of squares goes by way of one result a row.
// CHECK-LABEL: graph.entry @norm
// CHECK: %[[R:.*]] = kernel.launch @[[K:.*]](%{{.*}} : tensor<512x64xf32>) into(%{{.*}} : tensor<512xf32>)
// CHECK: kernel.launch @{{.*}}(%[[R]] : tensor<512xf32>) into(%{{.*}} : tensor<f32>)
graph.entry @norm(%x: tensor<512x64xf32> {graph.input = "x"}) -> (tensor<f32> {graph.output = "y"}) {
  %0 = graph.mul %x, %x : tensor<512x64xf32>
  %1 = graph.reduce sum %0 [0, 1] : (tensor<512x64xf32>) -> tensor<f32>
  graph.return %1 : tensor<f32>
}

// -----

// Products of micro-batches add to the accumulator, which keeps its memory.
// CHECK-LABEL: graph.entry @accumulate
// CHECK: %[[E:.*]] = kernel.empty
// CHECK: %[[Z:.*]] = kernel.fill 0.0{{.*}} into %[[E]]
// CHECK: dist.micro_batches(%[[Z]]
// CHECK: ^bb0(%[[A:.*]]: tensor<24x40xf32>):
// CHECK: %[[S:.*]] = kernel.contract %{{.*}}, %{{.*}} into %[[A]] maps {{.*}} accumulate
// CHECK: dist.yield %[[S]]
module attributes {dist.mesh = #dist.mesh<mb=2 : time>} {
  graph.entry @accumulate(%x: tensor<5x24xf32> {graph.input = "x"},
                          %g: tensor<5x40xf32> {graph.input = "g"})
      -> (tensor<24x40xf32> {graph.output = "y"}) {
    %zero = graph.constant dense<0.0> : tensor<24x40xf32>
    %0 = dist.micro_batches(%zero : tensor<24x40xf32>) -> (tensor<24x40xf32>) {
    ^bb0(%acc: tensor<24x40xf32>):
      %a = dist.local_slice %x {axes = array<i64: 0>, dim = 0 : i64}
          : (tensor<5x24xf32>) -> tensor<3x24xf32, #dist.shard<[5:0, 24]>>
      %b = dist.local_slice %g {axes = array<i64: 0>, dim = 0 : i64}
          : (tensor<5x40xf32>) -> tensor<3x40xf32, #dist.shard<[5:0, 40]>>
      %c = graph.matmul %a, %b batch [] x [] contract [0] x [0]
          : (tensor<3x24xf32, #dist.shard<[5:0, 24]>>, tensor<3x40xf32, #dist.shard<[5:0, 40]>>)
          -> tensor<24x40xf32>
      %s = graph.add %acc, %c : tensor<24x40xf32>
      dist.yield %s : tensor<24x40xf32>
    }
    graph.return %0 : tensor<24x40xf32>
  }
}

// -----

// Collectives receive a destination; a kernel's code takes its extents at run
// time, as `scalars` lists them.
// CHECK: kernel.func @relu_kernel
// CHECK-SAME: attributes {scalars = [array<i64: 5, 1, 0, 0, 1>]}
// CHECK-LABEL: graph.entry @collective
// CHECK: kernel.launch @relu_kernel
// CHECK: %[[D:.*]] = kernel.empty
// CHECK: dist.all_gather %{{.*}} into %[[D]]
module attributes {dist.mesh = #dist.mesh<dp=2>} {
  graph.variable @v : tensor<5x7xf32> kind parameter init <constant, 0.0, 0.0>
      {dist.layout = #dist.layout<[S(0)]>}
  graph.entry @collective(%x: tensor<3x7xf32, #dist.shard<[5:0, 7]>>
          {graph.variable = @v, dist.layout = #dist.layout<[S(0)]>})
      -> (tensor<5x7xf32> {graph.output = "y"}) {
    %0 = graph.relu %x : tensor<3x7xf32, #dist.shard<[5:0, 7]>>
    %1 = dist.all_gather %0 {axes = array<i64: 0>, dim = 0 : i64}
        : (tensor<3x7xf32, #dist.shard<[5:0, 7]>>) -> tensor<5x7xf32>
    graph.return %1 : tensor<5x7xf32>
  }
}
