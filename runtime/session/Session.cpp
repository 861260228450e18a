// SPDX-License-Identifier: Apache-2.0
#include "runtime/session/Session.h"

#include "runtime/base/Format.h"
#include "runtime/base/Half.h"
#include "runtime/base/Json.h"
#include "runtime/base/Strings.h"
#include "runtime/io/File.h"

#include <cstring>

namespace weir {

using plan::Binding;
using plan::DType;

namespace {

int64_t bindingBytes(const Binding &binding) {
  return plan::elementCount(binding.shape) * plan::byteSize(binding.dtype);
}

void storeNumber(DType type, void *at, double value) {
  auto store = [at](auto typed) { std::memcpy(at, &typed, sizeof(typed)); };
  switch (type) {
  case DType::F32:
    return store(static_cast<float>(value));
  case DType::F64:
    return store(value);
  case DType::BF16:
    return store(floatToBfloat16(static_cast<float>(value)));
  case DType::I64:
    return store(static_cast<int64_t>(value));
  case DType::I32:
    return store(static_cast<int32_t>(value));
  case DType::I8:
    return store(static_cast<int8_t>(value));
  case DType::U8:
    return store(static_cast<uint8_t>(value));
  case DType::I1:
    return store(static_cast<uint8_t>(value != 0));
  case DType::F16:
    return; // refused by setScalar
  }
}

double loadNumber(DType type, const void *at) {
  auto load = [at](auto typed) {
    std::memcpy(&typed, at, sizeof(typed));
    return typed;
  };
  switch (type) {
  case DType::F32:
    return load(float());
  case DType::F64:
    return load(double());
  case DType::BF16:
    return bfloat16ToFloat(load(uint16_t()));
  case DType::F16:
    return halfToFloat(load(uint16_t()));
  case DType::I64:
    return static_cast<double>(load(int64_t()));
  case DType::I32:
    return load(int32_t());
  case DType::I8:
    return load(int8_t());
  case DType::U8:
  case DType::I1:
    return load(uint8_t());
  }
  return 0;
}

} // namespace

StatusOr<std::unique_ptr<Session>>
Session::create(std::shared_ptr<const Program> program,
                const SessionOptions &options) {
  std::unique_ptr<Session> session(new Session(std::move(program), options));
  const plan::Plan &plan = session->plan();
  WEIR_ASSIGN_OR_RETURN(session->memory,
                        actor::RankMemory::allocate(plan, options.checked));
  actor::ExecutorOptions executorOptions;
  executorOptions.checked = options.checked;
  executorOptions.timed = options.traced;
  executorOptions.watchdogSeconds = options.watchdogSeconds;
  for (const plan::Entry &entry : plan.entries) {
    StatusOr<std::unique_ptr<actor::Executor>> executor =
        actor::Executor::create(plan, entry, session->shared->kernels(),
                                session->memory,
                                &session->shared->runtime().pool(),
                                session->failure, executorOptions);
    if (!executor.ok())
      return std::move(executor).status().withContext(session->shared->path());
    session->executors.push_back(*std::move(executor));
    Bindings &bound = session->bindings.emplace_back();
    bound.inputs.assign(entry.inputs.size(), nullptr);
    bound.outputs.assign(entry.outputs.size(), nullptr);
    bound.scalars.assign(entry.inputs.size(), 0);
    bound.owned.resize(entry.outputs.size());
  }
  WEIR_RETURN_IF_ERROR(session->initialize(options.seed));
  return session;
}

StatusOr<size_t> Session::findBinding(size_t entry, const std::string &name,
                                      bool output) const {
  const plan::Entry &target = plan().entries[entry];
  const std::vector<Binding> &list = output ? target.outputs : target.inputs;
  for (size_t i = 0; i < list.size(); ++i)
    if (list[i].name == name)
      return i;
  std::vector<std::string> names;
  for (const Binding &binding : list)
    names.push_back("'" + binding.name + "'");
  return invalidInput("entry '" + target.name + "' has no " +
                      (output ? "output '" : "input '") + printable(name, 80) +
                      "'; it has " +
                      (names.empty() ? "none" : join(names, ", ")));
}

Status Session::checkBytes(size_t entry, size_t binding, bool output,
                           int64_t bytes) const {
  const plan::Entry &target = plan().entries[entry];
  const Binding &wanted =
      output ? target.outputs[binding] : target.inputs[binding];
  if (bytes == bindingBytes(wanted))
    return okStatus();
  std::vector<std::string> sizes;
  for (int64_t size : wanted.shape)
    sizes.push_back(std::to_string(size));
  return invalidInput("entry '" + target.name + "', '" + wanted.name +
                      "': expects " + std::to_string(bindingBytes(wanted)) +
                      " bytes (" + std::string(name(wanted.dtype)) + "[" +
                      join(sizes, ",") + "]), got " + std::to_string(bytes));
}

Status Session::bindInput(const std::string &entry, const std::string &name,
                          const void *data, int64_t bytes) {
  WEIR_ASSIGN_OR_RETURN(size_t index, shared->entryIndex(entry));
  WEIR_ASSIGN_OR_RETURN(size_t input, findBinding(index, name, false));
  WEIR_RETURN_IF_ERROR(checkBytes(index, input, false, bytes));
  if (!data)
    return invalidInput("entry '" + entry + "', input '" + name +
                        "': was given no memory");
  bindings[index].inputs[input] = data;
  return okStatus();
}

Status Session::bindOutput(const std::string &entry, const std::string &name,
                           void *data, int64_t bytes) {
  WEIR_ASSIGN_OR_RETURN(size_t index, shared->entryIndex(entry));
  WEIR_ASSIGN_OR_RETURN(size_t output, findBinding(index, name, true));
  if (data)
    WEIR_RETURN_IF_ERROR(checkBytes(index, output, true, bytes));
  bindings[index].outputs[output] =
      data ? data : bindings[index].owned[output].data();
  return okStatus();
}

Status Session::setScalar(const std::string &entry, const std::string &name,
                          double value) {
  WEIR_ASSIGN_OR_RETURN(size_t index, shared->entryIndex(entry));
  WEIR_ASSIGN_OR_RETURN(size_t input, findBinding(index, name, false));
  const Binding &wanted = plan().entries[index].inputs[input];
  if (!wanted.shape.empty() || wanted.dtype == DType::F16)
    return invalidInput("entry '" + entry + "', input '" + name +
                        "': is a tensor; bind memory to it");
  Bindings &bound = bindings[index];
  storeNumber(wanted.dtype, &bound.scalars[input], value);
  bound.inputs[input] = &bound.scalars[input];
  return okStatus();
}

/// Names every input that lacks a value; gives outputs that nobody bound memory
/// of the session's own. (Their place in the segment is no substitute: rank 0
/// never uses it, so the plan may have given it to others.)
Status Session::prepareBindings(size_t index) {
  const plan::Entry &entry = plan().entries[index];
  Bindings &bound = bindings[index];
  std::vector<std::string> missing;
  for (size_t i = 0; i < bound.inputs.size(); ++i)
    if (!bound.inputs[i])
      missing.push_back("'" + entry.inputs[i].name + "'");
  if (!missing.empty())
    return invalidInput("entry '" + entry.name + "': input" +
                        (missing.size() > 1 ? "s " : " ") +
                        join(missing, ", ") +
                        " have no value; bind or set them first");
  for (size_t i = 0; i < bound.outputs.size(); ++i) {
    if (bound.outputs[i])
      continue;
    WEIR_ASSIGN_OR_RETURN(
        bound.owned[i],
        device::Memory::allocate(bindingBytes(entry.outputs[i]), false));
    bound.outputs[i] = bound.owned[i].data();
  }
  return okStatus();
}

Status Session::run(const std::string &entry) {
  WEIR_ASSIGN_OR_RETURN(size_t index, shared->entryIndex(entry));
  if (failure.isSet())
    return failure.status();
  if (running.exchange(true))
    return runtimeError("a session runs one step at a time; make another "
                        "session of the same program");
  Status status = prepareBindings(index);
  if (status.ok()) {
    Bindings &bound = bindings[index];
    int64_t ours = device::allocationCount();
    int64_t theirs = device::libraryAllocationCount();
    status = executors[index]->run(bound.inputs.data(), bound.outputs.data());
    if (bound.ranBefore) {
      laterAllocations += device::allocationCount() - ours;
      laterLibraryAllocations += device::libraryAllocationCount() - theirs;
    }
    bound.ranBefore = true;
    // A guard zone that was overwritten spends the session as well.
    if (!status.ok())
      failure.set(status);
  }
  running.store(false);
  return status;
}

Status Session::readOutput(const std::string &entry, const std::string &name,
                           void *data, int64_t bytes) const {
  WEIR_ASSIGN_OR_RETURN(size_t index, shared->entryIndex(entry));
  WEIR_ASSIGN_OR_RETURN(size_t output, findBinding(index, name, true));
  WEIR_RETURN_IF_ERROR(checkBytes(index, output, true, bytes));
  if (!bindings[index].ranBefore)
    return invalidInput("entry '" + entry + "' has not run yet");
  std::memcpy(data, bindings[index].outputs[output], bytes);
  return okStatus();
}

StatusOr<double> Session::readScalar(const std::string &entry,
                                     const std::string &name) const {
  WEIR_ASSIGN_OR_RETURN(size_t index, shared->entryIndex(entry));
  WEIR_ASSIGN_OR_RETURN(size_t output, findBinding(index, name, true));
  const Binding &wanted = plan().entries[index].outputs[output];
  if (plan::elementCount(wanted.shape) != 1)
    return invalidInput("entry '" + entry + "', output '" + name +
                        "': is a tensor, not a number");
  if (!bindings[index].ranBefore)
    return invalidInput("entry '" + entry + "' has not run yet");
  return loadNumber(wanted.dtype, bindings[index].outputs[output]);
}

void Session::cancel() {
  failure.set(Status(StatusCode::Stopped, "the run was cancelled"));
}

MemoryReport Session::memoryReport() const {
  MemoryReport report;
  for (size_t i = 0; i < plan().segments.size(); ++i) {
    const plan::Segment &segment = plan().segments[i];
    MemoryReport::SegmentUse use;
    use.name = segment.name;
    use.kind = segment.kind;
    use.bytes = segment.bytes;
    use.plannedEnd = actor::Checker::plannedEnd(plan(), static_cast<int>(i));
    for (const auto &executor : executors)
      if (executor->checker())
        use.touchedEnd =
            std::max(use.touchedEnd,
                     executor->checker()->touchedEnd(static_cast<int>(i)));
    report.planBytes += segment.bytes * plan().numRanks();
    report.segments.push_back(std::move(use));
  }
  for (const auto &executor : executors)
    report.overheadBytes += executor->overheadBytes();
  for (const Bindings &bound : bindings)
    for (const device::Memory &block : bound.owned)
      report.overheadBytes += block.bytes();
  report.allocations = laterAllocations;
  report.libraryAllocations = laterLibraryAllocations;
  return report;
}

Status Session::writeTrace(const std::string &entry,
                           const std::string &path) const {
  WEIR_ASSIGN_OR_RETURN(size_t index, shared->entryIndex(entry));
  if (!options.traced)
    return invalidInput("the session was made without tracing");
  const plan::Entry &target = plan().entries[index];
  const actor::Executor &executor = *executors[index];
  JsonWriter writer(0);
  writer.beginObject().key("traceEvents").beginArray();
  auto name = [&](const char *what, int64_t pid, int64_t tid,
                  const std::string &text) {
    writer.beginObject()
        .member("name", what)
        .member("ph", "M")
        .member("pid", pid)
        .member("tid", tid)
        .key("args")
        .beginObject()
        .member("name", text)
        .endObject()
        .endObject();
  };
  static constexpr const char *kinds[] = {"kernel", "contract", "collective",
                                          "fill"};
  for (int64_t rank = 0; rank < plan().numRanks(); ++rank) {
    name("process_name", rank, 0, "rank " + std::to_string(rank));
    for (size_t stream = 0; stream < target.streams.size(); ++stream) {
      name("thread_name", rank, stream, target.streams[stream]);
      const std::vector<plan::OrderStep> &steps =
          executor.order().streams[stream];
      for (size_t at = 0; at < steps.size(); ++at) {
        const plan::Action &action = target.actions[steps[at].action];
        const actor::Timing &timing =
            executor.timing(rank, static_cast<int>(stream), at);
        bool collective = action.kind == plan::Action::Kind::Collective;
        writer.beginObject()
            .member("name",
                    collective ? plan::describeAction(action) : action.site)
            .member("cat", kinds[static_cast<int>(action.kind)])
            .member("ph", "X")
            .member("pid", rank)
            .member("tid", static_cast<int64_t>(stream))
            .member("ts", static_cast<double>(timing.begin) / 1000)
            .member("dur",
                    static_cast<double>(timing.end - timing.begin) / 1000)
            .key("args")
            .beginObject()
            .member("micro-batch", steps[at].microBatch)
            .member("worker", timing.worker)
            .member("actor", target.actors[steps[at].actor].name)
            .endObject()
            .endObject();
      }
    }
  }
  writer.endArray().endObject();
  return writeFile(path, writer.take());
}

} // namespace weir
