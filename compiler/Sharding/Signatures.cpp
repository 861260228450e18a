// SPDX-License-Identifier: Apache-2.0
#include "compiler/Sharding/Signatures.h"

#include "llvm/ADT/EquivalenceClasses.h"

#include <numeric>
#include <optional>

using namespace mlir;
using namespace weir;
using namespace weir::compiler;
using dist::AxisLayout;
using dist::Reduction;

bool OpSignature::isBroadcast() const {
  auto broadcast = [](const AxisLayout &layout) {
    return layout.isBroadcast();
  };
  return llvm::all_of(operands, broadcast) && llvm::all_of(results, broadcast);
}

bool OpSignature::allows(int64_t parts) const {
  return llvm::all_of(mustDivide,
                      [&](int64_t size) { return size % parts == 0; });
}

llvm::raw_ostream &weir::compiler::operator<<(llvm::raw_ostream &os,
                                              const OpSignature &signature) {
  llvm::interleaveComma(signature.operands, os);
  os << " -> ";
  llvm::interleaveComma(signature.results, os);
  return os;
}

namespace {

//===----------------------------------------------------------------------===//
// Scalar bodies
//===----------------------------------------------------------------------===//

/// How a scalar (or tensor) depends on the partial operands: not at all, or as
/// a term of a reduction. `zero` marks the constant 0, a term of every sum.
struct Dependence {
  bool partial = false;
  Reduction reduction = Reduction::Sum;
  bool zero = false;

  static Dependence term(Reduction reduction) {
    return {true, reduction, false};
  }
};

bool isZeroConstant(Attribute value) {
  if (auto number = dyn_cast<FloatAttr>(value))
    return number.getValue().isZero();
  if (auto number = dyn_cast<IntegerAttr>(value))
    return number.getValue().isZero();
  if (auto elements = dyn_cast<DenseElementsAttr>(value)) {
    if (!elements.isSplat())
      return false;
    return isZeroConstant(elements.getSplatValue<Attribute>());
  }
  return false;
}

/// Sums are linear over numbers; one bit has no sum.
bool mayBePartial(Type elementType) {
  if (isa<FloatType>(elementType))
    return true;
  auto integer = dyn_cast<IntegerType>(elementType);
  return integer && integer.getWidth() >= 32;
}

Reduction mirrored(Reduction reduction) {
  return reduction == Reduction::Max   ? Reduction::Min
         : reduction == Reduction::Min ? Reduction::Max
                                       : Reduction::Sum;
}

/// Joint linearity (or monotonicity) of one body op in its partial operands;
/// nullopt where the partial results' reduction would not be the result.
std::optional<Dependence> propagateScalar(Operation &op,
                                          ArrayRef<Dependence> operands) {
  if (auto constant = dyn_cast<arith::ConstantOp>(op)) {
    Dependence result;
    result.zero = isZeroConstant(constant.getValue());
    return result;
  }
  if (llvm::none_of(operands, [](const Dependence &d) { return d.partial; }))
    return Dependence();
  Reduction reduction = Reduction::Sum;
  bool first = true;
  for (const Dependence &operand : operands) {
    if (!operand.partial)
      continue;
    if (!first && operand.reduction != reduction)
      return std::nullopt;
    reduction = operand.reduction;
    first = false;
  }
  Dependence term = Dependence::term(reduction);
  bool sum = reduction == Reduction::Sum;
  /// Whether an operand is a term of the same sum (0 is one everywhere).
  auto isTerm = [&](unsigned i) {
    return operands[i].partial || operands[i].zero;
  };
  if (isa<arith::AddFOp, arith::AddIOp, arith::SubFOp, arith::SubIOp>(op)) {
    bool subtract = isa<arith::SubFOp, arith::SubIOp>(op);
    if (sum) {
      if (isTerm(0) && isTerm(1))
        return term;
      return std::nullopt;
    }
    // max(x) + b is monotone in x; max(x) + max(y) is not max(x + y).
    if (operands[0].partial && operands[1].partial)
      return std::nullopt;
    if (subtract && operands[1].partial)
      return Dependence::term(mirrored(reduction));
    return term;
  }
  if (isa<arith::NegFOp>(op))
    return sum ? term : Dependence::term(mirrored(reduction));
  if (isa<arith::MulFOp, arith::MulIOp>(op)) {
    if (sum && !(operands[0].partial && operands[1].partial))
      return term;
    return std::nullopt;
  }
  if (isa<arith::DivFOp>(op)) {
    if (sum && !operands[1].partial)
      return term;
    return std::nullopt;
  }
  // Widening is exact and narrowing rounds each term: linear either way.
  if (isa<arith::ExtFOp, arith::TruncFOp, arith::SIToFPOp, arith::ExtSIOp>(op))
    return term;
  if (isa<arith::SelectOp>(op)) {
    if (operands[0].partial)
      return std::nullopt;
    if (sum ? isTerm(1) && isTerm(2)
            : true /* both choices are monotone, a fixed one too */)
      return term;
    return std::nullopt;
  }
  if (isa<arith::MaximumFOp, arith::MaxSIOp>(op))
    return reduction == Reduction::Max ? std::optional(term) : std::nullopt;
  if (isa<arith::MinimumFOp, arith::MinSIOp>(op))
    return reduction == Reduction::Min ? std::optional(term) : std::nullopt;
  // Increasing on all reals and at the neutral element of an empty shard.
  if (isa<math::ExpOp, math::TanhOp, math::ErfOp>(op) && !sum)
    return term;
  return std::nullopt;
}

//===----------------------------------------------------------------------===//
// Dimension classes of an expansion
//===----------------------------------------------------------------------===//

/// A dimension of a tensor as the reshape rule sees it.
struct DimShape {
  int64_t local = 0;
  int64_t logical = 0;
  ArrayRef<int64_t> axes;
  bool even = true; // every shard is `local` long
};

/// The pieces of one op with their dimensions' classes, and the evaluation of
/// operand layouts through them.
class Expansion {
public:
  Expansion(Block &block, ValueRange results, dist::MeshAttr mesh)
      : block(block), results(results), mesh(mesh) {
    for (BlockArgument argument : block.getArguments())
      addValue(argument);
    for (Operation &op : block)
      for (Value result : op.getResults())
        addValue(result);
    for (Operation &op : block) {
      if (auto generic = dyn_cast<kernel::GenericOp>(op)) {
        loopNodes[&op] = parent.size();
        for (unsigned i = 0, e = generic.getNumLoops(); i < e; ++i)
          addNode();
      }
    }
    for (Operation &op : block)
      unifyPiece(op);
    measureWork();
  }

