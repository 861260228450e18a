// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_DIALECTS_GRAPH_ANNOTATIONS_H
#define WEIR_DIALECTS_GRAPH_ANNOTATIONS_H

#include "llvm/ADT/StringRef.h"

/// Names of discardable attributes that several libraries of the compiler set
/// and read.
namespace weir {

/// On a variable: i64, the dim that tensor parallelism splits. The model's
/// builder knows it (the dim of the heads, so that heads stay whole).
inline constexpr llvm::StringLiteral tensorParallelDimAttr = "weir.tp_dim";

/// On a variable beside it: i64, the dim that axes of tensor parallelism split
/// when `weir.tp_dim` has fewer elements than they have coordinates (heads of a
/// group, where that is the groups), or -1: they leave the variable whole.
inline constexpr llvm::StringLiteral tensorParallelInnerDimAttr =
    "weir.tp_inner_dim";

/// On the module: strategies of mesh axes by name, `{dp = "zero1"}`.
inline constexpr llvm::StringLiteral strategiesAttr = "weir.strategies";

/// On the module: the user's layouts of variables, of which the first that
/// matches and names an axis counts:
/// `[{match = "h.*.mlp.*", layouts = {tp = "S(0)"}}]`.
inline constexpr llvm::StringLiteral layoutsAttr = "weir.layouts";

/// On the module: what `weir-select-layouts` found, by entry. Where it is, the
/// space axes of all signatures are decided.
inline constexpr llvm::StringLiteral layoutSearchAttr = "weir.layout_search";

/// On the module: unit, set by a pass that fails because the program does not
/// fit the devices, so that the driver can tell that from a wrong program.
inline constexpr llvm::StringLiteral infeasibleAttr = "weir.infeasible";

/// On a `dist.reshard` and what it is lowered to: unit, made anew wherever it
/// is used, in the micro-batch loop too, instead of kept for later uses.
inline constexpr llvm::StringLiteral transientAttr = "weir.transient";

} // namespace weir

#endif // WEIR_DIALECTS_GRAPH_ANNOTATIONS_H
