// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_COMPILER_SHARDING_TRANSFER_H
#define WEIR_COMPILER_SHARDING_TRANSFER_H

#include "compiler/Sharding/Reshard.h"

#include <vector>

/// Moving a tensor from one mesh of devices to another, as between the stages
/// of a pipeline.
namespace weir::compiler {

/// Where a tensor lies: its layout on a mesh, whose ranks (row-major over the
/// space axes) are these devices of the cluster.
struct TensorPlace {
  dist::MeshAttr mesh;
  llvm::SmallVector<dist::AxisLayout, 4> layout;
  std::vector<int64_t> devices;
};

/// A box of the logical tensor that one device hands to another (or keeps:
/// `from` == `to`).
struct TransferPiece {
  int64_t from = 0, to = 0; // devices
  llvm::SmallVector<int64_t, 4> offsets, extents;
};

struct TransferPlan {
  /// On the first mesh: from the source's layout to `sent`.
  ReshardPlan before;
  llvm::SmallVector<dist::AxisLayout, 4> sent;
  /// By receiver, then sender.
  std::vector<TransferPiece> pieces;
  /// On the second mesh: from `received` to the target's layout.
  llvm::SmallVector<dist::AxisLayout, 4> received;
  ReshardPlan after;

  double seconds = 0;
  /// Bytes received, over all devices and by the busiest: those of `before` and
  /// `after` included.
  int64_t bytesTotal = 0, bytesMax = 0;
  /// Of these, between the meshes.
  int64_t bytesBetween = 0;
  /// What every device lacks of its target block. Sums that are still to be
  /// taken count as in ReshardPlan.
  int64_t boundTotal = 0, boundMax = 0;
};

/// The cheapest way found under the cluster's cost model. Sums are taken on the
/// first mesh, straight into shards where that pays. Copies that the target
/// wants on several devices may cross once, a part to each, and be put together
/// on the second mesh (what Narayanan et al., SC 2021, section 4.1, do between
/// pipeline stages). Each piece comes from the nearest holder, of equally near
/// ones the one that has sent least. Fails where a layout has a split or terms
/// in time, or devices and mesh differ in number.
mlir::FailureOr<TransferPlan> planTransfer(const TensorPlace &source,
                                           const TensorPlace &target,
                                           mlir::RankedTensorType logical,
                                           const Cluster &cluster);

} // namespace weir::compiler

#endif // WEIR_COMPILER_SHARDING_TRANSFER_H
