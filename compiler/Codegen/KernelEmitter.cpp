// SPDX-License-Identifier: Apache-2.0
#include "compiler/Codegen/KernelEmitter.h"

#include "compiler/Codegen/LonePieces.h"
#include "compiler/Codegen/ScalarMath.h"
#include "compiler/Kernels/KernelNest.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/Intrinsics.h"
#include "llvm/IR/Module.h"

#include <map>

using namespace mlir;
using llvm::AllocaInst;
using llvm::BasicBlock;
using llvm::CmpInst;
using llvm::ConstantFP;
using llvm::ConstantInt;
using llvm::Instruction;
using llvm::Intrinsic::ID;
namespace Intrinsic = llvm::Intrinsic;

namespace weir::compiler::codegen {

using namespace nest;

namespace {

using IrValue = llvm::Value *;
using IrType = llvm::Type *;

/// A scalar or, where it depends on the vectorised loop, a vector; and the
/// number of loops around it.
struct Val {
  IrValue value = nullptr;
  int level = 0;
};

class KernelEmitter {
public:
  KernelEmitter(KernelNest &nest, llvm::Module &module, unsigned lanes)
      : nest(nest), func(nest.func), module(module),
        context(module.getContext()), builder(context), lanes(lanes) {
    llvm::FastMathFlags flags;
    flags.setAllowContract();
    builder.setFastMathFlags(flags);
    i64 = builder.getInt64Ty();
    i32 = builder.getInt32Ty();
  }

  LogicalResult emit();

private:
  using Key = std::pair<const void *, Index>;

  /// A loop that is open, or the function itself (level 0).
  struct Level {
    int loop = -1;
    IrValue index = nullptr; // i64, first lane of a vector
    bool vector = false;
    Instruction *leave =
        nullptr; // branch into the next level, while it is open
    std::map<Key, Val> memo;
  };

  struct Phase {
    int depth = 0;
    SmallVector<int> inner;
    std::vector<Root *> roots;
  };

  // Positions and loops.
  int depth() const { return int(levels.size()) - 1; }
  void at(int level) {
    if (levels[level].leave)
      builder.SetInsertPoint(levels[level].leave);
    else
      builder.SetInsertPoint(current);
  }
  IrValue constant(int64_t value) { return ConstantInt::getSigned(i64, value); }
  IrValue tripCount(int loop);
  void forLoop(int loop, IrValue low, IrValue high, int64_t step,
               llvm::function_ref<void()> body);
  void vectorLoop(int loop, IrValue low, IrValue high, unsigned unroll,
                  llvm::function_ref<void(unsigned)> body);
  void openLoops(ArrayRef<int> loops, llvm::function_ref<void()> body);
  std::pair<IrValue, IrValue> bounds(int loop);
  void computeChunk();
  IrValue splat(IrValue value) {
    if (value->getType()->isVectorTy())
      return value;
    // Extended last, so that comparisons of extended vectors become narrow.
    if (auto *extended = dyn_cast<llvm::SExtInst>(value))
      return builder.CreateSExt(
          builder.CreateVectorSplat(lanes, extended->getOperand(0)),
          llvm::FixedVectorType::get(value->getType(), lanes));
    return builder.CreateVectorSplat(lanes, value);
  }
  IrValue laneNumbers() {
    SmallVector<llvm::Constant *> numbers;
    for (unsigned lane = 0; lane < lanes; ++lane)
      numbers.push_back(ConstantInt::get(i64, lane));
    return llvm::ConstantVector::get(numbers);
  }
  AllocaInst *stackSlot(IrType type, int64_t count = 1) {
    llvm::IRBuilder<> entry(entryBlock, entryBlock->begin());
    AllocaInst *slot = entry.CreateAlloca(type, entry.getInt64(count));
    slot->setAlignment(llvm::Align(64));
    return slot;
  }

  // Types and memory.
  IrType scalarType(Type type);
  IrType memoryType(Type type) {
    return type.isInteger(1) ? static_cast<IrType>(builder.getInt8Ty())
                             : scalarType(type);
  }
  IrValue basePointer(Value memory);
  IrValue scalar(int number) {
    if (number < 0) {
      fail("a run-time scalar is missing from its 'scalars'");
      return constant(0);
    }
    return scalars[number];
  }
  struct Address {
    IrValue pointer = nullptr; // first element, or one a lane
    int level = 0;
    int64_t stride = 0; // along the vectorised loop
    bool scattered = false;
  };
  Address address(Value memory, const Index &index);
  Val load(Value memory, const Index &index);
  void store(Value memory, const Index &index, Val value);
  IrValue loadVector(IrType type, IrValue pointer);
  void storeVector(IrValue value, IrValue pointer);
  /// An index as i64, plus `addend`. `narrow`: all its values fit i32.
  Val indexValue(const IndexExpr &expr, IrValue addend, bool narrow);
  IrValue scratchPointer(Operation *op);

  // Values.
  Val evaluate(Value value, const Index &index);
  Val remember(Value value, const Index &index, Val result) {
    levels[result.level].memo[{value.getAsOpaquePointer(), index}] = result;
    return result;
  }
  SmallVector<Val> evaluateBody(kernel::GenericOp op,
                                ArrayRef<IndexExpr> indices);
  Val evaluateOp(Operation *op, ArrayRef<Val> operands,
                 kernel::GenericOp parent, ArrayRef<IndexExpr> indices);
  IrValue convert(Operation *op, ArrayRef<IrValue> operands);
  Val evaluateGather(kernel::GatherOp gather, const Index &index);
  Index ownIndex(Value value) {
    Index index;
    for (int64_t dim = 0;
         dim < cast<RankedTensorType>(value.getType()).getRank(); ++dim) {
      IndexExpr expr;
      expr.loop = nest.loopOf(value, dim);
      index.push_back(expr);
    }
    return index;
  }

  // Reductions.
  IrValue neutral(kernel::Combiner combiner, IrType type);
  IrValue combine(kernel::Combiner combiner, IrValue a, IrValue b);
  IrValue horizontal(kernel::Combiner combiner, IrValue vector);
  SmallVector<Val> evaluateContribution(kernel::GenericOp op);

  // Kernel classes.
  std::vector<Phase> makePhases();
  void emitRows();
  std::vector<SmallVector<Val>> evaluateRoots(Phase &phase);
  void emitPhase(Phase &phase);
  void emitColumns();
  void emitScatter();

  void fail(const llvm::Twine &message) {
    if (!failed)
      func.emitError("internal error: kernel '")
          << func.getSymName() << "': " << message.str();
    failed = true;
  }

