// Sizes of the block kernels' programs: the rule of adafuse_deploy/ops/triton/block/tiles.py.
#pragma once

#include <cstdint>
#include <vector>

#include "tensorrt/block.h"

namespace adafuse::plugin {

// Sizes of one program: pixels, output channels, and input channels of a step.
struct Tile {
  std::int64_t m, n, k;
};

// The tiles of a type, from large to small.
inline std::vector<Tile> tiles_of(bool half) {
  if (half) {
    return {{128, 128, 64}, {128, 64, 64}, {64, 64, 64}};
  }
  return {{64, 64, 16}};
}

constexpr std::int64_t kLargestTile = 128, kSmallestTile = 64;  // pixels
constexpr std::int64_t kEnoughPrograms = 200;  // two for each of about 100 multiprocessors

inline std::int64_t ceil_div(std::int64_t a, std::int64_t b) {
  return (a + b - 1) / b;
}

// The largest tile that leaves programs enough and half of its pixels in use.
inline Tile choose_tile(bool half, std::int64_t pixels, std::int64_t columns, std::int64_t frames) {
  const std::vector<Tile> tiles = tiles_of(half);
  for (const Tile& tile : tiles) {
    const std::int64_t programs = frames * ceil_div(pixels, tile.m) * ceil_div(columns, tile.n);
    if (columns >= tile.n && 2 * pixels >= 3 * tile.m / 2 && programs >= kEnoughPrograms) {
      return tile;
    }
  }
  return tiles.back();
}

}  // namespace adafuse::plugin
