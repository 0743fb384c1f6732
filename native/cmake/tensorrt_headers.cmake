# Sets TENSORRT_INCLUDE_DIRS to the folders of NvInferRuntime.h and cuda.h: in TENSORRT_ROOT (a
# variable of CMake or of the environment) when that is set, else where the system has them (as JetPack
# does), else in Python wheels unpacked into the build folder.

set(root "${TENSORRT_ROOT}")
if(NOT root)
  set(root "$ENV{TENSORRT_ROOT}")
endif()
set(unpacked "${CMAKE_BINARY_DIR}/tensorrt-headers")
file(GLOB toolkits "/usr/local/cuda*/include" "/usr/local/cuda*/targets/*/include")

macro(find_headers)
  find_path(TENSORRT_INCLUDE_DIR NvInferRuntime.h HINTS "${root}/include"
            PATHS "${unpacked}/kernel_lens/include/tensorrt")
  find_path(CUDA_INCLUDE_DIR cuda.h HINTS ${toolkits}
            PATHS "${unpacked}/nvidia/cuda_runtime/include")
endmacro()

find_headers()
if(NOT TENSORRT_INCLUDE_DIR OR NOT CUDA_INCLUDE_DIR)
  message(STATUS "TensorRT's or CUDA's headers are not on this machine: unpacking Python wheels")
  find_package(Python3 REQUIRED COMPONENTS Interpreter)
  execute_process(
    COMMAND "${Python3_EXECUTABLE}" -m pip install --quiet --no-deps --target "${unpacked}"
            kernel-lens==2.0.1 nvidia-cuda-runtime-cu12==12.6.77
    ERROR_VARIABLE output)
  find_headers()
endif()
if(NOT TENSORRT_INCLUDE_DIR OR NOT CUDA_INCLUDE_DIR)
  message(STATUS "${output}")
  message(
    FATAL_ERROR "TensorRT's headers (10.3 or newer) and CUDA's were not found: install the packages "
                "libnvinfer-dev and cuda-cudart-dev, or set TENSORRT_ROOT to an unpacked archive.")
endif()
set(TENSORRT_INCLUDE_DIRS "${TENSORRT_INCLUDE_DIR}" "${CUDA_INCLUDE_DIR}")
message(STATUS "TensorRT headers: ${TENSORRT_INCLUDE_DIRS}")
