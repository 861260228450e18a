// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_RUNTIME_DEVICE_CPU_KERNELLIBRARY_H
#define WEIR_RUNTIME_DEVICE_CPU_KERNELLIBRARY_H

#include "runtime/base/Status.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace weir::device {

/// A generated kernel: does `chunk` of its work on `buffers` (in the order of
/// the action), with the action's scalars. Not 0 is an error.
using KernelFunction = int (*)(void *const *buffers, const int64_t *scalars,
                               int64_t chunk);

/// A shared object loaded from memory. The code lies in a sealed anonymous file
/// (or, where the system has none, a private temporary file) that stays open as
/// long as the object lives: the dynamic linker tells files apart by inode, so
/// one closed early could be mistaken for the next.
class KernelLibrary {
public:
  /// IncompatibleArtifact where the linker refuses the object. `name` is for
  /// errors.
  static StatusOr<KernelLibrary> load(std::string_view object,
                                      const std::string &name);

  KernelLibrary() = default;
  KernelLibrary(KernelLibrary &&other) noexcept;
  KernelLibrary &operator=(KernelLibrary &&other) noexcept;
  ~KernelLibrary();

  /// InvalidInput where the object lacks it.
  StatusOr<KernelFunction> find(const std::string &symbol) const;

private:
  std::string name;
  int descriptor = -1;
  void *handle = nullptr;
};

} // namespace weir::device

#endif // WEIR_RUNTIME_DEVICE_CPU_KERNELLIBRARY_H
