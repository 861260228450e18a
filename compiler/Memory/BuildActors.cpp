// SPDX-License-Identifier: Apache-2.0
#include "compiler/Memory/Contraction.h"
#include "compiler/Memory/Passes.h"
#include "dialects/Actor/Actor.h"
#include "dialects/Graph/Graph.h"
#include "dialects/Kernel/Kernel.h"
#include "dialects/Pipe/Pipe.h"

#include <map>

using namespace mlir;

namespace weir::compiler {

#define GEN_PASS_DEF_BUILDACTORSPASS
#include "compiler/Memory/Passes.h.inc"

namespace {

constexpr int computeStream = 0, commStream = 1, numStreams = 2;
enum Section { Prologue, Loop, Epilogue };

int64_t elementBytes(RankedTensorType type) {
  return (type.getElementTypeBitWidth() + 7) / 8;
}

int64_t localBytes(RankedTensorType type) {
  return type.getNumElements() * elementBytes(type);
}

llvm::SmallVector<int64_t> rowMajor(llvm::ArrayRef<int64_t> shape) {
  llvm::SmallVector<int64_t> strides(shape.size(), 1);
  for (size_t i = shape.size(); i-- > 1;)
    strides[i - 1] = strides[i] * shape[i];
  return strides;
}

/// The name of the user's node an op belongs to.
std::string nameOf(Operation *op) {
  if (auto site = op->getAttrOfType<StringAttr>("site"))
    return site.str();
  if (auto name = op->getLoc()->findInstanceOf<NameLoc>())
    return name.getName().str();
  return "";
}

/// A buffer of an entry: the root of all views and tied results.
struct BufferInfo {
  std::string name;
  int64_t bytes = 0;
  enum class Kind { Variable, Input, Local } kind = Kind::Local;
  llvm::StringRef variable;
  int64_t binding = -1; // Input: index
  int64_t output = -1;  // Local that the caller binds: index
  bool carried = false;
  bool used = false;
};

/// Where a tensor value lies.
struct Place {
  int buffer = -1;
  int64_t byteOffset = 0;
  llvm::SmallVector<int64_t> strides; // elements
  bool contiguous = true;             // row-major over its own shape
};

struct BufferUse {
  int buffer = -1;
  bool reads = false, writes = false;
};

/// An action before it belongs to an actor.
struct Action {
  Operation *op = nullptr;
  actor::Phase phase = actor::Phase::Post; // collectives
  unsigned part = 0; // collectives: which of the op's tensors
  int stream = computeStream;
  Section section = Prologue;
  llvm::SmallVector<BufferUse, 4> uses;
};

/// Turns one program into an entry.
class EntryBuilder {
public:
  EntryBuilder(pipe::ProgramOp program, OpBuilder &builder, dist::MeshAttr mesh,
               llvm::StringMap<actor::VariableOp> &variables,
               const SymbolTable &symbols)
      : program(program), builder(builder), mesh(mesh), variables(variables),
        symbols(symbols), context(program.getContext()) {}

  LogicalResult build() {
    if (failed(collectArguments()) || failed(linearise()) ||
        failed(bindResults()))
      return failure();
    formActors();
    return emit();
  }

private:
  LogicalResult collectArguments() {
    for (auto [i, argument] : llvm::enumerate(program.getArguments())) {
      auto type = llvm::cast<RankedTensorType>(argument.getType());
      BufferInfo info;
      info.bytes = localBytes(type);
      if (llvm::StringRef name = program.getArgumentVariable(i);
          !name.empty()) {
        auto found = variables.find(name);
        if (found == variables.end())
          return program.emitOpError("expects argument ")
                 << i << " to be bound to a variable of the model, got '"
                 << name << "'";
        if (int64_t(found->second.getBytes()) != info.bytes)
          return program.emitOpError("expects argument ")
                 << i << " to have the local type of variable '" << name
                 << "', " << found->second.getBytes() << " bytes, got " << type;
        info.kind = BufferInfo::Kind::Variable;
        info.variable = name;
        info.name = name.str();
      } else {
        if (type.getEncoding())
          return program.emitOpError("expects input '")
                 << program.getArgumentInput(i) << "' to be whole, got "
                 << type;
        info.kind = BufferInfo::Kind::Input;
        info.name = program.getArgumentInput(i).str();
        info.binding = inputs.size();
        inputs.push_back(actor::BindingAttr::get(
            context, builder.getStringAttr(info.name), type));
      }
      places[argument] = {static_cast<int>(buffers.size()), 0,
                          rowMajor(type.getShape()), true};
      buffers.push_back(info);
    }
    return success();
  }

