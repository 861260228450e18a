// SPDX-License-Identifier: Apache-2.0
// RUN: weir-opt %s --weir-build-train-entry --mlir-print-debuginfo --mlir-print-local-scope | FileCheck %s
// RUN: weir-opt %s --pass-pipeline='builtin.module(weir-build-train-entry{optimizer=sgd groups=wt*=4,*=2 emit-gradients})' | FileCheck %s --check-prefix=SGD

// The loss entry becomes a train entry: forward, gradients of the sum, norm,
// clipping and one update for each parameter. A table that is read twice (the
// head is tied to the embedding) gets the sum of both contributions. Other
// entries stay.

// The optimizer's state stands behind its parameter and keeps its attributes.
// CHECK: graph.variable @wte : tensor<7x4xf32> kind parameter
// CHECK: graph.variable @"wte/m" : tensor<7x4xf32> kind optimizer_state init <constant, 0.000000e+00> {weir.tp_dim = 0 : i64}
// CHECK: graph.variable @"wte/v" : tensor<7x4xf32> kind optimizer_state init <constant, 0.000000e+00> {weir.tp_dim = 0 : i64}
// CHECK: graph.variable @bias : tensor<2x2xf32> kind parameter
// CHECK: graph.variable @"bias/m"
// CHECK: graph.variable @"bias/v"
// SGD: graph.variable @"wte/m" : tensor<7x4xf32> kind optimizer_state
// SGD-NOT: graph.variable @"wte/v"
graph.variable @wte : tensor<7x4xf32> kind parameter init <normal, 0.0, 0.02> {weir.tp_dim = 0 : i64}
// Two dims here, one in the checkpoint: not decayed.
graph.variable @bias : tensor<2x2xf32> kind parameter init <constant, 0.0> stored <"b", [4]>

// CHECK-LABEL: graph.entry @evaluate(
// CHECK-NOT: graph.task
// CHECK: graph.return
graph.entry @evaluate(%table: tensor<7x4xf32> {graph.variable = @wte})
    -> (tensor<f32> {graph.output = "sum"}) {
  %0 = graph.reduce sum %table [0, 1] : (tensor<7x4xf32>) -> tensor<f32>
  graph.return %0 : tensor<f32>
}

// CHECK-LABEL: graph.entry @train(
// CHECK-SAME: %[[IDS:.*]]: tensor<3xi32> {graph.input = "ids"}
// CHECK-SAME: %[[LABELS:.*]]: tensor<3xi32> {graph.input = "labels"}
// CHECK-SAME: %[[WTE:.*]]: tensor<7x4xf32> {graph.variable = @wte}
// CHECK-SAME: %[[BIAS:.*]]: tensor<2x2xf32> {graph.variable = @bias}
// CHECK-SAME: %[[M:.*]]: tensor<7x4xf32> {graph.variable = @"wte/m"}
// CHECK-SAME: %[[V:.*]]: tensor<7x4xf32> {graph.variable = @"wte/v"}
// CHECK-SAME: tensor<2x2xf32> {graph.variable = @"bias/m"}
// CHECK-SAME: tensor<2x2xf32> {graph.variable = @"bias/v"}
// CHECK-SAME: %[[MAX:.*]]: tensor<f32> {graph.input = "max_norm"}
// CHECK-SAME: %[[LR:.*]]: tensor<f32> {graph.input = "group0.learning_rate"}
// CHECK-SAME: graph.input = "beta1"
// CHECK-SAME: graph.input = "beta2"
// CHECK-SAME: graph.input = "epsilon"
// CHECK-SAME: graph.input = "group0.weight_decay"
// CHECK-SAME: graph.input = "correction1"
// CHECK-SAME: graph.input = "correction2"
// CHECK-SAME: %[[LR1:.*]]: tensor<f32> {graph.input = "group1.learning_rate"}
// CHECK-SAME: graph.input = "group1.weight_decay"
// CHECK-SAME: -> (tensor<f32> {graph.output = "loss"}, tensor<f32> {graph.output = "count"},
// CHECK-SAME: tensor<f32> {graph.output = "gradient_norm"}, tensor<f32> {graph.output = "applied"},
// CHECK-SAME: tensor<7x4xf32> {graph.variable = @wte}, tensor<7x4xf32> {graph.variable = @"wte/m"},
// CHECK-SAME: tensor<7x4xf32> {graph.variable = @"wte/v"}, tensor<2x2xf32> {graph.variable = @bias},

