// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_RUNTIME_IO_JOBREADER_H
#define WEIR_RUNTIME_IO_JOBREADER_H

// The visitor of `visitJob` that reads a job. Internal to runtime/io.

#include "runtime/base/Format.h"
#include "runtime/base/Json.h"
#include "runtime/base/Strings.h"
#include "runtime/io/File.h"
#include "runtime/io/JobSchema.h"

#include <algorithm>
#include <functional>
#include <map>

namespace weir {
namespace job {

/// One thing that is wrong, at a path of the document.
struct Problem {
  std::string path;
  std::string text;
};

/// Paths that `--set` made (the first part that was not there before), with the
/// text that was given.
using Overrides = std::map<std::string, std::string>;

/// Fills a job from a document and collects everything that is wrong with it.
/// Each member takes a key of the object that is being read; a key that is
/// absent or null keeps the field's default.
class JobReader {
public:
  JobReader(const JsonView &root, const std::string &folder,
            const Overrides &overrides)
      : folder(folder), overrides(overrides) {
    levels.push_back({root, {}});
  }

  std::vector<Problem> problems;

  void text(const char *key, std::string &field, Need need, const char *) {
    std::optional<JsonView> view = take(key, need);
    if (!view)
      return;
    // `--set name=3` means the text "3".
    auto given = overrides.find(view->path());
    if (!view->isString() && given != overrides.end())
      field = given->second;
    else
      store(*view, view->asString(), field);
    if (need == Required && field.empty())
      problem(*view, "must not be empty");
    else if (field.find('\0') != std::string::npos)
      problem(*view, "must not hold a zero byte");
  }

  void path(const char *key, std::string &field, const char *,
            Need need = Optional) {
    size_t before = problems.size();
    text(key, field, need, nullptr);
    if (problems.size() == before && !field.empty())
      field = resolvePath(folder, field);
  }

  void word(const char *key, std::string &field,
            const std::vector<std::string> &words, const char *) {
    std::optional<JsonView> view = take(key, Optional);
    std::string given;
    if (!view || !store(*view, view->asString(), given))
      return;
    if (std::find(words.begin(), words.end(), given) == words.end())
      problem(*view, oneOf(words, given));
    else
      field = given;
  }

  template <typename E, size_t N>
  void choice(const char *key, E &field, const Choice<E> (&choices)[N],
              Need need, const char *) {
    std::optional<JsonView> view = take(key, need);
    std::string given;
    if (!view || !store(*view, view->asString(), given))
      return;
    std::vector<std::string> words;
    for (const Choice<E> &choice : choices) {
      words.push_back(choice.name);
      if (given == choice.name) {
        field = choice.value;
        return;
      }
    }
    problem(*view, oneOf(words, given));
  }

  void integer(const char *key, int64_t &field, int64_t low, int64_t high,
               Need need, const char *) {
    if (std::optional<JsonView> view = take(key, need))
      store(*view, view->asInteger(low, high), field);
  }

  void number(const char *key, double &field, Range range, const char *,
              Standard = Fixed) {
    if (std::optional<JsonView> view = take(key, Optional))
      readNumber(*view, range, field);
  }
  void number(const char *key, std::optional<double> &field, Range range,
              const char *) {
    double value = 0;
    std::optional<JsonView> view = take(key, Optional);
    if (view && readNumber(*view, range, value))
      field = value;
  }

  void numbers(const char *key, std::vector<double> &field, size_t count,
               Range range, const char *) {
    std::optional<JsonView> view = take(key, Optional);
    if (!view)
      return;
    if (!view->isArray() || view->size() != count) {
      problem(*view, "expects an array of " + std::to_string(count) +
                         " numbers, got " +
                         (view->isArray() ? std::to_string(view->size())
                                          : std::string(view->kind())));
      return;
    }
    std::vector<double> values(count);
    bool ok = true;
    for (size_t i = 0; i < count; ++i)
      ok &= readNumber((*view)[i], range, values[i]);
    if (ok)
      field = values;
  }

  void flag(const char *key, bool &field, const char *) {
    if (std::optional<JsonView> view = take(key, Optional))
      store(*view, view->asBool(), field);
  }
  void flag(const char *key, std::optional<bool> &field, const char *) {
    bool value = false;
    std::optional<JsonView> view = take(key, Optional);
    if (view && store(*view, view->asBool(), value))
      field = value;
  }

  void section(const char *key, Need need, const char *,
               const std::function<void()> &body) {
    if (std::optional<JsonView> view = take(key, need))
      object(*view, body);
  }

