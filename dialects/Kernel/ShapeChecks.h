// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_DIALECTS_KERNEL_SHAPECHECKS_H
#define WEIR_DIALECTS_KERNEL_SHAPECHECKS_H

#include "dialects/Pch.h"

/// Checks of shapes that verifiers of the graph and kernel dialects share. All
/// take types as given (local types have capacities for shapes), emit an error
/// on `op` and return failure when they do not hold.
namespace weir::kernel {

/// `value` (called `what` in messages) has this shape.
llvm::LogicalResult expectShape(mlir::Operation *op, llvm::StringRef what,
                                mlir::Value value,
                                llvm::ArrayRef<int64_t> shape);
/// `value` has this element type.
llvm::LogicalResult expectElementType(mlir::Operation *op, llvm::StringRef what,
                                      mlir::Value value, mlir::Type type);
/// `value` has a floating-point element type.
llvm::LogicalResult expectFloat(mlir::Operation *op, llvm::StringRef what,
                                mlir::Value value);
/// `value` has an integer (not i1) element type.
llvm::LogicalResult expectInteger(mlir::Operation *op, llvm::StringRef what,
                                  mlir::Value value);
/// `value` has numbers: floating-point, or integers of more than one bit.
llvm::LogicalResult expectNumbers(mlir::Operation *op, llvm::StringRef what,
                                  mlir::Value value);
/// `value` has this rank.
llvm::LogicalResult expectRank(mlir::Operation *op, llvm::StringRef what,
                               mlir::Value value, int64_t rank);
/// `dim` (attribute `name`) is a dimension of a tensor of rank `rank`.
llvm::LogicalResult expectDim(mlir::Operation *op, llvm::StringRef name,
                              int64_t dim, int64_t rank);

/// Row-major reinterpretation: equally many elements, one element type.
llvm::LogicalResult verifyReshape(mlir::Operation *op, mlir::Value input,
                                  mlir::Value output);
llvm::LogicalResult verifyTranspose(mlir::Operation *op, mlir::Value input,
                                    llvm::ArrayRef<int64_t> permutation,
                                    mlir::Value output);
llvm::LogicalResult verifySlice(mlir::Operation *op, mlir::Value input,
                                llvm::ArrayRef<int64_t> offsets,
                                mlir::Value output);
llvm::LogicalResult verifyConcat(mlir::Operation *op, mlir::ValueRange inputs,
                                 int64_t dim, mlir::Value output);
/// `output[i..., f...] = table[indices[i...], f...]`; also the shapes of its
/// transpose. `tableName` and `outputName` are the names in messages.
llvm::LogicalResult verifyGather(mlir::Operation *op, llvm::StringRef tableName,
                                 mlir::Value table, mlir::Value indices,
                                 llvm::StringRef outputName,
                                 mlir::Value output);
/// `output[p..., i..., q...] = input[p..., indices[i...], q...]` with `p` the
/// dims before `dim`, or with `along` one index for each element of the
/// output; also the shapes of its transpose.
llvm::LogicalResult verifyTake(mlir::Operation *op, llvm::StringRef inputName,
                               mlir::Value input, mlir::Value indices,
                               int64_t dim, bool along,
                               llvm::StringRef outputName, mlir::Value output);
/// `output` has the type of `input`, which has numbers and the dim `dim`.
llvm::LogicalResult verifyScan(mlir::Operation *op, mlir::Value input,
                               int64_t dim, mlir::Value output);
/// `values` and `indices` have the shape of `input` but for `dim`, where they
/// have at most as many elements.
llvm::LogicalResult verifySort(mlir::Operation *op, mlir::Value input,
                               int64_t dim, mlir::Value values,
                               mlir::Value indices, bool whole);
/// A constant's value holds elements (dense or resource) of a tensor type.
llvm::LogicalResult verifyConstant(mlir::Operation *op, mlir::Attribute value);

} // namespace weir::kernel

#endif // WEIR_DIALECTS_KERNEL_SHAPECHECKS_H
