// SPDX-License-Identifier: Apache-2.0
// Signatures derived from expand, against published tables of what is sound and
// what is not, and by execution of every derived signature on uneven shards.
#include "compiler/Sharding/Signatures.h"
#include "compiler/API/InitDialects.h"
#include "compiler/Interpreter/Interpreter.h"

#include "mlir/IR/Verifier.h"
#include "mlir/Parser/Parser.h"

#include <cmath>
#include <gtest/gtest.h>
#include <set>

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

/// One op with its operand and result types: `%rN` results, `%aN` operands.
struct OpCase {
  const char *name;
  std::vector<std::string> operands;
  std::string op; // "graph.add %a0, %a1 : tensor<4x6xf32>"
  std::vector<std::string> results;
};

/// A module with one entry that holds the op.
OwningOpRef<ModuleOp> parseCase(const OpCase &c,
                                const std::string &attributes = "") {
  std::string text = "module " + attributes + " { graph.entry @f(";
  auto list = [](size_t n, const std::string &prefix) {
    std::string out;
    for (size_t i = 0; i < n; ++i)
      out += (i ? ", " : "") + prefix + std::to_string(i);
    return out;
  };
  for (size_t i = 0; i < c.operands.size(); ++i)
    text += (i ? ", %a" : "%a") + std::to_string(i) + ": tensor<" +
            c.operands[i] + "> {graph.input = \"a" + std::to_string(i) + "\"}";
  text += ") -> (";
  std::string types;
  for (size_t i = 0; i < c.results.size(); ++i) {
    text += std::string(i ? ", " : "") + "tensor<" + c.results[i] +
            "> {graph.output = \"r" + std::to_string(i) + "\"}";
    types += std::string(i ? ", " : "") + "tensor<" + c.results[i] + ">";
  }
  text += ") {\n" + list(c.results.size(), "%r") + " = " + c.op +
          "\ngraph.return " + list(c.results.size(), "%r") + " : " + types +
          "\n} }";
  auto module = parseSourceString<ModuleOp>(text, &context());
  EXPECT_TRUE(module) << c.name << ": " << text;
  return module;
}

Operation *opOf(ModuleOp module) {
  auto entry = *module.getOps<graph::EntryOp>().begin();
  return &entry.getBody().front().front();
}

std::string shortText(const AxisLayout &layout) {
  std::string out;
  llvm::raw_string_ostream os(out);
  if (layout.isSplit())
    os << "S" << layout.dim;
  else if (layout.isPartial() && layout.reduction == dist::Reduction::Sum)
    os << "P";
  else
    os << layout;
  return out;
}

/// `S0,B->S0`.
std::string shortText(const OpSignature &signature) {
  std::string out;
  for (auto [i, layout] : llvm::enumerate(signature.operands))
    out += (i ? "," : "") + shortText(layout);
  out += "->";
  for (auto [i, layout] : llvm::enumerate(signature.results))
    out += (i ? "," : "") + shortText(layout);
  return out;
}

std::set<std::string> signaturesOf(const OpCase &c, int64_t parts = 2) {
  auto module = parseCase(c);
  std::set<std::string> texts;
  if (!module)
    return texts;
  for (const OpSignature &signature : deriveSignatures(opOf(*module)))
    if (signature.allows(parts))
      texts.insert(shortText(signature));
  return texts;
}

/// A row of the published table: what an op must and must not have.
struct Row {
  int number; // of the table; 0: a rule stated in the text beside it
  OpCase op;
  std::vector<std::string> sound, rejected;
};

