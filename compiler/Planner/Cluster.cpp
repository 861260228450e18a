// SPDX-License-Identifier: Apache-2.0
#include "compiler/Planner/Cluster.h"
#include "runtime/base/Json.h"

#include <algorithm>
#include <cmath>

using namespace weir;
using namespace weir::compiler;
using Kind = ReshardStep::Kind;

Cluster Cluster::host(int64_t devices) {
  // A core with AVX-512 (docs/benchmarks.md has the products that reach this).
  // A message costs two hand-overs between threads; what a rank receives it
  // copies itself, with one read and one write of memory.
  Cluster cluster;
  cluster.name = "host";
  cluster.devices = devices;
  cluster.memory = 8e9;
  cluster.memoryBandwidth = 2e10;
  cluster.flops = {{"bf16", 2e11}, {"f32", 1e11}, {"f64", 5e10}};
  cluster.levels = {{"memory", devices, 2e-6, 8e9}};
  return cluster;
}

Cluster Cluster::nodes(int64_t devices, int64_t devicesPerNode) {
  // NVIDIA H100 SXM5 (data sheet, 2023): 80 GB at 3.35 TB/s; dense tensor-core
  // rates 989 TFLOPS bf16 and f16, 494 tf32 (half of the figures with
  // sparsity), 67 f32 and f64; NVLink 900 GB/s in both directions together. DGX
  // H100 (data sheet): one 400 Gb/s port a GPU. Latencies: NCCL 2.2x,
  // src/graph/tuning.cc, hwLat, ring with the simple protocol.
  Cluster cluster;
  cluster.name = "h100-nodes";
  cluster.devices = devices;
  cluster.memory = 80e9;
  cluster.memoryBandwidth = 3.35e12;
  cluster.flops = {{"bf16", 989e12},
                   {"f16", 989e12},
                   {"f32", 67e12},
                   {"f64", 67e12},
                   {"tf32", 494e12}};
  int64_t inner = std::min(devices, devicesPerNode);
  cluster.levels = {{"nvlink", inner, 3.4e-6, 450e9}};
  if (devices > inner)
    cluster.levels.push_back(
        {"network", (devices + inner - 1) / inner, 14e-6, 50e9});
  return cluster;
}

llvm::Expected<Cluster> Cluster::of(mlir::ModuleOp module) {
  dist::MeshAttr mesh = dist::getMesh(module);
  int64_t ranks = mesh ? mesh.getNumRanks() : 1;
  mlir::Attribute text =
      module->getAttr(dist::DistDialect::getClusterAttrName());
  if (!text)
    return host(ranks);
  auto json = llvm::dyn_cast<mlir::StringAttr>(text);
  if (!json)
    return llvm::createStringError("expects 'dist.cluster' to be the text of a "
                                   "cluster file");
  llvm::Expected<Cluster> cluster = parse(json.getValue(), "dist.cluster");
  if (cluster && cluster->devices < ranks)
    return llvm::createStringError("expects a cluster of at least as many "
                                   "devices as the mesh has ranks, " +
                                   std::to_string(ranks) + ", got " +
                                   std::to_string(cluster->devices));
  return cluster;
}

double Cluster::flopsOf(llvm::StringRef type) const {
  auto found = flops.find(type.str());
  return found != flops.end() ? found->second : flops.at("f32");
}

//===----------------------------------------------------------------------===//
// Reading
//===----------------------------------------------------------------------===//

