// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_COMPILER_EMIT_EMIT_H
#define WEIR_COMPILER_EMIT_EMIT_H

#include "dialects/Pch.h"
#include "runtime/plan/Plan.h"

#include <string>
#include <utility>
#include <vector>

namespace weir::compiler {

/// The plan of a module whose `actor.plan` is placed: variables take their
/// type, layout, initialiser and stored tensor from the `graph.variable`s.
/// Failures are reported as diagnostics.
mlir::FailureOr<plan::Plan> buildPlan(mlir::ModuleOp module);

/// A compiled object and what it needs of the processor.
struct CompiledKernels {
  std::string bytes; // ELF shared object
  std::string architecture = "x86_64";
  std::vector<std::string> features; // LLVM's names, sorted
};

struct ArtifactContents {
  CompiledKernels kernels;
  std::string producer;
  std::vector<std::string> ignoredWeights;
  /// What `weir inspect` shows beside the plan, by key.
  std::vector<std::pair<std::string, std::string>> properties;
  /// Other members by name: "model/config.json", "debug/06-kernels.mlir".
  std::vector<std::pair<std::string, std::string>> members;
};

/// Writes `model.weir`. The bytes depend on the arguments alone. Fails with
/// OutputError where the file cannot be written, Internal where the plan does
/// not verify.
Status writeArtifact(const plan::Plan &plan, const ArtifactContents &contents,
                     const std::string &path);

/// The compiled kernels as an attribute of the module (resource
/// `kernel.object`), so that the artifact phase can start from text; and back.
void attachKernels(mlir::ModuleOp module, const CompiledKernels &kernels);
mlir::FailureOr<CompiledKernels> attachedKernels(mlir::ModuleOp module);

} // namespace weir::compiler

#endif // WEIR_COMPILER_EMIT_EMIT_H
