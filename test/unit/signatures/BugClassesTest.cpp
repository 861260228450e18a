// SPDX-License-Identifier: Apache-2.0
// Known classes of bugs in shipped systems, each injected on purpose: the proof
// or the verifier of decided layouts must report it.
#include "compiler/Interpreter/Interpreter.h"
#include "compiler/Sharding/Passes.h"
#include "test/unit/signatures/Cases.h"

#include "mlir/AsmParser/AsmParser.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"

#include <cmath>
#include <gtest/gtest.h>

using namespace mlir;
using namespace weir;
using namespace weir::compiler;
using namespace weir::compiler::test;

namespace {

/// What the verifier of layouts says of a module: the messages of its errors.
std::vector<std::string> verifyLayouts(const std::string &text) {
  std::vector<std::string> errors;
  ScopedDiagnosticHandler collect(&context(), [&](Diagnostic &diagnostic) {
    if (diagnostic.getSeverity() == DiagnosticSeverity::Error)
      errors.push_back(diagnostic.str());
    return success();
  });
  auto module = parseSourceString<ModuleOp>(text, &context());
  if (!module) {
    errors.push_back("does not parse");
    return errors;
  }
  PassManager manager(&context());
  manager.addPass(createVerifyLayoutsPass());
  if (succeeded(manager.run(*module)))
    EXPECT_TRUE(errors.empty());
  return errors;
}

/// One op on a mesh with a signature that somebody decided: operands and
/// results of the entry are whole, as the verifier wants at the boundary.
std::vector<std::string> verifyDecision(const Case &c, const std::string &mesh,
                                        const std::string &operands,
                                        const std::string &results) {
  int64_t axes = std::count(mesh.begin(), mesh.end(), '=');
  std::string whole = "#dist.layout<[";
  for (int64_t i = 0; i < axes; ++i)
    whole += i ? ", B" : "B";
  whole += "]>";
  Function function = parse(c);
  Operation *entry = function.block->getParentOp();
  function.module.get()->setAttr(
      dist::DistDialect::getMeshAttrName(),
      parseAttribute("#dist.mesh<" + mesh + ">", &context()));
  Attribute layout = parseAttribute(whole, &context());
  auto typed = cast<graph::EntryOp>(entry);
  for (unsigned i = 0; i < c.operands.size(); ++i)
    typed.setArgAttr(i, dist::DistDialect::getLayoutAttrName(), layout);
  for (unsigned i = 0; i < c.results.size(); ++i)
    typed.setResultAttr(i, dist::DistDialect::getLayoutAttrName(), layout);
  function.op()->setAttr(
      dist::DistDialect::getSignatureAttrName(),
      parseAttribute("#dist.signature<(" + operands + ") -> (" + results + ")>",
                     &context()));
  std::string text;
  llvm::raw_string_ostream os(text);
  function.module->print(os);
  return verifyLayouts(os.str());
}

const Case &caseOf(const std::string &name) {
  static const std::vector<Case> cases = allCases();
  for (const Case &c : cases)
    if (c.name == name)
      return c;
  ADD_FAILURE() << "no case " << name;
  return cases[0];
}

/// Whether the proof calls a declared signature incorrect on so many
/// coordinates.
bool proofReports(const Case &c, const std::string &signature, int64_t parts) {
  Function function = parse(c);
  ProofOptions options;
  options.parts = {parts};
  options.moreParts.clear();
  options.findMissing = false;
  options.integersTo = c.integers;
  ProofReport report = proveSignatures(*function.block, function.results,
                                       signatureOf(signature), options);
  return report.incorrect.size() == 1 && !report.incorrect[0].reason.empty();
}

// The sound decisions beside the injected ones pass: the verifier below does
// not refuse just anything.
TEST(BugClasses, SoundDecisionsPass) {
  using Errors = std::vector<std::string>;
  EXPECT_EQ(verifyDecision(caseOf("matmul"), "x=2, y=2",
                           "[S(1), S(1)], [S(0), S(0)]", "[P(sum), P(sum)]"),
            Errors());
  EXPECT_EQ(verifyDecision(caseOf("view [12,8] to (16,6)"), "x=2", "[S(0)]",
                           "[S(0)]"),
            Errors());
  EXPECT_EQ(verifyDecision(caseOf("view [12,8] to (16,6)"), "x=3",
                           "[S(0, unit=3)]", "[S(0, unit=4)]"),
            Errors());
  EXPECT_EQ(verifyDecision(caseOf("top_k"), "x=2", "[S(0)]", "[S(0)], [S(0)]"),
            Errors());
}

// The contracting dimension in another order on the two operands: the pieces of
// the sum are products of numbers that do not belong together. Layouts always
// nest in mesh order, and types that do not are refused or give other numbers.
TEST(BugClasses, ContractingDimensionInAnotherOrder) {
  // Decided: one axis splits what the other operand does not.
  EXPECT_FALSE(verifyDecision(caseOf("matmul"), "x=2, y=2",
                              "[S(1), B], [B, S(0)]", "[P(sum), P(sum)]")
                   .empty());
  // Executed: rows of `b` by y, then x; columns of `a` by x, then y.
  auto run = [&](const std::string &order) -> FailureOr<std::vector<Tensor>> {
    std::string text = R"mlir(
      module attributes {dist.mesh = #dist.mesh<x=2, y=2>} {
        graph.entry @f(%a: tensor<2x8xf32> {graph.input = "a"},
                       %b: tensor<8x2xf32> {graph.input = "b"})
            -> (tensor<2x2xf32> {graph.output = "c"}) {
          %0 = dist.local_slice %a {axes = array<i64: 0, 1>, dim = 1}
              : (tensor<2x8xf32>) -> tensor<2x2xf32, #dist.shard<[2, 8:0:1]>>
          %1 = dist.local_slice %b {axes = array<i64: ORDER>, dim = 0}
              : (tensor<8x2xf32>) -> tensor<2x2xf32, #dist.shard<[8:SHARD, 2]>>
          %2 = graph.matmul %0, %1 batch [] x [] contract [1] x [0]
              : (tensor<2x2xf32, #dist.shard<[2, 8:0:1]>>,
                 tensor<2x2xf32, #dist.shard<[8:SHARD, 2]>>) -> tensor<2x2xf32>
          %3 = dist.all_reduce %2 {axes = array<i64: 0, 1>, reduction = #dist<reduction sum>}
              : (tensor<2x2xf32>) -> tensor<2x2xf32>
          graph.return %3 : tensor<2x2xf32>
        }
      })mlir";
    auto replace = [&](const std::string &from, const std::string &to) {
      for (size_t at = text.find(from); at != std::string::npos;
           at = text.find(from))
        text.replace(at, from.size(), to);
    };
    replace("ORDER", order == "xy" ? "0, 1" : "1, 0");
    replace("SHARD", order == "xy" ? "0:1" : "1:0");
    ScopedDiagnosticHandler quiet(&context(),
                                  [](Diagnostic &) { return success(); });
    auto module = parseSourceString<ModuleOp>(text, &context());
    if (!module)
      return failure();
    Tensor a = Tensor::zeros(ElementKind::Float, {2, 8}),
           b = Tensor::zeros(ElementKind::Float, {8, 2});
    for (int64_t i = 0; i < 16; ++i) {
      a.floats[i] = double(i * i % 7) - 3;
      b.floats[i] = double(i * 5 % 11) - 4;
    }
    return Interpreter(*module).run("f", {a, b});
  };
  auto same = run("xy"), other = run("yx");
  ASSERT_TRUE(succeeded(same));
  EXPECT_TRUE(failed(other) || (*other)[0].floats != (*same)[0].floats);
}

// `view [12,8] with S(1) -> (16,6)`: columns of one shape are no columns of
// another.
TEST(BugClasses, ViewOfASplitInnerDimension) {
  const Case &c = caseOf("view [12,8] to (16,6)");
  for (const char *result : {"S0", "S1"}) {
    EXPECT_TRUE(proofReports(c, std::string("S1->") + result, 2));
    EXPECT_FALSE(textsOf(parse(c)).count(std::string("S1->") + result));
  }
  EXPECT_FALSE(verifyDecision(c, "x=2", "[S(1)]", "[S(1)]").empty());
  // Plain units where the axis does not divide: 12 rows over 5 are not 16.
  EXPECT_TRUE(proofReports(c, "S0->S0", 5));
  EXPECT_FALSE(verifyDecision(c, "x=5", "[S(0)]", "[S(0)]").empty());
}

// Maximum with indices on a split axis: each coordinate knows its own winners
// and their own numbers only.
TEST(BugClasses, MaximumWithIndicesOnASplitAxis) {
  const Case &c = caseOf("top_k");
  std::set<std::string> derived = textsOf(parse(c));
  for (const char *text : {"S1->B,B", "S1->S1,S1", "S1->P(max),P(max)",
                           "S1->P(max),P", "P(max)->P(max),B"}) {
    EXPECT_TRUE(proofReports(c, text, 2)) << text;
    EXPECT_FALSE(derived.count(text)) << text;
  }
  EXPECT_FALSE(
      verifyDecision(c, "x=2", "[S(1)]", "[P(max)], [P(max)]").empty());
  EXPECT_TRUE(proofReports(caseOf("sort"), "S1->S1,S1", 3));
}

// A value that is partial on two axes, used in a mixed layout without the
// all-reduce: the types say so.
TEST(BugClasses, MissingAllReduceOfATwoAxisPartial) {
  auto module = [](const std::string &reshard) {
    return R"mlir(
      module attributes {dist.mesh = #dist.mesh<x=2, y=2>} {
        graph.entry @f(%a: tensor<4x8xf32, #dist.layout<[B, B]>> {graph.input = "a", dist.layout = #dist.layout<[B, B]>})
            -> (tensor<4xf32, #dist.layout<[B, B]>> {graph.output = "r", dist.layout = #dist.layout<[B, B]>}) {
          %0 = dist.reshard %a [B, B] to [S(1), S(1)] : (tensor<4x8xf32, #dist.layout<[B, B]>>) -> tensor<4x8xf32, #dist.layout<[S(1), S(1)]>>
          %1 = graph.reduce sum %0 [1] {dist.signature = #dist.signature<([S(1), S(1)]) -> ([P(sum), P(sum)])>} : (tensor<4x8xf32, #dist.layout<[S(1), S(1)]>>) -> tensor<4xf32, #dist.layout<[P(sum), P(sum)]>>
          )mlir" +
           reshard + R"mlir(
          %3 = graph.exp %2 {dist.signature = #dist.signature<([S(0), B]) -> ([S(0), B])>} : (TYPE) -> tensor<4xf32, #dist.layout<[S(0), B]>>
          %4 = dist.reshard %3 [S(0), B] to [B, B] : (tensor<4xf32, #dist.layout<[S(0), B]>>) -> tensor<4xf32, #dist.layout<[B, B]>>
          graph.return %4 : tensor<4xf32, #dist.layout<[B, B]>>
        }
      })mlir";
  };
  auto withType = [](std::string text, const std::string &type) {
    text.replace(text.find("TYPE"), 4, type);
    return text;
  };
  const std::string mixed = "tensor<4xf32, #dist.layout<[S(0), B]>>";
  const std::string sums = "tensor<4xf32, #dist.layout<[P(sum), P(sum)]>>";
  const std::string half = "tensor<4xf32, #dist.layout<[S(0), P(sum)]>>";
  EXPECT_EQ(
      verifyLayouts(withType(
          module("%2 = dist.reshard %1 [P(sum), P(sum)] to [S(0), B] : (" +
                 sums + ") -> " + mixed),
          mixed)),
      std::vector<std::string>());
  // The reduce-scatter over x happens, the all-reduce over y does not.
  EXPECT_FALSE(
      verifyLayouts(withType(module("%2 = dist.reshard %1 [P(sum), P(sum)] to "
                                    "[S(0), P(sum)] : (" +
                                    sums + ") -> " + half),
                             half))
          .empty());
  // Executed on local types: what the ranks hold without it is no result.
  auto run = [](const std::string &last) -> FailureOr<std::vector<Tensor>> {
    std::string text = R"mlir(
      module attributes {dist.mesh = #dist.mesh<x=2, y=2>} {
        graph.entry @f(%a: tensor<4x8xf32> {graph.input = "a"})
            -> (tensor<4xf32> {graph.output = "r"}) {
          %0 = dist.local_slice %a {axes = array<i64: 0, 1>, dim = 1}
              : (tensor<4x8xf32>) -> tensor<4x2xf32, #dist.shard<[4, 8:0:1]>>
          %1 = graph.reduce sum %0 [1] : (tensor<4x2xf32, #dist.shard<[4, 8:0:1]>>) -> tensor<4xf32>
          %2 = dist.reduce_scatter %1 {axes = array<i64: 0>, dim = 0, reduction = #dist<reduction sum>}
              : (tensor<4xf32>) -> tensor<2xf32, #dist.shard<[4:0]>>
          )mlir" + last +
                       R"mlir(
          %4 = dist.all_gather %3 {axes = array<i64: 0>, dim = 0}
              : (tensor<2xf32, #dist.shard<[4:0]>>) -> tensor<4xf32>
          graph.return %4 : tensor<4xf32>
        }
      })mlir";
    auto parsed = parseSourceString<ModuleOp>(text, &context());
    if (!parsed)
      return failure();
    Tensor a = Tensor::zeros(ElementKind::Float, {4, 8});
    for (int64_t i = 0; i < 32; ++i)
      a.floats[i] = double(i * i % 7) - 2;
    ScopedDiagnosticHandler quiet(&context(),
                                  [](Diagnostic &) { return success(); });
    return Interpreter(*parsed).run("f", {a});
  };
  std::vector<double> expected;
  for (int64_t row = 0; row < 4; ++row) {
    double sum = 0;
    for (int64_t i = row * 8; i < row * 8 + 8; ++i)
      sum += double(i * i % 7) - 2;
    expected.push_back(sum);
  }
  auto good =
      run("%3 = dist.all_reduce %2 {axes = array<i64: 1>, reduction = "
          "#dist<reduction sum>} : (tensor<2xf32, #dist.shard<[4:0]>>) -> "
          "tensor<2xf32, #dist.shard<[4:0]>>");
  ASSERT_TRUE(succeeded(good));
  EXPECT_EQ((*good)[0].floats, expected);
  auto bad = run("%3 = graph.neg %2 : tensor<2xf32, #dist.shard<[4:0]>>");
  EXPECT_TRUE(failed(bad) || (*bad)[0].floats != expected);
}

// (4,3)->(6,2) with [S0,S0]->[S0,S0] on 2x2: each axis alone looks fine.
TEST(BugClasses, ReshapeThatHoldsOnEachAxisAlone) {
  Case c = {"reshape",
            {"4x3xf32"},
            "%r0 = graph.reshape %a0 : (A0) -> R0",
            {"6x2xf32"}};
  EXPECT_FALSE(
      verifyDecision(c, "x=2, y=2", "[S(0), S(0)]", "[S(0), S(0)]").empty());
  EXPECT_TRUE(verifyDecision(c, "x=2, y=2", "[S(0), B]", "[S(0), B]").empty());
}

// Terms through what is not linear, and sums of random numbers.
TEST(BugClasses, TermsThroughWhatIsNotLinear) {
  EXPECT_TRUE(proofReports(caseOf("mul"), "P,P->P", 2));
  EXPECT_TRUE(proofReports(caseOf("relu"), "P->P", 2));
  EXPECT_TRUE(proofReports(caseOf("cast f32 to i32"), "P->P", 2));
  EXPECT_TRUE(proofReports(caseOf("scalar_add"), "P->P", 2));
  // Every coordinate draws the same numbers: their sum is twice the draw.
  EXPECT_TRUE(proofReports(caseOf("dropout"), "B,B,B->P", 2));
  EXPECT_FALSE(textsOf(parse(caseOf("dropout"))).count("B,B,B->P"));
  EXPECT_FALSE(
      verifyDecision(caseOf("mul"), "x=2", "[P(sum)], [P(sum)]", "[P(sum)]")
          .empty());
}

// Rows of a scatter that every coordinate calls its own.
TEST(BugClasses, ScatterWithoutAReduction) {
  const Case &c = caseOf("unsorted_segment_sum");
  EXPECT_TRUE(proofReports(c, "S0,S0->B", 2));
  EXPECT_TRUE(proofReports(c, "S0,S0->S0", 2));
  EXPECT_FALSE(verifyDecision(c, "x=2", "[S(0)], [S(0)]", "[B]").empty());
}

} // namespace
