// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_COMPILER_INTERPRETER_TENSOR_H
#define WEIR_COMPILER_INTERPRETER_TENSOR_H

#include "dialects/Dist/Dist.h"

#include <string>
#include <vector>

namespace weir::compiler {

/// Which arithmetic all float tensors get, whatever their element type in the
/// IR: `F32` rounds after every scalar operation, `F64` is double throughout.
enum class Precision { F32, F64 };

/// Element types of the interpreter. All float types are one: the precision of
/// a run decides what they are.
enum class ElementKind { Float, I64, I32, I1 };

/// A dense tensor, row-major. Exactly one of `floats` and `ints` holds the
/// elements. Floats are stored as doubles; in an f32 run each is the value of a
/// float. Integers are sign-extended, i1 is 0 or 1.
struct Tensor {
  ElementKind kind = ElementKind::Float;
  llvm::SmallVector<int64_t, 6> shape;
  std::vector<double> floats;
  std::vector<int64_t> ints;

  bool isFloat() const { return kind == ElementKind::Float; }
  /// Number of elements; 1 for a scalar.
  int64_t size() const;
  unsigned rank() const { return shape.size(); }

  /// All elements zero.
  static Tensor zeros(ElementKind kind, llvm::ArrayRef<int64_t> shape);
  static Tensor fromFloats(llvm::ArrayRef<int64_t> shape,
                           llvm::ArrayRef<double> values);
  static Tensor fromInts(ElementKind kind, llvm::ArrayRef<int64_t> shape,
                         llvm::ArrayRef<int64_t> values);
  static Tensor scalar(double value) { return fromFloats({}, {value}); }
  static Tensor scalarInt(ElementKind kind, int64_t value) {
    return fromInts(kind, {}, {value});
  }

  /// Element `index` (row-major) as a double, of whatever kind.
  double at(int64_t index) const {
    return isFloat() ? floats[index] : static_cast<double>(ints[index]);
  }
  /// Copies element `from` of `source`, which has the same kind.
  void set(int64_t to, const Tensor &source, int64_t from) {
    if (isFloat())
      floats[to] = source.floats[from];
    else
      ints[to] = source.ints[from];
  }
  /// Same kind, shape and elements; all NaNs are one value.
  bool identicalTo(const Tensor &other) const;
};

/// The kind of an element type, or nothing when the interpreter has none.
std::optional<ElementKind> elementKindOf(mlir::Type elementType);
/// "f", "i64", "i32", "i1": for messages.
llvm::StringRef elementKindName(ElementKind kind);
/// `value` reduced to the kind's width, sign-extended (i1: 0 or 1).
int64_t wrapInteger(ElementKind kind, int64_t value);
/// Rounds every element to float when `precision` is F32.
void roundTo(Precision precision, Tensor &tensor);

/// Row-major strides of a shape, in elements.
llvm::SmallVector<int64_t, 6> rowMajorStrides(llvm::ArrayRef<int64_t> shape);
int64_t elementsOf(llvm::ArrayRef<int64_t> shape);
/// Steps a multi-index in row-major order; false after the last one.
bool nextIndex(llvm::MutableArrayRef<int64_t> index,
               llvm::ArrayRef<int64_t> shape);

/// A place in the mesh: one coordinate for each axis, -1 where it has none now
/// (the time axis outside the micro-batch loop). Without a mesh there are none.
struct MeshPoint {
  dist::MeshAttr mesh;
  llvm::SmallVector<int64_t, 4> coordinates;
};

/// What a tensor type means at a mesh point: the part of each dimension that is
/// held there. Without encoding everything, from 0.
struct Box {
  llvm::SmallVector<int64_t, 6> extents;
  llvm::SmallVector<int64_t, 6> offsets;
  llvm::SmallVector<int64_t, 6> logical;
  /// Mesh axes that split each dimension.
  llvm::SmallVector<llvm::SmallVector<int64_t, 2>, 6> axes;

  bool isWhole() const { return extents == logical; }
};

/// Reads `#dist.shard` (shape is the capacity) and `#dist.layout` (shape is
/// logical) encodings. Fails through `emitError` when the type does not fit the
/// mesh, or is split by an axis that has no coordinate at `point`.
mlir::FailureOr<Box>
boxOf(mlir::RankedTensorType type, const MeshPoint &point,
      llvm::function_ref<mlir::InFlightDiagnostic()> emitError);

} // namespace weir::compiler

#endif // WEIR_COMPILER_INTERPRETER_TENSOR_H
