# SPDX-License-Identifier: Apache-2.0
# Run by CTest; see CMakeLists.txt. Variables: BUILD CONSUMER GOLDEN SCRATCH
# COMPILE C_COMPILER CXX_COMPILER FLAGS.
cmake_minimum_required(VERSION 3.25)

# run(COMMAND...): fails the test where the command does; its output is in `output`.
function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE result
    OUTPUT_VARIABLE out ERROR_VARIABLE err)
  if(NOT result EQUAL 0)
    list(JOIN ARGN " " command)
    message(FATAL_ERROR "${command}\nended with ${result}:\n${out}${err}")
  endif()
  set(output "${out}" PARENT_SCOPE)
endfunction()

file(REMOVE_RECURSE ${SCRATCH})
file(MAKE_DIRECTORY ${SCRATCH})

run(${CMAKE_COMMAND} --install ${BUILD} --component runtime --prefix ${SCRATCH}/prefix)
file(GLOB_RECURSE installed RELATIVE ${SCRATCH}/prefix ${SCRATCH}/prefix/*)
set(header FALSE)
foreach(file ${installed})
  if(file STREQUAL "include/weir/weir.h")
    set(header TRUE)
  elseif(file MATCHES "^include/")
    message(FATAL_ERROR "expects weir.h alone to be installed as a header, got ${file}")
  endif()
endforeach()
if(NOT header)
  message(FATAL_ERROR "expects include/weir/weir.h to be installed, got: ${installed}")
endif()
# The package must not point back into the tree that it was built in.
file(GLOB_RECURSE package ${SCRATCH}/prefix/*.cmake)
foreach(file ${package})
  file(READ ${file} text)
  string(FIND "${text}" "${BUILD}" place)
  if(NOT place EQUAL -1)
    message(FATAL_ERROR "${file} names the build folder; it could not be moved")
  endif()
endforeach()
# And it must be movable.
file(RENAME ${SCRATCH}/prefix ${SCRATCH}/moved)

run(${CMAKE_COMMAND} -G Ninja -S ${CONSUMER} -B ${SCRATCH}/build
  -DCMAKE_PREFIX_PATH=${SCRATCH}/moved -DCMAKE_BUILD_TYPE=Release
  -DCMAKE_C_COMPILER=${C_COMPILER} -DCMAKE_CXX_COMPILER=${CXX_COMPILER}
  "-DCMAKE_C_FLAGS=${FLAGS}" "-DCMAKE_CXX_FLAGS=${FLAGS}")
run(${CMAKE_COMMAND} --build ${SCRATCH}/build)

file(WRITE ${SCRATCH}/job.json "{
  \"model\": {\"folder\": \"${GOLDEN}/model\"},
  \"batch\": 4, \"sequence\": 24, \"steps\": 50,
  \"mesh\": \"dp=2\"
}\n")
run(${COMPILE} ${SCRATCH}/job.json -o ${SCRATCH}/model.weir)

# PyTorch's losses on the same weights and tokens judge.
file(READ ${GOLDEN}/manifest.json manifest)
string(JSON first GET "${manifest}" losses 0)
set(steps 3)

# expectLoss(TEXT EXPECTED): `TEXT` within 1e-5 of it, the goldens' tolerance.
# CMake counts in integers only: both in units of 1e-6.
function(micro out text)
  if(NOT text MATCHES "^([0-9]+)\\.([0-9]+)$")
    message(FATAL_ERROR "expects a decimal number, got '${text}'")
  endif()
  set(whole ${CMAKE_MATCH_1})
  # With a 1 in front, as leading zeros are no decimal numbers to all.
  string(SUBSTRING "${CMAKE_MATCH_2}000000" 0 6 fraction)
  math(EXPR value "${whole} * 1000000 + 1${fraction} - 1000000")
  set(${out} ${value} PARENT_SCOPE)
endfunction()
function(expectLoss text expected)
  micro(got "${text}")
  micro(wanted "${expected}")
  math(EXPR difference "${got} - ${wanted}")
  string(REPLACE "-" "" difference "${difference}")
  math(EXPR allowed "${wanted} / 100000 + 1")
  if(difference GREATER allowed)
    message(FATAL_ERROR "expects the loss ${expected}, got ${text}")
  endif()
endfunction()

run(${SCRATCH}/build/evaluate ${SCRATCH}/model.weir ${GOLDEN}/model ${GOLDEN}/tokens.bin)
message("${output}")
if(NOT output MATCHES "loss ([0-9.]+)")
  message(FATAL_ERROR "expects a loss")
endif()
expectLoss(${CMAKE_MATCH_1} ${first})

run(${SCRATCH}/build/train ${SCRATCH}/model.weir ${GOLDEN}/model ${GOLDEN}/tokens.bin
  ${steps} ${SCRATCH}/trained.safetensors)
message("${output}")
string(REGEX MATCHALL "loss [0-9.]+" losses "${output}")
list(LENGTH losses count)
if(NOT count EQUAL steps)
  message(FATAL_ERROR "expects ${steps} losses, got ${count}")
endif()
math(EXPR last "${steps} - 1")
foreach(step RANGE ${last})
  list(GET losses ${step} loss)
  string(REPLACE "loss " "" loss "${loss}")
  string(JSON expected GET "${manifest}" losses ${step})
  expectLoss(${loss} ${expected})
endforeach()
run(${SCRATCH}/build/evaluate ${SCRATCH}/model.weir ${SCRATCH}/trained.safetensors
  ${GOLDEN}/tokens.bin)