  LogicalResult linearise() {
    Section section = Prologue;
    for (Operation &op : program.getBody().front()) {
      if (auto loop = llvm::dyn_cast<dist::MicroBatchesOp>(op)) {
        if (section != Prologue)
          return loop.emitOpError("expects to be the program's only loop");
        if (failed(lineariseLoop(loop)))
          return failure();
        section = Epilogue;
        continue;
      }
      if (!op.hasTrait<OpTrait::IsTerminator>() && failed(visit(&op, section)))
        return failure();
    }
    return success();
  }

  LogicalResult lineariseLoop(dist::MicroBatchesOp loop) {
    hasLoop = true;
    Block &body = loop.getBody().front();
    for (auto [init, argument, result] :
         llvm::zip(loop.getInits(), body.getArguments(), loop.getResults())) {
      Place place = places.lookup(init);
      places[argument] = place;
      places[result] = place;
      buffers[place.buffer].carried = true;
    }
    for (Operation &op : body)
      if (!op.hasTrait<OpTrait::IsTerminator>() && failed(visit(&op, Loop)))
        return failure();
    for (auto [i, value] :
         llvm::enumerate(body.getTerminator()->getOperands())) {
      Place accumulator = places.lookup(loop.getInits()[i]);
      Place place = places.lookup(value);
      if (place.buffer != accumulator.buffer ||
          place.byteOffset != accumulator.byteOffset)
        return loop.emitOpError("expects accumulator ")
               << i << " to be updated in place; it is in '"
               << buffers[accumulator.buffer].name
               << "', what is handed on in '" << buffers[place.buffer].name
               << "'";
    }
    return success();
  }

  LogicalResult visit(Operation *op, Section section) {
    if (auto empty = llvm::dyn_cast<kernel::EmptyOp>(op)) {
      auto type = llvm::cast<RankedTensorType>(empty.getOutput().getType());
      BufferInfo info;
      info.name = empty.getSite().str();
      info.bytes = localBytes(type);
      // What is made outside of the loop may pass from one micro-batch to the
      // next.
      info.carried = section != Loop;
      places[empty.getOutput()] = {static_cast<int>(buffers.size()), 0,
                                   rowMajor(type.getShape()), true};
      buffers.push_back(info);
      return success();
    }
    if (auto view = llvm::dyn_cast<kernel::ViewOp>(op)) {
      auto type = llvm::cast<RankedTensorType>(view.getOutput().getType());
      const Place &input = places.find(view.getInput())->second;
      if (!input.contiguous)
        return view.emitOpError(
            "expects an operand that is row-major in its buffer");
      Place place;
      place.buffer = input.buffer;
      place.byteOffset =
          input.byteOffset +
          static_cast<int64_t>(view.getOffset()) * elementBytes(type);
      place.strides = llvm::to_vector(view.getStrides());
      place.contiguous = llvm::ArrayRef<int64_t>(place.strides) ==
                         llvm::ArrayRef<int64_t>(rowMajor(type.getShape()));
      places[view.getOutput()] = place;
      return success();
    }
    Action action;
    action.op = op;
    action.section = section;
    if (auto launch = llvm::dyn_cast<kernel::LaunchOp>(op)) {
      for (Value input : launch.getInputs())
        addUse(action, input, true, false);
      for (auto [dest, result] :
           llvm::zip(launch.getDests(), launch.getResults())) {
        addUse(action, dest, false, true);
        tie(result, dest);
      }
    } else if (auto contract = llvm::dyn_cast<kernel::ContractOp>(op)) {
      addUse(action, contract.getLhs(), true, false);
      addUse(action, contract.getRhs(), true, false);
      addUse(action, contract.getDest(), contract.getAccumulate(), true);
      tie(contract.getOutput(), contract.getDest());
    } else if (auto fill = llvm::dyn_cast<kernel::FillOp>(op)) {
      const Place &place = places.find(fill.getDest())->second;
      if (place.byteOffset != 0 || buffers[place.buffer].bytes !=
                                       localBytes(llvm::cast<RankedTensorType>(
                                           fill.getDest().getType())))
        return fill.emitOpError("expects a whole buffer as destination");
      addUse(action, fill.getDest(), false, true);
      tie(fill.getOutput(), fill.getDest());
    } else if (llvm::isa<dist::AllReduceOp, dist::AllGatherOp,
                         dist::ReduceScatterOp, dist::AllToAllOp,
                         dist::ExchangeOp>(op)) {
      return visitCollective(op, section);
    } else {
      return op->emitOpError("is not an op of a program of kernels");
    }
    for (const BufferUse &use : action.uses)
      if (use.writes && buffers[use.buffer].kind == BufferInfo::Kind::Input)
        return op->emitOpError("writes input '")
               << buffers[use.buffer].name << "' of the caller";
    actions.push_back(std::move(action));
    return success();
  }

