// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_COMPILER_IMPORT_IMPORT_H
#define WEIR_COMPILER_IMPORT_IMPORT_H

#include "compiler/Builders/Families.h"
#include "runtime/base/Status.h"
#include "runtime/io/Job.h"

namespace weir::compiler {

/// Module attribute: the Hugging Face `config.json` that describes the model,
/// which an export writes beside the weights.
constexpr llvm::StringLiteral modelConfigAttrName = "weir.model_config";

/// Reads a Hugging Face `config.json`, in the spelling of transformers 4 or 5.
/// InvalidInput for malformed ones; UnsupportedModel lists everything that the
/// builders cannot express, at once. `path` stands for the file in messages.
StatusOr<Gpt2Config> parseGpt2Config(std::string_view text,
                                     const std::string &path);
StatusOr<LlamaConfig> parseLlamaConfig(std::string_view text,
                                       const std::string &path);

/// A family and sizes given in a job, with the family's defaults.
Gpt2Config gpt2ConfigOf(const ModelConfig &config);
LlamaConfig llamaConfigOf(const ModelConfig &config);
/// The `config.json` of such a model, as transformers 5 reads it.
std::string writeConfig(const Gpt2Config &config);
std::string writeConfig(const LlamaConfig &config);

/// Builds the job's model as `graph` IR: a Hugging Face folder, a family with
/// sizes, or MLIR text. `forwardBatch` as in EntryShapes.
StatusOr<mlir::OwningOpRef<mlir::ModuleOp>>
importModel(mlir::MLIRContext *context, const Job &job,
            int64_t forwardBatch = 0);

} // namespace weir::compiler

#endif // WEIR_COMPILER_IMPORT_IMPORT_H
