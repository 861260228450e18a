// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_RUNTIME_BASE_SIGNALSBLOCKED_H
#define WEIR_RUNTIME_BASE_SIGNALSBLOCKED_H

namespace weir {

/// While one lives, no signal handler runs on this thread, but for what the
/// thread raises itself by a fault; threads that it starts inherit that. Other
/// threads of the process take the signals, or they wait.
///
/// Around oneDNN's f32 matrix products, whose generated code points the stack
/// register at a buffer on the heap where k is large (`mov(rsp, ARG_WS)` in
/// jit_avx2_gemm_f32.cpp and jit_avx512_common_gemm_f32.cpp): the frame of a
/// handler would be written over whatever lies in front of that buffer.
///
/// Scopes nest; only the outermost one costs its two system calls (0.5 us).
class SignalsBlocked {
public:
  SignalsBlocked();
  ~SignalsBlocked();
  SignalsBlocked(const SignalsBlocked &) = delete;
  SignalsBlocked &operator=(const SignalsBlocked &) = delete;
};

} // namespace weir

#endif // WEIR_RUNTIME_BASE_SIGNALSBLOCKED_H
