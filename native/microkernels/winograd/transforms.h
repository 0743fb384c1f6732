// The transforms of Winograd F(4x4, 3x3), for vectors of channels.
//
// A 3x3 convolution of stride 1 gives 4x4 pixels from a tile of 6x6.  Written as a product of
// polynomials and evaluated at the points 0, +-1/sqrt(2), +-sqrt(2) and infinity in both
// directions, it takes one multiplication for each of 36 points in place of 9 for each of 16
// pixels (Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2016).  These points
// keep float32 rounding at about twice that of the plain sum; the usual 0, +-1, +-2 do half as
// well.
#pragma once

#include <cstddef>
#include <vector>

#include "base/processor.h"

namespace adafuse {

constexpr std::size_t kWinogradTile = 6;    // pixels of an input tile's side
constexpr std::size_t kWinogradOutput = 4;  // of an output tile's, and from one tile to the next
constexpr std::size_t kWinogradPoints = kWinogradTile * kWinogradTile;

// The pixels of an input tile, of which the first `rows` x `columns` exist; the others are zeros.
struct WinogradInputTile {
  const char* corner;
  std::ptrdiff_t row_pitch;  // bytes
  std::ptrdiff_t pixel_pitch;
  std::size_t rows;
  std::size_t columns;
};

// The pixels of an output tile: max(lowest, bias + products + residual).
struct WinogradOutputTile {
  char* corner;
  std::ptrdiff_t row_pitch;  // bytes, of `residual` too
  std::ptrdiff_t pixel_pitch;
  std::size_t rows;  // rows x columns pixels exist and are written
  std::size_t columns;
  const float* bias;
  const char* residual;  // null for none; may be the output itself
  float lowest;
  float* totals;  // per channel, or null: sums, to which the pixels are added
};

// One variant, for float32.
struct WinogradKernel {
  InstructionSet instruction_set;

  // Writes point p of `channels` channels to `points` + p * point_pitch bytes; up to a
  // vector's width may be written there.
  void (*transform_input)(const WinogradInputTile& tile, std::size_t channels, char* points,
                          std::ptrdiff_t point_pitch);

  // Transforms the products at all points, read in whole vectors, to `channels` channels of pixels.
  void (*transform_output)(const char* points, std::ptrdiff_t point_pitch, std::size_t channels,
                           const WinogradOutputTile& output);
};

// The variants that this processor can run, the best first.
const std::vector<const WinogradKernel*>& winograd_kernels();
// The best variant whose instruction set is not better than `most`, a set of this processor.
const WinogradKernel& winograd_kernel(InstructionSet most);

}  // namespace adafuse
