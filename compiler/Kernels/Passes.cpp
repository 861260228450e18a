// SPDX-License-Identifier: Apache-2.0
#include "compiler/Kernels/Passes.h"

namespace weir::compiler {

#define GEN_PASS_REGISTRATION
#include "compiler/Kernels/Passes.h.inc"

void registerKernelsPasses() { registerWeirKernelsPasses(); }

} // namespace weir::compiler
