// SPDX-License-Identifier: Apache-2.0
#include "tools/weir/Train.h"
#include "runtime/base/Sha256.h"
#include "runtime/base/Strings.h"
#include "runtime/io/File.h"
#include "runtime/io/Job.h"
#include "runtime/plan/Artifact.h"
#include "tools/common/ToolMain.h"
#include "tools/weir/CompileKey.h"
#include "tools/weir/Process.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <unistd.h>

namespace weir {

namespace {

struct TrainFlags {
  std::string job;
  std::vector<std::string> overrides;
  bool resume = false, checked = false, memory = false, json = false;
  bool recompile = false, compileOnly = false;
  int64_t workers = -1, threads = -1;
  std::string metrics, progress, trace, dumpDir, report;
};

/// The batch of the entry `forward`, which a run uses to sample one text: a row
/// for each part that the batch is split into, so that no rank is idle.
int64_t forwardBatch(const Job &job) {
  int64_t parts = 1;
  for (size_t i = 0; i < job.mesh.size() && i < job.strategies.size(); ++i)
    if (splitsBatch(job.strategies[i]))
      parts *= job.mesh[i].size;
  return std::min(parts, job.batch);
}

/// Compiles to `artifact`, which appears whole or not at all.
Status compile(const std::string &compiler, const TrainFlags &flags,
               const Job &job, const std::string &artifact, int &exitCode) {
  std::string temporary = artifact + ".tmp-" + std::to_string(::getpid());
  std::vector<std::string> arguments = {flags.job, "-o", temporary,
                                        "--forward-batch=" +
                                            std::to_string(forwardBatch(job))};
  for (const std::string &item : flags.overrides)
    arguments.push_back("--set=" + item);
  if (!flags.dumpDir.empty())
    arguments.push_back("--dump-dir=" + flags.dumpDir);
  if (!flags.report.empty())
    arguments.push_back("--report=" + flags.report);
  if (flags.progress != "none")
    std::fprintf(stderr, "compiling %s\n", flags.job.c_str());
  WEIR_ASSIGN_OR_RETURN(ProcessEnd end, runProcess(compiler, arguments));
  if (end.signal || end.code) {
    std::remove(temporary.c_str());
    if (end.signal)
      endBySignal(end.signal);
    exitCode = end.code;
    return okStatus();
  }
  if (!fileExists(temporary))
    return Status(StatusCode::ToolFailed,
                  compiler + ": ended well but wrote no artifact");
  if (std::rename(temporary.c_str(), artifact.c_str()) != 0) {
    int error = errno;
    std::remove(temporary.c_str());
    return Status(StatusCode::OutputError,
                  artifact + ": cannot write: " + std::strerror(error));
  }
  return okStatus();
}

/// The artifact of the job in the cache, compiled where it is not there.
StatusOr<std::string> findArtifact(const std::string &folder,
                                   const TrainFlags &flags, int &exitCode) {
  std::string compiler = folder + "/weir-compile";
  JobOptions options;
  options.overrides = flags.overrides;
  WEIR_ASSIGN_OR_RETURN(Job job, readJob(flags.job, options));
  if (!fileExists(compiler))
    return Status(StatusCode::ToolFailed,
                  compiler + ": not found; this installation has the run side "
                             "only: compile elsewhere, then use weir run "
                             "--train");
  WEIR_ASSIGN_OR_RETURN(std::string description,
                        describeCompilation(job, compiler));
  WEIR_ASSIGN_OR_RETURN(std::string cache, cacheFolder());
  auto cacheError = [](const Status &status) {
    return Status(status.code(),
                  status.message() +
                      "; compiled models are kept there: set WEIR_CACHE to a "
                      "folder that can be written");
  };
  if (Status status = makeDirectories(cache); !status.ok())
    return cacheError(status);
  std::string place = cache + "/" + sha256Hex(description);
  std::string artifact = place + ".weir";
  bool fresh = !flags.recompile && flags.dumpDir.empty() &&
               flags.report.empty() && fileExists(artifact);
  // A damaged file or one of another version is made anew.
  if (fresh && plan::ArtifactReader::open(artifact).ok())
    return artifact;
  if (Status status = writeFile(place + ".json", description); !status.ok())
    return cacheError(status);
  WEIR_RETURN_IF_ERROR(compile(compiler, flags, job, artifact, exitCode));
  return artifact;
}

} // namespace

Status trainCommand(const std::string &folder,
                    const std::vector<std::string> &arguments, int &exitCode) {
  TrainFlags flags;
  CommandLine line(
      "weir train", "JOB [flags]",
      "Trains as a job file says (docs/reference/job.md): compiles "
      "the model unless that was done before, then runs the job. "
      "Run-time settings (data, steps, learning rate, decay, "
      "schedule, clipping, seed, ...) compile nothing anew.");
  line.positional("JOB", &flags.job, "a job file");
  line.flag("set", &flags.overrides, "KEY=VALUE",
            "override a key of the job: --set optimizer.lr=3e-5");
  line.flag("resume", &flags.resume,
            "go on from the newest checkpoint in the job's save.folder");
  line.section("running");
  line.flag("workers", &flags.workers, "N",
            "threads that serve the devices of a mesh, as the key `workers`");
  line.flag("threads", &flags.threads, "N",
            "threads of a run on one device, as the key `threads`");
  line.flag("metrics", &flags.metrics, "FILE",
            "where a line of JSON a step goes");
  line.choice("progress", &flags.progress, {"auto", "bar", "plain", "none"},
              "how progress is shown");
  line.flag("trace", &flags.trace, "FILE",
            "write a Chrome trace of the last step");
  line.flag("checked", &flags.checked,
            "watch every action for writes outside of its buffers (slow)");
  line.flag("memory", &flags.memory, "print where memory goes");
  line.flag("json", &flags.json, "print results as JSON");
  line.section("compiling");
  line.flag("recompile", &flags.recompile, "compile even if that was done");
  line.flag("compile-only", &flags.compileOnly,
            "print the artifact's path instead of running it");
  line.flag("dump-dir", &flags.dumpDir, "DIR",
            "compile, and write the IR after each phase there");
  line.flag("report", &flags.report, "FILE",
            "compile, and write the compiler's decisions as JSON there");
  line.epilogue(
      "Compiled models are kept in $WEIR_CACHE (~/.cache/weir by default); "
      "deleting them is\nharmless. Exit codes: docs/reference/exit-codes.md.");
  WEIR_RETURN_IF_ERROR(line.parse(arguments));
  if (line.helpRequested())
    return printOut(line.helpText());
  // The two are keys of the job: compiler and run must see the same.
  if (line.given("workers"))
    flags.overrides.push_back("workers=" + std::to_string(flags.workers));
  if (line.given("threads"))
    flags.overrides.push_back("threads=" + std::to_string(flags.threads));

  WEIR_ASSIGN_OR_RETURN(std::string artifact,
                        findArtifact(folder, flags, exitCode));
  if (exitCode != 0)
    return okStatus();
  if (flags.compileOnly)
    return printOut(artifact + "\n");
  std::vector<std::string> run = {artifact, "--train=" + flags.job};
  for (const std::string &item : flags.overrides)
    run.push_back("--set=" + item);
  auto pass = [&](const char *name, const std::string &value) {
    if (!value.empty())
      run.push_back("--" + std::string(name) + "=" + value);
  };
  pass("metrics", flags.metrics);
  pass("progress", flags.progress);
  pass("trace", flags.trace);
  if (flags.resume)
    run.push_back("--resume");
  if (flags.checked)
    run.push_back("--checked");
  if (flags.memory)
    run.push_back("--memory");
  if (flags.json)
    run.push_back("--json");
  std::fflush(stdout);
  return becomeProcess(folder + "/weir-run", run);
}

} // namespace weir
