// The inner loop of the convolution: a few output channels times a few vectors of pixels.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/processor.h"

namespace adafuse {

// No implementation computes more output channels in one call.
constexpr std::size_t kMaxMicroRows = 8;

// One variant; the loops around it are the same for all.
struct MicroKernel {
  InstructionSet instruction_set;
  std::size_t rows;     // most output channels of one call, at most kMaxMicroRows
  std::size_t lanes;    // floats of one vector
  std::size_t vectors;  // most vectors of one call

  // For r < rows and p < width:
  //   sums[r * sums_stride + p] += sum over k < depth of
  //                                weights[r][offsets[k]] * pixels[k * width + p]
  // Reading the weights through `offsets` is what lets a call use any choice of channels without
  // copying weights.  `width` is a multiple of `lanes`; `sums`, `pixels` and `sums_stride` are
  // aligned to vectors.
  void (*run)(std::size_t rows, std::size_t width, std::size_t depth, const float* const* weights,
              const std::uint32_t* offsets, const float* pixels, float* sums,
              std::size_t sums_stride);

  std::size_t max_width() const { return lanes * vectors; }
};

// The implementations this processor can run, best first.
const std::vector<const MicroKernel*>& microkernels();

}  // namespace adafuse
