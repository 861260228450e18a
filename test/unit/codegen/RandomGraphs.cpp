// SPDX-License-Identifier: Apache-2.0
#include "test/unit/codegen/RandomGraphs.h"

#include <algorithm>
#include <cstdint>
#include <random>
#include <vector>

namespace weir::compiler::test {
namespace {

using Shape = std::vector<int64_t>;

struct Graph {
  std::mt19937 random;
  std::string body;
  std::vector<Shape> shapes; // of %0, %1, ...
  std::vector<std::string> names;

  explicit Graph(unsigned seed) : random(seed) {}

  int64_t draw(int64_t count) { return random() % count; }
  static std::string text(const Shape &shape) {
    std::string result = "tensor<";
    for (int64_t size : shape)
      result += std::to_string(size) + "x";
    return result + "f32>";
  }
  static std::string list(const Shape &values) {
    std::string result = "[";
    for (size_t i = 0; i < values.size(); ++i)
      result += (i ? ", " : "") + std::to_string(values[i]);
    return result + "]";
  }
  int add(const Shape &shape, const std::string &name) {
    shapes.push_back(shape);
    names.push_back(name);
    return shapes.size() - 1;
  }
  int emit(const std::string &op, const Shape &shape) {
    std::string name = "%v" + std::to_string(shapes.size());
    body += "  " + name + " = graph." + op + "\n";
    return add(shape, name);
  }
  std::string types(const std::vector<int> &operands, const Shape &result) {
    std::string out = " : (";
    for (size_t i = 0; i < operands.size(); ++i)
      out += (i ? ", " : "") + text(shapes[operands[i]]);
    return out + ") -> " + text(result);
  }
  /// A value of that shape, the last one for preference.
  int find(const Shape &shape) {
    std::vector<int> found;
    for (int i = 0; i < int(shapes.size()); ++i)
      if (shapes[i] == shape)
        found.push_back(i);
    return found[draw(2) ? found.size() - 1 : draw(found.size())];
  }

