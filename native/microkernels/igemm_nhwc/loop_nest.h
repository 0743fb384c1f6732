// One convolution over rows of a frame: panels and tiles in the order that suits the caches.
#pragma once

#include <cstddef>
#include <vector>

#include "microkernels/igemm_nhwc/k_indirection.h"
#include "microkernels/igemm_nhwc/packed_b.h"
#include "microkernels/igemm_nhwc/pixel_tiles.h"

namespace adafuse {

// Rows [begin, end) of a frame.
struct RowRange {
  std::size_t begin, end;
};

// One term of the sum.
struct ConvSource {
  const char* frame;
  const InputShape& shape;
  const StepList& steps;
  Panels weights;
  std::size_t first_row = 0;       // of the frame, the one that `frame` begins with
  bool prefetches = false;         // the next tile's pixels, which follow in memory
  const float* rescale = nullptr;  // see Segment; of all panels
};

// Where the results go.
struct ConvTarget {
  char* frame;
  const FrameLayout& layout;
  PerChannel channels;             // of all panels
  const char* residual = nullptr;  // a frame of the same layout, or null
  float residual_scale = 1;
  float* sums = nullptr;      // per channel, or null
  std::size_t first_row = 0;  // of the frame, the one that `frame` begins with
};

constexpr std::size_t kMaxSources = 6;

// Computes rows `rows` of the target's frame, of `channels` output channels those of the panels
// [panel_begin, panel_end).  `tiles` is working memory.
void convolve(const TileKernel& kernel, const ConvSource* sources, std::size_t count,
              const ConvTarget& target, RowRange rows, std::size_t channels,
              std::size_t panel_begin, std::size_t panel_end, std::vector<PixelTile>& tiles);

}  // namespace adafuse
