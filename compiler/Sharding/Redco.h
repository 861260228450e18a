// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_COMPILER_SHARDING_REDCO_H
#define WEIR_COMPILER_SHARDING_REDCO_H

#include "compiler/Sharding/Signatures.h"

namespace weir::compiler {

/// The dim along which tensor parallelism splits each matrix, by the two rules
/// of Redco (Tan et al., arXiv 2310.16355): of matrices in a row, one is split
/// by columns (what it makes) and the next by rows (what it reads); matrices
/// around attention are split along its heads. Embedding tables are split by
/// entries. Found from the graph alone, without names or annotations: a matrix
/// is split by rows if what it multiplies was made by one that is split by
/// columns and is still split along its contracted dim.
///
/// Variables without an entry stay whole. Linear in the number of ops of the
/// first entry, the one without updates if there is one.
llvm::StringMap<int64_t> redcoDims(mlir::ModuleOp module,
                                   SignatureAnalysis &analysis);

} // namespace weir::compiler

#endif // WEIR_COMPILER_SHARDING_REDCO_H
