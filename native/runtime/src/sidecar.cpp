#include "src/sidecar.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "adafuse/errors.hpp"
#include "src/json.h"
#include "src/parse_metadata.h"
#include "src/sha256.h"

namespace adafuse {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kSchema = 1;

std::string joined(const std::vector<std::string>& items) {
  std::string result;
  for (const std::string& item : items) {
    result += (result.empty() ? "" : ", ") + item;
  }
  return result;
}

// Whether "8.6" or "8.0+", that and newer, includes a compute capability.
bool covers(const std::string& entry, const std::string& capability) {
  if (entry.empty() || entry.back() != '+') return entry == capability;
  return std::strtod(capability.c_str(), nullptr) >= std::strtod(entry.c_str(), nullptr);
}

Json parse(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  return Json::parse(text);
}

}  // namespace

bool is_engine(const std::string& path) {
  const std::string suffix = fs::path(path).extension();
  return suffix == ".engine" || suffix == ".plan";
}

Sidecar read_sidecar(const std::string& engine) {
  const std::string path = engine + ".json";
  const std::string name = fs::path(path).filename();
  if (!fs::is_regular_file(engine)) {
    throw InputError("There is no engine " + engine + "; 'adafuse-deploy build-engine' makes one.");
  }
  if (!fs::is_regular_file(path)) {
    throw IncompatibleArtifactError(engine + " has no " + name +
                                    " beside it, so nothing says what it fits; copy the two "
                                    "together, or build it again with 'adafuse-deploy "
                                    "build-engine'.");
  }
  Sidecar result;
  std::string expected;
  try {
    const Json values = parse(path);
    const std::int64_t schema = values["schema"].integer();
    if (schema != kSchema) {
      throw std::runtime_error("it has schema " + std::to_string(schema) + ", not " +
                               std::to_string(kSchema));
    }
    expected = values["engine_sha256"].string();
    result.backend = values["backend"].string();
    result.backend_version = values["backend_version"].string();
    for (const Json& capability : values["compute_capabilities"].array()) {
      result.compute_capabilities.push_back(capability.string());
    }
    result.min_batch = values["batch"]["min"].integer();
    result.max_batch = values["batch"]["max"].integer();
    if (!values["operators"].is_null()) {
      result.plugins_sha256 = values["operators"]["sha256"].string();
      result.plugins_embedded = values["operators"]["embedded"].boolean();
    }
    result.metadata = parse_metadata(values["metadata"]);
  } catch (const std::exception& error) {
    throw IncompatibleArtifactError(path + " cannot be read as the sidecar of an engine (" +
                                    error.what() + "); build the engine again.");
  }
  const std::string actual = sha256(engine);
  if (actual != expected) {
    throw IncompatibleArtifactError(
        engine + " has SHA-256 " + actual.substr(0, 12) + "... but " + name + " describes " +
        expected.substr(0, 12) +
        "...: the engine was changed or cut short, or the two do not belong together; copy both "
        "again or build it again.");
  }
  return result;
}

void Sidecar::check_runtime(const std::string& engine, const std::string& version) const {
  if (version != backend_version) {
    throw IncompatibleArtifactError(
        engine + " was built by " + backend + " " + backend_version + ", but this is " + version +
        "; engines run only in the version that built them: build it again with 'adafuse-deploy "
        "build-engine', or install " +
        backend + " " + backend_version + ".");
  }
}

void Sidecar::check_gpu(const std::string& engine, const std::string& capability) const {
  const auto fits = [&](const std::string& entry) { return covers(entry, capability); };
  if (std::none_of(compute_capabilities.begin(), compute_capabilities.end(), fits)) {
    throw IncompatibleArtifactError(engine + " was built for compute capability " +
                                    joined(compute_capabilities) + ", but this GPU has " +
                                    capability +
                                    "; build it again for this GPU with 'adafuse-deploy "
                                    "build-engine'.");
  }
}

}  // namespace adafuse
