// SPDX-License-Identifier: Apache-2.0
#include "tools/weir-inspect/Describe.h"
#include "runtime/base/Format.h"
#include "runtime/base/Json.h"
#include "runtime/base/Strings.h"
#include "runtime/plan/Order.h"

#include <algorithm>
#include <array>

namespace weir {

using namespace plan;

namespace {

const char *kindName(Segment::Kind kind) {
  switch (kind) {
  case Segment::Kind::Parameters:
    return "parameters";
  case Segment::Kind::State:
    return "state";
  case Segment::Kind::Step:
    return "step";
  case Segment::Kind::Workspace:
    return "workspace";
  }
  return "";
}

const char *kindName(Variable::Kind kind) {
  switch (kind) {
  case Variable::Kind::Parameter:
    return "parameter";
  case Variable::Kind::OptimizerState:
    return "optimizer_state";
  case Variable::Kind::Cache:
    return "cache";
  case Variable::Kind::Counter:
    return "counter";
  }
  return "";
}

const char *opName(Collective::Op op) {
  switch (op) {
  case Collective::Op::AllReduce:
    return "all_reduce";
  case Collective::Op::AllGather:
    return "all_gather";
  case Collective::Op::ReduceScatter:
    return "reduce_scatter";
  case Collective::Op::AllToAll:
    return "all_to_all";
  case Collective::Op::Exchange:
    return "exchange";
  }
  return "";
}

const char *kindName(Action::Kind kind) {
  switch (kind) {
  case Action::Kind::Kernel:
    return "kernel";
  case Action::Kind::Contract:
    return "contract";
  case Action::Kind::Collective:
    return "collective";
  case Action::Kind::Fill:
    return "fill";
  }
  return "";
}

std::string shapeText(const std::vector<int64_t> &shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i)
    text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + "]";
}

std::string typeText(DType dtype, const std::vector<int64_t> &shape) {
  return std::string(name(dtype)) + shapeText(shape);
}

std::vector<int64_t> logicalShape(const TensorLayout &layout) {
  std::vector<int64_t> shape;
  for (const DimLayout &dim : layout.dims)
    shape.push_back(dim.size);
  return shape;
}

std::string meshText(const std::vector<plan::MeshAxis> &mesh) {
  std::string text;
  for (const plan::MeshAxis &axis : mesh)
    if (!axis.time)
      text += (text.empty() ? "" : ",") + axis.name + "=" +
              std::to_string(axis.size);
  return text;
}

std::string axesText(const std::vector<int> &axes,
                     const std::vector<plan::MeshAxis> &mesh) {
  std::vector<std::string> names;
  for (int axis : axes)
    names.push_back(mesh[axis].name);
  return join(names, ",");
}

/// What one collective moves.
struct CollectiveInfo {
  const Collective *collective = nullptr;
  std::string site;
  /// How often it runs in a step.
  int64_t times = 0;
  /// The largest part that one rank puts in and gets out, in bytes.
  int64_t inBytes = 0, outBytes = 0;
  /// Received by one rank each time, at least: what no algorithm can avoid with
  /// these parts.
  int64_t receivedBytes = 0;
};

int64_t shardSize(int64_t size, const std::vector<int> &axes, int64_t unit,
                  const std::vector<plan::MeshAxis> &mesh) {
  return plan::largestValue({plan::ScalarExpr::Kind::Extent, size, axes, unit},
                            mesh);
}

/// What every rank holds of its new shard before an exchange: nothing, where
/// the two splits of a dimension go different ways.
int64_t keptBytes(const Collective &collective,
                  const std::vector<plan::MeshAxis> &mesh) {
  int64_t bytes = byteSize(collective.dtype);
  for (const plan::CollectiveDim &dim : collective.dims) {
    size_t both = std::min(dim.inAxes.size(), dim.outAxes.size());
    if (both && (dim.inUnit != dim.outUnit || dim.inShift != dim.outShift ||
                 !std::equal(dim.inAxes.begin(), dim.inAxes.begin() + both,
                             dim.outAxes.begin())))
      return 0;
    bytes *= std::min(shardSize(dim.logical, dim.inAxes, dim.inUnit, mesh),
                      shardSize(dim.logical, dim.outAxes, dim.outUnit, mesh));
  }
  return bytes;
}

std::vector<CollectiveInfo> collectivesOf(const Plan &plan,
                                          const Entry &entry) {
  std::vector<CollectiveInfo> infos(entry.collectives.size());
  for (size_t i = 0; i < infos.size(); ++i) {
    const Collective &collective = entry.collectives[i];
    CollectiveInfo &info = infos[i];
    info.collective = &collective;
    int64_t group = 1;
    for (int axis : collective.axes)
      group *= plan.mesh[axis].size;
    info.inBytes = info.outBytes = byteSize(collective.dtype);
    for (const CollectiveDim &dim : collective.dims) {
      info.inBytes *= shardSize(dim.logical, dim.inAxes, dim.inUnit, plan.mesh);
      info.outBytes *=
          shardSize(dim.logical, dim.outAxes, dim.outUnit, plan.mesh);
    }
    switch (collective.op) {
    case Collective::Op::AllReduce:
      info.receivedBytes = 2 * (info.inBytes - info.inBytes / group);
      break;
    case Collective::Op::AllGather:
      info.receivedBytes = info.outBytes - info.inBytes;
      break;
    case Collective::Op::ReduceScatter:
      info.receivedBytes = info.inBytes - info.outBytes;
      break;
    case Collective::Op::AllToAll:
      info.receivedBytes = info.outBytes - info.outBytes / group;
      break;
    case Collective::Op::Exchange:
      info.receivedBytes = info.outBytes - keptBytes(collective, plan.mesh);
      break;
    }
  }
  for (const Actor &actor : entry.actors)
    for (int index : actor.actions) {
      const Action &action = entry.actions[index];
      if (action.kind != Action::Kind::Collective ||
          action.phase != Action::Phase::Post)
        continue;
      infos[action.collective].site = action.site;
      infos[action.collective].times +=
          actor.perMicroBatch ? entry.microBatches : 1;
    }
  return infos;
}

/// The end of the highest place that is used in each segment.
std::vector<int64_t> highWater(const Plan &plan, const Entry *entry) {
  std::vector<int64_t> high(plan.segments.size(), 0);
  if (entry) {
    for (const Buffer &buffer : entry->buffers)
      if (buffer.segment >= 0)
        high[buffer.segment] =
            std::max(high[buffer.segment],
                     buffer.offset + (buffer.slots - 1) * buffer.slotStride +
                         buffer.bytes);
    return high;
  }
  for (const Variable &variable : plan.variables) {
    int64_t bytes = byteSize(variable.layout.dtype);
    for (const DimLayout &dim : variable.layout.dims)
      bytes *= dim.capacity;
    high[variable.segment] =
        std::max(high[variable.segment], variable.offset + bytes);
  }
  for (const Entry &e : plan.entries) {
    std::vector<int64_t> own = highWater(plan, &e);
    for (size_t i = 0; i < own.size(); ++i)
      high[i] = std::max(high[i], own[i]);
  }
  return high;
}

struct EntryCounts {
  std::array<int64_t, 4> actions = {}; // by Action::Kind
  int64_t kernels = 0;                 // distinct symbols
};

EntryCounts countActions(const Entry &entry) {
  EntryCounts counts;
  std::vector<std::string_view> symbols;
  for (const Action &action : entry.actions) {
    ++counts.actions[static_cast<int>(action.kind)];
    if (action.kind == Action::Kind::Kernel)
      symbols.push_back(action.symbol);
  }
  std::sort(symbols.begin(), symbols.end());
  counts.kernels =
      std::unique(symbols.begin(), symbols.end()) - symbols.begin();
  return counts;
}

bool wanted(const Entry &entry, const DescribeOptions &options) {
  return options.entry.empty() || entry.name == options.entry;
}

std::string padded(std::string text, size_t width) {
  if (text.size() < width)
    text.append(width - text.size(), ' ');
  return text;
}

std::string signature(const std::vector<Binding> &bindings) {
  std::vector<std::string> parts;
  for (const Binding &binding : bindings)
    parts.push_back(binding.name + " " +
                    (binding.shape.empty()
                         ? std::string(name(binding.dtype))
                         : typeText(binding.dtype, binding.shape)));
  return join(parts, ", ");
}

std::string actionText(const Entry &entry, const Action &action) {
  std::string text = padded(kindName(action.kind), 11);
  text += describeAction(action);
  if (action.kind == Action::Kind::Kernel) {
    text += "  " + action.symbol;
    if (action.chunks > 1)
      text += "  " + std::to_string(action.chunks) + " chunks";
  }
  if (action.kind == Action::Kind::Contract) {
    auto extent = [&](const ContractDim &dim) {
      return std::to_string(entry.scalars[dim.scalar].size);
    };
    text += "  m=" + extent(action.contract.m) +
            " n=" + extent(action.contract.n) +
            " k=" + extent(action.contract.k);
    for (const ContractDim &dim : action.contract.loops)
      text += " x" + extent(dim);
    if (action.contract.accumulate)
      text += "  accumulates";
  }
  return text;
}

void describeEntry(std::string &out, const Plan &plan, const Entry &entry,
                   const DescribeOptions &options) {
  EntryCounts counts = countActions(entry);
  out += "\nentry " + entry.name;
  if (entry.microBatches > 1)
    out += " (" + std::to_string(entry.microBatches) + " micro-batches)";
  out += "\n  inputs   " + signature(entry.inputs);
  out += "\n  outputs  " + signature(entry.outputs);
  out += "\n  actions  " + std::to_string(entry.actions.size()) + ": " +
         std::to_string(counts.actions[0]) + " kernel (" +
         std::to_string(counts.kernels) + " distinct), " +
         std::to_string(counts.actions[1]) + " contract, " +
         std::to_string(counts.actions[2]) + " collective phases, " +
         std::to_string(counts.actions[3]) + " fill";
  out += "\n  order    " + std::to_string(entry.actors.size()) + " actors, " +
         std::to_string(entry.registers.size()) + " registers, " +
         std::to_string(entry.reuseEdges.size()) + " reuse edges; firings";
  for (size_t i = 0; i < entry.streams.size(); ++i)
    out += std::string(i ? "," : "") + " " + entry.streams[i] + " " +
           std::to_string(entry.schedule[i].size());
  out += "\n";

  std::vector<CollectiveInfo> infos = collectivesOf(plan, entry);
  if (!infos.empty()) {
    // One line for each kind of collective: hundreds share a few.
    struct Line {
      std::string what;
      int64_t times = 0, bytes = 0, received = 0;
    };
    std::vector<Line> lines;
    for (const CollectiveInfo &info : infos) {
      std::string what = padded(opName(info.collective->op), 15) +
                         axesText(info.collective->axes, plan.mesh);
      auto found =
          std::find_if(lines.begin(), lines.end(),
                       [&](const Line &line) { return line.what == what; });
      if (found == lines.end())
        found = lines.insert(lines.end(), Line{what, 0, 0, 0});
      found->times += info.times;
      found->bytes += info.times * info.inBytes;
      found->received += info.times * info.receivedBytes;
    }
    out += "  collectives of one step (a rank puts in, receives at least)\n";
    for (const Line &line : lines)
      out += "    " + padded(line.what, 24) + "x" +
             padded(std::to_string(line.times), 7) +
             padded(formatBytes(line.bytes), 12) + formatBytes(line.received) +
             "\n";
  }
  std::vector<int64_t> high = highWater(plan, &entry);
  out += "  memory  ";
  for (size_t i = 0; i < high.size(); ++i)
    if (high[i])
      out += " " + plan.segments[i].name + " up to " + formatBytes(high[i]) +
             (i + 1 < high.size() ? "," : "");
  if (out.back() == ',')
    out.pop_back();
  out += "\n";

  if (!options.actions)
    return;
  EntryOrder order = orderEntry(entry);
  for (size_t stream = 0; stream < order.streams.size(); ++stream) {
    out += "  stream " + entry.streams[stream] + "\n";
    for (size_t i = 0; i < order.streams[stream].size(); ++i) {
      const OrderStep &step = order.streams[stream][i];
      std::string at = std::to_string(i);
      if (entry.microBatches > 1)
        at += "." + std::to_string(step.microBatch);
      out += "    " + padded(at, 8) +
             actionText(entry, entry.actions[step.action]);
      for (int w = 0; w < step.numWaits; ++w) {
        const Wait &wait = order.waits[step.firstWait + w];
        out += "  <- " + entry.streams[wait.stream] + ":" +
               std::to_string(wait.position);
      }
      out += "\n";
    }
  }
}

int64_t segmentBytes(const Plan &plan) {
  int64_t bytes = 0;
  for (const Segment &segment : plan.segments)
    bytes += segment.bytes;
  return bytes;
}

} // namespace

