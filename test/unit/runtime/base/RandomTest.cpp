// SPDX-License-Identifier: Apache-2.0
#include "runtime/base/CpuFeatures.h"
#include "runtime/base/Half.h"
#include "runtime/base/Philox.h"
#include "runtime/base/Sha256.h"
#include "test/unit/runtime/TestSupport.h"

#include <algorithm>
#include <cmath>

namespace weir {
namespace {

// Known-answer vectors of Random123 1.14, kat_vectors, "philox4x32 10".
TEST(Philox, KnownAnswers) {
  // At compile time, too.
  constexpr philox::Counter zero = philox::generate({0, 0, 0, 0}, {0, 0});
  static_assert(zero[0] == 0x6627e8d5 && zero[3] == 0x9b00dbd8, "");
  EXPECT_EQ(zero,
            (philox::Counter{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox::generate({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
                             {0xffffffff, 0xffffffff}),
            (philox::Counter{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox::generate({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
                             {0xa4093822, 0x299f31d0}),
            (philox::Counter{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

// FNV-1a test values from the authors' page (draft-eastlake-fnv, appendix C).
TEST(Philox, SiteKeyIsFnv1a) {
  EXPECT_EQ(siteKey(""), 0x811c9dc5u);
  EXPECT_EQ(siteKey("a"), 0xe40c292cu);
  EXPECT_EQ(siteKey("foobar"), 0xbf9cf968u);
}

TEST(Philox, RandomWordIsTheDocumentedCounter) {
  uint64_t index = 0x123456789abcdefull;
  EXPECT_EQ(randomWord(7, 9, 11, index),
            philox::generate({0x89abcdef, 0x01234567, 11, 0}, {7, 9})[0]);
}

TEST(Philox, UniformIsInTheHalfOpenInterval) {
  EXPECT_EQ(uniform01(0), 0.0f);
  EXPECT_EQ(uniform01(0xFF), 0.0f);
  EXPECT_EQ(uniform01(0x100), std::ldexp(1.0f, -24));
  EXPECT_EQ(uniform01(0xFFFFFFFF), 1.0f - std::ldexp(1.0f, -24));
}

// 2^20 samples: the standard error of the mean is 0.001, of the variance 0.0014
// and of the fourth moment 0.0096; the bounds are five of them.
TEST(Philox, NormalHasTheMomentsOfTheNormalDistribution) {
  const int count = 1 << 20;
  uint32_t key = siteKey("h.0.attn.c_attn.weight");
  double sum = 0, square = 0, fourth = 0;
  for (int i = 0; i < count; ++i) {
    double z = normal(key, 42, static_cast<uint64_t>(i));
    ASSERT_TRUE(std::isfinite(z));
    sum += z;
    square += z * z;
    fourth += z * z * z * z;
  }
  EXPECT_NEAR(sum / count, 0, 0.005);
  EXPECT_NEAR(square / count, 1, 0.007);
  EXPECT_NEAR(fourth / count, 3, 0.048);
}

// Examples of FIPS 180-4 (NIST, SHA256.pdf and SHA2_Additional.pdf).
TEST(Sha256, KnownAnswers) {
  EXPECT_EQ(sha256Hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca49"
                           "5991b7852b855");
  EXPECT_EQ(sha256Hex("abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(
      sha256Hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
      "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(sha256Hex(std::string(1000000, 'a')),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256, PiecesGiveTheSameAsTheWhole) {
  std::string text;
  for (int i = 0; i < 300; ++i)
    text += static_cast<char>(i * 7);
  for (size_t piece : {1, 3, 55, 56, 63, 64, 65, 200}) {
    Sha256 hash;
    for (size_t at = 0; at < text.size(); at += piece)
      hash.update(std::string_view(text).substr(at, piece));
    EXPECT_EQ(toHex(hash.finish()), sha256Hex(text)) << piece;
  }
}

TEST(Half, ConvertsEveryKindOfValue) {
  EXPECT_EQ(halfToFloat(0x3C00), 1.0f);
  EXPECT_EQ(halfToFloat(0xC000), -2.0f);
  EXPECT_EQ(halfToFloat(0x7BFF), 65504.0f);
  EXPECT_EQ(halfToFloat(0x0400), std::ldexp(1.0f, -14));
  EXPECT_EQ(halfToFloat(0x0001), std::ldexp(1.0f, -24));
  EXPECT_EQ(halfToFloat(0x03FF), 1023 * std::ldexp(1.0f, -24));
  EXPECT_TRUE(std::signbit(halfToFloat(0x8000)));
  EXPECT_EQ(halfToFloat(0x7C00), INFINITY);
  EXPECT_TRUE(std::isnan(halfToFloat(0x7E00)));
  EXPECT_EQ(bfloat16ToFloat(0x3FC0), 1.5f);
  EXPECT_EQ(floatToBfloat16(1.5f), 0x3FC0);
  // Ties go to even, beyond the largest finite value to infinity.
  EXPECT_EQ(floatToBfloat16(1.0f + std::ldexp(1.0f, -8)), 0x3F80);
  EXPECT_EQ(floatToBfloat16(1.0f + 3 * std::ldexp(1.0f, -8)), 0x3F82);
  EXPECT_EQ(floatToBfloat16(3.4e38f), 0x7F80);
  EXPECT_TRUE(std::isnan(bfloat16ToFloat(floatToBfloat16(NAN))));
}

TEST(CpuFeatures, AreSortedAndConsistent) {
  const std::vector<std::string> &names = hostCpuFeatures();
  EXPECT_TRUE(std::is_sorted(names.begin(), names.end()));
  EXPECT_EQ(std::adjacent_find(names.begin(), names.end()), names.end());
#if defined(__x86_64__)
  // The x86-64 baseline.
  EXPECT_TRUE(hostHasCpuFeature("sse2"));
  EXPECT_TRUE(hostHasCpuFeature("cmov"));
  // The compiler's own view of the same bits.
  EXPECT_EQ(hostHasCpuFeature("avx2"), bool(__builtin_cpu_supports("avx2")));
  EXPECT_EQ(hostHasCpuFeature("fma"), bool(__builtin_cpu_supports("fma")));
  EXPECT_EQ(hostHasCpuFeature("avx512f"),
            bool(__builtin_cpu_supports("avx512f")));
  EXPECT_EQ(hostHasCpuFeature("avx512vl"),
            bool(__builtin_cpu_supports("avx512vl")));
#endif
  EXPECT_OK(checkCpuFeatures(names));
}

TEST(CpuFeatures, MissingOnesAreAllNamed) {
  Status status = checkCpuFeatures({"sse9", "avx4096"});
  EXPECT_FAILS(status, StatusCode::IncompatibleArtifact, "sse9, avx4096");
}

} // namespace
} // namespace weir
