// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_COMPILER_CODEGEN_TARGET_H
#define WEIR_COMPILER_CODEGEN_TARGET_H

#include "llvm/ADT/SmallVector.h"
#include "llvm/Support/Error.h"
#include "llvm/Target/TargetMachine.h"
#include <memory>
#include <string>

namespace llvm {
class Module;
}

namespace weir::compiler::codegen {

struct Target {
  std::unique_ptr<llvm::TargetMachine> machine;
  /// What the code may use, under LLVM's names, sorted.
  llvm::SmallVector<std::string> features;
  /// f32 elements of the widest vector.
  unsigned lanes = 4;
};

/// The target "host", "x86-64-v3" or "x86-64-v4".
llvm::Expected<Target> createTarget(llvm::StringRef cpu);

/// Optimises a verified module in place. Its functions get the target's
/// attributes.
void optimize(llvm::Module &module, Target &target);

/// The module as object file bytes. An error names symbols that nothing in the
/// object defines: generated code calls no library.
llvm::Expected<std::string> emitObject(llvm::Module &module, Target &target);

/// The module as assembly text, for inspection and tests.
llvm::Expected<std::string> emitAssembly(llvm::Module &module, Target &target);

/// Links one object into a shared object by `ld.lld`.
llvm::Expected<std::string> linkSharedObject(llvm::StringRef object);

} // namespace weir::compiler::codegen

#endif // WEIR_COMPILER_CODEGEN_TARGET_H
