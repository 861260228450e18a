// SPDX-License-Identifier: Apache-2.0
#include "runtime/base/CommandLine.h"
#include "runtime/base/Format.h"
#include "runtime/base/Strings.h"

#include <algorithm>

namespace weir {

CommandLine::CommandLine(std::string tool, std::string usage,
                         std::string summary)
    : tool(std::move(tool)), usage(std::move(usage)),
      summary(std::move(summary)) {}

Status CommandLine::error(std::string text) const {
  return Status(StatusCode::CommandLine,
                std::move(text) + " (see " + tool + " --help)");
}

void CommandLine::add(std::string name, std::string value, std::string help,
                      Kind kind,
                      std::function<Status(const std::string &)> assign) {
  Flag flag;
  flag.name = std::move(name);
  flag.value = std::move(value);
  flag.help = std::move(help);
  flag.kind = kind;
  flag.assign = std::move(assign);
  flags.push_back(std::move(flag));
}

void CommandLine::flag(std::string name, bool *target, std::string help) {
  auto assign = [this, name, target](const std::string &text) {
    if (text != "true" && text != "false")
      return error("--" + name + ": expects true or false, got '" +
                   printable(text) + "'");
    *target = text == "true";
    return okStatus();
  };
  add(name, "", std::move(help), Kind::Bool, assign);
}

void CommandLine::flag(std::string name, std::string *target, std::string value,
                       std::string help) {
  auto assign = [target](const std::string &text) {
    *target = text;
    return okStatus();
  };
  add(std::move(name), std::move(value), std::move(help), Kind::Value, assign);
}

void CommandLine::flag(std::string name, std::optional<std::string> *target,
                       std::string value, std::string help) {
  auto assign = [target](const std::string &text) {
    *target = text;
    return okStatus();
  };
  add(std::move(name), std::move(value), std::move(help), Kind::Value, assign);
}

void CommandLine::flag(std::string name, int64_t *target, std::string value,
                       std::string help) {
  auto assign = [this, name, target](const std::string &text) {
    std::optional<int64_t> number = parseInteger(text);
    if (!number)
      return error("--" + name + ": expects an integer, got '" +
                   printable(text) + "'");
    *target = *number;
    return okStatus();
  };
  add(name, std::move(value), std::move(help), Kind::Value, assign);
}

void CommandLine::flag(std::string name, double *target, std::string value,
                       std::string help) {
  auto assign = [this, name, target](const std::string &text) {
    std::optional<double> number = parseNumber(text);
    if (!number)
      return error("--" + name + ": expects a number, got '" + printable(text) +
                   "'");
    *target = *number;
    return okStatus();
  };
  add(name, std::move(value), std::move(help), Kind::Value, assign);
}

void CommandLine::flag(std::string name, std::vector<std::string> *target,
                       std::string value, std::string help) {
  auto assign = [target](const std::string &text) {
    target->push_back(text);
    return okStatus();
  };
  add(std::move(name), std::move(value), std::move(help), Kind::List, assign);
}

void CommandLine::choice(std::string name, std::string *target,
                         std::vector<std::string> choices, std::string help) {
  std::string value = join(choices, "|");
  auto assign = [this, name, target, choices](const std::string &text) {
    if (std::find(choices.begin(), choices.end(), text) == choices.end())
      return error("--" + name + ": expects one of " + join(choices, ", ") +
                   ", got '" + printable(text) + "'" +
                   suggestion(text, choices));
    *target = text;
    return okStatus();
  };
  add(name, std::move(value), std::move(help), Kind::Value, assign);
}

void CommandLine::alias(char letter, std::string name) {
  if (Flag *flag = find(name))
    flag->letter = letter;
}

void CommandLine::positional(std::string value, std::string *target,
                             std::string help, bool required) {
  positionals.push_back(
      {std::move(value), std::move(help), required, target, nullptr});
}

void CommandLine::positional(std::string value,
                             std::vector<std::string> *target, std::string help,
                             bool required) {
  positionals.push_back(
      {std::move(value), std::move(help), required, nullptr, target});
}

void CommandLine::section(std::string title) {
  sections.push_back({std::move(title), flags.size()});
}

void CommandLine::epilogue(std::string text) { ending = std::move(text); }

CommandLine::Flag *CommandLine::find(std::string_view name) {
  for (Flag &flag : flags)
    if (flag.name == name)
      return &flag;
  return nullptr;
}

bool CommandLine::given(std::string_view name) const {
  for (const Flag &flag : flags)
    if (flag.name == name)
      return flag.given;
  return false;
}

Status CommandLine::unknownFlag(const std::string &shown,
                                std::string_view name) const {
  std::vector<std::string> names = {"help"};
  for (const Flag &flag : flags)
    names.push_back(flag.name);
  std::optional<std::string> nearest = nearestName(name, names);
  std::string hint = nearest ? "; did you mean '--" + *nearest + "'?" : "";
  return error("unknown flag '" + printable(shown) + "'" + hint);
}

Status CommandLine::assign(Flag &flag, const std::string &text) {
  if (flag.given && flag.kind != Kind::List)
    return error("--" + flag.name + ": given more than once");
  flag.given = true;
  return flag.assign(text);
}

Status CommandLine::parse(int argc, const char *const *argv) {
  return parse(std::vector<std::string>(argv, argv + std::max(argc, 0)));
}

Status CommandLine::parse(const std::vector<std::string> &arguments) {
  size_t nextPositional = 0;
  bool flagsEnded = false;
  std::vector<bool> filled(positionals.size(), false);
  for (const std::string &argument : arguments) {
    if (argument == "--")
      break;
    if (argument == "--help" || argument == "-h") {
      help = true;
      return okStatus();
    }
  }
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string &argument = arguments[i];
    if (!flagsEnded && argument == "--") {
      flagsEnded = true;
      continue;
    }
    if (flagsEnded || argument.empty() || argument[0] != '-' ||
        argument == "-") {
      if (nextPositional == positionals.size())
        return error("unexpected argument '" + printable(argument) + "'");
      Positional &positional = positionals[nextPositional];
      filled[nextPositional] = true;
      if (positional.list) {
        positional.list->push_back(argument);
      } else {
        *positional.single = argument;
        ++nextPositional;
      }
      continue;
    }

    size_t equals = argument.find('=');
    std::string shown = argument.substr(0, equals);
    std::optional<std::string> value;
    if (equals != std::string::npos)
      value = argument.substr(equals + 1);
    Flag *flag = nullptr;
    bool negated = false;
    if (startsWith(shown, "--")) {
      std::string name = shown.substr(2);
      flag = find(name);
      if (!flag && startsWith(name, "no-")) {
        flag = find(std::string_view(name).substr(3));
        negated = flag && flag->kind == Kind::Bool;
        if (!negated)
          flag = nullptr;
      }
      if (!flag)
        return unknownFlag(shown, name);
    } else {
      for (Flag &candidate : flags)
        if (shown.size() == 2 && candidate.letter == shown[1])
          flag = &candidate;
      // `-5` may be meant as a value, which is only valid after its flag.
      if (!flag)
        return unknownFlag(shown, std::string_view(shown).substr(1));
    }

    if (negated) {
      if (value)
        return error(shown + ": takes no value");
      WEIR_RETURN_IF_ERROR(assign(*flag, "false"));
    } else if (flag->kind == Kind::Bool) {
      WEIR_RETURN_IF_ERROR(assign(*flag, value.value_or("true")));
    } else {
      if (!value) {
        // A following flag is no value, a following negative number is.
        bool usable = i + 1 < arguments.size() && arguments[i + 1] != "--";
        if (usable && arguments[i + 1].size() > 1 && arguments[i + 1][0] == '-')
          usable = parseNumber(arguments[i + 1]).has_value();
        if (!usable)
          return error("--" + flag->name + ": needs a value, --" + flag->name +
                       "=" + flag->value);
        value = arguments[++i];
      }
      WEIR_RETURN_IF_ERROR(assign(*flag, *value));
    }
  }
  for (size_t i = 0; i < positionals.size(); ++i)
    if (positionals[i].required && !filled[i])
      return error("needs " + positionals[i].value + ", " +
                   positionals[i].help);
  return okStatus();
}

