#include "src/operator_library.h"

#include <dlfcn.h>

#include <cstdlib>
#include <filesystem>

#include "adafuse/errors.hpp"

namespace adafuse {
namespace {

std::string existing(const std::string& path, const std::string& what, const std::string& origin) {
  if (!std::filesystem::is_regular_file(path)) {
    throw MissingDependencyError("The " + what + " library " + path + ", " + origin +
                                 ", is not a file: correct the path or leave it out to use the "
                                 "installed library.");
  }
  return std::filesystem::absolute(path);
}

// Returns the library that a variable of the environment names, or the one beside this library.
std::string find(const std::string& what, const char* variable, const std::string& file_name,
                 const std::string& way_out) {
  const char* const named = std::getenv(variable);
  if (named != nullptr && *named != '\0') {
    return existing(named, what, std::string("named by ") + variable);
  }
  Dl_info info{};
  dladdr(reinterpret_cast<const void*>(&find_operator_library), &info);
  const auto folder = std::filesystem::absolute(info.dli_fname).parent_path();
  if (!std::filesystem::is_regular_file(folder / file_name)) {
    throw MissingDependencyError("The " + what + " library " + file_name + " is not installed in " +
                                 folder.string() + ": " + way_out + ".");
  }
  return folder / file_name;
}

}  // namespace

std::string find_operator_library(const std::string& given) {
  if (!given.empty()) {
    return existing(given, "operator", "given");
  }
  return find("operator", "ADAFUSE_OPERATOR_LIBRARY", "libadafuse_onnxruntime.so",
              "install the C++ runtime again, or run without the operator library "
              "(use_operator_library = false)");
}

std::string find_plugin_library() {
  return find("plugin", "ADAFUSE_TENSORRT_PLUGIN", "libadafuse_tensorrt.so",
              "build it with 'make plugin' and name it in ADAFUSE_TENSORRT_PLUGIN, or build the "
              "engine again with --plugins none");
}

}  // namespace adafuse
