// The JSON beside an engine, which says where the engine fits; as adafuse_deploy.engines.sidecar.
#pragma once

#include <string>
#include <vector>

#include "adafuse/metadata.hpp"

namespace adafuse {

struct Sidecar {
  std::string backend, backend_version;
  std::vector<std::string> compute_capabilities;
  std::int64_t min_batch = 1, max_batch = 1;
  std::string plugins_sha256;  // of the plugin library that the engine needs, or empty
  bool plugins_embedded = false;
  Metadata metadata;

  // Refuse another version of the runtime, or a GPU of another compute capability: both throw
  // IncompatibleArtifactError.
  void check_runtime(const std::string& engine, const std::string& version) const;
  void check_gpu(const std::string& engine, const std::string& capability) const;
};

// Whether a file is an engine, by its name.
bool is_engine(const std::string& path);

// Reads the sidecar of an engine and checks that it belongs to the file.  Throws InputError when
// there is no such engine, IncompatibleArtifactError when the sidecar is missing, damaged, of
// another schema or of another engine.
Sidecar read_sidecar(const std::string& engine);

}  // namespace adafuse
