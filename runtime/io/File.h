// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_RUNTIME_IO_FILE_H
#define WEIR_RUNTIME_IO_FILE_H

#include "runtime/base/Status.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace weir {

/// The whole of a file. InvalidInput, naming the path and the system's reason,
/// where it cannot be read.
StatusOr<std::string> readFile(const std::string &path);

/// Writes a file so that `path` holds either its old content or all of
/// `content`: a temporary file beside it, fsync, rename. OutputError otherwise.
Status writeFile(const std::string &path, std::string_view content);

bool fileExists(const std::string &path);
bool isDirectory(const std::string &path);
/// Makes a folder and its parents; ok where it exists already.
Status makeDirectories(const std::string &path);
/// The names in a folder, sorted by bytes, without "." and "..".
StatusOr<std::vector<std::string>> listDirectory(const std::string &path);

/// `path` as seen from `folder`: unchanged where it is absolute. "." parts,
/// doubled slashes and "x/.." are removed; links are not followed.
std::string resolvePath(const std::string &folder, const std::string &path);
/// The folder part of a path: "." where it has none.
std::string parentPath(const std::string &path);
/// The part behind the last slash.
std::string fileName(const std::string &path);
/// `path` made absolute against the current folder.
std::string absolutePath(const std::string &path);

/// A file mapped read-only. The view stays valid while the object lives, moved
/// or not. A file that another process truncates meanwhile raises SIGBUS on
/// access, as with every mapping.
class MappedFile {
public:
  static StatusOr<MappedFile> open(const std::string &path);

  MappedFile() = default;
  MappedFile(MappedFile &&other) noexcept;
  MappedFile &operator=(MappedFile &&other) noexcept;
  ~MappedFile();

  const std::string &path() const { return name; }
  uint64_t size() const { return length; }
  const uint8_t *data() const { return bytes; }
  std::string_view view() const {
    return {reinterpret_cast<const char *>(bytes), length};
  }

private:
  std::string name;
  const uint8_t *bytes = nullptr;
  uint64_t length = 0;
};

/// A file in the making: written under a temporary name beside `path`, renamed
/// by `commit`. Without commit nothing is left behind. A link leads to the file
/// that is replaced; a device or pipe is written in place, from start to end.
class AtomicFile {
public:
  static StatusOr<AtomicFile> create(const std::string &path);

  AtomicFile(AtomicFile &&other) noexcept;
  AtomicFile &operator=(AtomicFile &&other) noexcept;
  ~AtomicFile();

  /// Appends; buffered by the system only.
  Status write(const void *data, uint64_t size);
  Status write(std::string_view data) {
    return write(data.data(), data.size());
  }
  /// Writes at `offset` from the start, without moving the end of `write`.
  Status writeAt(uint64_t offset, const void *data, uint64_t size);
  /// Bytes appended so far.
  uint64_t position() const { return end; }
  /// fsync, close, rename, fsync of the folder.
  Status commit();

private:
  AtomicFile() = default;
  void discard();
  Status failure(const char *what) const;

  std::string target, temporary;
  int descriptor = -1;
  uint64_t end = 0;
};

} // namespace weir

#endif // WEIR_RUNTIME_IO_FILE_H