  void step() {
    // Recent values twice as often.
    int x = draw(2)
                ? shapes.size() - 1 - draw(std::min<size_t>(4, shapes.size()))
                : draw(shapes.size());
    Shape shape = shapes[x];
    int64_t rank = shape.size();
    std::string name = names[x], type = text(shape);
    switch (draw(14)) {
    case 0:
    case 1: {
      static const char *const unary[] = {"tanh",    "gelu tanh", "gelu erf",
                                          "sigmoid", "silu",      "sin",
                                          "relu",    "neg",       "abs"};
      emit(std::string(unary[draw(9)]) + " " + name + " : " + type, shape);
      return;
    }
    case 2:
    case 3:
    case 4: {
      static const char *const binary[] = {"add", "sub", "max", "min"};
      emit(std::string(binary[draw(4)]) + " " + name + ", " +
               names[find(shape)] + " : " + type,
           shape);
      return;
    }
    case 5: {
      // The product of bounded values is bounded.
      int a = emit("tanh " + name + " : " + type, shape);
      emit("mul " + names[a] + ", " + names[find(shape)] + " : " + type, shape);
      return;
    }
    case 6:
      if (rank > 0) {
        Shape dims, kept;
        for (int64_t i = 0; i < rank; ++i)
          (draw(2) || (i + 1 == rank && dims.empty()) ? dims : kept)
              .push_back(i);
        Shape out;
        for (int64_t i : kept)
          out.push_back(shape[i]);
        int mean = emit(std::string("reduce ") + (draw(3) ? "sum " : "max ") +
                            name + " " + list(dims) + types({x}, out),
                        out);
        emit("tanh " + names[mean] + " : " + text(out), out);
      }
      return;
    case 7:
      if (rank < 4) {
        static const int64_t sizes[] = {1, 3, 7, 16, 33};
        int64_t place = draw(rank + 1);
        Shape out = shape, dims;
        out.insert(out.begin() + place, sizes[draw(5)]);
        for (int64_t i = 0; i <= rank; ++i)
          if (i != place)
            dims.push_back(i);
        int wide =
            emit("broadcast " + name + " " + list(dims) + types({x}, out), out);
        add(out, names[wide]);
      }
      return;
    case 8:
      if (rank > 1) {
        Shape permutation, out;
        for (int64_t i = 0; i < rank; ++i)
          permutation.push_back(i);
        std::shuffle(permutation.begin(), permutation.end(), random);
        for (int64_t i : permutation)
          out.push_back(shape[i]);
        emit("transpose " + name + " " + list(permutation) + types({x}, out),
             out);
      }
      return;
    case 9:
      if (rank > 0) {
        Shape offsets, out;
        for (int64_t size : shape) {
          int64_t offset = draw(size);
          offsets.push_back(offset);
          out.push_back(1 + draw(size - offset));
        }
        emit("slice " + name + " " + list(offsets) + types({x}, out), out);
      }
      return;
    case 10:
      if (rank > 0) {
        int64_t dim = draw(rank);
        int y = find(shape);
        Shape out = shape;
        out[dim] *= 2;
        if (out[dim] < 140)
          emit("concat " + name + ", " + names[y] + " dim " +
                   std::to_string(dim) + types({x, y}, out),
               out);
      }
      return;
    case 11:
      if (rank > 0)
        emit("softmax " + name + " : " + type, shape);
      return;
    case 12:
      if (rank > 1) {
        // x[..., k] x[..., k]^T over all other dims of both is large: the first
        // dim is a batch, the last one is summed.
        int y = find(shape);
        Shape batch, middle, out;
        if (rank > 2)
          batch = {0};
        for (int64_t i : batch)
          out.push_back(shape[i]);
        int64_t free = 1;
        for (int side = 0; side < 2; ++side)
          for (int64_t i = batch.size(); i + 1 < rank; ++i) {
            out.push_back(shape[i]);
            free *= shape[i];
          }
        if (free > 5000 || out.size() > 5)
          return;
        Shape last = {rank - 1};
        int product =
            emit("matmul " + name + ", " + names[y] + " batch " + list(batch) +
                     " x " + list(batch) + " contract " + list(last) + " x " +
                     list(last) + types({x, y}, out),
                 out);
        emit("tanh " + names[product] + " : " + text(out), out);
      }
      return;
    default:
      if (rank > 1) {
        Shape out(shape.begin() + 1, shape.end());
        out[0] *= shape[0];
        emit("reshape " + name + types({x}, out), out);
      }
    }
  }
};

} // namespace

std::string randomGraph(unsigned seed, int numOps) {
  Graph graph(seed);
  static const std::vector<Shape> starts = {
      {5, 33}, {3, 7, 16}, {70}, {2, 3, 20}, {41, 65}};
  std::string arguments;
  Shape shape = starts[graph.draw(starts.size())];
  for (int i = 0; i < 3; ++i) {
    std::string name = "%a" + std::to_string(i);
    graph.add(shape, name);
    arguments += (i ? ", " : "") + name + ": " + Graph::text(shape) +
                 " {graph.input = \"a" + std::to_string(i) + "\"}";
  }
  for (int i = 0; i < numOps; ++i)
    graph.step();
  // The last values and a few others are results.
  std::vector<int> results;
  for (int i = 3; i < int(graph.shapes.size()); ++i)
    if (i + 3 >= int(graph.shapes.size()) || graph.draw(6) == 0)
      results.push_back(i);
  std::string outputs, values, types;
  for (size_t i = 0; i < results.size(); ++i) {
    std::string type = Graph::text(graph.shapes[results[i]]),
                comma = i ? ", " : "";
    outputs +=
        comma + type + " {graph.output = \"y" + std::to_string(i) + "\"}";
    values += comma + graph.names[results[i]];
    types += comma + type;
  }
  return "graph.entry @f(" + arguments + ") -> (" + outputs + ") {\n" +
         graph.body + "  graph.return " + values +
         (results.empty() ? "" : " : " + types) + "\n}\n";
}

} // namespace weir::compiler::test
