// SPDX-License-Identifier: Apache-2.0
#include "test/unit/signatures/Cases.h"

#include "compiler/API/InitDialects.h"

#include "mlir/Parser/Parser.h"

#include <gtest/gtest.h>

using namespace mlir;
using namespace weir;
using namespace weir::compiler;
using namespace weir::compiler::test;

MLIRContext &weir::compiler::test::context() {
  static MLIRContext *instance = [] {
    DialectRegistry registry;
    registerAllWeirDialects(registry);
    auto *made = new MLIRContext(registry);
    made->loadAllAvailableDialects();
    return made;
  }();
  return *instance;
}

static std::string replaceTypes(std::string text, char letter,
                                const std::vector<std::string> &types) {
  for (size_t i = types.size(); i-- > 0;) { // A12 before A1
    std::string name = letter + std::to_string(i);
    for (size_t at = text.find(name); at != std::string::npos;
         at = text.find(name, at + 1))
      text.replace(at, name.size(), "tensor<" + types[i] + ">");
  }
  return text;
}

Function weir::compiler::test::parse(const Case &c,
                                     const std::string &moduleAttributes) {
  std::string text = "module " + moduleAttributes + " { graph.entry @f(";
  for (size_t i = 0; i < c.operands.size(); ++i)
    text += (i ? ", %a" : "%a") + std::to_string(i) + ": tensor<" +
            c.operands[i] + "> {graph.input = \"a" + std::to_string(i) + "\"}";
  text += ") -> (";
  std::string types, values;
  for (size_t i = 0; i < c.results.size(); ++i) {
    std::string comma = i ? ", " : "";
    text += comma + "tensor<" + c.results[i] + "> {graph.output = \"r" +
            std::to_string(i) + "\"}";
    types += comma + "tensor<" + c.results[i] + ">";
    values += comma + "%r" + std::to_string(i);
  }
  text += ") {\n" +
          replaceTypes(replaceTypes(c.body, 'A', c.operands), 'R', c.results) +
          "\ngraph.return " + values + " : " + types + "\n} }";
  Function function;
  function.module = parseSourceString<ModuleOp>(text, &context());
  EXPECT_TRUE(function.module) << c.name << ": " << text;
  if (!function.module)
    return function;
  auto entry = *function.module->getOps<graph::EntryOp>().begin();
  function.block = &entry.getBody().front();
  Operation *terminator = function.block->getTerminator();
  function.results.assign(terminator->operand_begin(),
                          terminator->operand_end());
  return function;
}

std::vector<OpSignature> Function::derive() const {
  OpRules rules = deriveBlockRules(*block, results);
  return {rules.signatures.begin(), rules.signatures.end()};
}

OpSignature weir::compiler::test::signatureOf(const std::string &text) {
  OpSignature signature;
  auto parseList = [](StringRef list) {
    SmallVector<dist::AxisLayout> layouts;
    SmallVector<StringRef> entries;
    list.split(entries, ',', -1, /*KeepEmpty=*/false);
    for (StringRef entry : entries) {
      int64_t dim = 0, unit = 1;
      if (entry.consume_front("S")) {
        EXPECT_FALSE(entry.consumeInteger(10, dim));
        if (entry.consume_front("/"))
          EXPECT_FALSE(entry.consumeInteger(10, unit));
        layouts.push_back(dist::AxisLayout::split(dim, unit));
      } else if (entry == "B") {
        layouts.push_back(dist::AxisLayout::broadcast());
      } else {
        layouts.push_back(dist::AxisLayout::partial(
            entry == "P(max)"   ? dist::Reduction::Max
            : entry == "P(min)" ? dist::Reduction::Min
                                : dist::Reduction::Sum));
      }
    }
    return layouts;
  };
  auto [operands, results] = StringRef(text).split("->");
  signature.operands = parseList(operands);
  signature.results = parseList(results);
  EXPECT_EQ(shortText(signature), text);
  return signature;
}

std::set<std::string> weir::compiler::test::textsOf(const Function &function,
                                                    int64_t parts) {
  std::set<std::string> texts;
  for (const OpSignature &signature : function.derive())
    if (signature.allows(parts))
      texts.insert(shortText(signature));
  return texts;
}

std::vector<Case> weir::compiler::test::allCases() {
  std::vector<Case> all;
  for (const Row &row : oracleRows())
    all.push_back(row.function);
  all.insert(all.end(), opCases().begin(), opCases().end());
  return all;
}
