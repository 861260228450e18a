// SPDX-License-Identifier: Apache-2.0
// weir-compile: a job, a model folder or IR text to an artifact.
#include "tools/common/ToolMain.h"
#include "tools/weir-compile/Flags.h"

using namespace weir;

static Status run(int argc, char **argv) {
  CompileFlags flags;
  CommandLine line("weir-compile", "[flags] MODEL|JOB",
                   "Compiles a model to an artifact that weir-run executes.");
  declareFlags(line, flags);
  WEIR_RETURN_IF_ERROR(line.parse(argc - 1, argv + 1));
  if (line.helpRequested())
    return printOut(line.helpText());
  WEIR_ASSIGN_OR_RETURN(compiler::CompileOptions options,
                        resolveFlags(line, flags));
  std::array<double, compiler::numPhases> seconds = {};
  Status status = compiler::compile(
      options,
      [](const std::string &message) {
        std::fprintf(stderr, "weir-compile: %s\n", message.c_str());
      },
      &seconds);
  if (status.ok() && flags.verbose)
    for (int i = static_cast<int>(options.startAt);
         i <= static_cast<int>(options.stopAfter); ++i)
      std::fprintf(stderr, "%-9s %8.3f s\n", compiler::phaseNames()[i],
                   seconds[i]);
  return status;
}

int main(int argc, char **argv) {
  return reportStatus("weir-compile", run(argc, argv));
}
