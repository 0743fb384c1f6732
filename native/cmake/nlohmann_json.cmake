# Provides the target nlohmann_json::nlohmann_json, headers alone: the system's (nlohmann_json_DIR names
# another), else those of Debian's package unpacked into the build folder.
include(${CMAKE_CURRENT_LIST_DIR}/debian_package.cmake)

macro(find_json)
  find_package(nlohmann_json 3.10 QUIET CONFIG PATHS ${UNPACKED_PACKAGES})
endmacro()

find_json()
if(NOT nlohmann_json_FOUND)
  unpack_debian_package(nlohmann-json3-dev
                        741a6a32f61a14eaf9560ba1814b27da8e78fa3b9bed9e8867ab46316ddf3793)
  find_json()
endif()
if(NOT nlohmann_json_FOUND)
  message(STATUS "${UNPACKING_OUTPUT}")
  message(
    FATAL_ERROR
      "JSON for Modern C++ (nlohmann/json 3.10 or newer) was not found: install the package "
      "nlohmann-json3-dev (json-devel on Fedora, nlohmann-json elsewhere), set nlohmann_json_DIR to "
      "the folder of its nlohmann_jsonConfig.cmake or, on Debian, give this machine access to a mirror.")
endif()
message(STATUS "nlohmann/json ${nlohmann_json_VERSION}: ${nlohmann_json_DIR}")
