// SPDX-License-Identifier: Apache-2.0
#include "compiler/Codegen/Target.h"

#include "llvm/ADT/ScopeExit.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/Module.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Object/ObjectFile.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Program.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/TargetParser/Host.h"
#include "llvm/Transforms/InstCombine/InstCombine.h"
#include "llvm/Transforms/Scalar/DCE.h"
#include "llvm/Transforms/Scalar/EarlyCSE.h"
#include "llvm/Transforms/Scalar/LICM.h"
#include "llvm/Transforms/Scalar/LoopPassManager.h"
#include "llvm/Transforms/Scalar/SROA.h"
#include "llvm/Transforms/Scalar/SimplifyCFG.h"

#include <mutex>

using namespace llvm;

namespace weir::compiler::codegen {

namespace {

const char *const baseline[] = {"cmov", "cx8", "fxsr", "mmx", "sse", "sse2"};
const char *const v3[] = {"avx",  "avx2", "bmi",    "bmi2",   "cx16",
                          "f16c", "fma",  "lzcnt",  "movbe",  "popcnt",
                          "sahf", "sse3", "sse4.1", "sse4.2", "ssse3"};
const char *const v4[] = {"avx512bw", "avx512cd", "avx512dq", "avx512f",
                          "avx512vl"};

void initialize() {
  static std::once_flag once;
  std::call_once(once, [] {
    LLVMInitializeX86TargetInfo();
    LLVMInitializeX86Target();
    LLVMInitializeX86TargetMC();
    LLVMInitializeX86AsmPrinter();
  });
}

Error makeError(const Twine &message) {
  return createStringError(inconvertibleErrorCode(), message);
}

Expected<std::string> emitFile(Module &module, Target &target,
                               CodeGenFileType type) {
  SmallString<0> bytes;
  raw_svector_ostream stream(bytes);
  legacy::PassManager passes;
  if (target.machine->addPassesToEmitFile(passes, stream, nullptr, type))
    return makeError("internal error: the target writes no object files");
  passes.run(module);
  return std::string(bytes);
}

} // namespace

Expected<Target> createTarget(StringRef cpu) {
  initialize();
  Target target;
  auto add = [&](ArrayRef<const char *> names) {
    target.features.append(names.begin(), names.end());
  };
  if (cpu == "x86-64-v3") {
    add(baseline);
    add(v3);
  } else if (cpu == "x86-64-v4") {
    add(baseline);
    add(v3);
    add(v4);
  } else if (cpu == "host") {
    // Only features that generated code profits from: each one more would be
    // one more machine that refuses the artifact.
    StringMap<bool> host = sys::getHostCPUFeatures();
    auto addPresent = [&](ArrayRef<const char *> names) {
      for (const char *name : names)
        if (host.lookup(name))
          target.features.push_back(name);
    };
    addPresent(baseline);
    addPresent(v3);
    addPresent(v4);
  } else {
    return makeError("unknown CPU '" + cpu +
                     "'; known are host, x86-64-v3 and x86-64-v4");
  }
  llvm::sort(target.features);
  bool wide = llvm::is_contained(target.features, "avx512f") &&
              llvm::is_contained(target.features, "avx512vl") &&
              llvm::is_contained(target.features, "avx512bw") &&
              llvm::is_contained(target.features, "avx512dq");
  target.lanes = wide                                          ? 16
                 : llvm::is_contained(target.features, "avx2") ? 8
                                                               : 4;

  std::string features;
  for (const std::string &name : target.features)
    features += (features.empty() ? "+" : ",+") + name;
  Triple triple("x86_64-unknown-linux-gnu");
  std::string error;
  const llvm::Target *backend = TargetRegistry::lookupTarget(triple, error);
  if (!backend)
    return makeError("internal error: this LLVM has no x86-64 backend: " +
                     error);
  TargetOptions options;
  options.AllowFPOpFusion = FPOpFusion::Fast;
  options.MCOptions.AsmVerbose = false;
  target.machine.reset(backend->createTargetMachine(
      triple, "x86-64", features, options, Reloc::PIC_, CodeModel::Small,
      CodeGenOptLevel::Default));
  return target;
}

void optimize(Module &module, Target &target) {
  module.setTargetTriple(target.machine->getTargetTriple());
  module.setDataLayout(target.machine->createDataLayout());
  std::string width = std::to_string(target.lanes * 32);
  for (Function &function : module) {
    if (function.isDeclaration())
      continue;
    function.addFnAttr("prefer-vector-width", width);
    function.addFnAttr("min-legal-vector-width", width);
    function.addFnAttr("target-features",
                       target.machine->getTargetFeatureString());
    function.addFnAttr("target-cpu", "x86-64");
    // Loops must not become calls of memset or memcpy.
    function.addFnAttr("no-builtins");
  }
  // The loops are vectorised as they were emitted; what remains is scalar
  // cleaning.
  LoopAnalysisManager loopAnalyses;
  FunctionAnalysisManager functionAnalyses;
  CGSCCAnalysisManager callAnalyses;
  ModuleAnalysisManager moduleAnalyses;
  PassBuilder builder(target.machine.get());
  builder.registerModuleAnalyses(moduleAnalyses);
  builder.registerCGSCCAnalyses(callAnalyses);
  builder.registerFunctionAnalyses(functionAnalyses);
  builder.registerLoopAnalyses(loopAnalyses);
  builder.crossRegisterProxies(loopAnalyses, functionAnalyses, callAnalyses,
                               moduleAnalyses);
  FunctionPassManager passes;
  passes.addPass(SROAPass(SROAOptions::ModifyCFG));
  passes.addPass(EarlyCSEPass(/*UseMemorySSA=*/true));
  passes.addPass(InstCombinePass());
  passes.addPass(SimplifyCFGPass());
  passes.addPass(createFunctionToLoopPassAdaptor(LICMPass(LICMOptions()),
                                                 /*UseMemorySSA=*/true));
  passes.addPass(EarlyCSEPass(/*UseMemorySSA=*/true));
  passes.addPass(InstCombinePass());
  passes.addPass(DCEPass());
  ModulePassManager modulePasses;
  modulePasses.addPass(createModuleToFunctionPassAdaptor(std::move(passes)));
  modulePasses.run(module, moduleAnalyses);
}

Expected<std::string> emitAssembly(Module &module, Target &target) {
  return emitFile(module, target, CodeGenFileType::AssemblyFile);
}

Expected<std::string> emitObject(Module &module, Target &target) {
  Expected<std::string> bytes =
      emitFile(module, target, CodeGenFileType::ObjectFile);
  if (!bytes)
    return bytes.takeError();
  Expected<std::unique_ptr<object::ObjectFile>> object =
      object::ObjectFile::createObjectFile(
          MemoryBufferRef(*bytes, "kernels.o"));
  if (!object)
    return object.takeError();
  std::string missing;
  for (const object::SymbolRef &symbol : (*object)->symbols()) {
    Expected<uint32_t> flags = symbol.getFlags();
    if (!flags)
      return flags.takeError();
    Expected<StringRef> name = symbol.getName();
    if (!name)
      return name.takeError();
    if ((*flags & object::SymbolRef::SF_Undefined) && !name->empty())
      missing += (missing.empty() ? "'" : ", '") + name->str() + "'";
  }
  if (!missing.empty())
    return makeError("internal error: generated code calls " + missing +
                     ", which no kernel defines");
  return bytes;
}

Expected<std::string> linkSharedObject(StringRef object) {
  std::string linker;
  for (const char *name : {"ld.lld-22", "ld.lld"}) {
    ErrorOr<std::string> found = sys::findProgramByName(name);
    if (!found)
      found = sys::findProgramByName(name, {"/usr/lib/llvm-22/bin"});
    if (found) {
      linker = *found;
      break;
    }
  }
  if (linker.empty())
    return makeError("cannot find the linker 'ld.lld-22' or 'ld.lld' on PATH; "
                     "install lld-22");
  SmallString<128> directory;
  if (std::error_code error =
          sys::fs::createUniqueDirectory("weir-link", directory))
    return makeError("cannot create a temporary directory: " + error.message());
  auto clean =
      llvm::scope_exit([&] { sys::fs::remove_directories(directory); });
  std::string objectPath = (directory + "/kernels.o").str();
  std::string sharedPath = (directory + "/kernels.so").str();
  std::string errorPath = (directory + "/errors.txt").str();
  std::error_code error;
  {
    raw_fd_ostream file(objectPath, error);
    if (!error)
      file << object;
    file.close();
    if (file.has_error())
      error = file.error();
    file.clear_error();
  }
  if (error)
    return makeError("cannot write '" + objectPath + "': " + error.message());
  StringRef arguments[] = {
      linker,         "-shared", "-nostdlib",     "--build-id=none",  "-z",
      "noexecstack",  "-z",      "separate-code", "--hash-style=gnu", "-soname",
      "weir-kernels", "-o",      sharedPath,      objectPath};
  std::optional<StringRef> redirects[] = {std::nullopt, StringRef(errorPath),
                                          StringRef(errorPath)};
  std::string message;
  int status = sys::ExecuteAndWait(linker, arguments, std::nullopt, redirects,
                                   0, 0, &message);
  if (status != 0) {
    if (auto text = MemoryBuffer::getFile(errorPath))
      message += (*text)->getBuffer().str();
    return makeError("the linker '" + linker + "' failed with status " +
                     Twine(status) + ": " + message);
  }
  auto result = MemoryBuffer::getFile(sharedPath, false, false);
  if (!result)
    return makeError("cannot read '" + sharedPath +
                     "': " + result.getError().message());
  return (*result)->getBuffer().str();
}

} // namespace weir::compiler::codegen
