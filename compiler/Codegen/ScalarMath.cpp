// SPDX-License-Identifier: Apache-2.0
#include "compiler/Codegen/ScalarMath.h"

#include "runtime/base/Philox.h"
#include "llvm/ADT/ArrayRef.h"
#include "llvm/IR/Intrinsics.h"

using namespace llvm;

namespace weir::compiler::codegen {

namespace {

/// Short names for building arithmetic of one type.
struct Math {
  IRBuilder<> &b;
  Type *type;    // of x
  Type *intType; // integers of the same width and count

  Math(IRBuilder<> &builder, Type *type) : b(builder), type(type) {
    unsigned bits = type->getScalarSizeInBits();
    intType = IntegerType::get(type->getContext(), bits);
    if (auto *vector = dyn_cast<VectorType>(type))
      intType = VectorType::get(intType, vector->getElementCount());
  }
  Value *c(double value) { return ConstantFP::get(type, value); }
  Value *i(int64_t value) { return ConstantInt::getSigned(intType, value); }
  Value *fma(Value *x, Value *y, Value *z) {
    return b.CreateIntrinsic(Intrinsic::fma, {type}, {x, y, z});
  }
  Value *abs(Value *x) { return b.CreateUnaryIntrinsic(Intrinsic::fabs, x); }
  Value *copySign(Value *magnitude, Value *sign) {
    return b.CreateBinaryIntrinsic(Intrinsic::copysign, magnitude, sign);
  }
  Value *asInt(Value *x) { return b.CreateBitCast(x, intType); }
  Value *asFloat(Value *x) { return b.CreateBitCast(x, type); }
  /// Horner's rule, highest coefficient first.
  Value *polynomial(Value *x, ArrayRef<double> coefficients) {
    Value *result = c(coefficients.front());
    for (double coefficient : coefficients.drop_front())
      result = fma(result, x, c(coefficient));
    return result;
  }
  bool isDouble() const { return type->getScalarType()->isDoubleTy(); }
  bool isFloat() const { return type->getScalarType()->isFloatTy(); }
  /// 2^n for integers n of the normal exponent range.
  Value *powerOfTwo(Value *n) {
    int mantissa = isDouble() ? 52 : 23, bias = isDouble() ? 1023 : 127;
    return asFloat(b.CreateShl(b.CreateAdd(n, i(bias)), i(mantissa)));
  }
};

/// `x` as doubles, and back.
Value *widen(IRBuilder<> &b, Value *x) {
  Type *type = b.getDoubleTy();
  if (auto *vector = dyn_cast<VectorType>(x->getType()))
    type = VectorType::get(type, vector->getElementCount());
  return b.CreateFPExt(x, type);
}

Value *clamp(Math &m, Value *x, double low, double high) {
  // Compared so that NaN passes through.
  x = m.b.CreateSelect(m.b.CreateFCmpOGT(x, m.c(high)), m.c(high), x);
  return m.b.CreateSelect(m.b.CreateFCmpOLT(x, m.c(low)), m.c(low), x);
}

} // namespace

/// e^x; with `bounded` x is known to lie where the result is a normal number.
static Value *emitExp(IRBuilder<> &b, Value *x, bool bounded) {
  Math m(b, x->getType());
  if (!m.isFloat() && !m.isDouble())
    return nullptr;
  bool wide = m.isDouble();
  // Beyond these the result is infinity or zero anyway.
  if (!bounded)
    x = wide ? clamp(m, x, -760.0, 720.0) : clamp(m, x, -106.0, 90.0);
  // Adding 1.5 * 2^mantissa leaves round(x / ln 2) in the low bits.
  Value *magic = m.c(wide ? 0x1.8p52 : 0x1.8p23);
  Value *shifted = m.fma(x, m.c(1.4426950408889634074), magic);
  Value *n = b.CreateSub(m.asInt(shifted), m.asInt(magic));
  Value *rounded = b.CreateFSub(shifted, magic);
  Value *r, *result;
  if (wide) {
    r = m.fma(rounded, m.c(-6.93147180369123816490e-01), x);
    r = m.fma(rounded, m.c(-1.90821492927058770002e-10), r);
    // Taylor series; the remainder at |r| = ln 2 / 2 is below 2^-57.
    result = m.polynomial(
        r, {1.0 / 6227020800.0, 1.0 / 479001600.0, 1.0 / 39916800.0,
            1.0 / 3628800.0, 1.0 / 362880.0, 1.0 / 40320.0, 1.0 / 5040.0,
            1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0});
  } else {
    r = m.fma(rounded, m.c(-0.693145751953125), x);
    r = m.fma(rounded, m.c(-1.428606765330187045e-06), r);
    // Minimax on [-ln 2 / 2, ln 2 / 2]: Shibata and Petrogalli, "SLEEF".
    Value *p = m.polynomial(
        r, {0.000198527617612853646278381, 0.00139304355252534151077271,
            0.00833336077630519866943359, 0.0416664853692054748535156,
            0.166666671633720397949219, 0.5});
    result = b.CreateFAdd(m.fma(b.CreateFMul(r, r), p, r), m.c(1.0));
  }
  if (bounded)
    return b.CreateFMul(result, m.powerOfTwo(n));
  // 2^n in two factors: n reaches below the normal range, and above it by one.
  Value *half = b.CreateAShr(n, m.i(1));
  result = b.CreateFMul(result, m.powerOfTwo(half));
  return b.CreateFMul(result, m.powerOfTwo(b.CreateSub(n, half)));
}

Value *emitExp(IRBuilder<> &b, Value *x) {
  return emitExp(b, x, /*bounded=*/false);
}

Value *emitLog(IRBuilder<> &b, Value *x) {
  Math m(b, x->getType());
  if (!m.isFloat() && !m.isDouble())
    return nullptr;
  bool wide = m.isDouble();
  int mantissa = wide ? 52 : 23;
  Value *argument = x;
  // Denormals are scaled into the normal range first.
  Value *tiny = b.CreateFCmpOLT(x, m.c(wide ? 0x1p-1022 : 0x1p-126));
  x = b.CreateSelect(tiny, b.CreateFMul(x, m.c(wide ? 0x1p54 : 0x1p25)), x);
  // x = 2^e f with f in [sqrt(1/2), sqrt 2).
  Value *bits = m.asInt(x);
  int64_t rootBits = wide ? 0x3FE6A09E667F3BCD : 0x3F3504F3;
  Value *e = b.CreateAShr(b.CreateSub(bits, m.i(rootBits)), m.i(mantissa));
  Value *f = m.asFloat(b.CreateSub(bits, b.CreateShl(e, m.i(mantissa))));
  e = b.CreateAdd(e, b.CreateSelect(tiny, m.i(wide ? -54 : -25), m.i(0)));
  Value *exponent = b.CreateSIToFP(e, m.type);
  Value *result;
  if (wide) {
    // log f = 2 atanh(s), s = (f - 1) / (f + 1), |s| <= 0.1716.
    Value *s =
        b.CreateFDiv(b.CreateFSub(f, m.c(1.0)), b.CreateFAdd(f, m.c(1.0)));
    Value *z = b.CreateFMul(s, s);
    Value *p = m.polynomial(z, {2.0 / 23, 2.0 / 21, 2.0 / 19, 2.0 / 17,
                                2.0 / 15, 2.0 / 13, 2.0 / 11, 2.0 / 9, 2.0 / 7,
                                2.0 / 5, 2.0 / 3});
    p = b.CreateFMul(b.CreateFMul(p, z), s);
    result = m.fma(exponent, m.c(1.90821492927058770002e-10), p);
    result = m.fma(s, m.c(2.0), result);
    result = m.fma(exponent, m.c(6.93147180369123816490e-01), result);
  } else {
    // Moshier, Cephes, logf.
    Value *r = b.CreateFSub(f, m.c(1.0));
    Value *z = b.CreateFMul(r, r);
    Value *p =
        m.polynomial(r, {7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1,
                         -1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1,
                         2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1});
    p = b.CreateFMul(b.CreateFMul(p, r), z);
    p = m.fma(exponent, m.c(-2.12194440e-4), p);
    p = m.fma(z, m.c(-0.5), p);
    result = m.fma(exponent, m.c(0.693359375), b.CreateFAdd(r, p));
  }
  Value *infinity = ConstantFP::getInfinity(m.type);
  result =
      b.CreateSelect(b.CreateFCmpOEQ(argument, infinity), infinity, result);
  result = b.CreateSelect(b.CreateFCmpOEQ(argument, m.c(0.0)),
                          ConstantFP::getInfinity(m.type, true), result);
  // Negative or NaN.
  return b.CreateSelect(b.CreateFCmpULT(argument, m.c(0.0)),
                        ConstantFP::getNaN(m.type), result);
}

Value *emitTanh(IRBuilder<> &b, Value *x) {
  Math m(b, x->getType());
  if (!m.isFloat() && !m.isDouble())
    return nullptr;
  bool wide = m.isDouble();
  Value *magnitude = m.abs(x);
  // Beyond 20 the result rounds to one.
  Value *clamped = b.CreateSelect(b.CreateFCmpOGT(magnitude, m.c(20.0)),
                                  m.c(20.0), magnitude);
  Value *e = emitExp(b, b.CreateFMul(clamped, m.c(2.0)), /*bounded=*/true);
  Value *large =
      b.CreateFSub(m.c(1.0), b.CreateFDiv(m.c(2.0), b.CreateFAdd(e, m.c(1.0))));
  Value *z = b.CreateFMul(x, x);
  Value *small;
  double limit;
  if (wide) {
    // Moshier, Cephes, tanh: x + x z P(z) / Q(z).
    Value *p =
        m.polynomial(z, {-9.64399179425052238628e-1, -9.92877231001918586564e1,
                         -1.61468768441708447952e3});
    Value *q =
        m.polynomial(z, {1.0, 1.12811678491632931402e2,
                         2.23548839060100448583e3, 4.84406305325125486048e3});
    small = m.fma(b.CreateFMul(x, z), b.CreateFDiv(p, q), x);
    limit = 0.625;
  } else {
    // Moshier, Cephes, tanhf.
    Value *p =
        m.polynomial(z, {-5.70498872745e-3, 2.06390887954e-2, -5.37397155531e-2,
                         1.33314422036e-1, -3.33332819422e-1});
    small = m.fma(b.CreateFMul(p, z), x, x);
    limit = 0.625;
  }
  Value *isSmall = b.CreateFCmpOLT(magnitude, m.c(limit));
  return b.CreateSelect(isSmall, m.copySign(small, x), m.copySign(large, x));
}

Value *emitErf(IRBuilder<> &b, Value *x) {
  Math m(b, x->getType());
  if (!m.isFloat())
    return nullptr;
  // Two minimax polynomials: erf(x) = 1 - exp(-P(|x|)) beyond 0.9277, x Q(x^2)
  // below it. Beyond 3.92 the result rounds to one.
  Value *t = m.abs(x);
  Value *s = b.CreateFMul(x, x);
  Value *tail = b.CreateSelect(b.CreateFCmpOGT(t, m.c(4.0)), m.c(4.0), t);
  Value *tailSquare = b.CreateFMul(tail, tail);
  Value *r = m.fma(m.c(-1.72853470e-5), tail, m.c(3.83197126e-4));
  Value *u = m.fma(m.c(-3.88396438e-3), tail, m.c(2.42546219e-2));
  r = m.fma(r, tailSquare, u);
  r = m.fma(r, tail, m.c(-1.06777877e-1));
  r = m.fma(r, tail, m.c(-6.34846687e-1));
  r = m.fma(r, tail, m.c(-1.28717512e-1));
  r = m.fma(r, tail, b.CreateFNeg(tail));
  Value *large = m.copySign(b.CreateFSub(m.c(1.0), emitExp(b, r)), x);
  Value *p = m.polynomial(s, {-5.96761703e-4, 4.99119423e-3, -2.67681349e-2,
                              1.12819925e-1, -3.76125336e-1, 1.28379166e-1});
  Value *small = m.fma(p, x, x);
  return b.CreateSelect(b.CreateFCmpOGT(t, m.c(0.927734375)), large, small);
}

/// sin(x) for `quadrant` 0, cos(x) for 1. Reduces in double: exact enough for
/// any argument that a position or a phase can have.
static Value *emitSinCos(IRBuilder<> &b, Value *x, int quadrant) {
  Math narrow(b, x->getType());
  if (!narrow.isFloat() && !narrow.isDouble())
    return nullptr;
  Value *wideX = narrow.isDouble() ? x : widen(b, x);
  Math m(b, wideX->getType());
  Value *magic = m.c(0x1.8p52);
  Value *shifted = m.fma(wideX, m.c(0.63661977236758134308), magic);
  Value *q =
      b.CreateAdd(b.CreateSub(m.asInt(shifted), m.asInt(magic)), m.i(quadrant));
  Value *rounded = b.CreateFSub(shifted, magic);
  // pi / 2 in three parts.
  Value *r = m.fma(rounded, m.c(-1.57079632673412561417e+00), wideX);
  r = m.fma(rounded, m.c(-6.07710050630396597660e-11), r);
  r = m.fma(rounded, m.c(-2.02226624879595063154e-21), r);
  Value *z = b.CreateFMul(r, r);
  // Kernel polynomials of fdlibm on [-pi/4, pi/4].
  Value *sine = m.polynomial(
      z, {1.58969099521155010221e-10, -2.50507602534068634195e-08,
          2.75573137070700676789e-06, -1.98412698298579493134e-04,
          8.33333333332248946124e-03, -1.66666666666666324348e-01});
  sine = m.fma(b.CreateFMul(sine, z), r, r);
  Value *cosine = m.polynomial(
      z, {-1.13596475577881948265e-11, 2.08757232129817482790e-09,
          -2.75573143513906633035e-07, 2.48015872894767294178e-05,
          -1.38888888888741095749e-03, 4.16666666666666019037e-02});
  cosine = b.CreateFAdd(m.fma(z, m.c(-0.5), m.c(1.0)),
                        b.CreateFMul(b.CreateFMul(z, z), cosine));
  Value *odd = b.CreateICmpNE(b.CreateAnd(q, m.i(1)), m.i(0));
  Value *result = b.CreateSelect(odd, cosine, sine);
  Value *negative = b.CreateICmpNE(b.CreateAnd(q, m.i(2)), m.i(0));
  result = b.CreateSelect(negative, b.CreateFNeg(result), result);
  // Infinite arguments leave arbitrary bits in q, but NaN in r's subtraction.
  Value *finite =
      b.CreateFCmpOLT(m.abs(wideX), ConstantFP::getInfinity(m.type));
  result = b.CreateSelect(finite, result, ConstantFP::getNaN(m.type));
  return narrow.isDouble() ? result : b.CreateFPTrunc(result, x->getType());
}

Value *emitSin(IRBuilder<> &b, Value *x) { return emitSinCos(b, x, 0); }
Value *emitCos(IRBuilder<> &b, Value *x) { return emitSinCos(b, x, 1); }

Value *emitPow(IRBuilder<> &b, Value *x, Value *y) {
  Math narrow(b, x->getType());
  if (!narrow.isFloat() && !narrow.isDouble())
    return nullptr;
  // Through double, so that the logarithm's error does not grow with y.
  bool single = narrow.isFloat();
  Value *wideX = single ? widen(b, x) : x;
  Value *wideY = single ? widen(b, y) : y;
  Math m(b, wideX->getType());
  Value *magnitude = m.abs(wideX);
  Value *result = emitExp(b, b.CreateFMul(wideY, emitLog(b, magnitude)));
  // Negative bases: only integer exponents have a value; odd ones keep the
  // sign.
  Value *floorY = b.CreateUnaryIntrinsic(Intrinsic::floor, wideY);
  Value *isInteger = b.CreateFCmpOEQ(floorY, wideY);
  Value *halfY = b.CreateFMul(wideY, m.c(0.5));
  Value *isOdd = b.CreateAnd(
      isInteger,
      b.CreateFCmpONE(b.CreateUnaryIntrinsic(Intrinsic::floor, halfY), halfY));
  Value *negative = b.CreateICmpSLT(m.asInt(wideX), m.i(0));
  result = b.CreateSelect(b.CreateAnd(negative, isOdd), b.CreateFNeg(result),
                          result);
  Value *undefined =
      b.CreateAnd(b.CreateFCmpOLT(wideX, m.c(0.0)), b.CreateNot(isInteger));
  // An infinite base or exponent is not undefined.
  Value *infinity = ConstantFP::getInfinity(m.type);
  undefined = b.CreateAnd(undefined, b.CreateFCmpOLT(magnitude, infinity));
  result = b.CreateSelect(undefined, ConstantFP::getNaN(m.type), result);
  Value *isOne = b.CreateOr(b.CreateFCmpOEQ(wideX, m.c(1.0)),
                            b.CreateFCmpOEQ(wideY, m.c(0.0)));
  // (-1)^(+-infinity) is 1 as well.
  isOne =
      b.CreateOr(isOne, b.CreateAnd(b.CreateFCmpOEQ(magnitude, m.c(1.0)),
                                    b.CreateFCmpOEQ(m.abs(wideY), infinity)));
  result = b.CreateSelect(isOne, m.c(1.0), result);
  return single ? b.CreateFPTrunc(result, x->getType()) : result;
}

Value *emitPhilox(IRBuilder<> &b, Value *key, Value *seed, Value *step,
                  Value *index) {
  Type *i64 = index->getType();
  Type *i32 = key->getType();
  auto low = [&](Value *x) { return b.CreateTrunc(x, i32); };
  auto high = [&](Value *x) {
    return b.CreateTrunc(b.CreateLShr(x, ConstantInt::get(i64, 32)), i32);
  };
  auto multiply = [&](uint32_t factor, Value *x) {
    return b.CreateMul(b.CreateZExt(x, i64), ConstantInt::get(i64, factor));
  };
  Value *counter[4] = {low(index), high(index), step,
                       Constant::getNullValue(i32)};
  Value *keys[2] = {key, seed};
  for (int round = 0; round < philox::rounds; ++round) {
    Value *product0 = multiply(philox::multiplier0, counter[0]);
    Value *product1 = multiply(philox::multiplier1, counter[2]);
    Value *next[4] = {
        b.CreateXor(b.CreateXor(high(product1), counter[1]), keys[0]),
        low(product1),
        b.CreateXor(b.CreateXor(high(product0), counter[3]), keys[1]),
        low(product0)};
    std::copy(next, next + 4, counter);
    keys[0] = b.CreateAdd(keys[0], ConstantInt::get(i32, philox::weyl0));
    keys[1] = b.CreateAdd(keys[1], ConstantInt::get(i32, philox::weyl1));
  }
  return counter[0];
}

} // namespace weir::compiler::codegen
