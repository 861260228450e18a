// SPDX-License-Identifier: Apache-2.0
#include "compiler/Builders/Families.h"

#include <cmath>

namespace weir::compiler {
namespace {

struct Layer {
  graph::VariableOp norm1Weight, norm1Bias, qkvWeight, qkvBias, outWeight,
      outBias;
  graph::VariableOp norm2Weight, norm2Bias, upWeight, upBias, downWeight,
      downBias;
};

/// Declares the variables once and builds the body in each entry.
class Gpt2Builder {
public:
  Gpt2Builder(GraphBuilder &builder, const Gpt2Config &config)
      : b(builder), config(config), headDim(config.width / config.heads) {
    int64_t c = config.width, h = config.heads, f = config.inner;
    // Residual projections start smaller, so that the residual stream's
    // variance does not grow with depth (GPT-2, section 2.3).
    Init normal = Init::normal(config.initializerRange);
    Init residual =
        Init::normal(config.initializerRange / std::sqrt(2.0 * config.layers));
    Init ones = Init::constant(1), zeros = Init::zeros();
    tokens = variable("wte.weight", {config.vocab, c}, normal, {}, 0);
    positions = variable("wpe.weight", {config.context, c}, normal);
    for (int64_t i = 0; i < config.layers; ++i) {
      std::string p = "h." + std::to_string(i) + ".";
      layers.push_back(
          {variable(p + "ln_1.weight", {c}, ones),
           variable(p + "ln_1.bias", {c}, zeros),
           variable(p + "attn.c_attn.weight", {c, 3, h, headDim}, normal,
                    {c, 3 * c}, 2),
           variable(p + "attn.c_attn.bias", {3, h, headDim}, zeros, {3 * c}, 1),
           variable(p + "attn.c_proj.weight", {h, headDim, c}, residual, {c, c},
                    0),
           variable(p + "attn.c_proj.bias", {c}, zeros),
           variable(p + "ln_2.weight", {c}, ones),
           variable(p + "ln_2.bias", {c}, zeros),
           variable(p + "mlp.c_fc.weight", {c, f}, normal, {}, 1),
           variable(p + "mlp.c_fc.bias", {f}, zeros, {}, 0),
           variable(p + "mlp.c_proj.weight", {f, c}, residual, {}, 0),
           variable(p + "mlp.c_proj.bias", {c}, zeros)});
    }
    finalWeight = variable("ln_f.weight", {c}, ones);
    finalBias = variable("ln_f.bias", {c}, zeros);
    if (!config.tied) {
      VariableOptions options;
      options.init = normal;
      options.tensorParallelDim = 0;
      head = b.variable("lm_head.weight", {config.vocab, c}, options);
    }
  }

  GraphBuilder::Value body(GraphBuilder::Value ids, DropoutInputs dropout) {
    int64_t sequence = GraphBuilder::shapeOf(ids)[1];
    GraphBuilder::Value x, table = b.read(tokens);
    {
      GraphBuilder::Scope scope(b, "wte");
      x = b.embedding(table, ids);
    }
    {
      GraphBuilder::Scope scope(b, "wpe");
      x = b.addTrailing(
          x, b.slice(b.read(positions), {0, 0}, {sequence, config.width}));
    }
    x = drop(x, config.embeddingDropout, dropout, "drop");
    for (auto [i, layer] : llvm::enumerate(layers)) {
      GraphBuilder::Scope scope(b, "h." + std::to_string(i));
      x = attention(x, layer, i, dropout);
      x = mlp(x, layer, dropout);
    }
    x = norm(x, finalWeight, finalBias, "ln_f");
    GraphBuilder::Scope scope(b, "lm_head");
    return b.linear(x, head ? b.read(head) : table, {}, 1, /*transposed=*/true);
  }

private:
  graph::VariableOp variable(const std::string &name, GraphBuilder::Shape shape,
                             Init init, GraphBuilder::Shape stored = {},
                             int64_t tensorParallelDim = -1) {
    VariableOptions options;
    options.init = init;
    options.storedName = config.storedPrefix + name;
    options.storedShape.assign(stored.begin(), stored.end());
    options.tensorParallelDim = tensorParallelDim;
    return b.variable(name, shape, options);
  }

