// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_COMPILER_SHARDING_DIMENSIONCLASSES_H
#define WEIR_COMPILER_SHARDING_DIMENSIONCLASSES_H

#include "dialects/Graph/Graph.h"

#include <optional>

namespace weir::compiler {

/// A dimension of a tensor in a block of pieces. Where no axis splits it yet,
/// `local` is `logical`; else `local` is the capacity of a shard.
struct DimShape {
  int64_t local = 0;
  int64_t logical = 0;
  llvm::ArrayRef<int64_t> axes;
  int64_t unit = 1; // of the split so far
  bool even = true; // every shard is `local` long

  bool isSplit() const { return !axes.empty(); }
  /// Whether an index of one is the same index of the other on every rank.
  bool matches(const DimShape &other) const {
    return local == other.local && even == other.even &&
           (even || (logical == other.logical && axes == other.axes &&
                     unit == other.unit));
  }
};

/// How the members of a class can be split together.
struct ClassShape {
  /// Whether plain splits, each member in the unit it has so far (1 where
  /// nothing splits it), are the same runs on all members for every axis.
  bool uniform = true;
  /// Otherwise plain splits are where an axis divides this.
  int64_t plainAtoms = 0;
  bool allowsPlain = false;
  /// Runs that the members have in common: the greatest common divisor of
  /// their sizes. A split in `size / atoms` elements of each member hands out
  /// the same runs of all of them, whatever the axis.
  int64_t atoms = 0;
  bool allowsAtoms = false;
  /// Some member is split by another axis already, so that units are given.
  bool fixed = false;
};

/// The dimensions of all values and loops in a block of structured pieces,
/// united where they are one index: splitting an axis over a class splits
/// whatever carries it. Classes that are read at a constant, sliced,
/// concatenated or scanned along are *restricted*: they are never split.
///
/// The members of a class need not be equally long: a reshape unites the
/// leading dimensions of matching groups (see `ClassShape`).
class DimensionClasses {
public:
  /// Makes a node for every dimension and loop of the block and lets each
  /// piece's rule unite them. `mesh` gives the sizes of axes in `#dist.shard`
  /// encodings; null when all types are logical.
  DimensionClasses(mlir::Block &block, dist::MeshAttr mesh);

  /// The node of a value's dimension, or of a `kernel.generic`'s loop.
  unsigned node(mlir::Value value, int64_t dim) const {
    return firstNode.lookup(value) + dim;
  }
  unsigned loopNode(mlir::Operation *generic, unsigned loop) const {
    return loopNodes.lookup(generic) + loop;
  }
  static int64_t rankOf(mlir::Value value) {
    return mlir::cast<mlir::RankedTensorType>(value.getType()).getRank();
  }

  /// For rules: one index; never split.
  void unify(unsigned a, unsigned b);
  void restrict(unsigned n) { restricted[find(n)] = true; }
  void restrictAll(mlir::Value value);
  /// Unites the dimensions of a row-major reshape that are one index, and the
  /// leading ones of groups that correspond; restricts the others.
  void unifyReshape(mlir::Value input, mlir::Value output);

  DimShape shapeOf(mlir::Value value, int64_t dim) const;

  /// The class of a node, as the number of one of its members.
  unsigned find(unsigned n) const {
    while (parent[n] != n)
      n = parent[n] = parent[parent[n]];
    return n;
  }

  /// Classes that a dimension of `values` carries and nothing restricts, in
  /// the order of their first dimension.
  llvm::SmallVector<unsigned> getClasses(mlir::ValueRange values) const;

  ClassShape shapeOfClass(unsigned root) const;

  /// Layout of a value when an axis splits class `root` in `atoms` runs (0:
  /// in plain units); nullopt when two of its dimensions are in the class.
  std::optional<dist::AxisLayout> layoutIn(mlir::Value value, unsigned root,
                                           int64_t atoms = 0) const;
  /// Whether a dimension of `value` is in the class.
  bool carries(mlir::Value value, unsigned root) const;

private:
  unsigned addNode();
  void addValue(mlir::Value value);

  dist::MeshAttr mesh;
  mutable llvm::SmallVector<unsigned> parent; // paths are halved by `find`
  llvm::SmallVector<bool> restricted;
  llvm::DenseMap<mlir::Value, unsigned> firstNode;
  llvm::DenseMap<mlir::Operation *, unsigned> loopNodes;
  /// The dimension of each node that is one, with its value; loops have none.
  llvm::SmallVector<std::pair<mlir::Value, int64_t>> members;
};

} // namespace weir::compiler

#endif // WEIR_COMPILER_SHARDING_DIMENSIONCLASSES_H
