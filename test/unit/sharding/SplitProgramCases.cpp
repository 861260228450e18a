// SPDX-License-Identifier: Apache-2.0
#include "test/unit/sharding/SplitProgramCases.h"

#include "compiler/API/InitDialects.h"
#include "compiler/Sharding/SplitPrograms.h"

#include "mlir/AsmParser/AsmParser.h"
#include "mlir/Parser/Parser.h"

#include <gtest/gtest.h>
#include <random>

using namespace mlir;
using weir::dist::AxisLayout;
using weir::dist::LayoutAttr;

namespace weir::compiler::test {

MLIRContext &splitProgramContext() {
  static MLIRContext *instance = [] {
    DialectRegistry registry;
    registerAllWeirDialects(registry);
    auto *made = new MLIRContext(registry);
    made->loadAllAvailableDialects();
    return made;
  }();
  return *instance;
}

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
    returned +=
        comma + "%r" + (op.results.size() > 1 ? "#" + std::to_string(i) : "");
  }
  text += ") -> (" + outputs + ") {\n  %r";
  if (op.results.size() > 1)
    text += ":" + std::to_string(op.results.size());
  text += " = " + op.assembly + " : ";
  // Element-wise assemblies print one type.
  text += StringRef(op.assembly).starts_with("graph.softmax")
              ? op.operands[0]
              : "(" + types + ") -> (" + results + ")";
  text += "\n  graph.return " + returned + " : " + results + "\n}\n";
  return parseSourceString<ModuleOp>(text, &splitProgramContext());
}

Operation *opOf(ModuleOp module) {
  auto entry = module.lookupSymbol<graph::EntryOp>("main");
  return &entry.getBody().front().front();
}

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

void decide(ModuleOp module, const OpCase &opCase,
            const ProgramSetting &setting) {
  MLIRContext *context = &splitProgramContext();
  auto mesh = cast<dist::MeshAttr>(
      parseAttribute("#dist.mesh<" + setting.mesh + ">", context));
  module->setAttr(dist::DistDialect::getMeshAttrName(), mesh);
  Operation *op = opOf(module);
  SignatureAnalysis analysis(mesh);
  unsigned numOperands = op->getNumOperands();
  std::vector<SmallVector<AxisLayout>> layouts(
      numOperands + op->getNumResults(),
      SmallVector<AxisLayout>(mesh.getNumAxes()));
  SmallVector<StringRef> programs(mesh.getNumAxes());
  auto layoutOf = [&](size_t i) {
    return LayoutAttr::get(context, layouts[i]);
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
      const AxisChoice &choice = setting.choices[axis];
      std::string wanted = choice.layouts;
      if (choice.program)
        wanted += " by '" + opCase.program + "'";
      if (choice.program && choice.layouts.empty()
              ? signature.program == opCase.program
              : text == wanted)
        found = &signature;
    }
    ASSERT_TRUE(found) << opCase.program << " on axis " << axis;
    ASSERT_TRUE(
        allowsProgram(*found, mesh, axis, ArrayRef(programs).take_front(axis)));
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
              dist::SignatureAttr::get(context, operands, results));
  setPrograms(op, mesh, programs);
  auto entry = module.lookupSymbol<graph::EntryOp>("main");
  StringRef name = dist::DistDialect::getLayoutAttrName();
  auto whole = LayoutAttr::getBroadcast(context, mesh.getNumAxes());
  for (unsigned i = 0; i < numOperands; ++i)
    entry.setArgAttr(i, name, whole);
  for (unsigned i = 0; i < op->getNumResults(); ++i)
    entry.setResultAttr(i, name, whole);
}

OpCase softmaxCase() {
  return {"softmax",
          "split_classes",
          "graph.softmax %0",
          {"tensor<3x7xf32>"},
          {"tensor<3x7xf32>"}};
}

OpCase crossEntropyCase() {
  return {"cross_entropy",
          "split_classes",
          "graph.cross_entropy %0, %1 ignore -100",
          {"tensor<2x3x5xf32>", "tensor<2x3xi32>"},
          {"tensor<2x3xf32>", "tensor<2x3xf32>"}};
}

OpCase layerNormCase() {
  return {"layer_norm",
          "split_features",
          "graph.layer_norm %0, %1, %2 epsilon 1.0e-5",
          {"tensor<3x7xf32>", "tensor<7xf32>", "tensor<7xf32>"},
          {"tensor<3x7xf32>", "tensor<3xf32>", "tensor<3xf32>"}};
}

OpCase rmsNormCase() {
  return {"rms_norm",
          "split_features",
          "graph.rms_norm %0, %1 epsilon 1.0e-5",
          {"tensor<3x7xf32>", "tensor<7xf32>"},
          {"tensor<3x7xf32>", "tensor<3xf32>"}};
}

OpCase cumsumCase(const std::string &flags) {
  return {"cumsum" + flags,
          "boundary_state",
          "graph.cumsum %0 dim 1" + flags,
          {"tensor<3x7x2xf32>"},
          {"tensor<3x7x2xf32>"}};
}

OpCase convCase(bool dilated) {
  if (dilated)
    return {"conv dilated",
            "halo",
            "graph.conv %0, %1 strides [1, 1] dilations [4, 1] low [2, 0] "
            "high [2, 0] groups 1",
            {"tensor<2x3x9x4xf32>", "tensor<4x3x2x1xf32>"},
            {"tensor<2x4x9x4xf32>"}};
  return {"conv",
          "halo",
          "graph.conv %0, %1 strides [1, 2] dilations [1, 1] low [1, 1] "
          "high [1, 1] groups 2",
          {"tensor<2x4x7x9xf32>", "tensor<6x2x3x3xf32>"},
          {"tensor<2x6x7x5xf32>"}};
}

OpCase attentionCase(bool causal, bool positions, int queries, int keys) {
  std::string t = std::to_string(queries), s = std::to_string(keys);
  OpCase op;
  op.name = std::string("attention") + (causal ? " causal " : " ") +
            (positions ? "by positions " : "") + t + "x" + s;
  op.program = "ring";
  op.assembly = std::string("graph.attention %0, %1, %2 ") +
                (positions ? "positions(%3, %4) " : "") + "scale 0.5" +
                (causal ? " causal" : "");
  op.operands = {"tensor<2x" + t + "x2x3x4xf32>", "tensor<2x" + s + "x2x4xf32>",
                 "tensor<2x" + s + "x2x5xf32>"};
  op.results = {"tensor<2x" + t + "x2x3x5xf32>", "tensor<2x2x3x" + t + "xf32>"};
  if (positions)
    op.operands.insert(op.operands.end(),
                       {"tensor<" + t + "xi32>", "tensor<" + s + "xi32>"});
  return op;
}

OpCase gradientOf(const OpCase &attention) {
  OpCase op = attention;
  op.name = "gradient of " + attention.name;
  bool positions = attention.operands.size() > 3;
  op.assembly = "graph.attention_grad %0, %1, %2, %3, %4, %5 " +
                std::string(positions ? "positions(%6, %7) " : "") +
                attention.assembly.substr(attention.assembly.find("scale"));
  op.operands.resize(3);
  op.operands.insert(
      op.operands.end(),
      {attention.results[0], attention.results[1], attention.results[0]});
  op.operands.insert(op.operands.end(), attention.operands.begin() + 3,
                     attention.operands.end());
  op.results.assign(op.operands.begin(), op.operands.begin() + 3);
  return op;
}

} // namespace weir::compiler::test
