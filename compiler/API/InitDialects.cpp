// SPDX-License-Identifier: Apache-2.0
#include "compiler/API/InitDialects.h"

#include "dialects/Dist/Dist.h"
#include "dialects/Graph/Graph.h"
#include "dialects/Kernel/Kernel.h"

void weir::compiler::registerAllWeirDialects(mlir::DialectRegistry &registry) {
  registry.insert<dist::DistDialect, graph::GraphDialect, kernel::KernelDialect,
                  mlir::arith::ArithDialect, mlir::math::MathDialect>();
}
