// SPDX-License-Identifier: Apache-2.0
#ifndef WEIR_TEST_UNIT_SHARDING_RESHARDSUPPORT_H
#define WEIR_TEST_UNIT_SHARDING_RESHARDSUPPORT_H

#include "compiler/API/InitDialects.h"
#include "compiler/Sharding/Reshard.h"

#include <string>
#include <vector>

/// What the tests of reshards share: meshes, tensors and lists of layouts.
namespace weir::compiler {

using Layout = llvm::SmallVector<dist::AxisLayout>;

inline mlir::MLIRContext &context() {
  static mlir::MLIRContext *instance = [] {
    mlir::DialectRegistry registry;
    registerAllWeirDialects(registry);
    auto *made = new mlir::MLIRContext(registry);
    made->loadAllAvailableDialects();
    return made;
  }();
  return *instance;
}

inline dist::MeshAttr meshOf(llvm::ArrayRef<int64_t> sizes, bool time = false) {
  llvm::SmallVector<mlir::StringAttr> names;
  for (size_t i = 0; i < sizes.size(); ++i)
    names.push_back(mlir::StringAttr::get(&context(), "m" + std::to_string(i)));
  return dist::MeshAttr::get(&context(), names, sizes, time);
}

inline mlir::RankedTensorType tensorOf(llvm::ArrayRef<int64_t> shape) {
  return mlir::RankedTensorType::get(shape, mlir::Float32Type::get(&context()));
}

/// All layouts over {B, S(0), ..., S(dims - 1)} and, with `partial`, P(sum).
inline std::vector<Layout> allLayouts(unsigned axes, int64_t dims,
                                      bool partial) {
  std::vector<Layout> layouts = {{}};
  for (unsigned a = 0; a < axes; ++a) {
    std::vector<Layout> longer;
    for (const Layout &layout : layouts) {
      auto with = [&](dist::AxisLayout entry) {
        longer.push_back(layout);
        longer.back().push_back(entry);
      };
      with(dist::AxisLayout::broadcast());
      for (int64_t d = 0; d < dims; ++d)
        with(dist::AxisLayout::split(d));
      if (partial)
        with(dist::AxisLayout::partial());
    }
    layouts = longer;
  }
  return layouts;
}

inline std::string text(llvm::ArrayRef<dist::AxisLayout> layout) {
  std::string out;
  llvm::raw_string_ostream os(out);
  os << "[";
  llvm::interleaveComma(layout, os);
  os << "]";
  return out;
}

inline std::string text(const ReshardPlan &plan) {
  static const char *const names[] = {
      "slice",      "reduce_scatter", "all_to_all", "all_reduce",
      "all_gather", "to_partial",     "exchange"};
  std::string out;
  llvm::raw_string_ostream os(out);
  for (const ReshardStep &step : plan.steps) {
    os << (out.empty() ? "" : "; ") << names[static_cast<int>(step.kind)]
       << "{";
    llvm::interleave(step.axes, os, ",");
    os << "} " << text(step.result);
    os.flush();
  }
  return out;
}

} // namespace weir::compiler

#endif // WEIR_TEST_UNIT_SHARDING_RESHARDSUPPORT_H
