// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_COMPILER_SHARDING_EXPLAINSHARDING_H
#define WEIR_COMPILER_SHARDING_EXPLAINSHARDING_H

#include "compiler/Planner/Cluster.h"
#include "compiler/Sharding/Strategies.h"

#include <string>

namespace weir::compiler {

/// Who decided the layouts of a module.
class LayoutOrigins {
public:
  explicit LayoutOrigins(mlir::ModuleOp module);

  /// Of a variable or an op's first result on a mesh axis: "layouts 'h.*'",
  /// "strategy 'zero1'", "variable 'wte'", "search", "least cost under strategy
  /// 'data'".
  std::string of(mlir::Operation *op, unsigned axis) const;

private:
  struct Named {
    std::string pattern;
    llvm::SmallVector<std::string, 2> axes;
  };
  dist::MeshAttr mesh;
  llvm::SmallVector<Strategy> strategies;
  llvm::SmallVector<Named> layouts;
};

/// Says why tensors lie as they do, as JSON (docs/design/sharding.md): for each
/// value its layout, who decided it, the other signatures that its op has on
/// each axis with their cost, and each reshard with its program, the bytes that
/// it moves, the least that any program moves, and the uses that force it.
///
/// `module` is one after `weir-materialize-reshards`. Costs are seconds on
/// `cluster`: of the reshards that a signature needs given what everything
/// around the op has, and of the op's own work. Linear in the number of ops.
std::string explainSharding(mlir::ModuleOp module, const Cluster &cluster);

} // namespace weir::compiler

#endif // WEIR_COMPILER_SHARDING_EXPLAINSHARDING_H
