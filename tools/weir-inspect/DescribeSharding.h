// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_TOOLS_INSPECT_DESCRIBESHARDING_H
#define WEIR_TOOLS_INSPECT_DESCRIBESHARDING_H

#include "runtime/base/Status.h"

#include <string>
#include <string_view>

namespace weir {

/// The member of an artifact that `weir compile --explain` adds.
inline constexpr char shardingMember[] = "debug/sharding.json";

/// The explanation of layouts and reshards as text: of the variables and values
/// whose names match `pattern` (a glob), in the entry of that name (empty:
/// all). InvalidInput where `text` is not what the compiler writes; `name` is
/// what errors call it.
StatusOr<std::string> describeSharding(std::string_view text,
                                       const std::string &name,
                                       const std::string &pattern,
                                       const std::string &entry);

} // namespace weir

#endif // WEIR_TOOLS_INSPECT_DESCRIBESHARDING_H
