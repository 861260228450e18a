// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_TEST_UNIT_SHARDING_SPLITPROGRAMCASES_H
#define WEIR_TEST_UNIT_SHARDING_SPLITPROGRAMCASES_H

#include "compiler/Interpreter/Interpreter.h"
#include "dialects/Graph/Graph.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"

#include <string>
#include <vector>

/// Ops with split programs, each as a module of one op, and the decision to run
/// it by its program.
namespace weir::compiler::test {

mlir::MLIRContext &splitProgramContext();

/// An op to split: its assembly with operands %0, %1..., and their types.
struct OpCase {
  std::string name, program;
  std::string assembly; // without types
  std::vector<std::string> operands, results;
};

/// A module whose one entry `main` runs the op on the caller's tensors `a0`,
/// `a1`..., and returns `r0`, `r1`....
mlir::OwningOpRef<mlir::ModuleOp> buildModule(const OpCase &op);
mlir::Operation *opOf(mlir::ModuleOp module);
/// Normal floats; integers are labels, or a permutation for positions.
std::vector<Tensor> inputsOf(mlir::ModuleOp module);

/// What an axis of the mesh does to the op: the program or a plain signature,
/// of these layouts; "": the program whatever they are.
struct AxisChoice {
  bool program = true;
  std::string layouts;
};
struct ProgramSetting {
  std::string mesh;
  std::vector<AxisChoice> choices; // one for each axis
};

/// Sets the mesh and decides the op, everything at the boundary whole. Fails
/// the current test when the op has no such signature.
void decide(mlir::ModuleOp module, const OpCase &op,
            const ProgramSetting &setting);

OpCase softmaxCase();
OpCase crossEntropyCase();
OpCase layerNormCase();
OpCase rmsNormCase();
OpCase cumsumCase(const std::string &flags);
/// Two spatial dims: 3x3 windows with padding, strides 1 and 2, two groups; or
/// dilated windows of 2, so that a shard reads beyond its neighbours.
OpCase convCase(bool dilated);
/// Grouped-query attention; by positions it is causal.
OpCase attentionCase(bool causal, bool positions, int queries, int keys);
/// The gradient of an attention: its operands are the attention's, the results
/// and the gradient of the first.
OpCase gradientOf(const OpCase &attention);

} // namespace weir::compiler::test

#endif // WEIR_TEST_UNIT_SHARDING_SPLITPROGRAMCASES_H
