#include "kernels/conditional_conv.h"

#include <algorithm>
#include <cstdint>
#include <vector>

#include "kernels/aligned_buffer.h"
#include "kernels/patch_packer.h"

namespace adafuse {
namespace {

// A tile is what one call of the parallel body computes: some output channels of one row at some
// consecutive pixels.  Its packed pixels (kDepth x kTilePixels floats) fit a second-level cache.
constexpr std::size_t kDepth = 256;
constexpr std::size_t kTilePixels = 256;
constexpr std::size_t kTileChannels = 512;
// Every tile packs its pixels anew, so tiles get fewer channels only to occupy more threads.
constexpr std::size_t kMinTileChannels = 64;
constexpr std::size_t kEnoughTiles = 16;

// Output pixels that one tile covers; the same cut serves all rows.
struct Strip {
  std::size_t first_pixel;
  std::size_t pixels;
  PatchPacker packer;
};

struct Tile {
  std::size_t row;
  const Strip* strip;
  ChannelList channels;
  bool clears;  // this tile also writes the zeros of its row and strip
};

// Memory of a thread; the next tile, of whatever layer, uses it again.
struct Workspace {
  AlignedBuffer sums;
  AlignedBuffer packed;
  AlignedBuffer border;
  std::vector<std::uint32_t> offsets;
};
thread_local Workspace workspace;

std::size_t ceil_div(std::size_t a, std::size_t b) {
  return (a + b - 1) / b;
}

std::vector<Strip> make_strips(const ConvShape& shape, const MicroKernel& kernel) {
  const std::size_t plane = shape.out_plane();
  const std::size_t even = ceil_div(plane, ceil_div(plane, kTilePixels));
  const std::size_t size = ceil_div(even, kernel.lanes) * kernel.lanes;
  std::vector<Strip> strips;
  for (std::size_t first = 0; first < plane; first += size) {
    const std::size_t pixels = std::min(size, plane - first);
    strips.push_back(
        {first, pixels, PatchPacker(shape, first, pixels, kernel.max_width(), kernel.lanes)});
  }
  return strips;
}

std::vector<Tile> make_tiles(const ConvShape& shape, const std::vector<Strip>& strips,
                             const ChannelLists& computed) {
  const std::size_t wanted = ceil_div(kEnoughTiles, shape.rows * strips.size());
  const std::size_t most =
      std::clamp(ceil_div(shape.out_channels, wanted), kMinTileChannels, kTileChannels);
  std::vector<Tile> tiles;
  for (std::size_t row = 0; row < shape.rows; ++row) {
    const ChannelList channels = computed[row];
    const std::size_t blocks = std::max<std::size_t>(1, ceil_div(channels.size, most));
    for (const Strip& strip : strips) {
      for (std::size_t block = 0; block < blocks; ++block) {
        const std::size_t begin = channels.size * block / blocks;
        const std::size_t end = channels.size * (block + 1) / blocks;
        tiles.push_back({row, &strip, {channels.data + begin, end - begin}, block == 0});
      }
    }
  }
  return tiles;
}

// Computes the convolution of a tile into sums (tile channels, the packer's total width).
void convolve(const ConvShape& shape, const ConvTensors& tensors, const MicroKernel& kernel,
              const Tile& tile, ChannelList inputs, float* sums) {
  const PatchPacker& packer = tile.strip->packer;
  const std::size_t width = packer.total_width();
  const std::size_t taps = shape.taps();
  const std::size_t block = std::max<std::size_t>(1, kDepth / taps);  // input channels

  float* packed = workspace.packed.reserve(block * taps * width);
  float* border = workspace.border.reserve(packer.border_floats());
  std::fill_n(border, packer.border_floats(), 0.0f);
  workspace.offsets.resize(block * taps);
  std::uint32_t* offsets = workspace.offsets.data();

  for (std::size_t i = 0; i < tile.channels.size; ++i) {
    std::fill_n(sums + i * width, width, tensors.bias[tile.channels.data[i]]);
  }
  const float* planes = tensors.input + tile.row * shape.in_channels * shape.in_plane();
  for (std::size_t done = 0; done < inputs.size; done += block) {
    const std::size_t channels = std::min(block, inputs.size - done);
    const std::size_t depth = channels * taps;
    for (std::size_t i = 0; i < channels; ++i) {
      const std::uint32_t channel = inputs.data[done + i];
      packer.pack(planes + channel * shape.in_plane(), i * taps, depth, border, packed);
      for (std::size_t tap = 0; tap < taps; ++tap) {
        offsets[i * taps + tap] = static_cast<std::uint32_t>(channel * taps + tap);
      }
    }
    for (std::size_t first = 0; first < tile.channels.size; first += kernel.rows) {
      const std::size_t rows = std::min(kernel.rows, tile.channels.size - first);
      const float* weights[kMaxMicroRows];
      for (std::size_t r = 0; r < rows; ++r) {
        weights[r] = tensors.weight + tile.channels.data[first + r] * shape.in_channels * taps;
      }
      float* sum = sums + first * width;
      for (std::size_t panel = 0; panel < packer.panels(); ++panel) {
        kernel.run(rows, packer.width(panel), depth, weights, offsets,
                   packed + packer.begin(panel, depth), sum, width);
        sum += packer.width(panel);
      }
    }
  }
}

// Writes a tile to wherever the policy wants it.
void store(const ConvShape& shape, const Policy* policy, const Tile& tile, const float* sums,
           float* output) {
  const std::size_t pixels = tile.strip->pixels;
  const auto target = [&](std::size_t row, std::size_t channel) {
    return output + (row * shape.out_channels + channel) * shape.out_plane() +
           tile.strip->first_pixel;
  };
  for (const std::uint32_t channel : tile.channels) {
    if (policy == nullptr || policy->keeps(tile.row, channel)) {
      std::copy_n(sums, pixels, target(tile.row, channel));
    }
    if (policy != nullptr && policy->lends(tile.row, channel)) {
      std::copy_n(sums, pixels, target(tile.row + 1, channel));
    }
    sums += tile.strip->packer.total_width();
  }
  if (policy != nullptr && tile.clears) {
    for (std::size_t channel = 0; channel < shape.out_channels; ++channel) {
      if (policy->clears(tile.row, channel)) {
        std::fill_n(target(tile.row, channel), pixels, 0.0f);
      }
    }
  }
}

}  // namespace

void conditional_conv(const ConvShape& shape, const ConvTensors& tensors, const Policy* policy,
                      const Policy* input_policy, const ParallelFor& parallel_for,
                      const MicroKernel& kernel) {
  if (shape.rows == 0 || shape.out_channels == 0) {
    return;
  }
  const ChannelLists computed = ChannelLists::computed(shape.rows, shape.out_channels, policy);
  const ChannelLists read = ChannelLists::read(shape.rows, shape.in_channels, input_policy);
  const std::vector<Strip> strips = make_strips(shape, kernel);
  const std::vector<Tile> tiles = make_tiles(shape, strips, computed);
  parallel_for(tiles.size(), [&](std::size_t i) {
    const Tile& tile = tiles[i];
    float* sums = workspace.sums.reserve(tile.channels.size * tile.strip->packer.total_width());
    if (tile.channels.size > 0) {
      convolve(shape, tensors, kernel, tile, read[tile.row], sums);
    }
    store(shape, policy, tile, sums, tensors.output);
  });
}

}  // namespace adafuse
