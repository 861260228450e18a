// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_DIALECTS_GRAPH_GRAPHOPS
#define WEIR_DIALECTS_GRAPH_GRAPHOPS

include "dialects/Dist/StaticTensor.td"
include "dialects/Graph/GraphInterfaces.td"
include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/BuiltinAttributes.td"
include "mlir/IR/EnumAttr.td"
include "mlir/IR/OpBase.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/Interfaces/FunctionInterfaces.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

def Graph_Dialect : Dialect {
  let name = "graph";
  let cppNamespace = "::weir::graph";
  let summary = "The model as its author wrote it";
  let description = [{
    Logical tensors, variables and entries; no devices. Ops are pure functions
    of tensors. Broadcasting is explicit. State is held by `graph.variable`
    symbols; an entry reads a variable through an argument and updates it
    through a result.
  }];
  let useDefaultAttributePrinterParser = 1;
  let dependentDialects = ["::weir::kernel::KernelDialect", "::weir::dist::DistDialect"];
  let hasConstantMaterializer = 1;
  let hasOperationAttrVerify = 1;
  let extraClassDeclaration = [{
    /// Entry argument: the variable it reads. Entry result: the one it updates.
    static constexpr llvm::StringLiteral getVariableAttrName() { return "graph.variable"; }
    /// Entry argument: the name of the caller's tensor (rank 0: a run-time scalar).
    static constexpr llvm::StringLiteral getInputAttrName() { return "graph.input"; }
    /// Entry result: the name under which the caller reads it.
    static constexpr llvm::StringLiteral getOutputAttrName() { return "graph.output"; }
    /// Op: the task it belongs to (`forward`, `backward`, `update`), by autodiff.
    static constexpr llvm::StringLiteral getTaskAttrName() { return "graph.task"; }
  }];
}

//===----------------------------------------------------------------------===//
// Variables and entries
//===----------------------------------------------------------------------===//

def Graph_VariableKind : I32EnumAttr<"VariableKind", "what a variable is for", [
    I32EnumAttrCase<"Parameter", 0, "parameter">,
    I32EnumAttrCase<"OptimizerState", 1, "optimizer_state">,
    I32EnumAttrCase<"Cache", 2, "cache">,
    I32EnumAttrCase<"Counter", 3, "counter">]> {
  let cppNamespace = "::weir::graph";
  let genSpecializedAttr = 0;
}

def Graph_InitializerKind : I32EnumAttr<"InitializerKind", "distribution of first values", [
    I32EnumAttrCase<"Constant", 0, "constant">,
    I32EnumAttrCase<"Normal", 1, "normal">,
    I32EnumAttrCase<"Uniform", 2, "uniform">]> {
  let cppNamespace = "::weir::graph";
  let genSpecializedAttr = 0;
}

def Graph_InitializerAttr : AttrDef<Graph_Dialect, "Initializer"> {
  let mnemonic = "init";
  let summary = "First value of a variable when no weights are given.";
  let description = [{
    `constant`: `a` (`b` is 0 and not printed). `normal`: mean `a`, standard
    deviation `b`. `uniform`: in
    `[a, b)`. Random values depend on the seed, the variable's name and the
    logical index alone.

    Example: `#graph.init<normal, 0.0, 0.02>`
  }];
  let parameters = (ins EnumParameter<Graph_InitializerKind>:$kind,
                        "double":$a, "double":$b);
  let hasCustomAssemblyFormat = 1;
  // Numbers are keyed by their bits: double itself has no hash.
  let genStorageClass = 0;
  let genVerifyDecl = 1;
}

def Graph_StoredAttr : AttrDef<Graph_Dialect, "Stored"> {
  let mnemonic = "stored";
  let summary = "The tensor of a checkpoint that holds a variable.";
  let description = [{
    The variable's shape is a row-major view of `shape`, the tensor's shape in
    the checkpoint.

    Example: `#graph.stored<"h.0.attn.c_attn.weight", [48, 144]>`
  }];
  let parameters = (ins "::mlir::StringAttr":$name, ArrayRefParameter<"int64_t">:$shape);
  let hasCustomAssemblyFormat = 1;
  let genVerifyDecl = 1;
}

class Graph_Op<string opMnemonic, list<Trait> traits = []>
    : Op<Graph_Dialect, opMnemonic, traits>;

def Graph_VariableOp : Graph_Op<"variable", [Symbol]> {
  let summary = "Declares state that entries read and update.";
  let description = [{
    ```mlir
    graph.variable @h.0.attn.w : tensor<48x3x4x12xf32> kind parameter
        init <normal, 0.0, 0.02> stored <"h.0.attn.c_attn.weight", [48, 144]>
    ```

    Constraints:
    - a static tensor type
    - the stored shape has as many elements
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, TypeAttrOf<Weir_Tensor>:$type,
    EnumAttr<Graph_Dialect, Graph_VariableKind, "variable_kind">:$kind,
    Graph_InitializerAttr:$init, OptionalAttr<Graph_StoredAttr>:$stored);
  let assemblyFormat = [{
    $sym_name `:` $type `kind` `` $kind `init` $init (`stored` $stored^)? attr-dict
  }];
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    ::mlir::RankedTensorType getTensorType() {
      return ::llvm::cast<::mlir::RankedTensorType>(getType());
    }
  }];
}

