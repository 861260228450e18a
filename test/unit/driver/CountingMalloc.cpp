// SPDX-License-Identifier: Apache-2.0
//
// Counts the bytes that this program and its libraries ask the C library for.
// Empty under sanitizers, which bring an allocator of their own.
#include "test/unit/driver/CountingMalloc.h"

#include <atomic>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ||     \
    __has_feature(memory_sanitizer)
#define WEIR_SANITIZED
#endif
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define WEIR_SANITIZED
#endif

namespace {
std::atomic<int64_t> bytes{0};
} // namespace

#ifndef WEIR_SANITIZED
// glibc's own, under the names that it exports for programs that replace them.
extern "C" void *__libc_malloc(size_t size);
extern "C" void *__libc_calloc(size_t count, size_t size);
extern "C" void *__libc_realloc(void *pointer, size_t size);

extern "C" void *malloc(size_t size) noexcept {
  bytes.fetch_add(static_cast<int64_t>(size), std::memory_order_relaxed);
  return __libc_malloc(size);
}

extern "C" void *calloc(size_t count, size_t size) noexcept {
  bytes.fetch_add(static_cast<int64_t>(count * size),
                  std::memory_order_relaxed);
  return __libc_calloc(count, size);
}

extern "C" void *realloc(void *pointer, size_t size) noexcept {
  bytes.fetch_add(static_cast<int64_t>(size), std::memory_order_relaxed);
  return __libc_realloc(pointer, size);
}
#endif

namespace weir {
int64_t requestedBytes() { return bytes.load(std::memory_order_relaxed); }
} // namespace weir