// CHECK: graph.embedding {{.*}} {graph.task = "forward"} {{.*}} loc("wte")
// CHECK: graph.cross_entropy {{.*}} {graph.task = "forward"}
// CHECK: graph.cross_entropy_grad {{.*}} {graph.task = "backward"} {{.*}} loc("ce/gradient"("ce"))
// CHECK: %[[HEAD:.*]] = graph.matmul {{.*}} {graph.task = "backward"} {{.*}} -> tensor<7x4xf32> loc("lm_head/gradient"("lm_head"))
// CHECK: %[[ROWS:.*]] = graph.embedding_grad %[[IDS]], {{.*}} {graph.task = "backward"}
// CHECK: %[[SUM:.*]] = graph.add %[[HEAD]], %[[ROWS]] {graph.task = "backward"}

// CHECK: graph.mul %[[SUM]], %[[SUM]] {graph.task = "update"}
// CHECK: graph.compare gt %[[MAX]]
// CHECK: graph.adamw %[[WTE]], %[[M]], %[[V]], %[[SUM]], {{.*}}, %[[LR]], {{.*}} site "wte/adamw" {graph.task = "update"}
// CHECK: graph.adamw %[[BIAS]], {{.*}}, %[[LR1]], {{.*}} site "bias/adamw" {graph.task = "update"}

// SGD-LABEL: graph.entry @train(
// SGD-SAME: graph.input = "max_norm"
// SGD-SAME: %[[RATE:.*]]: tensor<f32> {graph.input = "group4.learning_rate"}
// SGD-SAME: graph.input = "momentum"
// SGD-SAME: graph.input = "group4.weight_decay"
// SGD-SAME: graph.input = "group2.learning_rate"
// SGD-SAME: graph.output = "gradient/wte"
// SGD-SAME: graph.output = "gradient/bias"
// SGD: graph.sgd {{.*}}, %[[RATE]], {{.*}} site "wte/sgd"
// SGD: graph.sgd {{.*}} site "bias/sgd"
graph.entry @loss(%ids: tensor<3xi32> {graph.input = "ids"},
                  %labels: tensor<3xi32> {graph.input = "labels"},
                  %table: tensor<7x4xf32> {graph.variable = @wte},
                  %bias: tensor<2x2xf32> {graph.variable = @bias})
    -> (tensor<f32> {graph.output = "loss_sum"}, tensor<f32> {graph.output = "count"}) {
  %x = graph.embedding %table, %ids : (tensor<7x4xf32>, tensor<3xi32>) -> tensor<3x4xf32> loc("wte")
  %flat = graph.reshape %bias : (tensor<2x2xf32>) -> tensor<4xf32>
  %rows = graph.broadcast %flat [1] : (tensor<4xf32>) -> tensor<3x4xf32>
  %h = graph.add %x, %rows : tensor<3x4xf32>
  %logits = graph.matmul %h, %table batch [] x [] contract [1] x [1]
      : (tensor<3x4xf32>, tensor<7x4xf32>) -> tensor<3x7xf32> loc("lm_head")
  %losses, %lse = graph.cross_entropy %logits, %labels ignore -100
      : (tensor<3x7xf32>, tensor<3xi32>) -> (tensor<3xf32>, tensor<3xf32>) loc("ce")
  %sum = graph.reduce sum %losses [0] : (tensor<3xf32>) -> tensor<f32>
  %count = graph.constant dense<3.0> : tensor<f32>
  graph.return %sum, %count : tensor<f32>, tensor<f32>
}
