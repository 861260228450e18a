// SPDX-License-Identifier: Apache-2.0
#include "tools/weir-run/MemoryUse.h"
#include "runtime/base/Format.h"

#include <cstdio>

namespace weir {

int64_t anonymousResidentBytes() {
  std::FILE *file = std::fopen("/proc/self/status", "r");
  if (!file)
    return 0;
  char line[256];
  long long kibibytes = 0;
  while (std::fgets(line, sizeof(line), file))
    if (std::sscanf(line, "RssAnon: %lld kB", &kibibytes) == 1)
      break;
  std::fclose(file);
  return static_cast<int64_t>(kibibytes) * 1024;
}

std::string memoryText(const MemoryReport &report) {
  std::string out = "memory\n";
  for (const MemoryReport::SegmentUse &segment : report.segments) {
    out += "  " + segment.name + ": " + formatGrouped(segment.bytes) +
           " bytes a rank, planned end " + formatGrouped(segment.plannedEnd);
    if (segment.touchedEnd)
      out += ", touched end " + formatGrouped(segment.touchedEnd);
    out += "\n";
  }
  out += "  plan, all ranks: " + formatGrouped(report.planBytes) + " bytes\n";
  out += "  tables and scratch: " + formatGrouped(report.overheadBytes) +
         " bytes\n";
  out += "  anonymous resident now: " +
         formatGrouped(anonymousResidentBytes()) + " bytes\n";
  out += "  allocations after each entry's first run: " +
         std::to_string(report.allocations) + " ours, " +
         std::to_string(report.libraryAllocations) + " libraries'\n";
  return out;
}

void writeMemory(JsonWriter &json, const MemoryReport &report) {
  json.beginObject();
  json.key("segments").beginArray();
  for (const MemoryReport::SegmentUse &segment : report.segments)
    json.beginObject()
        .member("name", segment.name)
        .member("bytes", segment.bytes)
        .member("planned_end", segment.plannedEnd)
        .member("touched_end", segment.touchedEnd)
        .endObject();
  json.endArray();
  json.member("plan_bytes", report.planBytes)
      .member("overhead_bytes", report.overheadBytes)
      .member("anonymous_resident_bytes", anonymousResidentBytes())
      .member("allocations", report.allocations)
      .member("library_allocations", report.libraryAllocations)
      .endObject();
}

} // namespace weir