namespace {

/// A number above (or, where zero is allowed, not below) zero.
StatusOr<double> positive(const JsonView &view, const char *key,
                          bool allowZero = false) {
  StatusOr<JsonView> member = view.at(key);
  if (!member)
    return member.status();
  StatusOr<double> number = member->asNumber();
  if (!number)
    return number;
  if (*number < 0 || (*number == 0 && !allowZero))
    return member->error(allowZero ? "expects a number of at least 0"
                                   : "expects a number above 0");
  return number;
}

StatusOr<LinkLevel> parseLevel(const JsonView &view) {
  WEIR_RETURN_IF_ERROR(
      view.expectKeys({"name", "size", "latency", "bandwidth"}));
  LinkLevel level;
  WEIR_ASSIGN_OR_RETURN(level.name, view.string("name"));
  WEIR_ASSIGN_OR_RETURN(level.size, view.integer("size", 1));
  WEIR_ASSIGN_OR_RETURN(level.latency, positive(view, "latency", true));
  WEIR_ASSIGN_OR_RETURN(level.bandwidth, positive(view, "bandwidth"));
  return level;
}

StatusOr<Cluster> parseCluster(llvm::StringRef json, const std::string &name) {
  StatusOr<JsonView> root = parseJson({json.data(), json.size()}, name);
  if (!root)
    return root.status();
  WEIR_RETURN_IF_ERROR(root->expectKeys(
      {"name", "devices", "memory", "memory_bandwidth", "flops", "levels"}));
  Cluster cluster;
  WEIR_ASSIGN_OR_RETURN(cluster.name, root->string("name"));
  WEIR_ASSIGN_OR_RETURN(cluster.devices, root->integer("devices", 1));
  WEIR_ASSIGN_OR_RETURN(cluster.memory, positive(*root, "memory"));
  WEIR_ASSIGN_OR_RETURN(cluster.memoryBandwidth,
                        positive(*root, "memory_bandwidth"));
  StatusOr<JsonView> flops = root->at("flops");
  if (!flops)
    return flops.status();
  WEIR_RETURN_IF_ERROR(flops->expectObject());
  for (const std::string &type : flops->keys()) {
    StatusOr<double> rate = positive(*flops, type.c_str());
    if (!rate)
      return rate.status();
    cluster.flops[type] = *rate;
  }
  if (!cluster.flops.count("f32"))
    return flops->error("expects a figure for 'f32', by which element types "
                        "without one are judged");
  StatusOr<JsonView> levels = root->at("levels");
  if (!levels)
    return levels.status();
  WEIR_RETURN_IF_ERROR(levels->expectArray());
  int64_t product = 1;
  for (size_t i = 0; i < levels->size(); ++i) {
    StatusOr<LinkLevel> level = parseLevel((*levels)[i]);
    if (!level)
      return level.status();
    if (level->size > cluster.devices / product)
      return levels->error("expects sizes that multiply to 'devices', " +
                           std::to_string(cluster.devices) +
                           ", got more; list the innermost links first");
    product *= level->size;
    cluster.levels.push_back(*level);
  }
  if (product != cluster.devices)
    return levels->error("expects sizes that multiply to 'devices', " +
                         std::to_string(cluster.devices) + ", got " +
                         std::to_string(product));
  return cluster;
}

} // namespace

llvm::Expected<Cluster> Cluster::parse(llvm::StringRef json,
                                       llvm::StringRef name) {
  StatusOr<Cluster> cluster = parseCluster(json, name.str());
  if (!cluster)
    return llvm::createStringError(cluster.status().message());
  return std::move(*cluster);
}

//===----------------------------------------------------------------------===//
// CollectiveCost
//===----------------------------------------------------------------------===//

CollectiveCost::CollectiveCost(const Cluster &cluster, dist::MeshAttr mesh)
    : levels(cluster.levels) {
  if (levels.empty()) // one device
    levels.push_back({"device", 1, 0, cluster.memoryBandwidth});
  quickest = levels.front().latency;
  for (const LinkLevel &level : levels) {
    fastest = std::max(fastest, level.bandwidth);
    quickest = std::min(quickest, level.latency);
  }
  unsigned numAxes = mesh.getNumAxes();
  sizes.assign(numAxes, 1);
  strides.assign(numAxes, 0);
  for (unsigned axis = numAxes; axis-- > 0;)
    if (!mesh.isTime(axis)) {
      sizes[axis] = mesh.getSizes()[axis];
      strides[axis] = numRanks;
      numRanks *= sizes[axis];
    }
}

int64_t CollectiveCost::groupSize(llvm::ArrayRef<int64_t> axes) const {
  int64_t size = 1;
  for (int64_t axis : axes)
    size *= sizes[axis];
  return size;
}

