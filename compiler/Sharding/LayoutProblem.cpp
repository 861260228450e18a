// SPDX-License-Identifier: Apache-2.0
#include "compiler/Sharding/LayoutProblem.h"
#include "compiler/Sharding/Candidates.h"
#include "compiler/Sharding/Layouts.h"
#include "dialects/Graph/Annotations.h"

#include "llvm/ADT/Hashing.h"

#include <map>
#include <tuple>

using namespace mlir;
using namespace weir;
using namespace weir::compiler;
using dist::AxisLayout;
using dist::LayoutAttr;

namespace {

/// Gap at which the price of memory is not narrowed any further.
constexpr double pricedGap = 5e-3;

/// Something with layouts for labels, at one end of an edge.
struct End {
  unsigned node;
  /// The layout's number in the table by label.
  std::vector<unsigned> states;
};

/// What an entry's variable is to the graph.
struct VariableClass {
  std::string name; // of the first member
  const LayoutTable *table = nullptr;
  SmallVector<AxisLayout, 4> wanted; // all given: empty where some are free
  GivenEntries given;
  unsigned members = 0;
  End end;
};

/// Which value of which class: (kind, number, result). Kinds: an op's result, a
/// variable, the caller's tensor.
using ValueKey = std::tuple<int, unsigned, unsigned>;

std::string bytesText(double bytes) {
  std::string text;
  llvm::raw_string_ostream(text) << llvm::format("%.0f", bytes);
  return text;
}

} // namespace

class LayoutProblem::Impl {
public:
  Impl(graph::EntryOp entry, SignatureAnalysis &analysis,
       const Cluster &cluster, const ProblemOptions &options)
      : entry(entry), options(options), mesh(options.mesh),
        makers(entry, analysis, cluster, options) {
    for (Operation &op : entry.getBody().front().without_terminator()) {
      index[&op] = ops.size();
      ops.push_back(&op);
    }
  }

  LogicalResult build() {
    collectVariables();
    fold();
    foldVariables();
    report.ops = ops.size();
    report.classes = firstOf.size();
    // Candidates as layouts first, since these make the tables' alphabets.
    for (unsigned c = 0; c < firstOf.size(); ++c) {
      auto given = options.givenOps.find(firstOf[c]);
      if (!isFree(firstOf[c]))
        makers.collect(firstOf[c], given == options.givenOps.end()
                                       ? GivenEntries()
                                       : given->second);
    }
    for (VariableClass &variable : variables)
      makers.addToAlphabet(argumentOf(variable), variable.given);
    bool ok = true;
    classes.resize(firstOf.size());
    for (unsigned c = 0; c < firstOf.size(); ++c) {
      Operation *op = firstOf[c];
      if (isFree(op))
        continue;
      classes[c] = makers.make(op);
      report.candidates += classes[c].size();
      if (!classes[c].empty())
        continue;
      ok = false;
      diagnose(op);
    }
    if (!ok)
      return failure();
    addNodes();
    return connectAll();
  }

