// Cuts a plane of output pixels into tiles of at most MR.
#pragma once

#include <cstddef>

#include "microkernels/igemm_nhwc/igemm.h"

namespace adafuse {

// A tile of C: one or two groups of pixels.
struct OutputTile {
  struct Position {
    std::size_t y, x;
  };
  std::size_t pixels;  // of each group, all in one row
  std::size_t groups;
  Position at[kMaxGroups];  // first pixel of each group; the same twice where there is one group
};

// The most tiles that make_tiles() makes.
inline std::size_t most_tiles(const IgemmKernel& kernel, std::size_t rows, std::size_t width) {
  return rows * ((width + kernel.mr_group - 1) / kernel.mr_group);
}

// Writes tiles that cover rows [first, last) of a plane exactly once to `tiles` and returns how
// many. A row is split into groups of equal length, or nearly, so that no size leaves a remainder
// of a pixel or two.
inline std::size_t make_tiles(const IgemmKernel& kernel, std::size_t first, std::size_t last,
                              std::size_t width, OutputTile* tiles) {
  const std::size_t groups = (width + kernel.mr_group - 1) / kernel.mr_group;
  const std::size_t length = groups == 0 ? 0 : width / groups;
  const std::size_t longer = groups == 0 ? 0 : width % groups;  // groups with a pixel more
  std::size_t count = 0;
  const auto add = [&](std::size_t begin, std::size_t end, std::size_t pixels) {
    const bool pairs = 2 * pixels <= kernel.mr;
    bool open = false;  // the last tile takes another group
    for (std::size_t y = first; y < last; ++y) {
      for (std::size_t group = begin; group < end; ++group) {
        const std::size_t x = group * length + (group < longer ? group : longer);
        if (open) {
          tiles[count - 1].at[1] = {y, x};
          tiles[count - 1].groups = 2;
        } else {
          tiles[count++] = {pixels, 1, {{y, x}, {y, x}}};
        }
        open = pairs && !open;
      }
    }
  };
  add(0, longer, length + 1);
  add(longer, groups, length);
  return count;
}

}  // namespace adafuse
