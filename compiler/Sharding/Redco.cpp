// SPDX-License-Identifier: Apache-2.0
#include "compiler/Sharding/Redco.h"

#include <optional>

using namespace mlir;
using namespace weir;
using namespace weir::compiler;
using dist::AxisLayout;

namespace {

/// How far a matrix' result is followed to attention: bias, slice, reshape and
/// rotation lie between.
constexpr unsigned maxDepth = 12;

class Redco {
public:
  Redco(graph::EntryOp entry, SignatureAnalysis &analysis)
      : entry(entry), analysis(analysis) {}

  llvm::StringMap<int64_t> run() {
    for (Operation &op : entry.getBody().front().without_terminator()) {
      if (auto matmul = dyn_cast<graph::MatmulOp>(op)) {
        if (visit(matmul))
          continue;
      } else if (auto embedding = dyn_cast<graph::EmbeddingOp>(op)) {
        StringRef table = variableOf(embedding.getTable());
        if (!table.empty()) {
          dims.try_emplace(table, 0);
          continue; // sums of terms, which are reduced
        }
      }
      follow(&op);
    }
    return std::move(dims);
  }

private:
  StringRef variableOf(Value value) {
    auto argument = dyn_cast<BlockArgument>(value);
    return argument ? entry.getArgumentVariable(argument.getArgNumber())
                    : StringRef();
  }

  /// The dim of a result that is split when an operand's is, if the op can run
  /// so.
  std::optional<int64_t> through(Operation *op, unsigned operand, int64_t dim,
                                 unsigned result = 0) {
    if (!isa<graph::ExpandOpInterface>(op))
      return std::nullopt;
    for (const OpSignature &signature : analysis.getRules(op).signatures)
      if (!signature.isProgram() && signature.operands[operand].isSplit(dim) &&
          signature.results[result].isSplit())
        return signature.results[result].dim;
    return std::nullopt;
  }

  void follow(Operation *op) {
    for (OpOperand &operand : op->getOpOperands()) {
      auto known = split.find(operand.get());
      if (known == split.end())
        continue;
      for (OpResult result : op->getResults())
        if (auto dim = through(op, operand.getOperandNumber(), known->second,
                               result.getResultNumber()))
          split.try_emplace(result, *dim);
    }
  }

  /// Whether splitting this dim splits the heads of an attention.
  bool leadsToHeads(Value value, int64_t dim, unsigned depth = 0) {
    for (OpOperand &use : value.getUses()) {
      Operation *user = use.getOwner();
      if (isa<graph::AttentionOp>(user)) {
        if (use.getOperandNumber() < 3)
          return dim == 2;
        continue;
      }
      if (isa<graph::MatmulOp>(user) || depth == maxDepth)
        continue;
      if (auto next = through(user, use.getOperandNumber(), dim))
        if (leadsToHeads(user->getResult(0), *next, depth + 1))
          return true;
    }
    return false;
  }

  /// A product with a variable; false for others.
  bool visit(graph::MatmulOp op) {
    bool right = !variableOf(op.getRhs()).empty();
    if (!right && variableOf(op.getLhs()).empty())
      return false;
    unsigned weightOperand = right ? 1 : 0;
    Value weight = op->getOperand(weightOperand),
          input = op->getOperand(1 - weightOperand);
    StringRef name = variableOf(weight);
    ArrayRef<int64_t> contract =
                          right ? op.getRhsContract() : op.getLhsContract(),
                      inputContract =
                          right ? op.getLhsContract() : op.getRhsContract();
    int64_t dim = -1;
    if (auto decided = dims.find(name); decided != dims.end()) {
      dim = decided->second;
    } else {
      auto known = split.find(input);
      if (known != split.end())
        for (auto [mine, theirs] : llvm::zip_equal(contract, inputContract))
          if (theirs == known->second)
            dim = mine;
      if (dim < 0)
        dim = column(op, weightOperand, contract);
      if (dim < 0)
        return true;
      dims.try_emplace(name, dim);
    }
    // By rows, the result is a sum of terms, which is reduced.
    if (!llvm::is_contained(contract, dim))
      if (auto made = through(op, weightOperand, dim))
        split[op.getOutput()] = *made;
    return true;
  }

  /// A dim of the weight that the product keeps: the one of heads, else the
  /// last.
  int64_t column(graph::MatmulOp op, unsigned weightOperand,
                 ArrayRef<int64_t> contract) {
    int64_t last = -1;
    auto type = cast<RankedTensorType>(op->getOperand(weightOperand).getType());
    for (int64_t dim = 0; dim < type.getRank(); ++dim) {
      if (llvm::is_contained(contract, dim))
        continue;
      auto made = through(op, weightOperand, dim);
      if (!made)
        continue;
      last = dim;
      if (leadsToHeads(op.getOutput(), *made))
        return dim;
    }
    return last;
  }

  graph::EntryOp entry;
  SignatureAnalysis &analysis;
  /// Dims that column splits leave split, by value.
  DenseMap<Value, int64_t> split;
  llvm::StringMap<int64_t> dims;
};

} // namespace

llvm::StringMap<int64_t>
weir::compiler::redcoDims(ModuleOp module, SignatureAnalysis &analysis) {
  graph::EntryOp best;
  bool bestUpdates = true;
  for (auto entry : module.getOps<graph::EntryOp>()) {
    bool updates = false;
    for (unsigned i = 0, e = entry.getNumResults(); i < e; ++i)
      updates |= !entry.getResultVariable(i).empty();
    if (!best || (bestUpdates && !updates)) {
      best = entry;
      bestUpdates = updates;
    }
  }
  return best ? Redco(best, analysis).run() : llvm::StringMap<int64_t>();
}
