#include "src/operator_library.h"

#include <dlfcn.h>

#include <cstdlib>
#include <filesystem>

#include "adafuse/errors.hpp"

namespace adafuse {
namespace {

constexpr const char* kFileName = "libadafuse_onnxruntime.so";
constexpr const char* kVariable = "ADAFUSE_OPERATOR_LIBRARY";

std::string existing(const std::string& path, const std::string& origin) {
  if (!std::filesystem::is_regular_file(path)) {
    throw MissingDependencyError("The operator library " + path + ", " + origin +
                                 ", is not a file: correct the path or leave it out to use the "
                                 "installed library.");
  }
  return std::filesystem::absolute(path);
}

std::filesystem::path own_folder() {
  Dl_info info{};
  dladdr(reinterpret_cast<const void*>(&find_operator_library), &info);
  return std::filesystem::absolute(info.dli_fname).parent_path();
}

}  // namespace

std::string find_operator_library(const std::string& given) {
  if (!given.empty()) {
    return existing(given, "given");
  }
  const char* named = std::getenv(kVariable);
  if (named != nullptr && *named != '\0') {
    return existing(named, std::string("named by ") + kVariable);
  }
  const std::filesystem::path folder = own_folder();
  if (!std::filesystem::is_regular_file(folder / kFileName)) {
    throw MissingDependencyError("The operator library " + std::string(kFileName) +
                                 " is not installed in " + folder.string() +
                                 ": install the C++ runtime again, or run without the operator "
                                 "library (use_operator_library = false).");
  }
  return folder / kFileName;
}

}  // namespace adafuse
