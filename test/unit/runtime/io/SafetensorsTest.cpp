// SPDX-License-Identifier: Apache-2.0
#include "runtime/io/Safetensors.h"
#include "test/unit/runtime/TestSupport.h"

#include <cmath>
#include <cstring>

namespace weir {
namespace {

using test::slurp;
using test::TempFolder;

/// A file from a header text and data bytes.
std::string assemble(const std::string &header, const std::string &data) {
  std::string bytes;
  for (int i = 0; i < 8; ++i)
    bytes += static_cast<char>(static_cast<uint64_t>(header.size()) >> 8 * i);
  return bytes + header + data;
}

const std::vector<TensorSpec> specs = {
    {"w", StoredType::F32, {2, 3}},   {"h", StoredType::F16, {4}},
    {"b", StoredType::BF16, {2}},     {"d", StoredType::F64, {1}},
    {"i", StoredType::I64, {2}},      {"u", StoredType::U8, {3}},
    {"empty", StoredType::F32, {0}},  {"scalar", StoredType::F32, {}},
    {"flag", StoredType::Bool, {1}},  {"s", StoredType::I16, {1}},
    {"a.int", StoredType::I32, {1}},  {"t", StoredType::I8, {2}},
    {"a.first", StoredType::F32, {1}}};

/// Writes `specs` with bytes 1, 2, 3, ... and returns the file.
std::string writeSample(const TempFolder &folder) {
  std::string path = folder.path("sample.safetensors");
  StatusOr<SafetensorsWriter> writer = SafetensorsWriter::create(path, specs);
  EXPECT_OK(writer);
  for (const TensorSpec &spec : specs) {
    uint64_t size = storedTypeSize(spec.type);
    for (int64_t extent : spec.shape)
      size *= extent;
    std::string data;
    for (uint64_t i = 0; i < size; ++i)
      data += static_cast<char>(i + 1);
    EXPECT_OK(writer->write(spec.name, data.data(), size));
  }
  EXPECT_OK(writer->finish());
  return path;
}

TEST(Safetensors, WritesTheReferenceLayout) {
  TempFolder folder;
  std::string bytes = slurp(writeSample(folder));
  // As safetensors 0.8.0 (Python) orders and spaces the same tensors.
  std::string header =
      R"({"__metadata__":{"format":"pt"},)"
      R"("i":{"dtype":"I64","shape":[2],"data_offsets":[0,16]},)"
      R"("d":{"dtype":"F64","shape":[1],"data_offsets":[16,24]},)"
      R"("a.first":{"dtype":"F32","shape":[1],"data_offsets":[24,28]},)"
      R"("empty":{"dtype":"F32","shape":[0],"data_offsets":[28,28]},)"
      R"("scalar":{"dtype":"F32","shape":[],"data_offsets":[28,32]},)"
      R"("w":{"dtype":"F32","shape":[2,3],"data_offsets":[32,56]},)"
      R"("a.int":{"dtype":"I32","shape":[1],"data_offsets":[56,60]},)"
      R"("b":{"dtype":"BF16","shape":[2],"data_offsets":[60,64]},)"
      R"("h":{"dtype":"F16","shape":[4],"data_offsets":[64,72]},)"
      R"("s":{"dtype":"I16","shape":[1],"data_offsets":[72,74]},)"
      R"("t":{"dtype":"I8","shape":[2],"data_offsets":[74,76]},)"
      R"("u":{"dtype":"U8","shape":[3],"data_offsets":[76,79]},)"
      R"("flag":{"dtype":"BOOL","shape":[1],"data_offsets":[79,80]}})";
  header.resize((header.size() + 7) / 8 * 8, ' ');
  EXPECT_EQ(bytes.substr(0, 8 + header.size()), assemble(header, ""));
  EXPECT_EQ(bytes.size(), 8 + header.size() + 80);
}

TEST(Safetensors, ReadsBackWhatWasWritten) {
  TempFolder folder;
  StatusOr<SafetensorsFile> file = SafetensorsFile::open(writeSample(folder));
  ASSERT_OK(file);
  EXPECT_EQ(file->tensors().size(), specs.size());
  EXPECT_EQ(file->metadata().at("format"), "pt");
  for (const TensorSpec &spec : specs) {
    const StoredTensor *tensor = file->find(spec.name);
    ASSERT_NE(tensor, nullptr) << spec.name;
    EXPECT_EQ(tensor->shape, spec.shape);
    EXPECT_EQ(tensor->type, spec.type);
    for (uint64_t i = 0; i < tensor->byteSize; ++i)
      EXPECT_EQ(file->data(*tensor)[i], i + 1);
  }
  EXPECT_EQ(file->find("none"), nullptr);
  EXPECT_EQ(file->find("w")->typeText(), "F32[2,3]");
  // The file outlives moves.
  SafetensorsFile moved = *std::move(file);
  EXPECT_EQ(moved.data(*moved.find("w"))[0], 1);
}

TEST(Safetensors, ConvertsToFloats) {
  double wide = 1.0 / 3;
  uint16_t halves[] = {0x3C00, 0x0001}, brains[] = {0x4049, 0xBF80};
  float floats[] = {1.5f, -0.0f};
  TempFolder folder;
  std::string path = folder.path("f.safetensors");
  StatusOr<SafetensorsWriter> writer =
      SafetensorsWriter::create(path, {{"d", StoredType::F64, {1}},
                                       {"h", StoredType::F16, {2}},
                                       {"b", StoredType::BF16, {2}},
                                       {"f", StoredType::F32, {2}},
                                       {"i", StoredType::I32, {1}}});
  ASSERT_OK(writer);
  int32_t integer = 3;
  ASSERT_OK(writer->write("d", &wide, 8));
  ASSERT_OK(writer->write("h", halves, 4));
  // In two pieces, the second first.
  ASSERT_OK(writer->writePiece("b", 2, brains + 1, 2));
  ASSERT_OK(writer->writePiece("b", 0, brains, 2));
  ASSERT_OK(writer->write("f", floats, 8));
  ASSERT_OK(writer->write("i", &integer, 4));
  ASSERT_OK(writer->finish());

  StatusOr<SafetensorsFile> file = SafetensorsFile::open(path);
  ASSERT_OK(file);
  float out[2];
  ASSERT_OK(file->readFloats(*file->find("d"), out));
  EXPECT_EQ(out[0], static_cast<float>(1.0 / 3));
  ASSERT_OK(file->readFloats(*file->find("h"), out));
  EXPECT_EQ(out[0], 1.0f);
  EXPECT_EQ(out[1], std::ldexp(1.0f, -24));
  ASSERT_OK(file->readFloats(*file->find("b"), out));
  EXPECT_EQ(out[0], 3.140625f);
  EXPECT_EQ(out[1], -1.0f);
  ASSERT_OK(file->readFloats(*file->find("f"), out, 1, 1));
  EXPECT_TRUE(out[0] == 0 && std::signbit(out[0]));
  EXPECT_FAILS(file->readFloats(*file->find("i"), out),
               StatusCode::InvalidInput,
               "tensor 'i': expects floating-point values, got I32");
  EXPECT_FALSE(file->readFloats(*file->find("f"), out, 1, 2).ok());
}

struct BadFile {
  const char *header;
  uint64_t dataSize;
  const char *message;
};

TEST(Safetensors, RefusesMalformedHeaders) {
  const BadFile cases[] = {
      {"[]", 0, "does not start with '{'"},
      {" {}", 0, "does not start with '{'"},
      {"{", 0, "header:1:"},
      {"{} {}", 0, "header:1:4"},
      {R"({"a": 1})", 0, "a: expects an object, got a number"},
      {R"({"a": {}})", 0, "a: lacks the key 'dtype'"},
      {R"({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4], "x": 1}})",
       4, "unknown key 'x'"},
      {R"({"a": {"dtype": "F8_E4M3", "shape": [1], "data_offsets": [0, 1]}})",
       1, "dtype 'F8_E4M3' is not supported"},
      {R"({"a": {"dtype": 3, "shape": [1], "data_offsets": [0, 1]}})", 1,
       "a.dtype: expects a string"},
      {R"({"a": {"dtype": "F32", "shape": 1, "data_offsets": [0, 4]}})", 4,
       "a.shape: expects an array"},
      {R"({"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}})", 4,
       "expects extents of at least 0, got -1"},
      {R"({"a": {"dtype": "F32", "shape": [1.5], "data_offsets": [0, 4]}})", 4,
       "a.shape[0]: expects an integer, got 1.5"},
      {R"({"a": {"dtype": "F32", "shape": [4294967296, 4294967296],
          "data_offsets": [0, 4]}})",
       4, "is too large"},
      {R"({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}})", 4,
       "spans 4 bytes, but its shape needs 8"},
      {R"({"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}})", 4,
       "is not within the 4 bytes of data"},
      {R"({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4, 8]}})", 8,
       "expects two offsets, got 3"},
      {R"({"a": {"dtype": "F32", "shape": [1], "data_offsets": [-4, 0]}})", 4,
       "expects an integer of at least 0, got -4"},
      {R"({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}})", 4,
       "may be truncated"},
      {R"({"a": {"dtype": "U8", "shape": [1],
          "data_offsets": [18446744073709551615, 0]}})",
       4, "is not within"},
      {R"({"a": {"dtype": "U8", "shape": [2], "data_offsets": [0, 2]},
           "b": {"dtype": "U8", "shape": [2], "data_offsets": [1, 3]}})",
       3, "tensor 'b' overlaps tensor 'a'"},
      {R"({"a": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]},
           "b": {"dtype": "U8", "shape": [1], "data_offsets": [2, 3]}})",
       3, "1 bytes in front of tensor 'b' belong to no tensor"},
      {R"({"a": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}})", 3,
       "2 bytes at the end belong to no tensor"},
      {R"({"a": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]},
           "a": {"dtype": "U8", "shape": [1], "data_offsets": [1, 2]}})",
       2, "duplicate key 'a'"},
      {R"({"__metadata__": {"format": 3}})", 0,
       "__metadata__.format: expects a string"},
      {R"({"__metadata__": 3})", 0, "expects an object"},
  };
  for (const BadFile &bad : cases) {
    std::string bytes = assemble(bad.header, std::string(bad.dataSize, 'x'));
    EXPECT_FAILS(SafetensorsFile::parse(bytes, "m.safetensors"),
                 StatusCode::InvalidInput, bad.message);
  }
  EXPECT_FAILS(SafetensorsFile::parse(std::string(8, '\xFF'), "m"),
               StatusCode::InvalidInput, "exceeds the format's limit");
}

