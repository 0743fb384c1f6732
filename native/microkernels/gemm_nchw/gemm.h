// GEMM micro-kernels on NCHW: a tile of C (MR output channels x NR pixels) from rows of weights, A,
// and packed pixels, B.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/processor.h"

namespace adafuse {

// The largest MR of all variants.
constexpr std::size_t kMaxGemmMr = 8;

// One variant: an instruction set, a row of variants.cmake.
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

// The variants that this processor can run, the best first.
const std::vector<const GemmKernel*>& gemm_kernels();

}  // namespace adafuse
