// RUN: weir-opt %s --split-input-file --verify-diagnostics

// Every message of the dialect's verifiers and parsers.

// expected-error @+1 {{expects 'constant', 'normal' or 'uniform', got 'zeros'}}
graph.variable @w : tensor<4xf32> kind parameter init <zeros>

// -----

// expected-error @+1 {{expects one number of a constant, got also 1.000000e+00}}
graph.variable @w : tensor<4xf32> kind parameter init <constant, 0.0, 1.0>

// -----

// expected-error @+1 {{expects a standard deviation that is not negative, got -1.000000e+00}}
graph.variable @w : tensor<4xf32> kind parameter init <normal, 0.0, -1.0>

// -----

// expected-error @+1 {{expects bounds in order, got 1.000000e+00 and 0.000000e+00}}
graph.variable @w : tensor<4xf32> kind parameter init <uniform, 1.0, 0.0>

// -----

// expected-error @+1 {{expects finite numbers, got INF and 0.000000e+00}}
graph.variable @w : tensor<4xf32> kind parameter init <constant, 0x7FF0000000000000>

// -----

// expected-error @+1 {{expects the name of a stored tensor, got none}}
graph.variable @w : tensor<4xf32> kind parameter init <constant, 0.0> stored <"", [4]>

// -----

// expected-error @+1 {{expects stored sizes that are not negative, got -4}}
graph.variable @w : tensor<4xf32> kind parameter init <constant, 0.0> stored <"w", [-4]>

// -----

// expected-error @+1 {{expects the stored tensor 'w' to have 4 elements, as the variable has, got 6}}
graph.variable @w : tensor<4xf32> kind parameter init <constant, 0.0> stored <"w", [2, 3]>

// -----

// expected-error @+1 {{expects a logical type without encoding, got 'tensor<2xf32, #dist.shard<[4:0]>>'}}
graph.variable @w : tensor<2xf32, #dist.shard<[4:0]>> kind parameter init <constant, 0.0>

// -----

// expected-error @+1 {{failed to satisfy constraint: type attribute of ranked tensor of static shape}}
graph.variable @w : tensor<?xf32> kind parameter init <constant, 0.0>

// -----

graph.variable @w : tensor<4xf32> kind parameter init <constant, 0.0>

// expected-error @+1 {{expects argument 0 to have one of 'graph.variable' and 'graph.input', got none}}
graph.entry @e(%w: tensor<4xf32>) {
  graph.return
}

// -----

graph.variable @w : tensor<4xf32> kind parameter init <constant, 0.0>

// expected-error @+1 {{expects argument 0 to have one of 'graph.variable' and 'graph.input', got both}}
graph.entry @e(%w: tensor<4xf32> {graph.variable = @w, graph.input = "w"}) {
  graph.return
}

// -----

graph.variable @w : tensor<4xf32> kind parameter init <constant, 0.0>

// expected-error @+1 {{expects 'graph.variable' of argument 0 to be a symbol, got "w"}}
graph.entry @e(%w: tensor<4xf32> {graph.variable = "w"}) {
  graph.return
}

// -----

graph.variable @w : tensor<4xf32> kind parameter init <constant, 0.0>

// expected-error @+1 {{expects 'graph.input' of argument 0 to be a string that is not empty, got ""}}
graph.entry @e(%w: tensor<4xf32> {graph.input = ""}) {
  graph.return
}

// -----

graph.variable @w : tensor<4xf32> kind parameter init <constant, 0.0>

// expected-error @+1 {{expects argument 0 to be a tensor, got 'f32'}}
graph.entry @e(%w: f32 {graph.input = "x"}) {
  graph.return
}

// -----

graph.variable @w : tensor<4xf32> kind parameter init <constant, 0.0>

// expected-error @+1 {{expects arguments bound to different things, got 'w' for arguments 0 and 1}}
graph.entry @e(%w: tensor<4xf32> {graph.variable = @w}, %v: tensor<4xf32> {graph.variable = @w}) {
  graph.return
}

// -----

graph.variable @w : tensor<4xf32> kind parameter init <constant, 0.0>

// expected-error @+1 {{expects result 0 to be a tensor, got 'f32'}}
graph.entry @e(%w: tensor<4xf32> {graph.variable = @w}) -> (f32 {graph.output = "y"}) {
  graph.return %w : tensor<4xf32>
}

// -----

graph.variable @w : tensor<4xf32> kind parameter init <constant, 0.0>

// expected-error @+1 {{expects result 0 to have one of 'graph.variable' and 'graph.output', got none}}
graph.entry @e(%w: tensor<4xf32> {graph.variable = @w}) -> (tensor<4xf32>) {
  graph.return %w : tensor<4xf32>
}

// -----

graph.variable @w : tensor<4xf32> kind parameter init <constant, 0.0>

// expected-error @+1 {{expects outputs of different names, got 'y' for results 0 and 1}}
graph.entry @e(%w: tensor<4xf32> {graph.variable = @w}) -> (tensor<4xf32> {graph.output = "y"}, tensor<4xf32> {graph.output = "y"}) {
  graph.return %w, %w : tensor<4xf32>, tensor<4xf32>
}

// -----

graph.variable @w : tensor<4xf32> kind parameter init <constant, 0.0>

// expected-error @+1 {{expects a variable to be updated once, got 'w' for results 0 and 1}}
graph.entry @e(%w: tensor<4xf32> {graph.variable = @w}) -> (tensor<4xf32> {graph.variable = @w}, tensor<4xf32> {graph.variable = @w}) {
  graph.return %w, %w : tensor<4xf32>, tensor<4xf32>
}