const std::vector<Row> &rows() {
  static const std::vector<Row> table = {
      {1,
       {"matmul",
        {"4x6xf32", "6x8xf32"},
        "graph.matmul %a0, %a1 batch [] x [] contract [1] x [0] : "
        "(tensor<4x6xf32>, tensor<6x8xf32>) -> tensor<4x8xf32>",
        {"4x8xf32"}},
       {"S0,B->S0", "B,S1->S1", "S1,S0->P", "P,B->P", "B,P->P", "B,B->B"},
       {"P,P->P", "S0,S0->P", "S0,S1->S0", "S1,B->P", "P,P->B"}},
      {3,
       {"broadcast_matmul",
        {"2x4x6xf32", "6x8xf32"},
        "graph.matmul %a0, %a1 batch [] x [] contract [2] x [0] : "
        "(tensor<2x4x6xf32>, tensor<6x8xf32>) -> tensor<2x4x8xf32>",
        {"2x4x8xf32"}},
       {"S0,B->S0", "S1,B->S1", "B,S1->S2", "S2,S0->P", "P,B->P", "B,P->P"},
       {"P,P->P"}},
      {5,
       {"broadcast_matmul_grad_b",
        {"2x4x6xf32", "2x4x8xf32"},
        "graph.matmul %a0, %a1 batch [] x [] contract [0, 1] x [0, 1] : "
        "(tensor<2x4x6xf32>, tensor<2x4x8xf32>) -> tensor<6x8xf32>",
        {"6x8xf32"}},
       {"S0,S0->P", "S1,S1->P", "S2,B->S0", "B,S2->S1", "B,P->P", "P,B->P"},
       {"S0,S1->P"}},
      {7,
       {"bias broadcast",
        {"6xf32"},
        "graph.broadcast %a0 [1] : (tensor<6xf32>) -> tensor<4x6xf32>",
        {"4x6xf32"}},
       {"S0->S1", "B->S0", "P->P"},
       {"S0->S0", "P->S0"}},
      {9,
       {"add",
        {"4x6xf32", "4x6xf32"},
        "graph.add %a0, %a1 : tensor<4x6xf32>",
        {"4x6xf32"}},
       {"S0,S0->S0", "S1,S1->S1", "P,P->P"},
       {"P,B->P", "B,P->P", "S0,B->S0", "S0,S1->S0"}},
      {13,
       {"mul",
        {"4x6xf32", "4x6xf32"},
        "graph.mul %a0, %a1 : tensor<4x6xf32>",
        {"4x6xf32"}},
       {"S0,S0->S0", "S1,S1->S1", "B,P->P", "P,B->P"},
       {"P,P->P"}},
      {0,
       {"div",
        {"4x6xf32", "4x6xf32"},
        "graph.div %a0, %a1 : tensor<4x6xf32>",
        {"4x6xf32"}},
       {"P,B->P", "S0,S0->S0"},
       {"B,P->P", "P,P->P"}},
      {15,
       {"maximum",
        {"4x6xf32", "4x6xf32"},
        "graph.max %a0, %a1 : tensor<4x6xf32>",
        {"4x6xf32"}},
       {"S0,S0->S0", "S1,S1->S1", "P(max),P(max)->P(max)", "P(max),B->P(max)"},
       {"P,P->P", "P,B->P", "P(min),P(min)->P(min)"}},
      {17,
       {"gelu",
        {"4x6xf32"},
        "graph.gelu erf %a0 : tensor<4x6xf32>",
        {"4x6xf32"}},
       {"S0->S0", "S1->S1"},
       {"P->P", "P(max)->P(max)"}},
      {17,
       {"relu", {"4x6xf32"}, "graph.relu %a0 : tensor<4x6xf32>", {"4x6xf32"}},
       {"S0->S0", "S1->S1", "P(max)->P(max)"},
       {"P->P"}},
      {23,
       {"cast f32 to f64",
        {"4x6xf32"},
        "graph.cast %a0 : tensor<4x6xf32> -> tensor<4x6xf64>",
        {"4x6xf64"}},
       {"S0->S0", "S1->S1", "P->P"},
       {}},
      {24,
       {"cast f32 to i32",
        {"4x6xf32"},
        "graph.cast %a0 : tensor<4x6xf32> -> tensor<4x6xi32>",
        {"4x6xi32"}},
       {"S0->S0", "S1->S1"},
       {"P->P"}},
      {25,
       {"cast f32 to i1",
        {"4x6xf32"},
        "graph.cast %a0 : tensor<4x6xf32> -> tensor<4x6xi1>",
        {"4x6xi1"}},
       {"S0->S0", "S1->S1"},
       {"P->P", "P->B"}},
      {27,
       {"reduce_sum",
        {"4x6xf32"},
        "graph.reduce sum %a0 [0] : (tensor<4x6xf32>) -> tensor<6xf32>",
        {"6xf32"}},
       {"S0->P", "S1->S0", "P->P"},
       {"S0->B", "S0->S0", "P(max)->P(max)"}},
      {0,
       {"reduce_max",
        {"4x6xf32"},
        "graph.reduce max %a0 [0] : (tensor<4x6xf32>) -> tensor<6xf32>",
        {"6xf32"}},
       {"S0->P(max)", "S1->S0", "P(max)->P(max)"},
       {"S0->P", "P->P", "P(min)->P(min)"}},
      {0,
       {"sqrt (of a square sum, row 31)",
        {"4xf32"},
        "graph.sqrt %a0 : tensor<4xf32>",
        {"4xf32"}},
       {"S0->S0"},
       {"P->P", "P(max)->P(max)"}},
      {0,
       {"neg", {"4xf32"}, "graph.neg %a0 : tensor<4xf32>", {"4xf32"}},
       {"S0->S0", "P->P", "P(max)->P(min)", "P(min)->P(max)"},
       {"P(max)->P(max)"}},
      {33,
       {"isnan as x != x",
        {"4x6xf32", "4x6xf32"},
        "graph.compare ne %a0, %a1 : tensor<4x6xf32> -> tensor<4x6xi1>",
        {"4x6xi1"}},
       {"S0,S0->S0", "S1,S1->S1"},
       {"P,P->P", "P,B->P", "P,P->B"}},
      {35,
       {"softmax",
        {"4x6x8xf32"},
        "graph.softmax %a0 : tensor<4x6x8xf32>",
        {"4x6x8xf32"}},
       {"S0->S0", "S1->S1"},
       {"S2->S2", "S2->P", "P->P"}},
      {37,
       {"layer_norm",
        {"4x6x8xf32", "8xf32", "8xf32"},
        "graph.layer_norm %a0, %a1, %a2 epsilon 1.0e-5 : (tensor<4x6x8xf32>, "
        "tensor<8xf32>, tensor<8xf32>) -> (tensor<4x6x8xf32>, tensor<4x6xf32>, "
        "tensor<4x6xf32>)",
        {"4x6x8xf32", "4x6xf32", "4x6xf32"}},
       {"S0,B,B->S0,S0,S0", "S1,B,B->S1,S1,S1", "B,P,P->P,B,B"},
       {"S2,S0,S0->S2,B,B", "P,B,B->P,P,P", "B,P,B->P,B,B", "B,B,P->P,B,B"}},
      {39,
       {"rms_norm",
        {"4x8xf32", "8xf32"},
        "graph.rms_norm %a0, %a1 epsilon 1.0e-5 : (tensor<4x8xf32>, "
        "tensor<8xf32>) -> (tensor<4x8xf32>, tensor<4xf32>)",
        {"4x8xf32", "4xf32"}},
       {"S0,B->S0,S0", "B,P->P,B"},
       {"S1,S0->S1,B", "P,B->P,P"}},
      {41,
       {"embedding",
        {"8x6xf32", "4x2xi32"},
        "graph.embedding %a0, %a1 : (tensor<8x6xf32>, tensor<4x2xi32>) -> "
        "tensor<4x2x6xf32>",
        {"4x2x6xf32"}},
       {"B,S0->S0", "B,S1->S1", "S0,B->P", "S1,B->S2", "P,B->P"},
       {"S0,B->S0", "S0,S0->P", "B,P->P", "P,S0->P"}},
      {43,
       {"embedding_grad",
        {"4x2xi32", "4x2x6xf32"},
        "graph.embedding_grad %a0, %a1 : (tensor<4x2xi32>, tensor<4x2x6xf32>) "
        "-> tensor<8x6xf32>",
        {"8x6xf32"}},
       {"S0,S0->P", "S1,S1->P", "B,S2->S1", "B,P->P", "B,B->S0"},
       {"S0,S0->B", "S0,S0->S0", "B,S0->P", "B,S0->S0"}},
      {51,
       {"cross_entropy",
        {"4x6xf32", "4xi32"},
        "graph.cross_entropy %a0, %a1 ignore -100 : (tensor<4x6xf32>, "
        "tensor<4xi32>) -> (tensor<4xf32>, tensor<4xf32>)",
        {"4xf32", "4xf32"}},
       {"S0,S0->S0,S0"},
       {"S1,B->P,P", "P,B->P,P", "S1,B->B,B"}},
      {49,
       {"cross_entropy_grad",
        {"4x6xf32", "4xi32", "4xf32", "4xf32"},
        "graph.cross_entropy_grad %a0, %a1, %a2, %a3 ignore -100 : "
        "(tensor<4x6xf32>, tensor<4xi32>, tensor<4xf32>, tensor<4xf32>) -> "
        "tensor<4x6xf32>",
        {"4x6xf32"}},
       {"S0,S0,S0,S0->S0", "S1,B,B,B->S1", "B,B,B,P->P"},
       {"P,B,B,B->P", "B,B,P,B->P"}},
      {61,
       {"reshape (24)->(4,6)",
        {"24xf32"},
        "graph.reshape %a0 : (tensor<24xf32>) -> tensor<4x6xf32>",
        {"4x6xf32"}},
       {"S0->S0", "P->P"},
       {"S0->S1"}},
      {63,
       {"reshape (4,48)->(4,6,8)",
        {"4x48xf32"},
        "graph.reshape %a0 : (tensor<4x48xf32>) -> tensor<4x6x8xf32>",
        {"4x6x8xf32"}},
       {"S0->S0", "S1->S1", "P->P"},
       {"S1->S2"}},
      {65,
       {"reshape (4,1,6)->(4,6)",
        {"4x1x6xf32"},
        "graph.reshape %a0 : (tensor<4x1x6xf32>) -> tensor<4x6xf32>",
        {"4x6xf32"}},
       {"S0->S0", "S2->S1", "P->P"},
       {"S1->S1"}},
      {67,
       {"reshape (2,3,4)->(6,4)",
        {"2x3x4xf32"},
        "graph.reshape %a0 : (tensor<2x3x4xf32>) -> tensor<6x4xf32>",
        {"6x4xf32"}},
       {"S0->S0", "S2->S1", "P->P"},
       {"S1->S0"}},
      {0,
       {"view [12,8] to [16,6]",
        {"12x8xf32"},
        "graph.reshape %a0 : (tensor<12x8xf32>) -> tensor<16x6xf32>",
        {"16x6xf32"}},
       {"S0->S0", "P->P"},
       {"S1->S0", "S1->S1", "S0->S1"}},
      {69,
       {"concat",
        {"4x1xf32", "4x5xf32"},
        "graph.concat %a0, %a1 dim 1 : (tensor<4x1xf32>, tensor<4x5xf32>) -> "
        "tensor<4x6xf32>",
        {"4x6xf32"}},
       {"S0,S0->S0", "P,P->P"},
       {"S1,S1->S1", "P,B->P"}},
      {73,
       {"where",
        {"4x6xi1", "4x6xf32", "4x6xf32"},
        "graph.select %a0, %a1, %a2 : tensor<4x6xi1>, tensor<4x6xf32>",
        {"4x6xf32"}},
       {"S0,S0,S0->S0", "S1,S1,S1->S1", "B,P,P->P"},
       {"B,P,B->P", "B,B,P->P"}},
      {83,
       {"ones as a constant",
        {},
        "graph.constant dense<1.0> : tensor<4x6xf32>",
        {"4x6xf32"}},
       {"->B", "->S0", "->S1"},
       {"->P"}},
      {0,
       {"constant of many values",
        {},
        "graph.constant dense<[1.0, 2.0]> : tensor<2xf32>",
        {"2xf32"}},
       {"->B"},
       {"->S0", "->P"}},
      {0,
       {"iota", {}, "graph.iota 0 : tensor<4x6xf32>", {"4x6xf32"}},
       {"->B", "->S0", "->S1"},
       {"->P"}},
      {0,
       {"transpose",
        {"4x6xf32"},
        "graph.transpose %a0 [1, 0] : (tensor<4x6xf32>) -> tensor<6x4xf32>",
        {"6x4xf32"}},
       {"S0->S1", "S1->S0", "P->P"},
       {"S0->S0"}},
      {0,
       {"slice",
        {"4x6xf32"},
        "graph.slice %a0 [0, 2] : (tensor<4x6xf32>) -> tensor<4x3xf32>",
        {"4x3xf32"}},
       {"S0->S0", "P->P", "P(max)->P(max)"},
       {"S1->S1"}},
      {0,
       {"dropout",
        {"4x6xf32", "i32", "i32"},
        "graph.dropout %a0, %a1, %a2 rate 0.25 site \"d\" : (tensor<4x6xf32>, "
        "tensor<i32>, tensor<i32>) -> tensor<4x6xf32>",
        {"4x6xf32"}},
       {"S0,B,B->S0", "S1,B,B->S1", "P,B,B->P"},
       {"B,P,B->P", "B,B,B->P", "P,P,P->P"}},
      {0,
       {"rope",
        {"2x4x3x6xf32", "4x3xf32", "4x3xf32"},
        "graph.rope %a0, %a1, %a2 seq 1 : (tensor<2x4x3x6xf32>, "
        "tensor<4x3xf32>, tensor<4x3xf32>) -> tensor<2x4x3x6xf32>",
        {"2x4x3x6xf32"}},
       {"S0,B,B->S0", "S1,S0,S0->S1", "S2,B,B->S2", "P,B,B->P", "B,P,P->P"},
       {"S3,S1,S1->S3", "P,P,P->P", "S1,B,B->S1"}},
      {0,
       {"attention",
        {"2x4x3x2x5xf32", "2x4x3x5xf32", "2x4x3x7xf32"},
        "graph.attention %a0, %a1, %a2 scale 0.5 causal : "
        "(tensor<2x4x3x2x5xf32>, tensor<2x4x3x5xf32>, tensor<2x4x3x7xf32>) -> "
        "(tensor<2x4x3x2x7xf32>, tensor<2x3x2x4xf32>)",
        {"2x4x3x2x7xf32", "2x3x2x4xf32"}},
       {"S0,S0,S0->S0,S0", "S1,B,B->S1,S3", "S2,S2,S2->S2,S1", "S3,B,B->S3,S2",
        "B,B,S3->S4,B", "B,B,P->P,B"},
       {"B,S1,S1->P,P", "S4,S3,B->B,B", "P,B,B->P,B"}},
      {0,
       {"adamw",
        {"4x6xf32", "4x6xf32", "4x6xf32", "4x6xf32", "f32", "f32", "f32", "f32",
         "f32", "f32", "f32", "f32", "i1"},
        "graph.adamw %a0, %a1, %a2, %a3, %a4, %a5, %a6, %a7, %a8, %a9, %a10, "
        "%a11, %a12 site \"w\" : (tensor<4x6xf32>, tensor<4x6xf32>, "
        "tensor<4x6xf32>, tensor<4x6xf32>, tensor<f32>, tensor<f32>, "
        "tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, "
        "tensor<f32>, tensor<i1>) -> (tensor<4x6xf32>, tensor<4x6xf32>, "
        "tensor<4x6xf32>)",
        {"4x6xf32", "4x6xf32", "4x6xf32"}},
       {"S0,S0,S0,S0,B,B,B,B,B,B,B,B,B->S0,S0,S0",
        "S1,S1,S1,S1,B,B,B,B,B,B,B,B,B->S1,S1,S1"},
       {"P,P,P,P,B,B,B,B,B,B,B,B,B->P,P,P",
        "B,B,B,P,B,B,B,B,B,B,B,B,B->P,P,P"}},
  };
  return table;
}

