#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# builds-alone.sh SOURCE BUILD: configures the `runtime-only` preset in a folder
# of its own, builds it with the system compiler and runs its tests.
set -euo pipefail
source=$1
build=$2

# -O1 is half the time of the preset's -O3, and the tests take seconds anyway.
cmake -S "$source" --preset runtime-only -B "$build" --fresh \
  -DCMAKE_C_COMPILER=gcc -DCMAKE_CXX_COMPILER=g++ -DCMAKE_CXX_FLAGS_RELEASE=-O1 \
  >"$build.log" 2>&1 || { cat "$build.log"; exit 1; }
if grep -E '^(LLVM|MLIR)_DIR' "$build/CMakeCache.txt"; then
  echo "error: the runtime-only preset looks for LLVM"
  exit 1
fi
cmake --build "$build" >"$build.log" 2>&1 || { tail -60 "$build.log"; exit 1; }
ctest --test-dir "$build" --output-on-failure --no-tests=error --parallel 2
