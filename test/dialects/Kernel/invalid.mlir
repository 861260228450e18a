// RUN: weir-opt %s --split-input-file --verify-diagnostics

// Every message of the dialect's verifiers and parsers.

func.func @f(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{expects at least one result, got none}}
  kernel.generic ins(%x : tensor<4x8xf32>) maps [affine_map<(i, j) -> (i, j)>] {
  ^bb0(%e: f32):
    kernel.yield
  }
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{expects one map for each of 1 inputs and 1 results, got 1}}
  %0 = kernel.generic ins(%x : tensor<4x8xf32>) maps [affine_map<(i, j) -> (i, j)>] {
  ^bb0(%e: f32):
    kernel.yield %e : f32
  } -> tensor<4x8xf32>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{expects maps without symbols, got affine_map<(d0, d1)[s0] -> (d0, d1)> for input 0}}
  %0 = kernel.generic ins(%x : tensor<4x8xf32>) maps [affine_map<(i, j)[s] -> (i, j)>, affine_map<(i, j) -> (i, j)>] {
  ^bb0(%e: f32):
    kernel.yield %e : f32
  } -> tensor<4x8xf32>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{expects maps over the same 2 loops, got affine_map<(d0) -> (d0, d0)> for result 0}}
  %0 = kernel.generic ins(%x : tensor<4x8xf32>) maps [affine_map<(i, j) -> (i, j)>, affine_map<(i) -> (i, i)>] {
  ^bb0(%e: f32):
    kernel.yield %e : f32
  } -> tensor<4x8xf32>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{expects the map of input 0 to have 2 results, one for each dim, got affine_map<(d0, d1) -> (d0)>}}
  %0 = kernel.generic ins(%x : tensor<4x8xf32>) maps [affine_map<(i, j) -> (i)>, affine_map<(i, j) -> (i, j)>] {
  ^bb0(%e: f32):
    kernel.yield %e : f32
  } -> tensor<4x8xf32>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{expects the map of result 0 to hold loops only, got affine_map<(d0, d1) -> (d0, 0)>}}
  %0 = kernel.generic ins(%x : tensor<4x8xf32>) maps [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, 0)>] {
  ^bb0(%e: f32):
    kernel.yield %e : f32
  } -> tensor<4x8xf32>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{expects constants of the map of input 0 to lie within its shape, got 8 for a dim of size 8}}
  %0 = kernel.generic ins(%x : tensor<4x8xf32>) maps [affine_map<(i, j) -> (i, 8)>, affine_map<(i, j) -> (i, j)>] {
  ^bb0(%e: f32):
    kernel.yield %e : f32
  } -> tensor<4x8xf32>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{expects map results to be loops or constants, got affine_map<(d0, d1) -> (d0, d0 + d1)> for input 0}}
  %0 = kernel.generic ins(%x : tensor<4x8xf32>) maps [affine_map<(i, j) -> (i, i + j)>, affine_map<(i, j) -> (i, j)>] {
  ^bb0(%e: f32):
    kernel.yield %e : f32
  } -> tensor<4x8xf32>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{expects the map of result 0 to hold no loop twice, got affine_map<(d0, d1) -> (d0, d0)>}}
  %0 = kernel.generic ins(%x : tensor<4x8xf32>) maps [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, i)>] {
  ^bb0(%e: f32):
    kernel.yield %e : f32
  } -> tensor<4x4xf32>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{expects loop 1 to have one size, got 8 and 7 (result 0)}}
  %0 = kernel.generic ins(%x : tensor<4x8xf32>) maps [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, j)>] {
  ^bb0(%e: f32):
    kernel.yield %e : f32
  } -> tensor<4x7xf32>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{expects every loop in the map of result 0 with combiner 'none', but loop 1 is missing}}
  %0 = kernel.generic ins(%x : tensor<4x8xf32>) maps [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>] {
  ^bb0(%e: f32):
    kernel.yield %e : f32
  } -> tensor<4xf32>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{expects every loop to appear in some map, but loop 2 does not}}
  %0 = kernel.generic ins(%x : tensor<4x8xf32>) maps [affine_map<(i, j, k) -> (i, j)>, affine_map<(i, j, k) -> (i, j)>] combiner sum {
  ^bb0(%e: f32):
    kernel.yield %e : f32
  } -> tensor<4x8xf32>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{expects a body with 1 arguments, one for each input, got 2}}
  %0 = kernel.generic ins(%x : tensor<4x8xf32>) maps [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, j)>] {
  ^bb0(%e: f32, %f: f32):
    kernel.yield %e : f32
  } -> tensor<4x8xf32>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{expects body argument 0 of type 'f32', got 'f64'}}
  %0 = kernel.generic ins(%x : tensor<4x8xf32>) maps [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, j)>] {
  ^bb0(%e: f64):
    %c = arith.constant 0.0 : f32
    kernel.yield %c : f32
  } -> tensor<4x8xf32>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{expects the combiner 'none', 'sum', 'max' or 'min', got 'mean'}}
  %0 = kernel.generic ins(%x : tensor<4x8xf32>) maps [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, j)>] combiner mean {
  ^bb0(%e: f32):
    kernel.yield %e : f32
  } -> tensor<4x8xf32>
  return
}

