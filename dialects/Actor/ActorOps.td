// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_DIALECTS_ACTOR_ACTOROPS
#define WEIR_DIALECTS_ACTOR_ACTOROPS

include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/BuiltinAttributes.td"
include "mlir/IR/EnumAttr.td"
include "mlir/IR/OpBase.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

def Actor_Dialect : Dialect {
  let name = "actor";
  let cppNamespace = "::weir::actor";
  let summary = "The plan of a role: actors, registers, streams, segments";
  let description = [{
    One to one with the plan in the artifact (runtime/plan/Plan.h): what the
    runtime executes, before it is written as a file. An *actor* is a maximal
    run of actions between waits on other streams; a *register* is a value that
    crosses streams; a *reuse edge* orders two actors that share memory.

    The order of actors in an entry is a valid order of execution: every register
    and every reuse edge without distance leads forward in it. Memory is placed
    along this order, and liveness follows from it.
  }];
  let useDefaultTypePrinterParser = 1;
  let useDefaultAttributePrinterParser = 1;
  let dependentDialects = ["::weir::dist::DistDialect"];
}

//===----------------------------------------------------------------------===//
// Types: handles of the parts of a plan
//===----------------------------------------------------------------------===//

class Actor_Type<string name, string typeMnemonic, string text>
    : TypeDef<Actor_Dialect, name> {
  let mnemonic = typeMnemonic;
  let summary = text;
}

def Actor_SegmentType : Actor_Type<"Segment", "segment", "A segment of memory.">;
def Actor_BufferType : Actor_Type<"Buffer", "buffer", "A buffer.">;
def Actor_StreamType : Actor_Type<"Stream", "stream", "A stream.">;
def Actor_CollectiveType : Actor_Type<"Collective", "collective", "A collective's description.">;
def Actor_ActorType : Actor_Type<"Actor", "actor", "An actor.">;

//===----------------------------------------------------------------------===//
// Attributes
//===----------------------------------------------------------------------===//

def Actor_SegmentKind : I32EnumAttr<"SegmentKind", "what a segment holds", [
    I32EnumAttrCase<"Parameters", 0, "parameters">,
    I32EnumAttrCase<"State", 1, "state">,
    I32EnumAttrCase<"Step", 2, "step">,
    I32EnumAttrCase<"Workspace", 3, "workspace">]> {
  let cppNamespace = "::weir::actor";
  let genSpecializedAttr = 0;
}

def Actor_CollectiveKind : I32EnumAttr<"CollectiveKind", "kind of a collective", [
    I32EnumAttrCase<"AllReduce", 0, "all_reduce">,
    I32EnumAttrCase<"AllGather", 1, "all_gather">,
    I32EnumAttrCase<"ReduceScatter", 2, "reduce_scatter">,
    I32EnumAttrCase<"AllToAll", 3, "all_to_all">,
    I32EnumAttrCase<"Exchange", 4, "exchange">]> {
  let cppNamespace = "::weir::actor";
  let genSpecializedAttr = 0;
}

def Actor_Phase : I32EnumAttr<"Phase", "phase of a collective", [
    I32EnumAttrCase<"Post", 0, "post">,
    I32EnumAttrCase<"Reduce", 1, "reduce">,
    I32EnumAttrCase<"Gather", 2, "gather">,
    I32EnumAttrCase<"Release", 3, "release">]> {
  let cppNamespace = "::weir::actor";
  let genSpecializedAttr = 0;
}

def Actor_ScalarKind : I32EnumAttr<"ScalarKind", "kind of a scalar expression", [
    I32EnumAttrCase<"Constant", 0, "constant">,
    I32EnumAttrCase<"Extent", 1, "extent">,
    I32EnumAttrCase<"Offset", 2, "offset">]> {
  let cppNamespace = "::weir::actor";
  let genSpecializedAttr = 0;
}

def Actor_Combiner : I32EnumAttr<"Combiner", "how partial values combine", [
    I32EnumAttrCase<"Sum", 0, "sum">,
    I32EnumAttrCase<"Max", 1, "max">,
    I32EnumAttrCase<"Min", 2, "min">]> {
  let cppNamespace = "::weir::actor";
  let genSpecializedAttr = 0;
}

class Actor_Attr<string name, string attrMnemonic> : AttrDef<Actor_Dialect, name> {
  let mnemonic = attrMnemonic;
}

