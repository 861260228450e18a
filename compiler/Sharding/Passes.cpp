// SPDX-License-Identifier: Apache-2.0
#include "compiler/Sharding/Passes.h"

namespace weir::compiler {

#define GEN_PASS_REGISTRATION
#include "compiler/Sharding/Passes.h.inc"

void registerShardingPasses() { registerWeirShardingPasses(); }

void addShardPasses(mlir::OpPassManager &manager) {
  manager.addPass(createVerifyLayoutsPass());
  manager.addPass(createMaterializeReshardsPass());
  manager.addPass(createVerifyLayoutsPass());
  manager.addPass(createLowerReshardsPass());
  manager.addPass(createLocalizePass());
}

} // namespace weir::compiler
