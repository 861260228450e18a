// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_TOOLS_RUN_MODES_H
#define WEIR_TOOLS_RUN_MODES_H

#include "runtime/base/Status.h"
#include "runtime/train/Progress.h"

#include <cstdint>
#include <string>
#include <vector>

namespace weir {

/// What the command line says; see `weir-run --help`.
struct RunFlags {
  std::string artifact;
  // Training.
  std::string job;
  std::vector<std::string> overrides;
  bool resume = false;
  std::string metrics;
  ProgressKind progress = ProgressKind::Auto;
  bool serve = false;
  int64_t warmup = 3;
  // One entry.
  std::string entry;
  std::string weights, state;
  int64_t seed = 0;
  std::vector<std::string> inputs;
  std::string inputFile;
  std::string output;
  std::string saveState;
  int64_t repeat = 1;
  // Both.
  int64_t workers = 0;
  int64_t threads = 0;
  bool checked = false;
  std::string trace;
  bool memory = false;
  bool json = false;
};

/// Runs a job to its end.
Status runTraining(const RunFlags &flags);
/// Runs train steps on request: prints `ready {settings}` after the warm-up;
/// answers a line `step` on standard input with the step's seconds, `loss` with
/// the last loss; `quit` or the end of input ends it.
Status serveSteps(const RunFlags &flags);
/// Runs an entry and prints what it gives.
Status runEntry(const RunFlags &flags);

} // namespace weir

#endif // WEIR_TOOLS_RUN_MODES_H
