// SPDX-License-Identifier: Apache-2.0
// Every op's expansion against its direct evaluation, and every op's gradient
// against central finite differences, in f64.
#include "compiler/Autodiff/Reverse.h"
#include "dialects/Graph/Build.h"
#include "mlir/IR/Verifier.h"
#include "test/unit/autodiff/OpCases.h"

#include <gtest/gtest.h>
#include <set>

using namespace mlir;

namespace weir::compiler::test {
namespace {

class OpTest : public testing::TestWithParam<OpCase> {
protected:
  OpTestContext context;
};

/// Largest difference of two tensors; NaN where one is not the other's NaN.
double distance(const Tensor &a, const Tensor &b) {
  if (a.kind != b.kind || a.shape != b.shape)
    return INFINITY;
  double largest = 0;
  for (int64_t i = 0; i < a.size(); ++i) {
    if (a.at(i) == b.at(i) || (std::isnan(a.at(i)) && std::isnan(b.at(i))))
      continue;
    double difference = std::abs(a.at(i) - b.at(i));
    largest =
        difference > largest || std::isnan(difference) ? difference : largest;
  }
  return largest;
}

TEST_P(OpTest, ExpansionEqualsDirectEvaluation) {
  Program program = context.build(GetParam());
  ASSERT_TRUE(program.op);
  std::vector<Tensor> operands = drawOperands(GetParam(), program);

  // The entry's arguments are the operands in order, some used twice.
  std::vector<Tensor> uses;
  for (Value operand : program.op->getOperands())
    uses.push_back(operands[cast<BlockArgument>(operand).getArgNumber()]);
  FailureOr<std::vector<Tensor>> direct = evaluateOp(program.op, uses);
  ASSERT_TRUE(succeeded(direct));

  OwningOpRef<ModuleOp> holder = ModuleOp::create(program.op->getLoc());
  Block *block = holder->getBody();
  SmallVector<Value> arguments;
  for (Value operand : program.op->getOperands())
    arguments.push_back(
        block->addArgument(operand.getType(), operand.getLoc()));
  OpBuilder builder = OpBuilder::atBlockEnd(block);
  SmallVector<Value> results =
      cast<graph::ExpandOpInterface>(program.op).expand(builder, arguments);

  ASSERT_EQ(results.size(), program.op->getNumResults());
  for (auto [result, expanded] : llvm::zip(program.op->getResults(), results))
    EXPECT_EQ(result.getType(), expanded.getType());
  for (Operation &piece : *block) {
    EXPECT_TRUE(isa<kernel::KernelDialect>(piece.getDialect()))
        << piece.getName().getStringRef().str();
    EXPECT_TRUE(succeeded(verify(&piece)));
  }

  FailureOr<std::vector<Tensor>> pieces = evaluateBlock(*block, uses, results);
  ASSERT_TRUE(succeeded(pieces));
  ASSERT_EQ(direct->size(), pieces->size());
  // Operands are of the order of 1 and at most 100 terms are summed: rounding
  // stays below 100 units in the last place of an f64; a wrong formula does
  // not.
  for (size_t i = 0; i < direct->size(); ++i)
    EXPECT_LE(distance((*direct)[i], (*pieces)[i]), 1e-13) << "result " << i;
}

/// `sum(weights * first result)` of the case's op.
FailureOr<double> lossOf(Operation *op, ArrayRef<Tensor> uses,
                         const std::vector<double> &weights) {
  FailureOr<std::vector<Tensor>> results = evaluateOp(op, uses);
  if (failed(results))
    return failure();
  double loss = 0;
  for (int64_t i = 0; i < (*results)[0].size(); ++i)
    loss += weights[i] * (*results)[0].at(i);
  return loss;
}

TEST_P(OpTest, GradientEqualsFiniteDifference) {
  Program program = context.build(GetParam());
  ASSERT_TRUE(program.op);
  Operation *op = program.op, *end = op->getNextNode();
  auto entry = program.entry;
  Value output = op->getResult(0);
  OpBuilder builder(end);
  graph::Build b(builder, op->getLoc());

  if (GetParam().derivative != Derivative::Checked) {
    SmallVector<Value> gradients(op->getNumResults());
    gradients[0] = b.splatLike(output, 1);
    SmallVector<bool> wanted(op->getNumOperands(), true);
    std::string message;
    ScopedDiagnosticHandler handler(context.get(), [&](Diagnostic &diagnostic) {
      message += diagnostic.str();
      return success();
    });
    SmallVector<Value> result =
        cast<graph::DifferentiableOpInterface>(op).buildGradient(
            builder, gradients, wanted);
    if (GetParam().derivative == Derivative::Refused) {
      EXPECT_TRUE(result.empty());
      EXPECT_NE(message.find(("'" + op->getName().getStringRef() +
                              "' op cannot be differentiated")
                                 .str()),
                std::string::npos)
          << message;
      return;
    }
    // Nothing flows through integers, so that whatever an op of them returns
    // is never asked for: the engine must not reach an argument.
    EXPECT_EQ(message, "");
    EXPECT_EQ(result.size(), op->getNumOperands());
    SmallVector<Value> sums;
    if (graph::Build::isFloat(output)) {
      ASSERT_TRUE(succeeded(buildGradients(
          builder, output, gradients[0],
          llvm::to_vector_of<Value>(entry.getBody().getArguments()), sums)));
      for (Value sum : sums)
        EXPECT_FALSE(sum);
    }
    return;
  }

  // The loss is a weighted sum of the first result.
  std::mt19937 random(77);
  std::vector<double> weights(
      cast<RankedTensorType>(output.getType()).getNumElements());
  for (double &weight : weights)
    weight = std::normal_distribution<double>()(random);
  Value seed = entry.getBody().addArgument(output.getType(), op->getLoc());
  SmallVector<Value> wanted;
  std::vector<unsigned> arguments;
  std::vector<Tensor> tensors = drawOperands(GetParam(), program);
  for (unsigned i = 0; i < tensors.size(); ++i)
    if (tensors[i].isFloat()) {
      wanted.push_back(entry.getBody().getArgument(i));
      arguments.push_back(i);
    }
  SmallVector<Value> gradients;
  ASSERT_TRUE(
      succeeded(buildGradients(builder, output, seed, wanted, gradients)));
  for (auto [value, gradient] : llvm::zip(wanted, gradients)) {
    ASSERT_TRUE(gradient);
    ASSERT_EQ(value.getType(), gradient.getType());
  }
  for (Operation &each : entry.getBody().front().without_terminator())
    EXPECT_TRUE(succeeded(verify(&each)));

  std::vector<Tensor> bound = tensors;
  bound.push_back(Tensor::fromFloats(
      cast<RankedTensorType>(output.getType()).getShape(), weights));
  FailureOr<std::vector<Tensor>> computed =
      evaluateBlock(entry.getBody().front(), bound, gradients);
  ASSERT_TRUE(succeeded(computed));

  for (unsigned i = 0; i < arguments.size(); ++i) {
    unsigned argument = arguments[i];
    const Tensor &gradient = (*computed)[i];
    ASSERT_EQ(gradient.shape, tensors[argument].shape);
    double difference = 0, norm = 0;
    for (int64_t element = 0; element < gradient.size(); ++element) {
      double at = tensors[argument].floats[element];
      auto lossAt = [&](double value) {
        std::vector<Tensor> uses;
        for (Value operand : op->getOperands()) {
          unsigned number = cast<BlockArgument>(operand).getArgNumber();
          uses.push_back(tensors[number]);
          if (number == argument)
            uses.back().floats[element] = value;
        }
        FailureOr<double> loss = lossOf(op, uses, weights);
        EXPECT_TRUE(succeeded(loss));
        return succeeded(loss) ? *loss : NAN;
      };
      // Fourth-order central difference: truncation h^4, rounding 1e-16 / h.
      double h = 1e-3 * std::max(1.0, std::abs(at) * 1e-2);
      double expected = (8 * (lossAt(at + h) - lossAt(at - h)) -
                         (lossAt(at + 2 * h) - lossAt(at - 2 * h))) /
                        (12 * h);
      difference += std::pow(gradient.floats[element] - expected, 2);
      norm += std::pow(expected, 2);
    }
    // h^4 = 1e-12 times a fifth derivative of the order of 10 to 1000.
    EXPECT_LE(std::sqrt(difference), 1e-8 * std::max(1.0, std::sqrt(norm)))
        << "operand " << argument;
  }
}

INSTANTIATE_TEST_SUITE_P(Graph, OpTest, testing::ValuesIn(opCases()),
                         [](const testing::TestParamInfo<OpCase> &info) {
                           return std::string(info.param.name);
                         });

/// A new op without a case fails here.
TEST(OpCoverage, EveryComputeOpHasACase) {
  OpTestContext context;
  std::set<std::string> covered;
  for (const OpCase &opCase : opCases()) {
    Program program = context.build(opCase);
    ASSERT_TRUE(program.op);
    covered.insert(program.op->getName().getStringRef().str());
  }
  unsigned computeOps = 0;
  for (RegisteredOperationName name :
       context.get()->getRegisteredOperations()) {
    if (name.getDialectNamespace() != "graph")
      continue;
    bool expands = name.hasInterface<graph::ExpandOpInterface>();
    bool differentiates = name.hasInterface<graph::DifferentiableOpInterface>();
    EXPECT_EQ(expands, differentiates) << name.getStringRef().str();
    if (!expands)
      continue;
    ++computeOps;
    EXPECT_TRUE(covered.count(name.getStringRef().str()))
        << name.getStringRef().str() << " has no case in OpCases.cpp";
  }
  EXPECT_GE(computeOps, 40u);
}

} // namespace
} // namespace weir::compiler::test
