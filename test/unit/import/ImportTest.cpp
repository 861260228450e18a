// SPDX-License-Identifier: Apache-2.0
#include "compiler/Import/Import.h"
#include "runtime/io/File.h"
#include "runtime/io/Safetensors.h"
#include "gtest/gtest.h"

using namespace mlir;

namespace weir::compiler {
namespace {

Job folderJob(const std::string &folder, int64_t batch = 2,
              int64_t sequence = 8) {
  Job job;
  job.model.kind = ModelKind::Folder;
  job.model.folder = std::string(WEIR_GOLDEN_DIR) + "/" + folder;
  job.batch = batch;
  job.sequence = sequence;
  return job;
}

std::string printed(ModuleOp module) {
  std::string text;
  llvm::raw_string_ostream os(text);
  module->print(os);
  return text;
}

TEST(Import, FoldersOfBothFamiliesMakeTheThreeEntries) {
  for (const char *name :
       {"gpt2-small", "gpt2-odd", "gpt2-erf", "llama-small", "llama-odd"}) {
    MLIRContext context;
    auto module =
        importModel(&context, folderJob(std::string(name) + "/model"));
    ASSERT_TRUE(module.ok()) << name << ": " << module.status().message();
    std::vector<std::string> entries;
    for (auto entry : (**module).getOps<graph::EntryOp>())
      entries.push_back(entry.getSymName().str());
    EXPECT_EQ(entries,
              (std::vector<std::string>{"forward", "evaluate", "loss"}))
        << name;
  }
}

TEST(Import, EveryStoredTensorIsAVariableOfThatShape) {
  for (const char *name : {"gpt2-small/model", "gpt2-erf/model-hub",
                           "llama-small/model", "llama-odd/model"}) {
    MLIRContext context;
    Job job = folderJob(name);
    auto module = importModel(&context, job);
    ASSERT_TRUE(module.ok()) << module.status().message();
    auto set = SafetensorsSet::open(job.model.folder);
    ASSERT_TRUE(set.ok()) << set.status().message();
    for (auto variable : (**module).getOps<graph::VariableOp>()) {
      auto stored = variable.getStoredAttr();
      ASSERT_TRUE(stored) << variable.getSymName().str();
      auto ref = set->find(stored.getName().getValue().str());
      ASSERT_TRUE(bool(ref))
          << name << ": " << stored.getName().getValue().str();
      EXPECT_EQ(ref.tensor->shape,
                std::vector<int64_t>(stored.getShape().begin(),
                                     stored.getShape().end()));
    }
  }
}

TEST(Import, OldSpellingMakesTheSameModel) {
  for (const char *name :
       {"gpt2-small", "gpt2-odd", "llama-small", "llama-odd"}) {
    MLIRContext context;
    auto fresh = importModel(&context, folderJob(std::string(name) + "/model"));
    auto old =
        importModel(&context, folderJob(std::string(name) + "/model-old"));
    ASSERT_TRUE(fresh.ok()) << fresh.status().message();
    ASSERT_TRUE(old.ok()) << old.status().message();
    (**fresh)->removeAttr(modelConfigAttrName);
    (**old)->removeAttr(modelConfigAttrName);
    EXPECT_EQ(printed(**fresh), printed(**old)) << name;
  }
}

TEST(Import, WrittenConfigurationsReadBack) {
  ModelConfig sizes;
  sizes.layers = 2;
  sizes.width = 48;
  sizes.heads = 6;
  sizes.kvHeads = 3;
  sizes.headDim = 8;
  sizes.intermediate = 50;
  sizes.vocab = 89;
  sizes.context = 64;
  sizes.normEpsilon = 1e-5;
  sizes.ropeTheta = 5e5;
  sizes.activation = "silu";
  auto llama =
      parseLlamaConfig(writeConfig(llamaConfigOf(sizes)), "config.json");
  ASSERT_TRUE(llama.ok()) << llama.status().message();
  EXPECT_EQ(llama->kvHeads, 3);
  EXPECT_EQ(llama->ropeTheta, 5e5);
  EXPECT_FALSE(llama->tied);
  sizes.activation = "gelu_new";
  auto gpt2 = parseGpt2Config(writeConfig(gpt2ConfigOf(sizes)), "config.json");
  ASSERT_TRUE(gpt2.ok()) << gpt2.status().message();
  EXPECT_EQ(gpt2->inner, 50);
  EXPECT_EQ(gpt2->activation, Activation::GeluTanh);
  EXPECT_TRUE(gpt2->tied);
}

TEST(Import, UnsupportedModelsAreRefusedWithEverythingListed) {
  auto config = parseLlamaConfig(
      R"({"num_hidden_layers": 1, "hidden_size": 8, "num_attention_heads": 2,
          "intermediate_size": 8, "vocab_size": 8, "hidden_act": "xielu",
          "rope_scaling": {"type": "yarn", "factor": 2.0}})",
      "config.json");
  ASSERT_FALSE(config.ok());
  EXPECT_EQ(config.status().code(), StatusCode::UnsupportedModel);
  EXPECT_NE(config.status().message().find("xielu"), std::string::npos);
  EXPECT_NE(config.status().message().find("yarn"), std::string::npos);
}

TEST(Import, MalformedConfigurationsNameTheKey) {
  struct Case {
    const char *text, *expected;
  };
  for (Case c :
       {Case{R"({"n_embd": "wide"})", "n_embd"},
        Case{R"({"n_head": 7})", "n_embd"},
        Case{R"({"n_layer": 0})", "n_layer"},
        Case{R"({"attn_pdrop": 2})", "attn_pdrop"},
        Case{R"([])", "config.json"}, Case{R"({"n_layer": )", "config.json"}}) {
    auto config = parseGpt2Config(c.text, "config.json");
    ASSERT_FALSE(config.ok()) << c.text;
    EXPECT_EQ(config.status().code(), StatusCode::InvalidInput) << c.text;
    EXPECT_NE(config.status().message().find(c.expected), std::string::npos)
        << config.status().message();
  }
}

TEST(Import, ASequenceBeyondTheContextIsRefused) {
  MLIRContext context;
  auto module = importModel(&context, folderJob("gpt2-small/model", 2, 33));
  ASSERT_FALSE(module.ok());
  EXPECT_NE(module.status().message().find("at most the model's context of 32"),
            std::string::npos)
      << module.status().message();
}

TEST(Import, DropoutIsInTheTrainingEntryOnly) {
  MLIRContext context;
  Job job = folderJob("gpt2-small/model");
  job.dropout = 0.1;
  auto module = importModel(&context, job);
  ASSERT_TRUE(module.ok()) << module.status().message();
  for (auto entry : (**module).getOps<graph::EntryOp>()) {
    int64_t count = 0;
    entry.walk([&](graph::DropoutOp) { ++count; });
    // One after the embeddings; attention weights and two residuals a layer.
    EXPECT_EQ(count, entry.getSymName() == "loss" ? 1 + 3 * 3 : 0)
        << entry.getSymName().str();
  }
}

} // namespace
} // namespace weir::compiler