// -----

graph.variable @w : tensor<4xf32> kind parameter init <constant, 0.0>

// expected-error @+1 {{expects the variable 'w', which result 0 updates, to be bound to an argument too}}
graph.entry @e(%x: tensor<4xf32> {graph.input = "x"}) -> (tensor<4xf32> {graph.variable = @w}) {
  graph.return %x : tensor<4xf32>
}

// -----

graph.variable @w : tensor<4xf32> kind parameter init <constant, 0.0>

// expected-error @+1 {{expects a 'graph.variable' named 'v' for argument 0, got none}}
graph.entry @e(%v: tensor<4xf32> {graph.variable = @v}) {
  graph.return
}

// -----

// expected-note @+1 {{the variable is here}}
graph.variable @w : tensor<4xf32> kind parameter init <constant, 0.0>

// expected-error @+1 {{expects argument 0 of type 'tensor<4xf32>', as its variable 'w' has, got 'tensor<5xf32>'}}
graph.entry @e(%w: tensor<5xf32> {graph.variable = @w}) {
  graph.return
}

// -----

// expected-note @+1 {{the variable is here}}
graph.variable @w : tensor<4xf32> kind parameter init <constant, 0.0>

// expected-error @+1 {{expects result 0 of type 'tensor<4xf32>', as its variable 'w' has, got 'tensor<5xf32>'}}
graph.entry @e(%w: tensor<4xf32> {graph.variable = @w}, %x: tensor<5xf32> {graph.input = "x"}) -> (tensor<5xf32> {graph.variable = @w}) {
  graph.return %x : tensor<5xf32>
}

// -----

// A shard must be the one of the argument's layout.
module attributes {dist.mesh = #dist.mesh<dp=2, tp=2>} {
// expected-note @+1 {{the variable is here}}
graph.variable @w : tensor<5xf32> kind parameter init <constant, 0.0>
// expected-error @+1 {{expects argument 0 of type 'tensor<3xf32, #dist.shard<[5:0]>>', as its variable 'w' has, got 'tensor<3xf32, #dist.shard<[5:1]>>'}}
graph.entry @e(%w: tensor<3xf32, #dist.shard<[5:1]>> {graph.variable = @w, dist.layout = #dist.layout<[S(0), B]>}) {
  graph.return
}
}

// -----

// expected-note @+1 {{the entry is here}}
graph.entry @e(%x: tensor<4xf32> {graph.input = "x"}) -> (tensor<5xf32> {graph.output = "y"}) {
  // expected-error @+1 {{expects values of the types ('tensor<5xf32>') of entry 'e', got ('tensor<4xf32>')}}
  graph.return %x : tensor<4xf32>
}

// -----

func.func @f(%x: tensor<4xf32>, %i: tensor<4xi32>, %m: tensor<4xi1>, %z: tensor<5xf32>) {
  // expected-error @+1 {{expects 'graph.task' to be "forward", "backward" or "update", got "sideways"}}
  %0 = graph.exp %x {graph.task = "sideways"} : tensor<4xf32>
  return
}

// -----

func.func @f(%x: tensor<4xf32>, %i: tensor<4xi32>, %m: tensor<4xi1>, %z: tensor<5xf32>) {
  // expected-error @+1 {{got an unknown attribute 'graph.foo'}}
  %0 = graph.exp %x {graph.foo} : tensor<4xf32>
  return
}

// -----

func.func @f(%x: tensor<4xf32>, %i: tensor<4xi32>, %m: tensor<4xi1>, %z: tensor<5xf32>) {
  // expected-error @+1 {{expects operands and results of one type, got 'tensor<4xf32>' (operand 0) and 'tensor<5xf32>' (operand 1)}}
  %0 = graph.add %x, %z : (tensor<4xf32>, tensor<5xf32>) -> tensor<4xf32>
  return
}

// -----

func.func @f(%x: tensor<4xf32>, %i: tensor<4xi32>, %m: tensor<4xi1>, %z: tensor<5xf32>) {
  // expected-error @+1 {{expects operands and results of one type, got 'tensor<4xf32>' (operand 0) and 'tensor<4xf64>' (result 0)}}
  %0 = graph.exp %x : (tensor<4xf32>) -> tensor<4xf64>
  return
}

// -----

func.func @f(%x: tensor<4xf32>, %i: tensor<4xi32>, %m: tensor<4xi1>, %z: tensor<5xf32>) {
  // expected-error @+1 {{expects 'input' of a floating-point element type, got 'i32'}}
  %0 = graph.gelu erf %i : tensor<4xi32>
  return
}

// -----

func.func @f(%x: tensor<4xf32>, %i: tensor<4xi32>, %m: tensor<4xi1>, %z: tensor<5xf32>) {
  // expected-error @+1 {{expects 'output' of element type 'i1', got 'i32'}}
  %0 = graph.compare eq %x, %x : tensor<4xf32> -> tensor<4xi32>
  return
}

// -----

func.func @f(%x: tensor<4xf32>, %i: tensor<4xi32>, %m: tensor<4xi1>, %z: tensor<5xf32>) {
  // expected-error @+1 {{expects 'condition' of element type 'i1', got 'i32'}}
  %0 = graph.select %i, %x, %x : tensor<4xi32>, tensor<4xf32>
  return
}

// -----

func.func @f(%x: tensor<4xcomplex<f32>>) {
  // expected-error @+1 {{expects 'input' of a floating-point or integer element type, got 'complex<f32>'}}
  %0 = graph.cast %x : tensor<4xcomplex<f32>> -> tensor<4xf32>
  return
}

