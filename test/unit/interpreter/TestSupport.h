// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_TEST_UNIT_INTERPRETER_TESTSUPPORT_H
#define WEIR_TEST_UNIT_INTERPRETER_TESTSUPPORT_H

#include "compiler/Interpreter/Interpreter.h"
#include "dialects/Graph/Graph.h"

#include "mlir/Parser/Parser.h"
#include "gtest/gtest.h"

namespace weir::compiler {

/// Parses modules, runs them, and keeps the last diagnostic.
class InterpreterTest : public ::testing::Test {
protected:
  InterpreterTest() {
    context.loadDialect<graph::GraphDialect, kernel::KernelDialect,
                        dist::DistDialect, mlir::arith::ArithDialect,
                        mlir::math::MathDialect>();
    context.getDiagEngine().registerHandler(
        [this](mlir::Diagnostic &diagnostic) { message = diagnostic.str(); });
  }

  mlir::ModuleOp parse(llvm::StringRef text) {
    module = mlir::parseSourceString<mlir::ModuleOp>(text, &context);
    EXPECT_TRUE(module) << message;
    return module ? *module : mlir::ModuleOp();
  }

  /// The results of entry `main`.
  std::vector<Tensor> run(llvm::StringRef text,
                          llvm::ArrayRef<Tensor> arguments,
                          Precision precision = Precision::F64) {
    mlir::ModuleOp parsed = parse(text);
    if (!parsed)
      return {};
    auto results = Interpreter(parsed, {precision}).run("main", arguments);
    EXPECT_TRUE(mlir::succeeded(results)) << message;
    return mlir::succeeded(results) ? *results : std::vector<Tensor>();
  }

  /// The diagnostic with which entry `main` fails.
  std::string failureOf(llvm::StringRef text,
                        llvm::ArrayRef<Tensor> arguments) {
    mlir::ModuleOp parsed = parse(text);
    if (!parsed)
      return "(does not parse)";
    message.clear();
    EXPECT_TRUE(mlir::failed(Interpreter(parsed).run("main", arguments)));
    return message;
  }

  /// Wraps ops into an entry: `arguments` like `%x: tensor<2xf32>`, all
  /// caller's tensors; results named r0, r1...
  static std::string entry(llvm::ArrayRef<std::string> arguments,
                           llvm::ArrayRef<std::string> resultTypes,
                           const std::string &body,
                           const std::string &returned) {
    std::string text = "graph.entry @main(";
    for (size_t i = 0; i < arguments.size(); ++i)
      text += (i ? ", " : "") + arguments[i] + " {graph.input = \"a" +
              std::to_string(i) + "\"}";
    text += ") -> (";
    std::string types;
    for (size_t i = 0; i < resultTypes.size(); ++i) {
      text += (i ? ", " : "") + resultTypes[i] + " {graph.output = \"r" +
              std::to_string(i) + "\"}";
      types += (i ? ", " : "") + resultTypes[i];
    }
    return text + ") {\n" + body + "\ngraph.return " + returned + " : " +
           types + "\n}\n";
  }

  mlir::MLIRContext context;
  mlir::OwningOpRef<mlir::ModuleOp> module;
  std::string message;
};

inline Tensor floats(llvm::ArrayRef<int64_t> shape,
                     llvm::ArrayRef<double> values) {
  return Tensor::fromFloats(shape, values);
}
inline Tensor ints(llvm::ArrayRef<int64_t> shape,
                   llvm::ArrayRef<int64_t> values) {
  return Tensor::fromInts(ElementKind::I32, shape, values);
}
inline Tensor bits(llvm::ArrayRef<int64_t> shape,
                   llvm::ArrayRef<int64_t> values) {
  return Tensor::fromInts(ElementKind::I1, shape, values);
}

/// Elements equal, up to the rounding of a few f64 operations.
inline void expectFloats(const Tensor &tensor, llvm::ArrayRef<double> values,
                         double tolerance = 1e-12) {
  ASSERT_TRUE(tensor.isFloat());
  ASSERT_EQ(tensor.floats.size(), values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    if (std::isfinite(values[i]))
      EXPECT_NEAR(tensor.floats[i], values[i], tolerance) << "element " << i;
    else
      EXPECT_TRUE(std::isnan(values[i]) ? std::isnan(tensor.floats[i])
                                        : tensor.floats[i] == values[i])
          << "element " << i << " is " << tensor.floats[i];
  }
}
inline void expectInts(const Tensor &tensor, llvm::ArrayRef<int64_t> values) {
  EXPECT_EQ(llvm::ArrayRef<int64_t>(tensor.ints), values);
}

} // namespace weir::compiler

#endif // WEIR_TEST_UNIT_INTERPRETER_TESTSUPPORT_H
