// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_TEST_UNIT_RUNTIME_EXEC_PLANBUILDER_H
#define WEIR_TEST_UNIT_RUNTIME_EXEC_PLANBUILDER_H

#include "runtime/device/cpu/KernelLibrary.h"
#include "runtime/io/File.h"
#include "runtime/plan/Plan.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

namespace weir::test {

/// Writes plans by hand: one entry, buffers laid one behind the other in a step
/// segment.
struct PlanBuilder {
  plan::Plan plan;

  explicit PlanBuilder(std::vector<plan::MeshAxis> mesh = {},
                       int64_t microBatches = 1) {
    plan.mesh = std::move(mesh);
    plan.segments.push_back({"step", plan::Segment::Kind::Step, 0});
    plan.entries.emplace_back();
    entry().name = "main";
    entry().microBatches = microBatches;
  }

  plan::Entry &entry() { return plan.entries.front(); }

  int stream(const std::string &name) {
    entry().streams.push_back(name);
    entry().schedule.emplace_back();
    return static_cast<int>(entry().streams.size()) - 1;
  }
  int buffer(const std::string &name, int64_t bytes, int slots = 1) {
    plan::Buffer buffer;
    buffer.name = name;
    buffer.segment = 0;
    buffer.offset = plan.segments[0].bytes;
    buffer.bytes = bytes;
    buffer.slots = slots;
    int64_t stride = (bytes + 63) / 64 * 64;
    buffer.slotStride = slots > 1 ? stride : 0;
    plan.segments[0].bytes += stride * slots;
    entry().buffers.push_back(buffer);
    return static_cast<int>(entry().buffers.size()) - 1;
  }
  int input(const std::string &name, std::vector<int64_t> shape,
            plan::DType type = plan::DType::F32) {
    int64_t bytes = plan::byteSize(type);
    for (int64_t size : shape)
      bytes *= size;
    plan::Buffer buffer;
    buffer.name = name;
    buffer.bytes = bytes;
    buffer.binding = static_cast<int>(entry().inputs.size());
    entry().inputs.push_back({name, type, std::move(shape)});
    entry().buffers.push_back(buffer);
    return static_cast<int>(entry().buffers.size()) - 1;
  }
  int output(const std::string &name, std::vector<int64_t> shape) {
    int64_t bytes = 4;
    for (int64_t size : shape)
      bytes *= size;
    int index = buffer(name, bytes);
    entry().buffers[index].binding = static_cast<int>(entry().outputs.size());
    entry().buffers[index].bindingIsOutput = true;
    entry().outputs.push_back({name, plan::DType::F32, std::move(shape)});
    return index;
  }
  int constant(int64_t value) {
    return scalar({plan::ScalarExpr::Kind::Constant, value, {}});
  }
  int scalar(plan::ScalarExpr expr) {
    entry().scalars.push_back(std::move(expr));
    return static_cast<int>(entry().scalars.size()) - 1;
  }
  int action(plan::Action action) {
    entry().actions.push_back(std::move(action));
    return static_cast<int>(entry().actions.size()) - 1;
  }
  int kernel(const std::string &site, const std::string &symbol,
             std::vector<int> reads, std::vector<int> writes,
             std::vector<int> scalars, int64_t chunks = 1) {
    plan::Action made;
    made.site = site;
    made.symbol = symbol;
    for (int read : reads)
      made.buffers.push_back({read, 0});
    for (int write : writes)
      made.buffers.push_back({write, 0});
    made.numReads = static_cast<int>(reads.size());
    made.scalars = std::move(scalars);
    made.chunks = chunks;
    return action(made);
  }
  int fill(const std::string &site, int target, double value) {
    plan::Action made;
    made.kind = plan::Action::Kind::Fill;
    made.site = site;
    made.buffers = {{target, 0}};
    made.fillValue = value;
    return action(made);
  }
  /// All phases of a collective, in order.
  std::vector<int> collective(const std::string &site,
                              plan::Collective collective, int in, int out) {
    bool reduces = collective.op == plan::Collective::Op::AllReduce;
    entry().collectives.push_back(std::move(collective));
    std::vector<int> actions;
    for (plan::Action::Phase phase :
         {plan::Action::Phase::Post, plan::Action::Phase::Reduce,
          plan::Action::Phase::Gather, plan::Action::Phase::Release}) {
      if (phase == plan::Action::Phase::Reduce && !reduces)
        continue;
      plan::Action made;
      made.kind = plan::Action::Kind::Collective;
      made.site = site;
      made.buffers = {{in, 0}, {out, 0}};
      made.numReads = 1;
      made.collective = static_cast<int>(entry().collectives.size()) - 1;
      made.phase = phase;
      actions.push_back(action(made));
    }
    return actions;
  }
  int actor(const std::string &name, int stream, std::vector<int> actions,
            bool perMicroBatch = false) {
    entry().actors.push_back({name, stream, std::move(actions), perMicroBatch});
    return static_cast<int>(entry().actors.size()) - 1;
  }
  void schedule(int actor, int microBatch = -1) {
    entry().schedule[entry().actors[actor].stream].push_back(
        {actor, microBatch});
  }
  /// One actor with these actions, scheduled once.
  int once(const std::string &name, int stream, std::vector<int> actions) {
    int made = actor(name, stream, std::move(actions));
    schedule(made);
    return made;
  }
};

/// The compiled test kernels.
inline std::string kernelObject() {
  StatusOr<std::string> object = readFile(WEIR_TEST_KERNELS);
  EXPECT_TRUE(object.ok()) << object.status().message();
  return object.ok() ? *object : "";
}
inline device::KernelLibrary testKernels() {
  StatusOr<device::KernelLibrary> library =
      device::KernelLibrary::load(kernelObject(), "test kernels");
  EXPECT_TRUE(library.ok()) << library.status().message();
  return library.ok() ? *std::move(library) : device::KernelLibrary();
}

/// A seeded generator of small numbers, the same everywhere.
class Random {
public:
  explicit Random(uint64_t seed) : state(seed) {}
  uint64_t next() {
    // splitmix64
    uint64_t z = (state += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
  }
  int64_t below(int64_t limit) {
    return static_cast<int64_t>(next() % static_cast<uint64_t>(limit));
  }
  float unit() { return static_cast<float>(below(2001) - 1000) / 1000.0f; }

private:
  uint64_t state;
};

} // namespace weir::test

#endif // WEIR_TEST_UNIT_RUNTIME_EXEC_PLANBUILDER_H
