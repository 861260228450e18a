// SPDX-License-Identifier: Apache-2.0
#include "runtime/base/Format.h"

#include <charconv>
#include <cmath>

namespace weir {

template <typename T> static std::string shortest(T value) {
  if (std::isnan(value))
    return "nan";
  if (std::isinf(value))
    return value > 0 ? "inf" : "-inf";
  char buffer[64];
  auto result = std::to_chars(buffer, buffer + sizeof(buffer), value);
  return std::string(buffer, result.ptr);
}

std::string formatDouble(double value) { return shortest(value); }
std::string formatFloat(float value) { return shortest(value); }

std::string formatFixed(double value, int digits) {
  if (!std::isfinite(value))
    return shortest(value);
  // The longest f64 has 309 digits before the point.
  char buffer[400];
  if (digits < 0)
    digits = 0;
  if (digits > 60)
    digits = 60;
  auto result = std::to_chars(buffer, buffer + sizeof(buffer), value,
                              std::chars_format::fixed, digits);
  return std::string(buffer, result.ptr);
}

/// Three significant digits of a value below 1000 (or 1024).
static std::string significant(double value) {
  if (value < 9.995)
    return formatFixed(value, 2);
  if (value < 99.95)
    return formatFixed(value, 1);
  return formatFixed(value, 0);
}

std::string formatBytes(uint64_t bytes) {
  static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  if (bytes < 1024)
    return std::to_string(bytes) + " B";
  double value = static_cast<double>(bytes) / 1024;
  size_t unit = 0;
  // 1023.5 would print as 1024.
  while (value >= 1023.5 && unit + 1 < std::size(units)) {
    value /= 1024;
    ++unit;
  }
  return significant(value) + " " + units[unit];
}

std::string formatDuration(double seconds) {
  if (!std::isfinite(seconds))
    return "-";
  std::string sign;
  if (seconds < 0) {
    sign = "-";
    seconds = -seconds;
  }
  if (seconds < 9.995)
    return sign + formatFixed(seconds, 2) + " s";
  if (seconds < 59.95)
    return sign + formatFixed(seconds, 1) + " s";
  if (seconds > 1e15)
    return sign + shortest(seconds) + " s";
  auto two = [](int64_t value) {
    return (value < 10 ? "0" : "") + std::to_string(value);
  };
  int64_t whole = static_cast<int64_t>(std::llround(seconds));
  if (whole < 3600)
    return sign + std::to_string(whole / 60) + "m" + two(whole % 60) + "s";
  int64_t minutes = (whole + 30) / 60;
  if (minutes < 24 * 60)
    return sign + std::to_string(minutes / 60) + "h" + two(minutes % 60) + "m";
  int64_t hours = (minutes + 30) / 60;
  return sign + std::to_string(hours / 24) + "d" + two(hours % 24) + "h";
}

std::string formatCount(double count) {
  if (!std::isfinite(count))
    return shortest(count);
  if (std::fabs(count) < 1000 && count == std::floor(count))
    return formatFixed(count, 0);
  std::string sign = count < 0 ? "-" : "";
  double value = std::fabs(count);
  static const char *const units[] = {"", "k", "M", "G", "T", "P", "E"};
  size_t unit = 0;
  while (value >= 999.5 && unit + 1 < std::size(units)) {
    value /= 1000;
    ++unit;
  }
  return sign + significant(value) + units[unit];
}

std::string formatGrouped(int64_t value) {
  std::string digits = std::to_string(value);
  size_t first = digits[0] == '-' ? 1 : 0;
  for (size_t i = digits.size(); i > first + 3;) {
    i -= 3;
    digits.insert(i, ",");
  }
  return digits;
}

} // namespace weir
