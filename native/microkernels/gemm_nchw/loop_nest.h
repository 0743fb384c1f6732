// The loop nest of convolutions on NCHW: chosen output and input channels, frame by frame.
#pragma once

#include <cstddef>
#include <functional>
#include <vector>

#include "base/parallel_for.h"
#include "base/workspace.h"
#include "layout/conv_shape.h"
#include "microkernels/gemm_nchw/gemm.h"
#include "policy/channel_selection.h"

namespace adafuse {

// A frame to convolve.
struct ConvFrame {
  const float* input;    // (in_channels, in_height, in_width)
  ChannelList computed;  // output channels
  ChannelList read;      // input channels; the others count as zeros
};

// Some computed channels of one frame at some consecutive pixels.
struct GemmTile {
  std::size_t frame;
  std::size_t first_pixel;
  std::size_t pixels;
  ChannelList channels;
  bool is_first;  // of all tiles of this frame at these pixels; one is, even if it has no channels
  const float* accumulators;  // (channels.size, stride)
  std::size_t stride;
};

// Calls `finish` with every tile when it is computed, from any thread.  The sizes are those of the
// shape (its frames are not looked at); weight (out_channels, in_channels, kernel_height,
// kernel_width), bias (out_channels).
void convolve_nchw(const ConvShape& shape, const float* weight, const float* bias,
                   const std::vector<ConvFrame>& frames, const ParallelFor& parallel_for,
                   const GemmKernel& kernel, Workspaces& workspaces,
                   const std::function<void(const GemmTile&)>& finish);

}  // namespace adafuse