TEST(Safetensors, RefusesEveryTruncation) {
  TempFolder folder;
  std::string bytes = slurp(writeSample(folder));
  for (size_t size = 0; size < bytes.size(); ++size) {
    StatusOr<SafetensorsFile> file =
        SafetensorsFile::parse(std::string_view(bytes).substr(0, size), "m");
    EXPECT_FALSE(file.ok()) << size;
  }
  EXPECT_OK(SafetensorsFile::parse(bytes, "m"));
}

TEST(Safetensors, WriterRefusesWhatItWasNotTold) {
  TempFolder folder;
  std::string path = folder.path("x.safetensors");
  float value = 1;
  EXPECT_FALSE(SafetensorsWriter::create(path, {{"a", StoredType::F32, {1}},
                                                {"a", StoredType::F32, {1}}})
                   .ok());
  StatusOr<SafetensorsWriter> writer = SafetensorsWriter::create(
      path, {{"a", StoredType::F32, {1}}, {"b", StoredType::F32, {1}}});
  ASSERT_OK(writer);
  EXPECT_FALSE(writer->write("c", &value, 4).ok());
  EXPECT_FALSE(writer->write("a", &value, 2).ok());
  EXPECT_FALSE(writer->writePiece("a", 2, &value, 4).ok());
  EXPECT_OK(writer->write("a", &value, 4));
  EXPECT_FAILS(writer->finish(), StatusCode::OutputError,
               "tensor 'b' got 0 of its 4 bytes");
}

