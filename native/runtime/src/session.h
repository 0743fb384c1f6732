// One graph in ONNX Runtime, with its metadata.
#pragma once

#include <string>
#include <vector>

#include "adafuse/engine.hpp"
#include "ort/api.h"

namespace adafuse {

// Tensors under the names of a graph's inputs or outputs.
struct NamedValues {
  std::vector<std::string> names;
  std::vector<Ort::Value> values;

  void add(const std::string& name, Ort::Value value) {
    names.push_back(name);
    values.push_back(std::move(value));
  }
};

class Session {
 public:
  Session(const std::string& path, const EngineOptions& options);

  // Runs the graph; outputs without a value get one.  Any number of threads may call it.  Throws
  // IncompatibleArtifactError where the runtime stops.
  void run(const NamedValues& inputs, NamedValues& outputs) const;

  const Metadata metadata;
  const bool with_library;  // conditional kernels run, not function bodies
  // The runtime in words.
  std::string name() const {
    return with_library ? "onnxruntime + operator library" : "onnxruntime";
  }

 private:
  const std::string path_;
  // ONNX Runtime declares a run as a change of the session although it is none.
  mutable Ort::Session session_{nullptr};
};

// Views of floats that a run reads: all of them, or `count` along the first axis.
Ort::Value view(const Tensor<float>& tensor);
Ort::Value view(const Tensor<float>& tensor, std::int64_t first, std::int64_t count);
// Copies of a run's outputs.  Throw IncompatibleArtifactError where an output has another type or
// shape than the metadata say: logits of `shape`, and actions (rows * frames, C) or (rows, frames,
// C) from int32 as (rows, frames, C).
Tensor<float> to_logits(const Ort::Value& value, const Shape& shape);
Tensor<std::uint8_t> to_policy(const Ort::Value& value, std::int64_t rows, std::int64_t frames);

// The names "policy_00", "policy_01", ... without values.
void add_policies(const Metadata& metadata, NamedValues& outputs);

std::string to_string(const Shape& shape);  // "(1, 2, 3)"

}  // namespace adafuse