// The table of sound signatures and of rules that real systems declare and that
// give wrong numbers: "SBP signatures" of the project's oracles, numbers beside
// the rows.
TEST(Signatures, MatchTheTable) {
  for (const Row &row : rows()) {
    std::set<std::string> found = signaturesOf(row.op);
    std::string all;
    for (const std::string &text : found)
      all += " [" + text + "]";
    for (const std::string &text : row.sound)
      EXPECT_TRUE(found.count(text))
          << "row " << row.number << ", " << row.op.name << ": lacks " << text
          << " in" << all;
    for (const std::string &text : row.rejected)
      EXPECT_FALSE(found.count(text))
          << "row " << row.number << ", " << row.op.name << ": has unsound "
          << text;
  }
}

//===----------------------------------------------------------------------===//
// Every derived signature, executed
//===----------------------------------------------------------------------===//

/// A number in [-1, 1] of a position and a stream; fixed by splitmix64.
double value(uint64_t stream, uint64_t i) {
  uint64_t z = (stream * 1000003 + i + 1) * 0x9e3779b97f4a7c15ull;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return double((z ^ (z >> 31)) >> 11) / double(1ull << 52) - 1.0;
}

Tensor argumentOf(RankedTensorType type, uint64_t stream) {
  ElementKind kind = *elementKindOf(type.getElementType());
  Tensor tensor = Tensor::zeros(kind, type.getShape());
  for (int64_t i = 0; i < tensor.size(); ++i) {
    double v = value(stream, i);
    if (kind == ElementKind::Float)
      tensor.floats[i] = v + (std::abs(v) < 0.05 ? 0.1 : 0);
    else if (kind == ElementKind::I1)
      tensor.ints[i] = v > 0;
    else
      tensor.ints[i] =
          int64_t((v + 1) * 2.49); // 0 to 4: rows of every table here
  }
  return tensor;
}

