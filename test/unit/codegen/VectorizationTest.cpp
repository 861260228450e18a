// SPDX-License-Identifier: Apache-2.0
// Hot loops are vectorised with the widest registers of the target, and call
// nothing: judged by the assembly of kernels as formation makes them.
#include "compiler/API/InitDialects.h"
#include "compiler/Codegen/Codegen.h"
#include "compiler/Kernels/Passes.h"
#include "test/unit/codegen/CompiledModule.h"

#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Object/ELFObjectFile.h"

#include <gtest/gtest.h>

using namespace mlir;

namespace weir::compiler::test {
namespace {

const char *const program = R"(
  graph.entry @f(%x: tensor<64x768xf32> {graph.input = "x"}, %r: tensor<64x768xf32> {graph.input = "r"},
                 %w: tensor<768xf32> {graph.input = "w"}, %b: tensor<768xf32> {graph.input = "b"},
                 %l: tensor<64xi32> {graph.input = "l"}, %s: tensor<f32> {graph.input = "s"},
                 %a: tensor<i1> {graph.input = "a"}, %seed: tensor<i32> {graph.input = "seed"})
      -> (tensor<64x768xf32> {graph.output = "y0"}, tensor<64x768xf32> {graph.output = "y1"},
          tensor<64x768xf32> {graph.output = "y2"}, tensor<64xf32> {graph.output = "y3"},
          tensor<64x768xf32> {graph.output = "y4"}, tensor<768xf32> {graph.output = "y5"},
          tensor<64x768xf32> {graph.output = "y6"}) {
    %0, %mean, %rstd = graph.layer_norm %x, %w, %b epsilon 1.0e-5
        : (tensor<64x768xf32>, tensor<768xf32>, tensor<768xf32>) -> (tensor<64x768xf32>, tensor<64xf32>, tensor<64xf32>)
    %1 = graph.softmax %x : tensor<64x768xf32>
    %2 = graph.gelu tanh %r : tensor<64x768xf32>
    %3, %lse = graph.cross_entropy %x, %l ignore -100
        : (tensor<64x768xf32>, tensor<64xi32>) -> (tensor<64xf32>, tensor<64xf32>)
    %4:3 = graph.adamw %x, %r, %r, %x, %s, %s, %s, %s, %s, %s, %s, %s, %a site "adamw"
        : (tensor<64x768xf32>, tensor<64x768xf32>, tensor<64x768xf32>, tensor<64x768xf32>,
           tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>,
           tensor<f32>, tensor<f32>, tensor<i1>)
        -> (tensor<64x768xf32>, tensor<64x768xf32>, tensor<64x768xf32>)
    %5 = graph.reduce sum %r [0] : (tensor<64x768xf32>) -> tensor<768xf32>
    %6 = graph.dropout %r, %seed, %seed rate 0.1 site "dropout"
        : (tensor<64x768xf32>, tensor<i32>, tensor<i32>) -> tensor<64x768xf32>
    graph.return %0, %1, %2, %3, %4#0, %5, %6 : tensor<64x768xf32>, tensor<64x768xf32>, tensor<64x768xf32>,
        tensor<64xf32>, tensor<64x768xf32>, tensor<768xf32>, tensor<64x768xf32>
  })";

class Vectorization : public testing::TestWithParam<const char *> {};

TEST_P(Vectorization, LoopsUseTheWidestRegisters) {
  DialectRegistry registry;
  registerAllWeirDialects(registry);
  MLIRContext context(registry, MLIRContext::Threading::DISABLED);
  context.loadAllAvailableDialects();
  auto module = parseSourceString<ModuleOp>(program, &context);
  ASSERT_TRUE(module);
  PassManager manager(&context);
  // Each op by itself, so that none hides behind another.
  FormKernelsPassOptions options;
  options.chunks = 2;
  manager.addPass(createFormKernelsPass(options));
  ASSERT_TRUE(succeeded(manager.run(*module)));
  CompiledModule compiled(context, *module, GetParam());
  bool is512 = StringRef(GetParam()) == "x86-64-v4";
  StringRef wide = is512 ? "%zmm" : "%ymm";

  int kernels = 0;
  StringRef name;
  llvm::StringMap<std::pair<int, int>>
      counts; // packed in wide registers, scalar
  SmallVector<StringRef> lines;
  StringRef(compiled.assembly).split(lines, '\n');
  for (StringRef line : lines) {
    if (line.contains("_kernel") && line.ends_with(":")) {
      name = line.drop_back();
      ++kernels;
      continue;
    }
    StringRef instruction = line.trim().split('\t').first;
    EXPECT_FALSE(instruction.starts_with("call"))
        << name.str() << ": " << line.str();
    bool arithmetic =
        StringRef(instruction).starts_with("v") &&
        (instruction.contains("add") || instruction.contains("mul") ||
         instruction.contains("sub") || instruction.contains("max") ||
         instruction.contains("div"));
    if (!arithmetic)
      continue;
    if (instruction.ends_with("ps") || instruction.ends_with("dq") ||
        instruction.ends_with("d"))
      counts[name].first += line.contains(wide);
    else if (instruction.ends_with("ss"))
      ++counts[name].second;
  }
  EXPECT_GE(kernels, 5);
  for (auto &[kernel, count] : counts) {
    EXPECT_GE(count.first, 1) << kernel.str() << " is not vectorised";
    // Scalars remain where a row's result is finished.
    EXPECT_LE(count.second, 2 * count.first + 12) << kernel.str();
  }
}

INSTANTIATE_TEST_SUITE_P(Cpus, Vectorization,
                         testing::Values("x86-64-v3", "x86-64-v4"),
                         [](const auto &info) {
                           return std::string(
                               StringRef(info.param).take_back(2));
                         });

TEST(SharedObject, NeedsNothing) {
  CompiledModule module(R"(
    kernel.func @copy ins(%x: tensor<8xf32> strides [1]) outs(%d: tensor<8xf32> strides [1]) chunks 1 {
      kernel.yield %x : tensor<8xf32>
    })");
  ASSERT_TRUE(module.ok());
  auto object = llvm::object::ObjectFile::createObjectFile(
      llvm::MemoryBufferRef(module.sharedObject, "kernels.so"));
  ASSERT_TRUE(bool(object));
  auto *elf = llvm::cast<llvm::object::ELF64LEObjectFile>(object->get());
  auto entries = elf->getELFFile().dynamicEntries();
  ASSERT_TRUE(bool(entries));
  for (const auto &entry : *entries)
    EXPECT_NE(entry.d_tag, llvm::ELF::DT_NEEDED);
  std::vector<float> x = {1, 2, 3, 4, 5, 6, 7, 8}, y(8);
  module.run("copy", {x.data(), y.data()});
  EXPECT_EQ(x, y);
}

TEST(SharedObject, UnknownCpuIsRefused) {
  auto context = createContext();
  auto module = parseSourceString<ModuleOp>("", context.get());
  CodegenOptions options;
  options.cpu = "z80";
  std::string bytes, message;
  SmallVector<std::string> features;
  ScopedDiagnosticHandler handler(context.get(), [&](Diagnostic &diagnostic) {
    message = diagnostic.str();
    return success();
  });
  EXPECT_TRUE(failed(compileKernels(*module, options, bytes, features)));
  EXPECT_EQ(message,
            "unknown CPU 'z80'; known are host, x86-64-v3 and x86-64-v4");
}

TEST(SharedObject, EmptyModuleAndSortedFeatures) {
  auto context = createContext();
  auto module = parseSourceString<ModuleOp>("", context.get());
  CodegenOptions options;
  options.cpu = "x86-64-v3";
  std::string bytes;
  SmallVector<std::string> features;
  ASSERT_TRUE(succeeded(compileKernels(*module, options, bytes, features)));
  EXPECT_FALSE(bytes.empty());
  EXPECT_TRUE(llvm::is_sorted(features));
  EXPECT_TRUE(llvm::is_contained(features, "avx2"));
  EXPECT_FALSE(llvm::is_contained(features, "avx512f"));
}

} // namespace
} // namespace weir::compiler::test
