// The way into the fused blocks' layout.
#pragma once

#include <cstddef>

#include "kernels/frame_layout.h"
#include "kernels/parallel_for.h"

namespace adafuse {

// Rewrites `rows` frames (channels, height, width) with channels innermost and gives the means over
// each frame, (rows, channels).  In kInt8 a stored value of one stands for `scale`.
void to_channels_last(const float* input, std::size_t rows, std::size_t channels,
                      const FrameLayout& layout, Precision precision, float scale, char* output,
                      float* pooled, const ParallelFor& parallel_for);

}  // namespace adafuse
