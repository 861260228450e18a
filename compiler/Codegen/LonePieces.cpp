// SPDX-License-Identifier: Apache-2.0
#include "compiler/Codegen/LonePieces.h"

#include "compiler/Kernels/KernelScalars.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/Module.h"

using namespace mlir;
using llvm::AllocaInst;
using llvm::BasicBlock;
using llvm::ConstantInt;

namespace weir::compiler::codegen {
namespace {

using IrValue = llvm::Value *;
using IrType = llvm::Type *;

/// A tensor in memory: where it is, its element strides, and its dims.
struct Memory {
  IrValue pointer = nullptr;
  IrType type = nullptr; // of an element
  SmallVector<int64_t> strides;
  SmallVector<LocalDim> dims;
  unsigned rank() const { return dims.size(); }
};

class LonePieceEmitter {
public:
  LonePieceEmitter(kernel::FuncOp func, dist::MeshAttr mesh,
                   llvm::Module &module)
      : func(func), module(module), context(module.getContext()),
        builder(context) {
    i64 = builder.getInt64Ty();
    scalarAttrs = func->getAttrOfType<ArrayAttr>(scalarsAttrName);
    if (!scalarAttrs)
      scalarAttrs = computeKernelScalars(func, mesh);
  }

  LogicalResult emit(Operation *piece);

private:
  IrValue constant(int64_t value) { return ConstantInt::getSigned(i64, value); }
  IrType memoryType(Type type) {
    if (type.isF32())
      return builder.getFloatTy();
    if (type.isF64())
      return builder.getDoubleTy();
    if (type.isF16())
      return builder.getHalfTy();
    if (type.isBF16())
      return builder.getBFloatTy();
    if (type.isInteger(1))
      return builder.getInt8Ty();
    return builder.getIntNTy(type.getIntOrFloatBitWidth());
  }
  AllocaInst *slot(IrType type) {
    llvm::IRBuilder<> entry(entryBlock, entryBlock->begin());
    return entry.CreateAlloca(type);
  }
  IrValue scalarOf(const LocalDim &dim, ScalarKind kind);
  IrValue extentOf(const LocalDim &dim) {
    return dim.isSplit() ? scalarOf(dim, ScalarKind::Extent)
                         : constant(dim.capacity);
  }
  IrValue offsetOf(const LocalDim &dim) {
    return dim.isSplit() ? scalarOf(dim, ScalarKind::Offset) : constant(0);
  }

  /// `for (i = low; i < high; ++i)`.
  void loop(IrValue low, IrValue high, llvm::function_ref<void(IrValue)> body);
  void ifThen(IrValue condition, llvm::function_ref<void()> body);
  /// Loops over dims of a tensor; `indices` are theirs, as they are known.
  void loops(const Memory &memory, ArrayRef<unsigned> dims,
             SmallVectorImpl<IrValue> &indices,
             llvm::function_ref<void()> body);
  IrValue address(const Memory &memory, ArrayRef<IrValue> indices) {
    IrValue sum = constant(0);
    for (auto [stride, index] : llvm::zip_equal(memory.strides, indices))
      sum = builder.CreateNSWAdd(sum,
                                 builder.CreateNSWMul(index, constant(stride)));
    return builder.CreateGEP(memory.type, memory.pointer, sum);
  }
  IrValue load(const Memory &memory, ArrayRef<IrValue> indices) {
    return builder.CreateLoad(memory.type, address(memory, indices));
  }
  void store(const Memory &memory, ArrayRef<IrValue> indices, IrValue value) {
    builder.CreateStore(value, address(memory, indices));
  }
  IrValue add(IrValue a, IrValue b) {
    return a->getType()->isFloatingPointTy() ? builder.CreateFAdd(a, b)
                                             : builder.CreateAdd(a, b);
  }
  IrValue multiply(IrValue a, IrValue b) {
    return a->getType()->isFloatingPointTy() ? builder.CreateFMul(a, b)
                                             : builder.CreateMul(a, b);
  }

