// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_TEST_UNIT_CODEGEN_COMPILEDMODULE_H
#define WEIR_TEST_UNIT_CODEGEN_COMPILEDMODULE_H

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/IR/OwningOpRef.h"
#include <string>
#include <vector>

namespace weir::compiler::test {

using KernelFunction = int (*)(void *const *buffers, const int64_t *scalars,
                               int64_t chunk);

/// A module's kernels, compiled for this machine and loaded into the process.
class CompiledModule {
public:
  /// Fails the current test, and leaves `ok` false, when anything goes wrong.
  explicit CompiledModule(const std::string &text,
                          const std::string &cpu = "host");
  /// Takes a parsed module.
  CompiledModule(mlir::MLIRContext &context, mlir::ModuleOp module,
                 const std::string &cpu = "host");
  ~CompiledModule();

  bool ok() const { return library; }
  KernelFunction function(const std::string &name) const;
  /// Runs all chunks one after the other.
  void run(const std::string &name, std::vector<void *> buffers,
           std::vector<int64_t> scalars = {}, int64_t chunks = 1) const;

  mlir::ModuleOp getModule() { return *module; }
  std::string sharedObject;
  std::string assembly;

private:
  void compile(mlir::ModuleOp module, const std::string &cpu);

  std::unique_ptr<mlir::MLIRContext> context;
  mlir::OwningOpRef<mlir::ModuleOp> module;
  void *library = nullptr;
  int file = -1;
};

/// A context with the dialects of kernels.
std::unique_ptr<mlir::MLIRContext> createContext();

} // namespace weir::compiler::test

#endif // WEIR_TEST_UNIT_CODEGEN_COMPILEDMODULE_H