  double getWork() const { return work; }

  /// Only copies of operand elements, constants and indices, and more elements
  /// out than in.
  bool isGenerator() {
    if (work > 0)
      return false;
    int64_t in = 0, out = 0;
    for (BlockArgument argument : block.getArguments())
      in += cast<RankedTensorType>(argument.getType()).getNumElements();
    for (Value result : results)
      out += cast<RankedTensorType>(result.getType()).getNumElements();
    for (Operation &op : block)
      if (!isa<kernel::GenericOp, kernel::ConstantOp>(op))
        return false;
    return in < out;
  }

  /// Roots of the classes that an operand or result dimension carries and
  /// nothing restricts, in the order of their first dimension.
  SmallVector<unsigned> getClasses() {
    SmallVector<unsigned> classes;
    auto visit = [&](Value value) {
      for (int64_t d = 0, e = rankOf(value); d < e; ++d) {
        unsigned root = find(node(value, d));
        if (!restricted(root) && !llvm::is_contained(classes, root))
          classes.push_back(root);
      }
    };
    for (BlockArgument argument : block.getArguments())
      visit(argument);
    for (Value result : results)
      visit(result);
    return classes;
  }

  /// Layout of a value when the axis splits class `root`; nullopt when two of
  /// its dimensions are in the class.
  std::optional<AxisLayout> layoutIn(Value value, unsigned root) {
    int64_t dim = -1;
    for (int64_t d = 0, e = rankOf(value); d < e; ++d) {
      if (find(node(value, d)) != root)
        continue;
      if (dim >= 0)
        return std::nullopt;
      dim = d;
    }
    return dim < 0 ? AxisLayout::broadcast() : AxisLayout::split(dim);
  }

  /// Whether the types of the op's operands and results carry a split of the
  /// class to every intermediate: expansions type these by operands' dims, so
  /// that a split which no operand has reaches results only.
  bool isVisible(unsigned root) {
    auto carries = [&](Value value) {
      for (int64_t d = 0, e = rankOf(value); d < e; ++d)
        if (find(node(value, d)) == root)
          return true;
      return false;
    };
    if (llvm::any_of(block.getArguments(), carries))
      return true;
    for (Operation &op : block)
      for (Value value : op.getResults())
        if (carries(value) && !llvm::is_contained(results, value))
          return false;
    return true;
  }

