// Vectors that C++ and Python must both answer: tests/vectors, made by scripts/make_vectors.py.
#pragma once

#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>

namespace adafuse {

// One file of tests/vectors.
inline nlohmann::json read_vectors(const std::string& name) {
  std::ifstream file(ADAFUSE_VECTORS "/" + name + ".json");
  if (!file) {
    throw std::runtime_error("there is no " ADAFUSE_VECTORS "/" + name + ".json");
  }
  return nlohmann::json::parse(file);
}

// The cases of a file, of which there are four at least.
inline nlohmann::json read_cases(const std::string& name) {
  nlohmann::json cases = read_vectors(name).at("cases");
  if (cases.size() < 4) {
    throw std::runtime_error(name + ".json has too few cases");
  }
  return cases;
}

// The bytes of base64 (RFC 4648) text.
inline std::string decode_base64(const std::string& text) {
  const std::string alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string bytes;
  unsigned bits = 0;
  int count = 0;
  for (const char c : text.substr(0, text.find('='))) {
    bits = bits << 6 | static_cast<unsigned>(alphabet.find(c));
    count += 6;
    if (count >= 8) {
      count -= 8;
      bytes += static_cast<char>(bits >> count & 0xFF);
    }
  }
  return bytes;
}

}  // namespace adafuse
