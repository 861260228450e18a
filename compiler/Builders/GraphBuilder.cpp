// SPDX-License-Identifier: Apache-2.0
#include "compiler/Builders/GraphBuilder.h"

#include "dialects/Graph/Annotations.h"

#include "mlir/IR/Verifier.h"
#include "llvm/ADT/Sequence.h"

using namespace mlir;

namespace weir::compiler {

GraphBuilder::GraphBuilder(MLIRContext *context) : builder(context) {
  context->loadDialect<graph::GraphDialect, kernel::KernelDialect,
                       dist::DistDialect>();
  module = ModuleOp::create(builder.getUnknownLoc());
  builder.setInsertionPointToEnd(module->getBody());
}

//===----------------------------------------------------------------------===//
// Names and types
//===----------------------------------------------------------------------===//

GraphBuilder::Scope::Scope(GraphBuilder &builder, llvm::StringRef name)
    : builder(builder), outerLength(builder.scope.size()) {
  builder.scope = builder.nodeName(name);
}

GraphBuilder::Scope::~Scope() { builder.scope.resize(outerLength); }

std::string GraphBuilder::nodeName(llvm::StringRef leaf) const {
  if (leaf.empty())
    return scope;
  return scope.empty() ? leaf.str() : scope + "." + leaf.str();
}

Location GraphBuilder::loc(llvm::StringRef leaf) const {
  std::string name = nodeName(leaf);
  if (name.empty())
    return UnknownLoc::get(builder.getContext());
  return NameLoc::get(StringAttr::get(builder.getContext(), name));
}

RankedTensorType GraphBuilder::f32(Shape shape) const {
  return RankedTensorType::get(shape, Float32Type::get(builder.getContext()));
}

RankedTensorType GraphBuilder::i32(Shape shape) const {
  return RankedTensorType::get(shape,
                               IntegerType::get(builder.getContext(), 32));
}

//===----------------------------------------------------------------------===//
// Variables and entries
//===----------------------------------------------------------------------===//

graph::VariableOp GraphBuilder::variable(llvm::StringRef name, Shape shape,
                                         const VariableOptions &options) {
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointToEnd(module->getBody());
  MLIRContext *context = builder.getContext();
  llvm::StringRef storedName =
      options.storedName.empty() ? name : options.storedName;
  Shape storedShape =
      options.storedShape.empty() ? shape : Shape(options.storedShape);
  auto op = graph::VariableOp::create(
      builder, NameLoc::get(StringAttr::get(context, name)), name, f32(shape),
      graph::VariableKind::Parameter,
      graph::InitializerAttr::get(context, options.init.kind, options.init.a,
                                  options.init.b),
      graph::StoredAttr::get(context, StringAttr::get(context, storedName),
                             storedShape));
  if (options.tensorParallelDim >= 0)
    op->setAttr(tensorParallelDimAttr,
                builder.getI64IntegerAttr(options.tensorParallelDim));
  if (options.tensorParallelInnerDim != VariableOptions::sameDim)
    op->setAttr(tensorParallelInnerDimAttr,
                builder.getI64IntegerAttr(options.tensorParallelInnerDim));
  return op;
}

void GraphBuilder::beginEntry(llvm::StringRef name) {
  builder.setInsertionPointToEnd(module->getBody());
  entry =
      graph::EntryOp::create(builder, NameLoc::get(builder.getStringAttr(name)),
                             name, builder.getFunctionType({}, {}));
  if (entry.getBody().empty())
    entry.getBody().emplaceBlock();
  builder.setInsertionPointToEnd(&entry.getBody().front());
  results.clear();
  resultNames.clear();
  argumentAttributes.clear();
  variableReads.clear();
}

mlir::Value GraphBuilder::addArgument(RankedTensorType type,
                                      llvm::StringRef attribute,
                                      Attribute value) {
  argumentAttributes.emplace_back(attribute.str(), value);
  return entry.getBody().front().addArgument(type, entry.getLoc());
}

mlir::Value GraphBuilder::input(llvm::StringRef name, Shape shape) {
  return addArgument(f32(shape), graph::GraphDialect::getInputAttrName(),
                     builder.getStringAttr(name));
}

mlir::Value GraphBuilder::inputI32(llvm::StringRef name, Shape shape) {
  return addArgument(i32(shape), graph::GraphDialect::getInputAttrName(),
                     builder.getStringAttr(name));
}

mlir::Value GraphBuilder::read(graph::VariableOp variable) {
  mlir::Value &known = variableReads[variable.getSymName()];
  if (!known)
    known = addArgument(variable.getTensorType(),
                        graph::GraphDialect::getVariableAttrName(),
                        FlatSymbolRefAttr::get(variable.getSymNameAttr()));
  return known;
}

void GraphBuilder::output(llvm::StringRef name, mlir::Value value) {
  results.push_back(value);
  resultNames.push_back(name.str());
}

void GraphBuilder::endEntry() {
  graph::ReturnOp::create(builder, entry.getLoc(), results);
  Block &body = entry.getBody().front();
  entry.setFunctionType(builder.getFunctionType(
      body.getArgumentTypes(), ValueRange(results).getTypes()));
  // All at once: each change of one would keep another copy of the whole list.
  auto dictionary = [&](llvm::StringRef name, Attribute value) {
    return builder.getDictionaryAttr(builder.getNamedAttr(name, value));
  };
  llvm::SmallVector<DictionaryAttr> argAttrs, resultAttrs;
  for (const auto &[name, value] : argumentAttributes)
    argAttrs.push_back(dictionary(name, value));
  for (const std::string &name : resultNames)
    resultAttrs.push_back(dictionary(graph::GraphDialect::getOutputAttrName(),
                                     builder.getStringAttr(name)));
  entry.setAllArgAttrs(argAttrs);
  entry.setAllResultAttrs(resultAttrs);
  entry = nullptr;
  builder.setInsertionPointToEnd(module->getBody());
}

OwningOpRef<ModuleOp> GraphBuilder::finish() {
  if (failed(verify(*module)))
    return nullptr;
  return std::move(module);
}

//===----------------------------------------------------------------------===//
// Element-wise ops
//===----------------------------------------------------------------------===//

mlir::Value GraphBuilder::constant(double value, Shape shape) {
  auto type = f32(shape);
  return graph::ConstantOp::create(
      builder, loc(),
      DenseElementsAttr::get(type, builder.getF32FloatAttr(value).getValue()));
}

mlir::Value GraphBuilder::constantTensor(llvm::ArrayRef<float> values,
                                         Shape shape) {
  return graph::ConstantOp::create(builder, loc(),
                                   DenseElementsAttr::get(f32(shape), values));
}

mlir::Value GraphBuilder::iota(int64_t dim, Shape shape, bool integer) {
  return graph::IotaOp::create(builder, loc(),
                               integer ? i32(shape) : f32(shape), dim);
}

mlir::Value GraphBuilder::add(mlir::Value a, mlir::Value b) {
  return graph::AddOp::create(builder, loc(), a, b);
}
mlir::Value GraphBuilder::sub(mlir::Value a, mlir::Value b) {
  return graph::SubOp::create(builder, loc(), a, b);
}
mlir::Value GraphBuilder::mul(mlir::Value a, mlir::Value b) {
  return graph::MulOp::create(builder, loc(), a, b);
}
mlir::Value GraphBuilder::scale(mlir::Value x, double factor) {
  return mul(x, constant(factor, shapeOf(x)));
}
mlir::Value GraphBuilder::cos(mlir::Value x) {
  return graph::CosOp::create(builder, loc(), x);
}
mlir::Value GraphBuilder::sin(mlir::Value x) {
  return graph::SinOp::create(builder, loc(), x);
}
mlir::Value GraphBuilder::relu(mlir::Value x) {
  return graph::ReluOp::create(builder, loc(), x);
}
mlir::Value GraphBuilder::silu(mlir::Value x) {
  return graph::SiluOp::create(builder, loc(), x);
}
mlir::Value GraphBuilder::tanh(mlir::Value x) {
  return graph::TanhOp::create(builder, loc(), x);
}
mlir::Value GraphBuilder::sigmoid(mlir::Value x) {
  return graph::SigmoidOp::create(builder, loc(), x);
}
mlir::Value GraphBuilder::gelu(mlir::Value x, graph::GeluKind kind) {
  return graph::GeluOp::create(builder, loc(), x.getType(), x, kind);
}

mlir::Value GraphBuilder::compare(graph::Predicate predicate, mlir::Value a,
                                  mlir::Value b) {
  auto type = RankedTensorType::get(shapeOf(a), builder.getI1Type());
  return graph::CompareOp::create(builder, loc(), type, predicate, a, b);
}

mlir::Value GraphBuilder::select(mlir::Value condition, mlir::Value onTrue,
                                 mlir::Value onFalse) {
  return graph::SelectOp::create(builder, loc(), onTrue.getType(), condition,
                                 onTrue, onFalse);
}

mlir::Value GraphBuilder::castToFloat(mlir::Value x) {
  return graph::CastOp::create(builder, loc(), f32(shapeOf(x)), x);
}

//===----------------------------------------------------------------------===//
// Tensor ops
//===----------------------------------------------------------------------===//

mlir::Value GraphBuilder::broadcast(mlir::Value x, Shape shape,
                                    llvm::ArrayRef<int64_t> dims) {
  auto type = llvm::cast<RankedTensorType>(x.getType());
  return graph::BroadcastOp::create(
      builder, loc(), RankedTensorType::get(shape, type.getElementType()), x,
      dims);
}

mlir::Value GraphBuilder::addTrailing(mlir::Value x, mlir::Value bias) {
  int64_t lead = shapeOf(x).size() - shapeOf(bias).size();
  auto dims = llvm::to_vector(llvm::seq<int64_t>(lead, shapeOf(x).size()));
  return add(x, broadcast(bias, shapeOf(x), dims));
}

mlir::Value GraphBuilder::reshape(mlir::Value x, Shape shape) {
  auto type = llvm::cast<RankedTensorType>(x.getType());
  return graph::ReshapeOp::create(
      builder, loc(), RankedTensorType::get(shape, type.getElementType()), x);
}

mlir::Value GraphBuilder::transpose(mlir::Value x,
                                    llvm::ArrayRef<int64_t> permutation) {
  auto type = llvm::cast<RankedTensorType>(x.getType());
  llvm::SmallVector<int64_t> shape;
  for (int64_t dim : permutation)
    shape.push_back(type.getDimSize(dim));
  return graph::TransposeOp::create(
      builder, loc(), RankedTensorType::get(shape, type.getElementType()), x,
      permutation);
}

mlir::Value GraphBuilder::slice(mlir::Value x, llvm::ArrayRef<int64_t> offsets,
                                Shape sizes) {
  auto type = llvm::cast<RankedTensorType>(x.getType());
  return graph::SliceOp::create(
      builder, loc(), RankedTensorType::get(sizes, type.getElementType()), x,
      offsets);
}

mlir::Value GraphBuilder::concat(llvm::ArrayRef<mlir::Value> parts,
                                 int64_t dim) {
  auto type = llvm::cast<RankedTensorType>(parts.front().getType());
  llvm::SmallVector<int64_t> shape(type.getShape());
  shape[dim] = 0;
  for (mlir::Value part : parts)
    shape[dim] += shapeOf(part)[dim];
  return graph::ConcatOp::create(
      builder, loc(), RankedTensorType::get(shape, type.getElementType()),
      ValueRange(parts), builder.getI64IntegerAttr(dim));
}

mlir::Value GraphBuilder::reduceSum(mlir::Value x,
                                    llvm::ArrayRef<int64_t> dims) {
  auto type = llvm::cast<RankedTensorType>(x.getType());
  llvm::SmallVector<int64_t> shape;
  for (int64_t dim : llvm::seq<int64_t>(0, type.getRank()))
    if (!llvm::is_contained(dims, dim))
      shape.push_back(type.getDimSize(dim));
  return graph::ReduceOp::create(
      builder, loc(), RankedTensorType::get(shape, type.getElementType()),
      graph::ReductionKind::Sum, x, dims);
}

//===----------------------------------------------------------------------===//
// Model ops
//===----------------------------------------------------------------------===//

mlir::Value GraphBuilder::matmul(mlir::Value lhs, mlir::Value rhs,
                                 llvm::ArrayRef<int64_t> lhsBatch,
                                 llvm::ArrayRef<int64_t> rhsBatch,
                                 llvm::ArrayRef<int64_t> lhsContract,
                                 llvm::ArrayRef<int64_t> rhsContract) {
  llvm::SmallVector<int64_t> shape;
  for (int64_t dim : lhsBatch)
    shape.push_back(shapeOf(lhs)[dim]);
  auto appendFree = [&](mlir::Value value, llvm::ArrayRef<int64_t> batch,
                        llvm::ArrayRef<int64_t> contract) {
    for (auto [dim, size] : llvm::enumerate(shapeOf(value)))
      if (!llvm::is_contained(batch, int64_t(dim)) &&
          !llvm::is_contained(contract, int64_t(dim)))
        shape.push_back(size);
  };
  appendFree(lhs, lhsBatch, lhsContract);
  appendFree(rhs, rhsBatch, rhsContract);
  return graph::MatmulOp::create(builder, loc(), f32(shape), lhs, rhs, lhsBatch,
                                 rhsBatch, lhsContract, rhsContract);
}

mlir::Value GraphBuilder::linear(mlir::Value x, mlir::Value weight,
                                 mlir::Value bias, unsigned count,
                                 bool transposed) {
  int64_t rank = shapeOf(x).size(), weightRank = shapeOf(weight).size();
  int64_t first = transposed ? weightRank - count : 0;
  auto lhs = llvm::to_vector(llvm::seq<int64_t>(rank - count, rank));
  auto rhs = llvm::to_vector(llvm::seq<int64_t>(first, first + count));
  mlir::Value product = matmul(x, weight, {}, {}, lhs, rhs);
  return bias ? addTrailing(product, bias) : product;
}

mlir::Value GraphBuilder::embedding(mlir::Value table, mlir::Value ids) {
  auto shape = llvm::to_vector(shapeOf(ids));
  llvm::append_range(shape, shapeOf(table).drop_front());
  return graph::EmbeddingOp::create(builder, loc(), f32(shape), table, ids);
}

mlir::Value GraphBuilder::layerNorm(mlir::Value x, mlir::Value weight,
                                    mlir::Value bias, double epsilon) {
  auto rows = f32(shapeOf(x).drop_back());
  return graph::LayerNormOp::create(builder, loc(), x.getType(), rows, rows, x,
                                    weight, bias,
                                    builder.getF64FloatAttr(epsilon))
      .getOutput();
}

mlir::Value GraphBuilder::rmsNorm(mlir::Value x, mlir::Value weight,
                                  double epsilon) {
  return graph::RmsNormOp::create(builder, loc(), x.getType(),
                                  f32(shapeOf(x).drop_back()), x, weight,
                                  builder.getF64FloatAttr(epsilon))
      .getOutput();
}

mlir::Value GraphBuilder::softmax(mlir::Value x) {
  return graph::SoftmaxOp::create(builder, loc(), x);
}

mlir::Value GraphBuilder::rope(mlir::Value x, mlir::Value cos, mlir::Value sin,
                               int64_t seqDim) {
  return graph::RopeOp::create(builder, loc(), x.getType(), x, cos, sin,
                               builder.getI64IntegerAttr(seqDim));
}

mlir::Value GraphBuilder::attention(mlir::Value query, mlir::Value key,
                                    mlir::Value value, double scale,
                                    bool causal) {
  Shape q = shapeOf(query);
  llvm::SmallVector<int64_t> shape(q);
  shape.back() = shapeOf(value).back();
  return graph::AttentionOp::create(
             builder, loc(), f32(shape), f32({q[0], q[2], q[3], q[1]}), query,
             key, value, mlir::ValueRange(), builder.getF64FloatAttr(scale),
             causal ? builder.getUnitAttr() : UnitAttr())
      .getOutput();
}

mlir::Value GraphBuilder::dropout(mlir::Value x, double rate, mlir::Value seed,
                                  mlir::Value step, llvm::StringRef name) {
  if (rate == 0)
    return x;
  return graph::DropoutOp::create(builder, loc(name), x.getType(), x, seed,
                                  step, builder.getF64FloatAttr(rate),
                                  builder.getStringAttr(nodeName(name)));
}

mlir::Value GraphBuilder::crossEntropy(mlir::Value logits, mlir::Value labels) {
  auto rows = f32(shapeOf(labels));
  return graph::CrossEntropyOp::create(builder, loc("cross_entropy"), rows,
                                       rows, logits, labels,
                                       builder.getI64IntegerAttr(-100))
      .getLoss();
}

} // namespace weir::compiler
