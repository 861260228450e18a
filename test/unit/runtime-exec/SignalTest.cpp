// SPDX-License-Identifier: Apache-2.0
// A signal may come at any moment of a step without finding a thread whose
// stack register points elsewhere than into its stack, where a handler's frame
// would be written.
#include "PlanBuilder.h"

#include "runtime/actor/WorkerPool.h"
#include "runtime/base/SignalsBlocked.h"
#include "runtime/device/cpu/Memory.h"
#include "runtime/kernels/Contract.h"
#include "runtime/kernels/Team.h"

#include <atomic>
#include <chrono>
#include <csignal>
#include <pthread.h>
#include <sys/time.h>
#include <ucontext.h>

using namespace weir;
using namespace weir::plan;

namespace {

std::atomic<int> signals{0}, misplaced{0};
char *stackBegin = nullptr, *stackEnd = nullptr;
pthread_t watched;

void look(int, siginfo_t *, void *context) {
  if (!pthread_equal(pthread_self(), watched))
    return;
  auto *registers = static_cast<ucontext_t *>(context);
  auto *top = reinterpret_cast<char *>(registers->uc_mcontext.gregs[REG_RSP]);
  signals.fetch_add(1);
  if (top < stackBegin || top > stackEnd)
    misplaced.fetch_add(1);
}

/// Has `look` called every fifth of a millisecond of processor time, on a stack
/// of its own, so that what it looks for does no harm.
class Storm {
public:
  Storm() {
    watched = pthread_self();
    pthread_attr_t attributes;
    void *begin = nullptr;
    size_t bytes = 0;
    pthread_getattr_np(watched, &attributes);
    pthread_attr_getstack(&attributes, &begin, &bytes);
    pthread_attr_destroy(&attributes);
    stackBegin = static_cast<char *>(begin);
    stackEnd = stackBegin + bytes;
    stack_t own = {};
    own.ss_sp = memory.data();
    own.ss_size = memory.size();
    sigaltstack(&own, &oldStack);
    struct sigaction action = {};
    action.sa_sigaction = look;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
    sigaction(SIGPROF, &action, &oldAction);
    set(200);
  }
  ~Storm() {
    set(0);
    // One that is pending is taken by this handler still.
    sigaltstack(&oldStack, nullptr);
    std::signal(SIGPROF, SIG_IGN);
  }

private:
  static void set(int microseconds) {
    itimerval interval = {{0, microseconds}, {0, microseconds}};
    setitimer(ITIMER_PROF, &interval, nullptr);
  }
  std::vector<char> memory = std::vector<char>(1 << 17);
  stack_t oldStack;
  struct sigaction oldAction;
};

// The matrix library keeps its buffer for large k on the heap and lets the
// stack register point there. Products on the calling thread must not be
// interrupted by a handler then; between them they may.
TEST(Signals, NeverMeetAStackRegisterThatPointsElsewhere) {
  constexpr int64_t size = 512;
  Contract contract;
  contract.m = {0, size, 0, size};
  contract.n = {1, 0, 1, 1};
  contract.k = {2, 1, size, 0};
  int64_t extents[] = {size, size, size};
  std::vector<float> a(size * size, 1), b(size * size, 1), c(size * size);
  int64_t scratchBytes = kernels::contractScratch(contract, extents);
  auto scratch = device::Memory::allocate(scratchBytes + 64, false);
  ASSERT_TRUE(scratch.ok());
  signals = misplaced = 0;
  kernels::LibraryThreads alone(1);
  {
    Storm storm;
    auto start = std::chrono::steady_clock::now();
    while (signals.load() < 100 &&
           std::chrono::steady_clock::now() - start < std::chrono::seconds(10))
      ASSERT_TRUE(kernels::contract(contract, extents, a.data(), b.data(),
                                    c.data(), 1, scratch->data(),
                                    scratchBytes));
  }
  EXPECT_GT(signals.load(), 0);
  EXPECT_EQ(misplaced.load(), 0);
  EXPECT_EQ(c.front(), size);
}

std::vector<int> blockedNow() {
  sigset_t mask;
  pthread_sigmask(SIG_BLOCK, nullptr, &mask);
  std::vector<int> blocked;
  for (int signal :
       {SIGINT, SIGTERM, SIGALRM, SIGCHLD, SIGUSR1, SIGSEGV, SIGFPE})
    if (sigismember(&mask, signal))
      blocked.push_back(signal);
  return blocked;
}

// Scopes nest and leave the mask as they found it; faults always come through.
TEST(Signals, ScopesNest) {
  std::vector<int> before = blockedNow();
  std::vector<int> all = {SIGINT, SIGTERM, SIGALRM, SIGCHLD, SIGUSR1};
  {
    SignalsBlocked outer;
    EXPECT_EQ(blockedNow(), all);
    {
      SignalsBlocked inner;
      EXPECT_EQ(blockedNow(), all);
    }
    EXPECT_EQ(blockedNow(), all);
  }
  EXPECT_EQ(blockedNow(), before);
}

// Threads of a pool never take them; the thread that calls it does.
TEST(Signals, AreBlockedInWorkers) {
  actor::WorkerPool pool(2);
  std::vector<int> before = blockedNow(), blocked[2];
  pool.run([&](int worker) { blocked[worker] = blockedNow(); });
  EXPECT_EQ(blocked[0], before);
  EXPECT_EQ(blocked[1],
            (std::vector<int>{SIGINT, SIGTERM, SIGALRM, SIGCHLD, SIGUSR1}));
}

} // namespace
