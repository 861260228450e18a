// SPDX-License-Identifier: Apache-2.0
#include "runtime/base/Strings.h"
#include "runtime/plan/Order.h"
#include "runtime/plan/Plan.h"

#include <algorithm>
#include <set>

namespace weir::plan {
namespace {

// Bounds that keep products of what a file says within 64 bits and memory.
constexpr int64_t maxRanks = 1 << 20;
constexpr int64_t maxMicroBatches = 1 << 16;
constexpr int64_t maxSteps = int64_t(1) << 24;
constexpr int64_t maxBytes = int64_t(1) << 42;       // of a rank
constexpr int64_t maxTensorBytes = int64_t(1) << 46; // over all ranks
constexpr int64_t maxSize = int64_t(1) << 46;        // elements of a dimension
constexpr int maxTeam = 1024;
constexpr size_t maxErrors = 10;

class Verifier {
public:
  explicit Verifier(const Plan &plan) : plan(plan) {}

  Status run() {
    checkMesh();
    // All other checks compute with the mesh.
    if (!errors.empty())
      return result();
    checkSegments();
    for (size_t i = 0; i < plan.variables.size(); ++i)
      checkVariable(i);
    std::set<std::string> names;
    for (const Entry &entry : plan.entries) {
      if (!names.insert(entry.name).second)
        error("entry '" + printable(entry.name) + "': name is used twice");
      context = "entry '" + printable(entry.name, 80) + "': ";
      checkEntry(entry);
      context.clear();
    }
    return result();
  }

private:
  void error(const std::string &text) {
    if (errors.size() < maxErrors)
      errors.push_back(context + text);
    else
      ++suppressed;
  }

  Status result() const {
    if (errors.empty())
      return okStatus();
    std::string text = "the plan is malformed: " + join(errors, "\n  ");
    if (suppressed)
      text += "\n  and " + std::to_string(suppressed) + " more";
    return invalidInput(text +
                        "\n  (write the artifact again with weir compile)");
  }

  static std::string item(const char *kind, size_t index,
                          const std::string &name) {
    return std::string(kind) + " " + std::to_string(index) + " '" +
           printable(name, 80) + "'";
  }

  /// Whether start + bytes lies in [0, limit].
  static bool inside(int64_t start, int64_t bytes, int64_t limit) {
    return start >= 0 && bytes >= 0 && start <= limit && bytes <= limit - start;
  }

  void checkMesh() {
    int64_t ranks = 1;
    std::set<std::string> names;
    for (size_t i = 0; i < plan.mesh.size(); ++i) {
      const MeshAxis &axis = plan.mesh[i];
      if (!names.insert(axis.name).second)
        error(item("mesh axis", i, axis.name) + ": name is used twice");
      if (axis.size < 1 || axis.size > maxRanks)
        return error(item("mesh axis", i, axis.name) +
                     ": expects a size of 1 to 1048576, got " +
                     std::to_string(axis.size));
      if (axis.time) {
        if (i + 1 != plan.mesh.size())
          error(item("mesh axis", i, axis.name) +
                ": the time axis must be the last one");
        timeAxis = static_cast<int>(i);
        timeSize = axis.size;
        continue;
      }
      ranks *= axis.size;
      if (ranks > maxRanks)
        return error("the mesh has more than 1048576 ranks");
    }
    if (plan.teamSize < 1 || plan.teamSize > maxTeam)
      error("teamSize: expects 1 to 1024, got " +
            std::to_string(plan.teamSize));
    else if (ranks > 1 && plan.teamSize != 1)
      error("teamSize: a plan for " + std::to_string(ranks) +
            " ranks in one process expects 1, got " +
            std::to_string(plan.teamSize));
  }

  void checkSegments() {
    for (size_t i = 0; i < plan.segments.size(); ++i) {
      const Segment &segment = plan.segments[i];
      if (segment.bytes < 0 || segment.bytes > maxBytes)
        error(item("segment", i, segment.name) + ": bytes out of range");
    }
  }

  bool checkAxes(const std::vector<int> &axes, const std::string &where) {
    uint64_t seen = 0;
    for (int axis : axes) {
      if (axis < 0 || axis >= static_cast<int>(plan.mesh.size()) ||
          axis >= 64) {
        error(where + ": mesh axis " + std::to_string(axis) +
              " does not exist");
        return false;
      }
      if (seen & (uint64_t(1) << axis)) {
        error(where + ": mesh axis " + std::to_string(axis) + " occurs twice");
        return false;
      }
      seen |= uint64_t(1) << axis;
    }
    return true;
  }

