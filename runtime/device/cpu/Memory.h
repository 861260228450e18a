// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_RUNTIME_DEVICE_CPU_MEMORY_H
#define WEIR_RUNTIME_DEVICE_CPU_MEMORY_H

#include "runtime/base/Status.h"

#include <cstddef>
#include <cstdint>
#include <string>

namespace weir::device {

/// Page-aligned, zeroed host memory straight from the system. Pages that are
/// never touched cost nothing. A guarded one has a zone of known bytes on
/// either side, the one behind starting at the very byte after the end.
class Memory {
public:
  /// Bytes of each guard zone.
  static constexpr int64_t guardBytes = 4096;

  static StatusOr<Memory> allocate(int64_t bytes, bool guarded);

  Memory() = default;
  Memory(Memory &&other) noexcept;
  Memory &operator=(Memory &&other) noexcept;
  ~Memory();

  std::byte *data() const { return start; }
  int64_t bytes() const { return size; }
  bool guarded() const { return hasGuards; }

  /// RuntimeError naming the distance from `name` to the first overwritten
  /// guard byte. Ok without guards.
  Status checkGuards(const std::string &name) const;

private:
  std::byte *mapping = nullptr; // what munmap gets
  size_t mappingBytes = 0;
  std::byte *start = nullptr;
  int64_t size = 0;
  bool hasGuards = false;
};

/// How many allocations this process's own C++ code made so far; libraries'
/// own allocators are not in it. Segments always count; operator new does where
/// CountingNew.cpp is linked in.
int64_t allocationCount();
/// Adds one to `allocationCount`, or to `libraryAllocationCount` inside a
/// LibraryScope. For CountingNew.cpp and Memory.
void countAllocation();
/// Allocations made through our operator new while a library was running.
int64_t libraryAllocationCount();

/// While one lives, this thread's allocations count as a library's.
class LibraryScope {
public:
  LibraryScope();
  ~LibraryScope();
  LibraryScope(const LibraryScope &) = delete;
  LibraryScope &operator=(const LibraryScope &) = delete;
};

} // namespace weir::device

#endif // WEIR_RUNTIME_DEVICE_CPU_MEMORY_H
