// Layout of the sums over pixels that a block leaves for the next block's gate.
#pragma once

#include <algorithm>

#include "tensorrt/block_tiles.h"

namespace adafuse::plugin {

// Rows of (tiles, segments): tiles of `tile_pixels` run over frames of `pixels` pixels one after
// another; segment s of a tile belongs to its first frame + s.
struct Sums {
  std::int64_t pixels, tile_pixels, segments;

  std::int64_t rows(std::int64_t frames) const {
    return ceil_div(frames * pixels, tile_pixels) * segments;
  }
  // Tiles that a frame has pixels in, at most.
  std::int64_t tiles() const {
    return pixels % tile_pixels == 0 ? ceil_div(pixels, tile_pixels)
                                     : (pixels + tile_pixels - 2) / tile_pixels + 1;
  }
};

// Pixels that a program of sum_frames adds in a step, and its steps.
constexpr std::int64_t kSummedPixels = 32, kSummedSteps = 8;

// Sums of frames by sum_frames, where no block left any.
inline Sums sums_of_frames(const Frames& x) {
  const std::int64_t tile = kSummedPixels * kSummedSteps;
  return {ceil_div(x.pixels(), tile) * tile, tile, 1};
}

// Sums that a block leaves of its output, `rows` frames.
inline Sums sums_of_block(const Frames& y, std::int64_t rows, bool half) {
  const std::int64_t pixels = y.pixels();
  if (y.border) {
    const std::int64_t tile = choose_tile(half, pixels, y.distance, rows).m;
    return {ceil_div(pixels, tile) * tile, tile, 1};
  }
  const std::int64_t tile = choose_tile(half, rows * pixels, y.distance, 1).m;
  return {pixels, tile, (tile - 2) / pixels + 2};
}

// Rows that are enough for the sums of any batch, whichever tile is chosen for it:
// ceil(frames * pixels / 64) * segments, where neither number depends on the batch.
struct SumsRoom {
  std::int64_t pixels, segments;

  std::int64_t rows(std::int64_t frames) const {
    return ceil_div(frames * pixels, kSmallestTile) * segments;
  }
};

inline SumsRoom room_for_sums(const Frames& y) {
  if (y.border) {
    return {ceil_div(y.pixels(), kSmallestTile) * kSmallestTile, 1};
  }
  return {y.pixels(), (kLargestTile - 2) / y.pixels() + 2};
}

}  // namespace adafuse::plugin
