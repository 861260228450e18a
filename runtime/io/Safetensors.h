// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_RUNTIME_IO_SAFETENSORS_H
#define WEIR_RUNTIME_IO_SAFETENSORS_H

#include "runtime/io/File.h"

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace weir {

/// Element types of the safetensors format that are read and written here.
enum class StoredType { F64, F32, F16, BF16, I64, I32, I16, I8, U8, Bool };

/// The format's name of a type: "F32", "BF16", "BOOL".
const char *storedTypeName(StoredType type);
/// The size of one element in bytes.
uint64_t storedTypeSize(StoredType type);

/// A tensor in a file: row-major, dense.
struct StoredTensor {
  std::string name;
  StoredType type = StoredType::F32;
  std::vector<int64_t> shape;
  /// Where its bytes start, counted from the file's first byte.
  uint64_t offset = 0;
  uint64_t byteSize = 0;

  int64_t elements() const;
  /// "F32[768,50257]".
  std::string typeText() const;
};

/// A `.safetensors` file, mapped. The layout (8 bytes header length, JSON
/// header, data) is checked in full before anything is handed out: header
/// length, JSON, unique names, types, shape times size equal to the range, and
/// ranges that tile the data section without overlap, hole or excess.
class SafetensorsFile {
public:
  static StatusOr<SafetensorsFile> open(const std::string &path);
  /// Reads from memory that the caller keeps alive; `name` is for errors.
  static StatusOr<SafetensorsFile> parse(std::string_view bytes,
                                         const std::string &name);

  const std::string &path() const { return name; }
  /// In the order of their data.
  const std::vector<StoredTensor> &tensors() const { return entries; }
  const StoredTensor *find(std::string_view tensor) const;
  /// `__metadata__`, sorted by key.
  const std::map<std::string, std::string> &metadata() const { return notes; }
  /// The bytes of a tensor of this file. Not aligned to its element size in
  /// files by other writers.
  const uint8_t *data(const StoredTensor &tensor) const {
    return reinterpret_cast<const uint8_t *>(bytes.data()) + tensor.offset;
  }
  /// Converts `count` elements from element `first` on to f32: F16 and BF16
  /// exactly, F64 rounded to nearest. Integers and booleans are refused.
  Status readFloats(const StoredTensor &tensor, float *out, int64_t first,
                    int64_t count) const;
  /// All of it.
  Status readFloats(const StoredTensor &tensor, float *out) const {
    return readFloats(tensor, out, 0, tensor.elements());
  }

private:
  Status readHeader();

  std::string name;
  MappedFile file;
  std::string_view bytes;
  std::vector<StoredTensor> entries;
  std::unordered_map<std::string, size_t> index;
  std::map<std::string, std::string> notes;
};

/// The weights of a model: one `.safetensors` file, or a folder with
/// `model.safetensors`, or with `model.safetensors.index.json` and the shards
/// that it names. A tensor is in exactly the shard that the index says.
class SafetensorsSet {
public:
  /// `path` is a file, an index file or a folder.
  static StatusOr<SafetensorsSet> open(const std::string &path);

  struct Ref {
    const SafetensorsFile *file = nullptr;
    const StoredTensor *tensor = nullptr;
    explicit operator bool() const { return tensor != nullptr; }
    Status readFloats(float *out) const {
      return file->readFloats(*tensor, out);
    }
  };
  const std::string &path() const { return name; }
  /// A tensor by name; false where there is none.
  Ref find(std::string_view tensor) const;
  /// All names, sorted.
  const std::vector<std::string> &names() const { return sorted; }
  const std::vector<SafetensorsFile> &files() const { return shards; }

private:
  Status addIndex();

  std::string name;
  std::vector<SafetensorsFile> shards;
  std::unordered_map<std::string, std::pair<size_t, size_t>> index;
  std::vector<std::string> sorted;
};

/// What a writer is told of a tensor before its bytes.
struct TensorSpec {
  std::string name;
  StoredType type = StoredType::F32;
  std::vector<int64_t> shape;
};

/// Writes a `.safetensors` file byte for byte as the reference writer does:
/// tensors by descending element size and then by name, header padded with
/// blanks to 8 bytes. Data may come in any order and in pieces, so that no
/// tensor needs to be in memory whole. The file appears at `finish`.
class SafetensorsWriter {
public:
  /// `metadata` is what loaders expect: {"format": "pt"}.
  static StatusOr<SafetensorsWriter> create(
      const std::string &path, std::vector<TensorSpec> tensors,
      const std::map<std::string, std::string> &metadata = {{"format", "pt"}});

  /// Writes the whole of a tensor; `size` must be its size in bytes.
  Status write(std::string_view tensor, const void *data, uint64_t size);
  /// Writes a piece at `byteOffset` within the tensor. Pieces must not overlap.
  Status writePiece(std::string_view tensor, uint64_t byteOffset,
                    const void *data, uint64_t size);
  /// Fails with OutputError unless each tensor got all its bytes.
  Status finish();

private:
  struct Slot {
    uint64_t offset, size, written;
  };
  explicit SafetensorsWriter(AtomicFile file) : file(std::move(file)) {}

  std::string name;
  AtomicFile file;
  std::map<std::string, Slot, std::less<>> slots;
};

} // namespace weir

#endif // WEIR_RUNTIME_IO_SAFETENSORS_H
