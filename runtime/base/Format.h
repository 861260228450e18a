// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_RUNTIME_BASE_FORMAT_H
#define WEIR_RUNTIME_BASE_FORMAT_H

#include <cstdint>
#include <string>

namespace weir {

/// `value` with the fewest digits that read back as the same f64; "nan", "inf"
/// and "-inf" otherwise. Independent of the locale.
std::string formatDouble(double value);
/// As `formatDouble`, with the fewest digits that read back as the same f32.
std::string formatFloat(float value);
/// `value` with `digits` digits after the point.
std::string formatFixed(double value, int digits);
/// Bytes in binary units with three significant digits: "512 B", "1.50 KiB",
/// "12.3 MiB".
std::string formatBytes(uint64_t bytes);
/// A duration: "0.45 s", "12.3 s", "4m05s", "2h03m", "3d04h".
std::string formatDuration(double seconds);
/// A count with decimal suffix and three significant digits: "950", "1.23k",
/// "45.6M", "1.20G".
std::string formatCount(double count);
/// An integer with thousands set off by commas: "1,048,576".
std::string formatGrouped(int64_t value);

} // namespace weir

#endif // WEIR_RUNTIME_BASE_FORMAT_H
