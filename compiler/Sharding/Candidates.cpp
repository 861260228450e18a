// SPDX-License-Identifier: Apache-2.0
#include "compiler/Sharding/Candidates.h"
#include "compiler/Sharding/Layouts.h"
#include "compiler/Sharding/SplitPrograms.h"

using namespace mlir;
using namespace weir;
using namespace weir::compiler;
using dist::AxisLayout;
using dist::LayoutAttr;

namespace {

/// Scalar operations for each element read or written above which an op's
/// work has to be divided.
constexpr double heavyWork = 8;
/// Of what an elementwise op reads and writes, the part that goes through
/// memory: chains of them are one kernel, which keeps what is between.
constexpr double fusedTraffic = 0.5;
/// Of an op with more candidates, the fastest are kept.
constexpr size_t maxCandidates = 2048;

} // namespace

CandidateMaker::CandidateMaker(graph::EntryOp entry,
                               SignatureAnalysis &analysis,
                               const Cluster &cluster,
                               const ProblemOptions &options)
    : entry(entry), analysis(analysis), cluster(cluster), options(options),
      mesh(options.mesh), cost(cluster, options.mesh), device(cluster) {
  searched.assign(mesh.getNumAxes(), -1);
  for (auto [i, axis] : llvm::enumerate(options.axes))
    searched[axis] = static_cast<int>(i);
}

AxisLayout CandidateMaker::decided(Operation *op, unsigned slot,
                                   unsigned axis) const {
  auto signature = op->getAttrOfType<dist::SignatureAttr>(
      dist::DistDialect::getSignatureAttrName());
  if (!signature)
    return AxisLayout::broadcast();
  size_t numOperands = signature.getOperands().size();
  LayoutAttr layout = slot < numOperands
                          ? signature.getOperands()[slot]
                          : signature.getResults()[slot - numOperands];
  return layout.getAxes()[axis];
}

//===----------------------------------------------------------------------===//
// Tables
//===----------------------------------------------------------------------===//

unsigned CandidateMaker::kindOf(Value value) {
  auto [it, inserted] = kinds.try_emplace(value, 0);
  if (!inserted)
    return it->second;
  int64_t frozenDim = -1;
  double fraction = 1;
  for (unsigned axis = 0; axis < mesh.getNumAxes(); ++axis) {
    if (searched[axis] >= 0)
      continue;
    AxisLayout layout;
    if (Operation *op = value.getDefiningOp()) {
      layout = decided(
          op, op->getNumOperands() + cast<OpResult>(value).getResultNumber(),
          axis);
    } else {
      StringRef name =
          entry.getArgumentVariable(cast<BlockArgument>(value).getArgNumber());
      auto known = options.decidedVariables.find(name);
      if (!name.empty() && known != options.decidedVariables.end())
        layout = known->second.getAxes()[axis];
    }
    if (!layout.isSplit())
      continue;
    if (mesh.isTime(axis))
      frozenDim = layout.dim;
    else
      fraction /= static_cast<double>(mesh.getSizes()[axis]);
  }
  auto type = cast<RankedTensorType>(value.getType());
  auto [number, isNew] = kindNumbers.try_emplace(
      {type.getAsOpaquePointer(), frozenDim, fraction}, kindList.size());
  if (isNew) {
    Kind kind{type, frozenDim, fraction, {}, nullptr, nullptr};
    kind.alphabet = {AxisLayout::broadcast()};
    kindList.push_back(std::move(kind));
  }
  return kinds[value] = number->second;
}

void CandidateMaker::addEntry(unsigned kind, const AxisLayout &entry) {
  std::vector<AxisLayout> &alphabet = kindList[kind].alphabet;
  if (!llvm::is_contained(alphabet, entry))
    alphabet.push_back(entry);
}

void CandidateMaker::addToAlphabet(Value value, const GivenEntries &given) {
  for (const auto &wanted : given)
    if (wanted)
      addEntry(kindOf(value), wanted->layout);
}

const LayoutTable &CandidateMaker::tableOf(Value value) {
  Kind &kind = kindList[kindOf(value)];
  if (!kind.table)
    kind.table = std::make_unique<LayoutTable>(
        kind.type, kind.fraction, kind.alphabet, kind.frozenDim, mesh,
        options.axes, cost, device, /*bucketed=*/false);
  return *kind.table;
}

