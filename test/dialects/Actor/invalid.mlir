// RUN: weir-opt %s --split-input-file --verify-diagnostics

// Every rule of the verifiers.

// expected-error@+1 {{expects a role of at least 0, got -1}}
actor.plan role -1 team 1 {
}

// -----

// expected-error@+1 {{expects a positive team, got 0}}
actor.plan role 0 team 0 {
}

// -----

// expected-error@+1 {{expects segment names to be unique, got 's' twice}}
actor.plan role 0 team 1 {
  %a = actor.segment "s" kind step bytes 64
  %b = actor.segment "s" kind step bytes 64
}

// -----

actor.plan role 0 team 1 {
  %s = actor.segment "step" kind step bytes 256
  // expected-error@+1 {{expects a size that is a multiple of 64 bytes, got 100}}
  %x = actor.segment "x" kind state bytes 100
}

// -----

actor.plan role 0 team 1 {
  %s = actor.segment "step" kind step bytes 256
  // expected-error@+1 {{expects an offset that is a multiple of 64, got 32}}
  actor.variable @w in %s offset 32 bytes 8
}

// -----

actor.plan role 0 team 1 {
  %s = actor.segment "step" kind step bytes 256
  // expected-error@+1 {{expects a place inside segment 'step' of 256 bytes, got 128 at 192}}
  actor.variable @w in %s offset 192 bytes 128
}

// -----

actor.plan role 0 team 1 {
  %s = actor.segment "step" kind step bytes 256
  actor.entry "e" micro_batches 2 inputs [] outputs [] scalars [#actor.scalar<constant 4>] {
    %compute = actor.stream "compute"
    %comm = actor.stream "comm"
    %t = actor.buffer "t" bytes 64 in %s offset 0
    // expected-error@+1 {{expects an offset that is a multiple of 64, got 4}}
    %x = actor.buffer "x" bytes 64 in %s offset 4
  }
}

// -----

actor.plan role 0 team 1 {
  %s = actor.segment "step" kind step bytes 256
  actor.entry "e" micro_batches 2 inputs [] outputs [] scalars [#actor.scalar<constant 4>] {
    %compute = actor.stream "compute"
    %comm = actor.stream "comm"
    %t = actor.buffer "t" bytes 64 in %s offset 0
    // expected-error@+1 {{expects a place inside segment 'step' of 256 bytes, got 128 at 192}}
    %x = actor.buffer "x" bytes 128 in %s offset 192
  }
}

// -----

actor.plan role 0 team 1 {
  %s = actor.segment "step" kind step bytes 256
  actor.entry "e" micro_batches 2 inputs [] outputs [] scalars [#actor.scalar<constant 4>] {
    %compute = actor.stream "compute"
    %comm = actor.stream "comm"
    %t = actor.buffer "t" bytes 64 in %s offset 0
    // expected-error@+1 {{expects slots at least 128 bytes apart, got 64}}
    %x = actor.buffer "x" bytes 128 in %s offset 0 slots 2 stride 64
  }
}

// -----

actor.plan role 0 team 1 {
  %s = actor.segment "step" kind step bytes 256
  actor.entry "e" micro_batches 2 inputs [] outputs [] scalars [#actor.scalar<constant 4>] {
    %compute = actor.stream "compute"
    %comm = actor.stream "comm"
    %t = actor.buffer "t" bytes 64 in %s offset 0
    // expected-error@+1 {{expects an input below 0, got 0}}
    %x = actor.buffer "x" bytes 4 input 0
  }
}

// -----

actor.plan role 0 team 1 {
  %s = actor.segment "step" kind step bytes 256
  actor.entry "e" micro_batches 2 inputs [] outputs [] scalars [#actor.scalar<constant 4>] {
    %compute = actor.stream "compute"
    %comm = actor.stream "comm"
    %t = actor.buffer "t" bytes 64 in %s offset 0
    // expected-error@+1 {{expects an output below 0, got 1}}
    %x = actor.buffer "x" bytes 4 output 1
  }
}

