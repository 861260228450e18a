// SPDX-License-Identifier: Apache-2.0
#include "runtime/data/TokenSource.h"
#include "test/unit/runtime/TestSupport.h"

#include <unistd.h>

namespace weir {
namespace {

using test::TempFolder;

std::string little(uint64_t value, int width) {
  std::string bytes;
  for (int i = 0; i < width; ++i)
    bytes += static_cast<char>(value >> 8 * i);
  return bytes;
}

std::string tokens(const std::vector<uint32_t> &ids, int width) {
  std::string bytes;
  for (uint32_t id : ids)
    bytes += little(id, width);
  return bytes;
}

std::string llmcHeader(uint32_t magic, uint32_t version, uint32_t count) {
  std::string header = little(magic, 4) + little(version, 4) + little(count, 4);
  header.resize(1024, '\0');
  return header;
}

std::vector<int32_t> all(const TokenSource &source) {
  std::vector<int32_t> ids(source.size());
  EXPECT_OK(source.copy(0, source.size(), ids.data()));
  return ids;
}

TEST(SplitEntries, CutsAtSeparatorLines) {
  TextSplit split;
  splitEntries("one\n%\ntwo\nlines\n%\n%\n\n%\nfour\r\n%\r\n%x\n%", "%", 2,
               split);
  // The empty third is dropped; a blank line is an entry, "%x" is text.
  EXPECT_EQ(split.train, "one\n%\n\n%\n%x\n%\n");
  EXPECT_EQ(split.validation, "two\nlines\n%\nfour\r\n%\r\n");
  EXPECT_EQ(split.trainEntries, 3);
  EXPECT_EQ(split.validationEntries, 2);
}

TEST(SplitEntries, EndsTheLastEntryOfAFile) {
  TextSplit split;
  splitEntries("a", "%", 0, split);
  splitEntries("b\n", "%", 0, split);
  splitEntries("c\n%", "%", 0, split);
  splitEntries("", "%", 0, split);
  splitEntries("%\n%\n", "%", 0, split);
  EXPECT_EQ(split.train, "a\n%\nb\n%\nc\n%\n");
  EXPECT_EQ(split.trainEntries, 3);
}

TEST(SplitEntries, LosesNothing) {
  std::string text;
  for (int i = 0; i < 100; ++i)
    text += "entry " + std::to_string(i) + "\n%\n";
  TextSplit split;
  splitEntries(text, "%", 20, split);
  EXPECT_EQ(split.trainEntries, 95);
  EXPECT_EQ(split.validationEntries, 5);
  EXPECT_EQ(split.train.size() + split.validation.size(), text.size());
  EXPECT_EQ(split.validation.substr(0, 11), "entry 19\n%\n");
}

TEST(TokenSource, ReadsNanoGptFiles) {
  TempFolder folder;
  std::string path = folder.write("t.bin", tokens({0, 1, 50256, 65535}, 2));
  StatusOr<TokenSource> source =
      TokenSource::openBin(path, TokenType::Auto, 65536);
  ASSERT_OK(source);
  EXPECT_EQ(all(*source), (std::vector<int32_t>{0, 1, 50256, 65535}));
  EXPECT_EQ((*source)[2], 50256);
  source = TokenSource::openBin(folder.write("u.bin", tokens({7, 128255}, 4)),
                                TokenType::U32, 128256);
  ASSERT_OK(source);
  EXPECT_EQ(all(*source), (std::vector<int32_t>{7, 128255}));
}

TEST(TokenSource, ReadsLlmcFiles) {
  TempFolder folder;
  std::string v1 = folder.write("v1.bin", llmcHeader(20240520, 1, 3) +
                                              tokens({5, 6, 50256}, 2));
  StatusOr<TokenSource> source =
      TokenSource::openBin(v1, TokenType::Auto, 50257);
  ASSERT_OK(source);
  EXPECT_EQ(source->width(), 2);
  EXPECT_EQ(all(*source), (std::vector<int32_t>{5, 6, 50256}));
  std::string v7 = folder.write("v7.bin", llmcHeader(20240801, 7, 2) +
                                              tokens({1, 128000}, 4));
  source = TokenSource::openBin(v7, TokenType::U32, 128256);
  ASSERT_OK(source);
  EXPECT_EQ(source->width(), 4);
  EXPECT_EQ(all(*source), (std::vector<int32_t>{1, 128000}));
}

TEST(TokenSource, RefusesMalformedTokenFiles) {
  TempFolder folder;
  auto refused = [&](const std::string &content, TokenType dtype, int64_t vocab,
                     const char *message) {
    EXPECT_FAILS(
        TokenSource::openBin(folder.write("t.bin", content), dtype, vocab),
        StatusCode::InvalidInput, message);
  };
  refused("", TokenType::Auto, 10, "holds no tokens");
  refused("abc", TokenType::Auto, 1 << 16, "no whole number of tokens");
  refused("abcdef", TokenType::U32, 1 << 16, "no whole number of tokens");
  refused(tokens({1, 2, 10}, 2), TokenType::Auto, 10,
          "t.bin: token 2 is 10, but the vocabulary has 10 entries");
  refused(tokens({0xFFFFFFFF}, 4), TokenType::U32, int64_t(1) << 40,
          "token 0 is 4294967295");
  refused(llmcHeader(20240520, 2, 0), TokenType::Auto, 10,
          "version 2 of a token file with magic 20240520 is not supported");
  refused(llmcHeader(20240801, 1, 0), TokenType::Auto, 10, "version 7 is");
  refused(llmcHeader(20240520, 1, 0), TokenType::Auto, 10, "holds no tokens");
  refused(llmcHeader(20240520, 1, 0xFFFFFFFF), TokenType::Auto, 10,
          "negative token count");
  refused(llmcHeader(20240520, 1, 3) + tokens({1, 2}, 2), TokenType::Auto, 10,
          "its header says 3 tokens, for which the file needs 1030 bytes; it "
          "has 1028");
  refused(llmcHeader(20240520, 1, 1) + tokens({1}, 2), TokenType::U32, 10,
          "its header says u16, data.dtype does not");
  refused(llmcHeader(20240520, 1, 1) + tokens({11}, 2), TokenType::Auto, 10,
          "token 0 is 11");
  EXPECT_FAILS(TokenSource::openBin(folder.path("none"), TokenType::Auto, 10),
               StatusCode::InvalidInput, "cannot open");
}

TEST(TokenSource, RefusesEveryTruncationOfLlmcFiles) {
  TempFolder folder;
  std::string content = llmcHeader(20240801, 7, 4) + tokens({1, 2, 3, 4}, 4);
  for (size_t size = 4; size < content.size(); ++size)
    EXPECT_FALSE(
        TokenSource::openBin(folder.write("t.bin", content.substr(0, size)),
                             TokenType::Auto, 10)
            .ok())
        << size;
}

TEST(TokenSource, CopyStaysWithinTheData) {
  TokenSource source = TokenSource::fromBytes("abc", "x");
  int32_t ids[3];
  EXPECT_OK(source.copy(3, 0, ids));
  EXPECT_FALSE(source.copy(1, 3, ids).ok());
  EXPECT_FALSE(source.copy(-1, 1, ids).ok());
  EXPECT_FALSE(source.copy(4, 0, ids).ok());
}

TEST(OpenDataset, ReadsFoldersInOrderWithoutLinksAndIndexFiles) {
  TempFolder folder;
  folder.write("b", "two\n%\n");
  folder.write("a", "one\n%\nmore\n%\n");
  folder.write("a.dat", "index");
  folder.write("b.u8", "copy");
  ASSERT_EQ(::symlink(folder.path("a").c_str(), folder.path("link").c_str()),
            0);
  ASSERT_EQ(::mkdir(folder.path("sub").c_str(), 0777), 0);
  JobData data;
  data.kind = DataKind::Text;
  data.path = folder.path();
  data.separator = "%";
  data.validationEvery = 3;
  StatusOr<Dataset> dataset = openDataset(data, 256);
  ASSERT_OK(dataset);
  EXPECT_EQ(dataset->train.size(), 13);
  EXPECT_EQ(dataset->train[0], 'o');
  EXPECT_EQ(dataset->validation.size(), 6);
  EXPECT_EQ(dataset->validation[0], 't');
  // Without a separator the files follow one another as they are.
  data.separator = "";
  data.validationEvery = 0;
  EXPECT_EQ(openDataset(data, 256)->train.size(), 19);
  data.path = folder.path("a");
  EXPECT_EQ(openDataset(data, 256)->train.size(), 13);
}

TEST(OpenDataset, SaysWhatIsMissing) {
  TempFolder folder;
  JobData data;
  EXPECT_FAILS(openDataset(data, 256), StatusCode::InvalidInput,
               "has no data to train on");
  data.kind = DataKind::Text;
  data.path = folder.path();
  EXPECT_FAILS(openDataset(data, 256), StatusCode::InvalidInput,
               "holds no regular files");
  EXPECT_FAILS(openDataset(data, 100), StatusCode::InvalidInput,
               "needs a vocabulary of at least 256, the model has 100");
  folder.write("a", "");
  EXPECT_FAILS(openDataset(data, 256), StatusCode::InvalidInput,
               "holds no text to train on");
  data.path = folder.path("a");
  EXPECT_FAILS(openDataset(data, 256), StatusCode::InvalidInput,
               "holds no text to train on");
  folder.write("a", "x\n%\ny\n");
  data.separator = "%";
  data.validationEvery = 20;
  EXPECT_FAILS(openDataset(data, 256), StatusCode::InvalidInput,
               "has 2 entries, too few for data.validation.every = 20");
  data.vocab = 300;
  EXPECT_FAILS(openDataset(data, 256), StatusCode::InvalidInput,
               "expects at most the model's vocabulary of 256, got 300");
}

TEST(OpenDataset, SeparateValidationFile) {
  TempFolder folder;
  JobData data;
  data.kind = DataKind::Bin;
  data.path = folder.write("train.bin", tokens({1, 2, 3}, 2));
  data.validationPath = folder.write("val.bin", tokens({4, 5}, 2));
  StatusOr<Dataset> dataset = openDataset(data, 6);
  ASSERT_OK(dataset);
  EXPECT_EQ(all(dataset->validation), (std::vector<int32_t>{4, 5}));
  EXPECT_FAILS(openDataset(data, 5), StatusCode::InvalidInput,
               "val.bin: token 1 is 5");
}

} // namespace
} // namespace weir
