// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_COMPILER_BUILDERS_GRAPHBUILDER_H
#define WEIR_COMPILER_BUILDERS_GRAPHBUILDER_H

#include "dialects/Graph/Graph.h"

#include <string>
#include <utility>

namespace weir::compiler {

/// First values of a variable (see `#graph.init`).
struct Init {
  graph::InitializerKind kind = graph::InitializerKind::Constant;
  double a = 0, b = 0;

  static Init zeros() { return {}; }
  static Init constant(double value) {
    return {graph::InitializerKind::Constant, value, 0};
  }
  static Init normal(double deviation) {
    return {graph::InitializerKind::Normal, 0, deviation};
  }
};

/// What a variable is beyond its shape.
struct VariableOptions {
  VariableOptions(Init init = {}, std::string storedName = {},
                  llvm::SmallVector<int64_t> storedShape = {},
                  int64_t tensorParallelDim = -1)
      : init(init), storedName(std::move(storedName)),
        storedShape(std::move(storedShape)),
        tensorParallelDim(tensorParallelDim) {}

  /// `tensorParallelInnerDim` where nothing is said of it.
  static constexpr int64_t sameDim = -2;

  Init init;
  /// The checkpoint tensor that holds it and its shape there; an empty name
  /// means the variable's own name, an empty shape its own shape.
  std::string storedName;
  llvm::SmallVector<int64_t> storedShape;
  /// The dimension that Megatron tensor parallelism splits, or -1.
  int64_t tensorParallelDim;
  /// The dimension that it splits where that one has fewer elements than there
  /// are devices; -1: none, the variable is whole on these; `sameDim`: the
  /// same, and some devices hold nothing.
  int64_t tensorParallelInnerDim = sameDim;
};

/// How windows lie over spatial dimensions: one number for each of these, or
/// none for the default everywhere.
struct WindowOptions {
  llvm::SmallVector<int64_t> strides = {};   // default 1
  llvm::SmallVector<int64_t> low = {};       // padding before, default 0
  llvm::SmallVector<int64_t> high = {};      // and behind; default as `low`
  llvm::SmallVector<int64_t> dilations = {}; // default 1
  int64_t groups = 1;                        // of a convolution's channels

  int64_t strideOf(size_t dim) const {
    return strides.empty() ? 1 : strides[dim];
  }
  int64_t lowOf(size_t dim) const { return low.empty() ? 0 : low[dim]; }
  int64_t highOf(size_t dim) const {
    return high.empty() ? lowOf(dim) : high[dim];
  }
  int64_t dilationOf(size_t dim) const {
    return dilations.empty() ? 1 : dilations[dim];
  }
};

/// Builds a model as `graph` IR: variables, then entries whose bodies are made
/// by the op methods. All shapes are static; all float tensors are f32. Misuse
/// (shapes that do not fit, an entry left open) is found by the verifier in
/// `finish`, which reports it under the node's name.
///
///   GraphBuilder b(context);
///   auto w = b.variable("w", {8, 4}, {Init::normal(0.02)});
///   b.beginEntry("forward");
///   auto x = b.input("x", {2, 8});
///   b.output("logits", b.linear(x, b.read(w)));
///   b.endEntry();
///   mlir::OwningOpRef<mlir::ModuleOp> module = b.finish();
class GraphBuilder {
public:
  using Value = mlir::Value;
  using Shape = llvm::ArrayRef<int64_t>;

  explicit GraphBuilder(mlir::MLIRContext *context);

  /// Declares a parameter. Names are unique.
  graph::VariableOp variable(llvm::StringRef name, Shape shape,
                             const VariableOptions &options = {});

  void beginEntry(llvm::StringRef name);
  /// A tensor that the caller binds by name; rank 0 makes a run-time scalar.
  Value input(llvm::StringRef name, Shape shape);
  Value inputI32(llvm::StringRef name, Shape shape);
  /// The variable's value in this entry.
  Value read(graph::VariableOp variable);
  void output(llvm::StringRef name, Value value);
  void endEntry();

  /// Verifies and hands over the module; null, with diagnostics emitted, when
  /// it is malformed.
  mlir::OwningOpRef<mlir::ModuleOp> finish();

  /// Node names: ops built while a scope lives are named `outer.inner.name`.
  class Scope {
  public:
    Scope(GraphBuilder &builder, llvm::StringRef name);
    ~Scope();
    Scope(const Scope &) = delete;
    Scope &operator=(const Scope &) = delete;

  private:
    GraphBuilder &builder;
    size_t outerLength;
  };
  /// The name that the next op of `leaf` gets.
  std::string nodeName(llvm::StringRef leaf = "") const;

  Value constant(double value, Shape shape = {});
  Value constantTensor(llvm::ArrayRef<float> values, Shape shape);
  Value iota(int64_t dim, Shape shape, bool integer = false);

  Value add(Value a, Value b);
  Value sub(Value a, Value b);
  Value mul(Value a, Value b);
  Value scale(Value x, double factor);
  Value cos(Value x);
  Value sin(Value x);
  Value relu(Value x);
  Value silu(Value x);
  Value tanh(Value x);
  Value sigmoid(Value x);
  Value gelu(Value x, graph::GeluKind kind);
  Value compare(graph::Predicate predicate, Value a, Value b);
  Value select(Value condition, Value onTrue, Value onFalse);
  Value castToFloat(Value x);