  SmallVector<int64_t> getDivisors(unsigned root) {
    SmallVector<int64_t> sizes;
    for (auto [member, size] : divisors)
      if (find(member) == root && !llvm::is_contained(sizes, size))
        sizes.push_back(size);
    llvm::sort(sizes);
    return sizes;
  }

  /// Evaluates operand layouts forwards through the pieces; `root` is the class
  /// that the axis splits, or -1. Returns the signature when it is consistent.
  std::optional<OpSignature> evaluate(ArrayRef<AxisLayout> operands, int root) {
    layouts.clear();
    zeros.clear();
    currentRoot = root;
    OpSignature signature;
    for (auto [argument, layout] :
         llvm::zip_equal(block.getArguments(), operands)) {
      layouts[argument] = layout;
      signature.operands.push_back(layout);
    }
    for (Operation &op : block)
      if (!evaluatePiece(op, signature.splitWork))
        return std::nullopt;
    for (Value result : results)
      signature.results.push_back(layouts.lookup(result));
    // A value's layout must be what localisation makes of its type.
    if (root >= 0)
      signature.mustDivide.append(getDivisors(root));
    return signature;
  }

private:
  static int64_t rankOf(Value value) {
    return cast<RankedTensorType>(value.getType()).getRank();
  }

  unsigned addNode() {
    parent.push_back(parent.size());
    poisoned.push_back(false);
    return parent.size() - 1;
  }
  void addValue(Value value) {
    firstNode[value] = parent.size();
    for (int64_t d = 0, e = rankOf(value); d < e; ++d)
      addNode();
  }
  unsigned node(Value value, int64_t dim) {
    return firstNode.lookup(value) + dim;
  }
  unsigned find(unsigned n) {
    while (parent[n] != n)
      n = parent[n] = parent[parent[n]];
    return n;
  }
  void unify(unsigned a, unsigned b) {
    a = find(a);
    b = find(b);
    if (a == b)
      return;
    if (b < a)
      std::swap(a, b);
    parent[b] = a;
    poisoned[a] = poisoned[a] || poisoned[b];
  }
  void restrict(unsigned n) { poisoned[find(n)] = true; }
  void restrictAll(Value value) {
    for (int64_t d = 0, e = rankOf(value); d < e; ++d)
      restrict(node(value, d));
  }
  bool restricted(unsigned root) const { return poisoned[root]; }

  DimShape shapeOf(Value value, int64_t dim) {
    auto type = cast<RankedTensorType>(value.getType());
    DimShape shape;
    shape.local = shape.logical = type.getDimSize(dim);
    if (auto shard = dyn_cast_or_null<dist::ShardAttr>(type.getEncoding())) {
      shape.logical = shard.getDims()[dim].size;
      shape.axes = shard.getDims()[dim].axes;
      int64_t parts = 1;
      for (int64_t axis : shape.axes)
        parts *= mesh ? mesh.getSizes()[axis] : 1;
      shape.even = shape.local * parts == shape.logical;
    }
    return shape;
  }
  static bool same(const DimShape &a, const DimShape &b) {
    return a.local == b.local && a.even == b.even &&
           (a.even || (a.logical == b.logical && a.axes == b.axes));
  }

