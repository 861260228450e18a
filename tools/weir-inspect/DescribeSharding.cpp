// SPDX-License-Identifier: Apache-2.0
#include "tools/weir-inspect/DescribeSharding.h"

#include "runtime/base/Format.h"
#include "runtime/base/Json.h"
#include "runtime/base/Strings.h"

#include <cstdio>

namespace weir {
namespace {

/// "3.1 us": three digits at most in front of the unit.
std::string timeText(double seconds) {
  const char *unit = "s";
  double number = seconds;
  for (const char *smaller : {"ms", "us", "ns"}) {
    if (number >= 1 || number == 0)
      break;
    number *= 1000;
    unit = smaller;
  }
  char text[32];
  std::snprintf(text, sizeof text, "%.3g %s", number, unit);
  return text;
}

/// Turns the document into text. Every accessor says where it failed.
class ShardingText {
public:
  ShardingText(const std::string &pattern, const std::string &entry)
      : pattern(pattern), entry(entry) {}

  Status add(const JsonView &root) {
    if (std::optional<JsonView> mesh = root.find("mesh")) {
      WEIR_ASSIGN_OR_RETURN(std::string text, mesh->asString());
      out += "mesh " + printable(text);
      WEIR_ASSIGN_OR_RETURN(JsonView cluster, root.at("cluster"));
      WEIR_ASSIGN_OR_RETURN(text, cluster.asString());
      out += ", costs on cluster '" + printable(text) + "'\n";
    } else {
      out += "one device: nothing is split\n";
    }
    WEIR_ASSIGN_OR_RETURN(JsonView variables, root.at("variables"));
    WEIR_RETURN_IF_ERROR(variables.expectArray());
    if (entry.empty())
      for (size_t i = 0; i < variables.size(); ++i)
        WEIR_RETURN_IF_ERROR(addValue(variables[i], "variable "));
    WEIR_ASSIGN_OR_RETURN(JsonView entries, root.at("entries"));
    WEIR_RETURN_IF_ERROR(entries.expectArray());
    for (size_t i = 0; i < entries.size(); ++i) {
      WEIR_ASSIGN_OR_RETURN(std::string name, textOf(entries[i], "name"));
      if (!entry.empty() && name != entry)
        continue;
      out += "\nentry " + printable(name) + "\n";
      WEIR_ASSIGN_OR_RETURN(JsonView values, entries[i].at("values"));
      WEIR_RETURN_IF_ERROR(values.expectArray());
      for (size_t v = 0; v < values.size(); ++v)
        WEIR_RETURN_IF_ERROR(addValue(values[v], ""));
    }
    return okStatus();
  }

  std::string take() { return std::move(out); }

private:
  static StatusOr<std::string> textOf(const JsonView &view, const char *key) {
    WEIR_ASSIGN_OR_RETURN(JsonView member, view.at(key));
    return member.asString();
  }

  Status addValue(const JsonView &value, const char *prefix) {
    WEIR_ASSIGN_OR_RETURN(std::string name, textOf(value, "name"));
    if (!globMatch(pattern, name))
      return okStatus();
    WEIR_ASSIGN_OR_RETURN(std::string layout, textOf(value, "layout"));
    WEIR_ASSIGN_OR_RETURN(std::string type, textOf(value, "type"));
    out += prefix + printable(name) + "  " + printable(layout) + "  " +
           printable(type);
    if (value.find("op")) {
      WEIR_ASSIGN_OR_RETURN(std::string op, textOf(value, "op"));
      out += "  " + printable(op);
    }
    out += "\n";
    if (std::optional<JsonView> decided = value.find("decided"))
      WEIR_RETURN_IF_ERROR(addDecisions(*decided));
    if (std::optional<JsonView> signatures = value.find("signatures"))
      WEIR_RETURN_IF_ERROR(addSignatures(*signatures));
    if (std::optional<JsonView> reshards = value.find("reshards"))
      WEIR_RETURN_IF_ERROR(addReshards(*reshards));
    return okStatus();
  }

