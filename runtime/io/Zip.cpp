// SPDX-License-Identifier: Apache-2.0
#include "runtime/io/Zip.h"
#include "runtime/base/Strings.h"
#include "runtime/base/Utf8.h"

#include <algorithm>
#include <cstring>

namespace weir {

// Records and field numbers follow PKWARE's APPNOTE.TXT, version 6.3.10.
namespace {

constexpr uint32_t localSignature = 0x04034b50;
constexpr uint32_t centralSignature = 0x02014b50;
constexpr uint32_t endSignature = 0x06054b50;
constexpr uint32_t end64Signature = 0x06064b50;
constexpr uint32_t locator64Signature = 0x07064b50;
constexpr uint64_t localSize = 30, centralSize = 46, endSize = 22;
constexpr uint64_t end64Size = 56, locator64Size = 20;
constexpr uint16_t zip64Field = 0x0001;
/// The field that Android's zipalign uses for alignment: two bytes with the
/// alignment, then zeros.
constexpr uint16_t alignmentField = 0xD935;
constexpr uint16_t utf8Flag = 0x0800;
/// 1980-01-01, the earliest date that the format can say.
constexpr uint16_t dosDate = 0x0021;
/// Made on Unix, so that the permissions in the external attributes count.
constexpr uint16_t madeByUnix = 3 << 8;
constexpr uint32_t regularFile = 0100644u << 16;

class Bytes {
public:
  Bytes &u16(uint64_t value) { return number(value, 2); }
  Bytes &u32(uint64_t value) { return number(value, 4); }
  Bytes &u64(uint64_t value) { return number(value, 8); }
  Bytes &text(std::string_view value) {
    out += value;
    return *this;
  }
  Bytes &zeros(uint64_t count) {
    out.append(count, '\0');
    return *this;
  }
  const std::string &view() const { return out; }

private:
  Bytes &number(uint64_t value, int size) {
    for (int i = 0; i < size; ++i)
      out += static_cast<char>(value >> 8 * i);
    return *this;
  }
  std::string out;
};

uint64_t readLittle(std::string_view bytes, uint64_t offset, int size) {
  uint64_t value = 0;
  for (int i = size - 1; i >= 0; --i)
    value = value << 8 | static_cast<uint8_t>(bytes[offset + i]);
  return value;
}

struct CrcTables {
  uint32_t table[8][256];
};

constexpr CrcTables makeCrcTables() {
  CrcTables tables{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit)
      crc = (crc >> 1) ^ ((crc & 1) ? 0xEDB88320u : 0);
    tables.table[0][i] = crc;
  }
  for (int slice = 1; slice < 8; ++slice)
    for (uint32_t i = 0; i < 256; ++i) {
      uint32_t before = tables.table[slice - 1][i];
      tables.table[slice][i] = tables.table[0][before & 255] ^ (before >> 8);
    }
  return tables;
}

/// Why `name` may not be an entry's name, or nothing.
std::optional<std::string> nameProblem(std::string_view name) {
  if (name.empty())
    return "is empty";
  if (name.size() > 4096)
    return "is longer than 4096 bytes";
  if (name[0] == '/' || (name.size() > 1 && name[1] == ':'))
    return "is absolute";
  for (std::string_view rest = name; !rest.empty();) {
    size_t length = utf8SequenceLength(rest);
    unsigned char c = static_cast<unsigned char>(rest[0]);
    if (length == 0)
      return "is not valid UTF-8";
    if (c == '\\' || c < 0x20 || c == 0x7F)
      return "holds a backslash or a control character";
    rest.remove_prefix(length);
  }
  if (name.back() == '/')
    name.remove_suffix(1);
  for (const std::string &part : split(name, '/'))
    if (part.empty() || part == "." || part == "..")
      return "holds an empty part, '.' or '..'";
  return std::nullopt;
}

} // namespace

uint32_t crc32(std::string_view data, uint32_t crc) {
  static constexpr CrcTables tables = makeCrcTables();
  const auto &t = tables.table;
  const uint8_t *p = reinterpret_cast<const uint8_t *>(data.data());
  size_t size = data.size();
  crc = ~crc;
  for (; size >= 8; p += 8, size -= 8) {
    uint32_t low = crc ^ (uint32_t(p[0]) | uint32_t(p[1]) << 8 |
                          uint32_t(p[2]) << 16 | uint32_t(p[3]) << 24);
    crc = t[7][low & 255] ^ t[6][(low >> 8) & 255] ^ t[5][(low >> 16) & 255] ^
          t[4][low >> 24] ^ t[3][p[4]] ^ t[2][p[5]] ^ t[1][p[6]] ^ t[0][p[7]];
  }
  for (; size > 0; ++p, --size)
    crc = t[0][(crc ^ *p) & 255] ^ (crc >> 8);
  return ~crc;
}

