// RUN: weir-opt %s --weir-build-actors=team=2 | FileCheck %s
// RUN: weir-opt %s --weir-build-actors --weir-place-buffers --weir-verify-plan | FileCheck %s --check-prefix=PLACED

// A step with a micro-batch loop, an all-reduce and an update: variables are
// placed, the program becomes actors on two streams, values that cross them
// become registers.

#mk = affine_map<(m, n, k) -> (k, m)>
#kn = affine_map<(m, n, k) -> (k, n)>
#mn = affine_map<(m, n, k) -> (m, n)>

module attributes {dist.mesh = #dist.mesh<dp=2, mb=2 : time>} {
  graph.variable @w : tensor<8x4xf32> kind parameter init <constant, 0.0>
  graph.variable @b : tensor<5xf32> kind parameter init <constant, 0.0>
  graph.variable @"w/m" : tensor<8x4xf32> kind optimizer_state init <constant, 0.0>

  kernel.func @take ins(%x: tensor<8x8xf32> strides [8, 1])
      outs(%y: tensor<2x8xf32, #dist.shard<[7:0:1, 8]>> strides [8, 1]) chunks 1
      attributes {scalars = [array<i64: 7, 1, 0, 0, 1, 1>, array<i64: 7, 1, 0, 0, 1, 2>]} {
    kernel.yield %y : tensor<2x8xf32, #dist.shard<[7:0:1, 8]>>
  }
  kernel.func @update ins(%g: tensor<8x4xf32> strides [4, 1], %p: tensor<8x4xf32> strides [4, 1],
                          %m: tensor<8x4xf32> strides [4, 1])
      outs(%p1: tensor<8x4xf32> strides [4, 1] tied 1, %m1: tensor<8x4xf32> strides [4, 1] tied 2,
           %l: tensor<f32> strides []) chunks 4 attributes {scalars = []} {
    kernel.yield %p1, %m1, %l : tensor<8x4xf32>, tensor<8x4xf32>, tensor<f32>
  }

  // CHECK: actor.plan role 0 team 2 {
  // CHECK-NEXT: %[[P:.*]] = actor.segment "parameters" kind parameters bytes 192
  // CHECK-NEXT: %[[S:.*]] = actor.segment "state" kind state bytes 128
  // CHECK-NEXT: actor.variable @w in %[[P]] offset 0 bytes 128
  // CHECK-NEXT: actor.variable @b in %[[P]] offset 128 bytes 20
  // CHECK-NEXT: actor.variable @"w/m" in %[[S]] offset 0 bytes 128
  // CHECK-NEXT: actor.entry "train" micro_batches 2
  // CHECK-SAME: inputs [#actor.binding<"x", tensor<8x8xf32>>] outputs [#actor.binding<"loss", tensor<f32>>]
  // CHECK-SAME: scalars [#actor.scalar<extent 7 axes[0, 1]>, #actor.scalar<offset 7 axes[0, 1]>,
  // CHECK-SAME: #actor.scalar<constant 8>, #actor.scalar<constant 4>]
  pipe.program @train role 0 entry "train" tasks [forward, update] schedule "F0 F1 U"
      (%x: tensor<8x8xf32> {graph.input = "x"}, %w: tensor<8x4xf32> {graph.variable = @w},
       %m: tensor<8x4xf32> {graph.variable = @"w/m"})
      -> (tensor<8x4xf32> {graph.variable = @w}, tensor<8x4xf32> {graph.variable = @"w/m"},
          tensor<f32> {graph.output = "loss"}) {
    // CHECK: %[[COMPUTE:.*]] = actor.stream "compute"
    // CHECK: %[[COMM:.*]] = actor.stream "comm"
    // CHECK: %[[X:.*]] = actor.buffer "x" bytes 256 input 0
    // CHECK: %[[W:.*]] = actor.buffer "w" bytes 128 in %[[P]] offset 0
    // CHECK: %[[M:.*]] = actor.buffer "w/m" bytes 128 in %[[S]] offset 0
    // CHECK: %[[ACC:.*]] = actor.buffer "acc" bytes 128 carried
    // CHECK: %[[PART:.*]] = actor.buffer "part" bytes 64{{$}}
    // CHECK: %[[R:.*]] = actor.buffer "reduced" bytes 128 carried
    // CHECK: %[[LOSS:.*]] = actor.buffer "loss" bytes 4 output 0 carried
    // CHECK: %[[C:.*]] = actor.collective all_reduce sum axes [0]
    // CHECK-SAME: dims [#actor.collective_dim<8 strides 4, 4>, #actor.collective_dim<4 strides 1, 1>] type f32
    %acc = kernel.empty "acc" : tensor<8x4xf32>
    // CHECK: %[[A0:.*]] = actor.actor "acc" on %[[COMPUTE]] {
    // CHECK-NEXT: actor.fill 0.000000e+00 type f32 %[[ACC]] site "acc"
    %zero = kernel.fill 0.0 into %acc : tensor<8x4xf32> -> tensor<8x4xf32>
    %sum = dist.micro_batches(%zero : tensor<8x4xf32>) -> (tensor<8x4xf32>) {
    ^bb0(%a: tensor<8x4xf32>):
      %d = kernel.empty "part" : tensor<2x8xf32, #dist.shard<[7:0:1, 8]>>
      // CHECK: %[[A1:.*]] = actor.actor "take" on %[[COMPUTE]] per_micro_batch {
      // CHECK-NEXT: actor.kernel @take(%[[X]], %[[PART]]) offsets [0, 0] reads 1 scalars [0, 1] chunks 1 site "take"
      %part = kernel.launch @take(%x : tensor<8x8xf32>) into (%d : tensor<2x8xf32, #dist.shard<[7:0:1, 8]>>)
          site "take" -> tensor<2x8xf32, #dist.shard<[7:0:1, 8]>>
      %right = kernel.view %part offset 4 strides [8, 1]
          : (tensor<2x8xf32, #dist.shard<[7:0:1, 8]>>) -> tensor<2x4xf32, #dist.shard<[7:0:1, 4]>>
      // The uneven rows are k; offset and strides are the view's.
      // CHECK-NEXT: actor.contract %[[PART]], %[[PART]], %[[ACC]] offsets [0, 16, 0] loops []
      // CHECK-SAME: m <2 strides 1, 0, 4> n <3 strides 0, 1, 1> k <0 strides 8, 8, 0> accumulate type f32 site "mm"
      %next = kernel.contract %part, %right into %a maps [#mk, #kn, #mn] accumulate site "mm"
          : tensor<2x8xf32, #dist.shard<[7:0:1, 8]>>, tensor<2x4xf32, #dist.shard<[7:0:1, 4]>>, tensor<8x4xf32>
            -> tensor<8x4xf32>
      dist.yield %next : tensor<8x4xf32>
    }
    // CHECK: %[[A2:.*]] = actor.actor "reduced/all_reduce/post" on %[[COMM]] {
    // CHECK-NEXT: actor.phase post %[[C]], %[[ACC]], %[[R]] offsets [0, 0] site "reduced/all_reduce"
    // CHECK-NEXT: actor.phase reduce %[[C]]
    // CHECK-NEXT: actor.phase gather %[[C]]
    // CHECK-NEXT: }
    // CHECK: actor.actor "reduced/all_reduce/release" on %[[COMM]] {
    // CHECK-NEXT: actor.phase release
    %r = kernel.empty "reduced" : tensor<8x4xf32>
    %reduced = dist.all_reduce %sum into %r : tensor<8x4xf32>
        {axes = array<i64: 0>, reduction = #dist<reduction sum>} : (tensor<8x4xf32>) -> tensor<8x4xf32>
    // CHECK: %[[A4:.*]] = actor.actor "w/adamw" on %[[COMPUTE]] {
    // CHECK-NEXT: actor.kernel @update(%[[R]], %[[W]], %[[M]], %[[W]], %[[M]], %[[LOSS]]) offsets [0, 0, 0, 0, 0, 0] reads 3
    // CHECK-SAME: scalars [] chunks 4 site "w/adamw"
    %l = kernel.empty "loss sum" : tensor<f32>
    %w1, %m1, %loss = kernel.launch @update(%reduced, %w, %m : tensor<8x4xf32>, tensor<8x4xf32>, tensor<8x4xf32>)
        into (%w, %m, %l : tensor<8x4xf32>, tensor<8x4xf32>, tensor<f32>) site "w/adamw"
        -> tensor<8x4xf32>, tensor<8x4xf32>, tensor<f32>
    // CHECK: actor.register %[[ACC]] from %[[A1]] to %[[A2]] slots 1
    // CHECK: actor.register %[[R]] from %[[A2]] to %[[A4]] slots 1
    // CHECK: actor.schedule %[[COMPUTE]][%[[A0]], %[[A1]], %[[A1]], %[[A4]]] micro_batches [-1, 0, 1, -1]
    // CHECK: actor.schedule %[[COMM]]
    pipe.return %w1, %m1, %loss : tensor<8x4xf32>, tensor<8x4xf32>, tensor<f32>
  }
}

// The reduced gradient takes the place of the micro-batch's part, the loss that
// of the accumulator: it is written after the peers have read that, hence the
// reuse edge. The accumulator is live from before the loop to the release.
// PLACED: %[[STEP:.*]] = actor.segment "step" kind step bytes 256
// PLACED: actor.buffer "acc" bytes 128 in %[[STEP]] offset 0 carried
// PLACED: actor.buffer "part" bytes 64 in %[[STEP]] offset 128
// PLACED: actor.buffer "reduced" bytes 128 in %[[STEP]] offset 128
// PLACED: actor.buffer "loss" bytes 4 in %[[STEP]] offset 0 output 0
// PLACED: %[[RELEASE:.*]] = actor.actor "reduced/all_reduce/release"
// PLACED: %[[UPDATE:.*]] = actor.actor "w/adamw"
// PLACED: actor.reuse %[[RELEASE]] then %[[UPDATE]] distance 0
