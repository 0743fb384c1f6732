// An engine that runs clips and is no graph: TensorRT's.
#pragma once

#include <memory>
#include <string>

#include "adafuse/prediction.hpp"
#include "src/sidecar.h"

namespace adafuse {

class ClipEngine {
 public:
  explicit ClipEngine(Metadata of_metadata) : metadata(std::move(of_metadata)) {}
  virtual ~ClipEngine() = default;

  // Runs normalised clips of the right shape.  Any number of threads may call it.
  virtual Prediction run(const Tensor<float>& clips) const = 0;

  const Metadata metadata;
};

// Opens an engine of TensorRT.  Throws MissingDependencyError when TensorRT, a GPU or its driver is
// missing, or when this library was built without TensorRT; IncompatibleArtifactError when the
// engine was built for others.
std::shared_ptr<const ClipEngine> open_tensorrt(const std::string& path, const Sidecar& sidecar);

}  // namespace adafuse