std::string layoutText(const TensorLayout &layout,
                       const std::vector<plan::MeshAxis> &mesh) {
  std::vector<std::string> parts;
  for (size_t axis = 0; axis < mesh.size(); ++axis) {
    if (mesh[axis].time)
      continue;
    std::string part = "B";
    for (size_t d = 0; d < layout.dims.size(); ++d)
      for (int split : layout.dims[d].axes)
        if (split == static_cast<int>(axis))
          part = "S(" + std::to_string(d) + ")";
    for (int partial : layout.partialAxes)
      if (partial == static_cast<int>(axis))
        part = "P(sum)";
    parts.push_back(part);
  }
  return parts.empty() ? "" : "[" + join(parts, ", ") + "]";
}

std::string describeText(const ArtifactReader &artifact, const Plan &plan,
                         const DescribeOptions &options) {
  const Manifest &manifest = artifact.manifest();
  std::string out = artifact.path() + "\n";
  out += "  format " + std::to_string(manifest.formatVersion) + ", made by " +
         (manifest.producer.empty() ? "an unnamed producer"
                                    : printable(manifest.producer)) +
         "\n";
  std::string mesh = meshText(plan.mesh);
  out += "  mesh " + (mesh.empty() ? "of one device" : mesh) + ", " +
         std::to_string(plan.numRanks()) +
         (plan.numRanks() == 1 ? " rank, " : " ranks, ") +
         std::to_string(plan.teamSize) +
         (plan.teamSize == 1 ? " thread a rank\n" : " threads a rank\n");
  for (const auto &[key, value] : manifest.properties)
    out += "  " + printable(key) + ": " + printable(value) + "\n";

  out += "\nkernels\n";
  if (manifest.kernels.empty())
    out += "  none\n";
  for (const KernelMember &kernel : manifest.kernels) {
    int64_t bytes = 0;
    for (const ZipEntry &member : artifact.members())
      if (member.name == kernel.member)
        bytes = member.size;
    out += "  " + kernel.member + "  " + kernel.architecture + "  " +
           formatBytes(bytes) + "\n";
    if (!kernel.features.empty())
      out += "    needs " + join(kernel.features, " ") + "\n";
  }

  for (const Entry &entry : plan.entries)
    if (wanted(entry, options))
      describeEntry(out, plan, entry, options);

  int64_t each = segmentBytes(plan);
  out += "\nmemory of a rank: " + formatBytes(each) +
         "; of all: " + formatBytes(each * plan.numRanks()) + "\n";
  std::vector<int64_t> high = highWater(plan, nullptr);
  for (size_t i = 0; i < plan.segments.size(); ++i) {
    const Segment &segment = plan.segments[i];
    out += "  " + padded(segment.name, 16) +
           padded(kindName(segment.kind), 12) +
           padded(formatBytes(segment.bytes), 12) + "used up to " +
           formatGrouped(high[i]) + " of " + formatGrouped(segment.bytes) +
           " bytes\n";
  }

  int64_t parameters = 0, elements = 0, others = 0;
  size_t width = 0;
  for (const Variable &variable : plan.variables) {
    if (variable.kind == Variable::Kind::Parameter) {
      ++parameters;
      elements += elementCount(logicalShape(variable.layout));
    } else {
      ++others;
    }
    if (variable.kind == Variable::Kind::Parameter || options.allVariables)
      width = std::max(width, variable.name.size());
  }
  out += "\nvariables: " + std::to_string(parameters) + " parameters of " +
         formatGrouped(elements) + " elements, " + std::to_string(others) +
         " others\n";
  for (const Variable &variable : plan.variables) {
    if (variable.kind != Variable::Kind::Parameter && !options.allVariables)
      continue;
    out += "  " + padded(printable(variable.name), width + 2) +
           typeText(variable.layout.dtype, logicalShape(variable.layout));
    std::string layout = layoutText(variable.layout, plan.mesh);
    if (!layout.empty())
      out += "  " + layout;
    if (variable.kind != Variable::Kind::Parameter)
      out += std::string("  ") + kindName(variable.kind);
    if (!variable.storedName.empty())
      out += "  stored as " + printable(variable.storedName) + " " +
             shapeText(variable.storedShape);
    out += "\n";
  }
  if (others && !options.allVariables)
    out += "  (--variables lists the others too)\n";

  out += "\nmembers\n";
  for (const ZipEntry &member : artifact.members())
    out += "  " + padded(member.name, 32) + formatBytes(member.size) + "\n";
  return out;
}

