// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_COMPILER_DRIVER_REPORT_H
#define WEIR_COMPILER_DRIVER_REPORT_H

#include "compiler/Driver/Driver.h"
#include "dialects/Pch.h"

#include <map>
#include <vector>

namespace weir::compiler {

/// Number of ops by name, in order of names.
using OpCounts = std::map<std::string, int64_t>;
OpCounts countOps(mlir::ModuleOp module);

/// Collects what a compilation decided, phase by phase, and writes it as JSON.
class Report {
public:
  explicit Report(const CompileOptions &options) : options(options) {}

  /// Takes down the module as `phase` left it.
  void add(Phase phase, mlir::ModuleOp module);
  /// Adds a section of JSON text.
  void addSection(std::string name, std::string json) {
    sections.push_back({std::move(name), std::move(json)});
  }
  const std::vector<std::pair<Phase, OpCounts>> &phases() const {
    return counts;
  }
  /// JSON text; the same for the same options and inputs.
  std::string text() const;

private:
  /// JSON of sections, made when their phase is over.
  void addLayouts(mlir::ModuleOp module);
  /// What the layout search found, and the least that it could have.
  void addSearch(mlir::ModuleOp module);
  void addKernels(mlir::ModuleOp module);
  void addCollectives(mlir::ModuleOp module);
  void addMemory(mlir::ModuleOp module);

  const CompileOptions &options;
  std::vector<std::pair<Phase, OpCounts>> counts;
  std::vector<std::pair<std::string, std::string>> sections;
};

} // namespace weir::compiler

#endif // WEIR_COMPILER_DRIVER_REPORT_H