int64_t extentOf(int64_t size, int64_t parts, int64_t part) {
  return size / parts + (part < size % parts ? 1 : 0);
}
int64_t offsetOf(int64_t size, int64_t parts, int64_t part) {
  return size / parts * part + std::min(part, size % parts);
}

/// The slice of dim `dim` that coordinate `part` holds.
Tensor shardOf(const Tensor &whole, int64_t dim, int64_t parts, int64_t part) {
  llvm::SmallVector<int64_t> shape(whole.shape.begin(), whole.shape.end());
  int64_t begin = offsetOf(shape[dim], parts, part);
  shape[dim] = extentOf(shape[dim], parts, part);
  Tensor out = Tensor::zeros(whole.kind, shape);
  auto strides = rowMajorStrides(whole.shape);
  if (out.size() == 0)
    return out;
  SmallVector<int64_t> index(shape.size(), 0);
  int64_t i = 0;
  do {
    int64_t at = 0;
    for (size_t d = 0; d < index.size(); ++d)
      at += (index[d] + (int64_t(d) == dim ? begin : 0)) * strides[d];
    out.set(i++, whole, at);
  } while (nextIndex(index, shape));
  return out;
}

double neutral(dist::Reduction reduction) {
  return reduction == dist::Reduction::Sum   ? 0
         : reduction == dist::Reduction::Max ? -INFINITY
                                             : INFINITY;
}
double combine(dist::Reduction reduction, double a, double b) {
  return reduction == dist::Reduction::Sum   ? a + b
         : reduction == dist::Reduction::Max ? std::max(a, b)
                                             : std::min(a, b);
}

