// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_RUNTIME_BASE_PHILOX_H
#define WEIR_RUNTIME_BASE_PHILOX_H

#include <array>
#include <cmath>
#include <cstdint>
#include <string_view>

namespace weir {

/// The counter-based generator Philox4x32-10 (Salmon, Moraes, Dror, Shaw,
/// "Parallel random numbers: as easy as 1, 2, 3", SC'11). A pure function of
/// counter and key, so that a number depends on what it is for and on nothing
/// else: not on layout, micro-batch, recompute or thread.
///
/// The runtime, the interpreter and generated code all use the definitions of
/// this file; they agree bit for bit.
namespace philox {

using Counter = std::array<uint32_t, 4>;
using Key = std::array<uint32_t, 2>;

inline constexpr uint32_t multiplier0 = 0xD2511F53u;
inline constexpr uint32_t multiplier1 = 0xCD9E8D57u;
inline constexpr uint32_t weyl0 = 0x9E3779B9u;
inline constexpr uint32_t weyl1 = 0xBB67AE85u;
inline constexpr int rounds = 10;

constexpr Counter round(const Counter &counter, const Key &key) {
  uint64_t product0 = static_cast<uint64_t>(multiplier0) * counter[0];
  uint64_t product1 = static_cast<uint64_t>(multiplier1) * counter[2];
  return Counter{static_cast<uint32_t>(product1 >> 32) ^ counter[1] ^ key[0],
                 static_cast<uint32_t>(product1),
                 static_cast<uint32_t>(product0 >> 32) ^ counter[3] ^ key[1],
                 static_cast<uint32_t>(product0)};
}

/// The four output words for (`counter`, `key`). The key is raised by the Weyl
/// constants between rounds, hence nine times.
constexpr Counter generate(Counter counter, Key key) {
  for (int i = 0; i < rounds; ++i) {
    counter = round(counter, key);
    key = Key{key[0] + weyl0, key[1] + weyl1};
  }
  return counter;
}

} // namespace philox

/// The generator's key of a site or variable: FNV-1a (32 bit) of its name.
constexpr uint32_t siteKey(std::string_view name) {
  uint32_t hash = 0x811C9DC5u;
  for (char c : name)
    hash = (hash ^ static_cast<uint8_t>(c)) * 0x01000193u;
  return hash;
}

/// The four words of element `logicalIndex` (row-major index in the *logical*
/// tensor) of site `key` at step `step`: counter {index low, index high, step,
/// 0}, key {site key, seed}.
constexpr philox::Counter randomWords(uint32_t key, uint32_t seed,
                                      uint32_t step, uint64_t logicalIndex) {
  return philox::generate({static_cast<uint32_t>(logicalIndex),
                           static_cast<uint32_t>(logicalIndex >> 32), step, 0},
                          {key, seed});
}

/// The first of `randomWords`: the word that dropout and all other
/// one-number-an-element uses take.
constexpr uint32_t randomWord(uint32_t key, uint32_t seed, uint32_t step,
                              uint64_t logicalIndex) {
  return randomWords(key, seed, step, logicalIndex)[0];
}

/// A word as a number in [0, 1): its upper 24 bits, exact in f32.
constexpr float uniform01(uint32_t word) {
  return static_cast<float>(word >> 8) * (1.0f / 16777216.0f);
}

/// Element `index` of a standard normal tensor named by `key`, by Box-Muller in
/// f64 from the first two words of counter {index low, index high, 0, 1} (the
/// last word keeps initialisation apart from `randomWord`) and key {site key,
/// seed}: u1 = (w0 + 1) 2^-32 in (0, 1], u2 = w1 2^-32 in [0, 1),
/// z = sqrt(-2 ln u1) cos(2 pi u2). |z| is at most 6.67.
inline double normal(uint32_t key, uint32_t seed, uint64_t index) {
  philox::Counter words = philox::generate(
      {static_cast<uint32_t>(index), static_cast<uint32_t>(index >> 32), 0, 1},
      {key, seed});
  double u1 = (static_cast<double>(words[0]) + 1.0) * 0x1p-32;
  double u2 = static_cast<double>(words[1]) * 0x1p-32;
  return std::sqrt(-2.0 * std::log(u1)) *
         std::cos(6.283185307179586476925 * u2);
}

/// Element `index` of a tensor uniform in [0, 1) named by `key`: the first word
/// of the counter and key of `normal`, times 2^-32, in f64.
inline double uniform(uint32_t key, uint32_t seed, uint64_t index) {
  return static_cast<double>(
             philox::generate({static_cast<uint32_t>(index),
                               static_cast<uint32_t>(index >> 32), 0, 1},
                              {key, seed})[0]) *
         0x1p-32;
}

} // namespace weir

#endif // WEIR_RUNTIME_BASE_PHILOX_H