  Status addDecisions(const JsonView &list) {
    WEIR_RETURN_IF_ERROR(list.expectArray());
    for (size_t i = 0; i < list.size(); ++i) {
      WEIR_ASSIGN_OR_RETURN(std::string axis, textOf(list[i], "axis"));
      WEIR_ASSIGN_OR_RETURN(std::string is, textOf(list[i], "is"));
      WEIR_ASSIGN_OR_RETURN(std::string by, textOf(list[i], "by"));
      out += "    " + printable(axis) + ": " + printable(is) + " by " +
             printable(by) + "\n";
    }
    return okStatus();
  }

  Status addSignatures(const JsonView &list) {
    WEIR_RETURN_IF_ERROR(list.expectArray());
    for (size_t i = 0; i < list.size(); ++i) {
      const JsonView one = list[i];
      WEIR_ASSIGN_OR_RETURN(std::string axis, textOf(one, "axis"));
      WEIR_ASSIGN_OR_RETURN(std::string signature, textOf(one, "signature"));
      WEIR_ASSIGN_OR_RETURN(JsonView chosen, one.at("chosen"));
      WEIR_ASSIGN_OR_RETURN(bool isChosen, chosen.asBool());
      out += (isChosen ? "    * " : "      ") + printable(axis) + ": " +
             printable(signature);
      if (one.find("program")) {
        WEIR_ASSIGN_OR_RETURN(std::string program, textOf(one, "program"));
        out += " by program " + printable(program);
      }
      // A chosen signature whose surroundings forbid it has no figure.
      if (std::optional<JsonView> seconds = one.find("seconds")) {
        WEIR_ASSIGN_OR_RETURN(double cost, seconds->asNumber());
        out += ", " + timeText(cost);
      }
      out += "\n";
    }
    return okStatus();
  }

  Status addReshards(const JsonView &list) {
    WEIR_RETURN_IF_ERROR(list.expectArray());
    for (size_t i = 0; i < list.size(); ++i) {
      const JsonView one = list[i];
      WEIR_ASSIGN_OR_RETURN(std::string from, textOf(one, "from"));
      WEIR_ASSIGN_OR_RETURN(std::string to, textOf(one, "to"));
      WEIR_ASSIGN_OR_RETURN(JsonView program, one.at("program"));
      WEIR_ASSIGN_OR_RETURN(std::vector<std::string> steps,
                            program.asStrings());
      WEIR_ASSIGN_OR_RETURN(JsonView forced, one.at("forced_by"));
      WEIR_ASSIGN_OR_RETURN(std::vector<std::string> uses, forced.asStrings());
      out += "    reshard " + printable(from) + " to " + printable(to) + ": " +
             printable(join(steps, ", then "));
      if (std::optional<JsonView> bytes = one.find("bytes")) {
        WEIR_ASSIGN_OR_RETURN(int64_t moved, bytes->asInteger(0));
        WEIR_ASSIGN_OR_RETURN(JsonView boundView, one.at("bound"));
        WEIR_ASSIGN_OR_RETURN(int64_t bound, boundView.asInteger(0));
        WEIR_ASSIGN_OR_RETURN(JsonView secondsView, one.at("seconds"));
        WEIR_ASSIGN_OR_RETURN(double seconds, secondsView.asNumber());
        out += "; " + formatBytes(moved) + " received in all, at least " +
               formatBytes(bound) + "; " + timeText(seconds);
      }
      out += "\n";
      for (const std::string &use : uses)
        out += "      for " + printable(use) + "\n";
    }
    return okStatus();
  }

  const std::string &pattern, &entry;
  std::string out;
};

} // namespace

StatusOr<std::string> describeSharding(std::string_view text,
                                       const std::string &name,
                                       const std::string &pattern,
                                       const std::string &entry) {
  WEIR_ASSIGN_OR_RETURN(JsonView root, parseJson(text, name));
  WEIR_RETURN_IF_ERROR(root.expectObject());
  ShardingText description(pattern, entry);
  WEIR_RETURN_IF_ERROR(description.add(root));
  return description.take();
}

} // namespace weir
