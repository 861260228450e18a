// SPDX-License-Identifier: Apache-2.0
#include "runtime/device/cpu/Memory.h"

#include "runtime/base/Format.h"

#include <atomic>
#include <cerrno>
#include <cstring>
#include <sys/mman.h>
#include <utility>

namespace weir::device {
namespace {

constexpr int64_t pageBytes = 4096;
// Large segments start on a huge page, so that the kernel can use those: matrix
// products over hundreds of megabytes are bound by address translation else.
constexpr int64_t hugePageBytes = int64_t(2) << 20;
constexpr int guardPattern = 0xDB;

int64_t roundUp(int64_t value, int64_t step) {
  return (value + step - 1) / step * step;
}

std::atomic<int64_t> ownAllocations{0};
std::atomic<int64_t> libraryAllocations{0};
thread_local int libraryDepth = 0;

} // namespace

StatusOr<Memory> Memory::allocate(int64_t bytes, bool guarded) {
  countAllocation();
  Memory memory;
  memory.size = bytes;
  memory.hasGuards = guarded;
  int64_t alignment = bytes >= 4 * hugePageBytes ? hugePageBytes : pageBytes;
  int64_t front = guarded ? guardBytes : 0;
  int64_t total = roundUp(bytes + 2 * front, pageBytes) + alignment;
  void *mapped = mmap(nullptr, total, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapped == MAP_FAILED)
    return runtimeError("cannot allocate " + formatBytes(bytes) +
                        " of memory: " + std::strerror(errno) +
                        "; use a smaller batch or more ranks");
  memory.mapping = static_cast<std::byte *>(mapped);
  memory.mappingBytes = total;
  auto address = reinterpret_cast<uintptr_t>(mapped);
  uintptr_t aligned = roundUp(address + front, alignment);
  memory.start = memory.mapping + (aligned - address);
  if (alignment == hugePageBytes)
    madvise(memory.start, bytes / hugePageBytes * hugePageBytes, MADV_HUGEPAGE);
  if (guarded) {
    std::memset(memory.start - guardBytes, guardPattern, guardBytes);
    std::memset(memory.start + bytes, guardPattern, guardBytes);
  }
  return memory;
}

Memory::Memory(Memory &&other) noexcept { *this = std::move(other); }

Memory &Memory::operator=(Memory &&other) noexcept {
  std::swap(mapping, other.mapping);
  std::swap(mappingBytes, other.mappingBytes);
  std::swap(start, other.start);
  std::swap(size, other.size);
  std::swap(hasGuards, other.hasGuards);
  return *this;
}

Memory::~Memory() {
  if (mapping)
    munmap(mapping, mappingBytes);
}

Status Memory::checkGuards(const std::string &name) const {
  if (!hasGuards)
    return okStatus();
  auto broken = [](const std::byte *zone, int64_t i) {
    return zone[i] != static_cast<std::byte>(guardPattern);
  };
  for (int64_t i = 0; i < guardBytes; ++i)
    if (broken(start + size, i))
      return runtimeError("something wrote behind " + name + ", " +
                          std::to_string(i) + " bytes after its end");
  for (int64_t i = 0; i < guardBytes; ++i)
    if (broken(start - guardBytes, guardBytes - 1 - i))
      return runtimeError("something wrote before " + name + ", " +
                          std::to_string(i + 1) + " bytes ahead of its start");
  return okStatus();
}

int64_t allocationCount() {
  return ownAllocations.load(std::memory_order_relaxed);
}

int64_t libraryAllocationCount() {
  return libraryAllocations.load(std::memory_order_relaxed);
}

void countAllocation() {
  (libraryDepth > 0 ? libraryAllocations : ownAllocations)
      .fetch_add(1, std::memory_order_relaxed);
}

LibraryScope::LibraryScope() { ++libraryDepth; }
LibraryScope::~LibraryScope() { --libraryDepth; }

} // namespace weir::device
