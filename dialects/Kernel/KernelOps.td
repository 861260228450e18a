// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_DIALECTS_KERNEL_KERNELOPS
#define WEIR_DIALECTS_KERNEL_KERNELOPS

include "dialects/Dist/StaticTensor.td"
include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/BuiltinAttributes.td"
include "mlir/IR/EnumAttr.td"
include "mlir/IR/OpBase.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

def Kernel_Dialect : Dialect {
  let name = "kernel";
  let cppNamespace = "::weir::kernel";
  let summary = "Structured pieces, and the kernels that are made of them";
  let description = [{
    Two layers. *Structured pieces* (`generic`, `gather`, `scatter_add`,
    `take`, `put_add`, `scan`, `sort`, `reshape`, `transpose`, `slice`, `concat`, `constant`) are what every
    `graph` op expands to; sharding signatures, the cost model and code all
    derive from them. *Program ops* (`func`, `launch`, `contract`, `view`,
    `empty`) are what a step consists of after the `kernels` phase, in
    destination-passing form: every result is tied to a destination operand.
  }];
  let useDefaultAttributePrinterParser = 1;
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::math::MathDialect"];
}

class Kernel_Op<string opMnemonic, list<Trait> traits = []>
    : Op<Kernel_Dialect, opMnemonic, traits>;

def Kernel_CombinerNone : I32EnumAttrCase<"None", 0, "none">;
def Kernel_CombinerSum : I32EnumAttrCase<"Sum", 1, "sum">;
def Kernel_CombinerMax : I32EnumAttrCase<"Max", 2, "max">;
def Kernel_CombinerMin : I32EnumAttrCase<"Min", 3, "min">;
def Kernel_CombinerProd : I32EnumAttrCase<"Prod", 4, "prod">;
def Kernel_Combiner : I32EnumAttr<"Combiner", "how contributions of a reduction combine",
    [Kernel_CombinerNone, Kernel_CombinerSum, Kernel_CombinerMax, Kernel_CombinerMin,
     Kernel_CombinerProd]> {
  let cppNamespace = "::weir::kernel";
  let genSpecializedAttr = 0;
}

//===----------------------------------------------------------------------===//
// Structured pieces
//===----------------------------------------------------------------------===//

def Kernel_GenericOp : Kernel_Op<"generic", [Pure, SingleBlock, IsolatedFromAbove]> {
  let summary = "A loop nest with a scalar body, index maps and a combiner.";
  let description = [{
    For every point of the iteration domain the body gets one scalar of each
    input, read through its index map, and yields one scalar for each result.
    With combiner `none` a result has one writer for every element. With `sum`,
    `max`, `min` or `prod` the yielded scalars of all points that map to an element are
    combined; the loops that do not appear in the result's map are its
    reduction loops. All results of one piece share the combiner.

    `maps` holds the inputs' maps, then the results'. Results of a map are loop
    dims or constants. Every loop dim appears alone in some map, which gives
    its size. `kernel.index` reads a loop's logical index.

    ```mlir
    %sum = kernel.generic ins(%x : tensor<4x8xf32>)
        maps [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>] combiner sum {
    ^bb0(%e: f32):
      kernel.yield %e : f32
    } -> tensor<4xf32>
    ```

    Constraints:
    - one map for each input and result, all over the same loops, without symbols
    - map results are loop dims or constants; a result's map has no constants
      and no dim twice
    - sizes of a loop agree wherever it appears
    - with combiner `none` every loop appears in every result's map
    - body arguments and yielded scalars are the element types
  }];
  let arguments = (ins Variadic<Weir_Tensor>:$inputs, AffineMapArrayAttr:$maps,
                       DefaultValuedAttr<EnumAttr<Kernel_Dialect, Kernel_Combiner, "combiner">,
                         "::weir::kernel::Combiner::None">:$combiner);
  let regions = (region SizedRegion<1>:$body);
  let results = (outs Variadic<Weir_Tensor>:$outputs);
  let hasCustomAssemblyFormat = 1;
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    unsigned getNumLoops();
    ::mlir::AffineMap getInputMap(unsigned input);
    ::mlir::AffineMap getOutputMap(unsigned output);
    /// Static size of each loop (capacities when types are local).
    ::llvm::SmallVector<int64_t> getLoopSizes();
    /// Loops that no result's map contains.
    ::llvm::SmallVector<unsigned> getReductionLoops();
    ::mlir::Block *getBodyBlock() { return &getBody().front(); }
  }];
}

