// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_RUNTIME_PLAN_PLAN_H
#define WEIR_RUNTIME_PLAN_PLAN_H

#include "runtime/base/Status.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

/// The plan: what one role executes, as the compiler wrote it into the artifact
/// (`plan/role0.json`). All ranks of a role share it; everything that differs
/// between ranks or micro-batches is a `ScalarExpr` of their coordinates, so
/// that its size does not depend on the number of ranks.
namespace weir::plan {

enum class DType { F32, F64, F16, BF16, I64, I32, I8, U8, I1 };
int64_t byteSize(DType type);
std::string_view name(DType type); // "f32", "i32", ...

enum class Combiner { Sum, Max, Min };

/// One axis of the mesh, outermost first; rank numbers are row-major over the
/// space axes. The micro-batch axis, if any, is the last one and runs in time.
struct MeshAxis {
  std::string name;
  int64_t size = 1;
  bool time = false;
};

/// An integer that every rank computes from its coordinates at load. A
/// dimension of `size` elements split over `axes` in order (each split gives
/// the first `n mod k` coordinates one element more) has, at these coordinates,
/// an extent and an offset; `Constant` is `size` itself. Splits hand out runs
/// of `unit` elements, which divides `size`. With a `shift` they are those of
/// the coordinates that many places on: the coordinates on `axes` as one
/// number, row-major, modulo their product.
struct ScalarExpr {
  enum class Kind { Constant, Extent, Offset };
  Kind kind = Kind::Constant;
  int64_t size = 0;
  std::vector<int> axes; // mesh axis indices, outermost split first
  int64_t unit = 1;
  int64_t shift = 0;

