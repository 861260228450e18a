// SPDX-License-Identifier: Apache-2.0
#include "compiler/Pipeline/Passes.h"

namespace weir::compiler {

#define GEN_PASS_REGISTRATION
#include "compiler/Pipeline/Passes.h.inc"

void registerPipelinePasses() { registerWeirPipelinePasses(); }

} // namespace weir::compiler
