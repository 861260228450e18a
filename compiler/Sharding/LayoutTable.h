// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_COMPILER_SHARDING_LAYOUTTABLE_H
#define WEIR_COMPILER_SHARDING_LAYOUTTABLE_H

#include "compiler/Planner/Cluster.h"

#include <vector>

namespace weir::compiler {

/// What one device does by itself, as far as layouts are judged by it.
struct DeviceCost {
  explicit DeviceCost(const Cluster &cluster)
      : memoryBandwidth(cluster.memoryBandwidth),
        start(cluster.levels.empty() ? 0 : cluster.levels[0].latency) {}
  double memoryBandwidth; // bytes/s
  /// Seconds to start a step of a reshard, beside what its messages take: as
  /// long as the innermost link's latency (an NCCL hop over NVLink takes 3.4
  /// us, and so does a launch). Of programs that move the same bytes, it makes
  /// the one with fewer steps cheaper.
  double start;
};

/// All layouts that a kind of tensor may have over some mesh axes, and the
/// seconds from each to each other: shortest paths over the steps of
/// `ReshardStep` with a name (no exchanges), so that the triangle inequality
/// holds between all of them.
class LayoutTable {
public:
  /// Of a logical tensor of which `fraction` lies on each group of the axes
  /// (others split it). `alphabet`: what an axis may make of it, whole first,
  /// at most 255 entries. `frozenDim`: a dim that no step may move (-1: none).
  /// `bucketed`: its collectives are joined with others of their kind
  /// (weir-fuse-collectives), so that messages start once for all.
  LayoutTable(mlir::RankedTensorType type, double fraction,
              llvm::ArrayRef<dist::AxisLayout> alphabet, int64_t frozenDim,
              dist::MeshAttr mesh, llvm::ArrayRef<int64_t> axes,
              const CollectiveCost &cost, const DeviceCost &device,
              bool bucketed);

  unsigned size() const { return count; }
  /// The entry for each of the axes.
  llvm::SmallVector<dist::AxisLayout, 4> layout(unsigned index) const;
  /// The number of a layout, or -1 where the alphabet does not have it.
  int find(llvm::ArrayRef<dist::AxisLayout> layout) const;
  /// Whether the layout can exist: one unit a dim, no empty shards.
  bool isValid(unsigned index) const { return local[index] > 0; }
  bool hasPartial(unsigned index) const;
  /// Bytes of the largest shard.
  double bytes(unsigned index) const { return local[index]; }
  /// Seconds of a reshard; `CostGraph::forbidden` where there is none.
  double seconds(unsigned from, unsigned to) const {
    return distances[size_t(from) * count + to];
  }

private:
  void addSteps(unsigned index, const CollectiveCost &cost,
                const DeviceCost &device);

  mlir::RankedTensorType type;
  llvm::SmallVector<dist::AxisLayout, 8> alphabet;
  int64_t frozenDim;
  bool bucketed;
  llvm::SmallVector<int64_t, 4> axes;  // of the mesh, ascending
  llvm::SmallVector<int64_t, 4> parts; // their sizes
  double elementBytes;
  unsigned count = 1;
  std::vector<double> local;     // bytes by layout; 0: cannot be
  std::vector<double> distances; // [from][to]
};

} // namespace weir::compiler

#endif // WEIR_COMPILER_SHARDING_LAYOUTTABLE_H
