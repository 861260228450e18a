// SPDX-License-Identifier: Apache-2.0
#include "runtime/base/Strings.h"
#include "runtime/base/Utf8.h"

#include <gtest/gtest.h>

namespace weir {
namespace {

using Parts = std::vector<std::string>;

TEST(Strings, SplitAndJoin) {
  EXPECT_EQ(split("", ','), Parts());
  EXPECT_EQ(split("a", ','), Parts({"a"}));
  EXPECT_EQ(split("a,,b,", ','), Parts({"a", "", "b", ""}));
  EXPECT_EQ(join({"a", "b"}, ", "), "a, b");
  EXPECT_EQ(trim(" \ta b\r\n"), "a b");
  EXPECT_EQ(trim(" \n"), "");
}

TEST(Strings, Numbers) {
  EXPECT_EQ(parseInteger("-12"), -12);
  for (const char *bad : {"", "1x", " 1", "+1", "9223372036854775808", "1.0"})
    EXPECT_FALSE(parseInteger(bad)) << bad;
  EXPECT_EQ(parseNumber("3e-5"), 3e-5);
  EXPECT_EQ(parseNumber("-2"), -2.0);
  for (const char *bad : {"", "x", "1,5", "inf", "nan", "1e999", "1 "})
    EXPECT_FALSE(parseNumber(bad)) << bad;
}

TEST(Strings, Globs) {
  EXPECT_TRUE(globMatch("*", ""));
  EXPECT_TRUE(globMatch("h.*.weight", "h.11.attn.weight"));
  EXPECT_FALSE(globMatch("h.*.weight", "h.11.attn.bias"));
  EXPECT_TRUE(globMatch("h.?.ln_*", "h.3.ln_1.weight"));
  EXPECT_FALSE(globMatch("h.?.ln_*", "h.33.ln_1.weight"));
  EXPECT_TRUE(globMatch("*wte*", "transformer.wte.weight"));
  EXPECT_FALSE(globMatch("wte", "wte.weight"));
  EXPECT_TRUE(globMatch("a**b*", "aXYbZ"));
  EXPECT_FALSE(globMatch("", "a"));
  // No backtracking over more than the last star.
  EXPECT_FALSE(globMatch("*a*a*a*a*a*a*a*a*a*b", std::string(5000, 'a')));
}

TEST(Strings, NearestName) {
  std::vector<std::string> names = {"optimizer", "schedule", "steps", "lr"};
  EXPECT_EQ(editDistance("kitten", "sitting"), 3u);
  EXPECT_EQ(nearestName("optimiser", names), "optimizer");
  EXPECT_EQ(nearestName("step", names), "steps");
  EXPECT_FALSE(nearestName("zebra", names));
  EXPECT_EQ(suggestion("shedule", names), "; did you mean 'schedule'?");
  EXPECT_EQ(suggestion("zebra", names), "");
}

TEST(Strings, PrintableNeverHoldsRawControlBytes) {
  EXPECT_EQ(printable("a\x1b[1m\n"), "a\\x1b[1m\\x0a");
  EXPECT_EQ(printable("gr\xC3\xBC\xC3"), "gr\xC3\xBC\\xc3");
  EXPECT_EQ(printable(std::string(300, 'x'), 10), "xxxxxxxxxx...");
}

TEST(Utf8, RefusesOverlongFormsAndSurrogates) {
  EXPECT_EQ(utf8SequenceLength("\xE2\x82\xAC"), 3u);
  EXPECT_EQ(utf8SequenceLength("\xF0\x9F\x98\x80"), 4u);
  for (const char *bad : {"\xC0\x80", "\xE0\x80\x80", "\xED\xA0\x80",
                          "\xF4\x90\x80\x80", "\x80", "\xE2\x82"})
    EXPECT_EQ(utf8SequenceLength(bad), 0u);
}

} // namespace
} // namespace weir
