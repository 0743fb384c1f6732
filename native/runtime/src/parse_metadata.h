// The record that adafuse-deploy writes into graphs and sidecars.
#pragma once

#include "adafuse/metadata.hpp"
#include "src/json.h"

namespace adafuse {

// Throws std::runtime_error that says what is wrong.
Metadata parse_metadata(const Json& values);

}  // namespace adafuse
