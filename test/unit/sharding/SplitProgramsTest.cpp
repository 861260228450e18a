// SPDX-License-Identifier: Apache-2.0
// Split programs, expanded on local types and run on virtual ranks by the
// interpreter, against the op on one device: every program on several meshes,
// even, uneven and empty shards.
#include "compiler/API/InitDialects.h"
#include "compiler/Interpreter/Interpreter.h"
#include "compiler/Sharding/Passes.h"
#include "compiler/Sharding/SplitPrograms.h"

#include "mlir/AsmParser/AsmParser.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"

#include <cmath>
#include <gtest/gtest.h>
#include <random>

using namespace mlir;
using namespace weir;
using namespace weir::compiler;
using dist::AxisLayout;
using dist::LayoutAttr;

namespace {

MLIRContext &context() {
  static MLIRContext *instance = [] {
    DialectRegistry registry;
    registerAllWeirDialects(registry);
    auto *made = new MLIRContext(registry);
    made->loadAllAvailableDialects();
    return made;
  }();
  return *instance;
}

/// An op to split: its assembly with operands %0, %1..., and their types.
struct OpCase {
  const char *name, *program;
  const char *assembly; // without types
  std::vector<const char *> operands, results;
};

/// A module whose one entry runs the op on the caller's tensors.
OwningOpRef<ModuleOp> buildModule(const OpCase &op) {
  std::string text = "graph.entry @main(", types, results, outputs, returned;
  for (size_t i = 0; i < op.operands.size(); ++i) {
    std::string comma = i ? ", " : "";
    text += comma + "%" + std::to_string(i) + ": " + op.operands[i] +
            " {graph.input = \"a" + std::to_string(i) + "\"}";
    types += comma + op.operands[i];
  }
  for (size_t i = 0; i < op.results.size(); ++i) {
    std::string comma = i ? ", " : "";
    results += comma + op.results[i];
    outputs += comma + op.results[i] + " {graph.output = \"r" +
               std::to_string(i) + "\"}";
    returned += comma + "%r" +
                (op.results.size() > 1 ? "#" + std::to_string(i) : "");
  }
  text += ") -> (" + outputs + ") {\n  %r";
  if (op.results.size() > 1)
    text += ":" + std::to_string(op.results.size());
  text += " = " + std::string(op.assembly) + " : ";
  // Element-wise assemblies print one type.
  text += StringRef(op.assembly).starts_with("graph.softmax")
              ? std::string(op.operands[0])
              : "(" + types + ") -> (" + results + ")";
  text += "\n  graph.return " + returned + " : " + results + "\n}\n";
  return parseSourceString<ModuleOp>(text, &context());
}

Operation *opOf(ModuleOp module) {
  auto entry = module.lookupSymbol<graph::EntryOp>("main");
  return &entry.getBody().front().front();
}

/// Inputs: normal floats; integers are labels or positions.
std::vector<Tensor> inputsOf(ModuleOp module) {
  std::mt19937 random(7);
  std::normal_distribution<double> normal;
  std::vector<Tensor> inputs;
  for (Value operand : opOf(module)->getOperands()) {
    auto type = cast<RankedTensorType>(operand.getType());
    Tensor &tensor = inputs.emplace_back(
        Tensor::zeros(*elementKindOf(type.getElementType()), type.getShape()));
    for (double &value : tensor.floats)
      value = normal(random);
    for (size_t i = 0; i < tensor.ints.size(); ++i)
      // A permutation in rank one; else labels, one of them to be ignored.
      tensor.ints[i] = type.getRank() == 1 && inputs.size() > 3
                           ? static_cast<int64_t>(i * 5 % tensor.ints.size())
                       : i == 1 ? -100
                                : static_cast<int64_t>(random() % 5);
  }
  return inputs;
}

/// What an axis of the mesh does to the op: the program, or the plain signature
/// of these layouts.
struct AxisChoice {
  bool program = true;
  std::string plain;
};

/// Decides `choices` for the op, everything at the boundary whole.
void decide(ModuleOp module, StringRef program, dist::MeshAttr mesh,
            ArrayRef<AxisChoice> choices) {
  module->setAttr(dist::DistDialect::getMeshAttrName(), mesh);
  Operation *op = opOf(module);
  SignatureAnalysis analysis(mesh);
  unsigned numOperands = op->getNumOperands();
  std::vector<SmallVector<AxisLayout>> layouts(
      numOperands + op->getNumResults(),
      SmallVector<AxisLayout>(mesh.getNumAxes()));
  SmallVector<StringRef> programs(mesh.getNumAxes());
  auto layoutOf = [&](size_t i) {
    return LayoutAttr::get(&context(), layouts[i]);
  };
  for (unsigned axis = 0; axis < mesh.getNumAxes(); ++axis) {
    SmallVector<Type> types;
    for (Type type : op->getOperandTypes())
      types.push_back(dist::getLocalType(cast<RankedTensorType>(type),
                                         layoutOf(types.size()), mesh));
    for (Type type : op->getResultTypes())
      types.push_back(dist::getLocalType(cast<RankedTensorType>(type),
                                         layoutOf(types.size()), mesh));
    const OpRules &rules =
        analysis.getRules(op, ArrayRef(types).take_front(numOperands),
                          ArrayRef(types).drop_front(numOperands));
    const OpSignature *found = nullptr;
    for (const OpSignature &signature : rules.signatures) {
      std::string text;
      llvm::raw_string_ostream(text) << signature;
      if (choices[axis].program ? signature.program == program
                                : text == choices[axis].plain)
        found = &signature;
    }
    ASSERT_TRUE(found) << program.str() << " on axis " << axis;
    ASSERT_TRUE(allowsProgram(*found, mesh, axis,
                              ArrayRef(programs).take_front(axis)));
    programs[axis] = found->program;
    for (unsigned i = 0; i < numOperands; ++i)
      layouts[i][axis] = found->operands[i];
    for (unsigned i = 0; i < op->getNumResults(); ++i)
      layouts[numOperands + i][axis] = found->results[i];
  }
  SmallVector<LayoutAttr> operands, results;
  for (size_t i = 0; i < layouts.size(); ++i)
    (i < numOperands ? operands : results).push_back(layoutOf(i));
  op->setAttr(dist::DistDialect::getSignatureAttrName(),
              dist::SignatureAttr::get(&context(), operands, results));
  setPrograms(op, mesh, programs);
  auto entry = module.lookupSymbol<graph::EntryOp>("main");
  StringRef name = dist::DistDialect::getLayoutAttrName();
  auto whole = LayoutAttr::getBroadcast(&context(), mesh.getNumAxes());
  for (unsigned i = 0; i < numOperands; ++i)
    entry.setArgAttr(i, name, whole);
  for (unsigned i = 0; i < op->getNumResults(); ++i)
    entry.setResultAttr(i, name, whole);
}

dist::MeshAttr meshOf(StringRef text) {
  return cast<dist::MeshAttr>(
      parseAttribute(("#dist.mesh<" + text + ">").str(), &context()));
}

struct Setting {
  const char *mesh;
  std::vector<AxisChoice> choices;
};

void expectEqualToOneDevice(const OpCase &op, const Setting &setting) {
  SCOPED_TRACE(std::string(op.name) + " on " + setting.mesh);
  OwningOpRef<ModuleOp> whole = buildModule(op), split = buildModule(op);
  ASSERT_TRUE(whole && split);
  std::vector<Tensor> inputs = inputsOf(*whole);
  auto want = Interpreter(*whole).run("main", inputs);
  ASSERT_TRUE(succeeded(want));
  decide(*split, op.program, meshOf(setting.mesh), setting.choices);
  if (testing::Test::HasFatalFailure())
    return;
  PassManager manager(&context());
  addShardPasses(manager);
  ASSERT_TRUE(succeeded(manager.run(*split)));
  bool expanded = true, sends = false;
  split->walk([&](Operation *o) {
    expanded &= !o->hasAttr(dist::DistDialect::getProgramsAttrName());
    sends |= isa<dist::AllReduceOp, dist::ExchangeOp>(o);
  });
  EXPECT_TRUE(expanded && sends);
  auto got = Interpreter(*split).run("main", inputs);
  ASSERT_TRUE(succeeded(got));
  for (size_t i = 0; i < want->size(); ++i) {
    const Tensor &a = (*got)[i], &b = (*want)[i];
    ASSERT_EQ(a.shape, b.shape);
    for (int64_t e = 0; e < b.size(); ++e) {
      if (a.at(e) == b.at(e)) // infinities
        continue;
      // f64: sums of a few dozen terms in another order.
      ASSERT_LE(std::abs(a.at(e) - b.at(e)), 1e-12 * (1 + std::abs(b.at(e))))
          << "result " << i << " element " << e << " is " << a.at(e)
          << ", one device has " << b.at(e);
    }
  }
}

const OpCase softmax = {"softmax", "split_classes", "graph.softmax %0",
                        {"tensor<3x7xf32>"}, {"tensor<3x7xf32>"}};
const OpCase crossEntropy = {"cross_entropy",
                             "split_classes",
                             "graph.cross_entropy %0, %1 ignore -100",
                             {"tensor<2x3x5xf32>", "tensor<2x3xi32>"},
                             {"tensor<2x3xf32>", "tensor<2x3xf32>"}};
const OpCase layerNorm = {
    "layer_norm",
    "split_features",
    "graph.layer_norm %0, %1, %2 epsilon 1.0e-5",
    {"tensor<3x7xf32>", "tensor<7xf32>", "tensor<7xf32>"},
    {"tensor<3x7xf32>", "tensor<3xf32>", "tensor<3xf32>"}};
const OpCase rmsNorm = {"rms_norm",
                        "split_features",
                        "graph.rms_norm %0, %1 epsilon 1.0e-5",
                        {"tensor<3x7xf32>", "tensor<7xf32>"},
                        {"tensor<3x7xf32>", "tensor<3xf32>"}};

const std::vector<Setting> rowSettings = {
    {"tp=2", {{}}},
    {"tp=3", {{}}},
    {"tp=9", {{}}}, // empty shards
    {"a=2, b=2", {{}, {}}},
    {"a=3, b=2", {{}, {}}},
};

// Row reductions over split classes and features.
TEST(SplitPrograms, RowsOverSplitClassesEqualOneDevice) {
  for (const OpCase &op : {softmax, crossEntropy, layerNorm, rmsNorm})
    for (const Setting &setting : rowSettings)
      expectEqualToOneDevice(op, setting);
}

// A program on one axis beside a plain split on another, in either order.
TEST(SplitPrograms, ProgramsCombineWithPlainSplits) {
  expectEqualToOneDevice(softmax,
                         {"a=2, b=3", {{}, {false, "S(0) -> S(0)"}}});
  expectEqualToOneDevice(softmax,
                         {"a=2, b=3", {{false, "S(0) -> S(0)"}, {}}});
  expectEqualToOneDevice(
      crossEntropy,
      {"a=2, b=2", {{false, "S(1), S(1) -> S(1), S(1)"}, {}}});
}

OpCase attention(bool causal, bool positions, int queries, int keys) {
  // Kept for the program: cases hold pointers to characters.
  static std::vector<std::unique_ptr<std::string>> texts;
  auto keep = [&](const std::string &text) {
    return texts.emplace_back(std::make_unique<std::string>(text))->c_str();
  };
  std::string t = std::to_string(queries), s = std::to_string(keys);
  OpCase op = {keep(std::string("attention") + (causal ? " causal" : "") +
                    (positions ? " positions" : "") + " " + t + "x" + s),
               "ring",
               keep(std::string("graph.attention %0, %1, %2 ") +
                    (positions ? "positions(%3, %4) " : "") + "scale 0.5" +
                    (causal ? " causal" : "")),
               {keep("tensor<2x" + t + "x2x3x4xf32>"),
                keep("tensor<2x" + s + "x2x4xf32>"),
                keep("tensor<2x" + s + "x2x5xf32>")},
               {keep("tensor<2x" + t + "x2x3x5xf32>"),
                keep("tensor<2x2x3x" + t + "xf32>")}};
  if (positions) {
    op.operands.push_back(keep("tensor<" + t + "xi32>"));
    op.operands.push_back(keep("tensor<" + s + "xi32>"));
  }
  return op;
}

/// The gradient of an attention: its operands are the attention's, the results
/// and the gradient of the first.
OpCase gradientOf(const OpCase &forward, bool causal) {
  OpCase op = forward;
  static std::vector<std::unique_ptr<std::string>> names;
  op.name = names
                .emplace_back(std::make_unique<std::string>(
                    std::string("gradient of ") + forward.name))
                ->c_str();
  bool positions = forward.operands.size() > 3;
  op.assembly = positions ? "graph.attention_grad %0, %1, %2, %3, %4, %5 "
                            "positions(%6, %7) scale 0.5 causal"
                : causal ? "graph.attention_grad %0, %1, %2, %3, %4, %5 "
                           "scale 0.5 causal"
                         : "graph.attention_grad %0, %1, %2, %3, %4, %5 "
                           "scale 0.5";
  op.operands.resize(3);
  op.operands.insert(op.operands.end(), {forward.results[0], forward.results[1],
                                         forward.results[0]});
  if (positions)
    op.operands.insert(op.operands.end(),
                       {forward.operands[3], forward.operands[4]});
  op.results.assign(op.operands.begin(), op.operands.begin() + 3);
  return op;
}

const std::vector<Setting> ringSettings = {
    {"cp=2", {{}}},
    {"cp=3", {{}}},
    {"cp=7", {{}}}, // empty shards
    {"a=2, b=2", {{}, {}}},
    {"a=3, b=2", {{}, {}}},
};

// Keys and values travel, each rank keeps its queries: grouped-query heads,
// causal masks across shards, sequences that the ring does not divide.
TEST(SplitPrograms, RingAttentionEqualsOneDevice) {
  for (bool causal : {false, true})
    for (auto [queries, keys] : {std::pair(6, 6), std::pair(5, 7)})
      for (const Setting &setting : ringSettings)
        expectEqualToOneDevice(attention(causal, false, queries, keys),
                               setting);
}

TEST(SplitPrograms, RingAttentionGradientEqualsOneDevice) {
  for (bool causal : {false, true})
    for (auto [queries, keys] : {std::pair(6, 6), std::pair(5, 7)})
      for (const Setting &setting : ringSettings)
        expectEqualToOneDevice(
            gradientOf(attention(causal, false, queries, keys), causal),
            setting);
}

// Tokens in another order: the mask goes by positions, which travel too.
TEST(SplitPrograms, RingAttentionByPositionsEqualsOneDevice) {
  for (const Setting &setting : ringSettings) {
    expectEqualToOneDevice(attention(true, true, 7, 7), setting);
    expectEqualToOneDevice(gradientOf(attention(true, true, 7, 7), true),
                           setting);
  }
}

// Heads split as they come, the sequence as a ring; and queries split on an
// axis that holds all keys.
TEST(SplitPrograms, RingCombinesWithPlainSplits) {
  OpCase op = attention(true, false, 5, 5);
  AxisChoice heads{false, "S(2), S(2), S(2) -> S(2), S(1)"};
  AxisChoice queries{false, "S(1), B, B -> S(1), S(3)"};
  expectEqualToOneDevice(op, {"a=2, b=2", {heads, {}}});
  expectEqualToOneDevice(op, {"a=2, b=2", {{}, heads}});
  expectEqualToOneDevice(op, {"a=2, b=2", {queries, {}}});
  expectEqualToOneDevice(op, {"a=2, b=2", {{}, queries}});
}

} // namespace
