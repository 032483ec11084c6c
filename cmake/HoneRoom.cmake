# hone_room(<name> [TORCH] SOURCES <files> [USES <rooms>] [LINK <targets>] [PRIVATE_LINK <targets>])
#   One room of lib/hone: static library hone_<name>, alias hone::<name>. TORCH gives it LibTorch and
#   the shared precompiled header.
# hone_test(<name> [TORCH] SOURCES <files> USES <rooms> [LABELS <labels>])
#   One Catch2 program test_<name>, registered with ctest.

set(HONE_ROOMS "" CACHE INTERNAL "")

add_library(hone_flags INTERFACE)
target_compile_features(hone_flags INTERFACE cxx_std_20)
target_compile_options(hone_flags INTERFACE
  $<BUILD_INTERFACE:-march=x86-64-v3;-Wall;-Wextra;-Wno-unused-parameter;-fno-omit-frame-pointer>
  $<BUILD_INTERFACE:$<$<CXX_COMPILER_ID:Clang>:-Wno-missing-field-initializers;-Wno-missing-designated-field-initializers>>
  $<BUILD_INTERFACE:$<$<CXX_COMPILER_ID:GNU>:-Wno-missing-field-initializers>>)
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

# One precompiled torch/torch.h for every target that uses LibTorch: 4 s a file instead of 17.
function(hone_torch_pch target)
  if(NOT TARGET hone_pch)
    file(WRITE ${PROJECT_BINARY_DIR}/hone_pch.cpp "")
    add_library(hone_pch STATIC ${PROJECT_BINARY_DIR}/hone_pch.cpp)
    target_link_libraries(hone_pch PRIVATE hone_flags hone::torch)
    set_target_properties(hone_pch PROPERTIES POSITION_INDEPENDENT_CODE ON)
    target_precompile_headers(hone_pch PRIVATE <torch/torch.h>)
    # LibTorch's include folder holds a newer fmt, found before the installed one whose library is
    # linked: only its headers serve.
    target_compile_definitions(hone_pch PRIVATE FMT_HEADER_ONLY=1)
    if(CMAKE_CXX_COMPILER_ID STREQUAL Clang)
      set_target_properties(hone_pch PROPERTIES PCH_INSTANTIATE_TEMPLATES ON)
    endif()
  endif()
  set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE ON)
  # CMake gives an executable -fPIE, which clang refuses to mix with a header compiled for -fPIC.
  target_compile_options(${target} PRIVATE -fPIC)
  target_compile_definitions(${target} PRIVATE FMT_HEADER_ONLY=1)
  target_precompile_headers(${target} REUSE_FROM hone_pch)
endfunction()

function(hone_room name)
  cmake_parse_arguments(ROOM "TORCH" "" "SOURCES;USES;LINK;PRIVATE_LINK" ${ARGN})
  set(target hone_${name})
  add_library(${target} STATIC ${ROOM_SOURCES})
  add_library(hone::${name} ALIAS ${target})
  set_target_properties(${target} PROPERTIES EXPORT_NAME ${name} POSITION_INDEPENDENT_CODE ON)
  list(TRANSFORM ROOM_USES PREPEND hone::)
  target_link_libraries(${target} PUBLIC hone_flags ${ROOM_USES} ${ROOM_LINK} PRIVATE ${ROOM_PRIVATE_LINK})
  if(ROOM_TORCH)
    target_link_libraries(${target} PUBLIC hone::torch)
    hone_torch_pch(${target})
  endif()
  set(HONE_ROOMS ${HONE_ROOMS} ${name} CACHE INTERNAL "")
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
    hone_torch_pch(${target})
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
