// SPDX-License-Identifier: Apache-2.0
#include "compiler/Sharding/Layouts.h"
#include "compiler/Sharding/Passes.h"
#include "compiler/Sharding/Reshard.h"
#include "compiler/Sharding/Signatures.h"

#include "llvm/Support/GlobPattern.h"

#include <limits>
#include <optional>

namespace weir::compiler {
#define GEN_PASS_DEF_PROPAGATELAYOUTSPASS
#include "compiler/Sharding/Passes.h.inc"
} // namespace weir::compiler

using namespace mlir;
using namespace weir;
using namespace weir::compiler;
using dist::AxisLayout;
using dist::LayoutAttr;

namespace {

constexpr double impossible = std::numeric_limits<double>::infinity();
/// Scalar operations that take as long as moving one byte: a core does some
/// tens of them in a nanosecond, a link or shared memory some bytes.
constexpr double workPerByte = 4;
/// Copying the slice of a whole value, against receiving its bytes.
constexpr double sliceFactor = 0.5;
/// A result that is split where its operands were whole will be gathered, and
/// so will its gradient.
constexpr double newSplitFactor = 2;
/// Where a strategy splits variables to divide the work on them, the work goes
/// to the variables.
constexpr double splitVariableFactor = 64;

/// How many ops in a row may wait for their first use: what a use costs is
/// found by trying all their signatures.
constexpr unsigned maxPendingDepth = 2;

enum class Strategy { Whole, Data, Megatron, Micro };

struct Override {
  std::string text;
  llvm::GlobPattern pattern;
  LayoutAttr layout;
  bool used = false;
};

/// Layouts of one value on the axis under decision.
struct ValueState {
  /// The producer's layout first, then those made by reshards.
  SmallVector<AxisLayout, 3> versions;
  /// Time axis: made from what the loop reduced, so not visible in it.
  bool afterLoop = false;
  /// Enters the program whole, whatever its first version is.
  bool boundary = false;
  /// Produced by a generator, or from such values alone, and waits for its
  /// first use.
  bool pending = false;
  /// Number of ops that wait in front of it.
  unsigned depth = 0;
};

/// One entry and the layouts decided for it so far.
class EntryLayouts {
public:
  EntryLayouts(graph::EntryOp entry, unsigned numAxes)
      : entry(entry), numAxes(numAxes) {
    Block &block = entry.getBody().front();
    for (Operation &op : block.without_terminator()) {
      index[&op] = ops.size();
      first.push_back(flat.size());
      flat.resize(flat.size() +
                  (op.getNumOperands() + op.getNumResults()) * numAxes);
      ops.push_back(&op);
    }
    arguments.resize(block.getNumArguments() * numAxes);
    required.resize(block.getTerminator()->getNumOperands() * numAxes);
  }

  MutableArrayRef<AxisLayout> operand(unsigned op, unsigned i) {
    return MutableArrayRef(flat).slice(first[op] + i * numAxes, numAxes);
  }
  MutableArrayRef<AxisLayout> result(unsigned op, unsigned i) {
    return operand(op, ops[op]->getNumOperands() + i);
  }
  MutableArrayRef<AxisLayout> argument(unsigned i) {
    return MutableArrayRef(arguments).slice(i * numAxes, numAxes);
  }
  MutableArrayRef<AxisLayout> returned(unsigned i) {
    return MutableArrayRef(required).slice(i * numAxes, numAxes);
  }
  /// The layout that a value's producer gives it.
  ArrayRef<AxisLayout> produced(Value value) {
    if (auto argument = dyn_cast<BlockArgument>(value))
      return this->argument(argument.getArgNumber());
    return result(index.lookup(value.getDefiningOp()),
                  cast<OpResult>(value).getResultNumber());
  }
  void resetAxis(unsigned axis) {
    for (size_t i = axis; i < flat.size(); i += numAxes)
      flat[i] = AxisLayout::broadcast();
  }

  graph::EntryOp entry;
  unsigned numAxes;
  std::vector<Operation *> ops;
  DenseMap<Operation *, unsigned> index;
  std::vector<size_t> first;
  std::vector<AxisLayout> flat, arguments, required;
  /// Layout that the user wants of an argument right after the boundary.
  DenseMap<unsigned, LayoutAttr> entryLayouts;
  /// Layout that a value will have to end in, from the updates that read it.
  DenseMap<Value, ArrayRef<AxisLayout>> hints;
  /// Dim that the time axis will split (a first decision without other axes).
  DenseMap<Value, int64_t> timeSplit;
  bool updates = false;
  bool microBatched = false;
};

/// The greedy pass over one entry on one axis.
class AxisDecision {
public:
  AxisDecision(EntryLayouts &layouts, SignatureAnalysis &analysis,
               dist::MeshAttr mesh, unsigned axis, bool preliminary,
               double variableFactor, ArrayRef<Override> overrides)
      : layouts(layouts), analysis(analysis), mesh(mesh), axis(axis),
        parts(mesh.getSizes()[axis]), isTime(mesh.isTime(axis)),
        preliminary(preliminary), variableFactor(variableFactor),
        overrides(overrides) {}

