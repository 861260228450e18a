// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_COMPILER_CODEGEN_KERNELEMITTER_H
#define WEIR_COMPILER_CODEGEN_KERNELEMITTER_H

#include "dialects/Kernel/Kernel.h"

namespace llvm {
class Module;
}

namespace weir::compiler::codegen {

/// Emits the function of one `kernel.func` into `module`, with vectors of
/// `lanes` elements. Diagnoses what it cannot express.
mlir::LogicalResult emitKernel(kernel::FuncOp func, dist::MeshAttr mesh,
                               llvm::Module &module, unsigned lanes);

} // namespace weir::compiler::codegen

#endif // WEIR_COMPILER_CODEGEN_KERNELEMITTER_H
