// SPDX-License-Identifier: Apache-2.0
#include "compiler/Sharding/Layouts.h"
#include "compiler/Sharding/Passes.h"
#include "compiler/Sharding/SignatureProof.h"

namespace weir::compiler {
#define GEN_PASS_DEF_PROVESIGNATURESPASS
#include "compiler/Sharding/Passes.h.inc"
} // namespace weir::compiler

using namespace mlir;
using namespace weir;
using namespace weir::compiler;

namespace {

class ProveSignatures
    : public compiler::impl::ProveSignaturesPassBase<ProveSignatures> {
public:
  using ProveSignaturesPassBase::ProveSignaturesPassBase;

  void runOnOperation() override {
    SignatureAnalysis analysis;
    // Equal ops have one set of rules.
    DenseSet<const OpRules *> proved;
    bool bad = false;
    getOperation().walk([&](Operation *op) {
      if (!isa<graph::ExpandOpInterface>(op) ||
          !proved.insert(&analysis.getRules(op)).second)
        return;
      bad |= failed(prove(op));
    });
    if (bad)
      signalPassFailure();
    markAllAnalysesPreserved();
  }

private:
  LogicalResult prove(Operation *op) {
    int64_t largest = 0;
    auto isLogical = [&](Type type) {
      auto tensor = cast<RankedTensorType>(type);
      largest = std::max(largest, tensor.getNumElements());
      return !tensor.getEncoding();
    };
    if (!llvm::all_of(op->getOperandTypes(), isLogical) ||
        !llvm::all_of(op->getResultTypes(), isLogical))
      return op->emitError()
             << "expects logical tensors, got local ones of " << describe(op);
    if (largest > maxElements) {
      op->emitRemark() << "skips " << describe(op) << ": " << largest
                       << " elements, more than max-elements="
                       << maxElements.getValue();
      return success();
    }
    ProofOptions options;
    options.maxAssignments = maxAssignments;
    options.integersTo = integers;
    options.seed = seed;
    options.units = isa<graph::ReshapeOp>(op);
    ProofReport report = proveSignatures(op, options);
    if (!report.error.empty())
      return op->emitError() << "expects " << describe(op)
                             << " to be executable: " << report.error;
    for (const ProofFinding &finding : report.incorrect)
      op->emitError() << "expects a sound signature of " << describe(op)
                      << " on " << finding.parts << " coordinates, got "
                      << shortText(finding.signature) << ": " << finding.reason;
    for (const ProofFinding &finding : report.missing)
      op->emitRemark() << "holds on " << finding.parts
                       << " coordinates and is not derived for " << describe(op)
                       << ": " << shortText(finding.signature);
    op->emitRemark() << "proved " << describe(op) << ": " << report.derived
                     << " derived signatures hold, " << report.assignments
                     << (report.sampled ? " drawn" : "")
                     << " layouts of operands tried";
    return success(report.incorrect.empty());
  }
};

} // namespace