// -----

actor.plan role 0 team 1 {
  %s = actor.segment "step" kind step bytes 256
  actor.entry "e" micro_batches 2 inputs [] outputs [] scalars [#actor.scalar<constant 4>] {
    %compute = actor.stream "compute"
    %comm = actor.stream "comm"
    %t = actor.buffer "t" bytes 64 in %s offset 0
    // expected-error@+1 {{expects at least one slot, got 0}}
    %x = actor.buffer "x" bytes 4 slots 0 stride 0
  }
}

// -----

actor.plan role 0 team 1 {
  %s = actor.segment "step" kind step bytes 256
  actor.entry "e" micro_batches 2 inputs [] outputs [] scalars [#actor.scalar<constant 4>] {
    %compute = actor.stream "compute"
    %comm = actor.stream "comm"
    %t = actor.buffer "t" bytes 64 in %s offset 0
    // expected-error@+1 {{expects at least one mesh axis}}
    %c = actor.collective all_reduce sum axes [] dims [] type f32
  }
}

// -----

actor.plan role 0 team 1 {
  %s = actor.segment "step" kind step bytes 256
  actor.entry "e" micro_batches 2 inputs [] outputs [] scalars [#actor.scalar<constant 4>] {
    %compute = actor.stream "compute"
    %comm = actor.stream "comm"
    %t = actor.buffer "t" bytes 64 in %s offset 0
    // expected-error@+1 {{expects combiner sum where nothing is combined, got max}}
    %c = actor.collective all_gather max axes [0] dims [] type f32
  }
}

// -----

actor.plan role 0 team 1 {
  %s = actor.segment "step" kind step bytes 256
  actor.entry "e" micro_batches 2 inputs [] outputs [] scalars [#actor.scalar<constant 4>] {
    %compute = actor.stream "compute"
    %comm = actor.stream "comm"
    %t = actor.buffer "t" bytes 64 in %s offset 0
    // expected-error@+1 {{expects at least one action}}
    %x = actor.actor "x" on %compute { }
  }
}

// -----

actor.plan role 0 team 1 {
  %s = actor.segment "step" kind step bytes 256
  actor.entry "e" micro_batches 2 inputs [] outputs [] scalars [#actor.scalar<constant 4>] {
    %compute = actor.stream "compute"
    %comm = actor.stream "comm"
    %t = actor.buffer "t" bytes 64 in %s offset 0
    %x = actor.actor "x" on %compute {
      // expected-error@+1 {{expects an offset for each of 1 buffers, got 0}}
      actor.kernel @k(%t) offsets [] reads 0 scalars [] chunks 1 site "k"
    }
  }
}

// -----

actor.plan role 0 team 1 {
  %s = actor.segment "step" kind step bytes 256
  actor.entry "e" micro_batches 2 inputs [] outputs [] scalars [#actor.scalar<constant 4>] {
    %compute = actor.stream "compute"
    %comm = actor.stream "comm"
    %t = actor.buffer "t" bytes 64 in %s offset 0
    %x = actor.actor "x" on %compute {
      // expected-error@+1 {{expects offsets of at least 0, got -4}}
      actor.kernel @k(%t) offsets [-4] reads 0 scalars [] chunks 1 site "k"
    }
  }
}

// -----

actor.plan role 0 team 1 {
  %s = actor.segment "step" kind step bytes 256
  actor.entry "e" micro_batches 2 inputs [] outputs [] scalars [#actor.scalar<constant 4>] {
    %compute = actor.stream "compute"
    %comm = actor.stream "comm"
    %t = actor.buffer "t" bytes 64 in %s offset 0
    %x = actor.actor "x" on %compute {
      // expected-error@+1 {{expects at most 1 reads, got 2}}
      actor.kernel @k(%t) offsets [0] reads 2 scalars [] chunks 1 site "k"
    }
  }
}