// -----

func.func @f(%x: tensor<4xf32>) {
  %0 = kernel.generic ins(%x : tensor<4xf32>) maps [affine_map<(i) -> (i)>, affine_map<(i) -> (i)>] {
  ^bb0(%e: f32):
    %c = arith.constant 0 : i32
    // expected-error @+1 {{expects values of types ('f32'), got ('i32')}}
    kernel.yield %c : i32
  } -> tensor<4xf32>
  return
}

// -----

func.func @f(%x: tensor<4xf32>) {
  %0 = kernel.generic ins(%x : tensor<4xf32>) maps [affine_map<(i) -> (i)>, affine_map<(i) -> (i)>] {
  ^bb0(%e: f32):
    // expected-error @+1 {{expects a loop of the enclosing generic, which has 1, got 1}}
    %i = kernel.index 1
    kernel.yield %e : f32
  } -> tensor<4xf32>
  return
}

// -----

func.func @f() {
  // expected-error @+1 {{expects to be inside a 'kernel.generic'}}
  %0 = kernel.index 0
  return
}

// -----

func.func @f(%t: tensor<f32>, %i: tensor<4xi32>) {
  // expected-error @+1 {{expects 'table' of rank 1 or more, got 'tensor<f32>'}}
  %0 = kernel.gather %t, %i : (tensor<f32>, tensor<4xi32>) -> tensor<4xf32>
  return
}

// -----

func.func @f(%t: tensor<9x8xf32>, %i: tensor<4xf32>) {
  // expected-error @+1 {{expects 'indices' of an integer element type, got 'f32'}}
  %0 = kernel.gather %t, %i : (tensor<9x8xf32>, tensor<4xf32>) -> tensor<4x8xf32>
  return
}

// -----

func.func @f(%t: tensor<9x8xf32>, %i: tensor<4xi32>) {
  // expected-error @+1 {{expects 'output' of shape [4, 8], got [4, 7]}}
  %0 = kernel.gather %t, %i : (tensor<9x8xf32>, tensor<4xi32>) -> tensor<4x7xf32>
  return
}

// -----

func.func @f(%t: tensor<9x8xf32>, %i: tensor<4xi32>) {
  // expected-error @+1 {{expects 'output' of element type 'f32', got 'f64'}}
  %0 = kernel.gather %t, %i : (tensor<9x8xf32>, tensor<4xi32>) -> tensor<4x8xf64>
  return
}

// -----

func.func @f(%u: tensor<4x7xf32>, %i: tensor<4xi32>) {
  // expected-error @+1 {{expects 'updates' of shape [4, 8], got [4, 7]}}
  %0 = kernel.scatter_add %i, %u : (tensor<4xi32>, tensor<4x7xf32>) -> tensor<9x8xf32>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{expects a result of 32 elements, as the operand has, got 31}}
  %0 = kernel.reshape %x : (tensor<4x8xf32>) -> tensor<31xf32>
  return
}

// -----

