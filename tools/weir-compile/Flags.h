// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_TOOLS_WEIRCOMPILE_FLAGS_H
#define WEIR_TOOLS_WEIRCOMPILE_FLAGS_H

#include "compiler/Driver/Driver.h"
#include "runtime/base/CommandLine.h"

#include <optional>
#include <string>
#include <vector>

namespace weir {

/// The flags of weir-compile as given.
struct CompileFlags {
  std::string model;
  std::vector<std::string> overrides; // --set
  std::string mesh, strategy, optimizer;
  std::vector<std::string> layouts;
  int64_t microBatches = 0, batch = 0, sequence = 0, threads = -1;
  std::string stopAfter, startAt;
  bool verbose = false;
  compiler::CompileOptions options;
};

/// Declares the flags; `flags` must outlive the command line.
void declareFlags(CommandLine &line, CompileFlags &flags);

/// Reads the job or makes one of the model and the flags: everything that a
/// compilation needs. Errors of flags are CommandLine.
StatusOr<compiler::CompileOptions> resolveFlags(const CommandLine &line,
                                                const CompileFlags &flags);

} // namespace weir

#endif // WEIR_TOOLS_WEIRCOMPILE_FLAGS_H
