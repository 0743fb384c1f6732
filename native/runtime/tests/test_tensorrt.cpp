// Engines that do not fit are refused before TensorRT is asked; so is a machine without TensorRT.
#include <dlfcn.h>

#include <cstdio>
#include <fstream>
#include <string>

#include "adafuse/engine.hpp"
#include "tests/check.h"

namespace {

const std::string kPath = "test_tensorrt.engine";

// An empty engine with a sidecar.
void write(const std::string& backend, const std::string& operators) {
  std::ofstream(kPath) << "";
  std::ofstream(kPath + ".json")
      << R"({"schema": 1, "engine_sha256": )"
      << R"("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "backend": ")"
      << backend << R"(", "backend_version": "0.0", "compute_capabilities": ["8.7"],)"
      << R"("batch": {"min": 1, "opt": 1, "max": 2}, "operators": )" << operators
      << R"(, "metadata": {"schema": 1, "mode": "clip", "precision": "fp32", "tool_version": "0",)"
      << R"("operators": {}, "gates": [], "layers": [], "state": [], "config": {"num_classes": 2,)"
      << R"("num_segments": 2, "consensus": "average", "class_names": [], "preprocessing": {)"
      << R"("resize": 8, "crop": 8, "mean": [0, 0, 0], "std": [1, 1, 1], "scale": 1,)"
      << R"("channel_order": "rgb"}}}})";
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

int main() {
  using adafuse::IncompatibleArtifactError;
  write("tensorrt-rtx", "null");
  CHECK(contains(refusal<IncompatibleArtifactError>(), "does not run"));
  write("tensorrt", "{}");
  CHECK(contains(refusal<IncompatibleArtifactError>(), "cannot be read as the sidecar"));
  write("tensorrt", "null");
  std::ofstream(kPath) << "changed";
  CHECK(contains(refusal<IncompatibleArtifactError>(), "was changed"));
  write("tensorrt", "null");
  if (dlopen("libnvinfer.so.10", RTLD_NOW) == nullptr &&
      dlopen("libnvinfer.so.11", RTLD_NOW) == nullptr) {
    CHECK(contains(refusal<adafuse::MissingDependencyError>(), "TensorRT cannot be loaded"));
  } else {
    CHECK(contains(refusal<IncompatibleArtifactError>(), "built by tensorrt 0.0"));
  }
  std::remove((kPath + ".json").c_str());
  CHECK(contains(refusal<IncompatibleArtifactError>(), "beside it"));
  std::remove(kPath.c_str());
  CHECK(contains(refusal<adafuse::InputError>(), "There is no engine"));
}