StatusOr<ZipWriter> ZipWriter::create(const std::string &path,
                                      const ZipOptions &options) {
  if (options.alignment == 0 || options.alignment > 32768 ||
      (options.alignment & (options.alignment - 1)) != 0)
    return internalError("ZIP alignment must be a power of two up to 32768");
  WEIR_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::create(path));
  ZipWriter writer(std::move(file), options);
  writer.path = path;
  return writer;
}

Status ZipWriter::add(const std::string &name, std::string_view content) {
  if (std::optional<std::string> problem = nameProblem(name))
    return internalError(path + ": entry name '" + printable(name) + "' " +
                         *problem);
  if (name.back() == '/')
    return internalError(path + ": entry name '" + name + "' is a folder's");
  if (!index.emplace(name, entries.size()).second)
    return internalError(path + ": entry '" + name + "' added twice");
  Entry entry{name, content.size(), file.position(), crc32(content)};
  bool wide = entry.size >= options.zip64From;
  Bytes extra;
  if (wide)
    extra.u16(zip64Field).u16(16).u64(entry.size).u64(entry.size);
  uint64_t start = entry.offset + localSize + name.size() + extra.view().size();
  if (start % options.alignment != 0) {
    uint64_t smallest = start + 6;
    uint64_t aligned = (smallest + options.alignment - 1) / options.alignment *
                       options.alignment;
    extra.u16(alignmentField).u16(aligned - start - 4).u16(options.alignment);
    extra.zeros(aligned - smallest);
  }
  Bytes header;
  header.u32(localSignature).u16(wide ? 45 : 10).u16(utf8Flag).u16(0);
  header.u16(0).u16(dosDate).u32(entry.crc);
  header.u32(wide ? 0xFFFFFFFFu : entry.size);
  header.u32(wide ? 0xFFFFFFFFu : entry.size);
  header.u16(name.size()).u16(extra.view().size());
  header.text(name).text(extra.view());
  WEIR_RETURN_IF_ERROR(file.write(header.view()));
  WEIR_RETURN_IF_ERROR(file.write(content));
  entries.push_back(std::move(entry));
  return okStatus();
}

Status ZipWriter::finish() {
  uint64_t directory = file.position();
  bool anyWide = false;
  for (const Entry &entry : entries) {
    bool wideSize = entry.size >= options.zip64From;
    bool wideOffset = entry.offset >= options.zip64From;
    anyWide |= wideSize || wideOffset;
    Bytes extra;
    if (wideSize || wideOffset) {
      extra.u16(zip64Field).u16((wideSize ? 16 : 0) + (wideOffset ? 8 : 0));
      if (wideSize)
        extra.u64(entry.size).u64(entry.size);
      if (wideOffset)
        extra.u64(entry.offset);
    }
    int version = extra.view().empty() ? 10 : 45;
    Bytes record;
    record.u32(centralSignature).u16(madeByUnix | version).u16(version);
    record.u16(utf8Flag).u16(0).u16(0).u16(dosDate).u32(entry.crc);
    record.u32(wideSize ? 0xFFFFFFFFu : entry.size);
    record.u32(wideSize ? 0xFFFFFFFFu : entry.size);
    record.u16(entry.name.size()).u16(extra.view().size()).u16(0);
    record.u16(0).u16(0).u32(regularFile);
    record.u32(wideOffset ? 0xFFFFFFFFu : entry.offset);
    record.text(entry.name).text(extra.view());
    WEIR_RETURN_IF_ERROR(file.write(record.view()));
  }
  uint64_t size = file.position() - directory;
  uint64_t count = entries.size();
  bool wideDirectory =
      directory >= options.zip64From || size >= options.zip64From;
  Bytes end;
  if (anyWide || wideDirectory || count >= 0xFFFF) {
    uint64_t position = file.position();
    end.u32(end64Signature).u64(end64Size - 12).u16(madeByUnix | 45).u16(45);
    end.u32(0).u32(0).u64(count).u64(count).u64(size).u64(directory);
    end.u32(locator64Signature).u32(0).u64(position).u32(1);
  }
  end.u32(endSignature).u16(0).u16(0);
  end.u16(std::min<uint64_t>(count, 0xFFFF));
  end.u16(std::min<uint64_t>(count, 0xFFFF));
  end.u32(wideDirectory ? 0xFFFFFFFFu : size);
  end.u32(wideDirectory ? 0xFFFFFFFFu : directory).u16(0);
  WEIR_RETURN_IF_ERROR(file.write(end.view()));
  return file.commit();
}

