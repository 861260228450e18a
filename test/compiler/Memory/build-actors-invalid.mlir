// RUN: weir-opt %s --weir-build-actors --split-input-file --verify-diagnostics

// What the pass refuses.

graph.variable @w : tensor<4xf32> kind parameter init <constant, 0.0>
// expected-error@+1 {{expects variable 'w' to be updated in place; its new value is in 'd'}}
pipe.program @f role 0 entry "f" tasks [forward] schedule "F0"
    (%w: tensor<4xf32> {graph.variable = @w}) -> (tensor<4xf32> {graph.variable = @w}) {
  %d = kernel.empty "d" : tensor<4xf32>
  %0 = kernel.fill 0.0 into %d : tensor<4xf32> -> tensor<4xf32>
  pipe.return %0 : tensor<4xf32>
}

// -----

// expected-error@+1 {{expects output 'y' to have a buffer of its own, got 'x'}}
pipe.program @f role 0 entry "f" tasks [forward] schedule "F0"
    (%x: tensor<4xf32> {graph.input = "x"}) -> (tensor<4xf32> {graph.output = "y"}) {
  pipe.return %x : tensor<4xf32>
}

// -----

// expected-error@+1 {{expects output 'z' to have a buffer of its own, got 'y'}}
pipe.program @f role 0 entry "f" tasks [forward] schedule "F0"
    () -> (tensor<4xf32> {graph.output = "y"}, tensor<4xf32> {graph.output = "z"}) {
  %d = kernel.empty "d" : tensor<4xf32>
  %0 = kernel.fill 0.0 into %d : tensor<4xf32> -> tensor<4xf32>
  pipe.return %0, %0 : tensor<4xf32>, tensor<4xf32>
}

// -----

pipe.program @f role 0 entry "f" tasks [forward] schedule "F0"
    (%x: tensor<4xf32> {graph.input = "x"}) {
  // expected-error@+1 {{writes input 'x' of the caller}}
  %0 = kernel.fill 0.0 into %x : tensor<4xf32> -> tensor<4xf32>
  pipe.return
}

// -----

pipe.program @f role 0 entry "f" tasks [forward] schedule "F0"
    (%x: tensor<4xf32> {graph.input = "x"}) {
  // expected-error@+1 {{is not an op of a program of kernels}}
  %0 = graph.exp %x : tensor<4xf32>
  pipe.return
}

// -----

module attributes {dist.mesh = #dist.mesh<mb=2 : time>} {
  pipe.program @f role 0 entry "f" tasks [forward] schedule "F0" () {
    %d = kernel.empty "acc" : tensor<4xf32>
    %0 = kernel.fill 0.0 into %d : tensor<4xf32> -> tensor<4xf32>
    // expected-error@+1 {{expects accumulator 0 to be updated in place; it is in 'acc', what is handed on in 'other'}}
    %1 = dist.micro_batches(%0 : tensor<4xf32>) -> (tensor<4xf32>) {
    ^bb0(%a: tensor<4xf32>):
      %e = kernel.empty "other" : tensor<4xf32>
      %2 = kernel.fill 0.0 into %e : tensor<4xf32> -> tensor<4xf32>
      dist.yield %2 : tensor<4xf32>
    }
    pipe.return
  }
}

// -----

module attributes {dist.mesh = #dist.mesh<dp=2>} {
  // expected-error@+1 {{expects input 'x' to be whole, got 'tensor<2xf32, #dist.shard<[3:0]>>'}}
  pipe.program @f role 0 entry "f" tasks [forward] schedule "F0"
      (%x: tensor<2xf32, #dist.shard<[3:0]>> {graph.input = "x"}) {
    pipe.return
  }
}

// -----

// expected-error@+1 {{expects role 0, got 1: more than one stage is not supported}}
pipe.program @f role 1 entry "f" tasks [forward] schedule "F0" () {
  pipe.return
}