/// Writes a file with one-element f32 tensors of these names.
void writeTensors(const std::string &path,
                  const std::vector<std::string> &names) {
  std::vector<TensorSpec> tensors;
  for (const std::string &name : names)
    tensors.push_back({name, StoredType::F32, {1}});
  StatusOr<SafetensorsWriter> writer = SafetensorsWriter::create(path, tensors);
  ASSERT_OK(writer);
  for (size_t i = 0; i < names.size(); ++i) {
    float value = static_cast<float>(names[i].size());
    ASSERT_OK(writer->write(names[i], &value, 4));
  }
  ASSERT_OK(writer->finish());
}

TEST(SafetensorsSet, OpensFilesFoldersAndShards) {
  TempFolder folder;
  EXPECT_FAILS(SafetensorsSet::open(folder.path()), StatusCode::InvalidInput,
               "holds neither model.safetensors nor");
  writeTensors(folder.path("one.safetensors"), {"a", "bb"});
  writeTensors(folder.path("two.safetensors"), {"ccc"});
  folder.write("model.safetensors.index.json",
               R"({"metadata": {"total_size": 12}, "weight_map":
                   {"a": "one.safetensors", "bb": "one.safetensors",
                    "ccc": "two.safetensors"}})");
  StatusOr<SafetensorsSet> set = SafetensorsSet::open(folder.path());
  ASSERT_OK(set);
  EXPECT_EQ(set->names(), (std::vector<std::string>{"a", "bb", "ccc"}));
  float value = 0;
  SafetensorsSet moved = *std::move(set);
  ASSERT_TRUE(moved.find("ccc"));
  ASSERT_OK(moved.find("ccc").readFloats(&value));
  EXPECT_EQ(value, 3.0f);
  EXPECT_FALSE(moved.find("d"));
  // A single file goes first, as loaders do.
  writeTensors(folder.path("model.safetensors"), {"solo"});
  EXPECT_EQ(SafetensorsSet::open(folder.path())->names(),
            std::vector<std::string>{"solo"});
}

TEST(SafetensorsSet, RefusesAWrongIndex) {
  TempFolder folder;
  writeTensors(folder.path("one.safetensors"), {"a"});
  writeTensors(folder.path("two.safetensors"), {"a"});
  const BadFile cases[] = {
      {R"({})", 0, "lacks the key 'weight_map'"},
      {R"({"weight_map": []})", 0, "weight_map: expects an object"},
      {R"({"weight_map": {"a": 3}})", 0, "weight_map.a: expects a string"},
      {R"({"weight_map": {"a": "../one.safetensors"}})", 0,
       "expects the name of a file in the same folder"},
      {R"({"weight_map": {"a": ".."}})", 0, "expects the name of a file"},
      {R"({"weight_map": {"a": "none.safetensors"}})", 0, "cannot open"},
      {R"({"weight_map": {"b": "one.safetensors"}})", 0,
       "says that tensor 'b' is in one.safetensors"},
      {R"({"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}})", 0,
       "tensor 'a' is also in"},
  };
  for (const BadFile &bad : cases) {
    folder.write("model.safetensors.index.json", bad.header);
    EXPECT_FAILS(SafetensorsSet::open(folder.path()), StatusCode::InvalidInput,
                 bad.message);
  }
}

} // namespace
} // namespace weir