/// What coordinate `part` holds of `whole` in `layout`. Terms of a sum are
/// arbitrary numbers that add up; terms of a maximum lie below it.
Tensor localOf(const Tensor &whole, const AxisLayout &layout, int64_t parts,
               int64_t part, uint64_t stream) {
  if (layout.isSplit())
    return shardOf(whole, layout.dim, parts, part);
  if (!layout.isPartial())
    return whole;
  Tensor out = whole;
  for (int64_t i = 0; i < out.size(); ++i) {
    if (layout.reduction == dist::Reduction::Sum) {
      double rest = whole.at(i);
      double term = 0;
      for (int64_t p = 0; p <= part; ++p) {
        term = p + 1 < parts ? value(stream * 31 + p, i) : rest;
        if (!out.isFloat())
          term = p + 1 < parts ? std::floor(term * 3) : rest;
        rest -= term;
      }
      if (out.isFloat())
        out.floats[i] = term;
      else
        out.ints[i] = int64_t(term);
      continue;
    }
    bool holder = int64_t((stream + i) % parts) == part;
    double away = layout.reduction == dist::Reduction::Max ? -1 : 1;
    if (holder)
      continue;
    if (out.isFloat())
      out.floats[i] = whole.at(i) + away * (1 + value(stream, i));
    else
      out.ints[i] = whole.ints[i] + int64_t(away);
  }
  return out;
}

