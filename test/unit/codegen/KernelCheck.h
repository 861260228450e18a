// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_TEST_UNIT_CODEGEN_KERNELCHECK_H
#define WEIR_TEST_UNIT_CODEGEN_KERNELCHECK_H

#include "mlir/IR/BuiltinOps.h"

namespace weir::compiler::test {

/// Compiles all kernels of a module and compares each with the interpreter's
/// evaluation of its body: at all coordinates of the module's mesh, all chunks,
/// on random operands, once positive and once of both signs. Memory beyond the
/// extents holds NaN, and must come back unchanged where it is written beside.
/// Float results may differ by some roundings of the largest one, and by
/// `slack`.
void checkKernels(mlir::ModuleOp module, const std::string &cpu = "host",
                  double slack = 0);

} // namespace weir::compiler::test

#endif // WEIR_TEST_UNIT_CODEGEN_KERNELCHECK_H