// -----

func.func @f(%x: tensor<4xf32>, %i: tensor<4xi32>, %m: tensor<4xi1>, %z: tensor<5xf32>) {
  // expected-error @+1 {{expects 'output' of a floating-point or integer element type, got 'index'}}
  %0 = graph.cast %x : tensor<4xf32> -> tensor<4xindex>
  return
}

// -----

func.func @f() {
  // expected-error @+1 {{expects 'dim' to be a dimension of a rank-1 tensor, got 1}}
  %0 = graph.iota 1 : tensor<4xf32>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{expects 'dims' to have 2 entries, one for each dim of the operand, got 1}}
  %0 = graph.broadcast %x [0] : (tensor<4x8xf32>) -> tensor<4x8xf32>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{expects 'dims' to increase strictly, got 1 before 0}}
  %0 = graph.broadcast %x [1, 0] : (tensor<4x8xf32>) -> tensor<8x4xf32>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{expects 'dims' of a rank-2 tensor, got 2}}
  %0 = graph.broadcast %x [0, 2] : (tensor<4x8xf32>) -> tensor<4x8xf32>
  return
}

// -----

func.func @f(%x: tensor<4xf32>, %i: tensor<4xi32>, %m: tensor<4xi1>, %z: tensor<5xf32>) {
  // expected-error @+1 {{expects result dim 1 of size 4, as operand dim 0 has, got 5}}
  %0 = graph.broadcast %x [1] : (tensor<4xf32>) -> tensor<3x5xf32>
  return
}

// -----

func.func @f(%x: tensor<4xf32>, %i: tensor<4xi32>, %m: tensor<4xi1>, %z: tensor<5xf32>) {
  // expected-error @+1 {{expects 'output' of element type 'f32', got 'f64'}}
  %0 = graph.broadcast %x [0] : (tensor<4xf32>) -> tensor<4x5xf64>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{expects 'dims' of a rank-2 tensor, got -1}}
  %0 = graph.reduce sum %x [-1] : (tensor<4x8xf32>) -> tensor<4xf32>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{expects 'output' of shape [4], got [8]}}
  %0 = graph.reduce sum %x [1] : (tensor<4x8xf32>) -> tensor<8xf32>
  return
}

// -----

func.func @f(%x: tensor<4xf32>, %i: tensor<4xi32>, %m: tensor<4xi1>, %z: tensor<5xf32>) {
  // expected-error @+1 {{expects a result of 4 elements, as the operand has, got 6}}
  %0 = graph.reshape %x : (tensor<4xf32>) -> tensor<2x3xf32>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{expects 'permutation' to hold every dim once, got [0, 2]}}
  %0 = graph.transpose %x [0, 2] : (tensor<4x8xf32>) -> tensor<4x8xf32>
  return
}

// -----

func.func @f(%x: tensor<4xf32>, %i: tensor<4xi32>, %m: tensor<4xi1>, %z: tensor<5xf32>) {
  // expected-error @+1 {{expects the slice of dim 0 to lie within [0, 4), got [-1, 2)}}
  %0 = graph.slice %x [-1] : (tensor<4xf32>) -> tensor<3xf32>
  return
}

// -----

func.func @f(%x: tensor<4xf32>, %i: tensor<4xi32>, %m: tensor<4xi1>, %z: tensor<5xf32>) {
  // expected-error @+1 {{expects 'operand 1' of element type 'f32', got 'i32'}}
  %0 = graph.concat %x, %i dim 0 : (tensor<4xf32>, tensor<4xi32>) -> tensor<8xf32>
  return
}

// -----

func.func @f(%a: tensor<2x4x8xf32>, %b: tensor<2x8x6xf32>) {
  // expected-error @+1 {{expects batch and contracted dims of 'lhs' below its rank 3, got 3}}
  %0 = graph.matmul %a, %b batch [0] x [0] contract [3] x [1] : (tensor<2x4x8xf32>, tensor<2x8x6xf32>) -> tensor<2x4x6xf32>
  return
}

// -----

func.func @f(%a: tensor<2x4x8xf32>, %b: tensor<2x8x6xf32>) {
  // expected-error @+1 {{expects batch and contracted dims of 'rhs' to be distinct, got 0 twice}}
  %0 = graph.matmul %a, %b batch [0] x [0] contract [2] x [0] : (tensor<2x4x8xf32>, tensor<2x8x6xf32>) -> tensor<2x4x6xf32>
  return
}

// -----

func.func @f(%a: tensor<2x4x8xf32>, %b: tensor<2x8x6xf32>) {
  // expected-error @+1 {{expects equally many batch dims on both sides, got 1 and 0}}
  %0 = graph.matmul %a, %b batch [0] x [] contract [2] x [1] : (tensor<2x4x8xf32>, tensor<2x8x6xf32>) -> tensor<2x4x6xf32>
  return
}

// -----

func.func @f(%a: tensor<2x4x8xf32>, %b: tensor<2x8x6xf32>) {
  // expected-error @+1 {{expects equally many contracted dims on both sides, got 0 and 1}}
  %0 = graph.matmul %a, %b batch [0] x [0] contract [] x [1] : (tensor<2x4x8xf32>, tensor<2x8x6xf32>) -> tensor<2x4x6xf32>
  return
}

// -----