  LogicalResult solve(double memory, SearchOptions searchOptions) {
    searchOptions.initial = wholeLabels();
    SearchResult result = search(0, searchOptions);
    if (!result.feasible())
      return diagnoseConflict(result);
    double bound = result.bound;
    if (memory > 0 && bytesOf(result) > memory) {
      double least = 0;
      for (const auto &[node, bytes] : memoryOf)
        least += *std::min_element(bytes.begin(), bytes.end());
      if (least > memory)
        return infeasible("expects variables and gradients to fit ")
               << bytesText(memory)
               << " bytes a device, but they need at least " << bytesText(least)
               << ", " << bytesText(least - memory)
               << " more: use more devices on the searched axes or a smaller "
                  "model";
      // The price of a byte: raised until what is found fits, then narrowed.
      double low = 0, high = result.objective / bytesOf(result) / 512;
      std::optional<SearchResult> fitting;
      std::vector<unsigned> tooLarge = result.labels;
      auto attempt = [&](double price) {
        SearchResult found = search(price, searchOptions);
        bound = std::max(bound, found.bound - price * memory);
        found.objective = graph.evaluate(found.labels);
        bool fits = bytesOf(found) <= memory;
        if (!fits)
          tooLarge = found.labels;
        if (fits && (!fitting || found.objective < fitting->objective))
          fitting = std::move(found);
        return fits;
      };
      for (unsigned i = 0; i < 24 && !attempt(high); ++i) {
        low = high;
        high *= 8;
      }
      if (!fitting)
        return infeasible("finds no layouts of variables and gradients that "
                          "fit ")
               << bytesText(memory) << " bytes a device";
      for (unsigned i = 0; i < 4; ++i) {
        if (fitting->objective - bound <= pricedGap * bound)
          break;
        double middle = low == 0 ? high / 8 : std::sqrt(low * high);
        (attempt(middle) ? high : low) = middle;
      }
      if (fitting->objective - bound > pricedGap * bound) {
        SearchResult mixed = mix(tooLarge, *fitting, memory, searchOptions);
        if (bytesOf(mixed) <= memory && mixed.objective < fitting->objective)
          fitting = std::move(mixed);
      }
      result = std::move(*fitting);
    }
    labels = result.labels;
    report.seconds = result.objective;
    report.bound = std::min(bound, result.objective);
    report.bytes = bytesOf(result);
    report.coreNodes = result.coreNodes;
    return success();
  }

  std::optional<SmallVector<AxisLayout, 4>> variableLayout(StringRef name) {
    auto found = variableOf.find(name);
    if (found == variableOf.end())
      return std::nullopt;
    const VariableClass &variable = variables[classOfVariable[found->second]];
    return variable.table->layout(
        variable.end.states[labels[variable.end.node]]);
  }

  void write() {
    MLIRContext *context = entry.getContext();
    for (auto [i, op] : llvm::enumerate(ops)) {
      if (isFree(op))
        continue;
      const Candidate &candidate =
          classes[classOf[i]][labels[nodeOf[classOf[i]]]];
      SmallVector<LayoutAttr> operands, results;
      for (unsigned n = 0; n < op->getNumOperands(); ++n)
        operands.push_back(makers.merge(
            op, n,
            makers.tableOf(op->getOperand(n)).layout(candidate.operands[n])));
      for (unsigned n = 0; n < op->getNumResults(); ++n)
        results.push_back(makers.merge(
            op, op->getNumOperands() + n,
            makers.tableOf(op->getResult(n)).layout(candidate.results[n])));
      makers.setProgramsOf(op, candidate.programs);
      op->setAttr(dist::DistDialect::getSignatureAttrName(),
                  dist::SignatureAttr::get(context, operands, results));
    }
    // Splats are made where they are used: as their first use wants them.
    for (Operation *op : ops) {
      if (!isFree(op))
        continue;
      LayoutAttr layout = LayoutAttr::getBroadcast(context, mesh.getNumAxes());
      for (OpOperand &use : op->getResult(0).getUses()) {
        auto signature = use.getOwner()->getAttrOfType<dist::SignatureAttr>(
            dist::DistDialect::getSignatureAttrName());
        if (!signature)
          continue;
        LayoutAttr wanted = signature.getOperands()[use.getOperandNumber()];
        if (!wanted.hasPartial())
          layout = wanted;
      }
      op->setAttr(dist::DistDialect::getSignatureAttrName(),
                  dist::SignatureAttr::get(context, {}, {layout}));
    }
  }

  ProblemReport report;

private:
  /// A splat costs nothing in any layout but a partial one.
  static bool isFree(Operation *op) {
    auto constant = dyn_cast<graph::ConstantOp>(op);
    auto elements = constant ? dyn_cast<DenseElementsAttr>(constant.getValue())
                             : DenseElementsAttr();
    return elements && elements.isSplat();
  }

  //===--------------------------------------------------------------------===//
  // Folding
  //===--------------------------------------------------------------------===//

