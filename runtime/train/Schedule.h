// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_RUNTIME_TRAIN_SCHEDULE_H
#define WEIR_RUNTIME_TRAIN_SCHEDULE_H

#include "runtime/io/Job.h"

#include <cstdint>

namespace weir {

/// The factor on the learning rate for update `step` (counted from 0), in f64,
/// as the lambda of a PyTorch LambdaLR would give it. With W = schedule.warmup,
/// N = schedule.steps and r = schedule.minRatio:
///
///   step < W:  (step + 1) / W
///   after it:  d = min(1, (step - W) / max(1, N - W))
///     constant:  1
///     cosine:    r + (1 - r) (1 + cos(pi d)) / 2
///     linear:    r + (1 - r) (1 - d)
///
/// so that step W - 1 is the first at the full rate, and every step from N on
/// has the ratio r. A skipped update advances the schedule like any other.
double scheduleFactor(const JobSchedule &schedule, int64_t step);

} // namespace weir

#endif // WEIR_RUNTIME_TRAIN_SCHEDULE_H
