// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_COMPILER_PIPELINE_PASSES
#define WEIR_COMPILER_PIPELINE_PASSES

include "mlir/Pass/PassBase.td"

def PartitionStagesPass : Pass<"weir-partition-stages", "::mlir::ModuleOp"> {
  let summary = "Makes one program a role of every entry.";
  let description = [{
    In: entries of the `graph` dialect on local types, collectives, and the
    micro-batch loop. Out: one `pipe.program` for each entry, of role 0 (one
    stage), with the entry's body, bindings and layouts. Its tasks are those
    that `graph.task` names on the ops (forward alone where no op is named); the
    schedule does the forward and the backward task of a micro-batch one after
    the other, then the next micro-batch, then the update.

    Refuses an entry with more than one micro-batch loop.
  }];
  let dependentDialects = ["::weir::pipe::PipeDialect"];
}

#endif // WEIR_COMPILER_PIPELINE_PASSES