  void unifyPiece(Operation &op) {
    if (auto generic = dyn_cast<kernel::GenericOp>(op)) {
      unsigned loops = loopNodes[&op];
      auto unifyMap = [&](Value value, AffineMap map) {
        for (auto [d, expr] : llvm::enumerate(map.getResults())) {
          if (auto loop = dyn_cast<AffineDimExpr>(expr))
            unify(node(value, d), loops + loop.getPosition());
          else
            restrict(node(value, d)); // read at a constant
        }
      };
      for (auto [i, input] : llvm::enumerate(generic.getInputs()))
        unifyMap(input, generic.getInputMap(i));
      for (auto [i, output] : llvm::enumerate(generic.getOutputs()))
        unifyMap(output, generic.getOutputMap(i));
      return;
    }
    if (auto gather = dyn_cast<kernel::GatherOp>(op)) {
      int64_t rows = rankOf(gather.getIndices());
      for (int64_t d = 0; d < rows; ++d)
        unify(node(gather.getIndices(), d), node(gather.getOutput(), d));
      for (int64_t d = 1, e = rankOf(gather.getTable()); d < e; ++d)
        unify(node(gather.getTable(), d),
              node(gather.getOutput(), rows + d - 1));
      return;
    }
    if (auto scatter = dyn_cast<kernel::ScatterAddOp>(op)) {
      int64_t rows = rankOf(scatter.getIndices());
      for (int64_t d = 0; d < rows; ++d)
        unify(node(scatter.getIndices(), d), node(scatter.getUpdates(), d));
      for (int64_t d = 1, e = rankOf(scatter.getOutput()); d < e; ++d)
        unify(node(scatter.getOutput(), d),
              node(scatter.getUpdates(), rows + d - 1));
      return;
    }
    if (auto transpose = dyn_cast<kernel::TransposeOp>(op)) {
      for (auto [d, source] : llvm::enumerate(transpose.getPermutation()))
        unify(node(transpose.getOutput(), d),
              node(transpose.getInput(), source));
      return;
    }
    if (auto slice = dyn_cast<kernel::SliceOp>(op)) {
      for (int64_t d = 0, e = rankOf(slice.getInput()); d < e; ++d) {
        DimShape in = shapeOf(slice.getInput(), d),
                 out = shapeOf(slice.getOutput(), d);
        if (in.logical == out.logical && in.local == out.local) {
          unify(node(slice.getInput(), d), node(slice.getOutput(), d));
        } else {
          restrict(node(slice.getInput(), d));
          restrict(node(slice.getOutput(), d));
        }
      }
      return;
    }
    if (auto concat = dyn_cast<kernel::ConcatOp>(op)) {
      for (Value input : concat.getInputs())
        for (int64_t d = 0, e = rankOf(input); d < e; ++d) {
          unify(node(input, d), node(concat.getOutput(), d));
          if (d == static_cast<int64_t>(concat.getDim()) &&
              concat.getInputs().size() > 1)
            restrict(node(input, d));
        }
      return;
    }
    if (auto reshape = dyn_cast<kernel::ReshapeOp>(op)) {
      unifyReshape(reshape.getInput(), reshape.getOutput());
      return;
    }
    if (auto constant = dyn_cast<kernel::ConstantOp>(op)) {
      auto elements = dyn_cast<DenseElementsAttr>(constant.getValue());
      if (!elements || !elements.isSplat())
        restrictAll(constant.getOutput());
      return;
    }
    // A piece without a rule splits nothing.
    for (Value operand : op.getOperands())
      if (isa<RankedTensorType>(operand.getType()))
        restrictAll(operand);
    for (Value result : op.getResults())
      restrictAll(result);
  }

  /// Walks both shapes from the front and closes a group as soon as the
  /// products agree. A group of one dimension on each side is one index. In any
  /// other the leading dimensions may be split together where the axis divides
  /// both: every rank then holds the same run of elements on both sides.
  void unifyReshape(Value input, Value output) {
    int64_t i = 0, j = 0, n = rankOf(input), m = rankOf(output);
    auto restrictRest = [&] {
      for (; i < n; ++i)
        restrict(node(input, i));
      for (; j < m; ++j)
        restrict(node(output, j));
    };
    while (i < n || j < m) {
      // Dimensions of size 1 stand alone.
      if (i < n && shapeOf(input, i).logical == 1 &&
          !(j < m && shapeOf(output, j).logical == 1)) {
        restrict(node(input, i++));
        continue;
      }
      if (j < m && shapeOf(output, j).logical == 1 &&
          !(i < n && shapeOf(input, i).logical == 1)) {
        restrict(node(output, j++));
        continue;
      }
      if (i >= n || j >= m)
        return restrictRest();
      DimShape in = shapeOf(input, i), out = shapeOf(output, j);
      if (same(in, out)) {
        unify(node(input, i++), node(output, j++));
        continue;
      }
      int64_t firstIn = i, firstOut = j;
      bool even = in.even && out.even;
      int64_t inProduct = in.local, outProduct = out.local;
      ++i;
      ++j;
      while (inProduct != outProduct && even) {
        if (inProduct < outProduct) {
          if (i >= n)
            break;
          DimShape next = shapeOf(input, i++);
          even &= next.even;
          inProduct *= next.local;
        } else {
          if (j >= m)
            break;
          DimShape next = shapeOf(output, j++);
          even &= next.even;
          outProduct *= next.local;
        }
      }
      if (!even || inProduct != outProduct) {
        i = firstIn;
        j = firstOut;
        return restrictRest();
      }
      auto leading = [&](Value value, int64_t begin, int64_t end) {
        for (int64_t d = begin; d < end; ++d)
          if (shapeOf(value, d).local != 1)
            return d;
        return begin;
      };
      int64_t leadIn = leading(input, firstIn, i),
              leadOut = leading(output, firstOut, j);
      for (int64_t d = firstIn; d < i; ++d)
        if (d != leadIn)
          restrict(node(input, d));
      for (int64_t d = firstOut; d < j; ++d)
        if (d != leadOut)
          restrict(node(output, d));
      unify(node(input, leadIn), node(output, leadOut));
      divisors.push_back({node(input, leadIn), shapeOf(input, leadIn).local});
      divisors.push_back(
          {node(output, leadOut), shapeOf(output, leadOut).local});
    }
  }