/// Runs the op with one signature on `parts` coordinates and compares what they
/// hold together with the results of the whole op. Returns an explanation.
std::string execute(const OpCase &c, const OpSignature &signature,
                    int64_t parts) {
  std::string attributes =
      "attributes {dist.mesh = #dist.mesh<x=" + std::to_string(parts) + ">}";
  auto module = parseCase(c, attributes);
  Operation *op = opOf(*module);
  dist::MeshAttr mesh = dist::getMesh(*module);
  std::vector<Tensor> arguments;
  for (auto [i, operand] : llvm::enumerate(op->getOperands()))
    arguments.push_back(
        argumentOf(cast<RankedTensorType>(operand.getType()), i + 1));
  OpBuilder builder(op);
  // The local op: a clone on casts to local types.
  auto localType = [&](Type type, const AxisLayout &layout) {
    AxisLayout known = layout.isSplit() ? layout : AxisLayout::broadcast();
    return dist::getLocalType(cast<RankedTensorType>(type),
                              LayoutAttr::get(&context(), {known}), mesh);
  };
  std::vector<std::vector<Tensor>> locals;
  Block block;
  for (auto [operand, layout] :
       llvm::zip_equal(op->getOperands(), signature.operands))
    block.addArgument(localType(operand.getType(), layout), op->getLoc());
  builder.setInsertionPointToEnd(&block);
  Operation *local = builder.clone(*op);
  local->setOperands(block.getArguments());
  for (auto [result, layout] :
       llvm::zip_equal(local->getResults(), signature.results))
    result.setType(localType(result.getType(), layout));
  if (auto constant = dyn_cast<graph::ConstantOp>(local))
    if (auto elements = dyn_cast<DenseElementsAttr>(constant.getValue()))
      if (elements.isSplat())
        constant.setValueAttr(cast<TypedAttr>(
            elements.resizeSplat(cast<ShapedType>(constant.getType()))));
  std::string problem;
  if (failed(verify(local)))
    problem = "is no op on these local types";
  // Both meanings of the op: by hand, and by its pieces (where constants are
  // rounded to the element type).
  for (bool byPieces : {false, true}) {
    if (!problem.empty())
      break;
    locals.clear();
    auto run = [&](Operation *which, const std::vector<Tensor> &values,
                   MeshPoint point) {
      if (!byPieces)
        return evaluateOp(which, values, Precision::F64, point);
      Block pieces;
      for (Value operand : which->getOperands())
        pieces.addArgument(operand.getType(), op->getLoc());
      OpBuilder emitter(&context());
      emitter.setInsertionPointToEnd(&pieces);
      SmallVector<Value> wanted = cast<graph::ExpandOpInterface>(which).expand(
          emitter, pieces.getArguments());
      auto results =
          evaluateBlock(pieces, values, wanted, Precision::F64, point);
      while (!pieces.empty())
        pieces.back().erase();
      return results;
    };
    auto expected = run(op, arguments, {});
    if (failed(expected)) {
      problem = "whole op does not run";
      break;
    }
    for (int64_t part = 0; part < parts && problem.empty(); ++part) {
      std::vector<Tensor> own;
      for (auto [i, layout] : llvm::enumerate(signature.operands))
        own.push_back(localOf(arguments[i], layout, parts, part, i + 1));
      MeshPoint point = pointOfRank(mesh, part);
      auto results = run(local, own, point);
      if (failed(results))
        problem = "does not run on part " + std::to_string(part);
      else
        locals.push_back(*results);
    }
    for (size_t r = 0; problem.empty() && r < expected->size(); ++r) {
      const AxisLayout &layout = signature.results[r];
      const Tensor &want = (*expected)[r];
      auto differs = [](double a, double b) {
        if (std::isnan(a) || std::isnan(b))
          return std::isnan(a) != std::isnan(b);
        // Sums in another order: a few units in the last place of O(10) terms.
        return std::abs(a - b) > 1e-12 * (1 + std::abs(b));
      };
      auto goalOf = [&](int64_t part) {
        return layout.isSplit() ? shardOf(want, layout.dim, parts, part) : want;
      };
      for (int64_t part = 0; part < parts; ++part)
        if (locals[part][r].shape != goalOf(part).shape)
          problem = "has a shard of another shape";
      for (int64_t part = 0; part < parts && problem.empty(); ++part) {
        const Tensor &have = locals[part][r];
        Tensor goal = goalOf(part);
        for (int64_t i = 0; i < goal.size() && problem.empty(); ++i) {
          double got = have.at(i);
          if (layout.isPartial()) {
            got = neutral(layout.reduction);
            for (int64_t p = 0; p < parts; ++p)
              got = combine(layout.reduction, got, locals[p][r].at(i));
          }
          if (differs(got, goal.at(i)))
            problem = "differs at result " + std::to_string(r) + ", part " +
                      std::to_string(part) + ", element " + std::to_string(i) +
                      ": " + std::to_string(got) + " for " +
                      std::to_string(goal.at(i));
        }
      }
    }
    if (!problem.empty()) {
      problem += byPieces ? " (pieces)" : " (op)";
      break;
    }
  }
  while (!block.empty())
    block.back().erase();
  return problem;
}

