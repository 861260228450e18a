// SPDX-License-Identifier: Apache-2.0
#include "compiler/API/InitPasses.h"

#include "compiler/Autodiff/Passes.h"
#include "compiler/Memory/Passes.h"
#include "compiler/Pipeline/Passes.h"

void weir::compiler::registerAllWeirPasses() {
  registerAutodiffPasses();
  registerPipelinePasses();
  registerMemoryPasses();
}