  KernelNest &nest;
  kernel::FuncOp func;
  llvm::Module &module;
  llvm::LLVMContext &context;
  llvm::IRBuilder<> builder;
  unsigned lanes;
  IrType i64, i32;
  llvm::Function *function = nullptr;
  BasicBlock *entryBlock = nullptr;
  BasicBlock *current = nullptr; // where the innermost level goes on
  std::vector<Level> levels;
  SmallVector<IrValue> buffers, scalars;
  llvm::DenseMap<Value, IrValue> constants; // in the object's data
  IrValue chunkLow = nullptr, chunkHigh = nullptr;
  IrValue mask = nullptr; // lanes that exist, in the last part of a vector loop
  std::vector<Val> dynamicIndices;
  /// Results of reductions, at the level of the outer loops; or rows of them.
  llvm::DenseMap<Value, Val> reduced;
  llvm::DenseMap<Value, IrValue> reducedRows;
  IrValue blockStart = nullptr; // columns: first of the block
  llvm::MapVector<Operation *, AllocaInst *> scratchRows;
  llvm::SmallPtrSet<Operation *, 4> scratchReady, scratchPending;
  bool scatterIsZero = false;
  bool failed = false;
};

//===----------------------------------------------------------------------===//
// Loops
//===----------------------------------------------------------------------===//

IrValue KernelEmitter::tripCount(int number) {
  const Loop &loop = nest.loops[number];
  if (!loop.dim.isSplit())
    return constant(loop.capacity());
  IrValue extent = scalar(nest.findScalar(loop.dim.dim, ScalarKind::Extent));
  if (loop.multiplier == 1)
    return extent;
  at(0);
  return builder.CreateMul(extent, constant(loop.multiplier));
}

void KernelEmitter::forLoop(int loop, IrValue low, IrValue high, int64_t step,
                            llvm::function_ref<void()> body) {
  at(depth());
  BasicBlock *before = current;
  BasicBlock *inside = BasicBlock::Create(context, "loop", function);
  BasicBlock *after = BasicBlock::Create(context, "after", function);
  levels.back().leave =
      builder.CreateCondBr(builder.CreateICmpSLT(low, high), inside, after);
  builder.SetInsertPoint(inside);
  llvm::PHINode *index = builder.CreatePHI(i64, 2);
  index->addIncoming(low, before);
  current = inside;
  levels.push_back({loop, index, false, nullptr, {}});
  body();
  levels.pop_back();
  builder.SetInsertPoint(current);
  IrValue next = builder.CreateNSWAdd(index, constant(step));
  index->addIncoming(next, current);
  builder.CreateCondBr(builder.CreateICmpSLT(next, high), inside, after);
  levels.back().leave = nullptr;
  current = after;
}

/// Full vectors, `unroll` at a time, then single ones under a mask.
void KernelEmitter::vectorLoop(int loop, IrValue low, IrValue high,
                               unsigned unroll,
                               llvm::function_ref<void(unsigned)> body) {
  int64_t step = int64_t(lanes) * unroll;
  at(depth());
  auto *constantLow = dyn_cast<ConstantInt>(low),
       *constantHigh = dyn_cast<ConstantInt>(high);
  int64_t trips = constantLow && constantHigh ? constantHigh->getSExtValue() -
                                                    constantLow->getSExtValue()
                                              : -1;
  IrValue count = builder.CreateSub(high, low);
  IrValue fullEnd =
      builder.CreateAdd(low, builder.CreateAnd(count, constant(-step)));

  if (trips < 0 || trips >= step) {
    BasicBlock *before = current;
    BasicBlock *inside = BasicBlock::Create(context, "vector", function);
    BasicBlock *after = BasicBlock::Create(context, "rest", function);
    levels.back().leave = builder.CreateCondBr(
        builder.CreateICmpSLT(low, fullEnd), inside, after);
    builder.SetInsertPoint(inside);
    llvm::PHINode *index = builder.CreatePHI(i64, 2);
    index->addIncoming(low, before);
    current = inside;
    levels.push_back({loop, index, true, nullptr, {}});
    for (unsigned part = 0; part < unroll; ++part) {
      levels.back().memo.clear();
      builder.SetInsertPoint(current);
      levels.back().index =
          part ? builder.CreateNSWAdd(index, constant(part * lanes)) : index;
      body(part);
    }
    levels.pop_back();
    builder.SetInsertPoint(current);
    IrValue next = builder.CreateNSWAdd(index, constant(step));
    index->addIncoming(next, current);
    builder.CreateCondBr(builder.CreateICmpSLT(next, fullEnd), inside, after);
    levels.back().leave = nullptr;
    current = after;
  }
  if (trips >= 0 && trips % step == 0)
    return;

  builder.SetInsertPoint(current);
  BasicBlock *before = current;
  BasicBlock *inside = BasicBlock::Create(context, "tail", function);
  BasicBlock *after = BasicBlock::Create(context, "after", function);
  levels.back().leave =
      builder.CreateCondBr(builder.CreateICmpSLT(fullEnd, high), inside, after);
  builder.SetInsertPoint(inside);
  llvm::PHINode *index = builder.CreatePHI(i64, 2);
  index->addIncoming(fullEnd, before);
  current = inside;
  levels.push_back({loop, index, true, nullptr, {}});
  // In i32 the comparison is one instruction on 16 lanes.
  IrValue left = builder.CreateTrunc(
      builder.CreateBinaryIntrinsic(
          Intrinsic::smin, builder.CreateSub(high, index), constant(lanes)),
      i32);
  SmallVector<llvm::Constant *> numbers;
  for (unsigned lane = 0; lane < lanes; ++lane)
    numbers.push_back(ConstantInt::get(i32, lane));
  mask = builder.CreateICmpSLT(llvm::ConstantVector::get(numbers), splat(left));
  body(0);
  mask = nullptr;
  levels.pop_back();
  builder.SetInsertPoint(current);
  IrValue next = builder.CreateNSWAdd(index, constant(lanes));
  index->addIncoming(next, current);
  builder.CreateCondBr(builder.CreateICmpSLT(next, high), inside, after);
  levels.back().leave = nullptr;
  current = after;
}

std::pair<IrValue, IrValue> KernelEmitter::bounds(int loop) {
  if (loop == nest.chunkLoop && chunkLow)
    return {chunkLow, chunkHigh};
  return {constant(0), tripCount(loop)};
}

void KernelEmitter::openLoops(ArrayRef<int> loops,
                              llvm::function_ref<void()> body) {
  if (loops.empty())
    return body();
  auto [low, high] = bounds(loops.front());
  forLoop(loops.front(), low, high, 1,
          [&] { openLoops(loops.drop_front(), body); });
}

/// Chunk c of n takes [extent c / n, extent (c + 1) / n); vectorised loops are
/// cut at whole cache lines.
void KernelEmitter::computeChunk() {
  int64_t chunks = func.getChunks();
  if (chunks <= 1)
    return;
  IrValue chunk = function->getArg(2);
  builder.SetInsertPoint(current);
  if (nest.chunkLoop < 0) {
    BasicBlock *work = BasicBlock::Create(context, "work", function);
    BasicBlock *idle = BasicBlock::Create(context, "idle", function);
    levels[0].leave = nullptr;
    builder.CreateCondBr(builder.CreateICmpEQ(chunk, constant(0)), work, idle);
    builder.SetInsertPoint(idle);
    builder.CreateRet(builder.getInt32(0));
    current = work;
    return;
  }
  IrValue extent = tripCount(nest.chunkLoop);
  bool aligned = nest.chunkLoop == nest.vectorLoop;
  auto cut = [&](IrValue c) {
    IrValue position =
        builder.CreateSDiv(builder.CreateMul(extent, c), constant(chunks));
    return aligned ? builder.CreateAnd(position, constant(-64)) : position;
  };
  builder.SetInsertPoint(current);
  IrValue next = builder.CreateAdd(chunk, constant(1));
  chunkLow = cut(chunk);
  chunkHigh = builder.CreateSelect(builder.CreateICmpEQ(next, constant(chunks)),
                                   extent, cut(next));
}

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

IrType KernelEmitter::scalarType(Type type) {
  if (type.isF32())
    return builder.getFloatTy();
  if (type.isF64())
    return builder.getDoubleTy();
  if (type.isF16())
    return builder.getHalfTy();
  if (type.isBF16())
    return builder.getBFloatTy();
  if (type.isIndex())
    return i64;
  return builder.getIntNTy(type.getIntOrFloatBitWidth());
}

IrValue KernelEmitter::basePointer(Value memory) {
  if (auto argument = dyn_cast<BlockArgument>(memory)) {
    unsigned number = argument.getArgNumber();
    // A tied input is its destination.
    for (auto [result, input] : llvm::enumerate(func.getTied()))
      if (input == int64_t(number))
        number = func.getNumInputs() + result;
    return buffers[number];
  }
  auto op = memory.getDefiningOp<kernel::ConstantOp>();
  IrValue &known = constants[memory];
  if (known)
    return known;
  auto elements = dyn_cast<DenseElementsAttr>(op.getValue());
  if (!elements) {
    fail("only dense constants have code");
    return llvm::PoisonValue::get(builder.getPtrTy());
  }
  Type element = elements.getElementType();
  SmallVector<llvm::Constant *> values;
  IrType type = memoryType(element);
  if (isa<FloatType>(element)) {
    for (const APFloat &value : elements.getValues<APFloat>())
      values.push_back(ConstantFP::get(context, value));
  } else {
    for (const APInt &value : elements.getValues<APInt>())
      values.push_back(ConstantInt::get(
          type, value.zextOrTrunc(type->getIntegerBitWidth())));
  }
  auto *array = llvm::ArrayType::get(type, values.size());
  auto *global = new llvm::GlobalVariable(
      module, array, /*isConstant=*/true, llvm::GlobalValue::PrivateLinkage,
      llvm::ConstantArray::get(array, values));
  global->setAlignment(llvm::Align(64));
  return known = global;
}

Val KernelEmitter::indexValue(const IndexExpr &expr, IrValue addend,
                              bool narrow) {
  if (expr.dynamic >= 0)
    return dynamicIndices[expr.dynamic];
  Val result{constant(expr.offset), 0};
  at(0);
  for (auto [number, sign] : expr.shifts)
    result.value = sign > 0 ? builder.CreateAdd(result.value, scalar(number))
                            : builder.CreateSub(result.value, scalar(number));
  if (addend)
    result.value = builder.CreateAdd(result.value, addend);
  if (expr.loop < 0 || nest.loops[expr.loop].trivial)
    return result;
  for (int level = depth(); level > 0; --level) {
    if (levels[level].loop != expr.loop)
      continue;
    at(level);
    IrValue index = builder.CreateAdd(levels[level].index, result.value);
    if (!levels[level].vector)
      return {index, level};
    if (!narrow)
      return {builder.CreateAdd(splat(index), laneNumbers()), level};
    // In i32, of which a vector holds twice as many; extended for whoever needs
    // it, which comparisons do not.
    auto *vector = llvm::FixedVectorType::get(i32, lanes);
    SmallVector<llvm::Constant *> numbers;
    for (unsigned lane = 0; lane < lanes; ++lane)
      numbers.push_back(ConstantInt::get(i32, lane));
    IrValue first =
        builder.CreateVectorSplat(lanes, builder.CreateTrunc(index, i32));
    IrValue sum = builder.CreateAdd(first, llvm::ConstantVector::get(numbers),
                                    "", /*HasNUW=*/false,
                                    /*HasNSW=*/true);
    return {builder.CreateSExt(
                sum, llvm::FixedVectorType::get(i64, vector->getNumElements())),
            level};
  }
  fail("a value is read outside its loop");
  return result;
}

KernelEmitter::Address KernelEmitter::address(Value memory,
                                              const Index &index) {
  SmallVector<int64_t> strides = nest.stridesOf(memory);
  // Terms by level, so that each part of the sum stands outside the loops that
  // it does not depend on.
  std::map<int, SmallVector<IrValue>> terms;
  Address result;
  Val lanesOffset;
  int64_t fixed = 0;
  for (auto [dim, expr] : llvm::enumerate(index)) {
    int64_t stride = strides[dim];
    if (expr.dynamic >= 0) {
      Val value = dynamicIndices[expr.dynamic];
      at(value.level);
      if (value.value->getType()->isVectorTy()) {
        lanesOffset = {builder.CreateMul(value.value, splat(constant(stride))),
                       value.level};
        result.scattered = true;
      } else {
        terms[value.level].push_back(
            builder.CreateMul(value.value, constant(stride)));
      }
      continue;
    }
    fixed += expr.offset * stride;
    for (auto [number, sign] : expr.shifts) {
      at(0);
      terms[0].push_back(
          builder.CreateMul(scalar(number), constant(sign * stride)));
    }
    if (expr.loop < 0 || nest.loops[expr.loop].trivial || stride == 0)
      continue;
    bool found = false;
    for (int level = depth(); level > 0 && !found; --level) {
      if (levels[level].loop != expr.loop)
        continue;
      found = true;
      if (levels[level].vector)
        result.stride += stride;
      at(level);
      terms[level].push_back(
          stride == 1
              ? levels[level].index
              : builder.CreateNSWMul(levels[level].index, constant(stride)));
    }
    if (!found)
      fail("memory is addressed outside its loop");
  }
  IrType type =
      memoryType(cast<RankedTensorType>(memory.getType()).getElementType());
  IrValue sum = constant(fixed);
  for (auto &[level, values] : terms) {
    at(level);
    for (IrValue value : values)
      sum = builder.CreateNSWAdd(sum, value);
    result.level = level;
  }
  if (result.scattered)
    result.level = std::max(result.level, lanesOffset.level);
  at(result.level);
  result.pointer = builder.CreateGEP(type, basePointer(memory), sum);
  if (!result.scattered && (result.stride == 0 || result.stride == 1))
    return result;
  IrValue offsets =
      result.stride
          ? builder.CreateMul(laneNumbers(), splat(constant(result.stride)))
          : splat(constant(0));
  if (lanesOffset.value)
    offsets = builder.CreateAdd(offsets, lanesOffset.value);
  result.pointer = builder.CreateGEP(type, result.pointer, offsets);
  result.scattered = true;
  return result;
}

IrValue KernelEmitter::loadVector(IrType type, IrValue pointer) {
  auto *vector = llvm::FixedVectorType::get(type, lanes);
  llvm::Align align(std::max<unsigned>(1, type->getScalarSizeInBits() / 8));
  if (!mask)
    return builder.CreateAlignedLoad(vector, pointer, align);
  return builder.CreateMaskedLoad(vector, pointer, align, mask,
                                  llvm::Constant::getNullValue(vector));
}

void KernelEmitter::storeVector(IrValue value, IrValue pointer) {
  llvm::Align align(
      std::max<unsigned>(1, value->getType()->getScalarSizeInBits() / 8));
  if (!mask)
    builder.CreateAlignedStore(value, pointer, align);
  else
    builder.CreateMaskedStore(value, pointer, align, mask);
}

Val KernelEmitter::load(Value memory, const Index &index) {
  Type element = cast<RankedTensorType>(memory.getType()).getElementType();
  IrType type = memoryType(element);
  Address place = address(memory, index);
  at(place.level);
  llvm::Align align(std::max<unsigned>(1, type->getScalarSizeInBits() / 8));
  IrValue value;
  if (place.scattered) {
    auto *vector = llvm::FixedVectorType::get(type, lanes);
    IrValue all =
        mask ? mask
             : llvm::Constant::getAllOnesValue(
                   llvm::FixedVectorType::get(builder.getInt1Ty(), lanes));
    value = builder.CreateMaskedGather(vector, place.pointer, align, all,
                                       llvm::Constant::getNullValue(vector));
  } else if (place.stride == 1) {
    value = loadVector(type, place.pointer);
  } else {
    value = builder.CreateAlignedLoad(type, place.pointer, align);
  }
  if (element.isInteger(1))
    value = builder.CreateICmpNE(
        value, llvm::Constant::getNullValue(value->getType()));
  return {value, place.level};
}

void KernelEmitter::store(Value memory, const Index &index, Val value) {
  Type element = cast<RankedTensorType>(memory.getType()).getElementType();
  IrType type = memoryType(element);
  Address place = address(memory, index);
  at(depth());
  IrValue bits = value.value;
  if (element.isInteger(1))
    bits = builder.CreateZExt(
        bits, bits->getType()->isVectorTy()
                  ? static_cast<IrType>(llvm::FixedVectorType::get(type, lanes))
                  : type);
  llvm::Align align(std::max<unsigned>(1, type->getScalarSizeInBits() / 8));
  if (place.scattered) {
    IrValue all =
        mask ? mask
             : llvm::Constant::getAllOnesValue(
                   llvm::FixedVectorType::get(builder.getInt1Ty(), lanes));
    builder.CreateMaskedScatter(splat(bits), place.pointer, align, all);
  } else if (place.stride == 1) {
    storeVector(splat(bits), place.pointer);
  } else if (bits->getType()->isVectorTy()) {
    fail("a vector is stored to one element");
  } else {
    builder.CreateAlignedStore(bits, place.pointer, align);
  }
}

//===----------------------------------------------------------------------===//
// Values
//===----------------------------------------------------------------------===//

IrValue KernelEmitter::scratchPointer(Operation *op) {
  Value value = op->getResult(0);
  SmallVector<std::pair<int, int64_t>> inner; // (loop, stride)
  int64_t size = 1;
  auto type = cast<RankedTensorType>(value.getType());
  for (int64_t dim = type.getRank() - 1; dim >= 0; --dim) {
    int loop = nest.loopOf(value, dim);
    if (nest.loops[loop].trivial || llvm::is_contained(nest.outer, loop))
      continue;
    inner.push_back({loop, size});
    size *= nest.loops[loop].capacity();
  }
  // The vectorised loop is the unit-stride one of the row.
  for (auto &[loop, stride] : inner)
    if (levels.back().loop == loop && stride != 1) {
      size = nest.loops[loop].capacity();
      stride = 1;
      for (auto &[other, otherStride] : inner)
        if (other != loop) {
          otherStride = size;
          size *= nest.loops[other].capacity();
        }
      break;
    }
  AllocaInst *&row = scratchRows[op];
  if (!row)
    row = stackSlot(memoryType(type.getElementType()), size);
  IrValue offset = constant(0);
  at(depth());
  for (auto [loop, stride] : inner)
    for (Level &level : levels)
      if (level.loop == loop)
        offset = builder.CreateAdd(
            offset, builder.CreateMul(level.index, constant(stride)));
  return builder.CreateGEP(memoryType(type.getElementType()), row, offset);
}

Val KernelEmitter::evaluate(Value value, const Index &index) {
  Key key{value.getAsOpaquePointer(), index};
  for (Level &level : levels) {
    auto it = level.memo.find(key);
    if (it != level.memo.end())
      return it->second;
  }
  if (KernelNest::isMemory(value)) {
    // A constant of one value needs no memory.
    if (auto op = value.getDefiningOp<kernel::ConstantOp>())
      if (auto elements = dyn_cast<DenseElementsAttr>(op.getValue());
          elements && elements.isSplat()) {
        IrType type = scalarType(elements.getElementType());
        if (isa<FloatType>(elements.getElementType()))
          return remember(
              value, index,
              {ConstantFP::get(context, elements.getSplatValue<APFloat>()), 0});
        return remember(
            value, index,
            {ConstantInt::get(type, elements.getSplatValue<APInt>()), 0});
      }
    return remember(value, index, load(value, index));
  }
  Operation *op = value.getDefiningOp();
  if (isa<kernel::ScatterAddOp>(op)) {
    if (!scatterIsZero)
      fail("the result of a scatter is read otherwise than by an addition");
    return {llvm::Constant::getNullValue(scalarType(
                cast<RankedTensorType>(value.getType()).getElementType())),
            0};
  }
  if (KernelNest::isReduction(op)) {
    if (IrValue row = reducedRows.lookup(value)) {
      at(depth());
      IrType type =
          scalarType(cast<RankedTensorType>(value.getType()).getElementType());
      IrValue place = builder.CreateSub(levels.back().index, blockStart);
      IrValue loaded = loadVector(type, builder.CreateGEP(type, row, place));
      return remember(value, index, {loaded, depth()});
    }
    auto it = reduced.find(value);
    if (it == reduced.end()) {
      fail("a reduction is read before it is computed");
      return {llvm::PoisonValue::get(scalarType(
                  cast<RankedTensorType>(value.getType()).getElementType())),
              0};
    }
    return it->second;
  }
  if (auto generic = dyn_cast<kernel::GenericOp>(op)) {
    bool inScratch = nest.scratch.contains(op) && levels.back().vector &&
                     index == ownIndex(value);
    IrType type =
        scalarType(cast<RankedTensorType>(value.getType()).getElementType());
    if (inScratch && scratchReady.contains(op)) {
      IrValue pointer = scratchPointer(op);
      at(depth());
      return remember(value, index, {loadVector(type, pointer), depth()});
    }
    unsigned number = cast<OpResult>(value).getResultNumber();
    SmallVector<IndexExpr> indices =
        KernelNest::loopIndices(generic, number, index);
    SmallVector<Val> results = evaluateBody(generic, indices);
    for (auto [i, result] : llvm::enumerate(results)) {
      Index at = KernelNest::mapIndex(generic.getOutputMap(i), indices);
      remember(generic.getOutputs()[i], at, result);
    }
    if (inScratch) {
      IrValue pointer = scratchPointer(op);
      at(depth());
      storeVector(splat(results[number].value), pointer);
      scratchPending.insert(op);
    }
    return results[number];
  }
  if (auto gather = dyn_cast<kernel::GatherOp>(op))
    return remember(value, index, evaluateGather(gather, index));
  if (auto partial = dyn_cast<dist::PartialOp>(op)) {
    Val held = evaluate(partial.getInput(), index);
    int number = nest.findScalar(
        getCoordinateScalar(func.getContext(), partial.getAxes(), nest.mesh));
    kernel::Combiner combiner = partial.getReduction() == dist::Reduction::Sum
                                    ? kernel::Combiner::Sum
                                : partial.getReduction() == dist::Reduction::Max
                                    ? kernel::Combiner::Max
                                    : kernel::Combiner::Min;
    at(held.level);
    IrValue first = builder.CreateICmpEQ(scalar(number), constant(0));
    return remember(
        value, index,
        {builder.CreateSelect(first, held.value,
                              neutral(combiner, held.value->getType())),
         held.level});
  }
  return evaluate(op->getOperand(0), nest.operandIndex(op, index));
}

Val KernelEmitter::evaluateGather(kernel::GatherOp gather, const Index &index) {
  unsigned rank =
      cast<RankedTensorType>(gather.getIndices().getType()).getRank();
  auto tableType = cast<RankedTensorType>(gather.getTable().getType());
  Val row =
      evaluate(gather.getIndices(), Index(index.begin(), index.begin() + rank));
  at(row.level);
  bool isVector = row.value->getType()->isVectorTy();
  auto like = [&](IrValue value) { return isVector ? splat(value) : value; };
  IrType wide =
      isVector ? static_cast<IrType>(llvm::FixedVectorType::get(i64, lanes))
               : i64;
  IrValue number = builder.CreateSExt(row.value, wide);
  LocalDim dim = getLocalDim(tableType, 0);
  IrValue extent = constant(dim.capacity);
  if (dim.isSplit()) {
    number = builder.CreateSub(
        number, like(scalar(nest.findScalar(dim.dim, ScalarKind::Offset))));
    extent = scalar(nest.findScalar(dim.dim, ScalarKind::Extent));
  }
  IrValue valid = builder.CreateICmpULT(number, like(extent));
  number =
      builder.CreateSelect(valid, number, llvm::Constant::getNullValue(wide));
  Index inTable(1);
  inTable[0].dynamic = dynamicIndices.size();
  dynamicIndices.push_back({number, row.level});
  inTable.append(index.begin() + rank, index.end());
  Val value = load(gather.getTable(), inTable);
  at(value.level);
  return {builder.CreateSelect(
              valid, value.value,
              llvm::Constant::getNullValue(value.value->getType())),
          value.level};
}

SmallVector<Val> KernelEmitter::evaluateBody(kernel::GenericOp op,
                                             ArrayRef<IndexExpr> indices) {
  llvm::DenseMap<Value, Val> values;
  Block *body = op.getBodyBlock();
  for (auto [i, argument] : llvm::enumerate(body->getArguments()))
    if (!argument.use_empty())
      values[argument] = evaluate(
          op.getInputs()[i], KernelNest::mapIndex(op.getInputMap(i), indices));
  SmallVector<Val> results;
  for (Operation &inner : *body) {
    SmallVector<Val> operands;
    for (Value operand : inner.getOperands())
      operands.push_back(values.lookup(operand));
    if (isa<kernel::YieldOp>(inner))
      return operands;
    if (inner.getNumResults() == 1)
      values[inner.getResult(0)] = evaluateOp(&inner, operands, op, indices);
    else
      fail("operation '" + inner.getName().getStringRef() + "' has no code");
  }
  return results;
}

Val KernelEmitter::evaluateOp(Operation *op, ArrayRef<Val> operands,
                              kernel::GenericOp parent,
                              ArrayRef<IndexExpr> indices) {
  if (auto loop = dyn_cast<kernel::IndexOp>(op)) {
    LocalDim dim = getLoopDim(parent, loop.getLoop());
    IrValue offset = dim.isSplit()
                         ? scalar(nest.findScalar(dim.dim, ScalarKind::Offset))
                         : nullptr;
    return indexValue(indices[loop.getLoop()], offset,
                      dim.dim.size < (int64_t(1) << 31));
  }
  int level = 0;
  bool vector = false;
  for (const Val &operand : operands) {
    if (!operand.value) {
      fail("an operand of '" + op->getName().getStringRef() + "' has no value");
      return {llvm::PoisonValue::get(scalarType(op->getResult(0).getType())),
              0};
    }
    level = std::max(level, operand.level);
    vector |= operand.value->getType()->isVectorTy();
  }
  at(level);
  SmallVector<IrValue> inputs;
  for (const Val &operand : operands)
    inputs.push_back(vector ? splat(operand.value) : operand.value);
  IrValue result = convert(op, inputs);
  if (!result) {
    fail("operation '" + op->getName().getStringRef() + "' has no code for " +
         (op->getNumOperands() && op->getOperand(0).getType().isF64()
              ? "f64"
              : "its type"));
    result = llvm::PoisonValue::get(scalarType(op->getResult(0).getType()));
  }
  return {result, level};
}

static CmpInst::Predicate convertPredicate(arith::CmpFPredicate predicate) {
  using P = arith::CmpFPredicate;
  switch (predicate) {
  case P::AlwaysFalse:
    return CmpInst::FCMP_FALSE;
  case P::OEQ:
    return CmpInst::FCMP_OEQ;
  case P::OGT:
    return CmpInst::FCMP_OGT;
  case P::OGE:
    return CmpInst::FCMP_OGE;
  case P::OLT:
    return CmpInst::FCMP_OLT;
  case P::OLE:
    return CmpInst::FCMP_OLE;
  case P::ONE:
    return CmpInst::FCMP_ONE;
  case P::ORD:
    return CmpInst::FCMP_ORD;
  case P::UEQ:
    return CmpInst::FCMP_UEQ;
  case P::UGT:
    return CmpInst::FCMP_UGT;
  case P::UGE:
    return CmpInst::FCMP_UGE;
  case P::ULT:
    return CmpInst::FCMP_ULT;
  case P::ULE:
    return CmpInst::FCMP_ULE;
  case P::UNE:
    return CmpInst::FCMP_UNE;
  case P::UNO:
    return CmpInst::FCMP_UNO;
  case P::AlwaysTrue:
    return CmpInst::FCMP_TRUE;
  }
  return CmpInst::FCMP_FALSE;
}

static CmpInst::Predicate convertPredicate(arith::CmpIPredicate predicate) {
  using P = arith::CmpIPredicate;
  switch (predicate) {
  case P::eq:
    return CmpInst::ICMP_EQ;
  case P::ne:
    return CmpInst::ICMP_NE;
  case P::slt:
    return CmpInst::ICMP_SLT;
  case P::sle:
    return CmpInst::ICMP_SLE;
  case P::sgt:
    return CmpInst::ICMP_SGT;
  case P::sge:
    return CmpInst::ICMP_SGE;
  case P::ult:
    return CmpInst::ICMP_ULT;
  case P::ule:
    return CmpInst::ICMP_ULE;
  case P::ugt:
    return CmpInst::ICMP_UGT;
  case P::uge:
    return CmpInst::ICMP_UGE;
  }
  return CmpInst::ICMP_EQ;
}

IrValue KernelEmitter::convert(Operation *op, ArrayRef<IrValue> in) {
  auto &b = builder;
  auto resultType = [&]() -> IrType {
    IrType type = scalarType(op->getResult(0).getType());
    return !in.empty() && in[0]->getType()->isVectorTy()
               ? static_cast<IrType>(llvm::FixedVectorType::get(type, lanes))
               : type;
  };
  auto unary = [&](ID id) { return b.CreateUnaryIntrinsic(id, in[0]); };
  auto binary = [&](ID id) {
    return b.CreateBinaryIntrinsic(id, in[0], in[1]);
  };
  // Lanes that do not exist hold zeros, by which integers may not be divided.
  auto divisor = [&]() -> IrValue {
    if (!mask || !in[1]->getType()->isVectorTy())
      return in[1];
    return b.CreateSelect(mask, in[1], ConstantInt::get(in[1]->getType(), 1));
  };
  return TypeSwitch<Operation *, IrValue>(op)
      .Case([&](arith::ConstantOp constantOp) -> IrValue {
        if (auto number = dyn_cast<FloatAttr>(constantOp.getValue()))
          return ConstantFP::get(context, number.getValue());
        auto number = dyn_cast<IntegerAttr>(constantOp.getValue());
        return number ? ConstantInt::get(scalarType(constantOp.getType()),
                                         number.getValue())
                      : nullptr;
      })
      .Case([&](arith::AddFOp) { return b.CreateFAdd(in[0], in[1]); })
      .Case([&](arith::SubFOp) { return b.CreateFSub(in[0], in[1]); })
      .Case([&](arith::MulFOp) { return b.CreateFMul(in[0], in[1]); })
      .Case([&](arith::DivFOp) { return b.CreateFDiv(in[0], in[1]); })
      .Case([&](arith::NegFOp) { return b.CreateFNeg(in[0]); })
      .Case([&](arith::MaximumFOp) { return binary(Intrinsic::maximum); })
      .Case([&](arith::MinimumFOp) { return binary(Intrinsic::minimum); })
      .Case([&](arith::MaxNumFOp) { return binary(Intrinsic::maxnum); })
      .Case([&](arith::MinNumFOp) { return binary(Intrinsic::minnum); })
      .Case([&](arith::CmpFOp cmp) {
        return b.CreateFCmp(convertPredicate(cmp.getPredicate()), in[0], in[1]);
      })
      .Case([&](arith::CmpIOp cmp) {
        return b.CreateICmp(convertPredicate(cmp.getPredicate()), in[0], in[1]);
      })
      .Case(
          [&](arith::SelectOp) { return b.CreateSelect(in[0], in[1], in[2]); })
      .Case([&](arith::AddIOp) { return b.CreateAdd(in[0], in[1]); })
      .Case([&](arith::SubIOp) { return b.CreateSub(in[0], in[1]); })
      .Case([&](arith::MulIOp) { return b.CreateMul(in[0], in[1]); })
      .Case([&](arith::DivSIOp) { return b.CreateSDiv(in[0], divisor()); })
      .Case([&](arith::DivUIOp) { return b.CreateUDiv(in[0], divisor()); })
      .Case([&](arith::RemSIOp) { return b.CreateSRem(in[0], divisor()); })
      .Case([&](arith::RemUIOp) { return b.CreateURem(in[0], divisor()); })
      .Case([&](arith::AndIOp) { return b.CreateAnd(in[0], in[1]); })
      .Case([&](arith::OrIOp) { return b.CreateOr(in[0], in[1]); })
      .Case([&](arith::XOrIOp) { return b.CreateXor(in[0], in[1]); })
      .Case([&](arith::ShLIOp) { return b.CreateShl(in[0], in[1]); })
      .Case([&](arith::ShRSIOp) { return b.CreateAShr(in[0], in[1]); })
      .Case([&](arith::ShRUIOp) { return b.CreateLShr(in[0], in[1]); })
      .Case([&](arith::MaxSIOp) { return binary(Intrinsic::smax); })
      .Case([&](arith::MinSIOp) { return binary(Intrinsic::smin); })
      .Case([&](arith::MaxUIOp) { return binary(Intrinsic::umax); })
      .Case([&](arith::MinUIOp) { return binary(Intrinsic::umin); })
      .Case([&](arith::ExtFOp) { return b.CreateFPExt(in[0], resultType()); })
      .Case(
          [&](arith::TruncFOp) { return b.CreateFPTrunc(in[0], resultType()); })
      .Case([&](arith::ExtSIOp) { return b.CreateSExt(in[0], resultType()); })
      .Case([&](arith::ExtUIOp) { return b.CreateZExt(in[0], resultType()); })
      .Case([&](arith::TruncIOp) { return b.CreateTrunc(in[0], resultType()); })
      .Case(
          [&](arith::SIToFPOp) { return b.CreateSIToFP(in[0], resultType()); })
      .Case(
          [&](arith::UIToFPOp) { return b.CreateUIToFP(in[0], resultType()); })
      .Case(
          [&](arith::FPToSIOp) { return b.CreateFPToSI(in[0], resultType()); })
      .Case(
          [&](arith::FPToUIOp) { return b.CreateFPToUI(in[0], resultType()); })
      .Case([&](arith::BitcastOp) {
        return b.CreateBitCast(in[0], resultType());
      })
      .Case([&](arith::IndexCastOp) {
        return b.CreateSExtOrTrunc(in[0], resultType());
      })
      .Case([&](arith::IndexCastUIOp) {
        return b.CreateZExtOrTrunc(in[0], resultType());
      })
      .Case([&](math::AbsFOp) { return unary(Intrinsic::fabs); })
      .Case([&](math::AbsIOp) {
        return binary(Intrinsic::smax)
                   ? b.CreateBinaryIntrinsic(Intrinsic::smax, in[0],
                                             b.CreateNeg(in[0]))
                   : nullptr;
      })
      .Case([&](math::SqrtOp) { return unary(Intrinsic::sqrt); })
      .Case([&](math::RsqrtOp) {
        return b.CreateFDiv(ConstantFP::get(in[0]->getType(), 1.0),
                            unary(Intrinsic::sqrt));
      })
      .Case([&](math::FloorOp) { return unary(Intrinsic::floor); })
      .Case([&](math::CeilOp) { return unary(Intrinsic::ceil); })
      .Case([&](math::TruncOp) { return unary(Intrinsic::trunc); })
      .Case([&](math::RoundEvenOp) { return unary(Intrinsic::roundeven); })
      .Case([&](math::CopySignOp) { return binary(Intrinsic::copysign); })
      .Case([&](math::FmaOp) {
        return b.CreateIntrinsic(Intrinsic::fma, {in[0]->getType()},
                                 {in[0], in[1], in[2]});
      })
      .Case([&](math::IsNaNOp) { return b.CreateFCmpUNO(in[0], in[0]); })
      .Case([&](math::IsInfOp) {
        return b.CreateFCmpOEQ(unary(Intrinsic::fabs),
                               ConstantFP::getInfinity(in[0]->getType()));
      })
      .Case([&](math::IsFiniteOp) {
        return b.CreateFCmpOLT(unary(Intrinsic::fabs),
                               ConstantFP::getInfinity(in[0]->getType()));
      })
      .Case([&](math::ExpOp) { return emitExp(b, in[0]); })
      .Case([&](math::LogOp) { return emitLog(b, in[0]); })
      .Case([&](math::TanhOp) { return emitTanh(b, in[0]); })
      .Case([&](math::ErfOp) { return emitErf(b, in[0]); })
      .Case([&](math::SinOp) { return emitSin(b, in[0]); })
      .Case([&](math::CosOp) { return emitCos(b, in[0]); })
      .Case([&](math::PowFOp) { return emitPow(b, in[0], in[1]); })
      .Case([&](kernel::RandomOp random) -> IrValue {
        IrValue key =
            random->hasAttr(ofLaunchAttrName)
                ? b.CreateTrunc(
                      scalar(nest.findScalar(getSiteKeyScalar(random))), i32)
                : ConstantInt::get(i32,
                                   static_cast<uint32_t>(random.getSiteKey()));
        if (in[0]->getType()->isVectorTy())
          key = splat(key);
        return emitPhilox(b, key, in[0], in[1], in[2]);
      })
      .Default([](Operation *) -> IrValue { return nullptr; });
}

//===----------------------------------------------------------------------===//
// Reductions
//===----------------------------------------------------------------------===//

IrValue KernelEmitter::neutral(kernel::Combiner combiner, IrType type) {
  unsigned bits = type->getScalarSizeInBits();
  bool isFloat = type->isFPOrFPVectorTy();
  switch (combiner) {
  case kernel::Combiner::Max:
    return isFloat ? static_cast<IrValue>(ConstantFP::getInfinity(type, true))
                   : ConstantInt::get(type, APInt::getSignedMinValue(bits));
  case kernel::Combiner::Min:
    return isFloat ? static_cast<IrValue>(ConstantFP::getInfinity(type, false))
                   : ConstantInt::get(type, APInt::getSignedMaxValue(bits));
  case kernel::Combiner::Prod:
    return isFloat ? static_cast<IrValue>(ConstantFP::get(type, 1.0))
                   : ConstantInt::get(type, 1);
  default:
    return llvm::Constant::getNullValue(type);
  }
}

IrValue KernelEmitter::combine(kernel::Combiner combiner, IrValue a,
                               IrValue b) {
  bool isFloat = a->getType()->isFPOrFPVectorTy();
  llvm::IRBuilder<>::FastMathFlagGuard guard(builder);
  llvm::FastMathFlags flags;
  flags.setAllowContract();
  bool isExtreme =
      combiner == kernel::Combiner::Max || combiner == kernel::Combiner::Min;
  flags.setAllowReassoc(combiner == kernel::Combiner::Sum);
  flags.setNoSignedZeros(isExtreme);
  builder.setFastMathFlags(flags);
  switch (combiner) {
  case kernel::Combiner::Max:
    return builder.CreateBinaryIntrinsic(
        isFloat ? Intrinsic::maximum : Intrinsic::smax, a, b);
  case kernel::Combiner::Min:
    return builder.CreateBinaryIntrinsic(
        isFloat ? Intrinsic::minimum : Intrinsic::smin, a, b);
  case kernel::Combiner::Prod:
    return isFloat ? builder.CreateFMul(a, b) : builder.CreateMul(a, b);
  default:
    return isFloat ? builder.CreateFAdd(a, b) : builder.CreateAdd(a, b);
  }
}

IrValue KernelEmitter::horizontal(kernel::Combiner combiner, IrValue vector) {
  for (unsigned width = lanes / 2; width >= 1; width /= 2) {
    SmallVector<int> low, high;
    for (unsigned lane = 0; lane < width; ++lane) {
      low.push_back(lane);
      high.push_back(lane + width);
    }
    vector = combine(combiner, builder.CreateShuffleVector(vector, low),
                     builder.CreateShuffleVector(vector, high));
  }
  return builder.CreateExtractElement(vector, uint64_t(0));
}

SmallVector<Val> KernelEmitter::evaluateContribution(kernel::GenericOp op) {
  SmallVector<IndexExpr> indices(op.getNumLoops());
  for (unsigned loop = 0; loop < indices.size(); ++loop)
    indices[loop].loop = nest.loopOf(op, loop);
  return evaluateBody(op, indices);
}

//===----------------------------------------------------------------------===//
// Kernel classes
//===----------------------------------------------------------------------===//

std::vector<KernelEmitter::Phase> KernelEmitter::makePhases() {
  std::vector<Phase> phases;
  for (const std::vector<unsigned> &pass : nest.makePasses()) {
    Phase phase;
    for (unsigned number : pass)
      phase.roots.push_back(&nest.roots[number]);
    phase.depth = phase.roots.front()->depth;
    for (int loop : phase.roots.front()->loops)
      if (!llvm::is_contained(nest.outer, loop))
        phase.inner.push_back(loop);
    phases.push_back(std::move(phase));
  }
  return phases;
}

/// What each root stores or contributes here. All loads come before the first
/// store, which may be in place.
std::vector<SmallVector<Val>> KernelEmitter::evaluateRoots(Phase &phase) {
  std::vector<SmallVector<Val>> values;
  for (Root *root : phase.roots) {
    if (root->kind == Root::Kind::Store)
      values.push_back({evaluate(root->value, ownIndex(root->value))});
    else
      values.push_back(evaluateContribution(cast<kernel::GenericOp>(root->op)));
  }
  return values;
}

void KernelEmitter::emitPhase(Phase &phase) {
  SmallVector<const Root *> users(phase.roots.begin(), phase.roots.end());
  int vector = phase.inner.empty() ? -1
               : nest.vectorLoop >= 0
                   ? nest.vectorLoop
                   : nest.chooseVectorLoop(users, phase.inner);
  SmallVector<int> plain = phase.inner;
  llvm::erase(plain, vector);

  // Accumulators: several where a single one would make every addition wait
  // for the one before.
  bool expensive = false;
  for (const Root *root : phase.roots)
    expensive |= root->expensive;
  bool reduces = llvm::any_of(
      phase.roots, [](Root *root) { return root->kind == Root::Kind::Reduce; });
  unsigned unroll = reduces && !expensive && vector >= 0 ? 4 : 1;
  if (unroll > 1 && nest.loops[vector].capacity() < int64_t(lanes) * 4)
    unroll = 1;
  llvm::MapVector<Value, SmallVector<AllocaInst *>> accumulators;
  for (Root *root : phase.roots) {
    if (root->kind != Root::Kind::Reduce)
      continue;
    auto generic = cast<kernel::GenericOp>(root->op);
    for (Value result : generic.getOutputs()) {
      IrType type =
          scalarType(cast<RankedTensorType>(result.getType()).getElementType());
      if (vector >= 0)
        type = llvm::FixedVectorType::get(type, lanes);
      for (unsigned part = 0; part < unroll; ++part) {
        AllocaInst *slot = stackSlot(type);
        accumulators[result].push_back(slot);
        builder.SetInsertPoint(current);
        builder.CreateStore(neutral(generic.getCombiner(), type), slot);
      }
    }
  }

  auto body = [&](unsigned part) {
    std::vector<SmallVector<Val>> values = evaluateRoots(phase);
    if (failed)
      return;
    for (auto [root, results] : llvm::zip_equal(phase.roots, values)) {
      if (root->kind == Root::Kind::Store) {
        store(func.getBody().getArgument(root->dest), root->destIndex,
              results.front());
        continue;
      }
      auto generic = cast<kernel::GenericOp>(root->op);
      for (auto [result, value] :
           llvm::zip_equal(generic.getOutputs(), results)) {
        at(depth());
        AllocaInst *slot = accumulators[result][part];
        IrType type = slot->getAllocatedType();
        IrValue added = type->isVectorTy() ? splat(value.value) : value.value;
        if (mask)
          added = builder.CreateSelect(mask, added,
                                       neutral(generic.getCombiner(), type));
        IrValue sum = combine(generic.getCombiner(),
                              builder.CreateLoad(type, slot), added);
        builder.CreateStore(sum, slot);
      }
    }
  };
  openLoops(plain, [&] {
    if (vector < 0)
      return body(0);
    auto [low, high] = bounds(vector);
    vectorLoop(vector, low, high, unroll, body);
  });

  builder.SetInsertPoint(current);
  for (auto &[result, slots] : accumulators) {
    auto combiner =
        cast<kernel::GenericOp>(result.getDefiningOp()).getCombiner();
    SmallVector<IrValue> parts;
    for (AllocaInst *slot : slots)
      parts.push_back(builder.CreateLoad(slot->getAllocatedType(), slot));
    while (parts.size() > 1) {
      for (size_t i = 0; i < parts.size() / 2; ++i)
        parts[i] = combine(combiner, parts[2 * i], parts[2 * i + 1]);
      parts.resize(parts.size() / 2);
    }
    IrValue total = parts.front()->getType()->isVectorTy()
                        ? horizontal(combiner, parts.front())
                        : parts.front();
    reduced[result] = {total, depth()};
  }
  scratchReady.insert(scratchPending.begin(), scratchPending.end());
  scratchPending.clear();
}

void KernelEmitter::emitRows() {
  std::vector<Phase> phases = makePhases();
  openLoops(nest.outer, [&] {
    for (Phase &phase : phases)
      emitPhase(phase);
  });
}

/// Reductions over rows: blocks of columns are accumulated in the first-level
/// cache while all rows go by.
void KernelEmitter::emitColumns() {
  constexpr int64_t blockSize = 1024;
  int vector = nest.vectorLoop;
  int64_t row = std::min<int64_t>(
      blockSize, llvm::alignTo(nest.loops[vector].capacity(), lanes));
  std::vector<Phase> phases = makePhases();
  openLoops(nest.outer, [&] {
    auto [low, high] = bounds(vector);
    IrValue columnsHigh = high;
    forLoop(-1, low, high, blockSize, [&] {
      blockStart = levels.back().index;
      at(depth());
      IrValue end = builder.CreateBinaryIntrinsic(
          Intrinsic::smin,
          builder.CreateNSWAdd(blockStart, constant(blockSize)), columnsHigh);
      for (Phase &phase : phases) {
        // Stores of a depth come after its reductions: their phases differ,
        // since reductions have more loops.
        SmallVector<int> plain = phase.inner;
        llvm::erase(plain, vector);
        for (Root *root : phase.roots) {
          if (root->kind != Root::Kind::Reduce)
            continue;
          auto generic = cast<kernel::GenericOp>(root->op);
          for (Value result : generic.getOutputs()) {
            IrType type = scalarType(
                cast<RankedTensorType>(result.getType()).getElementType());
            reducedRows[result] = stackSlot(type, row);
          }
        }
        auto place = [&](IrValue rowPointer, IrType type) {
          at(depth());
          return builder.CreateGEP(
              type, rowPointer,
              builder.CreateSub(levels.back().index, blockStart));
        };
        vectorLoop(vector, blockStart, end, 1, [&](unsigned) {
          for (Root *root : phase.roots) {
            if (root->kind != Root::Kind::Reduce)
              continue;
            auto generic = cast<kernel::GenericOp>(root->op);
            for (Value result : generic.getOutputs()) {
              IrType type = scalarType(
                  cast<RankedTensorType>(result.getType()).getElementType());
              storeVector(splat(neutral(generic.getCombiner(), type)),
                          place(reducedRows[result], type));
            }
          }
        });
        openLoops(plain, [&] {
          vectorLoop(vector, blockStart, end, 1, [&](unsigned) {
            std::vector<SmallVector<Val>> values = evaluateRoots(phase);
            if (failed)
              return;
            for (auto [root, results] : llvm::zip_equal(phase.roots, values)) {
              if (root->kind == Root::Kind::Store) {
                store(func.getBody().getArgument(root->dest), root->destIndex,
                      results.front());
                continue;
              }
              auto generic = cast<kernel::GenericOp>(root->op);
              for (auto [result, value] :
                   llvm::zip_equal(generic.getOutputs(), results)) {
                IrType type = scalarType(
                    cast<RankedTensorType>(result.getType()).getElementType());
                IrValue pointer = place(reducedRows[result], type);
                IrValue sum =
                    combine(generic.getCombiner(), loadVector(type, pointer),
                            splat(value.value));
                storeVector(sum, pointer);
              }
            }
          });
        });
      }
    });
  });
}

/// `dest = others; dest[index[i], f] += updates[i, f]`, in the order of i.
/// Chunks take columns, so that no two write one element.
void KernelEmitter::emitScatter() {
  Root *scatterRoot = nullptr, *storeRoot = nullptr;
  for (Root &root : nest.roots) {
    if (root.kind == Root::Kind::Scatter && !scatterRoot)
      scatterRoot = &root;
    else if (root.kind == Root::Kind::Store && !storeRoot)
      storeRoot = &root;
    else
      return fail("a scatter has no other work beside it");
  }
  if (!storeRoot)
    return fail("a scatter has no destination");
  auto scatter = cast<kernel::ScatterAddOp>(scatterRoot->op);
  Value dest = func.getBody().getArgument(storeRoot->dest);
  Value result = storeRoot->value;
  bool inPlace = false;
  if (result != scatter.getOutput()) {
    Value other = KernelNest::getScatterSummand(result, scatter);
    if (auto argument = dyn_cast<BlockArgument>(other))
      inPlace = func.getTied()[storeRoot->dest - func.getNumInputs()] ==
                int64_t(argument.getArgNumber());
  }

  SmallVector<int> features;
  for (int loop : scatterRoot->loops)
    if (llvm::is_contained(scatterRoot->kept, loop))
      features.push_back(loop);
  SmallVector<int> updates, rows;
  for (int loop : scatterRoot->loops)
    if (!llvm::is_contained(features, loop))
      updates.push_back(loop);
  for (int loop : storeRoot->loops)
    if (!llvm::is_contained(features, loop))
      rows.push_back(loop);
  int vector = nest.vectorLoop;
  llvm::erase(features, vector);
  computeChunk();

  if (!inPlace) {
    scatterIsZero = true;
    SmallVector<int> all = rows;
    llvm::append_range(all, features);
    openLoops(all, [&] {
      auto body = [&](unsigned) {
        store(dest, storeRoot->destIndex, evaluate(result, ownIndex(result)));
      };
      if (vector < 0)
        return body(0);
      auto [low, high] = bounds(vector);
      vectorLoop(vector, low, high, 1, body);
    });
    scatterIsZero = false;
  }
  unsigned rank =
      cast<RankedTensorType>(scatter.getIndices().getType()).getRank();
  // The nodes of the update loops belong to the updates' own dims.
  Index updateIndex = ownIndex(scatter.getUpdates());
  LocalDim rowDim =
      getLocalDim(cast<RankedTensorType>(scatter.getOutput().getType()), 0);
  openLoops(updates, [&] {
    Val number =
        evaluate(scatter.getIndices(),
                 Index(updateIndex.begin(), updateIndex.begin() + rank));
    at(depth());
    IrValue target = builder.CreateSExt(number.value, i64);
    IrValue extent = constant(rowDim.capacity);
    if (rowDim.isSplit()) {
      target = builder.CreateSub(
          target, scalar(nest.findScalar(rowDim.dim, ScalarKind::Offset)));
      extent = scalar(nest.findScalar(rowDim.dim, ScalarKind::Extent));
    }
    // A loop of one or no iteration: skips indices outside.
    IrValue valid =
        builder.CreateZExt(builder.CreateICmpULT(target, extent), i64);
    forLoop(-1, constant(0), valid, 1, [&] {
      Index destIndex = storeRoot->destIndex;
      destIndex[0] = IndexExpr();
      destIndex[0].dynamic = dynamicIndices.size();
      dynamicIndices.push_back({target, depth()});
      openLoops(features, [&] {
        auto body = [&](unsigned) {
          Val update = evaluate(scatter.getUpdates(), updateIndex);
          Val old = load(dest, destIndex);
          at(depth());
          IrValue a = old.value, b = update.value;
          if (a->getType()->isVectorTy() || b->getType()->isVectorTy()) {
            a = splat(a);
            b = splat(b);
          }
          IrValue sum = a->getType()->isFPOrFPVectorTy()
                            ? builder.CreateFAdd(a, b)
                            : builder.CreateAdd(a, b);
          store(dest, destIndex, {sum, depth()});
        };
        if (vector < 0)
          return body(0);
        auto [low, high] = bounds(vector);
        vectorLoop(vector, low, high, 1, body);
      });
    });
  });
}

LogicalResult KernelEmitter::emit() {
  auto *type = llvm::FunctionType::get(
      i32, {builder.getPtrTy(), builder.getPtrTy(), i64}, false);
  function = llvm::Function::Create(type, llvm::GlobalValue::ExternalLinkage,
                                    func.getSymName(), module);
  function->addFnAttr(llvm::Attribute::NoUnwind);
  entryBlock = BasicBlock::Create(context, "entry", function);
  current = BasicBlock::Create(context, "start", function);
  levels.push_back({});
  builder.SetInsertPoint(current);
  Block &body = func.getBody().front();
  for (unsigned i = 0; i < body.getNumArguments(); ++i) {
    IrValue slot =
        builder.CreateConstGEP1_64(builder.getPtrTy(), function->getArg(0), i);
    buffers.push_back(builder.CreateLoad(builder.getPtrTy(), slot));
  }
  for (unsigned i = 0; i < nest.scalars.size(); ++i) {
    IrValue slot = builder.CreateConstGEP1_64(i64, function->getArg(1), i);
    scalars.push_back(builder.CreateLoad(i64, slot));
  }
  bool scatters = llvm::any_of(
      nest.roots, [](const Root &r) { return r.kind == Root::Kind::Scatter; });
  if (!nest.roots.empty()) {
    if (!scatters)
      computeChunk();
    if (scatters)
      emitScatter();
    else if (nest.columns)
      emitColumns();
    else
      emitRows();
  }
  builder.SetInsertPoint(current);
  builder.CreateRet(builder.getInt32(0));
  builder.SetInsertPoint(entryBlock);
  builder.CreateBr(entryBlock->getNextNode());
  return success(!failed);
}

} // namespace

LogicalResult emitKernel(kernel::FuncOp func, dist::MeshAttr mesh,
                         llvm::Module &module, unsigned lanes) {
  if (Operation *piece = getLonePiece(func))
    return emitLonePiece(func, piece, mesh, module);
  KernelNest nest(func, mesh);
  if (failed(nest.analyze()))
    return failure();
  return KernelEmitter(nest, module, lanes).emit();
}

} // namespace weir::compiler::codegen
