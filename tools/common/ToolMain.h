// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_TOOLS_COMMON_TOOLMAIN_H
#define WEIR_TOOLS_COMMON_TOOLMAIN_H

#include "runtime/base/CommandLine.h"
#include "runtime/base/Status.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>

namespace weir {

/// Prints a failure as "tool: error: message" on standard error and returns the
/// exit code of the status.
inline int reportStatus(const char *tool, const Status &status) {
  if (!status.ok() && !status.message().empty()) {
    std::fflush(stdout);
    // A stop that was asked for is no error.
    const char *kind = status.code() == StatusCode::Stopped ? "" : "error: ";
    std::fprintf(stderr, "%s: %s%s\n", tool, kind, status.message().c_str());
  }
  return static_cast<int>(status.code());
}

/// Writes to standard output; OutputError where that fails (a full disk, a
/// closed pipe).
inline Status printOut(const std::string &text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() ||
      std::fflush(stdout) != 0)
    return Status(StatusCode::OutputError,
                  std::string("cannot write to standard output: ") +
                      std::strerror(errno));
  return okStatus();
}

} // namespace weir

#endif // WEIR_TOOLS_COMMON_TOOLMAIN_H
