// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_RUNTIME_TRAIN_RESIDENT_H
#define WEIR_RUNTIME_TRAIN_RESIDENT_H

#include <cstdint>

namespace weir {

/// Anonymous resident memory of this process in bytes (`RssAnon` of
/// /proc/self/status); 0 where the system does not say.
int64_t anonymousResidentBytes();

} // namespace weir

#endif // WEIR_RUNTIME_TRAIN_RESIDENT_H
