// RUN: weir-opt %s --split-input-file --verify-diagnostics

// Every message of the dialect's verifiers and parsers.

// expected-error @+1 {{expects unique mesh axis names, got 'dp' twice}}
func.func private @f() attributes {a = #dist.mesh<dp=2, dp=2>}

// -----

// expected-error @+1 {{expects a positive size of mesh axis 'dp', got 0}}
func.func private @f() attributes {a = #dist.mesh<dp=0>}

// -----

// expected-error @+1 {{expects mesh axis names that are not empty}}
func.func private @f() attributes {a = #dist.mesh<""=2>}

// -----

// expected-error @+1 {{expects the 'time' axis to be the last}}
func.func private @f() attributes {a = #dist.mesh<mb=2 : time, dp=2>}

// -----

// expected-error @+1 {{expects 'S(dim)', 'B' or 'P(reduction)', got 'X'}}
func.func private @f() attributes {a = #dist.layout<[X]>}

// -----

// expected-error @+1 {{expects 'S(dim)', 'B' or 'P(reduction)'}}
func.func private @f() attributes {a = #dist.layout<[3]>}

// -----

// expected-error @+1 {{expects a positive unit, got 0}}
func.func private @f() attributes {a = #dist.layout<[S(0, unit=0)]>}

// -----

// expected-error @+1 {{expects a unit that divides dimension 0 of 6 elements, got 4}}
func.func private @f(%x: tensor<6xf32, #dist.layout<[S(0, unit=4)]>>)

// -----

// expected-error @+1 {{expects one unit of dimension 0 on all mesh axes, got 2 and 3}}
func.func private @f(%x: tensor<6xf32, #dist.layout<[S(0, unit=2), S(0, unit=3)]>>)

// -----

// expected-error @+1 {{expects the unit of dimension 0 to divide its size 6 (and to be 1 where nothing splits it), got 4}}
func.func private @f() attributes {a = #dist.shard<[6:0 unit 4]>}

// -----

// expected-error @+1 {{expects a dimension that is not negative, got -1}}
func.func private @f() attributes {a = #dist.layout<[S(-1)]>}

// -----

// expected-error @+1 {{expects the reduction 'sum', 'max' or 'min', got 'product'}}
func.func private @f() attributes {a = #dist.layout<[P(product)]>}

// -----

// expected-error @+1 {{expects a size of dimension 0 that is not negative, got -2}}
func.func private @f() attributes {a = #dist.shard<[-2]>}

// -----

// expected-error @+1 {{expects mesh axes that are not negative, got -1}}
func.func private @f() attributes {a = #dist.shard<[2:-1]>}

// -----

// expected-error @+1 {{expects mesh axis 1 to split once, got it again at dimension 1}}
func.func private @f() attributes {a = #dist.shard<[2:1, 4:1]>}

// -----

// expected-error @+1 {{expects the layout to split a dimension of a rank-1 tensor, got 'S(1)'}}
func.func private @f(tensor<4xf32, #dist.layout<[S(1)]>>)

// -----

// expected-error @+1 {{expects a shard of 1 dimensions, as the tensor has, got 2}}
func.func private @f(tensor<4xf32, #dist.shard<[4, 4]>>)

// -----

// expected-error @+1 {{expects the capacity of dimension 0 to be 5, got 4}}
func.func private @f(tensor<4xf32, #dist.shard<[5]>>)

// -----

// expected-error @+1 {{expects the capacity of dimension 0 to be at most 5, got 6}}
func.func private @f(tensor<6xf32, #dist.shard<[5:0]>>)

// -----

// expected-error @+1 {{expects 'dist.mesh' on a module only}}
func.func private @f() attributes {dist.mesh = #dist.mesh<dp=2>}

// -----

// expected-error @+1 {{expects 'dist.mesh' to be a #dist.mesh, got 1 : i64}}
module attributes {dist.mesh = 1} {}

// -----

// expected-error @+1 {{got an unknown attribute 'dist.foo'}}
func.func private @f() attributes {dist.foo}

// -----

// expected-error @+1 {{expects 'dist.layout' to be a #dist.layout, got 1 : i64}}
graph.variable @w : tensor<4xf32> kind parameter init <constant, 0.0> {dist.layout = 1}

// -----

// expected-error @+1 {{expects the layout of the variable to split a dimension of 'tensor<4xf32>', got #dist.layout<[S(1)]>}}
graph.variable @w : tensor<4xf32> kind parameter init <constant, 0.0> {dist.layout = #dist.layout<[S(1)]>}

// -----

// expected-error @+1 {{expects 'dist.layout' on variables, arguments and results only}}
func.func private @f() attributes {dist.layout = #dist.layout<[B]>}

// -----

module attributes {dist.mesh = #dist.mesh<dp=2, tp=2>} {
  // expected-error @+1 {{expects the layout of the variable to have one entry for each of the 2 mesh axes, got #dist.layout<[B]>}}
  graph.variable @w : tensor<4xf32> kind parameter init <constant, 0.0> {dist.layout = #dist.layout<[B]>}
}

// -----

// expected-error @+1 {{expects 'dist.layout' of argument 0 to be a #dist.layout, got 1 : i64}}
func.func private @f(tensor<4xf32> {dist.layout = 1})

// -----

// expected-error @+1 {{got an unknown attribute 'dist.foo' of argument 0}}
func.func private @f(tensor<4xf32> {dist.foo})

// -----

// expected-error @+1 {{expects the layout of argument 0 to split a dimension of 'tensor<4xf32>', got #dist.layout<[S(2)]>}}
func.func private @f(tensor<4xf32> {dist.layout = #dist.layout<[S(2)]>})

// -----

// expected-error @+1 {{expects a tensor to have a layout, but argument 0 is 'i32'}}
func.func private @f(i32 {dist.layout = #dist.layout<[B]>})

// -----

// expected-error @+1 {{expects the layout of result 0 to split a dimension of 'tensor<4xf32>', got #dist.layout<[S(2)]>}}
func.func private @f() -> (tensor<4xf32> {dist.layout = #dist.layout<[S(2)]>})

// -----

func.func @f(%x: tensor<4xf32>) {
  // expected-error @+1 {{expects 'dist.signature' to be a #dist.signature, got 1 : i64}}
  %0 = graph.exp %x {dist.signature = 1} : tensor<4xf32>
  return
}

// -----

func.func @f(%x: tensor<4xf32>) {
  // expected-error @+1 {{expects a signature of 1 operands and 1 results, got 2 and 1}}
  %0 = graph.exp %x {dist.signature = #dist.signature<([B], [B]) -> ([B])>} : tensor<4xf32>
  return
}

// -----

func.func @f(%x: tensor<4xf32>) {
  // expected-error @+1 {{expects the layout of operand 0 to split a dimension of 'tensor<4xf32>', got #dist.layout<[S(1)]>}}
  %0 = graph.exp %x {dist.signature = #dist.signature<([S(1)]) -> ([B])>} : tensor<4xf32>
  return
}

// -----

func.func @f(%x: tensor<4xf32>) {
  // expected-error @+1 {{expects the layout of result 0 to split a dimension of 'tensor<4xf32>', got #dist.layout<[S(1)]>}}
  %0 = graph.exp %x {dist.signature = #dist.signature<([B]) -> ([S(1)])>} : tensor<4xf32>
  return
}

// -----

func.func @f(%x: tensor<4xf32>) {
  // expected-error @+1 {{expects operand and result to agree in shape and element type, got 'tensor<4xf32>' and 'tensor<5xf32>'}}
  %0 = dist.reshard %x [B] to [B] : (tensor<4xf32>) -> tensor<5xf32>
  return
}

// -----

func.func @f(%x: tensor<4xf32>) {
  // expected-error @+1 {{expects as many mesh axes in both layouts, got #dist.layout<[B]> and #dist.layout<[B, B]>}}
  %0 = dist.reshard %x [B] to [B, B] : tensor<4xf32>
  return
}

// -----

func.func @f(%x: tensor<4xf32>) {
  // expected-error @+1 {{expects the layout to split a dimension of a rank-1 tensor, got 'S(1)'}}
  %0 = dist.reshard %x [B] to [S(1)] : tensor<4xf32>
  return
}

// -----

func.func @f(%x: tensor<4xf32, #dist.layout<[S(0)]>>) {
  // expected-error @+1 {{expects the operand to be encoded as #dist.layout<[B]>, got #dist.layout<[S(0)]>}}
  %0 = dist.reshard %x [B] to [S(0)] : tensor<4xf32, #dist.layout<[S(0)]>>
  return
}

// -----

func.func @f(%x: tensor<4xf32>) {
  // expected-error @+1 {{expects the result to be encoded as #dist.layout<[B]>, got #dist.layout<[S(0)]>}}
  %0 = dist.reshard %x [S(0)] to [B] : (tensor<4xf32>) -> tensor<4xf32, #dist.layout<[S(0)]>>
  return
}

// -----

module attributes {dist.mesh = #dist.mesh<dp=2, tp=2>} {
func.func @f(%x: tensor<4xf32>) {
  // expected-error @+1 {{expects layouts with one entry for each of the 2 mesh axes, got #dist.layout<[B]>}}
  %0 = dist.reshard %x [B] to [B] : tensor<4xf32>
  return
}
}

// -----

func.func @f(%x: tensor<4xf32>) {
  // expected-error @+1 {{expects 2 operand types and one result type, got '(tensor<4xf32>) -> tensor<4xf32>'}}
  %0 = graph.add %x, %x : (tensor<4xf32>) -> tensor<4xf32>
  return
}

// -----

func.func @f(%x: tensor<4xf32>) {
  // expected-error @+1 {{expects as many results as operands, 2, got 1}}
  %0 = dist.all_reduce %x, %x {axes = array<i64: 0>, reduction = #dist<reduction sum>}
      : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  return
}

// -----

func.func @f(%x: tensor<4xf32>) {
  // expected-error @+1 {{expects as many destinations as operands, 1, got 2}}
  %0 = dist.all_reduce %x into %x, %x : tensor<4xf32>, tensor<4xf32> {axes = array<i64: 0>, reduction = #dist<reduction sum>}
      : (tensor<4xf32>) -> tensor<4xf32>
  return
}

// -----

func.func @f(%x: tensor<4xf32>, %y: tensor<5xf32>) {
  // expected-error @+1 {{expects a result of the operand's type 'tensor<5xf32>', got 'tensor<4xf32>'}}
  %0:2 = dist.all_reduce %x, %y {axes = array<i64: 0>, reduction = #dist<reduction sum>}
      : (tensor<4xf32>, tensor<5xf32>) -> (tensor<4xf32>, tensor<4xf32>)
  return
}

// -----

func.func @f(%x: tensor<4xf32>) {
  // expected-error @+1 {{expects at least one mesh axis, got none}}
  %0 = dist.all_reduce %x {axes = array<i64>, reduction = #dist<reduction sum>} : (tensor<4xf32>) -> tensor<4xf32>
  return
}

// -----

func.func @f(%x: tensor<4xf32>) {
  // expected-error @+1 {{expects mesh axes that are not negative, got -1}}
  %0 = dist.all_reduce %x {axes = array<i64: -1>, reduction = #dist<reduction sum>} : (tensor<4xf32>) -> tensor<4xf32>
  return
}

// -----

func.func @f(%x: tensor<4xf32>) {
  // expected-error @+1 {{expects mesh axes to increase strictly, got 1 before 0}}
  %0 = dist.to_partial %x {axes = array<i64: 1, 0>, reduction = #dist<reduction sum>} : tensor<4xf32>
  return
}

// -----

module attributes {dist.mesh = #dist.mesh<dp=2>} {
func.func @f(%x: tensor<4xf32>) {
  // expected-error @+1 {{expects an axis of the mesh, which has 1, got 1}}
  %0 = dist.all_reduce %x {axes = array<i64: 1>, reduction = #dist<reduction sum>} : (tensor<4xf32>) -> tensor<4xf32>
  return
}
}

// -----

func.func @f(%x: tensor<4xf32>) {
  // expected-error @+1 {{expects a result of the operand's type 'tensor<4xf32>', got 'tensor<5xf32>'}}
  %0 = dist.all_reduce %x {axes = array<i64: 0>, reduction = #dist<reduction sum>} : (tensor<4xf32>) -> tensor<5xf32>
  return
}

// -----

func.func @f(%x: tensor<4xf32>, %d: tensor<5xf32>) {
  // expected-error @+1 {{expects the destination to have the result's type 'tensor<4xf32>', got 'tensor<5xf32>'}}
  %0 = dist.all_reduce %x into %d : tensor<5xf32> {axes = array<i64: 0>, reduction = #dist<reduction sum>} : (tensor<4xf32>) -> tensor<4xf32>
  return
}

// -----

func.func @f(%x: tensor<4xf32>) {
  // expected-error @+1 {{expects 'dim' to be a dimension of a rank-1 tensor, got 1}}
  %0 = dist.local_slice %x {axes = array<i64: 0>, dim = 1 : i64} : (tensor<4xf32>) -> tensor<2xf32, #dist.shard<[4:0]>>
  return
}

// -----

func.func @f(%x: tensor<4xf32>) {
  // expected-error @+1 {{expects mesh axes [0] to be the innermost splits of dimension 0 of the operand, got []}}
  %0 = dist.all_gather %x {axes = array<i64: 0>, dim = 0 : i64} : (tensor<4xf32>) -> tensor<4xf32>
  return
}

// -----

func.func @f(%x: tensor<2xf32, #dist.shard<[4:0]>>) {
  // expected-error @+1 {{expects mesh axis 0 not to split the operand, but it splits dimension 0}}
  %0 = dist.local_slice %x {axes = array<i64: 0>, dim = 0 : i64} : (tensor<2xf32, #dist.shard<[4:0]>>) -> tensor<2xf32, #dist.shard<[4:0]>>
  return
}

// -----

func.func @f(%x: tensor<4xf32>) {
  // expected-error @+1 {{expects a result of element type 'f32', got 'f64'}}
  %0 = dist.local_slice %x {axes = array<i64: 0>, dim = 0 : i64} : (tensor<4xf32>) -> tensor<2xf64, #dist.shard<[4:0]>>
  return
}

// -----

func.func @f(%x: tensor<4xf32>) {
  // expected-error @+1 {{expects a result that is #dist.shard<[4:0]>, got 'tensor<2xf32>'}}
  %0 = dist.local_slice %x {axes = array<i64: 0>, dim = 0 : i64} : (tensor<4xf32>) -> tensor<2xf32>
  return
}

// -----

func.func @f(%x: tensor<2xf32, #dist.shard<[4:0]>>) {
  // expected-error @+1 {{expects a result that is not a shard, got 'tensor<2xf32, #dist.shard<[4:0]>>'}}
  %0 = dist.all_gather %x {axes = array<i64: 0>, dim = 0 : i64} : (tensor<2xf32, #dist.shard<[4:0]>>) -> tensor<2xf32, #dist.shard<[4:0]>>
  return
}

// -----

func.func @f(%x: tensor<2xf32, #dist.shard<[4:0]>>) {
  // expected-error @+1 {{expects a result of shape [4], got [5]}}
  %0 = dist.all_gather %x {axes = array<i64: 0>, dim = 0 : i64} : (tensor<2xf32, #dist.shard<[4:0]>>) -> tensor<5xf32>
  return
}

// -----

module attributes {dist.mesh = #dist.mesh<dp=2>} {
func.func @f(%x: tensor<4xf32>) {
  // expected-error @+1 {{expects a result of shape [2], got [3]}}
  %0 = dist.reduce_scatter %x {axes = array<i64: 0>, dim = 0 : i64, reduction = #dist<reduction sum>} : (tensor<4xf32>) -> tensor<3xf32, #dist.shard<[4:0]>>
  return
}
}

// -----

func.func @f(%x: tensor<2xf32, #dist.shard<[4:0]>>) {
  // expected-error @+1 {{expects 'gatherDim' and 'splitDim' to differ, got 0 twice}}
  %0 = dist.all_to_all %x {axes = array<i64: 0>, gatherDim = 0 : i64, splitDim = 0 : i64} : (tensor<2xf32, #dist.shard<[4:0]>>) -> tensor<2xf32, #dist.shard<[4:0]>>
  return
}

// -----

module attributes {dist.mesh = #dist.mesh<dp=2>} {
func.func @f(%x: tensor<2xf32, #dist.shard<[4:1]>>) {
  // expected-error @+1 {{expects splits by axes of the mesh, got 1 of 1}}
  %0 = dist.local_slice %x {axes = array<i64: 0>, dim = 0 : i64} : (tensor<2xf32, #dist.shard<[4:1]>>) -> tensor<1xf32, #dist.shard<[4:1:0]>>
  return
}
}

// -----

func.func @f() {
  // expected-error @+1 {{expects at least one accumulator, got none}}
  "dist.micro_batches"() ({
    dist.yield
  }) : () -> ()
  return
}

// -----

func.func @f(%x: tensor<4xf32>) {
  // expected-error @+1 {{expects results of the accumulators' types ('tensor<4xf32>'), got ('tensor<5xf32>')}}
  %0 = dist.micro_batches(%x : tensor<4xf32>) -> (tensor<5xf32>) {
  ^bb0(%a: tensor<4xf32>):
    dist.yield %a : tensor<4xf32>
  }
  return
}

// -----

func.func @f(%x: tensor<4xf32>) {
  // expected-error @+1 {{expects block arguments of the accumulators' types ('tensor<4xf32>'), got ('tensor<5xf32>')}}
  %0 = dist.micro_batches(%x : tensor<4xf32>) -> (tensor<4xf32>) {
  ^bb0(%a: tensor<5xf32>):
    dist.yield %x : tensor<4xf32>
  }
  return
}

// -----

module attributes {dist.mesh = #dist.mesh<dp=2>} {
func.func @f(%x: tensor<4xf32>) {
  // expected-error @+1 {{expects the mesh to have a 'time' axis, got #dist.mesh<dp=2>}}
  %0 = dist.micro_batches(%x : tensor<4xf32>) -> (tensor<4xf32>) {
  ^bb0(%a: tensor<4xf32>):
    dist.yield %a : tensor<4xf32>
  }
  return
}
}

// -----

func.func @f(%x: tensor<4xf32>) {
  %0 = dist.micro_batches(%x : tensor<4xf32>) -> (tensor<4xf32>) {
  ^bb0(%a: tensor<4xf32>):
    // expected-error @+1 {{expects values of the accumulators' types ('tensor<4xf32>'), got ()}}
    dist.yield
  }
  return
}

// -----

module attributes {dist.mesh = #dist.mesh<dp=2, tp=2>} {
func.func @f(%x: tensor<2x8xf32, #dist.shard<[4:0, 8]>>) {
  // expected-error @+1 {{expects all mesh axes whose split of dimension 0 changes, got axes [0] without 1}}
  %0 = dist.exchange %x {axes = array<i64: 0>} : (tensor<2x8xf32, #dist.shard<[4:0, 8]>>) -> tensor<2x8xf32, #dist.shard<[4:1, 8]>>
  return
}
}

// -----

module attributes {dist.mesh = #dist.mesh<dp=2, tp=2>} {
func.func @f(%x: tensor<24xf32, #dist.shard<[48:0 unit 8]>>) {
  // expected-error @+1 {{expects all mesh axes whose split of dimension 0 changes, got axes [1] without 0}}
  %0 = dist.exchange %x {axes = array<i64: 1>} : (tensor<24xf32, #dist.shard<[48:0 unit 8]>>) -> tensor<24xf32, #dist.shard<[48:0]>>
  return
}
}

// -----

module attributes {dist.mesh = #dist.mesh<dp=2, tp=2>} {
func.func @f(%x: tensor<2x8xf32, #dist.shard<[4:0, 8]>>) {
  // expected-error @+1 {{expects a result of the operand's logical shape [4, 8], got [4, 6]}}
  %0 = dist.exchange %x {axes = array<i64: 0>} : (tensor<2x8xf32, #dist.shard<[4:0, 8]>>) -> tensor<4x3xf32, #dist.shard<[4, 6:0]>>
  return
}
}

// -----

// expected-error @+1 {{expects the shift of dimension 0 not to be negative (and to be 0 where nothing splits it), got 1}}
func.func private @f() attributes {a = #dist.shard<[25 shift 1]>}