  /// `splitInputs`: the strategy splits the leading dim of the caller's
  /// tensors.
  LogicalResult run(bool splitInputs, bool emitErrors) {
    emit = emitErrors;
    Block &block = layouts.entry.getBody().front();
    for (BlockArgument argument : block.getArguments()) {
      ValueState &state = states[argument];
      unsigned i = argument.getArgNumber();
      AxisLayout layout = layouts.argument(i)[axis];
      if (layouts.entry.getArgumentVariable(i).empty()) {
        state.boundary = true;
        auto wanted = layouts.entryLayouts.find(i);
        if (wanted != layouts.entryLayouts.end())
          layout = wanted->second.getAxes()[axis];
        else if (splitInputs &&
                 cast<RankedTensorType>(argument.getType()).getRank() > 0)
          layout = AxisLayout::split(0);
      }
      state.versions.push_back(layout);
    }
    bool ok = true;
    for (auto [i, op] : llvm::enumerate(layouts.ops))
      ok &= succeeded(decide(i));
    // What nobody used, and what is returned as it is.
    Operation *terminator = block.getTerminator();
    for (OpOperand &operand : terminator->getOpOperands()) {
      ValueState &state = states[operand.get()];
      AxisLayout want = layouts.returned(operand.getOperandNumber())[axis];
      if (state.pending)
        commit(operand.get(),
               generates(operand.get(), want) ? want : AxisLayout::broadcast());
      if (cost(operand.get(), want, bytesOf(operand.get().getType()), {},
               false) != impossible)
        continue;
      ok = false;
      if (emit) {
        InFlightDiagnostic diag = layouts.entry.emitOpError("expects result ");
        diag << operand.getOperandNumber() << " to be " << text(want)
             << " on mesh axis '" << mesh.getNames()[axis].getValue()
             << "', got " << text(state.versions[0]);
        if (isTime)
          diag << ": the micro-batch loop can only sum up what it returns";
      }
    }
    for (unsigned i = 0; i < layouts.ops.size(); ++i) {
      Operation *op = layouts.ops[i];
      if (op->getNumResults() == 1 && states[op->getResult(0)].pending)
        commit(op->getResult(0), AxisLayout::broadcast());
    }
    if (preliminary) {
      layouts.timeSplit.clear();
      for (unsigned i = 0; i < layouts.ops.size(); ++i)
        for (OpResult result : layouts.ops[i]->getResults())
          if (layouts.result(i, result.getResultNumber())[axis].isSplit())
            layouts.timeSplit[result] =
                layouts.result(i, result.getResultNumber())[axis].dim;
    }
    return success(ok);
  }

private:
  static std::string text(const AxisLayout &layout) {
    std::string out;
    llvm::raw_string_ostream(out) << layout;
    return out;
  }

  /// The type of an operand use or result that the decided axes leave.
  Type localType(Type logical, ArrayRef<AxisLayout> decided) {
    if (preliminary)
      return logical;
    SmallVector<AxisLayout> known(decided.take_front(axis));
    bool split = false;
    for (AxisLayout &entry : known) {
      if (entry.isSplit())
        split = true;
      else
        entry = AxisLayout::broadcast();
    }
    if (!split)
      return logical;
    known.resize(mesh.getNumAxes());
    return dist::getLocalType(cast<RankedTensorType>(logical),
                              LayoutAttr::get(logical.getContext(), known),
                              mesh);
  }

  const OpRules &rulesOf(unsigned i) {
    Operation *op = layouts.ops[i];
    SmallVector<Type> operands, results;
    for (OpOperand &operand : op->getOpOperands())
      operands.push_back(
          localType(operand.get().getType(),
                    layouts.operand(i, operand.getOperandNumber())));
    for (OpResult result : op->getResults())
      results.push_back(localType(result.getType(),
                                  layouts.result(i, result.getResultNumber())));
    return analysis.getRules(op, operands, results);
  }