// What is derived is run: on two, three and five coordinates, where dims of the
// table's ops are shared unevenly and some shards are empty.
TEST(Signatures, AreSoundWhenExecuted) {
  int64_t executed = 0;
  for (const Row &row : rows()) {
    auto module = parseCase(row.op);
    for (const OpSignature &signature : deriveSignatures(opOf(*module)))
      for (int64_t parts : {2, 3, 5}) {
        if (!signature.allows(parts))
          continue;
        ++executed;
        EXPECT_EQ(execute(row.op, signature, parts), "")
            << row.op.name << " " << shortText(signature) << " on " << parts;
      }
  }
  EXPECT_GT(executed, 400);
}

// The other direction: an executed signature that holds on every size and is
// not derived is a rule that derivation misses. All assignments of B, S and P
// to the small ops of the table are run; the few that only hold for these
// inputs or that derivation cannot see are listed.
TEST(Signatures, MissNoneThatExecutionFinds) {
  const std::set<std::string> names = {
      "matmul",         "add",        "mul",        "div",
      "maximum",        "reduce_sum", "reduce_max", "embedding",
      "embedding_grad", "transpose",  "where",      "softmax",
      "rms_norm",       "layer_norm"};
  for (const Row &row : rows()) {
    if (!names.count(row.op.name))
      continue;
    auto module = parseCase(row.op);
    Operation *op = opOf(*module);
    std::set<std::string> derived;
    for (const OpSignature &signature : deriveSignatures(op))
      derived.insert(shortText(signature));
    auto choices = [](Type type, bool partial) {
      auto tensor = cast<RankedTensorType>(type);
      std::vector<AxisLayout> out = {AxisLayout::broadcast()};
      for (int64_t d = 0; d < tensor.getRank(); ++d)
        out.push_back(AxisLayout::split(d));
      if (partial && isa<FloatType>(tensor.getElementType()))
        out.push_back(AxisLayout::partial());
      return out;
    };
    std::vector<std::vector<AxisLayout>> slots;
    for (Type type : op->getOperandTypes())
      slots.push_back(choices(type, true));
    for (Type type : op->getResultTypes())
      slots.push_back(choices(type, true));
    ScopedDiagnosticHandler quiet(&context(),
                                  [](Diagnostic &) { return success(); });
    std::vector<size_t> digits(slots.size(), 0);
    for (bool more = true; more;) {
      OpSignature candidate;
      for (size_t i = 0; i < slots.size(); ++i)
        (i < op->getNumOperands()
             ? static_cast<SmallVectorImpl<AxisLayout> &>(candidate.operands)
             : candidate.results)
            .push_back(slots[i][digits[i]]);
      if (!derived.count(shortText(candidate)) &&
          execute(row.op, candidate, 2).empty() &&
          execute(row.op, candidate, 3).empty())
        ADD_FAILURE() << row.op.name << ": " << shortText(candidate)
                      << " holds but is not derived";
      more = false;
      for (size_t i = 0; i < digits.size() && !more; ++i) {
        if (++digits[i] < slots[i].size())
          more = true;
        else
          digits[i] = 0;
      }
    }
  }
}

//===----------------------------------------------------------------------===//
// Several axes
//===----------------------------------------------------------------------===//

