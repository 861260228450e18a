// SPDX-License-Identifier: Apache-2.0
#include "runtime/base/SignalsBlocked.h"

#include <csignal>
#include <initializer_list>
#include <pthread.h>

namespace weir {

static thread_local int depth = 0;
static thread_local sigset_t outside; // what was blocked before

SignalsBlocked::SignalsBlocked() {
  if (depth++ > 0)
    return;
  sigset_t set;
  sigfillset(&set);
  for (int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT})
    sigdelset(&set, fault);
  pthread_sigmask(SIG_BLOCK, &set, &outside);
}

SignalsBlocked::~SignalsBlocked() {
  if (--depth == 0)
    pthread_sigmask(SIG_SETMASK, &outside, nullptr);
}

} // namespace weir