func.func @f(%a: tensor<2x4x8xf32>, %b: tensor<2x8x6xf32>) {
  // expected-error @+1 {{expects contracted dims of equal sizes, got 4 (dim 1 of 'lhs') and 8 (dim 1 of 'rhs')}}
  %0 = graph.matmul %a, %b batch [0] x [0] contract [1] x [1] : (tensor<2x4x8xf32>, tensor<2x8x6xf32>) -> tensor<2x4x6xf32>
  return
}

// -----

func.func @f(%a: tensor<2x4x8xf32>, %b: tensor<2x8x6xf32>) {
  // expected-error @+1 {{expects 'output' of shape [2, 4, 6], got [2, 6, 4]}}
  %0 = graph.matmul %a, %b batch [0] x [0] contract [2] x [1] : (tensor<2x4x8xf32>, tensor<2x8x6xf32>) -> tensor<2x6x4xf32>
  return
}

// -----

func.func @f(%a: tensor<2x4x8xf32>, %b: tensor<2x8x6xf64>) {
  // expected-error @+1 {{expects 'rhs' of element type 'f32', got 'f64'}}
  %0 = graph.matmul %a, %b batch [0] x [0] contract [2] x [1] : (tensor<2x4x8xf32>, tensor<2x8x6xf64>) -> tensor<2x4x6xf32>
  return
}

// -----

func.func @f(%t: tensor<9x8xf32>, %i: tensor<4xi1>) {
  // expected-error @+1 {{expects 'indices' of an integer element type, got 'i1'}}
  %0 = graph.embedding %t, %i : (tensor<9x8xf32>, tensor<4xi1>) -> tensor<4x8xf32>
  return
}

// -----

func.func @f(%t: tensor<9x8xf32>, %i: tensor<4xi32>) {
  // expected-error @+1 {{expects 'output' of shape [4, 8], got [4, 9]}}
  %0 = graph.embedding %t, %i : (tensor<9x8xf32>, tensor<4xi32>) -> tensor<4x9xf32>
  return
}

// -----

func.func @f(%u: tensor<4x9xf32>, %i: tensor<4xi32>) {
  // expected-error @+1 {{expects 'updates' of shape [4, 8], got [4, 9]}}
  %0 = graph.embedding_grad %i, %u : (tensor<4xi32>, tensor<4x9xf32>) -> tensor<9x8xf32>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>, %g: tensor<8xf32>, %h: tensor<7xf32>) {
  // expected-error @+1 {{expects 'bias' of shape [8], got [7]}}
  %0:3 = graph.layer_norm %x, %g, %h epsilon 1.0e-5 : (tensor<4x8xf32>, tensor<8xf32>, tensor<7xf32>) -> (tensor<4x8xf32>, tensor<4xf32>, tensor<4xf32>)
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>, %g: tensor<8xf32>, %h: tensor<7xf32>) {
  // expected-error @+1 {{expects 'mean' of shape [4], got [8]}}
  %0:3 = graph.layer_norm %x, %g, %g epsilon 1.0e-5 : (tensor<4x8xf32>, tensor<8xf32>, tensor<8xf32>) -> (tensor<4x8xf32>, tensor<8xf32>, tensor<4xf32>)
  return
}

// -----

func.func @f(%x: tensor<f32>, %g: tensor<8xf32>) {
  // expected-error @+1 {{expects 'input' of rank 1 or more, got 'tensor<f32>'}}
  %0:3 = graph.layer_norm %x, %g, %g epsilon 1.0e-5 : (tensor<f32>, tensor<8xf32>, tensor<8xf32>) -> (tensor<f32>, tensor<f32>, tensor<f32>)
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>, %g: tensor<8xf32>, %h: tensor<7xf32>) {
  // expected-error @+1 {{expects 'scale' of shape [8], got [7]}}
  %0:2 = graph.rms_norm %x, %h epsilon 1.0e-5 : (tensor<4x8xf32>, tensor<7xf32>) -> (tensor<4x8xf32>, tensor<4xf32>)
  return
}

// -----

func.func @f(%x: tensor<f32>, %g: tensor<8xf32>) {
  // expected-error @+1 {{expects 'input' of rank 1 or more, got 'tensor<f32>'}}
  %0:2 = graph.rms_norm %x, %g epsilon 1.0e-5 : (tensor<f32>, tensor<8xf32>) -> (tensor<f32>, tensor<f32>)
  return
}

// -----

func.func @f(%x: tensor<f32>) {
  // expected-error @+1 {{expects 'input' of rank 1 or more, got 'tensor<f32>'}}
  %0 = graph.softmax %x : tensor<f32>
  return
}

// -----

func.func @f(%x: tensor<4xi32>) {
  // expected-error @+1 {{expects 'input' of a floating-point element type, got 'i32'}}
  %0 = graph.softmax %x : tensor<4xi32>
  return
}

// -----

func.func @f(%x: tensor<12xf32>, %c: tensor<8x6xf32>) {
  // expected-error @+1 {{expects 'input' of rank 2 or more, got 'tensor<12xf32>'}}
  %0 = graph.rope %x, %c, %c seq 0 : (tensor<12xf32>, tensor<8x6xf32>, tensor<8x6xf32>) -> tensor<12xf32>
  return
}

// -----

func.func @f(%x: tensor<2x8x12xf32>, %c: tensor<8x6xf32>) {
  // expected-error @+1 {{expects 'seqDim' to be a dimension of a rank-3 tensor, got 3}}
  %0 = graph.rope %x, %c, %c seq 3 : (tensor<2x8x12xf32>, tensor<8x6xf32>, tensor<8x6xf32>) -> tensor<2x8x12xf32>
  return
}

// -----

