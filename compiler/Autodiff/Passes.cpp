// SPDX-License-Identifier: Apache-2.0
#include "compiler/Autodiff/Passes.h"

namespace weir::compiler {

#define GEN_PASS_REGISTRATION
#include "compiler/Autodiff/Passes.h.inc"

void registerAutodiffPasses() { registerWeirAutodiffPasses(); }

} // namespace weir::compiler
