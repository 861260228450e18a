// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_COMPILER_CODEGEN_CODEGEN_H
#define WEIR_COMPILER_CODEGEN_CODEGEN_H

#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/SmallVector.h"
#include <string>

namespace weir::compiler {

struct CodegenOptions {
  /// "host" (this machine's features), "x86-64-v3" or "x86-64-v4".
  std::string cpu = "host";
  /// Where intermediate results go for inspection: `kernels.ll` (before
  /// optimisation), `kernels.opt.ll`, `kernels.s`. Empty: nowhere.
  std::string dumpDir;
};

/// Compiles every `kernel.func` of the module into one ELF shared object for
/// x86-64 without dependencies. Each function is exported under its symbol name
/// as `int (void *const *buffers, const int64_t *scalars, int64_t chunk)`:
/// buffers in the order of the function's arguments, scalars as its `scalars`
/// attribute lists them, chunk in [0, `chunks`). `features` receives the CPU
/// features that the code needs, under LLVM's names, sorted. Failures are
/// reported as diagnostics at the function concerned.
mlir::LogicalResult compileKernels(mlir::ModuleOp module,
                                   const CodegenOptions &options,
                                   std::string &sharedObjectBytes,
                                   llvm::SmallVector<std::string> &features);

} // namespace weir::compiler

#endif // WEIR_COMPILER_CODEGEN_CODEGEN_H
