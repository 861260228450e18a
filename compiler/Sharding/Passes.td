// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_COMPILER_SHARDING_PASSES
#define WEIR_COMPILER_SHARDING_PASSES

include "mlir/Pass/PassBase.td"

def FactorMeshPass : Pass<"weir-factor-mesh", "::mlir::ModuleOp"> {
  let summary = "Splits a mesh axis in two where heads come in fewer groups than it has coordinates.";
  let description = [{
    In: a module with a mesh, strategies and layouts as attributes, before any
    layout is decided. Out: where the strategy of an axis is `megatron` or
    `megatron-sp` and a variable's `weir.tp_dim` (groups of heads) has fewer
    elements than the axis has coordinates, an axis `tp=16` becomes
    `tp=8, "tp.inner"=2`; ranks keep their numbers. The outer axis splits groups
    and the inner one `weir.tp_inner_dim`, the heads of a group, so that 8
    key-value heads with 4 query heads each run on 16 coordinates with 2 query
    heads on each. The factors are those that leave the most loaded coordinate
    the least heads. Strategies and layouts that name the axis hold for both.

    Refuses a mesh that has an axis of the inner one's name.
  }];
  let dependentDialects = ["::weir::dist::DistDialect", "::weir::graph::GraphDialect"];
}

def SelectLayoutsPass : Pass<"weir-select-layouts", "::mlir::ModuleOp"> {
  let summary = "Searches the layouts of all values on the mesh axes of strategy `search`.";
  let description = [{
    In: `graph` entries on logical tensors, the module's `dist.mesh` and
    strategies. Nothing happens where no axis has the strategy `search`. Out:
    `dist.signature` (and `dist.programs`) on every compute op, with the entries
    of all space axes decided, and `dist.layout` on variables;
    `weir-propagate-layouts`, which follows, keeps these and decides
    micro-batches.

    The step's time under the cost model of the module's `dist.cluster` is
    minimised over the signatures of all ops and the layouts of all variables at
    once: work and bytes of each op, and reshards between a value's producer and
    its uses. Blocks that repeat share their decisions. Eliminations solve the
    problem exactly, or message passing bounds it from below. Axes of other
    strategies are decided first, by `weir-propagate-layouts`, as if the searched
    ones did nothing. Entries that update variables are searched first; others
    find the variables' layouts given.

    Layouts that the user gives to variables, arguments and, by overrides, to ops
    are fulfilled. Variables and the gradients that update them fit the memory
    of a device.

    Refuses two different layouts of one variable or op, layouts that no
    signature fulfils, layouts between which no reshard exists (both ends are
    named), more than three searched axes, and programs that do not fit the
    memory, with the bytes that are missing.

    Report keys, in the module attribute `weir.layout_search`, by entry:
    `seconds` (of a step), `bound` (no choice of layouts takes less, with blocks
    folded), `bytes` (of variables and gradients on a device), `ops`, `classes`
    (after folding), `candidates` (signatures after those that others can stand
    in for are gone), `core` (nodes that eliminations left to messages).
  }];
  let options = [
    ListOption<"strategies", "strategies", "std::string",
      "Strategy of mesh axes, as of weir-propagate-layouts">,
    ListOption<"overrides", "overrides", "std::string",
      "Layouts by name pattern, as of weir-propagate-layouts">,
    Option<"memory", "memory", "double", "0",
      "Bytes a device that variables and gradients may take; 0: the cluster's memory">,
    Option<"foldAbove", "fold-above", "unsigned", "256",
      "Blocks that repeat share decisions in entries of at least so many ops">
  ];
  let dependentDialects = ["::weir::graph::GraphDialect", "::weir::dist::DistDialect",
    "::weir::kernel::KernelDialect", "::mlir::arith::ArithDialect", "::mlir::math::MathDialect"];
}

