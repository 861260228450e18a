// SPDX-License-Identifier: Apache-2.0
#include "runtime/train/Trainer.h"
#include "runtime/base/Format.h"
#include "runtime/base/Json.h"
#include "runtime/base/Strings.h"
#include "runtime/data/TokenSource.h"
#include "runtime/io/File.h"
#include "runtime/train/Folder.h"
#include "runtime/train/Resident.h"
#include "runtime/train/Sampling.h"

#include <algorithm>
#include <chrono>
#include <cmath>

namespace weir {

using plan::Binding;
using plan::DType;

namespace {

constexpr const char *recompile = "; compile the artifact from the same job";

double now() {
  return std::chrono::duration<double>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

Status incompatible(const std::string &text) {
  return Status(StatusCode::IncompatibleArtifact, text + recompile);
}

std::string shapeText(const std::vector<int64_t> &shape) {
  std::vector<std::string> sizes;
  for (int64_t size : shape)
    sizes.push_back(std::to_string(size));
  return "[" + join(sizes, ",") + "]";
}

const plan::Entry *findEntry(const Program &program, const std::string &name) {
  for (const plan::Entry &entry : program.plan().entries)
    if (entry.name == name)
      return &entry;
  return nullptr;
}

const Binding *findBinding(const std::vector<Binding> &bindings,
                           const std::string &name) {
  for (const Binding &binding : bindings)
    if (binding.name == name)
      return &binding;
  return nullptr;
}

/// The entry's [batch, sequence] of token ids; an error unless its tensors are
/// `ids` and, where `labels`, `labels` of the same type and shape.
StatusOr<std::vector<int64_t>> tokenShape(const plan::Entry &entry,
                                          bool labels) {
  std::vector<int64_t> shape;
  for (const char *name : {"ids", "labels"}) {
    bool isLabels = name == std::string("labels");
    if (isLabels && !labels)
      continue;
    const Binding *binding = findBinding(entry.inputs, name);
    if (!binding || binding->dtype != DType::I32 ||
        binding->shape.size() != 2 || (isLabels && binding->shape != shape))
      return incompatible("entry '" + entry.name + "': needs an input '" +
                          name + "' of i32[batch, sequence]");
    shape = binding->shape;
  }
  for (const Binding &input : entry.inputs)
    if (!input.shape.empty() && input.name != "ids" &&
        !(labels && input.name == "labels"))
      return incompatible("entry '" + entry.name + "': input '" +
                          printable(input.name) + "' is none that a job feeds");
  return shape;
}

Status needOutput(const plan::Entry &entry, const std::string &name) {
  const Binding *output = findBinding(entry.outputs, name);
  if (!output || plan::elementCount(output->shape) != 1)
    return incompatible("entry '" + entry.name + "': needs an output '" + name +
                        "' of one element");
  return okStatus();
}

/// The number of tokens the model knows.
StatusOr<int64_t> modelVocab(const Job &job, const Program &program,
                             const std::string &config) {
  if (const plan::Entry *forward = findEntry(program, "forward"))
    if (const Binding *logits = findBinding(forward->outputs, "logits"))
      if (!logits->shape.empty())
        return logits->shape.back();
  if (!config.empty()) {
    WEIR_ASSIGN_OR_RETURN(
        JsonView view,
        parseJson(config, program.path() + ": model/config.json"));
    if (view.find("vocab_size"))
      return view.integer("vocab_size", 1);
  }
  if (job.model.config.vocab > 0)
    return job.model.config.vocab;
  if (job.data.vocab > 0)
    return job.data.vocab;
  return invalidInput("data.vocab: the model does not say how many tokens it "
                      "knows; give the number");
}

std::string checkpointName(int64_t step) {
  std::string digits = std::to_string(step);
  if (digits.size() < 6)
    digits.insert(0, 6 - digits.size(), '0');
  return "step-" + digits;
}

/// Whether a folder can be made there.
Status tryFolder(const std::string &path, const char *key) {
  StatusOr<AtomicFolder> folder = AtomicFolder::create(path);
  if (!folder)
    return std::move(folder).status().withContext(key);
  return okStatus();
}

} // namespace

int workersFor(const Job &job, int64_t ranks) {
  if (job.workers > 0)
    return static_cast<int>(job.workers);
  return static_cast<int>(std::min<int64_t>(availableCores(), ranks));
}

StatusOr<std::unique_ptr<Trainer>>
Trainer::create(const Job &job, std::shared_ptr<const Program> program,
                const TrainerOptions &options) {
  std::unique_ptr<Trainer> trainer(new Trainer());
  trainer->theJob = job;
  trainer->options = options;
  trainer->program = program;
  const plan::Entry *entry = findEntry(*program, "train");
  if (!entry)
    return incompatible(program->path() + ": has no entry 'train'");
  auto inArtifact = [&](Status status) {
    return std::move(status).withContext(program->path());
  };
  StatusOr<std::vector<int64_t>> shape = tokenShape(*entry, true);
  if (!shape)
    return inArtifact(std::move(shape).status());
  if ((*shape)[0] != job.batch || (*shape)[1] != job.sequence)
    return incompatible(program->path() + ": was compiled for batches of " +
                        shapeText(*shape) + ", the job has " +
                        shapeText({job.batch, job.sequence}));
  if (Status status = needOutput(*entry, "loss"); !status.ok())
    return inArtifact(std::move(status));
  trainer->hasGradientNorm = findBinding(entry->outputs, "gradient_norm");
  trainer->hasApplied = findBinding(entry->outputs, "applied");
  StatusOr<TrainScalars> scalars = TrainScalars::create(job, *entry);
  if (!scalars)
    return inArtifact(std::move(scalars).status());
  trainer->scalars = std::move(*scalars);

  WEIR_ASSIGN_OR_RETURN(trainer->vocab,
                        modelVocab(job, *program, options.modelConfig));
  WEIR_ASSIGN_OR_RETURN(Dataset data, openDataset(job.data, trainer->vocab));
  WEIR_ASSIGN_OR_RETURN(TrainBatches batches,
                        TrainBatches::create(data.train, job.batch,
                                             job.sequence,
                                             static_cast<uint32_t>(job.seed)));
  if (job.evaluate.every > 0)
    WEIR_RETURN_IF_ERROR(trainer->prepareEvaluation(data.validation));
  // A prompt that cannot be read should not wait for the last step.
  if (job.sample.tokens > 0)
    if (StatusOr<std::vector<int32_t>> prompt = promptTokens(
            job.sample.prompt, job.data.kind == DataKind::Text, trainer->vocab);
        !prompt)
      return std::move(prompt).status();

  SessionOptions sessionOptions;
  sessionOptions.seed = static_cast<uint32_t>(job.seed);
  sessionOptions.checked = options.checked;
  sessionOptions.traced = options.traced;
  WEIR_ASSIGN_OR_RETURN(trainer->theSession,
                        Session::create(program, sessionOptions));
  for (const plan::Segment &segment : program->plan().segments)
    trainer->bytes += segment.bytes * program->plan().numRanks();
  if (options.resume)
    WEIR_RETURN_IF_ERROR(trainer->loadCheckpoint());
  if (trainer->state.step == 0)
    WEIR_RETURN_IF_ERROR(trainer->loadWeights());
  for (const TrainScalars::Slot &slot : trainer->scalars->slots())
    WEIR_RETURN_IF_ERROR(
        trainer->theSession->bindInput("train", slot.name, slot.data, 4));
  // Steps beyond the job's serve programs that only measure.
  trainer->prefetcher = std::make_unique<Prefetcher>(
      batches, trainer->state.step, int64_t(1) << 31);
  return trainer;
}

Status Trainer::prepareEvaluation(const TokenSource &validation) {
  const plan::Entry *entry = findEntry(*program, "evaluate");
  if (!entry)
    return incompatible(program->path() + ": has no entry 'evaluate'");
  auto check = [&]() -> StatusOr<std::vector<int64_t>> {
    WEIR_RETURN_IF_ERROR(needOutput(*entry, "loss_sum"));
    WEIR_RETURN_IF_ERROR(needOutput(*entry, "count"));
    return tokenShape(*entry, true);
  };
  StatusOr<std::vector<int64_t>> shape = check();
  if (!shape)
    return std::move(shape).status().withContext(program->path());
  WEIR_ASSIGN_OR_RETURN(EvaluationBatches batches,
                        EvaluationBatches::create(validation, (*shape)[0],
                                                  (*shape)[1],
                                                  theJob.evaluate.batches));
  evaluation = std::move(batches);
  evaluationIds.resize((*shape)[0] * (*shape)[1]);
  evaluationLabels.resize(evaluationIds.size());
  return okStatus();
}

Status Trainer::loadWeights() {
  std::string path = theJob.model.weights;
  if (path.empty() && theJob.model.kind == ModelKind::Folder)
    for (const char *name :
         {"/model.safetensors", "/model.safetensors.index.json"})
      if (fileExists(theJob.model.folder + name))
        path = theJob.model.folder;
  if (path.empty())
    return okStatus();
  return theSession->loadWeights(path);
}

Status Trainer::loadCheckpoint() {
  const std::string &folder = theJob.save.folder;
  if (folder.empty())
    return Status(StatusCode::CommandLine,
                  "--resume: the job has no save.folder to go on from");
  if (!isDirectory(folder))
    return okStatus();
  WEIR_ASSIGN_OR_RETURN(std::vector<std::string> names, listDirectory(folder));
  int64_t newest = 0;
  for (const std::string &name : names) {
    if (!startsWith(name, "step-"))
      continue;
    std::optional<int64_t> step =
        parseInteger(std::string_view(name).substr(5));
    if (step && checkpointName(*step) == name)
      newest = std::max(newest, *step);
  }
  if (newest == 0)
    return okStatus();
  std::string place = folder + "/" + checkpointName(newest);
  WEIR_ASSIGN_OR_RETURN(std::string text, readFile(place + "/progress.json"));
  WEIR_ASSIGN_OR_RETURN(JsonView view,
                        parseJson(text, place + "/progress.json"));
  TrainProgress loaded;
  WEIR_ASSIGN_OR_RETURN(loaded.step, view.integer("step", 1, INT32_MAX));
  WEIR_ASSIGN_OR_RETURN(loaded.applied,
                        view.integer("applied", 0, loaded.step));
  WEIR_ASSIGN_OR_RETURN(loaded.skipped,
                        view.integer("skipped", 0, loaded.step));
  WEIR_ASSIGN_OR_RETURN(loaded.skippedInRow,
                        view.integer("skipped_in_row", 0, loaded.step));
  WEIR_RETURN_IF_ERROR(theSession->loadState(place + "/state.safetensors"));
  state = loaded;
  return okStatus();
}

Status Trainer::step(StepMetrics &metrics) {
  double start = now();
  WEIR_ASSIGN_OR_RETURN(Prefetcher::Batch batch, prefetcher->next());
  int64_t tokens = theJob.batch * theJob.sequence;
  WEIR_RETURN_IF_ERROR(
      theSession->bindInput("train", "ids", batch.ids, tokens * 4));
  WEIR_RETURN_IF_ERROR(
      theSession->bindInput("train", "labels", batch.labels, tokens * 4));
  scalars->set({state.step, state.applied});
  WEIR_RETURN_IF_ERROR(theSession->run("train"));

  WEIR_ASSIGN_OR_RETURN(metrics.loss, theSession->readScalar("train", "loss"));
  metrics.gradientNorm = 0;
  if (hasGradientNorm) {
    WEIR_ASSIGN_OR_RETURN(metrics.gradientNorm,
                          theSession->readScalar("train", "gradient_norm"));
  }
  metrics.applied =
      std::isfinite(metrics.loss) && std::isfinite(metrics.gradientNorm);
  if (hasApplied) {
    WEIR_ASSIGN_OR_RETURN(double applied,
                          theSession->readScalar("train", "applied"));
    metrics.applied = applied != 0;
  }
  ++state.step;
  if (metrics.applied) {
    ++state.applied;
    state.skippedInRow = 0;
  } else {
    ++state.skipped;
    ++state.skippedInRow;
  }
  metrics.step = state.step;
  metrics.tokens = state.step * tokens;
  metrics.validationLoss.reset();
  metrics.learningRate = scalars->learningRate();
  metrics.skipped = state.skipped;
  metrics.memory = bytes;
  metrics.tokensPerSecond =
      static_cast<double>(tokens) / std::max(now() - start, 1e-9);

  if (state.skippedInRow < theJob.nonfiniteLimit)
    return okStatus();
  std::string text =
      "diverged: the loss or the gradient norm was not finite in " +
      std::to_string(state.skippedInRow) +
      (state.skippedInRow == 1 ? " step" : " steps in a row") + " (step " +
      std::to_string(state.step) + ": loss " + formatDouble(metrics.loss) +
      ", gradient norm " + formatDouble(metrics.gradientNorm) +
      "); no update was applied in them. ";
  if (state.applied == 0)
    text += "No step before was finite either: check the initial weights, and "
            "model.config.init_std where they are random";
  else
    text += "What may help: a lower optimizer.lr (now " +
            formatDouble(theJob.optimizer.lr) + "), a longer schedule.warmup" +
            (theJob.clip > 0 ? ", a lower clip" : ", clip=1") +
            ", or a higher optimizer.eps; nonfinite.limit (now " +
            std::to_string(theJob.nonfiniteLimit) +
            ") is how many such steps are let pass";
  return Status(StatusCode::Diverged, text);
}

StatusOr<double> Trainer::evaluate() {
  int64_t size = static_cast<int64_t>(evaluationIds.size()) * 4;
  double lossSum = 0, count = 0;
  for (int64_t i = 0; i < evaluation->count(); ++i) {
    WEIR_ASSIGN_OR_RETURN(
        int64_t labels,
        evaluation->fill(i, evaluationIds.data(), evaluationLabels.data()));
    (void)labels; // the entry counts them itself
    WEIR_RETURN_IF_ERROR(
        theSession->bindInput("evaluate", "ids", evaluationIds.data(), size));
    WEIR_RETURN_IF_ERROR(theSession->bindInput("evaluate", "labels",
                                               evaluationLabels.data(), size));
    WEIR_RETURN_IF_ERROR(theSession->run("evaluate"));
    WEIR_ASSIGN_OR_RETURN(double sum,
                          theSession->readScalar("evaluate", "loss_sum"));
    WEIR_ASSIGN_OR_RETURN(double terms,
                          theSession->readScalar("evaluate", "count"));
    lossSum += sum;
    count += terms;
  }
  if (count <= 0)
    return runtimeError("the entry 'evaluate' counted no label");
  return lossSum / count;
}

StatusOr<std::string> Trainer::sample() {
  bool text = theJob.data.kind == DataKind::Text;
  WEIR_ASSIGN_OR_RETURN(std::vector<int32_t> tokens,
                        promptTokens(theJob.sample.prompt, text, vocab));
  const plan::Entry *entry = findEntry(*program, "forward");
  if (!entry)
    return incompatible(program->path() + ": has no entry 'forward' to sample");
  WEIR_ASSIGN_OR_RETURN(std::vector<int64_t> shape, tokenShape(*entry, false));
  const Binding *logits = findBinding(entry->outputs, "logits");
  if (!logits || logits->dtype != DType::F32 || logits->shape.size() != 3 ||
      logits->shape[0] != shape[0] || logits->shape[1] != shape[1])
    return incompatible("entry 'forward': needs an output 'logits' of "
                        "f32[batch, sequence, vocabulary]");
  int64_t window = shape[1], classes = logits->shape[2];
  std::vector<int32_t> ids(shape[0] * window, 0);
  std::vector<float> values(shape[0] * window * classes);
  WEIR_RETURN_IF_ERROR(theSession->bindInput(
      "forward", "ids", ids.data(), static_cast<int64_t>(ids.size()) * 4));
  WEIR_RETURN_IF_ERROR(
      theSession->bindOutput("forward", "logits", values.data(),
                             static_cast<int64_t>(values.size()) * 4));
  // Ids that are no bytes cannot be printed: they are not drawn.
  int64_t drawable = text ? std::min<int64_t>(classes, 256) : classes;
  Status status;
  size_t prompt = theJob.sample.prompt.empty() && text ? 1 : 0;
  for (int64_t i = 0; i < theJob.sample.tokens && status.ok(); ++i) {
    int64_t used = std::min<int64_t>(window, tokens.size());
    std::copy(tokens.end() - used, tokens.end(), ids.begin());
    status = theSession->run("forward");
    if (!status.ok())
      break;
    int32_t next = chooseToken(values.data() + (used - 1) * classes, drawable,
                               theJob.sample.temperature,
                               static_cast<uint32_t>(theJob.seed), i);
    if (next < 0)
      status = runtimeError("sample: the model's logits are not finite");
    else
      tokens.push_back(next);
  }
  // The buffers end here, so their bindings must.
  Status unbound = theSession->bindOutput("forward", "logits", nullptr, 0);
  WEIR_RETURN_IF_ERROR(std::move(status));
  WEIR_RETURN_IF_ERROR(std::move(unbound));
  std::string out;
  if (text) {
    for (size_t i = prompt; i < tokens.size(); ++i)
      out += static_cast<char>(tokens[i]);
    return escapeSample(out);
  }
  for (int32_t token : tokens)
    out += (out.empty() ? "" : " ") + std::to_string(token);
  return out;
}

Status Trainer::writeModel(const std::string &folder) const {
  bool stored = false;
  for (const plan::Variable &variable : program->plan().variables)
    stored |= !variable.storedName.empty();
  if (!stored)
    return incompatible(program->path() +
                        ": no variable has a name in checkpoints (`stored` in "
                        "the graph), so there is nothing to export");
  WEIR_RETURN_IF_ERROR(theSession->saveWeights(folder + "/model.safetensors"));
  if (!options.modelConfig.empty())
    WEIR_RETURN_IF_ERROR(
        writeFile(folder + "/config.json", options.modelConfig));
  return okStatus();
}

Status Trainer::exportModel(const std::string &folder) const {
  WEIR_ASSIGN_OR_RETURN(AtomicFolder output, AtomicFolder::create(folder));
  WEIR_RETURN_IF_ERROR(writeModel(output.path()));
  return output.commit();
}

Status Trainer::saveCheckpoint() const {
  WEIR_ASSIGN_OR_RETURN(AtomicFolder output,
                        AtomicFolder::create(theJob.save.folder + "/" +
                                             checkpointName(state.step)));
  const std::string &folder = output.path();
  WEIR_RETURN_IF_ERROR(writeModel(folder));
  WEIR_RETURN_IF_ERROR(theSession->saveState(folder + "/state.safetensors"));
  WEIR_RETURN_IF_ERROR(writeFile(folder + "/job.json", writeJob(theJob)));
  JsonWriter json;
  json.beginObject()
      .member("step", state.step)
      .member("applied", state.applied)
      .member("skipped", state.skipped)
      .member("skipped_in_row", state.skippedInRow)
      .endObject();
  WEIR_RETURN_IF_ERROR(writeFile(folder + "/progress.json", json.take()));
  return output.commit();
}

Status train(const Job &job, std::shared_ptr<const Program> program,
             const TrainOptions &options, TrainReport *report) {
  double start = now();
  TrainReport unused;
  if (!report)
    report = &unused;
  // What cannot be written is said before hours are spent.
  WEIR_RETURN_IF_ERROR(tryFolder(job.logFolder, "log.folder"));
  if (!job.save.folder.empty())
    WEIR_RETURN_IF_ERROR(tryFolder(job.save.folder, "save.folder"));
  if (!job.save.exportFolder.empty())
    WEIR_RETURN_IF_ERROR(tryFolder(job.save.exportFolder, "save.export"));

  WEIR_ASSIGN_OR_RETURN(std::unique_ptr<Trainer> trainer,
                        Trainer::create(job, std::move(program), options));
  WEIR_RETURN_IF_ERROR(makeDirectories(job.logFolder));
  WEIR_RETURN_IF_ERROR(writeFile(job.logFolder + "/job.json", writeJob(job)));
  std::string metricsPath = options.metricsPath.empty()
                                ? job.logFolder + "/metrics.jsonl"
                                : options.metricsPath;
  WEIR_ASSIGN_OR_RETURN(
      MetricsLog log, MetricsLog::open(metricsPath, trainer->progress().step));

  int64_t first = trainer->progress().step;
  Progress progress(options.progress, options.progressStream, job.steps, first);
  if (first > 0)
    progress.note("going on after step " + std::to_string(first));

  auto save = [&]() -> Status {
    if (job.save.folder.empty())
      return okStatus();
    return trainer->saveCheckpoint();
  };
  auto run = [&]() -> Status {
    while (trainer->progress().step < job.steps) {
      StepMetrics metrics;
      Status status = trainer->step(metrics);
      if (!status.ok() && status.code() != StatusCode::Diverged)
        return status;
      bool last = metrics.step == job.steps;
      if (status.ok() && trainer->canEvaluate() &&
          (last || metrics.step % job.evaluate.every == 0)) {
        WEIR_ASSIGN_OR_RETURN(double loss, trainer->evaluate());
        metrics.validationLoss = loss;
        report->validationLoss = loss;
      }
      report->last = metrics;
      WEIR_RETURN_IF_ERROR(log.write(metrics));
      progress.step(metrics);
      WEIR_RETURN_IF_ERROR(std::move(status));
      bool stop = !last && options.stop && options.stop();
      if (last || stop ||
          (job.save.every > 0 && metrics.step % job.save.every == 0))
        WEIR_RETURN_IF_ERROR(save());
      if (stop)
        return Status(StatusCode::Stopped,
                      "stopped after step " + std::to_string(metrics.step) +
                          (job.save.folder.empty()
                               ? "; nothing was saved: the job has no "
                                 "save.folder"
                               : "; saved in " + job.save.folder +
                                     ", --resume goes on from there"));
    }
    return okStatus();
  };
  Status status = run();
  progress.finish();
  report->progress = trainer->progress();
  report->seconds = now() - start;
  report->residentBytes = anonymousResidentBytes();
  if (!options.tracePath.empty() && trainer->progress().step > first) {
    Status traced = trainer->session().writeTrace("train", options.tracePath);
    if (status.ok())
      status = std::move(traced);
  }
  report->memory = trainer->session().memoryReport();
  WEIR_RETURN_IF_ERROR(std::move(status));

  if (!job.save.exportFolder.empty())
    WEIR_RETURN_IF_ERROR(trainer->exportModel(job.save.exportFolder));
  if (job.sample.tokens > 0) {
    WEIR_ASSIGN_OR_RETURN(report->sample, trainer->sample());
  }
  report->memory = trainer->session().memoryReport();
  return okStatus();
}

} // namespace weir
