# SPDX-License-Identifier: Apache-2.0
# Configuration of the lit tests: *.mlir under test/, run with our tools and
# LLVM's FileCheck, not and split-file on the path.
import os

import lit.formats

config.name = "weir"
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".mlir", ".test"]
config.excludes = ["unit", "e2e", "embed", "benchmarks", "Inputs", "CMakeLists.txt"]
config.test_source_root = os.path.dirname(__file__)
config.test_exec_root = os.path.join(config.weir_obj_root, "test", "lit")

config.environment["PATH"] = os.path.pathsep.join(
    [config.weir_tools_dir, config.llvm_tools_dir, config.environment.get("PATH", "")]
)
config.substitutions.append(("%weir_src", config.weir_src_root))