  void collectVariables() {
    Block &block = entry.getBody().front();
    auto add = [&](StringRef name) {
      if (!name.empty() &&
          variableOf.try_emplace(name, variableNames.size()).second)
        variableNames.push_back(name.str());
    };
    for (unsigned i = 0; i < block.getNumArguments(); ++i)
      add(entry.getArgumentVariable(i));
    for (unsigned i = 0; i < block.getTerminator()->getNumOperands(); ++i)
      add(entry.getResultVariable(i));
  }

  uint64_t hashOf(Operation *op) {
    llvm::hash_code hash =
        llvm::hash_combine(op->getName().getAsOpaquePointer());
    NamedAttrList inherent;
    op->getName().populateInherentAttrs(op, inherent);
    for (NamedAttribute attribute : inherent)
      if (attribute.getName() != "site")
        hash =
            llvm::hash_combine(hash, attribute.getName().getAsOpaquePointer(),
                               attribute.getValue().getAsOpaquePointer());
    for (Type type : op->getOperandTypes())
      hash = llvm::hash_combine(hash, type.getAsOpaquePointer());
    for (Type type : op->getResultTypes())
      hash = llvm::hash_combine(hash, type.getAsOpaquePointer());
    // Axes that are decided.
    for (StringRef name : {dist::DistDialect::getSignatureAttrName(),
                           dist::DistDialect::getProgramsAttrName()})
      if (Attribute decided = op->getAttr(name))
        hash = llvm::hash_combine(hash, decided.getAsOpaquePointer());
    auto given = options.givenOps.find(op);
    if (given != options.givenOps.end())
      for (const auto &wanted : given->second)
        if (wanted)
          hash = llvm::hash_combine(hash, hash_value(wanted->layout));
    return hash;
  }

  void fold() {
    std::vector<uint64_t> hashes;
    for (Operation *op : ops)
      hashes.push_back(hashOf(op));
    if (ops.size() >= options.foldAbove) {
      classOf = foldRepeats(hashes);
    } else {
      for (unsigned i = 0; i < ops.size(); ++i)
        classOf.push_back(i);
    }
    for (unsigned i = 0; i < ops.size(); ++i) {
      if (classOf[i] >= firstOf.size()) {
        firstOf.resize(classOf[i] + 1, nullptr);
        members.resize(classOf[i] + 1, 0);
      }
      if (!firstOf[classOf[i]])
        firstOf[classOf[i]] = ops[i];
      ++members[classOf[i]];
    }
  }

  /// Variables that the same classes of ops use and update in the same way.
  void foldVariables() {
    Block &block = entry.getBody().front();
    std::vector<std::string> signs(variableNames.size());
    auto append = [](std::string &sign, std::initializer_list<uint64_t> what) {
      for (uint64_t number : what)
        sign += std::to_string(number) + " ";
    };
    argumentFor.assign(variableNames.size(), {});
    for (BlockArgument argument : block.getArguments()) {
      StringRef name = entry.getArgumentVariable(argument.getArgNumber());
      if (name.empty())
        continue;
      unsigned v = variableOf.lookup(name);
      argumentFor[v] = argument;
      append(signs[v], {reinterpret_cast<uintptr_t>(
                           argument.getType().getAsOpaquePointer())});
      SmallVector<std::pair<unsigned, unsigned>> uses;
      for (OpOperand &use : argument.getUses())
        if (auto found = index.find(use.getOwner()); found != index.end())
          uses.push_back({classOf[found->second], use.getOperandNumber()});
      llvm::sort(uses);
      for (auto [user, operand] : uses)
        append(signs[v], {user, operand});
    }
    for (OpOperand &use : block.getTerminator()->getOpOperands()) {
      StringRef name = entry.getResultVariable(use.getOperandNumber());
      if (name.empty())
        continue;
      unsigned v = variableOf.lookup(name);
      if (!argumentFor[v])
        argumentFor[v] = use.get();
      if (Operation *op = use.get().getDefiningOp())
        append(signs[v], {~0ull, classOf[index.lookup(op)],
                          cast<OpResult>(use.get()).getResultNumber()});
    }
    llvm::StringMap<unsigned> known;
    for (auto [v, name] : llvm::enumerate(variableNames)) {
      auto given = options.givenVariables.find(name);
      if (given != options.givenVariables.end()) {
        llvm::raw_string_ostream os(signs[v]);
        for (const auto &wanted : given->second) {
          if (wanted)
            os << wanted->layout;
          os << ";";
        }
      }
      auto [it, inserted] = known.try_emplace(signs[v], variables.size());
      if (inserted) {
        variables.emplace_back();
        variables.back().name = name;
        if (given != options.givenVariables.end())
          variables.back().given = given->second;
      }
      ++variables[it->second].members;
      classOfVariable.push_back(it->second);
    }
  }

