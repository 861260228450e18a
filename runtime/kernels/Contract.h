// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_RUNTIME_KERNELS_CONTRACT_H
#define WEIR_RUNTIME_KERNELS_CONTRACT_H

#include "runtime/plan/Plan.h"

#include <cstddef>
#include <cstdint>

namespace weir::kernels {

/// Most dimensions (loops, m, n and k together) that a contraction may have.
constexpr int maxContractDims = 12;

/// Whether `contract` can run: InvalidInput with what cannot and the remedy.
Status checkContract(const plan::Contract &contract);

/// Bytes of scratch that `contract` needs for each thread of the team with
/// these extents (loops in order, then m, n, k).
int64_t contractScratch(const plan::Contract &contract, const int64_t *extents);

/// Runs a contraction (see plan::Contract) on a team. `scratch` holds
/// `threads` times `scratchStride` bytes, aligned to 64, the stride at least
/// contractScratch. How the work is divided, and hence every bit of the result,
/// depends on extents, strides and team size alone. False where the library
/// fails. Allocates nothing.
bool contract(const plan::Contract &contract, const int64_t *extents,
              const float *a, const float *b, float *c, int threads,
              std::byte *scratch, int64_t scratchStride);

} // namespace weir::kernels

#endif // WEIR_RUNTIME_KERNELS_CONTRACT_H
