// SPDX-License-Identifier: Apache-2.0
#include "runtime/base/CpuFeatures.h"
#include "runtime/base/Strings.h"

#include <algorithm>
#include <cstdint>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace weir {

const char *hostArchitecture() {
#if defined(__x86_64__)
  return "x86_64";
#elif defined(__aarch64__)
  return "aarch64";
#else
  return "unknown";
#endif
}

#if defined(__x86_64__)

namespace {

enum Register { A, B, C, D };

/// Register state that the operating system must save for a feature to be
/// usable, as bits of XCR0 (Intel SDM vol. 1, 13.3; the APX specification).
enum State : uint32_t {
  None = 0,
  Ymm = 0x6,
  Zmm = 0xE6,
  Tile = 0x60000,
  Gpr16 = 0x80000,
};

struct Feature {
  const char *name;
  uint32_t leaf, subleaf;
  Register reg;
  int bit;
  uint32_t state;
};

/// CPUID bits (Intel SDM vol. 2, CPUID; AMD APM vol. 3, appendix E) by LLVM's
/// feature name.
const Feature features[] = {
    {"cx8", 1, 0, D, 8, None},
    {"cmov", 1, 0, D, 15, None},
    {"mmx", 1, 0, D, 23, None},
    {"fxsr", 1, 0, D, 24, None},
    {"sse", 1, 0, D, 25, None},
    {"sse2", 1, 0, D, 26, None},
    {"sse3", 1, 0, C, 0, None},
    {"pclmul", 1, 0, C, 1, None},
    {"ssse3", 1, 0, C, 9, None},
    {"fma", 1, 0, C, 12, Ymm},
    {"cx16", 1, 0, C, 13, None},
    {"sse4.1", 1, 0, C, 19, None},
    {"sse4.2", 1, 0, C, 20, None},
    {"crc32", 1, 0, C, 20, None},
    {"movbe", 1, 0, C, 22, None},
    {"popcnt", 1, 0, C, 23, None},
    {"aes", 1, 0, C, 25, None},
    {"xsave", 1, 0, C, 26, Ymm},
    {"avx", 1, 0, C, 28, Ymm},
    {"f16c", 1, 0, C, 29, Ymm},
    {"rdrnd", 1, 0, C, 30, None},
    {"fsgsbase", 7, 0, B, 0, None},
    {"sgx", 7, 0, B, 2, None},
    {"bmi", 7, 0, B, 3, None},
    {"avx2", 7, 0, B, 5, Ymm},
    {"bmi2", 7, 0, B, 8, None},
    {"invpcid", 7, 0, B, 10, None},
    {"rtm", 7, 0, B, 11, None},
    {"avx512f", 7, 0, B, 16, Zmm},
    {"avx512dq", 7, 0, B, 17, Zmm},
    {"rdseed", 7, 0, B, 18, None},
    {"adx", 7, 0, B, 19, None},
    {"avx512ifma", 7, 0, B, 21, Zmm},
    {"clflushopt", 7, 0, B, 23, None},
    {"clwb", 7, 0, B, 24, None},
    {"avx512cd", 7, 0, B, 28, Zmm},
    {"sha", 7, 0, B, 29, None},
    {"avx512bw", 7, 0, B, 30, Zmm},
    {"avx512vl", 7, 0, B, 31, Zmm},
    {"avx512vbmi", 7, 0, C, 1, Zmm},
    {"pku", 7, 0, C, 4, None},
    {"waitpkg", 7, 0, C, 5, None},
    {"avx512vbmi2", 7, 0, C, 6, Zmm},
    {"shstk", 7, 0, C, 7, None},
    {"gfni", 7, 0, C, 8, None},
    {"vaes", 7, 0, C, 9, Ymm},
    {"vpclmulqdq", 7, 0, C, 10, Ymm},
    {"avx512vnni", 7, 0, C, 11, Zmm},
    {"avx512bitalg", 7, 0, C, 12, Zmm},
    {"avx512vpopcntdq", 7, 0, C, 14, Zmm},
    {"rdpid", 7, 0, C, 22, None},
    {"kl", 7, 0, C, 23, None},
    {"cldemote", 7, 0, C, 25, None},
    {"movdiri", 7, 0, C, 27, None},
    {"movdir64b", 7, 0, C, 28, None},
    {"enqcmd", 7, 0, C, 29, None},
    {"uintr", 7, 0, D, 5, None},
    {"avx512vp2intersect", 7, 0, D, 8, Zmm},
    {"serialize", 7, 0, D, 14, None},
    {"tsxldtrk", 7, 0, D, 16, None},
    {"pconfig", 7, 0, D, 18, None},
    {"amx-bf16", 7, 0, D, 22, Tile},
    {"avx512fp16", 7, 0, D, 23, Zmm},
    {"amx-tile", 7, 0, D, 24, Tile},
    {"amx-int8", 7, 0, D, 25, Tile},
    {"sha512", 7, 1, A, 0, None},
    {"sm3", 7, 1, A, 1, None},
    {"sm4", 7, 1, A, 2, None},
    {"raoint", 7, 1, A, 3, None},
    {"avxvnni", 7, 1, A, 4, Ymm},
    {"avx512bf16", 7, 1, A, 5, Zmm},
    {"cmpccxadd", 7, 1, A, 7, None},
    {"amx-fp16", 7, 1, A, 21, Tile},
    {"hreset", 7, 1, A, 22, None},
    {"avxifma", 7, 1, A, 23, Ymm},
    {"movrs", 7, 1, A, 31, None},
    {"avxvnniint8", 7, 1, D, 4, Ymm},
    {"avxneconvert", 7, 1, D, 5, Ymm},
    {"amx-complex", 7, 1, D, 8, Tile},
    {"avxvnniint16", 7, 1, D, 10, Ymm},
    {"prefetchi", 7, 1, D, 14, None},
    {"usermsr", 7, 1, D, 15, None},
    {"ccmp", 7, 1, D, 21, Gpr16},
    {"cf", 7, 1, D, 21, Gpr16},
    {"egpr", 7, 1, D, 21, Gpr16},
    {"ndd", 7, 1, D, 21, Gpr16},
    {"nf", 7, 1, D, 21, Gpr16},
    {"ppx", 7, 1, D, 21, Gpr16},
    {"push2pop2", 7, 1, D, 21, Gpr16},
    {"zu", 7, 1, D, 21, Gpr16},
    {"xsaveopt", 0xD, 1, A, 0, Ymm},
    {"xsavec", 0xD, 1, A, 1, Ymm},
    {"xsaves", 0xD, 1, A, 3, Ymm},
    {"ptwrite", 0x14, 0, B, 4, None},
    {"widekl", 0x19, 0, B, 2, None},
    {"amx-fp8", 0x1E, 1, A, 4, Tile},
    {"amx-tf32", 0x1E, 1, A, 6, Tile},
    {"amx-avx512", 0x1E, 1, A, 7, Tile},
    {"amx-movrs", 0x1E, 1, A, 8, Tile},
    {"sahf", 0x80000001, 0, C, 0, None},
    {"lzcnt", 0x80000001, 0, C, 5, None},
    {"sse4a", 0x80000001, 0, C, 6, None},
    {"prfchw", 0x80000001, 0, C, 8, None},
    {"xop", 0x80000001, 0, C, 11, Ymm},
    {"lwp", 0x80000001, 0, C, 15, None},
    {"fma4", 0x80000001, 0, C, 16, Ymm},
    {"tbm", 0x80000001, 0, C, 21, None},
    {"mwaitx", 0x80000001, 0, C, 29, None},
    {"64bit", 0x80000001, 0, D, 29, None},
    {"clzero", 0x80000008, 0, B, 0, None},
    {"rdpru", 0x80000008, 0, B, 4, None},
    {"wbnoinvd", 0x80000008, 0, B, 9, None},
};

struct Registers {
  uint32_t values[4] = {0, 0, 0, 0};
};

Registers query(uint32_t leaf, uint32_t subleaf) {
  Registers r;
  // A leaf beyond the processor's last returns another leaf's data.
  uint32_t last = __get_cpuid_max(leaf & 0x80000000u, nullptr);
  if (last < leaf)
    return r;
  if (leaf == 7 && subleaf > 0) {
    Registers first;
    __cpuid_count(7, 0, first.values[A], first.values[B], first.values[C],
                  first.values[D]);
    if (first.values[A] < subleaf)
      return r;
  }
  __cpuid_count(leaf, subleaf, r.values[A], r.values[B], r.values[C],
                r.values[D]);
  return r;
}

/// XCR0, or 0 where the operating system does not use XSAVE.
uint64_t savedState() {
  if (!((query(1, 0).values[C] >> 27) & 1))
    return 0;
  uint32_t low, high;
  // The instruction rather than the intrinsic, which needs -mxsave.
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return static_cast<uint64_t>(high) << 32 | low;
}

std::vector<std::string> detect() {
  uint64_t saved = savedState();
  std::vector<std::string> names;
  Registers registers;
  uint32_t leaf = 0, subleaf = 0;
  for (const Feature &feature : features) {
    if (feature.leaf != leaf || feature.subleaf != subleaf) {
      leaf = feature.leaf;
      subleaf = feature.subleaf;
      registers = query(leaf, subleaf);
    }
    if (((registers.values[feature.reg] >> feature.bit) & 1) &&
        (saved & feature.state) == feature.state)
      names.push_back(feature.name);
  }
  // AVX10 has a version number in a leaf of its own.
  if (((query(7, 1).values[D] >> 19) & 1) && (saved & Zmm) == Zmm) {
    uint32_t version = query(0x24, 0).values[B] & 0xFF;
    if (version >= 1)
      names.push_back("avx10.1");
    if (version >= 2)
      names.push_back("avx10.2");
  }
  std::sort(names.begin(), names.end());
  return names;
}

} // namespace

#else

static std::vector<std::string> detect() { return {}; }

#endif

const std::vector<std::string> &hostCpuFeatures() {
  static const std::vector<std::string> names = detect();
  return names;
}

bool hostHasCpuFeature(std::string_view name) {
  const std::vector<std::string> &names = hostCpuFeatures();
  return std::binary_search(names.begin(), names.end(), name);
}

Status checkCpuFeatures(const std::vector<std::string> &required) {
  std::vector<std::string> missing;
  for (const std::string &name : required)
    if (!hostHasCpuFeature(name))
      missing.push_back(printable(name));
  if (missing.empty())
    return okStatus();
  return Status(StatusCode::IncompatibleArtifact,
                "needs processor features that this machine does not offer: " +
                    join(missing, ", ") +
                    "; compile again on this machine, or with "
                    "--cpu=x86-64-v3 or --cpu=x86-64 for a wider range");
}

} // namespace weir
