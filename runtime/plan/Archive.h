// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_RUNTIME_PLAN_ARCHIVE_H
#define WEIR_RUNTIME_PLAN_ARCHIVE_H

#include "runtime/base/Format.h"
#include "runtime/base/Json.h"
#include "runtime/base/Strings.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

/// JSON text of plain structs. A struct lists its members once, in a function
/// `fields(archive, value)` beside it, for reading, writing and describing
/// alike, so that what is printed is what is read.
namespace weir::plan {

/// The names of an enumeration's values.
template <typename E> struct EnumNames;
#define WEIR_ENUM_NAMES(TYPE, ...)                                             \
  template <> struct EnumNames<TYPE> {                                         \
    static constexpr std::pair<TYPE, const char *> table[] = {__VA_ARGS__};    \
  }

template <typename E> const char *enumName(E value) {
  for (const auto &[key, text] : EnumNames<E>::table)
    if (key == value)
      return text;
  return "?";
}

/// Keeps a parameter out of deduction: the member's type decides.
template <typename T> struct SameAs {
  using Type = T;
};

using StringMap = std::map<std::string, std::string>;

template <typename T> struct IsVector : std::false_type {};
template <typename T> struct IsVector<std::vector<T>> : std::true_type {};

//===----------------------------------------------------------------------===//
// Reading
//===----------------------------------------------------------------------===//

/// One element of a JSON path, rendered only when there is something to report.
struct PathElement {
  const char *key = nullptr;
  size_t index = 0;
};

class Reader {
public:
  explicit Reader(const Json &root) : current(&root) {}

  bool failed() const { return !problem.empty(); }
  const std::string &message() const { return problem; }

  template <typename T> void required(const char *key, T &value) {
    if (const Json *member = find(key, /*mandatory=*/true))
      descend(key, *member, value);
  }
  template <typename T>
  void optional(const char *key, T &value,
                const typename SameAs<T>::Type &fallback) {
    if (const Json *member = find(key, /*mandatory=*/false))
      descend(key, *member, value);
    else
      value = fallback;
  }
  template <typename T> void list(const char *key, std::vector<T> &value) {
    if (const Json *member = find(key, /*mandatory=*/false))
      descend(key, *member, value);
  }
  template <typename T> void object(const char *key, T &value) {
    required(key, value);
  }

  template <typename T> void readObject(T &value) {
    if (!current->is_object())
      return fail("expected an object, got " + describe());
    const Json *self = current;
    size_t before = std::exchange(known, 0);
    fields(*this, value);
    // A key nobody asked for is a slip or another version's field.
    if (!failed() && known != self->size()) {
      Asked asked;
      fields(asked, value);
      for (const auto &[key, member] : self->items())
        if (std::find(asked.keys.begin(), asked.keys.end(), key) ==
            asked.keys.end())
          return fail("unknown member '" + printable(key, 60) + "'" +
                      suggestion(printable(key, 60), asked.keys));
    }
    known = before;
  }

private:
  /// An archive that only notes the names of the members.
  struct Asked {
    std::vector<std::string> keys;
    template <typename T> void required(const char *key, T &) {
      keys.push_back(key);
    }
    template <typename T>
    void optional(const char *key, T &, const typename SameAs<T>::Type &) {
      keys.push_back(key);
    }
    template <typename T> void list(const char *key, T &) {
      keys.push_back(key);
    }
    template <typename T> void object(const char *key, T &) {
      keys.push_back(key);
    }
  };

  const Json *find(const char *key, bool mandatory) {
    if (failed())
      return nullptr;
    auto it = current->find(key);
    if (it == current->end()) {
      if (mandatory)
        fail(std::string("expected member '") + key + "'");
      return nullptr;
    }
    ++known;
    return &*it;
  }

  template <typename T>
  void descend(const char *key, const Json &member, T &value) {
    const Json *saved = std::exchange(current, &member);
    path.push_back({key, 0});
    read(value);
    if (!failed())
      path.pop_back();
    current = saved;
  }