  /// Cost of one reshard on this axis, `bytes` before splitting over it.
  double reshard(const AxisLayout &from, const AxisLayout &to, double bytes) {
    if (from == to)
      return 0;
    double k = static_cast<double>(parts), others = (k - 1) / k;
    if (isTime) {
      if (from.isBroadcast() && to.isSplit())
        return 0;
      // The accumulator is read and written by every micro-batch.
      if (from.isPartial() && to.isBroadcast())
        return 2 * bytes;
      return impossible;
    }
    if (from.isBroadcast())
      return to.isSplit() ? sliceFactor * bytes / k : 0;
    if (from.isPartial())
      return (to.isSplit() ? 1 : 2) * bytes * others + collectiveLatencyBytes;
    if (to.isSplit())
      return bytes / k * others + collectiveLatencyBytes;
    return bytes * others + collectiveLatencyBytes;
  }

  /// Whether a change of this axis would cross micro-batches: a dim that the
  /// time axis splits keeps its splits over other axes.
  bool crossesMicroBatches(Value value, const AxisLayout &from,
                           const AxisLayout &to, ArrayRef<AxisLayout> use) {
    if (from == to && !isTime)
      return false;
    if (!isTime) {
      auto split = layouts.timeSplit.find(value);
      return split != layouts.timeSplit.end() &&
             (from.isSplit(split->second) || to.isSplit(split->second));
    }
    if (preliminary || !to.isSplit() || !from.isSplit() || use.empty())
      return false;
    ArrayRef<AxisLayout> made = layouts.produced(value);
    for (unsigned a = 0; a < axis; ++a)
      if (made[a].isSplit(to.dim) != use[a].isSplit(to.dim))
        return true;
    return false;
  }

  bool generates(Value value, const AxisLayout &want) {
    for (const OpSignature &signature :
         rulesOf(layouts.index.lookup(value.getDefiningOp())).signatures)
      if (signature.results[0] == want && signature.allows(parts))
        return true;
    return false;
  }

  /// Cheapest way to have `value` in layout `want`. `inLoop`: for an op of the
  /// micro-batch loop.
  double cost(Value value, const AxisLayout &want, double bytes,
              ArrayRef<AxisLayout> use, bool inLoop) {
    const ValueState &state = states[value];
    if (state.pending) {
      unsigned producer = layouts.index.lookup(value.getDefiningOp());
      double best = impossible;
      for (const OpSignature &signature : rulesOf(producer).signatures)
        if (signature.results[0] == want && signature.allows(parts))
          best = std::min(best, operandsCost(producer, signature,
                                             inLoop || !want.isBroadcast()));
      if (best == impossible && !want.isBroadcast())
        best = cost(value, AxisLayout::broadcast(), bytes, use, inLoop) +
               reshard(AxisLayout::broadcast(), want, bytes);
      return best;
    }
    double best = impossible;
    for (const AxisLayout &version : state.versions) {
      if (isTime && !state.boundary) {
        bool resolved = version.isBroadcast() &&
                        (state.afterLoop || version != state.versions[0]);
        if (resolved && (inLoop || !want.isBroadcast()))
          continue;
        if (version.isPartial() && want.isBroadcast() && inLoop)
          continue;
      }
      if (!state.boundary && crossesMicroBatches(value, version, want, use))
        continue;
      double factor =
          isa<BlockArgument>(value) && !state.boundary ? variableFactor : 1;
      best = std::min(best, factor * reshard(version, want, bytes));
    }
    return best;
  }

  double operandsCost(unsigned i, const OpSignature &signature, bool inLoop) {
    Operation *op = layouts.ops[i];
    double total = 0;
    for (OpOperand &operand : op->getOpOperands()) {
      unsigned n = operand.getOperandNumber();
      // A value used twice in one layout moves once.
      bool seen = false;
      for (unsigned m = 0; m < n; ++m)
        seen |= op->getOperand(m) == operand.get() &&
                signature.operands[m] == signature.operands[n];
      double one = cost(
          operand.get(), signature.operands[n],
          bytesOf(localType(operand.get().getType(), layouts.operand(i, n))),
          layouts.operand(i, n), inLoop);
      if (one == impossible)
        return impossible;
      total += seen ? 0 : one;
    }
    return total;
  }

  static bool inLoopOf(const OpSignature &signature) {
    return !signature.isBroadcast();
  }

