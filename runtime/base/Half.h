// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_RUNTIME_BASE_HALF_H
#define WEIR_RUNTIME_BASE_HALF_H

#include <cstdint>
#include <cstring>

namespace weir {

/// The f32 value of bfloat16 bits; exact.
inline float bfloat16ToFloat(uint16_t bits) {
  uint32_t wide = static_cast<uint32_t>(bits) << 16;
  float value;
  std::memcpy(&value, &wide, sizeof(value));
  return value;
}

/// The f32 value of IEEE binary16 bits; exact, subnormals, infinities and NaN
/// payloads included.
inline float halfToFloat(uint16_t bits) {
  uint32_t sign = static_cast<uint32_t>(bits & 0x8000u) << 16;
  uint32_t exponent = (bits >> 10) & 0x1Fu;
  uint32_t mantissa = bits & 0x3FFu;
  uint32_t wide;
  if (exponent == 0x1F) {
    wide = sign | 0x7F800000u | (mantissa << 13);
  } else if (exponent != 0) {
    wide = sign | ((exponent + 112) << 23) | (mantissa << 13);
  } else if (mantissa == 0) {
    wide = sign;
  } else {
    // A subnormal half is a normal float: shift until the leading bit is the
    // implicit one.
    uint32_t shift = 0;
    while (!(mantissa & 0x400u)) {
      mantissa <<= 1;
      ++shift;
    }
    wide = sign | ((113 - shift) << 23) | ((mantissa & 0x3FFu) << 13);
  }
  float value;
  std::memcpy(&value, &wide, sizeof(value));
  return value;
}

/// bfloat16 bits of `value`, rounded to nearest even; NaN stays a quiet NaN.
inline uint16_t floatToBfloat16(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  if ((bits & 0x7FFFFFFFu) > 0x7F800000u)
    return static_cast<uint16_t>((bits >> 16) | 0x40u);
  return static_cast<uint16_t>((bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16);
}

} // namespace weir

#endif // WEIR_RUNTIME_BASE_HALF_H
