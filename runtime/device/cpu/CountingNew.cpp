// SPDX-License-Identifier: Apache-2.0
//
// Counts allocations: operator new and delete for programs that link this file.
// In libweir_runtime the version script keeps them local, so that they count
// that library's own allocations and leave the embedding program alone.
//
// Empty under sanitizers, which bring operators of their own.

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ||     \
    __has_feature(memory_sanitizer)
#define WEIR_SANITIZED
#endif
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define WEIR_SANITIZED
#endif

#ifndef WEIR_SANITIZED

#include "runtime/device/cpu/Memory.h"

#include <cstdlib>
#include <new>

namespace {

void *allocate(std::size_t size) noexcept {
  weir::device::countAllocation();
  return std::malloc(size ? size : 1);
}

void *allocate(std::size_t size, std::align_val_t alignment) noexcept {
  weir::device::countAllocation();
  auto step = static_cast<std::size_t>(alignment);
  return std::aligned_alloc(step, (size + step - 1) / step * step);
}

void *orThrow(void *pointer) {
  if (!pointer)
    throw std::bad_alloc();
  return pointer;
}

} // namespace

void *operator new(std::size_t size) { return orThrow(allocate(size)); }
void *operator new[](std::size_t size) { return orThrow(allocate(size)); }
void *operator new(std::size_t size, const std::nothrow_t &) noexcept {
  return allocate(size);
}
void *operator new[](std::size_t size, const std::nothrow_t &) noexcept {
  return allocate(size);
}
void *operator new(std::size_t size, std::align_val_t alignment) {
  return orThrow(allocate(size, alignment));
}
void *operator new[](std::size_t size, std::align_val_t alignment) {
  return orThrow(allocate(size, alignment));
}
void operator delete(void *pointer) noexcept { std::free(pointer); }
void operator delete[](void *pointer) noexcept { std::free(pointer); }
void operator delete(void *pointer, std::size_t) noexcept {
  std::free(pointer);
}
void operator delete[](void *pointer, std::size_t) noexcept {
  std::free(pointer);
}
void operator delete(void *pointer, const std::nothrow_t &) noexcept {
  std::free(pointer);
}
void operator delete[](void *pointer, const std::nothrow_t &) noexcept {
  std::free(pointer);
}
void operator delete(void *pointer, std::align_val_t) noexcept {
  std::free(pointer);
}
void operator delete[](void *pointer, std::align_val_t) noexcept {
  std::free(pointer);
}
void operator delete(void *pointer, std::size_t, std::align_val_t) noexcept {
  std::free(pointer);
}
void operator delete[](void *pointer, std::size_t, std::align_val_t) noexcept {
  std::free(pointer);
}

#endif // WEIR_SANITIZED