int64_t CollectiveCost::blocksTouched(uint64_t key, int64_t block) const {
  // Axes of at least a block's stride go to another block with each step, one
  // that straddles blocks with some, the others never.
  int64_t touched = 1, ranks = 1;
  bool even = true;
  for (unsigned axis = 0; axis < sizes.size(); ++axis) {
    int64_t span = strides[axis] * sizes[axis];
    bool inside = span <= block, outside = strides[axis] >= block;
    even &= inside    ? block % std::max<int64_t>(span, 1) == 0
            : outside ? strides[axis] % block == 0
                      : block % strides[axis] == 0 && span % block == 0;
    if (!(key >> axis & 1))
      continue;
    ranks *= sizes[axis];
    if (!inside)
      touched *= outside ? sizes[axis] : (span + block - 1) / block;
  }
  // Groups that do not line up are compared one by one; of very many ranks the
  // estimate is good enough, and its time does not grow with them.
  constexpr int64_t mostRanks = 8192;
  if (even || numRanks > mostRanks)
    return std::min(touched, ranks);
  // Members relative to the first: ascending, as strides fall with the axis.
  std::vector<int64_t> members = {0};
  for (unsigned axis = 0; axis < sizes.size(); ++axis) {
    if (!(key >> axis & 1))
      continue;
    std::vector<int64_t> next;
    next.reserve(members.size() * sizes[axis]);
    for (int64_t member : members)
      for (int64_t i = 0; i < sizes[axis]; ++i)
        next.push_back(member + i * strides[axis]);
    members = std::move(next);
  }
  auto isFirst = [&](int64_t rank) {
    for (unsigned axis = 0; axis < sizes.size(); ++axis)
      if ((key >> axis & 1) && rank / strides[axis] % sizes[axis] != 0)
        return false;
    return true;
  };
  touched = 1;
  for (int64_t first = 0; first < numRanks; ++first) {
    if (!isFirst(first))
      continue;
    int64_t count = 0, last = -1;
    for (int64_t member : members) {
      int64_t at = (first + member) / block;
      count += at != last;
      last = at;
    }
    touched = std::max(touched, count);
  }
  return touched;
}

const CollectiveCost::Shape &CollectiveCost::shapeOf(uint64_t key) const {
  auto [it, inserted] = shapes.try_emplace(key);
  Shape &shape = it->second;
  if (!inserted)
    return shape;
  for (unsigned axis = 0; axis < sizes.size(); ++axis)
    if (key >> axis & 1)
      shape.ranks *= sizes[axis];
  // Blocks of devices under one group of each level that the ranks fall into;
  // where mesh and nodes do not line up, those of the most scattered group.
  double below = static_cast<double>(shape.ranks);
  int64_t block = 1;
  for (size_t level = 0; level < levels.size() && below > 1; ++level) {
    block *= levels[level].size;
    int64_t touched = 1;
    // The outermost level joins all.
    if (level + 1 < levels.size())
      touched = blocksTouched(key, block);
    double parts = below / static_cast<double>(touched);
    if (parts > 1)
      shape.factors.push_back(
          {parts, levels[level].latency, levels[level].bandwidth});
    below = static_cast<double>(touched);
  }
  return shape;
}

double CollectiveCost::seconds(Kind kind, llvm::ArrayRef<int64_t> axes,
                               double bytes, int64_t messages) const {
  uint64_t set = 0;
  for (int64_t axis : axes)
    set |= uint64_t(1) << axis;
  return secondsOver(kind, set, bytes, messages);
}

double CollectiveCost::secondsOver(Kind kind, uint64_t axes, double bytes,
                                   int64_t messages) const {
  if (kind == Kind::LocalSlice || kind == Kind::ToPartial)
    return 0;
  const Shape &shape = shapeOf(axes);
  if (shape.ranks <= 1)
    return 0;
  double peers = static_cast<double>(shape.ranks) - 1;
  double start = 0, transfer = 0;
  bool direct = kind == Kind::AllToAll || kind == Kind::Exchange;
  if (!direct) {
    double outer = static_cast<double>(shape.ranks); // parts of levels above
    for (const Shape::Factor &factor : shape.factors) {
      outer /= factor.size;
      start += std::ceil(std::log2(factor.size)) * factor.latency;
      transfer += bytes * (factor.size - 1) * outer / peers / factor.bandwidth;
    }
    // Reduced in pieces and gathered again: bytes count both.
    return kind == Kind::AllReduce ? 2 * start + transfer : start + transfer;
  }
  // Straight from each peer, over the links that lie between. A message of its
  // own to everybody, or (Bruck) log2 rounds that carry half of all bytes each.
  double inner = 1, rounds = 0, relayed = 0;
  for (const Shape::Factor &factor : shape.factors) {
    double reached = (factor.size - 1) * inner; // peers first met at this level
    double part = bytes * reached / peers / factor.bandwidth;
    double log = std::ceil(std::log2(factor.size));
    transfer += part;
    start += (messages ? std::min<double>(messages, peers) * reached / peers
                       : reached) *
             factor.latency;
    rounds += log * factor.latency;
    relayed += log / 2 * bytes * (peers + 1) / peers / factor.bandwidth;
    inner *= factor.size;
  }
  double pairwise = start + transfer;
  return kind == Kind::AllToAll ? std::min(pairwise, rounds + relayed)
                                : pairwise;
}
