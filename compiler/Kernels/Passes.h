// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_COMPILER_KERNELS_PASSES_H
#define WEIR_COMPILER_KERNELS_PASSES_H

#include "dialects/Graph/Graph.h"
#include "dialects/Pipe/Pipe.h"

namespace weir::compiler {

#define GEN_PASS_DECL
#include "compiler/Kernels/Passes.h.inc"

/// Registers the passes of the kernels phase by their names.
void registerKernelsPasses();

} // namespace weir::compiler

#endif // WEIR_COMPILER_KERNELS_PASSES_H