def Actor_ScalarAttr : Actor_Attr<"Scalar", "scalar"> {
  let summary = "An integer that every rank computes from its coordinates.";
  let description = [{
    `constant`: `size` itself. `extent`, `offset`: those of a dimension of
    `size` elements split over the mesh axes in order, in runs of `unit`, at
    the coordinates `shift` places on.

    Example: `#actor.scalar<extent 25 axes[0, 2]>`, `#actor.scalar<offset 48 unit 8 axes[1]>`
  }];
  let parameters = (ins EnumParameter<Actor_ScalarKind>:$kind, "int64_t":$size,
                        DefaultValuedParameter<"int64_t", "1">:$unit,
                        DefaultValuedParameter<"int64_t", "0">:$shift,
                        OptionalArrayRefParameter<"int64_t">:$axes);
  let assemblyFormat = "`<` $kind $size (`unit` $unit^)? (`shift` $shift^)? (`axes` `[` $axes^ `]`)? `>`";
}
def Actor_ScalarArrayAttr : TypedArrayAttrBase<Actor_ScalarAttr, "scalar expressions">;

def Actor_BindingAttr : Actor_Attr<"Binding", "binding"> {
  let summary = "A tensor that the caller binds.";
  let description = "Example: `#actor.binding<\"ids\", tensor<2x8xi32>>`";
  let parameters = (ins StringRefParameter<"caller's name">:$name,
                        "::mlir::RankedTensorType":$type);
  let assemblyFormat = "`<` $name `,` $type `>`";
}
def Actor_BindingArrayAttr : TypedArrayAttrBase<Actor_BindingAttr, "bindings">;

def Actor_ContractDimAttr : Actor_Attr<"ContractDim", "contract_dim"> {
  let summary = "One loop of a contraction: its extent and strides.";
  let description = [{
    `scalar` is an index into the entry's scalars; strides are in elements.

    Example: `#actor.contract_dim<4 strides 128, 0, 64>`
  }];
  let parameters = (ins "int64_t":$scalar, "int64_t":$strideA, "int64_t":$strideB,
                        "int64_t":$strideC);
  let assemblyFormat = "`<` $scalar `strides` $strideA `,` $strideB `,` $strideC `>`";
}
def Actor_ContractDimArrayAttr : TypedArrayAttrBase<Actor_ContractDimAttr, "contraction loops">;

def Actor_CollectiveDimAttr : Actor_Attr<"CollectiveDim", "collective_dim"> {
  let summary = "One dimension of a collective's tensors.";
  let description = [{
    The logical size, the mesh axes that split it before and after (in runs of
    the units, where these are not 1, and `shift` places on, where these are
    not 0), and the strides in elements of input and output.

    Example: `#actor.collective_dim<25 in[0] strides 8, 8>`
  }];
  let parameters = (ins "int64_t":$logical, OptionalArrayRefParameter<"int64_t">:$inAxes,
                        OptionalArrayRefParameter<"int64_t">:$outAxes,
                        "int64_t":$inStride, "int64_t":$outStride,
                        DefaultValuedParameter<"int64_t", "1">:$inUnit,
                        DefaultValuedParameter<"int64_t", "1">:$outUnit,
                        DefaultValuedParameter<"int64_t", "0">:$inShift,
                        DefaultValuedParameter<"int64_t", "0">:$outShift);
  let assemblyFormat = [{
    `<` $logical (`in` `[` $inAxes^ `]`)? (`out` `[` $outAxes^ `]`)? `strides` $inStride `,` $outStride
    (`inUnit` $inUnit^)? (`outUnit` $outUnit^)? (`inShift` $inShift^)? (`outShift` $outShift^)? `>`
  }];
}
def Actor_CollectiveDimArrayAttr
    : TypedArrayAttrBase<Actor_CollectiveDimAttr, "dimensions of a collective">;

//===----------------------------------------------------------------------===//
// Plan, segments, variables
//===----------------------------------------------------------------------===//

// As I64Attr, read as a signed number.
def Actor_Int : TypedSignlessIntegerAttrBase<I64, "int64_t", "64-bit integer attribute">;

class Actor_Op<string opMnemonic, list<Trait> traits = []>
    : Op<Actor_Dialect, opMnemonic, traits>;

