// SPDX-License-Identifier: Apache-2.0
#include "runtime/io/Safetensors.h"
#include "runtime/base/Half.h"
#include "runtime/base/Json.h"
#include "runtime/base/Strings.h"

#include <algorithm>
#include <cstring>

namespace weir {

namespace {

struct TypeInfo {
  StoredType type;
  const char *name;
  uint64_t size;
};

constexpr TypeInfo typeTable[] = {
    {StoredType::F64, "F64", 8}, {StoredType::F32, "F32", 4},
    {StoredType::F16, "F16", 2}, {StoredType::BF16, "BF16", 2},
    {StoredType::I64, "I64", 8}, {StoredType::I32, "I32", 4},
    {StoredType::I16, "I16", 2}, {StoredType::I8, "I8", 1},
    {StoredType::U8, "U8", 1},   {StoredType::Bool, "BOOL", 1}};

/// The reference implementation's limit on the header.
constexpr uint64_t maxHeaderSize = 100'000'000;

const TypeInfo &infoOf(StoredType type) {
  for (const TypeInfo &info : typeTable)
    if (info.type == type)
      return info;
  return typeTable[0];
}

/// The place of a type in the reference writer's order, which is by alignment
/// and then by the order in which its source declares the types.
int writerRank(StoredType type) {
  constexpr StoredType order[] = {
      StoredType::Bool, StoredType::U8,   StoredType::I8,  StoredType::I16,
      StoredType::F16,  StoredType::BF16, StoredType::I32, StoredType::F32,
      StoredType::F64,  StoredType::I64};
  return static_cast<int>(std::find(std::begin(order), std::end(order), type) -
                          std::begin(order));
}

uint64_t readLittle64(const char *bytes) {
  uint64_t value = 0;
  for (int i = 7; i >= 0; --i)
    value = value << 8 | static_cast<uint8_t>(bytes[i]);
  return value;
}

/// shape times element size, or nothing where it exceeds 63 bits.
std::optional<uint64_t> byteSizeOf(StoredType type,
                                   const std::vector<int64_t> &shape) {
  // A zero makes the product zero whatever the others are.
  if (std::find(shape.begin(), shape.end(), 0) != shape.end())
    return 0;
  uint64_t size = infoOf(type).size;
  for (int64_t extent : shape) {
    if (extent < 0 ||
        static_cast<uint64_t>(extent) > (uint64_t(INT64_MAX) / size))
      return std::nullopt;
    size *= static_cast<uint64_t>(extent);
  }
  return size;
}

} // namespace

const char *storedTypeName(StoredType type) { return infoOf(type).name; }
uint64_t storedTypeSize(StoredType type) { return infoOf(type).size; }

int64_t StoredTensor::elements() const {
  return static_cast<int64_t>(byteSize / storedTypeSize(type));
}

std::string StoredTensor::typeText() const {
  std::vector<std::string> extents;
  for (int64_t extent : shape)
    extents.push_back(std::to_string(extent));
  return std::string(storedTypeName(type)) + "[" + join(extents, ",") + "]";
}

StatusOr<SafetensorsFile> SafetensorsFile::open(const std::string &path) {
  WEIR_ASSIGN_OR_RETURN(MappedFile mapped, MappedFile::open(path));
  SafetensorsFile result;
  result.name = path;
  result.bytes = mapped.view();
  result.file = std::move(mapped);
  WEIR_RETURN_IF_ERROR(result.readHeader());
  return result;
}

StatusOr<SafetensorsFile> SafetensorsFile::parse(std::string_view bytes,
                                                 const std::string &name) {
  SafetensorsFile result;
  result.name = name;
  result.bytes = bytes;
  WEIR_RETURN_IF_ERROR(result.readHeader());
  return result;
}

static Status readTensor(const JsonView &view, const std::string &name,
                         uint64_t dataStart, uint64_t dataSize,
                         StoredTensor &tensor) {
  WEIR_RETURN_IF_ERROR(view.expectKeys({"dtype", "shape", "data_offsets"}));
  tensor.name = name;
  WEIR_ASSIGN_OR_RETURN(std::string type, view.string("dtype"));
  const TypeInfo *info = nullptr;
  for (const TypeInfo &candidate : typeTable)
    if (type == candidate.name)
      info = &candidate;
  if (!info)
    return view.error("dtype '" + printable(type) +
                      "' is not supported; supported are F64, F32, F16, BF16, "
                      "I64, I32, I16, I8, U8 and BOOL");
  tensor.type = info->type;
  WEIR_ASSIGN_OR_RETURN(JsonView shape, view.at("shape"));
  WEIR_ASSIGN_OR_RETURN(tensor.shape, shape.asIntegers());
  for (int64_t extent : tensor.shape)
    if (extent < 0)
      return shape.error("expects extents of at least 0, got " +
                         std::to_string(extent));
  std::optional<uint64_t> size = byteSizeOf(tensor.type, tensor.shape);
  if (!size)
    return shape.error("is too large");
  WEIR_ASSIGN_OR_RETURN(JsonView range, view.at("data_offsets"));
  WEIR_RETURN_IF_ERROR(range.expectArray());
  if (range.size() != 2)
    return range.error("expects two offsets, got " +
                       std::to_string(range.size()));
  WEIR_ASSIGN_OR_RETURN(uint64_t begin, range[0].asUnsigned());
  WEIR_ASSIGN_OR_RETURN(uint64_t end, range[1].asUnsigned());
  if (begin > end || end > dataSize)
    return range.error("[" + std::to_string(begin) + ", " +
                       std::to_string(end) + "] is not within the " +
                       std::to_string(dataSize) +
                       " bytes of data; the file may be truncated");
  if (end - begin != *size)
    return range.error("spans " + std::to_string(end - begin) +
                       " bytes, but its shape needs " + std::to_string(*size));
  tensor.offset = dataStart + begin;
  tensor.byteSize = *size;
  return okStatus();
}

Status SafetensorsFile::readHeader() {
  auto fail = [&](const std::string &text) {
    return invalidInput(name + ": " + text);
  };
  if (bytes.size() < 8)
    return fail("not a safetensors file: expects 8 bytes of header length, got "
                "a file of " +
                std::to_string(bytes.size()) + " bytes");
  uint64_t headerSize = readLittle64(bytes.data());
  if (headerSize > maxHeaderSize)
    return fail("not a safetensors file: header length " +
                std::to_string(headerSize) + " exceeds the format's limit of " +
                std::to_string(maxHeaderSize));
  if (headerSize > bytes.size() - 8)
    return fail("the header of " + std::to_string(headerSize) +
                " bytes ends beyond the file of " +
                std::to_string(bytes.size()) +
                " bytes; the file may be truncated");
  std::string_view header = bytes.substr(8, headerSize);
  if (header.empty() || header[0] != '{')
    return fail("not a safetensors file: its header does not start with '{'");
  JsonOptions options;
  options.maxDepth = 4;
  WEIR_ASSIGN_OR_RETURN(JsonView root,
                        parseJson(header, name + ": header", options));
  uint64_t dataStart = 8 + headerSize;
  uint64_t dataSize = bytes.size() - dataStart;
  for (const std::string &key : root.keys()) {
    WEIR_ASSIGN_OR_RETURN(JsonView view, root.at(key));
    if (key == "__metadata__") {
      WEIR_RETURN_IF_ERROR(view.expectObject());
      for (const std::string &note : view.keys()) {
        WEIR_ASSIGN_OR_RETURN(notes[note], view.string(note));
      }
      continue;
    }
    StoredTensor tensor;
    WEIR_RETURN_IF_ERROR(readTensor(view, key, dataStart, dataSize, tensor));
    entries.push_back(std::move(tensor));
  }
  std::sort(entries.begin(), entries.end(),
            [](const StoredTensor &a, const StoredTensor &b) {
              if (a.offset != b.offset)
                return a.offset < b.offset;
              if (a.byteSize != b.byteSize)
                return a.byteSize < b.byteSize;
              return a.name < b.name;
            });
  uint64_t end = dataStart;
  for (size_t i = 0; i < entries.size(); ++i) {
    const StoredTensor &tensor = entries[i];
    if (tensor.offset < end)
      return fail("tensor '" + printable(tensor.name) + "' overlaps tensor '" +
                  printable(entries[i - 1].name) + "'");
    if (tensor.offset > end)
      return fail(std::to_string(tensor.offset - end) +
                  " bytes in front of tensor '" + printable(tensor.name) +
                  "' belong to no tensor");
    end = tensor.offset + tensor.byteSize;
    index.emplace(tensor.name, i);
  }
  if (end != bytes.size())
    return fail(std::to_string(bytes.size() - end) +
                " bytes at the end belong to no tensor");
  return okStatus();
}

const StoredTensor *SafetensorsFile::find(std::string_view tensor) const {
  auto it = index.find(std::string(tensor));
  return it == index.end() ? nullptr : &entries[it->second];
}

Status SafetensorsFile::readFloats(const StoredTensor &tensor, float *out,
                                   int64_t first, int64_t count) const {
  if (first < 0 || count < 0 || first > tensor.elements() ||
      count > tensor.elements() - first)
    return internalError(name + ": tensor '" + printable(tensor.name) +
                         "': elements beyond its end were asked for");
  if (count == 0)
    return okStatus();
  // memcpy throughout: data of other writers' files need not be aligned.
  const uint8_t *from = data(tensor) + first * storedTypeSize(tensor.type);
  switch (tensor.type) {
  case StoredType::F32:
    std::memcpy(out, from, count * sizeof(float));
    return okStatus();
  case StoredType::F64:
    for (int64_t i = 0; i < count; ++i) {
      double value;
      std::memcpy(&value, from + 8 * i, sizeof(value));
      out[i] = static_cast<float>(value);
    }
    return okStatus();
  case StoredType::F16:
  case StoredType::BF16:
    for (int64_t i = 0; i < count; ++i) {
      uint16_t bits;
      std::memcpy(&bits, from + 2 * i, sizeof(bits));
      out[i] = tensor.type == StoredType::F16 ? halfToFloat(bits)
                                              : bfloat16ToFloat(bits);
    }
    return okStatus();
  default:
    return invalidInput(name + ": tensor '" + printable(tensor.name) +
                        "': expects floating-point values, got " +
                        storedTypeName(tensor.type));
  }
}

StatusOr<SafetensorsSet> SafetensorsSet::open(const std::string &path) {
  SafetensorsSet set;
  set.name = path;
  std::string file = path;
  if (isDirectory(path)) {
    std::string single = path + "/model.safetensors";
    std::string sharded = path + "/model.safetensors.index.json";
    if (fileExists(single))
      file = single;
    else if (fileExists(sharded))
      file = sharded;
    else
      return invalidInput(path + ": holds neither model.safetensors nor "
                                 "model.safetensors.index.json");
  }
  if (!endsWith(file, ".json")) {
    WEIR_ASSIGN_OR_RETURN(SafetensorsFile shard, SafetensorsFile::open(file));
    set.shards.push_back(std::move(shard));
    WEIR_RETURN_IF_ERROR(set.addIndex());
    return set;
  }

  WEIR_ASSIGN_OR_RETURN(std::string text, readFile(file));
  WEIR_ASSIGN_OR_RETURN(JsonView root, parseJson(text, file));
  WEIR_ASSIGN_OR_RETURN(JsonView map, root.at("weight_map"));
  WEIR_RETURN_IF_ERROR(map.expectObject());
  std::map<std::string, size_t> shardIndex;
  for (const std::string &tensor : map.keys()) {
    WEIR_ASSIGN_OR_RETURN(std::string shard, map.string(tensor));
    if (shard.empty() || shard == ".." || shard == "." ||
        shard.find('/') != std::string::npos ||
        shard.find('\0') != std::string::npos)
      return map.error("expects the name of a file in the same folder, got '" +
                       printable(shard) + "'");
    shardIndex.emplace(shard, 0);
  }
  for (auto &[shard, position] : shardIndex) {
    WEIR_ASSIGN_OR_RETURN(
        SafetensorsFile opened,
        SafetensorsFile::open(resolvePath(parentPath(file), shard)));
    position = set.shards.size();
    set.shards.push_back(std::move(opened));
  }
  WEIR_RETURN_IF_ERROR(set.addIndex());
  for (const std::string &tensor : map.keys()) {
    WEIR_ASSIGN_OR_RETURN(std::string shard, map.string(tensor));
    auto it = set.index.find(tensor);
    if (it == set.index.end() || it->second.first != shardIndex[shard])
      return map.error("says that tensor '" + printable(tensor) + "' is in " +
                       printable(shard) + ", which does not hold it");
  }
  return set;
}

Status SafetensorsSet::addIndex() {
  for (size_t i = 0; i < shards.size(); ++i) {
    const std::vector<StoredTensor> &tensors = shards[i].tensors();
    for (size_t j = 0; j < tensors.size(); ++j) {
      auto inserted = index.emplace(tensors[j].name, std::make_pair(i, j));
      if (!inserted.second)
        return invalidInput(shards[i].path() + ": tensor '" +
                            printable(tensors[j].name) + "' is also in " +
                            shards[inserted.first->second.first].path());
      sorted.push_back(tensors[j].name);
    }
  }
  std::sort(sorted.begin(), sorted.end());
  return okStatus();
}

SafetensorsSet::Ref SafetensorsSet::find(std::string_view tensor) const {
  auto it = index.find(std::string(tensor));
  if (it == index.end())
    return Ref();
  const SafetensorsFile &file = shards[it->second.first];
  return Ref{&file, &file.tensors()[it->second.second]};
}

StatusOr<SafetensorsWriter>
SafetensorsWriter::create(const std::string &path,
                          std::vector<TensorSpec> tensors,
                          const std::map<std::string, std::string> &metadata) {
  std::sort(tensors.begin(), tensors.end(),
            [](const TensorSpec &a, const TensorSpec &b) {
              int left = writerRank(a.type), right = writerRank(b.type);
              return left != right ? left > right : a.name < b.name;
            });
  JsonWriter header(0);
  header.beginObject();
  if (!metadata.empty()) {
    header.key("__metadata__").beginObject();
    for (const auto &[key, value] : metadata)
      header.member(key, value);
    header.endObject();
  }
  std::map<std::string, Slot, std::less<>> slots;
  uint64_t end = 0;
  for (const TensorSpec &tensor : tensors) {
    std::optional<uint64_t> size = byteSizeOf(tensor.type, tensor.shape);
    if (!size || *size > uint64_t(INT64_MAX) - end)
      return internalError(path + ": tensor '" + printable(tensor.name) +
                           "' is too large");
    bool unique = tensor.name != "__metadata__" &&
                  slots.emplace(tensor.name, Slot{end, *size, 0}).second;
    if (!unique)
      return internalError(path + ": tensor name '" + printable(tensor.name) +
                           "' is reserved or given twice");
    header.key(tensor.name).beginObject();
    header.member("dtype", storedTypeName(tensor.type));
    header.key("shape").list(tensor.shape);
    header.key("data_offsets").list(std::vector<uint64_t>{end, end + *size});
    header.endObject();
    end += *size;
  }
  std::string text = header.endObject().take();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  char length[8];
  for (int i = 0; i < 8; ++i)
    length[i] = static_cast<char>(static_cast<uint64_t>(text.size()) >> 8 * i);

  WEIR_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::create(path));
  SafetensorsWriter writer(std::move(file));
  writer.name = path;
  WEIR_RETURN_IF_ERROR(writer.file.write(length, sizeof(length)));
  WEIR_RETURN_IF_ERROR(writer.file.write(text));
  uint64_t dataStart = writer.file.position();
  for (auto &entry : slots)
    entry.second.offset += dataStart;
  writer.slots = std::move(slots);
  return writer;
}

