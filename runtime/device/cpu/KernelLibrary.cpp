// SPDX-License-Identifier: Apache-2.0
#include "runtime/device/cpu/KernelLibrary.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <utility>

namespace weir::device {
namespace {

Status writeAll(int descriptor, std::string_view bytes) {
  while (!bytes.empty()) {
    ssize_t written = write(descriptor, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR)
      continue;
    if (written <= 0)
      return runtimeError(std::string("cannot store the kernels: ") +
                          std::strerror(errno));
    bytes.remove_prefix(written);
  }
  return okStatus();
}

/// A descriptor and the path by which the dynamic linker reaches it.
struct PrivateFile {
  int descriptor = -1;
  std::string path;
  bool temporary = false;
};

StatusOr<PrivateFile> storeSealed(std::string_view object) {
  PrivateFile file;
  file.descriptor =
      memfd_create("weir-kernels", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (file.descriptor < 0)
    return runtimeError("no anonymous files");
  file.path = "/proc/self/fd/" + std::to_string(file.descriptor);
  Status status = writeAll(file.descriptor, object);
  if (status.ok() && access(file.path.c_str(), R_OK) != 0)
    status = runtimeError("no /proc");
  if (!status.ok()) {
    close(file.descriptor);
    return status;
  }
  fcntl(file.descriptor, F_ADD_SEALS,
        F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL);
  return file;
}

StatusOr<PrivateFile> storeTemporary(std::string_view object) {
  const char *folder = std::getenv("TMPDIR");
  PrivateFile file;
  file.temporary = true;
  file.path =
      std::string(folder && *folder ? folder : "/tmp") + "/weir-kernels-XXXXXX";
  file.descriptor = mkostemp(file.path.data(), O_CLOEXEC); // mode 0600
  if (file.descriptor < 0)
    return runtimeError("cannot make a file for the kernels in " + file.path +
                        ": " + std::strerror(errno) +
                        "; set TMPDIR to a folder that can hold programs");
  if (Status status = writeAll(file.descriptor, object); !status.ok()) {
    unlink(file.path.c_str());
    close(file.descriptor);
    return status;
  }
  return file;
}

} // namespace

StatusOr<KernelLibrary> KernelLibrary::load(std::string_view object,
                                            const std::string &name) {
  std::string reason;
  for (auto *store : {storeSealed, storeTemporary}) {
    StatusOr<PrivateFile> file = store(object);
    if (!file.ok()) {
      reason = file.status().message();
      continue;
    }
    KernelLibrary library;
    library.name = name;
    library.descriptor = file->descriptor;
    library.handle = dlopen(file->path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!library.handle)
      reason = dlerror();
    if (file->temporary)
      unlink(file->path.c_str());
    if (library.handle)
      return library;
  }
  return Status(StatusCode::IncompatibleArtifact,
                name + ": the kernels cannot be loaded: " + reason +
                    "; compile the model again on this machine");
}

KernelLibrary::KernelLibrary(KernelLibrary &&other) noexcept {
  *this = std::move(other);
}

KernelLibrary &KernelLibrary::operator=(KernelLibrary &&other) noexcept {
  std::swap(name, other.name);
  std::swap(descriptor, other.descriptor);
  std::swap(handle, other.handle);
  return *this;
}

KernelLibrary::~KernelLibrary() {
  if (handle)
    dlclose(handle);
  if (descriptor >= 0)
    close(descriptor);
}

StatusOr<KernelFunction> KernelLibrary::find(const std::string &symbol) const {
  void *address = handle ? dlsym(handle, symbol.c_str()) : nullptr;
  if (!address)
    return invalidInput(name + ": has no kernel '" + symbol +
                        "'; write the artifact again with weir compile");
  return reinterpret_cast<KernelFunction>(address);
}

} // namespace weir::device
