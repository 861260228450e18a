// SPDX-License-Identifier: Apache-2.0
#include "test/unit/codegen/CompiledModule.h"

#include "compiler/Codegen/Codegen.h"
#include "dialects/Kernel/Kernel.h"
#include "mlir/Parser/Parser.h"
#include "llvm/ADT/SmallString.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"

#include <dlfcn.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

namespace weir::compiler::test {

std::unique_ptr<mlir::MLIRContext> createContext() {
  mlir::DialectRegistry registry;
  registry.insert<kernel::KernelDialect, dist::DistDialect,
                  mlir::arith::ArithDialect, mlir::math::MathDialect>();
  auto context = std::make_unique<mlir::MLIRContext>(
      registry, mlir::MLIRContext::Threading::DISABLED);
  context->loadAllAvailableDialects();
  return context;
}

CompiledModule::CompiledModule(const std::string &text, const std::string &cpu)
    : context(createContext()) {
  module = mlir::parseSourceString<mlir::ModuleOp>(text, context.get());
  if (!module) {
    ADD_FAILURE() << "the module does not parse:\n" << text;
    return;
  }
  compile(*module, cpu);
}

CompiledModule::CompiledModule(mlir::MLIRContext &, mlir::ModuleOp module,
                               const std::string &cpu) {
  compile(module, cpu);
}

void CompiledModule::compile(mlir::ModuleOp op, const std::string &cpu) {
  CodegenOptions options;
  options.cpu = cpu;
  llvm::SmallString<128> directory;
  if (llvm::sys::fs::createUniqueDirectory("weir-codegen-test", directory)) {
    ADD_FAILURE() << "no temporary directory";
    return;
  }
  options.dumpDir = std::string(directory);
  llvm::SmallVector<std::string> features;
  bool done =
      mlir::succeeded(compileKernels(op, options, sharedObject, features));
  if (auto text = llvm::MemoryBuffer::getFile(options.dumpDir + "/kernels.s"))
    assembly = (*text)->getBuffer().str();
  if (getenv("WEIR_TEST_KEEP"))
    llvm::errs() << "kept " << directory << "\n";
  else
    llvm::sys::fs::remove_directories(directory);
  if (!done) {
    ADD_FAILURE() << "compilation failed";
    return;
  }
  file = memfd_create("kernels", 0);
  ASSERT_EQ(write(file, sharedObject.data(), sharedObject.size()),
            static_cast<ssize_t>(sharedObject.size()));
  library = dlopen(("/proc/self/fd/" + std::to_string(file)).c_str(),
                   RTLD_NOW | RTLD_LOCAL);
  if (!library)
    ADD_FAILURE() << dlerror();
}

CompiledModule::~CompiledModule() {
  if (library)
    dlclose(library);
  if (file >= 0)
    close(file);
}

KernelFunction CompiledModule::function(const std::string &name) const {
  void *symbol = library ? dlsym(library, name.c_str()) : nullptr;
  EXPECT_NE(symbol, nullptr) << "no kernel " << name;
  return reinterpret_cast<KernelFunction>(symbol);
}

void CompiledModule::run(const std::string &name, std::vector<void *> buffers,
                         std::vector<int64_t> scalars, int64_t chunks) const {
  KernelFunction kernel = function(name);
  if (!kernel)
    return;
  for (int64_t chunk = 0; chunk < chunks; ++chunk)
    EXPECT_EQ(kernel(buffers.data(), scalars.data(), chunk), 0);
}

} // namespace weir::compiler::test
