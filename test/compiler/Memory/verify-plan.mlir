// RUN: weir-opt %s --weir-verify-plan --split-input-file --verify-diagnostics

// What a placed plan may not do: wait for itself, hold two live buffers in one
// place, or use memory on two streams without an order.

actor.plan role 0 team 1 {
  %s = actor.segment "step" kind step bytes 64
  // expected-error@+1 {{'e' waits for itself: 'a' waits for 'b' waits for 'c' waits for 'a'}}
  actor.entry "e" micro_batches 1 inputs [] outputs [] scalars [] {
    %compute = actor.stream "compute"
    %comm = actor.stream "comm"
    %t = actor.buffer "t" bytes 64 in %s offset 0
    %b = actor.actor "b" on %comm { actor.fill 0.0 type f32 %t site "t" }
    %a = actor.actor "a" on %compute { actor.fill 0.0 type f32 %t site "t" }
    %c = actor.actor "c" on %comm { actor.fill 0.0 type f32 %t site "t" }
    actor.reuse %b then %a distance 0
    actor.reuse %a then %c distance 0
    // Against the order of actors: c before b.
    actor.schedule %compute [%a] micro_batches [-1]
    actor.schedule %comm [%c, %b] micro_batches [-1, -1]
  }
}

// -----

actor.plan role 0 team 1 {
  %s = actor.segment "step" kind step bytes 128
  actor.entry "e" micro_batches 1 inputs [] outputs [] scalars [] {
    %compute = actor.stream "compute"
    // expected-note@+1 {{the other buffer}}
    %t = actor.buffer "t" bytes 128 in %s offset 0
    // expected-error@+1 {{'u' overlaps 't' in memory while both are live}}
    %u = actor.buffer "u" bytes 64 in %s offset 64
    %a = actor.actor "a" on %compute {
      actor.fill 0.0 type f32 %t site "t"
      actor.fill 0.0 type f32 %u site "u"
      actor.fill 0.0 type f32 %t site "t"
    }
    actor.schedule %compute [%a] micro_batches [-1]
  }
}

// -----

actor.plan role 0 team 1 {
  %s = actor.segment "step" kind step bytes 128
  actor.entry "e" micro_batches 1 inputs [] outputs [] scalars [] {
    %compute = actor.stream "compute"
    %comm = actor.stream "comm"
    %t = actor.buffer "t" bytes 128 in %s offset 0
    %u = actor.buffer "u" bytes 64 in %s offset 64
    %a = actor.actor "a" on %compute { actor.fill 0.0 type f32 %t site "t" }
    %b = actor.actor "b" on %comm {
      // expected-error@+1 {{uses the memory of 'u' in 'b' without waiting for 'a'}}
      actor.fill 0.0 type f32 %u site "u"
    }
    actor.schedule %compute [%a] micro_batches [-1]
    actor.schedule %comm [%b] micro_batches [-1]
  }
}

// -----

// The wrap to the next micro-batch counts too.
actor.plan role 0 team 1 {
  %s = actor.segment "step" kind step bytes 64
  actor.entry "e" micro_batches 2 inputs [] outputs [] scalars [] {
    %compute = actor.stream "compute"
    %comm = actor.stream "comm"
    %t = actor.buffer "t" bytes 64 in %s offset 0
    %a = actor.actor "a" on %compute per_micro_batch { actor.fill 0.0 type f32 %t site "t" }
    %b = actor.actor "b" on %comm per_micro_batch {
      // expected-error@+1 {{uses the memory of 't' in 'b' for micro-batch 0 without waiting for 'a' for micro-batch 1}}
      actor.fill 0.0 type f32 %t site "t"
    }
    actor.reuse %a then %b distance 0
    actor.schedule %compute [%a, %a] micro_batches [0, 1]
    actor.schedule %comm [%b, %b] micro_batches [0, 1]
  }
}

// -----

actor.plan role 0 team 1 {
  actor.entry "e" micro_batches 1 inputs [] outputs [] scalars [] {
    %compute = actor.stream "compute"
    // expected-error@+1 {{is used but has no place}}
    %t = actor.buffer "t" bytes 64
    %a = actor.actor "a" on %compute { actor.fill 0.0 type f32 %t site "t" }
    actor.schedule %compute [%a] micro_batches [-1]
  }
}
