#include "operators/conditional_conv.h"

#include <algorithm>
#include <cstdint>
#include <vector>

#include "microkernels/gemm_nchw/loop_nest.h"

namespace adafuse {
namespace {

// Writes a tile to wherever the policy wants it.
void store(const ConvShape& shape, const Policy* policy, const ConvTile& tile, float* output) {
  const auto target = [&](std::size_t row, std::size_t channel) {
    return output + (row * shape.out_channels + channel) * shape.out_plane() + tile.first_pixel;
  };
  const float* sums = tile.sums;
  for (const std::uint32_t channel : tile.channels) {
    if (policy == nullptr || policy->keeps(tile.row, channel)) {
      std::copy_n(sums, tile.pixels, target(tile.row, channel));
    }
    if (policy != nullptr && policy->lends(tile.row, channel)) {
      std::copy_n(sums, tile.pixels, target(tile.row + 1, channel));
    }
    sums += tile.sums_stride;
  }
  if (policy != nullptr && tile.is_first) {
    for (std::size_t channel = 0; channel < shape.out_channels; ++channel) {
      if (policy->clears(tile.row, channel)) {
        std::fill_n(target(tile.row, channel), tile.pixels, 0.0f);
      }
    }
  }
}

}  // namespace

void conditional_conv(const ConvShape& shape, const ConvTensors& tensors, const Policy* policy,
                      const Policy* input_policy, const ParallelFor& parallel_for,
                      const MicroKernel& kernel) {
  const ChannelLists computed = ChannelLists::computed(shape.rows, shape.out_channels, policy);
  const ChannelLists read = ChannelLists::read(shape.rows, shape.in_channels, input_policy);
  std::vector<ConvRow> rows;
  for (std::size_t row = 0; row < shape.rows; ++row) {
    const float* input = tensors.input + row * shape.in_channels * shape.in_plane();
    rows.push_back({input, computed[row], read[row]});
  }
  tiled_conv(shape, tensors.weight, tensors.bias, rows, parallel_for, kernel,
             [&](const ConvTile& tile) { store(shape, policy, tile, tensors.output); });
}

}  // namespace adafuse
