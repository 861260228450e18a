// RUN: weir-opt %s | FileCheck %s
// RUN: weir-opt %s | weir-opt | FileCheck %s
// RUN: weir-opt %s --mlir-print-op-generic | weir-opt | FileCheck %s

// Every op of the dialect prints as it is written.

// CHECK: actor.plan role 0 team 1 {
actor.plan role 0 team 1 {
  // CHECK: %[[P:.*]] = actor.segment "parameters" kind parameters bytes 128
  %p = actor.segment "parameters" kind parameters bytes 128
  // CHECK: %[[S:.*]] = actor.segment "step" kind step bytes 256
  %s = actor.segment "step" kind step bytes 256
  // CHECK: actor.variable @w in %[[P]] offset 64 bytes 16
  actor.variable @w in %p offset 64 bytes 16
  // CHECK: actor.entry "train" micro_batches 2
  // CHECK-SAME: inputs [#actor.binding<"x", tensor<4xf32>>] outputs [#actor.binding<"y", tensor<f32>>]
  // CHECK-SAME: scalars [#actor.scalar<constant 4>, #actor.scalar<extent 25 axes[0, 2]>, #actor.scalar<offset 25 axes[0]>] {
  actor.entry "train" micro_batches 2
      inputs [#actor.binding<"x", tensor<4xf32>>] outputs [#actor.binding<"y", tensor<f32>>]
      scalars [#actor.scalar<constant 4>, #actor.scalar<extent 25 axes [0, 2]>, #actor.scalar<offset 25 axes [0]>] {
    // CHECK: %[[COMPUTE:.*]] = actor.stream "compute"
    %compute = actor.stream "compute"
    %comm = actor.stream "comm"
    // CHECK: actor.buffer "w" bytes 16 in %[[P]] offset 64
    %w = actor.buffer "w" bytes 16 in %p offset 64
    // CHECK: actor.buffer "x" bytes 16 input 0
    %x = actor.buffer "x" bytes 16 input 0
    // CHECK: actor.buffer "y" bytes 4 in %[[S]] offset 0 output 0
    %y = actor.buffer "y" bytes 4 in %s offset 0 output 0
    // CHECK: %[[T:.*]] = actor.buffer "t" bytes 4 in %[[S]] offset 64 slots 2 stride 64 carried
    %t = actor.buffer "t" bytes 4 in %s offset 64 slots 2 stride 64 carried
    // CHECK: actor.buffer "u" bytes 4{{$}}
    %u = actor.buffer "u" bytes 4
    // CHECK: actor.collective all_reduce sum axes [1]
    // CHECK-SAME: dims [#actor.collective_dim<8 strides 1, 1>, #actor.collective_dim<25 in[0] out[0] strides 8, 8>] type f32
    %c = actor.collective all_reduce sum axes [1]
        dims [#actor.collective_dim<8 strides 1, 1>, #actor.collective_dim<25 in [0] out [0] strides 8, 8>] type f32
    // CHECK: %[[A:.*]] = actor.actor "a" on %[[COMPUTE]] per_micro_batch {
    %a = actor.actor "a" on %compute per_micro_batch {
      // CHECK: actor.fill 1.500000e+00 type f32 %[[T]] site "t"
      actor.fill 1.5 type f32 %t site "t"
      // CHECK: actor.kernel @k(%{{.*}}, %[[T]]) offsets [0, 4] reads 1 scalars [2] chunks 8 site "k"
      actor.kernel @k(%x, %t) offsets [0, 4] reads 1 scalars [2] chunks 8 site "k"
      // CHECK: actor.contract %{{.*}}, %{{.*}}, %[[T]] offsets [0, 0, 0] loops [#actor.contract_dim<1 strides 8, 0, 4>]
      // CHECK-SAME: m <0 strides 4, 0, 1> n <0 strides 0, 1, 1> k <0 strides 1, 4, 0> accumulate type f32 site "mm"
      actor.contract %x, %w, %t offsets [0, 0, 0] loops [#actor.contract_dim<1 strides 8, 0, 4>]
          m <0 strides 4, 0, 1> n <0 strides 0, 1, 1> k <0 strides 1, 4, 0> accumulate type f32 site "mm"
    }
    // CHECK: %[[B:.*]] = actor.actor "b" on %{{.*}} per_micro_batch {
    %b = actor.actor "b" on %comm per_micro_batch {
      // CHECK: actor.phase post %{{.*}}, %[[T]], %{{.*}} offsets [0, 0] site "r"
      actor.phase post %c, %t, %u offsets [0, 0] site "r"
      actor.phase reduce %c, %t, %u offsets [0, 0] site "r"
      actor.phase gather %c, %t, %u offsets [0, 0] site "r"
      actor.phase release %c, %t, %u offsets [0, 0] site "r"
    }
    // CHECK: actor.register %[[T]] from %[[A]] to %[[B]] slots 2
    actor.register %t from %a to %b slots 2
    // CHECK: actor.reuse %[[B]] then %[[A]] distance 1
    actor.reuse %b then %a distance 1
    // CHECK: actor.schedule %[[COMPUTE]][%[[A]], %[[A]]] micro_batches [0, 1]
    actor.schedule %compute [%a, %a] micro_batches [0, 1]
    actor.schedule %comm [%b, %b] micro_batches [0, 1]
  }
}
