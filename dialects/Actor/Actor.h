// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_DIALECTS_ACTOR_ACTOR_H
#define WEIR_DIALECTS_ACTOR_ACTOR_H

#include "dialects/Dist/Dist.h"
#include "dialects/Pch.h"

#include "dialects/Actor/ActorDialect.h.inc"
#include "dialects/Actor/ActorEnums.h.inc"

#define GET_TYPEDEF_CLASSES
#include "dialects/Actor/ActorTypes.h.inc"

#define GET_ATTRDEF_CLASSES
#include "dialects/Actor/ActorAttrs.h.inc"

namespace weir::actor {

/// Alignment in bytes of segments and of the places in them, as in the plan.
constexpr int64_t bufferAlignment = 64;

/// `bytes` rounded up to `bufferAlignment`.
inline int64_t alignUp(int64_t bytes) {
  return (bytes + bufferAlignment - 1) / bufferAlignment * bufferAlignment;
}

/// The use of one buffer by an action.
struct Access {
  mlir::Value buffer; // !actor.buffer
  bool reads = false;
  bool writes = false;
};

/// The buffers that an action (`kernel`, `contract`, `phase`, `fill`) uses. A
/// phase counts for the rank's peers too: until release they may read both
/// buffers of a collective.
llvm::SmallVector<Access> getAccesses(mlir::Operation *action);

/// The site of an action.
llvm::StringRef getSite(mlir::Operation *action);

} // namespace weir::actor

#define GET_OP_CLASSES
#include "dialects/Actor/ActorOps.h.inc"

#endif // WEIR_DIALECTS_ACTOR_ACTOR_H
