// SPDX-License-Identifier: Apache-2.0
// weir: the front of the other tools, as git is of its own. `weir NAME` becomes
// the program weir-NAME beside it; `weir train` is the one command of its own.
#include "runtime/base/Strings.h"
#include "runtime/io/File.h"
#include "tools/common/ToolMain.h"
#include "tools/weir/Process.h"
#include "tools/weir/Train.h"

#include <algorithm>
#include <unistd.h>
#include <vector>

using namespace weir;

static const char tool[] = "weir";

static constexpr struct {
  const char *name, *summary;
} described[] = {
    {"train", "train as a job file says: compile (cached), then run"},
    {"compile", "a model to an artifact (model.weir)"},
    {"run", "run an entry of an artifact, or a training job"},
    {"inspect", "what is in an artifact: entries, layouts, memory, kernels"},
    {"opt", "run single passes on IR text"},
    {"plan", "what would be chosen, and why"},
    {"bench", "measure an artifact"},
    {"doctor", "check this machine and installation"},
};

/// The commands of this installation: `train`, `help` and the weir-NAME beside
/// this program.
static std::vector<std::string> commands(const std::string &folder) {
  std::vector<std::string> names = {"train", "help"};
  StatusOr<std::vector<std::string>> files = listDirectory(folder);
  if (files)
    for (const std::string &file : *files)
      if (startsWith(file, "weir-") &&
          ::access((folder + "/" + file).c_str(), X_OK) == 0 &&
          !isDirectory(folder + "/" + file))
        names.push_back(file.substr(5));
  return names;
}

static std::string helpText(const std::vector<std::string> &names) {
  std::string text =
      "usage: weir COMMAND [arguments]\n\n"
      "Compiles models to distributed training programs and runs them.\n\n";
  auto has = [&](const std::string &name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  auto item = [&](std::string name, const std::string &summary) {
    name.resize(std::max<size_t>(name.size() + 1, 12), ' ');
    text += "  " + name + summary + "\n";
  };
  for (const auto &command : described)
    if (has(command.name))
      item(command.name, command.summary);
  item("help", "weir help COMMAND: a command's flags");
  text += "\n  --version   print the version\n\n"
          "To begin: weir train docs/examples/fortunes-gpt2.json\n"
          "Exit codes: docs/reference/exit-codes.md\n";
  return text;
}

static Status runCommand(std::vector<std::string> arguments, int &exitCode) {
  WEIR_ASSIGN_OR_RETURN(std::string folder, ownFolder());
  std::vector<std::string> names = commands(folder);
  if (arguments.empty())
    return Status(StatusCode::CommandLine,
                  "needs a command; `weir --help` lists them");
  std::string name = arguments[0];
  arguments.erase(arguments.begin());
  if (name == "--version")
    return printOut("weir " WEIR_VERSION "\n");
  if (name == "help" && !arguments.empty()) {
    if (arguments.size() > 1)
      return Status(StatusCode::CommandLine,
                    "help: expects one command, got '" +
                        printable(join(arguments, " ")) + "'");
    name = arguments[0];
    arguments = {"--help"};
  }
  if (name == "help" || name == "--help" || name == "-h")
    return printOut(helpText(names));
  if (name == "train")
    return trainCommand(folder, arguments, exitCode);
  if (std::find(names.begin(), names.end(), name) == names.end())
    return Status(
        StatusCode::CommandLine,
        (startsWith(name, "-") ? "unknown flag '" : "unknown command '") +
            printable(name) + "'" + suggestion(name, names) +
            " (see weir --help)");
  return becomeProcess(folder + "/weir-" + name, arguments);
}

int main(int argc, char **argv) {
  int exitCode = 0;
  Status status = runCommand(
      std::vector<std::string>(argv + std::min(argc, 1), argv + argc),
      exitCode);
  return status.ok() ? exitCode : reportStatus(tool, status);
}
