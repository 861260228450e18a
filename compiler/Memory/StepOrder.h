// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_COMPILER_MEMORY_STEPORDER_H
#define WEIR_COMPILER_MEMORY_STEPORDER_H

#include "compiler/Memory/Placement.h"
#include "dialects/Actor/Actor.h"

#include <map>

namespace weir::compiler {

/// One firing of an actor in an unrolled step.
struct Firing {
  int actor = 0; // index in order of the entry's actors
  int64_t microBatch = -1;
  int stream = 0;
  int64_t position = 0; // in its stream
};

/// What has completed before a firing starts: for each stream the number of its
/// firings. Streams are total orders, so that this says everything.
using Clock = llvm::SmallVector<int64_t, 2>;

/// An entry's actors, streams and waits by index.
struct EntryGraph {
  explicit EntryGraph(actor::EntryOp entry);

  struct Wait {
    int before = 0;
    int64_t distance = 0;
  };

  actor::EntryOp entry;
  int64_t microBatches = 1;
  llvm::SmallVector<mlir::Value> streams;
  std::vector<actor::ActorOp> actors;
  llvm::DenseMap<mlir::Value, int> actorIndex;
  llvm::SmallVector<int> streamOf; // of actors
  /// What an actor waits for: registers' producers (distance 0), registers'
  /// consumers for an earlier micro-batch (distance: slots), reuse edges.
  std::vector<llvm::SmallVector<Wait, 2>> waits;

  bool firesForEach(int actor) const;
  /// The firings of a step in the order of actors: those before the loop, those
  /// of the loop for `unroll` micro-batches, those after it.
  std::vector<Firing> unrollInOrder(int64_t unroll) const;
  /// The micro-batch of `before` that a firing waits for, or nothing.
  std::optional<int64_t> waitedFor(const Wait &wait, const Firing &after,
                                   int64_t unroll) const;
};

/// The last uses of every byte of a segment by each stream: finds what an
/// access has to wait for.
class ByteHistory {
public:
  explicit ByteHistory(int numStreams) : numStreams(numStreams) {}

  /// Uses [begin, end) in firing `position` of `stream`. `needed` is raised,
  /// for each other stream, to one more than the position of its last firing
  /// whose use of these bytes conflicts.
  void use(int64_t begin, int64_t end, int stream, int64_t position,
           bool writes, Clock &needed);

private:
  struct Range {
    int64_t end = 0;
    llvm::SmallVector<int64_t, 2> written, read; // position + 1 by stream
  };
  void splitAt(int64_t address);

  int numStreams;
  std::map<int64_t, Range> ranges; // by begin
};

/// A buffer's lifetime in positions of actions, in the order of actors.
struct Lifetime {
  actor::BufferOp buffer;
  PlacementItem item;
};

/// Lifetimes of the buffers that are used and lie (or will lie) in the step
/// segment: all but inputs and variables.
std::vector<Lifetime> computeLifetimes(actor::EntryOp entry);

/// What the plan says about memory, for reports.
struct EntryMemory {
  int64_t highWater = 0; // end of the highest place in the step segment
  int64_t live = 0;      // most bytes live at one position: a lower bound
  int64_t numBuffers = 0;
};
EntryMemory measureMemory(actor::EntryOp entry);

} // namespace weir::compiler

#endif // WEIR_COMPILER_MEMORY_STEPORDER_H