  double signatureCost(unsigned i, const OpRules &rules,
                       const OpSignature &signature) {
    if (!signature.allows(parts))
      return impossible;
    Operation *op = layouts.ops[i];
    bool inLoop = isTime && inLoopOf(signature);
    double total = operandsCost(i, signature, inLoop);
    if (total == impossible)
      return impossible;
    double k = static_cast<double>(parts);
    bool splits = false, available = false;
    for (OpOperand &operand : op->getOpOperands()) {
      const AxisLayout &layout = signature.operands[operand.getOperandNumber()];
      if (!layout.isSplit())
        continue;
      splits = true;
      const ValueState &state = states[operand.get()];
      for (const AxisLayout &version : state.versions)
        available |= !state.pending && version.isSplit();
    }
    // On the time axis a partial op runs once for each micro-batch.
    if (isTime) {
      bool anySplit =
          splits || llvm::any_of(signature.results, [](const AxisLayout &l) {
            return l.isSplit();
          });
      if (inLoop && !anySplit)
        total += rules.work / workPerByte * (k - 1);
    } else {
      total += (signature.splitWork / k + (rules.work - signature.splitWork)) /
               workPerByte;
    }
    for (OpResult result : op->getResults()) {
      const AxisLayout &layout = signature.results[result.getResultNumber()];
      double bytes = bytesOf(localType(
          result.getType(), layouts.result(i, result.getResultNumber())));
      bool returned = false;
      for (OpOperand &use : result.getUses()) {
        if (use.getOwner()->hasTrait<OpTrait::IsTerminator>()) {
          double back = reshard(
              layout, layouts.returned(use.getOperandNumber())[axis], bytes);
          if (back == impossible)
            return impossible;
          total += back;
          returned = true;
        }
      }
      if (returned || result.use_empty())
        continue;
      auto hint = layouts.hints.find(result);
      if (hint != layouts.hints.end() && !isTime) {
        total += reshard(layout, hint->second[axis], bytes);
        continue;
      }
      if (layout.isPartial())
        total += reshard(layout, AxisLayout::broadcast(), bytes);
      // A split where there was none will have to be gathered.
      else if (layout.isSplit() && !available && !isTime)
        total += newSplitFactor * bytes * (k - 1) / k;
    }
    // Resharding a value to what it does not end in costs the way back.
    if (!isTime)
      for (OpOperand &operand : op->getOpOperands()) {
        auto hint = layouts.hints.find(operand.get());
        if (hint == layouts.hints.end())
          continue;
        const AxisLayout &layout =
            signature.operands[operand.getOperandNumber()];
        const ValueState &state = states[operand.get()];
        if (!llvm::is_contained(state.versions, layout))
          total +=
              reshard(layout, hint->second[axis],
                      bytesOf(localType(
                          operand.get().getType(),
                          layouts.operand(i, operand.getOperandNumber()))));
      }
    return total;
  }

  /// Number of partial results: of signatures of equal cost the one with fewer
  /// is taken, so that a value is reduced as soon as that costs the same.
  static unsigned numPartial(const OpSignature &signature) {
    return llvm::count_if(signature.results, [](const AxisLayout &layout) {
      return layout.isPartial();
    });
  }
  /// The other way round for scalars, where it is the message that costs: a
  /// chain of their sums is reduced once, at its end.
  bool waitsToReduce(Operation *op) {
    return !isTime && llvm::all_of(op->getResults(), [](OpResult result) {
      return cast<RankedTensorType>(result.getType()).getNumElements() == 1 &&
             llvm::none_of(result.getUsers(), [](Operation *user) {
               return user->hasTrait<OpTrait::IsTerminator>();
             });
    });
  }

  const Override *overrideOf(Operation *op) {
    StringRef name = nameOf(op);
    if (name.empty())
      return nullptr;
    const Override *found = nullptr;
    for (const Override &candidate : overrides)
      if (candidate.pattern.match(name))
        found = &candidate;
    return found;
  }

  LogicalResult decide(unsigned i) {
    Operation *op = layouts.ops[i];
    const OpRules &rules = rulesOf(i);
    const Override *forced = overrideOf(op);
    if (op->getNumResults() == 1 && !forced) {
      unsigned depth = 0;
      bool waits = op->getNumOperands() > 0;
      for (Value operand : op->getOperands()) {
        waits &= states[operand].pending;
        if (states[operand].pending)
          depth = std::max(depth, states[operand].depth + 1);
      }
      if ((rules.isGenerator || waits) && depth <= maxPendingDepth) {
        ValueState &state = states[op->getResult(0)];
        state.pending = true;
        state.depth = depth;
        return success();
      }
    }
    const OpSignature *best = nullptr;
    double bestCost = impossible;
    bool forcedExists = false, late = waitsToReduce(op);
    for (const OpSignature &signature : rules.signatures) {
      if (forced && signature.results[0] != forced->layout.getAxes()[axis])
        continue;
      forcedExists = true;
      double total = signatureCost(i, rules, signature);
      if (total == impossible)
        continue;
      // Costs are sums of a few terms: what differs in rounding only is equal.
      double margin =
          1e-9 * std::max(1.0, bestCost == impossible ? 1.0 : bestCost);
      bool better = !best || total < bestCost - margin;
      if (!better && total < bestCost + margin)
        better = late ? numPartial(signature) > numPartial(*best)
                      : numPartial(signature) < numPartial(*best);
      if (!better)
        continue;
      best = &signature;
      bestCost = total;
    }
    if (!best) {
      if (emit)
        diagnose(i, rules, forcedExists ? nullptr : forced);
      // Later ops are judged as if this one had been whole.
      take(i, rules.signatures.front());
      return failure();
    }
    take(i, *best);
    return success();
  }