  template <typename T, typename Body>
  void list(const char *key, std::vector<T> &items, const char *,
            const Body &body) {
    std::optional<JsonView> view = take(key, Optional);
    if (!view)
      return;
    if (Status status = view->expectArray(); !status.ok()) {
      problem(*view, std::string("expects an array, got ") + view->kind());
      return;
    }
    for (size_t i = 0; i < view->size(); ++i) {
      T item;
      object((*view)[i], [&] { body(item); });
      items.push_back(std::move(item));
    }
  }

  void map(const char *key,
           std::vector<std::pair<std::string, std::string>> &items,
           const std::vector<std::string> &words, const char *) {
    std::optional<JsonView> view = take(key, Optional);
    if (!view)
      return;
    if (!view->isObject()) {
      problem(*view, std::string("expects an object, got ") + view->kind());
      return;
    }
    for (const std::string &name : view->keys()) {
      std::optional<JsonView> member = view->find(name);
      std::string given;
      if (!member || !store(*member, member->asString(), given))
        continue;
      if (std::find(words.begin(), words.end(), given) == words.end())
        problem(*member, oneOf(words, given));
      else
        items.emplace_back(name, given);
    }
  }

  /// All keys of the object that were not taken.
  void rest(const char *,
            std::vector<std::pair<std::string, std::string>> &items,
            const char *) {
    Level &level = levels.back();
    for (const std::string &name : level.view.keys()) {
      if (std::find(level.taken.begin(), level.taken.end(), name) !=
          level.taken.end())
        continue;
      level.taken.push_back(name);
      std::optional<JsonView> member = level.view.find(name);
      std::string given;
      if (member && store(*member, member->asString(), given))
        items.emplace_back(name, given);
    }
  }

  /// Reports the keys of the root that nobody took.
  void finish() { checkTaken(); }

private:
  struct Level {
    JsonView view;
    std::vector<std::string> taken;
  };

  std::optional<JsonView> take(const char *key, Need need) {
    Level &level = levels.back();
    level.taken.push_back(key);
    std::optional<JsonView> view = level.view.find(key);
    if (!view && need == Required)
      problems.push_back({jsonPath(level.view.path(), key), "is required"});
    return view;
  }

  void object(const JsonView &view, const std::function<void()> &body) {
    if (!view.isObject()) {
      problem(view, std::string("expects an object, got ") + view.kind());
      return;
    }
    levels.push_back({view, {}});
    body();
    checkTaken();
    levels.pop_back();
  }

  void checkTaken() {
    const Level &level = levels.back();
    for (const std::string &name : level.view.keys())
      if (std::find(level.taken.begin(), level.taken.end(), name) ==
          level.taken.end())
        problems.push_back({jsonPath(level.view.path(), name),
                            "unknown key" + suggestion(name, level.taken)});
  }

  static std::string oneOf(const std::vector<std::string> &words,
                           const std::string &given) {
    return "expects " +
           (words.size() == 1 ? "'" + words[0] + "'"
                              : "one of " + join(words, ", ")) +
           ", got '" + printable(given) + "'" + suggestion(given, words);
  }

  bool readNumber(const JsonView &view, Range range, double &field) {
    double value = 0;
    if (!store(view, view.asNumber(), value))
      return false;
    bool low = range.lowOpen ? value > range.low : value >= range.low;
    bool high = range.highOpen ? value < range.high : value <= range.high;
    if (!low || !high) {
      std::string text = "expects a number";
      if (range.low > -infinity)
        text += (range.lowOpen ? " above " : " of at least ") +
                formatDouble(range.low);
      if (range.high < infinity)
        text += std::string(range.low > -infinity ? " and" : "") +
                (range.highOpen ? " below " : " at most ") +
                formatDouble(range.high);
      problem(view, text + ", got " + formatDouble(value));
      return false;
    }
    field = value;
    return true;
  }

  /// Takes the value, or the reason without the place in front.
  template <typename T, typename U>
  bool store(const JsonView &view, StatusOr<T> value, U &field) {
    if (value.ok()) {
      field = *std::move(value);
      return true;
    }
    problem(view, value.status().message().substr(view.place().size() + 2));
    return false;
  }

  void problem(const JsonView &view, std::string text) {
    problems.push_back({view.path(), std::move(text)});
  }

  const std::string &folder;
  const Overrides &overrides;
  std::vector<Level> levels;
};

} // namespace job
} // namespace weir

#endif // WEIR_RUNTIME_IO_JOBREADER_H