  bool operator==(const ScalarExpr &other) const {
    return kind == other.kind && size == other.size && axes == other.axes &&
           unit == other.unit && shift == other.shift;
  }
};

/// How one logical dimension lies on the mesh: split over `axes`, in order.
struct DimLayout {
  int64_t size = 0;      // logical size
  int64_t capacity = 0;  // largest shard; what local strides are made from
  std::vector<int> axes; // empty: whole
  int64_t unit = 1;      // elements that stay together
};

/// A tensor's distribution. Local memory is row-major over the capacities.
struct TensorLayout {
  DType dtype = DType::F32;
  std::vector<DimLayout> dims;
  /// Mesh axes on which the value is a partial sum (never for variables).
  std::vector<int> partialAxes;
};

/// Alignment in bytes of segments and of the places in them: a cache line and
/// the widest vector.
constexpr int64_t bufferAlignment = 64;

struct Segment {
  enum class Kind { Parameters, State, Step, Workspace };
  std::string name;
  Kind kind = Kind::Step;
  int64_t bytes = 0; // per rank
};

/// A place in a segment, its offset and slot stride multiples of
/// `bufferAlignment`. `slots` copies lie `slotStride` bytes apart; a firing
/// for micro-batch j uses slot j mod slots. A buffer bound to a caller's tensor
/// (`binding` >= 0, an index into the entry's inputs, or its outputs when
/// `bindingIsOutput`) uses the caller's memory: an input on all ranks, an
/// output on rank 0; elsewhere it uses its place in the segment.
struct Buffer {
  std::string name; // site of the value, for reports
  int segment = -1; // -1: only ever the caller's memory
  int64_t offset = 0;
  int64_t bytes = 0;
  int slots = 1;
  int64_t slotStride = 0;
  int binding = -1;
  bool bindingIsOutput = false;
};

struct BufferRef {
  int buffer = -1;
  int64_t byteOffset = 0;
};

/// One dimension of a strided batched contraction. Strides are in elements.
struct ContractDim {
  int scalar = -1; // index into Entry::scalars: the dimension's extent
  int64_t strideA = 0, strideB = 0, strideC = 0;
};

/// C[loops, m, n] (+)= sum over k and over the loops with strideC == 0 of
/// A[loops, m, k] * B[loops, k, n]. One of A's m and k strides is 1, or the
/// runtime packs; likewise for B and C. A zero extent in k writes zeros.
struct Contract {
  std::vector<ContractDim> loops;
  ContractDim m, n, k;
  bool accumulate = false; // C += instead of C =
  DType dtype = DType::F32;
};

/// One dimension of a collective's tensors: local input and output sizes are
/// `inSize`/`outSize` (scalar indices: their extents on this rank), strides in
/// elements.
struct CollectiveDim {
  int64_t logical = 0;
  std::vector<int> inAxes, outAxes; // mesh axes splitting the dim before, after
  int64_t inStride = 0, outStride = 0;
  int64_t inUnit = 1, outUnit = 1;   // elements that stay together
  int64_t inShift = 0, outShift = 0; // of the coordinates, as in ScalarExpr
};

struct Collective {
  /// Exchange is the general form of gather and all-to-all: any splits before,
  /// any after.
  enum class Op { AllReduce, AllGather, ReduceScatter, AllToAll, Exchange };
  Op op = Op::AllReduce;
  Combiner combiner = Combiner::Sum; // AllReduce, ReduceScatter
  std::vector<int> axes;             // mesh axes of the group, outermost first
  std::vector<CollectiveDim> dims;
  DType dtype = DType::F32;
};

/// An action: the unit of execution. Collectives appear once for each phase,
/// in the order Post, Reduce (AllReduce only), Gather, Release.
struct Action {
  enum class Kind { Kernel, Contract, Collective, Fill };
  enum class Phase { Post, Reduce, Gather, Release };
  Kind kind = Kind::Kernel;
  std::string site; // the user's node this belongs to
  /// Kernel: symbol in the shared object `kernels/cpu-*.so`.
  std::string symbol;
  /// Kernel: in the order of its argument list (reads, then writes).
  /// Contract: A, B, C. Collective: in, out. Fill: the destination.
  std::vector<BufferRef> buffers;
  int numReads = 0;         // how many of `buffers` are only read
  std::vector<int> scalars; // Kernel: indices into Entry::scalars
  int64_t chunks = 1;       // Kernel: parallel chunks, fixed by the compiler
  Contract contract;
  int collective = -1; // Collective: index into Entry::collectives
  Phase phase = Phase::Post;
  double fillValue = 0;        // Fill: value of every element
  DType fillType = DType::F32; // Fill
};

/// A maximal run of actions between waits on other streams.
struct Actor {
  std::string name;
  int stream = 0;
  std::vector<int> actions;
  bool perMicroBatch = false; // fires once for each micro-batch
};

/// A value that crosses streams: consumers may fire for a piece only after the
/// producer did; the producer may fire again only while a slot is free: for
/// micro-batch j when all consumers fired for j - slots. A consumer that fires
/// once a step takes what the producer's last firing left and holds no slot.
struct Register {
  int buffer = -1;
  int producer = -1;          // actor
  std::vector<int> consumers; // actors
  int slots = 1;
};

/// `after` may fire only when `before` has fired in the same step (and for the
/// same micro-batch where both fire for each): the two share memory. Where both
/// fire for each micro-batch, `distance` shifts it: `after` for micro-batch
/// j + distance waits for `before` for j (1: the wrap to the next micro-batch).
/// An edge from an actor that fires for each to one that fires once waits for
/// the last firing.
struct ReuseEdge {
  int before = -1, after = -1; // actors
  int distance = 0;
};

struct ScheduleItem {
  int actor = -1;
  int microBatch = -1; // -1: fires once a step
};

/// A tensor that the caller binds. Inputs are whole logical tensors that all
/// ranks read; outputs are written by rank 0.
struct Binding {
  std::string name;
  DType dtype = DType::F32;
  std::vector<int64_t> shape;
};

struct Entry {
  std::string name; // "train", "evaluate", "forward"
  int64_t microBatches = 1;
  std::vector<Binding> inputs; // rank-0 ones are the run-time scalars
  std::vector<Binding> outputs;
  std::vector<ScalarExpr> scalars;
  std::vector<Buffer> buffers;
  std::vector<Collective> collectives;
  std::vector<Action> actions;
  std::vector<Actor> actors;
  std::vector<Register> registers;
  std::vector<ReuseEdge> reuseEdges;
  std::vector<std::string> streams;
  std::vector<std::vector<ScheduleItem>> schedule; // one list a stream
};

/// How a variable gets its first value when no weights are given. Random
/// values depend on (seed, variable name, logical index) alone.
struct Initializer {
  enum class Kind { Constant, Normal, Uniform };
  Kind kind = Kind::Constant;
  double a = 0, b = 0; // Constant: a. Normal: mean a, standard deviation b.
                       // Uniform: [a, b)
};

struct Variable {
  enum class Kind { Parameter, OptimizerState, Cache, Counter };
  std::string name; // unique in the artifact, "scope::key"
  Kind kind = Kind::Parameter;
  TensorLayout layout;
  int segment = 0;
  int64_t offset = 0;
  Initializer init;
  /// The tensor in a checkpoint that holds it: its name, and its shape there,
  /// of which the logical shape is a row-major view. Empty: not stored.
  std::string storedName;
  std::vector<int64_t> storedShape;
};

struct Plan {
  std::vector<MeshAxis> mesh;
  int teamSize = 1; // threads of a rank; a constant of the plan
  std::vector<Segment> segments;
  std::vector<Variable> variables;
  /// Buffers of an entry that are variables refer to them by segment and
  /// offset.
  std::vector<Entry> entries;

  int64_t numRanks() const;
};

/// Parses the text of a plan file. Errors name the JSON path.
StatusOr<Plan> parsePlan(std::string_view text, const std::string &path);
/// Deterministic JSON text of a plan.
std::string printPlan(const Plan &plan);
/// Digest of the names and kinds of all members of a plan: 64 hexadecimal
/// digits that change whenever the plan's format does.
std::string planSchemaHash();
/// Structure: indices in range, places inside segments, extents within
/// capacities, schedules that fire each actor as often as it should; then
/// liveness: the waits of one step (collectives join their ranks) have no
/// cycle, reported by the actors on it.
Status verifyPlan(const Plan &plan);

/// The largest value of an expression over all coordinates.
int64_t largestValue(const ScalarExpr &expr, const std::vector<MeshAxis> &mesh);
/// Value of an expression at mesh coordinates (one an axis).
int64_t evaluate(const ScalarExpr &expr, const std::vector<MeshAxis> &mesh,
                 const std::vector<int64_t> &coordinates);
/// Coordinates of a rank on the space axes; the time axis reads 0.
std::vector<int64_t> rankCoordinates(int64_t rank,
                                     const std::vector<MeshAxis> &mesh);

} // namespace weir::plan

#endif // WEIR_RUNTIME_PLAN_PLAN_H
