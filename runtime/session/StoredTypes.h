// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_RUNTIME_SESSION_STOREDTYPES_H
#define WEIR_RUNTIME_SESSION_STOREDTYPES_H

#include "runtime/io/Safetensors.h"
#include "runtime/plan/Plan.h"

namespace weir {

/// The stored type of the same representation.
inline StoredType storedTypeOf(plan::DType type) {
  using plan::DType;
  switch (type) {
  case DType::F64:
    return StoredType::F64;
  case DType::F32:
    return StoredType::F32;
  case DType::F16:
    return StoredType::F16;
  case DType::BF16:
    return StoredType::BF16;
  case DType::I64:
    return StoredType::I64;
  case DType::I32:
    return StoredType::I32;
  case DType::I8:
    return StoredType::I8;
  case DType::U8:
    return StoredType::U8;
  case DType::I1:
    return StoredType::Bool;
  }
  return StoredType::U8;
}

} // namespace weir

#endif // WEIR_RUNTIME_SESSION_STOREDTYPES_H
