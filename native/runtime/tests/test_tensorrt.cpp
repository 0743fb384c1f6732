// Engines that do not fit are refused before TensorRT is asked; so is a machine without TensorRT.
#include <dlfcn.h>
#include <doctest/doctest.h>

#include <cstdio>
#include <fstream>
#include <string>

#include "adafuse/engine.hpp"
#include "tests/vectors.h"

namespace {

const std::string kPath = "test_tensorrt.engine";

// An empty engine with a sidecar, some of whose fields differ from those of a sound one.
void write(const nlohmann::json& changes) {
  nlohmann::json sidecar = adafuse::read_vectors("records_0.1.0")["sidecar"];
  sidecar.update(changes);
  std::ofstream(kPath) << "";
  std::ofstream(kPath + ".json") << sidecar;
}

template <class Error>
std::string refusal() {
  try {
    adafuse::Engine engine(kPath);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("TensorRT engines that do not fit") {
  using adafuse::IncompatibleArtifactError;
  write({{"backend", "tensorrt-rtx"}});
  CHECK(contains(refusal<IncompatibleArtifactError>(), "does not run"));
  write({{"operators", nlohmann::json::object()}});
  CHECK(contains(refusal<IncompatibleArtifactError>(), "cannot be read as the sidecar"));
  write({{"operators", nullptr}});
  std::ofstream(kPath) << "changed";
  CHECK(contains(refusal<IncompatibleArtifactError>(), "was changed"));
  write({{"operators", nullptr}});
  if (dlopen("libnvinfer.so.10", RTLD_NOW) == nullptr &&
      dlopen("libnvinfer.so.11", RTLD_NOW) == nullptr) {
    CHECK(contains(refusal<adafuse::MissingDependencyError>(), "TensorRT cannot be loaded"));
  } else {
    CHECK(contains(refusal<IncompatibleArtifactError>(), "built by tensorrt 10.3.0.26"));
  }
  std::remove((kPath + ".json").c_str());
  CHECK(contains(refusal<IncompatibleArtifactError>(), "beside it"));
  std::remove(kPath.c_str());
  CHECK(contains(refusal<adafuse::InputError>(), "There is no engine"));
}
