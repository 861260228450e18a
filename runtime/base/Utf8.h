// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_RUNTIME_BASE_UTF8_H
#define WEIR_RUNTIME_BASE_UTF8_H

#include <cstddef>
#include <string_view>

namespace weir {

/// The length in bytes (1 to 4) of the UTF-8 sequence with which `text` starts,
/// or 0 where `text` is empty or starts with no valid sequence (overlong forms,
/// surrogates and values beyond U+10FFFF are not valid; RFC 3629).
inline size_t utf8SequenceLength(std::string_view text) {
  auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  if (text.empty())
    return 0;
  unsigned char first = byte(0);
  if (first < 0x80)
    return 1;
  size_t length;
  unsigned char low = 0x80, high = 0xBF; // legal range of the second byte
  if (first >= 0xC2 && first <= 0xDF) {
    length = 2;
  } else if (first >= 0xE0 && first <= 0xEF) {
    length = 3;
    if (first == 0xE0)
      low = 0xA0;
    else if (first == 0xED)
      high = 0x9F;
  } else if (first >= 0xF0 && first <= 0xF4) {
    length = 4;
    if (first == 0xF0)
      low = 0x90;
    else if (first == 0xF4)
      high = 0x8F;
  } else {
    return 0;
  }
  if (text.size() < length || byte(1) < low || byte(1) > high)
    return 0;
  for (size_t i = 2; i < length; ++i)
    if (byte(i) < 0x80 || byte(i) > 0xBF)
      return 0;
  return length;
}

} // namespace weir

#endif // WEIR_RUNTIME_BASE_UTF8_H
