// SPDX-License-Identifier: Apache-2.0
#include "compiler/Planner/LayoutSearch.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

using namespace weir::compiler;
using Costs = CostGraph::Costs;

unsigned CostGraph::addNode(Costs unary) {
  nodes.push_back(std::move(unary));
  return nodes.size() - 1;
}

void CostGraph::addEdge(unsigned a, unsigned b, const Costs &table) {
  size_t rows = nodes[a].size(), columns = nodes[b].size();
  if (a == b) {
    for (size_t i = 0; i < rows; ++i)
      nodes[a][i] += table[i * columns + i];
    return;
  }
  uint64_t key = uint64_t(std::min(a, b)) << 32 | std::max(a, b);
  auto [it, inserted] = edgeOf.try_emplace(key, edges.size());
  if (inserted) {
    edges.push_back({std::min(a, b), std::max(a, b), {}});
    edges.back().table.assign(rows * columns, 0);
  }
  Costs &known = edges[it->second].table;
  for (size_t i = 0; i < rows; ++i)
    for (size_t j = 0; j < columns; ++j)
      known[a < b ? i * columns + j : j * rows + i] += table[i * columns + j];
}

double CostGraph::evaluate(const std::vector<unsigned> &labels) const {
  double total = 0;
  for (unsigned node = 0; node < nodes.size(); ++node)
    total += nodes[node][labels[node]];
  for (const Edge &edge : edges)
    total += edge.table[labels[edge.a] * nodes[edge.b].size() + labels[edge.b]];
  return total;
}

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
/// Nodes that are eliminated in the order of the smallest table.
constexpr size_t maxOrdered = 2000;

/// Minima over rows are the whole time. In lanes, since the order of the
/// comparisons of a single minimum may not be changed by the compiler.
template <typename Function>
double minOver(size_t count, const Function &value) {
  constexpr size_t lanes = 8;
  double least[lanes];
  for (double &lane : least)
    lane = infinity;
  size_t i = 0;
  for (; i + lanes <= count; i += lanes)
    for (size_t k = 0; k < lanes; ++k) {
      double next = value(i + k);
      least[k] = next < least[k] ? next : least[k];
    }
  for (; i < count; ++i)
    least[0] = std::min(least[0], value(i));
  for (size_t k = 1; k < lanes; ++k)
    least[0] = std::min(least[0], least[k]);
  return least[0];
}

double minOf(const double *values, size_t count) {
  return minOver(count, [&](size_t i) { return values[i]; });
}

/// The working state: a graph that shrinks, and how to undo that.
class Searcher {
public:
  Searcher(const CostGraph &graph, const SearchOptions &options)
      : graph(graph), options(options) {
    nodes.resize(graph.numNodes());
    for (unsigned n = 0; n < nodes.size(); ++n) {
      nodes[n].unary = graph.unary(n);
      for (unsigned i = 0; i < nodes[n].unary.size(); ++i)
        nodes[n].labels.push_back(i);
    }
    for (const CostGraph::Edge &edge : graph.getEdges())
      connect(edge.a, edge.b, edge.table);
    lowerForbidden();
  }

