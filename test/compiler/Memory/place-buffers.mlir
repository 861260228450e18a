// RUN: weir-opt %s --weir-place-buffers --weir-verify-plan --split-input-file | FileCheck %s

// Entries share the segment, each from its start; of one entry, buffers share
// memory when their lifetimes do not meet.

// CHECK: actor.segment "step" kind step bytes 128
actor.plan role 0 team 1 {
  %p = actor.segment "parameters" kind parameters bytes 64
  // CHECK-LABEL: actor.entry "train"
  actor.entry "train" micro_batches 1 inputs [] outputs [] scalars [] {
    %compute = actor.stream "compute"
    // CHECK: actor.buffer "a" bytes 60 in %{{.*}} offset 0
    %a = actor.buffer "a" bytes 60
    // CHECK: actor.buffer "b" bytes 60 in %{{.*}} offset 64
    %b = actor.buffer "b" bytes 60
    // CHECK: actor.buffer "c" bytes 60 in %{{.*}} offset 0
    %c = actor.buffer "c" bytes 60
    %0 = actor.actor "0" on %compute {
      actor.kernel @k(%a) offsets [0] reads 0 scalars [] chunks 1 site "0"
      actor.kernel @k(%a, %b) offsets [0, 0] reads 1 scalars [] chunks 1 site "1"
      actor.kernel @k(%b, %c) offsets [0, 0] reads 1 scalars [] chunks 1 site "2"
    }
    actor.schedule %compute [%0] micro_batches [-1]
  }
  // CHECK-LABEL: actor.entry "evaluate"
  actor.entry "evaluate" micro_batches 1 inputs [] outputs [] scalars [] {
    %compute = actor.stream "compute"
    // CHECK: actor.buffer "a" bytes 60 in %{{.*}} offset 0
    %a = actor.buffer "a" bytes 60
    %0 = actor.actor "0" on %compute {
      actor.kernel @k(%a) offsets [0] reads 0 scalars [] chunks 1 site "0"
    }
    actor.schedule %compute [%0] micro_batches [-1]
  }
}

// -----

// Two streams in a loop: what `comm` reads of one micro-batch, `compute` writes
// again for the next. The register's slot orders that of the value itself; the
// buffer that shares its memory needs an edge to the next micro-batch.

// CHECK: actor.segment "step" kind step bytes 64
actor.plan role 0 team 1 {
  actor.entry "train" micro_batches 4 inputs [] outputs [] scalars [] {
    %compute = actor.stream "compute"
    %comm = actor.stream "comm"
    %a = actor.buffer "a" bytes 64
    %b = actor.buffer "b" bytes 64
    // CHECK: %[[P:.*]] = actor.actor "p"
    %p = actor.actor "p" on %compute per_micro_batch {
      actor.kernel @k(%b) offsets [0] reads 0 scalars [] chunks 1 site "b"
    }
    // CHECK: %[[Q:.*]] = actor.actor "q"
    %q = actor.actor "q" on %compute per_micro_batch {
      actor.kernel @k(%a) offsets [0] reads 0 scalars [] chunks 1 site "a"
    }
    // CHECK: %[[R:.*]] = actor.actor "r"
    %r = actor.actor "r" on %comm per_micro_batch {
      actor.kernel @k(%a) offsets [0] reads 1 scalars [] chunks 1 site "r"
    }
    // CHECK: actor.register
    // CHECK-NEXT: actor.reuse %[[R]] then %[[P]] distance 1
    // CHECK-NOT: actor.reuse
    actor.register %a from %q to %r slots 1
    actor.schedule %compute [%p, %q, %p, %q, %p, %q, %p, %q] micro_batches [0, 0, 1, 1, 2, 2, 3, 3]
    actor.schedule %comm [%r, %r, %r, %r] micro_batches [0, 1, 2, 3]
  }
}

// -----

// A carried buffer is live throughout the loop, one of a single micro-batch is
// not, an output lives to the end.

// CHECK: actor.segment "step" kind step bytes 192
actor.plan role 0 team 1 {
  actor.entry "train" micro_batches 2 inputs [] outputs [#actor.binding<"y", tensor<16xf32>>] scalars [] {
    %compute = actor.stream "compute"
    // CHECK: "carried" bytes 64 in %{{.*}} offset [[C:[0-9]+]] carried
    %c = actor.buffer "carried" bytes 64 carried
    %y = actor.buffer "y" bytes 64 output 0
    %a = actor.buffer "a" bytes 64
    %b = actor.buffer "b" bytes 64
    %0 = actor.actor "0" on %compute per_micro_batch {
      actor.kernel @k(%a) offsets [0] reads 0 scalars [] chunks 1 site "a"
      actor.kernel @k(%b) offsets [0] reads 0 scalars [] chunks 1 site "b"
      actor.kernel @k(%c) offsets [0] reads 0 scalars [] chunks 1 site "c"
      actor.kernel @k(%y) offsets [0] reads 0 scalars [] chunks 1 site "y"
    }
    %1 = actor.actor "1" on %compute {
      actor.kernel @k(%b) offsets [0] reads 1 scalars [] chunks 1 site "b"
    }
    actor.schedule %compute [%0, %0, %1] micro_batches [0, 1, -1]
  }
}