const LayoutTable &CandidateMaker::bucketedTableOf(Value value) {
  Kind &kind = kindList[kindOf(value)];
  if (!kind.bucketed)
    kind.bucketed = std::make_unique<LayoutTable>(
        kind.type, kind.fraction, kind.alphabet, kind.frozenDim, mesh,
        options.axes, cost, device, /*bucketed=*/true);
  return *kind.bucketed;
}

unsigned CandidateMaker::boundaryState(Value argument) {
  auto given = options.givenArguments.find(argument);
  if (given == options.givenArguments.end())
    return 0;
  SmallVector<AxisLayout, 4> entries;
  for (int64_t axis : options.axes)
    entries.push_back(given->second.getAxes()[axis]);
  return std::max(0, tableOf(argument).find(entries));
}

LayoutAttr CandidateMaker::merge(Operation *op, unsigned slot,
                                 ArrayRef<AxisLayout> entries) const {
  SmallVector<AxisLayout> axes;
  for (unsigned axis = 0; axis < mesh.getNumAxes(); ++axis)
    axes.push_back(searched[axis] < 0 ? decided(op, slot, axis)
                                      : entries[searched[axis]]);
  return LayoutAttr::get(op->getContext(), axes);
}

void CandidateMaker::setProgramsOf(Operation *op,
                                   ArrayRef<StringRef> programs) const {
  SmallVector<StringRef> all;
  for (unsigned axis = 0; axis < mesh.getNumAxes(); ++axis)
    all.push_back(searched[axis] < 0 ? programOf(op, mesh, axis)
                                     : programs[searched[axis]]);
  setPrograms(op, mesh, all);
}

//===----------------------------------------------------------------------===//
// Enumeration
//===----------------------------------------------------------------------===//

bool CandidateMaker::isUsable(Operation *op, const OpRules &rules,
                              const OpSignature &signature,
                              unsigned axis) const {
  int64_t parts = mesh.getSizes()[axis];
  if (!signature.allows(parts))
    return false;
  double elements = 0, fromPartial = 0;
  bool partialOperand = false;
  auto fits = [&](const AxisLayout &layout, Type type) {
    // Maxima and minima are reduced where they are made.
    if (layout.isPartial())
      return layout.reduction == dist::Reduction::Sum;
    // Nobody goes without.
    return !layout.isSplit() ||
           dist::getLogicalShape(cast<RankedTensorType>(type))[layout.dim] /
                   layout.unit >=
               parts;
  };
  for (auto [layout, type] :
       llvm::zip_equal(signature.operands, op->getOperandTypes())) {
    if (!fits(layout, type))
      return false;
    double count = cast<RankedTensorType>(type).getNumElements();
    elements += count;
    if (layout.isPartial()) {
      partialOperand = true;
      fromPartial = std::max(fromPartial, count);
    }
  }
  double results = 0;
  for (auto [layout, type] :
       llvm::zip_equal(signature.results, op->getResultTypes())) {
    if (!fits(layout, type))
      return false;
    results += cast<RankedTensorType>(type).getNumElements();
  }
  // Terms go through heavy work on every coordinate: not unless what has to be
  // reduced gets smaller by it.
  return !partialOperand || results < fromPartial ||
         rules.work <= heavyWork * (elements + results);
}

