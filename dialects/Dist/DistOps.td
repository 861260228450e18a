// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_DIALECTS_DIST_DISTOPS
#define WEIR_DIALECTS_DIST_DISTOPS

include "dialects/Dist/DistAttrs.td"
include "dialects/Dist/StaticTensor.td"
include "mlir/IR/OpBase.td"
include "mlir/IR/BuiltinAttributes.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

class Dist_Op<string opMnemonic, list<Trait> traits = []>
    : Op<Dist_Dialect, opMnemonic, traits>;

def Dist_ReshardOp : Dist_Op<"reshard", [Pure,
    DeclareOpInterfaceMethods<InferTypeOpInterface>]> {
  let summary = "The same logical tensor in another layout.";
  let description = [{
    Inserted where a producer's layout and a consumer's disagree; lowered to
    collectives and local slices by `weir-lower-reshards`. Operand and result
    have the same logical type; where the operand's type is encoded by its
    layout, so is the result's.

    ```mlir
    %1 = dist.reshard %0 [P(sum), B] to [S(0), B] : tensor<6x8xf32>
    %2 = dist.reshard %1 [S(0), B] to [B, B]
        : (tensor<6x8xf32, #dist.layout<[S(0), B]>>) -> tensor<6x8xf32, #dist.layout<[B, B]>>
    ```

    Constraints:
    - both layouts have one entry for each mesh axis and split existing dims
    - operand and result agree in shape and element type
    - a `#dist.layout` encoding of the operand is `from`, of the result `to`
  }];
  let arguments = (ins Weir_Tensor:$input, Dist_LayoutAttr:$from, Dist_LayoutAttr:$to);
  let results = (outs Weir_Tensor:$output);
  let assemblyFormat = [{
    $input custom<LayoutList>($from) `to` custom<LayoutList>($to) attr-dict `:`
    custom<SameTypes>(type($input), type($output))
  }];
  let hasVerifier = 1;
}

// Collectives act on local tensors. `axes` are the mesh axes of the group,
// outermost first. One op may move several tensors alike, which then meet once:
// what holds for "operand" and "result" holds for each pair. Before kernels are
// formed `dests` is empty; afterwards it has a buffer for each result, and the
// results are tied to them.
class Dist_CollectiveOp<string opMnemonic, dag extraArguments,
                        dag extraBuilderArguments = (ins), string extraNames = "">
    : Dist_Op<opMnemonic, [Pure, AttrSizedOperandSegments]> {
  let arguments = !con((ins Variadic<Weir_Tensor>:$inputs,
                            Variadic<Weir_Tensor>:$dests,
                            DenseI64ArrayAttr:$axes), extraArguments);
  let results = (outs Variadic<Weir_Tensor>:$outputs);
  // Of one tensor; `dest` may be null.
  let builders = [
    OpBuilder<!con((ins "::mlir::Type":$output, "::mlir::Value":$input, "::mlir::Value":$dest,
                        "::llvm::ArrayRef<int64_t>":$axes), extraBuilderArguments),
      "build($_builder, $_state, ::mlir::TypeRange(output), ::mlir::ValueRange(input), "
      "dest ? ::mlir::ValueRange(dest) : ::mlir::ValueRange(), axes" # extraNames # ");">
  ];
  let extraClassDeclaration = [{
    /// The first tensor: for those who look before collectives are fused.
    ::mlir::TypedValue<::mlir::RankedTensorType> getInput() {
      return ::llvm::cast<::mlir::TypedValue<::mlir::RankedTensorType>>(getInputs().front());
    }
    ::mlir::TypedValue<::mlir::RankedTensorType> getOutput() {
      return ::llvm::cast<::mlir::TypedValue<::mlir::RankedTensorType>>(getOutputs().front());
    }
    operator ::mlir::Value() { return getOutput(); }
  }];
  let hasVerifier = 1;
  let assemblyFormat = [{
    $inputs (`into` $dests^ `:` type($dests))? attr-dict `:` functional-type($inputs, $outputs)
  }];
}

def Dist_AllReduceOp : Dist_CollectiveOp<"all_reduce", (ins Dist_ReductionAttr:$reduction),
    (ins "::weir::dist::Reduction":$reduction), ", reduction"> {
  let summary = "Reduces a partial value; every rank of the group gets the result.";
  let description = [{
    The reduction is in rank order, so that the result does not depend on timing.

    ```mlir
    %1 = dist.all_reduce %0 {axes = array<i64: 1>, reduction = #dist<reduction sum>}
        : (tensor<8xf32>) -> tensor<8xf32>
    %2:2 = dist.all_reduce %a, %b {axes = array<i64: 1>, reduction = #dist<reduction sum>}
        : (tensor<8xf32>, tensor<2x3xf32>) -> (tensor<8xf32>, tensor<2x3xf32>)
    ```
  }];
}

def Dist_AllGatherOp : Dist_CollectiveOp<"all_gather", (ins I64Attr:$dim),
    (ins "int64_t":$dim), ", dim"> {
  let summary = "Gathers the shards of one dimension over the group.";
  let description = [{
    Removes `axes`, the innermost splits of `dim`, from the layout.

    ```mlir
    %1 = dist.all_gather %0 {axes = array<i64: 0>, dim = 0 : i64}
        : (tensor<3xf32, #dist.shard<[5:0]>>) -> tensor<5xf32>
    ```
  }];
}

