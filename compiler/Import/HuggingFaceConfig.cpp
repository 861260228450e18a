// SPDX-License-Identifier: Apache-2.0
#include "compiler/Import/Import.h"
#include "runtime/base/Json.h"

namespace weir::compiler {
namespace {

/// The IR is flat, some 100 operations a layer: beyond this it would not fit.
/// The same bound as the job's `model.config.layers`.
constexpr int64_t maxLayers = 10000;

/// Reads a configuration's fields, collecting what is malformed and what is
/// unsupported, so that both are told in full.
class ConfigReader {
public:
  explicit ConfigReader(JsonView root) : root(std::move(root)) {}

  int64_t integer(std::string_view key, std::optional<int64_t> fallback,
                  int64_t low = 1, int64_t high = int64_t(1) << 40) {
    return integerIn(root, key, fallback, low, high);
  }
  int64_t integerIn(const JsonView &object, std::string_view key,
                    std::optional<int64_t> fallback, int64_t low = 1,
                    int64_t high = int64_t(1) << 40) {
    auto view = object.find(key);
    if (!view)
      return missing(object, key, fallback, low);
    auto value = view->asInteger(low, high);
    return value.ok() ? *value
                      : (malformed.push_back(value.status().message()), low);
  }
  double number(std::string_view key, std::optional<double> fallback,
                double low, double high) {
    return numberIn(root, key, fallback, low, high);
  }
  double numberIn(const JsonView &object, std::string_view key,
                  std::optional<double> fallback, double low, double high) {
    auto view = object.find(key);
    if (!view)
      return missing(object, key, fallback, low);
    auto value = view->asNumber();
    if (value.ok() && *value >= low && *value <= high)
      return *value;
    malformed.push_back(value.ok() ? view->error("expects a number of " +
                                                 std::to_string(low) + " to " +
                                                 std::to_string(high))
                                         .message()
                                   : value.status().message());
    return low;
  }
  bool boolean(std::string_view key, bool fallback) {
    auto view = root.find(key);
    if (!view)
      return fallback;
    auto value = view->asBool();
    return value.ok()
               ? *value
               : (malformed.push_back(value.status().message()), fallback);
  }
  std::string string(const JsonView &object, std::string_view key,
                     std::string fallback) {
    auto view = object.find(key);
    if (!view)
      return fallback;
    auto value = view->asString();
    return value.ok()
               ? *value
               : (malformed.push_back(value.status().message()), fallback);
  }
  Activation activation(std::string_view key, const char *fallback) {
    std::string name = string(root, key, fallback);
    if (auto activation = parseActivation(name))
      return *activation;
    unsupported.push_back(
        std::string(key) + " \"" + name +
        "\" (known: gelu, gelu_new, quick_gelu, relu, silu, tanh, sigmoid)");
    return Activation::Relu;
  }
  void require(bool holds, std::string what) {
    if (!holds)
      malformed.push_back(root.document() + ": " + what);
  }
  void reject(const Status &problem) { malformed.push_back(problem.message()); }
  void refuse(bool present, std::string what) {
    if (present)
      unsupported.push_back(std::move(what));
  }

  Status finish() const {
    if (!malformed.empty())
      return invalidInput(joined(malformed, "\n"));
    if (!unsupported.empty())
      return Status(StatusCode::UnsupportedModel,
                    root.document() +
                        ": the model needs what is not supported: " +
                        joined(unsupported, "; "));
    return okStatus();
  }

  const JsonView root;

private:
  template <typename T>
  T missing(const JsonView &object, std::string_view key,
            std::optional<T> fallback, T low) {
    if (fallback)
      return *fallback;
    malformed.push_back(object.place() + ": expects the key \"" +
                        std::string(key) + "\"");
    return low;
  }
  static std::string joined(const std::vector<std::string> &parts,
                            const char *separator) {
    std::string text;
    for (const std::string &part : parts)
      text += (text.empty() ? "" : separator) + part;
    return text;
  }

