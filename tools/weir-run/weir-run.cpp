// SPDX-License-Identifier: Apache-2.0
// weir-run: executes an artifact: one entry, or a whole training job.
#include "tools/common/ToolMain.h"
#include "tools/weir-run/Modes.h"

#include <cstdlib>
#include <unistd.h>

using namespace weir;

static const char tool[] = "weir-run";

static Status commandLineError(const std::string &text) {
  return Status(StatusCode::CommandLine, text + " (see weir-run --help)");
}

/// What the parser cannot see: flags that do not go together.
static Status checkFlags(const CommandLine &line, const RunFlags &flags) {
  bool training = !flags.job.empty();
  if (training == !flags.entry.empty())
    return commandLineError("expects one of --train=JOB and --entry=NAME");
  for (const char *name :
       {"set", "resume", "metrics", "progress", "serve-steps", "warmup"})
    if (!training && line.given(name))
      return commandLineError("--" + std::string(name) + ": needs --train=JOB");
  for (const char *name : {"weights", "state", "seed", "input", "inputs",
                           "output", "save-state", "repeat"})
    if (training && line.given(name))
      return commandLineError("--" + std::string(name) +
                              ": needs --entry=NAME; the job says what is "
                              "trained");
  for (const char *name : {"resume", "metrics", "progress", "trace", "json"})
    if (flags.serve && line.given(name))
      return commandLineError("--" + std::string(name) +
                              ": does not go with --serve-steps");
  if (line.given("warmup") && !flags.serve)
    return commandLineError("--warmup: needs --serve-steps");
  struct {
    const char *name;
    int64_t value, low, high;
  } ranges[] = {{"workers", flags.workers, 0, 4096},
                {"threads", flags.threads, 0, 4096},
                {"repeat", flags.repeat, 1, 1000000000},
                {"warmup", flags.warmup, 0, 1000000},
                {"seed", flags.seed, 0, 0xFFFFFFFFll}};
  for (const auto &range : ranges)
    if (range.value < range.low || range.value > range.high)
      return commandLineError("--" + std::string(range.name) + ": expects " +
                              std::to_string(range.low) + " to " +
                              std::to_string(range.high) + ", got " +
                              std::to_string(range.value));
  return okStatus();
}

/// The threads of a one-device program meet at the end of each kernel. libgomp
/// lets them spin there for milliseconds while it believes that it has the cores
/// for itself; where another process wants one, each meeting then costs a time
/// slice of the system, and a small model trains tens of times slower. So take
/// libgomp's own bound for crowded cores, 1,000 rounds, everywhere. It reads the
/// setting before main: hence once more from the start.
static void boundSpinning(char **argv) {
  if (std::getenv("GOMP_SPINCOUNT") || std::getenv("OMP_WAIT_POLICY"))
    return;
  ::setenv("GOMP_SPINCOUNT", "1000", 1);
  ::execv("/proc/self/exe", argv);
}

int main(int argc, char **argv) {
  boundSpinning(argv);
  RunFlags flags;
  std::string progress = "auto";
  CommandLine line(
      tool, "ARTIFACT --train=JOB | --entry=NAME [flags]",
      "Executes an artifact that weir compile wrote: trains as a "
      "job file says, or runs one entry. An artifact holds machine "
      "code: run only what you trust.");
  line.positional("ARTIFACT", &flags.artifact, "the artifact (model.weir)");
  line.section("training");
  line.flag("train", &flags.job, "JOB", "train as this job file says");
  line.flag("set", &flags.overrides, "KEY=VALUE",
            "override a key of the job file: --set optimizer.lr=3e-5");
  line.flag("resume", &flags.resume,
            "go on from the newest checkpoint in the job's save.folder");
  line.flag("metrics", &flags.metrics, "FILE",
            "where a line of JSON a step goes (metrics.jsonl in the job's log "
            "folder by default)");
  line.choice("progress", &progress, {"auto", "bar", "plain", "none"},
              "how progress is shown on standard error; auto is a bar on a "
              "terminal and plain lines elsewhere");
  line.flag("serve-steps", &flags.serve,
            "for benchmarks: run a train step for each line `step` on standard "
            "input and answer with its seconds");
  line.flag("warmup", &flags.warmup, "N",
            "steps that --serve-steps runs before it is ready (3)");
  line.section("one entry");
  line.flag("entry", &flags.entry, "NAME", "run this entry");
  line.flag("weights", &flags.weights, "PATH",
            "load variables from a safetensors file or a model folder");
  line.flag("state", &flags.state, "FILE",
            "load all variables, optimizer state included, from a file that "
            "--save-state wrote");
  line.flag("seed", &flags.seed, "N",
            "seed of the variables' random first values (0)");
  line.flag("input", &flags.inputs, "NAME=X",
            "an input: a number for all its elements, or "
            "FILE.safetensors[:TENSOR]");
  line.flag("inputs", &flags.inputFile, "FILE",
            "a safetensors file with tensors under the inputs' names");
  line.flag("output", &flags.output, "FILE",
            "save all outputs to a safetensors file");
  line.flag("save-state", &flags.saveState, "FILE",
            "save all variables to a safetensors file after the last run");
  line.flag("repeat", &flags.repeat, "N", "run it so many times (1)");
  line.section("both");
  line.flag("workers", &flags.workers, "N",
            "threads that serve the ranks; 0 is min(cores, ranks)");
  line.flag("threads", &flags.threads, "N",
            "refuse an artifact that was not compiled for N threads a rank");
  line.flag("checked", &flags.checked,
            "watch every action for writes outside of its buffers (slow)");
  line.flag("trace", &flags.trace, "FILE",
            "write a Chrome trace of the last step (Perfetto opens it)");
  line.flag("memory", &flags.memory,
            "print where memory goes and who allocates");
  line.flag("json", &flags.json, "print results as JSON");
  line.epilogue(
      "Exit codes: 0 ok, 2 command line, 3 input unreadable or malformed, 6 "
      "output not\nwritable, 8 artifact incompatible, 9 runtime error, 10 "
      "stopped by a signal after\nsaving, 11 diverged.");
  Status status = line.parse(argc - 1, argv + 1);
  if (status.ok() && line.helpRequested())
    return reportStatus(tool, printOut(line.helpText()));
  if (status.ok())
    status = checkFlags(line, flags);
  if (status.ok()) {
    flags.progress = *parseProgress(progress);
    status = flags.job.empty() ? runEntry(flags)
             : flags.serve     ? serveSteps(flags)
                               : runTraining(flags);
  }
  return reportStatus(tool, status);
}
