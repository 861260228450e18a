// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_COMPILER_AUTODIFF_PASSES
#define WEIR_COMPILER_AUTODIFF_PASSES

include "mlir/Pass/PassBase.td"

def BuildTrainEntryPass : Pass<"weir-build-train-entry", "::mlir::ModuleOp"> {
  let summary = "Turns the entry `loss` into `train`: gradients, clipping and optimizer.";
  let description = [{
    In: an entry `@loss` whose results are `loss_sum` and `count` (rank-0 f32):
    the summed loss of a batch and the number of its terms. Variables of kind
    `parameter` and float type are trained.

    Out: the entry is `@train`. It computes the gradients of `loss_sum` in
    reverse mode and then, with rank-0 f32 inputs of these names,

    ```
    norm  = sqrt(sum of squares of all gradients) / count
    scale = (max_norm > 0 ? min(1, max_norm / (norm + 1e-6)) : 1) / count
    apply = isfinite(loss_sum) and isfinite(norm)
    ```

    (PyTorch's `clip_grad_norm_` of the mean loss's gradients), and one update
    op for each parameter, site `NAME/adamw` or `NAME/sgd`. New variables of
    kind `optimizer_state`, first value 0: `NAME/m` and `NAME/v` (adamw), or
    `NAME/m`, the momentum buffer (sgd). They take over the parameter's other
    attributes (its layout, for one).

    Inputs that are added: `max_norm`; for each group `i` in use
    `group<i>.learning_rate` and `group<i>.weight_decay`; adamw: `beta1`,
    `beta2`, `epsilon`, `correction1`, `correction2`; sgd: `momentum`.
    Outputs: `loss` (`loss_sum / count`), `count`, `gradient_norm` (`norm`),
    `applied` (1 or 0), and with `emit-gradients` `gradient/NAME` for every
    parameter (of `loss_sum`, not clipped).

    Each op of the entry gets `graph.task`: `forward`, `backward` or `update`.
    Other entries stay as they are.

    A parameter's group is that of the first of `groups` whose pattern (`*`, `?`,
    `[a-z]`) matches its name. Where none does, it is 1 (no decay, as the run
    sets it by default) for tensors of rank 0 and 1 in the checkpoint (biases,
    norms), else 0. A parameter that the loss does not depend on is not updated,
    with a warning.

    Refuses: no `@loss`, or one with other results; an existing `@train`; ops
    without a gradient between a parameter and the loss; a module without a
    parameter that the loss depends on; an unknown optimizer; malformed groups.

    Report keys: none.
  }];
  let options = [
    Option<"optimizer", "optimizer", "std::string", "\"adamw\"", "`adamw` or `sgd`">,
    ListOption<"groups", "groups", "std::string",
               "parameter groups, `pattern=index`; the first match wins">,
    Option<"emitGradients", "emit-gradients", "bool", "false",
           "also output every gradient as `gradient/NAME`">
  ];
  let dependentDialects = ["::weir::graph::GraphDialect"];
}

#endif // WEIR_COMPILER_AUTODIFF_PASSES
