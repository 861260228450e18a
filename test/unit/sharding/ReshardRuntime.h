// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_TEST_UNIT_SHARDING_RESHARDRUNTIME_H
#define WEIR_TEST_UNIT_SHARDING_RESHARDRUNTIME_H

#include "compiler/Interpreter/Tensor.h"
#include "compiler/Sharding/Reshard.h"
#include "runtime/comm/Collectives.h"

namespace weir::compiler {

/// A tensor on all ranks of a mesh, in memory as the runtime lays it out, that
/// goes through the steps of a reshard: collectives by the runtime's, local
/// steps by loops of its own.
class RuntimeRun {
public:
  /// Rank r, with term number t of its axes that are partial in `layout`, holds
  /// of logical element i the whole number value(i) or, where there are terms,
  /// term(i, t); the latter add up to the former.
  RuntimeRun(dist::MeshAttr mesh, llvm::ArrayRef<int64_t> shape,
             llvm::ArrayRef<dist::AxisLayout> layout)
      : mesh(mesh), shape(shape), layout(layout) {
    memory.resize(mesh.getNumRanks());
    int64_t terms = 1;
    for (auto [axis, entry] : llvm::enumerate(layout))
      if (entry.isPartial())
        terms *= mesh.getSizes()[axis];
    for (int64_t rank = 0; rank < mesh.getNumRanks(); ++rank) {
      memory[rank].assign(localSize(), poison);
      int64_t term = 0;
      for (auto [axis, entry] : llvm::enumerate(layout))
        if (entry.isPartial())
          term = term * mesh.getSizes()[axis] + coordinates(rank)[axis];
      forBlock(rank, [&](int64_t logical, int64_t place) {
        int64_t part = 0;
        for (int64_t t = 1; t < terms; ++t) {
          int64_t other = (logical * 3 + t * 11) % 23 - 11;
          part += other;
          if (t == term)
            memory[rank][place] = other;
        }
        if (term == 0)
          memory[rank][place] = value(logical) - part;
      });
    }
  }

  /// A tensor that nothing was written to yet.
  static RuntimeRun empty(dist::MeshAttr mesh, llvm::ArrayRef<int64_t> shape,
                          llvm::ArrayRef<dist::AxisLayout> layout) {
    RuntimeRun run(mesh, shape, layout);
    for (std::vector<float> &local : run.memory)
      local.assign(local.size(), poison);
    return run;
  }

  /// What a rank holds, by logical element.
  std::map<int64_t, float *> elements(int64_t rank) {
    std::map<int64_t, float *> found;
    forBlock(rank, [&](int64_t logical, int64_t place) {
      found[logical] = &memory[rank][place];
    });
    return found;
  }
  static bool isWritten(float element) { return element != poison; }

  /// Runs a step on all ranks; returns what went wrong, or "".
  std::string step(const ReshardStep &step) {
    RuntimeRun before = *this;
    layout.assign(step.result.begin(), step.result.end());
    for (std::vector<float> &local : memory)
      local.assign(localSize(), poison);
    if (step.kind == ReshardStep::Kind::ToPartial ||
        step.kind == ReshardStep::Kind::LocalSlice) {
      for (int64_t rank = 0; rank < mesh.getNumRanks(); ++rank)
        stepLocally(step, before, rank);
      return "";
    }
    plan::Plan plan;
    for (auto [name, size] : llvm::zip(mesh.getNames(), mesh.getSizes()))
      plan.mesh.push_back({name.str(), size});
    plan.entries.emplace_back();
    plan::Entry &entry = plan.entries.front();
    entry.name = "main";
    plan::Collective collective;
    switch (step.kind) {
    case ReshardStep::Kind::AllReduce:
      collective.op = plan::Collective::Op::AllReduce;
      break;
    case ReshardStep::Kind::AllGather:
      collective.op = plan::Collective::Op::AllGather;
      break;
    case ReshardStep::Kind::ReduceScatter:
      collective.op = plan::Collective::Op::ReduceScatter;
      break;
    case ReshardStep::Kind::AllToAll:
      collective.op = plan::Collective::Op::AllToAll;
      break;
    default:
      collective.op = plan::Collective::Op::Exchange;
    }
    for (int64_t axis : step.axes)
      collective.axes.push_back(static_cast<int>(axis));
    auto inStrides = before.strides(), outStrides = strides();
    for (size_t d = 0; d < shape.size(); ++d) {
      plan::CollectiveDim dim;
      dist::ShardDim in = before.dimOf(d), out = dimOf(d);
      dim.logical = shape[d];
      dim.inAxes.assign(in.axes.begin(), in.axes.end());
      dim.outAxes.assign(out.axes.begin(), out.axes.end());
      dim.inUnit = in.unit;
      dim.outUnit = out.unit;
      dim.inStride = inStrides[d];
      dim.outStride = outStrides[d];
      collective.dims.push_back(dim);
    }
    entry.collectives.push_back(collective);
    for (plan::Action::Phase phase :
         {plan::Action::Phase::Post, plan::Action::Phase::Reduce,
          plan::Action::Phase::Gather, plan::Action::Phase::Release}) {
      if (phase == plan::Action::Phase::Reduce &&
          collective.op != plan::Collective::Op::AllReduce)
        continue;
      plan::Action action;
      action.kind = plan::Action::Kind::Collective;
      action.site = "reshard";
      action.collective = 0;
      action.phase = phase;
      entry.actions.push_back(action);
    }
    auto collectives = comm::Collectives::create(plan, entry);
    if (!collectives.ok())
      return collectives.status().message();
    (*collectives)->reset();
    for (const plan::Action &action : entry.actions)
      for (int64_t rank = 0; rank < mesh.getNumRanks(); ++rank) {
        if (!(*collectives)->ready(action, rank, 0))
          return "a rank is not ready";
        (*collectives)
            ->run(action, rank, 0, before.memory[rank].data(),
                  memory[rank].data());
      }
    for (int64_t rank = 0; rank < mesh.getNumRanks(); ++rank)
      received += (*collectives)->bytesReceived(rank);
    return "";
  }