  void diagnose(unsigned i, const OpRules &rules, const Override *forced) {
    Operation *op = layouts.ops[i];
    StringRef name = mesh.getNames()[axis].getValue();
    if (forced) {
      InFlightDiagnostic diag = op->emitError();
      diag << "expects an override that " << describe(op)
           << " can fulfil on mesh axis '" << name << "' of size " << parts
           << ", got '" << forced->text << "'";
      Diagnostic &note = diag.attachNote();
      note << "sound on this axis:";
      for (const OpSignature &signature : rules.signatures) {
        std::string line;
        llvm::raw_string_ostream(line) << " [" << signature << "]";
        note << line;
      }
      return;
    }
    InFlightDiagnostic diag = op->emitError();
    diag << "expects " << describe(op) << " to run on mesh axis '" << name
         << "' of size " << parts;
    if (isTime)
      diag << " in micro-batches, but it needs whole tensors that only all of "
              "them together "
              "give";
    for (OpOperand &operand : op->getOpOperands()) {
      const ValueState &state = states[operand.get()];
      if (state.pending)
        continue;
      diag.attachNote(operand.get().getLoc())
          << "operand " << operand.getOperandNumber() << " is "
          << operand.get().getType() << " in layout " << text(state.versions[0])
          << (state.afterLoop ? ", known after the loop" : "");
    }
  }

  /// Fixes the layout of a pending value by its generator's signature.
  void commit(Value value, const AxisLayout &want) {
    unsigned producer = layouts.index.lookup(value.getDefiningOp());
    const OpSignature *best = nullptr;
    double bestCost = impossible;
    const OpRules &rules = rulesOf(producer);
    for (const OpSignature &signature : rules.signatures) {
      if (signature.results[0] != want || !signature.allows(parts))
        continue;
      double total =
          operandsCost(producer, signature, isTime && !want.isBroadcast());
      if (total < bestCost) {
        bestCost = total;
        best = &signature;
      }
    }
    states[value].pending = false;
    take(producer, best ? *best : rules.signatures.front());
  }

  void take(unsigned i, const OpSignature &signature) {
    Operation *op = layouts.ops[i];
    bool afterLoop = false;
    for (OpOperand &operand : op->getOpOperands()) {
      unsigned n = operand.getOperandNumber();
      const AxisLayout &layout = signature.operands[n];
      layouts.operand(i, n)[axis] = layout;
      if (states[operand.get()].pending)
        commit(operand.get(), generates(operand.get(), layout)
                                  ? layout
                                  : AxisLayout::broadcast());
      ValueState &state = states[operand.get()];
      if (!llvm::is_contained(state.versions, layout))
        state.versions.push_back(layout);
      if (isTime && layout.isBroadcast())
        afterLoop |= state.afterLoop ||
                     (!state.boundary && !state.versions[0].isBroadcast());
    }
    for (OpResult result : op->getResults()) {
      const AxisLayout &layout = signature.results[result.getResultNumber()];
      layouts.result(i, result.getResultNumber())[axis] = layout;
      ValueState &state = states[result];
      state.pending = false;
      state.versions.assign(1, layout);
      state.afterLoop = afterLoop && layout.isBroadcast();
    }
  }

