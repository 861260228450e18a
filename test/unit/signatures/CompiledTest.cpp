// SPDX-License-Identifier: Apache-2.0
// A sample of derived signatures through the passes to compiled kernels: the
// sharded program equals the unsplit op, and each of its kernels, compiled for
// this machine, equals the interpreter at every coordinate.
#include "compiler/Interpreter/Interpreter.h"
#include "compiler/Kernels/Passes.h"
#include "compiler/Sharding/Passes.h"
#include "test/unit/codegen/KernelCheck.h"
#include "test/unit/signatures/Cases.h"

#include "mlir/AsmParser/AsmParser.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Pass/PassManager.h"

#include <cmath>
#include <gtest/gtest.h>

using namespace mlir;
using namespace weir;
using namespace weir::compiler;
using namespace weir::compiler::test;
using dist::AxisLayout;
using dist::LayoutAttr;

namespace {

Tensor argumentOf(RankedTensorType type, const Case &c, uint64_t stream) {
  ElementKind kind = *elementKindOf(type.getElementType());
  Tensor tensor = Tensor::zeros(kind, type.getShape());
  for (int64_t i = 0; i < tensor.size(); ++i) {
    auto draw = int64_t((i * 7919 + stream * 104729 + i * i * 31) % 1000);
    if (kind == ElementKind::Float)
      tensor.floats[i] = double(draw) / 500 - 0.9997;
    else
      tensor.ints[i] = draw % (kind == ElementKind::I1 ? 2 : c.integers);
  }
  return tensor;
}

class Compiled : public testing::TestWithParam<Case> {};

// On three coordinates, which divide few of the dimensions here.
TEST_P(Compiled, SignaturesEqualTheUnsplitOp) {
  const Case &c = GetParam();
  Function whole = parse(c);
  ASSERT_TRUE(whole.block);
  std::vector<Tensor> arguments;
  for (auto [i, argument] : llvm::enumerate(whole.block->getArguments()))
    arguments.push_back(
        argumentOf(cast<RankedTensorType>(argument.getType()), c, i + 1));
  auto want = Interpreter(*whole.module).run("f", arguments);
  ASSERT_TRUE(succeeded(want));
  int executed = 0;
  for (const OpSignature &signature : deriveSignatures(whole.op())) {
    // Extrema have a test of their own; a split of every kind is a sample.
    auto isExtremum = [](const AxisLayout &layout) {
      return layout.isPartial() && layout.reduction != dist::Reduction::Sum;
    };
    if (signature.isBroadcast() || !signature.allows(3) ||
        llvm::any_of(signature.operands, isExtremum))
      continue;
    SCOPED_TRACE(shortText(signature));
    Function function = parse(c);
    auto entry = cast<graph::EntryOp>(function.block->getParentOp());
    ModuleOp module = *function.module;
    module->setAttr(dist::DistDialect::getMeshAttrName(),
                    parseAttribute("#dist.mesh<x=3>", &context()));
    auto broadcast = LayoutAttr::getBroadcast(&context(), 1);
    for (unsigned i = 0; i < c.operands.size(); ++i)
      entry.setArgAttr(i, dist::DistDialect::getLayoutAttrName(), broadcast);
    for (unsigned i = 0; i < c.results.size(); ++i)
      entry.setResultAttr(i, dist::DistDialect::getLayoutAttrName(), broadcast);
    SmallVector<LayoutAttr> operands, results;
    for (const AxisLayout &layout : signature.operands)
      operands.push_back(LayoutAttr::get(&context(), {layout}));
    for (const AxisLayout &layout : signature.results)
      results.push_back(LayoutAttr::get(&context(), {layout}));
    function.op()->setAttr(
        dist::DistDialect::getSignatureAttrName(),
        dist::SignatureAttr::get(&context(), operands, results));
    PassManager manager(&context());
    manager.addPass(createVerifyLayoutsPass());
    addShardPasses(manager);
    FormKernelsPassOptions options;
    options.chunks = 2;
    manager.addPass(createFormKernelsPass(options));
    ASSERT_TRUE(succeeded(manager.run(module)));
    ASSERT_TRUE(succeeded(verify(module)));
    auto got = Interpreter(module).run("f", arguments);
    ASSERT_TRUE(succeeded(got));
    for (auto [have, wanted] : llvm::zip_equal(*got, *want)) {
      ASSERT_EQ(have.shape, wanted.shape);
      for (int64_t i = 0; i < wanted.size(); ++i)
        // f64, but constants of pieces are those of the element type, f32.
        ASSERT_TRUE(std::isnan(wanted.at(i))
                        ? std::isnan(have.at(i))
                        : std::abs(have.at(i) - wanted.at(i)) <=
                              1e-6 * (1 + std::abs(wanted.at(i))))
            << i << ": " << have.at(i) << " for " << wanted.at(i);
    }
    checkKernels(module);
    ++executed;
  }
  EXPECT_GT(executed, 0);
}

std::vector<Case> sample() {
  const std::set<std::string> names = {"matmul",
                                       "broadcast_matmul_grad_b",
                                       "mul",
                                       "reduce_sum",
                                       "softmax",
                                       "layer_norm",
                                       "transpose",
                                       "unsorted_segment_sum",
                                       "embedding",
                                       "slice",
                                       "concat",
                                       "reshape (4,48)->(4,6,8)",
                                       "where",
                                       "cross_entropy_grad",
                                       "reshape (12,2)->(2,6,2)",
                                       "iota",
                                       "dropout"};
  std::vector<Case> cases;
  for (const Case &c : allCases())
    if (names.count(c.name))
      cases.push_back(c);
  EXPECT_EQ(cases.size(), names.size());
  return cases;
}

INSTANTIATE_TEST_SUITE_P(Cases, Compiled, testing::ValuesIn(sample()),
                         [](const testing::TestParamInfo<Case> &info) {
                           std::string name;
                           for (char c : info.param.name)
                             name += isalnum(c) ? c : '_';
                           return name;
                         });

} // namespace