Status SafetensorsWriter::write(std::string_view tensor, const void *data,
                                uint64_t size) {
  auto it = slots.find(tensor);
  if (it != slots.end() && it->second.size != size)
    return internalError(name + ": tensor '" + printable(tensor) + "' has " +
                         std::to_string(it->second.size) + " bytes, not " +
                         std::to_string(size));
  return writePiece(tensor, 0, data, size);
}

Status SafetensorsWriter::writePiece(std::string_view tensor,
                                     uint64_t byteOffset, const void *data,
                                     uint64_t size) {
  auto it = slots.find(tensor);
  if (it == slots.end())
    return internalError(name + ": tensor '" + printable(tensor) +
                         "' was not declared");
  Slot &slot = it->second;
  if (byteOffset > slot.size || size > slot.size - byteOffset)
    return internalError(name + ": tensor '" + printable(tensor) +
                         "': a piece ends beyond its end");
  slot.written += size;
  return file.writeAt(slot.offset + byteOffset, data, size);
}

Status SafetensorsWriter::finish() {
  for (const auto &[tensor, slot] : slots)
    if (slot.written != slot.size)
      return Status(StatusCode::OutputError,
                    name + ": tensor '" + printable(tensor) + "' got " +
                        std::to_string(slot.written) + " of its " +
                        std::to_string(slot.size) + " bytes");
  return file.commit();
}

} // namespace weir