def Actor_PlanOp : Actor_Op<"plan", [SingleBlock, NoTerminator]> {
  let summary = "What one role executes.";
  let description = [{
    Holds the segments, the places of the variables, and the entries. `team` is
    the number of threads of a rank.

    ```mlir
    actor.plan role 0 team 1 {
      %parameters = actor.segment "parameters" kind parameters bytes 3072
      actor.variable @wte in %parameters offset 0 bytes 3072
      actor.entry "forward" micro_batches 1 inputs [...] outputs [...] scalars [...] {
        ...
      }
    }
    ```

    Constraints:
    - a positive team
    - segment names are unique, entry names too
  }];
  let arguments = (ins Actor_Int:$role, Actor_Int:$team);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = "`role` $role `team` $team attr-dict-with-keyword $body";
  let hasRegionVerifier = 1;
}

def Actor_SegmentOp : Actor_Op<"segment", [HasParent<"PlanOp">]> {
  let summary = "One allocation of every rank.";
  let description = [{
    ```mlir
    %step = actor.segment "step" kind step bytes 65536
    ```
  }];
  let arguments = (ins StrAttr:$name, EnumAttr<Actor_Dialect, Actor_SegmentKind, "segment_kind">:$kind,
                       Actor_Int:$bytes);
  let results = (outs Actor_SegmentType:$segment);
  let assemblyFormat = "$name `kind` `` $kind `bytes` $bytes attr-dict";
  let hasVerifier = 1;
}

def Actor_VariableOp : Actor_Op<"variable", [HasParent<"PlanOp">]> {
  let summary = "The place of a `graph.variable`.";
  let description = [{
    `bytes` is the size of the largest shard.

    ```mlir
    actor.variable @wte in %parameters offset 0 bytes 3072
    ```

    Constraints:
    - the place is aligned to 64 bytes and inside the segment
  }];
  let arguments = (ins FlatSymbolRefAttr:$variable, Actor_SegmentType:$segment,
                       Actor_Int:$offset, Actor_Int:$bytes);
  let assemblyFormat = "$variable `in` $segment `offset` $offset `bytes` $bytes attr-dict";
  let hasVerifier = 1;
}

//===----------------------------------------------------------------------===//
// Entries
//===----------------------------------------------------------------------===//

def Actor_EntryOp : Actor_Op<"entry", [HasParent<"PlanOp">, SingleBlock, NoTerminator]> {
  let summary = "The actors of one entry.";
  let description = [{
    `scalars` is the table that kernels and contractions index.

    Constraints:
    - at least one micro-batch
    - every register and every reuse edge without distance leads from an actor
      to a later one
    - the actors that fire for each micro-batch stand together
    - every actor is scheduled on its own stream as often as it fires, in the
      order of its micro-batches
  }];
  let arguments = (ins StrAttr:$name, Actor_Int:$microBatches,
                       Actor_BindingArrayAttr:$inputs, Actor_BindingArrayAttr:$outputs,
                       Actor_ScalarArrayAttr:$scalars);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = [{
    $name `micro_batches` $microBatches `inputs` $inputs `outputs` $outputs `scalars` $scalars
    attr-dict-with-keyword $body
  }];
  let hasRegionVerifier = 1;
}

def Actor_StreamOp : Actor_Op<"stream", [HasParent<"EntryOp">]> {
  let summary = "A total order of actors.";
  let description = [{
    ```mlir
    %compute = actor.stream "compute"
    ```
  }];
  let arguments = (ins StrAttr:$name);
  let results = (outs Actor_StreamType:$stream);
  let assemblyFormat = "$name attr-dict";
}

def Actor_BufferOp : Actor_Op<"buffer", [HasParent<"EntryOp">]> {
  let summary = "A place in a segment, or the caller's memory.";
  let description = [{
    Without a segment it has not been placed, or (with `input`) it is only ever
    the caller's memory. `input` and `output` are indices of the entry's
    bindings; an output's place is used by all ranks but rank 0. `carried`: the
    contents outlive a micro-batch, so that the buffer is live throughout the
    loop when actors of the loop use it.

    ```mlir
    %b = actor.buffer "h.0.fc" bytes 4096 in %step offset 128
    %ids = actor.buffer "ids" bytes 64 input 0
    ```

    Constraints:
    - positive sizes; offset and slot stride are multiples of 64
    - the place is inside the segment
    - not both input and output
  }];
  let arguments = (ins StrAttr:$name, Actor_Int:$bytes, Optional<Actor_SegmentType>:$segment,
                       DefaultValuedAttr<Actor_Int, "0">:$offset,
                       DefaultValuedAttr<Actor_Int, "1">:$slots,
                       DefaultValuedAttr<Actor_Int, "0">:$slotStride,
                       OptionalAttr<Actor_Int>:$input, OptionalAttr<Actor_Int>:$output,
                       UnitAttr:$carried);
  let results = (outs Actor_BufferType:$buffer);
  let assemblyFormat = [{
    $name `bytes` $bytes (`in` $segment^ `offset` $offset)? (`slots` $slots^ `stride` $slotStride)?
    (`input` $input^)? (`output` $output^)? (`carried` $carried^)? attr-dict
  }];
  let hasVerifier = 1;
}

