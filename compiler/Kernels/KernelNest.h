// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_COMPILER_KERNELS_KERNELNEST_H
#define WEIR_COMPILER_KERNELS_KERNELNEST_H

#include "compiler/Kernels/KernelScalars.h"

#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/SetVector.h"
#include <set>
#include <tuple>
#include <vector>

namespace weir::compiler::nest {

/// Where along one dimension of a value: a loop's index (or 0), plus a
/// constant, plus and minus run-time scalars; or an index read from memory.
struct IndexExpr {
  int loop = -1;
  int64_t offset = 0;
  llvm::SmallVector<std::pair<int, int>, 1> shifts; // (scalar, sign)
  int dynamic = -1;                                 // number of a read index

  bool operator==(const IndexExpr &other) const {
    return loop == other.loop && offset == other.offset &&
           dynamic == other.dynamic && shifts == other.shifts;
  }
  bool operator<(const IndexExpr &other) const {
    if (std::tie(loop, offset, dynamic) !=
        std::tie(other.loop, other.offset, other.dynamic))
      return std::tie(loop, offset, dynamic) <
             std::tie(other.loop, other.offset, other.dynamic);
    return std::lexicographical_compare(
        shifts.begin(), shifts.end(), other.shifts.begin(), other.shifts.end());
  }
};
using Index = llvm::SmallVector<IndexExpr, 5>;

/// A loop of the kernel: the loops and dimensions of its pieces that run
/// together. It makes extent(dim) * multiplier iterations.
struct Loop {
  LocalDim dim;
  int64_t multiplier = 1;
  /// One iteration, or merged into another loop: its index is 0.
  bool trivial = false;
  /// Its index has a meaning of its own (`kernel.index`), so it is not merged.
  bool indexUsed = false;

  int64_t capacity() const { return dim.capacity * multiplier; }
};

struct Access {
  mlir::Value memory;
  Index index;
};

/// Something a kernel must do: store a value, or compute a reduction first.
struct Root {
  enum class Kind { Store, Reduce, Scatter };
  Kind kind = Kind::Store;
  mlir::Value value;             // Store
  unsigned dest = 0;             // Store: argument number of the destination
  Index destIndex;               // Store
  mlir::Operation *op = nullptr; // Reduce, Scatter
  llvm::SmallVector<int> loops;  // all, outermost first
  llvm::SmallVector<int> kept;   // Reduce: those of its results
  llvm::SetVector<mlir::Operation *> deps;   // reductions it reads
  llvm::SetVector<mlir::Operation *> pulled; // pieces computed on the way
  std::vector<Access> accesses;
  bool expensive = false; // computes elementary functions
  int depth = 0;          // rounds of reductions before it
};

/// How the pieces of a `kernel.func` become one loop nest: loops `outer`, then
/// for each depth the inner loops of its roots, of which one is vectorised.
class KernelNest {
public:
  KernelNest(kernel::FuncOp func, dist::MeshAttr mesh);

  mlir::LogicalResult analyze();

  kernel::FuncOp func;
  dist::MeshAttr mesh;
  std::vector<Loop> loops;
  std::vector<Root> roots;
  llvm::SmallVector<int> outer;
  /// Vectorised loop of all roots in element-wise and column kernels; -1: each
  /// root has its own among its inner loops.
  int vectorLoop = -1;
  /// Reductions run over rows while columns are vectorised.
  bool columns = false;
  /// Loop whose iterations are divided among chunks; -1: one chunk does all.
  int chunkLoop = -1;
  mlir::ArrayAttr scalars;
  /// Costly values that several depths read: kept in a row of scratch.
  llvm::SetVector<mlir::Operation *> scratch;
  /// A costly value is computed again for another depth.
  bool recomputes = false;

  /// Whether every pass over much memory has a vectorised loop of unit stride,
  /// and enough iterations for `chunks` chunks.
  bool isEfficient(int64_t chunks) const;
  /// Iterations of the largest root.
  int64_t getWork() const;
  /// Roots of equal depth and equal inner loops share one pass: their indices.
  std::vector<std::vector<unsigned>> makePasses() const;
  /// For `%d = scatter + other`: the other summand; null when it is none.
  static mlir::Value getScatterSummand(mlir::Value result,
                                       kernel::ScatterAddOp scatter);

  int loopOf(mlir::Value value, unsigned dim);
  int loopOf(kernel::GenericOp op, unsigned loop);
  /// Number of a scalar in `scalars`, or -1.
  int findScalar(const dist::ShardDim &dim, ScalarKind kind) const;
  int findScalar(mlir::Attribute scalar) const;
  /// Element strides of an argument, or of a constant.
  llvm::SmallVector<int64_t> stridesOf(mlir::Value memory) const;
  /// Indices of a generic's loops, given those of one of its results.
  static llvm::SmallVector<IndexExpr>
  loopIndices(kernel::GenericOp op, unsigned result, const Index &index);
  static Index mapIndex(mlir::AffineMap map, llvm::ArrayRef<IndexExpr> loops);
  /// Index into the only operand of a transpose, slice, local slice or
  /// to_partial.
  Index operandIndex(mlir::Operation *op, const Index &index) const;
  /// Best loop to vectorise for these roots among `candidates`.
  int chooseVectorLoop(llvm::ArrayRef<const Root *> users,
                       llvm::ArrayRef<int> candidates) const;
  /// Elements accessed along the loop with unit stride less those with another.
  double scoreVectorLoop(llvm::ArrayRef<const Root *> users, int loop) const;
  static bool isReduction(mlir::Operation *op);
  static bool isMemory(mlir::Value value);

private:
  mlir::LogicalResult unify();
  mlir::LogicalResult findRoots();
  mlir::LogicalResult walk(Root &root, mlir::Value value, const Index &index,
                           std::set<std::pair<const void *, Index>> &visited);
  void merge();
  void order(llvm::SmallVectorImpl<int> &loops) const;
  mlir::LogicalResult schedule();
  void chooseScratch();
  int64_t strideOf(const Access &access, int loop) const;

  int node(const void *owner, unsigned number, const LocalDim &dim,
           const void *exclusive);
  int find(int node);
  /// The loop of a class, by its representative node; made when first asked
  /// for.
  int loopOfClass(int root);
  bool unite(int a, int b);

  struct Node {
    int parent;
    LocalDim dim;
    /// Owners that may have only one member in a class.
    llvm::SmallVector<std::pair<const void *, unsigned>, 4> members;
  };
  std::vector<Node> nodes;
  llvm::MapVector<std::pair<const void *, unsigned>, int> nodeNumbers;
  llvm::MapVector<int, int> classNumbers; // representative node -> loop
  llvm::SmallVector<llvm::ArrayRef<int64_t>> argumentStrides;
  llvm::SetVector<mlir::Operation *> live;
};

} // namespace weir::compiler::nest

#endif // WEIR_COMPILER_KERNELS_KERNELNEST_H
