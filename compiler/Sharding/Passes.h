// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_COMPILER_SHARDING_PASSES_H
#define WEIR_COMPILER_SHARDING_PASSES_H

#include "dialects/Graph/Graph.h"

namespace weir::compiler {

#define GEN_PASS_DECL
#include "compiler/Sharding/Passes.h.inc"

/// Registers the passes of the plan (layouts) and shard phases by their names.
void registerShardingPasses();

/// Adds the shard phase: its two halves.
void addShardPasses(mlir::OpPassManager &manager);
/// Verify, materialise reshards, verify: layouts are still to be read.
void addReshardPasses(mlir::OpPassManager &manager);
/// Lower reshards, localise, expand split programs.
void addLocalPasses(mlir::OpPassManager &manager);

} // namespace weir::compiler

#endif // WEIR_COMPILER_SHARDING_PASSES_H
