// SPDX-License-Identifier: Apache-2.0
#include "runtime/train/Sampling.h"
#include "test/unit/runtime/TestSupport.h"

#include <cmath>
#include <limits>

using namespace weir;

namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float nan = std::numeric_limits<float>::quiet_NaN();

TEST(Sampling, ZeroTemperatureTakesTheFirstOfTheLargest) {
  const float logits[] = {1, 3, 3, -2};
  EXPECT_EQ(chooseToken(logits, 4, 0, 1, 0), 1);
}

TEST(Sampling, FrequenciesFollowTheSoftmax) {
  // Probabilities 0.1, 0.2, 0.7 at temperature 1.
  const float logits[] = {std::log(0.1f), std::log(0.2f), std::log(0.7f)};
  int counts[3] = {};
  constexpr int draws = 20000;
  for (int i = 0; i < draws; ++i)
    ++counts[chooseToken(logits, 3, 1, 5, i)];
  // Five standard deviations of a binomial: 5 sqrt(p (1-p) / n) <= 0.0163.
  EXPECT_NEAR(counts[0] / double(draws), 0.1, 0.0163);
  EXPECT_NEAR(counts[1] / double(draws), 0.2, 0.0163);
  EXPECT_NEAR(counts[2] / double(draws), 0.7, 0.0163);
}

TEST(Sampling, DependsOnSeedAndIndexAlone) {
  std::vector<float> logits(50, 0);
  bool seedMatters = false;
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(chooseToken(logits.data(), 50, 1, 3, i),
              chooseToken(logits.data(), 50, 1, 3, i));
    seedMatters |= chooseToken(logits.data(), 50, 1, 3, i) !=
                   chooseToken(logits.data(), 50, 1, 4, i);
  }
  EXPECT_TRUE(seedMatters);
}

TEST(Sampling, WhatIsNotFiniteIsNeverDrawn) {
  const float some[] = {nan, 0, infinity, -infinity};
  for (int i = 0; i < 100; ++i)
    EXPECT_EQ(chooseToken(some, 4, 1, 0, i), 1);
  const float none[] = {nan, infinity};
  EXPECT_EQ(chooseToken(none, 2, 1, 0, 0), -1);
}

TEST(Sampling, EscapesWhatATerminalShouldNotGet) {
  EXPECT_EQ(escapeSample("plain text\n\tmore"), "plain text\n\tmore");
  EXPECT_EQ(escapeSample("\x1b[2J\r\x07"), "\\x1b[2J\\x0d\\x07");
  EXPECT_EQ(escapeSample("caf\xc3\xa9 \xe2\x82\xac"),
            "caf\xc3\xa9 \xe2\x82\xac");
  EXPECT_EQ(escapeSample("\xc3"), "\\xc3");
  EXPECT_EQ(escapeSample("\xff\x80"), "\\xff\\x80");
  EXPECT_EQ(escapeSample("\xc2\x9b"), "\\xc2\\x9b"); // a control of Unicode
  EXPECT_EQ(escapeSample("a\\n"), "a\\\\n");
  EXPECT_EQ(escapeSample(std::string("\0\x7f", 2)), "\\x00\\x7f");
}

TEST(Sampling, Prompts) {
  using Tokens = std::vector<int32_t>;
  auto tokens = promptTokens("Hi", true, 256);
  ASSERT_OK(tokens);
  EXPECT_EQ(*tokens, (Tokens{'H', 'i'}));
  tokens = promptTokens("", true, 256);
  ASSERT_OK(tokens);
  EXPECT_EQ(*tokens, Tokens{'\n'});
  tokens = promptTokens("464, 3290  7", false, 50257);
  ASSERT_OK(tokens);
  EXPECT_EQ(*tokens, (Tokens{464, 3290, 7}));
  tokens = promptTokens("", false, 10);
  ASSERT_OK(tokens);
  EXPECT_EQ(*tokens, Tokens{0});
  EXPECT_FAILS(promptTokens("The", false, 10), StatusCode::InvalidInput,
               "expects ids");
  EXPECT_FAILS(promptTokens("10", false, 10), StatusCode::InvalidInput,
               "vocabulary of 10");
  EXPECT_FAILS(promptTokens("\xff", true, 128), StatusCode::InvalidInput,
               "token 255");
}

} // namespace
