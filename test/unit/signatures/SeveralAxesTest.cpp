// SPDX-License-Identifier: Apache-2.0
// Signatures on several mesh axes: derived axis by axis on the types that the
// axes before leave, listed in full for reshapes, and executed.
#include "test/unit/signatures/Cases.h"

#include "mlir/AsmParser/AsmParser.h"

#include <gtest/gtest.h>

using namespace mlir;
using namespace weir;
using namespace weir::compiler;
using namespace weir::compiler::test;
using dist::AxisLayout;

namespace {

dist::MeshAttr meshOf(ArrayRef<int64_t> sizes) {
  SmallVector<StringAttr> names;
  for (size_t i = 0; i < sizes.size(); ++i)
    names.push_back(StringAttr::get(&context(), "m" + std::to_string(i)));
  return dist::MeshAttr::get(&context(), names, sizes, false);
}

std::string typeText(ArrayRef<int64_t> shape) {
  std::string out;
  for (int64_t size : shape)
    out += std::to_string(size) + "x";
  return out + "f32";
}

Case reshapeCase(ArrayRef<int64_t> from, ArrayRef<int64_t> to) {
  return {"reshape",
          {typeText(from)},
          "%r0 = graph.reshape %a0 : (A0) -> R0",
          {typeText(to)}};
}

std::string textOf(ArrayRef<AxisLayouts> operands,
                   ArrayRef<AxisLayouts> results) {
  std::string out;
  auto list = [&](ArrayRef<AxisLayouts> values) {
    for (auto [v, layouts] : llvm::enumerate(values)) {
      out += v ? " ; " : "";
      for (auto [i, layout] : llvm::enumerate(layouts))
        out += (i ? "," : "") + shortText(layout);
    }
  };
  list(operands);
  out += "->";
  list(results);
  return out;
}

/// The signatures of a reshape that split every axis evenly, in plain units, as
/// the published lists count them. Each is executed.
std::set<std::string> evenSplits(ArrayRef<int64_t> from, ArrayRef<int64_t> to,
                                 ArrayRef<int64_t> sizes) {
  Function function = parse(reshapeCase(from, to));
  dist::MeshAttr mesh = meshOf(sizes);
  SignatureAnalysis analysis(mesh);
  std::set<std::string> found;
  forEachSignature(
      function.op(), mesh, analysis,
      [](const OpSignature &signature, int64_t) {
        return signature.operands[0].isSplit() &&
               signature.operands[0].unit == 1 &&
               signature.results[0].unit == 1;
      },
      [&](ArrayRef<AxisLayouts> operands, ArrayRef<AxisLayouts> results) {
        auto isEven = [&](const AxisLayouts &layouts, ArrayRef<int64_t> shape) {
          SmallVector<int64_t> local(shape);
          for (auto [axis, layout] : llvm::enumerate(layouts)) {
            if (local[layout.dim] % sizes[axis] != 0)
              return false;
            local[layout.dim] /= sizes[axis];
          }
          return true;
        };
        EXPECT_EQ(executeSignature(*function.block, function.results, mesh,
                                   operands, results),
                  "")
            << textOf(operands, results);
        if (isEven(operands[0], from) && isEven(results[0], to))
          found.insert(textOf(operands, results));
      });
  return found;
}

using Set = std::set<std::string>;

// The oracles' complete lists of n-D reshapes with a split on every axis.
TEST(SeveralAxes, ListReshapesCompletely) {
  EXPECT_EQ(evenSplits({4}, {2, 2}, {2, 2}), Set({"S0,S0->S0,S1"}));
  EXPECT_EQ(evenSplits({12}, {2, 2, 3}, {2, 2}), Set({"S0,S0->S0,S1"}));
  EXPECT_EQ(evenSplits({2, 4}, {8}, {2, 2}), Set({"S0,S1->S0,S0"}));
  EXPECT_EQ(evenSplits({8, 2}, {2, 4, 2}, {2, 2}),
            Set({"S0,S0->S0,S1", "S0,S1->S0,S2", "S1,S0->S2,S0"}));
  EXPECT_EQ(evenSplits({3, 2, 3, 5}, {3, 30}, {2, 3}),
            Set({"S1,S0->S1,S0", "S1,S2->S1,S1"}));
  EXPECT_EQ(evenSplits({4, 3}, {3, 4}, {2, 3}), Set({}));
  EXPECT_EQ(evenSplits({24}, {2, 4, 3}, {2, 2, 2}),
            Set({"S0,S0,S0->S0,S1,S1"}));
  EXPECT_EQ(evenSplits({3, 24}, {3, 2, 2, 6}, {2, 2, 2}),
            Set({"S1,S1,S1->S1,S2,S3"}));
  EXPECT_EQ(evenSplits({4, 77, 3}, {2, 2, 77, 3}, {2, 2, 3}),
            Set({"S0,S0,S2->S0,S1,S3"}));
}

// Each axis alone looks fine: (4,3)->(6,2) on 2x2. The second axis is not
// derived on what the first one leaves, and execution shows why.
TEST(SeveralAxes, RefuseWhatOnlyHoldsAxisByAxis) {
  Case c = reshapeCase({4, 3}, {6, 2});
  Function function = parse(c);
  EXPECT_TRUE(textsOf(function).count("S0->S0"));
  EXPECT_EQ(evenSplits({4, 3}, {6, 2}, {2, 2}), Set({}));
  AxisLayouts both = {AxisLayout::split(0), AxisLayout::split(0)};
  EXPECT_NE(executeSignature(*function.block, function.results, meshOf({2, 2}),
                             both, both),
            "");
}

// Splits in units hold whatever the axis: a reshape of heads x size is split by
// heads on three and five coordinates, and on two axes at once.
TEST(SeveralAxes, SplitReshapesInUnits) {
  Function function = parse(reshapeCase({4, 48}, {4, 6, 8}));
  std::vector<OpSignature> derived = function.derive();
  auto find = [&](const std::string &text) -> const OpSignature * {
    for (const OpSignature &signature : derived)
      if (shortText(signature) == text)
        return &signature;
    return nullptr;
  };
  const OpSignature *units = find("S1/8->S1"), *plain = find("S1->S1");
  ASSERT_TRUE(units && plain);
  EXPECT_TRUE(units->allows(4));
  EXPECT_FALSE(plain->allows(4));
  EXPECT_TRUE(plain->allows(3));
  EXPECT_EQ(units->atoms, 6);
  EXPECT_EQ(shortText(*units->inUnits(2)), "S1/16->S1/2");
  EXPECT_FALSE(units->inUnits(4));
  EXPECT_TRUE(units->covers(signatureOf("S1/24->S1/3")));
  EXPECT_FALSE(units->covers(signatureOf("S1/8->S1/2")));
  EXPECT_FALSE(units->covers(signatureOf("S1/4->S1")));
  const std::vector<std::vector<int64_t>> meshes = {
      {4}, {5}, {2, 2}, {2, 3}, {4, 2}};
  for (const std::vector<int64_t> &sizes : meshes) {
    AxisLayouts in(sizes.size(), AxisLayout::split(1, 8)),
        out(sizes.size(), AxisLayout::split(1));
    EXPECT_EQ(executeSignature(*function.block, function.results, meshOf(sizes),
                               in, out),
              "");
    // Derived likewise, axis by axis.
    bool found = false;
    dist::MeshAttr mesh = meshOf(sizes);
    SignatureAnalysis analysis(mesh);
    forEachSignature(
        function.op(), mesh, analysis,
        [](const OpSignature &signature, int64_t) {
          return signature.operands[0].isSplit(1) &&
                 signature.operands[0].unit == 8;
        },
        [&](ArrayRef<AxisLayouts>, ArrayRef<AxisLayouts> results) {
          found |= results[0] == out;
        });
    EXPECT_TRUE(found);
  }
  // Ops that regroup nothing take any units.
  Function sum =
      parse({"add", {"4x48xf32"}, "%r0 = graph.neg %a0 : A0", {"4x48xf32"}});
  bool covered = false;
  for (const OpSignature &signature : sum.derive())
    covered |= signature.covers(signatureOf("S1/8->S1/8"));
  EXPECT_TRUE(covered);
}

// Every pair of signatures on two axes, one for each, executed: ops of every
// kind of piece, on even and uneven meshes, and reshapes on all of them.
TEST(SeveralAxes, HoldWhenExecuted) {
  const std::set<std::string> names = {"matmul",
                                       "add",
                                       "maximum",
                                       "reduce_sum",
                                       "reduce_max",
                                       "embedding",
                                       "layer_norm",
                                       "where",
                                       "unsorted_segment_sum",
                                       "transpose",
                                       "slice",
                                       "concat",
                                       "take of rows",
                                       "dim_gather",
                                       "cumsum",
                                       "conv2d k=1 s=1",
                                       "max_pool 2x2 s2",
                                       "cross_entropy_grad",
                                       "dropout",
                                       "iota"};
  const std::vector<std::vector<int64_t>> meshes = {{2, 2}, {2, 3}};
  size_t used = 0, executed = 0;
  for (const Case &c : allCases()) {
    if (!names.count(c.name) && c.name.find("reshape (") != 0 &&
        c.name.find("view ") != 0)
      continue;
    ++used;
    Function function = parse(c);
    ProofOptions options;
    options.integersTo = c.integers;
    for (const std::vector<int64_t> &sizes : meshes) {
      dist::MeshAttr mesh = meshOf(sizes);
      SignatureAnalysis analysis(mesh);
      forEachSignature(
          function.op(), mesh, analysis,
          [](const OpSignature &, int64_t) { return true; },
          [&](ArrayRef<AxisLayouts> operands, ArrayRef<AxisLayouts> results) {
            ++executed;
            EXPECT_EQ(executeSignature(*function.block, function.results, mesh,
                                       operands, results, options),
                      "")
                << c.name << " " << textOf(operands, results) << " on "
                << sizes[0] << "x" << sizes[1];
          });
    }
  }
  EXPECT_EQ(used, names.size() + 7);
  EXPECT_GT(executed, 1000u);
}

// Repeated layers are derived once, whatever their site.
TEST(Signatures, AreCached) {
  Case c{"dropout",
         {"4x6xf32", "i32", "i32"},
         "%r0 = graph.dropout %a0, %a1, %a2 rate 0.25 site \"d\" : (A0, A1, "
         "A2) -> R0",
         {"4x6xf32"}};
  Function one = parse(c);
  c.body.replace(c.body.find("\"d\""), 3, "\"e\"");
  Function two = parse(c);
  SignatureAnalysis analysis;
  EXPECT_EQ(&analysis.getRules(one.op()), &analysis.getRules(two.op()));
}

} // namespace
