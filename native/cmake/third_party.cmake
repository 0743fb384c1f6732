# The headers of third_party as targets: onnxruntime_headers, nlohmann_json and doctest.
set(third_party ${CMAKE_CURRENT_LIST_DIR}/../third_party)

add_library(onnxruntime_headers INTERFACE)
target_include_directories(onnxruntime_headers SYSTEM INTERFACE ${third_party}/onnxruntime)
add_library(nlohmann_json INTERFACE)
target_include_directories(nlohmann_json SYSTEM INTERFACE ${third_party})
add_library(doctest INTERFACE)
target_include_directories(doctest SYSTEM INTERFACE ${third_party})
# What handles signals are sanitizers.
target_compile_definitions(doctest INTERFACE DOCTEST_CONFIG_NO_POSIX_SIGNALS)