/// All n-D signatures of a reshape with a split on every axis, by the stepwise
/// rule: `S0,S0->S0,S1` lists the axes of operand and result.
std::set<std::string> splitsOfReshape(ArrayRef<int64_t> from,
                                      ArrayRef<int64_t> to,
                                      ArrayRef<int64_t> meshSizes) {
  SmallVector<StringAttr> names;
  for (size_t i = 0; i < meshSizes.size(); ++i)
    names.push_back(StringAttr::get(&context(), "m" + std::to_string(i)));
  auto mesh = dist::MeshAttr::get(&context(), names, meshSizes, false);
  auto dims = [](ArrayRef<int64_t> shape) {
    std::string out;
    for (int64_t size : shape)
      out += std::to_string(size) + "x";
    return out + "f32";
  };
  OpCase c{"reshape",
           {dims(from)},
           "graph.reshape %a0 : (tensor<" + dims(from) + ">) -> tensor<" +
               dims(to) + ">",
           {dims(to)}};
  auto module = parseCase(c);
  Operation *op = opOf(*module);
  SignatureAnalysis analysis(mesh);
  std::set<std::string> found;
  SmallVector<AxisLayout> in(meshSizes.size()), out(meshSizes.size());
  std::function<void(unsigned)> extend = [&](unsigned axis) {
    if (axis == meshSizes.size()) {
      std::string text;
      for (auto [i, layout] : llvm::enumerate(in))
        text += (i ? "," : "") + shortText(layout);
      text += "->";
      for (auto [i, layout] : llvm::enumerate(out))
        text += (i ? "," : "") + shortText(layout);
      found.insert(text);
      return;
    }
    auto local = [&](Type type, ArrayRef<AxisLayout> layout) {
      SmallVector<AxisLayout> known(layout.take_front(axis));
      known.resize(meshSizes.size());
      return dist::getLocalType(cast<RankedTensorType>(type),
                                LayoutAttr::get(&context(), known), mesh);
    };
    Type a = local(op->getOperand(0).getType(), in),
         r = local(op->getResult(0).getType(), out);
    for (const OpSignature &signature :
         analysis.getRules(op, a, r).signatures) {
      if (!signature.operands[0].isSplit() ||
          !signature.allows(meshSizes[axis]))
        continue;
      // A dim of fewer elements than coordinates is a legal split that the
      // published lists do not count.
      auto spread = [&](Type type, const AxisLayout &layout) {
        return cast<RankedTensorType>(type).getDimSize(layout.dim) >=
               meshSizes[axis];
      };
      if (!spread(a, signature.operands[0]) || !spread(r, signature.results[0]))
        continue;
      in[axis] = signature.operands[0];
      out[axis] = signature.results[0];
      extend(axis + 1);
    }
  };
  extend(0);
  return found;
}

// Lists of the oracles' section on n-D reshape; those that hold for even sizes
// only. (4,3)->(6,2) with [S0,S0]->[S0,S0] on (2,2) is a known wrong rule: each
// axis alone looks fine.
TEST(Signatures, ReshapesOnSeveralAxes) {
  using Set = std::set<std::string>;
  EXPECT_EQ(splitsOfReshape({4}, {2, 2}, {2, 2}), Set({"S0,S0->S0,S1"}));
  EXPECT_EQ(splitsOfReshape({12}, {2, 2, 3}, {2, 2}), Set({"S0,S0->S0,S1"}));
  EXPECT_EQ(splitsOfReshape({2, 4}, {8}, {2, 2}), Set({"S0,S1->S0,S0"}));
  EXPECT_EQ(splitsOfReshape({8, 2}, {2, 4, 2}, {2, 2}),
            Set({"S0,S0->S0,S1", "S0,S1->S0,S2", "S1,S0->S2,S0"}));
  EXPECT_EQ(
      splitsOfReshape({3, 2, 3, 5}, {3, 30}, {2, 3}).count("S1,S0->S1,S0"), 1u);
  EXPECT_EQ(
      splitsOfReshape({3, 2, 3, 5}, {3, 30}, {2, 3}).count("S1,S2->S1,S1"), 1u);
  EXPECT_EQ(splitsOfReshape({4, 3}, {3, 4}, {2, 3}), Set({}));
  EXPECT_EQ(splitsOfReshape({24}, {2, 4, 3}, {2, 2, 2}),
            Set({"S0,S0,S0->S0,S1,S1"}));
  EXPECT_EQ(splitsOfReshape({3, 24}, {3, 2, 2, 6}, {2, 2, 2})
                .count("S1,S1,S1->S1,S2,S3"),
            1u);
  EXPECT_EQ(splitsOfReshape({4, 77, 3}, {2, 2, 77, 3}, {2, 2, 3})
                .count("S0,S0,S2->S0,S1,S3"),
            1u);
  EXPECT_EQ(splitsOfReshape({4, 3}, {6, 2}, {2, 2}).count("S0,S0->S0,S0"), 0u);
}

// Repeated layers are derived once, whatever their site.
TEST(Signatures, AreCached) {
  OpCase c{"dropout",
           {"4x6xf32", "i32", "i32"},
           "graph.dropout %a0, %a1, %a2 rate 0.25 site \"d\" : "
           "(tensor<4x6xf32>, tensor<i32>, tensor<i32>) -> tensor<4x6xf32>",
           {"4x6xf32"}};
  auto one = parseCase(c);
  c.op.replace(c.op.find("\"d\""), 3, "\"e\"");
  auto two = parseCase(c);
  SignatureAnalysis analysis;
  EXPECT_EQ(&analysis.getRules(opOf(*one)), &analysis.getRules(opOf(*two)));
}

} // namespace
