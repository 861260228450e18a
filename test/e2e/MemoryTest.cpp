// SPDX-License-Identifier: Apache-2.0
// Memory of whole runs: the tools, as a user starts them, against the plan.
#include "test/e2e/Harness.h"
#include "test/unit/runtime/TestSupport.h"

#include "runtime/base/Json.h"
#include "runtime/io/File.h"
#include "gtest/gtest.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WEIR_ADDRESS_SANITIZER
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define WEIR_ADDRESS_SANITIZER
#endif

namespace weir::e2e {
namespace {

using test::slurp;
using test::TempFolder;

/// Of places in segments, and of segments.
constexpr int64_t alignment = 64;

struct MemoryCase {
  const char *model;
  const char *mesh;
};

/// What weir-run says about memory (--json), in bytes.
struct Memory {
  struct Segment {
    std::string name;
    int64_t bytes = 0, plannedEnd = 0, touchedEnd = 0;
  };
  std::vector<Segment> segments;
  int64_t plan = 0, overhead = 0, resident = 0, allocations = 0;
};

StatusOr<Memory> readMemory(const std::string &path) {
  WEIR_ASSIGN_OR_RETURN(std::string text, readFile(path));
  WEIR_ASSIGN_OR_RETURN(JsonView root, parseJson(text, path));
  WEIR_ASSIGN_OR_RETURN(JsonView report, root.at("memory"));
  Memory memory;
  WEIR_ASSIGN_OR_RETURN(memory.plan, report.integer("plan_bytes"));
  WEIR_ASSIGN_OR_RETURN(memory.overhead, report.integer("overhead_bytes"));
  WEIR_ASSIGN_OR_RETURN(memory.resident,
                        report.integer("anonymous_resident_bytes"));
  WEIR_ASSIGN_OR_RETURN(memory.allocations, report.integer("allocations"));
  WEIR_ASSIGN_OR_RETURN(JsonView segments, report.at("segments"));
  for (size_t i = 0; i < segments.size(); ++i) {
    Memory::Segment segment;
    WEIR_ASSIGN_OR_RETURN(segment.name, segments[i].string("name"));
    WEIR_ASSIGN_OR_RETURN(segment.bytes, segments[i].integer("bytes"));
    WEIR_ASSIGN_OR_RETURN(segment.plannedEnd,
                          segments[i].integer("planned_end"));
    WEIR_ASSIGN_OR_RETURN(segment.touchedEnd,
                          segments[i].integer("touched_end"));
    memory.segments.push_back(segment);
  }
  return memory;
}

class MemoryOf : public testing::TestWithParam<MemoryCase> {
protected:
  /// A golden model on its own tokens, or one of 20 million parameters on bytes
  /// of text: large enough that what is not in the plan would show.
  void SetUp() override {
    std::string model = GetParam().model;
    std::string text = "{\"name\": \"memory\", ";
    if (model == "mid") {
      std::string bytes;
      for (int i = 0; i < 600; ++i)
        bytes += "entry " + std::to_string(i * 7919) + " of the text\n%\n";
      folder.write("text", bytes);
      text += R"("model": {"family": "gpt2", "config": {"layers": 6,
          "width": 384, "heads": 6, "vocab": 5000, "context": 64}},
        "data": {"kind": "text", "path": "text", "separator": "%",
                 "validation": {"every": 4}},
        "evaluate": {"every": 2, "batches": 2},
        "batch": 4, "sequence": 64, "steps": 4,)";
    } else {
      auto golden = readGolden(model);
      ASSERT_OK(golden);
      text += "\"model\": {\"folder\": \"" + golden->folder +
              "/model\"}, \"data\": {\"kind\": \"bin\", \"path\": \"" +
              golden->folder +
              "/tokens.bin\"}, \"batch\": " + std::to_string(golden->batch) +
              ", \"sequence\": " + std::to_string(golden->sequence) +
              ", \"steps\": 6,";
    }
    text += "\"threads\": 2, \"mesh\": \"" + std::string(GetParam().mesh) +
            "\", \"log\": {\"folder\": \"logs\"}}";
    folder.write("job.json", text);
    ASSERT_EQ(tool(WEIR_COMPILE, "job.json -o model.weir"), 0) << log();
  }

  /// The exit state of a tool; standard output goes to the file `out`.
  int tool(const std::string &program, const std::string &arguments) {
    return std::system(("cd '" + folder.path() + "' && '" + program + "' " +
                        arguments + " > out 2> err")
                           .c_str());
  }
  std::string log() const {
    return slurp(folder.path("err")) + slurp(folder.path("out"));
  }
  int64_t ranks() const { return GetParam().mesh[0] ? 4 : 1; }

  void check(const std::string &what) {
    auto memory = readMemory(folder.path("out"));
    ASSERT_OK(memory);
    int64_t bytes = 0;
    for (const Memory::Segment &segment : memory->segments) {
      EXPECT_LE(segment.plannedEnd, segment.bytes) << what << segment.name;
      EXPECT_LT(segment.bytes, segment.plannedEnd + alignment)
          << what << segment.name;
      bytes += segment.bytes * ranks();
    }
    EXPECT_EQ(memory->plan, bytes) << what;
#ifndef WEIR_ADDRESS_SANITIZER
    constexpr int64_t allowance = int64_t(64) << 20;
    EXPECT_LE(memory->resident, memory->plan + allowance) << what;
    EXPECT_EQ(memory->allocations, 0) << what;
    RecordProperty(what + "plan", std::to_string(memory->plan));
    RecordProperty(what + "resident", std::to_string(memory->resident));
#endif
  }

  TempFolder folder;
};

