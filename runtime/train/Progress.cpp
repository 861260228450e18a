// SPDX-License-Identifier: Apache-2.0
#include "runtime/train/Progress.h"
#include "runtime/base/Format.h"

#include <algorithm>
#include <sys/ioctl.h>
#include <unistd.h>

namespace weir {

std::optional<ProgressKind> parseProgress(std::string_view name) {
  if (name == "auto")
    return ProgressKind::Auto;
  if (name == "bar")
    return ProgressKind::Bar;
  if (name == "plain")
    return ProgressKind::Plain;
  if (name == "none")
    return ProgressKind::None;
  return std::nullopt;
}

std::string progressText(const StepMetrics &metrics, int64_t steps,
                         std::optional<double> validation,
                         double tokensPerSecond, double secondsLeft) {
  std::string text = "step " + std::to_string(metrics.step) + "/" +
                     std::to_string(steps) + "  loss " +
                     formatFixed(metrics.loss, 4);
  if (validation)
    text += "  validation " + formatFixed(*validation, 4);
  text += "  " + formatCount(tokensPerSecond) + " tokens/s  " +
          formatBytes(static_cast<uint64_t>(metrics.memory));
  if (metrics.skipped)
    text += "  " + std::to_string(metrics.skipped) + " skipped";
  if (secondsLeft >= 0)
    text += "  " + formatDuration(secondsLeft) + " left";
  return text;
}

std::string progressBar(int64_t done, int64_t total, std::string_view text,
                        int columns) {
  // The bar takes what the text leaves, 10 to 30 cells; the text is what
  // matters on a narrow terminal.
  int64_t room = columns - static_cast<int64_t>(text.size()) - 3;
  std::string line;
  if (room >= 10) {
    int64_t width = std::min<int64_t>(room, 30);
    int64_t filled =
        total > 0 ? std::clamp<int64_t>(done * width / total, 0, width) : 0;
    line = "[" + std::string(filled, '#') + std::string(width - filled, '.') +
           "] ";
  }
  line += text;
  if (columns > 0 && line.size() > static_cast<size_t>(columns))
    line.resize(columns);
  return line;
}

Progress::Progress(ProgressKind kind, std::FILE *stream, int64_t steps,
                   int64_t firstStep)
    : kind(kind), stream(stream), steps(steps), firstStep(firstStep),
      start(Clock::now()), lastShown(start) {
  if (kind == ProgressKind::Auto)
    this->kind =
        isatty(fileno(stream)) ? ProgressKind::Bar : ProgressKind::Plain;
}

Progress::~Progress() { finish(); }

void Progress::step(const StepMetrics &metrics) {
  if (metrics.validationLoss)
    validation = metrics.validationLoss;
  // The first step builds caches and says little about those that follow.
  rate = seen < 2 ? metrics.tokensPerSecond
                  : rate + (metrics.tokensPerSecond - rate) * 0.05;
  ++seen;
  if (kind == ProgressKind::None)
    return;

  Clock::time_point now = Clock::now();
  double elapsed = std::chrono::duration<double>(now - start).count();
  int64_t done = metrics.step - firstStep;
  double left = done > 0 && metrics.step < steps
                    ? elapsed / static_cast<double>(done) *
                          static_cast<double>(steps - metrics.step)
                    : -1;
  double since = std::chrono::duration<double>(now - lastShown).count();
  bool last = metrics.step == steps;
  std::string text = progressText(metrics, steps, validation, rate, left);
  if (kind == ProgressKind::Bar) {
    if (!last && seen > 1 && since < 0.1)
      return;
    winsize size = {};
    int columns = ioctl(fileno(stream), TIOCGWINSZ, &size) == 0 && size.ws_col
                      ? size.ws_col - 1
                      : 119;
    std::fprintf(stream, "\r\x1b[K%s",
                 progressBar(metrics.step, steps, text, columns).c_str());
    barShown = true;
  } else {
    if (!last && seen > 1 && metrics.applied && !metrics.validationLoss &&
        since < 10)
      return;
    std::fprintf(stream, "%s\n", text.c_str());
  }
  lastShown = now;
  std::fflush(stream);
}

void Progress::clearBar() {
  if (barShown)
    std::fprintf(stream, "\r\x1b[K");
  barShown = false;
}

void Progress::note(std::string_view line) {
  if (kind == ProgressKind::None)
    return;
  clearBar();
  std::fprintf(stream, "%.*s\n", static_cast<int>(line.size()), line.data());
  std::fflush(stream);
}

void Progress::finish() {
  if (barShown)
    std::fprintf(stream, "\n");
  barShown = false;
  std::fflush(stream);
}

} // namespace weir
