// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_COMPILER_SHARDING_RESHARDSTEP_H
#define WEIR_COMPILER_SHARDING_RESHARDSTEP_H

#include "dialects/Dist/Dist.h"

namespace weir::compiler {

/// One collective or local operation of a reshard, on a set of mesh axes
/// (ascending: outermost split first).
struct ReshardStep {
  enum class Kind {
    LocalSlice,
    ReduceScatter,
    AllToAll,
    AllReduce,
    AllGather,
    ToPartial,
    /// Any change of splits and copies on `axes` at once: every rank receives
    /// what it lacks, each part from one holder.
    Exchange
  };
  Kind kind = Kind::LocalSlice;
  llvm::SmallVector<int64_t, 4> axes;
  int64_t dim = 0;   // LocalSlice, ReduceScatter, AllGather; AllToAll: gathered
  int64_t toDim = 0; // AllToAll: split
  dist::Reduction reduction = dist::Reduction::Sum;
  /// Layout after the step.
  llvm::SmallVector<dist::AxisLayout, 4> result;

  /// Whether ranks talk to each other.
  bool isCollective() const {
    return kind != Kind::LocalSlice && kind != Kind::ToPartial;
  }
};

} // namespace weir::compiler

#endif // WEIR_COMPILER_SHARDING_RESHARDSTEP_H
