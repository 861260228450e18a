// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_RUNTIME_DATA_TOKENSOURCE_H
#define WEIR_RUNTIME_DATA_TOKENSOURCE_H

#include "runtime/base/Status.h"
#include "runtime/io/Job.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace weir {

/// A sequence of token ids, in memory or mapped from a file. Copies share the
/// data; all members may be called from several threads at once.
class TokenSource {
public:
  /// No tokens.
  TokenSource() = default;

  /// The bytes of `text` as tokens.
  static TokenSource fromBytes(std::string text, std::string name);

  /// A text file whose bytes are the tokens.
  static StatusOr<TokenSource> openText(const std::string &path);

  /// A token file, recognised by its first bytes:
  /// * llm.c: 256 little-endian int32 of header, of which [0] is the magic,
  ///   [1] the version and [2] the number of tokens, then the tokens: magic
  ///   20240520 version 1 with uint16 (GPT-2), magic 20240801 version 7 with
  ///   uint32 (Llama 3). The file's size must be what the header says.
  /// * otherwise nanoGPT: tokens only, little-endian, of type `dtype` (u16
  /// where
  ///   that is Auto). The file's size must be a multiple of theirs.
  /// With a header, `dtype` must be Auto or what the header says. Token ids
  /// must be below `vocab`: all are checked at once in files of up to 2^28
  /// tokens, those that `copy` reads in larger ones.
  static StatusOr<TokenSource> openBin(const std::string &path, TokenType dtype,
                                       int64_t vocab);

  /// Number of tokens.
  int64_t size() const { return count; }
  bool empty() const { return count == 0; }
  /// The file or folder it came from.
  const std::string &name() const { return label; }
  /// Bytes a token takes: 1, 2 or 4.
  int width() const { return tokenBytes; }

  /// Token `index` < size().
  int64_t operator[](int64_t index) const;
  /// Writes tokens [first, first + length), which must exist, to `out`. Fails
  /// with InvalidInput for a token that is not below the vocabulary.
  Status copy(int64_t first, int64_t length, int32_t *out) const;

private:
  Status checkVocab(int64_t first, int64_t length) const;

  /// Owns what `bytes` points to.
  std::shared_ptr<const void> storage;
  const uint8_t *bytes = nullptr;
  int tokenBytes = 1;
  int64_t count = 0;
  int64_t vocab = 256;
  bool verified = true;
  std::string label;
};

/// Text cut into a training and a validation part.
struct TextSplit {
  std::string train;
  std::string validation;
  int64_t trainEntries = 0;
  int64_t validationEntries = 0;
};

/// Adds the entries of one file to `split`.
///
/// A separator line is a line that is `separator` exactly, but for a carriage
/// return before its end. An entry is the lines since the last separator line
/// or the start of the file, up to and with the next separator line; entries
/// without a byte in front of their separator line are dropped. What follows a
/// file's last separator line is an entry too: it gets a line end where it
/// lacks one, and a separator line. Entries are counted from 1 through all
/// files; the entries N, 2N, 3N, ... for N = `every` are validation, all others
/// and, with `every` 0, all are training.
void splitEntries(std::string_view text, std::string_view separator,
                  int64_t every, TextSplit &split);

/// What a job trains and evaluates on.
struct Dataset {
  TokenSource train;
  /// Empty where the job has no validation data.
  TokenSource validation;
};

/// Opens the data of a job. A text path that is a folder stands for its regular
/// files in the order of their names' bytes; links, folders and the index files
/// `*.dat` and `*.u8` are left out. `modelVocab` is the vocabulary of the model
/// that will see the tokens.
StatusOr<Dataset> openDataset(const JobData &data, int64_t modelVocab);

} // namespace weir

#endif // WEIR_RUNTIME_DATA_TOKENSOURCE_H
