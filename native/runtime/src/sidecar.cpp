#include "src/sidecar.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <utility>

#include "adafuse/errors.hpp"
#include "src/parse_metadata.h"
#include "src/schema.h"
#include "src/sha256.h"

namespace adafuse {
namespace {

namespace fs = std::filesystem;

std::string joined(const std::vector<std::string>& items) {
  std::string result;
  for (const std::string& item : items) {
    result += (result.empty() ? "" : ", ") + item;
  }
  return result;
}

// "8.6" or "8.6+" as a pair that compares.
std::pair<int, int> version_of(const std::string& capability) {
  std::size_t point = 0;
  const int major = std::stoi(capability, &point);
  return {major, std::stoi(capability.substr(point + 1))};
}

// Whether "8.6" or "8.0+", that and newer, includes a compute capability.
bool covers(const std::string& entry, const std::string& capability) {
  if (entry.empty() || entry.back() != '+') return entry == capability;
  return version_of(capability) >= version_of(entry);
}

std::string text_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
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
    const Json values = parse_json(text_of(path));
    check_record(values, sidecar_schema(), path, "sidecar", "build the engine again");
    values.at("engine_sha256").get_to(expected);
    values.at("backend").get_to(result.backend);
    values.at("backend_version").get_to(result.backend_version);
    values.at("compute_capabilities").get_to(result.compute_capabilities);
    const Json& batch = values.at("batch");
    batch.at("min").get_to(result.min_batch);
    batch.at("max").get_to(result.max_batch);
    if (batch.at("opt") < batch.at("min") || batch.at("opt") > batch.at("max")) {
      throw std::runtime_error("batch sizes need min <= opt <= max");
    }
    if (const Json& operators = values.at("operators"); !operators.is_null()) {
      operators.at("sha256").get_to(result.plugins_sha256);
      operators.at("embedded").get_to(result.plugins_embedded);
    }
    result.metadata = parse_metadata(values.at("metadata"), path);
  } catch (const IncompatibleArtifactError&) {
    throw;
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
