// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_TOOLS_INSPECT_DESCRIBE_H
#define WEIR_TOOLS_INSPECT_DESCRIBE_H

#include "runtime/plan/Artifact.h"

#include <string>

namespace weir {

/// What to print besides the overview.
struct DescribeOptions {
  /// All variables; without it optimizer state is only counted.
  bool allVariables = false;
  /// The actions of each stream in the order in which they fire.
  bool actions = false;
  /// The entry to describe; empty: all.
  std::string entry;
};

/// A layout in SBP notation, an entry a space axis: "[S(0), B, P(sum)]". Empty
/// where the mesh is one device.
std::string layoutText(const plan::TensorLayout &layout,
                       const std::vector<plan::MeshAxis> &mesh);

/// The artifact for people and for programs. The two say the same, the JSON
/// with all variables.
std::string describeText(const plan::ArtifactReader &artifact,
                         const plan::Plan &plan,
                         const DescribeOptions &options);
std::string describeJson(const plan::ArtifactReader &artifact,
                         const plan::Plan &plan,
                         const DescribeOptions &options);

} // namespace weir

#endif // WEIR_TOOLS_INSPECT_DESCRIBE_H