void CandidateMaker::enumerate(
    Operation *op, unsigned axis, const GivenEntries &given,
    const OpRules *common, Choice &chosen, SmallVectorImpl<StringRef> &programs,
    SmallVectorImpl<SmallVector<AxisLayout, 4>> &known,
    std::vector<Choice> &out) {
  if (axis == mesh.getNumAxes()) {
    out.push_back(chosen);
    return;
  }
  unsigned numOperands = op->getNumOperands();
  auto set = [&](unsigned slot, const AxisLayout &layout) {
    known[slot][axis] = layout;
  };
  if (searched[axis] < 0 && (common || mesh.isTime(axis))) {
    for (unsigned slot = 0; slot < known.size(); ++slot)
      set(slot, mesh.isTime(axis) ? AxisLayout::broadcast()
                                  : decided(op, slot, axis));
    programs.push_back(programOf(op, mesh, axis));
    enumerate(op, axis + 1, given, common, chosen, programs, known, out);
    programs.pop_back();
    return;
  }
  const OpRules *rules = common;
  if (!rules) {
    auto local = [&](unsigned slot, Type type) -> Type {
      return localTypeBefore(type, known[slot], axis, mesh);
    };
    SmallVector<Type> operands, results;
    for (auto [n, type] : llvm::enumerate(op->getOperandTypes()))
      operands.push_back(local(n, type));
    for (auto [n, type] : llvm::enumerate(op->getResultTypes()))
      results.push_back(local(numOperands + n, type));
    rules = &analysis.getRules(op, operands, results);
  }
  for (const OpSignature &signature : rules->signatures) {
    if (!allowsProgram(signature, mesh, axis, programs))
      continue;
    bool isSearched = searched[axis] >= 0;
    if (isSearched) {
      if (!isUsable(op, *rules, signature, axis) ||
          (!given.empty() && given[axis] &&
           (signature.results.empty() ||
            signature.results[0] != given[axis]->layout)))
        continue;
    } else {
      // Decided already, but for other axes: is it sound beside these?
      OpSignature wanted;
      for (unsigned slot = 0; slot < numOperands; ++slot)
        wanted.operands.push_back(decided(op, slot, axis));
      for (unsigned slot = numOperands; slot < known.size(); ++slot)
        wanted.results.push_back(decided(op, slot, axis));
      if (!signature.covers(wanted) ||
          !signature.allows(mesh.getSizes()[axis]) ||
          signature.program != programOf(op, mesh, axis))
        continue;
    }
    for (unsigned slot = 0; slot < known.size(); ++slot)
      set(slot, isSearched ? (slot < numOperands
                                  ? signature.operands[slot]
                                  : signature.results[slot - numOperands])
                           : decided(op, slot, axis));
    if (isSearched)
      chosen.push_back(
          {&signature, rules->work > 0
                           ? std::min(1.0, signature.splitWork / rules->work)
                           : 0});
    programs.push_back(signature.program);
    enumerate(op, axis + 1, given, common, chosen, programs, known, out);
    programs.pop_back();
    if (isSearched)
      chosen.pop_back();
    else
      break;
  }
}

void CandidateMaker::collect(Operation *op, GivenEntries given) {
  const OpRules &rules = analysis.getRules(op);
  // Without units a rule does not depend on sizes: the same on shards.
  bool regroups =
      llvm::any_of(rules.signatures, [](const OpSignature &signature) {
        auto inUnits = [](const AxisLayout &layout) {
          return layout.isSplit() && layout.unit > 1;
        };
        return signature.atoms > 1 || !signature.mustDivide.empty() ||
               llvm::any_of(signature.operands, inUnits) ||
               llvm::any_of(signature.results, inUnits);
      });
  regroups |= isa<graph::ReshapeOp>(op);
  std::vector<Choice> &out = choices[op];
  Choice chosen;
  SmallVector<StringRef> programs;
  SmallVector<SmallVector<AxisLayout, 4>> known(
      op->getNumOperands() + op->getNumResults(),
      SmallVector<AxisLayout, 4>(mesh.getNumAxes()));
  enumerate(op, 0, given, regroups ? nullptr : &rules, chosen, programs, known,
            out);
  for (const Choice &choice : out)
    for (const AxisChoice &signature : choice) {
      for (auto [value, layout] :
           llvm::zip_equal(op->getOperands(), signature->operands))
        addEntry(kindOf(value), layout);
      for (auto [value, layout] :
           llvm::zip_equal(op->getResults(), signature->results))
        addEntry(kindOf(value), layout);
    }
}

