// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_TOOLS_WEIR_PROCESS_H
#define WEIR_TOOLS_WEIR_PROCESS_H

#include "runtime/base/Status.h"

#include <string>
#include <vector>

namespace weir {

/// How a process ended.
struct ProcessEnd {
  /// Its exit code; meaningless where a signal ended it.
  int code = 0;
  /// The signal that ended it, or 0.
  int signal = 0;
};

/// Runs a program with this process's streams and waits for it. SIGINT and
/// SIGTERM that come meanwhile are passed on to it. ToolFailed where it cannot
/// be started.
StatusOr<ProcessEnd> runProcess(const std::string &program,
                                const std::vector<std::string> &arguments);

/// Becomes that program. Returns only where it cannot be started: ToolFailed.
Status becomeProcess(const std::string &program,
                     const std::vector<std::string> &arguments);

/// Ends this process with the signal that ended another, so that the caller
/// sees the same end.
[[noreturn]] void endBySignal(int signal);

/// The folder that holds this program's own file.
StatusOr<std::string> ownFolder();

} // namespace weir

#endif // WEIR_TOOLS_WEIR_PROCESS_H
