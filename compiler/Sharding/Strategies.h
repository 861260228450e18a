// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_COMPILER_SHARDING_STRATEGIES_H
#define WEIR_COMPILER_SHARDING_STRATEGIES_H

#include "compiler/Sharding/Layouts.h"
#include "compiler/Sharding/Signatures.h"
#include "runtime/io/Strategy.h"

#include <optional>

/// Strategies of mesh axes as constraints: what they say of variables, of the
/// caller's tensors and of attention. Propagation fills in the rest.
namespace weir::compiler {

/// A layout that the user wants of what a pattern names, on some axes.
struct NamedLayout {
  std::string text;
  /// `*` is any text, `?` any one character.
  std::string pattern;
  /// An entry for each mesh axis; none leaves the axis to its strategy.
  llvm::SmallVector<std::optional<dist::AxisLayout>> axes;
  /// Whether it also names ops (by location name or site): their first result.
  bool namesOps = false;
  bool used = false;

  bool matches(llvm::StringRef name) const;
};

/// What is given of one axis.
struct AxisPlan {
  Strategy strategy = Strategy::None;
  /// Time axis: whether the batch is cut into micro-batches.
  bool micro = false;
};

/// Strategies and layouts that the user gave, for all axes of a mesh.
struct GivenPlan {
  llvm::SmallVector<AxisPlan> axes;
  llvm::SmallVector<NamedLayout> layouts;
};

/// Reads what is given, in this order: `strategies` ("axis=name") and
/// `overrides` ("pattern=[S(0), B]" or "pattern={axis=S(0)}"), which are pass
/// options; the module's `weir.strategies` and `weir.layouts`; what axes are by
/// their name. The module's attribute is set to the strategies in force, for
/// later passes. Fails with diagnostics on the module.
mlir::FailureOr<GivenPlan> readPlan(mlir::ModuleOp module, dist::MeshAttr mesh,
                                    llvm::ArrayRef<std::string> strategies,
                                    llvm::ArrayRef<std::string> overrides);

/// The strategies in force by mesh axis, from the module's attribute; None
/// where it says nothing.
llvm::SmallVector<Strategy> strategiesOf(mlir::ModuleOp module,
                                         dist::MeshAttr mesh);

/// Gives every variable its `dist.layout`: the first named layout that matches
/// it and names the axis, a `dist.layout` that it has, the axis' strategy.
/// Optimizer state lies as its parameter, but split where `zero1` and `zero2`
/// split it. Marks the named layouts that were used. Fails with diagnostics.
mlir::FailureOr<llvm::StringMap<dist::LayoutAttr>>
decideVariables(mlir::ModuleOp module, dist::MeshAttr mesh, GivenPlan &plan,
                SignatureAnalysis &analysis);

} // namespace weir::compiler

#endif // WEIR_COMPILER_SHARDING_STRATEGIES_H
