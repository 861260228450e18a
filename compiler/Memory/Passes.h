// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_COMPILER_MEMORY_PASSES_H
#define WEIR_COMPILER_MEMORY_PASSES_H

#include "dialects/Pch.h"

namespace weir::compiler {

#define GEN_PASS_DECL
#include "compiler/Memory/Passes.h.inc"

/// Registers the passes of the actors and memory phases by their names.
void registerMemoryPasses();

} // namespace weir::compiler

#endif // WEIR_COMPILER_MEMORY_PASSES_H
