// SHA-256 (FIPS 180-4) of a file, as sidecars of engines record it.
#pragma once

#include <string>

namespace adafuse {

// 64 hexadecimal digits.  Throws std::runtime_error when the file cannot be read.
std::string sha256(const std::string& path);

}  // namespace adafuse
