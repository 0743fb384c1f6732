// What a node fixes when a session is made: constant weights and attributes.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "kernels/packed_weights.h"
#include "onnxruntime/api.h"

namespace adafuse {

// A convolution with a square kernel: its weights at input `index` and its biases behind them,
// called W and B with `suffix` in messages; nothing when either is absent.
std::optional<ConvWeights> read_conv(const Ort::ConstKernelInfo& info, std::size_t index,
                                     const std::string& suffix);

// An attribute that counts something.
std::size_t read_count(const Ort::ConstKernelInfo& info, const char* name);

}  // namespace adafuse
