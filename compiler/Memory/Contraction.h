// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_COMPILER_MEMORY_CONTRACTION_H
#define WEIR_COMPILER_MEMORY_CONTRACTION_H

#include "dialects/Dist/Dist.h"

#include <array>

namespace weir::compiler {

/// One loop of a contraction over A, B and C.
struct ContractLoop {
  int64_t capacity = 1;                       // iterations on the largest shard
  dist::ShardDim dim;                         // how many on a given rank
  bool constant = true;                       // the same number on every rank
  std::array<int64_t, 3> strides = {0, 0, 0}; // elements of A, B, C
};

/// `C[loops, m, n] (+)= sum over k and the loops with stride 0 in C of
/// A[loops, m, k] B[loops, k, n]`.
struct ContractNest {
  llvm::SmallVector<ContractLoop> loops; // those of C first, then summed ones
  ContractLoop m, n, k;
};

/// One operand of a contraction: its local type, element strides, and for each
/// of its dims the loop that runs over it.
struct ContractOperand {
  mlir::RankedTensorType type;
  llvm::SmallVector<int64_t> strides;
  llvm::SmallVector<unsigned> loops;
};

/// Brings a contraction of any number of loops to the form that the library
/// takes: loops of one kind that are contiguous in all operands become one, the
/// largest of each kind becomes m, n or k, the others stay loops. Loops whose
/// extent differs between ranks are not merged, since their product is no
/// extent. `mesh` may be null (one device).
ContractNest collapseContraction(unsigned numLoops,
                                 const std::array<ContractOperand, 3> &operands,
                                 dist::MeshAttr mesh);

} // namespace weir::compiler

#endif // WEIR_COMPILER_MEMORY_CONTRACTION_H