double CandidateMaker::secondsOf(Operation *op, const Choice &choice,
                                 const Candidate &candidate) {
  const OpRules &rules = analysis.getRules(op);
  double work = rules.work;
  for (unsigned axis = 0; axis < mesh.getNumAxes(); ++axis) {
    if (searched[axis] >= 0 || mesh.isTime(axis))
      continue;
    for (unsigned slot = 0; slot < op->getNumOperands() + op->getNumResults();
         ++slot)
      if (decided(op, slot, axis).isSplit()) {
        work /= static_cast<double>(mesh.getSizes()[axis]);
        break;
      }
  }
  SmallVector<double, 3> shares;
  for (auto [i, signature] : llvm::enumerate(choice)) {
    double divided = signature.divided;
    if (!signature->isBroadcast() && divided > 0) {
      int64_t parts = mesh.getSizes()[options.axes[i]];
      double part = 1 / static_cast<double>(parts);
      // The largest shard takes longest.
      auto consider = [&](ArrayRef<AxisLayout> layouts, TypeRange types) {
        for (auto [layout, type] : llvm::zip_equal(layouts, types))
          if (layout.isSplit()) {
            int64_t runs = cast<RankedTensorType>(type).getDimSize(layout.dim) /
                           layout.unit;
            part = std::max(part,
                            static_cast<double>(dist::capacityOf(runs, parts)) /
                                static_cast<double>(runs));
          }
      };
      consider(signature->operands, op->getOperandTypes());
      consider(signature->results, op->getResultTypes());
      divided = 1 - divided + divided * part;
    } else {
      divided = 1;
    }
    shares.push_back(divided);
    work *= divided;
  }
  double bytes = 0;
  for (auto [n, operand] : llvm::enumerate(op->getOperands()))
    bytes += tableOf(operand).bytes(candidate.operands[n]);
  for (auto [n, result] : llvm::enumerate(op->getResults()))
    bytes += tableOf(result).bytes(candidate.results[n]);
  if (op->hasTrait<OpTrait::Elementwise>())
    bytes *= fusedTraffic;
  Type element;
  for (Type type : op->getResultTypes())
    element = cast<RankedTensorType>(type).getElementType();
  std::string name;
  if (element)
    llvm::raw_string_ostream(name) << element;
  double seconds =
      std::max(work / cluster.flopsOf(name), bytes / device.memoryBandwidth);
  for (auto [i, signature] : llvm::enumerate(choice)) {
    int64_t parts = mesh.getSizes()[options.axes[i]];
    double others = 1;
    for (auto [j, share] : llvm::enumerate(shares))
      others *= i == j ? 1 : share;
    for (const graph::ProgramMessage &message : signature->messages) {
      double times = static_cast<double>(message.count(parts));
      ReshardStep::Kind kind =
          message.kind == graph::ProgramMessage::Kind::AllReduce
              ? ReshardStep::Kind::AllReduce
          : message.kind == graph::ProgramMessage::Kind::AllGather
              ? ReshardStep::Kind::AllGather
              : ReshardStep::Kind::Exchange;
      seconds += times * (device.start +
                          cost.seconds(kind, {options.axes[i]},
                                       message.received(parts) * others / times,
                                       /*messages=*/1));
    }
  }
  return seconds;
}

std::vector<Candidate> CandidateMaker::make(Operation *op) {
  std::vector<Candidate> candidates;
  for (const Choice &choice : choices[op]) {
    Candidate candidate;
    bool valid = true;
    auto number = [&](Value value, auto layoutOf) {
      SmallVector<AxisLayout, 3> entries;
      for (const AxisChoice &signature : choice)
        entries.push_back(layoutOf(*signature));
      const LayoutTable &table = tableOf(value);
      int state = table.find(entries);
      valid &= state >= 0 && table.isValid(state);
      return static_cast<uint16_t>(std::max(state, 0));
    };
    for (auto [n, operand] : llvm::enumerate(op->getOperands()))
      candidate.operands.push_back(number(
          operand, [n = n](const OpSignature &s) { return s.operands[n]; }));
    for (auto [n, result] : llvm::enumerate(op->getResults()))
      candidate.results.push_back(number(
          result, [n = n](const OpSignature &s) { return s.results[n]; }));
    if (!valid)
      continue;
    for (const AxisChoice &signature : choice)
      candidate.programs.push_back(signature->program);
    candidate.seconds = secondsOf(op, choice, candidate);
    candidates.push_back(std::move(candidate));
  }
  choices.erase(op);
  llvm::stable_sort(candidates, [](const Candidate &a, const Candidate &b) {
    return a.seconds < b.seconds;
  });
  if (candidates.size() > maxCandidates)
    candidates.resize(maxCandidates);
  prune(op, candidates);
  return candidates;
}

void CandidateMaker::prune(Operation *op, std::vector<Candidate> &candidates) {
  SmallVector<const LayoutTable *> operands, results;
  for (Value operand : op->getOperands())
    operands.push_back(&tableOf(operand));
  for (Value result : op->getResults())
    results.push_back(&tableOf(result));
  std::vector<Candidate> kept;
  // Ascending by time: what can stand in for one is before it.
  for (Candidate &candidate : candidates) {
    // Whole throughout: what always works stays.
    bool replaced =
        !candidate.isWhole() && llvm::any_of(kept, [&](const Candidate &other) {
          double left = candidate.seconds - other.seconds;
          for (size_t n = 0; n < operands.size() && left >= 0; ++n)
            left -=
                operands[n]->seconds(candidate.operands[n], other.operands[n]);
          for (size_t n = 0; n < results.size() && left >= 0; ++n)
            left -= results[n]->seconds(other.results[n], candidate.results[n]);
          return left >= 0;
        });
    if (!replaced)
      kept.push_back(std::move(candidate));
  }
  candidates = std::move(kept);
}
