// SPDX-License-Identifier: Apache-2.0
// Mutated inputs must give a status or a usable result, never a crash. The
// mutations are a fixed function of the seed, so that a failure repeats; the
// `asan` preset makes the checks sharp.
#include "runtime/base/Json.h"
#include "runtime/base/Philox.h"
#include "runtime/base/Strings.h"
#include "runtime/data/TokenSource.h"
#include "runtime/io/Job.h"
#include "runtime/io/Safetensors.h"
#include "runtime/io/Zip.h"
#include "test/unit/runtime/TestSupport.h"
#include "tools/weir-inspect/DescribeSharding.h"

#include <functional>

namespace weir {
namespace {

using test::slurp;
using test::TempFolder;

constexpr int mutationCount = 5000;

/// A stream of random words from the counter-based generator.
class Random {
public:
  explicit Random(uint32_t seed) : seed(seed) {}
  uint32_t next() { return randomWord(siteKey("fuzz"), seed, 0, counter++); }
  size_t below(size_t limit) { return limit == 0 ? 0 : next() % limit; }

private:
  uint32_t seed;
  uint64_t counter = 0;
};

/// One to four random edits: flipped bits, interesting bytes, cut, doubled,
/// moved and swapped pieces, and pieces of other places of the input.
std::string mutate(const std::string &input, Random &random) {
  static const std::string tokens[] = {
      "null", "-1",  "1e999", "[", "{",  "\"", "}",    "18446744073709551616",
      ",",    "\\u", "\xFF",  "0", "//", ":",  "\0\0", "PK\5\6"};
  std::string bytes = input;
  for (size_t edits = 1 + random.below(4); edits > 0; --edits) {
    size_t at = random.below(bytes.size() + 1);
    size_t length = random.below(std::min<size_t>(bytes.size() - at, 64) + 1);
    switch (random.below(8)) {
    case 0:
      if (at < bytes.size())
        bytes[at] = static_cast<char>(bytes[at] ^ (1 << random.below(8)));
      break;
    case 1:
      if (at < bytes.size())
        bytes[at] = static_cast<char>(random.next());
      break;
    case 2:
      bytes.erase(at, length);
      break;
    case 3:
      bytes.insert(at, bytes.substr(at, length));
      break;
    case 4:
      bytes.resize(at);
      break;
    case 5:
      bytes.insert(at, tokens[random.below(std::size(tokens))]);
      break;
    case 6: {
      // An extreme little-endian number in place of four or eight bytes.
      static const uint64_t numbers[] = {
          0, 1, 0x7FFFFFFF, 0xFFFFFFFF, 0x7FFFFFFFFFFFFFFFull, UINT64_MAX};
      uint64_t number = numbers[random.below(std::size(numbers))];
      for (size_t i = 0; i < 4 + 4 * random.below(2); ++i)
        if (at + i < bytes.size())
          bytes[at + i] = static_cast<char>(number >> 8 * i);
      break;
    }
    default:
      bytes.replace(at, length,
                    bytes.substr(random.below(bytes.size() + 1), length));
      break;
    }
  }
  return bytes;
}

/// Runs `accepts` on mutations of `input`; expects that some are accepted and
/// some refused, so that the loop reaches both sides of the parser.
void fuzz(const std::string &input, uint32_t seed,
          const std::function<bool(const std::string &)> &accepts) {
  ASSERT_TRUE(accepts(input));
  Random random(seed);
  int accepted = 0;
  for (int i = 0; i < mutationCount; ++i)
    accepted += accepts(mutate(input, random));
  EXPECT_GT(accepted, 0);
  EXPECT_LT(accepted, mutationCount);
}

/// A refusal must be one that the user can act on.
bool check(const Status &status) {
  if (status.ok())
    return true;
  EXPECT_TRUE(status.code() == StatusCode::InvalidInput ||
              status.code() == StatusCode::CommandLine)
      << status.message();
  EXPECT_FALSE(status.message().empty());
  for (char c : status.message())
    EXPECT_TRUE(static_cast<unsigned char>(c) >= 0x20 || c == '\n');
  return false;
}

/// Visits every value of a document through the typed getters.
void walk(const JsonView &view) {
  (void)view.asInteger(0, 100).ok();
  (void)view.asUnsigned().ok();
  (void)view.asNumber().ok();
  (void)view.asBool().ok();
  (void)view.asString().ok();
  (void)view.asIntegers().ok();
  (void)view.expectKeys({"a", "b"}).ok();
  for (const std::string &key : view.keys())
    if (std::optional<JsonView> member = view.find(key))
      walk(*member);
  if (view.isArray())
    for (size_t i = 0; i < view.size(); ++i)
      walk(view[i]);
}

TEST(Mutation, Json) {
  std::string text = R"({"a": [1, -2.5e3, true, null, "x\u00fc\n"], "b":
                         {"c": {}, "d": [[[]]], "e": 18446744073709551615}})";
  fuzz(text, 1, [](const std::string &bytes) {
    JsonOptions options;
    options.allowComments = true;
    options.maxDepth = 8;
    StatusOr<JsonView> view = parseJson(bytes, "f.json", options);
    if (view.ok())
      walk(*view);
    return check(view.status());
  });
}

