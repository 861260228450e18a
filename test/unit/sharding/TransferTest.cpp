// SPDX-License-Identifier: Apache-2.0
// Transfers between meshes, planned and executed.
#include "compiler/Sharding/Transfer.h"
#include "test/unit/sharding/ReshardRuntime.h"
#include "test/unit/sharding/ReshardSupport.h"

#include <gtest/gtest.h>

using namespace mlir;
using namespace weir;
using namespace weir::compiler;
using dist::AxisLayout;

namespace {

const AxisLayout B, S0 = AxisLayout::split(0), S1 = AxisLayout::split(1),
                    P = AxisLayout::partial();

std::vector<int64_t> devicesFrom(int64_t first, int64_t count) {
  std::vector<int64_t> devices(count);
  for (int64_t i = 0; i < count; ++i)
    devices[i] = first + i;
  return devices;
}

/// Executes a transfer on memory and compares; returns what is wrong, or "".
std::string execute(const TransferPlan &plan, const TensorPlace &source,
                    const TensorPlace &target, ArrayRef<int64_t> shape) {
  RuntimeRun sender(source.mesh, shape, source.layout);
  for (const ReshardStep &step : plan.before.steps)
    if (std::string error = sender.step(step); !error.empty())
      return error;
  RuntimeRun receiver = RuntimeRun::empty(target.mesh, shape, plan.received);
  auto rankOf = [](const TensorPlace &place, int64_t device) {
    return llvm::find(place.devices, device) - place.devices.begin();
  };
  std::vector<std::map<int64_t, float *>> out, in;
  for (size_t rank = 0; rank < source.devices.size(); ++rank)
    out.push_back(sender.elements(rank));
  for (size_t rank = 0; rank < target.devices.size(); ++rank)
    in.push_back(receiver.elements(rank));
  for (const TransferPiece &piece : plan.pieces) {
    SmallVector<int64_t> index(shape.size(), 0);
    do {
      int64_t logical = 0;
      for (size_t d = 0; d < shape.size(); ++d)
        logical = logical * shape[d] + piece.offsets[d] + index[d];
      float *from = out[rankOf(source, piece.from)][logical];
      float *to = in[rankOf(target, piece.to)][logical];
      if (!from || !to || RuntimeRun::isWritten(*to))
        return "element " + std::to_string(logical) +
               " is sent by who has it not, or arrives twice";
      *to = *from;
    } while (nextIndex(index, piece.extents));
  }
  for (const ReshardStep &step : plan.after.steps)
    if (std::string error = receiver.step(step); !error.empty())
      return error;
  return receiver.compare();
}

// Every pair of layouts between meshes of other shapes, with terms, uneven
// blocks, and devices apart, shared in part, or the same in another order.
TEST(Transfer, EveryPairOfLayoutsArrives) {
  dist::MeshAttr a = meshOf({2, 2}), b = meshOf({3}), c = meshOf({2, 3});
  struct {
    TensorPlace source, target;
    int64_t devices;
  } rows[] = {{{a, {}, devicesFrom(0, 4)}, {b, {}, devicesFrom(4, 3)}, 8},
              {{a, {}, devicesFrom(0, 4)}, {c, {}, devicesFrom(2, 6)}, 8},
              {{a, {}, devicesFrom(0, 4)}, {a, {}, {3, 1, 2, 0}}, 4},
              {{b, {}, {0, 2, 4}}, {a, {}, {1, 2, 3, 5}}, 6}};
  for (const auto &row : rows)
    for (const Cluster &cluster :
         {Cluster::host(row.devices), Cluster::nodes(row.devices, 2)})
      for (const std::vector<int64_t> &shape :
           std::vector<std::vector<int64_t>>{{5, 7}, {6, 4}})
        for (const Layout &from :
             allLayouts(row.source.mesh.getNumAxes(), 2, true))
          for (const Layout &to :
               allLayouts(row.target.mesh.getNumAxes(), 2, true)) {
            TensorPlace source = row.source, target = row.target;
            source.layout.assign(from.begin(), from.end());
            target.layout.assign(to.begin(), to.end());
            std::string what =
                text(from) + " to " + text(to) + " on " + cluster.name;
            auto plan = planTransfer(source, target, tensorOf(shape), cluster);
            ASSERT_TRUE(succeeded(plan)) << what;
            EXPECT_EQ(execute(*plan, source, target, shape), "") << what;
            EXPECT_GE(plan->bytesTotal, plan->boundTotal) << what;
          }
}

// Between layouts without terms on one kind of link, bytes are the bound.
TEST(Transfer, MovesTheBoundOnOneLevelOfLinks) {
  dist::MeshAttr a = meshOf({2, 2}), b = meshOf({4});
  int64_t bytes = 0, bound = 0;
  for (const Layout &from : allLayouts(2, 2, false))
    for (const Layout &to : allLayouts(1, 2, false)) {
      TensorPlace source{a, {}, devicesFrom(0, 4)},
          target{b, {}, devicesFrom(2, 4)};
      source.layout.assign(from.begin(), from.end());
      target.layout.assign(to.begin(), to.end());
      auto plan = planTransfer(source, target, tensorOf({1024, 1024}),
                               Cluster::host(8));
      ASSERT_TRUE(succeeded(plan));
      bytes += plan->bytesTotal;
      bound += plan->boundTotal;
      EXPECT_LE(plan->bytesTotal, plan->boundTotal * 5 / 4)
          << text(from) << " to " << text(to);
    }
  EXPECT_LE(double(bytes), 1.05 * double(bound));
}

// An activation that all 8 devices of the next stage want whole crosses the
// network once, an eighth to each device, and is gathered there.
TEST(Transfer, CopiesCrossTheNetworkOnce) {
  dist::MeshAttr mesh = meshOf({8});
  TensorPlace source{mesh, {B}, devicesFrom(0, 8)},
      target{mesh, {B}, devicesFrom(8, 8)};
  RankedTensorType type = tensorOf({2048, 4096});
  int64_t bytes = 2048 * 4096 * 4;
  auto plan = planTransfer(source, target, type, Cluster::nodes(16, 8));
  ASSERT_TRUE(succeeded(plan));
  EXPECT_EQ(plan->bytesBetween, bytes);
  ASSERT_EQ(plan->after.steps.size(), 1u);
  EXPECT_EQ(plan->after.steps[0].kind, ReshardStep::Kind::AllGather);
  EXPECT_EQ(plan->bytesTotal, plan->boundTotal);
  // All devices send: one port each.
  std::map<int64_t, int64_t> sent;
  for (const TransferPiece &piece : plan->pieces)
    sent[piece.from] += piece.extents[0] * piece.extents[1] * 4;
  EXPECT_EQ(sent.size(), 8u);
  for (const auto &[device, amount] : sent)
    EXPECT_EQ(amount, bytes / 8) << "device " << device;
}

// Terms are summed before they cross.
TEST(Transfer, SumsAreTakenAtTheSource) {
  dist::MeshAttr mesh = meshOf({4});
  TensorPlace source{mesh, {P}, devicesFrom(0, 4)},
      target{mesh, {S0}, devicesFrom(4, 4)};
  auto plan = planTransfer(source, target, tensorOf({1024, 1024}),
                           Cluster::nodes(8, 4));
  ASSERT_TRUE(succeeded(plan));
  ASSERT_EQ(plan->before.steps.size(), 1u);
  EXPECT_EQ(plan->before.steps[0].kind, ReshardStep::Kind::ReduceScatter);
  EXPECT_EQ(plan->bytesBetween, 1024 * 1024 * 4);
}

// Splits in time and wrong device lists are refused.
TEST(Transfer, RefusesWhatIsNoPlace) {
  dist::MeshAttr mesh = meshOf({2}), timed = meshOf({2, 3}, true);
  RankedTensorType type = tensorOf({6, 6});
  TensorPlace good{mesh, {S0}, {0, 1}}, few{mesh, {S0}, {0}},
      outside{mesh, {S0}, {0, 9}}, inTime{timed, {B, S0}, {2, 3}},
      whole{timed, {S1, B}, {2, 3}};
  Cluster cluster = Cluster::host(4);
  EXPECT_TRUE(failed(planTransfer(good, few, type, cluster)));
  EXPECT_TRUE(failed(planTransfer(outside, good, type, cluster)));
  EXPECT_TRUE(failed(planTransfer(good, inTime, type, cluster)));
  EXPECT_TRUE(succeeded(planTransfer(good, whole, type, cluster)));
}

} // namespace