static void writeBindings(JsonWriter &json, const char *key,
                          const std::vector<Binding> &bindings) {
  json.key(key).beginArray();
  for (const Binding &binding : bindings) {
    json.beginObject()
        .member("name", binding.name)
        .member("type", name(binding.dtype))
        .key("shape")
        .list(binding.shape)
        .endObject();
  }
  json.endArray();
}

static std::vector<std::string>
axisNames(const std::vector<int> &axes,
          const std::vector<plan::MeshAxis> &mesh) {
  std::vector<std::string> names;
  for (int axis : axes)
    names.push_back(mesh[axis].name);
  return names;
}

std::string describeJson(const ArtifactReader &artifact, const Plan &plan,
                         const DescribeOptions &options) {
  const Manifest &manifest = artifact.manifest();
  JsonWriter json;
  json.beginObject()
      .member("path", artifact.path())
      .member("format", manifest.formatVersion)
      .member("schema", manifest.schemaHash)
      .member("producer", manifest.producer)
      .member("ranks", plan.numRanks())
      .member("threads_per_rank", plan.teamSize);
  json.key("mesh").beginArray();
  for (const plan::MeshAxis &axis : plan.mesh)
    json.beginObject()
        .member("name", axis.name)
        .member("size", axis.size)
        .member("time", axis.time)
        .endObject();
  json.endArray();
  json.key("properties").beginObject();
  for (const auto &[key, value] : manifest.properties)
    json.member(key, value);
  json.endObject();

  json.key("kernels").beginArray();
  for (const KernelMember &kernel : manifest.kernels)
    json.beginObject()
        .member("member", kernel.member)
        .member("architecture", kernel.architecture)
        .key("features")
        .list(kernel.features)
        .endObject();
  json.endArray();

  json.key("entries").beginArray();
  for (const Entry &entry : plan.entries) {
    if (!wanted(entry, options))
      continue;
    EntryCounts counts = countActions(entry);
    json.beginObject()
        .member("name", entry.name)
        .member("micro_batches", entry.microBatches);
    writeBindings(json, "inputs", entry.inputs);
    writeBindings(json, "outputs", entry.outputs);
    json.key("actions").beginObject();
    for (int kind = 0; kind < 4; ++kind)
      json.member(kindName(static_cast<Action::Kind>(kind)),
                  counts.actions[kind]);
    json.endObject();
    json.member("distinct_kernels", counts.kernels)
        .member("actors", static_cast<int64_t>(entry.actors.size()))
        .member("registers", static_cast<int64_t>(entry.registers.size()))
        .member("reuse_edges", static_cast<int64_t>(entry.reuseEdges.size()));
    json.key("streams").beginArray();
    for (size_t i = 0; i < entry.streams.size(); ++i)
      json.beginObject()
          .member("name", entry.streams[i])
          .member("firings", static_cast<int64_t>(entry.schedule[i].size()))
          .endObject();
    json.endArray();
    json.key("collectives").beginArray();
    for (const CollectiveInfo &info : collectivesOf(plan, entry))
      json.beginObject()
          .member("kind", opName(info.collective->op))
          .member("site", info.site)
          .key("axes")
          .list(axisNames(info.collective->axes, plan.mesh))
          .member("times", info.times)
          .member("in_bytes", info.inBytes)
          .member("out_bytes", info.outBytes)
          .member("received_bytes", info.receivedBytes)
          .endObject();
    json.endArray();
    std::vector<int64_t> high = highWater(plan, &entry);
    json.key("high_water").beginObject();
    for (size_t i = 0; i < high.size(); ++i)
      json.member(plan.segments[i].name, high[i]);
    json.endObject();
    if (options.actions) {
      EntryOrder order = orderEntry(entry);
      json.key("order").beginArray();
      for (size_t stream = 0; stream < order.streams.size(); ++stream)
        for (const OrderStep &step : order.streams[stream])
          json.beginObject()
              .member("stream", entry.streams[stream])
              .member("kind", kindName(entry.actions[step.action].kind))
              .member("site", describeAction(entry.actions[step.action]))
              .member("symbol", entry.actions[step.action].symbol)
              .member("micro_batch", step.microBatch)
              .endObject();
      json.endArray();
    }
    json.endObject();
  }
  json.endArray();

  std::vector<int64_t> high = highWater(plan, nullptr);
  json.key("segments").beginArray();
  for (size_t i = 0; i < plan.segments.size(); ++i)
    json.beginObject()
        .member("name", plan.segments[i].name)
        .member("kind", kindName(plan.segments[i].kind))
        .member("bytes", plan.segments[i].bytes)
        .member("high_water", high[i])
        .endObject();
  json.endArray();
  json.member("bytes_per_rank", segmentBytes(plan))
      .member("bytes", segmentBytes(plan) * plan.numRanks());

  json.key("variables").beginArray();
  for (const Variable &variable : plan.variables) {
    json.beginObject()
        .member("name", variable.name)
        .member("kind", kindName(variable.kind))
        .member("type", name(variable.layout.dtype))
        .key("shape")
        .list(logicalShape(variable.layout))
        .member("layout", layoutText(variable.layout, plan.mesh))
        .member("segment", plan.segments[variable.segment].name)
        .member("offset", variable.offset);
    if (!variable.storedName.empty())
      json.member("stored_name", variable.storedName)
          .key("stored_shape")
          .list(variable.storedShape);
    json.endObject();
  }
  json.endArray();

  json.key("members").beginArray();
  for (const ZipEntry &member : artifact.members())
    json.beginObject()
        .member("name", member.name)
        .member("bytes", static_cast<uint64_t>(member.size))
        .endObject();
  json.endArray();
  json.endObject();
  return json.take();
}

} // namespace weir
