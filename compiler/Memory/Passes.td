// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_COMPILER_MEMORY_PASSES
#define WEIR_COMPILER_MEMORY_PASSES

include "mlir/Pass/PassBase.td"

def BuildActorsPass : Pass<"weir-build-actors", "::mlir::ModuleOp"> {
  let summary = "Turns the programs of a role into actors.";
  let description = [{
    In: programs that hold kernels, contractions, fills, views, collectives with
    destinations and at most one micro-batch loop. Out: one `actor.plan` with
    the variables placed and, for each program, an `actor.entry` whose buffers
    are not placed yet; the programs are gone.

    Collectives become phases on the stream `comm`, everything else runs on
    `compute`; each stream keeps the program's order, which is the same on all
    ranks. An actor ends where another stream waits for what it has done, and
    before an action that waits for another stream. A value read on another
    stream than it is written on becomes a register of one slot; other
    conflicts on one buffer become reuse edges.

    Refuses a program whose loop does not update its accumulators in place, an
    updated variable or an output that is not a buffer of its own, and ops that
    are none of the above.
  }];
  let options = [
    Option<"team", "team", "int64_t", "1", "Threads of a rank.">
  ];
  let dependentDialects = ["::weir::actor::ActorDialect"];
}

def PlaceBuffersPass : Pass<"weir-place-buffers", "::mlir::ModuleOp"> {
  let summary = "Gives every buffer a place in the step segment.";
  let description = [{
    In: an `actor.plan` from `weir-build-actors`. Out: a segment `step`, each
    unplaced buffer with its offset there, and reuse edges where actors of
    different streams share memory and nothing orders them yet.

    Lifetimes run along the order of actors. A buffer whose contents outlive a
    micro-batch lives throughout the loop; outputs live to the end. Entries use
    the segment one at a time, each from its start.
  }];
  let dependentDialects = ["::weir::actor::ActorDialect"];
}

def VerifyPlanPass : Pass<"weir-verify-plan", "::mlir::ModuleOp"> {
  let summary = "Proves a placed plan live and free of races.";
  let description = [{
    Unrolls one step of each entry along its schedule. Refuses a plan in which
    firings wait for each other in a circle (phases of a collective join ranks
    that all run the same plan, so that one rank's order is everyone's), in
    which two buffers overlap while both are live, or in which two actions touch
    the same byte, one of them writing, without an order between them.
  }];
}

#endif // WEIR_COMPILER_MEMORY_PASSES
