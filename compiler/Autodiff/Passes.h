// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_COMPILER_AUTODIFF_PASSES_H
#define WEIR_COMPILER_AUTODIFF_PASSES_H

#include "dialects/Graph/Graph.h"

namespace weir::compiler {

#define GEN_PASS_DECL
#include "compiler/Autodiff/Passes.h.inc"

/// Registers the passes of the graph phase by their names.
void registerAutodiffPasses();

} // namespace weir::compiler

#endif // WEIR_COMPILER_AUTODIFF_PASSES_H
