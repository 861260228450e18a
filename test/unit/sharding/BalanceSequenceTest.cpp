// SPDX-License-Identifier: Apache-2.0
// Balanced sequences: models whose tokens are reordered give the results and
// gradients of those in order, on one device and with the sequence split; and
// the shards see equally many pairs of query and key.
#include "compiler/API/InitDialects.h"
#include "compiler/Autodiff/Passes.h"
#include "compiler/Builders/Families.h"
#include "compiler/Interpreter/Interpreter.h"
#include "compiler/Sharding/Passes.h"
#include "compiler/Sharding/SplitPrograms.h"

#include "mlir/AsmParser/AsmParser.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"

#include <cmath>
#include <gtest/gtest.h>

using namespace mlir;
using namespace weir;
using namespace weir::compiler;

namespace {

constexpr int64_t batch = 2, sequence = 12, vocab = 11;

MLIRContext &context() {
  static MLIRContext *instance = [] {
    DialectRegistry registry;
    registerAllWeirDialects(registry);
    auto *made = new MLIRContext(registry);
    made->loadAllAvailableDialects();
    return made;
  }();
  return *instance;
}

OwningOpRef<ModuleOp> buildModel(const std::string &family, double dropout) {
  EntryShapes shapes;
  shapes.batch = batch;
  shapes.sequence = sequence;
  if (family == "gpt2") {
    Gpt2Config config;
    config.layers = 2;
    config.width = 8;
    config.heads = 2;
    config.inner = 6;
    config.vocab = vocab;
    config.context = 15;
    config.initializerRange = 0.3;
    config.residualDropout = dropout;
    config.embeddingDropout = config.attentionDropout = 0;
    return buildGpt2(&context(), config, shapes);
  }
  LlamaConfig config;
  config.layers = 2;
  config.width = 6;
  config.heads = 4;
  config.kvHeads = 2;
  config.headDim = 4;
  config.inner = 5;
  config.vocab = vocab;
  config.context = 15;
  config.initializerRange = 0.3;
  return buildLlama(&context(), config, shapes);
}

/// `axes`: those to balance over, of `mesh`, each with the strategy; empty: in
/// order and on one device.
LogicalResult compile(ModuleOp module, const std::string &mesh,
                      const std::vector<std::string> &axes,
                      const std::string &strategy) {
  PassManager manager(&context());
  if (!mesh.empty()) {
    module->setAttr(dist::DistDialect::getMeshAttrName(),
                    parseAttribute("#dist.mesh<" + mesh + ">", &context()));
    BalanceSequencePassOptions balance;
    for (const std::string &axis : axes)
      balance.axes.push_back(axis);
    manager.addPass(createBalanceSequencePass(std::move(balance)));
  }
  BuildTrainEntryPassOptions train;
  train.emitGradients = true;
  manager.addPass(createBuildTrainEntryPass(std::move(train)));
  if (!strategy.empty()) {
    PropagateLayoutsPassOptions options;
    for (const std::string &axis : axes)
      options.strategies.push_back(axis + "=" + strategy);
    manager.addPass(createPropagateLayoutsPass(std::move(options)));
    addShardPasses(manager);
  }
  return manager.run(module);
}

std::map<std::string, Tensor> inputsOf(ModuleOp module, StringRef entry) {
  std::map<std::string, Tensor> all, chosen;
  std::vector<int64_t> ids, labels;
  for (int64_t i = 0; i < batch * sequence; ++i) {
    ids.push_back((i * 5 + i * i) % vocab);
    labels.push_back(i % 7 == 3 ? -100 : (i * 3 + 1) % vocab);
  }
  all["ids"] = Tensor::fromInts(ElementKind::I32, {batch, sequence}, ids);
  all["labels"] = Tensor::fromInts(ElementKind::I32, {batch, sequence}, labels);
  all["seed"] = Tensor::scalarInt(ElementKind::I32, 11);
  all["step"] = Tensor::scalarInt(ElementKind::I32, 1);
  for (const char *group : {"group0", "group1"}) {
    all[std::string(group) + ".learning_rate"] = Tensor::scalar(0.05);
    all[std::string(group) + ".weight_decay"] = Tensor::scalar(0.1);
  }
  all["beta1"] = Tensor::scalar(0.9);
  all["beta2"] = Tensor::scalar(0.95);
  // Large: a gradient that is zero but for rounding must not become a step.
  all["epsilon"] = Tensor::scalar(1e-2);
  all["correction1"] = Tensor::scalar(0.1);
  all["correction2"] = Tensor::scalar(0.05);
  all["max_norm"] = Tensor::scalar(1);
  auto op = module.lookupSymbol<graph::EntryOp>(entry);
  for (unsigned i = 0; i < op.getNumArguments(); ++i)
    if (std::string name = op.getArgumentInput(i).str(); !name.empty())
      chosen[name] = all.at(name);
  return chosen;
}

void expectEqualToTheModelInOrder(const std::string &family,
                                  const std::string &mesh,
                                  const std::vector<std::string> &axes,
                                  const std::string &strategy) {
  SCOPED_TRACE(family + " " + mesh + " " + strategy);
  OwningOpRef<ModuleOp> plain = buildModel(family, 0);
  OwningOpRef<ModuleOp> balanced = buildModel(family, 0);
  ASSERT_TRUE(succeeded(compile(*plain, "", {}, "")));
  ASSERT_TRUE(succeeded(compile(*balanced, mesh, axes, strategy)));
  State want = State::initialize(*plain, 3), got = want;
  for (const char *entry : {"train", "evaluate", "forward"}) {
    auto a =
        Interpreter(*balanced).runEntry(entry, got, inputsOf(*balanced, entry));
    auto b = Interpreter(*plain).runEntry(entry, want, inputsOf(*plain, entry));
    ASSERT_TRUE(succeeded(a) && succeeded(b)) << entry;
    for (const auto &[name, tensor] : *b) {
      const Tensor &other = a->at(name);
      ASSERT_EQ(other.shape, tensor.shape) << name;
      // f64: sums over tokens in another order.
      for (int64_t i = 0; i < tensor.size(); ++i)
        ASSERT_LE(std::abs(other.at(i) - tensor.at(i)),
                  1e-12 * (1 + std::abs(tensor.at(i))))
            << entry << " " << name << " at " << i;
    }
  }
}

TEST(BalanceSequence, ResultsAreThoseOfTheSequenceInOrder) {
  for (const char *family : {"gpt2", "llama"})
    for (const char *mesh : {"cp=2", "cp=3", "cp=6"})
      expectEqualToTheModelInOrder(family, mesh, {"cp"}, "");
}

TEST(BalanceSequence, ResultsAreThoseOfOneDeviceWhenSplit) {
  for (const char *family : {"gpt2", "llama"})
    for (const char *strategy : {"context", "ring"}) {
      expectEqualToTheModelInOrder(family, "cp=2", {"cp"}, strategy);
      expectEqualToTheModelInOrder(family, "cp=3", {"cp"}, strategy);
    }
  expectEqualToTheModelInOrder("llama", "a=3, b=2", {"a", "b"}, "ring");
}

/// Positions that attention of the balanced model masks by.
std::vector<int64_t> positionsOf(int64_t parts) {
  OwningOpRef<ModuleOp> module = buildModel("llama", 0);
  module.get()->setAttr(
      dist::DistDialect::getMeshAttrName(),
      parseAttribute("#dist.mesh<cp=" + std::to_string(parts) + ">",
                     &context()));
  PassManager manager(&context());
  BalanceSequencePassOptions options;
  options.axes.push_back("cp");
  manager.addPass(createBalanceSequencePass(std::move(options)));
  if (failed(manager.run(*module)))
    return {};
  auto entry = module->lookupSymbol<graph::EntryOp>("forward");
  Value positions;
  entry->walk([&](graph::AttentionOp op) {
    EXPECT_EQ(op.getPositions().size(), 2u);
    positions = op.getPositions()[0];
  });
  Block &block = entry.getBody().front();
  std::vector<Tensor> arguments;
  for (BlockArgument argument : block.getArguments()) {
    auto type = cast<RankedTensorType>(argument.getType());
    arguments.push_back(
        Tensor::zeros(*elementKindOf(type.getElementType()), type.getShape()));
  }
  auto values = evaluateBlock(block, arguments, positions);
  return succeeded(values) ? (*values)[0].ints : std::vector<int64_t>();
}

/// Pairs of query and key that the causal mask leaves, of each of `parts`
/// contiguous shards of queries.
std::vector<int64_t> visiblePairs(const std::vector<int64_t> &positions,
                                  int64_t parts) {
  std::vector<int64_t> pairs(parts, 0);
  int64_t share = static_cast<int64_t>(positions.size()) / parts;
  for (size_t q = 0; q < positions.size(); ++q)
    for (int64_t key : positions)
      pairs[q / share] += key <= positions[q];
  return pairs;
}

// Max over mean of the work of ranks: 1 balanced, and (2 cp - 1) / cp, for long
// sequences, contiguous.
TEST(BalanceSequence, ShardsSeeEquallyManyPairs) {
  for (int64_t parts : {2, 3, 6}) {
    std::vector<int64_t> positions = positionsOf(parts);
    ASSERT_EQ(positions.size(), static_cast<size_t>(sequence));
    std::vector<bool> seen(sequence, false);
    for (int64_t place = 0; place < sequence; ++place) {
      EXPECT_EQ(positions[place], balancedPosition(place, sequence, parts));
      seen[positions[place]] = true;
    }
    EXPECT_EQ(std::count(seen.begin(), seen.end(), true), sequence);
  }
  for (int64_t parts : {2, 4, 8, 64}) {
    int64_t length = 64 * 2 * parts;
    std::vector<int64_t> balanced, inOrder;
    for (int64_t place = 0; place < length; ++place) {
      balanced.push_back(balancedPosition(place, length, parts));
      inOrder.push_back(place);
    }
    std::vector<int64_t> pairs = visiblePairs(balanced, parts);
    EXPECT_EQ(*std::max_element(pairs.begin(), pairs.end()),
              *std::min_element(pairs.begin(), pairs.end()));
    std::vector<int64_t> uneven = visiblePairs(inOrder, parts);
    double mean = static_cast<double>(length) * (length + 1) / 2 / parts;
    double ratio = static_cast<double>(uneven.back()) / mean;
    auto n = static_cast<double>(parts);
    // The diagonal makes the difference of one in `length`.
    EXPECT_NEAR(ratio, (2 * n - 1) / n, 1.0 / static_cast<double>(length));
  }
}

TEST(BalanceSequence, RefusesWhatItCannotReorder) {
  std::string message;
  ScopedDiagnosticHandler handler(&context(), [&](Diagnostic &diagnostic) {
    message += diagnostic.str();
    return success();
  });
  OwningOpRef<ModuleOp> module = buildModel("llama", 0);
  EXPECT_TRUE(failed(compile(*module, "cp=5", {"cp"}, "")));
  EXPECT_NE(message.find("expects a sequence length that twice the size of "
                         "mesh axes 'cp' divides"),
            std::string::npos)
      << message;
  message.clear();
  module = buildModel("gpt2", 0.1);
  EXPECT_TRUE(failed(compile(*module, "cp=2", {"cp"}, "")));
  EXPECT_NE(message.find("expects no dropout of a balanced sequence"),
            std::string::npos)
      << message;
  message.clear();
  module = buildModel("llama", 0);
  EXPECT_TRUE(failed(compile(*module, "cp=2", {"tp"}, "")));
  EXPECT_NE(message.find("got 'tp'"), std::string::npos) << message;
}

} // namespace
