// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_COMPILER_BUILDERS_FAMILIES_H
#define WEIR_COMPILER_BUILDERS_FAMILIES_H

#include "compiler/Builders/GraphBuilder.h"

#include <optional>
#include <string>

/// Model families built with the GraphBuilder. Each family makes the entries
/// `forward` (logits), `evaluate` (loss sum and token count without dropout)
/// and `loss` (with dropout; what training is derived from).
namespace weir::compiler {

/// Sizes of the entries' inputs.
struct EntryShapes {
  int64_t batch = 1;
  int64_t sequence = 1;
  /// Batch of the `forward` entry; 0: `batch`.
  int64_t forwardBatch = 0;
};

enum class Activation {
  GeluErf,
  GeluTanh,
  QuickGelu,
  Relu,
  Silu,
  Tanh,
  Sigmoid
};

/// The activation of that name in Hugging Face configurations.
std::optional<Activation> parseActivation(llvm::StringRef name);
GraphBuilder::Value buildActivation(GraphBuilder &builder,
                                    GraphBuilder::Value x,
                                    Activation activation);

/// GPT-2 (Radford et al. 2019) as transformers' GPT2LMHeadModel.
struct Gpt2Config {
  int64_t layers = 12, width = 768, heads = 12, inner = 3072, vocab = 50257,
          context = 1024;
  Activation activation = Activation::GeluTanh;
  double epsilon = 1e-5, initializerRange = 0.02;
  double embeddingDropout = 0, attentionDropout = 0, residualDropout = 0;
  bool scaleWeights = true, scaleByInverseLayer = false, tied = true;
  /// What precedes the names of stored tensors: "transformer." or nothing.
  std::string storedPrefix = "transformer.";
};

/// Llama (Touvron et al. 2023) as transformers' LlamaForCausalLM.
struct LlamaConfig {
  int64_t layers = 0, width = 0, heads = 0, kvHeads = 0, headDim = 0, inner = 0,
          vocab = 0, context = 0;
  Activation activation = Activation::Silu;
  double epsilon = 1e-6, initializerRange = 0.02, attentionDropout = 0;
  bool attentionBias = false, mlpBias = false, tied = false;
  double ropeTheta = 10000;
  /// Rotary frequency scaling: none, `linear` (divides all frequencies), or
  /// `llama3` (by wavelength; Llama 3.1).
  enum class RopeScaling {
    None,
    Linear,
    Llama3
  } ropeScaling = RopeScaling::None;
  double ropeFactor = 1, ropeLowFactor = 1, ropeHighFactor = 4;
  int64_t ropeOriginalContext = 8192;
  std::string storedPrefix = "model.";
};

mlir::OwningOpRef<mlir::ModuleOp> buildGpt2(mlir::MLIRContext *context,
                                            const Gpt2Config &config,
                                            const EntryShapes &shapes);
mlir::OwningOpRef<mlir::ModuleOp> buildLlama(mlir::MLIRContext *context,
                                             const LlamaConfig &config,
                                             const EntryShapes &shapes);

/// What the model body needs to know about the entry it is built in: `seed` is
/// null where dropout is off.
struct DropoutInputs {
  GraphBuilder::Value seed, step;
};

/// Builds the three entries around `body`, which maps ids [B, T] to logits
/// [B, T, V].
void buildLanguageModelEntries(
    GraphBuilder &builder, const EntryShapes &shapes,
    llvm::function_ref<GraphBuilder::Value(GraphBuilder::Value ids,
                                           DropoutInputs dropout)>
        body);

/// Causal attention: the fused op, or, where probabilities are dropped, its
/// parts. query [B,T,G,R,D], key and value [B,T,G,D] -> [B,T,G,R,D].
GraphBuilder::Value
buildCausalAttention(GraphBuilder &builder, GraphBuilder::Value query,
                     GraphBuilder::Value key, GraphBuilder::Value value,
                     double scale, double dropoutRate, DropoutInputs dropout);

} // namespace weir::compiler

#endif // WEIR_COMPILER_BUILDERS_FAMILIES_H
