// SPDX-License-Identifier: Apache-2.0
#include "compiler/Emit/Emit.h"
#include "compiler/API/InitDialects.h"
#include "compiler/Memory/Passes.h"
#include "runtime/io/File.h"

#include "mlir/Parser/Parser.h"

#include <gtest/gtest.h>

using namespace mlir;

namespace weir::compiler {
namespace {

class EmitTest : public testing::Test {
protected:
  EmitTest() {
    DialectRegistry registry;
    registerAllWeirDialects(registry);
    context.appendDialectRegistry(registry);
    context.loadAllAvailableDialects();
  }

  /// The step of test/compiler/Memory/build-actors.mlir, placed.
  OwningOpRef<ModuleOp> placed() {
    StatusOr<std::string> text = readFile(WEIR_BUILD_ACTORS);
    EXPECT_TRUE(text.ok());
    OwningOpRef<ModuleOp> module = parseSourceString<ModuleOp>(*text, &context);
    PassManager manager(&context);
    manager.addPass(createBuildActorsPass());
    manager.addPass(createPlaceBuffersPass());
    manager.addPass(createVerifyPlanPass());
    EXPECT_TRUE(succeeded(manager.run(*module)));
    return module;
  }

  MLIRContext context;
};

TEST_F(EmitTest, ThePlanSaysWhatTheModuleSays) {
  OwningOpRef<ModuleOp> module = placed();
  FailureOr<plan::Plan> plan = buildPlan(*module);
  ASSERT_TRUE(succeeded(plan));
  Status status = plan::verifyPlan(*plan);
  ASSERT_TRUE(status.ok()) << status.message();

  ASSERT_EQ(plan->mesh.size(), 2u);
  EXPECT_EQ(plan->mesh[0].name, "dp");
  EXPECT_TRUE(plan->mesh[1].time);
  EXPECT_EQ(plan->numRanks(), 2);
  ASSERT_EQ(plan->segments.size(), 3u);
  EXPECT_EQ(plan->segments[2].kind, plan::Segment::Kind::Step);
  EXPECT_EQ(plan->segments[2].bytes, 256);
  ASSERT_EQ(plan->variables.size(), 3u);
  EXPECT_EQ(plan->variables[1].name, "b");
  EXPECT_EQ(plan->variables[1].offset, 128);
  EXPECT_EQ(plan->variables[2].kind, plan::Variable::Kind::OptimizerState);
  EXPECT_EQ(plan->variables[2].segment, 1);

  ASSERT_EQ(plan->entries.size(), 1u);
  const plan::Entry &entry = plan->entries[0];
  EXPECT_EQ(entry.microBatches, 2);
  ASSERT_EQ(entry.inputs.size(), 1u);
  EXPECT_EQ(entry.inputs[0].shape, (std::vector<int64_t>{8, 8}));
  ASSERT_EQ(entry.outputs.size(), 1u);
  EXPECT_EQ(entry.outputs[0].name, "loss");
  EXPECT_EQ(entry.streams, (std::vector<std::string>{"compute", "comm"}));
  // x, w, w/m, acc, part, reduced, loss.
  ASSERT_EQ(entry.buffers.size(), 7u);
  EXPECT_EQ(entry.buffers[0].segment, -1);
  EXPECT_EQ(entry.buffers[0].binding, 0);
  EXPECT_TRUE(entry.buffers[6].bindingIsOutput);
  EXPECT_GE(entry.buffers[6].segment, 0);
  // fill, take, mm, four phases, update.
  ASSERT_EQ(entry.actions.size(), 8u);
  EXPECT_EQ(entry.actions[0].kind, plan::Action::Kind::Fill);
  const plan::Action &contract = entry.actions[2];
  ASSERT_EQ(contract.kind, plan::Action::Kind::Contract);
  EXPECT_TRUE(contract.contract.accumulate);
  EXPECT_EQ(contract.buffers[1].byteOffset, 16);
  // The rows that a rank has are k: 2, 2, 2 and 1 of seven.
  const plan::ScalarExpr &k = entry.scalars[contract.contract.k.scalar];
  EXPECT_EQ(plan::evaluate(k, plan->mesh, {0, 0}), 2);
  EXPECT_EQ(plan::evaluate(k, plan->mesh, {1, 1}), 1);
  EXPECT_EQ(entry.actions[3].phase, plan::Action::Phase::Post);
  EXPECT_EQ(entry.actions[6].phase, plan::Action::Phase::Release);
  EXPECT_EQ(entry.actions[7].numReads, 3);
  EXPECT_EQ(entry.actions[7].chunks, 4);
  EXPECT_EQ(entry.registers.size(), 2u);
  EXPECT_EQ(entry.reuseEdges.size(), 1u);
  ASSERT_EQ(entry.schedule.size(), 2u);
  EXPECT_EQ(entry.schedule[0].size(), 4u);
}

TEST_F(EmitTest, TextOfAPlanReadsBack) {
  OwningOpRef<ModuleOp> module = placed();
  FailureOr<plan::Plan> plan = buildPlan(*module);
  ASSERT_TRUE(succeeded(plan));
  std::string text = plan::printPlan(*plan);
  StatusOr<plan::Plan> again = plan::parsePlan(text, "plan");
  ASSERT_TRUE(again.ok()) << again.status().message();
  EXPECT_EQ(plan::printPlan(*again), text);
}

TEST_F(EmitTest, AnUnplacedPlanIsRefused) {
  StatusOr<std::string> text = readFile(WEIR_BUILD_ACTORS);
  ASSERT_TRUE(text.ok());
  OwningOpRef<ModuleOp> module = parseSourceString<ModuleOp>(*text, &context);
  PassManager manager(&context);
  manager.addPass(createBuildActorsPass());
  ASSERT_TRUE(succeeded(manager.run(*module)));
  std::string message;
  ScopedDiagnosticHandler handler(&context, [&](Diagnostic &diagnostic) {
    message += diagnostic.str();
    return success();
  });
  EXPECT_TRUE(failed(buildPlan(*module)));
  EXPECT_NE(message.find("weir-place-buffers"), std::string::npos) << message;
}

TEST_F(EmitTest, KernelsTravelInTheText) {
  OwningOpRef<ModuleOp> module = ModuleOp::create(UnknownLoc::get(&context));
  EXPECT_TRUE([&] {
    ScopedDiagnosticHandler quiet(&context,
                                  [](Diagnostic &) { return success(); });
    return failed(attachedKernels(*module));
  }());
  CompiledKernels kernels;
  for (int i = 0; i < 1000; ++i)
    kernels.bytes += static_cast<char>(i * 7);
  kernels.features = {"avx2", "fma"};
  attachKernels(*module, kernels);
  std::string text;
  llvm::raw_string_ostream os(text);
  module->print(os); // not <<, which leaves resources out
  MLIRContext other;
  OwningOpRef<ModuleOp> parsed = parseSourceString<ModuleOp>(text, &other);
  ASSERT_TRUE(parsed);
  FailureOr<CompiledKernels> again = attachedKernels(*parsed);
  ASSERT_TRUE(succeeded(again));
  EXPECT_EQ(again->bytes, kernels.bytes);
  EXPECT_EQ(again->features, kernels.features);
  EXPECT_EQ(again->architecture, "x86_64");
}

} // namespace
} // namespace weir::compiler