  /// Scalar operations of a generic's body at one point.
  static double bodyWork(kernel::GenericOp generic) {
    double operations = 0;
    for (Operation &op : *generic.getBodyBlock())
      if (!isa<arith::ConstantOp, kernel::YieldOp, kernel::IndexOp>(op))
        ++operations;
    if (generic.getCombiner() != kernel::Combiner::None)
      ++operations;
    return operations;
  }

  double pieceWork(Operation &op) {
    if (auto generic = dyn_cast<kernel::GenericOp>(op)) {
      // A conversion of an index alone is no arithmetic worth splitting.
      double points = 1;
      for (int64_t size : generic.getLoopSizes())
        points *= static_cast<double>(size);
      if (generic.getInputs().empty())
        return 0;
      return points * bodyWork(generic);
    }
    if (auto scatter = dyn_cast<kernel::ScatterAddOp>(op))
      return static_cast<double>(
          scatter.getUpdates().getType().getNumElements());
    return 0;
  }

  void measureWork() {
    for (Operation &op : block)
      work += pieceWork(op);
  }

  bool inClass(unsigned n) {
    return currentRoot >= 0 && find(n) == static_cast<unsigned>(currentRoot);
  }
  bool carriesClass(Value value) {
    for (int64_t d = 0, e = rankOf(value); d < e; ++d)
      if (inClass(node(value, d)))
        return true;
    return false;
  }

  bool evaluatePiece(Operation &op, double &splitWork) {
    if (auto generic = dyn_cast<kernel::GenericOp>(op))
      return evaluateGeneric(generic, splitWork);
    if (auto gather = dyn_cast<kernel::GatherOp>(op))
      return evaluateGather(gather);
    if (auto scatter = dyn_cast<kernel::ScatterAddOp>(op))
      return evaluateScatter(scatter, splitWork);
    if (auto transpose = dyn_cast<kernel::TransposeOp>(op)) {
      AxisLayout in = layouts.lookup(transpose.getInput());
      if (in.isSplit())
        for (auto [d, source] : llvm::enumerate(transpose.getPermutation()))
          if (source == in.dim) {
            layouts[transpose.getOutput()] = AxisLayout::split(d);
            return true;
          }
      layouts[transpose.getOutput()] = in;
      forwardZero(transpose.getInput(), transpose.getOutput());
      return true;
    }
    if (isa<kernel::ReshapeOp, kernel::SliceOp>(op)) {
      AxisLayout in = layouts.lookup(op.getOperand(0));
      if (in.isSplit()) {
        std::optional<AxisLayout> out = layoutIn(op.getResult(0), currentRoot);
        if (!out || !out->isSplit())
          return false;
        in = *out;
      } else if (carriesClass(op.getResult(0))) {
        return false;
      }
      layouts[op.getResult(0)] = in;
      forwardZero(op.getOperand(0), op.getResult(0));
      return true;
    }
    if (auto concat = dyn_cast<kernel::ConcatOp>(op)) {
      AxisLayout common;
      bool first = true, partial = false;
      for (Value input : concat.getInputs())
        partial |= layouts.lookup(input).isPartial();
      for (Value input : concat.getInputs()) {
        if (partial && zeros.contains(input))
          continue; // 0 is a term of every sum
        AxisLayout layout = layouts.lookup(input);
        if (!first && layout != common)
          return false;
        common = layout;
        first = false;
      }
      if (common.isPartial() && common.reduction != Reduction::Sum &&
          llvm::any_of(concat.getInputs(),
                       [&](Value v) { return zeros.contains(v); }))
        return false;
      layouts[concat.getOutput()] = common;
      return true;
    }
    if (auto constant = dyn_cast<kernel::ConstantOp>(op)) {
      AxisLayout layout;
      if (currentRoot >= 0) {
        std::optional<AxisLayout> in =
            layoutIn(constant.getOutput(), currentRoot);
        if (!in)
          return false;
        layout = *in;
      }
      layouts[constant.getOutput()] = layout;
      if (isZeroConstant(constant.getValue()))
        zeros.insert(constant.getOutput());
      return true;
    }
    for (Value operand : op.getOperands())
      if (!layouts.lookup(operand).isBroadcast())
        return false;
    for (Value result : op.getResults())
      layouts[result] = AxisLayout::broadcast();
    return true;
  }

