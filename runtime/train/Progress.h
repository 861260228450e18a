// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_RUNTIME_TRAIN_PROGRESS_H
#define WEIR_RUNTIME_TRAIN_PROGRESS_H

#include "runtime/train/Metrics.h"

#include <chrono>
#include <cstdio>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace weir {

/// How progress is shown. Auto: a bar on a terminal, plain lines elsewhere.
enum class ProgressKind { Auto, Bar, Plain, None };

/// "auto", "bar", "plain" or "none".
std::optional<ProgressKind> parseProgress(std::string_view name);

/// The text of one step: "step 120/2000  loss 2.1234  validation 2.2000  5.61k
/// tokens/s  61.2 MiB  5m12s left". `validation` is the latest; with
/// `secondsLeft` negative that part is left out.
std::string progressText(const StepMetrics &metrics, int64_t steps,
                         std::optional<double> validation,
                         double tokensPerSecond, double secondsLeft);
/// A bar of `width` cells for `done` of `total`, then the text, cut to
/// `columns` columns.
std::string progressBar(int64_t done, int64_t total, std::string_view text,
                        int columns);

/// Shows the steps of a run on a stream: a bar of one line that is rewritten at
/// most ten times a second, or plain lines: the first step, each evaluation,
/// each skipped update, the last step, and in between one every ten seconds.
class Progress {
public:
  /// `steps` is the run's last step, `firstStep` the number done before it
  /// begins. `stream` is borrowed.
  Progress(ProgressKind kind, std::FILE *stream, int64_t steps,
           int64_t firstStep = 0);
  ~Progress();

  void step(const StepMetrics &metrics);
  /// Prints a line of its own, above the bar where there is one.
  void note(std::string_view line);
  /// Ends the bar's line.
  void finish();

private:
  using Clock = std::chrono::steady_clock;

  void clearBar();

  ProgressKind kind;
  std::FILE *stream;
  int64_t steps, firstStep;
  Clock::time_point start, lastShown;
  std::optional<double> validation;
  /// Moving average over about twenty steps.
  double rate = 0;
  int64_t seen = 0;
  bool barShown = false;
};

} // namespace weir

#endif // WEIR_RUNTIME_TRAIN_PROGRESS_H
