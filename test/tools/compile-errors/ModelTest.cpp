// SPDX-License-Identifier: Apache-2.0
// Models that weir-compile reads: configurations, checkpoints and IR text.
#include "test/tools/compile-errors/ToolRun.h"

#include <cstring>

namespace weir::test {
namespace {

//===----------------------------------------------------------------------===//
// config.json
//===----------------------------------------------------------------------===//

struct ConfigCase {
  const char *name;
  std::string config;
  int code;
  std::vector<std::string> parts;
};
void PrintTo(const ConfigCase &item, std::ostream *os) { *os << item.name; }

class Configs : public ::testing::TestWithParam<ConfigCase> {};

TEST_P(Configs, EndAsTheySay) {
  TempFolder folder;
  writeModel(folder, "model", GetParam().config);
  std::vector<std::string> parts = GetParam().parts;
  if (GetParam().code != 0)
    parts.push_back("model/config.json");
  expectEnd("weir-compile", {"model", "--sequence=16", "-o", "model.weir"},
            folder.path(), GetParam().code, parts);
}

std::string gpt2With(const std::string &changes) {
  std::string text = tinyConfig;
  text.pop_back();
  return text + ", " + changes + "}";
}
std::string llamaWith(const std::string &changes) {
  return R"({"model_type": "llama", "hidden_size": 8, "intermediate_size": 12,
    "num_attention_heads": 4, "num_hidden_layers": 1, "vocab_size": 64,
    "max_position_embeddings": 32)" +
         (changes.empty() ? "" : ", " + changes) + "}";
}

const ConfigCase configs[] = {
    {"Gpt2", tinyConfig, 0, {}},
    {"Llama", llamaWith(""), 0, {}},
    {"Empty", "", 3, {}},
    {"NoJson", "<html>", 3, {":1:1"}},
    {"Cut", std::string(tinyConfig).substr(0, 60), 3, {}},
    {"List", "[1]", 3, {"object"}},
    {"NoType", "{}", 3, {"model_type"}},
    {"TypeNoText", R"({"model_type": 3})", 3, {"model_type"}},
    {"UnknownFamily",
     R"({"model_type": "bert"})",
     4,
     {"\"bert\"", "gpt2, llama"}},
    {"LayersNoNumber",
     R"({"model_type": "gpt2", "n_layer": "12"})",
     3,
     {"n_layer"}},
    {"NoLayers", R"({"model_type": "gpt2", "n_layer": 0})", 3, {"n_layer"}},
    {"FractionOfLayers",
     R"({"model_type": "gpt2", "n_layer": 1.5})",
     3,
     {"n_layer"}},
    {"WidthNoMultipleOfHeads",
     R"({"model_type": "gpt2", "n_embd": 10, "n_head": 4})",
     3,
     {"n_embd", "multiple of n_head (4)"}},
    {"WidthBeyondReason",
     R"({"model_type": "gpt2", "n_embd": 1099511627776, "n_head": 1, "n_layer": 1})",
     5,
     {"TiB"}},
    {"VocabBeyondReason",
     R"({"model_type": "gpt2", "vocab_size": 1e300})",
     3,
     {"vocab_size"}},
    {"EpsilonNoNumber",
     R"({"model_type": "gpt2", "layer_norm_epsilon": "small"})",
     3,
     {"layer_norm_epsilon"}},
    {"DropoutOfAll",
     R"({"model_type": "gpt2", "resid_pdrop": 1.0})",
     3,
     {"resid_pdrop"}},
    {"EveryMalformedKeyAtOnce",
     R"({"model_type": "gpt2", "n_layer": -1, "n_embd": true, "attn_pdrop": 2})",
     3,
     {"n_layer", "n_embd", "attn_pdrop"}},
    {"EveryUnsupportedThingAtOnce",
     gpt2With(
         R"("activation_function": "swiglu", "add_cross_attention": true)"),
     4,
     {"activation_function \"swiglu\"", "add_cross_attention"}},
    {"LlamaWithoutSizes",
     R"({"model_type": "llama"})",
     3,
     {"num_hidden_layers", "hidden_size", "num_attention_heads",
      "intermediate_size", "vocab_size"}},
    {"LlamaGroupsUneven",
     llamaWith(R"("num_key_value_heads": 3)"),
     3,
     {"multiple of num_key_value_heads (3)"}},
    {"LlamaOddHead", llamaWith(R"("head_dim": 3)"), 3, {"head_dim", "even"}},
    {"LlamaUnsupportedAtOnce",
     llamaWith(R"("hidden_act": "xielu",
       "rope_parameters": {"rope_type": "yarn", "rope_theta": 1e4, "factor": 2})"),
     4,
     {"hidden_act \"xielu\"", "\"yarn\"", "llama3"}},
    {"LlamaScalingWithoutFactor",
     llamaWith(R"("rope_scaling": {"rope_type": "linear"})"),
     3,
     {"factor"}},
    {"LlamaScalingNoObject",
     llamaWith(R"("rope_scaling": [2])"),
     3,
     {"rope_scaling"}},
};
INSTANTIATE_TEST_SUITE_P(Compile, Configs, ::testing::ValuesIn(configs),
                         [](const ::testing::TestParamInfo<ConfigCase> &info) {
                           return info.param.name;
                         });

//===----------------------------------------------------------------------===//
// safetensors
//===----------------------------------------------------------------------===//

/// Where the sections of a safetensors file end: length, header, tensors.
std::vector<std::pair<std::string, size_t>> cutsOf(const std::string &bytes) {
  uint64_t header = 0;
  std::memcpy(&header, bytes.data(), sizeof(header));
  size_t data = 8 + header;
  return {{"nothing", 0},
          {"within the length", 4},
          {"after the length", 8},
          {"within the header", 8 + header / 2},
          {"one byte of the header missing", data - 1},
          {"after the header", data},
          {"within the tensors", data + (bytes.size() - data) / 2},
          {"one byte missing", bytes.size() - 1}};
}

TEST(Checkpoint, CutAtEverySectionIsRefusedByCompilerAndRun) {
  std::string bytes = slurp(golden("gpt2-small/model/model.safetensors"));
  ASSERT_GT(bytes.size(), 1000u);
  TempFolder folder;
  writeModel(folder, "model", slurp(golden("gpt2-small/model/config.json")));
  expectEnd("weir-compile", {"model", "--sequence=16", "-o", "model.weir"},
            folder.path(), 0, {});
  for (const auto &[what, size] : cutsOf(bytes)) {
    SCOPED_TRACE(what);
    folder.write("model/model.safetensors", bytes.substr(0, size));
    expectEnd("weir-compile", {"model", "--sequence=16", "-o", "other.weir"},
              folder.path(), 3, {"model.safetensors"});
    expectEnd(
        "weir-run",
        {"model.weir", "--entry=forward", "--input=ids=0", "--weights=model"},
        folder.path(), 3, {"model.safetensors"});
  }
  folder.write("model/model.safetensors", bytes);
  expectEnd(
      "weir-run",
      {"model.weir", "--entry=forward", "--input=ids=0", "--weights=model"},
      folder.path(), 0, {"logits"});
}

TEST(Checkpoint, IndexThatNamesNoFileIsRefused) {
  TempFolder folder;
  writeModel(folder, "model", tinyConfig);
  folder.write(
      "model/model.safetensors.index.json",
      R"({"weight_map": {"wte.weight": "model-00001-of-00002.safetensors"}})");
  expectEnd("weir-compile", {"model", "--sequence=16"}, folder.path(), 3,
            {"model-00001-of-00002.safetensors", "No such file"});
  folder.write("model/model.safetensors.index.json",
               R"({"weight_map": {"wte.weight": "../../etc/passwd"}})");
  expectEnd("weir-compile", {"model", "--sequence=16"}, folder.path(), 3,
            {"weight_map"});
}

//===----------------------------------------------------------------------===//
// IR text
//===----------------------------------------------------------------------===//

struct TextCase {
  const char *name;
  std::string text;
  std::vector<std::string> flags;
  int code;
  std::vector<std::string> parts;
};
void PrintTo(const TextCase &item, std::ostream *os) { *os << item.name; }

class Texts : public ::testing::TestWithParam<TextCase> {};

TEST_P(Texts, EndAsTheySay) {
  TempFolder folder;
  folder.write("model.mlir", GetParam().text);
  std::vector<std::string> arguments = {"model.mlir", "-o", "model.weir"};
  arguments.insert(arguments.end(), GetParam().flags.begin(),
                   GetParam().flags.end());
  expectEnd("weir-compile", arguments, folder.path(), GetParam().code,
            GetParam().parts);
}

/// A module whose entry `forward` adds two tensors of these types.
std::string adding(const std::string &a, const std::string &b,
                   const std::string &result,
                   const std::string &location = "") {
  return "module {\n  graph.entry @forward(%a: " + a +
         " {graph.input = \"a\"}, %b: " + b + " {graph.input = \"b\"}) -> (" +
         result +
         " {graph.output = \"sum\"}) {\n    %0 = graph.add %a, %b : (" + a +
         ", " + b + ") -> " + result + location +
         "\n    graph.return %0 : " + result + "\n  }\n}\n";
}

const TextCase texts[] = {
    {"Plain",
     adding("tensor<2xf32>", "tensor<2xf32>", "tensor<2xf32>"),
     {},
     0,
     {}},
    {"Empty", "", {}, 3, {"model.mlir", "holds no graph.entry"}},
    {"NoText", std::string("MZ\0\1\2\xff\xfe", 7), {}, 3, {"model.mlir:1"}},
    {"Unclosed", "module {\n", {}, 3, {"model.mlir:1"}},
    {"UnknownDialect",
     "module {\n  %0 = tosa.add\n}\n",
     {},
     3,
     {"model.mlir:2", "tosa"}},
    {"UnknownOp",
     "module {\n  graph.additionally\n}\n",
     {},
     3,
     {"model.mlir:2", "graph.additionally"}},
    {"UndefinedValue",
     "module {\n  graph.entry @forward() -> (tensor<2xf32>) {\n"
     "    graph.return %x : tensor<2xf32>\n  }\n}\n",
     {},
     3,
     {"model.mlir:3", "undeclared SSA value"}},
    {"OpOfAnotherPhase",
     "module {\n  actor.plan {}\n}\n",
     {},
     3,
     {"model.mlir:2"}},
    {"DynamicShape",
     adding("tensor<?xf32>", "tensor<?xf32>", "tensor<?xf32>"),
     {},
     1,
     {"model.mlir:3:10", "static shape"}},
    {"InputWithoutName",
     "module {\n  graph.entry @forward(%a: tensor<2xf32>) -> (tensor<2xf32> "
     "{graph.output = "
     "\"a\"}) {\n    graph.return %a : tensor<2xf32>\n  }\n}\n",
     {},
     1,
     {"model.mlir:2:3", "expects argument 0 to have one of"}},
    {"NodeIsNamed",
     adding("tensor<2xf32>", "tensor<3xf32>", "tensor<2xf32>",
            " loc(\"decoder.sum\")"),
     {},
     1,
     {"decoder.sum: "}},
    {"ShapesThatDiffer",
     adding("tensor<2xf32>", "tensor<3xf32>", "tensor<2xf32>"),
     {},
     1,
     {"model.mlir:3"}},
    {"TypesThatDiffer",
     adding("tensor<2xf32>", "tensor<2xi32>", "tensor<2xf32>"),
     {},
     1,
     {"model.mlir:3"}},
};
INSTANTIATE_TEST_SUITE_P(Compile, Texts, ::testing::ValuesIn(texts),
                         [](const ::testing::TestParamInfo<TextCase> &info) {
                           return info.param.name;
                         });

/// IR of one phase given to all others: what does not fit is refused with a
/// message, at whatever phase it is noticed, and never by a crash.
TEST(Phases, StartWithTheWrongText) {
  TempFolder folder;
  writeModel(folder, "model", tinyConfig);
  const std::vector<std::string> phases = {
      "import",  "graph",  "plan",   "shard",   "stage",
      "kernels", "actors", "memory", "codegen", "artifact"};
  for (const char *made : {"import", "shard", "kernels", "memory"}) {
    std::string text = std::string(made) + ".mlir";
    expectEnd("weir-compile",
              {"model", "--sequence=16", "--mesh=dp=2", "-o", text,
               "--stop-after=" + std::string(made)},
              folder.path(), 0, {});
    for (size_t i = 1; i < phases.size(); ++i) {
      SCOPED_TRACE("made after " + std::string(made) + ", started at " +
                   phases[i]);
      ToolResult result = runIn(
          folder.path(), "weir-compile",
          {text, "--start-at=" + phases[i], "--mesh=dp=2", "-o", "out.weir"});
      EXPECT_GE(result.code, 0) << "ended by signal " << -result.code << "\n"
                                << result.err;
      EXPECT_TRUE(result.code == 0 || result.code == 1 || result.code == 3 ||
                  result.code == 4)
          << result.code << "\n"
          << result.err;
      EXPECT_EQ(result.code == 0,
                result.err.find("error: ") == std::string::npos)
          << result.err;
      if (i + 1 < phases.size() && phases[i - 1] == made)
        EXPECT_EQ(result.code, 0) << result.err;
    }
  }
}

} // namespace
} // namespace weir::test
