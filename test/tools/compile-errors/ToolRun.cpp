// SPDX-License-Identifier: Apache-2.0
#include "test/tools/compile-errors/ToolRun.h"

namespace weir::test {

ToolResult runIn(const std::string &folder, const std::string &tool,
                 const std::vector<std::string> &arguments) {
  std::vector<std::string> line = {"-C", folder, toolPath(tool)};
  line.insert(line.end(), arguments.begin(), arguments.end());
  return runTool("/usr/bin/env", line);
}

void expectEnd(const std::string &tool,
               const std::vector<std::string> &arguments,
               const std::string &folder, int code,
               const std::vector<std::string> &parts) {
  std::string line = tool;
  for (const std::string &argument : arguments)
    line += " " + argument;
  ToolResult result = runIn(folder, tool, arguments);
  std::string said = result.out + result.err;
  SCOPED_TRACE("$ " + line + "\n" + said);
  EXPECT_EQ(result.code, code) << "(a negative code is a signal)";
  for (const std::string &part : parts)
    EXPECT_NE(said.find(part), std::string::npos) << "expects '" << part << "'";
  if (code != 0)
    EXPECT_NE(said.find(": error: "), std::string::npos) << "expects a message";
  for (const char *bad :
       {"Stack dump", "Assertion", "terminate called", "failed to legalize",
        "PLEASE submit", "internal error"})
    EXPECT_EQ(said.find(bad), std::string::npos)
        << "does not expect '" << bad << "'";
}

std::string golden(const std::string &path) {
  return std::string(WEIR_GOLDEN_DIR) + "/" + path;
}

std::string writeModel(const TempFolder &folder, const std::string &name,
                       const std::string &config) {
  std::filesystem::create_directory(folder.path(name));
  folder.write(name + "/config.json", config);
  return folder.path(name);
}

const char tinyConfig[] =
    R"({"model_type": "gpt2", "n_layer": 1, "n_embd": 8, "n_head": 2,
  "n_positions": 32, "vocab_size": 256})";

std::string tinyJob(const std::string &changes) {
  return R"({
  "model": {"family": "gpt2",
            "config": {"layers": 1, "width": 8, "heads": 2, "vocab": 256, "context": 32}},
  "data": {"kind": "text", "path": "text.txt"},
  "batch": 6, "sequence": 16, "steps": 2)" +
         changes + "\n}\n";
}

const std::string &tinyArtifact() {
  static TempFolder folder;
  static const std::string path = [] {
    std::string job = folder.write("tiny.json", tinyJob());
    ToolResult result = runIn(folder.path(), "weir-compile",
                              {job, "-o", "tiny.weir", "--set=threads=1"});
    EXPECT_EQ(result.code, 0) << result.err;
    return result.code == 0 ? folder.path("tiny.weir") : std::string();
  }();
  return path;
}

} // namespace weir::test
