# hone_room(<name> [TORCH] SOURCES <files> [CPU <files>] [CUDA <files>] [USES <rooms>]
#           [LINK <targets>] [PRIVATE_LINK <targets>])
#   One room of lib/hone: static library hone_<name>, alias hone::<name>. TORCH gives it LibTorch.
#   CPU sources are loops that are compiled once for each of HONE_ISAS, with HONE_ISA as the name of
#   its machine::Isa, without a precompiled header; CUDA sources are compiled with HONE_CUDA alone.
# hone_tool(<name> [TORCH] <source> USES <rooms and targets>)
#   One program of tests or benchmarks; a name with :: is taken as it is, any other as a room.
# hone_test(<name> [TORCH] SOURCES <files> USES <rooms> [LABELS <labels>])
#   One Catch2 program test_<name>, registered with ctest.

set(HONE_ROOMS "" CACHE INTERNAL "")
set(HONE_ISAS V3 V4)  # of x86-64, as machine::Isa has them

add_library(hone_flags INTERFACE)
target_compile_features(hone_flags INTERFACE cxx_std_20)
target_compile_options(hone_flags INTERFACE
  # Of the oldest of HONE_ISAS, but where a target is of another: a target's own options come first.
  $<BUILD_INTERFACE:$<$<COMPILE_LANGUAGE:CXX>:-march=x86-64-$<IF:$<BOOL:$<TARGET_PROPERTY:HONE_ISA>>,$<LOWER_CASE:$<TARGET_PROPERTY:HONE_ISA>>,v3>>>
  $<BUILD_INTERFACE:$<$<COMPILE_LANGUAGE:CXX>:-Wall;-Wextra;-Wno-unused-parameter;-fno-omit-frame-pointer>>
  $<BUILD_INTERFACE:$<$<COMPILE_LANG_AND_ID:CXX,Clang>:-Wno-missing-field-initializers;-Wno-missing-designated-field-initializers>>
  $<BUILD_INTERFACE:$<$<COMPILE_LANG_AND_ID:CXX,GNU>:-Wno-missing-field-initializers>>)
