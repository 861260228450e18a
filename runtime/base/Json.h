// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_RUNTIME_BASE_JSON_H
#define WEIR_RUNTIME_BASE_JSON_H

#include "runtime/base/Status.h"

#include <cstdint>
#include <limits>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace weir {

using Json = nlohmann::json;

struct JsonOptions {
  /// Whether `//` and `/* */` comments are allowed.
  bool allowComments = false;
  /// The deepest nesting of objects and arrays.
  int maxDepth = 64;
};

/// A place in a parsed JSON document: the value, the document's name and the
/// path from the root ("optimizer.groups[0].lr_scale"), so that every error
/// reads "job.json: optimizer.lr: expects a number, got a string". A view keeps
/// its document alive; copying it is cheap but for the path.
class JsonView {
public:
  /// A view of the root of `document`, named `name` in errors.
  JsonView(std::shared_ptr<const Json> document, std::string name);

  const Json &value() const { return *node; }
  /// The path from the root; empty at the root.
  const std::string &path() const { return where; }
  /// The name the document was given.
  const std::string &document() const { return *name; }
  /// "`document`: `path`", or the document alone at the root.
  std::string place() const;
  /// InvalidInput "`place`: `text`".
  Status error(const std::string &text) const;

  bool isNull() const;
  bool isObject() const;
  bool isArray() const;
  bool isString() const;
  bool isNumber() const;
  bool isBool() const;
  /// What the value is, as errors say it: "an object", "a string", "null".
  const char *kind() const;

  /// The member `key`; an error unless this is an object that has it.
  StatusOr<JsonView> at(std::string_view key) const;
  /// The member `key`, or nothing where there is none (or it is null, or this
  /// is no object).
  std::optional<JsonView> find(std::string_view key) const;
  /// The keys of an object, sorted; empty for anything else.
  std::vector<std::string> keys() const;
  /// Elements of an array or members of an object, otherwise 0.
  size_t size() const;
  /// Element `index` < size() of an array.
  JsonView operator[](size_t index) const;
  /// An error for the first key that is not in `allowed`, with the nearest one
  /// suggested; an error unless this is an object.
  Status expectKeys(const std::vector<std::string> &allowed) const;
  Status expectObject() const;
  Status expectArray() const;

  /// The value as an integer of [`low`, `high`]. A number with a zero fraction
  /// (1e3, 4.0) is one.
  StatusOr<int64_t>
  asInteger(int64_t low = std::numeric_limits<int64_t>::min(),
            int64_t high = std::numeric_limits<int64_t>::max()) const;
  /// The value as an unsigned integer of the full 64-bit range.
  StatusOr<uint64_t> asUnsigned() const;
  StatusOr<double> asNumber() const;
  StatusOr<bool> asBool() const;
  StatusOr<std::string> asString() const;
  /// An array of integers.
  StatusOr<std::vector<int64_t>> asIntegers() const;
  StatusOr<std::vector<std::string>> asStrings() const;

  // Members in one step: `at(key)` and then `as...`.
  StatusOr<int64_t>
  integer(std::string_view key,
          int64_t low = std::numeric_limits<int64_t>::min(),
          int64_t high = std::numeric_limits<int64_t>::max()) const;
  StatusOr<double> number(std::string_view key) const;
  StatusOr<bool> boolean(std::string_view key) const;
  StatusOr<std::string> string(std::string_view key) const;

private:
  JsonView(const JsonView &parent, const Json *node, std::string where);

  std::shared_ptr<const Json> root;
  std::shared_ptr<const std::string> name;
  const Json *node;
  std::string where;
};

/// Parses `text`. Refuses, with "`name`:line:column: reason", what is not JSON,
/// duplicate keys, invalid UTF-8, numbers beyond f64 and nesting beyond the
/// limit. Columns count bytes from 1.
StatusOr<JsonView> parseJson(std::string_view text, const std::string &name,
                             const JsonOptions &options = {});

/// `path` extended by a key or an index, as errors show them.
std::string jsonPath(const std::string &path, std::string_view key);
std::string jsonPath(const std::string &path, size_t index);

/// `text` as a JSON string with its quotes. Bytes that are not valid UTF-8
/// become U+FFFD.
std::string jsonQuote(std::string_view text);

/// Writes JSON piece by piece: deterministic, in the order of the calls,
/// numbers in their shortest form. Misuse (a value without a key in an object)
/// is a programming error and gives invalid JSON.
class JsonWriter {
public:
  /// `indent` blanks a level; 0 writes everything on one line without blanks.
  explicit JsonWriter(int indent = 2) : indent(indent) {}

  JsonWriter &beginObject();
  JsonWriter &endObject();
  /// With `inlined`, the array stands on one line.
  JsonWriter &beginArray(bool inlined = false);
  JsonWriter &endArray();
  JsonWriter &key(std::string_view name);
  JsonWriter &value(std::string_view text);
  JsonWriter &value(const char *text) { return value(std::string_view(text)); }
  JsonWriter &value(const std::string &text) {
    return value(std::string_view(text));
  }
  JsonWriter &value(bool flag);
  JsonWriter &value(int64_t number);
  JsonWriter &value(int number) { return value(static_cast<int64_t>(number)); }
  JsonWriter &value(uint64_t number);
  JsonWriter &value(unsigned number) {
    return value(static_cast<uint64_t>(number));
  }
  /// null where the number is not finite, which JSON cannot say.
  JsonWriter &value(double number);
  JsonWriter &null();
  /// Text that is JSON already.
  JsonWriter &raw(std::string_view json);
  /// `key` and `value` in one.
  template <typename T> JsonWriter &member(std::string_view name, const T &v) {
    return key(name).value(v);
  }
  /// An array of numbers or strings on one line.
  template <typename T> JsonWriter &list(const std::vector<T> &values) {
    beginArray(true);
    for (const T &v : values)
      value(v);
    return endArray();
  }

  /// What was written; ends with a line end when indented.
  std::string take();

private:
  struct Level {
    bool empty = true;
    bool inlined = false;
  };
  void before();
  void lineBreak();

  int indent;
  bool afterKey = false;
  std::vector<Level> levels;
  std::string out;
};

} // namespace weir

#endif // WEIR_RUNTIME_BASE_JSON_H
