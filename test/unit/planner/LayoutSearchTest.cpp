// SPDX-License-Identifier: Apache-2.0
// The solver under layout search against trying everything: objectives that it
// calls exact are, bounds are never above the optimum, labels cost what is
// said.
#include "compiler/Planner/LayoutSearch.h"

#include "gtest/gtest.h"

#include <random>

namespace weir::compiler {
namespace {

struct RandomProblem {
  CostGraph graph;
  double optimum = 0;
};

/// `density`: how many of all edges there are. Costs are small integers, so
/// that many labellings tie, or real numbers.
RandomProblem makeProblem(unsigned seed, unsigned nodes, unsigned labels,
                          double density, bool integers, bool forbid) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<double> real(0, 1);
  auto cost = [&] {
    double value = real(random);
    if (forbid && value > 0.9)
      return CostGraph::forbidden;
    return integers ? std::floor(value * 4) : value;
  };
  RandomProblem problem;
  for (unsigned n = 0; n < nodes; ++n) {
    CostGraph::Costs unary(1 + random() % labels);
    for (double &value : unary)
      value = integers ? std::floor(real(random) * 3) : real(random);
    problem.graph.addNode(std::move(unary));
  }
  for (unsigned a = 0; a < nodes; ++a)
    for (unsigned b = 0; b < nodes; ++b) {
      if (a == b || real(random) >= density)
        continue;
      CostGraph::Costs table(problem.graph.numLabels(a) *
                             problem.graph.numLabels(b));
      for (double &value : table)
        value = cost();
      problem.graph.addEdge(a, b, table);
    }
  std::vector<unsigned> labelling(nodes, 0);
  problem.optimum = problem.graph.evaluate(labelling);
  while (true) {
    unsigned n = 0;
    while (n < nodes && ++labelling[n] == problem.graph.numLabels(n))
      labelling[n++] = 0;
    if (n == nodes)
      return problem;
    problem.optimum =
        std::min(problem.optimum, problem.graph.evaluate(labelling));
  }
}

/// Rounding: sums of some dozens of terms of at most `forbidden`.
double toleranceOf(double optimum) {
  return 1e-9 * std::max(1.0, std::fabs(optimum));
}

class RandomGraphs : public testing::TestWithParam<unsigned> {};

/// Eliminations alone are exact on any graph whose tables fit the bounds.
TEST_P(RandomGraphs, EliminationIsExact) {
  unsigned seed = GetParam();
  RandomProblem problem = makeProblem(
      seed, 2 + seed % 6, 4, 0.1 + 0.1 * (seed % 5), seed % 2, seed % 3 == 0);
  SearchResult result = searchLabels(problem.graph);
  // Where nothing is allowed it does not matter what is least forbidden.
  ASSERT_EQ(result.feasible(), problem.optimum < CostGraph::forbidden / 2);
  if (!result.feasible())
    return;
  EXPECT_NEAR(result.objective, problem.optimum, toleranceOf(problem.optimum));
  EXPECT_EQ(result.bound, result.objective);
  EXPECT_NEAR(problem.graph.evaluate(result.labels), result.objective,
              toleranceOf(problem.optimum));
}

/// Without eliminations the bound stays below the optimum, the labels above,
/// and a claimed gap of nothing is true.
TEST_P(RandomGraphs, MessagesBound) {
  unsigned seed = GetParam();
  RandomProblem problem = makeProblem(seed, 2 + seed % 6, 4,
                                      0.1 + 0.1 * (seed % 5), seed % 2, false);
  SearchOptions options;
  options.eliminate = false;
  options.gap = 0;
  SearchResult result = searchLabels(problem.graph, options);
  double tolerance = toleranceOf(problem.optimum);
  EXPECT_LE(result.bound, problem.optimum + tolerance);
  EXPECT_GE(result.objective, problem.optimum - tolerance);
  EXPECT_NEAR(problem.graph.evaluate(result.labels), result.objective,
              tolerance);
}

/// With tables too small for anything but a few nodes, messages, dropped labels
/// and eliminations take turns; whatever they end in is bounded.
TEST_P(RandomGraphs, TurnsBound) {
  unsigned seed = GetParam();
  RandomProblem problem = makeProblem(seed, 7, 4, 0.4, seed % 2, seed % 3 == 0);
  SearchOptions options;
  options.tableBound = 8;
  options.gap = 0;
  SearchResult result = searchLabels(problem.graph, options);
  if (problem.optimum >= CostGraph::forbidden / 2) {
    EXPECT_FALSE(result.feasible());
    return;
  }
  double tolerance = toleranceOf(problem.optimum);
  EXPECT_LE(result.bound, problem.optimum + tolerance);
  EXPECT_GE(result.objective, problem.optimum - tolerance);
  EXPECT_NEAR(problem.graph.evaluate(result.labels), result.objective,
              tolerance);
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomGraphs, testing::Range(0u, 200u));

/// On trees messages alone are exact (Kolmogorov 2006, section 3.3).
TEST(LayoutSearch, MessagesAreExactOnTrees) {
  for (unsigned seed = 0; seed < 50; ++seed) {
    std::mt19937 random(seed);
    std::uniform_real_distribution<double> real(0, 1);
    CostGraph graph;
    for (unsigned n = 0; n < 30; ++n) {
      CostGraph::Costs unary(5);
      for (double &value : unary)
        value = real(random);
      graph.addNode(unary);
      if (n == 0)
        continue;
      CostGraph::Costs table(25);
      for (double &value : table)
        value = real(random);
      graph.addEdge(random() % n, n, table);
    }
    SearchResult exact = searchLabels(graph);
    SearchOptions options;
    options.eliminate = false;
    options.gap = 1e-9;
    options.sweeps = 400;
    SearchResult messages = searchLabels(graph, options);
    EXPECT_EQ(exact.bound, exact.objective);
    EXPECT_NEAR(messages.objective, exact.objective, 1e-9) << "seed " << seed;
    EXPECT_NEAR(messages.bound, exact.objective, 1e-6) << "seed " << seed;
  }
}

/// Edges of a node with itself count where both ends have one label; edges
/// given in either order add up.
TEST(LayoutSearch, EdgesAddUp) {
  CostGraph graph;
  unsigned a = graph.addNode({0, 1}), b = graph.addNode({0, 0, 5});
  graph.addEdge(a, a, {1, 100, 100, 2});
  graph.addEdge(a, b, {1, 2, 3, 4, 5, 6});
  graph.addEdge(b, a, {10, 40, 20, 50, 30, 60});
  EXPECT_EQ(graph.evaluate({0, 0}), 0 + 1 + 0 + 1 + 10);
  EXPECT_EQ(graph.evaluate({1, 2}), 1 + 2 + 5 + 6 + 60);
  SearchResult result = searchLabels(graph);
  EXPECT_EQ(result.objective, 12);
  EXPECT_EQ(result.labels, (std::vector<unsigned>{0, 0}));
}

/// What may not be shows as such.
TEST(LayoutSearch, TellsInfeasible) {
  CostGraph graph;
  unsigned a = graph.addNode({0, 0}), b = graph.addNode({0});
  graph.addEdge(a, b, {CostGraph::forbidden, CostGraph::forbidden});
  EXPECT_FALSE(searchLabels(graph).feasible());
}

} // namespace
} // namespace weir::compiler
