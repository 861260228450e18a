// SPDX-License-Identifier: Apache-2.0
#include "runtime/base/Json.h"
#include "runtime/base/Format.h"
#include "runtime/base/Strings.h"
#include "runtime/base/Utf8.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

namespace weir {

namespace {

/// Reads characters and tells how far the parser has come, which its SAX
/// interface does not.
class CountingIterator {
public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char *;
  using reference = const char &;

  CountingIterator(const char *position, const char **furthest)
      : position(position), furthest(furthest) {}
  reference operator*() const { return *position; }
  CountingIterator &operator++() {
    *furthest = ++position;
    return *this;
  }
  bool operator==(const CountingIterator &other) const {
    return position == other.position;
  }
  bool operator!=(const CountingIterator &other) const {
    return position != other.position;
  }

private:
  const char *position;
  const char **furthest;
};

/// Builds the document; unlike the library's own builder it refuses duplicate
/// keys and deep nesting, and never throws.
class Builder {
public:
  Builder(Json &root, int maxDepth) : root(root), maxDepth(maxDepth) {}

  std::string failure;
  /// Characters read up to and with the offending one, where the parser said.
  std::optional<size_t> position;

  bool null() { return place(Json(nullptr)) != nullptr; }
  bool boolean(bool value) { return place(Json(value)) != nullptr; }
  bool number_integer(int64_t value) { return place(Json(value)) != nullptr; }
  bool number_unsigned(uint64_t value) { return place(Json(value)) != nullptr; }
  bool number_float(double value, const std::string &) {
    return place(Json(value)) != nullptr;
  }
  bool string(std::string &value) {
    return place(Json(std::move(value))) != nullptr;
  }
  bool binary(Json::binary_t &) {
    failure = "binary values are not JSON";
    return false;
  }
  bool start_object(size_t) { return open(Json::object()); }
  bool start_array(size_t) { return open(Json::array()); }
  bool end_object() { return close(); }
  bool end_array() { return close(); }
  bool key(std::string &name) {
    auto inserted = stack.back()->emplace(name, nullptr);
    if (!inserted.second) {
      failure = "duplicate key '" + printable(name) + "'";
      return false;
    }
    member = &inserted.first.value();
    return true;
  }
  bool parse_error(size_t charactersRead, const std::string &,
                   const nlohmann::detail::exception &error) {
    position = charactersRead;
    // "[json.exception.parse_error.101] parse error at line 1, column 2: why";
    // the place is ours to say.
    std::string_view text = error.what();
    size_t end = text.find("] ");
    if (end != std::string_view::npos)
      text.remove_prefix(end + 2);
    if (startsWith(text, "parse error")) {
      size_t colon = text.find(": ");
      if (colon != std::string_view::npos)
        text.remove_prefix(colon + 2);
    }
    failure = printable(text);
    return false;
  }

private:
  Json *place(Json value) {
    if (stack.empty()) {
      root = std::move(value);
      return &root;
    }
    Json &parent = *stack.back();
    if (parent.is_array()) {
      parent.push_back(std::move(value));
      return &parent.back();
    }
    *member = std::move(value);
    return member;
  }
  bool open(Json value) {
    if (static_cast<int>(stack.size()) >= maxDepth) {
      failure = "nested deeper than " + std::to_string(maxDepth) + " levels";
      return false;
    }
    stack.push_back(place(std::move(value)));
    return true;
  }
  bool close() {
    stack.pop_back();
    return true;
  }

