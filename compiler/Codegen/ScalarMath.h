// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_COMPILER_CODEGEN_SCALARMATH_H
#define WEIR_COMPILER_CODEGEN_SCALARMATH_H

#include "llvm/IR/IRBuilder.h"

namespace weir::compiler::codegen {

/// Elementary functions as straight-line LLVM IR on a float, double or a vector
/// of them, without calls or branches, so that they cost the same in every lane
/// and need no math library. Errors in units in the last place over the whole
/// range, as test/unit/codegen measures them: exp 1, log 1, tanh 2, erf 2,
/// sin and cos 2 (|x| up to 1e6), pow 2. NaN and infinities are handled as C99
/// says. Doubles: exp, log, sin, cos, pow and tanh 4; erf is not available.
///
/// Each returns null where the function does not exist for the type.
llvm::Value *emitExp(llvm::IRBuilder<> &builder, llvm::Value *x);
llvm::Value *emitLog(llvm::IRBuilder<> &builder, llvm::Value *x);
llvm::Value *emitTanh(llvm::IRBuilder<> &builder, llvm::Value *x);
llvm::Value *emitErf(llvm::IRBuilder<> &builder, llvm::Value *x);
llvm::Value *emitSin(llvm::IRBuilder<> &builder, llvm::Value *x);
llvm::Value *emitCos(llvm::IRBuilder<> &builder, llvm::Value *x);
llvm::Value *emitPow(llvm::IRBuilder<> &builder, llvm::Value *x,
                     llvm::Value *y);

/// First word of Philox4x32-10 with counter {low and high half of `index`,
/// `step`, 0} and key {`key`, `seed`} (runtime/base/Philox.h). All i32 but
/// `index`, i64; or vectors of one length.
llvm::Value *emitPhilox(llvm::IRBuilder<> &builder, llvm::Value *key,
                        llvm::Value *seed, llvm::Value *step,
                        llvm::Value *index);

} // namespace weir::compiler::codegen

#endif // WEIR_COMPILER_CODEGEN_SCALARMATH_H
