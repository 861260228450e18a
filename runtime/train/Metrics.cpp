// SPDX-License-Identifier: Apache-2.0
#include "runtime/train/Metrics.h"
#include "runtime/base/Json.h"
#include "runtime/io/File.h"

#include <cerrno>
#include <cstring>

namespace weir {

std::string formatMetrics(const StepMetrics &metrics) {
  JsonWriter writer(0);
  writer.beginObject()
      .member("step", metrics.step)
      .member("tokens", metrics.tokens)
      .member("loss", metrics.loss)
      .key("validation_loss");
  if (metrics.validationLoss)
    writer.value(*metrics.validationLoss);
  else
    writer.null();
  writer.member("learning_rate", metrics.learningRate)
      .member("gradient_norm", metrics.gradientNorm)
      .member("applied", metrics.applied)
      .member("skipped", metrics.skipped)
      .member("tokens_per_second", metrics.tokensPerSecond)
      .member("memory", metrics.memory)
      .endObject();
  return writer.take();
}

static Status failure(const std::string &path) {
  return Status(StatusCode::OutputError,
                path + ": cannot write: " + std::strerror(errno));
}

/// The lines of an older log up to step `keepSteps`; a line that was cut off is
/// dropped.
static std::string keptLines(const std::string &path, int64_t keepSteps) {
  std::string kept;
  if (keepSteps == 0 || !fileExists(path))
    return kept;
  StatusOr<std::string> old = readFile(path);
  if (!old)
    return kept;
  for (size_t begin = 0; begin < old->size();) {
    size_t end = old->find('\n', begin);
    if (end == std::string::npos)
      break;
    StatusOr<JsonView> line =
        parseJson(std::string_view(*old).substr(begin, end - begin), path);
    if (!line)
      break;
    StatusOr<int64_t> step = line->integer("step");
    if (!step || *step > keepSteps)
      break;
    kept.append(*old, begin, end + 1 - begin);
    begin = end + 1;
  }
  return kept;
}

StatusOr<MetricsLog> MetricsLog::open(const std::string &path,
                                      int64_t keepSteps) {
  WEIR_RETURN_IF_ERROR(makeDirectories(parentPath(path)));
  std::string kept = keptLines(path, keepSteps);
  MetricsLog log;
  log.path = path;
  log.file.reset(std::fopen(path.c_str(), "wb"));
  if (!log.file)
    return failure(path);
  if (std::fwrite(kept.data(), 1, kept.size(), log.file.get()) != kept.size())
    return failure(path);
  return log;
}

Status MetricsLog::write(const StepMetrics &metrics) {
  std::string line = formatMetrics(metrics) + "\n";
  if (std::fwrite(line.data(), 1, line.size(), file.get()) != line.size() ||
      std::fflush(file.get()) != 0)
    return failure(path);
  return okStatus();
}

} // namespace weir
