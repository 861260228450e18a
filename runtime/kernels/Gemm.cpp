// SPDX-License-Identifier: Apache-2.0
//
// The only file that sees oneDNN.

#include "runtime/kernels/Gemm.h"

#include "runtime/device/cpu/Memory.h"

#include <oneapi/dnnl/dnnl.h>

namespace weir::kernels {

// dnnl_sgemm is stateless and takes any sizes, so that shards and micro-batches
// of different extents need nothing prepared. It is also the fastest: on GPT-2
// 124M's shapes (forward and both gradients, m = 256, two AVX-512 cores with a
// peak of 234 GFLOP/s) one-thread calls on the halves of C reach 217 GFLOP/s in
// total and one two-thread call 205; matmul primitives, in a run where that
// call reached 166, had 153 (169 with weights reordered in advance).
bool gemm(int64_t m, int64_t n, int64_t k, const MatrixRef &a,
          const MatrixRef &b, float beta, float *c, int64_t leadingC) {
  device::LibraryScope scope;
  return dnnl_sgemm(a.transposed ? 'T' : 'N', b.transposed ? 'T' : 'N', m, n, k,
                    1.0f, a.data, a.leading, b.data, b.leading, beta, c,
                    leadingC) == dnnl_success;
}

} // namespace weir::kernels
