// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_TOOLS_RUN_MEMORYUSE_H
#define WEIR_TOOLS_RUN_MEMORYUSE_H

#include "runtime/base/Json.h"
#include "runtime/session/Session.h"

#include <string>

namespace weir {

/// The memory report, with the process's anonymous resident memory, as text of
/// several lines and as an object.
std::string memoryText(const MemoryReport &report, int64_t residentBytes);
void writeMemory(JsonWriter &json, const MemoryReport &report,
                 int64_t residentBytes);

} // namespace weir

#endif // WEIR_TOOLS_RUN_MEMORYUSE_H