def Graph_EntryOp : Graph_Op<"entry", [FunctionOpInterface, IsolatedFromAbove, SingleBlock,
    DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "A named pure function of the model: `train`, `evaluate`, `forward`.";
  let description = [{
    Every argument is bound to a variable (`graph.variable = @name`) or to a
    tensor of the caller (`graph.input = "name"`). Every result updates a
    variable or is named for the caller (`graph.output = "name"`).

    ```mlir
    graph.entry @forward(%ids: tensor<2x8xi32> {graph.input = "ids"},
                         %w: tensor<96x8xf32> {graph.variable = @wte})
        -> (tensor<2x8x8xf32> {graph.output = "hidden"}) {
      %0 = graph.embedding %w, %ids : (tensor<96x8xf32>, tensor<2x8xi32>) -> tensor<2x8x8xf32>
      graph.return %0 : tensor<2x8x8xf32>
    }
    ```

    Constraints:
    - each argument has exactly one of the two bindings, each result exactly one
    - bound variables exist and have the argument's (result's) type: the logical
      one, or after localisation the local type in the layout of the argument
      (`dist.layout`)
    - no variable is updated twice; an updated variable is also an argument
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, TypeAttrOf<FunctionType>:$function_type,
                       OptionalAttr<DictArrayAttr>:$arg_attrs, OptionalAttr<DictArrayAttr>:$res_attrs);
  let regions = (region SizedRegion<1>:$body);
  let hasCustomAssemblyFormat = 1;
  let skipDefaultBuilders = 1;
  let hasVerifier = 1;
  let builders = [OpBuilder<(ins "::llvm::StringRef":$name, "::mlir::FunctionType":$type)>];
  let extraClassDeclaration = [{
    ::llvm::ArrayRef<::mlir::Type> getArgumentTypes() { return getFunctionType().getInputs(); }
    ::llvm::ArrayRef<::mlir::Type> getResultTypes() { return getFunctionType().getResults(); }
    ::mlir::Region *getCallableRegion() { return &getBody(); }
    /// The variable argument `index` reads, or an empty string.
    ::llvm::StringRef getArgumentVariable(unsigned index);
    /// The caller's name of argument `index`, or an empty string.
    ::llvm::StringRef getArgumentInput(unsigned index);
    ::llvm::StringRef getResultVariable(unsigned index);
    ::llvm::StringRef getResultOutput(unsigned index);
  }];
}

def Graph_ReturnOp : Graph_Op<"return", [Pure, Terminator, HasParent<"EntryOp">]> {
  let summary = "Ends an entry.";
  let hasVerifier = 1;
  let description = "Operand types are the entry's result types.";
  let arguments = (ins Variadic<Weir_Tensor>:$values);
  let assemblyFormat = "attr-dict ($values^ `:` type($values))?";
}

//===----------------------------------------------------------------------===//
// Classes of compute ops
//===----------------------------------------------------------------------===//

class Graph_ComputeOp<string opMnemonic, list<Trait> traits = []>
    : Graph_Op<opMnemonic, !listconcat([Pure,
        DeclareOpInterfaceMethods<Graph_ExpandOpInterface>,
        DeclareOpInterfaceMethods<Graph_DifferentiableOpInterface>], traits)>;

def Graph_OneTypeUpToLayout : NativeOpTrait<"OneTypeUpToLayout"> {
  let cppNamespace = "::weir::graph";
}

// Element-wise ops have one type, but for a `#dist.layout` encoding: the product
// of a partial and a broadcast value is partial, say. They print one type, or
// where encodings differ all of them. Without a given result type it is the
// first operand's.
class Graph_ElementwiseOp<string opMnemonic, list<Trait> traits = []>
    : Graph_ComputeOp<opMnemonic, !listconcat([Graph_OneTypeUpToLayout, Elementwise,
        DeclareOpInterfaceMethods<InferTypeOpInterface>], traits)> {
  let extraClassDeclaration = [{
    static bool isCompatibleReturnTypes(::mlir::TypeRange a, ::mlir::TypeRange b);
  }];
  let extraClassDefinition = [{
    ::llvm::LogicalResult $cppClass::inferReturnTypes(
        ::mlir::MLIRContext *, ::std::optional<::mlir::Location>,
        ::mlir::ValueRange operands, ::mlir::DictionaryAttr, ::mlir::OpaqueProperties,
        ::mlir::RegionRange, ::llvm::SmallVectorImpl<::mlir::Type> &inferred) {
      inferred.assign(1, operands.front().getType());
      return ::mlir::success();
    }
    bool $cppClass::isCompatibleReturnTypes(::mlir::TypeRange a, ::mlir::TypeRange b) {
      return ::weir::graph::isSameUpToLayout(a.front(), b.front());
    }
  }];
}

class Graph_UnaryOp<string opMnemonic, string formula>
    : Graph_ElementwiseOp<opMnemonic> {
  let summary = "Element-wise `" # formula # "`.";
  let description = "```mlir\n%y = graph." # opMnemonic # " %x : tensor<4x8xf32>\n```";
  let arguments = (ins Weir_Tensor:$input);
  let results = (outs Weir_Tensor:$output);
  let assemblyFormat = "$input attr-dict `:` custom<SameTypes>(type($input), type($output))";
}

class Graph_BinaryOp<string opMnemonic, string formula, list<Trait> traits = []>
    : Graph_ElementwiseOp<opMnemonic, traits> {
  let summary = "Element-wise `" # formula # "`.";
  let description = "```mlir\n%y = graph." # opMnemonic # " %a, %b : tensor<4x8xf32>\n```";
  let arguments = (ins Weir_Tensor:$lhs, Weir_Tensor:$rhs);
  let results = (outs Weir_Tensor:$output);
  let assemblyFormat = "$lhs `,` $rhs attr-dict `:` custom<SameTypes>(type($lhs), type($rhs), type($output))";
}

//===----------------------------------------------------------------------===//
// Element-wise ops
//===----------------------------------------------------------------------===//

def Graph_NegOp : Graph_UnaryOp<"neg", "-x">;
def Graph_ExpOp : Graph_UnaryOp<"exp", "e^x">;
def Graph_LogOp : Graph_UnaryOp<"log", "ln x">;
def Graph_SqrtOp : Graph_UnaryOp<"sqrt", "sqrt x">;
def Graph_RsqrtOp : Graph_UnaryOp<"rsqrt", "1 / sqrt x">;
def Graph_TanhOp : Graph_UnaryOp<"tanh", "tanh x">;
def Graph_ErfOp : Graph_UnaryOp<"erf", "erf x">;
def Graph_SinOp : Graph_UnaryOp<"sin", "sin x">;
def Graph_CosOp : Graph_UnaryOp<"cos", "cos x">;
def Graph_AbsOp : Graph_UnaryOp<"abs", "|x|">;
def Graph_SigmoidOp : Graph_UnaryOp<"sigmoid", "1 / (1 + e^-x)">;
def Graph_ReluOp : Graph_UnaryOp<"relu", "max(x, 0)">;
def Graph_SiluOp : Graph_UnaryOp<"silu", "x sigmoid x">;

