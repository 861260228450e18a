// SPDX-License-Identifier: Apache-2.0
#include "tools/weir/Process.h"
#include "runtime/io/File.h"

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

namespace weir {

static volatile pid_t childProcess = 0;

static void passOn(int signal) {
  if (childProcess > 0)
    ::kill(childProcess, signal);
}

static Status cannotStart(const std::string &program, int error) {
  return Status(StatusCode::ToolFailed,
                program + ": cannot be started: " + std::strerror(error));
}

static std::vector<char *> argumentList(const std::string &program,
                                        const std::vector<std::string> &list) {
  std::vector<char *> pointers = {const_cast<char *>(program.c_str())};
  for (const std::string &argument : list)
    pointers.push_back(const_cast<char *>(argument.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

StatusOr<ProcessEnd> runProcess(const std::string &program,
                                const std::vector<std::string> &arguments) {
  std::vector<char *> list = argumentList(program, arguments);
  // The child reports through the pipe why it could not become the program; a
  // successful exec closes it.
  int report[2];
  if (::pipe2(report, O_CLOEXEC) != 0)
    return cannotStart(program, errno);

  struct sigaction action = {}, oldInterrupt, oldTerminate;
  action.sa_handler = passOn;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;
  // Signals that come before the child is known would be lost: hold them.
  sigset_t held, oldMask;
  sigemptyset(&held);
  sigaddset(&held, SIGINT);
  sigaddset(&held, SIGTERM);
  sigprocmask(SIG_BLOCK, &held, &oldMask);
  sigaction(SIGINT, &action, &oldInterrupt);
  sigaction(SIGTERM, &action, &oldTerminate);

  pid_t child = ::fork();
  if (child == 0) {
    sigaction(SIGINT, &oldInterrupt, nullptr);
    sigaction(SIGTERM, &oldTerminate, nullptr);
    sigprocmask(SIG_SETMASK, &oldMask, nullptr);
    ::execv(program.c_str(), list.data());
    int error = errno;
    ssize_t ignored = ::write(report[1], &error, sizeof(error));
    (void)ignored;
    ::_exit(127);
  }
  int forkError = errno;
  childProcess = child;
  sigprocmask(SIG_SETMASK, &oldMask, nullptr);
  ::close(report[1]);
  int startError = child < 0 ? forkError : 0;
  if (child > 0) {
    ssize_t got;
    do
      got = ::read(report[0], &startError, sizeof(startError));
    while (got < 0 && errno == EINTR);
    if (got != sizeof(startError))
      startError = 0;
  }
  ::close(report[0]);
  int state = 0;
  if (child > 0)
    while (::waitpid(child, &state, 0) < 0 && errno == EINTR)
      ;
  childProcess = 0;
  sigaction(SIGINT, &oldInterrupt, nullptr);
  sigaction(SIGTERM, &oldTerminate, nullptr);
  if (startError)
    return cannotStart(program, startError);
  ProcessEnd end;
  if (WIFSIGNALED(state))
    end.signal = WTERMSIG(state);
  else
    end.code = WEXITSTATUS(state);
  return end;
}

Status becomeProcess(const std::string &program,
                     const std::vector<std::string> &arguments) {
  std::vector<char *> list = argumentList(program, arguments);
  ::execv(program.c_str(), list.data());
  return cannotStart(program, errno);
}

void endBySignal(int signal) {
  std::signal(signal, SIG_DFL);
  std::raise(signal);
  std::_Exit(128 + signal); // for signals that do not end a process
}

StatusOr<std::string> ownFolder() {
  std::string path(4096, '\0');
  ssize_t size = ::readlink("/proc/self/exe", path.data(), path.size());
  if (size <= 0 || size == static_cast<ssize_t>(path.size()))
    return Status(StatusCode::ToolFailed,
                  "cannot tell where this program lies (/proc/self/exe)");
  path.resize(size);
  return parentPath(path);
}

} // namespace weir