StatusOr<ZipReader> ZipReader::open(const std::string &path) {
  WEIR_ASSIGN_OR_RETURN(MappedFile mapped, MappedFile::open(path));
  ZipReader reader;
  reader.name = path;
  reader.bytes = mapped.view();
  reader.file = std::move(mapped);
  WEIR_RETURN_IF_ERROR(reader.readDirectory());
  return reader;
}

StatusOr<ZipReader> ZipReader::parse(std::string_view bytes,
                                     const std::string &name) {
  ZipReader reader;
  reader.name = name;
  reader.bytes = bytes;
  WEIR_RETURN_IF_ERROR(reader.readDirectory());
  return reader;
}

Status ZipReader::broken(const std::string &what) const {
  return invalidInput(name + ": not a usable ZIP archive: " + what +
                      "; the file may be truncated or damaged");
}

namespace {

/// Where the directory lies, from the end records.
struct Directory {
  uint64_t offset = 0, size = 0, count = 0;
  /// Where the end records start: the directory must end in front of them.
  uint64_t limit = 0;
};

/// Reads the zip64 values that a record's maximal 32-bit fields refer to. False
/// where the field is missing or short.
bool readZip64(std::string_view extra, uint64_t *size, uint64_t *packed,
               uint64_t *offset) {
  while (extra.size() >= 4) {
    uint64_t id = readLittle(extra, 0, 2), length = readLittle(extra, 2, 2);
    extra.remove_prefix(4);
    if (length > extra.size())
      return false;
    if (id == zip64Field) {
      std::string_view field = extra.substr(0, length);
      for (uint64_t *value : {size, packed, offset}) {
        if (!value)
          continue;
        if (field.size() < 8)
          return false;
        *value = readLittle(field, 0, 8);
        field.remove_prefix(8);
      }
      return true;
    }
    extra.remove_prefix(length);
  }
  return false;
}

std::optional<std::string> findDirectory(std::string_view bytes,
                                         Directory &directory) {
  if (bytes.size() < endSize)
    return "it has only " + std::to_string(bytes.size()) + " bytes";
  // The end record is last but for a comment of up to 65535 bytes.
  uint64_t lowest = bytes.size() - endSize;
  lowest = lowest > 0xFFFF ? lowest - 0xFFFF : 0;
  uint64_t end = bytes.size() - endSize;
  while (readLittle(bytes, end, 4) != endSignature ||
         end + endSize + readLittle(bytes, end + 20, 2) != bytes.size()) {
    if (end == lowest)
      return "the end record is missing";
    --end;
  }
  if (readLittle(bytes, end + 4, 2) != 0 || readLittle(bytes, end + 6, 2) != 0)
    return "it spans several volumes";
  uint64_t here = readLittle(bytes, end + 8, 2);
  directory.count = readLittle(bytes, end + 10, 2);
  directory.size = readLittle(bytes, end + 12, 4);
  directory.offset = readLittle(bytes, end + 16, 4);
  directory.limit = end;
  if (here != directory.count)
    return "it spans several volumes";
  if (end >= locator64Size &&
      readLittle(bytes, end - locator64Size, 4) == locator64Signature) {
    uint64_t end64 = readLittle(bytes, end - locator64Size + 8, 8);
    uint64_t limit = end - locator64Size;
    if (limit < end64Size || end64 > limit - end64Size ||
        readLittle(bytes, end64, 4) != end64Signature)
      return "the zip64 end record is missing";
    directory.count = readLittle(bytes, end64 + 32, 8);
    directory.size = readLittle(bytes, end64 + 40, 8);
    directory.offset = readLittle(bytes, end64 + 48, 8);
    directory.limit = end64;
  }
  if (directory.offset > directory.limit ||
      directory.size != directory.limit - directory.offset)
    return "the directory does not end where the end record starts";
  if (directory.count > directory.size / centralSize)
    return "the directory is shorter than its " +
           std::to_string(directory.count) + " entries";
  return std::nullopt;
}

} // namespace