  /// `dims[i]` is where dimension i of `x` lies in `shape`.
  Value broadcast(Value x, Shape shape, llvm::ArrayRef<int64_t> dims);
  /// Adds a tensor of `x`'s trailing dimensions, repeated over the others.
  Value addTrailing(Value x, Value bias);
  Value reshape(Value x, Shape shape);
  Value transpose(Value x, llvm::ArrayRef<int64_t> permutation);
  Value slice(Value x, llvm::ArrayRef<int64_t> offsets, Shape sizes);
  Value concat(llvm::ArrayRef<Value> parts, int64_t dim);
  Value reduceSum(Value x, llvm::ArrayRef<int64_t> dims);

  Value reduceProd(Value x, llvm::ArrayRef<int64_t> dims);

  /// Fills `low[i]` elements before dimension i and `high[i]` behind it.
  Value pad(Value x, llvm::ArrayRef<int64_t> low, llvm::ArrayRef<int64_t> high,
            double value);
  Value cumsum(Value x, int64_t dim, bool reverse = false,
               bool exclusive = false);
  /// (elements in order, i32 places that they came from).
  std::pair<Value, Value> sort(Value x, int64_t dim, bool descending = false);
  std::pair<Value, Value> topK(Value x, int64_t k, int64_t dim);
  Value take(Value x, Value indices, int64_t dim);
  Value takeAlong(Value x, Value indices, int64_t dim);
  /// Sums updates by index into a dimension of `size` zeros.
  Value scatterAdd(Value indices, Value updates, int64_t size, int64_t dim,
                   bool along = false);
  /// f32 rows [..., classes] with a 1 at each i32 index; none where it is
  /// outside.
  Value oneHot(Value indices, int64_t classes);
  Value isNan(Value x);

  /// x [N,C,X...], weight [M,C/groups,K...], bias [M] or null -> [N,M,O...].
  Value conv(Value x, Value weight, Value bias = {},
             const WindowOptions &options = {});
  /// x [N,C,X...] -> [N,C,O...].
  Value pool(graph::PoolKind kind, Value x, Shape window,
             const WindowOptions &options = {}, bool excludePadding = false);
  /// A batch's own statistics, all [C]; the variance is biased.
  struct BatchNorm {
    Value output, mean, variance;
  };
  /// x [N,C,X...]; weight and bias [C]. Ioffe and Szegedy, arXiv 1502.03167.
  BatchNorm batchNorm(Value x, Value weight, Value bias, double epsilon);
  /// The same with statistics that are given, as for inference.
  Value normalize(Value x, Value mean, Value variance, Value weight, Value bias,
                  double epsilon);

  /// Contracts the last `count` dimensions of `x` with the first (or, with
  /// `transposed`, the last) `count` of `weight`.
  Value linear(Value x, Value weight, Value bias = {}, unsigned count = 1,
               bool transposed = false);
  Value matmul(Value lhs, Value rhs, llvm::ArrayRef<int64_t> lhsBatch,
               llvm::ArrayRef<int64_t> rhsBatch,
               llvm::ArrayRef<int64_t> lhsContract,
               llvm::ArrayRef<int64_t> rhsContract);
  Value embedding(Value table, Value ids);
  Value layerNorm(Value x, Value weight, Value bias, double epsilon);
  Value rmsNorm(Value x, Value weight, double epsilon);
  Value softmax(Value x);
  /// `cos`, `sin`: [T, D/2]; T is dimension `seqDim` of `x`.
  Value rope(Value x, Value cos, Value sin, int64_t seqDim);
  /// query [B,T,G,R,D], key and value [B,S,G,D] -> [B,T,G,R,D].
  Value attention(Value query, Value key, Value value, double scale,
                  bool causal);
  /// `seed` and `step` are rank-0 i32. A rate of 0 returns `x`.
  Value dropout(Value x, double rate, Value seed, Value step,
                llvm::StringRef name);
  /// Loss for each position, in nats; 0 where the label is -100.
  Value crossEntropy(Value logits, Value labels);

  mlir::OpBuilder &opBuilder() { return builder; }
  static llvm::ArrayRef<int64_t> shapeOf(Value value) {
    return llvm::cast<mlir::RankedTensorType>(value.getType()).getShape();
  }

private:
  mlir::Location loc(llvm::StringRef leaf = "") const;
  mlir::RankedTensorType f32(Shape shape) const;
  mlir::RankedTensorType i32(Shape shape) const;
  Value addArgument(mlir::RankedTensorType type, llvm::StringRef attribute,
                    mlir::Attribute value);

  mlir::OpBuilder builder;
  mlir::OwningOpRef<mlir::ModuleOp> module;
  std::string scope;

  graph::EntryOp entry;
  llvm::SmallVector<mlir::Value> results;
  llvm::SmallVector<std::string> resultNames;
  llvm::SmallVector<std::pair<std::string, mlir::Attribute>> argumentAttributes;
  llvm::StringMap<mlir::Value> variableReads;
};

} // namespace weir::compiler

#endif // WEIR_COMPILER_BUILDERS_GRAPHBUILDER_H
