// SPDX-License-Identifier: Apache-2.0
// weir-opt: runs passes on a module in any dialect of Weir; the tool of tests.
#include "compiler/API/InitDialects.h"
#include "compiler/Autodiff/Passes.h"
#include "compiler/Kernels/Passes.h"
#include "compiler/Memory/Passes.h"
#include "compiler/Pipeline/Passes.h"
#include "compiler/Sharding/Passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/DialectRegistry.h"
#include "mlir/Tools/mlir-opt/MlirOptMain.h"
#include "mlir/Transforms/Passes.h"

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  weir::compiler::registerAllWeirDialects(registry);
  registry.insert<mlir::func::FuncDialect, mlir::LLVM::LLVMDialect,
                  mlir::scf::SCFDialect>();
  weir::compiler::registerAutodiffPasses();
  weir::compiler::registerKernelsPasses();
  weir::compiler::registerMemoryPasses();
  weir::compiler::registerPipelinePasses();
  weir::compiler::registerShardingPasses();
  mlir::registerCanonicalizerPass();
  mlir::registerCSEPass();
  return mlir::asMainReturnCode(
      mlir::MlirOptMain(argc, argv, "Weir optimizer driver\n", registry));
}
