// SPDX-License-Identifier: Apache-2.0
#include "compiler/Sharding/Passes.h"

namespace weir::compiler {

#define GEN_PASS_REGISTRATION
#include "compiler/Sharding/Passes.h.inc"

void registerShardingPasses() { registerWeirShardingPasses(); }

void addReshardPasses(mlir::OpPassManager &manager) {
  manager.addPass(createVerifyLayoutsPass());
  manager.addPass(createMaterializeReshardsPass());
  manager.addPass(createVerifyLayoutsPass());
}

void addLocalPasses(mlir::OpPassManager &manager) {
  manager.addPass(createLowerReshardsPass());
  manager.addPass(createLocalizePass());
  manager.addPass(createExpandSplitProgramsPass());
  manager.addPass(createFuseCollectivesPass());
}

void addShardPasses(mlir::OpPassManager &manager) {
  addReshardPasses(manager);
  addLocalPasses(manager);
}

} // namespace weir::compiler
