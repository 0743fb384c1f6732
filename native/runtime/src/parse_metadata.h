// The record that adafuse-deploy writes into graphs and sidecars.
#pragma once

#include <string>

#include "adafuse/metadata.hpp"
#include "src/json.h"

namespace adafuse {

// The record of `source`, a file that errors name.  Throws IncompatibleArtifactError when another
// version wrote it, std::runtime_error that says what is wrong when it is damaged.
Metadata parse_metadata(const Json& values, const std::string& source);

}  // namespace adafuse
