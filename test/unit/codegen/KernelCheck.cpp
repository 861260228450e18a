// SPDX-License-Identifier: Apache-2.0
#include "test/unit/codegen/KernelCheck.h"

#include "compiler/Interpreter/Interpreter.h"
#include "compiler/Kernels/KernelScalars.h"
#include "dialects/Kernel/Kernel.h"
#include "test/unit/codegen/CompiledModule.h"

#include <cmath>
#include <cstring>
#include <gtest/gtest.h>
#include <random>

using namespace mlir;

namespace weir::compiler::test {
namespace {

int64_t bytesOf(Type type) {
  return std::max<int64_t>(1, type.getIntOrFloatBitWidth() / 8);
}

void store(Type type, std::vector<char> &memory, int64_t index, double value,
           int64_t integer) {
  char *place = memory.data() + index * bytesOf(type);
  auto put = [&](auto element) {
    std::memcpy(place, &element, sizeof(element));
  };
  if (type.isF32())
    put(static_cast<float>(value));
  else if (type.isF64())
    put(value);
  else if (type.isF16())
    put(static_cast<_Float16>(value));
  else if (type.isInteger(64))
    put(integer);
  else if (type.isInteger(32))
    put(static_cast<int32_t>(integer));
  else
    put(static_cast<int8_t>(integer));
}

double read(Type type, const std::vector<char> &memory, int64_t index) {
  const char *place = memory.data() + index * bytesOf(type);
  auto get = [&](auto element) {
    std::memcpy(&element, place, sizeof(element));
    return static_cast<double>(element);
  };
  if (type.isF32())
    return get(float());
  if (type.isF64())
    return get(double());
  if (type.isF16())
    return get(_Float16());
  if (type.isInteger(64))
    return get(int64_t());
  if (type.isInteger(32))
    return get(int32_t());
  return get(int8_t());
}

struct Argument {
  RankedTensorType type;
  Box box;
  SmallVector<int64_t> strides;
  Tensor tensor;            // compact
  std::vector<char> memory; // as the kernel sees it

