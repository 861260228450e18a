// SPDX-License-Identifier: Apache-2.0
#include "GlooPeer.h"

#include <gloo/allgather.h>
#include <gloo/allreduce.h>
#include <gloo/alltoall.h>
#include <gloo/math.h>
#include <gloo/reduce_scatter.h>
#include <gloo/rendezvous/context.h>
#include <gloo/rendezvous/hash_store.h>
#include <gloo/transport/tcp/device.h>

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

namespace weir::bench {

using Op = plan::Collective::Op;
using Clock = std::chrono::steady_clock;

struct GlooPeer::Impl {
  struct Rank {
    std::shared_ptr<gloo::rendezvous::Context> context;
    std::vector<float> in, out;
    std::function<void()> once;
    std::thread thread;
    Clock::time_point begin, end;
  };
  Rank ranks[2];
  bool inPlace = false;

  // One job for both threads at a time.
  std::mutex mutex;
  std::condition_variable wake, done;
  std::function<void(int)> job;
  uint64_t generation = 0;
  int active = 0;
  bool stopping = false;

  void both(std::function<void(int)> work) {
    std::unique_lock<std::mutex> lock(mutex);
    job = std::move(work);
    active = 2;
    ++generation;
    wake.notify_all();
    done.wait(lock, [&] { return active == 0; });
  }

  void serve(int rank) {
    uint64_t seen = 0;
    for (;;) {
      {
        std::unique_lock<std::mutex> lock(mutex);
        wake.wait(lock, [&] { return stopping || generation != seen; });
        if (stopping)
          return;
        seen = generation;
      }
      job(rank);
      std::lock_guard<std::mutex> lock(mutex);
      if (--active == 0)
        done.notify_all();
    }
  }
};

GlooPeer::GlooPeer() : impl(std::make_unique<Impl>()) {
  auto store = std::make_shared<gloo::rendezvous::HashStore>();
  for (int rank = 0; rank < 2; ++rank)
    impl->ranks[rank].thread = std::thread([this, rank] { impl->serve(rank); });
  impl->both([&](int rank) {
    auto device = gloo::transport::tcp::CreateDevice("127.0.0.1");
    auto context = std::make_shared<gloo::rendezvous::Context>(rank, 2);
    context->connectFullMesh(*store, device);
    impl->ranks[rank].context = std::move(context);
  });
}

GlooPeer::~GlooPeer() {
  {
    std::lock_guard<std::mutex> lock(impl->mutex);
    impl->stopping = true;
  }
  impl->wake.notify_all();
  for (Impl::Rank &rank : impl->ranks) {
    rank.thread.join();
    rank.once = nullptr;
  }
}

std::vector<std::string> GlooPeer::algorithms(Op op) {
  switch (op) {
  case Op::AllReduce:
    return {"ring", "bcube"};
  case Op::ReduceScatter:
    return {"halving-doubling"};
  default:
    return {"pairwise"};
  }
}

void GlooPeer::prepare(const Shape &shape, const std::string &algorithm) {
  impl->inPlace = shape.op == Op::ReduceScatter;
  impl->both([&](int index) {
    Impl::Rank &rank = impl->ranks[index];
    rank.once = nullptr; // holds on to the buffers
    rank.in.assign(shape.inCount(), 0);
    rank.out.assign(impl->inPlace ? 0 : shape.outCount(), 0);
    switch (shape.op) {
    case Op::AllReduce: {
      auto options = std::make_shared<gloo::AllreduceOptions>(rank.context);
      options->setInput(rank.in.data(), rank.in.size());
      options->setOutput(rank.out.data(), rank.out.size());
      options->setReduceFunction(gloo::AllreduceOptions::Func(
          static_cast<void (*)(void *, const void *, const void *, size_t)>(
              &gloo::sum<float>)));
      options->setAlgorithm(algorithm == "ring"
                                ? gloo::AllreduceOptions::Algorithm::RING
                                : gloo::AllreduceOptions::Algorithm::BCUBE);
      rank.once = [options] { gloo::allreduce(*options); };
      break;
    }
    case Op::AllGather: {
      auto options = std::make_shared<gloo::AllgatherOptions>(rank.context);
      options->setInput(rank.in.data(), rank.in.size());
      options->setOutput(rank.out.data(), rank.out.size());
      rank.once = [options] { gloo::allgather(*options); };
      break;
    }
    case Op::ReduceScatter: {
      auto count = static_cast<int>(shape.outCount());
      auto made = std::make_shared<gloo::ReduceScatterHalvingDoubling<float>>(
          rank.context, std::vector<float *>{rank.in.data()}, 2 * count,
          std::vector<int>{count, count});
      rank.once = [made] { made->run(); };
      break;
    }
    default: {
      auto options = std::make_shared<gloo::AlltoallOptions>(rank.context);
      options->setInput(rank.in.data(), rank.in.size());
      options->setOutput(rank.out.data(), rank.out.size());
      rank.once = [options] { gloo::alltoall(*options); };
      break;
    }
    }
  });
}

float *GlooPeer::input(int rank) { return impl->ranks[rank].in.data(); }

const float *GlooPeer::output(int rank) {
  return impl->inPlace ? impl->ranks[rank].in.data()
                       : impl->ranks[rank].out.data();
}

double GlooPeer::run(int repeats) {
  impl->both([&](int index) {
    Impl::Rank &rank = impl->ranks[index];
    rank.begin = Clock::now();
    for (int i = 0; i < repeats; ++i)
      rank.once();
    rank.end = Clock::now();
  });
  // A collective cannot end before both have begun it.
  Clock::time_point begin =
      std::max(impl->ranks[0].begin, impl->ranks[1].begin);
  Clock::time_point end = std::max(impl->ranks[0].end, impl->ranks[1].end);
  return std::chrono::duration<double>(end - begin).count();
}

} // namespace weir::bench
