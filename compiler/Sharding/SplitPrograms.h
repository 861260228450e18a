// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_COMPILER_SHARDING_SPLITPROGRAMS_H
#define WEIR_COMPILER_SHARDING_SPLITPROGRAMS_H

#include "compiler/Sharding/Signatures.h"

/// Decisions for split programs: the attribute `dist.programs` beside an op's
/// `dist.signature`, a dictionary from mesh axis to program.
namespace weir::compiler {

/// The program decided for `op` on an axis, or "".
llvm::StringRef programOf(mlir::Operation *op, dist::MeshAttr mesh,
                          unsigned axis);

/// Writes the decision: one name for each mesh axis, "" where there is none.
void setPrograms(mlir::Operation *op, dist::MeshAttr mesh,
                 llvm::ArrayRef<llvm::StringRef> programs);

/// Whether `signature` may be taken on `axis` when the axes before it took
/// `programs` ("" for none): an op runs one program, over all axes that ask for
/// it, and never in time.
bool allowsProgram(const OpSignature &signature, dist::MeshAttr mesh,
                   unsigned axis, llvm::ArrayRef<llvm::StringRef> programs);

/// Bytes that a rank receives in the signature's program on an axis of `parts`
/// coordinates (0 for a plain signature), and the number of messages.
double programBytes(const OpSignature &signature, int64_t parts);
int64_t programMessages(const OpSignature &signature, int64_t parts);

/// The position of the token that `weir-balance-sequence` puts in `place` of a
/// sequence of `length` for `parts` coordinates; twice `parts` divides
/// `length`.
int64_t balancedPosition(int64_t place, int64_t length, int64_t parts);

} // namespace weir::compiler

#endif // WEIR_COMPILER_SHARDING_SPLITPROGRAMS_H
