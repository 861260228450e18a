// SPDX-License-Identifier: Apache-2.0
// Derived signatures on trial: published tables say what must and must not be
// derived, and execution says of every assignment whether it holds.
#include "test/unit/signatures/Cases.h"

#include <fstream>
#include <gtest/gtest.h>
#include <sstream>

using namespace mlir;
using namespace weir;
using namespace weir::compiler;
using namespace weir::compiler::test;

namespace {

std::string joined(const std::set<std::string> &texts) {
  std::string out;
  for (const std::string &text : texts)
    out += " [" + text + "]";
  return out;
}

// Each row of the published table is derived completely: what is sound, what
// is sound here for a reason that stands beside it, and nothing else.
TEST(OracleRows, AreDerivedCompletely) {
  for (const Row &row : oracleRows()) {
    std::string name =
        "row " + std::to_string(row.number) + ", " + row.function.name;
    Function function = parse(row.function);
    ASSERT_TRUE(function.block);
    std::set<std::string> derived, expected;
    std::set<std::string> all = textsOf(function);
    for (const std::string &text : all)
      if (text.find("P(") == std::string::npos)
        derived.insert(text);
    OpSignature broadcast;
    broadcast.operands.resize(row.function.operands.size());
    broadcast.results.resize(row.function.results.size());
    expected.insert(shortText(broadcast));
    expected.insert(row.sound.begin(), row.sound.end());
    expected.insert(row.more.begin(), row.more.end());
    EXPECT_EQ(joined(derived), joined(expected)) << name;
    for (const std::string &text : row.rejected)
      EXPECT_FALSE(all.count(text)) << name << " has unsound " << text;
  }
}

/// What the proof says of one signature that somebody declares.
ProofReport judge(const Function &function, const Case &c,
                  const std::string &signature, int64_t parts,
                  bool special = false) {
  ProofOptions options;
  options.special = special;
  options.parts = {parts};
  options.moreParts.clear();
  options.integersTo = c.integers;
  options.findMissing = false;
  return proveSignatures(*function.block, function.results,
                         signatureOf(signature), options);
}

// Rules that real frameworks declare and that give wrong numbers: executing
// them shows it, and what the table calls sound holds, each by itself.
TEST(OracleRows, AreJudgedByExecution) {
  for (const Row &row : oracleRows()) {
    Function function = parse(row.function);
    ASSERT_TRUE(function.block);
    for (const std::string &text : row.sound)
      EXPECT_TRUE(judge(function, row.function, text, 2).incorrect.empty())
          << row.function.name << " " << text;
    for (const std::string &text : row.rejected)
      EXPECT_EQ(judge(function, row.function, text, 2, true).incorrect.size(),
                1u)
          << row.function.name << " " << text;
  }
}

// Facts of the text beside the table: maxima and minima flow through what is
// monotone, and a split reduction makes them.
TEST(OracleRows, ExtremaFlowThroughMonotoneMaps) {
  auto derives = [](const std::string &name, const std::string &text) {
    for (const Case &c : allCases())
      if (c.name == name)
        return textsOf(parse(c)).count(text) == 1;
    ADD_FAILURE() << "no case " << name;
    return false;
  };
  EXPECT_TRUE(derives("reduce_max", "S0->P(max)"));
  EXPECT_TRUE(derives("reduce_max", "P(max)->P(max)"));
  EXPECT_FALSE(derives("reduce_max", "P(min)->P(min)"));
  EXPECT_TRUE(derives("reduce_min", "S1->P(min)"));
  EXPECT_TRUE(derives("maximum", "P(max),P(max)->P(max)"));
  EXPECT_TRUE(derives("maximum", "P(max),B->P(max)"));
  EXPECT_TRUE(derives("relu", "P(max)->P(max)"));
  EXPECT_TRUE(derives("exp", "P(max)->P(max)"));
  EXPECT_TRUE(derives("neg", "P(max)->P(min)"));
  EXPECT_FALSE(derives("neg", "P(max)->P(max)"));
  EXPECT_TRUE(derives("slice", "P(max)->P(max)"));
  EXPECT_TRUE(derives("sum plus partial", "S0,P->P"));
}

/// Known gaps: `| case | signature | coordinates | reason |` in the table of
/// docs/design/signatures.md.
const std::map<std::string, std::set<std::string>> &knownGaps() {
  static const std::map<std::string, std::set<std::string>> gaps = [] {
    std::map<std::string, std::set<std::string>> out;
    std::ifstream file(WEIR_SIGNATURES_DOC);
    EXPECT_TRUE(file) << WEIR_SIGNATURES_DOC;
    std::string line;
    bool within = false;
    while (std::getline(file, line)) {
      if (line.find("| case | signature |") == 0) {
        within = true;
        continue;
      }
      within &= !line.empty() && line[0] == '|';
      if (!within || line.find("|---") == 0)
        continue;
      std::istringstream cells(line.substr(1));
      std::vector<std::string> row;
      for (std::string cell; std::getline(cells, cell, '|');) {
        size_t begin = cell.find_first_not_of(" `"),
               end = cell.find_last_not_of(" `");
        row.push_back(begin == std::string::npos
                          ? ""
                          : cell.substr(begin, end - begin + 1));
      }
      EXPECT_EQ(row.size(), 4u) << line;
      if (row.size() == 4)
        out[row[0]].insert(row[1] + " on " + row[2]);
    }
    return out;
  }();
  return gaps;
}

class Proof : public testing::TestWithParam<Case> {};

// All assignments of B, S(i) and P to the case are executed on two and three
// coordinates, what is derived on five too: none that is derived is wrong, and
// those that hold and are not derived are the known gaps.
TEST_P(Proof, HoldsBothWays) {
  const Case &c = GetParam();
  Function function = parse(c);
  ASSERT_TRUE(function.block);
  ProofOptions options;
  options.integersTo = c.integers;
  options.units = c.units;
  ProofReport report = proveSignatures(*function.block, function.results,
                                       function.derive(), options);
  EXPECT_EQ(report.error, "");
  EXPECT_GT(report.derived, 0);
  EXPECT_GT(report.assignments, 0);
  for (const ProofFinding &finding : report.incorrect)
    ADD_FAILURE() << "derived, but wrong on " << finding.parts << ": "
                  << shortText(finding.signature) << " " << finding.reason;
  std::map<std::string, std::string> missing;
  for (const ProofFinding &finding : report.missing) {
    std::string &parts = missing[shortText(finding.signature)];
    parts += (parts.empty() ? "" : ", ") + std::to_string(finding.parts);
  }
  std::set<std::string> found;
  for (const auto &[text, parts] : missing)
    found.insert(text + " on " + parts);
  auto known = knownGaps().find(c.name);
  EXPECT_EQ(joined(found),
            joined(known == knownGaps().end() ? std::set<std::string>()
                                              : known->second));
  RecordProperty("assignments", static_cast<int>(report.assignments));
  RecordProperty("derived", static_cast<int>(report.derived));
  RecordProperty("sampled", report.sampled);
}

INSTANTIATE_TEST_SUITE_P(Cases, Proof, testing::ValuesIn(allCases()),
                         [](const testing::TestParamInfo<Case> &info) {
                           std::string name;
                           for (char c : info.param.name)
                             name += isalnum(c) ? c : '_';
                           return std::to_string(info.index) + "_" + name;
                         });

// Nothing that computes escapes the proof.
TEST(Proof, HasACaseOfEveryOp) {
  std::set<std::string> covered;
  for (const Case &c : allCases()) {
    Function function = parse(c);
    ASSERT_TRUE(function.block);
    for (Operation &op : *function.block)
      covered.insert(op.getName().getStringRef().str());
  }
  for (RegisteredOperationName name : context().getRegisteredOperations())
    if (name.hasInterface<graph::ExpandOpInterface>())
      EXPECT_TRUE(covered.count(name.getStringRef().str()))
          << name.getStringRef().str() << " has no case";
  std::set<std::string> names;
  for (const Case &c : allCases())
    EXPECT_TRUE(names.insert(c.name).second) << "two cases " << c.name;
  for (const auto &[name, gaps] : knownGaps())
    EXPECT_TRUE(names.count(name)) << "gap of unknown case " << name;
}

} // namespace
