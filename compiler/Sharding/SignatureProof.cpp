// SPDX-License-Identifier: Apache-2.0
#include "compiler/Sharding/SignatureProof.h"

#include "compiler/Sharding/ShardedBlock.h"

#include <random>
#include <set>

using namespace mlir;
using namespace weir;
using namespace weir::compiler;
using dist::AxisLayout;
using dist::Reduction;

std::string weir::compiler::shortText(const AxisLayout &layout) {
  std::string out;
  llvm::raw_string_ostream os(out);
  if (layout.isSplit()) {
    os << "S" << layout.dim;
    if (layout.unit > 1)
      os << "/" << layout.unit;
  } else if (layout.isPartial() && layout.reduction == Reduction::Sum) {
    os << "P";
  } else {
    os << layout;
  }
  return out;
}

std::string weir::compiler::shortText(const OpSignature &signature) {
  std::string out;
  for (auto [i, layout] : llvm::enumerate(signature.operands))
    out += (i ? "," : "") + shortText(layout);
  out += "->";
  for (auto [i, layout] : llvm::enumerate(signature.results))
    out += (i ? "," : "") + shortText(layout);
  return out;
}

namespace {

dist::MeshAttr lineOf(MLIRContext *context, int64_t parts) {
  return dist::MeshAttr::get(context, {StringAttr::get(context, "x")}, {parts},
                             false);
}

SmallVector<AxisLayouts> onOneAxis(ArrayRef<AxisLayout> layouts) {
  SmallVector<AxisLayouts> out;
  for (const AxisLayout &layout : layouts)
    out.push_back({layout});
  return out;
}

bool mayHoldTerms(Type type) {
  Type element = cast<RankedTensorType>(type).getElementType();
  return isa<FloatType>(element) || element.getIntOrFloatBitWidth() >= 32;
}

/// The trial of one block's signatures on one number of coordinates.
class Trial {
public:
  Trial(Block &block, ValueRange results, int64_t parts,
        const ProofOptions &options)
      : block(block), results(results), parts(parts), options(options),
        mesh(lineOf(contextOf(block, results), parts)) {
    for (auto dataset : {ShardedBlock::Signed, ShardedBlock::Positive,
                         ShardedBlock::OtherSigned, ShardedBlock::Special})
      numbers.push_back(std::make_unique<ShardedBlock>(block, results, mesh,
                                                       options, dataset));
  }

  const std::string &getError() const { return numbers[0]->getError(); }

  /// Why the signature does not hold, or "". With `always` on all numbers.
  std::string judge(const OpSignature &signature, bool always) {
    for (size_t dataset = 0; dataset < (always ? 4 : 2); ++dataset)
      for (bool byPieces : {false, true}) {
        std::string reason = judge(*numbers[dataset], signature, byPieces);
        if (!reason.empty())
          return reason + (byPieces ? " (pieces)" : " (op)");
      }
    return "";
  }

  /// Tries assignments that are not in `derived`.
  void findMissing(ArrayRef<OpSignature> derived, ProofReport &report) {
    for (const OpSignature &signature : derived)
      if (signature.allows(parts))
        for (int64_t factor = 1; factor <= signature.atoms; ++factor)
          if (std::optional<OpSignature> scaled = signature.inUnits(factor))
            known.insert(canonicalText(*scaled));
    SmallVector<SmallVector<AxisLayout>> choices;
    double count = 1;
    for (BlockArgument argument : block.getArguments()) {
      choices.push_back(choicesOf(argument));
      count *= static_cast<double>(choices.back().size());
    }
    if (count <= static_cast<double>(options.maxAssignments)) {
      SmallVector<int64_t> digits(choices.size(), 0), sizes;
      for (auto &list : choices)
        sizes.push_back(list.size());
      do {
        SmallVector<AxisLayout> operands;
        for (auto [i, digit] : llvm::enumerate(digits))
          operands.push_back(choices[i][digit]);
        tryOperands(operands, report);
      } while (nextIndex(digits, sizes));
      return;
    }
    report.sampled = true;
    std::set<std::string> tried;
    auto tryOnce = [&](ArrayRef<AxisLayout> operands) {
      OpSignature key;
      key.operands.assign(operands.begin(), operands.end());
      if (tried.insert(shortText(key)).second)
        tryOperands(operands, report);
    };
    auto full = [&] {
      return static_cast<int64_t>(tried.size()) >= options.maxAssignments;
    };
    // Neighbours of what holds are where rules are missed.
    for (const OpSignature &signature : derived)
      for (size_t i = 0; i < choices.size(); ++i)
        for (const AxisLayout &layout : choices[i]) {
          if (full() || !signature.allows(parts))
            break;
          SmallVector<AxisLayout> operands(signature.operands.begin(),
                                           signature.operands.end());
          operands[i] = layout;
          tryOnce(operands);
        }
    std::mt19937_64 random(options.seed);
    for (int64_t i = 0; i < 2 * options.maxAssignments && !full(); ++i) {
      SmallVector<AxisLayout> operands;
      for (auto &list : choices)
        operands.push_back(list[random() % list.size()]);
      tryOnce(operands);
    }
  }

private:
  static MLIRContext *contextOf(Block &block, ValueRange results) {
    return block.getNumArguments() ? block.getArgument(0).getContext()
                                   : results[0].getContext();
  }

