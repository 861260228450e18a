// SPDX-License-Identifier: Apache-2.0
#include "compiler/API/InitDialects.h"

#include "dialects/Actor/Actor.h"
#include "dialects/Dist/Dist.h"
#include "dialects/Graph/Graph.h"
#include "dialects/Kernel/Kernel.h"
#include "dialects/Pipe/Pipe.h"

void weir::compiler::registerAllWeirDialects(mlir::DialectRegistry &registry) {
  registry.insert<dist::DistDialect, graph::GraphDialect, kernel::KernelDialect,
                  actor::ActorDialect, pipe::PipeDialect,
                  mlir::arith::ArithDialect, mlir::math::MathDialect>();
}
