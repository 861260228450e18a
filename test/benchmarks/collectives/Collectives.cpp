// SPDX-License-Identifier: Apache-2.0
//
// Our collectives against Gloo between two ranks of this process, paired: in
// each round both run the same number of collectives in a row, ours first in
// even rounds. Ours are phases of a plan, driven in one of two ways:
//
//   threads   each rank's phases by a thread of its own, which looks for
//             `ready` again and again: every phase crosses threads
//   executor  by the executor on two workers, as in a train step, all waits and
//             wakes included; a worker may serve both ranks
#include "GlooPeer.h"

#include "runtime/actor/Executor.h"
#include "runtime/base/Format.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <sched.h>

using namespace weir;
using namespace weir::bench;
using plan::Action;
using plan::Collective;
using Op = Collective::Op;

namespace {

constexpr int64_t ranks = 2;

/// An entry that is `repeats` collectives in a row between the same buffers.
plan::Plan makePlan(const Shape &shape, int repeats) {
  plan::Plan plan;
  plan.mesh = {{"x", ranks, false}};
  int64_t inBytes = shape.inCount() * 4;
  int64_t aligned = (inBytes + plan::bufferAlignment - 1) /
                    plan::bufferAlignment * plan::bufferAlignment;
  int64_t outBytes = shape.outCount() * 4;
  plan.segments = {{"step", plan::Segment::Kind::Step, aligned + outBytes}};
  plan::Entry &entry = plan.entries.emplace_back();
  entry.name = "main";
  entry.buffers.resize(2);
  entry.buffers[0] = {"in", 0, 0, inBytes};
  entry.buffers[1] = {"out", 0, aligned, outBytes};
  entry.streams = {"comm"};

  Collective collective;
  collective.op = shape.op;
  collective.axes = {0};
  int64_t half = shape.count / 2;
  switch (shape.op) {
  case Op::AllReduce:
    collective.dims = {{shape.count, {}, {}, 1, 1}};
    break;
  case Op::AllGather:
    collective.dims = {{shape.count, {0}, {}, 1, 1}};
    break;
  case Op::ReduceScatter:
    collective.dims = {{shape.count, {}, {0}, 1, 1}};
    break;
  default:
    // Rank r has row r of a matrix [2, count], and gets a half of the columns:
    // what MPI and Gloo call all-to-all.
    collective.dims = {{2, {0}, {}, shape.count, half},
                       {shape.count, {}, {0}, 1, 1}};
  }
  entry.collectives = {collective};
  plan::Actor actor;
  actor.name = "all";
  for (Action::Phase phase : {Action::Phase::Post, Action::Phase::Reduce,
                              Action::Phase::Gather, Action::Phase::Release}) {
    if (phase == Action::Phase::Reduce && shape.op != Op::AllReduce)
      continue;
    Action action;
    action.kind = Action::Kind::Collective;
    action.site = "benchmark";
    action.buffers = {{0, 0}, {1, 0}};
    action.numReads = 1;
    action.collective = 0;
    action.phase = phase;
    actor.actions.push_back(static_cast<int>(entry.actions.size()));
    entry.actions.push_back(action);
  }
  // In a row: the firings of one actor for all micro-batches.
  entry.microBatches = repeats;
  plan.mesh.push_back({"micro", repeats, true});
  actor.perMicroBatch = true;
  entry.actors = {actor};
  entry.schedule.resize(1);
  for (int i = 0; i < repeats; ++i)
    entry.schedule[0].push_back({0, i});
  return plan;
}

/// Our side: a plan and what drives it.
class Ours {
public:
  Ours(const Shape &shape, int repeats, bool useExecutor,
       actor::WorkerPool &pool)
      : plan(makePlan(shape, repeats)), useExecutor(useExecutor), pool(pool) {
    check(plan::verifyPlan(plan));
    auto allocated = actor::RankMemory::allocate(plan, false);
    check(allocated.status());
    memory = *std::move(allocated);
    auto shares = comm::Collectives::create(plan, plan.entries[0]);
    check(shares.status());
    collectives = *std::move(shares);
    actor::ExecutorOptions options;
    auto made = actor::Executor::create(plan, plan.entries[0], nullptr, memory,
                                        &pool, failure, options);
    check(made.status());
    executor = *std::move(made);
  }