  template <typename T> void read(T &value) {
    if constexpr (std::is_same_v<T, bool>) {
      if (!current->is_boolean())
        return fail("expected true or false, got " + describe());
      value = current->get<bool>();
    } else if constexpr (std::is_same_v<T, std::string>) {
      if (!current->is_string())
        return fail("expected a string, got " + describe());
      value = current->get_ref<const std::string &>();
    } else if constexpr (std::is_integral_v<T>) {
      if (!current->is_number_integer() ||
          (current->is_number_unsigned() &&
           current->get<uint64_t>() >
               static_cast<uint64_t>(std::numeric_limits<int64_t>::max())))
        return fail("expected an integer, got " + describe());
      int64_t wide = current->get<int64_t>();
      if (wide < std::numeric_limits<T>::min() ||
          wide > std::numeric_limits<T>::max())
        return fail("integer " + std::to_string(wide) + " is out of range");
      value = static_cast<T>(wide);
    } else if constexpr (std::is_same_v<T, double>) {
      if (current->is_number()) {
        value = current->get<double>();
      } else if (current->is_string() && *current == "inf") {
        value = std::numeric_limits<double>::infinity();
      } else if (current->is_string() && *current == "-inf") {
        value = -std::numeric_limits<double>::infinity();
      } else if (current->is_string() && *current == "nan") {
        value = std::numeric_limits<double>::quiet_NaN();
      } else {
        fail("expected a number, got " + describe());
      }
    } else if constexpr (std::is_enum_v<T>) {
      if (current->is_string())
        for (const auto &[key, text] : EnumNames<T>::table)
          if (current->get_ref<const std::string &>() == text) {
            value = key;
            return;
          }
      std::string names;
      for (const auto &[key, text] : EnumNames<T>::table)
        names += (names.empty() ? "'" : ", '") + std::string(text) + "'";
      fail("expected one of " + names + ", got " + describe());
    } else if constexpr (IsVector<T>::value) {
      if (!current->is_array())
        return fail("expected an array, got " + describe());
      const Json *array = current;
      value.clear();
      value.resize(array->size());
      path.push_back({nullptr, 0});
      for (size_t i = 0; i < value.size() && !failed(); ++i) {
        path.back().index = i;
        current = &(*array)[i];
        read(value[i]);
      }
      if (!failed())
        path.pop_back();
      current = array;
    } else if constexpr (std::is_same_v<T, StringMap>) {
      if (!current->is_object())
        return fail("expected an object, got " + describe());
      value.clear();
      for (const auto &[key, member] : current->items()) {
        if (!member.is_string())
          return fail("expected strings as members");
        value[key] = member.template get<std::string>();
      }
    } else {
      readObject(value);
    }
  }

  std::string describe() const {
    std::string text =
        current->is_structured()
            ? std::string(current->type_name())
            : current->dump(-1, ' ', false, Json::error_handler_t::replace);
    return printable(text, 60);
  }

  void fail(const std::string &what) {
    if (failed())
      return;
    std::string where;
    for (const PathElement &element : path)
      where += element.key ? "/" + std::string(element.key)
                           : "/" + std::to_string(element.index);
    problem = (where.empty() ? std::string("/") : where) + ": " + what;
  }

  const Json *current;
  std::vector<PathElement> path;
  size_t known = 0; // members of the current object that were asked for
  std::string problem;
};

//===----------------------------------------------------------------------===//
// Writing
//===----------------------------------------------------------------------===//

/// Whether a struct gives each member, and each struct in its lists, a line of
/// its own.
template <typename T> struct Spread : std::false_type {};

class Writer {
public:
  template <typename T> void required(const char *key, T &value) {
    member(key);
    write(value);
  }
  template <typename T>
  void optional(const char *key, T &value,
                const typename SameAs<T>::Type &fallback) {
    if (!(value == fallback))
      required(key, value);
  }
  template <typename T> void list(const char *key, std::vector<T> &value) {
    if (value.empty())
      return;
    member(key);
    write(value);
  }
  template <typename T> void object(const char *key, T &value) {
    required(key, value);
  }

