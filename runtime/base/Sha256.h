// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_RUNTIME_BASE_SHA256_H
#define WEIR_RUNTIME_BASE_SHA256_H

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace weir {

/// SHA-256 (FIPS 180-4) of bytes given in pieces.
class Sha256 {
public:
  using Digest = std::array<uint8_t, 32>;

  void update(const void *data, size_t size);
  void update(std::string_view data) { update(data.data(), data.size()); }

  /// The digest of everything given; the object must not be used afterwards.
  Digest finish();

private:
  void block(const uint8_t *data);

  std::array<uint32_t, 8> state = {0x6a09e667u, 0xbb67ae85u, 0x3c6ef372u,
                                   0xa54ff53au, 0x510e527fu, 0x9b05688cu,
                                   0x1f83d9abu, 0x5be0cd19u};
  std::array<uint8_t, 64> pending = {};
  size_t pendingSize = 0;
  uint64_t total = 0;
};

/// The digest of `data` as 64 lower-case hexadecimal digits.
std::string sha256Hex(std::string_view data);
/// `digest` as 64 lower-case hexadecimal digits.
std::string toHex(const Sha256::Digest &digest);

} // namespace weir

#endif // WEIR_RUNTIME_BASE_SHA256_H
