// Constants of a node, fixed when a session is made: weights and attributes.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "base/huge_pages.h"
#include "microkernels/igemm_nhwc/packed_b.h"
#include "ort/api.h"

namespace adafuse {

// A convolution with a square kernel, held while its weights are packed.
struct ConstantConv {
  std::vector<float> values;  // copies of weights that are not float32
  ConvWeights weights;
};

// Inputs of a node per convolution: weights and biases, and scales if the weights are int8.
constexpr std::size_t inputs_per_conv(bool quantized) {
  return quantized ? 3 : 2;
}

// The convolution whose weights, float32 or bfloat16 or, if `quantized`, int8, are input `index`,
// followed by biases and, if `quantized`, by scales per output (weight = scale * integer); called
// W, B and S with `suffix` in messages.  Weights are (outputs, inputs, k, k) or, in float32,
// (panels, taps, inputs * kStoredPanel).  Nothing when all are absent.  Throws
// std::invalid_argument when they do not fit each other or some are absent.
std::optional<ConstantConv> read_conv(const Ort::ConstKernelInfo& info, std::size_t index,
                                      const std::string& suffix, bool quantized);

// A convolution as of read_conv() that must be there.  Throws std::invalid_argument where it is
// not.
ConstantConv read_needed_conv(const Ort::ConstKernelInfo& info, std::size_t index,
                              const std::string& suffix, bool quantized);

// Whether the node has an input of this number.
bool is_given(const Ort::ConstKernelInfo& info, std::size_t index);

// Adds the memory of an input to `memory` if it is a constant of floating-point type.
void add_constant(WrittenMemory& memory, const Ort::ConstKernelInfo& info, std::size_t index);

}  // namespace adafuse
