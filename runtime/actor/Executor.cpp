// SPDX-License-Identifier: Apache-2.0
#include "runtime/actor/Executor.h"

#include "runtime/base/Format.h"
#include "runtime/kernels/Contract.h"
#include "runtime/kernels/Fill.h"
#include "runtime/kernels/Team.h"

#include <algorithm>
#include <chrono>

namespace weir::actor {

using plan::Action;
using plan::Buffer;
using plan::OrderStep;

namespace {

/// How often a worker that found nothing looks for an event before it sleeps:
/// some ten microseconds, a few times what waking takes.
constexpr int spins = 400;

void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

int64_t now() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

} // namespace

Executor::Executor(const plan::Plan &plan, const plan::Entry &entry,
                   const RankMemory &memory, WorkerPool *pool, Failure &failure,
                   const ExecutorOptions &options)
    : plan(plan), entry(entry), memory(memory), pool(pool), failure(failure),
      options(options) {}

StatusOr<std::unique_ptr<Executor>>
Executor::create(const plan::Plan &plan, const plan::Entry &entry,
                 const device::KernelLibrary *kernels, const RankMemory &memory,
                 WorkerPool *pool, Failure &failure,
                 const ExecutorOptions &options) {
  std::unique_ptr<Executor> executor(
      new Executor(plan, entry, memory, pool, failure, options));
  Status status = executor->prepare(kernels);
  if (!status.ok())
    return std::move(status).withContext("entry '" + entry.name + "'");
  return executor;
}

Status Executor::prepare(const device::KernelLibrary *kernels) {
  numRanks = plan.numRanks();
  numStreams = static_cast<int>(entry.streams.size());
  if (numRanks > 1 && !pool)
    return internalError("a plan for several ranks needs a worker pool");
  numWorkers =
      numRanks > 1
          ? static_cast<int>(std::min<int64_t>(pool->workers(), numRanks))
          : 1;
  steps = plan::orderEntry(entry);
  WEIR_ASSIGN_OR_RETURN(collectives, comm::Collectives::create(plan, entry));
  if (options.checked)
    check = std::make_unique<Checker>(plan, entry, memory);

  for (const Action &action : entry.actions) {
    Resolved &target = resolved.emplace_back();
    Status status;
    if (action.kind == Action::Kind::Kernel) {
      StatusOr<device::KernelFunction> kernel =
          kernels ? kernels->find(action.symbol)
                  : StatusOr<device::KernelFunction>(
                        invalidInput("the artifact has no kernels"));
      if (kernel.ok())
        target.kernel = *kernel;
      else
        status = std::move(kernel).status();
    } else if (action.kind == Action::Kind::Contract) {
      status = kernels::checkContract(action.contract);
    } else if (action.kind == Action::Kind::Fill) {
      status = kernels::checkFill(action.fillType);
      const plan::BufferRef &ref = action.buffers.front();
      target.fillCount = (entry.buffers[ref.buffer].bytes - ref.byteOffset) /
                         plan::byteSize(action.fillType);
    }
    if (!status.ok())
      return std::move(status).withContext("action " + describeAction(action));
  }

  for (const plan::ScalarExpr &scalar : entry.scalars)
    for (int axis : scalar.axes)
      if (plan.mesh[axis].time)
        scalarVariants = entry.microBatches;
  scalarValues.reserve(numRanks * scalarVariants * entry.scalars.size());
  for (int64_t rank = 0; rank < numRanks; ++rank)
    for (int64_t microBatch = 0; microBatch < scalarVariants; ++microBatch) {
      std::vector<int64_t> coordinates = plan::rankCoordinates(rank, plan.mesh);
      if (!plan.mesh.empty() && plan.mesh.back().time)
        coordinates.back() = microBatch;
      for (const plan::ScalarExpr &scalar : entry.scalars)
        scalarValues.push_back(plan::evaluate(scalar, plan.mesh, coordinates));
    }

  addresses.assign(numRanks * entry.buffers.size(), nullptr);
  for (int64_t rank = 0; rank < numRanks; ++rank)
    for (size_t i = 0; i < entry.buffers.size(); ++i)
      if (entry.buffers[i].segment >= 0)
        addresses[rank * entry.buffers.size() + i] =
            memory.base(rank, entry.buffers[i].segment) +
            entry.buffers[i].offset;

  queues = std::make_unique<Queue[]>(numRanks * numStreams);
  timings.resize(numRanks * numStreams);
  if (options.timed)
    for (int64_t rank = 0; rank < numRanks; ++rank)
      for (int stream = 0; stream < numStreams; ++stream)
        timings[rank * numStreams + stream].resize(
            steps.streams[stream].size());
  job = [this](int worker) {
    if (worker < numWorkers)
      work(worker);
  };
  return prepareWorkers();
}

Status Executor::prepareWorkers() {
  size_t maxBuffers = 1, maxScalars = kernels::maxContractDims;
  std::vector<int64_t> extents;
  for (const Action &action : entry.actions) {
    maxBuffers = std::max(maxBuffers, action.buffers.size());
    maxScalars = std::max(maxScalars, action.scalars.size());
    if (action.kind != Action::Kind::Contract)
      continue;
    for (int64_t rank = 0; rank < numRanks; ++rank)
      for (int64_t microBatch = 0; microBatch < scalarVariants; ++microBatch) {
        const int64_t *values = scalarsOf(rank, static_cast<int>(microBatch));
        extents.clear();
        for (const plan::ContractDim &loop : action.contract.loops)
          extents.push_back(values[loop.scalar]);
        for (const plan::ContractDim *dim :
             {&action.contract.m, &action.contract.n, &action.contract.k})
          extents.push_back(values[dim->scalar]);
        scratchStride =
            std::max(scratchStride,
                     kernels::contractScratch(action.contract, extents.data()));
      }
  }
  scratchStride = (scratchStride + 63) / 64 * 64;
  workers = std::vector<Worker>(numWorkers);
  for (Worker &worker : workers) {
    worker.pointers.resize(maxBuffers);
    worker.scalars.resize(maxScalars);
    if (scratchStride == 0)
      continue;
    WEIR_ASSIGN_OR_RETURN(
        worker.scratch,
        device::Memory::allocate(scratchStride * plan.teamSize, false));
  }
  return okStatus();
}

int64_t Executor::overheadBytes() const {
  auto bytes = [](const auto &list) {
    return static_cast<int64_t>(list.capacity() * sizeof(list[0]));
  };
  int64_t total = bytes(addresses) + bytes(scalarValues) + bytes(resolved) +
                  bytes(steps.waits);
  for (const auto &stream : steps.streams)
    total += bytes(stream);
  for (const auto &list : timings)
    total += bytes(list);
  for (const Worker &worker : workers)
    total += worker.scratch.bytes();
  return total;
}

void Executor::bind(const void *const *inputs, void *const *outputs) {
  size_t numBuffers = entry.buffers.size();
  for (size_t i = 0; i < numBuffers; ++i) {
    const Buffer &buffer = entry.buffers[i];
    if (buffer.binding < 0)
      continue;
    if (buffer.bindingIsOutput) {
      addresses[i] = static_cast<std::byte *>(outputs[buffer.binding]);
      continue;
    }
    // Verified plans only read what inputs are bound to.
    auto *data =
        static_cast<std::byte *>(const_cast<void *>(inputs[buffer.binding]));
    for (int64_t rank = 0; rank < numRanks; ++rank)
      addresses[rank * numBuffers + i] = data;
  }
}

Status Executor::run(const void *const *inputs, void *const *outputs) {
  if (failure.isSet())
    return failure.status();
  bind(inputs, outputs);
  collectives->reset();
  if (check)
    check->startRun();
  int64_t open = 0;
  for (int64_t rank = 0; rank < numRanks; ++rank)
    for (int stream = 0; stream < numStreams; ++stream) {
      queue(rank, stream).done.store(0, std::memory_order_relaxed);
      open += !steps.streams[stream].empty();
    }
  unfinished.store(open);
  runStart = now();
  if (numRanks == 1) {
    kernels::LibraryThreads team(plan.teamSize);
    work(0);
  } else {
    pool->run(job);
  }
  if (failure.isSet())
    return failure.status();
  return check ? memory.checkGuards(plan) : okStatus();
}

void Executor::work(int worker) {
  // Workers start at ranks of their own, so that a rank's memory stays with one
  // core as long as all have something to do.
  int64_t home = numRanks * worker / numWorkers;
  for (;;) {
    // The epoch first: read after the last queue ended, it would never change
    // again, and a worker that then slept on it would sleep for good.
    uint64_t seen = epoch.load();
    if (unfinished.load() == 0 || failure.isSet())
      break;
    bool progress = false;
    for (int64_t i = 0; i < numRanks && !progress; ++i)
      for (int stream = 0; stream < numStreams; ++stream)
        progress |= drain(worker, (home + i) % numRanks, stream);
    if (progress)
      continue;
    bool changed = false;
    for (int i = 0; i < spins && !changed && numWorkers > 1; ++i) {
      relax();
      changed = epoch.load(std::memory_order_relaxed) != seen;
    }
    if (!changed)
      sleep(seen);
  }
  // Whoever still sleeps shall see the end.
  signal();
}

/// Runs the queue's head and what follows as long as it is ready; whether
/// anything fired.
bool Executor::drain(int worker, int64_t rank, int stream) {
  Queue &target = queue(rank, stream);
  const std::vector<OrderStep> &list = steps.streams[stream];
  auto end = static_cast<int64_t>(list.size());
  int64_t at = target.done.load(std::memory_order_acquire);
  if (at == end || !ready(rank, list[at]) ||
      target.busy.exchange(true, std::memory_order_acquire))
    return false;
  executing.fetch_add(1);
  bool progress = false;
  // Another worker may have served the queue between the look and the lock.
  at = target.done.load(std::memory_order_acquire);
  while (at < end && !failure.isSet() && ready(rank, list[at])) {
    const OrderStep &step = list[at];
    int64_t begin = options.timed ? now() : 0;
    Status status = check ? executeChecked(workers[worker], rank, step)
                          : execute(workers[worker], rank, step);
    if (!status.ok()) {
      failure.set(std::move(status));
      break;
    }
    if (options.timed)
      timings[rank * numStreams + stream][at] = {begin - runStart,
                                                 now() - runStart, worker};
    target.done.store(++at, std::memory_order_release);
    progress = true;
    if (at == end)
      unfinished.fetch_sub(1);
    if (step.signals || at == end)
      signal();
  }
  target.busy.store(false, std::memory_order_release);
  executing.fetch_sub(1);
  return progress;
}

bool Executor::ready(int64_t rank, const OrderStep &step) const {
  for (int i = 0; i < step.numWaits; ++i) {
    const plan::Wait &wait = steps.waits[step.firstWait + i];
    if (queue(rank, wait.stream).done.load(std::memory_order_acquire) <
        wait.position)
      return false;
  }
  const Action &action = entry.actions[step.action];
  return action.kind != Action::Kind::Collective ||
         collectives->ready(action, rank, step.microBatch);
}

Status Executor::execute(Worker &worker, int64_t rank, const OrderStep &step) {
  const Action &action = entry.actions[step.action];
  std::byte *const *base = addresses.data() + rank * entry.buffers.size();
  for (size_t i = 0; i < action.buffers.size(); ++i) {
    const plan::BufferRef &ref = action.buffers[i];
    const Buffer &buffer = entry.buffers[ref.buffer];
    int64_t offset = ref.byteOffset;
    if (buffer.slots > 1)
      offset += step.microBatch % buffer.slots * buffer.slotStride;
    worker.pointers[i] = base[ref.buffer] + offset;
  }
  const int64_t *values = scalarsOf(rank, step.microBatch);
  switch (action.kind) {
  case Action::Kind::Kernel: {
    for (size_t i = 0; i < action.scalars.size(); ++i)
      worker.scalars[i] = values[action.scalars[i]];
    int code =
        kernels::runKernel(resolved[step.action].kernel, worker.pointers.data(),
                           worker.scalars.data(), action.chunks, plan.teamSize);
    if (code != 0)
      return failed(step, rank,
                    "kernel '" + action.symbol + "' reported error " +
                        std::to_string(code));
    break;
  }
  case Action::Kind::Contract: {
    const plan::Contract &contract = action.contract;
    size_t count = 0;
    for (const plan::ContractDim &loop : contract.loops)
      worker.scalars[count++] = values[loop.scalar];
    worker.scalars[count++] = values[contract.m.scalar];
    worker.scalars[count++] = values[contract.n.scalar];
    worker.scalars[count++] = values[contract.k.scalar];
    if (!kernels::contract(contract, worker.scalars.data(),
                           static_cast<const float *>(worker.pointers[0]),
                           static_cast<const float *>(worker.pointers[1]),
                           static_cast<float *>(worker.pointers[2]),
                           plan.teamSize, worker.scratch.data(), scratchStride))
      return failed(step, rank, "the matrix library failed");
    break;
  }
  case Action::Kind::Collective:
    collectives->run(action, rank, step.microBatch, worker.pointers[0],
                     worker.pointers[1]);
    break;
  case Action::Kind::Fill:
    kernels::fill(worker.pointers[0], resolved[step.action].fillCount,
                  action.fillType, action.fillValue, plan.teamSize);
    break;
  }
  return okStatus();
}

Status Executor::executeChecked(Worker &worker, int64_t rank,
                                const OrderStep &step) {
  std::unique_lock<std::mutex> lock = check->lock(rank);
  WEIR_RETURN_IF_ERROR(check->before(rank, step));
  WEIR_RETURN_IF_ERROR(execute(worker, rank, step));
  return check->after(rank, step);
}

Status Executor::failed(const OrderStep &step, int64_t rank,
                        const std::string &what) const {
  return runtimeError("entry '" + entry.name + "', action " +
                      describeAction(entry.actions[step.action]) + ", rank " +
                      std::to_string(rank) + ", micro-batch " +
                      std::to_string(step.microBatch) + ": " + what);
}

void Executor::signal() {
  // Sequentially consistent with `sleep`: either the sleeper sees the new epoch
  // or we see the sleeper.
  epoch.fetch_add(1);
  if (sleepers.load() == 0)
    return;
  {
    std::lock_guard<std::mutex> lock(sleepMutex);
  }
  wake.notify_all();
}

void Executor::sleep(uint64_t seen) {
  std::unique_lock<std::mutex> lock(sleepMutex);
  sleepers.fetch_add(1);
  // Cancelling from outside does not know this executor: look now and then.
  constexpr double glanceSeconds = 0.05;
  auto start = std::chrono::steady_clock::now();
  while (epoch.load() == seen && !failure.isSet()) {
    wake.wait_for(lock, std::chrono::duration<double>(
                            std::min(glanceSeconds, options.watchdogSeconds)));
    std::chrono::duration<double> idle =
        std::chrono::steady_clock::now() - start;
    // A long kernel elsewhere is no stall.
    if (executing.load() > 0)
      start = std::chrono::steady_clock::now();
    else if (epoch.load() == seen && idle.count() >= options.watchdogSeconds)
      failure.set(runtimeError(
          "entry '" + entry.name + "': nothing has fired for " +
          formatDuration(options.watchdogSeconds) + describeStall()));
  }
  sleepers.fetch_sub(1);
}

std::string Executor::describeStall() const {
  std::string text;
  for (int64_t rank = 0; rank < numRanks; ++rank)
    for (int stream = 0; stream < numStreams; ++stream) {
      const std::vector<OrderStep> &list = steps.streams[stream];
      int64_t at = queue(rank, stream).done.load(std::memory_order_acquire);
      if (at == static_cast<int64_t>(list.size()))
        continue;
      const OrderStep &step = list[at];
      const Action &action = entry.actions[step.action];
      text += "\n  rank " + std::to_string(rank) + ", stream '" +
              entry.streams[stream] + "' waits at " + describeAction(action) +
              " of micro-batch " + std::to_string(step.microBatch) + " for";
      std::string reasons;
      for (int i = 0; i < step.numWaits; ++i) {
        const plan::Wait &wait = steps.waits[step.firstWait + i];
        int64_t have =
            queue(rank, wait.stream).done.load(std::memory_order_acquire);
        if (have >= wait.position)
          continue;
        const OrderStep &other = steps.streams[wait.stream][wait.position - 1];
        reasons += std::string(reasons.empty() ? " " : ", ") + "stream '" +
                   entry.streams[wait.stream] + "' to finish " +
                   describeAction(entry.actions[other.action]) + " (step " +
                   std::to_string(have) + " of " +
                   std::to_string(wait.position) + ")";
      }
      if (action.kind == Action::Kind::Collective &&
          !collectives->ready(action, rank, step.microBatch))
        reasons += std::string(reasons.empty() ? " " : ", ") +
                   collectives->missing(action, rank, step.microBatch);
      text += reasons.empty() ? " nothing" : reasons;
    }
  return text;
}

} // namespace weir::actor
