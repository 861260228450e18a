// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_TEST_E2E_HARNESS_H
#define WEIR_TEST_E2E_HARNESS_H

#include "runtime/base/Status.h"
#include "runtime/session/Session.h"

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

/// End-to-end tests drive the real thing: the `weir-compile` binary makes an
/// artifact, the runtime executes it, and PyTorch's numbers, made by
/// golden/make_goldens.py, judge.
namespace weir::e2e {

/// One folder of golden/.
struct Golden {
  std::string name, folder, family;
  int64_t batch = 0, sequence = 0, vocab = 0;
  double lr = 0, beta1 = 0, beta2 = 0, eps = 0, weightDecay = 0, clip = 0;
  std::vector<double> losses, gradientNorms;
  double sharpLoss = 0;
  double lossTolerance = 0, sharpTolerance = 0;
  std::vector<int32_t> tokens;

  /// Rows of ids and labels of a step: consecutive windows of the tokens.
  void batchOf(int64_t step, std::vector<int32_t> &ids,
               std::vector<int32_t> &labels) const;
};
StatusOr<Golden> readGolden(const std::string &name);

/// How a model is laid out and compiled.
struct Variant {
  std::string mesh; // "dp=2,tp=2"; empty: one device
  int64_t microBatches = 1;
  double dropout = 0;
  bool gradients = false;
  std::string modelFolder = "model";
  int64_t batch = 0;   // 0: the golden's
  int64_t threads = 1; // team of a one-rank plan
  /// More members of the job, as JSON text: `"layouts": [...]`.
  std::string extra;
  std::string name() const;
};

/// A compiled and loaded model with the golden's weights.
struct Model {
  std::shared_ptr<Runtime> runtime;
  std::shared_ptr<const Program> program;
  std::unique_ptr<Session> session;
};

/// Runs `weir-compile` (its output is in the error message when it fails).
/// Artifacts live in the test's temporary folder.
StatusOr<std::string> compile(const Golden &golden, const Variant &variant,
                              const std::string &folder);
StatusOr<Model> load(const std::string &artifact, const std::string &weights,
                     int workers, bool checked);

struct StepResult {
  double loss = 0, gradientNorm = 0, applied = 0;
};
/// Runs `train` once with the golden's settings; `update` counts from 1.
StatusOr<StepResult> trainStep(Session &session, const Golden &golden,
                               int64_t step, const std::vector<int32_t> &ids,
                               const std::vector<int32_t> &labels,
                               double lrFactor = 1);
/// `steps` steps on the golden's batches.
StatusOr<std::vector<StepResult>>
trainSteps(Session &session, const Golden &golden, int64_t steps);

} // namespace weir::e2e

#endif // WEIR_TEST_E2E_HARNESS_H
