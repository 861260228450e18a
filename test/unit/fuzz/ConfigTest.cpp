// SPDX-License-Identifier: Apache-2.0
// Mutated model configurations: a clear refusal, or a model whose IR is built
// in bounded memory and time whatever the sizes say.
#include "compiler/Import/Import.h"
#include "test/unit/fuzz/Fuzzing.h"
#include "test/unit/runtime/TestSupport.h"

#include "gtest/gtest.h"

using namespace mlir;

namespace weir::fuzz {
namespace {

constexpr char gpt2[] = R"({
  "model_type": "gpt2", "n_layer": 2, "n_embd": 12, "n_head": 3,
  "n_inner": 20, "vocab_size": 31, "n_positions": 16,
  "activation_function": "gelu_new", "layer_norm_epsilon": 1e-05,
  "initializer_range": 0.02, "embd_pdrop": 0.1, "attn_pdrop": 0.1,
  "resid_pdrop": 0.1, "scale_attn_weights": true,
  "scale_attn_by_inverse_layer_idx": false, "tie_word_embeddings": true,
  "add_cross_attention": false
})";
constexpr char llama[] = R"({
  "model_type": "llama", "num_hidden_layers": 2, "hidden_size": 24,
  "num_attention_heads": 6, "num_key_value_heads": 2, "head_dim": 4,
  "intermediate_size": 10, "vocab_size": 31, "max_position_embeddings": 16,
  "hidden_act": "silu", "rms_norm_eps": 1e-06, "attention_dropout": 0.0,
  "attention_bias": true, "mlp_bias": false, "tie_word_embeddings": false,
  "rope_parameters": {"rope_type": "llama3", "rope_theta": 10000.0,
    "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192},
  "rope_scaling": {"type": "linear", "factor": 2.0}
})";

const std::vector<StatusCode> refusals = {StatusCode::InvalidInput,
                                          StatusCode::UnsupportedModel,
                                          StatusCode::Infeasible};

Job jobOf(const std::string &folder) {
  Job job;
  job.model.kind = ModelKind::Folder;
  job.model.folder = folder;
  job.batch = 2;
  job.sequence = 8;
  return job;
}

Verdict importConfig(const test::TempFolder &folder, const std::string &text) {
  folder.write("config.json", text);
  MLIRContext context(MLIRContext::Threading::DISABLED);
  context.getDiagEngine().registerHandler(
      [](Diagnostic &) { return success(); });
  auto module = compiler::importModel(&context, jobOf(folder.path()));
  return judgeStatus(module.status(), refusals);
}

class Configs : public testing::TestWithParam<const char *> {};

TEST_P(Configs, ParsersOfBothFamilies) {
  TokenMutator mutator(GetParam());
  constexpr int count = 3000;
  Counts counts = fuzz(
      count, [&](int i) { return mutator.mutation(20000 + i); },
      [&](const std::string &text) {
        Verdict verdict = judgeStatus(
            compiler::parseGpt2Config(text, "config.json").status(), refusals);
        if (!verdict.wrong.empty())
          return verdict;
        return judgeStatus(
            compiler::parseLlamaConfig(text, "config.json").status(), refusals);
      });
  EXPECT_GT(counts.refused, 0);
}

TEST_P(Configs, Models) {
  TokenMutator mutator(GetParam());
  test::TempFolder folder;
  constexpr int count = 400;
  Counts counts = fuzz(
      count, [&](int i) { return mutator.mutation(30000 + i); },
      [&](const std::string &text) { return importConfig(folder, text); });
  EXPECT_GT(counts.accepted, 0);
  EXPECT_GT(counts.refused, 0);
}

/// Each number in turn at sizes that fit 64 bits and no machine.
TEST_P(Configs, ExtremeSizes) {
  test::TempFolder folder;
  std::string text = GetParam();
  std::vector<std::string> cases;
  for (size_t at = text.find("\": "); at != std::string::npos;
       at = text.find("\": ", at + 1)) {
    size_t begin = at + 3, end = text.find_first_of(",}\n", begin);
    if (!isdigit(static_cast<unsigned char>(text[begin])))
      continue;
    for (const char *value :
         {"0", "-1", "1", "2", "5", "1000", "9999", "99999", "100000",
          "1048576", "1073741824", "2147483648", "1099511627776",
          "9223372036854775807", "1e300", "0.5"}) {
      std::string fresh = text;
      cases.push_back(fresh.replace(begin, end - begin, value));
    }
  }
  EXPECT_GT(cases.size(), 100u);
  fuzz(
      static_cast<int>(cases.size()),
      [&](int i) { return cases[i % cases.size()]; },
      [&](const std::string &config) { return importConfig(folder, config); });
}

INSTANTIATE_TEST_SUITE_P(Families, Configs, testing::Values(gpt2, llama),
                         [](const auto &info) {
                           return info.index == 0 ? "gpt2" : "llama";
                         });

} // namespace
} // namespace weir::fuzz
