// SPDX-License-Identifier: Apache-2.0
#include "runtime/train/Folder.h"
#include "runtime/io/File.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace weir {

namespace fs = std::filesystem;

static Status failure(const std::string &path, const char *what, int error) {
  return Status(StatusCode::OutputError,
                path + ": cannot " + what + ": " + std::strerror(error));
}

static void syncFolder(const std::string &path) {
  int descriptor = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0)
    return;
  ::fsync(descriptor);
  ::close(descriptor);
}

StatusOr<AtomicFolder> AtomicFolder::create(const std::string &path) {
  AtomicFolder folder;
  folder.target = absolutePath(path);
  if (fileExists(folder.target) && !isDirectory(folder.target))
    return Status(StatusCode::OutputError, path + ": is a file, not a folder");
  WEIR_RETURN_IF_ERROR(makeDirectories(parentPath(folder.target)));
  std::string temporary = folder.target + ".tmp-XXXXXX";
  if (!::mkdtemp(temporary.data()))
    return failure(path, "make a folder beside it", errno);
  // mkdtemp's folders are private; this one becomes the user's.
  mode_t mask = ::umask(0);
  ::umask(mask);
  ::chmod(temporary.c_str(), 0777 & ~mask);
  folder.temporary = temporary;
  return StatusOr<AtomicFolder>(std::move(folder));
}

AtomicFolder::AtomicFolder(AtomicFolder &&other) noexcept
    : target(std::move(other.target)), temporary(std::move(other.temporary)) {
  other.temporary.clear();
}

AtomicFolder::~AtomicFolder() {
  if (temporary.empty())
    return;
  std::error_code ignored;
  fs::remove_all(temporary, ignored);
}

Status AtomicFolder::commit() {
  syncFolder(temporary);
  if (!isDirectory(target)) {
    if (::rename(temporary.c_str(), target.c_str()) != 0)
      return failure(target, "rename the finished folder", errno);
    temporary.clear();
    syncFolder(parentPath(target));
    return okStatus();
  }

  // Swap the two names; where the file system cannot, the old folder steps
  // aside for a moment and stays whole.
  constexpr unsigned exchange = 2; // RENAME_EXCHANGE
  std::string old = temporary;
  bool swapped = false;
#ifdef SYS_renameat2
  swapped = ::syscall(SYS_renameat2, AT_FDCWD, temporary.c_str(), AT_FDCWD,
                      target.c_str(), exchange) == 0;
#endif
  if (!swapped) {
    old = temporary + ".old";
    if (::rename(target.c_str(), old.c_str()) != 0)
      return failure(target, "move the older folder aside", errno);
    if (::rename(temporary.c_str(), target.c_str()) != 0) {
      int error = errno;
      ::rename(old.c_str(), target.c_str());
      return failure(target, "rename the finished folder", error);
    }
  }
  temporary.clear();
  syncFolder(parentPath(target));

  WEIR_ASSIGN_OR_RETURN(std::vector<std::string> names, listDirectory(old));
  for (const std::string &name : names) {
    std::string from = old + "/" + name, to = target + "/" + name;
    if (fileExists(to))
      continue;
    if (::rename(from.c_str(), to.c_str()) != 0)
      return failure(from, "carry it over to the new folder", errno);
  }
  std::error_code ignored;
  fs::remove_all(old, ignored);
  return okStatus();
}

} // namespace weir
