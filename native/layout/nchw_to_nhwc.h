// NCHW tensors to NHWC frames.
#pragma once

#include <cstddef>

#include "base/parallel_for.h"
#include "layout/nhwc_layout.h"

namespace adafuse {

// Rewrites `frames` frames (channels, height, width) with channels innermost and gives the means
// over each pixels_of_frame, (frames, channels).  In kInt8 a stored value of one stands for
// `scale`.
void nchw_to_nhwc(const float* input, std::size_t frames, std::size_t channels,
                  const NhwcLayout& layout, Precision precision, float scale, char* output,
                  float* pooled, const ParallelFor& parallel_for);

}  // namespace adafuse
