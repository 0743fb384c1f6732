// The inner loop of the convolution: a few output channels times a few vectors of pixels.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/processor.h"

namespace adafuse {

// No implementation computes more output channels in one call.
constexpr std::size_t kMaxGemmMr = 8;

// One variant; the loops around it are the same for all.
struct GemmKernel {
  InstructionSet instruction_set;
  std::size_t mr;       // output channels of one call at most, up to kMaxGemmMr
  std::size_t nr;       // pixels of one call at most
  std::size_t nr_step;  // pixels come in multiples of this: a vector

  // For r < rows and p < width:
  //   accumulators[r * stride + p] += sum over k < depth of
  //                                weights[r][offsets[k]] * pixels[k * width + p]
  // The offsets let a call use any choice of input channels without copying weights.  `width` is a
  // multiple of `nr_step`; `accumulators`, `pixels` and `stride` are aligned to vectors.
  void (*run)(std::size_t rows, std::size_t width, std::size_t depth, const float* const* weights,
              const std::uint32_t* offsets, const float* pixels, float* accumulators,
              std::size_t stride);
};

// The implementations this processor can run, best first.
const std::vector<const GemmKernel*>& gemm_kernels();

}  // namespace adafuse