  SearchResult run() {
    SearchResult result;
    result.labels.assign(nodes.size(), 0);
    if (!options.initial.empty()) {
      best = options.initial;
      improve(best, /*pairs=*/false);
      bestObjective = graph.evaluate(best);
    }
    if (options.eliminate)
      reduce();
    result.coreNodes = numLive();
    for (unsigned round = 0;; ++round) {
      if (numLive() == 0 || (options.eliminate && eliminateAll())) {
        // Everything that was dropped was worse than a known labelling, and
        // what was left is solved.
        std::vector<unsigned> labels = decode();
        double objective = graph.evaluate(labels);
        if (best.empty() || objective < bestObjective) {
          best = labels;
          bestObjective = objective;
        }
        bound = bestObjective;
        break;
      }
      if (round == options.rounds)
        break;
      unsigned before = numLabels();
      result.sweeps += passMessages();
      if (bestObjective - bound <= options.gap * bestObjective)
        break;
      if (!dropLabels()) {
        bound = bestObjective;
        break;
      }
      if (options.eliminate)
        reduce();
      if (numLabels() == before && round + 1 < options.rounds && stalled)
        break;
    }
    result.labels = best;
    result.objective = bestObjective;
    // With nothing allowed, costs are not those of the graph.
    result.bound = bestObjective < CostGraph::forbidden / 2
                       ? std::min(bound, bestObjective)
                       : CostGraph::forbidden;
    return result;
  }

private:
  struct Node {
    bool live = true;
    Costs unary;
    std::vector<unsigned> labels; // the graph's numbers of those left
    std::vector<unsigned> edges;  // live ones
    std::vector<char> keep;       // of the labels, while they are judged
    size_t size() const { return unary.size(); }
  };
  struct Edge {
    unsigned a, b;
    Costs table;      // [a][b]
    Costs toA, toB;   // messages: what was moved from the edge to its nodes
    double least = 0; // entry of the table, while nodes are improved
    bool live = true;
    unsigned other(unsigned n) const { return n == a ? b : a; }
  };
  /// How an eliminated node gets its label: from those of its neighbours.
  struct Choice {
    unsigned node;
    std::vector<unsigned> given; // neighbours
    std::vector<unsigned> sizes; // numbers of their labels then
    std::vector<uint16_t> best;  // by their positions, row-major
    std::vector<unsigned> labels;
    std::vector<std::vector<unsigned>> givenLabels;
  };
  struct Factor {
    std::vector<unsigned> scope; // ascending
    Costs table;
  };

  /// What may not be costs no more than it has to, more than all else together:
  /// sums keep more digits.
  void lowerForbidden() {
    double total = 0;
    auto isForbidden = [](double cost) {
      return cost >= CostGraph::forbidden / 2;
    };
    auto add = [&](const Costs &costs) {
      double most = 0;
      for (double cost : costs)
        if (!isForbidden(cost))
          most = std::max(most, std::fabs(cost));
      total += most;
    };
    for (const Node &node : nodes)
      add(node.unary);
    for (const Edge &edge : edges)
      add(edge.table);
    double lower = 4 * total + 1e-30;
    if (lower >= CostGraph::forbidden / 2)
      return;
    auto replace = [&](Costs &costs) {
      for (double &cost : costs)
        if (isForbidden(cost))
          cost = lower;
    };
    for (Node &node : nodes)
      replace(node.unary);
    for (Edge &edge : edges)
      replace(edge.table);
  }

  unsigned numLive() const {
    unsigned count = 0;
    for (const Node &node : nodes)
      count += node.live;
    return count;
  }
  unsigned numLabels() const {
    unsigned count = 0;
    for (const Node &node : nodes)
      count += node.live ? node.size() : 0;
    return count;
  }

  /// Adds a table between two nodes.
  void connect(unsigned a, unsigned b, const Costs &table) {
    for (unsigned e : nodes[a].edges)
      if (edges[e].other(a) == b) {
        Edge &edge = edges[e];
        size_t rows = nodes[a].size(), columns = nodes[b].size();
        for (size_t i = 0; i < rows; ++i)
          for (size_t j = 0; j < columns; ++j)
            edge.table[edge.a == a ? i * columns + j : j * rows + i] +=
                table[i * columns + j];
        return;
      }
    nodes[a].edges.push_back(edges.size());
    nodes[b].edges.push_back(edges.size());
    edges.push_back(
        {a, b, table, Costs(nodes[a].size(), 0), Costs(nodes[b].size(), 0)});
  }

  void disconnect(unsigned e) {
    edges[e].live = false;
    for (unsigned n : {edges[e].a, edges[e].b})
      nodes[n].edges.erase(
          std::find(nodes[n].edges.begin(), nodes[n].edges.end(), e));
    edges[e].table = {};
  }

  /// The table with `n`'s labels as rows.
  Costs tableFrom(unsigned e, unsigned n) const {
    const Edge &edge = edges[e];
    if (edge.a == n)
      return edge.table;
    size_t rows = nodes[edge.a].size(), columns = nodes[edge.b].size();
    Costs out(rows * columns);
    for (size_t i = 0; i < rows; ++i)
      for (size_t j = 0; j < columns; ++j)
        out[j * rows + i] = edge.table[i * columns + j];
    return out;
  }