func.func @f(%x: tensor<2x8x12xf32>, %c: tensor<8x6xf32>) {
  // expected-error @+1 {{expects 'seqDim' not to be the last dim, got 2}}
  %0 = graph.rope %x, %c, %c seq 2 : (tensor<2x8x12xf32>, tensor<8x6xf32>, tensor<8x6xf32>) -> tensor<2x8x12xf32>
  return
}

// -----

func.func @f(%x: tensor<2x8x13xf32>, %c: tensor<8x6xf32>) {
  // expected-error @+1 {{expects the last dim of 'input' to be even, got 13}}
  %0 = graph.rope %x, %c, %c seq 1 : (tensor<2x8x13xf32>, tensor<8x6xf32>, tensor<8x6xf32>) -> tensor<2x8x13xf32>
  return
}

// -----

func.func @f(%x: tensor<2x8x12xf32>, %c: tensor<8x12xf32>) {
  // expected-error @+1 {{expects 'cos' of shape [8, 6], got [8, 12]}}
  %0 = graph.rope %x, %c, %c seq 1 : (tensor<2x8x12xf32>, tensor<8x12xf32>, tensor<8x12xf32>) -> tensor<2x8x12xf32>
  return
}

// -----

func.func @f(%q: tensor<2x8x6x16xf32>, %k: tensor<2x8x2x16xf32>, %v: tensor<2x8x2x4xf32>) {
  // expected-error @+1 {{expects 'query' of rank 5, got 'tensor<2x8x6x16xf32>'}}
  %0:2 = graph.attention %q, %k, %v scale 0.25 causal : (tensor<2x8x6x16xf32>, tensor<2x8x2x16xf32>, tensor<2x8x2x4xf32>) -> (tensor<2x8x2x3x4xf32>, tensor<2x2x3x8xf32>)
  return
}

// -----

func.func @f(%q: tensor<2x8x2x3x16xf32>, %k: tensor<2x8x3x16xf32>, %v: tensor<2x8x2x4xf32>) {
  // expected-error @+1 {{expects 'key' of shape [2, 8, 2, 16], got [2, 8, 3, 16]}}
  %0:2 = graph.attention %q, %k, %v scale 0.25 causal : (tensor<2x8x2x3x16xf32>, tensor<2x8x3x16xf32>, tensor<2x8x2x4xf32>) -> (tensor<2x8x2x3x4xf32>, tensor<2x2x3x8xf32>)
  return
}

// -----

func.func @f(%q: tensor<2x8x2x3x16xf32>, %k: tensor<2x8x2x16xf32>, %v: tensor<2x7x2x4xf32>) {
  // expected-error @+1 {{expects 'value' of shape [2, 8, 2, 4], got [2, 7, 2, 4]}}
  %0:2 = graph.attention %q, %k, %v scale 0.25 causal : (tensor<2x8x2x3x16xf32>, tensor<2x8x2x16xf32>, tensor<2x7x2x4xf32>) -> (tensor<2x8x2x3x4xf32>, tensor<2x2x3x8xf32>)
  return
}

// -----

func.func @f(%q: tensor<2x8x2x3x16xf32>, %k: tensor<2x8x2x16xf32>, %v: tensor<2x8x2x4xf32>) {
  // expected-error @+1 {{expects 'output' of shape [2, 8, 2, 3, 4], got [2, 8, 2, 3, 16]}}
  %0:2 = graph.attention %q, %k, %v scale 0.25 causal : (tensor<2x8x2x3x16xf32>, tensor<2x8x2x16xf32>, tensor<2x8x2x4xf32>) -> (tensor<2x8x2x3x16xf32>, tensor<2x2x3x8xf32>)
  return
}

// -----

func.func @f(%q: tensor<2x8x2x3x16xf32>, %k: tensor<2x8x2x16xf32>, %v: tensor<2x8x2x4xf32>) {
  // expected-error @+1 {{expects 'lse' of shape [2, 2, 3, 8], got [2, 8, 2, 3]}}
  %0:2 = graph.attention %q, %k, %v scale 0.25 causal : (tensor<2x8x2x3x16xf32>, tensor<2x8x2x16xf32>, tensor<2x8x2x4xf32>) -> (tensor<2x8x2x3x4xf32>, tensor<2x8x2x3xf32>)
  return
}

// -----

func.func @f(%q: tensor<2x8x2x3x16xf32>, %k: tensor<2x7x2x16xf32>, %v: tensor<2x7x2x4xf32>) {
  // expected-error @+1 {{expects at least as many keys as queries when causal, got 7 and 8}}
  %0:2 = graph.attention %q, %k, %v scale 0.25 causal : (tensor<2x8x2x3x16xf32>, tensor<2x7x2x16xf32>, tensor<2x7x2x4xf32>) -> (tensor<2x8x2x3x4xf32>, tensor<2x2x3x8xf32>)
  return
}

// -----

func.func @f(%q: tensor<2x8x2x3x16xf32>, %k: tensor<2x8x2x16xf32>, %v: tensor<2x8x2x4xf32>, %o: tensor<2x8x2x3x4xf32>, %l: tensor<2x2x3x8xf32>) {
  // expected-error @+1 {{expects 'keyGradient' of shape [2, 8, 2, 16], got [2, 8, 2, 4]}}
  %0:3 = graph.attention_grad %q, %k, %v, %o, %l, %o scale 0.25 : (tensor<2x8x2x3x16xf32>, tensor<2x8x2x16xf32>, tensor<2x8x2x4xf32>, tensor<2x8x2x3x4xf32>, tensor<2x2x3x8xf32>, tensor<2x8x2x3x4xf32>) -> (tensor<2x8x2x3x16xf32>, tensor<2x8x2x4xf32>, tensor<2x8x2x4xf32>)
  return
}

