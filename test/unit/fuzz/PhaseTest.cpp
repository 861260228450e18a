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
    Counts counts = fuzz(
        count, [&](int i) { return mutator.mutation(seed + i); },
        [&](const std::string &mutated) {
          return start(first, last, mutated);
        });
    EXPECT_GT(counts.refused, 0);
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

/// What `start` gives with a status of its own.
Status statusFrom(CompileOptions options) {
  return compiler::compile(options, [](const std::string &) {});
}

/// Texts of layouts that hold no axis or two.
TEST_F(Phases, ALayoutOfAnAxisIsOne) {
  for (const char *layout : {"", "S(0), B"}) {
    CompileOptions options = base();
    options.job.mesh = {{"dp", 2}};
    options.job.strategies = {Strategy::None};
    options.job.layouts = {{"*", {{"dp", layout}}}};
    options.startAt = options.stopAfter = Phase::Plan;
    options.input =
        folder->write("input.mlir", texts[static_cast<int>(Phase::Graph)]);
    EXPECT_FAILS(statusFrom(options), StatusCode::CompileError,
                 "1 error in phase 'plan'");
  }
}

/// A model whose sizes are legal one by one.
std::string hugeModel(const std::string &size) {
  return "graph.variable @w : tensor<" + size + "x" + size +
         "xf32> kind parameter init <normal, 0.0, 0.02>\n"
         "graph.entry @loss(%x: tensor<6x" +
         size + "xf32> {graph.input = \"x\"}, %w: tensor<" + size + "x" + size +
         "xf32> {graph.variable = @w}) -> (tensor<f32> {graph.output = "
         "\"loss_sum\"}, tensor<f32> {graph.output = \"count\"}) {\n"
         "  %y = graph.matmul %x, %w batch [] x [] contract [1] x [0] : "
         "(tensor<6x" +
         size + "xf32>, tensor<" + size + "x" + size + "xf32>) -> tensor<6x" +
         size +
         "xf32>\n"
         "  %s = graph.reduce sum %y [0, 1] : (tensor<6x" +
         size +
         "xf32>) -> tensor<f32>\n"
         "  %one = graph.constant dense<1.0> : tensor<f32>\n"
         "  graph.return %s, %one : tensor<f32>, tensor<f32>\n}\n";
}

TEST_F(Phases, WhatNoMachineHoldsIsInfeasible) {
  // 4 MiB, then one tensor beyond the bound, a size in bytes beyond 64 bits,
  // and a plan that is too large though each of its tensors is not: weights of
  // 2^46 bytes fit, the optimizer's two moments beside each other do not.
  const std::pair<const char *, StatusCode> cases[] = {
      {"1024", StatusCode::Ok},
      {"16777216", StatusCode::Infeasible},
      {"8589934592", StatusCode::Infeasible},
      {"4194304", StatusCode::Infeasible}};
  for (const auto &[size, code] : cases) {
    CompileOptions options = base();
    options.job.microBatches = 1;
    options.job.model.kind = ModelKind::Mlir;
    options.job.model.mlir = folder->write("huge.mlir", hugeModel(size));
    options.stopAfter = Phase::Memory;
    Status status = statusFrom(options);
    EXPECT_EQ(status.code(), code) << size << ": " << status.message();
    if (code != StatusCode::Ok) {
      EXPECT_NE(status.message().find("TiB"), std::string::npos)
          << status.message();
    }
  }
}

/// An edited plan that does not hold together is the user's, not a defect.
TEST_F(Phases, AnEditedPlanIsMalformedInput) {
  std::string text = texts[static_cast<int>(Phase::Codegen)];
  size_t at = text.find("actor.contract");
  ASSERT_NE(at, std::string::npos);
  at = text.find("strides ", at);
  ASSERT_NE(at, std::string::npos);
  text.replace(at, 8, "strides 99999");
  CompileOptions options = base();
  options.startAt = options.stopAfter = Phase::Artifact;
  options.input = folder->write("input.mlir", text);
  options.output = folder->path("edited.weir");
  EXPECT_FAILS(statusFrom(options), StatusCode::InvalidInput, "malformed");
}

} // namespace
} // namespace weir::fuzz