def Kernel_YieldOp : Kernel_Op<"yield", [Pure, Terminator, ParentOneOf<["GenericOp", "FuncOp"]>]> {
  let hasVerifier = 1;
  let summary = "Ends a generic's body, or a kernel function's.";
  let description = "Scalars in `kernel.generic`, tensors in `kernel.func`.";
  let arguments = (ins Variadic<AnyType>:$values);
  let assemblyFormat = "attr-dict ($values^ `:` type($values))?";
}

def Kernel_IndexOp : Kernel_Op<"index", [Pure]> {
  let hasVerifier = 1;
  let summary = "The logical index of a loop of the enclosing generic, as i64.";
  let description = [{
    On a shard the local index plus the shard's offset, so that masks, iota and
    random numbers do not depend on the layout.

    ```mlir
    %i = kernel.index 0
    ```
  }];
  let arguments = (ins I64Attr:$loop);
  let results = (outs I64:$result);
  let assemblyFormat = "$loop attr-dict";
}

def Kernel_RandomOp : Kernel_Op<"random", [Pure]> {
  let summary = "One counter-based random word (Philox4x32-10), as i32.";
  let description = [{
    Counter: (low and high half of `index`, `step`, 0); key: (`siteKey`, `seed`).
    Returns the first word, as `weir::randomWord` (runtime/base/Philox.h) does.
    With the unit attribute `of_launch` the key is a number into the launch's
    `site_keys`, so that one kernel serves every site.

    ```mlir
    %w = kernel.random 12345 seed %s step %t index %i
    %v = kernel.random 0 seed %s step %t index %i {of_launch}
    ```
  }];
  let arguments = (ins I32Attr:$siteKey, I32:$seed, I32:$step, I64:$index);
  let results = (outs I32:$result);
  let assemblyFormat = "$siteKey `seed` $seed `step` $step `index` $index attr-dict";
}

