// SPDX-License-Identifier: Apache-2.0
#include "compiler/Import/Import.h"

#include "compiler/API/Diagnostics.h"

#include "mlir/IR/Verifier.h"
#include "mlir/Parser/Parser.h"
#include "runtime/base/Json.h"
#include "runtime/io/File.h"
#include "runtime/io/Safetensors.h"

using namespace mlir;

namespace weir::compiler {
namespace {

/// Whether the folder's checkpoint holds a tensor of that name; false where
/// there is no checkpoint.
StatusOr<bool> checkpointHolds(const std::string &folder,
                               const std::string &name) {
  if (!fileExists(folder + "/model.safetensors") &&
      !fileExists(folder + "/model.safetensors.index.json"))
    return false;
  WEIR_ASSIGN_OR_RETURN(SafetensorsSet set, SafetensorsSet::open(folder));
  return bool(set.find(name));
}

Status checkSequence(const Job &job, int64_t context,
                     const std::string &place) {
  if (job.sequence <= context)
    return okStatus();
  return invalidInput(place +
                      ": sequence: expects at most the model's context of " +
                      std::to_string(context) + " positions, got " +
                      std::to_string(job.sequence));
}

/// Refuses what no machine can hold, before sizes in bytes leave 64 bits. An
/// estimate from below of a device's share: weights with gradients and
/// optimizer state, and a micro-batch's activations.
Status checkSizes(const Job &job, double vocab, double width, double inner,
                  double layers, double heads, const std::string &place) {
  double parameters = vocab * width + layers * width * (4 * width + 2 * inner);
  double tokens = double(job.batch) * job.sequence;
  double activations =
      tokens * (vocab + layers * (inner + 4 * width + heads * job.sequence));
  constexpr double tebibyte = double(int64_t(1) << 40);
  double devices = 1;
  for (const MeshAxis &axis : job.mesh)
    devices *= static_cast<double>(axis.size);
  activations /= static_cast<double>(job.microBatches);
  double needed = (16 * parameters + 4 * activations) / tebibyte / devices;
  if (needed < 8)
    return okStatus();
  return Status(StatusCode::Infeasible,
                place + ": a step of batch " + std::to_string(job.batch) +
                    " needs at least " +
                    std::to_string(int64_t(std::min(needed, 1e18))) +
                    " TiB a device; use smaller sizes, a smaller batch or "
                    "sequence, or more devices");
}

StatusOr<OwningOpRef<ModuleOp>> finish(OwningOpRef<ModuleOp> module,
                                       const std::string &config) {
  if (!module)
    return internalError(
        "the model builder made invalid IR (see the diagnostics above)");
  (*module)->setAttr(modelConfigAttrName,
                     StringAttr::get(module->getContext(), config));
  return module;
}

StatusOr<OwningOpRef<ModuleOp>>
importFolder(MLIRContext *context, const Job &job, const EntryShapes &shapes) {
  const std::string &folder = job.model.folder;
  std::string path = folder + "/config.json";
  WEIR_ASSIGN_OR_RETURN(std::string text, readFile(path));
  WEIR_ASSIGN_OR_RETURN(JsonView root, parseJson(text, path));
  WEIR_RETURN_IF_ERROR(root.expectObject());
  WEIR_ASSIGN_OR_RETURN(std::string family, root.string("model_type"));
  if (family == "gpt2") {
    WEIR_ASSIGN_OR_RETURN(Gpt2Config config, parseGpt2Config(text, path));
    // Checkpoints of the bare model lack the prefix.
    WEIR_ASSIGN_OR_RETURN(bool bare, checkpointHolds(folder, "wte.weight"));
    if (bare)
      config.storedPrefix = "";
    if (job.dropout)
      config.embeddingDropout = config.attentionDropout =
          config.residualDropout = *job.dropout;
    WEIR_RETURN_IF_ERROR(checkSequence(job, config.context, path));
    WEIR_RETURN_IF_ERROR(checkSizes(job, config.vocab, config.width,
                                    config.inner, config.layers, config.heads,
                                    path));
    return finish(buildGpt2(context, config, shapes), text);
  }
  if (family == "llama") {
    WEIR_ASSIGN_OR_RETURN(LlamaConfig config, parseLlamaConfig(text, path));
    WEIR_ASSIGN_OR_RETURN(bool bare,
                          checkpointHolds(folder, "embed_tokens.weight"));
    if (bare)
      config.storedPrefix = "";
    if (job.dropout)
      config.attentionDropout = *job.dropout;
    WEIR_RETURN_IF_ERROR(checkSequence(job, config.context, path));
    WEIR_RETURN_IF_ERROR(checkSizes(
        job, config.vocab,
        std::max(double(config.width), double(config.heads) * config.headDim),
        config.inner, config.layers, config.heads, path));
    return finish(buildLlama(context, config, shapes), text);
  }
  return Status(StatusCode::UnsupportedModel,
                path + ": model_type \"" + family +
                    "\" is not supported; known families: gpt2, llama. Build "
                    "another model "
                    "with the GraphBuilder (docs/build-a-model.md)");
}

StatusOr<OwningOpRef<ModuleOp>>
importFamily(MLIRContext *context, const Job &job, const EntryShapes &shapes) {
  WEIR_RETURN_IF_ERROR(
      checkSequence(job, job.model.config.context, "model.config"));
  const ModelConfig &sizes = job.model.config;
  WEIR_RETURN_IF_ERROR(checkSizes(
      job, sizes.vocab,
      std::max(double(sizes.width), double(sizes.heads) * sizes.headDim),
      sizes.intermediate, sizes.layers, sizes.heads, "model.config"));
  if (job.model.family == "gpt2") {
    Gpt2Config config = gpt2ConfigOf(job.model.config);
    if (job.dropout)
      config.embeddingDropout = config.attentionDropout =
          config.residualDropout = *job.dropout;
    return finish(buildGpt2(context, config, shapes), writeConfig(config));
  }
  LlamaConfig config = llamaConfigOf(job.model.config);
  if (job.dropout)
    config.attentionDropout = *job.dropout;
  return finish(buildLlama(context, config, shapes), writeConfig(config));
}

StatusOr<OwningOpRef<ModuleOp>> importMlir(MLIRContext *context,
                                           const Job &job) {
  WEIR_ASSIGN_OR_RETURN(std::string text, readFile(job.model.mlir));
  std::string messages;
  OwningOpRef<ModuleOp> module;
  bool valid = false;
  {
    ScopedDiagnosticHandler handler(context, [&](Diagnostic &diagnostic) {
      llvm::raw_string_ostream os(messages);
      os << placeOf(diagnostic.getLocation());
      os << diagnostic << '\n';
      return success();
    });
    // Text that is no IR is a malformed input; IR that breaks the rules of its
    // ops is a mistake in the model.
    ParserConfig config(context, /*verifyAfterParse=*/false);
    module = parseSourceString<ModuleOp>(text, config, job.model.mlir);
    valid = module && succeeded(verify(*module));
  }
  while (!messages.empty() && messages.back() == '\n')
    messages.pop_back();
  if (!module)
    return invalidInput(messages.empty() ? job.model.mlir + ": is not a module"
                                         : messages);
  if (!valid)
    return Status(StatusCode::CompileError, messages);
  if (module->getOps<graph::EntryOp>().empty())
    return invalidInput(job.model.mlir +
                        ": holds no graph.entry, so there is nothing to "
                        "compile; docs/build-a-model.md shows a model");
  return module;
}

} // namespace

StatusOr<OwningOpRef<ModuleOp>>
importModel(MLIRContext *context, const Job &job, int64_t forwardBatch) {
  context->loadDialect<graph::GraphDialect, kernel::KernelDialect,
                       dist::DistDialect>();
  EntryShapes shapes{job.batch, job.sequence, forwardBatch};
  switch (job.model.kind) {
  case ModelKind::Folder:
    return importFolder(context, job, shapes);
  case ModelKind::Family:
    return importFamily(context, job, shapes);
  case ModelKind::Mlir:
    return importMlir(context, job);
  }
  return internalError("unknown kind of model");
}

} // namespace weir::compiler
