// SPDX-License-Identifier: Apache-2.0
#include "test/tools/ToolRunner.h"

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace weir {
namespace test {

RunningTool::RunningTool(const std::string &program,
                         const std::vector<std::string> &arguments,
                         const Environment &environment,
                         const std::string &input) {
  folder.write("in", input);
  std::string out = folder.path("out"), err = folder.path("err"),
              in = folder.path("in");
  std::vector<char *> list = {const_cast<char *>(program.c_str())};
  for (const std::string &argument : arguments)
    list.push_back(const_cast<char *>(argument.c_str()));
  list.push_back(nullptr);
  child = ::fork();
  if (child != 0)
    return;
  int streams[] = {::open(in.c_str(), O_RDONLY),
                   ::open(out.c_str(), O_WRONLY | O_CREAT, 0600),
                   ::open(err.c_str(), O_WRONLY | O_CREAT, 0600)};
  for (int i = 0; i < 3; ++i)
    ::dup2(streams[i], i);
  for (const auto &[name, value] : environment)
    ::setenv(name.c_str(), value.c_str(), 1);
  ::execv(program.c_str(), list.data());
  ::_exit(127);
}

ToolResult RunningTool::wait() {
  ToolResult result;
  int state = 0;
  pid_t ended = 0;
  for (int tick = 0; tick < 60000 && ended == 0; ++tick) {
    ended = ::waitpid(child, &state, WNOHANG);
    if (ended == 0)
      ::usleep(1000);
  }
  if (ended == 0) {
    ::kill(child, SIGKILL);
    ::waitpid(child, &state, 0);
  }
  result.code = WIFSIGNALED(state) ? -WTERMSIG(state) : WEXITSTATUS(state);
  result.out = slurp(folder.path("out"));
  result.err = slurp(folder.path("err"));
  return result;
}

void ToolTest::SetUp() {
  std::string text;
  for (int i = 0; i < 60; ++i)
    text += "the cat sat on the mat\n%\na dog ran to the man\n%\n";
  folder.write("text", text);
  job = folder.write("job.json", jobText());
}

std::string ToolTest::jobText(const std::string &extra) {
  return "{" + extra + R"(
    "model": {"family": "gpt2", "config": {"layers": 1, "width": 8, "heads": 1}},
    "data": {"kind": "text", "path": "text", "separator": "%",
             "validation": {"every": 4}},
    "batch": 4, "sequence": 8, "steps": 10,
    "optimizer": {"lr": 20},
    "evaluate": {"every": 5, "batches": 2},
    "log": {"folder": "logs"}
  })";
}

} // namespace test
} // namespace weir
