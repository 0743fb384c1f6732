# Provides the target doctest::doctest, one header: the system's (DOCTEST_INCLUDE_DIR names another), else
# that of Debian's package unpacked into the build folder.
include(${CMAKE_CURRENT_LIST_DIR}/debian_package.cmake)

macro(find_doctest)
  find_path(DOCTEST_INCLUDE_DIR doctest/doctest.h PATHS ${UNPACKED_PACKAGES}/include)
endmacro()

find_doctest()
if(NOT DOCTEST_INCLUDE_DIR)
  unpack_debian_package(doctest-dev
                        a41b0d152b707310f40c60658d44f1baf51451f094c3b3e6aaa7e077b3ee005e)
  find_doctest()
endif()
if(NOT DOCTEST_INCLUDE_DIR)
  message(STATUS "${UNPACKING_OUTPUT}")
  message(
    FATAL_ERROR
      "doctest (2.4.9 or newer), which the tests are written with, was not found: install the package "
      "doctest-dev, set DOCTEST_INCLUDE_DIR to the folder above doctest/doctest.h or, on Debian, give "
      "this machine access to a mirror.")
endif()
message(STATUS "doctest: ${DOCTEST_INCLUDE_DIR}")
add_library(doctest::doctest INTERFACE IMPORTED GLOBAL)
target_include_directories(doctest::doctest INTERFACE ${DOCTEST_INCLUDE_DIR})
# What handles signals are sanitizers.
target_compile_definitions(doctest::doctest INTERFACE DOCTEST_CONFIG_NO_POSIX_SIGNALS)