/// Appends `text` broken at blanks, each line starting at column `indent`; the
/// caller stands at column `column` of the first line.
static void wrap(std::string &out, std::string_view text, size_t indent,
                 size_t column) {
  const size_t width = 80;
  bool first = true;
  for (const std::string &word : split(text, ' ')) {
    if (word.empty())
      continue;
    if (!first && column + 1 + word.size() > width) {
      out += "\n" + std::string(indent, ' ');
      column = indent;
      first = true;
    }
    if (!first) {
      out += ' ';
      ++column;
    }
    out += word;
    column += word.size();
    first = false;
  }
  out += '\n';
}

std::string CommandLine::helpText() const {
  const size_t indent = 26;
  std::string out =
      "usage: " + tool + (usage.empty() ? "" : " " + usage) + "\n\n";
  wrap(out, summary, 0, 0);
  auto item = [&](const std::string &left, const std::string &right) {
    out += "  " + left;
    size_t column = 2 + left.size();
    if (column + 2 > indent) {
      out += '\n';
      column = 0;
    }
    out += std::string(indent - column, ' ');
    wrap(out, right, indent, indent);
  };
  if (!positionals.empty()) {
    out += "\n";
    for (const Positional &positional : positionals)
      item(positional.value + (positional.list ? "..." : ""), positional.help);
  }
  out += "\nflags:\n";
  size_t nextSection = 0;
  for (size_t i = 0; i < flags.size(); ++i) {
    while (nextSection < sections.size() &&
           sections[nextSection].firstFlag == i)
      out += "\n" + sections[nextSection++].title + ":\n";
    const Flag &flag = flags[i];
    std::string left;
    if (flag.letter)
      left = std::string("-") + flag.letter + ", ";
    left += "--" + flag.name;
    if (!flag.value.empty())
      left += "=" + flag.value;
    std::string right = flag.help;
    if (flag.kind == Kind::List)
      right += " (may be repeated)";
    item(left, right);
  }
  item("-h, --help", "print this text");
  if (!ending.empty())
    out += "\n" + ending + (ending.back() == '\n' ? "" : "\n");
  return out;
}

} // namespace weir
