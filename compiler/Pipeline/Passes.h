// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_COMPILER_PIPELINE_PASSES_H
#define WEIR_COMPILER_PIPELINE_PASSES_H

#include "dialects/Pch.h"

namespace weir::compiler {

#define GEN_PASS_DECL
#include "compiler/Pipeline/Passes.h.inc"

/// Registers the passes of the stage phase by their names.
void registerPipelinePasses();

} // namespace weir::compiler

#endif // WEIR_COMPILER_PIPELINE_PASSES_H
