#include "operators/stream_conv.h"

#include <algorithm>
#include <cstddef>
#include <vector>

#include "microkernels/gemm_nchw/loop_nest.h"

namespace adafuse {
namespace {

// Writes a tile of this frame and, once per frame and pixel, skipped and reused channels.
void store(const ConvShape& shape, const StreamConvTensors& tensors, const Policy& policy,
           const GemmTile& tile) {
  const auto place = [&](std::size_t channel) {
    return (tile.frame * shape.out_channels + channel) * shape.out_plane() + tile.first_pixel;
  };
  const float* channel_of_tile = tile.accumulators;
  for (const std::uint32_t channel : tile.channels) {
    std::copy_n(channel_of_tile, tile.pixels, tensors.output + place(channel));
    std::copy_n(channel_of_tile, tile.pixels, tensors.raw + place(channel));
    channel_of_tile += tile.stride;
  }
  if (!tile.is_first) {
    return;
  }
  for (std::size_t channel = 0; channel < shape.out_channels; ++channel) {
    float* output = tensors.output + place(channel);
    if (policy.skips(tile.frame, channel)) {
      std::fill_n(output, tile.pixels, 0.0f);
    } else if (policy.reuses(tile.frame, channel) &&
               tensors.missing[tile.frame * shape.out_channels + channel] == 0) {
      std::copy_n(tensors.previous_raw + place(channel), tile.pixels, output);
    }
  }
}

// Writes a tile of the previous frame of `stream`: deferred channels.
void store_deferred(const ConvShape& shape, const GemmTile& tile, std::size_t stream,
                    float* output) {
  const float* channel_of_tile = tile.accumulators;
  for (const std::uint32_t channel : tile.channels) {
    const std::size_t plane = stream * shape.out_channels + channel;
    std::copy_n(channel_of_tile, tile.pixels,
                output + plane * shape.out_plane() + tile.first_pixel);
    channel_of_tile += tile.stride;
  }
}

}  // namespace

void stream_conv(const ConvShape& shape, const StreamConvTensors& tensors, const Policy& policy,
                 const Policy* input_policy, const Policy* previous_input_policy,
                 const ParallelFor& parallel_for, Workspaces& workspaces,
                 const GemmKernel& kernel) {
  const std::size_t streams = shape.frames;
  const ChannelLists kept = ChannelLists::kept(policy);
  const ChannelLists deferred = ChannelLists::deferred(policy, tensors.missing);
  const ChannelLists read = ChannelLists::unskipped(streams, shape.in_channels, input_policy);
  const ChannelLists read_deferred =
      ChannelLists::unskipped(streams, shape.in_channels, previous_input_policy);
  // This frame of every stream, then the previous frame of streams with deferred channels.
  std::vector<ConvFrame> frames;
  std::vector<std::size_t> deferred_streams;
  const std::size_t frame = shape.in_channels * shape.in_plane();
  for (std::size_t stream = 0; stream < streams; ++stream) {
    frames.push_back({tensors.input + stream * frame, kept[stream], read[stream]});
  }
  for (std::size_t stream = 0; stream < streams; ++stream) {
    if (deferred[stream].size > 0) {
      const float* input = tensors.previous_input + stream * frame;
      frames.push_back({input, deferred[stream], read_deferred[stream]});
      deferred_streams.push_back(stream);
    }
  }
  convolve_nchw(shape, tensors.weight, tensors.bias, frames, parallel_for, kernel, workspaces,
                [&](const GemmTile& tile) {
                  if (tile.frame < streams) {
                    store(shape, tensors, policy, tile);
                  } else {
                    store_deferred(shape, tile, deferred_streams[tile.frame - streams],
                                   tensors.output);
                  }
                });
  for (std::size_t stream = 0; stream < streams; ++stream) {
    for (std::size_t channel = 0; channel < shape.out_channels; ++channel) {
      tensors.next_missing[stream * shape.out_channels + channel] = !policy.keeps(stream, channel);
    }
  }
}

}  // namespace adafuse
