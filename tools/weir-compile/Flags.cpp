// SPDX-License-Identifier: Apache-2.0
#include "tools/weir-compile/Flags.h"

#include "runtime/base/Json.h"
#include "runtime/base/Strings.h"
#include "runtime/io/File.h"

namespace weir {

using compiler::CompileOptions;
using compiler::Phase;

void declareFlags(CommandLine &line, CompileFlags &flags) {
  std::vector<std::string> phases(compiler::phaseNames().begin(),
                                  compiler::phaseNames().end());
  line.positional("MODEL|JOB", &flags.model,
                  "a job file (.json), a Hugging Face folder, or graph MLIR "
                  "text (.mlir); with --start-at the IR to go on from");
  line.flag("output", &flags.options.output, "FILE",
            "where the artifact goes (model.weir), or the IR with "
            "--stop-after; - is standard output");
  line.alias('o', "output");
  line.section("model and mesh");
  line.flag("set", &flags.overrides, "KEY=VALUE",
            "override a key of the job: --set model.config.layers=2");
  line.flag("mesh", &flags.mesh, "AXES", "devices as named axes: dp=2,tp=2");
  line.flag("micro-batches", &flags.microBatches, "N",
            "parts into which a step's batch is cut");
  line.flag("strategy", &flags.strategy, "LIST",
            "how axes are used: dp:data,tp:megatron (or none)");
  line.flag(
      "cluster", &flags.options.cluster, "FILE",
      "what the devices and their links are, for costs (docs/cluster.md); "
      "default: the devices are threads of one process");
  line.flag("layout", &flags.layouts, "GLOB:AXIS:LAYOUT",
            "layout of variables on an axis: 'h.*.mlp.*:tp:S(0)'");
  line.flag("batch", &flags.batch, "N", "sequences a step (default 1)");
  line.flag("sequence", &flags.sequence, "N",
            "tokens a sequence (default 128)");
  line.flag("optimizer", &flags.optimizer, "KIND", "adamw or sgd");
  line.flag("threads", &flags.threads, "N",
            "threads of a run on one device; 0 is the machine's cores");
  line.flag("forward-batch", &flags.options.forwardBatch, "N",
            "batch of the entry forward; 0 is the batch of a step");
  line.flag("emit-gradients", &flags.options.emitGradients,
            "also output every gradient of a training step");
  line.section("code");
  line.choice("cpu", &flags.options.cpu, {"host", "x86-64-v3", "x86-64-v4"},
              "processor to compile for");
  line.flag("fuse", &flags.options.fuse, "fuse pieces into common kernels");
  line.section("looking inside");
  line.choice("stop-after", &flags.stopAfter, phases,
              "stop after a phase and write the IR");
  line.choice("start-at", &flags.startAt, phases,
              "start at a phase, from IR text");
  line.flag("dump-dir", &flags.options.dumpDir, "DIR",
            "write the IR after each phase there, with an index");
  line.flag("report", &flags.options.report, "FILE",
            "write decisions, memory and communication as JSON there");
  line.flag("explain", &flags.options.explain,
            "put into artifact and report why tensors lie as they do (weir "
            "inspect --sharding)");
  line.flag("verbose", &flags.verbose, "print the time of each phase");
  line.epilogue(
      "Exit codes: 0 compiled, 1 diagnostics, 2 command line, 3 input "
      "unreadable or malformed, 4 unsupported model, 6 output not "
      "writable, 70 internal error.");
}

namespace {

Status commandLine(std::string message) {
  return Status(StatusCode::CommandLine, std::move(message));
}

/// "GLOB:AXIS:LAYOUT"; the glob may hold colons itself.
StatusOr<LayoutOverride> parseLayoutFlag(const std::string &text) {
  size_t last = text.rfind(':');
  size_t middle = last == std::string::npos || last == 0
                      ? std::string::npos
                      : text.rfind(':', last - 1);
  if (middle == std::string::npos || middle == 0)
    return commandLine("--layout: expects GLOB:AXIS:LAYOUT, as in "
                       "'h.*.mlp.*:tp:S(0)', got '" +
                       printable(text) + "'");
  LayoutOverride item;
  item.match = text.substr(0, middle);
  item.layouts = {
      {text.substr(middle + 1, last - middle - 1), text.substr(last + 1)}};
  return item;
}

/// A job file's text for a model that comes without one.
std::string jobOfModel(const CompileFlags &flags) {
  JsonWriter json;
  json.beginObject().key("model").beginObject();
  json.member(isDirectory(flags.model) ? "folder" : "mlir",
              absolutePath(flags.model));
  json.endObject();
  json.member("batch", 1).member("sequence", 128).member("steps", 1);
  json.endObject();
  return json.take();
}

} // namespace

StatusOr<CompileOptions> resolveFlags(const CommandLine &line,
                                      const CompileFlags &flags) {
  CompileOptions options = flags.options;
  if (!flags.startAt.empty())
    options.startAt = *compiler::parsePhase(flags.startAt);
  if (!flags.stopAfter.empty())
    options.stopAfter = *compiler::parsePhase(flags.stopAfter);
  if (options.output.empty())
    options.output = options.stopAfter == Phase::Artifact ? "model.weir" : "-";
  if (options.output == "-" && options.stopAfter == Phase::Artifact)
    return commandLine("--output: an artifact is not text; name a file");
  if (options.forwardBatch < 0)
    return commandLine("--forward-batch: expects at least 0, got " +
                       std::to_string(options.forwardBatch));

  JobOptions jobOptions;
  jobOptions.needsData = false;
  // Flags are keys of the job under shorter names; --set comes last and wins.
  std::vector<std::string> &set = jobOptions.overrides;
  auto number = [&](const char *flag, const char *key, int64_t value) {
    if (line.given(flag))
      set.push_back(std::string(key) + "=" + std::to_string(value));
  };
  if (line.given("mesh"))
    set.push_back("mesh=" + flags.mesh);
  number("micro-batches", "micro_batches", flags.microBatches);
  number("batch", "batch", flags.batch);
  number("sequence", "sequence", flags.sequence);
  number("threads", "threads", flags.threads);
  if (line.given("optimizer"))
    set.push_back("optimizer.kind=" + flags.optimizer);
  for (const std::string &item : split(flags.strategy, ',')) {
    std::vector<std::string> parts = split(item, ':');
    if (parts.size() != 2)
      return commandLine("--strategy: expects AXIS:STRATEGY, as in dp:data, "
                         "got '" +
                         printable(item) + "'");
    set.push_back("strategy." + parts[0] + "=" + parts[1]);
  }
  set.insert(set.end(), flags.overrides.begin(), flags.overrides.end());

  bool isIr = options.startAt != Phase::Import;
  if (isIr)
    options.input = flags.model;
  if (!isIr && !isDirectory(flags.model) && !endsWith(flags.model, ".mlir")) {
    WEIR_ASSIGN_OR_RETURN(options.job, readJob(flags.model, jobOptions));
  } else {
    StatusOr<Job> job = parseJob(jobOfModel(flags), "command line", jobOptions);
    // There is no file: whatever is wrong with the job came from the flags.
    if (!job.ok())
      return commandLine(job.status().message());
    options.job = *std::move(job);
    options.job.name = isIr ? "" : fileName(absolutePath(flags.model));
  }

  std::vector<LayoutOverride> layouts;
  for (const std::string &text : flags.layouts) {
    WEIR_ASSIGN_OR_RETURN(LayoutOverride item, parseLayoutFlag(text));
    const std::string &axis = item.layouts.front().first;
    std::vector<std::string> axes;
    for (const MeshAxis &meshAxis : options.job.mesh)
      axes.push_back(meshAxis.name);
    bool known = false;
    for (const std::string &name : axes)
      known |= name == axis;
    if (!known)
      return commandLine("--layout: the mesh has no axis '" + printable(axis) +
                         "'" + suggestion(axis, axes));
    layouts.push_back(std::move(item));
  }
  options.job.layouts.insert(options.job.layouts.begin(), layouts.begin(),
                             layouts.end());
  return options;
}

} // namespace weir
