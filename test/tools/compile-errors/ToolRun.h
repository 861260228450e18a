// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_TEST_TOOLS_COMPILEERRORS_TOOLRUN_H
#define WEIR_TEST_TOOLS_COMPILEERRORS_TOOLRUN_H

#include "test/tools/ToolRunner.h"

#include <string>
#include <vector>

namespace weir::test {

/// Runs the built tool with `folder` as the current one.
ToolResult runIn(const std::string &folder, const std::string &tool,
                 const std::vector<std::string> &arguments);

/// Expects that the tool ends with `code` (by no signal) and says each of
/// `parts`; a failure without a message, a stack dump or a failed assertion is
/// an error of its own.
void expectEnd(const std::string &tool,
               const std::vector<std::string> &arguments,
               const std::string &folder, int code,
               const std::vector<std::string> &parts);

/// The path of a golden model's folder or file.
std::string golden(const std::string &path);

/// `config` as a model folder's config.json; returns the folder.
std::string writeModel(const TempFolder &folder, const std::string &name,
                       const std::string &config);

/// A GPT-2 of one layer, and a job that trains it on 6 x 16 tokens of a text.
extern const char tinyConfig[];
std::string tinyJob(const std::string &changes = "");

/// The artifact of tinyJob, compiled once; empty where that failed.
const std::string &tinyArtifact();

} // namespace weir::test

#endif // WEIR_TEST_TOOLS_COMPILEERRORS_TOOLRUN_H