func.func @f(%x: tensor<2x8xf32, #dist.shard<[3:0, 8]>>) {
  // expected-error @+1 {{expects a result that is a shard of 24 elements, as the operand is, got 32}}
  %0 = kernel.reshape %x : (tensor<2x8xf32, #dist.shard<[3:0, 8]>>) -> tensor<16xf32, #dist.shard<[32:0]>>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{expects 'permutation' of 2 dims, as the operand has, got [1]}}
  %0 = kernel.transpose %x [1] : (tensor<4x8xf32>) -> tensor<8x4xf32>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{expects 'permutation' to hold every dim once, got [1, 1]}}
  %0 = kernel.transpose %x [1, 1] : (tensor<4x8xf32>) -> tensor<8x4xf32>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{expects 'output' of shape [8, 4], got [4, 8]}}
  %0 = kernel.transpose %x [1, 0] : (tensor<4x8xf32>) -> tensor<4x8xf32>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{expects 'offsets' for 2 dims, as the operand has, got [1]}}
  %0 = kernel.slice %x [1] : (tensor<4x8xf32>) -> tensor<4x4xf32>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{expects the slice of dim 1 to lie within [0, 8), got [6, 10)}}
  %0 = kernel.slice %x [0, 6] : (tensor<4x8xf32>) -> tensor<4x4xf32>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{expects 'output' of rank 2, got 'tensor<4xf32>'}}
  %0 = kernel.slice %x [0, 6] : (tensor<4x8xf32>) -> tensor<4xf32>
  return
}

// -----

