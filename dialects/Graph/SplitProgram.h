// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_DIALECTS_GRAPH_SPLITPROGRAM_H
#define WEIR_DIALECTS_GRAPH_SPLITPROGRAM_H

#include "dialects/Dist/Dist.h"

#include <string>
#include <vector>

namespace weir::graph {

/// One collective of a split program, for the cost of the program.
struct ProgramMessage {
  enum class Kind { AllReduce, AllGather, Exchange };
  Kind kind = Kind::AllReduce;
  /// Bytes of the whole tensor, before the program's axis splits it; of an
  /// all-gather what each rank gives.
  double bytes = 0;
  /// Sent once for each other coordinate of the axis, as in a ring.
  bool forEachOther = false;

  /// How often it is sent on an axis of `parts` coordinates.
  int64_t count(int64_t parts) const { return forEachOther ? parts - 1 : 1; }
  /// Bytes that a rank receives in all of them.
  double received(int64_t parts) const;
};

/// A way to run an op over a split for which it has no signature: the layouts
/// of operands and results on one mesh axis, and what it sends.
struct SplitProgram {
  std::string name;
  llvm::SmallVector<dist::AxisLayout, 4> operands;
  llvm::SmallVector<dist::AxisLayout, 2> results;
  llvm::SmallVector<ProgramMessage, 4> messages;
};

} // namespace weir::graph

#endif // WEIR_DIALECTS_GRAPH_SPLITPROGRAM_H