// -----

actor.plan role 0 team 1 {
  %s = actor.segment "step" kind step bytes 256
  actor.entry "e" micro_batches 2 inputs [] outputs [] scalars [#actor.scalar<constant 4>] {
    %compute = actor.stream "compute"
    %comm = actor.stream "comm"
    %t = actor.buffer "t" bytes 64 in %s offset 0
    %x = actor.actor "x" on %compute {
      // expected-error@+1 {{expects scalars below 1, got 1}}
      actor.kernel @k(%t) offsets [0] reads 0 scalars [1] chunks 1 site "k"
    }
  }
}

// -----

actor.plan role 0 team 1 {
  %s = actor.segment "step" kind step bytes 256
  actor.entry "e" micro_batches 2 inputs [] outputs [] scalars [#actor.scalar<constant 4>] {
    %compute = actor.stream "compute"
    %comm = actor.stream "comm"
    %t = actor.buffer "t" bytes 64 in %s offset 0
    %x = actor.actor "x" on %compute {
      // expected-error@+1 {{expects at least one chunk, got 0}}
      actor.kernel @k(%t) offsets [0] reads 0 scalars [] chunks 0 site "k"
    }
  }
}

// -----

actor.plan role 0 team 1 {
  %s = actor.segment "step" kind step bytes 256
  actor.entry "e" micro_batches 2 inputs [] outputs [] scalars [#actor.scalar<constant 4>] {
    %compute = actor.stream "compute"
    %comm = actor.stream "comm"
    %t = actor.buffer "t" bytes 64 in %s offset 0
    %x = actor.actor "x" on %compute {
      // expected-error@+1 {{expects scalars below 1, got 7}}
      actor.contract %t, %t, %t offsets [0, 0, 0] loops [] m <0 strides 0, 0, 0> n <0 strides 0, 0, 0> k <7 strides 0, 0, 0> type f32 site "m"
    }
  }
}

// -----

actor.plan role 0 team 1 {
  %s = actor.segment "step" kind step bytes 256
  actor.entry "e" micro_batches 2 inputs [] outputs [] scalars [#actor.scalar<constant 4>] {
    %compute = actor.stream "compute"
    %comm = actor.stream "comm"
    %t = actor.buffer "t" bytes 64 in %s offset 0
    %c = actor.collective all_gather sum axes [0] dims [] type f32
    %x = actor.actor "x" on %compute {
      // expected-error@+1 {{expects phase reduce for all_reduce only, got all_gather}}
      actor.phase reduce %c, %t, %t offsets [0, 0] site "c"
    }
  }
}

// -----

actor.plan role 0 team 1 {
  %s = actor.segment "step" kind step bytes 256
  actor.entry "e" micro_batches 2 inputs [] outputs [] scalars [#actor.scalar<constant 4>] {
    %compute = actor.stream "compute"
    %comm = actor.stream "comm"
    %t = actor.buffer "t" bytes 64 in %s offset 0
    %a = actor.actor "a" on %compute { actor.fill 0.0 type f32 %t site "t" }
    %b = actor.actor "b" on %comm { actor.fill 0.0 type f32 %t site "t" }
    // expected-error@+1 {{expects as many slots as the buffer has, 1, got 2}}
    actor.register %t from %a to %b slots 2
  }
}

// -----

actor.plan role 0 team 1 {
  %s = actor.segment "step" kind step bytes 256
  actor.entry "e" micro_batches 2 inputs [] outputs [] scalars [#actor.scalar<constant 4>] {
    %compute = actor.stream "compute"
    %comm = actor.stream "comm"
    %t = actor.buffer "t" bytes 64 in %s offset 0
    %a = actor.actor "a" on %compute { actor.fill 0.0 type f32 %t site "t" }
    %b = actor.actor "b" on %comm { actor.fill 0.0 type f32 %t site "t" }
    // expected-error@+1 {{expects consumers on other streams than 'a', got 'a'}}
    actor.register %t from %a to %a slots 1
  }
}

