// SPDX-License-Identifier: Apache-2.0
// weir-fuse-collectives changes how values travel and no value: random programs
// of collectives are run before and after it, and the closed form of data
// parallelism is counted on what it leaves.
#include "compiler/API/InitDialects.h"
#include "compiler/Autodiff/Passes.h"
#include "compiler/Interpreter/Interpreter.h"
#include "compiler/Sharding/Passes.h"

#include "mlir/AsmParser/AsmParser.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"

#include <gtest/gtest.h>
#include <random>

using namespace mlir;
using namespace weir;
using namespace weir::compiler;

namespace {

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

struct Counts {
  int reduces = 0, scatters = 0, gathers = 0, others = 0, tensors = 0;
  int all() const { return reduces + scatters + gathers + others; }
};

Counts countIn(Operation *root) {
  Counts counts;
  root->walk([&](Operation *op) {
    if (!isa<dist::AllReduceOp, dist::ReduceScatterOp, dist::AllGatherOp,
             dist::AllToAllOp, dist::ExchangeOp>(op))
      return;
    counts.tensors += op->getNumResults();
    (isa<dist::AllReduceOp>(op)       ? counts.reduces
     : isa<dist::ReduceScatterOp>(op) ? counts.scatters
     : isa<dist::AllGatherOp>(op)     ? counts.gathers
                                      : counts.others)++;
  });
  return counts;
}

bool runPass(ModuleOp module, std::unique_ptr<Pass> pass) {
  PassManager manager(&context());
  manager.addPass(std::move(pass));
  return succeeded(manager.run(module));
}

/// Writes a random program on vectors of 5 and 7 elements over the mesh
/// [dp=2, tp=3]: sums, slices, gathers, exchanges and elementwise ops.
class RandomProgram {
public:
  explicit RandomProgram(unsigned seed) : random(seed) {}

  std::string text(int numOps) {
    add("%x", 5, "");
    add("%y", 7, "");
    for (int i = 0; i < numOps; ++i)
      addOp(i);
    // All holders must agree on a result.
    std::string types, returned, returnedTypes;
    size_t count = values.size();
    for (size_t i = count > 6 ? count - 6 : 0; i < count; ++i) {
      const Entry &value = values[i];
      std::string name = "%r" + std::to_string(i);
      std::string axes = value.axes.empty()  ? "0, 1"
                         : value.axes == "0" ? "1"
                                             : "0";
      body += "  " + name + " = dist.all_reduce " + value.name +
              " {axes = array<i64: " + axes +
              ">, reduction = #dist<reduction max>} : (" + type(value) +
              ") -> " + type(value) + "\n";
      returned += (returned.empty() ? "" : ", ") + name;
      returnedTypes += (returnedTypes.empty() ? "" : ", ") + type(value);
      types += (types.empty() ? "" : ", ") + type(value) +
               " {graph.output = \"r" + std::to_string(i) + "\"}";
    }
    return "module attributes {dist.mesh = #dist.mesh<dp=2, tp=3>} {\n"
           "graph.entry @main(%x: tensor<5xf32> {graph.input = \"x\"}, "
           "%y: tensor<7xf32> {graph.input = \"y\"}) -> (" +
           types + ") {\n" + body + "graph.return " + returned + " : " +
           returnedTypes + "\n}\n}\n";
  }

private:
  struct Entry {
    std::string name;
    int size;
    std::string axes; // of the split, "" for a whole value
  };

  int below(int limit) {
    return static_cast<int>(random() % static_cast<unsigned>(limit));
  }
  void add(std::string name, int size, std::string axes) {
    values.push_back({std::move(name), size, std::move(axes)});
  }
  static int parts(const std::string &axes) {
    return axes == "0" ? 2 : axes == "1" ? 3 : 1;
  }
  static std::string type(const Entry &value) {
    if (value.axes.empty())
      return "tensor<" + std::to_string(value.size) + "xf32>";
    int n = parts(value.axes);
    return "tensor<" + std::to_string((value.size + n - 1) / n) +
           "xf32, #dist.shard<[" + std::to_string(value.size) + ":" +
           value.axes + "]>>";
  }

