// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_TEST_TOOLS_TOOLRUNNER_H
#define WEIR_TEST_TOOLS_TOOLRUNNER_H

#include "runtime/io/Job.h"
#include "test/unit/runtime/TestSupport.h"
#include "test/unit/train/BigramArtifact.h"

#include <string>
#include <sys/types.h>
#include <utility>
#include <vector>

namespace weir {
namespace test {

/// How a tool ended and what it wrote.
struct ToolResult {
  /// Exit code, or -N where signal N ended it.
  int code = 0;
  std::string out, err;
};

using Environment = std::vector<std::pair<std::string, std::string>>;

/// A tool that runs; its output goes to files in `folder`.
class RunningTool {
public:
  RunningTool(const std::string &program,
              const std::vector<std::string> &arguments,
              const Environment &environment = {},
              const std::string &input = "");
  pid_t process() const { return child; }
  /// Waits for the end; after a minute it is killed.
  ToolResult wait();

private:
  TempFolder folder;
  pid_t child = -1;
};

inline ToolResult runTool(const std::string &program,
                          const std::vector<std::string> &arguments,
                          const Environment &environment = {},
                          const std::string &input = "") {
  return RunningTool(program, arguments, environment, input).wait();
}

/// The built tool of that name.
inline std::string toolPath(const std::string &name) {
  return std::string(TOOLS_FOLDER) + "/" + name;
}

/// A folder with a text and a job that trains the bigram model on it.
class ToolTest : public ::testing::Test {
protected:
  void SetUp() override;

  /// The job file's text, with `extra` members ("\"seed\": 1,").
  static std::string jobText(const std::string &extra = "");
  /// Writes an artifact and returns its path.
  std::string artifact(const BigramOptions &options = {},
                       const std::string &name = "model.weir") const {
    EXPECT_OK(writeBigramArtifact(folder.path(name), options));
    return folder.path(name);
  }
  std::string in(const std::string &name) const { return folder.path(name); }

  TempFolder folder;
  std::string job;
};

} // namespace test
} // namespace weir

#endif // WEIR_TEST_TOOLS_TOOLRUNNER_H