def Kernel_GatherOp : Kernel_Op<"gather", [Pure]> {
  let summary = "Rows of a table: `out[i..., f...] = table[indices[i...], f...]`.";
  let description = [{
    Indices are logical. A row outside the (local) table reads zero, so that a
    gather from a row-split table is a partial sum.

    ```mlir
    %y = kernel.gather %table, %ids : (tensor<96x8xf32>, tensor<4xi32>) -> tensor<4x8xf32>
    ```
  }];
  let arguments = (ins Weir_Tensor:$table, Weir_Tensor:$indices);
  let results = (outs Weir_Tensor:$output);
  let assemblyFormat = "$table `,` $indices attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}

def Kernel_ScatterAddOp : Kernel_Op<"scatter_add", [Pure]> {
  let summary = "The transpose of gather: `out[n, f...] = sum of updates whose index is n`.";
  let description = [{
    Sums in the order of the updates. An index outside the (local) result is
    ignored.

    ```mlir
    %y = kernel.scatter_add %ids, %updates : (tensor<4xi32>, tensor<4x8xf32>) -> tensor<96x8xf32>
    ```
  }];
  let arguments = (ins Weir_Tensor:$indices, Weir_Tensor:$updates);
  let results = (outs Weir_Tensor:$output);
  let assemblyFormat = "$indices `,` $updates attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}

def Kernel_TakeOp : Kernel_Op<"take", [Pure]> {
  let summary = "Slices along a dimension by index: `out[p..., i..., q...] = in[p..., indices[i...], q...]`.";
  let description = [{
    `p` are the dims before `dim`, `q` those behind. With `along` there is an index
    for each element: `out[p..., j, q...] = in[p..., indices[p..., j, q...], q...]`.
    Indices are logical. What lies outside the (local) operand reads zero, so
    that taking from an operand split along `dim` gives a partial sum.

    ```mlir
    %y = kernel.take %x, %i dim 1 : (tensor<4x6x8xf32>, tensor<3xi32>) -> tensor<4x3x8xf32>
    ```
  }];
  let arguments = (ins Weir_Tensor:$input, Weir_Tensor:$indices, I64Attr:$dim, UnitAttr:$along);
  let results = (outs Weir_Tensor:$output);
  let assemblyFormat = [{
    $input `,` $indices `dim` $dim (`along` $along^)? attr-dict `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

def Kernel_PutAddOp : Kernel_Op<"put_add", [Pure]> {
  let summary = "The transpose of `take`: sums of the updates by index along a dimension.";
  let description = [{
    `out[p..., n, q...]` is the sum of `updates[p..., i..., q...]` where `indices[i...]`
    is `n`, or with `along` of `updates[p..., j, q...]` where `indices[p..., j, q...]` is.
    Sums in the order of the updates. An index outside the (local) result is
    ignored.

    ```mlir
    %y = kernel.put_add %i, %u dim 1 : (tensor<3xi32>, tensor<4x3x8xf32>) -> tensor<4x6x8xf32>
    ```
  }];
  let arguments = (ins Weir_Tensor:$indices, Weir_Tensor:$updates, I64Attr:$dim, UnitAttr:$along);
  let results = (outs Weir_Tensor:$output);
  let assemblyFormat = [{
    $indices `,` $updates `dim` $dim (`along` $along^)? attr-dict `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

def Kernel_ScanOp : Kernel_Op<"scan", [Pure]> {
  let summary = "Running sums or products along a dimension.";
  let description = [{
    `out[i]` combines all `in[j]` with `j <= i`, with `exclusive` `j < i`; with
    `reverse` `j >= i` (`j > i`). The dimension is whole.

    ```mlir
    %y = kernel.scan sum %x dim 1 reverse : (tensor<4x6xf32>) -> tensor<4x6xf32>
    ```
  }];
  let arguments = (ins EnumAttr<Kernel_Dialect, Kernel_Combiner, "combiner">:$combiner,
    Weir_Tensor:$input, I64Attr:$dim, UnitAttr:$reverse, UnitAttr:$exclusive);
  let results = (outs Weir_Tensor:$output);
  let assemblyFormat = [{
    `` $combiner $input `dim` $dim (`reverse` $reverse^)? (`exclusive` $exclusive^)? attr-dict
    `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

def Kernel_SortOp : Kernel_Op<"sort", [Pure]> {
  let summary = "The elements along a dimension in order, and where each came from.";
  let description = [{
    Stable; NaN is larger than every number. The dimension is whole.

    ```mlir
    %v, %i = kernel.sort %x dim 1 descending : (tensor<4x6xf32>) -> (tensor<4x6xf32>, tensor<4x6xi32>)
    ```
  }];
  let arguments = (ins Weir_Tensor:$input, I64Attr:$dim, UnitAttr:$descending);
  let results = (outs Weir_Tensor:$values, Weir_Tensor:$indices);
  let assemblyFormat = "$input `dim` $dim (`descending` $descending^)? attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}

def Kernel_ReshapeOp : Kernel_Op<"reshape", [Pure]> {
  let summary = "The same elements, row-major, in another shape.";
  let description = [{
    ```mlir
    %y = kernel.reshape %x : (tensor<4x6xf32>) -> tensor<2x2x6xf32>
    ```
  }];
  let arguments = (ins Weir_Tensor:$input);
  let results = (outs Weir_Tensor:$output);
  let assemblyFormat = "$input attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}

def Kernel_TransposeOp : Kernel_Op<"transpose", [Pure]> {
  let summary = "Result dim `i` is operand dim `permutation[i]`.";
  let description = [{
    ```mlir
    %y = kernel.transpose %x [1, 0] : (tensor<4x6xf32>) -> tensor<6x4xf32>
    ```
  }];
  let arguments = (ins Weir_Tensor:$input, DenseI64ArrayAttr:$permutation);
  let results = (outs Weir_Tensor:$output);
  let assemblyFormat = "$input $permutation attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}

def Kernel_SliceOp : Kernel_Op<"slice", [Pure]> {
  let summary = "A rectangular part; the result's shape says how much, `offsets` from where.";
  let description = [{
    ```mlir
    %y = kernel.slice %x [0, 2] : (tensor<4x6xf32>) -> tensor<4x3xf32>
    ```
  }];
  let arguments = (ins Weir_Tensor:$input, DenseI64ArrayAttr:$offsets);
  let results = (outs Weir_Tensor:$output);
  let assemblyFormat = "$input $offsets attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}

def Kernel_ConcatOp : Kernel_Op<"concat", [Pure]> {
  let summary = "Operands one after the other along `dim`.";
  let description = [{
    ```mlir
    %y = kernel.concat %a, %b dim 1 : (tensor<4x2xf32>, tensor<4x3xf32>) -> tensor<4x5xf32>
    ```
  }];
  let arguments = (ins Variadic<Weir_Tensor>:$inputs, I64Attr:$dim);
  let results = (outs Weir_Tensor:$output);
  let assemblyFormat = "$inputs `dim` $dim attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}

def Kernel_ConstantOp : Kernel_Op<"constant", [Pure, ConstantLike, AllTypesMatch<["value", "output"]>]> {
  let summary = "A constant tensor.";
  let description = [{
    ```mlir
    %c = kernel.constant dense<1.0> : tensor<8xf32>
    ```
  }];
  let arguments = (ins TypedAttrInterface:$value);
  let results = (outs Weir_Tensor:$output);
  let assemblyFormat = "attr-dict $value";
  let hasFolder = 1;
  let hasVerifier = 1;
}

//===----------------------------------------------------------------------===//
// Program ops: what a step is made of after the `kernels` phase
//===----------------------------------------------------------------------===//

def Kernel_FuncOp : Kernel_Op<"func", [IsolatedFromAbove, Symbol, SingleBlock]> {
  let summary = "One generated kernel: structured pieces from operands to results.";
  let description = [{
    The block arguments are the launch's operands: `numInputs` inputs, then one
    destination for each result, whose old contents the body reads only where
    the destination is also updated in place (`tied`: for each result the index
    of the input that is the same memory, or -1). `strides` holds, for every
    argument, the element strides of its view. `chunks` is the number of
    parallel chunks. Kernels of equal structure are one function. Other
    attributes follow the keyword `attributes`.

    ```mlir
    kernel.func @residual ins(%x: tensor<4x8xf32> strides [8, 1])
        outs(%d: tensor<4x8xf32> strides [8, 1] tied 0) chunks 2 {
      ...
      kernel.yield %y : tensor<4x8xf32>
    }
    ```

    Constraints:
    - every argument has strides, one for each dim
    - a tied input exists, has the destination's type, and is tied once
    - `chunks` is positive
    - the body yields one tensor for each destination, of its type
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, I64Attr:$numInputs,
                       DenseI64ArrayAttr:$tied, ArrayAttr:$strides, I64Attr:$chunks);
  let regions = (region SizedRegion<1>:$body);
  let hasCustomAssemblyFormat = 1;
  let hasVerifier = 1;
}

def Kernel_LaunchOp : Kernel_Op<"launch", [Pure, AttrSizedOperandSegments,
    DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "Runs a kernel; result `i` is destination `i` after it.";
  let description = [{
    ```mlir
    %y = kernel.launch @ln(%x, %g : tensor<4x8xf32>, tensor<8xf32>) into (%d : tensor<4x8xf32>) site "h.0.ln_1"
        -> tensor<4x8xf32>
    ```

    The attribute `site_keys`, an `array<i64>`, holds the keys of the random
    numbers that the kernel draws `of_launch`.

    Constraints:
    - the kernel exists; inputs and destinations have its arguments' types
    - one result for each destination, of its type
  }];
  let arguments = (ins FlatSymbolRefAttr:$kernel, Variadic<Weir_Tensor>:$inputs,
                       Variadic<Weir_Tensor>:$dests, StrAttr:$site);
  let results = (outs Variadic<Weir_Tensor>:$results);
  let assemblyFormat = [{
    $kernel `(` ($inputs^ `:` type($inputs))? `)` `into` `(` ($dests^ `:` type($dests))? `)`
    `site` $site attr-dict (`->` type($results)^)?
  }];
  let hasVerifier = 1;
}

def Kernel_ContractOp : Kernel_Op<"contract", [Pure]> {
  let summary = "A strided batched matrix product, done by the library.";
  let description = [{
    `dest[maps] (+)= sum over loops of lhs[maps] * rhs[maps]`. Every loop has a
    letter; `lhs`, `rhs` and `out` maps name the loops of each operand's dims.
    With `accumulate` the product is added to the destination's contents.

    ```mlir
    %c = kernel.contract %a, %b into %d maps [#a, #b, #c] site "h.0.fc"
        : tensor<4x8xf32>, tensor<8x6xf32>, tensor<4x6xf32> -> tensor<4x6xf32>
    ```

    Constraints:
    - three maps over the same loops, of loop dims only, none twice in one map
    - sizes of a loop agree wherever it appears
    - every loop of the result's map appears in an operand's, every other loop
      in both
  }];
  let arguments = (ins Weir_Tensor:$lhs, Weir_Tensor:$rhs, Weir_Tensor:$dest,
                       AffineMapArrayAttr:$maps, UnitAttr:$accumulate, StrAttr:$site);
  let results = (outs Weir_Tensor:$output);
  let assemblyFormat = [{
    $lhs `,` $rhs `into` $dest `maps` $maps (`accumulate` $accumulate^)? `site` $site attr-dict
    `:` type($lhs) `,` type($rhs) `,` type($dest) `->` type($output)
  }];
  let hasVerifier = 1;
}

def Kernel_ViewOp : Kernel_Op<"view", [Pure]> {
  let summary = "Another shape of the same memory: no code.";
  let description = [{
    Offset and strides are in elements of the underlying buffer: the operand's
    root through all views, whose own strides are row-major over its shape.
    Views of views are folded, so that an operand is never a view.

    ```mlir
    %v = kernel.view %x offset 8 strides [16, 1] : (tensor<4x16xf32>) -> tensor<4x8xf32>
    ```

    Constraints:
    - one stride for each dim of the result, none negative
    - every element of the result lies in the operand
    - the operand is not itself a view
  }];
  let arguments = (ins Weir_Tensor:$input, I64Attr:$offset, DenseI64ArrayAttr:$strides);
  let results = (outs Weir_Tensor:$output);
  let assemblyFormat = [{
    $input `offset` $offset `strides` $strides attr-dict `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

def Kernel_EmptyOp : Kernel_Op<"empty", []> {
  let summary = "A buffer of the step, contents undefined.";
  let description = [{
    Not `Pure`: two of them are two buffers.

    ```mlir
    %d = kernel.empty "h.0.fc" : tensor<4x8xf32>
    ```
  }];
  let arguments = (ins StrAttr:$site);
  let results = (outs Weir_Tensor:$output);
  let assemblyFormat = "$site attr-dict `:` type($output)";
}

def Kernel_FillOp : Kernel_Op<"fill", [Pure]> {
  let summary = "Sets every element of a destination.";
  let description = [{
    ```mlir
    %z = kernel.fill 0.0 into %d : tensor<4x8xf32> -> tensor<4x8xf32>
    ```
  }];
  let arguments = (ins F64Attr:$value, Weir_Tensor:$dest);
  let results = (outs Weir_Tensor:$output);
  let assemblyFormat = "$value `into` $dest attr-dict `:` type($dest) `->` type($output)";
  let hasVerifier = 1;
}

#endif // WEIR_DIALECTS_KERNEL_KERNELOPS
