// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_COMPILER_SHARDING_RESHARD_H
#define WEIR_COMPILER_SHARDING_RESHARD_H

#include "compiler/Planner/Cluster.h"

#include "llvm/ADT/StringMap.h"

#include <memory>

namespace weir::compiler {

/// A program from one layout to another, with what it costs.
struct ReshardPlan {
  llvm::SmallVector<ReshardStep> steps;
  /// Under the cluster's cost model.
  double seconds = 0;
  /// Bytes received, over all devices and by the busiest. Exact for the uneven
  /// shards too; an all-reduce counts as a ring does it.
  int64_t bytesTotal = 0, bytesMax = 0;
  /// What no program can go below: see docs/design/resharding.md.
  int64_t boundTotal = 0, boundMax = 0;

  /// Steps in which ranks talk to each other.
  int64_t numCollectives() const;
};

/// Finds the cheapest program from any layout of a mesh to any other, under the
/// cost model of a cluster, and remembers it. Deterministic. Not thread-safe.
class Resharder {
public:
  /// `countsBytes`: fill in the bytes and bounds of plans, which takes time
  /// that grows with the ranks where shards are uneven.
  Resharder(dist::MeshAttr mesh, const Cluster &cluster,
            bool countsBytes = true);
  ~Resharder();
  Resharder(const Resharder &) = delete;
  Resharder &operator=(const Resharder &) = delete;

  /// The program for a logical tensor. Layouts have an entry for each mesh
  /// axis; those of the time axis are equal. Splits of a dimension nest in mesh
  /// order throughout. Fails when the change would have to move data between
  /// micro-batches: a dimension that the time axis splits cannot gain or lose
  /// a split over another axis.
  ///
  /// The plan lives as long as the resharder.
  mlir::FailureOr<const ReshardPlan *>
  plan(llvm::ArrayRef<dist::AxisLayout> from,
       llvm::ArrayRef<dist::AxisLayout> to, mlir::RankedTensorType logical);

  dist::MeshAttr getMesh() const { return mesh; }
  const CollectiveCost &getCost() const { return cost; }

private:
  dist::MeshAttr mesh;
  CollectiveCost cost;
  bool countsBytes;
  /// By layouts, shape and element size; null: impossible.
  llvm::StringMap<std::unique_ptr<ReshardPlan>> plans;
};

/// Fills in the bytes and bounds of a plan whose steps are known.
void countBytes(ReshardPlan &plan, llvm::ArrayRef<dist::AxisLayout> from,
                llvm::ArrayRef<dist::AxisLayout> to,
                mlir::RankedTensorType logical, dist::MeshAttr mesh);

/// Cost of a message's start in bytes of bandwidth, where decisions weigh bytes
/// without a cluster.
constexpr double collectiveLatencyBytes = 4096;

} // namespace weir::compiler

#endif // WEIR_COMPILER_SHARDING_RESHARD_H