  Value argumentOf(const VariableClass &variable) {
    return argumentFor[variableOf.lookup(variable.name)];
  }

  //===--------------------------------------------------------------------===//
  // The graph
  //===--------------------------------------------------------------------===//

  void addNodes() {
    nodeOf.assign(classes.size(), ~0u);
    for (unsigned c = 0; c < classes.size(); ++c) {
      if (isFree(firstOf[c]))
        continue;
      CostGraph::Costs unary;
      for (const Candidate &candidate : classes[c])
        unary.push_back(candidate.seconds * members[c]);
      nodeOf[c] = graph.addNode(std::move(unary));
      addGradientMemory(c);
    }
    for (VariableClass &variable : variables) {
      variable.table = &makers.tableOf(argumentOf(variable));
      std::vector<double> bytes;
      for (unsigned state = 0; state < variable.table->size(); ++state) {
        if (!variable.table->isValid(state) ||
            variable.table->hasPartial(state) ||
            !fulfils(variable, variable.table->layout(state)))
          continue;
        variable.end.states.push_back(state);
        bytes.push_back(variable.table->bytes(state) * variable.members);
      }
      variable.end.node =
          graph.addNode(CostGraph::Costs(variable.end.states.size(), 0));
      memoryOf.push_back({variable.end.node, std::move(bytes)});
    }
  }

  bool fulfils(const VariableClass &variable, ArrayRef<AxisLayout> layout) {
    if (variable.given.empty())
      return true;
    for (auto [a, axis] : llvm::enumerate(options.axes))
      if (variable.given[axis] && variable.given[axis]->layout != layout[a])
        return false;
    return true;
  }

  /// Whether the op makes the new value of a variable.
  bool updates(Operation *op) {
    return llvm::any_of(op->getResults(), [&](OpResult result) {
      return llvm::any_of(result.getUses(), [&](OpOperand &use) {
        return use.getOwner()->hasTrait<OpTrait::IsTerminator>() &&
               !entry.getResultVariable(use.getOperandNumber()).empty();
      });
    });
  }

  /// Gradients and new values, which come for many variables at one time, and
  /// scalars.
  bool isBucketed(Value value) {
    if (cast<RankedTensorType>(value.getType()).getNumElements() == 1)
      return true;
    if (Operation *op = value.getDefiningOp(); op && updates(op))
      return true;
    return value.getDefiningOp() &&
           llvm::any_of(value.getUses(), [&](OpOperand &use) {
             return use.getOwner()->getNumResults() > 0 &&
                    use.getOwner()->getResult(0).getType() == value.getType() &&
                    updates(use.getOwner());
           });
  }

  /// An update's gradients are held until it runs.
  void addGradientMemory(unsigned c) {
    Operation *op = firstOf[c];
    if (!updates(op))
      return;
    std::vector<double> bytes(classes[c].size(), 0);
    for (auto [n, operand] : llvm::enumerate(op->getOperands())) {
      if (!operand.getDefiningOp() ||
          operand.getType() != op->getResult(0).getType())
        continue;
      const LayoutTable &table = makers.tableOf(operand);
      for (auto [label, candidate] : llvm::enumerate(classes[c]))
        bytes[label] += table.bytes(candidate.operands[n]) * members[c];
    }
    memoryOf.push_back({nodeOf[c], std::move(bytes)});
  }

