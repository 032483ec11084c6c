# Finds LibTorch without find_package(Torch), whose CUDA build demands a CUDA toolkit at configure
# time. Defines hone::torch (headers, libtorch_cpu, libc10, and the CUDA libraries if HONE_CUDA).
# Installed beside honeConfig.cmake too, where hone::torch comes without a path and is filled here.
#
# Looked for in this order: HONE_LIBTORCH, CMAKE_PREFIX_PATH, the folder scripts/setup fills.

set(_hone_cache "$ENV{HONE_CACHE}")
if(NOT _hone_cache)
  set(_hone_cache "$ENV{HOME}/.cache/hone")
endif()
find_path(HONE_LIBTORCH NAMES lib/libtorch_cpu.so
  HINTS ${CMAKE_PREFIX_PATH}
  PATHS ${_hone_cache}/libtorch-2.11.0/torch
  PATH_SUFFIXES torch ../..
  NO_CMAKE_SYSTEM_PATH
  DOC "Folder of LibTorch: holds include/ and lib/libtorch_cpu.so")
if(NOT HONE_LIBTORCH)
  message(FATAL_ERROR "LibTorch not found. Run scripts/setup, or pass "
    "-DCMAKE_PREFIX_PATH=<unpacked LibTorch>, the folder that holds lib/libtorch_cpu.so.")
endif()

file(STRINGS ${HONE_LIBTORCH}/include/torch/headeronly/version.h _hone_torch_version
  REGEX "#define TORCH_VERSION_(MAJOR|MINOR) ")
list(TRANSFORM _hone_torch_version REPLACE ".* ([0-9]+)$" "\\1")
list(JOIN _hone_torch_version "." HONE_TORCH_VERSION)
if(HONE_TORCH_VERSION VERSION_LESS 2.11)
  message(FATAL_ERROR "hone needs LibTorch 2.11 or newer; ${HONE_LIBTORCH} is ${HONE_TORCH_VERSION}")
endif()
message(STATUS "LibTorch ${HONE_TORCH_VERSION}: ${HONE_LIBTORCH}")

set(_hone_torch_lib ${HONE_LIBTORCH}/lib)
find_file(HONE_GOMP NAMES libgomp.so.1 PATHS ${_hone_torch_lib} NO_DEFAULT_PATH NO_CACHE)
if(NOT HONE_GOMP)
  find_library(HONE_GOMP NAMES libgomp.so.1 gomp REQUIRED NO_CACHE)
endif()

if(TARGET hone::torch)
  set(_hone_torch hone::torch)
else()
  set(_hone_torch hone_torch)
  add_library(hone_torch INTERFACE)
  add_library(hone::torch ALIAS hone_torch)
endif()
target_include_directories(${_hone_torch} SYSTEM INTERFACE
  $<BUILD_INTERFACE:${HONE_LIBTORCH}/include>
  $<BUILD_INTERFACE:${HONE_LIBTORCH}/include/torch/csrc/api/include>)
target_link_libraries(${_hone_torch} INTERFACE
  $<BUILD_INTERFACE:${_hone_torch_lib}/libtorch_cpu.so>
  $<BUILD_INTERFACE:${_hone_torch_lib}/libc10.so>
  $<BUILD_INTERFACE:${HONE_GOMP}>)
# The wheel's libraries find the cudart and cupti wheels beside them through their own RUNPATH; the
# linker has no need to.
target_link_options(${_hone_torch} INTERFACE
  $<BUILD_INTERFACE:-Wl,--allow-shlib-undefined,-rpath,${_hone_torch_lib}>)

if(HONE_CUDA)
  find_package(CUDAToolkit 13 REQUIRED)
  target_compile_definitions(${_hone_torch} INTERFACE HONE_CUDA=1)
  target_include_directories(${_hone_torch} SYSTEM INTERFACE $<BUILD_INTERFACE:${CUDAToolkit_INCLUDE_DIRS}>)
  # By its name (libcudart.so.13) it is the one that LibTorch loads.
  target_link_libraries(${_hone_torch} INTERFACE $<BUILD_INTERFACE:CUDA::cudart>)
  # Nothing names a symbol of libtorch_cuda, yet loading it registers the kernels.
  target_link_options(${_hone_torch} INTERFACE
    $<BUILD_INTERFACE:LINKER:--push-state,--no-as-needed>
    $<BUILD_INTERFACE:${_hone_torch_lib}/libtorch_cuda.so>
    $<BUILD_INTERFACE:${_hone_torch_lib}/libc10_cuda.so>
    $<BUILD_INTERFACE:LINKER:--pop-state>)
endif()
