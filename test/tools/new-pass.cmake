# SPDX-License-Identifier: Apache-2.0
# Runs tools/new-pass.py on a copy of each area of the compiler and builds what
# comes out as far as that is cheap: the definitions through mlir-tblgen, the new
# file through the compiler's front end, the list of sources through CMake.
#   cmake -DSOURCE=. -DBUILD=build -DSCRATCH=dir -DPYTHON=python3
#     -DTBLGEN=mlir-tblgen -DCXX=clang++ -DLLVM_INCLUDE=... -P new-pass.cmake

cmake_minimum_required(VERSION 3.25)

file(REMOVE_RECURSE ${SCRATCH})
file(GLOB definitions RELATIVE ${SOURCE}/compiler ${SOURCE}/compiler/*/Passes.td)
list(SORT definitions)

function(new_pass area name summary)
  execute_process(
    COMMAND ${PYTHON} ${SOURCE}/tools/new-pass.py --root ${SCRATCH} ${area} ${name} ${summary}
    OUTPUT_VARIABLE out ERROR_VARIABLE err RESULT_VARIABLE result)
  set(out "${out}" PARENT_SCOPE)
  set(err "${err}" PARENT_SCOPE)
  set(result ${result} PARENT_SCOPE)
endfunction()

# What the area's list of sources says; the rest of its commands does nothing.
function(weir_add_compiler_library name)
  cmake_parse_arguments(ARG "" "" "SRCS;DEPS;MLIR_LIBS;TABLEGEN" ${ARGN})
  if(ARG_TABLEGEN)
    set(sources "${ARG_SRCS}" PARENT_SCOPE)
  endif()
endfunction()
function(weir_add_library)
endfunction()
function(mlir_tablegen)
endfunction()
function(add_public_tablegen_target)
endfunction()

foreach(td ${definitions})
  get_filename_component(area ${td} DIRECTORY)
  foreach(file Passes.td Passes.h CMakeLists.txt)
    file(COPY ${SOURCE}/compiler/${area}/${file} DESTINATION ${SCRATCH}/compiler/${area})
  endforeach()
  new_pass(${area} frobnicate-widgets "Leaves widgets alone.")
  if(NOT result EQUAL 0)
    message(FATAL_ERROR "new-pass.py failed on ${area}: ${err}")
  endif()
  set(sources)
  include(${SCRATCH}/compiler/${area}/CMakeLists.txt)
  if(NOT "FrobnicateWidgets.cpp" IN_LIST sources)
    message(FATAL_ERROR "${area}: expects FrobnicateWidgets.cpp among the sources, got ${sources}")
  endif()
  execute_process(
    COMMAND ${TBLGEN} -gen-pass-decls -name Weir${area} -I ${SCRATCH} -I ${LLVM_INCLUDE}
      ${SCRATCH}/compiler/${td} -o ${SCRATCH}/compiler/${area}/Passes.h.inc
    ERROR_VARIABLE err RESULT_VARIABLE result)
  if(NOT result EQUAL 0)
    message(FATAL_ERROR "mlir-tblgen failed on ${area}:\n${err}")
  endif()
  file(READ ${SCRATCH}/compiler/${area}/Passes.h.inc generated)
  if(NOT generated MATCHES "weir-frobnicate-widgets")
    message(FATAL_ERROR "${area}: the new pass is not in what mlir-tblgen made")
  endif()
  if(NOT EXISTS ${SCRATCH}/test/compiler/${area}/frobnicate-widgets.mlir)
    message(FATAL_ERROR "${area}: the new pass has no test")
  endif()
endforeach()

# The template is the same everywhere: one area goes through the compiler.
execute_process(
  COMMAND ${CXX} -std=c++17 -DNDEBUG -fsyntax-only -Wall -Wextra -Werror -Wno-unused-parameter
    -I ${SCRATCH} -I ${SOURCE} -I ${BUILD} -isystem ${LLVM_INCLUDE}
    ${SCRATCH}/compiler/Pipeline/FrobnicateWidgets.cpp
  ERROR_VARIABLE err RESULT_VARIABLE result)
if(NOT result EQUAL 0)
  message(FATAL_ERROR "the new pass does not compile:\n${err}")
endif()

# Its test holds for a pass that changes nothing.
execute_process(
  COMMAND sh -c "'${BUILD}/bin/weir-opt' '${SCRATCH}/test/compiler/Pipeline/frobnicate-widgets.mlir' | '${FILECHECK}' '${SCRATCH}/test/compiler/Pipeline/frobnicate-widgets.mlir'"
  ERROR_VARIABLE err RESULT_VARIABLE result)
if(NOT result EQUAL 0)
  message(FATAL_ERROR "the new pass's test fails:\n${err}")
endif()

# Mistakes are told and change nothing.
foreach(mistake "Pipeline|frobnicate-widgets|Again." "Nowhere|do-something|Is lost."
        "Pipeline|nothing|Has no object." "Pipeline|do-something|Has no full stop")
  string(REPLACE "|" ";" mistake "${mistake}")
  file(SHA256 ${SCRATCH}/compiler/Pipeline/Passes.td before)
  new_pass(${mistake})
  file(SHA256 ${SCRATCH}/compiler/Pipeline/Passes.td after)
  if(result EQUAL 0 OR NOT err MATCHES "^new-pass.py: " OR NOT before STREQUAL after)
    message(FATAL_ERROR "expects an error and no change from ${mistake}, got ${result}: ${err}")
  endif()
endforeach()