  ValueKey keyOf(Value value) {
    if (auto argument = dyn_cast<BlockArgument>(value)) {
      StringRef name = entry.getArgumentVariable(argument.getArgNumber());
      if (name.empty())
        return {2, argument.getArgNumber(), 0};
      return {1, classOfVariable[variableOf.lookup(name)], 0};
    }
    return {0, classOf[index.lookup(value.getDefiningOp())],
            cast<OpResult>(value).getResultNumber()};
  }

  /// All uses, class by class, then an edge for each pair of ends.
  LogicalResult connectAll() {
    struct Use {
      unsigned times = 0;
      OpOperand *first = nullptr;
    };
    struct Source {
      Value first;
      unsigned values = 0, uses = 0; // the most uses of one value
      // By user: (op class, operand), or (~0, variable class), or (~1, 0) for
      // what the caller gets.
      std::map<std::pair<unsigned, unsigned>, Use> users;
    };
    std::map<ValueKey, Source> sources;
    auto add = [&](Value value) {
      if (value.use_empty())
        return;
      if (Operation *op = value.getDefiningOp(); op && isFree(op))
        return addSplat(value);
      Source &source = sources[keyOf(value)];
      if (!source.first)
        source.first = value;
      ++source.values;
      unsigned uses = 0;
      for (OpOperand &use : value.getUses()) {
        ++uses;
        std::pair<unsigned, unsigned> user;
        auto found = index.find(use.getOwner());
        StringRef variable =
            found == index.end()
                ? entry.getResultVariable(use.getOperandNumber())
                : StringRef();
        if (found != index.end())
          user = {classOf[found->second], use.getOperandNumber()};
        else if (variable.empty())
          user = {~1u, 0};
        else
          user = {~0u, classOfVariable[variableOf.lookup(variable)]};
        Use &known = source.users[user];
        ++known.times;
        if (!known.first)
          known.first = &use;
      }
      source.uses = std::max(source.uses, uses);
    };
    for (BlockArgument argument : entry.getBody().front().getArguments())
      add(argument);
    for (Operation *op : ops)
      for (Value result : op->getResults())
        add(result);
    for (auto &[key, source] : sources) {
      const LayoutTable &table = isBucketed(source.first)
                                     ? makers.bucketedTableOf(source.first)
                                     : makers.tableOf(source.first);
      auto [kind, number, result] = key;
      if (kind == 2) {
        // The caller's tensors come whole, or as the user says.
        unsigned state = makers.boundaryState(source.first);
        for (auto &[user, use] : source.users)
          if (user.first < ~1u)
            addUnary(operandEnd(user.first, user.second), table, state,
                     use.times, /*towards=*/true);
        continue;
      }
      End from = kind == 1 ? variables[number].end : resultEnd(number, result);
      // Of a value with several uses, one more version: it is made once.
      if (kind == 0 && source.uses > 1) {
        End version;
        version.states = statesBetween(from, table, source.users);
        version.node =
            graph.addNode(CostGraph::Costs(version.states.size(), 0));
        connect(from, version, table, source.values, source.first, nullptr);
        from = version;
      }
      for (auto &[user, use] : source.users) {
        if (user.first == ~1u) {
          addUnary(from, table, 0, use.times, /*towards=*/false);
          continue;
        }
        connect(from,
                user.first == ~0u ? variables[user.second].end
                                  : operandEnd(user.first, user.second),
                table, use.times, source.first, use.first);
      }
    }
    report.nodes = graph.numNodes();
    return success();
  }

  template <typename Users>
  std::vector<unsigned> statesBetween(const End &from, const LayoutTable &table,
                                      const Users &users) {
    std::vector<char> seen(table.size(), 0);
    for (unsigned state : from.states)
      seen[state] = 1;
    for (auto &[user, use] : users)
      if (user.first == ~1u)
        seen[0] = 1;
      else
        for (unsigned state : user.first == ~0u
                                  ? variables[user.second].end.states
                                  : operandEnd(user.first, user.second).states)
          seen[state] = 1;
    std::vector<unsigned> states;
    for (unsigned state = 0; state < table.size(); ++state)
      if (seen[state])
        states.push_back(state);
    return states;
  }

