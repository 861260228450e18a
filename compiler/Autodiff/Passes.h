// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_COMPILER_AUTODIFF_PASSES_H
#define WEIR_COMPILER_AUTODIFF_PASSES_H

#include "dialects/Graph/Graph.h"

#include <memory>
#include <string>

namespace weir::compiler {

#define GEN_PASS_DECL
#include "compiler/Autodiff/Passes.h.inc"

#define GEN_PASS_REGISTRATION_BUILDTRAINENTRYPASS
#include "compiler/Autodiff/Passes.h.inc"

/// Registers the passes of this directory for textual pipelines.
inline void registerAutodiffPasses() { registerBuildTrainEntryPass(); }

} // namespace weir::compiler

#endif // WEIR_COMPILER_AUTODIFF_PASSES_H
