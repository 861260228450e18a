// SPDX-License-Identifier: Apache-2.0
#include "runtime/base/Sha256.h"

#include <algorithm>
#include <cstring>

namespace weir {

static constexpr uint32_t roundConstants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1,
    0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3,
    0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786,
    0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147,
    0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13,
    0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b,
    0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a,
    0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208,
    0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static uint32_t rotateRight(uint32_t value, int count) {
  return (value >> count) | (value << (32 - count));
}

void Sha256::block(const uint8_t *data) {
  uint32_t schedule[64];
  for (int i = 0; i < 16; ++i)
    schedule[i] = static_cast<uint32_t>(data[4 * i]) << 24 |
                  static_cast<uint32_t>(data[4 * i + 1]) << 16 |
                  static_cast<uint32_t>(data[4 * i + 2]) << 8 |
                  static_cast<uint32_t>(data[4 * i + 3]);
  for (int i = 16; i < 64; ++i) {
    uint32_t x = schedule[i - 15], y = schedule[i - 2];
    uint32_t s0 = rotateRight(x, 7) ^ rotateRight(x, 18) ^ (x >> 3);
    uint32_t s1 = rotateRight(y, 17) ^ rotateRight(y, 19) ^ (y >> 10);
    schedule[i] = schedule[i - 16] + s0 + schedule[i - 7] + s1;
  }
  std::array<uint32_t, 8> v = state;
  for (int i = 0; i < 64; ++i) {
    uint32_t s1 =
        rotateRight(v[4], 6) ^ rotateRight(v[4], 11) ^ rotateRight(v[4], 25);
    uint32_t choice = (v[4] & v[5]) ^ (~v[4] & v[6]);
    uint32_t t1 = v[7] + s1 + choice + roundConstants[i] + schedule[i];
    uint32_t s0 =
        rotateRight(v[0], 2) ^ rotateRight(v[0], 13) ^ rotateRight(v[0], 22);
    uint32_t majority = (v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]);
    uint32_t t2 = s0 + majority;
    v = {t1 + t2, v[0], v[1], v[2], v[3] + t1, v[4], v[5], v[6]};
  }
  for (int i = 0; i < 8; ++i)
    state[i] += v[i];
}

void Sha256::update(const void *data, size_t size) {
  const uint8_t *bytes = static_cast<const uint8_t *>(data);
  total += size;
  if (pendingSize != 0) {
    size_t taken = std::min(size, pending.size() - pendingSize);
    std::memcpy(pending.data() + pendingSize, bytes, taken);
    pendingSize += taken;
    bytes += taken;
    size -= taken;
    if (pendingSize < pending.size())
      return;
    block(pending.data());
    pendingSize = 0;
  }
  for (; size >= 64; bytes += 64, size -= 64)
    block(bytes);
  if (size != 0)
    std::memcpy(pending.data(), bytes, size);
  pendingSize = size;
}

Sha256::Digest Sha256::finish() {
  uint64_t bits = total * 8;
  uint8_t padding[72] = {0x80};
  size_t zeros = (pendingSize < 56 ? 55 : 119) - pendingSize;
  for (int i = 0; i < 8; ++i)
    padding[1 + zeros + i] = static_cast<uint8_t>(bits >> (56 - 8 * i));
  update(padding, 1 + zeros + 8);
  Digest digest;
  for (int i = 0; i < 32; ++i)
    digest[i] = static_cast<uint8_t>(state[i / 4] >> (24 - 8 * (i % 4)));
  return digest;
}

std::string toHex(const Sha256::Digest &digest) {
  static const char digits[] = "0123456789abcdef";
  std::string text;
  text.reserve(64);
  for (uint8_t byte : digest) {
    text += digits[byte >> 4];
    text += digits[byte & 15];
  }
  return text;
}

std::string sha256Hex(std::string_view data) {
  Sha256 hash;
  hash.update(data);
  return toHex(hash.finish());
}

} // namespace weir
