// JSON of records that adafuse-deploy writes, read by nlohmann/json.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace adafuse {

using Json = nlohmann::json;

// Reads one JSON text (RFC 8259), strictly: no byte-order mark, no NUL, UTF-8 throughout, numbers
// within double's range, no key twice in an object, at most 64 levels.  Throws std::runtime_error
// that says what is wrong and where.
Json parse_json(std::string_view text);

bool is_utf8(const std::string& text);

}  // namespace adafuse
