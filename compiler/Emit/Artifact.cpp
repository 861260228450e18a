// SPDX-License-Identifier: Apache-2.0
#include "runtime/plan/Artifact.h"
#include "compiler/Emit/Emit.h"

#include "mlir/IR/AsmState.h"
#include "mlir/IR/DialectResourceBlobManager.h"

using namespace mlir;

namespace weir::compiler {

namespace {

// Discardable attributes of the module.
constexpr llvm::StringLiteral objectAttr = "kernel.object";
constexpr llvm::StringLiteral featuresAttr = "kernel.object_features";
constexpr llvm::StringLiteral architectureAttr = "kernel.object_architecture";

} // namespace

Status writeArtifact(const plan::Plan &plan, const ArtifactContents &contents,
                     const std::string &path) {
  // The compiler has proved the plan; what the file's own rules refuse is a
  // fault of ours.
  if (Status status = plan::verifyPlan(plan); !status.ok())
    return internalError(status.message());
  WEIR_ASSIGN_OR_RETURN(plan::ArtifactWriter writer,
                        plan::ArtifactWriter::create(path));
  writer.setProducer(contents.producer);
  writer.setIgnoredWeights(contents.ignoredWeights);
  for (const auto &[key, value] : contents.properties)
    writer.setProperty(key, value);
  WEIR_RETURN_IF_ERROR(writer.addPlan(plan));
  if (!contents.kernels.bytes.empty())
    WEIR_RETURN_IF_ERROR(writer.addKernels(contents.kernels.bytes,
                                           contents.kernels.architecture,
                                           contents.kernels.features));
  for (const auto &[name, content] : contents.members)
    WEIR_RETURN_IF_ERROR(writer.addMember(name, content));
  return writer.finish();
}

void attachKernels(ModuleOp module, const CompiledKernels &kernels) {
  MLIRContext *context = module.getContext();
  Builder builder(context);
  auto type = RankedTensorType::get(
      {static_cast<int64_t>(kernels.bytes.size())}, builder.getI8Type());
  AsmResourceBlob blob = HeapAsmResourceBlob::allocateAndCopyWithAlign(
      llvm::ArrayRef<char>(kernels.bytes.data(), kernels.bytes.size()), 8);
  module->setAttr(objectAttr, DenseResourceElementsAttr::get(type, "kernels",
                                                             std::move(blob)));
  llvm::SmallVector<Attribute> features;
  for (const std::string &feature : kernels.features)
    features.push_back(builder.getStringAttr(feature));
  module->setAttr(featuresAttr, builder.getArrayAttr(features));
  module->setAttr(architectureAttr,
                  builder.getStringAttr(kernels.architecture));
}

FailureOr<CompiledKernels> attachedKernels(ModuleOp module) {
  auto object = module->getAttrOfType<DenseResourceElementsAttr>(objectAttr);
  auto features = module->getAttrOfType<ArrayAttr>(featuresAttr);
  auto architecture = module->getAttrOfType<StringAttr>(architectureAttr);
  AsmResourceBlob *blob = object ? object.getRawHandle().getBlob() : nullptr;
  if (!blob || !features || !architecture)
    return module.emitError("expects compiled kernels in attribute '")
           << objectAttr << "'; start at codegen or before";
  CompiledKernels kernels;
  kernels.bytes.assign(blob->getData().data(), blob->getData().size());
  kernels.architecture = architecture.str();
  for (Attribute feature : features)
    if (auto text = llvm::dyn_cast<StringAttr>(feature))
      kernels.features.push_back(text.str());
  return kernels;
}

} // namespace weir::compiler