  EntryLayouts &layouts;
  SignatureAnalysis &analysis;
  dist::MeshAttr mesh;
  unsigned axis;
  int64_t parts;
  bool isTime, preliminary;
  double variableFactor;
  ArrayRef<Override> overrides;
  bool emit = true;
  DenseMap<Value, ValueState> states;
};

class PropagateLayouts
    : public compiler::impl::PropagateLayoutsPassBase<PropagateLayouts> {
public:
  using PropagateLayoutsPassBase::PropagateLayoutsPassBase;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    mesh = dist::getMesh(module);
    if (!mesh)
      return;
    MLIRContext *context = &getContext();
    numAxes = mesh.getNumAxes();
    if (failed(readStrategies()) || failed(readOverrides()))
      return signalPassFailure();
    if (failed(decideVariables(module)))
      return signalPassFailure();

    SignatureAnalysis analysis(mesh);
    bool ok = true;
    for (auto entry : module.getOps<graph::EntryOp>()) {
      EntryLayouts layouts(entry, numAxes);
      if (failed(bindEntry(layouts)) ||
          failed(decideEntry(layouts, analysis))) {
        ok = false;
        continue;
      }
      writeEntry(layouts, context);
    }
    // A pattern of variables and ops that meets neither is a typing error.
    for (const Override &override : overrideList)
      if (!override.used) {
        module.emitError(
            "expects an override that matches a variable or an op, got '")
            << override.text << "'";
        ok = false;
      }
    if (!ok)
      signalPassFailure();
  }

private:
  LogicalResult readStrategies() {
    axisStrategies.assign(numAxes, Strategy::Whole);
    for (unsigned axis = 0; axis < numAxes; ++axis) {
      StringRef name = mesh.getNames()[axis].getValue();
      if (mesh.isTime(axis))
        axisStrategies[axis] = Strategy::Micro;
      else if (name == "dp")
        axisStrategies[axis] = Strategy::Data;
      else if (name == "tp")
        axisStrategies[axis] = Strategy::Megatron;
    }
    for (const std::string &text : strategies) {
      auto [name, value] = StringRef(text).split('=');
      int axis = mesh.findAxis(name);
      if (axis < 0)
        return getOperation().emitError(
                   "expects a strategy of an axis of the mesh, got '")
               << text << "'";
      std::optional<Strategy> strategy =
          llvm::StringSwitch<std::optional<Strategy>>(value)
              .Case("whole", Strategy::Whole)
              .Case("data", Strategy::Data)
              .Case("megatron", Strategy::Megatron)
              .Case("micro", Strategy::Micro)
              .Default(std::nullopt);
      if (!strategy)
        return getOperation().emitError("expects strategy 'whole', 'data', "
                                        "'megatron' or 'micro', got '")
               << text << "'";
      if (mesh.isTime(axis) && *strategy != Strategy::Micro &&
          *strategy != Strategy::Whole)
        return getOperation().emitError(
                   "expects strategy 'micro' or 'whole' of time axis '")
               << name << "', got '" << value << "'";
      if (!mesh.isTime(axis) && *strategy == Strategy::Micro)
        return getOperation().emitError(
                   "expects strategy 'micro' of a time axis, got '")
               << text << "'";
      axisStrategies[axis] = *strategy;
    }
    return success();
  }

  LogicalResult readOverrides() {
    for (const std::string &text : overrides) {
      size_t equals = text.rfind('=');
      if (equals == std::string::npos)
        return getOperation().emitError(
                   "expects an override such as 'pattern=[S(0), B]', "
                   "got '")
               << text << "'";
      llvm::Expected<llvm::GlobPattern> pattern =
          llvm::GlobPattern::create(StringRef(text).take_front(equals).trim());
      if (!pattern) {
        llvm::consumeError(pattern.takeError());
        return getOperation().emitError("expects a name pattern in override '")
               << text << "'";
      }
      LayoutAttr layout = dist::parseLayout(
          StringRef(text).drop_front(equals + 1).trim(), &getContext(),
          [&] { return getOperation().emitError(); });
      if (!layout)
        return failure();
      SmallVector<AxisLayout> axes(layout.getAxes());
      if (axes.size() > numAxes)
        return getOperation().emitError("expects an override of at most ")
               << numAxes << " mesh axes, got '" << text << "'";
      axes.resize(numAxes);
      overrideList.push_back({text, std::move(*pattern),
                              LayoutAttr::get(&getContext(), axes), false});
    }
    return success();
  }

  LogicalResult checkLayout(Operation *op, StringRef name,
                            RankedTensorType type, LayoutAttr layout) {
    if (layout.getAxes().size() != numAxes)
      return op->emitError("expects a layout with one entry for each of the ")
             << numAxes << " mesh axes of '" << name << "', got " << layout;
    for (auto [axis, entry] : llvm::enumerate(layout.getAxes())) {
      StringRef axisName = mesh.getNames()[axis].getValue();
      if (entry.isPartial())
        return op->emitError("expects no partial layout of '")
               << name << "' on mesh axis '" << axisName << "', got " << layout;
      if (entry.isSplit() && entry.dim >= type.getRank())
        return op->emitError("expects the layout of '")
               << name << "' to split one of its " << type.getRank()
               << " dims on mesh axis '" << axisName << "', got " << layout;
      if (entry.isSplit() && mesh.isTime(axis))
        return op->emitError("expects '")
               << name << "' to be whole on time axis '" << axisName
               << "', got " << layout;
    }
    return success();
  }