TEST(Mutation, Job) {
  fuzz(jobExample(), 2, [](const std::string &bytes) {
    StatusOr<Job> job = parseJob(bytes, "/jobs/a.json");
    if (job.ok()) {
      // What was accepted can be written and read again.
      std::string resolved = writeJob(*job);
      StatusOr<Job> again = parseJob(resolved, "/jobs/b.json");
      EXPECT_OK(again);
      if (again.ok()) {
        EXPECT_EQ(writeJob(*again), resolved);
      }
    }
    return check(job.status());
  });
}

TEST(Mutation, JobOverrides) {
  fuzz("optimizer.groups.0.lr_scale=0.5", 3, [](const std::string &bytes) {
    JobOptions options;
    options.overrides = {"optimizer.groups.0.match=*", bytes};
    return check(parseJob(jobExample(), "/jobs/a.json", options).status());
  });
}

/// Every key of the reference page with every kind of value.
TEST(Mutation, JobValues) {
  std::vector<std::string> keys;
  for (const std::string &line : split(jobReference(), '\n')) {
    if (!startsWith(line, "| `"))
      continue;
    std::string key;
    for (const std::string &part : split(split(line, '`')[1], '.')) {
      std::string name = part == "AXIS" ? "dp" : part;
      if (endsWith(name, "[]"))
        name.replace(name.size() - 2, 2, ".0");
      key += (key.empty() ? "" : ".") + name;
    }
    keys.push_back(key);
  }
  EXPECT_GT(keys.size(), 60u);
  int accepted = 0, refused = 0;
  for (const std::string &key : keys)
    for (const char *value : {"null",
                              "true",
                              "-1",
                              "0",
                              "1",
                              "2",
                              "0.5",
                              "1e308",
                              "-1e308",
                              "99999999999999999999",
                              "9223372036854775807",
                              "x",
                              "\"\"",
                              "[]",
                              "{}",
                              "[1, 2]",
                              "[0.5, 0.5]",
                              "{\"a\": 1}",
                              "\"a\\u0000\"",
                              "dp=3",
                              "S(0)",
                              "[[[]]]"}) {
      JobOptions options;
      options.overrides = {key + "=" + value};
      StatusOr<Job> job = parseJob(jobExample(), "/jobs/a.json", options);
      ++(check(job.status()) ? accepted : refused);
      if (job.ok()) {
        EXPECT_OK(parseJob(writeJob(*job), "/jobs/b.json"));
      }
    }
  EXPECT_GT(accepted, 100);
  EXPECT_GT(refused, 500);
}

TEST(Mutation, ShardingExplanation) {
  std::string text = R"({"format": 1, "mesh": "#dist.mesh<dp=2>",
    "cluster": "host", "variables": [{"name": "w", "type": "tensor<4xf32>",
    "layout": "[B]", "decided": [{"axis": "dp", "is": "B", "by": "x"}]}],
    "entries": [{"name": "train", "values": [{"name": "y", "op": "graph.add",
    "type": "tensor<4xf32>", "layout": "[S(0)]", "signatures": [{"axis": "dp",
    "signature": "B, B -> B", "seconds": 1e-6, "chosen": true}], "reshards": [
    {"from": "[S(0)]", "to": "[B]", "program": ["all-gather"], "bytes": 16,
    "bound": 8, "seconds": 0.25, "forced_by": ["operand 0"]}]}]}]})";
  fuzz(text, 9, [](const std::string &bytes) {
    StatusOr<std::string> description =
        describeSharding(bytes, "a.weir: sharding", "*", "");
    if (description.ok()) {
      EXPECT_EQ(description->find('\x1b'), std::string::npos);
    }
    return check(description.status());
  });
}

