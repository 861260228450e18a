// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_RUNTIME_KERNELS_FILL_H
#define WEIR_RUNTIME_KERNELS_FILL_H

#include "runtime/plan/Plan.h"

#include <cstdint>

namespace weir::kernels {

/// Sets `count` elements of `type` at `destination` to `value`, converted to
/// the type (F16 is not written by any kernel and refused by checkFill).
void fill(void *destination, int64_t count, plan::DType type, double value,
          int threads);

/// Whether `fill` knows the type.
Status checkFill(plan::DType type);

} // namespace weir::kernels

#endif // WEIR_RUNTIME_KERNELS_FILL_H
