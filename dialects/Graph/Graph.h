// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_DIALECTS_GRAPH_GRAPH_H
#define WEIR_DIALECTS_GRAPH_GRAPH_H

#include "dialects/Dist/Dist.h"
#include "dialects/Kernel/Kernel.h"
#include "dialects/Pch.h"

#include "dialects/Graph/GraphDialect.h.inc"
#include "dialects/Graph/GraphEnums.h.inc"
#include "dialects/Graph/GraphInterfaces.h.inc"

#define GET_ATTRDEF_CLASSES
#include "dialects/Graph/GraphAttrs.h.inc"

#define GET_OP_CLASSES
#include "dialects/Graph/GraphOps.h.inc"

#endif // WEIR_DIALECTS_GRAPH_GRAPH_H
