// open_tensorrt() of a library that was built without TensorRT.
#include "adafuse/errors.hpp"
#include "src/clip_engine.h"

namespace adafuse {

std::shared_ptr<const ClipEngine> open_tensorrt(const std::string& path, const Sidecar&) {
  throw MissingDependencyError("This library was built without TensorRT, so it cannot run " + path +
                               ": build it with -DADAFUSE_RUNTIME_TENSORRT=ON, or run the ONNX "
                               "file that the engine was built from.");
}

}  // namespace adafuse
