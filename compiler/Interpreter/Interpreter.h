// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_COMPILER_INTERPRETER_INTERPRETER_H
#define WEIR_COMPILER_INTERPRETER_INTERPRETER_H

#include "compiler/Interpreter/Tensor.h"
#include "runtime/io/Safetensors.h"

#include <map>
#include <string>
#include <vector>

/// The reference interpreter: plain loops that say what a program means, for
/// every phase from `graph` to `kernels`. It is the oracle for the compiler, so
/// it shares nothing with what it judges: `graph` ops by hand-written loops,
/// never through `expand`; structured pieces by an evaluator of their own.
///
/// Distribution. A program with `#dist.shard` or `#dist.layout` types or with
/// `dist` ops is run by all ranks of the module's `dist.mesh` in lock step, op
/// by op; collectives combine in rank order. A local value is held compact, in
/// its extents: there is no padding that could be read, and operands whose
/// extents do not fit each other are an error. Types with a `#dist.layout`
/// (after reshards are materialised, before types are local) run on one rank
/// for each coordinate of *all* axes, the time axis included.
///
/// Kernel programs (`kernel.launch`, `contract`, `view`, `empty`, `fill`) run
/// on memory: buffers of capacity, filled with NaN (integers with a
/// recognisable pattern), written where the extents say. Aliasing that a real
/// machine would not survive is an error: an input that overlaps a destination
/// without a tie, a tied input that is other memory, an updated variable that
/// does not end in its own buffer.
namespace weir::compiler {

/// The logical variables of a module, by name.
struct State {
  std::map<std::string, Tensor> variables;

  /// First values from each variable's `#graph.init`, the same f32 numbers that
  /// the runtime computes: `a`, `a` + `b` normal(key, seed, i) or
  /// `a` + (`b` - `a`) uniform(key, seed, i) in f64, then rounded to f32, with
  /// key = siteKey(name) and i the row-major logical index
  /// (runtime/base/Philox.h).
  static State initialize(mlir::ModuleOp module, uint32_t seed);
  /// Replaces every parameter by its stored tensor (`#graph.stored`, else a
  /// tensor of the variable's own name and shape). InvalidInput when one is
  /// absent or has another shape.
  Status load(mlir::ModuleOp module, const SafetensorsSet &weights);
};

class Interpreter {
public:
  struct Options {
    Precision precision = Precision::F64;
  };

  explicit Interpreter(mlir::ModuleOp module)
      : Interpreter(module, Options()) {}
  Interpreter(mlir::ModuleOp module, Options options)
      : module(module), options(options) {}

  /// Runs an entry (`graph.entry` or `pipe.program`) on logical tensors, one
  /// for each argument, and returns one for each result. Diagnostics go to the
  /// ops.
  mlir::FailureOr<std::vector<Tensor>> run(llvm::StringRef entry,
                                           llvm::ArrayRef<Tensor> arguments);

  /// Runs an entry with variables from `state` and the caller's tensors by
  /// name; applies the updates to `state` and returns the outputs by name.
  /// Nothing is updated on failure.
  mlir::FailureOr<std::map<std::string, Tensor>>
  runEntry(llvm::StringRef entry, State &state,
           const std::map<std::string, Tensor> &inputs);

private:
  mlir::ModuleOp module;
  Options options;
};

/// Evaluates one `graph` op or structured piece on compact operands. `point`
/// gives the place in the mesh for ops on local types.
mlir::FailureOr<std::vector<Tensor>>
evaluateOp(mlir::Operation *op, llvm::ArrayRef<Tensor> operands,
           Precision precision = Precision::F64, const MeshPoint &point = {});

/// Evaluates the ops of a block in order on one rank, its arguments bound to
/// `arguments`, and returns the values `wanted`: for what `expand` emits. The
/// block may be detached and needs no terminator.
mlir::FailureOr<std::vector<Tensor>>
evaluateBlock(mlir::Block &block, llvm::ArrayRef<Tensor> arguments,
              mlir::ValueRange wanted, Precision precision = Precision::F64,
              const MeshPoint &point = {});

/// The place of rank `rank` (row-major over the space axes); the time axis has
/// no coordinate.
MeshPoint pointOfRank(dist::MeshAttr mesh, int64_t rank);

} // namespace weir::compiler

#endif // WEIR_COMPILER_INTERPRETER_INTERPRETER_H
