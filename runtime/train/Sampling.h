// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_RUNTIME_TRAIN_SAMPLING_H
#define WEIR_RUNTIME_TRAIN_SAMPLING_H

#include "runtime/base/Status.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace weir {

/// A token drawn from softmax(logits / temperature) by inversion in f64, with
/// the uniform number of randomWord(siteKey("sample"), seed, 0, index): the
/// same for the same logits, seed and index. A temperature of 0 takes the first
/// of the largest. Logits that are not finite count as impossible; where all
/// are, -1.
int32_t chooseToken(const float *logits, int64_t vocab, double temperature,
                    uint32_t seed, uint64_t index);

/// Bytes as a terminal may get them: line ends, tabs and valid UTF-8 stay, all
/// other bytes become \xNN and a backslash is doubled.
std::string escapeSample(std::string_view bytes);

/// What a sample starts with. Of a byte-level model (`bytes`) the prompt's
/// bytes, or where it is empty a line end; else the prompt read as token ids
/// between blanks or commas, or id 0 where it is empty. InvalidInput for ids
/// that are none, or not below `vocab`.
StatusOr<std::vector<int32_t>> promptTokens(std::string_view prompt, bool bytes,
                                            int64_t vocab);

} // namespace weir

#endif // WEIR_RUNTIME_TRAIN_SAMPLING_H