TEST_P(MemoryOf, RunsStayWithinThePlan) {
  ASSERT_EQ(tool(WEIR_RUN,
                 "model.weir --train=job.json --memory --json --progress=none"),
            0)
      << log();
  check("train: ");
  for (std::string entry : {"evaluate", "forward"}) {
    ASSERT_EQ(
        tool(WEIR_RUN, "model.weir --entry=" + entry +
                           " --repeat=3 --memory --json --input ids=1" +
                           (entry == "evaluate" ? " --input labels=1" : "")),
        0)
        << log();
    check(entry + ": ");
  }
}

class CheckedMemoryOf : public MemoryOf {};

/// Checked mode watches guards and writes, and sees the plan's end reached: a
/// plan that is larger than what runs need would be wrong as well.
TEST_P(CheckedMemoryOf, TrainingReachesThePlansEnd) {
  ASSERT_EQ(tool(WEIR_RUN, "model.weir --train=job.json --checked --memory "
                           "--json --progress=none --set steps=2"),
            0)
      << log();
  auto memory = readMemory(folder.path("out"));
  ASSERT_OK(memory);
  // Rank 0 writes the entry's outputs, four numbers, to the caller's memory: on
  // one device their places, an aligned one each, stay as they are.
  int64_t untouched = ranks() == 1 ? 4 * alignment : 0;
  bool any = false;
  for (const Memory::Segment &segment : memory->segments) {
    EXPECT_LE(segment.touchedEnd, segment.plannedEnd) << segment.name;
    if (segment.touchedEnd == 0)
      continue; // not a segment whose touching is seen
    any = true;
    // Training needs most, so its highest buffer ends the segment.
    EXPECT_GE(segment.touchedEnd, segment.plannedEnd - untouched)
        << segment.name;
  }
  EXPECT_TRUE(any);
}

std::vector<MemoryCase> cases(const std::vector<const char *> &models) {
  std::vector<MemoryCase> list;
  for (const char *model : models)
    for (const char *mesh : {"", "dp=2,tp=2"})
      list.push_back({model, mesh});
  return list;
}

std::string caseName(const testing::TestParamInfo<MemoryCase> &info) {
  std::string name = info.param.model;
  name += info.param.mesh[0] ? "_four" : "_one";
  for (char &c : name)
    c = c == '-' ? '_' : c;
  return name;
}

INSTANTIATE_TEST_SUITE_P(
    All, MemoryOf, testing::ValuesIn(cases({"gpt2-small", "llama-odd", "mid"})),
    caseName);
// Checked mode compares all memory around each action: small models only.
INSTANTIATE_TEST_SUITE_P(All, CheckedMemoryOf,
                         testing::ValuesIn(cases({"gpt2-small", "llama-odd"})),
                         caseName);

} // namespace
} // namespace weir::e2e