  /// Chunk c of n takes the part [extent c / n, extent (c + 1) / n) of a dim
  /// of `memory` out of `candidates`: the first that is long enough, else the
  /// longest. Without any the first chunk does all.
  void divide(const Memory &memory, ArrayRef<unsigned> candidates);
  bool isDivided(const Memory &memory, unsigned dim) const {
    return dividedMemory == &memory && dividedDim == int(dim);
  }

  void emitTake(kernel::TakeOp op);
  void emitPutAdd(kernel::PutAddOp op);
  void emitScan(kernel::ScanOp op);
  void emitSort(kernel::SortOp op);
  llvm::Function *makeSift(const Memory &input, const Memory &indices,
                           int64_t dim, bool descending);

  kernel::FuncOp func;
  llvm::Module &module;
  llvm::LLVMContext &context;
  llvm::IRBuilder<> builder;
  IrType i64;
  ArrayAttr scalarAttrs;
  llvm::Function *function = nullptr;
  BasicBlock *entryBlock = nullptr;
  SmallVector<Memory> memories; // by argument
  SmallVector<IrValue> scalars;
  const Memory *dividedMemory = nullptr;
  int dividedDim = -1;
  IrValue low = nullptr, high = nullptr;
  bool failed = false;
};

IrValue LonePieceEmitter::scalarOf(const LocalDim &dim, ScalarKind kind) {
  Attribute wanted = getScalar(func.getContext(), dim.dim, kind);
  for (auto [number, scalar] : llvm::enumerate(scalarAttrs))
    if (scalar == wanted)
      return scalars[number];
  if (!failed)
    func.emitError("internal error: kernel '")
        << func.getSymName()
        << "': a run-time scalar is missing from its 'scalars'";
  failed = true;
  return constant(0);
}

void LonePieceEmitter::loop(IrValue low, IrValue high,
                            llvm::function_ref<void(IrValue)> body) {
  BasicBlock *before = builder.GetInsertBlock();
  BasicBlock *inside = BasicBlock::Create(context, "loop", function);
  BasicBlock *after = BasicBlock::Create(context, "after", function);
  builder.CreateCondBr(builder.CreateICmpSLT(low, high), inside, after);
  builder.SetInsertPoint(inside);
  llvm::PHINode *index = builder.CreatePHI(i64, 2);
  index->addIncoming(low, before);
  body(index);
  IrValue next = builder.CreateNSWAdd(index, constant(1));
  index->addIncoming(next, builder.GetInsertBlock());
  builder.CreateCondBr(builder.CreateICmpSLT(next, high), inside, after);
  builder.SetInsertPoint(after);
}

void LonePieceEmitter::ifThen(IrValue condition,
                              llvm::function_ref<void()> body) {
  BasicBlock *inside = BasicBlock::Create(context, "then", function);
  BasicBlock *after = BasicBlock::Create(context, "endif", function);
  builder.CreateCondBr(condition, inside, after);
  builder.SetInsertPoint(inside);
  body();
  builder.CreateBr(after);
  builder.SetInsertPoint(after);
}

void LonePieceEmitter::loops(const Memory &memory, ArrayRef<unsigned> dims,
                             SmallVectorImpl<IrValue> &indices,
                             llvm::function_ref<void()> body) {
  if (dims.empty())
    return body();
  unsigned dim = dims.front();
  bool divided = isDivided(memory, dim);
  loop(divided ? low : constant(0), divided ? high : extentOf(memory.dims[dim]),
       [&](IrValue index) {
         indices[dim] = index;
         loops(memory, dims.drop_front(), indices, body);
       });
}

void LonePieceEmitter::divide(const Memory &memory,
                              ArrayRef<unsigned> candidates) {
  int64_t chunks = func.getChunks();
  if (chunks <= 1)
    return;
  IrValue chunk = function->getArg(2);
  int best = -1;
  for (unsigned dim : candidates) {
    int64_t size = memory.dims[dim].capacity;
    if (size >= 4 * chunks) {
      best = dim;
      break;
    }
    if (best < 0 || size > memory.dims[best].capacity)
      best = dim;
  }
  if (best < 0) {
    BasicBlock *work = BasicBlock::Create(context, "work", function);
    BasicBlock *idle = BasicBlock::Create(context, "idle", function);
    builder.CreateCondBr(builder.CreateICmpEQ(chunk, constant(0)), work, idle);
    builder.SetInsertPoint(idle);
    builder.CreateRet(builder.getInt32(0));
    builder.SetInsertPoint(work);
    return;
  }
  dividedMemory = &memory;
  dividedDim = best;
  IrValue extent = extentOf(memory.dims[best]);
  auto cut = [&](IrValue c) {
    return builder.CreateSDiv(builder.CreateMul(extent, c), constant(chunks));
  };
  low = cut(chunk);
  high = cut(builder.CreateAdd(chunk, constant(1)));
}

/// The numbers from `first` to before `last`.
SmallVector<unsigned> numbers(unsigned first, unsigned last) {
  return llvm::to_vector(llvm::seq<unsigned>(first, last));
}

SmallVector<unsigned> allBut(unsigned rank, unsigned dim) {
  SmallVector<unsigned> dims = numbers(0, rank);
  llvm::erase(dims, dim);
  return dims;
}

void LonePieceEmitter::emitTake(kernel::TakeOp op) {
  const Memory &input = memories[0], &indices = memories[1],
               &output = memories[2];
  unsigned dim = op.getDim(), count = op.getAlong() ? 1 : indices.rank();
  const LocalDim &indexed = input.dims[dim];
  divide(output, numbers(0, output.rank()));
  IrValue extent = extentOf(indexed), offset = offsetOf(indexed);
  SmallVector<IrValue> at(output.rank(), nullptr);
  auto emitInner = [&](llvm::function_ref<IrValue()> number,
                       ArrayRef<unsigned> outer, ArrayRef<unsigned> inner) {
    loops(output, outer, at, [&] {
      IrValue place = builder.CreateSub(number(), offset);
      IrValue valid = builder.CreateICmpULT(place, extent);
      // Reads the first element where there is none: then it is not used.
      IrValue safe = builder.CreateSelect(valid, place, constant(0));
      loops(output, inner, at, [&] {
        IrValue zero = llvm::Constant::getNullValue(output.type);
        IrValue value = zero;
        if (indexed.capacity > 0) {
          SmallVector<IrValue> from(at.begin(), at.begin() + dim);
          from.push_back(safe);
          from.append(at.begin() + dim + count, at.end());
          value = builder.CreateSelect(valid, load(input, from), zero);
        }
        store(output, at, value);
      });
    });
  };
  if (op.getAlong())
    return emitInner([&] { return builder.CreateSExt(load(indices, at), i64); },
                     numbers(0, output.rank()), {});
  emitInner(
      [&] {
        return builder.CreateSExt(
            load(indices, ArrayRef<IrValue>(at).slice(dim, count)), i64);
      },
      numbers(0, dim + count), numbers(dim + count, output.rank()));
}

void LonePieceEmitter::emitPutAdd(kernel::PutAddOp op) {
  const Memory &indices = memories[0], &updates = memories[1],
               &output = memories[2];
  unsigned dim = op.getDim(), count = op.getAlong() ? 1 : indices.rank();
  // Chunks share no element of the result: they take parts of other dims.
  SmallVector<unsigned> free = allBut(output.rank(), dim);
  divide(output, free);
  SmallVector<IrValue> to(output.rank(), nullptr);
  loops(output, numbers(0, output.rank()), to,
        [&] { store(output, to, llvm::Constant::getNullValue(output.type)); });
  if (dividedMemory) {
    // The same dim of the updates.
    dividedMemory = &updates;
    if (dividedDim > int(dim))
      dividedDim += int(count) - 1;
  }
  const LocalDim &indexed = output.dims[dim];
  IrValue extent = extentOf(indexed), offset = offsetOf(indexed);
  SmallVector<IrValue> at(updates.rank(), nullptr);
  unsigned outer = op.getAlong() ? updates.rank() : dim + count;
  loops(updates, numbers(0, outer), at, [&] {
    IrValue number =
        load(indices, op.getAlong() ? ArrayRef<IrValue>(at)
                                    : ArrayRef<IrValue>(at).slice(dim, count));
    IrValue place = builder.CreateSub(builder.CreateSExt(number, i64), offset);
    ifThen(builder.CreateICmpULT(place, extent), [&] {
      loops(updates, numbers(outer, updates.rank()), at, [&] {
        SmallVector<IrValue> into(at.begin(), at.begin() + dim);
        into.push_back(place);
        into.append(at.begin() + dim + count, at.end());
        IrValue pointer = address(output, into);
        IrValue old = builder.CreateLoad(output.type, pointer);
        builder.CreateStore(add(old, load(updates, at)), pointer);
      });
    });
  });
}

void LonePieceEmitter::emitScan(kernel::ScanOp op) {
  const Memory &input = memories[0], &output = memories[1];
  unsigned dim = op.getDim();
  bool product = op.getCombiner() == kernel::Combiner::Prod;
  SmallVector<unsigned> lines = allBut(output.rank(), dim);
  divide(output, lines);
  AllocaInst *total = slot(output.type);
  SmallVector<IrValue> at(output.rank(), nullptr);
  IrValue extent = extentOf(output.dims[dim]);
  loops(output, lines, at, [&] {
    IrValue neutral =
        !product
            ? static_cast<IrValue>(llvm::Constant::getNullValue(output.type))
        : output.type->isFloatingPointTy()
            ? static_cast<IrValue>(llvm::ConstantFP::get(output.type, 1.0))
            : ConstantInt::get(output.type, 1);
    builder.CreateStore(neutral, total);
    loop(constant(0), extent, [&](IrValue step) {
      at[dim] = step;
      if (op.getReverse())
        at[dim] =
            builder.CreateSub(builder.CreateSub(extent, constant(1)), step);
      IrValue before = builder.CreateLoad(output.type, total);
      IrValue element = load(input, at);
      IrValue next = product ? multiply(before, element) : add(before, element);
      builder.CreateStore(next, total);
      store(output, at, op.getExclusive() ? before : next);
    });
  });
}

/// `void sift(input, indices, root, end)`: makes a heap of the places
/// `indices[root, end)`, of which those behind `root` are one; the last in
/// order is on top.
llvm::Function *LonePieceEmitter::makeSift(const Memory &input,
                                           const Memory &indices, int64_t dim,
                                           bool descending) {
  llvm::Function *outside = function;
  BasicBlock *returnTo = builder.GetInsertBlock();
  auto *type = llvm::FunctionType::get(
      builder.getVoidTy(), {builder.getPtrTy(), builder.getPtrTy(), i64, i64},
      false);
  function = llvm::Function::Create(
      type, llvm::GlobalValue::InternalLinkage,
      llvm::Twine(llvm::StringRef(func.getSymName())) + "_sift", module);
  function->addFnAttr(llvm::Attribute::NoUnwind);
  IrValue values = function->getArg(0), places = function->getArg(1),
          end = function->getArg(3);
  BasicBlock *entry = BasicBlock::Create(context, "entry", function);
  BasicBlock *head = BasicBlock::Create(context, "head", function);
  BasicBlock *choose = BasicBlock::Create(context, "choose", function);
  BasicBlock *second = BasicBlock::Create(context, "second", function);
  BasicBlock *compare = BasicBlock::Create(context, "compare", function);
  BasicBlock *swap = BasicBlock::Create(context, "swap", function);
  BasicBlock *done = BasicBlock::Create(context, "done", function);
  auto placeAt = [&](IrValue i) {
    return builder.CreateGEP(
        indices.type, places,
        builder.CreateMul(i, constant(indices.strides[dim])));
  };
  auto loadPlace = [&](IrValue i) {
    return builder.CreateLoad(indices.type, placeAt(i));
  };
  /// Whether the element at place `a` comes before that at `b`.
  auto precedes = [&](IrValue a, IrValue b) -> IrValue {
    auto element = [&](IrValue place) {
      return builder.CreateLoad(
          input.type,
          builder.CreateGEP(input.type, values,
                            builder.CreateMul(builder.CreateSExt(place, i64),
                                              constant(input.strides[dim]))));
    };
    IrValue x = element(a), y = element(b);
    auto less = [&](IrValue l, IrValue r) -> IrValue {
      if (!input.type->isFloatingPointTy())
        return builder.CreateICmpSLT(l, r);
      // NaN is larger than every number.
      IrValue onlyRight = builder.CreateAnd(builder.CreateFCmpORD(l, l),
                                            builder.CreateFCmpUNO(r, r));
      return builder.CreateOr(builder.CreateFCmpOLT(l, r), onlyRight);
    };
    IrValue first = descending ? less(y, x) : less(x, y);
    IrValue last = descending ? less(x, y) : less(y, x);
    IrValue earlier = builder.CreateICmpSLT(a, b);
    return builder.CreateOr(
        first, builder.CreateAnd(builder.CreateNot(last), earlier));
  };

  builder.SetInsertPoint(entry);
  builder.CreateBr(head);
  builder.SetInsertPoint(head);
  llvm::PHINode *root = builder.CreatePHI(i64, 2);
  root->addIncoming(function->getArg(2), entry);
  IrValue left =
      builder.CreateAdd(builder.CreateMul(root, constant(2)), constant(1));
  builder.CreateCondBr(builder.CreateICmpSLT(left, end), choose, done);
  builder.SetInsertPoint(choose);
  IrValue right = builder.CreateAdd(left, constant(1));
  builder.CreateCondBr(builder.CreateICmpSLT(right, end), second, compare);
  builder.SetInsertPoint(second);
  IrValue later = builder.CreateSelect(
      precedes(loadPlace(left), loadPlace(right)), right, left);
  builder.CreateBr(compare);
  builder.SetInsertPoint(compare);
  llvm::PHINode *child = builder.CreatePHI(i64, 2);
  child->addIncoming(left, choose);
  child->addIncoming(later, second);
  IrValue rootPlace = loadPlace(root), childPlace = loadPlace(child);
  builder.CreateCondBr(precedes(rootPlace, childPlace), swap, done);
  builder.SetInsertPoint(swap);
  builder.CreateStore(childPlace, placeAt(root));
  builder.CreateStore(rootPlace, placeAt(child));
  root->addIncoming(child, swap);
  builder.CreateBr(head);
  builder.SetInsertPoint(done);
  builder.CreateRetVoid();

  llvm::Function *sift = function;
  function = outside;
  builder.SetInsertPoint(returnTo);
  return sift;
}

/// Heap sort of the places, which needs no memory besides the result's: the
/// order is total, since ties are broken by place, so that it is stable.
void LonePieceEmitter::emitSort(kernel::SortOp op) {
  const Memory &input = memories[0], &values = memories[1],
               &indices = memories[2];
  unsigned dim = op.getDim();
  SmallVector<unsigned> lines = allBut(input.rank(), dim);
  divide(values, lines);
  llvm::Function *sift = makeSift(input, indices, dim, op.getDescending());
  int64_t size = values.dims[dim].capacity;
  SmallVector<IrValue> at(input.rank(), nullptr);
  loops(values, lines, at, [&] {
    at[dim] = constant(0);
    IrValue from = address(input, at), places = address(indices, at);
    auto placeAt = [&](IrValue i) {
      return builder.CreateGEP(
          indices.type, places,
          builder.CreateMul(i, constant(indices.strides[dim])));
    };
    loop(constant(0), constant(size), [&](IrValue i) {
      builder.CreateStore(builder.CreateTrunc(i, indices.type), placeAt(i));
    });
    loop(constant(0), constant(size / 2), [&](IrValue step) {
      IrValue root = builder.CreateSub(constant(size / 2 - 1), step);
      builder.CreateCall(sift, {from, places, root, constant(size)});
    });
    loop(constant(1), constant(size), [&](IrValue step) {
      IrValue last = builder.CreateSub(constant(size), step);
      IrValue a = builder.CreateLoad(indices.type, places);
      IrValue b = builder.CreateLoad(indices.type, placeAt(last));
      builder.CreateStore(b, places);
      builder.CreateStore(a, placeAt(last));
      builder.CreateCall(sift, {from, places, constant(0), last});
    });
    loop(constant(0), constant(size), [&](IrValue i) {
      IrValue place = builder.CreateLoad(indices.type, placeAt(i));
      at[dim] = builder.CreateSExt(place, i64);
      IrValue value = load(input, at);
      at[dim] = i;
      store(values, at, value);
    });
  });
}

LogicalResult LonePieceEmitter::emit(Operation *piece) {
  auto *type = llvm::FunctionType::get(
      builder.getInt32Ty(), {builder.getPtrTy(), builder.getPtrTy(), i64},
      false);
  function = llvm::Function::Create(type, llvm::GlobalValue::ExternalLinkage,
                                    func.getSymName(), module);
  function->addFnAttr(llvm::Attribute::NoUnwind);
  entryBlock = BasicBlock::Create(context, "entry", function);
  BasicBlock *start = BasicBlock::Create(context, "start", function);
  builder.SetInsertPoint(start);
  // Buffers by argument; then in the order of the piece's operands and results.
  Block &body = func.getBody().front();
  auto memoryOf = [&](unsigned argument) {
    auto tensor = cast<RankedTensorType>(body.getArgument(argument).getType());
    Memory memory;
    memory.type = memoryType(tensor.getElementType());
    memory.pointer = builder.CreateLoad(
        builder.getPtrTy(),
        builder.CreateConstGEP1_64(builder.getPtrTy(), function->getArg(0),
                                   argument));
    memory.strides = SmallVector<int64_t>(
        cast<DenseI64ArrayAttr>(func.getStrides()[argument]).asArrayRef());
    for (int64_t dim = 0; dim < tensor.getRank(); ++dim)
      memory.dims.push_back(getLocalDim(tensor, dim));
    return memory;
  };
  for (unsigned i = 0; i < scalarAttrs.size(); ++i)
    scalars.push_back(builder.CreateLoad(
        i64, builder.CreateConstGEP1_64(i64, function->getArg(1), i)));
  for (Value operand : piece->getOperands()) {
    auto argument = dyn_cast<BlockArgument>(operand);
    if (!argument)
      return func.emitError("internal error: kernel '")
             << func.getSymName()
             << "': operands of its piece are not in memory";
    memories.push_back(memoryOf(argument.getArgNumber()));
  }
  for (OpResult result : piece->getResults()) {
    Operation *yield = body.getTerminator();
    auto found = llvm::find(yield->getOperands(), result);
    if (found == yield->getOperands().end())
      return func.emitError("internal error: kernel '")
             << func.getSymName() << "': a result of its piece is not stored";
    memories.push_back(
        memoryOf(func.getNumInputs() + (found - yield->getOperands().begin())));
  }
  llvm::TypeSwitch<Operation *>(piece)
      .Case([&](kernel::TakeOp op) { emitTake(op); })
      .Case([&](kernel::PutAddOp op) { emitPutAdd(op); })
      .Case([&](kernel::ScanOp op) { emitScan(op); })
      .Case([&](kernel::SortOp op) { emitSort(op); });
  builder.CreateRet(builder.getInt32(0));
  builder.SetInsertPoint(entryBlock);
  builder.CreateBr(start);
  return success(!failed);
}

} // namespace

LogicalResult emitLonePiece(kernel::FuncOp func, Operation *piece,
                            dist::MeshAttr mesh, llvm::Module &module) {
  return LonePieceEmitter(func, mesh, module).emit(piece);
}

} // namespace weir::compiler::codegen
