// SPDX-License-Identifier: Apache-2.0
#include "compiler/Sharding/AxisDecision.h"
#include "compiler/Sharding/Reshard.h"

#include <limits>
#include <optional>

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
/// Splitting a tensor of the caller along another dim than the strategy's: what
/// is made of it would meet the rest of the model split in its way.
constexpr double otherInputDimFactor = 64;
/// How many ops in a row may wait for their first use: what a use costs is
/// found by trying all their signatures.
constexpr unsigned maxPendingDepth = 2;

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

/// The greedy pass over one entry on one axis.
class AxisDecision {
public:
  AxisDecision(EntryLayouts &layouts, SignatureAnalysis &analysis,
               dist::MeshAttr mesh, const AxisOptions &options)
      : layouts(layouts), analysis(analysis), mesh(mesh), options(options),
        axis(options.axis), parts(mesh.getSizes()[axis]),
        isTime(mesh.isTime(axis)), preliminary(options.preliminary) {}

  LogicalResult run() {
    Block &block = layouts.entry.getBody().front();
    for (BlockArgument argument : block.getArguments()) {
      ValueState &state = states[argument];
      unsigned i = argument.getArgNumber();
      AxisLayout layout =
          preliminary ? AxisLayout::broadcast() : layouts.argument(i)[axis];
      if (layouts.entry.getArgumentVariable(i).empty()) {
        state.boundary = true;
        auto wanted = layouts.entryLayouts.find(i);
        if (wanted != layouts.entryLayouts.end())
          layout = wanted->second.getAxes()[axis];
        else if (options.inputDim >= 0 &&
                 cast<RankedTensorType>(argument.getType()).getRank() >
                     options.inputDim)
          layout = AxisLayout::split(options.inputDim);
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
      if (options.emitErrors) {
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
    if (preliminary)
      for (unsigned i = 0; i < layouts.ops.size(); ++i)
        for (OpResult result : layouts.ops[i]->getResults())
          if (layouts.result(i, result.getResultNumber())[axis].isSplit())
            (*options.splits)[result] =
                layouts.result(i, result.getResultNumber())[axis].dim;
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
    return localTypeBefore(logical, decided, axis, mesh);
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
      if (signature.results[0] == want && signature.allows(parts) &&
          !signature.isProgram())
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
        if (signature.results[0] == want && signature.allows(parts) &&
            !signature.isProgram())
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
      double factor = isa<BlockArgument>(value) && !state.boundary
                          ? options.variableFactor
                          : 1;
      // The caller's tensors are split along the strategy's dim or whole.
      if (state.boundary && version.isSplit() && want.isSplit() &&
          want != version)
        factor = otherInputDimFactor;
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
    if (!signature.allows(parts) ||
        !allowsProgram(signature, mesh, axis,
                       layouts.programsOf(i).take_front(axis)))
      return impossible;
    Operation *op = layouts.ops[i];
    bool inLoop = isTime && inLoopOf(signature);
    double total = operandsCost(i, signature, inLoop);
    if (total == impossible)
      return impossible;
    total += programBytes(signature, parts) +
             collectiveLatencyBytes *
                 static_cast<double>(programMessages(signature, parts));
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
      // It will have to be made split for its update in any case.
      auto hint = layouts.hints.find(operand.get());
      available |= hint != layouts.hints.end() && hint->second[axis] == layout;
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
      else if (layout.isSplit() && !available && !isTime &&
               !alongSequence(result, layout))
        total += newSplitFactor * bytes * (k - 1) / k;
    }
    // Where sequences are split, nothing but attention leaves that for a split
    // of another dim.
    if (options.sequenceDims &&
        !isa<graph::AttentionOp, graph::AttentionGradOp>(op))
      for (OpOperand &operand : op->getOpOperands()) {
        const AxisLayout &layout =
            signature.operands[operand.getOperandNumber()];
        const ValueState &state = states[operand.get()];
        auto sequence = options.sequenceDims->find(operand.get());
        if (layout.isSplit() && !state.pending &&
            sequence != options.sequenceDims->end() &&
            layout.dim != sequence->second &&
            !llvm::is_contained(state.versions, layout))
          total += newSplitFactor *
                   bytesOf(localType(
                       operand.get().getType(),
                       layouts.operand(i, operand.getOperandNumber())));
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

  bool alongSequence(Value value, const AxisLayout &layout) {
    if (!options.sequenceDims)
      return false;
    auto found = options.sequenceDims->find(value);
    return found != options.sequenceDims->end() &&
           layout.isSplit(found->second);
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

  const NamedLayout *namedLayoutOf(Operation *op) {
    StringRef name = nameOf(op);
    if (name.empty())
      return nullptr;
    for (const NamedLayout &candidate : options.layouts)
      if (candidate.namesOps && candidate.axes[axis] && candidate.matches(name))
        return &candidate;
    return nullptr;
  }

  /// Whether the strategy's rules for attention and loss admit the signature.
  bool fulfils(Operation *op, const OpSignature &signature) {
    if (options.splitClasses &&
        isa<graph::CrossEntropyOp, graph::CrossEntropyGradOp>(op))
      return signature.operands[0].isSplit(
          cast<RankedTensorType>(op->getOperand(0).getType()).getRank() - 1);
    if (options.attention == AttentionRule::Any ||
        !isa<graph::AttentionOp, graph::AttentionGradOp>(op))
      return true;
    const AxisLayout &query = signature.operands[0],
                     &key = signature.operands[1];
    switch (options.attention) {
    case AttentionRule::Any:
      return true;
    case AttentionRule::Heads: {
      auto shape = cast<RankedTensorType>(
                       localType(op->getOperand(0).getType(),
                                 layouts.operand(layouts.index.lookup(op), 0)))
                       .getShape();
      // The larger of two shares is the time it takes.
      auto share = [&](int64_t heads) {
        return static_cast<double>(llvm::divideCeil(heads, parts)) /
               static_cast<double>(heads);
      };
      int64_t dim = share(shape[3]) < share(shape[2]) ? 3 : 2;
      return query.isSplit(dim);
    }
    case AttentionRule::Queries:
      return query.isSplit(1) && key.isBroadcast();
    case AttentionRule::Ring:
      return query.isSplit(1) && key.isSplit(1);
    }
    llvm_unreachable("unknown rule");
  }

  LogicalResult decide(unsigned i) {
    Operation *op = layouts.ops[i];
    const OpRules &rules = rulesOf(i);
    const NamedLayout *forced = namedLayoutOf(op);
    if (op->getNumResults() == 1 && !forced) {
      unsigned depth = 0;
      bool waits = op->getNumOperands() > 0;
      for (Value operand : op->getOperands()) {
        waits &= states[operand].pending;
        if (states[operand].pending)
          depth = std::max(depth, states[operand].depth + 1);
      }
      // Of the op on whole tensors: a shard of one repetition has no more
      // elements than what it repeats, but is made as freely.
      bool generates = rules.isGenerator ||
                       (rules.work == 0 && analysis.getRules(op).isGenerator);
      if ((generates || waits) && depth <= maxPendingDepth) {
        ValueState &state = states[op->getResult(0)];
        state.pending = true;
        state.depth = depth;
        return success();
      }
    }
    const OpSignature *best = nullptr;
    double bestCost = impossible;
    bool forcedExists = false, late = waitsToReduce(op);
    // A rule that no signature fulfils here (another axis split the heads
    // already) leaves the op to its cost.
    bool constrained =
        llvm::any_of(rules.signatures, [&](const OpSignature &signature) {
          return signature.allows(parts) && fulfils(op, signature);
        });
    for (const OpSignature &signature : rules.signatures) {
      if (forced ? signature.results[0] != *forced->axes[axis]
                 : constrained && !fulfils(op, signature))
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
      if (options.emitErrors)
        diagnose(i, rules, forcedExists ? nullptr : forced);
      // Later ops are judged as if this one had been whole.
      take(i, rules.signatures.front());
      return failure();
    }
    take(i, *best);
    return success();
  }

  void diagnose(unsigned i, const OpRules &rules, const NamedLayout *forced) {
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
      if (signature.results[0] != want || !signature.allows(parts) ||
          signature.isProgram())
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
    layouts.programsOf(i)[axis] = signature.program;
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
      AxisLayout layout = signature.results[result.getResultNumber()];
      // Gradients of keys and values run along sequences whatever attention
      // makes of them.
      if (preliminary && options.attention == AttentionRule::Queries &&
          isa<graph::AttentionGradOp>(op))
        layout = AxisLayout::split(1);
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
  const AxisOptions &options;
  unsigned axis;
  int64_t parts;
  bool isTime, preliminary;
  DenseMap<Value, ValueState> states;
};
} // namespace

LogicalResult weir::compiler::decideAxis(EntryLayouts &layouts,
                                         SignatureAnalysis &analysis,
                                         dist::MeshAttr mesh,
                                         const AxisOptions &options) {
  return AxisDecision(layouts, analysis, mesh, options).run();
}