  GraphBuilder::Value drop(GraphBuilder::Value x, double rate,
                           DropoutInputs dropout, llvm::StringRef name) {
    return dropout.seed ? b.dropout(x, rate, dropout.seed, dropout.step, name)
                        : x;
  }

  GraphBuilder::Value norm(GraphBuilder::Value x, graph::VariableOp weight,
                           graph::VariableOp bias, llvm::StringRef name) {
    GraphBuilder::Scope scope(b, name);
    return b.layerNorm(x, b.read(weight), b.read(bias), config.epsilon);
  }

  GraphBuilder::Value attention(GraphBuilder::Value x, const Layer &layer,
                                int64_t index, DropoutInputs dropout) {
    auto normed = norm(x, layer.norm1Weight, layer.norm1Bias, "ln_1");
    GraphBuilder::Scope scope(b, "attn");
    int64_t batch = GraphBuilder::shapeOf(x)[0],
            sequence = GraphBuilder::shapeOf(x)[1];
    int64_t h = config.heads, d = headDim;
    GraphBuilder::Value qkv; // [B,T,3,H,D]
    {
      GraphBuilder::Scope inner(b, "c_attn");
      qkv = b.linear(normed, b.read(layer.qkvWeight), b.read(layer.qkvBias));
    }
    auto part = [&](int64_t which, GraphBuilder::Shape shape) {
      return b.reshape(
          b.slice(qkv, {0, 0, which, 0, 0}, {batch, sequence, 1, h, d}), shape);
    };
    double scale = config.scaleWeights ? 1.0 / std::sqrt(double(d)) : 1.0;
    if (config.scaleByInverseLayer)
      scale /= double(index + 1);
    auto mixed = buildCausalAttention(b, part(0, {batch, sequence, h, 1, d}),
                                      part(1, {batch, sequence, h, d}),
                                      part(2, {batch, sequence, h, d}), scale,
                                      config.attentionDropout, dropout);
    mixed = b.reshape(mixed, {batch, sequence, h, d});
    GraphBuilder::Value projected;
    {
      GraphBuilder::Scope inner(b, "c_proj");
      projected =
          b.linear(mixed, b.read(layer.outWeight), b.read(layer.outBias), 2);
    }
    return b.add(
        x, drop(projected, config.residualDropout, dropout, "resid_dropout"));
  }

  GraphBuilder::Value mlp(GraphBuilder::Value x, const Layer &layer,
                          DropoutInputs dropout) {
    auto normed = norm(x, layer.norm2Weight, layer.norm2Bias, "ln_2");
    GraphBuilder::Scope scope(b, "mlp");
    GraphBuilder::Value hidden, projected;
    {
      GraphBuilder::Scope inner(b, "c_fc");
      hidden = b.linear(normed, b.read(layer.upWeight), b.read(layer.upBias));
    }
    {
      GraphBuilder::Scope inner(b, "act");
      hidden = buildActivation(b, hidden, config.activation);
    }
    {
      GraphBuilder::Scope inner(b, "c_proj");
      projected =
          b.linear(hidden, b.read(layer.downWeight), b.read(layer.downBias));
    }
    return b.add(x,
                 drop(projected, config.residualDropout, dropout, "dropout"));
  }

  GraphBuilder &b;
  const Gpt2Config &config;
  int64_t headDim;
  graph::VariableOp tokens, positions, finalWeight, finalBias, head;
  std::vector<Layer> layers;
};

} // namespace

mlir::OwningOpRef<mlir::ModuleOp> buildGpt2(mlir::MLIRContext *context,
                                            const Gpt2Config &config,
                                            const EntryShapes &shapes) {
  GraphBuilder builder(context);
  Gpt2Builder model(builder, config);
  buildLanguageModelEntries(
      builder, shapes, [&](GraphBuilder::Value ids, DropoutInputs dropout) {
        return model.body(ids, dropout);
      });
  return builder.finish();
}

} // namespace weir::compiler
