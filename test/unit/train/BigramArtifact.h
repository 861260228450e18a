// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_TEST_UNIT_TRAIN_BIGRAMARTIFACT_H
#define WEIR_TEST_UNIT_TRAIN_BIGRAMARTIFACT_H

#include "runtime/base/Status.h"

#include <cstdint>
#include <string>

namespace weir {
namespace test {

/// An artifact written by hand around BigramKernels.c: a model that learns,
/// with the entries and names of compiled ones.
struct BigramOptions {
  int64_t batch = 4, sequence = 8, vocab = 256;
  /// Batch of the entry `forward`; 0: `batch`.
  int64_t forwardBatch = 0;
  /// Ranks of an axis "dp", all of which hold the whole table.
  int64_t ranks = 1;
  /// The entry `forward` fails at run time.
  bool failing = false;
  /// What the processor must offer; empty: nothing special.
  std::string feature;
};

Status writeBigramArtifact(const std::string &path,
                           const BigramOptions &options = {});

} // namespace test
} // namespace weir

#endif // WEIR_TEST_UNIT_TRAIN_BIGRAMARTIFACT_H
