// SPDX-License-Identifier: Apache-2.0
//
// The part of Session that reads and writes variables.

#include "runtime/base/Half.h"
#include "runtime/base/Philox.h"
#include "runtime/base/Strings.h"
#include "runtime/session/Session.h"
#include "runtime/session/StoredTypes.h"

#include <algorithm>
#include <cstring>
#include <set>

namespace weir {

using comm::Box;
using plan::DType;
using plan::Initializer;
using plan::Variable;

namespace {

std::vector<int64_t> shapeOf(const Variable &variable) {
  std::vector<int64_t> shape;
  for (const plan::DimLayout &dim : variable.layout.dims)
    shape.push_back(dim.size);
  return shape;
}

int64_t elementsOf(const Variable &variable) {
  return plan::elementCount(shapeOf(variable));
}

int64_t logicalBytes(const Variable &variable) {
  return elementsOf(variable) * plan::byteSize(variable.layout.dtype);
}

int64_t localBytes(const Variable &variable) {
  int64_t bytes = plan::byteSize(variable.layout.dtype);
  for (const plan::DimLayout &dim : variable.layout.dims)
    bytes *= dim.capacity;
  return bytes;
}

std::string shapeText(const std::vector<int64_t> &shape) {
  std::vector<std::string> sizes;
  for (int64_t size : shape)
    sizes.push_back(std::to_string(size));
  return "[" + join(sizes, ",") + "]";
}

bool isFloat(StoredType type) {
  return type == StoredType::F64 || type == StoredType::F32 ||
         type == StoredType::F16 || type == StoredType::BF16;
}

/// The rank with the coordinates of `rank` on the axes that split the variable
/// and 0 on the others: it holds the same shard.
int64_t firstHolder(const plan::Plan &plan, const Variable &variable,
                    int64_t rank) {
  std::vector<int64_t> coordinates = plan::rankCoordinates(rank, plan.mesh);
  int64_t holder = 0;
  for (size_t axis = 0; axis < plan.mesh.size(); ++axis) {
    if (plan.mesh[axis].time)
      continue;
    bool splits = false;
    for (const plan::DimLayout &dim : variable.layout.dims)
      splits |= std::find(dim.axes.begin(), dim.axes.end(),
                          static_cast<int>(axis)) != dim.axes.end();
    holder = holder * plan.mesh[axis].size + (splits ? coordinates[axis] : 0);
  }
  return holder;
}

double initialValue(const Initializer &init, uint32_t key, uint32_t seed,
                    uint64_t index) {
  switch (init.kind) {
  case Initializer::Kind::Constant:
    return init.a;
  case Initializer::Kind::Normal:
    return init.a + init.b * normal(key, seed, index);
  case Initializer::Kind::Uniform:
    return init.a + (init.b - init.a) * static_cast<double>(uniform01(
                                            randomWord(key, seed, 0, index)));
  }
  return 0;
}

template <typename T, typename Convert>
void initializeRows(const Box &box, int64_t begin, int64_t end,
                    const Initializer &init, uint32_t key, uint32_t seed,
                    std::byte *shard, const Convert &convert) {
  comm::forRows(box, begin, end,
                [&](int64_t from, int64_t to, int64_t count, int64_t fromStride,
                    int64_t toStride) {
                  T *out = reinterpret_cast<T *>(shard) + to;
                  for (int64_t i = 0; i < count; ++i)
                    out[i * toStride] = convert(
                        initialValue(init, key, seed, from + i * fromStride));
                });
}

} // namespace

Status Session::forShards(
    const Variable &variable,
    const std::function<Status(int64_t, const Box &)> &visit) const {
  for (int64_t rank = 0; rank < plan().numRanks(); ++rank) {
    if (firstHolder(plan(), variable, rank) != rank)
      continue;
    std::vector<int64_t> coordinates = plan::rankCoordinates(rank, plan().mesh);
    Box box;
    int64_t logicalStride = 1, localStride = 1;
    for (size_t i = variable.layout.dims.size(); i-- > 0;) {
      const plan::DimLayout &dim = variable.layout.dims[i];
      comm::Interval interval = comm::intervalOf(dim.size, dim.axes, dim.unit,
                                                 plan().mesh, coordinates);
      box.dims.insert(box.dims.begin(),
                      {interval.extent, logicalStride, localStride});
      box.fromOffset += interval.offset * logicalStride;
      logicalStride *= dim.size;
      localStride *= dim.capacity;
    }
    box.coalesce();
    WEIR_RETURN_IF_ERROR(visit(rank, box));
  }
  return okStatus();
}

void Session::replicate(const Variable &variable) {
  for (int64_t rank = 0; rank < plan().numRanks(); ++rank) {
    int64_t holder = firstHolder(plan(), variable, rank);
    if (holder != rank)
      std::memcpy(place(variable, rank), place(variable, holder),
                  localBytes(variable));
  }
}

void Session::initializeVariable(const Variable &variable, uint32_t seed) {
  uint32_t key = siteKey(variable.name);
  const Initializer &init = variable.init;
  actor::WorkerPool &pool = shared->runtime().pool();
  Status status = forShards(variable, [&](int64_t rank, const Box &box) {
    std::byte *shard = place(variable, rank);
    auto rows = [&](int64_t begin, int64_t end) {
      auto run = [&](auto zero, const auto &convert) {
        using T = decltype(zero);
        initializeRows<T>(box, begin, end, init, key, seed, shard, convert);
      };
      switch (variable.layout.dtype) {
      case DType::F32:
        return run(float(), [](double x) { return static_cast<float>(x); });
      case DType::F64:
        return run(double(), [](double x) { return x; });
      case DType::BF16:
        return run(uint16_t(), [](double x) {
          return floatToBfloat16(static_cast<float>(x));
        });
      case DType::I64:
        return run(int64_t(), [](double x) { return static_cast<int64_t>(x); });
      case DType::I32:
        return run(int32_t(), [](double x) { return static_cast<int32_t>(x); });
      case DType::I8:
        return run(int8_t(), [](double x) { return static_cast<int8_t>(x); });
      case DType::U8:
        return run(uint8_t(), [](double x) { return static_cast<uint8_t>(x); });
      case DType::I1:
        return run(uint8_t(), [](double x) { return uint8_t(x != 0); });
      case DType::F16:
        return; // refused by initialize
      }
    };
    int64_t count = box.elements();
    constexpr int64_t dividedCount = 16 << 10;
    if (count < dividedCount) {
      rows(0, count);
      return okStatus();
    }
    pool.run([&](int worker) {
      rows(count * worker / pool.workers(),
           count * (worker + 1) / pool.workers());
    });
    return okStatus();
  });
  (void)status; // the visitor cannot fail
  replicate(variable);
}

Status Session::initialize(uint32_t seed) {
  if (failure.isSet())
    return failure.status();
  for (const Variable &variable : plan().variables)
    if (variable.layout.dtype == DType::F16)
      return Status(StatusCode::IncompatibleArtifact,
                    "variable '" + variable.name +
                        "' is f16; the CPU runtime keeps f32, f64, bf16 and "
                        "integers");
  for (const Variable &variable : plan().variables)
    initializeVariable(variable, seed);
  return okStatus();
}

void Session::gather(const Variable &variable, std::byte *logical) const {
  int64_t bytes = plan::byteSize(variable.layout.dtype);
  Status status = forShards(variable, [&](int64_t rank, const Box &box) {
    Box back = box;
    std::swap(back.fromOffset, back.toOffset);
    for (comm::BoxDim &dim : back.dims)
      std::swap(dim.from, dim.to);
    comm::copyBox(back, bytes, place(variable, rank), logical);
    return okStatus();
  });
  (void)status; // the visitor cannot fail
}

void Session::scatter(const Variable &variable, const std::byte *logical) {
  int64_t bytes = plan::byteSize(variable.layout.dtype);
  Status status = forShards(variable, [&](int64_t rank, const Box &box) {
    comm::copyBox(box, bytes, logical, place(variable, rank));
    return okStatus();
  });
  (void)status; // the visitor cannot fail
  replicate(variable);
}

Status Session::readVariable(const std::string &name, void *data,
                             int64_t bytes) const {
  WEIR_ASSIGN_OR_RETURN(size_t index, shared->variableIndex(name));
  const Variable &variable = plan().variables[index];
  if (bytes != logicalBytes(variable))
    return invalidInput("variable '" + name + "': has " +
                        std::to_string(logicalBytes(variable)) +
                        " bytes, got memory for " + std::to_string(bytes));
  gather(variable, static_cast<std::byte *>(data));
  return okStatus();
}

Status Session::writeVariable(const std::string &name, const void *data,
                              int64_t bytes) {
  WEIR_ASSIGN_OR_RETURN(size_t index, shared->variableIndex(name));
  const Variable &variable = plan().variables[index];
  if (bytes != logicalBytes(variable))
    return invalidInput("variable '" + name + "': has " +
                        std::to_string(logicalBytes(variable)) +
                        " bytes, got " + std::to_string(bytes));
  scatter(variable, static_cast<const std::byte *>(data));
  return okStatus();
}

std::vector<Session::StoredVariable> Session::storedVariables() const {
  std::vector<StoredVariable> list;
  for (const Variable &variable : plan().variables)
    if (!variable.storedName.empty())
      list.push_back({&variable, variable.storedName, variable.storedShape});
  return list;
}

std::vector<Session::StoredVariable> Session::allVariables() const {
  std::vector<StoredVariable> list;
  for (const Variable &variable : plan().variables)
    list.push_back({&variable, variable.name, shapeOf(variable)});
  return list;
}

Status Session::loadTensors(const std::string &path,
                            const std::vector<StoredVariable> &wanted,
                            const LoadOptions &load) {
  if (failure.isSet())
    return failure.status();
  WEIR_ASSIGN_OR_RETURN(SafetensorsSet set, SafetensorsSet::open(path));

  // Everything that is wrong is said at once.
  std::vector<std::string> problems;
  std::set<std::string> used;
  for (const StoredVariable &stored : wanted) {
    used.insert(stored.name);
    SafetensorsSet::Ref ref = set.find(stored.name);
    if (!ref) {
      if (!load.allowMissing)
        problems.push_back("tensor '" + stored.name + "' is missing");
      continue;
    }
    DType type = stored.variable->layout.dtype;
    bool readable = ref.tensor->type == storedTypeOf(type) ||
                    (type == DType::F32 && isFloat(ref.tensor->type));
    if (ref.tensor->shape != stored.shape)
      problems.push_back("tensor '" + stored.name + "' is " +
                         ref.tensor->typeText() + ", expected shape " +
                         shapeText(stored.shape));
    else if (!readable)
      problems.push_back("tensor '" + stored.name + "' is " +
                         ref.tensor->typeText() + ", which cannot become " +
                         std::string(plan::name(type)));
  }
  if (!load.allowExtra)
    for (const std::string &name : set.names()) {
      auto matches = [&](const std::string &pattern) {
        return globMatch(pattern, name);
      };
      const std::vector<std::string> &ignored =
          shared->manifest().ignoredWeights;
      if (!used.count(name) &&
          std::none_of(ignored.begin(), ignored.end(), matches))
        problems.push_back("tensor '" + printable(name, 120) +
                           "' is not part of the model");
    }
  if (!problems.empty()) {
    constexpr size_t shown = 40;
    size_t more = problems.size() > shown ? problems.size() - shown : 0;
    problems.resize(problems.size() - more);
    return invalidInput(
        path + ": does not fit the model:\n  " + join(problems, "\n  ") +
        (more ? "\n  and " + std::to_string(more) + " more" : "") +
        "\nuse the checkpoint that the model was compiled from, or compile "
        "from this one");
  }

  std::vector<float> widened;
  for (const StoredVariable &stored : wanted) {
    SafetensorsSet::Ref ref = set.find(stored.name);
    if (!ref)
      continue;
    const uint8_t *data = ref.file->data(*ref.tensor);
    StoredType same = storedTypeOf(stored.variable->layout.dtype);
    bool aligned =
        reinterpret_cast<uintptr_t>(data) % storedTypeSize(ref.tensor->type) ==
        0;
    if (ref.tensor->type == same && aligned) {
      scatter(*stored.variable, reinterpret_cast<const std::byte *>(data));
      continue;
    }
    if (ref.tensor->type == same) {
      std::vector<std::byte> copy(ref.tensor->byteSize);
      std::memcpy(copy.data(), data, copy.size());
      scatter(*stored.variable, copy.data());
      continue;
    }
    widened.resize(ref.tensor->elements());
    WEIR_RETURN_IF_ERROR(ref.readFloats(widened.data()));
    scatter(*stored.variable,
            reinterpret_cast<const std::byte *>(widened.data()));
  }
  return okStatus();
}

Status
Session::saveTensors(const std::string &path,
                     const std::vector<StoredVariable> &variables) const {
  std::vector<TensorSpec> specs;
  for (const StoredVariable &stored : variables) {
    specs.push_back({stored.name, storedTypeOf(stored.variable->layout.dtype),
                     stored.shape});
  }
  WEIR_ASSIGN_OR_RETURN(SafetensorsWriter writer,
                        SafetensorsWriter::create(path, specs));
  std::vector<std::byte> logical;
  for (const StoredVariable &stored : variables) {
    logical.resize(logicalBytes(*stored.variable));
    gather(*stored.variable, logical.data());
    WEIR_RETURN_IF_ERROR(
        writer.write(stored.name, logical.data(), logical.size()));
  }
  return writer.finish();
}

Status Session::loadWeights(const std::string &path, const LoadOptions &load) {
  return loadTensors(path, storedVariables(), load);
}

Status Session::saveWeights(const std::string &path) const {
  return saveTensors(path, storedVariables());
}

Status Session::loadState(const std::string &path) {
  return loadTensors(path, allVariables(), {});
}

Status Session::saveState(const std::string &path) const {
  return saveTensors(path, allVariables());
}

} // namespace weir
