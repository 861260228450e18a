// SPDX-License-Identifier: Apache-2.0
#include "compiler/Pipeline/Passes.h"
#include "dialects/Graph/Graph.h"
#include "dialects/Pipe/Pipe.h"

using namespace mlir;

namespace weir::compiler {

#define GEN_PASS_DEF_PARTITIONSTAGESPASS
#include "compiler/Pipeline/Passes.h.inc"

namespace {

struct PartitionStagesPass
    : impl::PartitionStagesPassBase<PartitionStagesPass> {
  void runOnOperation() override {
    bool failed = false;
    for (graph::EntryOp entry :
         llvm::make_early_inc_range(getOperation().getOps<graph::EntryOp>()))
      failed |= mlir::failed(convert(entry));
    if (failed)
      signalPassFailure();
  }

  LogicalResult convert(graph::EntryOp entry) {
    bool present[3] = {};
    llvm::SmallVector<dist::MicroBatchesOp> loops;
    entry.getBody().walk([&](Operation *op) {
      if (auto loop = llvm::dyn_cast<dist::MicroBatchesOp>(op))
        loops.push_back(loop);
      if (auto task = op->getAttrOfType<StringAttr>(
              graph::GraphDialect::getTaskAttrName()))
        if (auto kind = pipe::symbolizeTaskKind(task.getValue()))
          present[static_cast<int>(*kind)] = true;
    });
    if (loops.size() > 1) {
      InFlightDiagnostic diagnostic = entry.emitOpError(
          "expects at most one loop over micro-batches, got ");
      diagnostic << loops.size();
      for (dist::MicroBatchesOp loop : loops)
        diagnostic.attachNote(loop.getLoc()) << "loop";
      return diagnostic;
    }
    if (!present[1] && !present[2])
      present[0] = true;

    int64_t microBatches = 1;
    dist::MeshAttr mesh = dist::getMesh(getOperation());
    if (!loops.empty() && mesh && mesh.getTimeAxis() >= 0)
      microBatches = mesh.getSizes()[mesh.getTimeAxis()];

    MLIRContext *context = &getContext();
    llvm::SmallVector<Attribute> tasks;
    llvm::SmallVector<pipe::ScheduledTask> schedule;
    for (pipe::TaskKind kind :
         {pipe::TaskKind::Forward, pipe::TaskKind::Backward,
          pipe::TaskKind::Update})
      if (present[static_cast<int>(kind)])
        tasks.push_back(pipe::TaskKindAttr::get(context, kind));
    for (int64_t j = 0; j < microBatches; ++j)
      for (pipe::TaskKind kind :
           {pipe::TaskKind::Forward, pipe::TaskKind::Backward})
        if (present[static_cast<int>(kind)])
          schedule.push_back({kind, j});
    if (present[2])
      schedule.push_back({pipe::TaskKind::Update, -1});

    OpBuilder builder(entry);
    auto program = pipe::ProgramOp::create(
        builder, entry.getLoc(), entry.getSymNameAttr(),
        entry.getFunctionTypeAttr(), entry.getSymNameAttr(),
        builder.getI64IntegerAttr(0), builder.getArrayAttr(tasks),
        builder.getStringAttr(pipe::formatSchedule(schedule)),
        entry.getArgAttrsAttr(), entry.getResAttrsAttr());
    program->setDiscardableAttrs(llvm::to_vector(entry->getDiscardableAttrs()));
    program.getBody().takeBody(entry.getBody());
    Operation *terminator = program.getBody().front().getTerminator();
    builder.setInsertionPoint(terminator);
    pipe::ReturnOp::create(builder, terminator->getLoc(),
                           terminator->getOperands());
    terminator->erase();
    entry.erase();
    return success();
  }
};

} // namespace

} // namespace weir::compiler
