// Convolution of the next frame of every stream that computes only the channels the policies ask
// for.
#pragma once

#include <cstdint>

#include "base/parallel_for.h"
#include "base/workspace.h"
#include "layout/conv_shape.h"
#include "microkernels/gemm_nchw/gemm.h"
#include "policy/channel_selection.h"

namespace adafuse {

// Dense tensors; the sizes are those of the ConvShape, which has one frame of each stream.  Zeros
// in previous_input, previous_raw and missing begin a stream.
struct StreamConvTensors {
  const float* input;           // (frames, in_channels, in_height, in_width)
  const float* weight;          // (out_channels, in_channels, kernel_height, kernel_width)
  const float* bias;            // (out_channels)
  const float* previous_input;  // the input of the frame before
  const float*
      previous_raw;  // (frames, out_channels, out_height, out_width): `raw` of the frame before
  const std::int32_t* missing;  // (frames, out_channels): `next_missing` of the frame before
  float* output;                // shape of previous_raw
  float* raw;                   // shape of previous_raw: the convolution, written where not missing
  std::int32_t* next_missing;   // 1 where `raw` was not computed, else 0
};

// Let R be the convolution of the input.  An output channel is R where `policy` (channels =
// out_channels) keeps, R of the previous frame where it reuses and zeros where it skips.  Computed
// are kept channels and, from the previous input, reused channels that are missing.  Over all
// frames of a stream this is what conditional_conv() computes for one clip of them.
//
// The input policies (channels = in_channels; may be null) promise that the input and the previous
// input are zero where they skip: those channels are not read.
void stream_conv(const ConvShape& shape, const StreamConvTensors& tensors, const Policy& policy,
                 const Policy* input_policy, const Policy* previous_input_policy,
                 const ParallelFor& parallel_for, Workspaces& workspaces,
                 const GemmKernel& kernel = *gemm_kernels().front());

}  // namespace adafuse
