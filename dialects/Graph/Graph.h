// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_DIALECTS_GRAPH_GRAPH_H
#define WEIR_DIALECTS_GRAPH_GRAPH_H

#include "dialects/Dist/Dist.h"
#include "dialects/Graph/SplitProgram.h"
#include "dialects/Kernel/Kernel.h"
#include "dialects/Pch.h"

#include "dialects/Graph/GraphDialect.h.inc"
#include "dialects/Graph/GraphEnums.h.inc"
#include "dialects/Graph/GraphInterfaces.h.inc"

namespace weir::graph::detail {
struct InitializerAttrStorage;
} // namespace weir::graph::detail

#define GET_ATTRDEF_CLASSES
#include "dialects/Graph/GraphAttrs.h.inc"

namespace weir::graph {

/// Whether two tensor types agree but for `#dist.layout` encodings.
bool isSameUpToLayout(mlir::Type a, mlir::Type b);

/// Verifies that all operands and results have one type up to layout.
llvm::LogicalResult verifyOneTypeUpToLayout(mlir::Operation *op);

/// Trait of ops whose operands and results have one type, but for
/// `#dist.layout` encodings.
template <typename ConcreteType>
class OneTypeUpToLayout
    : public mlir::OpTrait::TraitBase<ConcreteType, OneTypeUpToLayout> {
public:
  static llvm::LogicalResult verifyTrait(mlir::Operation *op) {
    return verifyOneTypeUpToLayout(op);
  }
};

} // namespace weir::graph

#define GET_OP_CLASSES
#include "dialects/Graph/GraphOps.h.inc"

#endif // WEIR_DIALECTS_GRAPH_GRAPH_H
