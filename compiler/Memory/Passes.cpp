// SPDX-License-Identifier: Apache-2.0
#include "compiler/Memory/Passes.h"

namespace weir::compiler {

#define GEN_PASS_REGISTRATION
#include "compiler/Memory/Passes.h.inc"

void registerMemoryPasses() { registerWeirMemoryPasses(); }

} // namespace weir::compiler
