#include "operators/conditional_conv.h"

#include <algorithm>
#include <cstdint>
#include <vector>

#include "microkernels/gemm_nchw/loop_nest.h"

namespace adafuse {
namespace {

// Writes a tile to the frames that keep or reuse its channels, and zeros for cleared channels.
void store(const ConvShape& shape, const Policy* policy, const GemmTile& tile, float* output) {
  const auto target = [&](std::size_t frame, std::size_t channel) {
    return output + (frame * shape.out_channels + channel) * shape.out_plane() + tile.first_pixel;
  };
  const float* channel_of_tile = tile.accumulators;
  for (const std::uint32_t channel : tile.channels) {
    if (policy == nullptr || policy->keeps(tile.frame, channel)) {
      std::copy_n(channel_of_tile, tile.pixels, target(tile.frame, channel));
    }
    if (policy != nullptr && policy->lends(tile.frame, channel)) {
      std::copy_n(channel_of_tile, tile.pixels, target(tile.frame + 1, channel));
    }
    channel_of_tile += tile.stride;
  }
  if (policy != nullptr && tile.is_first) {
    for (std::size_t channel = 0; channel < shape.out_channels; ++channel) {
      if (policy->clears(tile.frame, channel)) {
        std::fill_n(target(tile.frame, channel), tile.pixels, 0.0f);
      }
    }
  }
}

}  // namespace

void conditional_conv(const ConvShape& shape, const ConvTensors& tensors, const Policy* policy,
                      const Policy* input_policy, const ParallelFor& parallel_for,
                      Workspaces& workspaces, const GemmKernel& kernel) {
  const ChannelLists computed = ChannelLists::computed(shape.frames, shape.out_channels, policy);
  const ChannelLists read = ChannelLists::read(shape.frames, shape.in_channels, input_policy);
  std::vector<ConvFrame> frames;
  for (std::size_t frame = 0; frame < shape.frames; ++frame) {
    const float* input = tensors.input + frame * shape.in_channels * shape.in_plane();
    frames.push_back({input, computed[frame], read[frame]});
  }
  convolve_nchw(shape, tensors.weight, tensors.bias, frames, parallel_for, kernel, workspaces,
                [&](const GemmTile& tile) { store(shape, policy, tile, tensors.output); });
}

}  // namespace adafuse