  End resultEnd(unsigned c, unsigned result) {
    End end{nodeOf[c], {}};
    for (const Candidate &candidate : classes[c])
      end.states.push_back(candidate.results[result]);
    return end;
  }
  End operandEnd(unsigned c, unsigned operand) {
    End end{nodeOf[c], {}};
    for (const Candidate &candidate : classes[c])
      end.states.push_back(candidate.operands[operand]);
    return end;
  }

  void addSplat(Value value) {
    for (OpOperand &use : value.getUses()) {
      auto found = index.find(use.getOwner());
      if (found == index.end())
        continue;
      const LayoutTable &table = makers.tableOf(value);
      End to = operandEnd(classOf[found->second], use.getOperandNumber());
      for (auto [label, state] : llvm::enumerate(to.states))
        if (table.hasPartial(state))
          graph.addUnary(to.node, label, table.seconds(0, state));
    }
  }

  void addUnary(const End &end, const LayoutTable &table, unsigned state,
                unsigned times, bool towards) {
    for (auto [label, other] : llvm::enumerate(end.states))
      graph.addUnary(end.node, label,
                     cap(times * (towards ? table.seconds(state, other)
                                          : table.seconds(other, state))));
  }

  static double cap(double cost) {
    return std::min(cost, CostGraph::forbidden);
  }

  void connect(const End &from, const End &to, const LayoutTable &table,
               unsigned times, Value value, OpOperand *use) {
    CostGraph::Costs costs;
    costs.reserve(from.states.size() * to.states.size());
    for (unsigned a : from.states)
      for (unsigned b : to.states)
        costs.push_back(cap(times * table.seconds(a, b)));
    graph.addEdge(from.node, to.node, costs);
    links.push_back({from, to, &table, value, use});
  }

  //===--------------------------------------------------------------------===//
  // Solving
  //===--------------------------------------------------------------------===//

  /// An error that says what does not fit.
  InFlightDiagnostic infeasible(const char *message) {
    entry->getParentOp()->setAttr(infeasibleAttr,
                                  UnitAttr::get(entry.getContext()));
    return entry.emitOpError(message);
  }

  /// Everything whole, as far as what is given allows.
  std::vector<unsigned> wholeLabels() const {
    std::vector<unsigned> initial(graph.numNodes(), 0);
    for (unsigned c = 0; c < classes.size(); ++c)
      for (auto [label, candidate] : llvm::enumerate(classes[c]))
        if (candidate.isWhole())
          initial[nodeOf[c]] = label;
    return initial; // of variables and versions, state 0 is the first label
  }

  double bytesOf(const SearchResult &result) const {
    double total = 0;
    for (const auto &[node, bytes] : memoryOf)
      total += bytes[result.labels[node]];
    return total;
  }

  SearchResult search(double price, const SearchOptions &searchOptions) const {
    if (price == 0)
      return searchLabels(graph, searchOptions);
    CostGraph priced = graph;
    for (const auto &[node, bytes] : memoryOf)
      for (unsigned label = 0; label < bytes.size(); ++label)
        priced.addUnary(node, label, price * bytes[label]);
    return searchLabels(priced, searchOptions);
  }

  /// Variables whose bytes are worth the same all change at one price. Between
  /// labels that do not fit and some that do: of the largest differences, as
  /// many as are needed are held to the latter's bytes, the rest is free.
  SearchResult mix(const std::vector<unsigned> &tooLarge,
                   const SearchResult &fitting, double memory,
                   SearchOptions searchOptions) const {
    std::vector<std::pair<double, size_t>> savings;
    double total = 0;
    for (auto [i, item] : llvm::enumerate(memoryOf)) {
      double before = item.second[tooLarge[item.first]];
      total += before;
      savings.push_back({before - item.second[fitting.labels[item.first]], i});
    }
    llvm::stable_sort(savings, [](const auto &a, const auto &b) {
      return a.first > b.first;
    });
    CostGraph held = graph;
    std::vector<char> isHeld(memoryOf.size(), 0);
    for (auto [saved, i] : savings) {
      if (total > memory) {
        isHeld[i] = 1;
        total -= saved;
      }
      const auto &[node, bytes] = memoryOf[i];
      double most = std::max(bytes[fitting.labels[node]],
                             isHeld[i] ? 0 : bytes[tooLarge[node]]);
      for (unsigned label = 0; label < bytes.size(); ++label)
        if (bytes[label] > most)
          held.addUnary(node, label, CostGraph::forbidden);
    }
    searchOptions.initial = fitting.labels;
    SearchResult found = searchLabels(held, searchOptions);
    found.objective = graph.evaluate(found.labels);
    return found;
  }

