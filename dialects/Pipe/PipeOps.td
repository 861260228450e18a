// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_DIALECTS_PIPE_PIPEOPS
#define WEIR_DIALECTS_PIPE_PIPEOPS

include "mlir/IR/BuiltinAttributes.td"
include "mlir/IR/EnumAttr.td"
include "mlir/IR/OpBase.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/Interfaces/FunctionInterfaces.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

def Pipe_Dialect : Dialect {
  let name = "pipe";
  let cppNamespace = "::weir::pipe";
  let summary = "Programs of roles: what the ranks of one pipeline stage run";
  let description = [{
    A *role* is the ranks that share one stage's program. Each entry of the
    model becomes one isolated `pipe.program` a role, with the tasks that it
    does for every micro-batch and the order in which it does them. With one
    stage there is one role, 0.
  }];
  let useDefaultAttributePrinterParser = 1;
  let dependentDialects = ["::weir::dist::DistDialect"];
}

def Pipe_TaskKind : I32EnumAttr<"TaskKind", "what a task does", [
    I32EnumAttrCase<"Forward", 0, "forward">,
    I32EnumAttrCase<"Backward", 1, "backward">,
    I32EnumAttrCase<"Update", 2, "update">]> {
  let cppNamespace = "::weir::pipe";
  let genSpecializedAttr = 0;
}
def Pipe_TaskKindAttr : EnumAttr<Pipe_Dialect, Pipe_TaskKind, "task">;
def Pipe_TaskArrayAttr : TypedArrayAttrBase<Pipe_TaskKindAttr, "kinds of tasks">;

// As I64Attr, read as a signed number.
def Pipe_Int : TypedSignlessIntegerAttrBase<I64, "int64_t", "64-bit integer attribute">;

class Pipe_Op<string opMnemonic, list<Trait> traits = []>
    : Op<Pipe_Dialect, opMnemonic, traits>;

def Pipe_ProgramOp : Pipe_Op<"program",
    [FunctionOpInterface, IsolatedFromAbove, Symbol, SingleBlock]> {
  let summary = "What one role runs for one entry.";
  let description = [{
    The body is the entry's on local tensors; ops that run for every micro-batch
    stand in its `dist.micro_batches` loop. Arguments and results are bound as
    those of `graph.entry`: an argument to a variable (`graph.variable`) or to a
    tensor of the caller (`graph.input`), a result to the variable that it
    updates or to a name for the caller (`graph.output`).

    `tasks` lists the kinds of tasks that the program has. `schedule` is the
    order in which it does them: `F`, `B` and `U` for forward, backward and
    update, followed by the micro-batch, except for the update, which is done
    once.

    ```mlir
    pipe.program @train role 0 entry "train" tasks [forward, backward, update]
        schedule "F0 B0 F1 B1 U"
        (%ids: tensor<2x8xi32> {graph.input = "ids"},
         %w: tensor<96x8xf32> {graph.variable = @wte})
        -> (tensor<96x8xf32> {graph.variable = @wte}) {
      ...
      pipe.return %w1 : tensor<96x8xf32>
    }
    ```

    Constraints:
    - each argument has exactly one of the two bindings, each result exactly one
    - a variable that a result updates is also an argument
    - the schedule names listed tasks only; each forward and backward task once
      for every micro-batch 0, 1, ..., backward after forward; update once, last
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, TypeAttrOf<FunctionType>:$function_type,
                       StrAttr:$entry, Pipe_Int:$role, Pipe_TaskArrayAttr:$tasks,
                       StrAttr:$schedule,
                       OptionalAttr<DictArrayAttr>:$arg_attrs,
                       OptionalAttr<DictArrayAttr>:$res_attrs);
  let regions = (region SizedRegion<1>:$body);
  let hasCustomAssemblyFormat = 1;
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    ::llvm::ArrayRef<::mlir::Type> getArgumentTypes() { return getFunctionType().getInputs(); }
    ::llvm::ArrayRef<::mlir::Type> getResultTypes() { return getFunctionType().getResults(); }
    ::mlir::Region *getCallableRegion() { return &getBody(); }
    /// The variable argument `index` reads, or an empty string.
    ::llvm::StringRef getArgumentVariable(unsigned index);
    /// The caller's name of argument `index`, or an empty string.
    ::llvm::StringRef getArgumentInput(unsigned index);
    /// The variable result `index` updates, or an empty string.
    ::llvm::StringRef getResultVariable(unsigned index);
    /// The caller's name of result `index`, or an empty string.
    ::llvm::StringRef getResultOutput(unsigned index);
  }];
}

def Pipe_ReturnOp : Pipe_Op<"return", [Pure, Terminator, HasParent<"ProgramOp">]> {
  let summary = "Ends a program.";
  let description = [{
    Operand types are the program's result types.

    ```mlir
    pipe.return %loss : tensor<f32>
    ```
  }];
  let arguments = (ins Variadic<AnyRankedTensor>:$values);
  let assemblyFormat = "attr-dict ($values^ `:` type($values))?";
  let hasVerifier = 1;
}

#endif // WEIR_DIALECTS_PIPE_PIPEOPS