def Actor_CollectiveOp : Actor_Op<"collective", [HasParent<"EntryOp">]> {
  let summary = "What a collective moves.";
  let description = [{
    ```mlir
    %c = actor.collective all_reduce sum axes [1] dims [#actor.collective_dim<8 strides 1, 1>] type f32
    ```

    Constraints:
    - at least one mesh axis
    - all-to-all and all-gather do not combine: their combiner reads `sum`
  }];
  let arguments = (ins EnumAttr<Actor_Dialect, Actor_CollectiveKind, "collective_kind">:$kind,
                       EnumAttr<Actor_Dialect, Actor_Combiner, "combiner">:$combiner, DenseI64ArrayAttr:$axes,
                       Actor_CollectiveDimArrayAttr:$dims, TypeAttr:$type);
  let results = (outs Actor_CollectiveType:$collective);
  let assemblyFormat = "`` $kind `` $combiner `axes` $axes `dims` $dims `type` $type attr-dict";
  let hasVerifier = 1;
}

def Actor_ActorOp : Actor_Op<"actor", [HasParent<"EntryOp">, SingleBlock, NoTerminator]> {
  let summary = "A maximal run of actions between waits on other streams.";
  let description = [{
    ```mlir
    %a = actor.actor "h.0.fc" on %compute per_micro_batch {
      actor.fill 0.0 type f32 %b site "h.0.fc"
    }
    ```

    Constraints:
    - the body holds actions only, at least one
  }];
  let arguments = (ins StrAttr:$name, Actor_StreamType:$stream, UnitAttr:$perMicroBatch);
  let regions = (region SizedRegion<1>:$body);
  let results = (outs Actor_ActorType:$actor);
  let assemblyFormat = "$name `on` $stream (`per_micro_batch` $perMicroBatch^)? attr-dict-with-keyword $body";
  let hasRegionVerifier = 1;
}

//===----------------------------------------------------------------------===//
// Actions
//===----------------------------------------------------------------------===//

class Actor_Action<string opMnemonic, list<Trait> traits = []>
    : Actor_Op<opMnemonic, !listconcat([HasParent<"ActorOp">], traits)>;

def Actor_KernelOp : Actor_Action<"kernel"> {
  let summary = "Runs a generated kernel.";
  let description = [{
    `offsets` are in bytes from the buffers' starts. The first `reads` buffers
    are only read, the others written (and read where the kernel updates in
    place). `scalars` are indices into the entry's table.

    ```mlir
    actor.kernel @ln(%x, %y) offsets [0, 64] reads 1 scalars [0, 3] chunks 8 site "h.0.ln_1"
    ```
  }];
  let arguments = (ins FlatSymbolRefAttr:$kernel, Variadic<Actor_BufferType>:$buffers,
                       DenseI64ArrayAttr:$offsets, Actor_Int:$reads, DenseI64ArrayAttr:$scalars,
                       Actor_Int:$chunks, StrAttr:$site);
  let assemblyFormat = [{
    $kernel `(` $buffers `)` `offsets` $offsets `reads` $reads `scalars` $scalars
    `chunks` $chunks `site` $site attr-dict
  }];
  let hasVerifier = 1;
}

def Actor_ContractOp : Actor_Action<"contract"> {
  let summary = "A strided batched matrix product.";
  let description = [{
    `C[loops, m, n] (+)= sum over k of A[loops, m, k] B[loops, k, n]`, loops
    whose stride in C is 0 being summed over too.

    ```mlir
    actor.contract %a, %b, %c offsets [0, 0, 0] loops []
        m #actor.contract_dim<0 strides 8, 0, 6> n #actor.contract_dim<1 strides 0, 1, 1>
        k #actor.contract_dim<2 strides 1, 6, 0> type f32 site "h.0.fc"
    ```
  }];
  let arguments = (ins Actor_BufferType:$a, Actor_BufferType:$b, Actor_BufferType:$c,
                       DenseI64ArrayAttr:$offsets, Actor_ContractDimArrayAttr:$loops,
                       Actor_ContractDimAttr:$m, Actor_ContractDimAttr:$n,
                       Actor_ContractDimAttr:$k, UnitAttr:$accumulate, TypeAttr:$type, StrAttr:$site);
  let assemblyFormat = [{
    $a `,` $b `,` $c `offsets` $offsets `loops` $loops `m` $m `n` $n `k` $k
    (`accumulate` $accumulate^)? `type` $type `site` $site attr-dict
  }];
  let hasVerifier = 1;
}

