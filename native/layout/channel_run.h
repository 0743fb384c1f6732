// Runs of channels, and the temporal shift, which reads three of them.
#pragma once

#include <array>
#include <cstddef>
#include <vector>

#include "base/precision.h"

namespace adafuse {

// Channels or places begin ... end - 1, read as whole K groups; what else lies in the first and the
// last unit meets weights of zero.
struct ChannelRun {
  std::size_t begin, end;

  std::size_t first_k_group(Precision precision) const { return begin / kr(precision); }
  std::size_t k_groups(Precision precision) const {
    return begin == end ? 0 : (end + kr(precision) - 1) / kr(precision) - first_k_group(precision);
  }
};

// The first channels of a frame come from the next frame, the following ones from the previous
// frame, the others from the frame itself; beyond a clip's ends there are zeros.
struct TemporalShift {
  std::size_t from_next = 0;
  std::size_t from_previous = 0;

  // Those of the next frame, of the previous one and of the frame itself.
  std::array<ChannelRun, 3> runs(std::size_t channels) const {
    const std::size_t own = from_next + from_previous;
    return {{{0, from_next}, {from_next, own}, {own, channels}}};
  }
};

}  // namespace adafuse