  float *buffer(int rank, int index) {
    return reinterpret_cast<float *>(memory.base(rank, 0) +
                                     plan.entries[0].buffers[index].offset);
  }

  /// Seconds for all collectives of the plan.
  double run() {
    if (useExecutor) {
      Clock::time_point begin = Clock::now();
      check(executor->run(nullptr, nullptr));
      return std::chrono::duration<double>(Clock::now() - begin).count();
    }
    collectives->reset();
    Clock::time_point begin[ranks], end[ranks];
    pool.run([&](int rank) {
      begin[rank] = Clock::now();
      drive(rank);
      end[rank] = Clock::now();
    });
    return std::chrono::duration<double>(
               *std::max_element(end, end + ranks) -
               *std::max_element(begin, begin + ranks))
        .count();
  }

  static void check(const Status &status) {
    if (status.ok())
      return;
    std::fprintf(stderr, "error: %s\n", status.message().c_str());
    std::exit(1);
  }

private:
  using Clock = std::chrono::steady_clock;

  void drive(int rank) {
    const plan::Entry &entry = plan.entries[0];
    // The machine may have other work for this core, the peer even.
    constexpr int looks = 64;
    for (int64_t i = 0; i < entry.microBatches; ++i)
      for (const Action &action : entry.actions) {
        for (int look = 0;
             !collectives->ready(action, rank, static_cast<int>(i)); ++look) {
          if (look < looks)
            __builtin_ia32_pause();
          else
            sched_yield();
        }
        collectives->run(action, rank, static_cast<int>(i), buffer(rank, 0),
                         buffer(rank, 1));
      }
  }

  plan::Plan plan;
  bool useExecutor;
  actor::WorkerPool &pool;
  std::unique_ptr<comm::Collectives> collectives;
  actor::RankMemory memory;
  actor::Failure failure;
  std::unique_ptr<actor::Executor> executor;
};

/// Small whole numbers, whose sums are exact.
float inputAt(int rank, int64_t i) {
  return static_cast<float>((i * 7 + rank * 13) % 101 - 50);
}

/// What `rank` must get at element `i`.
float expectedAt(const Shape &shape, int rank, int64_t i) {
  int64_t half = shape.count / 2;
  switch (shape.op) {
  case Op::AllReduce:
    return inputAt(0, i) + inputAt(1, i);
  case Op::AllGather:
    return inputAt(static_cast<int>(i / half), i % half);
  case Op::ReduceScatter:
    return inputAt(0, rank * half + i) + inputAt(1, rank * half + i);
  default:
    return inputAt(static_cast<int>(i / half), rank * half + i % half);
  }
}

/// Whether `out` is what `rank` must get; says where it is not.
bool verify(const Shape &shape, const char *who, int rank, const float *out) {
  for (int64_t i = 0; i < shape.outCount(); ++i)
    if (out[i] != expectedAt(shape, rank, i)) {
      std::fprintf(stderr, "%s, rank %d, element %lld: expects %g, got %g\n",
                   who, rank, static_cast<long long>(i),
                   expectedAt(shape, rank, i), out[i]);
      return false;
    }
  return true;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  size_t middle = values.size() / 2;
  return values.size() % 2 ? values[middle]
                           : (values[middle - 1] + values[middle]) / 2;
}

const char *nameOf(Op op) {
  switch (op) {
  case Op::AllReduce:
    return "all-reduce";
  case Op::AllGather:
    return "all-gather";
  case Op::ReduceScatter:
    return "reduce-scatter";
  default:
    return "all-to-all";
  }
}

void measure(const Shape &shape, int rounds, bool useExecutor, GlooPeer &gloo,
             actor::WorkerPool &pool) {
  // Some milliseconds of Gloo a round.
  int64_t bytes = shape.count * 4;
  int repeats = static_cast<int>(
      std::clamp<int64_t>((int64_t(16) << 20) / bytes, 2, 400));
  Ours ours(shape, repeats, useExecutor, pool);

  std::string best;
  double bestSeconds = 0;
  for (const std::string &algorithm : GlooPeer::algorithms(shape.op)) {
    gloo.prepare(shape, algorithm);
    gloo.run(1);
    std::vector<double> tries;
    for (int i = 0; i < 3; ++i)
      tries.push_back(gloo.run(repeats));
    if (best.empty() || median(tries) < bestSeconds) {
      best = algorithm;
      bestSeconds = median(tries);
    }
  }
  gloo.prepare(shape, best);

  ours.run();
  gloo.run(1);
  std::vector<double> oursSeconds, glooSeconds, ratios;
  for (int round = 0; round < rounds; ++round) {
    double mine = 0, theirs = 0;
    if (round % 2 == 0)
      mine = ours.run();
    theirs = gloo.run(repeats);
    if (round % 2 != 0)
      mine = ours.run();
    oursSeconds.push_back(mine / repeats);
    glooSeconds.push_back(theirs / repeats);
    ratios.push_back(theirs / mine);
  }

  // What was measured computes the right thing.
  for (int rank = 0; rank < ranks; ++rank)
    for (int64_t i = 0; i < shape.inCount(); ++i)
      ours.buffer(rank, 0)[i] = gloo.input(rank)[i] = inputAt(rank, i);
  ours.run();
  gloo.run(1);
  for (int rank = 0; rank < ranks; ++rank) {
    if (!verify(shape, "ours", rank, ours.buffer(rank, 1)))
      std::exit(1);
    // Gloo's in-place reduce-scatter is wrong now and then; its time stands.
    verify(shape, "Gloo", rank, gloo.output(rank));
  }

  auto minmax = std::minmax_element(ratios.begin(), ratios.end());
  double mine = median(oursSeconds), theirs = median(glooSeconds);
  std::printf("%-14s %9s  %10.2f %10.2f  %8.2f %8.2f  %7.1f [%.1f, %.1f]  %s\n",
              nameOf(shape.op), formatBytes(bytes).c_str(), mine * 1e6,
              theirs * 1e6, static_cast<double>(bytes) / mine * 1e-9,
              static_cast<double>(bytes) / theirs * 1e-9, median(ratios),
              *minmax.first, *minmax.second, best.c_str());
  std::fflush(stdout);
}

} // namespace