  /// Moves all messages back into the costs of nodes and edges, so that tables
  /// alone tell the problem.
  void settle() {
    for (Edge &edge : edges) {
      if (!edge.live)
        continue;
      size_t rows = nodes[edge.a].size(), columns = nodes[edge.b].size();
      for (size_t i = 0; i < rows; ++i)
        for (size_t j = 0; j < columns; ++j)
          edge.table[i * columns + j] -= edge.toA[i] + edge.toB[j];
      for (size_t i = 0; i < rows; ++i)
        nodes[edge.a].unary[i] += edge.toA[i];
      for (size_t j = 0; j < columns; ++j)
        nodes[edge.b].unary[j] += edge.toB[j];
      edge.toA.assign(rows, 0);
      edge.toB.assign(columns, 0);
    }
  }

  //===--------------------------------------------------------------------===//
  // Elimination
  //===--------------------------------------------------------------------===//

  Choice choiceOf(unsigned n, std::vector<unsigned> given) const {
    Choice choice;
    choice.node = n;
    choice.labels = nodes[n].labels;
    size_t total = 1;
    for (unsigned g : given) {
      choice.sizes.push_back(nodes[g].size());
      choice.givenLabels.push_back(nodes[g].labels);
      total *= nodes[g].size();
    }
    choice.given = std::move(given);
    choice.best.resize(total);
    return choice;
  }

  void remove(unsigned n) {
    while (!nodes[n].edges.empty())
      disconnect(nodes[n].edges.back());
    nodes[n].live = false;
  }

  /// R0, R1 and R2 until none applies.
  void reduce() {
    settle();
    std::vector<unsigned> work;
    for (unsigned n = 0; n < nodes.size(); ++n)
      if (nodes[n].live)
        work.push_back(n);
    for (size_t next = 0; next < work.size(); ++next) {
      unsigned n = work[next];
      if (!nodes[n].live || nodes[n].edges.size() > 2)
        continue;
      std::vector<unsigned> around;
      for (unsigned e : nodes[n].edges)
        around.push_back(edges[e].other(n));
      if (around.size() == 2 && !reduceSecond(n, around))
        continue;
      if (around.size() == 1)
        reduceFirst(n, around[0]);
      if (around.empty()) {
        Choice choice = choiceOf(n, {});
        const Costs &unary = nodes[n].unary;
        choice.best[0] =
            std::min_element(unary.begin(), unary.end()) - unary.begin();
        constant += unary[choice.best[0]];
        choices.push_back(std::move(choice));
        remove(n);
      }
      for (unsigned other : around)
        work.push_back(other);
    }
  }

  void reduceFirst(unsigned n, unsigned other) {
    Costs table = tableFrom(nodes[n].edges[0], other);
    const Costs &unary = nodes[n].unary;
    Choice choice = choiceOf(n, {other});
    size_t count = unary.size();
    for (size_t j = 0; j < nodes[other].size(); ++j) {
      const double *row = &table[j * count];
      double least = infinity;
      for (size_t i = 0; i < count; ++i)
        if (row[i] + unary[i] < least) {
          least = row[i] + unary[i];
          choice.best[j] = i;
        }
      nodes[other].unary[j] += least;
    }
    choices.push_back(std::move(choice));
    remove(n);
  }

  bool reduceSecond(unsigned n, const std::vector<unsigned> &around) {
    unsigned a = around[0], b = around[1];
    size_t rows = nodes[a].size(), columns = nodes[b].size(),
           count = nodes[n].size();
    if (double(rows) * columns > options.tableBound ||
        double(rows) * columns * count > options.stepBound)
      return false;
    // Labels of `n` outermost, so that the innermost loop runs along rows.
    Costs left = tableFrom(nodes[n].edges[0], a);  // [a][n]
    Costs right = tableFrom(nodes[n].edges[1], n); // [n][b]
    Choice choice = choiceOf(n, {a, b});
    Costs table(rows * columns, infinity);
    for (size_t i = 0; i < rows; ++i) {
      double *out = &table[i * columns];
      uint16_t *which = &choice.best[i * columns];
      for (size_t k = 0; k < count; ++k) {
        double base = left[i * count + k] + nodes[n].unary[k];
        const double *row = &right[k * columns];
        for (size_t j = 0; j < columns; ++j) {
          double total = base + row[j];
          which[j] = total < out[j] ? static_cast<uint16_t>(k) : which[j];
          out[j] = total < out[j] ? total : out[j];
        }
      }
    }
    choices.push_back(std::move(choice));
    remove(n);
    connect(a, b, table);
    return true;
  }

