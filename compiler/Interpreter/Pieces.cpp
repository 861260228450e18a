// SPDX-License-Identifier: Apache-2.0
// The structured pieces that ops expand to. Independent of GraphOps.cpp on
// purpose: `expand` is checked by comparing the two.
#include "compiler/Interpreter/Evaluators.h"

#include "dialects/Kernel/Kernel.h"
#include "runtime/base/Philox.h"

#include <cmath>
#include <cstring>
#include <deque>
#include <functional>
#include <limits>

using namespace mlir;

namespace weir::compiler {
namespace {

/// How many iterations of the innermost loop one instruction does at a time.
constexpr int64_t lanes = 256;

/// A piece's scalar body as a list of instructions on registers of `lanes`
/// scalars: compiled once for an op, then run for every strip of its loops.
template <typename T> class ScalarBody {
public:
  /// `loopValues[l]`: the logical index of loop l in lane 0; `loopSteps[l]`:
  /// how much it grows with the lane.
  ScalarBody(kernel::GenericOp op, ArrayRef<int64_t> loopValues,
             ArrayRef<int64_t> loopSteps)
      : op(op), loopValues(loopValues), loopSteps(loopSteps) {}

  LogicalResult compile();
  void run(int64_t count) {
    for (const std::function<void(int64_t)> &instruction : code)
      instruction(count);
  }
  T *floats(Value value) { return registerOf(floatRegisters, value); }
  int64_t *ints(Value value) { return registerOf(intRegisters, value); }

private:
  template <typename N> struct Registers {
    std::deque<std::vector<N>> storage;
    llvm::DenseMap<Value, N *> map;
  };
  template <typename N> N *registerOf(Registers<N> &registers, Value value) {
    N *&place = registers.map[value];
    if (!place)
      place = registers.storage.emplace_back(lanes, N(0)).data();
    return place;
  }
  LogicalResult compile(Operation *instruction);

  template <typename F> LogicalResult unaryFloat(Operation *o, F f) {
    T *out = floats(o->getResult(0)), *x = floats(o->getOperand(0));
    code.push_back([=](int64_t n) {
      for (int64_t l = 0; l < n; ++l)
        out[l] = f(x[l]);
    });
    return success();
  }
  template <typename F> LogicalResult binaryFloat(Operation *o, F f) {
    T *out = floats(o->getResult(0)), *x = floats(o->getOperand(0)),
      *y = floats(o->getOperand(1));
    code.push_back([=](int64_t n) {
      for (int64_t l = 0; l < n; ++l)
        out[l] = f(x[l], y[l]);
    });
    return success();
  }
  /// `f` gets sign-extended operands; its result is cut to the type's width.
  template <typename F> LogicalResult binaryInt(Operation *o, F f) {
    int64_t *out = ints(o->getResult(0)), *x = ints(o->getOperand(0)),
            *y = ints(o->getOperand(1));
    unsigned width = widthOf(o->getResult(0).getType());
    code.push_back([=](int64_t n) {
      for (int64_t l = 0; l < n; ++l)
        out[l] = cut(width, f(x[l], y[l]));
    });
    return success();
  }
  /// `f` gets zero-extended operands.
  template <typename F> LogicalResult binaryUnsigned(Operation *o, F f) {
    unsigned width = widthOf(o->getOperand(0).getType());
    return binaryInt(o, [=](int64_t x, int64_t y) {
      return static_cast<int64_t>(
          f(zeroExtended(width, x), zeroExtended(width, y)));
    });
  }
  template <typename F> LogicalResult convertInt(Operation *o, F f) {
    int64_t *out = ints(o->getResult(0)), *x = ints(o->getOperand(0));
    unsigned width = widthOf(o->getResult(0).getType());
    code.push_back([=](int64_t n) {
      for (int64_t l = 0; l < n; ++l)
        out[l] = cut(width, f(x[l]));
    });
    return success();
  }
  LogicalResult compareFloat(arith::CmpFOp o);
  LogicalResult compareInt(arith::CmpIOp o);

  static unsigned widthOf(Type type) {
    return type.isIndex() ? 64 : type.getIntOrFloatBitWidth();
  }
  /// The low `width` bits, sign-extended; one bit stays 0 or 1.
  static int64_t cut(unsigned width, int64_t value) {
    if (width >= 64)
      return value;
    uint64_t mask = (uint64_t(1) << width) - 1;
    uint64_t low = static_cast<uint64_t>(value) & mask;
    if (width > 1 && (low >> (width - 1)))
      low |= ~mask;
    return static_cast<int64_t>(low);
  }
  static uint64_t zeroExtended(unsigned width, int64_t value) {
    return width >= 64
               ? static_cast<uint64_t>(value)
               : static_cast<uint64_t>(value) & ((uint64_t(1) << width) - 1);
  }

  kernel::GenericOp op;
  ArrayRef<int64_t> loopValues, loopSteps;
  Registers<T> floatRegisters;
  Registers<int64_t> intRegisters;
  std::vector<std::function<void(int64_t)>> code;
};

template <typename T> LogicalResult ScalarBody<T>::compile() {
  for (Operation &instruction : op.getBodyBlock()->without_terminator())
    if (failed(compile(&instruction)))
      return failure();
  return success();
}

template <typename T>
LogicalResult ScalarBody<T>::compareFloat(arith::CmpFOp o) {
  int64_t *out = ints(o.getResult());
  T *x = floats(o.getLhs()), *y = floats(o.getRhs());
  arith::CmpFPredicate predicate = o.getPredicate();
  code.push_back([=](int64_t n) {
    for (int64_t l = 0; l < n; ++l) {
      bool unordered = std::isnan(x[l]) || std::isnan(y[l]);
      bool less = x[l]<y[l], equal = x[l] == y[l], greater = x[l]> y[l];
      bool result = false;
      using P = arith::CmpFPredicate;
      switch (predicate) {
      case P::AlwaysFalse:
        break;
      case P::OEQ:
        result = equal;
        break;
      case P::OGT:
        result = greater;
        break;
      case P::OGE:
        result = greater || equal;
        break;
      case P::OLT:
        result = less;
        break;
      case P::OLE:
        result = less || equal;
        break;
      case P::ONE:
        result = less || greater;
        break;
      case P::ORD:
        result = !unordered;
        break;
      case P::UEQ:
        result = equal || unordered;
        break;
      case P::UGT:
        result = greater || unordered;
        break;
      case P::UGE:
        result = greater || equal || unordered;
        break;
      case P::ULT:
        result = less || unordered;
        break;
      case P::ULE:
        result = less || equal || unordered;
        break;
      case P::UNE:
        result = !equal;
        break;
      case P::UNO:
        result = unordered;
        break;
      case P::AlwaysTrue:
        result = true;
        break;
      }
      out[l] = result;
    }
  });
  return success();
}

template <typename T> LogicalResult ScalarBody<T>::compareInt(arith::CmpIOp o) {
  int64_t *out = ints(o.getResult()), *x = ints(o.getLhs()),
          *y = ints(o.getRhs());
  unsigned width = widthOf(o.getLhs().getType());
  arith::CmpIPredicate predicate = o.getPredicate();
  code.push_back([=](int64_t n) {
    for (int64_t l = 0; l < n; ++l) {
      // One bit is 0 or -1 to signed comparisons.
      int64_t a = width == 1 ? -x[l] : x[l], b = width == 1 ? -y[l] : y[l];
      uint64_t ua = zeroExtended(width, x[l]), ub = zeroExtended(width, y[l]);
      bool result = false;
      using P = arith::CmpIPredicate;
      switch (predicate) {
      case P::eq:
        result = ua == ub;
        break;
      case P::ne:
        result = ua != ub;
        break;
      case P::slt:
        result = a < b;
        break;
      case P::sle:
        result = a <= b;
        break;
      case P::sgt:
        result = a > b;
        break;
      case P::sge:
        result = a >= b;
        break;
      case P::ult:
        result = ua < ub;
        break;
      case P::ule:
        result = ua <= ub;
        break;
      case P::ugt:
        result = ua > ub;
        break;
      case P::uge:
        result = ua >= ub;
        break;
      }
      out[l] = result;
    }
  });
  return success();
}

/// Float to integer as the hardware-independent rule of the interpreter:
/// towards zero, to the nearest end outside the range, NaN to 0.
int64_t floatToInteger(double value, double low, double high) {
  if (std::isnan(value))
    return 0;
  if (value >= high)
    return high >= 0x1p63 ? std::numeric_limits<int64_t>::max()
                          : static_cast<int64_t>(high);
  return static_cast<int64_t>(value <= low ? low : value);
}

template <typename T> LogicalResult ScalarBody<T>::compile(Operation *o) {
  auto result = [&](unsigned i = 0) { return o->getResult(i); };
  auto isMax = [](T a, T b) {
    return std::isnan(a) || std::isnan(b) ? std::numeric_limits<T>::quiet_NaN()
                                          : (a < b ? b : a);
  };
  auto isMin = [](T a, T b) {
    return std::isnan(a) || std::isnan(b) ? std::numeric_limits<T>::quiet_NaN()
                                          : (b < a ? b : a);
  };
  return llvm::TypeSwitch<Operation *, LogicalResult>(o)
      .Case([&](arith::ConstantOp c) -> LogicalResult {
        if (auto number = dyn_cast<FloatAttr>(c.getValue())) {
          T value = static_cast<T>(number.getValueAsDouble());
          std::fill_n(floats(result()), lanes, value);
          return success();
        }
        if (auto number = dyn_cast<IntegerAttr>(c.getValue())) {
          unsigned width = widthOf(result().getType());
          int64_t value =
              width == 1
                  ? static_cast<int64_t>(number.getValue().getBoolValue())
                  : number.getValue().getSExtValue();
          std::fill_n(ints(result()), lanes, value);
          return success();
        }
        return o->emitError("has no interpretation for this constant");
      })
      .Case([&](kernel::IndexOp index) {
        int64_t *out = ints(result());
        const int64_t *value = &loopValues[index.getLoop()];
        const int64_t *step = &loopSteps[index.getLoop()];
        code.push_back([=](int64_t n) {
          for (int64_t l = 0; l < n; ++l)
            out[l] = *value + l * *step;
        });
        return success();
      })
      .Case([&](kernel::RandomOp random) {
        int64_t *out = ints(result()), *seed = ints(random.getSeed()),
                *step = ints(random.getStep()),
                *index = ints(random.getIndex());
        uint32_t key = static_cast<uint32_t>(
            random.getSiteKeyAttr().getValue().getZExtValue());
        code.push_back([=](int64_t n) {
          for (int64_t l = 0; l < n; ++l)
            out[l] = static_cast<int32_t>(
                randomWord(key, static_cast<uint32_t>(seed[l]),
                           static_cast<uint32_t>(step[l]),
                           static_cast<uint64_t>(index[l])));
        });
        return success();
      })
      .Case([&](arith::AddFOp) {
        return binaryFloat(o, [](T a, T b) { return a + b; });
      })
      .Case([&](arith::SubFOp) {
        return binaryFloat(o, [](T a, T b) { return a - b; });
      })
      .Case([&](arith::MulFOp) {
        return binaryFloat(o, [](T a, T b) { return a * b; });
      })
      .Case([&](arith::DivFOp) {
        return binaryFloat(o, [](T a, T b) { return a / b; });
      })
      .Case([&](arith::RemFOp) {
        return binaryFloat(o, [](T a, T b) { return std::fmod(a, b); });
      })
      .Case(
          [&](arith::NegFOp) { return unaryFloat(o, [](T a) { return -a; }); })
      .Case([&](arith::MaximumFOp) { return binaryFloat(o, isMax); })
      .Case([&](arith::MinimumFOp) { return binaryFloat(o, isMin); })
      .Case([&](arith::MaxNumFOp) {
        return binaryFloat(o, [](T a, T b) { return std::fmax(a, b); });
      })
      .Case([&](arith::MinNumFOp) {
        return binaryFloat(o, [](T a, T b) { return std::fmin(a, b); });
      })
      .Case([&](arith::CmpFOp c) { return compareFloat(c); })
      .Case([&](arith::CmpIOp c) { return compareInt(c); })
      .Case([&](arith::SelectOp s) {
        int64_t *condition = ints(s.getCondition());
        if (isa<FloatType>(result().getType())) {
          T *out = floats(result()), *a = floats(s.getTrueValue()),
            *b = floats(s.getFalseValue());
          code.push_back([=](int64_t n) {
            for (int64_t l = 0; l < n; ++l)
              out[l] = condition[l] ? a[l] : b[l];
          });
        } else {
          int64_t *out = ints(result()), *a = ints(s.getTrueValue()),
                  *b = ints(s.getFalseValue());
          code.push_back([=](int64_t n) {
            for (int64_t l = 0; l < n; ++l)
              out[l] = condition[l] ? a[l] : b[l];
          });
        }
        return success();
      })
      .Case([&](arith::AddIOp) {
        return binaryInt(o,
                         [](uint64_t a, uint64_t b) { return int64_t(a + b); });
      })
      .Case([&](arith::SubIOp) {
        return binaryInt(o,
                         [](uint64_t a, uint64_t b) { return int64_t(a - b); });
      })
      .Case([&](arith::MulIOp) {
        return binaryInt(o,
                         [](uint64_t a, uint64_t b) { return int64_t(a * b); });
      })
      .Case([&](arith::AndIOp) {
        return binaryInt(o, [](int64_t a, int64_t b) { return a & b; });
      })
      .Case([&](arith::OrIOp) {
        return binaryInt(o, [](int64_t a, int64_t b) { return a | b; });
      })
      .Case([&](arith::XOrIOp) {
        return binaryInt(o, [](int64_t a, int64_t b) { return a ^ b; });
      })
      .Case([&](arith::MaxSIOp) {
        return binaryInt(o,
                         [](int64_t a, int64_t b) { return std::max(a, b); });
      })
      .Case([&](arith::MinSIOp) {
        return binaryInt(o,
                         [](int64_t a, int64_t b) { return std::min(a, b); });
      })
      .Case([&](arith::MaxUIOp) {
        return binaryUnsigned(
            o, [](uint64_t a, uint64_t b) { return std::max(a, b); });
      })
      .Case([&](arith::MinUIOp) {
        return binaryUnsigned(
            o, [](uint64_t a, uint64_t b) { return std::min(a, b); });
      })
      // Division by zero is undefined in the IR; 0 keeps lanes whose result a
      // select drops harmless.
      .Case([&](arith::DivSIOp) {
        return binaryInt(o, [](int64_t a, int64_t b) {
          return b == 0 ? 0 : b == -1 ? int64_t(-uint64_t(a)) : a / b;
        });
      })
      .Case([&](arith::RemSIOp) {
        return binaryInt(o, [](int64_t a, int64_t b) {
          return b == 0 || b == -1 ? 0 : a % b;
        });
      })
      .Case([&](arith::FloorDivSIOp) {
        return binaryInt(o, [](int64_t a, int64_t b) -> int64_t {
          if (b == 0)
            return 0;
          if (b == -1)
            return int64_t(-uint64_t(a));
          int64_t q = a / b;
          return q - ((a % b != 0 && (a < 0) != (b < 0)) ? 1 : 0);
        });
      })
      .Case([&](arith::DivUIOp) {
        return binaryUnsigned(o, [](uint64_t a, uint64_t b) {
          return b == 0 ? uint64_t(0) : a / b;
        });
      })
      .Case([&](arith::RemUIOp) {
        return binaryUnsigned(o, [](uint64_t a, uint64_t b) {
          return b == 0 ? uint64_t(0) : a % b;
        });
      })
      .Case([&](arith::ShLIOp) {
        return binaryUnsigned(o, [](uint64_t a, uint64_t b) {
          return b >= 64 ? uint64_t(0) : a << b;
        });
      })
      .Case([&](arith::ShRUIOp) {
        return binaryUnsigned(o, [](uint64_t a, uint64_t b) {
          return b >= 64 ? uint64_t(0) : a >> b;
        });
      })
      .Case([&](arith::ShRSIOp) {
        return binaryInt(o, [](int64_t a, int64_t b) {
          return uint64_t(b) >= 64 ? (a < 0 ? -1 : 0) : a >> b;
        });
      })
      .template Case<arith::ExtSIOp>([&](auto) {
        unsigned from = widthOf(o->getOperand(0).getType());
        return convertInt(o, [=](int64_t a) { return from == 1 ? -a : a; });
      })
      .template Case<arith::ExtUIOp, arith::IndexCastUIOp>([&](auto) {
        unsigned from = widthOf(o->getOperand(0).getType());
        return convertInt(
            o, [=](int64_t a) { return int64_t(zeroExtended(from, a)); });
      })
      .template Case<arith::TruncIOp, arith::IndexCastOp>(
          [&](auto) { return convertInt(o, [](int64_t a) { return a; }); })
      .template Case<arith::SIToFPOp, arith::UIToFPOp>([&](auto) {
        T *out = floats(result());
        int64_t *x = ints(o->getOperand(0));
        unsigned from = widthOf(o->getOperand(0).getType());
        bool isSigned = isa<arith::SIToFPOp>(o);
        code.push_back([=](int64_t n) {
          for (int64_t l = 0; l < n; ++l)
            out[l] = isSigned ? static_cast<T>(from == 1 ? -x[l] : x[l])
                              : static_cast<T>(zeroExtended(from, x[l]));
        });
        return success();
      })
      .template Case<arith::FPToSIOp, arith::FPToUIOp>([&](auto) {
        int64_t *out = ints(result());
        T *x = floats(o->getOperand(0));
        unsigned width = widthOf(result().getType());
        bool isSigned = isa<arith::FPToSIOp>(o);
        double low = isSigned ? -std::ldexp(1.0, width - 1) : 0.0;
        double high =
            isSigned ? (width == 64 ? 0x1p63 : std::ldexp(1.0, width - 1) - 1)
                     : (width >= 63 ? 0x1p63 : std::ldexp(1.0, width) - 1);
        code.push_back([=](int64_t n) {
          for (int64_t l = 0; l < n; ++l)
            out[l] = cut(width, floatToInteger(x[l], low, high));
        });
        return success();
      })
      // All float types are one here.
      .template Case<arith::ExtFOp, arith::TruncFOp>(
          [&](auto) { return unaryFloat(o, [](T a) { return a; }); })
      .Case([&](arith::BitcastOp) -> LogicalResult {
        Type from = o->getOperand(0).getType(), to = result().getType();
        if (from.isF32() && to.isInteger(32)) {
          T *x = floats(o->getOperand(0));
          int64_t *out = ints(result());
          code.push_back([=](int64_t n) {
            for (int64_t l = 0; l < n; ++l) {
              float value = static_cast<float>(x[l]);
              int32_t bits;
              std::memcpy(&bits, &value, sizeof(bits));
              out[l] = bits;
            }
          });
          return success();
        }
        if (from.isInteger(32) && to.isF32()) {
          int64_t *x = ints(o->getOperand(0));
          T *out = floats(result());
          code.push_back([=](int64_t n) {
            for (int64_t l = 0; l < n; ++l) {
              int32_t bits = static_cast<int32_t>(x[l]);
              float value;
              std::memcpy(&value, &bits, sizeof(value));
              out[l] = value;
            }
          });
          return success();
        }
        return o->emitError("has no interpretation for a bitcast from ")
               << from << " to " << to;
      })
      .Case([&](math::ExpOp) {
        return unaryFloat(o, [](T a) { return std::exp(a); });
      })
      .Case([&](math::Exp2Op) {
        return unaryFloat(o, [](T a) { return std::exp2(a); });
      })
      .Case([&](math::ExpM1Op) {
        return unaryFloat(o, [](T a) { return std::expm1(a); });
      })
      .Case([&](math::LogOp) {
        return unaryFloat(o, [](T a) { return std::log(a); });
      })
      .Case([&](math::Log2Op) {
        return unaryFloat(o, [](T a) { return std::log2(a); });
      })
      .Case([&](math::Log1pOp) {
        return unaryFloat(o, [](T a) { return std::log1p(a); });
      })
      .Case([&](math::SqrtOp) {
        return unaryFloat(o, [](T a) { return std::sqrt(a); });
      })
      .Case([&](math::RsqrtOp) {
        return unaryFloat(o, [](T a) { return T(1) / std::sqrt(a); });
      })
      .Case([&](math::TanhOp) {
        return unaryFloat(o, [](T a) { return std::tanh(a); });
      })
      .Case([&](math::ErfOp) {
        return unaryFloat(o, [](T a) { return std::erf(a); });
      })
      .Case([&](math::SinOp) {
        return unaryFloat(o, [](T a) { return std::sin(a); });
      })
      .Case([&](math::CosOp) {
        return unaryFloat(o, [](T a) { return std::cos(a); });
      })
      .Case([&](math::AbsFOp) {
        return unaryFloat(o, [](T a) { return std::fabs(a); });
      })
      .Case([&](math::FloorOp) {
        return unaryFloat(o, [](T a) { return std::floor(a); });
      })
      .Case([&](math::CeilOp) {
        return unaryFloat(o, [](T a) { return std::ceil(a); });
      })
      .Case([&](math::RoundEvenOp) {
        return unaryFloat(o, [](T a) { return std::nearbyint(a); });
      })
      .Case([&](math::PowFOp) {
        return binaryFloat(o, [](T a, T b) { return std::pow(a, b); });
      })
      .Case([&](math::CopySignOp) {
        return binaryFloat(o, [](T a, T b) { return std::copysign(a, b); });
      })
      .Case([&](math::FmaOp f) {
        T *out = floats(result()), *a = floats(f.getA()), *b = floats(f.getB()),
          *c = floats(f.getC());
        code.push_back([=](int64_t n) {
          for (int64_t l = 0; l < n; ++l)
            out[l] = std::fma(a[l], b[l], c[l]);
        });
        return success();
      })
      .Case([&](math::AbsIOp) {
        return convertInt(
            o, [](int64_t a) { return a < 0 ? int64_t(-uint64_t(a)) : a; });
      })
      .template Case<math::IsFiniteOp, math::IsNaNOp, math::IsInfOp>([&](auto) {
        int64_t *out = ints(result());
        T *x = floats(o->getOperand(0));
        bool finite = isa<math::IsFiniteOp>(o), nan = isa<math::IsNaNOp>(o);
        code.push_back([=](int64_t n) {
          for (int64_t l = 0; l < n; ++l)
            out[l] = finite ? std::isfinite(x[l])
                     : nan  ? std::isnan(x[l])
                            : std::isinf(x[l]);
        });
        return success();
      })
      .Default([](Operation *o) {
        return LogicalResult(o->emitError(
            "the interpreter does not know this scalar operation"));
      });
}

/// Evaluates a `kernel.generic` point by point, loops in their order, the last
/// one innermost.
template <typename T>
LogicalResult evaluateGeneric(kernel::GenericOp op, const OpInputs &inputs,
                              SmallVectorImpl<Tensor> &results) {
  unsigned numInputs = inputs.operands.size(),
           numOutputs = inputs.resultBoxes.size();
  auto maps =
      llvm::to_vector(op.getMaps().template getAsValueRange<AffineMapAttr>());
  unsigned numLoops = maps.empty() ? 0 : maps.front().getNumDims();
  SmallVector<int64_t> extents(numLoops, -1), offsets(numLoops, 0);

  // Where each tensor is read or written: a base and a step for each loop.
  struct Access {
    int64_t base = 0;
    SmallVector<int64_t> steps;
  };
  SmallVector<Access> accesses;
  for (unsigned i = 0; i < numInputs + numOutputs; ++i) {
    const Box &box = i < numInputs ? inputs.operandBoxes[i]
                                   : inputs.resultBoxes[i - numInputs];
    Access access;
    access.steps.assign(numLoops, 0);
    int64_t stride = 1;
    for (int64_t d = static_cast<int64_t>(box.extents.size()) - 1; d >= 0;
         --d) {
      AffineExpr expr = maps[i].getResult(d);
      if (auto loop = dyn_cast<AffineDimExpr>(expr)) {
        unsigned l = loop.getPosition();
        if (extents[l] >= 0 &&
            (extents[l] != box.extents[d] || offsets[l] != box.offsets[d]))
          return op.emitError("expects tensors that agree on loop ")
                 << l << ", got extent " << extents[l] << " from " << offsets[l]
                 << " and extent " << box.extents[d] << " from "
                 << box.offsets[d];
        extents[l] = box.extents[d];
        offsets[l] = box.offsets[d];
        access.steps[l] += stride;
      } else if (auto constant = dyn_cast<AffineConstantExpr>(expr)) {
        if (!box.axes[d].empty())
          return op.emitError("reads a constant index of a split dimension");
        if (constant.getValue() < 0 || constant.getValue() >= box.extents[d])
          return op.emitError("reads index ")
                 << constant.getValue() << " of a dimension of "
                 << box.extents[d];
        access.base += constant.getValue() * stride;
      } else {
        return op.emitError("expects maps of loops and constants, got ")
               << AffineMapAttr::get(maps[i]);
      }
      stride *= box.extents[d];
    }
    accesses.push_back(std::move(access));
  }
  if (llvm::is_contained(extents, -1))
    return op.emitError("expects every loop alone in some map");

  kernel::Combiner combiner = op.getCombiner();
  results.reserve(numOutputs);
  for (unsigned i = 0; i < numOutputs; ++i) {
    Type type =
        cast<RankedTensorType>(op->getResult(i).getType()).getElementType();
    std::optional<ElementKind> kind = elementKindOf(type);
    if (!kind)
      return op.emitError("has no interpretation for the element type ")
             << type;
    results.push_back(Tensor::zeros(*kind, inputs.resultBoxes[i].extents));
    Tensor &out = results.back();
    if (combiner == kernel::Combiner::Max ||
        combiner == kernel::Combiner::Min) {
      bool isMax = combiner == kernel::Combiner::Max;
      double infinity = std::numeric_limits<double>::infinity();
      std::fill(out.floats.begin(), out.floats.end(),
                isMax ? -infinity : infinity);
      int64_t lowest = *kind == ElementKind::I1 ? 0
                       : *kind == ElementKind::I32
                           ? std::numeric_limits<int32_t>::min()
                           : std::numeric_limits<int64_t>::min();
      int64_t highest = *kind == ElementKind::I1 ? 1 : -(lowest + 1);
      std::fill(out.ints.begin(), out.ints.end(), isMax ? lowest : highest);
    }
    if (combiner == kernel::Combiner::Prod) {
      std::fill(out.floats.begin(), out.floats.end(), 1.0);
      std::fill(out.ints.begin(), out.ints.end(), 1);
    }
  }
  if (elementsOf(extents) == 0)
    return success();

  SmallVector<int64_t> loopValues(numLoops + 1, 0), loopSteps(numLoops + 1, 0);
  if (numLoops)
    loopSteps[numLoops - 1] = 1;
  ScalarBody<T> body(op, loopValues, loopSteps);
  if (failed(body.compile()))
    return failure();
  Block *block = op.getBodyBlock();
  Operation *yield = block->getTerminator();
  SmallVector<T *> inFloats(numInputs, nullptr), outFloats(numOutputs, nullptr);
  SmallVector<int64_t *> inInts(numInputs, nullptr),
      outInts(numOutputs, nullptr);
  for (unsigned i = 0; i < numInputs; ++i) {
    if (inputs.operands[i]->isFloat())
      inFloats[i] = body.floats(block->getArgument(i));
    else
      inInts[i] = body.ints(block->getArgument(i));
  }
  for (unsigned i = 0; i < numOutputs; ++i) {
    if (results[i].isFloat())
      outFloats[i] = body.floats(yield->getOperand(i));
    else
      outInts[i] = body.ints(yield->getOperand(i));
  }

  unsigned numOuter = numLoops ? numLoops - 1 : 0;
  int64_t inner = numLoops ? extents.back() : 1;
  ArrayRef<int64_t> outerExtents =
      ArrayRef<int64_t>(extents).take_front(numOuter);
  SmallVector<int64_t> index(numOuter, 0);
  auto combineFloat = [&](T a, T b) -> T {
    switch (combiner) {
    case kernel::Combiner::None:
      return b;
    case kernel::Combiner::Sum:
      return a + b;
    case kernel::Combiner::Max:
      return a > b || std::isnan(a) ? a : b;
    case kernel::Combiner::Min:
      return a < b || std::isnan(a) ? a : b;
    case kernel::Combiner::Prod:
      return a * b;
    }
    return b;
  };
  auto combineInt = [&](ElementKind kind, int64_t a, int64_t b) -> int64_t {
    switch (combiner) {
    case kernel::Combiner::None:
      return b;
    case kernel::Combiner::Sum:
      return wrapInteger(kind, int64_t(uint64_t(a) + uint64_t(b)));
    case kernel::Combiner::Max:
      return std::max(a, b);
    case kernel::Combiner::Min:
      return std::min(a, b);
    case kernel::Combiner::Prod:
      return wrapInteger(kind, int64_t(uint64_t(a) * uint64_t(b)));
    }
    return b;
  };
  do {
    for (unsigned l = 0; l < numOuter; ++l)
      loopValues[l] = offsets[l] + index[l];
    for (int64_t start = 0; start < inner; start += lanes) {
      int64_t count = std::min(lanes, inner - start);
      if (numLoops)
        loopValues[numLoops - 1] = offsets.back() + start;
      auto place = [&](const Access &access, int64_t &step) {
        int64_t at = access.base;
        for (unsigned l = 0; l < numOuter; ++l)
          at += index[l] * access.steps[l];
        step = numLoops ? access.steps.back() : 0;
        return at + start * step;
      };
      for (unsigned i = 0; i < numInputs; ++i) {
        int64_t step, at = place(accesses[i], step);
        if (inFloats[i]) {
          const double *from = inputs.operands[i]->floats.data() + at;
          for (int64_t l = 0; l < count; ++l)
            inFloats[i][l] = static_cast<T>(from[l * step]);
        } else {
          const int64_t *from = inputs.operands[i]->ints.data() + at;
          for (int64_t l = 0; l < count; ++l)
            inInts[i][l] = from[l * step];
        }
      }
      body.run(count);
      for (unsigned i = 0; i < numOutputs; ++i) {
        int64_t step, at = place(accesses[numInputs + i], step);
        if (outFloats[i]) {
          double *to = results[i].floats.data() + at;
          for (int64_t l = 0; l < count; ++l)
            to[l * step] =
                combineFloat(static_cast<T>(to[l * step]), outFloats[i][l]);
        } else {
          int64_t *to = results[i].ints.data() + at;
          for (int64_t l = 0; l < count; ++l)
            to[l * step] =
                combineInt(results[i].kind, to[l * step], outInts[i][l]);
        }
      }
    }
  } while (nextIndex(index, outerExtents));
  return success();
}

/// Builds a result element by element: `source` maps a result index to the
/// operand's row-major position, or to -1 for zero.
template <typename F>
Tensor gatherElements(const Tensor &input, ArrayRef<int64_t> shape, F source) {
  Tensor out = Tensor::zeros(input.kind, shape);
  if (out.size() == 0)
    return out;
  SmallVector<int64_t> index(shape.size(), 0);
  int64_t at = 0;
  do {
    int64_t from = source(ArrayRef<int64_t>(index));
    if (from >= 0)
      out.set(at, input, from);
    ++at;
  } while (nextIndex(index, shape));
  return out;
}

/// Row-major position of an index.
int64_t position(ArrayRef<int64_t> shape, ArrayRef<int64_t> index) {
  int64_t at = 0;
  for (auto [size, i] : llvm::zip(shape, index))
    at = at * size + i;
  return at;
}

LogicalResult evaluateGather(kernel::GatherOp op, const OpInputs &inputs,
                             SmallVectorImpl<Tensor> &results) {
  const Tensor &table = *inputs.operands[0], &indices = *inputs.operands[1];
  ArrayRef<int64_t> shape = inputs.resultBoxes[0].extents;
  unsigned indexRank = indices.rank();
  if (shape.size() != indexRank + table.rank() - 1 ||
      shape.take_front(indexRank) != ArrayRef<int64_t>(indices.shape) ||
      shape.drop_front(indexRank) !=
          ArrayRef<int64_t>(table.shape).drop_front())
    return op.emitError("operands' extents do not make up the result's");
  int64_t firstRow = inputs.operandBoxes[0].offsets[0];
  results.push_back(gatherElements(table, shape, [&](ArrayRef<int64_t> index) {
    int64_t row =
        indices.ints[position(indices.shape, index.take_front(indexRank))] -
        firstRow;
    if (row < 0 || row >= table.shape[0])
      return int64_t(-1);
    SmallVector<int64_t> from(1, row);
    from.append(index.begin() + indexRank, index.end());
    return position(table.shape, from);
  }));
  return success();
}

template <typename T>
LogicalResult evaluateScatterAdd(kernel::ScatterAddOp op,
                                 const OpInputs &inputs,
                                 SmallVectorImpl<Tensor> &results) {
  const Tensor &indices = *inputs.operands[0], &updates = *inputs.operands[1];
  ArrayRef<int64_t> shape = inputs.resultBoxes[0].extents;
  ArrayRef<int64_t> updateShape = updates.shape;
  unsigned indexRank = indices.rank();
  if (updateShape.size() != indexRank + shape.size() - 1 ||
      updateShape.take_front(indexRank) != ArrayRef<int64_t>(indices.shape) ||
      updateShape.drop_front(indexRank) != shape.drop_front())
    return op.emitError("updates' extents do not fit indices and result");
  Tensor out = Tensor::zeros(updates.kind, shape);
  int64_t firstRow = inputs.resultBoxes[0].offsets[0];
  if (updates.size() != 0) {
    SmallVector<int64_t> index(updateShape.size(), 0);
    int64_t at = 0;
    do {
      int64_t row =
          indices.ints[position(
              indices.shape, ArrayRef<int64_t>(index).take_front(indexRank))] -
          firstRow;
      if (row >= 0 && row < shape[0]) {
        SmallVector<int64_t> to(1, row);
        to.append(index.begin() + indexRank, index.end());
        int64_t target = position(shape, to);
        if (out.isFloat())
          out.floats[target] = static_cast<T>(out.floats[target]) +
                               static_cast<T>(updates.floats[at]);
        else
          out.ints[target] =
              wrapInteger(out.kind, out.ints[target] + updates.ints[at]);
      }
      ++at;
    } while (nextIndex(index, updateShape));
  }
  results.push_back(std::move(out));
  return success();
}

LogicalResult evaluateSlice(kernel::SliceOp op, const OpInputs &inputs,
                            SmallVectorImpl<Tensor> &results) {
  const Tensor &input = *inputs.operands[0];
  const Box &from = inputs.operandBoxes[0], &to = inputs.resultBoxes[0];
  ArrayRef<int64_t> offsets = op.getOffsets();
  for (size_t d = 0; d < offsets.size(); ++d) {
    bool split = !from.axes[d].empty() || !to.axes[d].empty();
    if (split && (offsets[d] != 0 || from.axes[d] != to.axes[d] ||
                  from.logical[d] != to.logical[d]))
      return op.emitError("slices the split dimension ") << d;
    if (offsets[d] + to.extents[d] > input.shape[d])
      return op.emitError("slices past the end of dimension ") << d;
  }
  results.push_back(
      gatherElements(input, to.extents, [&](ArrayRef<int64_t> index) {
        SmallVector<int64_t> source;
        for (auto [i, offset] : llvm::zip(index, offsets))
          source.push_back(i + offset);
        return position(input.shape, source);
      }));
  return success();
}

LogicalResult evaluateConcat(kernel::ConcatOp op, const OpInputs &inputs,
                             SmallVectorImpl<Tensor> &results) {
  uint64_t dim = op.getDim();
  const Box &to = inputs.resultBoxes[0];
  Tensor out = Tensor::zeros(inputs.operands.front()->kind, to.extents);
  int64_t start = 0;
  for (auto [input, box] : llvm::zip(inputs.operands, inputs.operandBoxes)) {
    if (inputs.operands.size() > 1 && !box.axes[dim].empty())
      return op.emitError("concatenates along a split dimension");
    for (size_t d = 0; d < to.extents.size(); ++d)
      if (d == dim ? start + input->shape[d] > to.extents[d]
                   : input->shape[d] != to.extents[d])
        return op.emitError("operands' extents do not make up the result's");
    SmallVector<int64_t> index(input->rank(), 0);
    for (int64_t at = 0, e = input->size(); at < e; ++at) {
      SmallVector<int64_t> target(index);
      target[dim] += start;
      out.set(position(to.extents, target), *input, at);
      nextIndex(index, input->shape);
    }
    start += input->shape[dim];
  }
  if (start != to.extents[dim])
    return op.emitError("operands do not fill the result");
  results.push_back(std::move(out));
  return success();
}

} // namespace

bool isPiece(Operation *op) {
  return isa<kernel::GenericOp, kernel::GatherOp, kernel::ScatterAddOp,
             kernel::ReshapeOp, kernel::TransposeOp, kernel::SliceOp,
             kernel::ConcatOp, kernel::ConstantOp, kernel::TakeOp,
             kernel::PutAddOp, kernel::ScanOp, kernel::SortOp>(op);
}

LogicalResult evaluatePiece(const OpInputs &inputs,
                            SmallVectorImpl<Tensor> &results) {
  bool isF32 = inputs.precision == Precision::F32;
  return llvm::TypeSwitch<Operation *, LogicalResult>(inputs.op)
      .Case([&](kernel::GenericOp op) {
        return isF32 ? evaluateGeneric<float>(op, inputs, results)
                     : evaluateGeneric<double>(op, inputs, results);
      })
      .Case([&](kernel::GatherOp op) {
        return evaluateGather(op, inputs, results);
      })
      .Case([&](kernel::ScatterAddOp op) {
        return isF32 ? evaluateScatterAdd<float>(op, inputs, results)
                     : evaluateScatterAdd<double>(op, inputs, results);
      })
      .Case([&](kernel::ReshapeOp op) -> LogicalResult {
        Tensor out = *inputs.operands[0];
        const Box &to = inputs.resultBoxes[0];
        if (elementsOf(to.extents) != out.size())
          return op.emitError("operand has ")
                 << out.size() << " elements, result "
                 << elementsOf(to.extents);
        out.shape = to.extents;
        results.push_back(std::move(out));
        return success();
      })
      .Case([&](kernel::TransposeOp op) -> LogicalResult {
        const Tensor &input = *inputs.operands[0];
        const Box &to = inputs.resultBoxes[0];
        for (auto [d, source] : llvm::enumerate(op.getPermutation()))
          if (to.extents[d] != input.shape[source])
            return op.emitError(
                "operand's extents are not the result's, permuted");
        results.push_back(
            gatherElements(input, to.extents, [&](ArrayRef<int64_t> index) {
              SmallVector<int64_t> from(index.size());
              for (auto [d, source] : llvm::enumerate(op.getPermutation()))
                from[source] = index[d];
              return position(input.shape, from);
            }));
        return success();
      })
      .Case([&](kernel::SliceOp op) {
        return evaluateSlice(op, inputs, results);
      })
      .Case([&](kernel::ConcatOp op) {
        return evaluateConcat(op, inputs, results);
      })
      .Case([&](kernel::ConstantOp op) -> LogicalResult {
        FailureOr<Tensor> tensor = constantTensor(
            op, op.getValue(), inputs.resultBoxes[0], inputs.precision);
        if (failed(tensor))
          return failure();
        results.push_back(std::move(*tensor));
        return success();
      })
      .Default(
          [&](Operation *) { return evaluateIndexedPiece(inputs, results); });
}

} // namespace weir::compiler
