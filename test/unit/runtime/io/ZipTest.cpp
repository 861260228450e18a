// SPDX-License-Identifier: Apache-2.0
#include "runtime/io/Zip.h"
#include "test/unit/runtime/TestSupport.h"

#include <cstdio>

namespace weir {
namespace {

using test::slurp;
using test::TempFolder;

using Contents = std::vector<std::pair<std::string, std::string>>;

const Contents sample = {{"manifest.json", "{\"version\": 1}\n"},
                         {"plan/role0.json", std::string(5000, 'p')},
                         {"empty", ""},
                         {"kernels/cpu-0.so", std::string("\x7F"
                                                          "ELF\0\1",
                                                          6)}};

std::string writeZip(const std::string &path, const Contents &contents,
                     const ZipOptions &options = {}) {
  StatusOr<ZipWriter> writer = ZipWriter::create(path, options);
  EXPECT_OK(writer);
  for (const auto &[name, content] : contents)
    EXPECT_OK(writer->add(name, content));
  EXPECT_OK(writer->finish());
  return slurp(path);
}

// The check value of CRC-32/ISO-HDLC.
TEST(Zip, Crc32) {
  EXPECT_EQ(crc32("123456789"), 0xCBF43926u);
  EXPECT_EQ(crc32("6789", crc32("12345")), 0xCBF43926u);
  EXPECT_EQ(crc32(""), 0u);
}

TEST(Zip, ReadsBackWhatWasWritten) {
  TempFolder folder;
  std::string bytes = writeZip(folder.path("a.zip"), sample);
  StatusOr<ZipReader> reader = ZipReader::open(folder.path("a.zip"));
  ASSERT_OK(reader);
  ASSERT_EQ(reader->entries().size(), sample.size());
  for (size_t i = 0; i < sample.size(); ++i) {
    const ZipEntry &entry = reader->entries()[i];
    EXPECT_EQ(entry.name, sample[i].first);
    EXPECT_EQ(entry.offset % 4096, 0u);
    StatusOr<std::string_view> content = reader->read(sample[i].first);
    ASSERT_OK(content);
    EXPECT_EQ(*content, sample[i].second);
  }
  EXPECT_TRUE(reader->has("empty"));
  EXPECT_FAILS(reader->read("none"), StatusCode::InvalidInput,
               "lacks the entry 'none'");
  // The same entries give the same bytes.
  EXPECT_EQ(writeZip(folder.path("b.zip"), sample), bytes);
  EXPECT_OK(ZipReader::parse(writeZip(folder.path("c.zip"), {}), "c"));
}

/// What `command` prints, and its exit status.
std::string output(const std::string &command, int &status) {
  FILE *pipe = ::popen((command + " 2>&1").c_str(), "r");
  std::string text;
  char buffer[4096];
  size_t count;
  while ((count = ::fread(buffer, 1, sizeof(buffer), pipe)) > 0)
    text.append(buffer, count);
  status = ::pclose(pipe);
  return text;
}

TEST(Zip, UnzipAcceptsIt) {
  int status = 0;
  output("unzip -v", status);
  if (status != 0)
    GTEST_SKIP() << "unzip is not installed";
  TempFolder folder;
  for (uint64_t zip64From : {uint64_t(0xFFFFFFFF), uint64_t(1000)}) {
    ZipOptions options;
    options.zip64From = zip64From;
    writeZip(folder.path("a.zip"), sample, options);
    std::string text = output("unzip -l " + folder.path("a.zip"), status);
    EXPECT_EQ(status, 0) << text;
    EXPECT_NE(text.find("5000  1980-01-01 00:00   plan/role0.json"),
              std::string::npos)
        << text;
    text = output("unzip -t " + folder.path("a.zip"), status);
    EXPECT_EQ(status, 0) << text;
    EXPECT_NE(text.find("No errors detected"), std::string::npos) << text;
  }
}

TEST(Zip, Zip64RecordsRoundTrip) {
  TempFolder folder;
  for (uint64_t zip64From : {0, 1, 100, 4096, 10000}) {
    ZipOptions options;
    options.zip64From = zip64From;
    std::string bytes = writeZip(folder.path("a.zip"), sample, options);
    StatusOr<ZipReader> reader = ZipReader::parse(bytes, "a.zip");
    ASSERT_OK(reader);
    for (const auto &[name, content] : sample)
      EXPECT_EQ(*reader->read(name), content);
    for (const ZipEntry &entry : reader->entries())
      EXPECT_EQ(entry.offset % 4096, 0u);
  }
}

TEST(Zip, MoreEntriesThanSixteenBits) {
  TempFolder folder;
  Contents contents;
  for (int i = 0; i < 66000; ++i)
    contents.emplace_back("e" + std::to_string(i), "");
  ZipOptions options;
  options.alignment = 1;
  std::string bytes = writeZip(folder.path("a.zip"), contents, options);
  StatusOr<ZipReader> reader = ZipReader::parse(bytes, "a.zip");
  ASSERT_OK(reader);
  EXPECT_EQ(reader->entries().size(), contents.size());
  EXPECT_TRUE(reader->has("e65999"));
}

TEST(Zip, WriterRefusesBadNames) {
  TempFolder folder;
  StatusOr<ZipWriter> writer = ZipWriter::create(folder.path("a.zip"));
  ASSERT_OK(writer);
  for (const char *name : {"", "/a", "../a", "a/../b", "a//b", "a\\b", "a/",
                           "./a", "C:x", "a\nb", "\xFF"})
    EXPECT_FALSE(writer->add(name, "").ok()) << name;
  EXPECT_OK(writer->add("a", ""));
  EXPECT_FAILS(writer->add("a", ""), StatusCode::Internal, "added twice");
}

/// The position of the first directory record of a small archive.
size_t directoryOf(const std::string &bytes) { return bytes.find("PK\1\2"); }

TEST(Zip, RefusesForeignFeatures) {
  TempFolder folder;
  ZipOptions options;
  options.alignment = 1;
  std::string good =
      writeZip(folder.path("a.zip"), {{"ab", "xyz"}, {"cd", "uvw"}}, options);
  ASSERT_OK(ZipReader::parse(good, "a.zip"));
  size_t directory = directoryOf(good);
  auto with = [&](size_t position, const std::string &replacement) {
    std::string bytes = good;
    bytes.replace(position, replacement.size(), replacement);
    return bytes;
  };
  auto refused = [&](const std::string &bytes, const char *message) {
    EXPECT_FAILS(ZipReader::parse(bytes, "a.zip"), StatusCode::InvalidInput,
                 message);
  };
  refused(with(directory + 10, std::string("\x08\x00", 2)),
          "'ab' is compressed");
  refused(with(directory + 8, std::string("\x01\x08", 2)), "'ab' is encrypted");
  refused(with(8, std::string("\x08\x00", 2)), "disagrees with its local");
  refused(with(30, "ax"), "disagrees with its local header");
  refused(with(directory + 24, std::string("\x04", 1)), "two sizes differ");
  refused(with(directory + 20, std::string("\x40\0\0\0\x40", 5)),
          "ends beyond the entries' part");
  refused(with(directory + 42, "\x01"), "has no local header");
  refused(with(directory + 42, "\xF0\xFF\xFF\x7F"), "has no local header");
  refused(with(directory + 42, "\xFF\xFF\xFF\xFF"), "lacks its zip64 sizes");
  refused(with(directory, "PK\5\6"), "of the directory is cut");
  refused(with(directory + 28, "\xFF"), "of the directory is cut");
  // Two names for the same bytes, and twice the same name.
  size_t second = good.find("PK\1\2", directory + 1);
  refused(good.substr(0, second) + good.substr(directory, second - directory) +
              good.substr(good.size() - 22),
          "is there twice");
  std::string overlapping = good;
  overlapping.replace(second + 42, 4, std::string(4, '\0'));
  overlapping.replace(second + 46, 2, "ab");
  refused(overlapping, "is there twice");
  // A damaged content is found when it is read.
  std::string damaged = with(32, "X");
  StatusOr<ZipReader> reader = ZipReader::parse(damaged, "a.zip");
  ASSERT_OK(reader);
  EXPECT_FAILS(reader->read("ab"), StatusCode::InvalidInput,
               "entry 'ab': checksum differs");
  EXPECT_OK(reader->read("cd"));
}

TEST(Zip, RefusesNamesThatLeaveTheArchive) {
  TempFolder folder;
  ZipOptions options;
  options.alignment = 1;
  std::string good = writeZip(folder.path("a.zip"), {{"abcde", "x"}}, options);
  for (std::string name : {"../ab", "/abcd", "a/../", "a\\b\\c", "a//bc"}) {
    std::string bytes = good;
    bytes.replace(30, 5, name);
    bytes.replace(directoryOf(good) + 46, 5, name);
    EXPECT_FAILS(ZipReader::parse(bytes, "a.zip"), StatusCode::InvalidInput,
                 "such archives are refused");
  }
}

TEST(Zip, RefusesEveryTruncation) {
  TempFolder folder;
  ZipOptions options;
  options.alignment = 16;
  for (uint64_t zip64From : {uint64_t(0xFFFFFFFF), uint64_t(0)}) {
    options.zip64From = zip64From;
    Contents contents = {{"a", "hello"}, {"b/c", "world"}};
    std::string bytes = writeZip(folder.path("a.zip"), contents, options);
    for (size_t size = 0; size < bytes.size(); ++size)
      EXPECT_FALSE(
          ZipReader::parse(std::string_view(bytes).substr(0, size), "a").ok())
          << size;
  }
}

TEST(Zip, AcceptsACommentAndFolders) {
  TempFolder folder;
  ZipOptions options;
  options.alignment = 1;
  std::string bytes = writeZip(folder.path("a.zip"), {{"ab", "x"}}, options);
  bytes[bytes.size() - 2] = 3;
  bytes += "hey";
  StatusOr<ZipReader> reader = ZipReader::parse(bytes, "a.zip");
  ASSERT_OK(reader);
  EXPECT_EQ(*reader->read("ab"), "x");

  std::string empty = writeZip(folder.path("b.zip"), {{"ab", ""}}, options);
  empty.replace(30, 2, "a/");
  empty.replace(directoryOf(empty) + 46, 2, "a/");
  StatusOr<ZipReader> folders = ZipReader::parse(empty, "b.zip");
  ASSERT_OK(folders);
  EXPECT_TRUE(folders->entries().empty());
}

} // namespace
} // namespace weir
