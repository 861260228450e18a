// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_TEST_UNIT_PLANNER_SEARCHEDMODEL_H
#define WEIR_TEST_UNIT_PLANNER_SEARCHEDMODEL_H

#include "compiler/Builders/Families.h"

#include <functional>
#include <string>
#include <vector>

namespace weir::compiler::test {

/// A model through the phases graph, plan and shard with all axes searched.
class SearchedModel {
public:
  SearchedModel();
  ~SearchedModel();

  void build(llvm::function_ref<void(GraphBuilder &)> body);
  void take(mlir::OwningOpRef<mlir::ModuleOp> module);
  mlir::MLIRContext *context();
  mlir::ModuleOp module();

  /// Trains the entry `loss` where there is one. `cluster`: a cluster file's
  /// text; empty: ranks of one process. `memory`: bytes a device; 0: the
  /// cluster's.
  bool compile(std::vector<std::pair<std::string, int64_t>> mesh,
               const std::string &cluster = "", double memory = 0,
               const std::string &optimizer = "sgd",
               const std::string &override = "");
  /// Diagnostics so far.
  const std::string &errors() const;

  /// Gives a variable a layout before `compile`: "[S(0), B]".
  void give(const std::string &variable, const std::string &layout);
  /// "[S(0), B]".
  std::string layoutOf(const std::string &variable);
  /// Tensors that collectives of a kind make of at least so many elements, in
  /// `entry`; one op may take several together (`countOps`).
  int count(const std::string &name, int64_t minElements = 0,
            const std::string &entry = "train");
  int countOps(const std::string &name, int64_t minElements = 0,
               const std::string &entry = "train");
  std::string text();
  /// A key of the search's report.
  double report(const std::string &key, const std::string &entry = "train");

private:
  struct Impl;
  std::unique_ptr<Impl> impl;
};

/// Nodes of GPUs, as `Cluster::nodes(devices, perNode)`.
std::string nodesText(int64_t devices, int64_t perNode);

} // namespace weir::compiler::test

#endif // WEIR_TEST_UNIT_PLANNER_SEARCHEDMODEL_H
