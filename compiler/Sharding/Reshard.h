// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_COMPILER_SHARDING_RESHARD_H
#define WEIR_COMPILER_SHARDING_RESHARD_H

#include "dialects/Dist/Dist.h"

namespace weir::compiler {

/// One collective or local operation of a reshard, on one dimension and a set
/// of mesh axes (ascending: outermost split first).
struct ReshardStep {
  enum class Kind {
    LocalSlice,
    ReduceScatter,
    AllToAll,
    AllReduce,
    AllGather,
    ToPartial
  };
  Kind kind = Kind::LocalSlice;
  llvm::SmallVector<int64_t, 4> axes;
  int64_t dim = 0;   // LocalSlice, ReduceScatter, AllGather; AllToAll: gathered
  int64_t toDim = 0; // AllToAll: split
  dist::Reduction reduction = dist::Reduction::Sum;
  /// Layout after the step.
  llvm::SmallVector<dist::AxisLayout, 4> result;
};

/// The steps from one layout to another, whose entries on the time axis (if
/// any) are equal. Splits of a dimension nest in mesh order throughout: a step
/// adds axes innermost or removes innermost ones. Slices and reduce-scatters
/// come as early as the nesting allows, gathers last. Fails when the change
/// would have to move data between micro-batches: a dimension that the time
/// axis splits cannot gain or lose a split over another axis.
mlir::FailureOr<llvm::SmallVector<ReshardStep>>
planReshard(llvm::ArrayRef<dist::AxisLayout> from,
            llvm::ArrayRef<dist::AxisLayout> to, dist::MeshAttr mesh);

/// Cost of a message's start in bytes of bandwidth: what makes one all-reduce
/// better than a reduce-scatter and an all-gather of the same bytes.
constexpr double collectiveLatencyBytes = 4096;

/// Bytes that a rank receives in `steps` for a tensor of `bytes` logical bytes,
/// plus `collectiveLatencyBytes` for each collective.
double reshardCost(llvm::ArrayRef<ReshardStep> steps,
                   llvm::ArrayRef<dist::AxisLayout> from, dist::MeshAttr mesh,
                   double bytes);

} // namespace weir::compiler

#endif // WEIR_COMPILER_SHARDING_RESHARD_H
