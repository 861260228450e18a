// SPDX-License-Identifier: Apache-2.0
// RUN: weir-opt %s --weir-propagate-layouts="strategies=a=data,b=megatron" | FileCheck %s
// RUN: weir-opt %s --weir-propagate-layouts="overrides=w*=[S(0)],sum=[P(sum)]" | FileCheck %s --check-prefix=OVERRIDE
// RUN: weir-opt %s --weir-propagate-layouts="strategies=b=megatron overrides=w*={a=S(0)}" | FileCheck %s --check-prefix=NAMED
// RUN: sed -e 's/dist.mesh =/weir.strategies = {a = "zero3"}, dist.mesh =/' %s | weir-opt --weir-propagate-layouts | FileCheck %s --check-prefix=ATTRIBUTES
// RUN: not weir-opt %s --weir-propagate-layouts="overrides=nothing=[S(0)]" 2>&1 | FileCheck %s --check-prefix=UNUSED
// RUN: not weir-opt %s --weir-propagate-layouts="overrides=sum=[S(0)]" 2>&1 | FileCheck %s --check-prefix=UNSOUND
// RUN: not weir-opt %s --weir-propagate-layouts="overrides=w=[B,S(2)]" 2>&1 | FileCheck %s --check-prefix=RANK
// RUN: not weir-opt %s --weir-propagate-layouts="strategies=c=data" 2>&1 | FileCheck %s --check-prefix=AXIS
// RUN: not weir-opt %s --weir-propagate-layouts="strategies=a=fast" 2>&1 | FileCheck %s --check-prefix=STRATEGY
// RUN: not weir-opt %s --weir-propagate-layouts="overrides=w=[Q]" 2>&1 | FileCheck %s --check-prefix=LAYOUT
// RUN: sed -e 's/dist.mesh =/weir.layouts = [{match = "w", layouts = {a = 1}}], dist.mesh =/' %s | not weir-opt --weir-propagate-layouts 2>&1 | FileCheck %s --check-prefix=TEXT
// RUN: sed -e 's/weir.tp_dim = 1/weir.tp_dim = 7, weir.tp_inner_dim = 8/' %s | not weir-opt --weir-factor-mesh --weir-propagate-layouts="strategies=b=megatron" 2>&1 | FileCheck %s --check-prefix=DIM

// Strategies by axis name, layouts by pattern of variables and of ops.
// CHECK: graph.variable @w {{.*}} #dist.layout<[B, S(1)]>
// CHECK: graph.matmul {{.*}} #dist.signature<([S(0), B], [B, S(1)]) -> ([S(0), S(1)])>
// OVERRIDE: graph.variable @w {{.*}} #dist.layout<[S(0), B]>
// OVERRIDE: graph.reduce {{.*}} -> ([P(sum), B])>
// UNUSED: error: expects an override that matches a variable or an op, got 'nothing=[S(0)]'
// UNSOUND: error: {{.*}}expects an override that 'sum' (graph.reduce) can fulfil on mesh axis 'a' of size 2, got 'sum=[S(0)]'
// UNSOUND: sound on this axis:{{.*}}[S(0) -> P(sum)]
// RANK: error: expects the layout of 'w' to split one of its 2 dims on mesh axis 'b', got #dist.layout<[B, S(2)]>
// AXIS: error: expects a strategy of an axis of the mesh, got 'c=data'
// STRATEGY: error: expects a strategy among none, data, zero1, zero2, zero3, megatron, megatron-sp, ulysses, context, ring, context-zigzag, ring-zigzag, redco, search, got 'a=fast'
// An axis that an override does not name keeps its strategy.
// NAMED: module attributes {{.*}}weir.strategies = {a = "none", b = "megatron"}
// NAMED: graph.variable @w {{.*}} #dist.layout<[S(0), S(1)]>
// ATTRIBUTES: graph.variable @w {{.*}} #dist.layout<[S(0), B]>
// LAYOUT: error: expects a layout such as '[S(0), B, P(sum)]', got '[Q]'
// TEXT: error: expects a layout such as "S(0)" on axis 'a' of 'w', got 1 : i64
// DIM: error: expects the layout of 'w' to split one of its 2 dims on mesh axis 'b', got #dist.layout<[B, S(7)]>
module attributes {dist.mesh = #dist.mesh<a=2, b=2>} {
  graph.variable @w : tensor<4x6xf32> kind parameter init <normal, 0.0, 1.0> {weir.tp_dim = 1 : i64}
  graph.entry @f(%x: tensor<8x4xf32> {graph.input = "x"}, %w: tensor<4x6xf32> {graph.variable = @w})
      -> (tensor<f32> {graph.output = "y"}) {
    %0 = graph.matmul %x, %w batch [] x [] contract [1] x [0] : (tensor<8x4xf32>, tensor<4x6xf32>) -> tensor<8x6xf32>
    %1 = graph.reduce sum %0 [0, 1] : (tensor<8x6xf32>) -> tensor<f32> loc("sum")
    graph.return %1 : tensor<f32>
  }
}