  void forwardZero(Value from, Value to) {
    if (zeros.contains(from))
      zeros.insert(to);
  }

  bool evaluateGeneric(kernel::GenericOp generic, double &splitWork) {
    unsigned loops = loopNodes[generic];
    int splitLoop = -1;
    for (unsigned l = 0, e = generic.getNumLoops(); l < e; ++l) {
      if (!inClass(loops + l))
        continue;
      if (splitLoop >= 0)
        return false; // the diagonal of a product of two dimensions
      splitLoop = l;
    }
    auto positionOf = [&](AffineMap map) -> int {
      for (auto [d, expr] : llvm::enumerate(map.getResults()))
        if (auto loop = dyn_cast<AffineDimExpr>(expr))
          if (static_cast<int>(loop.getPosition()) == splitLoop)
            return d;
      return -1;
    };
    Block &body = *generic.getBodyBlock();
    DenseMap<Value, Dependence> scalars;
    bool anyPartial = false;
    for (auto [i, input] : llvm::enumerate(generic.getInputs())) {
      AxisLayout layout = layouts.lookup(input);
      Dependence dependence;
      dependence.zero = zeros.contains(input);
      if (layout.isPartial()) {
        dependence = Dependence::term(layout.reduction);
        anyPartial = true;
      }
      scalars[body.getArgument(i)] = dependence;
      int position = splitLoop < 0 ? -1 : positionOf(generic.getInputMap(i));
      if (position >= 0 ? !layout.isSplit(position) : layout.isSplit())
        return false;
    }
    // Terms of the axis' reduction and points of a split loop at once: every
    // coordinate would combine its term with its own points only.
    if (splitLoop >= 0 && anyPartial)
      return false;
    if (splitLoop >= 0)
      splitWork += pieceWork(*generic);
    SmallVector<Dependence> yielded;
    for (Operation &op : body) {
      SmallVector<Dependence> operands;
      for (Value operand : op.getOperands())
        operands.push_back(scalars.lookup(operand));
      if (isa<kernel::YieldOp>(op)) {
        yielded = operands;
        break;
      }
      std::optional<Dependence> result = propagateScalar(op, operands);
      for (Value value : op.getResults()) {
        if (result)
          scalars[value] = *result;
        else
          return false;
      }
    }
    kernel::Combiner combiner = generic.getCombiner();
    for (auto [i, output] : llvm::enumerate(generic.getOutputs())) {
      AffineMap map = generic.getOutputMap(i);
      bool reduces = map.getNumResults() < generic.getNumLoops();
      if (splitLoop >= 0) {
        int position = positionOf(map);
        if (position >= 0) {
          layouts[output] = AxisLayout::split(position);
          continue;
        }
        if (combiner == kernel::Combiner::None ||
            !mayBePartial(
                cast<RankedTensorType>(output.getType()).getElementType()))
          return false;
        layouts[output] = AxisLayout::partial(reductionOf(combiner));
        continue;
      }
      if (!yielded[i].partial) {
        layouts[output] = AxisLayout::broadcast();
        if (yielded[i].zero && (!reduces || combiner == kernel::Combiner::Sum))
          zeros.insert(output);
        continue;
      }
      if (reduces && reductionOf(combiner) != yielded[i].reduction)
        return false;
      layouts[output] = AxisLayout::partial(yielded[i].reduction);
    }
    return true;
  }

  static Reduction reductionOf(kernel::Combiner combiner) {
    return combiner == kernel::Combiner::Max   ? Reduction::Max
           : combiner == kernel::Combiner::Min ? Reduction::Min
                                               : Reduction::Sum;
  }

