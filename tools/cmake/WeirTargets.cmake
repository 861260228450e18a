# SPDX-License-Identifier: Apache-2.0
# Target helpers shared by the whole tree.

set(WEIR_WARNINGS -Wall -Wextra -Wno-unused-parameter)

# weir_add_library(NAME SRCS a.cpp ... [DEPS targets ...])
# A static library of the runtime side: no LLVM anywhere in its dependencies.
function(weir_add_library name)
  cmake_parse_arguments(ARG "" "" "SRCS;DEPS;PRIVATE_DEPS" ${ARGN})
  add_library(${name} STATIC ${ARG_SRCS})
  target_include_directories(${name} PUBLIC
    $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}>
    $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}/runtime/include>)
  target_compile_options(${name} PRIVATE ${WEIR_WARNINGS} -fvisibility=hidden)
  target_link_libraries(${name} PUBLIC ${ARG_DEPS} PRIVATE ${ARG_PRIVATE_DEPS})
endfunction()

# weir_add_tool(NAME SRCS a.cpp ... [DEPS targets ...])
# A command-line tool of the runtime side.
function(weir_add_tool name)
  cmake_parse_arguments(ARG "" "" "SRCS;DEPS" ${ARGN})
  add_executable(${name} ${ARG_SRCS})
  target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR})
  target_compile_options(${name} PRIVATE ${WEIR_WARNINGS})
  target_link_libraries(${name} PRIVATE ${ARG_DEPS})
  install(TARGETS ${name} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endfunction()

# weir_add_test(NAME SRCS a.cpp ... [DEPS targets ...] [MLIR_LIBS ...])
# A GoogleTest binary, registered with CTest as one test a binary.
function(weir_add_test name)
  cmake_parse_arguments(ARG "" "" "SRCS;DEPS;MLIR_LIBS" ${ARGN})
  add_executable(${name} ${ARG_SRCS})
  target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR})
  target_compile_options(${name} PRIVATE ${WEIR_WARNINGS})
  target_link_libraries(${name} PRIVATE ${ARG_DEPS} GTest::gtest_main)
  if(ARG_MLIR_LIBS)
    weir_use_mlir(${name} ${ARG_MLIR_LIBS})
  endif()
  add_test(NAME ${name} COMMAND ${name})
  set_property(GLOBAL APPEND PROPERTY WEIR_TEST_TARGETS ${name})
endfunction()
