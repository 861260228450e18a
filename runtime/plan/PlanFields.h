// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_RUNTIME_PLAN_PLANFIELDS_H
#define WEIR_RUNTIME_PLAN_PLANFIELDS_H

#include "runtime/plan/Archive.h"
#include "runtime/plan/Plan.h"

/// The members of the plan's structs, for Archive.h.
namespace weir::plan {

WEIR_ENUM_NAMES(DType, {DType::F32, "f32"}, {DType::F64, "f64"},
                {DType::F16, "f16"}, {DType::BF16, "bf16"}, {DType::I64, "i64"},
                {DType::I32, "i32"}, {DType::I8, "i8"}, {DType::U8, "u8"},
                {DType::I1, "i1"});
WEIR_ENUM_NAMES(Combiner, {Combiner::Sum, "sum"}, {Combiner::Max, "max"},
                {Combiner::Min, "min"});
WEIR_ENUM_NAMES(ScalarExpr::Kind, {ScalarExpr::Kind::Constant, "constant"},
                {ScalarExpr::Kind::Extent, "extent"},
                {ScalarExpr::Kind::Offset, "offset"});
WEIR_ENUM_NAMES(Segment::Kind, {Segment::Kind::Parameters, "parameters"},
                {Segment::Kind::State, "state"}, {Segment::Kind::Step, "step"},
                {Segment::Kind::Workspace, "workspace"});
WEIR_ENUM_NAMES(Collective::Op, {Collective::Op::AllReduce, "all-reduce"},
                {Collective::Op::AllGather, "all-gather"},
                {Collective::Op::ReduceScatter, "reduce-scatter"},
                {Collective::Op::AllToAll, "all-to-all"},
                {Collective::Op::Exchange, "exchange"});
WEIR_ENUM_NAMES(Action::Kind, {Action::Kind::Kernel, "kernel"},
                {Action::Kind::Contract, "contract"},
                {Action::Kind::Collective, "collective"},
                {Action::Kind::Fill, "fill"});
WEIR_ENUM_NAMES(Action::Phase, {Action::Phase::Post, "post"},
                {Action::Phase::Reduce, "reduce"},
                {Action::Phase::Gather, "gather"},
                {Action::Phase::Release, "release"});
WEIR_ENUM_NAMES(Initializer::Kind, {Initializer::Kind::Constant, "constant"},
                {Initializer::Kind::Normal, "normal"},
                {Initializer::Kind::Uniform, "uniform"});
WEIR_ENUM_NAMES(Variable::Kind, {Variable::Kind::Parameter, "parameter"},
                {Variable::Kind::OptimizerState, "optimizer-state"},
                {Variable::Kind::Cache, "cache"},
                {Variable::Kind::Counter, "counter"});

//===----------------------------------------------------------------------===//
// The members of each struct. `required` members are always written, `optional`
// ones only where they differ from the value given.
//===----------------------------------------------------------------------===//

template <typename A> void fields(A &a, MeshAxis &x) {
  a.required("name", x.name);
  a.required("size", x.size);
  a.optional("time", x.time, false);
}
template <typename A> void fields(A &a, ScalarExpr &x) {
  a.required("kind", x.kind);
  a.required("size", x.size);
  a.optional("axes", x.axes, {});
  a.optional("unit", x.unit, 1);
  a.optional("shift", x.shift, 0);
}
template <typename A> void fields(A &a, DimLayout &x) {
  a.required("size", x.size);
  a.required("capacity", x.capacity);
  a.optional("axes", x.axes, {});
  a.optional("unit", x.unit, 1);
}
template <typename A> void fields(A &a, TensorLayout &x) {
  a.required("dtype", x.dtype);
  a.list("dims", x.dims);
  a.optional("partialAxes", x.partialAxes, {});
}
template <typename A> void fields(A &a, Segment &x) {
  a.required("name", x.name);
  a.required("kind", x.kind);
  a.required("bytes", x.bytes);
}
template <typename A> void fields(A &a, Buffer &x) {
  a.required("name", x.name);
  a.optional("segment", x.segment, -1);
  a.optional("offset", x.offset, 0);
  a.required("bytes", x.bytes);
  a.optional("slots", x.slots, 1);
  a.optional("slotStride", x.slotStride, 0);
  a.optional("binding", x.binding, -1);
  a.optional("bindingIsOutput", x.bindingIsOutput, false);
}
template <typename A> void fields(A &a, BufferRef &x) {
  a.required("buffer", x.buffer);
  a.optional("byteOffset", x.byteOffset, 0);
}
template <typename A> void fields(A &a, ContractDim &x) {
  a.required("scalar", x.scalar);
  a.optional("strideA", x.strideA, 0);
  a.optional("strideB", x.strideB, 0);
  a.optional("strideC", x.strideC, 0);
}
template <typename A> void fields(A &a, Contract &x) {
  a.list("loops", x.loops);
  a.object("m", x.m);
  a.object("n", x.n);
  a.object("k", x.k);
  a.optional("accumulate", x.accumulate, false);
  a.optional("dtype", x.dtype, DType::F32);
}
template <typename A> void fields(A &a, CollectiveDim &x) {
  a.required("logical", x.logical);
  a.optional("inAxes", x.inAxes, {});
  a.optional("outAxes", x.outAxes, {});
  a.required("inStride", x.inStride);
  a.required("outStride", x.outStride);
  a.optional("inUnit", x.inUnit, 1);
  a.optional("outUnit", x.outUnit, 1);
  a.optional("inShift", x.inShift, 0);
  a.optional("outShift", x.outShift, 0);
}
template <typename A> void fields(A &a, Collective &x) {
  a.required("op", x.op);
  a.optional("combiner", x.combiner, Combiner::Sum);
  a.required("axes", x.axes);
  a.list("dims", x.dims);
  a.optional("dtype", x.dtype, DType::F32);
}
template <typename A> void fields(A &a, Action &x) {
  a.required("kind", x.kind);
  a.required("site", x.site);
  a.list("buffers", x.buffers);
  a.optional("numReads", x.numReads, 0);
  if (x.kind == Action::Kind::Kernel) {
    a.required("symbol", x.symbol);
    a.optional("scalars", x.scalars, {});
    a.optional("chunks", x.chunks, 1);
  } else if (x.kind == Action::Kind::Contract) {
    a.object("contract", x.contract);
  } else if (x.kind == Action::Kind::Collective) {
    a.required("collective", x.collective);
    a.required("phase", x.phase);
  } else {
    a.required("fillValue", x.fillValue);
    a.optional("fillType", x.fillType, DType::F32);
  }
}
template <typename A> void fields(A &a, Actor &x) {
  a.required("name", x.name);
  a.optional("stream", x.stream, 0);
  a.required("actions", x.actions);
  a.optional("perMicroBatch", x.perMicroBatch, false);
}
template <typename A> void fields(A &a, Register &x) {
  a.required("buffer", x.buffer);
  a.required("producer", x.producer);
  a.required("consumers", x.consumers);
  a.optional("slots", x.slots, 1);
}
template <typename A> void fields(A &a, ReuseEdge &x) {
  a.required("before", x.before);
  a.required("after", x.after);
  a.optional("distance", x.distance, 0);
}
template <typename A> void fields(A &a, ScheduleItem &x) {
  a.required("actor", x.actor);
  a.optional("microBatch", x.microBatch, -1);
}
template <typename A> void fields(A &a, Binding &x) {
  a.required("name", x.name);
  a.optional("dtype", x.dtype, DType::F32);
  a.required("shape", x.shape);
}
template <typename A> void fields(A &a, Entry &x) {
  a.required("name", x.name);
  a.optional("microBatches", x.microBatches, 1);
  a.list("inputs", x.inputs);
  a.list("outputs", x.outputs);
  a.list("scalars", x.scalars);
  a.list("buffers", x.buffers);
  a.list("collectives", x.collectives);
  a.list("actions", x.actions);
  a.list("actors", x.actors);
  a.list("registers", x.registers);
  a.list("reuseEdges", x.reuseEdges);
  a.required("streams", x.streams);
  a.list("schedule", x.schedule);
}
template <typename A> void fields(A &a, Initializer &x) {
  a.required("kind", x.kind);
  a.optional("a", x.a, 0.0);
  a.optional("b", x.b, 0.0);
}
template <typename A> void fields(A &a, Variable &x) {
  a.required("name", x.name);
  a.required("kind", x.kind);
  a.object("layout", x.layout);
  a.required("segment", x.segment);
  a.required("offset", x.offset);
  a.object("init", x.init);
  a.optional("storedName", x.storedName, {});
  a.optional("storedShape", x.storedShape, {});
}
template <typename A> void fields(A &a, Plan &x) {
  a.list("mesh", x.mesh);
  a.optional("teamSize", x.teamSize, 1);
  a.list("segments", x.segments);
  a.list("variables", x.variables);
  a.list("entries", x.entries);
}

template <> struct Spread<Plan> : std::true_type {};
template <> struct Spread<Entry> : std::true_type {};

/// The members of an action depend on its kind.
template <typename A> void describeFields(A &a, Action &value) {
  for (const auto &[kind, label] : EnumNames<Action::Kind>::table) {
    value.kind = kind;
    a.text += label;
    fields(a, value);
  }
}

} // namespace weir::plan

#endif // WEIR_RUNTIME_PLAN_PLANFIELDS_H