Status ZipReader::readDirectory() {
  Directory directory;
  if (std::optional<std::string> problem = findDirectory(bytes, directory))
    return broken(*problem);
  uint64_t position = directory.offset;
  struct Range {
    uint64_t begin, end;
    size_t entry;
  };
  std::vector<Range> ranges;
  for (uint64_t i = 0; i < directory.count; ++i) {
    uint64_t left = directory.limit - position;
    if (left < centralSize ||
        readLittle(bytes, position, 4) != centralSignature)
      return broken("entry " + std::to_string(i) + " of the directory is cut");
    auto field = [&](uint64_t offset, int size) {
      return readLittle(bytes, position + offset, size);
    };
    uint64_t flags = field(8, 2), method = field(10, 2);
    uint64_t nameLength = field(28, 2), extraLength = field(30, 2);
    uint64_t length = centralSize + nameLength + extraLength + field(32, 2);
    if (length > left)
      return broken("entry " + std::to_string(i) + " of the directory is cut");
    ZipEntry entry;
    entry.name = bytes.substr(position + centralSize, nameLength);
    entry.crc = static_cast<uint32_t>(field(16, 4));
    uint64_t packed = field(20, 4), header = field(42, 4);
    entry.size = field(24, 4);
    std::string quoted = "entry '" + printable(entry.name) + "'";
    if (entry.size == 0xFFFFFFFFu || packed == 0xFFFFFFFFu ||
        header == 0xFFFFFFFFu) {
      std::string_view extra =
          bytes.substr(position + centralSize + nameLength, extraLength);
      if (!readZip64(extra, entry.size == 0xFFFFFFFFu ? &entry.size : nullptr,
                     packed == 0xFFFFFFFFu ? &packed : nullptr,
                     header == 0xFFFFFFFFu ? &header : nullptr))
        return broken(quoted + " lacks its zip64 sizes");
    }
    if (std::optional<std::string> problem = nameProblem(entry.name))
      return invalidInput(name + ": the name of " + quoted + " " + *problem +
                          "; such archives are refused");
    // Bit 0: encrypted; 6: strongly; 13: its directory.
    if (flags & 0x2041)
      return invalidInput(name + ": " + quoted +
                          " is encrypted; store it plainly");
    if (method != 0)
      return invalidInput(name + ": " + quoted +
                          " is compressed; store it without compression");
    if (packed != entry.size)
      return broken(quoted + " is stored, but its two sizes differ");
    if (header > directory.offset || directory.offset - header < localSize ||
        readLittle(bytes, header, 4) != localSignature)
      return broken(quoted + " has no local header");
    uint64_t localName = readLittle(bytes, header + 26, 2);
    entry.offset =
        header + localSize + localName + readLittle(bytes, header + 28, 2);
    if (entry.offset > directory.offset ||
        entry.size > directory.offset - entry.offset)
      return broken(quoted + " ends beyond the entries' part of the file");
    if (readLittle(bytes, header + 8, 2) != 0 ||
        bytes.substr(header + localSize, localName) != entry.name)
      return broken(quoted + " disagrees with its local header");
    if (!index.emplace(entry.name, list.size()).second)
      return invalidInput(name + ": " + quoted +
                          " is there twice; such archives are refused");
    position += length;
    // A folder is an entry without content; only files are of interest.
    if (entry.name.back() == '/') {
      index.erase(entry.name);
      continue;
    }
    ranges.push_back({header, entry.offset + entry.size, list.size()});
    list.push_back(std::move(entry));
  }
  if (position != directory.limit)
    return broken("bytes follow the last entry of the directory");
  std::sort(ranges.begin(), ranges.end(), [](const Range &a, const Range &b) {
    return a.begin != b.begin ? a.begin < b.begin : a.entry < b.entry;
  });
  for (size_t i = 1; i < ranges.size(); ++i)
    if (ranges[i].begin < ranges[i - 1].end)
      return broken("entries '" + printable(list[ranges[i - 1].entry].name) +
                    "' and '" + printable(list[ranges[i].entry].name) +
                    "' overlap");
  return okStatus();
}

const ZipEntry *ZipReader::find(std::string_view entry) const {
  auto it = index.find(std::string(entry));
  return it == index.end() ? nullptr : &list[it->second];
}

StatusOr<std::string_view> ZipReader::read(const ZipEntry &entry) const {
  std::string_view data = content(entry);
  if (crc32(data) != entry.crc)
    return invalidInput(name + ": entry '" + printable(entry.name) +
                        "': checksum differs; the file is damaged");
  return data;
}

StatusOr<std::string_view> ZipReader::read(std::string_view entry) const {
  const ZipEntry *found = find(entry);
  if (!found)
    return invalidInput(name + ": lacks the entry '" + printable(entry) + "'");
  return read(*found);
}

} // namespace weir
