// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_TOOLS_RUN_MEMORYUSE_H
#define WEIR_TOOLS_RUN_MEMORYUSE_H

#include "runtime/base/Json.h"
#include "runtime/session/Session.h"

#include <string>

namespace weir {

/// Anonymous resident memory of this process in bytes (`RssAnon` of
/// /proc/self/status); 0 where the system does not say.
int64_t anonymousResidentBytes();

/// The memory report, with what the process holds now, as text of several lines
/// and as an object.
std::string memoryText(const MemoryReport &report);
void writeMemory(JsonWriter &json, const MemoryReport &report);

} // namespace weir

#endif // WEIR_TOOLS_RUN_MEMORYUSE_H
