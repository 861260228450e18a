// SPDX-License-Identifier: Apache-2.0
#include "compiler/Builders/Families.h"

#include <cmath>

namespace weir::compiler {
namespace {

constexpr double pi = 3.14159265358979323846;

/// Inverse wavelengths of the head dimension's pairs, in f32 as the reference
/// computes them.
std::vector<float> rotaryFrequencies(const LlamaConfig &config) {
  std::vector<float> frequencies;
  for (int64_t i = 0; i < config.headDim; i += 2) {
    float frequency = 1.0f / std::pow(float(config.ropeTheta),
                                      float(i) / float(config.headDim));
    if (config.ropeScaling == LlamaConfig::RopeScaling::Linear)
      frequency = float(frequency / config.ropeFactor);
    if (config.ropeScaling == LlamaConfig::RopeScaling::Llama3) {
      // Long wavelengths are divided by the factor, short ones kept, those
      // between interpolated.
      double context = double(config.ropeOriginalContext);
      double wavelength = 2 * pi / frequency;
      if (wavelength > context / config.ropeLowFactor) {
        frequency = float(frequency / config.ropeFactor);
      } else if (wavelength >= context / config.ropeHighFactor) {
        double smooth = (context / wavelength - config.ropeLowFactor) /
                        (config.ropeHighFactor - config.ropeLowFactor);
        frequency = float((1 - smooth) * frequency / config.ropeFactor +
                          smooth * frequency);
      }
    }
    frequencies.push_back(frequency);
  }
  return frequencies;
}

struct Layer {
  graph::VariableOp inputNorm, query, key, value, out, postNorm, gate, up, down;
  graph::VariableOp queryBias, keyBias, valueBias, outBias, gateBias, upBias,
      downBias;
};

class LlamaBuilder {
public:
  LlamaBuilder(GraphBuilder &builder, const LlamaConfig &config)
      : b(builder), config(config), repeats(config.heads / config.kvHeads) {
    int64_t c = config.width, g = config.kvHeads, r = repeats,
            d = config.headDim, f = config.inner;
    tokens = variable("embed_tokens.weight", {config.vocab, c}, {}, 0);
    for (int64_t i = 0; i < config.layers; ++i) {
      std::string p = "layers." + std::to_string(i) + ".";
      Layer layer;
      layer.inputNorm = ones(p + "input_layernorm.weight");
      layer.query = variable(p + "self_attn.q_proj.weight", {g, r, d, c},
                             {g * r * d, c}, 0, 1);
      layer.key =
          variable(p + "self_attn.k_proj.weight", {g, d, c}, {g * d, c}, 0, -1);
      layer.value =
          variable(p + "self_attn.v_proj.weight", {g, d, c}, {g * d, c}, 0, -1);
      layer.out = variable(p + "self_attn.o_proj.weight", {c, g, r, d},
                           {c, g * r * d}, 1, 2);
      if (config.attentionBias) {
        layer.queryBias =
            bias(p + "self_attn.q_proj.bias", {g, r, d}, {g * r * d}, 0, 1);
        layer.keyBias =
            bias(p + "self_attn.k_proj.bias", {g, d}, {g * d}, 0, -1);
        layer.valueBias =
            bias(p + "self_attn.v_proj.bias", {g, d}, {g * d}, 0, -1);
        layer.outBias = bias(p + "self_attn.o_proj.bias", {c}, {}, -1);
      }
      layer.postNorm = ones(p + "post_attention_layernorm.weight");
      layer.gate = variable(p + "mlp.gate_proj.weight", {f, c}, {}, 0);
      layer.up = variable(p + "mlp.up_proj.weight", {f, c}, {}, 0);
      layer.down = variable(p + "mlp.down_proj.weight", {c, f}, {}, 1);
      if (config.mlpBias) {
        layer.gateBias = bias(p + "mlp.gate_proj.bias", {f}, {}, 0);
        layer.upBias = bias(p + "mlp.up_proj.bias", {f}, {}, 0);
        layer.downBias = bias(p + "mlp.down_proj.bias", {c}, {}, -1);
      }
      layers.push_back(layer);
    }
    finalNorm = ones("norm.weight");
    if (!config.tied) {
      VariableOptions options;
      options.init = Init::normal(config.initializerRange);
      options.tensorParallelDim = 0;
      head = b.variable("lm_head.weight", {config.vocab, c}, options);
    }
  }

