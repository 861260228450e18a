// SPDX-License-Identifier: Apache-2.0
// Mutated IR text at the door of each phase: what a user may hand to
// `weir-compile --start-at`. The driver runs in child processes; a status is
// the tool's exit code.
#include "compiler/Driver/Driver.h"
#include "runtime/plan/Artifact.h"
#include "test/unit/fuzz/Fuzzing.h"
#include "test/unit/runtime/TestSupport.h"

#include "gtest/gtest.h"

namespace weir::fuzz {
namespace {

using compiler::CompileOptions;
using compiler::Phase;
using test::slurp;

/// The text with its locations, which are half of it, left out.
std::string withoutLocations(const std::string &text) {
  std::string out;
  size_t at = 0;
  while (at < text.size()) {
    size_t lineEnd = std::min(text.find('\n', at), text.size());
    std::string line = text.substr(at, lineEnd - at);
    at = lineEnd + 1;
    if (line.rfind("#loc", 0) == 0)
      continue;
    for (size_t loc; (loc = line.find(" loc(")) != std::string::npos;) {
      size_t end = loc + 5;
      for (int depth = 1; end < line.size() && depth > 0; ++end)
        depth += line[end] == '(' ? 1 : line[end] == ')' ? -1 : 0;
      line.erase(loc, end - loc);
    }
    out += line + "\n";
  }
  return out;
}

class Phases : public testing::Test {
protected:
  /// IR after each phase of a small model of one family on a mesh with
  /// micro-batches, so that each kind of op is there.
  static void SetUpTestSuite() {
    folder = new test::TempFolder;
    CompileOptions options = base();
    options.job.model.kind = ModelKind::Family;
    options.job.model.family = "gpt2";
    ModelConfig &config = options.job.model.config;
    config.layers = 1;
    config.width = 6;
    config.heads = config.kvHeads = 3;
    config.headDim = 2;
    config.intermediate = 8;
    config.vocab = 11;
    config.context = 4;
    config.activation = "gelu_new";
    config.dropout = 0.1;
    options.job.mesh = {{"dp", 2}, {"tp", 2}};
    options.job.strategies = {Strategy::Data, Strategy::Megatron};
    options.dumpDir = folder->path();
    options.output = folder->path("model.weir");
    std::string messages;
    Status status = compiler::compile(options, [&](const std::string &message) {
      messages += message + "\n";
    });
    ASSERT_TRUE(status.ok()) << status.message() << "\n" << messages;
    for (int i = 0; i + 1 < compiler::numPhases; ++i) {
      std::string number = (i < 9 ? "0" : "") + std::to_string(i + 1);
      texts.push_back(withoutLocations(slurp(
          folder->path(number + "-" + compiler::phaseNames()[i] + ".mlir"))));
    }
  }
  static void TearDownTestSuite() {
    delete folder;
    folder = nullptr;
    texts.clear();
  }

  static CompileOptions base() {
    CompileOptions options;
    options.job.batch = 4;
    options.job.sequence = 3;
    options.job.microBatches = 2;
    options.job.threads = 1;
    return options;
  }

  /// Starts `first` from text and runs to the end of `last`.
  static Verdict start(Phase first, Phase last, const std::string &text) {
    CompileOptions options = base();
    options.startAt = first;
    options.stopAfter = last;
    options.input = folder->write("input.mlir", text);
    if (last == Phase::Artifact)
      options.output = folder->path("output.weir");
    int messages = 0;
    Status status =
        compiler::compile(options, [&](const std::string &) { ++messages; });
    Verdict verdict = judgeStatus(
        status, {StatusCode::CompileError, StatusCode::InvalidInput,
                 StatusCode::UnsupportedModel, StatusCode::Infeasible,
                 StatusCode::IncompatibleArtifact});
    if (!status.ok() && messages == 0 &&
        status.code() == StatusCode::CompileError)
      verdict.wrong = "refused without a diagnostic: " + status.message();
    // What was written is a whole artifact; its plan may still be refused.
    if (status.ok() && last == Phase::Artifact) {
      auto reader = plan::ArtifactReader::open(options.output);
      if (!reader.ok())
        verdict.wrong =
            "wrote what cannot be read: " + reader.status().message();
    }
    return verdict;
  }

  void fuzzFrom(Phase first, Phase last, int count) {
    const std::string &text = texts[static_cast<int>(first) - 1];
    ASSERT_EQ(start(first, last, text).wrong, "");
    ASSERT_TRUE(start(first, last, text).accepted);
    TokenMutator mutator(text);
    uint32_t seed = 100000 * (static_cast<uint32_t>(first) + 1) +
                    10000 * static_cast<uint32_t>(last);
    int accepted = fuzz(
        count, [&](int i) { return mutator.mutation(seed + i); },
        [&](const std::string &mutated) {
          return start(first, last, mutated);
        });
    EXPECT_LT(accepted, count);
  }

  static test::TempFolder *folder;
  static std::vector<std::string> texts;
};
test::TempFolder *Phases::folder = nullptr;
std::vector<std::string> Phases::texts;

TEST_F(Phases, Graph) { fuzzFrom(Phase::Graph, Phase::Graph, 300); }
TEST_F(Phases, GraphToKernels) { fuzzFrom(Phase::Graph, Phase::Kernels, 100); }
TEST_F(Phases, Plan) { fuzzFrom(Phase::Plan, Phase::Plan, 100); }
TEST_F(Phases, Shard) { fuzzFrom(Phase::Shard, Phase::Shard, 100); }
TEST_F(Phases, Stage) { fuzzFrom(Phase::Stage, Phase::Stage, 100); }
TEST_F(Phases, Kernels) { fuzzFrom(Phase::Kernels, Phase::Kernels, 100); }
TEST_F(Phases, Actors) { fuzzFrom(Phase::Actors, Phase::Memory, 100); }
TEST_F(Phases, Memory) { fuzzFrom(Phase::Memory, Phase::Memory, 100); }
TEST_F(Phases, Codegen) { fuzzFrom(Phase::Codegen, Phase::Codegen, 40); }
TEST_F(Phases, Artifact) { fuzzFrom(Phase::Artifact, Phase::Artifact, 100); }

} // namespace
} // namespace weir::fuzz
