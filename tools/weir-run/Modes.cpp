// SPDX-License-Identifier: Apache-2.0
#include "tools/weir-run/Modes.h"
#include "runtime/base/Format.h"
#include "runtime/base/Json.h"
#include "runtime/base/Strings.h"
#include "runtime/io/File.h"
#include "runtime/train/Resident.h"
#include "runtime/train/StopSignals.h"
#include "runtime/train/Trainer.h"
#include "tools/common/ToolMain.h"
#include "tools/weir-run/Inputs.h"
#include "tools/weir-run/MemoryUse.h"

#include <algorithm>
#include <chrono>
#include <iostream>

namespace weir {

namespace {

double now() {
  return std::chrono::duration<double>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

/// A program and what of the artifact the run needs besides.
struct Loaded {
  std::shared_ptr<const Program> program;
  std::string modelConfig;
};

/// Loads the artifact on as many workers as `workers` says for its ranks.
template <typename Workers>
StatusOr<Loaded> load(const RunFlags &flags, const Workers &workers) {
  WEIR_ASSIGN_OR_RETURN(plan::ArtifactReader reader,
                        plan::ArtifactReader::open(flags.artifact));
  int64_t ranks = 1;
  for (const plan::MeshAxis &axis : reader.manifest().mesh)
    if (!axis.time)
      ranks *= axis.size;
  int64_t team = reader.manifest().teamSize;
  if (flags.threads > 0 && flags.threads != team)
    return Status(StatusCode::CommandLine,
                  "threads=" + std::to_string(flags.threads) + ": " +
                      flags.artifact + " was compiled for " +
                      std::to_string(team) +
                      (team == 1 ? " thread" : " threads") +
                      " a rank; the number is fixed when it is compiled, as it "
                      "decides rounding (compile it with threads=" +
                      std::to_string(flags.threads) + ")");
  Loaded loaded;
  for (const ZipEntry &member : reader.members())
    if (member.name == "model/config.json") {
      WEIR_ASSIGN_OR_RETURN(std::string_view text, reader.member(member.name));
      loaded.modelConfig = text;
    }
  RuntimeOptions options;
  options.workers = workers(ranks);
  WEIR_ASSIGN_OR_RETURN(std::shared_ptr<Runtime> runtime,
                        Runtime::create(options));
  WEIR_ASSIGN_OR_RETURN(loaded.program,
                        Program::load(std::move(runtime), reader));
  return loaded;
}

StatusOr<Job> loadJob(const RunFlags &flags) {
  JobOptions options;
  options.overrides = flags.overrides;
  if (flags.workers > 0)
    options.overrides.push_back("workers=" + std::to_string(flags.workers));
  return readJob(flags.job, options);
}

StatusOr<Loaded> loadFor(const RunFlags &flags, const Job &job) {
  RunFlags merged = flags;
  if (merged.threads == 0 && job.ranks() == 1)
    merged.threads = job.threads;
  return load(merged, [&](int64_t ranks) { return workersFor(job, ranks); });
}

std::string summary(const Job &job, const TrainReport &report) {
  const TrainProgress &progress = report.progress;
  std::string out = "trained " + std::to_string(progress.step) + " steps in " +
                    formatDuration(report.seconds) + ": loss " +
                    formatFixed(report.last.loss, 4);
  if (report.validationLoss)
    out += ", validation loss " + formatFixed(*report.validationLoss, 4);
  out += "\n";
  if (progress.skipped)
    out += std::to_string(progress.skipped) +
           " updates were skipped because a value was not finite\n";
  if (!job.save.exportFolder.empty())
    out += "the model is in " + job.save.exportFolder + "\n";
  if (!report.sample.empty())
    out += "\nsample at temperature " + formatDouble(job.sample.temperature) +
           ":\n" + report.sample + "\n";
  return out;
}

} // namespace

Status runTraining(const RunFlags &flags) {
  StopSignals signals; // before the runtime's threads
  WEIR_ASSIGN_OR_RETURN(Job job, loadJob(flags));
  WEIR_ASSIGN_OR_RETURN(Loaded loaded, loadFor(flags, job));
  TrainOptions options;
  options.checked = flags.checked;
  options.traced = !flags.trace.empty();
  options.tracePath = flags.trace;
  options.modelConfig = loaded.modelConfig;
  options.resume = flags.resume;
  options.metricsPath = flags.metrics;
  options.progress = flags.progress;
  options.stop = [] { return StopSignals::received() != 0; };
  TrainReport report;
  Status status = train(job, loaded.program, options, &report);
  if (!status.ok() && status.code() != StatusCode::Stopped)
    return status;
  if (flags.json) {
    JsonWriter json;
    json.beginObject()
        .member("steps", report.progress.step)
        .member("skipped", report.progress.skipped)
        .member("stopped", status.code() == StatusCode::Stopped)
        .member("loss", report.last.loss)
        .key("validation_loss");
    if (report.validationLoss)
      json.value(*report.validationLoss);
    else
      json.null();
    json.member("seconds", report.seconds)
        .member("metrics", options.metricsPath.empty()
                               ? job.logFolder + "/metrics.jsonl"
                               : options.metricsPath);
    if (job.sample.tokens > 0 && status.ok())
      json.member("sample", report.sample);
    json.key("memory");
    writeMemory(json, report.memory, report.residentBytes);
    json.endObject();
    WEIR_RETURN_IF_ERROR(printOut(json.take()));
    return status;
  }
  if (status.ok())
    WEIR_RETURN_IF_ERROR(printOut(summary(job, report)));
  if (flags.memory)
    WEIR_RETURN_IF_ERROR(
        printOut(memoryText(report.memory, report.residentBytes)));
  return status;
}

Status serveSteps(const RunFlags &flags) {
  WEIR_ASSIGN_OR_RETURN(Job job, loadJob(flags));
  WEIR_ASSIGN_OR_RETURN(Loaded loaded, loadFor(flags, job));
  TrainerOptions options;
  options.checked = flags.checked;
  options.modelConfig = loaded.modelConfig;
  WEIR_ASSIGN_OR_RETURN(std::unique_ptr<Trainer> trainer,
                        Trainer::create(job, loaded.program, options));
  StepMetrics metrics;
  for (int64_t i = 0; i < flags.warmup; ++i)
    WEIR_RETURN_IF_ERROR(trainer->step(metrics));
  int64_t parameters = 0;
  for (const plan::VariableSignature &variable :
       loaded.program->manifest().variables)
    if (variable.kind == plan::Variable::Kind::Parameter)
      parameters += plan::elementCount(variable.shape);
  JsonWriter settings(0);
  settings.beginObject()
      .member("peer", "weir")
      .member("parameters", parameters)
      .member("batch", job.batch)
      .member("sequence", job.sequence)
      .member("ranks", loaded.program->plan().numRanks())
      .member("threads", loaded.program->plan().teamSize)
      .key("memory");
  writeMemory(settings, trainer->session().memoryReport(),
              anonymousResidentBytes());
  settings.endObject();
  WEIR_RETURN_IF_ERROR(printOut("ready " + settings.take() + "\n"));
  bool ran = flags.warmup > 0;
  std::string line;
  while (std::getline(std::cin, line)) {
    std::string request(trim(line));
    if (request == "step") {
      double start = now();
      WEIR_RETURN_IF_ERROR(trainer->step(metrics));
      double seconds = now() - start;
      ran = true;
      WEIR_RETURN_IF_ERROR(printOut(formatFixed(seconds, 6) + "\n"));
    } else if (request == "loss" && ran) {
      WEIR_RETURN_IF_ERROR(printOut(formatDouble(metrics.loss) + "\n"));
    } else if (request == "quit") {
      break;
    } else {
      return Status(StatusCode::CommandLine,
                    "expects 'step', 'quit' or, after a step, 'loss', got '" +
                        printable(request) + "'");
    }
  }
  return okStatus();
}

Status runEntry(const RunFlags &flags) {
  WEIR_ASSIGN_OR_RETURN(Loaded loaded, load(flags, [&](int64_t ranks) {
                          return static_cast<int>(
                              flags.workers > 0
                                  ? flags.workers
                                  : std::min<int64_t>(availableCores(), ranks));
                        }));
  const plan::Entry *entry = nullptr;
  std::vector<std::string> names;
  for (const plan::Entry &candidate : loaded.program->plan().entries) {
    names.push_back(candidate.name);
    if (candidate.name == flags.entry)
      entry = &candidate;
  }
  if (!entry)
    return Status(StatusCode::CommandLine,
                  "--entry: '" + printable(flags.entry) + "' is no entry of " +
                      flags.artifact + "; it has " + join(names, ", ") +
                      suggestion(flags.entry, names));
  SessionOptions options;
  options.seed = static_cast<uint32_t>(flags.seed);
  options.checked = flags.checked;
  options.traced = !flags.trace.empty();
  WEIR_ASSIGN_OR_RETURN(std::unique_ptr<Session> session,
                        Session::create(loaded.program, options));
  if (!flags.weights.empty())
    WEIR_RETURN_IF_ERROR(session->loadWeights(flags.weights));
  if (!flags.state.empty())
    WEIR_RETURN_IF_ERROR(session->loadState(flags.state));
  EntryInputs inputs;
  WEIR_RETURN_IF_ERROR(
      inputs.bind(*session, *entry, flags.inputs, flags.inputFile));
  std::vector<double> seconds;
  for (int64_t i = 0; i < flags.repeat; ++i) {
    double start = now();
    WEIR_RETURN_IF_ERROR(session->run(entry->name));
    seconds.push_back(now() - start);
  }

  if (!flags.output.empty())
    WEIR_RETURN_IF_ERROR(saveOutputs(*session, *entry, flags.output));
  if (!flags.saveState.empty())
    WEIR_RETURN_IF_ERROR(session->saveState(flags.saveState));
  if (!flags.trace.empty())
    WEIR_RETURN_IF_ERROR(session->writeTrace(entry->name, flags.trace));

  JsonWriter json;
  std::string text;
  json.beginObject().member("entry", entry->name).key("outputs").beginObject();
  for (const plan::Binding &output : entry->outputs) {
    std::string type(plan::name(output.dtype));
    text += output.name + " ";
    json.key(output.name);
    if (plan::elementCount(output.shape) == 1) {
      WEIR_ASSIGN_OR_RETURN(double value,
                            session->readScalar(entry->name, output.name));
      json.value(value);
      text += output.dtype == plan::DType::F32
                  ? formatFloat(static_cast<float>(value))
                  : formatDouble(value);
    } else {
      json.beginObject().member("type", type).key("shape").list(output.shape);
      json.endObject();
      text += type + "[";
      for (size_t i = 0; i < output.shape.size(); ++i)
        text += (i ? ", " : "") + std::to_string(output.shape[i]);
      text += flags.output.empty() ? "]  (--output=FILE saves it)" : "]";
    }
    text += "\n";
  }
  json.endObject().key("seconds").list(seconds).key("memory");
  writeMemory(json, session->memoryReport(), anonymousResidentBytes());
  json.endObject();
  if (flags.json)
    return printOut(json.take());
  if (flags.repeat > 1) {
    std::sort(seconds.begin(), seconds.end());
    text += "median of " + std::to_string(flags.repeat) +
            " runs: " + formatFixed(seconds[seconds.size() / 2], 6) +
            " s, least " + formatFixed(seconds[0], 6) + " s\n";
  }
  if (flags.memory)
    text += memoryText(session->memoryReport(), anonymousResidentBytes());
  return printOut(text);
}

} // namespace weir
