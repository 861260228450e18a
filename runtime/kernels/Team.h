// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_RUNTIME_KERNELS_TEAM_H
#define WEIR_RUNTIME_KERNELS_TEAM_H

#include "runtime/device/cpu/KernelLibrary.h"

#include <cstdint>

namespace weir::kernels {

/// Calls `body(context, thread)` for thread 0..threads-1 in one parallel region
/// of libgomp, the library that oneDNN's threads live in as well: a second pool
/// spinning beside it costs more than it brings. With one thread it is a call.
void runTeam(int threads, void (*body)(void *context, int thread),
             void *context);

/// The same for anything callable with a thread number; allocates nothing.
template <typename Body> void runTeam(int threads, const Body &body) {
  runTeam(
      threads,
      [](void *context, int thread) {
        (*static_cast<const Body *>(context))(thread);
      },
      const_cast<void *>(static_cast<const void *>(&body)));
}

/// The part [begin, end) of `count` items that falls to `part` of `parts`.
struct Range {
  int64_t begin = 0, end = 0;
};
inline Range partOf(int64_t count, int64_t part, int64_t parts) {
  return {count * part / parts, count * (part + 1) / parts};
}

/// Runs all chunks of a generated kernel on a team, in a static schedule.
/// Returns 0, or the value that the first failing chunk returned.
int runKernel(device::KernelFunction kernel, void *const *buffers,
              const int64_t *scalars, int64_t chunks, int threads);

/// While one lives, libraries called from this thread outside of runTeam use
/// `threads` threads.
class LibraryThreads {
public:
  explicit LibraryThreads(int threads);
  ~LibraryThreads();
  LibraryThreads(const LibraryThreads &) = delete;
  LibraryThreads &operator=(const LibraryThreads &) = delete;

private:
  int saved;
};

} // namespace weir::kernels

#endif // WEIR_RUNTIME_KERNELS_TEAM_H