  /// Eliminates everything in the order of the smallest table, if all tables
  /// stay within the bounds; else leaves the graph as it is.
  bool eliminateAll() {
    settle();
    // The order first, by scopes alone.
    std::vector<unsigned> live;
    std::map<unsigned, std::vector<unsigned>> around; // ascending
    for (unsigned n = 0; n < nodes.size(); ++n)
      if (nodes[n].live) {
        live.push_back(n);
        for (unsigned e : nodes[n].edges)
          around[n].push_back(edges[e].other(n));
        std::sort(around[n].begin(), around[n].end());
      }
    // Finding the order takes the square of their number.
    if (live.size() > maxOrdered)
      return false;
    std::vector<unsigned> order;
    double steps = 0;
    while (order.size() < live.size()) {
      unsigned chosen = 0;
      double least = infinity;
      for (unsigned n : live) {
        if (!around.count(n))
          continue;
        double size = 1;
        for (unsigned other : around[n])
          size *= nodes[other].size();
        if (size < least) {
          least = size;
          chosen = n;
        }
      }
      steps += least * nodes[chosen].size();
      if (least > options.tableBound || steps > 4 * options.stepBound)
        return false;
      std::vector<unsigned> scope = around[chosen];
      for (unsigned n : scope) {
        std::vector<unsigned> merged;
        std::set_union(around[n].begin(), around[n].end(), scope.begin(),
                       scope.end(), std::back_inserter(merged));
        merged.erase(
            std::remove_if(merged.begin(), merged.end(),
                           [&](unsigned m) { return m == n || m == chosen; }),
            merged.end());
        around[n] = std::move(merged);
      }
      around.erase(chosen);
      order.push_back(chosen);
    }
    std::vector<Factor> factors;
    for (unsigned n : live)
      factors.push_back({{n}, nodes[n].unary});
    for (const Edge &edge : edges)
      if (edge.live)
        factors.push_back({{std::min(edge.a, edge.b), std::max(edge.a, edge.b)},
                           edge.a < edge.b
                               ? edge.table
                               : tableFrom(&edge - &edges[0], edge.b)});
    for (unsigned n : order)
      eliminate(n, factors);
    for (unsigned n : live)
      remove(n);
    return true;
  }

  /// Joins all factors of `n` and minimises over its labels.
  void eliminate(unsigned n, std::vector<Factor> &factors) {
    std::vector<Factor> joined;
    std::vector<unsigned> scope;
    for (size_t f = 0; f < factors.size();) {
      Factor &factor = factors[f];
      if (!std::binary_search(factor.scope.begin(), factor.scope.end(), n)) {
        ++f;
        continue;
      }
      std::vector<unsigned> merged;
      std::set_union(scope.begin(), scope.end(), factor.scope.begin(),
                     factor.scope.end(), std::back_inserter(merged));
      scope = std::move(merged);
      joined.push_back(std::move(factor));
      factors[f] = std::move(factors.back());
      factors.pop_back();
    }
    scope.erase(std::find(scope.begin(), scope.end(), n));
    Choice choice = choiceOf(n, scope);
    size_t total = choice.best.size(), count = nodes[n].size();
    // Of each factor: the step of each variable of the scope, and of `n`.
    std::vector<std::vector<size_t>> strides(joined.size());
    std::vector<size_t> own(joined.size(), 0), at(joined.size(), 0);
    for (size_t f = 0; f < joined.size(); ++f) {
      strides[f].assign(scope.size(), 0);
      size_t stride = 1;
      for (size_t v = joined[f].scope.size(); v-- > 0;) {
        unsigned node = joined[f].scope[v];
        if (node == n)
          own[f] = stride;
        else
          strides[f][std::lower_bound(scope.begin(), scope.end(), node) -
                     scope.begin()] = stride;
        stride *= nodes[node].size();
      }
    }
    Costs table(total);
    std::vector<size_t> position(scope.size(), 0);
    std::vector<double> sums(count);
    for (size_t entry = 0; entry < total; ++entry) {
      std::fill(sums.begin(), sums.end(), 0);
      for (size_t f = 0; f < joined.size(); ++f) {
        const double *values = &joined[f].table[at[f]];
        for (size_t i = 0; i < count; ++i)
          sums[i] += values[i * own[f]];
      }
      size_t least = 0;
      for (size_t i = 1; i < count; ++i)
        if (sums[i] < sums[least])
          least = i;
      table[entry] = sums[least];
      choice.best[entry] = least;
      for (size_t v = scope.size(); v-- > 0;) {
        bool carry = ++position[v] == choice.sizes[v];
        for (size_t f = 0; f < joined.size(); ++f)
          at[f] += strides[f][v];
        if (!carry)
          break;
        for (size_t f = 0; f < joined.size(); ++f)
          at[f] -= strides[f][v] * choice.sizes[v];
        position[v] = 0;
      }
    }
    choices.push_back(std::move(choice));
    if (scope.empty())
      constant += table[0];
    else
      factors.push_back({std::move(scope), std::move(table)});
  }