  bool checkUnit(int64_t size, int64_t unit, const std::string &where) {
    if (unit >= 1 && size % unit == 0)
      return true;
    error(where + ": unit " + std::to_string(unit) + " does not divide " +
          std::to_string(size));
    return false;
  }

  bool checkShift(int64_t shift, const std::vector<int> &axes,
                  const std::string &where) {
    if (shift >= 0 && shift <= maxSize && (shift == 0 || !axes.empty()))
      return true;
    error(where + ": shift " + std::to_string(shift) +
          (axes.empty() ? " expects mesh axes" : " is out of range"));
    return false;
  }

  bool usesTime(const std::vector<int> &axes) const {
    return std::find(axes.begin(), axes.end(), timeAxis) != axes.end();
  }

  bool checkPlace(int segment, int64_t offset, int64_t bytes,
                  const std::string &where) {
    if (segment < 0 || segment >= static_cast<int>(plan.segments.size())) {
      error(where + ": segment " + std::to_string(segment) + " does not exist");
      return false;
    }
    if (offset % bufferAlignment != 0) {
      error(where + ": offset " + std::to_string(offset) +
            " is not a multiple of " + std::to_string(bufferAlignment));
      return false;
    }
    if (!inside(offset, bytes, plan.segments[segment].bytes)) {
      error(where + ": bytes " + std::to_string(offset) + " + " +
            std::to_string(bytes) + " lie outside segment '" +
            printable(plan.segments[segment].name, 40) + "' of " +
            std::to_string(plan.segments[segment].bytes) + " bytes");
      return false;
    }
    return true;
  }

  void checkVariable(size_t index) {
    const Variable &variable = plan.variables[index];
    std::string where = item("variable", index, variable.name);
    if (!variableNames.insert(variable.name).second)
      error(where + ": name is used twice");
    int64_t bytes = byteSize(variable.layout.dtype), elements = 1;
    for (const DimLayout &dim : variable.layout.dims) {
      if (!checkAxes(dim.axes, where))
        return;
      if (usesTime(dim.axes))
        return error(where + ": is split over the micro-batch axis");
      if (dim.size < 0 || dim.size > maxSize)
        return error(where + ": dimension out of range");
      if (!checkUnit(dim.size, dim.unit, where))
        return;
      int64_t extent = largestValue(
          {ScalarExpr::Kind::Extent, dim.size, dim.axes, dim.unit}, plan.mesh);
      if (dim.capacity < extent)
        return error(where + ": capacity " + std::to_string(dim.capacity) +
                     " is less than the largest shard, " +
                     std::to_string(extent));
      if (__builtin_mul_overflow(bytes, dim.capacity, &bytes) ||
          bytes > maxBytes ||
          __builtin_mul_overflow(elements, dim.size, &elements))
        return error(where + ": is too large");
    }
    if (!variable.layout.partialAxes.empty())
      error(where + ": a variable cannot be a partial sum");
    if (!checkPlace(variable.segment, variable.offset, bytes, where))
      return;
    if (variable.storedName.empty())
      return;
    int64_t stored = 1;
    for (int64_t size : variable.storedShape)
      if (size < 0 || __builtin_mul_overflow(stored, size, &stored))
        return error(where + ": stored shape out of range");
    if (stored != elements)
      error(where + ": its stored tensor '" +
            printable(variable.storedName, 80) + "' has " +
            std::to_string(stored) + " elements, expected " +
            std::to_string(elements));
  }

  void checkEntry(const Entry &entry) {
    size_t before = errors.size() + suppressed;
    if (entry.microBatches < 1 || entry.microBatches > maxMicroBatches)
      return error("expects 1 to 65536 micro-batches, got " +
                   std::to_string(entry.microBatches));
    checkBindings(entry.inputs, "input");
    checkBindings(entry.outputs, "output");
    for (size_t i = 0; i < entry.scalars.size(); ++i)
      checkScalar(entry, i);
    for (size_t i = 0; i < entry.buffers.size(); ++i)
      checkBuffer(entry, i);
    checkOutputs(entry);
    for (size_t i = 0; i < entry.collectives.size(); ++i)
      checkCollective(entry, i);
    if (errors.size() + suppressed != before)
      return;
    checkActors(entry);
    if (errors.size() + suppressed != before)
      return;
    for (size_t i = 0; i < entry.actions.size(); ++i)
      checkAction(entry, i);
    checkPhases(entry);
    checkEdges(entry);
    checkSchedule(entry);
    if (errors.size() + suppressed == before)
      checkLiveness(entry);
  }

