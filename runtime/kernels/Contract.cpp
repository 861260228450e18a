// SPDX-License-Identifier: Apache-2.0
#include "runtime/kernels/Contract.h"

#include "runtime/base/SignalsBlocked.h"
#include "runtime/kernels/Gemm.h"
#include "runtime/kernels/Team.h"

#include <algorithm>
#include <atomic>
#include <cstring>

namespace weir::kernels {
namespace {

using plan::Contract;
using plan::ContractDim;

// Below this many floating-point operations a product is not worth dividing
// among threads: a parallel region costs as much.
constexpr double dividedWork = 2e6;
// From this many on, one product fills the team better than several beside each
// other (whose threads evict each other's panels).
constexpr double largeWork = 64e6;

/// A dimension with its extent; strides in elements.
struct Dim {
  int64_t extent = 1, a = 0, b = 0, c = 0;
};

/// A short list of dimensions without allocation.
struct DimList {
  Dim dims[maxContractDims];
  int size = 0;

  void add(const Dim &dim) { dims[size++] = dim; }
  Dim take(int index) {
    Dim dim = dims[index];
    for (int i = index + 1; i < size; ++i)
      dims[i - 1] = dims[i];
    --size;
    return dim;
  }
  /// Joins dimensions that step through memory as one.
  void merge() {
    for (bool changed = true; changed;) {
      changed = false;
      for (int outer = 0; outer < size && !changed; ++outer)
        for (int inner = 0; inner < size && !changed; ++inner) {
          Dim &x = dims[outer], &y = dims[inner];
          if (outer == inner || x.a != y.a * y.extent ||
              x.b != y.b * y.extent || x.c != y.c * y.extent)
            continue;
          y.extent *= x.extent;
          take(outer);
          changed = true;
        }
    }
  }
};

/// How one operand of a product lies: rows x columns with strides.
struct View {
  int64_t rows, columns, rowStride, columnStride;

  /// Row-major as the library takes it.
  bool plain() const {
    return (columns == 1 || columnStride == 1) &&
           (rows == 1 || rowStride >= columns);
  }
  View transposed() const { return {columns, rows, columnStride, rowStride}; }
  bool direct() const { return plain() || transposed().plain(); }
  int64_t leading() const {
    return rows == 1 ? std::max<int64_t>(columns, 1) : rowStride;
  }
};

/// A contraction as loops around one matrix product.
struct Product {
  enum class State { Nothing, Zeros, Work };
  State state = State::Work;
  Dim m, n, k;
  DimList outer;  // with strideC: independent of each other
  DimList summed; // without: added up in order
  bool packA = false, packB = false, packC = false;

  View viewA() const { return {m.extent, k.extent, m.a, k.a}; }
  View viewB() const { return {k.extent, n.extent, k.b, n.b}; }
  View viewC() const { return {m.extent, n.extent, m.c, n.c}; }