// -----

actor.plan role 0 team 1 {
  %s = actor.segment "step" kind step bytes 256
  actor.entry "e" micro_batches 2 inputs [] outputs [] scalars [#actor.scalar<constant 4>] {
    %compute = actor.stream "compute"
    %comm = actor.stream "comm"
    %t = actor.buffer "t" bytes 64 in %s offset 0
    %a = actor.actor "a" on %compute { actor.fill 0.0 type f32 %t site "t" }
    %b = actor.actor "b" on %comm { actor.fill 0.0 type f32 %t site "t" }
    // expected-error@+1 {{expects each consumer once, got 'b' twice}}
    actor.register %t from %a to %b, %b slots 1
  }
}

// -----

actor.plan role 0 team 1 {
  %s = actor.segment "step" kind step bytes 256
  actor.entry "e" micro_batches 2 inputs [] outputs [] scalars [#actor.scalar<constant 4>] {
    %compute = actor.stream "compute"
    %comm = actor.stream "comm"
    %t = actor.buffer "t" bytes 64 in %s offset 0
    %a = actor.actor "a" on %compute { actor.fill 0.0 type f32 %t site "t" }
    %b = actor.actor "b" on %comm { actor.fill 0.0 type f32 %t site "t" }
    // expected-error@+1 {{expects consumer 'a' after producer 'b' in the order of actors}}
    actor.register %t from %b to %a slots 1
  }
}

// -----

actor.plan role 0 team 1 {
  %s = actor.segment "step" kind step bytes 256
  actor.entry "e" micro_batches 2 inputs [] outputs [] scalars [#actor.scalar<constant 4>] {
    %compute = actor.stream "compute"
    %comm = actor.stream "comm"
    %t = actor.buffer "t" bytes 64 in %s offset 0
    %a = actor.actor "a" on %compute { actor.fill 0.0 type f32 %t site "t" }
    %b = actor.actor "b" on %comm { actor.fill 0.0 type f32 %t site "t" }
    // expected-error@+1 {{expects actors of different streams, got 'a' and 'a'}}
    actor.reuse %a then %a distance 0
  }
}

// -----

actor.plan role 0 team 1 {
  %s = actor.segment "step" kind step bytes 256
  actor.entry "e" micro_batches 2 inputs [] outputs [] scalars [#actor.scalar<constant 4>] {
    %compute = actor.stream "compute"
    %comm = actor.stream "comm"
    %t = actor.buffer "t" bytes 64 in %s offset 0
    %a = actor.actor "a" on %compute { actor.fill 0.0 type f32 %t site "t" }
    %b = actor.actor "b" on %comm { actor.fill 0.0 type f32 %t site "t" }
    // expected-error@+1 {{expects 'b' before 'a' in the order of actors}}
    actor.reuse %b then %a distance 0
  }
}

// -----

actor.plan role 0 team 1 {
  %s = actor.segment "step" kind step bytes 256
  actor.entry "e" micro_batches 2 inputs [] outputs [] scalars [#actor.scalar<constant 4>] {
    %compute = actor.stream "compute"
    %comm = actor.stream "comm"
    %t = actor.buffer "t" bytes 64 in %s offset 0
    %a = actor.actor "a" on %compute { actor.fill 0.0 type f32 %t site "t" }
    %b = actor.actor "b" on %comm { actor.fill 0.0 type f32 %t site "t" }
    // expected-error@+1 {{expects distance 0, or 1 between actors that fire for each micro-batch, got 1}}
    actor.reuse %a then %b distance 1
  }
}

// -----