  void checkBindings(const std::vector<Binding> &bindings, const char *kind) {
    std::set<std::string> names;
    for (size_t i = 0; i < bindings.size(); ++i) {
      const Binding &binding = bindings[i];
      std::string where = item(kind, i, binding.name);
      if (!names.insert(binding.name).second)
        error(where + ": name is used twice");
      if (bindingBytes(binding) < 0)
        error(where + ": shape out of range");
    }
  }

  void checkOutputs(const Entry &entry) {
    std::vector<bool> bound(entry.outputs.size(), false);
    for (const Buffer &buffer : entry.buffers)
      if (buffer.bindingIsOutput && buffer.binding >= 0 &&
          buffer.binding < static_cast<int>(bound.size()))
        bound[buffer.binding] = true;
    for (size_t i = 0; i < bound.size(); ++i)
      if (!bound[i])
        error(item("output", i, entry.outputs[i].name) +
              ": no buffer is bound to it");
  }

  static int64_t bindingBytes(const Binding &binding) {
    int64_t bytes = byteSize(binding.dtype);
    for (int64_t size : binding.shape)
      if (size < 0 || __builtin_mul_overflow(bytes, size, &bytes) ||
          bytes > maxTensorBytes)
        return -1;
    return bytes;
  }

  void checkScalar(const Entry &entry, size_t index) {
    const ScalarExpr &scalar = entry.scalars[index];
    std::string where = "scalar " + std::to_string(index);
    if (scalar.size < 0 || scalar.size > maxSize)
      error(where + ": size out of range");
    if (!checkAxes(scalar.axes, where) ||
        !checkUnit(scalar.size, scalar.unit, where) ||
        !checkShift(scalar.shift, scalar.axes, where))
      return;
    if (usesTime(scalar.axes) && entry.microBatches != timeSize)
      error(where + ": depends on the micro-batch axis of size " +
            std::to_string(timeSize) + ", but the entry has " +
            std::to_string(entry.microBatches) + " micro-batches");
  }

  void checkBuffer(const Entry &entry, size_t index) {
    const Buffer &buffer = entry.buffers[index];
    std::string where = item("buffer", index, buffer.name);
    if (buffer.bytes < 0 || buffer.bytes > maxBytes)
      return error(where + ": bytes out of range");
    if (buffer.slots < 1 || buffer.slots > maxMicroBatches)
      return error(where + ": expects 1 to 65536 slots, got " +
                   std::to_string(buffer.slots));
    if (buffer.slots > 1 && (buffer.slotStride < buffer.bytes ||
                             buffer.slotStride % bufferAlignment != 0 ||
                             buffer.slotStride > maxBytes))
      return error(where +
                   ": expects a slot stride of at least its bytes and "
                   "a multiple of " +
                   std::to_string(bufferAlignment));
    if (buffer.binding >= 0) {
      const std::vector<Binding> &bindings =
          buffer.bindingIsOutput ? entry.outputs : entry.inputs;
      if (buffer.binding >= static_cast<int>(bindings.size()))
        return error(where + ": binding " + std::to_string(buffer.binding) +
                     " does not exist");
      if (buffer.bytes > bindingBytes(bindings[buffer.binding]))
        error(where + ": is larger than what it is bound to, '" +
              printable(bindings[buffer.binding].name, 80) + "'");
      if (buffer.bindingIsOutput && buffer.segment < 0 && plan.numRanks() > 1)
        error(where + ": an output needs a place for the ranks beyond 0");
    } else if (buffer.segment < 0) {
      return error(where + ": has neither a segment nor a binding");
    }
    if (buffer.segment < 0)
      return;
    int64_t bytes = 0;
    if (__builtin_mul_overflow(static_cast<int64_t>(buffer.slots - 1),
                               buffer.slotStride, &bytes) ||
        __builtin_add_overflow(bytes, buffer.bytes, &bytes))
      return error(where + ": bytes out of range");
    checkPlace(buffer.segment, buffer.offset, bytes, where);
  }

