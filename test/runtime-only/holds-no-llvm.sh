#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# holds-no-llvm.sh SOURCE BINARY...: proves that the binaries link no LLVM or
# MLIR library and hold no symbol of theirs, and that nothing in the run side's
# sources includes one of their headers. The compiler's own binary, where it is
# beside them, must fail the same checks: otherwise they would prove nothing.
set -euo pipefail
source=$1
shift
failed=0

complain() {
  echo "error: $*"
  failed=1
}

# What a binary has of LLVM; nothing where it has none.
linksLLVM() { readelf -d "$1" | awk '/NEEDED/ && /LLVM|MLIR|lld/'; }
# `nm` reads the full symbol table, `nm -D` what is left of a stripped binary.
namesLLVM() {
  { nm -C "$1" 2>/dev/null || true; nm -DC "$1"; } |
    awk '/(^|[^A-Za-z0-9_])((llvm|mlir)::|LLVM[A-Z]|mlir[A-Z])/ && ++n <= 5'
}

for binary in "$@"; do
  if [ ! -f "$binary" ]; then
    complain "$binary does not exist; build it first"
    continue
  fi
  found=$(linksLLVM "$binary")
  if [ -n "$found" ]; then
    complain "$binary links LLVM: $found"
  fi
  found=$(namesLLVM "$binary")
  if [ -n "$found" ]; then
    complain "$binary holds symbols of LLVM: $found"
  fi
done

compiler=$(dirname "${*: -1}")/weir-opt
if [ -f "$compiler" ]; then
  [ -n "$(linksLLVM "$compiler")" ] || complain "$compiler links no LLVM: this test sees nothing"
  [ -n "$(namesLLVM "$compiler")" ] || complain "$compiler has no symbol of LLVM: this test sees nothing"
fi

# Sources: the libraries and the tools of the run side.
for folder in runtime tools/common tools/weir tools/weir-run tools/weir-inspect; do
  [ -d "$source/$folder" ] || complain "$source/$folder does not exist"
done
includes='^[[:space:]]*#[[:space:]]*include[[:space:]]*[<"](llvm|mlir|clang|lld|llvm-c|mlir-c|compiler|dialects)/'
if found=$(grep -rnE "$includes" --include='*.h' --include='*.c' --include='*.cpp' --include='*.in' \
    "$source/runtime" "$source/tools/common" "$source/tools/weir" "$source/tools/weir-run" \
    "$source/tools/weir-inspect"); then
  complain "the run side includes headers of the compile side: $found"
fi
exit $failed