  std::string judge(ShardedBlock &numbers, const OpSignature &signature,
                    bool byPieces) {
    for (auto [result, layout] : llvm::zip_equal(results, signature.results))
      if (layout.isPartial() && !mayHoldTerms(result.getType()))
        return "has terms of a value that has no sum";
    SmallVector<AxisLayouts> wanted = onOneAxis(signature.results);
    std::string reason = "does not run on these shards";
    bool holds = numbers.run(
        onOneAxis(signature.operands), wanted, byPieces,
        [&](ArrayRef<AxisLayouts>, ArrayRef<const RankTensors *> held) {
          for (auto [i, result] : llvm::enumerate(results)) {
            reason = numbers.compare(result, *held[i], wanted[i], byPieces);
            if (!reason.empty()) {
              reason = "result " + std::to_string(i) + " " + reason;
              return false;
            }
          }
          return true;
        });
    return holds ? "" : reason;
  }

  std::string canonicalText(OpSignature signature) {
    for (auto [argument, layout] :
         llvm::zip_equal(block.getArguments(), signature.operands))
      layout = numbers[0]->canonical(
          layout, cast<RankedTensorType>(argument.getType()));
    for (auto [result, layout] : llvm::zip_equal(results, signature.results))
      layout = numbers[0]->canonical(layout,
                                     cast<RankedTensorType>(result.getType()));
    return shortText(signature);
  }

  SmallVector<AxisLayout> choicesOf(BlockArgument argument) {
    SmallVector<AxisLayout> choices;
    for (const AxisLayouts &layouts :
         numbers[0]->splitsOf(cast<RankedTensorType>(argument.getType())))
      choices.push_back(layouts[0]);
    if (mayHoldTerms(argument.getType()))
      for (Reduction reduction :
           {Reduction::Sum, Reduction::Max, Reduction::Min})
        choices.push_back(AxisLayout::partial(reduction));
    return choices;
  }

  /// Layouts in which the ranks hold a result of that type.
  SmallVector<AxisLayout> layoutsThatHold(ShardedBlock &numbers, Value result,
                                          const RankTensors &held,
                                          const AxisLayout &split) {
    SmallVector<AxisLayout> layouts;
    if (numbers.compare(result, held, {split}).empty())
      layouts.push_back(split);
    if (split.isSplit() || !layouts.empty() || !mayHoldTerms(result.getType()))
      return layouts; // equal values are extrema too, but that is weaker
    for (Reduction reduction : {Reduction::Sum, Reduction::Max, Reduction::Min})
      if (numbers.compare(result, held, {AxisLayout::partial(reduction)})
              .empty())
        layouts.push_back(AxisLayout::partial(reduction));
    return layouts;
  }

  void tryOperands(ArrayRef<AxisLayout> operands, ProofReport &report) {
    ++report.assignments;
    std::vector<OpSignature> holding;
    numbers[0]->run(
        onOneAxis(operands), {}, false,
        [&](ArrayRef<AxisLayouts> types, ArrayRef<const RankTensors *> held) {
          SmallVector<SmallVector<AxisLayout>> layouts;
          SmallVector<int64_t> digits, sizes;
          for (auto [i, result] : llvm::enumerate(results)) {
            layouts.push_back(
                layoutsThatHold(*numbers[0], result, *held[i], types[i][0]));
            digits.push_back(0);
            sizes.push_back(layouts.back().size());
            if (layouts.back().empty())
              return false;
          }
          do {
            holding.emplace_back();
            OpSignature &signature = holding.back();
            signature.operands.assign(operands.begin(), operands.end());
            for (auto [i, digit] : llvm::enumerate(digits))
              signature.results.push_back(layouts[i][digit]);
          } while (nextIndex(digits, sizes));
          return false;
        });
    for (OpSignature &signature : holding)
      if (known.insert(canonicalText(signature)).second &&
          judge(signature, true).empty())
        report.missing.push_back({signature, parts, ""});
  }