func.func @f() {
  // expected-error @+1 {{expects at least one operand, got none}}
  %0 = "kernel.concat"() {dim = 0 : i64} : () -> tensor<4xf32>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{expects 'dim' to be a dimension of a rank-2 tensor, got 2}}
  %0 = kernel.concat %x, %x dim 2 : (tensor<4x8xf32>, tensor<4x8xf32>) -> tensor<8x8xf32>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>, %y: tensor<4x7xf32>) {
  // expected-error @+1 {{expects 'operand 1' of shape [4, 8], got [4, 7]}}
  %0 = kernel.concat %x, %y dim 0 : (tensor<4x8xf32>, tensor<4x7xf32>) -> tensor<8x8xf32>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{expects a result of size 8 in dim 0, the sum of the operands', got 9}}
  %0 = kernel.concat %x, %x dim 0 : (tensor<4x8xf32>, tensor<4x8xf32>) -> tensor<9x8xf32>
  return
}

// -----

func.func @f(%x: tensor<?x8xf32>) {
  // expected-error @+1 {{op operand #0 must be ranked tensor of static shape, but got 'tensor<?x8xf32>'}}
  %0 = kernel.transpose %x [1, 0] : (tensor<?x8xf32>) -> tensor<8x4xf32>
  return
}

// -----

// expected-error @+1 {{expects 'numInputs' of at most 1, the number of arguments, got 2}}
"kernel.func"() <{sym_name = "k", numInputs = 2 : i64, tied = array<i64>, strides = [array<i64: 1>], chunks = 1 : i64}> ({
^bb0(%x: tensor<4xf32>):
  kernel.yield
}) : () -> ()

// -----

// expected-error @+1 {{expects 'tied' to have one entry for each of the 1 destinations, got 0}}
"kernel.func"() <{sym_name = "k", numInputs = 0 : i64, tied = array<i64>, strides = [array<i64: 1>], chunks = 1 : i64}> ({
^bb0(%x: tensor<4xf32>):
  kernel.yield %x : tensor<4xf32>
}) : () -> ()

// -----

// expected-error @+1 {{expects 'strides' to have one entry for each of the 1 arguments, got 0}}
"kernel.func"() <{sym_name = "k", numInputs = 0 : i64, tied = array<i64: -1>, strides = [], chunks = 1 : i64}> ({
^bb0(%x: tensor<4xf32>):
  kernel.yield %x : tensor<4xf32>
}) : () -> ()

// -----

// expected-error @+1 {{expects 'chunks' to be positive, got 0}}
kernel.func @k ins(%x: tensor<4xf32> strides [1]) outs(%d: tensor<4xf32> strides [1]) chunks 0 {
  kernel.yield %x : tensor<4xf32>
}

// -----

// expected-error @+1 {{expects argument 0 to be a tensor, got 'f32'}}
kernel.func @k ins(%x: f32 strides [1]) outs(%d: tensor<4xf32> strides [1]) chunks 1 {
  kernel.yield %d : tensor<4xf32>
}

// -----

// expected-error @+1 {{expects strides of argument 0 to be an array of 1 integers, one for each dim, got array<i64: 1, 2>}}
kernel.func @k ins(%x: tensor<4xf32> strides [1, 2]) outs(%d: tensor<4xf32> strides [1]) chunks 1 {
  kernel.yield %x : tensor<4xf32>
}

// -----

// expected-error @+1 {{expects destination 0 to be tied to one of 1 inputs, got 1}}
kernel.func @k ins(%x: tensor<4xf32> strides [1]) outs(%d: tensor<4xf32> strides [1] tied 1) chunks 1 {
  kernel.yield %x : tensor<4xf32>
}

// -----

// expected-error @+1 {{expects input 0 to be tied once, got it again for destination 1}}
kernel.func @k ins(%x: tensor<4xf32> strides [1]) outs(%d: tensor<4xf32> strides [1] tied 0, %e: tensor<4xf32> strides [1] tied 0) chunks 1 {
  kernel.yield %x, %x : tensor<4xf32>, tensor<4xf32>
}

// -----

// expected-error @+1 {{expects destination 0 to have the type of input 0, which it is tied to: 'tensor<4xf32>', got 'tensor<5xf32>'}}
kernel.func @k ins(%x: tensor<4xf32> strides [1]) outs(%d: tensor<5xf32> strides [1] tied 0) chunks 1 {
  kernel.yield %d : tensor<5xf32>
}

// -----

kernel.func @k ins(%x: tensor<5xf32> strides [1]) outs(%d: tensor<4xf32> strides [1]) chunks 1 {
  // expected-error @+1 {{expects values of types ('tensor<4xf32>'), got ('tensor<5xf32>')}}
  kernel.yield %x : tensor<5xf32>
}

// -----

func.func @f(%x: tensor<4xf32>, %z: tensor<5xf32>) {
  // expected-error @+1 {{expects results of the destinations' types ('tensor<4xf32>'), got ('tensor<5xf32>')}}
  %0 = kernel.launch @k(%x : tensor<4xf32>) into (%x : tensor<4xf32>) site "s" -> tensor<5xf32>
  return
}

// -----

func.func @f(%x: tensor<4xf32>, %z: tensor<5xf32>) {
  // expected-error @+1 {{expects a 'kernel.func' named 'nothing', got none}}
  %0 = kernel.launch @nothing(%x : tensor<4xf32>) into (%x : tensor<4xf32>) site "s" -> tensor<4xf32>
  return
}

// -----

// expected-note @+1 {{the kernel is here}}
kernel.func @k ins(%x: tensor<4xf32> strides [1]) outs(%d: tensor<4xf32> strides [1]) chunks 1 {
  kernel.yield %x : tensor<4xf32>
}

func.func @f(%x: tensor<4xf32>, %z: tensor<5xf32>) {
  // expected-error @+1 {{expects 1 inputs and 1 destinations, as 'k' has, got 2 and 1}}
  %0 = kernel.launch @k(%x, %x : tensor<4xf32>, tensor<4xf32>) into (%x : tensor<4xf32>) site "s" -> tensor<4xf32>
  return
}

// -----

// expected-note @+1 {{the kernel is here}}
kernel.func @k ins(%x: tensor<4xf32> strides [1]) outs(%d: tensor<4xf32> strides [1]) chunks 1 {
  kernel.yield %x : tensor<4xf32>
}

func.func @f(%x: tensor<4xf32>, %z: tensor<5xf32>) {
  // expected-error @+1 {{expects input 0 of type tensor<4xf32>, got tensor<5xf32>}}
  %0 = kernel.launch @k(%z : tensor<5xf32>) into (%x : tensor<4xf32>) site "s" -> tensor<4xf32>
  return
}

// -----

// expected-note @+1 {{the kernel is here}}
kernel.func @k ins(%x: tensor<4xf32> strides [1]) outs(%d: tensor<4xf32> strides [1]) chunks 1 {
  kernel.yield %x : tensor<4xf32>
}

func.func @f(%x: tensor<4xf32>, %z: tensor<5xf32>) {
  // expected-error @+1 {{expects destination 0 of type tensor<4xf32>, got tensor<5xf32>}}
  %0 = kernel.launch @k(%x : tensor<4xf32>) into (%z : tensor<5xf32>) site "s" -> tensor<5xf32>
  return
}

// -----

func.func @f(%a: tensor<4x8xf32>, %b: tensor<8x6xf32>, %d: tensor<4x6xf32>) {
  // expected-error @+1 {{expects a result of the destination's type 'tensor<4x6xf32>', got 'tensor<4x7xf32>'}}
  %0 = kernel.contract %a, %b into %d maps [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>] site "s" : tensor<4x8xf32>, tensor<8x6xf32>, tensor<4x6xf32> -> tensor<4x7xf32>
  return
}

// -----

func.func @f(%a: tensor<4x8xf32>, %b: tensor<8x6xf32>, %d: tensor<4x6xf32>) {
  // expected-error @+1 {{expects three maps (lhs, rhs, destination), got 2}}
  %0 = kernel.contract %a, %b into %d maps [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>] site "s" : tensor<4x8xf32>, tensor<8x6xf32>, tensor<4x6xf32> -> tensor<4x6xf32>
  return
}

// -----

func.func @f(%a: tensor<4x8xf32>, %b: tensor<8x6xf32>, %d: tensor<4x6xf32>) {
  // expected-error @+1 {{expects maps over the same 3 loops without symbols, got affine_map<(d0, d1) -> (d0, d1)> for 'dest'}}
  %0 = kernel.contract %a, %b into %d maps [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n) -> (m, n)>] site "s" : tensor<4x8xf32>, tensor<8x6xf32>, tensor<4x6xf32> -> tensor<4x6xf32>
  return
}