  /// Labels of all nodes, from those of the live ones (none: all are
  /// eliminated).
  std::vector<unsigned> decode(const std::vector<unsigned> &core = {}) const {
    std::vector<unsigned> labels(nodes.size(), 0);
    for (unsigned n = 0; n < nodes.size(); ++n)
      if (nodes[n].live)
        labels[n] = nodes[n].labels[core[n]];
    for (size_t c = choices.size(); c-- > 0;) {
      const Choice &choice = choices[c];
      size_t entry = 0;
      for (size_t g = 0; g < choice.given.size(); ++g) {
        const std::vector<unsigned> &known = choice.givenLabels[g];
        size_t position = std::lower_bound(known.begin(), known.end(),
                                           labels[choice.given[g]]) -
                          known.begin();
        entry = entry * choice.sizes[g] + position;
      }
      labels[choice.node] = choice.labels[choice.best[entry]];
    }
    return labels;
  }

  //===--------------------------------------------------------------------===//
  // Messages
  //===--------------------------------------------------------------------===//

  /// Takes what an edge still holds at the least for each label of `n` to `n`.
  void pull(unsigned e, unsigned n, Costs &into) {
    Edge &edge = edges[e];
    size_t rows = nodes[edge.a].size(), columns = nodes[edge.b].size();
    if (edge.a == n) {
      for (size_t i = 0; i < rows; ++i) {
        const double *row = &edge.table[i * columns], *moved = edge.toB.data();
        double least =
            minOver(columns, [&](size_t j) { return row[j] - moved[j]; });
        edge.toA[i] = least;
        into[i] += least;
      }
      return;
    }
    Costs &least = edge.toB;
    std::fill(least.begin(), least.end(), infinity);
    for (size_t i = 0; i < rows; ++i) {
      const double *row = &edge.table[i * columns];
      double moved = edge.toA[i];
      for (size_t j = 0; j < columns; ++j) {
        double value = row[j] - moved;
        least[j] = value < least[j] ? value : least[j];
      }
    }
    for (size_t j = 0; j < columns; ++j)
      into[j] += least[j];
  }

  double edgeMinimum(const Edge &edge) const {
    size_t rows = nodes[edge.a].size(), columns = nodes[edge.b].size();
    double least = infinity;
    for (size_t i = 0; i < rows; ++i) {
      const double *row = &edge.table[i * columns], *moved = edge.toB.data();
      double inner =
          minOver(columns, [&](size_t j) { return row[j] - moved[j]; });
      least = std::min(least, inner - edge.toA[i]);
    }
    return least;
  }

  Costs held(unsigned n) const {
    Costs values = nodes[n].unary;
    for (unsigned e : nodes[n].edges) {
      const Costs &message = edges[e].a == n ? edges[e].toA : edges[e].toB;
      for (size_t i = 0; i < values.size(); ++i)
        values[i] += message[i];
    }
    return values;
  }

