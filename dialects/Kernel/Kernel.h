// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_DIALECTS_KERNEL_KERNEL_H
#define WEIR_DIALECTS_KERNEL_KERNEL_H

#include "dialects/Dist/Dist.h"
#include "dialects/Pch.h"

#include "dialects/Kernel/KernelDialect.h.inc"
#include "dialects/Kernel/KernelEnums.h.inc"

#define GET_ATTRDEF_CLASSES
#include "dialects/Kernel/KernelAttrs.h.inc"

#define GET_OP_CLASSES
#include "dialects/Kernel/KernelOps.h.inc"

#endif // WEIR_DIALECTS_KERNEL_KERNEL_H