actor.plan role 0 team 1 {
  %s = actor.segment "step" kind step bytes 256
  actor.entry "e" micro_batches 2 inputs [] outputs [] scalars [#actor.scalar<constant 4>] {
    %compute = actor.stream "compute"
    %comm = actor.stream "comm"
    %t = actor.buffer "t" bytes 64 in %s offset 0
    %a = actor.actor "a" on %compute { actor.fill 0.0 type f32 %t site "t" }
    %b = actor.actor "b" on %comm { actor.fill 0.0 type f32 %t site "t" }
    // expected-error@+1 {{expects a micro-batch for each of 1 items, got 0}}
    actor.schedule %compute [%a] micro_batches []
  }
}

// -----

actor.plan role 0 team 1 {
  %s = actor.segment "step" kind step bytes 256
  actor.entry "e" micro_batches 2 inputs [] outputs [] scalars [#actor.scalar<constant 4>] {
    %compute = actor.stream "compute"
    %comm = actor.stream "comm"
    %t = actor.buffer "t" bytes 64 in %s offset 0
    %a = actor.actor "a" on %compute { actor.fill 0.0 type f32 %t site "t" }
    %b = actor.actor "b" on %comm { actor.fill 0.0 type f32 %t site "t" }
    // expected-error@+1 {{expects actors of its stream, got 'b'}}
    actor.schedule %compute [%b] micro_batches [-1]
  }
}

// -----

actor.plan role 0 team 1 {
  %s = actor.segment "step" kind step bytes 256
  actor.entry "e" micro_batches 2 inputs [] outputs [] scalars [#actor.scalar<constant 4>] {
    %compute = actor.stream "compute"
    %comm = actor.stream "comm"
    %t = actor.buffer "t" bytes 64 in %s offset 0
    %a = actor.actor "a" on %compute { actor.fill 0.0 type f32 %t site "t" }
    %b = actor.actor "b" on %comm { actor.fill 0.0 type f32 %t site "t" }
    // expected-error@+1 {{expects actor 'a' to fire once, for -1, got micro-batch 0}}
    actor.schedule %compute [%a] micro_batches [0]
  }
}

// -----

actor.plan role 0 team 1 {
  %s = actor.segment "step" kind step bytes 256
  actor.entry "e" micro_batches 2 inputs [] outputs [] scalars [#actor.scalar<constant 4>] {
    %compute = actor.stream "compute"
    %comm = actor.stream "comm"
    %t = actor.buffer "t" bytes 64 in %s offset 0
    // expected-error@+1 {{expects to be scheduled 2 times, got 1}}
    %a = actor.actor "a" on %compute per_micro_batch { actor.fill 0.0 type f32 %t site "t" }
    actor.schedule %compute [%a] micro_batches [0]
  }
}

// -----

actor.plan role 0 team 1 {
  %s = actor.segment "step" kind step bytes 256
  // expected-error@+1 {{expects the actors that fire for each micro-batch to stand together}}
  actor.entry "e" micro_batches 2 inputs [] outputs [] scalars [#actor.scalar<constant 4>] {
    %compute = actor.stream "compute"
    %comm = actor.stream "comm"
    %t = actor.buffer "t" bytes 64 in %s offset 0
    %a = actor.actor "a" on %compute per_micro_batch { actor.fill 0.0 type f32 %t site "t" }
    %b = actor.actor "b" on %compute { actor.fill 0.0 type f32 %t site "t" }
    %c = actor.actor "c" on %compute per_micro_batch { actor.fill 0.0 type f32 %t site "t" }
  }
}

// -----

actor.plan role 0 team 1 {
  %s = actor.segment "step" kind step bytes 256
  // expected-error@+1 {{expects at least one micro-batch, got 0}}
  actor.entry "e" micro_batches 0 inputs [] outputs [] scalars [#actor.scalar<constant 4>] {
    %compute = actor.stream "compute"
    %comm = actor.stream "comm"
    %t = actor.buffer "t" bytes 64 in %s offset 0
  }
}
