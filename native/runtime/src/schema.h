// Records are checked by the JSON Schemas of adafuse_deploy/schema, which the Python package reads
// too.
#pragma once

#include <string>

#include "src/json.h"

namespace adafuse {

// The schemas as they were when this library was built.
const Json& metadata_schema();
const Json& sidecar_schema();

// Throws IncompatibleArtifactError when the record `values` of the file `source` has another schema
// version or a field that `schema` does not know: another adafuse-deploy wrote it.  Throws
// std::runtime_error that names a field whose value `schema` does not allow.  `kind` is "metadata"
// or "sidecar", `remedy` what makes the record anew.
//
// Supported keywords of JSON Schema, those that our schemas use: $ref (to #/$defs), type, const,
// enum, minimum, maximum, exclusiveMinimum, maxLength, pattern, items, minItems, maxItems,
// properties, required and additionalProperties.
void check_record(const Json& values, const Json& schema, const std::string& source,
                  const std::string& kind, const std::string& remedy);

}  // namespace adafuse
