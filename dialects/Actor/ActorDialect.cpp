// SPDX-License-Identifier: Apache-2.0
#include "dialects/Actor/Actor.h"

using namespace mlir;
using namespace weir::actor;

#include "dialects/Actor/ActorDialect.cpp.inc"
#include "dialects/Actor/ActorEnums.cpp.inc"

#define GET_TYPEDEF_CLASSES
#include "dialects/Actor/ActorTypes.cpp.inc"

#define GET_ATTRDEF_CLASSES
#include "dialects/Actor/ActorAttrs.cpp.inc"

void ActorDialect::initialize() {
  addTypes<
#define GET_TYPEDEF_LIST
#include "dialects/Actor/ActorTypes.cpp.inc"
      >();
  addAttributes<
#define GET_ATTRDEF_LIST
#include "dialects/Actor/ActorAttrs.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "dialects/Actor/ActorOps.cpp.inc"
      >();
}
