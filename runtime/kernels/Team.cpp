// SPDX-License-Identifier: Apache-2.0
#include "runtime/kernels/Team.h"

#include <algorithm>
#include <atomic>

// libgomp's entry points. They are its stable ABI; calling them spares a
// compiler flag that clang answers with another OpenMP library.
extern "C" {
void GOMP_parallel(void (*function)(void *), void *data, unsigned threads,
                   unsigned flags);
int omp_get_thread_num();
int omp_get_max_threads();
void omp_set_num_threads(int threads);
}

// libgomp's barriers are invisible to the thread sanitizer: tell it that a
// region starts after what came before and ends before what follows.
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define WEIR_THREAD_SANITIZER
#endif
#elif defined(__SANITIZE_THREAD__)
#define WEIR_THREAD_SANITIZER
#endif
#ifdef WEIR_THREAD_SANITIZER
extern "C" void __tsan_acquire(void *address);
extern "C" void __tsan_release(void *address);
#endif

namespace weir::kernels {
namespace {

struct Region {
  void (*body)(void *, int);
  void *context;
};

void acquire([[maybe_unused]] Region *region) {
#ifdef WEIR_THREAD_SANITIZER
  __tsan_acquire(region);
#endif
}

void release([[maybe_unused]] Region *region) {
#ifdef WEIR_THREAD_SANITIZER
  __tsan_release(region);
#endif
}

} // namespace

void runTeam(int threads, void (*body)(void *, int), void *context) {
  if (threads <= 1)
    return body(context, 0);
  Region region{body, context};
  release(&region);
  GOMP_parallel(
      [](void *data) {
        auto *region = static_cast<Region *>(data);
        acquire(region);
        region->body(region->context, omp_get_thread_num());
        release(region);
      },
      &region, static_cast<unsigned>(threads), 0);
  acquire(&region);
}

int runKernel(device::KernelFunction kernel, void *const *buffers,
              const int64_t *scalars, int64_t chunks, int threads) {
  auto parts = static_cast<int>(std::min<int64_t>(threads, chunks));
  if (parts <= 1) {
    for (int64_t chunk = 0; chunk < chunks; ++chunk)
      if (int code = kernel(buffers, scalars, chunk))
        return code;
    return 0;
  }
  // Each thread stops at its first failure; the lowest thread has the lowest
  // chunk, whatever the timing.
  std::atomic<uint64_t> failure{UINT64_MAX};
  // The region always has the whole team: another size would end threads and
  // start them again.
  runTeam(threads, [&](int thread) {
    Range range = partOf(chunks, thread, threads);
    for (int64_t chunk = range.begin; chunk < range.end; ++chunk) {
      int code = kernel(buffers, scalars, chunk);
      if (code == 0)
        continue;
      uint64_t mine =
          (static_cast<uint64_t>(thread) << 32) | static_cast<uint32_t>(code);
      uint64_t seen = failure.load();
      while (mine < seen && !failure.compare_exchange_weak(seen, mine)) {
      }
      return;
    }
  });
  uint64_t first = failure.load();
  return first == UINT64_MAX ? 0 : static_cast<int>(first & 0xFFFFFFFFu);
}

LibraryThreads::LibraryThreads(int threads) : saved(omp_get_max_threads()) {
  if (threads != saved)
    omp_set_num_threads(threads);
}

LibraryThreads::~LibraryThreads() {
  if (omp_get_max_threads() != saved)
    omp_set_num_threads(saved);
}

} // namespace weir::kernels
