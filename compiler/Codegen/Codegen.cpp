// SPDX-License-Identifier: Apache-2.0
#include "compiler/Codegen/Codegen.h"

#include "compiler/Codegen/KernelEmitter.h"
#include "compiler/Codegen/Target.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/Module.h"
#include "llvm/IR/Verifier.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include "llvm/Transforms/Utils/Cloning.h"

using namespace mlir;

namespace weir::compiler {

static LogicalResult dump(ModuleOp module, const CodegenOptions &options,
                          StringRef name,
                          llvm::function_ref<void(llvm::raw_ostream &)> print) {
  if (options.dumpDir.empty())
    return success();
  SmallString<128> path(options.dumpDir);
  llvm::sys::path::append(path, name);
  std::error_code error;
  llvm::raw_fd_ostream file(path, error);
  if (error)
    return module.emitError("cannot write '")
           << path << "': " << error.message();
  print(file);
  return success();
}

LogicalResult compileKernels(ModuleOp module, const CodegenOptions &options,
                             std::string &sharedObjectBytes,
                             SmallVector<std::string> &features) {
  llvm::Expected<codegen::Target> target = codegen::createTarget(options.cpu);
  if (!target)
    return module.emitError(llvm::toString(target.takeError()));
  features = target->features;

  llvm::LLVMContext context;
  llvm::Module code("kernels", context);
  code.setTargetTriple(target->machine->getTargetTriple());
  code.setDataLayout(target->machine->createDataLayout());
  dist::MeshAttr mesh = dist::getMesh(module);
  bool failed = false;
  for (auto func : module.getOps<kernel::FuncOp>())
    failed |=
        mlir::failed(codegen::emitKernel(func, mesh, code, target->lanes));
  if (failed)
    return failure();
  auto printModule = [&](llvm::raw_ostream &os) { code.print(os, nullptr); };
  if (mlir::failed(dump(module, options, "kernels.ll", printModule)))
    return failure();
  std::string problem;
  llvm::raw_string_ostream problemStream(problem);
  if (llvm::verifyModule(code, &problemStream))
    return module.emitError("internal error: generated code is malformed: ")
           << problem;

  codegen::optimize(code, *target);
  if (mlir::failed(dump(module, options, "kernels.opt.ll", printModule)))
    return failure();
  if (!options.dumpDir.empty()) {
    // Code generation prepares the module that it is given; the object is made
    // from what it would be made from without a dump.
    std::unique_ptr<llvm::Module> copy = llvm::CloneModule(code);
    llvm::Expected<std::string> text = codegen::emitAssembly(*copy, *target);
    if (!text)
      return module.emitError(llvm::toString(text.takeError()));
    if (mlir::failed(dump(module, options, "kernels.s",
                          [&](llvm::raw_ostream &os) { os << *text; })))
      return failure();
  }
  llvm::Expected<std::string> object = codegen::emitObject(code, *target);
  if (!object)
    return module.emitError(llvm::toString(object.takeError()));
  llvm::Expected<std::string> linked = codegen::linkSharedObject(*object);
  if (!linked)
    return module.emitError(llvm::toString(linked.takeError()));
  sharedObjectBytes = std::move(*linked);
  return success();
}

} // namespace weir::compiler