  std::vector<std::string> malformed, unsupported;
};

StatusOr<ConfigReader> openConfig(std::string_view text,
                                  const std::string &path) {
  WEIR_ASSIGN_OR_RETURN(JsonView root, parseJson(text, path));
  WEIR_RETURN_IF_ERROR(root.expectObject());
  return ConfigReader(std::move(root));
}

const char *activationName(Activation activation) {
  switch (activation) {
  case Activation::GeluErf:
    return "gelu";
  case Activation::GeluTanh:
    return "gelu_new";
  case Activation::QuickGelu:
    return "quick_gelu";
  case Activation::Relu:
    return "relu";
  case Activation::Silu:
    return "silu";
  case Activation::Tanh:
    return "tanh";
  case Activation::Sigmoid:
    return "sigmoid";
  }
  return "";
}

/// Rotary settings: transformers 5 keeps all in `rope_parameters`, older ones
/// `rope_theta` at the top and the scaling in `rope_scaling`.
void readRope(ConfigReader &reader, LlamaConfig &config) {
  auto parameters = reader.root.find("rope_parameters");
  auto scaling = parameters ? parameters : reader.root.find("rope_scaling");
  if (scaling && !scaling->isObject()) {
    reader.reject(scaling->error("expects an object"));
    return;
  }
  const JsonView &thetaHome =
      parameters && parameters->find("rope_theta") ? *parameters : reader.root;
  config.ropeTheta =
      reader.numberIn(thetaHome, "rope_theta", 10000.0, 1.0, 1e12);
  if (!scaling)
    return;
  std::string type = reader.string(*scaling, "rope_type",
                                   reader.string(*scaling, "type", "default"));
  if (type == "default")
    return;
  if (type == "linear") {
    config.ropeScaling = LlamaConfig::RopeScaling::Linear;
    config.ropeFactor =
        reader.numberIn(*scaling, "factor", std::nullopt, 1e-6, 1e6);
  } else if (type == "llama3") {
    config.ropeScaling = LlamaConfig::RopeScaling::Llama3;
    config.ropeFactor =
        reader.numberIn(*scaling, "factor", std::nullopt, 1e-6, 1e6);
    config.ropeLowFactor =
        reader.numberIn(*scaling, "low_freq_factor", std::nullopt, 1e-6, 1e6);
    config.ropeHighFactor =
        reader.numberIn(*scaling, "high_freq_factor", std::nullopt, 1e-6, 1e6);
    config.ropeOriginalContext = reader.integerIn(
        *scaling, "original_max_position_embeddings", config.context);
    reader.require(config.ropeHighFactor > config.ropeLowFactor,
                   scaling->path() +
                       ": expects high_freq_factor above low_freq_factor");
  } else {
    reader.refuse(true, "rotary scaling \"" + type +
                            "\" (known: default, linear, llama3)");
  }
}

} // namespace

StatusOr<Gpt2Config> parseGpt2Config(std::string_view text,
                                     const std::string &path) {
  WEIR_ASSIGN_OR_RETURN(ConfigReader reader, openConfig(text, path));
  Gpt2Config config;
  config.layers = reader.integer("n_layer", 12, 1, maxLayers);
  config.width = reader.integer("n_embd", 768);
  config.heads = reader.integer("n_head", 12);
  config.inner = reader.integer("n_inner", 4 * config.width);
  config.vocab = reader.integer("vocab_size", 50257, 1, int64_t(1) << 31);
  config.context = reader.integer("n_positions", 1024);
  config.activation = reader.activation("activation_function", "gelu_new");
  config.epsilon = reader.number("layer_norm_epsilon", 1e-5, 0, 1);
  config.initializerRange = reader.number("initializer_range", 0.02, 0, 100);
  config.embeddingDropout = reader.number("embd_pdrop", 0.1, 0, 0.999);
  config.attentionDropout = reader.number("attn_pdrop", 0.1, 0, 0.999);
  config.residualDropout = reader.number("resid_pdrop", 0.1, 0, 0.999);
  config.scaleWeights = reader.boolean("scale_attn_weights", true);
  config.scaleByInverseLayer =
      reader.boolean("scale_attn_by_inverse_layer_idx", false);
  config.tied = reader.boolean("tie_word_embeddings", true);
  reader.require(config.width % config.heads == 0,
                 "n_embd: expects a multiple of n_head (" +
                     std::to_string(config.heads) + "), got " +
                     std::to_string(config.width));
  reader.refuse(reader.boolean("add_cross_attention", false),
                "add_cross_attention");
  WEIR_RETURN_IF_ERROR(reader.finish());
  return config;
}

StatusOr<LlamaConfig> parseLlamaConfig(std::string_view text,
                                       const std::string &path) {
  WEIR_ASSIGN_OR_RETURN(ConfigReader reader, openConfig(text, path));
  LlamaConfig config;
  config.layers = reader.integer("num_hidden_layers", std::nullopt, 1, maxLayers);
  config.width = reader.integer("hidden_size", std::nullopt);
  config.heads = reader.integer("num_attention_heads", std::nullopt);
  config.kvHeads = reader.integer("num_key_value_heads", config.heads);
  config.headDim = reader.integer("head_dim", config.width / config.heads);
  config.inner = reader.integer("intermediate_size", std::nullopt);
  config.vocab =
      reader.integer("vocab_size", std::nullopt, 1, int64_t(1) << 31);
  config.context = reader.integer("max_position_embeddings", 2048);
  config.activation = reader.activation("hidden_act", "silu");
  config.epsilon = reader.number("rms_norm_eps", 1e-6, 0, 1);
  config.initializerRange = reader.number("initializer_range", 0.02, 0, 100);
  config.attentionDropout = reader.number("attention_dropout", 0.0, 0, 0.999);
  config.attentionBias = reader.boolean("attention_bias", false);
  config.mlpBias = reader.boolean("mlp_bias", false);
  config.tied = reader.boolean("tie_word_embeddings", false);
  readRope(reader, config);
  reader.require(
      config.heads % config.kvHeads == 0,
      "num_attention_heads: expects a multiple of num_key_value_heads (" +
          std::to_string(config.kvHeads) + "), got " +
          std::to_string(config.heads));
  reader.require(config.headDim > 0 && config.headDim % 2 == 0,
                 "head_dim: expects an even size above 0, got " +
                     std::to_string(config.headDim));
  WEIR_RETURN_IF_ERROR(reader.finish());
  return config;
}

Gpt2Config gpt2ConfigOf(const ModelConfig &model) {
  Gpt2Config config;
  config.layers = model.layers;
  config.width = model.width;
  config.heads = model.heads;
  config.inner = model.intermediate;
  config.vocab = model.vocab;
  config.context = model.context;
  config.epsilon = model.normEpsilon;
  config.initializerRange = model.initStd;
  config.embeddingDropout = config.attentionDropout = config.residualDropout =
      model.dropout;
  config.tied = model.tie.value_or(true);
  config.activation =
      parseActivation(model.activation).value_or(Activation::GeluTanh);
  return config;
}

LlamaConfig llamaConfigOf(const ModelConfig &model) {
  LlamaConfig config;
  config.layers = model.layers;
  config.width = model.width;
  config.heads = model.heads;
  config.kvHeads = model.kvHeads;
  config.headDim = model.headDim;
  config.inner = model.intermediate;
  config.vocab = model.vocab;
  config.context = model.context;
  config.epsilon = model.normEpsilon;
  config.initializerRange = model.initStd;
  config.attentionDropout = model.dropout;
  config.attentionBias = model.attentionBias;
  config.mlpBias = model.mlpBias;
  config.tied = model.tie.value_or(false);
  config.ropeTheta = model.ropeTheta;
  config.activation =
      parseActivation(model.activation).value_or(Activation::Silu);
  return config;
}

std::string writeConfig(const Gpt2Config &config) {
  JsonWriter writer;
  writer.beginObject()
      .key("architectures")
      .list(std::vector<std::string>{"GPT2LMHeadModel"});
  writer.member("activation_function", activationName(config.activation));
  writer.member("attn_pdrop", config.attentionDropout);
  writer.member("dtype", "float32");
  writer.member("embd_pdrop", config.embeddingDropout);
  writer.member("initializer_range", config.initializerRange);
  writer.member("layer_norm_epsilon", config.epsilon);
  writer.member("model_type", "gpt2");
  writer.member("n_embd", config.width).member("n_head", config.heads);
  writer.member("n_inner", config.inner).member("n_layer", config.layers);
  writer.member("n_positions", config.context);
  writer.member("resid_pdrop", config.residualDropout);
  writer.member("scale_attn_by_inverse_layer_idx", config.scaleByInverseLayer);
  writer.member("scale_attn_weights", config.scaleWeights);
  writer.member("tie_word_embeddings", config.tied);
  writer.member("vocab_size", config.vocab);
  return writer.endObject().take();
}

std::string writeConfig(const LlamaConfig &config) {
  JsonWriter writer;
  writer.beginObject()
      .key("architectures")
      .list(std::vector<std::string>{"LlamaForCausalLM"});
  writer.member("attention_bias", config.attentionBias);
  writer.member("attention_dropout", config.attentionDropout);
  writer.member("dtype", "float32");
  writer.member("head_dim", config.headDim);
  writer.member("hidden_act", activationName(config.activation));
  writer.member("hidden_size", config.width);
  writer.member("initializer_range", config.initializerRange);
  writer.member("intermediate_size", config.inner);
  writer.member("max_position_embeddings", config.context);
  writer.member("mlp_bias", config.mlpBias);
  writer.member("model_type", "llama");
  writer.member("num_attention_heads", config.heads);
  writer.member("num_hidden_layers", config.layers);
  writer.member("num_key_value_heads", config.kvHeads);
  writer.member("rms_norm_eps", config.epsilon);
  writer.key("rope_parameters").beginObject();
  writer.member("rope_theta", config.ropeTheta)
      .member("rope_type", "default")
      .endObject();
  writer.member("rope_theta", config.ropeTheta);
  writer.member("tie_word_embeddings", config.tied);
  writer.member("vocab_size", config.vocab);
  return writer.endObject().take();
}

} // namespace weir::compiler
