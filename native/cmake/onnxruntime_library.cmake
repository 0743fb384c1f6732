# Sets ONNXRUNTIME_LIBRARY to the shared library to link: in ONNXRUNTIME_ROOT (a variable of CMake or
# of the environment) when that is set, else the system's, else the one inside the Python package
# onnxruntime of the Python3_EXECUTABLE.  A wheel's library goes with its environment, so then
# ONNXRUNTIME_COPY is set to the file that an installation must take along.

set(root "${ONNXRUNTIME_ROOT}")
if(NOT root)
  set(root "$ENV{ONNXRUNTIME_ROOT}")
endif()

if(root)
  find_library(ONNXRUNTIME_LIBRARY onnxruntime PATHS "${root}" NO_DEFAULT_PATH
               PATH_SUFFIXES lib lib64 lib/${CMAKE_LIBRARY_ARCHITECTURE})
else()
  find_library(ONNXRUNTIME_LIBRARY onnxruntime)
endif()

if(NOT ONNXRUNTIME_LIBRARY AND NOT root)
  find_package(Python3 COMPONENTS Interpreter)
  if(Python3_FOUND)
    # Found without being imported: only the folder matters.
    execute_process(
      COMMAND ${Python3_EXECUTABLE} -c
              "import importlib.util as u; print(u.find_spec('onnxruntime').submodule_search_locations[0])"
      OUTPUT_VARIABLE wheel ERROR_QUIET OUTPUT_STRIP_TRAILING_WHITESPACE)
    file(GLOB ONNXRUNTIME_COPY "${wheel}/capi/libonnxruntime.so.1.*")
  endif()
  if(ONNXRUNTIME_COPY)
    # Under the name that programs look for; wheels lack it.
    set(ONNXRUNTIME_LIBRARY ${CMAKE_BINARY_DIR}/libonnxruntime.so.1)
    file(CREATE_LINK ${ONNXRUNTIME_COPY} ${ONNXRUNTIME_LIBRARY} SYMBOLIC)
  endif()
endif()

if(NOT ONNXRUNTIME_LIBRARY)
  message(
    FATAL_ERROR
      "ONNX Runtime's shared library (1.20 or newer) was not found. Any of these helps:\n"
      "  - install the package libonnxruntime-dev (Debian 13 or newer, Ubuntu 25.04 or newer);\n"
      "  - unpack a release archive of ONNX Runtime and set ONNXRUNTIME_ROOT to its folder;\n"
      "  - pip install onnxruntime, and set Python3_EXECUTABLE to that Python.\n")
endif()
message(STATUS "ONNX Runtime library: ${ONNXRUNTIME_LIBRARY}")