  LogicalResult decideVariables(ModuleOp module) {
    bool ok = true;
    SmallVector<graph::VariableOp> dependents;
    SymbolTable symbols(module);
    for (auto variable : module.getOps<graph::VariableOp>()) {
      LayoutAttr layout = variable->getAttrOfType<LayoutAttr>(
          dist::DistDialect::getLayoutAttrName());
      for (Override &candidate : overrideList)
        if (candidate.pattern.match(variable.getSymName())) {
          layout = candidate.layout;
          candidate.used = true;
        }
      if (!layout &&
          variable.getKind() == graph::VariableKind::OptimizerState) {
        dependents.push_back(variable);
        continue;
      }
      if (!layout)
        layout = strategyLayout(variable);
      if (failed(checkLayout(variable, variable.getSymName(),
                             variable.getTensorType(), layout))) {
        ok = false;
        continue;
      }
      variable->setAttr(dist::DistDialect::getLayoutAttrName(), layout);
      variables[variable.getSymName()] = layout;
    }
    // State is updated with its parameter, element by element.
    for (graph::VariableOp variable : dependents) {
      StringRef owner = variable.getSymName();
      LayoutAttr layout = LayoutAttr::getBroadcast(&getContext(), numAxes);
      while (!owner.empty()) {
        owner = owner.substr(
            0, owner.rfind('/') == StringRef::npos ? 0 : owner.rfind('/'));
        auto found = variables.find(owner);
        auto parameter = symbols.lookup<graph::VariableOp>(owner);
        if (found != variables.end() && parameter &&
            parameter.getTensorType().getShape() ==
                variable.getTensorType().getShape()) {
          layout = found->second;
          break;
        }
      }
      variable->setAttr(dist::DistDialect::getLayoutAttrName(), layout);
      variables[variable.getSymName()] = layout;
    }
    return success(ok);
  }

  LayoutAttr strategyLayout(graph::VariableOp variable) {
    SmallVector<AxisLayout> axes(numAxes);
    auto dim = variable->getAttrOfType<IntegerAttr>("weir.tp_dim");
    for (unsigned axis = 0; axis < numAxes; ++axis)
      if (axisStrategies[axis] == Strategy::Megatron && dim)
        axes[axis] = AxisLayout::split(dim.getInt());
    return LayoutAttr::get(&getContext(), axes);
  }

  LogicalResult bindEntry(EntryLayouts &layouts) {
    graph::EntryOp entry = layouts.entry;
    Block &block = entry.getBody().front();
    bool ok = true;
    for (Operation *op : layouts.ops) {
      if (!isa<graph::ExpandOpInterface>(op)) {
        op->emitError("expects a compute op of the graph dialect in entry '@")
            << entry.getSymName() << "', got '" << op->getName() << "'";
        ok = false;
      }
      StringRef name = nameOf(op);
      if (!name.empty())
        for (Override &candidate : overrideList)
          candidate.used |= candidate.pattern.match(name);
    }
    for (unsigned i = 0, e = block.getNumArguments(); i < e; ++i) {
      StringRef name = entry.getArgumentVariable(i);
      if (!name.empty()) {
        llvm::copy(variables.lookup(name).getAxes(),
                   layouts.argument(i).begin());
        continue;
      }
      auto wanted = entry.getArgAttrOfType<LayoutAttr>(
          i, dist::DistDialect::getLayoutAttrName());
      if (!wanted)
        continue;
      auto type = cast<RankedTensorType>(block.getArgument(i).getType());
      if (wanted.getAxes().size() != numAxes || wanted.hasPartial() ||
          llvm::any_of(wanted.getAxes(), [&](const AxisLayout &axis) {
            return axis.isSplit() && axis.dim >= type.getRank();
          })) {
        entry.emitOpError("expects a layout of splits of argument ")
            << i << " for each mesh axis, got " << wanted;
        ok = false;
        continue;
      }
      if (!wanted.isBroadcast())
        layouts.entryLayouts[i] = wanted;
    }
    for (unsigned i = 0, e = block.getTerminator()->getNumOperands(); i < e;
         ++i) {
      StringRef name = entry.getResultVariable(i);
      if (name.empty())
        continue;
      layouts.updates = true;
      llvm::copy(variables.lookup(name).getAxes(), layouts.returned(i).begin());
    }
    collectHints(layouts);
    return success(ok);
  }

