// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_COMPILER_KERNELS_PASSES
#define WEIR_COMPILER_KERNELS_PASSES

include "mlir/Pass/PassBase.td"

def FormKernelsPass : Pass<"weir-form-kernels", "::mlir::ModuleOp"> {
  let summary = "Turns graph ops into fused kernels, library contractions and views.";
  let description = [{
    In: `pipe.program`s (or `graph.entry`s) with `graph` ops on local types, `dist`
    collectives and at most one `dist.micro_batches` loop. Out: the same programs
    of `kernel.launch`, `contract`, `view`, `empty` and `fill`, collectives with
    destinations, and the loop, in destination-passing form; and one
    `kernel.func` for each distinct kernel.

    Every op is expanded to its structured pieces. Then

    - a sum of products with own loops on both sides becomes `kernel.contract`,
      and adds to its accumulator in place where that dies there;
    - reshapes, transposes and slices of memory become `kernel.view`s where
      strides can express them;
    - a reduction to (nearly) nothing goes by way of one partial result a row, so
      that it runs in parallel and in one order whatever the number of threads;
    - everything else is fused: a producer into its consumer when the two are
      one loop nest with a unit-stride innermost loop (`KernelNest`), where a value
      that others read as well is stored on the way; cheap values of one large
      operand are computed again wherever they are read; reductions of the same
      operands share a pass over them. Tasks (`graph.task`), collectives and the
      loop's boundary separate kernels.

    A result takes the memory of an operand of its type that nothing reads
    later, if the kernel reads it only where it writes it: optimizers, residual
    sums and accumulators run in place. An updated variable ends in its
    argument's memory, an accumulator in the loop's, by a copy where it must.

    Kernels take `chunks` chunks when they are large enough to be worth it.
    Options: `chunks`, and `fuse=false` for one kernel a piece. Refuses pieces
    that no kernel can be made of, with the op's place. Report keys: none.
  }];
  let options = [
    Option<"chunks", "chunks", "int64_t", "1",
           "parallel chunks of a large kernel: threads of a rank">,
    Option<"fuse", "fuse", "bool", "true", "fuse pieces into common kernels">
  ];
  let dependentDialects = ["::weir::graph::GraphDialect", "::weir::kernel::KernelDialect",
                           "::weir::dist::DistDialect", "::weir::pipe::PipeDialect"];
}

#endif // WEIR_COMPILER_KERNELS_PASSES