  void checkCollective(const Entry &entry, size_t index) {
    const Collective &collective = entry.collectives[index];
    std::string where = "collective " + std::to_string(index);
    if (!checkAxes(collective.axes, where))
      return;
    if (usesTime(collective.axes))
      error(where + ": cannot run over the micro-batch axis");
    for (const CollectiveDim &dim : collective.dims) {
      if (dim.logical < 0 || dim.logical > maxSize || dim.inStride < 0 ||
          dim.outStride < 0)
        return error(where + ": dimension out of range");
      if (!checkAxes(dim.inAxes, where) || !checkAxes(dim.outAxes, where) ||
          !checkUnit(dim.logical, dim.inUnit, where) ||
          !checkUnit(dim.logical, dim.outUnit, where) ||
          !checkShift(dim.inShift, dim.inAxes, where) ||
          !checkShift(dim.outShift, dim.outAxes, where))
        return;
      if ((usesTime(dim.inAxes) || usesTime(dim.outAxes)) &&
          entry.microBatches != timeSize)
        error(where + ": depends on the micro-batch axis, but the entry has " +
              std::to_string(entry.microBatches) + " micro-batches");
      if (collective.op == Collective::Op::AllReduce &&
          (dim.inAxes != dim.outAxes || dim.inUnit != dim.outUnit ||
           dim.inShift != dim.outShift))
        error(where + ": an all-reduce keeps its layout");
      if (collective.op == Collective::Op::Exchange)
        checkExchanged(collective, dim, where);
    }
  }

  /// All axes behind the splits that a dimension keeps must be exchanged over:
  /// otherwise the group does not hold what a rank lacks.
  void checkExchanged(const Collective &collective, const CollectiveDim &dim,
                      const std::string &where) {
    size_t same = 0;
    if (dim.inUnit == dim.outUnit && dim.inShift == dim.outShift)
      while (same < dim.inAxes.size() && same < dim.outAxes.size() &&
             dim.inAxes[same] == dim.outAxes[same])
        ++same;
    for (const std::vector<int> *axes : {&dim.inAxes, &dim.outAxes})
      for (size_t i = same; i < axes->size(); ++i)
        if (std::find(collective.axes.begin(), collective.axes.end(),
                      (*axes)[i]) == collective.axes.end())
          return error(where +
                       ": exchanges a dimension whose split over mesh "
                       "axis '" +
                       plan.mesh[(*axes)[i]].name +
                       "' changes, but not over that axis");
  }

  void checkActors(const Entry &entry) {
    owner.assign(entry.actions.size(), -1);
    for (size_t i = 0; i < entry.actors.size(); ++i) {
      const Actor &actor = entry.actors[i];
      std::string where = item("actor", i, actor.name);
      if (actor.stream < 0 ||
          actor.stream >= static_cast<int>(entry.streams.size()))
        error(where + ": stream " + std::to_string(actor.stream) +
              " does not exist");
      if (actor.actions.empty())
        error(where + ": has no actions");
      for (int action : actor.actions) {
        if (action < 0 || action >= static_cast<int>(entry.actions.size()))
          error(where + ": action " + std::to_string(action) +
                " does not exist");
        else if (owner[action] >= 0)
          error(where + ": action " + std::to_string(action) +
                " belongs to two actors");
        else
          owner[action] = static_cast<int>(i);
      }
    }
    for (size_t i = 0; i < owner.size(); ++i)
      if (owner[i] < 0)
        error(item("action", i, entry.actions[i].site) +
              ": belongs to no actor");
  }

  bool repeats(const Entry &entry, size_t action) const {
    return entry.actors[owner[action]].perMicroBatch;
  }