  double currentBound() const {
    double total = constant;
    for (unsigned n = 0; n < nodes.size(); ++n)
      if (nodes[n].live) {
        Costs values = held(n);
        total += minOf(values.data(), values.size());
      }
    for (const Edge &edge : edges)
      if (edge.live)
        total += edgeMinimum(edge);
    return total;
  }

  /// One sweep in ascending or descending order; judges labels where asked.
  void sweep(bool ascending, double judgeAbove) {
    for (unsigned step = 0; step < nodes.size(); ++step) {
      unsigned n = ascending ? step : nodes.size() - 1 - step;
      Node &node = nodes[n];
      if (!node.live)
        continue;
      Costs values = node.unary;
      unsigned later = 0;
      for (unsigned e : node.edges) {
        pull(e, n, values);
        later += (edges[e].other(n) > n) == ascending;
      }
      if (judgeAbove < infinity) {
        double least = minOf(values.data(), values.size());
        for (size_t i = 0; i < values.size(); ++i)
          if (values[i] - least > judgeAbove)
            node.keep[i] = 0;
      }
      if (later == 0)
        continue;
      unsigned earlier = node.edges.size() - later;
      double share = 1.0 / std::max(earlier, later);
      for (unsigned e : node.edges) {
        if ((edges[e].other(n) > n) != ascending)
          continue;
        Costs &message = edges[e].a == n ? edges[e].toA : edges[e].toB;
        for (size_t i = 0; i < values.size(); ++i)
          message[i] -= share * values[i];
      }
    }
  }

  /// Labels of the live nodes in sweep order: each for what is decided before
  /// it and the messages from what comes.
  void decodeCore(bool ascending) {
    std::vector<unsigned> core(nodes.size(), 0);
    std::vector<char> known(nodes.size(), 0);
    for (unsigned step = 0; step < nodes.size(); ++step) {
      unsigned n = ascending ? step : nodes.size() - 1 - step;
      if (!nodes[n].live)
        continue;
      Costs values = nodes[n].unary;
      for (unsigned e : nodes[n].edges) {
        const Edge &edge = edges[e];
        unsigned other = edge.other(n);
        if (!known[other]) {
          const Costs &message = edge.a == n ? edge.toA : edge.toB;
          for (size_t i = 0; i < values.size(); ++i)
            values[i] += message[i];
          continue;
        }
        addRow(edge, n, core[other], values);
      }
      core[n] = std::min_element(values.begin(), values.end()) - values.begin();
      known[n] = 1;
    }
    improve(core);
    std::vector<unsigned> labels = decode(core);
    double objective = graph.evaluate(labels);
    if (best.empty() || objective < bestObjective) {
      best = std::move(labels);
      bestObjective = objective;
    }
  }

  void addRow(const Edge &edge, unsigned n, unsigned otherLabel,
              Costs &values) const {
    size_t columns = nodes[edge.b].size();
    for (size_t i = 0; i < values.size(); ++i)
      values[i] += edge.a == n ? edge.table[i * columns + otherLabel]
                               : edge.table[otherLabel * columns + i];
  }