  template <typename Function> void forEach(Function function) {
    if (elementsOf(box.extents) == 0)
      return;
    SmallVector<int64_t, 6> index(box.extents.size(), 0);
    int64_t compact = 0;
    do {
      int64_t place = 0;
      for (auto [i, stride] : llvm::zip(index, strides))
        place += i * stride;
      function(compact++, place);
    } while (nextIndex(index, box.extents));
  }
};

/// All coordinates of a mesh, time axis included.
std::vector<MeshPoint> allPoints(dist::MeshAttr mesh) {
  std::vector<MeshPoint> points;
  if (!mesh)
    return {MeshPoint()};
  SmallVector<int64_t, 4> sizes(mesh.getSizes().begin(), mesh.getSizes().end());
  SmallVector<int64_t, 4> at(sizes.size(), 0);
  do
    points.push_back({mesh, at});
  while (nextIndex(at, sizes));
  return points;
}

void checkKernel(kernel::FuncOp func, const CompiledModule &compiled,
                 const MeshPoint &point, bool positive, double slack) {
  std::string what = func.getSymName().str();
  for (int64_t c : point.coordinates)
    what += " " + std::to_string(c);
  SCOPED_TRACE(what);
  std::mt19937 random(7);
  std::normal_distribution<double> gauss;
  auto error = [&] { return func.emitError("in the test: "); };
  Block &body = func.getBody().front();
  std::vector<Argument> arguments;
  std::vector<Tensor> tensors;
  for (auto [number, value] : llvm::enumerate(body.getArguments())) {
    Argument argument;
    argument.type = cast<RankedTensorType>(value.getType());
    FailureOr<Box> box = boxOf(argument.type, point, error);
    ASSERT_TRUE(succeeded(box));
    argument.box = *box;
    argument.strides = llvm::to_vector(
        cast<DenseI64ArrayAttr>(func.getStrides()[number]).asArrayRef());
    Type element = argument.type.getElementType();
    int64_t size = 64;
    for (auto [extent, stride] :
         llvm::zip(argument.type.getShape(), argument.strides))
      size += (extent - 1) * stride;
    argument.memory.resize(size * bytesOf(element));
    for (int64_t i = 0; i < size; ++i)
      store(element, argument.memory, i, NAN, 0x55);
    argument.tensor =
        Tensor::zeros(*elementKindOf(element), argument.box.extents);
    bool isRate = argument.type.getRank() == 0;
    argument.forEach([&](int64_t compact, int64_t place) {
      double value = positive ? 0.2 + random() / 4294967296.0 : gauss(random);
      if (isRate && positive)
        value = 0.1 + 0.8 * random() / 4294967296.0;
      int64_t integer = element.isInteger(1) ? int64_t(random() % 2)
                                             : int64_t(random() % 14) - 1;
      value = static_cast<float>(value);
      if (argument.tensor.isFloat())
        argument.tensor.floats[compact] = value;
      else
        argument.tensor.ints[compact] = integer;
      store(element, argument.memory, place, value, integer);
    });
    tensors.push_back(argument.tensor);
    arguments.push_back(std::move(argument));
  }
  unsigned numInputs = func.getNumInputs();
  std::vector<void *> buffers;
  for (Argument &argument : arguments)
    buffers.push_back(argument.memory.data());
  for (auto [result, tied] : llvm::enumerate(func.getTied()))
    if (tied >= 0) {
      buffers[numInputs + result] = buffers[tied];
      tensors[numInputs + result] = tensors[tied];
    }

  SmallVector<Value> wanted(body.getTerminator()->getOperands());
  FailureOr<std::vector<Tensor>> expected =
      evaluateBlock(body, tensors, wanted, Precision::F64, point);
  ASSERT_TRUE(succeeded(expected));

  std::vector<int64_t> scalars;
  for (Attribute attr : func->getAttrOfType<ArrayAttr>(scalarsAttrName)) {
    ArrayRef<int64_t> values = cast<DenseI64ArrayAttr>(attr).asArrayRef();
    int64_t size = values[0], unit = values[1], shift = values[2];
    ArrayRef<int64_t> axes = values.drop_front(3).drop_back();
    // The shard of the coordinate `shift` places on, in runs of `unit`.
    int64_t places = 1, number = 0;
    for (int64_t axis : axes) {
      places *= point.mesh.getSizes()[axis];
      number = number * point.mesh.getSizes()[axis] + point.coordinates[axis];
    }
    number = (number + shift) % places;
    int64_t extent = size / unit, offset = 0;
    for (int64_t axis : axes) {
      int64_t parts = point.mesh.getSizes()[axis];
      places /= parts;
      int64_t at = number / places % parts;
      int64_t quotient = extent / parts, remainder = extent % parts;
      offset += at * quotient + std::min(at, remainder);
      extent = quotient + (at < remainder ? 1 : 0);
    }
    extent *= unit;
    offset *= unit;
    // A site key is its number here, as the interpreter takes it.
    scalars.push_back(values.back() == static_cast<int64_t>(ScalarKind::Offset)
                          ? offset
                          : extent);
  }
  std::vector<std::vector<char>> before;
  for (Argument &argument : arguments)
    before.push_back(argument.memory);
  compiled.run(func.getSymName().str(), buffers, scalars, func.getChunks());

  for (unsigned result = 0; result < wanted.size(); ++result) {
    int64_t tied = func.getTied()[result];
    Argument &dest = arguments[tied >= 0 ? tied : numInputs + result];
    Type element = dest.type.getElementType();
    const Tensor &want = (*expected)[result];
    double largest = 0;
    for (double value : want.floats)
      if (std::isfinite(value))
        largest = std::max(largest, std::abs(value));
    std::vector<bool> written(dest.memory.size() / bytesOf(element), false);
    int reported = 0;
    dest.forEach([&](int64_t compact, int64_t place) {
      written[place] = true;
      double got = read(element, dest.memory, place), value = want.at(compact);
      bool equal =
          got == value || (std::isnan(got) && std::isnan(value)) ||
          // f32 against f64: some tens of roundings of the largest; where
          // operands have both signs, differences lose digits.
          (want.isFloat() && std::abs(got - value) <= (element.isF16() ? 5e-4
                                                       : positive      ? 4e-6
                                                                       : 1e-4) *
                                                              largest +
                                                          slack) ||
          (want.isFloat() && std::abs(value) > 3e38 && std::isinf(got));
      if (!equal && reported++ < 3)
        ADD_FAILURE() << "result " << result << " at " << compact << ": got "
                      << got << ", expected " << value << " (largest "
                      << largest << ")";
    });
    for (size_t i = 0; i < written.size(); ++i)
      if (!written[i])
        ASSERT_EQ(std::memcmp(&dest.memory[i * bytesOf(element)],
                              &before[tied >= 0 ? tied : numInputs + result]
                                     [i * bytesOf(element)],
                              bytesOf(element)),
                  0)
            << "result " << result << " writes beyond its extents, element "
            << i;
  }
  for (unsigned input = 0; input < numInputs; ++input)
    if (!llvm::is_contained(func.getTied(), int64_t(input)))
      ASSERT_EQ(arguments[input].memory, before[input])
          << "writes input " << input;
}

} // namespace

void checkKernels(ModuleOp module, const std::string &cpu, double slack) {
  CompiledModule compiled(*module.getContext(), module, cpu);
  ASSERT_TRUE(compiled.ok());
  for (const MeshPoint &point : allPoints(dist::getMesh(module)))
    for (kernel::FuncOp func : module.getOps<kernel::FuncOp>())
      for (bool positive : {true, false})
        checkKernel(func, compiled, point, positive, slack);
}

} // namespace weir::compiler::test