  Block &block;
  ValueRange results;
  int64_t parts;
  const ProofOptions &options;
  dist::MeshAttr mesh;
  std::vector<std::unique_ptr<ShardedBlock>> numbers;
  std::set<std::string> known;
};

} // namespace

ProofReport weir::compiler::proveSignatures(Block &block, ValueRange results,
                                            ArrayRef<OpSignature> derived,
                                            const ProofOptions &options) {
  ProofReport report;
  auto onParts = [&](int64_t parts, bool tryAll) {
    Trial trial(block, results, parts, options);
    if (!trial.getError().empty()) {
      report.error = trial.getError();
      return;
    }
    for (const OpSignature &signature : derived) {
      if (signature.isProgram() || !signature.allows(parts))
        continue;
      ++report.derived;
      std::string reason = trial.judge(signature, options.special);
      if (!reason.empty())
        report.incorrect.push_back({signature, parts, reason});
    }
    if (tryAll)
      trial.findMissing(derived, report);
  };
  for (int64_t parts : options.parts)
    onParts(parts, options.findMissing);
  for (int64_t parts : options.moreParts)
    onParts(parts, false);
  return report;
}

ProofReport weir::compiler::proveSignatures(Operation *op,
                                            const ProofOptions &options) {
  Region region;
  Block &block = region.emplaceBlock();
  OpBuilder builder(op->getContext());
  builder.setInsertionPointToEnd(&block);
  Operation *clone = builder.clone(*op);
  SmallVector<Value> arguments;
  for (Type type : op->getOperandTypes())
    arguments.push_back(block.addArgument(type, op->getLoc()));
  clone->setOperands(arguments);
  ProofReport report = proveSignatures(block, clone->getResults(),
                                       deriveSignatures(op), options);
  clone->erase();
  return report;
}

std::string weir::compiler::executeSignature(
    Block &block, ValueRange results, dist::MeshAttr mesh,
    ArrayRef<AxisLayouts> operandLayouts, ArrayRef<AxisLayouts> resultLayouts,
    const ProofOptions &options) {
  for (auto dataset : {ShardedBlock::Signed, ShardedBlock::Positive}) {
    ShardedBlock numbers(block, results, mesh, options, dataset);
    if (!numbers.getError().empty())
      return numbers.getError();
    std::string reason = "does not run on these shards";
    bool holds = numbers.run(
        operandLayouts, resultLayouts, false,
        [&](ArrayRef<AxisLayouts>, ArrayRef<const RankTensors *> held) {
          for (auto [i, result] : llvm::enumerate(results)) {
            reason = numbers.compare(result, *held[i], resultLayouts[i]);
            if (!reason.empty())
              return false;
          }
          return true;
        });
    if (!holds)
      return reason;
  }
  return "";
}

void weir::compiler::forEachSignature(
    Operation *op, dist::MeshAttr mesh, SignatureAnalysis &analysis,
    function_ref<bool(const OpSignature &, int64_t)> wanted,
    function_ref<void(ArrayRef<AxisLayouts>, ArrayRef<AxisLayouts>)> visit) {
  unsigned axes = mesh.getNumAxes();
  SmallVector<AxisLayouts> operands(op->getNumOperands(), AxisLayouts(axes)),
      results(op->getNumResults(), AxisLayouts(axes));
  auto extend = [&](auto &&self, unsigned axis) -> void {
    if (axis == axes)
      return visit(operands, results);
    auto localTypes = [&](TypeRange types, ArrayRef<AxisLayouts> layouts) {
      SmallVector<Type> out;
      for (auto [type, layout] : llvm::zip_equal(types, layouts)) {
        AxisLayouts known(layout);
        for (unsigned later = 0; later < axes; ++later)
          if (later >= axis || known[later].isPartial())
            known[later] = AxisLayout::broadcast();
        out.push_back(dist::getLocalType(
            cast<RankedTensorType>(type),
            dist::LayoutAttr::get(op->getContext(), known), mesh));
      }
      return out;
    };
    const OpRules &rules =
        analysis.getRules(op, localTypes(op->getOperandTypes(), operands),
                          localTypes(op->getResultTypes(), results));
    for (const OpSignature &signature : rules.signatures) {
      if (signature.isProgram() || !signature.allows(mesh.getSizes()[axis]) ||
          !wanted(signature, axis))
        continue;
      for (auto [i, layout] : llvm::enumerate(signature.operands))
        operands[i][axis] = layout;
      for (auto [i, layout] : llvm::enumerate(signature.results))
        results[i][axis] = layout;
      self(self, axis + 1);
    }
  };
  extend(extend, 0);
}
