// SPDX-License-Identifier: Apache-2.0
#include "runtime/train/Schedule.h"

#include <algorithm>
#include <cmath>

namespace weir {

double scheduleFactor(const JobSchedule &schedule, int64_t step) {
  if (step < schedule.warmup)
    return static_cast<double>(step + 1) / static_cast<double>(schedule.warmup);
  int64_t span = std::max<int64_t>(1, schedule.steps - schedule.warmup);
  double done = std::min(1.0, static_cast<double>(step - schedule.warmup) /
                                  static_cast<double>(span));
  double rest = 1 - schedule.minRatio;
  switch (schedule.kind) {
  case ScheduleKind::Constant:
    return 1;
  case ScheduleKind::Cosine:
    return schedule.minRatio +
           rest * 0.5 * (1 + std::cos(3.14159265358979323846 * done));
  case ScheduleKind::Linear:
    return schedule.minRatio + rest * (1 - done);
  }
  return 1;
}

} // namespace weir
