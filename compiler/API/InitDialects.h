// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_COMPILER_API_INITDIALECTS_H
#define WEIR_COMPILER_API_INITDIALECTS_H

namespace mlir {
class DialectRegistry;
} // namespace mlir

namespace weir::compiler {

/// Registers every dialect that a Weir module may contain, at any phase up to
/// code generation: Weir's own and the upstream ones that bodies of kernels are
/// made of.
void registerAllWeirDialects(mlir::DialectRegistry &registry);

} // namespace weir::compiler

#endif // WEIR_COMPILER_API_INITDIALECTS_H