int main(int argc, char **argv) {
  int rounds = 15;
  std::string only;
  int64_t onlyBytes = 0;
  bool useExecutor = false;
  for (int i = 1; i < argc; ++i) {
    std::string flag = argv[i];
    if (flag == "--rounds" && i + 1 < argc)
      rounds = std::max(1, std::atoi(argv[++i]));
    else if (flag == "--op" && i + 1 < argc)
      only = argv[++i];
    else if (flag == "--bytes" && i + 1 < argc)
      onlyBytes = std::atoll(argv[++i]);
    else if (flag == "--executor")
      useExecutor = true;
    else {
      std::fprintf(
          stderr,
          "usage: %s [--executor] [--rounds N] [--op all-reduce|all-gather|"
          "reduce-scatter|all-to-all] [--bytes N]\n",
          argv[0]);
      return 2;
    }
  }
  GlooPeer gloo;
  actor::WorkerPool pool(2);
  std::printf("driven by %s; %d rounds, medians; bytes: the larger of one "
              "rank's input and output, f32\n",
              useExecutor ? "the executor" : "a thread for each rank", rounds);
  std::printf("%-14s %9s  %10s %10s  %8s %8s  %s\n", "collective", "bytes",
              "Weir us", "Gloo us", "Weir GB/s", "Gloo GB/s",
              "Gloo / Weir time, median [least, most]");
  for (Op op :
       {Op::AllReduce, Op::AllGather, Op::ReduceScatter, Op::AllToAll}) {
    if (!only.empty() && only != nameOf(op))
      continue;
    for (int64_t bytes :
         {int64_t(8), int64_t(64), int64_t(1) << 10, int64_t(16) << 10,
          int64_t(256) << 10, int64_t(1) << 20, int64_t(4) << 20,
          int64_t(16) << 20, int64_t(64) << 20})
      if (onlyBytes == 0 || bytes == onlyBytes)
        measure({op, bytes / 4}, rounds, useExecutor, gloo, pool);
  }
  return 0;
}