  /// Coordinate descent: each node in turn for its neighbours' labels, and each
  /// edge's two nodes together.
  void improve(std::vector<unsigned> &core, bool pairs = true) {
    for (Edge &edge : edges)
      if (edge.live)
        edge.least = minOf(edge.table.data(), edge.table.size());
    for (unsigned pass = 0; pass < 8; ++pass) {
      bool changed = false;
      for (unsigned n = 0; n < nodes.size(); ++n) {
        if (!nodes[n].live)
          continue;
        Costs values = nodes[n].unary;
        for (unsigned e : nodes[n].edges)
          addRow(edges[e], n, core[edges[e].other(n)], values);
        unsigned least =
            std::min_element(values.begin(), values.end()) - values.begin();
        if (values[least] < values[core[n]] * (1 - 1e-12)) {
          core[n] = least;
          changed = true;
        }
      }
      for (const Edge &edge : edges) {
        if (!edge.live || !pairs)
          continue;
        Costs left = nodes[edge.a].unary, right = nodes[edge.b].unary;
        for (unsigned e : nodes[edge.a].edges)
          if (edges[e].other(edge.a) != edge.b)
            addRow(edges[e], edge.a, core[edges[e].other(edge.a)], left);
        for (unsigned e : nodes[edge.b].edges)
          if (edges[e].other(edge.b) != edge.a)
            addRow(edges[e], edge.b, core[edges[e].other(edge.b)], right);
        size_t columns = right.size();
        double now = left[core[edge.a]] + right[core[edge.b]] +
                     edge.table[core[edge.a] * columns + core[edge.b]];
        double least = now - 1e-12 * std::fabs(now);
        // Costs of edges may have become negative, but only by messages.
        double rightLeast = minOf(right.data(), columns);
        double edgeLeast = edge.least;
        for (size_t i = 0; i < left.size(); ++i) {
          if (left[i] + rightLeast + edgeLeast >= least)
            continue;
          const double *row = &edge.table[i * columns], *beside = right.data();
          double inner =
              minOver(columns, [&](size_t j) { return row[j] + beside[j]; });
          if (inner + left[i] >= least)
            continue;
          least = inner + left[i];
          core[edge.a] = i;
          for (size_t j = 0; j < columns; ++j)
            if (row[j] + right[j] == inner)
              core[edge.b] = j;
          changed = true;
        }
      }
      if (!changed)
        return;
    }
  }

  unsigned passMessages() {
    unsigned done = 0;
    double last = -infinity;
    stalled = false;
    while (done < options.sweeps) {
      for (unsigned i = 0; i < 4; ++i) {
        sweep(true, infinity);
        sweep(false, infinity);
      }
      done += 8;
      bound = std::max(bound, currentBound());
      decodeCore(done % 16 != 0);
      if (bestObjective - bound <= options.gap * bestObjective)
        break;
      if (bound - last < 1e-6 * std::fabs(bestObjective)) {
        stalled = true;
        break;
      }
      last = bound;
    }
    return done;
  }

  /// Drops labels that no labelling better than the best one uses. False where
  /// that leaves a node without labels: there is no better one.
  bool dropLabels() {
    double now = currentBound();
    // Sums of this size are exact to some 1e-13 of it.
    double room =
        std::max(0.0, bestObjective - now) + 1e-9 * std::fabs(bestObjective);
    for (Node &node : nodes)
      node.keep.assign(node.size(), 1);
    sweep(true, room);
    sweep(false, room);
    for (const Node &node : nodes)
      if (node.live && std::count(node.keep.begin(), node.keep.end(), 1) == 0)
        return false;
    settle();
    for (Edge &edge : edges) {
      if (!edge.live)
        continue;
      const Node &a = nodes[edge.a], &b = nodes[edge.b];
      Costs table;
      for (size_t i = 0; i < a.size(); ++i)
        for (size_t j = 0; j < b.size(); ++j)
          if (a.keep[i] && b.keep[j])
            table.push_back(edge.table[i * b.size() + j]);
      edge.table = std::move(table);
    }
    for (Node &node : nodes) {
      if (!node.live)
        continue;
      size_t count = 0;
      for (size_t i = 0; i < node.size(); ++i)
        if (node.keep[i]) {
          node.unary[count] = node.unary[i];
          node.labels[count++] = node.labels[i];
        }
      node.unary.resize(count);
      node.labels.resize(count);
    }
    for (Edge &edge : edges)
      if (edge.live) {
        edge.toA.assign(nodes[edge.a].size(), 0);
        edge.toB.assign(nodes[edge.b].size(), 0);
      }
    return true;
  }

  const CostGraph &graph;
  const SearchOptions &options;
  std::vector<Node> nodes;
  std::vector<Edge> edges;
  std::vector<Choice> choices;
  double constant = 0; // of what is eliminated
  std::vector<unsigned> best;
  double bestObjective = infinity;
  double bound = -infinity;
  bool stalled = false;
};

} // namespace

SearchResult weir::compiler::searchLabels(const CostGraph &graph,
                                          const SearchOptions &options) {
  return Searcher(graph, options).run();
}
