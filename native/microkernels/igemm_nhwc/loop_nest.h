// The loop nest of a convolution over rows of a frame: tiles of MR pixels and panels of NR output
// channels in the order that suits the caches.
#pragma once

#include <cstddef>

#include "base/workspace.h"
#include "microkernels/igemm_nhwc/k_indirection.h"
#include "microkernels/igemm_nhwc/packed_b.h"
#include "microkernels/igemm_nhwc/pixel_tiles.h"

namespace adafuse {

// Rows [begin, end) of a picture.
struct ImageRows {
  std::size_t begin, end;
};

// One term of the sum: a frame, its K indirection and packed B.  Views, which must last for the
// call.
struct ConvTerm {
  const char* frame;
  const InputShape& shape;
  const KIndirection& indirection;
  BPanels weights;
  std::size_t first_row = 0;       // of the picture, where `frame` begins
  bool prefetches = false;         // the next tile's pixels
  const float* rescale = nullptr;  // of all panels, see GemmTerm
};

// The output frame and the epilogue.
struct ConvTarget {
  char* frame;
  const NhwcLayout& layout;
  EpiloguePerChannel channels;     // of all panels
  const char* residual = nullptr;  // a frame of the same layout, or null
  float residual_scale = 1;
  float* totals = nullptr;    // per channel, or null
  std::size_t first_row = 0;  // of the picture, where `frame` begins
};

// Terms of a sum at most.
constexpr std::size_t kMaxSources = 6;

// Computes rows `rows` of the target's frame: of `channels` output channels those in the panels
// [panel_begin, panel_end).  Takes from `scratch` what add_convolve() adds and gives it back.
void convolve(const IgemmKernel& kernel, const ConvTerm* sources, std::size_t count,
              const ConvTarget& target, ImageRows rows, std::size_t channels,
              std::size_t panel_begin, std::size_t panel_end, Arena& scratch);
void add_convolve(ArenaSize& size, const IgemmKernel& kernel, std::size_t rows, std::size_t width);

}  // namespace adafuse