  /// Whether the strided region starting at `ref` lies in its buffer: extents
  /// and strides in elements of `size` bytes.
  void checkRegion(const Entry &entry, const BufferRef &ref,
                   const std::vector<std::pair<int64_t, int64_t>> &dims,
                   int64_t size, const std::string &where) {
    int64_t last = 0;
    for (const auto &[extent, stride] : dims) {
      if (extent == 0)
        return;
      int64_t reach = 0;
      if (stride < 0 || __builtin_mul_overflow(extent - 1, stride, &reach) ||
          __builtin_add_overflow(last, reach, &last))
        return error(where + ": strides out of range");
    }
    int64_t bytes = 0;
    const Buffer &buffer = entry.buffers[ref.buffer];
    if (__builtin_mul_overflow(last + 1, size, &bytes) ||
        !inside(ref.byteOffset, bytes, buffer.bytes))
      error(where + ": reaches beyond buffer '" + printable(buffer.name, 80) +
            "' of " + std::to_string(buffer.bytes) + " bytes");
  }

  void checkAction(const Entry &entry, size_t index) {
    const Action &action = entry.actions[index];
    std::string where = item("action", index, action.site);
    for (const BufferRef &ref : action.buffers) {
      if (ref.buffer < 0 ||
          ref.buffer >= static_cast<int>(entry.buffers.size()))
        return error(where + ": buffer " + std::to_string(ref.buffer) +
                     " does not exist");
      const Buffer &buffer = entry.buffers[ref.buffer];
      if (!inside(ref.byteOffset, 0, buffer.bytes))
        return error(where + ": starts outside buffer '" +
                     printable(buffer.name, 80) + "'");
    }
    auto numBuffers = static_cast<int>(action.buffers.size());
    if (action.numReads < 0 || action.numReads > numBuffers)
      return error(where + ": reads " + std::to_string(action.numReads) +
                   " of " + std::to_string(numBuffers) + " buffers");
    for (int i = action.numReads; i < numBuffers; ++i) {
      const Buffer &buffer = entry.buffers[action.buffers[i].buffer];
      if (buffer.binding >= 0 && !buffer.bindingIsOutput)
        error(where + ": writes the caller's input '" +
              printable(buffer.name, 80) + "'");
    }
    switch (action.kind) {
    case Action::Kind::Kernel:
      checkKernel(entry, action, repeats(entry, index), where);
      break;
    case Action::Kind::Contract:
      checkContract(entry, action, repeats(entry, index), where);
      break;
    case Action::Kind::Collective:
      checkCollectiveAction(entry, action, repeats(entry, index), where);
      break;
    case Action::Kind::Fill:
      if (numBuffers != 1 || action.numReads != 0)
        error(where + ": a fill expects one written buffer");
      break;
    }
  }

  bool checkScalarUse(const Entry &entry, int scalar, bool perMicroBatch,
                      const std::string &where) {
    if (scalar < 0 || scalar >= static_cast<int>(entry.scalars.size())) {
      error(where + ": scalar " + std::to_string(scalar) + " does not exist");
      return false;
    }
    if (!perMicroBatch && timeSize > 1 &&
        entry.scalars[scalar].kind != ScalarExpr::Kind::Constant &&
        usesTime(entry.scalars[scalar].axes)) {
      error(where + ": fires once a step, but scalar " +
            std::to_string(scalar) + " depends on the micro-batch");
      return false;
    }
    return true;
  }

  void checkKernel(const Entry &entry, const Action &action, bool perMicroBatch,
                   const std::string &where) {
    if (action.symbol.empty())
      error(where + ": a kernel expects a symbol");
    if (action.chunks < 1 || action.chunks > (int64_t(1) << 32))
      error(where + ": chunks out of range");
    for (int scalar : action.scalars)
      checkScalarUse(entry, scalar, perMicroBatch, where);
  }

  void checkContract(const Entry &entry, const Action &action,
                     bool perMicroBatch, const std::string &where) {
    if (action.buffers.size() != 3 || action.numReads != 2)
      return error(where + ": a contraction expects buffers A, B and C");
    const Contract &contract = action.contract;
    std::vector<ContractDim> dims = contract.loops;
    dims.insert(dims.end(), {contract.m, contract.n, contract.k});
    std::vector<std::pair<int64_t, int64_t>> regions[3];
    for (const ContractDim &dim : dims) {
      if (!checkScalarUse(entry, dim.scalar, perMicroBatch, where))
        return;
      int64_t extent = largestValue(entry.scalars[dim.scalar], plan.mesh);
      regions[0].push_back({extent, dim.strideA});
      regions[1].push_back({extent, dim.strideB});
      regions[2].push_back({extent, dim.strideC});
    }
    if (contract.m.strideB != 0 || contract.n.strideA != 0 ||
        contract.k.strideC != 0)
      error(where + ": m strides over B, n over A, or k over C");
    // With an empty m, n or batch nothing is touched; an empty k still writes.
    for (int i = 0; i < 3; ++i)
      checkRegion(entry, action.buffers[i], regions[i],
                  byteSize(contract.dtype), where);
  }

