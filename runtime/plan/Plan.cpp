// SPDX-License-Identifier: Apache-2.0
#include "runtime/plan/Plan.h"

#include <algorithm>

namespace weir::plan {

int64_t byteSize(DType type) {
  switch (type) {
  case DType::F64:
  case DType::I64:
    return 8;
  case DType::F32:
  case DType::I32:
    return 4;
  case DType::F16:
  case DType::BF16:
    return 2;
  case DType::I8:
  case DType::U8:
  case DType::I1:
    return 1;
  }
  return 0;
}

int64_t Plan::numRanks() const {
  int64_t ranks = 1;
  for (const MeshAxis &axis : mesh)
    if (!axis.time)
      ranks *= axis.size;
  return ranks;
}

int64_t evaluate(const ScalarExpr &expr, const std::vector<MeshAxis> &mesh,
                 const std::vector<int64_t> &coordinates) {
  if (expr.kind == ScalarExpr::Kind::Constant)
    return expr.size;
  int64_t extent = expr.size / expr.unit, offset = 0;
  // Coordinates as one number, which a shift moves on.
  int64_t place = 0, places = 1;
  if (expr.shift != 0) {
    for (int axis : expr.axes) {
      place = place * mesh[axis].size + coordinates[axis];
      places *= mesh[axis].size;
    }
    place = (place + expr.shift) % places;
  }
  for (int axis : expr.axes) {
    int64_t parts = mesh[axis].size, coordinate = coordinates[axis];
    if (expr.shift != 0) {
      places /= parts;
      coordinate = place / places;
      place %= places;
    }
    int64_t share = extent / parts, longer = extent % parts;
    offset += coordinate * share + std::min(coordinate, longer);
    extent = share + (coordinate < longer ? 1 : 0);
  }
  return (expr.kind == ScalarExpr::Kind::Extent ? extent : offset) * expr.unit;
}

int64_t largestValue(const ScalarExpr &expr,
                     const std::vector<MeshAxis> &mesh) {
  if (expr.kind == ScalarExpr::Kind::Constant)
    return expr.size;
  // The first coordinates are never shorter than others and the last ones never
  // start earlier, whatever the outer splits left; a shift only changes whose
  // they are.
  std::vector<int64_t> coordinates(mesh.size(), 0);
  if (expr.kind == ScalarExpr::Kind::Offset)
    for (size_t i = 0; i < mesh.size(); ++i)
      coordinates[i] = mesh[i].size - 1;
  ScalarExpr own = expr;
  own.shift = 0;
  return evaluate(own, mesh, coordinates);
}

std::vector<int64_t> rankCoordinates(int64_t rank,
                                     const std::vector<MeshAxis> &mesh) {
  std::vector<int64_t> coordinates(mesh.size(), 0);
  for (size_t i = mesh.size(); i-- > 0;) {
    if (mesh[i].time)
      continue;
    coordinates[i] = rank % mesh[i].size;
    rank /= mesh[i].size;
  }
  return coordinates;
}

} // namespace weir::plan
