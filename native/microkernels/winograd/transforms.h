// The transforms of minimal filtering, F(4x4, 3x3), for vectors of channels.
//
// A 3x3 convolution of stride 1 gives 4x4 pixels from a patch of 6x6.  Written as a product of
// polynomials and evaluated at the points 0, +-1/sqrt(2), +-sqrt(2) and infinity in both
// directions, it takes one multiplication for each of 36 positions instead of 9 for each of 16
// pixels (Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2016).  These points
// keep float32 rounding at about twice that of the plain sum; the usual 0, +-1, +-2 do half as
// well.
#pragma once

#include <cstddef>

#include "base/processor.h"

namespace adafuse {

constexpr std::size_t kPatchSize = 6;
constexpr std::size_t kPatchStep = 4;  // pixels of output, and from one patch to the next
constexpr std::size_t kPositions = kPatchSize * kPatchSize;

// The pixels of a patch, of which the first `rows` x `columns` exist; the others are zeros.
struct PatchView {
  const char* corner;
  std::ptrdiff_t row_pitch;  // bytes
  std::ptrdiff_t pixel_pitch;
  std::size_t rows;
  std::size_t columns;
};

// Where the pixels of a patch's output go: max(lowest, bias + sum + residual).
struct PatchOutput {
  char* corner;
  std::ptrdiff_t row_pitch;  // bytes, of `residual` too
  std::ptrdiff_t pixel_pitch;
  std::size_t rows;  // those that exist
  std::size_t columns;
  const float* bias;
  const char* residual;  // null for none; may be the output itself
  float lowest;
  float* sums;  // null, or per channel: the pixels are added to it
};

// One variant, for float32.
struct WinogradKernel {
  InstructionSet instruction_set;

  // Position p of `channels` channels goes to `positions` + p * position_pitch bytes; up to a
  // vector's width may be written there.
  void (*transform_input)(const PatchView& patch, std::size_t channels, char* positions,
                          std::ptrdiff_t position_pitch);

  // Takes the sums at all positions of whole vectors that hold `channels` channels.
  void (*transform_output)(const char* positions, std::ptrdiff_t position_pitch,
                           std::size_t channels, const PatchOutput& output);
};

// The best variant that needs nothing beyond `most`, a set of this processor.
const WinogradKernel& winograd_kernel(InstructionSet most);

}  // namespace adafuse
