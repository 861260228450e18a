// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_RUNTIME_BASE_COMMANDLINE_H
#define WEIR_RUNTIME_BASE_COMMANDLINE_H

#include "runtime/base/Status.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace weir {

/// The flags of a tool. Flags are bound to variables, which keep their value
/// where the flag is not given. Accepted forms: `--name=value`, `--name value`,
/// `-x value` for a one-letter alias, and for boolean flags `--name`,
/// `--name=true|false` and `--no-name`. `--` ends the flags; `-` alone is a
/// positional argument. `--help` and `-h` are always there.
///
/// A flag that is bound to one value may be given once only; one that is bound
/// to a vector collects its values in order.
class CommandLine {
public:
  /// `usage` is what follows the tool's name in the first line of the help
  /// ("[flags] MODEL"), `summary` one sentence or more on what the tool does.
  CommandLine(std::string tool, std::string usage, std::string summary);

  /// Each `name` is without dashes; `value` is the word that stands for the
  /// value in the help ("FILE"). The targets must outlive `parse`.
  void flag(std::string name, bool *target, std::string help);
  void flag(std::string name, std::string *target, std::string value,
            std::string help);
  void flag(std::string name, std::optional<std::string> *target,
            std::string value, std::string help);
  void flag(std::string name, int64_t *target, std::string value,
            std::string help);
  void flag(std::string name, double *target, std::string value,
            std::string help);
  void flag(std::string name, std::vector<std::string> *target,
            std::string value, std::string help);
  /// One of `choices`, any other value is an error that lists them.
  void choice(std::string name, std::string *target,
              std::vector<std::string> choices, std::string help);
  /// A one-letter alias of the flag `name`: `-o` for `--output`.
  void alias(char letter, std::string name);

  /// Positional arguments in order. Only the last may be a list.
  void positional(std::string value, std::string *target, std::string help,
                  bool required = true);
  void positional(std::string value, std::vector<std::string> *target,
                  std::string help, bool required = true);
  /// Starts a heading in the help for the flags that follow.
  void section(std::string title);
  /// Text that ends the help (examples, exit codes).
  void epilogue(std::string text);

  /// Reads the arguments (without the program's name in front). Errors are
  /// StatusCode::CommandLine and name the flag. When help is asked for, parsing
  /// succeeds and nothing is required.
  Status parse(int argc, const char *const *argv);
  Status parse(const std::vector<std::string> &arguments);

  bool helpRequested() const { return help; }
  /// Whether the flag `name` was given.
  bool given(std::string_view name) const;
  /// The help text, at most 80 columns wide.
  std::string helpText() const;

private:
  enum class Kind { Bool, Value, List };
  struct Flag {
    std::string name;
    std::string value;
    std::string help;
    Kind kind;
    std::function<Status(const std::string &)> assign;
    char letter = 0;
    bool given = false;
  };
  struct Positional {
    std::string value;
    std::string help;
    bool required;
    std::string *single;
    std::vector<std::string> *list;
  };
  struct Section {
    std::string title;
    size_t firstFlag;
  };

  void add(std::string name, std::string value, std::string help, Kind kind,
           std::function<Status(const std::string &)> assign);
  Flag *find(std::string_view name);
  Status unknownFlag(const std::string &shown, std::string_view name) const;
  Status error(std::string text) const;
  Status assign(Flag &flag, const std::string &text);

  std::string tool, usage, summary, ending;
  std::vector<Flag> flags;
  std::vector<Positional> positionals;
  std::vector<Section> sections;
  bool help = false;
};

} // namespace weir

#endif // WEIR_RUNTIME_BASE_COMMANDLINE_H
