// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_RUNTIME_TRAIN_TRAINER_H
#define WEIR_RUNTIME_TRAIN_TRAINER_H

#include "runtime/data/Batcher.h"
#include "runtime/io/Job.h"
#include "runtime/session/Session.h"
#include "runtime/train/Metrics.h"
#include "runtime/train/Prefetch.h"
#include "runtime/train/Progress.h"
#include "runtime/train/Scalars.h"

#include <cstdio>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace weir {

/// Where a run stands. Everything that a step depends on besides the variables;
/// a checkpoint holds it as `progress.json`.
struct TrainProgress {
  int64_t step = 0;    // steps done
  int64_t applied = 0; // updates applied
  int64_t skipped = 0; // updates skipped
  int64_t skippedInRow = 0;
};

struct TrainerOptions {
  bool checked = false;
  bool traced = false;
  /// The model's `config.json`, written beside exported weights; empty: none.
  std::string modelConfig;
  /// Begin with the newest checkpoint in the job's `save.folder`, if there is
  /// one.
  bool resume = false;
};

/// A job at work: a session, its data and its schedule. Steps are run one by
/// one; `train` below runs a whole job.
class Trainer {
public:
  /// Opens data, makes the session and gives the variables their first values:
  /// the job's `model.weights`, else the model folder's own, else random ones
  /// for the job's seed. IncompatibleArtifact where the program was compiled
  /// for other sizes than the job's.
  static StatusOr<std::unique_ptr<Trainer>>
  create(const Job &job, std::shared_ptr<const Program> program,
         const TrainerOptions &options);

  /// Runs one train step. Fails with Diverged once `nonfinite.limit` updates in
  /// a row were skipped; `metrics` is then filled in too.
  Status step(StepMetrics &metrics);
  /// Mean loss over the evaluation batches, in f64 over their summed losses.
  StatusOr<double> evaluate();
  bool canEvaluate() const { return evaluation.has_value(); }

  /// Generates as the job's `sample` says with the entry `forward`, whose
  /// window slides over the last tokens. Returns the prompt and what was
  /// generated: bytes as `escapeSample` shows them, or ids separated by blanks.
  StatusOr<std::string> sample();

  /// Writes what `from_pretrained` opens: `config.json` (where the model has
  /// one) and `model.safetensors`.
  Status exportModel(const std::string &folder) const;
  /// Writes `step-NNNNNN` in the job's `save.folder`: an export, all variables
  /// (`state.safetensors`), `progress.json` and the job.
  Status saveCheckpoint() const;

  const Job &job() const { return theJob; }
  Session &session() { return *theSession; }
  const TrainProgress &progress() const { return state; }
  int64_t planBytes() const { return bytes; }

private:
  Trainer() = default;
  Status bindTrain();
  Status prepareEvaluation(const TokenSource &validation);
  Status loadWeights();
  Status loadCheckpoint();
  Status writeModel(const std::string &folder) const;

  Job theJob;
  TrainerOptions options;
  std::shared_ptr<const Program> program;
  std::unique_ptr<Session> theSession;
  std::optional<TrainScalars> scalars;
  std::unique_ptr<Prefetcher> prefetcher;
  std::optional<EvaluationBatches> evaluation;
  std::vector<int32_t> evaluationIds, evaluationLabels;
  bool hasGradientNorm = false, hasApplied = false;
  int64_t vocab = 0;
  TrainProgress state;
  int64_t bytes = 0;
};

struct TrainOptions : TrainerOptions {
  /// Where the step's lines go; empty: `metrics.jsonl` in the job's log folder.
  std::string metricsPath;
  /// A Chrome trace of the last step; empty: none. Needs `traced`.
  std::string tracePath;
  ProgressKind progress = ProgressKind::Auto;
  /// Borrowed.
  std::FILE *progressStream = stderr;
  /// Asked after each step: whether to stop.
  std::function<bool()> stop;
};

/// What a run came to.
struct TrainReport {
  TrainProgress progress;
  StepMetrics last;
  std::optional<double> validationLoss;
  double seconds = 0;
  MemoryReport memory;
  /// Of the process after the last step (anonymousResidentBytes).
  int64_t residentBytes = 0;
  /// Empty where the job asks for none.
  std::string sample;
};

/// Runs a job to its end: steps, evaluations, metrics, checkpoints, export and
/// sample. The resolved job is written to the log folder first, and every
/// folder that will be written is tried before the first step. Stopped where
/// `stop` said so, after saving if the job saves; Diverged as `Trainer::step`.
/// `report` may be null; it is filled in as far as the run came.
Status train(const Job &job, std::shared_ptr<const Program> program,
             const TrainOptions &options, TrainReport *report = nullptr);

/// Threads for a runtime that is to run this program for this job.
int workersFor(const Job &job, int64_t ranks);

} // namespace weir

#endif // WEIR_RUNTIME_TRAIN_TRAINER_H
