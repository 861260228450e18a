// SPDX-License-Identifier: Apache-2.0
#include "compiler/Driver/Report.h"
#include "compiler/Memory/StepOrder.h"
#include "compiler/Sharding/ExplainSharding.h"
#include "dialects/Actor/Actor.h"
#include "dialects/Graph/Annotations.h"
#include "dialects/Graph/Graph.h"
#include "dialects/Kernel/Kernel.h"
#include "dialects/Pipe/Pipe.h"
#include "runtime/base/Json.h"
#include "runtime/base/Strings.h"

using namespace mlir;

namespace weir::compiler {

namespace {

std::string textOf(const dist::AxisLayout &layout) {
  std::string text;
  llvm::raw_string_ostream(text) << layout;
  return text;
}

/// Whether a collective's shards can be computed: IR that a user wrote may name
/// axes that the mesh lacks, and units of no size.
bool shardsAreKnown(actor::CollectiveOp op, dist::MeshAttr mesh) {
  int64_t known = mesh ? mesh.getNumAxes() : 0;
  auto within = [&](llvm::ArrayRef<int64_t> axes) {
    return llvm::all_of(
        axes, [&](int64_t axis) { return axis >= 0 && axis < known; });
  };
  bool all = within(op.getAxes());
  for (auto dim : op.getDims().getAsRange<actor::CollectiveDimAttr>())
    all = all && within(dim.getInAxes()) && within(dim.getOutAxes()) &&
          dim.getInUnit() > 0 && dim.getOutUnit() > 0;
  return all;
}

/// Elements of a collective's local tensor: capacities of the shards.
int64_t localElements(actor::CollectiveOp op, bool output,
                      dist::MeshAttr mesh) {
  int64_t elements = 1;
  for (auto dim : op.getDims().getAsRange<actor::CollectiveDimAttr>())
    elements *=
        dist::capacityOf({dim.getLogical(),
                          llvm::SmallVector<int64_t, 2>(
                              output ? dim.getOutAxes() : dim.getInAxes()),
                          output ? dim.getOutUnit() : dim.getInUnit()},
                         mesh);
  return elements;
}

/// Elements of its new shard that every rank holds before an exchange: none,
/// where the two splits of a dimension go different ways.
int64_t keptElements(actor::CollectiveOp op, dist::MeshAttr mesh) {
  for (auto dim : op.getDims().getAsRange<actor::CollectiveDimAttr>()) {
    size_t both = std::min(dim.getInAxes().size(), dim.getOutAxes().size());
    if (both && (dim.getInUnit() != dim.getOutUnit() ||
                 dim.getInShift() != dim.getOutShift()))
      return 0;
    if (dim.getInAxes().take_front(both) != dim.getOutAxes().take_front(both))
      return 0;
  }
  int64_t elements = 1;
  for (auto dim : op.getDims().getAsRange<actor::CollectiveDimAttr>()) {
    auto sizeOf = [&](ArrayRef<int64_t> axes, int64_t unit) {
      return dist::capacityOf(
          {dim.getLogical(), llvm::SmallVector<int64_t, 2>(axes), unit}, mesh);
    };
    elements *= std::min(sizeOf(dim.getInAxes(), dim.getInUnit()),
                         sizeOf(dim.getOutAxes(), dim.getOutUnit()));
  }
  return elements;
}

} // namespace

OpCounts countOps(ModuleOp module) {
  OpCounts counts;
  module.walk([&](Operation *op) {
    if (op != module.getOperation())
      ++counts[op->getName().getStringRef().str()];
  });
  return counts;
}

void Report::add(Phase phase, ModuleOp module) {
  counts.push_back({phase, countOps(module)});
  if (phase == Phase::Plan) {
    addSearch(module);
    addLayouts(module);
  }
  if (phase == Phase::Kernels)
    addKernels(module);
  if (phase == Phase::Memory) {
    addCollectives(module);
    addMemory(module);
  }
}

void Report::addSearch(ModuleOp module) {
  auto entries = module->getAttrOfType<DictionaryAttr>(layoutSearchAttr);
  if (!entries)
    return;
  JsonWriter json;
  json.beginArray();
  for (NamedAttribute entry : entries) {
    auto figures = llvm::dyn_cast<DictionaryAttr>(entry.getValue());
    if (!figures)
      continue;
    json.beginObject().member("entry", entry.getName().str());
    for (NamedAttribute figure : figures) {
      if (auto number = llvm::dyn_cast<FloatAttr>(figure.getValue()))
        json.member(figure.getName().str(), number.getValueAsDouble());
      else if (auto count = llvm::dyn_cast<IntegerAttr>(figure.getValue()))
        json.member(figure.getName().str(), count.getInt());
    }
    json.endObject();
  }
  json.endArray();
  sections.push_back({"layout_search", json.take()});
}

void Report::addLayouts(ModuleOp module) {
  dist::MeshAttr mesh = dist::getMesh(module);
  LayoutOrigins origins(module);
  JsonWriter json;
  json.beginArray();
  for (graph::VariableOp variable : module.getOps<graph::VariableOp>()) {
    auto layout = variable->getAttrOfType<dist::LayoutAttr>(
        dist::DistDialect::getLayoutAttrName());
    json.beginObject();
    std::string name = variable.getSymName().str();
    json.member("variable", name);
    RankedTensorType type = variable.getTensorType();
    json.key("shape").list(
        std::vector<int64_t>(type.getShape().begin(), type.getShape().end()));
    json.key("layout").beginArray();
    if (mesh && layout)
      for (auto [i, entry] : llvm::enumerate(layout.getAxes())) {
        std::string axis = mesh.getNames()[i].str();
        json.beginObject();
        json.member("axis", axis);
        json.member("is", textOf(entry));
        json.member("decided_by", origins.of(variable, i));
        json.endObject();
      }
    json.endArray();
    json.endObject();
  }
  json.endArray();
  sections.push_back({"layouts", json.take()});
}

void Report::addKernels(ModuleOp module) {
  std::map<std::string, std::map<std::string, int64_t>> launches;
  std::map<std::string, int64_t> contractions;
  for (pipe::ProgramOp program : module.getOps<pipe::ProgramOp>()) {
    std::string entry = program.getEntry().str();
    contractions[entry] = 0;
    program.walk([&](Operation *op) {
      if (auto launch = llvm::dyn_cast<kernel::LaunchOp>(op))
        ++launches[launch.getKernel().str()][entry];
      else if (llvm::isa<kernel::ContractOp>(op))
        ++contractions[entry];
    });
  }
  JsonWriter json;
  json.beginArray();
  for (kernel::FuncOp func : module.getOps<kernel::FuncOp>()) {
    int64_t pieces = 0;
    for (Operation &op : func.getBody().front())
      pieces += !op.hasTrait<OpTrait::IsTerminator>();
    json.beginObject();
    std::string name = func.getSymName().str();
    json.member("kernel", name);
    json.member("pieces", pieces);
    json.member("chunks", static_cast<int64_t>(func.getChunks()));
    json.key("launches").beginObject();
    for (const auto &[entry, count] : launches[name])
      json.member(entry, count);
    json.endObject();
    json.endObject();
  }
  json.endArray();
  sections.push_back({"kernels", json.take()});
  JsonWriter products;
  products.beginObject();
  for (const auto &[entry, count] : contractions)
    products.member(entry, count);
  products.endObject();
  sections.push_back({"contractions", products.take()});
}

void Report::addCollectives(ModuleOp module) {
  dist::MeshAttr mesh = dist::getMesh(module);
  JsonWriter json;
  json.beginArray();
  module.walk([&](actor::EntryOp entry) {
    for (auto actorOp : entry.getBody().getOps<actor::ActorOp>())
      for (auto phase : actorOp.getBody().getOps<actor::PhaseOp>()) {
        if (phase.getPhase() != actor::Phase::Post)
          continue;
        auto op = phase.getCollective().getDefiningOp<actor::CollectiveOp>();
        // IR that a user edited may name axes that there are not: what comes
        // from it is refused when the plan is checked.
        if (!shardsAreKnown(op, mesh))
          continue;
        int64_t size = (op.getType().getIntOrFloatBitWidth() + 7) / 8;
        int64_t in = localElements(op, false, mesh) * size;
        int64_t out = localElements(op, true, mesh) * size;
        int64_t group = 1;
        std::vector<std::string> axes;
        for (int64_t axis : op.getAxes()) {
          group *= mesh.getSizes()[axis];
          axes.push_back(mesh.getNames()[axis].str());
        }
        // What a rank receives at least, the largest shard.
        int64_t received = 0;
        switch (op.getKind()) {
        case actor::CollectiveKind::AllReduce:
          received = 2 * (in - in / group);
          break;
        case actor::CollectiveKind::AllGather:
          received = out - out / group;
          break;
        case actor::CollectiveKind::ReduceScatter:
        case actor::CollectiveKind::AllToAll:
          received = in - in / group;
          break;
        case actor::CollectiveKind::Exchange:
          received = out - keptElements(op, mesh) * size;
          break;
        }
        json.beginObject();
        json.member("entry", entry.getName().str());
        json.member("site", phase.getSite().str());
        json.member("op", actor::stringifyCollectiveKind(op.getKind()).str());
        json.key("axes").list(axes);
        json.member("bytes_in", in);
        json.member("bytes_out", out);
        json.member("bytes_received", received);
        json.member("times", actorOp.getPerMicroBatch()
                                 ? int64_t(entry.getMicroBatches())
                                 : int64_t(1));
        json.endObject();
      }
  });
  json.endArray();
  sections.push_back({"collectives", json.take()});
}

void Report::addMemory(ModuleOp module) {
  JsonWriter json;
  json.beginObject();
  json.key("segments").beginArray();
  module.walk([&](actor::SegmentOp segment) {
    json.beginObject();
    json.member("name", segment.getName().str());
    json.member("kind", actor::stringifySegmentKind(segment.getKind()).str());
    json.member("bytes", segment.getBytes());
    json.endObject();
  });
  json.endArray();
  json.key("entries").beginArray();
  module.walk([&](actor::EntryOp entry) {
    EntryMemory memory = measureMemory(entry);
    int64_t numActions = 0, numActors = 0, numEdges = 0, numRegisters = 0;
    entry.walk([&](Operation *op) {
      numActors += llvm::isa<actor::ActorOp>(op);
      numEdges += llvm::isa<actor::ReuseOp>(op);
      numRegisters += llvm::isa<actor::RegisterOp>(op);
      numActions += llvm::isa<actor::KernelOp, actor::ContractOp,
                              actor::PhaseOp, actor::FillOp>(op);
    });
    json.beginObject();
    json.member("entry", entry.getName().str());
    json.member("buffers", memory.numBuffers);
    json.member("high_water", memory.highWater);
    json.member("live_lower_bound", memory.live);
    json.member("actions", numActions);
    json.member("actors", numActors);
    json.member("registers", numRegisters);
    json.member("reuse_edges", numEdges);
    json.endObject();
  });
  json.endArray();
  json.endObject();
  sections.push_back({"memory", json.take()});
}

std::string Report::text() const {
  JsonWriter json;
  json.beginObject();
  json.member("format", 1);
  json.member("name", options.job.name);
  json.member("mesh", formatMesh(options.job.mesh));
  json.member("micro_batches", options.job.microBatches);
  json.key("phases").beginArray();
  for (const auto &[phase, ops] : counts) {
    json.beginObject();
    json.member("phase", phaseName(phase));
    int64_t total = 0;
    for (const auto &[name, count] : ops)
      total += count;
    json.member("ops", total);
    json.key("by_name").beginObject();
    for (const auto &[name, count] : ops)
      json.member(name, count);
    json.endObject();
    json.endObject();
  }
  json.endArray();
  for (const auto &[name, section] : sections)
    json.key(name).raw(trim(section));
  json.endObject();
  return json.take();
}

} // namespace weir::compiler
