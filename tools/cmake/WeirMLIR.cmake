# SPDX-License-Identifier: Apache-2.0
# Finds MLIR 22 and defines the helpers of the compiler side.

set(MLIR_DIR /usr/lib/llvm-22/lib/cmake/mlir CACHE PATH
    "Directory of MLIRConfig.cmake (MLIR 22)")
find_package(MLIR REQUIRED CONFIG)
if(NOT LLVM_VERSION_MAJOR EQUAL 22)
  message(FATAL_ERROR "Weir needs MLIR/LLVM 22, found ${LLVM_PACKAGE_VERSION} in ${MLIR_DIR}; "
    "install libmlir-22-dev or set -DMLIR_DIR=")
endif()
# Not exported by the package; without it targets mix static and shared MLIR.
set(MLIR_LINK_MLIR_DYLIB ON)
set(LLVM_LINK_LLVM_DYLIB ON)
set(LLVM_RUNTIME_OUTPUT_INTDIR ${CMAKE_BINARY_DIR}/bin)
set(LLVM_LIBRARY_OUTPUT_INTDIR ${CMAKE_BINARY_DIR}/lib)
set(MLIR_BINARY_DIR ${CMAKE_BINARY_DIR})
list(APPEND CMAKE_MODULE_PATH ${MLIR_CMAKE_DIR} ${LLVM_CMAKE_DIR})
include(TableGen)
include(AddLLVM)
include(AddMLIR)

# One precompiled header for every compiler-side target: the common MLIR
# headers cost 4 s a file without it.
add_library(WeirCompilerPCH OBJECT ${CMAKE_SOURCE_DIR}/dialects/Pch.cpp)

function(weir_compiler_flags name)
  target_include_directories(${name} SYSTEM PRIVATE ${MLIR_INCLUDE_DIRS} ${LLVM_INCLUDE_DIRS})
  target_include_directories(${name} PUBLIC ${CMAKE_SOURCE_DIR} ${CMAKE_BINARY_DIR}
    ${CMAKE_SOURCE_DIR}/runtime/include)
  target_compile_definitions(${name} PRIVATE ${LLVM_DEFINITIONS_LIST})
  target_compile_options(${name} PRIVATE ${WEIR_WARNINGS})
  if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
    target_compile_options(${name} PRIVATE "SHELL:-Xclang -fno-pch-timestamp" -fno-semantic-interposition)
  endif()
endfunction()
weir_compiler_flags(WeirCompilerPCH)
target_precompile_headers(WeirCompilerPCH PRIVATE ${CMAKE_SOURCE_DIR}/dialects/Pch.h)

# weir_use_mlir(TARGET LIBS...): include paths, flags, PCH and MLIR libraries.
function(weir_use_mlir name)
  weir_compiler_flags(${name})
  # An executable would get -fPIE, which a header precompiled with -fPIC refuses.
  set_target_properties(${name} PROPERTIES POSITION_INDEPENDENT_CODE OFF)
  target_compile_options(${name} PRIVATE -fPIC)
  target_precompile_headers(${name} REUSE_FROM WeirCompilerPCH)
  mlir_target_link_libraries(${name} PRIVATE ${ARGN} MLIRIR)
  target_link_libraries(${name} PRIVATE LLVM)
endfunction()

# weir_add_compiler_library(NAME SRCS ... [DEPS targets] [MLIR_LIBS libs])
function(weir_add_compiler_library name)
  cmake_parse_arguments(ARG "" "" "SRCS;DEPS;MLIR_LIBS;TABLEGEN" ${ARGN})
  add_library(${name} STATIC ${ARG_SRCS})
  weir_compiler_flags(${name})
  target_precompile_headers(${name} REUSE_FROM WeirCompilerPCH)
  target_link_libraries(${name} PUBLIC ${ARG_DEPS})
  mlir_target_link_libraries(${name} PUBLIC ${ARG_MLIR_LIBS} MLIRIR)
  target_link_libraries(${name} PUBLIC LLVM)
  # Generated headers of the dialects come first for everything.
  if(TARGET WeirDialectHeaders)
    add_dependencies(${name} WeirDialectHeaders)
  endif()
  if(ARG_TABLEGEN)
    add_dependencies(${name} ${ARG_TABLEGEN})
  endif()
endfunction()