def Graph_GeluKind : I32EnumAttr<"GeluKind", "which GELU", [
    I32EnumAttrCase<"Erf", 0, "erf">,
    I32EnumAttrCase<"Tanh", 1, "tanh">,
    I32EnumAttrCase<"Quick", 2, "quick">]> {
  let cppNamespace = "::weir::graph";
  let genSpecializedAttr = 0;
}

def Graph_GeluOp : Graph_ComputeOp<"gelu", [SameOperandsAndResultType, Elementwise]> {
  let summary = "Gaussian error linear unit.";
  let description = [{
    `erf`: `x/2 (1 + erf(x / sqrt 2))`. `tanh` (GPT-2's `gelu_new`):
    `x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))`. `quick`: `x sigmoid(1.702 x)`.
    Hendrycks and Gimpel, arXiv 1606.08415.

    ```mlir
    %y = graph.gelu tanh %x : tensor<4x8xf32>
    ```
  }];
  let arguments = (ins Weir_Tensor:$input,
                       EnumAttr<Graph_Dialect, Graph_GeluKind, "gelu_kind">:$kind);
  let results = (outs Weir_Tensor:$output);
  let assemblyFormat = "`` $kind $input attr-dict `:` type($input)";
  let hasVerifier = 1;
}

def Graph_AddOp : Graph_BinaryOp<"add", "a + b", [Commutative]> { let hasFolder = 1; }
def Graph_SubOp : Graph_BinaryOp<"sub", "a - b"> { let hasFolder = 1; }
def Graph_MulOp : Graph_BinaryOp<"mul", "a b", [Commutative]> { let hasFolder = 1; }
def Graph_DivOp : Graph_BinaryOp<"div", "a / b"> { let hasFolder = 1; }
def Graph_MaxOp : Graph_BinaryOp<"max", "max(a, b)", [Commutative]>;
def Graph_MinOp : Graph_BinaryOp<"min", "min(a, b)", [Commutative]>;
def Graph_PowOp : Graph_BinaryOp<"pow", "a^b">;

def Graph_Predicate : I32EnumAttr<"Predicate", "comparison", [
    I32EnumAttrCase<"Eq", 0, "eq">, I32EnumAttrCase<"Ne", 1, "ne">,
    I32EnumAttrCase<"Lt", 2, "lt">, I32EnumAttrCase<"Le", 3, "le">,
    I32EnumAttrCase<"Gt", 4, "gt">, I32EnumAttrCase<"Ge", 5, "ge">]> {
  let cppNamespace = "::weir::graph";
  let genSpecializedAttr = 0;
}

def Graph_CompareOp : Graph_ComputeOp<"compare", [SameTypeOperands, SameOperandsAndResultShape]> {
  let summary = "Element-wise comparison to i1; false where an operand is NaN, except `ne`.";
  let description = [{
    ```mlir
    %m = graph.compare ne %labels, %ignore : tensor<4xi32> -> tensor<4xi1>
    ```
  }];
  let arguments = (ins EnumAttr<Graph_Dialect, Graph_Predicate, "predicate">:$predicate,
                       Weir_Tensor:$lhs, Weir_Tensor:$rhs);
  let results = (outs Weir_Tensor:$output);
  let assemblyFormat = "`` $predicate $lhs `,` $rhs attr-dict `:` type($lhs) `->` type($output)";
  let hasVerifier = 1;
}

def Graph_SelectOp : Graph_ComputeOp<"select", [SameOperandsAndResultShape,
    AllTypesMatch<["onTrue", "onFalse", "output"]>]> {
  let summary = "Element-wise `condition ? a : b`.";
  let description = [{
    ```mlir
    %y = graph.select %m, %a, %b : tensor<4xi1>, tensor<4xf32>
    ```
  }];
  let arguments = (ins Weir_Tensor:$condition, Weir_Tensor:$onTrue, Weir_Tensor:$onFalse);
  let results = (outs Weir_Tensor:$output);
  let assemblyFormat = "$condition `,` $onTrue `,` $onFalse attr-dict `:` type($condition) `,` type($output)";
  let hasVerifier = 1;
}

def Graph_CastOp : Graph_ComputeOp<"cast", [SameOperandsAndResultShape]> {
  let summary = "Element-wise conversion; float to integer truncates, to i1 tests for non-zero.";
  let description = [{
    ```mlir
    %y = graph.cast %m : tensor<4xi1> -> tensor<4xf32>
    ```
  }];
  let arguments = (ins Weir_Tensor:$input);
  let results = (outs Weir_Tensor:$output);
  let assemblyFormat = "$input attr-dict `:` type($input) `->` type($output)";
  let hasFolder = 1;
  let hasVerifier = 1;
}

//===----------------------------------------------------------------------===//
// Tensor ops
//===----------------------------------------------------------------------===//

def Graph_ConstantOp : Graph_ComputeOp<"constant", [ConstantLike, AllTypesMatch<["value", "output"]>]> {
  let summary = "A constant tensor.";
  let description = [{
    ```mlir
    %c = graph.constant dense<1.0> : tensor<8xf32>
    ```
  }];
  let arguments = (ins TypedAttrInterface:$value);
  let results = (outs Weir_Tensor:$output);
  let assemblyFormat = "attr-dict $value";
  let hasFolder = 1;
  let hasVerifier = 1;
}

def Graph_IotaOp : Graph_ComputeOp<"iota"> {
  let summary = "The index along one dimension.";
  let description = [{
    ```mlir
    %p = graph.iota 0 : tensor<128x32xf32>
    ```
  }];
  let arguments = (ins I64Attr:$dim);
  let results = (outs Weir_Tensor:$output);
  let assemblyFormat = "$dim attr-dict `:` type($output)";
  let hasVerifier = 1;
}

def Graph_BroadcastOp : Graph_ComputeOp<"broadcast"> {
  let summary = "Repeats a tensor along new dimensions.";
  let description = [{
    Operand dim `i` becomes result dim `dims[i]`; other result dims are new.

    ```mlir
    %y = graph.broadcast %bias [1] : (tensor<8xf32>) -> tensor<4x8xf32>
    ```

    Constraints:
    - `dims` increase strictly, one for each operand dim, sizes agree
  }];
  let arguments = (ins Weir_Tensor:$input, DenseI64ArrayAttr:$dims);
  let results = (outs Weir_Tensor:$output);
  let assemblyFormat = "$input $dims attr-dict `:` functional-type(operands, results)";
  let hasFolder = 1;
  let hasVerifier = 1;
}

def Graph_ReductionKind : I32EnumAttr<"ReductionKind", "how elements combine", [
    I32EnumAttrCase<"Sum", 0, "sum">, I32EnumAttrCase<"Max", 1, "max">,
    I32EnumAttrCase<"Min", 2, "min">, I32EnumAttrCase<"Prod", 3, "prod">]> {
  let cppNamespace = "::weir::graph";
  let genSpecializedAttr = 0;
}

def Graph_ReduceOp : Graph_ComputeOp<"reduce"> {
  let summary = "Combines the elements along some dimensions, which the result lacks.";
  let description = [{
    ```mlir
    %s = graph.reduce sum %x [1] : (tensor<4x8xf32>) -> tensor<4xf32>
    ```

    Constraints:
    - `dims` increase strictly; the result has the remaining ones
  }];
  let arguments = (ins EnumAttr<Graph_Dialect, Graph_ReductionKind, "reduction">:$kind,
                       Weir_Tensor:$input, DenseI64ArrayAttr:$dims);
  let results = (outs Weir_Tensor:$output);
  let assemblyFormat = "`` $kind $input $dims attr-dict `:` functional-type(operands, results)";
  let hasFolder = 1;
  let hasVerifier = 1;
}

def Graph_ReshapeOp : Graph_ComputeOp<"reshape"> {
  let summary = "The same elements, row-major, in another shape.";
  let description = [{
    ```mlir
    %y = graph.reshape %x : (tensor<4x6xf32>) -> tensor<4x2x3xf32>
    ```
  }];
  let arguments = (ins Weir_Tensor:$input);
  let results = (outs Weir_Tensor:$output);
  let assemblyFormat = "$input attr-dict `:` functional-type(operands, results)";
  let hasFolder = 1;
  let hasVerifier = 1;
}

def Graph_TransposeOp : Graph_ComputeOp<"transpose"> {
  let summary = "Result dim `i` is operand dim `permutation[i]`.";
  let description = [{
    ```mlir
    %y = graph.transpose %x [1, 0] : (tensor<4x6xf32>) -> tensor<6x4xf32>
    ```
  }];
  let arguments = (ins Weir_Tensor:$input, DenseI64ArrayAttr:$permutation);
  let results = (outs Weir_Tensor:$output);
  let assemblyFormat = "$input $permutation attr-dict `:` functional-type(operands, results)";
  let hasFolder = 1;
  let hasVerifier = 1;
}

def Graph_SliceOp : Graph_ComputeOp<"slice"> {
  let summary = "A rectangular part: the result's shape says how much, `offsets` from where.";
  let description = [{
    ```mlir
    %q = graph.slice %qkv [0, 0, 0] : (tensor<4x3x8xf32>) -> tensor<4x1x8xf32>
    ```
  }];
  let arguments = (ins Weir_Tensor:$input, DenseI64ArrayAttr:$offsets);
  let results = (outs Weir_Tensor:$output);
  let assemblyFormat = "$input $offsets attr-dict `:` functional-type(operands, results)";
  let hasFolder = 1;
  let hasVerifier = 1;
}

def Graph_ConcatOp : Graph_ComputeOp<"concat"> {
  let summary = "Operands one after the other along `dim`.";
  let description = [{
    ```mlir
    %y = graph.concat %a, %b dim 1 : (tensor<4x1xf32>, tensor<4x2xf32>) -> tensor<4x3xf32>
    ```
  }];
  let arguments = (ins Variadic<Weir_Tensor>:$inputs, I64Attr:$dim);
  let results = (outs Weir_Tensor:$output);
  let assemblyFormat = "$inputs `dim` $dim attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}

def Graph_PadOp : Graph_ComputeOp<"pad"> {
  let summary = "Elements of one value before and behind each dimension.";
  let description = [{
    `low[i]` elements before dim `i`, and as many behind as the result's size leaves.

    ```mlir
    %y = graph.pad %x low [0, 1] value 0.0 : (tensor<4x6xf32>) -> tensor<4x9xf32>
    ```

    Constraints:
    - one `low` for each dim, none negative; the operand lies within the result
  }];
  let arguments = (ins Weir_Tensor:$input, DenseI64ArrayAttr:$low, F64Attr:$value);
  let results = (outs Weir_Tensor:$output);
  let assemblyFormat = "$input `low` $low `value` $value attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}

//===----------------------------------------------------------------------===//
// Scans and order
//===----------------------------------------------------------------------===//

def Graph_CumsumOp : Graph_ComputeOp<"cumsum",
    [DeclareOpInterfaceMethods<Graph_SplitProgramOpInterface>]> {
  let summary = "Sums of all elements up to each, along one dimension.";
  let description = [{
    `output[i] = sum over j <= i of input[j]`; with `exclusive` over `j < i`; with
    `reverse` over `j >= i` (`j > i`).

    ```mlir
    %y = graph.cumsum %x dim 1 exclusive : (tensor<4x6xf32>) -> tensor<4x6xf32>
    ```
  }];
  let arguments = (ins Weir_Tensor:$input, I64Attr:$dim, UnitAttr:$reverse, UnitAttr:$exclusive);
  let results = (outs Weir_Tensor:$output);
  let assemblyFormat = [{
    $input `dim` $dim (`reverse` $reverse^)? (`exclusive` $exclusive^)? attr-dict
    `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

def Graph_CumprodOp : Graph_ComputeOp<"cumprod"> {
  let summary = "Products of all elements up to each, along one dimension.";
  let description = [{
    As `graph.cumsum`, with products; it has no gradient.

    ```mlir
    %y = graph.cumprod %x dim 1 : (tensor<4x6xf32>) -> tensor<4x6xf32>
    ```
  }];
  let arguments = (ins Weir_Tensor:$input, I64Attr:$dim, UnitAttr:$reverse, UnitAttr:$exclusive);
  let results = (outs Weir_Tensor:$output);
  let assemblyFormat = [{
    $input `dim` $dim (`reverse` $reverse^)? (`exclusive` $exclusive^)? attr-dict
    `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

def Graph_SortOp : Graph_ComputeOp<"sort"> {
  let summary = "The elements along one dimension in order, and where each came from.";
  let description = [{
    Stable: equal elements keep their order. NaN is larger than every number.
    `values[i] = input[indices[i]]` along `dim`.

    ```mlir
    %v, %i = graph.sort %x dim 1 descending : (tensor<4x6xf32>) -> (tensor<4x6xf32>, tensor<4x6xi32>)
    ```
  }];
  let arguments = (ins Weir_Tensor:$input, I64Attr:$dim, UnitAttr:$descending);
  let results = (outs Weir_Tensor:$values, Weir_Tensor:$indices);
  let assemblyFormat = "$input `dim` $dim (`descending` $descending^)? attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}

def Graph_TopKOp : Graph_ComputeOp<"top_k"> {
  let summary = "The largest elements along one dimension, in descending order.";
  let description = [{
    The first elements of `graph.sort descending`, as many as the result has.

    ```mlir
    %v, %i = graph.top_k %x dim 1 : (tensor<4x6xf32>) -> (tensor<4x2xf32>, tensor<4x2xi32>)
    ```
  }];
  let arguments = (ins Weir_Tensor:$input, I64Attr:$dim);
  let results = (outs Weir_Tensor:$values, Weir_Tensor:$indices);
  let assemblyFormat = "$input `dim` $dim attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}

//===----------------------------------------------------------------------===//
// Elements by index
//===----------------------------------------------------------------------===//

def Graph_TakeOp : Graph_ComputeOp<"take"> {
  let summary = "Slices along one dimension by index.";
  let description = [{
    `output[p..., i..., q...] = input[p..., indices[i...], q...]`, where `p` are the
    dims before `dim` and `q` those behind. An index outside reads 0.

    ```mlir
    %y = graph.take %x, %i dim 1 : (tensor<4x6x8xf32>, tensor<2x3xi32>) -> tensor<4x2x3x8xf32>
    ```
  }];
  let arguments = (ins Weir_Tensor:$input, Weir_Tensor:$indices, I64Attr:$dim);
  let results = (outs Weir_Tensor:$output);
  let assemblyFormat = "$input `,` $indices `dim` $dim attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}

def Graph_TakeAlongOp : Graph_ComputeOp<"take_along"> {
  let summary = "Elements along one dimension by an index for each.";
  let description = [{
    `output[p..., j, q...] = input[p..., indices[p..., j, q...], q...]`. An index
    outside reads 0. What `graph.sort` gives indices for.

    ```mlir
    %y = graph.take_along %x, %i dim 1 : (tensor<4x6xf32>, tensor<4x2xi32>) -> tensor<4x2xf32>
    ```
  }];
  let arguments = (ins Weir_Tensor:$input, Weir_Tensor:$indices, I64Attr:$dim);
  let results = (outs Weir_Tensor:$output);
  let assemblyFormat = "$input `,` $indices `dim` $dim attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}

def Graph_ScatterAddOp : Graph_ComputeOp<"scatter_add"> {
  let summary = "Sums of slices by index: the transpose of `take` and of `take_along`.";
  let description = [{
    `output[p..., n, q...]` is the sum of `updates[p..., i..., q...]` over all `i`
    with `indices[i...] = n`; with `along`, the sum of `updates[p..., j, q...]` over
    all `j` with `indices[p..., j, q...] = n`. Sums in the order of the updates; an
    index outside is ignored. A segment sum is this with the segments' numbers
    as indices; an n-dimensional scatter is this on a reshaped tensor with
    row-major indices.

    ```mlir
    %y = graph.scatter_add %i, %u dim 1 : (tensor<3xi32>, tensor<4x3x8xf32>) -> tensor<4x6x8xf32>
    %z = graph.scatter_add %j, %v dim 1 along : (tensor<4x2xi32>, tensor<4x2xf32>) -> tensor<4x6xf32>
    ```
  }];
  let arguments = (ins Weir_Tensor:$indices, Weir_Tensor:$updates, I64Attr:$dim, UnitAttr:$along);
  let results = (outs Weir_Tensor:$output);
  let assemblyFormat = [{
    $indices `,` $updates `dim` $dim (`along` $along^)? attr-dict
    `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

//===----------------------------------------------------------------------===//
// Windows
//===----------------------------------------------------------------------===//

def Graph_WindowOp : Graph_ComputeOp<"window"> {
  let summary = "The windows of some dimensions, and in front of these the places in one.";
  let description = [{
    Dim `dims[i]` of the operand, of size X, becomes its windows, a dim of size O in
    its place; the places in a window are a dim of size K of the result, those of
    all `dims` one after the other in front of the first of these. Place `k` of
    window `o` is element `o strides[i] + k dilations[i] - low[i]` of the dim, and
    `value` where that lies outside. The result's shape says O and K.

    ```mlir
    // [n, c, h, w] -> [n, c, k0, k1, o0, o1]
    %y = graph.window %x dims [2, 3] strides [2, 2] dilations [1, 1] low [1, 1] value 0.0
        : (tensor<4x3x8x8xf32>) -> tensor<4x3x3x3x4x4xf32>
    ```

    Constraints:
    - `dims` increase strictly; strides and dilations are positive, `low` not negative
    - one stride, dilation and `low` for each of `dims`
  }];
  let arguments = (ins Weir_Tensor:$input, DenseI64ArrayAttr:$dims, DenseI64ArrayAttr:$strides,
    DenseI64ArrayAttr:$dilations, DenseI64ArrayAttr:$low, F64Attr:$value);
  let results = (outs Weir_Tensor:$output);
  let assemblyFormat = [{
    $input `dims` $dims `strides` $strides `dilations` $dilations `low` $low `value` $value
    attr-dict `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

def Graph_FoldOp : Graph_ComputeOp<"fold"> {
  let summary = "Sums windows where they overlap: the transpose of `window` with value 0.";
  let description = [{
    ```mlir
    %x = graph.fold %y dims [2, 3] strides [2, 2] dilations [1, 1] low [1, 1]
        : (tensor<4x3x3x3x4x4xf32>) -> tensor<4x3x8x8xf32>
    ```
  }];
  let arguments = (ins Weir_Tensor:$input, DenseI64ArrayAttr:$dims, DenseI64ArrayAttr:$strides,
    DenseI64ArrayAttr:$dilations, DenseI64ArrayAttr:$low);
  let results = (outs Weir_Tensor:$output);
  let assemblyFormat = [{
    $input `dims` $dims `strides` $strides `dilations` $dilations `low` $low
    attr-dict `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

def Graph_ConvOp : Graph_ComputeOp<"conv",
    [DeclareOpInterfaceMethods<Graph_SplitProgramOpInterface>]> {
  let summary = "Convolution (cross-correlation) over any number of spatial dimensions.";
  let description = [{
    `input` is `[N, C, X...]`, `weight` `[M, C / groups, K...]`, `output` `[N, M, O...]`:
    `output[n, m, o] = sum over c, k of input[n, g C / groups + c, o strides + k dilations - low]
    weight[m, c, k]`, where `g` is the group of `m` and an element outside is 0;
    `O = (X + low + high - dilations (K - 1) - 1) / strides + 1`, rounded down. A bias
    is an addition of its own.

    ```mlir
    %y = graph.conv %x, %w strides [1, 1] dilations [1, 1] low [1, 1] high [1, 1] groups 1
        : (tensor<2x3x8x8xf32>, tensor<4x3x3x3xf32>) -> tensor<2x4x8x8xf32>
    ```
  }];
  let arguments = (ins Weir_Tensor:$input, Weir_Tensor:$weight, DenseI64ArrayAttr:$strides,
    DenseI64ArrayAttr:$dilations, DenseI64ArrayAttr:$low, DenseI64ArrayAttr:$high, I64Attr:$groups);
  let results = (outs Weir_Tensor:$output);
  let assemblyFormat = [{
    $input `,` $weight `strides` $strides `dilations` $dilations `low` $low `high` $high
    `groups` $groups attr-dict `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

def Graph_PoolKind : I32EnumAttr<"PoolKind", "how a window's elements combine", [
    I32EnumAttrCase<"Max", 0, "max">, I32EnumAttrCase<"Avg", 1, "avg">,
    I32EnumAttrCase<"Sum", 2, "sum">]> {
  let cppNamespace = "::weir::graph";
  let genSpecializedAttr = 0;
}

def Graph_PoolOp : Graph_ComputeOp<"pool"> {
  let summary = "Maximum, mean or sum of each window of the spatial dimensions.";
  let description = [{
    `input` is `[N, C, X...]`, `output` `[N, C, O...]`, O as in `graph.conv` with
    `window` for K. A mean divides by the number of the window's places, with
    `excludePadding` by those inside. The gradient of a maximum goes to the first
    element that attains it, as PyTorch's.

    ```mlir
    %y = graph.pool max %x window [2, 2] strides [2, 2] dilations [1, 1] low [0, 0] high [0, 0]
        : (tensor<2x3x8x8xf32>) -> tensor<2x3x4x4xf32>
    ```
  }];
  let arguments = (ins EnumAttr<Graph_Dialect, Graph_PoolKind, "pool_kind">:$kind, Weir_Tensor:$input,
    DenseI64ArrayAttr:$window, DenseI64ArrayAttr:$strides, DenseI64ArrayAttr:$dilations,
    DenseI64ArrayAttr:$low, DenseI64ArrayAttr:$high, UnitAttr:$excludePadding);
  let results = (outs Weir_Tensor:$output);
  let assemblyFormat = [{
    `` $kind $input `window` $window `strides` $strides `dilations` $dilations `low` $low `high` $high
    (`exclude_padding` $excludePadding^)? attr-dict `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

//===----------------------------------------------------------------------===//
// Model ops
//===----------------------------------------------------------------------===//

def Graph_MatmulOp : Graph_ComputeOp<"matmul"> {
  let summary = "Product summed over contracted dimensions: linear layers and batched matrices.";
  let description = [{
    Result dims: the batch dims in order, then the free dims of `lhs`, then
    those of `rhs`.

    ```mlir
    // x[b,t,c] w[c,h,d] -> [b,t,h,d]
    %y = graph.matmul %x, %w batch [] x [] contract [2] x [0]
        : (tensor<4x8x48xf32>, tensor<48x4x12xf32>) -> tensor<4x8x4x12xf32>
    ```

    Constraints:
    - batch and contracted dims are distinct, equally many on both sides, of
      equal sizes
    - the result's shape is as above
  }];
  let arguments = (ins Weir_Tensor:$lhs, Weir_Tensor:$rhs,
    DenseI64ArrayAttr:$lhsBatch, DenseI64ArrayAttr:$rhsBatch,
    DenseI64ArrayAttr:$lhsContract, DenseI64ArrayAttr:$rhsContract);
  let results = (outs Weir_Tensor:$output);
  let assemblyFormat = [{
    $lhs `,` $rhs `batch` $lhsBatch `x` $rhsBatch `contract` $lhsContract `x` $rhsContract
    attr-dict `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    ::llvm::SmallVector<int64_t> getLhsFree();
    ::llvm::SmallVector<int64_t> getRhsFree();
  }];
}

def Graph_EmbeddingOp : Graph_ComputeOp<"embedding"> {
  let summary = "Rows of a table by index.";
  let description = [{
    ```mlir
    %x = graph.embedding %wte, %ids : (tensor<96x48xf32>, tensor<4x8xi32>) -> tensor<4x8x48xf32>
    ```
  }];
  let arguments = (ins Weir_Tensor:$table, Weir_Tensor:$indices);
  let results = (outs Weir_Tensor:$output);
  let assemblyFormat = "$table `,` $indices attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}

def Graph_EmbeddingGradOp : Graph_ComputeOp<"embedding_grad"> {
  let summary = "Gradient of a table: sums the rows of `updates` by index.";
  let description = [{
    ```mlir
    %dw = graph.embedding_grad %ids, %dy : (tensor<4x8xi32>, tensor<4x8x48xf32>) -> tensor<96x48xf32>
    ```
  }];
  let arguments = (ins Weir_Tensor:$indices, Weir_Tensor:$updates);
  let results = (outs Weir_Tensor:$output);
  let assemblyFormat = "$indices `,` $updates attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}

def Graph_LayerNormOp : Graph_ComputeOp<"layer_norm",
    [DeclareOpInterfaceMethods<Graph_SplitProgramOpInterface>]> {
  let summary = "Normalises the last dimension to mean 0 and variance 1, then scales and shifts.";
  let description = [{
    `output = (input - mean) rstd scale + bias`, `rstd = 1 / sqrt(variance + epsilon)`,
    biased variance. Ba et al., arXiv 1607.06450.

    ```mlir
    %y, %mean, %rstd = graph.layer_norm %x, %w, %b epsilon 1.0e-5
        : (tensor<4x48xf32>, tensor<48xf32>, tensor<48xf32>) -> (tensor<4x48xf32>, tensor<4xf32>, tensor<4xf32>)
    ```
  }];
  let arguments = (ins Weir_Tensor:$input, Weir_Tensor:$scale, Weir_Tensor:$bias,
                       F64Attr:$epsilon);
  let results = (outs Weir_Tensor:$output, Weir_Tensor:$mean, Weir_Tensor:$rstd);
  let assemblyFormat = "$input `,` $scale `,` $bias `epsilon` $epsilon attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}

def Graph_RmsNormOp : Graph_ComputeOp<"rms_norm",
    [DeclareOpInterfaceMethods<Graph_SplitProgramOpInterface>]> {
  let summary = "Divides by the root mean square of the last dimension, then scales.";
  let description = [{
    `output = input rstd scale`, `rstd = 1 / sqrt(mean(input^2) + epsilon)`.
    Zhang and Sennrich, arXiv 1910.07467.

    ```mlir
    %y, %rstd = graph.rms_norm %x, %w epsilon 1.0e-5
        : (tensor<4x48xf32>, tensor<48xf32>) -> (tensor<4x48xf32>, tensor<4xf32>)
    ```
  }];
  let arguments = (ins Weir_Tensor:$input, Weir_Tensor:$scale, F64Attr:$epsilon);
  let results = (outs Weir_Tensor:$output, Weir_Tensor:$rstd);
  let assemblyFormat = "$input `,` $scale `epsilon` $epsilon attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}

def Graph_SoftmaxOp : Graph_ComputeOp<"softmax", [SameOperandsAndResultType,
    DeclareOpInterfaceMethods<Graph_SplitProgramOpInterface>]> {
  let summary = "Softmax over the last dimension.";
  let description = [{
    ```mlir
    %p = graph.softmax %x : tensor<4x8xf32>
    ```
  }];
  let arguments = (ins Weir_Tensor:$input);
  let results = (outs Weir_Tensor:$output);
  let assemblyFormat = "$input attr-dict `:` type($input)";
  let hasVerifier = 1;
}

def Graph_RopeOp : Graph_ComputeOp<"rope"> {
  let summary = "Rotary position embedding of the last dimension.";
  let description = [{
    With halves `x0`, `x1` of the last dimension: `y0 = x0 cos - x1 sin`,
    `y1 = x1 cos + x0 sin`. `cos` and `sin` are `[T, D/2]`; `T` is dimension
    `seqDim` of the input. Su et al., arXiv 2104.09864 (in the half-split form
    of Llama).

    ```mlir
    %y = graph.rope %x, %cos, %sin seq 1
        : (tensor<2x8x4x12xf32>, tensor<8x6xf32>, tensor<8x6xf32>) -> tensor<2x8x4x12xf32>
    ```
  }];
  let arguments = (ins Weir_Tensor:$input, Weir_Tensor:$cos, Weir_Tensor:$sin, I64Attr:$seqDim);
  let results = (outs Weir_Tensor:$output);
  let assemblyFormat = "$input `,` $cos `,` $sin `seq` $seqDim attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}

def Graph_AttentionOp : Graph_ComputeOp<"attention",
    [DeclareOpInterfaceMethods<Graph_SplitProgramOpInterface>]> {
  let summary = "Scaled dot-product attention with grouped-query heads.";
  let description = [{
    `query` is `[B, T, G, R, D]`: `G` key-value heads with `R` query heads each;
    `key` is `[B, S, G, D]`, `value` `[B, S, G, E]`; `output` is `[B, T, G, R, E]` and
    `lse` `[B, G, R, T]`, the logarithm of each row's sum of exponentials. With
    `causal`, query `t` sees keys `s <= t`; with `positions` (i32, one for each
    query and one for each key) the keys whose position is at most its own, which
    tokens in another order than the sequence's need. A row that sees no key is
    0, its `lse` minus infinity.

    ```mlir
    %o, %lse = graph.attention %q, %k, %v scale 0.25 causal
        : (tensor<2x8x2x2x16xf32>, tensor<2x8x2x16xf32>, tensor<2x8x2x16xf32>)
        -> (tensor<2x8x2x2x16xf32>, tensor<2x2x2x8xf32>)
    ```
  }];
  let arguments = (ins Weir_Tensor:$query, Weir_Tensor:$key, Weir_Tensor:$value,
                       Variadic<Weir_Tensor>:$positions,
                       F64Attr:$scale, UnitAttr:$causal);
  let results = (outs Weir_Tensor:$output, Weir_Tensor:$lse);
  let assemblyFormat = [{
    $query `,` $key `,` $value (`positions` `(` $positions^ `)`)? `scale` $scale
    (`causal` $causal^)? attr-dict `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

def Graph_AttentionGradOp : Graph_ComputeOp<"attention_grad",
    [DeclareOpInterfaceMethods<Graph_SplitProgramOpInterface>]> {
  let summary = "Gradients of attention with respect to query, key and value.";
  let description = [{
    Recomputes the probabilities from `lse`: `P = exp(scale Q K^T - lse)`,
    `dV = P^T dO`, `dS = P (dO V^T - rowsum(dO O)) scale`, `dQ = dS K`, `dK = dS^T Q`.
    Dao et al., arXiv 2205.14135, algorithm 4.

    ```mlir
    %dq, %dk, %dv = graph.attention_grad %q, %k, %v, %o, %lse, %do scale 0.25 causal : (...) -> (...)
    ```
  }];
  let arguments = (ins Weir_Tensor:$query, Weir_Tensor:$key, Weir_Tensor:$value,
    Weir_Tensor:$output, Weir_Tensor:$lse, Weir_Tensor:$outputGradient,
    Variadic<Weir_Tensor>:$positions, F64Attr:$scale, UnitAttr:$causal);
  let results = (outs Weir_Tensor:$queryGradient, Weir_Tensor:$keyGradient,
                      Weir_Tensor:$valueGradient);
  let assemblyFormat = [{
    $query `,` $key `,` $value `,` $output `,` $lse `,` $outputGradient
    (`positions` `(` $positions^ `)`)? `scale` $scale
    (`causal` $causal^)? attr-dict `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

def Graph_DropoutOp : Graph_ComputeOp<"dropout", [Graph_SiteOpInterface]> {
  let summary = "Zeroes elements with probability `rate` and scales the others by `1 / (1 - rate)`.";
  let description = [{
    Element `i` (row-major logical index) is kept when
    `uniform01(randomWord(siteKey(site), seed, step, i)) >= rate`
    (runtime/base/Philox.h), whatever the layout, micro-batching or schedule.
    The gradient is the same op on the gradient. `seed` and `step` are rank-0 i32.

    ```mlir
    %y = graph.dropout %x, %seed, %step rate 0.1 site "h.0.mlp.dropout"
        : (tensor<4x8xf32>, tensor<i32>, tensor<i32>) -> tensor<4x8xf32>
    ```
  }];
  let arguments = (ins Weir_Tensor:$input, Weir_Tensor:$seed, Weir_Tensor:$step,
                       F64Attr:$rate, StrAttr:$site);
  let results = (outs Weir_Tensor:$output);
  let assemblyFormat = "$input `,` $seed `,` $step `rate` $rate `site` $site attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}

def Graph_CrossEntropyOp : Graph_ComputeOp<"cross_entropy",
    [DeclareOpInterfaceMethods<Graph_SplitProgramOpInterface>]> {
  let summary = "Softmax cross-entropy over the last dimension against integer labels.";
  let description = [{
    `lse = log sum_v exp(logits_v)`; `loss = lse - logits[label]`, and 0 where
    the label is `ignoreIndex`. In nats, one for each position.

    ```mlir
    %loss, %lse = graph.cross_entropy %logits, %labels ignore -100
        : (tensor<4x96xf32>, tensor<4xi32>) -> (tensor<4xf32>, tensor<4xf32>)
    ```
  }];
  let arguments = (ins Weir_Tensor:$logits, Weir_Tensor:$labels, I64Attr:$ignoreIndex);
  let results = (outs Weir_Tensor:$loss, Weir_Tensor:$lse);
  let assemblyFormat = "$logits `,` $labels `ignore` $ignoreIndex attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}

def Graph_CrossEntropyGradOp : Graph_ComputeOp<"cross_entropy_grad"> {
  let summary = "Gradient of cross-entropy with respect to the logits.";
  let description = [{
    `(exp(logits_v - lse) - [v = label]) lossGradient`, 0 where the label is `ignoreIndex`.

    ```mlir
    %dx = graph.cross_entropy_grad %logits, %labels, %lse, %dloss ignore -100
        : (tensor<4x96xf32>, tensor<4xi32>, tensor<4xf32>, tensor<4xf32>) -> tensor<4x96xf32>
    ```
  }];
  let arguments = (ins Weir_Tensor:$logits, Weir_Tensor:$labels, Weir_Tensor:$lse,
                       Weir_Tensor:$lossGradient, I64Attr:$ignoreIndex);
  let results = (outs Weir_Tensor:$output);
  let assemblyFormat = "$logits `,` $labels `,` $lse `,` $lossGradient `ignore` $ignoreIndex attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}

//===----------------------------------------------------------------------===//
// Optimizers
//===----------------------------------------------------------------------===//

def Graph_AdamWOp : Graph_ComputeOp<"adamw", [Graph_SiteOpInterface]> {
  let summary = "One AdamW update of a parameter and its moments.";
  let description = [{
    With `g = scale gradient` and rank-0 f32 scalars:
    `p1 = p (1 - lr weightDecay)`, `m' = beta1 m + (1 - beta1) g`,
    `v' = beta2 v + (1 - beta2) g^2`,
    `p' = p1 - (lr / correction1) m' / (sqrt(v') / sqrt(correction2) + epsilon)`,
    where `correction1 = 1 - beta1^t`, `correction2 = 1 - beta2^t`. When `apply` (rank-0
    i1) is false all three are returned unchanged. Loshchilov and Hutter,
    arXiv 1711.05101; order of operations and epsilon as in PyTorch.

    ```mlir
    %p1, %m1, %v1 = graph.adamw %p, %m, %v, %g, %scale, %lr, %beta1, %beta2, %eps, %wd, %c1, %c2, %apply
        site "wte/adamw" : (...) -> (...)
    ```
  }];
  let arguments = (ins Weir_Tensor:$parameter, Weir_Tensor:$firstMoment,
    Weir_Tensor:$secondMoment, Weir_Tensor:$gradient, Weir_Tensor:$scale,
    Weir_Tensor:$learningRate, Weir_Tensor:$beta1, Weir_Tensor:$beta2,
    Weir_Tensor:$epsilon, Weir_Tensor:$weightDecay, Weir_Tensor:$correction1,
    Weir_Tensor:$correction2, Weir_Tensor:$apply, StrAttr:$site);
  let results = (outs Weir_Tensor:$newParameter, Weir_Tensor:$newFirstMoment,
                      Weir_Tensor:$newSecondMoment);
  let assemblyFormat = "operands `site` $site attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}

def Graph_SgdOp : Graph_ComputeOp<"sgd", [Graph_SiteOpInterface]> {
  let summary = "One SGD update with momentum.";
  let description = [{
    `g = scale gradient + weightDecay p`, `b' = momentum b + g`, `p' = p - lr b'`, as in
    PyTorch (no dampening; its first step equals this with `b = 0`). When `apply`
    is false both are returned unchanged.

    ```mlir
    %p1, %b1 = graph.sgd %p, %b, %g, %scale, %lr, %momentum, %wd, %apply site "wte/sgd" : (...) -> (...)
    ```
  }];
  let arguments = (ins Weir_Tensor:$parameter, Weir_Tensor:$momentumBuffer,
    Weir_Tensor:$gradient, Weir_Tensor:$scale, Weir_Tensor:$learningRate,
    Weir_Tensor:$momentum, Weir_Tensor:$weightDecay, Weir_Tensor:$apply, StrAttr:$site);
  let results = (outs Weir_Tensor:$newParameter, Weir_Tensor:$newMomentumBuffer);
  let assemblyFormat = "operands `site` $site attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}

#endif // WEIR_DIALECTS_GRAPH_GRAPHOPS
