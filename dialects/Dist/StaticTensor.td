// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_DIALECTS_DIST_STATICTENSOR
#define WEIR_DIALECTS_DIST_STATICTENSOR

include "mlir/IR/OpBase.td"

// Every tensor of the program has a static shape (its capacity); what of it is
// used is a run-time extent, never a dynamic dimension.
def Weir_Tensor : Type<
    And<[AnyRankedTensor.predicate, HasStaticShapePred]>,
    "ranked tensor of static shape", "::mlir::RankedTensorType">;

#endif // WEIR_DIALECTS_DIST_STATICTENSOR
