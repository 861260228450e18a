// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_COMPILER_PLANNER_LAYOUTSEARCH_H
#define WEIR_COMPILER_PLANNER_LAYOUTSEARCH_H

#include <cstdint>
#include <unordered_map>
#include <vector>

/// Choosing one label for each node of a graph with costs at nodes and edges.
/// Knows nothing of tensors; compiler/Sharding/LayoutProblem.h makes graphs.
namespace weir::compiler {

/// Nodes with a cost for each of their labels, and edges with a cost for each
/// pair of labels. Costs are finite; what may not be is `forbidden`.
class CostGraph {
public:
  using Costs = std::vector<double>;

  /// The cost of what may not be: far above all others, and small enough that
  /// sums of a few keep the others' digits.
  static constexpr double forbidden = 1e6;

  struct Edge {
    unsigned a, b; // a < b
    Costs table;   // [label of a][label of b]
  };

  /// Returns the node's number. At least one label.
  unsigned addNode(Costs unary);
  /// Adds a table [label of a][label of b] to what is known of the two nodes,
  /// in either order; of a node with itself, the diagonal counts.
  void addEdge(unsigned a, unsigned b, const Costs &table);
  void addUnary(unsigned node, unsigned label, double cost) {
    nodes[node][label] += cost;
  }

  unsigned numNodes() const { return nodes.size(); }
  unsigned numLabels(unsigned node) const { return nodes[node].size(); }
  const Costs &unary(unsigned node) const { return nodes[node]; }
  const std::vector<Edge> &getEdges() const { return edges; }

  double evaluate(const std::vector<unsigned> &labels) const;

private:
  std::vector<Costs> nodes;
  std::vector<Edge> edges;
  std::unordered_map<uint64_t, unsigned> edgeOf;
};

struct SearchOptions {
  /// Where (objective - bound) / objective is at most this, the search ends.
  double gap = 1e-3;
  /// Entries of the largest table that an elimination may make, and scalar
  /// steps that making one may take.
  double tableBound = 1 << 21;
  double stepBound = 3e7;
  /// Sweeps of message passing between attempts to eliminate, and attempts.
  unsigned sweeps = 24;
  unsigned rounds = 12;
  /// A labelling to start from, for one that may be; empty: none is known.
  std::vector<unsigned> initial;
  /// For tests: leave out eliminations, so that messages do all the work.
  bool eliminate = true;
};

struct SearchResult {
  std::vector<unsigned> labels;
  double objective = 0;
  /// No labelling costs less.
  double bound = 0;
  /// Nodes that were left to message passing when eliminations first ended, and
  /// the number of sweeps.
  unsigned coreNodes = 0;
  unsigned sweeps = 0;

  double gap() const {
    return objective > bound ? (objective - bound) / objective : 0;
  }
  bool feasible() const { return objective < CostGraph::forbidden / 2; }
};

/// Exact where eliminations within the bounds reduce the graph to nothing:
/// nodes without an edge, with one (R1) and with two (R2; Scholz and Eckstein,
/// "Register Allocation for Irregular Architectures", LCTES 2002), then any in
/// the order of the smallest table. What is left gets a bound and labels by
/// sequential reweighted message passing (Kolmogorov, "A New Look at Reweighted
/// Message Passing", PAMI 37(5), 2015) and coordinate descent; labels that the
/// bound excludes are dropped, and eliminations tried again. Deterministic.
SearchResult searchLabels(const CostGraph &graph,
                          const SearchOptions &options = {});

} // namespace weir::compiler

#endif // WEIR_COMPILER_PLANNER_LAYOUTSEARCH_H
