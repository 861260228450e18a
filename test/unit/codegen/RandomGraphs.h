// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_TEST_UNIT_CODEGEN_RANDOMGRAPHS_H
#define WEIR_TEST_UNIT_CODEGEN_RANDOMGRAPHS_H

#include <string>

namespace weir::compiler::test {

/// The text of an entry `@f` of about `numOps` random ops of the graph dialect
/// on tensors of odd sizes; equal for equal seeds. Values stay of moderate
/// size.
std::string randomGraph(unsigned seed, int numOps);

} // namespace weir::compiler::test

#endif // WEIR_TEST_UNIT_CODEGEN_RANDOMGRAPHS_H
