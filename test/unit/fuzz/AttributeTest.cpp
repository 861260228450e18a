// SPDX-License-Identifier: Apache-2.0
// Mutated texts of attributes and types: parsed or refused, and what was parsed
// prints as itself.
#include "compiler/API/InitDialects.h"
#include "dialects/Dist/Dist.h"
#include "test/unit/fuzz/Fuzzing.h"

#include "mlir/AsmParser/AsmParser.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/MLIRContext.h"
#include "gtest/gtest.h"

using namespace mlir;

namespace weir::fuzz {
namespace {

template <typename T> std::string printed(T value) {
  std::string text;
  llvm::raw_string_ostream os(text);
  value.print(os);
  return text;
}

/// A layout as users write it.
std::string userText(dist::LayoutAttr layout) {
  std::string text;
  llvm::raw_string_ostream os(text);
  dist::printLayoutEntries(os, layout);
  return text;
}

class Attributes : public testing::Test {
protected:
  Attributes() {
    DialectRegistry registry;
    compiler::registerAllWeirDialects(registry);
    context.appendDialectRegistry(registry);
    context.loadAllAvailableDialects();
    context.getDiagEngine().registerHandler([this](Diagnostic &) {
      ++diagnostics;
      return success();
    });
  }

  /// Parsed, or refused with a diagnostic; what parsed is a fixed point of
  /// printing and parsing.
  template <typename Parse, typename Print>
  void check(const std::vector<std::string> &texts, uint32_t seed,
             const Parse &parse, const Print &print) {
    std::vector<TokenMutator> mutators(texts.begin(), texts.end());
    int count = 2000;
    Counts counts = fuzz(
        count,
        [&](int i) { return mutators[i % mutators.size()].mutation(seed + i); },
        [&](const std::string &text) {
          Verdict verdict;
          diagnostics = 0;
          auto value = parse(text);
          verdict.accepted = bool(value);
          if (!value) {
            if (diagnostics == 0)
              verdict.wrong = "refused without a diagnostic";
            return verdict;
          }
          std::string once = print(value);
          auto again = parse(once);
          if (again != value)
            verdict.wrong = "prints as " + once + ", which reads as " +
                            (again ? print(again) : "nothing");
          return verdict;
        });
    EXPECT_GT(counts.accepted, 0);
    EXPECT_GT(counts.refused, 0);
  }

  MLIRContext context{MLIRContext::Threading::DISABLED};
  int diagnostics = 0;
};

TEST_F(Attributes, OfAllDialects) {
  check(
      {"#dist.mesh<dp=2, tp=4, mb=3 : time>", "#dist.mesh<\"a b\"=1>",
       "#dist.layout<[S(0), B, P(sum)]>",
       "#dist.layout<[P(max), S(1), P(min)]>",
       "#dist.shard<[25:1, 64, 10:0:2]>",
       "#dist.signature<([S(0), B], [B, S(1)]) -> ([S(0), S(1)])>"},
      1000,
      [&](const std::string &text) { return parseAttribute(text, &context); },
      printed<Attribute>);
}

TEST_F(Attributes, TypesWithEncodings) {
  check(
      {"tensor<2x7xf32, #dist.layout<[S(0), B]>>",
       "tensor<13x64xf32, #dist.shard<[25:1, 64]>>", "tensor<6x8xf32>"},
      5000, [&](const std::string &text) { return parseType(text, &context); },
      printed<Type>);
}

/// The texts of layouts in job files and on the command line.
TEST_F(Attributes, LayoutsOfUsers) {
  check(
      {"[S(0), B, P(sum)]", "[B]", "[]", "[P(max), S(3), P(min)]"}, 9000,
      [&](const std::string &text) {
        return dist::parseLayout(text, &context, [&] {
          return emitError(UnknownLoc::get(&context));
        });
      },
      userText);
}

} // namespace
} // namespace weir::fuzz
