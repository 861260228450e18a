// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_RUNTIME_IO_STRATEGY_H
#define WEIR_RUNTIME_IO_STRATEGY_H

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace weir {

/// How one mesh axis is used. docs/parallelism.md tells what each does.
enum class Strategy {
  None,
  Data,
  Zero1,
  Zero2,
  Zero3,
  Megatron,
  MegatronSp,
  Ulysses,
  Context,
  Ring,
  ContextZigzag,
  RingZigzag,
  Redco,
  Search
};

struct StrategyName {
  const char *name;
  Strategy value;
};

/// The names that jobs and pass options use; the only list of them.
inline constexpr StrategyName strategyNames[] = {
    {"none", Strategy::None},
    {"data", Strategy::Data},
    {"zero1", Strategy::Zero1},
    {"zero2", Strategy::Zero2},
    {"zero3", Strategy::Zero3},
    {"megatron", Strategy::Megatron},
    {"megatron-sp", Strategy::MegatronSp},
    {"ulysses", Strategy::Ulysses},
    {"context", Strategy::Context},
    {"ring", Strategy::Ring},
    {"context-zigzag", Strategy::ContextZigzag},
    {"ring-zigzag", Strategy::RingZigzag},
    {"redco", Strategy::Redco},
    {"search", Strategy::Search}};

inline const char *strategyName(Strategy strategy) {
  for (const StrategyName &entry : strategyNames)
    if (entry.value == strategy)
      return entry.name;
  return "none";
}

inline std::optional<Strategy> parseStrategy(std::string_view name) {
  for (const StrategyName &entry : strategyNames)
    if (name == entry.name)
      return entry.value;
  return std::nullopt;
}

/// All names, in the order of the list.
inline std::vector<std::string> strategyWords() {
  std::vector<std::string> words;
  for (const StrategyName &entry : strategyNames)
    words.push_back(entry.name);
  return words;
}

/// The strategy of an axis by its name: "dp" data, "tp" megatron.
inline std::optional<Strategy> defaultStrategy(std::string_view axis) {
  if (axis == "dp")
    return Strategy::Data;
  if (axis == "tp")
    return Strategy::Megatron;
  return std::nullopt;
}

/// Whether the axis splits the batch among its coordinates.
inline bool splitsBatch(Strategy strategy) {
  return strategy == Strategy::Data || strategy == Strategy::Zero1 ||
         strategy == Strategy::Zero2 || strategy == Strategy::Zero3;
}

/// Whether tokens are reordered so that coordinates see equally many keys.
inline bool balancesSequence(Strategy strategy) {
  return strategy == Strategy::ContextZigzag ||
         strategy == Strategy::RingZigzag;
}

/// Whether the axis splits sequences among its coordinates.
inline bool splitsSequence(Strategy strategy) {
  return strategy == Strategy::MegatronSp || strategy == Strategy::Ulysses ||
         strategy == Strategy::Context || strategy == Strategy::Ring ||
         balancesSequence(strategy);
}

} // namespace weir

#endif // WEIR_RUNTIME_IO_STRATEGY_H
