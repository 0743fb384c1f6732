// NCHW tensors to NHWC frames.
#pragma once

#include <cstddef>

#include "base/parallel_for.h"
#include "layout/nhwc_layout.h"

namespace adafuse {

// Writes `input` (frames, channels, height, width) to `output`, frames of `layout`, and its means
// over pixels to `pooled` (frames, channels).  In kInt8 a value is `scale` times the stored
// integer.
void nchw_to_nhwc(const float* input, std::size_t frames, std::size_t channels,
                  const NhwcLayout& layout, Precision precision, float scale, char* output,
                  float* pooled, const ParallelFor& parallel_for);

}  // namespace adafuse