  void diagnose(Operation *op) {
    InFlightDiagnostic diag = op->emitError();
    diag << "expects " << describe(op)
         << " to have a sound signature on the searched mesh axes";
    auto given = options.givenOps.find(op);
    if (given == options.givenOps.end())
      return;
    for (auto [axis, wanted] : llvm::enumerate(given->second))
      if (wanted)
        diag.attachNote(entry.getLoc())
            << "its first result is wanted as '" << text(wanted->layout)
            << "' on axis '" << mesh.getNames()[axis].getValue() << "' by '"
            << wanted->source << "'";
  }

  static std::string text(const AxisLayout &layout) {
    std::string out;
    llvm::raw_string_ostream(out) << layout;
    return out;
  }

  /// Names the two ends between which no reshard exists.
  LogicalResult diagnoseConflict(const SearchResult &result) {
    for (const Link &link : links) {
      unsigned a = link.from.states[result.labels[link.from.node]],
               b = link.to.states[result.labels[link.to.node]];
      if (link.table->seconds(a, b) < CostGraph::forbidden)
        continue;
      Operation *user = link.use ? link.use->getOwner() : entry;
      InFlightDiagnostic diag = user->emitError();
      diag << "expects layouts of "
           << (user == entry ? std::string("'") + entry.getSymName().str() + "'"
                             : describe(user))
           << " that reshards can make of those of its operands, got "
           << LayoutAttr::get(entry.getContext(), link.table->layout(b))
           << " from "
           << LayoutAttr::get(entry.getContext(), link.table->layout(a));
      diag.attachNote(link.value.getLoc())
          << "the other end is "
          << (link.value.getDefiningOp() ? describe(link.value.getDefiningOp())
                                         : std::string("an argument"))
          << "; a dim that micro-batches split keeps its other splits";
      return failure();
    }
    return entry.emitOpError("finds no layouts that fulfil what is given");
  }

  struct Link {
    End from, to;
    const LayoutTable *table;
    Value value;
    OpOperand *use;
  };

  graph::EntryOp entry;
  const ProblemOptions &options;
  dist::MeshAttr mesh;
  CandidateMaker makers;
  std::vector<Operation *> ops;
  llvm::DenseMap<Operation *, unsigned> index;
  std::vector<unsigned> classOf, members, nodeOf;
  std::vector<Operation *> firstOf;
  std::vector<std::vector<Candidate>> classes;
  std::vector<std::string> variableNames;
  llvm::StringMap<unsigned> variableOf;
  std::vector<Value> argumentFor;
  std::vector<unsigned> classOfVariable;
  std::vector<VariableClass> variables;
  CostGraph graph;
  std::vector<std::pair<unsigned, std::vector<double>>> memoryOf; // by node
  std::vector<Link> links;
  std::vector<unsigned> labels;
};

LayoutProblem::LayoutProblem(graph::EntryOp entry, SignatureAnalysis &analysis,
                             const Cluster &cluster,
                             const ProblemOptions &options)
    : impl(std::make_unique<Impl>(entry, analysis, cluster, options)) {}
LayoutProblem::~LayoutProblem() = default;
LogicalResult LayoutProblem::build() { return impl->build(); }
LogicalResult LayoutProblem::solve(double memory,
                                   const SearchOptions &options) {
  return impl->solve(memory, options);
}
const ProblemReport &LayoutProblem::getReport() const { return impl->report; }
std::optional<SmallVector<AxisLayout, 4>>
LayoutProblem::variableLayout(StringRef name) const {
  return impl->variableLayout(name);
}
void LayoutProblem::write() { impl->write(); }
