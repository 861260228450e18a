// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_RUNTIME_COMM_COLLECTIVES_H
#define WEIR_RUNTIME_COMM_COLLECTIVES_H

#include "runtime/comm/Box.h"
#include "runtime/plan/Order.h"

#include <atomic>
#include <memory>
#include <string>
#include <vector>

namespace weir::comm {

/// All collectives of one entry among ranks that share this process's memory,
/// split into phases, none of which ever waits: a phase may run once `ready`
/// says so, and then runs to its end.
///
///   Post     says where this rank's tensors lie
///   Reduce   (all-reduce) combines this rank's chunk of all ranks' inputs
///   Gather   pulls the blocks that this rank lacks: for an all-reduce the
///   other
///            chunks, otherwise whatever of the peers' inputs falls into its
///            own output block, combined where several hold a part of the sum
///   Release  after which this rank's tensors may be overwritten
///
/// Contributions are combined in the order of the group's ranks, always, so the
/// result does not depend on who comes first. Layouts are arbitrary: uneven and
/// empty shards, several axes at once, any strides. A group axis that splits
/// the input of a reduce-scatter is moved; the others are summed over.
///
/// Thread-safe: each (rank, stream) calls for its own rank.
class Collectives {
public:
  /// Computes who pulls what from whom. IncompatibleArtifact for element types
  /// that cannot be combined, InvalidInput where a group does not hold all that
  /// a member needs. `entry` must outlive the result.
  static StatusOr<std::unique_ptr<Collectives>>
  create(const plan::Plan &plan, const plan::Entry &entry);

  /// Forgets all phases. Only between steps.
  void reset();

  /// Whether all peers have passed the phase before.
  bool ready(const plan::Action &action, int64_t rank, int microBatch) const;
  /// The ranks that `ready` waits for, for reports: "ranks 1, 3".
  std::string missing(const plan::Action &action, int64_t rank,
                      int microBatch) const;
  /// Runs a phase that is ready. `in` and `out` are this rank's tensors.
  void run(const plan::Action &action, int64_t rank, int microBatch,
           const void *in, void *out);

  /// Bytes that `rank` pulls from others in one step.
  int64_t bytesReceived(int64_t rank) const { return received[rank]; }

private:
  /// A box that a rank pulls, with the group members that it comes from.
  struct Piece {
    Box box;
    std::vector<int> members;
  };
  /// What one rank does, for one micro-batch or for all of them.
  struct Share {
    std::vector<Piece> pieces;   // all but all-reduce
    Box whole;                   // all-reduce: in to out
    Box pull;                    // all-reduce: out to out
    std::vector<int64_t> chunks; // all-reduce: where each member's chunk starts
  };
  struct Published {
    const void *in = nullptr;
    void *out = nullptr;
  };
  /// How often each phase was passed; written by its rank alone.
  struct alignas(64) Progress {
    std::atomic<int64_t> passed[4] = {};
  };
  struct State {
    const plan::Collective *collective = nullptr;
    int64_t occurrences = 1; // a step
    int64_t variants = 1;    // shares a rank: occurrences, or 1 for all
    std::vector<std::vector<int64_t>> groups; // by rank
    std::vector<int> memberIndex;             // by rank, its place in the group
    std::vector<Share> shares;                // rank * variants + micro-batch
    std::vector<Published> published;     // rank * occurrences + micro-batch
    std::unique_ptr<Progress[]> progress; // by rank
    std::vector<std::vector<const void *>> sources; // by rank, for one phase
  };

  Status addCollective(const plan::Plan &plan, const plan::Entry &entry,
                       size_t index);
  static Status computeShare(const plan::Plan &plan,
                             const plan::Collective &collective,
                             const std::vector<int64_t> &group, int member,
                             int microBatch, Share &share);

  int64_t numRanks = 1;
  std::vector<State> states;
  std::vector<int64_t> received;
};

} // namespace weir::comm

#endif // WEIR_RUNTIME_COMM_COLLECTIVES_H
