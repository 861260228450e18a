// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_COMPILER_CODEGEN_LONEPIECES_H
#define WEIR_COMPILER_CODEGEN_LONEPIECES_H

#include "dialects/Kernel/Kernel.h"

namespace llvm {
class Module;
}

namespace weir::compiler::codegen {

/// Emits the function of a kernel that is one lone piece (see `isLonePiece`):
/// `take`, `put_add`, `scan` or `sort`, from memory to memory, as scalar loops.
/// Chunks divide a dimension that the piece does not walk along.
mlir::LogicalResult emitLonePiece(kernel::FuncOp func, mlir::Operation *piece,
                                  dist::MeshAttr mesh, llvm::Module &module);

} // namespace weir::compiler::codegen

#endif // WEIR_COMPILER_CODEGEN_LONEPIECES_H
