// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_COMPILER_SHARDING_PIECERULES_H
#define WEIR_COMPILER_SHARDING_PIECERULES_H

#include "compiler/Sharding/DimensionClasses.h"
#include "compiler/Sharding/ScalarDependence.h"

namespace weir::compiler {

/// Layouts on one mesh axis, evaluated forwards through a block of pieces: the
/// axis splits one class in `atoms` runs (0: in plain units), or none.
class LayoutEvaluation {
public:
  LayoutEvaluation(const DimensionClasses &classes,
                   std::optional<unsigned> root, int64_t atoms)
      : classes(classes), root(root), atoms(atoms) {}

  const DimensionClasses &classes;

  bool splitsClass() const { return root.has_value(); }
  /// Whether the axis splits the node's class.
  bool inClass(unsigned node) const {
    return root && classes.find(node) == *root;
  }
  bool isSplitDim(mlir::Value value, int64_t dim) const {
    return inClass(classes.node(value, dim));
  }
  bool carriesClass(mlir::Value value) const {
    return root && classes.carries(value, *root);
  }
  /// The layout that the split of the class gives a value: broadcast where it
  /// does not carry the class, nullopt where two dimensions do.
  std::optional<dist::AxisLayout> layoutOfClass(mlir::Value value) const;

  dist::AxisLayout get(mlir::Value value) const {
    return layouts.lookup(value);
  }
  void set(mlir::Value value, dist::AxisLayout layout) {
    layouts[value] = layout;
  }
  /// Gives `value` the layout of its class: for results that are split where
  /// their operands are. False where that is not one split of one dimension.
  bool setSplit(mlir::Value value);

  /// Values that are 0 throughout, a term of every sum.
  bool isZero(mlir::Value value) const { return zeros.contains(value); }
  void setZero(mlir::Value value) { zeros.insert(value); }
  void forwardZero(mlir::Value from, mlir::Value to) {
    if (isZero(from))
      setZero(to);
  }

  /// Scalar operations that the axis divides among its coordinates.
  double splitWork = 0;

private:
  std::optional<unsigned> root;
  int64_t atoms;
  llvm::DenseMap<mlir::Value, dist::AxisLayout> layouts;
  llvm::DenseSet<mlir::Value> zeros;
};

/// What sharding knows about one kind of structured piece. All functions are
/// pure; none may look past the piece.
struct PieceRule {
  /// Unites dimensions of operands and results that are one index, and
  /// restricts those that must stay whole.
  void (*classify)(mlir::Operation *op, DimensionClasses &classes) = nullptr;
  /// Sets the layouts of the results from those of the operands; false where
  /// these give none. Operands split along a dimension outside the axis' class
  /// do not occur.
  bool (*evaluate)(mlir::Operation *op, LayoutEvaluation &layouts) = nullptr;
  /// Scalar operations of the piece; null: it only moves elements.
  double (*work)(mlir::Operation *op) = nullptr;
};

/// The rules by piece. A piece without one splits nothing and passes no partial
/// value on.
class PieceRules {
public:
  static const PieceRules &get();

  /// Never fails: the rule of last resort is the one above.
  const PieceRule &lookup(mlir::Operation *op) const;
  template <typename OpTy> void add(PieceRule rule) {
    rules[mlir::TypeID::get<OpTy>()] = rule;
  }

private:
  PieceRules();
  llvm::DenseMap<mlir::TypeID, PieceRule> rules;
  PieceRule other;
};

/// `kernel.generic`, `reshape`, `transpose`, `slice`, `concat`, `constant`.
void addStructuredPieceRules(PieceRules &rules);
/// `kernel.gather`, `scatter_add`.
void addIndexedPieceRules(PieceRules &rules);
/// `kernel.take`, `put_add`, `scan`, `sort`.
void addAlongPieceRules(PieceRules &rules);

} // namespace weir::compiler

#endif // WEIR_COMPILER_SHARDING_PIECERULES_H
