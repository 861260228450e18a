// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_DIALECTS_GRAPH_GRAPHINTERFACES
#define WEIR_DIALECTS_GRAPH_GRAPHINTERFACES

include "mlir/IR/OpBase.td"

def Graph_ExpandOpInterface : OpInterface<"ExpandOpInterface"> {
  let cppNamespace = "::weir::graph";
  let description = [{
    The one definition of what an op computes, from which sharding signatures,
    the cost model and code derive: it emits structured pieces of the `kernel`
    dialect. Types of the results are those of the op, so that an op on local
    types (`#dist.shard` encodings) expands to its local pieces.
  }];
  let methods = [
    InterfaceMethod<[{
      Emits the op's pieces with `operands` in place of its own and returns one
      value for each result, of the result's type.
    }], "::llvm::SmallVector<::mlir::Value>", "expand",
      (ins "::mlir::OpBuilder &":$builder, "::mlir::ValueRange":$operands)>
  ];
}

def Graph_DifferentiableOpInterface : OpInterface<"DifferentiableOpInterface"> {
  let cppNamespace = "::weir::graph";
  let description = [{
    Reverse-mode differentiation of one op. Integer operands have no gradient.
  }];
  let methods = [
    InterfaceMethod<[{
      Emits the gradient with respect to each operand, given the gradient of
      each result (null: zero), as `graph` ops. Returns one value for each
      operand, null where it has no gradient or `wanted` says that it is not needed.
      An op that cannot be differentiated emits an error that names it and
      returns no values at all.
    }], "::llvm::SmallVector<::mlir::Value>", "buildGradient",
      (ins "::mlir::OpBuilder &":$builder,
           "::llvm::ArrayRef<::mlir::Value>":$resultGradients,
           "::llvm::ArrayRef<bool>":$wanted)>
  ];
}

def Graph_SiteOpInterface : OpInterface<"SiteOpInterface"> {
  let cppNamespace = "::weir::graph";
  let description = [{
    Ops that are stochastic, overridable or reported: they carry an inherent
    `site`. It is unique in an entry, but that the gradient of a dropout has its
    forward op's, since both need the same random numbers.
  }];
  let methods = [
    InterfaceMethod<"The op's site.", "::llvm::StringRef", "getSiteName", (ins), [{}],
      [{ return $_op.getSite(); }]>
  ];
}

#endif // WEIR_DIALECTS_GRAPH_GRAPHINTERFACES