  Json &root;
  int maxDepth;
  std::vector<Json *> stack;
  Json *member = nullptr;
};

} // namespace

StatusOr<JsonView> parseJson(std::string_view text, const std::string &name,
                             const JsonOptions &options) {
  auto document = std::make_shared<Json>();
  Builder builder(*document, options.maxDepth);
  const char *furthest = text.data();
  CountingIterator begin(text.data(), &furthest);
  CountingIterator end(text.data() + text.size(), &furthest);
  bool ok = text.data() != nullptr &&
            Json::sax_parse(begin, end, &builder, Json::input_format_t::json,
                            /*strict=*/true, options.allowComments);
  if (ok)
    return JsonView(std::move(document), name);
  std::string reason = builder.failure;
  if (trim(text).empty())
    reason = "expects a JSON value, got an empty text";
  size_t read = builder.position.value_or(furthest - text.data());
  size_t line = 1, column = 1;
  for (size_t i = 0; i + 1 < read && i < text.size(); ++i) {
    ++column;
    if (text[i] == '\n') {
      ++line;
      column = 1;
    }
  }
  return invalidInput(name + ":" + std::to_string(line) + ":" +
                      std::to_string(column) + ": " + reason);
}

std::string jsonPath(const std::string &path, std::string_view key) {
  std::string shown = printable(key);
  return path.empty() ? shown : path + "." + shown;
}

std::string jsonPath(const std::string &path, size_t index) {
  return path + "[" + std::to_string(index) + "]";
}

JsonView::JsonView(std::shared_ptr<const Json> document, std::string name)
    : root(std::move(document)),
      name(std::make_shared<const std::string>(std::move(name))),
      node(root.get()) {}

JsonView::JsonView(const JsonView &parent, const Json *node, std::string where)
    : root(parent.root), name(parent.name), node(node),
      where(std::move(where)) {}

std::string JsonView::place() const {
  return where.empty() ? *name : *name + ": " + where;
}

Status JsonView::error(const std::string &text) const {
  return invalidInput(place() + ": " + text);
}

bool JsonView::isNull() const { return node->is_null(); }
bool JsonView::isObject() const { return node->is_object(); }
bool JsonView::isArray() const { return node->is_array(); }
bool JsonView::isString() const { return node->is_string(); }
bool JsonView::isNumber() const { return node->is_number(); }
bool JsonView::isBool() const { return node->is_boolean(); }

const char *JsonView::kind() const {
  switch (node->type()) {
  case Json::value_t::null:
    return "null";
  case Json::value_t::object:
    return "an object";
  case Json::value_t::array:
    return "an array";
  case Json::value_t::string:
    return "a string";
  case Json::value_t::boolean:
    return "a boolean";
  case Json::value_t::number_integer:
  case Json::value_t::number_unsigned:
  case Json::value_t::number_float:
    return "a number";
  default:
    return "a value of another kind";
  }
}

static std::string wrongKind(const char *expected, const JsonView &view) {
  return std::string("expects ") + expected + ", got " + view.kind();
}

StatusOr<JsonView> JsonView::at(std::string_view key) const {
  WEIR_RETURN_IF_ERROR(expectObject());
  auto it = node->find(key);
  if (it == node->end())
    return error("lacks the key '" + printable(key) + "'");
  return JsonView(*this, &*it, jsonPath(where, key));
}

std::optional<JsonView> JsonView::find(std::string_view key) const {
  if (!isObject())
    return std::nullopt;
  auto it = node->find(key);
  if (it == node->end() || it->is_null())
    return std::nullopt;
  return JsonView(*this, &*it, jsonPath(where, key));
}

std::vector<std::string> JsonView::keys() const {
  std::vector<std::string> names;
  if (isObject())
    for (auto it = node->begin(); it != node->end(); ++it)
      names.push_back(it.key());
  return names;
}

size_t JsonView::size() const {
  return isObject() || isArray() ? node->size() : 0;
}

JsonView JsonView::operator[](size_t index) const {
  return JsonView(*this, &(*node)[index], jsonPath(where, index));
}

Status JsonView::expectObject() const {
  return isObject() ? okStatus() : error(wrongKind("an object", *this));
}

Status JsonView::expectArray() const {
  return isArray() ? okStatus() : error(wrongKind("an array", *this));
}

Status JsonView::expectKeys(const std::vector<std::string> &allowed) const {
  WEIR_RETURN_IF_ERROR(expectObject());
  for (auto it = node->begin(); it != node->end(); ++it)
    if (std::find(allowed.begin(), allowed.end(), it.key()) == allowed.end())
      return error("unknown key '" + printable(it.key()) + "'" +
                   suggestion(it.key(), allowed));
  return okStatus();
}

StatusOr<int64_t> JsonView::asInteger(int64_t low, int64_t high) const {
  if (!isNumber())
    return error(wrongKind("an integer", *this));
  int64_t result = 0;
  bool fits = true;
  if (node->is_number_float()) {
    double number = node->get<double>();
    if (number != std::floor(number))
      return error("expects an integer, got " + formatDouble(number));
    fits = std::fabs(number) <= 9007199254740992.0; // 2^53: exact
    if (fits)
      result = static_cast<int64_t>(number);
  } else if (node->is_number_unsigned()) {
    uint64_t number = node->get<uint64_t>();
    fits = number <= static_cast<uint64_t>(INT64_MAX);
    result = static_cast<int64_t>(number);
  } else {
    result = node->get<int64_t>();
  }
  if (!fits || result < low || result > high) {
    std::string range;
    if (high == INT64_MAX && low != INT64_MIN)
      range = "of at least " + std::to_string(low);
    else if (low == INT64_MIN && high != INT64_MAX)
      range = "of at most " + std::to_string(high);
    else if (low == INT64_MIN)
      range = "of 64 bits";
    else
      range = "from " + std::to_string(low) + " to " + std::to_string(high);
    return error("expects an integer " + range + ", got " + node->dump());
  }
  return result;
}

StatusOr<uint64_t> JsonView::asUnsigned() const {
  if (node->is_number_unsigned())
    return node->get<uint64_t>();
  StatusOr<int64_t> number = asInteger(0);
  if (!number.ok())
    return std::move(number).status();
  return static_cast<uint64_t>(*number);
}

StatusOr<double> JsonView::asNumber() const {
  if (!isNumber())
    return error(wrongKind("a number", *this));
  return node->get<double>();
}

StatusOr<bool> JsonView::asBool() const {
  if (!isBool())
    return error(wrongKind("true or false", *this));
  return node->get<bool>();
}

StatusOr<std::string> JsonView::asString() const {
  if (!isString())
    return error(wrongKind("a string", *this));
  return node->get_ref<const std::string &>();
}

StatusOr<std::vector<int64_t>> JsonView::asIntegers() const {
  WEIR_RETURN_IF_ERROR(expectArray());
  std::vector<int64_t> values;
  values.reserve(size());
  for (size_t i = 0; i < size(); ++i) {
    WEIR_ASSIGN_OR_RETURN(int64_t number, (*this)[i].asInteger());
    values.push_back(number);
  }
  return values;
}

StatusOr<std::vector<std::string>> JsonView::asStrings() const {
  WEIR_RETURN_IF_ERROR(expectArray());
  std::vector<std::string> values;
  values.reserve(size());
  for (size_t i = 0; i < size(); ++i) {
    WEIR_ASSIGN_OR_RETURN(std::string text, (*this)[i].asString());
    values.push_back(std::move(text));
  }
  return values;
}

StatusOr<int64_t> JsonView::integer(std::string_view key, int64_t low,
                                    int64_t high) const {
  WEIR_ASSIGN_OR_RETURN(JsonView member, at(key));
  return member.asInteger(low, high);
}

StatusOr<double> JsonView::number(std::string_view key) const {
  WEIR_ASSIGN_OR_RETURN(JsonView member, at(key));
  return member.asNumber();
}

StatusOr<bool> JsonView::boolean(std::string_view key) const {
  WEIR_ASSIGN_OR_RETURN(JsonView member, at(key));
  return member.asBool();
}

StatusOr<std::string> JsonView::string(std::string_view key) const {
  WEIR_ASSIGN_OR_RETURN(JsonView member, at(key));
  return member.asString();
}

std::string jsonQuote(std::string_view text) {
  static const char digits[] = "0123456789abcdef";
  std::string out = "\"";
  while (!text.empty()) {
    size_t length = utf8SequenceLength(text);
    unsigned char c = static_cast<unsigned char>(text[0]);
    if (length == 0) {
      out += "\xEF\xBF\xBD";
      length = 1;
    } else if (length > 1) {
      out += text.substr(0, length);
    } else if (c == '"' || c == '\\') {
      out += '\\';
      out += text[0];
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\r') {
      out += "\\r";
    } else if (c == '\t') {
      out += "\\t";
    } else if (c < 0x20) {
      out += "\\u00";
      out += digits[c >> 4];
      out += digits[c & 15];
    } else {
      out += text[0];
    }
    text.remove_prefix(length);
  }
  out += '"';
  return out;
}

void JsonWriter::lineBreak() {
  if (indent == 0)
    return;
  out += '\n';
  out.append(levels.size() * indent, ' ');
}

void JsonWriter::before() {
  if (afterKey) {
    afterKey = false;
    return;
  }
  if (levels.empty())
    return;
  Level &level = levels.back();
  if (!level.empty)
    out += level.inlined && indent != 0 ? ", " : ",";
  level.empty = false;
  if (!level.inlined)
    lineBreak();
}

JsonWriter &JsonWriter::beginObject() {
  before();
  out += '{';
  // What lies in an inlined array stays on its line.
  levels.push_back({true, !levels.empty() && levels.back().inlined});
  return *this;
}

JsonWriter &JsonWriter::endObject() {
  Level level = levels.back();
  levels.pop_back();
  if (!level.empty && !level.inlined)
    lineBreak();
  out += '}';
  return *this;
}

JsonWriter &JsonWriter::beginArray(bool inlined) {
  before();
  out += '[';
  levels.push_back(
      {true, inlined || (!levels.empty() && levels.back().inlined)});
  return *this;
}

JsonWriter &JsonWriter::endArray() {
  Level level = levels.back();
  levels.pop_back();
  if (!level.empty && !level.inlined)
    lineBreak();
  out += ']';
  return *this;
}

JsonWriter &JsonWriter::key(std::string_view name) {
  before();
  out += jsonQuote(name);
  out += indent == 0 ? ":" : ": ";
  afterKey = true;
  return *this;
}

JsonWriter &JsonWriter::value(std::string_view text) {
  before();
  out += jsonQuote(text);
  return *this;
}

JsonWriter &JsonWriter::value(bool flag) {
  before();
  out += flag ? "true" : "false";
  return *this;
}

JsonWriter &JsonWriter::value(int64_t number) {
  before();
  out += std::to_string(number);
  return *this;
}

JsonWriter &JsonWriter::value(uint64_t number) {
  before();
  out += std::to_string(number);
  return *this;
}

JsonWriter &JsonWriter::value(double number) {
  before();
  out += std::isfinite(number) ? formatDouble(number) : "null";
  return *this;
}

JsonWriter &JsonWriter::null() {
  before();
  out += "null";
  return *this;
}

JsonWriter &JsonWriter::raw(std::string_view json) {
  before();
  out += json;
  return *this;
}

std::string JsonWriter::take() {
  if (indent != 0)
    out += '\n';
  return std::move(out);
}

} // namespace weir
