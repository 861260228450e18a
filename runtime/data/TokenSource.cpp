// SPDX-License-Identifier: Apache-2.0
#include "runtime/data/TokenSource.h"
#include "runtime/base/Strings.h"
#include "runtime/io/File.h"

#include <algorithm>
#include <cstring>
#include <sys/stat.h>

namespace weir {

namespace {

constexpr uint64_t headerBytes = 256 * 4;
constexpr int64_t checkedAtOnce = int64_t(1) << 28;

struct Header {
  uint32_t magic;
  uint32_t version;
  int width;
  const char *name;
};

constexpr Header headers[] = {{20240520, 1, 2, "u16"}, {20240801, 7, 4, "u32"}};

uint32_t readLittle32(const uint8_t *bytes) {
  return uint32_t(bytes[0]) | uint32_t(bytes[1]) << 8 |
         uint32_t(bytes[2]) << 16 | uint32_t(bytes[3]) << 24;
}

/// Token `index` of `width` bytes; the bytes of a mapped file need not be
/// aligned to it.
uint32_t readToken(const uint8_t *bytes, int width, int64_t index) {
  const uint8_t *at = bytes + index * width;
  if (width == 1)
    return at[0];
  if (width == 2)
    return uint32_t(at[0]) | uint32_t(at[1]) << 8;
  return readLittle32(at);
}

} // namespace

TokenSource TokenSource::fromBytes(std::string text, std::string name) {
  auto owned = std::make_shared<const std::string>(std::move(text));
  TokenSource source;
  source.bytes = reinterpret_cast<const uint8_t *>(owned->data());
  source.count = static_cast<int64_t>(owned->size());
  source.storage = owned;
  source.label = std::move(name);
  return source;
}

StatusOr<TokenSource> TokenSource::openText(const std::string &path) {
  WEIR_ASSIGN_OR_RETURN(MappedFile mapped, MappedFile::open(path));
  auto file = std::make_shared<const MappedFile>(std::move(mapped));
  TokenSource source;
  source.bytes = file->data();
  source.count = static_cast<int64_t>(file->size());
  source.storage = file;
  source.label = path;
  return source;
}

StatusOr<TokenSource> TokenSource::openBin(const std::string &path,
                                           TokenType dtype, int64_t vocab) {
  WEIR_ASSIGN_OR_RETURN(MappedFile mapped, MappedFile::open(path));
  auto file = std::make_shared<const MappedFile>(std::move(mapped));
  auto fail = [&](const std::string &text) {
    return invalidInput(path + ": " + text);
  };
  uint64_t size = file->size();
  TokenSource source;
  source.storage = file;
  source.bytes = file->data();
  source.label = path;
  source.vocab = vocab;
  source.tokenBytes = dtype == TokenType::U32 ? 4 : 2;

  const Header *header = nullptr;
  uint32_t magic = size >= 4 ? readLittle32(file->data()) : 0;
  for (const Header &candidate : headers)
    if (magic == candidate.magic)
      header = &candidate;
  if (!header) {
    if (size % source.tokenBytes != 0)
      return fail("a raw token file of " + std::to_string(size) +
                  " bytes is no whole number of tokens of " +
                  std::to_string(source.tokenBytes) +
                  " bytes; the file may be truncated, or data.dtype wrong");
    source.count = static_cast<int64_t>(size / source.tokenBytes);
  } else {
    if (size < headerBytes)
      return fail("the header of a token file has 1024 bytes, this file " +
                  std::to_string(size) + "; the file may be truncated");
    uint32_t version = readLittle32(file->data() + 4);
    if (version != header->version)
      return fail("version " + std::to_string(version) +
                  " of a token file with magic " + std::to_string(magic) +
                  " is not supported, version " +
                  std::to_string(header->version) + " is");
    if (dtype != TokenType::Auto &&
        (dtype == TokenType::U32) != (header->width == 4))
      return fail(std::string("its header says ") + header->name +
                  ", data.dtype does not; leave data.dtype out");
    uint32_t tokens = readLittle32(file->data() + 8);
    uint64_t expected = headerBytes + uint64_t(tokens) * header->width;
    if (tokens > uint32_t(INT32_MAX))
      return fail("its header has a negative token count");
    if (size != expected)
      return fail("its header says " + std::to_string(tokens) +
                  " tokens, for which the file needs " +
                  std::to_string(expected) + " bytes; it has " +
                  std::to_string(size) + "; the file may be truncated");
    source.bytes += headerBytes;
    source.tokenBytes = header->width;
    source.count = tokens;
  }
  if (source.empty())
    return fail("holds no tokens");
  // Ids are int32 from here on.
  source.vocab = std::min<int64_t>(vocab, INT32_MAX);
  source.verified = source.count <= checkedAtOnce;
  if (source.verified)
    WEIR_RETURN_IF_ERROR(source.checkVocab(0, source.count));
  return source;
}

int64_t TokenSource::operator[](int64_t index) const {
  return readToken(bytes, tokenBytes, index);
}

Status TokenSource::checkVocab(int64_t first, int64_t length) const {
  // The maximum first: the loop that looks for the place is slower.
  uint32_t maximum = 0;
  const uint8_t *start = bytes + first * tokenBytes;
  if (tokenBytes == 2)
    for (int64_t i = 0; i < length; ++i)
      maximum = std::max(maximum, readToken(start, 2, i));
  else
    for (int64_t i = 0; i < length; ++i)
      maximum = std::max(maximum, readToken(start, tokenBytes, i));
  if (static_cast<int64_t>(maximum) < vocab)
    return okStatus();
  for (int64_t i = first; i < first + length; ++i)
    if ((*this)[i] >= vocab)
      return invalidInput(
          label + ": token " + std::to_string(i) + " is " +
          std::to_string((*this)[i]) + ", but the vocabulary has " +
          std::to_string(vocab) +
          " entries; the file belongs to another tokenizer, or data.dtype is "
          "wrong");
  return okStatus();
}

Status TokenSource::copy(int64_t first, int64_t length, int32_t *out) const {
  if (first < 0 || length < 0 || first > count || length > count - first)
    return internalError(label + ": tokens beyond its end were asked for");
  if (!verified)
    WEIR_RETURN_IF_ERROR(checkVocab(first, length));
  const uint8_t *start = bytes + first * tokenBytes;
  switch (tokenBytes) {
  case 1:
    for (int64_t i = 0; i < length; ++i)
      out[i] = start[i];
    break;
  case 2:
    for (int64_t i = 0; i < length; ++i)
      out[i] = static_cast<int32_t>(readToken(start, 2, i));
    break;
  default:
    for (int64_t i = 0; i < length; ++i)
      out[i] = static_cast<int32_t>(readToken(start, 4, i));
    break;
  }
  return okStatus();
}

void splitEntries(std::string_view text, std::string_view separator,
                  int64_t every, TextSplit &split) {
  auto addEntry = [&](std::string_view entry, std::string_view ending) {
    int64_t number = split.trainEntries + split.validationEntries + 1;
    bool validation = every > 0 && number % every == 0;
    std::string &part = validation ? split.validation : split.train;
    part += entry;
    part += ending;
    ++(validation ? split.validationEntries : split.trainEntries);
  };
  size_t entryStart = 0;
  for (size_t lineStart = 0; lineStart < text.size();) {
    size_t lineEnd = std::min(text.find('\n', lineStart), text.size());
    size_t next = std::min(lineEnd + 1, text.size());
    std::string_view line = text.substr(lineStart, lineEnd - lineStart);
    if (!line.empty() && line.back() == '\r')
      line.remove_suffix(1);
    if (line == separator) {
      if (lineStart > entryStart)
        addEntry(text.substr(entryStart, next - entryStart),
                 lineEnd == text.size() ? "\n" : "");
      entryStart = next;
    }
    lineStart = next;
  }
  if (entryStart < text.size()) {
    std::string ending = text.back() == '\n' ? "" : "\n";
    ending += std::string(separator) + "\n";
    addEntry(text.substr(entryStart), ending);
  }
}

/// The files that a text path stands for.
static StatusOr<std::vector<std::string>> textFiles(const std::string &path) {
  if (!isDirectory(path))
    return std::vector<std::string>{path};
  WEIR_ASSIGN_OR_RETURN(std::vector<std::string> names, listDirectory(path));
  std::vector<std::string> files;
  for (const std::string &name : names) {
    std::string file = path + "/" + name;
    struct stat info;
    if (::lstat(file.c_str(), &info) == 0 && S_ISREG(info.st_mode) &&
        !endsWith(name, ".dat") && !endsWith(name, ".u8"))
      files.push_back(file);
  }
  if (files.empty())
    return invalidInput(path + ": the folder holds no regular files besides "
                               "*.dat and *.u8");
  return files;
}

/// Reads a text and cuts it; without a separator all of it is training.
static StatusOr<TextSplit>
readText(const std::string &path, const std::string &separator, int64_t every) {
  WEIR_ASSIGN_OR_RETURN(std::vector<std::string> files, textFiles(path));
  TextSplit split;
  for (const std::string &file : files) {
    WEIR_ASSIGN_OR_RETURN(std::string text, readFile(file));
    if (separator.empty())
      split.train += text;
    else
      splitEntries(text, separator, every, split);
  }
  if (split.train.empty())
    return invalidInput(path + ": holds no text to train on");
  return split;
}

StatusOr<Dataset> openDataset(const JobData &data, int64_t modelVocab) {
  Dataset dataset;
  int64_t vocab = data.vocab > 0 ? data.vocab : modelVocab;
  if (vocab > modelVocab)
    return invalidInput(
        "data.vocab: expects at most the model's vocabulary of " +
        std::to_string(modelVocab) + ", got " + std::to_string(vocab));
  if (data.kind == DataKind::None)
    return invalidInput("the job has no data to train on; give data.kind and "
                        "data.path");
  if (data.kind == DataKind::Bin) {
    WEIR_ASSIGN_OR_RETURN(dataset.train,
                          TokenSource::openBin(data.path, data.dtype, vocab));
    if (!data.validationPath.empty()) {
      WEIR_ASSIGN_OR_RETURN(
          dataset.validation,
          TokenSource::openBin(data.validationPath, data.dtype, vocab));
    }
    return dataset;
  }
  if (vocab < 256)
    return invalidInput(data.path +
                        ": text as bytes needs a vocabulary of at "
                        "least 256, the model has " +
                        std::to_string(vocab));
  if (data.separator.empty() && !isDirectory(data.path)) {
    WEIR_ASSIGN_OR_RETURN(dataset.train, TokenSource::openText(data.path));
    if (dataset.train.empty())
      return invalidInput(data.path + ": holds no text to train on");
  } else {
    WEIR_ASSIGN_OR_RETURN(TextSplit split, readText(data.path, data.separator,
                                                    data.validationEvery));
    if (data.validationEvery > 0 && split.validation.empty())
      return invalidInput(data.path + ": has " +
                          std::to_string(split.trainEntries) +
                          " entries, too few for data.validation.every = " +
                          std::to_string(data.validationEvery));
    dataset.train = TokenSource::fromBytes(std::move(split.train), data.path);
    dataset.validation =
        TokenSource::fromBytes(std::move(split.validation), data.path);
  }
  if (!data.validationPath.empty()) {
    WEIR_ASSIGN_OR_RETURN(TextSplit split,
                          readText(data.validationPath, data.separator, 0));
    dataset.validation =
        TokenSource::fromBytes(std::move(split.train), data.validationPath);
  }
  return dataset;
}

} // namespace weir
