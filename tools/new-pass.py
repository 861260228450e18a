#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes a new pass in an area of the compiler:

    tools/new-pass.py AREA VERB-OBJECT "Summary." [--root DIR]
    tools/new-pass.py Sharding elide-reshards "Removes reshards that change nothing."

writes the definition to compiler/AREA/Passes.td, an implementation that leaves
the module as it is to compiler/AREA/VerbObject.cpp, its name to the area's
CMakeLists.txt, and a lit test to test/compiler/AREA/verb-object.mlir. All of it
builds and passes; what the pass does is yours to write. Registration needs no
hand: compiler/AREA/Passes.cpp registers whatever Passes.td defines.

Nothing is written unless everything can be.
"""

import os
import re
import sys

DEFINITION = '''\
def @CLASS@ : Pass<"weir-@NAME@", "::mlir::ModuleOp"> {
  let summary = "@SUMMARY@";
  let description = [{
    In: any module. Out: the same module.
  }];
}

'''

IMPLEMENTATION = '''\
// SPDX-License-Identifier: Apache-2.0
#include "compiler/@AREA@/Passes.h"

namespace weir::compiler {
#define GEN_PASS_DEF_@MACRO@
#include "compiler/@AREA@/Passes.h.inc"
} // namespace weir::compiler

using namespace mlir;
using namespace weir;

namespace {

class @STEM@ : public compiler::impl::@CLASS@Base<@STEM@> {
public:
  void runOnOperation() override { markAllAnalysesPreserved(); }
};

} // namespace
'''

TEST = '''\
// SPDX-License-Identifier: Apache-2.0
// RUN: weir-opt %s --weir-@NAME@ | FileCheck %s

// An entry without work stays as it is.
// CHECK-LABEL: graph.entry @f
// CHECK-SAME: %[[X:.*]]: tensor<4xf32>
// CHECK-NEXT: graph.return %[[X]]
graph.entry @f(%x: tensor<4xf32> {graph.input = "x"}) -> (tensor<4xf32> {graph.output = "y"}) {
  graph.return %x : tensor<4xf32>
}
'''


def fail(message):
    sys.exit("new-pass.py: " + message)


def read(path):
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError as error:
        fail(f"cannot read {path}: {error.strerror}")


def main():
    arguments = sys.argv[1:]
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    if "--root" in arguments:
        at = arguments.index("--root")
        if at + 1 == len(arguments):
            fail("--root: needs a folder")
        root = arguments[at + 1]
        del arguments[at:at + 2]
    if len(arguments) != 3:
        sys.stderr.write(__doc__)
        sys.exit(2)
    area, name, summary = arguments
    if not re.fullmatch(r"[a-z]+(-[a-z0-9]+)+", name):
        fail(f"expects a name of a verb and an object such as "
             f"'elide-reshards', got '{name}'")
    if '"' in summary or "\\" in summary or not summary.endswith("."):
        fail(f"expects a summary of one plain sentence with a full stop, got "
             f"'{summary}'")

    folder = os.path.join(root, "compiler", area)
    definitions = os.path.join(folder, "Passes.td")
    if not os.path.exists(definitions):
        areas = sorted(
            entry for entry in os.listdir(os.path.join(root, "compiler"))
            if os.path.exists(os.path.join(root, "compiler", entry,
                                           "Passes.td")))
        fail(f"expects an area with passes ({', '.join(areas)}), got '{area}'")
    stem = "".join(part.capitalize() for part in name.split("-"))
    words = {"AREA": area, "NAME": name, "SUMMARY": summary, "STEM": stem,
             "CLASS": stem + "Pass", "MACRO": (stem + "Pass").upper()}

    def fill(template):
        return re.sub("@([A-Z]+)@", lambda match: words[match.group(1)],
                      template)

    text = read(definitions)
    if re.search(rf'"weir-{name}"|def {stem}Pass\b', text):
        fail(f"compiler/{area}/Passes.td has '{name}' already")
    end = text.rfind("#endif")
    if end < 0:
        fail(f"expects compiler/{area}/Passes.td to end with #endif")
    results = {definitions: text[:end] + fill(DEFINITION) + text[end:]}

    lists = os.path.join(folder, "CMakeLists.txt")
    text = read(lists)
    # The library that runs mlir-tblgen; its sources end at DEPS.
    match = re.search(r"weir_add_compiler_library\((?:(?!weir_add)[^)])*?"
                      r"SRCS((?:\s+\S+\.cpp)+)(?=\s+DEPS(?:(?!\)).)*TABLEGEN)",
                      text, re.DOTALL)
    if not match:
        fail(f"finds no library with TABLEGEN in compiler/{area}/CMakeLists.txt")
    place = match.end(1)
    results[lists] = text[:place] + f"\n       {stem}.cpp" + text[place:]

    tests = os.path.join(root, "test", "compiler", area)
    made = {os.path.join(folder, stem + ".cpp"): fill(IMPLEMENTATION),
            os.path.join(tests, name + ".mlir"): fill(TEST)}
    for path in made:
        if os.path.exists(path):
            fail(f"{path} is there already")
    results.update(made)

    os.makedirs(tests, exist_ok=True)
    for path, text in results.items():
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        print(os.path.relpath(path, root))
    print("Next: what it does (Passes.td, .cpp), its place in "
          "compiler/Driver/Driver.cpp, the target weir-docs.")


main()
