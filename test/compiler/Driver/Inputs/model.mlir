// A model of one matrix: the sum over rows of (x w)^2 / 2.
graph.variable @fc.weight : tensor<8x4xf32> kind parameter init <normal, 0.0, 0.02>
    stored <"fc.weight", [8, 4]> {weir.tp_dim = 1 : i64} loc("fc.weight")

graph.entry @loss(%x: tensor<6x8xf32> {graph.input = "x"}, %w: tensor<8x4xf32> {graph.variable = @fc.weight})
    -> (tensor<f32> {graph.output = "loss_sum"}, tensor<f32> {graph.output = "count"}) {
  %y = graph.matmul %x, %w batch [] x [] contract [1] x [0]
      : (tensor<6x8xf32>, tensor<8x4xf32>) -> tensor<6x4xf32> loc("fc")
  %s = graph.mul %y, %y : tensor<6x4xf32> loc("square")
  %half = graph.constant dense<0.5> : tensor<6x4xf32>
  %h = graph.mul %s, %half : tensor<6x4xf32> loc("half")
  %sum = graph.reduce sum %h [0, 1] : (tensor<6x4xf32>) -> tensor<f32> loc("sum")
  %ones = graph.constant dense<1.0> : tensor<6xf32>
  %count = graph.reduce sum %ones [0] : (tensor<6xf32>) -> tensor<f32> loc("count")
  graph.return %sum, %count : tensor<f32>, tensor<f32>
}