TEST(Mutation, Mesh) {
  fuzz("dp=2,tp=4,x_1=1", 4, [](const std::string &bytes) {
    StatusOr<std::vector<MeshAxis>> mesh = parseMesh(bytes);
    if (mesh.ok()) {
      EXPECT_EQ(*parseMesh(formatMesh(*mesh)), *mesh);
    }
    return check(mesh.status());
  });
}

TEST(Mutation, Safetensors) {
  TempFolder folder;
  std::string path = folder.path("a.safetensors");
  StatusOr<SafetensorsWriter> writer =
      SafetensorsWriter::create(path, {{"w", StoredType::F32, {2, 3}},
                                       {"h", StoredType::F16, {4}},
                                       {"d", StoredType::F64, {1}},
                                       {"empty", StoredType::BF16, {0, 7}}});
  ASSERT_OK(writer);
  std::string zeros(24, '\0');
  ASSERT_OK(writer->write("w", zeros.data(), 24));
  ASSERT_OK(writer->write("h", zeros.data(), 8));
  ASSERT_OK(writer->write("d", zeros.data(), 8));
  ASSERT_OK(writer->finish());
  fuzz(slurp(path), 5, [](const std::string &bytes) {
    StatusOr<SafetensorsFile> file = SafetensorsFile::parse(bytes, "m");
    if (!file.ok())
      return check(file.status());
    for (const StoredTensor &tensor : file->tensors()) {
      std::vector<float> values(tensor.elements());
      // Integers are refused, all else must be readable to the last byte.
      Status status = file->readFloats(tensor, values.data());
      EXPECT_TRUE(status.ok() || status.code() == StatusCode::InvalidInput);
    }
    return true;
  });
}

TEST(Mutation, Zip) {
  TempFolder folder;
  for (uint64_t zip64From : {uint64_t(0xFFFFFFFF), uint64_t(0)}) {
    ZipOptions options;
    options.alignment = 16;
    options.zip64From = zip64From;
    StatusOr<ZipWriter> writer =
        ZipWriter::create(folder.path("a.zip"), options);
    ASSERT_OK(writer);
    ASSERT_OK(writer->add("manifest.json", "{\"version\": 1}"));
    ASSERT_OK(writer->add("plan/role0.json", std::string(50, 'p')));
    ASSERT_OK(writer->add("empty", ""));
    ASSERT_OK(writer->finish());
    fuzz(slurp(folder.path("a.zip")), 6, [](const std::string &bytes) {
      StatusOr<ZipReader> reader = ZipReader::parse(bytes, "a.zip");
      if (!reader.ok())
        return check(reader.status());
      for (const ZipEntry &entry : reader->entries()) {
        EXPECT_LE(entry.offset + entry.size, bytes.size());
        check(reader->read(entry).status());
      }
      return true;
    });
  }
}

TEST(Mutation, TokenFiles) {
  TempFolder folder;
  for (uint32_t magic : {20240520u, 20240801u}) {
    int width = magic == 20240520 ? 2 : 4;
    std::string content(1024 + 20 * width, '\0');
    const uint32_t fields[] = {magic, magic == 20240520 ? 1u : 7u, 20};
    for (int i = 0; i < 3; ++i)
      for (int j = 0; j < 4; ++j)
        content[4 * i + j] = static_cast<char>(fields[i] >> 8 * j);
    for (int i = 0; i < 20; ++i)
      content[1024 + i * width] = static_cast<char>(i);
    fuzz(content, 7, [&](const std::string &bytes) {
      StatusOr<TokenSource> source = TokenSource::openBin(
          folder.write("t.bin", bytes), TokenType::Auto, 1000);
      if (!source.ok())
        return check(source.status());
      std::vector<int32_t> ids(source->size());
      EXPECT_OK(source->copy(0, source->size(), ids.data()));
      for (int32_t id : ids)
        EXPECT_TRUE(id >= 0 && id < 1000);
      return true;
    });
  }
}

TEST(Mutation, TextEntries) {
  fuzz("one\n%\ntwo\nlines\n%\n\r\n%\r\nlast", 8, [](const std::string &bytes) {
    TextSplit split;
    splitEntries(bytes, "%", 2, split);
    // Nothing but dropped separators is lost, nothing but endings is added.
    EXPECT_LE(split.train.size() + split.validation.size(), bytes.size() + 3);
    EXPECT_GE(split.trainEntries, split.validationEntries);
    return split.validationEntries > 0;
  });
}

} // namespace
} // namespace weir