  /// Phases of the tensors of one op alternate, so that the ranks meet once for
  /// all of them: each tensor is a collective of the plan.
  LogicalResult visitCollective(Operation *op, Section section) {
    unsigned count = op->getNumResults();
    if (op->getNumOperands() != 2 * count)
      return op->emitOpError("expects a destination for each result");
    using actor::Phase;
    bool isAllReduce = llvm::isa<dist::AllReduceOp>(op);
    for (Phase phase :
         {Phase::Post, Phase::Reduce, Phase::Gather, Phase::Release}) {
      if (phase == Phase::Reduce && !isAllReduce)
        continue;
      for (unsigned part = 0; part < count; ++part) {
        Action action;
        action.op = op;
        action.phase = phase;
        action.part = part;
        action.stream = commStream;
        action.section = section;
        // As getAccesses() of the actor dialect has it.
        bool writes = phase == Phase::Reduce || phase == Phase::Gather;
        addUse(action, op->getOperand(part), true, false);
        if (phase != Phase::Post)
          addUse(action, destOf(action), !writes, writes);
        actions.push_back(std::move(action));
      }
    }
    for (unsigned part = 0; part < count; ++part) {
      Value dest = op->getOperand(count + part);
      if (buffers[places.lookup(dest).buffer].kind == BufferInfo::Kind::Input)
        return op->emitOpError("writes an input of the caller");
      tie(op->getResult(part), dest);
    }
    usesComm = true;
    return success();
  }
  /// The destination of a collective's tensor.
  static Value destOf(const Action &action) {
    return action.op->getOperand(action.op->getNumResults() + action.part);
  }

  void addUse(Action &action, Value value, bool reads, bool writes) {
    int buffer = places.find(value)->second.buffer;
    buffers[buffer].used = true;
    for (BufferUse &use : action.uses)
      if (use.buffer == buffer) {
        use.reads |= reads;
        use.writes |= writes;
        return;
      }
    action.uses.push_back({buffer, reads, writes});
  }

  void tie(Value result, Value dest) {
    Place place = places.lookup(dest);
    places[result] = std::move(place);
  }

  LogicalResult bindResults() {
    Operation *terminator = program.getBody().front().getTerminator();
    for (auto [i, value] : llvm::enumerate(terminator->getOperands())) {
      const Place &place = places.find(value)->second;
      BufferInfo &info = buffers[place.buffer];
      if (llvm::StringRef variable = program.getResultVariable(i);
          !variable.empty()) {
        if (info.kind != BufferInfo::Kind::Variable ||
            info.variable != variable || place.byteOffset != 0 ||
            !place.contiguous)
          return program.emitOpError("expects variable '")
                 << variable
                 << "' to be updated in place; its new value is in '"
                 << info.name << "'";
        continue;
      }
      llvm::StringRef name = program.getResultOutput(i);
      auto type = llvm::cast<RankedTensorType>(value.getType());
      if (type.getEncoding())
        return program.emitOpError("expects output '")
               << name << "' to be whole, got " << type;
      if (info.kind != BufferInfo::Kind::Local || info.output >= 0 ||
          place.byteOffset != 0 || !place.contiguous ||
          info.bytes != localBytes(type))
        return program.emitOpError("expects output '")
               << name << "' to have a buffer of its own, got '" << info.name
               << "'";
      info.output = outputs.size();
      info.name = name.str();
      outputs.push_back(
          actor::BindingAttr::get(context, builder.getStringAttr(name), type));
    }
    return success();
  }