  void addOp(int number) {
    Entry a = values[below(static_cast<int>(values.size()))];
    Entry made = a;
    made.name = "%v" + std::to_string(number);
    std::string head = "  " + made.name + " = ";
    std::string axes = below(2) ? "0" : "1";
    std::string reduction =
        below(3) ? "#dist<reduction sum>" : "#dist<reduction max>";
    auto emit = [&](const std::string &op, const std::string &attributes) {
      body += head + "dist." + op + " " + a.name + " {" + attributes + "} : (" +
              type(a) + ") -> " + type(made) + "\n";
    };
    switch (below(7)) {
    case 0:
    case 1: // any value may be taken as terms of a sum
      if (a.axes == axes)
        axes = axes == "0" ? "1" : "0";
      if (a.axes.empty() && below(3) == 0)
        axes = "0, 1";
      emit("all_reduce",
           "axes = array<i64: " + axes + ">, reduction = " + reduction);
      break;
    case 2:
      if (!a.axes.empty())
        return;
      made.axes = axes;
      emit("local_slice", "axes = array<i64: " + axes + ">, dim = 0 : i64");
      break;
    case 3:
      if (a.axes.empty()) {
        made.axes = axes;
        emit("reduce_scatter",
             "axes = array<i64: " + axes +
                 ">, dim = 0 : i64, reduction = " + reduction);
      } else {
        made.axes = "";
        emit("all_gather", "axes = array<i64: " + a.axes + ">, dim = 0 : i64");
      }
      break;
    case 4:
      body += head + "graph." + (below(2) ? "tanh " : "neg ") + a.name + " : " +
              type(a) + "\n";
      break;
    case 5: // different on the ranks, so that it matters who adds what
      if (!a.axes.empty())
        return;
      body += head + "dist.to_partial " + a.name +
              " {axes = array<i64: " + axes +
              ">, reduction = #dist<reduction sum>} : " + type(a) + "\n";
      break;
    default: {
      Entry b = values[below(static_cast<int>(values.size()))];
      if (type(b) != type(a))
        return;
      body += head + "graph." + (below(2) ? "add " : "mul ") + a.name + ", " +
              b.name + " : " + type(a) + "\n";
    }
    }
    add(made.name, made.size, made.axes);
  }