// -----

func.func @f(%x: tensor<4xf32>, %s: tensor<i32>) {
  // expected-error @+1 {{expects a rate in [0, 1), got 1.000000e+00}}
  %0 = graph.dropout %x, %s, %s rate 1.0 site "s" : (tensor<4xf32>, tensor<i32>, tensor<i32>) -> tensor<4xf32>
  return
}

// -----

func.func @f(%x: tensor<4xf32>, %s: tensor<i32>) {
  // expected-error @+1 {{expects a site that is not empty}}
  %0 = graph.dropout %x, %s, %s rate 0.1 site "" : (tensor<4xf32>, tensor<i32>, tensor<i32>) -> tensor<4xf32>
  return
}

// -----

func.func @f(%x: tensor<4xf32>, %s: tensor<1xi32>) {
  // expected-error @+1 {{expects 'seed' of shape [], got [1]}}
  %0 = graph.dropout %x, %s, %s rate 0.1 site "s" : (tensor<4xf32>, tensor<1xi32>, tensor<1xi32>) -> tensor<4xf32>
  return
}

// -----

func.func @f(%x: tensor<4xf32>, %s: tensor<i64>) {
  // expected-error @+1 {{expects 'seed' of element type 'i32', got 'i64'}}
  %0 = graph.dropout %x, %s, %s rate 0.1 site "s" : (tensor<4xf32>, tensor<i64>, tensor<i64>) -> tensor<4xf32>
  return
}

// -----

func.func @f(%x: tensor<4xf32>, %s: tensor<i32>) {
  // expected-error @+1 {{expects 'output' of shape [4], got [5]}}
  %0 = graph.dropout %x, %s, %s rate 0.1 site "s" : (tensor<4xf32>, tensor<i32>, tensor<i32>) -> tensor<5xf32>
  return
}

// -----

