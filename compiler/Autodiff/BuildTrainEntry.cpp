// SPDX-License-Identifier: Apache-2.0
#include "compiler/Autodiff/Passes.h"
#include "compiler/Autodiff/Reverse.h"
#include "dialects/Graph/Build.h"

#include "llvm/Support/GlobPattern.h"

#include <limits>

using namespace mlir;

namespace weir::compiler {

#define GEN_PASS_DEF_BUILDTRAINENTRYPASS
#include "compiler/Autodiff/Passes.h.inc"

namespace {

using graph::Build;
using graph::EntryOp;
using graph::GraphDialect;
using graph::VariableOp;

/// One `pattern=index` of the option `groups`.
struct Group {
  llvm::GlobPattern pattern;
  unsigned index;
};

/// A trained parameter and what belongs to it.
struct Parameter {
  VariableOp variable;
  BlockArgument value;
  Value gradient;
  unsigned group = 0;
  SmallVector<VariableOp, 2> states;
};

class BuildTrainEntryPass
    : public impl::BuildTrainEntryPassBase<BuildTrainEntryPass> {
public:
  using BuildTrainEntryPassBase::BuildTrainEntryPassBase;

  void runOnOperation() override {
    if (failed(parseOptions()) || failed(findEntry()) ||
        failed(findParameters()) || failed(differentiate()))
      return signalPassFailure();
    buildUpdate();
  }

private:
  bool isAdamW() const { return optimizer == "adamw"; }

  LogicalResult parseOptions() {
    Location loc = getOperation().getLoc();
    if (optimizer != "adamw" && optimizer != "sgd")
      return emitError(loc)
             << "expects the optimizer to be 'adamw' or 'sgd', got '"
             << optimizer << "'";
    parsedGroups.clear();
    for (StringRef text : groups) {
      auto [pattern, number] = text.rsplit('=');
      unsigned index;
      if (pattern.empty() || number.getAsInteger(10, index))
        return emitError(loc)
               << "expects a parameter group 'pattern=index', got '" << text
               << "'";
      llvm::Expected<llvm::GlobPattern> glob =
          llvm::GlobPattern::create(pattern);
      if (!glob)
        return emitError(loc)
               << "expects a parameter group's pattern to be a glob, got '"
               << pattern << "': " << llvm::toString(glob.takeError());
      parsedGroups.push_back({std::move(*glob), index});
    }
    return success();
  }

  /// Finds `@loss`, its terminator and the two results.
  LogicalResult findEntry() {
    SymbolTable symbols(getOperation());
    entry = symbols.lookup<EntryOp>("loss");
    if (!entry)
      return getOperation().emitError(
          "expects an entry 'loss' to train: results 'loss_sum' and 'count'");
    if (Operation *other = symbols.lookup("train"))
      return entry.emitOpError("cannot become 'train': that symbol exists")
                 .attachNote(other->getLoc())
             << "defined here";
    body = &entry.getBody().front();
    end = body->getTerminator();
    for (auto [i, value] : llvm::enumerate(end->getOperands())) {
      StringRef name = entry.getResultOutput(i);
      auto type = cast<RankedTensorType>(value.getType());
      if (name != "loss_sum" && name != "count")
        return entry.emitOpError(
                   "expects the results 'loss_sum' and 'count', got '")
               << (name.empty() ? entry.getResultVariable(i) : name) << "'";
      if (type.getRank() != 0 || !type.getElementType().isF32())
        return entry.emitOpError("expects result '")
               << name << "' to be tensor<f32>, got " << type;
      (name == "count" ? count : lossSum) = value;
    }
    if (!lossSum || !count)
      return entry.emitOpError("expects the result '")
             << (lossSum ? "count" : "loss_sum") << "'";
    return success();
  }

  LogicalResult findParameters() {
    SymbolTable symbols(getOperation());
    llvm::StringMap<unsigned> seen;
    for (BlockArgument argument : body->getArguments()) {
      StringRef name = entry.getArgumentVariable(argument.getArgNumber());
      if (name.empty())
        continue;
      auto variable = symbols.lookup<VariableOp>(name);
      if (!variable || variable.getKind() != graph::VariableKind::Parameter ||
          !Build::isFloat(argument))
        continue;
      if (!seen.try_emplace(name, parameters.size()).second)
        return entry.emitOpError("reads parameter '")
               << name << "' through two arguments; expects one";
      argument.setLoc(NameLoc::get(StringAttr::get(&getContext(), name)));
      parameters.push_back(
          {variable, argument, Value(), groupOf(variable), {}});
    }
    return success();
  }

  unsigned groupOf(VariableOp variable) {
    StringRef name = variable.getSymName();
    for (Group &group : parsedGroups)
      if (group.pattern.match(name))
        return group.index;
    // Builders split dims (heads, q/k/v): the checkpoint's rank tells a bias.
    int64_t rank = variable.getTensorType().getRank();
    if (auto stored = variable.getStoredAttr())
      rank = stored.getShape().size();
    return rank < 2 ? 1 : 0;
  }

  LogicalResult differentiate() {
    setTask(body->begin(), "forward");
    Operation *last = end->getPrevNode();
    OpBuilder builder(end);
    Build b(builder, derivedLoc(lossSum.getLoc(), "gradient"));
    Value one = b.splatLike(lossSum, 1);
    SmallVector<Value> wanted, gradients;
    for (Parameter &parameter : parameters)
      wanted.push_back(parameter.value);
    if (failed(buildGradients(builder, lossSum, one, wanted, gradients)))
      return failure();
    SmallVector<Parameter> reached;
    for (auto [parameter, gradient] : llvm::zip(parameters, gradients)) {
      parameter.gradient = gradient;
      if (gradient)
        reached.push_back(parameter);
      else
        parameter.variable.emitWarning("parameter '")
            << parameter.variable.getSymName()
            << "' does not influence the loss: it is not updated";
    }
    parameters = std::move(reached);
    if (parameters.empty())
      return entry.emitOpError("expects a loss that depends on a parameter; "
                               "there is nothing to train");
    setTask(last ? std::next(last->getIterator()) : body->begin(), "backward");
    return success();
  }

  /// Marks the ops from `from` to the terminator.
  void setTask(Block::iterator from, StringRef task) {
    auto attr = StringAttr::get(&getContext(), task);
    for (Operation &op : llvm::make_range(from, end->getIterator()))
      op.setAttr(GraphDialect::getTaskAttrName(), attr);
  }

  /// Adds an argument; `finish` writes the types and attributes at once.
  BlockArgument addArgument(Type type, Location loc, StringRef binding,
                            Attribute to) {
    argumentAttributes.push_back(DictionaryAttr::get(
        &getContext(),
        {NamedAttribute(StringAttr::get(&getContext(), binding), to)}));
    return body->addArgument(type, loc);
  }

  /// The rank-0 f32 input of that name.
  Value scalar(StringRef name) {
    Value &known = scalars[name];
    if (!known) {
      Builder builder(&getContext());
      known = addArgument(RankedTensorType::get({}, builder.getF32Type()),
                          NameLoc::get(builder.getStringAttr(name)),
                          GraphDialect::getInputAttrName(),
                          builder.getStringAttr(name));
    }
    return known;
  }

  void addState(Parameter &parameter, StringRef suffix) {
    VariableOp variable = parameter.variable;
    std::string name = (variable.getSymName() + "/" + suffix).str();
    Builder attributes(&getContext());
    OpBuilder builder(&getContext());
    builder.setInsertionPointAfter(
        parameter.states.empty() ? variable : parameter.states.back());
    auto state = VariableOp::create(
        builder, NameLoc::get(attributes.getStringAttr(name)), name,
        variable.getTensorType(), graph::VariableKind::OptimizerState,
        graph::InitializerAttr::get(&getContext(),
                                    graph::InitializerKind::Constant, 0, 0),
        graph::StoredAttr());
    state->setDiscardableAttrs(variable->getDiscardableAttrDictionary());
    parameter.states.push_back(state);
  }

  void addResult(Value value, StringRef binding, Attribute to) {
    results.push_back(value);
    resultAttributes.push_back(DictionaryAttr::get(
        &getContext(),
        {NamedAttribute(StringAttr::get(&getContext(), binding), to)}));
  }
  void addOutput(Value value, StringRef name) {
    addResult(value, GraphDialect::getOutputAttrName(),
              StringAttr::get(&getContext(), name));
  }
  void addUpdate(Value value, VariableOp variable) {
    addResult(value, GraphDialect::getVariableAttrName(),
              FlatSymbolRefAttr::get(variable.getSymNameAttr()));
  }

  void buildUpdate() {
    MLIRContext *context = &getContext();
    entry.getAllArgAttrs(argumentAttributes);
    argumentAttributes.resize(body->getNumArguments(),
                              DictionaryAttr::get(context));
    Operation *last = end->getPrevNode();
    OpBuilder builder(end);
    auto named = [&](StringRef name) {
      return Build(builder, NameLoc::get(StringAttr::get(context, name)));
    };

    // State arguments first: large tensors together, then scalars.
    SmallVector<SmallVector<Value, 2>> states;
    for (Parameter &parameter : parameters) {
      addState(parameter, "m");
      if (isAdamW())
        addState(parameter, "v");
      SmallVector<Value, 2> &values = states.emplace_back();
      for (VariableOp state : parameter.states)
        values.push_back(
            addArgument(state.getTensorType(), state.getLoc(),
                        GraphDialect::getVariableAttrName(),
                        FlatSymbolRefAttr::get(state.getSymNameAttr())));
    }

    Build n = named("gradient_norm");
    Value squares;
    for (Parameter &parameter : parameters) {
      Value gradient = n.cast(parameter.gradient, builder.getF32Type());
      Value sum = n.sumAll(n.mul(gradient, gradient));
      squares = squares ? n.add(squares, sum) : sum;
    }
    Value norm = n.div(n.sqrt(squares), count);

    Build c = named("gradient_clipping");
    Value maxNorm = scalar("max_norm");
    Value one = c.splatLike(norm, 1);
    Value ratio = c.min(one, c.div(maxNorm, c.add(norm, 1e-6)));
    Value clip =
        c.select(c.compare(graph::Predicate::Gt, maxNorm, 0.0), ratio, one);
    Value scale = c.div(clip, count);

    Build f = named("applied");
    auto isFinite = [&](Value value) {
      return f.compare(graph::Predicate::Lt, f.abs(value),
                       std::numeric_limits<double>::infinity());
    };
    Value finiteNorm = isFinite(norm);
    Value apply = f.keep(isFinite(lossSum), finiteNorm);

    addOutput(named("loss").div(lossSum, count), "loss");
    addOutput(count, "count");
    addOutput(norm, "gradient_norm");
    addOutput(f.cast(apply, builder.getF32Type()), "applied");
    if (emitGradients)
      for (Parameter &parameter : parameters)
        addOutput(parameter.gradient,
                  ("gradient/" + parameter.variable.getSymName()).str());

    for (auto [parameter, state] : llvm::zip(parameters, states)) {
      std::string prefix = "group" + std::to_string(parameter.group) + ".";
      SmallVector<Value> operands = {parameter.value};
      llvm::append_range(operands, state);
      operands.append(
          {parameter.gradient, scale, scalar(prefix + "learning_rate")});
      SmallVector<Type> types(1 + state.size(), parameter.value.getType());
      std::string site =
          (parameter.variable.getSymName() + (isAdamW() ? "/adamw" : "/sgd"))
              .str();
      Location loc = NameLoc::get(StringAttr::get(context, site));
      NamedAttribute siteAttr(StringAttr::get(context, "site"),
                              StringAttr::get(context, site));
      Operation *update;
      if (isAdamW()) {
        operands.append({scalar("beta1"), scalar("beta2"), scalar("epsilon"),
                         scalar(prefix + "weight_decay"), scalar("correction1"),
                         scalar("correction2"), apply});
        update =
            graph::AdamWOp::create(builder, loc, types, operands, siteAttr);
      } else {
        operands.append(
            {scalar("momentum"), scalar(prefix + "weight_decay"), apply});
        update = graph::SgdOp::create(builder, loc, types, operands, siteAttr);
      }
      addUpdate(update->getResult(0), parameter.variable);
      for (auto [variable, result] :
           llvm::zip(parameter.states, update->getResults().drop_front()))
        addUpdate(result, variable);
    }
    setTask(last ? std::next(last->getIterator()) : body->begin(), "update");

    end->setOperands(results);
    entry.setSymName("train");
    entry.setFunctionType(FunctionType::get(context, body->getArgumentTypes(),
                                            ValueRange(results).getTypes()));
    entry.setAllArgAttrs(argumentAttributes);
    entry.setAllResultAttrs(resultAttributes);
  }

  SmallVector<Group> parsedGroups;
  EntryOp entry;
  Block *body = nullptr;
  Operation *end = nullptr;
  Value lossSum, count;
  SmallVector<Parameter> parameters;
  llvm::StringMap<Value> scalars; // looked up only
  SmallVector<DictionaryAttr> argumentAttributes, resultAttributes;
  SmallVector<Value> results;
};

} // namespace

} // namespace weir::compiler
