// SPDX-License-Identifier: Apache-2.0
#include "runtime/base/Format.h"

#include <cmath>
#include <cstdlib>
#include <gtest/gtest.h>
#include <limits>

namespace weir {
namespace {

TEST(Format, DoublesRoundTrip) {
  EXPECT_EQ(formatDouble(0.1), "0.1");
  EXPECT_EQ(formatDouble(3e-5), "3e-05");
  EXPECT_EQ(formatDouble(2000), "2000");
  EXPECT_EQ(formatDouble(-0.0), "-0");
  EXPECT_EQ(formatDouble(NAN), "nan");
  EXPECT_EQ(formatDouble(-INFINITY), "-inf");
  EXPECT_EQ(formatFloat(0.1f), "0.1");
  for (double value : {1.0 / 3, 5e-324, 1.7976931348623157e308, 123456.789})
    EXPECT_EQ(std::strtod(formatDouble(value).c_str(), nullptr), value);
}

TEST(Format, Fixed) {
  EXPECT_EQ(formatFixed(1.005, 2), "1.00");
  EXPECT_EQ(formatFixed(-2.5, 1), "-2.5");
  EXPECT_EQ(formatFixed(std::numeric_limits<double>::max(), 60).size(), 370u);
}

TEST(Format, Bytes) {
  EXPECT_EQ(formatBytes(0), "0 B");
  EXPECT_EQ(formatBytes(1023), "1023 B");
  EXPECT_EQ(formatBytes(1024), "1.00 KiB");
  EXPECT_EQ(formatBytes(1536), "1.50 KiB");
  EXPECT_EQ(formatBytes((1 << 20) - 1), "1.00 MiB");
  EXPECT_EQ(formatBytes(12'900'000), "12.3 MiB");
  EXPECT_EQ(formatBytes(UINT64_MAX), "16.0 EiB");
}

TEST(Format, Durations) {
  EXPECT_EQ(formatDuration(0.451), "0.45 s");
  EXPECT_EQ(formatDuration(12.34), "12.3 s");
  EXPECT_EQ(formatDuration(59.96), "1m00s");
  EXPECT_EQ(formatDuration(245), "4m05s");
  EXPECT_EQ(formatDuration(3599.9), "1h00m");
  EXPECT_EQ(formatDuration(7380), "2h03m");
  EXPECT_EQ(formatDuration(273600), "3d04h");
  EXPECT_EQ(formatDuration(-12.34), "-12.3 s");
  EXPECT_EQ(formatDuration(NAN), "-");
}

TEST(Format, Counts) {
  EXPECT_EQ(formatCount(0), "0");
  EXPECT_EQ(formatCount(950), "950");
  EXPECT_EQ(formatCount(1234), "1.23k");
  EXPECT_EQ(formatCount(45.6e6), "45.6M");
  EXPECT_EQ(formatCount(999'999), "1.00M");
  EXPECT_EQ(formatGrouped(1048576), "1,048,576");
  EXPECT_EQ(formatGrouped(-1000), "-1,000");
  EXPECT_EQ(formatGrouped(999), "999");
}

} // namespace
} // namespace weir
