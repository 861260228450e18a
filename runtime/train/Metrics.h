// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_RUNTIME_TRAIN_METRICS_H
#define WEIR_RUNTIME_TRAIN_METRICS_H

#include "runtime/base/Status.h"

#include <cstdint>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>

namespace weir {

/// What is known after a step.
struct StepMetrics {
  /// Steps done, this one included: the first is 1.
  int64_t step = 0;
  /// Tokens seen since step 1 (batch * sequence a step).
  int64_t tokens = 0;
  /// Mean loss of the step's batch, nats a token.
  double loss = 0;
  /// Mean loss over the evaluation data, where this step ended with one.
  std::optional<double> validationLoss;
  /// Of parameter group 0 in this step.
  double learningRate = 0;
  /// Global norm of the mean loss's gradient before clipping.
  double gradientNorm = 0;
  /// False where the update was skipped because a value was not finite.
  bool applied = true;
  /// Updates skipped since step 1.
  int64_t skipped = 0;
  /// This step's tokens by its wall-clock time, evaluation left out.
  double tokensPerSecond = 0;
  /// Bytes of all segments of all ranks.
  int64_t memory = 0;
};

/// One line of `metrics.jsonl`, without its end: the keys `step`, `tokens`,
/// `loss`, `validation_loss` (null where there was no evaluation),
/// `learning_rate`, `gradient_norm`, `applied`, `skipped`, `tokens_per_second`,
/// `memory`. Numbers that are not finite are null, as JSON has none.
std::string formatMetrics(const StepMetrics &metrics);

/// A file of such lines. Each line is handed to the system when it is written,
/// so that a run that dies has left its past.
class MetricsLog {
public:
  /// Begins a new file at `path`, or with `keepSteps` keeps the lines of an
  /// older one up to that step (for a run that goes on). OutputError where it
  /// cannot be written.
  static StatusOr<MetricsLog> open(const std::string &path,
                                   int64_t keepSteps = 0);

  Status write(const StepMetrics &metrics);

private:
  struct Close {
    void operator()(std::FILE *file) const { std::fclose(file); }
  };
  std::string path;
  std::unique_ptr<std::FILE, Close> file;
};

} // namespace weir

#endif // WEIR_RUNTIME_TRAIN_METRICS_H
