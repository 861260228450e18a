// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_RUNTIME_KERNELS_GEMM_H
#define WEIR_RUNTIME_KERNELS_GEMM_H

#include <cstdint>

namespace weir::kernels {

/// A matrix in memory: `leading` elements from one stored row to the next, the
/// stored rows being the matrix's columns where `transposed`.
struct MatrixRef {
  const float *data = nullptr;
  int64_t leading = 1;
  bool transposed = false;
};

/// C = A B + beta C with A of m x k, B of k x n and row-major C of m x n, on
/// this thread alone. beta is 0 (C may hold anything before) or 1. False where
/// the library fails. Call it with signals blocked (SignalsBlocked.h).
bool gemm(int64_t m, int64_t n, int64_t k, const MatrixRef &a,
          const MatrixRef &b, float beta, float *c, int64_t leadingC);

} // namespace weir::kernels

#endif // WEIR_RUNTIME_KERNELS_GEMM_H