// -----

func.func @f(%a: tensor<4x8xf32>, %b: tensor<8x6xf32>, %d: tensor<4x6xf32>) {
  // expected-error @+1 {{expects the map of 'rhs' to have 2 results, one for each dim, got affine_map<(d0, d1, d2) -> (d2)>}}
  %0 = kernel.contract %a, %b into %d maps [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k)>, affine_map<(m, n, k) -> (m, n)>] site "s" : tensor<4x8xf32>, tensor<8x6xf32>, tensor<4x6xf32> -> tensor<4x6xf32>
  return
}

// -----

func.func @f(%a: tensor<4x8xf32>, %b: tensor<8x6xf32>, %d: tensor<4x6xf32>) {
  // expected-error @+1 {{expects the map of 'lhs' to hold loops, none twice, got affine_map<(d0, d1, d2) -> (d0, 0)>}}
  %0 = kernel.contract %a, %b into %d maps [affine_map<(m, n, k) -> (m, 0)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>] site "s" : tensor<4x8xf32>, tensor<8x6xf32>, tensor<4x6xf32> -> tensor<4x6xf32>
  return
}

// -----

func.func @f(%a: tensor<4x8xf32>, %b: tensor<8x6xf32>, %d: tensor<4x6xf32>) {
  // expected-error @+1 {{expects the map of 'lhs' to hold loops, none twice, got affine_map<(d0, d1, d2) -> (d0, d0)>}}
  %0 = kernel.contract %a, %b into %d maps [affine_map<(m, n, k) -> (m, m)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>] site "s" : tensor<4x8xf32>, tensor<8x6xf32>, tensor<4x6xf32> -> tensor<4x6xf32>
  return
}

// -----

func.func @f(%a: tensor<4x8xf32>, %b: tensor<9x6xf32>, %d: tensor<4x6xf32>) {
  // expected-error @+1 {{expects loop 2 to have one size, got 8 and 9 ('rhs')}}
  %0 = kernel.contract %a, %b into %d maps [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>] site "s" : tensor<4x8xf32>, tensor<9x6xf32>, tensor<4x6xf32> -> tensor<4x6xf32>
  return
}

// -----

func.func @f(%a: tensor<4x8xf32>, %b: tensor<4x6xf32>, %d: tensor<4x6xf32>) {
  // expected-error @+1 {{expects loop 2 to appear in both 'lhs' and 'rhs', as it is summed over}}
  %0 = kernel.contract %a, %b into %d maps [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (m, n)>, affine_map<(m, n, k) -> (m, n)>] site "s" : tensor<4x8xf32>, tensor<4x6xf32>, tensor<4x6xf32> -> tensor<4x6xf32>
  return
}

