// SPDX-License-Identifier: Apache-2.0
// Expansions of ops on local types (uneven shards): at every place of the mesh
// the pieces compute what the op does there.
#include "mlir/IR/Verifier.h"
#include "test/unit/autodiff/OpCases.h"

#include <gtest/gtest.h>

using namespace mlir;

namespace weir::compiler::test {
namespace {

/// One op on local types over the mesh <a=2, b=3>. `#[...]` stands for
/// `#dist.shard<[...]>`; integers are drawn in [0, `range`).
struct ShardCase {
  const char *name;
  const char *text;
  std::vector<const char *> operands;
  std::vector<const char *> results;
  int64_t range = 7;
};

void PrintTo(const ShardCase &shardCase, std::ostream *os) {
  *os << shardCase.name;
}

std::vector<ShardCase> shardCases() {
  return {
      {"matmul_contracted",
       "matmul %a0, %a1 batch [] x [] contract [1] x [0]",
       {"tensor<3x2xf64, #[3, 5:1]>", "tensor<2x4xf64, #[5:1, 4]>"},
       {"tensor<3x4xf64>"}},
      {"matmul_rows_and_columns",
       "matmul %a0, %a1 batch [] x [] contract [1] x [0]",
       {"tensor<2x5xf64, #[3:0, 5]>", "tensor<5x2xf64, #[5, 4:1]>"},
       {"tensor<2x2xf64, #[3:0, 4:1]>"}},
      {"iota", "iota 1", {}, {"tensor<2x2xf64, #[3:0, 5:1]>"}},
      {"softmax",
       "softmax %a0",
       {"tensor<2x2x4xf64, #[3:0, 5:1, 4]>"},
       {"tensor<2x2x4xf64, #[3:0, 5:1, 4]>"}},
      {"layer_norm",
       "layer_norm %a0, %a1, %a2 epsilon 1.0e-1",
       {"tensor<1x3x5xf64, #[5:0:1, 3, 5]>", "tensor<5xf64>", "tensor<5xf64>"},
       {"tensor<1x3x5xf64, #[5:0:1, 3, 5]>", "tensor<1x3xf64, #[5:0:1, 3]>",
        "tensor<1x3xf64, #[5:0:1, 3]>"}},
      {"rms_norm",
       "rms_norm %a0, %a1 epsilon 1.0e-1",
       {"tensor<2x3x5xf64, #[3:0, 7:1, 5]>", "tensor<5xf64>"},
       {"tensor<2x3x5xf64, #[3:0, 7:1, 5]>", "tensor<2x3xf64, #[3:0, 7:1]>"}},
      {"cross_entropy",
       "cross_entropy %a0, %a1 ignore 3",
       {"tensor<2x2x7xf64, #[3:0, 5:1, 7]>", "tensor<2x2xi32, #[3:0, 5:1]>"},
       {"tensor<2x2xf64, #[3:0, 5:1]>", "tensor<2x2xf64, #[3:0, 5:1]>"}},
      {"rope",
       "rope %a0, %a1, %a2 seq 1",
       {"tensor<2x3x5x4xf64, #[3:0, 7:1, 5, 4]>", "tensor<3x2xf64, #[7:1, 2]>",
        "tensor<3x2xf64, #[7:1, 2]>"},
       {"tensor<2x3x5x4xf64, #[3:0, 7:1, 5, 4]>"}},
      {"attention_heads",
       "attention %a0, %a1, %a2 scale 0.3 causal",
       {"tensor<2x5x2x2x4xf64, #[3:0, 5, 4:1, 2, 4]>",
        "tensor<2x5x2x4xf64, #[3:0, 5, 4:1, 4]>",
        "tensor<2x5x2x3xf64, #[3:0, 5, 4:1, 3]>"},
       {"tensor<2x5x2x2x3xf64, #[3:0, 5, 4:1, 2, 3]>",
        "tensor<2x2x2x5xf64, #[3:0, 4:1, 2, 5]>"}},
      {"attention_query_heads_and_rows",
       "attention %a0, %a1, %a2 scale 0.3 causal",
       {"tensor<2x3x1x2x4xf64, #[2, 7:1, 1, 3:0, 4]>", "tensor<2x7x1x4xf64>",
        "tensor<2x7x1x4xf64>"},
       {"tensor<2x3x1x2x4xf64, #[2, 7:1, 1, 3:0, 4]>",
        "tensor<2x1x2x3xf64, #[2, 1, 3:0, 7:1]>"}},
      {"attention_grad_heads",
       "attention_grad %a0, %a1, %a2, %a3, %a4, %a5 scale 0.3 causal",
       {"tensor<2x5x2x2x4xf64, #[3:0, 5, 4:1, 2, 4]>",
        "tensor<2x5x2x4xf64, #[3:0, 5, 4:1, 4]>",
        "tensor<2x5x2x3xf64, #[3:0, 5, 4:1, 3]>",
        "tensor<2x5x2x2x3xf64, #[3:0, 5, 4:1, 2, 3]>",
        "tensor<2x2x2x5xf64, #[3:0, 4:1, 2, 5]>",
        "tensor<2x5x2x2x3xf64, #[3:0, 5, 4:1, 2, 3]>"},
       {"tensor<2x5x2x2x4xf64, #[3:0, 5, 4:1, 2, 4]>",
        "tensor<2x5x2x4xf64, #[3:0, 5, 4:1, 4]>",
        "tensor<2x5x2x3xf64, #[3:0, 5, 4:1, 3]>"}},
      {"dropout",
       "dropout %a0, %a1, %a2 rate 0.4 site \"s\"",
       {"tensor<2x3x2xf64, #[3:0, 3, 5:1]>", "tensor<i32>", "tensor<i32>"},
       {"tensor<2x3x2xf64, #[3:0, 3, 5:1]>"}},
      {"embedding_rows",
       "embedding %a0, %a1",
       {"tensor<3x5xf64, #[7:1, 5]>", "tensor<2x4xi32, #[3:0, 4]>"},
       {"tensor<2x4x5xf64, #[3:0, 4, 5]>"}},
      {"embedding_grad_rows",
       "embedding_grad %a0, %a1",
       {"tensor<9xi32>", "tensor<9x3xf64, #[9, 5:0]>"},
       {"tensor<3x3xf64, #[7:1, 5:0]>"}},
      {"cumsum_rows_and_columns",
       "cumsum %a0 dim 1 exclusive",
       {"tensor<2x4x2xf64, #[3:0, 4, 5:1]>"},
       {"tensor<2x4x2xf64, #[3:0, 4, 5:1]>"}},
      {"sort_rows",
       "sort %a0 dim 0 descending",
       {"tensor<6x2xf64, #[6, 5:1]>"},
       {"tensor<6x2xf64, #[6, 5:1]>", "tensor<6x2xi32, #[6, 5:1]>"}},
      {"top_k_rows",
       "top_k %a0 dim 1",
       {"tensor<2x6xf64, #[3:0, 6]>"},
       {"tensor<2x4xf64, #[3:0, 4]>", "tensor<2x4xi32, #[3:0, 4]>"}},
      {"take_from_split",
       "take %a0, %a1 dim 1",
       {"tensor<2x3x2xf64, #[3:0, 7:1, 2]>", "tensor<5xi32>"},
       {"tensor<2x5x2xf64, #[3:0, 5, 2]>"}},
      {"take_split_indices",
       "take %a0, %a1 dim 1",
       {"tensor<3x7xf64>", "tensor<2x2xi32, #[3:0, 5:1]>"},
       {"tensor<3x2x2xf64, #[3, 3:0, 5:1]>"}},
      {"take_along_batch",
       "take_along %a0, %a1 dim 1",
       {"tensor<2x7xf64, #[3:0, 7]>", "tensor<2x2xi32, #[3:0, 4:1]>"},
       {"tensor<2x2xf64, #[3:0, 4:1]>"}},
      {"scatter_add_into_split",
       "scatter_add %a0, %a1 dim 1",
       {"tensor<9xi32>", "tensor<2x9x2xf64, #[3:0, 9, 2]>"},
       {"tensor<2x3x2xf64, #[3:0, 7:1, 2]>"}},
      {"pad_others",
       "pad %a0 low [0, 2] value 0.5",
       {"tensor<2x3xf64, #[3:0, 3]>"},
       {"tensor<2x6xf64, #[3:0, 6]>"}},
      {"window_of_split",
       "window %a0 dims [1] strides [2] dilations [1] low [1] value 0.0",
       {"tensor<2x3xf64, #[3:0, 7:1]>"},
       {"tensor<2x3x4xf64, #[3:0, 3, 4]>"}},
      {"window_split_windows",
       "window %a0 dims [1] strides [2] dilations [1] low [1] value 0.5",
       {"tensor<2x7xf64, #[3:0, 7]>"},
       {"tensor<2x3x2xf64, #[3:0, 3, 4:1]>"}},
      {"fold_into_split",
       "fold %a0 dims [1] strides [2] dilations [1] low [1]",
       {"tensor<2x3x4xf64, #[3:0, 3, 4]>"},
       {"tensor<2x3xf64, #[3:0, 7:1]>"}},
      {"conv_batch_and_channels",
       "conv %a0, %a1 strides [1, 2] dilations [1, 1] low [1, 0] high [1, 1] "
       "groups 1",
       {"tensor<2x2x4x5xf64, #[3:0, 2, 4, 5]>",
        "tensor<2x2x3x3xf64, #[5:1, 2, 3, 3]>"},
       {"tensor<2x2x4x2xf64, #[3:0, 5:1, 4, 2]>"}},
      {"conv_input_channels",
       "conv %a0, %a1 strides [1] dilations [1] low [1] high [1] groups 1",
       {"tensor<2x2x4xf64, #[2, 3:0, 4]>", "tensor<3x2x3xf64, #[3, 3:0, 3]>"},
       {"tensor<2x3x4xf64>"}},
      {"conv_groups_split",
       "conv %a0, %a1 strides [1] dilations [1] low [1] high [1] groups 3",
       {"tensor<2x4x4xf64, #[2, 6:0 unit 2, 4]>",
        "tensor<6x2x3xf64, #[9:0 unit 3, 2, 3]>"},
       {"tensor<2x6x4xf64, #[2, 9:0 unit 3, 4]>"}},
      {"conv_split_windows",
       "conv %a0, %a1 strides [1, 1] dilations [1, 1] low [1, 1] high [1, 1] "
       "groups 1",
       {"tensor<2x2x5x4xf64>", "tensor<3x2x3x3xf64>"},
       {"tensor<2x3x2x2xf64, #[2, 3, 5:1, 4:0]>"}},
      {"pool_avg_split_windows",
       "pool avg %a0 window [3, 3] strides [2, 1] dilations [1, 1] low [1, 1] "
       "high [1, 1] exclude_padding",
       {"tensor<2x2x5x4xf64, #[3:0, 2, 5, 4]>"},
       {"tensor<2x2x1x4xf64, #[3:0, 2, 3:1, 4]>"}},
      {"pool_max_tiles_split",
       "pool max %a0 window [2] strides [2] dilations [1] low [0] high [0]",
       {"tensor<2x2x4xf64, #[3:0, 2, 10:1 unit 2]>"},
       {"tensor<2x2x2xf64, #[3:0, 2, 5:1]>"}},
      {"sgd",
       "sgd %a0, %a1, %a2, %a3, %a4, %a5, %a6, %a7 site \"s\"",
       {"tensor<2x2xf64, #[3:0, 5:1]>", "tensor<2x2xf64, #[3:0, 5:1]>",
        "tensor<2x2xf64, #[3:0, 5:1]>", "tensor<f64>", "tensor<f64>",
        "tensor<f64>", "tensor<f64>", "tensor<i1>"},
       {"tensor<2x2xf64, #[3:0, 5:1]>", "tensor<2x2xf64, #[3:0, 5:1]>"}},
  };
}

class ShardTest : public testing::TestWithParam<ShardCase> {};

std::string typeText(std::string type) {
  size_t at = type.find("#[");
  if (at == std::string::npos)
    return type;
  return type.substr(0, at) + "#dist.shard<" +
         type.substr(at + 1, type.size() - at - 2) + ">>";
}

/// The op in generic surroundings: arguments and results without bindings,
/// hence in a plain module whose body's arguments are the operands.
Operation *buildOp(OpTestContext &context, const ShardCase &shardCase,
                   OwningOpRef<ModuleOp> &module) {
  auto list = [](const std::vector<const char *> &types) {
    std::string text;
    for (const char *type : types)
      text += (text.empty() ? "" : ", ") + typeText(type);
    return text;
  };
  std::string op = shardCase.text, name = op.substr(0, op.find(' '));
  std::string text = "module attributes {dist.mesh = #dist.mesh<a=2, b=3>} {\n"
                     "  graph.entry @f(";
  for (size_t i = 0; i < shardCase.operands.size(); ++i)
    text += (i ? ", %a" : "%a") + std::to_string(i) + ": " +
            typeText(shardCase.operands[i]) + " {graph.input = \"a" +
            std::to_string(i) + "\"}";
  text += ") -> (";
  for (size_t i = 0; i < shardCase.results.size(); ++i)
    text += std::string(i ? ", " : "") + typeText(shardCase.results[i]) +
            " {graph.output = \"y" + std::to_string(i) + "\"}";
  std::string results;
  for (size_t i = 0; i < shardCase.results.size(); ++i)
    results += (i ? ", %" : "%") + std::to_string(i);
  bool unary = name == "iota" || name == "softmax";
  text += ") {\n    " + results + " = graph." + op + " : " +
          (unary ? list(shardCase.results)
                 : "(" + list(shardCase.operands) + ") -> (" +
                       list(shardCase.results) + ")") +
          "\n    graph.return " + results + " : " + list(shardCase.results) +
          "\n  }\n}\n";
  module = context.parse(text);
  if (!module)
    return nullptr;
  auto entry = *module->getOps<graph::EntryOp>().begin();
  return &entry.getBody().front().front();
}

TEST_P(ShardTest, PiecesEqualTheOpAtEveryPlace) {
  OpTestContext context;
  OwningOpRef<ModuleOp> module;
  Operation *op = buildOp(context, GetParam(), module);
  ASSERT_TRUE(op);
  OwningOpRef<ModuleOp> holder = ModuleOp::create(op->getLoc());
  (*holder)->setAttr(dist::DistDialect::getMeshAttrName(),
                     dist::getMesh(*module));
  Block *block = holder->getBody();
  SmallVector<Value> arguments;
  for (Value operand : op->getOperands())
    arguments.push_back(
        block->addArgument(operand.getType(), operand.getLoc()));
  OpBuilder builder = OpBuilder::atBlockEnd(block);
  SmallVector<Value> results =
      cast<graph::ExpandOpInterface>(op).expand(builder, arguments);
  for (Operation &piece : *block)
    EXPECT_TRUE(succeeded(verify(&piece)));

  dist::MeshAttr mesh = dist::getMesh(*module);
  std::mt19937 random(5);
  for (int64_t rank = 0; rank < mesh.getNumRanks(); ++rank) {
    MeshPoint point = pointOfRank(mesh, rank);
    std::vector<Tensor> operands;
    for (Value operand : op->getOperands()) {
      auto type = cast<RankedTensorType>(operand.getType());
      FailureOr<Box> box = boxOf(type, point, [&] { return op->emitError(); });
      ASSERT_TRUE(succeeded(box));
      Tensor tensor =
          Tensor::zeros(*elementKindOf(type.getElementType()), box->extents);
      std::normal_distribution<double> gauss;
      for (double &value : tensor.floats)
        value = gauss(random);
      for (int64_t &value : tensor.ints)
        value = type.getElementType().isInteger(1)
                    ? 1
                    : random() % GetParam().range;
      operands.push_back(std::move(tensor));
    }
    FailureOr<std::vector<Tensor>> direct =
        evaluateOp(op, operands, Precision::F64, point);
    FailureOr<std::vector<Tensor>> pieces =
        evaluateBlock(*block, operands, results, Precision::F64, point);
    ASSERT_TRUE(succeeded(direct));
    ASSERT_TRUE(succeeded(pieces));
    for (size_t i = 0; i < direct->size(); ++i) {
      const Tensor &a = (*direct)[i], &b = (*pieces)[i];
      ASSERT_EQ(a.shape, b.shape);
      for (int64_t element = 0; element < a.size(); ++element)
        EXPECT_NEAR(a.at(element), b.at(element), 1e-13)
            << "rank " << rank << " result " << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Graph, ShardTest, testing::ValuesIn(shardCases()),
                         [](const testing::TestParamInfo<ShardCase> &info) {
                           return std::string(info.param.name);
                         });

} // namespace
} // namespace weir::compiler::test
