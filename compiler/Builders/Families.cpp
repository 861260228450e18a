// SPDX-License-Identifier: Apache-2.0
#include "compiler/Builders/Families.h"

#include "llvm/ADT/StringSwitch.h"

namespace weir::compiler {

std::optional<Activation> parseActivation(llvm::StringRef name) {
  return llvm::StringSwitch<std::optional<Activation>>(name)
      .Cases({"gelu", "gelu_python"}, Activation::GeluErf)
      .Cases({"gelu_new", "gelu_pytorch_tanh", "gelu_fast", "gelu_accurate"},
             Activation::GeluTanh)
      .Case("quick_gelu", Activation::QuickGelu)
      .Case("relu", Activation::Relu)
      .Cases({"silu", "swish"}, Activation::Silu)
      .Case("tanh", Activation::Tanh)
      .Case("sigmoid", Activation::Sigmoid)
      .Default(std::nullopt);
}

GraphBuilder::Value buildActivation(GraphBuilder &builder,
                                    GraphBuilder::Value x,
                                    Activation activation) {
  switch (activation) {
  case Activation::GeluErf:
    return builder.gelu(x, graph::GeluKind::Erf);
  case Activation::GeluTanh:
    return builder.gelu(x, graph::GeluKind::Tanh);
  case Activation::QuickGelu:
    return builder.gelu(x, graph::GeluKind::Quick);
  case Activation::Relu:
    return builder.relu(x);
  case Activation::Silu:
    return builder.silu(x);
  case Activation::Tanh:
    return builder.tanh(x);
  case Activation::Sigmoid:
    return builder.sigmoid(x);
  }
  return x;
}

void buildLanguageModelEntries(
    GraphBuilder &builder, const EntryShapes &shapes,
    llvm::function_ref<GraphBuilder::Value(GraphBuilder::Value, DropoutInputs)>
        body) {
  int64_t forwardBatch =
      shapes.forwardBatch ? shapes.forwardBatch : shapes.batch;
  builder.beginEntry("forward");
  auto forwardIds = builder.inputI32("ids", {forwardBatch, shapes.sequence});
  builder.output("logits", body(forwardIds, {}));
  builder.endEntry();

  for (bool training : {false, true}) {
    builder.beginEntry(training ? "loss" : "evaluate");
    auto ids = builder.inputI32("ids", {shapes.batch, shapes.sequence});
    auto labels = builder.inputI32("labels", {shapes.batch, shapes.sequence});
    DropoutInputs dropout;
    if (training) {
      dropout.seed = builder.inputI32("seed", {});
      dropout.step = builder.inputI32("step", {});
    }
    auto logits = body(ids, dropout);
    GraphBuilder::Scope scope(builder, "loss");
    auto losses = builder.crossEntropy(logits, labels);
    auto ignored = graph::ConstantOp::create(
        builder.opBuilder(), labels.getLoc(),
        mlir::DenseElementsAttr::get(
            llvm::cast<mlir::RankedTensorType>(labels.getType()),
            int32_t(-100)));
    auto counted = builder.castToFloat(
        builder.compare(graph::Predicate::Ne, labels, ignored));
    builder.output("loss_sum", builder.reduceSum(losses, {0, 1}));
    builder.output("count", builder.reduceSum(counted, {0, 1}));
    builder.endEntry();
  }
}

GraphBuilder::Value
buildCausalAttention(GraphBuilder &builder, GraphBuilder::Value query,
                     GraphBuilder::Value key, GraphBuilder::Value value,
                     double scale, double dropoutRate, DropoutInputs dropout) {
  if (dropoutRate == 0 || !dropout.seed)
    return builder.attention(query, key, value, scale, /*causal=*/true);
  // [B,G,T,R,S]
  auto scores = builder.scale(
      builder.matmul(query, key, {0, 2}, {0, 2}, {4}, {3}), scale);
  auto shape = GraphBuilder::shapeOf(scores);
  auto visible = builder.compare(graph::Predicate::Ge,
                                 builder.iota(2, shape, /*integer=*/true),
                                 builder.iota(4, shape, /*integer=*/true));
  // Large but finite, as a whole row is never masked.
  auto masked = builder.select(visible, scores, builder.constant(-1e30, shape));
  auto weights = builder.dropout(builder.softmax(masked), dropoutRate,
                                 dropout.seed, dropout.step, "dropout");
  auto mixed =
      builder.matmul(weights, value, {0, 1}, {0, 2}, {4}, {1}); // [B,G,T,R,D]
  return builder.transpose(mixed, {0, 2, 1, 3, 4});
}

} // namespace weir::compiler
