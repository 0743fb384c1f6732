// The inner loop of the fused blocks: a few pixels times a panel of output channels.
//
// Channels lie innermost, in units (see precision.h).  A panel is as many output channels as fill
// `vectors` vectors; a weight row holds a panel's weights for one unit of input, output channel by
// output channel.  Any sum over inputs (dense, gathered, over taps or over frames) is a list of
// steps, so the choice of channels is written outside, once for all precisions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <vector>

#include "base/precision.h"
#include "base/processor.h"

namespace adafuse {

// One term of the sum, as byte offsets into a pixel's inputs and into a panel's weights.
struct Step {
  std::int32_t input;
  std::int32_t weight;
};

// Throws std::invalid_argument where a step cannot reach so far.
inline std::int32_t step_offset(std::ptrdiff_t bytes) {
  if (bytes > std::numeric_limits<std::int32_t>::max() ||
      bytes < std::numeric_limits<std::int32_t>::min()) {
    throw std::invalid_argument(
        "the frames or weights are too large: two frames must fit into 2 GiB, and so must the "
        "weights of 32 outputs");
  }
  return static_cast<std::int32_t>(bytes);
}
inline std::int32_t step_offset(std::size_t bytes) {
  return step_offset(static_cast<std::ptrdiff_t>(bytes));
}

// Weight rows are prefetched this many steps ahead: gathered rows defeat the processor's own
// prefetching.  Every list of steps is followed by as many harmless ones.
constexpr std::size_t kStepsAhead = 24;

// A tile is one or two groups of pixels.  Inside a group pixels are equally spaced.
constexpr std::size_t kMaxGroups = 2;

// Terms read from one tensor.
struct Segment {
  const char* groups[kMaxGroups];  // the first pixel of each group
  std::ptrdiff_t pixel_stride;     // bytes
  const char* weights;             // the panel
  const Step* steps;
  std::size_t depth;  // steps
  // kInt8: null, or what the sums of the segments before are multiplied by.
  const float* rescale = nullptr;
  // Memory wanted soon, of which every step brings a cache line, or null: line after line, or, with
  // `prefetches_rows`, where the step's weight row lies in another panel.  Matrix units leave rows.
  const char* prefetch = nullptr;
  bool prefetches_rows = false;
};

// What is done with a channel's sum.  The arrays hold whole panels.
struct PerChannel {
  const float* bias;
  const float* scale;  // kInt8: of the sum; the bias is in units of the output

  PerChannel from(std::size_t channel) const { return {bias + channel, scale + channel}; }
};

// Where a tile goes: max(lowest, bias + sum + residual_scale * residual), in kInt8 at most 255.
struct TileOutput {
  char* groups[kMaxGroups];
  std::ptrdiff_t pixel_stride;       // bytes
  const char* residual[kMaxGroups];  // null for none; may be the output itself
  std::ptrdiff_t residual_stride;    // bytes
  float residual_scale;
  float lowest;  // 0 for a ReLU
  float* sums;   // null, or per channel: the tile's values are added to it
};

struct TileSize {
  std::size_t pixels;    // of each group
  std::size_t groups;    // 1 or 2
  std::size_t channels;  // of the panel; the kernel computes the next multiple of its granule
};

// One variant: a data type and an instruction set.
struct TileKernel {
  InstructionSet instruction_set;
  Precision precision;
  std::size_t lanes;       // units of one vector
  std::size_t vectors;     // of a panel
  std::size_t granule;     // channels are computed in multiples of this
  std::size_t max_group;   // most pixels of one group
  std::size_t max_pixels;  // most pixels of a tile
  std::size_t chunk;       // steps that are taken at once where they follow each other in memory

  // What `output` points to holds whole vectors.
  void (*run)(const TileSize& size, const Segment* segments, std::size_t count,
              const PerChannel& channels, const TileOutput& output);

  // To be called on the same thread after some runs: matrix units go back to rest, which takes long
  // beside a tile.
  void (*end_runs)();

  // Makes a panel of the weights of chosen outputs: unit k of row i goes to place
  // k * panel_width() + i, for the whole vectors that hold `count` rows.  `rows` has
  // panel_width() pointers, those from `count` on to zeros; `depth` is a multiple of `lanes`.
  void (*gather)(const std::uint32_t* const* rows, std::size_t count, std::size_t depth,
                 std::uint32_t* panel);

  // Makes a panel of the weights of chosen inputs: weight row k consists of per_unit() rows of one
  // channel each, which lie at the next byte offsets from `channels`.
  void (*interleave)(const char* channels, const std::uint32_t* offsets, std::size_t depth,
                     std::uint32_t* panel);

  std::size_t panel_width() const { return lanes * vectors; }
  std::size_t weight_row() const { return panel_width() * kUnit; }  // bytes
  std::size_t channel_row() const { return panel_width() * value_bytes(precision); }

  // What run number `index` of `count` over the same weights prefetches of `next`, the weights that
  // come after them, or null: a line of every row, so that memory is read while sums are made.  The
  // last run may be a short one and prefetches nothing.
  const char* line_of(const char* next, std::size_t index, std::size_t count) const {
    const std::size_t lines = weight_row() / kLine;
    const std::size_t begin = count > lines ? count - 1 - lines : 0;
    const bool takes = next != nullptr && begin <= index && index < begin + lines;
    return takes ? next + (index - begin) * kLine : nullptr;
  }
};

// The implementations this processor can run, best first.
const std::vector<const TileKernel*>& tile_kernels(Precision precision);

}  // namespace adafuse