  std::mt19937 random;
  std::vector<Entry> values;
  std::string body;
};

// Programs of the same values give the same bits (two reductions one after the
// other instead of one over two axes add in another order: f64 rounding).
TEST(FuseCollectives, RandomProgramsKeepTheirValues) {
  int fused = 0, scattered = 0, skipped = 0;
  for (unsigned seed = 1; seed <= 1500; ++seed) {
    std::string text = RandomProgram(seed).text(24);
    auto module = parseSourceString<ModuleOp>(text, &context());
    ASSERT_TRUE(module) << text;
    std::vector<Tensor> arguments = {
        Tensor::fromFloats({5}, {0.5, -1.25, 2, -0.125, 0.75}),
        Tensor::fromFloats({7}, {1, 0.25, -0.5, 1.5, -2, 0.375, -0.625})};
    auto want = Interpreter(*module).run("main", arguments);
    ASSERT_TRUE(succeeded(want)) << text;
    Counts before = countIn(*module);
    // Now and then without buckets, and with small ones.
    FuseCollectivesPassOptions options;
    options.bucketBytes = seed % 3 == 0 ? -1 : seed % 3 == 1 ? 0 : 64;
    ASSERT_TRUE(runPass(*module, createFuseCollectivesPass(options))) << text;
    ASSERT_TRUE(succeeded(verify(*module))) << text;
    Counts after = countIn(*module);
    fused += after.all() < before.all();
    scattered += after.scatters > before.scatters;
    skipped += after.gathers < before.gathers;
    auto got = Interpreter(*module).run("main", arguments);
    ASSERT_TRUE(succeeded(got)) << text;
    ASSERT_EQ(got->size(), want->size());
    for (size_t i = 0; i < want->size(); ++i) {
      ASSERT_EQ((*got)[i].shape, (*want)[i].shape) << text;
      for (int64_t j = 0; j < (*want)[i].size(); ++j) {
        double a = (*got)[i].at(j), b = (*want)[i].at(j);
        if (!std::isfinite(b))
          continue; // products of products of sums grow beyond f64
        ASSERT_NEAR(a, b, 1e-12 * (1 + std::abs(b)))
            << "seed " << seed << ", result " << i << "\n"
            << text;
      }
    }
  }
  // Each rule was at work in many programs.
  EXPECT_GT(fused, 1000);
  EXPECT_GT(scattered, 30);
  EXPECT_GT(skipped, 30);
}

/// A multi-layer perceptron with a square loss and its train entry.
OwningOpRef<ModuleOp> makeMlp(int layers, int batch, int hidden) {
  std::string n = std::to_string(hidden), b = std::to_string(batch);
  std::string matrix = "tensor<" + n + "x" + n + "xf32>",
              rows = "tensor<" + b + "x" + n + "xf32>";
  std::string variables, arguments, body, x = "%x";
  for (int i = 0; i < layers; ++i) {
    std::string w = "w" + std::to_string(i), y = "%y" + std::to_string(i);
    variables += "graph.variable @" + w + " : " + matrix +
                 " kind parameter init <normal, 0.0, 0.1> stored <\"" + w +
                 "\", [" + n + ", " + n + "]>\n";
    arguments += ", %" + w + ": " + matrix + " {graph.variable = @" + w + "}";
    body += y + " = graph.matmul " + x + ", %" + w +
            " batch [] x [] contract [1] x [0] : (" + rows + ", " + matrix +
            ") -> " + rows + " loc(\"h." + std::to_string(i) + "\")\n";
    x = "%a" + std::to_string(i);
    body += x + " = graph.tanh " + y + " : " + rows + "\n";
  }
  std::string text =
      variables + "graph.entry @loss(%x: " + rows +
      " {graph.input = \"x\"}, %labels: tensor<" + b +
      "xi32> {graph.input = \"labels\"}" + arguments +
      ") -> (tensor<f32> {graph.output = \"loss_sum\"}, "
      "tensor<f32> {graph.output = \"count\"}) {\n" +
      body + "%l, %z = graph.cross_entropy " + x + ", %labels ignore -100 : (" +
      rows + ", tensor<" + b + "xi32>) -> (tensor<" + b + "xf32>, tensor<" + b +
      "xf32>)\n"
      "%s = graph.reduce sum %l [0] : (tensor<" +
      b +
      "xf32>) -> tensor<f32>\n"
      "%c = graph.constant dense<" +
      b +
      ".0> : tensor<f32>\ngraph.return %s, %c : tensor<f32>, tensor<f32>\n}\n";
  auto module = parseSourceString<ModuleOp>(text, &context());
  if (!module)
    return module;
  BuildTrainEntryPassOptions options;
  options.optimizer = "sgd";
  if (!runPass(*module, createBuildTrainEntryPass(std::move(options))))
    return {};
  return module;
}

// A closed form of strategy search: a 6-layer MLP, batch 256, hidden 32, on a
// data axis has one fused gradient all-reduce and nothing else.
TEST(FuseCollectives, GradientsOfAnMlpAreOneAllReduce) {
  auto module = makeMlp(6, 256, 32);
  ASSERT_TRUE(module);
  module.get()->setAttr(dist::DistDialect::getMeshAttrName(),
                        parseAttribute("#dist.mesh<dp=2>", &context()));
  PassManager manager(&context());
  manager.addPass(createPropagateLayoutsPass());
  addShardPasses(manager);
  ASSERT_TRUE(succeeded(manager.run(*module)));
  Counts counts = countIn(module->lookupSymbol("train"));
  EXPECT_EQ(counts.all(), 1);
  EXPECT_EQ(counts.reduces, 1);
  EXPECT_GE(counts.tensors, 6);
}

} // namespace