  bool evaluateGather(kernel::GatherOp gather) {
    AxisLayout table = layouts.lookup(gather.getTable());
    AxisLayout indices = layouts.lookup(gather.getIndices());
    int64_t rows = rankOf(gather.getIndices());
    AxisLayout &out = layouts[gather.getOutput()];
    if (currentRoot >= 0) {
      // The rows' class may reach the output through other pieces.
      bool rowsSplit = inClass(node(gather.getTable(), 0));
      if (rowsSplit) {
        if (!table.isSplit(0) || !indices.isBroadcast() ||
            carriesClass(gather.getOutput()))
          return false;
        if (!mayBePartial(gather.getOutput().getType().getElementType()))
          return false;
        out = AxisLayout::partial();
        return true;
      }
    }
    if (indices.isPartial())
      return false;
    if (indices.isSplit()) {
      if (!table.isBroadcast())
        return false;
      out = indices;
      return true;
    }
    if (table.isSplit()) {
      out = AxisLayout::split(rows + table.dim - 1);
      return true;
    }
    out = table;
    return true;
  }

  bool evaluateScatter(kernel::ScatterAddOp scatter, double &splitWork) {
    AxisLayout updates = layouts.lookup(scatter.getUpdates());
    AxisLayout indices = layouts.lookup(scatter.getIndices());
    int64_t rows = rankOf(scatter.getIndices());
    AxisLayout &out = layouts[scatter.getOutput()];
    if (indices.isPartial())
      return false;
    if (currentRoot >= 0 && inClass(node(scatter.getOutput(), 0))) {
      // Each coordinate keeps the updates of its own rows.
      if (!updates.isBroadcast() || !indices.isBroadcast())
        return false;
      out = AxisLayout::split(0);
      return true;
    }
    if (indices.isSplit()) {
      if (!updates.isSplit(indices.dim))
        return false;
      out = AxisLayout::partial();
      splitWork += pieceWork(*scatter);
      return true;
    }
    if (updates.isSplit()) {
      if (updates.dim < rows)
        return false;
      out = AxisLayout::split(updates.dim - rows + 1);
      splitWork += pieceWork(*scatter);
      return true;
    }
    if (updates.isPartial() && updates.reduction != Reduction::Sum)
      return false;
    out = updates;
    return true;
  }