// -----

func.func @f(%a: tensor<4x8xf32>, %b: tensor<8x4xf32>, %d: tensor<4x6xf32>) {
  // expected-error @+1 {{expects loop 1 to appear in 'lhs' or 'rhs', as it is one of the destination's}}
  %0 = kernel.contract %a, %b into %d maps [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, m)>, affine_map<(m, n, k) -> (m, n)>] site "s" : tensor<4x8xf32>, tensor<8x4xf32>, tensor<4x6xf32> -> tensor<4x6xf32>
  return
}

// -----

func.func @f(%x: tensor<4x16xf32>) {
  %0 = kernel.view %x offset 0 strides [1] : (tensor<4x16xf32>) -> tensor<64xf32>
  // expected-error @+1 {{expects an operand that is not itself a view}}
  %1 = kernel.view %0 offset 0 strides [1] : (tensor<64xf32>) -> tensor<2xf32>
  return
}

// -----

func.func @f(%x: tensor<4x16xf32>) {
  // expected-error @+1 {{expects 'output' of element type 'f32', got 'i32'}}
  %0 = kernel.view %x offset 0 strides [1] : (tensor<4x16xf32>) -> tensor<2xi32>
  return
}

// -----

func.func @f(%x: tensor<4x16xf32>) {
  // expected-error @+1 {{expects 2 strides, one for each dim of the result, got 1}}
  %0 = kernel.view %x offset 0 strides [1] : (tensor<4x16xf32>) -> tensor<2x2xf32>
  return
}

// -----

func.func @f(%x: tensor<4x16xf32>) {
  // expected-error @+1 {{expects an offset that is not negative, got -1}}
  %0 = kernel.view %x offset -1 strides [1] : (tensor<4x16xf32>) -> tensor<2xf32>
  return
}

// -----

func.func @f(%x: tensor<4x16xf32>) {
  // expected-error @+1 {{expects strides that are not negative, got -1}}
  %0 = kernel.view %x offset 8 strides [-1] : (tensor<4x16xf32>) -> tensor<2xf32>
  return
}

// -----

func.func @f(%x: tensor<4x16xf32>) {
  // expected-error @+1 {{expects the view to lie within the 64 elements of the operand, but its last element is 64}}
  %0 = kernel.view %x offset 9 strides [16, 1] : (tensor<4x16xf32>) -> tensor<4x8xf32>
  return
}

// -----

func.func @f(%x: tensor<4x16xf32>) {
  // expected-error @+1 {{expects a result of the destination's type 'tensor<4x16xf32>', got 'tensor<4xf32>'}}
  %0 = kernel.fill 0.0 into %x : tensor<4x16xf32> -> tensor<4xf32>
  return
}

// -----

kernel.func @f ins(%x: tensor<4x6xf32> strides [6, 1]) outs(%d: tensor<4x6xf32> strides [6, 1]) chunks 1 {
  // expected-error @+1 {{expects the combiner 'sum' or 'prod', got 'max'}}
  %0 = kernel.scan max %x dim 1 : (tensor<4x6xf32>) -> tensor<4x6xf32>
  kernel.yield %0 : tensor<4x6xf32>
}

// -----

kernel.func @f ins(%x: tensor<4x6xf32> strides [6, 1], %i: tensor<3xi32> strides [1])
    outs(%d: tensor<4x3xf32> strides [3, 1]) chunks 1 {
  // expected-error @+1 {{expects 'dim' to be a dimension of a rank-2 tensor, got -1}}
  %0 = kernel.take %x, %i dim -1 : (tensor<4x6xf32>, tensor<3xi32>) -> tensor<4x3xf32>
  kernel.yield %0 : tensor<4x3xf32>
}

// -----

kernel.func @f ins(%x: tensor<4x3xi1> strides [3, 1], %i: tensor<3xi32> strides [1])
    outs(%d: tensor<4x6xi1> strides [6, 1]) chunks 1 {
  // expected-error @+1 {{expects 'updates' of an integer element type, got 'i1'}}
  %0 = kernel.put_add %i, %x dim 1 : (tensor<3xi32>, tensor<4x3xi1>) -> tensor<4x6xi1>
  kernel.yield %0 : tensor<4x6xi1>
}