  GraphBuilder::Value body(GraphBuilder::Value ids, DropoutInputs dropout) {
    int64_t sequence = GraphBuilder::shapeOf(ids)[1];
    GraphBuilder::Value x, table = b.read(tokens), cos, sin;
    {
      GraphBuilder::Scope scope(b, "embed_tokens");
      x = b.embedding(table, ids);
    }
    {
      GraphBuilder::Scope scope(b, "rotary_emb");
      auto frequencies = rotaryFrequencies(config);
      llvm::SmallVector<int64_t> shape{sequence, int64_t(frequencies.size())};
      auto angles = b.mul(
          b.iota(0, shape),
          b.broadcast(b.constantTensor(frequencies, {shape[1]}), shape, {1}));
      cos = b.cos(angles);
      sin = b.sin(angles);
    }
    for (auto [i, layer] : llvm::enumerate(layers)) {
      GraphBuilder::Scope scope(b, "layers." + std::to_string(i));
      x = b.add(x, attention(norm(x, layer.inputNorm, "input_layernorm"), layer,
                             cos, sin, dropout));
      x = b.add(
          x, mlp(norm(x, layer.postNorm, "post_attention_layernorm"), layer));
    }
    x = norm(x, finalNorm, "norm");
    GraphBuilder::Scope scope(b, "lm_head");
    return b.linear(x, head ? b.read(head) : table, {}, 1, /*transposed=*/true);
  }

private:
  graph::VariableOp declare(const std::string &name, GraphBuilder::Shape shape,
                            GraphBuilder::Shape stored, Init init,
                            int64_t tensorParallelDim,
                            int64_t innerDim = VariableOptions::sameDim) {
    VariableOptions options;
    options.init = init;
    options.storedName = config.storedPrefix + name;
    options.storedShape.assign(stored.begin(), stored.end());
    options.tensorParallelDim = tensorParallelDim;
    // A group of one head has nothing to split.
    if (repeats > 1)
      options.tensorParallelInnerDim = innerDim;
    return b.variable(name, shape, options);
  }
  graph::VariableOp variable(const std::string &name, GraphBuilder::Shape shape,
                             GraphBuilder::Shape stored,
                             int64_t tensorParallelDim,
                             int64_t innerDim = VariableOptions::sameDim) {
    return declare(name, shape, stored, Init::normal(config.initializerRange),
                   tensorParallelDim, innerDim);
  }
  graph::VariableOp bias(const std::string &name, GraphBuilder::Shape shape,
                         GraphBuilder::Shape stored, int64_t tensorParallelDim,
                         int64_t innerDim = VariableOptions::sameDim) {
    return declare(name, shape, stored, Init::zeros(), tensorParallelDim,
                   innerDim);
  }
  graph::VariableOp ones(const std::string &name) {
    return declare(name, {config.width}, {}, Init::constant(1), -1);
  }

  GraphBuilder::Value norm(GraphBuilder::Value x, graph::VariableOp weight,
                           llvm::StringRef name) {
    GraphBuilder::Scope scope(b, name);
    return b.rmsNorm(x, b.read(weight), config.epsilon);
  }

  /// A projection whose weight is stored output first.
  GraphBuilder::Value project(GraphBuilder::Value x, graph::VariableOp weight,
                              graph::VariableOp bias, llvm::StringRef name,
                              unsigned count = 1) {
    GraphBuilder::Scope scope(b, name);
    return b.linear(x, b.read(weight),
                    bias ? b.read(bias) : GraphBuilder::Value(), count,
                    /*transposed=*/true);
  }

  GraphBuilder::Value attention(GraphBuilder::Value x, const Layer &layer,
                                GraphBuilder::Value cos,
                                GraphBuilder::Value sin,
                                DropoutInputs dropout) {
    GraphBuilder::Scope scope(b, "self_attn");
    auto query =
        b.rope(project(x, layer.query, layer.queryBias, "q_proj"), cos, sin, 1);
    auto key =
        b.rope(project(x, layer.key, layer.keyBias, "k_proj"), cos, sin, 1);
    auto value = project(x, layer.value, layer.valueBias, "v_proj");
    auto mixed = buildCausalAttention(b, query, key, value,
                                      1.0 / std::sqrt(double(config.headDim)),
                                      config.attentionDropout, dropout);
    return project(mixed, layer.out, layer.outBias, "o_proj", 3);
  }

  GraphBuilder::Value mlp(GraphBuilder::Value x, const Layer &layer) {
    GraphBuilder::Scope scope(b, "mlp");
    auto gate =
        buildActivation(b, project(x, layer.gate, layer.gateBias, "gate_proj"),
                        config.activation);
    auto up = project(x, layer.up, layer.upBias, "up_proj");
    return project(b.mul(gate, up), layer.down, layer.downBias, "down_proj");
  }

  GraphBuilder &b;
  const LlamaConfig &config;
  int64_t repeats;
  graph::VariableOp tokens, finalNorm, head;
  std::vector<Layer> layers;
};

} // namespace

mlir::OwningOpRef<mlir::ModuleOp> buildLlama(mlir::MLIRContext *context,
                                             const LlamaConfig &config,
                                             const EntryShapes &shapes) {
  GraphBuilder builder(context);
  LlamaBuilder model(builder, config);
  buildLanguageModelEntries(
      builder, shapes, [&](GraphBuilder::Value ids, DropoutInputs dropout) {
        return model.body(ids, dropout);
      });
  return builder.finish();
}

} // namespace weir::compiler
