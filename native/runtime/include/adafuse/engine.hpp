// A network that adafuse-deploy exported, ready to run in ONNX Runtime or, as an engine, TensorRT.
#pragma once

#include <memory>
#include <string>

#include "adafuse/errors.hpp"
#include "adafuse/export.h"
#include "adafuse/macs.hpp"
#include "adafuse/metadata.hpp"
#include "adafuse/prediction.hpp"
#include "adafuse/preprocess.hpp"
#include "adafuse/sampling.hpp"
#include "adafuse/stream.hpp"
#include "adafuse/tensor.hpp"

namespace adafuse {

class ClipEngine;
class Session;

// Options of graphs in ONNX Runtime; engines of TensorRT have none.
struct EngineOptions {
  // Whether conditional kernels run; else the graph's function bodies do, which compute every
  // channel.
  bool use_operator_library = true;
  // File of the operator library; "" is the file that ADAFUSE_OPERATOR_LIBRARY names, or else the
  // one beside this library.
  std::string operator_library;
  int threads = 0;  // of one operator; 0 lets ONNX Runtime choose (one per core)
};

// Any number of threads may use one engine at the same time.
class ADAFUSE_API Engine {
 public:
  // Opens a graph (.onnx) or an engine (.engine, .plan) with its sidecar.  Throws InputError,
  // MissingDependencyError or IncompatibleArtifactError.
  explicit Engine(const std::string& path, const EngineOptions& options = {});
  Engine(Engine&&) noexcept;
  Engine& operator=(Engine&&) noexcept;
  ~Engine();

  const Metadata& metadata() const;

  // The runtime in the words of Python's Engine.name: "onnxruntime + operator library",
  // "onnxruntime", or the backend that an engine was built for.
  const std::string& name() const;

  // Recognises normalised clips (B, T, 3, H, W).  What was exported for streams takes them frame by
  // frame.  Throws InputError for another shape or for NaN and infinity, NotFiniteError when the
  // network answers with these.
  Prediction run(const Tensor<float>& clips) const;

  // Opens streams.  Throws InputError when the graph or engine runs clips only, or for a wrong
  // option.
  Stream stream(const StreamOptions& options = {}) const;

 private:
  Prediction run_checked(const Tensor<float>& clips) const;

  std::shared_ptr<const Session> session_;    // of a graph, or null
  std::shared_ptr<const ClipEngine> engine_;  // or null
  std::string name_;
};

}  // namespace adafuse