def Actor_PhaseOp : Actor_Action<"phase"> {
  let summary = "One phase of a collective.";
  let description = [{
    Each collective has the phases post, reduce (all-reduce only), gather and
    release, in this order.

    ```mlir
    actor.phase post %c, %in, %out offsets [0, 0] site "h.0.fc/all_reduce"
    ```
  }];
  let arguments = (ins EnumAttr<Actor_Dialect, Actor_Phase, "phase">:$phase,
                       Actor_CollectiveType:$collective,
                       Actor_BufferType:$input, Actor_BufferType:$output,
                       DenseI64ArrayAttr:$offsets, StrAttr:$site);
  let assemblyFormat = [{
    `` $phase $collective `,` $input `,` $output `offsets` $offsets `site` $site attr-dict
  }];
  let hasVerifier = 1;
}

def Actor_FillOp : Actor_Action<"fill"> {
  let summary = "Sets every element of a buffer.";
  let description = [{
    ```mlir
    actor.fill 0.0 type f32 %b site "h.0.fc/accumulator"
    ```
  }];
  let arguments = (ins F64Attr:$value, TypeAttr:$type, Actor_BufferType:$buffer, StrAttr:$site);
  let assemblyFormat = "$value `type` $type $buffer `site` $site attr-dict";
}

//===----------------------------------------------------------------------===//
// Order
//===----------------------------------------------------------------------===//

def Actor_RegisterOp : Actor_Op<"register", [HasParent<"EntryOp">]> {
  let summary = "A value that crosses streams.";
  let description = [{
    The consumers fire after the producer did. With micro-batches, the producer
    fires for micro-batch `j` only when all consumers that fire for each have
    fired for `j - slots`.

    ```mlir
    actor.register %b from %a0 to %a1, %a2 slots 1
    ```

    Constraints:
    - the consumers are on other streams than the producer, each named once
    - a consumer that fires for each micro-batch has a producer of the same kind
      or one that fires once
    - as many slots as the buffer has
  }];
  let arguments = (ins Actor_BufferType:$buffer, Actor_ActorType:$producer,
                       Variadic<Actor_ActorType>:$consumers, Actor_Int:$slots);
  let assemblyFormat = "$buffer `from` $producer `to` $consumers `slots` $slots attr-dict";
  let hasVerifier = 1;
}

def Actor_ReuseOp : Actor_Op<"reuse", [HasParent<"EntryOp">]> {
  let summary = "Orders two actors of different streams that share memory.";
  let description = [{
    The second fires after the first; with `distance` 1, for micro-batch `j + 1`
    after the first has fired for `j`.

    ```mlir
    actor.reuse %a0 then %a1 distance 0
    ```

    Constraints:
    - the actors are on different streams
    - distance is 0, or 1 between two actors that fire for each micro-batch
  }];
  let arguments = (ins Actor_ActorType:$before, Actor_ActorType:$after, Actor_Int:$distance);
  let assemblyFormat = "$before `then` $after `distance` $distance attr-dict";
  let hasVerifier = 1;
}

def Actor_ScheduleOp : Actor_Op<"schedule", [HasParent<"EntryOp">]> {
  let summary = "The order in which a stream fires its actors.";
  let description = [{
    One micro-batch for each item; -1 for an actor that fires once a step.

    ```mlir
    actor.schedule %compute [%a0, %a1, %a1, %a2] micro_batches [-1, 0, 1, -1]
    ```

    Constraints:
    - as many micro-batches as items
    - the actors are on the stream
  }];
  let arguments = (ins Actor_StreamType:$stream, Variadic<Actor_ActorType>:$actors,
                       DenseI64ArrayAttr:$microBatches);
  let assemblyFormat = "$stream `[` $actors `]` `micro_batches` $microBatches attr-dict";
  let hasVerifier = 1;
}

#endif // WEIR_DIALECTS_ACTOR_ACTOROPS