target_include_directories(hone_flags INTERFACE
  $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/lib> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
if(HONE_SANITIZE)
  target_compile_options(hone_flags INTERFACE -fsanitize=address,undefined -fno-sanitize-recover=undefined)
  target_link_options(hone_flags INTERFACE -fsanitize=address,undefined)
endif()
if(HONE_FUZZ)
  target_compile_options(hone_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
if(HONE_LINKER)
  target_link_options(hone_flags INTERFACE $<BUILD_INTERFACE:-fuse-ld=${HONE_LINKER}>)
endif()

# LibTorch's include folder holds a newer fmt than the one that is linked. Its headers would serve
# alone, but then every file that formats compiles fmt too, in 1.5 seconds: ours is found before it.
get_target_property(_fmt fmt::fmt INTERFACE_INCLUDE_DIRECTORIES)
file(MAKE_DIRECTORY ${PROJECT_BINARY_DIR}/fmt_first)
file(CREATE_LINK ${_fmt}/fmt ${PROJECT_BINARY_DIR}/fmt_first/fmt SYMBOLIC)
target_include_directories(hone_flags INTERFACE $<BUILD_INTERFACE:${PROJECT_BINARY_DIR}/fmt_first>)

# Gives a target one of the precompiled headers that all share: with TORCH the core of LibTorch, and
# in all the libraries that most files use. Not torch/torch.h, whose hundred modules cost every file
# a second of instantiations. TEST code is not optimised: it compiles in half the time, and what it
# tests is.
function(hone_pch target)
  cmake_parse_arguments(PCH "TORCH;TEST" "" "" ${ARGN})
  set(pch hone_plain_pch)
  if(PCH_TORCH)
    set(pch hone_torch_pch)
  endif()
  set(options -fPIC)  # which CMake does not give an executable, and clang wants as in the header
  if(PCH_TEST)
    set(pch ${pch}_test)
    list(APPEND options $<$<CONFIG:Release>:-O0>)
  endif()
  if(NOT TARGET ${pch})
    file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/${pch}.cpp CONTENT "")
    add_library(${pch} STATIC ${PROJECT_BINARY_DIR}/${pch}.cpp)
    target_link_libraries(${pch} PRIVATE hone_flags fmt::fmt nlohmann_json::nlohmann_json)
    if(PCH_TORCH)
      target_link_libraries(${pch} PRIVATE hone::torch)
      target_precompile_headers(${pch} PRIVATE <torch/autograd.h> <torch/nn/module.h>
        <torch/nn/pimpl.h> <torch/types.h> <torch/utils.h>)
    endif()
    target_precompile_headers(${pch} PRIVATE <fmt/format.h> <nlohmann/json.hpp> <filesystem>
      <fstream> <functional> <optional> <set> <span> <variant>)
    target_compile_options(${pch} PRIVATE ${options})
    if(CMAKE_CXX_COMPILER_ID STREQUAL Clang)
      set_target_properties(${pch} PROPERTIES PCH_INSTANTIATE_TEMPLATES ON)
    endif()
  endif()
  target_compile_options(${target} PRIVATE ${options})
  target_precompile_headers(${target} REUSE_FROM ${pch})
endfunction()

# Adds `sources` to the target, as compiled for one instruction set.
function(hone_cpu_sources target isa)
  set(objects ${target}_${isa})
  add_library(${objects} OBJECT ${ARGN})
  target_link_libraries(${objects} PRIVATE hone_flags)
  target_compile_definitions(${objects} PRIVATE HONE_ISA=k${isa})
  # v4 alone lets clang keep to registers of 256 bits.
  target_compile_options(${objects} PRIVATE $<$<STREQUAL:${isa},V4>:-mprefer-vector-width=512>)
  set_target_properties(${objects} PROPERTIES HONE_ISA ${isa} POSITION_INDEPENDENT_CODE ON)
  target_sources(${target} PRIVATE $<TARGET_OBJECTS:${objects}>)
endfunction()

function(hone_room name)
  cmake_parse_arguments(ROOM "TORCH" "" "SOURCES;CPU;CUDA;USES;LINK;PRIVATE_LINK" ${ARGN})
  set(target hone_${name})
  add_library(${target} STATIC ${ROOM_SOURCES})
  add_library(hone::${name} ALIAS ${target})
  set_target_properties(${target} PROPERTIES EXPORT_NAME ${name} POSITION_INDEPENDENT_CODE ON)
  list(TRANSFORM ROOM_USES PREPEND hone::)
  target_link_libraries(${target} PUBLIC hone_flags ${ROOM_USES} ${ROOM_LINK} PRIVATE ${ROOM_PRIVATE_LINK})
  if(ROOM_TORCH)
    target_link_libraries(${target} PUBLIC hone::torch)
    hone_pch(${target} TORCH)
  else()
    hone_pch(${target})
  endif()
  if(ROOM_CPU)
    foreach(isa ${HONE_ISAS})
      hone_cpu_sources(${target} ${isa} ${ROOM_CPU})
    endforeach()
  endif()
  if(HONE_CUDA AND ROOM_CUDA)
    target_sources(${target} PRIVATE ${ROOM_CUDA})
  endif()
  set(HONE_ROOMS ${HONE_ROOMS} ${name} CACHE INTERNAL "")
endfunction()

function(hone_tool name)
  cmake_parse_arguments(TOOL "TORCH" "" "USES" ${ARGN})
  add_executable(${name} ${TOOL_UNPARSED_ARGUMENTS})
  list(TRANSFORM TOOL_USES PREPEND hone:: REGEX "^[^:]+$")
  target_link_libraries(${name} PRIVATE hone_flags ${TOOL_USES})
  if(TOOL_TORCH)
    hone_pch(${name} TORCH)
  else()
    hone_pch(${name})
  endif()
endfunction()

function(hone_test name)
  cmake_parse_arguments(TEST "TORCH" "" "SOURCES;USES;LINK;LABELS" ${ARGN})
  set(target test_${name})
  add_executable(${target} ${TEST_SOURCES})
  list(TRANSFORM TEST_USES PREPEND hone::)
  target_link_libraries(${target} PRIVATE hone_flags hone_test_main ${TEST_USES} ${TEST_LINK})
  target_compile_definitions(${target} PRIVATE HONE_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  if(TEST_TORCH)
    target_link_libraries(${target} PRIVATE hone::torch)
    hone_pch(${target} TORCH TEST)
  else()
    hone_pch(${target} TEST)
  endif()
  add_test(NAME ${name} COMMAND ${target})
  if(NOT TEST_LABELS)
    set(TEST_LABELS unit)
  endif()
  set_tests_properties(${name} PROPERTIES LABELS "${TEST_LABELS}" TIMEOUT 900)
endfunction()

# hone_oracle_test(<name> <script> [<args>...]): a Python script run with the oracles' interpreter
# (HONE_ORACLE, made by scripts/setup --oracles). Needs the apps and tools named in its arguments.
function(hone_oracle_test name script)
  add_test(NAME ${name} COMMAND ${HONE_ORACLE} ${PROJECT_SOURCE_DIR}/${script} ${ARGN})
  set_tests_properties(${name} PROPERTIES LABELS interop TIMEOUT 1200
    ENVIRONMENT "HF_HUB_OFFLINE=1;TOKENIZERS_PARALLELISM=false;CUDA_VISIBLE_DEVICES=")
endfunction()
