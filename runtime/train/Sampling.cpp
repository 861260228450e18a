// SPDX-License-Identifier: Apache-2.0
#include "runtime/train/Sampling.h"
#include "runtime/base/Philox.h"
#include "runtime/base/Strings.h"
#include "runtime/base/Utf8.h"

#include <cmath>

namespace weir {

int32_t chooseToken(const float *logits, int64_t vocab, double temperature,
                    uint32_t seed, uint64_t index) {
  int64_t best = -1;
  for (int64_t i = 0; i < vocab; ++i)
    if (std::isfinite(logits[i]) && (best < 0 || logits[i] > logits[best]))
      best = i;
  if (best < 0 || temperature == 0)
    return static_cast<int32_t>(best);
  double largest = logits[best];
  auto weight = [&](int64_t i) {
    return std::isfinite(logits[i])
               ? std::exp((logits[i] - largest) / temperature)
               : 0.0;
  };
  double total = 0;
  for (int64_t i = 0; i < vocab; ++i)
    total += weight(i);
  double target =
      uniform01(randomWord(siteKey("sample"), seed, 0, index)) * total;
  double sum = 0;
  int64_t last = best;
  for (int64_t i = 0; i < vocab; ++i) {
    double part = weight(i);
    if (part == 0)
      continue;
    sum += part;
    last = i;
    if (target < sum)
      break;
  }
  return static_cast<int32_t>(last);
}

std::string escapeSample(std::string_view bytes) {
  static const char digits[] = "0123456789abcdef";
  std::string out;
  for (size_t i = 0; i < bytes.size();) {
    unsigned char c = static_cast<unsigned char>(bytes[i]);
    size_t length = utf8SequenceLength(bytes.substr(i));
    bool plain = c == '\n' || c == '\t' || (c >= 0x20 && c != 0x7F);
    // U+0080 to U+009F are control characters too.
    if (length == 2 && c == 0xC2 &&
        static_cast<unsigned char>(bytes[i + 1]) < 0xA0)
      plain = false;
    if (length == 0 || !plain) {
      out += "\\x";
      out += digits[c >> 4];
      out += digits[c & 15];
      ++i;
      continue;
    }
    if (c == '\\')
      out += '\\';
    out.append(bytes.substr(i, length));
    i += length;
  }
  return out;
}

StatusOr<std::vector<int32_t>> promptTokens(std::string_view prompt, bool bytes,
                                            int64_t vocab) {
  std::vector<int32_t> tokens;
  if (bytes) {
    for (char c : prompt)
      tokens.push_back(static_cast<unsigned char>(c));
    if (tokens.empty())
      tokens.push_back('\n');
  } else {
    std::string list(prompt);
    for (char &c : list)
      if (c == ',' || c == '\t' || c == '\n')
        c = ' ';
    for (const std::string &word : split(list, ' ')) {
      if (word.empty())
        continue;
      std::optional<int64_t> id = parseInteger(word);
      if (!id || *id < 0 || *id > INT32_MAX)
        return invalidInput(
            "sample.prompt: this data has token ids and no text: expects ids "
            "such as \"464, 3290\", got '" +
            printable(word) + "'");
      tokens.push_back(static_cast<int32_t>(*id));
    }
    if (tokens.empty())
      tokens.push_back(0);
  }
  for (int32_t token : tokens)
    if (token >= vocab)
      return invalidInput("sample.prompt: token " + std::to_string(token) +
                          " is beyond the model's vocabulary of " +
                          std::to_string(vocab));
  return tokens;
}

} // namespace weir
