// SPDX-License-Identifier: Apache-2.0
#include "compiler/API/Diagnostics.h"

using namespace mlir;

namespace weir::compiler {

std::string placeOf(Location location) {
  std::string text;
  if (auto file = location->findInstanceOf<FileLineColLoc>())
    text += file.getFilename().str() + ":" + std::to_string(file.getLine()) +
            ":" + std::to_string(file.getColumn()) + ": ";
  if (auto name = location->findInstanceOf<NameLoc>())
    text += name.getName().str() + ": ";
  return text;
}

} // namespace weir::compiler
