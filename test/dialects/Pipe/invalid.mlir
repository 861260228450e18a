// RUN: weir-opt %s --split-input-file --verify-diagnostics

// Every rule of the verifiers.

// expected-error@+1 {{expects a role of at least 0, got -1}}
pipe.program @f role -1 entry "f" tasks [forward] schedule "F0" () { pipe.return }

// -----

// expected-error@+1 {{expects forward, backward or update, got 'sideward'}}
pipe.program @f role 0 entry "f" tasks [sideward] schedule "F0" () { pipe.return }

// -----

// expected-error@+1 {{expects argument 0 to be bound to a variable or to an input, one of them}}
pipe.program @f role 0 entry "f" tasks [forward] schedule "F0" (%x: tensor<4xf32>) { pipe.return }

// -----

// expected-error@+1 {{expects variable 'w' to be bound to one argument}}
pipe.program @f role 0 entry "f" tasks [forward] schedule "F0"
    (%a: tensor<4xf32> {graph.variable = @w}, %b: tensor<4xf32> {graph.variable = @w}) { pipe.return }

// -----

// expected-error@+1 {{expects result 0 to update a variable or to be an output, one of them}}
pipe.program @f role 0 entry "f" tasks [forward] schedule "F0"
    (%a: tensor<4xf32> {graph.input = "a"}) -> (tensor<4xf32>) { pipe.return %a : tensor<4xf32> }

// -----

// expected-error@+1 {{expects updated variable 'w' to be an argument}}
pipe.program @f role 0 entry "f" tasks [forward] schedule "F0"
    (%a: tensor<4xf32> {graph.input = "a"}) -> (tensor<4xf32> {graph.variable = @w}) { pipe.return %a : tensor<4xf32> }

// -----

// expected-error@+1 {{expects variable 'w' to be updated once}}
pipe.program @f role 0 entry "f" tasks [forward] schedule "F0"
    (%a: tensor<4xf32> {graph.variable = @w})
    -> (tensor<4xf32> {graph.variable = @w}, tensor<4xf32> {graph.variable = @w}) {
  pipe.return %a, %a : tensor<4xf32>, tensor<4xf32>
}

// -----

// expected-error@+1 {{expects a schedule like "F0 B0 U", got "F0 X1"}}
pipe.program @f role 0 entry "f" tasks [forward] schedule "F0 X1" () { pipe.return }

// -----

// expected-error@+1 {{expects task 'forward' to be listed once}}
pipe.program @f role 0 entry "f" tasks [forward, forward] schedule "F0" () { pipe.return }

// -----

// expected-error@+1 {{expects the schedule to name listed tasks, got 'backward'}}
pipe.program @f role 0 entry "f" tasks [forward] schedule "F0 B0" () { pipe.return }

// -----

// expected-error@+1 {{expects the update to come last in the schedule}}
pipe.program @f role 0 entry "f" tasks [forward, update] schedule "U F0" () { pipe.return }

// -----

// expected-error@+1 {{expects forward of micro-batch 1, got 2}}
pipe.program @f role 0 entry "f" tasks [forward] schedule "F0 F2" () { pipe.return }

// -----

// expected-error@+1 {{expects backward of micro-batch 0 after its forward}}
pipe.program @f role 0 entry "f" tasks [forward, backward] schedule "B0 F0" () { pipe.return }

// -----

// expected-error@+1 {{expects task 'update' in the schedule}}
pipe.program @f role 0 entry "f" tasks [forward, update] schedule "F0" () { pipe.return }

// -----

// expected-error@+1 {{expects as many backward as forward tasks, got 1 and 2}}
pipe.program @f role 0 entry "f" tasks [forward, backward] schedule "F0 B0 F1" () { pipe.return }

// -----

pipe.program @f role 0 entry "f" tasks [forward] schedule "F0"
    (%a: tensor<4xf32> {graph.input = "a"}) -> (tensor<4xf32> {graph.output = "b"}) {
  // expected-error@+1 {{expects the program's result types ('tensor<4xf32>'), got ()}}
  pipe.return
}
