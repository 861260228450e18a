// SPDX-License-Identifier: Apache-2.0
// A small byte-level language model that is in no family: each layer mixes a
// position with the one 2^i before it and passes the result through a
// squared-gate MLP. Prints the model as `graph` MLIR.
#include "compiler/Builders/Families.h"

#include "llvm/Support/raw_ostream.h"

using namespace weir::compiler;
using Value = GraphBuilder::Value;

namespace {

constexpr int64_t vocab = 256, width = 64, inner = 128, layers = 5;
constexpr EntryShapes shapes{/*batch=*/8, /*sequence=*/64, /*forwardBatch=*/1};

struct Layer {
  weir::graph::VariableOp norm, current, past, down;
};

/// `x` [B,T,C] moved `distance` positions to the right, zeros coming in.
Value shift(GraphBuilder &b, Value x, int64_t distance) {
  auto shape = GraphBuilder::shapeOf(x);
  Value kept = b.slice(x, {0, 0, 0}, {shape[0], shape[1] - distance, shape[2]});
  return b.concat({b.constant(0, {shape[0], distance, shape[2]}), kept}, 1);
}

} // namespace

int main() {
  mlir::MLIRContext context;
  GraphBuilder b(&context);

  // Variables are declared once; entries read them. The last field says which
  // dimension tensor parallelism may split.
  auto table = b.variable("embed", {vocab, width}, {Init::normal(0.02)});
  std::vector<Layer> stack;
  for (int64_t i = 0; i < layers; ++i) {
    std::string name = "layer." + std::to_string(i) + ".";
    stack.push_back({b.variable(name + "norm", {width}, {Init::constant(1)}),
                     b.variable(name + "current", {width, inner},
                                {Init::normal(0.08), "", {}, 1}),
                     b.variable(name + "past", {width, inner},
                                {Init::normal(0.08), "", {}, 1}),
                     b.variable(name + "down", {inner, width},
                                {Init::normal(0.03), "", {}, 0})});
  }
  auto finalNorm = b.variable("final_norm", {width}, {Init::constant(1)});

  // The entries `forward`, `evaluate` and `loss` share one body.
  buildLanguageModelEntries(b, shapes, [&](Value ids, DropoutInputs) {
    Value x = b.embedding(b.read(table), ids);
    for (auto [i, layer] : llvm::enumerate(stack)) {
      // Scopes name the nodes in dumps, errors and traces.
      GraphBuilder::Scope scope(b, "layer." + std::to_string(i));
      Value normed = b.rmsNorm(x, b.read(layer.norm), 1e-5);
      Value current = b.linear(normed, b.read(layer.current));
      Value past =
          b.linear(shift(b, normed, int64_t(1) << i), b.read(layer.past));
      Value gate = b.relu(b.add(current, past));
      x = b.add(x, b.linear(b.mul(gate, gate), b.read(layer.down)));
    }
    x = b.rmsNorm(x, b.read(finalNorm), 1e-5);
    return b.linear(x, b.read(table), {}, 1, /*transposed=*/true);
  });

  mlir::OwningOpRef<mlir::ModuleOp> module = b.finish();
  if (!module)
    return 1;
  // With locations, so that diagnostics name the nodes.
  module->print(llvm::outs(), mlir::OpPrintingFlags().enableDebugInfo(true));
  return 0;
}
