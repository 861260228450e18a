// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_TOOLS_WEIR_TRAIN_H
#define WEIR_TOOLS_WEIR_TRAIN_H

#include "runtime/base/Status.h"

#include <string>
#include <vector>

namespace weir {

/// `weir train`: compiles the job's model with the weir-compile in `folder`
/// unless the cache holds the result, then becomes weir-run. Returns where that
/// does not happen: with help printed, an error, or weir-compile's exit code in
/// `exitCode` (an empty message: it has said why itself).
Status trainCommand(const std::string &folder,
                    const std::vector<std::string> &arguments, int &exitCode);

} // namespace weir

#endif // WEIR_TOOLS_WEIR_TRAIN_H
