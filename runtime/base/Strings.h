// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_RUNTIME_BASE_STRINGS_H
#define WEIR_RUNTIME_BASE_STRINGS_H

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace weir {

/// `text` without leading and trailing blanks, tabs and line ends.
std::string_view trim(std::string_view text);

/// The parts of `text` between `separator`s: one part more than there are
/// separators; an empty text has no parts.
std::vector<std::string> split(std::string_view text, char separator);

/// `parts` with `separator` between each two.
std::string join(const std::vector<std::string> &parts,
                 std::string_view separator);

bool startsWith(std::string_view text, std::string_view prefix);
bool endsWith(std::string_view text, std::string_view suffix);

/// All of `text` as a decimal integer or nothing (no blanks, no overflow).
std::optional<int64_t> parseInteger(std::string_view text);
/// All of `text` as a decimal, finite floating-point number or nothing.
/// Independent of the locale.
std::optional<double> parseNumber(std::string_view text);

/// Whether the whole of `text` matches `pattern`, in which `*` stands for any
/// run of characters (dots included), `?` for any one, and everything else for
/// itself. Linear in text times pattern.
bool globMatch(std::string_view pattern, std::string_view text);

/// Levenshtein distance of `a` and `b` in bytes.
size_t editDistance(std::string_view a, std::string_view b);

/// The candidate nearest to `name`, or nothing where none is near enough to be
/// a likely slip (a third of the longer name's length, at least one).
std::optional<std::string>
nearestName(std::string_view name, const std::vector<std::string> &candidates);

/// "; did you mean 'x'?" for the nearest candidate, or an empty text.
std::string suggestion(std::string_view name,
                       const std::vector<std::string> &candidates);

/// `text` as it may appear in a message: control characters and bytes that are
/// not valid UTF-8 as \xNN, at most `limit` bytes followed by "...".
std::string printable(std::string_view text, size_t limit = 200);

} // namespace weir

#endif // WEIR_RUNTIME_BASE_STRINGS_H
