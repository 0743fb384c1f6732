# From the tables of variants (<family>/variants.cmake) to code: one object file per variant, compiled
# with the flags of its instruction set, and <family>_variants.inc, a line VARIANT(namespace, data type)
# for each of them.
#
# Tables are lists of rows whose columns are separated by "|".  Rows for other processors than the
# target's are left out.

set(ADAFUSE_GENERATED ${CMAKE_CURRENT_BINARY_DIR}/generated)

# The columns of a row, as a list in `result`.
function(adafuse_columns row result)
  string(REGEX REPLACE " *\\| *" ";" columns "${row}")
  list(TRANSFORM columns STRIP)
  set(${result} "${columns}" PARENT_SCOPE)
endfunction()

# Writes a file where its text has changed, so that nothing is compiled in vain.
function(adafuse_write file text)
  set(old "")
  if(EXISTS ${file})
    file(READ ${file} old)
  endif()
  if(NOT "${old}" STREQUAL "${text}")
    file(WRITE ${file} "${text}")
  endif()
endfunction()

# Sets ADAFUSE_LANES_<set> and ADAFUSE_FLAGS_<set> for the target's instruction sets and writes
# instruction_sets.inc: a line INSTRUCTION_SET(name, "shown as") each.
function(adafuse_instruction_sets)
  set(text "// Generated from base/instruction_sets.cmake.\n")
  foreach(row IN LISTS ADAFUSE_INSTRUCTION_SETS)
    adafuse_columns("${row}" columns)
    list(GET columns 0 name)
    list(GET columns 1 shown)
    list(GET columns 2 processors)
    list(GET columns 3 lanes)
    list(GET columns 4 flags)
    if((processors STREQUAL "x86_64" AND CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64)$")
       OR (processors STREQUAL "arm64_linux" AND CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64)$"
           AND CMAKE_SYSTEM_NAME STREQUAL "Linux")
       OR processors STREQUAL "any")
      string(APPEND text "INSTRUCTION_SET(${name}, \"${shown}\")\n")
      separate_arguments(flags UNIX_COMMAND "${flags}")
      set(ADAFUSE_LANES_${name} ${lanes} PARENT_SCOPE)
      set(ADAFUSE_FLAGS_${name} "${flags}" PARENT_SCOPE)
    endif()
  endforeach()
  adafuse_write(${ADAFUSE_GENERATED}/instruction_sets.inc "${text}")
endfunction()

# adafuse_microkernel(target family COLUMNS name... ROWS row...)
#
# A row begins with data type, instruction set and the header that implements it; the other columns
# are numbers with the given names.  The header is compiled once per row with the macros
#   VARIANT                  the namespace in which it defines `kernel`
#   VARIANT_TYPE             data type
#   VARIANT_VALUES           the header with the values of that type, in quotation marks
#   VARIANT_INSTRUCTION_SET  name of the instruction set
#   VARIANT_LANES            values of 32 bits in a vector
#   VARIANT_<column>         for every column
function(adafuse_microkernel target family)
  cmake_parse_arguments(PARSE_ARGV 2 table "" "" "COLUMNS;ROWS")
  set(list "// Generated from microkernels/${family}/variants.cmake, the best first.\n")
  set(sources)
  foreach(row IN LISTS table_ROWS)
    adafuse_columns("${row}" columns)
    list(GET columns 0 type)
    list(GET columns 1 set)
    list(GET columns 2 header)
    if(NOT DEFINED ADAFUSE_LANES_${set})
      continue()  # of another processor
    endif()
    set(variant ${family}_${type}_${set})
    set(text "// Generated from microkernels/${family}/variants.cmake.\n")
    string(APPEND text "#define VARIANT ${variant}\n#define VARIANT_TYPE ${type}\n"
                       "#define VARIANT_VALUES \"microkernels/simd/values_${type}.h\"\n"
                       "#define VARIANT_INSTRUCTION_SET ${set}\n"
                       "#define VARIANT_LANES ${ADAFUSE_LANES_${set}}\n")
    set(index 3)
    foreach(column IN LISTS table_COLUMNS)
      list(GET columns ${index} value)
      string(APPEND text "#define VARIANT_${column} ${value}\n")
      math(EXPR index "${index} + 1")
    endforeach()
    string(APPEND text "#include \"microkernels/${family}/${header}\"\n")
    set(source ${ADAFUSE_GENERATED}/${variant}.cpp)
    adafuse_write(${source} "${text}")
    set_source_files_properties(${source} PROPERTIES COMPILE_OPTIONS "${ADAFUSE_FLAGS_${set}}")
    list(APPEND sources ${source})
    string(APPEND list "VARIANT(${variant}, ${type})\n")
  endforeach()
  adafuse_write(${ADAFUSE_GENERATED}/${family}_variants.inc "${list}")
  target_sources(${target} PRIVATE ${sources})
endfunction()
