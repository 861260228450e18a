// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_DIALECTS_PIPE_PIPE_H
#define WEIR_DIALECTS_PIPE_PIPE_H

#include "dialects/Dist/Dist.h"
#include "dialects/Pch.h"

#include <optional>

#include "dialects/Pipe/PipeDialect.h.inc"
#include "dialects/Pipe/PipeEnums.h.inc"

#define GET_ATTRDEF_CLASSES
#include "dialects/Pipe/PipeAttrs.h.inc"

namespace weir::pipe {

/// One item of a schedule: a task for a micro-batch (-1: the update).
struct ScheduledTask {
  TaskKind kind = TaskKind::Forward;
  int64_t microBatch = -1;
};

/// Reads `F0 B0 U`; nothing where the text is malformed.
std::optional<llvm::SmallVector<ScheduledTask>>
parseSchedule(llvm::StringRef text);
/// The text of a schedule.
std::string formatSchedule(llvm::ArrayRef<ScheduledTask> schedule);

} // namespace weir::pipe

#define GET_OP_CLASSES
#include "dialects/Pipe/PipeOps.h.inc"

#endif // WEIR_DIALECTS_PIPE_PIPE_H
