// The way into the fused blocks' layout.
#pragma once

#include <cstddef>

#include "base/parallel_for.h"
#include "layout/nhwc_layout.h"

namespace adafuse {

// Rewrites `rows` frames (channels, height, width) with channels innermost and gives the means over
// each frame, (rows, channels).  In kInt8 a stored value of one stands for `scale`.
void to_channels_last(const float* input, std::size_t rows, std::size_t channels,
                      const FrameLayout& layout, Precision precision, float scale, char* output,
                      float* pooled, const ParallelFor& parallel_for);

}  // namespace adafuse
