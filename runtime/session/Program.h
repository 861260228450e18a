// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_RUNTIME_SESSION_PROGRAM_H
#define WEIR_RUNTIME_SESSION_PROGRAM_H

#include "runtime/device/cpu/KernelLibrary.h"
#include "runtime/plan/Artifact.h"
#include "runtime/session/Runtime.h"

#include <memory>
#include <string>
#include <unordered_map>

namespace weir {

/// A loaded artifact: immutable, shared by any number of sessions.
class Program {
public:
  /// Reads and checks the artifact at `path`, then loads its code. Codes as
  /// ArtifactReader: 3 for a broken file, 8 for one that this program or this
  /// processor cannot run.
  static StatusOr<std::shared_ptr<const Program>>
  load(std::shared_ptr<Runtime> runtime, const std::string &path);
  static StatusOr<std::shared_ptr<const Program>>
  load(std::shared_ptr<Runtime> runtime, const plan::ArtifactReader &reader);

  const plan::Plan &plan() const { return thePlan; }
  const plan::Manifest &manifest() const { return theManifest; }
  /// Null where the artifact has no kernels.
  const device::KernelLibrary *kernels() const {
    return hasKernels ? &library : nullptr;
  }
  Runtime &runtime() const { return *owner; }
  const std::string &path() const { return where; }

  /// The index of an entry in the plan; an error that lists them otherwise.
  StatusOr<size_t> entryIndex(const std::string &name) const;
  /// The index of a variable in the plan; an error with the nearest name.
  StatusOr<size_t> variableIndex(const std::string &name) const;

private:
  std::shared_ptr<Runtime> owner;
  std::string where;
  plan::Plan thePlan;
  plan::Manifest theManifest;
  device::KernelLibrary library;
  bool hasKernels = false;
  std::unordered_map<std::string, size_t> variables;
};

} // namespace weir

#endif // WEIR_RUNTIME_SESSION_PROGRAM_H
