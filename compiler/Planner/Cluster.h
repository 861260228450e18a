// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_COMPILER_PLANNER_CLUSTER_H
#define WEIR_COMPILER_PLANNER_CLUSTER_H

#include "compiler/Sharding/ReshardStep.h"

#include "llvm/ADT/DenseMap.h"
#include "llvm/Support/Error.h"

#include <map>
#include <string>
#include <vector>

/// What a program will run on, as far as decisions depend on it. Described by a
/// file, so that compiling needs no device (docs/cluster.md).
namespace weir::compiler {

/// One level of the hierarchy of links between devices.
struct LinkLevel {
  std::string name;
  int64_t size = 1;     // groups of the level below (devices at the innermost)
                        // that one group of this level joins
  double latency = 0;   // seconds until a message of no bytes has arrived
  double bandwidth = 1; // bytes/s that one rank can receive while it sends
};

struct Cluster {
  std::string name;
  int64_t devices = 1;
  double memory = 0;          // bytes a device
  double memoryBandwidth = 1; // bytes/s a device
  /// Operations/s of a device by element type: "f32", "bf16", ...
  std::map<std::string, double> flops;
  /// Innermost first; sizes multiply to `devices`. Devices are numbered so that
  /// those of a group are consecutive.
  std::vector<LinkLevel> levels;

  /// Ranks of one process, a core each: copies in memory.
  static Cluster host(int64_t devices);
  /// Nodes of `devicesPerNode` GPUs, all-to-all connected within, one network
  /// port a GPU between.
  static Cluster nodes(int64_t devices, int64_t devicesPerNode);
  /// A cluster file's text; `name` is what errors call it.
  static llvm::Expected<Cluster> parse(llvm::StringRef json,
                                       llvm::StringRef name);
  /// What a module is compiled for: the cluster file's text in its attribute
  /// `dist.cluster`; without one, `host` with the ranks of `dist.mesh`.
  static llvm::Expected<Cluster> of(mlir::ModuleOp module);

  /// Operations/s for an element type; types without a figure compute as f32.
  double flopsOf(llvm::StringRef type) const;
};

/// Times of collectives on a mesh that is laid on a cluster: rank r of the mesh
/// (row-major over its space axes) is device r.
///
/// Hockney's model, alpha + beta * bytes for a message, with the algorithms of
/// Thakur, Rabenseifner and Gropp ("Optimization of Collective Communication
/// Operations in MPICH", IJHPCA 19(1), 2005) within a level, and across levels
/// the decomposition of BlueConnect (Cho et al., SysML 2019): an all-gather
/// over g0 devices in each of g1 nodes gathers between nodes first, each device
/// its own part, then within the node. Of the (g0 g1 - 1) parts that a device
/// receives, g1 - 1 come by the outer links and (g0 - 1) g1 by the inner ones.
///
/// Not thread-safe (caches).
class CollectiveCost {
public:
  CollectiveCost(const Cluster &cluster, dist::MeshAttr mesh);

  /// Seconds of a step over a set of mesh axes (ascending, none in time) in
  /// which the busiest rank receives `bytes`. Local steps take none.
  /// `messages` is what an exchange receives on its busiest rank; 0: one from
  /// each peer.
  double seconds(ReshardStep::Kind kind, llvm::ArrayRef<int64_t> axes,
                 double bytes, int64_t messages = 0) const;

  /// The same for axes as a set of bits.
  double secondsOver(ReshardStep::Kind kind, uint64_t axes, double bytes,
                     int64_t messages = 0) const;

  /// Of the fastest links, bytes/s: what no step can exceed.
  double bestBandwidth() const { return fastest; }
  /// Of the quickest links, s: what no collective can undercut.
  double leastLatency() const { return quickest; }

  /// Ranks that communicate over a set of axes.
  int64_t groupSize(llvm::ArrayRef<int64_t> axes) const;

private:
  /// How a group lies on the levels.
  struct Shape {
    struct Factor {
      double size;      // parts that meet at this level
      double latency;   // s
      double bandwidth; // bytes/s
    };
    int64_t ranks = 1;
    llvm::SmallVector<Factor, 3> factors; // innermost first, sizes above 1
  };
  const Shape &shapeOf(uint64_t axes) const;
  /// Blocks of consecutive devices that the most scattered group of ranks over
  /// the axes has members in.
  int64_t blocksTouched(uint64_t axes, int64_t block) const;

  std::vector<LinkLevel> levels;
  llvm::SmallVector<int64_t, 4> sizes, strides; // time axis: 1 and 0
  int64_t numRanks = 1;
  double fastest = 0, quickest = 0;
  mutable llvm::DenseMap<uint64_t, Shape> shapes; // by axes as a bit set
};

} // namespace weir::compiler

#endif // WEIR_COMPILER_PLANNER_CLUSTER_H
