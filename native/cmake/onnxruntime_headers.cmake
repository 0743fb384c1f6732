# Sets ONNXRUNTIME_INCLUDE_DIR to the folder that holds onnxruntime_cxx_api.h: in ONNXRUNTIME_ROOT
# (a variable of CMake or of the environment) when that is set, else where the system has it, else
# in a copy of Debian's package unpacked into the build folder.
include(${CMAKE_CURRENT_LIST_DIR}/debian_package.cmake)

set(suffixes include/onnxruntime include onnxruntime include/onnxruntime/core/session)
set(root "${ONNXRUNTIME_ROOT}")
if(NOT root)
  set(root "$ENV{ONNXRUNTIME_ROOT}")
endif()

if(root)
  find_path(ONNXRUNTIME_INCLUDE_DIR onnxruntime_cxx_api.h PATHS "${root}" NO_DEFAULT_PATH
            PATH_SUFFIXES ${suffixes})
  if(NOT ONNXRUNTIME_INCLUDE_DIR)
    message(FATAL_ERROR "ONNXRUNTIME_ROOT is ${root}, which holds no onnxruntime_cxx_api.h: correct "
                        "or unset it.")
  endif()
else()
  find_path(ONNXRUNTIME_INCLUDE_DIR onnxruntime_cxx_api.h PATHS "${UNPACKED_PACKAGES}"
            PATH_SUFFIXES ${suffixes})
  if(NOT ONNXRUNTIME_INCLUDE_DIR)
    unpack_debian_package(libonnxruntime-dev)
    find_path(ONNXRUNTIME_INCLUDE_DIR onnxruntime_cxx_api.h PATHS "${UNPACKED_PACKAGES}"
              PATH_SUFFIXES ${suffixes})
  endif()
  if(NOT ONNXRUNTIME_INCLUDE_DIR)
    message(STATUS "${UNPACKING_OUTPUT}")
    message(
      FATAL_ERROR
        "ONNX Runtime's C++ headers (1.20 or newer) were not found. Any of these helps:\n"
        "  - install the package libonnxruntime-dev (Debian 13 or newer, Ubuntu 25.04 or newer);\n"
        "  - unpack a release archive of ONNX Runtime and set ONNXRUNTIME_ROOT to its folder;\n"
        "  - on Debian, give this machine access to a Debian mirror.\n")
  endif()
endif()
message(STATUS "ONNX Runtime headers: ${ONNXRUNTIME_INCLUDE_DIR}")
