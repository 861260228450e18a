// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_RUNTIME_IO_ZIP_H
#define WEIR_RUNTIME_IO_ZIP_H

#include "runtime/io/File.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace weir {

/// CRC-32 as ZIP uses it (polynomial 0xEDB88320), continued from `crc`.
uint32_t crc32(std::string_view data, uint32_t crc = 0);

struct ZipOptions {
  /// Entries' data start at multiples of this (a power of two up to 32768).
  uint32_t alignment = 4096;
  /// Sizes and offsets from here on are written in zip64 fields. The format's
  /// own limit is the default; a test may lower it.
  uint64_t zip64From = 0xFFFFFFFFu;
};

/// Writes a ZIP archive of stored (uncompressed) entries with aligned data and
/// constant time stamps: the same entries give the same bytes. The file appears
/// at `finish`.
class ZipWriter {
public:
  static StatusOr<ZipWriter> create(const std::string &path,
                                    const ZipOptions &options = {});

  /// Adds an entry. Refuses names that `ZipReader` would refuse.
  Status add(const std::string &name, std::string_view content);
  Status finish();

private:
  struct Entry {
    std::string name;
    uint64_t size, offset;
    uint32_t crc;
  };
  ZipWriter(AtomicFile file, ZipOptions options)
      : file(std::move(file)), options(options) {}

  std::string path;
  AtomicFile file;
  ZipOptions options;
  std::vector<Entry> entries;
  std::unordered_map<std::string, size_t> index;
};

/// One entry of an archive that was read.
struct ZipEntry {
  std::string name;
  /// Where the content starts, from the archive's first byte.
  uint64_t offset = 0;
  uint64_t size = 0;
  uint32_t crc = 0;
};

/// Reads a ZIP archive of stored entries. The directory is checked in full when
/// it is opened: every record within bounds, local headers that agree with it,
/// no overlapping entries. Compressed or encrypted entries, duplicate names and
/// names that leave the archive (absolute, "..", backslashes) are refused.
class ZipReader {
public:
  static StatusOr<ZipReader> open(const std::string &path);
  /// Reads from memory that the caller keeps alive; `name` is for errors.
  static StatusOr<ZipReader> parse(std::string_view bytes,
                                   const std::string &name);

  const std::string &path() const { return name; }
  /// In the order of the directory; folders are left out.
  const std::vector<ZipEntry> &entries() const { return list; }
  const ZipEntry *find(std::string_view entry) const;
  bool has(std::string_view entry) const { return find(entry) != nullptr; }
  /// The content of an entry after its CRC was compared; a view into the file.
  StatusOr<std::string_view> read(std::string_view entry) const;
  StatusOr<std::string_view> read(const ZipEntry &entry) const;
  /// The content without the check.
  std::string_view content(const ZipEntry &entry) const {
    return bytes.substr(entry.offset, entry.size);
  }

private:
  Status readDirectory();
  Status broken(const std::string &what) const;

  std::string name;
  MappedFile file;
  std::string_view bytes;
  std::vector<ZipEntry> list;
  std::unordered_map<std::string, size_t> index;
};

} // namespace weir

#endif // WEIR_RUNTIME_IO_ZIP_H