  Block &block;
  ValueRange results;
  dist::MeshAttr mesh;
  SmallVector<unsigned> parent;
  SmallVector<bool> poisoned;
  DenseMap<Value, unsigned> firstNode;
  DenseMap<Operation *, unsigned> loopNodes;
  SmallVector<std::pair<unsigned, int64_t>> divisors;
  double work = 0;
  // State of one evaluation.
  DenseMap<Value, AxisLayout> layouts;
  DenseSet<Value> zeros;
  int currentRoot = -1;
};

/// Sets of operands that are partial together: all of them for few operands,
/// else single ones, pairs and the whole.
SmallVector<uint64_t> partialSets(ArrayRef<unsigned> eligible) {
  SmallVector<uint64_t> sets;
  auto bit = [&](unsigned i) { return uint64_t(1) << i; };
  if (eligible.size() <= 6) {
    for (uint64_t set = 1; set < bit(eligible.size()); ++set)
      sets.push_back(set);
    return sets;
  }
  size_t n = std::min<size_t>(eligible.size(), 62);
  for (size_t i = 0; i < n; ++i)
    sets.push_back(bit(i));
  if (n <= 16)
    for (size_t i = 0; i < n; ++i)
      for (size_t j = i + 1; j < n; ++j)
        sets.push_back(bit(i) | bit(j));
  sets.push_back(bit(n) - 1);
  return sets;
}

void deriveRules(Operation *op, TypeRange operandTypes, TypeRange resultTypes,
                 dist::MeshAttr mesh, OpRules &rules) {
  MLIRContext *context = op->getContext();
  Region region;
  Block &source = region.emplaceBlock();
  Block &pieces = region.emplaceBlock();
  for (Type type : operandTypes) {
    source.addArgument(type, op->getLoc());
    pieces.addArgument(type, op->getLoc());
  }
  // The op itself on these types; its expansion goes to a block of its own.
  OpBuilder builder(context);
  builder.setInsertionPointToEnd(&source);
  Operation *clone = op->cloneWithoutRegions();
  builder.insert(clone);
  clone->setOperands(source.getArguments());
  for (auto [result, type] : llvm::zip_equal(clone->getResults(), resultTypes))
    result.setType(type);
  if (auto constant = dyn_cast<graph::ConstantOp>(clone))
    if (auto elements = dyn_cast<DenseElementsAttr>(constant.getValue()))
      if (elements.isSplat() && elements.getType() != resultTypes[0])
        constant.setValueAttr(cast<TypedAttr>(DenseElementsAttr(
            elements.resizeSplat(cast<ShapedType>(resultTypes[0])))));
  builder.setInsertionPointToEnd(&pieces);
  SmallVector<Value> results = cast<graph::ExpandOpInterface>(clone).expand(
      builder, pieces.getArguments());

  {
    Expansion expansion(pieces, results, mesh);
    rules.work = expansion.getWork();
    rules.isGenerator = expansion.isGenerator();
    auto add = [&](std::optional<OpSignature> signature) {
      if (!signature)
        return;
      for (const OpSignature &known : rules.signatures)
        if (known.sameLayouts(*signature))
          return;
      rules.signatures.push_back(std::move(*signature));
    };
    SmallVector<AxisLayout> broadcast(operandTypes.size());
    add(expansion.evaluate(broadcast, -1));
    for (unsigned root : expansion.getClasses()) {
      SmallVector<AxisLayout> layouts;
      bool possible = expansion.isVisible(root);
      for (BlockArgument argument : pieces.getArguments()) {
        std::optional<AxisLayout> layout = expansion.layoutIn(argument, root);
        possible &= layout.has_value();
        layouts.push_back(layout.value_or(AxisLayout::broadcast()));
      }
      if (possible)
        add(expansion.evaluate(layouts, root));
    }
    SmallVector<unsigned> eligible;
    for (auto [i, type] : llvm::enumerate(operandTypes))
      if (mayBePartial(cast<RankedTensorType>(type).getElementType()))
        eligible.push_back(i);
    for (Reduction reduction : {Reduction::Sum, Reduction::Max, Reduction::Min})
      for (uint64_t set : partialSets(eligible)) {
        SmallVector<AxisLayout> layouts = broadcast;
        for (auto [bit, operand] : llvm::enumerate(eligible))
          if (bit < 64 && (set >> bit) & 1)
            layouts[operand] = AxisLayout::partial(reduction);
        add(expansion.evaluate(layouts, -1));
      }
  }
  while (!pieces.empty())
    pieces.back().erase();
  while (!source.empty())
    source.back().erase();
}

} // namespace

SignatureAnalysis::SignatureAnalysis(dist::MeshAttr mesh) : mesh(mesh) {}
SignatureAnalysis::~SignatureAnalysis() = default;

const OpRules &SignatureAnalysis::getRules(Operation *op) {
  return getRules(op, op->getOperandTypes(), op->getResultTypes());
}

const OpRules &SignatureAnalysis::getRules(Operation *op,
                                           TypeRange operandTypes,
                                           TypeRange resultTypes) {
  // Types and attributes are uniqued: their addresses are the key's bytes. The
  // map is looked up, never iterated.
  SmallVector<const void *, 24> key;
  key.push_back(op->getName().getAsOpaquePointer());
  NamedAttrList inherent;
  op->getName().populateInherentAttrs(op, inherent);
  for (NamedAttribute attribute : inherent) {
    if (attribute.getName() == "site")
      continue;
    key.push_back(attribute.getName().getAsOpaquePointer());
    key.push_back(attribute.getValue().getAsOpaquePointer());
  }
  key.push_back(nullptr);
  for (Type type : operandTypes)
    key.push_back(type.getAsOpaquePointer());
  key.push_back(nullptr);
  for (Type type : resultTypes)
    key.push_back(type.getAsOpaquePointer());
  StringRef bytes(reinterpret_cast<const char *>(key.data()),
                  key.size() * sizeof(key[0]));
  std::unique_ptr<OpRules> &rules = cache[bytes];
  if (!rules) {
    rules = std::make_unique<OpRules>();
    deriveRules(op, operandTypes, resultTypes, mesh, *rules);
  }
  return *rules;
}

SmallVector<OpSignature, 8>
weir::compiler::deriveSignatures(Operation *op, dist::MeshAttr mesh) {
  SignatureAnalysis analysis(mesh);
  return analysis.getRules(op).signatures;
}
