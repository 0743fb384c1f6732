// A GEMM micro-kernel that counts the multiply-accumulates asked of it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "microkernels/gemm_nchw/gemm.h"

namespace adafuse {

// Multiply-accumulates since count_macs(); tests that count run in one thread.
inline std::size_t counted_macs;
inline const GemmKernel* counted_kernel;

// Begins at zero.  `kernel` must outlive what is returned.
inline GemmKernel count_macs(const GemmKernel& kernel) {
  counted_kernel = &kernel;
  counted_macs = 0;
  GemmKernel result = kernel;
  result.run = [](std::size_t rows, std::size_t width, std::size_t depth,
                  const float* const* weights, const std::uint32_t* offsets, const float* pixels,
                  float* sums, std::size_t sums_stride) {
    counted_macs += rows * width * depth;
    counted_kernel->run(rows, width, depth, weights, offsets, pixels, sums, sums_stride);
  };
  return result;
}

}  // namespace adafuse
