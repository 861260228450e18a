// SPDX-License-Identifier: Apache-2.0
#include "tools/weir-run/MemoryUse.h"
#include "runtime/base/Format.h"

namespace weir {

std::string memoryText(const MemoryReport &report, int64_t residentBytes) {
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
  out += "  anonymous resident: " + formatGrouped(residentBytes) + " bytes\n";
  out += "  allocations after each entry's first run: " +
         std::to_string(report.allocations) + " ours, " +
         std::to_string(report.libraryAllocations) + " libraries'\n";
  return out;
}

void writeMemory(JsonWriter &json, const MemoryReport &report,
                 int64_t residentBytes) {
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
      .member("anonymous_resident_bytes", residentBytes)
      .member("allocations", report.allocations)
      .member("library_allocations", report.libraryAllocations)
      .endObject();
}

} // namespace weir