  /// Which actions wait for which: on the way, every conflict on a buffer
  /// between streams that is not ordered yet becomes a wait, and actors end
  /// where one is waited for and before one that waits.
  void formActors() {
    struct LastUse {
      int written[numStreams] = {-1, -1};
      int read[numStreams] = {-1, -1};
    };
    std::vector<LastUse> last(buffers.size());
    int known[numStreams] = {-1, -1}; // of the other stream, by stream
    std::vector<bool> cutBefore(actions.size()), cutAfter(actions.size());
    waits.assign(actions.size(), {});
    for (int a = 0, e = actions.size(); a < e; ++a) {
      Action &action = actions[a];
      int stream = action.stream, other = 1 - stream;
      int needed = -1, buffer = -1;
      bool isValue = false;
      for (const BufferUse &use : action.uses) {
        int written = last[use.buffer].written[other];
        int read = use.writes ? last[use.buffer].read[other] : -1;
        if (int before = std::max(written, read); before > needed) {
          needed = before;
          buffer = use.buffer;
          isValue = use.reads && written == before;
        }
      }
      if (needed > known[stream]) {
        known[stream] = needed;
        cutBefore[a] = true;
        cutAfter[needed] = true;
        waits[a] = {needed, buffer, isValue};
      }
      for (const BufferUse &use : action.uses) {
        if (use.writes)
          last[use.buffer].written[stream] = a;
        if (use.reads)
          last[use.buffer].read[stream] = a;
      }
    }
    actorOf.assign(actions.size(), -1);
    int open[numStreams] = {-1, -1};
    Section section = Prologue;
    for (int a = 0, e = actions.size(); a < e; ++a) {
      if (actions[a].section != section) {
        section = actions[a].section;
        open[0] = open[1] = -1;
      }
      int &current = open[actions[a].stream];
      if (current < 0 || cutBefore[a]) {
        current = actors.size();
        actors.emplace_back();
      }
      actors[current].push_back(a);
      actorOf[a] = current;
      if (cutAfter[a])
        current = -1;
    }
  }

  int64_t scalarIndex(actor::ScalarKind kind, int64_t size, int64_t unit,
                      int64_t shift, llvm::ArrayRef<int64_t> axes) {
    auto attr = actor::ScalarAttr::get(context, kind, size, unit, shift, axes);
    auto [found, inserted] =
        scalarIndices.try_emplace(attr, static_cast<int64_t>(scalars.size()));
    if (inserted)
      scalars.push_back(attr);
    return found->second;
  }
  int64_t extentIndex(const dist::ShardDim &dim, bool constant,
                      int64_t capacity) {
    // Equal on all ranks: known now.
    if (constant)
      return scalarIndex(actor::ScalarKind::Constant, capacity, 1, 0, {});
    return scalarIndex(actor::ScalarKind::Extent, dim.size, dim.unit, dim.shift,
                       dim.axes);
  }

  LogicalResult emit();
  LogicalResult emitAction(const Action &action);
  actor::ContractDimAttr contractDim(const ContractLoop &loop) {
    return actor::ContractDimAttr::get(
        context, extentIndex(loop.dim, loop.constant, loop.capacity),
        loop.strides[0], loop.strides[1], loop.strides[2]);
  }
  Value collectiveOf(Operation *op, unsigned part);
  std::string siteOf(const Action &action) {
    std::string name = nameOf(action.op);
    // Of several tensors each may have a node of its own.
    if (auto fused = llvm::dyn_cast<FusedLoc>(action.op->getLoc());
        fused && action.stream == commStream &&
        fused.getLocations().size() == action.op->getNumResults())
      if (auto part =
              fused.getLocations()[action.part]->findInstanceOf<NameLoc>())
        name = part.getName().str();
    Value written;
    if (auto fill = llvm::dyn_cast<kernel::FillOp>(action.op))
      written = fill.getDest();
    else if (action.stream == commStream)
      written = destOf(action);
    if (name.empty() && written)
      name = buffers[places.find(written)->second.buffer].name;
    if (action.stream == commStream) {
      name += "/" + action.op->getName().stripDialect().str();
      if (action.part > 0)
        name += "." + std::to_string(action.part);
    }
    return name;
  }

  struct Wait {
    int action = -1; // -1: none
    int buffer = -1;
    bool isValue = false;
  };

