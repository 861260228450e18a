// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_RUNTIME_ACTOR_RANKMEMORY_H
#define WEIR_RUNTIME_ACTOR_RANKMEMORY_H

#include "runtime/device/cpu/Memory.h"
#include "runtime/plan/Plan.h"

#include <vector>

namespace weir::actor {

/// The segments of all ranks of a plan.
class RankMemory {
public:
  static StatusOr<RankMemory> allocate(const plan::Plan &plan, bool guarded) {
    RankMemory memory;
    memory.numSegments = plan.segments.size();
    for (int64_t rank = 0; rank < plan.numRanks(); ++rank)
      for (const plan::Segment &segment : plan.segments) {
        WEIR_ASSIGN_OR_RETURN(device::Memory block,
                              device::Memory::allocate(segment.bytes, guarded));
        memory.blocks.push_back(std::move(block));
      }
    return memory;
  }

  const device::Memory &block(int64_t rank, int segment) const {
    return blocks[rank * numSegments + segment];
  }
  std::byte *base(int64_t rank, int segment) const {
    return block(rank, segment).data();
  }

  /// Whether all guard zones are whole (device::Memory::checkGuards).
  Status checkGuards(const plan::Plan &plan) const {
    for (size_t i = 0; i < blocks.size(); ++i)
      WEIR_RETURN_IF_ERROR(blocks[i].checkGuards(
          "segment '" + plan.segments[i % numSegments].name + "' of rank " +
          std::to_string(i / numSegments)));
    return okStatus();
  }

private:
  size_t numSegments = 0;
  std::vector<device::Memory> blocks;
};

} // namespace weir::actor

#endif // WEIR_RUNTIME_ACTOR_RANKMEMORY_H