def PropagateLayoutsPass : Pass<"weir-propagate-layouts", "::mlir::ModuleOp"> {
  let summary = "Decides a layout for every variable, argument, op and result.";
  let description = [{
    In: `graph` entries on logical tensors and the module's `dist.mesh`. Out: the
    same ops with attributes only: `dist.signature` on every compute op (beside
    it `dist.programs`, where that needs a split program) and `dist.layout` on variables, entry arguments and results. Without a mesh
    nothing happens.

    Axes are decided one after the other in mesh order. What is given holds,
    axis by axis: overrides and `weir.layouts`; a `dist.layout` on a variable;
    then the axis' strategy, of the pass option or `weir.strategies`:

    - `data`: the leading dim of the caller's tensors is split as soon as they
      enter, variables are whole
    - `zero1`, `zero2`, `zero3`: as `data`, with optimizer state split; with
      gradients reduced to shards in every micro-batch; with parameters split
      and gathered for each use
    - `megatron`: a variable is split along its `weir.tp_dim`, if it has one, and
      stays where it is: work on it is divided rather than it gathered
    - `megatron-sp`: as `megatron`, and the second dim of the caller's tensors,
      the sequence, is split, and with it what lies between the matrices
    - `redco`: matrices are split by columns and rows in turn, along the heads
      around attention, as the graph shows it without any `weir.tp_dim`
    - `ulysses`: sequences are split, attention by heads
    - `context`: sequences are split, attention's keys and values whole
    - `ring`: sequences are split, attention by its split program `ring`
    - `search`: what `weir-select-layouts` decided
    - `micro` (time axis): as `data`, in micro-batches; only sums may leave the
      loop. An entry that updates nothing and needs more than that is run
      without micro-batches
    - `none`: nothing but given layouts

    The strategies in force are written to the module's `weir.strategies`, which
    later passes read.

    Optimizer state `NAME/...` has the layout of variable `NAME`, split further
    where `zero1` or `zero2` say so. The caller's
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
      "Strategy of mesh axes, as 'dp=data'. Default: the module's 'weir.strategies', then 'micro' "
      "for the time axis, 'data' for an axis named 'dp', 'megatron' for one named 'tp', else 'none'">,
    ListOption<"overrides", "overrides", "std::string",
      "Layouts by name pattern, as 'h.*.mlp.c_fc.weight=[B, S(1)]' or "
      "'h.*.mlp.c_fc.weight={tp=S(1)}': of variables, and of first results of ops by location name or "
      "site. Axes that none names keep their strategy; the first that names one counts">
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
    axis, plain or with the split program that `dist.programs` names, and, where reshards are materialised, that types agree with them. All
    violations are reported.
  }];
}

def MaterializeReshardsPass : Pass<"weir-materialize-reshards", "::mlir::ModuleOp"> {
  let summary = "Inserts a reshard wherever a producer's layout and a use's disagree.";
  let description = [{
    In: decided layouts. Out: every tensor type carries its `#dist.layout`, and
    each use reads a value of its signature's layout: the producer's or a
    `dist.reshard` of it, shared by all uses of that layout and made from the
    cheapest version that exists (by the program that `weir-lower-reshards`
    would emit, under the cost model of the module's `dist.cluster`, the text of
    a cluster file, or of ranks in one process). Splat constants are copied
    instead.

    On axes of strategy `zero2` and `zero3`, gradients are scattered before they
    are summed over micro-batches; on axes of `zero3` a parameter is gathered
    again for a use that comes after the gathering of more elements than its
    own, and marked `weir.transient`, so that weir-localize makes it in the
    micro-batch loop. A sum that is scattered is made behind its terms, anything
    else in front of its first use.

    Refuses ops without a signature.
  }];
  let dependentDialects = ["::weir::dist::DistDialect"];
}