  pipe::ProgramOp program;
  OpBuilder &builder;
  dist::MeshAttr mesh;
  llvm::StringMap<actor::VariableOp> &variables;
  const SymbolTable &symbols; // a lookup without one walks the module
  MLIRContext *context;

  bool hasLoop = false, usesComm = false;
  std::vector<BufferInfo> buffers;
  llvm::DenseMap<Value, Place> places;
  std::vector<Action> actions;
  std::vector<Wait> waits;
  std::vector<int> actorOf;
  std::vector<llvm::SmallVector<int>> actors;
  llvm::SmallVector<Attribute> inputs, outputs;

  llvm::SmallVector<Attribute> scalars;
  llvm::DenseMap<Attribute, int64_t> scalarIndices;
  std::vector<Value> bufferValues;
  llvm::DenseMap<std::pair<Operation *, unsigned>, Value> collectives;
};

LogicalResult EntryBuilder::emit() {
  Location loc = program.getLoc();
  int64_t microBatches = 1;
  if (hasLoop && mesh && mesh.getTimeAxis() >= 0)
    microBatches = mesh.getSizes()[mesh.getTimeAxis()];
  auto entry = actor::EntryOp::create(
      builder, loc, program.getEntryAttr(),
      builder.getI64IntegerAttr(microBatches), builder.getArrayAttr(inputs),
      builder.getArrayAttr(outputs), builder.getArrayAttr({}));
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointToEnd(&entry.getBody().emplaceBlock());

  llvm::SmallVector<Value> streams = {
      actor::StreamOp::create(builder, loc, actor::StreamType::get(context),
                              builder.getStringAttr("compute"))};
  if (usesComm)
    streams.push_back(actor::StreamOp::create(builder, loc,
                                              actor::StreamType::get(context),
                                              builder.getStringAttr("comm")));

  bufferValues.resize(buffers.size());
  auto optional = [&](int64_t index) {
    return index < 0 ? IntegerAttr() : builder.getI64IntegerAttr(index);
  };
  for (auto [i, info] : llvm::enumerate(buffers)) {
    if (!info.used)
      continue;
    Value segment;
    int64_t offset = 0;
    if (info.kind == BufferInfo::Kind::Variable) {
      actor::VariableOp variable = variables[info.variable];
      segment = variable.getSegment();
      offset = variable.getOffset();
    }
    bool carried = info.kind == BufferInfo::Kind::Local && info.carried;
    bufferValues[i] = actor::BufferOp::create(
        builder, loc, actor::BufferType::get(context),
        builder.getStringAttr(info.name), builder.getI64IntegerAttr(info.bytes),
        segment, builder.getI64IntegerAttr(offset),
        builder.getI64IntegerAttr(1), builder.getI64IntegerAttr(0),
        optional(info.binding), optional(info.output),
        carried && hasLoop ? builder.getUnitAttr() : UnitAttr());
  }

  // Collectives' descriptions first: an action's handle stands before it.
  for (const Action &action : actions)
    if (action.stream == commStream && action.phase == actor::Phase::Post)
      collectives[{action.op, action.part}] =
          collectiveOf(action.op, action.part);

  llvm::SmallVector<Value> actorValues;
  llvm::StringMap<int> names;
  for (llvm::ArrayRef<int> members : actors) {
    const Action &first = actions[members.front()];
    std::string name = siteOf(first);
    if (first.stream == commStream)
      name += "/" + actor::stringifyPhase(first.phase).str();
    // Reports and traces tell actors apart by name.
    if (int count = names[name]++)
      name += "#" + std::to_string(count);
    auto actorOp = actor::ActorOp::create(
        builder, first.op->getLoc(), actor::ActorType::get(context),
        builder.getStringAttr(name), streams[first.stream],
        first.section == Loop ? builder.getUnitAttr() : UnitAttr());
    OpBuilder::InsertionGuard bodyGuard(builder);
    builder.setInsertionPointToEnd(&actorOp.getBody().emplaceBlock());
    for (int a : members)
      if (failed(emitAction(actions[a])))
        return failure();
    actorValues.push_back(actorOp.getActor());
  }

  // Registers by (producer, buffer), reuse edges by pair, in order.
  std::map<std::pair<int, int>, llvm::SmallVector<int>> registers;
  std::map<std::pair<int, int>, bool> reuses;
  for (size_t a = 0; a < actions.size(); ++a) {
    const Wait &wait = waits[a];
    if (wait.action < 0)
      continue;
    int before = actorOf[wait.action], after = actorOf[a];
    // A value made before the loop waits for nobody's slot; nor does one that
    // is not read but overwritten.
    if (wait.isValue)
      registers[{before, wait.buffer}].push_back(after);
    else
      reuses[{before, after}] = true;
  }
  for (auto &[key, consumers] : registers) {
    llvm::SmallVector<Value> values;
    for (int consumer : consumers)
      values.push_back(actorValues[consumer]);
    actor::RegisterOp::create(builder, loc, bufferValues[key.second],
                              actorValues[key.first], values,
                              builder.getI64IntegerAttr(1));
  }
  for (auto &[key, unused] : reuses)
    actor::ReuseOp::create(builder, loc, actorValues[key.first],
                           actorValues[key.second],
                           builder.getI64IntegerAttr(0));

  for (int stream = 0, e = streams.size(); stream < e; ++stream) {
    llvm::SmallVector<Value> items;
    llvm::SmallVector<int64_t> batches;
    auto fire = [&](Section section, int64_t microBatch) {
      for (auto [i, members] : llvm::enumerate(actors)) {
        const Action &first = actions[members.front()];
        if (first.stream != stream || first.section != section)
          continue;
        items.push_back(actorValues[i]);
        batches.push_back(microBatch);
      }
    };
    fire(Prologue, -1);
    for (int64_t j = 0; j < microBatches; ++j)
      fire(Loop, j);
    fire(Epilogue, -1);
    actor::ScheduleOp::create(builder, loc, streams[stream], items,
                              builder.getDenseI64ArrayAttr(batches));
  }
  entry.setScalarsAttr(builder.getArrayAttr(scalars));
  return success();
}

LogicalResult EntryBuilder::emitAction(const Action &action) {
  Location loc = action.op->getLoc();
  StringAttr site = builder.getStringAttr(siteOf(action));
  llvm::SmallVector<Value> values;
  llvm::SmallVector<int64_t> offsets;
  auto add = [&](Value value) {
    const Place &place = places.find(value)->second;
    values.push_back(bufferValues[place.buffer]);
    offsets.push_back(place.byteOffset);
  };
  if (auto launch = llvm::dyn_cast<kernel::LaunchOp>(action.op)) {
    auto func = symbols.lookup<kernel::FuncOp>(launch.getKernel());
    if (!func)
      return launch.emitOpError("expects a kernel of the module, got '")
             << launch.getKernel() << "'";
    for (Value value : launch.getInputs())
      add(value);
    for (Value value : launch.getDests())
      add(value);
    llvm::SmallVector<int64_t> indices;
    if (auto expressions = func->getAttrOfType<ArrayAttr>("scalars"))
      for (Attribute expression : expressions) {
        auto numbers = llvm::dyn_cast<DenseI64ArrayAttr>(expression);
        if (!numbers || numbers.size() < 4 || numbers.asArrayRef().back() < 0 ||
            numbers.asArrayRef().back() > 2)
          return func.emitOpError("expects scalars as array<i64: size, unit, "
                                  "shift, axes..., "
                                  "kind>, got ")
                 << expression;
        llvm::ArrayRef<int64_t> array = numbers.asArrayRef();
        if (array.back() == 0) {
          auto keys = launch->getAttrOfType<DenseI64ArrayAttr>("site_keys");
          if (!keys || array[0] < 0 || array[0] >= keys.size())
            return launch.emitOpError("expects site key ")
                   << array[0] << " of its kernel among 'site_keys'";
          indices.push_back(scalarIndex(actor::ScalarKind::Constant,
                                        keys[array[0]], 1, 0, {}));
          continue;
        }
        indices.push_back(
            scalarIndex(static_cast<actor::ScalarKind>(array.back()), array[0],
                        array[1], array[2], array.drop_front(3).drop_back()));
      }
    actor::KernelOp::create(
        builder, loc, launch.getKernelAttr(), values,
        builder.getDenseI64ArrayAttr(offsets),
        builder.getI64IntegerAttr(launch.getInputs().size()),
        builder.getDenseI64ArrayAttr(indices),
        builder.getI64IntegerAttr(func.getChunks()), site);
    return success();
  }
  if (auto contract = llvm::dyn_cast<kernel::ContractOp>(action.op)) {
    std::array<ContractOperand, 3> operands;
    unsigned numLoops = 0;
    for (auto [i, value] : llvm::enumerate(ValueRange{
             contract.getLhs(), contract.getRhs(), contract.getDest()})) {
      AffineMap map =
          llvm::cast<AffineMapAttr>(contract.getMaps()[i]).getValue();
      numLoops = map.getNumDims();
      operands[i].type = llvm::cast<RankedTensorType>(value.getType());
      operands[i].strides = places.find(value)->second.strides;
      for (AffineExpr expr : map.getResults()) {
        auto dim = llvm::dyn_cast<AffineDimExpr>(expr);
        if (!dim)
          return contract.emitOpError("expects maps of loops, got ")
                 << contract.getMaps()[i];
        operands[i].loops.push_back(dim.getPosition());
      }
      add(value);
    }
    ContractNest nest = collapseContraction(numLoops, operands, mesh);
    llvm::SmallVector<Attribute> loops;
    for (const ContractLoop &loop : nest.loops)
      loops.push_back(contractDim(loop));
    // Indices of scalars follow the order of these calls.
    actor::ContractDimAttr m = contractDim(nest.m);
    actor::ContractDimAttr n = contractDim(nest.n);
    actor::ContractDimAttr k = contractDim(nest.k);
    actor::ContractOp::create(
        builder, loc, values[0], values[1], values[2],
        builder.getDenseI64ArrayAttr(offsets), builder.getArrayAttr(loops), m,
        n, k, contract.getAccumulate() ? builder.getUnitAttr() : UnitAttr(),
        TypeAttr::get(operands[2].type.getElementType()), site);
    return success();
  }
  if (auto fill = llvm::dyn_cast<kernel::FillOp>(action.op)) {
    add(fill.getDest());
    auto type = llvm::cast<RankedTensorType>(fill.getDest().getType());
    actor::FillOp::create(builder, loc, fill.getValueAttr(),
                          TypeAttr::get(type.getElementType()), values[0],
                          site);
    return success();
  }
  add(action.op->getOperand(action.part));
  add(destOf(action));
  actor::PhaseOp::create(
      builder, loc, actor::PhaseAttr::get(context, action.phase),
      collectives[{action.op, action.part}], values[0], values[1],
      builder.getDenseI64ArrayAttr(offsets), site);
  return success();
}

Value EntryBuilder::collectiveOf(Operation *op, unsigned part) {
  using actor::CollectiveKind;
  CollectiveKind kind = CollectiveKind::AllGather;
  actor::Combiner combiner = actor::Combiner::Sum;
  auto combinerOf = [](dist::Reduction reduction) {
    switch (reduction) {
    case dist::Reduction::Max:
      return actor::Combiner::Max;
    case dist::Reduction::Min:
      return actor::Combiner::Min;
    case dist::Reduction::Sum:
      break;
    }
    return actor::Combiner::Sum;
  };
  llvm::ArrayRef<int64_t> axes;
  llvm::TypeSwitch<Operation *>(op)
      .Case<dist::AllReduceOp>([&](dist::AllReduceOp reduce) {
        kind = CollectiveKind::AllReduce;
        combiner = combinerOf(reduce.getReduction());
        axes = reduce.getAxes();
      })
      .Case<dist::ReduceScatterOp>([&](dist::ReduceScatterOp scatter) {
        kind = CollectiveKind::ReduceScatter;
        combiner = combinerOf(scatter.getReduction());
        axes = scatter.getAxes();
      })
      .Case<dist::AllGatherOp>(
          [&](dist::AllGatherOp gather) { axes = gather.getAxes(); })
      .Case<dist::AllToAllOp>([&](dist::AllToAllOp exchange) {
        kind = CollectiveKind::AllToAll;
        axes = exchange.getAxes();
      })
      .Case<dist::ExchangeOp>([&](dist::ExchangeOp exchange) {
        kind = CollectiveKind::Exchange;
        axes = exchange.getAxes();
      });

  Value input = op->getOperand(part),
        dest = op->getOperand(op->getNumResults() + part);
  auto in = llvm::cast<RankedTensorType>(input.getType());
  auto out = llvm::cast<RankedTensorType>(dest.getType());
  auto shardOf = [](RankedTensorType type, int64_t dim) {
    auto shard = llvm::dyn_cast_or_null<dist::ShardAttr>(type.getEncoding());
    return shard ? shard.getDims()[dim] : dist::ShardDim();
  };
  const Place &inPlace = places.find(input)->second;
  const Place &outPlace = places.find(dest)->second;
  llvm::SmallVector<int64_t> logical = dist::getLogicalShape(in);
  llvm::SmallVector<Attribute> dims;
  for (int64_t d = 0; d < in.getRank(); ++d) {
    dist::ShardDim from = shardOf(in, d), to = shardOf(out, d);
    dims.push_back(actor::CollectiveDimAttr::get(
        context, logical[d], from.axes, to.axes, inPlace.strides[d],
        outPlace.strides[d], from.unit, to.unit, from.shift, to.shift));
  }
  return actor::CollectiveOp::create(
      builder, op->getLoc(), actor::CollectiveType::get(context),
      actor::CollectiveKindAttr::get(context, kind),
      actor::CombinerAttr::get(context, combiner),
      builder.getDenseI64ArrayAttr(axes), builder.getArrayAttr(dims),
      TypeAttr::get(in.getElementType()));
}

struct BuildActorsPass : impl::BuildActorsPassBase<BuildActorsPass> {
  using BuildActorsPassBase::BuildActorsPassBase;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    MLIRContext *context = &getContext();
    if (team < 1) {
      module.emitError("weir-build-actors: expects a positive team, got ")
          << team;
      return signalPassFailure();
    }
    dist::MeshAttr mesh = dist::getMesh(module);
    // Placed by kind: parameters may be shared between sessions, state not.
    struct Placed {
      graph::VariableOp op;
      int64_t offset, bytes;
    };
    std::vector<Placed> placed[2];
    int64_t top[2] = {0, 0};
    for (graph::VariableOp variable : module.getOps<graph::VariableOp>()) {
      RankedTensorType type = variable.getTensorType();
      auto layout = variable->getAttrOfType<dist::LayoutAttr>(
          dist::DistDialect::getLayoutAttrName());
      if (mesh && layout)
        type = dist::getLocalType(type, layout, mesh);
      bool isState = variable.getKind() != graph::VariableKind::Parameter;
      int64_t bytes = localBytes(type);
      placed[isState].push_back({variable, top[isState], bytes});
      top[isState] += actor::alignUp(bytes);
    }

