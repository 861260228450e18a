// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_COMPILER_SHARDING_PASSES
#define WEIR_COMPILER_SHARDING_PASSES

include "mlir/Pass/PassBase.td"

def PropagateLayoutsPass : Pass<"weir-propagate-layouts", "::mlir::ModuleOp"> {
  let summary = "Decides a layout for every variable, argument, op and result.";
  let description = [{
    In: `graph` entries on logical tensors and the module's `dist.mesh`. Out: the
    same ops with attributes only: `dist.signature` on every compute op and
    `dist.layout` on variables, entry arguments and results. Without a mesh
    nothing happens.

    Axes are decided one after the other in mesh order. What is given holds: a
    `dist.layout` on a variable; overrides; then the axis' strategy:

    - `data`: the leading dim of the caller's tensors is split as soon as they
      enter, variables are whole
    - `megatron`: a variable is split along its `weir.tp_dim`, if it has one, and
      stays where it is: work on it is divided rather than it gathered
    - `micro` (time axis): as `data`, in micro-batches; only sums may leave the
      loop. An entry that updates nothing and needs more than that is run
      without micro-batches
    - `whole`: nothing but given layouts

    Optimizer state `NAME/...` has the layout of variable `NAME`. The caller's
    tensors are whole at the boundary. A `dist.layout` that the user put on such
    an argument is taken as its layout right after the boundary.

    Then every op in program order gets the signature of least cost: bytes that
    resharding its operands moves (from the best version of a value already
    made, which is counted once), bytes that reducing a partial result will
    move, and scalar operations that the axis does not divide. Constants, iota,
    broadcasts and what is made of these alone take the layout of their first
    use. Of signatures of equal cost the one with fewer partial results is
    taken, but sums of scalars wait to be reduced at the end of their chain.
    Linear in the number of ops.

    Refuses layouts that do not fit their tensor, overrides that match nothing or
    that no signature fulfils, and ops of the micro-batch loop that need what
    only all micro-batches together can give; the diagnostic names the op, its
    dims and the mesh axis.
  }];
  let options = [
    ListOption<"strategies", "strategies", "std::string",
      "Strategy of mesh axes, as 'dp=data'. Default: 'micro' for the time axis, 'data' for an "
      "axis named 'dp', 'megatron' for one named 'tp', else 'whole'">,
    ListOption<"overrides", "overrides", "std::string",
      "Layouts by name pattern, as 'h.*.mlp.c_fc.weight=[B, S(1)]': of variables, and of first results "
      "of ops by location name or site. One entry for each mesh axis; missing ones are B">
  ];
  let dependentDialects = ["::weir::graph::GraphDialect", "::weir::dist::DistDialect",
    "::weir::kernel::KernelDialect", "::mlir::arith::ArithDialect", "::mlir::math::MathDialect"];
}

def VerifyLayoutsPass : Pass<"weir-verify-layouts", "::mlir::ModuleOp"> {
  let summary = "Checks that every layout is decided and every signature sound.";
  let description = [{
    In: a module after `weir-propagate-layouts` or `weir-materialize-reshards`;
    unchanged. Checks that variables, arguments, results and compute ops carry
    layouts that fit their types and the mesh, that caller-bound tensors are
    whole, that each op's signature is one that its expansion derives, axis by
    axis, and, where reshards are materialised, that types agree with them. All
    violations are reported.
  }];
}

def MaterializeReshardsPass : Pass<"weir-materialize-reshards", "::mlir::ModuleOp"> {
  let summary = "Inserts a reshard wherever a producer's layout and a use's disagree.";
  let description = [{
    In: decided layouts. Out: every tensor type carries its `#dist.layout`, and
    each use reads a value of its signature's layout: the producer's or a
    `dist.reshard` of it, shared by all uses of that layout and made from the
    cheapest version that exists. Splat constants are copied instead.

    Refuses ops without a signature.
  }];
  let dependentDialects = ["::weir::dist::DistDialect"];
}

def LowerReshardsPass : Pass<"weir-lower-reshards", "::mlir::ModuleOp"> {
  let summary = "Turns reshards into collectives and local operations.";
  let description = [{
    In: materialised reshards. Out: `dist.all_reduce`, `reduce_scatter`,
    `all_gather`, `all_to_all`, `local_slice` and `to_partial` on local types,
    between casts from and to the types with layouts. Splits nest in mesh order
    at every step: slices and reduce-scatters as early as that allows, gathers
    last. A reduction over the time axis stays a `dist.reshard` of that axis
    alone, in front of the reshard's other steps; a slice over it comes last.

    Refuses to change a split of a dim that the time axis splits too.
  }];
  let dependentDialects = ["::weir::dist::DistDialect"];
}

def LocalizePass : Pass<"weir-localize", "::mlir::ModuleOp"> {
  let summary = "Turns logical types into local ones and forms the micro-batch loop.";
  let description = [{
    In: the output of `weir-lower-reshards`. Out: entries on local types (shape:
    capacity of the largest shard; encoding `#dist.shard` where a dim is split);
    `dist.layout` stays on variables, arguments and results. What carries a
    split or partial value over the time axis moves into one
    `dist.micro_batches`, whose accumulators are the values that are reduced
    over that axis; what these depend on stays in front, what depends on them
    behind. `dist.signature` is dropped.
  }];
  let dependentDialects = ["::weir::dist::DistDialect", "::weir::graph::GraphDialect"];
}

#endif // WEIR_COMPILER_SHARDING_PASSES