  double work() const {
    return 2.0 * static_cast<double>(m.extent) * static_cast<double>(n.extent) *
           static_cast<double>(k.extent);
  }
  int64_t count(const DimList &list) const {
    int64_t total = 1;
    for (int i = 0; i < list.size; ++i)
      total *= list.dims[i].extent;
    return total;
  }
};

int64_t alignedFloats(int64_t count) { return (count + 15) / 16 * 16; }

/// Which of the dimensions of each kind becomes the product's; -1: none, then
/// the product has one row (column, term).
struct Choice {
  int m = -1, n = -1, k = -1;
};

Dim pick(const DimList &list, int index) {
  return index < 0 ? Dim() : list.dims[index];
}

Product resolve(const Contract &contract, const int64_t *extents) {
  Product product;
  DimList rows, columns, terms;
  bool emptySum = false, emptyResult = false;
  auto numLoops = static_cast<int>(contract.loops.size());
  for (int i = 0; i < numLoops + 3; ++i) {
    const ContractDim &given = i < numLoops        ? contract.loops[i]
                               : i == numLoops     ? contract.m
                               : i == numLoops + 1 ? contract.n
                                                   : contract.k;
    Dim dim{extents[i], given.strideA, given.strideB, given.strideC};
    bool summed = i == numLoops + 2 || (i < numLoops && dim.c == 0);
    if (dim.extent <= 0) {
      (summed ? emptySum : emptyResult) = true;
      continue;
    }
    if (dim.extent == 1)
      continue;
    if (summed)
      terms.add(dim);
    else if (dim.b == 0 && dim.a != 0)
      rows.add(dim);
    else if (dim.a == 0 && dim.b != 0)
      columns.add(dim);
    else
      product.outer.add(dim);
  }
  if (emptyResult)
    product.state = Product::State::Nothing;
  else if (emptySum)
    product.state =
        contract.accumulate ? Product::State::Nothing : Product::State::Zeros;
  if (product.state == Product::State::Nothing)
    return product;
  rows.merge();
  columns.merge();
  terms.merge();
  product.outer.merge();

  // Try the few combinations: first without copies, then with the most work in
  // one product.
  Choice best;
  int bestPacks = 4;
  double bestWork = 0;
  for (int m = rows.size ? 0 : -1; m < rows.size; ++m)
    for (int n = columns.size ? 0 : -1; n < columns.size; ++n)
      for (int k = terms.size ? 0 : -1; k < terms.size; ++k) {
        product.m = pick(rows, m);
        product.n = pick(columns, n);
        product.k = pick(terms, k);
        int packs = !product.viewA().direct() + !product.viewB().direct() +
                    !product.viewC().direct();
        if (packs < bestPacks ||
            (packs == bestPacks && product.work() > bestWork)) {
          best = {m, n, k};
          bestPacks = packs;
          bestWork = product.work();
        }
      }
  product.m = pick(rows, best.m);
  product.n = pick(columns, best.n);
  product.k = pick(terms, best.k);
  product.packA = !product.viewA().direct();
  product.packB = !product.viewB().direct();
  product.packC = !product.viewC().direct();
  for (int i = 0; i < rows.size; ++i)
    if (i != best.m)
      product.outer.add(rows.dims[i]);
  for (int i = 0; i < columns.size; ++i)
    if (i != best.n)
      product.outer.add(columns.dims[i]);
  for (int i = 0; i < terms.size; ++i)
    if (i != best.k)
      product.summed.add(terms.dims[i]);
  return product;
}

int64_t scratchFloats(const Product &product) {
  int64_t floats = 0;
  if (product.packA)
    floats += alignedFloats(product.m.extent * product.k.extent);
  if (product.packB)
    floats += alignedFloats(product.k.extent * product.n.extent);
  if (product.packC)
    floats += alignedFloats(product.m.extent * product.n.extent);
  return floats;
}

/// Offsets of iteration `index` of the loops in `list`, the last one fastest.
void locate(const DimList &list, int64_t index, int64_t &a, int64_t &b,
            int64_t &c) {
  for (int i = list.size; i-- > 0;) {
    const Dim &dim = list.dims[i];
    int64_t at = index % dim.extent;
    index /= dim.extent;
    a += at * dim.a;
    b += at * dim.b;
    c += at * dim.c;
  }
}

/// Copies a strided matrix into row-major order, blockwise so that either side
/// may be the one that strides.
void pack(const float *from, const View &view, float *to) {
  constexpr int64_t block = 32;
  for (int64_t i0 = 0; i0 < view.rows; i0 += block)
    for (int64_t j0 = 0; j0 < view.columns; j0 += block) {
      int64_t i1 = std::min(view.rows, i0 + block);
      int64_t j1 = std::min(view.columns, j0 + block);
      for (int64_t i = i0; i < i1; ++i)
        for (int64_t j = j0; j < j1; ++j)
          to[i * view.columns + j] =
              from[i * view.rowStride + j * view.columnStride];
    }
}

void unpack(const float *from, const View &view, float *to, bool add) {
  for (int64_t i = 0; i < view.rows; ++i)
    for (int64_t j = 0; j < view.columns; ++j) {
      float &target = to[i * view.rowStride + j * view.columnStride];
      float value = from[i * view.columns + j];
      target = add ? target + value : value;
    }
}

/// An operand as the library takes it, packed into `scratch` where it must be.
MatrixRef operand(const float *data, const View &view, bool packed,
                  float *&scratch) {
  if (packed) {
    pack(data, view, scratch);
    MatrixRef ref{scratch, std::max<int64_t>(view.columns, 1), false};
    scratch += alignedFloats(view.rows * view.columns);
    return ref;
  }
  if (view.plain())
    return {data, view.leading(), false};
  return {data, view.transposed().leading(), true};
}

/// The part of a matrix from a row and a column on.
MatrixRef from(const MatrixRef &ref, int64_t row, int64_t column) {
  int64_t offset =
      ref.transposed ? column * ref.leading + row : row * ref.leading + column;
  return {ref.data + offset, ref.leading, ref.transposed};
}

/// C = A B + beta C on a team: C is divided into as many blocks as there are
/// threads, as square as that goes, each computed by one.
bool teamGemm(int64_t m, int64_t n, int64_t k, const MatrixRef &a,
              const MatrixRef &b, float beta, float *c, int64_t leadingC,
              int threads) {
  int rowParts = 1;
  int64_t least = INT64_MAX;
  for (int parts = 1; parts <= threads; ++parts) {
    if (threads % parts)
      continue;
    int64_t border = m / parts + n / (threads / parts);
    if (border < least) {
      least = border;
      rowParts = parts;
    }
  }
  int columnParts = threads / rowParts;
  // Blocks start at multiples of a cache line of floats.
  auto boundary = [](int64_t size, int part, int parts) {
    return part == parts ? size : size * part / parts / 16 * 16;
  };
  std::atomic<bool> ok{true};
  runTeam(threads, [&](int thread) {
    int row = thread / columnParts, column = thread % columnParts;
    int64_t m0 = boundary(m, row, rowParts);
    int64_t m1 = boundary(m, row + 1, rowParts);
    int64_t n0 = boundary(n, column, columnParts);
    int64_t n1 = boundary(n, column + 1, columnParts);
    if (m0 == m1 || n0 == n1)
      return;
    SignalsBlocked blocked;
    if (!gemm(m1 - m0, n1 - n0, k, from(a, m0, 0), from(b, 0, n0), beta,
              c + m0 * leadingC + n0, leadingC))
      ok = false;
  });
  return ok;
}

/// One iteration of the outer loops: the product summed over its inner ones.
bool runProduct(const Product &product, const float *a, const float *b,
                float *c, bool accumulate, int threads, float *scratch) {
  View viewC = product.viewC();
  float *target = c;
  int64_t leadingC = 0;
  bool swapped = false;
  if (product.packC) {
    target = scratch;
    leadingC = viewC.columns;
    scratch += alignedFloats(viewC.rows * viewC.columns);
  } else {
    // Where C lies by columns, compute its transpose.
    swapped = !viewC.plain();
    leadingC = swapped ? viewC.transposed().leading() : viewC.leading();
  }
  bool keep = accumulate && !product.packC;
  int64_t sums = product.count(product.summed);
  for (int64_t i = 0; i < sums; ++i) {
    int64_t offsetA = 0, offsetB = 0, offsetC = 0;
    locate(product.summed, i, offsetA, offsetB, offsetC);
    float *free = scratch;
    MatrixRef left = operand(a + offsetA, product.viewA(), product.packA, free);
    MatrixRef right =
        operand(b + offsetB, product.viewB(), product.packB, free);
    float beta = keep || i > 0 ? 1.0f : 0.0f;
    int64_t m = product.m.extent, n = product.n.extent;
    if (swapped) {
      std::swap(left, right);
      std::swap(m, n);
      left.transposed = !left.transposed;
      right.transposed = !right.transposed;
    }
    bool ok =
        threads > 1 && product.work() >= dividedWork
            ? teamGemm(m, n, product.k.extent, left, right, beta, target,
                       leadingC, threads)
            : gemm(m, n, product.k.extent, left, right, beta, target, leadingC);
    if (!ok)
      return false;
  }
  if (product.packC)
    unpack(target, viewC, c, accumulate);
  return true;
}

/// Writes zeros to all of C: every product with an empty sum.
void writeZeros(const Product &product, float *c) {
  View view = product.viewC();
  int64_t count = product.count(product.outer);
  for (int64_t i = 0; i < count; ++i) {
    int64_t a = 0, b = 0, offset = 0;
    locate(product.outer, i, a, b, offset);
    for (int64_t row = 0; row < view.rows; ++row)
      for (int64_t column = 0; column < view.columns; ++column)
        c[offset + row * view.rowStride + column * view.columnStride] = 0;
  }
}

} // namespace

Status checkContract(const Contract &contract) {
  if (contract.dtype != plan::DType::F32)
    return Status(StatusCode::IncompatibleArtifact,
                  "contraction in " + std::string(name(contract.dtype)) +
                      ": the CPU runtime has f32 only; compile with f32");
  if (contract.loops.size() + 3 > maxContractDims)
    return invalidInput("contraction with " +
                        std::to_string(contract.loops.size()) +
                        " loops: at most " +
                        std::to_string(maxContractDims - 3) + " are possible");
  return okStatus();
}

int64_t contractScratch(const Contract &contract, const int64_t *extents) {
  Product product = resolve(contract, extents);
  if (product.state != Product::State::Work)
    return 0;
  return scratchFloats(product) * static_cast<int64_t>(sizeof(float));
}

bool contract(const Contract &contract, const int64_t *extents, const float *a,
              const float *b, float *c, int threads, std::byte *scratch,
              int64_t scratchStride) {
  Product product = resolve(contract, extents);
  if (product.state == Product::State::Nothing)
    return true;
  if (product.state == Product::State::Zeros) {
    writeZeros(product, c);
    return true;
  }
  int64_t count = product.count(product.outer);
  bool beside = threads > 1 && count >= threads && product.work() < largeWork &&
                product.work() * static_cast<double>(count) >= dividedWork;
  std::atomic<bool> ok{true};
  auto runRange = [&](Range range, int teamOfOne, float *own) {
    SignalsBlocked blocked;
    for (int64_t i = range.begin; i < range.end && ok; ++i) {
      int64_t offsetA = 0, offsetB = 0, offsetC = 0;
      locate(product.outer, i, offsetA, offsetB, offsetC);
      if (!runProduct(product, a + offsetA, b + offsetB, c + offsetC,
                      contract.accumulate, teamOfOne, own))
        ok = false;
    }
  };
  if (beside)
    runTeam(threads, [&](int thread) {
      runRange(partOf(count, thread, threads), 1,
               reinterpret_cast<float *>(scratch + thread * scratchStride));
    });
  else
    runRange({0, count}, threads, reinterpret_cast<float *>(scratch));
  return ok;
}

} // namespace weir::kernels