    OpBuilder builder = OpBuilder::atBlockEnd(module.getBody());
    auto plan = actor::PlanOp::create(builder, module.getLoc(),
                                      builder.getI64IntegerAttr(0),
                                      builder.getI64IntegerAttr(team));
    builder.setInsertionPointToEnd(&plan.getBody().emplaceBlock());
    llvm::StringMap<actor::VariableOp> variables;
    Value segments[2];
    for (int i = 0; i < 2; ++i) {
      auto kind =
          i == 0 ? actor::SegmentKind::Parameters : actor::SegmentKind::State;
      segments[i] = actor::SegmentOp::create(
          builder, module.getLoc(), actor::SegmentType::get(context),
          builder.getStringAttr(actor::stringifySegmentKind(kind)),
          actor::SegmentKindAttr::get(context, kind),
          builder.getI64IntegerAttr(top[i]));
    }
    for (int i = 0; i < 2; ++i)
      for (Placed &place : placed[i])
        variables[place.op.getSymName()] = actor::VariableOp::create(
            builder, place.op.getLoc(),
            FlatSymbolRefAttr::get(place.op.getSymNameAttr()), segments[i],
            builder.getI64IntegerAttr(place.offset),
            builder.getI64IntegerAttr(place.bytes));

    bool failed = false;
    const SymbolTable symbols(module);
    for (pipe::ProgramOp program :
         llvm::make_early_inc_range(module.getOps<pipe::ProgramOp>())) {
      if (program.getRole() != 0) {
        program.emitOpError("expects role 0, got ")
            << program.getRole() << ": more than one stage is not supported";
        failed = true;
        continue;
      }
      if (mlir::failed(EntryBuilder(program, builder, mesh, variables, symbols)
                           .build())) {
        failed = true;
        continue;
      }
      program.erase();
    }
    if (failed)
      signalPassFailure();
  }
};

} // namespace

} // namespace weir::compiler
