// Files that are no model of ours are refused with a reason.
#include <cstdio>
#include <fstream>
#include <string>

#include "adafuse/errors.hpp"
#include "adafuse/metadata.hpp"
#include "tests/check.h"

namespace {

const char* const kFile = "test_metadata.onnx";

template <class Error>
void check_refused(const std::string& bytes, const std::string& reason) {
  std::ofstream(kFile, std::ios::binary) << bytes;
  try {
    adafuse::read_metadata(kFile);
  } catch (const Error& error) {
    CHECK(std::string(error.what()).find(reason) != std::string::npos);
    return;
  }
  CHECK(!"an exception");
}

// A model with one entry of metadata_props (field 14: 0x72), of a key (0x0A) and a value (0x12).
std::string model_with(const std::string& json) {
  const auto field = [](char tag, const std::string& content) {
    return std::string{tag, static_cast<char>(content.size())} + content;
  };
  return field('\x72', field('\x0A', "adafuse") + field('\x12', json));
}

}  // namespace

int main() {
  using adafuse::IncompatibleArtifactError;
  using adafuse::InputError;
  std::remove(kFile);
  try {
    adafuse::read_metadata(kFile);
    CHECK(!"an exception");
  } catch (const InputError& error) {
    CHECK(std::string(error.what()).find("There is no graph") == 0);
    CHECK(error.exit_code() == 1);
  }
  check_refused<InputError>("", "carries no adafuse-deploy metadata");
  check_refused<InputError>("no model", "is not a readable ONNX file");
  const std::string good = model_with("{}");
  check_refused<InputError>(good.substr(0, good.size() - 1), "is not a readable ONNX file");
  check_refused<InputError>(model_with("{\"schema\":1"), "is damaged (expected }");
  check_refused<InputError>(model_with("{\"schema\":1}"), "is damaged ('config' is missing)");
  check_refused<IncompatibleArtifactError>(model_with("{\"schema\":2,\"tool_version\":\"9\"}"),
                                           "has metadata schema 2 (adafuse-deploy 9)");
  std::remove(kFile);
}
