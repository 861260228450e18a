// SPDX-License-Identifier: Apache-2.0
#include "test/unit/codegen/CompiledModule.h"

#include "runtime/base/Philox.h"

#include <cmath>
#include <cstring>
#include <gtest/gtest.h>
#include <limits>

namespace weir::compiler::test {
namespace {

constexpr int64_t count = 100003; // not a multiple of a vector

std::string unaryKernel(const std::string &name, const std::string &op,
                        const std::string &type) {
  std::string tensor = "tensor<" + std::to_string(count) + "x" + type + ">";
  return "kernel.func @" + name + " ins(%x: " + tensor +
         " strides [1]) outs(%d: " + tensor +
         " strides [1]) chunks 1 {\n"
         "  %y = kernel.generic ins(%x : " +
         tensor +
         ") maps [affine_map<(i) -> (i)>, affine_map<(i) -> (i)>] {\n"
         "  ^bb0(%e: " +
         type + "):\n    %r = " + op + " %e : " + type +
         "\n    kernel.yield %r : " + type + "\n  } -> " + tensor +
         "\n  kernel.yield %y : " + tensor + "\n}\n";
}

/// Distance in units in the last place of the nearest T to `exact`.
template <typename T> double ulps(T value, long double exact) {
  T nearest = static_cast<T>(exact);
  if (std::isnan(exact) || std::isnan(value))
    return std::isnan(exact) && std::isnan(value) ? 0 : 1e9;
  if (std::isinf(nearest) || std::isinf(value))
    return nearest == value ? 0 : 1e9;
  T size = std::max(std::abs(nearest), std::numeric_limits<T>::min());
  T unit = std::nextafter(size, std::numeric_limits<T>::infinity()) - size;
  return static_cast<double>(std::abs(static_cast<long double>(value) - exact) /
                             unit);
}

template <typename T>
double worst(const CompiledModule &module, const std::string &name, double low,
             double high, long double (*exact)(long double)) {
  std::vector<T> x(count), y(count);
  for (int64_t i = 0; i < count; ++i)
    x[i] = static_cast<T>(low + (high - low) * (static_cast<double>(i) + 0.37) /
                                    count);
  module.run(name, {x.data(), y.data()});
  double result = 0;
  for (int64_t i = 0; i < count; ++i)
    result = std::max(result, ulps(y[i], exact(x[i])));
  return result;
}

template <typename T>
T at(const CompiledModule &module, const std::string &name, T value) {
  std::vector<T> x(count, value), y(count);
  module.run(name, {x.data(), y.data()});
  EXPECT_EQ(std::memcmp(&y[0], &y[count - 1], sizeof(T)), 0)
      << "vector and tail differ";
  return y[0];
}

long double expOf(long double x) { return std::exp(x); }
long double logOf(long double x) { return std::log(x); }
long double tanhOf(long double x) { return std::tanh(x); }
long double erfOf(long double x) { return std::erf(x); }
long double sinOf(long double x) { return std::sin(x); }
long double cosOf(long double x) { return std::cos(x); }

std::string allUnary() {
  std::string text;
  for (std::string type : {"f32", "f64"})
    for (std::string op : {"exp", "log", "tanh", "sin", "cos"})
      text += unaryKernel(op + "_" + type, "math." + op, type);
  return text + unaryKernel("erf_f32", "math.erf", "f32");
}

TEST(ScalarMath, F32IsWithinAFewUnitsOfTheExactValue) {
  CompiledModule module(allUnary());
  ASSERT_TRUE(module.ok());
  EXPECT_LE(worst<float>(module, "exp_f32", -87, 88.7, expOf), 1.1);
  EXPECT_LE(worst<float>(module, "exp_f32", -1, 1, expOf), 1.1);
  EXPECT_LE(worst<float>(module, "log_f32", 1e-30, 1e4, logOf), 1.1);
  EXPECT_LE(worst<float>(module, "log_f32", 0.5, 2, logOf), 1.1);
  EXPECT_LE(worst<float>(module, "tanh_f32", -12, 12, tanhOf), 2);
  EXPECT_LE(worst<float>(module, "tanh_f32", -0.01, 0.01, tanhOf), 2);
  EXPECT_LE(worst<float>(module, "erf_f32", -6, 6, erfOf), 2);
  EXPECT_LE(worst<float>(module, "erf_f32", -0.01, 0.01, erfOf), 2);
  EXPECT_LE(worst<float>(module, "sin_f32", -1e4, 1e4, sinOf), 1);
  EXPECT_LE(worst<float>(module, "cos_f32", -1e4, 1e4, cosOf), 1);
  EXPECT_LE(worst<float>(module, "sin_f32", -4, 4, sinOf), 1);
  EXPECT_LE(worst<float>(module, "cos_f32", -1e6, 1e6, cosOf), 1);
}

TEST(ScalarMath, F64IsWithinAFewUnitsOfTheExactValue) {
  CompiledModule module(allUnary());
  ASSERT_TRUE(module.ok());
  EXPECT_LE(worst<double>(module, "exp_f64", -708, 709, expOf), 2);
  EXPECT_LE(worst<double>(module, "log_f64", 1e-30, 1e4, logOf), 2);
  EXPECT_LE(worst<double>(module, "log_f64", 0.5, 2, logOf), 4);
  EXPECT_LE(worst<double>(module, "tanh_f64", -20, 20, tanhOf), 4);
  EXPECT_LE(worst<double>(module, "sin_f64", -4, 4, sinOf), 2);
  EXPECT_LE(worst<double>(module, "cos_f64", -100, 100, cosOf), 4);
}

TEST(ScalarMath, SpecialValues) {
  CompiledModule module(allUnary());
  ASSERT_TRUE(module.ok());
  constexpr float infinity = std::numeric_limits<float>::infinity();
  constexpr float nan = std::numeric_limits<float>::quiet_NaN();
  for (const char *name :
       {"exp_f32", "log_f32", "tanh_f32", "erf_f32", "sin_f32", "cos_f32"})
    EXPECT_TRUE(std::isnan(at(module, name, nan))) << name;
  EXPECT_EQ(at(module, "exp_f32", infinity), infinity);
  EXPECT_EQ(at(module, "exp_f32", -infinity), 0.0f);
  EXPECT_EQ(at(module, "exp_f32", 100.0f), infinity);
  EXPECT_EQ(at(module, "exp_f32", 0.0f), 1.0f);
  EXPECT_NEAR(at(module, "exp_f32", -100.0f), std::exp(-100.0f), 2e-45);
  EXPECT_EQ(at(module, "log_f32", 0.0f), -infinity);
  EXPECT_EQ(at(module, "log_f32", 1.0f), 0.0f);
  EXPECT_EQ(at(module, "log_f32", infinity), infinity);
  EXPECT_TRUE(std::isnan(at(module, "log_f32", -1.0f)));
  EXPECT_NEAR(at(module, "log_f32", 1e-40f), std::log(1e-40f), 1e-5);
  EXPECT_EQ(at(module, "tanh_f32", infinity), 1.0f);
  EXPECT_EQ(at(module, "tanh_f32", -50.0f), -1.0f);
  EXPECT_TRUE(std::signbit(at(module, "tanh_f32", -0.0f)));
  EXPECT_EQ(at(module, "erf_f32", 10.0f), 1.0f);
  EXPECT_EQ(at(module, "erf_f32", -infinity), -1.0f);
  EXPECT_TRUE(std::isnan(at(module, "sin_f32", infinity)));
}

TEST(ScalarMath, PowerFollowsC) {
  const char *text = R"(
    kernel.func @pow ins(%x: tensor<24xf32> strides [1], %y: tensor<24xf32> strides [1])
        outs(%d: tensor<24xf32> strides [1]) chunks 1 {
      %r = kernel.generic ins(%x, %y : tensor<24xf32>, tensor<24xf32>)
          maps [affine_map<(i) -> (i)>, affine_map<(i) -> (i)>, affine_map<(i) -> (i)>] {
      ^bb0(%a: f32, %b: f32):
        %p = math.powf %a, %b : f32
        kernel.yield %p : f32
      } -> tensor<24xf32>
      kernel.yield %r : tensor<24xf32>
    })";
  CompiledModule module(text);
  ASSERT_TRUE(module.ok());
  constexpr float inf = std::numeric_limits<float>::infinity();
  std::vector<float> x = {2,     2, 10, 0.5f,    -2,     -2,  -2, 0,
                          0,     0, 1,  1.0001f, 1e-20f, 3,   -8, 7,
                          1e30f, 5, -1, 0.1f,    2,      inf, -1, 0};
  std::vector<float> y = {3, -1,  5,  20,   3,    2,       0.5f, 2,
                          0, -1,  99, 1e4f, 1.5f, 0.3333f, 3,    0,
                          2, -40, 7,  10,   127,  2,       inf,  0.5f};
  std::vector<float> r(24);
  module.run("pow", {x.data(), y.data(), r.data()});
  for (size_t i = 0; i < r.size(); ++i)
    EXPECT_LE(ulps(r[i], std::pow(static_cast<long double>(x[i]),
                                  static_cast<long double>(y[i]))),
              1)
        << x[i] << " ^ " << y[i] << " = " << r[i];
}

TEST(ScalarMath, RandomWordsAreThoseOfTheRuntime) {
  const char *text = R"(
    kernel.func @random ins(%s: tensor<i32> strides [], %t: tensor<i32> strides [])
        outs(%d: tensor<1000xi32> strides [1]) chunks 1 {
      %r = kernel.generic ins(%s, %t : tensor<i32>, tensor<i32>)
          maps [affine_map<(i) -> ()>, affine_map<(i) -> ()>, affine_map<(i) -> (i)>] {
      ^bb0(%seed: i32, %step: i32):
        %i = kernel.index 0
        %big = arith.constant 5000000000 : i64
        %k = arith.muli %i, %big : i64
        %w = kernel.random 12345 seed %seed step %step index %k
        kernel.yield %w : i32
      } -> tensor<1000xi32>
      kernel.yield %r : tensor<1000xi32>
    })";
  CompiledModule module(text);
  ASSERT_TRUE(module.ok());
  int32_t seed = 77, step = 9;
  std::vector<uint32_t> words(1000);
  module.run("random", {&seed, &step, words.data()});
  for (uint64_t i = 0; i < words.size(); ++i)
    ASSERT_EQ(words[i], randomWord(12345, 77, 9, i * 5000000000u)) << i;
}

} // namespace
} // namespace weir::compiler::test
