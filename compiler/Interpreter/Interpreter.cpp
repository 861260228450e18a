// SPDX-License-Identifier: Apache-2.0
#include "compiler/Interpreter/Interpreter.h"

#include "compiler/Interpreter/Executor.h"
#include "dialects/Graph/Graph.h"
#include "runtime/base/Philox.h"

using namespace mlir;

namespace weir::compiler {
namespace {

/// The entry or program of that name, or null.
Operation *findEntry(ModuleOp module, StringRef name) {
  for (Operation &op : *module.getBody()) {
    if (op.getNumRegions() != 1 || !op.hasAttr("function_type"))
      continue;
    auto symbol =
        op.getAttrOfType<StringAttr>(SymbolTable::getSymbolAttrName());
    auto entry = op.getAttrOfType<StringAttr>("entry");
    if ((symbol && symbol.getValue() == name) ||
        (entry && entry.getValue() == name))
      return &op;
  }
  return nullptr;
}

/// How an entry has to be run.
struct Traits {
  bool hasShards = false, hasLayouts = false, hasLoop = false, hasDist = false,
       usesMemory = false;
};

Traits traitsOf(Operation *entry) {
  Traits traits;
  auto look = [&](Type type) {
    auto tensor = dyn_cast<RankedTensorType>(type);
    if (!tensor || !tensor.getEncoding())
      return;
    traits.hasShards |= isa<dist::ShardAttr>(tensor.getEncoding());
    traits.hasLayouts |= isa<dist::LayoutAttr>(tensor.getEncoding());
  };
  for (BlockArgument argument : entry->getRegion(0).front().getArguments())
    look(argument.getType());
  entry->getRegion(0).walk([&](Operation *op) {
    for (Type type : op->getResultTypes())
      look(type);
    traits.hasLoop |= isa<dist::MicroBatchesOp>(op);
    traits.hasDist |= isa_and_nonnull<dist::DistDialect>(op->getDialect()) &&
                      !isa<dist::ReshardOp>(op);
    traits.usesMemory |=
        isa<kernel::EmptyOp, kernel::LaunchOp, kernel::ContractOp,
            kernel::ViewOp, kernel::FillOp>(op);
  });
  return traits;
}

StringRef bindingName(Operation *entry, StringRef list, unsigned index,
                      StringRef kind) {
  auto array = entry->getAttrOfType<ArrayAttr>(list);
  if (!array || index >= array.size())
    return {};
  Attribute attribute = cast<DictionaryAttr>(array[index]).get(kind);
  if (auto symbol = dyn_cast_or_null<FlatSymbolRefAttr>(attribute))
    return symbol.getValue();
  if (auto text = dyn_cast_or_null<StringAttr>(attribute))
    return text.getValue();
  return {};
}

} // namespace

MeshPoint pointOfRank(dist::MeshAttr mesh, int64_t rank) {
  MeshPoint point;
  point.mesh = mesh;
  point.coordinates.assign(mesh.getNumAxes(), -1);
  for (int axis = static_cast<int>(mesh.getNumAxes()) - 1; axis >= 0; --axis) {
    if (mesh.isTime(axis))
      continue;
    point.coordinates[axis] = rank % mesh.getSizes()[axis];
    rank /= mesh.getSizes()[axis];
  }
  return point;
}

FailureOr<std::vector<Tensor>> Interpreter::run(StringRef name,
                                                ArrayRef<Tensor> arguments) {
  Operation *entry = findEntry(module, name);
  if (!entry)
    return module.emitError() << "has no entry \"" << name << "\"";
  Traits traits = traitsOf(entry);
  std::vector<MeshPoint> points;
  if (traits.hasShards || traits.hasLayouts || traits.hasDist) {
    dist::MeshAttr mesh = dist::getMesh(module);
    if (!mesh)
      return entry->emitError() << "expects the module attribute `"
                                << dist::DistDialect::getMeshAttrName() << "`";
    if (traits.hasLayouts && traits.hasLoop)
      return entry->emitError(
          "expects types with `#dist.layout` only before the "
          "micro-batch loop is formed, got both");
    if (traits.hasLayouts) {
      // No loop yet: the coordinates of the time axis are ranks as well.
      SmallVector<int64_t> sizes(mesh.getSizes()), index(sizes.size(), 0);
      do {
        MeshPoint point;
        point.mesh = mesh;
        point.coordinates.assign(index.begin(), index.end());
        points.push_back(std::move(point));
      } while (nextIndex(index, sizes));
    } else {
      for (int64_t rank = 0; rank < mesh.getNumRanks(); ++rank)
        points.push_back(pointOfRank(mesh, rank));
    }
  } else {
    points.emplace_back();
  }
  Executor executor(module, options.precision, std::move(points));
  return executor.runEntry(entry, arguments, traits.usesMemory);
}

FailureOr<std::map<std::string, Tensor>>
Interpreter::runEntry(StringRef name, State &state,
                      const std::map<std::string, Tensor> &inputs) {
  Operation *entry = findEntry(module, name);
  if (!entry)
    return module.emitError() << "has no entry \"" << name << "\"";
  std::vector<Tensor> arguments;
  unsigned count = entry->getRegion(0).front().getNumArguments();
  size_t usedInputs = 0;
  for (unsigned i = 0; i < count; ++i) {
    StringRef variable = bindingName(
        entry, "arg_attrs", i, graph::GraphDialect::getVariableAttrName());
    StringRef input = bindingName(entry, "arg_attrs", i,
                                  graph::GraphDialect::getInputAttrName());
    const std::map<std::string, Tensor> &from =
        variable.empty() ? inputs : state.variables;
    auto found = from.find((variable.empty() ? input : variable).str());
    if (found == from.end())
      return entry->emitError("argument ")
             << i << " needs the " << (variable.empty() ? "input" : "variable")
             << " \"" << (variable.empty() ? input : variable)
             << "\", which is not given";
    usedInputs += variable.empty();
    arguments.push_back(found->second);
  }
  if (usedInputs < inputs.size())
    for (const auto &[given, tensor] : inputs) {
      bool used = false;
      for (unsigned i = 0; i < count; ++i)
        used |= bindingName(entry, "arg_attrs", i,
                            graph::GraphDialect::getInputAttrName()) == given;
      if (!used)
        return entry->emitError() << "has no input \"" << given << "\"";
    }
  FailureOr<std::vector<Tensor>> results = run(name, arguments);
  if (failed(results))
    return failure();
  std::map<std::string, Tensor> outputs;
  for (unsigned i = 0; i < results->size(); ++i) {
    StringRef variable = bindingName(
        entry, "res_attrs", i, graph::GraphDialect::getVariableAttrName());
    if (!variable.empty()) {
      state.variables[variable.str()] = std::move((*results)[i]);
      continue;
    }
    StringRef output = bindingName(entry, "res_attrs", i,
                                   graph::GraphDialect::getOutputAttrName());
    outputs[output.str()] = std::move((*results)[i]);
  }
  return outputs;
}

FailureOr<std::vector<Tensor>> evaluateOp(Operation *op,
                                          ArrayRef<Tensor> operands,
                                          Precision precision,
                                          const MeshPoint &point) {
  auto emit = [&] { return op->emitError(); };
  SmallVector<Box, 4> operandBoxes, resultBoxes;
  SmallVector<const Tensor *> pointers;
  if (operands.size() != op->getNumOperands())
    return emit() << "expects " << op->getNumOperands() << " operands, got "
                  << operands.size();
  for (auto [index, operand] : llvm::enumerate(operands)) {
    auto type = cast<RankedTensorType>(op->getOperand(index).getType());
    FailureOr<Box> box = boxOf(type, point, emit);
    if (failed(box))
      return failure();
    if (operand.shape != box->extents ||
        elementKindOf(type.getElementType()) != operand.kind)
      return emit() << "operand " << index << " does not fit " << type;
    operandBoxes.push_back(std::move(*box));
    pointers.push_back(&operand);
  }
  for (Type type : op->getResultTypes()) {
    FailureOr<Box> box = boxOf(cast<RankedTensorType>(type), point, emit);
    if (failed(box))
      return failure();
    resultBoxes.push_back(std::move(*box));
  }
  OpInputs inputs{op, precision, pointers, operandBoxes, resultBoxes};
  SmallVector<Tensor, 4> results;
  if (failed(isPiece(op) ? evaluatePiece(inputs, results)
                         : evaluateGraphOp(inputs, results)))
    return failure();
  return std::vector<Tensor>(std::make_move_iterator(results.begin()),
                             std::make_move_iterator(results.end()));
}

FailureOr<std::vector<Tensor>>
evaluateBlock(Block &block, ArrayRef<Tensor> arguments, ValueRange wanted,
              Precision precision, const MeshPoint &point) {
  Operation *symbols = block.getParentOp();
  while (symbols && !symbols->hasTrait<OpTrait::SymbolTable>())
    symbols = symbols->getParentOp();
  Executor executor(symbols, precision, {point});
  if (arguments.size() != block.getNumArguments()) {
    emitError(UnknownLoc::get(block.empty() ? wanted.front().getContext()
                                            : block.front().getContext()))
        << "block expects " << block.getNumArguments() << " arguments, got "
        << arguments.size();
    return failure();
  }
  for (auto [argument, tensor] : llvm::zip(block.getArguments(), arguments)) {
    Executor::RankValue value;
    auto rounded = std::make_shared<Tensor>(tensor);
    roundTo(precision, *rounded);
    value.tensor = std::move(rounded);
    executor.bind(argument, {value});
  }
  if (failed(executor.runBlock(block)))
    return failure();
  std::vector<Tensor> results;
  for (Value value : wanted) {
    // An argument may be wanted as it came.
    Operation *user = value.getDefiningOp();
    if (!user) {
      auto argument = cast<BlockArgument>(value);
      results.push_back(arguments[argument.getArgNumber()]);
      roundTo(precision, results.back());
      continue;
    }
    auto tensor = executor.read(value, 0, user);
    if (failed(tensor))
      return failure();
    results.push_back(**tensor);
  }
  return results;
}

//===----------------------------------------------------------------------===//
// State
//===----------------------------------------------------------------------===//

State State::initialize(ModuleOp module, uint32_t seed) {
  State state;
  for (auto variable : module.getOps<graph::VariableOp>()) {
    RankedTensorType type = variable.getTensorType();
    graph::InitializerAttr init = variable.getInit();
    Tensor tensor = Tensor::zeros(
        elementKindOf(type.getElementType()).value_or(ElementKind::Float),
        type.getShape());
    uint32_t key = siteKey(variable.getSymName().str());
    for (int64_t i = 0, e = tensor.size(); i < e; ++i) {
      double value = init.getA();
      if (init.getKind() == graph::InitializerKind::Normal)
        value += init.getB() * normal(key, seed, i);
      else if (init.getKind() == graph::InitializerKind::Uniform)
        value += (init.getB() - init.getA()) * uniform(key, seed, i);
      if (tensor.isFloat())
        tensor.floats[i] = static_cast<float>(value);
      else
        tensor.ints[i] = wrapInteger(tensor.kind, static_cast<int64_t>(value));
    }
    state.variables[variable.getSymName().str()] = std::move(tensor);
  }
  return state;
}

Status State::load(ModuleOp module, const SafetensorsSet &weights) {
  for (auto variable : module.getOps<graph::VariableOp>()) {
    if (variable.getKind() != graph::VariableKind::Parameter)
      continue;
    std::string name = variable.getSymName().str();
    SmallVector<int64_t> shape(variable.getTensorType().getShape());
    std::string storedName = name;
    if (auto stored = variable.getStoredAttr()) {
      storedName = stored.getName().str();
      shape.assign(stored.getShape().begin(), stored.getShape().end());
    }
    SafetensorsSet::Ref ref = weights.find(storedName);
    if (!ref)
      return invalidInput(weights.path() + ": has no tensor \"" + storedName +
                          "\" for the variable \"" + name + "\"");
    if (ArrayRef<int64_t>(ref.tensor->shape) != ArrayRef<int64_t>(shape))
      return invalidInput(weights.path() + ": tensor \"" + storedName +
                          "\" is " + ref.tensor->typeText() +
                          ", which is not the shape that the variable \"" +
                          name + "\" expects");
    std::vector<float> values(ref.tensor->elements());
    if (Status status = ref.readFloats(values.data()); !status.ok())
      return std::move(status).withContext("variable \"" + name + "\"");
    Tensor &tensor = variables[name];
    tensor =
        Tensor::zeros(ElementKind::Float, variable.getTensorType().getShape());
    std::copy(values.begin(), values.end(), tensor.floats.begin());
  }
  return okStatus();
}

} // namespace weir::compiler
