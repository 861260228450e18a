// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_COMPILER_API_INITPASSES_H
#define WEIR_COMPILER_API_INITPASSES_H

namespace weir::compiler {

/// Registers every pass of Weir by its name, for textual pipelines.
void registerAllWeirPasses();

} // namespace weir::compiler

#endif // WEIR_COMPILER_API_INITPASSES_H
