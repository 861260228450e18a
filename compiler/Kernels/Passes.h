// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_COMPILER_KERNELS_PASSES_H
#define WEIR_COMPILER_KERNELS_PASSES_H

#include "dialects/Graph/Graph.h"
#include "dialects/Pipe/Pipe.h"

#include <memory>

namespace weir::compiler {

#define GEN_PASS_DECL
#include "compiler/Kernels/Passes.h.inc"

#define GEN_PASS_REGISTRATION_FORMKERNELSPASS
#include "compiler/Kernels/Passes.h.inc"

/// Registers the passes of this directory for textual pipelines.
inline void registerKernelsPasses() { registerFormKernelsPass(); }

} // namespace weir::compiler

#endif // WEIR_COMPILER_KERNELS_PASSES_H
