// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_COMPILER_API_DIAGNOSTICS_H
#define WEIR_COMPILER_API_DIAGNOSTICS_H

#include "dialects/Pch.h"

#include <string>

namespace weir::compiler {

/// "file:line:column: " and "NODE: ", the name of the user's node, as far as
/// they are known; MLIR's own handler drops names.
std::string placeOf(mlir::Location location);

} // namespace weir::compiler

#endif // WEIR_COMPILER_API_DIAGNOSTICS_H
