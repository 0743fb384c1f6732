// Inputs and outputs of GatedResidualBlock, in order.
#pragma once

#include <cstdint>
#include <vector>

#include "tensorrt/block_plan.h"

namespace adafuse::plugin {

enum class Element { stored, float32, int32 };  // stored: as the frames, float16 or float32

// Element type and dimensions of one of them.
struct TensorSpec {
  Tensor tensor;
  Element element;
  std::vector<std::int64_t> dims;
};

// The tensors for `rows` frames, whole clips.
std::vector<TensorSpec> inputs_of(const Block& block, std::int64_t rows);
std::vector<TensorSpec> outputs_of(const Block& block, std::int64_t rows);

}  // namespace adafuse::plugin
