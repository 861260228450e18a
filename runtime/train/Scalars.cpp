// SPDX-License-Identifier: Apache-2.0
#include "runtime/train/Scalars.h"
#include "runtime/base/Strings.h"
#include "runtime/train/Schedule.h"

#include <cmath>

namespace weir {

StatusOr<TrainScalars> TrainScalars::create(const Job &job,
                                            const plan::Entry &entry) {
  using Kind = Value::Kind;
  static constexpr struct {
    const char *name;
    Kind kind;
  } plain[] = {{"seed", Kind::Seed},
               {"step", Kind::Step},
               {"beta1", Kind::Beta1},
               {"beta2", Kind::Beta2},
               {"epsilon", Kind::Epsilon},
               {"correction1", Kind::Correction1},
               {"correction2", Kind::Correction2},
               {"max_norm", Kind::MaxNorm},
               {"momentum", Kind::Momentum}};

  TrainScalars result;
  result.job = job;
  result.values = std::make_unique<Value[]>(entry.inputs.size());
  for (size_t i = 0; i < entry.inputs.size(); ++i) {
    const plan::Binding &input = entry.inputs[i];
    if (!input.shape.empty())
      continue;
    auto refuse = [&](const std::string &why) {
      return Status(StatusCode::IncompatibleArtifact,
                    "entry '" + entry.name + "': input '" +
                        printable(input.name) + "' " + why +
                        "; compile the artifact from the same job");
    };
    Value &value = result.values[i];
    bool known = false;
    for (const auto &candidate : plain)
      if (input.name == candidate.name) {
        value.kind = candidate.kind;
        known = true;
      }
    if (!known && startsWith(input.name, "group")) {
      size_t dot = input.name.find('.');
      std::optional<int64_t> group =
          dot == std::string::npos
              ? std::nullopt
              : parseInteger(std::string_view(input.name).substr(5, dot - 5));
      std::string what =
          dot == std::string::npos ? "" : input.name.substr(dot + 1);
      if (group && *group >= 0 &&
          (what == "learning_rate" || what == "weight_decay")) {
        known = true;
        int64_t own = *group - 2;
        if (own >= static_cast<int64_t>(job.optimizer.groups.size()))
          return refuse("is of parameter group " + std::to_string(*group) +
                        ", which the job does not have");
        const OptimizerGroup *settings =
            own >= 0 ? &job.optimizer.groups[own] : nullptr;
        if (what == "learning_rate") {
          value.kind = Kind::LearningRate;
          value.factor = settings ? settings->lrScale : 1;
        } else {
          value.kind = Kind::WeightDecay;
          double standard = *group == 1 ? 0 : job.optimizer.weightDecay;
          value.factor =
              settings ? settings->weightDecay.value_or(standard) : standard;
        }
      }
    }
    if (!known)
      return refuse("is not a scalar that a job sets");
    bool integer = value.kind == Kind::Seed || value.kind == Kind::Step;
    plan::DType wanted = integer ? plan::DType::I32 : plan::DType::F32;
    if (input.dtype != wanted)
      return refuse("should be " + std::string(plan::name(wanted)) +
                    ", it is " + std::string(plan::name(input.dtype)));
    void *data = integer ? static_cast<void *>(&value.i32)
                         : static_cast<void *>(&value.f32);
    result.bound.push_back({input.name, static_cast<int>(i), data});
  }
  result.set({});
  return result;
}

void TrainScalars::set(const StepState &state) {
  using Kind = Value::Kind;
  const JobOptimizer &optimizer = job.optimizer;
  rate = optimizer.lr * scheduleFactor(job.schedule, state.step);
  double t = static_cast<double>(state.applied + 1);
  for (const Slot &slot : bound) {
    Value &value = values[slot.input];
    auto real = [&](double x) { value.f32 = static_cast<float>(x); };
    // The program has the betas in f32, and 1 - 0.999f differs from 0.001 by
    // 1e-5 of itself: the correction must start from the same number.
    auto correction = [&](double beta) {
      real(1 - std::pow(static_cast<double>(static_cast<float>(beta)), t));
    };
    switch (value.kind) {
    case Kind::Seed:
      // Seeds go up to 2^32 - 1: the bits are what counts.
      value.i32 = static_cast<int32_t>(static_cast<uint32_t>(job.seed));
      break;
    case Kind::Step:
      value.i32 = static_cast<int32_t>(state.step);
      break;
    case Kind::LearningRate:
      real(rate * value.factor);
      break;
    case Kind::WeightDecay:
      real(value.factor);
      break;
    case Kind::Beta1:
      real(optimizer.beta1);
      break;
    case Kind::Beta2:
      real(optimizer.beta2);
      break;
    case Kind::Epsilon:
      real(optimizer.eps);
      break;
    case Kind::Correction1:
      correction(optimizer.beta1);
      break;
    case Kind::Correction2:
      correction(optimizer.beta2);
      break;
    case Kind::MaxNorm:
      real(job.clip);
      break;
    case Kind::Momentum:
      real(optimizer.momentum);
      break;
    }
  }
}

} // namespace weir
