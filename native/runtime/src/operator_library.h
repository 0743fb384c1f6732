// Paths of the library of conditional kernels and of the plugin library.
#pragma once

#include <string>

namespace adafuse {

// The given file; or, when `given` is empty, the one that ADAFUSE_OPERATOR_LIBRARY names, or else
// the one beside this library.  Throws MissingDependencyError when there is no such file.
std::string find_operator_library(const std::string& given);

// Returns the path of the plugin library for TensorRT, or throws MissingDependencyError.
std::string find_plugin_library();

}  // namespace adafuse