  /// An op that reads a variable and returns its update works in the variable's
  /// layout; the other operands of that shape (gradients) end in it, and so do
  /// the terms that element-wise ops make these from.
  void collectHints(EntryLayouts &layouts) {
    for (auto it = layouts.ops.rbegin(); it != layouts.ops.rend(); ++it) {
      Operation *op = *it;
      std::optional<ArrayRef<AxisLayout>> hint;
      Type type;
      for (OpResult result : op->getResults()) {
        for (OpOperand &use : result.getUses())
          if (use.getOwner()->hasTrait<OpTrait::IsTerminator>() &&
              !layouts.entry.getResultVariable(use.getOperandNumber()).empty())
            hint = layouts.returned(use.getOperandNumber());
        auto known = layouts.hints.find(result);
        if (known != layouts.hints.end() &&
            op->hasTrait<OpTrait::Elementwise>())
          hint = known->second;
        if (hint) {
          type = result.getType();
          break;
        }
      }
      if (!hint)
        continue;
      for (Value operand : op->getOperands())
        if (operand.getType() == type && operand.getDefiningOp())
          layouts.hints.try_emplace(operand, *hint);
    }
  }

  LogicalResult decideEntry(EntryLayouts &layouts,
                            SignatureAnalysis &analysis) {
    int time = mesh.getTimeAxis();
    bool micro = time >= 0 && axisStrategies[time] == Strategy::Micro;
    if (micro) {
      // Which dims the micro-batches will split has to be known when the other
      // axes are decided: these must not be regathered within the loop.
      AxisDecision preliminary(layouts, analysis, mesh, time, true, 1,
                               overrideList);
      layouts.microBatched = succeeded(preliminary.run(/*splitInputs=*/true,
                                                       /*emitErrors=*/false)) ||
                             layouts.updates;
      layouts.resetAxis(time);
      if (!layouts.microBatched)
        layouts.timeSplit.clear();
    }
    for (unsigned axis = 0; axis < numAxes; ++axis) {
      Strategy strategy = axisStrategies[axis];
      bool split = strategy == Strategy::Data ||
                   (strategy == Strategy::Micro && layouts.microBatched);
      AxisDecision decision(layouts, analysis, mesh, axis, false,
                            strategy == Strategy::Megatron ? splitVariableFactor
                                                           : 1,
                            overrideList);
      bool mayFallBack = mesh.isTime(axis) && split && !layouts.updates;
      if (succeeded(decision.run(split, /*emitErrors=*/!mayFallBack)))
        continue;
      if (!mayFallBack)
        return failure();
      layouts.resetAxis(axis);
      AxisDecision whole(layouts, analysis, mesh, axis, false, 1, overrideList);
      if (failed(whole.run(false, true)))
        return failure();
    }
    return success();
  }

  void writeEntry(EntryLayouts &layouts, MLIRContext *context) {
    graph::EntryOp entry = layouts.entry;
    for (auto [i, op] : llvm::enumerate(layouts.ops)) {
      SmallVector<LayoutAttr> operands, results;
      for (unsigned n = 0; n < op->getNumOperands(); ++n)
        operands.push_back(LayoutAttr::get(context, layouts.operand(i, n)));
      for (unsigned n = 0; n < op->getNumResults(); ++n)
        results.push_back(LayoutAttr::get(context, layouts.result(i, n)));
      op->setAttr(dist::DistDialect::getSignatureAttrName(),
                  dist::SignatureAttr::get(context, operands, results));
    }
    // All at once: setting one attribute rebuilds the array of all.
    auto with = [&](DictionaryAttr known, ArrayRef<AxisLayout> layout) {
      NamedAttrList list(known);
      list.set(dist::DistDialect::getLayoutAttrName(),
               LayoutAttr::get(context, layout));
      return list.getDictionary(context);
    };
    SmallVector<DictionaryAttr> arguments, results;
    for (unsigned i = 0, e = entry.getNumArguments(); i < e; ++i)
      arguments.push_back(with(entry.getArgAttrDict(i), layouts.argument(i)));
    for (unsigned i = 0, e = entry.getNumResults(); i < e; ++i)
      results.push_back(with(entry.getResultAttrDict(i), layouts.returned(i)));
    entry.setAllArgAttrs(arguments);
    entry.setAllResultAttrs(results);
  }

  dist::MeshAttr mesh;
  unsigned numAxes = 0;
  SmallVector<Strategy> axisStrategies;
  SmallVector<Override> overrideList;
  llvm::StringMap<LayoutAttr> variables;
};

} // namespace
