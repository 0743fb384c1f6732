// Convolution of video frames that computes only the channels its policies ask for.
#pragma once

#include <cstddef>

#include "base/parallel_for.h"
#include "base/workspace.h"
#include "layout/conv_shape.h"
#include "microkernels/gemm_nchw/gemm.h"
#include "policy/channel_selection.h"

namespace adafuse {

// Dense float32 tensors; the sizes are those of the ConvShape.
struct ConvTensors {
  const float* input;   // (frames, in_channels, in_height, in_width)
  const float* weight;  // (out_channels, in_channels, kernel_height, kernel_width)
  const float* bias;    // (out_channels)
  float* output;        // (frames, out_channels, out_height, out_width)
};

// Let R be the convolution of the input.  With `policy` (channels = out_channels) an output channel
// is R where it keeps, R of the previous frame where it reuses (zeros in a clip's first frame) and
// zeros where it skips; only the channels of R that appear in the output are computed.  Without it
// (null) the output is R.
//
// `input_policy` (channels = in_channels; may be null) promises that the input is zero where it
// skips or reuses in a clip's first frame: those channels are not read.
//
// The result does not depend on how `parallel_for` spreads the work.
void conditional_conv(const ConvShape& shape, const ConvTensors& tensors, const Policy* policy,
                      const Policy* input_policy, const ParallelFor& parallel_for,
                      Workspaces& workspaces, const GemmKernel& kernel = *gemm_kernels().front());

}  // namespace adafuse