def Dist_ReduceScatterOp : Dist_CollectiveOp<"reduce_scatter",
    (ins I64Attr:$dim, Dist_ReductionAttr:$reduction),
    (ins "int64_t":$dim, "::weir::dist::Reduction":$reduction), ", dim, reduction"> {
  let summary = "Reduces a partial value; each rank gets its shard of one dimension.";
  let description = [{
    Adds `axes` as the innermost splits of `dim`.

    ```mlir
    %1 = dist.reduce_scatter %0 {axes = array<i64: 0>, dim = 0 : i64, reduction = #dist<reduction sum>}
        : (tensor<5xf32>) -> tensor<3xf32, #dist.shard<[5:0]>>
    ```
  }];
}

def Dist_AllToAllOp : Dist_CollectiveOp<"all_to_all", (ins I64Attr:$gatherDim, I64Attr:$splitDim),
    (ins "int64_t":$gatherDim, "int64_t":$splitDim), ", gatherDim, splitDim"> {
  let summary = "Moves a split from one dimension to another.";
  let description = [{
    Removes `axes` from the splits of `gatherDim` and adds them, innermost, to
    those of `splitDim`.

    ```mlir
    %1 = dist.all_to_all %0 {axes = array<i64: 0>, gatherDim = 0 : i64, splitDim = 1 : i64}
        : (tensor<3x8xf32, #dist.shard<[5:0, 8]>>) -> tensor<5x4xf32, #dist.shard<[5, 8:0]>>
    ```
  }];
}

def Dist_ExchangeOp : Dist_CollectiveOp<"exchange", (ins)> {
  let summary = "Changes any splits at once: every rank receives just what it lacks.";
  let description = [{
    The general form of all-to-all and of a permutation of shards: operand and
    result are the same logical tensor split in two ways, which their encodings
    say. A rank keeps what it holds of its new shard and receives each other part
    from one rank of the group that holds it. Where the operand is the same on
    several ranks, these share the sending.

    ```mlir
    %1 = dist.exchange %0 {axes = array<i64: 0, 1>}
        : (tensor<3x8xf32, #dist.shard<[5:0, 8]>>) -> tensor<3x8xf32, #dist.shard<[5:1, 8]>>
    ```

    Constraints:
    - operand and result agree in logical shape and element type
    - of the axes that split a dimension before or after, all behind those that
      both lists begin with are in `axes`; all, where its unit or shift changes
    - the operand is not partial over `axes`
  }];
}

def Dist_LocalSliceOp : Dist_Op<"local_slice", [Pure]> {
  let summary = "Keeps this rank's (and micro-batch's) shard of a dimension; no communication.";
  let description = [{
    Adds `axes` as the innermost splits of `dim`. The offset is a run-time
    scalar of the rank's coordinates.

    ```mlir
    %1 = dist.local_slice %0 {axes = array<i64: 0>, dim = 0 : i64}
        : (tensor<5xi32>) -> tensor<3xi32, #dist.shard<[5:0]>>
    ```
  }];
  let arguments = (ins Weir_Tensor:$input, DenseI64ArrayAttr:$axes, I64Attr:$dim);
  let results = (outs Weir_Tensor:$output);
  let assemblyFormat = "$input attr-dict `:` functional-type($input, $output)";
  let hasVerifier = 1;
}

def Dist_PartialOp : Dist_Op<"to_partial", [Pure, AllTypesMatch<["input", "output"]>]> {
  let summary = "Makes a broadcast value partial: the first coordinate keeps it, others hold the neutral element.";
  let description = [{
    ```mlir
    %1 = dist.to_partial %0 {axes = array<i64: 0>, reduction = #dist<reduction sum>} : tensor<8xf32>
    ```
  }];
  let arguments = (ins Weir_Tensor:$input, DenseI64ArrayAttr:$axes, Dist_ReductionAttr:$reduction);
  let results = (outs Weir_Tensor:$output);
  let assemblyFormat = "$input attr-dict `:` type($input)";
  let hasVerifier = 1;
}

def Dist_MicroBatchesOp : Dist_Op<"micro_batches",
    [SingleBlock, RecursiveMemoryEffects]> {
  let summary = "Runs its body once for each micro-batch, carrying accumulators.";
  let description = [{
    The only loop of a program: iterations are ordered, never unrolled. The
    block arguments are the accumulators, first `inits`, then what the previous
    iteration yielded; the results are the last yield. Values from above are
    visible in the body. `dist.local_slice` over the time axis takes the
    micro-batch's part of a tensor.

    ```mlir
    %grad = dist.micro_batches(%zero : tensor<8xf32>) -> (tensor<8xf32>) {
    ^bb0(%acc: tensor<8xf32>):
      ...
      %sum = graph.add %acc, %g : tensor<8xf32>
      dist.yield %sum : tensor<8xf32>
    }
    ```
  }];
  let arguments = (ins Variadic<Weir_Tensor>:$inits);
  let regions = (region SizedRegion<1>:$body);
  let results = (outs Variadic<Weir_Tensor>:$results);
  let assemblyFormat = "`(` $inits `:` type($inits) `)` `->` `(` type($results) `)` attr-dict-with-keyword $body";
  let hasVerifier = 1;
}

def Dist_YieldOp : Dist_Op<"yield", [Pure, Terminator, HasParent<"MicroBatchesOp">]> {
  let hasVerifier = 1;
  let summary = "Ends a micro-batch and hands over its contributions.";
  let description = [{
    One value for each accumulator, of its type.
  }];
  let arguments = (ins Variadic<Weir_Tensor>:$values);
  let assemblyFormat = "attr-dict ($values^ `:` type($values))?";
}

#endif // WEIR_DIALECTS_DIST_DISTOPS
