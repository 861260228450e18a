// SPDX-License-Identifier: Apache-2.0
//
// What a compilation costs, counted instead of timed: the ops of each phase,
// the bytes of the plan, and all bytes that were asked of malloc on the way
// (copies that grow faster than the program show there). test/benchmarks/
// scale.py measures the seconds.
#include "compiler/Driver/Driver.h"
#include "runtime/base/Json.h"
#include "runtime/io/File.h"
#include "runtime/plan/Artifact.h"
#include "test/unit/driver/CountingMalloc.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <unistd.h>

namespace weir::compiler {
namespace {

struct Work {
  std::vector<std::pair<std::string, int64_t>> ops; // by phase
  int64_t artifactBytes = 0, requestedBytes = 0, ranks = 0;
};

class ScaleTest : public testing::Test {
protected:
  ScaleTest() {
    folder = testing::TempDir() + "weir-scale-" + std::to_string(getpid());
    EXPECT_TRUE(makeDirectories(folder).ok());
  }
  ~ScaleTest() override {
    int rc = std::system(("rm -rf '" + folder + "'").c_str());
    EXPECT_EQ(rc, 0);
  }

  /// Compiles a narrow GPT-2 to an artifact. `how` holds further keys of the
  /// job.
  Work measure(int64_t layers, const std::string &how) {
    std::string text = R"({"name": "scale", "model": {"family": "gpt2",
        "config": {"layers": )" +
                       std::to_string(layers) +
                       R"(, "width": 32, "heads": 4, "vocab": 64,
        "context": 16}}, "sequence": 8, "steps": 1)" +
                       how + "}";
    JobOptions jobOptions;
    jobOptions.needsData = false;
    Work work;
    StatusOr<Job> job = parseJob(text, "scale.json", jobOptions);
    EXPECT_TRUE(job.ok()) << job.status().message();
    if (!job.ok())
      return work;
    CompileOptions options;
    options.job = *std::move(job);
    options.job.threads = 1;
    options.output = folder + "/model.weir";
    options.report = folder + "/report.json";
    int64_t before = requestedBytes();
    Status status = compile(
        options, [](const std::string &message) { ADD_FAILURE() << message; });
    work.requestedBytes = requestedBytes() - before;
    EXPECT_TRUE(status.ok()) << status.message();
    if (!status.ok())
      return work;

    StatusOr<std::string> report = readFile(options.report);
    EXPECT_TRUE(report.ok());
    StatusOr<JsonView> root = parseJson(*report, "report");
    EXPECT_TRUE(root.ok());
    StatusOr<JsonView> phases = root->at("phases");
    EXPECT_TRUE(phases.ok());
    for (size_t i = 0; i < phases->size(); ++i)
      work.ops.push_back(
          {*(*phases)[i].string("phase"), *(*phases)[i].integer("ops")});
    StatusOr<std::string> artifact = readFile(options.output);
    EXPECT_TRUE(artifact.ok());
    work.artifactBytes = artifact->size();
    // It loads: the plan's own rules hold.
    StatusOr<plan::ArtifactReader> reader =
        plan::ArtifactReader::open(options.output);
    EXPECT_TRUE(reader.ok()) << reader.status().message();
    StatusOr<plan::Plan> plan = reader->readPlan();
    EXPECT_TRUE(plan.ok()) << plan.status().message();
    if (plan.ok())
      work.ranks = plan->numRanks();
    return work;
  }

  std::string folder;
};

/// The same number of layers more costs the same more, whatever there is
/// already. 1.15: tables and vectors grow by doubling, which falls before or
/// behind a measured size.
void expectLinear(const Work &one, const Work &two, const Work &four) {
  constexpr double slack = 1.15;
  auto expectGrowth = [&](const std::string &what, int64_t a, int64_t b,
                          int64_t c) {
    EXPECT_GT(b, a) << what;
    EXPECT_LE(c - b, slack * 2 * (b - a))
        << what << ": " << a << ", " << b << ", " << c;
  };
  ASSERT_EQ(one.ops.size(), four.ops.size());
  ASSERT_FALSE(one.ops.empty());
  for (size_t i = 0; i < one.ops.size(); ++i)
    expectGrowth("ops after " + one.ops[i].first, one.ops[i].second,
                 two.ops[i].second, four.ops[i].second);
  expectGrowth("bytes of the artifact", one.artifactBytes, two.artifactBytes,
               four.artifactBytes);
  if (four.requestedBytes > 0)
    expectGrowth("bytes requested", one.requestedBytes, two.requestedBytes,
                 four.requestedBytes);
}

TEST_F(ScaleTest, OneDeviceIsLinearInLayers) {
  std::string how = R"(, "batch": 8)";
  expectLinear(measure(8, how), measure(16, how), measure(32, how));
}

TEST_F(ScaleTest, AMeshWithMicroBatchesIsLinearInLayers) {
  std::string how = R"(, "batch": 8, "mesh": "dp=2,tp=2", "micro_batches": 2,
      "strategy": {"dp": "data", "tp": "megatron"})";
  expectLinear(measure(8, how), measure(16, how), measure(32, how));
}

TEST_F(ScaleTest, ShardedParametersAreLinearInLayers) {
  std::string how = R"(, "batch": 8, "mesh": "dp=2,tp=2", "micro_batches": 2,
      "strategy": {"dp": "zero3", "tp": "megatron-sp"})";
  expectLinear(measure(8, how), measure(16, how), measure(32, how));
}

TEST_F(ScaleTest, DropoutSitesAreLinearInLayers) {
  std::string how = R"(, "batch": 8, "dropout": 0.1)";
  expectLinear(measure(4, how), measure(8, how), measure(16, how));
}

/// Plans, IR and the compiler's work are those of ten thousand times fewer
/// ranks. 1.1: sizes have more digits, and shards of other sizes may fuse
/// otherwise.
TEST_F(ScaleTest, RanksDoNotGrowAnything) {
  constexpr double slack = 1.1;
  for (const char *strategy : {"data", "zero3"})
    for (const char *batch : {"12", "1000003"}) {
      auto at = [&](const std::string &ranks) {
        return measure(4, R"(, "batch": )" + std::string(batch) +
                              R"(, "mesh": "dp=)" + ranks +
                              R"(,tp=8", "strategy": {"dp": ")" + strategy +
                              R"(", "tp": "megatron"})");
      };
      Work few = at("10");
      for (const char *axis : {"12500", "125000"}) {
        SCOPED_TRACE(std::string(strategy) + ", batch " + batch +
                     ", dp=" + axis);
        Work many = at(axis);
        EXPECT_EQ(few.ranks, 80);
        EXPECT_EQ(many.ranks, std::atoll(axis) * 8);
        ASSERT_EQ(few.ops.size(), many.ops.size());
        for (size_t i = 0; i < few.ops.size(); ++i)
          EXPECT_LE(many.ops[i].second, slack * few.ops[i].second)
              << "ops after " << few.ops[i].first;
        EXPECT_LE(many.artifactBytes, slack * few.artifactBytes);
        EXPECT_LE(many.requestedBytes, slack * few.requestedBytes);
      }
    }
}

} // namespace
} // namespace weir::compiler
