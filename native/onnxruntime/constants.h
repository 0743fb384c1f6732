// What a node fixes when a session is made: constant weights and attributes.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "kernels/packed_weights.h"
#include "onnxruntime/api.h"

namespace adafuse {

// A convolution with a square kernel, held while its weights are packed.
struct ConstantConv {
  std::vector<float> values;  // of weights that are not float32
  ConvWeights weights;
};

// How many inputs a convolution takes: weights and biases, and scales if the weights are int8.
constexpr std::size_t inputs_per_conv(bool quantized) {
  return quantized ? 3 : 2;
}

// The convolution whose weights, float32 or bfloat16, are input `index`, followed by biases and, if
// `quantized`, by what an integer of one stands for per output; called W, B and S with `suffix` in
// messages.  Weights are (outputs, inputs, k, k) or, in float32, (panels, taps, inputs *
// kStoredPanel).  Nothing when any is absent.
std::optional<ConstantConv> read_conv(const Ort::ConstKernelInfo& info, std::size_t index,
                                      const std::string& suffix, bool quantized);

// Moves a tensor that every run reads where it is into large pages, if it is constant.
void prefer_huge_pages(const Ort::ConstKernelInfo& info, std::size_t index);

// An attribute that counts something.
std::size_t read_count(const Ort::ConstKernelInfo& info, const char* name);

// The attribute `scales`: what an integer of one stands for in `count` activations.
std::vector<float> read_scales(const Ort::ConstKernelInfo& info, std::size_t count);

}  // namespace adafuse