  void checkCollectiveAction(const Entry &entry, const Action &action,
                             bool perMicroBatch, const std::string &where) {
    if (action.collective < 0 ||
        action.collective >= static_cast<int>(entry.collectives.size()))
      return error(where + ": collective " + std::to_string(action.collective) +
                   " does not exist");
    if (action.buffers.size() != 2 || action.numReads != 1)
      return error(where + ": a collective expects buffers in and out");
    const Collective &collective = entry.collectives[action.collective];
    std::vector<std::pair<int64_t, int64_t>> in, out;
    for (const CollectiveDim &dim : collective.dims) {
      if (!perMicroBatch && timeSize > 1 &&
          (usesTime(dim.inAxes) || usesTime(dim.outAxes)))
        return error(where + ": fires once a step, but its collective depends "
                             "on the micro-batch");
      in.push_back({largestValue({ScalarExpr::Kind::Extent, dim.logical,
                                  dim.inAxes, dim.inUnit},
                                 plan.mesh),
                    dim.inStride});
      out.push_back({largestValue({ScalarExpr::Kind::Extent, dim.logical,
                                   dim.outAxes, dim.outUnit},
                                  plan.mesh),
                     dim.outStride});
    }
    int64_t size = byteSize(collective.dtype);
    checkRegion(entry, action.buffers[0], in, size, where + ": in");
    checkRegion(entry, action.buffers[1], out, size, where + ": out");
    // Peers read `in` while `out` is written; an all-reduce takes care of that.
    if (collective.op != Collective::Op::AllReduce &&
        overlap(entry.buffers[action.buffers[0].buffer],
                entry.buffers[action.buffers[1].buffer]))
      error(where + ": its in and out share memory, which only an all-reduce "
                    "may");
  }

  static bool overlap(const Buffer &x, const Buffer &y) {
    auto end = [](const Buffer &buffer) {
      return buffer.offset + (buffer.slots - 1) * buffer.slotStride +
             buffer.bytes;
    };
    return x.segment >= 0 && x.segment == y.segment && x.offset < end(y) &&
           y.offset < end(x);
  }

  /// Each collective occurs once a phase, all phases alike.
  void checkPhases(const Entry &entry) {
    struct Seen {
      int action[4] = {-1, -1, -1, -1};
    };
    std::vector<Seen> seen(entry.collectives.size());
    for (size_t i = 0; i < entry.actions.size(); ++i) {
      const Action &action = entry.actions[i];
      if (action.kind != Action::Kind::Collective || action.collective < 0 ||
          action.collective >= static_cast<int>(seen.size()))
        continue;
      int &slot =
          seen[action.collective].action[static_cast<int>(action.phase)];
      if (slot >= 0)
        error(item("action", i, action.site) + ": this phase of collective " +
              std::to_string(action.collective) + " occurs twice");
      slot = static_cast<int>(i);
    }
    for (size_t c = 0; c < seen.size(); ++c) {
      std::string where = "collective " + std::to_string(c);
      bool reduces = entry.collectives[c].op == Collective::Op::AllReduce;
      const Action *post = nullptr;
      bool postRepeats = false;
      for (int phase = 0; phase < 4; ++phase) {
        int index = seen[c].action[phase];
        bool expected =
            phase != static_cast<int>(Action::Phase::Reduce) || reduces;
        if ((index >= 0) != expected) {
          error(where + (expected ? ": a phase is missing"
                                  : ": only an all-reduce has a reduce phase"));
          continue;
        }
        if (index < 0)
          continue;
        const Action &action = entry.actions[index];
        if (!post) {
          post = &action;
          postRepeats = repeats(entry, index);
          continue;
        }
        if (repeats(entry, index) != postRepeats)
          error(where + ": its phases fire differently often");
        if (!std::equal(action.buffers.begin(), action.buffers.end(),
                        post->buffers.begin(), post->buffers.end(),
                        [](const BufferRef &x, const BufferRef &y) {
                          return x.buffer == y.buffer &&
                                 x.byteOffset == y.byteOffset;
                        }))
          error(where + ": its phases use different buffers");
      }
    }
  }

