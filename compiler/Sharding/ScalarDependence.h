// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_COMPILER_SHARDING_SCALARDEPENDENCE_H
#define WEIR_COMPILER_SHARDING_SCALARDEPENDENCE_H

#include "dialects/Dist/Dist.h"

#include <optional>

namespace weir::compiler {

/// How a scalar (or tensor) depends on the partial operands: not at all, or as
/// a term of a reduction. `zero` marks the constant 0, a term of every sum;
/// `sign` is that of another finite constant, by which products are monotone.
struct Dependence {
  bool partial = false;
  dist::Reduction reduction = dist::Reduction::Sum;
  bool zero = false;
  int sign = 0;

  static Dependence term(dist::Reduction reduction) {
    return {true, reduction, false, 0};
  }
};

/// Whether a constant is 0 throughout.
bool isZeroConstant(mlir::Attribute value);

/// Sums are linear over numbers; one bit has no sum.
bool mayBePartial(mlir::Type elementType);

/// Joint linearity (or monotonicity) of one op of a scalar body in its partial
/// operands; nullopt where the reduction of the results would not be the result
/// of the reduction.
std::optional<Dependence> propagateScalar(mlir::Operation &op,
                                          llvm::ArrayRef<Dependence> operands);

} // namespace weir::compiler

#endif // WEIR_COMPILER_SHARDING_SCALARDEPENDENCE_H
