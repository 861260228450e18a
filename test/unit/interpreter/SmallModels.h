// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_TEST_UNIT_INTERPRETER_SMALLMODELS_H
#define WEIR_TEST_UNIT_INTERPRETER_SMALLMODELS_H

#include "compiler/Interpreter/Interpreter.h"

#include <map>
#include <string>

namespace weir::compiler::test {

/// A model of the family "gpt2" (with dropout) or "llama", small enough for the
/// interpreter, its `train` entry built with gradients as outputs. Odd sizes
/// throughout: 5 samples of 4 tokens, 3 heads, 13 classes, 7 hidden units.
mlir::OwningOpRef<mlir::ModuleOp> buildSmallModel(mlir::MLIRContext &context,
                                                  const std::string &family);

/// What an entry of such a model takes from its caller in step `step` (from 1).
std::map<std::string, Tensor> smallModelInputs(mlir::ModuleOp module,
                                               llvm::StringRef entry, int step);

} // namespace weir::compiler::test

#endif // WEIR_TEST_UNIT_INTERPRETER_SMALLMODELS_H