  void checkEdges(const Entry &entry) {
    auto numActors = static_cast<int>(entry.actors.size());
    auto exists = [&](int actor) { return actor >= 0 && actor < numActors; };
    for (size_t i = 0; i < entry.registers.size(); ++i) {
      const Register &reg = entry.registers[i];
      std::string where = "register " + std::to_string(i);
      if (reg.buffer < 0 ||
          reg.buffer >= static_cast<int>(entry.buffers.size())) {
        error(where + ": buffer " + std::to_string(reg.buffer) +
              " does not exist");
        continue;
      }
      where = item("register", i, entry.buffers[reg.buffer].name);
      if (reg.slots < 1 || reg.slots > entry.buffers[reg.buffer].slots)
        error(where + ": has " + std::to_string(reg.slots) +
              " slots, its buffer " +
              std::to_string(entry.buffers[reg.buffer].slots));
      if (!exists(reg.producer))
        error(where + ": producer does not exist");
      for (int consumer : reg.consumers)
        if (!exists(consumer))
          error(where + ": consumer does not exist");
    }
    for (size_t i = 0; i < entry.reuseEdges.size(); ++i) {
      const ReuseEdge &edge = entry.reuseEdges[i];
      std::string where = "reuse edge " + std::to_string(i);
      if (!exists(edge.before) || !exists(edge.after))
        error(where + ": actor does not exist");
      else if (edge.distance < 0)
        error(where + ": expects a distance of at least 0");
      else if (edge.distance > 0 && !(entry.actors[edge.before].perMicroBatch &&
                                      entry.actors[edge.after].perMicroBatch))
        error(where + ": a distance needs actors that fire for each "
                      "micro-batch");
    }
  }

  void checkSchedule(const Entry &entry) {
    if (entry.schedule.size() != entry.streams.size())
      return error("has " + std::to_string(entry.streams.size()) +
                   " streams and " + std::to_string(entry.schedule.size()) +
                   " schedules");
    int64_t steps = 0;
    std::vector<int64_t> fired(entry.actors.size(), 0);
    for (size_t stream = 0; stream < entry.schedule.size(); ++stream)
      for (const ScheduleItem &scheduled : entry.schedule[stream]) {
        if (scheduled.actor < 0 ||
            scheduled.actor >= static_cast<int>(entry.actors.size()))
          return error("stream " + std::to_string(stream) + ": actor " +
                       std::to_string(scheduled.actor) + " does not exist");
        const Actor &actor = entry.actors[scheduled.actor];
        std::string where = item("actor", scheduled.actor, actor.name);
        if (actor.stream != static_cast<int>(stream))
          return error(where + ": is scheduled on another stream");
        int64_t expected = actor.perMicroBatch ? fired[scheduled.actor] : -1;
        if (scheduled.microBatch != expected)
          return error(where + ": expects micro-batch " +
                       std::to_string(expected) + " next, got " +
                       std::to_string(scheduled.microBatch));
        if (++fired[scheduled.actor] >
            (actor.perMicroBatch ? entry.microBatches : 1))
          return error(where + ": is scheduled too often");
        steps += static_cast<int64_t>(actor.actions.size());
        if (steps > maxSteps)
          return error("one step has more than " + std::to_string(maxSteps) +
                       " actions");
      }
    for (size_t i = 0; i < fired.size(); ++i)
      if (fired[i] != (entry.actors[i].perMicroBatch ? entry.microBatches : 1))
        error(item("actor", i, entry.actors[i].name) + ": is scheduled " +
              std::to_string(fired[i]) + " times, expected " +
              std::to_string(entry.actors[i].perMicroBatch ? entry.microBatches
                                                           : 1));
  }

  void checkLiveness(const Entry &entry) {
    std::string circle = findCircularWait(entry, orderEntry(entry));
    if (!circle.empty())
      error(circle);
  }

  const Plan &plan;
  std::string context;
  std::vector<std::string> errors;
  size_t suppressed = 0;
  int timeAxis = -1;
  int64_t timeSize = 1;
  std::set<std::string> variableNames;
  std::vector<int> owner; // actor of each action of the entry at hand
};

} // namespace

Status verifyPlan(const Plan &plan) { return Verifier(plan).run(); }

} // namespace weir::plan
