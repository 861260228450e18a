// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_RUNTIME_TRAIN_SCALARS_H
#define WEIR_RUNTIME_TRAIN_SCALARS_H

#include "runtime/io/Job.h"
#include "runtime/plan/Plan.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace weir {

/// What the run-time scalars of a step depend on.
struct StepState {
  /// The step that is about to run, from 0.
  int64_t step = 0;
  /// Updates applied so far; Adam's t of this step is one more.
  int64_t applied = 0;
};

/// The run-time scalars of the entry `train`: those of its rank-0 inputs that a
/// job sets, each a caller-bound tensor of one element.
///
///   seed, step                  i32: the job's seed, the step from 0
///   group<i>.learning_rate      f32: lr * schedule factor * the group's
///   lr_scale group<i>.weight_decay       f32 beta1, beta2, epsilon       f32
///   correction1, correction2    f32: 1 - beta1^t, 1 - beta2^t
///   max_norm                    f32: 0 where the job does not clip
///   momentum                    f32
///
/// Group 0 holds the variables that decay by default, group 1 those that do
/// not (biases, norms: decay 0), and group 2 + i those that the i-th of the
/// job's groups is the first to match; where that one gives no decay, it is the
/// optimizer's. All values are computed in f64 and rounded once.
class TrainScalars {
public:
  /// Fails with IncompatibleArtifact for a rank-0 input that is none of these,
  /// is not of the type above, or is of a group that the job does not have.
  static StatusOr<TrainScalars> create(const Job &job,
                                       const plan::Entry &entry);

  /// Computes all values for a step.
  void set(const StepState &state);
  /// The learning rate of group 0 as last set.
  double learningRate() const { return rate; }

  /// The inputs by their names, with the memory to bind; stable.
  struct Slot {
    std::string name;
    int input = 0; // index in Entry::inputs
    void *data = nullptr;
  };
  const std::vector<Slot> &slots() const { return bound; }

private:
  struct Value {
    enum class Kind {
      Seed,
      Step,
      LearningRate,
      WeightDecay,
      Beta1,
      Beta2,
      Epsilon,
      Correction1,
      Correction2,
      MaxNorm,
      Momentum
    };
    Kind kind;
    /// LearningRate: the group's lr_scale. WeightDecay: the decay.
    double factor = 0;
    union {
      float f32;
      int32_t i32;
    };
  };

  Job job;
  std::unique_ptr<Value[]> values;
  std::vector<Slot> bound;
  double rate = 0;
};

} // namespace weir

#endif // WEIR_RUNTIME_TRAIN_SCALARS_H
