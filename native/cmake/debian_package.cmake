# Headers that this machine lacks come from a package of Debian, unpacked into the build folder.
set(UNPACKED_PACKAGES ${CMAKE_BINARY_DIR}/debian/usr)
set(fetch_debian_package ${CMAKE_CURRENT_LIST_DIR}/fetch_debian_package.sh)

# Unpacks a package into UNPACKED_PACKAGES; a third argument is the SHA-256 of the package's file.
# UNPACKING_OUTPUT says what went wrong to those who then do not find what they wanted.
macro(unpack_debian_package package)
  message(STATUS "Unpacking Debian's package ${package}, which is not on this machine")
  execute_process(
    COMMAND sh ${fetch_debian_package} ${CMAKE_BINARY_DIR}/debian ${package} ${ARGN}
    OUTPUT_VARIABLE UNPACKING_OUTPUT
    ERROR_VARIABLE UNPACKING_OUTPUT)
endmacro()
