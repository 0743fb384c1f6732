// Convolution of chosen channels of chosen frames: the loops that all convolutions of NCHW share.
#pragma once

#include <cstddef>
#include <functional>
#include <vector>

#include "base/parallel_for.h"
#include "layout/conv_shape.h"
#include "microkernels/gemm_nchw/gemm.h"
#include "policy/channel_selection.h"

namespace adafuse {

// A frame to convolve.
struct ConvRow {
  const float* input;    // (in_channels, in_height, in_width)
  ChannelList computed;  // output channels
  ChannelList read;      // input channels; the others count as zeros
};

// Some computed channels of one row at some consecutive pixels.
struct ConvTile {
  std::size_t row;
  std::size_t first_pixel;
  std::size_t pixels;
  ChannelList channels;
  bool is_first;      // exactly one tile is, for every row and pixel, even if nothing is computed
  const float* sums;  // (channels.size, sums_stride)
  std::size_t sums_stride;
};

// Calls `finish` with every tile when it is computed, from any thread.  The sizes are those of the
// shape (its rows are not looked at); weight (out_channels, in_channels, kernel_height,
// kernel_width), bias (out_channels).
void tiled_conv(const ConvShape& shape, const float* weight, const float* bias,
                const std::vector<ConvRow>& rows, const ParallelFor& parallel_for,
                const MicroKernel& kernel, const std::function<void(const ConvTile&)>& finish);

}  // namespace adafuse
