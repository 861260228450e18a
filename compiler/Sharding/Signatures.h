// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_COMPILER_SHARDING_SIGNATURES_H
#define WEIR_COMPILER_SHARDING_SIGNATURES_H

#include "dialects/Graph/Graph.h"

#include <memory>
#include <optional>

namespace weir::compiler {

/// One sound way to run an op on one mesh axis: the layout of every operand
/// use and every result on that axis. Sound means: when the operands are as
/// stated, the op applied to the local operands gives results as stated, for
/// every size, shards of unequal size and empty shards included.
struct OpSignature {
  llvm::SmallVector<dist::AxisLayout, 4> operands;
  llvm::SmallVector<dist::AxisLayout, 2> results;
  /// Sizes that the axis has to divide: dimensions of several lengths that a
  /// reshape regroups are the same runs in plain units only then. The signature
  /// in units, which follows, holds for every axis.
  llvm::SmallVector<int64_t, 1> mustDivide;
  /// The units of all splits may be multiplied together by any divisor of this
  /// (see `inUnits`).
  int64_t atoms = 1;
  /// Scalar operations that the axis divides among its coordinates, out of
  /// `OpRules::work`; the rest is done by each of them.
  double splitWork = 0;
  /// The split program that the signature needs, or "": then the op itself runs
  /// on the local tensors. Programs communicate: never on a time axis.
  std::string program;
  /// What the program sends.
  llvm::SmallVector<graph::ProgramMessage, 0> messages;

  bool isBroadcast() const;
  /// Whether an axis of `parts` coordinates may use the signature.
  bool allows(int64_t parts) const;
  bool sameLayouts(const OpSignature &other) const {
    return operands == other.operands && results == other.results;
  }
  bool isProgram() const { return !program.empty(); }
  /// The signature with the units of its splits multiplied: of
  /// `S(1, unit=8) -> S(1)` times 2, `S(1, unit=16) -> S(1, unit=2)`. Nullopt
  /// where the dimensions have no such runs.
  std::optional<OpSignature> inUnits(int64_t factor) const;
  /// Whether `other` is this signature in some units.
  bool covers(const OpSignature &other) const;
};

/// `S(0), B -> S(0)`; of a split program with `by 'name'` behind.
llvm::raw_ostream &operator<<(llvm::raw_ostream &os,
                              const OpSignature &signature);

/// What the expansion of an op says about it.
struct OpRules {
  /// All sound 1-D signatures, the one that is broadcast throughout first, and
  /// those of the op's split programs last; the order is a function of the op
  /// alone.
  llvm::SmallVector<OpSignature, 8> signatures;
  /// Scalar operations of the op's bodies over their iteration domains.
  double work = 0;
  /// The op only repeats or makes up elements (constants, iota, broadcast): it
  /// costs nothing to make just the shard that a consumer wants.
  bool isGenerator = false;
};

/// Derives the signatures of ops from their `expand`.
///
/// Splits: the dimensions of operands, of pieces' loops and of results fall
/// into classes (one index through all maps); splitting an axis over a class
/// splits whatever carries it, and turns a reduction over it into a partial
/// value. Dimensions that are read at a constant, sliced or concatenated
/// restrict their class; dimensions that a reshape regroups are split in units.
/// Partial values flow through
/// pieces that are jointly linear in the set of partial operands (or monotone,
/// for maxima and minima). Every candidate is evaluated forwards through the
/// pieces, and only those that come out consistent are returned.
///
/// n-D signatures are one 1-D choice for each mesh axis in mesh order, each
/// derived on the local types that the axes before it leave; pass these as
/// `operandTypes` and `resultTypes`.
///
/// Results are kept by op name, inherent attributes (without `site`) and types,
/// so that repeated layers are derived once.
class SignatureAnalysis {
public:
  /// `mesh` gives the sizes of axes in `#dist.shard` encodings; null when only
  /// logical types are asked for.
  explicit SignatureAnalysis(dist::MeshAttr mesh = {});
  ~SignatureAnalysis();

  /// Rules of `op` as if its operands and results had these types. `op` must
  /// implement ExpandOpInterface. The reference lives as long as the analysis.
  const OpRules &getRules(mlir::Operation *op, mlir::TypeRange operandTypes,
                          mlir::TypeRange resultTypes);
  const OpRules &getRules(mlir::Operation *op);

private:
  dist::MeshAttr mesh;
  llvm::StringMap<std::unique_ptr<OpRules>> cache;
};

/// All sound 1-D signatures of `op` on its own types, without those that need a
/// split program.
llvm::SmallVector<OpSignature, 8> deriveSignatures(mlir::Operation *op,
                                                   dist::MeshAttr mesh = {});

/// The rules of a block of `graph` ops and structured pieces, taken as one op
/// from the block's arguments to `results`: all expansions one after the other,
/// no reshard between them.
OpRules deriveBlockRules(mlir::Block &block, mlir::ValueRange results,
                         dist::MeshAttr mesh = {});

} // namespace weir::compiler

#endif // WEIR_COMPILER_SHARDING_SIGNATURES_H
