// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_TEST_UNIT_DRIVER_COUNTINGMALLOC_H
#define WEIR_TEST_UNIT_DRIVER_COUNTINGMALLOC_H

#include <cstddef>
#include <cstdint>

namespace weir {

/// Bytes that malloc, calloc and realloc were asked for since the program
/// started, by all libraries together; 0 under sanitizers.
int64_t requestedBytes();

} // namespace weir

#endif // WEIR_TEST_UNIT_DRIVER_COUNTINGMALLOC_H