  template <typename T> void writeObject(T &value) {
    spread = Spread<T>::value;
    text += '{';
    bool saved = std::exchange(first, true);
    fields(*this, value);
    first = saved;
    if (Spread<T>::value)
      text += '\n';
    text += '}';
  }

  std::string text;

private:
  void member(const char *key) {
    text += first ? "" : ",";
    if (spread)
      text += '\n';
    first = false;
    text += '"';
    text += key;
    text += "\":";
  }

  template <typename T> void write(T &value) {
    if constexpr (std::is_same_v<T, bool>) {
      text += value ? "true" : "false";
    } else if constexpr (std::is_same_v<T, std::string>) {
      text += jsonQuote(value);
    } else if constexpr (std::is_integral_v<T>) {
      text += std::to_string(value);
    } else if constexpr (std::is_same_v<T, double>) {
      text += std::isfinite(value) ? formatDouble(value)
                                   : '"' + formatDouble(value) + '"';
    } else if constexpr (std::is_enum_v<T>) {
      text += '"';
      text += enumName(value);
      text += '"';
    } else if constexpr (IsVector<T>::value) {
      using E = typename T::value_type;
      bool lines = spread && std::is_class_v<E>;
      bool saved = std::exchange(spread, false);
      text += '[';
      for (size_t i = 0; i < value.size(); ++i) {
        if (i)
          text += ',';
        if (lines)
          text += '\n';
        write(value[i]);
      }
      text += ']';
      spread = saved;
    } else if constexpr (std::is_same_v<T, StringMap>) {
      text += '{';
      const char *separator = "\n";
      for (const auto &[key, member] : value) {
        text += separator + jsonQuote(key) + ":" + jsonQuote(member);
        separator = ",\n";
      }
      text += '}';
    } else {
      bool saved = std::exchange(spread, Spread<T>::value);
      writeObject(value);
      spread = saved;
    }
  }

  bool first = true;
  bool spread = false; // whether the struct at hand is a spread one
};

/// Lists the members for a description; overloaded for structs whose members
/// depend on a value.
template <typename A, typename T> void describeFields(A &a, T &value) {
  fields(a, value);
}

/// Writes the names and kinds of all members of a struct, whatever they hold.
class Describer {
public:
  template <typename T> void required(const char *key, T &value) {
    text += key;
    text += ':';
    describe(value);
    text += ';';
  }
  template <typename T>
  void optional(const char *key, T &value,
                const typename SameAs<T>::Type &fallback) {
    text += '?';
    required(key, value);
  }
  template <typename T> void list(const char *key, std::vector<T> &value) {
    required(key, value);
  }
  template <typename T> void object(const char *key, T &value) {
    required(key, value);
  }
  template <typename T> void writeObject(T &value) {
    text += '{';
    describeFields(*this, value);
    text += '}';
  }

  std::string text;

private:
  template <typename T> void describe(T &value) {
    if constexpr (std::is_same_v<T, bool>) {
      text += "bool";
    } else if constexpr (std::is_same_v<T, std::string>) {
      text += "string";
    } else if constexpr (std::is_integral_v<T>) {
      text += "int" + std::to_string(8 * sizeof(T));
    } else if constexpr (std::is_same_v<T, double>) {
      text += "double";
    } else if constexpr (std::is_enum_v<T>) {
      for (const auto &[key, label] : EnumNames<T>::table)
        text += std::string("|") + label;
    } else if constexpr (IsVector<T>::value) {
      text += "[]";
      typename T::value_type element{};
      describe(element);
    } else if constexpr (std::is_same_v<T, StringMap>) {
      text += "map";
    } else {
      writeObject(value);
    }
  }
};

} // namespace weir::plan

#endif // WEIR_RUNTIME_PLAN_ARCHIVE_H
