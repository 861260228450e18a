// SPDX-License-Identifier: Apache-2.0
#include "compiler/Interpreter/Tensor.h"

#include <cmath>
#include <cstring>

using namespace mlir;

namespace weir::compiler {

int64_t elementsOf(ArrayRef<int64_t> shape) {
  int64_t count = 1;
  for (int64_t size : shape)
    count *= size;
  return count;
}

int64_t Tensor::size() const { return elementsOf(shape); }

Tensor Tensor::zeros(ElementKind kind, ArrayRef<int64_t> shape) {
  Tensor tensor;
  tensor.kind = kind;
  tensor.shape.assign(shape.begin(), shape.end());
  if (kind == ElementKind::Float)
    tensor.floats.assign(elementsOf(shape), 0.0);
  else
    tensor.ints.assign(elementsOf(shape), 0);
  return tensor;
}

Tensor Tensor::fromFloats(ArrayRef<int64_t> shape, ArrayRef<double> values) {
  Tensor tensor;
  tensor.shape.assign(shape.begin(), shape.end());
  tensor.floats.assign(values.begin(), values.end());
  tensor.floats.resize(elementsOf(shape));
  return tensor;
}

Tensor Tensor::fromInts(ElementKind kind, ArrayRef<int64_t> shape,
                        ArrayRef<int64_t> values) {
  Tensor tensor;
  tensor.kind = kind;
  tensor.shape.assign(shape.begin(), shape.end());
  tensor.ints.assign(values.begin(), values.end());
  tensor.ints.resize(elementsOf(shape));
  return tensor;
}

bool Tensor::identicalTo(const Tensor &other) const {
  if (kind != other.kind || shape != other.shape || ints != other.ints ||
      floats.size() != other.floats.size())
    return false;
  for (size_t i = 0; i < floats.size(); ++i) {
    double a = floats[i], b = other.floats[i];
    if (std::isnan(a) && std::isnan(b))
      continue;
    if (std::memcmp(&a, &b, sizeof(double)) != 0)
      return false;
  }
  return true;
}

std::optional<ElementKind> elementKindOf(Type type) {
  if (isa<FloatType>(type))
    return ElementKind::Float;
  if (type.isInteger(64))
    return ElementKind::I64;
  if (type.isInteger(32))
    return ElementKind::I32;
  if (type.isInteger(1))
    return ElementKind::I1;
  return std::nullopt;
}

StringRef elementKindName(ElementKind kind) {
  switch (kind) {
  case ElementKind::Float:
    return "float";
  case ElementKind::I64:
    return "i64";
  case ElementKind::I32:
    return "i32";
  case ElementKind::I1:
    return "i1";
  }
  return "";
}

int64_t wrapInteger(ElementKind kind, int64_t value) {
  switch (kind) {
  case ElementKind::I32:
    return static_cast<int32_t>(static_cast<uint32_t>(value));
  case ElementKind::I1:
    return value & 1;
  case ElementKind::Float:
  case ElementKind::I64:
    break;
  }
  return value;
}

void roundTo(Precision precision, Tensor &tensor) {
  if (precision == Precision::F32)
    for (double &value : tensor.floats)
      value = static_cast<float>(value);
}

SmallVector<int64_t, 6> rowMajorStrides(ArrayRef<int64_t> shape) {
  SmallVector<int64_t, 6> strides(shape.size(), 1);
  for (int64_t i = static_cast<int64_t>(shape.size()) - 2; i >= 0; --i)
    strides[i] = strides[i + 1] * shape[i + 1];
  return strides;
}

bool nextIndex(MutableArrayRef<int64_t> index, ArrayRef<int64_t> shape) {
  for (int64_t d = static_cast<int64_t>(shape.size()) - 1; d >= 0; --d) {
    if (++index[d] < shape[d])
      return true;
    index[d] = 0;
  }
  return false;
}

FailureOr<Box> boxOf(RankedTensorType type, const MeshPoint &point,
                     function_ref<InFlightDiagnostic()> emitError) {
  Box box;
  Attribute encoding = type.getEncoding();
  auto shard = dyn_cast_or_null<dist::ShardAttr>(encoding);
  auto layout = dyn_cast_or_null<dist::LayoutAttr>(encoding);
  if (encoding && !shard && !layout)
    return emitError()
           << "expects no encoding, #dist.shard or #dist.layout, got "
           << encoding;
  if ((shard || layout) && !point.mesh)
    return emitError() << "expects the module attribute `"
                       << dist::DistDialect::getMeshAttrName()
                       << "` for the type " << type;
  for (int64_t d = 0; d < type.getRank(); ++d) {
    dist::ShardDim dim;
    dim.size = type.getDimSize(d);
    if (shard)
      dim = shard.getDims()[d];
    else if (layout)
      dim = dist::getShardDim(layout, d, dim.size);
    int64_t size = dim.size;
    SmallVector<int64_t, 2> axes = dim.axes;
    // In units, which stay whole.
    int64_t extent = size / dim.unit, offset = 0, capacity = extent;
    // Of a shifted shard: the coordinates that many places on.
    int64_t place = 0, places = 1;
    for (int64_t axis : axes) {
      if (axis < 0 || axis >= static_cast<int64_t>(point.mesh.getNumAxes()))
        break; // reported below
      place = place * point.mesh.getSizes()[axis] + point.coordinates[axis];
      places *= point.mesh.getSizes()[axis];
    }
    place = (place + dim.shift % places) % places;
    for (int64_t axis : axes) {
      if (axis < 0 || axis >= static_cast<int64_t>(point.mesh.getNumAxes()))
        return emitError() << "mesh has no axis " << axis << ", by which "
                           << type << " is split";
      int64_t parts = point.mesh.getSizes()[axis];
      int64_t coordinate = point.coordinates[axis];
      if (coordinate < 0)
        return emitError() << "value of type " << type
                           << " is split by the micro-batch axis outside of "
                              "dist.micro_batches";
      if (dim.shift != 0) {
        places /= parts;
        coordinate = place / places;
        place %= places;
      }
      // The first `extent mod parts` coordinates hold one element more.
      int64_t quotient = extent / parts, remainder = extent % parts;
      offset += coordinate * quotient + std::min(coordinate, remainder);
      extent = quotient + (coordinate < remainder ? 1 : 0);
      capacity = (capacity + parts - 1) / parts;
    }
    extent *= dim.unit;
    offset *= dim.unit;
    capacity *= dim.unit;
    if (shard && capacity != type.getDimSize(d))
      return emitError() << "dimension " << d << " of " << type
                         << " expects the capacity " << capacity << ", got "
                         << type.getDimSize(d);
    box.extents.push_back(extent);
    box.offsets.push_back(offset);
    box.logical.push_back(size);
    box.axes.push_back(std::move(axes));
  }
  return box;
}

} // namespace weir::compiler