  /// Whether the ranks hold the value now, in the layout they should; "" or
  /// what differs.
  std::string compare() const {
    // The terms of an element by the ranks that differ on partial axes only.
    std::map<std::pair<int64_t, int64_t>, float> sums;
    for (int64_t rank = 0; rank < mesh.getNumRanks(); ++rank) {
      int64_t others = 0;
      for (auto [axis, entry] : llvm::enumerate(layout))
        others = others * mesh.getSizes()[axis] +
                 (entry.isPartial() ? 0 : coordinates(rank)[axis]);
      forBlock(rank, [&](int64_t logical, int64_t place) {
        sums[{others, logical}] += memory[rank][place];
      });
    }
    for (const auto &[key, sum] : sums)
      if (sum != value(key.second))
        return "element " + std::to_string(key.second) + " is " +
               std::to_string(sum) + " instead of " +
               std::to_string(value(key.second));
    return "";
  }

  int64_t bytesReceived() const { return received; }

private:
  static constexpr float poison = 1e30f;

  static float value(int64_t logical) {
    return static_cast<float>((logical * 7 + logical / 5) % 101 - 50);
  }

  llvm::SmallVector<int64_t, 4> coordinates(int64_t rank) const {
    llvm::SmallVector<int64_t, 4> at(mesh.getNumAxes(), 0);
    for (unsigned axis = mesh.getNumAxes(); axis-- > 0;) {
      at[axis] = rank % mesh.getSizes()[axis];
      rank /= mesh.getSizes()[axis];
    }
    return at;
  }
  dist::ShardDim dimOf(size_t d) const {
    return dist::getShardDim(dist::LayoutAttr::get(mesh.getContext(), layout),
                             d, shape[d]);
  }
  /// Row-major over capacities.
  llvm::SmallVector<int64_t> strides() const {
    llvm::SmallVector<int64_t> strides(shape.size(), 1);
    for (size_t d = shape.size(); d-- > 1;)
      strides[d - 1] = strides[d] * dist::capacityOf(dimOf(d), mesh);
    return strides;
  }
  int64_t localSize() const {
    int64_t size = 1;
    for (size_t d = 0; d < shape.size(); ++d)
      size *= dist::capacityOf(dimOf(d), mesh);
    return size;
  }

  /// Visits the elements of a rank's block: logical index and place.
  template <typename Visit>
  void forBlock(int64_t rank, const Visit &visit) const {
    llvm::SmallVector<int64_t> offsets, extents;
    for (size_t d = 0; d < shape.size(); ++d) {
      dist::ShardDim dim = dimOf(d);
      int64_t offset = 0, extent = dim.size / dim.unit;
      for (int64_t axis : dim.axes) {
        int64_t parts = mesh.getSizes()[axis], at = coordinates(rank)[axis];
        offset += at * (extent / parts) + std::min(at, extent % parts);
        extent = extent / parts + (at < extent % parts ? 1 : 0);
      }
      offsets.push_back(offset * dim.unit);
      extents.push_back(extent * dim.unit);
    }
    if (llvm::is_contained(extents, 0))
      return;
    llvm::SmallVector<int64_t> steps = strides(), index(shape.size(), 0);
    do {
      int64_t logical = 0, place = 0;
      for (size_t d = 0; d < shape.size(); ++d) {
        logical = logical * shape[d] + offsets[d] + index[d];
        place += index[d] * steps[d];
      }
      visit(logical, place);
    } while (nextIndex(index, extents));
  }

  void stepLocally(const ReshardStep &step, const RuntimeRun &before,
                   int64_t rank) {
    bool first = true;
    for (int64_t axis : step.axes)
      first &= coordinates(rank)[axis] == 0;
    std::map<int64_t, float> held;
    before.forBlock(rank, [&](int64_t logical, int64_t place) {
      held[logical] = before.memory[rank][place];
    });
    forBlock(rank, [&](int64_t logical, int64_t place) {
      bool neutral = step.kind == ReshardStep::Kind::ToPartial && !first;
      auto found = held.find(logical);
      memory[rank][place] = neutral               ? 0
                            : found == held.end() ? poison
                                                  : found->second;
    });
  }

  dist::MeshAttr mesh;
  llvm::SmallVector<int64_t> shape;
  llvm::SmallVector<dist::AxisLayout> layout;
  std::vector<std::vector<float>> memory; // by rank
  int64_t received = 0;
};

} // namespace weir::compiler

#endif // WEIR_TEST_UNIT_SHARDING_RESHARDRUNTIME_H