def LowerReshardsPass : Pass<"weir-lower-reshards", "::mlir::ModuleOp"> {
  let summary = "Turns reshards into collectives and local operations.";
  let description = [{
    In: materialised reshards. Out: `dist.all_reduce`, `reduce_scatter`,
    `all_gather`, `all_to_all`, `exchange`, `local_slice` and `to_partial` on
    local types, between casts from and to the types with layouts: the cheapest
    program that a search finds under the cost model of the module's
    `dist.cluster` (the text of a cluster file; without it, ranks of one
    process). Splits nest in mesh order at every step. A reduction over the time axis stays a `dist.reshard` of that axis
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

def BalanceSequencePass : Pass<"weir-balance-sequence", "::mlir::ModuleOp"> {
  let summary = "Reorders tokens so that shards of a sequence see equally many keys.";
  let description = [{
    In: `graph` entries before autodiff and the module's `dist.mesh`. Out: the
    same results, computed on sequences in another order: cut into twice as many
    chunks as `axes` have coordinates together (n), the contiguous shard of
    coordinate r is chunks r and 2n - 1 - r. Under a causal mask all shards then
    see as many pairs of query and key; contiguous ones differ by (2n - 1) / n.

    The caller's tensors of two dims or more are reordered along dim 1 as they
    enter, what joins them along the sequence where it does, and results that
    run along the sequence are put back in order. Causal attention gets
    `positions`. Ops that do not treat all places alike get their operands in
    the sequence's own order.

    Refuses lengths that 2n does not divide, dropout along the sequence (its
    random numbers go by a token's place), and unknown axes.
  }];
  let options = [
    ListOption<"axes", "axes", "std::string", "Mesh axes that split sequences, outermost first. Default: those whose strategy in the "
      "module's 'weir.strategies' is 'context-zigzag' or 'ring-zigzag'">
  ];
  let dependentDialects = ["::weir::graph::GraphDialect", "::weir::kernel::KernelDialect",
    "::mlir::arith::ArithDialect", "::mlir::math::MathDialect"];
}

def ExpandSplitProgramsPass : Pass<"weir-expand-split-programs", "::mlir::ModuleOp"> {
  let summary = "Puts the decided split programs in the place of their ops.";
  let description = [{
    In: the output of `weir-localize`, where an op whose signature needs a split
    program names it in `dist.programs`, by mesh axis. Out: in the place of each
    such op the local `graph` ops and `dist` collectives of its program over
    those axes, also within `dist.micro_batches`; no `dist.programs`.

    Refuses a program that the op does not offer on its local types, two
    programs of one op, and programs on the time axis.
  }];
  let dependentDialects = ["::weir::dist::DistDialect", "::weir::graph::GraphDialect"];
}

def FuseCollectivesPass : Pass<"weir-fuse-collectives", "::mlir::ModuleOp"> {
  let summary = "Joins collectives that feed each other or stand together, and starts them early.";
  let description = [{
    In: entries on local types, after `weir-expand-split-programs`. Out: the same
    values from fewer collectives in a better order, in entries and in
    `dist.micro_batches`:

    - an all-reduce of which only slices of one kind are read, also behind
      elementwise ops, is a reduce-scatter (and, over axes that do not slice, an
      all-reduce of the shard); the elementwise ops work on shards
    - a slice of what was gathered alike is the shard that was there; a
      reduce-scatter that is only gathered again is an all-reduce
    - a collective, with the slices that feed it, moves to where its operands are
      made, so that what is computed between there and its use hides it. One
      that takes more memory than it frees (a gather of a variable) comes at most
      one layer ahead of its use, layers being told apart by the first number in
      the names of the user's nodes
    - collectives of one kind over the same axes that stand together become one
      op of several tensors, up to `bucket-bytes`. It takes no copies: the
      tensors lie where they lay

    Order of sums and bits of results are as before, but for a reduction over
    several axes that is split in two.
  }];
  let options = [
    Option<"bucketBytes", "bucket-bytes", "int64_t", "-1",
      "Bytes of the larger of operands and results that one collective may have by joining; 0 joins "
      "none. Default: of the module's cluster, 16 latencies' worth of transfer">
  ];
  let dependentDialects = ["::weir::dist::DistDialect", "::weir::graph::GraphDialect"];
}

def ProveSignaturesPass : Pass<"weir-prove-signatures", "::mlir::ModuleOp"> {
  let summary = "Executes the derived signatures of every op and compares with the unsplit op.";
  let description = [{
    In: `graph` entries on logical tensors; unchanged. Each distinct compute op
    (name, attributes, types) is run by the interpreter on shards of small
    numbers, under every signature that its expansion derives and under every
    other assignment of `B`, `S(i)`, `P(sum)`, `P(max)` and `P(min)`. A derived
    signature that does not hold is an error; one that holds and is not derived
    is a remark. See docs/design/signatures.md.

    Skips ops of tensors of more than `max-elements`, with a remark: write a
    small module of the op in question.
  }];
  let options = [
    Option<"maxElements", "max-elements", "int64_t", "4096",
      "Elements of the largest operand or result of an op that is proved">,
    Option<"maxAssignments", "max-assignments", "int64_t", "2000",
      "Layouts of the operands that are tried; where there are more, so many are drawn">,
    Option<"integers", "integers", "int64_t", "5", "Operands of integers are below this">,
    Option<"seed", "seed", "int64_t", "1", "Seed of numbers and of drawn assignments">
  ];
}

#endif // WEIR_COMPILER_SHARDING_PASSES
