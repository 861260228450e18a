// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_TOOLS_RUN_INPUTS_H
#define WEIR_TOOLS_RUN_INPUTS_H

#include "runtime/session/Session.h"

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace weir {

/// The inputs of an entry as the command line gives them, in memory that the
/// session reads while this lives.
class EntryInputs {
public:
  /// Binds all inputs of `entry`: each from `items` ("name=VALUE" sets every
  /// element, "name=FILE[:tensor]" reads a tensor, of the input's name where
  /// none is given), else from the tensor of its name in the safetensors file
  /// `file` (empty: none). Inputs that neither gives stay unbound. Integers are
  /// checked against the input's range, floats converted to f32.
  Status bind(Session &session, const plan::Entry &entry,
              const std::vector<std::string> &items, const std::string &file);

private:
  std::map<std::string, std::vector<std::byte>> storage;
};

/// Reads all outputs of the entry's last run into a safetensors file under
/// their names.
Status saveOutputs(const Session &session, const plan::Entry &entry,
                   const std::string &path);

} // namespace weir

#endif // WEIR_TOOLS_RUN_INPUTS_H
