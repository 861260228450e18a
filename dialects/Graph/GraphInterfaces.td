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

def Graph_SplitProgramOpInterface : OpInterface<"SplitProgramOpInterface"> {
  let cppNamespace = "::weir::graph";
  let description = [{
    Ops that can run over a split for which they have no signature, as a program
    of local `graph` ops and `dist` collectives: softmax over split classes,
    attention over a split sequence as a ring. The passes that decide layouts
    weigh a program as one more signature; `weir-expand-split-programs` puts it
    in the op's place after localisation.
  }];
  let methods = [
    InterfaceMethod<[{
      The programs of the op on its types, which may be local: each with the
      layouts that it takes and gives on one mesh axis. The order is a function
      of the op and its types alone. A program may be chosen on several axes
      (whose splits nest in mesh order) if its layouts are among those listed on
      the types that the axes before leave.
    }], "::std::vector<::weir::graph::SplitProgram>", "getSplitPrograms", (ins)>,
    InterfaceMethod<[{
      Emits the program over the mesh axes `axes` (increasing, none of them in
      time) on local operands and returns one value for each result, of the
      type in `resultTypes`. `name` is one of `getSplitPrograms`.
    }], "::llvm::SmallVector<::mlir::Value>", "emitSplitProgram",
      (ins "::mlir::OpBuilder &":$builder, "::mlir::ValueRange":$operands,
           "::mlir::TypeRange":$resultTypes, "::llvm::ArrayRef<int64_t>":$axes,
           "::weir::dist::MeshAttr":$mesh, "::llvm::StringRef":$name)>
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