func.func @f(%x: tensor<f32>, %i: tensor<i32>) {
  // expected-error @+1 {{expects 'logits' of rank 1 or more, got 'tensor<f32>'}}
  %0:2 = graph.cross_entropy %x, %i ignore -100 : (tensor<f32>, tensor<i32>) -> (tensor<f32>, tensor<f32>)
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>, %i: tensor<5xi32>) {
  // expected-error @+1 {{expects 'labels' of shape [4], got [5]}}
  %0:2 = graph.cross_entropy %x, %i ignore -100 : (tensor<4x8xf32>, tensor<5xi32>) -> (tensor<4xf32>, tensor<4xf32>)
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>, %i: tensor<4xi32>) {
  // expected-error @+1 {{expects 'loss' of shape [4], got []}}
  %0:2 = graph.cross_entropy %x, %i ignore -100 : (tensor<4x8xf32>, tensor<4xi32>) -> (tensor<f32>, tensor<4xf32>)
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>, %i: tensor<4xi32>, %l: tensor<4xf32>) {
  // expected-error @+1 {{expects 'output' of shape [4, 8], got [4]}}
  %0 = graph.cross_entropy_grad %x, %i, %l, %l ignore -100 : (tensor<4x8xf32>, tensor<4xi32>, tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  return
}

// -----

func.func @f(%p: tensor<4xf32>, %m: tensor<5xf32>, %s: tensor<f32>, %a: tensor<i1>) {
  // expected-error @+1 {{expects 'firstMoment' of shape [4], got [5]}}
  %0:3 = graph.adamw %p, %m, %m, %p, %s, %s, %s, %s, %s, %s, %s, %s, %a site "s" : (tensor<4xf32>, tensor<5xf32>, tensor<5xf32>, tensor<4xf32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<i1>) -> (tensor<4xf32>, tensor<5xf32>, tensor<5xf32>)
  return
}

// -----

func.func @f(%p: tensor<4xf32>, %m: tensor<4xf64>, %s: tensor<f32>, %a: tensor<i1>) {
  // expected-error @+1 {{expects 'firstMoment' of element type 'f32', got 'f64'}}
  %0:3 = graph.adamw %p, %m, %m, %p, %s, %s, %s, %s, %s, %s, %s, %s, %a site "s" : (tensor<4xf32>, tensor<4xf64>, tensor<4xf64>, tensor<4xf32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<i1>) -> (tensor<4xf32>, tensor<4xf64>, tensor<4xf64>)
  return
}

// -----

func.func @f(%p: tensor<4xf32>, %m: tensor<4xf32>, %s: tensor<1xf32>, %a: tensor<i1>) {
  // expected-error @+1 {{expects 'scale' of shape [], got [1]}}
  %0:3 = graph.adamw %p, %m, %m, %p, %s, %s, %s, %s, %s, %s, %s, %s, %a site "s" : (tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<1xf32>, tensor<1xf32>, tensor<1xf32>, tensor<1xf32>, tensor<1xf32>, tensor<1xf32>, tensor<1xf32>, tensor<1xf32>, tensor<i1>) -> (tensor<4xf32>, tensor<4xf32>, tensor<4xf32>)
  return
}

// -----

func.func @f(%p: tensor<4xf32>, %m: tensor<4xf32>, %s: tensor<i32>, %a: tensor<i1>) {
  // expected-error @+1 {{expects 'scale' of a floating-point element type, got 'i32'}}
  %0:3 = graph.adamw %p, %m, %m, %p, %s, %s, %s, %s, %s, %s, %s, %s, %a site "s" : (tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<i32>, tensor<i32>, tensor<i32>, tensor<i32>, tensor<i32>, tensor<i32>, tensor<i32>, tensor<i32>, tensor<i1>) -> (tensor<4xf32>, tensor<4xf32>, tensor<4xf32>)
  return
}

// -----

func.func @f(%p: tensor<4xf32>, %m: tensor<4xf32>, %s: tensor<f32>, %a: tensor<i32>) {
  // expected-error @+1 {{expects 'apply' of element type 'i1', got 'i32'}}
  %0:3 = graph.adamw %p, %m, %m, %p, %s, %s, %s, %s, %s, %s, %s, %s, %a site "s" : (tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<i32>) -> (tensor<4xf32>, tensor<4xf32>, tensor<4xf32>)
  return
}

// -----

func.func @f(%p: tensor<4xf32>, %m: tensor<4xf32>, %s: tensor<f32>, %a: tensor<i1>) {
  // expected-error @+1 {{expects a site that is not empty}}
  %0:3 = graph.adamw %p, %m, %m, %p, %s, %s, %s, %s, %s, %s, %s, %s, %a site "" : (tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<i1>) -> (tensor<4xf32>, tensor<4xf32>, tensor<4xf32>)
  return
}

// -----

func.func @f(%p: tensor<4xf32>, %m: tensor<5xf32>, %s: tensor<f32>, %a: tensor<i1>) {
  // expected-error @+1 {{expects 'momentumBuffer' of shape [4], got [5]}}
  %0:2 = graph.sgd %p, %m, %p, %s, %s, %s, %s, %a site "s" : (tensor<4xf32>, tensor<5xf32>, tensor<4xf32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<i1>) -> (tensor<4xf32>, tensor<5xf32>)
  return
}

// -----

graph.entry @e(%x: tensor<4x6xf32> {graph.input = "x"}) {
  // expected-error @+1 {{expects 'low' to have 2 entries, one for each dim, got 1}}
  %y = graph.pad %x low [0] value 0.0 : (tensor<4x6xf32>) -> tensor<4x6xf32>
  graph.return
}

// -----

graph.entry @e(%x: tensor<4x6xf32> {graph.input = "x"}) {
  // expected-error @+1 {{expects 'low' that is not negative, got -1 for dim 1}}
  %y = graph.pad %x low [0, -1] value 0.0 : (tensor<4x6xf32>) -> tensor<4x6xf32>
  graph.return
}

// -----

graph.entry @e(%x: tensor<4x6xf32> {graph.input = "x"}) {
  // expected-error @+1 {{expects dim 1 of the result to hold 1 + 6 elements, got 6}}
  %y = graph.pad %x low [0, 1] value 0.0 : (tensor<4x6xf32>) -> tensor<4x6xf32>
  graph.return
}

// -----

graph.entry @e(%x: tensor<4x6xf32> {graph.input = "x"}) {
  // expected-error @+1 {{expects 'dim' to be a dimension of a rank-2 tensor, got 2}}
  %y = graph.cumsum %x dim 2 : (tensor<4x6xf32>) -> tensor<4x6xf32>
  graph.return
}

// -----

graph.entry @e(%x: tensor<4x6xf32> {graph.input = "x"}) {
  // expected-error @+1 {{expects 'output' of shape [4, 6], got [4, 5]}}
  %y = graph.cumsum %x dim 1 : (tensor<4x6xf32>) -> tensor<4x5xf32>
  graph.return
}

// -----

graph.entry @e(%x: tensor<4xi1> {graph.input = "x"}) {
  // expected-error @+1 {{expects 'input' of an integer element type, got 'i1'}}
  %y = graph.cumprod %x dim 0 : (tensor<4xi1>) -> tensor<4xi1>
  graph.return
}

// -----

graph.entry @e(%x: tensor<4x6xf32> {graph.input = "x"}) {
  // expected-error @+1 {{expects 'indices' of an integer element type, got 'f32'}}
  %y, %z = graph.sort %x dim 1 : (tensor<4x6xf32>) -> (tensor<4x6xf32>, tensor<4x6xf32>)
  graph.return
}

// -----

graph.entry @e(%x: tensor<4x6xf32> {graph.input = "x"}) {
  // expected-error @+1 {{expects 'values' of shape [4, 6], got [4, 2]}}
  %y, %z = graph.sort %x dim 1 : (tensor<4x6xf32>) -> (tensor<4x2xf32>, tensor<4x2xi32>)
  graph.return
}

// -----

graph.entry @e(%x: tensor<4x6xf32> {graph.input = "x"}) {
  // expected-error @+1 {{expects at most 6 values, as the operand has in dim 1, got 7}}
  %y, %z = graph.top_k %x dim 1 : (tensor<4x6xf32>) -> (tensor<4x7xf32>, tensor<4x7xi32>)
  graph.return
}

// -----

graph.entry @e(%x: tensor<4x6xf32> {graph.input = "x"}, %i: tensor<3xi32> {graph.input = "i"}) {
  // expected-error @+1 {{expects 'output' of shape [4, 3], got [3, 4]}}
  %y = graph.take %x, %i dim 1 : (tensor<4x6xf32>, tensor<3xi32>) -> tensor<3x4xf32>
  graph.return
}

// -----

graph.entry @e(%x: tensor<4x6xf32> {graph.input = "x"}, %i: tensor<3xi32> {graph.input = "i"}) {
  // expected-error @+1 {{expects 'indices' of rank 2, got 'tensor<3xi32>'}}
  %y = graph.take_along %x, %i dim 1 : (tensor<4x6xf32>, tensor<3xi32>) -> tensor<4x3xf32>
  graph.return
}

// -----

graph.entry @e(%x: tensor<4x6xf32> {graph.input = "x"}, %i: tensor<3xi32> {graph.input = "i"}) {
  // expected-error @+1 {{expects 'updates' of shape [4, 3], got [4, 6]}}
  %y = graph.scatter_add %i, %x dim 1 : (tensor<3xi32>, tensor<4x6xf32>) -> tensor<4x9xf32>
  graph.return
}

// -----

graph.entry @e(%x: tensor<4x6xf32> {graph.input = "x"}) {
  // expected-error @+1 {{expects 'strides' to be at least 1, got 0}}
  %y = graph.window %x dims [1] strides [0] dilations [1] low [0] value 0.0 : (tensor<4x6xf32>) -> tensor<4x3x2xf32>
  graph.return
}

// -----

graph.entry @e(%x: tensor<4x6xf32> {graph.input = "x"}) {
  // expected-error @+1 {{expects 'dims' to increase strictly, got 1 before 0}}
  %y = graph.window %x dims [1, 0] strides [1, 1] dilations [1, 1] low [0, 0] value 0.0 : (tensor<4x6xf32>) -> tensor<4x1x6x1xf32>
  graph.return
}

// -----

graph.entry @e(%x: tensor<4x6xf32> {graph.input = "x"}) {
  // expected-error @+1 {{expects 'input' of rank 3, got 'tensor<4x6xf32>'}}
  %y = graph.fold %x dims [0] strides [1] dilations [1] low [0] : (tensor<4x6xf32>) -> tensor<4x6xf32>
  graph.return
}

// -----

graph.entry @e(%a: tensor<2x4x8xf32> {graph.input = "a"}, %w: tensor<6x2x3xf32> {graph.input = "w"}) {
  // expected-error @+1 {{expects 'weight' for 4 / 1 channels of a group, got 2}}
  %y = graph.conv %a, %w strides [1] dilations [1] low [1] high [1] groups 1 : (tensor<2x4x8xf32>, tensor<6x2x3xf32>) -> tensor<2x6x8xf32>
  graph.return
}

// -----

graph.entry @e(%a: tensor<2x4x8xf32> {graph.input = "a"}, %w: tensor<6x2x3xf32> {graph.input = "w"}) {
  // expected-error @+1 {{expects spatial dim 0 of the result of size 8, got 6}}
  %y = graph.conv %a, %w strides [1] dilations [1] low [1] high [1] groups 2 : (tensor<2x4x8xf32>, tensor<6x2x3xf32>) -> tensor<2x6x6xf32>
  graph.return
}

// -----

graph.entry @e(%a: tensor<2x4x8xf32> {graph.input = "a"}, %w: tensor<6x2x3xf32> {graph.input = "w"}) {
  // expected-error @+1 {{expects 'strides' to have 1 entries, got 2}}
  %y = graph.conv %a, %w strides [1, 1] dilations [1] low [1] high [1] groups 2 : (tensor<2x4x8xf32>, tensor<6x2x3xf32>) -> tensor<2x6x8xf32>
  graph.return
}

// -----

graph.entry @e(%a: tensor<2x4x8xf32> {graph.input = "a"}) {
  // expected-error @+1 {{expects 'exclude_padding' of a mean, got it with 'max'}}
  %y = graph.pool max %a window [2] strides [2] dilations [1] low [0] high [0] exclude_padding : (tensor<2x4x8xf32>) -> tensor<2x4x4xf32>
  graph.return
}

// -----

graph.entry @e(%a: tensor<2x4x8xf32> {graph.input = "a"}) {
  // expected-error @+1 {{expects padding of at most half a window in spatial dim 0, got 2 and 0}}
  %y = graph.pool sum %a window [2] strides [2] dilations [1] low [2] high [0] : (tensor<2x4x8xf32>) -> tensor<2x4x5xf32>
  graph.return
}

// -----

graph.entry @e(%q: tensor<1x8x1x1x4xf32> {graph.input = "q"}, %k: tensor<1x8x1x4xf32> {graph.input = "k"}, %p: tensor<8xi32> {graph.input = "p"}) {
  // expected-error @+1 {{expects positions of a causal attention, one tensor for its queries and one for its keys, got 2 without 'causal'}}
  %o, %lse = graph.attention %q, %k, %k positions(%p, %p) scale 0.5 : (tensor<1x8x1x1x4xf32>, tensor<1x8x1x4xf32>, tensor<1x8x1x4xf32>, tensor<8xi32>, tensor<8xi32>) -> (tensor<1x8x1x1x4xf32>, tensor<1x1x1x8xf32>)
  graph.return
}

// -----

graph.entry @e(%q: tensor<1x8x1x1x4xf32> {graph.input = "q"}, %k: tensor<1x8x1x4xf32> {graph.input = "k"}, %p: tensor<6xi32> {graph.input = "p"}) {
  // expected-error @+1 {{expects 'query positions' of shape [8], got}}
  %o, %lse = graph.attention %q, %k, %k positions(%p, %p) scale 0.5 causal : (tensor<1x8x1x1x4xf32>, tensor<1x8x1x4xf32>, tensor<1x8x1x4xf32>, tensor<6xi32>, tensor<6xi32>) -> (tensor<1x8x1x1x4xf32>, tensor<1x1x1x8xf32>)
  graph.return
}
